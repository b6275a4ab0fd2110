/* What is between plan_balance.c, which evens out what brokers have, and plan_traffic.c, which does
 * so with what is written to them. */
#ifndef TOOLS_PLAN_EVEN_H
#define TOOLS_PLAN_EVEN_H

#include "tools/plan.h"

struct balance {
    struct plan *p;
    double tolerance; /* part of a share */
    double replicas;  /* share of each broker that receives */
    double leaders;
    double written, led; /* the same of traffic */
    bool by_replicas;    /* what is being evened out: numbers, not bytes */
    int32_t *order;      /* brokers that receive, those with most too much first */
    int32_t order_n;
};

static inline double apart(double a, double b)
{
    return a < b ? b - a : a - b;
}

/* May the partition's replica go from one broker (by its place in the plan) to the other? */
bool balance_may_move(const struct balance *b, const struct plan_part *part, int32_t from,
                      int32_t to);
/* How far a broker is out of what is allowed: in bytes, with so many more; in what is counted. */
double balance_bytes_out(const struct balance *b, int32_t at, double more);
double balance_replicas_out(const struct balance *b, int32_t at);
double balance_leaders_out(const struct balance *b, int32_t at);

/* Evens out traffic, and makes none of the others worse. False: nothing was changed. */
bool traffic_even_out(struct balance *b);
/* How far traffic is out of what is allowed, over all brokers, in bytes a second. */
double traffic_out(const struct balance *b);

#endif
