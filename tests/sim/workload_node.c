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

enum { START_LIMIT_US = 60000000, STOP_LIMIT_US = 60000000, REST_US = 60000000 };

struct profile {
    bool power;
    bool mid_call;
    bool eio;
    bool full;
    bool slow;
    bool net;
};

static const uint64_t DISK_BYTES = 256u << 20;

/* ---- the node's life ---- */

static bool started(void *ctx)
{
    struct node_run *nr = ctx;
    return !world_node_up(&nr->w) || nr->w.state == NODE_RUNNING || nr->w.state == NODE_FAILED ||
           nr->w.state == NODE_STOPPED;
}

static bool ended(void *ctx)
{
    struct node_run *nr = ctx;
    return !world_node_up(&nr->w) || nr->w.state == NODE_FAILED || nr->w.state == NODE_STOPPED;
}

static bool trouble(const struct node_run *nr)
{
    const struct sim_disk *d = nr->w.host->disk;
    return d->stats.eio + d->stats.nospace > 0;
}

/* The node is down by itself, or by the world: what that means for what clients know. */
static void after_end(struct node_run *nr, uint64_t eio_before, uint64_t power_before)
{
    const struct sim_disk *d = nr->w.host->disk;
    history_killed(&nr->h);
    if (d->stats.power_losses != power_before || d->stats.eio != eio_before) {
        history_may_lose(&nr->h, d->stats.power_losses != power_before);
        nr->losses++;
    }
}

static void faults_off(struct node_run *nr)
{
    struct sim_disk *d = nr->w.host->disk;
    d->faults = sim_disk_no_faults();
    d->capacity = DISK_BYTES;
    nr->w.sim->net.faults.reset_ppm = 0;
    sim_net_block(&nr->w.sim->net, nr->w.host, nr->w.client_host, false);
    sim_net_block(&nr->w.sim->net, nr->w.client_host, nr->w.host, false);
}

/* Up and running, whatever it takes; deaths on the way as the profile has them. */
static void bring_up(struct node_run *nr, const struct profile *p)
{
    for (int tries = 0;; tries++) {
        uint64_t eio = nr->w.host->disk->stats.eio;
        uint64_t power = nr->w.host->disk->stats.power_losses;
        bool alive = true;
        if (!world_node_up(&nr->w)) {
            alive = world_start_node(&nr->w);
        }
        if (alive && p->mid_call && tries < 3 && run_chance(nr->r, 20)) {
            world_end_node_in(&nr->w, 1 + run_below(nr->r, 60),
                              p->power && run_chance(nr->r, 50) ? WORLD_POWER : WORLD_KILL);
        }
        if (!alive) {
            world_end_node(&nr->w, nr->w.how);
        } else if (!world_run(&nr->w, START_LIMIT_US, started, nr)) {
            run_fail(nr->r, "the node does not come up in time");
        }
        if (world_node_up(&nr->w) && nr->w.state == NODE_RUNNING) {
            sim_proc_die_in(nr->w.proc, 0);
            return;
        }
        if (world_node_up(&nr->w)) {
            run_fail(nr->r, "the node refuses to start: %s", node_failure(nr->w.node));
        }
        after_end(nr, eio, power);
    }
}

static void stop_in_order(struct node_run *nr)
{
    bool was_trouble = trouble(nr);
    world_stop_node(&nr->w);
    if (!world_run(&nr->w, STOP_LIMIT_US, ended, nr)) {
        run_fail(nr->r, "the node does not stop in time");
    }
    if (world_node_up(&nr->w)) {
        if (nr->w.state == NODE_FAILED && !was_trouble) {
            run_fail(nr->r, "the node failed while stopping: %s", node_failure(nr->w.node));
        }
        world_clear_node(&nr->w, nr->w.state == NODE_STOPPED);
    }
}

/* ---- faults ---- */

static void strike(struct node_run *nr, const struct profile *p)
{
    struct run *r = nr->r;
    struct sim_disk *d = nr->w.host->disk;
    struct sim_net *net = &nr->w.sim->net;
    switch (run_below(r, 8)) {
    case 0:
        if (p->full) {
            d->capacity = d->used + run_between(r, 0, 200) * SIM_PAGE;
            nr->full = true;
        }
        break;
    case 1:
        d->capacity = DISK_BYTES; /* space is back */
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
            sim_net_block(net, there ? nr->w.client_host : nr->w.host,
                          there ? nr->w.host : nr->w.client_host, run_chance(r, 50));
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
    struct sim_net_faults *f = &nr->w.sim->net.faults;
    if (run_chance(r, 70)) {
        f->window_min = (uint32_t)run_between(r, 50, 65536);
        f->window_max = f->window_min + (uint32_t)run_between(r, 0, 200000);
        f->split_ppm = (uint32_t)run_between(r, 0, 400000);
        f->short_ppm = (uint32_t)run_between(r, 0, 400000);
        f->delay_us_max = (uint32_t)run_between(r, 10, 20000);
    }
}

/* ---- rounds ---- */

static void actors_start(struct node_run *nr)
{
    nr->working = true;
    for (unsigned i = 0; i < nr->actors_n; i++) {
        sim_clock_after(&nr->w.sim->clock, &nr->actors[i]->wake,
                        1 + (int64_t)run_below(nr->r, 50000));
    }
}

static void actors_rest(struct node_run *nr)
{
    nr->working = false;
    for (unsigned i = 0; i < nr->actors_n; i++) {
        sim_clock_cancel(&nr->w.sim->clock, &nr->actors[i]->wake);
    }
    if (!world_run(&nr->w, REST_US, actors_idle, nr)) {
        run_fail(nr->r, "a client's call neither ends nor times out");
    }
}

/* The actors work; the node may be gone when it returns. */
static void work(struct node_run *nr, const struct profile *p)
{
    struct run *r = nr->r;
    actors_start(nr);
    for (uint64_t k = 1 + run_below(r, 6); k > 0 && world_node_up(&nr->w); k--) {
        world_run(&nr->w, (int64_t)run_between(r, 10000, 3000000), ended, nr);
        if (!ended(nr)) {
            strike(nr, p);
        }
    }
    bool power = p->power && run_chance(r, 60);
    if (!ended(nr) && p->mid_call && run_chance(r, 60)) {
        world_end_node_in(&nr->w, run_between(r, 1, 500), power ? WORLD_POWER : WORLD_KILL);
        world_run(&nr->w, 5000000, ended, nr);
    } else if (!ended(nr) && run_chance(r, 60)) {
        world_end_node(&nr->w, power ? WORLD_POWER : WORLD_KILL);
    } else if (!ended(nr) && run_chance(r, 40)) {
        stop_in_order(nr);
    }
}

static void round_run(struct node_run *nr, const struct profile *p)
{
    const struct sim_disk *d = nr->w.host->disk;
    uint64_t eio = d->stats.eio;
    uint64_t power = d->stats.power_losses;
    work(nr, p);
    faults_off(nr);
    if (world_node_up(&nr->w)) {
        sim_proc_die_in(nr->w.proc, 0);
        world_run(&nr->w, 1000000, ended, nr);
    }
    actors_rest(nr); /* nothing of theirs may reach the node that is started now */
    if (world_node_up(&nr->w) && d->stats.eio != eio && !ended(nr)) {
        /* A log directory may be offline until a restart: give it one. */
        stop_in_order(nr);
    }
    if (world_node_up(&nr->w) && ended(nr)) {
        if (!trouble(nr)) {
            run_fail(nr->r, "the node ended by itself: %s", node_failure(nr->w.node));
        }
        world_clear_node(&nr->w, false);
    }
    if (!world_node_up(&nr->w)) {
        after_end(nr, eio, power);
    }
    bring_up(nr, p);
    nr->full = false;
    check_everything(nr);
    run_note(nr->r, "checked: %llu records sent, %llu acknowledged, %llu read, %llu lost",
             (unsigned long long)nr->h.n, (unsigned long long)nr->h.acked,
             (unsigned long long)nr->h.read, (unsigned long long)nr->h.lost);
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
    world_init(&nr->w, r, configs[run_below(r, ARRAY_LEN(configs))], DISK_BYTES);
    *p = (struct profile){.power = run_chance(r, 60),
                          .mid_call = run_chance(r, 60),
                          .eio = run_chance(r, 25),
                          .full = run_chance(r, 30),
                          .slow = run_chance(r, 40),
                          .net = run_chance(r, 40)};
    network(nr);
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
    bring_up(nr, &p);
    for (uint64_t k = 1 + run_below(r, 4); k > 0; k--) {
        round_run(nr, &p);
    }
    stop_in_order(nr);
    RUN_CHECK(r, nr->w.state == NODE_STOPPED);
    struct profile calm = {0};
    bring_up(nr, &calm);
    check_everything(nr);
    stop_in_order(nr);
    for (unsigned i = 0; i < nr->actors_n; i++) {
        actor_free(nr->actors[i]);
    }
    arena_free(&nr->arena);
    history_free(&nr->h);
    world_free(&nr->w);
}

const struct scenario scenario_node = {
    .name = "node",
    .what = "a whole node and clients over the protocol: kill, power loss, disk and network faults",
    .run = run_node,
    .mutants = 1u << MUTANT_FSYNC | 1u << MUTANT_FSYNC_DIR | 1u << MUTANT_KILL,
};
