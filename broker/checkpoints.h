/* The offset checkpoints of the log directories: recovery points, high watermarks and log starts of
 * all partitions, gathered from the shards and written by main every so often
 * (log.flush.offset.checkpoint.interval.ms, replica.high.watermark.checkpoint.interval.ms,
 * log.flush.start.offset.checkpoint.interval.ms) and at a clean stop. A write that fails takes the
 * log directory offline, as in Kafka.
 *
 * Shard: main. */
#ifndef BROKER_CHECKPOINTS_H
#define BROKER_CHECKPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/call.h"

struct checkpoints;
struct node;
struct node_shard;

struct checkpoint_row {
    const char *topic; /* in the rows' names */
    int32_t partition;
    unsigned dir;
    bool start_needed; /* stands in log-start-offset-checkpoint */
    int64_t recovery_point;
    int64_t high_watermark;
    int64_t log_start;
};

/* What one shard says: self-contained, it travels. */
struct checkpoint_rows {
    struct checkpoint_row *v;
    size_t n;
    char *names;
};
void checkpoint_rows_free(struct checkpoint_rows *r);

struct checkpoints *checkpoints_new(struct node *n);
void checkpoints_start(struct checkpoints *c); /* the timers */
/* Who must know that the numbers as they are now are on the disk: a log that was cut takes no
 * appends before (storage/log.h). done runs once, never inside the call; written has the bits of
 * the directories for which it is so, whole of those among them whose files name open logs only:
 * until all are open they keep what they had at the start. */
struct checkpoint_wait {
    struct list node;
    void (*done)(struct checkpoint_wait *w, uint64_t written, uint64_t whole);
};
void checkpoints_write_soon(struct checkpoints *c, struct checkpoint_wait *w);
/* The same asked by any shard, in place until done has run there; written is 0 if main cannot write
 * any now. Also the other numbers of the logs are on the disk then. */
struct checkpoint_ask {
    struct call call;
    struct checkpoint_wait wait; /* main's */
    struct shard *main;
    uint64_t written;
    uint64_t whole;
    void (*done)(struct shard *sh, struct checkpoint_ask *a);
};
void checkpoints_ask(struct node_shard *ns, struct checkpoint_ask *a,
                     void (*done)(struct shard *sh, struct checkpoint_ask *a));
/* Stops the timers; done runs when no write is under way any more (maybe inside). */
void checkpoints_stop(struct checkpoints *c, void (*done)(struct node *n));
/* Gathers and writes all of them, blocking, for the clean stop. failed: bits of directories to pass
 * over; the result adds those whose write failed. The shards have called
 * partition_manager_close_clean and their rows are passed in. */
uint64_t checkpoints_write_last(struct checkpoints *c, const struct checkpoint_rows *shards,
                                unsigned shards_n, uint64_t failed);
void checkpoints_free(struct checkpoints *c);

#endif
