/* The slowest requests of two minutes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "broker/slow_requests.h"

enum { BEGIN_US = 5000000, MINUTE_US = SLOW_REQUESTS_MS * 1000 };

static void add(struct slow_requests *s, int64_t rank_us, int64_t now_us, uint64_t conn)
{
    if (slow_requests_wants(s, rank_us, now_us)) {
        struct slow_request *r = slow_requests_add(s, rank_us, now_us);
        if (r) {
            r->conn = conn;
            r->received_us = now_us - rank_us;
        }
    }
}

static void the_slowest_are_kept(void **state)
{
    UNUSED(state);
    struct slow_requests *s = MEM_NEW(struct slow_requests);
    struct slow_request out[SLOW_REQUESTS_MAX];
    assert_int_equal(slow_requests_copy(s, BEGIN_US, out), 0);
    for (int i = 1; i <= 1000; i++) { /* each rank once, in no order */
        int64_t rank = 1000 + (int64_t)(i * 37 % 1000 + 1) * 100;
        add(s, rank, BEGIN_US + i, (uint64_t)rank);
    }
    assert_int_equal(slow_requests_copy(s, BEGIN_US + 2000, out), SLOW_REQUESTS_MAX);
    for (int i = 0; i < SLOW_REQUESTS_MAX; i++) {
        assert_int_equal(out[i].rank_us, 1000 + (1000 - i) * 100);
        assert_int_equal(out[i].conn, out[i].rank_us);
        assert_int_equal(out[i].stages_us[STAGE_TOTAL], -1);
    }
    assert_false(slow_requests_wants(s, out[SLOW_REQUESTS_MAX - 1].rank_us, BEGIN_US + 2000));
    assert_true(slow_requests_wants(s, out[SLOW_REQUESTS_MAX - 1].rank_us + 1, BEGIN_US + 2000));
    const struct slow_request *one = slow_requests_find(s, out[3].conn, out[3].received_us);
    assert_int_equal(one->rank_us, out[3].rank_us);
    assert_null(slow_requests_find(s, out[3].conn, out[3].received_us + 1));
    mem_free(s);
}

static void minutes_pass(void **state)
{
    UNUSED(state);
    struct slow_requests *s = MEM_NEW(struct slow_requests);
    struct slow_request out[SLOW_REQUESTS_MAX];
    add(s, 900, BEGIN_US, 1); /* never slow */
    add(s, 500000, BEGIN_US, 2);
    assert_int_equal(slow_requests_copy(s, BEGIN_US, out), 1);
    add(s, 2000, BEGIN_US + MINUTE_US, 3); /* the next minute, where little is slow */
    assert_int_equal(slow_requests_copy(s, BEGIN_US + MINUTE_US, out), 2);
    assert_int_equal(out[0].conn, 2);
    assert_int_equal(out[1].conn, 3);
    add(s, 3000, BEGIN_US + 2 * MINUTE_US, 4);
    assert_int_equal(slow_requests_copy(s, BEGIN_US + 2 * MINUTE_US, out), 2);
    assert_int_equal(out[0].conn, 4);
    assert_int_equal(out[1].conn, 3);
    /* nothing since then: what is kept grows old */
    assert_int_equal(slow_requests_copy(s, BEGIN_US + 5 * MINUTE_US, out), 0);
    add(s, 3000, BEGIN_US + 9 * MINUTE_US, 5);
    assert_int_equal(slow_requests_copy(s, BEGIN_US + 9 * MINUTE_US, out), 1);
    assert_int_equal(out[0].conn, 5);
    mem_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slowest_are_kept),
        cmocka_unit_test(minutes_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
