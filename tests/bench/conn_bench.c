/* What a connection of runtime/conn.h costs: CPU time of the serving process per request, beside a
 * bare epoll loop that does the same with nothing around it, over loopback.
 *
 *   bare      epoll, one buffer per connection, whole frames are sent back from where they lie
 *   io_uring  one shard: conn.h, the answer is a copy of the request in memory of its own
 *   libuv     the same on the other backend
 *   hop       as io_uring, and every request goes to a second shard and comes home to be answered
 *
 * Workloads: small frames with many in flight (echo), one at a time, and bodies of 64 KiB that are
 * echoed or only acknowledged (the shape of Produce). The servers are processes of their own; they
 * take turns, round after round, and medians are shown, because the machine's speed drifts more
 * than what they differ by. What the kernel does on the server's behalf (TCP, copies) is in the
 * figures: on loopback it is most of them.
 *
 * Usage: conn_bench [seconds per cell and round, default 0.5] [rounds, default 7] [part of a
 * workload's name] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/conn.h"
#include "runtime/limits.h"

enum { ROUNDS_MAX = 99, CONNS_MAX = 64, BUF = 1 << 20, ACK = 40 };

struct workload {
    const char *name;
    unsigned conns, depth; /* requests in flight on each */
    uint32_t body;         /* bytes of a frame without its length */
    bool ack;              /* the answer is ACK bytes instead of the request */
};

static const struct workload workloads[] = {
    {"100 B echo, 8 conns x 32", 8, 32, 100, false},
    {"100 B echo, 1 conn x 1", 1, 1, 100, false},
    {"100 B echo, 32 conns x 1", 32, 1, 100, false},
    {"64 KiB echo, 4 conns x 2", 4, 2, 65536, false},
    {"64 KiB in, 40 B out, 4 conns x 2", 4, 2, 65536, true},
};

enum server { BARE, URING, UV, HOP, SERVERS };
static const char *const server_names[SERVERS] = {"bare", "io_uring", "libuv", "hop"};

/* The first byte of a frame says what the answer is. */
enum { WANT_ECHO = 'e', WANT_ACK = 'a' };

static int must(int r)
{
    if (r < 0) {
        perror("conn_bench");
        exit(1);
    }
    return r;
}

static void no_delay(int fd)
{
    int on = 1;
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

/* ---- the bare server ---- */

struct bare {
    int fd;
    uint8_t in[BUF];
    size_t n;
};

static void send_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r < 0 && errno == EAGAIN) {
            continue; /* the client reads all the time: it is a matter of microseconds */
        }
        if (r < 0) {
            return;
        }
        p += r;
        n -= (size_t)r;
    }
}

/* False: the connection has ended. */
static bool bare_serve(struct bare *b)
{
    uint8_t acks[BUF / 64];
    size_t at = 0, acked = 0, len;
    ssize_t r = recv(b->fd, b->in + b->n, BUF - b->n, 0);
    if (r <= 0) {
        return r < 0 && errno == EAGAIN;
    }
    b->n += (size_t)r;
    while (b->n - at >= 4 && b->n - at - 4 >= (len = load_be32(b->in + at))) {
        if (b->in[at + 4] == WANT_ACK) {
            store_be32(acks + acked, ACK);
            memset(acks + acked + 4, 0, ACK);
            acked += 4 + ACK;
        }
        at += 4 + len;
    }
    if (at > 0) {
        if (acked > 0) {
            send_all(b->fd, acks, acked);
        } else {
            send_all(b->fd, b->in, at);
        }
        memmove(b->in, b->in + at, b->n - at);
        b->n -= at;
    }
    return true;
}

static _Noreturn void serve_bare(int port_pipe)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t alen = sizeof a;
    int listener = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN}, got[64];
    must(bind(listener, (struct sockaddr *)&a, alen));
    must(listen(listener, 64));
    must(getsockname(listener, (struct sockaddr *)&a, &alen));
    must(epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e));
    uint16_t port = ntohs(a.sin_port);
    must((int)write(port_pipe, &port, sizeof port));
    for (;;) {
        int n = epoll_wait(ep, got, 64, -1);
        for (int i = 0; i < n; i++) {
            struct bare *b = got[i].data.ptr;
            if (b == NULL) {
                b = mem_alloc(sizeof *b);
                b->n = 0;
                b->fd = must(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
                no_delay(b->fd);
                e.data.ptr = b;
                must(epoll_ctl(ep, EPOLL_CTL_ADD, b->fd, &e));
            } else if (!bare_serve(b)) {
                close(b->fd);
                mem_free(b);
            }
        }
    }
}

/* ---- the shards ---- */

struct hop {
    struct msg m;
    struct conn_req *req;
};

struct hall {
    struct io_sock *listener;
    struct conn_limits limits;
    enum server kind;
    int port_pipe;
};

static void answer(struct conn_req *req)
{
    bool ack = req->frame.data[0] == WANT_ACK;
    size_t n = ack ? ACK : req->frame.len;
    uint8_t *p = mem_alloc(4 + n);
    store_be32(p, (uint32_t)n);
    if (ack) {
        memset(p + 4, 0, n);
    } else {
        memcpy(p + 4, req->frame.data, n);
    }
    conn_reply_mem(req, p, 4 + n);
}

static void on_request(struct conn_req *req)
{
    struct hall *h = req->shard->user;
    if (h->kind == HOP) {
        struct hop *m = MEM_NEW(struct hop);
        m->req = req;
        shard_send(req->shard, 1, &m->m);
        return;
    }
    answer(req);
}

static void on_msg(struct shard *sh, struct msg *m)
{
    struct hop *h = CONTAINER_OF(m, struct hop, m);
    if (sh->index == 1) {
        shard_send(sh, 0, m);
        return;
    }
    answer(h->req);
    mem_free(h);
}

static void on_cancel(struct conn_req *req)
{
    UNUSED(req); /* in the other shard: it comes home */
}

static uint8_t overlaps(struct bytes frame)
{
    UNUSED(frame);
    return 1;
}

static const struct conn_ops ops = {
    .overlaps = overlaps, .on_request = on_request, .on_cancel = on_cancel};

static void accept_cb(struct io_sock *s, unsigned events, void *user)
{
    struct shard *sh = user;
    struct hall *h = sh->user;
    int handle;
    UNUSED(events);
    while (io_accept(s, &handle) == 0) {
        (void)conn_open(sh, handle, &ops, &h->limits, NULL);
    }
    io_sock_arm(s, IO_READ, accept_cb, sh);
}

static int begin(struct shard *sh, void *user)
{
    struct hall *h = user;
    uint16_t port;
    if (sh->index != 0) {
        return 0;
    }
    int err = io_listen(sh->io, "127.0.0.1", 0, &h->listener);
    if (err != 0) {
        return err;
    }
    io_sock_arm(h->listener, IO_READ, accept_cb, sh);
    port = io_sock_port(h->listener);
    must((int)write(h->port_pipe, &port, sizeof port));
    return 0;
}

static int make_io(void *ctx, unsigned index, struct io **out, struct errmsg *em)
{
    UNUSED(index);
    return io_create(*(enum io_backend *)ctx, out, em);
}

static _Noreturn void serve_shards(enum server kind, int port_pipe)
{
    enum io_backend backend = kind == UV ? IO_BACKEND_UV : IO_BACKEND_URING;
    struct hall h = {
        .kind = kind,
        .port_pipe = port_pipe,
        .limits = {.frame_bytes_max = 1 << 20, .requests_max = 64, .body_timeout_ms = 30000},
    };
    struct shard_hooks hooks = {.start = begin, .user = &h};
    struct errmsg em = {""};
    unsigned shards = kind == HOP ? 2 : 1;
    limits_keep_memory(); /* as a node does */
    struct shard_group *g = shard_group_new(shards, NULL, make_io, &backend, &hooks);
    for (unsigned i = 0; i < shards; i++) {
        shard_group_get(g, i)->user = &h;
        shard_group_get(g, i)->on_msg = on_msg;
    }
    if (shard_group_start(g, &em) != 0) {
        fprintf(stderr, "%s\n", em.text);
        exit(1);
    }
    for (;;) {
        pause();
    }
}

/* ---- the load ---- */

struct child {
    pid_t pid;
    uint16_t port;
    clockid_t cpu;
};

static struct child child_start(enum server kind)
{
    struct child c = {0};
    int fds[2];
    must(pipe(fds));
    c.pid = must(fork());
    if (c.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        if (kind == BARE) {
            serve_bare(fds[1]);
        }
        serve_shards(kind, fds[1]);
    }
    close(fds[1]);
    if (read(fds[0], &c.port, sizeof c.port) != sizeof c.port) {
        fprintf(stderr, "conn_bench: %s does not start\n", server_names[kind]);
        exit(1);
    }
    close(fds[0]);
    if (clock_getcpuclockid(c.pid, &c.cpu) != 0) {
        must(-1);
    }
    return c;
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    must(clock_gettime(clock, &t));
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct load {
    int fd;
    size_t owed; /* bytes of requests that may be sent now */
    size_t at;   /* where in a frame the next byte is */
    size_t got;  /* bytes of answers that are no whole answer yet */
    bool blocked;
};

/* One connection of the load: takes answers, sends as many requests. Answers taken. */
static uint64_t load_step(struct load *l, const struct workload *w, const uint8_t *stream,
                          uint8_t *sink)
{
    size_t frame = 4 + w->body, reply = 4 + (w->ack ? ACK : w->body);
    ssize_t r = recv(l->fd, sink, BUF, 0);
    uint64_t answers = 0;
    if (r > 0) {
        l->got += (size_t)r;
        answers = l->got / reply;
        l->got %= reply;
        l->owed += answers * frame;
    } else if (r == 0 || errno != EAGAIN) {
        must(-1);
    }
    while (l->owed > 0) {
        ssize_t s = send(l->fd, stream + l->at, l->owed, MSG_NOSIGNAL);
        if (s < 0 && errno == EAGAIN) {
            break;
        }
        must((int)s);
        l->owed -= (size_t)s;
        l->at = (l->at + (size_t)s) % frame;
    }
    l->blocked = l->owed > 0;
    return answers;
}

struct figures {
    double us_cpu, per_second;
};

/* Frames one after the other, enough for all that one connection may owe. */
static uint8_t *make_stream(const struct workload *w)
{
    size_t frame = 4 + w->body;
    uint8_t *p = mem_zalloc(frame * (w->depth + 1));
    for (unsigned i = 0; i <= w->depth; i++) {
        store_be32(p + i * frame, w->body);
        p[i * frame + 4] = w->ack ? WANT_ACK : WANT_ECHO;
    }
    return p;
}

static struct figures run(const struct child *c, const struct workload *w, double duration)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    static uint8_t sink[BUF];
    struct load l[CONNS_MAX] = {0};
    struct epoll_event got[CONNS_MAX];
    uint8_t *stream = make_stream(w);
    uint64_t done = 0, base = 0;
    double start, cpu = 0, begun = 0, t;
    int ep = must(epoll_create1(0));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < w->conns; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &l[i]};
        l[i].fd = must(socket(AF_INET, SOCK_STREAM, 0));
        must(connect(l[i].fd, (struct sockaddr *)&a, sizeof a));
        no_delay(l[i].fd);
        l[i].owed = w->depth * (4 + (size_t)w->body);
        must(epoll_ctl(ep, EPOLL_CTL_ADD, l[i].fd, &e));
    }
    for (start = t = seconds(CLOCK_MONOTONIC); t < start + duration * 1.2;) {
        int n = epoll_wait(ep, got, CONNS_MAX, 1000);
        for (int i = 0; i < n; i++) {
            struct load *one = got[i].data.ptr;
            uint64_t answers;
            (void)fcntl(one->fd, F_SETFL, O_NONBLOCK);
            do { /* edge-triggered: until it is dry */
                answers = load_step(one, w, stream, sink);
                done += answers;
            } while (answers > 0);
        }
        t = seconds(CLOCK_MONOTONIC);
        if (begun == 0 && t > start + duration * 0.2) { /* warm */
            begun = t;
            base = done;
            cpu = seconds(c->cpu);
        }
    }
    cpu = seconds(c->cpu) - cpu;
    for (unsigned i = 0; i < w->conns; i++) {
        close(l[i].fd);
    }
    close(ep);
    mem_free(stream);
    return (struct figures){cpu * 1e6 / (double)(done - base), (double)(done - base) / (t - begun)};
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_size);
    return v[n / 2];
}

int main(int argc, char **argv)
{
    double duration = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 7;
    const char *only = argc > 3 ? argv[3] : "";
    static double us[ARRAY_LEN(workloads)][SERVERS][ROUNDS_MAX];
    static double rate[ARRAY_LEN(workloads)][SERVERS][ROUNDS_MAX];
    struct child c[SERVERS];
    if (duration <= 0 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: conn_bench [SECONDS > 0] [ROUNDS 1..%d] [PART OF A NAME]\n",
                ROUNDS_MAX);
        return 2;
    }
    for (unsigned s = 0; s < SERVERS; s++) {
        c[s] = child_start(s);
    }
    for (unsigned r = 0; r < rounds; r++) {
        for (size_t w = 0; w < ARRAY_LEN(workloads); w++) {
            for (unsigned i = 0; i < SERVERS && strstr(workloads[w].name, only) != NULL; i++) {
                unsigned s = r % 2 ? SERVERS - 1 - i : i;
                struct figures f = run(&c[s], &workloads[w], duration);
                us[w][s][r] = f.us_cpu;
                rate[w][s][r] = f.per_second;
            }
        }
    }
    printf("%-34s %-9s %10s %7s %12s\n", "workload", "server", "us CPU", "x bare", "requests/s");
    for (size_t w = 0; w < ARRAY_LEN(workloads); w++) {
        double bare = median(us[w][BARE], rounds);
        for (unsigned s = 0; s < SERVERS && strstr(workloads[w].name, only) != NULL; s++) {
            double m = median(us[w][s], rounds);
            printf("%-34s %-9s %10.2f %7.2f %12.0f\n", s ? "" : workloads[w].name, server_names[s],
                   m, m / bare, median(rate[w][s], rounds));
        }
    }
    for (unsigned s = 0; s < SERVERS; s++) {
        kill(c[s].pid, SIGKILL);
        waitpid(c[s].pid, NULL, 0);
    }
    return 0;
}
