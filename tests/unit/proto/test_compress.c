/* The codecs: what goes in comes out, what is broken is refused for the right reason, and no
 * stream makes more bytes than its caller allows. Frames are made here by hand where a compressor
 * would not make them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/xxh32.h"
#include "proto/compress.h"

#define NO_LIMIT ((size_t)1 << 30)

/* Half text, half noise, so that blocks of both kinds arise. */
static void make_input(struct buf *b, size_t n, uint64_t seed)
{
    struct prng r;
    prng_seed(&r, seed);
    while (b->len < n) {
        if (prng_below(&r, 2)) {
            buf_printf(b, "record number %u of a topic;", (unsigned)prng_below(&r, 50));
        } else {
            buf_put_be64(b, prng_next(&r));
        }
    }
    b->len = n;
}

static void compress(enum codec codec, struct bytes in, struct buf *out)
{
    assert_int_equal(compress_put(codec, CODEC_LEVEL_DEFAULT, in, out), 0);
}

/* Takes `in` under `limit` and demands err; what came out is left in *out. */
static void expect(enum codec codec, struct bytes in, size_t limit, int err, struct buf *out)
{
    buf_clear(out);
    int got = decompress_put(codec, in, limit, out);
    if (got != err) {
        fail_msg("%s: %d, not %d", codec_name(codec), got, err);
    }
    assert_true(out->len <= limit);
}

static void every_size_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     7,     100,   2048,  8192,  16383,
                                   16384, 16385, 32768, 32769, 65536, 65537, 300000};
    for (unsigned c = 0; c < CODEC_COUNT; c++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            struct buf in = {0};
            struct buf packed = {0};
            struct buf back = {0};
            make_input(&in, sizes[i], i + 1);
            buf_put_str(&packed, "before");
            compress((enum codec)c, buf_bytes(&in), &packed);
            assert_memory_equal(packed.data, "before", 6);
            buf_put_str(&back, "kept");
            struct bytes body = bytes_of(packed.data + 6, packed.len - 6);
            assert_int_equal(decompress_put((enum codec)c, body, sizes[i], &back), 0);
            assert_int_equal(back.len, sizes[i] + 4);
            assert_memory_equal(back.data, "kept", 4);
            assert_memory_equal(back.data + 4, buf_bytes(&in).data, sizes[i]);
            buf_free(&in);
            buf_free(&packed);
            buf_free(&back);
        }
    }
}

static void levels_are_those_of_kafka(void **state)
{
    (void)state;
    static const struct {
        enum codec codec;
        int err, least, most, fallback;
    } rows[] = {{CODEC_NONE, ERR_UNSUPPORTED, 0, 0, 0},
                {CODEC_GZIP, 0, 1, 9, -1},
                {CODEC_SNAPPY, ERR_UNSUPPORTED, 0, 0, 0},
                {CODEC_LZ4, 0, 1, 17, 9},
                {CODEC_ZSTD, 0, -131072, 22, 3}};
    struct buf in = {0};
    struct buf out = {0};
    make_input(&in, 20000, 5);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int least = 0;
        int most = 0;
        int fallback = 0;
        assert_int_equal(codec_levels(rows[i].codec, &least, &most, &fallback), rows[i].err);
        assert_int_equal(least, rows[i].least);
        assert_int_equal(most, rows[i].most);
        assert_int_equal(fallback, rows[i].fallback);
        const int tried[] = {rows[i].least, rows[i].most, -1, 1000, -1000000};
        for (size_t k = 0; k < ARRAY_LEN(tried); k++) { /* beyond the range: clamped */
            struct buf packed = {0};
            assert_int_equal(compress_put(rows[i].codec, tried[k], buf_bytes(&in), &packed), 0);
            expect(rows[i].codec, buf_bytes(&packed), NO_LIMIT, 0, &out);
            assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&in)));
            buf_free(&packed);
        }
    }
    buf_free(&in);
    buf_free(&out);
}

static void names(void **state)
{
    (void)state;
    static const char *const name[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (int c = 0; c < CODEC_COUNT; c++) {
        assert_string_equal(codec_name((enum codec)c), name[c]);
        assert_int_equal(codec_from_name(bytes_str(name[c])), c);
    }
    assert_int_equal(codec_from_name(bytes_str("uncompressed")), CODEC_NONE);
    static const char *const no[] = {"", "GZIP", "producer", "zstd ", "unknown", "lz"};
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_int_equal(codec_from_name(bytes_str(no[i])), ERR_INVALID);
    }
    assert_int_equal(codec_from_name(BYTES_NULL), ERR_INVALID);
    for (unsigned id = 0; id < 8; id++) {
        assert_int_equal(codec_valid(id), id < 5);
    }
}

/* At the limit itself it passes, one below it does not; the bytes that came fit the limit. */
static void output_is_bounded(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 1000, 16384, 32768, 65535, 65536, 99999};
    struct buf in = {0};
    struct buf out = {0};
    make_input(&in, 100000, 6);
    for (unsigned c = 0; c < CODEC_COUNT; c++) {
        struct buf packed = {0};
        compress((enum codec)c, buf_bytes(&in), &packed);
        expect((enum codec)c, buf_bytes(&packed), 100000, 0, &out);
        for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
            expect((enum codec)c, buf_bytes(&packed), limits[i], ERR_TOOBIG, &out);
            assert_memory_equal(buf_bytes(&out).data, in.data, out.len);
        }
        buf_free(&packed);
    }
    buf_free(&in);
    buf_free(&out);
}

/* Zeroes pack a thousandfold and more: memory must follow the limit, not the stream. */
static void bombs_are_cut_off(void **state)
{
    (void)state;
    enum { BOMB = 64 << 20, LIMIT = 1 << 20 };
    struct buf in = {0};
    buf_reserve(&in, BOMB);
    memset(in.data, 0, BOMB);
    in.len = BOMB;
    for (unsigned c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        struct buf packed = {0};
        struct buf out = {0};
        compress((enum codec)c, buf_bytes(&in), &packed);
        assert_true(packed.len < BOMB / 10);
        expect((enum codec)c, buf_bytes(&packed), LIMIT, ERR_TOOBIG, &out);
        assert_true(out.cap <= 4 * LIMIT);
        buf_free(&packed);
        buf_free(&out);
    }
    buf_free(&in);
}

/* A header may claim any size; nothing is set aside for it. */
static void claims_are_not_believed(void **state)
{
    (void)state;
    struct buf out = {0};
    struct buf s = {0};
    /* A raw snappy block that claims 4 GiB - 1 and holds one letter. */
    buf_put(&s, "\xff\xff\xff\xff\x0f\x00x", 7);
    expect(CODEC_SNAPPY, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);
    assert_true(out.cap < 4096);
    /* A zstd frame header with a content size of 2^62 and no blocks. */
    buf_clear(&s);
    buf_put(&s, "\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x40", 13);
    expect(CODEC_ZSTD, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);
    assert_true(out.cap < 65536);
    buf_free(&s);
    buf_free(&out);
}

/* Every cut of a stream is refused, except where Kafka takes the part for a whole. */
static void cut_streams_are_refused(void **state)
{
    (void)state;
    struct buf in = {0};
    struct buf out = {0};
    make_input(&in, 3000, 7);
    for (unsigned c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        struct buf packed = {0};
        compress((enum codec)c, buf_bytes(&in), &packed);
        for (size_t cut = 0; cut < packed.len; cut++) {
            buf_clear(&out);
            int err = decompress_put((enum codec)c, bytes_of(packed.data, cut), NO_LIMIT, &out);
            /* snappy: a header without blocks, and up to three bytes behind it. zstd: nothing at
             * all is an empty stream. */
            bool whole = (c == CODEC_SNAPPY && cut >= 16 && cut < 20) || (c == CODEC_ZSTD && !cut);
            if (whole ? err != 0 : err != ERR_CORRUPT && err != ERR_TRUNCATED) {
                fail_msg("%s cut to %zu of %zu: %d", codec_name((enum codec)c), cut, packed.len,
                         err);
            }
            assert_true(out.len <= in.len);
            assert_memory_equal(buf_bytes(&out).data, in.data, out.len);
        }
        buf_free(&packed);
    }
    buf_free(&in);
    buf_free(&out);
}

static void trailing_bytes(void **state)
{
    (void)state;
    static const struct {
        enum codec codec;
        const char *tail;
        size_t len;
        int err;
    } rows[] = {
        {CODEC_GZIP, "junk behind the stream", 22, 0},
        {CODEC_GZIP, "\x1f\x8b\x08", 3, 0}, /* the start of another member only */
        {CODEC_SNAPPY, "\0\0", 2, 0},
        {CODEC_SNAPPY, "\0\0\0\x05x", 5, ERR_CORRUPT}, /* a block is announced */
        {CODEC_LZ4, "junk", 4, 0},
        {CODEC_ZSTD, "junk", 4, ERR_CORRUPT},
    };
    struct buf in = {0};
    struct buf out = {0};
    make_input(&in, 5000, 8);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf packed = {0};
        compress(rows[i].codec, buf_bytes(&in), &packed);
        buf_put(&packed, rows[i].tail, rows[i].len);
        expect(rows[i].codec, buf_bytes(&packed), NO_LIMIT, rows[i].err, &out);
        if (rows[i].err == 0) {
            assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&in)));
        }
        buf_free(&packed);
    }
    buf_free(&in);
    buf_free(&out);
}

/* Streams one behind the other: gzip members, snappy streams and zstd frames go on, an lz4 frame is
 * the last. */
static void streams_in_a_row(void **state)
{
    (void)state;
    struct buf in = {0};
    struct buf out = {0};
    make_input(&in, 4000, 9);
    for (unsigned c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        struct buf packed = {0};
        compress((enum codec)c, bytes_of(in.data, 1500), &packed);
        compress((enum codec)c, bytes_of(in.data + 1500, 2500), &packed);
        expect((enum codec)c, buf_bytes(&packed), NO_LIMIT, 0, &out);
        assert_int_equal(out.len, c == CODEC_LZ4 ? 1500 : 4000);
        assert_memory_equal(out.data, in.data, out.len);
        buf_free(&packed);
    }
    buf_free(&in);
    buf_free(&out);
}

static void snappy_raw_and_framed(void **state)
{
    (void)state;
    struct buf in = {0};
    struct buf raw = {0};
    struct buf framed = {0};
    struct buf out = {0};
    make_input(&in, 70000, 10);
    assert_int_equal(snappy_raw_put(buf_bytes(&in), &raw), 0);
    expect(CODEC_SNAPPY, buf_bytes(&raw), 70000, 0, &out);
    assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&in)));
    expect(CODEC_SNAPPY, buf_bytes(&raw), 69999, ERR_TOOBIG, &out);
    assert_int_equal(out.len, 0); /* one block: all or nothing */
    expect(CODEC_SNAPPY, bytes_of(raw.data, raw.len - 1), NO_LIMIT, ERR_CORRUPT, &out);

    /* Ours: magic, versions 1 and 1, blocks of 32 KiB. */
    static const uint8_t header[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                       0,    0,   0,   1,   0,   0,   0,   1};
    compress(CODEC_SNAPPY, buf_bytes(&in), &framed);
    assert_memory_equal(framed.data, header, 16);
    size_t at = 16;
    int blocks = 0;
    while (at < framed.len) {
        at += 4 + load_be32(framed.data + at);
        blocks++;
    }
    assert_int_equal(at, framed.len);
    assert_int_equal(blocks, 3);

    /* The versions are not looked at; the magic makes the difference. */
    store_be32(framed.data + 8, 77);
    store_be32(framed.data + 12, 78);
    expect(CODEC_SNAPPY, buf_bytes(&framed), NO_LIMIT, 0, &out);
    assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&in)));
    framed.data[7] = 1;
    expect(CODEC_SNAPPY, buf_bytes(&framed), NO_LIMIT, ERR_CORRUPT, &out);
    buf_free(&in);
    buf_free(&raw);
    buf_free(&framed);
    buf_free(&out);
}

static void snappy_block_lengths(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 0x7fffffff, 0x80000000, 0xffffffff, 0x20000001, 100};
    struct buf out = {0};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf s = {0};
        compress(CODEC_SNAPPY, bytes_str(""), &s);
        assert_int_equal(s.len, 16);
        buf_put_be32(&s, lengths[i]);
        buf_put_str(&s, "some bytes");
        expect(CODEC_SNAPPY, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);
        buf_free(&s);
    }
    /* A broken second block: what a read of 2 KiB had already delivered stays. */
    struct buf in = {0};
    struct buf s = {0};
    make_input(&in, 40000, 11);
    compress(CODEC_SNAPPY, buf_bytes(&in), &s);
    s.data[s.len - 1] ^= 0x55;
    s.len -= 3;
    expect(CODEC_SNAPPY, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);
    assert_int_equal(out.len, 32768);
    assert_memory_equal(out.data, in.data, out.len);
    buf_free(&in);
    buf_free(&s);
    buf_free(&out);
}

/* ---- lz4 frames by hand ---- */

static void put_le32(struct buf *b, uint32_t v)
{
    buf_put_be32(b, __builtin_bswap32(v));
}

static void put_lz4_header(struct buf *b, uint8_t flags, uint8_t bd, uint8_t checksum_error)
{
    put_le32(b, 0x184d2204);
    size_t at = b->len;
    buf_put_u8(b, flags);
    buf_put_u8(b, bd);
    if (flags & 8) {
        buf_put_be64(b, 0x0500000000000000);
    }
    buf_put_u8(b, (uint8_t)((xxh32(b->data + at, b->len - at, 0) >> 8) ^ checksum_error));
}

/* One plain block "hello", its checksum if the flags want one, the end mark. */
static void put_lz4_hello(struct buf *b, uint8_t flags, uint32_t checksum_error)
{
    put_le32(b, 0x80000005);
    buf_put_str(b, "hello");
    if (flags & 0x10) {
        put_le32(b, xxh32("hello", 5, 0) ^ checksum_error);
    }
    put_le32(b, 0);
}

static void lz4_frame_headers(void **state)
{
    (void)state;
    static const struct {
        uint8_t flags, bd, header_error;
        uint32_t block_error;
        int err;
    } rows[] = {
        {0x60, 0x40, 0, 0, 0},
        {0x60, 0x70, 0, 0, 0},
        {0x68, 0x40, 0, 0, 0}, /* a content size is skipped */
        {0x64, 0x40, 0, 0, 0}, /* a content checksum is not looked at */
        {0x70, 0x40, 0, 0, 0}, /* a block checksum is */
        {0x70, 0x40, 0, 1, ERR_CORRUPT},
        {0x40, 0x40, 0, 0, ERR_CORRUPT}, /* blocks that depend on each other */
        {0xa0, 0x40, 0, 0, ERR_CORRUPT}, /* version 2 */
        {0x61, 0x40, 0, 0, ERR_CORRUPT}, /* a dictionary */
        {0x60, 0x30, 0, 0, ERR_CORRUPT}, /* a block size that is none */
        {0x60, 0x41, 0, 0, ERR_CORRUPT},
        {0x60, 0x40, 1, 0, ERR_CORRUPT}, /* header checksum */
    };
    struct buf out = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf s = {0};
        put_lz4_header(&s, rows[i].flags, rows[i].bd, rows[i].header_error);
        put_lz4_hello(&s, rows[i].flags, rows[i].block_error);
        expect(CODEC_LZ4, buf_bytes(&s), NO_LIMIT, rows[i].err, &out);
        assert_int_equal(out.len, rows[i].err ? 0 : 5);
        /* Magic 0 has a wrong checksum in the header; all else holds for it too. */
        buf_clear(&out);
        int want = rows[i].header_error ? 0 : rows[i].err;
        assert_int_equal(decompress_lz4_magic0(buf_bytes(&s), NO_LIMIT, &out), want);
        buf_free(&s);
    }
    buf_free(&out);
}

static void lz4_blocks(void **state)
{
    (void)state;
    struct buf out = {0};
    struct buf s = {0};
    put_lz4_header(&s, 0x60, 0x40, 0);
    size_t header = s.len;
    put_le32(&s, 0x80000000 | 65537); /* a block above 64 KiB */
    buf_reserve(&s, 65537 + 4);
    memset(s.data + s.len, 'x', 65537);
    s.len += 65537;
    put_le32(&s, 0);
    expect(CODEC_LZ4, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);

    s.len = header; /* 100 bytes announced, 5 there */
    put_le32(&s, 100);
    buf_put_str(&s, "hello");
    expect(CODEC_LZ4, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);

    s.len = header; /* no end mark */
    put_le32(&s, 0x80000005);
    buf_put_str(&s, "hello");
    expect(CODEC_LZ4, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);
    assert_int_equal(out.len, 5);

    s.len = header; /* an empty block ends the stream, whatever follows */
    put_le32(&s, 1);
    buf_put_u8(&s, 0);
    put_le32(&s, 0x80000005);
    buf_put_str(&s, "hello");
    expect(CODEC_LZ4, buf_bytes(&s), NO_LIMIT, 0, &out);
    assert_int_equal(out.len, 0);
    buf_free(&s);
    buf_free(&out);
}

/* ---- gzip members by hand ---- */

static void gzip_headers(void **state)
{
    (void)state;
    struct buf plain = {0};
    struct buf s = {0};
    struct buf out = {0};
    compress(CODEC_GZIP, bytes_str("hello"), &plain);
    assert_memory_equal(plain.data, "\x1f\x8b\x08\0", 4);

    /* Extra field, name and comment, then a header checksum: right, then wrong. */
    buf_put(&s, "\x1f\x8b\x08\x1e\0\0\0\0\0\0", 10);
    buf_put(&s, "\x03\0abc", 5);
    buf_put(&s, "name\0comment", 13);
    uint32_t crc = crc32_ieee(buf_bytes(&s));
    buf_put_u8(&s, (uint8_t)crc);
    buf_put_u8(&s, (uint8_t)(crc >> 8));
    buf_put(&s, plain.data + 10, plain.len - 10);
    expect(CODEC_GZIP, buf_bytes(&s), NO_LIMIT, 0, &out);
    assert_true(bytes_eq_str(buf_bytes(&out), "hello"));
    s.data[28] ^= 1;
    expect(CODEC_GZIP, buf_bytes(&s), NO_LIMIT, ERR_CORRUPT, &out);

    static const struct {
        size_t from_end;
        int err;
    } broken[] = {{8, ERR_CORRUPT}, {5, ERR_CORRUPT}, {4, ERR_CORRUPT}, {1, ERR_CORRUPT}};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) { /* trailer: CRC and length */
        plain.data[plain.len - broken[i].from_end] ^= 0x80;
        expect(CODEC_GZIP, buf_bytes(&plain), NO_LIMIT, broken[i].err, &out);
        plain.data[plain.len - broken[i].from_end] ^= 0x80;
    }
    plain.data[2] = 7; /* another method */
    expect(CODEC_GZIP, buf_bytes(&plain), NO_LIMIT, ERR_CORRUPT, &out);
    assert_int_equal(crc32_ieee(bytes_str("123456789")), 0xcbf43926);
    buf_free(&plain);
    buf_free(&s);
    buf_free(&out);
}

/* Any byte of a stream turned over: refused or taken, but never beyond the limit and never a crash
 * (the sanitizers watch). */
static void damage_does_no_harm(void **state)
{
    (void)state;
    struct buf in = {0};
    struct buf out = {0};
    make_input(&in, 2500, 12);
    for (unsigned c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        struct buf packed = {0};
        int refused = 0;
        compress((enum codec)c, buf_bytes(&in), &packed);
        for (size_t at = 0; at < packed.len; at++) {
            for (int bit = 0; bit < 8; bit += 3) {
                packed.data[at] ^= (uint8_t)(1 << bit);
                buf_clear(&out);
                refused += decompress_put((enum codec)c, buf_bytes(&packed), 5000, &out) != 0;
                assert_true(out.len <= 5000);
                packed.data[at] ^= (uint8_t)(1 << bit);
            }
        }
        assert_true(refused > 0);
        expect((enum codec)c, buf_bytes(&packed), 5000, 0, &out);
        buf_free(&packed);
    }
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(levels_are_those_of_kafka),
        cmocka_unit_test(names),
        cmocka_unit_test(output_is_bounded),
        cmocka_unit_test(bombs_are_cut_off),
        cmocka_unit_test(claims_are_not_believed),
        cmocka_unit_test(cut_streams_are_refused),
        cmocka_unit_test(trailing_bytes),
        cmocka_unit_test(streams_in_a_row),
        cmocka_unit_test(snappy_raw_and_framed),
        cmocka_unit_test(snappy_block_lengths),
        cmocka_unit_test(lz4_frame_headers),
        cmocka_unit_test(lz4_blocks),
        cmocka_unit_test(gzip_headers),
        cmocka_unit_test(damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
