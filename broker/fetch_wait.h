/* Reading many partitions for one Fetch, wherever they live, and waiting until there is enough.
 *
 * A job runs on the shard of its connection. It has one leg per home shard; legs travel:
 *
 *     READ   job -> home: every item is read -> back with results
 *     WATCH  job -> home: parked on the partitions' watch lists -> back when they grew enough,
 *            or when recalled
 *
 *     start: READ all -> enough bytes, an error, or no time to wait?  yes: done
 *       no: WATCH all -> first leg back (woken) or the timer: recall the others -> READ all again
 *
 * Bytes: a home shard gives at most max_bytes for its items; the job cuts the sum of all legs down
 * to max_bytes in the order of the items, so that the answer is that of one reader. The first
 * batch of all is given whole, however large. A watching leg comes back when its partitions have
 * grown by its share of the missing bytes, so that nothing is missed whichever shard they fall on.
 *
 * Small reads are bytes in the leg's arena; large ones (fetch.zerocopy.min.bytes) are file ranges
 * with a lease, which fetch_item_take_lease passes to the chunk that sends them.
 *
 * A follower's fetch (replica_id >= 0) reads up to the log end; the first reading tells the leader
 * how far it is (partition_fetched), which may move the high watermark. It is woken by appends. A
 * consumer reads up to the high watermark or the last stable offset.
 *
 * On cancel: what is parked is recalled; done is called when every leg is home.
 * Shard: job and legs at rest: the connection's; a leg away: the home's. */
#ifndef BROKER_FETCH_WAIT_H
#define BROKER_FETCH_WAIT_H

#include "base/arena.h"
#include "base/list.h"
#include "base/uuid.h"
#include "broker/node.h"
#include "storage/log.h"

struct fetch_job;
struct fetch_leg;
struct partition;

struct fetch_item {
    /* in */
    struct uuid topic_id;
    int32_t index;
    int32_t current_leader_epoch; /* -1 unknown */
    int32_t last_fetched_epoch;   /* -1 unknown */
    int64_t fetch_offset;
    int64_t follower_start; /* log start offset of the follower that asks; -1 unknown */
    uint32_t max_bytes;
    bool negative_max; /* Kafka fails where there would be something to read */
    void *user;        /* the asker's */
    /* out */
    int16_t error;
    int64_t high_watermark; /* -1 on error, like the next two */
    int64_t last_stable_offset;
    int64_t log_start_offset;
    int64_t log_end;         /* at the reading: a follower may see that far */
    bool settled;            /* for a standing session: it need not be read before there is news */
    int32_t diverging_epoch; /* -1: the asker's log does not diverge */
    int64_t diverging_end_offset;
    int32_t preferred_replica; /* -1: none; else the consumer is to read there (KIP-392) */
    int32_t leader;            /* with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH; -1 unknown */
    int32_t leader_epoch;
    struct plog_aborted *aborted; /* read_committed */
    uint32_t aborted_n;
    uint32_t len;            /* bytes of records */
    const uint8_t *data;     /* small: in the leg's arena; NULL: in range */
    struct plog_range range; /* large */
    /* job's */
    struct fetch_leg *leg;
};

struct fetch_watch {
    struct list node; /* in the partition's watches */
    struct fetch_leg *leg;
    struct partition *part;
    int64_t end_seen;    /* end of what this reader may see, at registration */
    uint64_t bytes_seen; /* partition's byte counter that belongs to it */
    bool exact;          /* the counter can be trusted: count bytes; else wake on any change */
};

enum fetch_leg_op { FETCH_READ, FETCH_WATCH };

struct fetch_leg {
    struct msg m;
    struct msg recall;
    struct list node; /* home: in the list of woken legs */
    struct fetch_job *job;
    unsigned home;
    unsigned maker;
    int64_t image_offset;
    enum fetch_leg_op op;
    bool read_committed;
    bool any_replica;
    bool first_read; /* a follower's progress counts as of when it asked */
    int32_t replica_id;
    int64_t replica_epoch;
    int32_t standing;
    struct bytes rack;
    struct bytes listener;
    uint32_t max_bytes;
    uint32_t zerocopy_min;
    uint32_t n;
    struct fetch_item **items;
    struct fetch_watch *watches; /* one per item */
    struct arena arena;          /* results */
    int64_t need;                /* WATCH: grow by so many bytes */
    int64_t grown;
    /* home */
    bool parked;
    bool woken;
    bool recalled; /* perhaps before it was parked */
    bool returning;
    /* maker */
    bool away;
    bool recall_away;
};

struct fetch_job {
    /* in */
    struct node_shard *ns;
    struct arena *arena; /* legs and lists are taken from it */
    struct fetch_item *items;
    uint32_t n;
    uint32_t max_bytes;
    int64_t min_bytes;
    int64_t max_wait_ms;
    bool read_committed;
    bool any_replica;      /* a consumer that may read from followers (KIP-392) */
    int32_t replica_id;    /* -1: a consumer */
    int64_t replica_epoch; /* its broker epoch; -1 unknown */
    int32_t standing;      /* its session, which is told of news (replica/standing.h); 0: none */
    struct bytes rack;     /* of a consumer that may be sent to a replica near to it; else empty */
    struct bytes listener; /* with rack: where the consumer is connected */
    void (*done)(struct fetch_job *j); /* exactly once; may run inside fetch_job_start */
    void *user;
    bool canceled; /* done has nobody to answer to */
    /* its own */
    struct fetch_leg *legs;
    uint32_t legs_n;
    uint32_t out; /* messages that are away */
    enum { JOB_READING, JOB_WATCHING, JOB_RECALLING, JOB_DONE } state;
    bool read_once; /* set by the maker: the follower's progress was noted before */
    bool last;      /* the next read is the answer, enough or not */
    bool starting;
    struct timer timer;
    int64_t waits_us; /* the first reading was not enough: it waits since then; 0: it was */
    int64_t bytes;    /* of the answer */
};

void fetch_job_start(struct fetch_job *j);
void fetch_job_cancel(struct fetch_job *j);
/* After done: gives leases back that no chunk took, and the legs' memory. Call it when the answer
 * has been encoded. */
void fetch_job_free(struct fetch_job *j);

/* A lease on its own way: held by a chunk, goes home from whatever shard it is released on. */
struct fetch_lease {
    struct msg m;
    struct file_lease lease;
    unsigned home;
};
/* Moves the lease out of the item. */
struct fetch_lease *fetch_item_take_lease(struct fetch_item *it);
void fetch_lease_release(struct shard *at, struct fetch_lease *l);

void fetch_on_msg(struct node_shard *ns, struct msg *m); /* MSG_FETCH_LEG, _RECALL, MSG_LEASE */

/* partition.c: the high watermark or the last stable offset may have moved. */
void fetch_watch_moved(struct partition *p);
/* Leadership, epoch or log changed: every parked fetch looks again. */
void fetch_watch_wake_all(struct partition *p);
/* The end of a turn: woken legs go home. partition_manager's task. */
void fetch_send_woken(struct node_shard *ns, struct list *woken);

#endif
