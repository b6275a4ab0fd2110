/* SyncGroup, Heartbeat and the rebalance: what the log gets, who waits for what, who is removed. */
#include "rig.h"

static void the_assignment_is_told_when_it_is_committed(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.client = "a", .session_ms = 10000});
    struct call *b = rig_join_twice(&r, (struct join){.client = "b", .rebalance_ms = 60000});
    rig_advance(&r, 6000);
    rig_member(a);
    rig_member(b);
    r.hold = true;
    struct call *sb = rig_sync(&r, (struct sync){.member = b->member, .generation = 1});
    assert_false(sb->done);
    assert_int_equal(r.writes_n, 0);
    struct call *sa =
        rig_sync(&r, (struct sync){.member = a->member,
                                   .generation = 1,
                                   .parts = {a->member, "for-a", b->member, "for-b"}});
    assert_false(sa->done || sb->done);
    assert_int_equal(r.writes_n, 1);
    assert_string_equal(rig_state(&r), "CompletingRebalance");

    struct arena arena = {0};
    struct group_metadata_value *v = rig_metadata(&r, &arena);
    assert_true(bytes_eq_str(v->protocol_type, "consumer"));
    assert_true(bytes_eq_str(v->protocol, "range"));
    assert_true(bytes_eq_str(v->leader, a->member));
    assert_int_equal(v->generation, 1);
    assert_int_equal(v->current_state_timestamp, r.wall);
    assert_int_equal(v->members_n, 2);
    assert_true(bytes_eq_str(v->members[0].member_id, a->member));
    assert_true(bytes_eq_str(v->members[0].client_id, "a"));
    assert_true(bytes_eq_str(v->members[0].client_host, "/127.0.0.1"));
    assert_true(bytes_eq_str(v->members[0].subscription, "meta"));
    assert_true(bytes_eq_str(v->members[0].assignment, "for-a"));
    assert_int_equal(v->members[0].session_timeout, 10000);
    assert_int_equal(v->members[1].rebalance_timeout, 60000);
    assert_true(bytes_is_null(v->members[1].group_instance_id));
    arena_free(&arena);

    rig_written(&r, KE_NONE);
    assert_true(sa->done && sb->done);
    assert_true(bytes_eq_str(sa->r.sync.assignment, "for-a"));
    assert_true(bytes_eq_str(sb->r.sync.assignment, "for-b"));
    assert_true(bytes_eq_str(sb->r.sync.protocol_name, "range"));
    assert_true(bytes_eq_str(sb->r.sync.protocol_type, "consumer"));
    assert_string_equal(rig_state(&r), "Stable");
    const char *line = rig_line(&r, "rebalance group=\"g\" generation=1");
    assert_non_null(line);
    assert_non_null(strstr(line, "members=2 protocol=\"range\""));
    assert_non_null(strstr(line, "took_ms=6000 state=Stable"));
    assert_int_equal(rig_lines(&r, "rebalance group="), 1);
    rig_explains(&r, "g", "generation 1 is stable: 2 members, protocol 'range'");
    rig_close(&r);
}

static void who_syncs_in_a_stable_group_is_answered_at_once(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    rig_group(&r, 2, k);
    struct call *s = rig_sync(&r, (struct sync){.member = k[1]->member, .generation = 1});
    assert_true(s->done);
    assert_true(bytes_eq_str(s->r.sync.assignment, "part-1"));
    /* also the leader, whose assignment is not taken any more */
    s = rig_sync(
        &r,
        (struct sync){.member = k[0]->member, .generation = 1, .parts = {k[0]->member, "another"}});
    assert_true(bytes_eq_str(s->r.sync.assignment, "part-0"));
    rig_close(&r);
}

static void a_member_that_is_left_out_gets_an_empty_assignment(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){0});
    struct call *b = rig_join_twice(&r, (struct join){0});
    rig_advance(&r, 6000);
    rig_sync(&r, (struct sync){.member = rig_member(a),
                               .generation = 1,
                               .parts = {"a stranger", "x", a->member, "all"}});
    struct call *s = rig_sync(&r, (struct sync){.member = rig_member(b), .generation = 1});
    assert_true(s->done);
    assert_int_equal(s->r.sync.error_code, KE_NONE);
    assert_int_equal(s->r.sync.assignment.len, 0);
    rig_explains(&r, "g", "leaves out 1 of 2 members");
    rig_close(&r);
}

static void sync_checks_come_in_kafka_s_order(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    struct sync s = {.group = "none", .member = "m", .generation = 1};
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_UNKNOWN_MEMBER_ID);
    s.group = "";
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_INVALID_GROUP_ID);
    rig_group(&r, 2, k);
    s = (struct sync){.member = "m", .generation = 9};
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_UNKNOWN_MEMBER_ID);
    s.member = k[0]->member;
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_ILLEGAL_GENERATION);
    s.generation = 1;
    s.name = "sticky";
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_INCONSISTENT_GROUP_PROTOCOL);
    s.name = "range";
    s.type = "connect";
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_INCONSISTENT_GROUP_PROTOCOL);
    s.version = 4; /* says neither */
    struct call *c = rig_sync(&r, s);
    assert_int_equal(c->r.sync.error_code, KE_NONE);
    s.instance = "nobody";
    assert_int_equal(rig_sync(&r, s)->r.sync.error_code, KE_UNKNOWN_MEMBER_ID);
    rig_join(&r, (struct join){.member = k[0]->member});
    s.instance = NULL;
    c = rig_sync(&r, s);
    assert_int_equal(c->r.sync.error_code, KE_REBALANCE_IN_PROGRESS);
    assert_true(bytes_is_null(c->r.sync.protocol_name));
    assert_int_equal(c->r.sync.assignment.len, 0);
    rig_close(&r);
}

static void from_version_5_on_a_sync_names_its_protocol(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct sync_group_request q;
    struct call *k = rig_call(&r, 5);
    proto_msg_init(&sync_group_request_msg, &q);
    proto_msg_init(&sync_group_response_msg, &k->r.sync);
    q.group_id = bytes_str("");
    q.member_id = bytes_str("m");
    q.protocol_type = bytes_str("consumer");
    rig_ask(&r, k, GROUP_SYNC, &q);
    assert_int_equal(k->r.sync.error_code, KE_INCONSISTENT_GROUP_PROTOCOL);
    rig_close(&r);
}

/* ---- writes that fail, events in between ---- */

struct settling { /* two members in CompletingRebalance, the assignment being written */
    struct rig r;
    struct call *a, *b, *sa, *sb;
};

static void settle(struct settling *t)
{
    rig_open(&t->r);
    t->a = rig_join_twice(&t->r, (struct join){0});
    t->b = rig_join_twice(&t->r, (struct join){0});
    rig_advance(&t->r, 6000);
    rig_member(t->a);
    rig_member(t->b);
    t->r.hold = true;
    t->sb = rig_sync(&t->r, (struct sync){.member = t->b->member, .generation = 1});
    t->sa = rig_sync(&t->r, (struct sync){.member = t->a->member,
                                          .generation = 1,
                                          .parts = {t->a->member, "A", t->b->member, "B"}});
    assert_int_equal(t->r.writes_n, 1);
}

static void an_assignment_that_cannot_be_written_makes_them_rebalance(void **state)
{
    UNUSED(state);
    static const int16_t codes[][2] = {
        {KE_UNKNOWN_TOPIC_OR_PARTITION, KE_COORDINATOR_NOT_AVAILABLE},
        {KE_NOT_ENOUGH_REPLICAS, KE_COORDINATOR_NOT_AVAILABLE},
        {KE_REQUEST_TIMED_OUT, KE_COORDINATOR_NOT_AVAILABLE},
        {KE_NOT_LEADER_OR_FOLLOWER, KE_NOT_COORDINATOR},
        {KE_KAFKA_STORAGE_ERROR, KE_NOT_COORDINATOR},
        {KE_MESSAGE_TOO_LARGE, KE_UNKNOWN_SERVER_ERROR},
        {KE_RECORD_LIST_TOO_LARGE, KE_UNKNOWN_SERVER_ERROR},
        {KE_INVALID_FETCH_SIZE, KE_UNKNOWN_SERVER_ERROR},
        {KE_NOT_COORDINATOR, KE_NOT_COORDINATOR},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct settling t;
        settle(&t);
        rig_written(&t.r, codes[i][0]);
        assert_true(t.sa->done && t.sb->done);
        assert_int_equal(t.sa->r.sync.error_code, codes[i][1]);
        assert_int_equal(t.sb->r.sync.error_code, codes[i][1]);
        assert_int_equal(t.sb->r.sync.assignment.len, 0);
        assert_string_equal(rig_state(&t.r), "PreparingRebalance");
        assert_non_null(rig_line(&t.r, "the assignment could not be written"));
        /* they come again, and this time it works */
        t.r.hold = false;
        struct call *a = rig_join(&t.r, (struct join){.member = t.a->member});
        struct call *b = rig_join(&t.r, (struct join){.member = t.b->member});
        assert_true(a->done && b->done);
        assert_int_equal(b->r.join.generation_id, 2);
        struct call *s = rig_sync(
            &t.r,
            (struct sync){.member = t.a->member, .generation = 2, .parts = {t.a->member, "A2"}});
        assert_true(bytes_eq_str(s->r.sync.assignment, "A2"));
        assert_string_equal(rig_state(&t.r), "Stable");
        rig_close(&t.r);
    }
}

static void a_member_that_leaves_while_the_assignment_is_written(void **state)
{
    UNUSED(state);
    struct settling t;
    settle(&t);
    assert_int_equal(rig_leaves(&t.r, t.b->member), KE_NONE);
    assert_int_equal(t.sb->r.sync.error_code, KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(t.sa->r.sync.error_code, KE_REBALANCE_IN_PROGRESS);
    assert_string_equal(rig_state(&t.r), "PreparingRebalance");
    rig_written(&t.r, KE_NONE); /* too late to matter */
    assert_string_equal(rig_state(&t.r), "PreparingRebalance");
    struct call *a = rig_join(&t.r, (struct join){.member = t.a->member});
    assert_true(a->done);
    assert_int_equal(a->r.join.generation_id, 2);
    assert_int_equal(rig_lines(&t.r, "rebalance group="), 1);
    assert_non_null(rig_line(&t.r, "state=PreparingRebalance"));
    rig_close(&t.r);
}

static void an_old_write_does_not_end_the_next_generation(void **state)
{
    UNUSED(state);
    struct settling t;
    settle(&t);
    rig_leaves(&t.r, t.b->member);
    rig_join(&t.r, (struct join){.member = t.a->member});
    struct call *s = rig_sync(
        &t.r, (struct sync){.member = t.a->member, .generation = 2, .parts = {t.a->member, "all"}});
    assert_int_equal(t.r.writes_n, 2);
    rig_written(&t.r, KE_NOT_LEADER_OR_FOLLOWER); /* of generation 1 */
    assert_false(s->done);
    assert_string_equal(rig_state(&t.r), "CompletingRebalance");
    rig_written(&t.r, KE_NONE);
    assert_true(bytes_eq_str(s->r.sync.assignment, "all"));
    rig_close(&t.r);
}

static void a_second_sync_of_the_leader_waits_for_the_first(void **state)
{
    UNUSED(state);
    struct settling t;
    settle(&t);
    struct call *again = rig_sync(
        &t.r,
        (struct sync){.member = t.a->member, .generation = 1, .parts = {t.a->member, "different"}});
    assert_int_equal(t.r.writes_n, 1);
    assert_true(t.sa->done);
    assert_int_equal(t.sa->r.sync.error_code, KE_REBALANCE_IN_PROGRESS);
    rig_written(&t.r, KE_NONE);
    assert_true(bytes_eq_str(again->r.sync.assignment, "A"));
    rig_close(&t.r);
}

static void the_coordinator_moves_away(void **state)
{
    UNUSED(state);
    struct settling t;
    settle(&t);
    struct call *j = rig_join(&t.r, (struct join){.group = "other", .version = 3});
    rig_unload(&t.r, KE_NOT_COORDINATOR);
    assert_int_equal(t.sa->r.sync.error_code, KE_NOT_COORDINATOR);
    assert_int_equal(t.sb->r.sync.error_code, KE_NOT_COORDINATOR);
    assert_int_equal(j->r.join.error_code, KE_NOT_COORDINATOR);
    assert_int_equal(t.r.writes_n, 0); /* the write that was out has ended with the coordinator */
    rig_close(&t.r);
}

/* ---- time ---- */

static void who_does_not_rejoin_is_removed(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[3];
    rig_open(&r);
    rig_group(&r, 3, k);
    rig_advance(&r, 12000);
    rig_beat(&r, k[0]->member, 1);
    rig_beat(&r, k[1]->member, 1);
    rig_beat(&r, k[2]->member, 1);
    struct call *a = rig_join(&r, (struct join){.member = k[0]->member, .rebalance_ms = 60000});
    struct call *b = rig_join(&r, (struct join){.member = k[1]->member, .rebalance_ms = 60000});
    for (int i = 0; i < 300; i++) {
        assert_false(a->done || b->done);
        assert_int_equal(rig_beat(&r, k[2]->member, 1), KE_REBALANCE_IN_PROGRESS);
        rig_advance(&r, 1000);
    }
    /* the largest timeout when the rebalance began: 300 s */
    assert_true(a->done && b->done);
    assert_int_equal(a->r.join.members_n, 2);
    assert_int_equal(rig_beat(&r, k[2]->member, 1), KE_UNKNOWN_MEMBER_ID);
    assert_non_null(rig_line(&r, "did not rejoin in time"));
    rig_close(&r);
}

static void the_story_of_a_rebalance_names_who_holds_it_up(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[3];
    char text[1000];
    rig_open(&r);
    rig_group(&r, 3, k);
    rig_advance(&r, 12000);
    rig_join(&r, (struct join){.member = k[0]->member});
    rig_advance(&r, 4000);
    snprintf(text, sizeof text,
             "waiting for 2 of 3 members to rejoin: '%s' (client 'c', /127.0.0.1, last heard 16 s "
             "ago), '%s' (",
             rig_short(k[1]->member).s, rig_short(k[2]->member).s);
    rig_explains(&r, "g", text);
    rig_explains(&r, "g", "those that do not are removed in 296 s");
    snprintf(text, sizeof text,
             "a rebalance has been running for 4 s because leader '%s' joined again",
             rig_short(k[0]->member).s);
    rig_explains(&r, "g", text);
    rig_close(&r);
}

static void a_leader_that_does_not_rejoin_is_replaced(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    rig_group(&r, 2, k);
    struct call *b =
        rig_join(&r, (struct join){.member = k[1]->member, .protocols = {"range:new"}});
    rig_advance(&r, 45000); /* the leader's session ends before the rebalance timeout */
    assert_true(b->done);
    assert_string_equal((rig_member(b), b->leader), b->member);
    assert_int_equal(b->r.join.members_n, 1);
    assert_non_null(rig_line(&r, "a member timed out"));
    rig_close(&r);
}

static void a_leader_that_never_syncs_is_removed(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.rebalance_ms = 20000});
    struct call *b = rig_join_twice(&r, (struct join){.rebalance_ms = 20000});
    rig_advance(&r, 6000);
    rig_member(a);
    struct call *s = rig_sync(&r, (struct sync){.member = rig_member(b), .generation = 1});
    rig_advance(&r, 4000);
    rig_explains(&r, "g", "waiting for the leader's assignment (SyncGroup) for 4 s");
    rig_explains(&r, "g", "no SyncGroup came from 1 of 2 members");
    for (int i = 0; i < 16; i++) {
        assert_false(s->done);
        assert_int_equal(rig_beat(&r, a->member, 1), KE_NONE);
        rig_advance(&r, 1000);
    }
    assert_true(s->done);
    assert_int_equal(s->r.sync.error_code, KE_REBALANCE_IN_PROGRESS);
    assert_int_equal(rig_beat(&r, a->member, 1), KE_UNKNOWN_MEMBER_ID);
    struct call *again = rig_join(&r, (struct join){.member = b->member, .rebalance_ms = 20000});
    assert_true(again->done);
    assert_string_equal((rig_member(again), again->leader), b->member);
    assert_non_null(rig_line(&r, "sent no SyncGroup"));
    rig_close(&r);
}

static void a_follower_that_never_syncs_is_removed_from_a_stable_group(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *a = rig_join_twice(&r, (struct join){.rebalance_ms = 20000});
    struct call *b = rig_join_twice(&r, (struct join){.rebalance_ms = 20000});
    rig_advance(&r, 6000);
    rig_sync(&r, (struct sync){.member = rig_member(a), .generation = 1});
    rig_member(b);
    assert_string_equal(rig_state(&r), "Stable");
    rig_explains(&r, "g", "1 of 2 members have not asked for their assignment");
    rig_advance(&r, 20000);
    assert_string_equal(rig_state(&r), "PreparingRebalance");
    assert_int_equal(rig_beat(&r, b->member, 1), KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(rig_beat(&r, a->member, 1), KE_REBALANCE_IN_PROGRESS);
    rig_close(&r);
}

static void a_session_that_times_out_starts_a_rebalance(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    char text[1000];
    rig_open(&r);
    rig_group(&r, 2, k);
    for (int i = 0; i < 15; i++) {
        rig_advance(&r, 3000);
        rig_beat(&r, k[0]->member, 1);
    }
    snprintf(text, sizeof text,
             "member '%s' (client 'c', /127.0.0.1) left because its session of 45000 ms timed out: "
             "last heard 45000 ms ago",
             rig_short(k[1]->member).s);
    rig_explains(&r, "g", text);
    assert_string_equal(rig_state(&r), "PreparingRebalance");
    assert_int_equal(rig_beat(&r, k[1]->member, 1), KE_UNKNOWN_MEMBER_ID);
    rig_close(&r);
}

static void a_group_whose_members_die_is_empty_and_written_so(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    rig_group(&r, 2, k);
    rig_advance(&r, 45000);
    assert_string_equal(rig_state(&r), "Empty");
    struct arena arena = {0};
    struct group_metadata_value *v = rig_metadata(&r, &arena);
    assert_int_equal(v->generation, 2);
    assert_int_equal(v->members_n, 0);
    assert_true(bytes_is_null(v->protocol));
    assert_true(bytes_is_null(v->leader));
    assert_true(bytes_eq_str(v->protocol_type, "consumer"));
    arena_free(&arena);
    assert_non_null(rig_line(&r, "state=Empty"));
    rig_explains(&r, "g", "the group has been empty for 0 s, after generation 2");
    rig_close(&r);
}

static void an_empty_group_that_cannot_be_written_stays_empty(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    rig_group(&r, 1, k);
    r.hold = true;
    assert_int_equal(rig_leaves(&r, k[0]->member), KE_NONE);
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_string_equal(rig_state(&r), "Empty");
    assert_non_null(rig_line(&r, "an empty group could not be written"));
    rig_close(&r);
}

static void heartbeats_in_every_state(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    assert_int_equal(rig_beat_as(&r, "", "m", NULL, 1), KE_INVALID_GROUP_ID);
    assert_int_equal(rig_beat(&r, "m", 1), KE_UNKNOWN_MEMBER_ID);
    struct call *id = rig_join(&r, (struct join){0});
    rig_member(id);
    assert_int_equal(rig_beat(&r, id->member, 0), KE_UNKNOWN_MEMBER_ID); /* pending is no member */
    struct call *k = rig_join(&r, (struct join){.member = id->member});
    assert_int_equal(rig_beat(&r, id->member, 0), KE_REBALANCE_IN_PROGRESS);
    rig_advance(&r, 3000);
    assert_true(k->done);
    assert_int_equal(rig_beat(&r, id->member, 1), KE_NONE);
    assert_int_equal(rig_beat(&r, id->member, 2), KE_ILLEGAL_GENERATION);
    rig_sync(&r, (struct sync){.member = id->member, .generation = 1});
    assert_int_equal(rig_beat(&r, id->member, 1), KE_NONE);
    assert_int_equal(rig_beat(&r, id->member, 0), KE_ILLEGAL_GENERATION);
    assert_int_equal(rig_beat_as(&r, "g", id->member, "i", 1), KE_UNKNOWN_MEMBER_ID);
    rig_leaves(&r, id->member);
    assert_int_equal(rig_beat(&r, id->member, 2), KE_UNKNOWN_MEMBER_ID);
    rig_close(&r);
}

static void a_member_that_waits_is_alive(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    rig_group(&r, 2, k);
    struct call *a = rig_join(&r, (struct join){.member = k[0]->member});
    for (int i = 0; i < 100; i++) { /* longer than its session: it cannot send heartbeats */
        rig_advance(&r, 1000);
        rig_beat(&r, k[1]->member, 1);
    }
    assert_false(a->done);
    rig_join(&r, (struct join){.member = k[1]->member});
    assert_true(a->done);
    assert_int_equal(a->r.join.members_n, 2);
    rig_advance(&r, 44999);
    assert_int_equal(rig_beat(&r, k[0]->member, 2), KE_NONE); /* its session began again */
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_assignment_is_told_when_it_is_committed),
        cmocka_unit_test(who_syncs_in_a_stable_group_is_answered_at_once),
        cmocka_unit_test(a_member_that_is_left_out_gets_an_empty_assignment),
        cmocka_unit_test(sync_checks_come_in_kafka_s_order),
        cmocka_unit_test(from_version_5_on_a_sync_names_its_protocol),
        cmocka_unit_test(an_assignment_that_cannot_be_written_makes_them_rebalance),
        cmocka_unit_test(a_member_that_leaves_while_the_assignment_is_written),
        cmocka_unit_test(an_old_write_does_not_end_the_next_generation),
        cmocka_unit_test(a_second_sync_of_the_leader_waits_for_the_first),
        cmocka_unit_test(the_coordinator_moves_away),
        cmocka_unit_test(who_does_not_rejoin_is_removed),
        cmocka_unit_test(the_story_of_a_rebalance_names_who_holds_it_up),
        cmocka_unit_test(a_leader_that_does_not_rejoin_is_replaced),
        cmocka_unit_test(a_leader_that_never_syncs_is_removed),
        cmocka_unit_test(a_follower_that_never_syncs_is_removed_from_a_stable_group),
        cmocka_unit_test(a_session_that_times_out_starts_a_rebalance),
        cmocka_unit_test(a_group_whose_members_die_is_empty_and_written_so),
        cmocka_unit_test(an_empty_group_that_cannot_be_written_stays_empty),
        cmocka_unit_test(heartbeats_in_every_state),
        cmocka_unit_test(a_member_that_waits_is_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
