/* How members of groups reach a whole node: connections over the simulated network. */
#ifndef SIM_NET_CARRIER_H
#define SIM_NET_CARRIER_H

#include "sim/group_world.h"
#include "sim/world.h"

enum { NET_IOS = 6 };

struct net_carrier {
    struct world *w;
    struct io *ios[NET_IOS]; /* shared by the members */
};

extern const struct gw_carrier net_carrier; /* ctx: struct net_carrier */
void net_carrier_init(struct net_carrier *n, struct world *w);

#endif
