/* OffsetFetch of one group. What is answered is committed; with require_stable, a partition for
 * which a commit is under way (a transaction's, or one whose record is not committed yet) gets
 * UNSTABLE_OFFSET_COMMIT, which clients try again (KIP-447). Without it neither is seen.
 *
 * A group, a topic or a partition that is not known has offset -1 and no error; so has a partition
 * whose offset belongs to an older topic of that name, when the request says which topic it means.
 * Only a member of a group of another kind can be refused. */
#include <stdlib.h>

#include "broker/group/offset_ops.h"

struct fetch {
    const struct group *g; /* NULL: not known */
    struct arena *a;
    bool stable;                  /* require_stable */
    struct offset_flight *flight; /* only with it */
    uint32_t flight_n;
};

static struct bytes dup(struct arena *a, struct bytes b)
{
    return b.data ? bytes_of(arena_strndup(a, b.data, b.len), b.len) : b;
}

static bool unsettled(const struct fetch *f, const struct group_topic *t, struct bytes topic,
                      int32_t partition)
{
    return f->stable && ((t && open_offset_has(t, partition)) ||
                         offset_flight_find(f->flight, f->flight_n, topic, partition) != NULL);
}

static void fetch_one(const struct fetch *f, const struct group_topic *t, struct bytes topic,
                      const struct offset_entry *e,
                      struct offset_fetch_response_offset_fetch_response_partitions *out)
{
    out->committed_offset = -1;
    out->committed_leader_epoch = -1;
    out->metadata = bytes_of("", 0);
    if (unsettled(f, t, topic, out->partition_index)) {
        out->error_code = KE_UNSTABLE_OFFSET_COMMIT;
    } else if (e != NULL) {
        out->committed_offset = e->offset;
        out->committed_leader_epoch = e->leader_epoch;
        if (e->extra && e->extra->len) {
            out->metadata = dup(f->a, offset_metadata(e));
        }
    }
}

static int by_partition(const void *pa, const void *pb)
{
    const struct offset_fetch_response_offset_fetch_response_partitions *a = pa, *b = pb;
    return (a->partition_index > b->partition_index) - (a->partition_index < b->partition_index);
}

static int by_name(const void *pa, const void *pb)
{
    const struct group_topic *const *a = pa, *const *b = pb;
    return bytes_cmp((*a)->name->text, (*b)->name->text);
}

static void fetch_all_of(const struct fetch *f, const struct group_topic *t,
                         struct offset_fetch_response_offset_fetch_response_topics *out)
{
    out->name = dup(f->a, t->name->text);
    out->partitions_n = (int32_t)t->n;
    out->partitions =
        ARENA_ARRAY(f->a, struct offset_fetch_response_offset_fetch_response_partitions, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        out->partitions[i].partition_index = t->v[i].partition;
        fetch_one(f, t, t->name->text, &t->v[i], &out->partitions[i]);
    }
    qsort(out->partitions, t->n, sizeof out->partitions[0], by_partition);
}

/* Sorted, so that the answer does not depend on what happened in which order. */
static void fetch_all(const struct fetch *f,
                      struct offset_fetch_response_offset_fetch_response_group *out)
{
    const struct group *g = f->g;
    out->topics_n = 0;
    if (g == NULL || g->topic_n == 0) {
        return;
    }
    const struct group_topic **v = ARENA_ARRAY(f->a, const struct group_topic *, g->topic_n);
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->topic_n; i++) {
        if (g->topic_v[i]->n) { /* else only a transaction's */
            v[n++] = g->topic_v[i];
        }
    }
    qsort(v, n, sizeof(struct group_topic *), by_name);
    out->topics = ARENA_ARRAY(f->a, struct offset_fetch_response_offset_fetch_response_topics, n);
    out->topics_n = (int32_t)n;
    for (uint32_t i = 0; i < n; i++) {
        fetch_all_of(f, v[i], &out->topics[i]);
    }
}

static bool is_too_much(const struct arena *a)
{
    return a->limit != 0 && a->used > a->limit;
}

static void fetch_some(const struct fetch *f,
                       const struct offset_fetch_request_offset_fetch_request_topics *q,
                       struct offset_fetch_response_offset_fetch_response_topics *out)
{
    const struct group_topic *t = f->g ? offset_topic(f->g, q->name) : NULL;
    out->name = dup(f->a, q->name);
    out->topic_id = q->topic_id;
    out->partitions_n = q->partition_indexes_n;
    out->partitions =
        ARENA_ARRAY(f->a, struct offset_fetch_response_offset_fetch_response_partitions,
                    q->partition_indexes_n);
    for (int32_t i = 0; i < q->partition_indexes_n && !is_too_much(f->a); i++) {
        const struct offset_entry *e = t ? offset_find(t, q->partition_indexes[i]) : NULL;
        if (e && !uuid_is_zero(q->topic_id)) {
            struct uuid id = offset_topic_id(t, e);
            e = uuid_is_zero(id) || uuid_eq(id, q->topic_id) ? e : NULL;
        }
        out->partitions[i].partition_index = q->partition_indexes[i];
        fetch_one(f, t, q->name, e, &out->partitions[i]);
    }
}

bool group_fetch_offsets(const struct group_coordinator *c,
                         const struct offset_fetch_request_offset_fetch_request_group *q,
                         bool require_stable, struct arena *a,
                         struct offset_fetch_response_offset_fetch_response_group *out)
{
    struct fetch f = {.g = group_find(c, q->group_id), .a = a, .stable = require_stable};
    out->group_id = dup(a, q->group_id);
    if (f.g && f.g->kind != GROUP_KIND_CLASSIC) {
        out->error_code = foreign_check_fetch(f.g, q->member_id, q->member_epoch);
        if (out->error_code == KE_GROUP_ID_NOT_FOUND) { /* not an error of this API */
            out->error_code = 0;
            f.g = NULL;
        } else if (out->error_code != 0) {
            return true;
        }
    }
    if (f.g && f.stable) {
        f.flight_n = offset_flights(f.g, a, &f.flight);
    }
    if (q->topics_n < 0) {
        fetch_all(&f, out);
        return true;
    }
    out->topics =
        ARENA_ARRAY(a, struct offset_fetch_response_offset_fetch_response_topics, q->topics_n);
    out->topics_n = q->topics_n;
    for (int32_t i = 0; i < q->topics_n && !is_too_much(a); i++) {
        fetch_some(&f, &q->topics[i], &out->topics[i]);
    }
    return !is_too_much(a);
}

/* ---- all of them ---- */

static bool tell_topic(const struct group *g, const struct group_topic *t,
                       bool (*fn)(const struct group_offset *o, void *user), void *user)
{
    for (uint32_t i = 0; i < t->n; i++) {
        struct group_offset o = {.group = g->id,
                                 .topic = t->name->text,
                                 .partition = t->v[i].partition,
                                 .offset = t->v[i].offset};
        if (!fn(&o, user)) {
            return false;
        }
    }
    return true;
}

void group_coordinator_offsets(const struct group_coordinator *c,
                               bool (*fn)(const struct group_offset *o, void *user), void *user)
{
    list_for_each (at, &c->all) {
        const struct group *g = LIST_ENTRY(at, struct group, all);
        for (uint32_t i = 0; i < g->topic_n; i++) {
            if (!tell_topic(g, g->topic_v[i], fn, user)) {
                return;
            }
        }
    }
}
