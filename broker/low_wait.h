/* DeleteRecords waits until every living replica's log starts at the new offset: one waiter for
 * each partition, parked at the partition's home until the followers have said so with their
 * fetches, the time is over, or the leader goes.
 *
 *     low_wait_start -> home: there already? else parked -> partition_advance looks -> done
 *
 * On cancel it comes back at once.
 * Shard: the maker's; parked: the partition's home. */
#ifndef BROKER_LOW_WAIT_H
#define BROKER_LOW_WAIT_H

#include "base/list.h"
#include "base/uuid.h"
#include "broker/call.h"
#include "broker/node.h"

struct partition;

struct low_wait {
    /* in */
    struct uuid topic_id;
    int32_t index;
    int64_t offset;
    int64_t timeout_ms;
    void (*done)(struct low_wait *w); /* on the maker's shard, exactly once, never inside start */
    void *user;
    /* out */
    int16_t error;         /* 0, REQUEST_TIMED_OUT, or why the partition cannot say any more */
    int64_t low_watermark; /* without error */
    /* its own */
    struct node_shard *maker;
    struct call call;
    struct call recall;
    unsigned home;
    unsigned out;       /* calls that are away */
    struct list node;   /* home: in the partition's low_wait */
    struct timer timer; /* home */
};

/* The struct stays in place until done. */
void low_wait_start(struct low_wait *w, struct node_shard *ns);
void low_wait_cancel(struct low_wait *w);

/* Home: the low watermark may have moved. */
void low_wait_look(struct partition *p);
/* Home: the partition cannot say any more: everybody gets the code. */
void low_wait_release(struct partition *p, int16_t code);

#endif
