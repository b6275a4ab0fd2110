/* A controller of three and what the other two, played by the test, say to it. */
#include "voters_rig.h"

static int16_t reassignments(struct rig *r)
{
    struct list_partition_reassignments_request q;
    struct list_partition_reassignments_response resp;
    proto_msg_init(&list_partition_reassignments_request_msg, &q);
    rig_ask(r, API_LIST_PARTITION_REASSIGNMENTS, 0, &q, &resp);
    return resp.error_code;
}

static int16_t describe(struct rig *r)
{
    struct describe_quorum_request q;
    struct describe_quorum_response resp;
    proto_msg_init(&describe_quorum_request_msg, &q);
    rig_ask(r, API_DESCRIBE_QUORUM, 2, &q, &resp);
    return resp.error_code;
}

/* The quorum hears of a newer leader in one call, its owner at the end of the turn: what comes
 * between the two, and would only be read from the image, is not answered any more. */
static void deposed(void *arg)
{
    struct rig r;
    rig_start_three(&r, arg);
    rig_elect(&r);
    assert_int_equal(KE_NONE, reassignments(&r));
    assert_int_equal(KE_NONE, describe(&r));
    uint64_t term = rig_term(&r) + 1;
    rig_voter_says(
        &r, 3,
        &(struct quorum_message){.type = QUORUM_APPEND, .term = term, .index = 1, .index_term = 1});
    assert_int_equal(term, rig_term(&r));
    assert_true(rig_active(&r)); /* nobody has told it */
    assert_int_equal(KE_NOT_CONTROLLER, reassignments(&r));
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, describe(&r));
    rig_turn(&r);
    assert_false(rig_active(&r));
    rig_stop(&r);
}

static void nothing_is_read_once_another_one_leads(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, deposed, &w));
    rig_world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_read_once_another_one_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
