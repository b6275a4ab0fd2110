/* What waits at the partitions of a data shard: batches for their acknowledgement, followers that
 * are behind, replicas that move, logs that are offline; and the leaders of what is followed here.
 *
 * Followers are told by broker, not by partition: a broker that is gone is one thing that is wrong,
 * however many partitions wait for it. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/append.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/monitor/why.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/isr.h"
#include "controller/image.h"

enum {
    LAG_MS = 1000, /* a follower in the in-sync set may be behind for so long and is no news */
    NAMES = 200,   /* of a list of followers in a sentence */
};

/* One broker that follows partitions led here. */
struct lagging {
    int32_t id;
    uint32_t out;  /* partitions in whose in-sync set it is not */
    uint32_t late; /* where it is, and behind for long */
    int64_t ms;    /* the longest of them; -1: unknown */
    int64_t fetched_ms;
    int64_t worst; /* records behind, where that is most */
    const struct partition *where;
    bool alive;
};

struct taking {
    struct node_shard *ns;
    struct why_answer *w;
    int64_t now_ms;
    struct lagging *lagging;
    size_t lagging_n;
    uint32_t offline, short_of, no_space;
    const struct partition *an_offline, *a_short, *a_full; /* one of each */
};

/* ---- acknowledgements ---- */

/* "3 (has 120, last fetch 2.0 s ago), 4 ..." of those in the in-sync set that have not all below
 * `end`. */
static unsigned blockers(const struct partition *p, int64_t end, int64_t now_ms, char *out)
{
    unsigned n = 0;
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; p->isr && i < p->isr->n; i++) {
        const struct isr_follower *f = &p->isr->followers[i];
        if ((!f->in_isr && !f->proposed) || f->end >= end) {
            continue;
        }
        n++;
        int got =
            f->end == ISR_OFFSET_UNKNOWN
                ? snprintf(out + at, NAMES - at, "%s%d (no fetch yet)", n > 1 ? ", " : "", f->id)
                : snprintf(out + at, NAMES - at, "%s%d (last fetch %.1f s ago)", n > 1 ? ", " : "",
                           f->id, (double)(now_ms - f->fetched_ms) / 1000);
        at += (size_t)got < NAMES - at ? (size_t)got : NAMES - at - 1;
    }
    return n;
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
    char who[NAMES];
    uint32_t n = count(l);
    unsigned followers = flush ? 0 : blockers(p, first->batch.last_offset + 1, t->now_ms, who);
    put_partition(t->w, row, p);
    why_number(row, "batches", n);
    why_number(row, "offset", first->batch.base_offset);
    if (followers > 0) {
        why_text(t->w, row, "followers", bytes_str(who));
        why_say(
            t->w, row,
            "%s-%d: batches waiting to be acknowledged: %u, the oldest at offset %lld, for %s %s",
            p->topic->name, p->index, n, (long long)first->batch.base_offset,
            followers == 1 ? "follower" : "followers", who);
    } else {
        why_say(t->w, row,
                "%s-%d: batches waiting to be acknowledged: %u, the oldest at offset %lld, for %s",
                p->topic->name, p->index, n, (long long)first->batch.base_offset,
                p->flushing || flush              ? "the flush of the log to the disk"
                : p->isr_n < partition_min_isr(p) ? "more replicas in sync (min.insync.replicas)"
                                                  : "the high watermark");
    }
}

/* ---- followers ---- */

static struct lagging *lagging_of(struct taking *t, int32_t id)
{
    for (size_t i = 0; i < t->lagging_n; i++) {
        if (t->lagging[i].id == id) {
            return &t->lagging[i];
        }
    }
    t->lagging = mem_realloc(t->lagging, (t->lagging_n + 1) * sizeof *t->lagging);
    struct lagging *l = &t->lagging[t->lagging_n++];
    *l = (struct lagging){.id = id, .ms = -1, .worst = -1, .fetched_ms = ISR_NEVER};
    return l;
}

static void take_follower(struct taking *t, const struct partition *p, const struct isr_follower *f)
{
    int64_t end = plog_end_offset(p->log);
    int64_t ms = f->caught_up_ms > ISR_NEVER ? t->now_ms - f->caught_up_ms : -1;
    bool late = f->in_isr && f->end < end && ms > LAG_MS;
    if (f->in_isr && !late) {
        return;
    }
    struct lagging *l = lagging_of(t, f->id);
    int64_t behind = end - (f->end == ISR_OFFSET_UNKNOWN ? plog_start_offset(p->log) : f->end);
    l->out += !f->in_isr;
    l->late += late;
    l->alive = f->alive;
    l->ms = ms > l->ms ? ms : l->ms;
    l->fetched_ms = f->fetched_ms > l->fetched_ms ? f->fetched_ms : l->fetched_ms;
    if (behind > l->worst) {
        l->worst = behind;
        l->where = p;
    }
}

static void tell_lagging(struct taking *t, const struct lagging *l)
{
    struct why_row *row = why_add(t->w, WHY_REPLICA, l->ms);
    char fetch[64] = "no fetch has come";
    if (row == NULL) {
        return;
    }
    if (l->fetched_ms > ISR_NEVER) {
        int64_t ms = t->now_ms - l->fetched_ms;
        snprintf(fetch, sizeof fetch, "its last fetch came %.1f s ago", (double)ms / 1000);
        why_number(row, "last_fetch_ms", ms);
    }
    why_number(row, "follower", l->id);
    why_number(row, "out_of_sync", l->out);
    why_number(row, "late", l->late);
    why_number(row, "records_behind", l->worst);
    put_partition(t->w, row, l->where);
    why_say(t->w, row,
            "follower %d of partitions led here: out of sync in %u, in sync and late in %u; most "
            "behind in "
            "%s-%d, records: %lld; %s%s",
            l->id, l->out, l->late, l->where->topic->name, l->where->index, (long long)l->worst,
            fetch, l->alive ? "" : "; the controller counts the broker as gone");
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
    struct why_row *row = why_add(t->w, WHY_MOVE, -1);
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

static void take_partition(struct taking *t, const struct partition *p)
{
    if (p->offline) {
        t->offline++;
        t->an_offline = p;
        return;
    }
    if (p->no_space) {
        t->no_space++;
        t->a_full = p;
    }
    if (p->move) {
        take_dir_move(t, p);
    }
    if (!p->is_leader) {
        return;
    }
    take_acks(t, p);
    if (p->isr_n < partition_min_isr(p)) {
        t->short_of++;
        t->a_short = p;
    }
    for (uint32_t i = 0; p->isr && i < p->isr->n; i++) {
        take_follower(t, p, &p->isr->followers[i]);
    }
    if (p->replicas_n > 1) {
        take_reassignment(t, p);
    }
}

static void tell_some(struct taking *t, enum why_kind kind, uint32_t n, const struct partition *p,
                      const char *what)
{
    struct why_row *row = n > 0 ? why_add(t->w, kind, -1) : NULL;
    if (row) {
        why_number(row, "partitions", n);
        put_partition(t->w, row, p);
        why_say(t->w, row, "partitions that %s: %u; %s-%d is one of them", what, n, p->topic->name,
                p->index);
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
    struct why_row *row = why_add(t->w, WHY_FETCHER, v->silent_ms);
    if (row == NULL) {
        return;
    }
    why_number(row, "leader", v->leader);
    why_text(t->w, row, "host", bytes_str(v->host));
    why_number(row, "port", v->port);
    why_number(row, "partitions", v->partitions);
    why_number(row, "tries", v->tries);
    if (v->host[0] == '\0') {
        why_say(t->w, row,
                "leader %d has no address in the metadata; partitions followed there: %u",
                v->leader, v->partitions);
    } else {
        why_say(t->w, row,
                "leader %d at %s:%u does not answer; partitions followed there: %u, tries that "
                "failed: %u",
                v->leader, v->host, v->port, v->partitions, v->tries);
    }
}

void why_take_partitions(struct node_shard *ns, struct why_answer *w)
{
    struct taking t = {.ns = ns, .w = w, .now_ms = shard_now_ms(ns->shard)};
    list_for_each (at, &ns->partitions->all) {
        take_partition(&t, LIST_ENTRY(at, struct partition, all));
    }
    for (size_t i = 0; i < t.lagging_n; i++) {
        tell_lagging(&t, &t.lagging[i]);
    }
    tell_some(&t, WHY_DISK, t.offline, t.an_offline,
              "are offline here: their log directory failed or their log does not open");
    tell_some(&t, WHY_DISK, t.no_space, t.a_full, "found the disk full at their newest append");
    tell_some(&t, WHY_REPLICA, t.short_of, t.a_short,
              "led here have fewer replicas in sync than min.insync.replicas: acks=all is refused");
    fetchers_each(ns->fetchers, take_fetcher, &t);
    mem_free(t.lagging);
}
