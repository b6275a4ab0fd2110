/* What is written to partitions, by looks at their logs (view.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tools/view.h"
#include "view_rig.h"

enum { MIB = 1 << 20, LOOKS = 4 };

/* Looks at a topic of one partition on brokers 1 and 2, led by 1: one every 2 s. */
struct rig {
    struct arena arena;
    struct view v[LOOKS];
    struct view_partition *p[LOOKS];
};

static int open_rig(void **state)
{
    struct rig *r = *state = calloc(1, sizeof *r);
    struct arena *a = &r->arena;
    for (int i = 0; i < LOOKS; i++) {
        struct view *v = &r->v[i];
        rig_brokers(a, v, 2);
        v->brokers[0].dirs_ms = v->brokers[1].dirs_ms = 1000 + 2000 * i;
        r->p[i] = rig_partition(a, rig_topic(a, v, "t", 1), IDS(1, 2), 10 * MIB);
    }
    return 0;
}

static int close_rig(void **state)
{
    struct rig *r = *state;
    arena_free(&r->arena);
    free(r);
    return 0;
}

/* The sizes of its log on broker 1; and what comes of that. */
static int64_t measured(struct rig *r, const int64_t *mib)
{
    for (int i = 0; i < LOOKS; i++) {
        r->p[i]->bytes[0] = mib[i] < 0 ? -1 : mib[i] * MIB;
        r->p[i]->grown = r->p[i]->grown_ms = 0;
        if (i > 0) {
            view_measure(&r->v[i - 1], &r->v[i]);
        }
    }
    const struct view *last = &r->v[LOOKS - 1];
    assert_true(last->measured);
    assert_int_equal(last->unmeasured, r->p[LOOKS - 1]->written < 0);
    return r->p[LOOKS - 1]->written;
}

#define SIZES(...) ((const int64_t[LOOKS]){__VA_ARGS__})

static void a_log_grows(void **state)
{
    assert_int_equal(measured(*state, SIZES(10, 12, 18, 22)), 2 * MIB);
    assert_int_equal(measured(*state, SIZES(10, 10, 10, 22)), 2 * MIB);
    assert_int_equal(measured(*state, SIZES(10, 10, 10, 10)), 0);
}

/* In 2 s nobody knows what was written; in the other 4 it is 8 MiB. */
static void the_time_in_which_it_shrank_does_not_count(void **state)
{
    assert_int_equal(measured(*state, SIZES(10, 14, 2, 6)), 2 * MIB);
    assert_int_equal(measured(*state, SIZES(10, 2, 6, 10)), 2 * MIB);
    assert_int_equal(measured(*state, SIZES(10, 10, 0, 0)), 0);
    assert_int_equal(measured(*state, SIZES(10, 8, 6, 4)), -1);
}

static void what_nobody_tells_is_not_known(void **state)
{
    assert_int_equal(measured(*state, SIZES(-1, -1, -1, -1)), -1);
    assert_int_equal(measured(*state, SIZES(-1, 10, -1, 10)), -1);
    assert_int_equal(measured(*state, SIZES(10, 12, -1, 10)), 1 * MIB);
    assert_int_equal(measured(*state, SIZES(-1, -1, 10, 14)), 2 * MIB);
}

/* 2 has followed until it led: what its log has grown by is what was written. */
static void a_leader_that_was_a_follower(void **state)
{
    struct rig *r = *state;
    r->p[3]->leader = 2;
    r->p[2]->bytes[1] = 4 * MIB;
    assert_int_equal(measured(r, SIZES(10, 12, 14, 0)), 10 * MIB / 6); /* 2, 2, and 6 of 2's */
    struct arena *a = &r->arena;
    r->p[2]->isr = IDS(1); /* it was catching up */
    assert_int_equal(measured(r, SIZES(10, 12, 14, 0)), 1 * MIB);
    r->p[3]->leader = -1;
    assert_int_equal(measured(r, SIZES(10, 12, 14, 90)), 1 * MIB);
}

static void a_topic_that_comes_and_one_moment(void **state)
{
    struct rig *r = *state;
    r->v[1].topics_n = 0; /* deleted, and made anew */
    assert_int_equal(measured(r, SIZES(90, 0, 2, 6)), 2 * MIB);
    r->v[2].topics_n = 0;
    assert_int_equal(measured(r, SIZES(90, 0, 0, 6)), -1);
    r->v[1].topics_n = r->v[2].topics_n = 1;
    r->v[3].brokers[0].dirs_ms = r->v[2].brokers[0].dirs_ms; /* no time is between them */
    assert_int_equal(measured(r, SIZES(10, 12, 14, 90)), 1 * MIB);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(a_log_grows),
        TEST(the_time_in_which_it_shrank_does_not_count),
        TEST(what_nobody_tells_is_not_known),
        TEST(a_leader_that_was_a_follower),
        TEST(a_topic_that_comes_and_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
