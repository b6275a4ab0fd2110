/* Log directories in which replicas are to be made that this broker does not have yet, as an
 * administrator wanted it (AlterReplicaLogDirs, KIP-113): by the name of the partition, since the
 * topic need not exist. In memory only, as in Kafka, and at most DIR_WANTED_MAX of them: anybody
 * may send them.
 *
 * Whoever makes a log takes its note. A note of a topic that did not exist is on all shards, one of
 * which will be the partition's home; the others forget it when the topic comes.
 *
 * Shard: each its own. */
#ifndef BROKER_DIR_WANTED_H
#define BROKER_DIR_WANTED_H

#include "base/bytes.h"
#include "base/map.h"

enum { DIR_WANTED_MAX = 10000 };

struct dir_wanted {
    struct map by_name; /* "TOPIC-N" -> struct wanted_dir */
};

/* secret: names are chosen by peers. */
void dir_wanted_init(struct dir_wanted *w, const struct siphash_key *secret);
void dir_wanted_set(struct dir_wanted *w, struct bytes topic, int32_t index, unsigned dir);
/* -1: none. The note is gone. */
int dir_wanted_take(struct dir_wanted *w, struct bytes topic, int32_t index);
void dir_wanted_free(struct dir_wanted *w);

#endif
