/* Which offsets go when, by Kafka's rules, and which groups go with them. */
#include "offsets_rig.h"

enum { RETENTION_DAYS = 7 };

/* What stands in the log: an offset of topic "t" or "u", committed so many days ago. */
static void put_partition(struct rig *r, const char *group, const char *topic, int32_t partition,
                          int64_t days_ago, int64_t expire_ms, int64_t producer_id)
{
    struct group_effects fx;
    struct offset_commit_value v = {
        .offset = 1,
        .leader_epoch = -1,
        .metadata = bytes_of("", 0),
        .commit_timestamp = r->wall_ms - days_ago * RIG_DAY_MS,
        .expire_timestamp = expire_ms,
    };
    group_effects_init(&fx);
    struct group_record rec = group_record_offset(&fx, bytes_str(group), bytes_str(topic),
                                                  partition, &v, expire_ms == -1 ? 4 : 1);
    struct group_replay rp = {.producer_id = producer_id,
                              .transactional = producer_id >= 0,
                              .timestamp = v.commit_timestamp,
                              .offset = r->log_n};
    rig_log_put(r, (struct rig_record){rig_copy(rec.key), rig_copy(rec.value), v.commit_timestamp,
                                       producer_id, false, false});
    assert_int_equal(group_coordinator_replay(r->c, &rp, rec.key, rec.value), 0);
    group_effects_free(&fx);
}

static void put_offset(struct rig *r, const char *group, const char *topic, int64_t days_ago,
                       int64_t expire_ms, int64_t producer_id)
{
    put_partition(r, group, topic, 0, days_ago, expire_ms, producer_id);
}

/* A classic group's record; it has a member when topic is not NULL, subscribed to that. */
static void put_group(struct rig *r, const char *group, const char *type, const char *topic,
                      int64_t empty_days)
{
    int64_t since_ms = empty_days < 0 ? -1 : r->wall_ms - empty_days * RIG_DAY_MS;
    rig_put_group(r, group, type, 1, since_ms, topic ? "m" : NULL, NULL, topic);
}

static void expire(struct rig *r)
{
    rig_step(r, GROUP_EXPIRE, NULL);
}

static void check_story(struct rig *r, const char *group, const char *part)
{
    struct arena a = {0};
    struct group_story_line *lines;
    uint32_t n;
    bool found = false;
    assert_int_equal(group_explain(r->c, bytes_str(group), r->now_ms, r->wall_ms, &a, &lines, &n),
                     0);
    for (uint32_t i = 0; i < n; i++) {
        found = found || strstr(lines[i].text, part) != NULL;
    }
    assert_true(found);
    arena_free(&a);
}

static bool exists(struct rig *r, const char *group)
{
    return group_find(r->c, bytes_str(group)) != NULL;
}

static void test_simple_groups_by_commit(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put_offset(&r, "old", "t", RETENTION_DAYS, -1, -1);
    put_offset(&r, "young", "t", RETENTION_DAYS - 1, -1, -1);
    put_offset(&r, "mixed", "t", 100, -1, -1);
    put_offset(&r, "mixed", "u", 1, -1, -1);
    rig_loaded(&r);
    uint32_t at = r.log_n;
    expire(&r);
    assert_int_equal(rig_out(&r), 2);
    assert_int_equal(rig_offset(&r, "old", "t", 0), 1); /* not before it is committed */
    rig_settle(&r);
    assert_false(exists(&r, "old"));
    assert_int_equal(rig_offset(&r, "young", "t", 0), 1);
    assert_int_equal(rig_offset(&r, "mixed", "t", 0), -1);
    assert_int_equal(rig_offset(&r, "mixed", "u", 0), 1);
    assert_int_equal(r.log_n, at + 3); /* two offsets, and the group that has none left */
    assert_non_null(strstr(buf_cstr(&r.lines), "offsets=2 groups=1"));
    expire(&r);
    assert_int_equal(rig_out(&r), 0);
    r.wall_ms += RIG_DAY_MS - 1;
    expire(&r);
    assert_int_equal(rig_out(&r), 0);
    r.wall_ms += 1;
    expire(&r);
    rig_settle(&r);
    assert_false(exists(&r, "young"));
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_classic_groups(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put_group(&r, "left", "consumer", NULL, RETENTION_DAYS); /* Empty long enough */
    put_offset(&r, "left", "t", 0, -1, -1);
    put_group(&r, "left-just", "consumer", NULL, 1); /* old offsets, but not long Empty */
    put_offset(&r, "left-just", "t", 100, -1, -1);
    put_group(&r, "left-old-log", "consumer", NULL, -1); /* the log does not say: by commit */
    put_offset(&r, "left-old-log", "t", 100, -1, -1);
    put_offset(&r, "left-old-log", "u", 1, -1, -1);
    put_group(&r, "live", "consumer", "t", 0); /* subscribed topics stay */
    put_offset(&r, "live", "t", 100, -1, -1);
    put_offset(&r, "live", "u", 100, -1, -1);
    put_group(&r, "connect", "connect", "t", 0); /* members, but nobody knows of what */
    put_offset(&r, "connect", "t", 100, -1, -1);
    put_group(&r, "never", "consumer", NULL, 0); /* Empty without offsets: goes at once */
    rig_loaded(&r);
    expire(&r);
    rig_settle(&r);
    assert_false(exists(&r, "left"));
    assert_int_equal(rig_offset(&r, "left-just", "t", 0), 1);
    assert_int_equal(rig_offset(&r, "left-old-log", "t", 0), -1);
    assert_int_equal(rig_offset(&r, "left-old-log", "u", 0), 1);
    assert_int_equal(rig_offset(&r, "live", "t", 0), 1);
    assert_int_equal(rig_offset(&r, "live", "u", 0), -1);
    assert_int_equal(rig_offset(&r, "connect", "t", 0), 1);
    assert_false(exists(&r, "never"));
    assert_true(group_find(r.c, bytes_str("left-just"))->in_log);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_explicit_expiry(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put_offset(&r, "due", "t", 0, RIG_WALL, -1);
    put_offset(&r, "later", "t", 100, RIG_WALL + 1, -1); /* whatever the retention says */
    rig_loaded(&r);
    expire(&r);
    rig_settle(&r);
    assert_false(exists(&r, "due"));
    assert_true(exists(&r, "later"));
    r.wall_ms++;
    expire(&r);
    rig_settle(&r);
    assert_false(exists(&r, "later"));
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_open_transactions_keep(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put_offset(&r, "g", "t", 100, -1, -1);
    put_offset(&r, "g", "t", 50, -1, 7);
    put_offset(&r, "g", "u", 100, -1, -1);
    put_offset(&r, "only-open", "t", 100, -1, 8);
    rig_loaded(&r);
    expire(&r);
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 1);
    assert_int_equal(rig_offset(&r, "g", "u", 0), -1);
    assert_true(exists(&r, "only-open"));
    group_coordinator_replay_marker(r.c, 7, true);
    group_coordinator_replay_marker(r.c, 8, false);
    assert_true(exists(&r, "only-open")); /* without an offset, until the next look */
    expire(&r);
    rig_settle(&r);
    assert_false(exists(&r, "only-open"));
    assert_false(exists(&r, "g"));
    rig_free(&r);
}

/* An offset that is committed anew while the sweep looks stays; a sweep that was lost comes again.
 */
static void test_sweep_and_writes(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    put_offset(&r, "g", "t", 100, -1, -1);
    put_offset(&r, "g", "u", 100, -1, -1); /* goes, though the group is never at rest */
    put_offset(&r, "h", "t", 100, -1, -1);
    rig_loaded(&r);
    struct rig_offset o = {"t", 0, 5, ""};
    struct rig_ask *ask = rig_commit_ask("g", 9, &o, 1);
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    expire(&r);
    expire(&r); /* what is under way is not asked for twice */
    assert_int_equal(rig_out(&r), 3);
    rig_written(&r, 0);
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    rig_written(&r, KE_NOT_ENOUGH_REPLICAS);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 5);
    assert_int_equal(rig_offset(&r, "g", "u", 0), 1);
    assert_int_equal(rig_offset(&r, "h", "t", 0), 1);
    rig_check_reload(&r);
    expire(&r);
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 5);
    assert_int_equal(rig_offset(&r, "g", "u", 0), -1);
    assert_false(exists(&r, "h"));
    /* the tombstone is under way: a commit behind it stands */
    r.wall_ms += INT64_C(8) * RIG_DAY_MS;
    struct rig_ask *later = rig_commit_ask("g", 9, &o, 1);
    expire(&r);
    rig_step(&r, GROUP_OFFSET_COMMIT, later);
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 5);
    assert_int_equal(rig_commit_code(later, 0), 0);
    rig_ask_free(ask);
    rig_ask_free(later);
    rig_check_reload(&r);
    rig_free(&r);
}

static void test_topic_gone(void **state)
{
    struct rig r;
    struct uuid other = rig_topic_id("another");
    (void)state;
    rig_init(&r);
    put_offset(&r, "legacy", "t", 0, -1, -1); /* names no topic id */
    put_offset(&r, "open", "t", 0, -1, 7);
    rig_loaded(&r);
    assert_int_equal(rig_commit(&r, "g", "t", 0, 1), 0);
    assert_int_equal(rig_commit(&r, "g", "u", 0, 2), 0);
    assert_int_equal(rig_commit(&r, "h", "t", 3, 3), 0);
    rig_topic_gone(&r, "t", other);
    assert_int_equal(rig_out(&r), 2); /* those without an id */
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "legacy", "t", 0), -1);
    assert_int_equal(r.c->txns.count, 0);
    assert_int_equal(rig_offset(&r, "g", "t", 0), 1);
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "g", "t", 0), -1);
    assert_int_equal(rig_offset(&r, "g", "u", 0), 2);
    assert_int_equal(rig_offset(&r, "h", "t", 3), -1);
    expire(&r);
    rig_settle(&r);
    assert_false(exists(&r, "legacy"));
    assert_false(exists(&r, "open"));
    assert_false(exists(&r, "h"));
    assert_true(exists(&r, "g"));
    rig_check_reload(&r);
    rig_free(&r);
}

/* The topic goes while commits to it are under way; one of them is of its successor. */
static void test_topic_gone_under_way(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    rig_loaded(&r);
    assert_int_equal(rig_commit(&r, "g", "t", 1, 1), 0);
    struct rig_offset o[] = {{"t", 0, 5, ""}, {"t", 1, 6, ""}};
    struct rig_ask *ask = rig_commit_ask("g", 10, o, 2);
    ask->q.commit.topics[1].topic_id = rig_topic_id("successor");
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    assert_int_equal(rig_out(&r), 2);
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "g", "t", 0), -1);
    assert_int_equal(rig_offset(&r, "g", "t", 1), 6);
    rig_ask_free(ask);
    rig_check_reload(&r);
    rig_free(&r);
}

/* ---- a part at a time ---- */

enum { MANY = 3000, SLICE_MOST = 1100 };

static const char *many_name(char out[24], int i)
{
    snprintf(out, 24, "many-%d", i);
    return out;
}

static void many_init(struct rig *r, int64_t days_ago)
{
    char name[24];
    rig_init(r);
    for (int i = 0; i < MANY; i++) {
        put_offset(r, many_name(name, i), "t", days_ago, -1, -1);
    }
    rig_loaded(r);
}

/* MANY partitions of "t" in one group. */
static void large_init(struct rig *r, int64_t days_ago)
{
    rig_init(r);
    for (int32_t i = 0; i < MANY; i++) {
        put_partition(r, "large", "t", i, days_ago, -1, -1);
    }
}

static void many_end(struct rig *r)
{
    rig_settle(r);
    assert_int_equal(group_coordinator_deadline(r->c), INT64_MAX);
    assert_int_equal(r->c->offsets, 0);
    rig_check_reload(r);
    rig_free(r);
}

/* The rest of a walk, of which there is one; the most records of a slice. A slice waits for the
 * writes of the one before. */
static uint32_t many_tick(struct rig *r)
{
    uint32_t at = r->log_n;
    rig_settle(r);
    uint32_t most = r->log_n - at;
    while (group_coordinator_deadline(r->c) != INT64_MAX) {
        at = r->log_n;
        assert_true(group_coordinator_deadline(r->c) > r->now_ms);
        r->now_ms = group_coordinator_deadline(r->c);
        rig_step(r, GROUP_TICK, NULL);
        assert_true(rig_out(r) == 0 || group_coordinator_deadline(r->c) == INT64_MAX);
        rig_settle(r);
        most = r->log_n - at > most ? r->log_n - at : most;
    }
    return most;
}

static void test_many_expire_in_slices(void **state)
{
    struct rig r;
    (void)state;
    many_init(&r, 100);
    expire(&r);
    uint32_t out = rig_out(&r);
    assert_in_range(out, 1, SLICE_MOST);
    assert_int_equal(r.lines.len, 0); /* it is told once, at the end */
    expire(&r);                       /* the same walk, which waits */
    assert_int_equal(rig_out(&r), out);
    rig_settle(&r); /* groups go while the walk is among them */
    assert_in_range(many_tick(&r), 1, SLICE_MOST);
    assert_non_null(strstr(buf_cstr(&r.lines), "offsets=3000 groups=3000"));
    many_end(&r);
}

/* One group has them all. */
static void test_a_group_expires_in_slices(void **state)
{
    struct rig r;
    (void)state;
    large_init(&r, 100);
    put_offset(&r, "large", "u", 1, -1, -1);
    rig_loaded(&r);
    expire(&r);
    assert_in_range(rig_out(&r), 1, 2); /* parts of one batch */
    assert_in_range(many_tick(&r), 500, SLICE_MOST);
    assert_int_equal(r.c->offsets, 1);
    assert_non_null(strstr(buf_cstr(&r.lines), "offsets=3000 groups=0"));
    check_story(&r, "large", "3000 committed offsets are older");
    r.wall_ms += INT64_C(8) * RIG_DAY_MS;
    expire(&r);
    (void)many_tick(&r);
    assert_false(exists(&r, "large"));
    many_end(&r);
}

/* A topic goes that a group has many offsets of. In the middle the group commits to its successor,
 * without a topic id: before the walk has come there, and behind it. */
static void test_a_topic_of_a_group_goes_in_slices(void **state)
{
    struct rig r;
    (void)state;
    large_init(&r, 0);
    rig_loaded(&r);
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    rig_settle(&r);
    assert_in_range(r.c->offsets, 1, MANY - 500);
    struct rig_offset o[] = {{"t", 0, 9, ""}, {"t", MANY - 1, 9, ""}};
    struct rig_ask *ask = rig_commit_ask("large", 9, o, 2);
    ask->q.commit.topics[0].topic_id = UUID_ZERO;
    ask->q.commit.topics[1].topic_id = UUID_ZERO;
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    assert_int_equal(rig_out(&r), 1); /* nothing else is done for it */
    assert_in_range(many_tick(&r), 500, SLICE_MOST);
    assert_int_equal(rig_commit_code(ask, 0), 0);
    assert_int_equal(r.c->offsets, 2);
    assert_int_equal(rig_offset(&r, "large", "t", 0), 9);
    assert_int_equal(rig_offset(&r, "large", "t", MANY - 1), 9);
    check_story(&r, "large", "topic 't' is deleted, and 2999 committed offsets with it");
    rig_check_reload(&r);
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    (void)many_tick(&r);
    rig_ask_free(ask);
    many_end(&r);
}

/* Those that the walk has not reached may commit to the topic's successor: that stays. */
static void test_a_topic_goes_in_slices(void **state)
{
    struct rig r;
    char last[24];
    (void)state;
    many_init(&r, 0);
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    assert_in_range(rig_out(&r), 1, SLICE_MOST);
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, "many-0", "t", 0), -1);
    assert_int_equal(rig_offset(&r, many_name(last, MANY - 1), "t", 0), 1);
    put_offset(&r, "late", "t", 0, -1, -1); /* no topic id: it could be of either */
    struct rig_offset o = {"t", 0, 9, ""};
    struct rig_ask *ask = rig_commit_ask(last, 9, &o, 1);
    ask->q.commit.topics[0].topic_id = UUID_ZERO;
    rig_step(&r, GROUP_OFFSET_COMMIT, ask);
    rig_settle(&r);
    assert_int_equal(rig_commit_code(ask, 0), 0);
    rig_topic_gone(&r, "u", rig_topic_id("u")); /* another walk follows this one */
    assert_in_range(many_tick(&r), 1, SLICE_MOST);
    rig_settle(&r);
    assert_int_equal(rig_offset(&r, last, "t", 0), 9);
    assert_int_equal(rig_offset(&r, "late", "t", 0), 1); /* made after the deletion */
    assert_int_equal(r.c->offsets, 2);
    assert_true(list_empty(&r.c->gone));
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    (void)many_tick(&r);
    rig_ask_free(ask);
    many_end(&r);
}

/* Unloaded, or freed, in the middle of both. */
static void test_the_end_comes_first(void **state)
{
    struct rig r;
    (void)state;
    many_init(&r, 100);
    rig_topic_gone(&r, "t", rig_topic_id("t"));
    expire(&r);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple_groups_by_commit),
        cmocka_unit_test(test_classic_groups),
        cmocka_unit_test(test_explicit_expiry),
        cmocka_unit_test(test_open_transactions_keep),
        cmocka_unit_test(test_sweep_and_writes),
        cmocka_unit_test(test_topic_gone),
        cmocka_unit_test(test_topic_gone_under_way),
        cmocka_unit_test(test_many_expire_in_slices),
        cmocka_unit_test(test_a_group_expires_in_slices),
        cmocka_unit_test(test_a_topic_goes_in_slices),
        cmocka_unit_test(test_a_topic_of_a_group_goes_in_slices),
        cmocka_unit_test(test_the_end_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
