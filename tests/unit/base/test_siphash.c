/* SipHash-2-4 by the vectors of its authors: key 00 01 .. 0f, input 00 01 .. of each length. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/siphash.h"

static void it_is_the_authors(void **state)
{
    (void)state;
    const struct siphash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
    uint8_t in[16];
    for (uint8_t i = 0; i < sizeof in; i++) {
        in[i] = i;
    }
    assert_int_equal(siphash(&key, bytes_of(in, 0)), 0x726fdb47dd0e0e31u);
    assert_int_equal(siphash(&key, bytes_of(in, 1)), 0x74f839c593dc67fdu);
    assert_int_equal(siphash(&key, bytes_of(in, 15)), 0xa129ca6149be45e5u);
    const struct siphash_key other = {{1, 0x0f0e0d0c0b0a0908u}};
    assert_int_not_equal(siphash(&other, bytes_of(in, 15)), 0xa129ca6149be45e5u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_the_authors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
