/* The metadata log on the simulator's disk: files as Kafka writes them, Kafka's own directories,
 * torn tails, damage, kills between any two calls, power losses, snapshots and retention. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "controller/metadata_log.h"
#include "proto/record_batch.h"
#include "sim/io_sim.h"

enum { DISK = 1 << 28 };

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct metadata_log_config cfg;
};

static void start_process(struct world *w)
{
    struct errmsg em;
    w->proc = sim_proc_new(w->host);
    assert_int_equal(0, io_sim_make(w->proc, 0, &w->io, &em));
}

static void stop_process(struct world *w)
{
    struct errmsg em = {""};
    io_destroy(w->io);
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("left open: %s", em.text);
    }
}

static struct world world_new(uint64_t seed)
{
    struct world w = {0};
    w.sim = sim_new(seed);
    w.sim->self_advance = true;
    w.host = sim_host_new(w.sim, DISK);
    assert_int_equal(0, sim_disk_mkdir(w.host->disk, "/d"));
    assert_int_equal(0, sim_disk_fsync_dir(w.host->disk, "/"));
    start_process(&w);
    w.cfg = (struct metadata_log_config){.log_dir = "/d",
                                         .segment_bytes = 1 << 30,
                                         .segment_ms = INT64_MAX,
                                         .retention_bytes = -1,
                                         .retention_ms = -1};
    return w;
}

static void world_free(struct world *w)
{
    stop_process(w);
    sim_free(w->sim);
}

/* Runs fn as the process. */
static void run(struct world *w, void (*fn)(void *))
{
    assert_true(sim_proc_run(w->proc, fn, w));
}

static struct metadata_log *open_log(struct world *w)
{
    struct metadata_log *log = NULL;
    struct errmsg em = {""};
    if (metadata_log_open(w->io, NULL, &w->cfg, &log, &em) != 0) {
        fail_msg("open: %s", em.text);
    }
    return log;
}

/* A batch of n records whose values tell the offset and the text. */
static void put_batch(struct buf *out, int64_t offset, int32_t epoch, int n, size_t bytes)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf value = {0};
    opt.base_offset = offset;
    opt.leader_epoch = epoch;
    batch_builder_init(&b, &opt);
    for (int i = 0; i < n; i++) {
        buf_clear(&value);
        buf_printf(&value, "record %lld ", (long long)offset + i);
        while (value.len < bytes) {
            buf_put_u8(&value, (uint8_t)('a' + value.len % 26));
        }
        batch_builder_add(&b, 1000 + offset + i, BYTES_NULL, buf_bytes(&value), NULL, 0);
    }
    assert_int_equal(0, batch_builder_finish(&b, out));
    batch_builder_free(&b);
    buf_free(&value);
}

static void append(struct metadata_log *log, int32_t epoch, int n, size_t bytes)
{
    struct buf b = {0};
    struct errmsg em = {""};
    put_batch(&b, metadata_log_end_offset(log), epoch, n, bytes);
    if (metadata_log_append(log, buf_bytes(&b), &em) != 0) {
        fail_msg("append: %s", em.text);
    }
    buf_free(&b);
}

struct flush_wait {
    bool done;
    int err;
    uint64_t index;
};

static void on_flush(void *user, int err, uint64_t index)
{
    struct flush_wait *f = user;
    *f = (struct flush_wait){true, err, index};
}

static uint64_t flush(struct world *w, struct metadata_log *log)
{
    struct flush_wait f = {0};
    metadata_log_flush(log, on_flush, &f);
    while (!f.done) {
        io_turn(w->io, 1000000);
    }
    assert_int_equal(0, f.err);
    return f.index;
}

static void close_clean(struct metadata_log *log)
{
    assert_int_equal(0, metadata_log_close_clean(log));
    metadata_log_close(log);
}

/* The records in [from, upto) are those that put_batch makes, each batch whole. */
static void check_read(struct metadata_log *log, int64_t from, int64_t upto)
{
    struct buf b = {0};
    struct errmsg em = {""};
    int64_t next = from;
    while (next < upto) {
        buf_clear(&b);
        if (metadata_log_read(log, next, 700, upto, &b, &em) != 0) {
            fail_msg("read: %s", em.text);
        }
        assert_true(b.len > 0);
        struct bytes rest = buf_bytes(&b);
        struct bytes batch;
        bool first = true;
        while (batch_next(&rest, &batch) == 1) {
            struct record_reader rr;
            struct record rec;
            assert_true(batch_crc_check(batch));
            assert_int_equal(0, record_reader_open(&rr, batch, 0));
            assert_true(first ? rr.h.base_offset <= next : rr.h.base_offset == next);
            while (record_reader_next(&rr, &rec) == 1) {
                char want[64];
                int n = snprintf(want, sizeof want, "record %lld ", (long long)rec.offset);
                assert_true(rec.value.len >= (size_t)n && memcmp(rec.value.data, want, n) == 0);
            }
            next = batch_next_offset(&rr.h);
            record_reader_close(&rr);
            first = false;
        }
        assert_int_equal(0, rest.len);
    }
    assert_int_equal(upto, next);
    buf_free(&b);
}

/* ---- ordinary life ---- */

static void fresh_log(void *arg)
{
    struct world *w = arg;
    struct metadata_log *log = open_log(w);
    assert_int_equal(0, metadata_log_end_offset(log));
    assert_int_equal(1, metadata_log_last_index(log));
    assert_int_equal(2, metadata_log_first_index(log));
    assert_int_equal(-1, metadata_log_last_epoch(log));
    assert_int_equal(-1, metadata_log_newest_snapshot(log).offset);
    append(log, 1, 1, 10);
    append(log, 1, 3, 10);
    append(log, 4, 2, 10);
    assert_int_equal(4, flush(w, log));
    assert_int_equal(6, metadata_log_end_offset(log));
    assert_int_equal(1, metadata_log_epoch_at(log, 2));
    assert_int_equal(1, metadata_log_epoch_at(log, 3));
    assert_int_equal(4, metadata_log_epoch_at(log, 4));
    int64_t end;
    assert_int_equal(0, metadata_log_end_of(log, 3, &end));
    assert_int_equal(4, end);
    assert_int_equal(ERR_RANGE, metadata_log_end_of(log, 5, &end));
    int32_t found;
    metadata_log_epoch_end(log, 3, &found, &end);
    assert_int_equal(1, found);
    assert_int_equal(4, end);
    metadata_log_epoch_end(log, 9, &found, &end);
    assert_int_equal(4, found);
    assert_int_equal(6, end);
    metadata_log_epoch_end(log, 0, &found, &end);
    assert_int_equal(-1, found);
    check_read(log, 0, 6);
    check_read(log, 2, 6); /* from the middle of a batch */
    check_read(log, 0, 4); /* up to a limit */
    struct buf b = {0};
    assert_int_equal(ERR_RANGE, metadata_log_read(log, 7, 100, 7, &b, NULL));
    assert_int_equal(0, metadata_log_read(log, 6, 100, 6, &b, NULL));
    assert_int_equal(0, b.len);
    buf_free(&b);
    metadata_log_close(log); /* as after a kill */
    for (int clean = 0; clean < 2; clean++) {
        log = open_log(w);
        assert_int_equal(6, metadata_log_end_offset(log));
        assert_int_equal(4, metadata_log_last_index(log));
        assert_int_equal(4, metadata_log_last_epoch(log));
        assert_int_equal(1, metadata_log_epoch_at(log, 3));
        check_read(log, 0, 6);
        close_clean(log);
    }
}

static void log_keeps_what_was_appended(void **state)
{
    UNUSED(state);
    struct world w = world_new(1);
    run(&w, fresh_log);
    world_free(&w);
}

static void many_segments(void *arg)
{
    struct world *w = arg;
    w->cfg.segment_bytes = 20000;
    struct metadata_log *log = open_log(w);
    for (int i = 0; i < 400; i++) {
        append(log, 1 + i / 100, 1 + i % 3, 300);
    }
    assert_int_equal(401, flush(w, log));
    int64_t end = metadata_log_end_offset(log);
    check_read(log, 0, end);
    struct buf b = {0};
    size_t sizes[5];
    assert_int_equal(0, metadata_log_read_entries(log, 200, 5, &b, sizes));
    struct bytes rest = buf_bytes(&b);
    for (int i = 0; i < 5; i++) {
        struct bytes batch;
        assert_int_equal(1, batch_next(&rest, &batch));
        assert_int_equal(sizes[i], batch.len);
    }
    buf_free(&b);
    metadata_log_close(log);
    log = open_log(w);
    assert_int_equal(end, metadata_log_end_offset(log));
    assert_int_equal(401, metadata_log_last_index(log));
    check_read(log, 0, end);
    for (uint64_t i = 2; i <= 401; i += 7) { /* entry i is batch i - 2 */
        int64_t next;
        assert_int_equal(0, metadata_log_end_of(log, i, &next));
        int64_t want = 0;
        for (uint64_t k = 0; k <= i - 2; k++) {
            want += 1 + (int64_t)(k % 3);
        }
        assert_int_equal(want, next);
        assert_int_equal(1 + (int)(i - 2) / 100, metadata_log_epoch_at(log, i));
    }
    close_clean(log);
}

static void segments_roll_and_are_read_across(void **state)
{
    UNUSED(state);
    struct world w = world_new(2);
    run(&w, many_segments);
    world_free(&w);
}

static void truncation(void *arg)
{
    struct world *w = arg;
    w->cfg.segment_bytes = 5000;
    struct metadata_log *log = open_log(w);
    for (int i = 0; i < 60; i++) {
        append(log, 1 + i / 20, 1, 300);
    }
    flush(w, log);
    assert_int_equal(0, metadata_log_truncate(log, 55, NULL)); /* in the last segment or before */
    assert_int_equal(53, metadata_log_end_offset(log));
    assert_int_equal(54, metadata_log_last_index(log));
    assert_int_equal(0, metadata_log_truncate(log, 10, NULL)); /* several segments back */
    assert_int_equal(8, metadata_log_end_offset(log));
    assert_int_equal(1, metadata_log_last_epoch(log));
    append(log, 7, 2, 300);
    append(log, 7, 2, 300);
    assert_int_equal(11, flush(w, log));
    check_read(log, 0, 12);
    metadata_log_close(log);
    log = open_log(w);
    assert_int_equal(12, metadata_log_end_offset(log));
    assert_int_equal(7, metadata_log_last_epoch(log));
    check_read(log, 0, 12);
    close_clean(log);
}

static void log_can_be_cut(void **state)
{
    UNUSED(state);
    struct world w = world_new(3);
    run(&w, truncation);
    world_free(&w);
}

/* A cut below the noted durable end of which only a part was done is no damage. */
enum { CUT_AT = 10, CUT_WRITES = 10 }; /* the entry lies several segments back */

static void before_the_cut(struct world *w)
{
    w->cfg.segment_bytes = 5000;
    struct metadata_log *log = open_log(w);
    while (metadata_log_last_index(log) < 60) {
        append(log, 1, 1, 300);
    }
    close_clean(log);
}

static void after_the_cut(struct world *w)
{
    struct metadata_log *log = open_log(w);
    int64_t end = metadata_log_end_offset(log);
    assert_true(end >= CUT_AT - 2 && end <= 59);
    check_read(log, 0, end);
    close_clean(log);
}

static void cut_that_fails(void *arg)
{
    struct world *w = arg;
    unsigned failed = 0;
    for (uint64_t nth = 1; nth <= CUT_WRITES; nth++) {
        before_the_cut(w);
        struct metadata_log *log = open_log(w);
        w->host->disk->faults.write_eio_in = nth;
        failed += metadata_log_truncate(log, CUT_AT, NULL) != 0;
        w->host->disk->faults.write_eio_in = 0;
        metadata_log_close(log);
        after_the_cut(w);
    }
    assert_true(failed >= 4); /* the noted end, the segment, its two indexes */
}

static void cut_by_a_write_that_fails_is_no_damage(void **state)
{
    UNUSED(state);
    struct world w = world_new(12);
    run(&w, cut_that_fails);
    world_free(&w);
}

static void superseded_flush(void *arg)
{
    struct world *w = arg;
    struct metadata_log *log = open_log(w);
    struct flush_wait f = {0};
    for (int i = 0; i < 10; i++) {
        append(log, 1, 1, 10);
    }
    metadata_log_flush(log, on_flush, &f);
    assert_int_equal(0, metadata_log_truncate(log, 6, NULL));
    append(log, 2, 1, 10);
    while (!f.done) {
        io_turn(w->io, 1000000);
    }
    assert_int_equal(5, f.index); /* entry 6 is another one by now */
    assert_int_equal(6, flush(w, log));
    close_clean(log);
}

static void flush_of_entries_that_were_cut_does_not_count_them(void **state)
{
    UNUSED(state);
    struct world w = world_new(4);
    run(&w, superseded_flush);
    world_free(&w);
}

static void failed_flush(void *arg)
{
    struct world *w = arg;
    w->cfg.segment_bytes = 3000;
    struct metadata_log *log = open_log(w);
    struct flush_wait f = {0};
    append(log, 1, 1, 300);
    flush(w, log);
    append(log, 1, 1, 5000); /* pages of its own, in a segment of its own */
    metadata_log_flush(log, on_flush, &f);
    w->host->disk->faults.fsync_eio_in = 1;
    sim_clock_advance(&w->sim->clock, 1000000);
    sim_clock_run_due(&w->sim->clock); /* it has failed, and nobody has heard it yet */
    append(log, 1, 1, 300);
    while (!f.done) {
        io_turn(w->io, 1000000);
    }
    assert_int_equal(ERR_IO, f.err);
    metadata_log_close(log);
}

/* The kernel may go on showing what the flush gave up. */
static void start_after_a_failed_flush(bool shown)
{
    struct world w = world_new(13);
    w.host->disk->keeps_dropped = shown;
    run(&w, failed_flush);
    io_destroy(w.io);
    sim_proc_kill(w.proc);
    start_process(&w);
    struct metadata_log *log = open_log(&w);
    assert_int_equal(1, metadata_log_end_offset(log));
    close_clean(log);
    world_free(&w);
}

static void what_a_failed_flush_leaves_is_a_torn_tail(void **state)
{
    UNUSED(state);
    start_after_a_failed_flush(false);
    start_after_a_failed_flush(true);
}

/* ---- Kafka's files ---- */

static struct buf read_data(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/metadata/%s", TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("cannot open %s", path);
    }
    struct buf b = {0};
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        buf_put(&b, part, n);
    }
    fclose(f);
    return b;
}

static void put_file(struct io *io, const char *path, const struct buf *b)
{
    assert_int_equal(0, io_replace_file(io, path, b->data, b->len));
}

static void copy_kafka_dir(struct io *io, const char *dir, const char *const *files, size_t n)
{
    io_mkdir(io, "/d/__cluster_metadata-0");
    for (size_t i = 0; i < n; i++) {
        char from[256];
        char to[256];
        snprintf(from, sizeof from, "%s/__cluster_metadata-0/%s", dir, files[i]);
        snprintf(to, sizeof to, "/d/__cluster_metadata-0/%s", files[i]);
        struct buf b = read_data(from);
        put_file(io, to, &b);
        buf_free(&b);
    }
}

static void assert_same_file(struct io *io, const char *path, const char *kafkas)
{
    struct buf ours = {0};
    struct buf theirs = read_data(kafkas);
    assert_int_equal(0, io_read_file(io, path, 1 << 24, &ours));
    assert_int_equal(theirs.len, ours.len);
    assert_memory_equal(theirs.data, ours.data, ours.len);
    buf_free(&ours);
    buf_free(&theirs);
}

static void replay_kafka(void *arg)
{
    struct world *w = arg;
    struct buf kafka = read_data("metadata-node1/__cluster_metadata-0/00000000000000000000.log");
    struct metadata_log *log = open_log(w);
    struct bytes rest = buf_bytes(&kafka);
    struct bytes batch;
    while (batch_next(&rest, &batch) == 1) {
        assert_int_equal(0, metadata_log_append(log, batch, NULL));
    }
    struct bytes voters;
    assert_int_equal(1, metadata_log_kraft_version(log, &voters));
    assert_true(voters.len > 16);
    close_clean(log);
    buf_free(&kafka);
    static const char *const files[] = {"00000000000000000000.log", "00000000000000000000.index",
                                        "00000000000000000000.timeindex", "leader-epoch-checkpoint",
                                        "partition.metadata"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char ours[128];
        char theirs[128];
        snprintf(ours, sizeof ours, "/d/__cluster_metadata-0/%s", files[i]);
        snprintf(theirs, sizeof theirs, "metadata-node1/__cluster_metadata-0/%s", files[i]);
        assert_same_file(w->io, ours, theirs);
    }
}

static void files_are_those_that_kafka_writes(void **state)
{
    UNUSED(state);
    struct world w = world_new(5);
    run(&w, replay_kafka);
    world_free(&w);
}

static const char *const node1_files[] = {"00000000000000000000-0000000000.checkpoint",
                                          "00000000000000000000.index",
                                          "00000000000000000000.log",
                                          "00000000000000000000.timeindex",
                                          "00000000000000000090-0000000001.checkpoint",
                                          "00000000000000000163-0000000001.checkpoint",
                                          "00000000000000000229-0000000001.checkpoint",
                                          "00000000000000000308-0000000001.checkpoint",
                                          "00000000000000000341.snapshot",
                                          "leader-epoch-checkpoint",
                                          "partition.metadata",
                                          "quorum-state"};

static void open_kafka(void *arg)
{
    struct world *w = arg;
    copy_kafka_dir(w->io, "metadata-node1", node1_files, ARRAY_LEN(node1_files));
    struct metadata_log *log = open_log(w);
    assert_int_equal(341, metadata_log_end_offset(log));
    assert_int_equal(308, metadata_log_newest_snapshot(log).offset);
    assert_int_equal(1, metadata_log_newest_snapshot(log).epoch);
    assert_int_equal(309, metadata_log_snapshot_index(log)); /* by the rule for imports */
    assert_int_equal(310, metadata_log_first_index(log));
    assert_int_equal(1, metadata_log_last_epoch(log));
    struct bytes voters;
    assert_int_equal(1, metadata_log_kraft_version(log, &voters));
    assert_false(bytes_is_null(voters));
    struct quorum_state qs;
    assert_int_equal(0, quorum_state_read(w->io, "/d/__cluster_metadata-0", &qs, NULL));
    assert_int_equal(1, qs.data_version);
    assert_int_equal(1, qs.epoch);
    assert_int_equal(1, qs.leader_id);
    struct buf all = {0}; /* old entries are still read by offset */
    assert_int_equal(0, metadata_log_read(log, 100, 1 << 20, 341, &all, NULL));
    struct bytes rest = buf_bytes(&all);
    struct bytes batch;
    int64_t next = 0;
    while (batch_next(&rest, &batch) == 1) {
        struct batch_header h;
        assert_int_equal(0, batch_header_read(batch, &h));
        next = batch_next_offset(&h);
    }
    assert_int_equal(341, next);
    buf_free(&all);
    append(log, 2, 3, 50);
    uint64_t last = flush(w, log);
    metadata_log_close(log);
    log = open_log(w);
    assert_int_equal(last, metadata_log_last_index(log));
    assert_int_equal(344, metadata_log_end_offset(log));
    close_clean(log);
    /* Its index file has gone on where Kafka's ended. */
    struct buf ours = {0};
    struct buf theirs = read_data("metadata-node1/__cluster_metadata-0/00000000000000000000.index");
    assert_int_equal(0, io_read_file(w->io, "/d/__cluster_metadata-0/00000000000000000000.index",
                                     1 << 20, &ours));
    assert_true(ours.len >= theirs.len);
    assert_memory_equal(ours.data, theirs.data, theirs.len);
    buf_free(&ours);
    buf_free(&theirs);
}

static void kafkas_directory_is_opened_and_continued(void **state)
{
    UNUSED(state);
    struct world w = world_new(6);
    run(&w, open_kafka);
    world_free(&w);
}

static void open_cluster3(void *arg)
{
    struct world *w = arg;
    static const char *const files[] = {
        "00000000000000000000.index", "00000000000000000000.log", "00000000000000000000.timeindex",
        "leader-epoch-checkpoint",    "partition.metadata",       "quorum-state"};
    copy_kafka_dir(w->io, "cluster3-node1", files, ARRAY_LEN(files));
    struct metadata_log *log = open_log(w);
    assert_int_equal(543, metadata_log_end_offset(log));
    struct bytes voters;
    assert_int_equal(0, metadata_log_kraft_version(log, &voters));
    assert_true(bytes_is_null(voters));
    close_clean(log);
    assert_same_file(w->io, "/d/__cluster_metadata-0/leader-epoch-checkpoint",
                     "cluster3-node1/__cluster_metadata-0/leader-epoch-checkpoint");
    struct quorum_state qs;
    assert_int_equal(0, quorum_state_read(w->io, "/d/__cluster_metadata-0", &qs, NULL));
    static const int32_t ids[] = {1, 2, 3};
    assert_int_equal(0, quorum_state_write(w->io, "/d/__cluster_metadata-0", &qs, ids, 3, NULL));
    assert_same_file(w->io, "/d/__cluster_metadata-0/quorum-state",
                     "cluster3-node1/__cluster_metadata-0/quorum-state");
}

static int vote(struct world *w, int32_t epoch)
{
    static const int32_t ids[] = {1, 2, 3};
    struct quorum_state s = {epoch, -1, 2, 0};
    struct errmsg em = {""};
    int err = quorum_state_write(w->io, "/d/__cluster_metadata-0", &s, ids, 3, &em);
    assert_true(err == 0 || strstr(em.text, "quorum-state: no space left"));
    return err;
}

static void vote_on_a_full_disk(void *arg)
{
    struct world *w = arg;
    struct sim_disk *disk = w->host->disk;
    struct quorum_state s;
    close_clean(open_log(w));
    assert_int_equal(0, vote(w, 1));
    for (int32_t epoch = 2; epoch < 20; epoch++) { /* one after another */
        disk->capacity = disk->used;
        assert_int_equal(0, vote(w, epoch));
        assert_true(disk->used <= disk->capacity);
    }
    /* others were quicker, and then there is room again */
    uint64_t before = disk->used;
    assert_int_equal(0, io_unlink(w->io, "/d/__cluster_metadata-0/quorum-state.reserve"));
    assert_true(disk->used < before);
    disk->capacity = disk->used;
    assert_int_equal(ERR_NOSPACE, vote(w, 20));
    assert_int_equal(0, quorum_state_read(w->io, "/d/__cluster_metadata-0", &s, NULL));
    assert_int_equal(19, s.epoch); /* as it was */
    disk->capacity = DISK;
    assert_int_equal(0, vote(w, 21));
    disk->capacity = disk->used;
    assert_int_equal(0, vote(w, 22));
}

static void votes_have_a_reserve_on_a_full_disk(void **state)
{
    UNUSED(state);
    struct world w = world_new(7);
    run(&w, vote_on_a_full_disk);
    world_free(&w);
}

static void log_of_three_voters_is_opened(void **state)
{
    UNUSED(state);
    struct world w = world_new(7);
    run(&w, open_cluster3);
    world_free(&w);
}

/* ---- snapshots ---- */

static void take_snapshot(struct metadata_log *log, uint64_t index, int records)
{
    struct metadata_snapshot_writer *sw;
    struct errmsg em = {""};
    int64_t end;
    assert_int_equal(0, metadata_log_end_of(log, index, &end));
    struct metadata_snapshot_id id = {end, metadata_log_epoch_at(log, index)};
    if (metadata_snapshot_begin(log, id, index, 5000, 6000, &sw, &em) != 0) {
        fail_msg("%s", em.text);
    }
    for (int i = 0; i < records; i++) {
        assert_int_equal(0, metadata_snapshot_put(sw, bytes_str("some record"), &em));
    }
    if (metadata_snapshot_finish(sw, &em) != 0) {
        fail_msg("%s", em.text);
    }
}

static void snapshots(void *arg)
{
    struct world *w = arg;
    w->cfg.segment_bytes = 5000;
    struct metadata_log *log = open_log(w);
    for (int i = 0; i < 100; i++) {
        append(log, 1, 2, 300);
    }
    flush(w, log);
    take_snapshot(log, 50, 40000); /* several batches */
    take_snapshot(log, 80, 3);
    assert_int_equal(158, metadata_log_newest_snapshot(log).offset);
    uint64_t size;
    assert_int_equal(0, metadata_log_snapshot_size(log, metadata_log_newest_snapshot(log), &size));
    struct buf b = {0};
    assert_int_equal(
        0, metadata_log_snapshot_read(log, metadata_log_newest_snapshot(log), 0, 1 << 20, &b));
    assert_int_equal(size, b.len);
    buf_free(&b);
    assert_int_equal(ERR_NOTFOUND, metadata_log_snapshot_size(
                                       log, (struct metadata_snapshot_id){55555, 9}, &size));
    metadata_log_close(log);
    log = open_log(w);
    assert_int_equal(80, metadata_log_snapshot_index(log));
    assert_int_equal(81, metadata_log_first_index(log));
    assert_int_equal(101, metadata_log_last_index(log));
    assert_int_equal(200, metadata_log_end_offset(log));
    assert_int_equal(0, metadata_log_start_offset(log));
    check_read(log, 0, 200);
    /* retention: the oldest snapshot goes, and with it the segments that the next one covers */
    metadata_log_close(log);
    w->cfg.retention_bytes = 1000;
    log = open_log(w);
    assert_int_equal(0, metadata_log_retain(log, io_wall_ms(w->io), NULL));
    assert_int_equal(158, metadata_log_start_offset(log));
    assert_int_equal(158, metadata_log_newest_snapshot(log).offset);
    check_read(log, 158, 200);
    struct buf none = {0};
    assert_int_equal(ERR_RANGE, metadata_log_read(log, 10, 100, 200, &none, NULL));
    metadata_log_close(log);
    log = open_log(w);
    assert_true(metadata_log_start_offset(log) <= 158);
    assert_true(metadata_log_start_offset(log) > 100);
    assert_int_equal(101, metadata_log_last_index(log));
    close_clean(log);
}

static void snapshots_are_kept_and_the_log_starts_behind_them(void **state)
{
    UNUSED(state);
    struct world w = world_new(8);
    run(&w, snapshots);
    world_free(&w);
}

/* ---- damage ---- */

static void expect_refusal(struct world *w, const char *word)
{
    struct metadata_log *log;
    struct errmsg em = {""};
    int err = metadata_log_open(w->io, NULL, &w->cfg, &log, &em);
    assert_int_equal(ERR_CORRUPT, err);
    if (strstr(em.text, word) == NULL || strstr(em.text, "/d/__cluster_metadata-0") == NULL) {
        fail_msg("the sentence lacks '%s' or the file: %s", word, em.text);
    }
}

static void damage(void *arg)
{
    struct world *w = arg;
    static const char log_file[] = "/d/__cluster_metadata-0/00000000000000000000.log";
    static const char anchors[] = "/d/__cluster_metadata-0/raft-index-checkpoint";
    struct metadata_log *log = open_log(w);
    for (int i = 0; i < 20; i++) {
        append(log, 1, 1, 100);
    }
    close_clean(log);
    /* a flipped bit in what was durable */
    assert_int_equal(0, sim_disk_corrupt(w->host->disk, log_file, 1000, 3));
    expect_refusal(w, "damaged");
    assert_int_equal(0, sim_disk_corrupt(w->host->disk, log_file, 1000, 3));
    /* cut below what was durable */
    struct io_file *f;
    struct buf whole = {0};
    assert_int_equal(0, io_read_file(w->io, log_file, 1 << 20, &whole));
    size_t batch = whole.len / 20; /* all of one size but for the digits */
    assert_int_equal(0, io_open(w->io, log_file, IO_OPEN_WRITE, &f));
    assert_int_equal(0, io_truncate(f, whole.len - 1));
    expect_refusal(w, "damaged");
    struct bytes rest = buf_bytes(&whole);
    struct bytes b;
    size_t keep = 0;
    for (int i = 0; i < 10 && batch_next(&rest, &b) == 1; i++) {
        keep += b.len;
    }
    assert_int_equal(0, io_truncate(f, keep)); /* at a batch's end: nothing looks wrong */
    expect_refusal(w, "durable");
    assert_true(batch > 0);
    assert_int_equal((int64_t)whole.len, io_pwrite(f, whole.data, whole.len, 0));
    io_file_close(f);
    buf_free(&whole);
    log = open_log(w);
    assert_int_equal(20, metadata_log_end_offset(log));
    close_clean(log);
    /* our own file */
    struct buf text = {0};
    assert_int_equal(0, io_read_file(w->io, anchors, 1000, &text));
    static const char *const bad[] = {
        "", "1\n0\n", "0\n2\n1 1 5\n", "0\n1\n0 1 5\n", "0\nx", "0\n2\n9 1 9\n8 1 8\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(0, io_replace_file(w->io, anchors, bad[i], strlen(bad[i])));
        expect_refusal(w, "raft-index-checkpoint");
    }
    put_file(w->io, anchors, &text);
    buf_free(&text);
    close_clean(open_log(w));
}

static void damage_is_refused_with_a_sentence(void **state)
{
    UNUSED(state);
    struct world w = world_new(9);
    run(&w, damage);
    world_free(&w);
}

static void damaged_snapshot(void *arg)
{
    struct world *w = arg;
    struct metadata_log *log = open_log(w);
    for (int i = 0; i < 20; i++) {
        append(log, 1, 1, 100);
    }
    flush(w, log);
    take_snapshot(log, 10, 5);
    close_clean(log);
    assert_int_equal(
        0, sim_disk_corrupt(w->host->disk,
                            "/d/__cluster_metadata-0/00000000000000000009-0000000001.checkpoint",
                            100, 1));
    log = open_log(w); /* the log reaches back to the start: the snapshot gives way */
    assert_int_equal(-1, metadata_log_newest_snapshot(log).offset);
    assert_int_equal(20, metadata_log_end_offset(log));
    assert_int_equal(21, metadata_log_last_index(log));
    take_snapshot(log, 10, 5);
    close_clean(log);
    /* Now with a log that begins at the snapshot. */
    struct io_file *f;
    assert_int_equal(0, io_unlink(w->io, "/d/__cluster_metadata-0/00000000000000000000.log"));
    assert_int_equal(0, io_open(w->io, "/d/__cluster_metadata-0/00000000000000000009.log",
                                IO_OPEN_WRITE | IO_OPEN_CREATE, &f));
    io_file_close(f);
    assert_int_equal(
        0, sim_disk_corrupt(w->host->disk,
                            "/d/__cluster_metadata-0/00000000000000000009-0000000001.checkpoint",
                            100, 1));
    expect_refusal(w, "snapshot");
}

static void damaged_snapshot_gives_way_only_if_nothing_is_lost(void **state)
{
    UNUSED(state);
    struct world w = world_new(10);
    run(&w, damaged_snapshot);
    world_free(&w);
}

/* ---- kills and power losses ---- */

/* Shared with the parent, who looks at it when the child's process has died. */
struct progress {
    int64_t durable;
    int64_t appended;
    int64_t snapshot;
};

struct crash_run {
    struct world *w;
    struct progress p;
    struct prng rng;
};

static void live(void *arg)
{
    struct crash_run *c = arg;
    struct world *w = c->w;
    struct metadata_log *log = open_log(w);
    int64_t end = metadata_log_end_offset(log);
    if (end < c->p.durable || end > c->p.appended) {
        fail_msg("log ends at %lld; durable were %lld, written %lld", (long long)end,
                 (long long)c->p.durable, (long long)c->p.appended);
    }
    if (metadata_log_newest_snapshot(log).offset < c->p.snapshot) {
        fail_msg("a snapshot is gone");
    }
    if (metadata_log_start_offset(log) < end) {
        check_read(log, metadata_log_start_offset(log), end);
    }
    c->p.durable = end; /* opening makes it so */
    c->p.appended = end;
    int32_t epoch = metadata_log_last_epoch(log) + 1;
    for (int i = 0; i < 30; i++) {
        int n = 1 + (int)prng_below(&c->rng, 3);
        c->p.appended += n; /* first: the write may happen and the call not return */
        append(log, epoch, n, 50 + prng_below(&c->rng, 900));
        if (prng_below(&c->rng, 3) == 0) {
            int64_t upto = metadata_log_end_offset(log);
            flush(w, log);
            c->p.durable = upto;
        }
        if (prng_below(&c->rng, 12) == 0 && !metadata_log_flushing(log)) {
            int64_t upto = metadata_log_end_offset(log);
            flush(w, log);
            c->p.durable = upto;
            take_snapshot(log, metadata_log_last_index(log), 20);
            c->p.snapshot = metadata_log_newest_snapshot(log).offset;
            assert_int_equal(0, metadata_log_retain(log, io_wall_ms(w->io), NULL));
        }
        if (prng_below(&c->rng, 10) == 0) {
            assert_int_equal(0, metadata_log_note_durable(log, NULL));
        }
    }
    close_clean(log);
    c->p.durable = c->p.appended;
}

/* One seed in a process of its own: dying leaves memory behind. */
static void crash_seed(uint64_t seed)
{
    struct world w = world_new(seed);
    struct crash_run c = {.w = &w, .p = {0, 0, -1}};
    w.sim->trace = getenv("TRACE") ? stdout : NULL;
    prng_seed(&c.rng, seed);
    w.cfg.segment_bytes = 4000 + (int64_t)prng_below(&c.rng, 8000);
    w.cfg.retention_bytes = 10000;
    for (int round = 0; round < 8; round++) {
        sim_proc_die_in(w.proc, 1 + prng_below(&c.rng, 120));
        bool alive = sim_proc_run(w.proc, live, &c);
        if (alive) {
            io_destroy(w.io);
            struct errmsg em;
            sim_proc_end(w.proc, &em);
            w.proc = NULL;
        }
        if (prng_below(&c.rng, 2)) {
            sim_host_power_loss(w.host); /* also ends a process that lives */
            sim_host_power_on(w.host);
        } else if (w.proc) {
            sim_proc_kill(w.proc);
        }
        start_process(&w);
    }
}

static void kills_and_power_losses_lose_nothing_durable(void **state)
{
    UNUSED(state);
    const char *from = getenv("SEED");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    uint64_t count = from ? 1 : 120;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (from) {
            crash_seed(seed);
            continue;
        }
        pid_t pid = fork();
        if (pid == 0) {
            crash_seed(seed);
            _exit(0);
        }
        int status;
        assert_int_equal(pid, waitpid(pid, &status, 0));
        if (status != 0) {
            fail_msg("seed %llu failed with status %d (run again with SEED=%llu)",
                     (unsigned long long)seed, status, (unsigned long long)seed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_keeps_what_was_appended),
        cmocka_unit_test(segments_roll_and_are_read_across),
        cmocka_unit_test(log_can_be_cut),
        cmocka_unit_test(cut_by_a_write_that_fails_is_no_damage),
        cmocka_unit_test(flush_of_entries_that_were_cut_does_not_count_them),
        cmocka_unit_test(what_a_failed_flush_leaves_is_a_torn_tail),
        cmocka_unit_test(files_are_those_that_kafka_writes),
        cmocka_unit_test(kafkas_directory_is_opened_and_continued),
        cmocka_unit_test(log_of_three_voters_is_opened),
        cmocka_unit_test(votes_have_a_reserve_on_a_full_disk),
        cmocka_unit_test(snapshots_are_kept_and_the_log_starts_behind_them),
        cmocka_unit_test(damage_is_refused_with_a_sentence),
        cmocka_unit_test(damaged_snapshot_gives_way_only_if_nothing_is_lost),
        cmocka_unit_test(kills_and_power_losses_lose_nothing_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
