/* Members of groups: what they send and make of the answers, and the modes settle and idle. */
#include <sys/socket.h>

#include "load.h"

enum { PER_GROUP = 3 /* members, in idle */, OWNED = 10 /* partitions in an assignment */ };

/* ---- requests of members ---- */

/* What the Java consumer sends by default: two assignors, version 3 of the subscription. */
static void subscription(struct buf *b, const char *assignor)
{
    static const char *const topics[] = {"orders-by-customer", "payments-settled"};
    struct buf m = {0};
    i16(&m, 3);
    i32(&m, 2);
    str16(&m, topics[0]);
    str16(&m, topics[1]);
    i32(&m, -1);
    i32(&m, 0);
    i32(&m, -1);
    i16(&m, -1);
    str(b, assignor);
    uvar(b, m.n + 1);
    raw(b, m.p, m.n);
    u8(b, 0);
    free(m.p);
}

/* A function of the member's id, so that the member can tell whether it got its own. */
static void assignment(struct buf *b, const char *id)
{
    uint32_t h = 2166136261u;
    for (const char *s = id; *s; s++) {
        h = (h ^ (uint8_t)*s) * 16777619u;
    }
    i16(b, 3);
    i32(b, 1);
    str16(b, "orders-by-customer");
    i32(b, OWNED);
    for (int i = 0; i < OWNED; i++) {
        i32(b, (int32_t)(h % 100000) * OWNED + i);
    }
    i32(b, -1);
}

static void send_join(struct load *l, struct member *m)
{
    struct buf *b = &m->conn->out;
    size_t at = begin(l, m->conn, m, JOIN, 9);
    str(b, m->group->id);
    i32(b, l->session_ms);
    i32(b, 300000);
    str(b, m->id);
    u8(b, 0);
    str(b, "consumer");
    uvar(b, 3);
    subscription(b, "range");
    subscription(b, "cooperative-sticky");
    u8(b, 0);
    u8(b, 0);
    finish(b, at);
    m->state = JOINING;
    m->group->joined_at = now_ns();
}

/* ids: n members of the answer to the leader, else none. */
static void send_sync(struct load *l, struct member *m, struct cur ids, size_t n)
{
    struct buf *b = &m->conn->out, a = {0};
    size_t at = begin(l, m->conn, m, SYNC, 5);
    str(b, m->group->id);
    i32(b, m->generation);
    str(b, m->id);
    u8(b, 0);
    str(b, "consumer");
    str(b, "range");
    uvar(b, n + 1);
    for (size_t i = 0; i < n; i++) {
        char id[ID_MAX];
        gstr(&ids, id);
        skip_str(&ids);
        skip_str(&ids);
        skip_tags(&ids);
        str(b, id);
        a.n = 0;
        assignment(&a, id);
        uvar(b, a.n + 1);
        raw(b, a.p, a.n);
        u8(b, 0);
    }
    u8(b, 0);
    finish(b, at);
    free(a.p);
    m->state = SYNCING;
}

static void send_beat(struct load *l, struct member *m, uint64_t due)
{
    struct conn *c = m->conn;
    struct buf *b = &c->out;
    size_t at = begin(l, c, m, BEAT, 4);
    c->fifo[(c->corr_sent - 1) % c->fifo_cap].at = due;
    str(b, m->group->id);
    i32(b, m->generation);
    str(b, m->id);
    u8(b, 0);
    u8(b, 0);
    finish(b, at);
    m->beating = true;
}

void members_leave(struct load *l, struct member *m, int n)
{
    struct buf *b = &m->conn->out;
    size_t at = begin(l, m->conn, m, LEAVE, 5);
    str(b, m->group->id);
    uvar(b, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        str(b, m[i].id);
        u8(b, 0);
        u8(b, 0);
        u8(b, 0);
        m[i].state = GONE;
        m->group->live--;
    }
    u8(b, 0);
    finish(b, at);
}

/* ---- answers to members ---- */

static void on_join(struct load *l, struct sent *s, struct cur *c)
{
    struct member *m = s->member;
    char leader[ID_MAX];
    g32(c);
    int code = g16(c);
    m->generation = g32(c);
    skip_str(c);
    skip_str(c);
    gstr(c, leader);
    take(c, 1);
    gstr(c, m->id);
    if (code == ID_REQUIRED || code == REBALANCE) {
        send_join(l, m);
        return;
    }
    if (code || m->id[0] == 0) {
        problem(l, s, "JoinGroup", code);
        return;
    }
    m->leads = !strcmp(leader, m->id);
    size_t n = gcount(c);
    if ((n > 0) != m->leads) {
        problem(l, s, "members for a follower, or none for the leader", (int64_t)n);
    }
    send_sync(l, m, *c, n);
}

static void on_sync(struct load *l, struct sent *s, struct cur *c)
{
    struct member *m = s->member;
    struct group *g = m->group;
    size_t n;
    g32(c);
    int code = g16(c);
    skip_str(c);
    skip_str(c);
    const uint8_t *got = gbytes(c, &n);
    if (code == REBALANCE) {
        send_join(l, m);
        return;
    }
    struct buf own = {0};
    assignment(&own, m->id);
    if (code || n != own.n || memcmp(got, own.p, n)) {
        problem(l, s, "SyncGroup, or somebody else's assignment", code);
    }
    free(own.p);
    m->state = STABLE;
    m->beat_at = now_ns() + (uint64_t)l->heartbeat_ms * MILLI;
    if (m->generation > g->generation) {
        g->generation = m->generation;
        g->settled = 0;
    }
    if (m->generation == g->generation && ++g->settled == g->live) {
        g->settled_at = now_ns();
    }
}

static void on_beat(struct load *l, struct sent *s, struct cur *c)
{
    struct member *m = s->member;
    m->beating = false;
    g32(c);
    int code = g16(c);
    if (m->state == GONE) {
        return; /* it was overtaken by its own leaving */
    }
    if (code == REBALANCE) {
        if (l->counting) {
            problem(l, s, "a rebalance of an idle group", code);
        }
        send_join(l, m);
    } else if (code) {
        problem(l, s, "Heartbeat", code);
    }
}

static void on_leave(struct load *l, struct sent *s, struct cur *c)
{
    g32(c);
    int code = g16(c);
    for (size_t n = gcount(c); n && !c->bad; n--) {
        skip_str(c);
        skip_str(c);
        int one = g16(c);
        code = code ? code : one;
        skip_tags(c);
    }
    if (code) {
        problem(l, s, "LeaveGroup", code);
    }
}

/* Members that are due; a member that has joined tells nothing until its heartbeat. */
static void beat(struct load *l, struct member *m, uint64_t now)
{
    if (m->state == STABLE && !m->beating && now >= m->beat_at) {
        send_beat(l, m, now);
        m->beat_at = now + (uint64_t)l->heartbeat_ms * MILLI;
    }
}

void members_answer(struct load *l, struct sent *s, struct cur *c)
{
    switch (s->key) {
    case JOIN:
        on_join(l, s, c);
        break;
    case SYNC:
        on_sync(l, s, c);
        break;
    case BEAT:
        on_beat(l, s, c);
        break;
    default:
        on_leave(l, s, c);
    }
}

/* ---- settle ---- */

static void settle_wait(struct load *l, struct group *g, struct member *m, uint32_t n,
                        uint64_t since)
{
    while (g->settled != g->live) {
        uint64_t now = now_ns();
        for (uint32_t i = 0; i < n; i++) {
            beat(l, &m[i], now);
        }
        turn(l, 1);
        if (now - since > 120 * SECOND || l->errors) {
            fprintf(stderr, "%u of %u members have settled\n", g->settled, g->live);
            exit(1);
        }
    }
}

/* A while of nothing, so that heartbeats come at all phases. */
static void settle_rest(struct load *l, struct member *m, uint32_t n)
{
    uint64_t until = now_ns() + 2ull * (uint64_t)l->heartbeat_ms * MILLI;
    for (uint32_t i = 0; i < n; i++) {
        m[i].beat_at = now_ns() + (uint64_t)l->heartbeat_ms * MILLI * i / n;
    }
    for (uint64_t now = now_ns(); now < until; now = now_ns()) {
        for (uint32_t i = 0; i < n; i++) {
            beat(l, &m[i], now);
        }
        turn(l, 1);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n % 2 ? v[n / 2] : (v[n / 2] + v[n / 2 - 1]) / 2;
}

void settle(struct load *l)
{
    uint32_t n = (uint32_t)l->members;
    struct group g = {.live = n};
    struct member *m = calloc(n, sizeof *m);
    double *leave = calloc((size_t)l->rounds, sizeof *leave),
           *tail = calloc((size_t)l->rounds, sizeof *tail),
           *come = calloc((size_t)l->rounds, sizeof *come),
           *cpu = calloc((size_t)l->rounds, sizeof *cpu);
    connect_all(l, l->members);
    snprintf(g.id, sizeof g.id, "%s", l->prefix);
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < n; i++) {
        m[i] = (struct member){.group = &g, .conn = &l->conns[i]};
        send_join(l, &m[i]);
    }
    settle_wait(l, &g, m, n, start);
    double formed = (double)(g.settled_at - start) / 1e6;
    for (int r = 0; r < l->rounds; r++) {
        settle_rest(l, m, n);
        struct member *who = &m[(uint32_t)r * 7919 % n];
        who = who->leads ? &m[((uint32_t)r * 7919 + 1) % n] : who;
        double before = cpu_s(l);
        g.generation++; /* what counts is a later one */
        g.settled = 0;
        start = now_ns();
        members_leave(l, who, 1);
        settle_wait(l, &g, m, n, start);
        cpu[r] = (cpu_s(l) - before) * 1000;
        leave[r] = (double)(g.settled_at - start) / 1e6;
        tail[r] = (double)(g.settled_at - g.joined_at) / 1e6;
        settle_rest(l, m, n);
        g.generation++;
        g.settled = 0;
        g.live++;
        who->id[0] = 0;
        start = now_ns();
        send_join(l, who);
        settle_wait(l, &g, m, n, start);
        come[r] = (double)(g.settled_at - start) / 1e6;
    }
    double worst = 0;
    for (int r = 0; r < l->rounds; r++) {
        worst = leave[r] > worst ? leave[r] : worst;
    }
    printf("settle_ms=%.1f worst_ms=%.1f after_last_join_ms=%.1f cpu_ms=%.0f newcomer_ms=%.1f "
           "formed_ms=%.0f",
           median(leave, l->rounds), worst, median(tail, l->rounds), median(cpu, l->rounds),
           median(come, l->rounds), formed);
    members_leave(l, m, (int)n);
    drain(l);
}

void members_alone(struct load *l, struct group *g, struct member *m)
{
    for (int i = 0; i < l->connections; i++) {
        snprintf(g[i].id, sizeof g[i].id, "%s-%d", l->prefix, i);
        g[i].live = 1;
        m[i] = (struct member){.group = &g[i], .conn = &l->conns[i]};
        send_join(l, &m[i]);
    }
    for (int i = 0; i < l->connections; i++) {
        settle_wait(l, &g[i], m, (uint32_t)l->connections, now_ns());
    }
    drain(l);
}

/* ---- idle ---- */

/* Three connections work on one group at a time: a JoinGroup that waits holds up its connection. */
static void idle_form(struct load *l, struct group *g, struct member *m)
{
    int triples = l->connections / PER_GROUP, *now_on = calloc((size_t)triples, sizeof *now_on);
    int left = triples;
    uint64_t start = now_ns();
    for (int t = 0; t < triples; t++) {
        now_on[t] = t - triples;
    }
    while (left) {
        uint64_t now = now_ns();
        for (int t = 0; t < triples; t++) {
            int i = now_on[t];
            if (i < 0 || (i < l->groups && g[i].settled == g[i].live)) {
                now_on[t] = i += triples;
                left -= i >= l->groups;
                for (int k = 0; i < l->groups && k < PER_GROUP; k++) {
                    send_join(l, &m[i * PER_GROUP + k]);
                }
            } else if (i < l->groups) {
                for (int k = 0; k < PER_GROUP; k++) {
                    beat(l, &m[i * PER_GROUP + k], now);
                }
            }
        }
        turn(l, 1);
        if (l->errors || now - start > 600 * SECOND) {
            fprintf(stderr, "groups do not form: %d of %d connections work\n", left * PER_GROUP,
                    l->connections);
            exit(1);
        }
    }
    free(now_on);
}

/* Every member in turn; the due times are evenly spread, or those of a connection come together. */
static void idle_beats(struct load *l, struct member *m, double *cpu)
{
    uint64_t n = (uint64_t)(l->groups * PER_GROUP), k = 0, t0 = now_ns();
    uint64_t per_conn = n / (uint64_t)l->connections,
             triples = (uint64_t)l->connections / PER_GROUP;
    double gap = (double)l->heartbeat_ms * (double)MILLI / (double)n, before = 0;
    uint64_t start = t0 + (uint64_t)l->warmup * SECOND,
             stop = start + (uint64_t)l->seconds * SECOND;
    for (uint64_t now = t0; now < stop; now = now_ns()) {
        if (!l->counting && now >= start) {
            l->counting = true;
            before = cpu_s(l);
        }
        for (;; k++) {
            uint64_t i = k % n, conn = i / per_conn % (uint64_t)l->connections;
            uint64_t slot = l->burst ? k - i % per_conn : k;
            uint64_t due = t0 + (uint64_t)((double)slot * gap);
            if (due > now) {
                wake_at(l, due);
                break;
            }
            if (l->burst) { /* the i-th member by connection */
                i = ((i % per_conn) * triples + conn / PER_GROUP) * PER_GROUP + conn % PER_GROUP;
            }
            if (m[i].beating) {
                l->behind++;
            } else {
                send_beat(l, &m[i], due);
            }
        }
        turn(l, 100);
    }
    *cpu = (cpu_s(l) - before) / l->seconds * 100;
    drain(l);
    l->counting = false;
}

/* The broker's memory once it stands still: what the connections cost is not what members cost. */
static long rss_at_rest(struct load *l)
{
    uint64_t start = now_ns(), since = start;
    long kib = rss_kib(l);
    for (uint64_t now = start; now - since < SECOND; now = now_ns()) {
        long k = rss_kib(l);
        if (k != kib) {
            kib = k;
            since = now;
        }
        if (now - start > 30 * SECOND) {
            fprintf(stderr, "the broker's memory does not come to rest\n");
            exit(1);
        }
        turn(l, 20);
    }
    return kib;
}

void idle(struct load *l)
{
    int triples = l->connections / PER_GROUP, beat_ms = l->heartbeat_ms;
    uint32_t n = (uint32_t)(l->groups * PER_GROUP);
    struct group *g = calloc((size_t)l->groups, sizeof *g);
    struct member *m = calloc(n, sizeof *m);
    double cpu;
    if (l->groups % triples || l->connections % PER_GROUP) {
        fprintf(stderr, "connections: a multiple of 3, and groups one of a third of them\n");
        exit(2);
    }
    connect_all(l, l->connections);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i / PER_GROUP;
        snprintf(g[at].id, sizeof g[at].id, "%s-%u", l->prefix, at);
        g[at].live = PER_GROUP;
        m[i].group = &g[at];
        snprintf(m[i].id, l->bare ? sizeof m[i].id : 0, "group-load-%036u", i); /* as long as one */
        m[i].conn = &l->conns[at % (uint32_t)triples * PER_GROUP + i % PER_GROUP];
    }
    long before = rss_at_rest(l);
    uint64_t start = now_ns();
    l->heartbeat_ms = 10;
    if (!l->bare) {
        idle_form(l, g, m);
    }
    l->heartbeat_ms = beat_ms;
    double formed = (double)(now_ns() - start) / 1e9;
    idle_beats(l, m, &cpu);
    long after = rss_kib(l);
    printf("cpu_percent=%.2f kib_per_member=%.3f rss_before_kib=%ld rss_after_kib=%ld beats_s=%.0f "
           "cpu_us_per_beat=%.2f p50_us=%.0f p99_us=%.0f form_s=%.1f behind=%llu",
           cpu, (double)(after - before) / n, before, after, (double)l->done / l->seconds,
           l->done ? cpu * 1e4 * l->seconds / (double)l->done : 0, hist_q(&l->lat, .5),
           hist_q(&l->lat, .99), formed, (unsigned long long)l->behind);
    for (uint32_t i = 0; !l->bare && i < n; i += PER_GROUP) {
        members_leave(l, &m[i], PER_GROUP);
    }
    drain(l);
}
