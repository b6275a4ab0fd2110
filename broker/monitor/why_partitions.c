/* What waits at the partitions of a data shard: batches for their acknowledgement, followers that
 * are behind, replicas that move, logs that are offline; and the leaders of what is followed here.
 *
 * Followers are told by broker, not by partition: a broker that is gone is one thing that is wrong,
 * however many partitions wait for it, on whatever shards (why_merge.c). */
#include <stdio.h>

#include "broker/append.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/monitor/why.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/isr.h"
#include "broker/shard_stats.h"
#include "controller/image.h"

enum {
    LAG_MS = 1000, /* a follower in the in-sync set may be behind for so long and is no news */
    NAMES = 200,   /* of a list of replicas in a sentence */
};

struct taking {
    struct node_shard *ns;
    struct why_answer *w;
    int64_t now_ms;
};

/* ---- acknowledgements ---- */

/* Those in the in-sync set that have not all below `end`. */
static void put_blockers(struct why_answer *w, struct why_row *row, const struct partition *p,
                         int64_t end)
{
    struct why_blocker *v = arena_alloc(&w->arena, WHY_BLOCKERS_MAX * sizeof *v);
    for (uint32_t i = 0; p->isr && i < p->isr->n && row->blockers_n < WHY_BLOCKERS_MAX; i++) {
        const struct isr_follower *f = &p->isr->followers[i];
        if ((f->in_isr || f->proposed) && f->end < end) {
            v[row->blockers_n++] = (struct why_blocker){f->id, f->fetched_ms};
        }
    }
    row->blockers = v;
}

static uint32_t count(const struct list *l)
{
    uint32_t n = 0;
    list_for_each (at, l) {
        n++;
    }
    return n;
}

static void put_partition(struct why_answer *w, struct why_row *row, const struct partition *p)
{
    why_text(w, row, "topic", bytes_str(p->topic->name));
    why_number(row, "partition", p->index);
}

static void take_acks(struct taking *t, const struct partition *p)
{
    bool flush = list_empty(&p->ack_wait);
    const struct list *l = flush ? &p->flush_wait : &p->ack_wait;
    if (list_empty(l)) {
        return;
    }
    const struct append_item *first = LIST_ENTRY(l->next, struct append_item, node);
    int64_t ms = t->now_ms - first->owner->waits_us / 1000;
    struct why_row *row = why_add(t->w, WHY_PRODUCE, ms);
    if (row == NULL) {
        return;
    }
    uint32_t n = count(l);
    put_partition(t->w, row, p);
    why_number(row, "batches", n);
    why_number(row, "offset", first->batch.base_offset);
    if (!flush) {
        put_blockers(t->w, row, p, first->batch.last_offset + 1);
    }
    why_say(t->w, row,
            "%s-%d: batches waiting to be acknowledged: %u, the oldest at offset %lld, for%s",
            p->topic->name, p->index, n, (long long)first->batch.base_offset,
            row->blockers_n > 0               ? ""
            : p->flushing || flush            ? " the flush of the log to the disk"
            : p->isr_n < partition_min_isr(p) ? " more replicas in sync (min.insync.replicas)"
                                              : " the high watermark");
}

/* ---- followers ---- */

static void take_follower(struct taking *t, const struct partition *p, const struct isr_follower *f)
{
    int64_t end = plog_end_offset(p->log), since = isr_behind_since(f, end);
    int64_t ms = since > ISR_NEVER ? t->now_ms - since : -1;
    bool late = f->in_isr && f->end < end && ms > LAG_MS;
    if (f->in_isr && !late) {
        return;
    }
    struct why_follower *l = why_follower(t->w, f->id);
    int64_t behind = end - (f->end == ISR_OFFSET_UNKNOWN ? plog_start_offset(p->log) : f->end);
    l->out += !f->in_isr;
    l->late += late;
    l->alive = f->alive;
    l->ms = ms > l->ms ? ms : l->ms;
    l->fetched_ms = f->fetched_ms > l->fetched_ms ? f->fetched_ms : l->fetched_ms;
    if (behind > l->worst) {
        l->worst = behind;
        l->topic = why_clean(&t->w->arena, bytes_str(p->topic->name));
        l->index = p->index;
    }
}

/* ---- moves ---- */

static void put_ids(char *out, size_t n, const int32_t *ids, uint32_t ids_n)
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < ids_n && at + 12 < n; i++) {
        at += (size_t)snprintf(out + at, n - at, "%s%d", i > 0 ? "," : "", ids[i]);
    }
}

/* How much of the log the replicas that are added have, the slowest of them. */
static int64_t percent_there(const struct partition *p, const struct image_partition *ip)
{
    int64_t start = plog_start_offset(p->log), all = plog_end_offset(p->log) - start;
    int64_t least = all;
    for (uint32_t i = 0; i < ip->adding_n; i++) {
        const struct isr_follower *f = p->isr ? isr_follower(p->isr, ip->adding[i]) : NULL;
        int64_t have = f && f->end > start ? f->end - start : 0;
        least = ip->adding[i] != p->leader && have < least ? have : least;
    }
    return all > 0 ? least * 100 / all : 100;
}

/* A reassignment, at the leader. */
static void take_reassignment(struct taking *t, const struct partition *p)
{
    const struct image_topic *topic = image_topic_by_id(t->ns->image, p->topic->id);
    const struct image_partition *ip = topic ? image_partition(topic, p->index) : NULL;
    if (ip == NULL || ip->adding_n + ip->removing_n == 0) {
        return;
    }
    int64_t ms = p->reassigned_ms > 0 ? t->now_ms - p->reassigned_ms : -1;
    struct why_row *row = why_add(t->w, WHY_MOVE, ms);
    if (row == NULL) {
        return;
    }
    char adding[NAMES], removing[NAMES];
    put_ids(adding, sizeof adding, ip->adding, ip->adding_n);
    put_ids(removing, sizeof removing, ip->removing, ip->removing_n);
    int64_t percent = percent_there(p, ip);
    put_partition(t->w, row, p);
    why_text(t->w, row, "adding", bytes_str(adding));
    why_text(t->w, row, "removing", bytes_str(removing));
    why_number(row, "percent", percent);
    why_say(t->w, row,
            "%s-%d is reassigned: adds %s, removes %s; the new replicas have %lld %% of the log",
            p->topic->name, p->index, adding[0] ? adding : "none", removing[0] ? removing : "none",
            (long long)percent);
}

static void take_dir_move(struct taking *t, const struct partition *p)
{
    struct dir_move_view v = dir_move_view(p);
    struct why_row *row = why_add(t->w, WHY_MOVE, v.ms);
    const char *dir = t->ns->node->config->log_dirs[v.to];
    if (row == NULL) {
        return;
    }
    put_partition(t->w, row, p);
    why_text(t->w, row, "directory", bytes_str(dir));
    why_number(row, "bytes_done", (int64_t)v.bytes_done);
    why_number(row, "bytes", (int64_t)v.bytes);
    why_say(t->w, row, "%s-%d moves to log directory %s: %s, %llu of %llu bytes", p->topic->name,
            p->index, dir, v.state, (unsigned long long)v.bytes_done, (unsigned long long)v.bytes);
}

/* ---- one partition, all partitions ---- */

static void count_one(struct taking *t, enum why_some what, const struct partition *p)
{
    struct why_count *c = &t->w->some[what];
    if (c->n++ == 0) {
        c->topic = why_clean(&t->w->arena, bytes_str(p->topic->name));
        c->index = p->index;
    }
}

static void take_partition(struct taking *t, const struct partition *p)
{
    if (p->offline) {
        count_one(t, WHY_OFFLINE, p);
        return;
    }
    if (p->no_space) {
        count_one(t, WHY_NO_SPACE, p);
    }
    if (p->move) {
        take_dir_move(t, p);
    }
    if (!p->is_leader) {
        return;
    }
    take_acks(t, p);
    if (p->isr_n < partition_min_isr(p)) {
        count_one(t, WHY_SHORT, p);
    }
    for (uint32_t i = 0; p->isr && i < p->isr->n; i++) {
        take_follower(t, p, &p->isr->followers[i]);
    }
    if (p->replicas_n > 1) {
        take_reassignment(t, p);
    }
}

static void take_fetcher(const struct fetcher_view *v, void *user)
{
    struct taking *t = user;
    int64_t patience = t->ns->node->config->v.replica_fetch_wait_max_ms + LAG_MS;
    bool failing = v->tries > 0 || v->host[0] == '\0';
    if (!failing && v->silent_ms <= patience) {
        return;
    }
    struct why_leader l = {.id = v->leader,
                           .host = v->host,
                           .port = v->port,
                           .partitions = v->partitions,
                           .tries = v->tries,
                           .ms = v->silent_ms};
    why_add_leader(t->w, &l);
}

static void take_seen(struct why_answer *w, const struct shard_stats *stats)
{
    w->seen_n = stats->followers_n;
    w->seen = arena_alloc(&w->arena, (w->seen_n + 1) * sizeof *w->seen);
    for (unsigned i = 0; i < w->seen_n; i++) {
        w->seen[i] = stats->followers[i];
    }
}

void why_take_partitions(struct node_shard *ns, struct why_answer *w)
{
    struct taking t = {.ns = ns, .w = w, .now_ms = shard_now_ms(ns->shard)};
    w->now_ms = t.now_ms;
    list_for_each (at, &ns->partitions->all) {
        take_partition(&t, LIST_ENTRY(at, struct partition, all));
    }
    take_seen(w, ns->stats);
    if (ns->fetchers) {
        fetchers_each(ns->fetchers, take_fetcher, &t);
    }
}
