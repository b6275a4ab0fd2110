/* The generator by the published outputs of its two algorithms, and its ranges. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/prng.h"

static void outputs_as_published(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 0); /* the state is splitmix64's first four outputs of seed 0 */
    assert_true(r.s[0] == 0xe220a8397b1dcdafull);
    assert_true(r.s[1] == 0x6e789e6aa1b965f4ull);
    assert_true(r.s[2] == 0x06c45d188009454full);
    assert_true(r.s[3] == 0xf88bb8a8724c81ecull);
    r = (struct prng){{1, 2, 3, 4}};
    static const uint64_t want[] = {
        11520ull, 0ull, 1509978240ull, 1215971899390074240ull, 1216172134540287360ull,
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(prng_next(&r) == want[i]);
    }
}

static void below_stays_below_and_reaches_all(void **state)
{
    (void)state;
    struct prng r;
    int hits[7] = {0};
    prng_seed(&r, 17);
    for (int i = 0; i < 70000; i++) {
        uint64_t v = prng_below(&r, 7);
        assert_true(v < 7);
        hits[v]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(hits[i], 9500, 10500);
    }
    for (int i = 0; i < 100; i++) {
        assert_true(prng_below(&r, 1) == 0);
    }
}

static void a_seed_gives_the_same_stream(void **state)
{
    (void)state;
    struct prng a;
    struct prng b;
    struct prng c;
    prng_seed(&a, 123);
    prng_seed(&b, 123);
    prng_seed(&c, 124);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = prng_next(&a);
        assert_true(v == prng_next(&b));
        same += v == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_as_published),
        cmocka_unit_test(below_stays_below_and_reaches_all),
        cmocka_unit_test(a_seed_gives_the_same_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
