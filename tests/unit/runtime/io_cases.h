/* The contract of runtime/io.h as tests, to be run on every backend: test_io.c makes the factories
 * (io_uring, libuv, the simulator's) and runs io_cases on each. Nothing in here knows which one it
 * runs on: waiting is done by `until`, which turns the loop until a condition holds. */
#ifndef TESTS_IO_CASES_H
#define TESTS_IO_CASES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "runtime/io.h"

struct io_factory {
    const char *name;
    const char *ip;  /* an address of this machine */
    const char *dir; /* an empty folder to work in */
    int (*make)(struct io_factory *f, struct io **out);
    void (*done)(struct io_factory *f); /* after io_destroy; may be NULL */
    /* Throws the file's pages out of memory, so that sending it is a cold read; may be NULL. */
    void (*chill)(struct io_factory *f, const char *path);
    void *user;
};

struct cases {
    struct io_factory *f;
    struct io *io;
};

enum { RW = IO_OPEN_WRITE | IO_OPEN_CREATE, CASE_SECONDS = 20 };

static int cases_setup(void **state)
{
    struct io_factory *f = *state;
    struct cases *c = MEM_NEW(struct cases);
    c->f = f;
    assert_int_equal(f->make(f, &c->io), 0);
    *state = c;
    return 0;
}

static int cases_teardown(void **state)
{
    struct cases *c = *state;
    *state = c->f;
    io_destroy(c->io);
    if (c->f->done != NULL) {
        c->f->done(c->f);
    }
    mem_free(c);
    return 0;
}

static const char *path_in(struct cases *c, char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", c->f->dir, name);
    return out;
}

/* Turns the loop until the condition holds. */
#define until(io_, condition)                                                 \
    do {                                                                      \
        int64_t until_end = io_now_us(io_) + (int64_t)CASE_SECONDS * 1000000; \
        while (!(condition)) {                                                \
            io_turn((io_), 20000);                                            \
            if (io_now_us(io_) > until_end) {                                 \
                fail_msg("waited in vain for: %s", #condition);               \
            }                                                                 \
        }                                                                     \
    } while (0)

/* ---- a pair of connected sockets, and what their callbacks saw ---- */

struct watched {
    struct io_sock *s;
    unsigned calls;
    unsigned events; /* of the last call */
    bool in_arm;     /* a call while this is set came from inside io_sock_arm */
    bool close_in_cb;
    bool rearm;
};

struct pair {
    struct io_sock *listener;
    struct watched a, b; /* client, server */
};

static void watched_cb(struct io_sock *s, unsigned events, void *user)
{
    struct watched *w = user;
    assert_ptr_equal(s, w->s);
    assert_false(w->in_arm);
    w->calls++;
    w->events = events;
    if (w->close_in_cb) {
        io_sock_close(w->s);
        w->s = NULL;
    } else if (w->rearm) {
        io_sock_arm(s, IO_READ, watched_cb, w);
    }
}

static void arm(struct watched *w, unsigned events)
{
    w->in_arm = true;
    io_sock_arm(w->s, events, watched_cb, w);
    w->in_arm = false;
}

static struct pair pair_open(struct cases *c)
{
    struct pair p = {0};
    struct watched l = {0};
    int handle;
    assert_int_equal(io_listen(c->io, c->f->ip, 0, &p.listener), 0);
    assert_int_equal(io_accept(p.listener, &handle), ERR_AGAIN);
    assert_int_equal(io_connect(c->io, c->f->ip, io_sock_port(p.listener), &p.a.s), 0);
    l.s = p.listener;
    arm(&l, IO_READ);
    arm(&p.a, IO_WRITE);
    until(c->io, l.calls == 1 && p.a.calls == 1);
    assert_int_equal(io_sock_error(p.a.s), 0);
    assert_int_equal(io_accept(p.listener, &handle), 0);
    assert_int_equal(io_sock_adopt(c->io, handle, &p.b.s), 0);
    p.a.calls = 0;
    return p;
}

static void pair_close(struct pair *p)
{
    struct io_sock *socks[] = {p->a.s, p->b.s, p->listener};
    for (size_t i = 0; i < ARRAY_LEN(socks); i++) {
        if (socks[i] != NULL) {
            io_sock_close(socks[i]);
        }
    }
}

static int64_t send_str(struct io_sock *s, const char *text)
{
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    return io_sendv(s, &iov, 1, false);
}

/* Sends all of the bytes and receives them at the other end; they must be the same. */
struct pour {
    struct cases *c;
    struct io_sock *from, *to;
    const uint8_t *data;
    uint8_t *got;
    size_t n, sent, received;
    unsigned blocked; /* times the sender had to wait */
};

static void pour_out(struct io_sock *s, unsigned events, void *user)
{
    struct pour *p = user;
    UNUSED(events);
    while (p->sent < p->n) {
        size_t half = (p->n - p->sent) / 2;
        struct iovec iov[2] = {
            {(void *)(uintptr_t)(p->data + p->sent), half},
            {(void *)(uintptr_t)(p->data + p->sent + half), p->n - p->sent - half}};
        int64_t r = io_sendv(s, iov, 2, false);
        if (r == ERR_AGAIN) {
            p->blocked++;
            io_sock_arm(s, IO_WRITE, pour_out, p);
            return;
        }
        assert_true(r > 0);
        p->sent += (size_t)r;
    }
}

static void pour_in(struct io_sock *s, unsigned events, void *user)
{
    struct pour *p = user;
    int64_t r = io_recv(s, p->got + p->received, p->n - p->received);
    UNUSED(events);
    if (r != ERR_AGAIN) {
        assert_true(r > 0);
        p->received += (size_t)r;
    }
    if (p->received < p->n) {
        io_sock_arm(s, IO_READ, pour_in, p);
    }
}

static uint8_t *noise(size_t n, uint64_t seed)
{
    struct prng r;
    uint8_t *p = mem_alloc(n);
    prng_seed(&r, seed);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)prng_next(&r);
    }
    return p;
}

/* ---- loop and time ---- */

static void time_goes_forward_and_turns_wait(void **state)
{
    struct cases *c = *state;
    int64_t end = io_now_us(c->io) + 30000, left;
    int turns = 0;
    assert_true(io_wall_ms(c->io) > 0);
    io_turn(c->io, 0);
    while ((left = end - io_now_us(c->io)) > 0) {
        io_turn(c->io, left);
        turns++;
    }
    /* a turn may end early (libuv's does after an interruption), but it does wait */
    assert_in_range(turns, 1, 10);
}

/* The wait begins just before its millisecond ends: a backend that counts in milliseconds must not
 * take that for the end of the wait and then wait without one. */
static void a_wait_of_a_moment_ends(void **state)
{
    struct cases *c = *state;
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 100000 && io_now_us(c->io) % 1000 < 998; k++) {
        }
        io_turn(c->io, 1000);
        io_turn(c->io, 1);
    }
}

static void a_wake_before_the_turn_ends_it(void **state)
{
    struct cases *c = *state;
    int64_t before = io_now_us(c->io);
    io_wake(c->io);
    io_turn(c->io, 60 * 1000000);
    assert_true(io_now_us(c->io) - before < 30 * 1000000);
}

static void random_bytes_differ(void **state)
{
    struct cases *c = *state;
    uint8_t a[32] = {0}, b[32] = {0};
    io_random(c->io, a, sizeof a);
    io_random(c->io, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void add_one(struct io_op *op)
{
    op->result = *(int *)op->user + 1;
}

static void count_op(struct io_op *op, int64_t result)
{
    assert_false(op->in_flight);
    assert_int_equal(result, op->result);
    ++*(int *)op->user;
}

static void work_runs_and_comes_back(void **state)
{
    struct cases *c = *state;
    enum { JOBS = 100 };
    struct io_op ops[JOBS];
    int counts[JOBS];
    memset(ops, 0, sizeof ops);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < JOBS; i++) {
        counts[i] = i;
        ops[i].cb = count_op;
        ops[i].user = &counts[i];
        io_work(c->io, &ops[i], add_one);
        assert_true(ops[i].in_flight);
    }
    for (int i = 0; i < JOBS; i++) {
        until(c->io, !ops[i].in_flight);
        assert_int_equal(ops[i].result, i + 1); /* the worker saw i, the callback came once */
        assert_int_equal(counts[i], i + 1);
    }
}

/* ---- sockets ---- */

static void bytes_arrive_and_the_end_is_seen(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    char got[16], peer[64];
    assert_int_equal(io_recv(p.b.s, got, sizeof got), ERR_AGAIN);
    assert_int_equal(send_str(p.a.s, "hello"), 5);
    arm(&p.b, IO_READ);
    until(c->io, p.b.calls == 1);
    assert_true(p.b.events & IO_READ);
    assert_int_equal(io_recv(p.b.s, got, sizeof got), 5);
    assert_memory_equal(got, "hello", 5);
    io_sock_peer(p.b.s, peer, sizeof peer);
    assert_string_equal(peer, c->f->ip);
    io_sock_close(p.a.s);
    p.a.s = NULL;
    arm(&p.b, IO_READ);
    until(c->io, p.b.calls == 2);
    assert_int_equal(io_recv(p.b.s, got, sizeof got), 0);
    pair_close(&p);
}

static void an_armed_socket_fires_once(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    arm(&p.b, IO_READ);
    assert_int_equal(send_str(p.a.s, "x"), 1);
    until(c->io, p.b.calls == 1);
    for (int i = 0; i < 3; i++) {
        io_turn(c->io, 1000);
    }
    assert_int_equal(p.b.calls, 1); /* the byte is still there, but nobody armed */
    arm(&p.b, IO_READ);
    until(c->io, p.b.calls == 2);
    pair_close(&p);
}

static void arming_again_replaces_and_zero_disarms(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    char got[4];
    /* reading gives way to writing, which is possible at once */
    arm(&p.b, IO_READ);
    arm(&p.b, IO_WRITE);
    until(c->io, p.b.calls == 1);
    assert_int_equal(p.b.events & IO_READ, 0);
    /* armed, let lie in the loop, disarmed */
    arm(&p.b, IO_READ);
    io_turn(c->io, 1000);
    arm(&p.b, 0);
    assert_int_equal(send_str(p.a.s, "x"), 1);
    for (int i = 0; i < 3; i++) {
        io_turn(c->io, 1000);
    }
    assert_int_equal(p.b.calls, 1);
    /* both, then narrowed to what is not there */
    assert_int_equal(io_recv(p.b.s, got, sizeof got), 1);
    arm(&p.b, IO_READ | IO_WRITE);
    arm(&p.b, IO_READ);
    for (int i = 0; i < 3; i++) {
        io_turn(c->io, 1000);
    }
    assert_int_equal(p.b.calls, 1);
    assert_int_equal(send_str(p.a.s, "y"), 1);
    until(c->io, p.b.calls == 2);
    assert_true(p.b.events & IO_READ);
    pair_close(&p);
}

static void a_closed_socket_calls_back_no_more(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    arm(&p.a, IO_WRITE); /* ready at once */
    arm(&p.b, IO_READ | IO_WRITE);
    io_sock_close(p.a.s);
    io_sock_close(p.b.s);
    p.a.s = p.b.s = NULL;
    for (int i = 0; i < 5; i++) {
        io_turn(c->io, 1000);
    }
    assert_int_equal(p.a.calls + p.b.calls, 0);
    pair_close(&p);
}

static void a_callback_may_close_its_socket(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    p.a.close_in_cb = true;
    arm(&p.a, IO_WRITE);
    until(c->io, p.a.s == NULL);
    arm(&p.b, IO_READ);
    until(c->io, p.b.calls == 1); /* the peer sees the end */
    pair_close(&p);
}

static void closing_with_a_poll_in_flight_reaches_the_peer(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    char got[4];
    arm(&p.b, IO_READ);
    io_turn(c->io, 1000); /* the poll is now with the kernel */
    io_sock_close(p.b.s);
    p.b.s = NULL;
    arm(&p.a, IO_READ);
    until(c->io, p.a.calls == 1);
    assert_int_equal(io_recv(p.a.s, got, sizeof got), 0);
    pair_close(&p);
}

static void many_bytes_keep_their_order(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    enum { BYTES = 12 << 20 };
    struct pour up = {.c = c, .from = p.a.s, .to = p.b.s, .n = BYTES};
    uint8_t *data = noise(BYTES, 1);
    up.data = data;
    up.got = mem_alloc(BYTES);
    pour_out(p.a.s, 0, &up);
    assert_true(up.sent < BYTES); /* no socket takes that much at once */
    io_sock_arm(p.b.s, IO_READ, pour_in, &up);
    until(c->io, up.received == BYTES);
    assert_true(up.blocked > 0);
    assert_memory_equal(up.got, data, BYTES);
    mem_free(up.got);
    mem_free(data);
    pair_close(&p);
}

static void nobody_listens_there(void **state)
{
    struct cases *c = *state;
    struct io_sock *l;
    struct watched w = {0};
    uint16_t port;
    int err;
    assert_int_equal(io_listen(c->io, c->f->ip, 0, &l), 0);
    port = io_sock_port(l);
    assert_true(port != 0);
    io_sock_close(l);
    io_turn(c->io, 1000);
    err = io_connect(c->io, c->f->ip, port, &w.s);
    if (err == 0) {
        arm(&w, IO_WRITE);
        until(c->io, w.calls == 1);
        err = io_sock_error(w.s);
        io_sock_close(w.s);
    }
    assert_int_equal(err, ERR_REFUSED);
}

static void a_port_is_taken_once(void **state)
{
    struct cases *c = *state;
    struct io_sock *l, *second;
    assert_int_equal(io_listen(c->io, c->f->ip, 0, &l), 0);
    assert_int_equal(io_listen(c->io, c->f->ip, io_sock_port(l), &second), ERR_INUSE);
    io_sock_close(l);
    assert_int_equal(io_connect(c->io, "not an address", 1, &second), ERR_INVALID);
}

static void a_handle_can_be_refused(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    struct watched w = {0}, l = {.s = p.listener};
    char ip[64], got[4];
    int handle;
    assert_int_equal(io_connect(c->io, c->f->ip, io_sock_port(p.listener), &w.s), 0);
    arm(&l, IO_READ);
    until(c->io, l.calls == 1);
    assert_int_equal(io_accept(p.listener, &handle), 0);
    io_handle_peer(c->io, handle, ip, sizeof ip);
    assert_true(ip[0] == '\0' || strcmp(ip, c->f->ip) == 0);
    io_handle_close(c->io, handle);
    arm(&w, IO_READ);
    until(c->io, w.calls == 1);
    assert_true(io_recv(w.s, got, sizeof got) <= 0);
    io_sock_close(w.s);
    pair_close(&p);
}

/* ---- files to sockets ---- */

static struct io_file *make_file(struct cases *c, const char *name, const uint8_t *p, size_t n)
{
    char path[256];
    struct io_file *f;
    path_in(c, path, name);
    assert_int_equal(io_open(c->io, path, RW | IO_OPEN_TRUNC, &f), 0);
    assert_int_equal(io_pwrite(f, p, n, 0), (int64_t)n);
    return f;
}

static void receive_exactly(struct cases *c, struct watched *w, uint8_t *out, size_t n)
{
    size_t have = 0;
    w->rearm = false;
    while (have < n) {
        unsigned calls = w->calls;
        int64_t r = io_recv(w->s, out + have, n - have);
        if (r == ERR_AGAIN) {
            arm(w, IO_READ);
            until(c->io, w->calls > calls);
            continue;
        }
        assert_true(r > 0);
        have += (size_t)r;
    }
}

static void sendfile_sends_a_range(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    enum { BYTES = 100000 };
    uint8_t *data = noise(BYTES, 2), *got = mem_alloc(BYTES);
    struct io_file *f = make_file(c, "range", data, BYTES);
    int64_t r = io_sendfile(p.a.s, f, 777, 5000);
    assert_true(r > 0 && r <= 5000);
    receive_exactly(c, &p.b, got, (size_t)r);
    assert_memory_equal(got, data + 777, (size_t)r);
    r = io_sendfile(p.a.s, f, BYTES - 10, 5000);
    assert_int_equal(r, 10);
    receive_exactly(c, &p.b, got, 10);
    assert_memory_equal(got, data + BYTES - 10, 10);
    assert_int_equal(io_sendfile(p.a.s, f, BYTES, 5000), 0);
    io_file_close(f);
    mem_free(data);
    mem_free(got);
    pair_close(&p);
}

static void a_cold_send_brings_the_bytes(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    enum { BYTES = 3 << 20, PART = 1 << 20 };
    uint8_t *data = noise(BYTES, 3), *got = mem_alloc(BYTES);
    struct io_file *f = make_file(c, "cold", data, BYTES);
    struct io_op op = {.cb = count_op};
    int calls = 0, want = 0;
    char path[256];
    size_t sent = 0, received = 0;
    op.user = &calls;
    assert_int_equal(io_fsync(f), 0);
    if (c->f->chill != NULL) {
        c->f->chill(c->f, path_in(c, path, "cold"));
    }
    while (sent < BYTES) {
        size_t n = BYTES - sent < PART ? BYTES - sent : PART;
        io_send_cold(p.a.s, f, sent, n, &op);
        assert_true(op.in_flight);
        want++;
        until(c->io, calls == want);
        assert_true((op.result > 0 && op.result <= PART) || op.result == ERR_AGAIN);
        sent += op.result > 0 ? (size_t)op.result : 0;
        receive_exactly(c, &p.b, got + received, sent - received);
        received = sent;
    }
    assert_memory_equal(got, data, BYTES);
    io_send_cold(p.a.s, f, BYTES, 10, &op);
    until(c->io, calls == want + 1);
    assert_int_equal(op.result, 0); /* the file ends there */
    io_file_close(f);
    mem_free(data);
    mem_free(got);
    pair_close(&p);
}

static void a_cold_send_does_not_wait_for_the_peer(void **state)
{
    struct cases *c = *state;
    struct pair p = pair_open(c);
    enum { BYTES = 1 << 20 };
    uint8_t *data = noise(BYTES, 4);
    struct io_file *f = make_file(c, "deaf", data, BYTES);
    struct io_op op = {.cb = count_op};
    int calls = 0;
    op.user = &calls;
    do {
        int before = calls;
        io_send_cold(p.a.s, f, 0, BYTES, &op);
        until(c->io, calls > before);
        assert_true(op.result > 0 || op.result == ERR_AGAIN);
        assert_true(calls < 100);
    } while (op.result > 0);
    io_file_close(f);
    mem_free(data);
    pair_close(&p);
}

static void closing_cancels_cold_sends_that_wait(void **state)
{
    struct cases *c = *state;
    enum { PAIRS = 20, BYTES = 256 << 10 };
    struct pair p[PAIRS];
    struct io_op ops[PAIRS];
    int calls = 0;
    uint8_t *data = noise(BYTES, 5), *got = mem_alloc(BYTES);
    struct io_file *f = make_file(c, "many", data, BYTES);
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < PAIRS; i++) {
        p[i] = pair_open(c);
        ops[i].cb = count_op;
        ops[i].user = &calls;
    }
    for (int i = 0; i < PAIRS; i++) {
        io_send_cold(p[i].a.s, f, 0, BYTES, &ops[i]);
    }
    for (int i = 0; i < PAIRS; i += 2) {
        io_sock_close(p[i].a.s);
        p[i].a.s = NULL;
    }
    until(c->io, calls == PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        if (i % 2 == 0) {
            assert_int_equal(ops[i].result, ERR_CANCELED);
        } else {
            assert_true(ops[i].result > 0);
            receive_exactly(c, &p[i].b, got, (size_t)ops[i].result);
            assert_memory_equal(got, data, (size_t)ops[i].result);
        }
        pair_close(&p[i]);
    }
    io_file_close(f);
    mem_free(data);
    mem_free(got);
}

/* ---- files ---- */

static void files_open_as_asked(void **state)
{
    struct cases *c = *state;
    char path[256];
    struct io_file *f, *second;
    uint64_t size;
    path_in(c, path, "flags");
    (void)io_unlink(c->io, path);
    assert_int_equal(io_open(c->io, path, IO_OPEN_READ, &f), ERR_NOTFOUND);
    assert_int_equal(io_open(c->io, path, IO_OPEN_WRITE, &f), ERR_NOTFOUND);
    assert_int_equal(io_open(c->io, path, RW | IO_OPEN_EXCL, &f), 0);
    assert_int_equal(io_pwrite(f, "0123456789", 10, 0), 10);
    io_file_close(f);
    assert_int_equal(io_open(c->io, path, RW | IO_OPEN_EXCL, &f), ERR_EXISTS);
    assert_int_equal(io_open(c->io, path, IO_OPEN_READ, &f), 0);
    assert_int_equal(io_file_size(f, &size), 0);
    assert_int_equal(size, 10);
    io_file_close(f);
    assert_int_equal(io_open(c->io, path, RW | IO_OPEN_TRUNC, &f), 0);
    assert_int_equal(io_file_size(f, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(io_lock(f), 0);
    assert_int_equal(io_open(c->io, path, IO_OPEN_WRITE, &second), 0);
    assert_int_equal(io_lock(second), ERR_LOCKED);
    io_file_close(f);
    assert_int_equal(io_lock(second), 0);
    io_file_close(second);
}

static void reads_and_writes_are_whole(void **state)
{
    struct cases *c = *state;
    enum { PARTS = 2500, PART = 7 };
    char path[256];
    struct io_file *f;
    struct iovec *iov = mem_alloc(PARTS * sizeof *iov);
    uint8_t *data = noise(PARTS * PART, 6), *got = mem_zalloc(PARTS * PART + 10);
    assert_int_equal(io_open(c->io, path_in(c, path, "parts"), RW | IO_OPEN_TRUNC, &f), 0);
    for (int i = 0; i < PARTS; i++) { /* more pieces than one system call takes */
        iov[i] = (struct iovec){data + i * PART, PART};
    }
    assert_int_equal(io_pwritev(f, iov, PARTS, 100), PARTS * PART);
    for (int i = 0; i < PARTS; i++) {
        iov[i].iov_base = got + i * PART;
    }
    assert_int_equal(io_preadv(f, iov, PARTS, 100), PARTS * PART);
    assert_memory_equal(got, data, PARTS * PART);
    /* a read stops at the end of the file; the hole in front reads as zeros */
    assert_int_equal(io_pread(f, got, PARTS * PART + 10, 102), PARTS * PART - 2);
    assert_int_equal(io_pread(f, got, 10, 1000000), 0);
    assert_int_equal(io_pread(f, got, 100, 0), 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(got[i], 0);
    }
    io_file_close(f);
    mem_free(iov);
    mem_free(data);
    mem_free(got);
}

static void sizes_change(void **state)
{
    struct cases *c = *state;
    char path[256], got[8];
    struct io_file *f;
    uint64_t size;
    int err;
    assert_int_equal(io_open(c->io, path_in(c, path, "sizes"), RW | IO_OPEN_TRUNC, &f), 0);
    assert_int_equal(io_pwrite(f, "abcdef", 6, 0), 6);
    assert_int_equal(io_truncate(f, 3), 0);
    assert_int_equal(io_truncate(f, 5000), 0);
    assert_int_equal(io_pread(f, got, 5, 0), 5);
    assert_memory_equal(got, "abc\0\0", 5);
    err = io_allocate(f, 100000);
    assert_true(err == 0 || err == ERR_UNSUPPORTED);
    assert_int_equal(io_file_size(f, &size), 0);
    assert_int_equal(size, 5000);
    io_write_behind(f, 0, 5000);
    assert_int_equal(io_fsync(f), 0);
    io_file_close(f);
}

static void what_was_written_is_resident(void **state)
{
    struct cases *c = *state;
    enum { BYTES = 300000 };
    uint8_t *data = noise(BYTES, 7);
    char path[256];
    struct io_file *f = make_file(c, "resident", data, BYTES);
    assert_true(io_resident(f, 0, BYTES));
    assert_true(io_resident(f, 4097, 10));
    if (c->f->chill != NULL) {
        assert_int_equal(io_fsync(f), 0);
        c->f->chill(c->f, path_in(c, path, "resident"));
        assert_false(io_resident(f, 0, BYTES));
        assert_int_equal(io_pread(f, data, BYTES, 0), BYTES);
        assert_true(io_resident(f, 0, BYTES));
    }
    io_file_close(f);
    mem_free(data);
}

static void fsyncs_complete_once(void **state)
{
    struct cases *c = *state;
    enum { FILES = 10 };
    struct io_file *f[FILES];
    struct io_op ops[FILES];
    int calls = 0;
    memset(ops, 0, sizeof ops);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "sync%d", i);
        f[i] = make_file(c, name, (const uint8_t *)name, sizeof name);
        ops[i].cb = count_op;
        ops[i].user = &calls;
        io_fsync_start(f[i], &ops[i]);
        assert_true(ops[i].in_flight);
    }
    assert_int_equal(calls, 0);
    for (int i = 0; i < FILES; i += 2) {
        io_file_close(f[i]); /* with the flush in flight: it still completes */
    }
    until(c->io, calls == FILES);
    for (int i = 0; i < FILES; i++) {
        assert_int_equal(ops[i].result, 0);
        if (i % 2 == 1) {
            io_file_close(f[i]);
        }
    }
}

/* ---- names ---- */

struct names {
    char text[256];
    int dirs;
};

static void add_name(void *ctx, const struct io_dirent *e)
{
    struct names *n = ctx;
    strcat(strcat(n->text, e->name), " ");
    n->dirs += e->is_dir;
}

static void folders_and_names(void **state)
{
    struct cases *c = *state;
    char dir[256], a[300], b[300];
    struct io_file *f;
    struct io_stat st;
    struct names names = {{0}, 0};
    uint64_t total = 0, usable = 0;
    path_in(c, dir, "folder");
    assert_int_equal(io_mkdir(c->io, dir), 0);
    assert_int_equal(io_mkdir(c->io, dir), ERR_EXISTS);
    for (const char *s = "zBa"; *s != '\0'; s++) {
        snprintf(a, sizeof a, "%s/%c", dir, *s);
        assert_int_equal(io_open(c->io, a, RW, &f), 0);
        assert_int_equal(io_pwrite(f, s, 1, 0), 1);
        io_file_close(f);
    }
    snprintf(a, sizeof a, "%s/m", dir);
    assert_int_equal(io_mkdir(c->io, a), 0);
    assert_int_equal(io_list_dir(c->io, dir, add_name, &names), 0);
    assert_string_equal(names.text, "B a m z "); /* by bytes */
    assert_int_equal(names.dirs, 1);
    assert_int_equal(io_stat(c->io, a, &st), 0);
    assert_true(st.is_dir);
    assert_int_equal(io_rmdir(c->io, dir), ERR_EXISTS); /* not empty */
    assert_int_equal(io_rmdir(c->io, a), 0);
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/z", dir);
    assert_int_equal(io_rename(c->io, a, b), 0);
    assert_int_equal(io_stat(c->io, a, &st), ERR_NOTFOUND);
    assert_int_equal(io_stat(c->io, b, &st), 0);
    assert_true(st.size == 1 && !st.is_dir && st.mtime_ms > 0);
    assert_int_equal(io_fsync_dir(c->io, dir), 0);
    assert_int_equal(io_sync_fs(c->io, dir), 0);
    assert_int_equal(io_unlink(c->io, b), 0);
    assert_int_equal(io_unlink(c->io, b), ERR_NOTFOUND);
    snprintf(b, sizeof b, "%s/B", dir);
    assert_int_equal(io_unlink(c->io, b), 0);
    assert_int_equal(io_rmdir(c->io, dir), 0);
    assert_int_equal(io_list_dir(c->io, dir, add_name, &names), ERR_NOTFOUND);
    assert_int_equal(io_disk_space(c->io, c->f->dir, &total, &usable), 0);
    assert_true(total > 0 && usable <= total);
}

static void small_files_are_read_and_replaced(void **state)
{
    struct cases *c = *state;
    char path[256], tmp[300];
    struct buf out = {0};
    struct io_stat st;
    path_in(c, path, "small");
    (void)io_unlink(c->io, path);
    assert_int_equal(io_read_file(c->io, path, 100, &out), ERR_NOTFOUND);
    assert_int_equal(io_replace_file(c->io, path, "first", 5), 0);
    assert_int_equal(io_replace_file(c->io, path, "second", 6), 0);
    assert_int_equal(io_read_file(c->io, path, 5, &out), ERR_TOOBIG);
    assert_int_equal(out.len, 0);
    assert_int_equal(io_read_file(c->io, path, 6, &out), 0);
    assert_int_equal(out.len, 6);
    assert_string_equal((char *)out.data, "second");
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    assert_int_equal(io_stat(c->io, tmp, &st), ERR_NOTFOUND);
    assert_int_equal(io_rewrite_file(c->io, path, "third", 5), 0);
    assert_int_equal(io_stat(c->io, tmp, &st), ERR_NOTFOUND);
    buf_clear(&out);
    assert_int_equal(io_read_file(c->io, path, 6, &out), 0);
    assert_string_equal((char *)out.data, "third");
    assert_int_equal(io_replace_file(c->io, path, "", 0), 0);
    buf_clear(&out);
    assert_int_equal(io_read_file(c->io, path, 6, &out), 0);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void says_who_keeps_what_was_written(void **state)
{
    struct cases *c = *state;
    char path[256], id[IO_KERNEL_ID], again[IO_KERNEL_ID];
    struct io_file *f;
    int err = io_kernel_id(c->io, c->f->dir, id);
    assert_true(err == 0 || err == ERR_UNSUPPORTED); /* the real one's: its folder's file system */
    if (err == 0) {
        assert_int_equal(io_kernel_id(c->io, c->f->dir, again), 0);
        assert_true(strlen(id) > 0);
        assert_string_equal(id, again);
    }
    path_in(c, path, "kept");
    assert_int_equal(io_open(c->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &f), 0);
    assert_int_equal(io_pwrite(f, "x", 1, 0), 1);
    assert_int_equal(io_lost_writes(f), 0);
    io_forget(f);
    assert_int_equal(io_pread(f, id, 1, 0), 1);
    assert_int_equal(id[0], 'x');
    io_file_close(f);
}

static void destroy_waits_for_what_is_in_flight(void **state)
{
    struct cases *c = *state;
    struct io *io;
    struct io_factory f = *c->f;
    struct cases other = {.f = &f};
    struct io_op sync = {.cb = count_op}, work = {.cb = count_op};
    struct io_file *file;
    struct pair p;
    int calls = 0;
    char path[256];
    assert_int_equal(f.make(&f, &io), 0);
    other.io = io;
    p = pair_open(&other);
    arm(&p.a, IO_READ);
    arm(&p.b, IO_READ);
    assert_int_equal(io_open(io, path_in(c, path, "last"), RW, &file), 0);
    sync.user = work.user = &calls;
    io_fsync_start(file, &sync);
    io_work(io, &work, add_one);
    io_file_close(file);
    pair_close(&p);
    io_destroy(io);
    assert_int_equal(calls, 2);
    if (f.done != NULL) {
        f.done(&f);
    }
}

#define IO_CASE(name) cmocka_unit_test_setup_teardown(name, cases_setup, cases_teardown)

/* Runs all cases; the number of those that failed. */
static int io_cases_run(struct io_factory *f)
{
    struct CMUnitTest tests[] = {
        IO_CASE(time_goes_forward_and_turns_wait),
        IO_CASE(a_wait_of_a_moment_ends),
        IO_CASE(a_wake_before_the_turn_ends_it),
        IO_CASE(random_bytes_differ),
        IO_CASE(work_runs_and_comes_back),
        IO_CASE(bytes_arrive_and_the_end_is_seen),
        IO_CASE(an_armed_socket_fires_once),
        IO_CASE(arming_again_replaces_and_zero_disarms),
        IO_CASE(a_closed_socket_calls_back_no_more),
        IO_CASE(a_callback_may_close_its_socket),
        IO_CASE(closing_with_a_poll_in_flight_reaches_the_peer),
        IO_CASE(many_bytes_keep_their_order),
        IO_CASE(nobody_listens_there),
        IO_CASE(a_port_is_taken_once),
        IO_CASE(a_handle_can_be_refused),
        IO_CASE(sendfile_sends_a_range),
        IO_CASE(a_cold_send_brings_the_bytes),
        IO_CASE(a_cold_send_does_not_wait_for_the_peer),
        IO_CASE(closing_cancels_cold_sends_that_wait),
        IO_CASE(files_open_as_asked),
        IO_CASE(reads_and_writes_are_whole),
        IO_CASE(sizes_change),
        IO_CASE(what_was_written_is_resident),
        IO_CASE(fsyncs_complete_once),
        IO_CASE(folders_and_names),
        IO_CASE(small_files_are_read_and_replaced),
        IO_CASE(says_who_keeps_what_was_written),
        IO_CASE(destroy_waits_for_what_is_in_flight),
    };
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tests[i].initial_state = f;
    }
    return cmocka_run_group_tests_name(f->name, tests, NULL, NULL);
}

#endif
