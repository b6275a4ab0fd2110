/* What one voter does when the two others, which this test plays behind one listener, cannot write
 * down who it is. */
#include "runtime/conn.h"
#include "voters_rig.h"

enum { HEADER = 10, SECOND_MS = 1000 };

struct others {
    struct shard *shard;
    struct io_sock *listener;
    struct conn_limits limits;
    bool full;
    unsigned greeted;
};

static bool is_greeting(struct bytes frame)
{
    struct arena a = {0};
    struct peer_names names;
    struct quorum_message m;
    struct errmsg em;
    struct bytes body = bytes_of(frame.data + HEADER, frame.len - HEADER);
    assert_int_equal(0, peer_take_message(body, &a, &names, &m, &em));
    arena_free(&a);
    return (int)m.type == 0;
}

static void on_request(struct conn_req *req)
{
    struct others *o = req->conn->user;
    struct buf answer = {0};
    int32_t correlation = (int32_t)load_be32(req->frame.data + 4);
    o->greeted += is_greeting(req->frame);
    buf_put_be32(&answer, 0);
    peer_put_answer(&answer, correlation, o->full ? KE_KAFKA_STORAGE_ERROR : KE_NONE, "no room");
    store_be32(answer.data, (uint32_t)answer.len - 4);
    conn_reply_mem(req, answer.data, answer.len);
}

static void on_cancel(struct conn_req *req)
{
    UNUSED(req);
    fail();
}

static const struct conn_ops ops = {.on_request = on_request, .on_cancel = on_cancel};

static void on_accept(struct io_sock *s, unsigned events, void *user)
{
    struct others *o = user;
    int handle;
    UNUSED(events);
    while (io_accept(s, &handle) == 0) {
        assert_non_null(conn_open(o->shard, handle, &ops, &o->limits, o));
    }
    io_sock_arm(s, IO_READ, on_accept, o);
}

static void run(struct rig *r, int64_t ms)
{
    int64_t end = shard_now_ms(r->shard) + ms;
    while (shard_now_ms(r->shard) < end) {
        rig_turn(r);
    }
}

static void greetings(void *arg)
{
    struct rig r;
    struct others o = {.limits = {.frame_bytes_max = 1 << 20, .requests_max = 8}, .full = true};
    rig_start_three(&r, arg);
    o.shard = r.shard;
    assert_int_equal(0, io_listen(r.shard->io, "127.0.0.2", 9093, &o.listener));
    io_sock_arm(o.listener, IO_READ, on_accept, &o);
    while (o.greeted < 2) { /* as they are connected */
        rig_turn(&r);
    }
    run(&r, SECOND_MS / 2);
    assert_int_equal(2, o.greeted); /* not at once, and not with each message that is refused */
    run(&r, 5 * SECOND_MS);
    assert_in_range(o.greeted, 6, 12);
    o.full = false;
    run(&r, 2 * SECOND_MS);
    unsigned until_then = o.greeted;
    run(&r, 5 * SECOND_MS);
    assert_int_equal(until_then, o.greeted);
    io_sock_close(o.listener);
    conn_close_all(r.shard, false);
    run(&r, 10);
    rig_stop(&r);
}

static void who_had_no_room_is_greeted_again(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, greetings, &w));
    rig_world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_had_no_room_is_greeted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
