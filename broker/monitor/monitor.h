/* Eyes on a node: the HTTP listener (metrics.listener) that tells operators whether the node is
 * alive and ready, what it does, and what is slow. routes.c is the table of what is served.
 *
 * It lives on a shard of its own (the monitor's, the last one of the group), so that neither a slow
 * client nor a long text takes time of those that serve. It touches no state of theirs: it asks
 * them by calls (gather.h), each of which copies a few numbers, and makes the text itself.
 *
 *     node's start: monitor_start binds, before anything else is changed -> answers from then on:
 *     /readyz says what the start waits for -> ... -> the stop's last step: monitor_stop
 *
 * The listener comes before what it tells of and goes after it: an orchestrator must see that a
 * node which recovers its logs for minutes is alive, and why it is not ready.
 *
 * Failure modes: an address that cannot be bound fails the start with a sentence. A shard that does
 * not answer within the question's bound is named in the answer (503); its part of the question
 * stays in place until it comes home.
 *
 * Shard: the monitor's, but for what says "main". */
#ifndef BROKER_MONITOR_H
#define BROKER_MONITOR_H

#include "broker/node.h"
#include "runtime/http.h"

struct monitor;
struct console; /* broker/console/console.h */

/* One line of the table. */
struct monitor_route {
    const char *path; /* with a '/' at its end: everything below it */
    /* Answers with one of the monitor_reply calls, or http_answer, now or later. */
    void (*handle)(struct monitor *m, struct http_request *r);
    bool kept;           /* answered however many requests wait for their answers */
    const char *summary; /* for the list at / */
};

/* routes.c, in the order in which they are tried */
extern const struct monitor_route monitor_routes[];
extern const size_t monitor_routes_n;
const struct monitor_route *monitor_route_find(const char *path); /* NULL: none */

/* ---- for handlers ---- */

struct node *monitor_node(const struct monitor *m);
struct shard *monitor_shard(const struct monitor *m); /* NULL: not started */
struct console *monitor_console(const struct monitor *m);
/* The node's state, as main told it last. */
enum node_state monitor_node_state(const struct monitor *m);
/* ?format=json, or Accept names JSON and not text. */
bool monitor_wants_json(const struct http_request *r);
/* Take the buffer. */
void monitor_reply_text(struct http_request *r, int status, struct buf *text);
void monitor_reply_json(struct http_request *r, int status, struct buf *text);
void monitor_reply(struct http_request *r, int status, const char *type, struct buf *body);

/* ---- for the node ---- */

/* Memory only. ops NULL, or no metrics.listener: NULL, and all of the following do nothing. */
struct monitor *monitor_new(struct node *n, const struct http_ops *ops);
void monitor_free(struct monitor *m); /* the shards' threads have ended */
/* main; done comes on main, with the sentence of a failure or NULL. */
void monitor_start(struct node *n, void (*done)(struct node *n, const char *failure));
void monitor_stop(struct node *n, void (*done)(struct node *n));
bool monitor_busy(const struct node *n); /* main: a start or stop is under way */
void monitor_tell_state(struct node *n); /* main: node_state changed */
/* The monitor's shard ends (the shard's stop hook). */
void monitor_end(struct monitor *m);
/* Bound; 0 if there is none. */
uint16_t monitor_port(const struct node *n);

#endif
