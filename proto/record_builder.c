/* Making batches: the writing half of record_batch.h. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/varint.h"
#include "proto/record_batch.h"

void batch_builder_init(struct batch_builder *b, const struct batch_options *opt)
{
    buf_clear(&b->records);
    *b = (struct batch_builder){.opt = *opt,
                                .records = b->records,
                                .base_timestamp = opt->delete_horizon_ms,
                                .max_timestamp = BATCH_NO_TIMESTAMP,
                                .last_offset_delta = -1};
}

static size_t bytes_size(struct bytes b)
{
    return bytes_is_null(b) ? 1 : uvarint_size(zigzag_encode((int64_t)b.len)) + b.len;
}

static void put_bytes(struct buf *out, struct bytes b)
{
    if (bytes_is_null(b)) {
        buf_put_varint(out, -1);
        return;
    }
    buf_put_varint(out, (int64_t)b.len);
    buf_put(out, b.data, b.len);
}

/* The record's front, up to the header count; headers_len bytes follow. */
static void put_record(struct batch_builder *b, int32_t offset_delta, int64_t timestamp,
                       struct bytes key, struct bytes value, int32_t header_count,
                       size_t headers_len)
{
    ASSERT(offset_delta > b->last_offset_delta);
    ASSERT(key.len <= INT32_MAX && value.len <= INT32_MAX);
    if (b->count == 0 && b->opt.delete_horizon_ms == BATCH_NO_TIMESTAMP) {
        b->base_timestamp = timestamp;
    }
    int64_t timestamp_delta = (int64_t)((uint64_t)timestamp - (uint64_t)b->base_timestamp);
    size_t size = 1 + uvarint_size(zigzag_encode(timestamp_delta)) +
                  uvarint_size(zigzag_encode(offset_delta)) + bytes_size(key) + bytes_size(value) +
                  uvarint_size(zigzag_encode(header_count)) + headers_len;
    buf_put_varint(&b->records, (int64_t)size);
    buf_put_u8(&b->records, 0);
    buf_put_varint(&b->records, timestamp_delta);
    buf_put_varint(&b->records, offset_delta);
    put_bytes(&b->records, key);
    put_bytes(&b->records, value);
    buf_put_varint(&b->records, header_count);
    b->max_timestamp = timestamp > b->max_timestamp ? timestamp : b->max_timestamp;
    b->last_offset_delta = offset_delta;
    b->count++;
}

void batch_builder_add(struct batch_builder *b, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct record_header *headers, size_t n)
{
    size_t headers_len = 0;
    for (size_t i = 0; i < n; i++) {
        ASSERT(!bytes_is_null(headers[i].key));
        headers_len += bytes_size(headers[i].key) + bytes_size(headers[i].value);
    }
    put_record(b, b->last_offset_delta + 1, timestamp, key, value, (int32_t)n, headers_len);
    for (size_t i = 0; i < n; i++) {
        put_bytes(&b->records, headers[i].key);
        put_bytes(&b->records, headers[i].value);
    }
}

void batch_builder_add_record(struct batch_builder *b, int32_t offset_delta, int64_t timestamp,
                              const struct record *rec)
{
    put_record(b, offset_delta, timestamp, rec->key, rec->value, rec->header_count,
               rec->headers.len);
    buf_put(&b->records, rec->headers.data, rec->headers.len);
}

void batch_builder_add_control(struct batch_builder *b, int64_t timestamp, enum control_type type,
                               struct bytes value)
{
    ASSERT(b->opt.control && type != CONTROL_UNKNOWN);
    uint8_t key[4];
    store_be16(key, 0);
    store_be16(key + 2, (uint16_t)type);
    batch_builder_add(b, timestamp, bytes_of(key, sizeof key), value, NULL, 0);
}

size_t batch_builder_size(const struct batch_builder *b)
{
    return BATCH_HEADER_SIZE + b->records.len;
}

void batch_builder_set_last_offset_delta(struct batch_builder *b, int32_t delta)
{
    ASSERT(delta >= b->last_offset_delta && delta >= 0);
    b->last_offset_delta = delta;
}

static struct batch_header header_of(const struct batch_builder *b)
{
    const struct batch_options *opt = &b->opt;
    unsigned attributes = (unsigned)opt->codec;
    attributes |= opt->append_time ? BATCH_APPEND_TIME : 0;
    attributes |= opt->transactional ? BATCH_TRANSACTIONAL : 0;
    attributes |= opt->control ? BATCH_CONTROL : 0;
    attributes |= opt->delete_horizon_ms != BATCH_NO_TIMESTAMP ? BATCH_DELETE_HORIZON : 0;
    return (struct batch_header){
        .base_offset = opt->base_offset,
        .leader_epoch = opt->leader_epoch,
        .magic = BATCH_MAGIC,
        .attributes = (int16_t)attributes,
        .last_offset_delta = b->last_offset_delta < 0 ? 0 : b->last_offset_delta,
        .base_timestamp = b->base_timestamp,
        .max_timestamp = opt->append_time ? opt->append_time_ms : b->max_timestamp,
        .producer_id = opt->producer_id,
        .producer_epoch = opt->producer_epoch,
        .base_sequence = opt->base_sequence,
        .record_count = b->count,
    };
}

int batch_builder_finish(struct batch_builder *b, struct buf *out)
{
    size_t start = out->len;
    struct batch_header h = header_of(b);
    buf_reserve(out, BATCH_HEADER_SIZE + b->records.len);
    out->len += BATCH_HEADER_SIZE;
    int rv = compress_put(b->opt.codec, b->opt.level, buf_bytes(&b->records), out);
    if (rv == 0 && out->len - start - BATCH_LOG_OVERHEAD > INT32_MAX) {
        rv = ERR_TOOBIG;
    }
    if (rv < 0) {
        out->len = start;
        return rv;
    }
    batch_header_write(&h, out->data + start);
    batch_seal(out->data + start, out->len - start);
    batch_builder_init(b, &b->opt);
    return 0;
}

void batch_builder_free(struct batch_builder *b)
{
    buf_free(&b->records);
}

void batch_put_marker(struct buf *out, const struct batch_options *opt, int64_t timestamp,
                      bool commit, int32_t coordinator_epoch)
{
    uint8_t value[6];
    store_be16(value, 0);
    store_be32(value + 2, (uint32_t)coordinator_epoch);
    struct batch_options marker = *opt;
    marker.transactional = true;
    marker.control = true;
    marker.codec = CODEC_NONE;
    marker.base_sequence = BATCH_NO_SEQUENCE;
    struct batch_builder b = {0};
    batch_builder_init(&b, &marker);
    batch_builder_add_control(&b, timestamp, commit ? CONTROL_COMMIT : CONTROL_ABORT,
                              bytes_of(value, sizeof value));
    int rv = batch_builder_finish(&b, out);
    ASSERT(rv == 0);
    batch_builder_free(&b);
}

int batch_recompress(struct bytes batch, enum codec codec, int level, size_t limit, struct buf *out,
                     enum record_fault *fault)
{
    struct batch_builder b = {0};
    struct record_reader r;
    struct record rec;
    int rv = record_reader_open(&r, batch, limit);
    if (rv == 0) {
        struct batch_options opt = BATCH_OPTIONS_DEFAULT;
        opt.base_offset = r.h.base_offset;
        opt.leader_epoch = r.h.leader_epoch;
        opt.transactional = batch_is_transactional(&r.h);
        opt.control = batch_is_control(&r.h);
        opt.producer_id = r.h.producer_id;
        opt.producer_epoch = r.h.producer_epoch;
        opt.base_sequence = r.h.base_sequence;
        opt.codec = batch_is_control(&r.h) ? CODEC_NONE : codec;
        opt.level = level;
        batch_builder_init(&b, &opt);
        while ((rv = record_reader_next(&r, &rec)) == 1) {
            batch_builder_add_record(&b, b.count, rec.timestamp, &rec);
        }
    }
    if (rv == 0) {
        rv = batch_builder_finish(&b, out);
    }
    if (fault) {
        *fault = r.fault;
    }
    record_reader_close(&r);
    batch_builder_free(&b);
    return rv;
}
