#include "proto/batch_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "proto/record_legacy.h"

/* What went wrong, worst last. */
enum outcome { OK, INCOMPLETE, BAD_RECORDS, CRC_MISMATCH, BAD_FRAME };

struct printer {
    struct buf *out;
    size_t limit;
    enum outcome outcome;
    const char *exception;
};

static void worsen(struct printer *p, enum outcome o, const char *exception)
{
    if (o > p->outcome) {
        p->outcome = o;
        p->exception = exception;
    }
}

static const char *exception_of(enum record_fault fault)
{
    switch (fault) {
    case RECORD_FAULT_CODEC:
        return "KafkaException";
    case RECORD_FAULT_FORM:
        return "IllegalArgumentException";
    case RECORD_FAULT_LIMIT:
        return "(beyond the limit)";
    case RECORD_OK:
    case RECORD_FAULT_RECORD:
        break;
    }
    return "InvalidRecordException";
}

static void put_base64(struct buf *out, struct bytes b)
{
    if (bytes_is_null(b)) {
        buf_put_str(out, "null");
        return;
    }
    buf_put_u8(out, '"');
    base64_put(out, b);
    buf_put_u8(out, '"');
}

/* h is NULL for magic 0 and 1. ERR_CORRUPT: a control record whose key has no type. */
static int put_record(struct buf *out, const struct batch_header *h, const struct record *rec)
{
    buf_printf(out, "{\"offset\":%" PRId64 ",\"timestamp\":%" PRId64, rec->offset, rec->timestamp);
    if (h && batch_has_producer(h)) {
        buf_printf(out, ",\"sequence\":%" PRId32,
                   h->base_sequence >= 0 ? batch_sequence_add(h->base_sequence, rec->offset_delta)
                                         : BATCH_NO_SEQUENCE);
    }
    buf_put_str(out, ",\"key\":");
    put_base64(out, rec->key);
    buf_put_str(out, ",\"value\":");
    put_base64(out, rec->value);
    buf_put_str(out, ",\"headers\":[");
    struct bytes headers = rec->headers;
    struct record_header header;
    for (const char *comma = ""; record_header_next(&headers, &header); comma = ",") {
        buf_put_str(out, comma);
        buf_put_u8(out, '[');
        json_put_string(out, header.key);
        buf_put_u8(out, ',');
        put_base64(out, header.value);
        buf_put_u8(out, ']');
    }
    buf_put_u8(out, ']');
    if (h && batch_is_control(h)) {
        enum control_type type;
        if (control_key_read(rec->key, &type) < 0) {
            return ERR_CORRUPT;
        }
        buf_printf(out, ",\"controlType\":\"%s\"", control_type_name(type));
    }
    buf_put_u8(out, '}');
    return 0;
}

static void put_records(struct printer *p, struct bytes batch)
{
    struct record_reader r;
    struct record rec;
    buf_put_str(p->out, ",\"records\":");
    size_t start = p->out->len;
    int rv = record_reader_open(&r, batch, p->limit);
    buf_put_u8(p->out, '[');
    while (rv == 0 && (rv = record_reader_next(&r, &rec)) == 1) {
        buf_put_str(p->out, r.read > 1 ? "," : "");
        rv = put_record(p->out, &r.h, &rec);
    }
    buf_put_u8(p->out, ']');
    if (rv < 0) {
        p->out->len = start;
        buf_put_str(p->out, "null");
        worsen(p, BAD_RECORDS, exception_of(r.fault));
    }
    record_reader_close(&r);
}

/* A header field, printed while the batch is long enough to have it. */
static bool put_field(struct printer *p, struct bytes batch, const char *name, size_t at, size_t n)
{
    if (batch.len < at + n) {
        return false;
    }
    int64_t v = n == 8   ? (int64_t)load_be64(batch.data + at)
                : n == 4 ? (int32_t)load_be32(batch.data + at)
                : n == 2 ? (int16_t)load_be16(batch.data + at)
                         : (int8_t)batch.data[at];
    buf_printf(p->out, "%s\"%s\":%" PRId64, at == BATCH_AT_MAGIC ? "" : ",", name, v);
    return true;
}

static bool put_header(struct printer *p, struct bytes batch)
{
    put_field(p, batch, "magic", BATCH_AT_MAGIC, 1);
    buf_printf(p->out, ",\"sizeInBytes\":%zu", batch.len);
    put_field(p, batch, "baseOffset", BATCH_AT_BASE_OFFSET, 8);
    put_field(p, batch, "batchLength", BATCH_AT_LENGTH, 4);
    put_field(p, batch, "partitionLeaderEpoch", BATCH_AT_LEADER_EPOCH, 4);
    buf_printf(p->out, ",\"crc\":%" PRIu32, load_be32(batch.data + BATCH_AT_CRC));
    return put_field(p, batch, "attributes", BATCH_AT_ATTRIBUTES, 2) &&
           put_field(p, batch, "lastOffsetDelta", BATCH_AT_LAST_OFFSET_DELTA, 4) &&
           put_field(p, batch, "baseTimestamp", BATCH_AT_BASE_TIMESTAMP, 8) &&
           put_field(p, batch, "maxTimestamp", BATCH_AT_MAX_TIMESTAMP, 8) &&
           put_field(p, batch, "producerId", BATCH_AT_PRODUCER_ID, 8) &&
           put_field(p, batch, "producerEpoch", BATCH_AT_PRODUCER_EPOCH, 2) &&
           put_field(p, batch, "baseSequence", BATCH_AT_BASE_SEQUENCE, 4) &&
           put_field(p, batch, "recordCount", BATCH_AT_RECORD_COUNT, 4);
}

static const char *truth(bool b)
{
    return b ? "true" : "false";
}

/* false: the frame is too short for a header. */
static bool put_batch(struct printer *p, struct bytes batch)
{
    struct batch_header h;
    if (!put_header(p, batch) || batch_header_read(batch, &h) < 0) {
        return false;
    }
    bool crc = batch_crc_check(batch);
    buf_printf(p->out, ",\"lastOffset\":%" PRId64 ",\"crcValid\":%s", batch_last_offset(&h),
               truth(crc));
    if (!crc) {
        worsen(p, CRC_MISMATCH, NULL);
    }
    if (codec_valid(batch_codec(&h))) {
        buf_printf(
            p->out,
            ",\"compression\":\"%s\",\"timestampType\":\"%s\",\"transactional\":%s,\"control\":%s",
            codec_name((enum codec)batch_codec(&h)),
            batch_is_append_time(&h) ? "LogAppendTime" : "CreateTime",
            truth(batch_is_transactional(&h)), truth(batch_is_control(&h)));
        if (batch_has_delete_horizon(&h)) {
            buf_printf(p->out, ",\"deleteHorizonMs\":%" PRId64, h.base_timestamp);
        }
        if (batch_has_producer(&h)) {
            buf_printf(p->out, ",\"lastSequence\":%" PRId32, batch_last_sequence(&h));
        }
    }
    put_records(p, batch);
    return true;
}

static void put_legacy(struct printer *p, struct bytes entry)
{
    struct legacy_message m;
    legacy_read(entry, &m);
    bool crc = legacy_crc_check(entry);
    unsigned codec = legacy_codec(&m);
    buf_printf(p->out,
               "\"magic\":%d,\"sizeInBytes\":%zu,\"offset\":%" PRId64 ",\"messageSize\":%" PRId32
               ",\"crc\":%" PRIu32 ",\"attributes\":%d,\"crcValid\":%s",
               m.magic, entry.len, m.offset, m.size, m.crc, m.attributes, truth(crc));
    if (!crc) {
        worsen(p, CRC_MISMATCH, NULL);
    }
    if (codec_valid(codec)) {
        buf_printf(p->out, ",\"compression\":\"%s\"", codec_name((enum codec)codec));
        if (m.magic == 1) {
            buf_printf(p->out, ",\"timestampType\":\"%s\"",
                       legacy_is_append_time(&m) ? "LogAppendTime" : "CreateTime");
        }
    }
    buf_put_str(p->out, ",\"records\":");
    size_t start = p->out->len;
    struct legacy_reader r;
    struct record rec;
    int rv = legacy_reader_open(&r, entry, p->limit);
    const char *comma = "[";
    while (rv >= 0 && (rv = legacy_reader_next(&r, &rec)) == 1) {
        buf_put_str(p->out, comma);
        comma = ",";
        put_record(p->out, NULL, &rec);
    }
    buf_put_u8(p->out, ']');
    if (rv < 0) {
        p->out->len = start;
        buf_put_str(p->out, "null");
        worsen(p, BAD_RECORDS, exception_of(r.fault));
    }
    legacy_reader_close(&r);
}

void batch_json(struct bytes records, size_t limit, struct buf *out,
                char outcome[BATCH_JSON_OUTCOME])
{
    struct printer p = {.out = out, .limit = limit};
    struct bytes rest = records;
    struct bytes batch;
    int rv;
    buf_put_str(out, "{\"batches\":[");
    const char *comma = "";
    while ((rv = batch_next(&rest, &batch)) == 1) {
        buf_printf(out, "%s{", comma);
        comma = ",";
        bool framed = true;
        if (batch.data[BATCH_AT_MAGIC] == BATCH_MAGIC) {
            framed = put_batch(&p, batch);
        } else {
            put_legacy(&p, batch);
        }
        buf_put_u8(out, '}');
        if (!framed) {
            worsen(&p, BAD_FRAME, "IndexOutOfBoundsException");
            break;
        }
    }
    buf_printf(out, "],\"unread\":%zu}", rest.len);
    if (rv < 0) {
        worsen(&p, BAD_FRAME,
               rv == ERR_RANGE ? "IllegalArgumentException" : "CorruptRecordException");
    } else if (rv == 0 && rest.len) {
        worsen(&p, INCOMPLETE, NULL);
    }
    static const char *const names[] = {"ok", "incomplete", "bad-records", "crc-mismatch",
                                        "bad-frame"};
    snprintf(outcome, BATCH_JSON_OUTCOME, "%s%s%s", names[p.outcome], p.exception ? ":" : "",
             p.exception ? p.exception : "");
}
