/* The leader's side of replication quotas (KIP-73): of partitions that a topic's
 * leader.replication.throttled.replicas names for this broker, followers get no more than
 * leader.replication.throttled.rate bytes a second, all shards of the broker together. Followers in
 * the in-sync set are counted but never held back: they would leave it.
 *
 *     records for a follower -> counted; main adds up the shards' bytes -> over the rate:
 *       followers out of sync get none until the rate is kept again
 *
 * Main is told by one call at a time, so that a fetch or two may go over the rate before it is
 * noticed; waiting makes up for that.
 *
 * Shard: its own; main's has the account. */
#ifndef BROKER_REPLICA_LEADER_THROTTLE_H
#define BROKER_REPLICA_LEADER_THROTTLE_H

#include "broker/node.h"

struct leader_throttle;
struct partition;

struct leader_throttle *leader_throttle_new(struct node_shard *ns);
void leader_throttle_stop(struct leader_throttle *t); /* nothing new begins */
bool leader_throttle_busy(const struct leader_throttle *t);
void leader_throttle_free(struct leader_throttle *t);

/* Records of this partition, `bytes` of them, are about to go to a follower. False: it is not to
 * get them now. */
bool leader_throttle_admit(struct leader_throttle *t, struct partition *p, bool in_isr,
                           uint32_t bytes);

#endif
