/* What the files of the monitor share. */
#ifndef BROKER_MONITOR_PRIVATE_H
#define BROKER_MONITOR_PRIVATE_H

#include "broker/call.h"
#include "broker/monitor/gather.h"
#include "broker/monitor/monitor.h"

struct monitor {
    struct node *node;
    const struct http_ops *ops;
    struct shard *shard;
    struct http_server *server;    /* NULL: not listening */
    enum node_state node_state;    /* as main told */
    struct list gathers;           /* under way */
    struct metrics_window *window; /* metrics_requests.c's */
    size_t text_len;               /* of the last /metrics */
    struct console *console;
    int64_t began_ms; /* wall clock */
    /* main's */
    struct call call; /* start, then stop */
    bool busy;
    void (*started)(struct node *n, const char *failure);
    void (*stopped)(struct node *n);
    struct errmsg em; /* of the start: the asked shard's until it is home */
    uint16_t port;    /* bound; the same */
    struct call news; /* the node's state, on its way to the monitor's shard */
    enum node_state news_state;
    bool news_out;
    bool news_again; /* the state changed meanwhile */
};

/* hosts.c: does the Host header (NULL: none) name this node? */
bool monitor_host_is_known(const struct config *config, const char *header);
/* metrics.c */
void monitor_metrics(struct monitor *m, struct http_request *r);
/* why.c */
void monitor_why(struct monitor *m, struct http_request *r);
/* health.c */
void monitor_healthz(struct monitor *m, struct http_request *r);
void monitor_readyz(struct monitor *m, struct http_request *r);

#endif
