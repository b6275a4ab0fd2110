/* What the leader of a partition knows of its followers, and what follows from it: where the high
 * watermark may stand, and who belongs into the in-sync set. Pure: no I/O, no clock, no memory but
 * its own. docs/replication.md has the rules.
 *
 *     isr_lead -> isr_fetched ... isr_tick ... -> isr_proposal: a set for AlterPartition
 *       -> isr_answered (or isr_set by the metadata, whichever is newer) -> ...
 *
 * After every call that may move it the owner asks isr_high_watermark.
 *
 * Failure modes: none of its own. A proposal whose fate is unknown stays pending, and in force for
 * the high watermark, until an answer or newer metadata ends it.
 *
 * Shard: home shard of the partition. Times: ms of the monotonic clock. */
#ifndef BROKER_REPLICA_ISR_H
#define BROKER_REPLICA_ISR_H

#include <stdbool.h>
#include <stdint.h>

enum { ISR_OFFSET_UNKNOWN = -1, ISR_EPOCH_UNKNOWN = -1 };

struct isr_follower {
    int32_t id;
    bool in_isr;          /* as committed by the controller */
    bool proposed;        /* in the pending set */
    bool may_join;        /* unfenced and not leaving, in the leader's image */
    int64_t image_epoch;  /* its broker epoch in the image; ISR_EPOCH_UNKNOWN: not registered */
    int64_t fetch_epoch;  /* that it fetches with; ISR_EPOCH_UNKNOWN: an old version */
    int64_t end;          /* log end offset; ISR_OFFSET_UNKNOWN */
    int64_t start;        /* log start offset; ISR_OFFSET_UNKNOWN */
    int64_t caught_up_ms; /* it had all of the log then */
    int64_t fetched_ms;   /* of its newest fetch */
    int64_t leader_end;   /* the leader's end at its newest fetch */
};

/* What the metadata, or the controller's answer, says of the partition. */
struct isr_state {
    int32_t leader_epoch;
    int32_t partition_epoch;
    const int32_t *replicas; /* with the leader */
    uint32_t replicas_n;
    const int32_t *isr; /* with the leader */
    uint32_t isr_n;
    bool recovering; /* after an unclean election: the set may not grow until that is cleared */
};

struct isr {
    int32_t self;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int64_t epoch_start; /* the leader's end when its epoch began */
    uint32_t isr_n;      /* committed, with the leader */
    bool recovering;
    bool pending; /* a proposal is out */
    struct isr_follower *followers;
    uint32_t n;
};

void isr_init(struct isr *s, int32_t self);
void isr_free(struct isr *s);

/* This replica leads, in a new epoch: followers are unknown, with lag_ms from now on to show up. */
void isr_lead(struct isr *s, const struct isr_state *st, int64_t end, int64_t now_ms);
/* Newer metadata within the epoch: ISR and replicas; false: it is not newer, nothing changed. A
 * pending proposal ends with it. */
bool isr_set(struct isr *s, const struct isr_state *st, int64_t now_ms);
/* What the image says of a follower's broker. */
void isr_set_broker(struct isr *s, int32_t id, int64_t broker_epoch, bool may_join);

/* A follower's fetch from `offset` was read, while the leader's log ended at end. False: it is no
 * replica. */
bool isr_fetched(struct isr *s, int32_t id, int64_t broker_epoch, int64_t offset, int64_t log_start,
                 int64_t end, int64_t now_ms);

/* Where the high watermark may stand, from `hw` on; `own` is how far the leader's own log counts.
 * min_isr: min.insync.replicas, at most the number of replicas. */
int64_t isr_high_watermark(const struct isr *s, int64_t hw, int64_t own, uint32_t min_isr,
                           int64_t now_ms, int64_t lag_ms);
/* Least log start over all living replicas: what DeleteRecords waits for. */
int64_t isr_low_watermark(const struct isr *s, int64_t own);

/* A member of the new set, for AlterPartition. */
struct isr_member {
    int32_t id;
    int64_t broker_epoch;
};
/* The set that should be proposed now, if it differs from the committed one and none is pending:
 * out has room for n + 1, *n gets the number; the proposal is then pending. Members that lag more
 * than lag_ms go, those that may join come. self_epoch: the leader's own broker epoch. */
bool isr_propose(struct isr *s, int64_t hw, int64_t end, int64_t self_epoch, int64_t now_ms,
                 int64_t lag_ms, struct isr_member *out, uint32_t *n);
/* The pending proposal again, for a resend. */
void isr_pending_members(const struct isr *s, int64_t self_epoch, struct isr_member *out,
                         uint32_t *n);
/* The proposal was refused for good: the committed set is what counts. */
void isr_refused(struct isr *s);

#endif
