#include "broker/slow_requests.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_US = 1000 }; /* faster than this is never slow */

static void turn_over(struct slow_requests *s, int64_t now_us)
{
    int64_t age = now_us - s->began_us;
    if (age < (int64_t)SLOW_REQUESTS_MS * 1000 && s->began_us != 0) {
        return;
    }
    s->before_n = age < 2 * (int64_t)SLOW_REQUESTS_MS * 1000 ? s->now_n : 0;
    memcpy(s->before, s->now, s->before_n * sizeof s->now[0]);
    s->now_n = 0;
    s->began_us = now_us;
    s->least_us = LEAST_US;
}

static struct slow_request *fastest(struct slow_requests *s)
{
    struct slow_request *least = &s->now[0];
    for (unsigned i = 1; i < s->now_n; i++) {
        least = s->now[i].rank_us < least->rank_us ? &s->now[i] : least;
    }
    return least;
}

struct slow_request *slow_requests_add(struct slow_requests *s, int64_t rank_us, int64_t now_us)
{
    turn_over(s, now_us);
    if (rank_us <= s->least_us) {
        return NULL;
    }
    struct slow_request *r = s->now_n < SLOW_REQUESTS_MAX ? &s->now[s->now_n++] : fastest(s);
    *r = (struct slow_request){.rank_us = rank_us};
    for (unsigned i = 0; i < STAGES; i++) {
        r->stages_us[i] = -1;
    }
    if (s->now_n == SLOW_REQUESTS_MAX) {
        s->least_us = fastest(s)->rank_us;
    }
    return r;
}

struct slow_request *slow_requests_find(struct slow_requests *s, uint64_t conn, int64_t received_us)
{
    for (unsigned i = 0; i < s->now_n; i++) {
        if (s->now[i].conn == conn && s->now[i].received_us == received_us) {
            return &s->now[i];
        }
    }
    return NULL;
}

static int slower_first(const void *a, const void *b)
{
    const struct slow_request *x = a, *y = b;
    return (x->rank_us < y->rank_us) - (x->rank_us > y->rank_us);
}

unsigned slow_requests_copy(const struct slow_requests *s, int64_t now_us, struct slow_request *out)
{
    struct slow_request all[2 * SLOW_REQUESTS_MAX];
    unsigned n = 0;
    int64_t age_max_us = 2 * (int64_t)SLOW_REQUESTS_MS * 1000;
    for (unsigned i = 0; i < s->now_n; i++) {
        all[n++] = s->now[i];
    }
    for (unsigned i = 0; i < s->before_n; i++) {
        all[n++] = s->before[i];
    }
    qsort(all, n, sizeof all[0], slower_first);
    unsigned kept = 0;
    for (unsigned i = 0; i < n && kept < SLOW_REQUESTS_MAX; i++) {
        if (now_us - all[i].received_us < age_max_us + all[i].rank_us) {
            out[kept++] = all[i];
        }
    }
    return kept;
}
