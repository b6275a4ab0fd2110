/* A rate over sliding windows: what counts, for how long, and when it is low enough again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "broker/replica/rate_window.h"

enum { SLOTS = 11, SLOT_MS = 1000 };

static void nothing_is_no_excess(void **state)
{
    UNUSED(state);
    struct rate_window w;
    rate_window_init(&w, SLOTS, SLOT_MS);
    assert_int_equal(rate_window_excess_ms(&w, 1, 5), 0);
    assert_int_equal(rate_window_excess_ms(&w, 0, 5), 0);
    rate_window_free(&w);
}

static void a_burst_is_paid_off_by_waiting(void **state)
{
    UNUSED(state);
    struct rate_window w;
    rate_window_init(&w, SLOTS, SLOT_MS);
    rate_window_record(&w, 1000, 50);
    assert_int_equal(rate_window_excess_ms(&w, 1000, 50), 0); /* a second's worth */
    rate_window_record(&w, 2000, 60);
    int64_t wait = rate_window_excess_ms(&w, 1000, 60);
    assert_in_range(wait, 2990, 2993); /* 3000 bytes since 50 */
    assert_true(rate_window_excess_ms(&w, 1000, 60 + wait - 2) > 0);
    assert_int_equal(rate_window_excess_ms(&w, 1000, 60 + wait), 0);
    assert_int_equal(rate_window_excess_ms(&w, 3000, 60), 0);
    rate_window_free(&w);
}

static void what_is_too_much_is_forgotten_in_the_end(void **state)
{
    UNUSED(state);
    struct rate_window w;
    rate_window_init(&w, SLOTS, SLOT_MS);
    rate_window_record(&w, 1000000, 0);
    assert_int_equal(rate_window_excess_ms(&w, 1000, 0), SLOTS * SLOT_MS);
    assert_int_equal(rate_window_excess_ms(&w, 0, 0), SLOTS * SLOT_MS);
    rate_window_record(&w, 100, 5000);
    assert_int_equal(rate_window_excess_ms(&w, 1000, 10999), 1);
    assert_int_equal(rate_window_excess_ms(&w, 1000, 11000), 0);
    rate_window_free(&w);
}

/* Taking what is allowed whenever it is allowed comes to the limit in the long run. */
static void the_rate_comes_to_the_limit(void **state)
{
    UNUSED(state);
    static const int64_t limits[] = {50000, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rate_window w;
        uint64_t bytes = 0;
        int64_t now = 0;
        rate_window_init(&w, SLOTS, SLOT_MS);
        while (now < 100000) {
            int64_t wait = rate_window_excess_ms(&w, limits[i], now);
            if (wait == 0) {
                rate_window_record(&w, 30000, now);
                bytes += 30000;
            }
            now += wait ? wait : 1;
        }
        assert_in_range(bytes, (uint64_t)limits[i] * 90, (uint64_t)limits[i] * 115);
        rate_window_free(&w);
    }
}

static void many_windows_go_by(void **state)
{
    UNUSED(state);
    struct rate_window w;
    rate_window_init(&w, 1, SLOT_MS);
    for (int64_t now = 0; now < 100000; now += 700) {
        rate_window_record(&w, 10, now);
        assert_int_equal(rate_window_excess_ms(&w, 1000, now), 0);
    }
    rate_window_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_excess),
        cmocka_unit_test(a_burst_is_paid_off_by_waiting),
        cmocka_unit_test(what_is_too_much_is_forgotten_in_the_end),
        cmocka_unit_test(the_rate_comes_to_the_limit),
        cmocka_unit_test(many_windows_go_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
