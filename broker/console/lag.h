/* How a group's lag goes, from its last looks. A consumer commits every few seconds, so its lag is
 * a saw: what rises must do so at the teeth's feet, the least lag of the younger half of what is
 * looked at against the least of the older half. Pure. */
#ifndef BROKER_CONSOLE_LAG_H
#define BROKER_CONSOLE_LAG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LAG_LOOKS = 32,
    LAG_TREND_MS = 30000,       /* what is looked at */
    LAG_TREND_LEAST_MS = 18000, /* of it must be there to say anything */
};

struct lag_look {
    int64_t at_ms;
    int64_t lag;
    int64_t committed; /* the sum of the group's offsets */
};

struct lag_history { /* zero-initialise */
    struct lag_look v[LAG_LOOKS];
    uint64_t n; /* ever taken: the newest is at n - 1, modulo LAG_LOOKS */
};

struct lag_trend {
    bool grows;
    bool stands; /* there is a lag all the time, and nothing is committed */
};

void lag_take(struct lag_history *h, struct lag_look look);
/* As of the newest look. */
struct lag_trend lag_trend(const struct lag_history *h);

#endif
