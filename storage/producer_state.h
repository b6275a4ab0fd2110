/* What a log remembers of its producers: sequences for idempotence, open transactions for the last
 * stable offset. formats.md 4.1 and 4.2; KIP-98, KIP-360, KIP-890. Pure: no I/O.
 *
 * An append is checked on copies (producer_check, producer_check_marker change only the copy they
 * are given), and committed with producer_commit when the bytes are written, so that a failed
 * write leaves no trace. Replaying a log during loading takes the same way with
 * PLOG_REPLICATION.
 *
 * Shard: home shard of the log that owns it. */
#ifndef STORAGE_PRODUCER_STATE_H
#define STORAGE_PRODUCER_STATE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/record_batch.h"
#include "storage/log.h"

enum { PRODUCER_BATCHES = 5 };

struct producer_batch {
    int64_t last_offset;
    int64_t timestamp; /* largest record timestamp */
    int32_t last_seq;
    int32_t delta; /* last offset - first offset */
};

struct producer {
    int64_t id;
    int64_t last_ts;   /* of its last batch or marker */
    int64_t txn_first; /* first offset of its open transaction; -1 none */
    int32_t coordinator_epoch;
    int16_t epoch;
    uint8_t n; /* batches remembered, oldest first */
    struct producer_batch batch[PRODUCER_BATCHES];
    uint8_t key[8];   /* id, for the map */
    struct list open; /* in producer_state.open while txn_first >= 0 */
};

/* A transaction that has ended, but whose marker is not below the high watermark yet. */
struct ended_txn {
    struct list node;
    int64_t first;
    int64_t last; /* offset of the marker */
};

struct producer_state {
    struct map map;
    struct list open;  /* producers with an open transaction, first offsets ascending */
    struct list ended; /* struct ended_txn */
    int64_t map_end;   /* holds all batches below this offset */
};

void producer_state_init(struct producer_state *ps);
void producer_state_free(struct producer_state *ps);
void producer_state_clear(struct producer_state *ps);

const struct producer *producer_find(const struct producer_state *ps, int64_t id); /* NULL */
/* A copy to check and change: of the present entry, or an empty one. */
void producer_copy(const struct producer_state *ps, int64_t id, struct producer *out);

/* One of the remembered batches with exactly these sequences; NULL none. */
const struct producer_batch *producer_duplicate(const struct producer *p,
                                                const struct batch_header *h);
/* A data batch at base offset `base`: PLOG_APPENDED, and p has taken it, or why not. */
enum plog_result producer_check(struct producer *p, const struct batch_header *h, int64_t base,
                                enum plog_origin origin);

struct txn_marker {
    bool commit;
    int32_t coordinator_epoch;
};
/* Reads the marker out of a control batch: 1, 0 another kind of control record, ERR_CORRUPT. */
int txn_marker_read(struct bytes batch, struct txn_marker *out);
/* The marker at `offset`. *first gets the transaction's first offset, -1 if none was open. */
enum plog_result producer_check_marker(struct producer *p, const struct batch_header *h,
                                       const struct txn_marker *m, enum plog_origin origin,
                                       int64_t *first);
/* Makes the copy the truth. ended_first, ended_last: the transaction that a marker at ended_last
 * ended, or -1. */
void producer_commit(struct producer_state *ps, const struct producer *p, int64_t ended_first,
                     int64_t ended_last);

/* First offset of the oldest transaction that is open or ended at or above hw; INT64_MAX none. */
int64_t producer_first_unstable(const struct producer_state *ps);
/* Forgets ended transactions whose marker is below hw. */
void producer_high_watermark(struct producer_state *ps, int64_t hw);
/* Ended transactions that began below the log's start are forgotten. */
void producer_log_start(struct producer_state *ps, int64_t start);
/* What goes into .txnindex for an aborted transaction: first offset of the oldest other open one,
 * else last + 1. */
int64_t producer_stable_after(const struct producer_state *ps, int64_t producer_id, int64_t last);
/* How old its last timestamp is; wraps, as in Kafka, where that is out of this world. */
int64_t producer_idle_ms(const struct producer *p, int64_t now_ms);
/* Producers without open transaction whose last timestamp is that old; returns how many. *next_ms
 * (may be NULL) gets lower to when the first of the others will be, if nothing is heard of it. */
unsigned producer_expire(struct producer_state *ps, int64_t now_ms, int64_t expiration_ms,
                         int64_t *next_ms);

/* Takes the earlier batches of producers of whom only the last one is known from a state that was
 * made of the log's tail. */
void producer_recall(struct producer_state *ps, const struct producer_state *tail);

/* .snapshot files. Reading drops expired ones; ERR_CORRUPT: length, version or CRC. */
void producer_snapshot_put(const struct producer_state *ps, struct buf *out);
int producer_snapshot_read(struct producer_state *ps, struct bytes text, int64_t now_ms,
                           int64_t expiration_ms);

#endif
