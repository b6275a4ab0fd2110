/* What waits for records of offsets (offset_ops.h).
 *
 *     commit    each offset is put under its partition         answer: as validated, or the code
 *     deletion  each named partition is forgotten, then        answer: the same, after the last
 * part perhaps the group itself
 *
 * Failure modes. A write that failed changes nothing. Of a deletion in parts, the parts that were
 * written count; the ask gets the first error. A member that joined while its group's deletion was
 * under way keeps the group: its own generation is written behind the tombstone. */
#include "broker/group/offset_ops.h"

#include <stdlib.h>

enum {
    PART_RECORDS_MAX = 4096,
    PART_BYTES_MAX = 512 << 10, /* half of what a batch of the topic may have by default */
    RECORD_OVERHEAD = 16,
};

/* ---- commits ---- */

void commit_fail(struct group_ask *ask, int16_t code)
{
    struct offset_commit_response *out = ask->response;
    for (int32_t i = 0; i < out->topics_n; i++) {
        for (int32_t k = 0; k < out->topics[i].partitions_n; k++) {
            out->topics[i].partitions[k].error_code = code;
        }
    }
}

static void commit_written(struct group_coordinator *c, struct group_op *op,
                           const struct group_event *ev, struct group_effects *fx)
{
    struct commit_op *o = CONTAINER_OF(op, struct commit_op, op);
    struct group *g = op->group;
    UNUSED(c);
    if (ev->code != 0) {
        commit_fail(o->ask, group_append_error(ev->code));
    } else {
        struct group_topic *t = NULL;
        const uint8_t *name = NULL;
        for (uint32_t i = 0; i < o->n; i++) {
            const struct commit_item *it = &o->items[i];
            if (name != it->topic.data || t == NULL) {
                t = offset_topic_make(g, it->topic);
                name = it->topic.data;
            }
            offset_put(t, it->partition, &it->v, ev->offset + i, o->gone_seq);
        }
    }
    group_fx_reply(fx, o->ask);
    group_release(g);
}

struct commit_op *commit_op_new(struct group *g, struct group_ask *ask, uint32_t n_max)
{
    struct commit_op *o = arena_alloc(ask->arena, sizeof *o + n_max * sizeof o->items[0]);
    o->op.group = g;
    o->op.written = commit_written;
    o->ask = ask;
    o->gone_seq = g->c->gone_seq;
    return o;
}

/* ---- deletions ---- */

struct gone_item {
    struct group_str *topic;
    int32_t partition;
};

/* One request or sweep over one group. */
struct gone_job {
    struct group_ask *ask; /* NULL: GONE_QUIET */
    enum gone_kind kind;
    uint32_t left; /* parts out */
    int16_t code;  /* first error */
};

struct gone_op {
    struct group_op op;
    struct gone_job *job;
    bool with_group; /* the last part of a group's deletion */
    uint32_t n;
    struct gone_item items[];
};

static size_t gone_size(uint32_t n)
{
    return sizeof(struct gone_op) + n * sizeof(struct gone_item);
}

static void job_answer(struct gone_job *job, struct group_effects *fx)
{
    if (job->kind == GONE_OFFSETS_ASKED && job->code != 0) {
        struct offset_delete_response *out = job->ask->response;
        out->error_code = job->code;
        out->topics_n = 0;
    } else if (job->kind == GONE_GROUP_ASKED && job->code != 0) {
        struct delete_groups_response *out = job->ask->response;
        out->results[0].error_code = job->code;
    }
    if (job->ask) {
        group_fx_reply(fx, job->ask);
    }
}

static void group_gone(struct group *g, struct group_effects *fx)
{
    if (g->kind != GROUP_KIND_CLASSIC) {
        foreign_free(g);
        g->kind = GROUP_KIND_CLASSIC;
    }
    g->in_log = false;
    g->kept = false;
    if (g->classic && classic_is_idle(g)) { /* else somebody came meanwhile: it begins anew */
        classic_delete(g, fx);
    }
}

static void gone_written(struct group_coordinator *c, struct group_op *op,
                         const struct group_event *ev, struct group_effects *fx)
{
    struct gone_op *o = CONTAINER_OF(op, struct gone_op, op);
    struct gone_job *job = o->job;
    struct group *g = op->group;
    if (ev->code != 0 && job->code == 0) {
        job->code = group_append_error(ev->code);
    }
    for (uint32_t i = 0; i < o->n; i++) {
        if (ev->code == 0) {
            offset_forget(g, o->items[i].topic->text, o->items[i].partition);
        }
        group_str_put(c, o->items[i].topic);
    }
    if (ev->code == 0 && o->with_group) {
        group_gone(g, fx);
    }
    if (job->kind == GONE_QUIET) {
        offsets_sweep_home(c, ev);
    }
    ASSERT(job->left > 0);
    if (--job->left == 0) {
        job_answer(job, fx);
        group_dealloc(c, job, sizeof *job);
    }
    group_dealloc(c, o, gone_size(o->n));
    group_release(g);
}

void gone_begin(struct gone *b, struct group *g, struct group_effects *fx, enum gone_kind kind,
                struct group_ask *ask)
{
    *b = (struct gone){.g = g, .fx = fx, .job = group_alloc(g->c, sizeof *b->job)};
    b->job->kind = kind;
    b->job->ask = ask;
}

static void gone_flush(struct gone *b, bool with_group)
{
    struct group_coordinator *c = b->g->c;
    uint32_t own = !with_group                        ? 0
                   : b->g->kind == GROUP_KIND_CLASSIC ? 1
                                                      : foreign_tombstones_max(b->g);
    if (b->n + own == 0) {
        return;
    }
    struct gone_op *o = group_alloc(c, gone_size(b->n));
    o->op.group = b->g;
    o->op.written = gone_written;
    o->job = b->job;
    o->with_group = with_group;
    o->n = b->n;
    struct group_write *w = group_fx_write(b->fx, &o->op, b->n + own);
    for (uint32_t i = 0; i < b->n; i++) {
        o->items[i] = b->items[i];
        w->records[i] = b->records[i];
    }
    w->n = b->n;
    if (with_group && b->g->kind == GROUP_KIND_CLASSIC) {
        w->records[w->n++] = group_record_metadata_gone(b->fx, b->g->id);
    } else if (with_group) {
        foreign_tombstones(b->g, b->fx, w->records, &w->n);
    }
    b->job->left++;
    c->sweeps_out += b->job->kind == GONE_QUIET;
    b->n = 0;
    b->bytes = 0;
}

static void gone_room(struct gone *b)
{
    uint32_t cap = b->cap ? b->cap * 2 : 16;
    struct gone_item *items = ARENA_ARRAY(&b->fx->arena, struct gone_item, cap);
    struct group_record *records = ARENA_ARRAY(&b->fx->arena, struct group_record, cap);
    if (b->n) {
        memcpy(items, b->items, b->n * sizeof *items);
        memcpy(records, b->records, b->n * sizeof *records);
    }
    b->items = items;
    b->records = records;
    b->cap = cap;
}

void gone_offset(struct gone *b, struct bytes topic, int32_t partition)
{
    if (b->n == PART_RECORDS_MAX || b->bytes > PART_BYTES_MAX) {
        gone_flush(b, false);
    }
    if (b->n == b->cap) {
        gone_room(b);
    }
    struct group_record r = group_record_offset_gone(b->fx, b->g->id, topic, partition);
    b->bytes += r.key.len + RECORD_OVERHEAD;
    b->items[b->n] = (struct gone_item){group_str_get(b->g->c, topic), partition};
    b->records[b->n] = r;
    b->n++;
    b->total++;
}

void gone_end(struct gone *b, bool group)
{
    gone_flush(b, group);
    if (b->job->left == 0) {
        job_answer(b->job, b->fx);
        group_dealloc(b->g->c, b->job, sizeof *b->job);
    }
    b->job = NULL;
}

/* ---- what is under way ---- */

bool group_doomed(const struct group *g)
{
    if (list_empty(&g->pending)) {
        return false;
    }
    const struct group_op *last = LIST_ENTRY(g->pending.prev, struct group_op, node);
    return last->written == gone_written &&
           CONTAINER_OF(last, const struct gone_op, op)->with_group &&
           (g->classic == NULL || classic_is_empty(g));
}

static int flight_order(const void *pa, const void *pb)
{
    const struct offset_flight *a = pa, *b = pb;
    int d = bytes_cmp(a->topic, b->topic);
    if (d == 0) {
        d = (a->partition > b->partition) - (a->partition < b->partition);
    }
    return d ? d : (a->seq > b->seq) - (a->seq < b->seq);
}

static uint32_t flights_count(const struct group *g)
{
    uint32_t n = 0;
    list_for_each (it, &g->pending) {
        const struct group_op *op = LIST_ENTRY(it, struct group_op, node);
        if (op->written == commit_written) {
            n += CONTAINER_OF(op, const struct commit_op, op)->n;
        } else if (op->written == gone_written) {
            n += CONTAINER_OF(op, const struct gone_op, op)->n;
        }
    }
    return n;
}

static uint32_t flights_fill(const struct group *g, struct offset_flight *v)
{
    uint32_t n = 0;
    list_for_each (it, &g->pending) {
        const struct group_op *op = LIST_ENTRY(it, struct group_op, node);
        if (op->written == commit_written) {
            const struct commit_op *o = CONTAINER_OF(op, const struct commit_op, op);
            for (uint32_t i = 0; i < o->n; i++, n++) {
                v[n] = (struct offset_flight){.topic = o->items[i].topic,
                                              .partition = o->items[i].partition,
                                              .seq = n,
                                              .gone_seq = o->gone_seq,
                                              .topic_id = o->items[i].v.topic_id};
            }
        } else if (op->written == gone_written) {
            const struct gone_op *o = CONTAINER_OF(op, const struct gone_op, op);
            for (uint32_t i = 0; i < o->n; i++, n++) {
                v[n] = (struct offset_flight){.topic = o->items[i].topic->text,
                                              .partition = o->items[i].partition,
                                              .seq = n,
                                              .gone = true};
            }
        }
    }
    return n;
}

uint32_t offset_flights(const struct group *g, struct arena *a, struct offset_flight **out)
{
    uint32_t n = flights_count(g);
    *out = NULL;
    if (n == 0) {
        return 0;
    }
    struct offset_flight *v = ARENA_ARRAY(a, struct offset_flight, n);
    n = flights_fill(g, v);
    qsort(v, n, sizeof *v, flight_order);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool same = kept > 0 && v[kept - 1].partition == v[i].partition &&
                    bytes_eq(v[kept - 1].topic, v[i].topic);
        v[same ? kept - 1 : kept++] = v[i];
    }
    *out = v;
    return kept;
}

const struct offset_flight *offset_flight_find(const struct offset_flight *v, uint32_t n,
                                               struct bytes topic, int32_t partition)
{
    uint32_t lo = 0;
    while (lo < n) {
        uint32_t mid = lo + (n - lo) / 2;
        int d = bytes_cmp(v[mid].topic, topic);
        if (d == 0) {
            d = (v[mid].partition > partition) - (v[mid].partition < partition);
        }
        if (d == 0) {
            return &v[mid];
        }
        if (d < 0) {
            lo = mid + 1;
        } else {
            n = mid;
        }
    }
    return NULL;
}
