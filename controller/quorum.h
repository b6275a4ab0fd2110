/* One voter of the metadata quorum: libraft 0.22.1 driven by steps over the metadata log.
 * docs/quorum.md is the specification; quorum.c is the only file that calls libraft.
 *
 * Happy path on the leader: quorum_append makes a batch of the owner's records, gives it offset and
 * epoch, submits it, writes it; when the flush is reported and a majority has it, `committed` tells
 * the owner the new high watermark. A follower gets its entries by quorum_receive.
 *
 * Callbacks are never made from inside a call of the owner but quorum_start's and quorum_receive's:
 * they run from a task at the end of the turn, or from a completion. None comes after quorum_close.
 *
 * Failure modes: a failed disk, an answer of libraft that must not be, or a contradiction between
 * its log and ours calls `fatal` once with a sentence; the quorum then refuses everything.
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_QUORUM_H
#define CONTROLLER_QUORUM_H

#include "controller/metadata_log.h"
#include "runtime/shard.h"

struct quorum;
struct quorum_message;

enum { QUORUM_VOTERS_MAX = 5 };

struct quorum_callbacks {
    /* All below offset is committed (and applied in order by the owner). */
    void (*committed)(void *user, int64_t offset);
    /* This node leads in epoch and has committed in it: it may serve. */
    void (*leading)(void *user, int32_t epoch);
    /* It led, or tried to, and does not any more: what is not committed may be lost. */
    void (*lost)(void *user);
    /* Another voter leads (or -1: nobody known). */
    void (*leader)(void *user, int32_t leader_id, int32_t epoch);
    void (*fatal)(void *user, const char *sentence);
    /* To another voter; the message and all it points to are only good during the call. Lost
     * messages are fine. NULL with one voter. */
    void (*send)(void *user, const struct quorum_message *m);
    /* Would entries for this voter leave now? Not asked with one voter. */
    bool (*may_send)(void *user, int32_t to);
    /* The leader's snapshot has taken the place of this node's log (from inside
     * quorum_receive_snapshot): a snapshot that the owner is taking is to be given up, and what it
     * knows is to be read anew from the newest one, all of which is committed. */
    void (*installed)(void *user, struct metadata_snapshot_id id);
};

struct quorum_config {
    int32_t node_id;
    const int32_t *voters; /* ids, this node's among them */
    size_t voters_n;       /* 1, 3 or 5 */
    int64_t election_timeout_ms;
    int64_t heartbeat_ms;
    const struct quorum_callbacks *cb; /* kept */
    void *user;
};

/* Starts the voter over an open log (which the caller closes after quorum_close). Blocks on the
 * disk. A sole voter is leader when it returns. */
int quorum_start(struct shard *sh, struct metadata_log *log, const struct quorum_config *cfg,
                 struct quorum **out, struct errmsg *em);
/* Ends at once. With a flush in flight (quorum_busy) the log must be closed next, in the same
 * turn: what was appended may be lost then. */
void quorum_close(struct quorum *q);
bool quorum_busy(const struct quorum *q);
/* Writes down who leads, if that is new: a hint for people and for Kafka, which the vote does not
 * need. Blocks for two flushes of the disk. */
void quorum_note_leader(struct quorum *q);
/* Accepts no more appends; what was appended still commits. For an orderly stop. */
void quorum_resign(struct quorum *q);

/* A leader asks another voter to take over at once: this one, or (-1) the one that is nearest to
 * its own log. No harm otherwise. */
void quorum_hand_over(struct quorum *q, int32_t to);

bool quorum_is_leader(const struct quorum *q); /* libraft's state; may not serve yet */
bool quorum_may_serve(const struct quorum *q); /* leader that has committed in its own epoch */
int32_t quorum_epoch(const struct quorum *q);
int32_t quorum_leader_id(const struct quorum *q); /* -1 unknown */
/* The offset that the next record will get. */
int64_t quorum_next_offset(const struct quorum *q);
int64_t quorum_high_watermark(const struct quorum *q);
/* A follower: it has all that its leader had committed when that was heard last. */
bool quorum_caught_up(const struct quorum *q);

/* What a leader knows of another voter: its end as it has acknowledged it, when it last answered,
 * and when it last had all that the leader had. Wall clock; -1 unknown. */
struct quorum_voter_status {
    int64_t end_offset;
    int64_t heard_ms;
    int64_t caught_up_ms;
};
void quorum_voter_status(const struct quorum *q, int32_t id, struct quorum_voter_status *out);

/* Framed metadata records as one batch, stamped time_ms. *end gets the offset behind it.
 * ERR_NOTLEADER, ERR_TOOBIG (above Kafka's limit of 8 MiB; nothing was appended). */
int quorum_append(struct quorum *q, const struct bytes *records, size_t n, int64_t time_ms,
                  int64_t *end, struct errmsg *em);

/* Where a snapshot may be taken: all below offset is committed. index 0: not now. */
void quorum_committed_at(const struct quorum *q, struct metadata_snapshot_id *id, uint64_t *index);
/* The snapshot is durable (metadata_snapshot_finish). */
void quorum_snapshot_taken(struct quorum *q, struct metadata_snapshot_id id, uint64_t index);

/* ---- between voters ---- */

enum quorum_message_type {
    QUORUM_APPEND = 1,
    QUORUM_APPEND_RESULT,
    QUORUM_VOTE,
    QUORUM_VOTE_RESULT,
    QUORUM_SNAPSHOT,
    QUORUM_TIMEOUT_NOW,
};

struct quorum_entry {
    uint64_t term;
    uint8_t type;       /* libraft's entry type */
    struct bytes batch; /* the record batch; of entry 1 the encoded configuration */
};

/* Every field that libraft's messages have, and two of ours (guards A and I). */
struct quorum_message {
    enum quorum_message_type type;
    uint8_t version; /* of libraft's message */
    int32_t from;
    int32_t to;
    uint64_t term;
    uint64_t sender_term;  /* answers: the sender's real term */
    uint64_t request_term; /* answers: the term of what is answered */
    uint64_t index;      /* APPEND prev index; VOTE, TIMEOUT_NOW last index; APPEND_RESULT the last
                            index; SNAPSHOT its index */
    uint64_t index_term; /* APPEND prev term; VOTE, TIMEOUT_NOW last term; SNAPSHOT its term */
    uint64_t commit;     /* APPEND */
    uint64_t rejected;   /* APPEND_RESULT: 0 or the index */
    bool disrupt_leader; /* VOTE */
    bool pre_vote;       /* VOTE, VOTE_RESULT */
    bool granted;        /* VOTE_RESULT */
    uint16_t features;   /* results */
    uint16_t capacity;   /* results */
    struct metadata_snapshot_id snapshot; /* SNAPSHOT */
    uint32_t entries_n;                   /* APPEND */
    const struct quorum_entry *entries;
};

/* A message that came whole and whose entries are whole batches (the transport has checked lengths,
 * counts and that `from` is the voter of the connection). ERR_INVALID: it cannot be true and is
 * dropped, with a rate-limited line; em, which may be NULL, is for its sender. What is only late or
 * meets want of memory is no error. */
int quorum_receive(struct quorum *q, const struct quorum_message *m, struct errmsg *em);
/* A QUORUM_SNAPSHOT that this voter lacks: the transport moves the snapshot's file first. False: it
 * goes to quorum_receive like any message. */
bool quorum_wants_snapshot(const struct quorum *q, const struct quorum_message *m);
/* The same message, with its file, whole and checked; taken, used or not. */
void quorum_receive_snapshot(struct quorum *q, const struct quorum_message *m,
                             struct metadata_incoming *in);

#endif
