#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/topic_name.h"

static void test_valid(void **state)
{
    char longest[251];
    struct errmsg em;
    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_true(topic_name_is_valid(bytes_str("a.B_c-9"), NULL));
    assert_true(topic_name_is_valid(bytes_str("..."), NULL));
    assert_true(topic_name_is_valid(bytes_of(longest, 249), &em));
    assert_false(topic_name_is_valid(bytes_of(longest, 250), &em));
    assert_non_null(strstr(em.text, "249"));
    assert_false(topic_name_is_valid(bytes_str(""), &em));
    assert_false(topic_name_is_valid(BYTES_NULL, &em));
    assert_false(topic_name_is_valid(bytes_str("."), &em));
    assert_false(topic_name_is_valid(bytes_str(".."), &em));
    assert_false(topic_name_is_valid(bytes_str("a b"), &em));
    assert_non_null(strstr(em.text, "`a b`"));
    assert_false(topic_name_is_valid(bytes_str("a/b"), &em));
    assert_false(topic_name_is_valid(bytes_str("\xc3\xa9"), &em));
    assert_false(topic_name_is_valid(bytes_of("a\0b", 3), &em));
}

static void test_collision(void **state)
{
    (void)state;
    assert_true(topic_names_collide(bytes_str("a.b"), bytes_str("a_b")));
    assert_true(topic_names_collide(bytes_str("a.b"), bytes_str("a.b")));
    assert_false(topic_names_collide(bytes_str("a.b"), bytes_str("a-b")));
    assert_false(topic_names_collide(bytes_str("a.b"), bytes_str("a.bc")));
    assert_true(topic_name_is_internal(bytes_str("__consumer_offsets")));
    assert_false(topic_name_is_internal(bytes_str("__consumer_offset")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_valid),
                                       cmocka_unit_test(test_collision)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
