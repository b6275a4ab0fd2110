/* One partition on its home shard: the log, the replica's state (leader, epochs, ISR, high
 * watermark) and who waits for it: appends of this turn, acknowledgements, parked fetches.
 *
 * The way of a batch:
 *
 *     append.c queues it -> end of turn: one plog_append for the whole queue
 *       -> flushed, if the topic asks for flush before acknowledge (flush.messages)
 *       -> acks=1 are answered
 *       -> high watermark moves -> acks=-1 are answered, parked fetches are woken
 *
 * The high watermark is the least log end offset in the ISR (replica/isr.h); the leader's own
 * counts as far as it is flushed when the topic wants that. Followers' offsets come with their
 * fetches (partition_fetched). A partition without other replicas has isr NULL and asks nothing of
 * that.
 *
 * Failure modes: a log that cannot be opened or whose directory went offline leaves the partition
 * without log; every question to it is answered with ERR_OFFLINE (KAFKA_STORAGE_ERROR). A full disk
 * refuses appends and nothing else; a log that it leaves no room to make is made later.
 *
 * Shard: home shard of the partition. */
#ifndef BROKER_PARTITION_H
#define BROKER_PARTITION_H

#include "base/list.h"
#include "base/uuid.h"
#include "broker/topic_settings.h"
#include "runtime/shard.h"
#include "storage/log.h"
#include "storage/log_store.h"

struct append_item;
struct dir_move; /* broker/dir_move.h */
struct fetch_watch;
struct group_coord;
struct image_partition;
struct image;
struct image_broker;
struct isr; /* broker/replica/isr.h */
struct isr_follower;
struct replica_follow; /* broker/replica/fetcher.h */
struct partition_manager;

/* Does leader.replication.throttled.replicas name it? Looked up when it is first asked. */
enum partition_throttle {
    PARTITION_THROTTLE_UNKNOWN,
    PARTITION_NOT_THROTTLED,
    PARTITION_THROTTLED,
};

enum { PARTITION_KEY = 20 }; /* topic id, partition index (big-endian) */

/* What a start finds of a partition beside its log, by log directory. */
struct partition_beside {
    uint64_t held;                     /* bits: directories that hold it under its name */
    char *futures[LOG_STORE_DIRS_MAX]; /* folders of future logs */
};

/* Why there is no log, and what opening it needs once more. */
struct partition_unopened {
    bool again; /* there was no space: it is tried again */
    bool held;  /* a directory holds it: args say where and from which offsets on */
    struct plog_open_args args;
    struct partition_beside beside;
};

struct partition {
    struct partition_manager *pm;
    uint8_t key[PARTITION_KEY];
    struct topic_settings *topic; /* a reference: name, id, settings */
    int32_t index;
    struct plog *log;                    /* NULL: could not be opened */
    bool offline;                        /* no log, or its directory failed */
    bool no_space;                       /* the newest append found the disk full */
    struct partition_unopened *unopened; /* NULL: there is, or was, a log */
    bool gone;                           /* removed; only its flush is still out */
    struct list all;                     /* in pm->all */
    struct list retain;                  /* in pm->retain or pm->retaining */
    uint64_t bytes; /* appended since it was opened: what parked fetches count */

    /* replica state, as the image says */
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    uint32_t isr_n; /* as committed, by the image or by the controller's answer */
    uint32_t replicas_n;
    int64_t reassigned_ms; /* this broker has known of its reassignment since then; 0: none */
    bool is_leader;        /* of this broker, and so are the following */
    bool in_isr;           /* this broker is, as committed */
    bool under_replicated; /* as the metadata count it, whoever leads */

    /* flush before acknowledge */
    int64_t
        flush_wanted; /* the high watermark may not pass the flushed offset below this; -1 none */
    struct plog_flush flush;
    bool flushing;

    struct dir_move *move; /* to another log directory; NULL: none */
    bool held;             /* for its last moment: no appends */

    struct list queue;      /* append_item: of this turn, in order */
    struct list dirty;      /* in pm->dirty while the queue is not empty */
    struct list ack_wait;   /* append_item: acks=-1, waits for the high watermark; by offset */
    struct list flush_wait; /* append_item: acks=1, waits for flush_wanted; by offset */
    struct list watches;    /* fetch_watch: parked fetches */
    struct list standing;   /* of followers' sessions: replica/standing.c's; while isr is there */
    struct list low_wait;   /* low_wait: DeleteRecords that wait for followers */
    struct group_coord *group; /* the coordinator that lives in it, or NULL; group_host.c's */

    struct isr *isr; /* while it leads and has other replicas; NULL else */
    struct list led; /* in pm->led while isr is there */
    enum partition_throttle throttle;
    struct list alter;   /* in a list of replica/alter.c's while a proposal is to be answered */
    uint32_t alter_sent; /* number of the proposal that is under way there */
    struct replica_follow *follow; /* while it follows: replica/fetcher.c's; NULL else */
    struct list uncertain; /* in the fetchers' lists: cut, and a crash would not know of it yet; no
                              append until then */
};

void partition_key(struct uuid topic_id, int32_t index, uint8_t out[PARTITION_KEY]);

/* Takes what the image says about leader, ISR and replicas. What is not newer than the controller's
 * answer to a proposal changes nothing. */
void partition_set_state(struct partition *p, const struct image_partition *ip,
                         const struct image *img);
/* The registration of a broker changed; b NULL: it is gone. */
void partition_set_broker(struct partition *p, int32_t id, const struct image_broker *b);
/* Appends the queue of this turn. */
void partition_append_queue(struct partition *p);
/* A follower's fetch from `offset` was read; f is of p->isr. False: it comes from before the
 * follower's present registration, and counts for nothing. */
bool partition_fetched(struct partition *p, struct isr_follower *f, int64_t broker_epoch,
                       int64_t offset, int64_t log_start);
/* Now and then: who lags goes out of the in-sync set (replica.lag.time.max.ms). */
void partition_look_at_isr(struct partition *p);
/* The least ISR that acks=-1 is taken with: min.insync.replicas, at most the replicas there are. */
uint32_t partition_min_isr(const struct partition *p);
/* The least start of the living replicas' logs, a future log of this one among them. */
int64_t partition_low_watermark(const struct partition *p);
/* High watermark and everybody who waits for it; call it after whatever may move it. */
void partition_advance(struct partition *p);
/* Something has changed: the next round of retention looks at it. */
void partition_retain_soon(struct partition *p);
/* Something was appended: flush.messages. While flush_wanted is set a follower does not fetch on.
 */
void partition_flush_if_wanted(struct partition *p);
/* Everything that waits is answered: the partition is going away, or its log went offline. code is
 * a wire code for appends; fetches are woken and see for themselves. */
void partition_release_waiters(struct partition *p, int16_t code);

/* It does not lead any more, or has no log: what is known of followers goes. */
void partition_forget_isr(struct partition *p);

/* partition_open.c: opens or makes the log. On failure the partition is offline. */
void partition_open(struct partition *p, const struct image_partition *ip);
void partition_reopen_cb(struct timer *t); /* those that found no space; user: the manager */
void partition_forget_unopened(struct partition *p);

/* partition_manager.c: follows the leader that the state names, if it is another broker. */
void partition_look_at_leader(struct partition *p);
/* partition_manager.c: frees one that nothing refers to any more. */
void partition_free(struct partition *p);

/* A call of the log failed: says so (rate-limited) and, if the error is of the kind that ends a
 * log, takes the partition offline. */
void partition_note_error(struct partition *p, int err, const char *what);

/* Wire code of a question to the leader: 0, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH,
 * UNKNOWN_LEADER_EPOCH, KAFKA_STORAGE_ERROR. epoch -1: the asker does not know one. p NULL: this
 * broker has no such replica (NOT_LEADER_OR_FOLLOWER: the image named us a moment ago, or never
 * did). */
int16_t partition_check_leader(const struct partition *p, int32_t epoch);
/* The same of a question that any replica may answer. */
int16_t partition_check_replica(const struct partition *p, int32_t epoch);

static inline int64_t partition_high_watermark(const struct partition *p)
{
    return plog_high_watermark(p->log);
}

#endif
