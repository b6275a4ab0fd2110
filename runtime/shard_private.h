/* What the files of the runtime share about shards and nobody else sees. */
#ifndef RUNTIME_SHARD_PRIVATE_H
#define RUNTIME_SHARD_PRIVATE_H

#include "runtime/shard.h"

void timers_run(struct shard *sh); /* the due ones; timers.c */

/* conn.c: closes what is still open and frees the shard's connection state. No harm if it never had
 * a connection. */
void conn_shard_end(struct shard *sh);

/* The accounts of the shard's budget. What is given back may let starved connections go on. */
void shard_budget_take(struct shard *sh, size_t bytes);
void shard_budget_give(struct shard *sh, size_t bytes);

#endif
