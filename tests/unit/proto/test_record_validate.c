/* The judgement on a Produce where the golden vectors do not reach: settings of the topic other
 * than the defaults, and what stands in the batch afterwards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto/record_validate.h"
#include "proto_errors.h"

#define NOW INT64_C(1700000000000)

/* Three records at the given times, keys "a", none, "c". */
static void make_batch(struct buf *out, enum codec codec, const int64_t times[3])
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    opt.codec = codec;
    batch_builder_init(&b, &opt);
    batch_builder_add(&b, times[0], bytes_str("a"), bytes_str("first value"), NULL, 0);
    batch_builder_add(&b, times[1], BYTES_NULL, bytes_str("second value"), NULL, 0);
    batch_builder_add(&b, times[2], bytes_str("c"), BYTES_NULL, NULL, 0);
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
}

static void claim_max_timestamp(struct buf *batch, int64_t t)
{
    store_be64(batch->data + BATCH_AT_MAX_TIMESTAMP, (uint64_t)t);
    batch_seal(batch->data, batch->len);
}

struct result {
    struct batch_verdict v;
    struct arena a;
};

static int16_t judge(struct result *r, struct buf *batch, const struct batch_rules *rules)
{
    *r = (struct result){0};
    return batch_validate(batch->data, batch->len, rules, &r->a, &r->v);
}

static void result_free(struct result *r)
{
    batch_verdict_free(&r->v);
    arena_free(&r->a);
}

static void a_max_timestamp_out_of_range_makes_it_look_inside(void **state)
{
    (void)state;
    static const int64_t fine[3] = {NOW - 5, NOW - 3, NOW - 4};
    static const int64_t late[3] = {NOW - 5, NOW + 7200000, NOW - 4};
    for (unsigned c = CODEC_NONE; c < CODEC_COUNT; c++) {
        struct batch_rules rules;
        struct result r;
        struct buf b = {0};
        batch_rules_init(&rules, NOW);
        make_batch(&b, (enum codec)c, fine);
        claim_max_timestamp(&b, NOW + 7200000); /* a lie, which Kafka forgives */
        assert_int_equal(judge(&r, &b, &rules), KE_NONE);
        assert_int_equal(r.v.h.max_timestamp, NOW - 3);
        assert_true(batch_crc_check(bytes_of(r.v.data, r.v.size)));
        result_free(&r);

        buf_clear(&b);
        make_batch(&b, (enum codec)c, late);
        assert_int_equal(judge(&r, &b, &rules), KE_INVALID_TIMESTAMP);
        assert_int_equal(r.v.error_n, 1);
        assert_int_equal(r.v.errors[0].index, 1);
        assert_int_equal(r.v.errors[0].code, KE_INVALID_TIMESTAMP);
        assert_int_equal(r.v.errors[0].timestamp, NOW + 7200000);
        assert_true(r.v.message_sent && r.v.data == NULL);
        result_free(&r);
        buf_free(&b);
    }
}

static void a_compacted_topic_wants_keys(void **state)
{
    (void)state;
    static const int64_t times[3] = {NOW, NOW, NOW};
    for (unsigned c = CODEC_NONE; c < CODEC_COUNT; c++) {
        struct batch_rules rules;
        struct result r;
        struct buf b = {0};
        batch_rules_init(&rules, NOW);
        rules.compacted = true;
        make_batch(&b, (enum codec)c, times);
        assert_int_equal(judge(&r, &b, &rules), KE_INVALID_RECORD);
        assert_int_equal(r.v.error_n, 1);
        assert_int_equal(r.v.errors[0].index, 1);
        assert_int_equal(r.v.errors[0].code, KE_INVALID_RECORD);
        result_free(&r);
        buf_free(&b);
    }
}

static void append_time_is_stamped(void **state)
{
    (void)state;
    static const int64_t times[3] = {1, 2, 3}; /* as old as they like */
    for (unsigned c = CODEC_NONE; c < CODEC_COUNT; c++) {
        struct batch_rules rules;
        struct result r;
        struct buf b = {0};
        batch_rules_init(&rules, NOW);
        rules.append_time = true;
        rules.before_max_ms = 1000;
        make_batch(&b, (enum codec)c, times);
        assert_int_equal(judge(&r, &b, &rules), KE_NONE);
        assert_ptr_equal(r.v.data, b.data); /* in place */
        assert_int_equal(r.v.h.max_timestamp, NOW);
        assert_true(batch_is_append_time(&r.v.h));
        assert_int_equal(batch_codec(&r.v.h), c);
        assert_true(batch_crc_check(bytes_of(r.v.data, r.v.size)));
        result_free(&r);
        buf_free(&b);
    }
}

static void another_codec_is_written(void **state)
{
    (void)state;
    static const int64_t times[3] = {NOW - 9, NOW - 1, NOW - 2};
    for (unsigned from = CODEC_NONE; from < CODEC_COUNT; from++) {
        for (int to = CODEC_NONE; to < CODEC_COUNT; to++) {
            struct batch_rules rules;
            struct result r;
            struct buf b = {0};
            struct record_reader reader;
            struct record rec;
            batch_rules_init(&rules, NOW);
            rules.codec = to;
            make_batch(&b, (enum codec)from, times);
            assert_int_equal(judge(&r, &b, &rules), KE_NONE);
            assert_int_equal(batch_codec(&r.v.h), to);
            assert_int_equal(r.v.data == b.data, (int)from == to);
            assert_int_equal(r.v.h.max_timestamp, NOW - 1);
            assert_int_equal(record_reader_open(&reader, bytes_of(r.v.data, r.v.size), 0), 0);
            for (int i = 0; i < 3; i++) {
                assert_int_equal(record_reader_next(&reader, &rec), 1);
                assert_int_equal(rec.offset, i);
                assert_int_equal(rec.timestamp, times[i]);
            }
            assert_int_equal(record_reader_next(&reader, &rec), 0);
            record_reader_close(&reader);
            result_free(&r);
            buf_free(&b);
        }
    }
}

static void refused_bytes_stay_as_they_were(void **state)
{
    (void)state;
    static const int64_t times[3] = {NOW, NOW, NOW};
    static const struct {
        size_t at; /* byte turned over, before sealing it anew if sealed is set */
        uint8_t bits;
        bool sealed;
        int16_t error;
    } rows[] = {
        {BATCH_AT_BASE_OFFSET + 7, 1, true, KE_INVALID_RECORD},
        {BATCH_AT_CRC, 1, false, KE_CORRUPT_MESSAGE},
        {BATCH_AT_MAGIC, 3, false, KE_INVALID_RECORD}, /* magic 1 */
        {BATCH_AT_MAGIC, 0x80, false, KE_CORRUPT_MESSAGE},
        {BATCH_AT_ATTRIBUTES + 1, BATCH_CONTROL, true, KE_INVALID_RECORD},
        {BATCH_AT_ATTRIBUTES + 1, 5, true, KE_UNKNOWN_SERVER_ERROR},
        {BATCH_AT_LAST_OFFSET_DELTA + 3, 1, true, KE_INVALID_RECORD},
        {BATCH_AT_RECORD_COUNT + 3, 1, true, KE_INVALID_RECORD},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct batch_rules rules;
        struct result r;
        struct buf b = {0};
        struct buf copy = {0};
        batch_rules_init(&rules, NOW);
        make_batch(&b, CODEC_NONE, times);
        b.data[rows[i].at] ^= rows[i].bits;
        if (rows[i].sealed) {
            batch_seal(b.data, b.len);
        }
        buf_put(&copy, b.data, b.len);
        int16_t error = judge(&r, &b, &rules);
        if (error != rows[i].error) {
            fail_msg("row %zu: %d, not %d: %s", i, error, rows[i].error, r.v.message);
        }
        assert_memory_equal(b.data, copy.data, copy.len);
        assert_true(r.v.message[0] != 0);
        result_free(&r);
        buf_free(&b);
        buf_free(&copy);
    }
}

static void size_and_number_of_batches(void **state)
{
    (void)state;
    static const int64_t times[3] = {NOW, NOW, NOW};
    struct batch_rules rules;
    struct result r;
    struct buf b = {0};
    batch_rules_init(&rules, NOW);
    make_batch(&b, CODEC_NONE, times);
    size_t one = b.len;
    rules.max_message_bytes = (int32_t)one;
    assert_int_equal(judge(&r, &b, &rules), KE_NONE);
    result_free(&r);
    rules.max_message_bytes = (int32_t)one - 1;
    assert_int_equal(judge(&r, &b, &rules), KE_MESSAGE_TOO_LARGE);
    assert_false(r.v.in_request);
    result_free(&r);
    rules.max_message_bytes = 1 << 20;
    make_batch(&b, CODEC_NONE, times);
    b.len--; /* a part of a second one is cut off */
    assert_int_equal(judge(&r, &b, &rules), KE_NONE);
    assert_int_equal(r.v.size, one);
    result_free(&r);
    buf_clear(&b);
    make_batch(&b, CODEC_NONE, times);
    make_batch(&b, CODEC_NONE, times);
    assert_int_equal(judge(&r, &b, &rules), KE_INVALID_RECORD);
    assert_true(r.v.in_request);
    result_free(&r);
    buf_clear(&b);
    make_batch(&b, CODEC_ZSTD, times);
    rules.produce_version = 6;
    assert_int_equal(judge(&r, &b, &rules), KE_UNSUPPORTED_COMPRESSION_TYPE);
    assert_true(r.v.in_request);
    result_free(&r);
    buf_free(&b);
}

/* What is broken ends the walk: the errors of records before it are not told. */
static void a_broken_batch_tells_no_record_errors(void **state)
{
    (void)state;
    static const int64_t times[3] = {NOW + 7200000, NOW, NOW};
    struct batch_rules rules;
    struct result r;
    struct buf b = {0};
    batch_rules_init(&rules, NOW);
    make_batch(&b, CODEC_NONE, times);
    store_be32(b.data + BATCH_AT_RECORD_COUNT, 4);
    store_be32(b.data + BATCH_AT_LAST_OFFSET_DELTA, 3);
    batch_seal(b.data, b.len);
    assert_int_equal(judge(&r, &b, &rules), KE_INVALID_RECORD);
    assert_int_equal(r.v.error_n, 0);
    assert_false(r.v.message_sent);
    result_free(&r);
    buf_free(&b);
}

/* A frame may say that it is a batch of magic 2, and a transactional one, and end before the rest
 * of such a header: nothing behind its end is read. */
static void a_header_that_is_cut_off_has_no_producer(void **state)
{
    (void)state;
    static const int64_t times[3] = {NOW, NOW, NOW};
    struct buf b = {0};
    make_batch(&b, CODEC_NONE, times);
    store_be16(b.data + BATCH_AT_ATTRIBUTES, BATCH_TRANSACTIONAL);
    assert_false(batch_first_has_producer(buf_bytes(&b)));
    store_be64(b.data + BATCH_AT_PRODUCER_ID, 7);
    assert_true(batch_first_has_producer(buf_bytes(&b)));
    for (size_t len = BATCH_LOG_OVERHEAD + BATCH_LENGTH_LEAST; len < BATCH_HEADER_SIZE; len++) {
        uint8_t *cut = mem_alloc(len); /* to the byte: what is read behind it is noticed */
        memcpy(cut, b.data, len);
        store_be32(cut + BATCH_AT_LENGTH, (uint32_t)len - BATCH_LOG_OVERHEAD);
        assert_int_equal(batch_first_is_transactional(bytes_of(cut, len)), 1);
        assert_false(batch_first_has_producer(bytes_of(cut, len)));
        mem_free(cut);
    }
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_max_timestamp_out_of_range_makes_it_look_inside),
        cmocka_unit_test(a_compacted_topic_wants_keys),
        cmocka_unit_test(append_time_is_stamped),
        cmocka_unit_test(another_codec_is_written),
        cmocka_unit_test(refused_bytes_stay_as_they_were),
        cmocka_unit_test(size_and_number_of_batches),
        cmocka_unit_test(a_broken_batch_tells_no_record_errors),
        cmocka_unit_test(a_header_that_is_cut_off_has_no_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
