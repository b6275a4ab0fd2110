/* The inside of struct plog, for the plog_*.c files of this folder only.
 *
 *   plog.c          open, create, facts, deletion of the whole log
 *   plog_close.c    the clean stop
 *   plog_load.c     the directory's files, left-overs, the check of the tail
 *   plog_recover.c  reading past the recovery point, rebuilding indexes and producer state
 *   plog_append.c   checks, offsets, groups of batches, the write
 *   plog_roll.c     segments: making, sealing, deleting
 *   plog_read.c     offset to position, ranges, aborted transactions
 *   plog_lookup.c   offsets by time and by epoch, producers
 *   plog_cut.c      start offset, truncation, retention
 *   plog_flush.c    group commit, recovery point
 *   plog_promote.c  a future log takes its place
 *
 * A log's memory: struct plog, one struct segment each, and while it is being written to a struct
 * log_tail. Producer state and epochs are loaded when first needed. */
#ifndef STORAGE_PLOG_H
#define STORAGE_PLOG_H

#include "proto/record_batch.h"
#include "storage/epoch_cache.h"
#include "storage/log.h"
#include "storage/producer_state.h"

enum segment_file { SEG_LOG, SEG_INDEX, SEG_TIME, SEG_TXN, SEG_FILES };

enum segment_flags {
    SEG_DIRTY = 1,        /* the .log has bytes that were not flushed */
    SEG_INDEX_DIRTY = 2,  /* .index or .timeindex has */
    SEG_TXN_DIRTY = 4,    /* .txnindex has */
    SEG_NEW_NAME = 8,     /* its names are not flushed */
    SEG_INDEX_KNOWN = 16, /* index_n is */
    SEG_TIME_KNOWN = 32,  /* time_n, largest_ts and largest_ts_offset are */
    SEG_PADDED = 64,      /* .index and .timeindex have their full size on the disk */
    SEG_HAS_TXN = 128,    /* there is a .txnindex */
    SEG_NO_INDEX = 256,   /* loading: .index or .timeindex is missing */
    SEG_TIME_OWED = 512,  /* largest_ts has no time entry yet, and there is no tail that knows */
};

/* largest_ts of a segment without timestamps. */
#define NO_TIMESTAMP INT64_C(-1)

struct segment {
    int64_t base;
    uint64_t size;                       /* bytes of the .log that count */
    struct cached_file *file[SEG_FILES]; /* NULL: not open */
    int64_t largest_ts;
    int64_t largest_ts_offset; /* last offset of the batch that has it */
    uint32_t index_n;          /* entries, those not written yet included */
    uint32_t time_n;
    uint32_t flags;
};

struct index_entry {
    int64_t offset; /* absolute */
    uint32_t pos;
};

struct time_entry {
    int64_t timestamp;
    int64_t offset; /* absolute */
};

enum { INDEX_ENTRY = 8, TIME_ENTRY = 12, TXN_ENTRY = 34, RECENT_MAX = 64 };

/* Where a recent batch begins in the active segment. */
struct boundary {
    int64_t offset;
    int64_t last; /* offset */
    uint64_t pos;
};

/* What is known of the active segment of a log that is written to. */
struct log_tail {
    int64_t first_ts;    /* max timestamp of the segment's first batch; -1 none */
    int64_t created_ms;  /* wall clock when the segment was made or opened */
    int64_t jitter_ms;   /* drawn for this segment */
    uint64_t unindexed;  /* bytes since the last index entry */
    uint32_t index_done; /* entries in the files, the rest is pending */
    uint32_t time_done;
    int64_t last_time; /* timestamp of the last time index entry; -1 none */
    struct buf index_pending;
    struct buf time_pending;
    uint64_t behind_pos;  /* written behind up to here */
    uint64_t hot_pos[2];  /* from hot_pos[i] on, what was appended since hot_mark[i] */
    uint64_t hot_mark[2]; /* log_store.appended then */
    uint32_t recent_n;    /* boundaries ever noted; the last RECENT_MAX are there */
    struct boundary recent[RECENT_MAX];
};

struct flush_job;

struct plog {
    struct log_store *st;
    const struct log_config *config;
    char *path; /* of the partition directory */
    const char *name;
    struct uuid topic_id;
    unsigned dir;
    bool closed;       /* by plog_close_clean */
    int close_err;     /* what it came to */
    bool deleted;      /* waits for its flushes */
    bool promoting;    /* a worker renames its directory */
    bool meta_dirty;   /* partition.metadata and the directory's own name are not flushed */
    bool dir_dirty;    /* the directory must be flushed with the next flush */
    bool epochs_dirty; /* in memory differs from the file */
    bool warned_space;
    struct segment **segs; /* ascending; the last is active; never empty */
    uint32_t seg_n;
    uint32_t seg_cap;
    int64_t start;
    int64_t end; /* LEO */
    int64_t hw;
    int64_t flushed;
    int64_t recovery_point;
    bool kept;       /* while it is loaded: plog_open_args */
    int64_t vouched; /* while it is loaded: checkpoints say that what is below was counted on */
    uint64_t size;
    int64_t retry_ms;         /* no append before, after a full disk */
    int64_t retention_due_ms; /* plog_retention_due */
    struct log_tail *tail;
    int64_t *snaps; /* offsets of producer snapshots, ascending */
    uint32_t snap_n;
    uint32_t snap_cap;
    int64_t unsynced_snap; /* the oldest one not flushed; -1 none */
    struct producer_state *producers;
    struct epoch_cache *epochs;
    int32_t begun_epoch; /* plog_begin_epoch before epochs were loaded; -1 none */
    /* flush */
    struct flush_job *job;
    struct list flush_wait;
    bool want_full; /* a sealed segment's index, or what else only a full flush takes, is dirty */
    struct list flush_node; /* in st->flush_due */
    int64_t flush_due_ms;   /* INT64_MAX: not in it */
};

static inline struct segment *plog_active(const struct plog *log)
{
    return log->segs[log->seg_n - 1];
}

static inline bool plog_offline(const struct plog *log)
{
    return log->st->dir_offline[log->dir];
}

/* ---- log_store.c ---- */

void log_store_want(struct log_store *st, int64_t at_ms);
void log_store_dir_failed(struct log_store *st, unsigned dir, int err, const char *what,
                          const char *path);
void log_store_no_space(struct log_store *st, unsigned dir);

/* ---- segment.c: files of a segment ---- */

const char *segment_suffix(enum segment_file which);
/* The path in the store's scratch buffer: good until the next such call. */
const char *segment_path(const struct plog *log, const struct segment *seg,
                         enum segment_file which);
const char *plog_file_path(const struct plog *log, int64_t offset, const char *suffix);
/* The open file, opened if need be. Errors are reported to the store when the disk failed. */
int segment_open(struct plog *log, struct segment *seg, enum segment_file which,
                 struct io_file **out);
/* Makes the four-file set anew, empty (.txnindex not); on an error nothing is left. */
int segment_create(struct plog *log, int64_t base, struct segment **out);
/* Removes the files of a segment that never counted. */
void segment_undo_create(struct plog *log, struct segment *seg);
void segment_drop_files(struct segment *seg);
void segment_free(struct segment *seg);
/* Turns an error of the disk into the directory's failure (all but no space and no descriptors),
 * and says that there is no space; returns err. */
int plog_disk_error(struct plog *log, int err, const char *what, const char *path);
/* Index of the segment that holds offset: the last with base <= offset; 0 if offset is below all.
 */
uint32_t plog_segment_of(const struct plog *log, int64_t offset);
void plog_add_segment(struct plog *log, struct segment *seg);

/* ---- seg_index.c: .index and .timeindex ---- */

uint32_t segment_index_max(const struct log_config *c); /* entries */
uint32_t segment_time_max(const struct log_config *c);
int segment_index_load(struct plog *log, struct segment *seg); /* index_n */
int segment_time_load(struct plog *log, struct segment *seg);  /* time_n, largest_ts */
int segment_index_get(struct plog *log, struct segment *seg, uint32_t i, struct index_entry *e);
int segment_time_get(struct plog *log, struct segment *seg, uint32_t i, struct time_entry *e);
/* Greatest entry with offset <= target; offset = base and pos 0 if there is none. */
int segment_index_floor(struct plog *log, struct segment *seg, int64_t target,
                        struct index_entry *e);
/* Least entry with position >= pos: 1, 0 none. */
int segment_index_at_pos(struct plog *log, struct segment *seg, uint64_t pos,
                         struct index_entry *e);
/* Greatest entry with timestamp <= target; timestamp -1 and offset = base if there is none. */
int segment_time_floor(struct plog *log, struct segment *seg, int64_t target, struct time_entry *e);
/* The tail of the active segment, made if need be: its files grown, its end read. */
int plog_tail(struct plog *log, struct log_tail **out);
void plog_tail_free(struct plog *log);
/* The rules of formats.md 3.1 and 3.2 for one batch that is about to stand at pos. */
void tail_note_batch(struct plog *log, struct segment *seg, const struct batch_header *h,
                     uint64_t pos);
/* The entry for the largest timestamp that is due when a segment becomes inactive. */
void tail_note_last_time(struct plog *log, struct segment *seg);
int tail_write_pending(struct plog *log, struct segment *seg);
bool tail_pending_full(const struct log_tail *t);
/* Writes what is pending and cuts both files to their used size. */
int tail_seal(struct plog *log, struct segment *seg);
int segment_trim(struct plog *log, struct segment *seg);

/* ---- txn_index.c ---- */

struct txn_entry {
    int64_t producer_id;
    int64_t first;
    int64_t last;
    int64_t lso;
};
int segment_txn_count(struct plog *log, struct segment *seg, uint32_t *n);
int segment_txn_get(struct plog *log, struct segment *seg, uint32_t i, struct txn_entry *e);
int segment_txn_append(struct plog *log, struct segment *seg, const struct txn_entry *e);
/* Drops the entries from the first one with last >= offset on. */
int segment_txn_truncate(struct plog *log, struct segment *seg, int64_t offset);

/* ---- plog_roll.c ---- */

bool plog_must_roll(struct plog *log, const struct log_tail *t, const struct batch_header *h);
/* Gives space that was reserved behind the end back. */
int segment_cut_reserve(struct plog *log, struct segment *seg);
/* Seals the active segment and makes a new one at base. On an error the old one stays active. */
int plog_roll_to(struct plog *log, int64_t base);
/* Makes durable what happened to the directory's names, if anything did since it was flushed. */
int plog_settle_names(struct plog *log);
/* Takes segments [from, from + n) out of the log: files renamed to .deleted and removed later. Each
 * one waits until the removal of the one before is durable. */
int plog_delete_segments(struct plog *log, uint32_t from, uint32_t n, const char *reason);
/* OFFSET.snapshot of the present producer state, unless there is one already or nothing happened
 * since the log's start. */
int plog_take_snapshot(struct plog *log, int64_t offset);
void plog_note_snapshot(struct plog *log, int64_t offset);
/* Deletes snapshots that are neither of a segment's base nor the newest, or outside (start, end].
 */
void plog_drop_snapshots(struct plog *log);

/* ---- plog_load.c ---- */

int plog_load(struct plog *log, const struct plog_open_args *a, struct errmsg *em);

/* ---- plog_recover.c ---- */

/* Reads the segment from its start, rebuilds its indexes, and with `ps` the producer state, with
 * `epochs` the epoch cache. CRCs are checked from check_from on. *valid gets the bytes of good
 * batches, *end the offset behind them; 0 with *valid < size: the tail is bad, why says how. */
struct recover_result {
    uint64_t valid;
    int64_t end;
    char why[160]; /* empty: all good */
};
int segment_rebuild(struct plog *log, struct segment *seg, int64_t check_from,
                    struct producer_state *ps, bool epochs, struct recover_result *r);
/* An index that does not fit the .log: rebuilt where it stands. */
int segment_repair_index(struct plog *log, struct segment *seg, const char *why);
/* Something is gone that was there, and not by a loss of power that the kernel shows: the log
 * directory does not vouch for its last process any more (last_run.h). */
int plog_doubt(struct plog *log, const char *why);
/* From the segment that holds `from` to the end; sets the end offset. */
int plog_recover(struct plog *log, int64_t from, struct errmsg *em);
/* Producer state up to the end offset, from the newest good snapshot and the batches behind it. */
int plog_need_producers(struct plog *log);
int plog_need_epochs(struct plog *log);
int plog_mend_first_epoch(struct plog *log); /* after recovery, when the indexes are there */
/* Blocks; left to the next flush while one in flight writes them. */
int plog_write_epochs(struct plog *log);
/* Text of leader-epoch-checkpoint; entries that no record has yet are left out. */
void plog_epochs_text(const struct plog *log, struct buf *out);

/* ---- plog_read.c ---- */

struct batch_place {
    uint64_t pos;
    uint32_t size;
    int64_t base_offset;
    int32_t leader_epoch;
};
/* First batch of the segment whose last offset is >= offset. ERR_NOTFOUND: none. */
int segment_locate(struct plog *log, struct segment *seg, int64_t offset, struct batch_place *p);

/* ---- plog_flush.c ---- */

void plog_flush_appended(struct plog *log); /* flush.messages, flush.ms */
void plog_flush_full(struct plog *log);     /* in the background; moves the recovery point */
/* What is not durable below `offset` any more, because it was cut: flushes in flight too. */
void plog_flush_cut(struct plog *log, int64_t offset);
/* The log is deleted: all that waits for a flush is told, later, and then the log is freed. */
void plog_flush_abandon(struct plog *log);
/* The log is about to be freed: who waits for a flush is not told any more, and one in flight is
 * not waited for. */
void plog_flush_forget(struct plog *log);
/* The same for all logs that are deleted, which it frees: the store ends. */
void plog_flush_forget_deleted(struct log_store *st);
int64_t plog_flush_tick(struct log_store *st, int64_t now);
int plog_flush_blocking(struct plog *log);
/* The job in flight replaces leader-epoch-checkpoint: nobody else may. */
bool plog_flush_writes_epochs(const struct plog *log);
bool plog_flush_syncs_names(const struct plog *log); /* a worker may be at it */
/* The log's last flush is home: frees it if it was deleted. */
void plog_free(struct plog *log);

/* ---- meta_properties.c ---- */

void partition_metadata_text(struct uuid topic_id, struct buf *out);

#endif
