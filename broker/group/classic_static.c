/* A static member (group.instance.id, KIP-345) that comes back without its member id, after a
 * restart: it gets a new id, and whoever still uses the old one is fenced at once.
 *
 * In a stable group nothing else changes, so nobody rebalances: the group is written with the new
 * id, and when that is committed the member goes on where it was. A leader that returns so is told
 * from version 9 on that it leads and need not assign (KIP-814); before, it is told that its own
 * former id leads, so that it does not try. If the write fails the old id is back.
 *
 * In flight. Between the write and its commit the group may rebalance: then the member has joined
 * like any other, the generation answers it, and the outcome of the write does not matter. */
#include "broker/group/classic.h"

struct replace_op {
    struct group_op op;
    struct group_ask *ask;
    struct bytes new_id, old_id;        /* owned */
    struct bytes old_leader;            /* owned; as it was before */
    struct classic_protocols protocols; /* of the old one */
    int32_t rebalance_ms, session_ms;
};

static void op_free(struct replace_op *r)
{
    struct group_coordinator *c = r->op.group->c;
    group_undup(c, &r->new_id);
    group_undup(c, &r->old_id);
    group_undup(c, &r->old_leader);
    classic_protocols_drop(c, &r->protocols);
    group_dealloc(c, r, sizeof *r);
}

/* The member is what it was, and its client is told what went wrong. */
static void restore(struct classic *cl, struct classic_member *m, struct replace_op *r,
                    const struct group_event *ev, struct group_effects *fx)
{
    struct group_ask *ask = classic_member_take_join(cl, m);
    group_fx_line(fx, GROUP_LINE_WARNING,
                  "a static member's new id could not be written: the old one is back "
                  "group=\"%s\" instance=\"%s\" member=\"%s\" error=%d",
                  SHOW(cl->g->id), SHOW(m->instance), SHOW(r->old_id), (int)ev->code);
    r->protocols = classic_member_set_protocols(cl, m, r->protocols);
    m->rebalance_ms = r->rebalance_ms;
    m->session_ms = r->session_ms;
    classic_member_rename(cl, m, r->old_id);
    classic_member_alive(m, ev->now_ms, m->session_ms);
    classic_join_answer(cl, m, ask, false, fx);
    struct join_group_response *out = ask->response;
    out->error_code = group_append_error(ev->code);
    out->member_id = bytes_str("");
    out->leader = classic_copy(ask, r->old_leader);
    classic_complete_if_all_joined(cl, ev, fx);
}

static void replaced(struct group_coordinator *c, struct group_op *op, const struct group_event *ev,
                     struct group_effects *fx)
{
    UNUSED(c);
    struct replace_op *r = CONTAINER_OF(op, struct replace_op, op);
    struct group *g = op->group;
    struct classic *cl = g->classic;
    g->in_log |= ev->code == KE_NONE;
    struct classic_member *m = cl ? classic_find(cl, r->new_id) : NULL;
    if (m != NULL && m->join == r->ask && ev->code != KE_NONE) {
        restore(cl, m, r, ev, fx);
    } else if (m != NULL && m->join == r->ask && cl->state == CLASSIC_STABLE) {
        struct group_ask *ask = classic_member_take_join(cl, m);
        bool skips = ask->version >= 9, leads = m == cl->leader;
        classic_join_answer(cl, m, ask, skips && leads, fx);
        struct join_group_response *out = ask->response;
        out->skip_assignment = skips && leads;
        if (!skips) {
            out->leader = classic_copy(ask, r->old_leader);
        }
        classic_member_alive(m, ev->now_ms, m->session_ms);
    }
    op_free(r);
    group_release(g);
}

/* Who still waits under the old id is told that it is not his any more. */
static void fence(struct classic *cl, struct classic_member *m, struct group_effects *fx)
{
    struct group_ask *join = classic_member_take_join(cl, m), *sync = m->sync;
    if (join != NULL) {
        classic_join_error(fx, join, m->id, KE_FENCED_INSTANCE_ID);
    }
    if (sync != NULL) {
        m->sync = NULL;
        classic_sync_error(fx, sync, KE_FENCED_INSTANCE_ID);
    }
}

static void persist(struct classic *cl, struct classic_member *m, struct replace_op *r,
                    struct group_effects *fx)
{
    struct group_coordinator *c = cl->g->c;
    r->op.group = cl->g;
    r->op.written = replaced;
    r->ask = m->join;
    r->new_id = group_dup(c, m->id);
    struct group_write *w = group_fx_write(fx, &r->op, 1);
    w->records[0] = classic_record(cl, NULL, fx);
}

void classic_join_static(struct classic *cl, struct classic_member *m, struct bytes new_id,
                         const struct group_event *ev, struct group_effects *fx)
{
    struct group_coordinator *c = cl->g->c;
    const struct join_group_request *q = ev->ask->request;
    struct replace_op *r = group_alloc(c, sizeof *r);
    r->op.group = cl->g;
    r->old_id = group_dup(c, m->id);
    r->old_leader = group_dup(c, cl->leader->id);
    r->rebalance_ms = m->rebalance_ms;
    r->session_ms = m->session_ms;
    group_fx_line(fx, GROUP_LINE_EVENT,
                  "a static member came back and has a new id group=\"%s\" instance=\"%s\" "
                  "member=\"%s\" before=\"%s\" state=%s",
                  SHOW(cl->g->id), SHOW(m->instance), SHOW(new_id), SHOW(m->id),
                  classic_state_name(cl->g));
    story_add(cl->g, ev->wall_ms, "static member %s came back: %s is now %s", QUOTE(m->instance),
              QUOTE_ID(m->id), QUOTE_ID(new_id));

    fence(cl, m, fx);
    classic_member_rename(cl, m, new_id);
    m->is_new = false;
    m->heard_ms = ev->now_ms;
    classic_member_alive(m, ev->now_ms, m->session_ms);
    r->protocols = classic_member_set_protocols(cl, m, classic_protocols_of(c, q));
    m->rebalance_ms = ev->ask->version == 0 ? q->session_timeout_ms : q->rebalance_timeout_ms;
    m->session_ms = q->session_timeout_ms;
    classic_member_park_join(cl, m, ev->ask);

    if (cl->state == CLASSIC_STABLE && classic_select_protocol(cl) == cl->protocol) {
        persist(cl, m, r, fx);
        return;
    }
    op_free(r);
    classic_rebalance(cl, ev, fx,
                      cl->state == CLASSIC_STABLE
                          ? "static member %s came back with another protocol"
                          : "static member %s came back while the assignment was awaited",
                      QUOTE(m->instance));
}
