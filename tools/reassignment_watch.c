/* Waiting for moves: see reassignment.h. A look asks what still moves and how large each replica
 * that is being copied has become, beside the largest of those it is copied from. What was found is
 * forgotten at the end of a look, so that a wait of hours takes no more memory than a short one.
 *
 * Failure modes: a broker that does not answer has sizes that are not known, for which 0 stands; if
 * nobody answers, reassign_wait goes on for PATIENCE_MS, which covers the restart of a node. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/clock.h"
#include "tools/reassignment.h"

enum { FIRST_MS = 100, EVERY_MS = 1000, PATIENCE_MS = 60000, SETTLE_MS = 10000 };
/* So long a rate is looked at before a time is told by it. A throttle is one over 11 s
 * (replication.quota.window.num): it lets nothing through for seconds, then much. */
enum { RATE_MS = 3000, THROTTLED_RATE_MS = 12000 };

/* ---- signals ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    (void)signal;
    interrupted = 1;
}

void reassign_catch_interrupts(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

bool reassign_interrupted(void)
{
    return interrupted;
}

/* ---- a look ---- */

/* All replicas of what moves, on the brokers that have or get them. */
static struct replica_dir *replicas_of(struct arena *a, const struct replica_sets *moving,
                                       size_t *n)
{
    size_t max = 0;
    for (size_t i = 0; i < moving->n; i++) {
        max += (size_t)moving->v[i].replicas_n;
    }
    struct replica_dir *v = ARENA_ARRAY(a, struct replica_dir, max + 1);
    *n = 0;
    for (size_t i = 0; i < moving->n; i++) {
        for (int32_t k = 0; k < moving->v[i].replicas_n; k++) {
            v[(*n)++] = (struct replica_dir){.topic = moving->v[i].topic,
                                             .partition = moving->v[i].partition,
                                             .broker = moving->v[i].replicas[k]};
        }
    }
    replica_dirs_sort(v, *n);
    return v;
}

static void look_at_copy(struct copy *k, const struct replica_set *moving,
                         const struct replica_dir *v, size_t n)
{
    k->done = !moving || !id_in(moving->adding, moving->adding_n, k->broker);
    for (int32_t i = 0; moving && i < moving->replicas_n; i++) {
        const struct replica_dir *r =
            replica_dir_find(v, n, moving->replicas[i], k->topic, k->partition);
        int64_t size = r && r->size > 0 ? r->size : 0;
        if (moving->replicas[i] == k->broker) {
            k->size = size;
        } else if (!id_in(moving->adding, moving->adding_n, moving->replicas[i])) {
            k->size_whole = size > k->size_whole ? size : k->size_whole;
        }
    }
    if (k->done || k->size > k->size_whole) { /* the last one is compacted or cut, or has grown */
        k->size = k->size_whole;
    }
}

/* Looks at copies of the directories, since what they name is gone after the look. */
static void look_at_dirs(struct client *c, struct reassign_watch *w)
{
    struct replica_dir *v = ARENA_ARRAY(&c->arena, struct replica_dir, w->dirs_n + 1);
    if (w->dirs_n) {
        memcpy(v, w->dirs, w->dirs_n * sizeof *v);
    }
    replica_dirs_look(c, v, w->dirs_n);
    w->dirs_left = 0;
    for (size_t i = 0; i < w->dirs_n; i++) {
        bool moves = !bytes_is_null(v[i].future), asked = v[i].size >= 0;
        w->dirs[i].future = moves || !asked ? w->dirs[i].target : BYTES_NULL;
        w->dirs[i].size = asked ? v[i].size : w->dirs[i].size;
        w->dirs[i].future_size = moves ? v[i].future_size : -1;
        w->dirs_left += !bytes_is_null(w->dirs[i].future);
    }
}

static int look(struct client *c, struct reassign_watch *w, bool first)
{
    struct replica_sets moving;
    int rv = reassign_ongoing(c, w->targets, &moving);
    if (rv) {
        return rv;
    }
    for (size_t i = 0; first && i < moving.n; i++) {
        const struct replica_set *t =
            replica_set_find(w->targets, moving.v[i].topic, moving.v[i].partition);
        for (int32_t k = 0; t && k < moving.v[i].adding_n; k++) {
            if (id_in(t->replicas, t->replicas_n, moving.v[i].adding[k])) {
                w->copies[w->copies_n++] = (struct copy){
                    .topic = t->topic, .partition = t->partition, .broker = moving.v[i].adding[k]};
            }
        }
    }
    size_t n;
    struct replica_dir *v = replicas_of(&c->arena, &moving, &n);
    replica_dirs_look(c, v, n);
    for (size_t i = 0; i < w->copies_n; i++) {
        struct copy *k = &w->copies[i];
        look_at_copy(k, replica_set_find(&moving, k->topic, k->partition), v, n);
    }
    w->partitions_left = moving.n;
    look_at_dirs(c, w);
    w->given_up = w->gives_up && w->gives_up(c, w, w->user);
    return 0;
}

/* The client as it was before a look, whose findings are freed. */
static void forget(struct client *c, const struct client *before)
{
    arena_free(&c->arena);
    c->arena = before->arena;
    c->have_metadata = before->have_metadata;
    c->metadata = before->metadata;
    c->cluster = before->cluster;
}

/* What a look finds lives as long as the look. */
static int look_and_forget(struct client *c, struct reassign_watch *w, bool first)
{
    struct client before = *c;
    c->arena = (struct arena){0};
    int rv = look(c, w, first);
    forget(c, &before);
    return rv;
}

int reassign_watch_look(struct client *c, struct reassign_watch *w)
{
    return look_and_forget(c, w, false);
}

/* ---- what is said of it ---- */

static void add(const struct reassign_watch *w, int64_t *whole, int64_t *arrived)
{
    *whole = *arrived = 0;
    for (size_t i = 0; i < w->copies_n; i++) {
        *whole += w->copies[i].size_whole;
        *arrived += w->copies[i].size;
    }
    for (size_t i = 0; i < w->dirs_n; i++) {
        const struct replica_dir *d = &w->dirs[i];
        int64_t size = d->size > 0 ? d->size : 0, there = d->future_size > 0 ? d->future_size : 0;
        bool done = bytes_is_null(d->future);
        *whole += size;
        *arrived += done || there > size ? size : there;
    }
}

int reassign_watch_begin(struct client *c, struct reassign_watch *w,
                         const struct replica_sets *targets, struct replica_dir *dirs, size_t n)
{
    size_t max = 0;
    for (size_t i = 0; i < targets->n; i++) {
        max += (size_t)targets->v[i].replicas_n;
    }
    *w = (struct reassign_watch){.targets = targets, .dirs = dirs, .dirs_n = n};
    w->copies = ARENA_ARRAY(&c->arena, struct copy, max + 1);
    for (size_t i = 0; i < n; i++) {
        dirs[i].future = dirs[i].target;
        dirs[i].size = dirs[i].future_size = -1;
    }
    int rv = client_cluster(c); /* before the looks: it is kept */
    rv = rv ? rv : look_and_forget(c, w, true);
    int64_t whole;
    add(w, &whole, &w->begin_bytes);
    w->begin_ms = steady_ms();
    return rv;
}

static const char *size_text(int64_t bytes, char *out, size_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit < 4; unit++) {
        v /= 1024;
    }
    snprintf(out, n, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return out;
}

static const char *time_text(int64_t s, char *out, size_t n)
{
    if (s < 120) {
        snprintf(out, n, "%lld s", (long long)s);
    } else if (s < 7200) {
        snprintf(out, n, "%lld min", (long long)(s / 60));
    } else {
        snprintf(out, n, "%lld h", (long long)(s / 3600));
    }
    return out;
}

static int64_t divide_up(int64_t n, int64_t by)
{
    return n / by + (n % by != 0);
}

/* The most that one broker still has to receive. */
static int64_t heaviest_copies(const struct reassign_watch *w)
{
    int64_t most = 0;
    for (int64_t id = -1, next = 0; next >= 0; id = next) { /* one broker after the other */
        int64_t left = 0;
        next = -1;
        for (size_t i = 0; i < w->copies_n; i++) {
            const struct copy *k = &w->copies[i];
            left += k->broker == id ? k->size_whole - k->size : 0;
            next = k->broker > id && (next < 0 || k->broker < next) ? k->broker : next;
        }
        most = left > most ? left : most;
    }
    return most;
}

/* The most that one broker still has to copy between its directories, by which they are sorted. */
static int64_t heaviest_dirs(const struct reassign_watch *w)
{
    int64_t most = 0, sum = 0;
    for (size_t i = 0; i < w->dirs_n; i++) {
        const struct replica_dir *d = &w->dirs[i];
        int64_t there = d->future_size > 0 ? d->future_size : 0;
        sum = i > 0 && w->dirs[i - 1].broker == d->broker ? sum : 0;
        sum += bytes_is_null(d->future) || d->size < there ? 0 : d->size - there;
        most = sum > most ? sum : most;
    }
    return most;
}

/* Seconds that the throttles make it last. */
static int64_t least_s(const struct reassign_watch *w)
{
    int64_t copies = w->throttle ? divide_up(heaviest_copies(w), w->throttle) : 0;
    int64_t dirs = w->dirs_throttle ? divide_up(heaviest_dirs(w), w->dirs_throttle) : 0;
    return copies > dirs ? copies : dirs;
}

/* ", 29 s left", or nothing. */
static const char *left_text(const struct reassign_watch *w, int64_t ms, int64_t rate, int64_t left,
                             char *out, size_t n)
{
    char time[32];
    bool throttled = w->throttle || w->dirs_throttle;
    bool settled = rate > 0 && ms >= (throttled ? THROTTLED_RATE_MS : RATE_MS);
    int64_t least = least_s(w), measured = settled ? divide_up(left, rate) : 0;
    *out = 0;
    if (settled && measured >= least) {
        snprintf(out, n, ", %s left", time_text(measured, time, sizeof time));
    } else if (least) {
        snprintf(out, n, ", at least %s left", time_text(least, time, sizeof time));
    }
    return out;
}

void reassign_watch_text(const struct reassign_watch *w, int64_t now_ms, char *out, size_t n)
{
    char sizes[3][32], left[64], moves[64] = "";
    int64_t whole, arrived, ms = now_ms - w->begin_ms;
    add(w, &whole, &arrived);
    int64_t rate = ms > 0 ? (arrived - w->begin_bytes) * 1000 / ms : 0;
    if (w->dirs_n) {
        snprintf(moves, sizeof moves, ", %zu of %zu directory moves", w->dirs_left, w->dirs_n);
    }
    snprintf(out, n, "%zu of %zu partitions%s left, %s of %s, %s/s%s", w->partitions_left,
             w->targets->n, moves, size_text(arrived, sizes[0], sizeof sizes[0]),
             size_text(whole, sizes[1], sizeof sizes[1]),
             size_text(rate > 0 ? rate : 0, sizes[2], sizeof sizes[2]),
             left_text(w, ms, rate, whole - arrived, left, sizeof left));
}

static void show(const struct reassign_watch *w, bool terminal)
{
    char text[300];
    if (terminal) {
        reassign_watch_text(w, steady_ms(), text, sizeof text);
        fprintf(stderr, "\r\033[K%s", text);
        fflush(stderr);
    }
}

int reassign_wait(struct client *c, struct reassign_watch *w)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t heard_ms = steady_ms();
    useconds_t pause_ms = FIRST_MS;
    int rv = 0;
    while (!interrupted && !w->given_up && w->partitions_left + w->dirs_left > 0) {
        show(w, terminal);
        usleep(pause_ms * 1000); /* a signal ends it early */
        pause_ms = pause_ms < EVERY_MS ? pause_ms + FIRST_MS : EVERY_MS;
        rv = interrupted ? 0 : reassign_watch_look(c, w);
        if (rv == 0) {
            heard_ms = steady_ms();
        } else if (steady_ms() - heard_ms > PATIENCE_MS) {
            break;
        }
    }
    if (terminal) {
        fprintf(stderr, "\r\033[K");
    }
    return interrupted ? ERR_CANCELED : rv;
}

/* Has the broker that answers heard that each target is reached? False also if none answers. */
static bool is_reached(struct client *c, const struct replica_sets *targets)
{
    struct client before = *c;
    struct replica_sets now;
    c->arena = (struct arena){0};
    int rv = client_metadata_refresh(c);
    rv = rv ? rv : reassign_current(c, &now);
    bool reached = rv == 0;
    for (size_t i = 0; i < targets->n && reached; i++) {
        const struct replica_set *t = &targets->v[i];
        const struct replica_set *s = replica_set_find(&now, t->topic, t->partition);
        reached = s && replica_set_same(s, t);
    }
    forget(c, &before);
    return reached;
}

void reassign_settle(struct client *c, const struct replica_sets *targets)
{
    int64_t until_ms = steady_ms() + SETTLE_MS;
    while (!interrupted && !is_reached(c, targets) && steady_ms() < until_ms) {
        usleep(FIRST_MS * 1000);
    }
}
