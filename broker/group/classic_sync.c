/* SyncGroup: members ask for their part, the leader brings everybody's.
 *
 * The leader's assignment goes into the log (GroupMetadata with subscriptions and assignments);
 * when it is committed every SyncGroup that waits is answered and the group is Stable. Until then
 * members are parked.
 *
 * In flight. A rebalance that begins before the commit (somebody came or left) makes the write
 * stale: its generation is compared and it changes nothing. A second SyncGroup of the leader while
 * the first is being written waits for that one: what the log says and what members are told stays
 * the same thing. A write that fails: everybody parked gets Kafka's error and the group rebalances.
 */
#include "broker/group/classic.h"

void classic_sync_error(struct group_effects *fx, struct group_ask *ask, int16_t code)
{
    struct sync_group_response *r = ask->response;
    r->error_code = code;
    r->protocol_type = BYTES_NULL;
    r->protocol_name = BYTES_NULL;
    r->assignment = bytes_str("");
    group_fx_reply(fx, ask);
}

static void answer(struct classic *cl, const struct classic_member *m, struct group_ask *ask,
                   struct group_effects *fx)
{
    struct sync_group_response *r = ask->response;
    r->error_code = KE_NONE;
    r->protocol_type = cl->type ? classic_copy(ask, cl->type->text) : BYTES_NULL;
    r->protocol_name = cl->protocol ? classic_copy(ask, cl->protocol->text) : BYTES_NULL;
    r->assignment = classic_copy(ask, m->assignment);
    group_fx_reply(fx, ask);
}

void classic_propagate(struct classic *cl, int16_t code, const struct group_event *ev,
                       struct group_effects *fx)
{
    list_for_each (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        struct group_ask *ask = m->sync;
        if (ask == NULL) {
            continue;
        }
        m->sync = NULL;
        if (code != KE_NONE) {
            classic_sync_error(fx, ask, code);
        } else {
            answer(cl, m, ask, fx);
        }
        classic_member_alive(m, ev->now_ms, m->session_ms);
    }
}

/* ---- the leader's assignment ---- */

struct assign_op {
    struct group_op op;
    int32_t generation;
    uint32_t n;
    struct bytes parts[]; /* owned; of the members in the order of the list */
};

static void op_free(struct assign_op *a)
{
    struct group_coordinator *c = a->op.group->c;
    for (uint32_t i = 0; i < a->n; i++) {
        group_undup(c, &a->parts[i]);
    }
    group_dealloc(c, a, sizeof *a + a->n * sizeof *a->parts);
}

/* The members are those of the write: whoever comes or goes ends CompletingRebalance. */
static void stable(struct classic *cl, struct assign_op *a, const struct group_event *ev,
                   struct group_effects *fx)
{
    uint32_t i = 0;
    ASSERT(a->n == cl->members_n);
    list_for_each (n, &cl->members) {
        classic_member_assign(LIST_ENTRY(n, struct classic_member, node), a->parts[i++]);
    }
    classic_propagate(cl, KE_NONE, ev, fx);
    classic_enter(cl, CLASSIC_STABLE, ev);
    story_add(cl->g, ev->wall_ms, "generation %d is stable: %u member%s, protocol %s, %s leads",
              (int)cl->generation, cl->members_n, cl->members_n == 1 ? "" : "s",
              QUOTE(cl->protocol->text), QUOTE_ID(cl->leader->id));
    classic_rebalance_ended(cl, "Stable", ev, fx);
}

static void not_stable(struct classic *cl, const struct group_event *ev, struct group_effects *fx)
{
    int16_t code = group_append_error(ev->code);
    group_fx_line(fx, GROUP_LINE_WARNING,
                  "the assignment could not be written: the group rebalances group=\"%s\" "
                  "generation=%d error=%d",
                  SHOW(cl->g->id), (int)cl->generation, (int)ev->code);
    classic_propagate(cl, code, ev, fx);
    classic_rebalance(cl, ev, fx, "the assignment could not be written (error %d)", (int)ev->code);
}

static void assigned(struct group_coordinator *c, struct group_op *op, const struct group_event *ev,
                     struct group_effects *fx)
{
    UNUSED(c);
    struct assign_op *a = CONTAINER_OF(op, struct assign_op, op);
    struct group *g = op->group;
    struct classic *cl = g->classic;
    g->in_log |= ev->code == KE_NONE;
    if (cl != NULL && cl->assigning == op) {
        ASSERT(cl->state == CLASSIC_COMPLETING && cl->generation == a->generation);
        cl->assigning = NULL;
        if (ev->code == KE_NONE) {
            stable(cl, a, ev, fx);
        } else {
            not_stable(cl, ev, fx);
        }
    }
    op_free(a);
    group_release(g);
}

static size_t weight(const struct classic *cl, const struct sync_group_request *q)
{
    size_t n = sizeof(struct assign_op) + cl->members_n * sizeof(struct bytes);
    for (int32_t i = 0; i < q->assignments_n; i++) {
        n += 2 * (q->assignments[i].assignment.len + 32);
    }
    return n;
}

static void write_assignment(struct classic *cl, const struct sync_group_request *q,
                             const struct group_event *ev, struct group_effects *fx)
{
    struct group_coordinator *c = cl->g->c;
    struct map parts = {.secret = c->secret};
    for (int32_t i = 0; i < q->assignments_n; i++) {
        map_put(&parts, q->assignments[i].member_id, &q->assignments[i]);
    }
    struct assign_op *a = group_alloc(c, sizeof *a + cl->members_n * sizeof *a->parts);
    a->op.group = cl->g;
    a->op.written = assigned;
    a->generation = cl->generation;
    a->n = cl->members_n;
    uint32_t i = 0, without = 0;
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        const struct sync_group_request_sync_group_request_assignment *part =
            map_get(&parts, m->id);
        without += part == NULL;
        a->parts[i++] = part ? group_dup(c, part->assignment) : bytes_str("");
    }
    map_free(&parts);
    if (without > 0) {
        story_add(cl->g, ev->wall_ms, "the leader's assignment leaves out %u of %u members",
                  without, cl->members_n);
    }
    cl->assigning = &a->op;
    struct group_write *w = group_fx_write(fx, &a->op, 1);
    w->records[0] = classic_record(cl, a->parts, fx);
}

/* ---- one SyncGroup ---- */

static bool inconsistent(struct bytes said, const struct group_str *is)
{
    return !bytes_is_null(said) && is != NULL && !bytes_eq(said, is->text);
}

static int16_t check(const struct classic *cl, const struct sync_group_request *q,
                     struct group_effects *fx, struct classic_member **m)
{
    int16_t code = classic_validate(cl, q->member_id, q->group_instance_id, "SyncGroup", fx, m);
    if (code != KE_NONE) {
        return code;
    }
    if (q->generation_id != cl->generation) {
        return KE_ILLEGAL_GENERATION;
    }
    if (inconsistent(q->protocol_type, cl->type) || inconsistent(q->protocol_name, cl->protocol)) {
        return KE_INCONSISTENT_GROUP_PROTOCOL;
    }
    return cl->state == CLASSIC_PREPARING ? KE_REBALANCE_IN_PROGRESS : KE_NONE;
}

static void park(struct classic_member *m, struct group_ask *ask, struct group_effects *fx)
{
    struct group_ask *older = m->sync;
    if (older != NULL) {
        classic_sync_error(fx, older, KE_REBALANCE_IN_PROGRESS);
    }
    m->sync = ask;
}

static void sync(struct classic *cl, struct classic_member *m, const struct sync_group_request *q,
                 const struct group_event *ev, struct group_effects *fx)
{
    bool writes = cl->state == CLASSIC_COMPLETING && m == cl->leader && cl->assigning == NULL;
    if (writes && !group_room(cl->g->c, weight(cl, q), fx)) {
        classic_sync_error(fx, ev->ask, KE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    m->heard_ms = ev->now_ms;
    classic_member_owes_sync(cl, m, false);
    classic_sync_timer_check(cl);
    if (cl->state == CLASSIC_STABLE) {
        answer(cl, m, ev->ask, fx);
        return;
    }
    park(m, ev->ask, fx);
    if (writes) {
        write_assignment(cl, q, ev, fx);
    }
}

void classic_sync(struct group_coordinator *c, const struct group_event *ev,
                  struct group_effects *fx)
{
    const struct sync_group_request *q = ev->ask->request;
    /* KIP-559: from version 5 on a client says what protocol it thinks the group has. */
    if (ev->ask->version >= 5 &&
        (bytes_is_null(q->protocol_type) || bytes_is_null(q->protocol_name))) {
        classic_sync_error(fx, ev->ask, KE_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (q->group_id.len == 0) {
        classic_sync_error(fx, ev->ask, KE_INVALID_GROUP_ID);
        return;
    }
    struct group *g = group_find(c, q->group_id);
    if (g == NULL || g->kind != GROUP_KIND_CLASSIC || classic_is_empty(g)) {
        classic_sync_error(fx, ev->ask, KE_UNKNOWN_MEMBER_ID);
        return;
    }
    struct classic_member *m;
    int16_t code = check(g->classic, q, fx, &m);
    if (code != KE_NONE) {
        classic_sync_error(fx, ev->ask, code);
        return;
    }
    sync(g->classic, m, q, ev, fx);
}
