/* Due times of one coordinator: a binary heap of timers that are fields of their owners, each of
 * which knows its place, so that moving or cancelling one costs a logarithm and no allocation.
 *
 * Equal due times fire in the order of the heap, which depends on the steps alone: a replay of the
 * same events fires the same way. The host asks group_coordinator_deadline after each step. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/group/group_private.h"

static void put(struct group_coordinator *c, uint32_t i, struct group_timer *t)
{
    c->heap[i] = t;
    t->at = i + 1;
}

static void sift_up(struct group_coordinator *c, uint32_t i, struct group_timer *t)
{
    while (i > 0 && c->heap[(i - 1) / 2]->due_ms > t->due_ms) {
        put(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(c, i, t);
}

static void sift_down(struct group_coordinator *c, uint32_t i, struct group_timer *t)
{
    for (uint32_t kid = 2 * i + 1; kid < c->heap_n; i = kid, kid = 2 * i + 1) {
        if (kid + 1 < c->heap_n && c->heap[kid + 1]->due_ms < c->heap[kid]->due_ms) {
            kid++;
        }
        if (c->heap[kid]->due_ms >= t->due_ms) {
            break;
        }
        put(c, i, c->heap[kid]);
    }
    put(c, i, t);
}

static void settle(struct group_coordinator *c, uint32_t i, struct group_timer *t)
{
    if (i > 0 && c->heap[(i - 1) / 2]->due_ms > t->due_ms) {
        sift_up(c, i, t);
    } else {
        sift_down(c, i, t);
    }
}

void group_timer_set(struct group_coordinator *c, struct group_timer *t, int64_t due_ms)
{
    ASSERT(t->fire != NULL);
    t->due_ms = due_ms;
    if (t->at > 0) {
        ASSERT(c->heap[t->at - 1] == t);
        settle(c, t->at - 1, t);
        return;
    }
    if (c->heap_n == c->heap_cap) {
        uint32_t cap = c->heap_cap ? c->heap_cap * 2 : 64;
        c->heap = mem_realloc(c->heap, cap * sizeof *c->heap);
        group_charge(c, (int64_t)((cap - c->heap_cap) * sizeof *c->heap));
        c->heap_cap = cap;
    }
    sift_up(c, c->heap_n++, t);
}

void group_timer_cancel(struct group_coordinator *c, struct group_timer *t)
{
    if (t->at == 0) {
        return;
    }
    uint32_t i = t->at - 1;
    ASSERT(i < c->heap_n && c->heap[i] == t);
    t->at = 0;
    struct group_timer *last = c->heap[--c->heap_n];
    if (last != t) {
        settle(c, i, last);
    }
}

int64_t group_coordinator_deadline(const struct group_coordinator *c)
{
    int64_t timer_ms = c->heap_n ? c->heap[0]->due_ms : INT64_MAX;
    return timer_ms < c->slice_ms ? timer_ms : c->slice_ms;
}

/* GROUP_TICK. A timer that is set again inside its own fire waits for the next tick unless it is
 * due already; each fires at most once a tick, so the loop ends. */
void group_timers_tick(struct group_coordinator *c, const struct group_event *ev,
                       struct group_effects *fx)
{
    for (uint32_t left = c->heap_n; left > 0 && c->heap_n > 0; left--) {
        struct group_timer *t = c->heap[0];
        if (t->due_ms > ev->now_ms) {
            break;
        }
        group_timer_cancel(c, t);
        t->fire(c, t, ev, fx);
    }
}
