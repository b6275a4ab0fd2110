/* Offsets that are let go, and groups that have none left.
 *
 *     group                                    an offset expires when it is this old
 *     classic, Empty, joined once              retention since the group is Empty (a log older than
 *                                              that field: since the commit)
 *     classic, Stable, consumers               retention since the commit, topics nobody subscribes
 *     classic, anything else                   never
 *     simple (offsets alone), other kinds      retention since the commit; not subscribed topics
 *     any of these, value version 1            at its own time, whatever the retention says
 *
 * A partition that an open transaction commits keeps its offset. A group that is Empty and has no
 * offset left goes with its tombstone; share groups are left alone. A group with writes under way
 * is looked at next time: what is written now may be a later commit.
 *
 * A topic that was deleted takes its offsets along, those that name another topic id excepted.
 *
 * Both look at every offset, and may have a million tombstones to write: a walk is cut into slices,
 * of which GROUP_TICK runs one, between groups and inside them, so that the shard gets to other
 * work in between; the next one waits until the tombstones of the last are home. Inside a group a
 * walk counts down: what is removed meanwhile takes the last one, which was seen, into its place.
 *
 * A topic may be made anew while the walk for its deletion goes on. So deletions are numbered, and
 * each offset knows the newest one from before its commit (gone_seq): it falls to later ones only.
 * Unloaded in the middle, the rest of a deletion stays, as in Kafka; so does an offset whose
 * successor is under way when the walk comes, should that write fail. */
#include "broker/group/offset_ops.h"

/* How much a slice takes; about a millisecond. */
enum { SLICE_LOOKED = 20000, SLICE_GONE = 1000 };

struct slice {
    const struct group_event *ev;
    struct group_effects *fx;
    uint32_t looked; /* groups, topics and offsets */
    uint32_t gone;   /* tombstones */
};

static bool slice_has_room(const struct slice *s)
{
    return s->looked < SLICE_LOOKED && s->gone < SLICE_GONE;
}

static void walk_to(struct group_walk *w, struct list *at)
{
    *w = (struct group_walk){.at = at, .topic = UINT32_MAX, .entry = UINT32_MAX};
}

/* The group it is at; NULL: it is through with all. */
static struct group *walk_group(const struct group_coordinator *c, const struct group_walk *w)
{
    return w->at == &c->all ? NULL : LIST_ENTRY(w->at, struct group, all);
}

void offsets_sweep_leaves(struct group *g)
{
    struct group_coordinator *c = g->c;
    if (c->expiring.at == &g->all) {
        walk_to(&c->expiring, g->all.next);
    }
    if (c->going.at == &g->all) {
        walk_to(&c->going, g->all.next);
    }
}

/* The next offset of t for a walk, counting down; NULL: there is none, or the slice is full. */
static struct offset_entry *walk_entry(struct group_walk *w, const struct group_topic *t,
                                       struct slice *s)
{
    w->entry = w->entry < t->n ? w->entry : t->n;
    if (w->entry == 0 || !slice_has_room(s)) {
        return NULL;
    }
    s->looked++;
    return &t->v[--w->entry];
}

/* A tombstone; the first of a slice in its group begins b. */
static void walk_takes(struct group_walk *w, struct slice *s, struct gone *b, struct group *g,
                       struct bytes topic, int32_t partition)
{
    if (b->g == NULL) {
        gone_begin(b, g, s->fx, GONE_QUIET, NULL);
    }
    gone_offset(b, topic, partition);
    w->gone++;
    s->gone++;
}

/* ---- retention ---- */

struct sweep {
    int64_t now_ms; /* wall */
    int64_t retention_ms;
    bool by_empty; /* age counts from since_ms, not from the commit */
    int64_t since_ms;
    struct offset_flight *flight; /* under way; in the effects' arena */
    uint32_t flight_n;
};

static bool sweep_begin(struct sweep *s, const struct group *g, int64_t wall_ms)
{
    *s = (struct sweep){.now_ms = wall_ms, .retention_ms = g->c->config->offsets_retention_ms};
    if (g->kind != GROUP_KIND_CLASSIC || g->classic == NULL) {
        return true;
    }
    if (classic_is_empty(g)) {
        s->since_ms = classic_empty_since(g);
        s->by_empty = s->since_ms >= 0;
        return true;
    }
    return classic_uses_consumer_protocol(g) && classic_is_stable(g);
}

static bool sweep_takes(const struct sweep *s, const struct group_topic *t,
                        const struct offset_entry *e)
{
    if (open_offset_has(t, e->partition)) {
        return false;
    }
    if (offset_expire_ms(e) != -1) {
        return s->now_ms >= offset_expire_ms(e);
    }
    int64_t age;
    int64_t from = s->by_empty ? s->since_ms : e->commit_ms;
    /* a time of commit that cannot be is a damaged one */
    return __builtin_sub_overflow(s->now_ms, from, &age) ? from < 0 : age >= s->retention_ms;
}

static bool group_is_over(const struct group *g, uint32_t expired)
{
    if (expired != g->offsets_n || g->open_offsets_n != 0) {
        return false;
    }
    return g->kind == GROUP_KIND_CLASSIC ? g->classic == NULL || classic_is_empty(g)
                                         : foreign_is_empty(g);
}

/* What goes of one topic; what is under way for a partition stands in the log before a tombstone.
 */
static void expire_topic(struct group_walk *w, struct slice *s, const struct sweep *sweep,
                         const struct group_topic *t, struct gone *b)
{
    const struct offset_entry *e;
    while ((e = walk_entry(w, t, s)) != NULL) {
        if (sweep_takes(sweep, t, e) && offset_flight_find(sweep->flight, sweep->flight_n,
                                                           t->name->text, e->partition) == NULL) {
            walk_takes(w, s, b, t->group, t->name->text, e->partition);
        }
    }
}

/* False: the slice is full. */
static bool expire_topics(struct group_walk *w, struct slice *s, const struct sweep *sweep,
                          struct group *g, struct gone *b)
{
    for (;;) {
        w->topic = w->topic < g->topic_n ? w->topic : g->topic_n;
        if (w->topic == 0) {
            return true;
        }
        const struct group_topic *t = g->topic_v[w->topic - 1];
        s->looked++;
        if (t->n != 0 && !group_subscribes(g, t->name->text)) {
            expire_topic(w, s, sweep, t, b);
        } else {
            w->entry = 0;
        }
        if (w->entry != 0 || !slice_has_room(s)) {
            return false;
        }
        w->topic--;
        w->entry = UINT32_MAX;
    }
}

/* False: the slice is full, and the rest of the group comes in the next. */
static bool expire_group(struct group_walk *w, struct slice *s, struct group *g, bool *over)
{
    struct sweep sweep = {0}; /* not begun: a group without offsets has nothing to look at */
    *over = false;
    if (g->kind == GROUP_KIND_SHARE ||
        (g->offsets_n != 0 && !sweep_begin(&sweep, g, s->ev->wall_ms))) {
        return true;
    }
    struct gone b = {0};
    sweep.flight_n = offset_flights(g, &s->fx->arena, &sweep.flight);
    bool through = expire_topics(w, s, &sweep, g, &b);
    *over = through && list_empty(&g->pending) && group_is_over(g, b.total);
    if (b.g == NULL && *over) {
        gone_begin(&b, g, s->fx, GONE_QUIET, NULL);
    }
    if (b.g) {
        gone_end(&b, *over);
    }
    return through;
}

static void expire_over(struct group_coordinator *c, struct group_effects *fx)
{
    if (c->expired_offsets + c->expired_groups) {
        group_fx_line(fx, GROUP_LINE_OWN,
                      "offsets are older than their retention and went offsets=%llu groups=%llu",
                      (unsigned long long)c->expired_offsets,
                      (unsigned long long)c->expired_groups);
    }
    c->expired_offsets = c->expired_groups = 0;
}

static void expire_slice(struct group_coordinator *c, struct slice *s)
{
    struct group_walk *w = &c->expiring;
    while (w->at && slice_has_room(s)) {
        bool over;
        struct group *g = walk_group(c, w);
        if (g == NULL) {
            expire_over(c, s->fx);
            w->at = NULL;
            break;
        }
        s->looked++;
        if (!expire_group(w, s, g, &over)) {
            break;
        }
        if (w->gone && !over) {
            story_add(g, s->ev->wall_ms,
                      "%u committed offsets are older than their retention and go", w->gone);
        }
        s->gone += over;
        c->expired_offsets += w->gone;
        c->expired_groups += over;
        walk_to(w, g->all.next);
    }
}

void offsets_expire(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx)
{
    if (c->expiring.at == NULL) { /* else the last walk is not over: it will do */
        walk_to(&c->expiring, c->all.next);
    }
    offsets_sweep(c, ev, fx);
}

/* ---- topics that went ---- */

struct topic_gone {
    struct list node; /* in c->gone, by seq */
    uint32_t seq;
    struct bytes topic;
    struct uuid topic_id;
};

static bool falls(const struct topic_gone *gone, struct uuid id, uint32_t seq)
{
    return seq < gone->seq && (uuid_is_zero(id) || uuid_eq(id, gone->topic_id));
}

/* One deletion comes to one group. What is under way stands for its partition: a tombstone would be
 * behind it in the log. */
struct topic_sweep {
    const struct topic_gone *gone;
    const struct group_topic *t;
    struct offset_flight *flight;
    uint32_t flight_n;
};

static bool topic_loses(const struct topic_sweep *ts, const struct offset_entry *e)
{
    return falls(ts->gone, offset_topic_id(ts->t, e), e->gone_seq) &&
           offset_flight_find(ts->flight, ts->flight_n, ts->gone->topic, e->partition) == NULL;
}

/* Of open transactions, and what is under way: few, at once. */
static void topic_gone_rest(struct group_walk *w, struct slice *s, const struct topic_sweep *ts,
                            struct group *g, struct gone *b)
{
    if (ts->t) {
        map_for_each (slot, &ts->t->open) {
            const struct open_offset *o = slot->value;
            if (offset_find(ts->t, o->e.partition) == NULL && topic_loses(ts, &o->e)) {
                walk_takes(w, s, b, g, ts->gone->topic, o->e.partition);
            }
        }
    }
    for (uint32_t i = 0; i < ts->flight_n; i++) {
        const struct offset_flight *f = &ts->flight[i];
        if (!f->gone && bytes_eq(f->topic, ts->gone->topic) &&
            falls(ts->gone, f->topic_id, f->gone_seq)) {
            walk_takes(w, s, b, g, f->topic, f->partition);
        }
    }
}

/* False: the slice is full. */
static bool topic_gone_group(struct group_walk *w, struct slice *s, const struct topic_gone *gone,
                             struct group *g)
{
    struct topic_sweep ts = {.gone = gone, .t = offset_topic(g, gone->topic)};
    struct gone b = {0};
    bool through = true;
    if (ts.t == NULL && list_empty(&g->pending)) {
        return true;
    }
    ts.flight_n = offset_flights(g, &s->fx->arena, &ts.flight);
    if (ts.t) {
        const struct offset_entry *e;
        while ((e = walk_entry(w, ts.t, s)) != NULL) {
            if (topic_loses(&ts, e)) {
                walk_takes(w, s, &b, g, gone->topic, e->partition);
            }
        }
        through = w->entry == 0;
    }
    if (through) {
        topic_gone_rest(w, s, &ts, g, &b);
    }
    if (through && w->gone) {
        story_add(g, s->ev->wall_ms, "topic %s is deleted, and %u committed offsets with it",
                  QUOTE(gone->topic), w->gone);
    }
    if (b.g) {
        gone_end(&b, false);
    }
    return through;
}

/* Those up to seq have come to every group. */
static void forget_gone(struct group_coordinator *c, uint32_t seq)
{
    while (!list_empty(&c->gone)) {
        struct topic_gone *t = LIST_ENTRY(c->gone.next, struct topic_gone, node);
        if (t->seq > seq) {
            break;
        }
        list_remove(&t->node);
        group_undup(c, &t->topic);
        group_dealloc(c, t, sizeof *t);
    }
}

static void walk_for_gone(struct group_coordinator *c)
{
    if (c->going.at == NULL && !list_empty(&c->gone)) {
        walk_to(&c->going, c->all.next);
        c->gone_walk_seq = c->gone_seq;
    }
}

/* The deletions of this walk, one after the other, in the group it is at. */
static bool gone_group(struct group_coordinator *c, struct slice *s, struct group *g)
{
    struct group_walk *w = &c->going;
    struct list *at = w->of ? w->of : c->gone.next;
    for (; at != &c->gone; at = at->next) {
        const struct topic_gone *gone = LIST_ENTRY(at, struct topic_gone, node);
        if (gone->seq > c->gone_walk_seq) {
            break;
        }
        w->of = at;
        s->looked++;
        if (!slice_has_room(s) || !topic_gone_group(w, s, gone, g)) {
            return false;
        }
        w->entry = UINT32_MAX;
        w->gone = 0;
    }
    return true;
}

static void gone_slice(struct group_coordinator *c, struct slice *s)
{
    struct group_walk *w = &c->going;
    while (w->at && slice_has_room(s)) {
        struct group *g = walk_group(c, w);
        if (g == NULL) {
            forget_gone(c, c->gone_walk_seq);
            w->at = NULL;
            walk_for_gone(c); /* for those that came since this walk began */
        } else if (gone_group(c, s, g)) {
            walk_to(w, g->all.next);
        } else {
            break;
        }
    }
}

void offsets_topic_gone(struct group_coordinator *c, const struct group_event *ev,
                        struct group_effects *fx)
{
    struct topic_gone *t = group_alloc(c, sizeof *t);
    t->seq = ++c->gone_seq;
    t->topic = group_dup(c, ev->topic);
    t->topic_id = ev->topic_id;
    list_push_back(&c->gone, &t->node);
    walk_for_gone(c);
    offsets_sweep(c, ev, fx);
}

void offsets_sweep_free(struct group_coordinator *c)
{
    c->expiring.at = c->going.at = NULL;
    forget_gone(c, c->gone_seq);
}

/* ---- slices ---- */

static void plan(struct group_coordinator *c, int64_t now_ms)
{
    bool more = c->going.at || c->expiring.at;
    c->slice_ms = more && c->sweeps_out == 0 ? now_ms + 1 : INT64_MAX;
}

void offsets_sweep(struct group_coordinator *c, const struct group_event *ev,
                   struct group_effects *fx)
{
    struct slice s = {.ev = ev, .fx = fx};
    if (c->sweeps_out == 0) {
        gone_slice(c, &s);
        expire_slice(c, &s);
    }
    plan(c, ev->now_ms);
}

void offsets_sweep_home(struct group_coordinator *c, const struct group_event *ev)
{
    ASSERT(c->sweeps_out > 0);
    c->sweeps_out--;
    plan(c, ev->now_ms);
}
