/* How long the disk took, of one kind of operation on one shard: counted since the start, and the
 * longest of the last one to two minutes with its place, for people who ask why something is slow.
 *
 * Zero-initialise to start. Times: us of the monotonic clock. Shard: its owner's. */
#ifndef STORAGE_DISK_TIME_H
#define STORAGE_DISK_TIME_H

#include <stdint.h>

enum { DISK_TIME_MS = 60000, DISK_TIME_WHERE = 200 };

struct disk_longest {
    int64_t us;
    int64_t at_us;
    char where[DISK_TIME_WHERE]; /* the log's folder */
};

struct disk_time {
    uint64_t count;
    uint64_t sum_us;
    int64_t began_us;            /* the present minute */
    struct disk_longest longest; /* of it, ... */
    struct disk_longest before;  /* ... and of the one before */
};

void disk_time_add(struct disk_time *t, int64_t from_us, int64_t to_us, const char *where);
/* us 0: there was none. */
struct disk_longest disk_time_longest(const struct disk_time *t, int64_t now_us);

#endif
