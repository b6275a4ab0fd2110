#include "proto/compress.h"

#include "base/assert.h"
#include "proto/compress_codec.h"

static int none_put(int level, struct bytes in, struct buf *out)
{
    UNUSED(level);
    if (!buf_try_reserve(out, in.len)) {
        return ERR_NOMEM;
    }
    buf_put(out, in.data, in.len);
    return 0;
}

static int none_get(struct bytes in, size_t limit, struct buf *out)
{
    size_t n = in.len < limit ? in.len : limit;
    if (!buf_try_reserve(out, n)) {
        return ERR_NOMEM;
    }
    buf_put(out, in.data, n);
    return n < in.len ? ERR_TOOBIG : 0;
}

static const struct codec_ops codec_none = {.name = "none", .put = none_put, .get = none_get};

static const struct codec_ops *ops_of(enum codec codec)
{
    switch (codec) {
    case CODEC_NONE:
        return &codec_none;
    case CODEC_GZIP:
        return &codec_gzip;
    case CODEC_SNAPPY:
        return &codec_snappy;
    case CODEC_LZ4:
        return &codec_lz4;
    case CODEC_ZSTD:
        return &codec_zstd;
    }
    return NULL;
}

long codec_room(struct buf *out, size_t start, size_t limit, size_t want)
{
    size_t used = out->len - start;
    size_t room = limit - used < want ? limit - used : want;
    ASSERT(used <= limit && room <= LONG_MAX);
    if (!buf_try_reserve(out, room)) {
        return ERR_NOMEM;
    }
    return (long)room;
}

const char *codec_name(enum codec codec)
{
    const struct codec_ops *ops = ops_of(codec);
    return ops ? ops->name : "unknown";
}

int codec_from_name(struct bytes name)
{
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (bytes_eq_str(name, codec_name((enum codec)i))) {
            return i;
        }
    }
    return bytes_eq_str(name, "uncompressed") ? (int)CODEC_NONE : ERR_INVALID;
}

int codec_levels(enum codec codec, int *least, int *most, int *fallback)
{
    const struct codec_ops *ops = ops_of(codec);
    if (ops == NULL || ops->level_least == ops->level_most) {
        return ERR_UNSUPPORTED;
    }
    *least = ops->level_least;
    *most = ops->level_most;
    *fallback = ops->level_default;
    return 0;
}

int compress_put(enum codec codec, int level, struct bytes in, struct buf *out)
{
    const struct codec_ops *ops = ops_of(codec);
    size_t before = out->len;
    if (ops == NULL) {
        return ERR_UNSUPPORTED;
    }
    if (in.len > INT_MAX) {
        return ERR_TOOBIG;
    }
    if (level == CODEC_LEVEL_DEFAULT || level == ops->level_default) {
        level = ops->level_default;
    } else if (level < ops->level_least) {
        level = ops->level_least;
    } else if (level > ops->level_most) {
        level = ops->level_most;
    }
    int rv = ops->put(level, in, out);
    if (rv < 0) {
        out->len = before;
    }
    return rv;
}

int decompress_put(enum codec codec, struct bytes in, size_t limit, struct buf *out)
{
    const struct codec_ops *ops = ops_of(codec);
    size_t before = out->len;
    if (ops == NULL) {
        return ERR_UNSUPPORTED;
    }
    int rv = ops->get(in, limit, out);
    ASSERT(out->len - before <= limit);
    return rv;
}
