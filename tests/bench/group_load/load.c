/* group_load: load on the group coordinator of any Kafka broker, independent of the product's code.
 *
 *     settle   N members in one group, a connection each; one leaves, then a new one comes: the
 *              time until all others have joined and synced again. What a member knows it learns
 *              from its heartbeats only.
 *     idle     G groups of 3 members that share C connections and heartbeat: CPU and memory of
 *              the broker. --bare: no groups, only the heartbeats, for bare.c.
 *     commits  OffsetCommits of one partition, pipelined over C connections, a group each. --rate:
 *              an open loop, measured from the time at which a request was due, so that a stalled
 *              broker is not forgiven.
 *     fill     commits offsets: --groups times --topics times --partitions.
 *     probe    connects until somebody listens, asks every group of fill until all have answered,
 *              then reads all offsets back.
 *
 * One thread, one epoll, requests built by hand and sent together at the end of a turn, so that it
 * costs much less than what it measures. Every answer is checked: its order, its error code, a
 * member's assignment (which must be the one that is meant for it), an offset that is read back.
 * CPU and memory of the broker come from /proc when --pid is given.
 *
 * Output: one line of key=value figures. Exit 1 if an answer was wrong, the first ones on stderr.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 256 };

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

_Noreturn void die(const char *what)
{
    perror(what);
    exit(2);
}

static void hist_add(struct hist *h, uint64_t v)
{
    int e = v < 64 ? 0 : 63 - __builtin_clzll(v) - 5;
    uint64_t i = e ? (uint64_t)e * 64 + ((v >> (e - 1)) & 63) : v;
    h->count[i < 64 * 64 ? i : 64 * 64 - 1]++;
    h->n++;
    h->max = v > h->max ? v : h->max;
}

double hist_q(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->n), c = 0;
    for (int i = 0; i < 64 * 64; i++) {
        c += h->count[i];
        if (c > want) {
            return i < 64 ? i : (double)((uint64_t)(64 + i % 64) << (i / 64 - 1));
        }
    }
    return (double)h->max;
}

void problem(struct load *l, const struct sent *s, const char *what, int64_t got)
{
    if (l->errors++ < 5) {
        fprintf(stderr, "request %d: %s (%lld)\n", s->key, what, (long long)got);
    }
}

/* ---- the broker's process ---- */

double cpu_s(const struct load *l)
{
    char path[64], line[1024];
    unsigned long long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", l->pid);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return 0;
    }
    if (fgets(line, sizeof line, f)) {
        char *e = strrchr(line, ')');
        if (e != NULL) {
            sscanf(e + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel);
        }
    }
    fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

long rss_kib(const struct load *l)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", l->pid);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

/* ---- connections ---- */

bool conn_open(struct load *l, struct conn *c) /* false: nobody listens */
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(l->port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
        close(c->fd);
        return false;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &ev)) {
        die("epoll_ctl");
    }
    return true;
}

void connect_all(struct load *l, int n)
{
    l->connections = n;
    l->conns = calloc((size_t)n, sizeof *l->conns);
    l->dirty = calloc((size_t)n, sizeof(struct conn *));
    for (int i = 0; i < n; i++) {
        l->conns[i].index = (uint32_t)i;
        if (!conn_open(l, &l->conns[i])) {
            die("connect");
        }
    }
}

void mark(struct load *l, struct conn *c)
{
    if (!c->dirty) {
        c->dirty = true;
        l->dirty[l->dirty_n++] = c;
    }
}

struct sent *expect(struct conn *c, int key, struct member *m, uint64_t at)
{
    if (c->corr_sent - c->corr_got == c->fifo_cap) {
        uint32_t cap = c->fifo_cap ? c->fifo_cap * 2 : 8;
        struct sent *fifo = malloc(cap * sizeof *fifo);
        for (uint32_t i = c->corr_got; i != c->corr_sent; i++) {
            fifo[i % cap] = c->fifo[i % c->fifo_cap];
        }
        free(c->fifo);
        c->fifo = fifo;
        c->fifo_cap = cap;
    }
    struct sent *s = &c->fifo[c->corr_sent++ % c->fifo_cap];
    *s = (struct sent){.at = at, .member = m, .key = key};
    return s;
}

/* Header version 2; returns where the frame begins. */
size_t begin(struct load *l, struct conn *c, struct member *m, int key, int version)
{
    struct buf *b = &c->out;
    size_t at = b->n;
    mark(l, c);
    i32(b, 0);
    i16(b, key);
    i16(b, version);
    i32(b, c->corr_sent);
    str16(b, "group-load");
    u8(b, 0);
    expect(c, key, m, now_ns());
    return at;
}

void finish(struct buf *b, size_t at)
{
    uint32_t n = htonl((uint32_t)(b->n - at - 4));
    memcpy(b->p + at, &n, 4);
}

static void flush(struct load *l)
{
    for (uint32_t i = 0; i < l->dirty_n; i++) {
        struct conn *c = l->dirty[i];
        c->dirty = false;
        while (c->out_off < c->out.n) {
            ssize_t n = send(c->fd, c->out.p + c->out_off, c->out.n - c->out_off,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) {
                break; /* EPOLLOUT comes */
            }
            if (n < 0) {
                die("send");
            }
            c->out_off += (size_t)n;
        }
        if (c->out_off == c->out.n) {
            c->out.n = c->out_off = 0;
        }
    }
    l->dirty_n = 0;
}

/* ---- a turn: wait, take answers, send what they led to ---- */

static void on_answer(struct load *l, struct conn *c, struct cur in)
{
    if (c->corr_got == c->corr_sent) {
        fprintf(stderr, "an answer to nothing\n");
        exit(1);
    }
    struct sent s = c->fifo[c->corr_got % c->fifo_cap];
    if (g32(&in) != (int32_t)c->corr_got++) {
        problem(l, &s, "answers out of order", c->corr_got - 1);
    }
    skip_tags(&in);
    if (l->counting && (s.key == COMMIT || s.key == BEAT)) {
        hist_add(&l->lat, (now_ns() - s.at) / 1000);
        l->done++;
    }
    if (s.key == COMMIT || s.key == FETCH) {
        offsets_answer(l, c, &s, &in);
    } else {
        members_answer(l, &s, &in);
    }
    if (in.bad) {
        problem(l, &s, "an answer that ends too early", 0);
    }
}

static void receive(struct load *l, struct conn *c)
{
    struct buf *b = &c->in;
    for (;;) {
        if (b->cap - b->n < 4096) {
            b->cap = b->cap ? b->cap * 2 : 8192;
            b->p = realloc(b->p, b->cap);
        }
        size_t room = b->cap - b->n, o = 0;
        ssize_t n = recv(c->fd, b->p + b->n, room, MSG_DONTWAIT);
        if (n <= 0) {
            if (n < 0 && errno == EAGAIN) {
                return;
            }
            fprintf(stderr, "connection closed by the broker\n");
            exit(1);
        }
        b->n += (size_t)n;
        while (b->n - o >= 4) {
            struct cur head = {b->p + o, b->p + b->n, false};
            size_t len = (uint32_t)g32(&head);
            if (b->n - o < len + 4) {
                break;
            }
            on_answer(l, c, (struct cur){head.p, head.p + len, false});
            o += len + 4;
        }
        if (o) {
            memmove(b->p, b->p + o, b->n - o);
            b->n -= o;
        }
        if ((size_t)n < room) {
            return; /* what comes later is another edge */
        }
    }
}

void turn(struct load *l, int wait_ms)
{
    struct epoll_event ev[EVENTS];
    flush(l);
    int n = epoll_wait(l->ep, ev, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        uint64_t ticks;
        if (c == NULL) {
            if (read(l->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) {
                die("timerfd");
            }
            continue;
        }
        if (ev[i].events & EPOLLOUT && c->out_off < c->out.n) {
            mark(l, c);
        }
        if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            receive(l, c);
        }
    }
    flush(l);
}

void wake_at(struct load *l, uint64_t at)
{
    struct itimerspec it = {.it_value = {(time_t)(at / SECOND), (long)(at % SECOND)}};
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &it, NULL);
}

void drain(struct load *l) /* until everything is answered */
{
    for (int i = 0; i < l->connections; i++) {
        while (l->conns[i].corr_got != l->conns[i].corr_sent) {
            turn(l, 100);
        }
    }
}

/* ---- options ---- */

static void options(struct load *l, int argc, char **argv)
{
    const struct {
        const char *name;
        int *value;
    } numbers[] = {{"pid", &l->pid},
                   {"members", &l->members},
                   {"groups", &l->groups},
                   {"connections", &l->connections},
                   {"inflight", &l->inflight},
                   {"rounds", &l->rounds},
                   {"heartbeat-ms", &l->heartbeat_ms},
                   {"session-ms", &l->session_ms},
                   {"topics", &l->topics},
                   {"partitions", &l->partitions},
                   {"seconds", &l->seconds},
                   {"warmup", &l->warmup}};
    enum { NUMBERS = sizeof numbers / sizeof numbers[0] };
    struct option lo[NUMBERS + 9] = {{"port", 1, NULL, 'p'},   {"topic", 1, NULL, 't'},
                                     {"prefix", 1, NULL, 'x'}, {"rate", 1, NULL, 'r'},
                                     {"since", 1, NULL, 's'},  {"member", 0, NULL, 'm'},
                                     {"bare", 0, NULL, 'B'},   {"burst", 0, NULL, 'b'}};
    for (int i = 0; i < NUMBERS; i++) {
        lo[8 + i] = (struct option){numbers[i].name, 1, NULL, 256 + i};
    }
    for (int o; (o = getopt_long(argc, argv, "", lo, NULL)) != -1;) {
        if (o >= 256) {
            *numbers[o - 256].value = atoi(optarg);
        } else if (o == 'r') {
            l->rate = atof(optarg);
        } else if (o == 's') {
            l->since = strtoull(optarg, NULL, 10);
        } else if (o == 'm' || o == 'b' || o == 'B') {
            *(o == 'm' ? &l->as_member : o == 'b' ? &l->burst : &l->bare) = true;
        } else if (o == '?') {
            fprintf(stderr, "options: see the head of group_load.c\n");
            exit(2);
        } else {
            *(o == 'p' ? &l->port : o == 't' ? &l->topic : &l->prefix) = optarg;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct load *l);
    } modes[] = {
        {"settle", settle}, {"idle", idle}, {"commits", commits}, {"fill", fill}, {"probe", probe}};
    static struct load l = {.port = "9092",
                            .topic = "bench",
                            .prefix = "bench",
                            .members = 1000,
                            .groups = 1000,
                            .connections = 64,
                            .inflight = 16,
                            .rounds = 3,
                            .heartbeat_ms = 1000,
                            .session_ms = 300000,
                            .topics = 10,
                            .partitions = 100,
                            .seconds = 5,
                            .warmup = 1};
    options(&l, argc, argv);
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    l.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(l.ep, EPOLL_CTL_ADD, l.timer, &ev);
    for (size_t i = 0; optind < argc && i < sizeof modes / sizeof modes[0]; i++) {
        if (!strcmp(modes[i].name, argv[optind])) {
            modes[i].run(&l);
            printf(" errors=%llu\n", (unsigned long long)l.errors);
            return l.errors != 0;
        }
    }
    fprintf(stderr, "usage: group_load settle|idle|commits|fill|probe --port PORT ..., see the "
                    "head of its source\n");
    return 2;
}
