/* The inside of a voter, for quorum.c (all calls of libraft), quorum_owner.c (facts and
 * callbacks), quorum_entries.c (batches) and
 * quorum_send.c (messages that go out) only. */
#ifndef CONTROLLER_QUORUM_PRIVATE_H
#define CONTROLLER_QUORUM_PRIVATE_H

#include <raft.h>

#include "base/assert.h"
#include "controller/quorum.h"
#include "proto/record_batch.h"

enum {
    QUORUM_RECENT = 1024, /* entries whose ends are remembered */
    QUORUM_TRAILING =
        4096, /* entries kept behind a snapshot for followers that are a little behind */
    QUORUM_INFLIGHT_MAX = 1024,
    QUORUM_BATCH_MAX = 8388608, /* Kafka's limit of a metadata batch */
};

struct quorum_recent {
    uint64_t index;
    int64_t next_offset;
};

struct quorum_progress { /* of another voter, while this one leads */
    uint64_t match;
    int64_t heard_ms;
    int64_t caught_up_ms;
};

struct quorum {
    struct shard *shard;
    struct io *io;
    struct metadata_log *log;
    struct raft raft;
    const struct quorum_callbacks *cb;
    void *user;
    int32_t node_id;
    int32_t voters[QUORUM_VOTERS_MAX];
    size_t voters_n;
    struct timer timer;
    int64_t election_timeout_ms;
    int64_t patient_until_ms; /* quorum_timer.c */
    bool heard_out;           /* the timer was late, and what was in the sockets has been heard */
    struct task task;         /* deliver */
    struct log_limit limit;
    int64_t last_time_ms; /* event time never goes back */
    uint64_t commit;      /* never goes back; entries up to here are told or about to be */
    int64_t high_watermark;
    uint64_t leader_commit; /* of the newest APPEND; 0: none yet */
    uint64_t own_index;     /* of this term's LEADER_CHANGE while leader; 0: not leader */
    uint64_t votes;         /* bit i: voter i granted its vote in this term */
    struct quorum_recent recent[QUORUM_RECENT];
    struct quorum_progress progress[QUORUM_VOTERS_MAX];
    struct quorum_state state; /* as on the disk */
    int32_t leader_id;
    bool started;
    bool closed;
    bool failed;
    bool resigned;
    bool serving; /* the owner was told `leading` */
    bool step_is_append;
    struct buf configuration;           /* entry 1, encoded */
    struct metadata_incoming *incoming; /* during quorum_receive_snapshot: not used yet */
    /* to be told */
    bool tell_commit;
    bool tell_lost;
    bool tell_leader;
    bool tell_fatal;
    char why[600];
};

void quorum_fail(struct quorum *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What must hold whatever libraft does; it was built without its assertions. */
#define CHECK(q, cond)                                                                      \
    do {                                                                                    \
        if (!(cond)) {                                                                      \
            quorum_fail(                                                                    \
                (q),                                                                        \
                "the quorum's state contradicts itself (%s, %s:%d): the node stops rather " \
                "than go on wrong",                                                         \
                #cond, __FILE__, __LINE__);                                                 \
            return;                                                                         \
        }                                                                                   \
    } while (0)

/* Term of an entry; 0 if it is not known here. */
uint64_t quorum_term_of(const struct quorum *q, uint64_t index);

/* quorum_owner.c: the callbacks that are due. */
void quorum_deliver(struct task *t);

/* quorum_timer.c: at is the time that libraft wants. */
void quorum_timer_arm(struct quorum *q, int64_t at, bool leads);
/* The timer has fired. True: too late to be believed; it fires again, of a leader in the next turn.
 */
bool quorum_timer_late(struct quorum *q, bool leads);
/* It took so long to make quorum-state durable, as each vote must be. */
void quorum_timer_blocked(struct quorum *q, int64_t ms);

/* quorum_entries.c */
void quorum_put_leader_change(struct quorum *q, int32_t epoch, struct buf *out);
int quorum_build_batch(struct quorum *q, int32_t epoch, const struct bytes *records, size_t n,
                       int64_t time_ms, struct buf *out, struct errmsg *em);
/* NULL, or why no leader that there could be says this. libraft, built without its assertions, ends
 * or is corrupted by it: it does not get to see it. */
const char *quorum_contradiction(const struct quorum *q, const struct quorum_message *m);
/* Guards B and C: entries that are committed here are not looked at again. Returns how many. The
 * entry before the rest is then prev. */
uint32_t quorum_skip_committed(const struct quorum *q, const struct quorum_message *m,
                               uint64_t *prev, uint64_t *prev_term);
/* Whether the message's entries from skip on are batches, each of its entry's term, behind an entry
 * of prev_term. */
bool quorum_entries_sound(const struct quorum_message *m, uint32_t skip, uint64_t prev_term);
/* Whether they begin at the offset behind entry prev, one behind the other, and those that are here
 * are of the same length. */
bool quorum_offsets_follow(struct quorum *q, const struct quorum_message *m, uint32_t skip,
                           uint64_t prev);

/* quorum_send.c: gives the owner what libraft wants sent. term is the sender's, request_term that
 * of the message that is answered. */
void quorum_send(struct quorum *q, const struct raft_message *r, uint64_t term,
                 uint64_t request_term);
/* A received message without entries or snapshot, for libraft. */
void quorum_fill(const struct quorum_message *m, struct raft_message *r);

#endif
