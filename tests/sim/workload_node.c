/* Scenario `node`: one whole node (broker and controller) and scripted clients that speak Kafka's
 * protocol to it, while disk, power and network misbehave.
 *
 * A run is a few rounds. In each the actors (producers, consumers, an administrator, sometimes a
 * nuisance) work for some seconds of virtual time, during which faults strike: the node is killed
 * or loses power (also in the middle of a call, also while it starts), the disk fills up, returns
 * errors or is slow, connections break. Then the faults end, the node is started if it is down, and
 * within a time limit it must serve again; everything that clients were told must hold
 * (history.h, node_check.c). At last it is stopped in order, must leave nothing open, and must
 * still know everything after another start. */
#include "base/mem.h"
#include "sim/node_run.h"

/* ---- faults ---- */

void node_strike(struct node_run *nr, const struct profile *p)
{
    struct run *r = nr->r;
    struct sim_disk *d = nr->m->host->disk;
    struct sim_net *net = &nr->w.sim->net;
    switch (run_below(r, 8)) {
    case 0:
        if (p->full) {
            d->capacity = d->used + run_between(r, 0, 200) * SIM_PAGE;
        }
        break;
    case 1:
        d->capacity = NODE_DISK_BYTES; /* space is back */
        break;
    case 2:
        if (p->eio && run_chance(r, 30)) {
            uint64_t n = run_between(r, 1, 50);
            switch (run_below(r, 3)) {
            case 0:
                d->faults.write_eio_in = n;
                break;
            case 1:
                d->faults.fsync_eio_in = n;
                break;
            default:
                d->faults.read_eio_in = n;
            }
        }
        break;
    case 3:
        if (p->slow) {
            d->faults.fsync_us_max = (uint32_t)run_between(r, 300, 300000);
            d->faults.stall_ppm = run_chance(r, 30) ? 20000 : 0;
            d->faults.stall_us = 3000000;
        }
        break;
    case 4:
        d->faults.writeback_ppm = run_chance(r, 50) ? 100000 : 0;
        d->faults.journal_ppm = run_chance(r, 50) ? 200000 : 0;
        d->faults.cold_ppm = run_chance(r, 50) ? 200000 : 0;
        break;
    case 5:
        if (p->net) {
            sim_net_reset_all(net, nr->w.client_host);
        }
        break;
    case 6:
        if (p->net) {
            bool there = run_chance(r, 50);
            sim_net_block(net, there ? nr->w.client_host : nr->m->host,
                          there ? nr->m->host : nr->w.client_host, run_chance(r, 50));
        }
        break;
    default:
        if (p->net) {
            net->faults.reset_ppm = (uint32_t)run_between(r, 0, 20000);
        }
    }
}

static void network(struct node_run *nr)
{
    struct run *r = nr->r;
    struct sim_net_faults *f = &nr->net;
    *f = sim_net_no_faults();
    if (run_chance(r, 70)) {
        f->window_min = (uint32_t)run_between(r, 50, 65536);
        f->window_max = f->window_min + (uint32_t)run_between(r, 0, 200000);
        f->split_ppm = (uint32_t)run_between(r, 0, 400000);
        f->short_ppm = (uint32_t)run_between(r, 0, 400000);
        f->delay_us_max = (uint32_t)run_between(r, 10, 20000);
    }
}

struct profile node_profile(struct node_run *nr)
{
    struct run *r = nr->r;
    struct profile p = {.power = run_chance(r, 60),
                        .mid_call = run_chance(r, 60),
                        .eio = run_chance(r, 25),
                        .full = run_chance(r, 30),
                        .slow = run_chance(r, 40),
                        .net = run_chance(r, 40)};
    network(nr);
    return p;
}

/* ---- rounds ---- */

/* The actors work; the node may be gone when it returns. */
static void work(struct node_run *nr, const struct profile *p, const struct node_mark *mark)
{
    struct run *r = nr->r;
    node_actors_start(nr);
    for (uint64_t k = 1 + run_below(r, 6); k > 0 && machine_up(nr->m); k--) {
        world_run(&nr->w, (int64_t)run_between(r, 10000, 3000000), node_ended, nr);
        if (!node_ended(nr)) {
            node_strike(nr, p);
        }
    }
    bool power = p->power && run_chance(r, 60);
    if (!node_ended(nr) && p->mid_call && run_chance(r, 60)) {
        machine_end_in(nr->m, run_between(r, 1, 500), power ? WORLD_POWER : WORLD_KILL);
        world_run(&nr->w, 5000000, node_ended, nr);
    } else if (!node_ended(nr) && run_chance(r, 60)) {
        machine_end(nr->m, power ? WORLD_POWER : WORLD_KILL);
    } else if (!node_ended(nr) && run_chance(r, 40)) {
        node_stop_in_order(nr, mark);
    }
}

static void round_run(struct node_run *nr, const struct profile *p)
{
    struct node_mark mark = node_mark(nr);
    work(nr, p, &mark);
    node_round_end(nr, p, &mark);
}

static void set_up(struct node_run *nr, struct profile *p)
{
    struct run *r = nr->r;
    static const char *const configs[] = {
        "io.threads=1\nauto.create.topics.enable=false\n",
        "io.threads=2\nauto.create.topics.enable=false\n",
        "io.threads=3\nauto.create.topics.enable=false\n",
    };
    run_world(r, false);
    history_init(&nr->h, r);
    nr->w.dirs = log_dirs_drawn(r);
    world_init_single(&nr->w, r, configs[run_below(r, ARRAY_LEN(configs))], NODE_DISK_BYTES);
    nr->m = &nr->w.machines[0];
    *p = node_profile(nr);
    sim_client_init(&nr->checker, world_client(&nr->w), "checker");
    actor_admin_new(nr);
    for (unsigned i = 0; i < 1 + run_below(r, 4); i++) {
        actor_producer_new(nr, i);
    }
    for (unsigned i = 0; i < 1 + run_below(r, 2); i++) {
        actor_consumer_new(nr, i);
    }
    if (run_chance(r, 30)) {
        actor_noise_new(nr);
    }
}

static void run_node(struct run *r)
{
    struct node_run *nr = MEM_NEW(struct node_run);
    struct profile p;
    nr->r = r;
    set_up(nr, &p);
    node_bring_up(nr, &p);
    for (uint64_t k = 1 + run_below(r, 4); k > 0; k--) {
        round_run(nr, &p);
    }
    node_finish(nr);
}

const struct scenario scenario_node = {
    .name = "node",
    .what = "a whole node and clients over the protocol: kill, power loss, disk and network faults",
    .run = run_node,
    .mutants = MUTANT_BIT(MUTANT_FSYNC) | MUTANT_BIT(MUTANT_FSYNC_DIR) | MUTANT_BIT(MUTANT_KILL) |
               MUTANT_BIT(MUTANT_TEAR) | MUTANT_BIT(MUTANT_WRITE) | MUTANT_BIT(MUTANT_CUT) |
               MUTANT_BIT(MUTANT_CRC) | MUTANT_BIT(MUTANT_ACK) | MUTANT_BIT(MUTANT_EARLY) |
               MUTANT_BIT(MUTANT_SEQUENCE),
};
