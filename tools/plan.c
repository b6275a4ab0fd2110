#include "tools/plan.h"

#include <string.h>

#include "base/assert.h"

enum { ROOM_LEFT_PERCENT = 5 }; /* of a disk, which a plan leaves free */

int32_t plan_at(const struct plan *p, int32_t id)
{
    const struct view_broker *b = view_broker(p->view, id);
    return b ? (int32_t)(b - p->view->brokers) : -1;
}

/* ---- brokers ---- */

static int32_t rack_number(struct plan *p, struct bytes *names, struct bytes rack)
{
    for (int32_t i = 0; i < p->racks_n; i++) {
        if (bytes_eq(names[i], rack)) {
            return i;
        }
    }
    names[p->racks_n] = rack;
    return p->racks_n++;
}

/* Directories that are offline or cordoned take nothing. */
static void measure_disks(struct plan_broker *b, const struct view_broker *v)
{
    b->capacity = b->room = 0;
    for (int32_t i = 0; i < v->dirs_n; i++) {
        const struct view_dir *d = &v->dirs[i];
        if (d->error || d->cordoned) {
            continue;
        }
        b->receives = true;
        if (d->total < 0 || d->usable < 0 || b->capacity < 0) {
            b->capacity = b->room = -1;
            continue;
        }
        int64_t left = d->total / 100 * ROOM_LEFT_PERCENT;
        b->capacity += d->total;
        b->room += d->usable > left ? d->usable - left : 0;
    }
}

static void put_broker(struct plan *p, struct plan_broker *b, const struct view_broker *v,
                       struct bytes *names)
{
    *b = (struct plan_broker){.id = v->id, .rack = rack_number(p, names, v->rack)};
    measure_disks(b, v);
    if (v->dirs_n == 0) { /* it was not asked, or does not tell */
        b->capacity = b->room = -1;
        b->receives = true;
    }
    b->receives = b->receives && !v->fenced && v->silent == NULL;
}

/* ---- partitions ---- */

/* Where a partition will be once a move that is going on is over. */
static struct view_ids target_of(struct arena *a, const struct view_partition *v)
{
    if (v->removing.n == 0) {
        return v->replicas;
    }
    struct view_ids out = {ARENA_ARRAY(a, int32_t, v->replicas.n), 0};
    for (int32_t i = 0; i < v->replicas.n; i++) {
        if (!view_ids_has(v->removing, v->replicas.v[i])) {
            out.v[out.n++] = v->replicas.v[i];
        }
    }
    return out;
}

/* One replica more (sign 1) or less (-1) on the broker. */
static void count_replica(struct plan_broker *b, const struct plan_part *part, bool first,
                          int32_t sign)
{
    b->bytes += sign * part->size;
    b->replicas += sign;
    b->leaders += first ? sign : 0;
    b->written += sign * part->written;
    b->led += first ? sign * part->written : 0;
}

static void put_partition(struct plan *p, const struct view_topic *t,
                          const struct view_partition *v)
{
    struct plan_part *part = &p->parts[p->parts_n++];
    bool moves = v->adding.n || v->removing.n;
    *part = (struct plan_part){.topic = t,
                               .index = v->index,
                               .size = view_size(v),
                               .written = v->written > 0 ? v->written : 0};
    part->from = part->to = target_of(p->arena, v);
    part->fixed = moves || v->leader < 0 || v->isr.n < v->replicas.n;
    for (int32_t i = 0; i < part->from.n; i++) {
        int32_t at = plan_at(p, part->from.v[i]);
        if (at < 0) {
            part->fixed = true;
            continue;
        }
        count_replica(&p->brokers[at], part, i == 0, 1);
    }
}

void plan_begin(struct plan *p, struct arena *a, const struct view *v)
{
    *p = (struct plan){.arena = a, .view = v, .brokers_n = v->brokers_n};
    p->brokers = ARENA_ARRAY(a, struct plan_broker, v->brokers_n + 1);
    struct bytes *names = ARENA_ARRAY(a, struct bytes, v->brokers_n + 1);
    for (int32_t i = 0; i < v->brokers_n; i++) {
        put_broker(p, &p->brokers[i], &v->brokers[i], names);
    }
    int32_t n = 0;
    for (int32_t i = 0; i < v->topics_n; i++) {
        n += v->topics[i].partitions_n;
    }
    p->parts = ARENA_ARRAY(a, struct plan_part, n + 1);
    for (int32_t i = 0; i < v->topics_n; i++) {
        for (int32_t k = 0; k < v->topics[i].partitions_n; k++) {
            put_partition(p, &v->topics[i], &v->topics[i].partitions[k]);
        }
    }
}

/* ---- what a change would mean ---- */

/* The rack of the i-th of the brokers of the list, but `without`, and with `with` behind them; -1:
 * none. */
static int32_t rack_at(const struct plan *p, struct view_ids ids, int32_t i, int32_t without,
                       int32_t with)
{
    int32_t id = i < ids.n ? ids.v[i] : with;
    int32_t at = id < 0 || (i < ids.n && id == without) ? -1 : plan_at(p, id);
    return at < 0 ? -1 : p->brokers[at].rack;
}

static int32_t racks_among(const struct plan *p, struct view_ids ids, int32_t without, int32_t with)
{
    int32_t n = 0;
    for (int32_t i = 0; i <= ids.n; i++) {
        int32_t rack = rack_at(p, ids, i, without, with);
        bool again = rack < 0;
        for (int32_t k = 0; k < i && !again; k++) {
            again = rack_at(p, ids, k, without, with) == rack;
        }
        n += !again;
    }
    return n;
}

int32_t plan_racks_of(const struct plan *p, struct view_ids ids)
{
    return racks_among(p, ids, -1, -1);
}

int32_t plan_racks_with(const struct plan *p, const struct plan_part *part, int32_t from,
                        int32_t to)
{
    return racks_among(p, part->to, from, to);
}

bool plan_has_room(const struct plan_broker *b, int64_t size)
{
    return b->room < 0 || size <= b->room;
}

/* ---- changes ---- */

/* The list that a partition is on the way from stays as it was. */
static void own_list(struct plan *p, struct plan_part *part)
{
    if (part->to.v == part->from.v) {
        part->to.v = ARENA_ARRAY(p->arena, int32_t, part->from.n);
        memcpy(part->to.v, part->from.v, (size_t)part->from.n * sizeof *part->to.v);
    }
}

static int32_t place_of(struct view_ids ids, int32_t id)
{
    for (int32_t i = 0; i < ids.n; i++) {
        if (ids.v[i] == id) {
            return i;
        }
    }
    return -1;
}

/* The same, and it takes or leaves room: what is counted first is on the disks already. */
static void carry(struct plan *p, const struct plan_part *part, int32_t id, bool first,
                  int32_t sign)
{
    struct plan_broker *b = &p->brokers[plan_at(p, id)];
    count_replica(b, part, first, sign);
    b->room -= b->room < 0 ? 0 : sign * part->size;
}

static void lead(struct plan *p, const struct plan_part *part, int32_t id, int32_t sign)
{
    int32_t at = plan_at(p, id);
    if (at >= 0) {
        p->brokers[at].leaders += sign;
        p->brokers[at].led += sign * part->written;
    }
}

void plan_set(struct plan *p, struct plan_part *part, struct view_ids ids)
{
    for (int32_t i = 0; i < ids.n; i++) {
        carry(p, part, part->to.v[i], i == 0, -1);
    }
    for (int32_t i = 0; i < ids.n; i++) {
        carry(p, part, ids.v[i], i == 0, 1);
    }
    part->to = ids;
}

void plan_replace(struct plan *p, struct plan_part *part, int32_t from, int32_t to)
{
    int32_t at = place_of(part->to, from);
    ASSERT(at >= 0 && place_of(part->to, to) < 0);
    own_list(p, part);
    part->to.v[at] = to;
    carry(p, part, from, at == 0, -1);
    carry(p, part, to, at == 0, 1);
}

void plan_lead(struct plan *p, struct plan_part *part, int32_t broker)
{
    int32_t at = place_of(part->to, broker), first = part->to.v[0];
    ASSERT(at >= 0);
    own_list(p, part);
    part->to.v[at] = first;
    part->to.v[0] = broker;
    lead(p, part, first, -1);
    lead(p, part, broker, 1);
}

/* ---- what came of it ---- */

bool plan_moves(const struct plan_part *part)
{
    return part->to.v != part->from.v &&
           memcmp(part->to.v, part->from.v, (size_t)part->to.n * sizeof *part->to.v) != 0;
}

int32_t plan_left_alone(const struct plan *p)
{
    int32_t n = 0;
    for (int32_t i = 0; i < p->parts_n; i++) {
        const struct view_partition *v = &p->parts[i].topic->partitions[p->parts[i].index];
        n += p->parts[i].fixed && v->adding.n + v->removing.n == 0;
    }
    return n;
}

int32_t plan_copies(const struct plan_part *part)
{
    int32_t n = 0;
    for (int32_t i = 0; i < part->to.n; i++) {
        n += !view_ids_has(part->from, part->to.v[i]);
    }
    return n;
}

struct plan_total plan_total(const struct plan *p)
{
    struct plan_total t = {0};
    for (int32_t i = 0; i < p->parts_n; i++) {
        if (plan_moves(&p->parts[i])) {
            int32_t copies = plan_copies(&p->parts[i]);
            t.partitions++;
            t.orders += copies == 0;
            t.copies += copies;
            t.bytes += copies * p->parts[i].size;
        }
    }
    return t;
}

static void load(const struct plan *p, int64_t *of, int32_t broker, int64_t bytes)
{
    int32_t at = plan_at(p, broker);
    if (at >= 0) {
        of[at] += bytes;
    }
}

/* What is left to be copied to a replica that comes. */
static int64_t missing(const struct view_partition *v, int32_t broker, int64_t size)
{
    for (int32_t i = 0; i < v->replicas.n; i++) {
        if (v->replicas.v[i] == broker && v->bytes[i] > 0) {
            return size > v->bytes[i] ? size - v->bytes[i] : 0;
        }
    }
    return size;
}

static void load_copies(const struct plan *p, const struct plan_part *part, int64_t *sent,
                        int64_t *received)
{
    const struct view_partition *v = &part->topic->partitions[part->index];
    bool moves = plan_moves(part);
    struct view_ids to = moves ? part->to : v->adding;
    for (int32_t i = 0; i < to.n; i++) {
        if (!moves || !view_ids_has(part->from, to.v[i])) {
            int64_t bytes = missing(v, to.v[i], view_size(v));
            load(p, received, to.v[i], bytes);
            load(p, sent, v->leader, bytes);
        }
    }
}

int64_t plan_heaviest(const struct plan *p)
{
    int64_t *sent = ARENA_ARRAY(p->arena, int64_t, 2 * p->brokers_n + 1);
    int64_t *received = sent + p->brokers_n, most = 0;
    for (int32_t i = 0; i < 2 * p->brokers_n; i++) {
        sent[i] = 0;
    }
    for (int32_t i = 0; i < p->parts_n; i++) {
        load_copies(p, &p->parts[i], sent, received);
    }
    for (int32_t i = 0; i < 2 * p->brokers_n; i++) {
        most = sent[i] > most ? sent[i] : most;
    }
    return most;
}
