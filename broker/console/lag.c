#include "broker/console/lag.h"

#include <stddef.h>

/* More than so many, a part of what there was, and a part of the saw's height: looks meet the feet
 * of its teeth by chance. */
enum { GROWS_RECORDS = 10, GROWS_SHARE = 20, GROWS_TOOTH = 4 };

void lag_take(struct lag_history *h, struct lag_look look)
{
    h->v[h->n++ % LAG_LOOKS] = look;
}

/* back: how many looks before the newest. */
static const struct lag_look *look(const struct lag_history *h, uint64_t back)
{
    return &h->v[(h->n - 1 - back) % LAG_LOOKS];
}

struct lag_trend lag_trend(const struct lag_history *h)
{
    uint64_t kept = h->n < LAG_LOOKS ? h->n : LAG_LOOKS;
    uint64_t n = 0;
    int64_t least_old = INT64_MAX;
    int64_t least_young = INT64_MAX;
    int64_t most_old = 0;
    bool lags = true;
    while (n < kept && look(h, 0)->at_ms - look(h, n)->at_ms <= LAG_TREND_MS) {
        n++;
    }
    if (n == 0 || look(h, 0)->at_ms - look(h, n - 1)->at_ms < LAG_TREND_LEAST_MS) {
        return (struct lag_trend){false, false};
    }
    const struct lag_look *oldest = look(h, n - 1);
    const struct lag_look *newest = look(h, 0);
    for (uint64_t i = 0; i < n; i++) {
        const struct lag_look *l = look(h, i);
        bool old = l->at_ms - oldest->at_ms < newest->at_ms - l->at_ms;
        int64_t *least = old ? &least_old : &least_young;
        *least = l->lag < *least ? l->lag : *least;
        most_old = old && l->lag > most_old ? l->lag : most_old;
        lags = lags && l->lag > 0;
    }
    return (struct lag_trend){
        .grows = least_young - least_old >
                 GROWS_RECORDS + least_old / GROWS_SHARE + (most_old - least_old) / GROWS_TOOTH,
        .stands = lags && newest->committed == oldest->committed,
    };
}
