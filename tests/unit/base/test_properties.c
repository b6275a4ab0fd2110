#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/properties.h"

static int collect(void *ctx, const char *key, const char *value, unsigned line)
{
    buf_printf(ctx, "%u<%s><%s>", line, key, value);
    return 0;
}

static void expect(const char *text, const char *want)
{
    struct buf out = {0};
    struct errmsg em;
    assert_int_equal(properties_parse(bytes_str(text), collect, &out, &em), 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void test_separators(void **state)
{
    (void)state;
    expect("a=1\nb:2\nc 3\nd = 4\ne : 5\nf\t6\ng",
           "1<a><1>2<b><2>3<c><3>4<d><4>5<e><5>6<f><6>7<g><>");
    expect("a==1\nb=:2\nc: =3", "1<a><=1>2<b><:2>3<c><=3>");
    expect("=x", "1<><x>");
    expect("url=PLAINTEXT://:9092,C://h:1", "1<url><PLAINTEXT://:9092,C://h:1>");
    expect("a=1  ", "1<a><1  >");
}

static void test_comments_and_blank_lines(void **state)
{
    (void)state;
    expect("# c\n  ! c\n\n   \n a=1 # not a comment\r\nb=2\rc=3",
           "5<a><1 # not a comment>6<b><2>7<c><3>");
    expect("", "");
    expect("#", "");
    expect("# ends with a backslash \\\na=1", "2<a><1>");
}

static void test_continuation(void **state)
{
    (void)state;
    expect("a=1,\\\n   2,\\\r\n\t3\nb=x", "1<a><1,2,3>4<b><x>");
    expect("a=x\\\\\nb=2", "1<a><x\\>2<b><2>");
    expect("a=x\\", "1<a><x>");
    expect("a=\\\n# not a comment", "1<a><# not a comment>");
}

static void test_escapes(void **state)
{
    (void)state;
    expect("a\\ b\\=c=\\t\\n\\q\\:", "1<a b=c><\t\nq:>");
    expect("a=\\u0041\\u00e9\\u20ac\\ud83d\\ude00", "1<a><A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80>");
    expect("a=\xc3\xa9", "1<a><\xc3\xa9>");
}

static void test_bad_escapes(void **state)
{
    const char *bad[] = {"\nx=\\u12", "\nx=\\u12g4", "\nx=\\ud83d", "\nx=\\ude00", "\nx\\u=1"};
    struct errmsg em;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out = {0};
        assert_int_equal(properties_parse(bytes_str(bad[i]), collect, &out, &em), ERR_INVALID);
        assert_string_equal(em.text, "line 2: \\u needs four hexadecimal digits of a character");
        buf_free(&out);
    }
}

static int stop_at_b(void *ctx, const char *key, const char *value, unsigned line)
{
    (void)value;
    (void)line;
    ++*(int *)ctx;
    return key[0] == 'b' ? ERR_EXISTS : 0;
}

static void test_callback_ends_the_reading(void **state)
{
    int n = 0;
    (void)state;
    assert_int_equal(properties_parse(bytes_str("a=1\nb=2\nc=3"), stop_at_b, &n, NULL), ERR_EXISTS);
    assert_int_equal(n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_separators),   cmocka_unit_test(test_comments_and_blank_lines),
        cmocka_unit_test(test_continuation), cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_bad_escapes),  cmocka_unit_test(test_callback_ends_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
