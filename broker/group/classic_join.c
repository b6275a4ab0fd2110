/* JoinGroup: the checks in Kafka's order, then who joins: somebody new (told to come again with his
 * id from version 4 on, KIP-394), a static member that comes back (classic_static.c), somebody who
 * was told to come again, or a member.
 *
 * The answer waits, parked in the member, until the generation begins; errors and what a stable
 * group knows already are answered at once. A second JoinGroup of a member whose first one still
 * waits takes its place; the first is answered REBALANCE_IN_PROGRESS (Kafka never answers it). */
#include <stdio.h>

#include "broker/group/classic.h"
#include "broker/group/offset_ops.h"

/* ---- answers ---- */

struct bytes classic_copy(struct group_ask *ask, struct bytes b)
{
    if (b.data == NULL || b.len == 0) {
        return b.data ? bytes_str("") : b;
    }
    return bytes_of(arena_strndup(ask->arena, b.data, b.len), b.len);
}

static struct bytes copy_str(struct group_ask *ask, const struct group_str *s)
{
    return s ? classic_copy(ask, s->text) : BYTES_NULL;
}

/* Before version 7 the protocol cannot be null. */
static struct bytes protocol_for(const struct group_ask *ask, struct bytes name)
{
    return ask->version >= 7 ? (name.len > 0 ? name : BYTES_NULL)
                             : (bytes_is_null(name) ? bytes_str("") : name);
}

void classic_join_error(struct group_effects *fx, struct group_ask *ask, struct bytes member_id,
                        int16_t code)
{
    struct join_group_response *r = ask->response;
    r->error_code = code;
    r->generation_id = -1;
    r->protocol_type = BYTES_NULL;
    r->protocol_name = protocol_for(ask, BYTES_NULL);
    r->leader = bytes_str("");
    r->member_id = bytes_is_null(member_id) ? bytes_str("") : classic_copy(ask, member_id);
    group_fx_reply(fx, ask);
}

void classic_join_answer(struct classic *cl, const struct classic_member *m, struct group_ask *ask,
                         bool with_members, struct group_effects *fx)
{
    struct join_group_response *r = ask->response;
    r->error_code = KE_NONE;
    r->generation_id = cl->generation;
    r->protocol_type = copy_str(ask, cl->type);
    r->protocol_name = protocol_for(ask, copy_str(ask, cl->protocol));
    r->leader = cl->leader ? classic_copy(ask, cl->leader->id) : bytes_str("");
    r->member_id = classic_copy(ask, m->id);
    if (with_members) {
        r->members = proto_array(ask->arena, &join_group_response_join_group_response_member_desc,
                                 cl->members_n);
        list_for_each (n, &cl->members) {
            const struct classic_member *o = LIST_ENTRY(n, struct classic_member, node);
            struct join_group_response_join_group_response_member *out =
                &r->members[r->members_n++];
            out->member_id = classic_copy(ask, o->id);
            out->group_instance_id = classic_copy(ask, o->instance);
            out->metadata = classic_copy(ask, classic_member_metadata(o, cl->protocol));
        }
    }
    group_fx_reply(fx, ask);
}

/* ---- one JoinGroup ---- */

struct join {
    const struct group_event *ev;
    struct group_ask *ask;
    const struct join_group_request *q;
    int32_t rebalance_ms;
    struct bytes reason; /* what the client says (KIP-800) */
    struct group_effects *fx;
};

static const char *said(const struct join *j, struct group_shown *out, char *text, size_t size)
{
    if (j->reason.len == 0) {
        return "";
    }
    snprintf(text, size, " (its reason: %s)", group_show_quoted(out, j->reason));
    return text;
}
#define SAID(j) said((j), &(struct group_shown){""}, (char[120]){""}, 120)

/* The id of a member: its client's or its instance's name and a random uuid. A name that leaves no
 * room for the uuid is cut, since the id has to be a string of the protocol again, in answers and
 * in the log; Kafka cannot write such an answer. */
static struct bytes make_id(const struct join *j)
{
    enum { RANDOM = 37, NAME_MAX = INT16_MAX - RANDOM };
    static const char hex[] = "0123456789abcdef";
    struct bytes name =
        bytes_is_null(j->q->group_instance_id) ? j->ask->client_id : j->q->group_instance_id;
    name.len = name.len < NAME_MAX ? name.len : NAME_MAX;
    char *id = arena_alloc(&j->fx->arena, name.len + RANDOM), *p = id;
    if (name.len > 0) {
        memcpy(p, name.data, name.len);
    }
    p += name.len;
    *p++ = '-';
    for (int i = 0; i < 16; i++) {
        uint8_t b = j->ask->fresh.b[i];
        b = i == 6 ? (uint8_t)((b & 0x0f) | 0x40) : i == 8 ? (uint8_t)((b & 0x3f) | 0x80) : b;
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = hex[b >> 4];
        *p++ = hex[b & 15];
    }
    return bytes_of(id, (size_t)(p - id));
}

static void park(struct classic *cl, struct classic_member *m, const struct join *j)
{
    struct group_ask *older = classic_member_take_join(cl, m);
    if (older != NULL) {
        classic_join_error(j->fx, older, m->id, KE_REBALANCE_IN_PROGRESS);
    }
    classic_member_park_join(cl, m, j->ask);
}

static void update(struct classic *cl, struct classic_member *m, const struct join *j)
{
    struct group_coordinator *c = cl->g->c;
    struct classic_protocols before =
        classic_member_set_protocols(cl, m, classic_protocols_of(c, j->q));
    classic_protocols_drop(c, &before);
    m->rebalance_ms = j->rebalance_ms;
    m->session_ms = j->q->session_timeout_ms;
    m->heard_ms = j->ev->now_ms;
    park(cl, m, j);
}

static void add(struct classic *cl, struct bytes id, const struct join *j)
{
    struct classic_member *m =
        classic_member_new(cl, id, j->q->group_instance_id, j->ask->client_id, j->ask->client_host);
    m->is_new = true;
    if (cl->state == CLASSIC_PREPARING && cl->previous == CLASSIC_EMPTY) {
        cl->grew = true;
    }
    classic_member_add(cl, m, j->q->protocol_type);
    update(cl, m, j);
    classic_member_alive(m, j->ev->now_ms, CLASSIC_NEW_MEMBER_MS);
    if (cl->state == CLASSIC_PREPARING) {
        story_add(cl->g, j->ev->wall_ms, "member %s joined%s", QUOTE_ID(id), SAID(j));
    }
    classic_rebalance(cl, j->ev, j->fx, "member %s (%s) joined%s", QUOTE_ID(id),
                      SHOW(j->ask->client_host), SAID(j));
}

static void join_new(struct classic *cl, const struct join *j)
{
    if (!classic_supports(cl, j->q)) {
        classic_join_error(j->fx, j->ask, BYTES_NULL, KE_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    struct bytes id = make_id(j);
    if (!bytes_is_null(j->q->group_instance_id)) {
        struct classic_member *m = map_get(&cl->by_instance, j->q->group_instance_id);
        if (m != NULL) {
            classic_join_static(cl, m, id, j->ev, j->fx);
        } else {
            add(cl, id, j);
        }
    } else if (j->ask->version >= 4) {
        classic_pending_new(cl, id, j->q->session_timeout_ms, j->ev->now_ms);
        classic_join_error(j->fx, j->ask, id, KE_MEMBER_ID_REQUIRED);
    } else {
        add(cl, id, j);
    }
}

static void join_member(struct classic *cl, struct classic_member *m, const struct join *j)
{
    bool same = classic_protocols_match(&m->protocols, j->q);
    switch (cl->state) {
    case CLASSIC_PREPARING:
        update(cl, m, j);
        classic_maybe_complete(cl, j->ev, j->fx);
        return;
    case CLASSIC_COMPLETING:
        if (same) { /* it did not get the answer, perhaps */
            classic_join_answer(cl, m, j->ask, m == cl->leader, j->fx);
            return;
        }
        break;
    case CLASSIC_STABLE:
        if (same && m != cl->leader) {
            classic_join_answer(cl, m, j->ask, false, j->fx);
            return;
        }
        break;
    case CLASSIC_EMPTY:
        classic_join_error(j->fx, j->ask, j->q->member_id, KE_UNKNOWN_MEMBER_ID);
        return;
    }
    update(cl, m, j);
    classic_rebalance(cl, j->ev, j->fx,
                      same ? "leader %s joined again%s" : "member %s changed its subscription%s",
                      QUOTE_ID(m->id), SAID(j));
}

static void join_known(struct classic *cl, const struct join *j)
{
    struct bytes id = j->q->member_id;
    if (!classic_supports(cl, j->q)) {
        classic_join_error(j->fx, j->ask, id, KE_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (map_get(&cl->pending, id) != NULL) {
        if (!bytes_is_null(j->q->group_instance_id)) {
            /* What Kafka answers too: an id that was given to a dynamic member. */
            classic_join_error(j->fx, j->ask, BYTES_NULL, KE_UNKNOWN_SERVER_ERROR);
            return;
        }
        add(cl, id, j);
        return;
    }
    struct classic_member *m;
    int16_t code = classic_validate(cl, id, j->q->group_instance_id, "JoinGroup", j->fx, &m);
    if (code != KE_NONE) {
        classic_join_error(j->fx, j->ask, id, code);
        return;
    }
    join_member(cl, m, j);
}

/* group.max.size. In a rebalance those who have joined count, not all members: if the setting was
 * made smaller, the last to join again are turned away. */
static bool accepts(const struct classic *cl, struct bytes id)
{
    const struct classic_member *m = classic_find(cl, id);
    uint32_t max = (uint32_t)cl->g->c->config->max_size;
    switch (cl->state) {
    case CLASSIC_EMPTY:
        return true;
    case CLASSIC_PREPARING:
        return (m != NULL && m->join != NULL) || cl->joins_n < max;
    default:
        return m != NULL || cl->members_n < max;
    }
}

static void turn_away(struct classic *cl, const struct join *j)
{
    struct classic_member *m = classic_find(cl, j->q->member_id);
    struct classic_pending *p = map_get(&cl->pending, j->q->member_id);
    if (m != NULL) {
        classic_member_evict(cl, m, j->fx);
    } else if (p != NULL) {
        classic_pending_remove(cl, p);
    }
    group_fx_line(j->fx, GROUP_LINE_EVENT,
                  "a member was turned away: the group has group.max.size members group=\"%s\" "
                  "client=\"%s\" host=\"%s\" members=%u",
                  SHOW(cl->g->id), SHOW(j->ask->client_id), SHOW(j->ask->client_host),
                  cl->members_n);
    classic_join_error(j->fx, j->ask, BYTES_NULL, KE_GROUP_MAX_SIZE_REACHED);
}

/* What the member will take, roughly and rather too much. */
static size_t weight(const struct join *j)
{
    size_t n = 2048 + j->q->group_id.len + 3 * j->q->member_id.len +
               2 * j->q->group_instance_id.len + j->ask->client_id.len + j->ask->client_host.len;
    for (int32_t i = 0; i < j->q->protocols_n; i++) {
        n += 192 + j->q->protocols[i].name.len + j->q->protocols[i].metadata.len;
    }
    return n;
}

static int16_t check(struct group_coordinator *c, const struct join *j)
{
    if (j->q->group_id.len == 0) {
        return KE_INVALID_GROUP_ID;
    }
    if (j->q->session_timeout_ms < c->config->session_min_ms ||
        j->q->session_timeout_ms > c->config->session_max_ms) {
        return KE_INVALID_SESSION_TIMEOUT;
    }
    return KE_NONE;
}

/* A group of another protocol that nobody is in becomes a classic one. */
static bool convertible(const struct group *g)
{
    return (g->kind == GROUP_KIND_CONSUMER || g->kind == GROUP_KIND_STREAMS) && foreign_is_empty(g);
}

void classic_join(struct group_coordinator *c, const struct group_event *ev,
                  struct group_effects *fx)
{
    const struct join_group_request *q = ev->ask->request;
    /* Version 0 has one timeout for both. */
    struct join j = {
        ev,        ev->ask,
        q,         ev->ask->version == 0 ? q->session_timeout_ms : q->rebalance_timeout_ms,
        q->reason, fx};
    int16_t code = check(c, &j);
    if (code != KE_NONE) {
        classic_join_error(fx, j.ask, q->member_id, code);
        return;
    }
    struct group *g = group_find(c, q->group_id);
    if (g != NULL && g->kind != GROUP_KIND_CLASSIC && !convertible(g)) {
        classic_join_error(fx, j.ask, BYTES_NULL, KE_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    bool is_new = g == NULL || g->kind != GROUP_KIND_CLASSIC || group_doomed(g);
    if (is_new && q->member_id.len > 0) {
        classic_join_error(fx, j.ask, q->member_id, KE_UNKNOWN_MEMBER_ID);
        return;
    }
    if (!group_room(c, weight(&j), fx)) {
        classic_join_error(fx, j.ask, q->member_id, KE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    g = g ? g : group_make(c, q->group_id, GROUP_KIND_CLASSIC);
    if (is_new) {
        classic_delete(g, fx); /* of a group that is being deleted: nobody is in it */
        classic_write_new(classic_make(g, ev->now_ms, ev->wall_ms), fx);
    }
    struct classic *cl = classic_make(g, ev->now_ms, ev->wall_ms);
    if (!accepts(cl, q->member_id)) {
        turn_away(cl, &j);
    } else if (q->member_id.len == 0) {
        join_new(cl, &j);
    } else {
        join_known(cl, &j);
    }
}
