/* A snapshot of another voter takes the log's place: kills and power losses between any two calls
 * leave the old log or the new one, never something in between. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "controller/metadata_log.h"
#include "proto/record_batch.h"
#include "sim/io_sim.h"

enum {
    OLD_END = 30,  /* of the log that was there */
    OLD_SNAP = 10, /* its snapshot */
    OFFSET = 100,  /* of the snapshot that comes */
    EPOCH = 7,
    INDEX = 60,
};

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct metadata_log_config cfg;
    struct buf file; /* of the snapshot */
    bool installed;  /* metadata_log_install has returned */
};

static struct metadata_log *open_log(struct world *w, const char *dir)
{
    struct metadata_log *log = NULL;
    struct errmsg em = {""};
    w->cfg.log_dir = dir;
    if (metadata_log_open(w->io, NULL, &w->cfg, &log, &em) != 0) {
        fail_msg("open: %s", em.text);
    }
    return log;
}

static void append(struct metadata_log *log, int32_t epoch, int n)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf out = {0};
    struct errmsg em;
    opt.base_offset = metadata_log_end_offset(log);
    opt.leader_epoch = epoch;
    batch_builder_init(&b, &opt);
    for (int i = 0; i < n; i++) {
        batch_builder_add(&b, 5, BYTES_NULL, bytes_str("value"), NULL, 0);
    }
    assert_int_equal(0, batch_builder_finish(&b, &out));
    assert_int_equal(0, metadata_log_append(log, buf_bytes(&out), &em));
    batch_builder_free(&b);
    buf_free(&out);
}

static void take_snapshot(struct metadata_log *log, struct metadata_snapshot_id id, uint64_t index)
{
    struct metadata_snapshot_writer *sw;
    struct errmsg em;
    assert_int_equal(0, metadata_snapshot_begin(log, id, index, 1, 2, &sw, &em));
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(0, metadata_snapshot_put(sw, bytes_str("a record of the image"), &em));
    }
    assert_int_equal(0, metadata_snapshot_finish(sw, &em));
}

/* The other voter's file, and the log that is to be replaced. */
static void prepare(void *arg)
{
    struct world *w = arg;
    struct errmsg em;
    struct metadata_log *log = open_log(w, "/other");
    append(log, EPOCH, OFFSET);
    take_snapshot(log, (struct metadata_snapshot_id){OFFSET, EPOCH}, INDEX);
    assert_int_equal(0,
                     metadata_log_snapshot_read(log, (struct metadata_snapshot_id){OFFSET, EPOCH},
                                                0, 1 << 20, &w->file));
    metadata_log_close(log);
    log = open_log(w, "/d");
    append(log, 1, OLD_SNAP);
    take_snapshot(log, (struct metadata_snapshot_id){OLD_SNAP, 1}, 2);
    append(log, 3, OLD_END - OLD_SNAP);
    assert_int_equal(0, metadata_log_note_durable(log, &em));
    assert_int_equal(0, metadata_log_close_clean(log));
    metadata_log_close(log);
}

static void install(void *arg)
{
    struct world *w = arg;
    struct metadata_log *log = open_log(w, "/d");
    struct metadata_incoming *in;
    struct errmsg em = {{0}};
    assert_int_equal(0, metadata_incoming_begin(log, (struct metadata_snapshot_id){OFFSET, EPOCH},
                                                INDEX, &in, &em));
    for (size_t at = 0; at < w->file.len; at += 10000) {
        size_t n = w->file.len - at < 10000 ? w->file.len - at : 10000;
        assert_int_equal(0, metadata_incoming_put(in, bytes_of(w->file.data + at, n), &em));
    }
    assert_int_equal(w->file.len, metadata_incoming_size(in));
    assert_int_equal(0, metadata_incoming_check(in, &em));
    if (metadata_log_install(in, &em) != 0) {
        fail_msg("%s", em.text);
    }
    w->installed = true;
    append(log, EPOCH + 1, 5);
    assert_int_equal(0, metadata_log_close_clean(log));
    metadata_log_close(log);
}

static void check_new(struct metadata_log *log, bool with_more)
{
    struct metadata_snapshot_id id = metadata_log_newest_snapshot(log);
    int64_t end = metadata_log_end_offset(log);
    assert_int_equal(OFFSET, id.offset);
    assert_int_equal(EPOCH, id.epoch);
    assert_int_equal(INDEX, metadata_log_snapshot_index(log));
    assert_int_equal(OFFSET, metadata_log_start_offset(log));
    assert_true(end == OFFSET || end == OFFSET + 5);
    assert_true(!with_more || end == OFFSET + 5);
    assert_int_equal(INDEX + (end > OFFSET), metadata_log_last_index(log));
    assert_int_equal(INDEX + 1, metadata_log_first_index(log));
    assert_int_equal(end > OFFSET ? EPOCH + 1 : EPOCH, metadata_log_last_epoch(log));
}

static void check(void *arg)
{
    struct world *w = arg;
    struct metadata_log *log = open_log(w, "/d");
    if (metadata_log_newest_snapshot(log).offset == OFFSET) {
        check_new(log, false);
    } else {
        assert_false(w->installed);
        assert_int_equal(OLD_SNAP, metadata_log_newest_snapshot(log).offset);
        assert_int_equal(OLD_END, metadata_log_end_offset(log));
        assert_int_equal(3, metadata_log_last_index(log));
    }
    metadata_log_close(log);
    log = open_log(w, "/d"); /* and what was finished stays so */
    metadata_log_close(log);
}

static void start_process(struct world *w)
{
    struct errmsg em;
    w->proc = sim_proc_new(w->host);
    assert_int_equal(0, io_sim_make(w->proc, 0, &w->io, &em));
}

static struct world world_new(uint64_t seed)
{
    struct world w = {0};
    w.sim = sim_new(seed);
    w.sim->self_advance = true;
    w.host = sim_host_new(w.sim, 1 << 28);
    assert_int_equal(0, sim_disk_mkdir(w.host->disk, "/d"));
    assert_int_equal(0, sim_disk_mkdir(w.host->disk, "/other"));
    assert_int_equal(0, sim_disk_fsync_dir(w.host->disk, "/"));
    start_process(&w);
    w.cfg = (struct metadata_log_config){.segment_bytes = 1 << 30,
                                         .segment_ms = INT64_MAX,
                                         .retention_bytes = -1,
                                         .retention_ms = -1};
    return w;
}

static void world_free(struct world *w)
{
    struct errmsg em = {""};
    io_destroy(w->io);
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("left open: %s", em.text);
    }
    sim_free(w->sim);
    buf_free(&w->file);
}

/* Dies before the n-th call of the installing process; false: it came to its end. */
static bool die_in(uint64_t n, bool power)
{
    struct world w = world_new(n);
    assert_true(sim_proc_run(w.proc, prepare, &w));
    sim_proc_die_in(w.proc, n);
    bool alive = sim_proc_run(w.proc, install, &w);
    if (alive) {
        assert_true(w.installed);
        w.proc->die_at = 0;
    } else {
        sim_proc_kill(w.proc);
        if (power) {
            sim_host_power_loss(w.host);
            sim_host_power_on(w.host);
        }
        start_process(&w);
    }
    assert_true(sim_proc_run(w.proc, check, &w));
    world_free(&w);
    return !alive;
}

/* In a process of its own: dying leaves memory behind. */
static bool dies(uint64_t n, bool power)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(die_in(n, power) ? 10 : 11);
    }
    assert_int_equal(pid, waitpid(pid, &status, 0));
    if (!WIFEXITED(status) || WEXITSTATUS(status) < 10) {
        fail_msg("dying before call %llu (power %d) ends with %d", (unsigned long long)n, power,
                 status);
    }
    return WEXITSTATUS(status) == 10;
}

static void an_installation_is_whole_or_not_begun(void **state)
{
    UNUSED(state);
    for (int power = 0; power < 2; power++) {
        uint64_t n = 1;
        while (dies(n, power)) {
            n++;
        }
        assert_true(n > 20);
    }
}

static void damaged(void *arg)
{
    struct world *w = arg;
    struct metadata_log *log = open_log(w, "/d");
    struct metadata_incoming *in;
    struct errmsg em = {{0}};
    const struct metadata_snapshot_id id = {OFFSET, EPOCH};
    for (int what = 0; what < 3; what++) {
        struct bytes b = buf_bytes(&w->file);
        assert_int_equal(0, metadata_incoming_begin(log, id, INDEX, &in, &em));
        b.len = what == 0 ? b.len - 1 : what == 1 ? b.len / 2 : b.len;
        w->file.data[b.len / 3] ^= what == 2;
        assert_int_equal(0, metadata_incoming_put(in, b, &em));
        assert_int_equal(ERR_CORRUPT, metadata_incoming_check(in, &em));
        metadata_incoming_abandon(in);
    }
    metadata_log_close(log);
    check(w);
}

static void a_damaged_one_is_not_taken(void **state)
{
    UNUSED(state);
    struct world w = world_new(1);
    assert_true(sim_proc_run(w.proc, prepare, &w));
    assert_true(sim_proc_run(w.proc, damaged, &w));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_installation_is_whole_or_not_begun),
        cmocka_unit_test(a_damaged_one_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
