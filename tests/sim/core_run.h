/* Scenario `coordinator`: the pure core (broker/group/coordinator.h) in a world of its own. Its
 * host is here: a log that is a list, writes that take a while and sometimes fail, a clock, and
 * processes that end and begin again from what the log holds. Members reach it without a network,
 * yet in encoded requests and answers, each after a delay. */
#ifndef SIM_CORE_RUN_H
#define SIM_CORE_RUN_H

#include "broker/group/coordinator.h"
#include "sim/group_world.h"

struct core_record { /* of the log */
    struct bytes key, value;
    int64_t wall_ms;
};

struct core_write { /* appended, not committed yet */
    struct list node;
    struct group_op *op;
    struct core_record *records;
    uint32_t n;
    int64_t due_us;
};

struct core_run;

/* A request on its way, in the core, or an answer on its way back. */
struct core_ask {
    struct list node; /* in its lane */
    struct core_run *cr;
    struct core_lane *lane;
    struct gw_call *call; /* NULL: nobody waits for it any more */
    struct buf request;
    struct buf answer;
    struct group_ask ask; /* while it is in the core */
    int16_t api_key, version;
    bool sent; /* on its way, or there */
    bool in_core;
    uint32_t life; /* of the coordinator that it was sent to */
    const char *client_id;
    struct sim_event moves; /* it arrives, or its answer does */
    struct sim_event timeout;
    struct arena arena;
};

struct core_lane {
    struct list asks; /* core_ask, oldest first; one at a time is sent */
};

struct core_run {
    struct run *r;
    struct group_world gw;
    struct group_coordinator *c; /* NULL: none is there */
    struct group_config config;
    struct group_effects fx;
    uint32_t life;
    /* the log */
    struct core_record *log;
    size_t log_n, log_cap;
    struct arena log_arena;
    struct list writes;       /* core_write */
    struct sim_event written; /* the first of them is due */
    struct sim_event tick;
    struct sim_event expire;
    struct sim_event fate; /* what strikes next */
    struct sim_event start;
    bool faulty;
    unsigned fail_percent;
    unsigned crash_percent;
    int64_t write_us_max;
    int64_t net_us_max;
    int64_t expire_us; /* 0: never */
    bool topics_go;    /* now and then the offsets of one */
    bool down_busy;    /* while it is down: loading, else gone */
    bool ending;       /* connections break: nothing arrives any more */
    bool unloading;    /* answers arrive at once: it still stands */
    struct gw_member *checker;
    uint64_t fails, crashes, unloads, appended;
};

extern const struct gw_carrier core_carrier; /* ctx: struct core_run */

void core_init(struct core_run *cr, struct run *r);
void core_free(struct core_run *cr);
void core_start(struct core_run *cr); /* a coordinator from the log */
/* kill: the process ends as it stands; else in order, everybody is told. */
void core_end(struct core_run *cr, bool kill);
void core_deliver(struct core_ask *a); /* a request arrives */
void core_step(struct core_run *cr, struct group_event *ev);
static inline int64_t core_now_us(const struct core_run *cr)
{
    return cr->r->sim->clock.now_us;
}
static inline int64_t core_wall_ms(const struct core_run *cr)
{
    return 1700000000000 + core_now_us(cr) / 1000;
}
/* The core has answered: the response is encoded and sent. */
void core_answered(struct core_ask *a);

#endif
