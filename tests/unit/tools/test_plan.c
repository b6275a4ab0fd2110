/* Plans of drain and balance: what they do of small pictures, and over seeds what holds of every
 * plan (plan.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "tools/plan.h"
#include "view_rig.h"

enum { MIB = 1 << 20, SEEDS = 400, TOLERANCE = 10 };

static int open_arena(void **state)
{
    *state = calloc(1, sizeof(struct arena));
    return 0;
}

static int close_arena(void **state)
{
    arena_free(*state);
    free(*state);
    return 0;
}

static struct plan_part *part_of(struct plan *p, const char *topic, int32_t index)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        if (bytes_eq_str(p->parts[i].topic->name, topic) && p->parts[i].index == index) {
            return &p->parts[i];
        }
    }
    return NULL;
}

static void assert_list(struct view_ids ids, const int32_t *wanted)
{
    for (int32_t i = 0; i < ids.n; i++) {
        assert_int_equal(ids.v[i], wanted[i]);
    }
    assert_int_equal(wanted[ids.n], 0);
}

#define LIST(...) ((const int32_t[]){__VA_ARGS__, 0})

/* ---- drain ---- */

static void a_drain_moves_what_is_there_and_nothing_else(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_topic *t = rig_topic(a, &v, "t", 2);
    rig_partition(a, t, IDS(1, 2, 3), MIB);
    rig_partition(a, t, IDS(2, 3, 4), MIB);
    rig_partition(a, t, IDS(3, 4, 1), MIB);
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 4));
    assert_false(plan_moves(part_of(&p, "t", 0)));
    assert_list(part_of(&p, "t", 1)->to, LIST(2, 3, 1)); /* its place stays */
    assert_list(part_of(&p, "t", 2)->to, LIST(3, 2, 1));
    struct plan_total total = plan_total(&p);
    assert_int_equal(total.partitions, 2);
    assert_int_equal(total.copies, 2);
    assert_int_equal(total.bytes, 2 * MIB);
    assert_int_equal(p.brokers[3].replicas, 0);
}

/* By it is said how long a throttle takes. */
static void the_heaviest_sends_or_receives_most(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 4; i++) {
        rig_partition(a, t, IDS(1, 4), 10 * MIB);
    }
    plan_begin(&p, a, &v);
    assert_int_equal(plan_heaviest(&p), 0); /* nothing moves */
    assert_true(plan_drain(&p, 4));
    assert_int_equal(plan_heaviest(&p), 40 * MIB); /* all from 1, half to 2 and half to 3 */
    t->partitions[0].leader = 4;
    assert_int_equal(plan_heaviest(&p), 30 * MIB);
    for (int32_t i = 0; i < 4; i++) {
        t->partitions[i].leader = -1; /* who will send is not known */
    }
    assert_int_equal(plan_heaviest(&p), 20 * MIB);
}

static void of_what_moves_already_the_rest_counts(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_partition *part =
        rig_partition(a, rig_topic(a, &v, "t", 1), IDS(2, 1, 3), 10 * MIB);
    part->adding = IDS(2);
    part->removing = IDS(3);
    part->leader = 1;
    part->bytes[0] = 4 * MIB; /* have come */
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 3));
    assert_int_equal(plan_heaviest(&p), 6 * MIB);
    part->bytes[0] = 11 * MIB; /* the others have cleaned theirs */
    assert_int_equal(plan_heaviest(&p), 0);
    part->bytes[0] = -1; /* nobody tells */
    assert_int_equal(plan_heaviest(&p), 10 * MIB);
}

static void receivers_are_loaded_evenly(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 30; i++) {
        rig_partition(a, t, IDS(4), (1 + i % 5) * MIB); /* 90 MiB, 18 of them in each size */
    }
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 4));
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(p.brokers[i].replicas, 10);
        assert_int_equal(p.brokers[i].leaders, 10);
        assert_in_range(p.brokers[i].bytes, 28 * MIB, 32 * MIB);
    }
}

/* Broker 1 would get all that 4 leads, being the next in every list. */
static void leaders_of_a_drained_broker_go_to_those_that_lead_least(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 5);
    struct view_topic *t = rig_topic(a, &v, "t", 2);
    for (int32_t i = 0; i < 12; i++) {
        rig_partition(a, t, IDS(4, 1, 2), MIB);
    }
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 4));
    assert_int_equal(p.brokers[0].leaders + p.brokers[1].leaders + p.brokers[2].leaders +
                         p.brokers[4].leaders,
                     12);
    for (int32_t i = 0; i < 5; i++) {
        assert_in_range(p.brokers[i].leaders, 0, 4);
    }
}

static void a_drain_keeps_racks_or_counts_where_it_cannot(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 6);
    for (int32_t i = 0; i < 6; i++) {
        v.brokers[i].rack = bytes_str(i < 2 ? "a" : i < 4 ? "b" : "c"); /* 1 2, 3 4, 5 6 */
    }
    struct view_topic *t = rig_topic(a, &v, "t", 2);
    rig_partition(a, t, IDS(1, 3, 5), MIB);
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 5));
    assert_list(part_of(&p, "t", 0)->to, LIST(1, 3, 6));
    assert_int_equal(p.racks_worse, 0);
    v.brokers[5].fenced = true;
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 5));
    assert_int_equal(p.racks_worse, 1);
}

static void assert_refused(struct arena *a, const struct view *v, int32_t broker, const char *part,
                           const char *other)
{
    struct plan p;
    plan_begin(&p, a, v);
    assert_false(plan_drain(&p, broker));
    assert_non_null(strstr(p.refusal, part));
    assert_non_null(strstr(p.refusal, other));
    assert_int_equal(plan_total(&p).partitions, 0);
}

static void what_is_refused_of_a_drain(void **state)
{
    struct arena *a = *state;
    struct view v;
    rig_brokers(a, &v, 4);
    assert_refused(a, &v, 9, "Broker 9 is not registered", "1, 2, 3, 4");
    struct view_topic *t = rig_topic(a, &v, "t", 2);
    struct view_partition *p = rig_partition(a, t, IDS(1, 2, 3), MIB);
    v.brokers[3].fenced = true;
    assert_refused(a, &v, 2, "t (3 replicas)", "Start broker 4, or add 1");
    v.brokers[3].fenced = false;
    p->isr = IDS(2);
    assert_refused(a, &v, 2, "in sync of: t-0", "brokers: 1, 3");
    v.brokers[0].fenced = true;
    assert_refused(a, &v, 2, "in sync of: t-0", "brokers: 1 (down), 3");
    v.brokers[0].fenced = false;
    p->leader = -1;
    assert_refused(a, &v, 2, "Without a leader", "t-0");
    p->leader = 1;
    p->isr = p->replicas;
    p->bytes[0] = (int64_t)1 << 30; /* more than the half of the disk of 4 that is free */
    assert_refused(a, &v, 2, "t-0 (1024 MiB)", "Add a broker");
}

/* One copy: it is the last in sync, and may move, being copied from there. */
static void a_single_copy_may_be_drained(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 2);
    rig_partition(a, rig_topic(a, &v, "t", 1), IDS(2), MIB);
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 2));
    assert_list(part_of(&p, "t", 0)->to, LIST(1));
}

/* A replica stays on a broker that is down; only the one that goes needs a place. */
static void a_broker_that_is_down_can_be_drained(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_partition *t = rig_partition(a, rig_topic(a, &v, "t", 2), IDS(1, 2, 3), MIB);
    v.brokers[2].fenced = true;
    t->isr = IDS(1, 2);
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 3));
    assert_list(part_of(&p, "t", 0)->to, LIST(1, 2, 4));
}

static void an_interrupted_drain_goes_on(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_topic *t = rig_topic(a, &v, "t", 2);
    struct view_partition *on_its_way = rig_partition(a, t, IDS(1, 4, 2, 3), MIB);
    on_its_way->adding = IDS(4);
    on_its_way->removing = IDS(3);
    struct view_partition *other_way = rig_partition(a, t, IDS(1, 3, 2, 4), MIB);
    other_way->adding = IDS(3); /* somebody moves this one to where it may not stay */
    other_way->removing = IDS(4);
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 3));
    assert_false(plan_moves(part_of(&p, "t", 0)));
    assert_list(part_of(&p, "t", 0)->to, LIST(1, 4, 2));
    assert_list(part_of(&p, "t", 1)->to, LIST(1, 4, 2));
}

static void what_goes_to_a_broker_that_is_down_goes_elsewhere(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 5);
    struct view_partition *t = rig_partition(a, rig_topic(a, &v, "t", 2), IDS(4, 1, 3), 5 * MIB);
    t->adding = IDS(4);
    t->removing = IDS(3);
    t->isr = IDS(1, 3);
    v.brokers[3].fenced = true;
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 3));
    assert_int_equal(part_of(&p, "t", 0)->to.n, 2);
    assert_false(view_ids_has(part_of(&p, "t", 0)->to, 4));
    assert_false(view_ids_has(part_of(&p, "t", 0)->to, 3));
    v.brokers[1].fenced = v.brokers[4].fenced = true; /* no other is left: it waits for 4 */
    plan_begin(&p, a, &v);
    assert_true(plan_drain(&p, 3));
    assert_false(plan_moves(part_of(&p, "t", 0)));
}

/* ---- balance ---- */

static void nothing_moves_of_what_is_balanced(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_topic *t = rig_topic(a, &v, "t", 2);
    rig_partition(a, t, IDS(1, 2, 3), 7 * MIB);
    rig_partition(a, t, IDS(2, 3, 1), 5 * MIB);
    rig_partition(a, t, IDS(3, 1, 2), 50 * MIB);
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_total(&p).partitions, 0);
}

static void a_new_broker_gets_its_share(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 24; i++) {
        rig_partition(a, t, IDS(1 + i % 3, 1 + (i + 1) % 3), 10 * MIB);
    }
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    struct plan_total total = plan_total(&p);
    assert_int_equal(total.copies, 11); /* 48 replicas, 12 a broker, and one less is enough */
    for (int32_t i = 0; i < 4; i++) {
        assert_in_range(p.brokers[i].replicas, 11, 13);
        assert_in_range(p.brokers[i].leaders, 5, 7);
    }
}

static void one_large_replica_rather_than_many_small(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 2);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    rig_partition(a, t, IDS(1), 100 * MIB);
    for (int32_t i = 0; i < 10; i++) {
        rig_partition(a, t, IDS(1 + (i & 1)), 1 * MIB);
    }
    rig_partition(a, t, IDS(1), 100 * MIB);
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_total(&p).copies, 1);
    assert_int_equal(plan_total(&p).bytes, 100 * MIB);
}

static void leaders_change_by_order_alone(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 9; i++) {
        rig_partition(a, t, IDS(1, 2, 3), 10 * MIB);
    }
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_total(&p).copies, 0);
    for (int32_t i = 0; i < 3; i++) {
        assert_in_range(p.brokers[i].leaders, 2, 4);
    }
}

/* 1 leads all and shares no partition with 3: only by way of 2. */
static void leaders_are_handed_over_in_a_chain(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 6; i++) {
        rig_partition(a, t, IDS(1, 2), 10 * MIB);
        rig_partition(a, t, IDS(2, 3), 10 * MIB);
    }
    for (int32_t i = 0; i < 6; i++) { /* so that bytes are even */
        rig_partition(a, t, IDS(3, 1), 10 * MIB)->isr = IDS(3);
    }
    v.topics[0].partitions_n = 12;
    rig_partition(a, t, IDS(1, 3), 60 * MIB);
    plan_begin(&p, a, &v);
    plan_balance(&p, 60);
    assert_int_equal(plan_total(&p).copies, 0);
    for (int32_t i = 0; i < 3; i++) {
        assert_in_range(p.brokers[i].leaders, 2, 7);
    }
}

static void a_partition_in_one_rack_is_spread(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    for (int32_t i = 0; i < 4; i++) {
        v.brokers[i].rack = bytes_str(i < 2 ? "a" : "b");
    }
    rig_partition(a, rig_topic(a, &v, "t", 1), IDS(1, 2), MIB);
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_copies(part_of(&p, "t", 0)), 1);
    assert_int_equal(plan_racks_of(&p, part_of(&p, "t", 0)->to), 2);
}

static void what_is_not_in_sync_or_moves_is_left_alone(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 2);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    rig_partition(a, t, IDS(1), 100 * MIB);
    struct view_partition *moving = rig_partition(a, t, IDS(1, 2), 100 * MIB);
    moving->adding = IDS(2);
    moving->removing = IDS(1);
    plan_begin(&p, a, &v);
    assert_int_equal(p.brokers[1].bytes, 100 * MIB); /* where it goes */
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_total(&p).partitions, 0);
    t->partitions[0].leader = -1;
    t->partitions_n = 1;
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_total(&p).partitions, 0);
}

/* ---- balance of traffic ---- */

/* One more partition of 10 MiB, to which so much is written a second. */
static void written(struct arena *a, struct view_topic *t, struct view_ids replicas, int64_t mib)
{
    rig_partition(a, t, replicas, 10 * MIB)->written = mib * MIB;
}

static void two_hot_partitions_of_one_leader_are_parted_by_order_alone(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    written(a, t, IDS(1, 2, 3), 8);
    written(a, t, IDS(1, 3, 2), 8);
    for (int32_t i = 0; i < 2; i++) { /* all lead two: by numbers nothing is to be done */
        written(a, t, IDS(2, 3, 1), 0);
        written(a, t, IDS(3, 2, 1), 0);
    }
    plan_begin(&p, a, &v);
    assert_int_equal(p.brokers[0].led, 16 * MIB);
    plan_balance(&p, TOLERANCE);
    struct plan_total total = plan_total(&p);
    assert_int_equal(total.copies, 0);
    assert_int_equal(total.orders, 2); /* one of the hot there, a cold one back */
    assert_int_equal(p.brokers[0].led, 8 * MIB);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(p.brokers[i].leaders, 2);
        assert_in_range(p.brokers[i].led, 0, 8 * MIB);
        assert_int_equal(p.brokers[i].written, 16 * MIB);
    }
}

/* 1 leads all that is hot and shares it with 2 alone; 2 and 3 have others that can be handed on. */
static void hot_leaders_are_handed_on_in_a_chain(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 4; i++) {
        written(a, t, IDS(1, 2), 8);
        written(a, t, IDS(2, 3), 4);
        written(a, t, IDS(3, 1), 0);
    }
    plan_begin(&p, a, &v);
    plan_balance(&p, 25); /* so that what is written, 32 + 16, may stay */
    assert_int_equal(plan_total(&p).copies, 0);
    for (int32_t i = 0; i < 3; i++) { /* 16 each, of 32, 16 and 0 */
        assert_in_range(p.brokers[i].led, 8 * MIB, 24 * MIB);
        assert_in_range(p.brokers[i].leaders, 3, 5);
    }
}

/* As leader and as follower 1 and 2 have all of it: leaders alone do not help. */
static void replicas_of_hot_partitions_change_places_with_cold_ones(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 2; i++) {
        written(a, t, IDS(1, 2), 8);
        written(a, t, IDS(2, 1), 8);
        written(a, t, IDS(3, 4), 0);
        written(a, t, IDS(4, 3), 0);
    }
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    struct plan_total total = plan_total(&p);
    assert_int_equal(total.copies, 8);
    for (int32_t i = 0; i < 4; i++) {
        assert_int_equal(p.brokers[i].written, 16 * MIB);
        assert_int_equal(p.brokers[i].led, 8 * MIB);
        assert_int_equal(p.brokers[i].replicas, 4);
        assert_int_equal(p.brokers[i].bytes, 40 * MIB);
    }
}

/* More is written to it than a broker's share: nothing else is on its broker then. What the others
 * have is below their shares in any case. */
static void a_hot_partition_gets_a_broker_for_itself(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 3);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    written(a, t, IDS(1), 20);
    for (int32_t i = 0; i < 3; i++) {
        written(a, t, IDS(1), i ? 4 : 0);
        written(a, t, IDS(2), 0);
        written(a, t, IDS(3), 0);
    }
    written(a, t, IDS(2), 0);
    written(a, t, IDS(3), 0);
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    for (int32_t i = 0; i < 3; i++) {
        assert_true(p.brokers[i].written == 20 * MIB || p.brokers[i].written <= 8 * MIB);
        assert_int_equal(p.brokers[i].replicas, 4);
    }
    assert_int_equal(plan_total(&p).copies, 2); /* it, and a cold one back */
    int64_t share;
    assert_ptr_equal(plan_indivisible(&p, TOLERANCE, &share), part_of(&p, "t", 0));
    assert_int_equal(share, 28 * MIB / 3);
    assert_null(plan_indivisible(&p, 60, &share)); /* 20 is not much more than 9.3 then */
}

static void racks_are_kept_for_traffic_too(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 4);
    for (int32_t i = 0; i < 4; i++) {
        v.brokers[i].rack = bytes_str(i < 2 ? "a" : "b"); /* 1 2, 3 4 */
    }
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    for (int32_t i = 0; i < 2; i++) {
        written(a, t, IDS(1, 3), 8);
        written(a, t, IDS(3, 1), 8);
        written(a, t, IDS(2, 4), 0);
        written(a, t, IDS(4, 2), 0);
    }
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    for (int32_t i = 0; i < 4; i++) {
        assert_int_equal(p.brokers[i].written, 16 * MIB);
        assert_int_equal(p.brokers[i].led, 8 * MIB);
    }
    for (int32_t i = 0; i < p.parts_n; i++) {
        assert_int_equal(plan_racks_of(&p, p.parts[i].to), 2);
    }
}

/* What is hot is not touched while it moves or is not in sync, and counts all the same. */
static void what_is_hot_and_not_in_sync_is_left_alone(void **state)
{
    struct arena *a = *state;
    struct view v;
    struct plan p;
    rig_brokers(a, &v, 2);
    struct view_topic *t = rig_topic(a, &v, "t", 1);
    written(a, t, IDS(1, 2), 8);
    written(a, t, IDS(1, 2), 8);
    written(a, t, IDS(2, 1), 0);
    written(a, t, IDS(2, 1), 0);
    t->partitions[0].isr = IDS(1);
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_false(plan_moves(part_of(&p, "t", 0)));
    assert_true(plan_moves(part_of(&p, "t", 1)));
    assert_int_equal(p.brokers[0].led, p.brokers[1].led);
    t->partitions[1].isr = IDS(1);
    plan_begin(&p, a, &v);
    plan_balance(&p, TOLERANCE);
    assert_int_equal(plan_total(&p).partitions, 0);
}

/* ---- what holds of every plan ---- */

struct world {
    struct arena *arena;
    struct prng prng;
    struct view view;
};

static int32_t draw(struct world *w, int32_t n)
{
    return (int32_t)prng_below(&w->prng, (uint64_t)n);
}

static void draw_topic(struct world *w, int32_t number, int32_t brokers)
{
    struct arena *a = w->arena;
    struct view_topic *t = rig_topic(a, &w->view, arena_printf(a, "t%02d", number), 1);
    int32_t factor = 1 + draw(w, brokers < 4 ? brokers : 4), used = factor;
    used += draw(w, brokers - factor + 1); /* some topics are on a part of the brokers alone */
    for (int32_t n = 1 + draw(w, 20); n > 0; n--) {
        struct view_ids ids = {ARENA_ARRAY(a, int32_t, RIG_IDS), 0};
        while (ids.n < factor) {
            int32_t id = 1 + draw(w, used);
            if (!view_ids_has(ids, id)) {
                ids.v[ids.n++] = id;
            }
        }
        int64_t size = draw(w, 4) ? draw(w, 1000) * (int64_t)10000 : 0;
        struct view_partition *p = rig_partition(a, t, ids, size);
        if (draw(w, 12) == 0) {
            p->isr.n = 1;
        }
    }
}

static void draw_world(struct world *w, uint64_t seed)
{
    static const char *const racks[] = {"a", "b", "c"};
    prng_seed(&w->prng, seed);
    int32_t brokers = 2 + draw(w, 9), racks_n = draw(w, 4);
    rig_brokers(w->arena, &w->view, brokers);
    for (int32_t i = 0; i < brokers; i++) {
        w->view.brokers[i].rack = racks_n ? bytes_str(racks[draw(w, racks_n)]) : BYTES_NULL;
        w->view.brokers[i].fenced = draw(w, 15) == 0;
        if (draw(w, 4) == 0) {
            w->view.brokers[i].dirs->total *= 2;
            w->view.brokers[i].dirs->usable *= 2;
        }
    }
    int32_t topics = 1 + draw(w, 12);
    for (int32_t i = 0; i < topics; i++) {
        draw_topic(w, i, brokers);
    }
}

/* Few partitions have most of it. */
static void draw_traffic(struct world *w, uint64_t seed)
{
    prng_seed(&w->prng, ~seed);
    for (int32_t i = 0; i < w->view.topics_n; i++) {
        for (int32_t k = 0; k < w->view.topics[i].partitions_n; k++) {
            int64_t most = draw(w, 10) ? MIB : (int64_t)64 * MIB;
            w->view.topics[i].partitions[k].written = draw(w, 3) ? draw(w, (int32_t)most) : -1;
        }
    }
}

static void check_part(const struct plan *p, const struct plan_part *part)
{
    assert_int_equal(part->to.n, part->from.n);
    for (int32_t i = 0; i < part->to.n; i++) {
        for (int32_t k = 0; k < i; k++) {
            assert_int_not_equal(part->to.v[i], part->to.v[k]);
        }
        int32_t at = plan_at(p, part->to.v[i]);
        assert_true(at >= 0);
        assert_true(view_ids_has(part->from, part->to.v[i]) || p->brokers[at].receives);
    }
}

/* The sums that the plan keeps are those of its lists. */
static void check_sums(const struct plan *p)
{
    for (int32_t i = 0; i < p->brokers_n; i++) {
        int64_t bytes = 0, written = 0, led = 0;
        int32_t replicas = 0, leaders = 0;
        for (int32_t k = 0; k < p->parts_n; k++) {
            bool has = view_ids_has(p->parts[k].to, p->brokers[i].id);
            bytes += has ? p->parts[k].size : 0;
            replicas += has;
            leaders += p->parts[k].to.v[0] == p->brokers[i].id;
            written += has ? p->parts[k].written : 0;
            led += p->parts[k].to.v[0] == p->brokers[i].id ? p->parts[k].written : 0;
        }
        assert_int_equal(p->brokers[i].bytes, bytes);
        assert_int_equal(p->brokers[i].replicas, replicas);
        assert_int_equal(p->brokers[i].leaders, leaders);
        assert_int_equal(p->brokers[i].written, written);
        assert_int_equal(p->brokers[i].led, led);
    }
}

/* The view as it is when the plan was carried out. */
static void carry_out(const struct plan *p, struct view *v)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        struct view_topic *t = view_topic(v, p->parts[i].topic->name);
        struct view_partition *at = &t->partitions[p->parts[i].index];
        if (!plan_moves(&p->parts[i])) {
            continue;
        }
        for (int32_t k = 0; k < at->replicas.n; k++) {
            v->brokers[plan_at(p, at->replicas.v[k])].dirs->usable += p->parts[i].size;
            v->brokers[plan_at(p, p->parts[i].to.v[k])].dirs->usable -= p->parts[i].size;
            at->bytes[k] = p->parts[i].size;
        }
        at->replicas = at->isr = p->parts[i].to;
        at->leader = at->replicas.v[0];
    }
}

static void of_every_drain(void **state)
{
    int planned = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = {.arena = *state};
        struct plan p;
        draw_world(&w, seed);
        int32_t broker = 1 + draw(&w, w.view.brokers_n), mine = 0;
        plan_begin(&p, w.arena, &w.view);
        if (!plan_drain(&p, broker)) {
            assert_non_null(p.refusal);
            continue;
        }
        planned++;
        for (int32_t i = 0; i < p.parts_n; i++) {
            check_part(&p, &p.parts[i]);
            bool has = view_ids_has(p.parts[i].from, broker);
            assert_false(view_ids_has(p.parts[i].to, broker));
            assert_int_equal(plan_copies(&p.parts[i]), has); /* no move but those */
            assert_int_equal(plan_moves(&p.parts[i]), has);
            mine += has;
            assert_true(p.racks_worse ||
                        plan_racks_of(&p, p.parts[i].to) >= plan_racks_of(&p, p.parts[i].from));
        }
        check_sums(&p);
        assert_int_equal(plan_total(&p).copies, mine);
        carry_out(&p, &w.view);
        plan_begin(&p, w.arena, &w.view);
        assert_true(plan_drain(&p, broker));
        assert_int_equal(plan_total(&p).partitions, 0);
    }
    assert_in_range(planned, SEEDS / 4, SEEDS);
}

static double most_off(const struct plan *p, int what)
{
    double sum = 0, most = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        const struct plan_broker *b = &p->brokers[i];
        sum += b->receives ? (what ? b->leaders : b->replicas) : 0;
        n += b->receives;
    }
    for (int32_t i = 0; i < p->brokers_n && n; i++) {
        const struct plan_broker *b = &p->brokers[i];
        double mean = sum / n, least = mean * TOLERANCE / 100;
        double off = (what ? b->leaders : b->replicas) - mean;
        off = (off < 0 ? -off : off) - (least < 0.99 ? 0.99 : least);
        most = b->receives && off > most ? off : most;
    }
    return most;
}

static double most_off_bytes(const struct plan *p)
{
    double most = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        const struct plan_broker *b = &p->brokers[i];
        double off = (double)b->bytes - b->share, least = b->share * TOLERANCE / 100;
        off = (off < 0 ? -off : off) - (least < MIB ? MIB : least);
        most = b->receives && off > most ? off : most;
    }
    return most;
}

/* How far traffic is out of what plan.h allows, over all brokers. */
static double traffic_off(const struct plan *p)
{
    double written = 0, led = 0, sum = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < p->brokers_n; i++) {
        written += p->brokers[i].receives ? (double)p->brokers[i].written : 0;
        led += p->brokers[i].receives ? (double)p->brokers[i].led : 0;
        n += p->brokers[i].receives;
    }
    for (int32_t i = 0; i < p->brokers_n && n; i++) {
        double least = written / n * TOLERANCE / 50, over = (double)p->brokers[i].written;
        over -= written / n + (least < MIB / 4 ? MIB / 4 : least);
        least = led / n * TOLERANCE / 50;
        double off = (double)p->brokers[i].led - led / n;
        off = (off < 0 ? -off : off) - (least < MIB / 4 ? MIB / 4 : least);
        sum += p->brokers[i].receives ? (over > 0 ? over : 0) + (off > 0 ? off : 0) : 0;
    }
    return sum;
}

static bool is_balanced(const struct plan *p)
{
    return most_off(p, 0) <= 0 && most_off(p, 1) <= 0 && most_off_bytes(p) <= 0;
}

/* Without any one of its moves the cluster would be out of balance, or traffic further out than it
 * is, or in fewer racks. */
static void check_needed(struct plan *p)
{
    double traffic = traffic_off(p);
    for (int32_t i = 0; i < p->parts_n; i++) {
        struct plan_part *part = &p->parts[i];
        if (!plan_moves(part) || plan_racks_of(p, part->from) < plan_racks_of(p, part->to)) {
            continue;
        }
        struct plan_broker *copy = malloc((size_t)p->brokers_n * sizeof *copy), *own = p->brokers;
        memcpy(copy, own, (size_t)p->brokers_n * sizeof *copy);
        p->brokers = copy;
        for (int32_t k = 0; k < part->to.n; k++) {
            struct plan_broker *x = &copy[plan_at(p, part->to.v[k])];
            struct plan_broker *y = &copy[plan_at(p, part->from.v[k])];
            x->bytes -= part->size;
            y->bytes += part->size;
            x->replicas--;
            y->replicas++;
            x->leaders -= k == 0;
            y->leaders += k == 0;
            x->written -= part->written;
            y->written += part->written;
            x->led -= k == 0 ? part->written : 0;
            y->led += k == 0 ? part->written : 0;
        }
        assert_true(!is_balanced(p) || traffic_off(p) > traffic);
        p->brokers = own;
        free(copy);
    }
}

struct found {
    int moved, reached; /* plans with moves, and those after which numbers are in balance */
    int traffic;        /* and of those traffic too */
};

static struct found check_balances(void **state, bool traffic)
{
    struct found found = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = {.arena = *state};
        struct plan p;
        draw_world(&w, seed);
        if (traffic) {
            draw_traffic(&w, seed);
        }
        plan_begin(&p, w.arena, &w.view);
        plan_balance(&p, TOLERANCE);
        found.moved += plan_total(&p).partitions > 0;
        for (int32_t i = 0; i < p.parts_n; i++) {
            check_part(&p, &p.parts[i]);
            assert_true(plan_racks_of(&p, p.parts[i].to) >= plan_racks_of(&p, p.parts[i].from));
            assert_false(p.parts[i].fixed && plan_moves(&p.parts[i]));
        }
        check_sums(&p);
        if (is_balanced(&p)) {
            found.reached++;
            found.traffic += traffic_off(&p) == 0;
            check_needed(&p);
        }
        carry_out(&p, &w.view);
        plan_begin(&p, w.arena, &w.view);
        plan_balance(&p, TOLERANCE);
        assert_int_equal(plan_total(&p).partitions, 0);
    }
    assert_in_range(found.moved, SEEDS / 2, SEEDS);
    assert_in_range(found.reached, SEEDS / 2, SEEDS);
    return found;
}

static void of_every_balance(void **state)
{
    check_balances(state, false);
}

static void of_every_balance_of_traffic(void **state)
{
    struct found found = check_balances(state, true);
    assert_in_range(found.traffic, SEEDS / 8, SEEDS); /* a tenth of partitions has most of it */
}

static void assert_same_plan(const struct plan *p, const struct plan *q)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        for (int32_t k = 0; k < p->parts[i].to.n; k++) {
            assert_int_equal(p->parts[i].to.v[k], q->parts[i].to.v[k]);
        }
    }
}

/* The plan is that of bytes and numbers, the same each time. */
static void traffic_that_is_unknown_or_little_changes_no_plan(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = {.arena = *state};
        struct plan p, q;
        draw_world(&w, seed);
        plan_begin(&p, w.arena, &w.view);
        plan_balance(&p, TOLERANCE);
        for (int32_t i = 0; i < w.view.topics_n; i++) {
            for (int32_t k = 0; k < w.view.topics[i].partitions_n; k++) {
                w.view.topics[i].partitions[k].written = draw(&w, 2) ? -1 : draw(&w, 1000);
            }
        }
        plan_begin(&q, w.arena, &w.view);
        plan_balance(&q, TOLERANCE);
        assert_same_plan(&p, &q);
    }
}

static void traffic_gives_the_same_plan_each_time(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS / 8; seed++) {
        struct world w = {.arena = *state};
        struct plan p, q;
        draw_world(&w, seed);
        draw_traffic(&w, seed);
        plan_begin(&p, w.arena, &w.view);
        plan_balance(&p, TOLERANCE);
        plan_begin(&q, w.arena, &w.view);
        plan_balance(&q, TOLERANCE);
        assert_same_plan(&p, &q);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        TEST(a_drain_moves_what_is_there_and_nothing_else),
        TEST(the_heaviest_sends_or_receives_most),
        TEST(of_what_moves_already_the_rest_counts),
        TEST(receivers_are_loaded_evenly),
        TEST(leaders_of_a_drained_broker_go_to_those_that_lead_least),
        TEST(a_drain_keeps_racks_or_counts_where_it_cannot),
        TEST(what_is_refused_of_a_drain),
        TEST(a_single_copy_may_be_drained),
        TEST(a_broker_that_is_down_can_be_drained),
        TEST(an_interrupted_drain_goes_on),
        TEST(what_goes_to_a_broker_that_is_down_goes_elsewhere),
        TEST(nothing_moves_of_what_is_balanced),
        TEST(a_new_broker_gets_its_share),
        TEST(one_large_replica_rather_than_many_small),
        TEST(leaders_change_by_order_alone),
        TEST(leaders_are_handed_over_in_a_chain),
        TEST(a_partition_in_one_rack_is_spread),
        TEST(what_is_not_in_sync_or_moves_is_left_alone),
        TEST(of_every_drain),
        TEST(two_hot_partitions_of_one_leader_are_parted_by_order_alone),
        TEST(hot_leaders_are_handed_on_in_a_chain),
        TEST(replicas_of_hot_partitions_change_places_with_cold_ones),
        TEST(a_hot_partition_gets_a_broker_for_itself),
        TEST(racks_are_kept_for_traffic_too),
        TEST(what_is_hot_and_not_in_sync_is_left_alone),
        TEST(of_every_balance),
        TEST(of_every_balance_of_traffic),
        TEST(traffic_that_is_unknown_or_little_changes_no_plan),
        TEST(traffic_gives_the_same_plan_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
