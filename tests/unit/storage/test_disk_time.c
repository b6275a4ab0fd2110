/* How long the disk took. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/disk_time.h"

static const int64_t minute = (int64_t)DISK_TIME_MS * 1000;

static void the_longest_of_two_minutes(void **state)
{
    UNUSED(state);
    struct disk_time t = {0};
    int64_t now = 7 * minute;
    assert_int_equal(disk_time_longest(&t, now).us, 0);
    disk_time_add(&t, now, now + 50, "a");
    disk_time_add(&t, now + 100, now + 400, "b");
    disk_time_add(&t, now + 500, now + 510, "c");
    disk_time_add(&t, now + 600, now + 590, "d"); /* a clock of another shard */
    assert_int_equal(t.count, 4);
    assert_int_equal(t.sum_us, 360);
    struct disk_longest l = disk_time_longest(&t, now + 600);
    assert_int_equal(l.us, 300);
    assert_int_equal(l.at_us, now + 400);
    assert_string_equal(l.where, "b");
    /* the next minute, shorter ones: the long one is still told */
    disk_time_add(&t, now + minute, now + minute + 20, "e");
    disk_time_add(&t, now + minute + 600, now + minute + 660, "f");
    assert_string_equal(disk_time_longest(&t, now + minute + 700).where, "b");
    disk_time_add(&t, now + 2 * minute, now + 2 * minute + 900, "g");
    l = disk_time_longest(&t, now + 2 * minute + 900);
    assert_string_equal(l.where, "g");
    /* the minute before is told while nothing is longer */
    disk_time_add(&t, now + 3 * minute + 900, now + 3 * minute + 901, "h");
    assert_string_equal(disk_time_longest(&t, now + 3 * minute + 901).where, "g");
    /* nothing happens for long */
    assert_int_equal(disk_time_longest(&t, now + 9 * minute).us, 0);
    disk_time_add(&t, now + 9 * minute, now + 9 * minute + 5, "i");
    assert_string_equal(disk_time_longest(&t, now + 9 * minute + 5).where, "i");
    assert_int_equal(t.before.us, 0);
}

static void long_names_are_cut(void **state)
{
    UNUSED(state);
    struct disk_time t = {0};
    char name[2 * DISK_TIME_WHERE];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    disk_time_add(&t, 10, 20, name);
    assert_int_equal(strlen(disk_time_longest(&t, 20).where), DISK_TIME_WHERE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_of_two_minutes),
        cmocka_unit_test(long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
