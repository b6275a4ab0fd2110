/* A shard's open segment files: descriptors are a budget, so files are opened on demand, kept in
 * an LRU and closed when the limit is reached or nobody has used them for a while. An idle
 * partition holds none.
 *
 * A file is lent to readers: struct file_lease counts one reader (a fetch whose bytes another shard
 * sends). The lease comes home by message and is given back on the home shard with
 * file_lease_release. A file that was dropped meanwhile (its segment deleted or truncated) is
 * closed when its last lease is home; a lent file is never evicted, so a limit may be passed while
 * many are lent.
 *
 * Shard: the home shard; only the struct io_file inside a lease travels. */
#ifndef STORAGE_FILE_CACHE_H
#define STORAGE_FILE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "runtime/io.h"

/* One open file. The slot (a pointer in the segment) is set to NULL when the cache closes it. */
struct cached_file {
    struct io_file *file;
    struct cached_file **slot; /* the owner's pointer; NULL when dropped */
    struct file_cache *cache;
    struct list lru; /* in cache->lru while slot is set */
    uint32_t leases; /* readers and flushes that hold it */
    uint32_t pad;    /* owner's use */
    int64_t used_ms; /* of last use */
};

struct file_cache {
    struct io *io;
    struct list lru; /* oldest first */
    uint32_t count;  /* open files, dropped but lent ones included */
    uint32_t limit;
    uint32_t lent;  /* leases that are out, over all files */
    uint64_t opens; /* counters */
    uint64_t evictions;
};

struct file_lease {
    struct cached_file *cf; /* NULL: nothing is lent */
};

void file_cache_init(struct file_cache *fc, struct io *io, uint32_t limit);
void file_cache_close_all(struct file_cache *fc); /* no lease may be out */
/* The open file of the slot, opened if need be (flags: enum io_open_flags). The pointer is good
 * until the next call that may open another file, unless leased. */
int file_cache_get(struct file_cache *fc, struct cached_file **slot, const char *path,
                   unsigned flags, struct cached_file **out);
/* Forgets the slot's file: closed now, or when its last lease is home. */
void file_cache_drop(struct cached_file **slot);
/* Closes what was not used since before_ms. */
void file_cache_trim(struct file_cache *fc, int64_t before_ms);

struct file_lease file_lease_take(struct cached_file *cf);
void file_lease_release(struct file_lease *lease); /* home shard; no harm on an empty one */

#endif
