/* Segments come and go: rolling (formats.md section 5), producer snapshots with it, deletion by
 * renaming to .deleted.
 *
 * Rolling makes the new segment first, then the snapshot, then seals the old one: if one of these
 * fails (a full disk), the new files go again and the old segment stays the active one, with at
 * most one time index entry more.
 *
 * The first segment's name is on the disk before a second segment is made: if a power loss kept
 * only the second, the log would seem to start there. A later hole is found by recovery.
 *
 * A segment is taken away only when what happened to names before is on the disk: if a power loss
 * kept a removal and lost an earlier one, or the new segment, there would be a hole in the log (and
 * recovery throws away what lies behind a hole), or the log would end before its end. With one
 * segment at a time, as retention works, the flushes of the log have done that long ago. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

/* ---- the rule ---- */

static bool waited_long(struct plog *log, const struct log_tail *t, const struct batch_header *h)
{
    const struct log_config *c = log->config;
    int64_t limit = c->segment_ms;
    if (c->cleanup_compact && c->max_compaction_lag_ms < limit) {
        limit = c->max_compaction_lag_ms;
    }
    int64_t waited;
    if (t->first_ts >= 0) {
        /* A wild timestamp, as a compressed batch's header may have it, wraps as in Kafka. */
        waited = (int64_t)((uint64_t)h->max_timestamp - (uint64_t)t->first_ts);
    } else {
        waited = io_wall_ms(log->st->io) - t->created_ms;
    }
    return waited > limit - t->jitter_ms;
}

bool plog_must_roll(struct plog *log, const struct log_tail *t, const struct batch_header *h)
{
    const struct log_config *c = log->config;
    const struct segment *seg = plog_active(log);
    int64_t relative = batch_last_offset(h) - seg->base;
    if (relative < 0 || relative > INT32_MAX) {
        return true;
    }
    return seg->size > 0 &&
           (seg->size + batch_size(h) > (uint64_t)c->segment_bytes || waited_long(log, t, h) ||
            seg->index_n >= segment_index_max(c) || seg->time_n + 1 >= segment_time_max(c));
}

/* ---- snapshots ---- */

void plog_note_snapshot(struct plog *log, int64_t offset)
{
    uint32_t at = log->snap_n;
    while (at > 0 && log->snaps[at - 1] > offset) {
        at--;
    }
    if (at > 0 && log->snaps[at - 1] == offset) {
        return;
    }
    if (log->snap_n == log->snap_cap) {
        log->snap_cap = log->snap_cap ? log->snap_cap * 2 : 1;
        log->snaps = mem_realloc(log->snaps, log->snap_cap * sizeof *log->snaps);
    }
    memmove(log->snaps + at + 1, log->snaps + at, (log->snap_n - at) * sizeof *log->snaps);
    log->snaps[at] = offset;
    log->snap_n++;
}

static int write_snapshot(struct plog *log, const char *path)
{
    struct io *io = log->st->io;
    struct buf text = {0};
    struct io_file *f;
    int rc = io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &f);
    if (rc < 0) {
        return plog_disk_error(log, rc, "making a snapshot", path);
    }
    producer_snapshot_put(log->producers, &text);
    int64_t n = io_pwrite(f, text.data, text.len, 0);
    io_file_close(f);
    buf_free(&text);
    if (n < 0) {
        io_unlink(io, path);
        return plog_disk_error(log, (int)n, "writing a snapshot", path);
    }
    return 0;
}

int plog_take_snapshot(struct plog *log, int64_t offset)
{
    int64_t newest = log->snap_n ? log->snaps[log->snap_n - 1] : log->start;
    if (offset <= newest) {
        return 0;
    }
    int rc = plog_need_producers(log);
    if (rc < 0) {
        return rc;
    }
    rc = write_snapshot(log, plog_file_path(log, offset, ".snapshot"));
    if (rc < 0) {
        return rc;
    }
    plog_note_snapshot(log, offset);
    if (log->unsynced_snap < 0 || offset < log->unsynced_snap) {
        log->unsynced_snap = offset;
    }
    return 0;
}

static bool is_segment_base(const struct plog *log, int64_t offset)
{
    return log->segs[plog_segment_of(log, offset)]->base == offset;
}

void plog_drop_snapshots(struct plog *log)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < log->snap_n; i++) {
        int64_t at = log->snaps[i];
        bool newest = i + 1 == log->snap_n || log->snaps[i + 1] > log->end;
        if (at > log->start && at <= log->end && (newest || is_segment_base(log, at))) {
            log->snaps[kept++] = at;
        } else {
            io_unlink(log->st->io, plog_file_path(log, at, ".snapshot"));
        }
    }
    log->snap_n = kept;
}

/* ---- rolling ---- */

int segment_cut_reserve(struct plog *log, struct segment *seg)
{
    struct io_file *f;
    if (!log->config->preallocate) {
        return 0;
    }
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc == 0) {
        rc = io_truncate(f, seg->size);
    }
    return rc < 0 ? plog_disk_error(log, rc, "cutting a segment", segment_path(log, seg, SEG_LOG))
                  : 0;
}

void segment_undo_create(struct plog *log, struct segment *seg)
{
    log->dir_dirty = true; /* as in segment_create */
    for (int i = 0; i < SEG_TXN; i++) {
        io_unlink(log->st->io, segment_path(log, seg, (enum segment_file)i));
    }
    segment_free(seg);
}

int plog_roll_to(struct plog *log, int64_t base)
{
    struct segment *old = plog_active(log);
    struct segment *seg;
    struct log_tail *t;
    ASSERT(base > old->base && base >= log->end);
    int rc = plog_tail(log, &t);
    if (rc == 0 && log->seg_n == 1) {
        rc = plog_settle_names(log);
    }
    if (rc == 0) {
        rc = segment_create(log, base, &seg);
    }
    if (rc < 0) {
        return rc;
    }
    rc = plog_take_snapshot(log, base);
    if (rc == 0) {
        rc = tail_seal(log, old);
    }
    if (rc == 0) {
        rc = segment_cut_reserve(log, old);
    }
    if (rc < 0) {
        segment_undo_create(log, seg);
        return rc;
    }
    plog_tail_free(log);
    plog_add_segment(log, seg);
    if (old->size == 0) {
        /* Only an offset far ahead rolls an empty segment: nothing of it is worth keeping. */
        plog_delete_segments(log, log->seg_n - 2, 1, "empty");
    }
    plog_flush_full(log);
    return 0;
}

int plog_roll(struct plog *log)
{
    if (plog_offline(log) || log->closed) {
        return ERR_OFFLINE;
    }
    if (plog_active(log)->size == 0) {
        return 0;
    }
    return plog_roll_to(log, log->end);
}

/* ---- deleting ---- */

static int put_away(struct plog *log, int64_t base, const char *suffix)
{
    struct log_store *st = log->st;
    struct buf to = {0};
    const char *from = plog_file_path(log, base, suffix);
    buf_printf(&to, "%s.deleted", from);
    int rc = io_rename(st->io, from, buf_cstr(&to));
    if (rc == 0) {
        log_store_delete_later(st, log->dir, buf_cstr(&to), false,
                               log->config->file_delete_delay_ms);
    } else if (rc != ERR_NOTFOUND) {
        plog_disk_error(log, rc, "renaming a segment's file", from);
    }
    buf_free(&to);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

static void forget_snapshot(struct plog *log, int64_t offset)
{
    for (uint32_t i = 0; i < log->snap_n; i++) {
        if (log->snaps[i] == offset) {
            memmove(log->snaps + i, log->snaps + i + 1, (log->snap_n - i - 1) * sizeof *log->snaps);
            log->snap_n--;
            return;
        }
    }
}

/* The .log goes first: a crash leaves files without .log, which the next start removes. */
static int delete_files(struct plog *log, struct segment *seg)
{
    int rc = 0;
    for (int i = 0; i < SEG_FILES && rc == 0; i++) {
        if (i != SEG_TXN || (seg->flags & SEG_HAS_TXN)) {
            rc = put_away(log, seg->base, segment_suffix((enum segment_file)i));
        }
    }
    for (uint32_t i = 0; i < log->snap_n && rc == 0; i++) {
        if (log->snaps[i] == seg->base) {
            rc = put_away(log, seg->base, ".snapshot");
            forget_snapshot(log, seg->base);
            break;
        }
    }
    return rc;
}

/* Names may reach the disk in any order as long as nobody waits for them. */
int plog_settle_names(struct plog *log)
{
    if (!log->dir_dirty && !plog_flush_syncs_names(log) &&
        (plog_active(log)->flags & SEG_NEW_NAME) == 0) {
        return 0;
    }
    int rc = io_fsync_dir(log->st->io, log->path);
    if (rc < 0) {
        return plog_disk_error(log, rc, "flushing a partition's names", log->path);
    }
    log->dir_dirty = false;
    return 0;
}

int plog_delete_segments(struct plog *log, uint32_t from, uint32_t n, const char *reason)
{
    ASSERT(from + n <= log->seg_n);
    if (n && from + n == log->seg_n) {
        plog_tail_free(log);
    }
    int rc = 0;
    uint32_t done = 0;
    while (done < n && rc == 0) {
        struct segment *seg = log->segs[from + done];
        rc = plog_settle_names(log);
        if (rc == 0) {
            log->dir_dirty = true;
            rc = delete_files(log, seg);
        }
        if (rc == 0) {
            log_info(log->st->lg, "storage",
                     "segment deleted partition=%s base=%lld size=%llu reason=\"%s\"", log->name,
                     (long long)seg->base, (unsigned long long)seg->size, reason);
            log->size -= seg->size;
            segment_free(seg);
            done++;
        }
    }
    memmove(log->segs + from, log->segs + from + done,
            (log->seg_n - from - done) * sizeof *log->segs);
    log->seg_n -= done;
    return rc;
}
