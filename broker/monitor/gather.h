/* One question of the monitor to the shards of its node: a function runs on each of them and leaves
 * an answer; when all are home, or the time is over, `done` has the parts.
 *
 * A shard that is late keeps its part: the gather stays in place until that is home too, then it
 * and the answers are freed. What ask does on a shard that serves must be short: it copies numbers.
 *
 * Answers are made on the shard that is asked, and belong to the gather from then on.
 *
 * Shard: the monitor's; ask_x: the asked one. */
#ifndef BROKER_MONITOR_GATHER_H
#define BROKER_MONITOR_GATHER_H

#include "broker/call.h"
#include "broker/monitor/monitor.h"

struct gather;

struct gather_part {
    struct call call;
    struct gather *gather;
    unsigned shard;  /* a data shard's index, or the controller's */
    bool controller; /* it is the controller's */
    bool home;       /* done: answered in time */
    void *answer;    /* what ask left; NULL: nothing */
};

struct gather_kind {
    /* On a data shard, with `ns`. NULL: they are not asked. */
    void (*ask_data)(struct node_shard *ns, struct gather_part *p);
    /* On the controller's shard, if the node has one. NULL: it is not asked. */
    void (*ask_controller)(struct node *n, struct gather_part *p);
    void (*done)(struct gather *g);
    void (*free_answer)(void *answer); /* NULL: mem_free */
    void (*free_user)(void *user);     /* NULL: it is nothing that is freed */
    bool main_only;                    /* of the data shards, ask main */
    int64_t timeout_ms;
};

struct gather {
    struct list node; /* in the monitor's */
    struct monitor *monitor;
    const struct gather_kind *kind;
    struct http_request *request; /* whose answer it is for; done answers it. NULL: nobody's */
    void *user;                   /* read only while parts are out */
    struct timer timer;
    bool finished;
    unsigned out;
    unsigned n;
    struct gather_part *parts;
};

void gather_start(struct monitor *m, const struct gather_kind *kind, struct http_request *r,
                  void *user);
/* In done: the first part that has not come, or NULL. */
const struct gather_part *gather_late(const struct gather *g);
/* Its shard, in words. */
void gather_shard_name(const struct gather_part *p, char *out, size_t n);
/* The monitor is freed: all of them, wherever their parts are. */
void gather_free_all(struct list *gathers);

#endif
