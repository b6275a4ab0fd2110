/* A binary heap of events by (time, order of setting). */
#include "sim/sim_clock.h"

#include "base/assert.h"
#include "base/mem.h"

/* Not zero: code that takes 0 for "never" would go unnoticed. */
enum { FIRST_US = 1000000 };

void sim_clock_init(struct sim_clock *c)
{
    *c = (struct sim_clock){.now_us = FIRST_US};
}

void sim_clock_free(struct sim_clock *c)
{
    mem_free(c->heap);
    *c = (struct sim_clock){0};
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void place(struct sim_clock *c, uint32_t i, struct sim_event *ev)
{
    c->heap[i] = ev;
    ev->heap_index = i + 1;
}

static void sift_up(struct sim_clock *c, uint32_t i)
{
    struct sim_event *ev = c->heap[i];
    while (i > 0 && before(ev, c->heap[(i - 1) / 2])) {
        place(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(c, i, ev);
}

static void sift_down(struct sim_clock *c, uint32_t i)
{
    struct sim_event *ev = c->heap[i];
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= c->count) {
            break;
        }
        if (child + 1 < c->count && before(c->heap[child + 1], c->heap[child])) {
            child++;
        }
        if (!before(c->heap[child], ev)) {
            break;
        }
        place(c, i, c->heap[child]);
        i = child;
    }
    place(c, i, ev);
}

void sim_clock_cancel(struct sim_clock *c, struct sim_event *ev)
{
    if (ev->heap_index == 0) {
        return;
    }
    uint32_t i = ev->heap_index - 1;
    ASSERT(i < c->count && c->heap[i] == ev);
    ev->heap_index = 0;
    struct sim_event *last = c->heap[--c->count];
    if (last == ev) {
        return;
    }
    place(c, i, last);
    sift_up(c, i);
    sift_down(c, last->heap_index - 1);
}

void sim_clock_at(struct sim_clock *c, struct sim_event *ev, int64_t at_us)
{
    ASSERT(ev->fn != NULL);
    sim_clock_cancel(c, ev);
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->heap = mem_realloc(c->heap, c->cap * sizeof(*c->heap));
    }
    ev->at_us = at_us < c->now_us ? c->now_us : at_us;
    ev->seq = ++c->seq;
    place(c, c->count, ev);
    c->count++;
    sift_up(c, c->count - 1);
}

int64_t sim_clock_next(const struct sim_clock *c)
{
    return c->count ? c->heap[0]->at_us : INT64_MAX;
}

void sim_clock_run_due(struct sim_clock *c)
{
    while (c->count && c->heap[0]->at_us <= c->now_us) {
        struct sim_event *ev = c->heap[0];
        sim_clock_cancel(c, ev);
        ev->fn(ev);
    }
}
