/* What carries the pure group coordinators (broker/group/coordinator.h) on one data shard: each
 * partition of __consumer_offsets that this broker leads and whose home is here has one.
 *
 *     the partition begins to be led -> LOADING: its log is replayed, a slice a turn
 *       -> everything is below the high watermark -> ACTIVE: questions are steps
 *     it is not led any more, is deleted, its directory failed, the node stops
 *       -> writes under way have come back -> who waits gets NOT_COORDINATOR -> gone
 *
 * A new leader epoch of a partition that is led all the time changes nothing, as in Kafka. The
 * partition tells of all this by group_host_look and group_host_advanced.
 *
 * Effects. The records of all writes of a turn for one partition become one batch (several, if it
 * would pass the topic's max.message.bytes), which goes the way of every append (append.h) with
 * acks=-1; when it is home the core hears GROUP_WRITTEN for every write in it, in the order they
 * were made. Answers go to group_route.c, lines to the node's log.
 *
 * Failure modes. A log that cannot be read: a line, another try after a while, and NOT_COORDINATOR
 * meanwhile. A write that fails (full disk): the core hears the code; the next ones are tried. A
 * write that was not acknowledged in time (offsets.commit.timeout.ms) may still be committed, so
 * nobody knows what stands in the log: the coordinator is loaded anew. A write larger than a batch
 * may be comes back with MESSAGE_TOO_LARGE.
 *
 * Memory. group.coordinator.memory.bytes is split evenly between the shards; the coordinators of a
 * shard share what it has, whoever needs it. Loading is not refused: what the log holds is held.
 *
 * On close: group_host_stop, then the partitions take their coordinators down. Shard: its own. */
#ifndef BROKER_GROUP_HOST_H
#define BROKER_GROUP_HOST_H

#include "base/buf.h"
#include "broker/append.h"
#include "broker/group/coordinator.h"
#include "broker/partition.h"
#include "proto/record_batch.h"

#define GROUP_TOPIC "__consumer_offsets"

struct image_delta;

struct group_batch_op {
    struct group_op *op;
    int32_t first; /* its first record in the batch */
};

/* Some writes of one coordinator on their way through the log. */
struct group_batch {
    struct list node; /* in the coordinator's `out`, or in the host's free ones */
    struct group_coord *c;
    struct append_msg msg;
    struct append_item item;
    struct batch_builder builder;
    struct buf bytes;
    struct group_batch_op *ops;
    uint32_t n;
    uint32_t cap;
    bool sent;    /* to the log */
    bool home;    /* came back: code says how */
    int16_t code; /* wire code */
};

/* A topic that was deleted while a coordinator was loading. */
struct group_gone {
    struct list node;
    struct uuid id;
    size_t len;
    uint8_t name[];
};

struct group_load {
    struct list node; /* in the host's `loading` */
    int64_t next;     /* offset to be read */
    int64_t started_ms;
    uint64_t batches;
    struct buf bytes;           /* of the log */
    struct bytes rest;          /* of it: batches to come */
    struct record_reader batch; /* of the batch that is being replayed */
    bool in_batch;
    bool at_end;      /* waits for the high watermark only */
    struct list gone; /* group_gone */
};

enum group_coord_state {
    GROUP_COORD_LOADING,
    GROUP_COORD_ACTIVE,
    GROUP_COORD_UNKNOWN, /* a write timed out: loaded anew when the others are home */
    GROUP_COORD_FAILED,  /* the log could not be read: tried again */
    GROUP_COORD_CLOSING,
};

struct group_coord {
    struct list all; /* in the host's */
    struct group_host *host;
    struct partition *part;
    struct group_config config;
    struct group_coordinator *core; /* NULL: FAILED */
    enum group_coord_state state;
    struct group_load load;   /* LOADING */
    uint64_t bytes;           /* of the core, as the host has counted it */
    int64_t retry_ms;         /* FAILED */
    int64_t expire_ms;        /* ACTIVE: next GROUP_EXPIRE */
    struct group_batch *open; /* collects the writes of this turn; NULL: none yet */
    struct list dirty;        /* in the host's, while `open` is set */
    struct list out;          /* group_batch: under way, in order */
};

struct group_host {
    struct node_shard *ns;
    struct group_config config; /* what all coordinators have in common */
    uint64_t memory_max;        /* of this shard's coordinators together */
    uint64_t bytes;             /* they hold */
    struct list all;            /* group_coord */
    struct list loading;        /* group_coord: its load.node */
    struct list dirty;          /* group_coord with open batches */
    struct list free_batches;
    unsigned free_n;
    struct task send_task;   /* end of turn: the open batches go */
    struct task load_task;   /* end of turn: sets ... */
    struct timer load_timer; /* ... for a slice of loading in the next */
    struct timer timer;      /* deadlines of the cores, expiry, retries */
    struct group_effects fx; /* of the newest steps */
    unsigned held;           /* > 0: effects are collected, not carried out yet */
    bool stepping;           /* inside group_coordinator_step */
    bool stopping;           /* questions get COORDINATOR_NOT_AVAILABLE */
    struct log_limit lines[GROUP_LINE_KINDS];
    struct log_limit failures; /* for lines about logs */
};

struct group_host *group_host_new(struct node_shard *ns);
void group_host_free(struct group_host *h); /* no partition has a coordinator any more */
/* The node stops: no new questions. The coordinators end with their partitions. */
void group_host_stop(struct group_host *h);

/* ---- from the partitions ---- */

/* This broker leads the partition, or does not any more; its log came or went. Called after who
 * waits at the partition has been answered. */
void group_host_look(struct partition *p);
void group_host_advanced(struct partition *p); /* the high watermark; p->group is set */
/* Topics that are gone; after the partitions have applied the delta. */
void group_host_apply(struct group_host *h, const struct image_delta *d);

/* ---- questions; p may be NULL ---- */

/* 0, or why its coordinator cannot be asked. */
int16_t group_host_code(const struct group_host *h, const struct partition *p);
/* p's coordinator can be asked. Fills ask->fresh. True: the ask waits, and the core has copied what
 * it needs of the request. False: it was answered (it may be freed already). */
bool group_host_ask(struct partition *p, enum group_event_kind kind, struct group_ask *ask);
const struct group_coordinator *group_host_core(const struct partition *p);

/* ---- group_host.c and group_load.c ---- */

void group_load_start(struct group_coord *c);
void group_load_stop(struct group_coord *c); /* forgets what it read; no harm if it does not load */
void group_load_advanced(struct group_coord *c);
void group_load_timer_cb(struct timer *t); /* user: the host */
void group_load_task_cb(struct task *t);
void group_host_loaded(struct group_coord *c);
void group_host_load_failed(struct group_coord *c, const char *why);

#endif
