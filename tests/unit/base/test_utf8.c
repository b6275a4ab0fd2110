/* Broken UTF-8 as Java's decoder mends it: how many replacements for which bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/utf8.h"

#define R UTF8_REPLACEMENT

static void texts_are_mended(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"plain \x01\x7f", "plain \x01\x7f"},
        {"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x99\x82", "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x99\x82"},
        {"\xff\xfe", R R},
        {"\xc0\x80", R R},
        {"a\xe6\x97", "a" R},
        {"\xe6\x97 z", R " z"},
        {"\xed\xa0\x80", R},
        {"\xf0\x9f\x99", R},
        {"\xf4\x90\x80\x80z", R R R R "z"},
        {"\xe0\x80\x80", R R R},
        {"\x80"
         "a\xbf",
         R "a" R},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        utf8_put(&out, bytes_str(rows[i].in));
        if (!bytes_eq_str(buf_bytes(&out), rows[i].out)) {
            fail_msg("row %zu: %s", i, buf_cstr(&out));
        }
        buf_free(&out);
    }
    struct buf out = {0};
    utf8_put(&out, BYTES_NULL);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void sequences_tell_their_length(void **state)
{
    (void)state;
    static const uint8_t all[] = {'a', 0xc3, 0xa9, 0xe6, 0x97, 0xa5, 0xf0, 0x9f, 0x99, 0x82};
    const uint8_t *end = all + sizeof all;
    size_t bad;
    assert_int_equal(utf8_sequence(all, end, &bad), 1);
    assert_int_equal(utf8_sequence(all + 1, end, &bad), 2);
    assert_int_equal(utf8_sequence(all + 3, end, &bad), 3);
    assert_int_equal(utf8_sequence(all + 6, end, &bad), 4);
    assert_int_equal(utf8_sequence(all + 2, end, &bad), 0);
    assert_int_equal(bad, 1);
    for (int cut = 7; cut < 10; cut++) { /* nothing behind the end is looked at */
        assert_int_equal(utf8_sequence(all + 6, all + cut, &bad), 0);
        assert_int_equal(bad, cut - 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_mended),
        cmocka_unit_test(sequences_tell_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
