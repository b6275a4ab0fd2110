/* What the leader of a partition knows of its followers, and what follows from it: where the high
 * watermark may stand, and who belongs into the in-sync set. Pure: no I/O, no clock, no memory but
 * its own. docs/replication.md has the rules.
 *
 *     isr_lead -> isr_fetched ... -> isr_propose_x: a set for AlterPartition, sent until answered
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
#define ISR_NEVER (INT64_MIN / 2) /* before every time */

struct isr_follower {
    int32_t id;
    bool in_isr;            /* as committed by the controller */
    bool proposed;          /* in the pending set */
    bool alive;             /* registered and unfenced, in the leader's image */
    bool leaving;           /* in its controlled shutdown */
    int64_t image_epoch;    /* its broker epoch in the image; ISR_EPOCH_UNKNOWN: not registered */
    int64_t fetch_epoch;    /* that it fetches with; ISR_EPOCH_UNKNOWN: it did not say */
    int64_t proposed_epoch; /* fetch_epoch when it was proposed */
    int64_t end;            /* log end offset; ISR_OFFSET_UNKNOWN: no fetch yet */
    int64_t start;          /* log start offset; ISR_OFFSET_UNKNOWN */
    int64_t caught_up_ms;   /* it had all of the log then; ISR_NEVER */
    int64_t fetched_ms;     /* of its newest fetch; ISR_NEVER */
    int64_t leader_end;     /* the leader's end at its newest fetch */
    int64_t refused_ms;     /* its newest fetch when the controller did not want it; ISR_NEVER */
    int64_t again_ms;       /* how long it is not proposed again since */
    /* for people, no rule looks at them */
    int64_t missing_ms; /* not in the ISR, or not alive, since then; ISR_NEVER: it is both */
    int64_t had_all_ms; /* it lacked nothing until then, though it was not read; ISR_NEVER */
};

/* What the metadata, or the controller's answer, says of the partition. */
struct isr_state {
    int32_t leader_epoch;
    int32_t partition_epoch;
    const int32_t *replicas; /* with the leader */
    uint32_t replicas_n;
    const int32_t *isr; /* with the leader */
    uint32_t isr_n;
};

struct isr {
    int32_t self;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int64_t epoch_start; /* the leader's end when its epoch began */
    uint32_t isr_n;      /* committed, with the leader */
    bool pending;        /* a proposal is out */
    bool ahead;          /* an answer made the set smaller, and its metadata are not here yet */
    uint32_t proposal;   /* number of the newest one */
    struct isr_follower *followers;
    uint32_t n;
};

void isr_init(struct isr *s, int32_t self);
void isr_free(struct isr *s);

/* This replica leads, in a new epoch: nothing is known of the followers. Those in the ISR have
 * lag_ms from now on to show up; the others hold nobody up before their first fetch. */
void isr_lead(struct isr *s, const struct isr_state *st, int64_t end, int64_t now_ms);
/* Metadata within the epoch: ISR and replicas. True: it is newer than what is known, and a pending
 * proposal ends with it. That of the newest answer tells the replicas; what is older, nothing. */
bool isr_set(struct isr *s, const struct isr_state *st, int64_t now_ms);
/* What the image says of a follower's broker. No harm if it is none. image_epoch
 * ISR_EPOCH_UNKNOWN: not registered. */
void isr_set_broker(struct isr *s, int32_t id, int64_t image_epoch, bool fenced, bool leaving);

/* After either: since when it is missing. A new leader epoch changes nothing about that. */
void isr_note_missing(struct isr_follower *f, int64_t now_ms);
/* Since when it is behind: lacks records, of a log that ends at `end`, or is missing. ISR_NEVER: it
 * is not, or nobody knows. Where nothing is appended for hours a follower is as well as its last
 * append left it, however long ago its newest fetch was. */
int64_t isr_behind_since(const struct isr_follower *f, int64_t end);

struct isr_follower *isr_follower(const struct isr *s, int32_t id); /* NULL: it is no replica */
/* A fetch with this broker epoch comes from before the follower's present registration. */
bool isr_is_stale(const struct isr_follower *f, int64_t broker_epoch);
/* A follower's fetch from `offset` was read, while the leader's log ended at `end`. */
void isr_fetched(struct isr_follower *f, int64_t broker_epoch, int64_t offset, int64_t log_start,
                 int64_t end, int64_t now_ms);
/* It had all of the log, as of its newest fetch, for longer than that fetch says. */
void isr_stood(struct isr_follower *f, int64_t until_ms);

/* Where the high watermark may stand, from `hw` on; `own` is how far the leader's own log counts.
 * min_isr: min.insync.replicas, at most the number of replicas. */
int64_t isr_high_watermark(const struct isr *s, int64_t hw, int64_t own, uint32_t min_isr,
                           int64_t now_ms, int64_t lag_ms);
/* Least log start over all living replicas: what DeleteRecords waits for. */
int64_t isr_low_watermark(const struct isr *s, int64_t own);
/* Some replica is not in the ISR (as committed). */
static inline bool isr_is_short(const struct isr *s)
{
    return s->isr_n <= s->n;
}

/* A member of the new set, for AlterPartition. */
struct isr_member {
    int32_t id;
    int64_t broker_epoch;
};
/* Proposals: true, one is pending now; never a second one.
 *
 * The follower whose fetch was just read comes in, if it may. Only then: one that does not fetch
 * any more would come and go for ever. One that the controller has refused, or taken out by itself
 * (its disk is full, say), is proposed again after one second, two, four and then every eight,
 * and meanwhile nobody waits for it. */
bool isr_propose_join(struct isr *s, struct isr_follower *joiner, int64_t hw);
/* Members that lag more than lag_ms go; end: of the leader's log. */
bool isr_propose_shrink(struct isr *s, int64_t end, int64_t now_ms, int64_t lag_ms);
/* The pending proposal, as often as it is sent: out has room for n + 1, the number is returned.
 * Each member has the epoch that it fetched with when it was proposed: what came back since then is
 * another. self_epoch: the leader's own. */
uint32_t isr_pending_members(const struct isr *s, int64_t self_epoch, struct isr_member *out);
/* The controller's answer to it; false: it tells of an older state, the proposal stays pending. If
 * the set is smaller now the high watermark stands until the metadata of this partition epoch are
 * here: the controller may have decided by a min.insync.replicas that this broker does not know
 * yet, and have put those that went into the ELR, where nobody may lack what is committed
 * (KIP-966). */
bool isr_answered(struct isr *s, int32_t leader_epoch, int32_t partition_epoch, const int32_t *isr,
                  uint32_t isr_n);
/* The controller did not do it and never will: the committed set is what counts, and who was to
 * join is not waited for. */
void isr_refused(struct isr *s);

#endif
