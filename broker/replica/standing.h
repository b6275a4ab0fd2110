/* What followers' standing fetch sessions (fetch_session.h) have read to the end: the leader's side
 * of a fetch that costs nothing for a partition without news.
 *
 *     a follower's item was read -> standing_arm -> log end, high watermark or start move, the
 * epoch or the in-sync set changes -> end of the turn: one message of news for each session
 *
 * A watch is one replica's at one partition, as long as it is led in one epoch; a newer session of
 * the replica takes it over. News is told once: of the log end, and of what may be an error, so
 * that the session's fetch looks now; of the marks, so that its next answer tells them. The session
 * then reads the partition again, which arms the watch again. News of a session that is gone is
 * told to nobody: its follower gets an error for the session, and names all partitions again.
 *
 * The in-sync set: a follower that is not heard of since it had all of the log is as good as one
 * that fetched it all the time, until there is more. From then on it has half of
 * replica.lag.time.max.ms to show up, so that it is out after the whole if it does not live.
 *
 * Failure modes: none of its own. Shard: home shard of the partition. */
#ifndef BROKER_REPLICA_STANDING_H
#define BROKER_REPLICA_STANDING_H

#include "broker/node.h"

struct fetch_item;
struct partition;

/* The item was read, without an error, for a fetch of this replica's session. True: it is read to
 * the end by a member of the in-sync set, and need not be read again before there is news. */
bool standing_arm(struct partition *p, int32_t replica, int32_t session,
                  const struct fetch_item *it);
/* The log or its marks may have moved. */
void standing_moved(struct partition *p);
/* Those who are not in the in-sync set any more look again: they ask to join with each fetch. */
void standing_look(struct partition *p);
/* This replica (-1: each) looks again: what it would be answered has changed. */
void standing_news(struct partition *p, int32_t replica);
/* The same for each, and nothing is watched any more. */
void standing_forget(struct partition *p);

/* News that is on its way: of one session, in one turn. */
struct standing_notice;
void standing_send(struct node_shard *ns, struct list *notices); /* the end of a turn */
void standing_drop(struct list *notices);
void standing_on_msg(struct node_shard *ns, struct msg *m); /* MSG_STANDING */

#endif
