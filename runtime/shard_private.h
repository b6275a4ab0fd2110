/* What the files of the runtime share about shards and nobody else sees. */
#ifndef RUNTIME_SHARD_PRIVATE_H
#define RUNTIME_SHARD_PRIVATE_H

#include "runtime/shard.h"

void timers_run(struct shard *sh); /* the due ones; timers.c */

/* conn.c: closes what is still open and frees the shard's connection state. No harm if it never had
 * a connection. */
void conn_shard_end(struct shard *sh);

#endif
