/* Heartbeat, and what counts as one: a commit of offsets. Both only move a due time in the member
 * (classic_member_alive); the timer in the heap rings at the old one and is set again then. */
#include "broker/group/classic.h"

static int16_t beat(struct group *g, const struct heartbeat_request *q,
                    const struct group_event *ev, struct group_effects *fx)
{
    if (g == NULL || g->kind != GROUP_KIND_CLASSIC || g->classic == NULL) {
        return KE_UNKNOWN_MEMBER_ID;
    }
    struct classic *cl = g->classic;
    struct classic_member *m;
    int16_t code = classic_validate(cl, q->member_id, q->group_instance_id, "Heartbeat", fx, &m);
    if (code != KE_NONE) {
        return code;
    }
    if (q->generation_id != cl->generation) {
        return KE_ILLEGAL_GENERATION;
    }
    m->heard_ms = ev->now_ms;
    classic_member_alive(m, ev->now_ms, m->session_ms);
    return cl->state == CLASSIC_PREPARING ? KE_REBALANCE_IN_PROGRESS : KE_NONE;
}

void classic_heartbeat(struct group_coordinator *c, const struct group_event *ev,
                       struct group_effects *fx)
{
    const struct heartbeat_request *q = ev->ask->request;
    struct heartbeat_response *r = ev->ask->response;
    r->error_code =
        q->group_id.len == 0 ? KE_INVALID_GROUP_ID : beat(group_find(c, q->group_id), q, ev, fx);
    group_fx_reply(fx, ev->ask);
}

/* Somebody outside any generation may commit while nobody is in one. *m: who commits, if a member
 * does. */
static int16_t check_commit(const struct classic *cl, struct bytes member_id,
                            struct bytes instance_id, int32_t generation, struct group_effects *fx,
                            struct classic_member **m)
{
    bool empty = cl == NULL || cl->state == CLASSIC_EMPTY;
    if (generation < 0 && empty) {
        return KE_NONE;
    }
    if (generation >= 0 || member_id.len > 0 || !bytes_is_null(instance_id)) {
        int16_t code = cl == NULL
                           ? KE_UNKNOWN_MEMBER_ID
                           : classic_validate(cl, member_id, instance_id, "OffsetCommit", fx, m);
        if (code != KE_NONE) {
            return code;
        }
        if (generation != cl->generation) {
            return KE_ILLEGAL_GENERATION;
        }
    } else if (!empty) {
        return KE_UNKNOWN_MEMBER_ID;
    }
    return !empty && cl->state == CLASSIC_COMPLETING ? KE_REBALANCE_IN_PROGRESS : KE_NONE;
}

int16_t classic_check_commit(struct group *g, struct bytes member_id, struct bytes instance_id,
                             int32_t generation, int16_t version, const struct group_event *ev,
                             struct group_effects *fx)
{
    if (g == NULL) {
        return generation < 0 ? KE_NONE
                              : (version >= 9 ? KE_GROUP_ID_NOT_FOUND : KE_ILLEGAL_GENERATION);
    }
    struct classic *cl = g->classic;
    struct classic_member *m = NULL;
    int16_t code = check_commit(cl, member_id, instance_id, generation, fx, &m);
    if (code == KE_NONE && m != NULL) {
        m->heard_ms = ev->now_ms;
        classic_member_alive(m, ev->now_ms, m->session_ms);
    }
    return code;
}
