/* Scenario `node`, the node's life: brought up, stopped, found dead; and what its end means for
 * what clients know. */
#include <string.h>

#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "sim/node_run.h"

enum { START_LIMIT_US = 60000000, STOP_LIMIT_US = 60000000, REST_US = 60000000 };

static bool started(void *ctx)
{
    struct node_run *nr = ctx;
    return nr->m->state == NODE_RUNNING || machine_ended(nr->m);
}

bool node_ended(void *ctx)
{
    struct node_run *nr = ctx;
    return machine_ended(nr->m);
}

/* A reason to end: the disk fails, or it has no room for the metadata while the node starts. Once
 * it runs, a full disk is none: no round writes as much metadata as its log's reserve holds. */
bool node_trouble(const struct node_run *nr, const struct node_mark *mark)
{
    const struct sim_disk_stats *st = &nr->m->host->disk->stats;
    return st->eio != mark->eio ||
           (st->nospace != mark->nospace && nr->m->node != NULL && !nr->m->ran &&
            strstr(node_failure(nr->m->node), "__cluster_metadata-0") != NULL);
}

/* The node is down by itself, or by the world: what that means for what clients know. */
void node_after_end(struct node_run *nr, const struct node_mark *mark)
{
    const struct sim_disk *d = nr->m->host->disk;
    bool power = nr->m->power_losses != mark->power;
    bool lost = power || d->stats.eio != mark->eio;
    history_killed(&nr->h);
    if (lost) {
        history_may_lose(&nr->h, power);
        nr->losses++;
    }
    if (nr->on_end != NULL) {
        nr->on_end(nr, lost, power);
    }
}

void node_faults_off(struct node_run *nr)
{
    struct sim_disk *d = nr->m->host->disk;
    d->faults = sim_disk_no_faults();
    d->capacity = NODE_DISK_BYTES;
    nr->w.sim->net.faults = sim_net_no_faults();
    sim_net_block(&nr->w.sim->net, nr->m->host, nr->w.client_host, false);
    sim_net_block(&nr->w.sim->net, nr->w.client_host, nr->m->host, false);
}

static void note_ends(struct node_run *nr)
{
    for (unsigned i = 0; i < nr->m->node->data_shards; i++) {
        struct partition_manager *pm = nr->m->node->shards[i].partitions;
        if (pm == NULL) {
            continue;
        }
        list_for_each (it, &pm->all) {
            struct partition *p = LIST_ENTRY(it, struct partition, all);
            if (p->log != NULL && !p->offline && !p->gone) {
                history_recovered(&nr->h, plog_name(p->log), plog_end_offset(p->log));
            }
        }
    }
}

/* Up and running, whatever it takes; deaths on the way as the profile has them. */
void node_bring_up(struct node_run *nr, const struct profile *p)
{
    for (int tries = 0;; tries++) {
        struct node_mark mark = node_mark(nr);
        bool alive = true;
        if (!machine_up(nr->m)) {
            alive = machine_start(nr->m);
        }
        if (alive && p->mid_call && tries < 3 && run_chance(nr->r, 20)) {
            machine_end_in(nr->m, 1 + run_below(nr->r, 60),
                           p->power && run_chance(nr->r, 50) ? WORLD_POWER : WORLD_KILL);
        }
        if (!alive) {
            machine_end(nr->m, nr->m->how);
        } else if (!world_run(&nr->w, START_LIMIT_US, started, nr)) {
            run_fail(nr->r, "the node does not come up in time");
        }
        if (machine_up(nr->m) && nr->m->state == NODE_RUNNING) {
            sim_proc_die_in(nr->m->proc, 0);
            note_ends(nr);
            return;
        }
        if (machine_up(nr->m)) {
            run_fail(nr->r, "the node refuses to start: %s", node_failure(nr->m->node));
        }
        node_after_end(nr, &mark);
    }
}

void node_stop_in_order(struct node_run *nr, const struct node_mark *mark)
{
    machine_stop(nr->m);
    if (!world_run(&nr->w, STOP_LIMIT_US, node_ended, nr)) {
        run_fail(nr->r, "the node does not stop in time");
    }
    if (machine_up(nr->m)) {
        if (nr->m->state == NODE_FAILED && !node_trouble(nr, mark)) {
            run_fail(nr->r, "the node failed while stopping: %s", node_failure(nr->m->node));
        }
        machine_clear(nr->m, nr->m->state == NODE_STOPPED);
    }
}

/* ---- actors ---- */

void node_actors_start(struct node_run *nr)
{
    nr->working = true;
    nr->w.sim->net.faults = nr->net;
    for (unsigned i = 0; i < nr->actors_n; i++) {
        sim_clock_after(&nr->w.sim->clock, &nr->actors[i]->wake,
                        1 + (int64_t)run_below(nr->r, 50000));
    }
}

void node_actors_rest(struct node_run *nr)
{
    nr->working = false;
    for (unsigned i = 0; i < nr->actors_n; i++) {
        sim_clock_cancel(&nr->w.sim->clock, &nr->actors[i]->wake);
    }
    if (!world_run(&nr->w, REST_US, actors_idle, nr)) {
        run_fail(nr->r, "a client's call neither ends nor times out");
    }
}

/* ---- the end of a round ---- */

struct node_mark node_mark(const struct node_run *nr)
{
    const struct sim_disk *d = nr->m->host->disk;
    return (struct node_mark){
        .eio = d->stats.eio, .nospace = d->stats.nospace, .power = nr->m->power_losses};
}

void node_round_end(struct node_run *nr, const struct profile *p, const struct node_mark *mark)
{
    node_faults_off(nr);
    if (machine_up(nr->m)) {
        sim_proc_die_in(nr->m->proc, 0);
        world_run(&nr->w, 1000000, node_ended, nr);
    }
    node_actors_rest(nr); /* nothing of theirs may reach the node that is started now */
    if (machine_up(nr->m) && nr->m->host->disk->stats.eio != mark->eio && !node_ended(nr)) {
        /* A log directory may be offline until a restart: give it one. */
        node_stop_in_order(nr, mark);
    }
    if (machine_up(nr->m) && node_ended(nr)) {
        if (!node_trouble(nr, mark)) {
            run_fail(nr->r, "the node ended by itself: %s", node_failure(nr->m->node));
        }
        machine_clear(nr->m, false);
    }
    if (!machine_up(nr->m)) {
        node_after_end(nr, mark);
    }
    node_bring_up(nr, p);
    log_dirs_settle(nr);
    check_everything(nr);
    run_note(nr->r, "checked: %llu records sent, %llu acknowledged, %llu read, %llu lost",
             (unsigned long long)nr->h.n, (unsigned long long)nr->h.acked,
             (unsigned long long)nr->h.read, (unsigned long long)nr->h.lost);
}

void node_finish(struct node_run *nr)
{
    struct profile calm = {0};
    struct node_mark mark = node_mark(nr);
    node_stop_in_order(nr, &mark);
    RUN_CHECK(nr->r, nr->m->state == NODE_STOPPED);
    node_bring_up(nr, &calm);
    check_everything(nr);
    node_stop_in_order(nr, &mark);
    for (unsigned i = 0; i < nr->actors_n; i++) {
        actor_free(nr->actors[i]);
    }
    arena_free(&nr->arena);
    history_free(&nr->h);
    world_free(&nr->w);
}
