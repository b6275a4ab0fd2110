/* KIP-392: the replica that a consumer is sent to instead of the leader, with
 * replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector.
 *
 * The leader serves its own rack. A consumer of another rack is sent to a replica of its rack that
 * is in sync and has the offset that it asks for: the one with most, then the one that was last
 * seen with all, then the one of the largest id. If there is none the leader serves it.
 *
 * Shard: home shard of the partition. */
#ifndef BROKER_REPLICA_SELECTOR_H
#define BROKER_REPLICA_SELECTOR_H

#include "base/bytes.h"

struct image;
struct partition;

#define REPLICA_SELECTOR_RACK "org.apache.kafka.common.replica.RackAwareReplicaSelector"

/* -1: the leader. p is led here. listener: that the consumer is connected to; rack: its own. */
int32_t replica_select(const struct partition *p, const struct image *img, struct bytes listener,
                       struct bytes rack, int64_t offset);

#endif
