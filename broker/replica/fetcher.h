/* The fetchers of one shard: for each broker that leads a partition followed here, one connection,
 * one fetch session, one Fetch in flight.
 *
 *     fetchers_follow(partition, leader) -> next Fetch has it -> answer: for each partition append,
 *       cut or wait (follower.h), high watermark, start offset -> next Fetch at once
 *
 * A Fetch waits at the leader for replica.fetch.wait.max.ms or replica.fetch.min.bytes; one
 * partition more or less is a change of the session. A broken connection ends the session and
 * delays by replica.fetch.backoff.ms. The leader's address comes from the image, by
 * inter.broker.listener.name; a new address of the same broker makes a new connection.
 *
 * Throttle: partitions of follower.replication.throttled.replicas wait when this broker has passed
 * follower.replication.throttled.rate.
 *
 * Failure modes: a log that refuses (no space, offline) is left out until it may go on; an answer
 * that does not hold together closes the connection with one rate-limited line.
 *
 * Shard: its own. */
#ifndef BROKER_REPLICA_FETCHER_H
#define BROKER_REPLICA_FETCHER_H

#include "broker/node.h"
#include "broker/replica/follower.h"

struct fetchers;
struct partition;
struct image_delta;

struct fetchers *fetchers_new(struct node_shard *ns);
void fetchers_free(struct fetchers *fs);
/* The partition follows p->leader in p->leader_epoch from now on (again, for a new epoch). */
void fetchers_follow(struct fetchers *fs, struct partition *p);
/* It leads, is going away, or has no leader. No harm if it does not follow. Answers that are under
 * way for it are dropped. */
void fetchers_unfollow(struct fetchers *fs, struct partition *p);
/* After each image: addresses of leaders, throttles. */
void fetchers_apply(struct fetchers *fs, const struct image_delta *d);
/* No more fetches (the node stops). */
void fetchers_stop(struct fetchers *fs);

#endif
