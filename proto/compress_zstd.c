/* zstd frames by the library's streaming interface. Frames may stand one behind the other; anything
 * else behind a frame is an error, as in Kafka.
 *
 * The library sets its window aside by the size that the frame header names, at most 128 MiB (its
 * own bound, and Kafka's): address space only, which the kernel backs as real bytes fill it. */
#include <zstd.h>

#include "proto/compress_codec.h"

enum { LEVEL_LEAST = -131072, LEVEL_MOST = 22, LEVEL_DEFAULT = 3 };

static int put(int level, struct bytes in, struct buf *out)
{
    size_t bound = ZSTD_compressBound(in.len);
    if (!buf_try_reserve(out, bound)) {
        return ERR_NOMEM;
    }
    size_t n = ZSTD_compress(out->data + out->len, bound, in.data, in.len, level);
    if (ZSTD_isError(n)) {
        return ERR_NOMEM;
    }
    out->len += n;
    return 0;
}

/* One read of up to CODEC_READ bytes; a failing one leaves out as it was. *hint is the library's
 * word on what is missing: 0 when a frame has ended. */
static int read_some(ZSTD_DCtx *d, ZSTD_inBuffer *src, size_t start, size_t limit, size_t *hint,
                     struct buf *out)
{
    long room = codec_room(out, start, limit, CODEC_READ);
    if (room < 0) {
        return (int)room;
    }
    uint8_t spare; /* at the limit: tells whether more would come */
    ZSTD_outBuffer dst = {room ? out->data + out->len : &spare, room ? (size_t)room : 1, 0};
    while (dst.pos < dst.size) {
        size_t in_before = src->pos;
        size_t out_before = dst.pos;
        *hint = ZSTD_decompressStream(d, &dst, src);
        if (ZSTD_isError(*hint)) {
            return ERR_CORRUPT;
        }
        if (*hint == 0 || (src->pos == in_before && dst.pos == out_before)) {
            break;
        }
    }
    if (room == 0 && dst.pos) {
        return ERR_TOOBIG;
    }
    out->len += dst.pos;
    if (*hint != 0 && dst.pos == 0 && src->pos == src->size) {
        return ERR_CORRUPT; /* the stream ends inside a frame */
    }
    return 0;
}

static int get(struct bytes in, size_t limit, struct buf *out)
{
    size_t start = out->len;
    if (in.len == 0) {
        return ERR_CORRUPT;
    }
    ZSTD_DCtx *d = ZSTD_createDCtx();
    if (d == NULL) {
        return ERR_NOMEM;
    }
    ZSTD_inBuffer src = {in.data, in.len, 0};
    size_t hint = 1;
    int rv = 0;
    while (rv == 0 && !(hint == 0 && src.pos == src.size)) {
        rv = read_some(d, &src, start, limit, &hint, out);
    }
    ZSTD_freeDCtx(d);
    return rv;
}

const struct codec_ops codec_zstd = {
    .name = "zstd",
    .level_least = LEVEL_LEAST,
    .level_most = LEVEL_MOST,
    .level_default = LEVEL_DEFAULT,
    .put = put,
    .get = get,
};
