#include "broker/fetch_wait.h"

#include "base/mem.h"
#include "broker/fetch_read.h"
#include "broker/messages.h"
#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "proto_errors.h"

static void leg_arrived(struct fetch_job *j);

/* ---- home: watching ---- */

static void unwatch(struct fetch_leg *leg)
{
    for (uint32_t i = 0; i < leg->n; i++) {
        list_remove(&leg->watches[i].node);
    }
    leg->parked = false;
}

static void leg_go_home(struct node_shard *at, struct fetch_leg *leg)
{
    leg->returning = true;
    if (leg->maker == at->index) {
        leg->away = false;
        leg_arrived(leg->job);
    } else {
        shard_send(at->shard, leg->maker, &leg->m);
    }
}

/* Parked legs go home at the end of the turn: what woke them may still be at work. */
static void wake(struct fetch_leg *leg, struct node_shard *home)
{
    if (!leg->woken) {
        leg->woken = true;
        unwatch(leg);
        partition_manager_woken(home->partitions, &leg->node);
    }
}

void fetch_send_woken(struct node_shard *ns, struct list *woken)
{
    struct list *at;
    while ((at = list_pop_front(woken))) {
        leg_go_home(ns, LIST_ENTRY(at, struct fetch_leg, node));
    }
}

/* The end of what this reader may see; -1: cannot be told. */
static int64_t visible_end(struct partition *p, const struct fetch_leg *leg)
{
    int64_t lso;
    if (leg->replica_id >= 0) {
        return plog_end_offset(p->log);
    }
    if (!leg->read_committed) {
        return plog_high_watermark(p->log);
    }
    return plog_last_stable_offset(p->log, &lso) == 0 ? lso : -1;
}

/* Registers on every partition; true if something has changed since the reading, or cannot be
 * waited for. */
static bool watch_all(struct node_shard *home, struct fetch_leg *leg)
{
    for (uint32_t i = 0; i < leg->n; i++) {
        struct fetch_item *it = leg->items[i];
        struct partition *p = partition_find(home->partitions, it->topic_id, it->index);
        struct fetch_watch *w = &leg->watches[i];
        if (fetch_check(p, leg, it) != KE_NONE) {
            return true;
        }
        *w = (struct fetch_watch){.leg = leg, .part = p};
        list_init(&w->node);
        w->end_seen = leg->replica_id >= 0  ? it->log_end
                      : leg->read_committed ? it->last_stable_offset
                                            : it->high_watermark;
        if (visible_end(p, leg) != w->end_seen) {
            return true;
        }
        w->bytes_seen = p->bytes;
        w->exact = (leg->replica_id >= 0 || !leg->read_committed) &&
                   w->end_seen == plog_end_offset(p->log);
        list_push_back(&p->watches, &w->node);
    }
    return false;
}

static void leg_watch(struct node_shard *home, struct fetch_leg *leg)
{
    leg->parked = true;
    leg->woken = false;
    leg->grown = 0;
    for (uint32_t i = 0; i < leg->n; i++) {
        list_init(&leg->watches[i].node);
    }
    if (leg->recalled || watch_all(home, leg)) {
        wake(leg, home);
    } else {
        fetch_leg_drop(home, leg);
    }
}

static bool watch_moved(struct fetch_watch *w)
{
    struct partition *p = w->part;
    struct fetch_leg *leg = w->leg;
    int64_t end = visible_end(p, leg);
    if (end == w->end_seen) {
        return false;
    }
    if (!w->exact || end < w->end_seen || end != plog_end_offset(p->log)) {
        return true;
    }
    leg->grown += (int64_t)(p->bytes - w->bytes_seen);
    w->bytes_seen = p->bytes;
    w->end_seen = end;
    return leg->grown >= leg->need;
}

void fetch_watch_moved(struct partition *p)
{
    /* wake() takes the leg's other watches off too, wherever they stand: those that are still to be
     * looked at get a list of their own, and each is looked at once. */
    struct list left, *at;
    list_insert_before(p->watches.next, &left); /* takes the head's place */
    list_remove(&p->watches);
    while ((at = list_pop_front(&left)) != NULL) {
        struct fetch_watch *w = LIST_ENTRY(at, struct fetch_watch, node);
        list_push_back(&p->watches, at);
        if (watch_moved(w)) {
            wake(w->leg, p->pm->ns);
        }
    }
}

void fetch_watch_wake_all(struct partition *p)
{
    while (!list_empty(&p->watches)) {
        wake(LIST_ENTRY(p->watches.next, struct fetch_watch, node)->leg, p->pm->ns);
    }
}

/* ---- home: messages ---- */

static void leg_run(struct node_shard *home, struct fetch_leg *leg)
{
    if (leg->op == FETCH_READ) {
        fetch_leg_read(home, leg);
        leg_go_home(home, leg);
    } else {
        leg_watch(home, leg);
    }
}

/* A leg that is parked here comes back now; one that was woken is on its way already. One that is
 * neither waits for our image, which the recall does not, and will come back instead of parking:
 * nobody recalls it a second time. */
static void leg_recall(struct node_shard *home, struct fetch_leg *leg)
{
    leg->recalled = true;
    if (leg->parked && !leg->woken) {
        wake(leg, home);
    }
}

void fetch_on_msg(struct node_shard *ns, struct msg *m)
{
    ASSERT_ON_SHARD(ns->shard);
    if (m->kind == MSG_LEASE) {
        struct fetch_lease *l = CONTAINER_OF(m, struct fetch_lease, m);
        file_lease_release(&l->lease);
        mem_free(l);
    } else if (m->kind == MSG_FETCH_RECALL) {
        struct fetch_leg *leg = CONTAINER_OF(m, struct fetch_leg, recall);
        if (ns->index == leg->maker) {
            leg->recall_away = false;
            leg_arrived(leg->job);
        } else {
            leg_recall(ns, leg);
            shard_send(ns->shard, leg->maker, &leg->recall);
        }
    } else {
        struct fetch_leg *leg = CONTAINER_OF(m, struct fetch_leg, m);
        if (leg->returning) {
            leg->away = false;
            leg_arrived(leg->job);
        } else if (!node_wait_image(ns, m, leg->image_offset)) {
            leg_run(ns, leg);
        }
    }
}

/* ---- job ---- */

static void job_read(struct fetch_job *j);
static void job_recall(struct fetch_job *j);

static void send_leg(struct fetch_job *j, struct fetch_leg *leg, enum fetch_leg_op op)
{
    leg->op = op;
    leg->away = true;
    leg->returning = false;
    leg->parked = false;
    leg->woken = false;
    leg->recalled = false;
    leg->first_read = op == FETCH_READ && !j->read_once;
    leg->image_offset = image_version(j->ns);
    j->out++;
    if (leg->home == j->ns->index) {
        leg_run(j->ns, leg);
    } else {
        leg->m.kind = MSG_FETCH_LEG;
        shard_send(j->ns->shard, leg->home, &leg->m);
    }
}

/* What a reader that comes to this item with `left` bytes to give takes of it: the first one that
 * has any gives its first batch whole, however large. */
static uint32_t item_share(const struct fetch_item *it, int64_t left, bool first)
{
    int64_t limit = left < it->max_bytes ? left : it->max_bytes;
    if (it->len <= limit) {
        return it->len;
    }
    int64_t least = fetch_item_first_batch(it);
    if (least <= limit) {
        return (uint32_t)limit;
    }
    return !first ? 0 : least < it->len ? (uint32_t)least : it->len;
}

/* Cuts what all legs read down to the job's limit, in the order of the items, so that it is what
 * one reader would have read. One leg has done so itself. */
static void trim(struct fetch_job *j)
{
    int64_t left = j->max_bytes;
    bool first = true;
    j->bytes = 0;
    for (uint32_t i = 0; i < j->n; i++) {
        struct fetch_item *it = &j->items[i];
        if (it->len == 0) {
            continue;
        }
        if (j->legs_n > 1) {
            it->len = item_share(it, left, first);
        }
        first = first && it->len == 0;
        left = it->len < left ? left - it->len : 0;
        j->bytes += it->len;
    }
}

static bool any_answer_now(const struct fetch_job *j)
{
    for (uint32_t i = 0; i < j->n; i++) {
        const struct fetch_item *it = &j->items[i];
        if (it->error || it->diverging_epoch >= 0 || it->preferred_replica >= 0) {
            return true;
        }
    }
    return false;
}

static void job_done(struct fetch_job *j)
{
    timer_cancel(j->ns->shard, &j->timer);
    j->state = JOB_DONE;
    j->done(j);
}

static void job_watch(struct fetch_job *j)
{
    int64_t need = (j->min_bytes - j->bytes + j->legs_n - 1) / j->legs_n;
    j->state = JOB_WATCHING;
    j->out = 1; /* ours, so that a leg that comes back at once does not end the loop's work */
    for (uint32_t i = 0; i < j->legs_n; i++) {
        j->legs[i].need = need > 1 ? need : 1;
        send_leg(j, &j->legs[i], FETCH_WATCH);
    }
    j->out--;
}

/* All legs are home after a reading. */
static void job_judge(struct fetch_job *j)
{
    trim(j);
    if (j->canceled || j->last || j->bytes >= j->min_bytes || any_answer_now(j)) {
        job_done(j);
        return;
    }
    if (!timer_is_set(&j->timer)) {
        j->waits_us = io_now_us(j->ns->shard->io);
        timer_set(j->ns->shard, &j->timer, j->waits_us / 1000 + j->max_wait_ms);
    }
    job_watch(j);
}

/* A leg or a recall has come home. */
static void leg_arrived(struct fetch_job *j)
{
    ASSERT_ON_SHARD(j->ns->shard);
    ASSERT(j->out > 0);
    j->out--;
    if (j->state == JOB_WATCHING) {
        job_recall(j);
        return;
    }
    if (j->out > 0) {
        return;
    }
    if (j->state == JOB_RECALLING && !j->canceled) {
        job_read(j);
    } else if (j->state == JOB_RECALLING) {
        job_done(j);
    } else if (j->state == JOB_READING && !j->starting) {
        job_judge(j);
    }
}

static void job_read(struct fetch_job *j)
{
    j->state = JOB_READING;
    j->starting = true; /* local legs come home inside send_leg */
    for (uint32_t i = 0; i < j->legs_n; i++) {
        send_leg(j, &j->legs[i], FETCH_READ);
    }
    j->starting = false;
    j->read_once = true;
    if (j->out == 0) {
        job_judge(j);
    }
}

/* Brings every parked leg home; the job goes on when the last one is there. */
static void job_recall(struct fetch_job *j)
{
    j->state = JOB_RECALLING;
    j->out++;
    for (uint32_t i = 0; i < j->legs_n; i++) {
        struct fetch_leg *leg = &j->legs[i];
        if (!leg->away) {
            continue;
        }
        if (leg->home == j->ns->index) {
            leg_recall(j->ns, leg);
        } else {
            leg->recall_away = true;
            leg->recall.kind = MSG_FETCH_RECALL;
            j->out++;
            shard_send(j->ns->shard, leg->home, &leg->recall);
        }
    }
    leg_arrived(j); /* ours */
}

static void job_timeout(struct timer *t)
{
    struct fetch_job *j = t->user;
    j->last = true;
    if (j->state == JOB_WATCHING) {
        job_recall(j);
    }
}

void fetch_job_cancel(struct fetch_job *j)
{
    j->canceled = true;
    if (j->state == JOB_WATCHING) {
        job_recall(j);
    }
}

static void make_legs(struct fetch_job *j)
{
    struct node *n = j->ns->node;
    uint32_t *counts = ARENA_ARRAY(j->arena, uint32_t, n->data_shards);
    unsigned *homes = ARENA_ARRAY(j->arena, unsigned, j->n);
    for (uint32_t i = 0; i < j->n; i++) {
        homes[i] = node_home_shard(n, j->items[i].topic_id, j->items[i].index);
        j->legs_n += counts[homes[i]]++ == 0;
    }
    j->legs = ARENA_ARRAY(j->arena, struct fetch_leg, j->legs_n);
    struct fetch_leg **of = ARENA_ARRAY(j->arena, struct fetch_leg *, n->data_shards);
    uint32_t made = 0;
    for (uint32_t i = 0; i < j->n; i++) {
        struct fetch_leg *leg = of[homes[i]];
        if (leg == NULL) {
            leg = of[homes[i]] = &j->legs[made++];
            *leg = (struct fetch_leg){
                .job = j,
                .home = homes[i],
                .maker = j->ns->index,
                .read_committed = j->read_committed,
                .any_replica = j->any_replica,
                .replica_id = j->replica_id,
                .replica_epoch = j->replica_epoch,
                .standing = j->standing,
                .rack = j->rack,
                .listener = j->listener,
                .max_bytes = j->max_bytes,
                .zerocopy_min = (uint32_t)n->config->v.fetch_zerocopy_min_bytes,
                .items = ARENA_ARRAY(j->arena, struct fetch_item *, counts[homes[i]]),
                .watches = ARENA_ARRAY(j->arena, struct fetch_watch, counts[homes[i]]),
            };
            list_init(&leg->node);
        }
        leg->items[leg->n++] = &j->items[i];
        j->items[i].leg = leg;
    }
    for (uint32_t i = 0; i < j->legs_n; i++) {
        for (uint32_t k = 0; k < j->legs[i].n; k++) {
            list_init(&j->legs[i].watches[k].node);
        }
    }
}

void fetch_job_start(struct fetch_job *j)
{
    ASSERT_ON_SHARD(j->ns->shard);
    j->timer = (struct timer){.cb = job_timeout, .user = j};
    j->last = j->max_wait_ms <= 0 || j->n == 0;
    make_legs(j);
    job_read(j);
}

void fetch_job_free(struct fetch_job *j)
{
    ASSERT(j->state == JOB_DONE && j->out == 0);
    for (uint32_t i = 0; i < j->n; i++) {
        struct fetch_item *it = &j->items[i];
        if (it->range.lease.cf) {
            fetch_lease_release(j->ns->shard, fetch_item_take_lease(it));
        }
    }
    for (uint32_t i = 0; i < j->legs_n; i++) {
        arena_free(&j->legs[i].arena);
    }
}

/* ---- leases ---- */

struct fetch_lease *fetch_item_take_lease(struct fetch_item *it)
{
    struct fetch_lease *l = MEM_NEW(struct fetch_lease);
    l->lease = it->range.lease;
    l->home = it->leg->home;
    it->range.lease = (struct file_lease){0};
    return l;
}

void fetch_lease_release(struct shard *at, struct fetch_lease *l)
{
    if (at->index == l->home) {
        file_lease_release(&l->lease);
        mem_free(l);
    } else {
        l->m.kind = MSG_LEASE;
        shard_post(at, l->home, &l->m); /* nobody waits for it */
    }
}
