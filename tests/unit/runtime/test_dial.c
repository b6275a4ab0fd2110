/* What a dial receives is charged to its shard's budget for as long as it is there. The other end
 * is a plain socket of the simulated network, on a shard of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "runtime/dial.h"
#include "sim/io_sim.h"

enum { FRAME = 200000, HALF = 100000, LIMIT = 1 << 20 };

struct world {
    struct sim *sim;
    struct sim_proc *proc;
    struct shard_group *group;
    struct shard *there; /* the other end's */
    struct shard *here;
    struct io_sock *listener;
    struct io_sock *peer;
    struct dial dial;
    unsigned frames;
    bool up, down, hang_up; /* hang_up: in the next frame's callback */
};

static void on_accept(struct io_sock *s, unsigned events, void *user)
{
    struct world *w = user;
    int handle;
    UNUSED(events);
    if (io_accept(s, &handle) == 0) {
        assert_int_equal(0, io_sock_adopt(w->there->io, handle, &w->peer));
    } else {
        io_sock_arm(s, IO_READ, on_accept, w);
    }
}

static void on_up(struct dial *d)
{
    ((struct world *)d->user)->up = true;
}

static void on_frame(struct dial *d, struct bytes frame)
{
    struct world *w = d->user;
    assert_true(frame.len == FRAME || frame.len == 10);
    w->frames++;
    if (w->hang_up) {
        dial_close(d);
        assert_int_equal(0, w->here->budget.used);
    }
}

static void on_down(struct dial *d, int err)
{
    UNUSED(err);
    ((struct world *)d->user)->down = true;
}

static const struct dial_ops ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void no_msg(struct shard *sh, struct msg *m)
{
    UNUSED(sh);
    UNUSED(m);
    fail();
}

static void turn(struct world *w)
{
    struct sim_clock *clock = &w->sim->clock;
    sim_clock_run_due(clock);
    shard_turn(w->there, 0);
    shard_turn(w->here, 0);
    sim_clock_advance(clock, 1000);
}

static void run(struct world *w)
{
    for (int i = 0; i < 200; i++) {
        turn(w);
    }
}

static void open_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->sim = sim_new(1);
    w->proc = sim_proc_new(sim_host_new(w->sim, 1 << 20));
    w->group = shard_group_new(2, NULL, io_sim_make, w->proc, NULL);
    assert_int_equal(0, shard_group_start_inline(w->group, NULL));
    w->there = shard_group_get(w->group, 0);
    w->here = shard_group_get(w->group, 1);
    w->there->on_msg = w->here->on_msg = no_msg;
    w->here->budget.limit = LIMIT;
    assert_int_equal(0, io_listen(w->there->io, "127.0.0.1", 0, &w->listener));
    io_sock_arm(w->listener, IO_READ, on_accept, w);
    dial_init(&w->dial, w->here, &ops, w, LIMIT);
    dial_open(&w->dial, "127.0.0.1", io_sock_port(w->listener), 1000);
    run(w);
    assert_true(w->up && w->peer != NULL);
    assert_int_equal(0, w->here->budget.used);
}

static void close_world(struct world *w)
{
    struct errmsg em = {{0}};
    dial_close(&w->dial);
    assert_int_equal(0, w->here->budget.used);
    io_sock_close(w->peer);
    io_sock_close(w->listener);
    run(w);
    shard_group_stop(w->group);
    shard_group_join(w->group);
    shard_group_free(w->group);
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("left open: %s", em.text);
    }
    sim_free(w->sim);
}

/* Bytes [from, to) of a frame of len bytes, its length in front of it. */
static void say(struct world *w, uint32_t len, size_t from, size_t to)
{
    uint8_t *bytes = mem_zalloc(4 + len);
    store_be32(bytes, len);
    while (from < to) {
        struct iovec iov = {bytes + from, to - from};
        int64_t n = io_sendv(w->peer, &iov, 1, false);
        assert_true(n > 0 || n == ERR_AGAIN);
        from += n > 0 ? (size_t)n : 0;
        turn(w);
    }
    mem_free(bytes);
    run(w);
}

static void what_has_come_is_charged_until_it_is_handed_over(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    say(&w, FRAME, 0, HALF);
    assert_int_equal(0, w.frames);
    assert_true(w.here->budget.used >= HALF);
    assert_true(w.here->budget.used <= 2 * FRAME);
    say(&w, FRAME, HALF, 4 + FRAME);
    assert_int_equal(1, w.frames);
    assert_true(w.here->budget.used >= FRAME); /* kept for the next large one */
    say(&w, 10, 0, 14);
    assert_int_equal(2, w.frames);
    assert_int_equal(0, w.here->budget.used);
    say(&w, FRAME, 0, HALF);
    assert_true(w.here->budget.used >= HALF);
    close_world(&w);
}

static void nothing_is_kept_where_others_need_the_room(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    w.here->budget.limit = FRAME; /* less than twice what is in use then */
    say(&w, FRAME, 0, 4 + FRAME);
    assert_int_equal(1, w.frames); /* it is taken all the same */
    assert_int_equal(0, w.here->budget.used);
    close_world(&w);
}

static void a_peer_that_ends_in_the_middle_leaves_nothing_charged(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    say(&w, FRAME, 0, HALF);
    assert_true(w.here->budget.used >= HALF);
    io_sock_close(w.peer);
    run(&w);
    assert_true(w.down);
    assert_int_equal(0, w.here->budget.used);
    dial_open(&w.dial, "127.0.0.1", io_sock_port(w.listener), 1000);
    w.peer = NULL;
    io_sock_arm(w.listener, IO_READ, on_accept, &w);
    run(&w);
    w.hang_up = true;
    say(&w, FRAME, 0, 4 + FRAME);
    assert_int_equal(1, w.frames);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_come_is_charged_until_it_is_handed_over),
        cmocka_unit_test(nothing_is_kept_where_others_need_the_room),
        cmocka_unit_test(a_peer_that_ends_in_the_middle_leaves_nothing_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
