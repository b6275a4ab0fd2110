/* The partitions whose home is this shard: by (topic id, index), opened, changed and closed by the
 * metadata's deltas; their appends at the end of each turn, their timers, and what happens when a
 * log directory fails.
 *
 * First delta: every partition that the image gives to this broker and this shard is opened from
 * the directory that holds it, with recovery where the directory was not stopped cleanly; one that
 * no directory holds is made. Later deltas do the difference.
 *
 * A failed log directory (log_store.h) is found by one shard, told to main, and from there to all:
 * its partitions answer KAFKA_STORAGE_ERROR until restart. A log that cannot be made or opened for
 * want of space is tried again every second.
 *
 * On close: partition_manager_stop answers all who wait and takes no more appends;
 * partition_manager_close_clean, when nothing is busy any more, writes everything out.
 *
 * Shard: its own. */
#ifndef BROKER_PARTITION_MANAGER_H
#define BROKER_PARTITION_MANAGER_H

#include "base/list.h"
#include "base/map.h"
#include "broker/dir_wanted.h"
#include "broker/disk_room.h"
#include "broker/node.h"
#include "broker/partition.h"
#include "broker/topic_settings.h"
#include "storage/log_store.h"

struct checkpoint_rows;
struct dir_moves;       /* broker/dir_move.h */
struct leader_throttle; /* broker/replica/leader_throttle.h */
struct image_delta;

struct partition_manager {
    struct node_shard *ns;
    struct log_store store;
    struct map by_key;         /* PARTITION_KEY bytes -> struct partition */
    struct list all;           /* the same, for rounds; a round moves them from front to back */
    struct topic_table topics; /* settings, also of topics without a partition here */
    struct list dirty;         /* partitions with a queue */
    struct list led;           /* partitions with followers */
    struct task append_task;   /* end of turn: append the queues */
    struct list woken;         /* fetch_leg: go home at the end of the turn */
    struct task woken_task;
    struct list notices; /* standing_notice: go to the sessions at the end of the turn */
    struct task notice_task;
    struct timer tick; /* log_store_tick */
    struct timer retention;
    struct timer reopen; /* logs that found no space */
    struct leader_throttle *throttle;
    struct dir_moves *moves;    /* between log directories */
    struct dir_wanted dirs;     /* for replicas that are not here yet */
    struct timer isr_look;      /* half of replica.lag.time.max.ms, while led is not empty */
    uint32_t retention_left;    /* partitions left in the present round, if it is for all */
    struct list retain;         /* partitions for the next round of retention: they have changed */
    struct list retaining;      /* for the present one */
    int64_t retention_due_ms;   /* wall clock: before that, time alone makes nothing go */
    int64_t retention_all_ms;   /* when all were looked at last */
    struct plog_batch *scratch; /* batches of one append */
    unsigned scratch_cap;
    uint64_t failed_dirs; /* found failed in this turn: told at its end; bit by index */
    struct task failed_task;
    uint64_t full_dirs; /* found full, as above (disk_room.h) */
    struct task full_task;
    struct disk_room_news full_news;
    int64_t full_told_ms[LOG_STORE_DIRS_MAX]; /* when main was told last */
    uint32_t per_dir[LOG_STORE_DIRS_MAX];     /* partitions in each log directory */
    bool started;                             /* the first delta was applied */
    bool stopping;
};

struct partition_manager *partition_manager_new(struct node_shard *ns);
void partition_manager_free(struct partition_manager *pm); /* closes what is open, not cleanly */

/* next is the image that the delta leads to. */
void partition_manager_apply(struct partition_manager *pm, const struct image_delta *d);
/* NULL: not here. */
struct partition *partition_find(struct partition_manager *pm, struct uuid topic_id, int32_t index);
/* The topic's settings as this shard sees them. */
struct topic_settings *partition_manager_topic(struct partition_manager *pm,
                                               const struct image *img,
                                               const struct image_topic *topic);

/* partition.c, append.c, fetch_wait.c */
void partition_dirty(struct partition *p); /* its queue is not empty any more */
void partition_manager_woken(struct partition_manager *pm, struct list *leg_node);
struct plog_batch *partition_scratch(struct partition_manager *pm, unsigned i); /* the i-th batch */

/* Main says that the directory failed (on some shard). */
void partition_manager_dir_failed(struct partition_manager *pm, unsigned dir);

/* The numbers of every log, for the checkpoints; the caller frees them. */
void partition_manager_rows(const struct partition_manager *pm, struct checkpoint_rows *out);

void partition_manager_stop(struct partition_manager *pm);
bool partition_manager_busy(const struct partition_manager *pm);
/* Blocks on the disk. *failed_dirs gets a bit for every directory of which a log did not close. */
void partition_manager_close_clean(struct partition_manager *pm, uint64_t *failed_dirs);

#endif
