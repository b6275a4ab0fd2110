/* Scenario `coordinator`: the pure core alone (core_run.h), so fast that many seeds can run:
 * members and committers with bad habits, writes that fail, processes that are killed or hand over,
 * logs that are compacted.
 *
 * A run is a few rounds. In each the scripts work with faults; then the faults end, and every group
 * must settle within a bounded time, and be described as what its members believe; then all that
 * was committed is read. At last everybody goes away and all groups are deleted: nothing may be
 * left, in memory either. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/core_run.h"

enum { CALM_US = 3000000, STEP_US = 50000 };

static void run_until(struct core_run *cr, int64_t until, bool (*done)(void *ctx), void *ctx)
{
    struct sim_clock *clock = &cr->r->sim->clock;
    while (done == NULL || !done(ctx)) {
        int64_t next = sim_clock_next(clock);
        if (next > until) {
            clock->now_us = until;
            return;
        }
        clock->now_us = next > clock->now_us ? next : clock->now_us;
        sim_clock_run_due(clock);
    }
}

static void run_for(struct core_run *cr, int64_t us)
{
    run_until(cr, core_now_us(cr) + us, NULL, NULL);
}

static bool is_up(void *ctx)
{
    return ((struct core_run *)ctx)->c != NULL;
}

/* ---- calls of the checker's own ---- */

static void idle(struct core_run *cr)
{
    run_until(cr, core_now_us(cr) + 60000000, group_world_idle, &cr->gw);
    if (!group_world_idle(&cr->gw)) {
        run_fail(cr->r, "a call neither ends nor times out");
    }
}

/* ---- settling ---- */

/* Members as their group is described with: the living stable ones and nobody else. */
static bool described(struct core_run *cr, unsigned group, char *why, size_t n)
{
    struct group_world *gw = &cr->gw;
    struct arena a = {0};
    struct describe_groups_response_described_group out;
    int32_t living = 0;
    proto_init(&describe_groups_response_described_group_desc, &out);
    out.group_id = bytes_str(gw->groups[group].name);
    group_describe(cr->c, out.group_id, 5, &a, &out);
    bool good = out.error_code == 0;
    for (unsigned i = 0; i < gw->members_n; i++) {
        const struct gw_member *m = gw->members[i];
        bool there = false;
        if (m->group != group || m->committer || m->state != GW_STABLE) {
            continue;
        }
        for (int32_t k = 0; k < out.members_n; k++) {
            there = there || bytes_eq_str(out.members[k].member_id, m->id);
        }
        good = good && there;
        living++;
    }
    bool state = living > 0 ? bytes_eq_str(out.group_state, "Stable")
                            : bytes_eq_str(out.group_state, "Empty") ||
                                  bytes_eq_str(out.group_state, "Dead");
    good = good && state && out.members_n == living;
    if (!good) {
        snprintf(why, n, "%s: %d members believe in it; DescribeGroups says %d, %.*s, %d members",
                 gw->groups[group].name, living, out.error_code, BYTES_FMT(out.group_state),
                 out.members_n);
    }
    arena_free(&a);
    return good;
}

static bool settled(struct core_run *cr, char *why, size_t n)
{
    bool good = group_world_settled(&cr->gw, why, n);
    for (unsigned g = 0; good && g < cr->gw.model.groups_n; g++) {
        good = described(cr, g, why, n);
    }
    return good;
}

static void settle(struct core_run *cr)
{
    char why[200] = "";
    int64_t until = core_now_us(cr) + group_world_patience_us(&cr->gw);
    bool good = false;
    while (!good) {
        if (core_now_us(cr) >= until) {
            run_fail(cr->r, "a group does not settle: %s", why);
        }
        run_for(cr, STEP_US * 10);
        if (settled(cr, why, sizeof(why))) {
            run_for(cr, CALM_US);
            good = settled(cr, why, sizeof(why));
        }
    }
}

/* ---- rounds ---- */

static void read_all(struct core_run *cr)
{
    for (unsigned g = 0; g < cr->gw.model.groups_n; g++) {
        gw_read(cr->checker, g);
    }
    idle(cr);
}

static void round_run(struct core_run *cr)
{
    struct group_world *gw = &cr->gw;
    cr->faulty = gw->naughty = true;
    group_world_start(gw);
    run_for(cr, (int64_t)run_between(cr->r, 1000000, 40000000));
    cr->faulty = gw->naughty = false;
    run_until(cr, core_now_us(cr) + 60000000, is_up, cr);
    RUN_CHECK(cr->r, cr->c != NULL);
    settle(cr);
    group_world_rest(gw);
    idle(cr);
    read_all(cr);
}

static bool gone(void *ctx)
{
    return group_coordinator_counts(((struct core_run *)ctx)->c).members == 0;
}

/* Everybody dies, all groups are deleted: what is left is what a new coordinator has. */
static void tear_down(struct core_run *cr)
{
    struct group_world *gw = &cr->gw;
    struct group_coordinator *fresh = group_coordinator_new(&cr->config, NULL);
    for (unsigned i = 0; i < gw->members_n; i++) {
        gw->carrier->hang_up(gw->members[i], GW_LANES);
    }
    run_until(cr, core_now_us(cr) + 400000000, gone, cr);
    RUN_CHECK(cr->r, gone(cr));
    run_for(cr, 2 * cr->write_us_max + 1000000); /* what is on its way */
    for (unsigned g = 0; g < gw->model.groups_n; g++) {
        gw_delete(cr->checker, g);
    }
    idle(cr);
    struct group_counts n = group_coordinator_counts(cr->c);
    struct group_counts none = group_coordinator_counts(fresh);
    uint64_t timers = n.bytes - none.bytes; /* the heap keeps its room: 8 bytes for each of 2^k */
    bool left = timers != 0 && (timers < 512 || (timers & (timers - 1)) != 0);
    if (n.groups != 0 || n.members != 0 || n.offsets != 0 || left) {
        run_fail(cr->r,
                 "all groups are deleted; left are %llu groups, %llu members, %llu offsets, "
                 "%llu bytes (new: %llu)",
                 (unsigned long long)n.groups, (unsigned long long)n.members,
                 (unsigned long long)n.offsets, (unsigned long long)n.bytes,
                 (unsigned long long)none.bytes);
    }
    group_coordinator_free(fresh);
}

static void run_coordinator(struct run *r)
{
    struct core_run *cr = MEM_NEW(struct core_run);
    run_world(r, false);
    core_init(cr, r);
    cr->checker = group_world_checker(&cr->gw);
    core_start(cr);
    for (uint64_t k = 1 + run_below(r, 3); k > 0; k--) {
        round_run(cr);
    }
    core_end(cr, run_chance(r, 50));
    run_until(cr, core_now_us(cr) + 60000000, is_up, cr);
    read_all(cr);
    tear_down(cr);
    run_note(r,
             "%llu commits acknowledged, %llu refused, %llu reads, %llu syncs; %llu writes "
             "failed, %llu crashes, %llu hand-overs",
             (unsigned long long)cr->gw.model.acked, (unsigned long long)cr->gw.model.refused,
             (unsigned long long)cr->gw.model.read, (unsigned long long)cr->gw.model.synced,
             (unsigned long long)cr->fails, (unsigned long long)cr->crashes,
             (unsigned long long)cr->unloads);
    core_free(cr);
    mem_free(cr);
}

const struct scenario scenario_coordinator = {
    .name = "coordinator",
    .what = "the pure coordinator of groups: members with bad habits, failed writes, reloads",
    .run = run_coordinator,
    .mutants = MUTANT_BIT(MUTANT_COMMIT) | MUTANT_BIT(MUTANT_TWICE) | MUTANT_BIT(MUTANT_STALE) |
               MUTANT_BIT(MUTANT_TIMER) | MUTANT_BIT(MUTANT_REPLAY) | MUTANT_BIT(MUTANT_FORGET),
};
