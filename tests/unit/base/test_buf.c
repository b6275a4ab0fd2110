/* The growable buffer and the slices over it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

static void numbers_stand_big_endian(void **state)
{
    (void)state;
    static const uint8_t want[] = {0x01, 0x23, 0x45, 0x89, 0xab, 0xcd, 0xef, 0x80, 1,
                                   2,    3,    4,    5,    6,    7,    0xac, 0x02, 0x03};
    struct buf b = {0};
    buf_put_u8(&b, 0x01);
    buf_put_be16(&b, 0x2345);
    buf_put_be32(&b, 0x89abcdef);
    buf_put_be64(&b, 0x8001020304050607);
    buf_put_uvarint(&b, 300);
    buf_put_varint(&b, -2);
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    assert_int_equal(load_be16(b.data + 1), 0x2345);
    assert_int_equal(load_be32(b.data + 3), 0x89abcdef);
    assert_true(load_be64(b.data + 7) == 0x8001020304050607);
    buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
}

static void it_grows_and_keeps_what_was_there(void **state)
{
    (void)state;
    struct buf b = {0};
    for (uint32_t i = 0; i < 50000; i++) {
        buf_put_be32(&b, i);
        assert_true(b.len <= b.cap);
    }
    assert_int_equal(b.len, 200000);
    for (uint32_t i = 0; i < 50000; i++) {
        assert_int_equal(load_be32(b.data + (size_t)i * 4), i);
    }
    size_t cap = b.cap;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, cap);
    buf_free(&b);
}

static void reserving_may_be_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_put_str(&b, "kept");
    assert_false(buf_try_reserve(&b, SIZE_MAX));
    assert_false(buf_try_reserve(&b, SIZE_MAX / 4 + 1));
    assert_true(buf_try_reserve(&b, 100000));
    assert_true(b.cap - b.len >= 100000);
    uint8_t *p = b.data;
    assert_true(buf_try_reserve(&b, 100000)); /* there already: nothing moves */
    assert_ptr_equal(b.data, p);
    assert_string_equal(buf_cstr(&b), "kept");
    buf_free(&b);
}

static void texts(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    buf_put(&b, NULL, 0);
    buf_put_str(&b, "");
    assert_int_equal(b.len, 0);
    buf_printf(&b, "%s=%d", "a", 5);
    buf_printf(&b, ";%0*d", 300, 0);
    assert_int_equal(b.len, 3 + 301);
    buf_put_str(&b, "!");
    assert_int_equal(b.data[b.len - 1], '!');
    assert_int_equal(b.data[b.len - 2], '0');
    buf_cstr(&b);
    assert_int_equal(b.len, 305); /* the NUL is not counted */
    uint8_t *taken = buf_take(&b);
    assert_memory_equal(taken, "a=5;000", 7);
    assert_null(b.data);
    mem_free(taken);
}

static void slices_tell_null_from_empty(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_false(bytes_is_null(buf_bytes(&b)));
    assert_int_equal(buf_bytes(&b).len, 0);
    assert_true(bytes_is_null(bytes_str(NULL)));
    assert_false(bytes_eq(BYTES_NULL, bytes_str("")));
    assert_true(bytes_eq(BYTES_NULL, BYTES_NULL));
    assert_true(bytes_eq_str(bytes_of("abc", 2), "ab"));
    assert_false(bytes_eq_str(bytes_of("abc", 2), "abc"));
}

static void slices_are_ordered_as_unsigned_bytes(void **state)
{
    (void)state;
    static const char *const rising[] = {"", "\x01", "a", "a\x01", "ab", "b", "\x80", "\xff"};
    for (size_t i = 0; i < 8; i++) {
        for (size_t k = 0; k < 8; k++) {
            int c = bytes_cmp(bytes_str(rising[i]), bytes_str(rising[k]));
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
        }
    }
    assert_int_equal(bytes_cmp(BYTES_NULL, bytes_str("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stand_big_endian),
        cmocka_unit_test(it_grows_and_keeps_what_was_there),
        cmocka_unit_test(reserving_may_be_refused),
        cmocka_unit_test(texts),
        cmocka_unit_test(slices_tell_null_from_empty),
        cmocka_unit_test(slices_are_ordered_as_unsigned_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
