/* CRC-32C by the values of RFC 3720; the fast engines beside the table on every length and
 * alignment that their lanes treat differently; xxHash-32 by its published values. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "base/xxh32.h"

enum { LONGEST = 3 * 1024 * 3 + 3 * 128 * 2 + 50 };

static void known_values(void **state)
{
    (void)state;
    uint8_t b[32];
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(b, 0, sizeof b);
    assert_int_equal(crc32c(0, b, sizeof b), 0x8a9136aa);
    memset(b, 0xff, sizeof b);
    assert_int_equal(crc32c(0, b, sizeof b), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        b[i] = (uint8_t)i;
    }
    assert_int_equal(crc32c(0, b, sizeof b), 0x46dd794e);
    for (int i = 0; i < 32; i++) {
        b[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(crc32c(0, b, sizeof b), 0x113fdb5c);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
    assert_non_null(crc32c_engine());
}

static void engines_agree(void **state)
{
    (void)state;
    static uint8_t b[LONGEST + 16];
    struct prng r;
    prng_seed(&r, 13);
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = (uint8_t)prng_next(&r);
    }
    for (size_t n = 0; n < LONGEST; n += n < 800 ? 1 : 1 + (size_t)prng_below(&r, 40)) {
        size_t shift = (size_t)prng_below(&r, 16);
        uint32_t before = (uint32_t)prng_next(&r);
        uint32_t want = crc32c_portable(before, b + shift, n);
        assert_int_equal(crc32c(before, b + shift, n), want);
        size_t cut = n ? (size_t)prng_below(&r, n) : 0;
        uint32_t first = crc32c(before, b + shift, cut);
        assert_int_equal(crc32c(first, b + shift + cut, n - cut), want);
    }
}

static void xxh32_known_values(void **state)
{
    (void)state;
    static const char spam[] = "Nobody inspects the spammish repetition";
    assert_int_equal(xxh32("", 0, 0), 0x02cc5d05);
    assert_int_equal(xxh32("", 0, 0x9e3779b1), 0x36b78ae7);
    assert_int_equal(xxh32("a", 1, 0), 0x550d7456);
    assert_int_equal(xxh32("abc", 3, 0), 0x32d153ff);
    assert_int_equal(xxh32(spam, sizeof spam - 1, 0), 0xe2293b2f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(engines_agree),
        cmocka_unit_test(xxh32_known_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
