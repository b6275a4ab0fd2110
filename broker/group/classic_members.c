/* Members of a classic group: who they are, which protocols they support, when their sessions end.
 *
 * Every count that the state machine reads (joins parked, syncs owed, supporters of a protocol) is
 * kept here and nowhere else. */
#include "base/mem.h"
#include "broker/group/classic.h"

/* What stands before the random part, which is 36 characters, and eight of those. */
const char *classic_quote_id(struct group_shown *out, struct bytes id)
{
    enum { RANDOM = 36, SHOWN = 8 };
    if (id.len <= RANDOM || id.data[id.len - RANDOM - 1] != '-' ||
        id.data[id.len - RANDOM + SHOWN] != '-') {
        return group_show_quoted(out, id);
    }
    struct bytes front = bytes_of(id.data, id.len - RANDOM + SHOWN);
    group_show(out, front);
    strcat(out->s, strlen(out->s) <= GROUP_SHOWN_MAX ? "..." : "");
    return group_quote(out);
}

struct classic *classic_make(struct group *g, int64_t now_ms, int64_t wall_ms)
{
    if (g->classic != NULL) {
        return g->classic;
    }
    struct classic *cl = group_alloc(g->c, sizeof *cl);
    cl->g = g;
    cl->state_ms = now_ms;
    cl->state_wall_ms = wall_ms;
    list_init(&cl->members);
    cl->by_id.secret = cl->by_instance.secret = g->c->secret;
    cl->pending.secret = cl->votes.secret = g->c->secret;
    g->classic = cl;
    return cl;
}

static void pending_free(struct group_coordinator *c, struct classic_pending *p)
{
    group_timer_cancel(c, &p->timer);
    group_undup(c, &p->id);
    group_dealloc(c, p, sizeof *p);
}

void classic_free(struct group *g)
{
    struct classic *cl = g->classic;
    struct group_coordinator *c = g->c;
    if (cl == NULL) {
        return;
    }
    while (!list_empty(&cl->members)) {
        struct list *first = cl->members.next;
        classic_member_remove(cl, LIST_ENTRY(first, struct classic_member, node));
    }
    map_for_each (s, &cl->pending) {
        pending_free(c, s->value);
    }
    group_map_free(c, &cl->pending);
    group_timer_cancel(c, &cl->join_timer);
    group_timer_cancel(c, &cl->sync_timer);
    classic_drop_topics(cl);
    ASSERT(cl->votes.count == 0 && cl->joins_n == 0 && cl->syncs_owed == 0);
    group_str_put(c, cl->type);
    group_str_put(c, cl->protocol);
    group_undup(c, &cl->reason);
    group_dealloc(c, cl, sizeof *cl);
    g->classic = NULL;
}

struct classic_member *classic_find(const struct classic *cl, struct bytes id)
{
    return map_get(&cl->by_id, id);
}

int16_t classic_validate(const struct classic *cl, struct bytes id, struct bytes instance,
                         const char *what, struct group_effects *fx, struct classic_member **m)
{
    if (!bytes_is_null(instance)) {
        const struct classic_member *holder = map_get(&cl->by_instance, instance);
        if (holder == NULL) {
            return KE_UNKNOWN_MEMBER_ID;
        }
        if (!bytes_eq(holder->id, id)) {
            group_fx_line(fx, GROUP_LINE_EVENT,
                          "a static member was fenced group=\"%s\" instance=\"%s\" "
                          "member=\"%s\" holder=\"%s\" request=%s",
                          SHOW(cl->g->id), SHOW(instance), SHOW(id), SHOW(holder->id), what);
            return KE_FENCED_INSTANCE_ID;
        }
    }
    *m = classic_find(cl, id);
    return *m ? KE_NONE : KE_UNKNOWN_MEMBER_ID;
}

/* ---- coming and going ---- */

struct classic_member *classic_member_new(struct classic *cl, struct bytes id,
                                          struct bytes instance, struct bytes client_id,
                                          struct bytes client_host)
{
    struct group_coordinator *c = cl->g->c;
    struct classic_member *m = group_alloc(c, sizeof *m);
    m->g = cl->g;
    m->session.fire = classic_session_fire;
    m->id = group_dup(c, id);
    m->instance = group_dup(c, instance);
    m->client_id = group_str_get(c, client_id);
    m->client_host = group_str_get(c, client_host);
    m->assignment = bytes_str("");
    list_init(&m->node);
    return m;
}

void classic_member_add(struct classic *cl, struct classic_member *m, struct bytes type)
{
    struct group_coordinator *c = cl->g->c;
    struct classic_pending *p = map_get(&cl->pending, m->id);
    if (p != NULL) {
        classic_pending_remove(cl, p);
    }
    if (cl->members_n == 0) {
        group_str_put(c, cl->type);
        cl->type = group_str_get(c, type);
    }
    group_map_put(c, &cl->by_id, m->id, m);
    if (!bytes_is_null(m->instance)) {
        group_map_put(c, &cl->by_instance, m->instance, m);
    }
    list_push_back(&cl->members, &m->node);
    cl->members_n++;
    c->members++;
    if (cl->leader == NULL) {
        cl->leader = m;
    }
}

static void supporters_add(struct classic *cl, const struct classic_protocols *p, int by);

void classic_member_remove(struct classic *cl, struct classic_member *m)
{
    struct group_coordinator *c = cl->g->c;
    ASSERT(m->join == NULL && m->sync == NULL);
    classic_member_owes_sync(cl, m, false);
    group_timer_cancel(c, &m->session);
    supporters_add(cl, &m->protocols, -1);
    classic_protocols_drop(c, &m->protocols);
    list_remove(&m->node);
    group_map_remove(c, &cl->by_id, m->id);
    if (!bytes_is_null(m->instance)) {
        group_map_remove(c, &cl->by_instance, m->instance);
    }
    cl->members_n--;
    c->members--;
    if (cl->leader == m) {
        struct list *first = cl->members.next;
        cl->leader =
            list_empty(&cl->members) ? NULL : LIST_ENTRY(first, struct classic_member, node);
    }
    group_undup(c, &m->id);
    group_undup(c, &m->instance);
    group_undup(c, &m->assignment);
    group_str_put(c, m->client_id);
    group_str_put(c, m->client_host);
    group_dealloc(c, m, sizeof *m);
}

void classic_member_rename(struct classic *cl, struct classic_member *m, struct bytes id)
{
    struct group_coordinator *c = cl->g->c;
    group_map_remove(c, &cl->by_id, m->id);
    group_undup(c, &m->id);
    m->id = group_dup(c, id);
    group_map_put(c, &cl->by_id, m->id, m);
}

void classic_member_park_join(struct classic *cl, struct classic_member *m, struct group_ask *ask)
{
    ASSERT(m->join == NULL);
    m->join = ask;
    cl->joins_n++;
}

struct group_ask *classic_member_take_join(struct classic *cl, struct classic_member *m)
{
    struct group_ask *ask = m->join;
    cl->joins_n -= ask != NULL;
    m->join = NULL;
    return ask;
}

void classic_member_owes_sync(struct classic *cl, struct classic_member *m, bool owes)
{
    if (m->owes_sync != owes) {
        m->owes_sync = owes;
        cl->syncs_owed += owes ? 1u : -1u;
    }
}

void classic_member_alive(struct classic_member *m, int64_t now_ms, int64_t after_ms)
{
    m->due_ms = now_ms + after_ms;
    if (m->session.at == 0 || m->session.due_ms > m->due_ms) {
        group_timer_set(m->g->c, &m->session, m->due_ms);
    }
}

void classic_member_assign(struct classic_member *m, struct bytes assignment)
{
    struct group_coordinator *c = m->g->c;
    group_undup(c, &m->assignment);
    m->assignment = assignment.len > 0 ? group_dup(c, assignment) : bytes_str("");
}

/* ---- those who were told to come again ---- */

struct classic_pending *classic_pending_new(struct classic *cl, struct bytes id, int32_t session_ms,
                                            int64_t now_ms)
{
    struct group_coordinator *c = cl->g->c;
    struct classic_pending *p = group_alloc(c, sizeof *p);
    p->g = cl->g;
    p->id = group_dup(c, id);
    p->session_ms = session_ms;
    p->timer.fire = classic_pending_fire;
    group_map_put(c, &cl->pending, p->id, p);
    group_timer_set(c, &p->timer, now_ms + session_ms);
    return p;
}

void classic_pending_remove(struct classic *cl, struct classic_pending *p)
{
    group_map_remove(cl->g->c, &cl->pending, p->id);
    pending_free(cl->g->c, p);
}

/* ---- protocols ---- */

struct classic_protocols classic_protocols_of(struct group_coordinator *c,
                                              const struct join_group_request *q)
{
    uint32_t n = q->protocols_n > 0 ? (uint32_t)q->protocols_n : 0;
    struct classic_protocols p = {.v = group_alloc(c, n * sizeof *p.v), .n = n};
    for (uint32_t i = 0; i < n; i++) {
        p.v[i].name = group_str_get(c, q->protocols[i].name);
        p.v[i].metadata = group_dup(c, q->protocols[i].metadata);
    }
    return p;
}

void classic_protocols_drop(struct group_coordinator *c, struct classic_protocols *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        group_str_put(c, p->v[i].name);
        group_undup(c, &p->v[i].metadata);
    }
    group_dealloc(c, p->v, p->n * sizeof *p->v);
    *p = (struct classic_protocols){0};
}

bool classic_protocols_match(const struct classic_protocols *p, const struct join_group_request *q)
{
    if (q->protocols_n < 0 || p->n != (uint32_t)q->protocols_n) {
        return false;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        if (!bytes_eq(p->v[i].name->text, q->protocols[i].name) ||
            !bytes_eq(p->v[i].metadata, q->protocols[i].metadata)) {
            return false;
        }
    }
    return true;
}

static void supporters_add(struct classic *cl, const struct classic_protocols *p, int by)
{
    struct group_coordinator *c = cl->g->c;
    uint64_t stamp = ++cl->stamp;
    for (uint32_t i = 0; i < p->n; i++) {
        struct classic_vote *v = map_get(&cl->votes, p->v[i].name->text);
        if (v == NULL && by > 0) {
            v = group_alloc(c, sizeof *v);
            v->name = group_str_get(c, p->v[i].name->text);
            group_map_put(c, &cl->votes, v->name->text, v);
        }
        if (v == NULL || v->stamp == stamp) {
            continue;
        }
        v->stamp = stamp;
        v->supporters += (uint32_t)by;
        if (v->supporters == 0) {
            group_map_remove(c, &cl->votes, v->name->text);
            group_str_put(c, v->name);
            group_dealloc(c, v, sizeof *v);
        }
    }
}

struct classic_protocols classic_member_set_protocols(struct classic *cl, struct classic_member *m,
                                                      struct classic_protocols p)
{
    struct classic_protocols before = m->protocols;
    supporters_add(cl, &before, -1);
    m->protocols = p;
    supporters_add(cl, &m->protocols, 1);
    return before;
}

struct bytes classic_member_metadata(const struct classic_member *m, const struct group_str *name)
{
    for (uint32_t i = 0; i < m->protocols.n; i++) {
        if (m->protocols.v[i].name == name) {
            return m->protocols.v[i].metadata;
        }
    }
    return bytes_str("");
}

static uint32_t supporters_of(const struct classic *cl, struct bytes name)
{
    const struct classic_vote *v = map_get(&cl->votes, name);
    return v ? v->supporters : 0;
}

bool classic_supports(const struct classic *cl, const struct join_group_request *q)
{
    if (cl->state == CLASSIC_EMPTY) {
        return q->protocol_type.len > 0 && q->protocols_n > 0;
    }
    if (cl->type == NULL || !bytes_eq(cl->type->text, q->protocol_type)) {
        return false;
    }
    for (int32_t i = 0; i < q->protocols_n; i++) {
        if (supporters_of(cl, q->protocols[i].name) == cl->members_n) {
            return true;
        }
    }
    return false;
}

/* Of two with the same votes Kafka takes the one that comes first in a Java HashMap; so that a
 * group gets the same protocol there as here, this is that order: the bucket of the name's hash,
 * and in one bucket the first vote. */
static uint32_t java_bucket(struct bytes name, uint32_t buckets)
{
    uint32_t h = 0;
    for (size_t i = 0; i < name.len; i++) {
        h = 31 * h + name.data[i];
    }
    return (h ^ h >> 16) & (buckets - 1);
}

static bool beats(const struct classic_vote *a, const struct classic_vote *b, uint32_t buckets)
{
    if (a->votes != b->votes) {
        return a->votes > b->votes;
    }
    uint32_t x = java_bucket(a->name->text, buckets), y = java_bucket(b->name->text, buckets);
    return x < y || (x == y && a->order < b->order);
}

/* Each member votes for the first of its protocols that all support. */
static uint32_t vote(struct classic *cl)
{
    uint32_t voted = 0;
    map_for_each (s, &cl->votes) {
        ((struct classic_vote *)s->value)->votes = 0;
    }
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        for (uint32_t i = 0; i < m->protocols.n; i++) {
            struct classic_vote *v = map_get(&cl->votes, m->protocols.v[i].name->text);
            if (v->supporters < cl->members_n) {
                continue;
            }
            if (v->votes++ == 0) {
                v->order = voted++;
            }
            break;
        }
    }
    return voted;
}

struct group_str *classic_select_protocol(struct classic *cl)
{
    ASSERT(cl->members_n > 0);
    uint32_t voted = vote(cl), buckets = 16;
    while (voted > buckets / 4 * 3) {
        buckets *= 2;
    }
    const struct classic_vote *best = NULL;
    map_for_each (s, &cl->votes) {
        const struct classic_vote *v = s->value;
        if (v->votes > 0 && (best == NULL || beats(v, best, buckets))) {
            best = v;
        }
    }
    return best ? best->name : NULL;
}
