/* The group commit and the recovery point.
 *
 *     flush_start ... flush_start -> wait -> job: fsync of each dirty .log, names by a worker
 *                                             -> all home -> flushed moves -> callbacks
 *
 * One job of a log is in flight at a time; what is asked for meanwhile shares the next one. A job
 * makes durable what a restart needs to find the batches again: the bytes of the .log files and,
 * when files are new, the directories that name them. That moves the flushed offset.
 *
 * A full job also takes what lets a restart leave the batches unread: indexes of sealed segments,
 * producer snapshots, leader epochs. That moves the recovery point, to the end, too: the segment
 * that holds the recovery point is always read again after a crash, so its own indexes may be
 * anything. A job is full when a segment was rolled, and by itself when nothing but the active
 * .log is dirty.
 *
 * Dirty marks are taken off when a job starts. If it fails they do not matter any more: a failed
 * fsync takes the log directory offline until the next start, because nobody knows what the kernel
 * has kept. Only what fails before a flush began (no descriptors, no space for the epochs' file)
 * marks again and is tried again a little later; who waits, waits. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

enum {
    FILES_MAX = 16, /* of one job: more segments take several jobs */
    RETRY_MS = 200,
};

struct flush_file {
    struct io_op op; /* user: the job */
    struct file_lease lease;
};

/* What a worker does for a job: paths are its own. */
struct flush_names {
    struct io *io;
    char *dir;
    char *parent;    /* NULL: the partition's own name is durable */
    char *epochs_at; /* NULL: the epochs need no writing */
    struct buf epochs;
    int64_t *snaps;
    uint32_t snap_n;
    bool sync_dir;
    bool data;    /* the batches cannot be found without it */
    int sync_err; /* an fsync failed */
    int soft_err; /* something else did */
};

struct flush_job {
    struct list node; /* of the store's */
    struct plog *log; /* NULL: it has gone, nobody is told */
    int64_t end;      /* flushed up to there when it succeeds */
    int64_t point;    /* the recovery point then; -1 as it was */
    int64_t began_us;
    struct list waiters;
    unsigned pending; /* operations in flight, and one while they are started */
    int err;
    bool full;
    bool retry; /* something could not even be begun */
    struct io_op work;
    struct flush_names names;
    unsigned files_n;
    struct flush_file files[FILES_MAX];
};

static void job_start(struct plog *log);

/* ---- when ---- */

static void due_at(struct plog *log, int64_t at_ms)
{
    if (at_ms >= log->flush_due_ms) {
        return;
    }
    if (log->flush_due_ms == INT64_MAX) {
        list_push_back(&log->st->flush_due, &log->flush_node);
    }
    log->flush_due_ms = at_ms;
    log_store_want(log->st, at_ms);
}

static void not_due(struct plog *log)
{
    list_remove(&log->flush_node);
    log->flush_due_ms = INT64_MAX;
}

int64_t plog_flush_tick(struct log_store *st, int64_t now)
{
    int64_t next = INT64_MAX;
    list_for_each_safe (it, &st->flush_due) {
        struct plog *log = LIST_ENTRY(it, struct plog, flush_node);
        if (log->flush_due_ms > now) {
            next = log->flush_due_ms < next ? log->flush_due_ms : next;
            continue;
        }
        not_due(log);
        bool wanted = log->flushed < log->end || log->want_full || !list_empty(&log->flush_wait);
        if (wanted && log->job == NULL && !log->closed && !log->deleted) {
            job_start(log);
        }
    }
    return next;
}

/* ---- names ---- */

/* Errors that pass. */
static bool is_soft(int err)
{
    return err == ERR_NOSPACE || err == ERR_MFILE || err == ERR_NOMEM;
}

static void note(struct flush_names *n, int rc, bool sync)
{
    int *err = sync ? &n->sync_err : &n->soft_err;
    if (rc < 0 && *err == 0) {
        *err = rc;
    }
}

/* After one failed flush the directory is given up: no other one is tried. */
static void sync_file(struct flush_names *n, const char *path)
{
    struct io_file *f;
    if (n->sync_err) {
        return;
    }
    int rc = io_open(n->io, path, IO_OPEN_WRITE, &f);
    if (rc < 0) {
        note(n, rc == ERR_NOTFOUND ? 0 : rc, false); /* a snapshot that went meanwhile */
        return;
    }
    note(n, io_fsync(f), true);
    io_file_close(f);
}

static void sync_dir(struct flush_names *n, const char *path)
{
    if (n->sync_err) {
        return;
    }
    int rc = io_fsync_dir(n->io, path);
    note(n, rc, rc != ERR_MFILE && rc != ERR_NOMEM);
}

static void names_work(struct io_op *op)
{
    struct flush_job *job = CONTAINER_OF(op, struct flush_job, work);
    struct flush_names *n = &job->names;
    struct buf path = {0};
    op->result = 0;
    if (n->epochs_at) {
        int rc = io_replace_file(n->io, n->epochs_at, n->epochs.data, n->epochs.len);
        note(n, rc, !is_soft(rc));
    }
    for (uint32_t i = 0; i < n->snap_n; i++) {
        buf_clear(&path);
        buf_printf(&path, "%s/%020lld.snapshot", n->dir, (long long)n->snaps[i]);
        sync_file(n, buf_cstr(&path));
    }
    if (n->parent) {
        buf_clear(&path);
        buf_printf(&path, "%s/partition.metadata", n->dir);
        sync_file(n, buf_cstr(&path));
    }
    if (n->sync_dir) {
        sync_dir(n, n->dir);
    }
    if (n->parent) {
        sync_dir(n, n->parent);
    }
    buf_free(&path);
}

static char *parent_of(const struct plog *log)
{
    size_t n = (size_t)(log->name - log->path) - 1;
    char *p = mem_alloc(n + 2);
    memcpy(p, n ? log->path : "/", n ? n : 1);
    p[n ? n : 1] = 0;
    return p;
}

/* What stands in directories: takes the marks off. */
static void take_names(struct plog *log, struct flush_job *job)
{
    struct flush_names *n = &job->names;
    n->io = log->st->io;
    if (log->dir_dirty) {
        log->dir_dirty = false;
        n->sync_dir = n->data = true;
    }
    if (log->meta_dirty) {
        log->meta_dirty = false;
        n->parent = parent_of(log);
        n->sync_dir = n->data = true;
    }
    if (job->full && log->epochs && log->epochs_dirty) {
        struct buf path = {0};
        log->epochs_dirty = false;
        plog_epochs_text(log, &n->epochs);
        buf_printf(&path, "%s/leader-epoch-checkpoint", log->path);
        n->epochs_at = mem_strdup(buf_cstr(&path));
        buf_free(&path);
    }
    if (job->full && log->unsynced_snap >= 0) {
        n->snaps = mem_alloc((log->snap_n + 1) * sizeof *n->snaps);
        for (uint32_t i = 0; i < log->snap_n; i++) {
            if (log->snaps[i] >= log->unsynced_snap) {
                n->snaps[n->snap_n++] = log->snaps[i];
            }
        }
        log->unsynced_snap = -1;
        n->sync_dir = true;
    }
    n->dir = mem_strdup(log->path);
}

/* Marks what the worker could not do. */
static void give_names_back(struct plog *log, const struct flush_names *n)
{
    if (n->data) {
        log->dir_dirty = true;
        log->meta_dirty |= n->parent != NULL;
    }
    log->epochs_dirty |= n->epochs_at != NULL;
    for (uint32_t i = 0; i < n->snap_n; i++) {
        if (log->unsynced_snap < 0 || n->snaps[i] < log->unsynced_snap) {
            log->unsynced_snap = n->snaps[i];
        }
    }
}

static void names_free(struct flush_names *n)
{
    mem_free(n->dir);
    mem_free(n->parent);
    mem_free(n->epochs_at);
    mem_free(n->snaps);
    buf_free(&n->epochs);
}

/* ---- files ---- */

static const struct {
    enum segment_file file;
    uint32_t flag;
} PARTS[] = {
    {SEG_LOG, SEG_DIRTY},
    {SEG_INDEX, SEG_INDEX_DIRTY},
    {SEG_TIME, SEG_INDEX_DIRTY},
    {SEG_TXN, SEG_TXN_DIRTY},
};

/* The flags that a job takes off this segment. */
static uint32_t wanted_flags(const struct plog *log, const struct segment *seg, bool full)
{
    bool sealed = seg != plog_active(log);
    uint32_t mask = SEG_DIRTY | (full && sealed ? SEG_INDEX_DIRTY | SEG_TXN_DIRTY : 0);
    return seg->flags & mask;
}

/* Holds the segment's dirty files for the job. false: they do not fit, or cannot be opened now. */
static bool take_segment(struct plog *log, struct flush_job *job, struct segment *seg)
{
    uint32_t flags = wanted_flags(log, seg, job->full);
    unsigned had = job->files_n;
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        struct io_file *f;
        if ((flags & PARTS[i].flag) == 0) {
            continue;
        }
        if (job->files_n == FILES_MAX) {
            goto undo;
        }
        if (segment_open(log, seg, PARTS[i].file, &f) < 0) {
            job->retry = true;
            goto undo;
        }
        job->files[job->files_n++].lease = file_lease_take(seg->file[PARTS[i].file]);
    }
    if (seg->flags & SEG_NEW_NAME) {
        job->names.sync_dir = job->names.data = true;
    }
    seg->flags &= ~(flags | SEG_NEW_NAME);
    return true;
undo:
    while (job->files_n > had) {
        file_lease_release(&job->files[--job->files_n].lease);
    }
    return false;
}

/* Oldest first, so that what a job covers is a front part of the log. */
static void take_files(struct plog *log, struct flush_job *job)
{
    uint32_t i = job->full ? 0 : plog_segment_of(log, log->flushed);
    bool others = false; /* dirty, and not taken because the job is not full */
    job->end = log->end;
    for (; i < log->seg_n; i++) {
        struct segment *seg = log->segs[i];
        if (!take_segment(log, job, seg)) {
            job->end = seg->base < log->end ? seg->base : log->end;
            others = true;
            break;
        }
        others |= seg != plog_active(log) && (seg->flags & (SEG_INDEX_DIRTY | SEG_TXN_DIRTY));
    }
    if (job->full && others) {
        log->want_full = true; /* the next job goes on */
    }
    bool nothing_else = !log->want_full && !log->epochs_dirty && log->unsynced_snap < 0 && !others;
    job->point = job->full || nothing_else ? job->end : -1;
}

/* ---- a job ---- */

static void take_waiters(struct plog *log, struct flush_job *job, bool all)
{
    list_for_each_safe (it, &log->flush_wait) {
        if (all || LIST_ENTRY(it, struct plog_flush, node)->offset <= job->end) {
            list_remove(it);
            list_push_back(&job->waiters, it);
        }
    }
}

/* What became of the disk's part; false: the data are not durable, and will be tried again. */
static bool job_settle(struct plog *log, struct flush_job *job)
{
    struct flush_names *n = &job->names;
    if (log->deleted) {
        return true; /* its names have changed under the worker */
    }
    if (n->soft_err && !is_soft(n->soft_err)) {
        n->sync_err = n->soft_err;
    }
    if (n->sync_err) {
        log_store_dir_failed(log->st, log->dir, n->sync_err, "flushing a partition's names",
                             log->path);
        job->err = ERR_OFFLINE;
    }
    if (job->err) {
        return true;
    }
    if (n->soft_err) {
        if (n->soft_err == ERR_NOSPACE) {
            log_store_no_space(log->st, log->dir);
        }
        give_names_back(log, n);
        log->want_full |= job->full;
        job->retry = true;
        job->point = -1;
        if (n->data) {
            return false;
        }
    }
    log->flushed = job->end > log->flushed ? job->end : log->flushed;
    log->recovery_point = job->point > log->recovery_point ? job->point : log->recovery_point;
    return true;
}

static void call_back(struct list *waiters, int err)
{
    struct list *it;
    while ((it = list_pop_front(waiters)) != NULL) {
        struct plog_flush *f = LIST_ENTRY(it, struct plog_flush, node);
        f->cb(f, err);
    }
}

/* What comes after a job: the next one, now or later, or the end of a deleted log. */
static void job_next(struct plog *log, bool retry)
{
    if (log->deleted) {
        call_back(&log->flush_wait, ERR_CANCELED);
        plog_free(log);
        return;
    }
    bool wanted = log->want_full || !list_empty(&log->flush_wait) ||
                  log->end - log->flushed >= log->config->flush_messages;
    if (!wanted || log->closed) {
        if (!list_empty(&log->flush_wait)) {
            job_start(log);
        }
    } else if (retry && !plog_offline(log)) {
        due_at(log, io_now_ms(log->st->io) + RETRY_MS);
    } else if (!plog_offline(log) || !list_empty(&log->flush_wait)) {
        job_start(log);
    }
}

/* Who asked while the job was under way, for what it has made durable (appending starts a job of
 * its own when flush.messages says so), need not wait for the next one, which has more to flush. */
static void take_reached(struct plog *log, struct flush_job *job)
{
    list_for_each_safe (it, &log->flush_wait) {
        if (job->err == 0 && !log->deleted &&
            LIST_ENTRY(it, struct plog_flush, node)->offset <= log->flushed) {
            list_remove(it);
            list_push_back(&job->waiters, it);
        }
    }
}

static void job_free(struct flush_job *job)
{
    names_free(&job->names);
    mem_free(job);
}

static void job_done(struct flush_job *job)
{
    struct plog *log = job->log;
    struct log_store *st = log->st;
    for (unsigned i = 0; i < job->files_n; i++) {
        file_lease_release(&job->files[i].lease);
    }
    if (!job_settle(log, job)) {
        /* In front of those that came later. */
        while (!list_empty(&job->waiters)) {
            struct list *it = job->waiters.prev;
            list_remove(it);
            list_push_front(&log->flush_wait, it);
        }
    }
    take_reached(log, job);
    /* The job stays the log's while it calls: what a callback asks for goes to the next one. */
    call_back(&job->waiters, job->err);
    bool retry = job->retry;
    log->job = NULL;
    list_remove(&job->node);
    disk_time_add(&st->flush_time, job->began_us, io_now_us(st->io), log->path);
    job_free(job);
    job_next(log, retry);
}

static void op_home(struct flush_job *job)
{
    ASSERT(job->pending > 0);
    if (--job->pending > 0) {
        return;
    }
    if (job->log) {
        job_done(job);
    } else {
        job_free(job);
    }
}

static void fsync_done(struct io_op *op, int64_t result)
{
    struct flush_job *job = op->user;
    if (result < 0 && job->log) {
        log_store_dir_failed(job->log->st, job->log->dir, (int)result, "flushing a segment",
                             job->log->path);
        job->err = ERR_OFFLINE;
    }
    op_home(job);
}

static void work_done(struct io_op *op, int64_t result)
{
    UNUSED(result); /* what matters stands in job->names */
    op_home(CONTAINER_OF(op, struct flush_job, work));
}

static void job_begin(struct plog *log, struct flush_job *job)
{
    job->log = log;
    job->point = -1;
    job->began_us = io_now_us(log->st->io);
    list_init(&job->waiters);
    log->job = job;
    list_push_back(&log->st->flushing, &job->node);
}

/* Callbacks never run inside the call that started a job, so there is always one operation. */
static void job_run(struct flush_job *job)
{
    struct io *io = job->log->st->io;
    const struct flush_names *n = &job->names;
    bool work = n->sync_dir || n->parent || n->epochs_at || n->snap_n || job->files_n == 0;
    job->pending = job->files_n + work;
    unsigned files = job->files_n;
    for (unsigned i = 0; i < files; i++) {
        struct flush_file *ff = &job->files[i];
        ff->op = (struct io_op){.cb = fsync_done, .user = job};
        io_fsync_start(ff->lease.cf->file, &ff->op);
    }
    if (work) {
        job->work = (struct io_op){.cb = work_done};
        io_work(io, &job->work, names_work);
    }
}

static void job_start(struct plog *log)
{
    ASSERT(log->job == NULL && !log->deleted);
    struct flush_job *job = MEM_NEW(struct flush_job);
    job_begin(log, job);
    if (log->flush_due_ms != INT64_MAX) {
        not_due(log);
    }
    if (plog_offline(log)) {
        job->err = ERR_OFFLINE;
        job->end = log->flushed;
        job->names.io = log->st->io;
        take_waiters(log, job, true);
        job_run(job);
        return;
    }
    job->full = log->want_full;
    log->want_full = false;
    take_files(log, job);
    take_names(log, job);
    take_waiters(log, job, false);
    job_run(job);
}

/* ---- asking for one ---- */

void plog_flush_start(struct plog *log, struct plog_flush *f, plog_flush_cb *cb, void *user)
{
    ASSERT(!log->deleted);
    *f = (struct plog_flush){.offset = log->end, .cb = cb, .user = user};
    list_push_back(&log->flush_wait, &f->node);
    /* If others wait and there is no job, the next try has its time: job_next. */
    if (log->job == NULL && log->flush_wait.next == &f->node) {
        job_start(log);
    }
}

void plog_flush_full(struct plog *log)
{
    log->want_full = true;
    if (log->job == NULL && !plog_offline(log)) {
        job_start(log);
    }
}

void plog_flush_appended(struct plog *log)
{
    const struct log_config *c = log->config;
    if (log->end - log->flushed >= c->flush_messages) {
        if (log->job == NULL) {
            job_start(log);
        }
    } else if (c->flush_ms != INT64_MAX && log->flush_due_ms == INT64_MAX) {
        int64_t now = io_now_ms(log->st->io);
        due_at(log, c->flush_ms > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + c->flush_ms);
    }
}

bool plog_flush_writes_epochs(const struct plog *log)
{
    return log->job && log->job->names.epochs_at;
}

bool plog_flush_syncs_names(const struct plog *log)
{
    return log->job && log->job->names.sync_dir;
}

void plog_flush_cut(struct plog *log, int64_t offset)
{
    struct flush_job *job = log->job;
    if (job) {
        job->end = job->end < offset ? job->end : offset;
        job->point = job->point < offset ? job->point : offset;
        list_for_each (it, &job->waiters) {
            struct plog_flush *f = LIST_ENTRY(it, struct plog_flush, node);
            f->offset = f->offset < offset ? f->offset : offset;
        }
    }
    list_for_each (it, &log->flush_wait) {
        struct plog_flush *f = LIST_ENTRY(it, struct plog_flush, node);
        f->offset = f->offset < offset ? f->offset : offset;
    }
    log->flushed = log->flushed < offset ? log->flushed : offset;
    log->recovery_point = log->recovery_point < offset ? log->recovery_point : offset;
}

void plog_flush_abandon(struct plog *log)
{
    ASSERT(log->deleted);
    if (log->flush_due_ms != INT64_MAX) {
        not_due(log);
    }
    if (log->job) {
        return; /* job_next frees the log */
    }
    if (list_empty(&log->flush_wait)) {
        plog_free(log);
        return;
    }
    struct flush_job *job = MEM_NEW(struct flush_job);
    job_begin(log, job);
    job->err = ERR_CANCELED;
    job->names.io = log->st->io;
    take_waiters(log, job, true);
    job_run(job);
}

/* ---- the end of a log whose flush is under way ---- */

/* What is in flight has paths of its own, and an fsync its descriptor (io.h). */
static void job_leave(struct flush_job *job)
{
    ASSERT(job->pending > 0);
    for (unsigned i = 0; i < job->files_n; i++) {
        file_lease_release(&job->files[i].lease);
    }
    while (list_pop_front(&job->waiters) != NULL) {
    }
    list_remove(&job->node);
    job->log->job = NULL;
    job->log = NULL;
}

void plog_flush_forget(struct plog *log)
{
    while (list_pop_front(&log->flush_wait) != NULL) {
    }
    if (log->job) {
        job_leave(log->job);
    }
}

void plog_flush_forget_deleted(struct log_store *st)
{
    while (!list_empty(&st->flushing)) {
        struct plog *log = LIST_ENTRY(st->flushing.next, struct flush_job, node)->log;
        ASSERT(log->deleted);
        plog_flush_forget(log);
        plog_free(log);
    }
}

/* ---- blocking, for a clean stop ---- */

static int flush_segment(struct plog *log, struct segment *seg)
{
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        struct io_file *f;
        if ((seg->flags & PARTS[i].flag) == 0) {
            continue;
        }
        int rc = segment_open(log, seg, PARTS[i].file, &f);
        if (rc < 0) {
            return rc;
        }
        rc = io_fsync(f);
        if (rc < 0) {
            log_store_dir_failed(log->st, log->dir, rc, "flushing a segment",
                                 segment_path(log, seg, PARTS[i].file));
            return rc;
        }
    }
    seg->flags &= ~(uint32_t)(SEG_DIRTY | SEG_INDEX_DIRTY | SEG_TXN_DIRTY);
    return 0;
}

int plog_flush_blocking(struct plog *log)
{
    struct flush_job job = {.log = log, .full = true};
    int rc = 0;
    if (plog_offline(log)) {
        return ERR_OFFLINE;
    }
    for (uint32_t i = 0; i < log->seg_n && rc == 0; i++) {
        rc = flush_segment(log, log->segs[i]);
        job.names.sync_dir |= (log->segs[i]->flags & SEG_NEW_NAME) != 0;
        job.names.data |= job.names.sync_dir;
    }
    if (rc < 0) {
        return rc;
    }
    take_names(log, &job);
    names_work(&job.work);
    rc = job.names.sync_err ? job.names.sync_err : job.names.soft_err;
    if (rc < 0) {
        give_names_back(log, &job.names);
        if (job.names.sync_err) {
            log_store_dir_failed(log->st, log->dir, rc, "flushing a partition's names", log->path);
        } else {
            plog_disk_error(log, rc, "flushing a partition's names", log->path);
        }
    } else {
        for (uint32_t i = 0; i < log->seg_n; i++) {
            log->segs[i]->flags &= ~(uint32_t)SEG_NEW_NAME;
        }
        log->flushed = log->recovery_point = log->end;
        log->want_full = false;
    }
    names_free(&job.names);
    return rc;
}
