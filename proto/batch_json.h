/* Record batches as JSON, in the form of the golden vectors (tests/data/vectors/batches.tsv): for
 * `millrace decode`, tests and people. */
#ifndef PROTO_BATCH_JSON_H
#define PROTO_BATCH_JSON_H

#include "proto/record_batch.h"

enum { BATCH_JSON_OUTCOME = 64 };

/* Appends {"batches":[...],"unread":n} for the row of batches, of any magic, in records. outcome
 * says how it went: "ok", "incomplete" (ends inside a batch), "crc-mismatch", "bad-frame:..."
 * (length or magic makes no sense), "bad-records:..." (the CRC is right, the records are not); the
 * text behind the colon is the name that Kafka's exception has. limit as in record_reader_open. */
void batch_json(struct bytes records, size_t limit, struct buf *out,
                char outcome[BATCH_JSON_OUTCOME]);

#endif
