/* Who follows the metadata log without being a voter: brokers and other controllers, as their
 * fetches say. What only the active controller knows, and forgets when it stops leading. Pure:
 * times come from the caller (ms of the monotonic clock).
 *
 * It also tells two processes under one id, which a fetch does not: they follow from two
 * directories, or one asks for a registration that it had until another one replaced it (a copied
 * disk has the other's directory id).
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_OBSERVERS_H
#define CONTROLLER_OBSERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

enum { OBSERVERS_MAX = 256, OBSERVER_GONE_MS = 300000 };

struct observer {
    int32_t id;
    struct uuid directory_id; /* of the last fetch */
    int64_t seen_ms;          /* that one */
    struct uuid other_id;     /* the last fetch's from another directory; zero: none */
    int64_t other_ms;
    struct uuid replaced; /* incarnation whose registration another one took over; zero: none */
    int64_t end_offset;   /* it has fetched up to here; -1 nothing yet */
    int64_t fetched_ms;   /* wall clock, as the next one; the owner's, as end_offset */
    int64_t caught_up_ms;
};

struct observers {
    struct observer v[OBSERVERS_MAX];
    size_t n;
};

void observers_clear(struct observers *o);
/* It has fetched now. Those that went away are forgotten; NULL: there are too many. */
struct observer *observers_touch(struct observers *o, int32_t id, struct uuid directory,
                                 int64_t now_ms);
/* May a process take over a registration of its id? Not while two of them were heard of within
 * session_ms, and not if it is the one that was replaced before. True is noted: it does so. */
bool observers_may_replace(struct observers *o, int32_t id, struct uuid registered,
                           struct uuid incarnation, int64_t now_ms, int64_t session_ms);

#endif
