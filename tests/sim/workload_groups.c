/* Scenario `groups`: one whole node, and members of consumer groups (group_world.h) that reach it
 * over the network, while it is killed, loses power, stops, and its disk and network misbehave
 * (as in scenario `node`).
 *
 * A run is a few rounds. In each the scripts work, with bad habits, through faults and restarts;
 * then the faults end, the scripts behave, and every group must settle within a bounded time; then
 * they rest, and what was committed is read: by OffsetFetch, and from the log of __consumer_offsets
 * itself (groups_log.c). What a power loss may take is said there and in group_model.h: all that
 * was not flushed, unless the topic flushes before it acknowledges. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/groups_run.h"

enum { STEP_US = 500000, CALM_US = 3000000, LIMIT_US = 60000000 };

static struct groups_run *of(struct node_run *nr)
{
    return nr->user;
}

static void on_end(struct node_run *nr, bool lost, bool power)
{
    struct groups_run *gr = of(nr);
    if (gr->in_order && !lost) {
        group_model_flushed(&gr->gw.model);
    }
    gr->in_order = false;
    group_world_down(&gr->gw, lost, power);
    groups_log_down(gr, lost);
}

/* It is down, or has ended by itself: up again. */
static void up_again(struct groups_run *gr, const struct profile *p, struct node_mark *mark)
{
    struct node_run *nr = &gr->nr;
    node_faults_off(nr);
    if (machine_up(nr->m)) {
        if (!node_trouble(nr, mark)) {
            run_fail(nr->r, "the node ended by itself: %s", node_failure(nr->m->node));
        }
        machine_clear(nr->m, false);
    }
    node_after_end(nr, mark);
    node_bring_up(nr, p);
    *mark = node_mark(nr);
}

static void stop(struct groups_run *gr, const struct node_mark *mark)
{
    gr->in_order = true;
    node_stop_in_order(&gr->nr, mark);
    /* On a full disk it ends without the mark, and not everything is flushed. */
    gr->in_order = gr->nr.m->state == NODE_STOPPED && machine_marked(gr->nr.m);
}

static bool one_more_acked(void *ctx)
{
    struct groups_run *gr = ctx;
    return gr->gw.model.acked != gr->acked || node_ended(&gr->nr);
}

/* One blow, or none. The node may be down after it. */
static void blow(struct groups_run *gr, const struct profile *p, const struct node_mark *mark)
{
    struct node_run *nr = &gr->nr;
    struct run *r = nr->r;
    enum world_end how = p->power && run_chance(r, 60) ? WORLD_POWER : WORLD_KILL;
    switch (run_below(r, 6)) {
    case 0: /* any time, or as soon as something was acknowledged */
        gr->acked = gr->gw.model.acked;
        if (run_chance(r, 50)) {
            world_run(&nr->w, 1000000, one_more_acked, gr);
        }
        if (!node_ended(nr)) {
            machine_end(nr->m, how);
        }
        break;
    case 1:
        if (p->mid_call) {
            machine_end_in(nr->m, run_between(r, 1, 500), how);
        }
        break;
    case 2:
        if (run_chance(r, 40)) {
            stop(gr, mark);
        }
        break;
    default:
        node_strike(nr, p);
    }
}

static void work(struct groups_run *gr, const struct profile *p, struct node_mark *mark)
{
    struct node_run *nr = &gr->nr;
    gr->gw.naughty = true;
    group_world_start(&gr->gw);
    nr->w.sim->net.faults = nr->net;
    for (uint64_t k = 1 + run_below(nr->r, 8); k > 0; k--) {
        int64_t us = run_chance(nr->r, 50) ? 6000000 : 100000;
        world_run(&nr->w, 1 + (int64_t)run_below(nr->r, (uint64_t)us), node_ended, nr);
        if (!node_ended(nr)) {
            blow(gr, p, mark);
        }
        if (node_ended(nr)) {
            up_again(gr, p, mark);
            nr->w.sim->net.faults = nr->net;
        }
    }
    node_faults_off(nr);
    sim_proc_die_in(nr->m->proc, 0);
    gr->gw.naughty = false;
    world_run(&nr->w, 1000000, node_ended, nr);
    if (!node_ended(nr) && nr->m->host->disk->stats.eio != mark->eio) {
        stop(gr, mark); /* a log directory may be offline until a restart */
    }
    if (node_ended(nr)) {
        up_again(gr, p, mark);
    }
}

static void settle(struct groups_run *gr)
{
    struct node_run *nr = &gr->nr;
    char why[200] = "";
    int64_t until = nr->w.sim->clock.now_us + group_world_patience_us(&gr->gw);
    bool good = false;
    while (!good) {
        if (nr->w.sim->clock.now_us >= until) {
            run_fail(nr->r, "a group does not settle: %s", why);
        }
        world_run(&nr->w, STEP_US, node_ended, nr);
        if (group_world_settled(&gr->gw, why, sizeof(why))) {
            world_run(&nr->w, CALM_US, node_ended, nr);
            good = group_world_settled(&gr->gw, why, sizeof(why)) &&
                   groups_described(nr, &gr->gw, 0, gr->gw.model.groups_n, why, sizeof(why));
        }
        if (node_ended(nr)) {
            run_fail(nr->r, "the node has ended although nothing is wrong: %s",
                     machine_up(nr->m) ? node_failure(nr->m->node) : "it is gone");
        }
    }
}

/* Every offset, and the log; the scripts rest. */
static void check(struct groups_run *gr)
{
    struct node_run *nr = &gr->nr;
    group_world_rest(&gr->gw);
    if (!world_run(&nr->w, LIMIT_US, group_world_idle, &gr->gw)) {
        run_fail(nr->r, "a member's call neither ends nor times out");
    }
    groups_check_offsets(gr);
    groups_check_log(gr);
    sim_client_close(&nr->checker);
}

static void set_up(struct groups_run *gr, struct profile *p)
{
    struct node_run *nr = &gr->nr;
    struct run *r = nr->r;
    static const int delays[] = {0, 500, 3000};
    int most = run_chance(r, 80) ? INT32_MAX : (int)(1 + run_below(r, 6));
    bool flushed = run_chance(r, 50);
    snprintf(gr->config, sizeof(gr->config),
             "io.threads=%d\n"
             "auto.create.topics.enable=false\n"
             "offsets.topic.num.partitions=%d\n"
             "offsets.topic.replication.factor=1\n"
             "group.min.session.timeout.ms=500\n"
             "group.max.size=%d\n"
             "group.initial.rebalance.delay.ms=%d\n"
             "%s",
             (int)(1 + run_below(r, 3)), (int)(1 + run_below(r, GROUPS_PARTS_MAX)), most,
             delays[run_below(r, ARRAY_LEN(delays))],
             flushed ? "log.flush.interval.messages=1\n" : "");
    run_world(r, false);
    history_init(&nr->h, r);
    world_init_single(&nr->w, r, gr->config, NODE_DISK_BYTES);
    nr->m = &nr->w.machines[0];
    *p = node_profile(nr);
    sim_client_init(&nr->checker, world_client(&nr->w), "checker");
    net_carrier_init(&gr->net, &nr->w);
    group_world_init(&gr->gw, r, &r->sim->clock, &net_carrier, &gr->net, false);
    gr->gw.model.flushed = flushed;
    gr->gw.finds = true;
    net_carrier_host(&gr->net, &gr->gw, nr->m);
    gr->checker = group_world_checker(&gr->gw);
    nr->user = gr;
    nr->on_end = on_end;
}

static void run_groups(struct run *r)
{
    struct groups_run *gr = MEM_NEW(struct groups_run);
    struct node_run *nr = &gr->nr;
    struct profile p;
    struct profile calm = {0};
    nr->r = r;
    set_up(gr, &p);
    node_bring_up(nr, &p);
    groups_make_topics(nr, &gr->gw);
    struct node_mark mark = node_mark(nr);
    for (uint64_t k = 1 + run_below(r, 3); k > 0; k--) {
        work(gr, &p, &mark);
        settle(gr);
        check(gr);
        mark = node_mark(nr);
    }
    stop(gr, &mark);
    up_again(gr, &calm, &mark);
    check(gr);
    stop(gr, &mark);
    run_note(r, "%llu commits acknowledged, %llu refused, %llu lost, %llu reads, %llu syncs",
             (unsigned long long)gr->gw.model.acked, (unsigned long long)gr->gw.model.refused,
             (unsigned long long)gr->gw.model.lost, (unsigned long long)gr->gw.model.read,
             (unsigned long long)gr->gw.model.synced);
    group_world_free(&gr->gw);
    arena_free(&nr->arena);
    history_free(&nr->h);
    world_free(&nr->w);
}

const struct scenario scenario_groups = {
    .name = "groups",
    .what =
        "a whole node and members of groups: they stall, die, return; it is killed and restarts",
    .run = run_groups,
    .mutants = MUTANT_BIT(MUTANT_FSYNC) | MUTANT_BIT(MUTANT_KILL) | MUTANT_BIT(MUTANT_EARLY) |
               MUTANT_BIT(MUTANT_COMMIT) | MUTANT_BIT(MUTANT_TWICE) | MUTANT_BIT(MUTANT_STALE) |
               MUTANT_BIT(MUTANT_TIMER) | MUTANT_BIT(MUTANT_REPLAY) | MUTANT_BIT(MUTANT_FORGET),
};
