/* Every single I/O operation of a log's life fails once: open, create, append, roll, flush, marker,
 * delete, cut, look, checkpoint, stop. For each error there is, and for each n, the n-th operation
 * of a scripted life on the simulated disk fails, and of one that begins with a recovery; then
 *   - nothing crashes, and nothing stays open;
 *   - after "no space" and "too many files" the log accepts appends again by itself;
 *   - after an I/O error or a failed fsync the directory is offline, or nothing was hurt; in an
 *     offline one appends are refused and nothing is flushed any more;
 *   - the next start, after a kill or a power loss, finds everything that was acknowledged (after
 *     a power loss: everything whose flush was), byte for byte, and the log works;
 *   - what an idempotent producer sent last, and sends again, is known, at any time and after the
 *     next start.
 *
 * The operations are intercepted in front of the simulator's backend. */
#include "storage_rig.h"

#include "sim/io_sim.h"

enum { VALUE = 150, BATCHES_MAX = 200, DISK_BYTES = 64 << 20, WAIT_MS = 3000 };

/* ---- the operations that fail ---- */

struct fault {
    const struct io_ops *real;
    struct io_ops ops;
    struct log_store *st; /* NULL before it is there */
    int err;              /* what fails, 0: nothing */
    unsigned at;          /* the first operation that fails; 1 is the first of all */
    unsigned burst;       /* how many fail */
    unsigned seen;
    unsigned struck;
    bool lost_here;    /* a flush failed in the worker's function that runs */
    bool in_work;      /* what was handed to a worker before the directory failed may flush on */
    bool sync_lost;    /* a flush failed */
    unsigned together; /* the clean stop flushes the file system */
};

/* The seam's functions have no context but the io: one life at a time. */
static struct fault fault;

enum kind { OPENS, READS, GROWS, CHANGES, SYNCS };

static bool can_fail(enum kind k)
{
    switch (fault.err) {
    case ERR_IO:
        return true;
    case ERR_NOSPACE:
        return k == GROWS;
    case ERR_MFILE:
        return k == OPENS;
    default:
        return false;
    }
}

static bool strikes(enum kind k)
{
    if (!can_fail(k)) {
        return false;
    }
    fault.seen++;
    bool hit = fault.seen >= fault.at && fault.seen < fault.at + fault.burst;
    fault.struck += hit;
    fault.sync_lost |= hit && k == SYNCS;
    fault.lost_here |= hit && k == SYNCS && fault.in_work;
    return hit;
}

static void check_sync(void)
{
    if (fault.st && fault.st->dir_offline[0] && !fault.in_work) {
        fail_msg("a flush in an offline directory");
    }
    if (fault.lost_here) {
        fail_msg("a flush behind one that failed");
    }
}

static int f_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    bool makes = flags & (IO_OPEN_CREATE | IO_OPEN_TRUNC);
    if (strikes(fault.err == ERR_NOSPACE && makes ? GROWS : OPENS)) {
        return fault.err;
    }
    return fault.real->open(io, path, flags, out);
}

static int64_t f_preadv(struct io_file *f, const struct iovec *iov, int n, uint64_t off)
{
    return strikes(READS) ? fault.err : fault.real->preadv(f, iov, n, off);
}

/* A write that fails has written its first bytes. */
static int64_t f_pwritev(struct io_file *f, const struct iovec *iov, int n, uint64_t off)
{
    if (strikes(GROWS)) {
        struct iovec half = {iov[0].iov_base, iov[0].iov_len / 2};
        fault.real->pwritev(f, &half, 1, off);
        return fault.err;
    }
    return fault.real->pwritev(f, iov, n, off);
}

static int f_truncate(struct io_file *f, uint64_t size)
{
    return strikes(CHANGES) ? fault.err : fault.real->truncate(f, size);
}

static int f_allocate(struct io_file *f, uint64_t size)
{
    return strikes(GROWS) ? fault.err : fault.real->allocate(f, size);
}

static int f_fsync(struct io_file *f)
{
    check_sync();
    return strikes(SYNCS) ? fault.err : fault.real->fsync(f);
}

struct failing_sync {
    struct io_op op;
    struct io_op *asked;
};

static void sync_failed(struct io_op *op, int64_t result)
{
    struct failing_sync *s = CONTAINER_OF(op, struct failing_sync, op);
    struct io_op *asked = s->asked;
    (void)result;
    mem_free(s);
    asked->in_flight = false;
    asked->cb(asked, ERR_IO);
}

static void f_fsync_start(struct io_file *f, struct io_op *op)
{
    check_sync();
    if (!strikes(SYNCS)) {
        fault.real->fsync_start(f, op);
        return;
    }
    struct failing_sync *s = MEM_NEW(struct failing_sync);
    s->asked = op;
    s->op.cb = sync_failed;
    op->in_flight = true;
    fault.real->fsync_start(f, &s->op);
}

static int f_file_size(struct io_file *f, uint64_t *size)
{
    return strikes(READS) ? fault.err : fault.real->file_size(f, size);
}

static int f_stat(struct io *io, const char *path, struct io_stat *out)
{
    return strikes(READS) ? fault.err : fault.real->stat(io, path, out);
}

static int f_rename(struct io *io, const char *from, const char *to)
{
    return strikes(GROWS) ? fault.err : fault.real->rename(io, from, to);
}

static int f_unlink(struct io *io, const char *path)
{
    return strikes(CHANGES) ? fault.err : fault.real->unlink(io, path);
}

static int f_mkdir(struct io *io, const char *path)
{
    return strikes(GROWS) ? fault.err : fault.real->mkdir(io, path);
}

static int f_rmdir(struct io *io, const char *path)
{
    return strikes(CHANGES) ? fault.err : fault.real->rmdir(io, path);
}

static int f_fsync_dir(struct io *io, const char *path)
{
    check_sync();
    return strikes(fault.err == ERR_MFILE ? OPENS : SYNCS) ? fault.err
                                                           : fault.real->fsync_dir(io, path);
}

static int f_sync_fs(struct io *io, const char *path)
{
    check_sync();
    return strikes(fault.err == ERR_MFILE ? OPENS : SYNCS) ? fault.err
                                                           : fault.real->sync_fs(io, path);
}

static int f_list_dir(struct io *io, const char *path,
                      void (*each)(void *ctx, const struct io_dirent *e), void *ctx)
{
    return strikes(fault.err == ERR_MFILE ? OPENS : READS)
               ? fault.err
               : fault.real->list_dir(io, path, each, ctx);
}

struct working {
    struct io_op op;
    struct io_op *asked;
    void (*fn)(struct io_op *op);
    bool before; /* handed over before the directory failed */
};

static void work_fn(struct io_op *op)
{
    struct working *w = CONTAINER_OF(op, struct working, op);
    fault.in_work = w->before;
    w->fn(w->asked);
    fault.in_work = fault.lost_here = false;
}

static void work_home(struct io_op *op, int64_t result)
{
    struct working *w = CONTAINER_OF(op, struct working, op);
    struct io_op *asked = w->asked;
    (void)result;
    mem_free(w);
    asked->in_flight = false;
    asked->cb(asked, asked->result);
}

static void f_work(struct io *io, struct io_op *op, void (*fn)(struct io_op *op))
{
    struct working *w = MEM_NEW(struct working);
    w->op.cb = work_home;
    w->asked = op;
    w->fn = fn;
    w->before = fault.st == NULL || !fault.st->dir_offline[0];
    op->in_flight = true;
    fault.real->work(io, &w->op, work_fn);
}

static void intercept(struct io *io)
{
    fault.real = io->ops;
    fault.ops = *io->ops;
    fault.ops.open = f_open;
    fault.ops.preadv = f_preadv;
    fault.ops.pwritev = f_pwritev;
    fault.ops.truncate = f_truncate;
    fault.ops.allocate = f_allocate;
    fault.ops.fsync = f_fsync;
    fault.ops.fsync_start = f_fsync_start;
    fault.ops.file_size = f_file_size;
    fault.ops.stat = f_stat;
    fault.ops.rename = f_rename;
    fault.ops.unlink = f_unlink;
    fault.ops.mkdir = f_mkdir;
    fault.ops.rmdir = f_rmdir;
    fault.ops.fsync_dir = f_fsync_dir;
    fault.ops.sync_fs = f_sync_fs;
    fault.ops.list_dir = f_list_dir;
    fault.ops.work = f_work;
    io->ops = &fault.ops;
}

/* ---- a world with one log ---- */

struct entry {
    int64_t base;
    int64_t last;
    uint8_t *data;
    uint32_t len;
};

struct life {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct logger lg;
    struct log_store st;
    struct log_config config;
    struct log_dir *d;
    struct plog *log;
    struct entry acked[BATCHES_MAX];
    unsigned n;
    int64_t durable; /* flushes told so */
    int32_t seq;     /* of the producer */
    bool unsure;     /* a cut failed: what lies behind it may be there or not */
    bool clean;      /* the stop was whole */
};

static void no_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    (void)ctx;
    (void)line;
    (void)len;
}

static void format(struct life *l)
{
    struct meta_properties meta = {.version = 1, .node_id = 1, .cluster_id = "c"};
    assert_int_equal(io_mkdir(l->io, "/d"), 0);
    assert_int_equal(meta_properties_write(l->io, "/d", &meta), 0);
    assert_int_equal(io_fsync_dir(l->io, "/"), 0);
}

static void process_begin(struct life *l)
{
    l->proc = sim_proc_new(l->host);
    assert_int_equal(io_sim_make(l->proc, 0, &l->io, NULL), 0);
    l->d = NULL;
    l->log = NULL;
}

static void life_init(struct life *l)
{
    *l = (struct life){.sim = sim_new(1)};
    l->sim->self_advance = true;
    l->host = sim_host_new(l->sim, DISK_BYTES);
    l->lg = (struct logger){.level = LOG_ERROR, .wall_ms = rig_wall, .sink = no_sink};
    log_config_default(&l->config);
    l->config.segment_bytes = 2500;
    l->config.index_interval_bytes = 300;
    l->config.file_delete_delay_ms = 10;
    l->config.retention_ms = -1;
    l->config.producer_id_expiration_ms = INT64_MAX; /* the records are of 1970 */
    process_begin(l);
    format(l);
}

static void life_free(struct life *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        mem_free(l->acked[i].data);
    }
    sim_free(l->sim);
}

static bool offline(const struct life *l)
{
    return l->st.dir_offline[0];
}

static void pass(struct life *l, int64_t ms)
{
    int64_t until = io_now_ms(l->io) + ms;
    while (io_now_ms(l->io) < until) {
        io_turn(l->io, 5000);
        log_store_tick(&l->st);
    }
}

static void open_store(struct life *l)
{
    const struct log_store_options opt = {
        .file_limit = 16, .file_idle_ms = 500, .sync_fs_from = fault.together};
    log_store_init(&l->st, l->io, &l->lg, &opt, NULL);
    fault.st = &l->st;
}

/* Opens the log directory and the log, or makes it. An attempt that fails is made once more, as the
 * next start would. */
static bool open_all(struct life *l)
{
    struct errmsg em;
    struct plog_open_args a = {
        .dir_path = "/d", .name = "t-0", .config = &l->config, .clean = true};
    for (int i = 0; i < 2 && l->d == NULL; i++) {
        if (log_dir_open(l->io, &l->lg, 0, "/d", false, &l->d, &em) != 0) {
            l->d = NULL;
        }
    }
    assert_true(l->d != NULL || fault.burst > 1);
    if (l->d == NULL) {
        return false;
    }
    a.clean = l->d->clean;
    a.recovery_point = offset_table_get(&l->d->recovery_points, "t-0", 0);
    a.log_start = offset_table_get(&l->d->log_starts, "t-0", 0);
    a.high_watermark = offset_table_get(&l->d->high_watermarks, "t-0", 0);
    for (int i = 0; i < 8 && l->log == NULL && !offline(l); i++) {
        int rc = plog_open(&l->st, &a, &l->log, &em);
        if (rc == ERR_NOTFOUND) {
            rc = plog_create(&l->st, &a, rig_id(), &l->log, &em);
        }
        if (rc != 0) {
            l->log = NULL;
            a.clean &= rc != ERR_EXISTS;
        }
    }
    if (l->log == NULL) {
        assert_true(offline(l));
        return false;
    }
    return plog_begin_epoch(l->log, 1) == 0;
}

/* ---- what is done in a life ---- */

/* An idempotent producer has got no answer, and sends it again. */
static void repeat(struct life *l, const void *data, uint32_t len, int64_t base)
{
    const struct plog_append_args args = {.origin = PLOG_CLIENT, .leader_epoch = 1};
    struct buf copy = {0};
    int64_t end = plog_end_offset(l->log);
    buf_put(&copy, data, len);
    struct plog_batch b = {.data = copy.data, .len = len};
    plog_append(l->log, &b, 1, &args);
    assert_int_equal(b.result, offline(l) ? PLOG_OFFLINE : PLOG_DUPLICATE);
    assert_true(offline(l) || b.base_offset == base);
    assert_int_equal(plog_end_offset(l->log), end);
    buf_free(&copy);
}

/* The same of the last batch of producer 7 that the log has. */
static void repeat_last(struct life *l)
{
    struct buf all = {0};
    struct bytes batch;
    struct bytes last = BYTES_NULL;
    struct batch_header h;
    int64_t base = -1;
    rig_read_all(l->log, &all);
    struct bytes rest = buf_bytes(&all);
    while (batch_next(&rest, &batch) == 1) {
        assert_int_equal(batch_header_read(batch, &h), 0);
        if (h.producer_id == 7) {
            last = batch;
            base = h.base_offset;
        }
    }
    if (base >= 0) {
        repeat(l, last.data, (uint32_t)last.len, base);
    }
    buf_free(&all);
}

/* One batch; acknowledged ones are noted. */
static enum plog_result append(struct life *l, bool with_producer)
{
    struct buf bytes = {0};
    const struct plog_append_args args = {.origin = PLOG_CLIENT, .leader_epoch = 1};
    struct rig_batch s = {.records = 2, .time = RIG_TIME + l->n, .value = VALUE, .leader_epoch = 1};
    if (with_producer && l->seq >= 0) {
        s.pid = 7;
        s.seq = l->seq;
    }
    rig_build(&s, &bytes);
    struct plog_batch b = {.data = bytes.data, .len = (uint32_t)bytes.len};
    plog_append(l->log, &b, 1, &args);
    if (b.result != PLOG_APPENDED) {
        assert_true(b.result == PLOG_NO_SPACE || b.result == PLOG_OFFLINE);
        assert_true((b.result == PLOG_OFFLINE) == offline(l));
        buf_free(&bytes);
        return b.result;
    }
    assert_true(l->n < BATCHES_MAX);
    assert_int_equal(b.base_offset, l->n ? l->acked[l->n - 1].last + 1 : 0);
    l->acked[l->n++] = (struct entry){b.base_offset, b.last_offset, bytes.data, b.len};
    if (s.pid == 7) {
        repeat(l, bytes.data, b.len, b.base_offset);
    }
    l->seq += with_producer && l->seq >= 0 ? 2 : 0;
    plog_set_high_watermark(l->log, plog_end_offset(l->log));
    return PLOG_APPENDED;
}

static void append_some(struct life *l, int n)
{
    for (int i = 0; i < n; i++) {
        append(l, i % 2);
        pass(l, 60); /* a full disk is tried again after a little while */
    }
}

struct asked {
    struct plog_flush f;
    int64_t end;
    bool home;
    int err;
};

static void flushed(struct plog_flush *f, int err)
{
    struct asked *a = f->user;
    a->home = true;
    a->err = err;
}

static void flush(struct life *l)
{
    struct asked a = {.end = plog_end_offset(l->log)};
    plog_flush_start(l->log, &a.f, flushed, &a);
    for (int i = 0; i < 1000 && !a.home; i++) {
        pass(l, 10);
    }
    assert_true(a.home);
    if (a.err == 0) {
        l->durable = a.end > l->durable ? a.end : l->durable;
    } else {
        assert_true(offline(l));
    }
}

/* A transaction that is aborted: its data, its marker, its index entry. */
static void abort_transaction(struct life *l)
{
    struct rig_batch data = {.pid = 9, .txn = true, .time = RIG_TIME, .leader_epoch = 1};
    struct rig_batch marker = {.pid = 9, .marker = true, .time = RIG_TIME, .leader_epoch = 1};
    const struct rig_batch *all[] = {&data, &marker};
    for (int i = 0; i < 2; i++) {
        struct buf bytes = {0};
        const struct plog_append_args args = {.origin = i ? PLOG_COORDINATOR : PLOG_CLIENT,
                                              .leader_epoch = 1};
        rig_build(all[i], &bytes);
        struct plog_batch b = {.data = bytes.data, .len = (uint32_t)bytes.len};
        plog_append(l->log, &b, 1, &args);
        if (b.result == PLOG_APPENDED) {
            l->acked[l->n++] = (struct entry){b.base_offset, b.last_offset, bytes.data, b.len};
        } else {
            buf_free(&bytes);
        }
    }
    plog_set_high_watermark(l->log, plog_end_offset(l->log));
}

static void look(struct life *l)
{
    struct buf all = {0};
    struct arena a = {0};
    struct plog_time_offset t;
    struct plog_producer *p;
    unsigned n;
    int64_t rc = plog_read_copy(l->log, plog_start_offset(l->log), 100000, true,
                                plog_end_offset(l->log), &all);
    assert_true(rc >= 0 || rc == fault.err || offline(l));
    rc = plog_offset_by_time(l->log, RIG_TIME + 5, &t);
    assert_true(rc == 0 || rc == fault.err || offline(l));
    rc = plog_offset_of_max_timestamp(l->log, &t);
    assert_true(rc == 0 || rc == fault.err || offline(l));
    rc = plog_producers(l->log, &a, &p, &n);
    assert_true(rc == 0 || rc == fault.err || offline(l));
    arena_free(&a);
    buf_free(&all);
}

static void delete_front(struct life *l)
{
    int64_t to = plog_high_watermark(l->log) / 2;
    plog_set_start_offset(l->log, to);
    plog_retention(l->log, NULL);
    pass(l, 50); /* the files go */
}

static int write_checkpoints(struct life *l)
{
    static const char *const files[] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_REPLICATION,
                                        CHECKPOINT_LOG_START};
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        struct offset_table t = {0};
        int64_t v = i == 0   ? plog_recovery_point(l->log)
                    : i == 1 ? plog_high_watermark(l->log)
                             : plog_start_offset(l->log);
        offset_table_set(&t, "t", 0, v);
        rc = offset_checkpoint_write(l->io, "/d", files[i], &t);
        offset_table_free(&t);
    }
    if (rc == ERR_IO) {
        log_store_dir_offline(&l->st, 0); /* as the broker does */
    }
    return rc;
}

/* Two batches are cut off again, as a follower does; the recovery point follows before anything
 * is appended. */
static void cut(struct life *l)
{
    if (l->n < 3) {
        return;
    }
    int64_t to = l->acked[l->n - 2].base;
    int rc = plog_truncate_to(l->log, to);
    while (l->n > 0 && l->acked[l->n - 1].last >= to) {
        mem_free(l->acked[--l->n].data);
    }
    l->durable = l->durable < to ? l->durable : to;
    l->unsure = rc != 0;
    l->unsure |= !l->unsure && !offline(l) && write_checkpoints(l) != 0;
    l->seq = -1; /* not asked any more */
}

/* "Accepts again by itself." */
static void accepts(struct life *l)
{
    enum plog_result r = PLOG_NO_SPACE;
    int64_t until = io_now_ms(l->io) + WAIT_MS;
    while (r == PLOG_NO_SPACE && io_now_ms(l->io) < until) {
        r = append(l, false); /* which says itself that it is offline only if it is */
        pass(l, 20);
    }
    assert_true(r == PLOG_APPENDED || r == PLOG_OFFLINE);
}

static void live(struct life *l)
{
    append_some(l, 4);
    flush(l);
    append_some(l, 16); /* rolls */
    abort_transaction(l);
    look(l);
    append_some(l, 3);
    flush(l);
    delete_front(l);
    append_some(l, 3);
    cut(l);
    if (l->unsure) {
        return;
    }
    accepts(l);
    append_some(l, 2);
    flush(l);
}

/* An orderly stop as far as it goes; nothing of the process is left. */
static void process_end(struct life *l)
{
    struct errmsg why;
    bool clean = false;
    if (l->log) {
        for (int i = 0; i < 1000 && (plog_busy(l->log) || log_store_busy(&l->st)); i++) {
            pass(l, 10);
        }
        if (!l->unsure) {
            int rc = ERR_CONFLICT;
            plog_close_clean_all(&l->st, &l->log, 1, &rc);
            assert_int_equal(plog_close_clean(l->log) == 0, rc == 0); /* not tried again */
            clean = rc == 0 && write_checkpoints(l) == 0;
        }
        plog_close(l->log);
    }
    for (int i = 0; i < 1000 && log_store_busy(&l->st); i++) {
        pass(l, 10);
    }
    log_store_free(&l->st);
    if (l->d) {
        if (clean) {
            log_dir_all_open(l->d);
        }
        clean = log_dir_close(l->d, clean, 1) == 0 && clean;
    }
    l->clean = clean;
    fault.st = NULL;
    io_destroy(l->io);
    if (!sim_proc_end(l->proc, &why)) {
        fail_msg("%s", why.text);
    }
}

/* ---- afterwards ---- */

/* Every batch that was promised is where it was. */
static void check(struct life *l, int64_t upto)
{
    struct buf all = {0};
    struct bytes batch;
    int64_t start = plog_start_offset(l->log);
    rig_read_all(l->log, &all);
    struct bytes rest = buf_bytes(&all);
    unsigned i = 0;
    while (i < l->n && l->acked[i].last < start) {
        i++;
    }
    for (; i < l->n && l->acked[i].last < upto; i++) {
        assert_int_equal(batch_next(&rest, &batch), 1);
        assert_int_equal(batch.len, l->acked[i].len);
        assert_memory_equal(batch.data, l->acked[i].data, batch.len);
    }
    assert_true(plog_end_offset(l->log) >= upto);
    buf_free(&all);
}

/* A life that ends with a kill, so that the next start recovers. */
static void live_and_die(struct life *l)
{
    open_store(l);
    assert_true(open_all(l));
    live(l);
    append_some(l, 3);
    l->unsure = true; /* no orderly stop */
    process_end(l);
    l->unsure = false;
    l->seq = -1;
    process_begin(l);
}

static void one_life(int err, unsigned at, unsigned burst, bool power, bool recovers)
{
    struct life l;
    fault = (struct fault){0};
    life_init(&l);
    if (recovers) {
        live_and_die(&l);
    }
    fault = (struct fault){.err = err, .at = at, .burst = burst, .together = at % 2};
    intercept(l.io);
    open_store(&l);
    if (!open_all(&l)) {
        assert_true(err == ERR_IO || burst > 1);
    } else if (recovers) {
        look(&l);
        accepts(&l);
        append_some(&l, 3);
        flush(&l);
    } else {
        live(&l);
    }
    if (err == ERR_IO && fault.sync_lost && l.log) {
        assert_true(offline(&l));
    }
    if (err != ERR_IO) {
        assert_false(offline(&l));
    }
    process_end(&l);
    int64_t end = l.n ? l.acked[l.n - 1].last + 1 : 0;
    /* A failed flush may have lost what the kernel held: a kill is no better than a power loss. */
    int64_t upto = l.clean || (!power && !fault.sync_lost) ? end : l.durable;
    unsigned struck = fault.struck;
    fault = (struct fault){.struck = struck};
    if (power) {
        sim_host_power_loss(l.host);
        sim_host_power_on(l.host);
    }
    process_begin(&l);
    open_store(&l);
    l.unsure = false;
    assert_true(open_all(&l));
    check(&l, upto);
    repeat_last(&l);
    process_end(&l);
    fault.struck = struck;
    life_free(&l);
}

/* All n, until the fault comes too late. */
static void every_operation(int err, unsigned burst, bool recovers)
{
    unsigned n = 0;
    do {
        n++;
        one_life(err, n, burst, false, recovers);
        if (fault.struck) {
            one_life(err, n, burst, true, recovers);
        }
    } while (fault.struck && n < 5000);
    print_message("%s: each of %u operations failed%s\n", err_text(err), n - 1,
                  recovers ? " from a recovery on" : "");
    assert_true(n > 20 && n < 5000);
}

static void io_error(void **state)
{
    (void)state;
    every_operation(ERR_IO, 1, false);
    every_operation(ERR_IO, 1, true);
}

static void no_space(void **state)
{
    (void)state;
    every_operation(ERR_NOSPACE, 1, false);
    every_operation(ERR_NOSPACE, 1, true);
    every_operation(ERR_NOSPACE, 7, false);
    every_operation(ERR_NOSPACE, 7, true);
}

static void no_descriptors(void **state)
{
    (void)state;
    every_operation(ERR_MFILE, 1, false);
    every_operation(ERR_MFILE, 1, true);
    every_operation(ERR_MFILE, 4, false);
    every_operation(ERR_MFILE, 4, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_error),
        cmocka_unit_test(no_space),
        cmocka_unit_test(no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
