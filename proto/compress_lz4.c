/* lz4 in its frame format, of which Kafka takes and writes a part: version 1, independent blocks.
 * A content size is skipped, a content checksum is not looked at, block checksums are, and bytes
 * behind the end mark are ignored. Kafka reads frames by a reader of its own with these habits, so
 * this does too (the library's would refuse some of it); blocks go to the library. */
#include <lz4.h>
#include <lz4frame.h>

#include "base/xxh32.h"
#include "proto/compress_codec.h"

enum {
    FLAG_VERSION_MASK = 0xc0,
    FLAG_VERSION_1 = 0x40,
    FLAG_INDEPENDENT = 0x20,
    FLAG_BLOCK_CHECKSUM = 0x10,
    FLAG_CONTENT_SIZE = 0x08,
    FLAG_RESERVED = 0x03,
    BD_RESERVED = 0x8f,
};
#define FRAME_MAGIC    0x184d2204u
#define BLOCK_IS_PLAIN 0x80000000u

enum { LEVEL_DEFAULT = 9 }; /* Kafka's default level means the fast compressor */

static int put(int level, struct bytes in, struct buf *out)
{
    LZ4F_preferences_t prefs = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level == LEVEL_DEFAULT ? 0 : level,
    };
    size_t bound = LZ4F_compressFrameBound(in.len, &prefs);
    if (!buf_try_reserve(out, bound)) {
        return ERR_NOMEM;
    }
    size_t n = LZ4F_compressFrame(out->data + out->len, bound, in.data, in.len, &prefs);
    if (LZ4F_isError(n)) {
        return ERR_IO;
    }
    out->len += n;
    return 0;
}

static uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

struct frame {
    size_t at;        /* behind the frame header */
    size_t block_max; /* raw bytes of a block */
    bool block_checksum;
};

static int read_header(struct bytes in, bool magic0, struct frame *f)
{
    if (in.len < 7 || load_le32(in.data) != FRAME_MAGIC) {
        return ERR_CORRUPT;
    }
    unsigned flags = in.data[4];
    unsigned bd = in.data[5];
    unsigned size_id = bd >> 4;
    if ((flags & FLAG_VERSION_MASK) != FLAG_VERSION_1 || !(flags & FLAG_INDEPENDENT) ||
        (flags & FLAG_RESERVED) || (bd & BD_RESERVED) || size_id < 4) {
        return ERR_CORRUPT;
    }
    f->block_max = (size_t)1 << (2 * size_id + 8);
    f->block_checksum = (flags & FLAG_BLOCK_CHECKSUM) != 0;
    f->at = flags & FLAG_CONTENT_SIZE ? 14 : 6;
    if (in.len <= f->at ||
        (!magic0 && in.data[f->at] != (uint8_t)(xxh32(in.data + 4, f->at - 4, 0) >> 8))) {
        return ERR_CORRUPT;
    }
    f->at++;
    return 0;
}

/* The block of n stored bytes at p. */
static int get_block(const uint8_t *p, size_t n, bool plain, size_t block_max, size_t start,
                     size_t limit, struct buf *out)
{
    /* A byte of lz4 makes at most 255: no room is made for more than that. */
    size_t most = plain ? n : (n < block_max / 255 ? n * 255 + 64 : block_max);
    most = most < block_max ? most : block_max;
    size_t left = limit - (out->len - start);
    if (!buf_try_reserve(out, most ? most : 1)) {
        return ERR_NOMEM;
    }
    long got = (long)n;
    if (plain) {
        memcpy(out->data + out->len, p, n);
    } else {
        got = LZ4_decompress_safe((const char *)p, (char *)out->data + out->len, (int)n, (int)most);
        if (got < 0) {
            return ERR_CORRUPT;
        }
    }
    if ((size_t)got > left) {
        return ERR_TOOBIG;
    }
    out->len += (size_t)got;
    return 0;
}

static int get_frame(struct bytes in, size_t limit, bool magic0, struct buf *out)
{
    struct frame f;
    size_t start = out->len;
    int rv = read_header(in, magic0, &f);
    while (rv == 0) {
        if (in.len - f.at < 4) {
            return ERR_CORRUPT;
        }
        uint32_t word = load_le32(in.data + f.at);
        bool plain = (word & BLOCK_IS_PLAIN) != 0;
        size_t n = word & ~BLOCK_IS_PLAIN;
        f.at += 4;
        if (n == 0) {
            break;
        }
        if (n > f.block_max || n > in.len - f.at) {
            return ERR_CORRUPT;
        }
        size_t before = out->len;
        rv = get_block(in.data + f.at, n, plain, f.block_max, start, limit, out);
        if (rv == 0 && f.block_checksum) {
            if (in.len - f.at - n < 4 ||
                load_le32(in.data + f.at + n) != xxh32(in.data + f.at, n, 0)) {
                out->len = before;
                return ERR_CORRUPT;
            }
            f.at += 4;
        }
        f.at += n;
        if (rv == 0 && out->len == before) {
            break; /* Kafka's reader takes an empty block for the end */
        }
    }
    return rv;
}

static int get(struct bytes in, size_t limit, struct buf *out)
{
    return get_frame(in, limit, false, out);
}

int decompress_lz4_magic0(struct bytes in, size_t limit, struct buf *out)
{
    return get_frame(in, limit, true, out);
}

const struct codec_ops codec_lz4 = {
    .name = "lz4",
    .level_least = 1,
    .level_most = 17,
    .level_default = LEVEL_DEFAULT,
    .put = put,
    .get = get,
};
