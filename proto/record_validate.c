#include "proto/record_validate.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "proto/record_skim.h"
#include "proto_errors.h"

enum { HOUR_MS = 3600 * 1000, MAX_MESSAGE_BYTES = 1048588 };

void batch_rules_init(struct batch_rules *r, int64_t now_ms)
{
    *r = (struct batch_rules){
        .produce_version = 11,
        .now_ms = now_ms,
        .before_max_ms = INT64_MAX,
        .after_max_ms = HOUR_MS,
        .max_message_bytes = MAX_MESSAGE_BYTES,
        .codec = BATCH_RULES_KEEP_CODEC,
        .level = CODEC_LEVEL_DEFAULT,
    };
}

/* One judgement under way. */
struct job {
    const struct batch_rules *rules;
    struct arena *arena;
    struct batch_verdict *v;
    int64_t max_timestamp; /* of the records seen */
    uint32_t error_cap;
    bool timestamp_error;    /* one of the record errors is about time */
    bool negative_timestamp; /* one is negative, and not "none" */
};

__attribute__((format(printf, 3, 4))) static int16_t refuse(struct batch_verdict *v, int16_t code,
                                                            const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(v->message, sizeof v->message, fmt, ap);
    va_end(ap);
    v->data = NULL;
    v->size = 0;
    return v->error = code;
}

/* ---- Stage 1: what stands in the request, before any partition is asked ---- */

static int16_t frame_code(int rv) /* of batch_next */
{
    return rv == ERR_RANGE ? KE_UNKNOWN_SERVER_ERROR : KE_CORRUPT_MESSAGE;
}

static int16_t check_frame(struct job *j, struct bytes records, struct bytes *batch)
{
    struct batch_verdict *v = j->v;
    struct bytes rest = records;
    int rv = batch_next(&rest, batch);
    if (rv < 0) {
        return refuse(v, frame_code(rv), "the length or magic of the record batch is none");
    }
    if (rv == 0) {
        return refuse(v, KE_INVALID_RECORD, "%zu bytes hold no whole record batch", records.len);
    }
    if (batch->data[BATCH_AT_MAGIC] != BATCH_MAGIC) {
        return refuse(v, KE_INVALID_RECORD, "record batch of magic %d: only magic 2 is taken",
                      batch->data[BATCH_AT_MAGIC]);
    }
    unsigned codec = load_be16(batch->data + BATCH_AT_ATTRIBUTES) & BATCH_CODEC_MASK;
    if (j->rules->produce_version < 7 && !codec_valid(codec)) {
        return refuse(v, KE_UNKNOWN_SERVER_ERROR, "compression codec %u: there are 0 to 4", codec);
    }
    if (j->rules->produce_version < 7 && codec == CODEC_ZSTD) {
        return refuse(v, KE_UNSUPPORTED_COMPRESSION_TYPE,
                      "zstd needs Produce version 7, the request has %d",
                      j->rules->produce_version);
    }
    struct bytes second;
    rv = batch_next(&rest, &second);
    if (rv < 0) {
        return refuse(v, frame_code(rv), "what follows the record batch is none");
    }
    if (rv > 0) {
        return refuse(v, KE_INVALID_RECORD, "more than one record batch for the partition");
    }
    return KE_NONE;
}

/* ---- Stage 2: the batch as a whole ---- */

static int16_t check_batch(struct job *j, struct bytes batch)
{
    struct batch_verdict *v = j->v;
    int64_t base_offset = (int64_t)load_be64(batch.data);
    if (base_offset != 0) {
        v->log_start_known = true;
        return refuse(v, KE_INVALID_RECORD, "base offset %lld of a produced batch: must be 0",
                      (long long)base_offset);
    }
    if (batch.len > (size_t)(j->rules->max_message_bytes < 0 ? 0 : j->rules->max_message_bytes)) {
        return refuse(v, KE_MESSAGE_TOO_LARGE, "batch of %zu bytes, max.message.bytes is %d",
                      batch.len, (int)j->rules->max_message_bytes);
    }
    if (batch_header_read(batch, &v->h) < 0 || !batch_crc_check(batch)) {
        return refuse(v, KE_CORRUPT_MESSAGE, "batch of %zu bytes with a wrong CRC", batch.len);
    }
    return KE_NONE;
}

static int16_t check_header(struct batch_verdict *v)
{
    const struct batch_header *h = &v->h;
    v->log_start_known = true;
    if (!codec_valid(batch_codec(h))) {
        return refuse(v, KE_UNKNOWN_SERVER_ERROR, "compression codec %u: there are 0 to 4",
                      batch_codec(h));
    }
    /* The sum of base offset 0, delta and 1 is taken in 64 bits, as Kafka does. */
    if (h->last_offset_delta < 0 || h->record_count <= 0 ||
        (int64_t)h->last_offset_delta + 1 != h->record_count) {
        return refuse(v, KE_INVALID_RECORD, "record count %d with last offset delta %d",
                      (int)h->record_count, (int)h->last_offset_delta);
    }
    if (batch_is_control(h)) {
        return refuse(v, KE_INVALID_RECORD, "clients must not write control records");
    }
    if (batch_has_producer(h) && h->base_sequence < 0) {
        return refuse(v, KE_INVALID_RECORD, "base sequence %d of producer id %lld",
                      (int)h->base_sequence, (long long)h->producer_id);
    }
    return KE_NONE;
}

/* ---- Stage 3: records ---- */

/* All differences wrap, as Kafka's do. */
static bool time_is_out(const struct batch_rules *r, int64_t timestamp)
{
    int64_t age = (int64_t)((uint64_t)r->now_ms - (uint64_t)timestamp);
    int64_t ahead = (int64_t)(0 - (uint64_t)age);
    return age > r->before_max_ms || ahead > r->after_max_ms;
}

static void add_error(struct job *j, int32_t index, int16_t code, int64_t timestamp)
{
    struct batch_verdict *v = j->v;
    j->timestamp_error = j->timestamp_error || code == KE_INVALID_TIMESTAMP;
    if (v->error_n == BATCH_RECORD_ERRORS_MAX) {
        return;
    }
    if (v->error_n == j->error_cap) {
        uint32_t cap = j->error_cap ? j->error_cap * 4 : 16;
        struct batch_record_error *grown = ARENA_ARRAY(j->arena, struct batch_record_error, cap);
        if (v->error_n) {
            memcpy(grown, v->errors, v->error_n * sizeof *grown);
        }
        v->errors = grown;
        j->error_cap = cap;
    }
    v->errors[v->error_n++] = (struct batch_record_error){index, code, timestamp};
}

/* timestamp is the effective one: the batch's max timestamp where the client set append time. */
static void check_record(struct job *j, int32_t index, bool has_key, int64_t timestamp)
{
    const struct batch_rules *r = j->rules;
    j->max_timestamp = timestamp > j->max_timestamp ? timestamp : j->max_timestamp;
    j->negative_timestamp |= timestamp < 0 && timestamp != BATCH_NO_TIMESTAMP;
    if (r->compacted && !has_key) {
        add_error(j, index, KE_INVALID_RECORD, timestamp);
    } else if (!r->append_time && timestamp != BATCH_NO_TIMESTAMP) {
        if (time_is_out(r, timestamp)) {
            add_error(j, index, KE_INVALID_TIMESTAMP, timestamp);
        }
    } else if (batch_is_append_time(&j->v->h)) {
        add_error(j, index, KE_INVALID_TIMESTAMP, timestamp);
    }
}

/* What is broken ends the walk: the errors of single records before it are not told. */
static int16_t refuse_fault(struct batch_verdict *v, enum record_fault fault, int32_t index)
{
    v->error_n = 0;
    switch (fault) {
    case RECORD_FAULT_CODEC:
        return refuse(v, KE_UNKNOWN_SERVER_ERROR, "the %s stream is broken at record %d",
                      codec_name((enum codec)batch_codec(&v->h)), (int)index);
    case RECORD_FAULT_FORM:
        return refuse(v, KE_UNKNOWN_SERVER_ERROR, "record %d has a malformed length", (int)index);
    case RECORD_FAULT_LIMIT:
        return refuse(v, KE_MESSAGE_TOO_LARGE, "the batch inflates beyond what a broker opens");
    case RECORD_OK:
    case RECORD_FAULT_RECORD:
        break;
    }
    return refuse(v, KE_INVALID_RECORD, "record %d is malformed, or the count of %d is wrong",
                  (int)index, (int)v->h.record_count);
}

/* After all records: their own errors, gathered. */
static int16_t refuse_records(struct job *j)
{
    struct batch_verdict *v = j->v;
    if (v->error_n == 0) {
        return KE_NONE;
    }
    v->message_sent = true;
    if (j->timestamp_error) {
        return refuse(v, KE_INVALID_TIMESTAMP,
                      "One or more records have a timestamp that is not taken");
    }
    return refuse(v, KE_INVALID_RECORD, "%u records of the batch were refused",
                  (unsigned)v->error_n);
}

/* Every record whole, as for an uncompressed batch and before recompression. */
static int16_t walk_exact(struct job *j, struct bytes batch)
{
    struct record_reader r;
    struct record rec;
    int rv = record_reader_open(&r, batch, j->rules->limit);
    if (rv == 0) {
        while ((rv = record_reader_next(&r, &rec)) == 1) {
            check_record(j, r.read - 1, !bytes_is_null(rec.key), rec.timestamp);
        }
    }
    int16_t error = KE_NONE;
    if (rv == ERR_NOMEM) {
        error = refuse(j->v, KE_UNKNOWN_SERVER_ERROR, "no memory to open the batch");
    } else if (rv < 0) {
        error = refuse_fault(j->v, r.fault, r.read);
    }
    j->v->opened = r.owned.len;
    record_reader_close(&r);
    return error ? error : refuse_records(j);
}

/* A compressed batch that stays as it is. Kafka stores one whose offset deltas are not 0, 1, 2...
 * only after writing it anew, for which its walk has not kept enough: it fails, so this must too.
 */
static int16_t walk_skim(struct job *j, struct bytes batch)
{
    struct batch_verdict *v = j->v;
    const struct batch_header *h = &v->h;
    struct bytes payload = {batch.data + BATCH_HEADER_SIZE, batch.len - BATCH_HEADER_SIZE};
    struct record_skim s;
    struct record_skimmed rec;
    bool in_order = true;
    int32_t i = 0;
    int16_t error = KE_NONE;
    if (record_skim_open(&s, (enum codec)batch_codec(h), payload, j->rules->limit) < 0) {
        error = refuse(v, KE_UNKNOWN_SERVER_ERROR, "no memory to open the batch");
        goto out;
    }
    for (; i < h->record_count && record_skim_next(&s, &rec); i++) {
        int64_t created = (int64_t)((uint64_t)h->base_timestamp + (uint64_t)rec.timestamp_delta);
        check_record(j, i, rec.has_key, batch_is_append_time(h) ? h->max_timestamp : created);
        in_order = in_order && rec.offset_delta == i;
    }
    error = record_skim_end(&s) ? refuse_fault(v, s.fault, i) : refuse_records(j);
    if (error == KE_NONE && !in_order) {
        error = refuse(v, KE_UNKNOWN_SERVER_ERROR,
                       "offset deltas of a compressed batch must be 0, 1, 2...");
    }
out:
    v->opened = s.owned.len;
    record_skim_close(&s);
    return error;
}

/* A compressed batch by its header alone: its max timestamp stands for all of them. One that is out
 * of range may be a lie, which Kafka forgives: then the records are asked. */
static int16_t walk_header(struct job *j, struct bytes batch)
{
    const struct batch_header *h = &j->v->h;
    if (batch_is_append_time(h)) {
        /* Then it is every record's timestamp, and the answer is exact. */
        for (int32_t i = 0; i < h->record_count && i < BATCH_RECORD_ERRORS_MAX; i++) {
            check_record(j, i, true, h->max_timestamp);
        }
        return refuse_records(j);
    }
    if (!j->rules->append_time && h->max_timestamp != BATCH_NO_TIMESTAMP &&
        time_is_out(j->rules, h->max_timestamp)) {
        return walk_skim(j, batch);
    }
    j->max_timestamp = h->max_timestamp;
    return KE_NONE;
}

/* ---- Stage 4: the batch that is stored ---- */

static void stamp(struct job *j)
{
    struct batch_verdict *v = j->v;
    const struct batch_rules *r = j->rules;
    batch_set_max_timestamp(v->data, v->size, r->append_time,
                            r->append_time ? r->now_ms : j->max_timestamp);
    int rv = batch_header_read((struct bytes){v->data, v->size}, &v->h);
    ASSERT(rv == 0);
}

static int16_t recompress(struct job *j, struct bytes batch)
{
    struct batch_verdict *v = j->v;
    const struct batch_rules *r = j->rules;
    enum record_fault fault;
    int16_t error = walk_exact(j, batch);
    if (error) {
        return error;
    }
    /* Kafka's writer refuses these although the checks let them pass. */
    if (j->negative_timestamp) {
        return refuse(v, KE_UNKNOWN_SERVER_ERROR, "a negative timestamp cannot be written anew");
    }
    bool no_producer = v->h.producer_id == BATCH_NO_PRODUCER_ID;
    if (no_producer ? batch_is_transactional(&v->h)
                    : v->h.producer_epoch == BATCH_NO_EPOCH || v->h.base_sequence < 0) {
        return refuse(v, KE_UNKNOWN_SERVER_ERROR,
                      "producer id %lld with epoch %d and sequence %d cannot be written anew",
                      (long long)v->h.producer_id, v->h.producer_epoch, (int)v->h.base_sequence);
    }
    int rv =
        batch_recompress(batch, (enum codec)r->codec, r->level, r->limit, &v->rewritten, &fault);
    if (rv < 0) {
        return refuse(v, KE_UNKNOWN_SERVER_ERROR, "the batch cannot be written as %s: %s",
                      codec_name((enum codec)r->codec), err_text(rv));
    }
    v->data = v->rewritten.data;
    v->size = v->rewritten.len;
    if (v->size > (size_t)r->max_message_bytes) {
        v->log_start_known = false;
        return refuse(v, KE_MESSAGE_TOO_LARGE, "batch of %zu bytes as %s, max.message.bytes is %d",
                      v->rewritten.len, codec_name((enum codec)r->codec),
                      (int)r->max_message_bytes);
    }
    return KE_NONE;
}

int16_t batch_validate(uint8_t *data, size_t len, const struct batch_rules *rules, struct arena *a,
                       struct batch_verdict *v)
{
    *v = (struct batch_verdict){0};
    struct job j = {.rules = rules, .arena = a, .v = v, .max_timestamp = BATCH_NO_TIMESTAMP};
    struct bytes batch = BYTES_NULL;
    int16_t error = check_frame(&j, (struct bytes){data, len}, &batch);
    v->in_request = error != KE_NONE;
    error = error ? error : check_batch(&j, batch);
    error = error ? error : check_header(v);
    if (error) {
        return error;
    }
    v->data = data;
    v->size = batch.len;
    enum codec codec = (enum codec)batch_codec(&v->h);
    if (rules->codec != BATCH_RULES_KEEP_CODEC && rules->codec != (int)codec) {
        error = recompress(&j, batch);
    } else if (codec == CODEC_NONE) {
        error = walk_exact(&j, batch);
    } else if (rules->deep || rules->compacted) {
        error = walk_skim(&j, batch);
    } else {
        error = walk_header(&j, batch);
    }
    if (error == KE_NONE) {
        stamp(&j);
    }
    return error;
}

void batch_verdict_free(struct batch_verdict *v)
{
    buf_free(&v->rewritten);
    v->data = NULL;
}

struct bytes batch_record_error_text(const struct batch_rules *rules,
                                     const struct batch_record_error *e, struct arena *a)
{
    if (e->code != KE_INVALID_TIMESTAMP) {
        return bytes_str("A compacted topic takes no record without a key");
    }
    if (rules->append_time || e->timestamp == BATCH_NO_TIMESTAMP) {
        return bytes_str("A producer must not set the timestamp type LogAppendTime");
    }
    return bytes_str(arena_printf(a,
                                  "Timestamp %lld of record %d is out of range: at most %lld ms "
                                  "before and %lld ms after %lld",
                                  (long long)e->timestamp, (int)e->index,
                                  (long long)rules->before_max_ms, (long long)rules->after_max_ms,
                                  (long long)rules->now_ms));
}

int batch_first_is_transactional(struct bytes records)
{
    struct bytes batch;
    int rv = batch_next(&records, &batch);
    if (rv <= 0) {
        return rv;
    }
    return batch.data[BATCH_AT_MAGIC] == BATCH_MAGIC &&
           (load_be16(batch.data + BATCH_AT_ATTRIBUTES) & BATCH_TRANSACTIONAL) != 0;
}

bool batch_first_has_producer(struct bytes records)
{
    struct bytes batch;
    return batch_next(&records, &batch) > 0 && batch.len >= BATCH_HEADER_SIZE &&
           (int64_t)load_be64(batch.data + BATCH_AT_PRODUCER_ID) != BATCH_NO_PRODUCER_ID;
}
