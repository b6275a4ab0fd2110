/* Record batches of magic 2: what Kafka puts on the wire and on the disk, byte for byte (KIP-98).
 *
 *   at 0  base offset i64      17 crc u32 (CRC-32C of byte 21 to the end)   43 producer id i64
 *      8  batch length i32     21 attributes i16                            51 producer epoch i16
 *     12  leader epoch i32     23 last offset delta i32                     53 base sequence i32
 *     16  magic i8             27 base timestamp i64                        57 record count i32
 *                              35 max timestamp i64                         61 records
 *
 * A batch is stored as it came: a leader patches base offset and leader epoch, which the CRC does
 * not cover, in place. The codec covers the records only. Everything here is pure: no I/O, no
 * state; slices point into the caller's bytes and must not outlive them. Producers' batches are
 * judged by record_validate.h; magic 0 and 1 are only read, by record_legacy.h.
 *
 * Failure modes. Input that ends too early (ERR_TRUNCATED), a length or magic that makes no sense
 * or records that do not fit the header (ERR_CORRUPT), another magic (ERR_UNSUPPORTED), records
 * that inflate beyond the caller's limit (ERR_TOOBIG). No header is believed: memory grows with the
 * bytes that really come. */
#ifndef PROTO_RECORD_BATCH_H
#define PROTO_RECORD_BATCH_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "proto/compress.h"

enum {
    BATCH_AT_BASE_OFFSET = 0,
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_ATTRIBUTES = 21, /* the CRC covers from here on */
    BATCH_AT_LAST_OFFSET_DELTA = 23,
    BATCH_AT_BASE_TIMESTAMP = 27,
    BATCH_AT_MAX_TIMESTAMP = 35,
    BATCH_AT_PRODUCER_ID = 43,
    BATCH_AT_PRODUCER_EPOCH = 51,
    BATCH_AT_BASE_SEQUENCE = 53,
    BATCH_AT_RECORD_COUNT = 57,
    BATCH_HEADER_SIZE = 61,
    BATCH_LOG_OVERHEAD = 12, /* base offset and batch length: size of a batch = 12 + length */
    BATCH_UP_TO_MAGIC = 17,  /* bytes needed to tell length and magic */
    BATCH_LENGTH_LEAST = 14, /* least batch length of any magic (that of magic 0) */
    BATCH_LENGTH_LEAST_2 = BATCH_HEADER_SIZE - BATCH_LOG_OVERHEAD,
    BATCH_MAGIC = 2,
};

enum batch_attribute {
    BATCH_CODEC_MASK = 0x07, /* enum codec; 5 to 7 mean nothing */
    BATCH_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40, /* base timestamp is the delete horizon */
};

#define BATCH_NO_TIMESTAMP   INT64_C(-1)
#define BATCH_NO_PRODUCER_ID INT64_C(-1)
#define BATCH_NO_EPOCH       (-1)
#define BATCH_NO_SEQUENCE    (-1)

struct batch_header {
    int64_t base_offset;
    int32_t length; /* as stored: bytes behind the length field */
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
};

/* ---- Header ---- */

/* Reads the header at the front of in, which must hold BATCH_HEADER_SIZE bytes but need not hold
 * the whole batch (compare batch_size with what is there). ERR_TRUNCATED: fewer bytes.
 * ERR_CORRUPT: a length below the least, or magic above 2 or negative. ERR_UNSUPPORTED: magic 0 or
 * 1; base_offset, length and magic are set. */
int batch_header_read(struct bytes in, struct batch_header *h);
/* Writes all 61 bytes at p as h says, crc included (batch_seal computes it). */
void batch_header_write(const struct batch_header *h, uint8_t *p);

/* The next whole batch, of any magic, at the front of *rest: 1, *batch set and *rest moved behind
 * it. 0: the bytes end or end inside a batch; *rest is what was left over. ERR_CORRUPT: a length
 * below BATCH_LENGTH_LEAST or a magic that is none. ERR_RANGE: a length whose batch would be larger
 * than 2 GiB, which Kafka answers differently. Exactly what Kafka takes for a batch: only
 * batch_header_read tells whether a magic 2 header fits. */
int batch_next(struct bytes *rest, struct bytes *batch);

static inline size_t batch_size(const struct batch_header *h)
{
    return (size_t)BATCH_LOG_OVERHEAD + (size_t)h->length;
}

static inline int64_t batch_last_offset(const struct batch_header *h)
{
    return (int64_t)((uint64_t)h->base_offset + (uint64_t)(int64_t)h->last_offset_delta);
}

static inline int64_t batch_next_offset(const struct batch_header *h)
{
    return (int64_t)((uint64_t)batch_last_offset(h) + 1);
}

static inline unsigned batch_codec(const struct batch_header *h) /* may be 5 to 7: codec_valid */
{
    return (unsigned)h->attributes & BATCH_CODEC_MASK;
}

static inline bool batch_is_append_time(const struct batch_header *h)
{
    return (h->attributes & BATCH_APPEND_TIME) != 0;
}

static inline bool batch_is_transactional(const struct batch_header *h)
{
    return (h->attributes & BATCH_TRANSACTIONAL) != 0;
}

static inline bool batch_is_control(const struct batch_header *h)
{
    return (h->attributes & BATCH_CONTROL) != 0;
}

static inline bool batch_has_delete_horizon(const struct batch_header *h)
{
    return (h->attributes & BATCH_DELETE_HORIZON) != 0;
}

static inline bool batch_has_producer(const struct batch_header *h)
{
    return h->producer_id > BATCH_NO_PRODUCER_ID;
}

/* Sequence of the last record; sequences wrap from 2^31-1 to 0. BATCH_NO_SEQUENCE without one. */
int32_t batch_last_sequence(const struct batch_header *h);
/* sequence + n, n >= 0, wrapped. */
int32_t batch_sequence_add(int32_t sequence, int32_t n);

/* ---- CRC and patches in place; p is the first byte of a whole magic 2 batch ---- */

uint32_t batch_crc(struct bytes batch);   /* CRC-32C of byte 21 to the end */
bool batch_crc_check(struct bytes batch); /* false also for less than a header */
void batch_seal(uint8_t *p, size_t size); /* stores length (size - 12) and CRC */

static inline void batch_set_base_offset(uint8_t *p, int64_t offset)
{
    store_be64(p + BATCH_AT_BASE_OFFSET, (uint64_t)offset);
}

static inline void batch_set_leader_epoch(uint8_t *p, int32_t epoch)
{
    store_be32(p + BATCH_AT_LEADER_EPOCH, (uint32_t)epoch);
}

/* Stamps timestamp type and max timestamp and the CRC anew, if either differs from what is there;
 * unused attribute bits are then cleared (as Kafka does). */
void batch_set_max_timestamp(uint8_t *p, size_t size, bool append_time, int64_t max_timestamp);

/* ---- Records ---- */

struct record {
    int8_t attributes; /* unused by Kafka, 0 */
    int32_t offset_delta;
    int64_t timestamp_delta;
    int64_t offset;    /* base offset + delta */
    int64_t timestamp; /* base timestamp + delta; the batch's max timestamp with append time */
    struct bytes key;  /* data == NULL: null */
    struct bytes value;
    int32_t header_count;
    struct bytes headers; /* encoded, without the count: record_header_next */
};

struct record_header {
    struct bytes key; /* never null */
    struct bytes value;
};

/* Takes the next header off *headers (a copy of record.headers) and returns true; false at the end.
 * Records that record_reader gave have been checked, so it cannot fail. */
bool record_header_next(struct bytes *headers, struct record_header *out);

/* Whose fault a batch is that cannot be read; Kafka answers them differently. */
enum record_fault {
    RECORD_OK,
    RECORD_FAULT_RECORD, /* records do not fit the header: Kafka's InvalidRecordException */
    RECORD_FAULT_CODEC,  /* the compressed stream is broken: KafkaException */
    RECORD_FAULT_FORM,   /* codec 5 to 7, or in an uncompressed batch a record length of more than 5
                            bytes: IllegalArgumentException */
    RECORD_FAULT_LIMIT,  /* beyond the limit on decompressed bytes; Kafka has none */
};

/* Iterates over the records of one batch. The memory of a compressed batch's records belongs to the
 * reader: records are good until record_reader_close. */
struct record_reader {
    struct batch_header h;
    struct bytes records; /* uncompressed */
    size_t at;
    int32_t left;            /* records to come */
    int32_t read;            /* records that came */
    enum record_fault fault; /* when an ERR_ came */
    int tail; /* ERR_ that ended decompression early, met behind the last byte; or 0 */
    struct buf owned;
};

/* batch is one whole batch (batch_next). limit bounds the decompressed records (bytes); 0 means
 * RECORD_LIMIT_DEFAULT. The CRC is not checked. ERR_CORRUPT, ERR_UNSUPPORTED (codec or magic),
 * ERR_TOOBIG, ERR_TRUNCATED: nothing to close then, closing does no harm. */
enum { RECORD_LIMIT_DEFAULT = 128 << 20 };
int record_reader_open(struct record_reader *r, struct bytes batch, size_t limit);
/* 1: *out is the next record. 0: the end, and the batch was whole (count and bytes agree).
 * ERR_CORRUPT otherwise. */
int record_reader_next(struct record_reader *r, struct record *out);
void record_reader_close(struct record_reader *r);

/* Parses one record at the front of in; *used gets its bytes. Used by the reader and by tools.
 * ERR_CORRUPT; *fault tells which. */
int record_parse(struct bytes in, const struct batch_header *h, struct record *out, size_t *used,
                 enum record_fault *fault);

/* ---- Lookup ---- */

/* The first record with timestamp >= t and offset >= from. 1 found; 0 none; ERR_ as the reader. */
int batch_find_timestamp(struct bytes batch, int64_t t, int64_t from, size_t limit, int64_t *offset,
                         int64_t *timestamp);
/* Offset of the first record whose timestamp is the batch's max timestamp (what ListOffsets -3
 * wants). 1 found; 0 none has it; ERR_ as the reader. */
int batch_find_max_timestamp(struct bytes batch, size_t limit, int64_t *offset);

/* ---- Control records ---- */

enum control_type {
    CONTROL_UNKNOWN = -1, /* a type that is not below: skip it */
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
};

/* "COMMIT", "LEADER_CHANGE"...; "UNKNOWN" for others. */
const char *control_type_name(enum control_type type);
/* Type of a control record by its key (version int16 >= 0, type int16). ERR_CORRUPT: too short or a
 * negative version. Values of types 2 to 6 are the messages LeaderChangeMessage,
 * SnapshotHeaderRecord, SnapshotFooterRecord, KRaftVersionRecord, VotersRecord behind an int16
 * version. */
int control_key_read(struct bytes key, enum control_type *type);
/* Value of ABORT and COMMIT. */
int control_marker_read(struct bytes value, int32_t *coordinator_epoch);

/* ---- Building ---- */

/* Header fields that a builder takes over. Zero-initialise with BATCH_OPTIONS_DEFAULT: create time,
 * no producer, epoch -1, uncompressed. */
struct batch_options {
    int64_t base_offset;
    int32_t leader_epoch;
    bool append_time; /* then max timestamp is append_time_ms */
    int64_t append_time_ms;
    bool transactional;
    bool control;
    int64_t delete_horizon_ms; /* BATCH_NO_TIMESTAMP: none; else bit 6 and base timestamp */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    enum codec codec;
    int level; /* CODEC_LEVEL_DEFAULT */
};
#define BATCH_OPTIONS_DEFAULT                                        \
    ((struct batch_options){.leader_epoch = BATCH_NO_EPOCH,          \
                            .delete_horizon_ms = BATCH_NO_TIMESTAMP, \
                            .producer_id = BATCH_NO_PRODUCER_ID,     \
                            .producer_epoch = BATCH_NO_EPOCH,        \
                            .base_sequence = BATCH_NO_SEQUENCE,      \
                            .codec = CODEC_NONE,                     \
                            .level = CODEC_LEVEL_DEFAULT})

/* Collects records and makes one batch of them. Zero-initialise, batch_builder_init, add..., finish
 * (which begins anew), init again or free. */
struct batch_builder {
    struct batch_options opt;
    struct buf records; /* encoded, uncompressed */
    int32_t count;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t last_offset_delta;
};

void batch_builder_init(struct batch_builder *b, const struct batch_options *opt);
/* The next record, at the next offset. headers may be NULL when n is 0. */
void batch_builder_add(struct batch_builder *b, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct record_header *headers, size_t n);
/* A record of another batch, its headers copied as they are, at offset delta (which must rise; a
 * compacted batch has gaps). Its attributes are written as 0. */
void batch_builder_add_record(struct batch_builder *b, int32_t offset_delta, int64_t timestamp,
                              const struct record *rec);
/* A control record: its key is made here, value is the encoded body. */
void batch_builder_add_control(struct batch_builder *b, int64_t timestamp, enum control_type type,
                               struct bytes value);
/* Bytes that finish would write without compression. */
size_t batch_builder_size(const struct batch_builder *b);
/* A compacted batch keeps its last offset although the record is gone; also for an empty one. */
void batch_builder_set_last_offset_delta(struct batch_builder *b, int32_t delta);
/* Appends the batch to out and clears the records. 0, or ERR_ of the codec (out as before). With no
 * records at all it writes a header alone. */
int batch_builder_finish(struct batch_builder *b, struct buf *out);
void batch_builder_free(struct batch_builder *b);

/* Appends the batch of one transaction marker: producer and epoch from opt, value made here. */
void batch_put_marker(struct buf *out, const struct batch_options *opt, int64_t timestamp,
                      bool commit, int32_t coordinator_epoch);

/* Appends the batch anew under another codec: same records, base offset, leader epoch, producer and
 * flags; offset deltas 0, 1, 2..., create time with every record's effective timestamp, base
 * timestamp the first record's: what a leader makes for a topic whose compression.type is not
 * "producer" (batch_set_max_timestamp then stamps append time). ERR_ as the reader and the codec;
 * *fault (may be NULL) tells which; out is cut back then. */
int batch_recompress(struct bytes batch, enum codec codec, int level, size_t limit, struct buf *out,
                     enum record_fault *fault);

#endif
