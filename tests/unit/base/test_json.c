/* JSON text as Java's decoder and Kafka's converters make it of the same bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "base/assert.h"
#include "base/json.h"

#define REPLACED "\xef\xbf\xbd"

static void strings_are_escaped_and_mended(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
        {"\b\t\n\v\f\r\x1f\0", 8, "\"\\b\\t\\n\\u000b\\f\\r\\u001f\\u0000\""},
        {"\x7f", 1, "\"\x7f\""},
        {"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x99\x82", 9, "\"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x99\x82\""},
        /* One replacement for as much as could have begun a character. */
        {"\xff\xfe", 2, "\"" REPLACED REPLACED "\""},
        {"\xc0\x80", 2, "\"" REPLACED REPLACED "\""},
        {"a\xe6\x97", 3, "\"a" REPLACED "\""},
        {"\xe6\x97 z", 4, "\"" REPLACED " z\""},
        {"\xe0\x80\x80", 3, "\"" REPLACED REPLACED REPLACED "\""},
        {"\xed\xa0\x80", 3, "\"" REPLACED "\""},
        {"\xed\xa0", 2, "\"" REPLACED "\""},
        {"\xf0\x9f\x99", 3, "\"" REPLACED "\""},
        {"\xf0\x9fz", 3, "\"" REPLACED "z\""},
        {"\xf4\x90\x80\x80", 4, "\"" REPLACED REPLACED REPLACED REPLACED "\""},
        {"\xf8\x88\x80\x80\x80", 5, "\"" REPLACED REPLACED REPLACED REPLACED REPLACED "\""},
        {"\x80", 1, "\"" REPLACED "\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        json_put_string(&out, bytes_of(cases[i].in, cases[i].len));
        if (!bytes_eq_str(buf_bytes(&out), cases[i].out)) {
            fail_msg("case %zu: %.*s", i, BYTES_FMT(buf_bytes(&out)));
        }
        buf_free(&out);
    }
    struct buf out = {0};
    json_put_string(&out, BYTES_NULL);
    assert_string_equal(buf_cstr(&out), "null");
    buf_free(&out);
}

static void doubles_read_back(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *out;
    } cases[] = {
        {0.0, "0.0"},
        {1.0, "1.0"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {1e300, "1e+300"},
        {5e-324, "4.94065645841247e-324"},
        {1.0 / 3.0, "0.3333333333333333"},
        {1048576.0, "1048576.0"},
        {NAN, "\"NaN\""},
        {INFINITY, "\"Infinity\""},
        {-INFINITY, "\"-Infinity\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        json_put_double(&out, cases[i].v);
        assert_string_equal(buf_cstr(&out), cases[i].out);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_and_mended),
        cmocka_unit_test(doubles_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
