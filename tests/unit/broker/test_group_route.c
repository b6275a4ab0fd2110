/* From a group's name to its coordinator: the partition, its home shard, the question there and the
 * answer back, on real logs of the simulator, with a coordinator of the test's (fake_core.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_rig.h"
#include "fake_core.h"
#include "group_rig.h"

static void partitions(void **state)
{
    UNUSED(state);
    static const struct {
        const char *id;
        int32_t of_50;
    } samples[] = {
        {"my-group", 12},
        {"console-consumer-1", 24},
        {"gr\xc3\xb6\xc3\x9f"
         "e",
         7},
        {"polygenelubricants", 0}, /* its hash is -2^31 */
        {"", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        assert_int_equal(group_partition_of(bytes_str(samples[i].id), 50), samples[i].of_50);
    }
    assert_int_equal(group_partition_of(BYTES_NULL, 50), 0);
    /* one character beyond the first plane is two units: 0xd83d * 31 + 0xde00 */
    assert_int_equal(group_partition_of(bytes_str("\xf0\x9f\x98\x80"), INT32_MAX),
                     0xd83d * 31 + 0xde00);
    /* each broken byte here is one U+FFFD; a cut sequence is one as well */
    assert_int_equal(group_partition_of(bytes_of("\xff\xff", 2), INT32_MAX), 0xfffd * 32);
    assert_int_equal(group_partition_of(bytes_of("\xe2\x82", 2), INT32_MAX), 0xfffd);
}

static void no_topic_and_no_leader(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 2, NULL);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "a", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NOT_COORDINATOR);
    group_rig_topic(&r, 3, NULL, NULL);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "a", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    rig_leader(&r, GROUP_RIG_TOPIC, group_partition_of(bytes_str("a"), 3), 2);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "a", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NOT_COORDINATOR);
    rig_shut(&r);
}

static void ten_coordinators_over_three_shards(void **state)
{
    UNUSED(state);
    struct rig r;
    static struct question q[60];
    group_rig_open(&r, 3, NULL);
    group_rig_topic(&r, 10, NULL, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(q); i++) {
        char id[16];
        snprintf(id, sizeof id, "group%u", i);
        group_rig_commit(&r, &q[i], i % 3, id, id, "1");
    }
    for (unsigned i = 0; i < ARRAY_LEN(q); i++) {
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE);
        assert_int_equal(q[i].answer.code, 0);
    }
    assert_int_equal(told.made, 10);
    assert_int_equal(told.written, 60);
    int64_t records = 0;
    for (int32_t p = 0; p < 10; p++) {
        records += plog_end_offset(rig_partition(&r, GROUP_RIG_TOPIC, p)->log);
    }
    assert_int_equal(records, 60);
    rig_shut(&r);
    assert_int_equal(told.unloads, 10);
    assert_int_equal(told.freed, 10);
}

/* The asker's shard knows a newer image than the home: the question waits there. */
static void a_home_that_is_behind(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 2, NULL);
    unsigned home = node_home_shard(&r.node, rig_topic_id(GROUP_RIG_TOPIC), 0);
    r.late[home] = true;
    group_rig_topic_unloaded(&r, 1, NULL, NULL);
    group_rig_ask(&r, &q, 1 - home, GROUP_HEARTBEAT, "a", NULL);
    rig_run(&r, 50);
    assert_int_equal(q.done, 0);
    rig_catch_up(&r, home);
    assert_int_equal(group_rig_answer(&r, &q), KE_COORDINATOR_LOAD_IN_PROGRESS);
    rig_shut(&r);
}

/* A join that waits gives its frame back, wherever it waits; what is answered at once does not. */
static void frames_are_given_back(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q[2];
    struct question beat;
    group_rig_open(&r, 2, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    for (unsigned shard = 0; shard < 2; shard++) {
        group_rig_ask(&r, &q[shard], shard, GROUP_JOIN, "a", NULL);
    }
    rig_run(&r, 20);
    assert_int_equal(r.frames_released, 2);
    assert_null(q[0].request.body);
    group_rig_ask(&r, &beat, 1, GROUP_HEARTBEAT, "a", NULL);
    assert_int_equal(group_rig_answer(&r, &beat), KE_NONE);
    assert_int_equal(r.frames_released, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE); /* the tick, after three seconds */
    }
    assert_int_equal(told.ticks, 1);
    assert_false(uuid_is_zero(told.fresh));
    assert_string_equal(told.client_host, "/127.0.0.1");
    rig_shut(&r);
}

static void addresses_as_java_prints_them(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    group_rig_peer = "::1";
    group_rig_ask(&r, &q, 0, GROUP_JOIN, "a", NULL);
    group_rig_peer = "127.0.0.1";
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    assert_string_equal(told.client_host, "/0:0:0:0:0:0:0:1");
    rig_shut(&r);
}

/* ---- reading ---- */

struct item {
    struct group_item it;
    const char *key;
    const char *text;
};

static bool read_one(const struct group_coordinator *c, struct group_item *it, void *user,
                     int64_t now_ms, int64_t wall_ms, struct arena *a)
{
    struct item *i = (struct item *)it;
    const struct fake_entry *e = fake_find(c, i->key);
    UNUSED(user);
    assert_true(now_ms >= 0 && wall_ms > 0);
    i->text = e ? arena_strndup(a, e->text, strlen(e->text)) : "none";
    return true;
}

static void read_done(struct request *q, void *user)
{
    struct item *items = user;
    assert_string_equal(items[0].text, "5");
    assert_string_equal(items[1].text, "6");
    assert_null(items[2].text);
    assert_string_equal(items[3].text, "none");
    CONTAINER_OF(q, struct question, request)->done++;
}

static void reading_across_shards(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 3, NULL);
    group_rig_topic(&r, 10, NULL, NULL);
    group_rig_commit(&r, &q, 0, "first", "k1", "5");
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    group_rig_commit(&r, &q, 1, "second", "k2", "6");
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    struct item items[] = {
        {.it.group_id = bytes_str("first"), .key = "k1"},
        {.it.group_id = bytes_str("second"), .key = "k2"},
        {.it = {.at.error = KE_INVALID_GROUP_ID, .group_id = bytes_str("first")}, .key = "k1"},
        {.it.group_id = bytes_str("third"), .key = "k1"},
    };
    group_rig_request(&r, &q, 0);
    group_read_start(&q.request, items, sizeof items[0], 4, read_one, read_done, items);
    group_rig_wait(&r, &q);
    assert_int_equal(items[2].it.at.error, KE_INVALID_GROUP_ID);
    rig_shut(&r);
}

static void read_nobody(struct request *q, void *user)
{
    const struct item *i = user;
    assert_int_equal(i->it.at.error, KE_NOT_COORDINATOR);
    CONTAINER_OF(q, struct question, request)->done++;
}

/* A request that names the same group again and again: what it gets is refused, not collected. */
static void an_answer_without_bounds_is_refused(void **state)
{
    UNUSED(state);
    enum { N = 1000 };
    struct rig r;
    struct question q;
    struct item items[N] = {0};
    group_rig_open(&r, 2, NULL);
    group_rig_topic(&r, 10, NULL, NULL);
    group_rig_commit(&r, &q, 0, "first", "k1", "5");
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    r.answer_max = 100;
    for (unsigned i = 0; i < N; i++) {
        items[i] = (struct item){.it.group_id = bytes_str("first"), .key = "k1"};
    }
    for (unsigned shard = 0; shard < 2; shard++) {
        group_rig_request(&r, &q, shard);
        group_read_start(&q.request, items, sizeof items[0], N, read_one, read_nobody, items);
        while (r.refused == shard) {
            rig_turn(&r);
        }
        group_rig_free(&q);
    }
    rig_shut(&r);
}

static void reading_without_a_topic(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    struct item item = {.it.group_id = bytes_str("first")};
    group_rig_open(&r, 1, NULL);
    group_rig_request(&r, &q, 0);
    group_read_start(&q.request, &item, sizeof item, 1, read_one, read_nobody, &item);
    assert_int_equal(q.done, 1);
    group_rig_free(&q);
    rig_shut(&r);
}

static void *count_entries(const struct group_coordinator *c, void *user, struct arena *a)
{
    int *n = ARENA_NEW(a, int);
    UNUSED(user);
    list_for_each (at, &c->entries) {
        ++*n;
    }
    return n;
}

struct census {
    int16_t code;
    uint32_t parts;
    int sum;
};

static void counted(struct request *q, void *user, int16_t code, struct group_all_part *parts,
                    uint32_t n)
{
    struct census *s = user;
    s->code = code;
    s->parts = n;
    s->sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(parts[i].partition, i); /* rising: all ten are here */
        s->sum += *(int *)parts[i].answer;
    }
    CONTAINER_OF(q, struct question, request)->done++;
}

static void every_coordinator(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    struct census s;
    group_rig_open(&r, 3, NULL);
    group_rig_request(&r, &q, 0);
    group_all_start(&q.request, count_entries, counted, &s);
    group_rig_wait(&r, &q);
    assert_int_equal(s.code, KE_NONE);
    assert_int_equal(s.parts, 0);
    group_rig_topic_unloaded(&r, 10, NULL, NULL);
    group_rig_request(&r, &q, 1);
    group_all_start(&q.request, count_entries, counted, &s);
    group_rig_wait(&r, &q);
    assert_int_equal(s.code, KE_COORDINATOR_LOAD_IN_PROGRESS);
    rig_run(&r, 100);
    for (unsigned i = 0; i < 7; i++) {
        char id[16];
        snprintf(id, sizeof id, "group%u", i);
        group_rig_commit(&r, &q, 0, id, id, "1");
        assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    }
    group_rig_request(&r, &q, 2);
    group_all_start(&q.request, count_entries, counted, &s);
    group_rig_wait(&r, &q);
    assert_int_equal(s.code, KE_NONE);
    assert_int_equal(s.parts, 10);
    assert_int_equal(s.sum, 7);
    rig_shut(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions),
        cmocka_unit_test(no_topic_and_no_leader),
        cmocka_unit_test(ten_coordinators_over_three_shards),
        cmocka_unit_test(a_home_that_is_behind),
        cmocka_unit_test(frames_are_given_back),
        cmocka_unit_test(addresses_as_java_prints_them),
        cmocka_unit_test(reading_across_shards),
        cmocka_unit_test(an_answer_without_bounds_is_refused),
        cmocka_unit_test(reading_without_a_topic),
        cmocka_unit_test(every_coordinator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
