/* See group_world.h: what groups there are, and what every script needs. */
#include "sim/group_world.h"

#include <stdio.h>

#include "base/mem.h"

enum { FIND_US = 5000000 };

/* ---- making ---- */

static void topics_make(struct group_world *gw, bool few)
{
    gw->topics_n = few ? 1 : 1 + (unsigned)run_below(gw->r, GM_TOPICS_MAX);
    for (unsigned t = 0; t < gw->topics_n; t++) {
        struct gw_topic *topic = &gw->topics[t];
        snprintf(topic->name, sizeof(topic->name), "work-%u", t);
        topic->parts_n = 1 + (unsigned)run_below(gw->r, few ? 2 : GM_PARTS_MAX);
    }
}

static void wake(struct sim_event *ev)
{
    struct gw_member *m = ev->user;
    if (!m->gw->working) {
        return; /* group_world_start sets it again */
    }
    if (m->committer) {
        gw_committer_step(m);
    } else {
        gw_member_step(m);
    }
}

static struct gw_member *member_make(struct group_world *gw, unsigned group, unsigned index)
{
    struct gw_group *g = &gw->groups[group];
    struct gw_member *m = MEM_NEW(struct gw_member);
    RUN_CHECK(gw->r, gw->members_n < GM_SLOTS_MAX);
    m->gw = gw;
    m->slot = gw->members_n;
    m->group = group;
    m->gen = m->old_gen = -1;
    m->session_ms = (int32_t)(1000 + run_below(gw->r, 5000));
    m->rebalance_ms = m->session_ms + (int32_t)run_below(gw->r, 3000);
    m->habit_two = g->two && run_chance(gw->r, 60);
    m->state = g->members && run_chance(gw->r, 20) ? GW_DEAD : GW_OUT;
    snprintf(m->client_id, sizeof(m->client_id), "client%02u", m->slot);
    if (g->members && run_chance(gw->r, 40)) {
        snprintf(m->instance, sizeof(m->instance), "%s.i%u", g->name, index);
    }
    int64_t quiet = (int64_t)(m->session_ms + m->rebalance_ms) * 1000;
    g->quiet_us = g->quiet_us > quiet ? g->quiet_us : quiet;
    sim_event_init(&m->wake, wake, m);
    gw->members[gw->members_n++] = m;
    return m;
}

static void group_make(struct group_world *gw, bool members, bool few)
{
    char name[24];
    static const char *const words[] = {"billing", "audit", "search", "mirror"};
    snprintf(name, sizeof(name), "%s-%u", words[run_below(gw->r, ARRAY_LEN(words))],
             gw->model.groups_n);
    unsigned group = group_model_group(&gw->model, name);
    struct gw_group *g = &gw->groups[group];
    snprintf(g->name, sizeof(g->name), "%s", name);
    g->members = members;
    g->coop = run_chance(gw->r, 40);
    g->two = !g->coop && run_chance(gw->r, 40);
    for (unsigned t = 0; t < gw->topics_n; t++) {
        for (unsigned p = 0; p < gw->topics[t].parts_n; p++) {
            g->all |= gw_bit(t, p);
        }
    }
    uint64_t n = 1 + run_below(gw->r, members && !few ? GW_MEMBERS_MAX : 2);
    for (unsigned i = 0; i < n; i++) {
        struct gw_member *m = member_make(gw, group, i);
        m->committer = !members;
        if (m->instance[0] != 0 && run_chance(gw->r, 25)) { /* two with one instance id */
            struct gw_member *twin = member_make(gw, group, i);
            memcpy(twin->instance, m->instance, sizeof(m->instance));
            twin->twin = m->twin = true;
        }
    }
}

void group_world_init(struct group_world *gw, struct run *r, struct sim_clock *clock,
                      const struct gw_carrier *carrier, void *ctx, bool few)
{
    *gw = (struct group_world){.r = r, .clock = clock, .carrier = carrier, .carrier_ctx = ctx};
    group_model_init(&gw->model, r);
    gw->pace_us = (int64_t)run_between(r, few ? 100000 : 20000, 600000);
    gw->deletes = run_chance(r, 50);
    topics_make(gw, few);
    for (uint64_t n = few ? 1 : 1 + run_below(r, 3); n > 0; n--) {
        group_make(gw, true, few);
    }
    for (uint64_t n = few ? 1 : 1 + run_below(r, 2); n > 0; n--) {
        group_make(gw, false, few);
    }
}

void group_world_free(struct group_world *gw)
{
    for (unsigned i = 0; i < gw->members_n; i++) {
        sim_clock_cancel(gw->clock, &gw->members[i]->wake);
        gw->carrier->hang_up(gw->members[i], GW_LANES);
        mem_free(gw->members[i]);
    }
    group_model_free(&gw->model);
}

static void no_script(struct sim_event *ev)
{
    UNUSED(ev);
}

struct gw_member *group_world_checker(struct group_world *gw)
{
    struct gw_member *m = member_make(gw, 0, 0);
    m->committer = true;
    m->instance[0] = 0;
    sim_event_init(&m->wake, no_script, m);
    return m;
}

/* ---- work and rest ---- */

void gw_later(struct gw_member *m, int64_t us)
{
    sim_clock_after(m->gw->clock, &m->wake, 1 + (int64_t)run_below(m->gw->r, (uint64_t)us + 1));
}

void group_world_start(struct group_world *gw)
{
    gw->working = true;
    for (unsigned i = 0; i < gw->members_n; i++) {
        gw_later(gw->members[i], 200000);
    }
}

void group_world_rest(struct group_world *gw)
{
    gw->working = false;
    for (unsigned i = 0; i < gw->members_n; i++) {
        sim_clock_cancel(gw->clock, &gw->members[i]->wake);
    }
}

bool group_world_idle(void *ctx)
{
    const struct group_world *gw = ctx;
    for (unsigned i = 0; i < gw->members_n; i++) {
        if (gw->members[i]->calls > 0) {
            return false;
        }
    }
    return true;
}

void group_world_down(struct group_world *gw, bool lost, bool power)
{
    for (unsigned i = 0; i < gw->members_n; i++) {
        gw->carrier->hang_up(gw->members[i], GW_LANES);
    }
    RUN_CHECK(gw->r, group_world_idle(gw));
    group_model_down(&gw->model, lost, power);
}

int64_t group_world_patience_us(const struct group_world *gw)
{
    int64_t most = 0;
    for (unsigned i = 0; i < gw->model.groups_n; i++) {
        most = gw->groups[i].quiet_us > most ? gw->groups[i].quiet_us : most;
    }
    return 4 * most + 20000000;
}

static bool group_settled(struct group_world *gw, unsigned group, char *why, size_t n)
{
    static const char *const names[] = {"dead", "joining", "syncing", "stable"};
    const struct gw_group *g = &gw->groups[group];
    const struct gw_member *first = NULL;
    uint32_t owned = 0;
    int32_t in = 0;
    bool full = false;
    for (unsigned i = 0; i < gw->members_n; i++) {
        const struct gw_member *m = gw->members[i];
        if (m->group != group || m->committer || m->state == GW_DEAD) {
            continue;
        }
        if (m->state == GW_OUT && m->too_many) {
            full = true;
            continue;
        }
        if (m->state != GW_STABLE || (first != NULL && m->gen != first->gen)) {
            snprintf(why, n, "%s: %s (%s) is %s in generation %d%s", g->name, m->client_id, m->id,
                     names[m->state], m->gen, m->busy ? ", and waits for an answer" : "");
            return false;
        }
        first = first != NULL ? first : m;
        if (owned & m->owns) { /* two of one instance: one has not noticed yet */
            snprintf(why, n, "%s: %s owns %#x, as others do", g->name, m->id, owned & m->owns);
            return false;
        }
        owned |= m->owns;
        in++;
    }
    if (in > 0 && owned != g->all) {
        snprintf(why, n, "%s: %d members own %#x of %#x", g->name, in, owned, g->all);
        return false;
    }
    if (full && in == 0) {
        snprintf(why, n, "%s: a member was refused as one too many of none", g->name);
        return false;
    }
    return true;
}

bool group_world_settled(struct group_world *gw, char *why, size_t n)
{
    for (unsigned g = 0; g < gw->model.groups_n; g++) {
        if (gw->groups[g].members && !group_settled(gw, g, why, n)) {
            return false;
        }
    }
    return true;
}

/* ---- calls ---- */

struct gw_call *gw_call_new(struct gw_member *m, gw_done *done)
{
    struct gw_call *c = MEM_NEW(struct gw_call);
    c->m = m;
    c->done = done;
    c->gen = m->gen;
    memcpy(c->id, m->id, sizeof(c->id));
    memcpy(c->instance, m->instance, sizeof(c->instance));
    return c;
}

void gw_call(struct gw_member *m, unsigned lane, int16_t api_key, int16_t version,
             const void *request, int64_t timeout_us, struct gw_call *c)
{
    c->api_key = api_key;
    c->version = version;
    c->incarnation = m->incarnation;
    c->began = group_model_tick(&m->gw->model);
    c->began_us = m->gw->clock->now_us;
    c->at = m->at;
    c->lead = m->gw->lead != NULL ? m->gw->lead(m->gw, m->group) : 0;
    m->busy = m->busy || c->main;
    m->calls++;
    m->gw->carrier->call(m, lane, c, request, timeout_us);
}

/* The carrier's end of it. */
void gw_call_end(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    m->calls--;
    if (c->main && c->incarnation == m->incarnation) {
        m->busy = false;
    }
    m->seeks = m->seeks || (err != 0 && m->gw->hosts_n > 1);
    c->done(c, err, body);
    mem_free(c);
}

void gw_decode(struct gw_call *c, struct bytes body, struct arena *a, void *out)
{
    const struct proto_message *msg = proto_response(c->api_key);
    size_t used;
    proto_msg_init(msg, out);
    int err = proto_decode(msg, c->version, body, &used, a, out);
    if (err != 0 || used != body.len) {
        run_fail(c->m->gw->r, "the answer to %s version %d does not decode: %s, %zu of %zu bytes",
                 proto_request(c->api_key)->name, c->version, err_text(err), used, body.len);
    }
}

int16_t gw_version(struct gw_member *m, int16_t api_key, int16_t low)
{
    const struct proto_message *msg = proto_request(api_key);
    int16_t most = msg->version_max;
    int16_t least = msg->version_min;
    if ((api_key == API_OFFSET_COMMIT || api_key == API_OFFSET_FETCH) && !m->gw->topic_ids) {
        most = 9; /* names */
    }
    least = least > low ? least : low;
    return (int16_t)(least + (int16_t)run_below(m->gw->r, (uint64_t)(most - least) + 1));
}

bool gw_current(const struct gw_call *c)
{
    const struct group_world *gw = c->m->gw;
    return gw->lead == NULL || (c->lead >= 0 && c->lead % GW_HOSTS_MAX == c->at &&
                                gw->lead(c->m->gw, c->m->group) == c->lead);
}

void gw_code(struct gw_call *c, int16_t code)
{
    group_model_code(&c->m->gw->model, c->api_key, c->version, code);
    c->m->seeks = c->m->seeks || code == KE_NOT_COORDINATOR || code == KE_COORDINATOR_NOT_AVAILABLE;
}

/* The coordinator says that it does not know a member that it had answered well shortly before. */
static void too_early(struct gw_call *c)
{
    struct gw_member *m = c->m;
    int32_t ms = m->session_ms < m->rebalance_ms ? m->session_ms : m->rebalance_ms;
    int64_t now = m->gw->clock->now_us;
    if (!m->gw->model.many && m->ok_us != 0 && m->ok_life == m->gw->model.life && !m->twin &&
        m->ghost_life != m->ok_life && now < m->ok_us + (int64_t)ms * 1000) {
        run_fail(m->gw->r,
                 "%s: %s is unknown %.3f s after it was answered well; its session lasts %.3f s",
                 m->gw->groups[m->group].name, m->id, (double)(now - m->ok_us) / 1e6,
                 (double)ms / 1e3);
    }
}

static void note_load(struct gw_call *c, int16_t code)
{
    struct group_world *gw = c->m->gw;
    struct gw_group *g = &gw->groups[c->m->group];
    if (code == KE_COORDINATOR_LOAD_IN_PROGRESS || code == KE_NOT_COORDINATOR ||
        code == KE_COORDINATOR_NOT_AVAILABLE) {
        g->loaded_life = 0;
    } else if (g->loaded_life != gw->model.life && (c->api_key != API_HEARTBEAT || code != 0)) {
        g->loaded_life = gw->model.life;
        g->loaded_tick = group_model_tick(&gw->model);
    }
}

bool gw_blind(const struct gw_call *c)
{
    const struct group_world *gw = c->m->gw;
    const struct gw_group *g = &gw->groups[c->m->group];
    return gw->finds && (g->loaded_life != gw->model.life || g->loaded_tick > c->began);
}

bool gw_answered(struct gw_call *c, int16_t code)
{
    struct gw_member *m = c->m;
    gw_code(c, code);
    note_load(c, code);
    if (c->incarnation != m->incarnation || strcmp(c->id, m->id) != 0 || c->id[0] == 0) {
        return c->incarnation == m->incarnation && strcmp(c->id, m->id) == 0;
    }
    if (code == KE_UNKNOWN_MEMBER_ID) {
        if (m->gen >= 0) {
            too_early(c);
            group_model_gone(&m->gw->model, m->group, bytes_str(m->id));
        }
        gw_member_lost(m);
        m->id[0] = 0;
    } else if (code == KE_FENCED_INSTANCE_ID) {
        /* (the log may still have the id before) */
        if (!m->gw->model.many && !m->twin && m->ghost_life == 0 &&
            m->id_life == m->gw->model.life) {
            run_fail(m->gw->r, "%s: %s is fenced, nobody else has its instance id %s",
                     m->gw->groups[m->group].name, m->id, m->instance);
        }
        gw_member_lost(m);
        m->id[0] = 0;
        m->state = m->twin ? GW_DEAD : GW_OUT; /* a ghost of its own will not come back */
    }
    return true;
}

/* ---- FindCoordinator ---- */

/* In a cluster it goes there from now on. */
static void found_at(struct gw_member *m, struct bytes host, int32_t port)
{
    struct group_world *gw = m->gw;
    int at = 0;
    while (at < gw->hosts_n && !bytes_eq_str(host, gw->hosts[at])) {
        at++;
    }
    if (at == gw->hosts_n || port != gw->port) {
        run_fail(gw->r, "FindCoordinator of %s answers %.*s:%d", gw->groups[m->group].name,
                 BYTES_FMT(host), port);
    }
    if (at != m->at) {
        m->at = at;
        gw->carrier->hang_up(m, GW_SEEK);
    }
}

static void on_find(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct group_world *gw = m->gw;
    struct arena a = {0};
    struct find_coordinator_response resp;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        RUN_CHECK(gw->r, c->version < 4 || resp.coordinators_n == 1);
        bool old = c->version < 4;
        int16_t code = old ? resp.error_code : resp.coordinators[0].error_code;
        struct bytes host = old ? resp.host : resp.coordinators[0].host;
        int32_t port = old ? resp.port : resp.coordinators[0].port;
        group_model_code(&gw->model, c->api_key, c->version, code);
        if (code == 0) {
            found_at(m, host, port);
        }
        m->seeks = code != 0;
    }
    arena_free(&a);
    if (c->main && c->incarnation == m->incarnation) {
        gw_later(m, 100000);
    }
}

void gw_find(struct gw_member *m, bool main)
{
    struct find_coordinator_request req;
    struct bytes key = bytes_str(m->gw->groups[m->group].name);
    int16_t version = gw_version(m, API_FIND_COORDINATOR, 0);
    proto_msg_init(&find_coordinator_request_msg, &req);
    if (version < 4) {
        req.key = key;
    } else {
        req.coordinator_keys = &key;
        req.coordinator_keys_n = 1;
    }
    struct gw_call *c = gw_call_new(m, on_find);
    c->main = main;
    gw_call(m, m->gw->hosts_n > 1 ? GW_SEEK : 0, API_FIND_COORDINATOR, version, &req, FIND_US, c);
}
