/* Buffers of request bodies: the last one used comes back first, the cache is bounded, and what is
 * not needed goes back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/assert.h"
#include "runtime/frame_pool.h"

static void the_last_used_comes_back_first(void **state)
{
    struct frame_pool p = {.max = 64 << 20};
    size_t cap;
    uint8_t *a = frame_pool_get(&p, 100000, &cap), *b;
    UNUSED(state);
    assert_true(cap >= 100000);
    b = frame_pool_get(&p, 100000, &cap);
    memset(a, 1, cap);
    memset(b, 2, cap);
    frame_pool_put(&p, a, cap);
    frame_pool_put(&p, b, cap);
    assert_int_equal(p.cached, 2 * cap);
    assert_ptr_equal(frame_pool_get(&p, 90000, &cap), b);
    assert_ptr_equal(frame_pool_get(&p, 131072, &cap), a);
    assert_int_equal(p.cached, 0);
    frame_pool_put(&p, a, cap);
    frame_pool_put(&p, b, cap);
    frame_pool_free(&p);
}

static void sizes_fit(void **state)
{
    struct frame_pool p = {.max = 8 << 20};
    UNUSED(state);
    for (size_t n = 1; n <= 5 << 20; n = n * 2 + 1) {
        size_t cap = 0;
        uint8_t *b = frame_pool_get(&p, n, &cap);
        assert_true(cap >= n);
        memset(b, 3, cap);
        frame_pool_put(&p, b, cap);
        assert_true(p.cached <= p.max);
    }
    frame_pool_free(&p);
}

static void the_cache_is_bounded(void **state)
{
    struct frame_pool p = {.max = 3 << 20};
    uint8_t *b[10];
    size_t cap = 0;
    UNUSED(state);
    for (int i = 0; i < 10; i++) {
        b[i] = frame_pool_get(&p, 1 << 20, &cap);
    }
    for (int i = 0; i < 10; i++) {
        frame_pool_put(&p, b[i], cap);
        assert_true(p.cached <= p.max);
    }
    assert_int_equal(p.cached, 2 * cap);
    frame_pool_free(&p);
}

static void what_is_not_needed_goes_back(void **state)
{
    struct frame_pool p = {.max = 64 << 20};
    uint8_t *a, *b;
    size_t cap;
    UNUSED(state);
    a = frame_pool_get(&p, 1 << 20, &cap);
    b = frame_pool_get(&p, 1 << 20, &cap);
    frame_pool_put(&p, a, cap);
    frame_pool_put(&p, b, cap);
    assert_int_equal(frame_pool_trim(&p), 0); /* both were in use since the last trim */
    b = frame_pool_get(&p, 1 << 20, &cap);
    frame_pool_put(&p, b, cap);
    assert_int_equal(frame_pool_trim(&p), cap); /* one was never needed */
    assert_int_equal(frame_pool_trim(&p), cap);
    assert_int_equal(p.cached, 0);
    frame_pool_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_used_comes_back_first),
        cmocka_unit_test(sizes_fit),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(what_is_not_needed_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
