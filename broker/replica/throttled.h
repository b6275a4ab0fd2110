/* What the settings of replication quotas say (KIP-73): which replicas, and how many bytes a
 * second.
 *
 * Shard: any. */
#ifndef BROKER_REPLICA_THROTTLED_H
#define BROKER_REPLICA_THROTTLED_H

#include "broker/node.h"

/* Does the list ("*", or PARTITION:BROKER,...) of this topic setting name the broker's replica? */
bool throttled_names_replica(const struct image *img, const char *setting, const char *topic,
                             int32_t partition, int32_t broker);
/* The broker's rate: its own, else the cluster's default. INT64_MAX: no limit. */
int64_t throttled_rate(const struct node_shard *ns, const char *setting);

#endif
