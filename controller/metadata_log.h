/* `__cluster_metadata-0` on the disk, Kafka's files byte for byte (formats.md 1.2, 3 and 8), and
 * the mapping between raft's entry indexes and its offsets (docs/quorum.md). It knows batches, not
 * what is in them, but for the control records that name the voters.
 *
 * Files: OFFSET.log, .index, .timeindex; OFFSET-EPOCH.checkpoint (snapshots); partition.metadata,
 * leader-epoch-checkpoint, quorum-state; and ours, quorum-state.reserve (quorum_state.c) and
 * raft-index-checkpoint: lines `index term
 * offset`, "the batch that begins at offset has index + 1", one for each snapshot, one for the
 * log's start and one for an end that is known to be durable.
 *
 * Happy path: metadata_log_append writes a batch into the page cache at once; metadata_log_flush
 * makes all that was written before durable and calls back.
 *
 * Failure modes. Any failed write or fsync is the owner's end: the functions return ERR_x, and
 * afterwards the log must only be closed. At open: a torn tail behind what is known to be durable
 * is cut with one line; damage before it, a hole, or a log that is shorter than what was durable is
 * refused with a sentence that names file and position.
 *
 * On close: waits for nothing; a flush in flight completes by itself and does not call back (the
 * owner waits for it first if it cares). metadata_log_close_clean makes all durable first.
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_METADATA_LOG_H
#define CONTROLLER_METADATA_LOG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/logger.h"
#include "runtime/io.h"
#include "storage/disk_time.h"

struct metadata_log;

struct metadata_log_config {
    const char *log_dir; /* holds __cluster_metadata-0, which is made if it is absent */
    int64_t segment_bytes;
    int64_t segment_ms;
    int64_t retention_bytes; /* -1: no limit */
    int64_t retention_ms;    /* -1: no limit */
    uint64_t reserve_bytes;  /* of the disk, kept for a time when it is full; 0: none */
};

struct metadata_snapshot_id {
    int64_t offset; /* end offset: it holds all below it; -1: none */
    int32_t epoch;
};

int metadata_log_open(struct io *io, const struct logger *lg, const struct metadata_log_config *cfg,
                      struct metadata_log **out, struct errmsg *em);
/* Makes everything durable, with indexes cut and the end noted. Blocks. */
int metadata_log_close_clean(struct metadata_log *log);
void metadata_log_close(struct metadata_log *log); /* frees, writes nothing */

/* ---- facts ---- */

int64_t metadata_log_start_offset(const struct metadata_log *log);
int64_t metadata_log_end_offset(const struct metadata_log *log); /* next offset */
int32_t metadata_log_last_epoch(const struct metadata_log *log); /* of the last batch or snapshot */
uint64_t metadata_log_last_index(const struct metadata_log *log);
uint64_t metadata_log_size(const struct metadata_log *log);    /* bytes of all segments */
const char *metadata_log_path(const struct metadata_log *log); /* of the partition's folder */

/* ---- entries ---- */

/* One whole batch that begins at the end offset, with an epoch not below the last one. */
int metadata_log_append(struct metadata_log *log, struct bytes batch, struct errmsg *em);
/* Removes the entries from index on (>= 2, above the newest snapshot). */
int metadata_log_truncate(struct metadata_log *log, uint64_t index, struct errmsg *em);
/* Epoch of an entry; index must be known: metadata_log_first_index to _last_index. */
int32_t metadata_log_epoch_at(const struct metadata_log *log, uint64_t index);
/* The first entry whose index is known (after a start: behind the newest snapshot). */
uint64_t metadata_log_first_index(const struct metadata_log *log);
/* Next offset behind an entry; reads headers. ERR_RANGE if the index is not known. */
int metadata_log_end_of(struct metadata_log *log, uint64_t index, int64_t *next_offset);
/* Appends the batches of entries first..first+n-1 to out, one entry each; sizes[i] gets the bytes
 * of each. For replication. */
int metadata_log_read_entries(struct metadata_log *log, uint64_t first, uint32_t n, struct buf *out,
                              size_t *sizes);

/* ---- flush ---- */

typedef void metadata_log_flush_cb(void *user, int err, uint64_t index);
/* Calls back later, once, with the last index that is durable now. One at a time. */
void metadata_log_flush(struct metadata_log *log, metadata_log_flush_cb *cb, void *user);
bool metadata_log_flushing(const struct metadata_log *log);
/* Of the flushes of metadata_log_flush so far. */
const struct disk_time *metadata_log_flush_time(const struct metadata_log *log);
int64_t metadata_log_last_flush_us(const struct metadata_log *log); /* 0: none so far */
/* Writes down how far the log is durable, so that the next start can tell a torn tail from damage.
 * And which epochs there were, where that is new. Blocks for some flushes of the disk; once a
 * minute and at the start will do. */
int metadata_log_note_durable(struct metadata_log *log, struct errmsg *em);
/* The disk has no space and the reserve is being used: appending goes on, but a segment does not
 * roll, and snapshots and notes of the durable end fail with ERR_NOSPACE (which harms nothing). */
bool metadata_log_is_full(const struct metadata_log *log);

/* ---- reading by offset ---- */

/* Appends whole batches from the one that contains offset on, below upto, to out: at most
 * max_bytes, but at least one batch. ERR_RANGE: offset below the start or above the end. */
int metadata_log_read(struct metadata_log *log, int64_t offset, size_t max_bytes, int64_t upto,
                      struct buf *out, struct errmsg *em);
/* The largest epoch <= epoch and where it ends; -1, -1 if there is none. */
void metadata_log_epoch_end(const struct metadata_log *log, int32_t epoch, int32_t *found,
                            int64_t *end);

/* ---- snapshots: metadata_snapshot.c ---- */

/* The newest one; offset -1 if there is none. */
struct metadata_snapshot_id metadata_log_newest_snapshot(const struct metadata_log *log);
/* The index of the last entry in it. */
uint64_t metadata_log_snapshot_index(const struct metadata_log *log);
/* ERR_NOTFOUND: no such snapshot. Size of its file, and bytes of it. */
int metadata_log_snapshot_size(struct metadata_log *log, struct metadata_snapshot_id id,
                               uint64_t *size);
int metadata_log_snapshot_read(struct metadata_log *log, struct metadata_snapshot_id id,
                               uint64_t pos, size_t max_bytes, struct buf *out);

struct metadata_snapshot_writer;
/* A snapshot of all below id.offset, whose last entry is index. time_ms: timestamp of the last
 * record in it; now_ms stamps the batches. */
int metadata_snapshot_begin(struct metadata_log *log, struct metadata_snapshot_id id,
                            uint64_t index, int64_t time_ms, int64_t now_ms,
                            struct metadata_snapshot_writer **out, struct errmsg *em);
int metadata_snapshot_put(struct metadata_snapshot_writer *w, struct bytes record,
                          struct errmsg *em);
/* Footer, fsync, the line in raft-index-checkpoint, rename, fsync of the folder. Blocks. The writer
 * is gone afterwards, whatever it returns. */
int metadata_snapshot_finish(struct metadata_snapshot_writer *w, struct errmsg *em);
void metadata_snapshot_abandon(struct metadata_snapshot_writer *w); /* NULL is allowed */
/* A snapshot that comes from another voter (metadata_install.c): its file in pieces, then a check
 * that it is whole; then it takes the place of the log, which is empty behind it afterwards, all
 * durable. Each blocks. */
struct metadata_incoming;
int metadata_incoming_begin(struct metadata_log *log, struct metadata_snapshot_id id,
                            uint64_t index, struct metadata_incoming **out, struct errmsg *em);
int metadata_incoming_put(struct metadata_incoming *in, struct bytes piece, struct errmsg *em);
uint64_t metadata_incoming_size(const struct metadata_incoming *in); /* so far */
struct metadata_snapshot_id metadata_incoming_id(const struct metadata_incoming *in);
int metadata_incoming_check(struct metadata_incoming *in, struct errmsg *em);
void metadata_incoming_abandon(struct metadata_incoming *in); /* NULL is allowed */
/* in is gone afterwards, whatever it returns; an error is the end of the owner. */
int metadata_log_install(struct metadata_incoming *in, struct errmsg *em);

/* Deletes segments and older snapshots that retention allows; never what the newest snapshot does
 * not cover, never the newest snapshot. */
int metadata_log_retain(struct metadata_log *log, int64_t wall_ms, struct errmsg *em);

/* ---- the voters in the log (kraft.version 1) ---- */

/* 0, or 1 when a KRAFT_VERSION record says so; voters gets the body of the newest KRAFT_VOTERS
 * record (null if there is none). */
int16_t metadata_log_kraft_version(const struct metadata_log *log, struct bytes *voters);

/* ---- quorum-state: quorum_state.c ---- */

struct quorum_state {
    int32_t epoch;        /* -1: never voted nor seen a term */
    int32_t leader_id;    /* -1 unknown */
    int32_t voted_id;     /* -1 none */
    int32_t data_version; /* 0, or 1 under kraft.version 1 */
};
/* No file: epoch -1. ERR_CORRUPT with a sentence. */
int quorum_state_read(struct io *io, const char *partition_dir, struct quorum_state *out,
                      struct errmsg *em);
/* Durable when it returns. voters: ids for data_version 0. */
int quorum_state_write(struct io *io, const char *partition_dir, const struct quorum_state *s,
                       const int32_t *voters, size_t voters_n, struct errmsg *em);

/* Term and vote to start with, written down: the term is not below the log's last epoch; a sole
 * voter begins a new term with its own vote. */
int quorum_state_prepare(struct io *io, const struct metadata_log *log, const int32_t *voters,
                         size_t voters_n, int32_t node_id, struct quorum_state *out,
                         struct errmsg *em);

#endif
