/* The broker's view of the metadata: follows `__cluster_metadata-0` over main's channel and
 * publishes each version to every data shard.
 *
 *     metadata_follower -> MSG_IMAGE to all data shards -> node_apply_image -> home
 *
 * The first version is published when the loader has all that the controller had committed at that
 * time, so that partitions are opened once and not through their whole history; node_on_caught_up
 * follows when it is applied everywhere. A version that all shards have applied is "applied": its
 * offset is what the broker's heartbeats report.
 *
 * A new leader of the quorum is told to all shards (node_on_leader), and where the controllers are
 * (node_on_voters) if the configuration names none but to begin with.
 *
 * Failure modes: those of the follower (controller/metadata_follower.h). Metadata that does not
 * decode or contradicts itself stops the node: it must not be served.
 *
 * Shard: main, but for metadata_on_image, which runs on every data shard. */
#ifndef BROKER_METADATA_LOADER_H
#define BROKER_METADATA_LOADER_H

#include "broker/node.h"

struct metadata_loader;
struct msg;

struct metadata_loader *metadata_loader_new(struct node *n);
void metadata_loader_start(struct metadata_loader *l); /* main's channel is there */
/* No more fetches and publications; versions that are under way still come home
 * (metadata_loader_busy). */
void metadata_loader_stop(struct metadata_loader *l);
bool metadata_loader_busy(const struct metadata_loader *l);
void metadata_loader_free(struct metadata_loader *l); /* not busy */

/* Offset of the newest record that every data shard has applied; -1 before the first version. */
int64_t metadata_loader_applied(const struct metadata_loader *l);

/* node.c: a MSG_IMAGE has arrived on a data shard, or is home on main. */
void metadata_on_image(struct node_shard *ns, struct msg *m);

#endif
