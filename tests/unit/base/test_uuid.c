/* Uuids: text, parsing, and which random bytes make one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/prng.h"
#include "base/uuid.h"

static void texts_as_kafka_writes_them(void **state)
{
    (void)state;
    char text[UUID_TEXT];
    assert_string_equal(uuid_text(UUID_ZERO, text), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_string_equal(uuid_text(uuid_reserved(1), text), "AAAAAAAAAAAAAAAAAAAAAQ");
    struct uuid all;
    memset(&all, 0xff, sizeof all);
    assert_string_equal(uuid_text(all, text), "_____________________w");
    assert_true(uuid_is_zero(UUID_ZERO));
    assert_false(uuid_is_zero(uuid_reserved(1)));
    assert_false(uuid_eq(all, UUID_ZERO));
}

static void texts_read_back(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 5);
    for (int i = 0; i < 1000; i++) {
        struct uuid u;
        struct uuid back;
        char text[UUID_TEXT];
        store_be64(u.b, prng_next(&r));
        store_be64(u.b + 8, prng_next(&r));
        uuid_text(u, text);
        assert_int_equal(uuid_parse(text, 22, &back), 0);
        assert_true(uuid_eq(u, back));
    }
}

static void what_is_no_uuid(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "AAAAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAAAA=",
                                      "AAAAAAAAAAAAAAAAAAAA==",
                                      "AAAAAAAAAA AAAAAAAAAAA",
                                      "01234567-89ab-cdef-0123-456789abcdef"};
    struct uuid u = uuid_reserved(7);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (uuid_parse(bad[i], strlen(bad[i]), &u) != ERR_INVALID) {
            fail_msg("'%s' was taken", bad[i]);
        }
    }
    assert_true(uuid_eq(u, uuid_reserved(7))); /* left alone */
}

static void random_bytes_make_version_4(void **state)
{
    (void)state;
    struct prng r;
    int refused = 0;
    prng_seed(&r, 9);
    for (int i = 0; i < 6400; i++) {
        uint8_t random[16];
        struct uuid u;
        char text[UUID_TEXT];
        store_be64(random, prng_next(&r));
        store_be64(random + 8, prng_next(&r));
        bool taken = uuid_from_random(random, &u);
        assert_int_equal(u.b[6] >> 4, 4);
        assert_int_equal(u.b[8] >> 6, 2);
        assert_int_equal(taken, uuid_text(u, text)[0] != '-');
        refused += !taken;
        for (int k = 0; k < 16; k++) {
            assert_true(k == 6 || k == 8 || u.b[k] == random[k]);
        }
    }
    assert_in_range(refused, 50, 150); /* one in 64 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_as_kafka_writes_them),
        cmocka_unit_test(texts_read_back),
        cmocka_unit_test(what_is_no_uuid),
        cmocka_unit_test(random_bytes_make_version_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
