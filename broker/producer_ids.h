/* Producer ids for InitProducerId without a transactional id: handed out one by one from a block of
 * 1000 that the controller gave this broker (AllocateProducerIds). The next block is asked for when
 * nine tenths of the present one are gone. While there is none (right after the start) the answer
 * is COORDINATOR_LOAD_IN_PROGRESS, as Kafka's: clients try again.
 *
 * Failure modes: a refused or lost AllocateProducerIds is tried again after a pause; a block that
 * was given and not received is lost, ids need not be dense.
 *
 * Shard: main; other shards ask by a call. */
#ifndef BROKER_PRODUCER_IDS_H
#define BROKER_PRODUCER_IDS_H

#include <stdint.h>

struct node_shard;
struct producer_ids;

struct producer_ids *producer_ids_new(struct node_shard *main);
void producer_ids_free(struct producer_ids *p);
/* 0 and the id, or a wire code. Never waits. */
int16_t producer_ids_next(struct producer_ids *p, int64_t *id);
/* Asks for the first block (once the broker is registered). */
void producer_ids_start(struct producer_ids *p);

#endif
