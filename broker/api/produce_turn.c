#include "broker/api/produce_turn.h"

#include "base/mem.h"

static void leave(struct request *r)
{
    struct produce_wait *w = r->state;
    list_remove(&w->node);
    r->on_cancel = NULL;
}

static void on_cancel(struct request *r)
{
    struct produce_wait *w = r->state;
    leave(r);
    w->drop(r);
}

/* One whose connection has gone in this very turn has its on_cancel still to come: what it brought
 * is not worth opening any more either. */
static void judge_next(struct produce_turn *t)
{
    struct produce_wait *w = LIST_ENTRY(t->waiting.next, struct produce_wait, node);
    struct request *r = w->r;
    leave(r);
    if (r->cr->conn == NULL) {
        w->drop(r);
    } else {
        request_go_on(r, w->judge);
    }
}

/* What it opens sets the timer again, and it stops with the line empty or its share opened: so who
 * is left waits for a timer that is set. */
static void next_cb(struct timer *timer)
{
    struct produce_turn *t = timer->user;
    t->opened = 0;
    while (!list_empty(&t->waiting) && t->opened < PRODUCE_OPEN_TURN) {
        judge_next(t);
    }
    ASSERT(list_empty(&t->waiting) || timer_is_set(&t->next));
}

struct produce_turn *produce_turn_new(struct node_shard *ns)
{
    struct produce_turn *t = MEM_NEW(struct produce_turn);
    t->ns = ns;
    list_init(&t->waiting);
    t->next = (struct timer){.cb = next_cb, .user = t};
    return t;
}

void produce_turn_free(struct produce_turn *t)
{
    if (t == NULL) {
        return;
    }
    timer_cancel(t->ns->shard, &t->next);
    while (!list_empty(&t->waiting)) {
        leave(LIST_ENTRY(t->waiting.next, struct produce_wait, node)->r);
    }
    mem_free(t);
}

static void stand(struct produce_turn *t, struct produce_wait *w, struct list *behind)
{
    ASSERT(timer_is_set(&t->next));
    w->r->state = w;
    w->r->on_cancel = on_cancel;
    list_push_front(behind, &w->node);
    request_put_off(w->r);
}

void produce_turn_wait(struct produce_turn *t, struct produce_wait *w)
{
    stand(t, w, t->waiting.prev);
}

void produce_turn_wait_first(struct produce_turn *t, struct produce_wait *w)
{
    stand(t, w, &t->waiting);
}

/* A timer that is set to now fires in the next turn: judging happens in the turn's last part, where
 * sockets are read, or in this very timer's callback. (A deferred task would run in this turn.) */
void produce_turn_opened(struct produce_turn *t, size_t bytes)
{
    t->opened += bytes;
    if (t->opened > 0 && !timer_is_set(&t->next)) {
        timer_set(t->ns->shard, &t->next, shard_now_ms(t->ns->shard));
    }
}
