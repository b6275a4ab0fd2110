/* Which leader epoch began at which offset: formats.md 4.3 and KIP-101. Pure: no I/O. Entries
 * ascend in both columns.
 *
 * Shard: home shard of the log that owns it. */
#ifndef STORAGE_EPOCH_CACHE_H
#define STORAGE_EPOCH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct epoch_entry {
    int32_t epoch;
    int64_t start;
};

struct epoch_cache {
    struct epoch_entry *e;
    uint32_t n;
    uint32_t cap;
};

/* epoch begins at start. Entries with a higher or the same epoch, or a start not below, go first.
 * false: nothing changed (it is the latest epoch already, and did not begin later). */
bool epoch_cache_assign(struct epoch_cache *c, int32_t epoch, int64_t start);
int32_t epoch_cache_latest(const struct epoch_cache *c); /* -1 none */
/* Epoch of the record at offset; -1 if the first epoch begins behind it. */
int32_t epoch_cache_of(const struct epoch_cache *c, int64_t offset);
/* The answer of OffsetForLeaderEpoch; both -1 if unknown. */
void epoch_cache_end_offset(const struct epoch_cache *c, int32_t epoch, int64_t log_end,
                            int32_t *found, int64_t *end);
/* Drops entries with start >= offset; true if there were some. */
bool epoch_cache_truncate_end(struct epoch_cache *c, int64_t offset);
/* The log now starts at offset: of the entries with start <= offset the last one stays, with start
 * = offset. */
bool epoch_cache_truncate_start(struct epoch_cache *c, int64_t offset);
void epoch_cache_clear(struct epoch_cache *c);
void epoch_cache_free(struct epoch_cache *c);

#endif
