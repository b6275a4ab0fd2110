/* KIP-951: who leads a partition that is not here, and where it can be reached, for the answers of
 * Produce and Fetch. Hints collect the endpoints of the leaders named in one answer, each once, on
 * the listener that was asked. */
#ifndef BROKER_API_LEADER_HINT_H
#define BROKER_API_LEADER_HINT_H

#include "broker/request.h"

struct leader_hint {
    int32_t id;
    struct bytes host; /* in the shard's image: encode the answer in the same turn */
    int32_t port;
    struct bytes rack;
};

enum { LEADER_HINTS_MAX = 64 };

struct leader_hints { /* zero-initialise, set r */
    struct request *r;
    struct leader_hint v[LEADER_HINTS_MAX];
    uint32_t n;
};

/* Who leads, as far as the partition here (known_epoch -1: it said nothing) and the newest metadata
 * of the shard know: what the request's own image says may have changed while it waited. Leaves
 * both alone if nothing is known. */
void leader_hint_find(struct leader_hints *h, struct uuid topic_id, int32_t partition,
                      int32_t known_leader, int32_t known_epoch, int32_t *leader, int32_t *epoch);

#endif
