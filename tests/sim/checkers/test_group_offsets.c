/* The checker of committed offsets (group_model.h) against short histories, good and bad ones. A
 * bad one ends the process: each history runs in one of its own. */
#include "sim/checkers/group_model.h"
#include "sim/checkers/passes.h"

struct rig {
    struct run r;
    struct group_model m;
    unsigned group;
};

/* An acknowledged commit; its value. */
static int64_t commit(struct rig *rig)
{
    struct gm_ref ref = group_model_commit(&rig->m, rig->group, 0, 0, false);
    group_model_commit_done(&rig->m, ref, 0, 0);
    return group_model_at(&rig->m, ref)->offset;
}

static void reads(struct rig *rig, int64_t offset)
{
    group_model_read(&rig->m, rig->group, 0, 0, group_model_tick(&rig->m), offset, -2, BYTES_NULL);
}

/* The host's words of a loss in a cluster: nothing is looked at until a quiet time, while commits
 * go on that no disk has yet. */
static int64_t loss_and_commit(struct rig *rig)
{
    group_model_blind(&rig->m);
    int64_t offset = commit(rig);
    group_model_down(&rig->m, true, true);
    return offset;
}

static void rig_run(void (*history)(struct rig *rig), bool many)
{
    struct rig rig = {0};
    group_model_init(&rig.m, &rig.r);
    rig.m.many = many;
    rig.group = group_model_group(&rig.m, "group");
    history(&rig);
    group_model_free(&rig.m);
}

static void replaced(struct rig *rig)
{
    int64_t old = commit(rig);
    commit(rig);
    reads(rig, old);
}

static void lost_and_back(struct rig *rig)
{
    int64_t kept = commit(rig);
    int64_t gone = commit(rig);
    group_model_down(&rig->m, true, true);
    reads(rig, kept);
    reads(rig, gone);
}

static void hidden_by_unflushed(struct rig *rig)
{
    int64_t kept = commit(rig);
    reads(rig, loss_and_commit(rig));
    loss_and_commit(rig);
    reads(rig, kept);
}

static void hidden_and_no_loss(struct rig *rig)
{
    int64_t kept = commit(rig);
    reads(rig, loss_and_commit(rig));
    group_model_down(&rig->m, false, false);
    reads(rig, kept);
}

static void test_replaced(void **state)
{
    (void)state;
    assert_false(passes(replaced, false));
    assert_false(passes(replaced, true));
}

static void test_lost_and_back(void **state)
{
    (void)state;
    assert_false(passes(lost_and_back, false));
    assert_false(passes(lost_and_back, true));
}

/* One machine loses power again and again: it falls back to what its disk had after the first
 * time, although something newer, in memory alone, was read in between. */
static void test_hidden_by_unflushed(void **state)
{
    (void)state;
    assert_true(passes(hidden_by_unflushed, true));
    assert_false(passes(hidden_and_no_loss, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_lost_and_back),
        cmocka_unit_test(test_hidden_by_unflushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
