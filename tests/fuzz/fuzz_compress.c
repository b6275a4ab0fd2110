/* Input: two bytes of choices, then a stream. The first modulo 6 is the codec (5: lz4 of magic 0),
 * its top bit says that the rest is packed first; the second chooses the limit.
 *
 * Demanded: never more than the limit, and no memory beyond a small multiple of it; a larger limit
 * gives the same bytes; one byte less is ERR_TOOBIG; what was packed comes back. */
#include "base/assert.h"
#include "proto/compress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LZ4_MAGIC0 = CODEC_COUNT, LIMIT = 1 << 20, SLACK = 128 << 10 };

static int unpack(unsigned codec, struct bytes in, size_t limit, struct buf *out)
{
    buf_put_u8(out, 'x'); /* what stands in front stays */
    int rv = codec == LZ4_MAGIC0 ? decompress_lz4_magic0(in, limit, out)
                                 : decompress_put((enum codec)codec, in, limit, out);
    ASSERT(rv <= 0 && out->len >= 1 && out->len - 1 <= limit && out->data[0] == 'x');
    /* At most a doubling, and one read or block beyond the limit. */
    ASSERT(out->cap <= 2 * (limit + SLACK) || out->cap <= 2 * (in.len * 255 + SLACK));
    return rv;
}

static void pack_and_back(unsigned codec, struct bytes in)
{
    struct buf packed = {0};
    struct buf back = {0};
    int rv = compress_put((enum codec)codec, CODEC_LEVEL_DEFAULT, in, &packed);
    ASSERT(rv == 0);
    rv = unpack(codec, buf_bytes(&packed), in.len, &back);
    ASSERT(rv == 0 && bytes_eq(bytes_of(back.data + 1, back.len - 1), in));
    buf_free(&packed);
    buf_free(&back);
}

static void unpack_bounded(unsigned codec, uint8_t choice, struct bytes in)
{
    struct buf whole = {0};
    struct buf part = {0};
    int rv = unpack(codec, in, LIMIT, &whole);
    size_t n = whole.len - 1;
    size_t limit = choice == 255 ? n : n * choice / 256;
    int less = unpack(codec, in, limit, &part);
    ASSERT(part.len <= whole.len && memcmp(part.data, whole.data, part.len) == 0);
    ASSERT(rv != 0 || (less == (limit < n ? ERR_TOOBIG : 0)));
    ASSERT(limit < n || rv != 0 || part.len == whole.len);
    if (rv == 0 && codec < CODEC_COUNT && choice % 8 == 0) {
        pack_and_back(codec, bytes_of(whole.data + 1, n));
    }
    buf_free(&whole);
    buf_free(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    unsigned codec = (data[0] & 127u) % (CODEC_COUNT + 1);
    struct bytes in = bytes_of(data + 2, size - 2);
    if (data[0] & 128) {
        pack_and_back(codec % CODEC_COUNT, in);
    } else {
        unpack_bounded(codec, data[1], in);
    }
    return 0;
}
