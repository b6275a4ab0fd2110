/* When the console says that a group's lag grows, or that the group stands still. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "broker/console/lag.h"

enum { EVERY_MS = 2000 };

/* n looks, one each round; lag and commits as the two functions of the round say. */
static struct lag_trend trend_of(int n, int64_t (*lag)(int i), int64_t (*committed)(int i))
{
    struct lag_history h = {.n = 0};
    for (int i = 0; i < n; i++) {
        lag_take(&h, (struct lag_look){100000 + (int64_t)i * EVERY_MS, lag(i), committed(i)});
    }
    return lag_trend(&h);
}

static int64_t none(int i)
{
    UNUSED(i);
    return 0;
}

static int64_t rises(int i)
{
    return 100 + (int64_t)i * 50;
}

static int64_t falls(int i)
{
    return 10000 - (int64_t)i * 50;
}

/* Commits come every third round: the lag is a saw, whose feet stay where they are ... */
static int64_t saw(int i)
{
    return 40 + (int64_t)(i % 3) * 5000;
}

/* ... or rise. */
static int64_t rising_saw(int i)
{
    return saw(i) + (int64_t)i * 1500;
}

/* Commits every five seconds of what comes in evenly, looked at every two: how near a foot a look
 * comes changes from tooth to tooth. Once, somebody was late. */
static int64_t seen_by_chance(int i)
{
    int64_t since_commit_ms = ((int64_t)i * EVERY_MS + 300) % 5000;
    return (i == 14 ? 400 : 0) + since_commit_ms * 150 / 1000;
}

static int64_t huge_and_steady(int i)
{
    return 1000000 + (int64_t)(i % 2) * 100 + i;
}

static void nothing_is_said_of_a_short_look(void **state)
{
    UNUSED(state);
    struct lag_history h = {.n = 0};
    assert_false(lag_trend(&h).grows || lag_trend(&h).stands);
    for (int n = 1; (n - 1) * EVERY_MS < LAG_TREND_LEAST_MS; n++) {
        assert_false(trend_of(n, rises, none).grows);
        assert_false(trend_of(n, rises, none).stands);
    }
    assert_true(trend_of(LAG_TREND_LEAST_MS / EVERY_MS + 1, rises, none).grows);
    assert_true(trend_of(LAG_TREND_LEAST_MS / EVERY_MS + 1, rises, none).stands);
}

static void growth_is_told_from_a_saw(void **state)
{
    UNUSED(state);
    for (int n = 10; n < 3 * LAG_LOOKS; n++) {
        assert_true(trend_of(n, rises, rises).grows);
        assert_true(n > LAG_LOOKS || trend_of(n, rising_saw, rises).grows);
        assert_false(trend_of(n, falls, rises).grows);
        assert_false(trend_of(n, saw, rises).grows);
        assert_false(trend_of(n, seen_by_chance, rises).grows);
        assert_false(trend_of(n, none, rises).grows);
        assert_false(trend_of(n, huge_and_steady, rises).grows);
    }
}

static void who_commits_does_not_stand(void **state)
{
    UNUSED(state);
    assert_false(trend_of(20, rises, rises).stands);
    assert_false(trend_of(20, none, none).stands);
    assert_true(trend_of(20, saw, none).stands);
}

/* What lies before the last half minute does not count. */
static int64_t rose_once(int i)
{
    return i < 20 ? 10 : 5000;
}

static void what_was_is_forgotten(void **state)
{
    UNUSED(state);
    assert_true(trend_of(30, rose_once, rises).grows);
    assert_false(trend_of(40, rose_once, rises).grows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_of_a_short_look),
        cmocka_unit_test(growth_is_told_from_a_saw),
        cmocka_unit_test(who_commits_does_not_stand),
        cmocka_unit_test(what_was_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
