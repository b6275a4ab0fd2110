/* Fetch sessions (KIP-227): a client names its partitions once, then only what changes; answers
 * leave out partitions without news. Pure data, no I/O and no clock.
 *
 *     fetch_session_begin: request -> the partitions to read, in order (or an error)
 *       ... read ...
 *     fetch_session_end: what was read -> which partitions the answer shows, and the session's id
 *
 * A session lives on the shard whose number is id mod shards, whatever connection presents it. Its
 * partitions keep the order in which they were added; one that had records goes to the end, so that
 * a byte limit starves nobody.
 *
 * A follower's session stands (b->standing): the home shards watch what it has read to the end
 * (replica/standing.h) and tell when there is news, so a fetch lists and reads those partitions
 * only that are fresh: named by the request, or with news since they were last read, or not settled
 * then. Its fetch waits here, not at the partitions:
 *
 *     begin -> read what is fresh -> enough? end. No: wait -> fired, or the time is over
 *       -> again -> read ... -> end
 *
 * Limits: slots_max sessions per shard. When they are used up, the session unused for longest goes
 * if that is over two minutes, else one smaller than the newcomer that is older than that; else the
 * newcomer gets no session (id 0) and works without. bytes_max of memory for all of them (ours: in
 * Kafka a client may name partitions, real or not, until the heap is full): idle ones go first,
 * then the newcomer gets none; a session that outgrows it ends, and its client, told that it is not
 * found, starts anew.
 *
 * Shard: the session's. Requests and parts in it belong to the asker; a part's topic name points
 * into its arena or its request. */
#ifndef BROKER_FETCH_SESSION_H
#define BROKER_FETCH_SESSION_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "base/uuid.h"

enum {
    FETCH_SESSION_NONE = 0,  /* id of no session */
    FETCH_EPOCH_INITIAL = 0, /* a full fetch that wants a session */
    FETCH_EPOCH_FINAL = -1,  /* a full fetch that wants none, and closes the one it names */
    FETCH_SESSION_IDLE_MS = 120000,
};

struct fetch_request;

/* One partition of one Fetch. */
struct fetch_part {
    struct bytes topic; /* empty when the request names topics by id */
    struct uuid topic_id;
    int32_t index;
    bool named; /* topic_id was that of a topic: it is unknown by name then, once that is gone */
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int32_t max_bytes;
    int64_t fetch_offset;
    int64_t log_start_offset; /* a follower's */
    /* what was read, for fetch_session_end */
    int16_t error;
    bool diverging;
    bool redirected;  /* to another replica */
    bool settled;     /* read to the end, and its home will tell of news */
    uint32_t records; /* bytes */
    int64_t high_watermark;
    int64_t log_start; /* the leader's */
    /* fetch_session_end */
    bool respond;
    void *user; /* the asker's */
};

enum fetch_mode { FETCH_SESSIONLESS, FETCH_FULL, FETCH_INCREMENTAL };

struct fetch_begin {
    /* in */
    const struct fetch_request *req;
    bool by_id;      /* version 13 and up */
    bool privileged; /* a follower's */
    bool standing;   /* only what is fresh; by_id, and the session must be of the asker's shard */
    int64_t now_ms;
    struct arena *arena;
    /* out of begin */
    int16_t error;
    enum fetch_mode mode;
    struct fetch_part *parts;
    uint32_t n;
    int32_t epoch; /* the session's after begin; checked again at the end */
    /* out of end */
    int32_t session_id;
};

/* News of a partition, for a standing session. */
struct fetch_news {
    struct uuid topic_id;
    int32_t index;
    bool wake; /* a fetch that waits has to look; else the next answer tells it */
};

/* A fetch that waits for news of its session. */
struct fetch_waiter {
    struct list node;                      /* the session's, while it waits; initialised */
    void (*woken)(struct fetch_waiter *w); /* it does not wait any more */
};

struct fetch_sessions;

/* shard and shards make the ids; random is the caller's source for them. */
struct fetch_sessions *fetch_sessions_new(unsigned shard, unsigned shards, uint32_t slots_max,
                                          size_t bytes_max, const struct siphash_key *map_secret,
                                          uint32_t (*random)(void *ctx), void *ctx);
void fetch_sessions_free(struct fetch_sessions *fs);
uint32_t fetch_sessions_count(const struct fetch_sessions *fs);
size_t fetch_sessions_bytes(const struct fetch_sessions *fs);
static inline unsigned fetch_session_shard(int32_t id, unsigned shards)
{
    return (uint32_t)id % shards;
}

/* On the shard of req->session_id (any shard when that is 0). */
void fetch_session_begin(struct fetch_sessions *fs, struct fetch_begin *b);
/* Incremental: on the session's shard; full: on the shard where the session is to live. parts must
 * be in the order of the answer. Sets error again if the session went or moved on meanwhile. */
void fetch_session_end(struct fetch_sessions *fs, struct fetch_begin *b);

/* Standing, after a reading that is not the answer. False: there is news already, look again. True:
 * w waits; it may be taken off its list at any time. A session that has gone wakes nobody. */
bool fetch_session_wait(struct fetch_sessions *fs, struct fetch_begin *b, struct fetch_waiter *w);
/* What is fresh now, after a wait. Sets error if the session moved on meanwhile. */
void fetch_session_again(struct fetch_sessions *fs, struct fetch_begin *b);
/* On the session's shard; no harm if there is no such session, or partition in it. */
void fetch_session_news(struct fetch_sessions *fs, int32_t id, const struct fetch_news *v,
                        uint32_t n);

#endif
