/* gzip by zlib. The member headers are read here, not by zlib: Kafka takes members one behind the
 * other, and takes what only looks like another member for trailing bytes, which it ignores.
 *
 * Kafka feeds its inflater in pieces of 8 KiB and reads 16 KiB at a time. A step that fails loses
 * what it produced, and whether a broken batch shows as a bad record or as a bad stream depends on
 * it; hence the same steps here. */
#include <zlib.h>

#include "proto/compress_codec.h"

enum { FEED = 8 << 10, TRAILER = 8, MEMBER_LEAST = 18 };
enum { FHCRC = 2, FEXTRA = 4, FNAME = 8, FCOMMENT = 16 };

static int put(int level, struct bytes in, struct buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, level, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return ERR_NOMEM;
    }
    size_t bound = deflateBound(&z, in.len);
    int rv = ERR_NOMEM;
    if (!buf_try_reserve(out, bound)) {
        goto err_after_init;
    }
    z.next_in = (Bytef *)(uintptr_t)in.data;
    z.avail_in = (uInt)in.len;
    z.next_out = out->data + out->len;
    z.avail_out = (uInt)bound;
    rv = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : ERR_IO;
    out->len += bound - z.avail_out;
err_after_init:
    deflateEnd(&z);
    return rv;
}

/* Skips a field that ends in NUL. */
static size_t skip_text(struct bytes in, size_t at)
{
    while (at < in.len && in.data[at] != 0) {
        at++;
    }
    return at + 1;
}

/* Bytes of the member header at the front of in, or ERR_CORRUPT. */
static long header_size(struct bytes in)
{
    if (in.len < 10 || in.data[0] != 0x1f || in.data[1] != 0x8b || in.data[2] != Z_DEFLATED) {
        return ERR_CORRUPT;
    }
    unsigned flags = in.data[3];
    size_t at = 10;
    if (flags & FEXTRA) {
        at += in.len < at + 2 ? 2 : 2 + (size_t)(in.data[at] | in.data[at + 1] << 8);
    }
    if (flags & FNAME) {
        at = skip_text(in, at);
    }
    if (flags & FCOMMENT) {
        at = skip_text(in, at);
    }
    if (flags & FHCRC) {
        if (in.len < at + 2 ||
            (crc32(0, in.data, (uInt)at) & 0xffff) != (uLong)(in.data[at] | in.data[at + 1] << 8)) {
            return ERR_CORRUPT;
        }
        at += 2;
    }
    return at <= in.len ? (long)at : ERR_CORRUPT;
}

uint32_t crc32_ieee(struct bytes in)
{
    return (uint32_t)crc32_z(0, in.len ? in.data : (const uint8_t *)"", in.len);
}

static uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Inflates one member's data from *at on; *at is then behind its last byte, *fed_to behind the last
 * piece that was fed. */
static int inflate_member(z_stream *z, struct bytes in, size_t *at, size_t *fed_to, size_t start,
                          size_t limit, struct buf *out)
{
    size_t member = out->len;
    for (;;) {
        if (*at == *fed_to) {
            *fed_to += in.len - *at < FEED ? in.len - *at : FEED;
        }
        long room = codec_room(out, start, limit, CODEC_READ);
        if (room < 0) {
            return (int)room;
        }
        uint8_t spare; /* at the limit: one byte of room tells whether more would come */
        z->next_in = (Bytef *)(uintptr_t)in.data + *at;
        z->avail_in = (uInt)(*fed_to - *at);
        z->next_out = room ? out->data + out->len : &spare;
        z->avail_out = room ? (uInt)room : 1;
        uInt offered = z->avail_out;
        int zr = inflate(z, Z_SYNC_FLUSH);
        if (zr != Z_OK && zr != Z_STREAM_END && zr != Z_BUF_ERROR) {
            return zr == Z_MEM_ERROR ? ERR_NOMEM : ERR_CORRUPT;
        }
        size_t produced = offered - z->avail_out;
        if (room == 0 && produced) {
            return ERR_TOOBIG;
        }
        out->len += produced;
        *at = *fed_to - z->avail_in;
        if (zr == Z_STREAM_END) {
            break;
        }
        if (produced == 0 && *at == in.len) {
            return ERR_TRUNCATED;
        }
    }
    if (in.len - *at < TRAILER) {
        return ERR_TRUNCATED;
    }
    struct bytes data = {out->data + member, out->len - member};
    if (load_le32(in.data + *at) != crc32_ieee(data) ||
        load_le32(in.data + *at + 4) != (uint32_t)data.len) {
        return ERR_CORRUPT;
    }
    return 0;
}

static int get(struct bytes in, size_t limit, struct buf *out)
{
    size_t start = out->len;
    long header = header_size(in);
    if (header < 0) {
        return ERR_CORRUPT;
    }
    z_stream z = {0};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) {
        return ERR_NOMEM;
    }
    size_t at = (size_t)header;
    size_t fed_to = at;
    int rv = 0;
    while (rv == 0) {
        rv = inflate_member(&z, in, &at, &fed_to, start, limit, out);
        if (rv < 0) {
            break;
        }
        /* Another member? Kafka looks only if there is room for one. */
        bool more = in.len > fed_to || fed_to - at > TRAILER + MEMBER_LEAST;
        at += TRAILER;
        header = more ? header_size((struct bytes){in.data + at, in.len - at}) : ERR_CORRUPT;
        if (header < 0) {
            break;
        }
        at += (size_t)header;
        fed_to = fed_to < at ? at : fed_to;
        inflateReset(&z);
    }
    inflateEnd(&z);
    return rv;
}

const struct codec_ops codec_gzip = {
    .name = "gzip",
    .level_least = 1,
    .level_most = Z_BEST_COMPRESSION,
    .level_default = Z_DEFAULT_COMPRESSION,
    .put = put,
    .get = get,
};
