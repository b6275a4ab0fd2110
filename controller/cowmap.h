/* A map of 256 copy-on-write buckets from a byte key to a reference-counted object, the table under
 * the metadata image. Copying a map takes 256 references; changing an entry copies its bucket
 * first if another version shares it. So a version costs what it changes, not what it holds.
 *
 * Objects begin with a struct cow_obj; the map owns one reference on each of its entries. Iteration
 * order is by bucket, in it by hash and key: the same for equal contents.
 *
 * Shard: any for reading; changes by the one that builds a new version. */
#ifndef CONTROLLER_COWMAP_H
#define CONTROLLER_COWMAP_H

#include "base/bytes.h"
#include "runtime/refcount.h"

enum { COWMAP_BUCKETS = 256 };

struct cow_obj {
    struct refcount refs;
    struct bytes key;                /* part of the object */
    void (*free)(struct cow_obj *o); /* when the last reference is gone */
};

struct cow_bucket;

struct cowmap {
    struct cow_bucket *buckets[COWMAP_BUCKETS]; /* NULL: empty */
    size_t count;
};

void cow_obj_get(struct cow_obj *o);
void cow_obj_put(struct cow_obj *o);

void cowmap_copy(struct cowmap *to, const struct cowmap *from); /* to need not be initialised */
void cowmap_free(struct cowmap *m);
struct cow_obj *cowmap_get(const struct cowmap *m, struct bytes key); /* NULL when absent */
/* Takes over the caller's reference on o; replaces (and puts) an entry of the same key. */
void cowmap_put(struct cowmap *m, struct cow_obj *o);
void cowmap_remove(struct cowmap *m, struct bytes key); /* no harm when absent */

struct cowmap_iter {
    uint32_t bucket;
    uint32_t at;
};
struct cow_obj *cowmap_next(const struct cowmap *m, struct cowmap_iter *it); /* NULL at the end */

#endif
