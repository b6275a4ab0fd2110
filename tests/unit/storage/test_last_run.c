/* The note of the last run in a log directory: who believes it, and who takes it away. */
#include "storage/last_run.h"

#include "sim/io_sim.h"
#include "storage_rig.h"

static struct uuid some_run(void)
{
    struct uuid id = UUID_ZERO;
    memcpy(id.b, "a run of a broke", 16);
    return id;
}

static void put_text(const char *dir, const char *text, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/" LAST_RUN_FILE, dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void is_read_whole_or_not_at_all(void **state)
{
    struct rig r;
    struct last_run run = {.kernel = "k", .broker_epoch = 12, .incarnation = some_run()};
    struct last_run got;
    struct buf text = {0};
    char path[128];
    (void)state;
    rig_init(&r);
    snprintf(path, sizeof path, "%s/" LAST_RUN_FILE, r.dir);
    assert_int_equal(last_run_read(r.io, r.dir, &got), ERR_NOTFOUND);
    assert_int_equal(last_run_remove(r.io, r.dir), 0);
    assert_int_equal(last_run_write(r.io, r.dir, &run), 0);
    assert_int_equal(last_run_read(r.io, r.dir, &got), 0);
    assert_string_equal(got.kernel, "k");
    assert_int_equal(got.broker_epoch, 12);
    assert_true(uuid_eq(got.incarnation, run.incarnation));
    assert_int_equal(io_read_file(r.io, path, 1000, &text), 0);
    for (size_t n = 0; n < text.len; n++) {
        put_text(r.dir, buf_cstr(&text), n);
        assert_int_equal(last_run_read(r.io, r.dir, &got), ERR_CORRUPT);
    }
    buf_put_str(&text, " ");
    put_text(r.dir, buf_cstr(&text), text.len);
    assert_int_equal(last_run_read(r.io, r.dir, &got), ERR_CORRUPT);
    assert_int_equal(last_run_remove(r.io, r.dir), 0);
    assert_int_equal(last_run_read(r.io, r.dir, &got), ERR_NOTFOUND);
    buf_free(&text);
    rig_free(&r);
}

static int fail_to_unlink(struct io *io, const char *path)
{
    (void)io;
    (void)path;
    return ERR_PERM;
}

static void is_emptied_where_it_cannot_be_removed(void **state)
{
    struct rig r;
    struct last_run run = {.kernel = "k", .broker_epoch = 12, .incarnation = some_run()};
    (void)state;
    rig_init(&r);
    const struct io_ops *real = r.io->ops;
    struct io_ops failing = *real;
    failing.unlink = fail_to_unlink;
    assert_int_equal(last_run_write(r.io, r.dir, &run), 0);
    r.io->ops = &failing;
    assert_int_equal(last_run_remove(r.io, r.dir), 0);
    assert_int_equal(last_run_read(r.io, r.dir, &run), ERR_CORRUPT);
    r.io->ops = real;
    assert_int_equal(last_run_remove(r.io, r.dir), 0);
    rig_free(&r);
}

static struct log_dir *open_dir(struct rig *r)
{
    struct log_dir *d = NULL;
    struct errmsg em = {{0}};
    if (log_dir_open(r->io, &r->lg, 0, r->dir, false, &d, &em) != 0) {
        fail_msg("%s", em.text);
    }
    return d;
}

/* A crash keeps the directory; a stop does not need to be believed; a start that took its mark away
 * and did not come far has kept it all the same. */
static void tells_a_kill_from_a_loss_of_power(void **state)
{
    struct rig r;
    struct last_run run;
    (void)state;
    rig_init_in(&r, "/dev/shm"); /* a file system that vouches for its files */
    struct log_dir *d = open_dir(&r);
    assert_false(d->kept);
    assert_true(d->kernel[0] != 0);
    assert_int_equal(log_dir_note_run(d, 5, some_run()), 0);
    log_dir_close(d, false, -1);
    d = open_dir(&r);
    assert_true(d->kept && !d->clean);
    assert_int_equal(d->last_run.broker_epoch, 5);
    assert_true(uuid_eq(d->last_run.incarnation, some_run()));
    log_dir_all_open(d);
    assert_int_equal(log_dir_close(d, true, 9), 0);
    assert_int_equal(last_run_read(r.io, r.dir, &run), ERR_NOTFOUND);

    d = open_dir(&r);
    assert_true(d->clean && !d->kept);
    log_dir_close(d, false, -1);
    d = open_dir(&r);
    assert_true(d->kept && !d->clean);
    assert_int_equal(d->last_run.broker_epoch, 9);
    assert_true(uuid_is_zero(d->last_run.incarnation));
    log_dir_all_open(d);
    d->previous_broker_epoch = 9;
    assert_int_equal(log_dir_note_run(d, 9, some_run()), 0); /* it registers, and is told to stop */
    assert_int_equal(log_dir_close(d, true, -1), 0);
    d = open_dir(&r);
    assert_true(d->kept && d->clean);
    assert_int_equal(d->previous_broker_epoch, 9);
    assert_true(uuid_eq(d->last_run.incarnation, some_run()));
    log_dir_close(d, false, -1);

    assert_int_equal(last_run_read(r.io, r.dir, &run), 0);
    run.kernel[0] ^= 1; /* the machine has booted */
    assert_int_equal(last_run_write(r.io, r.dir, &run), 0);
    d = open_dir(&r);
    assert_false(d->kept);
    log_dir_close(d, false, -1);
    rig_free(&r);
}

static int fail_to_sync(struct io *io, const char *path)
{
    (void)io;
    (void)path;
    return ERR_IO;
}

/* Nobody may ever hear of it again: the error is told once. */
static void goes_when_the_disk_lost_a_write(void **state)
{
    struct rig r;
    (void)state;
    rig_init_in(&r, "/dev/shm");
    const struct io_ops *real = r.io->ops;
    struct io_ops failing = *real;
    failing.sync_fs = fail_to_sync;
    struct log_dir *d = open_dir(&r);
    assert_int_equal(log_dir_note_run(d, 5, some_run()), 0);
    log_dir_close(d, false, -1);
    r.io->ops = &failing;
    d = open_dir(&r);
    assert_false(d->kept);
    log_dir_close(d, false, -1);
    r.io->ops = real;
    d = open_dir(&r);
    assert_false(d->kept);
    log_dir_close(d, false, -1);
    rig_free(&r);
}

/* A log of three batches whose process was killed: its file then has `extra` bytes more, and the
 * byte at -`flip` from its old end is another one. Is the directory believed once it is open? */
static bool is_kept(int extra, int flip, int64_t recovery_point, int64_t high_watermark)
{
    struct rig r;
    struct errmsg em = {{0}};
    struct rig_batch s = {.time = RIG_TIME, .value = 100, .offset = 3};
    struct buf more = {0};
    char path[160];
    rig_init(&r);
    struct last_run run = {.kernel = "k", .incarnation = some_run()};
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 3, 1, 100);
    plog_close(log);
    snprintf(path, sizeof path, "%s/t-0/00000000000000000000.log", r.dir);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    if (flip > 0) {
        fseek(f, -flip, SEEK_END);
        int c = fgetc(f);
        fseek(f, -flip, SEEK_END);
        fputc(c ^ 1, f);
    }
    rig_build(&s, &more);
    fseek(f, 0, SEEK_END);
    assert_true(extra >= 0 && (size_t)extra < more.len);
    assert_int_equal(fwrite(more.data, 1, (size_t)extra, f), extra);
    fclose(f);
    assert_int_equal(last_run_write(r.io, r.dir, &run), 0);
    struct plog_open_args a = rig_args(&r, "t-0");
    a.clean = false;
    a.recovery_point = recovery_point;
    a.high_watermark = high_watermark;
    assert_int_equal(plog_open(&r.st, &a, &log, &em), 0);
    bool kept = last_run_read(r.io, r.dir, &run) == 0;
    plog_close(log);
    buf_free(&more);
    rig_free(&r);
    return kept;
}

static void survives_an_append_that_was_torn(void **state)
{
    (void)state;
    assert_true(is_kept(0, 0, 0, 0));
    assert_true(is_kept(0, 0, 3, 3));
    assert_true(is_kept(1, 0, 0, 3));
    assert_true(is_kept(11, 0, 0, 3));
    assert_true(is_kept(12, 0, 0, 3));
    assert_true(is_kept(100, 0, 3, 3));
}

static void goes_when_more_is_cut_or_missing(void **state)
{
    (void)state;
    assert_false(is_kept(0, 1, 0, 0));   /* a batch that was whole */
    assert_false(is_kept(100, 1, 0, 0)); /* or one before what was torn */
    assert_false(is_kept(100, 0, 0, 4)); /* all had that batch */
    assert_false(is_kept(0, 0, 4, 0));   /* it was flushed */
}

/* ---- what the kernel shows and the disk lacks ---- */

static int tell_of_a_loss(struct io_file *f)
{
    (void)f;
    return ERR_IO;
}

static void begin_process(struct rig *r, struct sim_host *host, struct sim_proc **proc)
{
    *proc = sim_proc_new(host);
    assert_int_equal(io_sim_make(*proc, 0, &r->io, NULL), 0);
    rig_store(r);
}

static void end_process(struct rig *r, struct plog *log, struct sim_proc *proc)
{
    struct errmsg why;
    plog_close(log);
    log_store_free(&r->st);
    io_destroy(r->io);
    assert_true(sim_proc_end(proc, &why));
}

static void flush_home(struct plog_flush *f, int err)
{
    *(int *)f->user = err;
}

static int flush(struct rig *r, struct plog *log)
{
    struct plog_flush f;
    int err = 1;
    plog_flush_start(log, &f, flush_home, &err);
    rig_until(r, err <= 0);
    return err;
}

struct start {
    bool kept;
    bool told; /* by the kernel, of the segment */
};

/* Three records are flushed, the flush of three more fails, and the process ends. Where does the
 * next one find the end of its log? The kernel goes on showing all six. */
static int64_t end_after_a_lost_write(struct start s, bool *noted)
{
    struct sim *sim = sim_new(1);
    struct sim_host *host = sim_host_new(sim, 1 << 20);
    struct sim_proc *proc;
    struct rig r = {.dir = "/d"};
    struct last_run run = {.kernel = "k", .incarnation = some_run()};
    sim->self_advance = true;
    host->disk->keeps_dropped = true;
    r.lg = (struct logger){.level = LOG_DEBUG, .wall_ms = rig_wall, .sink = rig_sink, .ctx = &r};
    log_config_default(&r.config);
    begin_process(&r, host, &proc);
    assert_int_equal(io_mkdir(r.io, r.dir), 0);
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 3, 1, 100);
    assert_int_equal(flush(&r, log), 0);
    rig_fill(log, 3, 1, 100);
    host->disk->faults.fsync_eio_in = 1;
    assert_int_equal(flush(&r, log), ERR_OFFLINE);
    assert_int_equal(last_run_write(r.io, r.dir, &run), 0);
    end_process(&r, log, proc);

    begin_process(&r, host, &proc);
    struct io_ops telling = *r.io->ops;
    struct errmsg em = {{0}};
    struct plog_open_args a = rig_args(&r, "t-0");
    a.clean = false;
    a.kept = s.kept;
    a.recovery_point = 3;
    a.high_watermark = 3;
    telling.lost_writes = s.told ? tell_of_a_loss : telling.lost_writes;
    r.io->ops = &telling;
    assert_int_equal(plog_open(&r.st, &a, &log, &em), 0);
    *noted = last_run_read(r.io, r.dir, &run) == 0;
    int64_t end = plog_end_offset(log);
    end_process(&r, log, proc);
    buf_free(&r.said);
    sim_free(sim);
    return end;
}

static void reads_what_the_disk_has_where_writes_may_be_lost(void **state)
{
    bool noted;
    (void)state;
    assert_int_equal(end_after_a_lost_write((struct start){.kept = true}, &noted), 6);
    assert_true(noted);
    assert_int_equal(end_after_a_lost_write((struct start){.kept = false}, &noted), 3);
    assert_int_equal(end_after_a_lost_write((struct start){.kept = true, .told = true}, &noted), 3);
    assert_false(noted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_whole_or_not_at_all),
        cmocka_unit_test(is_emptied_where_it_cannot_be_removed),
        cmocka_unit_test(tells_a_kill_from_a_loss_of_power),
        cmocka_unit_test(goes_when_the_disk_lost_a_write),
        cmocka_unit_test(survives_an_append_that_was_torn),
        cmocka_unit_test(goes_when_more_is_cut_or_missing),
        cmocka_unit_test(reads_what_the_disk_has_where_writes_may_be_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
