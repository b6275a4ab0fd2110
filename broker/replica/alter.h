/* AlterPartition: the in-sync sets that this shard's leaders propose, one request at a time, each
 * with all partitions that have a proposal waiting. Answers go back to the partitions.
 *
 * A proposal is sent until it is answered or its partition drops it (alter_cancel): a broken
 * connection, a timeout or NOT_CONTROLLER leaves its fate unknown.
 *
 * Shard: its own; over the shard's channel. */
#ifndef BROKER_REPLICA_ALTER_H
#define BROKER_REPLICA_ALTER_H

#include "broker/node.h"
#include "broker/replica/isr.h"

struct alter;
struct partition;

struct alter *alter_new(struct node_shard *ns); /* the shard's channel may come later */
void alter_free(struct alter *a);               /* gives up the request under way */
/* p->isr has a pending proposal: p is in the next request. No harm if it is queued already. */
void alter_propose(struct alter *a, struct partition *p);
/* The partition goes away or does not lead any more. No harm if it is not there. */
void alter_cancel(struct alter *a, struct partition *p);

#endif
