/* What carries the group coordinators: writes become batches and come back in order, loading,
 * leadership that goes and returns, disks that are full or broken, time. The coordinator is the
 * test's (fake_core.h), the logs are real ones on the simulator's disk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_rig.h"
#include "fake_core.h"
#include "group_rig.h"

static struct partition *part(struct rig *r, int32_t index)
{
    return rig_partition(r, GROUP_RIG_TOPIC, index);
}

static const char *value(struct rig *r, const char *key)
{
    struct group_coord *c = part(r, 0)->group;
    const struct fake_entry *e = c && c->core ? fake_find(c->core, key) : NULL;
    return e ? e->text : "none";
}

/* The batches of the log; at most `max` headers. */
static unsigned batches(struct rig *r, struct batch_header *h, unsigned max)
{
    struct buf all = {0};
    struct bytes batch;
    struct partition *p = part(r, 0);
    unsigned n = 0;
    assert_true(plog_read_copy(p->log, 0, 1 << 24, true, plog_end_offset(p->log), &all) >= 0);
    struct bytes rest = buf_bytes(&all);
    while (batch_next(&rest, &batch) == 1) {
        assert_true(n < max);
        assert_int_equal(batch_header_read(batch, &h[n++]), 0);
        assert_true(batch_crc_check(batch));
    }
    buf_free(&all);
    return n;
}

static void put(struct rig *r, const char *key, const char *text)
{
    struct question q;
    group_rig_commit(r, &q, 0, "g", key, text);
    assert_int_equal(group_rig_answer(r, &q), KE_NONE);
    assert_int_equal(q.answer.code, KE_NONE);
}

static void lead(struct rig *r, bool yes)
{
    rig_leader(r, GROUP_RIG_TOPIC, 0, yes ? RIG_NODE : 2);
}

/* ---- writes ---- */

static void one_turn_is_one_batch(void **state)
{
    UNUSED(state);
    struct rig r;
    static struct question q[20];
    struct batch_header h[4];
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(q); i++) {
        struct fake_commit c = {.key = "k", .text = "v", .n = i % 3 + 1};
        group_rig_ask(&r, &q[i], 0, GROUP_OFFSET_COMMIT, "g", &c);
    }
    int64_t at = 0;
    for (unsigned i = 0; i < ARRAY_LEN(q); i++) {
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE);
        assert_int_equal(q[i].answer.code, KE_NONE);
        assert_int_equal(q[i].answer.offset, at);
        at += i % 3 + 1;
    }
    assert_int_equal(batches(&r, h, 4), 1);
    assert_int_equal(h[0].record_count, at);
    assert_int_equal(h[0].producer_id, -1);
    assert_true(h[0].base_timestamp > 0);
    put(&r, "k", "w");
    assert_int_equal(batches(&r, h, 4), 2);
    assert_string_equal(value(&r, "k"), "w");
    rig_shut(&r);
}

static void large_writes_are_split(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q[6];
    struct batch_header h[8];
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, "max.message.bytes", "2500");
    for (unsigned i = 0; i < ARRAY_LEN(q); i++) {
        struct fake_commit c = {.key = "k", .text = "v", .n = 2, .size = i == 3 ? 1500 : 500};
        group_rig_ask(&r, &q[i], 0, GROUP_OFFSET_COMMIT, "g", &c);
    }
    for (unsigned i = 0; i < ARRAY_LEN(q); i++) { /* and the core has asserted the order */
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE);
        assert_int_equal(q[i].answer.code, i == 3 ? KE_MESSAGE_TOO_LARGE : KE_NONE);
    }
    assert_int_equal(batches(&r, h, 8), 3);
    assert_int_equal(h[0].record_count, 4);
    assert_int_equal(h[1].record_count, 2);
    assert_int_equal(h[2].record_count, 4);
    rig_shut(&r);
}

static void the_codec_of_the_settings(void **state)
{
    UNUSED(state);
    struct rig r;
    struct batch_header h[2];
    static const char *const overrides[] = {"offsets.topic.compression.codec=2", NULL};
    group_rig_open(&r, 1, overrides);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "k", "v");
    assert_int_equal(batches(&r, h, 2), 1);
    assert_int_equal(batch_codec(&h[0]), CODEC_SNAPPY);
    lead(&r, false);
    lead(&r, true);
    group_rig_load(&r, 2);
    assert_string_equal(value(&r, "k"), "v");
    rig_shut(&r);
}

static void a_full_disk_refuses_until_there_is_space(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q[2];
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "k", "1");
    uint64_t space = r.host->disk->capacity;
    r.host->disk->capacity = r.host->disk->used;
    for (unsigned i = 0; i < 2; i++) {
        struct fake_commit c = {.key = "k", .text = "2", .n = 1, .size = 9000};
        group_rig_ask(&r, &q[i], 0, GROUP_OFFSET_COMMIT, "g", &c);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE);
        assert_int_equal(q[i].answer.code, KE_KAFKA_STORAGE_ERROR);
    }
    assert_string_equal(value(&r, "k"), "1");
    r.host->disk->capacity = space;
    rig_run(&r, 2000);
    put(&r, "k", "3");
    assert_int_equal(told.made, 1);
    assert_int_equal(r.dirs_failed, 0);
    rig_shut(&r);
}

static void a_broken_disk_ends_the_coordinator(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q[2];
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    r.host->disk->faults.dead = true;
    group_rig_ask(&r, &q[0], 0, GROUP_JOIN, "g", NULL);
    group_rig_commit(&r, &q[1], 0, "g", "k", "1");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE);
    }
    assert_int_equal(q[0].answer.code, KE_NOT_COORDINATOR);
    assert_int_equal(q[1].answer.code, KE_KAFKA_STORAGE_ERROR);
    assert_int_equal(told.unloads, 1);
    group_rig_ask(&r, &q[0], 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q[0]), KE_NOT_COORDINATOR);
    r.host->disk->faults.dead = false;
    rig_shut(&r);
}

/* ---- loading ---- */

static void commits_survive_a_restart(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    char text[16];
    group_rig_open(&r, 2, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "%d", i);
        put(&r, i % 2 ? "odd" : "even", text);
    }
    group_rig_restart(&r);
    rig_topic(&r, 1, 1, NULL, NULL);
    group_rig_topic_unloaded(&r, 1, NULL, NULL);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_COORDINATOR_LOAD_IN_PROGRESS);
    group_rig_load(&r, 1);
    assert_int_equal(told.replayed, 30);
    assert_string_equal(value(&r, "odd"), "29");
    assert_string_equal(value(&r, "even"), "28");
    put(&r, "odd", "31");
    rig_shut(&r);
}

/* More than one slice, in batches that are read in pieces. */
static void a_long_log(void **state)
{
    UNUSED(state);
    struct rig r;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    for (int i = 0; i < 40; i++) {
        struct question q;
        struct fake_commit c = {.key = "k", .text = "v", .n = 300, .size = 40};
        group_rig_ask(&r, &q, 0, GROUP_OFFSET_COMMIT, "g", &c);
        assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    }
    lead(&r, false);
    lead(&r, true);
    unsigned slices = 0;
    for (unsigned before = 0; told.loaded < 2; before = told.replayed) {
        rig_turn(&r);
        assert_true(told.replayed - before <= 2000);
        slices += told.replayed > before;
    }
    assert_int_equal(told.replayed, 12000);
    assert_true(slices >= 6);
    rig_shut(&r);
}

static void append_raw(struct rig *r, struct buf *batch)
{
    struct plog_batch b = {.data = batch->data, .len = (uint32_t)batch->len};
    struct plog_append_args args = {.origin = PLOG_COORDINATOR};
    struct partition *p = part(r, 0);
    assert_int_equal(plog_append(p->log, &b, 1, &args), 1);
    partition_advance(p);
    buf_free(batch);
}

static void transactions_and_strangers(void **state)
{
    UNUSED(state);
    struct rig r;
    struct buf b = {0};
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "k", "v");
    opt.producer_id = 77;
    opt.producer_epoch = 1;
    batch_put_marker(&b, &opt, 1700000000000, true, 3);
    append_raw(&r, &b);
    batch_put_marker(&b, &opt, 1700000000000, false, 3);
    append_raw(&r, &b);
    lead(&r, false);
    lead(&r, true);
    group_rig_load(&r, 2);
    assert_int_equal(told.commits, 1);
    assert_int_equal(told.aborts, 1);
    assert_int_equal(told.replayed, 1);
    rig_shut(&r);
}

static void a_log_that_cannot_be_read_is_tried_again(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    struct buf b = {0};
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "k", "v");
    rig_batch(&b, 0, 3, NULL);
    b.data[b.len - 1] ^= 1; /* the checksum is wrong now */
    append_raw(&r, &b);
    lead(&r, false);
    lead(&r, true);
    rig_run(&r, 20000);
    assert_int_equal(told.loaded, 1);
    assert_true(told.made >= 5);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NOT_COORDINATOR);
    assert_int_equal(plog_truncate_to(part(&r, 0)->log, 1), 0); /* somebody mends it */
    group_rig_load(&r, 2);
    assert_string_equal(value(&r, "k"), "v");
    rig_shut(&r);
    assert_int_equal(told.freed, told.made);
}

static void a_disk_that_fails_while_loading(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "k", "v");
    lead(&r, false);
    lead(&r, true);
    r.host->disk->faults.read_eio_in = 1;
    rig_run(&r, 10000);
    assert_int_equal(told.loaded, 1);
    assert_int_equal(r.dirs_failed, 1);
    assert_int_equal(told.freed, told.made);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NOT_COORDINATOR);
    rig_shut(&r);
}

/* What is not below the high watermark may yet be lost: it is not served. */
static void loading_waits_for_the_high_watermark(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, "flush.messages", "1");
    put(&r, "k", "1");
    r.host->disk->faults.fsync_us_min = r.host->disk->faults.fsync_us_max = 300000;
    group_rig_commit(&r, &q, 0, "g", "k", "2");
    rig_run(&r, 10);
    assert_int_equal(q.done, 0);
    lead(&r, false);
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    assert_int_equal(q.answer.code, KE_NOT_LEADER_OR_FOLLOWER);
    lead(&r, true);
    rig_run(&r, 100);
    assert_int_equal(told.replayed, 2);
    assert_int_equal(told.loaded, 1);
    group_rig_load(&r, 2);
    assert_true(plog_high_watermark(part(&r, 0)->log) >= 2);
    assert_string_equal(value(&r, "k"), "2");
    rig_shut(&r);
}

/* ---- leadership ---- */

static void who_waits_is_answered_when_leadership_goes(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q[3];
    group_rig_open(&r, 2, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "k", "v");
    group_rig_ask(&r, &q[0], 0, GROUP_JOIN, "g", NULL);
    group_rig_ask(&r, &q[1], 1, GROUP_JOIN, "g", NULL);
    rig_run(&r, 10);
    lead(&r, false);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(group_rig_answer(&r, &q[i]), KE_NONE);
        assert_int_equal(q[i].answer.code, KE_NOT_COORDINATOR);
    }
    assert_int_equal(told.freed, 1);
    group_rig_ask(&r, &q[2], 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q[2]), KE_NOT_COORDINATOR);
    lead(&r, true);
    group_rig_load(&r, 2);
    assert_string_equal(value(&r, "k"), "v");
    rig_shut(&r);
}

/* Asked in the very turn in which leadership goes: its write never goes out. */
static void a_write_that_has_not_gone_out(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    group_rig_commit(&r, &q, 0, "g", "k", "1");
    lead(&r, false);
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    assert_int_equal(q.answer.code, KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(plog_end_offset(part(&r, 0)->log), 0);
    rig_shut(&r);
}

static void a_new_epoch_changes_nothing(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    group_rig_ask(&r, &q, 0, GROUP_JOIN, "g", NULL);
    int32_t before = part(&r, 0)->leader_epoch;
    rig_leader(&r, GROUP_RIG_TOPIC, 0, RIG_NODE);
    assert_true(part(&r, 0)->leader_epoch > before);
    rig_run(&r, 100);
    assert_int_equal(told.made, 1);
    assert_int_equal(q.done, 0);
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    rig_shut(&r);
}

static void a_node_that_stops_answers(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q[2];
    group_rig_open(&r, 1, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    group_rig_ask(&r, &q[0], 0, GROUP_JOIN, "g", NULL);
    group_host_stop(r.ns[0].groups);
    group_rig_ask(&r, &q[1], 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q[1]), KE_COORDINATOR_NOT_AVAILABLE);
    rig_shut(&r);
    assert_int_equal(q[0].done, 1);
    assert_int_equal(q[0].answer.code, KE_NOT_COORDINATOR);
    group_rig_free(&q[0]);
}

/* A write that is not acknowledged in time may be committed or not: the log is asked. */
static void a_write_that_times_out(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    struct partition_change_record c;
    int32_t both[] = {RIG_NODE, 2};
    struct uuid dirs[2] = {uuid_reserved(0), uuid_reserved(0)};
    static const char *const overrides[] = {"offsets.commit.timeout.ms=200", NULL};
    group_rig_open(&r, 1, overrides);
    group_rig_topic(&r, 1, "flush.messages", "1");
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(GROUP_RIG_TOPIC);
    c.partition_id = 0;
    c.replicas = c.isr = both;
    c.replicas_n = c.isr_n = 2;
    c.directories = dirs;
    c.directories_n = 2;
    rig_record(&r, &partition_change_record_msg, 1, &c);
    rig_publish(&r);
    r.host->disk->faults.fsync_us_min = r.host->disk->faults.fsync_us_max = 1000000;
    group_rig_commit(&r, &q, 0, "g", "k", "1");
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    assert_int_equal(q.answer.code, KE_REQUEST_TIMED_OUT);
    assert_string_equal(value(&r, "k"), "none");
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_COORDINATOR_LOAD_IN_PROGRESS);
    assert_true(rig_follower(&r, GROUP_RIG_TOPIC, 0, 2, -1, -1));
    group_rig_load(&r, 2);
    assert_string_equal(value(&r, "k"), "1");
    rig_shut(&r);
}

/* ---- topics and time ---- */

static void topics_that_go(void **state)
{
    UNUSED(state);
    struct rig r;
    group_rig_open(&r, 1, NULL);
    rig_topic(&r, 2, 1, NULL, NULL);
    group_rig_topic(&r, 1, NULL, NULL);
    rig_remove_topic(&r, 1);
    assert_string_equal(told.gone, "topic1");
    lead(&r, false);
    lead(&r, true);
    rig_remove_topic(&r, 2);
    assert_string_equal(told.gone, "topic1");
    group_rig_load(&r, 2);
    assert_string_equal(told.gone, "topic2"); /* it was loading then */
    rig_shut(&r);
}

static void their_own_topic_goes(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    group_rig_open(&r, 2, NULL);
    group_rig_topic(&r, 3, NULL, NULL);
    group_rig_ask(&r, &q, 0, GROUP_JOIN, "g", NULL);
    rig_run(&r, 10);
    rig_remove_topic(&r, GROUP_RIG_TOPIC);
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    assert_int_equal(q.answer.code, KE_NOT_COORDINATOR);
    assert_int_equal(told.freed, 3);
    group_rig_ask(&r, &q, 0, GROUP_HEARTBEAT, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NOT_COORDINATOR);
    rig_shut(&r);
}

static void ticks_and_expiry(void **state)
{
    UNUSED(state);
    struct rig r;
    struct question q;
    static const char *const overrides[] = {"offsets.retention.check.interval.ms=10000", NULL};
    group_rig_open(&r, 1, overrides);
    group_rig_topic(&r, 5, NULL, NULL);
    int64_t asked = rig_now(&r);
    group_rig_ask(&r, &q, 0, GROUP_JOIN, "g", NULL);
    assert_int_equal(group_rig_answer(&r, &q), KE_NONE);
    assert_in_range(rig_now(&r) - asked, 3000, 3010);
    assert_int_equal(told.ticks, 1);
    assert_int_equal(told.expired, 0);
    rig_run(&r, 31000);
    assert_int_equal(told.expired, 15);
    rig_shut(&r);
}

static void memory_is_shared_by_who_needs_it(void **state)
{
    UNUSED(state);
    struct rig r;
    static const char *const overrides[] = {"group.coordinator.memory.bytes=2000", NULL};
    group_rig_open(&r, 2, overrides);
    group_rig_topic(&r, 1, NULL, NULL);
    put(&r, "a", "1");
    assert_int_equal(told.memory_max_least, 1000);
    struct group_host *h = part(&r, 0)->group->host;
    assert_int_equal(h->bytes, 100);
    put(&r, "b", "1");
    assert_int_equal(h->bytes, 200);
    lead(&r, false);
    assert_int_equal(h->bytes, 0);
    rig_shut(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_turn_is_one_batch),
        cmocka_unit_test(large_writes_are_split),
        cmocka_unit_test(the_codec_of_the_settings),
        cmocka_unit_test(a_full_disk_refuses_until_there_is_space),
        cmocka_unit_test(a_broken_disk_ends_the_coordinator),
        cmocka_unit_test(commits_survive_a_restart),
        cmocka_unit_test(a_long_log),
        cmocka_unit_test(transactions_and_strangers),
        cmocka_unit_test(a_log_that_cannot_be_read_is_tried_again),
        cmocka_unit_test(a_disk_that_fails_while_loading),
        cmocka_unit_test(loading_waits_for_the_high_watermark),
        cmocka_unit_test(who_waits_is_answered_when_leadership_goes),
        cmocka_unit_test(a_write_that_has_not_gone_out),
        cmocka_unit_test(a_new_epoch_changes_nothing),
        cmocka_unit_test(a_node_that_stops_answers),
        cmocka_unit_test(a_write_that_times_out),
        cmocka_unit_test(topics_that_go),
        cmocka_unit_test(their_own_topic_goes),
        cmocka_unit_test(ticks_and_expiry),
        cmocka_unit_test(memory_is_shared_by_who_needs_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
