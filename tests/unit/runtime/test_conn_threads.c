/* Connections on several shards, as a node runs them: one shard accepts and hands the handles out;
 * a request is worked on by another shard than its connection's and comes home to be answered;
 * clients are threads with plain blocking sockets. Meant to be run under the thread sanitizer too.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/prng.h"
#include "runtime/conn.h"

enum { SHARDS = 3, CLIENTS = 6, FRAMES = 400, WINDOW = 12, BODY_MAX = 3000 };

enum { MSG_OPEN, MSG_WORK, MSG_DONE };

struct hall {
    struct shard_group *g;
    struct io_sock *listener; /* shard 0's */
    struct conn_limits limits;
    uint16_t port;
    unsigned next; /* shard 0's: who gets the next connection */
    _Atomic unsigned handed, opened, closed, working, canceled;
    _Atomic bool listening;
    _Atomic bool stopping; /* from now on clients may find their connections closed */
};

struct ticket {
    struct msg m;
    int handle;
};

struct work {
    struct msg m;
    struct conn_req *req;
    uint8_t *answer;
    size_t n;
};

/* ---- the shards ---- */

static void on_request(struct conn_req *req)
{
    struct hall *h = req->shard->user;
    struct work *w = MEM_NEW(struct work);
    w->m.kind = MSG_WORK;
    w->req = req;
    atomic_fetch_add(&h->working, 1);
    shard_send(req->shard, (req->shard->index + 1) % SHARDS, &w->m);
}

static void on_cancel(struct conn_req *req)
{
    struct hall *h = req->shard->user;
    atomic_fetch_add(&h->canceled, 1); /* another shard has it: it comes home all the same */
}

static void on_close(struct conn *c)
{
    struct hall *h = c->shard->user;
    atomic_fetch_add(&h->closed, 1);
}

static uint8_t overlaps(struct bytes frame)
{
    return frame.data[0] % 4 != 0;
}

static const struct conn_ops hall_ops = {
    .overlaps = overlaps, .on_request = on_request, .on_cancel = on_cancel, .on_close = on_close};

static void work_done(struct work *w)
{
    struct conn_req *req = w->req;
    struct hall *h = req->shard->user;
    conn_reply_mem(req, w->answer, w->n);
    mem_free(w);
    atomic_fetch_sub(&h->working, 1);
}

static void on_msg(struct shard *sh, struct msg *m)
{
    struct hall *h = sh->user;
    struct work *w = (struct work *)m;
    if (m->kind == MSG_OPEN) {
        struct ticket *t = (struct ticket *)m;
        assert_non_null(conn_open(sh, t->handle, &hall_ops, &h->limits, h));
        mem_free(t);
        atomic_fetch_add(&h->opened, 1);
    } else if (m->kind ==
               MSG_WORK) { /* the frame is the other shard's, and stays until we answer */
        w->n = w->req->frame.len + 4;
        w->answer = mem_alloc(w->n);
        store_be32(w->answer, (uint32_t)w->req->frame.len);
        memcpy(w->answer + 4, w->req->frame.data, w->req->frame.len);
        w->m.kind = MSG_DONE;
        shard_send(sh, m->from, m);
    } else {
        work_done(w);
    }
}

static void accept_cb(struct io_sock *s, unsigned events, void *user)
{
    struct shard *sh = user;
    struct hall *h = sh->user;
    int handle;
    UNUSED(events);
    while (io_accept(s, &handle) == 0) {
        struct ticket *t = MEM_NEW(struct ticket);
        t->m.kind = MSG_OPEN;
        t->handle = handle;
        atomic_fetch_add(&h->handed, 1);
        shard_send(sh, h->next++ % SHARDS, &t->m);
    }
    io_sock_arm(s, IO_READ, accept_cb, sh);
}

static int begin(struct shard *sh, void *user)
{
    struct hall *h = user;
    if (sh->index != 0) {
        return 0;
    }
    int err = io_listen(sh->io, "127.0.0.1", 0, &h->listener);
    if (err == 0) {
        h->port = io_sock_port(h->listener);
        atomic_store(&h->listening, true);
        io_sock_arm(h->listener, IO_READ, accept_cb, sh);
    }
    return err;
}

/* First the listener closes, then, asked once more, every shard its connections. */
static void on_interrupt(struct shard *sh)
{
    struct hall *h = sh->user;
    if (sh->index == 0 && atomic_load(&h->listening)) {
        io_sock_close(h->listener);
        atomic_store(&h->listening, false);
    } else {
        conn_close_all(sh, false);
    }
}

static int make_io(void *ctx, unsigned index, struct io **out, struct errmsg *em)
{
    UNUSED(index);
    return io_create(*(enum io_backend *)ctx, out, em);
}

/* ---- the clients ---- */

/* A client. The rude ones go in the middle, with answers unread. */
struct visitor {
    struct hall *h;
    pthread_t thread;
    uint64_t seed;
    unsigned frames; /* to send; UINT_MAX: until it is cut off */
    unsigned answered;
    bool rude; /* goes in the middle, without reading */
    bool wrong;
};

static bool transfer(int fd, uint8_t *p, size_t n, bool out)
{
    while (n > 0) {
        ssize_t r = out ? send(fd, p, n, MSG_NOSIGNAL) : recv(fd, p, n, 0);
        if (r <= 0) {
            return false;
        }
        p += r;
        n -= (size_t)r;
    }
    return true;
}

/* The frame that the visitor sends as its i-th. */
static size_t frame_of(const struct visitor *v, unsigned i, uint8_t *p)
{
    struct prng rng;
    size_t n;
    prng_seed(&rng, v->seed * 1000003 + i);
    n = 1 + prng_below(&rng, prng_below(&rng, 4) ? 100 : BODY_MAX);
    store_be32(p, (uint32_t)n);
    for (size_t k = 0; k < n; k++) {
        p[4 + k] = (uint8_t)(prng_next(&rng) >> 56);
    }
    return n + 4;
}

static bool next_answer(struct visitor *v, int fd)
{
    uint8_t want[BODY_MAX + 4], got[BODY_MAX + 4];
    size_t n = frame_of(v, v->answered, want);
    if (!transfer(fd, got, n, false)) {
        return false;
    }
    v->wrong = v->wrong || memcmp(want, got, n) != 0;
    v->answered++;
    return true;
}

static void *visit(void *arg)
{
    struct visitor *v = arg;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(v->h->port)};
    uint8_t frame[BODY_MAX + 4];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    unsigned sent = 0;
    bool ok;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    while (ok && v->answered < v->frames) {
        if (sent < v->frames && sent - v->answered < WINDOW) {
            ok = transfer(fd, frame, frame_of(v, sent++, frame), true);
        } else if (v->rude && sent > v->frames / 2) {
            break;
        } else {
            ok = next_answer(v, fd);
        }
    }
    if (!ok && !atomic_load(&v->h->stopping)) {
        v->wrong = true;
    }
    close(fd);
    return NULL;
}

/* ---- the cases ---- */

static void hall_open(struct hall *h, enum io_backend *backend)
{
    struct shard_hooks hooks = {.start = begin, .user = h};
    struct errmsg em = {""};
    memset(h, 0, sizeof *h);
    h->limits = (struct conn_limits){.frame_bytes_max = BODY_MAX, .requests_max = 5};
    h->g = shard_group_new(SHARDS, NULL, make_io, backend, &hooks);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *sh = shard_group_get(h->g, i);
        sh->user = h;
        sh->on_msg = on_msg;
        sh->on_interrupt = on_interrupt;
        sh->budget.limit = 40000; /* so that some starve */
    }
    if (shard_group_start(h->g, &em) != 0) {
        fail_msg("%s", em.text);
    }
}

#define wait_for(condition)    \
    do {                       \
        while (!(condition)) { \
            sched_yield();     \
        }                      \
    } while (0)

static void hall_close(struct hall *h)
{
    atomic_store(&h->stopping, true);
    shard_interrupt(shard_group_get(h->g, 0));
    wait_for(!atomic_load(&h->listening) && atomic_load(&h->handed) == atomic_load(&h->opened));
    for (unsigned i = 0; i < SHARDS; i++) {
        shard_interrupt(shard_group_get(h->g, i));
    }
    wait_for(atomic_load(&h->closed) == atomic_load(&h->opened) && atomic_load(&h->working) == 0);
    shard_group_stop(h->g);
    shard_group_join(h->g);
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_int_equal(shard_group_get(h->g, i)->budget.used, 0);
    }
    shard_group_free(h->g);
}

static void visitors_come(struct hall *h, struct visitor *v, unsigned n, unsigned frames)
{
    for (unsigned i = 0; i < n; i++) {
        v[i] = (struct visitor){.h = h, .seed = i, .frames = frames, .rude = i % 3 == 2};
        v[i].rude = v[i].rude && frames != UINT32_MAX;
        assert_int_equal(pthread_create(&v[i].thread, NULL, visit, &v[i]), 0);
    }
}

static void visitors_go(struct visitor *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        pthread_join(v[i].thread, NULL);
        assert_false(v[i].wrong);
    }
}

static enum io_backend backend_now;

static void requests_travel_between_shards(void **state)
{
    struct hall h;
    struct visitor v[CLIENTS];
    UNUSED(state);
    hall_open(&h, &backend_now);
    visitors_come(&h, v, CLIENTS, FRAMES);
    visitors_go(v, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_true(v[i].answered == FRAMES || v[i].rude);
    }
    hall_close(&h);
}

static void stopping_under_load_comes_to_rest(void **state)
{
    UNUSED(state);
    for (int round = 0; round < 5; round++) {
        struct hall h;
        struct visitor v[CLIENTS];
        hall_open(&h, &backend_now);
        visitors_come(&h, v, CLIENTS, UINT32_MAX);
        wait_for(atomic_load(&h.opened) == CLIENTS && atomic_load(&h.working) > 0);
        hall_close(&h);
        visitors_go(v, CLIENTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_travel_between_shards),
        cmocka_unit_test(stopping_under_load_comes_to_rest),
    };
    enum io_backend chosen;
    struct errmsg why;
    int failed = 0;
    if (io_probe(IO_BACKEND_URING, &chosen, &why) == 0) {
        backend_now = IO_BACKEND_URING;
        failed += cmocka_run_group_tests_name("shards on io_uring", tests, NULL, NULL);
    } else {
        printf("io_uring is left out: %s\n", why.text);
    }
    backend_now = IO_BACKEND_UV;
    failed += cmocka_run_group_tests_name("shards on libuv", tests, NULL, NULL);
    return failed;
}
