/* The carrier of a combined node: which of its two ways a call goes, by what it is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "controller/channel.h"
#include "sim/io_sim.h"

/* A way that only counts. */
struct way {
    struct channel base;
    unsigned calls;
    unsigned moved; /* not_controller */
    int32_t leader; /* as told; -1 never */
    bool closed;
};

static struct way *way_of(struct channel *ch)
{
    return CONTAINER_OF(ch, struct way, base);
}

static void way_call(struct channel *ch, struct channel_call *call)
{
    UNUSED(call);
    way_of(ch)->calls++;
}

static void way_cancel(struct channel *ch, struct channel_call *call)
{
    UNUSED(ch);
    UNUSED(call);
}

static void way_moved(struct channel *ch)
{
    way_of(ch)->moved++;
}

static void way_leader(struct channel *ch, int32_t id, bool hearsay)
{
    UNUSED(hearsay);
    way_of(ch)->leader = id;
}

static void way_close(struct channel *ch)
{
    way_of(ch)->closed = true;
}

static const struct channel_ops way_ops = {
    .name = "way",
    .call = way_call,
    .cancel = way_cancel,
    .not_controller = way_moved,
    .leader = way_leader,
    .close = way_close,
};

struct world {
    struct sim *sim;
    struct sim_proc *proc;
    struct shard_group *group;
    struct way local;
    struct way others;
    struct channel *near; /* of node 1; the others are 2 and 3 */
};

static void open_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->sim = sim_new(1);
    w->proc = sim_proc_new(sim_host_new(w->sim, 1 << 20));
    w->group = shard_group_new(1, NULL, io_sim_make, w->proc, NULL);
    assert_int_equal(0, shard_group_start_inline(w->group, NULL));
    struct shard *sh = shard_group_get(w->group, 0);
    w->local = (struct way){.base = {.ops = &way_ops, .shard = sh}, .leader = -1};
    w->others = (struct way){.base = {.ops = &way_ops, .shard = sh}, .leader = -1};
    w->near = channel_near_new(&w->local.base, &w->others.base, 1, 2);
}

static void shut_world(struct world *w)
{
    struct errmsg em;
    channel_close(w->near);
    assert_true(w->local.closed && w->others.closed);
    shard_group_stop(w->group);
    shard_group_join(w->group);
    shard_group_free(w->group);
    assert_true(sim_proc_end(w->proc, &em));
    sim_free(w->sim);
}

/* Does a call go to the controller in this process? It goes one way, and only once. */
static bool goes_local(struct world *w)
{
    unsigned local = w->local.calls;
    unsigned others = w->others.calls;
    struct channel_call call = {.timeout_ms = 1};
    channel_call(w->near, &call);
    assert_int_equal(local + others + 1, w->local.calls + w->others.calls);
    return w->local.calls > local;
}

static void it_begins_at_home(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    assert_true(goes_local(&w));
    shut_world(&w);
}

/* By NOT_CONTROLLER alone: each of the others once, then the own one again. */
static void refusals_lead_around(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    for (int round = 0; round < 2; round++) {
        unsigned before = w.others.moved;
        channel_not_controller(w.near);
        assert_false(goes_local(&w));
        assert_int_equal(before, w.others.moved); /* the first of the others was not asked yet */
        channel_not_controller(w.near);
        assert_false(goes_local(&w));
        assert_int_equal(before + 1, w.others.moved);
        channel_not_controller(w.near);
        assert_true(goes_local(&w));
        assert_int_equal(before + 2, w.others.moved);
    }
    shut_world(&w);
}

static void the_word_who_leads_goes_first(void **state)
{
    struct world w;
    UNUSED(state);
    open_world(&w);
    channel_leader(w.near, 3);
    assert_false(goes_local(&w));
    assert_int_equal(3, w.others.leader);
    channel_not_controller(w.near); /* one refusal, which the word makes good */
    channel_leader(w.near, 2);
    channel_not_controller(w.near);
    assert_false(goes_local(&w)); /* counted anew */
    channel_leader(w.near, 1);
    assert_true(goes_local(&w));
    assert_int_equal(1, w.others.leader); /* so that they give up what waits elsewhere */
    channel_leader(w.near, 2);
    assert_false(goes_local(&w));
    shut_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_at_home),
        cmocka_unit_test(refusals_lead_around),
        cmocka_unit_test(the_word_who_leads_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
