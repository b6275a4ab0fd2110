#include "broker/append.h"

#include "broker/messages.h"
#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "proto_errors.h"

static void go_home(struct node_shard *ns, struct append_msg *a)
{
    timer_cancel(ns->shard, &a->timer);
    a->returning = true;
    if (a->maker == ns->index) {
        a->done(ns, a);
    } else {
        shard_send(ns->shard, a->maker, &a->m);
    }
}

static struct node_shard *home_of(const struct append_item *it)
{
    return it->part->pm->ns;
}

void append_item_done(struct append_item *it)
{
    struct append_msg *a = it->owner;
    struct node_shard *ns = home_of(it);
    ASSERT(a->pending > 0);
    if (--a->pending == 0) {
        go_home(ns, a);
    }
}

/* What is still waiting was appended, but its acknowledgement did not come in time. */
static void timeout_cb(struct timer *t)
{
    struct append_msg *a = t->user;
    for (uint32_t i = 0; i < a->n; i++) {
        struct append_item *it = &a->items[i];
        if (!list_empty(&it->node) && it->timed) {
            list_remove(&it->node);
            it->error = KE_REQUEST_TIMED_OUT;
            if (a->pending == 1) {
                append_item_done(it); /* a is gone after the last one */
                return;
            }
            append_item_done(it);
        }
    }
}

void append_start_timeout(struct append_item *it)
{
    struct append_msg *a = it->owner;
    it->timed = true;
    if (!timer_is_set(&a->timer)) {
        struct shard *sh = home_of(it)->shard;
        a->waits_us = io_now_us(sh->io);
        timer_set(sh, &a->timer, a->waits_us / 1000 + (a->timeout_ms > 0 ? a->timeout_ms : 0));
    }
}

void append_item_refuse(struct append_item *it, int16_t code)
{
    it->error = code;
    it->batch.base_offset = -1;
    it->batch.append_time_ms = -1;
    it->log_start = -1;
}

/* Queues the item; false: it is refused. */
static bool enqueue(struct partition_manager *pm, struct append_item *it)
{
    struct partition *p = partition_find(pm, it->topic_id, it->index);
    it->part = p;
    int16_t code = partition_check_leader(p, -1);
    if (p) {
        it->leader = p->leader;
        it->leader_epoch = p->leader_epoch;
    }
    if (code == KE_NONE && !list_empty(&p->uncertain)) {
        code = KE_NOT_LEADER_OR_FOLLOWER; /* for as long as it takes to write a small file */
    }
    if (code == KE_NONE && it->owner->acks == -1 && p->isr_n < partition_min_isr(p)) {
        code = KE_NOT_ENOUGH_REPLICAS;
    }
    if (code || it->refused) {
        append_item_refuse(it, code ? code : it->refused);
        it->log_start = code ? -1 : plog_start_offset(p->log);
        return false;
    }
    list_push_back(&p->queue, &it->node);
    partition_dirty(p);
    return true;
}

static void start(struct node_shard *ns, struct append_msg *a)
{
    a->pending = 1; /* ours: nothing goes home before all are queued */
    a->waits_us = 0;
    a->timer = (struct timer){.cb = timeout_cb, .user = a};
    for (uint32_t i = 0; i < a->n; i++) {
        struct append_item *it = &a->items[i];
        it->owner = a;
        it->timed = false;
        it->leader = -1;
        it->leader_epoch = -1;
        list_init(&it->node);
        a->pending += enqueue(ns->partitions, it);
    }
    if (--a->pending == 0) {
        go_home(ns, a);
    }
}

void append_send(struct node_shard *ns, unsigned home, struct append_msg *a)
{
    ASSERT_ON_SHARD(ns->shard);
    a->m.kind = MSG_APPEND;
    a->maker = ns->index;
    a->returning = false;
    a->image_offset = image_version(ns);
    if (home == ns->index) {
        start(ns, a);
    } else {
        shard_send(ns->shard, home, &a->m);
    }
}

void append_on_msg(struct node_shard *ns, struct msg *m)
{
    ASSERT_ON_SHARD(ns->shard);
    struct append_msg *a = CONTAINER_OF(m, struct append_msg, m);
    if (a->returning) {
        ASSERT(a->maker == ns->index);
        a->done(ns, a);
    } else if (!node_wait_image(ns, m, a->image_offset)) {
        start(ns, a);
    }
}
