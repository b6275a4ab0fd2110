/* Where the replicas of new partitions go (formats.md 9 of the facts): spread over racks and, in
 * each rack, over its brokers in turn, beginning at a random place; a partition's first replica is
 * on a living broker. Pure: the random numbers are the caller's. The controller and
 * `reassign-partitions --generate` both place by it, as both of Kafka do.
 *
 * Invariants: no broker twice in a partition; the first replica is not fenced; over many partitions
 * leaders and replicas are spread evenly over the living brokers of a rack, and replicas of one
 * partition lie in as many racks as there are. */
#ifndef CONTROLLER_PLACEMENT_H
#define CONTROLLER_PLACEMENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/prng.h"
#include "controller/image.h"

struct placement;

/* Over the brokers of the image, but those that leave or whose directories are all cordoned. active
 * (NULL: as the image says) tells which of them may lead now. */
typedef bool placement_active(const void *ctx, int32_t broker);
struct placement *placement_new(struct arena *a, const struct image *img, struct prng *rng,
                                placement_active *active, const void *ctx);
/* Over these brokers, for who has no image; in a rack they are taken in turn as they stand here. */
struct placement_broker {
    int32_t id;
    struct bytes rack; /* null: none */
    bool active;       /* may lead */
};
struct placement *placement_over(struct arena *a, const struct placement_broker *v, size_t n,
                                 struct prng *rng);
/* Can it place this many replicas? ERR_RANGE with a sentence. */
int placement_check(const struct placement *p, int32_t replicas, struct errmsg *em);
/* The replicas of the next partition, the leader first; replicas > 0 and placement_check is 0. */
void placement_next(struct placement *p, int32_t replicas, int32_t *out);

#endif
