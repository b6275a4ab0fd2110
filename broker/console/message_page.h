/* A page of messages: the JSON made of the records that one Fetch brought, in steps, so that the
 * shard does other things in between. Keys and values are handed over in base64, for they are no
 * text as far as the broker knows.
 *
 *     begin -> step ... -> finish (the text)
 *
 * What comes is bounded in records, in bytes of each key and value, and in bytes of the whole. So
 * is the work, for a batch of some hundred bytes may open to as many megabytes: a step opens about
 * PAGE_STEP_BYTES, or a single batch; of a batch no more than PAGE_BATCH_BYTES are opened; and the
 * page ends, at the offset that it tells, when PAGE_OPENED_BYTES were opened for it.
 *
 * Failure modes: what cannot be shown of a batch is told in a sentence ("broken"; the first one,
 * if there are several), and the page goes on behind the batch.
 *
 * Pure: no I/O. */
#ifndef BROKER_CONSOLE_MESSAGE_PAGE_H
#define BROKER_CONSOLE_MESSAGE_PAGE_H

#include "base/json_writer.h"

enum {
    PAGE_STEP_BYTES = 1 << 20,
    PAGE_BATCH_BYTES = 16 << 20,
    PAGE_OPENED_BYTES = 64 << 20,
};

struct message_page_head {
    struct bytes topic;
    int32_t partition;
    int64_t start, end; /* of the partition */
    int64_t from;       /* the least offset that is shown */
    int64_t limit;      /* messages at most */
};

struct message_page { /* stays in place from begin to finish */
    struct json_writer w;
    struct buf text;
    struct buf records; /* as they were fetched */
    struct bytes rest;  /* of them */
    int64_t limit;
    int64_t n;     /* messages so far */
    int64_t next;  /* offset behind the last that was looked at */
    size_t opened; /* bytes of all batches, decompressed */
    char broken[160];
};

/* Copies the records; they may be null. */
void message_page_begin(struct message_page *p, const struct message_page_head *head,
                        struct bytes records);
bool message_page_step(struct message_page *p); /* true: there is more to do */
/* out NULL: nobody wants it. Frees what the page has. */
void message_page_finish(struct message_page *p, struct buf *out);

#endif
