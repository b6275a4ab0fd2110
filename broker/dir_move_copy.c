/* How the future log of a move gets what the partition's log has: the pure followers' rules
 * (replica/follower.h), with a leader whose log can be asked directly.
 *
 *     leader epochs compared -> the future log is cut where the two part
 *     marks -> high watermark and log start follow
 *     copy -> a piece is read: from memory at once, from the disk by a worker
 *       -> taken apart, checksums looked at -> one plog_append
 *
 * One turn of the shard copies a MiB or two, over all its moves; they take turns. What is copied
 * counts for replica.alter.log.dirs.io.max.bytes.per.second, over which a move waits, unless the
 * partition is held for it. */
#include <inttypes.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/dir_move_private.h"
#include "broker/replica/follower.h"
#include "broker/replica/pieces.h"
#include "storage/log_dir.h"

enum { PIECE_MAX = 1 << 20 };

/* ---- where the two part ---- */

/* The end of what both logs have in common of the future log's newest epoch or below it. */
static int common_end(struct dir_move *m, int64_t *at)
{
    struct plog *from = m->part->log;
    struct follower_log own = {.start = plog_start_offset(m->log), .end = plog_end_offset(m->log)};
    int32_t epoch;
    int32_t own_epoch = -1;
    int64_t end;
    int64_t own_end = -1;
    *at = own.end;
    int err = plog_latest_epoch(m->log, &own.last_epoch);
    if (err || own.last_epoch < 0) {
        return err; /* records from before there were epochs */
    }
    err = plog_epoch_end_offset(from, own.last_epoch, &epoch, &end);
    if (err == 0 && epoch < 0 && end < 0) { /* the partition's log knows no epoch so high */
        err = plog_latest_epoch(from, &epoch);
        end = plog_end_offset(from);
    }
    if (err == 0 && epoch >= 0) {
        err = plog_epoch_end_offset(m->log, epoch, &own_epoch, &own_end);
    }
    if (err == 0) {
        *at = own_epoch < 0 ? own.start : follower_cut_offset(&own, end, own_epoch, own_end);
    }
    return err;
}

static int begin_at(struct dir_move *m, int64_t offset)
{
    m->settled = false;
    return plog_truncate_fully(m->log, offset);
}

static int cut_to(struct dir_move *m, int64_t at)
{
    log_info(move_logger(m), "dir_move",
             "the future log parts from the partition's log and is truncated partition=%s-%" PRId32
             " offset=%" PRId64 " end=%" PRId64,
             m->part->topic->name, m->part->index, at, plog_end_offset(m->log));
    m->settled = false;
    return plog_truncate_to(m->log, at);
}

bool move_compare(struct dir_move *m)
{
    int64_t at = 0;
    int64_t end;
    int err;
    if (m->compared) {
        return true;
    }
    do {
        end = plog_end_offset(m->log);
        err = plog_size(m->log) > 0 ? common_end(m, &at) : 0;
        if (err == 0 && plog_size(m->log) > 0 && at < end) {
            err = cut_to(m, at);
        }
    } while (err == 0 && plog_end_offset(m->log) < end);
    if (err == 0 && plog_end_offset(m->log) > plog_end_offset(m->part->log)) {
        err = begin_at(m, plog_start_offset(m->part->log));
    }
    if (err) {
        move_failed(m, err, "compare the leader epochs");
        return false;
    }
    m->compared = true;
    return true;
}

/* ---- marks ---- */

bool move_marks(struct dir_move *m)
{
    struct plog *from = m->part->log;
    int64_t start = plog_start_offset(from);
    int64_t end = plog_end_offset(m->log);
    int err = 0;
    if (end < start && (plog_size(m->log) > 0 || start == plog_end_offset(from))) {
        err = begin_at(m, start); /* all that it has is below the start */
    }
    plog_set_high_watermark(m->log, plog_high_watermark(from));
    if (err == 0 && start > plog_start_offset(m->log) && start <= plog_high_watermark(m->log)) {
        err = plog_set_start_offset(m->log, start);
        if (err == 0) {
            m->saved = false;
            partition_advance(m->part); /* DeleteRecords waits for it */
        }
    }
    if (err) {
        move_failed(m, err, "follow the log's start");
    }
    return err == 0;
}

/* ---- a piece ---- */

static void note_space(struct dir_move *m, bool no_space)
{
    if (no_space && !m->no_space) {
        log_warn(move_logger(m), "dir_move",
                 "the move waits until the disk has space again partition=%s-%" PRId32 " dir=%s",
                 m->part->topic->name, m->part->index,
                 m->ms->ns->node->log_dirs[plog_dir_index(m->log)]->path);
    }
    m->no_space = no_space;
}

static bool append(struct dir_move *m, const struct pieces *in)
{
    struct plog_append_args args = {.origin = PLOG_REPLICATION};
    struct plog_batch *b = partition_scratch(m->part->pm, 0);
    plog_append(m->log, b, in->n, &args);
    for (unsigned i = 0; i < in->n; i++) {
        if (b[i].result == PLOG_NO_SPACE) {
            note_space(m, true);
            move_later(m);
            return false;
        }
        if (b[i].result != PLOG_APPENDED) {
            move_failed(m, b[i].result == PLOG_OFFLINE ? ERR_OFFLINE : ERR_CORRUPT, "append");
            return false;
        }
    }
    note_space(m, false);
    rate_account_add(&m->ms->account, in->bytes);
    return true;
}

/* False: it has to wait. */
static bool take(struct dir_move *m, struct bytes records)
{
    struct pieces in;
    int64_t end = plog_end_offset(m->log);
    const char *bad = pieces_split(m->part->pm, records, INT32_MAX, &in);
    if (bad) {
        log_limited(move_logger(m), &m->ms->limit, LOG_ERROR, "dir_move",
                    "records cannot be copied partition=%s-%" PRId32 " offset=%" PRId64
                    " reason=\"%s\"",
                    m->part->topic->name, m->part->index, end, bad);
        move_later(m);
        return false;
    }
    if (in.base < end && plog_size(m->log) == 0) { /* the start is inside a batch */
        int err = begin_at(m, in.base);
        if (err) {
            move_failed(m, err, "begin at a batch");
        }
        return err == 0; /* after a checkpoint */
    }
    return append(m, &in);
}

static void read_work(struct io_op *op)
{
    struct dir_move *m = op->user;
    const struct plog_range *r = &m->read.range;
    op->result = io_pread(r->file, m->read.data, r->len, r->pos);
}

/* What the partition's log has lost meanwhile is not taken: read again. */
static void read_home(struct io_op *op, int64_t n)
{
    struct dir_move *m = op->user;
    uint32_t len = m->read.range.len;
    file_lease_release(&m->read.range.lease);
    if (!move_home(m)) {
        return;
    }
    if (n < 0) {
        partition_note_error(m->part, (int)n, "read for a move");
        move_later(m);
    } else if (n == len && m->compared && !m->part->offline) {
        take(m, bytes_of(m->read.data, len));
    }
}

static void read_start(struct dir_move *m)
{
    m->busy = true;
    m->read.op = (struct io_op){.cb = read_home, .user = m};
    io_work(m->ms->ns->shard->io, &m->read.op, read_work);
}

/* One piece. False: it has to wait. */
static bool copy_piece(struct dir_move *m)
{
    struct partition *p = m->part;
    struct plog_range *r = &m->read.range;
    int64_t start = plog_start_offset(p->log);
    int64_t from = plog_end_offset(m->log);
    from = from > start ? from : start; /* an empty log may begin earlier */
    int err = plog_read(p->log, from, PIECE_MAX, true, plog_end_offset(p->log), r);
    if (err || r->len == 0) {
        partition_note_error(p, err ? err : ERR_CORRUPT, "read for a move");
        move_later(m);
        return false;
    }
    m->ms->left -= r->len < m->ms->left ? r->len : m->ms->left;
    mem_free(m->read.data);
    m->read.data = mem_alloc(r->len);
    if (!r->hot && !io_resident(r->file, r->pos, r->len)) {
        read_start(m);
        return false;
    }
    int64_t n = io_pread(r->file, m->read.data, r->len, r->pos);
    uint32_t len = r->len;
    file_lease_release(&r->lease);
    if (n != len) {
        partition_note_error(p, n < 0 ? (int)n : ERR_CORRUPT, "read for a move");
        move_later(m);
        return false;
    }
    return take(m, bytes_of(m->read.data, len));
}

bool move_copy(struct dir_move *m)
{
    struct partition *p = m->part;
    while (plog_end_offset(m->log) < plog_end_offset(p->log)) {
        if (!m->settled) {
            return true; /* not before its checkpoint */
        }
        if (!p->held && m->ms->account.over_rate) {
            list_push_back(&m->ms->throttled, &m->throttled);
            return false;
        }
        if (m->ms->left == 0) {
            dir_move_look(m);
            return false;
        }
        if (!copy_piece(m) || !move_marks(m)) {
            return false;
        }
    }
    mem_free(m->read.data);
    m->read.data = NULL;
    return true;
}
