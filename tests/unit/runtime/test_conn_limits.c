/* Connections at their limits: time-outs, requests read ahead, peers that do not read, the shard's
 * memory, and all of it at random. */
#include "conn_rig.h"
#include "runtime/conn_awaited.h"
#include "runtime/conn_private.h"

static int64_t now_ms(const struct rig *r)
{
    return io_now_ms(r->sh->io);
}

static void wait_ms(struct rig *r, int64_t ms)
{
    int64_t end = now_ms(r) + ms;
    rig_until(r, now_ms(r) >= end);
}

/* Sends the header of a frame of `len` bytes and the first `n` of them. */
static void client_begin(struct client *c, uint32_t len, size_t n)
{
    struct buf b = {0};
    buf_put_be32(&b, len);
    buf_reserve(&b, n);
    memset(b.data + 4, 'y', n);
    client_send(c, b.data, 4 + n);
    buf_free(&b);
}

static void client_fill(struct client *c, size_t n)
{
    uint8_t *p = mem_alloc(n);
    memset(p, 'y', n);
    client_send(c, p, n);
    mem_free(p);
}

static void answer_ok(struct conn_req *req)
{
    uint8_t *p = mem_alloc(6);
    memcpy(p, "\0\0\0\2ok", 6);
    conn_reply_mem(req, p, 6);
}

static void park_ok(struct parked *p)
{
    struct conn_req *req = p->req;
    list_remove(&p->node);
    mem_free(p);
    answer_ok(req);
}

/* ---- time ---- */

static void stop_in_the_middle(struct rig *r, const void *bytes, size_t n)
{
    struct client c = client_open(r);
    int64_t begun = now_ms(r);
    client_send(&c, bytes, n);
    client_expect_end(&c);
    assert_true(now_ms(r) - begun >= r->limits.body_timeout_ms);
    assert_non_null(strstr(r->line, "stopped in the middle"));
    assert_int_equal(r->started, 0);
    client_close(&c);
}

static void a_frame_that_stops_in_the_middle_closes(void **state)
{
    struct rig *r = *state;
    r->limits.body_timeout_ms = 60;
    stop_in_the_middle(r, "\0\0\0\5ab", 6);
    stop_in_the_middle(r, "\0\0\0", 3);
    stop_in_the_middle(r, "\0\1\0\0aaaa", 8);
    assert_int_equal(r->lines, 3);
}

static void a_frame_that_goes_on_is_waited_for(void **state)
{
    struct rig *r = *state;
    struct client c;
    if (r->sim == NULL) {
        skip(); /* on a busy machine a pause of 40 ms can be one of 100 */
    }
    r->limits.body_timeout_ms = 60;
    r->serve = answer_ok;
    c = client_open(r);
    client_begin(&c, 10, 0);
    for (int i = 0; i < 10; i++) {
        wait_ms(r, 40);
        client_send(&c, "z", 1);
    }
    client_expect(&c, "ok");
    wait_ms(r, 300); /* between frames nothing is on this clock */
    assert_int_equal(r->closed, 0);
    client_close(&c);
}

static void what_we_do_not_read_is_not_on_the_clock(void **state)
{
    struct rig *r = *state;
    struct client c;
    r->limits.body_timeout_ms = 50;
    r->limits.requests_max = 1;
    c = client_open(r);
    client_say(&c, "one");
    rig_until(r, rig_parked(r) == 1);
    client_begin(&c, 100, 50);
    wait_ms(r, 200);
    assert_int_equal(r->closed, 0);
    client_fill(&c, 50);
    park_ok(rig_first(r));
    rig_until(r, rig_parked(r) == 1);
    assert_int_equal(r->started, 2);
    assert_int_equal(rig_first(r)->req->frame.len, 100);
    park_ok(rig_first(r));
    client_expect(&c, "ok");
    client_expect(&c, "ok");
    client_close(&c);
}

static void an_idle_connection_is_closed(void **state)
{
    struct rig *r = *state;
    struct client c, busy;
    int64_t begun;
    r->limits.idle_ms = 60;
    begun = now_ms(r);
    c = client_open(r);
    busy = client_open(r);
    client_say(&busy, "x");
    rig_until(r, rig_parked(r) == 1);
    client_expect_end(&c);
    assert_true(now_ms(r) - begun >= 60);
    wait_ms(r, 150);
    assert_int_equal(r->closed, 1); /* a request that runs is no idleness */
    begun = now_ms(r);
    park_ok(rig_first(r));
    client_expect(&busy, "ok");
    client_expect_end(&busy);
    assert_true(now_ms(r) - begun >= 60);
    assert_int_equal(r->lines, 0);
    client_close(&c);
    client_close(&busy);
}

/* Requests that nobody answers (a fetch that may wait for weeks) do not keep the connection of a
 * peer that has hung up. */
static void a_peer_that_is_gone_is_not_kept_by_its_requests(void **state)
{
    struct rig *r = *state;
    struct client c;
    int64_t begun;
    r->limits.idle_ms = 60;
    c = client_open(r);
    client_say(&c, "x");
    rig_until(r, rig_parked(r) == 1);
    begun = now_ms(r);
    client_close(&c);
    rig_until(r, r->closed == 1 && r->canceled == 1);
    assert_true(now_ms(r) - begun >= 50);
    park_ok(rig_first(r));
    assert_int_equal(r->lines, 0);
}

/* The shard was away for longer than the time-out: what is in the socket by then counts. */
static void a_late_shard_blames_nobody(void **state)
{
    struct rig *r = *state;
    struct conn_priv *p;
    struct client c;
    r->limits.body_timeout_ms = 10000;
    c = client_open(r);
    p = conn_priv_of(r->conns[0]);
    client_begin(&c, 10, 5);
    rig_until(r, !list_empty(&p->begun) && p->cur != NULL && p->cur->have == 5);
    io_sock_arm(p->sock, 0, client_connected, NULL); /* the loop sees nothing of it */
    client_fill(&c, 5);
    if (r->sim != NULL) {
        wait_ms(r, 100);
    }
    p->begun_ms -= 20000;
    timer_set(r->sh, &r->sh->conns->expiry, now_ms(r));
    rig_until(r, rig_parked(r) == 1);
    assert_int_equal(r->closed, 0);
    park_ok(rig_first(r));
    client_expect(&c, "ok");
    client_close(&c);
}

/* The idle clock runs out in the turn in which a request is answered. */
static void an_answer_is_sent_before_idleness_counts(void **state)
{
    struct rig *r = *state;
    struct client c;
    r->limits.idle_ms = 10000;
    c = client_open(r);
    client_say(&c, "x");
    rig_until(r, rig_parked(r) == 1);
    conn_priv_of(r->conns[0])->active_ms -= 20000;
    timer_set(r->sh, &r->sh->conns->expiry, now_ms(r));
    park_ok(rig_first(r));
    client_expect(&c, "ok");
    assert_int_equal(r->closed, 0);
    client_close(&c);
}

static void an_idle_shard_gives_back_and_sleeps(void **state)
{
    struct rig *r = *state;
    struct client c;
    if (r->sim == NULL) {
        skip(); /* it takes seconds */
    }
    r->serve = rig_echo;
    c = client_open(r);
    client_begin(&c, 100 * 1000, 100 * 1000);
    rig_until(r, (client_recv(&c), c.in.len == 4 + 100 * 1000));
    assert_true(r->sh->conns->pool.cached > 0);
    wait_ms(r, 15000);
    assert_int_equal(r->sh->conns->pool.cached, 0);
    assert_int_equal(r->sh->heap_count, 0); /* no timer wakes it for nothing */
    client_close(&c);
}

/* ---- requests read ahead ---- */

static void only_so_many_requests_are_read_ahead(void **state)
{
    enum { REQUESTS = 100, AHEAD = 4 };
    struct rig *r = *state;
    struct client c;
    struct buf b = {0};
    r->limits.requests_max = AHEAD;
    c = client_open(r);
    for (int i = 0; i < REQUESTS; i++) {
        char text[16];
        snprintf(text, sizeof text, "O%d", i);
        frame_put(&b, text, strlen(text));
    }
    client_send(&c, b.data, b.len);
    rig_until(r, rig_parked(r) == AHEAD);
    for (int i = 0; i < REQUESTS; i++) {
        rig_until(r, !list_empty(&r->parked));
        if (i % 10 == 0) {
            rig_settle(r);
        }
        assert_true(rig_parked(r) <= AHEAD);
        rig_answer(rig_first(r));
    }
    rig_until(r, (client_recv(&c), c.in.len >= b.len));
    assert_memory_equal(c.in.data, b.data, b.len);
    buf_free(&b);
    client_close(&c);
}

/* ---- peers that do not read ---- */

enum { ANSWER = 64 * 1024 };

static void answer_much(struct conn_req *req)
{
    uint8_t *p = mem_alloc(4 + ANSWER);
    store_be32(p, ANSWER);
    memset(p + 4, req->frame.data[0], ANSWER);
    memcpy(p + 4, req->frame.data, req->frame.len);
    conn_reply_mem(req, p, 4 + ANSWER);
}

static void a_peer_that_does_not_read_is_not_read(void **state)
{
    enum { REQUESTS = 600 };
    struct rig *r = *state;
    struct client c = client_open(r);
    struct buf b = {0};
    unsigned before;
    size_t sent = 0;
    r->serve = answer_much;
    for (unsigned i = 0; i < REQUESTS; i++) {
        char text[16];
        snprintf(text, sizeof text, "O%07u", i);
        frame_put(&b, text, 8);
    }
    do {
        before = r->started;
        sent += sent < b.len ? client_send_some(&c, b.data + sent, b.len - sent) : 0;
        rig_settle(r);
    } while (r->started > before);
    assert_true(r->started < REQUESTS);
    assert_true(r->sh->budget.peak < 2 << 20);
    for (unsigned i = 0; i < REQUESTS; i++) { /* and when it reads, all comes */
        struct bytes frame;
        char text[16];
        rig_until(r, ({
                      sent += sent < b.len ? client_send_some(&c, b.data + sent, b.len - sent) : 0;
                      client_frame(&c, &frame);
                  }));
        snprintf(text, sizeof text, "O%07u", i);
        assert_int_equal(frame.len, ANSWER);
        assert_memory_equal(frame.data, text, 8);
        assert_int_equal(frame.data[ANSWER - 1], 'O');
        if (c.at == c.in.len) {
            c.at = c.in.len = 0;
        }
    }
    buf_free(&b);
    client_close(&c);
}

/* ---- memory ---- */

enum { FRAME = 200 * 1000, FRAME_ROOM = (256 + 4) * 1024 };

static void frames_beyond_the_budget_finish_one_by_one(void **state)
{
    enum { CLIENTS = 6 };
    struct rig *r = *state;
    struct client c[CLIENTS];
    size_t sent[CLIENTS] = {0};
    uint8_t *p = mem_zalloc(FRAME);
    unsigned answered = 0;
    r->sh->budget.limit = 300 * 1000;
    r->limits.body_timeout_ms = 30000;
    r->serve = answer_ok;
    store_be32(p, FRAME - 4);
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_open(r);
    }
    rig_until(r, ({ /* all at once, in small pieces, so that all are begun */
                    for (int i = 0; i < CLIENTS; i++) {
                        size_t n = FRAME - sent[i] < 5000 ? FRAME - sent[i] : 5000;
                        struct bytes frame;
                        sent[i] += n ? client_send_some(&c[i], p + sent[i], n) : 0;
                        if (client_frame(&c[i], &frame)) {
                            assert_true(bytes_eq_str(frame, "ok"));
                            answered++;
                        }
                        assert_false(c[i].ended);
                    }
                    answered == CLIENTS;
              }));
    assert_true(r->sh->budget.peak > r->sh->budget.limit); /* or this test tests nothing */
    assert_true(r->sh->budget.peak <= r->sh->budget.limit + FRAME_ROOM + 80 * 1024);
    for (int i = 0; i < CLIENTS; i++) {
        client_close(&c[i]);
    }
    mem_free(p);
}

static void a_frame_larger_than_the_budget_gets_the_reserve(void **state)
{
    struct rig *r = *state;
    struct client a, b;
    r->sh->budget.limit = 50 * 1000;
    a = client_open(r);
    b = client_open(r);
    client_begin(&a, 1 << 20, 1 << 20);
    rig_until(r, rig_parked(r) == 1);
    assert_int_equal(rig_first(r)->req->frame.len, 1 << 20);
    client_begin(&b, 1 << 20, 1000); /* there is one reserve, and it is taken */
    rig_settle(r);
    assert_int_equal(r->started, 1);
    assert_true(r->sh->budget.used < 3 << 20);
    park_ok(rig_first(r));
    client_fill(&b, (1 << 20) - 1000);
    rig_until(r, rig_parked(r) == 1);
    park_ok(rig_first(r));
    client_expect(&a, "ok");
    client_expect(&b, "ok");
    client_close(&a);
    client_close(&b);
}

/* Who waits long and needs its frame no more frees the reserve and the budget, not its place. */
static void a_frame_is_given_back_before_the_answer(void **state)
{
    struct rig *r = *state;
    struct client a, b, c;
    r->sh->budget.limit = 50 * 1000;
    a = client_open(r);
    b = client_open(r);
    c = client_open(r);
    client_begin(&a, 1 << 20, 1 << 20);
    rig_until(r, rig_parked(r) == 1);
    conn_req_release_frame(rig_first(r)->req, 3000);
    assert_null(rig_first(r)->req->frame.data);
    assert_in_range(r->sh->budget.used, 3000, 4000);
    client_begin(&b, 1 << 20, 1 << 20);
    rig_until(r, rig_parked(r) == 2);
    park_ok(LIST_ENTRY(r->parked.prev, struct parked, node));
    client_expect(&b, "ok");
    client_say(&c, "a small one lies beside its request");
    rig_until(r, rig_parked(r) == 2);
    struct parked *small = LIST_ENTRY(r->parked.prev, struct parked, node);
    conn_req_release_frame(small->req, 0);
    park_ok(small);
    client_expect(&c, "ok");
    rig_close(r, 0); /* and one whose connection is gone */
    rig_until(r, rig_first(r)->canceled);
    conn_req_release_frame(rig_first(r)->req, 0);
    park_ok(rig_first(r));
    client_close(&a);
    client_close(&b);
    client_close(&c);
    rig_until(r, r->closed == 3);
    assert_int_equal(r->sh->budget.used, 0);
}

/* Lets clients send `n` more bytes each while requests are answered, until so many were started. */
static void answer_until(struct rig *r, unsigned started, struct client *c, unsigned clients,
                         size_t n)
{
    uint8_t *p = mem_zalloc(n);
    size_t sent[8] = {0};
    rig_until(r, ({
                  for (unsigned i = 0; i < clients; i++) {
                      sent[i] += sent[i] < n ? client_send_some(&c[i], p, n - sent[i]) : 0;
                  }
                  while (rig_first(r) != NULL) {
                      park_ok(rig_first(r));
                  }
                  r->started >= started;
              }));
    while (rig_first(r) != NULL) {
        park_ok(rig_first(r));
    }
    mem_free(p);
}

static void starved_connections_all_go_on(void **state)
{
    struct rig *r = *state;
    struct client c[5];
    r->sh->budget.limit = 100 * 1000;
    r->limits.body_timeout_ms = 50;
    for (int i = 0; i < 5; i++) { /* one has the room, one the reserve, three starve */
        c[i] = client_open(r);
        client_begin(&c[i], 90 * 1000, 60 * 1000);
        if (i < 2) {
            client_fill(&c[i], 30 * 1000);
            rig_until(r, r->started == (unsigned)i + 1);
        } else {
            rig_settle(r);
        }
    }
    wait_ms(r, 200); /* those that starve are not on the clock */
    assert_int_equal(r->closed, 0);
    assert_int_equal(r->started, 2);
    r->limits.body_timeout_ms = 20000;
    answer_until(r, 5, c + 2, 3, 30 * 1000);
    for (unsigned i = 0; i < 5; i++) {
        client_expect(&c[i], "ok");
        client_close(&c[i]);
    }
}

static struct parked *rig_last(const struct rig *r)
{
    return LIST_ENTRY(r->parked.prev, struct parked, node);
}

/* The memory is full of requests whose answers wait for what another connection brings: that one is
 * read all the same, one small frame after the other. */
static void who_is_awaited_does_not_starve(void **state)
{
    enum { HELD = 90 * 1000, LARGE = CONN_AWAITED_MAX + 1, BEGUN = 100 };
    struct rig *r = *state;
    struct client c[4]; /* one has the room, one the reserve, one starves, one is awaited */
    r->sh->budget.limit = 100 * 1000;
    for (int i = 0; i < 4; i++) {
        c[i] = client_open(r);
    }
    rig_until(r, r->opened == 4);
    conn_await(r->conns[3]);
    for (unsigned i = 0; i < 2; i++) {
        client_begin(&c[i], HELD, HELD);
        rig_until(r, r->started == i + 1);
    }
    client_say(&c[2], "starves");
    rig_settle(r);
    assert_int_equal(r->started, 2);
    client_say(&c[3], "awaited");
    rig_until(r, r->started == 3);
    assert_int_equal(rig_last(r)->conn, 3);
    client_say(&c[3], "once more"); /* not before the first is answered */
    rig_settle(r);
    assert_int_equal(r->started, 3);
    park_ok(rig_last(r));
    client_expect(&c[3], "ok");
    rig_until(r, r->started == 4);
    assert_int_equal(rig_last(r)->conn, 3);
    park_ok(rig_last(r));
    client_expect(&c[3], "ok");
    client_begin(&c[3], LARGE, BEGUN); /* a large one waits like others */
    rig_settle(r);
    assert_int_equal(r->started, 4);
    answer_until(r, 5, c, 0, 1);
    client_fill(&c[3], LARGE - BEGUN);
    answer_until(r, 6, c, 0, 1);
    for (unsigned i = 0; i < 4; i++) {
        client_expect(&c[i], "ok");
        client_close(&c[i]);
    }
}

/* Two unfinished frames hold all the memory; the reserve is free, and the only one that waits for
 * memory is one of whom nothing is known yet. Whoever goes on first gets the reserve. */
static void unfinished_frames_do_not_wait_for_each_other(void **state)
{
    struct rig *r = *state;
    struct client c[5]; /* two that stop in the middle, the one with the reserve, two that starve */
    r->sh->budget.limit = 100 * 1000;
    for (int i = 0; i < 5; i++) {
        c[i] = client_open(r);
    }
    client_begin(&c[0], 90 * 1000, 20 * 1000);
    rig_settle(r);
    client_begin(&c[1], 84 * 1000, 14 * 1000);
    rig_settle(r);
    client_say(&c[2], "reserve");
    rig_until(r, rig_parked(r) == 1);
    client_say(&c[3], "its header is read");
    rig_settle(r);
    client_say(&c[4], "nothing of it is read");
    rig_settle(r);
    if (r->sim == NULL) { /* there the bytes come in pieces, and the sums are others */
        assert_true(r->sh->budget.used >= r->sh->budget.limit);
        assert_int_equal(rig_parked(r), 1);
    }
    rig_close(r, 3);
    park_ok(rig_first(r));
    rig_settle(r);
    answer_until(r, 4, c, 2, 70 * 1000);
    for (int i = 0; i < 5; i++) {
        if (i != 3) {
            client_expect(&c[i], "ok");
        }
        client_close(&c[i]);
    }
}

/* One that does not read its answers keeps the memory; when another one needs it, the first goes.
 */
static void while_memory_is_short_deaf_peers_are_closed(void **state)
{
    struct rig *r = *state;
    struct client deaf, b, d;
    unsigned before;
    r->limits.body_timeout_ms = 100;
    r->serve = answer_much;
    deaf = client_open(r);
    do {
        before = r->started;
        client_say(&deaf, "O");
        rig_settle(r);
    } while (r->started > before);
    wait_ms(r, 250);
    assert_int_equal(r->closed, 0); /* nobody is in need */
    assert_true(r->sh->budget.used >= ANSWER);
    r->sh->budget.limit = ANSWER / 2;
    r->serve = NULL;
    b = client_open(r);
    d = client_open(r);
    client_begin(&b, FRAME, FRAME); /* gets the reserve */
    rig_until(r, rig_parked(r) == 1);
    client_begin(&d, FRAME, 30 * 1000); /* starves */
    rig_until(r, r->closed == 1);
    assert_null(r->conns[0]);
    assert_non_null(strstr(r->line, "does not read its answers while memory is short"));
    park_ok(rig_first(r)); /* the reserve is d's now */
    client_fill(&d, FRAME - 30 * 1000);
    rig_until(r, rig_parked(r) == 1);
    park_ok(rig_first(r));
    client_expect(&b, "ok");
    client_expect(&d, "ok");
    client_close(&deaf);
    client_close(&b);
    client_close(&d);
}

/* ---- all at random ---- */

enum { PEERS = 6, STEPS = 4000 };

struct peer {
    struct client c;
    struct buf asked; /* all that it will send: the echo must be a beginning of it */
    size_t sent;
    unsigned conn; /* index in rig.conns */
    bool alive;
};

static void peer_open(struct rig *r, struct peer *p, struct prng *rng)
{
    unsigned frames = (unsigned)prng_below(rng, 40);
    *p = (struct peer){.alive = true};
    p->c = client_open(r);
    p->conn = r->opened - 1;
    for (unsigned i = 0; i < frames; i++) {
        static const uint32_t most[] = {10, 300, 5000, 100 * 1000};
        uint32_t n = 1 + (uint32_t)prng_below(rng, most[prng_below(rng, 4)]);
        buf_put_be32(&p->asked, n);
        buf_put_u8(&p->asked, prng_below(rng, 3) ? 'O' : 'x');
        for (uint32_t k = 1; k < n; k++) {
            buf_put_u8(&p->asked, (uint8_t)(k + i));
        }
    }
}

static void peer_end(struct peer *p)
{
    buf_free(&p->asked);
    client_close(&p->c);
    p->alive = false;
}

static void peer_check(const struct peer *p)
{
    assert_true(p->c.in.len <= p->sent);
    if (p->c.in.len > 0) {
        assert_memory_equal(p->c.in.data, p->asked.data, p->c.in.len);
    }
}

static void peer_step(struct rig *r, struct peer *p, struct prng *rng)
{
    uint64_t what = prng_below(rng, 1000);
    if (what < 3) {
        peer_check(p);
        peer_end(p);
    } else if (what < 6 && r->conns[p->conn] != NULL) {
        rig_close(r, p->conn);
    } else if (what < 7 && r->conns[p->conn] != NULL) {
        conn_drain(r->conns[p->conn]);
    } else if (what < 500) {
        size_t n = (size_t)1 << prng_below(rng, 18);
        n = n < p->asked.len - p->sent ? n : p->asked.len - p->sent;
        p->sent += n && !p->c.ended ? client_send_some(&p->c, p->asked.data + p->sent, n) : 0;
    } else if (what < 750) {
        (void)client_recv(&p->c);
    } else {
        shard_turn(r->sh, 0);
    }
}

static void answer_some(struct rig *r, struct prng *rng)
{
    while (!list_empty(&r->parked) && prng_below(rng, 3) > 0) {
        uint64_t skip_n = prng_below(rng, rig_parked(r));
        struct list *n = r->parked.next;
        while (skip_n-- > 0) {
            n = n->next;
        }
        rig_answer(LIST_ENTRY(n, struct parked, node));
    }
}

/* Those that were closed by neither side get all their answers. */
static void peers_finish(struct rig *r, struct peer *peers, struct prng *rng)
{
    for (unsigned i = 0; i < PEERS; i++) {
        struct peer *p = &peers[i];
        if (!p->alive) {
            continue;
        }
        rig_until(r, ({
                      size_t left = p->asked.len - p->sent;
                      p->sent += left && !p->c.ended
                                     ? client_send_some(&p->c, p->asked.data + p->sent, left)
                                     : 0;
                      answer_some(r, rng);
                      for (unsigned k = 0; k < PEERS; k++) { /* or they keep the memory */
                          if (peers[k].alive) {
                              (void)client_recv(&peers[k].c);
                          }
                      }
                      p->c.ended || p->c.in.len == p->asked.len;
                  }));
        peer_check(p);
    }
}

static void run_at_random(struct rig *r, uint64_t seed)
{
    struct peer peers[PEERS] = {0};
    struct prng rng;
    unsigned end = r->opened + 16;
    prng_seed(&rng, seed);
    r->sh->budget.limit = 150 * 1000;
    r->limits.requests_max = 4;
    for (int i = 0; i < STEPS; i++) {
        struct peer *p = &peers[prng_below(&rng, PEERS)];
        if (p->alive) {
            peer_step(r, p, &rng);
        } else if (r->opened < end) {
            peer_open(r, p, &rng);
        }
        if (prng_below(&rng, 4) == 0) {
            answer_some(r, &rng);
        }
    }
    peers_finish(r, peers, &rng);
    for (unsigned i = 0; i < PEERS; i++) {
        if (peers[i].alive) {
            peer_end(&peers[i]);
        }
    }
    rig_until(r, (rig_answer_all(r), r->closed == r->opened));
    assert_int_equal(r->sh->budget.used, 0);
}

static void nothing_is_lost_or_kept_at_random(void **state)
{
    struct rig *r = *state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        run_at_random(r, seed);
    }
    assert_true(r->canceled > 0);
    assert_true(r->sh->budget.peak > r->sh->budget.limit);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        RIG_CASE(a_frame_that_stops_in_the_middle_closes),
        RIG_CASE(a_frame_that_goes_on_is_waited_for),
        RIG_CASE(what_we_do_not_read_is_not_on_the_clock),
        RIG_CASE(an_idle_connection_is_closed),
        RIG_CASE(a_peer_that_is_gone_is_not_kept_by_its_requests),
        RIG_CASE(a_late_shard_blames_nobody),
        RIG_CASE(an_answer_is_sent_before_idleness_counts),
        RIG_CASE(an_idle_shard_gives_back_and_sleeps),
        RIG_CASE(only_so_many_requests_are_read_ahead),
        RIG_CASE(a_peer_that_does_not_read_is_not_read),
        RIG_CASE(frames_beyond_the_budget_finish_one_by_one),
        RIG_CASE(a_frame_larger_than_the_budget_gets_the_reserve),
        RIG_CASE(a_frame_is_given_back_before_the_answer),
        RIG_CASE(starved_connections_all_go_on),
        RIG_CASE(who_is_awaited_does_not_starve),
        RIG_CASE(unfinished_frames_do_not_wait_for_each_other),
        RIG_CASE(while_memory_is_short_deaf_peers_are_closed),
        RIG_CASE(nothing_is_lost_or_kept_at_random),
    };
    return rig_run("limits", tests, ARRAY_LEN(tests));
}
