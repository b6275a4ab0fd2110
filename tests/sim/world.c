/* See world.h. */
#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "broker/config.h"
#include "controller/format.h"

static const char *const dir_paths[WORLD_DIRS_MAX] = {"/data", "/data1", "/data2"};

enum { TURN_US_MAX = 30 };

/* ---- making ---- */

const char *world_dir(unsigned d)
{
    ASSERT(d < WORLD_DIRS_MAX);
    return dir_paths[d];
}

void world_init(struct world *w, struct run *r, unsigned machines, uint64_t disk_bytes)
{
    ASSERT(machines <= WORLD_MACHINES_MAX);
    unsigned dirs = w->dirs > 1 ? w->dirs : 1;
    *w = (struct world){.r = r, .sim = r->sim, .machines_n = machines, .dirs = dirs};
    for (unsigned i = 0; i < machines; i++) {
        w->machines[i].w = w;
        w->machines[i].index = i;
        w->machines[i].host = sim_host_new(r->sim, disk_bytes);
    }
    w->client_host = sim_host_new(r->sim, 1 << 20);
    w->client_proc = sim_proc_new(w->client_host);
}

struct formatting {
    struct machine *m;
    int result;
};

static void format_fn(void *arg)
{
    struct formatting *f = arg;
    const char *dirs[] = {world_dir(0)};
    struct format_options o = {.cluster_id = "MkU3OEVBNTcwNTJENDM2Qk", .node_id = f->m->node_id};
    struct io *io;
    io_sim_make(f->m->proc, 0, &io, NULL);
    f->result = io_mkdir(io, world_dir(0));
    if (f->result == 0) {
        f->result = format_dirs(io, dirs, 1, NULL, &o, NULL, NULL, &f->m->em);
    }
    io_fsync_dir(io, "/"); /* the folder itself is the operator's */
    io_destroy(io);
}

static void format(struct machine *m)
{
    struct run *r = m->w->r;
    struct formatting f = {.m = m};
    m->proc = sim_proc_new(m->host);
    RUN_CHECK(r, sim_proc_run(m->proc, format_fn, &f));
    if (f.result != 0) {
        run_fail(r, "formatting: %s (%s)", m->em.text, err_text(f.result));
    }
    struct errmsg why;
    if (!sim_proc_end(m->proc, &why)) {
        run_fail(r, "after formatting: %s", why.text);
    }
    m->proc = NULL;
}

void world_format(struct world *w)
{
    for (unsigned i = 0; i < w->machines_n; i++) {
        format(&w->machines[i]);
    }
    for (unsigned i = 0; i < w->machines_n; i++) {
        run_apply_mutant(w->r, w->machines[i].host);
    }
}

void machine_wipe(struct machine *m, uint64_t disk_bytes)
{
    sim_host_power_on(m->host);
    sim_host_new_disk(m->host, disk_bytes);
    format(m);
    run_apply_mutant(m->w->r, m->host);
}

void world_init_single(struct world *w, struct run *r, const char *config, uint64_t disk_bytes)
{
    world_init(w, r, 1, disk_bytes);
    struct machine *m = &w->machines[0];
    m->node_id = 1;
    int n = snprintf(m->config, sizeof(m->config),
                     "process.roles=broker,controller\n"
                     "node.id=1\n"
                     "controller.quorum.voters=1@%s:%d\n"
                     "listeners=PLAINTEXT://%s:%d,CONTROLLER://%s:%d\n"
                     "controller.listener.names=CONTROLLER\n"
                     "%s",
                     m->host->ip, WORLD_CONTROLLER_PORT, m->host->ip, WORLD_PORT, m->host->ip,
                     WORLD_CONTROLLER_PORT, config);
    ASSERT(n < (int)sizeof(m->config));
    world_format(w);
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
    for (unsigned i = 0; i < w->machines_n; i++) {
        if (machine_up(&w->machines[i])) {
            machine_end(&w->machines[i], WORLD_KILL);
        }
    }
    sim_proc_kill(w->client_proc);
}

/* ---- a node's life ---- */

bool machine_marked(const struct machine *m)
{
    bool all = true;
    for (unsigned d = 0; d < m->w->dirs; d++) {
        char path[64];
        struct io_stat st;
        snprintf(path, sizeof(path), "%s/.kafka_cleanshutdown", world_dir(d));
        all = all && sim_disk_stat(m->host->disk, path, &st) == 0;
    }
    return all;
}

static void on_state(void *user, struct node *n, enum node_state state)
{
    static const char *const names[] = {"new",      "starting", "running",
                                        "stopping", "stopped",  "failed"};
    struct machine *m = user;
    m->state = state;
    m->ran |= state == NODE_RUNNING;
    run_note(m->w->r, "node %d is %s%s%s", m->node_id, names[state],
             state == NODE_FAILED ? ": " : "", state == NODE_FAILED ? node_failure(n) : "");
}

static struct config *configure(struct machine *m)
{
    struct config *c = config_new();
    struct config_machine cm = {
        .hostname = m->host->name, .processors = 2, .memory_bytes = 1u << 30, .tmp_dir = "/tmp"};
    char dirs[64] = "log.dirs=/data";
    for (unsigned d = 1; d < m->w->dirs; d++) {
        strcat(strcat(dirs, ","), world_dir(d));
    }
    int err = config_add_properties(c, bytes_str(dirs), "world", &m->em);
    err = err ? err : config_add_properties(c, bytes_str(m->config), "scenario", &m->em);
    err = err ? err : config_finish(c, &cm, NULL, &m->em);
    if (err != 0) {
        run_fail(m->w->r, "configuration: %s", m->em.text);
    }
    return c;
}

static void start_fn(void *arg)
{
    struct machine *m = arg;
    struct node_options o = {
        .config = configure(m),
        .log = &m->w->r->log,
        .make_io = io_sim_make,
        .make_io_ctx = m->proc,
        .inline_shards = true,
        .on_state = on_state,
        .user = m,
    };
    m->node = node_new(&o, &m->em);
    if (m->node == NULL) {
        run_fail(m->w->r, "node_new: %s", m->em.text);
    }
    int err = node_start(m->node, &m->em);
    if (err != 0) {
        run_fail(m->w->r, "node_start: %s (%s)", m->em.text, err_text(err));
    }
    m->shards = shard_group_count(node_shards(m->node));
    ASSERT(m->shards <= WORLD_SHARDS_MAX);
}

bool machine_start(struct machine *m)
{
    ASSERT(m->proc == NULL);
    run_note(m->w->r, "node %d is started (%llu)", m->node_id, (unsigned long long)++m->starts);
    sim_host_power_on(m->host);
    m->proc = sim_proc_new(m->host);
    m->state = NODE_NEW;
    m->ran = false;
    m->node = NULL;
    m->paused_until_us = 0;
    if (!sim_proc_run(m->proc, start_fn, m)) {
        m->died = true;
        return false;
    }
    return true;
}

void machine_end(struct machine *m, enum world_end how)
{
    ASSERT(m->proc != NULL);
    run_note(m->w->r, "%s of node %d%s", how == WORLD_KILL ? "kill -9" : "power loss", m->node_id,
             m->died ? " in the middle of something" : "");
    if (how == WORLD_KILL) {
        sim_proc_kill(m->proc);
    } else {
        m->power_losses++;
        sim_host_power_loss(m->host);
        if (how == WORLD_POWER) {
            sim_host_power_on(m->host);
        }
    }
    m->proc = NULL;
    m->node = NULL; /* its memory is lost, as it should be */
    m->died = false;
}

void machine_end_in(struct machine *m, uint64_t calls, enum world_end how)
{
    m->how = how;
    sim_proc_die_in(m->proc, calls);
}

static void stop_fn(void *arg)
{
    struct machine *m = arg;
    node_stop(m->node);
}

void machine_stop(struct machine *m)
{
    if (!sim_proc_run(m->proc, stop_fn, m)) {
        m->died = true;
        machine_end(m, m->how);
    }
}

void machine_pause(struct machine *m, int64_t us)
{
    m->paused_until_us = m->w->sim->clock.now_us + us;
}

static void free_fn(void *arg)
{
    struct machine *m = arg;
    node_free(m->node);
    m->node = NULL;
}

void machine_clear(struct machine *m, bool leaks)
{
    struct errmsg why;
    sim_proc_die_in(m->proc, 0);
    sim_proc_run(m->proc, free_fn, m);
    bool clean = sim_proc_end(m->proc, &why);
    m->proc = NULL;
    if (leaks && !clean) {
        run_fail(m->w->r, "node %d has stopped and is freed, and yet: %s", m->node_id, why.text);
    }
}

/* ---- steps ---- */

/* Who may take a turn: shards first, then clients. */
struct actor {
    struct machine *m; /* of the shard */
    struct shard *shard;
    struct io *io;
    int64_t due_us; /* when it has something to do; <= now: now */
};

static int64_t shard_due(const struct machine *m, struct shard *sh)
{
    if (sh->io == NULL) {
        return INT64_MAX;
    }
    int64_t due = shard_next_deadline_us(sh);
    due = io_sim_ready(sh->io) ? m->w->sim->clock.now_us : due;
    return due < m->paused_until_us ? m->paused_until_us : due;
}

static void actor_look(struct world *w, struct actor *a)
{
    int64_t now = w->sim->clock.now_us;
    a->due_us = a->m ? shard_due(a->m, a->shard) : io_sim_ready(a->io) ? now : INT64_MAX;
}

static unsigned actors(struct world *w, struct actor *v)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->machines_n; i++) {
        struct machine *m = &w->machines[i];
        for (unsigned k = 0; m->node != NULL && k < m->shards; k++) {
            v[n++] = (struct actor){.m = m, .shard = shard_group_get(node_shards(m->node), k)};
        }
    }
    for (unsigned i = 0; i < w->clients_n; i++) {
        v[n++] = (struct actor){.io = w->clients[i]};
    }
    for (unsigned i = 0; i < n; i++) {
        actor_look(w, &v[i]);
    }
    return n;
}

static void turn_fn(void *arg)
{
    struct actor *a = arg;
    shard_turn(a->shard, 0);
}

/* False: a node has died in it. */
static bool take_turn(struct world *w, struct actor *a)
{
    unsigned who = a->m ? a->m->index * WORLD_SHARDS_MAX + a->shard->index : 255;
    sim_clock_advance(&w->sim->clock, 1 + (int64_t)run_below(w->r, TURN_US_MAX));
    run_digest(w->r, (uint64_t)w->sim->clock.now_us << 8 | who);
    w->r->steps++;
    if (a->m == NULL) {
        io_turn(a->io, 0);
    } else if (a->m->node != NULL && !sim_proc_run(a->m->proc, turn_fn, a)) {
        a->m->died = true;
    }
    return a->m == NULL || !a->m->died;
}

/* To the next thing that is to happen, if nobody has anything to do now. */
static void pass_time(struct world *w, struct actor *v, unsigned n)
{
    struct sim_clock *clock = &w->sim->clock;
    int64_t next = sim_clock_next(clock);
    for (unsigned i = 0; i < n; i++) {
        next = v[i].due_us < next ? v[i].due_us : next;
    }
    if (next <= clock->now_us) {
        return;
    }
    if (next == INT64_MAX) {
        run_fail(w->r, "nothing will ever happen again");
    }
    clock->now_us = next;
    sim_clock_run_due(clock);
    for (unsigned i = 0; i < n; i++) { /* what the events made ready */
        actor_look(w, &v[i]);
    }
}

void world_step(struct world *w)
{
    struct actor v[WORLD_MACHINES_MAX * WORLD_SHARDS_MAX + WORLD_CLIENTS_MAX];
    bool all_live = true;
    sim_clock_run_due(&w->sim->clock);
    unsigned n = actors(w, v);
    pass_time(w, v, n);
    int64_t now = w->sim->clock.now_us;
    for (; n > 0 && all_live; n--) {
        unsigned i = (unsigned)run_below(w->r, n);
        if (v[i].due_us <= now) {
            all_live = take_turn(w, &v[i]);
        }
        v[i] = v[n - 1];
    }
    for (unsigned i = 0; !all_live && i < w->machines_n; i++) {
        if (w->machines[i].died) {
            machine_end(&w->machines[i], w->machines[i].how);
        }
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
