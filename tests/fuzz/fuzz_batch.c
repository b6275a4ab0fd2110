/* Input: two bytes of choices, then the records field of a Produce. The first says how it is
 * judged:
 *
 *   bit 1 compacted, 2 append time, 3 Produce version 3, 4 a small max.message.bytes,
 *   5 a tight limit of decompression, 6 time bounds on, 7 the length and CRC of a batch that spans
 *   the whole input are made right first.
 *
 * The second modulo 6 is the topic's compression.type (5: "producer"). Demanded: refused bytes stay
 * as they were; what is taken is whole, with a right CRC; what deep takes, shallow takes; records
 * survive being written under every codec. */
#include "base/assert.h"
#include "proto/batch_json.h"
#include "proto/record_validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1000000000, TIGHT = 4096, LIMIT = 1 << 20 };

static int16_t judge(struct bytes in, const struct batch_rules *rules)
{
    struct batch_verdict v;
    struct arena a = {0};
    struct buf copy = {0};
    buf_put(&copy, in.data, in.len);
    int16_t error = batch_validate(copy.data, copy.len, rules, &a, &v);
    ASSERT(error == v.error);
    if (error) {
        ASSERT(bytes_eq(buf_bytes(&copy), in) && v.message[0] != 0);
        ASSERT(v.error_n <= BATCH_RECORD_ERRORS_MAX);
        for (uint32_t i = 0; i < v.error_n; i++) {
            ASSERT(!bytes_is_null(batch_record_error_text(rules, &v.errors[i], &a)));
        }
    } else {
        struct bytes batch = bytes_of(v.data, v.size);
        struct batch_header h;
        ASSERT(batch_header_read(batch, &h) == 0 && batch_size(&h) == v.size);
        ASSERT(batch_crc_check(batch) && v.size <= (size_t)rules->max_message_bytes);
        ASSERT(h.crc == v.h.crc && h.record_count == v.h.record_count && h.record_count > 0);
        ASSERT(!rules->append_time || (batch_is_append_time(&h) && h.max_timestamp == NOW));
    }
    batch_verdict_free(&v);
    buf_free(&copy);
    arena_free(&a);
    return error;
}

static void judge_both(uint8_t how, uint8_t codec, struct bytes in)
{
    struct batch_rules rules;
    batch_rules_init(&rules, NOW);
    rules.compacted = (how & 2) != 0;
    rules.append_time = (how & 4) != 0;
    rules.produce_version = how & 8 ? 3 : 11;
    rules.max_message_bytes = how & 16 ? 200 : rules.max_message_bytes;
    rules.limit = how & 32 ? TIGHT : LIMIT;
    rules.before_max_ms = how & 64 ? 1000 : INT64_MAX;
    rules.codec = codec == CODEC_COUNT ? BATCH_RULES_KEEP_CODEC : codec;
    int16_t shallow = judge(in, &rules);
    rules.deep = true;
    int16_t deep = judge(in, &rules);
    /* The code may differ: a client's append time is found before a broken stream is. */
    ASSERT(shallow == 0 || deep != 0);
}

static bool same_record(const struct record *a, const struct record *b)
{
    return bytes_eq(a->key, b->key) && bytes_eq(a->value, b->value) &&
           a->timestamp == b->timestamp && a->header_count == b->header_count &&
           bytes_eq(a->headers, b->headers);
}

/* Reads a batch to its end: the number of its records, or an ERR_. */
static int64_t count_records(struct bytes batch, int64_t *max_timestamp)
{
    struct record_reader r;
    struct record rec;
    int64_t n = 0;
    int rv = record_reader_open(&r, batch, LIMIT);
    *max_timestamp = INT64_MIN;
    while (rv >= 0 && (rv = record_reader_next(&r, &rec)) == 1) {
        struct bytes rest = rec.headers;
        struct record_header h;
        int32_t headers = 0;
        while (record_header_next(&rest, &h)) {
            headers++;
        }
        ASSERT(headers == rec.header_count && rest.len == 0);
        n++;
        *max_timestamp = rec.timestamp > *max_timestamp ? rec.timestamp : *max_timestamp;
    }
    record_reader_close(&r);
    return rv < 0 ? rv : n;
}

static void compare(struct bytes before, struct bytes after)
{
    struct record_reader r[2];
    struct record rec[2];
    int rv[2] = {1, 1};
    int open = record_reader_open(&r[0], before, LIMIT);
    ASSERT(open == 0);
    open = record_reader_open(&r[1], after, 2 * (size_t)LIMIT);
    ASSERT(open == 0);
    while (rv[0] == 1) {
        rv[0] = record_reader_next(&r[0], &rec[0]);
        rv[1] = record_reader_next(&r[1], &rec[1]);
        ASSERT(rv[0] == rv[1]);
        ASSERT(rv[0] != 1 || same_record(&rec[0], &rec[1]));
    }
    ASSERT(rv[0] == 0);
    record_reader_close(&r[0]);
    record_reader_close(&r[1]);
}

static void read_and_rewrite(struct bytes batch, uint8_t codec)
{
    int64_t max;
    int64_t offset;
    int64_t timestamp;
    struct buf out = {0};
    enum record_fault fault;
    int64_t n = count_records(batch, &max);
    int found = batch_find_timestamp(batch, max, INT64_MIN, LIMIT, &offset, &timestamp);
    ASSERT(n <= 0 || (found == 1 && timestamp == max));
    (void)batch_find_max_timestamp(batch, LIMIT, &offset);
    int rv = batch_recompress(batch, (enum codec)(codec % CODEC_COUNT), CODEC_LEVEL_DEFAULT, LIMIT,
                              &out, &fault);
    ASSERT((rv == 0) == (n >= 0));
    if (rv == 0) {
        ASSERT(batch_crc_check(buf_bytes(&out)));
        compare(batch, buf_bytes(&out));
    } else {
        ASSERT(out.len == 0);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct buf in = {0};
    buf_put(&in, data + 2, size - 2);
    if ((data[0] & 128) && in.len >= BATCH_HEADER_SIZE && in.data[BATCH_AT_MAGIC] == BATCH_MAGIC) {
        batch_seal(in.data, in.len);
    }
    struct buf json = {0};
    char outcome[BATCH_JSON_OUTCOME];
    batch_json(buf_bytes(&in), LIMIT, &json, outcome);
    buf_free(&json);
    (void)batch_first_is_transactional(buf_bytes(&in));
    judge_both(data[0], data[1] % (CODEC_COUNT + 1), buf_bytes(&in));
    struct bytes rest = buf_bytes(&in);
    struct bytes batch;
    struct batch_header h;
    while (batch_next(&rest, &batch) == 1) {
        if (batch_header_read(batch, &h) == 0) {
            read_and_rewrite(batch, data[1]);
        }
    }
    buf_free(&in);
    return 0;
}
