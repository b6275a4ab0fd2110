#include "broker/low_wait.h"

#include "broker/partition_manager.h"
#include "proto_errors.h"

/* ---- home ---- */

static void end(struct node_shard *home, struct low_wait *w, int16_t code)
{
    list_remove(&w->node);
    timer_cancel(home->shard, &w->timer);
    w->error = code;
    call_finish(home->shard, &w->call);
}

static void timeout_cb(struct timer *t)
{
    struct low_wait *w = t->user;
    struct node *n = w->maker->node;
    end(&n->shards[w->home], w, KE_REQUEST_TIMED_OUT);
}

static void look_at(struct partition *p, struct low_wait *w, int64_t low)
{
    if (low >= w->offset) {
        w->low_watermark = low;
        end(p->pm->ns, w, KE_NONE);
    }
}

void low_wait_look(struct partition *p)
{
    int64_t low = partition_low_watermark(p);
    list_for_each_safe (at, &p->low_wait) {
        look_at(p, LIST_ENTRY(at, struct low_wait, node), low);
    }
}

void low_wait_release(struct partition *p, int16_t code)
{
    while (!list_empty(&p->low_wait)) {
        end(p->pm->ns, LIST_ENTRY(p->low_wait.next, struct low_wait, node), code);
    }
}

static void run(struct shard *sh, struct call *c)
{
    struct low_wait *w = c->user;
    struct node_shard *home = node_shard_of(sh);
    struct partition *p = partition_find(home->partitions, w->topic_id, w->index);
    int16_t code = partition_check_leader(p, -1);
    if (code) {
        end(home, w, code);
        return;
    }
    list_push_back(&p->low_wait, &w->node);
    timer_set(sh, &w->timer, shard_now_ms(sh) + w->timeout_ms);
    look_at(p, w, partition_low_watermark(p));
}

/* It may have gone home meanwhile, or come after the recall: only what is parked is ended. */
static void run_recall(struct shard *sh, struct call *c)
{
    struct low_wait *w = c->user;
    if (!list_empty(&w->node)) {
        end(node_shard_of(sh), w, KE_REQUEST_TIMED_OUT);
    }
    call_finish(sh, c);
}

/* ---- maker ---- */

static void home_again(struct shard *sh, struct call *c)
{
    struct low_wait *w = c->user;
    UNUSED(sh);
    if (--w->out == 0) {
        w->done(w);
    }
}

void low_wait_start(struct low_wait *w, struct node_shard *ns)
{
    w->maker = ns;
    w->home = node_home_shard(ns->node, w->topic_id, w->index);
    w->out = 1;
    w->timer = (struct timer){.cb = timeout_cb, .user = w};
    list_init(&w->node);
    call_start(ns->shard, w->home, &w->call, run, home_again, w);
}

void low_wait_cancel(struct low_wait *w)
{
    if (w->out == 1 && w->recall.user == NULL) {
        w->out++;
        call_start(w->maker->shard, w->home, &w->recall, run_recall, home_again, w);
    }
}
