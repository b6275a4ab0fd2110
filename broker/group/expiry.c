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
 * A topic that was deleted takes its offsets along, those that name another topic id excepted. */
#include "broker/group/offset_ops.h"

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

void offsets_expire(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx)
{
    uint64_t offsets = 0, groups = 0;
    map_for_each (slot, &c->groups) {
        struct group *g = slot->value;
        bool over;
        uint32_t n = expire_group(g, ev, fx, &over);
        if (n && !over) {
            story_add(g, ev->wall_ms, "%u committed offsets are older than their retention and go",
                      n);
        }
        offsets += n;
        groups += over;
    }
    if (offsets + groups) {
        group_fx_line(fx, false, false,
                      "offsets are older than their retention and went offsets=%llu groups=%llu",
                      (unsigned long long)offsets, (unsigned long long)groups);
    }
}

/* ---- topics that went ---- */

struct topic_sweep {
    const struct group_event *ev;
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
    gone_offset(&s->b, s->ev->topic, partition);
}

static bool is_of_topic(const struct topic_sweep *s, struct uuid id)
{
    return uuid_is_zero(id) || uuid_eq(id, s->ev->topic_id);
}

static void topic_gone_entry(struct topic_sweep *s, const struct offset_entry *e)
{
    if (is_of_topic(s, offset_topic_id(s->t, e)) &&
        offset_flight_find(s->flight, s->flight_n, s->ev->topic, e->partition) == NULL) {
        topic_gone_offset(s, e->partition);
    }
}

static void topic_gone_group(struct group *g, const struct group_event *ev,
                             struct group_effects *fx)
{
    struct topic_sweep s = {.ev = ev, .t = offset_topic(g, ev->topic), .g = g, .fx = fx};
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
        if (!s.flight[i].gone && bytes_eq(s.flight[i].topic, ev->topic) &&
            is_of_topic(&s, s.flight[i].topic_id)) {
            topic_gone_offset(&s, s.flight[i].partition);
        }
    }
    if (s.b.g) {
        story_add(g, ev->wall_ms, "topic %s is deleted, and %u committed offsets with it",
                  SHOW(ev->topic), s.b.total);
        gone_end(&s.b, false);
    }
}

void offsets_topic_gone(struct group_coordinator *c, const struct group_event *ev,
                        struct group_effects *fx)
{
    map_for_each (slot, &c->groups) {
        struct group *g = slot->value;
        if (g->topic_n != 0 || !list_empty(&g->pending)) {
            topic_gone_group(g, ev, fx);
        }
    }
}
