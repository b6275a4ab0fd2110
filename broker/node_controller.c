/* The controller's shard of a node: its CONTROLLER listener, the start and stop of struct
 * controller there, and the channels by which the data shards reach it (mailbox in the same
 * process, else sockets to the voters).
 *
 * Shard: the controller's, but for the functions that main calls (node_priv.h). */
#include <stdio.h>

#include "base/mem.h"
#include "broker/config_check.h"
#include "broker/node_priv.h"
#include "controller/channel.h"
#include "controller/controller.h"
#include "storage/log_dir.h"

enum { ACCEPTS_PER_TURN = 64, RETRY_MS = 100 };

/* ---- listener ---- */

static void accept_cb(struct io_sock *s, unsigned events, void *user)
{
    UNUSED(events);
    struct node *n = user;
    struct node_controller *nc = &n->priv->controller;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int handle;
        int err = io_accept(s, &handle);
        if (err == ERR_AGAIN) {
            break;
        }
        if (err) {
            log_limited(n->log, &n->shards[n->controller_shard].limit, LOG_WARN, "listener",
                        "accept failed, trying again soon listener=controller error=\"%s\"",
                        err_text(err));
            timer_set(nc->shard, &nc->retry, shard_now_ms(nc->shard) + RETRY_MS);
            return;
        }
        if (n->controller == NULL) {
            io_handle_close(nc->shard->io, handle);
        } else {
            conn_open(nc->shard, handle, &controller_conn_ops, &nc->limits, &n->controller);
        }
    }
    io_sock_arm(s, IO_READ, accept_cb, n);
}

static void arm_all(struct node *n)
{
    struct node_controller *nc = &n->priv->controller;
    for (unsigned i = 0; i < nc->socks_n; i++) {
        io_sock_arm(nc->socks[i], IO_READ, accept_cb, n);
    }
}

static void retry_cb(struct timer *t)
{
    arm_all(t->user);
}

static int bind_listener(struct node *n, size_t index, struct errmsg *em)
{
    struct node_controller *nc = &n->priv->controller;
    const struct listener_config *lc = &n->config->listeners.v[index];
    uint16_t port = lc->port;
    for (unsigned b = 0; b < lc->binds; b++) {
        int err = io_listen(nc->shard->io, lc->bind[b], port, &nc->socks[nc->socks_n]);
        if (err && b == 0) {
            return errmsg_set(em, err, "listener %s cannot bind %s:%u: %s", lc->name,
                              lc->bind[b][0] ? lc->bind[b] : "*", port, err_text(err));
        }
        if (err == 0) {
            port = io_sock_port(nc->socks[nc->socks_n]);
            nc->socks_n++;
        }
    }
    nc->ports[index] = port;
    return 0;
}

static void close_listeners(struct node_controller *nc)
{
    timer_cancel(nc->shard, &nc->retry);
    for (unsigned i = 0; i < nc->socks_n; i++) {
        io_sock_close(nc->socks[i]);
    }
    nc->socks_n = 0;
}

/* ---- configuration ---- */

static void fatal_run(struct shard *sh, struct call *c)
{
    struct node *n = c->user;
    node_fail(n, "%s", n->priv->controller.fatal_text);
    call_finish(sh, c);
}

static void fatal_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    UNUSED(c);
}

/* Once, from the controller: the rest of the node hears it on main. */
static void on_fatal(void *user, const char *sentence)
{
    struct node *n = user;
    struct node_controller *nc = &n->priv->controller;
    snprintf(nc->fatal_text, sizeof nc->fatal_text, "%s", sentence);
    call_start(nc->shard, 0, &nc->fatal, fatal_run, fatal_done, n);
}

static void on_leader(void *user, int32_t leader)
{
    struct node *n = user;
    if (n->config->is_broker) { /* of one that is no voter this does not come */
        node_channel_leader(n, n->priv->controller.shard, leader);
    }
}

static void take_settings(const struct config *c, struct controller_config *cc)
{
    const struct config_values *v = &c->v;
    cc->session_timeout_ms = v->broker_session_timeout_ms;
    cc->election_timeout_ms = v->controller_raft_election_timeout_ms;
    cc->heartbeat_ms = v->controller_raft_heartbeat_interval_ms;
    cc->idle_interval_ms = v->metadata_max_idle_interval_ms;
    cc->snapshot_bytes = v->metadata_log_max_record_bytes_between_snapshots;
    cc->snapshot_interval_ms = v->metadata_log_max_snapshot_interval_ms;
    cc->segment_bytes = v->metadata_log_segment_bytes;
    cc->segment_ms = v->metadata_log_segment_ms;
    cc->retention_bytes = v->metadata_max_retention_bytes;
    cc->retention_ms = v->metadata_max_retention_ms;
    cc->num_partitions = v->num_partitions;
    cc->default_replication_factor = (int16_t)v->default_replication_factor;
    cc->min_insync_replicas = v->min_insync_replicas;
    cc->unclean_leader_election = v->unclean_leader_election_enable;
    cc->inter_broker_listener = v->inter_broker_listener_name;
    cc->unclean_interval_ms = v->unclean_leader_election_interval_ms;
    cc->auto_leader_rebalance = v->auto_leader_rebalance_enable;
    cc->imbalance_interval_ms = 1000 * v->leader_imbalance_check_interval_seconds;
    cc->fetch_bytes = v->controller_quorum_fetch_max_bytes;
    cc->fetch_snapshot_bytes = v->controller_quorum_fetch_snapshot_max_bytes;
    cc->request_timeout_ms = v->controller_quorum_request_timeout_ms;
    cc->retry_backoff_ms = v->controller_quorum_retry_backoff_ms;
}

/* The directory of the metadata log: one of log.dirs, or one of its own, which is opened here (that
 * it is this node's was checked with the others, node_dirs.c). */
static int open_metadata_dir(struct node *n, struct uuid *id, struct errmsg *em)
{
    struct node_controller *nc = &n->priv->controller;
    const char *path = n->config->metadata_log_dir;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d] && strcmp(n->config->log_dirs[d], path) == 0) {
            *id = n->log_dirs[d]->meta.directory_id;
            return 0;
        }
    }
    int err = log_dir_open(nc->shard->io, n->log, n->log_dirs_n, path, false, &nc->dir, em);
    if (err) {
        nc->dir = NULL;
        return err;
    }
    *id = nc->dir->meta.directory_id;
    return 0;
}

static void close_metadata_dir(struct node_controller *nc)
{
    if (nc->dir) {
        log_dir_close(nc->dir, false, -1);
        nc->dir = NULL;
    }
}

static int start_controller(struct node *n, struct errmsg *em)
{
    const struct config *c = n->config;
    struct node_controller *nc = &n->priv->controller;
    struct controller_config cc;
    struct channel_endpoint controllers[CONFIG_VOTERS_MAX];
    struct controller_voter voters[CONFIG_VOTERS_MAX];
    struct controller_endpoint endpoints[LISTENERS_MAX];
    controller_config_init(&cc);
    take_settings(c, &cc);
    cc.node_id = n->id;
    cc.cluster_id = n->cluster_id;
    cc.log_dir = c->metadata_log_dir;
    int err = open_metadata_dir(n, &cc.directory_id, em);
    if (err) {
        return err;
    }
    config_check_init(&n->priv->validator, c);
    cc.validator = &n->priv->validator;
    cc.on_fatal = on_fatal;
    cc.on_leader = on_leader;
    cc.user = n;
    size_t controllers_n = node_controllers(n, controllers);
    if (n->voter) {
        cc.voters = voters;
        cc.voters_in_log = config_learns_voters(c);
        for (size_t i = 0; i < controllers_n; i++) {
            voters[cc.voters_n++] = (struct controller_voter){
                controllers[i].id, controllers[i].host, controllers[i].port};
        }
    } else {
        cc.servers = controllers;
        cc.servers_n = controllers_n;
    }
    cc.endpoints = endpoints;
    for (size_t i = 0; i < c->listeners.n; i++) {
        const struct listener_config *lc = &c->listeners.v[i];
        if (lc->controller) {
            endpoints[cc.endpoints_n++] = (struct controller_endpoint){
                lc->name, lc->advertised_host,
                lc->advertised_port ? lc->advertised_port : nc->ports[i], (int16_t)lc->protocol};
        }
    }
    return controller_start(nc->shard, &cc, &n->controller, em);
}

/* ---- start and stop, asked by main ---- */

static void start_run(struct shard *sh, struct call *c)
{
    struct node *n = node_shard_of(sh)->node;
    struct node_controller *nc = &n->priv->controller;
    nc->shard = sh;
    nc->retry = (struct timer){.cb = retry_cb, .user = n};
    nc->limits = (struct conn_limits){
        .frame_bytes_max = (uint32_t)n->config->v.socket_request_max_bytes,
        .requests_max = (uint32_t)n->config->v.requests_per_connection_max,
        .idle_ms = n->config->v.connections_max_idle_ms,
        .body_timeout_ms = n->config->v.request_body_timeout_ms,
    };
    sh->budget.limit = n->config->request_memory;
    for (size_t i = 0; i < n->config->listeners.n && nc->err == 0; i++) {
        if (n->config->listeners.v[i].controller) {
            nc->err = bind_listener(n, i, &nc->em);
        }
    }
    if (nc->err == 0) {
        nc->err = start_controller(n, &nc->em);
    }
    if (nc->err == 0) {
        arm_all(n);
    } else {
        close_listeners(nc);
        close_metadata_dir(nc);
    }
    call_finish(sh, c);
}

struct controller_step {
    struct node *n;
    void (*done)(struct node *n);
};

static void step_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct controller_step s = *(struct controller_step *)c->user;
    mem_free(c->user);
    c->user = NULL;
    s.done(s.n);
}

static void begin_step(struct node *n, call_fn *run, void (*done)(struct node *n))
{
    struct controller_step *s = MEM_NEW(struct controller_step);
    *s = (struct controller_step){n, done};
    call_start(node_main(n)->shard, n->controller_shard, &n->priv->controller.call, run, step_done,
               s);
}

void node_controller_start(struct node *n, void (*done)(struct node *n))
{
    begin_step(n, start_run, done);
}

static void stopped_cb(void *user)
{
    struct node *n = user;
    n->controller = NULL;
    close_metadata_dir(&n->priv->controller);
    call_finish(n->priv->controller.shard, &n->priv->controller.call);
}

static void stop_run(struct shard *sh, struct call *c)
{
    UNUSED(c);
    struct node *n = node_shard_of(sh)->node;
    close_listeners(&n->priv->controller);
    controller_stop(n->controller, stopped_cb, n);
}

void node_controller_stop(struct node *n, void (*done)(struct node *n))
{
    begin_step(n, stop_run, done);
}

void node_controller_close(struct node *n)
{
    struct node_controller *nc = &n->priv->controller;
    if (nc->shard == NULL) {
        return;
    }
    close_listeners(nc);
    conn_close_all(nc->shard, false);
    if (n->controller) {
        controller_crash(n->controller);
        n->controller = NULL;
    }
    close_metadata_dir(nc);
}

/* ---- channels ---- */

/* The CONTROLLER listener's port: ours may be one that the system chose. */
static uint16_t own_port(const struct node *n, uint16_t configured)
{
    const struct config *c = n->config;
    uint16_t port = configured;
    for (size_t k = 0; port == 0 && k < c->listeners.n; k++) {
        port = c->listeners.v[k].controller ? n->priv->controller.ports[k] : port;
    }
    return port;
}

static size_t only_voter(const struct node *n, struct channel_endpoint *out)
{
    const struct config *c = n->config;
    for (size_t k = 0; k < c->listeners.n; k++) {
        const struct listener_config *l = &c->listeners.v[k];
        if (l->controller) {
            *out = (struct channel_endpoint){.id = n->id, .port = own_port(n, l->port)};
            snprintf(out->host, sizeof out->host, "%s", l->advertised_host);
            return 1;
        }
    }
    return 0;
}

size_t node_controllers(const struct node *n, struct channel_endpoint out[CONFIG_VOTERS_MAX])
{
    const struct config *c = n->config;
    if (n->voter && config_learns_voters(c)) {
        return only_voter(n, out);
    }
    for (size_t i = 0; i < c->voters_n; i++) {
        bool own = n->voter && c->voters[i].id == n->id;
        out[i] = (struct channel_endpoint){.id = c->voters[i].id,
                                           .port = own ? own_port(n, c->voters[i].port)
                                                       : c->voters[i].port};
        snprintf(out[i].host, sizeof out[i].host, "%s", c->voters[i].host);
    }
    return c->voters_n;
}

/* All but the one in this process. */
static size_t others_of(const struct node *n, struct channel_endpoint *v, size_t n_all)
{
    size_t others = 0;
    for (size_t i = 0; i < n_all; i++) {
        if (v[i].id != n->id) {
            v[others++] = v[i];
        }
    }
    return others;
}

struct channel *node_channel_new(struct node_shard *ns)
{
    struct node *n = ns->node;
    struct channel_endpoint endpoints[CONFIG_VOTERS_MAX];
    size_t count = node_controllers(n, endpoints);
    if (!n->voter || n->priv->opt.socket_channel) {
        return channel_socket_new(ns->shard, endpoints, count, "broker");
    }
    struct channel *local = channel_local_new(ns->shard, n->controller_shard, "broker");
    size_t others = others_of(n, endpoints, count);
    if (others == 0) {
        return local;
    }
    return channel_near_new(local, channel_socket_new(ns->shard, endpoints, others, "broker"),
                            n->id, others);
}
