/* LeaveGroup, groups that come from the log, DescribeGroups and ListGroups, subscriptions,
 * deleting, and what commits of members do. */
#include "broker/group/group_private.h"
#include "rig.h"

/* ---- LeaveGroup ---- */

static void a_member_leaves_and_the_others_rebalance(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[3];
    rig_open(&r);
    rig_group(&r, 3, k);
    struct call *l = rig_leave(
        &r, (struct leave){.who = {{k[1]->member, NULL, "the consumer\tis being \"closed\""},
                                   {"nobody", NULL, NULL}}});
    assert_int_equal(l->r.leave.error_code, KE_NONE);
    assert_int_equal(l->r.leave.members_n, 2);
    assert_true(bytes_eq_str(l->r.leave.members[0].member_id, k[1]->member));
    assert_int_equal(l->r.leave.members[0].error_code, KE_NONE);
    assert_int_equal(l->r.leave.members[1].error_code, KE_UNKNOWN_MEMBER_ID);
    rig_explains(&r, "g", "left, its reason: 'the consumer?is being ?closed?'");
    assert_int_equal(rig_beat(&r, k[0]->member, 1), KE_REBALANCE_IN_PROGRESS);
    struct call *a = rig_join(&r, (struct join){.member = k[0]->member});
    struct call *c = rig_join(&r, (struct join){.member = k[2]->member});
    assert_true(a->done && c->done);
    assert_int_equal(a->r.join.members_n, 2);
    rig_close(&r);
}

static void several_leave_at_once(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[3];
    rig_open(&r);
    rig_group(&r, 3, k);
    rig_leave(&r, (struct leave){.who = {{k[0]->member, NULL, NULL}, {k[1]->member, NULL, NULL}}});
    struct call *c = rig_join(&r, (struct join){.member = k[2]->member});
    assert_true(c->done);
    assert_int_equal(c->r.join.generation_id, 2);
    assert_string_equal((rig_member(c), c->leader), c->member);
    rig_sync(&r, (struct sync){.member = c->member, .generation = 2});
    assert_non_null(rig_line(&r, "and 1 more left"));
    assert_int_equal(rig_lines(&r, "rebalance group="), 2); /* the first generation, and this */
    rig_close(&r);
}

static void old_versions_name_one_member(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    struct call *l = rig_leave(&r, (struct leave){.version = V0, .who = {{"m", NULL, NULL}}});
    assert_int_equal(l->r.leave.error_code, KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(l->r.leave.members_n, 0);
    rig_group(&r, 1, k);
    l = rig_leave(&r, (struct leave){.version = 2, .who = {{k[0]->member, NULL, NULL}}});
    assert_int_equal(l->r.leave.error_code, KE_NONE);
    assert_int_equal(l->r.leave.members_n, 0);
    assert_string_equal(rig_state(&r), "Empty");
    rig_close(&r);
}

static void leaving_a_group_that_is_not_there(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *l = rig_leave(&r, (struct leave){.who = {{"m", "i", NULL}, {"n", NULL, NULL}}});
    assert_int_equal(l->r.leave.error_code, KE_NONE);
    assert_int_equal(l->r.leave.members_n, 2);
    assert_int_equal(l->r.leave.members[0].error_code, KE_UNKNOWN_MEMBER_ID);
    assert_true(bytes_eq_str(l->r.leave.members[0].group_instance_id, "i"));
    assert_int_equal(l->r.leave.members[1].error_code, KE_UNKNOWN_MEMBER_ID);
    l = rig_leave(&r, (struct leave){.group = "", .who = {{"m", NULL, NULL}}});
    assert_int_equal(l->r.leave.error_code, KE_INVALID_GROUP_ID);
    assert_int_equal(l->r.leave.members_n, 0);
    rig_close(&r);
}

static void a_pending_member_leaves(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    rig_group(&r, 1, k);
    struct call *p = rig_join(&r, (struct join){0});
    struct call *a = rig_join(&r, (struct join){.member = k[0]->member});
    assert_false(a->done); /* waits for the pending one */
    assert_int_equal(rig_leaves(&r, rig_member(p)), KE_NONE);
    assert_true(a->done);
    assert_int_equal(a->r.join.members_n, 1);
    rig_close(&r);
}

static void who_leaves_while_it_joins_is_answered(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    rig_group(&r, 2, k);
    struct call *a = rig_join(&r, (struct join){.member = k[0]->member});
    assert_int_equal(rig_leaves(&r, k[0]->member), KE_NONE);
    assert_int_equal(a->r.join.error_code, KE_UNKNOWN_MEMBER_ID);
    struct call *b = rig_join(&r, (struct join){.member = k[1]->member});
    assert_true(b->done);
    assert_int_equal(b->r.join.members_n, 1);
    rig_close(&r);
}

static void the_only_one_leaves_in_the_initial_delay(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *id = rig_join(&r, (struct join){0});
    struct call *a = rig_join(&r, (struct join){.member = rig_member(id)});
    assert_int_equal(rig_leaves(&r, id->member), KE_NONE);
    assert_true(a->done);
    assert_string_equal(rig_state(&r), "PreparingRebalance"); /* the delay goes on, as in Kafka */
    rig_advance(&r, 3000);
    assert_string_equal(rig_state(&r), "Empty");
    rig_close(&r);
}

static void what_clients_say_is_made_harmless(void **state)
{
    UNUSED(state);
    static const char *const said[][2] = {
        {"plain", "plain"},
        {"a\x1b[31mb\x7f\"c", "a?[31mb??c"},
        {"gr\xc3\xb6\xc3\x9f"
         "e",
         "gr\xc3\xb6\xc3\x9f"
         "e"},
        {"\xc2\x9b"
         "31m",
         "?31m"}, /* CSI as one character */
        {"\x9b"
         "31m\xff\xc3",
         "?31m??"}, /* no UTF-8 at all */
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        assert_string_equal(SHOW(bytes_str(said[i][0])), said[i][1]);
    }
    assert_string_equal(QUOTE(bytes_str("it's' \"x\" left")), "'it?s? ?x? left'");
    assert_string_equal(QUOTE(bytes_str("")), "''");
    char longer[300];
    memset(longer, 'x', sizeof longer);
    const char *cut = SHOW(bytes_of(longer, sizeof longer));
    assert_int_equal(strlen(cut), GROUP_SHOWN_MAX + strlen("..."));
    assert_non_null(strstr(cut, "x..."));
    assert_non_null(strstr(QUOTE(bytes_of(longer, sizeof longer)), "x...'"));
    /* a character of two bytes that does not fit is left out, not halved */
    for (size_t i = 0; i < sizeof longer; i += 2) {
        memcpy(longer + i, "\xc3\xb6", 2);
    }
    cut = SHOW(bytes_of(longer + 1, sizeof longer - 1));
    assert_memory_equal(cut + strlen(cut) - 5, "\xc3\xb6...", 5);
}

/* ---- the log ---- */

static void replay(struct rig *r, const char *group, struct group_metadata_value *v)
{
    struct buf key = {0}, value = {0};
    struct group_metadata_key k = {.group = bytes_str(group)};
    struct group_replay at = {.producer_id = -1};
    buf_put_be16(&key, 2);
    assert_int_equal(proto_encode(&group_metadata_key_msg, 0, &k, &key, NULL), 0);
    assert_int_equal(proto_encode_prefixed(&group_metadata_value_msg, 3, v, &value, NULL), 0);
    assert_int_equal(group_coordinator_replay(r->c, &at, buf_bytes(&key), buf_bytes(&value)), 0);
    buf_free(&key);
    buf_free(&value);
}

/* Two members, one static; subscriptions are those of the arguments. */
static void replay_two(struct rig *r, const char *group, struct bytes sub_a, struct bytes sub_b)
{
    struct group_metadata_value v;
    struct group_metadata_value_member_metadata m[2];
    proto_msg_init(&group_metadata_value_msg, &v);
    for (int i = 0; i < 2; i++) {
        proto_init(&group_metadata_value_member_metadata_desc, &m[i]);
        m[i].client_id = bytes_str("c");
        m[i].client_host = bytes_str("/127.0.0.1");
        m[i].session_timeout = 10000;
        m[i].rebalance_timeout = 60000;
        m[i].assignment = bytes_str(i == 0 ? "A" : "B");
    }
    m[0].member_id = bytes_str("a");
    m[1].member_id = bytes_str("b");
    m[1].group_instance_id = bytes_str("i");
    m[0].subscription = sub_a;
    m[1].subscription = sub_b;
    v.protocol_type = bytes_str("consumer");
    v.protocol = bytes_str("range");
    v.leader = bytes_str("b");
    v.generation = 7;
    v.current_state_timestamp = 1234;
    v.members = m;
    v.members_n = 2;
    replay(r, group, &v);
}

static void a_group_from_the_log_goes_on(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open_empty(&r);
    replay_two(&r, "g", bytes_str("x"), bytes_str("y"));
    rig_loaded(&r);
    assert_string_equal(rig_state(&r), "Stable");
    assert_int_equal(group_coordinator_counts(r.c).members, 2);
    rig_advance(&r, 9999);
    assert_int_equal(rig_beat(&r, "a", 7), KE_NONE);
    assert_int_equal(rig_beat_as(&r, "g", "b", "i", 7), KE_NONE);
    struct call *s = rig_sync(&r, (struct sync){.member = "a", .generation = 7});
    assert_true(bytes_eq_str(s->r.sync.assignment, "A"));
    rig_explains(&r, "g", "generation 7 with 2 members was loaded from the log");
    /* those that do not speak time out, beginning when the log was loaded */
    rig_advance(&r, 10000);
    assert_string_equal(rig_state(&r), "Empty");
    assert_int_equal(rig_beat(&r, "a", 7), KE_UNKNOWN_MEMBER_ID);
    rig_close(&r);
}

static void the_last_record_of_a_group_counts(void **state)
{
    UNUSED(state);
    struct rig r;
    struct group_metadata_value v;
    rig_open_empty(&r);
    replay_two(&r, "g", bytes_str("x"), bytes_str("y"));
    proto_msg_init(&group_metadata_value_msg, &v);
    v.protocol_type = bytes_str("consumer");
    v.generation = 8;
    v.current_state_timestamp = 5678;
    replay(&r, "g", &v);
    rig_loaded(&r);
    assert_string_equal(rig_state(&r), "Empty");
    assert_int_equal(group_coordinator_counts(r.c).members, 0);
    assert_int_equal(classic_empty_since(group_find(r.c, bytes_str("g"))), 5678);
    rig_close(&r);
}

static void a_loaded_group_that_is_too_large_rebalances(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open_empty(&r);
    r.config.max_size = 1;
    replay_two(&r, "g", bytes_str("x"), bytes_str("y"));
    rig_loaded(&r);
    assert_string_equal(rig_state(&r), "PreparingRebalance");
    rig_explains(&r, "g", "the group has 2 members, group.max.size allows 1");
    struct call *b = rig_join(&r, (struct join){.member = "b", .instance = "i"});
    struct call *a = rig_join(&r, (struct join){.member = "a"});
    assert_int_equal(a->r.join.error_code, KE_GROUP_MAX_SIZE_REACHED);
    rig_advance(&r, 60000);
    assert_true(b->done);
    assert_int_equal(b->r.join.error_code, KE_NONE);
    assert_int_equal(b->r.join.members_n, 1);
    rig_close(&r);
}

static void a_log_that_lies_breaks_nothing(void **state)
{
    UNUSED(state);
    struct rig r;
    struct group_metadata_value v;
    struct group_metadata_value_member_metadata m[3];
    rig_open_empty(&r);
    proto_msg_init(&group_metadata_value_msg, &v);
    for (int i = 0; i < 3; i++) { /* the same id twice, the same instance twice, no protocol */
        proto_init(&group_metadata_value_member_metadata_desc, &m[i]);
        m[i].member_id = bytes_str(i < 2 ? "a" : "b");
        m[i].group_instance_id = bytes_str("i");
        m[i].subscription = m[i].assignment = bytes_str("");
        m[i].client_id = m[i].client_host = bytes_str("");
        m[i].session_timeout = -5;
    }
    v.protocol_type = bytes_str("consumer");
    v.leader = bytes_str("nobody");
    v.members = m;
    v.members_n = 3;
    replay(&r, "g", &v);
    rig_loaded(&r);
    assert_int_equal(group_coordinator_counts(r.c).members, 1);
    rig_advance(&r, 1);
    assert_string_equal(rig_state(&r), "Empty");
    rig_close(&r);
}

/* ---- subscriptions ---- */

static struct bytes subscription(struct buf *b, int16_t version, const char *t0, const char *t1)
{
    struct consumer_protocol_subscription s;
    struct bytes topics[2] = {bytes_str(t0), bytes_str(t1)};
    proto_msg_init(&consumer_protocol_subscription_msg, &s);
    s.topics = topics;
    s.topics_n = t1 ? 2 : 1;
    assert_int_equal(
        proto_encode_prefixed(&consumer_protocol_subscription_msg, version, &s, b, NULL), 0);
    return buf_bytes(b);
}

static void subscriptions_are_read_in_every_version(void **state)
{
    UNUSED(state);
    for (int16_t version = 0; version <= 3; version++) {
        struct rig r;
        struct buf a = {0}, b = {0};
        rig_open_empty(&r);
        subscription(&a, version, "t1", "t2");
        subscription(&b, 0, "t2", "t3");
        replay_two(&r, "g", buf_bytes(&a), buf_bytes(&b));
        rig_loaded(&r);
        const struct group *g = group_find(r.c, bytes_str("g"));
        assert_true(classic_subscribes(g, bytes_str("t1")));
        assert_true(classic_subscribes(g, bytes_str("t2")));
        assert_true(classic_subscribes(g, bytes_str("t3")));
        assert_false(classic_subscribes(g, bytes_str("t4")));
        assert_false(classic_subscribes(g, bytes_str("t")));
        assert_true(classic_uses_consumer_protocol(g) && classic_is_stable(g));
        buf_free(&a);
        buf_free(&b);
        rig_close(&r);
    }
}

static void a_version_to_come_is_read_by_its_front(void **state)
{
    UNUSED(state);
    struct rig r;
    struct buf a = {0};
    rig_open_empty(&r);
    subscription(&a, 3, "t1", NULL);
    store_be16(a.data, 99);
    replay_two(&r, "g", buf_bytes(&a), buf_bytes(&a));
    rig_loaded(&r);
    const struct group *g = group_find(r.c, bytes_str("g"));
    assert_true(classic_subscribes(g, bytes_str("t1")));
    assert_false(classic_subscribes(g, bytes_str("t2")));
    buf_free(&a);
    rig_close(&r);
}

static void a_subscription_that_cannot_be_read_is_to_everything(void **state)
{
    UNUSED(state);
    static const char *const bad[] = {"", "x", "\0\0\x7f\xff\xff\xff", "\xff\xff\0\0\0\0"};
    static const size_t len[] = {0, 1, 6, 6};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct rig r;
        struct buf a = {0};
        rig_open_empty(&r);
        subscription(&a, 0, "t1", NULL);
        replay_two(&r, "g", buf_bytes(&a), bytes_of(bad[i], len[i]));
        rig_loaded(&r);
        assert_true(classic_subscribes(group_find(r.c, bytes_str("g")), bytes_str("other")));
        buf_free(&a);
        rig_close(&r);
    }
}

static void an_empty_group_subscribes_to_nothing(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    rig_group(&r, 1, k);
    const struct group *g = group_find(r.c, bytes_str("g"));
    assert_true(classic_subscribes(g, bytes_str("t"))); /* "meta" is no subscription */
    rig_leaves(&r, k[0]->member);
    assert_false(classic_subscribes(g, bytes_str("t")));
    assert_int_equal(classic_empty_since(g), r.wall);
    rig_close(&r);
}

/* ---- DescribeGroups, ListGroups ---- */

static void describe(struct rig *r, const char *group, int16_t version, struct arena *a,
                     struct describe_groups_response_described_group *d)
{
    proto_init(&describe_groups_response_described_group_desc, d);
    group_describe(r->c, bytes_str(group), version, a, d);
}

static void a_stable_group_is_described_with_its_protocol(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    struct arena a = {0};
    struct describe_groups_response_described_group d;
    rig_open(&r);
    rig_group(&r, 2, k);
    describe(&r, "g", 5, &a, &d);
    assert_true(bytes_eq_str(d.group_state, "Stable"));
    assert_true(bytes_eq_str(d.protocol_type, "consumer"));
    assert_true(bytes_eq_str(d.protocol_data, "range"));
    assert_int_equal(d.members_n, 2);
    assert_true(bytes_eq_str(d.members[1].member_id, k[1]->member));
    assert_true(bytes_eq_str(d.members[1].client_id, "c"));
    assert_true(bytes_eq_str(d.members[1].client_host, "/127.0.0.1"));
    assert_true(bytes_eq_str(d.members[1].member_metadata, "meta"));
    assert_true(bytes_eq_str(d.members[1].member_assignment, "part-1"));
    assert_true(bytes_is_null(d.members[1].group_instance_id));
    /* in a rebalance: assignments as they were, no subscriptions */
    rig_join(&r, (struct join){.member = k[0]->member});
    describe(&r, "g", 5, &a, &d);
    assert_true(bytes_eq_str(d.group_state, "PreparingRebalance"));
    assert_true(bytes_eq_str(d.protocol_data, ""));
    assert_int_equal(d.members[1].member_metadata.len, 0);
    assert_true(bytes_eq_str(d.members[1].member_assignment, "part-1"));
    arena_free(&a);
    rig_close(&r);
}

static void a_group_that_is_not_there_is_dead(void **state)
{
    UNUSED(state);
    struct rig r;
    struct arena a = {0};
    struct describe_groups_response_described_group d;
    rig_open(&r);
    describe(&r, "none", 5, &a, &d);
    assert_true(bytes_eq_str(d.group_state, "Dead"));
    assert_int_equal(d.error_code, KE_NONE);
    describe(&r, "none", 6, &a, &d);
    assert_true(bytes_eq_str(d.group_state, "Dead"));
    assert_int_equal(d.error_code, KE_GROUP_ID_NOT_FOUND);
    assert_true(bytes_eq_str(d.error_message, "Group none not found."));
    arena_free(&a);
    rig_close(&r);
}

static uint32_t count(struct rig *r, const char *s0, const char *s1, const char *type)
{
    struct bytes states[2] = {bytes_str(s0), bytes_str(s1)}, types[1] = {bytes_str(type)};
    struct group_filter f =
        group_filter_of(states, (s0 != NULL) + (s1 != NULL), types, type != NULL);
    return group_list(r->c, &f, NULL, NULL, 0);
}

static void groups_are_listed_by_state_and_type(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    rig_group(&r, 1, k);
    rig_join(&r, (struct join){.group = "empty"});
    rig_join(&r, (struct join){.group = "starting", .version = 3, .type = "connect"});
    r.hold = true;
    rig_join(&r, (struct join){.group = "not committed yet"});
    assert_int_equal(count(&r, NULL, NULL, NULL), 3);
    assert_int_equal(count(&r, "Stable", NULL, NULL), 1);
    assert_int_equal(count(&r, " sTABLE ", "empty", NULL), 2);
    assert_int_equal(count(&r, "PreparingRebalance", NULL, NULL), 1);
    assert_int_equal(count(&r, "Stabl", "Stablest", NULL), 0);
    assert_int_equal(count(&r, NULL, NULL, "Classic"), 3);
    assert_int_equal(count(&r, NULL, NULL, "consumer"), 0);
    assert_int_equal(count(&r, NULL, NULL, "nonsense"), 0);
    assert_int_equal(count(&r, "Empty", NULL, "classic"), 1);
    struct bytes want = bytes_str("PreparingRebalance");
    struct group_filter f = group_filter_of(&want, 1, NULL, 0);
    struct list_groups_response_listed_group out;
    struct arena a = {0};
    assert_int_equal(group_list(r.c, &f, &a, &out, 1), 1);
    assert_true(bytes_eq_str(out.group_id, "starting"));
    assert_true(bytes_eq_str(out.protocol_type, "connect"));
    assert_true(bytes_eq_str(out.group_state, "PreparingRebalance"));
    assert_true(bytes_eq_str(out.group_type, "classic"));
    arena_free(&a);
    rig_close(&r);
}

/* ---- groups that end, groups that change their kind ---- */

static struct call *delete_group(struct rig *r, const char *group)
{
    struct delete_groups_request q;
    struct bytes name = bytes_str(group);
    struct call *k = rig_call(r, 2);
    proto_msg_init(&delete_groups_request_msg, &q);
    proto_msg_init(&delete_groups_response_msg, &k->r.delete);
    k->r.delete.results =
        proto_array(&k->arena, &delete_groups_response_deletable_group_result_desc, 1);
    k->r.delete.results_n = 1;
    q.groups_names = &name;
    q.groups_names_n = 1;
    return rig_ask(r, k, GROUP_DELETE, &q);
}

static void only_an_empty_group_is_deleted(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    rig_group(&r, 1, k);
    assert_int_equal(delete_group(&r, "g")->r.delete.results[0].error_code, KE_NON_EMPTY_GROUP);
    rig_leaves(&r, k[0]->member);
    assert_int_equal(delete_group(&r, "g")->r.delete.results[0].error_code, KE_NONE);
    assert_true(bytes_is_null(r.value));
    assert_string_equal(rig_state(&r), "Dead");
    assert_int_equal(group_coordinator_counts(r.c).groups, 0);
    rig_close(&r);
}

static void who_joins_a_group_that_is_being_deleted_begins_a_new_one(void **state)
{
    UNUSED(state);
    for (int fails = 0; fails < 2; fails++) {
        struct rig r;
        struct call *k[1];
        rig_open(&r);
        rig_group(&r, 1, k);
        rig_leaves(&r, k[0]->member);
        r.hold = true;
        struct call *d = delete_group(&r, "g");
        struct call *id = rig_join(&r, (struct join){0});
        assert_int_equal(r.writes_n, 2); /* the tombstone, the new group */
        rig_written(&r, fails ? KE_NOT_ENOUGH_REPLICAS : KE_NONE);
        assert_true(d->done);
        rig_written(&r, KE_NONE);
        struct call *a = rig_join(&r, (struct join){.member = rig_member(id)});
        rig_advance(&r, 3000);
        assert_int_equal(a->r.join.error_code, KE_NONE);
        assert_int_equal(a->r.join.generation_id, 1);
        rig_close(&r);
    }
}

static void replay_consumer_group(struct rig *r, const char *group)
{
    struct buf key = {0}, value = {0};
    struct consumer_group_metadata_key k = {.group_id = bytes_str(group)};
    struct consumer_group_metadata_value v = {.epoch = 3};
    struct group_replay at = {.producer_id = -1};
    buf_put_be16(&key, 3);
    assert_int_equal(proto_encode(&consumer_group_metadata_key_msg, 0, &k, &key, NULL), 0);
    assert_int_equal(proto_encode_prefixed(&consumer_group_metadata_value_msg, 0, &v, &value, NULL),
                     0);
    assert_int_equal(group_coordinator_replay(r->c, &at, buf_bytes(&key), buf_bytes(&value)), 0);
    buf_free(&key);
    buf_free(&value);
}

static void an_empty_group_of_the_new_protocol_becomes_classic(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open_empty(&r);
    replay_consumer_group(&r, "g");
    rig_loaded(&r);
    assert_int_equal(count(&r, NULL, NULL, "consumer"), 1);
    struct arena arena = {0};
    struct describe_groups_response_described_group d;
    describe(&r, "g", 6, &arena, &d);
    assert_true(bytes_eq_str(d.error_message, "Group g is not a classic group."));
    arena_free(&arena);
    r.hold = true;
    struct call *id = rig_join(&r, (struct join){0});
    assert_int_equal(r.writes_n, 1);
    assert_true(r.writes[0].n >= 2);
    assert_true(r.writes[0].gone[0]);
    assert_false(r.writes[0].gone[r.writes[0].n - 1]);
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_int_equal(count(&r, NULL, NULL, "consumer"), 1); /* it is what it was */
    struct call *a = rig_join(&r, (struct join){.member = rig_member(id)});
    assert_int_equal(a->r.join.error_code, KE_UNKNOWN_MEMBER_ID);
    r.hold = false;
    a = rig_join_twice(&r, (struct join){0});
    assert_int_equal(count(&r, NULL, NULL, "consumer"), 0);
    assert_int_equal(count(&r, NULL, NULL, "classic"), 1);
    rig_advance(&r, 3000);
    assert_int_equal(a->r.join.error_code, KE_NONE);
    rig_close(&r);
}

/* ---- commits of members ---- */

static int16_t may_commit(struct rig *r, const char *group, const char *member,
                          const char *instance, int32_t generation, int16_t version)
{
    struct group_event ev = rig_event(r, GROUP_OFFSET_COMMIT);
    return classic_check_commit(group_find(r->c, bytes_str(group)), bytes_str(member),
                                bytes_str(instance), generation, version, &ev, &r->fx);
}

static void who_may_commit(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[2];
    rig_open(&r);
    assert_int_equal(may_commit(&r, "g", "", NULL, -1, 8), KE_NONE);
    assert_int_equal(may_commit(&r, "g", "m", NULL, 1, 8), KE_ILLEGAL_GENERATION);
    assert_int_equal(may_commit(&r, "g", "m", NULL, 1, 9), KE_GROUP_ID_NOT_FOUND);
    rig_group(&r, 2, k);
    const char *m = k[0]->member;
    assert_int_equal(may_commit(&r, "g", m, NULL, 1, 9), KE_NONE);
    assert_int_equal(may_commit(&r, "g", m, NULL, 2, 9), KE_ILLEGAL_GENERATION);
    assert_int_equal(may_commit(&r, "g", m, NULL, -1, 9), KE_ILLEGAL_GENERATION);
    assert_int_equal(may_commit(&r, "g", "m", NULL, 1, 9), KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(may_commit(&r, "g", "", NULL, -1, 9), KE_UNKNOWN_MEMBER_ID);
    assert_int_equal(may_commit(&r, "g", m, "i", 1, 9), KE_UNKNOWN_MEMBER_ID);
    /* while members join they may still commit, while the assignment is awaited not */
    struct call *a = rig_join(&r, (struct join){.member = m});
    assert_int_equal(may_commit(&r, "g", k[1]->member, NULL, 1, 9), KE_NONE);
    rig_join(&r, (struct join){.member = k[1]->member});
    assert_true(a->done);
    assert_int_equal(may_commit(&r, "g", m, NULL, 1, 9), KE_ILLEGAL_GENERATION);
    assert_int_equal(may_commit(&r, "g", m, NULL, 2, 9), KE_REBALANCE_IN_PROGRESS);
    rig_leave(&r, (struct leave){.who = {{m, NULL, NULL}, {k[1]->member, NULL, NULL}}});
    assert_string_equal(rig_state(&r), "Empty");
    assert_int_equal(may_commit(&r, "g", "", NULL, -1, 9), KE_NONE);
    assert_int_equal(may_commit(&r, "g", "m", NULL, 3, 9), KE_UNKNOWN_MEMBER_ID);
    rig_close(&r);
}

static void a_commit_counts_as_a_heartbeat(void **state)
{
    UNUSED(state);
    struct rig r;
    struct call *k[1];
    rig_open(&r);
    rig_group(&r, 1, k);
    for (int i = 0; i < 10; i++) {
        rig_advance(&r, 40000);
        assert_int_equal(may_commit(&r, "g", k[0]->member, NULL, 1, 9), KE_NONE);
    }
    rig_advance(&r, 44999);
    assert_string_equal(rig_state(&r), "Stable");
    rig_advance(&r, 1);
    assert_string_equal(rig_state(&r), "Empty");
    rig_close(&r);
}

static void a_fenced_member_s_commit_is_refused_with_a_line(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r);
    struct call *one = rig_join(&r, (struct join){.instance = "one"});
    rig_advance(&r, 3000);
    rig_sync(&r, (struct sync){.member = rig_member(one), .instance = "one", .generation = 1});
    rig_join(&r, (struct join){.instance = "one"});
    assert_int_equal(may_commit(&r, "g", one->member, "one", 1, 9), KE_FENCED_INSTANCE_ID);
    rig_carry_out(&r);
    assert_non_null(rig_line(&r, "request=OffsetCommit"));
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_leaves_and_the_others_rebalance),
        cmocka_unit_test(several_leave_at_once),
        cmocka_unit_test(old_versions_name_one_member),
        cmocka_unit_test(leaving_a_group_that_is_not_there),
        cmocka_unit_test(a_pending_member_leaves),
        cmocka_unit_test(who_leaves_while_it_joins_is_answered),
        cmocka_unit_test(the_only_one_leaves_in_the_initial_delay),
        cmocka_unit_test(what_clients_say_is_made_harmless),
        cmocka_unit_test(a_group_from_the_log_goes_on),
        cmocka_unit_test(the_last_record_of_a_group_counts),
        cmocka_unit_test(a_loaded_group_that_is_too_large_rebalances),
        cmocka_unit_test(a_log_that_lies_breaks_nothing),
        cmocka_unit_test(subscriptions_are_read_in_every_version),
        cmocka_unit_test(a_version_to_come_is_read_by_its_front),
        cmocka_unit_test(a_subscription_that_cannot_be_read_is_to_everything),
        cmocka_unit_test(an_empty_group_subscribes_to_nothing),
        cmocka_unit_test(a_stable_group_is_described_with_its_protocol),
        cmocka_unit_test(a_group_that_is_not_there_is_dead),
        cmocka_unit_test(groups_are_listed_by_state_and_type),
        cmocka_unit_test(only_an_empty_group_is_deleted),
        cmocka_unit_test(who_joins_a_group_that_is_being_deleted_begins_a_new_one),
        cmocka_unit_test(an_empty_group_of_the_new_protocol_becomes_classic),
        cmocka_unit_test(who_may_commit),
        cmocka_unit_test(a_commit_counts_as_a_heartbeat),
        cmocka_unit_test(a_fenced_member_s_commit_is_refused_with_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
