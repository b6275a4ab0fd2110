#include "proto/record_batch.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/varint.h"

_Static_assert(BATCH_LENGTH_LEAST_2 == 49, "header of 61 bytes less base offset and length");

/* ---- Header ---- */

int batch_header_read(struct bytes in, struct batch_header *h)
{
    if (in.len < BATCH_UP_TO_MAGIC) {
        return ERR_TRUNCATED;
    }
    const uint8_t *p = in.data;
    h->base_offset = (int64_t)load_be64(p + BATCH_AT_BASE_OFFSET);
    h->length = (int32_t)load_be32(p + BATCH_AT_LENGTH);
    h->magic = (int8_t)p[BATCH_AT_MAGIC];
    if (h->length < BATCH_LENGTH_LEAST || h->length > INT32_MAX - BATCH_LOG_OVERHEAD ||
        h->magic < 0 || h->magic > BATCH_MAGIC) {
        return ERR_CORRUPT;
    }
    if (h->magic != BATCH_MAGIC) {
        return ERR_UNSUPPORTED;
    }
    if (h->length < BATCH_LENGTH_LEAST_2) {
        return ERR_CORRUPT;
    }
    if (in.len < BATCH_HEADER_SIZE) {
        return ERR_TRUNCATED;
    }
    h->leader_epoch = (int32_t)load_be32(p + BATCH_AT_LEADER_EPOCH);
    h->crc = load_be32(p + BATCH_AT_CRC);
    h->attributes = (int16_t)load_be16(p + BATCH_AT_ATTRIBUTES);
    h->last_offset_delta = (int32_t)load_be32(p + BATCH_AT_LAST_OFFSET_DELTA);
    h->base_timestamp = (int64_t)load_be64(p + BATCH_AT_BASE_TIMESTAMP);
    h->max_timestamp = (int64_t)load_be64(p + BATCH_AT_MAX_TIMESTAMP);
    h->producer_id = (int64_t)load_be64(p + BATCH_AT_PRODUCER_ID);
    h->producer_epoch = (int16_t)load_be16(p + BATCH_AT_PRODUCER_EPOCH);
    h->base_sequence = (int32_t)load_be32(p + BATCH_AT_BASE_SEQUENCE);
    h->record_count = (int32_t)load_be32(p + BATCH_AT_RECORD_COUNT);
    return 0;
}

void batch_header_write(const struct batch_header *h, uint8_t *p)
{
    ASSERT(h->magic == BATCH_MAGIC);
    store_be64(p + BATCH_AT_BASE_OFFSET, (uint64_t)h->base_offset);
    store_be32(p + BATCH_AT_LENGTH, (uint32_t)h->length);
    store_be32(p + BATCH_AT_LEADER_EPOCH, (uint32_t)h->leader_epoch);
    p[BATCH_AT_MAGIC] = (uint8_t)h->magic;
    store_be32(p + BATCH_AT_CRC, h->crc);
    store_be16(p + BATCH_AT_ATTRIBUTES, (uint16_t)h->attributes);
    store_be32(p + BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)h->last_offset_delta);
    store_be64(p + BATCH_AT_BASE_TIMESTAMP, (uint64_t)h->base_timestamp);
    store_be64(p + BATCH_AT_MAX_TIMESTAMP, (uint64_t)h->max_timestamp);
    store_be64(p + BATCH_AT_PRODUCER_ID, (uint64_t)h->producer_id);
    store_be16(p + BATCH_AT_PRODUCER_EPOCH, (uint16_t)h->producer_epoch);
    store_be32(p + BATCH_AT_BASE_SEQUENCE, (uint32_t)h->base_sequence);
    store_be32(p + BATCH_AT_RECORD_COUNT, (uint32_t)h->record_count);
}

int batch_next(struct bytes *rest, struct bytes *batch)
{
    if (rest->len < BATCH_LOG_OVERHEAD) {
        return 0;
    }
    int32_t length = (int32_t)load_be32(rest->data + BATCH_AT_LENGTH);
    if (length < BATCH_LENGTH_LEAST) {
        return ERR_CORRUPT;
    }
    if (rest->len < BATCH_UP_TO_MAGIC) {
        return 0;
    }
    int8_t magic = (int8_t)rest->data[BATCH_AT_MAGIC];
    if (magic < 0 || magic > BATCH_MAGIC) {
        return ERR_CORRUPT;
    }
    if (length > INT32_MAX - BATCH_LOG_OVERHEAD) {
        return ERR_RANGE;
    }
    size_t size = (size_t)BATCH_LOG_OVERHEAD + (size_t)length;
    if (rest->len < size) {
        return 0;
    }
    *batch = (struct bytes){rest->data, size};
    *rest = (struct bytes){rest->data + size, rest->len - size};
    return 1;
}

int32_t batch_sequence_add(int32_t sequence, int32_t n)
{
    int64_t sum = (int64_t)sequence + n;
    return (int32_t)(sum > INT32_MAX ? sum - INT32_MAX - 1 : sum);
}

int32_t batch_last_sequence(const struct batch_header *h)
{
    return h->base_sequence == BATCH_NO_SEQUENCE
               ? BATCH_NO_SEQUENCE
               : batch_sequence_add(h->base_sequence, h->last_offset_delta);
}

/* ---- CRC and patches ---- */

uint32_t batch_crc(struct bytes batch)
{
    ASSERT(batch.len >= BATCH_HEADER_SIZE);
    return crc32c(0, batch.data + BATCH_AT_ATTRIBUTES, batch.len - BATCH_AT_ATTRIBUTES);
}

bool batch_crc_check(struct bytes batch)
{
    return batch.len >= BATCH_HEADER_SIZE &&
           load_be32(batch.data + BATCH_AT_CRC) == batch_crc(batch);
}

void batch_seal(uint8_t *p, size_t size)
{
    ASSERT(size >= BATCH_HEADER_SIZE && size - BATCH_LOG_OVERHEAD <= INT32_MAX);
    store_be32(p + BATCH_AT_LENGTH, (uint32_t)(size - BATCH_LOG_OVERHEAD));
    store_be32(p + BATCH_AT_CRC, batch_crc((struct bytes){p, size}));
}

void batch_set_max_timestamp(uint8_t *p, size_t size, bool append_time, int64_t max_timestamp)
{
    uint16_t attributes = load_be16(p + BATCH_AT_ATTRIBUTES);
    if (((attributes & BATCH_APPEND_TIME) != 0) == append_time &&
        (int64_t)load_be64(p + BATCH_AT_MAX_TIMESTAMP) == max_timestamp) {
        return;
    }
    enum { USED = BATCH_CODEC_MASK | BATCH_TRANSACTIONAL | BATCH_CONTROL | BATCH_DELETE_HORIZON };
    attributes = (uint16_t)((attributes & USED) | (append_time ? BATCH_APPEND_TIME : 0));
    store_be16(p + BATCH_AT_ATTRIBUTES, attributes);
    store_be64(p + BATCH_AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    batch_seal(p, size);
}

/* ---- Records ---- */

/* A cursor over one record: the first failure sticks. */
struct cursor {
    const uint8_t *p;
    const uint8_t *end;
    bool bad;
};

static int64_t take_varlong(struct cursor *c)
{
    uint64_t v;
    size_t n = uvarint_get(c->p, (size_t)(c->end - c->p), 10, &v);
    if (n == 0) {
        c->bad = true;
        return 0;
    }
    c->p += n;
    return zigzag_decode(v);
}

/* Kafka keeps the low 32 bits of five bytes. */
static int32_t zigzag32(uint64_t v)
{
    uint32_t u = (uint32_t)v;
    return (int32_t)(u >> 1 ^ (0u - (u & 1)));
}

static int32_t take_varint(struct cursor *c)
{
    uint64_t v;
    size_t n = uvarint_get(c->p, (size_t)(c->end - c->p), 5, &v);
    if (n == 0) {
        c->bad = true;
        return 0;
    }
    c->p += n;
    return zigzag32(v);
}

/* Length and bytes; any negative length is null. */
static struct bytes take_bytes(struct cursor *c)
{
    int32_t n = take_varint(c);
    if (c->bad || n < 0) {
        return BYTES_NULL;
    }
    if (n > c->end - c->p) {
        c->bad = true;
        return BYTES_NULL;
    }
    struct bytes b = {c->p, (size_t)n};
    c->p += n;
    return b;
}

bool record_header_next(struct bytes *headers, struct record_header *out)
{
    if (headers->len == 0) {
        return false;
    }
    struct cursor c = {headers->data, headers->data + headers->len, false};
    out->key = take_bytes(&c);
    out->value = take_bytes(&c);
    ASSERT(!c.bad && out->key.data != NULL);
    *headers = (struct bytes){c.p, (size_t)(c.end - c.p)};
    return true;
}

static void parse_headers(struct cursor *c, struct record *out)
{
    int32_t n = take_varint(c);
    if (n < 0 || n > c->end - c->p) {
        c->bad = true;
    }
    const uint8_t *start = c->p;
    for (int32_t i = 0; i < n && !c->bad; i++) {
        struct bytes key = take_bytes(c);
        take_bytes(c);
        c->bad = c->bad || key.data == NULL;
    }
    out->header_count = n;
    out->headers = (struct bytes){start, (size_t)(c->p - start)};
}

static int fault_is(enum record_fault *fault, enum record_fault f)
{
    *fault = f;
    return ERR_CORRUPT;
}

int record_parse(struct bytes in, const struct batch_header *h, struct record *out, size_t *used,
                 enum record_fault *fault)
{
    uint64_t v;
    size_t n = uvarint_get(in.data, in.len, 5, &v);
    if (n == 0) {
        return fault_is(fault, in.len < 5 ? RECORD_FAULT_RECORD : RECORD_FAULT_FORM);
    }
    int32_t size = zigzag32(v);
    if (size < 1 || (size_t)size > in.len - n) {
        return fault_is(fault, RECORD_FAULT_RECORD);
    }
    struct cursor c = {in.data + n, in.data + n + size, false};
    out->attributes = (int8_t)*c.p++;
    out->timestamp_delta = take_varlong(&c);
    out->offset_delta = take_varint(&c);
    out->key = take_bytes(&c);
    out->value = take_bytes(&c);
    parse_headers(&c, out);
    if (c.bad || c.p != c.end) {
        return fault_is(fault, RECORD_FAULT_RECORD);
    }
    out->offset = (int64_t)((uint64_t)h->base_offset + (uint64_t)(int64_t)out->offset_delta);
    out->timestamp = batch_is_append_time(h)
                         ? h->max_timestamp
                         : (int64_t)((uint64_t)h->base_timestamp + (uint64_t)out->timestamp_delta);
    *used = n + (size_t)size;
    return 0;
}

/* Would parsing have to go past the bytes in rest? */
static bool record_is_cut(struct bytes rest)
{
    uint64_t v;
    size_t n = uvarint_get(rest.data, rest.len, 5, &v);
    return n == 0 ? rest.len < 5 : zigzag32(v) > 0 && (size_t)zigzag32(v) > rest.len - n;
}

static enum record_fault tail_fault(int tail)
{
    return tail == ERR_TOOBIG ? RECORD_FAULT_LIMIT : RECORD_FAULT_CODEC;
}

int record_reader_open(struct record_reader *r, struct bytes batch, size_t limit)
{
    *r = (struct record_reader){0};
    int rv = batch_header_read(batch, &r->h);
    if (rv < 0) {
        return rv;
    }
    if (batch_size(&r->h) != batch.len) {
        return batch_size(&r->h) > batch.len ? ERR_TRUNCATED : ERR_CORRUPT;
    }
    if (r->h.record_count == 0) {
        return 0; /* nothing is looked at then */
    }
    if (!codec_valid(batch_codec(&r->h))) {
        r->fault = RECORD_FAULT_FORM;
        return ERR_UNSUPPORTED;
    }
    if (r->h.record_count < 0) { /* nothing is opened for it */
        r->fault = RECORD_FAULT_RECORD;
        return ERR_CORRUPT;
    }
    struct bytes payload = {batch.data + BATCH_HEADER_SIZE, batch.len - BATCH_HEADER_SIZE};
    if (batch_codec(&r->h) == CODEC_NONE) {
        r->records = payload;
    } else {
        r->tail = decompress_put((enum codec)batch_codec(&r->h), payload,
                                 limit ? limit : RECORD_LIMIT_DEFAULT, &r->owned);
        if (r->tail == ERR_NOMEM) {
            record_reader_close(r);
            return ERR_NOMEM;
        }
        r->records = buf_bytes(&r->owned);
    }
    r->left = r->h.record_count;
    return 0;
}

static int reader_error(struct record_reader *r, enum record_fault fault)
{
    r->fault = fault;
    r->left = 0;
    return fault == RECORD_FAULT_LIMIT ? ERR_TOOBIG : ERR_CORRUPT;
}

int record_reader_next(struct record_reader *r, struct record *out)
{
    if (r->fault) {
        return reader_error(r, r->fault);
    }
    if (r->left == 0) {
        return 0;
    }
    struct bytes rest = {r->records.data + r->at, r->records.len - r->at};
    size_t used = 0;
    if (record_parse(rest, &r->h, out, &used, &r->fault) < 0) {
        /* Too few bytes because decompression broke there, or a record that is wrong in itself? */
        bool short_of_bytes = r->tail && record_is_cut(rest);
        if (short_of_bytes) {
            r->fault = tail_fault(r->tail);
        } else if (batch_codec(&r->h) != CODEC_NONE) {
            r->fault = RECORD_FAULT_RECORD; /* Kafka tells a malformed length apart only in bytes */
        }
        return reader_error(r, r->fault);
    }
    r->at += used;
    r->read++;
    if (--r->left == 0 && (r->at < r->records.len || r->tail)) {
        return reader_error(r, r->at < r->records.len ? RECORD_FAULT_RECORD : tail_fault(r->tail));
    }
    return 1;
}

void record_reader_close(struct record_reader *r)
{
    buf_free(&r->owned);
    r->records = BYTES_NULL;
    r->left = 0;
}

/* ---- Lookup ---- */

int batch_find_timestamp(struct bytes batch, int64_t t, int64_t from, size_t limit, int64_t *offset,
                         int64_t *timestamp)
{
    struct record_reader r;
    struct record rec;
    bool found = false;
    int rv = record_reader_open(&r, batch, limit);
    if (rv == 0) {
        while (!found && (rv = record_reader_next(&r, &rec)) == 1) {
            found = rec.timestamp >= t && rec.offset >= from;
        }
    }
    if (found) {
        *offset = rec.offset;
        *timestamp = rec.timestamp;
    }
    record_reader_close(&r);
    return rv < 0 ? rv : found;
}

int batch_find_max_timestamp(struct bytes batch, size_t limit, int64_t *offset)
{
    struct record_reader r;
    struct record rec;
    bool found = false;
    int rv = record_reader_open(&r, batch, limit);
    if (rv == 0) {
        while (!found && (rv = record_reader_next(&r, &rec)) == 1) {
            found = rec.timestamp == r.h.max_timestamp;
        }
    }
    if (found) {
        *offset = rec.offset;
    }
    record_reader_close(&r);
    return rv < 0 ? rv : found;
}

/* ---- Control records ---- */

const char *control_type_name(enum control_type type)
{
    switch (type) {
    case CONTROL_ABORT:
        return "ABORT";
    case CONTROL_COMMIT:
        return "COMMIT";
    case CONTROL_LEADER_CHANGE:
        return "LEADER_CHANGE";
    case CONTROL_SNAPSHOT_HEADER:
        return "SNAPSHOT_HEADER";
    case CONTROL_SNAPSHOT_FOOTER:
        return "SNAPSHOT_FOOTER";
    case CONTROL_KRAFT_VERSION:
        return "KRAFT_VERSION";
    case CONTROL_KRAFT_VOTERS:
        return "KRAFT_VOTERS";
    case CONTROL_UNKNOWN:
        break;
    }
    return "UNKNOWN";
}

int control_key_read(struct bytes key, enum control_type *type)
{
    if (key.data == NULL || key.len < 4 || (int16_t)load_be16(key.data) < 0) {
        return ERR_CORRUPT;
    }
    int16_t id = (int16_t)load_be16(key.data + 2);
    *type =
        id >= CONTROL_ABORT && id <= CONTROL_KRAFT_VOTERS ? (enum control_type)id : CONTROL_UNKNOWN;
    return 0;
}

int control_marker_read(struct bytes value, int32_t *coordinator_epoch)
{
    if (value.data == NULL || value.len < 6 || (int16_t)load_be16(value.data) < 0) {
        return ERR_CORRUPT;
    }
    *coordinator_epoch = (int32_t)load_be32(value.data + 2);
    return 0;
}
