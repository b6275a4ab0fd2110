/* What groups cost: a group of a thousand members settles in a number of steps that grows with its
 * size and not with its square; heartbeats leave the heap alone; small groups are small. */
#include <malloc.h>
#include <time.h>

#include "broker/group/group_private.h"
#include "rig.h"

enum { MEMBERS = 1000 };

static struct call *calls[MEMBERS];

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

/* n members that are stable in generation 1. */
static void fill(struct rig *r, int n)
{
    for (int i = 0; i < n; i++) {
        calls[i] = rig_join_twice(r, (struct join){.protocols = {"range", "sticky"}});
    }
    rig_advance(r, 6000);
    for (int i = 0; i < n; i++) {
        rig_member(calls[i]);
    }
    for (int i = 0; i < n; i++) {
        rig_sync(r, (struct sync){.member = calls[i]->member, .generation = 1});
    }
    assert_string_equal(rig_state(r), "Stable");
    assert_int_equal(group_coordinator_counts(r->c).members, n);
}

/* The last member leaves, the others settle; the CPU it took. */
static int64_t settle_after_one_left(struct rig *r, int n)
{
    int64_t began = cpu_us();
    rig_leaves(r, calls[n - 1]->member);
    for (int i = 0; i < n - 1; i++) {
        assert_int_equal(rig_beat(r, calls[i]->member, 1), KE_REBALANCE_IN_PROGRESS);
        struct call *again = rig_join(
            r, (struct join){.member = calls[i]->member, .protocols = {"range", "sticky"}});
        assert_int_equal(again->done, i == n - 2);
    }
    for (int i = n - 2; i >= 0; i--) { /* the leader last, so that all of them wait */
        struct call *s = rig_sync(r, (struct sync){.member = calls[i]->member, .generation = 2});
        assert_int_equal(s->done, i == 0);
    }
    assert_string_equal(rig_state(r), "Stable");
    return cpu_us() - began;
}

static void a_thousand_members_settle(void **state)
{
    UNUSED(state);
    int64_t took[2];
    for (int i = 0; i < 2; i++) {
        struct rig r;
        int n = i == 0 ? MEMBERS / 4 : MEMBERS;
        rig_open(&r);
        fill(&r, n);
        took[i] = settle_after_one_left(&r, n);
        rig_close(&r);
    }
    print_message("250 members settle in %lld us of CPU, 1000 in %lld us\n", (long long)took[0],
                  (long long)took[1]);
    assert_true(took[1] < 2000000);
    /* four times the members: about four times the work, sixteen if something were quadratic */
    assert_true(took[1] < took[0] * 9 + 20000);
}

static void a_heartbeat_leaves_the_heap_alone(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[3];
    rig_open(&r);
    rig_group(&r, 3, k);
    int64_t due = group_coordinator_deadline(r.c);
    uint32_t timers = r.c->heap_n;
    assert_int_equal(timers, 3);
    for (int i = 0; i < 10; i++) {
        rig_advance(&r, 3000);
        for (int m = 0; m < 3; m++) {
            rig_beat(&r, k[m]->member, 1);
        }
        assert_int_equal(group_coordinator_deadline(r.c), due); /* rings early, is set again then */
    }
    rig_advance(&r, 30000);
    assert_string_equal(rig_state(&r), "Stable");
    assert_true(group_coordinator_deadline(r.c) > due);
    rig_close(&r);
}

/* Timers in any order, moved and cancelled, ring in the order of their due times. */

struct bell {
    struct group_timer timer;
    int64_t want; /* INT64_MAX: cancelled */
    uint32_t *rung;
    int64_t *last;
};

static void ring(struct group_coordinator *c, struct group_timer *t, const struct group_event *ev,
                 struct group_effects *fx)
{
    UNUSED(c);
    UNUSED(fx);
    struct bell *b = CONTAINER_OF(t, struct bell, timer);
    assert_int_equal(t->due_ms, b->want);
    assert_true(b->want <= ev->now_ms && b->want >= *b->last);
    *b->last = b->want;
    b->want = INT64_MAX;
    (*b->rung)++;
}

static void timers_ring_in_order(void **state)
{
    UNUSED(state);
    struct rig r;
    static struct bell bells[500];
    uint32_t rung = 0, set = 0;
    int64_t last = 0;
    uint64_t x = 42;
    rig_open(&r);
    for (int i = 0; i < 5000; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        struct bell *b = &bells[(x >> 33) % ARRAY_LEN(bells)];
        b->timer.fire = ring;
        b->rung = &rung;
        b->last = &last;
        if ((x >> 20) % 4 == 0) {
            group_timer_cancel(r.c, &b->timer);
            b->want = INT64_MAX;
        } else {
            b->want = (int64_t)((x >> 40) % 10000);
            group_timer_set(r.c, &b->timer, b->want);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(bells); i++) {
        set += bells[i].timer.at > 0;
    }
    assert_true(set > 100);
    struct group_event ev = rig_event(&r, GROUP_TICK);
    ev.now_ms = 5000;
    group_coordinator_step(r.c, &ev, &r.fx);
    assert_true(rung > 0 && rung < set);
    assert_true(group_coordinator_deadline(r.c) > 5000);
    ev.now_ms = 10000;
    group_coordinator_step(r.c, &ev, &r.fx);
    assert_int_equal(rung, set);
    assert_int_equal(group_coordinator_deadline(r.c), INT64_MAX);
    rig_close(&r);
}

/* Java's clients: an id of 50 characters, subscriptions and assignments of some hundred bytes. */
static void small_groups_are_small(void **state)
{
    UNUSED(state);
    enum { GROUPS = 1000, EACH = 3 };
    struct rig r;
    char name[40], sub[220], client[80];
    rig_open(&r);
    r.config.initial_rebalance_delay_ms = 5;
    memset(sub, 'x', sizeof sub - 1);
    memcpy(sub, "range:", 6);
    sub[sizeof sub - 1] = 0;
    for (int g = 0; g < GROUPS; g++) {
        struct call *k[EACH];
        snprintf(name, sizeof name, "service-number-%d", g);
        for (int m = 0; m < EACH; m++) {
            snprintf(client, sizeof client, "consumer-%s-%d", name, m);
            k[m] = rig_join_twice(
                &r, (struct join){.group = name, .client = client, .protocols = {sub, "sticky"}});
        }
        rig_advance(&r, 10);
        for (int m = 0; m < EACH; m++) {
            rig_member(k[m]);
        }
        const char *part = sub + 120;
        rig_sync(&r, (struct sync){
                         .group = name,
                         .member = k[0]->member,
                         .generation = 1,
                         .parts = {k[0]->member, part, k[1]->member, part, k[2]->member, part}});
        for (int m = 1; m < EACH; m++) {
            rig_sync(&r, (struct sync){.group = name, .member = k[m]->member, .generation = 1});
        }
        assert_string_equal(rig_state_of(&r, name), "Stable");
    }
    struct group_counts n = group_coordinator_counts(r.c);
    assert_int_equal(n.members, GROUPS * EACH);
    uint64_t counted = n.bytes / n.members;
    print_message("%llu bytes a member by the coordinator's count\n", (unsigned long long)counted);
    assert_true(counted < 3 * 1024);
    rig_close(&r);
}

/* What is counted when groups come and go comes back to nothing. */
static void memory_comes_back(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[4];
    rig_open(&r);
    uint64_t before = 0;
    for (int i = 0; i < 3; i++) {
        rig_group(&r, 4, k);
        for (int m = 0; m < 4; m++) {
            rig_leaves(&r, k[m]->member);
        }
        struct delete_groups_request q;
        struct bytes name = bytes_str("g");
        struct call *d = rig_call(&r, 2);
        proto_msg_init(&delete_groups_request_msg, &q);
        proto_msg_init(&delete_groups_response_msg, &d->r.delete);
        d->r.delete.results =
            proto_array(&d->arena, &delete_groups_response_deletable_group_result_desc, 1);
        d->r.delete.results_n = 1;
        q.groups_names = &name;
        q.groups_names_n = 1;
        rig_ask(&r, d, GROUP_DELETE, &q);
        assert_true(d->done);
        assert_int_equal(group_coordinator_counts(r.c).groups, 0);
        uint64_t bytes = group_coordinator_counts(r.c).bytes;
        assert_true(i == 0 || bytes == before);
        before = bytes;
    }
    assert_true(before < 4096);
    rig_close(&r);
}

/* Ten megabytes of subscription, as often as one likes: bounded by the setting. */
static void large_subscriptions_are_bounded(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    r.config.memory_max = 64 << 20;
    size_t size = 10 << 20;
    char *big = mem_zalloc(size);
    memset(big, 'x', size - 1);
    memcpy(big, "range:", 6);
    int in = 0;
    for (int i = 0; i < 20; i++) {
        struct call *k = rig_join(&r, (struct join){.version = 3, .protocols = {big}});
        in += !k->done;
        assert_true(!k->done || k->r.join.error_code == KE_COORDINATOR_NOT_AVAILABLE);
        assert_true(group_coordinator_counts(r.c).bytes <= r.config.memory_max);
    }
    assert_true(in == 6 || in == 5);
    mem_free(big);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_members_settle),
        cmocka_unit_test(a_heartbeat_leaves_the_heap_alone),
        cmocka_unit_test(timers_ring_in_order),
        cmocka_unit_test(small_groups_are_small),
        cmocka_unit_test(memory_comes_back),
        cmocka_unit_test(large_subscriptions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
