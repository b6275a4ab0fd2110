/* Walking over the records of a compressed batch the way Kafka's broker does when it stores the
 * batch as it came: field by field, without looking at record lengths or contents. What is odd
 * there is taken, and it must end where Kafka's walk ends. Private to record_validate.c. */
#ifndef PROTO_RECORD_SKIM_H
#define PROTO_RECORD_SKIM_H

#include "proto/record_batch.h"

struct record_skim {
    struct bytes in; /* decompressed records */
    size_t at;
    int tail; /* ERR_ that ended decompression early, or 0 */
    enum record_fault fault;
    struct buf owned;
};

struct record_skimmed {
    int64_t timestamp_delta;
    int32_t offset_delta;
    bool has_key;
};

/* 0, or ERR_NOMEM. Errors of the stream are met where it breaks. */
int record_skim_open(struct record_skim *s, enum codec codec, struct bytes payload, size_t limit);
/* false: s->fault says why. */
bool record_skim_next(struct record_skim *s, struct record_skimmed *out);
/* After the last record: RECORD_OK if nothing is left. */
enum record_fault record_skim_end(struct record_skim *s);
void record_skim_close(struct record_skim *s);

#endif
