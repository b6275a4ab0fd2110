/* Clients that do anything at any time, writes that are committed late or fail: after each event
 * the counts of the state machine are those of its members, each question is answered once
 * (rig_close), and what is stable in memory is what the committed records say (a second coordinator
 * reads them). One seed a run; a failure prints it. */
#include "broker/group/classic.h"
#include "rig.h"

enum { CLIENTS = 12, GROUPS = 3, STEPS = 4000, SEEDS = 12 };

static const char *const group_names[GROUPS] = {"red", "green", "blue"};
static const char *const instances[3] = {"i0", "i1", "i2"};

struct client {
    const char *group, *instance;
    struct call *join, *sync; /* out, or answered and not heard yet */
    bool must_join, in_generation;
    char member[300];
    int32_t generation;
};

struct world {
    struct rig r;
    struct client clients[CLIENTS];
    uint64_t x;
    bool fails;      /* writes do, now and then */
    uint32_t stable; /* groups seen so, over all steps */
};

static uint32_t roll(struct world *w, uint32_t n)
{
    w->x = w->x * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(w->x >> 33) % n;
}

/* ---- what must hold ---- */

static void check_member(const struct classic *cl, const struct classic_member *m)
{
    assert_ptr_equal(classic_find(cl, m->id), m);
    if (!bytes_is_null(m->instance)) {
        assert_ptr_equal(map_get(&cl->by_instance, m->instance), m);
    }
    assert_true(m->sync == NULL || cl->state == CLASSIC_COMPLETING);
    assert_true(m->join == NULL || cl->state == CLASSIC_PREPARING ||
                (cl->state == CLASSIC_STABLE && !bytes_is_null(m->instance)));
    /* nobody is forgotten: a timer runs, or we owe it an answer */
    assert_true(m->session.at > 0 || m->join != NULL || m->sync != NULL);
}

static void check_group(const struct group *g)
{
    const struct classic *cl = g->classic;
    uint32_t members = 0, joins = 0, owed = 0;
    if (cl == NULL) {
        return;
    }
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        members++;
        joins += m->join != NULL;
        owed += m->owes_sync;
        check_member(cl, m);
    }
    assert_int_equal(members, cl->members_n);
    assert_int_equal(members, cl->by_id.count);
    assert_int_equal(joins, cl->joins_n);
    assert_int_equal(owed, cl->syncs_owed);
    assert_int_equal(cl->leader != NULL, members > 0);
    assert_true(cl->state != CLASSIC_EMPTY || members == 0);
    assert_true(cl->state == CLASSIC_EMPTY || cl->state == CLASSIC_PREPARING || members > 0);
    assert_int_equal(cl->state == CLASSIC_PREPARING, cl->join_timer.at > 0);
    assert_int_equal(owed > 0, cl->sync_timer.at > 0);
    assert_true(cl->assigning == NULL || cl->state == CLASSIC_COMPLETING);
}

static void describe(const struct group_coordinator *c, const char *group, struct arena *a,
                     struct describe_groups_response_described_group *d)
{
    proto_init(&describe_groups_response_described_group_desc, d);
    group_describe(c, bytes_str(group), 5, a, d);
}

static void same_as_log(struct rig *r, const char *group)
{
    struct arena a = {0};
    struct describe_groups_response_described_group here, there;
    describe(r->c, group, &a, &here);
    describe(r->shadow, group, &a, &there);
    bool settled =
        bytes_eq_str(here.group_state, "Stable") || bytes_eq_str(here.group_state, "Empty");
    if (settled && here.protocol_type.len > 0) {
        assert_true(bytes_eq(here.group_state, there.group_state));
        assert_true(bytes_eq(here.protocol_data, there.protocol_data));
        assert_int_equal(here.members_n, there.members_n);
    }
    for (int32_t i = 0; settled && i < here.members_n; i++) {
        assert_true(bytes_eq(here.members[i].member_id, there.members[i].member_id));
        assert_true(
            bytes_eq(here.members[i].group_instance_id, there.members[i].group_instance_id));
        assert_true(
            bytes_eq(here.members[i].member_assignment, there.members[i].member_assignment));
    }
    arena_free(&a);
}

static void check(struct world *w)
{
    struct group_counts n = group_coordinator_counts(w->r.c);
    uint64_t members = 0;
    for (int i = 0; i < GROUPS; i++) {
        const struct group *g = group_find(w->r.c, bytes_str(group_names[i]));
        if (g != NULL) {
            check_group(g);
            w->stable += classic_is_stable(g);
            members += g->classic ? g->classic->members_n : 0;
        }
        if (w->r.writes_n == 0 && !w->fails) {
            same_as_log(&w->r, group_names[i]);
        }
    }
    assert_int_equal(n.members, members);
}

/* ---- what clients do ---- */

static void goes_wrong(struct client *c, int16_t code)
{
    c->must_join = true;
    c->in_generation = false;
    if (code == KE_UNKNOWN_MEMBER_ID || code == KE_FENCED_INSTANCE_ID) {
        c->member[0] = 0;
    }
}

static void heard(struct client *c)
{
    if (c->join != NULL && c->join->done) {
        int16_t code = c->join->r.join.error_code;
        if (code == KE_NONE || code == KE_MEMBER_ID_REQUIRED) {
            rig_text(c->member, sizeof c->member, c->join->r.join.member_id);
            c->generation = c->join->r.join.generation_id;
            c->must_join = code != KE_NONE;
            c->in_generation = false;
        } else {
            goes_wrong(c, code);
        }
        c->join = NULL;
    }
    if (c->sync != NULL && c->sync->done) {
        if (c->sync->r.sync.error_code == KE_NONE) {
            c->in_generation = true;
        } else {
            goes_wrong(c, c->sync->r.sync.error_code);
        }
        c->sync = NULL;
    }
}

static void joins(struct world *w, struct client *c)
{
    static const char *const protocols[4][3] = {{"range:1", "sticky:1", NULL},
                                                {"range:1", "sticky:1", NULL},
                                                {"sticky:2", "range:2", NULL},
                                                {"sticky:3", NULL, NULL}};
    uint32_t p = roll(w, 30) == 0 ? 3 : roll(w, 30) / 14;
    struct join j = {.group = c->group,
                     .instance = c->instance,
                     .member = roll(w, 30) == 0 ? "" : c->member,
                     .session_ms = 10000,
                     .rebalance_ms = roll(w, 2) ? 20000 : 60000,
                     .version = (int16_t)(roll(w, 4) == 0 ? 3 : 6 + roll(w, 4)),
                     .protocols = {protocols[p][0], protocols[p][1]}};
    c->join = rig_join(&w->r, j);
}

static void syncs(struct world *w, struct client *c)
{
    struct sync s = {.group = c->group,
                     .member = c->member,
                     .instance = c->instance,
                     .generation = c->generation + (roll(w, 16) == 0),
                     .version = 4};
    char part[32];
    snprintf(part, sizeof part, "part-%u", roll(w, 1000));
    s.parts[0] = c->member;
    s.parts[1] = part;
    s.parts[2] = w->clients[roll(w, CLIENTS)].member;
    s.parts[3] = "other";
    c->sync = rig_sync(&w->r, s);
}

static void does_right(struct world *w, struct client *c)
{
    if (c->join != NULL || c->sync != NULL) {
        rig_advance(&w->r, roll(w, 200));
    } else if (c->must_join || c->member[0] == 0) {
        joins(w, c);
    } else if (!c->in_generation) {
        syncs(w, c);
    } else {
        int16_t code = rig_beat_as(&w->r, c->group, c->member, c->instance, c->generation);
        if (code != KE_NONE) {
            goes_wrong(c, code);
        }
    }
}

static void does_something(struct world *w)
{
    struct client *c = &w->clients[roll(w, CLIENTS)];
    heard(c);
    if (roll(w, 20) > 0) {
        does_right(w, c);
        if (roll(w, 4) > 0) {
            return;
        }
    }
    switch (roll(w, 40)) {
    case 0:
        joins(w, c);
        break;
    case 1:
        syncs(w, c);
        break;
    case 2:
        rig_beat_as(&w->r, c->group, c->member, c->instance, c->generation);
        break;
    case 3:
        if (roll(w, 4) == 0) {
            rig_leave(&w->r, (struct leave){
                                 .group = c->group,
                                 .who = {{roll(w, 4) ? c->member : "", c->instance, "random"}}});
        }
        break;
    case 4:
        rig_advance(&w->r, roll(w, 10) == 0 ? roll(w, 30000) : roll(w, 2000));
        break;
    default:
        w->r.hold = roll(w, 3) > 0;
        rig_advance(&w->r, roll(w, 50));
        if (w->r.writes_n > 0) {
            rig_written(&w->r, w->fails && roll(w, 3) == 0 ? KE_NOT_ENOUGH_REPLICAS : KE_NONE);
        }
        rig_carry_out(&w->r);
        break;
    }
}

static void run(uint64_t seed)
{
    struct world *w = MEM_NEW(struct world);
    w->x = seed * 7919 + 1;
    w->fails = seed % 2 == 1;
    rig_open(&w->r);
    w->r.config.max_size = 5;
    w->r.shadow = group_coordinator_new(&w->r.config, &w->r.secret);
    for (int i = 0; i < CLIENTS; i++) {
        w->clients[i] = (struct client){.group = group_names[i % GROUPS],
                                        .instance = i < 5 ? instances[i % 3] : NULL};
    }
    for (int i = 0; i < STEPS; i++) {
        does_something(w);
        check(w);
        if (w->r.lines_n > RIG_LINES_MAX / 2) {
            while (w->r.lines_n > 0) {
                mem_free(w->r.lines[--w->r.lines_n]);
            }
        }
    }
    assert_true(w->stable > STEPS / 4);
    if (seed % 3 == 0) {
        rig_unload(&w->r, KE_NOT_COORDINATOR); /* in the middle of everything */
    } else {
        /* Everybody falls silent: every group ends empty, every timer with it. */
        w->r.hold = false;
        rig_carry_out(&w->r);
        rig_advance(&w->r, 3600000);
        check(w);
        assert_int_equal(group_coordinator_counts(w->r.c).members, 0);
        assert_int_equal(group_coordinator_deadline(w->r.c), INT64_MAX);
    }
    rig_close(&w->r);
    group_coordinator_free(w->r.shadow);
    mem_free(w);
}

static void anything_at_any_time(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(anything_at_any_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
