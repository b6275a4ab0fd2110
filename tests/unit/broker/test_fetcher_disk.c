/* Following on a disk that fills up, fails or takes its time: what is on it before the leader hears
 * of it, and before a log that was cut grows again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/checkpoints.h"
#include "follow_rig.h"
#include "storage/checkpoint.h"

enum { SESSION = 77 };

static void batch(struct buf *out, int64_t first, int n)
{
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    o.base_offset = first;
    o.leader_epoch = 0;
    rig_batch(out, first, n, &o);
}

static struct plog *log_of(struct rig *r, int32_t index)
{
    return rig_partition(r, TOPIC, index)->log;
}

static void expect(struct peer *p, int32_t index, int64_t offset)
{
    peer_wait(p, API_FETCH);
    assert_non_null(peer_asked(p, index));
    assert_int_equal(peer_asked(p, index)->fetch_offset, offset);
}

/* One partition with batches of two records up to n; all of it is flushed. */
static void filled(struct rig *r, struct peer *p, int n)
{
    struct buf b = {0};
    follow_open(r, p, 1, NULL);
    expect(p, 0, 0);
    for (int i = 0; i < n; i += 2) {
        batch(&b, i, 2);
    }
    peer_answer_records(p, SESSION, 0, buf_bytes(&b), n);
    expect(p, 0, n);
    assert_int_equal(plog_roll(log_of(r, 0)), 0);
    while (plog_recovery_point(log_of(r, 0)) < n) {
        rig_turn(r);
    }
    buf_free(&b);
}

/* What the checkpoint has for the partition; -1: nothing. */
static int64_t checkpointed(struct rig *r)
{
    struct offset_table t = {0};
    struct errmsg em = {{0}};
    if (offset_checkpoint_read(r->ns[0].shard->io, "/data", CHECKPOINT_RECOVERY_POINT, &t, &em)) {
        fail_msg("%s", em.text);
    }
    int64_t v = offset_table_get(&t, "topic-0", -1);
    offset_table_free(&t);
    return v;
}

/* ---- before a log that was cut grows again ---- */

static void a_cut_below_the_recovery_point_waits_for_the_checkpoint(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 6);
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    peer_quiet(&p, 5000); /* there is nobody to write it */
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 4);
    struct checkpoints *c = checkpoints_new(&r.node);
    expect(&p, 0, 4);
    assert_int_equal(checkpointed(&r), 4);
    peer_answer_diverging(&p, SESSION, 0, 0, 2);
    expect(&p, 0, 2); /* and again */
    assert_int_equal(checkpointed(&r), 2);
    checkpoints_free(c);
    follow_shut(&r, &p);
}

static void a_checkpoint_that_cannot_be_written_is_tried_again(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 6);
    struct checkpoints *c = checkpoints_new(&r.node);
    uint64_t space = r.host->disk->capacity;
    r.host->disk->capacity = r.host->disk->used;
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    r.host->disk->capacity = 0;
    peer_quiet(&p, 5000);
    r.host->disk->capacity = space;
    expect(&p, 0, 4);
    assert_int_equal(checkpointed(&r), 4);
    checkpoints_free(c);
    follow_shut(&r, &p);
}

static void a_cut_above_the_recovery_point_waits_for_nothing(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    filled(&r, &p, 2);
    batch(&b, 2, 2);
    batch(&b, 4, 2);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 6);
    expect(&p, 0, 6);
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    expect(&p, 0, 4); /* without anybody who writes checkpoints */
    buf_free(&b);
    follow_shut(&r, &p);
}

struct ask {
    struct append_msg m;
    struct append_item it;
    struct buf batch;
    bool done;
};

static void done(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    ((struct ask *)m->user)->done = true;
}

static int16_t produce(struct rig *r, uint8_t topic)
{
    struct ask a = {0};
    rig_batch(&a.batch, 0, 1, NULL);
    a.it.topic_id = rig_topic_id(topic);
    a.it.batch.data = a.batch.data;
    a.it.batch.len = (uint32_t)a.batch.len;
    a.m = (struct append_msg){
        .items = &a.it, .n = 1, .acks = 1, .origin = PLOG_CLIENT, .timeout_ms = 1000};
    a.m.done = done;
    a.m.user = &a;
    append_send(&r->ns[0], node_home_shard(&r->node, a.it.topic_id, 0), &a.m);
    while (!a.done) {
        rig_turn(r);
    }
    buf_free(&a.batch);
    return a.it.error;
}

static void who_leads_before_the_checkpoint_takes_no_records_either(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 6);
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    peer_quiet(&p, 500);
    rig_leader(&r, TOPIC, 0, RIG_NODE);
    assert_int_equal(produce(&r, TOPIC), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 4);
    struct checkpoints *c = checkpoints_new(&r.node);
    rig_run(&r, 3000);
    assert_int_equal(checkpointed(&r), 4);
    assert_int_equal(produce(&r, TOPIC), KE_NONE);
    checkpoints_free(c);
    follow_shut(&r, &p);
}

/* ---- a log that is removed, and another of its name ---- */

static void a_removed_log_leaves_the_checkpoint(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 6);
    struct checkpoints *c = checkpoints_new(&r.node);
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    expect(&p, 0, 4);
    assert_int_equal(checkpointed(&r), 4);
    rig_remove_topic(&r, TOPIC);
    rig_run(&r, 500);
    assert_int_equal(checkpointed(&r), -1);
    rig_topic_named(&r, TOPIC, "topic", 1, NULL, NULL);
    assert_int_equal(produce(&r, TOPIC), KE_NONE);
    checkpoints_free(c);
    follow_shut(&r, &p);
}

static void another_log_of_the_name_waits_for_that(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 6);
    rig_remove_topic(&r, TOPIC);
    rig_topic_named(&r, TOPIC, "topic", 1, NULL, NULL);
    assert_int_equal(produce(&r, TOPIC), KE_NOT_LEADER_OR_FOLLOWER); /* nobody writes it */
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 0);
    struct checkpoints *c = checkpoints_new(&r.node);
    rig_run(&r, 3000);
    assert_int_equal(checkpointed(&r), 0);
    assert_int_equal(produce(&r, TOPIC), KE_NONE);
    checkpoints_free(c);
    follow_shut(&r, &p);
}

/* Another topic's id may lead to another shard. */
static void so_does_one_in_another_shard(void **state)
{
    UNUSED(state);
    struct rig r;
    uint8_t next = TOPIC + 1;
    rig_open(&r, 2, NULL);
    follow_broker(&r, RIG_NODE, "h", 1);
    while (node_home_shard(&r.node, rig_topic_id(next), 0) ==
           node_home_shard(&r.node, rig_topic_id(TOPIC), 0)) {
        next++;
    }
    rig_topic_named(&r, TOPIC, "topic", 1, NULL, NULL);
    assert_int_equal(produce(&r, TOPIC), KE_NONE);
    rig_remove_topic(&r, TOPIC);
    rig_topic_named(&r, next, "topic", 1, NULL, NULL);
    assert_int_equal(produce(&r, next), KE_NOT_LEADER_OR_FOLLOWER);
    struct checkpoints *c = checkpoints_new(&r.node);
    rig_run(&r, 3000);
    assert_int_equal(produce(&r, next), KE_NONE);
    checkpoints_free(c);
    rig_shut(&r);
}

/* The crash was between the removal and the checkpoint without it. */
static void after_a_crash_a_new_log_waits_for_that(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    rig_open(&r, 1, NULL);
    r.dirs[0]->all_open = false;
    offset_table_set(&r.dirs[0]->recovery_points, "topic", 0, 100);
    peer_open(&p, &r, LEADER);
    follow_broker(&r, RIG_NODE, "h", 1);
    rig_publish(&r); /* the first metadata: the logs that there are */
    struct checkpoints *c = checkpoints_new(&r.node);
    rig_run(&r, 3000); /* more may be found: what is written keeps the old numbers */
    assert_int_equal(checkpointed(&r), 100);
    checkpoints_free(c);
    rig_topic_named(&r, TOPIC, "topic", 1, NULL, NULL);
    assert_int_equal(produce(&r, TOPIC), KE_NOT_LEADER_OR_FOLLOWER);
    c = checkpoints_new(&r.node);
    rig_run(&r, 3000);
    assert_int_equal(checkpointed(&r), 0);
    assert_int_equal(produce(&r, TOPIC), KE_NONE);
    log_dir_all_open(r.dirs[0]);
    rig_run(&r, 3000);
    rig_remove_topic(&r, TOPIC);
    rig_run(&r, 3000);
    checkpoints_free(c);
    rig_topic_named(&r, TOPIC, "topic", 1, NULL, NULL);
    assert_int_equal(produce(&r, TOPIC), KE_NONE); /* all are found: nothing old is left */
    follow_shut(&r, &p);
}

/* ---- flush before acknowledge ---- */

static void what_is_to_be_flushed_is_flushed_before_the_leader_hears_of_it(void **state)
{
    UNUSED(state);
    static const char *const overrides[] = {"log.flush.interval.messages=1", NULL};
    struct rig r;
    struct peer p;
    struct buf b = {0};
    follow_open(&r, &p, 1, overrides);
    expect(&p, 0, 0);
    for (int i = 0; i < 5; i++) {
        buf_clear(&b);
        batch(&b, 2 * i, 2);
        peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 2 * i);
        expect(&p, 0, 2 * i + 2);
        assert_int_equal(plog_flushed_offset(log_of(&r, 0)), 2 * i + 2);
    }
    buf_free(&b);
    follow_shut(&r, &p);
}

/* ---- disks ---- */

static void a_full_disk_holds_a_partition_back_until_there_is_space(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    follow_open(&r, &p, 2, NULL);
    peer_wait(&p, API_FETCH);
    uint64_t space = r.host->disk->capacity;
    batch(&b, 0, 2000);
    r.host->disk->capacity = r.host->disk->used;
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 2000);
    peer_wait(&p, API_FETCH); /* for the other one */
    assert_true(peer_forgets(&p, 0));
    for (int64_t end = rig_now(&r) + 5000; rig_now(&r) < end;) {
        peer_answer_empty(&p, SESSION);
        peer_wait(&p, API_FETCH);
        if (peer_asked(&p, 0)) { /* a try */
            assert_int_equal(peer_asked(&p, 0)->fetch_offset, 0);
            peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 2000);
            peer_wait(&p, API_FETCH);
        }
        rig_run(&r, 100);
    }
    assert_false(rig_partition(&r, TOPIC, 0)->offline);
    r.host->disk->capacity = space;
    do {
        rig_run(&r, 100);
        peer_answer_empty(&p, SESSION);
        peer_wait(&p, API_FETCH);
    } while (peer_asked(&p, 0) == NULL);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 2000);
    expect(&p, 0, 2000);
    assert_int_equal(plog_size(log_of(&r, 0)), b.len);
    assert_int_equal(r.dirs_failed, 0);
    buf_free(&b);
    follow_shut(&r, &p);
}

static void a_failed_disk_ends_the_following(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    follow_open(&r, &p, 2, NULL);
    peer_wait(&p, API_FETCH);
    batch(&b, 0, 10);
    r.host->disk->faults.dead = true;
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 10);
    rig_run(&r, 100);
    assert_int_equal(r.dirs_failed, 1);
    for (int32_t i = 0; i < 2; i++) {
        assert_true(rig_partition(&r, TOPIC, i)->offline);
        assert_null(rig_partition(&r, TOPIC, i)->follow);
    }
    rig_leader(&r, TOPIC, 0, LEADER); /* a new epoch changes nothing */
    peer_quiet(&p, 3000);
    r.host->disk->faults.dead = false;
    buf_free(&b);
    follow_shut(&r, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_below_the_recovery_point_waits_for_the_checkpoint),
        cmocka_unit_test(a_checkpoint_that_cannot_be_written_is_tried_again),
        cmocka_unit_test(a_cut_above_the_recovery_point_waits_for_nothing),
        cmocka_unit_test(who_leads_before_the_checkpoint_takes_no_records_either),
        cmocka_unit_test(a_removed_log_leaves_the_checkpoint),
        cmocka_unit_test(another_log_of_the_name_waits_for_that),
        cmocka_unit_test(so_does_one_in_another_shard),
        cmocka_unit_test(after_a_crash_a_new_log_waits_for_that),
        cmocka_unit_test(what_is_to_be_flushed_is_flushed_before_the_leader_hears_of_it),
        cmocka_unit_test(a_full_disk_holds_a_partition_back_until_there_is_space),
        cmocka_unit_test(a_failed_disk_ends_the_following),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
