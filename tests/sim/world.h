/* A world with one node and some scripted clients, moved along step by step.
 *
 * A step: what the outside has ready happens; then every shard of the node and every client that
 * has something to do takes one turn, in an order that the seed decides, and each turn costs a
 * little virtual time; if nobody has anything to do, time jumps to the next event or timer.
 *
 * The node is production code, configured by text like a real server. It may end by itself (an
 * orderly stop, or a failure that it reports), be killed or lose power between two turns or in the
 * middle of one, and be started again on the same disk. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "broker/node.h"
#include "sim/run.h"

enum { WORLD_CLIENTS_MAX = 16, WORLD_SHARDS_MAX = 8 };

enum world_end { WORLD_KILL, WORLD_POWER };

struct world {
    struct run *r;
    struct sim *sim;
    struct sim_host *host; /* the node's machine */
    struct sim_proc *proc; /* NULL: the node is down */
    struct node *node;
    enum node_state state; /* as the node said */
    bool ran;              /* it has been running since its start */
    unsigned shards;
    const char *config; /* server.properties, without what the world sets itself */
    struct errmsg em;
    struct sim_host *client_host;
    struct sim_proc *client_proc;
    struct io *clients[WORLD_CLIENTS_MAX]; /* each with its own turns */
    unsigned clients_n;
    uint64_t starts;
    uint64_t power_losses; /* meant as such: a breach of what a kill leaves is none */
    bool died;             /* in the middle of a turn: world_end_node is due */
    enum world_end how;
};

/* Machines, a formatted disk, no node yet. config must outlive the world. */
void world_init(struct world *w, struct run *r, const char *config, uint64_t disk_bytes);
void world_free(struct world *w);
/* An io for a scripted client. */
struct io *world_client(struct world *w);

/* Begins to start the node. False: it died in the call (see world_end_node). Errors that are not a
 * fault's fail the run. */
bool world_start_node(struct world *w);
/* kill -9 or power loss, now. */
void world_end_node(struct world *w, enum world_end how);
/* The same in the middle of something, within the next so many calls of the seam. */
void world_end_node_in(struct world *w, uint64_t calls, enum world_end how);
void world_stop_node(struct world *w); /* begins an orderly stop */
/* The node has stopped or failed: takes it away, as the end of its process does. leaks: what it
 * left open fails the run. */
void world_clear_node(struct world *w, bool leaks);
static inline bool world_node_up(const struct world *w)
{
    return w->proc != NULL;
}

/* One step; the node may be down after it. */
void world_step(struct world *w);
/* Steps until done() or until so much time has passed; false: it has passed. */
bool world_run(struct world *w, int64_t us, bool (*done)(void *ctx), void *ctx);

#define WORLD_PORT 9092

#endif
