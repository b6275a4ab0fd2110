/* Scenario `groups`, what its files share. */
#ifndef SIM_GROUPS_RUN_H
#define SIM_GROUPS_RUN_H

#include "sim/net_carrier.h"
#include "sim/node_run.h"

enum { GROUPS_PARTS_MAX = 4 }; /* of __consumer_offsets */

/* One partition of __consumer_offsets as it was read last. */
struct groups_log {
    uint64_t *marks; /* by offset: of the record's bytes; 0: not known */
    size_t cap;
    int64_t end;     /* offsets below were read */
    int64_t durable; /* below: a power loss does not take them */
};

/* What the log says of a key, as far as it was read. */
struct groups_offset {
    bool there;
    int64_t offset;
    int32_t leader_epoch;
    char metadata[64];
};

struct groups_run {
    struct node_run nr;
    struct group_world gw;
    struct net_carrier net;
    struct gw_member *checker;
    char config[512];
    bool in_order; /* the node is being stopped in order */
    struct groups_log logs[GROUPS_PARTS_MAX];
    bool may_lose;
    uint64_t acked;
    struct groups_offset offsets[GM_GROUPS_MAX][GM_TOPICS_MAX][GM_PARTS_MAX];
    int32_t gens[GM_GROUPS_MAX]; /* of the last group record; -1: none */
};

/* The topics that members commit for. The node, or nr->m, takes requests. */
void groups_make_topics(struct node_run *nr, struct group_world *gw);
/* Settled groups are described so. False: not (yet); why. */
bool groups_described(struct node_run *nr, struct group_world *gw, unsigned first, unsigned count,
                      char *why, size_t n);
void groups_check_offsets(struct groups_run *gr);
/* groups_log.c */
void groups_log_down(struct groups_run *gr, bool lost);
void groups_check_log(struct groups_run *gr);

#endif
