/* Messages of magic 0 and 1, which Kafka before 0.11 wrote: read only, because old logs and the
 * golden vectors have them. Nothing writes them, and a Produce with them is refused.
 *
 *   at 0 offset i64, 8 size i32 (bytes that follow), 12 crc u32 (CRC-32 of what follows),
 *   16 magic i8, 17 attributes i8 (0-2 codec, 3 append time), magic 1: 18 timestamp i64,
 *   key (i32 length, bytes), value (i32 length, bytes).
 *
 * A compressed message holds a row of messages in its value. In magic 1 their offsets count from
 * 0 and the outer message has the offset of the last one. */
#ifndef PROTO_RECORD_LEGACY_H
#define PROTO_RECORD_LEGACY_H

#include "proto/record_batch.h"

struct legacy_message {
    int64_t offset;
    int32_t size;
    uint32_t crc;
    int8_t magic;
    int8_t attributes;
    int64_t timestamp; /* magic 0: -1 */
    struct bytes key;
    struct bytes value;
};

/* Reads the message that batch_next gave. ERR_CORRUPT: key or value do not fit; all but them is
 * then set. ERR_UNSUPPORTED: another magic. */
int legacy_read(struct bytes entry, struct legacy_message *m);
bool legacy_crc_check(struct bytes entry);

static inline unsigned legacy_codec(const struct legacy_message *m)
{
    return (unsigned)m->attributes & BATCH_CODEC_MASK;
}

static inline bool legacy_is_append_time(const struct legacy_message *m)
{
    return m->magic == 1 && (m->attributes & BATCH_APPEND_TIME) != 0;
}

/* Iterates over the records of one message: itself, or those in it. */
struct legacy_reader {
    struct legacy_message outer;
    bool single;
    int64_t base; /* magic 1: added to inner offsets */
    struct bytes rest;
    struct bytes entry; /* the message that legacy_reader_next gave last */
    struct buf owned;
    enum record_fault fault;
};

/* As record_reader_open and _next: headers of the records are empty, deltas 0. */
int legacy_reader_open(struct legacy_reader *r, struct bytes entry, size_t limit);
int legacy_reader_next(struct legacy_reader *r, struct record *out);
void legacy_reader_close(struct legacy_reader *r);

#endif
