/* One partition's log: struct plog (log is taken by mathematics and by the logger). Byte for byte
 * Kafka's files: formats.md sections 1.2 to 5.
 *
 * Happy path. The home shard hands the batches of one loop turn to plog_append: it checks producer
 * sequences, assigns offsets, patches them into the batches, rolls when a rule says so, and writes
 * all of them with one gathered write. plog_read answers a fetch with a range of one segment's
 * file and a lease on it (or plog_read_copy with the bytes). Index entries are kept in memory and
 * appended to their files some at a time. plog_flush_start is the group commit.
 *
 * Failure. A failed or short write is cut away again and nothing of that call counts: not the
 * offsets, not the producers' sequences. No space: the log refuses (PLOG_NO_SPACE) and tries again
 * a little later. An I/O error, or any failed fsync: the log directory goes offline for the node
 * (log_store.h), all its logs answer ERR_OFFLINE, and only a restart brings it back. After a crash
 * plog_open reads what lies behind the recovery point, cuts the first batch that is torn or has a
 * wrong checksum and everything after it, and says so in one line.
 *
 * Laziness. Opening after a clean stop reads names, sizes and the last few kilobytes of the last
 * segment. Producer state, leader epochs and index ends are read when first needed. An idle log
 * holds no descriptor and a few hundred bytes.
 *
 * On close: plog_close frees; leases that are out must be home (log_store_busy). Flushes are
 * forgotten, in flight or not begun yet: their callbacks do not run. Nothing durable is promised
 * unless plog_close_clean was called before.
 *
 * Shard: home shard of the partition, all functions. Results are 0 or ERR_x unless said
 * otherwise. */
#ifndef STORAGE_LOG_H
#define STORAGE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/uuid.h"
#include "runtime/io.h"
#include "storage/file_cache.h"
#include "storage/log_config.h"
#include "storage/log_store.h"

struct plog;
struct log_dir;

/* ---- opening and closing ---- */

struct plog_open_args {
    unsigned dir_index;              /* of the log directory, for its offline state */
    const char *dir_path;            /* of the log directory; copied */
    const char *name;                /* of the partition directory: "topic-partition"; copied */
    const struct log_config *config; /* must outlive the log or its replacement */
    bool clean;                      /* the directory was stopped cleanly */
    bool kept;              /* what was written there and not flushed is whole (log_dir.h) */
    int64_t recovery_point; /* from the checkpoint; 0 if it has none */
    int64_t log_start;      /* from the checkpoint; 0 if it has none */
    int64_t high_watermark; /* from the checkpoint; 0 if it has none */
};

/* Opens what is there, with recovery if !clean or if the end does not look right. ERR_NOTFOUND: no
 * such directory. ERR_OFFLINE, ERR_IO, ERR_CORRUPT (a checkpoint of the partition cannot be read),
 * each with a sentence. A directory without any segment gets an empty one. A log that ends before
 * a->recovery_point (it was cut, and then the checkpoint was not replaced) has a lower one now: the
 * caller replaces the checkpoint before the first append, as after plog_truncate_to. */
int plog_open(struct log_store *st, const struct plog_open_args *a, struct plog **out,
              struct errmsg *em);
/* Makes the directory, partition.metadata and an empty segment at a->log_start. ERR_EXISTS. */
int plog_create(struct log_store *st, const struct plog_open_args *a, struct uuid topic_id,
                struct plog **out, struct errmsg *em);
/* Writes and flushes everything: segment, indexes (cut to their used size), snapshot, epochs.
 * Blocks. ERR_CONFLICT: a flush is in flight (plog_busy). Afterwards the log only answers
 * plog_close and questions. 0: the log may be part of a clean stop, its recovery point is its end.
 */
int plog_close_clean(struct plog *log);
/* The same for the logs of a shard; results[i] is what plog_close_clean would say of logs[i]. If
 * many have something to flush, it is flushed together. */
void plog_close_clean_all(struct log_store *st, struct plog *const *logs, unsigned n, int *results);
void plog_close(struct plog *log);
bool plog_busy(const struct plog *log); /* flushes in flight or leases out */
/* Takes the partition away: renames its directory to NAME.UUID-delete, which is removed after
 * file.delete.delay.ms, and closes the log as soon as its flushes are home (leases keep only their
 * files). The pointer is dead on return, whatever it returns. */
int plog_delete(struct plog *log);
/* The same with the suffix -stray, for a directory that the metadata does not assign here: it is
 * kept, as by Kafka, until somebody removes it. */
int plog_make_stray(struct plog *log);
void plog_set_config(struct plog *log, const struct log_config *config);

/* ---- facts ---- */

const char *plog_name(const struct plog *log); /* "topic-partition" */
unsigned plog_dir_index(const struct plog *log);
struct uuid plog_topic_id(const struct plog *log); /* from partition.metadata; zero: none there */
int64_t plog_start_offset(const struct plog *log); /* first offset a reader may ask for */
int64_t plog_end_offset(const struct plog *log);   /* next offset to be assigned (LEO) */
int64_t plog_high_watermark(const struct plog *log);
/* Everything below is on stable storage (group commit). */
int64_t plog_flushed_offset(const struct plog *log);
/* What goes into recovery-point-offset-checkpoint. */
int64_t plog_recovery_point(const struct plog *log);
uint64_t plog_size(const struct plog *log); /* bytes of all segments' .log files */
unsigned plog_segment_count(const struct plog *log);
/* Only logs whose start is beyond the base of their first segment stand in
 * log-start-offset-checkpoint. */
bool plog_start_needs_checkpoint(const struct plog *log);
struct plog_segment_info {
    int64_t base_offset;
    uint64_t size;
};
struct plog_segment_info plog_segment_info(const struct plog *log, unsigned i);

/* Monotonic unless the log is truncated; at most the end offset. The caller decides it. */
void plog_set_high_watermark(struct plog *log, int64_t hw);
/* Last stable offset: min(HW, first offset of the oldest transaction that is open, or ended above
 * the HW). May have to read the producer snapshot first. */
int plog_last_stable_offset(struct plog *log, int64_t *out);

/* ---- append ---- */

enum plog_origin {
    PLOG_CLIENT,      /* Produce: offsets are assigned, sequences checked, duplicates found */
    PLOG_COORDINATOR, /* the broker's own records and markers: offsets assigned, no sequence check
                       */
    PLOG_REPLICATION, /* a follower's fetch, or the metadata quorum: offsets and epochs stand in the
                         batches and must ascend from the end offset on */
};

/* What became of one batch. The broker maps these to wire codes. */
enum plog_result {
    PLOG_APPENDED,
    PLOG_DUPLICATE,          /* success: base_offset is the first one's */
    PLOG_OUT_OF_ORDER,       /* 45 OUT_OF_ORDER_SEQUENCE_NUMBER */
    PLOG_INVALID_EPOCH,      /* 47 INVALID_PRODUCER_EPOCH */
    PLOG_INVALID_TXN_STATE,  /* 48: plain batch of a producer with an open transaction */
    PLOG_COORDINATOR_FENCED, /* 52: a marker of an older coordinator epoch */
    PLOG_TOO_LARGE,          /* 18: larger than segment.bytes; not for PLOG_REPLICATION */
    PLOG_UNEXPECTED_OFFSET,  /* REPLICATION: base offset below the end offset, or epochs descend */
    PLOG_INVALID,            /* the header does not hold together: the caller did not validate */
    PLOG_NO_SPACE,           /* 56 KAFKA_STORAGE_ERROR: refused for now */
    PLOG_OFFLINE,            /* 56 KAFKA_STORAGE_ERROR: log directory offline */
};

struct plog_batch {
    uint8_t *data; /* one whole batch, magic 2, CRC checked; base offset, epoch (and with append
                      time attributes, max timestamp and CRC) are patched in place */
    uint32_t len;  /* 12 + batchLength */
    /* out */
    enum plog_result result;
    int64_t base_offset; /* -1 if refused */
    int64_t last_offset;
    int64_t append_time_ms; /* with append time the stamp (of the first one for a duplicate), else
                               -1 */
};

struct plog_append_args {
    enum plog_origin origin;
    int32_t leader_epoch; /* patched into the batches; not for PLOG_REPLICATION */
};

/* Appends in order. Batches are refused one by one (their result says so) but a failing disk
 * refuses all that were not written by this call. Returns the number of batches appended. */
unsigned plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                     const struct plog_append_args *args);

/* ---- read ---- */

struct plog_range {
    struct file_lease lease; /* hold it until the bytes are sent, release it at home */
    struct io_file *file;
    uint64_t pos;
    uint32_t len;        /* 0: nothing to read there (then no lease either) */
    int64_t base_offset; /* of the first batch: may be below the offset asked for */
    bool hot;            /* surely in memory: no need to ask io_resident */
    unsigned segment;    /* for plog_aborted_txns */
};

/* Bytes of whole batches from the one that contains `offset` on, in one segment, below `upper`
 * (HW, LSO or end offset). At most max_bytes: the last batch may be cut, as Kafka does; min_one:
 * the first batch is given whole, however large. ERR_RANGE: offset below the start or above the
 * end. */
int plog_read(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one, int64_t upper,
              struct plog_range *out);
/* The same, appended to out as bytes: for what is too small to be worth a lease. Returns the
 * number of bytes or ERR_x. */
int64_t plog_read_copy(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one,
                       int64_t upper, struct buf *out);

struct plog_aborted {
    int64_t producer_id;
    int64_t first_offset;
};
/* The aborted transactions that a read_committed reader of the range must know, allocated in a.
 * Call before the range's log changes (same turn). */
int plog_aborted_txns(struct plog *log, int64_t fetch_offset, const struct plog_range *range,
                      struct arena *a, struct plog_aborted **out, unsigned *count);

/* ---- offsets by time and epoch ---- */

struct plog_time_offset {
    int64_t offset;    /* -1: none */
    int64_t timestamp; /* -1: none */
    int32_t leader_epoch;
};
/* The first record at or after `timestamp` (>= 0). Reads records, compressed ones too. */
int plog_offset_by_time(struct plog *log, int64_t timestamp, struct plog_time_offset *out);
/* The first record with the largest timestamp of the log (ListOffsets -3). */
int plog_offset_of_max_timestamp(struct plog *log, struct plog_time_offset *out);

/* Epoch that the record at `offset` belongs to (or would: the end offset); -1 unknown. */
int plog_epoch_of(struct plog *log, int64_t offset, int32_t *epoch);
int plog_latest_epoch(struct plog *log, int32_t *epoch); /* -1 none */
/* OffsetForLeaderEpoch: *found is the largest epoch <= epoch known, *end its end offset; both -1 if
 * epoch is above all. */
int plog_epoch_end_offset(struct plog *log, int32_t epoch, int32_t *found, int64_t *end);
/* This replica became leader: epoch starts at the end offset. Kept in memory until a record of it
 * is appended (docs/on-disk-format.md). */
int plog_begin_epoch(struct plog *log, int32_t epoch);

/* ---- cutting ---- */

/* DeleteRecords and the leader's word to followers: the log starts at `offset` (<= HW; ERR_RANGE
 * otherwise). Whole segments below it go at the next plog_retention. */
int plog_set_start_offset(struct plog *log, int64_t offset);
/* Cuts everything from offset on (a follower that diverged); a batch that holds offset goes as a
 * whole. The recovery point goes back too: the caller replaces recovery-point-offset-checkpoint
 * before the next append, or a crash could leave torn batches below an old one unread. The same
 * holds for plog_truncate_fully. */
int plog_truncate_to(struct plog *log, int64_t offset);
/* Throws everything away and starts anew, empty, at offset. */
int plog_truncate_fully(struct plog *log, int64_t offset);

/* retention.ms, retention.bytes and the log start offset, as Kafka: oldest first, stops at the
 * first that stays, may roll and delete the active segment. Also expires producers. *deleted (may
 * be NULL) gets the number of segments. */
int plog_retention(struct plog *log, unsigned *deleted);
/* When the newest plog_retention will find something to do again if nothing is appended, no mark
 * moves and no setting changes, by the wall clock; INT64_MAX: never. Before the first: at once. */
int64_t plog_retention_due(const struct plog *log);
/* Rolls the active segment if it is not empty (retention, tests, compaction). */
int plog_roll(struct plog *log);

/* ---- a log that is to take the place of another one ---- */

/* NAME.HEX32-future, where the copy of the log NAME is made; whether that fits into a file name. */
bool plog_future_name_fits(const char *name);
void plog_future_name(struct io *io, const char *name, struct buf *out);
/* Length of "topic-partition" at the front of the name of a log's directory, future or not. */
size_t plog_base_name(const char *name);
/* Nothing of the log is unflushed, and no flush is under way. */
bool plog_is_durable(const struct plog *log);

struct plog_promotion;
typedef void plog_promotion_cb(struct plog_promotion *p, int err);
struct plog_promotion { /* storage's while it is under way, but for user */
    struct io_op op;
    struct io *io;
    struct plog *log;
    char *from;
    char *to;
    char *parent;
    bool renamed;
    plog_promotion_cb *cb;
    void *user;
};
/* The log's directory loses .HEX32-future, durably; it is done by a worker. The log is durable and
 * stays as it is meanwhile: nothing but the facts is asked of it. cb gets 0, ERR_OFFLINE, or an
 * error that passes, with the name as it was. */
void plog_promote(struct plog *log, struct plog_promotion *p, plog_promotion_cb *cb, void *user);
/* The copy takes over what `from`, which it replaces and which ends where it does, knows of its
 * producers: more than the copy's records tell, if those that a producer may send again were below
 * the start when they were copied. Without `from`'s disk it keeps what it has. */
void plog_take_producers(struct plog *log, struct plog *from);

/* ---- flush ---- */

struct plog_flush;
typedef void plog_flush_cb(struct plog_flush *f, int err);
struct plog_flush {
    struct list node; /* the log's while in flight */
    int64_t offset;   /* durable up to here when it succeeds */
    plog_flush_cb *cb;
    void *user;
};
/* Calls back, later and on this shard, when all that was appended before is durable. Many may be
 * in flight: they share flushes. err is ERR_OFFLINE when the flush failed. */
void plog_flush_start(struct plog *log, struct plog_flush *f, plog_flush_cb *cb, void *user);

/* ---- producers ---- */

struct plog_producer {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t last_sequence;     /* -1 none */
    int64_t last_timestamp;    /* of its last batch or marker */
    int64_t txn_first_offset;  /* of its open transaction; -1 none */
    int32_t coordinator_epoch; /* -1 none */
};
/* DescribeProducers; sorted by producer id, allocated in a. */
int plog_producers(struct plog *log, struct arena *a, struct plog_producer **out, unsigned *count);

#endif
