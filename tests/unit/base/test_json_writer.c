/* Commas and names stand where JSON wants them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/json_writer.h"

static void all_kinds_in_their_places(void **state)
{
    UNUSED(state);
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    json_open(&w, NULL, '{');
    json_open(&w, "empty", '[');
    json_close(&w, ']');
    json_open(&w, "list", '[');
    json_int(&w, NULL, -1);
    json_str(&w, NULL, "a\"b");
    json_open(&w, NULL, '{');
    json_close(&w, '}');
    json_open(&w, NULL, '{');
    json_text(&w, "null", BYTES_NULL);
    json_close(&w, '}');
    json_close(&w, ']');
    json_known(&w, "unknown", -1);
    json_known(&w, "known", INT64_MAX);
    json_bool(&w, "yes", true);
    json_rate(&w, "rate", 1.23456);
    json_none(&w, "nothing");
    json_close(&w, '}');
    assert_string_equal(buf_cstr(&text),
                        "{\"empty\":[],\"list\":[-1,\"a\\\"b\",{},{\"null\":null}],"
                        "\"unknown\":null,\"known\":9223372036854775807,\"yes\":true,"
                        "\"rate\":1.235,\"nothing\":null}");
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_kinds_in_their_places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
