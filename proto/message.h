/* Kafka's messages: one schema file each (schema/NAME.msg), from which gen/gen.py makes C structs
 * (proto_messages.h) and descriptor tables (proto_messages.c); the interpreter in message.c reads,
 * writes, sizes and prints any of them.
 *
 * Naming. ProduceRequest is `struct produce_request`, its nested TopicProduceData `struct
 * produce_request_topic_produce_data`; field TopicData is `topic_data` with its count
 * `topic_data_n` (an array; n == -1 is null). Strings, bytes and records are struct bytes (data ==
 * NULL is null) that point into the decoded input: keep the input alive. uuid is struct uuid. A
 * struct that may be null is a pointer, any other is in line. Every struct starts with `unknown`:
 * tagged fields that this version does not know, kept and written again. Descriptors:
 * `produce_request_msg` (struct proto_message) and `produce_request_topic_produce_data_desc`
 * (struct proto_struct).
 *
 * Failure modes of reading: input that ends early, lengths and counts beyond the bytes that are
 * left, varints too long, null where it is not allowed: all end in an ERR_ code, nothing is
 * allocated beyond a small multiple of the input. */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"

struct proto_tag { /* an unknown tagged field */
    uint32_t tag;
    struct bytes value;
};

struct proto_unknown { /* first member of every generated struct */
    const struct proto_tag *tags;
    uint32_t n;
};

struct proto_struct; /* fields of one struct: message.c and the generated tables */

enum proto_kind {
    PROTO_REQUEST,
    PROTO_RESPONSE,
    PROTO_HEADER,
    PROTO_DATA,
    PROTO_METADATA,
    PROTO_COORDINATOR_KEY,
    PROTO_COORDINATOR_VALUE,
};

/* Record types are numbers of their store; the same number means something else in another one. */
enum proto_store {
    PROTO_STORE_NONE,              /* not a stored record with a type number */
    PROTO_STORE_METADATA,          /* __cluster_metadata */
    PROTO_STORE_REMOTE_LOG,        /* __remote_log_metadata */
    PROTO_STORE_CONSUMER_OFFSETS,  /* __consumer_offsets */
    PROTO_STORE_TRANSACTION_STATE, /* __transaction_state */
    PROTO_STORE_SHARE_STATE,       /* __share_group_state */
};

struct proto_message {
    const char *name; /* "ProduceRequest" */
    enum proto_kind kind;
    int16_t key; /* API key or record type, -1 none */
    int16_t version_min;
    int16_t version_max;   /* -1: retired */
    int16_t flexible_from; /* INT16_MAX: never */
    const struct proto_struct *root;
    enum proto_store store;
};

/* Sets every field to its schema default. */
void proto_init(const struct proto_struct *s, void *out);
static inline void proto_msg_init(const struct proto_message *m, void *out)
{
    proto_init(m->root, out);
}
/* n elements of s in the arena, each set to defaults. */
void *proto_array(struct arena *a, const struct proto_struct *s, size_t n);

/* Reads one message from the front of in; *used (may be NULL) gets the bytes it took. out is the
 * struct that belongs to m; what it points to is in the arena or in in. ERR_UNSUPPORTED: a version
 * outside the schema's. ERR_TRUNCATED, ERR_CORRUPT; ERR_NOMEM past the arena's limit. */
int proto_decode(const struct proto_message *m, int16_t version, struct bytes in, size_t *used,
                 struct arena *a, void *out);
/* Appends to out. A field that the version lacks and that is not at its default: ERR_UNSUPPORTED
 * unless it is ignorable; a null where the version allows none: ERR_INVALID; em names the field.
 * out is cut back to its old length on error. */
int proto_encode(const struct proto_message *m, int16_t version, const void *in, struct buf *out,
                 struct errmsg *em);

/* Where encoded records fields would stand whose bytes are sent from elsewhere (file ranges of a
 * Fetch): a records field with data == PROTO_SPLICE and len N is written as its length alone, and
 * its place is noted. */
extern const uint8_t PROTO_SPLICE[1];
struct proto_splice {
    size_t at; /* position in out where the N bytes belong */
    size_t len;
};
struct proto_splices {
    struct proto_splice *v; /* the caller's array */
    size_t n;
    size_t cap; /* ASSERTs when it does not suffice */
};
int proto_encode_spliced(const struct proto_message *m, int16_t version, const void *in,
                         struct buf *out, struct proto_splices *splices, struct errmsg *em);

/* JSON as Kafka's own converters print it (rules in docs/protocol.md). */
void proto_print_json(const struct proto_message *m, int16_t version, const void *in,
                      struct buf *out);
/* The same with each records field as an object of its batches (batch_json.h). */
void proto_print_json_batches(const struct proto_message *m, int16_t version, const void *in,
                              struct buf *out);

const struct proto_message *proto_request(int16_t api_key); /* NULL if there is none */
const struct proto_message *proto_response(int16_t api_key);
const struct proto_message *proto_metadata_record(int16_t type);
/* A stored record's message: kind PROTO_METADATA, PROTO_COORDINATOR_KEY or _VALUE. */
const struct proto_message *proto_record(enum proto_store store, enum proto_kind kind,
                                         int16_t type);
const struct proto_message *proto_find(const char *name); /* "ProduceRequest", "TopicRecord", ... */
const struct proto_message *const *proto_all(size_t *n);

/* Frames. A request frame (without its length) is header then body; ERR_UNSUPPORTED for an API key
 * or version that has no schema (api_key, version and correlation_id are then set where they could
 * be read). */
struct proto_request_header {
    int16_t api_key;
    int16_t version;
    int32_t correlation_id;
    struct bytes client_id;
    size_t body_at; /* offset of the body in the frame */
};
int proto_read_request_header(struct bytes frame, struct proto_request_header *out);
/* Appends a response header of the right version for (api_key, version). */
void proto_put_response_header(struct buf *out, int16_t api_key, int16_t version,
                               int32_t correlation_id);
/* Appends a request header of the right version. */
void proto_put_request_header(struct buf *out, int16_t api_key, int16_t version,
                              int32_t correlation_id, struct bytes client_id);
/* Bytes of the response header at the front of a response frame: 4, or 4 and its tag section.
 * ERR_TRUNCATED. */
int proto_skip_response_header(struct bytes frame, int16_t api_key, int16_t version,
                               int32_t *correlation_id, size_t *body_at);

/* Framed records: uvarint frame version, key, version, message (metadata log). */
int proto_encode_metadata_record(const struct proto_message *m, int16_t version, const void *in,
                                 struct buf *out, struct errmsg *em);
/* *m and *version tell what was found; ERR_UNSUPPORTED for an unknown type or version, ERR_CORRUPT
 * also for bytes behind the message. */
int proto_decode_metadata_record(struct bytes in, struct arena *a, const struct proto_message **m,
                                 int16_t *version, void **out);
/* The same for another store that frames its records so: PROTO_STORE_REMOTE_LOG. */
int proto_decode_framed_record(enum proto_store store, struct bytes in, struct arena *a,
                               const struct proto_message **m, int16_t *version, void **out);

/* Records with an int16 before the message: values of coordinator records, EndTxnMarker,
 * ConsumerProtocol* and so on have the version there, keys of coordinator records the type (their
 * message is version 0). Trailing bytes are ignored, as Kafka does. */
int proto_encode_prefixed(const struct proto_message *m, int16_t version, const void *in,
                          struct buf *out, struct errmsg *em);
int proto_decode_prefixed(const struct proto_message *m, struct bytes in, struct arena *a,
                          int16_t *version, void **out);
/* *m tells what was found in this store; ERR_UNSUPPORTED for an unknown type. */
int proto_decode_coordinator_key(enum proto_store store, struct bytes in, struct arena *a,
                                 const struct proto_message **m, void **out);
/* The value that belongs to a key; NULL if there is none. */
const struct proto_message *proto_coordinator_value(const struct proto_message *key);

#endif
