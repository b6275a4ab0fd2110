/* Bytes of another log, taken apart into the batches that are to be appended here as they are: from
 * a leader's Fetch answer (fetcher_take.c), or from this broker's own log in another directory
 * (dir_move_copy.c).
 *
 * Nobody is believed: length, magic and checksum of each batch are looked at, offsets and epochs
 * are the log's business. A last batch that was cut is left out.
 *
 * Shard: the manager's. */
#ifndef BROKER_REPLICA_PIECES_H
#define BROKER_REPLICA_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct partition_manager;

struct pieces {
    unsigned n; /* in the manager's scratch */
    uint64_t bytes;
    bool ahead; /* the next one is of a later epoch than was allowed */
    int64_t base;
    int64_t last; /* offset of the first batch's last record */
};

/* NULL, or why the records cannot be taken. */
const char *pieces_split(struct partition_manager *pm, struct bytes records, int32_t epoch_max,
                         struct pieces *out);

#endif
