/* See world.h. */
#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "broker/config.h"
#include "controller/format.h"

#define DATA "/data"

enum { TURN_US_MAX = 30, START_US_MAX = 2000 };

/* ---- making ---- */

struct formatting {
    struct world *w;
    int result;
};

static void format_fn(void *arg)
{
    struct formatting *f = arg;
    const char *dirs[] = {DATA};
    struct format_options o = {.cluster_id = "MkU3OEVBNTcwNTJENDM2Qk", .node_id = 1};
    struct io *io;
    io_sim_make(f->w->proc, 0, &io, NULL);
    f->result = io_mkdir(io, DATA);
    if (f->result == 0) {
        f->result = format_dirs(io, dirs, 1, NULL, &o, NULL, NULL, &f->w->em);
    }
    io_fsync_dir(io, "/"); /* the folder itself is the operator's */
    io_destroy(io);
}

void world_init(struct world *w, struct run *r, const char *config, uint64_t disk_bytes)
{
    *w = (struct world){.r = r, .sim = r->sim, .config = config};
    w->host = sim_host_new(r->sim, disk_bytes);
    w->client_host = sim_host_new(r->sim, 1 << 20);
    w->client_proc = sim_proc_new(w->client_host);
    w->proc = sim_proc_new(w->host);
    struct formatting f = {.w = w};
    RUN_CHECK(r, sim_proc_run(w->proc, format_fn, &f));
    if (f.result != 0) {
        run_fail(r, "formatting: %s (%s)", w->em.text, err_text(f.result));
    }
    struct errmsg why;
    if (!sim_proc_end(w->proc, &why)) {
        run_fail(r, "after formatting: %s", why.text);
    }
    w->proc = NULL;
    run_apply_mutant(r, w->host);
}

struct io *world_client(struct world *w)
{
    ASSERT(w->clients_n < WORLD_CLIENTS_MAX);
    struct io **io = &w->clients[w->clients_n++];
    io_sim_make(w->client_proc, 0, io, NULL);
    return *io;
}

void world_free(struct world *w)
{
    if (w->proc != NULL) {
        world_end_node(w, WORLD_KILL);
    }
    sim_proc_kill(w->client_proc);
}

/* ---- the node's life ---- */

static void on_state(void *user, struct node *n, enum node_state state)
{
    static const char *const names[] = {"new",      "starting", "running",
                                        "stopping", "stopped",  "failed"};
    struct world *w = user;
    w->state = state;
    w->ran |= state == NODE_RUNNING;
    run_note(w->r, "node is %s%s%s", names[state], state == NODE_FAILED ? ": " : "",
             state == NODE_FAILED ? node_failure(n) : "");
}

static struct config *configure(struct world *w)
{
    struct config *c = config_new();
    struct config_machine m = {
        .hostname = w->host->name, .processors = 2, .memory_bytes = 1u << 30, .tmp_dir = "/tmp"};
    char text[1024];
    snprintf(text, sizeof(text),
             "process.roles=broker,controller\n"
             "node.id=1\n"
             "controller.quorum.voters=1@%s:9093\n"
             "listeners=PLAINTEXT://%s:%d,CONTROLLER://%s:9093\n"
             "controller.listener.names=CONTROLLER\n"
             "log.dirs=" DATA "\n",
             w->host->ip, w->host->ip, WORLD_PORT, w->host->ip);
    int err = config_add_properties(c, bytes_str(text), "world", &w->em);
    err = err ? err : config_add_properties(c, bytes_str(w->config), "scenario", &w->em);
    err = err ? err : config_finish(c, &m, NULL, &w->em);
    if (err != 0) {
        run_fail(w->r, "configuration: %s", w->em.text);
    }
    return c;
}

static void start_fn(void *arg)
{
    struct world *w = arg;
    struct node_options o = {
        .config = configure(w),
        .log = &w->r->log,
        .make_io = io_sim_make,
        .make_io_ctx = w->proc,
        .inline_shards = true,
        .on_state = on_state,
        .user = w,
    };
    w->node = node_new(&o, &w->em);
    if (w->node == NULL) {
        run_fail(w->r, "node_new: %s", w->em.text);
    }
    int err = node_start(w->node, &w->em);
    if (err != 0) {
        run_fail(w->r, "node_start: %s (%s)", w->em.text, err_text(err));
    }
    w->shards = shard_group_count(node_shards(w->node));
    ASSERT(w->shards <= WORLD_SHARDS_MAX);
}

bool world_start_node(struct world *w)
{
    ASSERT(w->proc == NULL);
    run_note(w->r, "the node is started (%llu)", (unsigned long long)++w->starts);
    w->proc = sim_proc_new(w->host);
    w->state = NODE_NEW;
    w->ran = false;
    w->node = NULL;
    if (!sim_proc_run(w->proc, start_fn, w)) {
        w->died = true;
        return false;
    }
    return true;
}

void world_end_node(struct world *w, enum world_end how)
{
    ASSERT(w->proc != NULL);
    run_note(w->r, "%s%s", how == WORLD_KILL ? "kill -9" : "power loss",
             w->died ? " in the middle of something" : "");
    if (how == WORLD_KILL) {
        sim_proc_kill(w->proc);
    } else {
        w->power_losses++;
        sim_host_power_loss(w->host);
        sim_host_power_on(w->host);
    }
    w->proc = NULL;
    w->node = NULL; /* its memory is lost, as it should be */
    w->died = false;
}

void world_end_node_in(struct world *w, uint64_t calls, enum world_end how)
{
    w->how = how;
    sim_proc_die_in(w->proc, calls);
}

static void stop_fn(void *arg)
{
    struct world *w = arg;
    node_stop(w->node);
}

void world_stop_node(struct world *w)
{
    if (!sim_proc_run(w->proc, stop_fn, w)) {
        w->died = true;
        world_end_node(w, w->how);
    }
}

static void free_fn(void *arg)
{
    struct world *w = arg;
    node_free(w->node);
    w->node = NULL;
}

void world_clear_node(struct world *w, bool leaks)
{
    struct errmsg why;
    sim_proc_die_in(w->proc, 0);
    sim_proc_run(w->proc, free_fn, w);
    bool clean = sim_proc_end(w->proc, &why);
    w->proc = NULL;
    if (leaks && !clean) {
        run_fail(w->r, "the node has stopped and is freed, and yet: %s", why.text);
    }
}

/* ---- steps ---- */

/* Who may take a turn: shards first, then clients. */
struct actor {
    struct shard *shard;
    struct io *io;
    int64_t due_us; /* when it has something to do; <= now: now */
};

static int64_t shard_due(const struct world *w, struct shard *sh)
{
    if (sh->io == NULL) {
        return INT64_MAX;
    }
    int64_t due = shard_next_deadline_us(sh);
    return io_sim_ready(sh->io) ? w->sim->clock.now_us : due;
}

static unsigned actors(struct world *w, struct actor *v)
{
    unsigned n = 0;
    for (unsigned i = 0; w->node != NULL && i < w->shards; i++) {
        struct shard *sh = shard_group_get(node_shards(w->node), i);
        v[n++] = (struct actor){.shard = sh, .due_us = shard_due(w, sh)};
    }
    for (unsigned i = 0; i < w->clients_n; i++) {
        bool ready = io_sim_ready(w->clients[i]);
        v[n++] =
            (struct actor){.io = w->clients[i], .due_us = ready ? w->sim->clock.now_us : INT64_MAX};
    }
    return n;
}

static void turn_fn(void *arg)
{
    struct actor *a = arg;
    shard_turn(a->shard, 0);
}

static void take_turn(struct world *w, struct actor *a)
{
    sim_clock_advance(&w->sim->clock, 1 + (int64_t)run_below(w->r, TURN_US_MAX));
    run_digest(w->r, (uint64_t)w->sim->clock.now_us << 8 | (a->shard ? a->shard->index : 255));
    if (a->shard == NULL) {
        io_turn(a->io, 0);
    } else if (w->node != NULL && !sim_proc_run(w->proc, turn_fn, a)) {
        w->died = true;
    }
    w->r->steps++;
}

void world_step(struct world *w)
{
    struct sim_clock *clock = &w->sim->clock;
    struct actor v[WORLD_SHARDS_MAX + WORLD_CLIENTS_MAX];
    sim_clock_run_due(clock);
    unsigned n = actors(w, v);
    int64_t next = sim_clock_next(clock);
    for (unsigned i = 0; i < n; i++) {
        next = v[i].due_us < next ? v[i].due_us : next;
    }
    if (next > clock->now_us) {
        if (next == INT64_MAX) {
            run_fail(w->r, "nothing will ever happen again");
        }
        clock->now_us = next;
        sim_clock_run_due(clock);
        for (unsigned i = 0; i < n; i++) { /* what the events made ready */
            struct io *io = v[i].shard ? v[i].shard->io : v[i].io;
            v[i].due_us = io != NULL && io_sim_ready(io) ? clock->now_us : v[i].due_us;
        }
    }
    int64_t now = clock->now_us;
    for (; n > 0 && !w->died; n--) {
        unsigned i = (unsigned)run_below(w->r, n);
        if (v[i].due_us <= now) {
            take_turn(w, &v[i]);
        }
        v[i] = v[n - 1];
    }
    if (w->died) {
        world_end_node(w, w->how);
    }
}

bool world_run(struct world *w, int64_t us, bool (*done)(void *ctx), void *ctx)
{
    int64_t until = w->sim->clock.now_us + us;
    while (done == NULL || !done(ctx)) {
        if (w->sim->clock.now_us >= until) {
            return false;
        }
        world_step(w);
    }
    return true;
}
