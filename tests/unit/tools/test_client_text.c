/* What tools say of an error that a cluster answers with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto_errors.h"
#include "tools/client.h"

static void check(int16_t code, const char *message, const char *wanted)
{
    char text[300];
    assert_string_equal(client_error_text(code, bytes_str(message), text, sizeof text), wanted);
}

static void the_brokers_sentence_or_the_name(void **state)
{
    (void)state;
    check(KE_NOT_CONTROLLER, "Node 3 is.", "Node 3 is.");
    check(KE_NOT_CONTROLLER, NULL, "NOT_CONTROLLER (error 41)");
}

static void who_was_not_answered_in_time_is_told_where_to_ask(void **state)
{
    (void)state;
    struct client c = {0};
    assert_string_equal(client_hint(c.refused), "");
    assert_int_not_equal(client_refused(&c, KE_REQUEST_TIMED_OUT, BYTES_NULL), 0);
    assert_string_equal(c.error.text, "REQUEST_TIMED_OUT (error 7)"); /* the doctor quotes it */
    assert_non_null(strstr(client_hint(c.refused), "millrace cluster doctor"));
    client_refused(&c, KE_NOT_CONTROLLER, BYTES_NULL);
    assert_string_equal(client_hint(c.refused), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_brokers_sentence_or_the_name),
        cmocka_unit_test(who_was_not_answered_in_time_is_told_where_to_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
