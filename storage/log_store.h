/* What all logs of one shard share: the I/O seam, the descriptor cache, the state of the log
 * directories as this shard knows it, and the work that is due later (deleting files after
 * file.delete.delay.ms, flushing after flush.ms).
 *
 * A log directory fails for the whole node: the first shard that sees EIO or a failed fsync marks
 * it offline here, logs one line and calls hooks.dir_failed; the broker tells the other shards,
 * which call log_store_dir_offline. Every log in an offline directory answers ERR_OFFLINE until
 * restart, and no fsync is ever tried again in it.
 *
 * Timers are the caller's: hooks.due says when log_store_tick wants to be called next (an earlier
 * time than it said before, or the return value of the tick).
 *
 * Shard: home shard of its logs. Life: log_store_free after all logs are closed and all leases are
 * home. An orderly stop waits for flushes and deletions, too (log_store_busy says whether some are
 * out); what is in flight at another end comes home to itself, before the io is destroyed. */
#ifndef STORAGE_LOG_STORE_H
#define STORAGE_LOG_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/logger.h"
#include "runtime/io.h"
#include "storage/disk_time.h"
#include "storage/file_cache.h"

enum { LOG_STORE_DIRS_MAX = 64 };

struct log_store_hooks {
    /* The directory failed on this shard just now: called once, from inside the failing call. */
    void (*dir_failed)(void *user, unsigned dir, int err, const char *sentence);
    /* The disk of the directory is full: called from inside each call that finds it so. NULL:
     * nobody wants to know. */
    void (*no_space)(void *user, unsigned dir);
    /* log_store_tick is wanted at this io_now_ms time, earlier than said before. */
    void (*due)(void *user, int64_t at_ms);
    void *user;
};

struct log_store_options {
    uint32_t file_limit;  /* open files this shard may keep; at least 16 */
    int64_t file_idle_ms; /* close files unused that long; 0: 60000 */
    uint64_t
        write_behind_bytes; /* start writing to the disk every so many bytes; 0: the kernel's */
    uint32_t
        sync_fs_from;   /* a clean stop of so many dirty logs flushes whole file systems; 0: 64 */
    uint64_t hot_bytes; /* of the last appended bytes, how many are surely in memory; 0: 64 MiB */
};

struct log_store {
    struct io *io;
    const struct logger *lg;
    struct log_store_hooks hooks;
    struct log_store_options opt;
    struct file_cache files;
    bool dir_offline[LOG_STORE_DIRS_MAX];
    struct disk_time write_time; /* of appends */
    struct disk_time flush_time; /* of logs, with the small files that belong to them */
    uint64_t appended;           /* bytes appended by this shard since start */
    struct list flushing;        /* flushes in flight: struct flush_job */
    struct list deletions;       /* struct deletion, due time ascending */
    struct deletion *unlinking;  /* the one that a worker runs */
    struct list flush_due;       /* logs with flush.ms pending */
    int64_t due_ms;              /* what hooks.due was told; INT64_MAX none */
    struct buf path;             /* scratch for names */
    struct append_group *group;  /* scratch of plog_append; made when first needed */
};

void log_store_init(struct log_store *st, struct io *io, const struct logger *lg,
                    const struct log_store_options *opt, const struct log_store_hooks *hooks);
/* Deletes what is due, closes idle files, starts flushes that are due. Returns the io_now_ms time
 * of the next call (INT64_MAX: not needed until hooks.due). */
int64_t log_store_tick(struct log_store *st);
bool log_store_busy(const struct log_store *st);
/* Drops all that was scheduled (left-over .deleted files go at the next start). */
void log_store_free(struct log_store *st);

/* Another shard said that the directory failed. */
void log_store_dir_offline(struct log_store *st, unsigned dir);

/* Removes a file, or a directory with the files in it, after delay_ms, on a worker thread. */
void log_store_delete_later(struct log_store *st, unsigned dir, const char *path, bool is_dir,
                            int64_t delay_ms);
/* A directory has another name now: what waits in it for its removal is found there. */
void log_store_renamed(struct log_store *st, const char *from, const char *to);

#endif
