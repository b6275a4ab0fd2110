/* Committed offsets: the modes commits, fill and probe. */
#include <endian.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

/* ---- offsets ---- */

static int64_t filled(uint32_t group, int topic, int partition) /* the offset that fill commits */
{
    return (int64_t)group * 1000000 + topic * 10000 + partition + 1;
}

static void build_commit(struct load *l, struct conn *c, const struct member *m)
{
    struct buf *b = &c->frame;
    char group[64];
    b->n = 0;
    snprintf(group, sizeof group, "%s-%u", l->prefix, c->index);
    i32(b, 0);
    i16(b, COMMIT);
    i16(b, 9);
    i32(b, 0);
    str16(b, "group-load");
    u8(b, 0);
    str(b, group);
    i32(b, m ? m->generation : -1);
    str(b, m ? m->id : "");
    u8(b, 0);
    uvar(b, 2);
    str(b, l->topic);
    uvar(b, 2);
    i32(b, (int32_t)c->index % l->partitions);
    c->offset_at = b->n;
    i64(b, 0);
    i32(b, -1);
    str(b, "");
    u8(b, 0);
    u8(b, 0);
    u8(b, 0);
    finish(b, 0);
}

static void send_commit(struct load *l, struct conn *c, uint64_t due)
{
    uint32_t corr = htonl(c->corr_sent);
    uint64_t offset = htobe64((uint64_t)++c->offset);
    memcpy(c->frame.p + 8, &corr, 4);
    memcpy(c->frame.p + c->offset_at, &offset, 8);
    raw(&c->out, c->frame.p, c->frame.n);
    expect(c, COMMIT, NULL, due);
    mark(l, c);
}

static void on_commit(struct load *l, struct conn *conn, struct sent *s, struct cur *c)
{
    size_t partitions = 0;
    g32(c);
    for (size_t t = gcount(c); t && !c->bad; t--) {
        skip_str(c);
        for (size_t n = gcount(c); n && !c->bad; n--, partitions++) {
            g32(c);
            int code = g16(c);
            skip_tags(c);
            if (code) {
                problem(l, s, "OffsetCommit", code);
            }
        }
        skip_tags(c);
    }
    if (partitions != (s->arg ? s->arg : 1)) {
        problem(l, s, "partitions in the answer", (int64_t)partitions);
    }
    if (l->running && l->rate == 0) {
        send_commit(l, conn, now_ns());
    }
}

/* Offsets of a group: of one partition of each topic, or of all. */
static void send_fetch(struct load *l, struct conn *c, uint32_t group, const char *topic)
{
    struct buf *b = &c->out;
    char name[64];
    size_t at = begin(l, c, NULL, FETCH, 9);
    c->fifo[(c->corr_sent - 1) % c->fifo_cap].arg = group;
    uvar(b, 2);
    snprintf(name, sizeof name, "%s-%u", l->prefix, group);
    str(b, name);
    u8(b, 0);
    i32(b, -1);
    if (topic == NULL) {
        u8(b, 0);
    } else {
        uvar(b, 2);
        str(b, topic);
        uvar(b, 2);
        i32(b, (int32_t)group % l->partitions);
        u8(b, 0);
    }
    u8(b, 0);
    u8(b, 0);
    u8(b, 0);
    finish(b, at);
}

static bool is_filled(struct load *l, uint32_t group, const char *topic, int partition, int64_t off)
{
    if (l->topics == 0) { /* a group of commits */
        return off == l->conns[group].offset;
    }
    const char *dash = strrchr(topic, '-');
    return dash != NULL && off == filled(group, atoi(dash + 1), partition);
}

static void on_fetch(struct load *l, struct sent *s, struct cur *c)
{
    char topic[ID_MAX];
    int partitions = 0;
    g32(c);
    gcount(c);
    skip_str(c);
    for (size_t t = gcount(c); t && !c->bad; t--) {
        gstr(c, topic);
        for (size_t n = gcount(c); n && !c->bad; n--, partitions++) {
            int partition = g32(c);
            int64_t offset = g64(c);
            g32(c);
            skip_str(c);
            int code = g16(c);
            skip_tags(c);
            if (code == LOADING || code == NOT_COORDINATOR || code == NOT_AVAILABLE) {
                l->retry[l->retry_n++] = s->arg;
                return;
            }
            if (code || !is_filled(l, s->arg, topic, partition, offset)) {
                problem(l, s, code ? "OffsetFetch" : "not the offset that was committed",
                        code ? code : offset);
            }
        }
        skip_tags(c);
    }
    int code = g16(c);
    if (code == LOADING || code == NOT_COORDINATOR || code == NOT_AVAILABLE) {
        l->retry[l->retry_n++] = s->arg;
    } else if (code || partitions != (l->whole ? l->topics * l->partitions : 1)) {
        problem(l, s, code ? "OffsetFetch" : "partitions with an offset", code ? code : partitions);
    } else {
        l->done++;
    }
}

void offsets_answer(struct load *l, struct conn *conn, struct sent *s, struct cur *c)
{
    if (s->key == COMMIT) {
        on_commit(l, conn, s, c);
    } else {
        on_fetch(l, s, c);
    }
}

/* ---- commits ---- */

static void commits_due(struct load *l, uint64_t t0, uint64_t now, uint64_t *k)
{
    for (;; ++*k) {
        uint64_t due = t0 + (uint64_t)((double)*k * 1e9 / l->rate);
        struct conn *c = &l->conns[*k % (uint64_t)l->connections];
        if (due > now || c->corr_sent - c->corr_got >= (uint32_t)l->inflight) {
            l->behind += due <= now;
            wake_at(l, due > now ? due : now + MILLI);
            return;
        }
        send_commit(l, c, due);
    }
}

static void commits_run(struct load *l, double *cpu, double *secs)
{
    uint64_t t0 = now_ns(), k = 0, start = t0 + (uint64_t)l->warmup * SECOND, now;
    double before = 0;
    l->running = true;
    for (int i = 0; l->rate == 0 && i < l->connections * l->inflight; i++) {
        send_commit(l, &l->conns[i % l->connections], now_ns());
    }
    for (;;) {
        now = now_ns();
        if (!l->counting && now >= start) {
            l->counting = true;
            start = now;
            before = cpu_s(l);
        }
        if (now >= start + (uint64_t)l->seconds * SECOND) {
            break;
        }
        if (l->rate > 0) {
            commits_due(l, t0, now, &k);
        }
        turn(l, 100);
    }
    *cpu = cpu_s(l) - before;
    *secs = (double)(now - start) / 1e9;
    l->counting = l->running = false;
    drain(l);
}

void commits(struct load *l)
{
    size_t n = (size_t)l->connections;
    struct group *g = calloc(n, sizeof *g);
    struct member *m = calloc(n, sizeof *m);
    double cpu, secs;
    connect_all(l, l->connections);
    l->topics = 0;
    if (l->as_member) {
        members_alone(l, g, m);
    }
    for (size_t i = 0; i < n; i++) {
        build_commit(l, &l->conns[i], l->as_member ? &m[i] : NULL);
    }
    struct timespec mine[2];
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mine[0]);
    commits_run(l, &cpu, &secs);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mine[1]);
    double own = (double)(mine[1].tv_sec - mine[0].tv_sec) +
                 (double)(mine[1].tv_nsec - mine[0].tv_nsec) / 1e9;
    uint64_t done = l->done;
    l->retry = calloc(n, sizeof *l->retry);
    for (size_t i = 0; i < n; i++) {
        send_fetch(l, &l->conns[i], (uint32_t)i, l->topic);
    }
    drain(l);
    if (l->retry_n) {
        problem(l, &(struct sent){.key = FETCH}, "the coordinator is loading", l->retry_n);
    }
    printf("commits_s=%.0f cpu_s_per_M=%.3f p50_us=%.0f p99_us=%.0f p999_us=%.0f max_us=%.0f "
           "cpu_s=%.2f "
           "generator_cpu_s_per_M=%.2f behind=%llu",
           (double)done / secs, done ? cpu / (double)done * 1e6 : 0, hist_q(&l->lat, .5),
           hist_q(&l->lat, .99), hist_q(&l->lat, .999), (double)l->lat.max, cpu,
           own / (double)(l->seconds + l->warmup) * secs / (double)(done ? done : 1) * 1e6,
           (unsigned long long)l->behind);
    for (size_t i = 0; l->as_member && i < n; i++) {
        members_leave(l, &m[i], 1);
    }
    drain(l);
}

/* ---- fill and probe ---- */

static void send_fill(struct load *l, struct conn *c, uint32_t group)
{
    struct buf *b = &c->out;
    char name[64];
    size_t at = begin(l, c, NULL, COMMIT, 9);
    c->fifo[(c->corr_sent - 1) % c->fifo_cap].arg = (uint32_t)(l->topics * l->partitions);
    snprintf(name, sizeof name, "%s-%u", l->prefix, group);
    str(b, name);
    i32(b, -1);
    str(b, "");
    u8(b, 0);
    uvar(b, (size_t)l->topics + 1);
    for (int t = 0; t < l->topics; t++) {
        snprintf(name, sizeof name, "%s-%d", l->topic, t);
        str(b, name);
        uvar(b, (size_t)l->partitions + 1);
        for (int p = 0; p < l->partitions; p++) {
            i32(b, p);
            i64(b, filled(group, t, p));
            i32(b, 0);
            str(b, "");
            u8(b, 0);
        }
        u8(b, 0);
    }
    u8(b, 0);
    finish(b, at);
}

void fill(struct load *l)
{
    uint64_t start = now_ns();
    connect_all(l, l->connections);
    for (int i = 0; i < l->groups; i++) {
        struct conn *c = &l->conns[i % l->connections];
        while (c->corr_got != c->corr_sent) {
            turn(l, 100);
        }
        send_fill(l, c, (uint32_t)i);
    }
    drain(l);
    printf("offsets=%d fill_s=%.2f", l->groups * l->topics * l->partitions,
           (double)(now_ns() - start) / 1e9);
}

void probe(struct load *l)
{
    struct conn *c = l->conns = calloc(1, sizeof *c);
    char topic[64];
    uint64_t begun = l->since ? l->since : now_ns(), asked = 0;
    l->connections = 1;
    l->dirty = calloc(1, sizeof c);
    l->retry = calloc((size_t)l->groups, sizeof *l->retry);
    while (!conn_open(l, c)) {
        usleep(1000);
    }
    double listening = (double)(now_ns() - begun) / 1e6;
    snprintf(topic, sizeof topic, "%s-0", l->topic);
    uint64_t next = 0, again = 0;
    while (l->done + l->errors < (uint64_t)l->groups) {
        while (next < (uint64_t)l->groups &&
               c->corr_sent - c->corr_got + l->retry_n < (uint32_t)l->inflight) {
            send_fetch(l, c, (uint32_t)next++, topic);
            asked++;
        }
        if (l->retry_n && now_ns() >= again) {
            again = now_ns() + 5 * MILLI;
            for (; l->retry_n; asked++) {
                send_fetch(l, c, l->retry[--l->retry_n], topic);
            }
        }
        turn(l, 1);
    }
    double loaded = (double)(now_ns() - begun) / 1e6, cpu = cpu_s(l);
    l->whole = true;
    l->done = 0;
    for (int g = 0; g < l->groups; g++) {
        send_fetch(l, c, (uint32_t)g, NULL);
        while (c->corr_sent - c->corr_got >= 4) {
            turn(l, 100);
        }
    }
    drain(l);
    if (l->done != (uint64_t)l->groups) {
        problem(l, &(struct sent){.key = FETCH}, "groups whose offsets are all there",
                (int64_t)l->done);
    }
    printf("load_ms=%.0f listening_ms=%.0f cpu_s=%.2f asked=%llu", loaded, listening, cpu,
           (unsigned long long)asked);
}
