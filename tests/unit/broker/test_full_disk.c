/* A full disk under a broker's logs, beyond refused appends (test_append.c): logs that cannot be
 * made, flushes that cannot be begun, and what the broker knows of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/disk_room.h"
#include "data_rig.h"

struct ask {
    struct append_msg m;
    struct append_item it;
    struct buf batch;
    unsigned done;
};

static void done(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    ((struct ask *)m->user)->done++;
}

/* n records to a partition of topic 1, from shard 0, with acks=-1. */
static void ask(struct rig *r, struct ask *a, int32_t partition, int n)
{
    memset(a, 0, sizeof *a);
    rig_batch(&a->batch, 0, n, NULL);
    a->it.topic_id = rig_topic_id(1);
    a->it.index = partition;
    a->it.batch.data = a->batch.data;
    a->it.batch.len = (uint32_t)a->batch.len;
    a->m = (struct append_msg){
        .items = &a->it, .n = 1, .acks = -1, .origin = PLOG_CLIENT, .timeout_ms = 1000};
    a->m.done = done;
    a->m.user = a;
    append_send(&r->ns[0], node_home_shard(&r->node, a->it.topic_id, partition), &a->m);
}

static int16_t answer(struct rig *r, struct ask *a)
{
    int64_t end = rig_now(r) + 60000;
    while (a->done == 0) {
        rig_turn(r);
        assert_true(rig_now(r) < end);
    }
    buf_free(&a->batch);
    return a->it.error;
}

static void a_log_without_room_is_made_later(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    rig_open(&r, 2, NULL);
    uint64_t space = r.host->disk->capacity;
    r.host->disk->capacity = r.host->disk->used;
    rig_topic(&r, 1, 2, NULL, NULL);
    for (int32_t p = 0; p < 2; p++) {
        assert_true(rig_partition(&r, 1, p)->offline);
        ask(&r, &a, p, 1);
        assert_int_equal(answer(&r, &a), KE_KAFKA_STORAGE_ERROR);
    }
    rig_run(&r, 3000);
    assert_true(rig_partition(&r, 1, 0)->offline);
    r.host->disk->capacity = space;
    rig_run(&r, 2000);
    for (int32_t p = 0; p < 2; p++) {
        ask(&r, &a, p, 3);
        assert_int_equal(answer(&r, &a), KE_NONE);
        assert_int_equal(a.it.batch.base_offset, 0);
    }
    assert_int_equal(r.dirs_failed, 0);
    rig_shut(&r);
}

static int no_room(struct io *io, const char *path,
                   void (*each)(void *ctx, const struct io_dirent *e), void *ctx)
{
    UNUSED(io);
    UNUSED(path);
    UNUSED(each);
    UNUSED(ctx);
    return ERR_NOSPACE;
}

/* The process before was killed; what this log has is not known before it is open. */
static void a_log_that_stays_closed_takes_the_note_away(void **state)
{
    UNUSED(state);
    struct rig r;
    struct last_run now;
    struct errmsg em = {{0}};
    rig_open(&r, 1, NULL);
    struct io *io = r.ns[0].shard->io;
    const struct io_ops *real = io->ops;
    struct io_ops failing = *real;
    failing.list_dir = no_room;
    assert_int_equal(io_mkdir(io, "/data/topic1-0"), 0);
    assert_int_equal(log_dir_note_run(r.dirs[0], 5, uuid_reserved(77)), 0);
    log_dir_close(r.dirs[0], false, -1);
    assert_int_equal(log_dir_open(io, NULL, 0, "/data", false, &r.dirs[0], &em), 0);
    assert_true(r.dirs[0]->kept);
    io->ops = &failing;
    rig_topic(&r, 1, 1, NULL, NULL);
    assert_true(rig_partition(&r, 1, 0)->offline);
    assert_int_equal(last_run_read(io, "/data", &now), 0);
    assert_int_equal(log_dir_note_run(r.dirs[0], 5, uuid_reserved(78)), 0); /* this run's own */
    rig_run(&r, 3000);
    assert_true(rig_partition(&r, 1, 0)->offline);
    io->ops = real;
    rig_run(&r, 2000);
    assert_false(rig_partition(&r, 1, 0)->offline);
    assert_int_equal(last_run_read(io, "/data", &now), 0);
    assert_int_equal(r.dirs_failed, 0);
    rig_shut(&r);
}

/* The full flush that follows a roll writes the epochs to a new file. */
static void a_flush_without_room_does_not_hold_up_the_stop(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a[3];
    static const char *const overrides[] = {"log.segment.bytes=1048576",
                                            "log.flush.interval.messages=1", NULL};
    rig_open(&r, 1, overrides);
    rig_topic(&r, 1, 1, "segment.bytes", "1048576");
    struct partition *p = rig_partition(&r, 1, 0);
    ask(&r, &a[0], 0, 1);
    assert_int_equal(answer(&r, &a[0]), KE_NONE);
    assert_int_equal(plog_begin_epoch(p->log, 7), 0);
    assert_int_equal(plog_roll(p->log), 0);
    p->leader_epoch = 7;
    ask(&r, &a[1], 0, 1);
    rig_turn(&r);
    r.host->disk->capacity = r.host->disk->used;
    rig_run(&r, 500);
    assert_int_equal(a[1].done, 0);
    assert_true(p->flushing && !log_store_busy(&p->pm->store));
    rig_shut(&r);
    assert_int_equal(a[1].done, 1);
    assert_int_equal(a[1].it.error, KE_NOT_LEADER_OR_FOLLOWER);
    buf_free(&a[1].batch);
}

static unsigned changes; /* of which disks are full */

static void note_change(struct node *n)
{
    UNUSED(n);
    changes++;
}

static void wait_for(struct rig *r, bool full)
{
    int64_t end = rig_now(r) + 20000;
    while (disk_room_is_full(r->node.room, 0) != full) {
        rig_turn(r);
        assert_true(rig_now(r) < end);
    }
}

/* It is known at once, and forgotten when there is a good piece of room and no write failed for a
 * while. */
static void a_full_disk_is_known_until_there_is_room(void **state)
{
    UNUSED(state);
    struct rig r;
    struct ask a;
    rig_open(&r, 2, NULL);
    uint64_t space = r.host->disk->capacity;
    r.node.room = disk_room_new(&r.node, note_change);
    rig_topic(&r, 1, 2, NULL, NULL);
    r.host->disk->capacity = r.host->disk->used;
    int16_t code = KE_NONE;
    while (code == KE_NONE) { /* the last page has room for some */
        assert_false(disk_room_is_full(r.node.room, 0));
        ask(&r, &a, 1, 1);
        code = answer(&r, &a);
    }
    assert_int_equal(code, KE_KAFKA_STORAGE_ERROR);
    int64_t since = rig_now(&r);
    wait_for(&r, true);
    assert_true(rig_now(&r) - since < 100);
    r.host->disk->capacity = r.host->disk->used + r.host->disk->used / 200; /* half of enough */
    rig_run(&r, 20000);
    assert_true(disk_room_full_ms(r.node.room, 0) >= 20000);
    r.host->disk->capacity = r.host->disk->used;
    do {
        ask(&r, &a, 1, 1);
    } while (answer(&r, &a) == KE_NONE);
    rig_run(&r, 1000);
    r.host->disk->capacity = space;
    rig_run(&r, 2000);
    assert_true(disk_room_is_full(r.node.room, 0)); /* a write failed a moment ago */
    wait_for(&r, false);
    assert_int_equal(-1, disk_room_full_ms(r.node.room, 0));
    assert_int_equal(2, changes);
    disk_room_free(r.node.room);
    r.node.room = NULL;
    rig_shut(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_without_room_is_made_later),
        cmocka_unit_test(a_log_that_stays_closed_takes_the_note_away),
        cmocka_unit_test(a_flush_without_room_does_not_hold_up_the_stop),
        cmocka_unit_test(a_full_disk_is_known_until_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
