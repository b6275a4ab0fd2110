/* Appending on other shards: a connection's shard (or a coordinator) makes one append_msg per home
 * shard, with the batches for partitions there; the home shard queues them, appends all of its
 * turn with one write per log, waits for the high watermark where acks=-1, and sends the message
 * back. Batches of one maker for one partition are appended in the order they were sent.
 *
 * The bytes belong to the maker and are patched in place by the home shard; they stay until the
 * message is home, and it always comes home: with a result per item. After timeout_ms what still
 * waits for acknowledgement comes back as REQUEST_TIMED_OUT (the batch stays in the log). */
#ifndef BROKER_APPEND_H
#define BROKER_APPEND_H

#include "base/list.h"
#include "base/uuid.h"
#include "broker/node.h"
#include "storage/log.h"

struct append_msg;
struct partition;

struct append_item {
    struct list node; /* home: in the partition's queue, ack_wait or flush_wait */
    struct append_msg *owner;
    struct partition *part; /* home */
    bool timed;             /* home: its message's deadline runs */
    /* in */
    struct uuid topic_id;
    int32_t index;
    struct plog_batch batch; /* data, len in; result and offsets out */
    int16_t refused;         /* the maker refuses it with this code: only the log start is asked */
    void *user;              /* the maker's */
    /* out */
    int16_t error;        /* wire code; 0: appended (and acknowledged, for acks=-1) */
    int64_t log_start;    /* -1 unknown */
    int32_t leader;       /* with NOT_LEADER_OR_FOLLOWER: who leads; -1 unknown */
    int32_t leader_epoch; /* -1 unknown */
};

struct append_msg {
    struct msg m;
    /* in */
    struct append_item *items;
    uint32_t n;
    int16_t acks; /* 0, 1, -1 */
    enum plog_origin origin;
    int32_t timeout_ms;
    int64_t image_offset; /* the version by which the maker chose the home shard */
    unsigned maker;       /* shard */
    void (*done)(struct node_shard *ns, struct append_msg *a); /* on the maker's shard */
    void *user;
    /* home */
    bool returning;
    uint32_t pending;
    struct timer timer; /* one deadline for all items */
    int64_t waits_us;   /* others are waited for since then; 0: they were not */
};

/* items, n, acks, origin, timeout_ms, done, user are set by the caller. done may run inside the
 * call when home is the same shard and nothing has to be appended. */
void append_send(struct node_shard *ns, unsigned home, struct append_msg *a);
void append_on_msg(struct node_shard *ns, struct msg *m); /* MSG_APPEND */
/* partition.c: an item has got its result. */
void append_item_done(struct append_item *it);
/* partition.c: the item failed with this code. append_item_done is still to be called. */
void append_item_refuse(struct append_item *it, int16_t code);
/* partition.c: an appended item has to wait for its acknowledgement: its message's deadline runs
 * from the first such item on. */
void append_start_timeout(struct append_item *it);

#endif
