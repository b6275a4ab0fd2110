/* What the files of the node share: node.c (making, messages, images), node_start.c, node_dirs.c
 * and node_stop.c (the steps), node_controller.c (the controller's shard). Nobody else includes it.
 */
#ifndef BROKER_NODE_PRIV_H
#define BROKER_NODE_PRIV_H

#include "broker/call.h"
#include "broker/checkpoints.h"
#include "broker/config.h"
#include "broker/node.h"
#include "controller/channel.h"
#include "controller/config_validator.h"
#include "runtime/conn.h"

/* The CONTROLLER listener: accepts on the controller's shard, where its connections live. */
struct node_controller {
    struct shard *shard;
    struct io_sock *socks[LISTENERS_MAX * LISTENER_BINDS_MAX];
    unsigned socks_n;
    uint16_t ports[LISTENERS_MAX]; /* bound, by index in config->listeners */
    struct conn_limits limits;
    struct timer retry;  /* after EMFILE */
    struct log_dir *dir; /* metadata.log.dir if it is none of log.dirs: locked while it is used */
    struct call call;    /* from main: start, then stop */
    int err;             /* of the start */
    struct errmsg em;
    struct call fatal; /* to main */
    char fatal_text[512];
};

/* Which controller is the active one, and where all are, on its way to a data shard. */
struct leader_news {
    struct call call;
    struct node *node;
    uint64_t version;
    int32_t leader; /* -1 unknown */
    struct channel_endpoint endpoints[CONFIG_VOTERS_MAX];
    size_t endpoints_n;
    bool out;
};

/* One data shard's part of a step. */
struct node_step {
    struct call call;
    struct node *node;
    uint64_t failed_dirs; /* partition_manager_close_clean */
    struct checkpoint_rows rows;
    bool busy;
};

struct node_priv {
    struct node_options opt;
    enum io_backend backend; /* when opt.make_io is NULL */
    enum node_state state;   /* main's */
    char failure[512];
    struct node_controller controller;
    struct shard *news_from; /* the shard that hears who is the active controller */
    int32_t leader;          /* it; -1 unknown */
    struct channel_endpoint endpoints[CONFIG_VOTERS_MAX]; /* as it said */
    size_t endpoints_n;
    uint64_t news_version;    /* of the two; 0 nothing is known */
    struct leader_news *news; /* one for each data shard */
    struct checkpoints *checkpoints;
    struct config_validator validator;
    struct task begin; /* main: the first step, after the shards have started */
    struct node_step *steps;
    unsigned steps_out;
    void (*steps_next)(struct node *n);
    bool started;     /* the group was started */
    bool accepting;   /* reached NODE_RUNNING once */
    bool stop_wanted; /* asked to stop before it could */
    bool failing;     /* stops because it failed: fast, not cleanly */
    bool stopping;    /* the steps of the stop run */
    bool shards_have_channels;
    struct timer poll;  /* waits for connections and flushes to end */
    int64_t give_up_ms; /* then they are cut */
};

static inline struct node_shard *node_main(const struct node *n)
{
    return &n->shards[0];
}

void node_set_state(struct node *n, enum node_state s);
/* Runs fn on every data shard; next, when all have, on main. One at a time. */
void node_on_all_shards(struct node *n, call_fn *fn, void (*next)(struct node *n));

/* node_dirs.c, on main: checks and opens log.dirs; false: the node has failed. */
bool node_open_dirs(struct node *n);
void node_start_begin(struct node *n); /* node_start.c: first step, on main */
void node_stop_begin(struct node *n);  /* node_stop.c: on main; failing or not */

/* node_controller.c; the callbacks come on main. */
void node_controller_start(struct node *n, void (*done)(struct node *n));
void node_controller_stop(struct node *n, void (*done)(struct node *n));
void node_controller_close(struct node *n); /* the shard ends: sockets and timers go */
/* Those that are configured, or this node as the only one; ids of -1: where some controllers are.
 */
size_t node_controllers(const struct node *n, struct channel_endpoint out[CONFIG_VOTERS_MAX]);
struct channel *node_channel_new(struct node_shard *ns);
/* node_channel.c: tells all shards' channels who is the active controller; always from the same
 * shard. */
void node_channel_leader(struct node *n, struct shard *from, int32_t leader);

#endif
