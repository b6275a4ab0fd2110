#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/explain.h"

static void test_there_and_back(void **state)
{
    char longest[300];
    struct arena a = {0};
    struct explain_line *got;
    uint32_t n;
    (void)state;
    memset(longest, 'w', sizeof longest);
    const struct explain_line lines[] = {{1700000000123, bytes_str("member a joined")},
                                         {-1, bytes_str("")},
                                         {INT64_MAX, bytes_of(longest, sizeof longest)}};
    struct bytes value = explain_encode(lines, 3, &a);
    assert_int_equal(explain_decode(value, &a, &got, &n), 0);
    assert_int_equal(n, 3);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(got[i].wall_ms, lines[i].wall_ms);
        assert_true(bytes_eq(got[i].text, lines[i].text));
    }
    for (size_t cut = 0; cut < value.len; cut++) {
        assert_int_not_equal(explain_decode(bytes_of(value.data, cut), &a, &got, &n), 0);
        assert_int_equal(n, 0);
    }
    value = explain_encode(NULL, 0, &a);
    assert_int_equal(explain_decode(value, &a, &got, &n), 0);
    assert_int_equal(n, 0);
    arena_free(&a);
}

static void test_what_is_none(void **state)
{
    struct arena a = {0};
    struct explain_line *got;
    uint32_t n;
    (void)state;
    assert_int_equal(explain_decode(bytes_of("\xff\xff\xff\xff\x0f", 5), &a, &got, &n),
                     ERR_TRUNCATED);
    assert_int_equal(explain_decode(bytes_of("\x01\0\0\0\0\0\0\0\0\0", 10), &a, &got, &n),
                     ERR_CORRUPT);
    assert_int_equal(explain_decode(BYTES_NULL, &a, &got, &n), ERR_TRUNCATED);
    arena_free(&a);
}

static void test_find(void **state)
{
    const struct proto_tag tags[] = {{3, bytes_str("x")}, {EXPLAIN_TAG, bytes_str("y")}};
    const struct proto_unknown with = {tags, 2};
    const struct proto_unknown without = {tags, 1};
    struct bytes value;
    (void)state;
    assert_true(explain_find(&with, NULL));
    assert_true(explain_find(&with, &value));
    assert_true(bytes_eq_str(value, "y"));
    assert_false(explain_find(&without, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
