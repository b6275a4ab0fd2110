/* The inside of the metadata log, for metadata_log*.c and metadata_snapshot.c only. */
#ifndef CONTROLLER_METADATA_LOG_PRIVATE_H
#define CONTROLLER_METADATA_LOG_PRIVATE_H

#include "base/assert.h"
#include "controller/metadata_log.h"
#include "proto/record_batch.h"

enum {
    MLOG_INDEX_INTERVAL = 4096, /* bytes between index entries, as Kafka's default */
    MLOG_INDEX_ENTRY = 8,
    MLOG_TIME_ENTRY = 12,
    MLOG_INDEX_MAX = 10485760 / MLOG_INDEX_ENTRY, /* entries: then the segment rolls */
    MLOG_BATCH_MAX = 8 << 20,                     /* of Kafka: a batch is never larger */
    MLOG_READ_CHUNK = 1 << 20,
    MLOG_PATH_MAX = 4096,
    MLOG_RECENT = 64,
};

/* An index entry in memory, with raft's index where it is known. */
struct mlog_mark {
    int64_t offset; /* last offset of the batch at pos */
    uint64_t index; /* of that batch; 0: not known */
    uint32_t pos;
};

struct mlog_segment {
    int64_t base;
    uint64_t size;
    uint64_t base_index;        /* of its first batch; 0: not known */
    struct io_file *file;       /* NULL: not open */
    struct io_file *index_file; /* the active segment's */
    struct io_file *time_file;
    bool marks_loaded;
    struct mlog_mark *marks;
    uint32_t marks_n;
    uint32_t marks_cap;
    uint32_t time_n;     /* entries in .timeindex */
    uint64_t since_mark; /* bytes since the last entry */
    int64_t first_ts;    /* max timestamp of the first batch, -1 none */
    int64_t largest_ts;  /* -1 none */
    int64_t largest_ts_offset;
    int64_t last_time;   /* timestamp of the last time entry, -1 none */
    int64_t modified_ms; /* of the file when it was opened; for retention */
};

/* Where a leader epoch begins. */
struct mlog_epoch {
    int32_t epoch;
    int64_t offset;
    uint64_t index; /* 0: not known, before the entries that are */
};

struct mlog_anchor {
    uint64_t index;
    int32_t epoch;
    int64_t offset;
};

/* A batch that was appended lately, which is what others ask for: nothing is read to find it. */
struct mlog_recent {
    int64_t segment; /* its base */
    int64_t offset;  /* where the batch begins */
    uint64_t index;
    uint64_t pos;
};

struct mlog_snapshot {
    struct metadata_snapshot_id id;
    uint64_t index; /* of the last entry in it */
    uint64_t size;
    int64_t modified_ms;
};

struct metadata_log {
    struct io *io;
    const struct logger *lg;
    struct metadata_log_config cfg;
    char *path;
    struct mlog_segment *segs; /* ascending; the last is active */
    uint32_t segs_n;
    uint32_t segs_cap;
    int64_t start;
    int64_t end;
    uint64_t first_index; /* of the first entry whose index is known */
    int64_t known_offset; /* where that entry begins */
    uint64_t last_index;
    struct mlog_epoch *epochs;
    uint32_t epochs_n;
    uint32_t epochs_cap;
    struct mlog_recent recent[MLOG_RECENT]; /* a ring; the newest is at recent_n - 1 */
    uint64_t recent_n;                      /* ever noted since the last truncation */
    struct mlog_snapshot *snapshots;        /* ascending */
    uint32_t snapshots_n;
    uint32_t snapshots_cap;
    struct mlog_anchor durable; /* the newest end that is known to be on the disk */
    uint64_t reserved_to;       /* the active segment has blocks up to here (metadata_reserve.c) */
    uint64_t reserve_try;       /* its size at the next attempt on a full disk */
    bool full;                  /* the last attempt failed for want of space */
    int16_t kraft_version;
    struct buf voters; /* body of KRAFT_VOTERS; empty: none */
    bool has_voters;
    struct io_op flush_op;
    int64_t flush_began_us;
    int64_t last_flush_us; /* how long the newest flush that came home took */
    struct disk_time flush_time;
    metadata_log_flush_cb *flush_cb;
    void *flush_user;
    struct mlog_anchor flush_end; /* what the flush in flight covers */
    bool roll_due;                /* when it has come home */
    bool closed;                  /* while a flush was in flight: its completion frees the log */
};

/* Path of a file in the folder, in a buffer of MLOG_PATH_MAX. */
const char *mlog_path(const struct metadata_log *log, char *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* errmsg "controller: WHAT FILE: text of err". Returns err. */
int mlog_fail(const struct metadata_log *log, struct errmsg *em, int err, const char *what,
              const char *file);

struct mlog_segment *mlog_active(struct metadata_log *log);
/* Makes the segment that begins at base, with its files open, and makes the names durable. */
int mlog_segment_create(struct metadata_log *log, int64_t base, uint64_t base_index,
                        struct errmsg *em);
struct mlog_segment *mlog_segment_add(struct metadata_log *log, int64_t base);
int mlog_segment_open_file(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em);
void mlog_segment_close(struct mlog_segment *seg);
/* Accounts for a batch that lies at pos (written already): marks, times; writes index entries when
 * the segment's index files are open. */
int mlog_segment_note(struct metadata_log *log, struct mlog_segment *seg,
                      const struct batch_header *h, uint64_t pos, uint64_t index,
                      struct errmsg *em);
/* The entry of the time index that is due when a segment becomes inactive or is closed. */
int mlog_segment_last_time(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em);
/* Fills marks from the .index file; what does not make sense ends it. */
int mlog_segment_load_marks(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em);
void mlog_add_epoch(struct metadata_log *log, int32_t epoch, int64_t offset, uint64_t index);
/* Replaces a small file unless it holds just this: what the folder has is durable since the start.
 */
int mlog_replace(struct metadata_log *log, const char *name, struct bytes text, struct errmsg *em);
int mlog_write_epochs(struct metadata_log *log, struct errmsg *em);
/* Looks for the records that name the voters in a control batch. */
int mlog_note_control(struct metadata_log *log, struct bytes batch, struct errmsg *em);
/* Durable when it returns, so that a crash never leaves a hole between segments: delete from an
 * end.
 */
int mlog_delete_segment(struct metadata_log *log, uint32_t i, struct errmsg *em);

/* metadata_reserve.c: after the active segment was made or has grown. */
void mlog_reserve(struct metadata_log *log);
/* Whether there is space for another segment; on a full disk the active one just grows. */
bool mlog_may_roll(struct metadata_log *log);

/* metadata_anchors.c */
int mlog_read_anchors(struct metadata_log *log, struct mlog_anchor **out, size_t *n,
                      struct errmsg *em);
/* One line for each snapshot, also for extra (may be NULL), and one for the durable end. */
int mlog_write_anchors(struct metadata_log *log, const struct mlog_snapshot *extra,
                       struct errmsg *em);

/* metadata_install.c: the name of a snapshot whose installation a crash has interrupted, and the
 * rest of that installation. */
bool mlog_install_parse(const char *name, struct mlog_snapshot *out);
int mlog_finish_install(struct metadata_log *log, struct mlog_snapshot *s, struct errmsg *em);

/* metadata_snapshot.c */
void mlog_add_snapshot(struct metadata_log *log, const struct mlog_snapshot *s);
int mlog_check_snapshot_file(struct metadata_log *log, const char *name, struct errmsg *em);
/* metadata_snapshot.c: checks a snapshot's batches from header to footer; notes its voters. */
int mlog_check_snapshot(struct metadata_log *log, const struct mlog_snapshot *s, struct errmsg *em);

#endif
