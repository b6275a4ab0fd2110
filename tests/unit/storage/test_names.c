/* Names reach the disk in any order. A log of several segments is shortened, from the front
 * (retention), from the end (truncation) or altogether, on the simulated disk; each operation on
 * the way is the first one that fails once, then the power goes, with many a fate of what was not
 * flushed. The next start must find a log without holes that ends where it must:
 *   - what was flushed is still there up to its end, whatever the recovery point in the checkpoint;
 *   - a truncation that came to its end stays, one that did not leaves a front part;
 *   - a log that began anew at its start offset does not fall back to offset 0;
 *   - a missing index is made again before anything needs it;
 *   - a segment that a full disk did not let be made does not come back;
 *   - nor does a log whose files have been removed. */
#include "storage_rig.h"

#include "sim/io_sim.h"

enum { FATES = 60, DISK_BYTES = 16 << 20, BATCHES = 24, RECORDS = 5 };

/* ---- the operations that fail, from the n-th on ---- */

static struct {
    const struct io_ops *real;
    struct io_ops ops;
    unsigned at; /* 0: none */
    unsigned seen;
    bool no_times; /* no space for a time index */
} fault;

static bool fails(void)
{
    return fault.at != 0 && ++fault.seen >= fault.at;
}

static int f_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    bool none = fault.no_times && (flags & IO_OPEN_CREATE) && strstr(path, ".timeindex");
    return none ? ERR_NOSPACE : fault.real->open(io, path, flags, out);
}

static int f_rename(struct io *io, const char *from, const char *to)
{
    return fails() ? ERR_IO : fault.real->rename(io, from, to);
}

static int f_truncate(struct io_file *f, uint64_t size)
{
    return fails() ? ERR_IO : fault.real->truncate(f, size);
}

static int f_fsync(struct io_file *f)
{
    return fails() ? ERR_IO : fault.real->fsync(f);
}

static int f_fsync_dir(struct io *io, const char *path)
{
    return fails() ? ERR_IO : fault.real->fsync_dir(io, path);
}

static void intercept(struct io *io)
{
    fault.real = io->ops;
    fault.ops = *io->ops;
    fault.ops.open = f_open;
    fault.ops.rename = f_rename;
    fault.ops.truncate = f_truncate;
    fault.ops.fsync = f_fsync;
    fault.ops.fsync_dir = f_fsync_dir;
    io->ops = &fault.ops;
}

/* ---- a machine with one log ---- */

struct machine {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct logger lg;
    struct log_store st;
    struct log_config config;
    struct plog *log;
};

static void no_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    (void)ctx;
    (void)line;
    (void)len;
}

static void turn_until_idle(struct machine *m)
{
    for (int i = 0; plog_busy(m->log) || log_store_busy(&m->st); i++) {
        io_turn(m->io, 5000);
        log_store_tick(&m->st);
        assert_true(i < 1000);
    }
}

static void process_begin(struct machine *m)
{
    const struct log_store_options opt = {.file_limit = 64};
    m->proc = sim_proc_new(m->host);
    assert_int_equal(io_sim_make(m->proc, 0, &m->io, NULL), 0);
    log_store_init(&m->st, m->io, &m->lg, &opt, NULL);
}

/* The log is closed as a process leaves it that was killed. */
static void process_end(struct machine *m)
{
    struct errmsg why;
    turn_until_idle(m);
    plog_close(m->log);
    for (int i = 0; log_store_busy(&m->st); i++) {
        io_turn(m->io, 5000);
        assert_true(i < 1000);
    }
    log_store_free(&m->st);
    io_destroy(m->io);
    if (!sim_proc_end(m->proc, &why)) {
        fail_msg("%s", why.text);
    }
}

static void flushed(struct plog_flush *f, int err)
{
    assert_int_equal(err, 0);
    *(bool *)f->user = true;
}

/* A log whose every batch is flushed, in `segment_bytes` large segments. */
static void machine_init(struct machine *m, uint64_t seed, int64_t segment_bytes)
{
    struct errmsg em;
    *m = (struct machine){.sim = sim_new(seed)};
    m->sim->self_advance = true;
    m->host = sim_host_new(m->sim, DISK_BYTES);
    m->lg = (struct logger){.level = LOG_ERROR, .wall_ms = rig_wall, .sink = no_sink};
    log_config_default(&m->config);
    m->config.segment_bytes = segment_bytes;
    m->config.file_delete_delay_ms = 0;
    m->config.retention_ms = -1;
    process_begin(m);
    assert_int_equal(io_mkdir(m->io, "/d"), 0);
    assert_int_equal(io_fsync_dir(m->io, "/"), 0);
    const struct plog_open_args a = {
        .dir_path = "/d", .name = "t-0", .config = &m->config, .clean = true};
    assert_int_equal(plog_create(&m->st, &a, rig_id(), &m->log, &em), 0);
    rig_fill(m->log, BATCHES, RECORDS, 100);
    struct plog_flush f;
    bool home = false;
    plog_flush_start(m->log, &f, flushed, &home);
    turn_until_idle(m);
    assert_true(home);
}

static void open_unclean(struct machine *m, int64_t recovery_point, int64_t log_start)
{
    struct errmsg em;
    fault.at = 0;
    process_begin(m);
    const struct plog_open_args a = {.dir_path = "/d",
                                     .name = "t-0",
                                     .config = &m->config,
                                     .recovery_point = recovery_point,
                                     .log_start = log_start,
                                     .high_watermark = INT64_MAX};
    if (plog_open(&m->st, &a, &m->log, &em) != 0) {
        fail_msg("%s", em.text);
    }
}

static void power_cycle(struct machine *m)
{
    sim_host_power_loss(m->host);
    sim_host_power_on(m->host);
}

/* No hole from the start to the end. */
static void check_whole(struct plog *log)
{
    struct buf all = {0};
    struct bytes batch;
    struct batch_header h;
    rig_read_all(log, &all);
    struct bytes rest = buf_bytes(&all);
    int64_t at = plog_start_offset(log);
    while (batch_next(&rest, &batch) == 1) {
        assert_int_equal(batch_header_read(batch, &h), 0);
        assert_int_equal(h.base_offset, at);
        at = batch_next_offset(&h);
    }
    assert_int_equal(at, plog_end_offset(log));
    buf_free(&all);
}

/* ---- what is done ---- */

struct deed {
    int (*fn)(struct plog *log, struct log_config *c);
    int64_t segment_bytes;
    int64_t least; /* the end afterwards, at least; -1: that of before */
    int64_t most;  /* and at most, if nothing failed; -1: that of before */
};

static int delete_front(struct plog *log, struct log_config *c)
{
    (void)c;
    assert_int_equal(plog_set_start_offset(log, plog_end_offset(log) - 3), 0);
    return plog_retention(log, NULL);
}

static int delete_all(struct plog *log, struct log_config *c)
{
    c->retention_bytes = 0;
    int rc = plog_retention(log, NULL);
    c->retention_bytes = -1;
    return rc;
}

static void any_end(struct plog_flush *f, int err)
{
    (void)f;
    (void)err;
}

/* The new segment's name is in no flush yet: the one in flight began before. */
static int delete_all_in_a_flush(struct plog *log, struct log_config *c)
{
    static struct plog_flush asked; /* until it is home, which is before the process ends */
    rig_fill(log, 1, RECORDS, 100);
    plog_flush_start(log, &asked, any_end, NULL);
    return delete_all(log, c);
}

enum { CUT_TO = 2 * RECORDS };

static int cut_end(struct plog *log, struct log_config *c)
{
    (void)c;
    return plog_truncate_to(log, CUT_TO);
}

/* Once with the operation number `at` as the first one that fails; false: nothing failed. */
static bool one(const struct deed *d, unsigned at, uint64_t seed, bool old_point)
{
    struct machine m;
    machine_init(&m, seed, d->segment_bytes);
    int64_t end = plog_end_offset(m.log);
    assert_true(d->segment_bytes > 10000 || plog_segment_count(m.log) > 4);
    intercept(m.io);
    fault.seen = 0;
    fault.at = at;
    int rc = d->fn(m.log, &m.config);
    bool struck = fault.seen >= at;
    assert_true(rc == 0 || struck);
    fault.at = 1; /* what its flushes would still do */
    process_end(&m);
    power_cycle(&m);
    open_unclean(&m, old_point ? 0 : end, 0);
    check_whole(m.log);
    assert_true(plog_end_offset(m.log) >= (d->least < 0 ? end : d->least));
    assert_true(struck || plog_end_offset(m.log) <= (d->most < 0 ? end : d->most));
    process_end(&m);
    sim_free(m.sim);
    return struck;
}

static void each_operation(const struct deed *d)
{
    unsigned at = 0;
    bool struck = true;
    while (struck) {
        at++;
        for (uint64_t seed = 1; seed <= FATES; seed++) {
            struck = one(d, at, seed, seed % 2);
        }
        assert_true(at < 200);
    }
    print_message("%u operations, each the first that fails, %d fates each\n", at - 1, FATES);
    assert_true(at > 3);
}

static void retention_leaves_no_hole(void **state)
{
    (void)state;
    each_operation(&(struct deed){delete_front, 2000, -1, -1});
}

static void a_log_that_retention_empties_keeps_its_end(void **state)
{
    (void)state;
    each_operation(&(struct deed){delete_all, 2000, -1, -1});
    each_operation(&(struct deed){delete_all, 1 << 20, -1, -1});
    each_operation(&(struct deed){delete_all_in_a_flush, 1 << 20, -1, INT64_MAX});
}

static void truncation_leaves_a_front_part(void **state)
{
    (void)state;
    each_operation(&(struct deed){cut_end, 2000, CUT_TO, CUT_TO});
}

/* All that was not deleted is lost, and the log begins anew at its start. The start is the base of
 * a segment then, so checkpoints do not name it any more. */
static void a_log_begun_anew_does_not_fall_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= FATES; seed++) {
        struct machine m;
        machine_init(&m, seed, seed % 2 ? 2000 : 1 << 20);
        int64_t start = plog_end_offset(m.log) + 3;
        process_end(&m);
        open_unclean(&m, 0, start);
        assert_int_equal(plog_end_offset(m.log), start);
        assert_int_equal(plog_segment_count(m.log), 1);
        assert_false(plog_start_needs_checkpoint(m.log));
        intercept(m.io);
        fault.at = 1; /* its flushes do nothing */
        process_end(&m);
        power_cycle(&m);
        open_unclean(&m, start, 0);
        assert_int_equal(plog_start_offset(m.log), start);
        assert_int_equal(plog_end_offset(m.log), start);
        process_end(&m);
        sim_free(m.sim);
    }
}

/* The producers' snapshots are gone, and so is an index in front of the recovery point: what has to
 * be read again needs the index. */
static void an_index_is_missing_where_producers_are_read(void **state)
{
    (void)state;
    struct machine m;
    machine_init(&m, 1, 2000);
    int64_t end = plog_end_offset(m.log);
    int64_t second = plog_segment_info(m.log, 1).base_offset;
    unsigned segments = plog_segment_count(m.log);
    char path[64];
    for (unsigned i = 1; i < segments; i++) {
        snprintf(path, sizeof path, "/d/t-0/%020lld.snapshot",
                 (long long)plog_segment_info(m.log, i).base_offset);
        assert_int_equal(io_unlink(m.io, path), 0);
    }
    snprintf(path, sizeof path, "/d/t-0/%020lld.index", (long long)second);
    assert_int_equal(io_unlink(m.io, path), 0);
    process_end(&m);
    open_unclean(&m, end, second + 1);
    assert_int_equal(plog_end_offset(m.log), end);
    assert_int_equal(plog_start_offset(m.log), second + 1);
    struct buf all = {0};
    assert_true(rig_read_all(m.log, &all) > 0);
    buf_free(&all);
    process_end(&m);
    sim_free(m.sim);
}

/* A segment that could not be made: its files must not come back when batches have taken its place.
 */
static void a_segment_that_was_not_made_does_not_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= FATES; seed++) {
        struct machine m;
        machine_init(&m, seed, 1 << 20);
        intercept(m.io);
        fault.no_times = true;
        assert_int_equal(plog_roll(m.log), ERR_NOSPACE);
        fault.no_times = false;
        rig_fill(m.log, 3, RECORDS, 100);
        int64_t end = plog_end_offset(m.log);
        struct plog_flush f;
        bool home = false;
        plog_flush_start(m.log, &f, flushed, &home);
        turn_until_idle(&m);
        assert_true(home);
        fault.seen = 0;
        fault.at = 1;
        process_end(&m);
        power_cycle(&m);
        open_unclean(&m, end, 0);
        check_whole(m.log);
        assert_int_equal(plog_end_offset(m.log), end);
        process_end(&m);
        sim_free(m.sim);
    }
}

static struct plog_open_args other_log(const struct machine *m, bool clean)
{
    return (struct plog_open_args){.dir_path = "/d",
                                   .name = "u-0",
                                   .config = &m->config,
                                   .clean = clean,
                                   .high_watermark = INT64_MAX};
}

/* Nothing was ever flushed: a power loss may take what it likes, but not the first segment alone,
 * or the log would seem to start at the second one. */
static void a_first_roll_makes_the_first_name_durable(void **state)
{
    (void)state;
    unsigned found = 0;
    for (uint64_t seed = 1; seed <= FATES; seed++) {
        struct machine m;
        struct errmsg em;
        struct plog *other;
        machine_init(&m, seed, 1 << 20);
        struct plog_open_args a = other_log(&m, true);
        assert_int_equal(plog_create(&m.st, &a, rig_id(), &other, &em), 0);
        rig_fill(other, 1, RECORDS, 100);
        assert_int_equal(plog_roll(other), 0);
        intercept(m.io);
        fault.seen = 0;
        fault.at = 1; /* what its flushes would still do */
        turn_until_idle(&m);
        plog_close(other);
        process_end(&m);
        power_cycle(&m);
        open_unclean(&m, 0, 0);
        a = other_log(&m, false);
        int rc = plog_open(&m.st, &a, &other, &em);
        assert_true(rc == 0 || rc == ERR_NOTFOUND);
        if (rc == 0) {
            found++;
            assert_int_equal(plog_start_offset(other), 0);
            plog_close(other);
        }
        process_end(&m);
        sim_free(m.sim);
    }
    assert_true(found > 0);
}

/* The store and the process end; the log did before. */
static void process_end_without_log(struct machine *m)
{
    struct errmsg why;
    log_store_free(&m->st);
    io_destroy(m->io);
    if (!sim_proc_end(m->proc, &why)) {
        fail_msg("%s", why.text);
    }
}

/* Once its files go one after the other, its old name must not come back. */
static void a_log_whose_files_are_removed_does_not_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= FATES; seed++) {
        struct machine m;
        struct io_stat s;
        machine_init(&m, seed, 2000);
        assert_int_equal(plog_delete(m.log), 0);
        for (int i = 0; !list_empty(&m.st.deletions) || log_store_busy(&m.st); i++) {
            io_turn(m.io, 5000);
            log_store_tick(&m.st);
            assert_true(i < 1000);
        }
        process_end_without_log(&m);
        power_cycle(&m);
        process_begin(&m);
        assert_int_equal(io_stat(m.io, "/d/t-0", &s), ERR_NOTFOUND);
        process_end_without_log(&m);
        sim_free(m.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retention_leaves_no_hole),
        cmocka_unit_test(a_log_that_retention_empties_keeps_its_end),
        cmocka_unit_test(truncation_leaves_a_front_part),
        cmocka_unit_test(a_log_begun_anew_does_not_fall_back),
        cmocka_unit_test(an_index_is_missing_where_producers_are_read),
        cmocka_unit_test(a_segment_that_was_not_made_does_not_come_back),
        cmocka_unit_test(a_first_roll_makes_the_first_name_durable),
        cmocka_unit_test(a_log_whose_files_are_removed_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
