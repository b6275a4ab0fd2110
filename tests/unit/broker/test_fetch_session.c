/* Fetch sessions: what a client may leave out, what an answer leaves out, epochs, and who has to go
 * when the slots are used up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/fetch_session.h"
#include "proto_errors.h"
#include "proto_messages.h"

static uint32_t next_random(void *ctx)
{
    uint32_t *n = ctx;
    *n = *n * 1664525u + 1013904223u;
    return *n;
}

static uint32_t seed;
static const struct siphash_key map_secret = {{7, 8}};

/* A request with partitions first .. first + n - 1 of topic t. */
struct call {
    struct arena arena;
    struct fetch_request q;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition parts[16];
    struct fetch_request_forgotten_topic gone;
    int32_t gone_parts[16];
    struct fetch_begin b;
};

static void call_init(struct call *c, int32_t id, int32_t epoch, int32_t first, int32_t n)
{
    memset(c, 0, sizeof *c);
    proto_msg_init(&fetch_request_msg, &c->q);
    c->q.session_id = id;
    c->q.session_epoch = epoch;
    c->topic.topic = bytes_str("t");
    c->topic.partitions = c->parts;
    c->topic.partitions_n = n;
    for (int32_t i = 0; i < n; i++) {
        c->parts[i].partition = first + i;
        c->parts[i].fetch_offset = 100 + first + i;
        c->parts[i].partition_max_bytes = 1000;
    }
    c->q.topics = &c->topic;
    c->q.topics_n = n > 0;
    c->b.req = &c->q;
    c->b.arena = &c->arena;
}

static void forget(struct call *c, int32_t partition)
{
    c->gone.topic = bytes_str("t");
    c->gone.partitions = c->gone_parts;
    c->gone_parts[c->gone.partitions_n++] = partition;
    c->q.forgotten_topics_data = &c->gone;
    c->q.forgotten_topics_data_n = 1;
}

/* Every partition was read: high watermark hw, so many bytes. */
static void read_all(struct call *c, int64_t hw, uint32_t bytes)
{
    for (uint32_t i = 0; i < c->b.n; i++) {
        c->b.parts[i].high_watermark = hw;
        c->b.parts[i].log_start = 0;
        c->b.parts[i].records = bytes;
    }
}

static int32_t open_session(struct fetch_sessions *fs, int32_t parts, int64_t now)
{
    struct call c;
    call_init(&c, 0, 0, 0, parts);
    c.b.now_ms = now;
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.error, KE_NONE);
    assert_int_equal(c.b.mode, FETCH_FULL);
    assert_int_equal(c.b.n, parts);
    read_all(&c, 5, 0);
    fetch_session_end(fs, &c.b);
    for (uint32_t i = 0; i < c.b.n; i++) {
        assert_true(c.b.parts[i].respond);
    }
    arena_free(&c.arena);
    return c.b.session_id;
}

static struct fetch_sessions *sessions_bounded(uint32_t slots, size_t bytes_max)
{
    seed = 7;
    return fetch_sessions_new(1, 3, slots, bytes_max, &map_secret, next_random, &seed);
}

static struct fetch_sessions *sessions(uint32_t slots)
{
    return sessions_bounded(slots, 1 << 20);
}

static void test_id_carries_the_shard(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(100);
    for (int i = 0; i < 50; i++) {
        int32_t id = open_session(fs, 1, 0);
        assert_true(id > 0);
        assert_int_equal(fetch_session_shard(id, 3), 1);
    }
    assert_int_equal(fetch_sessions_count(fs), 50);
    fetch_sessions_free(fs);
}

static void test_no_news_is_left_out(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(10);
    int32_t id = open_session(fs, 3, 0);
    struct call c;
    call_init(&c, id, 1, 0, 0);
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.mode, FETCH_INCREMENTAL);
    assert_int_equal(c.b.n, 3);
    assert_int_equal(c.b.parts[2].fetch_offset, 102);
    assert_true(bytes_eq_str(c.b.parts[2].topic, "t"));
    read_all(&c, 5, 0);
    c.b.parts[1].high_watermark = 6;
    fetch_session_end(fs, &c.b);
    assert_int_equal(c.b.session_id, id);
    assert_false(c.b.parts[0].respond);
    assert_true(c.b.parts[1].respond);
    assert_false(c.b.parts[2].respond);
    arena_free(&c.arena);
    /* An error is told, and the partition again when it is well. */
    call_init(&c, id, 2, 0, 0);
    fetch_session_begin(fs, &c.b);
    read_all(&c, 5, 0);
    c.b.parts[0].error = KE_NOT_LEADER_OR_FOLLOWER;
    c.b.parts[1].high_watermark = 6;
    fetch_session_end(fs, &c.b);
    assert_true(c.b.parts[0].respond);
    assert_false(c.b.parts[1].respond);
    arena_free(&c.arena);
    call_init(&c, id, 3, 0, 0);
    fetch_session_begin(fs, &c.b);
    read_all(&c, 5, 0);
    c.b.parts[1].high_watermark = 6;
    fetch_session_end(fs, &c.b);
    assert_true(c.b.parts[0].respond);
    assert_false(c.b.parts[1].respond);
    arena_free(&c.arena);
    fetch_sessions_free(fs);
}

static void test_partition_with_records_goes_to_the_end(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(10);
    int32_t id = open_session(fs, 3, 0);
    struct call c;
    call_init(&c, id, 1, 0, 0);
    fetch_session_begin(fs, &c.b);
    read_all(&c, 5, 0);
    c.b.parts[0].records = 10;
    fetch_session_end(fs, &c.b);
    arena_free(&c.arena);
    call_init(&c, id, 2, 0, 0);
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.parts[0].index, 1);
    assert_int_equal(c.b.parts[1].index, 2);
    assert_int_equal(c.b.parts[2].index, 0);
    arena_free(&c.arena);
    fetch_sessions_free(fs);
}

static void test_add_change_forget(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(10);
    int32_t id = open_session(fs, 2, 0);
    struct call c;
    call_init(&c, id, 1, 1, 2); /* partition 1 again, partition 2 new */
    c.parts[0].fetch_offset = 777;
    forget(&c, 0);
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.n, 2);
    assert_int_equal(c.b.parts[0].index, 1);
    assert_int_equal(c.b.parts[0].fetch_offset, 777);
    assert_int_equal(c.b.parts[1].index, 2);
    read_all(&c, 5, 0);
    fetch_session_end(fs, &c.b);
    assert_false(c.b.parts[0].respond);
    assert_true(c.b.parts[1].respond); /* new: never shown */
    arena_free(&c.arena);
    /* The last partitions go: the session does, too. */
    call_init(&c, id, 2, 0, 0);
    forget(&c, 1);
    forget(&c, 2);
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.mode, FETCH_SESSIONLESS);
    assert_int_equal(fetch_sessions_count(fs), 0);
    arena_free(&c.arena);
    fetch_sessions_free(fs);
}

static int16_t begin_error(struct fetch_sessions *fs, int32_t id, int32_t epoch, bool by_id)
{
    struct call c;
    call_init(&c, id, epoch, 0, 0);
    c.b.by_id = by_id;
    fetch_session_begin(fs, &c.b);
    arena_free(&c.arena);
    return c.b.error;
}

static void test_errors(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(10);
    int32_t id = open_session(fs, 1, 0);
    assert_int_equal(begin_error(fs, id, 2, false), KE_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(begin_error(fs, id + 3, 1, false), KE_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(begin_error(fs, id, 1, true), KE_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(begin_error(fs, id, 2, true), KE_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(begin_error(fs, id, 1, false), KE_NONE);
    assert_int_equal(begin_error(fs, id, 1, false), KE_INVALID_FETCH_SESSION_EPOCH);
    /* A full fetch that names it closes it. */
    assert_int_equal(begin_error(fs, id, -1, false), KE_NONE);
    assert_int_equal(begin_error(fs, id, 2, false), KE_FETCH_SESSION_ID_NOT_FOUND);
    fetch_sessions_free(fs);
}

/* Two requests of one epoch cannot both be answered as the next one. */
static void test_moved_on_meanwhile(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(10);
    int32_t id = open_session(fs, 1, 0);
    struct call slow;
    struct call fast;
    call_init(&slow, id, 1, 0, 0);
    fetch_session_begin(fs, &slow.b);
    call_init(&fast, id, 2, 0, 0);
    fetch_session_begin(fs, &fast.b);
    read_all(&fast, 5, 0);
    fetch_session_end(fs, &fast.b);
    assert_int_equal(fast.b.error, KE_NONE);
    read_all(&slow, 5, 0);
    fetch_session_end(fs, &slow.b);
    assert_int_equal(slow.b.error, KE_INVALID_FETCH_SESSION_EPOCH);
    arena_free(&slow.arena);
    arena_free(&fast.arena);
    fetch_sessions_free(fs);
}

static void test_slots(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(2);
    int32_t small = open_session(fs, 1, 0);
    int32_t large = open_session(fs, 5, 0);
    assert_true(small > 0 && large > 0);
    /* Both are young: no room, whatever the size. */
    assert_int_equal(open_session(fs, 9, FETCH_SESSION_IDLE_MS), 0);
    /* Keep both in use; when they are old, the smaller one makes room for a larger newcomer. */
    int64_t now = FETCH_SESSION_IDLE_MS + 1;
    for (int i = 0; i < 2; i++) {
        struct call c;
        call_init(&c, i ? large : small, 1, 0, 0);
        c.b.now_ms = now;
        fetch_session_begin(fs, &c.b);
        arena_free(&c.arena);
    }
    assert_int_equal(open_session(fs, 1, now), 0);
    assert_true(open_session(fs, 3, now) > 0);
    assert_int_equal(begin_error(fs, small, 2, false), KE_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(begin_error(fs, large, 2, false), KE_NONE);
    /* Unused for two minutes: goes for anybody. */
    assert_true(open_session(fs, 1, now + FETCH_SESSION_IDLE_MS + 1) > 0);
    assert_int_equal(fetch_sessions_count(fs), 2);
    fetch_sessions_free(fs);
}

/* Room for 10 partitions in all. */
static void test_memory(void **state)
{
    (void)state;
    struct fetch_sessions *measure = sessions(10);
    open_session(measure, 1, 0);
    size_t ten = fetch_sessions_bytes(measure) * 10;
    fetch_sessions_free(measure);
    struct fetch_sessions *fs = sessions_bounded(10, ten);
    int64_t now = 1000;
    int32_t idle = open_session(fs, 4, now);
    now += FETCH_SESSION_IDLE_MS;
    int32_t busy = open_session(fs, 6, now);
    assert_true(idle > 0 && busy > 0);
    assert_int_equal(open_session(fs, 1, now), 0); /* full, and none has been idle long enough */
    assert_true(open_session(fs, 1, now + 1) > 0); /* the idle one makes way */
    assert_int_equal(begin_error(fs, idle, 1, false), KE_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_sessions_bytes(fs), ten / 10 * 7);
    /* One that outgrows the memory ends. */
    struct call c;
    call_init(&c, busy, 1, 6, 4);
    c.b.now_ms = now + 2;
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.error, KE_FETCH_SESSION_ID_NOT_FOUND);
    arena_free(&c.arena);
    assert_int_equal(begin_error(fs, busy, 1, false), KE_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_sessions_bytes(fs), ten / 10);
    fetch_sessions_free(fs);
}

static void test_named_twice(void **state)
{
    (void)state;
    struct fetch_sessions *fs = sessions(2);
    struct call c;
    call_init(&c, 0, -1, 0, 2);
    c.parts[1].partition = 0;
    c.parts[1].fetch_offset = 9;
    fetch_session_begin(fs, &c.b);
    assert_int_equal(c.b.n, 1);
    assert_int_equal(c.b.parts[0].fetch_offset, 9);
    arena_free(&c.arena);
    fetch_sessions_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_carries_the_shard),
        cmocka_unit_test(test_no_news_is_left_out),
        cmocka_unit_test(test_partition_with_records_goes_to_the_end),
        cmocka_unit_test(test_add_change_forget),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_moved_on_meanwhile),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_named_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
