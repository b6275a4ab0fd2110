/* Base64 by the examples of RFC 4648, both alphabets, and everything that is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/prng.h"

static void the_rfc_examples(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        base64_put(&b, bytes_str(rows[i][0]));
        assert_string_equal(buf_cstr(&b), rows[i][1]);
        buf_clear(&b);
        base64url_put(&b, bytes_str(rows[i][0]));
        assert_string_equal(buf_cstr(&b), rows[i][2]);
        for (int k = 1; k < 3; k++) {
            buf_clear(&b);
            assert_int_equal(base64_get(&b, bytes_str(rows[i][k])), 0);
            assert_string_equal(buf_cstr(&b), rows[i][0]);
        }
        buf_free(&b);
    }
}

static void all_lengths_come_back(void **state)
{
    (void)state;
    struct prng r;
    uint8_t raw[100];
    prng_seed(&r, 3);
    for (size_t n = 0; n <= sizeof raw; n++) {
        struct buf text = {0};
        struct buf back = {0};
        for (size_t i = 0; i < n; i++) {
            raw[i] = (uint8_t)prng_next(&r);
        }
        base64_put(&text, bytes_of(raw, n));
        assert_int_equal(text.len, (n + 2) / 3 * 4);
        assert_int_equal(base64_get(&back, buf_bytes(&text)), 0);
        assert_int_equal(back.len, n);
        assert_memory_equal(buf_bytes(&back).data, raw, n);
        buf_free(&text);
        buf_free(&back);
    }
}

static void what_is_no_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",     "Zm9vY", "====", "Z===",     "Zm=v", "=Zg",
                                      "Zm9v ", "Zm\n9", "Z$==", "\xc3\xa9", "Zg==="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b = {0};
        if (base64_get(&b, bytes_str(bad[i])) != ERR_INVALID) {
            fail_msg("'%s' was taken", bad[i]);
        }
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfc_examples),
        cmocka_unit_test(all_lengths_come_back),
        cmocka_unit_test(what_is_no_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
