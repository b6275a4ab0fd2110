/* JoinGroup: who is let in, what the answer says in which version, the initial delay. */
#include "rig.h"

static void a_new_member_is_told_to_come_again_with_its_id(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k = rig_join(&r, (struct join){.client = "app"});
    assert_true(k->done);
    assert_int_equal(k->r.join.error_code, KE_MEMBER_ID_REQUIRED);
    assert_int_equal(k->r.join.generation_id, -1);
    const char *id = rig_member(k);
    assert_int_equal(strlen(id), strlen("app-") + 36);
    assert_memory_equal(id, "app-", 4);
    assert_int_equal(id[4 + 14], '4'); /* a random uuid is of version 4 */
    assert_int_equal(r.records, 1);    /* the new group */
    assert_string_equal(rig_state(&r), "Empty");

    struct call *again = rig_join(&r, (struct join){.member = id});
    assert_false(again->done);
    assert_string_equal(rig_state(&r), "PreparingRebalance");
    rig_advance(&r, 2999);
    assert_false(again->done);
    rig_advance(&r, 1);
    assert_true(again->done);
    assert_int_equal(again->r.join.error_code, KE_NONE);
    assert_int_equal(again->r.join.generation_id, 1);
    assert_string_equal(rig_member(again), id);
    assert_string_equal(again->leader, id);
    assert_int_equal(again->r.join.members_n, 1);
    assert_true(bytes_eq_str(again->r.join.members[0].metadata, "meta"));
    assert_true(bytes_eq_str(again->r.join.protocol_name, "range"));
    assert_true(bytes_eq_str(again->r.join.protocol_type, "consumer"));
    assert_string_equal(rig_state(&r), "CompletingRebalance");
    rig_close(&r);
}

static void before_version_4_a_new_member_joins_at_once(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k = rig_join(&r, (struct join){.version = 3});
    assert_false(k->done);
    rig_advance(&r, 3000);
    assert_int_equal(k->r.join.error_code, KE_NONE);
    rig_close(&r);
}

static void version_0_has_one_timeout_for_both(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k = rig_join(&r, (struct join){.version = V0, .session_ms = 10000});
    rig_advance(&r, 3000);
    assert_true(k->done);
    /* no SyncGroup comes within the rebalance timeout, which is the session's */
    for (int i = 0; i < 9; i++) {
        rig_advance(&r, 1000);
        assert_int_equal(rig_beat(&r, rig_member(k), 1), KE_NONE);
    }
    rig_advance(&r, 1000);
    assert_string_equal(rig_state(&r), "Empty");
    rig_close(&r);
}

static void an_error_names_no_protocol_in_each_version_s_way(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *old = rig_join(&r, (struct join){.version = 6, .session_ms = 1});
    struct call *new = rig_join(&r, (struct join){.version = 7, .session_ms = 1});
    assert_int_equal(old->r.join.error_code, KE_INVALID_SESSION_TIMEOUT);
    assert_true(bytes_eq_str(old->r.join.protocol_name, ""));
    assert_true(bytes_is_null(new->r.join.protocol_name));
    assert_true(bytes_is_null(new->r.join.protocol_type));
    assert_true(bytes_eq_str(new->r.join.leader, ""));
    assert_int_equal(r.records, 0);
    rig_close(&r);
}

static void checks_come_in_kafka_s_order(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k = rig_join(&r, (struct join){.group = "", .session_ms = 1, .member = "m"});
    assert_int_equal(k->r.join.error_code, KE_INVALID_GROUP_ID);
    assert_string_equal(rig_member(k), "m");
    k = rig_join(&r, (struct join){.session_ms = 5999, .member = "m"});
    assert_int_equal(k->r.join.error_code, KE_INVALID_SESSION_TIMEOUT);
    k = rig_join(&r, (struct join){.session_ms = 1800001});
    assert_int_equal(k->r.join.error_code, KE_INVALID_SESSION_TIMEOUT);
    k = rig_join(&r, (struct join){.member = "m"}); /* no such group */
    assert_int_equal(k->r.join.error_code, KE_UNKNOWN_MEMBER_ID);
    assert_string_equal(rig_member(k), "m");
    assert_int_equal(group_coordinator_counts(r.c).groups, 0);
    k = rig_join(&r, (struct join){.type = ""}); /* makes the group all the same, as Kafka does */
    assert_int_equal(k->r.join.error_code, KE_INCONSISTENT_GROUP_PROTOCOL);
    assert_string_equal(rig_state(&r), "Empty");
    k = rig_join(&r, (struct join){.member = "m"});
    assert_int_equal(k->r.join.error_code, KE_UNKNOWN_MEMBER_ID);
    rig_close(&r);
}

static void the_initial_delay_grows_while_members_come(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.rebalance_ms = 10000});
    rig_advance(&r, 2000);
    struct call *b = rig_join_twice(&r, (struct join){.rebalance_ms = 10000});
    rig_advance(&r, 3000); /* the first round ended at 3 s, another one of 3 s began */
    assert_false(a->done);
    rig_advance(&r, 1000);
    assert_true(a->done && b->done);
    assert_int_equal(a->r.join.members_n, 2);
    assert_int_equal(b->r.join.members_n, 0);
    assert_string_equal((rig_member(b), b->leader), rig_member(a));
    rig_close(&r);
}

static void the_initial_delay_ends_with_the_rebalance_timeout(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.rebalance_ms = 7000});
    for (int i = 0; i < 6; i++) {
        rig_advance(&r, 1000);
        rig_join_twice(&r, (struct join){.rebalance_ms = 7000});
        assert_false(a->done);
    }
    rig_advance(&r, 1001);
    rig_join_twice(&r, (struct join){.rebalance_ms = 7000});
    rig_advance(&r, 3000);
    assert_true(a->done);
    rig_close(&r);
}

static void members_must_share_type_and_a_protocol(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.protocols = {"range", "sticky"}});
    struct call *k = rig_join(&r, (struct join){.protocols = {"other"}});
    assert_int_equal(k->r.join.error_code, KE_INCONSISTENT_GROUP_PROTOCOL);
    k = rig_join(&r, (struct join){.type = "connect"});
    assert_int_equal(k->r.join.error_code, KE_INCONSISTENT_GROUP_PROTOCOL);
    struct call *b = rig_join_twice(&r, (struct join){.protocols = {"sticky"}});
    rig_advance(&r, 6000);
    assert_true(a->done && b->done);
    assert_true(bytes_eq_str(a->r.join.protocol_name, "sticky"));
    rig_close(&r);
}

static void the_protocol_with_most_votes_is_chosen(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.protocols = {"range", "sticky"}});
    rig_join_twice(&r, (struct join){.protocols = {"sticky", "range"}});
    rig_join_twice(&r, (struct join){.protocols = {"only-mine", "sticky", "range"}});
    rig_advance(&r, 6000);
    assert_true(bytes_eq_str(a->r.join.protocol_name, "sticky"));
    rig_close(&r);
}

/* As java.util.HashMap has it (asked: Java 17). */
static void of_protocols_with_the_same_votes_kafka_s_is_chosen(void **state)
{
    UNUSED(state);
    static const char *const names[][3] = {
        {"range", "sticky", "sticky"},
        {"roundrobin", "range", "range"},
        {"cooperative-sticky", "range", "range"},
        {"a", "q", "a"},
        {"q", "a", "q"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct rig r;
        rig_open(&r);
        struct call *k = rig_join_twice(&r, (struct join){.protocols = {names[i][0], names[i][1]}});
        rig_join_twice(&r, (struct join){.protocols = {names[i][1], names[i][0]}});
        rig_advance(&r, 6000);
        assert_true(bytes_eq_str(k->r.join.protocol_name, names[i][2]));
        rig_close(&r);
    }
}

static void a_name_that_comes_twice_counts_once(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.protocols = {"range", "range", "sticky"}});
    struct call *b = rig_join_twice(&r, (struct join){.protocols = {"range"}});
    rig_advance(&r, 6000);
    assert_true(bytes_eq_str(a->r.join.protocol_name, "range"));
    assert_int_equal(b->r.join.error_code, KE_NONE);
    rig_close(&r);
}

static void a_pending_member_that_does_not_come_back_is_forgotten(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join(&r, (struct join){.session_ms = 10000});
    rig_advance(&r, 10000);
    struct call *k = rig_join(&r, (struct join){.member = rig_member(a)});
    assert_int_equal(k->r.join.error_code, KE_UNKNOWN_MEMBER_ID);
    rig_explains(&r, "g", "did not come back within 10000 ms");
    rig_close(&r);
}

static void a_pending_member_holds_up_a_rebalance_until_it_is_forgotten(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k[1];
    rig_group(&r, 1, k);
    struct call *p = rig_join(&r, (struct join){.session_ms = 10000});
    struct call *again =
        rig_join(&r, (struct join){.member = k[0]->member, .protocols = {"range:new"}});
    assert_false(again->done);
    rig_explains(&r, "g", "have not come back with them yet: 1");
    rig_advance(&r, 10000);
    assert_true(again->done);
    assert_int_equal(again->r.join.generation_id, 2);
    assert_true(p->done);
    rig_close(&r);
}

static void a_dynamic_id_is_not_for_a_static_member(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join(&r, (struct join){0});
    struct call *k = rig_join(&r, (struct join){.member = rig_member(a), .instance = "i"});
    assert_int_equal(k->r.join.error_code, KE_UNKNOWN_SERVER_ERROR);
    rig_close(&r);
}

static void a_second_join_takes_the_place_of_the_first(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *id = rig_join(&r, (struct join){0});
    struct call *a = rig_join(&r, (struct join){.member = rig_member(id)});
    struct call *b = rig_join(&r, (struct join){.member = rig_member(id)});
    assert_true(a->done);
    assert_int_equal(a->r.join.error_code, KE_REBALANCE_IN_PROGRESS);
    assert_false(b->done);
    rig_advance(&r, 3000);
    assert_int_equal(b->r.join.error_code, KE_NONE);
    assert_int_equal(b->r.join.members_n, 1);
    rig_close(&r);
}

static void a_member_that_missed_the_answer_gets_the_generation_again(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){0});
    struct call *b = rig_join_twice(&r, (struct join){0});
    rig_advance(&r, 6000);
    struct call *lead = rig_join(&r, (struct join){.member = rig_member(a)});
    struct call *other = rig_join(&r, (struct join){.member = rig_member(b)});
    assert_true(lead->done && other->done);
    assert_int_equal(lead->r.join.members_n, 2);
    assert_int_equal(other->r.join.members_n, 0);
    assert_int_equal(other->r.join.generation_id, 1);
    assert_string_equal(rig_state(&r), "CompletingRebalance");
    rig_close(&r);
}

static void a_stable_follower_that_says_nothing_new_changes_nothing(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k[2];
    rig_group(&r, 2, k);
    struct call *b = rig_join(&r, (struct join){.member = k[1]->member});
    assert_true(b->done);
    assert_int_equal(b->r.join.generation_id, 1);
    assert_int_equal(b->r.join.members_n, 0);
    assert_string_equal(rig_state(&r), "Stable");

    struct call *c =
        rig_join(&r, (struct join){.member = k[1]->member, .protocols = {"range:other"}});
    assert_false(c->done);
    assert_string_equal(rig_state(&r), "PreparingRebalance");
    rig_close(&r);
}

static void a_stable_leader_that_joins_again_starts_a_rebalance(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k[2];
    rig_group(&r, 2, k);
    struct call *a =
        rig_join(&r, (struct join){.member = k[0]->member, .reason = "topics\nchanged"});
    assert_false(a->done);
    rig_explains(&r, "g", "(its reason: 'topics?changed')");
    assert_int_equal(rig_beat(&r, k[1]->member, 1), KE_REBALANCE_IN_PROGRESS);
    struct call *b = rig_join(&r, (struct join){.member = k[1]->member});
    assert_true(a->done && b->done);
    assert_int_equal(a->r.join.generation_id, 2);
    rig_close(&r);
}

static void the_size_of_a_group_is_bounded(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    r.config.max_size = 2;
    struct call *p = rig_join(&r, (struct join){0}); /* pending while there is room */
    struct call *k[2];
    k[0] = rig_join_twice(&r, (struct join){0});
    k[1] = rig_join_twice(&r, (struct join){0});
    struct call *late = rig_join(&r, (struct join){.member = rig_member(p)});
    assert_int_equal(late->r.join.error_code, KE_GROUP_MAX_SIZE_REACHED);
    assert_true(bytes_eq_str(late->r.join.member_id, ""));
    late = rig_join(&r, (struct join){.version = 3});
    assert_int_equal(late->r.join.error_code, KE_GROUP_MAX_SIZE_REACHED);
    rig_advance(&r, 6000);
    assert_true(k[0]->done && k[1]->done);
    assert_int_equal(k[0]->r.join.members_n, 2);
    late = rig_join(&r, (struct join){0});
    assert_int_equal(late->r.join.error_code, KE_GROUP_MAX_SIZE_REACHED);
    assert_non_null(rig_line(&r, "group.max.size"));
    rig_close(&r);
}

static void memory_is_bounded(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    uint64_t before = group_coordinator_counts(r.c).bytes;
    r.config.memory_max = before + 100000;
    char *big = mem_zalloc(200002);
    memset(big, 'x', 200001);
    memcpy(big, "range:", 6);
    struct call *k = rig_join(&r, (struct join){.protocols = {big}});
    assert_int_equal(k->r.join.error_code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_non_null(rig_line(&r, "group.coordinator.memory.bytes"));
    assert_int_equal(group_coordinator_counts(r.c).groups, 0);

    int16_t code = KE_MEMBER_ID_REQUIRED;
    for (int i = 0; i < 1000 && code == KE_MEMBER_ID_REQUIRED; i++) {
        char name[32];
        snprintf(name, sizeof name, "group-%d", i);
        code = rig_join(&r, (struct join){.group = name})->r.join.error_code;
    }
    assert_int_equal(code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_true(group_coordinator_counts(r.c).bytes <= r.config.memory_max);
    assert_true(group_coordinator_counts(r.c).groups > 10);
    mem_free(big);
    rig_close(&r);
}

static void a_group_that_cannot_be_written_is_not_there(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    r.hold = true;
    struct call *k = rig_join(&r, (struct join){.version = 3});
    assert_string_equal(rig_state(&r), "Dead"); /* not committed: nobody sees it */
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_true(k->done);
    assert_int_equal(k->r.join.error_code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(group_coordinator_counts(r.c).groups, 0);
    assert_int_equal(group_coordinator_counts(r.c).members, 0);
    assert_int_equal(group_coordinator_deadline(r.c), INT64_MAX);
    rig_close(&r);
}

static void a_new_member_that_waits_too_long_is_removed(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *k[2];
    rig_group(&r, 2, k);
    struct call *n = rig_join_twice(&r, (struct join){.rebalance_ms = 1000000});
    /* the others only send heartbeats: the rebalance waits for them */
    for (int i = 0; i < 299; i++) {
        rig_advance(&r, 1000);
        assert_int_equal(rig_beat(&r, k[0]->member, 1), KE_REBALANCE_IN_PROGRESS);
        assert_int_equal(rig_beat(&r, k[1]->member, 1), KE_REBALANCE_IN_PROGRESS);
        assert_false(n->done);
    }
    rig_advance(&r, 1000);
    assert_true(n->done);
    assert_int_equal(n->r.join.error_code, KE_UNKNOWN_MEMBER_ID);
    assert_true(bytes_eq_str(n->r.join.member_id, ""));
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_member_is_told_to_come_again_with_its_id),
        cmocka_unit_test(before_version_4_a_new_member_joins_at_once),
        cmocka_unit_test(version_0_has_one_timeout_for_both),
        cmocka_unit_test(an_error_names_no_protocol_in_each_version_s_way),
        cmocka_unit_test(checks_come_in_kafka_s_order),
        cmocka_unit_test(the_initial_delay_grows_while_members_come),
        cmocka_unit_test(the_initial_delay_ends_with_the_rebalance_timeout),
        cmocka_unit_test(members_must_share_type_and_a_protocol),
        cmocka_unit_test(the_protocol_with_most_votes_is_chosen),
        cmocka_unit_test(of_protocols_with_the_same_votes_kafka_s_is_chosen),
        cmocka_unit_test(a_name_that_comes_twice_counts_once),
        cmocka_unit_test(a_pending_member_that_does_not_come_back_is_forgotten),
        cmocka_unit_test(a_pending_member_holds_up_a_rebalance_until_it_is_forgotten),
        cmocka_unit_test(a_dynamic_id_is_not_for_a_static_member),
        cmocka_unit_test(a_second_join_takes_the_place_of_the_first),
        cmocka_unit_test(a_member_that_missed_the_answer_gets_the_generation_again),
        cmocka_unit_test(a_stable_follower_that_says_nothing_new_changes_nothing),
        cmocka_unit_test(a_stable_leader_that_joins_again_starts_a_rebalance),
        cmocka_unit_test(the_size_of_a_group_is_bounded),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_group_that_cannot_be_written_is_not_there),
        cmocka_unit_test(a_new_member_that_waits_too_long_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
