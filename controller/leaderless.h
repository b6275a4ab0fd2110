/* Why a partition has no leader: those that could be one without losing a record (its ISR, or its
 * ELR when that is empty), and what keeps each of them from it. For the log of the controller and
 * for /why; the election itself is partition_change.c's. Pure.
 *
 * Shard: any. */
#ifndef CONTROLLER_LEADERLESS_H
#define CONTROLLER_LEADERLESS_H

#include "controller/image.h"
#include "controller/sessions.h"

/* Does the directory of a replica on this broker work, as far as the broker has said? */
bool replica_directory_works(const struct image_broker *b, struct uuid dir);
/* In a word or two; NULL: nothing does. sessions may be NULL: only the active controller has them.
 */
const char *leaderless_hindrance(const struct image *img, const struct sessions *sessions,
                                 const struct image_partition *p, int32_t id);
/* Appends "2 (fenced), 3 (its directory does not work)"; "none" of no ids. */
void leaderless_put(struct buf *out, const struct image *img, const struct sessions *sessions,
                    const struct image_partition *p, const int32_t *ids, uint32_t n);

#endif
