/* The small text files of a log directory (formats.md sections 1 and 4.3): the four
 * offset checkpoints, which map topic and partition to an offset, and the reader and writer of
 * their line format, which leader-epoch-checkpoint shares.
 *
 * Format 0: the line "0", the number of entries, then an entry a line. A missing or empty file is
 * an empty table. Any other version, a wrong count or a line that does not parse is ERR_CORRUPT
 * with a sentence: Kafka stops the log directory then, and so do we.
 * Written by io_replace_file: a crash leaves the old file or the new one.
 *
 * Shard: any; a table belongs to whoever built it. */
#ifndef STORAGE_CHECKPOINT_H
#define STORAGE_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "runtime/io.h"

#define CHECKPOINT_RECOVERY_POINT "recovery-point-offset-checkpoint"
#define CHECKPOINT_REPLICATION    "replication-offset-checkpoint" /* high watermarks */
#define CHECKPOINT_LOG_START      "log-start-offset-checkpoint"
#define CHECKPOINT_CLEANER        "cleaner-offset-checkpoint"

/* "topic-partition" -> offset. Keeps the order of insertion, so that a file's bytes depend on
 * nothing else. Zero-initialise to start. */
struct offset_table {
    struct map map; /* key: the directory name, value: struct offset_entry */
    struct arena arena;
    struct offset_entry *first;
    struct offset_entry *last;
};

struct offset_entry {
    struct offset_entry *next;
    const char *name; /* "topic-partition" */
    const char *topic;
    int32_t partition;
    int64_t offset;
};

void offset_table_set(struct offset_table *t, const char *topic, int32_t partition, int64_t offset);
/* By directory name ("topic-partition"); dflt when absent. */
int64_t offset_table_get(const struct offset_table *t, const char *name, int64_t dflt);
void offset_table_free(struct offset_table *t);

/* dir is the log directory, file one of the names above. */
int offset_checkpoint_read(struct io *io, const char *dir, const char *file,
                           struct offset_table *out, struct errmsg *em);
/* Blocks for a flush: at start and stop, or inside io_work. */
int offset_checkpoint_write(struct io *io, const char *dir, const char *file,
                            const struct offset_table *t);
/* The same on a worker thread; cb as for io_work, op->result is 0 or ERR_x. The table's content is
 * taken at once: the caller may free it. w must stay in place until then. */
struct checkpoint_write {
    struct io_op op; /* op.user is free for the caller */
    struct io *io;
    char *path;
    struct buf text;
    io_op_cb *cb;
};
void offset_checkpoint_write_start(struct io *io, const char *dir, const char *file,
                                   const struct offset_table *t, struct checkpoint_write *w,
                                   io_op_cb *cb);

/* Two-number lines: "epoch startOffset" (leader-epoch-checkpoint). each() gets them in order; a
 * negative return ends the reading with that error. */
int checkpoint_parse_pairs(struct bytes text, int (*each)(void *ctx, int64_t a, int64_t b),
                           void *ctx, struct errmsg *em);

#endif
