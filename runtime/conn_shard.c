/* What a shard keeps for all its connections: the work at the end of a turn, the budget's
 * accounts, time-outs.
 *
 * Time-outs cost nothing per connection: connections with the same limits stand in lists by the
 * time of their last activity (idle) and of the last progress of an unfinished frame (begun), so
 * only heads are looked at, by one timer that is set for the first possible expiry. */
#include <malloc.h>
#include <stdio.h>

#include "base/mem.h"
#include "runtime/conn_private.h"
#include "runtime/shard_private.h"

enum {
    TRIM_MS = 5000,
    TRIM_WORTH = 1 << 20,
    EXPIRE_MAX = 256, /* closed in one turn: a flood that runs out at once stalls nobody */
};

static void expiry_cb(struct timer *t);
static void trim_cb(struct timer *t);
static void task_run(struct task *t);

struct conn_shard *conn_shard_get(struct shard *sh)
{
    struct conn_shard *cs = sh->conns;
    if (cs != NULL) {
        return cs;
    }
    cs = MEM_NEW(struct conn_shard);
    cs->shard = sh;
    list_init(&cs->conns);
    list_init(&cs->classes);
    list_init(&cs->dirty);
    list_init(&cs->dead);
    list_init(&cs->canceled);
    list_init(&cs->starved);
    list_init(&cs->held);
    task_init(&cs->task, task_run, cs);
    cs->expiry.cb = expiry_cb;
    cs->expiry.user = cs;
    cs->trim.cb = trim_cb;
    cs->trim.user = cs;
    cs->patience.cb = conn_patience_cb;
    cs->patience.user = cs;
    cs->pool.max = (size_t)sh->budget.limit / 2;
    cs->in = mem_alloc(CONN_SCRATCH);
    cs->out = mem_alloc(CONN_SCRATCH);
    sh->conns = cs;
    return cs;
}

struct conn_class *conn_class_get(struct conn_shard *cs, const struct conn_limits *limits)
{
    struct conn_class *k;
    list_for_each (it, &cs->classes) { /* one per listener */
        k = LIST_ENTRY(it, struct conn_class, node);
        if (k->limits == limits) {
            return k;
        }
    }
    k = MEM_NEW(struct conn_class);
    k->limits = limits;
    list_init(&k->idle);
    list_init(&k->begun);
    list_push_back(&cs->classes, &k->node);
    return k;
}

/* ---- the end of the turn ---- */

void conn_shard_wish(struct conn_shard *cs)
{
    shard_defer(cs->shard, &cs->task);
}

static void bury(struct conn_shard *cs)
{
    struct list *n;
    while ((n = list_pop_front(&cs->canceled)) != NULL) {
        struct req *r = LIST_ENTRY(n, struct req, base.node);
        r->ops->on_cancel(&r->base);
    }
    while ((n = list_pop_front(&cs->dead)) != NULL) {
        struct conn_priv *c = LIST_ENTRY(n, struct conn_priv, all);
        if (c->base.ops->on_close != NULL) {
            c->base.ops->on_close(&c->base);
        }
        mem_free(c);
    }
}

static void task_run(struct task *t)
{
    struct conn_shard *cs = t->user;
    struct list *n;
    if (cs->budget_freed) {
        cs->budget_freed = false;
        conn_feed_starved(cs);
    }
    while ((n = list_pop_front(&cs->dirty)) != NULL) {
        conn_settle(LIST_ENTRY(n, struct conn_priv, dirty));
    }
    bury(cs);
}

/* ---- the budget's accounts ---- */

void shard_budget_take(struct shard *sh, size_t bytes)
{
    struct budget *b = &sh->budget;
    b->used += bytes;
    b->peak = b->peak > b->used ? b->peak : b->used;
}

void shard_budget_give(struct shard *sh, size_t bytes)
{
    struct conn_shard *cs = sh->conns;
    ASSERT(sh->budget.used >= bytes);
    sh->budget.used -= bytes;
    if (cs != NULL && !list_empty(&cs->starved)) {
        cs->budget_freed = true;
        conn_shard_wish(cs);
    }
}

void conn_budget_take(struct conn_shard *cs, size_t bytes)
{
    shard_budget_take(cs->shard, bytes);
}

void conn_budget_give(struct conn_shard *cs, size_t bytes)
{
    shard_budget_give(cs->shard, bytes);
}

void conn_charge(struct conn_shard *cs, struct req *r, size_t bytes)
{
    r->charged += bytes;
    conn_budget_take(cs, bytes);
}

void conn_uncharge(struct conn_shard *cs, struct req *r)
{
    if (r->reserve) {
        ASSERT(cs->reserve == r);
        r->reserve = false;
        cs->reserve = NULL;
    }
    if (r->charged > 0) {
        size_t bytes = r->charged;
        r->charged = 0;
        conn_budget_give(cs, bytes);
    }
}

/* ---- time-outs ---- */

void conn_expiry_plan(struct conn_shard *cs, int64_t at_ms)
{
    if (!timer_is_set(&cs->expiry) || cs->expiry.deadline_ms > at_ms) {
        timer_set(cs->shard, &cs->expiry, at_ms);
    }
}

/* Nothing goes on here but waiting for the peer: for a request, or for it to take its answers.
 * A peer that has closed its side is most likely gone: its requests, of which one may never be
 * answered, keep the connection no longer than that. (What is dirty has something to do yet: an
 * answer given in this very turn, perhaps.) */
static bool waits_for_peer(const struct conn_priv *c)
{
    return !c->is_starved && (c->reqs_n == 0 || c->out_bytes > 0 || c->eof) && c->cold == NULL &&
           list_empty(&c->dirty);
}

static void expire_idle(struct conn_shard *cs, struct conn_class *k, int64_t now_ms)
{
    int64_t idle_ms = k->limits->idle_ms;
    for (int n = 0; idle_ms > 0 && !list_empty(&k->idle); n++) {
        struct conn_priv *c = LIST_ENTRY(k->idle.next, struct conn_priv, idle);
        if (n == EXPIRE_MAX) {
            conn_expiry_plan(cs, now_ms); /* the others in the next turn */
            break;
        }
        if (c->active_ms + idle_ms > now_ms) {
            conn_expiry_plan(cs, c->active_ms + idle_ms);
            break;
        }
        if (waits_for_peer(c)) {
            conn_close(&c->base);
        } else {
            c->active_ms = c->idle_mark_ms = now_ms;
            list_remove(&c->idle);
            list_push_back(&k->idle, &c->idle);
        }
    }
}

static void expire_begun(struct conn_shard *cs, struct conn_class *k, int64_t now_ms)
{
    int64_t timeout_ms = k->limits->body_timeout_ms;
    for (int n = 0; timeout_ms > 0 && !list_empty(&k->begun); n++) {
        struct conn_priv *c = LIST_ENTRY(k->begun.next, struct conn_priv, begun);
        if (n == EXPIRE_MAX) {
            conn_expiry_plan(cs, now_ms); /* the others in the next turn */
            break;
        }
        if (c->begun_ms + timeout_ms > now_ms) {
            conn_expiry_plan(cs, c->begun_ms + timeout_ms);
            break;
        }
        conn_read(c); /* this shard may have been late itself: what is there counts */
        if (!c->closed && !list_empty(&c->begun) && conn_may_read(c)) {
            conn_fail(c, "a request stopped in the middle");
        } else {
            list_remove(&c->begun); /* the end of the turn decides anew */
            conn_mark(c);
        }
    }
}

/* While memory is short: those who do not take their answers go. */
static void expire_deaf(struct conn_shard *cs, int64_t now_ms)
{
    if (list_empty(&cs->starved)) {
        return;
    }
    list_for_each_safe (it, &cs->conns) {
        struct conn_priv *c = LIST_ENTRY(it, struct conn_priv, all);
        int64_t timeout_ms = c->base.limits->body_timeout_ms;
        if (timeout_ms > 0 && c->blocked) {
            if (c->active_ms + timeout_ms <= now_ms) {
                conn_fail(c, "it does not read its answers while memory is short");
            } else {
                conn_expiry_plan(cs, c->active_ms + timeout_ms);
            }
        }
    }
}

static void expiry_cb(struct timer *t)
{
    struct conn_shard *cs = t->user;
    int64_t now_ms = shard_now_ms(cs->shard);
    list_for_each (it, &cs->classes) {
        struct conn_class *k = LIST_ENTRY(it, struct conn_class, node);
        expire_begun(cs, k, now_ms);
        expire_idle(cs, k, now_ms);
    }
    expire_deaf(cs, now_ms);
}

/* ---- memory goes back when nobody needs it ---- */

void conn_trim_plan(struct conn_shard *cs)
{
    cs->busy = true;
    if (!timer_is_set(&cs->trim)) {
        timer_set(cs->shard, &cs->trim, shard_now_ms(cs->shard) + TRIM_MS);
    }
}

/* Every few seconds while there is traffic: buffers that nobody used since the last time. When
 * there was none: those that are left, and what the allocator keeps (limits_keep_memory). */
static void trim_cb(struct timer *t)
{
    struct conn_shard *cs = t->user;
    size_t freed = frame_pool_trim(&cs->pool);
    bool busy = cs->busy;
    if (busy) {
        conn_trim_plan(cs);
        cs->busy = false;
    }
    if (!busy || freed >= TRIM_WORTH) {
        malloc_trim(0);
    }
}

/* ---- all connections ---- */

unsigned conn_count(const struct shard *sh)
{
    return sh->conns != NULL ? sh->conns->count : 0;
}

void conn_close_all(struct shard *sh, bool drain)
{
    struct conn_shard *cs = sh->conns;
    ASSERT_ON_SHARD(sh);
    if (cs == NULL) {
        return;
    }
    list_for_each_safe (it, &cs->conns) {
        struct conn_priv *c = LIST_ENTRY(it, struct conn_priv, all);
        if (drain) {
            conn_drain(&c->base);
        } else {
            conn_close(&c->base);
        }
    }
}

static bool is_stuck(const struct conn_priv *c, int64_t now_ms, struct conn_stuck *out)
{
    *out = (struct conn_stuck){.conn = &c->base, .ms = now_ms - c->active_ms};
    if (c->is_starved) {
        out->kind = CONN_STARVED;
    } else if (c->blocked && c->out_bytes > 0) {
        out->kind = CONN_BLOCKED;
        out->bytes = c->out_bytes;
    } else if (c->cur != NULL) {
        out->kind = CONN_HALF;
        out->bytes = c->cur->have;
    } else {
        return false;
    }
    return true;
}

void conn_each_stuck(struct shard *sh, void (*fn)(const struct conn_stuck *s, void *user),
                     void *user)
{
    ASSERT_ON_SHARD(sh);
    struct conn_stuck stuck;
    if (sh->conns == NULL) {
        return;
    }
    list_for_each (it, &sh->conns->conns) {
        if (is_stuck(LIST_ENTRY(it, struct conn_priv, all), shard_now_ms(sh), &stuck)) {
            fn(&stuck, user);
        }
    }
}

void conn_shard_end(struct shard *sh)
{
    struct conn_shard *cs = sh->conns;
    if (cs == NULL) {
        return;
    }
    conn_close_all(sh, false);
    bury(cs);
    list_remove(&cs->task.node);
    timer_cancel(sh, &cs->expiry);
    timer_cancel(sh, &cs->trim);
    timer_cancel(sh, &cs->patience);
    while (!list_empty(&cs->classes)) {
        mem_free(LIST_ENTRY(list_pop_front(&cs->classes), struct conn_class, node));
    }
    frame_pool_free(&cs->pool);
    mem_free(cs->in);
    mem_free(cs->out);
    mem_free(cs);
    sh->conns = NULL;
}
