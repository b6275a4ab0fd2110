/* The home shard's side of a fetch: reads the items of one leg, in order, under one byte limit,
 * with Kafka's checks (leader epoch, divergence, range, isolation). Pure of waiting: fetch_wait.c
 * decides what happens when it is not enough. */
#ifndef BROKER_FETCH_READ_H
#define BROKER_FETCH_READ_H

#include "broker/fetch_wait.h"

/* May this leg's asker read of the partition? A wire code. p may be NULL. */
int16_t fetch_check(const struct partition *p, const struct fetch_leg *leg,
                    const struct fetch_item *it);
/* Reads every item anew; what an earlier reading left (leases, bytes) is given back first. */
void fetch_leg_read(struct node_shard *home, struct fetch_leg *leg);
/* Gives back what the last reading left. */
void fetch_leg_drop(struct node_shard *home, struct fetch_leg *leg);
/* Size of the first batch in the item's records; 0 if it cannot be told. */
uint32_t fetch_item_first_batch(const struct fetch_item *it);

#endif
