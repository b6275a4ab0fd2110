/* The timers of a shard: a binary heap of pointers by deadline. Timers with the same deadline fire
 * in an order that depends only on what was set and canceled before, never on addresses.
 *
 * A turn fires what was due when its run began. One that is set while it runs waits for the next
 * turn, or a timer that sets itself to now would keep the shard for ever; its deadline is then not
 * before this run's now, or it would be the first again and again and keep the others waiting. */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/shard_private.h"

static void place(struct shard *sh, uint32_t at, struct timer *t)
{
    sh->heap[at - 1] = t;
    t->heap_index = at;
}

/* Of those with one deadline the one that was set in an earlier run. */
static bool before(const struct timer *a, const struct timer *b)
{
    return a->deadline_ms != b->deadline_ms ? a->deadline_ms < b->deadline_ms
                                            : (int32_t)(a->run - b->run) < 0;
}

static void sift_up(struct shard *sh, uint32_t at, struct timer *t)
{
    while (at > 1 && before(t, sh->heap[at / 2 - 1])) {
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
        if (child < sh->heap_count && before(sh->heap[child], sh->heap[child - 1])) {
            child++;
        }
        if (!before(sh->heap[child - 1], t)) {
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
    t->deadline_ms = deadline_ms < sh->timers_now_ms ? sh->timers_now_ms : deadline_ms;
    t->run = sh->timer_run;
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
    if (at > 1 && before(last, sh->heap[at / 2 - 1])) {
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
    sh->timer_run++;
    sh->timers_now_ms = now_ms;
    while (sh->heap_count > 0) {
        struct timer *t = sh->heap[0];
        /* those that were set in this run stand behind all others that are due */
        if (t->deadline_ms > now_ms || t->run == sh->timer_run) {
            break;
        }
        timer_cancel(sh, t);
        t->cb(t);
    }
    sh->timers_now_ms = 0;
}
