/* AlterPartition: the in-sync sets that this shard's leaders propose, one request at a time, each
 * with all partitions that have a proposal waiting. Answers go back to the partitions.
 *
 *     isr_alter_propose -> end of turn: one request with all that wait -> answer, for each
 * partition: done: isr_answered; surely not done: isr_refused; refused because this broker is
 * behind: the proposal stays in force until the metadata says more; anything else: into the next
 * request
 *
 * A proposal is sent until it is answered or its partition drops it (isr_alter_cancel): a broken
 * connection, a timeout or NOT_CONTROLLER leaves its fate unknown.
 *
 * Shard: its own; over the shard's channel. */
#ifndef BROKER_REPLICA_ALTER_H
#define BROKER_REPLICA_ALTER_H

#include "broker/node.h"
#include "broker/replica/isr.h"

struct isr_alter;
struct partition;

struct isr_alter *isr_alter_new(struct node_shard *ns); /* the shard's channel may come later */
void isr_alter_free(struct isr_alter *a);               /* gives up the request under way */
/* p->isr has a pending proposal: p is in the next request. No harm if it is queued already. */
void isr_alter_propose(struct isr_alter *a, struct partition *p);
/* The partition goes away, does not lead any more, or its proposal is over. No harm if it is not
 * there. */
void isr_alter_cancel(struct isr_alter *a, struct partition *p);

#endif
