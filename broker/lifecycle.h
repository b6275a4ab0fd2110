/* The broker's standing with the controller: registration, heartbeats, unfencing, controlled
 * shutdown.
 *
 *     start -> register (again until it succeeds) -> heartbeats "fence me" until the metadata up to
 *     the registration is applied on all shards -> heartbeats "let me serve" -> unfenced:
 *     node_on_unfenced -> a heartbeat every broker.heartbeat.interval.ms -> lifecycle_begin_stop:
 *     heartbeats "let me go" -> node_on_fenced_for_stop
 *
 * After a process that was killed the registration waits until the logs are open (run_before.h);
 * the limit of initial.broker.registration.timeout.ms counts until there is metadata to open by.
 *
 * Heartbeats have a connection of their own and wait for nothing but the clock. A controller that
 * does not know the broker's epoch any more gets a new registration of the same incarnation.
 *
 * Failure modes: registration that fails for initial.broker.registration.timeout.ms, or is refused
 * for good (another cluster id), stops the node with a sentence. A stop that the controller does
 * not grant goes on after shutdown.timeout.ms.
 *
 * Shard: main. */
#ifndef BROKER_LIFECYCLE_H
#define BROKER_LIFECYCLE_H

#include "broker/node.h"

struct lifecycle;

struct lifecycle *lifecycle_new(struct node *n);
/* Before the start: a broker that learns from the controllers who the voters are does not register
 * before it knows that it is not called like one of them (lifecycle_release), or for ten seconds.
 */
void lifecycle_hold(struct lifecycle *l);
void lifecycle_release(struct lifecycle *l);
/* Begins to register: main's channel is there and the listeners are bound. */
void lifecycle_start(struct lifecycle *l);
/* The node has opened its partitions and can serve: ask to be unfenced. */
void lifecycle_ready(struct lifecycle *l);
/* All shards have applied more metadata: the next heartbeat is due now if one waits for it. */
void lifecycle_on_metadata(struct lifecycle *l);
/* The set of offline log directories (n->failed_dirs), or of those without room (disk_room.h),
 * changed: told with the next heartbeat, at once. */
void lifecycle_dirs_changed(struct lifecycle *l);
/* Orderly stop: node_on_fenced_for_stop is called exactly once, later, however it ends. */
void lifecycle_begin_stop(struct lifecycle *l);
void lifecycle_free(struct lifecycle *l); /* gives up calls under way */

int64_t lifecycle_broker_epoch(const struct lifecycle *l); /* -1: not registered yet */
bool lifecycle_is_unfenced(const struct lifecycle *l);
/* Registered, unfenced, and in touch with a controller. False: why has a sentence. */
bool lifecycle_is_ready(const struct lifecycle *l, struct errmsg *why);

/* Since a controller answered; -1: none has. */
int64_t lifecycle_silent_ms(const struct lifecycle *l);

#endif
