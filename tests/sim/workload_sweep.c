/* Scenario `sweep`: the same short run again and again, with one fault that strikes one call later
 * each time: a whole node, from its first start on, made to create topics, roll segments, delete
 * records and topics, and stop.
 *
 * The seed says which run (SPAN seeds share one), which fault, and at which call: up to there the
 * runs are the same to the byte, because nothing but the seed decides. So every call of the seam
 * that changes anything is tried with every fault, as far as SPAN reaches. Afterwards, as in
 * scenario `node`: faults end, the node is started if it is down, everything that clients were told
 * must hold, and it must serve.
 *
 * Scenario `moves`: the same with two log directories; the fault strikes at a call after all
 * replicas were told to move to one of them, and then to the other. */
#include "base/mem.h"
#include "sim/hooks.h"
#include "sim/node_run.h"

enum fault {
    FAULT_KILL,
    FAULT_POWER,
    FAULT_WRITE_EIO,
    FAULT_FSYNC_EIO,
    FAULT_FULL,
    FAULTS,
};

enum {
    CALLS = 400, /* of the seam; at most, to strike at */
    SPAN = CALLS * FAULTS,
    WORK_US = 400000,
    FULL_US = 7000000, /* long enough for what the broker does from time to time */
    PAUSE_US = 20000,
    START_US = 60000000,
    MOVE_US = 5000000,
};

static const char *const fault_names[FAULTS] = {"kill", "power", "write-eio", "fsync-eio", "full"};

static bool settled(void *ctx)
{
    struct node_run *nr = ctx;
    return node_ended(nr) || nr->m->state == NODE_RUNNING;
}

static void set_fault(struct node_run *nr, enum fault fault, uint64_t at)
{
    struct sim_disk *d = nr->m->host->disk;
    switch (fault) {
    case FAULT_KILL:
    case FAULT_POWER:
        machine_end_in(nr->m, at, fault == FAULT_KILL ? WORLD_KILL : WORLD_POWER);
        break;
    case FAULT_WRITE_EIO:
        d->faults.write_eio_in = at;
        break;
    case FAULT_FSYNC_EIO:
        d->faults.fsync_eio_in = at;
        break;
    default:
        hooks_full_in(at);
    }
}

static void set_up(struct node_run *nr, unsigned dirs)
{
    run_world(nr->r, false);
    nr->net = sim_net_no_faults();
    history_init(&nr->h, nr->r);
    nr->w.dirs = dirs;
    world_init_single(&nr->w, nr->r, "io.threads=1\nauto.create.topics.enable=false\n",
                      NODE_DISK_BYTES);
    nr->m = &nr->w.machines[0];
    sim_client_init(&nr->checker, world_client(&nr->w), "checker");
    actor_admin_new(nr);
    actor_producer_new(nr, 0);
    actor_producer_new(nr, 1);
    actor_consumer_new(nr, 0);
    for (unsigned i = 0; i < nr->actors_n; i++) {
        nr->actors[i]->pause_us_max = PAUSE_US;
    }
}

/* The fault may strike while the node starts, works or stops. */
static void live(struct node_run *nr, enum fault fault, uint64_t at)
{
    struct profile calm = {0};
    struct node_mark mark = node_mark(nr);
    if (machine_start(nr->m)) {
        set_fault(nr, fault, at);
        RUN_CHECK(nr->r, world_run(&nr->w, START_US, settled, nr));
    }
    if (!node_ended(nr)) {
        node_actors_start(nr);
        world_run(&nr->w, WORK_US, node_ended, nr);
    }
    if (!node_ended(nr) && fault == FAULT_FULL) { /* to be outlived */
        world_run(&nr->w, FULL_US, node_ended, nr);
    } else if (!node_ended(nr)) {
        node_stop_in_order(nr, &mark);
    }
    hooks_full_in(0);
    node_round_end(nr, &calm, &mark);
}

static bool moved(void *ctx)
{
    struct node_run *nr = ctx;
    char why[400];
    return node_ended(nr) || log_dirs_settled(nr->m, why, sizeof(why));
}

/* It strikes while replicas move, or what was left of it when they do not any more. */
static void live_and_move(struct node_run *nr, enum fault fault, uint64_t at)
{
    struct profile calm = {0};
    node_bring_up(nr, &calm);
    struct node_mark mark = node_mark(nr);
    node_actors_start(nr);
    world_run(&nr->w, WORK_US, node_ended, nr);
    set_fault(nr, fault, at);
    for (unsigned d = 0; d < nr->w.dirs && !node_ended(nr); d++) {
        log_dirs_move_all(nr, d);
        world_run(&nr->w, MOVE_US, moved, nr);
    }
    hooks_full_in(0);
    node_round_end(nr, &calm, &mark);
}

static void sweep(struct run *r, unsigned dirs,
                  void (*run)(struct node_run *nr, enum fault fault, uint64_t at))
{
    uint64_t which = r->seed % SPAN;
    enum fault fault = (enum fault)(which % FAULTS);
    uint64_t at = 1 + which / FAULTS;
    struct node_run *nr = MEM_NEW(struct node_run);
    nr->r = r;
    prng_seed(&r->rng, r->seed / SPAN);
    set_up(nr, dirs);
    run_note(r, "fault: %s at call %llu", fault_names[fault], (unsigned long long)at);
    run(nr, fault, at);
    node_finish(nr);
}

static void run_sweep(struct run *r)
{
    sweep(r, 1, live);
}

static void run_moves(struct run *r)
{
    sweep(r, 2, live_and_move);
}

const struct scenario scenario_sweep = {
    .name = "sweep",
    .what = "a whole node: one short run, one fault, one call later each time",
    .run = run_sweep,
};

const struct scenario scenario_moves = {
    .name = "moves",
    .what = "the same while replicas move between log directories",
    .run = run_moves,
    .mutants = MUTANT_BIT(MUTANT_SWAP),
};
