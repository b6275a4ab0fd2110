/* bootstrap.checkpoint: the records that a new cluster begins with, in the form of a snapshot
 * (formats.md 8.4 of the facts). `storage format` writes it; the first leader of an empty metadata
 * log reads it once.
 *
 * Shard: any; blocks on the disk: start and tools only. */
#ifndef CONTROLLER_BOOTSTRAP_H
#define CONTROLLER_BOOTSTRAP_H

#include "base/arena.h"
#include "controller/format.h"

enum { BOOTSTRAP_FEATURES_MAX = 32 };

struct bootstrap_features {
    struct format_feature v[BOOTSTRAP_FEATURES_MAX]; /* metadata.version first, then by name */
    size_t n;
};

/* The features of a new cluster: the release's defaults at the metadata.version, changed by the
 * options. ERR_INVALID with a sentence for an unknown feature or level, or one that needs a higher
 * metadata.version. */
int bootstrap_choose(const struct format_options *opt, struct bootstrap_features *out,
                     struct errmsg *em);
/* The file's bytes. */
void bootstrap_encode(const struct bootstrap_features *f, int64_t now_ms, struct buf *out);
/* The bytes of the metadata log's first snapshot (offset 0), which under kraft.version 1 names the
 * voters: this node alone. */
void bootstrap_encode_voter(int32_t node_id, struct uuid directory_id,
                            const struct format_voter *voter, int64_t now_ms, struct buf *out);

/* The framed records of the file in dir; those of the release's defaults when there is none.
 * ERR_CORRUPT with a sentence. */
int bootstrap_read(struct io *io, const char *dir, struct arena *a, struct bytes **records,
                   size_t *n, struct errmsg *em);

#endif
