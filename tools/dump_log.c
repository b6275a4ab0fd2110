/* Log segments and snapshots of the metadata log: a line per batch, and per record where asked.
 * The lines are those of Kafka's tool, which scripts read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "proto/record_legacy.h"
#include "tools/dump.h"

/* One log under way. */
struct walk {
    struct dump *d;
    struct dump_file log;
    int64_t at; /* position of the batch */
    int64_t end;
    int64_t last_offset; /* of the record before; -1 at first, as Kafka's tool begins */
    struct dump_pairs gaps;
    struct buf batch;
    struct buf out;
};

static const char *truth(bool b)
{
    return b ? "true" : "false";
}

static const char *time_name(bool append_time)
{
    return append_time ? "LogAppendTime" : "CreateTime";
}

static const char *legacy_time_name(const struct legacy_message *m)
{
    return m->magic == 0 ? "NoTimestampType" : time_name(legacy_is_append_time(m));
}

static void flush(struct walk *w)
{
    fwrite(buf_bytes(&w->out).data, 1, w->out.len, stdout);
    buf_clear(&w->out);
}

/* ---- Records ---- */

static void put_sequence_and_keys(const struct batch_header *h, const struct record *rec,
                                  struct buf *out)
{
    buf_printf(out, " sequence: %" PRId32 " headerKeys: [",
               h->base_sequence >= 0 ? batch_sequence_add(h->base_sequence, rec->offset_delta)
                                     : BATCH_NO_SEQUENCE);
    struct bytes headers = rec->headers;
    struct record_header header;
    for (const char *comma = ""; record_header_next(&headers, &header); comma = ",") {
        buf_put_str(out, comma);
        utf8_put(out, header.key);
    }
    buf_put_u8(out, ']');
}

static int size_of(struct bytes b)
{
    return bytes_is_null(b) ? -1 : (int)b.len;
}

/* entry is the message of magic 0 or 1 that the record is; h is NULL then. */
static void put_record(struct walk *w, const struct batch_header *h, struct bytes entry,
                       const char *time, const struct record *rec)
{
    struct buf *out = &w->out;
    if (rec->offset != (int64_t)((uint64_t)w->last_offset + 1)) {
        dump_pairs_put(&w->gaps, w->last_offset, rec->offset);
    }
    w->last_offset = rec->offset;
    bool control = h && batch_is_control(h);
    if (!w->d->skip_metadata) {
        buf_printf(out, "| offset: %" PRId64 " %s: %" PRId64 " keySize: %d valueSize: %d",
                   rec->offset, time, rec->timestamp, size_of(rec->key), size_of(rec->value));
        if (h) {
            put_sequence_and_keys(h, rec, out);
        } else {
            struct legacy_message m = {0};
            (void)legacy_read(entry, &m);
            buf_printf(out, " isValid: %s crc: %" PRIu32, truth(legacy_crc_check(entry)), m.crc);
        }
        if (control) {
            dump_put_control(rec, out);
        }
    }
    if (w->d->print && !control) {
        dump_put_contents(w->d, rec, w->d->skip_metadata ? "| " : " ", out);
    }
    buf_put_u8(out, '\n');
}

static const char *fault_text(int rv, enum record_fault fault)
{
    switch (fault) {
    case RECORD_FAULT_CODEC:
        return "the compressed stream is broken";
    case RECORD_FAULT_LIMIT:
        return "the records inflate beyond 128 MiB";
    case RECORD_FAULT_FORM:
        return "the codec or the length of a record is none";
    case RECORD_FAULT_RECORD:
        return "a record is malformed, or their number is wrong";
    case RECORD_OK:
        break;
    }
    return err_text(rv);
}

static void put_records(struct walk *w, struct bytes batch)
{
    struct record_reader r = {0};
    struct record rec;
    int rv = record_reader_open(&r, batch, 0);
    while (rv >= 0 && (rv = record_reader_next(&r, &rec)) == 1) {
        put_record(w, &r.h, BYTES_NULL, time_name(batch_is_append_time(&r.h)), &rec);
        if (w->out.len > 64 << 10) {
            flush(w);
        }
    }
    if (rv < 0) {
        flush(w);
        dump_fail(w->d, "%s: batch at position %" PRId64 ": %s", w->log.path, w->at,
                  fault_text(rv, r.fault));
    }
    record_reader_close(&r);
}

static void put_legacy_records(struct walk *w, struct bytes batch)
{
    struct legacy_reader r = {0};
    struct record rec;
    int rv = legacy_reader_open(&r, batch, 0);
    while (rv >= 0 && (rv = legacy_reader_next(&r, &rec)) == 1) {
        put_record(w, NULL, r.entry, legacy_time_name(&r.outer), &rec);
    }
    if (rv < 0) {
        flush(w);
        dump_fail(w->d, "%s: message at position %" PRId64 ": %s", w->log.path, w->at,
                  fault_text(rv, r.fault));
    }
    legacy_reader_close(&r);
}

/* ---- Batches ---- */

static void put_tail(struct walk *w, struct bytes batch, const char *time, int64_t timestamp,
                     unsigned codec, uint32_t crc, bool valid)
{
    buf_printf(&w->out,
               " position: %" PRId64 " %s: %" PRId64 " size: %zu magic: %d compresscodec: %s"
               " crc: %" PRIu32 " isvalid: %s\n",
               w->at, time, timestamp, batch.len, (int8_t)batch.data[BATCH_AT_MAGIC],
               codec_name((enum codec)codec), crc, truth(valid));
}

static void put_batch(struct walk *w, struct bytes batch)
{
    struct batch_header h;
    if (batch_header_read(batch, &h) < 0) { /* too short for a header of magic 2 */
        dump_fail(w->d, "%s: the batch at position %" PRId64 " of %zu bytes has no whole header",
                  w->log.path, w->at, batch.len);
        return;
    }
    buf_printf(&w->out,
               "baseOffset: %" PRId64 " lastOffset: %" PRId64 " count: %" PRId32
               " baseSequence: %" PRId32 " lastSequence: %" PRId32 " producerId: %" PRId64
               " producerEpoch: %d partitionLeaderEpoch: %" PRId32 " isTransactional: %s"
               " isControl: %s deleteHorizonMs: ",
               h.base_offset, batch_last_offset(&h), h.record_count, h.base_sequence,
               batch_last_sequence(&h), h.producer_id, h.producer_epoch, h.leader_epoch,
               truth(batch_is_transactional(&h)), truth(batch_is_control(&h)));
    if (batch_has_delete_horizon(&h)) {
        buf_printf(&w->out, "OptionalLong[%" PRId64 "]", h.base_timestamp);
    } else {
        buf_put_str(&w->out, "OptionalLong.empty");
    }
    put_tail(w, batch, time_name(batch_is_append_time(&h)), h.max_timestamp, batch_codec(&h), h.crc,
             batch_crc_check(batch));
    if (w->d->deep) {
        put_records(w, batch);
    }
}

static void put_legacy_batch(struct walk *w, struct bytes batch)
{
    struct legacy_message m = {0};
    int rv = legacy_read(batch, &m);
    if (rv < 0 && m.size == 0) {
        dump_fail(w->d, "%s: message at position %" PRId64 ": %s", w->log.path, w->at,
                  err_text(rv));
        return;
    }
    buf_printf(&w->out, "offset: %" PRId64, m.offset);
    put_tail(w, batch, legacy_time_name(&m), m.timestamp, legacy_codec(&m), m.crc,
             legacy_crc_check(batch));
    if (w->d->deep) {
        put_legacy_records(w, batch);
    }
}

static void put_batches(struct walk *w)
{
    int rv;
    while ((rv = dump_batch(w->d, &w->log, w->at, w->end, &w->batch)) == 1) {
        struct bytes batch = buf_bytes(&w->batch);
        if (batch.data[BATCH_AT_MAGIC] == BATCH_MAGIC) {
            put_batch(w, batch);
        } else {
            put_legacy_batch(w, batch);
        }
        w->at += (int64_t)batch.len;
        flush(w);
    }
    if (w->end > w->at && w->d->max_bytes == INT32_MAX) {
        printf("Found %" PRId64 " invalid bytes at the end of %s\n", w->end - w->at, w->log.name);
    }
    if (rv == ERR_CORRUPT) {
        dump_fail(w->d, "%s: what stands at position %" PRId64 " is no record batch", w->log.path,
                  w->at);
    }
}

/* ---- A file ---- */

/* OFFSET-EPOCH.checkpoint, or the one that a format leaves. */
static int print_snapshot_name(struct dump *d, const char *path, const char *name)
{
    int64_t offset;
    int epoch;
    int used = 0;
    if (strcmp(name, "bootstrap.checkpoint") == 0) {
        puts("KRaft bootstrap snapshot");
    } else if (sscanf(name, "%" SCNd64 "-%d%n", &offset, &epoch, &used) == 2 &&
               strcmp(name + used, ".checkpoint") == 0) {
        printf("Snapshot end offset: %" PRId64 ", epoch: %d\n", offset, epoch);
    } else {
        dump_fail(d, "%s: a snapshot's name is OFFSET-EPOCH.checkpoint", path);
        return -1;
    }
    return 0;
}

void dump_log(struct dump *d, const char *path)
{
    struct walk w = {.d = d, .last_offset = -1};
    if (dump_open(d, &w.log, path) < 0) {
        return;
    }
    if (strstr(w.log.name, ".checkpoint") != NULL) {
        if (print_snapshot_name(d, path, w.log.name) < 0) {
            goto out;
        }
    } else {
        int64_t base = dump_base_offset(d, path);
        if (base < 0) {
            goto out;
        }
        printf("Log starting offset: %" PRId64 "\n", base);
    }
    w.end = d->max_bytes < w.log.size && d->max_bytes != INT32_MAX ? d->max_bytes : w.log.size;
    put_batches(&w);
    dump_found(d, DUMP_GAP, path, &w.gaps);
out:
    buf_free(&w.batch);
    buf_free(&w.out);
    dump_close(&w.log);
}
