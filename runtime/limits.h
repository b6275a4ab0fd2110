/* Limits of the process that a node sets at its start, before its threads. */
#ifndef RUNTIME_LIMITS_H
#define RUNTIME_LIMITS_H

#include <stdint.h>

/* Raises the soft limit of open files to the hard one; the limit that holds afterwards. */
uint64_t limits_raise_nofile(void);

/* Sockets are accepted while fewer descriptors than that are open; the rest of the limit is kept
 * for files, so that a flood of connections never keeps a log from its next segment. No bound
 * before limits_raise_nofile. */
int limits_accept_below(void);

/* Lets the allocator keep what is freed. By its own rules it gives a thread's memory back to the
 * system whenever 128 KiB of it are free at the end, which under load is every turn, and fetches
 * larger blocks from the system each time: a shard that answers with 64 KiB then spends more on
 * fresh pages than on all the rest. What an idle shard does not need any more goes back all the
 * same (conn_shard.c). */
void limits_keep_memory(void);

#endif
