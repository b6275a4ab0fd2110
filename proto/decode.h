/* Frames as JSON, for people: what `millrace decode` prints. A response does not say what it
 * answers; a trace remembers the requests of a connection and finds the one by its correlation id.
 *
 * One frame becomes one JSON object: kind, apiKey, api, version, correlationId, clientId
 * (requests), body, and trailing (bytes behind the message, if any). The body is printed as
 * proto_print_json does. Failure modes: what cannot be read is an ERR_ with a sentence that says
 * how far it went; nothing is then appended. */
#ifndef PROTO_DECODE_H
#define PROTO_DECODE_H

#include "proto/message.h"

struct proto_trace_entry {
    int32_t correlation_id;
    int16_t api_key;
    int16_t version;
};

struct proto_trace {
    bool batches; /* print records fields as batches instead of base64 */
    struct proto_trace_entry *pending;
    size_t n;
    size_t cap;
};

/* Frames are given without their length. A request is remembered even if its body is broken. */
int proto_trace_request(struct proto_trace *t, struct bytes frame, struct buf *out,
                        struct errmsg *em);
/* ERR_NOTFOUND: no request with its correlation id is open. Requests before the one it answers are
 * taken for unanswered (acks=0) and forgotten. */
int proto_trace_response(struct proto_trace *t, struct bytes frame, struct buf *out,
                         struct errmsg *em);
void proto_trace_free(struct proto_trace *t);

/* A response whose request is known otherwise. */
int proto_describe_response(struct bytes frame, int16_t api_key, int16_t version, bool batches,
                            struct buf *out, struct errmsg *em);
/* A bare message: its body alone is printed. */
int proto_describe_message(const struct proto_message *m, int16_t version, struct bytes in,
                           bool batches, struct buf *out, struct errmsg *em);

#endif
