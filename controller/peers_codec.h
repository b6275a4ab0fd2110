/* What voters say to each other, as bytes: requests and answers in Kafka's framing under private
 * API keys, which ApiVersions never names. Bodies are proto/schema/records/Voter*.msg.
 *
 *     PEER_API_MESSAGE   one message of raft (VoterMessage); its answer says that it was taken or
 *                        why not (VoterAnswer), and what raft answers at once stands behind that as
 *                        a message of its own; what raft answers later is a request of the other
 *                        direction
 *     PEER_API_SNAPSHOT  a piece of a snapshot's file (VoterSnapshotFetch, VoterSnapshotPiece)
 *     PEER_API_ADMITTED  the leader says which directory a voter has from now on, or asks whether
 *                        it is followed (VoterAdmitted, VoterAnswer)
 *     PEER_API_ADMIT     an operator's tool asks the leader to let a wiped voter in again
 *                        (VoterAdmit, VoterAdmitAnswer); the one of these that no voter sends
 *
 * Every request names the cluster, the sender with its directory, the receiver and the voters, so
 * that nobody has to remember what a connection said before. An answer of any version begins with
 * an error code and a sentence: so a peer of another release can be told that it is one.
 *
 * Failure modes of reading: ERR_UNSUPPORTED for another version, ERR_TRUNCATED and ERR_CORRUPT for
 * bytes that are no message of ours, ERR_INVALID with a sentence for a message that says what
 * cannot be (a type, a flag, a negative number, entries where none belong). Pure. */
#ifndef CONTROLLER_PEERS_CODEC_H
#define CONTROLLER_PEERS_CODEC_H

#include "base/arena.h"
#include "base/uuid.h"
#include "controller/quorum.h"
#include "proto/message.h"
#include "proto_messages.h"

enum {
    PEER_API_MESSAGE = 10000,
    PEER_API_SNAPSHOT = 10001,
    PEER_API_ADMIT = 10002,
    PEER_API_ADMITTED = 10003,
    PEER_API_END,
    PEER_VERSION = 1,        /* 0 had no results behind answers */
    PEER_ENTRIES_MAX = 4096, /* of one message: quorum_send.c sends fewer */
};

static inline bool peer_is_api(int16_t key)
{
    return key >= PEER_API_MESSAGE && key < PEER_API_END;
}

/* Who speaks to whom, as every request says it. */
struct peer_names {
    struct bytes cluster_id;
    int32_t from;
    struct uuid from_directory;
    int32_t to;
    const int32_t *voters;
    size_t voters_n;
};

/* A request frame without its length: header 1 of Kafka, then the body. */
void peer_put_header(struct buf *out, int16_t api_key, int32_t correlation_id);
/* m NULL: a greeting, which says nothing but the names. */
void peer_put_message(struct buf *out, const struct peer_names *names,
                      const struct quorum_message *m);
/* Reads a body of PEER_API_MESSAGE; what it points to is in the arena or the body. A greeting has
 * type 0. */
int peer_take_message(struct bytes body, struct arena *a, struct peer_names *names,
                      struct quorum_message *out, struct errmsg *em);
/* A body of PEER_API_SNAPSHOT: max_bytes from position on. */
struct peer_piece_wanted {
    struct metadata_snapshot_id id;
    int64_t position;
    int32_t max_bytes;
};
void peer_put_wanted(struct buf *out, const struct peer_names *names,
                     const struct peer_piece_wanted *w);
int peer_take_wanted(struct bytes body, struct arena *a, struct peer_names *names,
                     struct peer_piece_wanted *out, struct errmsg *em);

/* What an operator asks for, and how it stands. */
struct peer_admit {
    struct bytes cluster_id; /* null: not said */
    int32_t voter;
    struct uuid directory;
};
struct peer_admit_answer {
    int16_t code;
    const char *sentence; /* NULL: none; of an error, or how far it is */
    bool done;
    int32_t leader; /* -1 unknown; the rest is where it is then */
    const char *host;
    uint16_t port;
};
void peer_put_admit(struct buf *out, const struct peer_admit *q);
int peer_take_admit(struct bytes body, struct arena *a, struct peer_admit *out, struct errmsg *em);
void peer_put_admit_answer(struct buf *out, int32_t correlation_id,
                           const struct peer_admit_answer *answer);
/* Its strings are in the arena. */
int peer_take_admit_answer(struct bytes frame, struct arena *a, struct peer_admit_answer *out);

/* What the leader makes known. */
struct peer_admitted {
    int32_t voter;
    struct uuid directory; /* zero: none yet, it asks */
    int32_t epoch;         /* in which it leads */
};
void peer_put_admitted(struct buf *out, const struct peer_names *names,
                       const struct peer_admitted *w);
int peer_take_admitted(struct bytes body, struct arena *a, struct peer_names *names,
                       struct peer_admitted *out, struct errmsg *em);

/* The header in front of a request's body; ERR_UNSUPPORTED for another version. */
int peer_take_header(struct bytes frame, int32_t *correlation_id, struct bytes *body);

/* Answers, frames without a length. */
void peer_put_answer(struct buf *out, int32_t correlation_id, int16_t code, const char *sentence);
/* The answer with a piece: part of a file of size bytes. */
struct peer_piece {
    int64_t position;
    int64_t size;
    struct bytes data;
};
void peer_put_piece(struct buf *out, int32_t correlation_id, const struct peer_piece *piece);
/* Of an answer without an error: the rest of it. ERR_CORRUPT if the numbers do not fit. */
int peer_take_piece(struct bytes frame, struct arena *a, struct peer_piece *out);
/* The front of any answer. */
int peer_take_answer(struct bytes frame, int32_t *correlation_id, int16_t *code,
                     struct bytes *sentence);
/* What stands behind an answer to PEER_API_MESSAGE: the body of a message; empty: nothing. */
int peer_take_result(struct bytes frame, struct bytes *body);

#endif
