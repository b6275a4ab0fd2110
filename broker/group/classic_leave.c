/* LeaveGroup: of one member before version 3, of many from then on, named by member id or (an
 * administrator removes a static member) by instance id. Each has its own error. The rebalance that
 * follows is one for all of them. */
#include <stdio.h>

#include "broker/group/classic.h"

struct leave {
    struct classic *cl;
    const struct group_event *ev;
    struct group_effects *fx;
    struct group_shown first; /* who left, for the reason of the rebalance */
    uint32_t gone;
};

static void leaves(struct leave *l, struct classic_member *m, struct bytes reason)
{
    struct group *g = l->cl->g;
    classic_quote_id(&l->first, m->id);
    story_add(g, l->ev->wall_ms, "member %s (client %s, %s) left%s%s", l->first.s,
              QUOTE(m->client_id->text), SHOW(m->client_host->text),
              reason.len ? ", its reason: " : "", reason.len ? QUOTE(reason) : "");
    l->gone++;
    classic_member_evict(l->cl, m, l->fx);
}

static int16_t leave_one(struct leave *l, const struct leave_group_request_member_identity *who)
{
    struct classic *cl = l->cl;
    struct classic_pending *p = map_get(&cl->pending, who->member_id);
    if (who->member_id.len == 0) {
        struct classic_member *m = bytes_is_null(who->group_instance_id)
                                       ? NULL
                                       : map_get(&cl->by_instance, who->group_instance_id);
        if (m == NULL) {
            return KE_UNKNOWN_MEMBER_ID;
        }
        leaves(l, m, who->reason);
        return KE_NONE;
    }
    if (p != NULL) {
        classic_quote_id(&l->first, p->id);
        l->gone++;
        classic_pending_remove(cl, p);
        return KE_NONE;
    }
    struct classic_member *m;
    int16_t code =
        classic_validate(cl, who->member_id, who->group_instance_id, "LeaveGroup", l->fx, &m);
    if (code == KE_NONE) {
        leaves(l, m, who->reason);
    }
    return code;
}

static void leave_many(struct group *g, const struct group_event *ev, struct group_effects *fx,
                       const struct leave_group_request_member_identity *who, int32_t n)
{
    struct leave_group_response *r = ev->ask->response;
    struct leave l = {.cl = g ? g->classic : NULL, .ev = ev, .fx = fx};
    r->members = proto_array(ev->ask->arena, &leave_group_response_member_response_desc, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        struct leave_group_response_member_response *out = &r->members[r->members_n++];
        out->member_id = classic_copy(ev->ask, who[i].member_id);
        out->group_instance_id = classic_copy(ev->ask, who[i].group_instance_id);
        out->error_code = l.cl ? leave_one(&l, &who[i]) : (int16_t)KE_UNKNOWN_MEMBER_ID;
    }
    if (l.gone == 0) {
        return;
    }
    if (l.cl->state == CLASSIC_PREPARING) {
        classic_maybe_complete(l.cl, ev, fx);
    } else if (l.cl->state != CLASSIC_EMPTY) {
        char more[32] = "";
        if (l.gone > 1) {
            snprintf(more, sizeof more, " and %u more", l.gone - 1);
        }
        classic_rebalance(l.cl, ev, fx, "member %s%s left", l.first.s, more);
    }
    group_release(g);
}

void classic_leave(struct group_coordinator *c, const struct group_event *ev,
                   struct group_effects *fx)
{
    const struct leave_group_request *q = ev->ask->request;
    struct leave_group_response *r = ev->ask->response;
    if (q->group_id.len == 0) {
        r->error_code = KE_INVALID_GROUP_ID;
        group_fx_reply(fx, ev->ask);
        return;
    }
    struct group *g = group_find(c, q->group_id);
    if (g != NULL && g->kind != GROUP_KIND_CLASSIC) {
        g = NULL;
    }
    if (ev->ask->version >= 3) {
        leave_many(g, ev, fx, q->members, q->members_n > 0 ? q->members_n : 0);
    } else {
        struct leave_group_request_member_identity one = {.member_id = q->member_id};
        leave_many(g, ev, fx, &one, 1);
        r->error_code = r->members[0].error_code;
        r->members = NULL;
        r->members_n = 0;
    }
    group_fx_reply(fx, ev->ask);
}
