/* The rig of the connection tests: one shard in the test's own thread, a listener, and clients that
 * are sockets of the same loop, so that every case runs on all three backends and nothing depends
 * on how fast anything is. Waiting is done by rig_until, which turns the shard until a condition
 * holds.
 *
 * The server side parks requests in the order in which they are started (or serves them at once, if
 * the case says how); the case answers them when it likes. The rig counts the calls of every
 * callback and fails when one comes where the contract of runtime/conn.h forbids it. */
#ifndef TESTS_CONN_RIG_H
#define TESTS_CONN_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "runtime/conn.h"
#include "sim/io_sim.h"

enum { RIG_SECONDS = 60, RIG_CONNS_MAX = 64 };

enum rig_kind { RIG_URING, RIG_UV, RIG_SIM };

struct rig_backend {
    const char *name;
    enum rig_kind kind;
    const char *dir;
};

struct rig;

/* A started request that the case has not answered yet. */
struct parked {
    struct list node;
    struct rig *rig;
    struct conn_req *req;
    unsigned conn; /* index in rig.conns */
    bool canceled;
};

struct rig {
    const struct rig_backend *backend;
    struct sim *sim;
    struct sim_proc *proc;
    char ip[16];
    struct shard_group *g;
    struct shard *sh;
    struct io_sock *listener;
    struct conn_limits limits;
    struct logger log;
    char line[512]; /* the last one logged */
    unsigned lines;
    struct conn *conns[RIG_CONNS_MAX]; /* by order of opening; NULL once closed */
    unsigned opened, closed, started, canceled;
    unsigned unhurried;               /* requests that came with `patient` */
    unsigned released;                /* chunks made by rig_chunk_* that were released */
    struct list parked;               /* struct parked, in the order they were started */
    void (*serve)(struct conn_req *); /* instead of parking */
    bool in_close;                    /* inside conn_close: no callback may come */
    /* rig_watch_files, rig_watch_sockets */
    const struct io_ops *real; /* the backend's */
    struct io_ops ops;         /* the same with some replaced */
    bool all_cold;
    unsigned cold_sends, sendfiles, questions;
    unsigned reads, sends; /* of all sockets, the clients' too, that took something */
    struct task on_cold;   /* the case's, if set: after each start of a cold send */
};

/* ---- the server side ---- */

static inline struct rig *rig_of(const struct shard *sh)
{
    return sh->user;
}

static inline unsigned rig_index(const struct rig *r, const struct conn *c)
{
    for (unsigned i = 0; i < r->opened; i++) {
        if (r->conns[i] == c) {
            return i;
        }
    }
    fail_msg("a connection that was never opened");
    return 0;
}

static inline uint8_t rig_overlaps(struct bytes frame) /* three classes: H, O and P */
{
    uint8_t first = frame.len > 0 ? frame.data[0] : 0;
    return first == 'H' || first == 'O' || first == 'P' ? first : 0;
}

static inline bool rig_patient(struct bytes frame)
{
    return frame.len > 0 && frame.data[0] == 'H';
}

static inline void rig_on_request(struct conn_req *req)
{
    struct rig *r = rig_of(req->shard);
    assert_non_null(req->conn);
    assert_false(r->in_close);
    assert_true(req->received_us <= io_now_us(r->sh->io));
    r->started++;
    r->unhurried += req->patient;
    if (r->serve != NULL) {
        r->serve(req);
        return;
    }
    struct parked *p = MEM_NEW(struct parked);
    p->rig = r;
    p->req = req;
    p->conn = rig_index(r, req->conn);
    req->user = p;
    list_push_back(&r->parked, &p->node);
}

static inline void rig_on_cancel(struct conn_req *req)
{
    struct rig *r = rig_of(req->shard);
    struct parked *p = req->user;
    assert_null(req->conn);
    assert_false(r->in_close);
    assert_false(p->canceled);
    p->canceled = true;
    r->canceled++;
}

static inline void rig_on_open(struct conn *c)
{
    struct rig *r = rig_of(c->shard);
    assert_true(r->opened < RIG_CONNS_MAX);
    r->conns[r->opened++] = c;
}

static inline void rig_on_close(struct conn *c)
{
    struct rig *r = rig_of(c->shard);
    assert_false(r->in_close);
    r->conns[rig_index(r, c)] = NULL;
    r->closed++;
}

static const struct conn_ops rig_conn_ops = {
    .overlaps = rig_overlaps,
    .patient = rig_patient,
    .on_request = rig_on_request,
    .on_cancel = rig_on_cancel,
    .on_open = rig_on_open,
    .on_close = rig_on_close,
};

static inline void rig_close(struct rig *r, unsigned conn)
{
    assert_non_null(r->conns[conn]);
    r->in_close = true;
    conn_close(r->conns[conn]);
    r->in_close = false;
}

/* The frame with its length before it, as one block. */
static inline uint8_t *rig_echo_of(struct bytes frame, size_t *n)
{
    uint8_t *p = mem_alloc(frame.len + 4);
    store_be32(p, (uint32_t)frame.len);
    memcpy(p + 4, frame.data, frame.len);
    *n = frame.len + 4;
    return p;
}

static inline void rig_echo(struct conn_req *req)
{
    size_t n;
    uint8_t *p = rig_echo_of(req->frame, &n);
    conn_reply_mem(req, p, n);
}

static inline struct parked *rig_first(const struct rig *r)
{
    return list_empty(&r->parked) ? NULL : LIST_ENTRY(r->parked.next, struct parked, node);
}

static inline unsigned rig_parked(const struct rig *r)
{
    unsigned n = 0;
    list_for_each (it, &r->parked) {
        n++;
    }
    return n;
}

/* Answers with what was asked; a canceled one only gets its memory freed. */
static inline void rig_answer(struct parked *p)
{
    struct conn_req *req = p->req;
    list_remove(&p->node);
    mem_free(p);
    rig_echo(req);
}

static inline void rig_answer_all(struct rig *r)
{
    struct parked *p;
    while ((p = rig_first(r)) != NULL) {
        rig_answer(p);
    }
}

/* ---- chunks whose release is counted ---- */

static inline void rig_release(struct chunk *c, struct shard *sh)
{
    rig_of(sh)->released++;
    mem_free(c->user);
    mem_free(c);
}

static inline struct chunk *rig_chunk_mem(const void *data, size_t n)
{
    uint8_t *copy = mem_alloc(n + 1);
    struct chunk *c;
    memcpy(copy, data, n);
    c = chunk_mem(copy, n);
    c->release = rig_release;
    return c;
}

static inline struct chunk *rig_chunk_file(struct io_file *f, uint64_t off, size_t n, bool hot)
{
    struct chunk *c = MEM_NEW(struct chunk);
    list_init(&c->node);
    c->kind = CHUNK_FILE;
    c->file = f;
    c->off = off;
    c->len = n;
    c->hot = hot;
    c->release = rig_release;
    return c;
}

/* ---- life ---- */

static inline void rig_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    UNUSED(level);
    struct rig *r = ctx;
    snprintf(r->line, sizeof r->line, "%.*s", (int)len, line);
    r->lines++;
}

static inline int64_t rig_wall(void *ctx)
{
    struct rig *r = ctx;
    return r->sh != NULL && r->sh->io != NULL ? io_wall_ms(r->sh->io) : 0;
}

static inline int rig_make_io(void *ctx, unsigned index, struct io **out, struct errmsg *em)
{
    struct rig *r = ctx;
    if (r->backend->kind != RIG_SIM) {
        return io_create(r->backend->kind == RIG_URING ? IO_BACKEND_URING : IO_BACKEND_UV, out, em);
    }
    r->sim = sim_new(7);
    r->sim->self_advance = true;
    struct sim_host *h = sim_host_new(r->sim, 64u << 20);
    r->proc = sim_proc_new(h);
    snprintf(r->ip, sizeof r->ip, "%s", h->ip);
    return io_sim_make(r->proc, index, out, em);
}

static inline struct rig *rig_of_io(const struct io *io)
{
    return CONTAINER_OF(io->ops, struct rig, ops);
}

static inline void rig_send_cold(struct io_sock *s, struct io_file *f, uint64_t off, size_t n,
                                 struct io_op *op)
{
    struct rig *r = rig_of_io(s->io);
    r->cold_sends++;
    r->real->send_cold(s, f, off, n, op);
    if (r->on_cold.cb != NULL) {
        shard_defer(r->sh, &r->on_cold); /* before the send can have completed */
    }
}

static inline int64_t rig_sendfile(struct io_sock *s, struct io_file *f, uint64_t off, size_t n)
{
    struct rig *r = rig_of_io(s->io);
    r->sendfiles++;
    return r->real->sendfile(s, f, off, n);
}

static inline bool rig_resident(struct io_file *f, uint64_t off, size_t n)
{
    struct rig *r = rig_of_io(f->io);
    r->questions++;
    return !r->all_cold && r->real->resident(f, off, n);
}

/* From here on the ways of file bytes are counted, and r->all_cold says that nothing is in memory.
 */
static inline void rig_watch_files(struct rig *r)
{
    r->real = r->sh->io->ops;
    r->ops = *r->real;
    r->ops.send_cold = rig_send_cold;
    r->ops.sendfile = rig_sendfile;
    r->ops.resident = rig_resident;
    r->sh->io->ops = &r->ops;
}

static inline int64_t rig_recv(struct io_sock *s, void *p, size_t n)
{
    struct rig *r = rig_of_io(s->io);
    int64_t got = r->real->recv(s, p, n);
    r->reads += got > 0;
    return got;
}

static inline int64_t rig_sendv(struct io_sock *s, const struct iovec *iov, int n, bool more)
{
    struct rig *r = rig_of_io(s->io);
    int64_t sent = r->real->sendv(s, iov, n, more);
    r->sends += sent > 0;
    return sent;
}

static inline void rig_watch_sockets(struct rig *r)
{
    r->real = r->sh->io->ops;
    r->ops = *r->real;
    r->ops.recv = rig_recv;
    r->ops.sendv = rig_sendv;
    r->sh->io->ops = &r->ops;
}

static inline int rig_setup(void **state)
{
    struct rig *r = MEM_NEW(struct rig);
    r->backend = *state;
    snprintf(r->ip, sizeof r->ip, "127.0.0.1");
    list_init(&r->parked);
    r->log = (struct logger){.level = LOG_DEBUG, .wall_ms = rig_wall, .sink = rig_sink, .ctx = r};
    r->limits = (struct conn_limits){
        .frame_bytes_max = 1 << 20, .requests_max = 8, .idle_ms = 0, .body_timeout_ms = 0};
    r->g = shard_group_new(1, &r->log, rig_make_io, r, NULL);
    r->sh = shard_group_get(r->g, 0);
    r->sh->user = r;
    assert_int_equal(shard_group_start_inline(r->g, NULL), 0);
    if (r->sim != NULL) {
        assert_int_equal(io_mkdir(r->sh->io, r->backend->dir), 0);
    }
    assert_int_equal(io_listen(r->sh->io, r->ip, 0, &r->listener), 0);
    *state = r;
    return 0;
}

/* Whatever a case has done: when all connections are closed and all started requests are answered,
 * the budget must be as it was. */
static inline int rig_teardown(void **state)
{
    struct rig *r = *state;
    const struct rig_backend *backend = r->backend;
    conn_close_all(r->sh, false);
    rig_answer_all(r);
    for (int i = 0; i < 50 && r->closed < r->opened; i++) {
        shard_turn(r->sh, 0);
    }
    assert_int_equal(r->closed, r->opened);
    assert_int_equal(conn_count(r->sh), 0);
    assert_int_equal(r->sh->budget.used, 0);
    io_sock_close(r->listener);
    shard_group_stop(r->g);
    shard_group_join(r->g);
    shard_group_free(r->g);
    if (r->sim != NULL) {
        struct errmsg why = {""};
        bool clean = sim_proc_end(r->proc, &why);
        sim_free(r->sim);
        if (!clean) {
            fail_msg("left open: %s", why.text);
        }
    }
    mem_free(r);
    *state = (void *)(uintptr_t)backend;
    return 0;
}

/* ---- turning ---- */

#define rig_until(r_, condition)                                                            \
    do {                                                                                    \
        int64_t until_end = io_now_us((r_)->sh->io) + (int64_t)RIG_SECONDS * 1000000;       \
        while (!(condition)) {                                                              \
            shard_turn((r_)->sh, 1000);                                                     \
            if (io_now_us((r_)->sh->io) > until_end) {                                      \
                fail_msg("waited in vain for: %s (last line: %s)", #condition, (r_)->line); \
            }                                                                               \
        }                                                                                   \
    } while (0)

/* Turns until nothing has come of it for some time: for what must not happen. */
static inline void rig_settle(struct rig *r)
{
    for (int i = 0; i < 30; i++) {
        shard_turn(r->sh, 1000);
    }
}

/* ---- clients ---- */

struct client {
    struct rig *rig;
    struct io_sock *s;
    struct buf in; /* received */
    size_t at;     /* of it, taken by client_frame */
    bool ended;    /* end of stream, or reset */
};

static inline void client_connected(struct io_sock *s, unsigned events, void *user)
{
    UNUSED(s);
    UNUSED(events);
    *(bool *)user = true;
}

/* Connects, and opens the connection of the server's side with the rig's limits. */
static inline struct client client_open(struct rig *r)
{
    struct client c = {.rig = r};
    unsigned before = r->opened;
    bool connected = false;
    int handle;
    assert_int_equal(io_connect(r->sh->io, r->ip, io_sock_port(r->listener), &c.s), 0);
    io_sock_arm(c.s, IO_WRITE, client_connected, &connected);
    rig_until(r, connected);
    assert_int_equal(io_sock_error(c.s), 0);
    rig_until(r, io_accept(r->listener, &handle) == 0);
    assert_non_null(conn_open(r->sh, handle, &rig_conn_ops, &r->limits, r));
    assert_int_equal(r->opened, before + 1);
    return c;
}

static inline void client_close(struct client *c)
{
    if (c->s != NULL) {
        io_sock_close(c->s);
        c->s = NULL;
    }
    buf_free(&c->in);
}

/* Sends what the socket takes; how much. */
static inline size_t client_send_some(struct client *c, const void *p, size_t n)
{
    struct iovec iov = {(void *)(uintptr_t)p, n};
    int64_t r = io_sendv(c->s, &iov, 1, false);
    c->ended = c->ended || (r < 0 && r != ERR_AGAIN);
    return r > 0 ? (size_t)r : 0;
}

static inline void client_send(struct client *c, const void *p, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        size_t more = client_send_some(c, (const uint8_t *)p + sent, n - sent);
        sent += more;
        if (more == 0) {
            assert_false(c->ended);
            shard_turn(c->rig->sh, 1000);
        }
    }
}

/* Takes what is there. True if that was anything. */
static inline bool client_recv(struct client *c)
{
    bool any = false;
    while (!c->ended) {
        int64_t n;
        buf_reserve(&c->in, 64 * 1024);
        n = io_recv(c->s, c->in.data + c->in.len, 64 * 1024);
        if (n == ERR_AGAIN) {
            break;
        }
        c->ended = n <= 0;
        c->in.len += n > 0 ? (size_t)n : 0;
        any = true;
    }
    return any;
}

/* The next whole answer, without its length; false if it is not here yet. */
static inline bool client_frame(struct client *c, struct bytes *out)
{
    uint32_t n;
    client_recv(c);
    if (c->in.len - c->at < 4) {
        return false;
    }
    n = load_be32(c->in.data + c->at);
    if (c->in.len - c->at - 4 < n) {
        return false;
    }
    *out = bytes_of(c->in.data + c->at + 4, n);
    c->at += 4 + n;
    return true;
}

#define client_expect(c_, text_)                                             \
    do {                                                                     \
        struct bytes frame_;                                                 \
        rig_until((c_)->rig, client_frame((c_), &frame_));                   \
        if (!bytes_eq_str(frame_, (text_))) {                                \
            fail_msg("%.*s came instead of %s", BYTES_FMT(frame_), (text_)); \
        }                                                                    \
    } while (0)

/* Waits for the end of the stream; nothing but what is in c->in came before it. */
#define client_expect_end(c_) rig_until((c_)->rig, (client_recv(c_), (c_)->ended))

static inline void frame_put(struct buf *b, const void *p, size_t n)
{
    buf_put_be32(b, (uint32_t)n);
    buf_put(b, p, n);
}

static inline void client_say(struct client *c, const char *text)
{
    struct buf b = {0};
    frame_put(&b, text, strlen(text));
    client_send(c, b.data, b.len);
    buf_free(&b);
}

/* ---- all backends ---- */

#define RIG_CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static inline int rig_run(const char *group, struct CMUnitTest *tests, size_t n)
{
    char dir[] = "/tmp/test_conn.XXXXXX", command[64], name[64];
    struct rig_backend all[] = {
        {"io_uring", RIG_URING, dir}, {"libuv", RIG_UV, dir}, {"simulated", RIG_SIM, "/data"}};
    int failed = 0;
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        enum io_backend chosen;
        struct errmsg why;
        if (all[i].kind == RIG_URING && io_probe(IO_BACKEND_URING, &chosen, &why) != 0) {
            printf("io_uring is left out: %s\n", why.text);
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            tests[k].initial_state = &all[i];
        }
        snprintf(name, sizeof name, "%s on %s", group, all[i].name);
        failed += _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    }
    snprintf(command, sizeof command, "rm -rf %s", dir);
    failed += system(command) != 0;
    return failed;
}

#endif
