/* Commits, fetches and deletions of offsets: the order of Kafka's checks, what a write that is
 * under way or lost means to everybody else, large groups, memory. Members are classic groups'
 * business (test_classic_*.c); here the groups are simple, or stand in the log with members. */
#include "offsets_rig.h"

struct commit_case {
    const char *group, *member, *instance;
    int32_t generation;
    int16_t version;
    int16_t code;
};

static int16_t commit_as(struct rig *r, const struct commit_case *c)
{
    struct rig_offset o = {"t", 0, 5, ""};
    struct rig_ask *a = rig_commit_ask(c->group, c->version, &o, 1);
    a->q.commit.member_id = bytes_str(c->member);
    a->q.commit.group_instance_id = bytes_str(c->instance);
    a->q.commit.generation_id_or_member_epoch = c->generation;
    rig_step(r, GROUP_OFFSET_COMMIT, a);
    rig_settle(r);
    int16_t code = rig_commit_code(a, 0);
    rig_ask_free(a);
    return code;
}

static void test_who_may_commit(void **state)
{
    static const struct commit_case cases[] = {
        {"none", "", NULL, -1, 2, 0},
        {"none-2", "m", NULL, 0, 8, KE_ILLEGAL_GENERATION},
        {"none-2", "m", NULL, 0, 9, KE_GROUP_ID_NOT_FOUND},
        {"none-2", "m", NULL, -1, 9, 0}, /* a member id alone does not matter */
        {"", "", NULL, -1, 9, 0},
        {"empty", "", NULL, -1, 9, 0},
        {"empty", "m", NULL, 3, 9, KE_UNKNOWN_MEMBER_ID},
        {"stable", "", NULL, -1, 9, KE_UNKNOWN_MEMBER_ID},
        {"stable", "m", NULL, 3, 9, 0},
        {"stable", "m", NULL, 2, 9, KE_ILLEGAL_GENERATION},
        {"stable", "m", NULL, 4, 2, KE_ILLEGAL_GENERATION},
        {"stable", "m", NULL, -1, 9, KE_ILLEGAL_GENERATION},
        {"stable", "x", NULL, 3, 9, KE_UNKNOWN_MEMBER_ID},
        {"static", "m", "i", 3, 9, 0},
        {"static", "m", NULL, 3, 9, 0},
        {"static", "x", "i", 3, 9, KE_FENCED_INSTANCE_ID},
        {"static", "m", "other", 3, 9, KE_UNKNOWN_MEMBER_ID},
    };
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_put_group(&r, "empty", "consumer", 3, r.wall_ms, NULL, NULL, NULL);
    rig_put_group(&r, "stable", "consumer", 3, r.wall_ms, "m", NULL, "t");
    rig_put_group(&r, "static", "consumer", 3, r.wall_ms, "m", "i", "t");
    rig_loaded(&r);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int16_t code = commit_as(&r, &cases[i]);
        if (code != cases[i].code) {
            fail_msg("case %zu (%s): %d, not %d", i, cases[i].group, code, cases[i].code);
        }
    }
    assert_int_equal(r.c->offsets, 6);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_commit_and_fetch(void **state)
{
    struct rig r;
    struct arena a = {0};
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    struct rig_offset o[] = {{"t", 1, 10, "note"}, {"t", 0, 20, NULL}, {"u", 7, 30, ""}};
    struct rig_ask *ask = rig_commit_ask("g", 9, o, 3);
    ask->q.commit.topics[0].partitions[0].committed_leader_epoch = 4;
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    assert_false(ask->answered);
    assert_int_equal(rig_offset(&r, "g", "t", 1), -1); /* not before it is committed */
    assert_int_equal(rig_out(&r), 1);
    rig_settle(&r);
    assert_true(ask->answered);
    assert_int_equal(ask->out.commit.topics_n, 3);
    assert_true(bytes_eq_str(ask->out.commit.topics[2].name, "u"));
    assert_int_equal(ask->out.commit.topics[2].partitions[0].partition_index, 7);
    rig_ask_free(ask);

    struct offset_fetch_response_offset_fetch_response_partitions p =
        rig_fetch(&r, "g", "t", UUID_ZERO, 1, true, &a);
    assert_int_equal(p.error_code, 0);
    assert_int_equal(p.committed_offset, 10);
    assert_int_equal(p.committed_leader_epoch, 4);
    assert_true(bytes_eq_str(p.metadata, "note"));
    p = rig_fetch(&r, "g", "t", rig_topic_id("t"), 0, false, &a);
    assert_int_equal(p.committed_offset, 20);
    assert_int_equal(p.committed_leader_epoch, -1);
    assert_true(bytes_eq_str(p.metadata, ""));
    /* another topic of that name; no such partition, topic, group */
    p = rig_fetch(&r, "g", "t", rig_topic_id("other"), 0, false, &a);
    assert_int_equal(p.committed_offset, -1);
    assert_int_equal(rig_offset(&r, "g", "t", 2), -1);
    assert_int_equal(rig_offset(&r, "g", "v", 0), -1);
    p = rig_fetch(&r, "h", "t", UUID_ZERO, 0, true, &a);
    assert_int_equal(p.committed_offset, -1);
    assert_int_equal(p.error_code, 0);
    assert_true(bytes_eq_str(p.metadata, ""));
    arena_free(&a);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_fetch_all(void **state)
{
    struct rig r;
    struct arena a = {0};
    struct offset_fetch_request_offset_fetch_request_group q;
    struct offset_fetch_response_offset_fetch_response_group out;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    for (int i = 29; i >= 0; i--) {
        char topic[16];
        snprintf(topic, sizeof topic, "t%02d", i % 10);
        assert_int_equal(rig_commit(&r, "g", topic, i, i * 2), 0);
    }
    proto_init(&offset_fetch_request_offset_fetch_request_group_desc, &q);
    q.group_id = bytes_str("g");
    q.topics_n = -1;
    proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
    group_fetch_offsets(r.c, &q, true, &a, &out);
    assert_int_equal(out.topics_n, 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(out.topics[i].name.data[2], '0' + i);
        assert_true(uuid_is_zero(out.topics[i].topic_id));
        assert_int_equal(out.topics[i].partitions_n, 3);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(out.topics[i].partitions[k].partition_index, k * 10 + i);
            assert_int_equal(out.topics[i].partitions[k].committed_offset, (k * 10 + i) * 2);
        }
    }
    q.group_id = bytes_str("nobody");
    proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
    group_fetch_offsets(r.c, &q, true, &a, &out);
    assert_int_equal(out.topics_n, 0);
    assert_int_equal(out.error_code, 0);
    arena_free(&a);
    rig_free(&r);
}

/* Two commits of a partition under way: the later in the log stands, a lost one changes nothing. */
static void test_commits_under_way(void **state)
{
    struct rig r;
    struct arena a = {0};
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    struct rig_ask *ask[3];
    for (int i = 0; i < 3; i++) {
        struct rig_offset o = {"t", 0, i + 1, ""};
        ask[i] = rig_commit_ask("g", 9, &o, 1);
        rig_step(&r, GROUP_OFFSET_COMMIT, ask[i]);
    }
    assert_int_equal(rig_out(&r), 3);
    assert_int_equal(rig_fetch(&r, "g", "t", UUID_ZERO, 0, true, &a).error_code,
                     KE_UNSTABLE_OFFSET_COMMIT);
    assert_int_equal(rig_fetch(&r, "g", "t", UUID_ZERO, 1, true, &a).error_code, 0);
    rig_written(&r, 0);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 1);
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 1);
    assert_int_equal(rig_fetch(&r, "g", "t", UUID_ZERO, 0, true, &a).error_code,
                     KE_UNSTABLE_OFFSET_COMMIT);
    rig_written(&r, 0);
    assert_int_equal(rig_fetch(&r, "g", "t", UUID_ZERO, 0, true, &a).committed_offset, 3);
    assert_int_equal(rig_commit_code(ask[0], 0), 0);
    assert_int_equal(rig_commit_code(ask[1], 0), KE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(rig_commit_code(ask[2], 0), 0);
    for (int i = 0; i < 3; i++) {
        rig_ask_free(ask[i]);
    }
    arena_free(&a);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_lost_commit_leaves_nothing(void **state)
{
    static const int16_t codes[][2] = {
        {KE_NOT_LEADER_OR_FOLLOWER, KE_NOT_COORDINATOR},
        {KE_KAFKA_STORAGE_ERROR, KE_NOT_COORDINATOR},
        {KE_NOT_ENOUGH_REPLICAS, KE_COORDINATOR_NOT_AVAILABLE},
        {KE_REQUEST_TIMED_OUT, KE_COORDINATOR_NOT_AVAILABLE},
        {KE_MESSAGE_TOO_LARGE, KE_UNKNOWN_SERVER_ERROR},
        {KE_NOT_COORDINATOR, KE_NOT_COORDINATOR},
    };
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    uint64_t before = r.c->bytes;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct rig_offset o[] = {{"t", 0, 1, "x"}, {"u", 0, 1, ""}};
        r.config.offset_metadata_max = 0; /* the first is refused by itself */
        struct rig_ask *ask = rig_commit_ask("g", 9, o, 2);
        rig_step(&r, GROUP_OFFSET_COMMIT, ask);
        assert_int_equal(r.c->groups.count, 1);
        rig_written(&r, codes[i][0]);
        assert_int_equal(rig_commit_code(ask, 0), codes[i][1]);
        assert_int_equal(rig_commit_code(ask, 1), codes[i][1]);
        assert_int_equal(r.c->groups.count, 0);
        rig_ask_free(ask);
    }
    assert_int_equal(r.c->bytes, before);
    rig_free(&r);
}

static void test_metadata_too_large(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    r.config.offset_metadata_max = 4;
    rig_loaded(&r);
    /* Kafka counts UTF-16 units: 4 of 8 bytes, 2 + 2 of 8 bytes, 5 */
    struct rig_offset o[] = {{"t", 0, 1, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
                             {"t", 1, 1, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"},
                             {"t", 2, 1, "12345"},
                             {"t", 3, 1, "1234"}};
    struct rig_ask *ask = rig_commit_ask("g", 9, o, 4);
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    rig_settle(&r);
    assert_int_equal(rig_commit_code(ask, 0), 0);
    assert_int_equal(rig_commit_code(ask, 1), 0);
    assert_int_equal(rig_commit_code(ask, 2), KE_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(rig_commit_code(ask, 3), 0);
    assert_int_equal(r.c->offsets, 3);
    rig_ask_free(ask);
    /* nothing is left to write: answered at once; the group is there all the same, as in Kafka */
    ask = rig_commit_ask("h", 9, &o[2], 1);
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    assert_int_equal(rig_commit_code(ask, 0), KE_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(rig_out(&r), 0);
    assert_non_null(group_find(r.c, bytes_str("h")));
    rig_ask_free(ask);
    rig_free(&r);
}

static void test_retention_of_the_request(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    struct rig_offset o = {"t", 0, 1, "m"};
    struct rig_ask *ask = rig_commit_ask("g", 4, &o, 1);
    ask->q.commit.retention_time_ms = 1000;
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    rig_settle(&r);
    assert_int_equal(load_be16(r.log[0].value.data), 1);
    const struct group_topic *t = offset_topic(group_find(r.c, bytes_str("g")), bytes_str("t"));
    assert_int_equal(offset_expire_ms(offset_find(t, 0)), RIG_WALL + 1000);
    rig_ask_free(ask);
    assert_int_equal(rig_commit(&r, "g", "t", 0, 2), 0);
    assert_int_equal(load_be16(r.log[1].value.data), 4);
    assert_int_equal(offset_expire_ms(offset_find(t, 0)), -1);
    rig_check_reload(&r);
    rig_free(&r);
}

/* ---- deletions ---- */

static int16_t delete_one(struct rig *r, const char *group, const char *topic, int32_t partition,
                          int16_t *top)
{
    struct rig_ask *a = rig_delete_ask(group, topic, partition);
    rig_step(r, GROUP_OFFSET_DELETE, a);
    rig_settle(r);
    assert_true(a->answered);
    *top = a->out.del.error_code;
    int16_t code = a->out.del.topics_n ? a->out.del.topics[0].partitions[0].error_code : -1;
    rig_ask_free(a);
    return code;
}

static int16_t delete_group(struct rig *r, const char *group)
{
    struct rig_ask *a = rig_group_delete_ask(group);
    rig_step(r, GROUP_DELETE, a);
    rig_settle(r);
    assert_true(a->answered);
    int16_t code = a->out.groups.results[0].error_code;
    rig_ask_free(a);
    return code;
}

static void test_offset_delete(void **state)
{
    struct rig r;
    int16_t top;
    (void)state;
    rig_init(&r);
    rig_put_group(&r, "live", "consumer", 3, r.wall_ms, "m", NULL, "t");
    rig_put_group(&r, "connect", "connect", 3, r.wall_ms, "m", NULL, "t");
    rig_loaded(&r);
    assert_int_equal(rig_commit(&r, "g", "t", 0, 1), 0);
    assert_int_equal(rig_commit(&r, "g", "t", 1, 1), 0);
    uint32_t records = r.log_n;
    assert_int_equal(delete_one(&r, "g", "t", 5, &top), 0); /* not there: no error, no record */
    assert_int_equal(r.log_n, records);
    assert_int_equal(delete_one(&r, "g", "t", 0, &top), 0);
    assert_int_equal(r.log_n, records + 1);
    assert_null(r.log[records].value.data);
    assert_int_equal(rig_offset(&r, "g", "t", 0), -1);
    assert_int_equal(rig_offset(&r, "g", "t", 1), 1);
    delete_one(&r, "nobody", "t", 0, &top);
    assert_int_equal(top, KE_GROUP_ID_NOT_FOUND);
    delete_one(&r, "", "t", 0, &top);
    assert_int_equal(top, KE_INVALID_GROUP_ID);
    assert_int_equal(delete_one(&r, "live", "t", 0, &top), KE_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(top, 0);
    assert_int_equal(delete_one(&r, "live", "u", 0, &top), 0);
    delete_one(&r, "connect", "u", 0, &top);
    assert_int_equal(top, KE_NON_EMPTY_GROUP);
    /* a group without its last offset stays until the next look at retention */
    assert_int_equal(delete_one(&r, "g", "t", 1, &top), 0);
    assert_non_null(group_find(r.c, bytes_str("g")));
    assert_int_equal(delete_one(&r, "g", "t", 1, &top), 0);
    assert_int_equal(top, 0);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_offset_delete_of_what_is_under_way(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    struct rig_offset o = {"t", 0, 9, ""};
    struct rig_ask *commit = rig_commit_ask("g", 9, &o, 1);
    struct rig_ask *del = rig_delete_ask("g", "t", 0);
    struct rig_ask *lost = rig_delete_ask("g", "t", 0);
    rig_step(&r, GROUP_OFFSET_COMMIT, commit);
    rig_step(&r, GROUP_OFFSET_DELETE, lost);
    rig_step(&r, GROUP_OFFSET_DELETE, del);
    rig_written(&r, 0);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 9);
    rig_written(&r, KE_NOT_LEADER_OR_FOLLOWER);
    assert_true(lost->answered);
    assert_int_equal(lost->out.del.error_code, KE_NOT_COORDINATOR);
    assert_int_equal(lost->out.del.topics_n, 0);
    rig_written(&r, 0);
    assert_true(del->answered);
    assert_int_equal(del->out.del.error_code, 0);
    assert_int_equal(rig_offset(&r, "g", "t", 0), -1);
    rig_ask_free(commit);
    rig_ask_free(del);
    rig_ask_free(lost);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_group_delete(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_put_group(&r, "live", "consumer", 3, r.wall_ms, "m", NULL, "t");
    rig_put_group(&r, "empty", "consumer", 3, r.wall_ms, NULL, NULL, NULL);
    rig_loaded(&r);
    assert_int_equal(rig_commit(&r, "g", "t", 0, 1), 0);
    assert_int_equal(rig_commit(&r, "empty", "t", 0, 1), 0);
    assert_int_equal(delete_group(&r, "nobody"), KE_GROUP_ID_NOT_FOUND);
    assert_int_equal(delete_group(&r, "live"), KE_NON_EMPTY_GROUP);
    uint32_t records = r.log_n;
    assert_int_equal(delete_group(&r, "g"), 0);
    /* Kafka writes the group's tombstone for a simple group too */
    assert_int_equal(r.log_n, records + 2);
    assert_int_equal(load_be16(r.log[records].key.data), 1);
    assert_int_equal(load_be16(r.log[records + 1].key.data), 2);
    assert_int_equal(delete_group(&r, "empty"), 0);
    assert_int_equal(delete_group(&r, "empty"), KE_GROUP_ID_NOT_FOUND);
    assert_int_equal(r.c->groups.count, 1);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_group_delete_under_way(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    assert_int_equal(rig_commit(&r, "g", "t", 0, 1), 0);
    struct rig_offset o = {"t", 1, 2, ""}, later = {"t", 2, 3, ""};
    struct rig_ask *before = rig_commit_ask("g", 9, &o, 1);
    struct rig_ask *del = rig_group_delete_ask("g");
    struct rig_ask *again = rig_group_delete_ask("g");
    struct rig_ask *member = rig_commit_ask("g", 9, &later, 1);
    struct rig_ask *after = rig_commit_ask("g", 9, &later, 1);
    member->q.commit.generation_id_or_member_epoch = 1;
    rig_step(&r, GROUP_OFFSET_COMMIT, before);
    rig_step(&r, GROUP_DELETE, del);
    /* to whoever asks now it is gone */
    rig_step(&r, GROUP_DELETE, again);
    assert_int_equal(again->out.groups.results[0].error_code, KE_GROUP_ID_NOT_FOUND);
    rig_step(&r, GROUP_OFFSET_COMMIT, member);
    assert_int_equal(rig_commit_code(member, 0), KE_GROUP_ID_NOT_FOUND);
    /* but readers see it until then, and a simple commit makes it anew */
    rig_step(&r, GROUP_OFFSET_COMMIT, after);
    assert_int_equal(rig_out(&r), 3);
    rig_written(&r, 0);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 1);
    assert_int_equal(rig_offset(&r, "g", "t", 1), 2);
    rig_written(&r, 0);
    assert_true(del->answered);
    assert_int_equal(rig_offset(&r, "g", "t", 0), -1);
    assert_int_equal(rig_offset(&r, "g", "t", 1), -1);
    rig_written(&r, 0);
    assert_int_equal(rig_offset(&r, "g", "t", 2), 3);
    assert_int_equal(r.c->offsets, 1);
    rig_check_reload(&r);
    rig_ask_free(before);
    rig_ask_free(del);
    rig_ask_free(again);
    rig_ask_free(member);
    rig_ask_free(after);
    rig_free(&r);
}

/* A deletion that is more than an append takes goes in parts; one of them is lost. */
static void test_group_delete_in_parts(void **state)
{
    enum { PARTITIONS = 10000 };
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    for (int i = 0; i < PARTITIONS; i++) {
        assert_int_equal(rig_commit(&r, "g", "t", i, i), 0);
    }
    struct rig_ask *del = rig_group_delete_ask("g");
    rig_step(&r, GROUP_DELETE, del);
    assert_int_equal(rig_out(&r), 3);
    rig_written(&r, 0);
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_false(del->answered);
    rig_written(&r, 0);
    assert_int_equal(del->out.groups.results[0].error_code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(r.c->offsets, 4096);
    rig_check_reload(&r);
    assert_int_equal(delete_group(&r, "g"), 0);
    assert_int_equal(r.c->groups.count, 0);
    rig_check_reload(&r);
    rig_ask_free(del);
    rig_free(&r);
}

/* ---- sizes ---- */

static void test_many_partitions_of_a_topic(void **state)
{
    enum { PARTITIONS = 100000, STRIDE = 7919 };
    struct rig r;
    (void)state;
    rig_init(&r);
    struct group *g = group_make(r.c, bytes_str("g"), GROUP_KIND_CLASSIC);
    uint64_t before = r.c->bytes;
    struct offset_commit_value v = {.metadata = bytes_of("", 0), .expire_timestamp = -1};
    for (int64_t i = 0; i < PARTITIONS; i++) {
        v.offset = i;
        offset_put(offset_topic_make(g, bytes_str("t")), (int32_t)(i * STRIDE % PARTITIONS), &v, i,
                   0);
    }
    assert_int_equal(r.c->offsets, PARTITIONS);
    assert_true(r.c->bytes - before < (uint64_t)PARTITIONS * 100);
    const struct group_topic *t = offset_topic(g, bytes_str("t"));
    for (int64_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(offset_find(t, (int32_t)(i * STRIDE % PARTITIONS))->offset, i);
    }
    for (int64_t i = 0; i < PARTITIONS; i += 2) {
        offset_forget(g, bytes_str("t"), (int32_t)(i * STRIDE % PARTITIONS));
    }
    for (int64_t i = 0; i < PARTITIONS; i++) {
        const struct offset_entry *e = offset_find(t, (int32_t)(i * STRIDE % PARTITIONS));
        assert_true((e == NULL) == (i % 2 == 0));
        assert_true(e == NULL || e->offset == i);
    }
    offset_forget_all(g);
    assert_int_equal(r.c->bytes, before);
    g->kept = false;
    assert_true(group_release(g));
    group_coordinator_free(r.c);
    r.c = group_coordinator_new(&r.config, NULL);
    rig_free(&r);
}

static void test_memory_is_bounded(void **state)
{
    struct rig r;
    char group[32];
    int n = 0;
    int16_t code;
    (void)state;
    rig_init(&r);
    r.config.memory_max = 200000;
    rig_loaded(&r);
    do {
        snprintf(group, sizeof group, "group-%d", n++);
        code = rig_commit(&r, group, "t", 0, 1);
    } while (code == 0 && n < 10000);
    assert_int_equal(code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_true(n > 200);
    assert_true(r.c->bytes <= r.config.memory_max);
    assert_null(group_find(r.c, bytes_str(group)));
    assert_non_null(strstr(buf_cstr(&r.lines), "group.coordinator.memory.bytes"));
    /* what is there can still be moved */
    assert_int_equal(rig_commit(&r, "group-0", "t", 0, 2), 0);
    assert_int_equal(rig_offset(&r, "group-0", "t", 0), 2);
    for (n = 1, code = 0; code == 0 && n < 1000; n++) {
        code = rig_commit(&r, "group-0", "t", n, 2);
    }
    assert_int_equal(code, KE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(delete_group(&r, "group-1"), 0);
    assert_int_equal(rig_commit(&r, "group-1", "t", 0, 2), 0);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may_commit),
        cmocka_unit_test(test_commit_and_fetch),
        cmocka_unit_test(test_fetch_all),
        cmocka_unit_test(test_commits_under_way),
        cmocka_unit_test(test_lost_commit_leaves_nothing),
        cmocka_unit_test(test_metadata_too_large),
        cmocka_unit_test(test_retention_of_the_request),
        cmocka_unit_test(test_offset_delete),
        cmocka_unit_test(test_offset_delete_of_what_is_under_way),
        cmocka_unit_test(test_group_delete),
        cmocka_unit_test(test_group_delete_under_way),
        cmocka_unit_test(test_group_delete_in_parts),
        cmocka_unit_test(test_many_partitions_of_a_topic),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
