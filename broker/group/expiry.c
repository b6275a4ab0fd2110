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
 * Both look at every group, and may have a million tombstones to write: a walk over the groups is
 * cut into slices, of which GROUP_TICK runs one a millisecond, so that the shard gets to other work
 * in between (a group is never cut). A topic may be made anew while the walk for its deletion goes
 * on: so each group knows which deletions it has seen (gone_seq), and catches up before a commit is
 * written, which is not to fall to a deletion from before it. Unloaded in the middle, the rest of a
 * deletion stays, as in Kafka. */
#include "broker/group/offset_ops.h"

/* How much a slice takes; about a millisecond. */
enum { SLICE_LOOKED = 20000, SLICE_GONE = 1000 };

struct slice {
    uint64_t looked; /* groups and offsets */
    uint64_t gone;   /* tombstones */
};

static bool slice_has_room(const struct slice *s)
{
    return s->looked < SLICE_LOOKED && s->gone < SLICE_GONE;
}

/* The next group of a walk; NULL: it is over. */
static struct group *walk_on(struct group_coordinator *c, struct list **at, struct slice *s)
{
    if (*at == &c->all) {
        *at = NULL;
        return NULL;
    }
    struct group *g = LIST_ENTRY(*at, struct group, all);
    *at = (*at)->next;
    s->looked++;
    return g;
}

void offsets_sweep_leaves(struct group *g)
{
    struct group_coordinator *c = g->c;
    if (c->expire_at == &g->all) {
        c->expire_at = g->all.next;
    }
    if (c->gone_at == &g->all) {
        c->gone_at = g->all.next;
    }
}

struct sweep {
    int64_t now_ms; /* wall */
    int64_t retention_ms;
    bool by_empty; /* age counts from since_ms, not from the commit */
    int64_t since_ms;
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
static void expire_topic(const struct sweep *s, const struct group_topic *t,
                         const struct offset_flight *flight, uint32_t flight_n,
                         struct group_effects *fx, struct gone *b)
{
    for (uint32_t k = 0; k < t->n; k++) {
        if (!sweep_takes(s, t, &t->v[k]) ||
            offset_flight_find(flight, flight_n, t->name->text, t->v[k].partition) != NULL) {
            continue;
        }
        if (b->g == NULL) {
            gone_begin(b, t->group, fx, GONE_QUIET, NULL);
        }
        gone_offset(b, t->name->text, t->v[k].partition);
    }
}

/* How many offsets go. */
static uint32_t expire_group(struct group *g, const struct group_event *ev,
                             struct group_effects *fx, bool *over)
{
    struct sweep s = {0}; /* not begun: a group without offsets has nothing to look at */
    *over = false;
    if (g->kind == GROUP_KIND_SHARE || (g->offsets_n != 0 && !sweep_begin(&s, g, ev->wall_ms))) {
        return 0;
    }
    struct gone b = {0};
    struct offset_flight *flight;
    uint32_t flight_n = offset_flights(g, &fx->arena, &flight);
    for (uint32_t i = 0; i < g->topic_n; i++) {
        const struct group_topic *t = g->topic_v[i];
        if (t->n != 0 && !group_subscribes(g, t->name->text)) {
            expire_topic(&s, t, flight, flight_n, fx, &b);
        }
    }
    *over = list_empty(&g->pending) && group_is_over(g, b.total);
    if (b.g == NULL && *over) {
        gone_begin(&b, g, fx, GONE_QUIET, NULL);
    }
    if (b.g) {
        gone_end(&b, *over);
    }
    return b.total;
}

static void expire_over(struct group_coordinator *c, struct group_effects *fx)
{
    if (c->expired_offsets + c->expired_groups) {
        group_fx_line(fx, false, false,
                      "offsets are older than their retention and went offsets=%llu groups=%llu",
                      (unsigned long long)c->expired_offsets,
                      (unsigned long long)c->expired_groups);
    }
    c->expired_offsets = c->expired_groups = 0;
}

static void expire_slice(struct group_coordinator *c, const struct group_event *ev,
                         struct group_effects *fx, struct slice *s)
{
    while (c->expire_at && slice_has_room(s)) {
        bool over;
        struct group *g = walk_on(c, &c->expire_at, s);
        if (g == NULL) {
            expire_over(c, fx);
            break;
        }
        s->looked += g->offsets_n;
        uint32_t n = expire_group(g, ev, fx, &over);
        if (n && !over) {
            story_add(g, ev->wall_ms, "%u committed offsets are older than their retention and go",
                      n);
        }
        s->gone += n + over;
        c->expired_offsets += n;
        c->expired_groups += over;
    }
}

void offsets_expire(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx)
{
    if (c->expire_at == NULL) { /* else the last walk is not over: it will do */
        c->expire_at = c->all.next;
    }
    offsets_sweep(c, ev, fx);
}

/* ---- topics that went ---- */

struct topic_gone {
    struct list node; /* in c->gone, by seq */
    uint64_t seq;
    struct bytes topic;
    struct uuid topic_id;
};

struct topic_sweep {
    const struct topic_gone *gone;
    const struct group_topic *t;
    struct offset_flight *flight;
    uint32_t flight_n;
    struct gone b; /* begun when b.g is set */
    struct group *g;
    struct group_effects *fx;
};

static void topic_gone_offset(struct topic_sweep *s, int32_t partition)
{
    if (s->b.g == NULL) {
        gone_begin(&s->b, s->g, s->fx, GONE_QUIET, NULL);
    }
    gone_offset(&s->b, s->gone->topic, partition);
}

static bool is_of_topic(const struct topic_sweep *s, struct uuid id)
{
    return uuid_is_zero(id) || uuid_eq(id, s->gone->topic_id);
}

static void topic_gone_entry(struct topic_sweep *s, const struct offset_entry *e)
{
    if (is_of_topic(s, offset_topic_id(s->t, e)) &&
        offset_flight_find(s->flight, s->flight_n, s->gone->topic, e->partition) == NULL) {
        topic_gone_offset(s, e->partition);
    }
}

/* How many of its offsets go. */
static uint32_t topic_gone_group(struct group *g, const struct topic_gone *gone,
                                 const struct group_event *ev, struct group_effects *fx)
{
    struct topic_sweep s = {.gone = gone, .t = offset_topic(g, gone->topic), .g = g, .fx = fx};
    /* what is under way stands for its partition: a tombstone would be behind it in the log */
    s.flight_n = offset_flights(g, &fx->arena, &s.flight);
    for (uint32_t i = 0; s.t && i < s.t->n; i++) {
        topic_gone_entry(&s, &s.t->v[i]);
    }
    if (s.t) {
        map_for_each (slot, &s.t->open) {
            const struct open_offset *o = slot->value;
            if (offset_find(s.t, o->e.partition) == NULL) {
                topic_gone_entry(&s, &o->e);
            }
        }
    }
    for (uint32_t i = 0; i < s.flight_n; i++) {
        if (!s.flight[i].gone && bytes_eq(s.flight[i].topic, gone->topic) &&
            is_of_topic(&s, s.flight[i].topic_id)) {
            topic_gone_offset(&s, s.flight[i].partition);
        }
    }
    if (s.b.g) {
        story_add(g, ev->wall_ms, "topic %s is deleted, and %u committed offsets with it",
                  SHOW(gone->topic), s.b.total);
        gone_end(&s.b, false);
    }
    return s.b.total;
}

static uint64_t catch_up(struct group *g, const struct group_event *ev, struct group_effects *fx)
{
    struct group_coordinator *c = g->c;
    uint64_t n = 0;
    if (g->gone_seq == c->gone_seq) {
        return 0;
    }
    list_for_each (at, &c->gone) {
        const struct topic_gone *t = LIST_ENTRY(at, struct topic_gone, node);
        if (t->seq > g->gone_seq && (g->topic_n != 0 || !list_empty(&g->pending))) {
            n += topic_gone_group(g, t, ev, fx);
        }
    }
    g->gone_seq = c->gone_seq;
    return n;
}

void offsets_catch_up(struct group *g, const struct group_event *ev, struct group_effects *fx)
{
    (void)catch_up(g, ev, fx);
}

/* Those up to seq have come to every group. */
static void forget_gone(struct group_coordinator *c, uint64_t seq)
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
    if (c->gone_at == NULL && !list_empty(&c->gone)) {
        c->gone_at = c->all.next;
        c->gone_walk_seq = c->gone_seq;
    }
}

static void gone_slice(struct group_coordinator *c, const struct group_event *ev,
                       struct group_effects *fx, struct slice *s)
{
    while (c->gone_at && slice_has_room(s)) {
        struct group *g = walk_on(c, &c->gone_at, s);
        if (g) {
            s->gone += catch_up(g, ev, fx);
        } else {
            forget_gone(c, c->gone_walk_seq);
            walk_for_gone(c); /* for those that came since this walk began */
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
    c->expire_at = c->gone_at = NULL;
    forget_gone(c, c->gone_seq);
}

void offsets_sweep(struct group_coordinator *c, const struct group_event *ev,
                   struct group_effects *fx)
{
    struct slice s = {0};
    gone_slice(c, ev, fx, &s);
    expire_slice(c, ev, fx, &s);
    c->slice_ms = c->gone_at || c->expire_at ? ev->now_ms + 1 : INT64_MAX;
}
