/* What a peer may do to the coordinator's time and memory: texts as long as the protocol allows,
 * timeouts of nothing, requests that name the same thing a million times. */
#include "base/mem.h"
#include "broker/group/group_private.h"
#include "rig.h"

enum { LONGEST = INT16_MAX, MANY = 100000 };

/* A member's id, which begins with what its client calls itself, is a string of the protocol and
 * of the log. */
static void the_longest_names(void **state)
{
    UNUSED(state);
    struct rig r;
    char *name = mem_zalloc(LONGEST + 1);
    memset(name, 'n', LONGEST);
    rig_open(&r);
    struct call *one = rig_join(&r, (struct join){.version = 3, .client = name});
    struct call *two = rig_join(&r, (struct join){.instance = name});
    rig_advance(&r, 6000);
    assert_true(one->done && two->done);
    assert_int_equal(one->r.join.member_id.len, LONGEST);
    assert_int_equal(two->r.join.member_id.len, LONGEST);
    char *leader = mem_strdup(bytes_eq(one->r.join.leader, one->r.join.member_id) ? "" : name);
    assert_string_equal(leader, "");
    char *id = mem_zalloc(LONGEST + 1);
    memcpy(id, one->r.join.member_id.data, LONGEST);
    rig_sync(&r, (struct sync){.member = id, .generation = 1});
    assert_string_equal(rig_state(&r), "Stable"); /* written */
    mem_free(leader);
    mem_free(id);
    mem_free(name);
    rig_close(&r);
}

/* Nobody comes, and nobody has given anybody time to: the wait is not one that never ends. */
static void static_members_with_no_time_to_rejoin(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct join j = {.instance = "i", .rebalance_ms = INT32_MIN, .session_ms = 60000};
    struct call *one = rig_join(&r, j);
    rig_advance(&r, 3000);
    rig_member(one);
    rig_sync(&r, (struct sync){.member = one->member, .instance = "i", .generation = 1});
    /* who joins now has to sync at once, did not, and is removed */
    rig_join_twice(&r, (struct join){.rebalance_ms = INT32_MIN, .session_ms = 60000});
    uint32_t ticks = 0;
    for (int64_t end = r.now + 50000; group_coordinator_deadline(r.c) <= end; ticks++) {
        struct group_event ev = rig_event(&r, GROUP_TICK);
        int64_t due = group_coordinator_deadline(r.c);
        ev.now_ms = r.now = due > r.now ? due : r.now;
        rig_step(&r, &ev);
        assert_true(ticks < 200);
    }
    rig_close(&r);
}

/* One request that is fenced a hundred thousand times: some lines, not as many. */
static void a_flood_of_fences_in_one_request(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    rig_join(&r, (struct join){.instance = "i"});
    rig_advance(&r, 6000);
    struct leave_group_request q;
    struct leave_group_request_member_identity *who = mem_zalloc(MANY * sizeof *who);
    proto_msg_init(&leave_group_request_msg, &q);
    q.group_id = bytes_str("g");
    for (int i = 0; i < MANY; i++) {
        proto_init(&leave_group_request_member_identity_desc, &who[i]);
        who[i].member_id = bytes_str("somebody else");
        who[i].group_instance_id = bytes_str("i");
    }
    q.members = who;
    q.members_n = MANY;
    struct call *k = rig_call(&r, 5);
    proto_msg_init(&leave_group_response_msg, &k->r.leave);
    struct group_event ev = rig_event(&r, GROUP_LEAVE);
    ev.ask = &k->ask;
    k->ask.request = &q;
    group_coordinator_step(r.c, &ev, &r.fx);
    assert_true(r.fx.arena.used < 100000);
    assert_int_equal(group_effects_left_out(&r.fx, GROUP_LINE_EVENT) + 16, MANY);
    assert_int_equal(group_effects_left_out(&r.fx, GROUP_LINE_REBALANCE), 0);
    rig_carry_out(&r);
    assert_int_equal(k->r.leave.members_n, MANY);
    assert_int_equal(k->r.leave.members[MANY - 1].error_code, KE_FENCED_INSTANCE_ID);
    assert_int_equal(rig_lines(&r, "fenced"), 16);
    mem_free(who);
    rig_close(&r);
}

/* A subscription to as many topics as fit: what it takes, decoded, is bounded as well. */
static void a_subscription_to_a_million_topics(void **state)
{
    UNUSED(state);
    enum { TOPICS = 400000, NAME = 4, LIMIT = 16 << 20 };
    struct rig r;
    rig_open(&r);
    r.config.memory_max = LIMIT;
    struct join_group_request q;
    struct join_group_request_join_group_request_protocol p;
    struct call *k = rig_call(&r, 3);
    struct buf sub = {0};
    proto_msg_init(&join_group_request_msg, &q);
    proto_msg_init(&join_group_response_msg, &k->r.join);
    proto_init(&join_group_request_join_group_request_protocol_desc, &p);
    buf_put_be16(&sub, 0);
    buf_put_be32(&sub, TOPICS);
    for (uint32_t i = 0; i < TOPICS; i++) {
        buf_put_be16(&sub, NAME);
        buf_put_be32(&sub, i);
    }
    buf_put_be32(&sub, UINT32_MAX);
    q.group_id = bytes_str("g");
    q.session_timeout_ms = q.rebalance_timeout_ms = 60000;
    q.protocol_type = bytes_str("consumer");
    p.name = bytes_str("range");
    p.metadata = buf_bytes(&sub);
    q.protocols = &p;
    q.protocols_n = 1;
    rig_ask(&r, k, GROUP_JOIN, &q);
    rig_advance(&r, 6000);
    assert_int_equal(k->r.join.error_code, KE_NONE);
    assert_true(group_coordinator_counts(r.c).bytes < LIMIT + sub.len);
    struct group *g = group_find(r.c, bytes_str("g"));
    assert_true(group_subscribes(g, bytes_str("whatever"))); /* as one that cannot be read */
    buf_free(&sub);
    rig_close(&r);
}

/* The filter of a ListGroups is read once, not for each group. */
static void a_filter_of_a_million_words(void **state)
{
    UNUSED(state);
    struct rig r;
    struct bytes *words = mem_zalloc((MANY + 1) * sizeof *words);
    rig_open(&r);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        rig_join(&r, (struct join){.group = name});
    }
    struct group_filter none = group_filter_of(words, MANY, NULL, 0);
    words[MANY] = bytes_str("empty");
    struct group_filter all = group_filter_of(words, MANY + 1, NULL, 0);
    assert_int_equal(group_list(r.c, &none, NULL, NULL, 0), 0);
    assert_int_equal(group_list(r.c, &all, NULL, NULL, 0), 1000);
    mem_free(words);
    rig_close(&r);
}

/* The same partition, named again and again, with its metadata. */
static void a_fetch_of_one_offset_a_hundred_thousand_times(void **state)
{
    UNUSED(state);
    struct rig r;
    struct arena a = {.limit = 1 << 20};
    int32_t *indexes = mem_zalloc(MANY * sizeof *indexes);
    rig_open(&r);
    struct offset_fetch_request_offset_fetch_request_group q;
    struct offset_fetch_request_offset_fetch_request_topics t;
    struct offset_fetch_response_offset_fetch_response_group out;
    proto_init(&offset_fetch_request_offset_fetch_request_group_desc, &q);
    proto_init(&offset_fetch_request_offset_fetch_request_topics_desc, &t);
    proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
    q.group_id = bytes_str("g");
    q.topics = &t;
    q.topics_n = 1;
    t.name = bytes_str("t");
    t.partition_indexes = indexes;
    t.partition_indexes_n = 10;
    assert_true(group_fetch_offsets(r.c, &q, false, &a, &out));
    t.partition_indexes_n = MANY;
    assert_false(group_fetch_offsets(r.c, &q, false, &a, &out));
    arena_free(&a);
    mem_free(indexes);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_names),
        cmocka_unit_test(static_members_with_no_time_to_rejoin),
        cmocka_unit_test(a_flood_of_fences_in_one_request),
        cmocka_unit_test(a_subscription_to_a_million_topics),
        cmocka_unit_test(a_filter_of_a_million_words),
        cmocka_unit_test(a_fetch_of_one_offset_a_hundred_thousand_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
