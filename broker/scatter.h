/* One question to many partitions, wherever they live: the items of a request are grouped by home
 * shard, each group is a call (call.h) that runs `run` for every item there, and `done` runs on the
 * asking shard when all are home.
 *
 * An item's struct begins with a struct scatter_item. Those with an error are left alone. What run
 * allocates comes from the arena it is given, which lives until done has returned. */
#ifndef BROKER_SCATTER_H
#define BROKER_SCATTER_H

#include "base/arena.h"
#include "base/uuid.h"
#include "broker/request.h"

struct partition;

struct scatter_item {
    struct uuid topic_id;
    int32_t index;
    int16_t error; /* wire code; set before the start: the item is not asked */
};

/* p is NULL if the partition is not on this broker. */
typedef void scatter_run_fn(struct node_shard *home, struct partition *p, struct scatter_item *it,
                            void *user, struct arena *a);
typedef void scatter_done_fn(struct request *r, void *user);

/* items: n structs of item_size bytes each, which stay in place (usually in the request's arena).
 * done is called exactly once, maybe inside. It answers the request. */
void scatter_start(struct request *r, void *items, size_t item_size, uint32_t n,
                   scatter_run_fn *run, scatter_done_fn *done, void *user);

#endif
