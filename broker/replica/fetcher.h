/* The fetchers of one shard: for each broker that leads a partition followed here, one connection,
 * one fetch session, one Fetch in flight.
 *
 *     fetchers_follow(partition, leader) -> next Fetch has it -> answer: for each partition append,
 *       cut or wait (follower.h), high watermark, start offset -> next Fetch at once
 *
 * A Fetch waits at the leader for replica.fetch.wait.max.ms or replica.fetch.min.bytes. It names
 * only what changed since the one before: the leader's session (KIP-227) has the rest, and moves a
 * partition that had records behind the others, so that none starves. The leader's address comes
 * from the image, by inter.broker.listener.name; a new address of the same broker makes a new
 * connection.
 *
 * A partition is held back, which takes it out of the session, while it waits (follower.h), while
 * its newest records have to be flushed (flush.messages: the leader takes a fetch from an offset
 * for an acknowledgement of all below it), and after a truncation below the recovery point until
 * recovery-point-offset-checkpoint is replaced (checkpoints.h).
 *
 * Failure modes: a broken connection, an answer that does not decode or an error of the whole ends
 * the session; the next Fetch is a full one, soon at first and after replica.fetch.backoff.ms in
 * the long run. A partition's records that do not hold together are not appended, with one
 * rate-limited line. A full disk is tried again every second; a log that is offline is out until
 * the metadata changes.
 *
 * Files: fetcher.c the partitions and who leads them, fetcher_send.c requests and sessions,
 * fetcher_take.c answers, fetcher_reset.c offsets out of range and checkpoints after truncations,
 * fetcher_throttle.c replication quotas.
 *
 * Shard: its own. */
#ifndef BROKER_REPLICA_FETCHER_H
#define BROKER_REPLICA_FETCHER_H

#include "broker/node.h"

struct fetchers;
struct partition;
struct image_delta;

struct fetchers *fetchers_new(struct node_shard *ns);
void fetchers_free(struct fetchers *fs); /* NULL is fine; nothing follows any more */
/* The partition follows p->leader in p->leader_epoch from now on (again, for a new epoch). No harm
 * if it does so already; one that had failed tries again. */
void fetchers_follow(struct fetchers *fs, struct partition *p);
/* It leads, is going away, or has no leader. No harm if it does not follow. Answers that are under
 * way for it are dropped. */
void fetchers_unfollow(struct fetchers *fs, struct partition *p);
/* What held p back may be over (its flush has ended). No harm if it does not follow. */
void fetchers_look(struct fetchers *fs, struct partition *p);
/* p's log ends below the recovery point that the checkpoint has (it was cut, or opened so after a
 * crash): no append to it until the checkpoint is replaced, which is asked for now. */
void fetchers_was_cut(struct fetchers *fs, struct partition *p);
/* A log of the directory was removed: the checkpoints that still have it are replaced soon. */
void fetchers_removed(struct fetchers *fs, unsigned dir, uint64_t name_bit);
uint64_t fetchers_name_bit(struct bytes topic, int32_t partition);
/* The same in another shard, whose turn has come or is about to: the next log of the name may be of
 * this one, since another topic's id decides. */
void fetchers_removed_elsewhere(struct fetchers *fs, struct bytes topic, int32_t partition);
/* The log directories were found as a crash had left them: they may have lost any log just before.
 */
void fetchers_after_crash(struct fetchers *fs);
/* p has a new log: if its directory's checkpoints may have numbers of an earlier one of this name,
 * no append before they are replaced. */
void fetchers_created(struct fetchers *fs, struct partition *p);
/* With each image: addresses of leaders, our broker epoch. Looked at at the end of the turn, when
 * the image is the shard's. */
void fetchers_apply(struct fetchers *fs, const struct image_delta *d);
/* No more fetches (the node stops). */
void fetchers_stop(struct fetchers *fs);
/* Something of it is under way on another shard. */
bool fetchers_busy(const struct fetchers *fs);

/* What there is to know of the way to one leader. */
struct fetcher_view {
    int32_t leader;
    const char *host; /* "": its address is not known */
    uint16_t port;
    uint32_t partitions; /* followed there */
    uint32_t held;       /* of them, in no Fetch for now */
    int64_t silent_ms;   /* so long it does not answer */
    bool in_flight;      /* a Fetch is */
    unsigned tries;      /* connections or answers in a row that were no good */
};
void fetchers_each(struct fetchers *fs, void (*fn)(const struct fetcher_view *v, void *user),
                   void *user);

/* Records that p, which follows, is behind its leader's high watermark, as that said last. */
int64_t fetchers_lag(const struct partition *p);

#endif
