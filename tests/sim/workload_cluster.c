/* Scenario `cluster`: controllers and brokers on machines of their own, and clients, while machines
 * fall, return, stand still, are cut off, and their disks and clocks misbehave.
 *
 * A run is a few rounds. In each the clients work for some seconds of virtual time while faults
 * strike one machine after another. Then the faults end; within a bounded time all nodes must run,
 * all partitions have leaders and whole in-sync sets, and clients go on. Then they rest, and
 * everything that they were told must hold (history.h, node_check.c), and all copies are equal
 * (cluster_watch.c). At last all is stopped in order, started and checked once more. */
#include "base/mem.h"
#include "sim/cluster_run.h"

static int64_t now_us(const struct cluster_run *cr)
{
    return cr->nr.w.sim->clock.now_us;
}

/* ---- faults ---- */

static struct machine *some(struct cluster_run *cr)
{
    return &cr->nr.w.machines[run_below(cr->nr.r, cr->nr.w.machines_n)];
}

static struct sim_host *somewhere(struct cluster_run *cr)
{
    uint64_t i = run_below(cr->nr.r, cr->nr.w.machines_n + 1);
    return i < cr->nr.w.machines_n ? cr->nr.w.machines[i].host : cr->nr.w.client_host;
}

static void cut(struct cluster_run *cr)
{
    struct run *r = cr->nr.r;
    struct sim_net *net = &cr->nr.w.sim->net;
    struct sim_host *a = somewhere(cr);
    struct sim_host *b = somewhere(cr);
    bool one_way = run_chance(r, 40);
    if (run_chance(r, 50)) { /* one machine from all others */
        for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
            sim_net_block(net, a, cr->nr.w.machines[i].host, true);
            sim_net_block(net, cr->nr.w.machines[i].host, a, !one_way);
        }
        run_note(r, "%s is cut off%s", a->name, one_way ? " (what it sends)" : "");
    } else if (a != b) {
        sim_net_block(net, a, b, true);
        sim_net_block(net, b, a, !one_way);
        run_note(r, "no way from %s to %s%s", a->name, b->name, one_way ? "" : " and back");
    }
}

static void mend_cuts(struct cluster_run *cr)
{
    struct sim_net *net = &cr->nr.w.sim->net;
    for (unsigned i = 0; i < ARRAY_LEN(net->blocked); i++) {
        net->blocked[i] = 0;
    }
    run_note(cr->nr.r, "no cuts");
}

static void disk(struct cluster_run *cr, struct machine *m)
{
    struct run *r = cr->nr.r;
    struct sim_disk *d = m->host->disk;
    switch (run_below(r, 5)) {
    case 0:
        if (cr->p.full) {
            d->capacity = d->used + run_between(r, 0, 200) * SIM_PAGE;
        }
        break;
    case 1:
        d->capacity = NODE_DISK_BYTES; /* space is back */
        break;
    case 2:
        if (cr->p.eio) {
            uint64_t n = run_between(r, 1, 50);
            if (run_chance(r, 50)) {
                d->faults.write_eio_in = n;
            } else {
                d->faults.fsync_eio_in = n;
            }
        }
        break;
    case 3:
        if (cr->p.slow) {
            d->faults.fsync_us_max = (uint32_t)run_between(r, 300, 300000);
            d->faults.stall_ppm = run_chance(r, 30) ? 20000 : 0;
            d->faults.stall_us = 3000000;
        }
        break;
    default:
        d->faults.writeback_ppm = run_chance(r, 50) ? 100000 : 0;
        d->faults.journal_ppm = run_chance(r, 50) ? 200000 : 0;
        d->faults.cold_ppm = run_chance(r, 50) ? 200000 : 0;
    }
}

static void blackout(struct cluster_run *cr)
{
    run_note(cr->nr.r, "the power fails everywhere");
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        if (machine_up(&cr->nr.w.machines[i])) {
            machine_end(&cr->nr.w.machines[i], WORLD_OFF);
        }
    }
}

/* What ends a node, in this way or that. */
static void fell(struct cluster_run *cr, struct machine *m)
{
    struct run *r = cr->nr.r;
    enum world_end how = !cr->p.power || run_chance(r, 50) ? WORLD_KILL
                         : run_chance(r, 50)               ? WORLD_POWER
                                                           : WORLD_OFF;
    if (!machine_up(m) || m->paused_until_us > now_us(cr)) {
        return;
    }
    if (cr->p.stops && run_chance(r, 30)) {
        run_note(r, "node %d is told to stop", m->node_id);
        cr->members[m->index].stopping = true;
        machine_stop(m);
    } else if (cr->p.mid_call && run_chance(r, 40)) {
        machine_end_in(m, run_between(r, 1, 300), how);
    } else if (cr->p.kill || cr->p.power) {
        machine_end(m, how);
    }
}

static void blow(struct cluster_run *cr)
{
    struct run *r = cr->nr.r;
    struct sim_net *net = &cr->nr.w.sim->net;
    struct machine *m = some(cr);
    switch (run_below(r, 13)) {
    case 0:
    case 1:
    case 2:
        fell(cr, m);
        break;
    case 3:
    case 4:
        if (cr->p.pause && machine_up(m)) {
            int64_t us = (int64_t)run_between(r, 20000, 6000000);
            run_note(r, "node %d stands still for %lld ms", m->node_id, (long long)us / 1000);
            machine_pause(m, us);
        }
        break;
    case 5:
    case 6:
        if (cr->p.cuts) {
            cut(cr);
        }
        break;
    case 7:
        mend_cuts(cr);
        break;
    case 8:
        if (cr->p.resets) {
            sim_net_reset_all(net, somewhere(cr));
        }
        break;
    case 9:
        if (cr->p.clocks) {
            m->host->wall_ahead_ms += (int64_t)run_below(r, 1200000) - 600000;
        }
        break;
    case 10:
        if (cr->p.power && run_chance(r, 15)) {
            blackout(cr);
            break;
        }
        disk(cr, m);
        break;
    case 11:
        if (cr->p.wipes) {
            cluster_wipe(cr, m);
        }
        break;
    default:
        disk(cr, m);
    }
}

/* ---- making ---- */

static void network(struct node_run *nr)
{
    struct run *r = nr->r;
    struct sim_net_faults *f = &nr->net;
    *f = sim_net_no_faults();
    f->timeout_us = 1000000 + (int64_t)run_below(r, 10000000);
    if (run_chance(r, 50)) {
        f->window_min = (uint32_t)run_between(r, 1000, 65536);
        f->window_max = f->window_min + (uint32_t)run_between(r, 0, 200000);
        f->split_ppm = (uint32_t)run_between(r, 0, 200000);
        f->short_ppm = (uint32_t)run_between(r, 0, 200000);
        f->delay_us_max = (uint32_t)run_between(r, 10, 20000);
    }
}

static struct cluster_profile profile(struct run *r)
{
    return (struct cluster_profile){.kill = run_chance(r, 70),
                                    .power = run_chance(r, 50),
                                    .mid_call = run_chance(r, 40),
                                    .pause = run_chance(r, 50),
                                    .cuts = run_chance(r, 50),
                                    .resets = run_chance(r, 40),
                                    .eio = run_chance(r, 15),
                                    .full = run_chance(r, 15),
                                    .slow = run_chance(r, 25),
                                    .clocks = run_chance(r, 30),
                                    .stops = run_chance(r, 50),
                                    .wipes = run_chance(r, 40)};
}

static void locate(struct node_run *nr, const struct topic *t, int32_t partition)
{
    struct machine *m = cluster_leader(cluster_of(nr), t, partition);
    nr->m = m != NULL ? m : nr->m;
}

static void set_up(struct cluster_run *cr)
{
    struct node_run *nr = &cr->nr;
    struct run *r = nr->r;
    run_world(r, false);
    history_init(&nr->h, r);
    nr->h.many = true;
    nr->many = true;
    nr->user = cr;
    nr->locate = locate;
    cluster_make(cr);
    cr->p = profile(r);
    network(nr);
    nr->m = nr->brokers[0];
    sim_client_init(&nr->checker, world_client(&nr->w), "checker");
    actor_admin_new(nr);
    if (run_chance(r, 60)) {
        actor_mover_new(nr);
    }
    cluster_groups_make(cr);
    for (uint64_t i = 0, n = 1 + run_below(r, 4); i < n; i++) {
        actor_producer_new(nr, (unsigned)i)->pause_us_max = 20000 + (int64_t)run_below(r, 300000);
    }
    for (uint64_t i = 0, n = 1 + run_below(r, 3); i < n; i++) {
        actor_consumer_new(nr, (unsigned)i)->pause_us_max = 5000 + (int64_t)run_below(r, 100000);
    }
}

/* ---- rounds ---- */

static void work(struct cluster_run *cr)
{
    struct run *r = cr->nr.r;
    int64_t until = now_us(cr) + 2000000 + (int64_t)run_below(r, 6000000);
    cr->healing = false;
    cluster_groups_start(cr);
    node_actors_start(&cr->nr);
    while (now_us(cr) < until) {
        cluster_run_for(cr, (int64_t)run_between(r, 10000, 1500000));
        blow(cr);
    }
}

static void check(struct cluster_run *cr)
{
    struct node_run *nr = &cr->nr;
    node_actors_rest(nr);
    if (cr->groups != NULL) {
        group_world_rest(&cr->groups->gw);
    }
    cluster_await_metadata(cr);
    check_everything(nr);
    cluster_compare(cr);
    cluster_groups_check(cr);
    cluster_observers_check(cr);
    run_note(nr->r, "checked: %llu records sent, %llu acknowledged, %llu read, %llu lost",
             (unsigned long long)nr->h.n, (unsigned long long)nr->h.acked,
             (unsigned long long)nr->h.read, (unsigned long long)nr->h.lost);
}

void cluster_round_end(struct cluster_run *cr)
{
    cluster_heal(cr);
    cluster_run_for(cr, 500000); /* clients go on */
    cluster_groups_settle(cr);
    check(cr);
}

void cluster_free(struct cluster_run *cr)
{
    struct node_run *nr = &cr->nr;
    for (unsigned i = 0; i < nr->actors_n; i++) {
        actor_free(nr->actors[i]);
    }
    arena_free(&nr->arena);
    history_free(&nr->h);
    cluster_groups_free(cr);
    cluster_watch_free(cr);
    world_free(&nr->w);
}

static void run_cluster(struct run *r)
{
    struct cluster_run *cr = MEM_NEW(struct cluster_run);
    struct node_run *nr = &cr->nr;
    nr->r = r;
    set_up(cr);
    cluster_start_all(cr);
    cluster_heal(cr);
    for (uint64_t k = 1 + run_below(r, 2); k > 0; k--) {
        work(cr);
        cluster_round_end(cr);
    }
    cluster_stop_all(cr);
    cluster_heal(cr);
    check(cr);
    cluster_stop_all(cr);
    cluster_free(cr);
}

const struct scenario scenario_cluster = {
    .name = "cluster",
    .what = "controllers and brokers on machines of their own: kill, power, pauses, cuts, disks",
    .run = run_cluster,
    .mutants = MUTANT_BIT(MUTANT_FSYNC) | MUTANT_BIT(MUTANT_ACK) | MUTANT_BIT(MUTANT_SEQUENCE) |
               MUTANT_BIT(MUTANT_VOTE) | MUTANT_BIT(MUTANT_GUARD_A) | MUTANT_BIT(MUTANT_ZOMBIE) |
               MUTANT_BIT(MUTANT_UNCLEAN) | MUTANT_BIT(MUTANT_ALL) | MUTANT_BIT(MUTANT_ABOVE) |
               MUTANT_BIT(MUTANT_CLEAN) | MUTANT_BIT(MUTANT_UNCUT) | MUTANT_BIT(MUTANT_ALONE) |
               MUTANT_BIT(MUTANT_COMMIT) | MUTANT_BIT(MUTANT_KILL),
};
