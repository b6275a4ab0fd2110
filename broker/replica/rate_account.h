/* Bytes that all shards of a broker together may move a second (a throttle of KIP-73): each shard
 * tells main what it has moved, and hears how long it has to wait.
 *
 *     rate_account_add -> a call to main, one at a time -> over the rate: over_rate for a while,
 *       at most a second (the rate may be changed meanwhile), then main is asked again
 *
 * A piece or two may go over the rate before it is noticed, and are made up for by waiting.
 *
 * Shard: its own; the window that counts is main's. */
#ifndef BROKER_REPLICA_RATE_ACCOUNT_H
#define BROKER_REPLICA_RATE_ACCOUNT_H

#include "broker/call.h"
#include "broker/node.h"
#include "broker/replica/rate_window.h"

struct rate_account {
    struct node_shard *ns;
    const char *setting;                                    /* the broker's rate */
    struct rate_window *(*window)(struct node_shard *main); /* where main counts */
    void (*changed)(struct rate_account *a);                /* over_rate has; may be NULL */
    void *user;
    bool over_rate;
    /* its own */
    bool stopped;
    bool asking;
    uint64_t bytes; /* moved, not told to main yet */
    uint64_t told;
    int64_t wait_ms;
    struct timer timer;
    struct call call;
};

/* The fields before over_rate are set. */
void rate_account_init(struct rate_account *a);
void rate_account_add(struct rate_account *a, uint64_t bytes);
void rate_account_stop(struct rate_account *a);
static inline bool rate_account_busy(const struct rate_account *a)
{
    return a->asking;
}

#endif
