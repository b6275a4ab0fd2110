/* Bytes a second over the last replication.quota.window.num windows of
 * replication.quota.window.size.seconds each, as Kafka's replication quotas count them: all that
 * was recorded in windows that still count, over the time since the oldest of them began (at least
 * one window). Pure.
 *
 * Shard: its owner's. Times: ms of the monotonic clock. */
#ifndef BROKER_REPLICA_RATE_WINDOW_H
#define BROKER_REPLICA_RATE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct rate_slot {
    int64_t start_ms;
    uint64_t bytes;
};

struct rate_window {
    int64_t slot_ms;
    uint32_t slots;      /* that count, with the present one */
    struct rate_slot *v; /* a ring */
    uint32_t first;
    uint32_t n;
};

void rate_window_init(struct rate_window *w, uint32_t slots, int64_t slot_ms);
void rate_window_free(struct rate_window *w);
void rate_window_record(struct rate_window *w, uint64_t bytes, int64_t now_ms);
/* How long until the rate is `limit` bytes a second or less, if nothing comes meanwhile; 0: it is
 * so now. */
int64_t rate_window_excess_ms(struct rate_window *w, int64_t limit, int64_t now_ms);

#endif
