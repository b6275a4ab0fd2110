/* A world of machines, each with one node, and some scripted clients on a machine of their own,
 * moved along step by step.
 *
 * A step: what the outside has ready happens; then every shard of every node and every client that
 * has something to do takes one turn, in an order that the seed decides, and each turn costs a
 * little virtual time; if nobody has anything to do, time jumps to the next event or timer.
 *
 * A node is production code, configured by text like a real server. It may end by itself (an
 * orderly stop, or a failure that it reports), be killed or lose power between two turns or in the
 * middle of one, stand still for a while as a stopped process does, and be started again on the
 * same disk. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "broker/node.h"
#include "sim/run.h"

enum {
    WORLD_MACHINES_MAX = 12,
    WORLD_CLIENTS_MAX = 32,
    WORLD_SHARDS_MAX = 8, /* of a node */
    WORLD_CONFIG = 2048,
    WORLD_DIRS_MAX = 3,
};

/* OFF: without power until it is started again; POWER: there again at once. */
enum world_end { WORLD_KILL, WORLD_POWER, WORLD_OFF };

struct world;

struct machine {
    struct world *w;
    unsigned index;        /* in w->machines */
    struct sim_host *host; /* its address, disk and wall clock */
    int32_t node_id;
    char config[WORLD_CONFIG]; /* server.properties, without log.dirs */
    struct sim_proc *proc;     /* NULL: the node is down */
    struct node *node;
    enum node_state state; /* as the node said */
    bool ran;              /* it has been running since its start */
    unsigned shards;
    struct errmsg em;
    uint64_t starts;
    uint64_t power_losses;   /* meant as such: a breach of what a kill leaves is none */
    int64_t paused_until_us; /* no turns before */
    bool died;               /* in the middle of a turn: machine_end is due */
    enum world_end how;
};

struct world {
    struct run *r;
    struct sim *sim;
    struct machine machines[WORLD_MACHINES_MAX];
    unsigned machines_n;
    struct sim_host *client_host;
    struct sim_proc *client_proc;
    struct io *clients[WORLD_CLIENTS_MAX]; /* each with its own turns */
    unsigned clients_n;
    unsigned dirs; /* log directories of each node; 1, or set before world_init */
};

/* Path of the d-th of them. The first one is formatted, the others are new disks. */
const char *world_dir(unsigned d);

/* So many machines with empty disks, and the clients'. node_id and config of each are the caller's
 * to fill in before world_format, which makes the disks those of one cluster. */
void world_init(struct world *w, struct run *r, unsigned machines, uint64_t disk_bytes);
void world_format(struct world *w);
/* One machine, formatted: broker and controller with these settings besides. */
void world_init_single(struct world *w, struct run *r, const char *config, uint64_t disk_bytes);
void world_free(struct world *w);
/* An io for a scripted client. */
struct io *world_client(struct world *w);

/* Begins to start the node. False: it died in the call (see machine_end). Errors that are not a
 * fault's fail the run. */
bool machine_start(struct machine *m);
/* kill -9 or power loss, now. */
void machine_end(struct machine *m, enum world_end how);
/* The same in the middle of something, within the next so many calls of the seam. */
void machine_end_in(struct machine *m, uint64_t calls, enum world_end how);
void machine_stop(struct machine *m); /* begins an orderly stop */
/* The node takes no turns for so long; its kernel and the network go on. */
void machine_pause(struct machine *m, int64_t us);
/* The node has stopped or failed: takes it away, as the end of its process does. leaks: what it
 * left open fails the run. */
void machine_clear(struct machine *m, bool leaks);
/* It is down and has lost its disk: an empty one, formatted anew, takes its place. */
void machine_wipe(struct machine *m, uint64_t disk_bytes);
/* Its disk has the marks of a clean stop. */
bool machine_marked(const struct machine *m);
static inline bool machine_up(const struct machine *m)
{
    return m->proc != NULL;
}
/* It is down, or has stopped or failed by itself. */
static inline bool machine_ended(const struct machine *m)
{
    return m->proc == NULL || m->state == NODE_FAILED || m->state == NODE_STOPPED;
}

/* One step; nodes may be down after it. */
void world_step(struct world *w);
/* Steps until done() or until so much time has passed; false: it has passed. */
bool world_run(struct world *w, int64_t us, bool (*done)(void *ctx), void *ctx);

enum { WORLD_PORT = 9092, WORLD_CONTROLLER_PORT = 9093 };

#endif
