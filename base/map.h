/* A hash map from a byte key to a pointer: open addressing, linear probing, backward-shift
 * deletion. Keys are not copied: the key's bytes must live as long as the entry (usually they are a
 * field of the value). Iteration order is that of the table and depends only on keys and history,
 * never on addresses, so the simulator stays deterministic.
 *
 * A table whose keys a peer chooses gets a secret: struct map seen = {.secret = &ns->map_secret};
 * else a peer that sends keys of one hash makes every look-up a walk. Zero is a map without one. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"
#include "base/siphash.h"

struct map_slot {
    struct bytes key;
    void *value; /* NULL: free slot */
    uint32_t hash;
};

struct map {
    struct map_slot *slots;
    size_t cap; /* power of two, or 0 */
    size_t count;
    const struct siphash_key *secret; /* NULL: plain hash */
};

void *map_get(const struct map *m, struct bytes key); /* NULL when absent */
void *map_put(struct map *m, struct bytes key,
              void *value);                        /* the value that was there before, or NULL */
void *map_remove(struct map *m, struct bytes key); /* the value, or NULL */
void map_free(struct map *m);

/* Visits every entry; the map must not change inside the loop. */
#define map_for_each(slot, m)                                                                      \
    for (struct map_slot *slot = (m)->slots; slot != NULL && slot < (m)->slots + (m)->cap; slot++) \
        if (slot->value != NULL)

uint64_t bytes_hash(struct bytes b); /* FNV-1a with a final mix; not for hostile keys */

#endif
