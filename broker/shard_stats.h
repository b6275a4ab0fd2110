/* What a data shard counts while it serves: requests by API and the time of their stages, and what
 * happens to its partitions. Counters only rise, and are read by adding over all shards
 * (monitor/metrics_requests.c). What can be looked up when somebody asks is not counted.
 *
 * The stages are Kafka's (RequestMetrics), in microseconds:
 *
 *     frame is whole --QUEUE--> handler --LOCAL--> has to wait for others --REMOTE--> answer is
 * there
 *       --RESPONSE_QUEUE--> begins to be sent --SEND--> the socket has taken it all
 *
 * A request costs two looks at the clock here, and a turn's answers on one connection one.
 *
 * Shard: its own. */
#ifndef BROKER_SHARD_STATS_H
#define BROKER_SHARD_STATS_H

#include "base/histogram.h"
#include "base/list.h"

enum request_stage {
    STAGE_QUEUE,
    STAGE_LOCAL,
    STAGE_REMOTE,
    STAGE_RESPONSE_QUEUE,
    STAGE_SEND,
    STAGE_TOTAL,
    STAGES,
};

struct request_stat {
    uint64_t requests;
    struct histogram stages[STAGES]; /* us */
};

/* Of one topic on one shard; or, summed, of all. */
struct topic_counts {
    uint32_t refs;
    uint64_t messages_in; /* appended for producers */
    uint64_t bytes_in;
    uint64_t bytes_out; /* to consumers */
    uint64_t bytes_rejected;
    uint64_t replication_in;  /* bytes fetched as a follower */
    uint64_t replication_out; /* bytes given to followers */
    uint64_t produces;        /* partitions in requests */
    uint64_t fetches;
    uint64_t produces_failed;
    uint64_t fetches_failed;
};

/* A follower's newest Fetch here, of whatever partitions: a session names only those with news. */
struct follower_seen {
    int32_t id;
    int64_t ms; /* monotonic */
};

struct slow_requests; /* broker/slow_requests.h */

struct shard_stats {
    struct slow_requests *slow;
    struct request_stat **requests; /* by slot; NULL: no request yet */
    unsigned slots;
    uint64_t isr_shrinks;
    uint64_t isr_expands;
    uint64_t isr_updates_failed;
    uint64_t connections; /* opened */
    struct follower_seen *followers;
    unsigned followers_n;
};

/* slots: of kinds of requests, request_slots() on a node. */
struct shard_stats *shard_stats_new(unsigned slots);
void shard_stats_free(struct shard_stats *s);
/* The slot's entry, made when it is first needed. */
struct request_stat *shard_stats_request(struct shard_stats *s, unsigned slot);
/* A registered broker fetches. */
void shard_stats_follower(struct shard_stats *s, int32_t id, int64_t now_ms);
/* Tables of n entries by slot, as in struct shard_stats: adds one to another, frees one whole. */
void request_stats_add(struct request_stat **sum, struct request_stat *const *slots, unsigned n);
void request_stats_free(struct request_stat **slots, unsigned n);
/* An empty histogram of a stage. */
void request_stage_init(struct histogram *h);
/* Negative times, which a clock read on two shards may give, are none. */
static inline void request_stat_add(struct request_stat *r, enum request_stage stage, int64_t us)
{
    histogram_add(&r->stages[stage], us > 0 ? (uint64_t)us : 0);
}
void topic_counts_add(struct topic_counts *sum, const struct topic_counts *c);

#endif
