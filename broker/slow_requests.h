/* The slowest requests of the last one to two minutes on one shard, for /why: a few of each minute.
 *
 * A request costs a comparison here unless it is one of them. What counts is the time that this
 * node took: of requests that wait by design (for records, for members of a group) the waiting is
 * left out, as `rank` says.
 *
 * Shard: its own. */
#ifndef BROKER_SLOW_REQUESTS_H
#define BROKER_SLOW_REQUESTS_H

#include "broker/shard_stats.h"

enum { SLOW_REQUESTS_MAX = 16, SLOW_REQUESTS_MS = 60000, SLOW_CLIENT = 64, SLOW_PEER = 64 };

struct slow_request {
    int64_t rank_us;
    int64_t received_us;
    uint64_t conn;             /* its id on the shard */
    unsigned slot;             /* as in shard_stats */
    int64_t stages_us[STAGES]; /* -1: not over, or not known */
    char client[SLOW_CLIENT];
    char peer[SLOW_PEER];
};

struct slow_requests {
    struct slow_request now[SLOW_REQUESTS_MAX];    /* of the present minute, ... */
    struct slow_request before[SLOW_REQUESTS_MAX]; /* ... and of the one before it */
    unsigned now_n, before_n;
    int64_t began_us; /* the present minute */
    int64_t least_us; /* what ranks at most so much is none of `now` */
};

/* Is one of this rank kept? Turns the minute over when it is time. */
static inline bool slow_requests_wants(const struct slow_requests *s, int64_t rank_us,
                                       int64_t now_us)
{
    return rank_us > s->least_us || now_us - s->began_us >= (int64_t)SLOW_REQUESTS_MS * 1000;
}
/* Its place, to be filled by the caller, with stages unknown; NULL: it is not kept after all. */
struct slow_request *slow_requests_add(struct slow_requests *s, int64_t rank_us, int64_t now_us);
/* That of this minute with this connection and arrival; NULL: none. */
struct slow_request *slow_requests_find(struct slow_requests *s, uint64_t conn,
                                        int64_t received_us);
/* Both minutes, the slowest first; out has room for SLOW_REQUESTS_MAX. */
unsigned slow_requests_copy(const struct slow_requests *s, int64_t now_us,
                            struct slow_request *out);

#endif
