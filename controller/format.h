/* Log directories before a node runs on them: meta.properties and bootstrap.checkpoint, as `storage
 * format` writes them and every start reads them (formats.md 1.1 and 8.4 of the facts).
 *
 * Formatting a directory: bootstrap.checkpoint first, then meta.properties by write, fsync, rename;
 * so a directory with meta.properties is whole, one with other files of ours and none is
 * half-formatted and refused with a sentence (format again with the same options).
 *
 * Shard: any; blocks on the disk: start and tools only. */
#ifndef CONTROLLER_FORMAT_H
#define CONTROLLER_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "runtime/io.h"

struct format_meta { /* one directory's meta.properties */
    char cluster_id[128];
    int32_t node_id;
    struct uuid directory_id;
};

struct format_feature {
    const char *name;
    int16_t level;
};

/* A node that is the only voter of a quorum whose voters may change (kraft.version 1): how the
 * others would reach it. */
struct format_voter {
    const char *listener;
    const char *host;
    uint16_t port;
    struct uuid directory_id; /* of the metadata log's directory; zero: a random one */
};

struct format_options {
    const char *cluster_id;
    int32_t node_id;
    int16_t metadata_version; /* level; 0: the newest production one */
    const struct format_feature
        *features; /* --feature, over the defaults of the metadata.version */
    size_t features_n;
    bool ignore_formatted;
    const struct format_voter *voter; /* NULL: voters are those of controller.quorum.voters */
};

/* meta.properties of dir. ERR_NOTFOUND: the directory or the file is absent; ERR_CORRUPT with a
 * sentence for a broken, foreign (version 0 or broker.id) or newer file. */
int format_read_meta(struct io *io, const char *dir, struct format_meta *out, struct errmsg *em);
int format_write_meta(struct io *io, const char *dir, const struct format_meta *m,
                      struct errmsg *em);

/* Reads all directories of a node and checks them against each other and against node_id: the same
 * cluster id, the right node id, different directory ids. metas[i] belongs to dirs[i]. missing (may
 * be NULL) gets the number of directories without meta.properties (a new, empty disk: allowed if at
 * least one other has it; metas[i].directory_id is then zero and format_dir fills it). */
int format_load(struct io *io, const char *const *dirs, size_t n, int32_t node_id,
                struct format_meta *metas, size_t *missing, struct errmsg *em);
/* An unformatted directory must hold nothing that is somebody's: ERR_CONFLICT with a sentence.
 * ERR_NOTFOUND: it is absent. */
int format_check_empty(struct io *io, const char *dir, struct errmsg *em);
/* Formats every directory (bootstrap.checkpoint in the first, or in metadata_dir if given).
 * ERR_EXISTS if one is formatted already and ignore_formatted is not set. Says what it did in lines
 * through say (may be NULL). */
int format_dirs(struct io *io, const char *const *dirs, size_t n, const char *metadata_dir,
                const struct format_options *opt, void (*say)(void *ctx, const char *line),
                void *ctx, struct errmsg *em);
/* The zero-configuration node: formats dir with a random cluster id if it is absent or empty; reads
 * it otherwise. *formatted tells which. */
int format_auto(struct io *io, const char *dir, int32_t node_id, struct format_meta *out,
                bool *formatted, struct errmsg *em);
/* A new random uuid. */
struct uuid format_random_uuid(struct io *io);

/* Levels by the release's table: 0 if a name ("4.3-IV0", "4.3") is unknown. */
int16_t format_metadata_version(const char *release);
/* The level that a new cluster gets. */
int16_t format_newest_release(void);

#endif
