/* Who follows the metadata log: remembered, forgotten, and told apart where two have one id. */
#include "controller/observers.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"

enum { SESSION_MS = 9000 };

static struct uuid id_of(uint8_t n)
{
    struct uuid id = {{7}};
    id.b[15] = n;
    return id;
}

static struct observers *new_observers(void)
{
    struct observers *o = MEM_NEW(struct observers);
    observers_clear(o);
    return o;
}

static void who_went_away_is_forgotten(void **state)
{
    UNUSED(state);
    struct observers *o = new_observers();
    struct observer *it = observers_touch(o, 5, id_of(1), 1000);
    assert_ptr_equal(it, observers_touch(o, 5, id_of(1), 3000));
    observers_touch(o, 6, id_of(2), 3000);
    assert_int_equal(2, o->n);
    observers_touch(o, 6, id_of(2), 3000 + OBSERVER_GONE_MS);
    assert_int_equal(2, o->n);
    observers_touch(o, 6, id_of(2), 3001 + OBSERVER_GONE_MS);
    assert_int_equal(1, o->n);
    assert_int_equal(6, o->v[0].id);
    mem_free(o);
}

static void more_than_there_is_room_for_are_not_noted(void **state)
{
    UNUSED(state);
    struct observers *o = new_observers();
    for (int32_t id = 0; id < OBSERVERS_MAX; id++) {
        assert_non_null(observers_touch(o, id, id_of(1), 1000));
    }
    assert_null(observers_touch(o, OBSERVERS_MAX, id_of(1), 1000));
    assert_non_null(observers_touch(o, 0, id_of(1), 1000));
    mem_free(o);
}

static bool may(struct observers *o, uint8_t registered, uint8_t incarnation, int64_t now_ms)
{
    return observers_may_replace(o, 5, id_of(registered), id_of(incarnation), now_ms, SESSION_MS);
}

/* A new process on the same disk takes over at once, one on another disk when the first one was
 * not heard of for a session. */
static void two_directories_are_two_processes(void **state)
{
    UNUSED(state);
    struct observers *o = new_observers();
    assert_true(may(o, 100, 101, 1000)); /* nothing is known of it */
    observers_touch(o, 5, id_of(1), 1000);
    assert_true(may(o, 100, 101, 1000));
    observers_touch(o, 5, id_of(2), 2000);
    assert_false(may(o, 101, 102, 2000));
    observers_touch(o, 5, id_of(1), 5000);
    observers_touch(o, 5, id_of(2), 9000);
    assert_false(may(o, 101, 102, 5000 + SESSION_MS));
    observers_touch(o, 5, id_of(2), 5001 + SESSION_MS);
    assert_true(may(o, 101, 102, 5001 + SESSION_MS));
    mem_free(o);
}

static void one_that_does_not_name_its_directory_is_no_second_one(void **state)
{
    UNUSED(state);
    struct observers *o = new_observers();
    observers_touch(o, 5, UUID_ZERO, 1000);
    observers_touch(o, 5, id_of(1), 1000);
    observers_touch(o, 5, UUID_ZERO, 1000);
    assert_true(uuid_eq(id_of(1), o->v[0].directory_id));
    assert_true(may(o, 100, 101, 1000));
    mem_free(o);
}

/* A copied disk has the other's directory id: the second process is not seen, the first one is when
 * it wants its registration back. */
static void who_was_replaced_does_not_come_back(void **state)
{
    UNUSED(state);
    struct observers *o = new_observers();
    observers_touch(o, 5, id_of(1), 1000);
    assert_true(may(o, 100, 101, 1000));
    assert_false(may(o, 101, 100, 1001));
    assert_true(may(o, 101, 102, 1002)); /* a restart of it */
    assert_false(may(o, 102, 101, 1003));
    observers_clear(o);
    assert_true(may(o, 102, 101, 1004));
    mem_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_went_away_is_forgotten),
        cmocka_unit_test(more_than_there_is_room_for_are_not_noted),
        cmocka_unit_test(two_directories_are_two_processes),
        cmocka_unit_test(one_that_does_not_name_its_directory_is_no_second_one),
        cmocka_unit_test(who_was_replaced_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
