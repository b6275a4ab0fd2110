/* snappy in the framing of Kafka's Java clients: 16 bytes of magic, version and least compatible
 * version, then blocks, each a big-endian int32 length and one raw snappy block. A header may come
 * again between blocks (streams one behind the other). Input that does not start with the magic is
 * one raw block. librdkafka and others write either. The versions are not looked at, as in Kafka.
 */
#include <snappy-c.h>

#include "base/assert.h"
#include "proto/compress_codec.h"

enum {
    HEADER = 16,
    BLOCK = 32 << 10,      /* raw bytes of a block that we write, as Kafka's clients do */
    BLOCK_MAX = 512 << 20, /* compressed bytes of a block that Kafka takes */
    STEP = 2 << 10, /* Kafka reads this much at a time, across blocks; a failing read is lost */
};

static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static int put_block(struct bytes in, struct buf *out)
{
    size_t n = snappy_max_compressed_length(in.len);
    if (!buf_try_reserve(out, n)) {
        return ERR_NOMEM;
    }
    snappy_status st =
        snappy_compress((const char *)in.data, in.len, (char *)out->data + out->len, &n);
    ASSERT(st == SNAPPY_OK);
    out->len += n;
    return 0;
}

int snappy_raw_put(struct bytes in, struct buf *out)
{
    return put_block(in, out);
}

static int put(int level, struct bytes in, struct buf *out)
{
    UNUSED(level);
    buf_put(out, magic, sizeof magic);
    buf_put_be32(out, 1);
    buf_put_be32(out, 1);
    for (size_t at = 0; at < in.len; at += BLOCK) {
        size_t n = in.len - at < BLOCK ? in.len - at : BLOCK;
        size_t length_at = out->len;
        buf_put_be32(out, 0);
        int rv = put_block((struct bytes){in.data + at, n}, out);
        if (rv < 0) {
            return rv;
        }
        store_be32(out->data + length_at, (uint32_t)(out->len - length_at - 4));
    }
    return 0;
}

/* One raw block. It is validated before room is made for the length that it claims. */
static int get_block(struct bytes in, size_t start, size_t limit, struct buf *out)
{
    size_t n;
    const char *data = (const char *)in.data;
    if (snappy_uncompressed_length(data, in.len, &n) != SNAPPY_OK ||
        snappy_validate_compressed_buffer(data, in.len) != SNAPPY_OK) {
        return ERR_CORRUPT;
    }
    if (n > limit - (out->len - start)) {
        return ERR_TOOBIG;
    }
    if (!buf_try_reserve(out, n ? n : 1)) {
        return ERR_NOMEM;
    }
    if (snappy_uncompress(data, in.len, (char *)out->data + out->len, &n) != SNAPPY_OK) {
        return ERR_CORRUPT;
    }
    out->len += n;
    return 0;
}

static int get_blocks(struct bytes in, size_t limit, struct buf *out)
{
    size_t start = out->len;
    if (in.len < HEADER || memcmp(in.data, magic, sizeof magic) != 0) {
        return in.len ? get_block(in, start, limit, out) : ERR_CORRUPT;
    }
    size_t at = HEADER;
    /* Fewer than four bytes at the end are ignored, as in Kafka. */
    while (in.len - at >= 4) {
        uint32_t n = load_be32(in.data + at);
        if (n == load_be32(magic)) {
            if (in.len - at < HEADER) {
                return ERR_CORRUPT;
            }
            if (memcmp(in.data + at, magic, sizeof magic) != 0) {
                return 0; /* trailing bytes */
            }
            at += HEADER;
            continue;
        }
        at += 4;
        if (n > BLOCK_MAX || n > in.len - at) {
            return ERR_CORRUPT;
        }
        int rv = get_block((struct bytes){in.data + at, n}, start, limit, out);
        if (rv < 0) {
            return rv;
        }
        at += n;
    }
    return 0;
}

static int get(struct bytes in, size_t limit, struct buf *out)
{
    size_t start = out->len;
    int rv = get_blocks(in, limit, out);
    if (rv == ERR_CORRUPT) {
        out->len -= (out->len - start) % STEP;
    }
    return rv;
}

const struct codec_ops codec_snappy = {.name = "snappy", .put = put, .get = get};
