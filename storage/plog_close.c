/* The clean stop of one log, and of a shard's many.
 *
 *     sealed indexes, producer snapshot, leader epochs -> flushed -> recovery point at the end
 *
 * One log flushes its own files and folders. A node that made ten thousand partitions and stops has
 * three of these each, and every flush waits for the disk: so if many logs are dirty, their files
 * are written first and then the file system of each log directory is flushed as a whole, once, and
 * once more where files were renamed.
 *
 * Failure modes: a file system that cannot be flushed takes its log directory offline, like any
 * failed flush; its logs are not part of the clean stop. Crash on the way: there is no mark of a
 * clean stop yet, so the next start recovers. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

enum { MANY = 64 };

/* The active segment as a clean stop leaves it: indexes at their used size, and with the last time
 * entry. A log that nobody wrote to is so already. */
static int seal_active(struct plog *log)
{
    struct segment *seg = plog_active(log);
    struct log_tail *t;
    if (log->tail == NULL && (seg->flags & (SEG_PADDED | SEG_TIME_OWED)) == 0) {
        return 0;
    }
    int rc = plog_tail(log, &t);
    if (rc == 0) {
        rc = tail_seal(log, seg);
    }
    if (rc == 0) {
        plog_tail_free(log);
        rc = segment_cut_reserve(log, seg);
    }
    return rc;
}

/* Everything but the flush. 1: done before. */
static int close_begin(struct plog *log)
{
    if (plog_offline(log)) {
        return ERR_OFFLINE;
    }
    if (log->closed) {
        return log->close_err ? log->close_err : 1;
    }
    if (log->job) {
        return ERR_CONFLICT;
    }
    log->closed = true;
    int rc = seal_active(log);
    return rc == 0 && log->producers ? plog_take_snapshot(log, log->end) : rc;
}

/* A stop that failed stays so: what is half done is for the next start. */
static int close_end(struct plog *log, int rc)
{
    log->close_err = rc < 0 && log->closed ? rc : 0;
    return rc < 0 ? rc : 0;
}

int plog_close_clean(struct plog *log)
{
    int rc = close_begin(log);
    return close_end(log, rc == 0 ? plog_flush_blocking(log) : rc);
}

/* ---- many ---- */

static bool has_epochs(const struct plog *log)
{
    return log->epochs && log->epochs_dirty;
}

static bool is_dirty(const struct plog *log)
{
    enum { ANY = SEG_DIRTY | SEG_INDEX_DIRTY | SEG_TXN_DIRTY | SEG_NEW_NAME };
    bool dirty = log->dir_dirty || log->meta_dirty || has_epochs(log) || log->unsynced_snap >= 0;
    for (uint32_t i = 0; i < log->seg_n && !dirty; i++) {
        dirty = log->segs[i]->flags & ANY;
    }
    return dirty;
}

static void mark_flushed(struct plog *log)
{
    for (uint32_t i = 0; i < log->seg_n; i++) {
        log->segs[i]->flags &=
            ~(uint32_t)(SEG_DIRTY | SEG_INDEX_DIRTY | SEG_TXN_DIRTY | SEG_NEW_NAME);
    }
    log->dir_dirty = log->meta_dirty = log->want_full = false;
    log->unsynced_snap = -1;
    log->flushed = log->recovery_point = log->end;
}

static const char *epochs_path(struct plog *log, const char *suffix)
{
    struct buf *b = &log->st->path;
    buf_clear(b);
    buf_printf(b, "%s/leader-epoch-checkpoint%s", log->path, suffix);
    return buf_cstr(b);
}

/* The new file beside the old one. */
static int write_epochs(struct plog *log)
{
    struct io_file *f;
    struct buf text = {0};
    const char *path = epochs_path(log, ".tmp");
    int rc = io_open(log->st->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &f);
    if (rc == 0) {
        plog_epochs_text(log, &text);
        int64_t n = io_pwrite(f, text.data, text.len, 0);
        rc = n < 0 ? (int)n : 0;
        io_file_close(f);
        buf_free(&text);
    }
    return rc < 0 ? plog_disk_error(log, rc, "writing the leader epochs", path) : 0;
}

static int rename_epochs(struct plog *log)
{
    char *from = mem_strdup(epochs_path(log, ".tmp"));
    const char *to = epochs_path(log, "");
    int rc = io_rename(log->st->io, from, to);
    mem_free(from);
    if (rc < 0) {
        return plog_disk_error(log, rc, "replacing the leader epochs", to);
    }
    log->epochs_dirty = false;
    return 0;
}

/* Flushes the file systems of all directories that logs without an error are in. */
static void sync_dirs(struct log_store *st, struct plog *const *logs, unsigned n, int *results)
{
    bool done[LOG_STORE_DIRS_MAX] = {false};
    for (unsigned i = 0; i < n; i++) {
        struct plog *log = logs[i];
        if (results[i] == 0 && !done[log->dir] && !plog_offline(log)) {
            done[log->dir] = true;
            int rc = io_sync_fs(st->io, log->path);
            if (rc < 0) {
                log_store_dir_failed(st, log->dir, rc, "flushing a file system", log->path);
            }
        }
        if (results[i] == 0 && plog_offline(log)) {
            results[i] = ERR_OFFLINE;
        }
    }
}

static void flush_together(struct log_store *st, struct plog *const *logs, unsigned n, int *results)
{
    bool renamed = false;
    for (unsigned i = 0; i < n; i++) {
        if (results[i] == 0 && has_epochs(logs[i])) {
            results[i] = write_epochs(logs[i]);
        }
    }
    sync_dirs(st, logs, n, results);
    for (unsigned i = 0; i < n; i++) {
        if (results[i] == 0 && has_epochs(logs[i])) {
            results[i] = rename_epochs(logs[i]);
            renamed = true;
        }
    }
    if (renamed) {
        sync_dirs(st, logs, n, results);
    }
    for (unsigned i = 0; i < n; i++) {
        if (results[i] == 0) {
            mark_flushed(logs[i]);
        }
    }
}

void plog_close_clean_all(struct log_store *st, struct plog *const *logs, unsigned n, int *results)
{
    unsigned dirty = 0;
    unsigned many = st->opt.sync_fs_from ? st->opt.sync_fs_from : MANY;
    for (unsigned i = 0; i < n; i++) {
        results[i] = close_begin(logs[i]);
        dirty += results[i] == 0 && is_dirty(logs[i]);
    }
    if (dirty >= many) {
        flush_together(st, logs, n, results);
    }
    for (unsigned i = 0; i < n; i++) {
        if (results[i] == 0 && dirty < many) {
            results[i] = plog_flush_blocking(logs[i]);
        }
        results[i] = close_end(logs[i], results[i]);
    }
}
