/* The inside of the voters' traffic, for peers*.c only. */
#ifndef CONTROLLER_PEERS_PRIVATE_H
#define CONTROLLER_PEERS_PRIVATE_H

#include "base/assert.h"
#include "controller/peers.h"
#include "controller/peers_codec.h"
#include "runtime/dial.h"

/* Another voter. */
struct peer {
    struct peers *all;
    int32_t id;
    const char *host;
    uint16_t port;
    struct uuid directory; /* zero: it has never spoken to this node */
    struct uuid offered;   /* with which it was refused last; zero: never */
    int64_t offered_ms;    /* when that was, wall clock */
    struct uuid trial;     /* with which it was heard before it was admitted, */
    int32_t trial_epoch;   /* while this node led in that epoch; 0: never */
    int32_t told_epoch;    /* in which this node led and told all others `directory`; 0: never */
    bool admission_waits;  /* for its answer to what another voter's new directory is */
    int32_t admission_correlation;
    bool unwanted_waits; /* for a piece of a snapshot that was asked for and is not used any more */
    int32_t unwanted_correlation;
    struct dial dial;
    struct timer timer; /* closed: the next try; open: is it silent, is it to be greeted again? */
    int64_t tried_ms;   /* monotonic */
    int64_t backoff_ms;
    int64_t greeted_ms;     /* monotonic, by this node */
    bool unnoted;           /* the other one could not write down who this node is */
    int32_t correlation;    /* of the next request */
    uint32_t unanswered;    /* requests */
    int64_t silent_ms;      /* since when nothing came while something was awaited */
    unsigned silences;      /* connections given up for that, one after another */
    struct buf pending;     /* frames with their lengths, until there is a connection */
    int64_t pending_ms;     /* of the oldest of them */
    uint64_t dropped;       /* messages, for want of room */
    bool was_lost;          /* said so in the log */
    struct log_limit lost;  /* no connection */
    struct log_limit here;  /* refused here */
    struct log_limit there; /* refused there */
};

/* The snapshot that is being moved here (peers_snapshot.c). */
struct peers_transfer {
    struct peer *from; /* NULL: none */
    struct quorum_message m;
    struct metadata_incoming *in;
    int64_t size;        /* of the file; -1 not known yet */
    int32_t correlation; /* of the request under way */
    bool waiting;        /* for its answer */
    struct timer timer;  /* the next request, when the last one came to nothing */
};

/* How far it is (peers_admission.c). */
enum admission_phase { ADMISSION_CATCHES_UP, ADMISSION_ASKS, ADMISSION_TELLS };

/* A wiped voter that is being let in again, at the leader. */
struct peers_admission {
    struct peer *peer; /* NULL: none */
    enum admission_phase phase;
    struct uuid directory;
    int32_t epoch;    /* that this node leads in */
    int64_t until;    /* the offset that was committed when it began */
    int64_t reached;  /* that the new disk has acknowledged; -1 nothing */
    int64_t heard_ms; /* of the last progress */
    struct timer timer;
    const struct peer *last; /* whose admission ended, with this: */
    int16_t code;
    char why[400];
};

struct peers {
    struct shard *shard;
    const struct logger *log;
    struct peers_config cfg;
    struct metadata_log *mlog;
    struct quorum *quorum; /* NULL before the start */
    int32_t voters[QUORUM_VOTERS_MAX];
    struct peer v[QUORUM_VOTERS_MAX];
    size_t n;                 /* without this node */
    struct peer *asker;       /* whose message is being taken: its result goes with the answer, */
    struct buf result;        /* as this body; empty: there is none yet */
    struct log_limit unknown; /* refused: nobody we know */
    struct peers_transfer transfer;
    struct peers_admission admission;
    struct log_limit asked; /* refused admissions */
};

struct peer *peers_find(struct peers *p, int32_t id);
/* Sends a request's frame if there is a connection and room; false: dropped. */
bool peer_transmit(struct peer *peer, struct bytes frame);
void peer_names_of(const struct peers *p, const struct peer *to, struct peer_names *out);

/* Says once more who this node is: whoever has just made a connection here may be a new process, or
 * be on a new disk, while the connection to it is to the one before. */
void peers_greet(struct peer *peer);

/* Kafka's code for why a request of this sender is not taken, with a sentence; 0: it is. harmless:
 * it is one that a voter on trial may make. */
int16_t peers_admit(struct peers *p, const struct peer_names *names, bool harmless,
                    struct errmsg *em);

/* peers_snapshot.c: the leader offers its snapshot, which this voter lacks. */
void peers_transfer_begin(struct peers *p, struct peer *from, const struct quorum_message *m);
/* True: the answer is the transfer's. */
bool peers_transfer_answer(struct peer *from, int32_t correlation, int16_t code,
                           struct bytes frame);
void peers_transfer_lost(struct peer *from); /* the connection */
void peers_transfer_abandon(struct peers *p);
/* Answers a request for a piece. */
void peers_give_piece(struct peers *p, struct bytes body, int32_t correlation,
                      struct buf *response);

/* peers_admission.c: is this a directory with which the leader lets the voter catch up? */
bool peers_on_trial(const struct peers *p, const struct peer *peer, struct uuid directory);
/* It has acknowledged something. */
void peers_admission_heard(struct peer *peer);
/* True: the answer is the admission's. */
bool peers_admission_answer(struct peer *from, int32_t correlation, int16_t code,
                            struct bytes sentence);
/* A request of an operator; of the leader. */
void peers_admission_ask(struct peers *p, struct bytes body, int32_t correlation,
                         struct buf *response);
int16_t peers_admission_told(struct peers *p, struct bytes body, struct errmsg *em);
void peers_admission_end(struct peers *p);

/* peers_directories.c */
enum peer_trust {
    PEER_NAMELESS, /* names no directory */
    PEER_NEW,      /* has never spoken: it is known by this one from now on */
    PEER_KNOWN,
    PEER_STRANGE, /* comes with another disk than it had */
};
/* Pure. on_trial: it is being let in again with this directory, and says what may be heard. */
enum peer_trust peers_trust(struct uuid known, struct uuid directory, bool on_trial);
int peers_load_directories(struct peers *p, struct errmsg *em);
/* Durable when it returns 0. */
int peers_learn_directory(struct peers *p, struct peer *peer, struct uuid directory,
                          struct errmsg *em);

#endif
