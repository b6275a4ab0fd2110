/* The checker of records (history.h) against short histories, good and bad ones. A bad one ends the
 * process: each history runs in one of its own. */
#include "base/buf.h"
#include "sim/checkers/history.h"
#include "sim/checkers/passes.h"

struct rig {
    struct run r;
    struct history h;
    uint32_t part;
    uint64_t record;
    struct buf value;
};

static void seen(struct rig *rig, int64_t offset)
{
    history_seen(&rig->h, rig->part, offset, buf_bytes(&rig->value), 0);
}

static void acked(struct rig *rig, int64_t offset)
{
    history_acked(&rig->h, rig->part, rig->record, 1, offset);
}

static void rig_run(void (*history)(struct rig *rig), bool many)
{
    struct rig rig = {0};
    history_init(&rig.h, &rig.r);
    rig.h.many = many;
    rig.part = history_part(&rig.h, "topic-0", false);
    rig.record = history_send(&rig.h, rig.part, 0, &rig.value, 16);
    history(&rig);
    buf_free(&rig.value);
    history_free(&rig.h);
}

/* ---- a record that stands twice ---- */

static void twice(struct rig *rig)
{
    seen(rig, 0);
    acked(rig, 7);
}

static void deleted_between(struct rig *rig)
{
    seen(rig, 0);
    history_delete_asked(&rig->h, rig->part, 1);
    acked(rig, 7);
    seen(rig, 7);
}

static void and_the_start_goes_back(struct rig *rig)
{
    deleted_between(rig);
    seen(rig, 0);
    seen(rig, 7);
}

static void and_a_third_time(struct rig *rig)
{
    deleted_between(rig);
    seen(rig, 9);
}

static void deleted_up_to_it(struct rig *rig)
{
    seen(rig, 1);
    history_delete_asked(&rig->h, rig->part, 1);
    acked(rig, 7);
}

static void acknowledged_and_deleted(struct rig *rig)
{
    acked(rig, 0);
    history_delete_asked(&rig->h, rig->part, 1);
    seen(rig, 7);
}

static void a_record_stands_once(void **state)
{
    (void)state;
    assert_false(passes(twice, true));
    assert_false(passes(twice, false));
}

static void it_may_stand_once_more_if_it_was_deleted_unacknowledged(void **state)
{
    (void)state;
    assert_true(passes(deleted_between, true));
    assert_true(passes(and_the_start_goes_back, true));
    assert_false(passes(and_a_third_time, true));
    assert_false(passes(deleted_up_to_it, true));
    assert_false(passes(acknowledged_and_deleted, true));
    assert_false(passes(deleted_between, false)); /* one node knows it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_stands_once),
        cmocka_unit_test(it_may_stand_once_more_if_it_was_deleted_unacknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
