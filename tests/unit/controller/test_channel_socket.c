/* The socket carrier between two controllers of the simulated network, of which one never answers:
 * what becomes of the calls when the word comes that another one leads; and which of its endpoints
 * a channel goes to that had to learn where the controllers are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "controller/channel.h"
#include "proto_apis.h"
#include "runtime/conn.h"
#include "sim/io_sim.h"

enum { PEERS = 2, KEPT = 2, TIMEOUT_MS = 30000, SOON_MS = 1000, NOBODYS_PORT = 1 };

struct world;

struct peer {
    struct world *w;
    struct io_sock *listener;
    struct conn_limits limits;
    struct conn_req *kept[KEPT]; /* of one that does not answer */
    bool silent;
    bool heartbeats; /* silent but for them */
    unsigned asked;
};

struct world {
    struct sim *sim;
    struct sim_proc *proc;
    struct shard_group *group;
    struct shard *shard;
    struct peer peers[PEERS]; /* ids 1 and 2 */
    struct channel *ch;
};

struct asked {
    struct channel_call call;
    struct world *w;
    bool refused; /* the answer is taken for the word that its sender does not lead */
    bool ended;
    int err;
};

/* ---- the controllers ---- */

/* The header of an Envelope's answer, and nothing in it. */
static void answer(struct conn_req *req)
{
    uint8_t *out = mem_alloc(9);
    store_be32(out, 5);
    memcpy(out + 4, req->frame.data + 4, 4); /* the correlation id */
    out[8] = 0;
    conn_reply_mem(req, out, 9);
}

static void keep(struct peer *p, struct conn_req *req)
{
    int i = 0;
    while (i < KEPT && p->kept[i]) {
        i++;
    }
    assert_true(i < KEPT);
    p->kept[i] = req;
}

static struct conn_req *take_kept(struct peer *p)
{
    struct conn_req *req = p->kept[0];
    p->kept[0] = NULL;
    return req;
}

static void on_request(struct conn_req *req)
{
    struct peer *p = req->conn->user;
    bool heartbeat = load_be16(req->frame.data) == API_BROKER_HEARTBEAT;
    p->asked++;
    if (p->silent && !(p->heartbeats && heartbeat)) {
        keep(p, req);
    } else {
        answer(req);
    }
}

static void on_cancel(struct conn_req *req)
{
    struct world *w = req->shard->user;
    struct list none;
    for (int i = 0; i < PEERS * KEPT; i++) {
        struct conn_req **kept = &w->peers[i / KEPT].kept[i % KEPT];
        *kept = *kept == req ? NULL : *kept;
    }
    list_init(&none);
    conn_reply(req, &none);
}

static const struct conn_ops ops = {.on_request = on_request, .on_cancel = on_cancel};

static void on_accept(struct io_sock *s, unsigned events, void *user)
{
    struct peer *p = user;
    int handle;
    UNUSED(events);
    while (io_accept(s, &handle) == 0) {
        assert_non_null(conn_open(p->w->shard, handle, &ops, &p->limits, p));
    }
    io_sock_arm(s, IO_READ, on_accept, p);
}

/* ---- the world ---- */

static void no_msg(struct shard *sh, struct msg *m)
{
    UNUSED(sh);
    UNUSED(m);
    fail();
}

static void open_peers(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->sim = sim_new(1);
    w->sim->self_advance = true;
    w->proc = sim_proc_new(sim_host_new(w->sim, 1 << 20));
    w->group = shard_group_new(1, NULL, io_sim_make, w->proc, NULL);
    assert_int_equal(shard_group_start_inline(w->group, NULL), 0);
    w->shard = shard_group_get(w->group, 0);
    w->shard->user = w;
    w->shard->on_msg = no_msg;
    for (int i = 0; i < PEERS; i++) {
        struct peer *p = &w->peers[i];
        p->w = w;
        p->limits = (struct conn_limits){.frame_bytes_max = 1 << 20, .requests_max = 8};
        assert_int_equal(io_listen(w->shard->io, "127.0.0.1", 0, &p->listener), 0);
        io_sock_arm(p->listener, IO_READ, on_accept, p);
    }
    w->peers[0].silent = true;
}

static uint16_t port_of(const struct world *w, int peer)
{
    return io_sock_port(w->peers[peer].listener);
}

static void open_world(struct world *w)
{
    struct channel_endpoint endpoints[PEERS] = {{.id = 1}, {.id = 2}};
    open_peers(w);
    for (int i = 0; i < PEERS; i++) {
        endpoints[i].port = port_of(w, i);
        strcpy(endpoints[i].host, "127.0.0.1");
    }
    w->ch = channel_socket_new(w->shard, endpoints, PEERS, "test");
}

/* Has only heard where to begin, under a name that the controllers do not go by. */
static void open_beginner(struct world *w)
{
    struct channel_endpoint endpoints[PEERS] = {{.id = -1}, {.id = -1}};
    open_peers(w);
    for (int i = 0; i < PEERS; i++) {
        endpoints[i].port = port_of(w, i);
        strcpy(endpoints[i].host, "localhost");
    }
    w->ch = channel_socket_new(w->shard, endpoints, PEERS, "test");
}

static void run(struct world *w, int64_t ms)
{
    int64_t end = shard_now_ms(w->shard) + ms;
    do {
        int64_t left = end - shard_now_ms(w->shard);
        shard_turn(w->shard, left > 0 ? left * 1000 : 0);
    } while (shard_now_ms(w->shard) < end);
}

static void shut_world(struct world *w)
{
    struct errmsg em;
    channel_close(w->ch);
    run(w, 10);
    conn_close_all(w->shard, false);
    run(w, 10);
    assert_int_equal(conn_count(w->shard), 0);
    for (int i = 0; i < PEERS; i++) {
        io_sock_close(w->peers[i].listener);
    }
    shard_group_stop(w->group);
    shard_group_join(w->group);
    shard_group_free(w->group);
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("%s", em.text);
    }
    sim_free(w->sim);
}

static void on_end(struct channel_call *call, int err, struct bytes body)
{
    struct asked *a = call->user;
    UNUSED(body);
    assert_false(a->ended);
    a->ended = true;
    a->err = err;
    if (a->refused && !err) {
        channel_not_controller(a->w->ch);
    }
}

static void ask_api(struct world *w, struct asked *a, int16_t api_key)
{
    *a = (struct asked){.call = {.api_key = api_key,
                                 .body = bytes_str("body"),
                                 .timeout_ms = TIMEOUT_MS,
                                 .cb = on_end,
                                 .user = a},
                        .w = w};
    channel_call(w->ch, &a->call);
}

static void ask(struct world *w, struct asked *a)
{
    ask_api(w, a, API_ENVELOPE);
}

/* ---- cases ---- */

static void a_silent_controller_is_left_for_the_new_leader(void **state)
{
    struct world w;
    struct asked sent;
    struct asked behind;
    UNUSED(state);
    open_world(&w);
    ask(&w, &sent);
    run(&w, SOON_MS);
    assert_int_equal(w.peers[0].asked, 1);
    assert_false(sent.ended);
    channel_leader(w.ch, 2);
    assert_false(sent.ended); /* never inside the word */
    ask(&w, &behind);
    run(&w, SOON_MS);
    assert_true(sent.ended);
    assert_int_equal(sent.err, ERR_CLOSED);
    assert_true(behind.ended); /* not sent to the silent one: it just went elsewhere */
    assert_int_equal(behind.err, 0);
    assert_int_equal(w.peers[0].asked, 1);
    assert_int_equal(w.peers[1].asked, 1);
    shut_world(&w);
}

static void a_late_answer_within_the_grace_counts(void **state)
{
    struct world w;
    struct asked sent;
    UNUSED(state);
    open_world(&w);
    ask(&w, &sent);
    run(&w, SOON_MS);
    channel_leader(w.ch, 2);
    run(&w, 20);
    assert_false(sent.ended);
    answer(take_kept(&w.peers[0]));
    run(&w, SOON_MS);
    assert_true(sent.ended);
    assert_int_equal(sent.err, 0);
    shut_world(&w);
}

/* The word that names the one that is asked already, or one that led before and leads again. */
static void a_leader_that_stays_is_waited_for(void **state)
{
    struct world w;
    struct asked sent;
    UNUSED(state);
    open_world(&w);
    ask(&w, &sent);
    run(&w, SOON_MS);
    channel_leader(w.ch, 1);
    run(&w, SOON_MS);
    assert_false(sent.ended);
    channel_leader(w.ch, 2);
    channel_leader(w.ch, 1);
    run(&w, SOON_MS);
    assert_false(sent.ended);
    run(&w, TIMEOUT_MS);
    assert_true(sent.ended);
    assert_int_equal(sent.err, ERR_TIMEOUT);
    shut_world(&w);
}

/* As when the controller in the caller's own process leads. */
static void a_leader_that_is_none_of_them_ends_all(void **state)
{
    struct world w;
    struct asked sent;
    UNUSED(state);
    open_world(&w);
    ask(&w, &sent);
    run(&w, SOON_MS);
    channel_leader(w.ch, 3);
    run(&w, SOON_MS);
    assert_true(sent.ended);
    assert_int_equal(sent.err, ERR_CLOSED);
    shut_world(&w);
}

/* Asks until the one that is asked has been silent too long. */
static void run_into_silence(struct world *w)
{
    struct asked sent;
    ask(w, &sent);
    run(w, TIMEOUT_MS + 10);
    assert_true(sent.ended);
    assert_int_equal(sent.err, ERR_TIMEOUT);
}

/* Who is asked next; it answers. */
static int asks(struct world *w)
{
    struct asked a;
    unsigned before[PEERS] = {w->peers[0].asked, w->peers[1].asked};
    ask(w, &a);
    run(w, 100);
    assert_true(a.ended);
    assert_int_equal(a.err, 0);
    assert_int_equal(w->peers[0].asked + w->peers[1].asked, before[0] + before[1] + 1);
    return w->peers[0].asked > before[0] ? 1 : 2;
}

/* Before an election the others name the one that led, which is gone. */
static void nobody_goes_back_to_a_silent_one_on_hearsay(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    run_into_silence(&w);
    w.peers[0].silent = false; /* whoever comes is seen */
    channel_hint(w.ch, 1);
    assert_int_equal(asks(&w), 2);
    channel_not_controller(w.ch);
    assert_int_equal(asks(&w), 2);
    run(&w, SOON_MS);
    channel_hint(w.ch, 1); /* it may be the one after all */
    assert_int_equal(asks(&w), 1);
    shut_world(&w);
}

static void who_knows_is_believed_at_once(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    run_into_silence(&w);
    w.peers[0].silent = false;
    channel_leader(w.ch, 1);
    assert_int_equal(asks(&w), 1);
    channel_not_controller(w.ch); /* and it is not silent any more */
    channel_hint(w.ch, 1);
    assert_int_equal(asks(&w), 1);
    shut_world(&w);
}

/* One answer is late, others came in the meantime. */
static void a_controller_that_answers_others_is_not_silent(void **state)
{
    struct world w;
    struct asked late;
    struct asked heartbeat;
    UNUSED(state);
    open_world(&w);
    w.peers[0].heartbeats = true;
    ask(&w, &late);
    run(&w, TIMEOUT_MS - SOON_MS);
    ask_api(&w, &heartbeat, API_BROKER_HEARTBEAT);
    run(&w, SOON_MS + 10);
    assert_int_equal(late.err, ERR_TIMEOUT);
    assert_int_equal(heartbeat.err, 0);
    w.peers[0].silent = false;
    channel_hint(w.ch, 1);
    assert_int_equal(asks(&w), 1);
    shut_world(&w);
}

/* The last answer came while it might still keep this one. */
static void a_controller_that_answered_others_before_it_had_to_answer_is_silent(void **state)
{
    enum { HELD_MS = TIMEOUT_MS / 3 };
    struct world w;
    struct asked poll;
    struct asked heartbeat;
    UNUSED(state);
    open_world(&w);
    w.peers[0].heartbeats = true;
    poll = (struct asked){.call = {.api_key = API_FETCH,
                                   .body = bytes_str("body"),
                                   .timeout_ms = TIMEOUT_MS,
                                   .held_ms = HELD_MS,
                                   .cb = on_end,
                                   .user = &poll}};
    channel_call(w.ch, &poll.call);
    run(&w, HELD_MS);
    ask_api(&w, &heartbeat, API_BROKER_HEARTBEAT);
    run(&w, TIMEOUT_MS - HELD_MS + 10);
    assert_int_equal(heartbeat.err, 0);
    assert_int_equal(poll.err, ERR_TIMEOUT);
    w.peers[0].silent = false;
    channel_hint(w.ch, 1);
    assert_int_equal(asks(&w), 2);
    shut_world(&w);
}

/* It has two names. */
static void a_silent_one_is_not_gone_back_to_by_the_name_it_began_with(void **state)
{
    struct world w;
    UNUSED(state);
    open_beginner(&w);
    channel_know(w.ch, 1, "127.0.0.1", port_of(&w, 0));
    channel_know(w.ch, 2, "127.0.0.1", port_of(&w, 1));
    channel_leader(w.ch, 1);
    run_into_silence(&w);
    w.peers[0].silent = false;
    for (int i = 0; i < 3; i++) {
        channel_not_controller(w.ch);
        assert_int_equal(asks(&w), 2);
    }
    shut_world(&w);
}

/* They have moved, and the name with them. */
static void spares_are_tried_when_all_that_are_known_are_gone(void **state)
{
    struct world w;
    struct asked a;
    UNUSED(state);
    open_beginner(&w);
    for (int32_t id = 1; id <= PEERS; id++) {
        channel_know(w.ch, id, "127.0.0.1", NOBODYS_PORT);
    }
    channel_leader(w.ch, 1);
    w.peers[0].silent = false;
    ask(&w, &a);
    run(&w, SOON_MS);
    assert_true(a.ended);
    assert_int_equal(a.err, 0);
    assert_int_equal(w.peers[0].asked + w.peers[1].asked, 1);
    shut_world(&w);
}

/* The first is the only one that is known, and cut off from the others: it leads no longer, and
 * does not know who does. */
static void spares_are_tried_when_one_that_does_not_lead_knows_nobody(void **state)
{
    struct world w;
    struct asked a;
    UNUSED(state);
    open_beginner(&w);
    w.peers[0].silent = false;
    channel_know(w.ch, 1, "127.0.0.1", port_of(&w, 0));
    channel_leader(w.ch, 1);
    for (int64_t ms = 0; ms < 3 * SOON_MS && w.peers[1].asked == 0; ms += 100) {
        ask(&w, &a);
        a.refused = true;
        run(&w, 100);
        assert_true(a.ended);
        assert_true(w.peers[1].asked == 0 || ms > SOON_MS); /* an election is not that long */
    }
    assert_int_equal(w.peers[1].asked, 1);
    shut_world(&w);
}

/* To where a spare is. */
static void a_controller_that_moved_is_where_it_is_now(void **state)
{
    struct world w;
    UNUSED(state);
    open_beginner(&w);
    w.peers[0].silent = false;
    channel_know(w.ch, 1, "127.0.0.1", port_of(&w, 0));
    channel_know(w.ch, 1, "localhost", port_of(&w, 1));
    channel_leader(w.ch, 1);
    assert_int_equal(asks(&w), 2);
    shut_world(&w);
}

/* Its length is enough to break the connection. */
static void an_answer_beyond_the_bound_is_not_read(void **state)
{
    enum { ANSWER = 5 };
    struct world w;
    struct asked sent;
    UNUSED(state);
    open_world(&w);
    w.peers[0].silent = false;
    for (uint32_t bound = ANSWER - 1; bound <= ANSWER; bound++) {
        channel_socket_bound(w.ch, bound);
        ask(&w, &sent);
        run(&w, SOON_MS);
        assert_true(sent.ended);
        assert_int_equal(sent.err, bound < ANSWER ? ERR_CLOSED : 0);
    }
    shut_world(&w);
}

/* A connection's answers come in the order of its requests: a heartbeat has one of its own, also
 * when the other two were there first. */
static void a_heartbeat_waits_behind_no_fetch_and_no_work(void **state)
{
    static const int16_t held[] = {API_FETCH, API_ALTER_PARTITION};
    struct world w;
    struct asked waiting[2];
    struct asked heartbeat;
    UNUSED(state);
    open_world(&w);
    w.peers[0].heartbeats = true;
    for (int i = 0; i < 2; i++) {
        ask_api(&w, &waiting[i], held[i]);
    }
    run(&w, SOON_MS);
    for (unsigned n = 3; n < 6; n++) {
        ask_api(&w, &heartbeat, API_BROKER_HEARTBEAT);
        run(&w, SOON_MS);
        assert_true(heartbeat.ended);
        assert_int_equal(heartbeat.err, 0);
        assert_int_equal(w.peers[0].asked, n);
    }
    assert_false(waiting[0].ended || waiting[1].ended);
    assert_int_equal(conn_count(w.shard), 3);
    shut_world(&w);
    assert_int_equal(waiting[0].err, ERR_CANCELED);
    assert_int_equal(waiting[1].err, ERR_CANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_controller_is_left_for_the_new_leader),
        cmocka_unit_test(a_late_answer_within_the_grace_counts),
        cmocka_unit_test(a_leader_that_stays_is_waited_for),
        cmocka_unit_test(a_leader_that_is_none_of_them_ends_all),
        cmocka_unit_test(nobody_goes_back_to_a_silent_one_on_hearsay),
        cmocka_unit_test(who_knows_is_believed_at_once),
        cmocka_unit_test(a_controller_that_answers_others_is_not_silent),
        cmocka_unit_test(a_controller_that_answered_others_before_it_had_to_answer_is_silent),
        cmocka_unit_test(a_silent_one_is_not_gone_back_to_by_the_name_it_began_with),
        cmocka_unit_test(spares_are_tried_when_all_that_are_known_are_gone),
        cmocka_unit_test(spares_are_tried_when_one_that_does_not_lead_knows_nobody),
        cmocka_unit_test(a_controller_that_moved_is_where_it_is_now),
        cmocka_unit_test(an_answer_beyond_the_bound_is_not_read),
        cmocka_unit_test(a_heartbeat_waits_behind_no_fetch_and_no_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
