/* A log from outside: made, written, read, closed, opened after a clean stop and after a crash. */
#include "storage_rig.h"

#include <dirent.h>

#define LOG0 "00000000000000000000"

static void create_append_read(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    assert_int_equal(plog_end_offset(log), 0);
    assert_true(uuid_eq(plog_topic_id(log), rig_id()));
    assert_string_equal(plog_name(log), "t-0");
    rig_fill(log, 10, 3, 100);
    assert_int_equal(plog_end_offset(log), 30);
    assert_int_equal(rig_count(log), 10);

    struct plog_range range;
    assert_int_equal(plog_read(log, 7, 1, true, 30, &range), 0);
    assert_int_equal(range.base_offset, 6);
    assert_true(range.len > 1 && range.hot);
    file_lease_release(&range.lease);
    assert_int_equal(plog_read(log, 30, 100, true, 30, &range), 0);
    assert_int_equal(range.len, 0);
    assert_int_equal(plog_read(log, 31, 100, true, 31, &range), ERR_RANGE);
    assert_int_equal(plog_read(log, -1, 100, true, 30, &range), ERR_RANGE);
    /* Nothing at or above the upper limit. */
    assert_int_equal(plog_read(log, 3, 1 << 20, true, 9, &range), 0);
    struct buf two = {0};
    assert_int_equal(plog_read_copy(log, 3, 1 << 20, true, 9, &two), range.len);
    struct bytes rest = buf_bytes(&two), batch;
    assert_int_equal(batch_next(&rest, &batch), 1);
    assert_int_equal(batch_next(&rest, &batch), 1);
    assert_int_equal(rest.len, 0);
    buf_free(&two);
    file_lease_release(&range.lease);

    struct plog *again = NULL;
    const struct plog_open_args a = rig_args(&r, "t-0");
    struct errmsg em;
    assert_int_equal(plog_create(&r.st, &a, rig_id(), &again, &em), ERR_EXISTS);
    plog_close(log);
    rig_free(&r);
}

static void reopen_clean(void **state)
{
    struct rig r;
    struct buf before = {0}, after = {0};
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    assert_int_equal(plog_begin_epoch(log, 3), 0);
    for (int i = 0; i < 200; i++) {
        const struct rig_batch s = {
            .time = RIG_TIME + i, .value = 200, .pid = 7, .seq = i, .leader_epoch = 3};
        assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
    }
    rig_read_all(log, &before);
    assert_int_equal(plog_close_clean(log), 0);
    assert_int_equal(plog_recovery_point(log), 200);
    assert_int_equal(plog_flushed_offset(log), 200);
    plog_close(log);
    assert_int_equal(rig_size(&r, "t-0/00000000000000000200.snapshot"), 10 + 46);
    assert_int_equal(rig_size(&r, "t-0/" LOG0 ".log"), (int64_t)before.len);
    int64_t entries = rig_size(&r, "t-0/" LOG0 ".index") / 8;
    assert_true(entries > 5 && entries < 20);
    assert_int_equal(rig_size(&r, "t-0/" LOG0 ".timeindex"), (entries + 1) * 12);
    assert_int_equal(rig_size(&r, "t-0/leader-epoch-checkpoint"), strlen("0\n1\n3 0\n"));

    log = rig_open_at(&r, "t-0", true, 200, 0);
    assert_int_equal(plog_end_offset(log), 200);
    assert_int_equal(plog_flushed_offset(log), 200);
    rig_read_all(log, &after);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, after.len);
    int32_t epoch;
    assert_int_equal(plog_latest_epoch(log, &epoch), 0);
    assert_int_equal(epoch, 3);
    /* The producer goes on; what it sent last is known, a gap is refused. */
    struct rig_batch s = {.time = RIG_TIME, .pid = 7, .seq = 199, .leader_epoch = 3};
    struct plog_batch b = rig_append(log, &s);
    assert_int_equal(b.result, PLOG_DUPLICATE);
    assert_int_equal(b.base_offset, 199);
    s.seq = 201;
    assert_int_equal(rig_append(log, &s).result, PLOG_OUT_OF_ORDER);
    for (int i = 199; i > 190; i--) { /* the four before it as well, which no snapshot has */
        s.seq = i;
        b = rig_append(log, &s);
        assert_int_equal(b.result, i > 194 ? PLOG_DUPLICATE : PLOG_OUT_OF_ORDER);
        assert_int_equal(b.base_offset, i > 194 ? i : -1);
    }
    s.seq = 200;
    assert_int_equal(rig_append(log, &s).base_offset, 200);
    plog_close(log);
    buf_free(&before);
    buf_free(&after);
    rig_free(&r);
}

/* Of a producer with several batches on their way any of the last five may come again: also in a
 * log that was closed in order, or cut just behind a roll. */
static void the_last_batches_are_known_again(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    for (int i = 0; i < 20; i++) {
        const struct rig_batch s = {
            .time = RIG_TIME + i, .value = 100, .pid = 7 + i % 2, .seq = i / 2};
        assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
    }
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);
    log = rig_open_at(&r, "t-0", true, 20, 0);
    for (int way = 0; way < 2; way++) {
        for (int i = 5; i < 10; i++) {
            const struct rig_batch s = {.time = RIG_TIME, .value = 100, .pid = 8, .seq = i};
            struct plog_batch b = rig_append(log, &s);
            assert_int_equal(b.result, PLOG_DUPLICATE);
            assert_int_equal(b.base_offset, 2 * i + 1);
        }
        struct rig_batch s = {.time = RIG_TIME, .value = 100, .pid = 8, .seq = 4};
        assert_int_equal(rig_append(log, &s).result, PLOG_OUT_OF_ORDER);
        assert_int_equal(plog_roll(log), 0);
        s = (struct rig_batch){.time = RIG_TIME, .value = 100};
        assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
        assert_int_equal(plog_truncate_to(log, 20), 0);
    }
    struct rig_batch s = {.time = RIG_TIME, .value = 100, .pid = 8, .seq = 10};
    assert_int_equal(rig_append(log, &s).base_offset, 20);
    rig_until(&r, !plog_busy(log));
    plog_close(log);
    rig_free(&r);
}

/* As after kill -9: nothing was closed, all that was written is there. */
static void reopen_unclean(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    r.config.segment_bytes = 4000;
    for (int i = 0; i < 100; i++) {
        const struct rig_batch s = {.time = RIG_TIME + i, .value = 100, .pid = 7, .seq = i};
        assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
    }
    unsigned segments = plog_segment_count(log);
    assert_true(segments > 3);
    rig_until(&r, !plog_busy(log));
    plog_close(log);
    log = rig_open(&r, "t-0", false);
    assert_int_equal(plog_end_offset(log), 100);
    assert_int_equal(plog_segment_count(log), segments);
    assert_int_equal(rig_count(log), 100);
    const struct rig_batch s = {.time = RIG_TIME, .pid = 7, .seq = 99};
    assert_int_equal(rig_append(log, &s).result, PLOG_DUPLICATE);
    plog_close(log);
    rig_free(&r);
}

static void torn_tail(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 10, 2, 100);
    plog_close(log);
    int64_t size = rig_size(&r, "t-0/" LOG0 ".log");
    rig_cut(&r, "t-0/" LOG0 ".log", size - 5);
    log = rig_open(&r, "t-0", false);
    assert_int_equal(plog_end_offset(log), 18);
    assert_int_equal(rig_count(log), 9);
    assert_true(rig_said(&r, "log cut where it is not good"));
    assert_int_equal(rig_size(&r, "t-0/" LOG0 ".log"), size / 10 * 9);
    rig_fill(log, 1, 2, 100);
    plog_close(log);
    rig_flip(&r, "t-0/" LOG0 ".log", -3);
    log = rig_open(&r, "t-0", false);
    assert_int_equal(plog_end_offset(log), 18);
    assert_true(rig_said(&r, "checksum"));
    plog_close(log);
    /* Kafka does not look after a clean stop; we do (pitfalls 11). */
    log = rig_open(&r, "t-0", true);
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);
    rig_cut(&r, "t-0/" LOG0 ".log", size / 10 * 9 + 100);
    log = rig_open_at(&r, "t-0", true, 18, 0);
    assert_int_equal(plog_end_offset(log), 18);
    assert_true(rig_said(&r, "stopped cleanly but its end is not good"));
    plog_close(log);
    rig_free(&r);
}

struct waiter {
    struct plog_flush f;
    int done;
    int err;
};

static void flushed(struct plog_flush *f, int err)
{
    struct waiter *w = f->user;
    w->done++;
    w->err = err;
}

static void group_commit(void **state)
{
    struct rig r;
    struct waiter w[4] = {0};
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    for (int i = 0; i < 4; i++) {
        rig_fill(log, 1, 1, 10);
        plog_flush_start(log, &w[i].f, flushed, &w[i]);
        assert_int_equal(w[i].done, 0);
    }
    assert_true(plog_busy(log));
    rig_until(&r, w[0].done && w[1].done && w[2].done && w[3].done);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w[i].done, 1);
        assert_int_equal(w[i].err, 0);
        assert_int_equal(w[i].f.offset, i + 1);
    }
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_flushed_offset(log), 4);
    /* With nothing to do it still comes back, later. */
    plog_flush_start(log, &w[0].f, flushed, &w[0]);
    assert_int_equal(w[0].done, 1);
    rig_until(&r, w[0].done == 2);
    /* A log that is deleted meanwhile tells everyone. */
    rig_fill(log, 1, 1, 10);
    plog_flush_start(log, &w[0].f, flushed, &w[0]);
    plog_flush_start(log, &w[1].f, flushed, &w[1]);
    assert_int_equal(plog_delete(log), 0);
    rig_until(&r, w[0].done == 3 && w[1].done == 2);
    assert_int_equal(rig_size(&r, "t-0"), -1);
    rig_until(&r, list_empty(&r.st.deletions) && !log_store_busy(&r.st));
    rig_free(&r);
}

/* Of two shards the one that has the new topic may be the first to hear of it. */
static void a_name_that_another_topic_took_is_left_to_it(void **state)
{
    struct rig r;
    struct errmsg em;
    char from[512];
    char to[512];
    struct plog *anew;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 2, 5, 100);
    rig_path(&r, "t-0", from);
    rig_path(&r, "t-0.00000000000000000000000000000000-stray", to);
    assert_int_equal(io_rename(r.io, from, to), 0);
    struct plog_open_args a = rig_args(&r, "t-0");
    assert_int_equal(plog_create(&r.st, &a, uuid_reserved(77), &anew, &em), 0);
    assert_int_equal(plog_delete(log), 0);
    rig_until(&r, list_empty(&r.st.deletions) && !log_store_busy(&r.st));
    assert_true(rig_size(&r, "t-0/partition.metadata") > 0);
    assert_true(rig_size(&r, "t-0.00000000000000000000000000000000-stray/" LOG0 ".log") > 0);
    assert_int_equal(plog_delete(anew), 0);
    rig_until(&r, list_empty(&r.st.deletions) && !log_store_busy(&r.st));
    assert_int_equal(rig_size(&r, "t-0/partition.metadata"), -1);
    rig_free(&r);
}

static bool has_stray(const struct rig *r)
{
    char path[512];
    bool found = false;
    DIR *d = opendir(rig_path(r, "", path));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        found = found || strstr(e->d_name, "-stray") != NULL;
    }
    closedir(d);
    return found;
}

static void facts(void **state)
{
    struct rig r;
    struct arena a = {0};
    struct plog_producer *p;
    struct plog_time_offset t;
    unsigned n, deleted;
    int32_t epoch;
    int64_t end, lso;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 20, 5, 10);
    assert_int_equal(plog_roll(log), 0);
    rig_fill(log, 20, 5, 10);
    assert_int_equal(plog_segment_count(log), 2);
    assert_int_equal(plog_segment_info(log, 1).base_offset, 100);
    assert_int_equal(plog_segment_info(log, 0).size * 2, plog_size(log));
    assert_int_equal(plog_offset_by_time(log, RIG_TIME + 57, &t), 0);
    assert_int_equal(t.offset, 57);
    assert_int_equal(t.timestamp, RIG_TIME + 57);
    assert_int_equal(plog_offset_of_max_timestamp(log, &t), 0);
    assert_int_equal(t.offset, 199);
    assert_int_equal(plog_epoch_of(log, 5, &epoch), 0);
    assert_int_equal(epoch, 0);
    assert_int_equal(plog_epoch_end_offset(log, 0, &epoch, &end), 0);
    assert_int_equal(end, 200);
    assert_int_equal(plog_last_stable_offset(log, &lso), 0);
    assert_int_equal(lso, 200);
    assert_int_equal(plog_producers(log, &a, &p, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(plog_set_start_offset(log, 201), ERR_RANGE);
    assert_int_equal(plog_set_start_offset(log, 150), 0);
    assert_true(plog_start_needs_checkpoint(log));
    r.config.retention_ms = -1;
    assert_int_equal(plog_retention(log, &deleted), 0);
    assert_int_equal(deleted, 1);
    assert_int_equal(plog_truncate_to(log, 160), 0);
    assert_int_equal(plog_end_offset(log), 160);
    assert_int_equal(rig_count(log), 2);
    assert_int_equal(plog_truncate_fully(log, 500), 0);
    assert_int_equal(plog_start_offset(log), 500);
    rig_fill(log, 1, 1, 1);
    assert_int_equal(plog_end_offset(log), 501);
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_make_stray(log), 0);
    rig_until(&r, list_empty(&r.st.deletions) && !log_store_busy(&r.st));
    assert_true(has_stray(&r)); /* nobody removes it */
    arena_free(&a);
    rig_free(&r);
}

/* It tells when time alone will make something go, so that nobody has to ask before. */
static void retention_says_when_it_is_due(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    int64_t now = io_wall_ms(r.io);
    struct plog *log = rig_create(&r, "t-0");
    assert_true(plog_retention_due(log) <= now); /* nobody has looked yet */
    assert_int_equal(plog_retention(log, NULL), 0);
    assert_int_equal(plog_retention_due(log), INT64_MAX); /* empty */
    rig_fill(log, 1, 5, 10);
    int64_t newest = RIG_TIME + 4;
    r.config.retention_ms = now - newest + 3600000;
    assert_int_equal(plog_retention(log, NULL), 0);
    assert_int_equal(plog_retention_due(log), now + 3600000);
    r.config.retention_ms = INT64_MAX;
    assert_int_equal(plog_retention(log, NULL), 0);
    assert_int_equal(plog_retention_due(log), INT64_MAX);
    r.config.retention_ms = -1;
    const struct rig_batch s = {.time = now, .pid = 7};
    assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
    plog_set_high_watermark(log, plog_end_offset(log));
    r.config.producer_id_expiration_ms = 3600000;
    assert_int_equal(plog_retention(log, NULL), 0);
    assert_int_equal(plog_retention_due(log), now + 3600000); /* the producer's */
    r.config.retention_ms = 1000;                             /* of now, the newest there is */
    assert_int_equal(plog_retention(log, NULL), 0);
    assert_int_equal(plog_retention_due(log), now + 1000);
    rig_until(&r, !plog_busy(log));
    plog_close(log);
    rig_free(&r);
}

/* A replica that led an epoch and appended nothing in it, and whose next leader has another
 * history, is asked to cut where its log ends anyway: the epoch has to go. */
static void an_epoch_without_records_goes_with_a_cut_at_the_end(void **state)
{
    struct rig r;
    int32_t epoch;
    (void)state;
    for (int lazy = 0; lazy < 2; lazy++) {
        rig_init(&r);
        struct plog *log = rig_create(&r, "t-0");
        rig_fill(log, 2, 5, 100);
        rig_until(&r, !plog_busy(log));
        if (lazy) { /* the epochs are read when they are needed */
            assert_int_equal(plog_close_clean(log), 0);
            plog_close(log);
            log = rig_open(&r, "t-0", true);
        }
        assert_int_equal(plog_begin_epoch(log, 7), 0);
        assert_int_equal(plog_truncate_to(log, 10), 0);
        assert_int_equal(plog_end_offset(log), 10);
        assert_int_equal(plog_latest_epoch(log, &epoch), 0);
        assert_int_equal(epoch, 0);
        assert_int_equal(plog_begin_epoch(log, 8), 0);
        assert_int_equal(plog_truncate_to(log, 11), 0);
        assert_int_equal(plog_latest_epoch(log, &epoch), 0);
        assert_int_equal(epoch, 0);
        plog_close(log);
        rig_free(&r);
    }
}

/* What a leader took before segment.bytes was lowered, a follower takes too. */
static void a_follower_takes_batches_larger_than_a_segment(void **state)
{
    struct rig r;
    struct rig_batch s = {.time = RIG_TIME, .value = 2000};
    (void)state;
    rig_init(&r);
    r.config.segment_bytes = 1024;
    struct plog *log = rig_create(&r, "t-0");
    assert_int_equal(rig_append_as(log, &s, PLOG_CLIENT).result, PLOG_TOO_LARGE);
    for (s.offset = 0; s.offset < 3; s.offset++) {
        assert_int_equal(rig_append_as(log, &s, PLOG_REPLICATION).result, PLOG_APPENDED);
    }
    assert_int_equal(plog_end_offset(log), 3);
    assert_int_equal(plog_segment_count(log), 3);
    rig_until(&r, !plog_busy(log));
    plog_close(log);
    rig_free(&r);
}

/* A replica that led and got nothing follows: what the others have of an earlier epoch is taken.
 * And a batch that is refused leaves no hole behind it. */
static void a_follower_takes_all_or_a_front_part(void **state)
{
    struct rig r;
    struct buf first = {0};
    struct buf second = {0};
    const struct plog_append_args args = {.origin = PLOG_REPLICATION};
    const struct rig_batch s = {.records = 2, .time = RIG_TIME, .value = 10, .leader_epoch = 1};
    const struct rig_batch t = {
        .records = 2, .time = RIG_TIME, .value = 10, .leader_epoch = 3, .offset = 2};
    int32_t epoch;
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    assert_int_equal(plog_begin_epoch(log, 2), 0);
    rig_build(&s, &first);
    rig_build(&t, &second);
    struct plog_batch v[] = {{.data = first.data, .len = (uint32_t)first.len},
                             {.data = second.data, .len = (uint32_t)second.len}};
    assert_int_equal(plog_append(log, v, 2, &args), 2);
    assert_int_equal(plog_end_offset(log), 4);
    assert_int_equal(plog_latest_epoch(log, &epoch), 0);
    assert_int_equal(epoch, 3);

    batch_set_base_offset(first.data, 4); /* of epoch 1: refused, and so is what comes behind */
    batch_set_base_offset(second.data, 6);
    assert_int_equal(plog_append(log, v, 2, &args), 0);
    assert_int_equal(v[0].result, PLOG_UNEXPECTED_OFFSET);
    assert_int_equal(v[1].result, PLOG_UNEXPECTED_OFFSET);
    assert_int_equal(plog_end_offset(log), 4);
    rig_until(&r, !plog_busy(log));
    plog_close(log);
    buf_free(&first);
    buf_free(&second);
    rig_free(&r);
}

static int64_t max_timestamp(struct plog *log)
{
    struct plog_time_offset t;
    assert_int_equal(plog_offset_of_max_timestamp(log, &t), 0);
    return t.timestamp;
}

/* The time entry of the largest timestamp went with what was cut off: another one takes its place,
 * when the log stops or rolls. */
static void largest_timestamp_after_a_cut(void **state)
{
    struct rig r;
    const struct rig_batch early = {.records = 1, .time = RIG_TIME, .value = 10};
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 24, 5, 100); /* 120 records */
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);

    log = rig_open(&r, "t-0", true);
    assert_int_equal(max_timestamp(log), RIG_TIME + 119);
    assert_int_equal(plog_truncate_to(log, 110), 0);
    assert_int_equal(max_timestamp(log), RIG_TIME + 109);
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);

    log = rig_open(&r, "t-0", true);
    assert_int_equal(max_timestamp(log), RIG_TIME + 109);
    assert_int_equal(plog_truncate_to(log, 100), 0);
    assert_int_equal(rig_append(log, &early).result, PLOG_APPENDED);
    assert_int_equal(plog_roll(log), 0);
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);

    log = rig_open(&r, "t-0", true);
    assert_int_equal(plog_segment_count(log), 2);
    assert_int_equal(max_timestamp(log), RIG_TIME + 99);
    plog_close(log);
    rig_free(&r);
}

/* A power loss may give a sealed segment's time index back as it was before a cut. */
static void a_time_entry_behind_its_segment(void **state)
{
    struct rig r;
    uint8_t entry[12] = {0};
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 4, 5, 100);
    assert_int_equal(plog_roll(log), 0);
    rig_fill(log, 1, 5, 100);
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);
    store_be64(entry, RIG_TIME + 1000);
    entry[11] = 22; /* of 20 */
    rig_write(&r, "t-0/" LOG0 ".timeindex", entry, sizeof entry);

    log = rig_open(&r, "t-0", true);
    assert_int_equal(max_timestamp(log), RIG_TIME + 24);
    assert_true(rig_said(&r, "index rebuilt"));
    plog_close(log);
    rig_free(&r);
}

static void is_not_told(struct plog_flush *f, int err)
{
    (void)f;
    fail_msg("a flush of a log that has gone came home: %d", err);
}

/* A process that gives up waits for nothing: logs that are closed and deleted, and the store, go
 * while fsyncs and workers are at their files. */
static void goes_while_flushes_and_deletions_are_under_way(void **state)
{
    struct rig r;
    struct plog_flush f[2];
    (void)state;
    rig_init(&r);
    struct plog *gone = rig_create(&r, "gone-0");
    struct plog *closed = rig_create(&r, "closed-0");
    struct plog *deleted = rig_create(&r, "deleted-0");
    rig_fill(closed, 3, 1, 100);
    rig_fill(deleted, 3, 1, 100);
    assert_int_equal(plog_delete(gone), 0);
    log_store_tick(&r.st);
    assert_non_null(r.st.unlinking);
    plog_flush_start(closed, &f[0], is_not_told, NULL);
    plog_flush_start(deleted, &f[1], is_not_told, NULL);
    assert_int_equal(plog_delete(deleted), 0);
    plog_close(closed);
    assert_true(log_store_busy(&r.st));
    log_store_free(&r.st);
    memset(&r.st, 0xff, sizeof r.st); /* what comes home finds no store */
    io_destroy(r.io);
    buf_free(&r.said);
    nftw(r.dir, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_append_read),
        cmocka_unit_test(reopen_clean),
        cmocka_unit_test(the_last_batches_are_known_again),
        cmocka_unit_test(reopen_unclean),
        cmocka_unit_test(torn_tail),
        cmocka_unit_test(group_commit),
        cmocka_unit_test(a_name_that_another_topic_took_is_left_to_it),
        cmocka_unit_test(goes_while_flushes_and_deletions_are_under_way),
        cmocka_unit_test(facts),
        cmocka_unit_test(retention_says_when_it_is_due),
        cmocka_unit_test(an_epoch_without_records_goes_with_a_cut_at_the_end),
        cmocka_unit_test(a_follower_takes_batches_larger_than_a_segment),
        cmocka_unit_test(a_follower_takes_all_or_a_front_part),
        cmocka_unit_test(largest_timestamp_after_a_cut),
        cmocka_unit_test(a_time_entry_behind_its_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
