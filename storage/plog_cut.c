/* What makes a log shorter: from the front by its start offset and retention, from the end by
 * truncation.
 *
 * Truncation (a follower that diverged from its leader). Later segments go first, the last one
 * first of all, then the one that holds the offset is cut; each step is durable before the next one
 * begins: whatever fails on the way, what is left is a front part of the log. What was cut is
 * flushed at once (truncations are rare), so that it cannot come back between newer batches. The
 * recovery point goes back with the end; a recovery-point checkpoint with the old one must be
 * replaced before new batches are appended, as Kafka does: the caller's part (log.h).
 *
 * Retention is Kafka's: formats.md section 5. */
#include "base/assert.h"
#include "base/mem.h"
#include "storage/batch_scan.h"
#include "storage/plog.h"

enum { WINDOW = 4096 };

/* ---- the front ---- */

/* The log starts at `offset`: what is remembered of what lies below goes. */
static void move_start(struct plog *log, int64_t offset)
{
    if (offset <= log->start) {
        return;
    }
    log->start = offset;
    if (log->hw < offset) {
        log->hw = offset;
    }
    if (log->producers) {
        producer_log_start(log->producers, offset);
    }
    if (log->epochs) {
        log->epochs_dirty |= epoch_cache_truncate_start(log->epochs, offset);
    }
}

int plog_set_start_offset(struct plog *log, int64_t offset)
{
    if (log->deleted || log->closed || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    if (offset < 0 || offset > log->hw) {
        return ERR_RANGE;
    }
    move_start(log, offset);
    return 0;
}

/* ---- retention ---- */

struct retention {
    struct plog *log;
    int64_t now_ms;
    int64_t excess; /* bytes above retention.bytes */
    int64_t due_ms; /* when time alone makes the oldest segment go */
};

/* Largest timestamp of the segment; without one, when its file was changed last. */
static int segment_age_from(struct plog *log, struct segment *seg, int64_t *ms)
{
    struct io_stat s;
    int rc = segment_time_load(log, seg);
    if (rc < 0) {
        return rc;
    }
    *ms = seg->largest_ts;
    if (seg->largest_ts != NO_TIMESTAMP) {
        return 0;
    }
    const char *path = segment_path(log, seg, SEG_LOG);
    rc = io_stat(log->st->io, path, &s);
    if (rc < 0) {
        return plog_disk_error(log, rc, "asking a segment's age", path);
    }
    *ms = s.mtime_ms;
    return 0;
}

/* Why the segment may go; NULL: it stays. rc < 0: it could not be found out. */
static const char *reason_to_delete(struct retention *r, uint32_t i, int *rc)
{
    struct plog *log = r->log;
    const struct log_config *c = log->config;
    struct segment *seg = log->segs[i];
    bool last = i + 1 == log->seg_n;
    int64_t upper = last ? log->end : log->segs[i + 1]->base;
    int64_t from_ms;
    *rc = 0;
    if (log->hw < upper || (last && seg->size == 0)) {
        return NULL;
    }
    if (!last && upper <= log->start) {
        return "below the log start";
    }
    if (!c->cleanup_delete) {
        return NULL;
    }
    if (c->retention_bytes >= 0 && r->excess >= (int64_t)seg->size) {
        return "retention.bytes";
    }
    if (c->retention_ms < 0) {
        return NULL;
    }
    *rc = segment_age_from(log, seg, &from_ms);
    if (*rc == 0 && r->now_ms - from_ms > c->retention_ms) {
        return "retention.ms";
    }
    if (*rc < 0) {
        r->due_ms = r->now_ms; /* the next round tries again */
    } else if (!__builtin_add_overflow(from_ms, c->retention_ms, &from_ms)) {
        r->due_ms = from_ms;
    }
    return NULL;
}

static int delete_old(struct plog *log, struct retention *r, unsigned *deleted)
{
    for (;;) {
        int rc;
        const char *why = reason_to_delete(r, 0, &rc);
        if (why == NULL) {
            return rc;
        }
        uint64_t size = log->segs[0]->size;
        if (log->seg_n == 1) { /* a log is never without a segment */
            rc = plog_roll_to(log, log->end);
        }
        if (rc == 0) {
            rc = plog_delete_segments(log, 0, 1, why);
        }
        if (rc < 0) {
            return rc;
        }
        r->excess -= (int64_t)size;
        ++*deleted;
        move_start(log, log->segs[0]->base);
    }
}

int plog_retention(struct plog *log, unsigned *deleted)
{
    unsigned n = 0;
    if (deleted) {
        *deleted = 0;
    }
    if (log->deleted || log->closed || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    struct retention r = {.log = log,
                          .now_ms = io_wall_ms(log->st->io),
                          .excess = (int64_t)log->size - log->config->retention_bytes,
                          .due_ms = INT64_MAX};
    int rc = delete_old(log, &r, &n);
    if (n) {
        plog_drop_snapshots(log);
    }
    log->retention_due_ms = rc < 0 ? r.now_ms : r.due_ms;
    if (log->producers) {
        int64_t next = INT64_MAX;
        producer_expire(log->producers, r.now_ms, log->config->producer_id_expiration_ms, &next);
        log->retention_due_ms = next < log->retention_due_ms ? next : log->retention_due_ms;
    }
    if (deleted) {
        *deleted = n;
    }
    return rc;
}

int64_t plog_retention_due(const struct plog *log)
{
    return log->retention_due_ms;
}

/* ---- the end ---- */

/* Entries of both indexes that stay when the segment is cut to `size` bytes, which end at offset
 * `end`. */
static int cut_indexes(struct plog *log, struct segment *seg, uint64_t size, int64_t end)
{
    struct index_entry e;
    struct time_entry t;
    int rc = segment_index_load(log, seg);
    if (rc == 0) {
        rc = segment_time_load(log, seg);
    }
    while (rc == 0 && seg->index_n > 0) {
        rc = segment_index_get(log, seg, seg->index_n - 1, &e);
        if (rc < 0 || e.pos < size) {
            break;
        }
        seg->index_n--;
    }
    while (rc == 0 && seg->time_n > 0) {
        rc = segment_time_get(log, seg, seg->time_n - 1, &t);
        if (rc < 0 || t.offset < end) {
            break;
        }
        seg->time_n--;
    }
    return rc;
}

/* The largest timestamp of what is left: the last time entry has it up to its own batch. The entry
 * that has it altogether may have been cut off, or be lost on a full disk. */
static int find_largest(struct plog *log, struct segment *seg)
{
    struct index_entry e = {.offset = seg->base, .pos = 0};
    struct time_entry t;
    struct batch_scan s;
    struct batch_header h;
    struct io_file *f;
    uint8_t window[WINDOW];
    int rc = 0;
    seg->largest_ts = NO_TIMESTAMP;
    seg->largest_ts_offset = seg->base;
    if (seg->time_n > 0) {
        rc = segment_time_get(log, seg, seg->time_n - 1, &t);
        if (rc == 0) {
            seg->largest_ts = t.timestamp;
            seg->largest_ts_offset = t.offset;
            rc = segment_index_floor(log, seg, t.offset, &e);
        }
    }
    if (rc == 0) {
        rc = segment_open(log, seg, SEG_LOG, &f);
    }
    if (rc < 0) {
        return rc;
    }
    batch_scan_init(&s, f, e.pos < seg->size ? e.pos : seg->size, seg->size, window, sizeof window);
    seg->flags &= ~(uint32_t)SEG_TIME_OWED;
    while ((rc = batch_scan_next(&s, &h)) == 1) {
        if (h.max_timestamp > seg->largest_ts) {
            seg->largest_ts = h.max_timestamp;
            seg->largest_ts_offset = batch_last_offset(&h);
            seg->flags |= SEG_TIME_OWED;
        }
    }
    if (rc == ERR_CORRUPT || rc == ERR_TRUNCATED) {
        return 0;
    }
    return rc < 0 ? plog_disk_error(log, rc, "reading a segment", segment_path(log, seg, SEG_LOG))
                  : 0;
}

/* Entries that wait in memory go into the files; on a full disk they are forgotten, which only
 * makes the index sparser. */
static void drop_tail(struct plog *log, struct segment *seg)
{
    if (log->tail && tail_write_pending(log, seg) < 0) {
        seg->index_n = log->tail->index_done;
        seg->time_n = log->tail->time_done;
    }
    plog_tail_free(log);
}

/* Cuts the last segment to `size` bytes, which end at offset `end`. */
static int cut_segment(struct plog *log, struct segment *seg, uint64_t size, int64_t end)
{
    struct io_file *f;
    ASSERT(seg == plog_active(log) && size <= seg->size);
    drop_tail(log, seg);
    /* A later segment that comes back must find this one whole. */
    int rc = plog_offline(log) ? ERR_OFFLINE : plog_settle_names(log);
    if (rc == 0) {
        rc = segment_txn_truncate(log, seg, end);
    }
    if (rc == 0) {
        rc = cut_indexes(log, seg, size, end);
    }
    if (rc == 0) {
        rc = segment_trim(log, seg);
    }
    if (rc == 0) {
        rc = segment_open(log, seg, SEG_LOG, &f);
    }
    if (rc == 0) {
        rc = io_truncate(f, size);
        if (rc < 0) {
            plog_disk_error(log, rc, "cutting a segment", segment_path(log, seg, SEG_LOG));
        }
    }
    if (rc < 0) {
        return rc;
    }
    log->size -= seg->size - size;
    seg->size = size;
    /* At once: the next segment may begin where this one ends now, and is read without a look at
     * this one if the old bytes came back. */
    rc = io_fsync(f);
    if (rc < 0) {
        log_store_dir_failed(log->st, log->dir, rc, "flushing a segment",
                             segment_path(log, seg, SEG_LOG));
        return ERR_OFFLINE;
    }
    return find_largest(log, seg);
}

/* The log ends at `end` now: what is remembered of what was behind it goes. The producers are read
 * again when they are needed. */
static void move_end(struct plog *log, int64_t end)
{
    if (log->producers) {
        producer_state_free(log->producers);
        mem_free(log->producers);
        log->producers = NULL;
    }
    plog_flush_cut(log, end);
    log->end = end;
    log->hw = log->hw < end ? log->hw : end;
    log->start = log->start < end ? log->start : end;
    if (log->epochs) {
        log->epochs_dirty |= epoch_cache_truncate_end(log->epochs, end);
    }
    if (log->begun_epoch >= 0 && plog_need_epochs(log) < 0) {
        log->begun_epoch = -1;
    }
}

/* What must not come back on the disk. */
static int settle_end(struct plog *log)
{
    plog_drop_snapshots(log);
    int rc = io_fsync_dir(log->st->io, log->path);
    if (rc < 0) {
        return plog_disk_error(log, rc, "flushing a partition's names", log->path);
    }
    rc = plog_need_epochs(log);
    if (rc == 0 && plog_write_epochs(log) < 0) {
        log->want_full = true; /* a full disk: with the next flush */
        rc = plog_offline(log) ? ERR_OFFLINE : 0;
    }
    return rc;
}

static int delete_from(struct plog *log, uint32_t least, const char *reason)
{
    int rc = 0;
    while (rc == 0 && log->seg_n > least) {
        int64_t base = plog_active(log)->base;
        rc = plog_delete_segments(log, log->seg_n - 1, 1, reason);
        if (rc == 0 && log->seg_n > 0) {
            move_end(log, base < log->end ? base : log->end);
        }
    }
    return rc;
}

/* Nothing is cut, but an epoch in which this replica led and appended nothing goes: its leader has
 * another history from here on, and would name the place where it parts again and again. */
static int forget_begun(struct plog *log)
{
    int rc = plog_need_epochs(log);
    if (rc == 0 && epoch_cache_truncate_end(log->epochs, log->end)) {
        log->epochs_dirty = true;
    }
    return rc;
}

int plog_truncate_to(struct plog *log, int64_t offset)
{
    struct batch_place place = {0};
    if (log->deleted || log->closed || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    if (offset < 0) {
        return ERR_RANGE;
    }
    if (offset >= log->end) {
        return forget_begun(log);
    }
    if (offset < log->segs[0]->base) {
        return plog_truncate_fully(log, offset);
    }
    int rc = delete_from(log, plog_segment_of(log, offset) + 1, "truncated");
    if (rc < 0) {
        return rc;
    }
    struct segment *seg = plog_active(log);
    rc = seg->size ? segment_locate(log, seg, offset, &place) : ERR_NOTFOUND;
    if (rc == 0) {
        /* A batch goes as a whole. */
        offset = place.base_offset < offset ? place.base_offset : offset;
        rc = cut_segment(log, seg, place.pos, offset);
    }
    if (rc < 0 && rc != ERR_NOTFOUND) {
        return rc;
    }
    move_end(log, offset);
    return settle_end(log);
}

/* Empties the log down to one segment, which is at `offset`. */
static int begin_at(struct plog *log, int64_t offset)
{
    struct segment *seg;
    uint32_t i = plog_segment_of(log, offset);
    if (log->segs[i]->base == offset) {
        int rc = delete_from(log, i + 1, "begun anew");
        if (rc == 0) {
            rc = plog_delete_segments(log, 0, log->seg_n - 1, "begun anew");
        }
        return rc < 0 ? rc : cut_segment(log, plog_active(log), 0, offset);
    }
    int rc = segment_create(log, offset, &seg);
    if (rc < 0) {
        return rc;
    }
    log->dir_dirty = true;
    rc = delete_from(log, 0, "begun anew");
    if (rc < 0) {
        segment_undo_create(log, seg);
        return rc;
    }
    plog_add_segment(log, seg);
    return 0;
}

int plog_truncate_fully(struct plog *log, int64_t offset)
{
    if (log->deleted || log->closed || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    if (offset < 0) {
        return ERR_RANGE;
    }
    int rc = begin_at(log, offset);
    if (rc < 0) {
        return rc;
    }
    int64_t flushed = log->recovery_point < offset ? log->recovery_point : offset;
    move_end(log, log->segs[0]->base < log->end ? log->segs[0]->base : log->end);
    log->start = log->end = log->hw = log->flushed = offset;
    log->recovery_point = flushed;
    log->begun_epoch = -1;
    if (log->epochs == NULL) {
        log->epochs = MEM_NEW(struct epoch_cache); /* what the file has is of no use */
    }
    epoch_cache_clear(log->epochs);
    log->epochs_dirty = true;
    return settle_end(log);
}
