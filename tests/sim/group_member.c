/* See group_world.h: the script of a member. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/group_world.h"

enum { CALL_US = 5000000, RETRY_US = 200000, SIDE_CALLS = 6 };

static int64_t now_us(const struct gw_member *m)
{
    return m->gw->clock->now_us;
}

static const char *protocol_of(const struct gw_member *m, unsigned i)
{
    static const char *const eager[] = {"range", "roundrobin"};
    return m->gw->groups[m->group].coop ? "cooperative-sticky" : eager[i];
}

static void owns_nothing(struct gw_member *m)
{
    m->owns = 0;
    group_model_owns_nothing(&m->gw->model, m->slot);
}

/* It is a member no longer; its id is kept for who wants to try it. */
void gw_member_lost(struct gw_member *m)
{
    if (m->gen >= 0) {
        memcpy(m->left, m->id, sizeof(m->left));
        m->old_gen = m->gen;
    }
    m->gen = -1;
    m->leads = m->incomplete = false;
    m->ok_us = 0;
    m->state = GW_OUT;
    owns_nothing(m);
}

/* To join again as the one that it is. */
static void rejoin(struct gw_member *m)
{
    m->state = GW_OUT;
    if (!m->gw->groups[m->group].coop) {
        owns_nothing(m);
    }
}

static void good(struct gw_call *c)
{
    struct gw_member *m = c->m;
    struct group_model *model = &m->gw->model;
    if (m->ok_us != 0 && m->ok_life == model->life) {
        group_model_alive(model, m->group, m->ok_tick, c->began);
    }
    m->ok_us = c->began_us;
    m->ok_life = model->life;
    m->ok_tick = group_model_tick(model);
}

static void die(struct gw_member *m)
{
    run_note(m->gw->r, "%s dies", m->client_id);
    m->gw->stats[GW_DEATHS]++;
    m->incarnation++;
    m->busy = false;
    m->gw->carrier->hang_up(m, GW_LANES);
    gw_member_lost(m);
    m->id[0] = 0;
    m->state = GW_DEAD;
}

/* What any answer with a code means for a member that did not expect it. */
static void react(struct gw_member *m, int16_t code)
{
    switch (code) {
    case KE_REBALANCE_IN_PROGRESS:
        rejoin(m);
        break;
    case KE_ILLEGAL_GENERATION:
        gw_member_lost(m); /* but for its id */
        break;
    default: /* an id that is unknown: gw_answered has seen to it; else once more */
        break;
    }
}

/* ---- SyncGroup ---- */

static void synced(struct gw_call *c, const struct sync_group_response *resp, bool mine)
{
    struct gw_member *m = c->m;
    struct group_world *gw = m->gw;
    uint64_t plan = 0;
    uint32_t bits = gw_read_share(m, resp->assignment, c->gen, c->id, &plan);
    if (c->version >= 5 && (!bytes_eq_str(resp->protocol_type, "consumer") ||
                            (mine && !bytes_eq_str(resp->protocol_name, m->protocol)))) {
        run_fail(gw->r, "%s: SyncGroup says protocol %.*s of %.*s, JoinGroup said %s",
                 gw->groups[m->group].name, BYTES_FMT(resp->protocol_name),
                 BYTES_FMT(resp->protocol_type), m->protocol);
    }
    group_model_synced(&gw->model, m->group, c->began, c->gen, bytes_str(c->id),
                       bytes_str(c->instance), plan);
    if (!mine || m->state != GW_JOINED || m->gen != c->gen) {
        return;
    }
    bool gives_up = (m->owns & ~bits) != 0;
    struct gm_belief b = {.group = m->group, .gen = m->gen, .bits = bits};
    memcpy(b.id, m->id, sizeof(b.id));
    memcpy(b.instance, m->instance, sizeof(b.instance));
    m->owns = bits;
    m->state = GW_STABLE;
    m->next_beat_us = now_us(m) + (int64_t)m->session_ms * 250; /* (a late sync is no heartbeat) */
    group_model_owns(&gw->model, m->slot, &b);
    if (gw->groups[m->group].coop && gives_up) {
        rejoin(m); /* so that others may have it */
    }
}

static void on_sync(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct arena a = {0};
    struct sync_group_response resp;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        bool mine = gw_answered(c, resp.error_code);
        if (resp.error_code == 0) {
            synced(c, &resp, mine);
        } else if (mine && c->main) {
            react(m, resp.error_code);
        }
    }
    arena_free(&a);
    if (c->main && c->incarnation == m->incarnation) {
        gw_later(m, RETRY_US);
    }
}

static void sync_group(struct gw_member *m, unsigned lane, bool main)
{
    struct group_world *gw = m->gw;
    struct sync_group_request req;
    struct arena a = {0};
    int16_t version = gw_version(m, API_SYNC_GROUP, m->instance[0] != 0 ? 3 : 0);
    proto_msg_init(&sync_group_request_msg, &req);
    req.group_id = bytes_str(gw->groups[m->group].name);
    req.generation_id = m->gen;
    req.member_id = bytes_str(m->id);
    req.group_instance_id = m->instance[0] != 0 ? bytes_str(m->instance) : BYTES_NULL;
    if (version >= 5) {
        req.protocol_type = bytes_str("consumer");
        req.protocol_name = bytes_str(m->protocol);
    }
    if (m->leads) {
        struct gw_share *shares = gw_plan(m, &a);
        req.assignments =
            proto_array(&a, &sync_group_request_sync_group_request_assignment_desc, m->mates_n);
        req.assignments_n = (int32_t)m->mates_n;
        for (unsigned i = 0; i < m->mates_n; i++) {
            req.assignments[i].member_id = bytes_str(shares[i].id);
            req.assignments[i].assignment = shares[i].assignment;
        }
    }
    struct gw_call *c = gw_call_new(m, on_sync);
    c->main = main;
    gw->stats[GW_SYNCS]++;
    gw_call(m, lane, API_SYNC_GROUP, version, &req, (int64_t)m->rebalance_ms * 1000 + CALL_US, c);
    arena_free(&a);
}

/* ---- JoinGroup ---- */

static void check_mates(struct gw_member *m, const struct join_group_response *resp, bool leads)
{
    struct group_world *gw = m->gw;
    bool self = false;
    m->mates_n = 0;
    for (int32_t i = 0; i < resp->members_n; i++) {
        self = self || bytes_eq_str(resp->members[i].member_id, m->id);
        gw_mate(m, resp->members[i].member_id, resp->members[i].metadata);
        for (int32_t k = 0; k < i; k++) {
            if (bytes_eq(resp->members[i].member_id, resp->members[k].member_id) ||
                (!bytes_is_null(resp->members[i].group_instance_id) &&
                 bytes_eq(resp->members[i].group_instance_id,
                          resp->members[k].group_instance_id))) {
                run_fail(gw->r, "%s: generation %d has a member twice: %s",
                         gw->groups[m->group].name, m->gen, m->mates[i].id);
            }
        }
    }
    if (leads != (resp->members_n > 0) || leads != self) {
        run_fail(gw->r, "%s: generation %d: %s is told %d members, its leader is %.*s",
                 gw->groups[m->group].name, m->gen, m->id, resp->members_n,
                 BYTES_FMT(resp->leader));
    }
}

static void joined(struct gw_call *c, const struct join_group_response *resp)
{
    struct gw_member *m = c->m;
    bool other = m->id[0] != 0 && !bytes_eq_str(resp->member_id, m->id);
    if (resp->member_id.len == 0 || resp->member_id.len >= GM_ID_MAX || other) {
        run_fail(m->gw->r, "%s: JoinGroup of '%s' answers the member id '%.*s'", m->client_id,
                 m->id, BYTES_FMT(resp->member_id));
    }
    if (m->gen >= 0) {
        m->old_gen = m->gen;
    }
    snprintf(m->id, sizeof(m->id), "%.*s", BYTES_FMT(resp->member_id));
    snprintf(m->protocol, sizeof(m->protocol), "%.*s", BYTES_FMT(resp->protocol_name));
    m->gen = resp->generation_id;
    m->too_many = false;
    m->ok_us = 0;
    m->id_life = c->id[0] == 0 ? m->gw->model.life : m->id_life;
    bool leads = bytes_eq_str(resp->leader, m->id);
    check_mates(m, resp, leads);
    m->leads = leads && !resp->skip_assignment;
    /* A leader that came back does not know whether its plan had held something back. */
    m->incomplete = c->id[0] == 0 && m->instance[0] != 0 && m->gw->groups[m->group].coop;
    if (resp->skip_assignment && (!leads || m->instance[0] == 0)) {
        run_fail(m->gw->r, "%s: %s is to skip the assignment", m->client_id, m->id);
    }
    m->state = GW_JOINED;
}

static void on_join(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct group_world *gw = m->gw;
    struct arena a = {0};
    struct join_group_response resp;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        struct gm_joined j = {.group = m->group,
                              .began = c->began,
                              .gen = resp.generation_id,
                              .id = resp.member_id,
                              .instance = bytes_str(c->instance),
                              .leader = resp.leader,
                              .protocol = resp.protocol_name};
        if (resp.error_code == 0) {
            group_model_joined(&gw->model, &j);
        }
        bool mine = gw_answered(c, resp.error_code) ||
                    (c->main && c->id[0] == 0 && c->incarnation == m->incarnation);
        if (mine && c->main && resp.error_code == 0) {
            joined(c, &resp);
        } else if (mine && c->main && resp.error_code == KE_MEMBER_ID_REQUIRED) {
            RUN_CHECK(gw->r, m->instance[0] == 0 && m->id[0] == 0 && resp.member_id.len > 0);
            snprintf(m->id, sizeof(m->id), "%.*s", BYTES_FMT(resp.member_id));
        } else if (mine && resp.error_code == KE_GROUP_MAX_SIZE_REACHED) {
            gw_member_lost(m);
            m->id[0] = 0;
            m->too_many = true;
        } else if (mine && resp.error_code == KE_FENCED_INSTANCE_ID && m->twin && c->main) {
            m->state = GW_DEAD;
            m->id[0] = 0;
        }
    } else if (c->id[0] == 0) {
        m->ghost_life = gw->model.life;
    }
    arena_free(&a);
    if (c->main && c->incarnation == m->incarnation) {
        gw_later(m, m->state == GW_JOINED ? 20000 : RETRY_US);
    }
}

static void join_group(struct gw_member *m, unsigned lane, bool main)
{
    struct group_world *gw = m->gw;
    struct join_group_request req;
    struct join_group_request_join_group_request_protocol protocols[2];
    struct arena a = {0};
    int16_t version = gw_version(m, API_JOIN_GROUP, m->instance[0] != 0 ? 5 : 0);
    proto_msg_init(&join_group_request_msg, &req);
    if (m->subscription == 0 || gw->groups[m->group].coop || run_chance(gw->r, 30)) {
        m->subscription++; /* else the same as before, to the byte */
    }
    int32_t n = m->habit_two ? 2 : 1;
    for (int32_t i = 0; i < n; i++) {
        proto_init(&join_group_request_join_group_request_protocol_desc, &protocols[i]);
        protocols[i].name = bytes_str(protocol_of(m, (unsigned)i));
        protocols[i].metadata = gw_subscription(m, &a, protocol_of(m, (unsigned)i));
    }
    req.group_id = bytes_str(gw->groups[m->group].name);
    req.session_timeout_ms = gw_naughty(m, 1) ? 1 : m->session_ms;
    req.rebalance_timeout_ms = m->rebalance_ms;
    req.member_id = bytes_str(m->id);
    req.group_instance_id = m->instance[0] != 0 ? bytes_str(m->instance) : BYTES_NULL;
    req.protocol_type = bytes_str("consumer");
    req.protocols = protocols;
    req.protocols_n = n;
    struct gw_call *c = gw_call_new(m, on_join);
    c->main = main;
    m->ok_us = 0;
    m->ghost_life = !main && m->id[0] == 0 ? gw->model.life : m->ghost_life;
    gw->stats[GW_JOINS]++;
    gw_call(m, lane, API_JOIN_GROUP, version, &req, 3 * (int64_t)m->rebalance_ms * 1000 + CALL_US,
            c);
    arena_free(&a);
}

/* ---- Heartbeat ---- */

static void on_heartbeat(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct arena a = {0};
    struct heartbeat_response resp;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        bool blind = gw_blind(c);
        if (resp.error_code == 0 && !blind) {
            group_model_success(&m->gw->model, "Heartbeat", m->group, c->began, c->gen,
                                bytes_str(c->id), bytes_str(c->instance));
        }
        bool mine = gw_answered(c, resp.error_code) && c->gen == m->gen;
        if (mine && resp.error_code == 0 && m->state == GW_STABLE) {
            if (!blind) {
                good(c);
            }
            m->next_beat_us = now_us(m) + (int64_t)m->session_ms * 250;
        } else if (mine && c->main) {
            react(m, resp.error_code);
        }
    }
    arena_free(&a);
    if (c->main && c->incarnation == m->incarnation) {
        gw_later(m, m->gw->pace_us);
    }
}

static void heartbeat(struct gw_member *m, unsigned lane, bool main, const char *id, int32_t gen)
{
    struct heartbeat_request req;
    proto_msg_init(&heartbeat_request_msg, &req);
    req.group_id = bytes_str(m->gw->groups[m->group].name);
    req.generation_id = gen;
    req.member_id = bytes_str(id);
    req.group_instance_id = m->instance[0] != 0 ? bytes_str(m->instance) : BYTES_NULL;
    struct gw_call *c = gw_call_new(m, on_heartbeat);
    c->main = main;
    c->gen = gen;
    snprintf(c->id, sizeof(c->id), "%s", id);
    m->gw->stats[GW_BEATS]++;
    gw_call(m, lane, API_HEARTBEAT, gw_version(m, API_HEARTBEAT, m->instance[0] != 0 ? 3 : 0), &req,
            CALL_US, c);
}

/* ---- LeaveGroup ---- */

static void on_leave(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct arena a = {0};
    struct leave_group_response resp;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        int16_t code = resp.error_code;
        if (code == 0 && c->version >= 3) {
            RUN_CHECK(m->gw->r,
                      resp.members_n == 1 && bytes_eq_str(resp.members[0].member_id, c->id));
            code = resp.members[0].error_code;
        }
        gw_answered(c, code);
        if (code == 0) {
            group_model_success(&m->gw->model, "LeaveGroup", m->group, c->began, -1,
                                bytes_str(c->id), bytes_str(c->instance));
            group_model_gone(&m->gw->model, m->group, bytes_str(c->id));
        }
    }
    arena_free(&a);
}

static void leave(struct gw_member *m, unsigned lane)
{
    struct leave_group_request req;
    struct leave_group_request_member_identity who;
    int16_t version = gw_version(m, API_LEAVE_GROUP, m->instance[0] != 0 ? 3 : 0);
    proto_msg_init(&leave_group_request_msg, &req);
    proto_init(&leave_group_request_member_identity_desc, &who);
    req.group_id = bytes_str(m->gw->groups[m->group].name);
    if (version < 3) {
        req.member_id = bytes_str(m->id);
    } else {
        who.member_id = bytes_str(m->id);
        who.group_instance_id = m->instance[0] != 0 ? bytes_str(m->instance) : BYTES_NULL;
        req.members = &who;
        req.members_n = 1;
    }
    struct gw_call *c = gw_call_new(m, on_leave);
    m->gw->stats[GW_LEAVES]++;
    gw_call(m, lane, API_LEAVE_GROUP, version, &req, CALL_US, c);
    gw_member_lost(m);
    m->id[0] = 0;
    m->incarnation++; /* what it still waits for is nothing to it any more */
    m->busy = false;
    m->state = run_chance(m->gw->r, 50) ? GW_DEAD : GW_OUT;
}

/* ---- bad habits ---- */

static void stall(struct gw_member *m)
{
    m->gw->stats[GW_STALLS]++;
    m->idle_until_us =
        now_us(m) + (int64_t)m->session_ms * (int64_t)(500 + run_below(m->gw->r, 2500));
    run_note(m->gw->r, "%s stalls until %.3f", m->client_id, (double)m->idle_until_us / 1e6);
}

/* While it waits for an answer. */
static void meddle(struct gw_member *m)
{
    if (m->calls >= SIDE_CALLS) {
        return;
    }
    switch (run_below(m->gw->r, 5)) {
    case 0:
        join_group(m, 1, false);
        break;
    case 1:
        if (m->id[0] != 0) {
            leave(m, 1);
        }
        break;
    case 2:
        die(m);
        break;
    case 3:
        if (m->id[0] != 0) {
            heartbeat(m, 1, false, m->id, m->gen);
        }
        break;
    default:
        gw_commit(m, 1, m->old_gen, m->left, m->instance, m->gw->groups[m->group].all);
    }
}

/* As what it was once. */
static void speak_old(struct gw_member *m)
{
    const char *id = m->left[0] != 0 && run_chance(m->gw->r, 50) ? m->left : m->id;
    if (m->old_gen < 0) {
        return;
    }
    if (run_chance(m->gw->r, 50)) {
        gw_commit(m, 0, m->old_gen, id, m->instance, m->gw->groups[m->group].all);
    } else {
        heartbeat(m, 0, false, id, m->old_gen);
    }
}

static bool misbehave(struct gw_member *m)
{
    struct run *r = m->gw->r;
    if (!gw_naughty(m, 8)) {
        return false;
    }
    switch (run_below(r, 9)) {
    case 0:
        die(m);
        break;
    case 1:
        stall(m);
        break;
    case 2:
        leave(m, 0);
        break;
    case 3:
        rejoin(m);
        break;
    case 4:
        join_group(m, 1, false); /* and does not look at the answer */
        break;
    case 5:
        if (m->leads) {
            sync_group(m, 1, false); /* another plan */
        }
        break;
    case 6:
        heartbeat(m, 0, false, "nobody", m->gen);
        break;
    case 7:
        gw_commit(m, 0, m->gen + 1, m->id, m->instance, m->owns);
        break;
    default:
        speak_old(m);
    }
    return true;
}

/* ---- life ---- */

static void live(struct gw_member *m)
{
    struct group_world *gw = m->gw;
    if (misbehave(m)) {
        gw_later(m, gw->pace_us);
    } else if (m->incomplete) {
        m->incomplete = false;
        rejoin(m);
        gw_later(m, RETRY_US);
    } else if (now_us(m) >= m->next_beat_us) {
        heartbeat(m, 0, true, m->id, m->gen);
    } else {
        uint32_t some = m->owns & (uint32_t)prng_next(&gw->r->rng);
        if (m->calls < SIDE_CALLS && some != 0 && run_chance(gw->r, 50)) {
            gw_commit(m, 0, m->gen, m->id, m->instance, some);
        } else if (m->calls < SIDE_CALLS && run_chance(gw->r, 30)) {
            gw_fetch(m, 0, m->owns != 0 ? m->owns : gw->groups[m->group].all);
        }
        gw_later(m, gw->pace_us);
    }
}

/* Others are in the group that was full: while they rejoin, one who tries again would take a seat
 * from them, who then would try again, and so on. */
static bool makes_room(const struct gw_member *m)
{
    const struct group_world *gw = m->gw;
    for (unsigned i = 0; m->too_many && !gw->naughty && i < gw->members_n; i++) {
        const struct gw_member *o = gw->members[i];
        if (o->group == m->group && !o->committer && o->state != GW_DEAD && !o->too_many) {
            return true;
        }
    }
    return false;
}

void gw_member_step(struct gw_member *m)
{
    struct group_world *gw = m->gw;
    if (m->busy) {
        if (gw_naughty(m, 5)) {
            meddle(m);
        }
        gw_later(m, 500000); /* an answer moves it */
        return;
    }
    if (now_us(m) < m->idle_until_us && gw->naughty) {
        gw_later(m, m->idle_until_us - now_us(m));
        return;
    }
    if (m->seeks && gw->hosts_n > 1 && m->state != GW_DEAD) {
        gw_find(m, true);
        gw_later(m, 500000);
        return;
    }
    switch (m->state) {
    case GW_DEAD:
        if (gw->naughty && run_chance(gw->r, 40)) {
            m->state = GW_OUT;
            m->too_many = false;
        }
        gw_later(m, 2000000);
        break;
    case GW_OUT:
        if (makes_room(m)) {
            gw_later(m, 1000000);
            break;
        }
        if (gw->finds && (m->seeks || run_chance(gw->r, 10))) {
            gw_find(m, true);
            gw_later(m, 500000);
            break;
        }
        join_group(m, 0, true);
        gw_later(m, 500000);
        break;
    case GW_JOINED:
        if (gw_naughty(m, 4)) {
            stall(m);
            gw_later(m, RETRY_US);
        } else {
            sync_group(m, 0, true);
            gw_later(m, 500000);
        }
        break;
    default:
        live(m);
    }
}
