/* zstd frames by the library's streaming interface. Frames may stand one behind the other; anything
 * else behind a frame is an error, as in Kafka (but see read_some).
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

struct stream {
    ZSTD_DCtx *d;
    ZSTD_inBuffer src;   /* size: end of the piece that is being fed */
    size_t len;          /* of the whole input */
    bool need_input;     /* the next step starts with another piece */
    bool frame_finished; /* a frame has ended since the last piece came */
    bool end;
};

/* One read of up to CODEC_READ bytes; a failing one leaves out as it was. Kafka's reader feeds
 * pieces of ZSTD_DStreamInSize bytes, and a frame that is cut off in the piece in which another
 * ended passes for the end there; so does an input without a byte. */
static int read_some(struct stream *s, size_t start, size_t limit, struct buf *out)
{
    long room = codec_room(out, start, limit, CODEC_READ);
    if (room < 0) {
        return (int)room;
    }
    uint8_t spare; /* at the limit: tells whether more would come */
    ZSTD_outBuffer dst = {room ? out->data + out->len : &spare, room ? (size_t)room : 1, 0};
    bool progress = true;
    while (dst.pos < dst.size && progress) {
        size_t left = s->len - s->src.size;
        if (s->need_input && (left || dst.pos == 0)) {
            if (left == 0) {
                s->end = true;
                return s->frame_finished ? 0 : ERR_CORRUPT;
            }
            s->src.size += left < ZSTD_DStreamInSize() ? left : ZSTD_DStreamInSize();
            s->frame_finished = false;
        }
        size_t before = dst.pos;
        size_t hint = ZSTD_decompressStream(s->d, &dst, &s->src);
        if (ZSTD_isError(hint)) {
            return ERR_CORRUPT;
        }
        if (hint == 0) {
            s->frame_finished = true;
            s->need_input = s->src.pos == s->src.size;
            break;
        }
        s->need_input = dst.pos < dst.size;
        progress = dst.pos > before;
    }
    if (room == 0 && dst.pos) {
        return ERR_TOOBIG;
    }
    out->len += dst.pos;
    return 0;
}

static int get(struct bytes in, size_t limit, struct buf *out)
{
    size_t start = out->len;
    struct stream s = {.d = ZSTD_createDCtx(),
                       .src = {in.data, 0, 0},
                       .len = in.len,
                       .need_input = true,
                       .frame_finished = true};
    if (s.d == NULL) {
        return ERR_NOMEM;
    }
    int rv = 0;
    while (rv == 0 && !s.end) {
        rv = read_some(&s, start, limit, out);
    }
    ZSTD_freeDCtx(s.d);
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
