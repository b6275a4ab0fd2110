/* Private to compress*.c: one row of the codec table. */
#ifndef PROTO_COMPRESS_CODEC_H
#define PROTO_COMPRESS_CODEC_H

#include "proto/compress.h"

enum {
    CODEC_READ = 16 << 10, /* Kafka takes decompressed bytes in reads of this many; what a read that
                              fails has produced is lost, so we keep the same steps */
};

struct codec_ops {
    const char *name;
    int level_least; /* 0, 0, 0: has no levels */
    int level_most;
    int level_default;
    /* Both append to out; put may leave part of its output there on error. */
    int (*put)(int level, struct bytes in, struct buf *out);
    int (*get)(struct bytes in, size_t limit, struct buf *out);
};

extern const struct codec_ops codec_gzip;
extern const struct codec_ops codec_snappy;
extern const struct codec_ops codec_lz4;
extern const struct codec_ops codec_zstd;

/* Room behind out->len for up to `want` bytes without passing start + limit. Returns the room (at
 * most want), 0 at the limit, ERR_NOMEM. */
long codec_room(struct buf *out, size_t start, size_t limit, size_t want);

#endif
