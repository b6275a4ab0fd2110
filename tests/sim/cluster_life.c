/* Scenario `cluster`, the life of its nodes: started when it is time, found dead, healed, stopped;
 * and what a death may have cost. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/cluster_run.h"
#include "sim/hooks.h"

enum {
    LOOK_US = 40000,
    HEAL_LIMIT_US = 60000000,
    STOP_LIMIT_US = 60000000,
    DOWN_US_MAX = 4000000,
    SAY_US = 1000000,
};

static int64_t now_us(const struct cluster_run *cr)
{
    return cr->nr.w.sim->clock.now_us;
}

/* ---- losses ---- */

static bool too_many(uint32_t lost, uint32_t replicas, int32_t min_isr)
{
    return __builtin_popcount(lost & replicas) >= min_isr;
}

/* NULL: nobody has seen it yet. (The last one of that name: clients may not know its id.) */
static struct watched_part *part_of(struct cluster_run *cr, const struct topic *t, int32_t index)
{
    for (unsigned i = cr->watch.parts_n; i > 0; i--) {
        struct watched_part *p = &cr->watch.parts[i - 1];
        if (p->index == index && strcmp(p->name, t->name) == 0) {
            return p;
        }
    }
    return NULL;
}

static uint32_t all_brokers(const struct cluster_run *cr)
{
    uint32_t all = 0;
    for (unsigned i = 0; i < cr->nr.brokers_n; i++) {
        all |= 1u << cr->nr.brokers[i]->index;
    }
    return all;
}

void cluster_judge_losses(struct cluster_run *cr)
{
    struct node_run *nr = &cr->nr;
    for (unsigned i = 0; i < nr->topics_n; i++) {
        const struct topic *t = &nr->topics[i];
        for (int32_t k = 0; k < t->parts_asked; k++) {
            struct watched_part *p = part_of(cr, t, k);
            uint32_t replicas = p != NULL ? p->replicas : all_brokers(cr);
            uint32_t lost = p != NULL ? p->lost : cr->lost;
            int32_t least = p != NULL && p->min_isr < t->min_isr ? p->min_isr : t->min_isr;
            history_part_unclean(&nr->h, t->part[k], topic_may_lose(t));
            if (too_many(lost, replicas, least)) {
                history_part_may_lose(&nr->h, t->part[k]);
            }
            if (p != NULL) {
                p->min_isr = least;
                p->may_lose = p->may_lose || (topic_may_lose(t) && !cr->rested);
            }
        }
    }
    for (unsigned i = 0; i < cr->watch.parts_n; i++) {
        struct watched_part *p = &cr->watch.parts[i];
        p->may_lose = p->may_lose || too_many(p->lost, p->replicas, p->min_isr);
    }
    cluster_groups_judge(cr);
}

/* ---- one node ---- */

static bool lost_something(const struct cluster_run *cr, const struct machine *m)
{
    const struct cluster_member *mb = &cr->members[m->index];
    return m->power_losses != mb->power || m->host->disk->stats.eio != mb->eio;
}

static void note_loss(struct cluster_run *cr, const struct machine *m)
{
    cr->lost |= 1u << m->index;
    cr->nr.losses++;
    for (unsigned i = 0; i < cr->watch.parts_n; i++) {
        cr->watch.parts[i].lost |= 1u << m->index;
    }
    cluster_judge_losses(cr);
}

/* It is down: what that means, and when it comes back. */
static void note_down(struct cluster_run *cr, struct machine *m)
{
    struct cluster_member *mb = &cr->members[m->index];
    mb->down = true;
    mb->stopping = false;
    mb->up_at_us = now_us(cr) + (int64_t)run_between(cr->nr.r, 1000, DOWN_US_MAX);
    if (cr->healing) {
        mb->up_at_us = now_us(cr);
    }
    if (mb->broker && lost_something(cr, m)) {
        note_loss(cr, m);
    }
}

/* A node that ended by itself was told to, or its disk failed, or left no room for the metadata, or
 * for a start. */
static void take_away(struct cluster_run *cr, struct machine *m)
{
    const struct cluster_member *mb = &cr->members[m->index];
    const struct sim_disk_stats *st = &m->host->disk->stats;
    if (m->state == NODE_FAILED) {
        bool metadata = strstr(node_failure(m->node), "__cluster_metadata-0") != NULL;
        bool full = st->nospace != mb->nospace && (metadata || !m->ran);
        if (st->eio == mb->eio && !full) {
            run_fail(cr->nr.r, "node %d ended by itself: %s", m->node_id, node_failure(m->node));
        }
    } else if (!mb->stopping) {
        run_fail(cr->nr.r, "node %d has stopped, and nobody told it to", m->node_id);
    }
    machine_clear(m, m->state == NODE_STOPPED);
}

static void start(struct cluster_run *cr, struct machine *m)
{
    struct cluster_member *mb = &cr->members[m->index];
    mb->down = false;
    mb->eio = m->host->disk->stats.eio;
    mb->nospace = m->host->disk->stats.nospace;
    mb->power = m->power_losses;
    if (!machine_start(m)) {
        machine_end(m, m->how);
    } else if (cr->p.mid_call && !cr->healing && run_chance(cr->nr.r, 10)) {
        machine_end_in(m, 1 + run_below(cr->nr.r, 60),
                       cr->p.power && run_chance(cr->nr.r, 50) ? WORLD_OFF : WORLD_KILL);
    }
}

static void tend(struct cluster_run *cr)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        if (machine_up(m) && machine_ended(m)) {
            take_away(cr, m);
        }
        if (!machine_up(m) && !cr->members[i].down) {
            note_down(cr, m);
        }
        if (!machine_up(m) && now_us(cr) >= cr->members[i].up_at_us) {
            start(cr, m);
        }
    }
    cluster_wipe_tend(cr);
    if (cr->close) {
        cluster_look(cr);
    } else if (now_us(cr) >= cr->look_us) {
        cluster_look(cr);
        cr->look_us = now_us(cr) + LOOK_US / 2 + (int64_t)run_below(cr->nr.r, LOOK_US);
    }
}

static void tick(struct sim_event *ev)
{
    UNUSED(ev); /* time does not jump past it */
}

void cluster_run_for(struct cluster_run *cr, int64_t us)
{
    int64_t until = now_us(cr) + us;
    sim_event_init(&cr->tick, tick, NULL);
    while (now_us(cr) < until) {
        tend(cr);
        int64_t next = cr->look_us < until && !cr->close ? cr->look_us : until;
        sim_clock_at(&cr->nr.w.sim->clock, &cr->tick, next);
        world_step(&cr->nr.w);
    }
    sim_clock_cancel(&cr->nr.w.sim->clock, &cr->tick);
}

/* ---- all of them ---- */

void cluster_start_all(struct cluster_run *cr)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        cr->members[i].down = true;
        cr->members[i].up_at_us = (int64_t)run_below(cr->nr.r, 500000);
    }
}

void cluster_faults_off(struct cluster_run *cr)
{
    struct world *w = &cr->nr.w;
    w->sim->net.faults = sim_net_no_faults();
    memset(w->sim->net.blocked, 0, sizeof(w->sim->net.blocked));
    for (unsigned i = 0; i < w->machines_n; i++) {
        struct machine *m = &w->machines[i];
        m->host->disk->faults = sim_disk_no_faults();
        m->host->disk->capacity = NODE_DISK_BYTES;
        m->paused_until_us = 0;
        if (machine_up(m)) {
            sim_proc_die_in(m->proc, 0);
        }
    }
}

/* A log directory that failed is offline until its node is started again. */
static void replace_disks(struct cluster_run *cr)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        if (machine_up(m) && m->host->disk->stats.eio != cr->members[i].eio) {
            machine_end(m, WORLD_KILL);
        }
        if (!machine_up(m) && cr->members[i].down) {
            cr->members[i].up_at_us = now_us(cr);
        }
    }
}

void cluster_heal(struct cluster_run *cr)
{
    char why[300] = "";
    int64_t said = now_us(cr);
    int64_t until = now_us(cr) + HEAL_LIMIT_US;
    cr->healing = true;
    cluster_faults_off(cr);
    replace_disks(cr);
    run_note(cr->nr.r, "faults end");
    while (!cluster_in_sync(cr, why, sizeof(why))) {
        if (now_us(cr) > said + SAY_US) {
            run_note(cr->nr.r, "not in sync: %s", why);
            said = now_us(cr);
        }
        if (now_us(cr) > until) {
            run_fail(cr->nr.r, "not in sync a minute after the last fault: %s", why);
        }
        cluster_run_for(cr, 20000);
    }
    run_note(cr->nr.r, "in sync");
}

static bool all_ended(struct cluster_run *cr, bool brokers)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        if (cr->members[i].broker == brokers && !machine_ended(&cr->nr.w.machines[i])) {
            return false;
        }
    }
    return true;
}

static void stop_those(struct cluster_run *cr, bool brokers)
{
    int64_t until = now_us(cr) + STOP_LIMIT_US;
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        if (cr->members[i].broker == brokers) {
            cr->members[i].stopping = true;
            machine_stop(&cr->nr.w.machines[i]);
        }
    }
    while (!all_ended(cr, brokers)) {
        if (now_us(cr) > until) {
            run_fail(cr->nr.r, "the %s do not stop in time", brokers ? "brokers" : "controllers");
        }
        world_step(&cr->nr.w);
    }
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        if (cr->members[i].broker == brokers) {
            take_away(cr, m);
            note_down(cr, m);
        }
    }
}

void cluster_stop_all(struct cluster_run *cr)
{
    stop_those(cr, true);
    stop_those(cr, false);
}
