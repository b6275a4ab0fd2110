/* KIP-951: who leads a partition that is not here, and where it can be reached, for the answers of
 * Produce and Fetch. Hints collect the endpoints of the leaders named in one answer, each once, on
 * the listener that was asked. */
#ifndef BROKER_API_LEADER_HINT_H
#define BROKER_API_LEADER_HINT_H

#include "broker/request.h"

struct image_topic;

struct leader_hint {
    int32_t id;
    struct bytes host; /* in the image that the request holds */
    int32_t port;
    struct bytes rack;
};

enum { LEADER_HINTS_MAX = 64 };

struct leader_hints { /* zero-initialise, set r */
    struct request *r;
    struct leader_hint v[LEADER_HINTS_MAX];
    uint32_t n;
};

/* Sets both to what the request's image says; leaves them alone if it says nothing. */
void leader_hint_find(struct leader_hints *h, const struct image_topic *t, int32_t partition,
                      int32_t *leader, int32_t *epoch);

#endif
