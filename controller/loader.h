/* From the stream of `__cluster_metadata-0` (record batches by Fetch, or a snapshot) to image
 * versions. Both ends use it: the controller for what it commits, every broker for what it fetches.
 *
 *     loader_feed(batches) ...  -> loader_publish() gives (old, new, delta) if anything changed
 *     loader_snapshot_begin, loader_snapshot_feed ..., loader_snapshot_end -> the same
 *
 * Control batches and records of unknown but harmless types are passed over; a metadata transaction
 * (Begin ... End) is held back until its end and dropped on Abort.
 *
 * Failure modes: ERR_CORRUPT for a broken batch (CRC, counts), a record that does not decode or
 * contradicts the image, an offset that is not the next one. The loader is then unusable: the owner
 * says so and stops the node (metadata that cannot be read must not be served).
 *
 * Shard: the owner's. */
#ifndef CONTROLLER_LOADER_H
#define CONTROLLER_LOADER_H

#include "controller/image.h"

struct loader;

struct loader *loader_new(void);
void loader_free(struct loader *l);
/* Goes on from img (a reference is taken), whose state is that of all below next_offset; whatever
 * was fed and not published is dropped. Mends a failed loader. */
void loader_reset(struct loader *l, struct image *img, int64_t next_offset, int32_t epoch);
/* Whole batches, which must begin at loader_next_offset. */
int loader_feed(struct loader *l, struct bytes batches, struct errmsg *em);
int64_t loader_next_offset(const struct loader *l); /* the offset to fetch next; 0 at first */
int32_t loader_last_epoch(const struct loader *l);  /* leader epoch of the last batch, -1 none */
bool loader_in_transaction(const struct loader *l); /* Begin without its End so far */
/* If records came since the last publish (outside of an open transaction): makes the new version,
 * gives the caller a reference on the delta (which holds both versions) and returns true. */
bool loader_publish(struct loader *l, struct image_delta **delta);
struct image *loader_image(const struct loader *l); /* the last published one; no new reference */

/* A snapshot of all below end_offset, in order and in pieces of any size. end: verifies that the
 * footer came, replaces the state, and the next feed starts at end_offset. */
void loader_snapshot_begin(struct loader *l, int64_t end_offset, int32_t epoch);
int loader_snapshot_feed(struct loader *l, struct bytes piece, struct errmsg *em);
int loader_snapshot_end(struct loader *l, struct errmsg *em);
void loader_snapshot_abandon(struct loader *l);

#endif
