/* The metadata log's reserve: blocks of the disk that the active segment's files have before they
 * are written. A full disk then does not end the node at once: what frees space again (topics
 * deleted, retention lowered) is itself a metadata record, and so is that a replica is out of sync.
 *
 * While the disk is full nothing else is written here (no new segment, no snapshot, no newer
 * durable end), and one line in the log says so. Once the reserve is used up, the next append
 * fails, and with it the node. */
#include "controller/metadata_log_private.h"

enum {
    INDEX_RESERVE = 64 << 10, /* beside each index: enough for the entries of a reserve */
    RETRY_BYTES = 16 << 10,   /* appended between two attempts on a full disk */
};

static int allocate(struct metadata_log *log, struct mlog_segment *seg, uint64_t size)
{
    int err = io_allocate(seg->file, size);
    if (err == 0 && seg->index_file) {
        err =
            io_allocate(seg->index_file, (uint64_t)seg->marks_n * MLOG_INDEX_ENTRY + INDEX_RESERVE);
    }
    if (err == 0 && seg->time_file) {
        err = io_allocate(seg->time_file, (uint64_t)seg->time_n * MLOG_TIME_ENTRY + INDEX_RESERVE);
    }
    log->reserve_try = seg->size + RETRY_BYTES;
    return err;
}

static void note(struct metadata_log *log, const struct mlog_segment *seg, int err)
{
    bool was_full = log->full;
    log->full = err == ERR_NOSPACE;
    if (log->full && !was_full) {
        uint64_t left = log->reserved_to > seg->size ? log->reserved_to - seg->size : 0;
        log_warn(log->lg, "controller",
                 "the disk of the metadata log is full: the node stops when its reserve is used up "
                 "dir=%s left_bytes=%llu",
                 log->path, (unsigned long long)left);
    } else if (was_full && !log->full) {
        log_info(log->lg, "controller", "the disk of the metadata log has space again dir=%s",
                 log->path);
    }
}

/* Blocks up to size; false: the disk is full. */
static bool reserve(struct metadata_log *log, uint64_t size)
{
    struct mlog_segment *seg = mlog_active(log);
    if (log->full && seg->size < log->reserve_try) {
        return false;
    }
    int err = allocate(log, seg, size);
    note(log, seg, err);
    if (err == 0) {
        log->reserved_to = size;
    } else if (err != ERR_NOSPACE) {
        /* a file system that knows no reserve, or a disk that will say so at the next write */
        log->reserved_to = UINT64_MAX;
    }
    return err != ERR_NOSPACE;
}

void mlog_reserve(struct metadata_log *log)
{
    uint64_t size = mlog_active(log)->size;
    uint64_t want = log->cfg.reserve_bytes;
    if (want > 0 && size + want / 2 > log->reserved_to) {
        (void)reserve(log, size + want);
    }
}

bool mlog_may_roll(struct metadata_log *log)
{
    if (log->cfg.reserve_bytes == 0 || log->reserved_to == UINT64_MAX) {
        return true;
    }
    return reserve(log, log->reserved_to + INDEX_RESERVE);
}

bool metadata_log_is_full(const struct metadata_log *log)
{
    return log->full;
}
