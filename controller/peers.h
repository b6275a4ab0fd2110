/* The traffic between the voters of the quorum: quorum.c's messages over the CONTROLLER listener,
 * in Kafka's framing under private API keys (peers_codec.h), so that whatever guards that listener
 * guards them too.
 *
 * One outgoing connection to each other voter, for all that this one says; what the other says
 * comes as requests on its own connection (peers_handle), and what raft answers at once goes back
 * with the answer: a heartbeat is one frame each way. A connection is tried again at once when
 * there is something to say or the other voter has just spoken, else in backoff; one that gives no
 * answers for a time is made anew. A voter that greets, as each does with a new connection, is
 * greeted: it may be a new process, whose host has forgotten the connection to it. Messages of
 * raft may be lost: what does not fit into the bounded queue is dropped, and while there is no
 * connection only the newest small ones are kept.
 *
 * Who may speak: a request that names another cluster, other voters, a sender that is none of them,
 * or another receiver than this node is refused. So is a voter that comes with another directory
 * than the one it had: an empty disk under an old id has forgotten its votes and what it has
 * acknowledged. The directories are kept in `voter-directories` beside quorum-state, made durable
 * before the first message of a voter is taken. Nothing that such a voter says, no vote and no
 * acknowledgement, is heard, until its new directory is admitted (storage admit-voter): by the
 * leader, which brings it up to date and then tells the others (peers_admission.c), or on each of
 * the others while they are stopped.
 *
 * Every refusal is an answer that names the reason; both ends log it, once a minute.
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_PEERS_H
#define CONTROLLER_PEERS_H

#include "controller/controller.h"
#include "controller/quorum.h"

struct peers;

struct peers_config { /* all of it is the owner's, and stays */
    int32_t node_id;
    const char *cluster_id;
    struct uuid directory_id;
    const struct controller_voter *voters; /* this node among them */
    size_t voters_n;
    int64_t election_timeout_ms;
};

/* Reads the directories of the other voters. ERR_CORRUPT with a sentence. */
int peers_new(struct shard *sh, const struct peers_config *cfg, struct metadata_log *log,
              struct peers **out, struct errmsg *em);
/* From now on messages are taken and connections made. */
void peers_start(struct peers *p, struct quorum *q);
void peers_free(struct peers *p); /* NULL is fine; before the quorum is closed */

/* quorum_callbacks.send */
void peers_send(struct peers *p, const struct quorum_message *m);
bool peers_may_send(const struct peers *p, int32_t to);
/* The directory that another voter is known by; zero: none yet, or it is no voter. */
struct uuid peers_directory(const struct peers *p, int32_t voter);
/* Has this voter come with another directory than it is known by? The last one, and when (wall
 * clock); it may have come back with the known one since. */
bool peers_offered(const struct peers *p, int32_t voter, struct uuid *directory, int64_t *when_ms);
/* A request frame for which peer_is_api() is true: response gets the whole answer's frame. */
void peers_handle(struct peers *p, struct bytes frame, struct buf *response);
/* The same at a controller that is no voter; em gets what it answers. */
void peers_refuse(struct bytes frame, int32_t node_id, struct buf *response, struct errmsg *em);

#endif
