/* The bump allocator: alignment, zeroes, growth past its blocks, the limit that a peer runs into.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/prng.h"

static void memory_is_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    struct prng r;
    enum { N = 400 };
    uint8_t *p[N];
    size_t len[N];
    size_t sum = 0;
    prng_seed(&r, 1);
    for (int i = 0; i < N; i++) {
        len[i] = (size_t)prng_below(&r, i % 10 == 0 ? 9000 : 60);
        sum += len[i];
        p[i] = arena_alloc(&a, len[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        for (size_t k = 0; k < len[i]; k++) {
            assert_int_equal(p[i][k], 0);
        }
        memset(p[i], i & 0xff, len[i]);
    }
    assert_int_equal(a.used, sum);
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < len[i]; k++) {
            assert_int_equal(p[i][k], i & 0xff);
        }
    }
    arena_free(&a);
    assert_null(a.head);
    assert_int_equal(a.used, 0);
}

static void reset_keeps_one_block_and_zeroes_again(void **state)
{
    (void)state;
    struct arena a = {0};
    for (int i = 0; i < 100; i++) {
        memset(arena_alloc(&a, 1000), 0xff, 1000);
    }
    arena_reset(&a);
    assert_non_null(a.head);
    assert_int_equal(a.used, 0);
    struct arena_block *kept = a.head;
    uint8_t *p = arena_alloc(&a, 1000);
    assert_ptr_equal(a.head, kept);
    for (size_t k = 0; k < 1000; k++) {
        assert_int_equal(p[k], 0);
    }
    arena_free(&a);
    arena_reset(&a); /* an empty one does no harm */
}

static void the_limit_counts_what_was_handed_out(void **state)
{
    (void)state;
    struct arena a = {.limit = 100};
    assert_non_null(arena_try(&a, 60));
    assert_null(arena_try(&a, 41));
    assert_int_equal(a.used, 60);
    assert_non_null(arena_try(&a, 40));
    assert_null(arena_try(&a, 1));
    assert_non_null(arena_try(&a, 0));
    assert_null(arena_try(&a, SIZE_MAX));
    /* arena_alloc is for what no peer decides: it does not know the limit, but counts. */
    assert_non_null(arena_alloc(&a, 50));
    assert_int_equal(a.used, 150);
    assert_null(arena_try(&a, 1));
    arena_reset(&a);
    assert_int_equal(a.limit, 100);
    assert_non_null(arena_try(&a, 100));
    arena_free(&a);
}

static void sizes_beyond_memory_are_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_null(arena_try(&a, SIZE_MAX));
    assert_null(arena_try(&a, SIZE_MAX - 8));
    assert_null(arena_try(&a, SIZE_MAX / 2));
    assert_int_equal(a.used, 0);
    arena_free(&a);
}

static void texts_are_copied(void **state)
{
    (void)state;
    struct arena a = {0};
    char source[] = "abcdef";
    char *copy = arena_strndup(&a, source, 3);
    source[0] = 'X';
    assert_string_equal(copy, "abc");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_string_equal(arena_printf(&a, "%s-%d", "t", 7), "t-7");
    char *longer = arena_printf(&a, "%0*d", 5000, 1);
    assert_int_equal(strlen(longer), 5000);
    assert_int_equal(longer[4999], '1');
    assert_int_equal(longer[4998], '0');
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_zeroed_and_apart),
        cmocka_unit_test(reset_keeps_one_block_and_zeroes_again),
        cmocka_unit_test(the_limit_counts_what_was_handed_out),
        cmocka_unit_test(sizes_beyond_memory_are_refused),
        cmocka_unit_test(texts_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
