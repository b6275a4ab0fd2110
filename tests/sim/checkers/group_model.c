/* See group_model.h: generations, ownership, codes. */
#include "sim/checkers/group_model.h"

#include <stdio.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "sim/checkers/group_model_private.h"

void group_model_init(struct group_model *m, struct run *r)
{
    *m = (struct group_model){.r = r, .life = 1};
}

void group_model_free(struct group_model *m)
{
    for (unsigned g = 0; g < m->groups_n; g++) {
        group_offsets_free(m, g);
    }
}

unsigned group_model_group(struct group_model *m, const char *name)
{
    RUN_CHECK(m->r, m->groups_n < GM_GROUPS_MAX);
    unsigned g = m->groups_n++;
    snprintf(m->groups[g].name, sizeof(m->groups[g].name), "%s", name);
    group_offsets_init(m, g);
    return g;
}

static bool same(const char *id, struct bytes b)
{
    return bytes_eq_str(b, id);
}

static void keep(struct group_model *m, char *out, size_t n, struct bytes b)
{
    if (b.len >= n) {
        run_fail(m->r, "an id of %zu bytes was answered", b.len);
    }
    snprintf(out, n, "%.*s", BYTES_FMT(b));
}

/* ---- the process ends ---- */

static void gens_down(struct group_model *m, struct gm_group *g, bool lost)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < g->gens_n; i++) {
        if (g->gens[i].stable && (!lost || m->flushed)) {
            g->gens[kept++] = g->gens[i];
        }
    }
    g->gens_n = kept;
    for (unsigned i = 0; i < g->instances_n; i++) {
        g->instances[i].in_log = g->instances[i].in_log && (!lost || m->flushed);
    }
    g->deletes = g->deletes_in; /* those that have ended can do nothing any more */
}

void group_model_blind(struct group_model *m)
{
    m->blind = true;
    for (unsigned s = 0; s < GM_SLOTS_MAX; s++) {
        m->beliefs[s].holds = false;
    }
}

void group_model_down(struct group_model *m, bool lost, bool power)
{
    group_model_tick(m);
    m->life++;
    m->losses += lost;
    m->unsure = (m->unsure || lost) && (!power || m->many);
    m->blind = false;
    for (unsigned g = 0; g < m->groups_n; g++) {
        group_offsets_down(m, g, lost, power);
        gens_down(m, &m->groups[g], lost);
    }
    for (unsigned s = 0; lost && !m->flushed && s < GM_SLOTS_MAX; s++) {
        m->beliefs[s].holds = false; /* its generation may be given once more */
    }
}

/* ---- generations ---- */

static struct gm_gen *gen_find(struct gm_group *g, int32_t gen)
{
    for (unsigned i = 0; i < g->gens_n; i++) {
        if (g->gens[i].gen == gen) {
            return &g->gens[i];
        }
    }
    return NULL;
}

/* The highest that was known before `began`; NULL: none. */
static const struct gm_gen *gen_known(const struct gm_group *g, uint64_t began)
{
    const struct gm_gen *best = NULL;
    for (unsigned i = 0; i < g->gens_n; i++) {
        if (g->gens[i].tick < began && (best == NULL || g->gens[i].gen > best->gen)) {
            best = &g->gens[i];
        }
    }
    return best;
}

static struct gm_gen *gen_add(struct group_model *m, struct gm_group *g, int32_t gen)
{
    if (g->gens_n == GM_GENS_MAX) { /* the oldest goes */
        memmove(&g->gens[0], &g->gens[1], (GM_GENS_MAX - 1) * sizeof(g->gens[0]));
        g->gens_n--;
    }
    struct gm_gen *n = &g->gens[g->gens_n++];
    *n = (struct gm_gen){.gen = gen, .life = m->life, .tick = m->tick};
    return n;
}

/* Groups that may be deleted begin their generations anew; since: when the one was known that
 * speaks against it. */
static bool unsure(const struct group_model *m, const struct gm_group *g, uint64_t since)
{
    return g->deletes > 0 || m->retention_us != 0 ||
           (m->expiring && !group_model_has_offsets(m, (unsigned)(g - m->groups), since));
}

/* Looked at for what is known. */
static bool counts(const struct group_model *m, bool in_log)
{
    return !m->many || (in_log && !m->blind);
}

static void check_current(struct group_model *m, const char *what, struct gm_group *g,
                          uint64_t began, int32_t gen)
{
    const struct gm_gen *known = gen_known(g, began);
    if (known == NULL || gen >= known->gen) {
        return;
    }
    if (unsure(m, g, known->tick)) {
        if (g->deletes == 0) {
            g->gens_n = 0;
        }
        return;
    }
    run_fail(m->r, "%s: %s succeeds with generation %d; generation %d was %s before it was asked",
             g->name, what, gen, known->gen, known->stable ? "synced" : "joined");
}

/* ---- member ids ---- */

static struct gm_instance *instance_find(struct group_model *m, struct gm_group *g,
                                         struct bytes name)
{
    for (unsigned i = 0; i < g->instances_n; i++) {
        if (same(g->instances[i].name, name)) {
            return &g->instances[i];
        }
    }
    RUN_CHECK(m->r, g->instances_n < GM_INSTANCES_MAX);
    struct gm_instance *in = &g->instances[g->instances_n++];
    *in = (struct gm_instance){0};
    keep(m, in->name, sizeof(in->name), name);
    return in;
}

/* One of the ids that the instance has or had. */
static bool instance_knows(const struct gm_instance *in, struct bytes id)
{
    for (unsigned i = 0; i < in->old_n && i < 4; i++) {
        if (same(in->old[i], id)) {
            return true;
        }
    }
    return same(in->id, id);
}

static bool instance_had(const struct gm_instance *in, struct bytes id)
{
    return !same(in->id, id) && instance_knows(in, id);
}

static void check_member(struct group_model *m, const char *what, struct gm_group *g,
                         uint64_t began, struct bytes id, struct bytes instance)
{
    for (unsigned i = 0; i < g->gone_n && i < GM_GONE_MAX; i++) {
        const struct gm_gone *x = &g->gone[i];
        if (x->life == m->life && x->tick < began && same(x->id, id)) {
            run_fail(m->r, "%s: %s of %s succeeds, which was no member any more", g->name, what,
                     x->id);
        }
    }
    if (instance.len > 0) {
        const struct gm_instance *in = instance_find(m, g, instance);
        if (in->tick < began && (in->life == m->life || in->in_log) && instance_had(in, id)) {
            run_fail(m->r, "%s: %s of %.*s succeeds; its instance %s is %s since", g->name, what,
                     BYTES_FMT(id), in->name, in->id);
        }
    }
}

static void instance_joined(struct group_model *m, struct gm_group *g, struct bytes instance,
                            struct bytes id, uint64_t began, bool in_log)
{
    if (instance.len == 0) {
        return;
    }
    struct gm_instance *in = instance_find(m, g, instance);
    if (same(in->id, id)) {
        in->in_log = in->in_log || in_log;
        in->life = m->life;
        return;
    }
    if (instance_had(in, id) || in->tick > began) {
        /* An answer that was overtaken: which of the two is the member's now is not known. */
        in->life = 0;
        in->in_log = false;
        if (instance_had(in, id)) {
            return;
        }
    }
    if (in->id[0] != 0) {
        memcpy(in->old[in->old_n % 4], in->id, GM_ID_MAX);
        in->old_n++;
    }
    bool overtaken = in->tick > began;
    keep(m, in->id, sizeof(in->id), id);
    in->tick = m->tick;
    in->life = overtaken ? 0 : m->life;
    in->in_log = in_log && !overtaken;
}

void group_model_gone(struct group_model *m, unsigned group, struct bytes id)
{
    struct gm_group *g = &m->groups[group];
    struct gm_gone *x = &g->gone[g->gone_n++ % GM_GONE_MAX];
    group_model_tick(m);
    keep(m, x->id, sizeof(x->id), id);
    x->life = m->life;
    x->tick = m->tick;
}

/* The two ids are one, or of one instance (whose id begins with its name). */
static bool same_leader(const struct gm_group *g, const char *a, struct bytes b)
{
    for (unsigned i = 0; i < g->instances_n; i++) {
        const char *name = g->instances[i].name;
        size_t n = strlen(name);
        if (strncmp(a, name, n) == 0 && a[n] == '-' && b.len > n && b.data[n] == '-' &&
            memcmp(b.data, name, n) == 0) {
            return true;
        }
    }
    return same(a, b);
}

/* ---- what was answered ---- */

void group_model_joined(struct group_model *m, const struct gm_joined *j)
{
    struct gm_group *g = &m->groups[j->group];
    group_model_tick(m);
    if (j->gen < 1 || j->leader.len == 0 || bytes_is_null(j->protocol)) {
        run_fail(m->r, "%s: JoinGroup is answered generation %d, leader '%.*s', protocol '%.*s'",
                 g->name, j->gen, BYTES_FMT(j->leader), BYTES_FMT(j->protocol));
    }
    if (!counts(m, false)) {
        return;
    }
    check_current(m, "JoinGroup", g, j->began, j->gen);
    check_member(m, "JoinGroup", g, j->began, j->id, j->instance);
    struct gm_gen *n = gen_find(g, j->gen);
    bool in_log = n != NULL && n->stable;
    instance_joined(m, g, j->instance, j->id, j->began, in_log);
    /* A group whose first record could not be written begins anew. */
    if (n != NULL && !unsure(m, g, n->tick) && (n->stable || j->gen > 1)) {
        if (!same(n->protocol, j->protocol) || !same_leader(g, n->leader, j->leader)) {
            run_fail(m->r, "%s: generation %d has the leader %s and %s; JoinGroup says %.*s, %.*s",
                     g->name, j->gen, n->leader, n->protocol, BYTES_FMT(j->leader),
                     BYTES_FMT(j->protocol));
        }
        return;
    }
    n = n != NULL ? n : gen_add(m, g, j->gen);
    keep(m, n->leader, sizeof(n->leader), j->leader);
    keep(m, n->protocol, sizeof(n->protocol), j->protocol);
}

void group_model_synced(struct group_model *m, unsigned group, uint64_t began, int32_t gen,
                        struct bytes id, struct bytes instance, uint64_t plan)
{
    struct gm_group *g = &m->groups[group];
    group_model_tick(m);
    m->synced++;
    if (!counts(m, true)) {
        return;
    }
    if (counts(m, false)) {
        check_current(m, "SyncGroup", g, began, gen);
        check_member(m, "SyncGroup", g, began, id, instance);
    }
    if (instance.len > 0) {
        struct gm_instance *in = instance_find(m, g, instance);
        in->in_log = in->in_log || same(in->id, id);
    }
    struct gm_gen *n = gen_find(g, gen);
    if (n == NULL && m->many) {
        n = gen_add(m, g, gen);
    }
    if (n == NULL) { /* asked of a process that has ended, or so long ago that it is forgotten */
        return;
    }
    if (n->plan != 0 && n->plan != plan && !unsure(m, g, n->tick)) {
        run_fail(m->r, "%s: generation %d has two assignments: plan %llu and now plan %llu",
                 g->name, gen, (unsigned long long)n->plan, (unsigned long long)plan);
    }
    n->plan = plan;
    n->stable = true;
}

void group_model_success(struct group_model *m, const char *what, unsigned group, uint64_t began,
                         int32_t gen, struct bytes id, struct bytes instance)
{
    struct gm_group *g = &m->groups[group];
    group_model_tick(m);
    if (gen >= 0 && counts(m, strcmp(what, "OffsetCommit") == 0)) {
        check_current(m, what, g, began, gen);
    }
    if (counts(m, false)) {
        check_member(m, what, g, began, id, instance);
    }
}

void group_model_simple(struct group_model *m, unsigned group, uint64_t began)
{
    struct gm_group *g = &m->groups[group];
    g->simple[g->simple_n++ % GM_SIMPLE_MAX] =
        (struct gm_simple){.begin = began, .end = group_model_tick(m), .life = m->life};
}

void group_model_alive(struct group_model *m, unsigned group, uint64_t since, uint64_t began)
{
    const struct gm_group *g = &m->groups[group];
    for (unsigned i = 0; !m->many && i < g->simple_n && i < GM_SIMPLE_MAX; i++) {
        const struct gm_simple *s = &g->simple[i];
        if (s->life == m->life && s->begin > since && s->end < began) {
            run_fail(m->r, "%s: a commit of no member was accepted while it had members", g->name);
        }
    }
}

void group_model_delete(struct group_model *m, unsigned group)
{
    m->groups[group].deletes++;
    m->groups[group].deletes_in++;
}

void group_model_delete_done(struct group_model *m, unsigned group, bool gone, bool ended)
{
    struct gm_group *g = &m->groups[group];
    g->deletes_in--;
    if (ended && g->deletes > 0) { /* else it may still be done, until the process ends */
        g->deletes--;
    }
    if (!gone) {
        return;
    }
    g->gens_n = 0;
    for (unsigned s = 0; s < GM_SLOTS_MAX; s++) { /* generations are given once more */
        m->beliefs[s].holds = m->beliefs[s].holds && m->beliefs[s].group != group;
    }
}

/* ---- ownership ---- */

void group_model_owns(struct group_model *m, unsigned slot, const struct gm_belief *b)
{
    RUN_CHECK(m->r, slot < GM_SLOTS_MAX);
    m->beliefs[slot] = *b;
    m->beliefs[slot].holds = !m->blind;
    m->beliefs[slot].losses = m->losses;
    for (unsigned s = 0; s < GM_SLOTS_MAX; s++) {
        const struct gm_belief *o = &m->beliefs[s];
        bool one = o->instance[0] != 0 && strcmp(o->instance, b->instance) == 0;
        if (s == slot || !o->holds || m->blind || o->group != b->group || o->gen != b->gen || one ||
            (o->bits & b->bits) == 0 || (o->losses != m->losses && !m->flushed) ||
            unsure(m, &m->groups[b->group], 0)) {
            continue;
        }
        run_fail(m->r, "%s: %s and %s own the same partitions (%#x) in generation %d",
                 m->groups[b->group].name, o->id, b->id, o->bits & b->bits, b->gen);
    }
}

void group_model_owns_nothing(struct group_model *m, unsigned slot)
{
    m->beliefs[slot].holds = false;
}

/* ---- codes ---- */

static const int16_t always[] = {KE_NONE, KE_COORDINATOR_LOAD_IN_PROGRESS,
                                 KE_COORDINATOR_NOT_AVAILABLE, KE_NOT_COORDINATOR};
static const struct {
    int16_t api_key;
    int16_t codes[12]; /* 0 ends it */
} legal[] = {
    {API_FIND_COORDINATOR, {0}},
    {API_JOIN_GROUP,
     {KE_INCONSISTENT_GROUP_PROTOCOL, KE_UNKNOWN_MEMBER_ID, KE_INVALID_SESSION_TIMEOUT,
      KE_REBALANCE_IN_PROGRESS, KE_MEMBER_ID_REQUIRED, KE_GROUP_MAX_SIZE_REACHED,
      KE_FENCED_INSTANCE_ID}},
    {API_SYNC_GROUP,
     {KE_ILLEGAL_GENERATION, KE_UNKNOWN_MEMBER_ID, KE_REBALANCE_IN_PROGRESS,
      KE_FENCED_INSTANCE_ID}},
    {API_HEARTBEAT,
     {KE_ILLEGAL_GENERATION, KE_UNKNOWN_MEMBER_ID, KE_REBALANCE_IN_PROGRESS,
      KE_FENCED_INSTANCE_ID}},
    {API_LEAVE_GROUP, {KE_UNKNOWN_MEMBER_ID, KE_FENCED_INSTANCE_ID}},
    {API_OFFSET_COMMIT,
     {KE_UNKNOWN_TOPIC_OR_PARTITION, KE_ILLEGAL_GENERATION, KE_UNKNOWN_MEMBER_ID,
      KE_REBALANCE_IN_PROGRESS, KE_FENCED_INSTANCE_ID, KE_GROUP_ID_NOT_FOUND, KE_UNKNOWN_TOPIC_ID}},
    {API_OFFSET_FETCH, {KE_UNKNOWN_TOPIC_ID, KE_UNSTABLE_OFFSET_COMMIT}},
    {API_OFFSET_DELETE,
     {KE_UNKNOWN_TOPIC_OR_PARTITION, KE_NON_EMPTY_GROUP, KE_GROUP_ID_NOT_FOUND,
      KE_GROUP_SUBSCRIBED_TO_TOPIC}},
    {API_DELETE_GROUPS, {KE_NON_EMPTY_GROUP, KE_GROUP_ID_NOT_FOUND}},
    {API_DESCRIBE_GROUPS, {KE_GROUP_ID_NOT_FOUND}},
    {API_LIST_GROUPS, {0}},
};

void group_model_code(struct group_model *m, int16_t api_key, int16_t version, int16_t code)
{
    /* (which stands for records too large, and no script's are) */
    bool good = m->certain && code == KE_UNKNOWN_SERVER_ERROR;
    for (size_t i = 0; i < ARRAY_LEN(always); i++) {
        good = good || always[i] == code;
    }
    for (size_t i = 0; !good && i < ARRAY_LEN(legal); i++) {
        for (size_t k = 0; legal[i].api_key == api_key && legal[i].codes[k] != 0; k++) {
            good = good || legal[i].codes[k] == code;
        }
    }
    /* Before version 9 an unknown group's commit is ILLEGAL_GENERATION; before 6 DescribeGroups
     * says Dead; before 4 nobody is asked for a member id. */
    if ((api_key == API_OFFSET_COMMIT && code == KE_GROUP_ID_NOT_FOUND && version < 9) ||
        (api_key == API_DESCRIBE_GROUPS && code == KE_GROUP_ID_NOT_FOUND && version < 6) ||
        (api_key == API_JOIN_GROUP && code == KE_MEMBER_ID_REQUIRED && version < 4)) {
        good = false;
    }
    if (!good) {
        run_fail(m->r, "API %d version %d is answered %d (%s)", api_key, version, code,
                 kafka_error_name(code));
    }
}
