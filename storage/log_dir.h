/* One log directory (an element of log.dirs): lock, meta.properties, the checkpoints, the mark of
 * a clean stop, and the list of partition directories in it. formats.md section 1.
 *
 * Start: log_dir_open takes the lock (.lock, an fcntl record lock as Kafka takes), reads
 * meta.properties, reads and deletes .kafka_cleanshutdown, reads the four checkpoints and lists
 * the partition directories. Then each home shard opens its logs (plog_open) with what is found
 * here; the struct is not changed meanwhile, so all shards may read it.
 * Once all are open, log_dir_all_open.
 * Stop: when every log of the directory closed well, the owner writes the checkpoints and calls
 * log_dir_close with clean = true, which writes .kafka_cleanshutdown last. In all other cases
 * clean = false: the next start recovers. So it does after a stop before all logs were open, if
 * there was no mark at the start: what nobody opened nobody recovered.
 * Meanwhile, and after a crash, .millrace_run tells of the process (last_run.h).
 *
 * Several directories: the caller checks that cluster.id and node.id agree (meta_properties_agree).
 * Shard: the shard that opened it owns it; others read path, id and the tables of the start. */
#ifndef STORAGE_LOG_DIR_H
#define STORAGE_LOG_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/logger.h"
#include "base/uuid.h"
#include "runtime/io.h"
#include "storage/checkpoint.h"
#include "storage/last_run.h"

#define LOG_DIR_META           "meta.properties"
#define LOG_DIR_CLEAN_SHUTDOWN ".kafka_cleanshutdown"
#define LOG_DIR_LOCK           ".lock"
#define LOG_DIR_METADATA_LOG   "__cluster_metadata-0"

/* meta.properties. A key that is absent is "" or -1 or the zero uuid. */
struct meta_properties {
    int32_t version;      /* 0 (ZooKeeper days: broker.id) or 1 */
    int32_t node_id;      /* node.id, in version 0 broker.id; -1 absent */
    char cluster_id[128]; /* text: need not be a uuid */
    struct uuid directory_id;
};

/* ERR_NOTFOUND: no such file (an unformatted directory). ERR_CORRUPT, ERR_UNSUPPORTED with a
 * sentence. */
int meta_properties_read(struct io *io, const char *dir, struct meta_properties *out,
                         struct errmsg *em);
/* Writes version 1, in Kafka's form, through meta.properties.tmp; blocks for a flush. */
int meta_properties_write(struct io *io, const char *dir, const struct meta_properties *m);

enum log_dir_kind {
    LOG_DIR_PLAIN,    /* TOPIC-PARTITION */
    LOG_DIR_DELETE,   /* TOPIC-PARTITION.HEX32-delete: schedule its removal */
    LOG_DIR_FUTURE,   /* -future: an intra-broker move that was under way */
    LOG_DIR_STRAY,    /* -stray */
    LOG_DIR_METADATA, /* __cluster_metadata-0: the controller's */
};

struct log_dir_entry {
    const char *name;  /* of the directory */
    const char *topic; /* cut for -delete, -future and -stray names: not to be relied on there */
    int32_t partition;
    enum log_dir_kind kind;
};

struct log_dir {
    unsigned index; /* in log.dirs */
    const char *path;
    bool has_meta;
    struct meta_properties meta;
    bool clean;                    /* the mark of a clean stop was there (and is deleted) */
    bool all_open;                 /* so that a clean stop vouches for all logs */
    int64_t previous_broker_epoch; /* from the mark; -1 none */
    char kernel[IO_KERNEL_ID];     /* that keeps what is written here; "": not known */
    bool kept;                     /* what the last process wrote is here, says last_run */
    struct last_run last_run;
    struct offset_table recovery_points;
    struct offset_table high_watermarks;
    struct offset_table log_starts;
    struct offset_table cleaner_points;
    struct log_dir_entry *entries; /* sorted by name */
    size_t entry_count;
    struct io *io;
    struct io_file *lock;
    struct arena arena;
    struct arena start_arena; /* of entries, until log_dir_all_open */
};

/* Splits a directory name. false: not a name that Kafka knows (it stops the node: so does
 * log_dir_open). out->topic is allocated in a. */
bool log_dir_parse_name(const char *name, struct arena *a, struct log_dir_entry *out);

/* create: make the directory if it is absent (Kafka does for log.dirs). Errors with a sentence:
 * ERR_LOCKED another process has it, ERR_PERM, ERR_CORRUPT (which file, what is wrong),
 * ERR_IO. The caller decides whether the node goes on without the directory. */
int log_dir_open(struct io *io, const struct logger *lg, unsigned index, const char *path,
                 bool create, struct log_dir **out, struct errmsg *em);
/* All logs of the directory are open, and recovered if need was: the tables and the list are freed
 * (they cost memory). */
void log_dir_all_open(struct log_dir *d);
/* The checkpoints of the start name some log; until log_dir_all_open. */
bool log_dir_has_numbers(const struct log_dir *d);
/* Releases the lock and frees. clean: write the mark first (the checkpoints must have been written
 * before), if the directory deserves it; an error leaves none. broker_epoch: -1 if the broker has
 * not registered since its start, as far as it knows: the mark gets previous_broker_epoch, and what
 * is noted of the run stays. */
int log_dir_close(struct log_dir *d, bool clean, int64_t broker_epoch);
/* The file of this run: from now on a process that ends in whatever way leaves a directory that is
 * kept. Not where the kernel is not known, and not where that file does not fit any more (0). */
int log_dir_note_run(const struct log_dir *d, int64_t epoch_before, struct uuid incarnation);

/* Text files beside the logs of a partition. */
int partition_metadata_read(struct io *io, const char *partition_dir, struct uuid *topic_id,
                            struct errmsg *em);
int partition_metadata_write(struct io *io, const char *partition_dir, struct uuid topic_id);

#endif
