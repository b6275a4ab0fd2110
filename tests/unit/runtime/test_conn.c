/* Connections over real sockets: frames, order, answers from memory and from files, closing. What
 * has to do with limits, time and memory stands in test_conn_limits.c, patience in
 * test_conn_patience.c. */
#include "conn_rig.h"

/* ---- frames ---- */

static void a_frame_may_come_one_byte_at_a_time(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    struct buf b = {0};
    r->serve = rig_echo;
    frame_put(&b, "first", 5);
    frame_put(&b, "s", 1);
    for (size_t i = 0; i < b.len; i++) {
        client_send(&c, b.data + i, 1);
        shard_turn(r->sh, 0);
        shard_turn(r->sh, 0);
    }
    client_expect(&c, "first");
    client_expect(&c, "s");
    assert_int_equal(r->started, 2);
    buf_free(&b);
    client_close(&c);
}

/* Frames of all sizes around every boundary of the reader (scratch, inline, pool classes, growth),
 * in one stream that is sent in random pieces. */
static void frames_of_all_sizes_come_back(void **state)
{
    static const uint32_t sizes[] = {1,      2,      3,      4,       5,       100,     1024,
                                     1025,   2047,   2048,   2049,    8191,    8192,    8193,
                                     16384,  16385,  32767,  32768,   65531,   65532,   65533,
                                     65536,  131072, 200000, 524288,  1048575, 1048576, 1,
                                     700000, 1,      900000, 1048576, 1048576, 7};
    struct rig *r = *state;
    struct client c = client_open(r);
    struct buf b = {0};
    struct prng rng;
    size_t sent = 0;
    r->serve = rig_echo;
    prng_seed(&rng, 5);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        buf_put_be32(&b, sizes[i]);
        for (uint32_t k = 0; k < sizes[i]; k++) {
            buf_put_u8(&b, (uint8_t)(i + k * 7 + k / 251));
        }
    }
    rig_until(r, ({
                  size_t n = (size_t)1 << prng_below(&rng, 19);
                  n = n < b.len - sent ? n : b.len - sent;
                  sent += n > 0 ? client_send_some(&c, b.data + sent, n) : 0;
                  client_recv(&c);
                  c.in.len >= b.len || c.ended;
              }));
    assert_false(c.ended);
    assert_int_equal(c.in.len, b.len);
    assert_memory_equal(c.in.data, b.data, b.len);
    assert_int_equal(r->started, ARRAY_LEN(sizes));
    buf_free(&b);
    client_close(&c);
}

static void bad_length(struct rig *r, int32_t length, const char *said)
{
    struct client c;
    uint8_t head[4];
    unsigned lines = r->lines, started = r->started, closed = r->closed;
    r->limits.frame_bytes_max = 1000;
    c = client_open(r);
    store_be32(head, (uint32_t)length);
    client_say(&c, "before"); /* what came whole before it is still started */
    client_send(&c, head, 4);
    client_expect_end(&c);
    rig_until(r, r->closed == closed + 1);
    assert_int_equal(r->lines, lines + 1);
    if (strstr(r->line, said) == NULL || strstr(r->line, "peer=") == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", r->line, said);
    }
    assert_true(r->started <= started + 1);
    rig_answer_all(r);
    client_close(&c);
}

static void lengths_that_are_not_allowed_close(void **state)
{
    struct rig *r = *state;
    bad_length(r, 0, "says it is 0 bytes long, allowed are 1 to 1000");
    bad_length(r, -1, "says it is -1 bytes long");
    bad_length(r, INT32_MIN, "says it is -2147483648 bytes long");
    bad_length(r, 1001, "says it is 1001 bytes long");
    bad_length(r, INT32_MAX, "says it is 2147483647 bytes long");
    /* bytes of another protocol */
    bad_length(r, 0x16030100, "369295616");
}

static void the_longest_allowed_frame_is_served(void **state)
{
    struct rig *r = *state;
    struct client c;
    struct buf b = {0};
    uint8_t body[1000];
    struct bytes got;
    r->limits.frame_bytes_max = sizeof body;
    r->serve = rig_echo;
    c = client_open(r);
    memset(body, 'x', sizeof body);
    frame_put(&b, body, sizeof body);
    client_send(&c, b.data, b.len);
    rig_until(r, client_frame(&c, &got));
    assert_int_equal(got.len, sizeof body);
    buf_free(&b);
    client_close(&c);
}

/* ---- order ---- */

static char first_of(const struct parked *p)
{
    return (char)p->req->frame.data[0];
}

static void without_overlap_requests_start_one_by_one(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    client_say(&c, "a");
    client_say(&c, "b");
    client_say(&c, "c");
    for (char want = 'a'; want <= 'c'; want++) {
        rig_until(r, rig_first(r) != NULL);
        rig_settle(r);
        assert_int_equal(rig_parked(r), 1);
        assert_int_equal(first_of(rig_first(r)), want);
        rig_answer(rig_first(r));
    }
    client_expect(&c, "a");
    client_expect(&c, "b");
    client_expect(&c, "c");
    client_close(&c);
}

static void overlap_needs_the_consent_of_all(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    client_say(&c, "O1");
    client_say(&c, "O2");
    client_say(&c, "x3");
    client_say(&c, "O4");
    client_say(&c, "O5");
    rig_until(r, rig_parked(r) == 2);
    rig_settle(r);
    assert_int_equal(rig_parked(r), 2);                          /* x3 waits for both */
    rig_answer(LIST_ENTRY(r->parked.prev, struct parked, node)); /* O2 */
    rig_settle(r);
    assert_int_equal(rig_parked(r), 1);
    assert_int_equal(client_recv(&c), false); /* its answer waits for O1's */
    rig_answer(rig_first(r));
    rig_until(r, rig_parked(r) == 1);
    rig_settle(r);
    assert_int_equal(rig_parked(r), 1);
    assert_int_equal(first_of(rig_first(r)), 'x'); /* and O4 waits for x3 */
    rig_answer(rig_first(r));
    rig_until(r, rig_parked(r) == 2);
    rig_answer_all(r);
    client_expect(&c, "O1");
    client_expect(&c, "O2");
    client_expect(&c, "x3");
    client_expect(&c, "O4");
    client_expect(&c, "O5");
    client_close(&c);
}

static void classes_do_not_overlap_each_other(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    client_say(&c, "O1");
    client_say(&c, "O2");
    client_say(&c, "P3");
    client_say(&c, "P4");
    client_say(&c, "O5");
    for (int turn = 0; turn < 3; turn++) {
        uint64_t together = turn < 2 ? 2 : 1;
        rig_until(r, rig_parked(r) == together);
        rig_settle(r);
        assert_int_equal(rig_parked(r), together);
        assert_int_equal(first_of(rig_first(r)), "OPO"[turn]);
        rig_answer(rig_first(r));
        rig_settle(r);
        assert_int_equal(rig_parked(r), together - 1); /* one that runs keeps the others out */
        rig_answer_all(r);
    }
    client_expect(&c, "O1");
    client_expect(&c, "O2");
    client_expect(&c, "P3");
    client_expect(&c, "P4");
    client_expect(&c, "O5");
    client_close(&c);
}

/* A long stream of requests, some overlapping, answered in random order, now and then not at all
 * (acks=0): the answers come in the order of the requests, and nothing was started too early. */
static bool may_run_together(const struct rig *r)
{
    bool all = true;
    unsigned n = 0;
    list_for_each (it, &r->parked) {
        char class = first_of(LIST_ENTRY(it, struct parked, node));
        all = all && class != 'x' && class == first_of(rig_first(r));
        n++;
    }
    return all || n == 1;
}

static struct parked *any_parked(const struct rig *r, struct prng *rng)
{
    uint64_t skip = prng_below(rng, rig_parked(r));
    struct list *n = r->parked.next;
    while (skip-- > 0) {
        n = n->next;
    }
    return LIST_ENTRY(n, struct parked, node);
}

static void say_nothing(struct parked *p)
{
    struct conn_req *req = p->req;
    struct list none;
    list_init(&none);
    list_remove(&p->node);
    mem_free(p);
    conn_reply(req, &none);
}

static void answers_keep_the_order_of_requests(void **state)
{
    enum { REQUESTS = 600 };
    struct rig *r = *state;
    struct client c = client_open(r);
    struct buf asked = {0}, expected = {0};
    struct prng rng;
    size_t sent = 0;
    prng_seed(&rng, 11);
    for (unsigned i = 0; i < REQUESTS; i++) {
        char text[600];
        size_t n = 12 + prng_below(&rng, prng_below(&rng, 10) == 0 ? sizeof text - 12 : 20);
        bool silent = prng_below(&rng, 8) == 0;
        memset(text, 'a' + (int)(i % 26), sizeof text);
        snprintf(text, sizeof text, "%c%c%08u", "OOOOOPPx"[prng_below(&rng, 8)], silent ? '0' : '1',
                 i);
        frame_put(&asked, text, n);
        if (!silent) {
            frame_put(&expected, text, n);
        }
    }
    rig_until(r, ({
                  size_t n = prng_below(&rng, 3000);
                  n = n < asked.len - sent ? n : asked.len - sent;
                  sent += n > 0 ? client_send_some(&c, asked.data + sent, n) : 0;
                  assert_true(may_run_together(r));
                  if (!list_empty(&r->parked) && prng_below(&rng, 4) > 0) {
                      struct parked *p = any_parked(r, &rng);
                      (p->req->frame.data[1] == '0' ? say_nothing : rig_answer)(p);
                  }
                  client_recv(&c);
                  c.in.len >= expected.len && r->started == REQUESTS &&list_empty(&r->parked);
              }));
    assert_int_equal(c.in.len, expected.len);
    assert_memory_equal(c.in.data, expected.data, expected.len);
    buf_free(&asked);
    buf_free(&expected);
    client_close(&c);
}

/* ---- closing ---- */

static void a_body_that_ends_early_is_dropped(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    struct buf b = {0};
    r->serve = rig_echo;
    frame_put(&b, "whole", 5);
    buf_put_be32(&b, 100000);
    buf_put_str(&b, "and this one is not");
    client_send(&c, b.data, b.len);
    client_expect(&c, "whole");
    client_close(&c);
    rig_until(r, r->closed == 1);
    assert_int_equal(r->started, 1);
    assert_int_equal(r->sh->budget.used, 0);
    buf_free(&b);
}

static void a_header_that_ends_early_is_dropped(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    client_send(&c, "\0\0", 2);
    client_close(&c);
    rig_until(r, r->closed == 1);
    assert_int_equal(r->started, 0);
    assert_int_equal(r->lines, 0); /* peers come and go: no news */
}

static void requests_before_the_end_of_the_stream_are_started(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    client_say(&c, "one");
    client_say(&c, "two");
    client_say(&c, "three");
    client_close(&c);
    for (int i = 0; i < 3; i++) {
        rig_until(r, rig_first(r) != NULL || r->closed == 1);
        if (r->closed == 1) {
            break; /* the answer to a socket that is gone has been refused */
        }
        struct list none;
        struct parked *p = rig_first(r);
        struct conn_req *req = p->req;
        list_init(&none);
        list_remove(&p->node);
        mem_free(p);
        conn_reply(req, &none); /* as to acks=0 */
    }
    rig_until(r, r->closed == 1);
    assert_int_equal(r->started, 3);
    assert_int_equal(r->canceled, 0);
}

static void closing_cancels_what_runs_and_frees_what_waits(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    struct parked *answered;
    client_say(&c, "O1");
    client_say(&c, "O2");
    client_say(&c, "O3");
    client_say(&c, "x4");
    client_say(&c, "x5");
    rig_until(r, rig_parked(r) == 3);
    rig_settle(r);
    rig_answer(LIST_ENTRY(r->parked.prev, struct parked, node)); /* O3: waits for its turn */
    answered = rig_first(r);
    rig_close(r, 0);
    rig_close(r, 0); /* no harm */
    assert_null(answered->req->conn);
    rig_answer(answered); /* before the turn ends: no on_cancel for it */
    assert_int_equal(r->canceled + r->closed, 0);
    shard_turn(r->sh, 0);
    assert_int_equal(r->closed, 1);
    assert_int_equal(r->canceled, 1);
    assert_int_equal(rig_parked(r), 1);
    assert_true(rig_first(r)->canceled);
    assert_true(r->sh->budget.used > 0); /* its frame is still in use */
    rig_answer_all(r);
    assert_int_equal(r->sh->budget.used, 0);
    assert_int_equal(r->started, 3);
    client_expect_end(&c);
    assert_int_equal(c.in.len, 0);
    client_close(&c);
}

static void close_at_once(struct conn_req *req)
{
    struct rig *r = rig_of(req->shard);
    struct list none;
    rig_close(r, rig_index(r, req->conn));
    list_init(&none);
    conn_reply(req, &none);
}

static void a_request_may_close_its_connection(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    r->serve = close_at_once;
    client_say(&c, "O1");
    client_say(&c, "O2");
    client_expect_end(&c);
    rig_until(r, r->closed == 1);
    assert_int_equal(r->started, 1);
    assert_int_equal(r->canceled, 0); /* it was answered in time */
    client_close(&c);
}

static void close_in_on_open(struct conn *c)
{
    rig_on_open(c);
    conn_close(c);
}

static void a_connection_may_be_closed_as_it_opens(void **state)
{
    static struct conn_ops ops;
    struct rig *r = *state;
    struct client c = client_open(r);
    bool connected = false;
    int handle;
    ops = rig_conn_ops;
    ops.on_open = close_in_on_open;
    client_close(&c);
    assert_int_equal(io_connect(r->sh->io, r->ip, io_sock_port(r->listener), &c.s), 0);
    io_sock_arm(c.s, IO_WRITE, client_connected, &connected);
    rig_until(r, connected && io_accept(r->listener, &handle) == 0);
    assert_non_null(conn_open(r->sh, handle, &ops, &r->limits, r));
    c.ended = false;
    client_expect_end(&c);
    rig_until(r, r->closed == 2);
    client_close(&c);
}

/* ---- an orderly stop ---- */

static void draining_answers_what_runs_and_then_closes(void **state)
{
    struct rig *r = *state;
    struct client busy = client_open(r), idle = client_open(r), half = client_open(r);
    client_say(&busy, "O1");
    client_say(&busy, "O2");
    client_say(&busy, "x3"); /* waits: will not be answered */
    client_send(&half, "\0\0\1\0abc", 7);
    rig_until(r, rig_parked(r) == 2);
    rig_settle(r);
    conn_close_all(r->sh, true);
    conn_close_all(r->sh, true); /* no harm */
    client_expect_end(&idle);
    client_expect_end(&half);
    assert_int_equal(conn_count(r->sh), 1);
    rig_answer_all(r);
    client_expect(&busy, "O1");
    client_expect(&busy, "O2");
    client_expect_end(&busy);
    rig_until(r, r->closed == 3);
    assert_int_equal(busy.at, busy.in.len);
    assert_int_equal(r->started, 2);
    assert_int_equal(r->canceled, 0);
    client_close(&busy);
    client_close(&idle);
    client_close(&half);
}

/* ---- answers from files ---- */

enum { FILE_BYTES = 3 << 20 };

struct stored {
    struct io_file *f;
    uint8_t *data;
};

static struct stored make_file(struct rig *r)
{
    struct stored s = {NULL, mem_alloc(FILE_BYTES)};
    char path[256];
    struct prng rng;
    prng_seed(&rng, 3);
    for (size_t i = 0; i < FILE_BYTES; i += 8) {
        uint64_t v = prng_next(&rng);
        memcpy(s.data + i, &v, 8);
    }
    snprintf(path, sizeof path, "%s/served", r->backend->dir);
    assert_int_equal(io_open(r->sh->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &s.f),
                     0);
    assert_int_equal(io_pwrite(s.f, s.data, FILE_BYTES, 0), FILE_BYTES);
    assert_int_equal(io_fsync(s.f), 0);
    return s;
}

/* Answers the oldest parked request with length, head, a range of the file, and an end. */
static void answer_range(struct rig *r, struct stored *s, uint64_t off, size_t n, bool hot,
                         struct buf *expected)
{
    struct parked *p = rig_first(r);
    struct conn_req *req = p->req;
    struct buf head = {0};
    struct list chunks;
    buf_put_be32(&head, (uint32_t)(4 + n + 3));
    buf_put_str(&head, "head");
    list_init(&chunks);
    list_push_back(&chunks, &rig_chunk_mem(head.data, head.len)->node);
    list_push_back(&chunks, &rig_chunk_file(s->f, off, n, hot)->node);
    list_push_back(&chunks, &rig_chunk_mem("", 0)->node); /* carries only its release */
    list_push_back(&chunks, &rig_chunk_mem("end", 3)->node);
    buf_put(expected, head.data, head.len);
    buf_put(expected, s->data + off, n);
    buf_put(expected, "end", 3);
    buf_free(&head);
    list_remove(&p->node);
    mem_free(p);
    conn_reply(req, &chunks);
    assert_true(list_empty(&chunks));
}

static void serve_ranges(struct rig *r, bool hot)
{
    static const struct {
        uint64_t off;
        size_t n;
    } ranges[] = {{0, 1}, {1, 4095}, {4097, 100000}, {12345, (2 << 20) + 77}, {FILE_BYTES - 5, 5}};
    struct client c = client_open(r);
    struct stored s = make_file(r);
    struct buf expected = {0};
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        client_say(&c, "Orange");
    }
    rig_until(r, rig_parked(r) == ARRAY_LEN(ranges));
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        answer_range(r, &s, ranges[i].off, ranges[i].n, hot, &expected);
    }
    rig_until(r, (client_recv(&c), c.in.len >= expected.len || c.ended));
    assert_int_equal(c.in.len, expected.len);
    assert_memory_equal(c.in.data, expected.data, expected.len);
    rig_until(r, r->released == 4 * ARRAY_LEN(ranges));
    buf_free(&expected);
    mem_free(s.data);
    io_file_close(s.f);
    client_close(&c);
}

static void hot_ranges_are_sent_without_asking(void **state)
{
    struct rig *r = *state;
    rig_watch_files(r);
    serve_ranges(r, true);
    assert_int_equal(r->questions + r->cold_sends, 0);
    assert_true(r->sendfiles > 0);
}

static void resident_ranges_are_sent_in_line(void **state)
{
    struct rig *r = *state;
    rig_watch_files(r);
    serve_ranges(r, false);
    assert_true(r->questions > 0);
    assert_int_equal(r->sendfiles + r->cold_sends > 0, true);
}

static void cold_ranges_are_brought_by_cold_sends(void **state)
{
    struct rig *r = *state;
    rig_watch_files(r);
    r->all_cold = true;
    serve_ranges(r, false);
    assert_true(r->cold_sends > 0);
    assert_int_equal(r->sendfiles, 0);
}

static void promise_too_much(struct rig *r, bool hot)
{
    struct client c = client_open(r);
    struct stored s = make_file(r);
    struct buf expected = {0};
    unsigned closed = r->closed, released = r->released;
    assert_int_equal(io_truncate(s.f, 100000), 0);
    client_say(&c, "range");
    rig_until(r, rig_parked(r) == 1);
    answer_range(r, &s, 50000, 100000, hot, &expected);
    client_expect_end(&c);
    rig_until(r, r->closed == closed + 1 && r->released == released + 4);
    assert_non_null(strstr(r->line, "the file is shorter than promised"));
    assert_true(c.in.len <= 8 + 50000);
    assert_memory_equal(c.in.data, expected.data, c.in.len);
    buf_free(&expected);
    mem_free(s.data);
    io_file_close(s.f);
    client_close(&c);
}

static void a_range_that_is_not_there_closes(void **state)
{
    struct rig *r = *state;
    rig_watch_files(r);
    promise_too_much(r, true);
    r->all_cold = true;
    promise_too_much(r, false);
}

static void close_the_first(struct task *t)
{
    struct rig *r = t->user;
    rig_close(r, 0);
    assert_int_equal(r->released, 7); /* all but the one that is being sent */
}

static void closing_during_a_cold_send_releases_once(void **state)
{
    struct rig *r = *state;
    struct client c = client_open(r);
    struct stored s = make_file(r);
    struct buf expected = {0};
    rig_watch_files(r);
    r->all_cold = true;
    task_init(&r->on_cold, close_the_first, r);
    client_say(&c, "Orange");
    client_say(&c, "Orange");
    rig_until(r, rig_parked(r) == 2);
    answer_range(r, &s, 0, 1 << 20, false, &expected);
    answer_range(r, &s, 0, 1 << 20, false, &expected);
    rig_until(r, r->released == 8 && r->closed == 1);
    client_expect_end(&c);
    buf_free(&expected);
    mem_free(s.data);
    io_file_close(s.f);
    client_close(&c);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        RIG_CASE(a_frame_may_come_one_byte_at_a_time),
        RIG_CASE(frames_of_all_sizes_come_back),
        RIG_CASE(lengths_that_are_not_allowed_close),
        RIG_CASE(the_longest_allowed_frame_is_served),
        RIG_CASE(without_overlap_requests_start_one_by_one),
        RIG_CASE(overlap_needs_the_consent_of_all),
        RIG_CASE(classes_do_not_overlap_each_other),
        RIG_CASE(answers_keep_the_order_of_requests),
        RIG_CASE(a_body_that_ends_early_is_dropped),
        RIG_CASE(a_header_that_ends_early_is_dropped),
        RIG_CASE(requests_before_the_end_of_the_stream_are_started),
        RIG_CASE(closing_cancels_what_runs_and_frees_what_waits),
        RIG_CASE(a_request_may_close_its_connection),
        RIG_CASE(a_connection_may_be_closed_as_it_opens),
        RIG_CASE(draining_answers_what_runs_and_then_closes),
        RIG_CASE(hot_ranges_are_sent_without_asking),
        RIG_CASE(resident_ranges_are_sent_in_line),
        RIG_CASE(cold_ranges_are_brought_by_cold_sends),
        RIG_CASE(a_range_that_is_not_there_closes),
        RIG_CASE(closing_during_a_cold_send_releases_once),
    };
    return rig_run("connections", tests, ARRAY_LEN(tests));
}
