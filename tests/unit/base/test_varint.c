/* Base-128 integers: the edges of every length, zigzag, input that ends or runs on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/varint.h"

static void edges_of_every_length(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        for (int d = -1; d <= 1; d++) {
            uint64_t v = ((uint64_t)1 << bits) + (uint64_t)(int64_t)d;
            uint8_t raw[VARINT_MAX];
            uint64_t back = 0;
            size_t n = uvarint_put(raw, v);
            assert_int_equal(n, uvarint_size(v));
            size_t want = 1;
            for (uint64_t rest = v >> 7; rest; rest >>= 7) {
                want++;
            }
            assert_int_equal(n, want);
            assert_int_equal(uvarint_get(raw, n, VARINT_MAX, &back), n);
            assert_true(back == v);
            for (size_t cut = 0; cut < n; cut++) {
                assert_int_equal(uvarint_get(raw, cut, VARINT_MAX, &back), 0);
            }
        }
    }
}

static void known_encodings(void **state)
{
    (void)state;
    static const struct {
        int64_t v;
        uint64_t zigzag;
    } rows[] = {{0, 0},
                {-1, 1},
                {1, 2},
                {-2, 3},
                {63, 126},
                {-64, 127},
                {64, 128},
                {INT32_MAX, 4294967294},
                {INT32_MIN, 4294967295},
                {INT64_MAX, UINT64_MAX - 1},
                {INT64_MIN, UINT64_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(zigzag_encode(rows[i].v) == rows[i].zigzag);
        assert_true(zigzag_decode(rows[i].zigzag) == rows[i].v);
    }
    uint8_t raw[VARINT_MAX];
    assert_int_equal(uvarint_put(raw, 300), 2);
    assert_memory_equal(raw, "\xac\x02", 2);
    assert_int_equal(uvarint_put(raw, UINT32_MAX), 5);
    assert_memory_equal(raw, "\xff\xff\xff\xff\x0f", 5);
    assert_int_equal(uvarint_put(raw, UINT64_MAX), 10);
    assert_memory_equal(raw, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

static void an_encoding_may_not_run_on(void **state)
{
    (void)state;
    static const uint8_t six[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    static const uint8_t padded[] = {0x81, 0x80,
                                     0x00}; /* longer than need be: taken, as in Kafka */
    uint64_t v = 77;
    assert_int_equal(uvarint_get(six, sizeof six, 5, &v), 0);
    assert_true(v == 77);
    assert_int_equal(uvarint_get(six, sizeof six, 10, &v), 6);
    assert_true(v == (uint64_t)1 << 35);
    assert_int_equal(uvarint_get(padded, sizeof padded, 5, &v), 3);
    assert_true(v == 1);
    assert_int_equal(uvarint_get(padded, 0, 5, &v), 0);
}

static void random_values_come_back(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 11);
    for (int i = 0; i < 10000; i++) {
        int64_t v = (int64_t)(prng_next(&r) >> prng_below(&r, 64));
        v = i % 2 ? -v : v;
        uint8_t raw[VARINT_MAX];
        uint64_t back;
        size_t n = uvarint_put(raw, zigzag_encode(v));
        assert_int_equal(uvarint_get(raw, sizeof raw, VARINT_MAX, &back), n);
        assert_true(zigzag_decode(back) == v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_of_every_length),
        cmocka_unit_test(known_encodings),
        cmocka_unit_test(an_encoding_may_not_run_on),
        cmocka_unit_test(random_values_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
