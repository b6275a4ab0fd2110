/* A classic group and the log: GroupMetadata out and in, loading, and the ways a group ends.
 *
 * A group that is new is written empty, as Kafka does, so that another coordinator knows it; if
 * that write fails there is no group, and whoever has joined it meanwhile is told. */
#include <stdlib.h>

#include "broker/group/classic.h"

struct group_record classic_record(const struct classic *cl, const struct bytes *assignments,
                                   struct group_effects *fx)
{
    struct group_metadata_value v;
    proto_msg_init(&group_metadata_value_msg, &v);
    v.protocol_type = cl->type ? cl->type->text : bytes_str("");
    v.generation = cl->generation;
    v.protocol = cl->protocol ? cl->protocol->text : BYTES_NULL;
    v.leader = cl->leader ? cl->leader->id : BYTES_NULL;
    v.current_state_timestamp = cl->state_wall_ms;
    v.members = proto_array(&fx->arena, &group_metadata_value_member_metadata_desc, cl->members_n);
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        struct group_metadata_value_member_metadata *out = &v.members[v.members_n];
        out->member_id = m->id;
        out->group_instance_id = m->instance;
        out->client_id = m->client_id->text;
        out->client_host = m->client_host->text;
        out->rebalance_timeout = m->rebalance_ms;
        out->session_timeout = m->session_ms;
        out->subscription = classic_member_metadata(m, cl->protocol);
        out->assignment = assignments ? assignments[v.members_n] : m->assignment;
        v.members_n++;
    }
    return group_record_metadata(fx, cl->g->id, &v);
}

/* ---- groups that are empty, groups that are new ---- */

/* Should this broker die now, the last generation would be there again, time out and be empty. */
static void empty_written(struct group_coordinator *c, struct group_op *op,
                          const struct group_event *ev, struct group_effects *fx)
{
    struct group *g = op->group;
    g->in_log |= ev->code == KE_NONE;
    if (ev->code != KE_NONE) {
        group_fx_line(fx, GROUP_LINE_WARNING,
                      "an empty group could not be written group=\"%s\" error=%d", SHOW(g->id),
                      (int)ev->code);
    }
    group_dealloc(c, op, sizeof *op);
    group_release(g);
}

void classic_write_empty(struct classic *cl, struct group_effects *fx)
{
    struct group_op *op = group_alloc(cl->g->c, sizeof *op);
    op->group = cl->g;
    op->written = empty_written;
    struct group_write *w = group_fx_write(fx, op, 1);
    w->records[0] = classic_record(cl, NULL, fx);
}

static void drop(struct group *g, int16_t code, struct group_effects *fx)
{
    struct classic *cl = g->classic;
    if (cl == NULL) {
        return;
    }
    list_for_each (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        struct group_ask *join = classic_member_take_join(cl, m), *sync = m->sync;
        m->sync = NULL;
        if (join != NULL) {
            classic_join_error(fx, join, m->id, code);
        }
        if (sync != NULL) {
            classic_sync_error(fx, sync, code);
        }
    }
    classic_free(g);
}

struct new_op {
    struct group_op op;
    enum group_kind before; /* the group was of this kind, and empty */
};

static void new_written(struct group_coordinator *c, struct group_op *op,
                        const struct group_event *ev, struct group_effects *fx)
{
    struct new_op *o = CONTAINER_OF(op, struct new_op, op);
    struct group *g = op->group;
    if (ev->code == KE_NONE) {
        g->in_log = true;
        foreign_free(g);
    } else {
        group_fx_line(fx, GROUP_LINE_WARNING,
                      "a new group could not be written group=\"%s\" error=%d", SHOW(g->id),
                      (int)ev->code);
        if (!g->in_log || o->before != GROUP_KIND_CLASSIC) {
            drop(g, group_append_error(ev->code), fx);
            g->kind = o->before;
        }
    }
    group_dealloc(c, o, sizeof *o);
    group_release(g);
}

void classic_write_new(struct classic *cl, struct group_effects *fx)
{
    struct group *g = cl->g;
    bool converts = g->kind != GROUP_KIND_CLASSIC;
    struct new_op *o = group_alloc(g->c, sizeof *o);
    o->op.group = g;
    o->op.written = new_written;
    o->before = g->kind;
    struct group_write *w =
        group_fx_write(fx, &o->op, 1 + (converts ? foreign_tombstones_max(g) : 0));
    w->n = 0;
    if (converts) {
        foreign_tombstones(g, fx, w->records, &w->n);
    }
    w->records[w->n++] = classic_record(cl, NULL, fx);
    g->kind = GROUP_KIND_CLASSIC;
}

/* ---- the log in ---- */

static void load_member(struct classic *cl, const struct group_metadata_value *v,
                        const struct group_metadata_value_member_metadata *in)
{
    struct group_coordinator *c = cl->g->c;
    if (classic_find(cl, in->member_id) != NULL ||
        (!bytes_is_null(in->group_instance_id) &&
         map_get(&cl->by_instance, in->group_instance_id) != NULL)) {
        return; /* a log that lies */
    }
    struct classic_member *m = classic_member_new(cl, in->member_id, in->group_instance_id,
                                                  in->client_id, in->client_host);
    m->session_ms = in->session_timeout;
    m->rebalance_ms = in->rebalance_timeout == -1 ? in->session_timeout : in->rebalance_timeout;
    classic_member_add(cl, m, v->protocol_type);
    struct join_group_request_join_group_request_protocol only = {.name = v->protocol,
                                                                  .metadata = in->subscription};
    struct join_group_request q = {.protocols = &only, .protocols_n = 1};
    classic_member_set_protocols(cl, m, classic_protocols_of(c, &q));
    classic_member_assign(m, in->assignment);
}

void classic_replay(struct group *g, const struct group_metadata_value *v, int64_t timestamp)
{
    UNUSED(timestamp);
    classic_free(g);
    g->in_log = v != NULL;
    if (v == NULL) {
        return;
    }
    struct classic *cl = classic_make(g, 0, v->current_state_timestamp);
    cl->generation = v->generation;
    cl->type = v->protocol_type.len > 0 ? group_str_get(g->c, v->protocol_type) : NULL;
    cl->protocol = bytes_is_null(v->protocol) ? NULL : group_str_get(g->c, v->protocol);
    for (int32_t i = 0; i < v->members_n; i++) {
        load_member(cl, v, &v->members[i]);
    }
    struct classic_member *leader = bytes_is_null(v->leader) ? NULL : classic_find(cl, v->leader);
    cl->leader = leader ? leader : cl->leader;
    cl->state = cl->members_n > 0 ? CLASSIC_STABLE : CLASSIC_EMPTY;
    classic_read_topics(cl);
}

void classic_loaded(struct group *g, int64_t now_ms, int64_t wall_ms, struct group_effects *fx)
{
    struct classic *cl = g->classic;
    if (cl == NULL) {
        return;
    }
    const struct group_event ev = {.kind = GROUP_TICK, .now_ms = now_ms, .wall_ms = wall_ms};
    cl->state_ms = now_ms;
    list_for_each (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        m->heard_ms = now_ms;
        classic_member_alive(m, now_ms, m->session_ms);
    }
    if (cl->members_n > 0) {
        story_add(g, wall_ms, "generation %d with %u members was loaded from the log",
                  (int)cl->generation, cl->members_n);
    }
    if (cl->members_n > (uint32_t)g->c->config->max_size) {
        classic_rebalance(cl, &ev, fx, "the group has %u members, group.max.size allows %d",
                          cl->members_n, (int)g->c->config->max_size);
    }
}

/* ---- ends ---- */

void classic_unload(struct group *g, int16_t code, struct group_effects *fx)
{
    drop(g, code, fx);
}

void classic_delete(struct group *g, struct group_effects *fx)
{
    drop(g, KE_COORDINATOR_NOT_AVAILABLE, fx);
}

/* ---- what others ask ---- */

bool classic_is_idle(const struct group *g)
{
    const struct classic *cl = g->classic;
    return cl == NULL ||
           (cl->state == CLASSIC_EMPTY && cl->members_n == 0 && cl->pending.count == 0);
}

bool classic_is_empty(const struct group *g)
{
    return g->classic == NULL || g->classic->state == CLASSIC_EMPTY;
}

bool classic_is_stable(const struct group *g)
{
    return g->classic != NULL && g->classic->state == CLASSIC_STABLE;
}

int64_t classic_empty_since(const struct group *g)
{
    const struct classic *cl = g->classic;
    return cl != NULL && cl->state == CLASSIC_EMPTY && cl->type != NULL ? cl->state_wall_ms : -1;
}

bool classic_uses_consumer_protocol(const struct group *g)
{
    return g->classic != NULL && g->classic->type != NULL &&
           bytes_eq_str(g->classic->type->text, "consumer");
}

const char *classic_state_name(const struct group *g)
{
    static const char *const names[] = {
        [CLASSIC_EMPTY] = "Empty",
        [CLASSIC_PREPARING] = "PreparingRebalance",
        [CLASSIC_COMPLETING] = "CompletingRebalance",
        [CLASSIC_STABLE] = "Stable",
    };
    return names[g->classic ? g->classic->state : CLASSIC_EMPTY];
}

/* ---- subscriptions ---- */

enum { SUBSCRIPTION_MAX = 16 << 20 };

void classic_drop_topics(struct classic *cl)
{
    for (uint32_t i = 0; i < cl->topics_n; i++) {
        group_str_put(cl->g->c, cl->topics[i]);
    }
    group_dealloc(cl->g->c, cl->topics, cl->topics_n * sizeof(struct group_str *));
    cl->topics = NULL;
    cl->topics_n = 0;
    cl->topics_known = false;
}

/* Adds what one member subscribes to. Kafka reads every version as version 0, which is the front of
 * all of them. Names of four bytes take twenty times as much here: beyond the memory of the
 * coordinator, and of one subscription beyond SUBSCRIPTION_MAX decoded, it counts as one that
 * cannot be read. */
static bool read_one(struct classic *cl, struct bytes sub, struct map *seen, struct arena *a)
{
    struct consumer_protocol_subscription s;
    if (sub.len < 2 || (int16_t)load_be16(sub.data) < 0 ||
        proto_decode(&consumer_protocol_subscription_msg, 0, bytes_of(sub.data + 2, sub.len - 2),
                     NULL, a, &s) != 0) {
        return false;
    }
    for (int32_t i = 0; i < s.topics_n; i++) {
        if (map_get(seen, s.topics[i]) == NULL) {
            if (cl->g->c->bytes > cl->g->c->config->memory_max) {
                return false;
            }
            struct group_str *t = group_str_get(cl->g->c, s.topics[i]);
            map_put(seen, t->text, t);
        }
    }
    return true;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (struct group_str *const *)a;
    uintptr_t y = (uintptr_t) * (struct group_str *const *)b;
    return (x > y) - (x < y);
}

/* Of this generation; a consumer's group only. One member that cannot be read makes all unknown. */
void classic_read_topics(struct classic *cl)
{
    struct group_coordinator *c = cl->g->c;
    struct map seen = {.secret = c->secret};
    struct arena a = {.limit = SUBSCRIPTION_MAX};
    classic_drop_topics(cl);
    if (!classic_uses_consumer_protocol(cl->g) || (cl->members_n > 0 && cl->protocol == NULL)) {
        return;
    }
    bool known = true;
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        known = known && read_one(cl, classic_member_metadata(m, cl->protocol), &seen, &a);
        arena_reset(&a);
    }
    cl->topics = group_alloc(c, seen.count * sizeof *cl->topics);
    map_for_each (s, &seen) {
        cl->topics[cl->topics_n++] = s->value;
    }
    qsort(cl->topics, cl->topics_n, sizeof *cl->topics, by_address);
    if (!known) {
        classic_drop_topics(cl);
    }
    cl->topics_known = known;
    map_free(&seen);
    arena_free(&a);
}

bool classic_subscribes(const struct group *g, struct bytes topic)
{
    const struct classic *cl = g->classic;
    if (cl == NULL || !cl->topics_known) {
        return classic_uses_consumer_protocol(g);
    }
    const struct group_str *t = map_get(&g->c->strings, topic);
    return t != NULL && cl->topics_n > 0 &&
           bsearch(&t, cl->topics, cl->topics_n, sizeof *cl->topics, by_address) != NULL;
}
