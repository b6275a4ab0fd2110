/* Where replicas are to go: what `broker drain` and `balance` decide, from a picture of the cluster
 * alone (view.h). Pure: nothing is asked and nothing moved here.
 *
 *     plan_begin(&p, arena, view);
 *     plan_drain(&p, 3)  or  plan_balance(&p, 10);
 *     for each of p.parts: plan_moves(part) -> part->to is its new list of replicas
 *
 * What holds of every plan, whatever the picture (tests/unit/tools/test_plan.c tries it over
 * seeds):
 * - a partition keeps its number of replicas, and has no broker twice;
 * - it lies in at least as many racks as before (a drain may have no other choice: then it is
 *   counted in racks_worse);
 * - a replica comes only to a broker that runs, is not cordoned and has room on its disk;
 * - no move is there that is not needed: a drain moves the replicas of its broker alone, and a
 *   balance without one of its moves would be out of balance, or its traffic further out;
 * - who carries a plan out and plans again finds nothing to do.
 *
 * A partition that moves already is taken to be where it goes: an interrupted drain that is begun
 * again goes on where it was, and does not turn anything back. */
#ifndef TOOLS_PLAN_H
#define TOOLS_PLAN_H

#include "tools/view.h"

struct plan_broker {
    int32_t id;
    int32_t rack;     /* brokers without a rack are one; racks count from 0 */
    bool receives;    /* it may be given replicas */
    int64_t bytes;    /* of its replicas */
    int64_t capacity; /* of its disks; -1: unknown */
    int64_t room;     /* what may come before its disks are too full; -1: unknown */
    int32_t replicas; /* how many it has */
    int32_t leaders;  /* of how many it is the first */
    int64_t written;  /* bytes a second that come to its replicas, as far as the view tells */
    int64_t led;      /* of them to those that it is the first of: from clients */
    double share;     /* plan_balance: the bytes that it should have */
};

struct plan_part {
    const struct view_topic *topic;
    int32_t index;
    struct view_ids from; /* where it is, or goes already */
    struct view_ids to;   /* where it shall be; the same list: it stays */
    int64_t size;         /* of one replica */
    int64_t written;      /* bytes a second; 0: none, or unknown */
    bool fixed;           /* it is not touched: it moves, or not all of it is in sync */
};

struct plan {
    struct arena *arena;
    const struct view *view;
    struct plan_broker *brokers; /* as in the view */
    int32_t brokers_n, racks_n;
    struct plan_part *parts;
    int32_t parts_n;
    int32_t racks_worse; /* partitions in fewer racks than before */
    const char *refusal; /* sentences: why there is no plan, and what would work; NULL: there is */
};

void plan_begin(struct plan *p, struct arena *a, const struct view *v);
/* Everything off this broker. False: p->refusal. */
bool plan_drain(struct plan *p, int32_t broker);
/* Bytes, replicas and leaders of every broker that receives within this many percent of its share,
 * as far as that can be had; and then, as far as the view has measured it and none of these gets
 * worse, what is written to it within twice as many. */
void plan_balance(struct plan *p, int32_t tolerance_percent);

/* The partition to which most is written, if that is more than a broker should lead (*share), so
 * that no plan helps; NULL: there is none. */
const struct plan_part *plan_indivisible(const struct plan *p, int32_t tolerance_percent,
                                         int64_t *share);

/* Is it to move, or at least to have another order? */
bool plan_moves(const struct plan_part *part);
/* Partitions that a balance leaves alone though they do not move: not all of them is in sync. */
int32_t plan_left_alone(const struct plan *p);
int32_t plan_copies(const struct plan_part *part); /* replicas that have to be copied */
struct plan_total {
    int32_t partitions, copies, orders; /* partitions that move; of them in another order only */
    int64_t bytes;                      /* to be copied */
};
struct plan_total plan_total(const struct plan *p);
/* The most that one broker has to send, or to receive, until all is where it goes: what the plan
 * copies, and what is left of what moves already. Leaders send, as far as there are. */
int64_t plan_heaviest(const struct plan *p);

/* ---- between plan.c, plan_drain.c, plan_balance.c and plan_traffic.c ---- */

/* The place of a broker in p->brokers; -1: it is not registered. */
int32_t plan_at(const struct plan *p, int32_t id);
int32_t plan_racks_of(const struct plan *p, struct view_ids ids);
/* How many racks the partition would lie in with `to` in the place of `from`. */
int32_t plan_racks_with(const struct plan *p, const struct plan_part *part, int32_t from,
                        int32_t to);
bool plan_has_room(const struct plan_broker *b, int64_t size);
/* Another list in the place of the new one, and counts it. All of both are registered. */
void plan_set(struct plan *p, struct plan_part *part, struct view_ids ids);
/* Puts `to` into the place of `from` in the new list, and counts it. */
void plan_replace(struct plan *p, struct plan_part *part, int32_t from, int32_t to);
/* Makes this replica the first, in exchange with the one that is. */
void plan_lead(struct plan *p, struct plan_part *part, int32_t broker);

#endif
