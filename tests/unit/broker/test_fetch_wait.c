/* Fetches over several shards: random jobs beside random appends, each checked for what it must
 * give and when; cancelling; leases that come home; leaders that go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "data_rig.h"

enum { TOPICS = 2, PARTS = 3, JOBS = 8, STEPS = 400 };

struct read_job {
    struct fetch_job j;
    struct fetch_item items[TOPICS * PARTS];
    struct arena arena;
    int64_t began_ms;
    bool running;
    bool wanted_cancel;
    unsigned answered;
};

struct world {
    struct rig r;
    struct prng rng;
    int64_t written[TOPICS][PARTS]; /* records */
    struct read_job jobs[JOBS];
    unsigned at_once;  /* answered with enough */
    unsigned waited;   /* answered after a wait, with enough */
    unsigned timeouts; /* answered with too little */
    unsigned canceled;
};

struct write {
    struct append_msg m;
    struct append_item it;
    struct buf batch;
};

static void written(struct node_shard *ns, struct append_msg *m)
{
    struct write *w = m->user;
    UNUSED(ns);
    assert_int_equal(w->it.error, KE_NONE);
    buf_free(&w->batch);
    mem_free(w);
}

static void append(struct world *w, unsigned topic, int32_t p, int n)
{
    struct write *a = MEM_NEW(struct write);
    rig_batch(&a->batch, w->written[topic][p], n, NULL);
    w->written[topic][p] += n;
    a->it.topic_id = rig_topic_id((uint8_t)topic);
    a->it.index = p;
    a->it.batch.data = a->batch.data;
    a->it.batch.len = (uint32_t)a->batch.len;
    a->m.items = &a->it;
    a->m.n = 1;
    a->m.acks = 1;
    a->m.timeout_ms = 1000;
    a->m.done = written;
    a->m.user = a;
    /* all of a partition from one shard, so that the numbers stay in order */
    append_send(&w->r.ns[(unsigned)p % w->r.node.data_shards],
                node_home_shard(&w->r.node, a->it.topic_id, p), &a->m);
}

static struct bytes item_bytes(struct read_job *rj, const struct fetch_item *it)
{
    if (it->data || it->len == 0) {
        return bytes_of(it->data, it->len);
    }
    uint8_t *p = arena_alloc(&rj->arena, it->len);
    assert_int_equal(io_pread(it->range.file, p, it->len, it->range.pos), it->len);
    return bytes_of(p, it->len);
}

/* Whole batches from the one that holds the offset on; record k says k. Returns the size of the
 * first batch. */
static size_t check_records(struct bytes rest, int64_t offset, int64_t high_watermark)
{
    struct bytes batch;
    size_t first = 0;
    int64_t next = -1;
    while (rest.len > 0 && batch_next(&rest, &batch) == 1) {
        struct record_reader reader;
        struct record rec;
        assert_true(batch_crc_check(batch));
        assert_int_equal(record_reader_open(&reader, batch, 1 << 20), 0);
        while (record_reader_next(&reader, &rec) == 1) {
            char text[32];
            snprintf(text, sizeof text, "%lld", (long long)rec.offset);
            assert_true(bytes_eq_str(rec.value, text));
            assert_true(next < 0 ? rec.offset <= offset : rec.offset == next);
            next = rec.offset + 1;
            assert_true(next <= high_watermark);
        }
        record_reader_close(&reader);
        if (first == 0) {
            first = batch.len;
            assert_true(next > offset);
        }
    }
    return first;
}

static void check_job(struct world *w, struct read_job *rj)
{
    struct fetch_job *j = &rj->j;
    int64_t total = 0;
    size_t first = 0;
    bool errors = false;
    for (uint32_t i = 0; i < j->n; i++) {
        struct fetch_item *it = &j->items[i];
        errors = errors || it->error;
        if (it->error) {
            assert_int_equal(it->error, KE_OFFSET_OUT_OF_RANGE);
            assert_int_equal(it->len, 0);
            continue;
        }
        size_t batch = check_records(item_bytes(rj, it), it->fetch_offset, it->high_watermark);
        assert_true(it->len == 0 || batch > 0); /* not less than one */
        first = total == 0 ? batch : first;
        total += it->len;
        assert_true(it->len <= it->max_bytes || (int64_t)it->len == total);
    }
    assert_int_equal(total, j->bytes);
    assert_true(total <= j->max_bytes || (size_t)total == first);
    int64_t waited = rig_now(&w->r) - rj->began_ms;
    if (total >= j->min_bytes) {
        w->at_once += waited <= 1;
        w->waited += waited > 1;
    } else if (!errors) {
        assert_true(waited >= j->max_wait_ms);
        w->timeouts++;
    }
    assert_true(waited <= j->max_wait_ms + 20);
}

static void job_done(struct fetch_job *j)
{
    struct read_job *rj = j->user;
    struct world *w = CONTAINER_OF(j->ns->node, struct world, r.node);
    assert_true(rj->running);
    if (j->canceled) {
        w->canceled++;
    } else {
        check_job(w, rj);
    }
    rj->running = false;
    rj->answered++;
}

static void start(struct world *w, struct read_job *rj)
{
    memset(rj, 0, sizeof *rj);
    uint64_t all = TOPICS * PARTS;
    struct fetch_job *j = &rj->j;
    j->ns = &w->r.ns[prng_below(&w->rng, w->r.node.data_shards)];
    j->arena = &rj->arena;
    j->items = rj->items;
    j->n = (uint32_t)prng_below(&w->rng, all) + 1;
    j->max_bytes = prng_below(&w->rng, 4) ? 1 << 20 : (uint32_t)prng_below(&w->rng, 600) + 1;
    j->min_bytes = prng_below(&w->rng, 3) ? 1 : (int64_t)prng_below(&w->rng, 2000);
    j->max_wait_ms = (int64_t)prng_below(&w->rng, 3) * 40;
    j->read_committed = prng_below(&w->rng, 4) == 0;
    j->replica_id = -1;
    j->done = job_done;
    j->user = rj;
    uint64_t at = prng_below(&w->rng, all);
    for (uint32_t i = 0; i < j->n; i++, at = (at + 1) % all) {
        struct fetch_item *it = &rj->items[i];
        int64_t end = w->written[at / PARTS][at % PARTS];
        it->topic_id = rig_topic_id((uint8_t)(at / PARTS));
        it->index = (int32_t)(at % PARTS);
        it->current_leader_epoch = -1;
        it->last_fetched_epoch = -1;
        it->fetch_offset = end - (int64_t)(prng_below(&w->rng, 3) ? 0 : prng_below(&w->rng, 20));
        it->fetch_offset = it->fetch_offset < 0 ? 0 : it->fetch_offset;
        if (prng_below(&w->rng, 60) == 0) {
            it->fetch_offset = end + 1000;
        }
        uint64_t most = prng_below(&w->rng, 2) ? 300 : 12; /* less than a batch's first fields */
        it->max_bytes = prng_below(&w->rng, 3) ? 1 << 20 : (uint32_t)prng_below(&w->rng, most) + 1;
    }
    rj->began_ms = rig_now(&w->r);
    rj->running = true;
    fetch_job_start(j);
}

static void end(struct read_job *rj)
{
    if (rj->answered) {
        fetch_job_free(&rj->j);
        arena_free(&rj->arena);
        rj->answered = 0;
    }
}

static void step(struct world *w)
{
    uint64_t what = prng_below(&w->rng, 10);
    struct read_job *rj = &w->jobs[prng_below(&w->rng, JOBS)];
    if (what < 4) {
        append(w, (unsigned)prng_below(&w->rng, TOPICS), (int32_t)prng_below(&w->rng, PARTS),
               (int)prng_below(&w->rng, 8) + 1);
    } else if (what < 8 && !rj->running) {
        end(rj);
        start(w, rj);
    } else if (what == 8 && rj->running && !rj->wanted_cancel && prng_below(&w->rng, 4) == 0) {
        rj->wanted_cancel = true;
        fetch_job_cancel(&rj->j);
    } else {
        rig_turn(&w->r);
    }
}

static void finish(struct world *w)
{
    int64_t limit = rig_now(&w->r) + 1000;
    for (unsigned i = 0; i < JOBS; i++) {
        while (w->jobs[i].running) {
            rig_turn(&w->r);
            assert_true(rig_now(&w->r) < limit);
        }
        end(&w->jobs[i]);
    }
    rig_run(&w->r, 10); /* leases and appends come home */
    for (unsigned t = 0; t < TOPICS; t++) {
        for (int32_t p = 0; p < PARTS; p++) {
            assert_true(list_empty(&rig_partition(&w->r, (uint8_t)t, p)->watches));
        }
    }
}

static void random_jobs(void **state)
{
    UNUSED(state);
    unsigned at_once = 0, waited = 0, timeouts = 0, canceled = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world *w = MEM_NEW(struct world);
        const char *zerocopy[] = {"fetch.zerocopy.min.bytes=200", NULL};
        rig_open(&w->r, 1 + (unsigned)seed % RIG_SHARDS_MAX, seed % 2 ? zerocopy : NULL);
        prng_seed(&w->rng, seed);
        for (uint8_t t = 0; t < TOPICS; t++) {
            rig_topic(&w->r, t, PARTS, t ? "segment.bytes" : NULL, "1048576");
        }
        for (int i = 0; i < STEPS; i++) {
            step(w);
        }
        finish(w);
        at_once += w->at_once;
        waited += w->waited;
        timeouts += w->timeouts;
        canceled += w->canceled;
        rig_shut(&w->r);
        mem_free(w);
    }
    /* every way out was taken */
    assert_true(at_once > 100 && waited > 100 && timeouts > 100 && canceled > 10);
}

static void one_job(struct world *w, struct read_job *rj, int64_t offset, int64_t min_bytes)
{
    memset(rj, 0, sizeof *rj);
    rj->j.ns = &w->r.ns[0];
    rj->j.arena = &rj->arena;
    rj->j.items = rj->items;
    rj->j.n = 1;
    rj->j.max_bytes = 1 << 20;
    rj->j.min_bytes = min_bytes;
    rj->j.max_wait_ms = 10000;
    rj->j.replica_id = -1;
    rj->j.done = job_done;
    rj->j.user = rj;
    rj->items[0].topic_id = rig_topic_id(0);
    rj->items[0].index = 1; /* the other shard */
    rj->items[0].fetch_offset = offset;
    rj->items[0].max_bytes = 1 << 20;
    rj->items[0].current_leader_epoch = -1;
    rj->items[0].last_fetched_epoch = -1;
    rj->began_ms = rig_now(&w->r);
    rj->running = true;
    fetch_job_start(&rj->j);
}

static void answered_without_checks(struct fetch_job *j)
{
    struct read_job *rj = j->user;
    rj->running = false;
    rj->answered++;
}

/* A parked fetch is answered at once when the leader goes, when the partition is deleted, and
 * when the node stops. */
static void what_ends_a_wait(void **state)
{
    UNUSED(state);
    for (int how = 0; how < 3; how++) {
        struct world *w = MEM_NEW(struct world);
        struct read_job *rj = &w->jobs[0];
        rig_open(&w->r, 2, NULL);
        rig_topic(&w->r, 0, PARTS, NULL, NULL);
        one_job(w, rj, 0, 1);
        rj->j.done = answered_without_checks;
        rig_run(&w->r, 50);
        assert_true(rj->running);
        int64_t before = rig_now(&w->r);
        if (how == 0) {
            rig_leader(&w->r, 0, 1, -1);
        } else if (how == 1) {
            struct remove_topic_record t;
            proto_msg_init(&remove_topic_record_msg, &t);
            t.topic_id = rig_topic_id(0);
            rig_record(&w->r, &remove_topic_record_msg, 0, &t);
            rig_publish(&w->r);
        } else {
            partition_manager_stop(w->r.ns[1].partitions);
        }
        while (rj->running) {
            rig_turn(&w->r);
            assert_true(rig_now(&w->r) < before + 10);
        }
        assert_int_equal(rj->items[0].error, KE_NOT_LEADER_OR_FOLLOWER);
        end(rj);
        rig_shut(&w->r);
        mem_free(w);
    }
}

/* The home shard is behind with its image when the fetch is parked there: the message waits for the
 * image, and what recalls it (its time is over, or its connection is gone) overtakes it. */
static void recalled_before_it_is_parked(void **state)
{
    UNUSED(state);
    for (int how = 0; how < 2; how++) {
        struct world *w = MEM_NEW(struct world);
        struct read_job *rj = &w->jobs[0];
        rig_open(&w->r, 2, NULL);
        rig_topic(&w->r, 0, PARTS, NULL, NULL);
        one_job(w, rj, 0, 1);
        rj->j.max_wait_ms = how == 0 ? 40 : 10000;
        rj->j.done = answered_without_checks;
        rig_turn(&w->r); /* the reading, with the image that both know */
        w->r.late[1] = true;
        rig_topic(&w->r, 1, PARTS, NULL, NULL);
        rig_run(&w->r, 20);
        assert_false(list_empty(&w->r.ns[1].image_wait));
        if (how == 1) {
            fetch_job_cancel(&rj->j);
        }
        rig_run(&w->r, 60);
        assert_true(rj->running); /* its leg is still away */
        rig_catch_up(&w->r, 1);
        for (int64_t end = rig_now(&w->r) + 10; rj->running;) {
            rig_turn(&w->r);
            assert_true(rig_now(&w->r) < end);
        }
        assert_int_equal(rj->items[0].error, KE_NONE);
        assert_true(list_empty(&rig_partition(&w->r, 0, 1)->watches));
        end(rj);
        rig_shut(&w->r);
        mem_free(w);
    }
}

/* The bytes of an answer that is still being sent stay readable when their topic is deleted. */
static void leases_outlive_the_partition(void **state)
{
    UNUSED(state);
    struct world *w = MEM_NEW(struct world);
    struct read_job *rj = &w->jobs[0];
    const char *zerocopy[] = {"fetch.zerocopy.min.bytes=1", NULL};
    rig_open(&w->r, 2, zerocopy);
    rig_topic(&w->r, 0, PARTS, NULL, NULL);
    append(w, 0, 1, 5);
    rig_run(&w->r, 5);
    one_job(w, rj, 0, 1);
    while (rj->running) {
        rig_turn(&w->r);
    }
    assert_null(rj->items[0].data);
    assert_true(rj->items[0].len > 0);
    struct fetch_lease *lease = fetch_item_take_lease(&rj->items[0]);
    struct remove_topic_record t;
    proto_msg_init(&remove_topic_record_msg, &t);
    t.topic_id = rig_topic_id(0);
    rig_record(&w->r, &remove_topic_record_msg, 0, &t);
    rig_publish(&w->r);
    rig_run(&w->r, 120000); /* the files are deleted */
    assert_true(check_records(item_bytes(rj, &rj->items[0]), 0, 5) > 0);
    assert_int_equal(w->r.ns[1].partitions->store.files.count, 1);
    /* a stop waits for it: a read from a slow disk may outlive its connection */
    assert_true(partition_manager_busy(w->r.ns[1].partitions));
    fetch_lease_release(w->r.ns[0].shard, lease);
    rig_run(&w->r, 5);
    assert_false(partition_manager_busy(w->r.ns[1].partitions));
    assert_int_equal(w->r.ns[1].partitions->store.files.count, 0);
    end(rj);
    rig_shut(&w->r);
    mem_free(w);
}

/* Woken by the end, and no turn sends it home any more. */
static void freed_while_it_waits(void **state)
{
    UNUSED(state);
    struct world *w = MEM_NEW(struct world);
    struct read_job *rj = &w->jobs[0];
    rig_open(&w->r, 1, NULL);
    rig_topic(&w->r, 0, PARTS, NULL, NULL);
    one_job(w, rj, 0, 1);
    rig_run(&w->r, 50);
    assert_true(rj->running);
    rig_drop(&w->r);
    assert_true(rj->running);
    arena_free(&rj->arena);
    mem_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_jobs),
        cmocka_unit_test(what_ends_a_wait),
        cmocka_unit_test(recalled_before_it_is_parked),
        cmocka_unit_test(leases_outlive_the_partition),
        cmocka_unit_test(freed_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
