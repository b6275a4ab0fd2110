/* The file `voter-directories` beside quorum-state: which directory each other voter has, as it
 * said when it first spoke to this node, or as `millrace storage admit-voter` has it. Kafka's
 * checkpoint form: version 0, a count, then `id directory` lines.
 *
 * Shard: the controller's; tools while the node is stopped. Blocks on the disk. */
#ifndef CONTROLLER_PEERS_DIRECTORIES_H
#define CONTROLLER_PEERS_DIRECTORIES_H

#include "base/err.h"
#include "base/uuid.h"
#include "runtime/io.h"

enum { VOTER_DIRECTORIES_MAX = 16 };

struct voter_directory {
    int32_t id;
    struct uuid directory;
};

/* Of the metadata log in dir. No file: none. ERR_CORRUPT with a sentence. */
int voter_directories_read(struct io *io, const char *dir,
                           struct voter_directory out[VOTER_DIRECTORIES_MAX], size_t *n,
                           struct errmsg *em);
/* Durable when it returns 0. */
int voter_directories_write(struct io *io, const char *dir, const struct voter_directory *v,
                            size_t n, struct errmsg *em);

#endif
