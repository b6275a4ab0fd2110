/* The judgement on a Produce: takes the bytes that a client sent for one partition and says, with
 * Kafka's error code, whether they are taken, and makes of them the batch that will be stored.
 *
 * The order of checks is Kafka's, because it decides which code wins: frame and number of batches,
 * magic, base offset, size, CRC, header (count against last offset delta, control, sequence), then
 * the records one by one (keys of a compacted topic, timestamps). An uncompressed batch is always
 * walked. A compressed one is judged by its header unless `deep` is set or the topic wants another
 * codec; what that lets pass stands in docs/record-batches.md.
 *
 * The batch is then patched in place as a leader does: timestamp type and max timestamp (with a new
 * CRC where they change). Base offset and leader epoch are left to the partition's home shard
 * (batch_set_base_offset, batch_set_leader_epoch; the CRC does not cover them). Pure: no clock, the
 * caller gives the time. Runs on the connection's shard. */
#ifndef PROTO_RECORD_VALIDATE_H
#define PROTO_RECORD_VALIDATE_H

#include "base/arena.h"
#include "proto/record_batch.h"

enum { BATCH_RULES_KEEP_CODEC = -1, BATCH_RECORD_ERRORS_MAX = 1000 };

struct batch_rules {
    int16_t produce_version;   /* of the request: zstd is refused below 7 */
    bool deep;                 /* produce.validation=deep: open compressed batches too */
    bool compacted;            /* cleanup.policy has compact: every record needs a key */
    bool append_time;          /* message.timestamp.type=LogAppendTime */
    int64_t now_ms;            /* wall clock */
    int64_t before_max_ms;     /* message.timestamp.before.max.ms */
    int64_t after_max_ms;      /* message.timestamp.after.max.ms */
    int32_t max_message_bytes; /* max.message.bytes of the topic */
    int codec;                 /* compression.type: BATCH_RULES_KEEP_CODEC is "producer" */
    int level;                 /* of that codec; CODEC_LEVEL_DEFAULT */
    size_t limit;              /* decompressed bytes of one batch; 0: RECORD_LIMIT_DEFAULT */
};

/* Kafka's defaults: version 11, shallow, create time, an hour ahead, 1048588 bytes. */
void batch_rules_init(struct batch_rules *r, int64_t now_ms);

struct batch_record_error { /* RecordErrors of the answer */
    int32_t index;          /* of the record in its batch */
    int16_t code;           /* KE_INVALID_RECORD or KE_INVALID_TIMESTAMP */
    int64_t timestamp;
};

struct batch_verdict {
    int16_t error; /* Kafka's code; 0: take it */
    size_t opened; /* bytes that came out of its compression, as far as it was opened */
    /* Taken: */
    uint8_t *data;         /* the batch to store: in the caller's bytes or in `rewritten` */
    size_t size;           /* one whole batch; what trailed it is cut off */
    struct batch_header h; /* as it stands in data, after the patches */
    /* Refused: */
    bool in_request;                   /* for what stands in the request: no log was asked */
    bool log_start_known;              /* Kafka's answer carries the log start offset (else -1) */
    bool message_sent;                 /* Kafka's answer carries an error message (else null) */
    char message[160];                 /* why, for the answer or the log */
    struct batch_record_error *errors; /* in the arena; at most BATCH_RECORD_ERRORS_MAX */
    uint32_t error_n;
    struct buf rewritten; /* batch_verdict_free */
};

/* data[0..len) is the records field of one partition, not null. It is patched in place; refused
 * bytes stay as they were. Record errors are allocated in a. Returns v->error. */
int16_t batch_validate(uint8_t *data, size_t len, const struct batch_rules *rules, struct arena *a,
                       struct batch_verdict *v);
void batch_verdict_free(struct batch_verdict *v);

/* The sentence for one record error, in the arena. */
struct bytes batch_record_error_text(const struct batch_rules *rules,
                                     const struct batch_record_error *e, struct arena *a);

/* What Kafka asks about a whole Produce request before it looks at single partitions: is the first
 * batch of these bytes transactional? 1 yes, 0 no (also when there is no whole batch),
 * ERR_CORRUPT: its frame makes no sense, which Kafka answers with KE_CORRUPT_MESSAGE for EVERY
 * partition of the request. ERR_RANGE: the same with KE_UNKNOWN_SERVER_ERROR. Ask for every
 * partition in order; the first answer that is not 0 is final. */
int batch_first_is_transactional(struct bytes records);
/* Does the first batch name a producer? No also where it ends before it could. */
bool batch_first_has_producer(struct bytes records);

#endif
