/* The histogram against sorted values: small values exactly, large ones within its resolution. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/histogram.h"
#include "base/prng.h"

static const double fractions[] = {0, 0.001, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 0.9999, 1};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t nearest_rank(const uint64_t *sorted, size_t n, double fraction)
{
    size_t rank = 1;
    while (rank < n && (double)rank < fraction * (double)n) {
        rank++;
    }
    return sorted[rank - 1];
}

static void nothing_added(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, 1000);
    assert_true(histogram_at(&h, 0.5) == 0);
    assert_true(histogram_at(&h, 1) == 0);
    assert_true(histogram_mean(&h) == 0);
    assert_true(histogram_upto(&h, 1000) == 0);
    histogram_free(&h);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, 1000);
    for (uint64_t v = 100; v >= 1; v--) {
        histogram_add(&h, v);
    }
    assert_true(histogram_at(&h, 0) == 1);
    assert_true(histogram_at(&h, 0.01) == 1);
    assert_true(histogram_at(&h, 0.5) == 50);
    assert_true(histogram_at(&h, 0.505) == 51);
    assert_true(histogram_at(&h, 0.99) == 99);
    assert_true(histogram_at(&h, 1) == 100);
    assert_true(histogram_mean(&h) == 50.5);
    assert_true(h.min == 1 && h.max == 100 && h.count == 100 && h.sum == 5050);
    assert_true(histogram_upto(&h, 0) == 0);
    assert_true(histogram_upto(&h, 1) == 1);
    assert_true(histogram_upto(&h, 99) == 99);
    assert_true(histogram_upto(&h, UINT64_MAX) == 100);
    histogram_free(&h);
}

/* Values of every size, so that every bucket's edges are met. */
static uint64_t any_value(struct prng *r)
{
    uint64_t v = prng_next(r) >> prng_below(r, 64);
    return prng_below(r, 4) ? v : (1ull << prng_below(r, 63)) - 1 + prng_below(r, 3);
}

static void large_values_within_resolution(void **state)
{
    (void)state;
    static uint64_t values[20000];
    struct prng r;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct histogram h;
        prng_seed(&r, seed);
        histogram_init(&h, UINT64_MAX);
        size_t n = 1 + prng_below(&r, ARRAY_LEN(values));
        for (size_t i = 0; i < n; i++) {
            values[i] = any_value(&r);
            histogram_add(&h, values[i]);
        }
        qsort(values, n, sizeof *values, by_value);
        for (size_t i = 0; i < ARRAY_LEN(fractions); i++) {
            double want = (double)nearest_rank(values, n, fractions[i]);
            double got = (double)histogram_at(&h, fractions[i]);
            assert_true(got >= want * 0.992 && got <= want * 1.008);
        }
        uint64_t before = 0;
        for (uint64_t v = 1; v < 1ull << 60; v *= 3) {
            uint64_t upto = histogram_upto(&h, v);
            assert_true(upto >= before);
            before = upto;
        }
        histogram_free(&h);
    }
}

static void values_above_the_range_count_in_the_last_bucket(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, 1000);
    histogram_add(&h, 1);
    histogram_add(&h, 2);
    histogram_add(&h, 5000);
    histogram_add(&h, 1000000);
    assert_true(h.max == 1000000 && histogram_at(&h, 1) == 1000000);
    assert_true(histogram_at(&h, 0.5) == 2);
    assert_in_range(histogram_at(&h, 0.75), 990, 1010);
    assert_true(histogram_upto(&h, 900) == 2 && histogram_upto(&h, 1000) == 4);
    histogram_free(&h);
}

static void merged_is_as_if_added_to_one(void **state)
{
    (void)state;
    struct histogram one, a, b;
    struct prng r;
    prng_seed(&r, 5);
    histogram_init(&one, 1 << 30);
    histogram_init(&a, 1 << 30);
    histogram_init(&b, 1 << 30);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = prng_below(&r, 1 << 20);
        histogram_add(&one, v);
        histogram_add(prng_below(&r, 3) ? &a : &b, v);
    }
    histogram_merge(&a, &b);
    assert_true(a.count == one.count && a.sum == one.sum && a.min == one.min && a.max == one.max);
    assert_memory_equal(a.buckets, one.buckets, one.n * sizeof *one.buckets);
    histogram_reset(&b);
    histogram_merge(&a, &b);
    assert_true(b.count == 0 && histogram_at(&b, 0.5) == 0);
    assert_true(a.count == one.count && a.min == one.min);
    histogram_free(&one);
    histogram_free(&a);
    histogram_free(&b);
}

static void a_quarter_of_an_hour_takes_13_kb(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, 1 << 30);
    assert_in_range(h.n * sizeof *h.buckets, 12000, 13312);
    histogram_free(&h);
}

static void what_came_since(void **state)
{
    (void)state;
    struct histogram h, before;
    histogram_init(&h, 100000);
    histogram_init(&before, 100000);
    for (uint64_t v = 1; v <= 100; v++) {
        histogram_add(&h, v);
    }
    histogram_merge(&before, &h);
    for (uint64_t v = 0; v < 1000; v++) {
        histogram_add(&h, 50000 + v);
    }
    histogram_subtract(&h, &before);
    assert_true(h.count == 1000);
    assert_true(h.sum == 1000 * 50000 + 999 * 500);
    assert_true(histogram_at(&h, 0) >= 49600 && histogram_at(&h, 0) <= 50400);
    assert_true(histogram_at(&h, 1) >= 50600 && histogram_at(&h, 1) <= 50999);
    histogram_subtract(&h, &h);
    assert_true(h.count == 0 && histogram_at(&h, 0.99) == 0);
    histogram_free(&h);
    histogram_free(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_added),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(large_values_within_resolution),
        cmocka_unit_test(values_above_the_range_count_in_the_last_bucket),
        cmocka_unit_test(merged_is_as_if_added_to_one),
        cmocka_unit_test(a_quarter_of_an_hour_takes_13_kb),
        cmocka_unit_test(what_came_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
