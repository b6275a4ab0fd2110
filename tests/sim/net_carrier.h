/* How members of groups reach a whole node: connections over the simulated network. */
#ifndef SIM_NET_CARRIER_H
#define SIM_NET_CARRIER_H

#include "sim/group_world.h"
#include "sim/world.h"

enum { NET_IOS = 6 };

struct net_carrier {
    struct world *w;
    struct machine *hosts[GW_HOSTS_MAX]; /* by their numbers in group_world */
    unsigned hosts_n;
    struct io *ios[NET_IOS]; /* shared by the members */
};

extern const struct gw_carrier net_carrier; /* ctx: struct net_carrier */
void net_carrier_init(struct net_carrier *n, struct world *w);
/* Everything else than the one machine of a world: those that coordinate, in group_world too. */
void net_carrier_host(struct net_carrier *n, struct group_world *gw, struct machine *m);

#endif
