/* Appending from other shards: offsets and order, acknowledgement, flush before acknowledge, what a
 * refusal says, timeouts, a leader that goes, disks that are full or broken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_rig.h"

/* One append of one batch, as a connection's shard makes it. */
struct ask {
    struct append_msg m;
    struct append_item it;
    struct buf batch;
    unsigned done;
    int64_t done_ms;
};

static void done(struct node_shard *ns, struct append_msg *m)
{
    struct ask *a = m->user;
    assert_int_equal(ns->index, m->maker);
    assert_true(shard_is_current(ns->shard));
    a->done++;
    a->done_ms = shard_now_ms(ns->shard);
}

static void ask(struct rig *r, struct ask *a, unsigned maker, uint8_t topic, int32_t partition,
                int n, int16_t acks, int32_t timeout_ms)
{
    memset(a, 0, sizeof *a);
    rig_batch(&a->batch, 0, n, NULL);
    a->it.topic_id = rig_topic_id(topic);
    a->it.index = partition;
    a->it.batch.data = a->batch.data;
    a->it.batch.len = (uint32_t)a->batch.len;
    a->m.items = &a->it;
    a->m.n = 1;
    a->m.acks = acks;
    a->m.origin = PLOG_CLIENT;
    a->m.timeout_ms = timeout_ms;
    a->m.done = done;
    a->m.user = a;
    append_send(&r->ns[maker], node_home_shard(&r->node, a->it.topic_id, partition), &a->m);
}

/* Until it is answered; ends with its code. */
static int16_t answer(struct rig *r, struct ask *a)
{
    int64_t end = rig_now(r) + 60000;
    while (a->done == 0) {
        rig_turn(r);
        assert_true(rig_now(r) < end);
    }
    assert_int_equal(a->done, 1);
    buf_free(&a->batch);
    return a->it.error;
}

static void offsets_and_order(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a[12];
    rig_open(&r, 3, NULL);
    rig_topic(&r, 1, 3, NULL, NULL);
    for (unsigned i = 0; i < 12; i++) { /* every maker to every partition, four rounds */
        ask(&r, &a[i], i % 3, 1, (int32_t)(i / 4), 5, (int16_t)((int)(i % 3) - 1), 1000);
    }
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(answer(&r, &a[i]), KE_NONE);
        assert_int_equal(a[i].it.log_start, 0);
    }
    for (int32_t p = 0; p < 3; p++) {
        bool seen[20] = {false};
        for (int i = 0; i < 4; i++) {
            int64_t base = a[p * 4 + i].it.batch.base_offset;
            assert_true(base % 5 == 0 && base < 20 && !seen[base]);
            seen[base] = true;
            assert_int_equal(a[p * 4 + i].it.batch.last_offset, base + 4);
        }
        assert_int_equal(plog_high_watermark(rig_partition(&r, 1, p)->log), 20);
        /* 0 and 3 of the four come from one shard: in order */
        assert_true(a[p * 4].it.batch.base_offset < a[p * 4 + 3].it.batch.base_offset);
    }
    rig_shut(&r);
}

static void unknown_and_foreign_partitions(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    rig_open(&r, 2, NULL);
    rig_topic(&r, 1, 1, NULL, NULL);
    ask(&r, &a, 0, 1, 7, 1, 1, 1000);
    assert_int_equal(answer(&r, &a), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(a.it.batch.base_offset, -1);
    assert_int_equal(a.it.log_start, -1);
    rig_leader(&r, 1, 0, -1);
    ask(&r, &a, 0, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(a.it.leader, -1);
    rig_leader(&r, 1, 0, RIG_NODE);
    ask(&r, &a, 1, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NONE);
    assert_int_equal(rig_partition(&r, 1, 0)->leader_epoch, 2);
    rig_shut(&r);
}

static void set_replicas(struct rig *r, int32_t *replicas, int32_t *isr, int32_t isr_n)
{
    struct partition_change_record c;
    struct uuid dirs[2] = {uuid_reserved(0), uuid_reserved(0)};
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(1);
    c.partition_id = 0;
    c.replicas = replicas;
    c.replicas_n = 2;
    c.directories = dirs;
    c.directories_n = 2;
    c.isr = isr;
    c.isr_n = isr_n;
    rig_record(r, &partition_change_record_msg, 1, &c);
    rig_publish(r);
}

static void too_few_in_sync(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    static int32_t both[] = {RIG_NODE, RIG_NODE + 1};
    rig_open(&r, 1, NULL);
    rig_topic(&r, 1, 1, "min.insync.replicas", "2");
    ask(&r, &a, 0, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NONE); /* more than there are replicas cannot be meant */
    set_replicas(&r, both, both, 1);
    ask(&r, &a, 0, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NOT_ENOUGH_REPLICAS);
    ask(&r, &a, 0, 1, 0, 1, 1, 1000);
    assert_int_equal(answer(&r, &a), KE_NONE);
    rig_shut(&r);
}

/* A topic that waits for flushes, on a disk that is slow from now on. Its names are flushed
 * already: the simulator's worker stops the clock for them. */
static void slow_topic(struct rig *r, uint32_t fsync_us)
{
    struct ask a;
    rig_topic(r, 1, 1, "flush.messages", "1");
    ask(r, &a, 0, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(r, &a), KE_NONE);
    r->host->disk->faults.fsync_us_min = r->host->disk->faults.fsync_us_max = fsync_us;
}

/* With flush.messages=1 an acknowledgement means that the bytes are on the disk. */
static void flushed_before_acknowledged(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a[3];
    rig_open(&r, 2, NULL);
    slow_topic(&r, 20000);
    struct partition *p = rig_partition(&r, 1, 0);
    for (int i = 0; i < 3; i++) { /* one of them with acks=1: in Kafka the append itself flushes */
        ask(&r, &a[i], (unsigned)i % 2, 1, 0, 2, i == 1 ? 1 : -1, 5000);
    }
    rig_run(&r, 5);
    assert_int_equal(plog_end_offset(p->log), 7);
    assert_int_equal(plog_high_watermark(p->log), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a[i].done, 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answer(&r, &a[i]), KE_NONE);
        assert_true(plog_flushed_offset(p->log) > a[i].it.batch.last_offset);
    }
    assert_int_equal(plog_high_watermark(p->log), 7);
    rig_shut(&r);
}

static void a_sole_replica_takes_its_time(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a[2];
    rig_open(&r, 2, NULL);
    slow_topic(&r, 50000);
    ask(&r, &a[0], 1, 1, 0, 1, -1, 10);
    ask(&r, &a[1], 1, 1, 0, 1, -1, -1);
    assert_int_equal(answer(&r, &a[0]), KE_NONE);
    assert_int_equal(answer(&r, &a[1]), KE_NONE);
    rig_shut(&r);
}

static void times_out_and_stays_in_the_log(void **state)
{
    UNUSED(state);
    static int32_t both[] = {RIG_NODE, RIG_NODE + 1};
    struct rig r;
    struct ask a;
    rig_open(&r, 2, NULL);
    slow_topic(&r, 500000);
    set_replicas(&r, both, both, 2);
    int64_t began = rig_now(&r);
    ask(&r, &a, 1, 1, 0, 1, -1, 100);
    assert_int_equal(answer(&r, &a), KE_REQUEST_TIMED_OUT);
    assert_in_range(a.done_ms - began, 100, 110);
    struct partition *p = rig_partition(&r, 1, 0);
    assert_int_equal(plog_end_offset(p->log), 2);
    assert_int_equal(plog_high_watermark(p->log), 1);
    assert_true(rig_follower(&r, 1, 0, RIG_NODE + 1, -1, -1));
    assert_int_equal(plog_high_watermark(p->log), 1); /* ours is not flushed */
    rig_run(&r, 1000);
    assert_int_equal(plog_high_watermark(p->log), 2);
    rig_shut(&r);
}

static void a_leader_that_goes_answers_who_waits(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a[2];
    rig_open(&r, 2, NULL);
    slow_topic(&r, 500000);
    for (int i = 0; i < 2; i++) {
        ask(&r, &a[i], 1, 1, 0, 1, i == 0 ? 1 : -1, 5000);
    }
    rig_run(&r, 5);
    assert_int_equal(a[0].done + a[1].done, 0);
    rig_leader(&r, 1, 0, -1);
    assert_int_equal(answer(&r, &a[0]), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(answer(&r, &a[1]), KE_NOT_LEADER_OR_FOLLOWER);
    rig_shut(&r);
}

static void a_full_disk_refuses_and_recovers(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    rig_open(&r, 1, NULL);
    rig_topic(&r, 1, 1, NULL, NULL);
    ask(&r, &a, 0, 1, 0, 3, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NONE);
    uint64_t space = r.host->disk->capacity;
    r.host->disk->capacity = r.host->disk->used;
    int64_t refused = -1;
    for (int i = 0; i < 200 && refused < 0; i++) { /* the last page may still take some */
        ask(&r, &a, 0, 1, 0, 50, -1, 1000);
        if (answer(&r, &a) == KE_KAFKA_STORAGE_ERROR) {
            refused = plog_end_offset(rig_partition(&r, 1, 0)->log);
            assert_int_equal(a.it.batch.base_offset, -1);
        }
    }
    assert_true(refused >= 3);
    assert_false(rig_partition(&r, 1, 0)->offline);
    r.host->disk->capacity = space;
    rig_run(&r, 5000);
    ask(&r, &a, 0, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NONE);
    assert_int_equal(a.it.batch.base_offset, refused);
    assert_int_equal(r.dirs_failed, 0);
    rig_shut(&r);
}

static void a_failed_flush_takes_the_directory_offline(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a, b;
    rig_open(&r, 2, NULL);
    rig_topic(&r, 1, 2, "flush.messages", "1");
    ask(&r, &a, 0, 1, 0, 1, -1, 1000);
    assert_int_equal(answer(&r, &a), KE_NONE);
    r.host->disk->faults.fsync_eio_in = 1;
    ask(&r, &a, 0, 1, 0, 1, -1, 30000);
    assert_int_equal(answer(&r, &a), KE_KAFKA_STORAGE_ERROR);
    assert_true(r.node.disk_failed); /* at once: no note of this run is written from now on */
    rig_run(&r, 10);
    assert_int_equal(r.dirs_failed, 1);
    for (int32_t p = 0; p < 2; p++) { /* on both shards */
        assert_true(rig_partition(&r, 1, p)->offline);
        ask(&r, &b, 0, 1, p, 1, 1, 1000);
        assert_int_equal(answer(&r, &b), KE_KAFKA_STORAGE_ERROR);
    }
    rig_shut(&r);
}

/* acks=-1 that wait when the partition is deleted, while its flush is out. */
static void a_deleted_partition_answers_who_waits(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    rig_open(&r, 2, NULL);
    slow_topic(&r, 500000);
    ask(&r, &a, 1, 1, 0, 1, -1, 5000);
    rig_run(&r, 5);
    assert_int_equal(a.done, 0);
    struct remove_topic_record t;
    proto_msg_init(&remove_topic_record_msg, &t);
    t.topic_id = rig_topic_id(1);
    rig_record(&r, &remove_topic_record_msg, 0, &t);
    rig_publish(&r);
    assert_int_equal(answer(&r, &a), KE_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(rig_partition(&r, 1, 0));
    rig_run(&r, 1000);
    rig_shut(&r);
}

/* A batch is queued for the end of the turn; the disk fails when it is written all the same. */
static void freed_before_the_turn_has_ended(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    rig_open(&r, 1, NULL);
    rig_topic(&r, 1, 1, NULL, NULL);
    ask(&r, &a, 0, 1, 0, 1, 1, 1000);
    assert_int_equal(a.done, 0);
    r.host->disk->faults.write_eio_in = 1;
    rig_drop(&r);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.it.error, KE_KAFKA_STORAGE_ERROR);
    buf_free(&a.batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_and_order),
        cmocka_unit_test(unknown_and_foreign_partitions),
        cmocka_unit_test(too_few_in_sync),
        cmocka_unit_test(flushed_before_acknowledged),
        cmocka_unit_test(a_sole_replica_takes_its_time),
        cmocka_unit_test(times_out_and_stays_in_the_log),
        cmocka_unit_test(a_leader_that_goes_answers_who_waits),
        cmocka_unit_test(a_full_disk_refuses_and_recovers),
        cmocka_unit_test(a_failed_flush_takes_the_directory_offline),
        cmocka_unit_test(a_deleted_partition_answers_who_waits),
        cmocka_unit_test(freed_before_the_turn_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
