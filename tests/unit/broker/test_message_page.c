/* A page of messages is made in steps of bounded work, whatever its batches open to. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "base/assert.h"
#include "broker/console/message_page.h"
#include "proto/record_batch.h"

enum { MIB = 1 << 20, LIMIT = 200 };

/* ---- batches ---- */

/* One of `values`, `size` bytes each, at `base`. */
static void put_batch(struct buf *out, enum codec codec, int64_t base, int values, size_t size)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf value = {0};
    opt.codec = codec;
    opt.base_offset = base;
    batch_builder_init(&b, &opt);
    buf_reserve(&value, size + 1);
    memset(value.data, 'v', size);
    for (int i = 0; i < values; i++) {
        batch_builder_add(&b, 1, BYTES_NULL, bytes_of(value.data, size), NULL, 0);
    }
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
    buf_free(&value);
}

/* A zstd frame whose first block is `head` as it is, followed by blocks of four bytes each of which
 * opens to 128 KiB of zeros. */
static void put_bomb_frame(struct buf *out, struct bytes head, unsigned blocks)
{
    enum { WINDOW_128K = 7 << 3, RAW = 0, RLE = 1, BLOCK = 128 << 10 };
    const uint8_t begin[] = {0x28, 0xb5, 0x2f, 0xfd, 0, WINDOW_128K};
    buf_put(out, begin, sizeof begin);
    for (unsigned i = 0; i <= blocks; i++) {
        uint32_t size = i == 0 ? (uint32_t)head.len : BLOCK;
        uint32_t block = size << 3 | (i == 0 ? RAW : RLE) << 1 | (i == blocks);
        const uint8_t header[] = {(uint8_t)block, (uint8_t)(block >> 8), (uint8_t)(block >> 16)};
        buf_put(out, header, sizeof header);
        buf_put(out, i == 0 ? head.data : (const uint8_t *)"", i == 0 ? size : 1);
    }
}

/* A batch of one record whose value says that it has `mib` MiB, which come. */
static size_t put_bomb(struct buf *out, int64_t base, unsigned mib)
{
    size_t at = out->len;
    struct buf body = {0}, record = {0};
    struct batch_header h = {.base_offset = base,
                             .leader_epoch = -1,
                             .magic = BATCH_MAGIC,
                             .attributes = CODEC_ZSTD,
                             .producer_id = BATCH_NO_PRODUCER_ID,
                             .producer_epoch = BATCH_NO_EPOCH,
                             .base_sequence = BATCH_NO_SEQUENCE,
                             .record_count = 1};
    int64_t value = (int64_t)mib * MIB - 1; /* the last zero is the count of headers */
    buf_put_u8(&body, 0);
    buf_put_varint(&body, 0);
    buf_put_varint(&body, 0);
    buf_put_varint(&body, -1);
    buf_put_varint(&body, value);
    buf_put_varint(&record, (int64_t)body.len + value + 1);
    buf_put(&record, body.data, body.len);
    buf_reserve(out, BATCH_HEADER_SIZE);
    out->len += BATCH_HEADER_SIZE;
    put_bomb_frame(out, buf_bytes(&record), mib * 8);
    batch_header_write(&h, out->data + at);
    batch_seal(out->data + at, out->len - at);
    buf_free(&body);
    buf_free(&record);
    return out->len - at;
}

/* ---- pages ---- */

static const char *made(struct message_page *p, struct bytes records, int64_t from, int *steps)
{
    static char text[8 * MIB];
    const struct message_page_head head = {
        .topic = bytes_str("t"), .end = INT64_MAX, .from = from, .limit = LIMIT};
    struct buf out;
    bool more = true;
    message_page_begin(p, &head, records);
    for (*steps = 0; more; ++*steps) {
        size_t before = p->opened;
        more = message_page_step(p);
        assert_in_range(p->opened - before, 0, PAGE_STEP_BYTES + PAGE_BATCH_BYTES);
    }
    message_page_finish(p, &out);
    assert_in_range(out.len, 1, sizeof text - 1);
    memcpy(text, buf_cstr(&out), out.len + 1);
    buf_free(&out);
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++) {
        n++;
    }
    return n;
}

static void small_batches_of_every_codec(void **state)
{
    UNUSED(state);
    struct message_page p;
    struct buf records = {0};
    int steps;
    for (int i = 0; i < CODEC_COUNT; i++) {
        put_batch(&records, (enum codec)i, 10 * i, 10, 100);
    }
    const char *text = made(&p, buf_bytes(&records), 5, &steps);
    assert_int_equal(count(text, "\"headerCount\""), 45);
    assert_non_null(strstr(text, "\"messages\":[{\"offset\":5,"));
    assert_non_null(strstr(text, "],\"next\":50,\"broken\":null}"));
    assert_int_equal(steps, 1);
    text = made(&p, BYTES_NULL, 7, &steps);
    assert_non_null(strstr(text, "\"messages\":[],\"next\":7,\"broken\":null}"));
    buf_free(&records);
}

/* A record before the bomb, in its batch, is shown, and so is what stands behind it. */
static void bombs_of_every_codec(void **state)
{
    UNUSED(state);
    for (int i = CODEC_GZIP; i < CODEC_COUNT; i++) {
        struct message_page p;
        struct buf records = {0};
        int steps;
        put_batch(&records, (enum codec)i, 0, 3, 12 * MIB);
        put_batch(&records, CODEC_NONE, 3, 1, 10);
        assert_in_range(records.len, 1, 4 * MIB);
        const char *text = made(&p, buf_bytes(&records), 0, &steps);
        /* snappy tells the size of a block first: of one that is too large nothing is opened */
        assert_int_equal(count(text, "\"headerCount\""), 2);
        assert_non_null(strstr(text,
                               "\"next\":4,\"broken\":\"The batch at offset 0 opens to more than "
                               "16 MiB: 1 of its 3 messages could be read.\"}"));
        assert_in_range(p.opened, 12 * MIB, PAGE_BATCH_BYTES + 1000);
        buf_free(&records);
    }
}

/* Each step opens one of them, and the page ends with a few, though there are thousands in a
 * megabyte; the next page goes on where it ended. */
static void a_megabyte_of_bombs(void **state)
{
    UNUSED(state);
    struct message_page p;
    struct buf records = {0};
    int64_t bombs = 0;
    int steps;
    while (records.len < MIB) {
        put_bomb(&records, bombs++, 100);
    }
    assert_true(bombs > 200);
    struct bytes rest = buf_bytes(&records);
    for (int64_t from = 0; from < 12; from = p.next) {
        const char *text = made(&p, rest, from, &steps);
        assert_int_equal(p.opened, PAGE_OPENED_BYTES);
        assert_int_equal(p.next, from + 4);
        assert_int_equal(steps, 5);
        assert_int_equal(count(text, "\"headerCount\""), 0);
        assert_non_null(
            strstr(text, "opens to more than 16 MiB: 0 of its 1 messages could be read"));
        for (struct bytes one; from < p.next; from++) {
            assert_int_equal(batch_next(&rest, &one), 1);
        }
    }
    buf_free(&records);
}

static size_t peak_kib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (size_t)u.ru_maxrss;
}

/* What it takes is far less than what the batch opens to; address sanitizer keeps some of what was
 * freed. */
static void a_bomb_of_a_gibibyte(void **state)
{
    UNUSED(state);
    struct message_page p;
    struct buf records = {0};
    int steps;
    assert_in_range(put_bomb(&records, 0, 1000), 1, 64 << 10);
    size_t before = peak_kib();
    const char *text = made(&p, buf_bytes(&records), 0, &steps);
    assert_in_range(peak_kib() - before, 0, 100 << 10);
    assert_int_equal(p.opened, PAGE_BATCH_BYTES);
    assert_non_null(strstr(text, "\"next\":1,"));
    buf_free(&records);
}

/* A count of records that is not so, and one below zero, of which nothing is opened. */
static void headers_that_lie(void **state)
{
    UNUSED(state);
    struct message_page p;
    struct buf records = {0};
    int steps;
    put_batch(&records, CODEC_ZSTD, 0, 3, 10);
    store_be32(records.data + BATCH_AT_RECORD_COUNT, INT32_MAX);
    const char *text = made(&p, buf_bytes(&records), 0, &steps);
    assert_int_equal(count(text, "\"headerCount\""), 3);
    assert_non_null(strstr(
        text, "\"next\":3,\"broken\":\"The batch at offset 0 cannot be read beyond 3 messages: "));
    buf_clear(&records);
    put_bomb(&records, 0, 100);
    store_be32(records.data + BATCH_AT_RECORD_COUNT, UINT32_MAX);
    text = made(&p, buf_bytes(&records), 0, &steps);
    assert_int_equal(p.opened, 0);
    assert_non_null(strstr(
        text, "\"next\":1,\"broken\":\"The batch at offset 0 cannot be read beyond 0 messages: "));
    buf_free(&records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bomb_of_a_gibibyte), /* first: the peak is the process' */
        cmocka_unit_test(small_batches_of_every_codec), cmocka_unit_test(bombs_of_every_codec),
        cmocka_unit_test(a_megabyte_of_bombs),          cmocka_unit_test(headers_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
