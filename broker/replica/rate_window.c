#include "broker/replica/rate_window.h"

#include "base/assert.h"
#include "base/mem.h"

void rate_window_init(struct rate_window *w, uint32_t slots, int64_t slot_ms)
{
    ASSERT(slots > 0 && slot_ms > 0);
    *w = (struct rate_window){.slot_ms = slot_ms, .slots = slots};
    w->v = mem_zalloc(slots * sizeof *w->v);
}

void rate_window_free(struct rate_window *w)
{
    mem_free(w->v);
    *w = (struct rate_window){0};
}

static struct rate_slot *slot(const struct rate_window *w, uint32_t i)
{
    return &w->v[(w->first + i) % w->slots];
}

/* When it does not count any more. */
static int64_t expires_ms(const struct rate_window *w, const struct rate_slot *s)
{
    return s->start_ms + (int64_t)w->slots * w->slot_ms;
}

static void expire(struct rate_window *w, int64_t now_ms)
{
    while (w->n > 0 && now_ms >= expires_ms(w, slot(w, 0))) {
        w->first = (w->first + 1) % w->slots;
        w->n--;
    }
}

void rate_window_record(struct rate_window *w, uint64_t bytes, int64_t now_ms)
{
    expire(w, now_ms);
    if (w->n == 0 || now_ms >= slot(w, w->n - 1)->start_ms + w->slot_ms) {
        ASSERT(w->n < w->slots); /* the oldest one is over before there are too many */
        *slot(w, w->n++) = (struct rate_slot){.start_ms = now_ms};
    }
    slot(w, w->n - 1)->bytes += bytes;
}

/* The time from which on the slots from the i-th on are within the limit, if they are all. */
static int64_t within_ms(const struct rate_window *w, uint32_t i, int64_t limit)
{
    uint64_t bytes = 0;
    int64_t start = slot(w, i)->start_ms;
    for (uint32_t k = i; k < w->n; k++) {
        bytes += slot(w, k)->bytes;
    }
    if (bytes == 0) {
        return start;
    }
    if (limit <= 0) {
        return INT64_MAX;
    }
    double ms = (double)bytes * 1000 / (double)limit;
    if (ms <= (double)w->slot_ms) {
        return start; /* at least one window is counted */
    }
    return ms > 1e15 ? INT64_MAX : start + (int64_t)ms + 1;
}

int64_t rate_window_excess_ms(struct rate_window *w, int64_t limit, int64_t now_ms)
{
    expire(w, now_ms);
    int64_t from = now_ms;
    for (uint32_t i = 0; i < w->n; i++) {
        int64_t within = within_ms(w, i, limit);
        int64_t over = expires_ms(w, slot(w, i)); /* then the next one is the oldest */
        if (within <= from) {
            return from - now_ms;
        }
        if (within < over) {
            return within - now_ms;
        }
        from = over;
    }
    return from - now_ms;
}
