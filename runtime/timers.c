/* The timers of a shard: a binary heap of pointers by deadline. Timers with the same deadline fire
 * in an order that depends only on what was set and canceled before, never on addresses. */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/shard_private.h"

static void place(struct shard *sh, uint32_t at, struct timer *t)
{
    sh->heap[at - 1] = t;
    t->heap_index = at;
}

static void sift_up(struct shard *sh, uint32_t at, struct timer *t)
{
    while (at > 1 && sh->heap[at / 2 - 1]->deadline_ms > t->deadline_ms) {
        place(sh, at, sh->heap[at / 2 - 1]);
        at /= 2;
    }
    place(sh, at, t);
}

static void sift_down(struct shard *sh, uint32_t at, struct timer *t)
{
    for (;;) {
        uint32_t child = at * 2;
        if (child > sh->heap_count) {
            break;
        }
        if (child < sh->heap_count &&
            sh->heap[child]->deadline_ms < sh->heap[child - 1]->deadline_ms) {
            child++;
        }
        if (sh->heap[child - 1]->deadline_ms >= t->deadline_ms) {
            break;
        }
        place(sh, at, sh->heap[child - 1]);
        at = child;
    }
    place(sh, at, t);
}

void timer_set(struct shard *sh, struct timer *t, int64_t deadline_ms)
{
    ASSERT_ON_SHARD(sh);
    ASSERT(t->cb != NULL);
    timer_cancel(sh, t);
    if (sh->heap_count == sh->heap_cap) {
        sh->heap_cap = sh->heap_cap ? sh->heap_cap * 2 : 64;
        sh->heap = mem_realloc(sh->heap, sh->heap_cap * sizeof *sh->heap);
    }
    t->deadline_ms = deadline_ms;
    sift_up(sh, ++sh->heap_count, t);
}

void timer_cancel(struct shard *sh, struct timer *t)
{
    uint32_t at = t->heap_index;
    struct timer *last;
    ASSERT_ON_SHARD(sh);
    if (at == 0) {
        return;
    }
    ASSERT(at <= sh->heap_count && sh->heap[at - 1] == t);
    t->heap_index = 0;
    last = sh->heap[--sh->heap_count];
    if (last == t) {
        return;
    }
    if (at > 1 && sh->heap[at / 2 - 1]->deadline_ms > last->deadline_ms) {
        sift_up(sh, at, last);
    } else {
        sift_down(sh, at, last);
    }
}

void timers_run(struct shard *sh)
{
    int64_t now_ms;
    if (sh->heap_count == 0) {
        return;
    }
    now_ms = shard_now_ms(sh);
    /* no more than there are now: a timer that sets itself to "now" waits for the next turn */
    for (uint32_t n = sh->heap_count; n > 0 && sh->heap_count > 0; n--) {
        struct timer *t = sh->heap[0];
        if (t->deadline_ms > now_ms) {
            break;
        }
        timer_cancel(sh, t);
        t->cb(t);
    }
}
