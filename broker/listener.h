/* Listeners of clients: bind, accept, count, hand out. One shard accepts ("main"); each connection
 * goes to the data shard that has the fewest and lives there.
 *
 *     main: io_accept -> limits -> MSG_CONN_OPEN -> data: conn_open ... closed -> MSG_CONN_CLOSED
 *
 * Limits: max.connections (the whole broker) and a listener's own max.connections stop accepting
 * until one closes: what waits, waits in the kernel's backlog. max.connections.per.ip (and its
 * overrides) closes the newcomer, with a rate-limited line. When the process has no descriptors
 * left, accepting pauses for a moment and goes on. The limits can be changed while the node runs.
 *
 * On close: listeners_close stops accepting; connections are drained by the shards
 * (conn_close_all).
 *
 * Shard: main, but for listener_on_open, which runs on a data shard. */
#ifndef BROKER_LISTENER_H
#define BROKER_LISTENER_H

#include "base/buf.h"
#include "base/map.h"
#include "broker/config.h"
#include "broker/node.h"
#include "runtime/conn.h"

struct listener {
    const struct listener_config *config;
    struct listener_set *set;
    struct io_sock *socks[LISTENER_BINDS_MAX];
    unsigned socks_n;
    uint16_t port;             /* bound */
    uint32_t connections;      /* open ones, of this listener */
    uint32_t connections_max;  /* its own; UINT32_MAX none */
    struct conn_limits limits; /* of its connections */
    bool armed;
};

/* A connection's ticket: made by main with the accepted handle, kept by the connection, sent home
 * when it closes. */
struct listener_handoff {
    struct msg m;
    struct list node; /* in the set's tickets: main's */
    int handle;
    unsigned shard; /* where it lives */
    struct listener *listener;
    char ip[64];
};

struct listener_set {
    struct node *node;
    struct shard *shard; /* main */
    struct listener v[LISTENERS_MAX];
    size_t n;
    struct timer retry;      /* after EMFILE */
    uint32_t connections;    /* open ones, all listeners */
    int64_t max, per_ip_max; /* what the settings say now */
    struct buf overrides;    /* max.connections.per.ip.overrides */
    uint32_t *per_shard;     /* open ones of each data shard */
    struct map per_ip;       /* ip -> struct listener_ip */
    struct list tickets;     /* of all open connections */
    bool accepting;
};

/* Binds the client listeners of the configuration without accepting yet. NULL: em says why. */
struct listener_set *listeners_open(struct node *n, struct shard *main, struct errmsg *em);
void listeners_accept(struct listener_set *ls); /* from now on */
void listeners_close(struct listener_set *ls);  /* stops accepting */
void listeners_free(struct listener_set *ls);   /* closed, and all connections are gone */
/* The limits are what the metadata says now over the configuration (max.connections and those per
 * address). Open connections stay. */
void listeners_set_limits(struct listener_set *ls, const struct image *img);
const struct listener *listeners_find(const struct listener_set *ls, const char *name);

void listener_on_open(struct node_shard *ns, struct msg *m); /* MSG_CONN_OPEN, on a data shard */
void listener_on_closed(struct listener_set *ls, struct msg *m); /* MSG_CONN_CLOSED, on main */
/* A connection of ns is gone: its ticket goes home. */
void listener_conn_closed(struct node_shard *ns, struct listener_handoff *ticket);

#endif
