/* The tables that gen/gen.py makes of the schema: what the interpreter (message.c, json.c) walks.
 * Nobody else needs this header. One proto_field is a line of a .msg file; a proto_struct is a
 * message or a struct in it. The fields that stand in line come first, in wire order; the tagged
 * ones follow, in rising order of their tags. */
#ifndef PROTO_DESCRIPTOR_H
#define PROTO_DESCRIPTOR_H

#include "proto/message.h"

enum proto_type {
    PT_BOOL,
    PT_INT8,
    PT_INT16,
    PT_UINT16,
    PT_INT32,
    PT_UINT32,
    PT_INT64,
    PT_FLOAT64,
    PT_UUID,
    PT_STRING,
    PT_BYTES,
    PT_RECORDS,
    PT_STRUCT,
    PT_STRUCT_PTR, /* may be null: a pointer */
    PT_ARRAY,
};

enum {
    PF_IGNORABLE = 1, /* dropped silently when the version lacks the field */
    PF_OLD = 2,       /* keeps the old encoding in flexible versions */
};

/* low and how many versions above it; {-1, 0} matches no version. */
struct proto_versions {
    int16_t low;
    uint16_t more;
};

static inline bool proto_versions_have(struct proto_versions v, int16_t version)
{
    return (uint16_t)(version - v.low) <= v.more;
}

struct proto_field {
    const char *name; /* as JSON has it: "topicData" */
    const struct proto_struct *sub;
    uint16_t offset; /* in the C struct; an array's int32 count stands behind its pointer */
    uint8_t type;    /* enum proto_type */
    uint8_t elem;    /* of an array: enum proto_type */
    uint8_t flags;   /* PF_ */
    int16_t tag;     /* -1: never tagged */
    struct proto_versions versions;
    struct proto_versions nullable;
    struct proto_versions tagged;
};

struct proto_struct {
    const char *name;
    const void *defaults; /* an instance at its defaults */
    const struct proto_field *fields;
    const uint8_t *order;    /* indexes of fields in schema order, for printing */
    const uint8_t *wire_min; /* least bytes on the wire, by version */
    uint16_t size;           /* of the C struct */
    uint8_t inline_n;        /* fields that stand in line */
    uint8_t fields_n;
};

/* Is this field of an instance of s at its default? Unknown tags in a struct make it differ. */
bool proto_field_is_default(const struct proto_struct *s, const struct proto_field *f,
                            const void *in);

/* Where an array keeps its count, relative to the field's offset. */
enum { PROTO_COUNT_AT = sizeof(void *) };

extern const struct proto_message *const proto_messages_by_name[];
extern const size_t proto_messages_n;
extern const struct proto_message *const proto_requests_by_key[];
extern const size_t proto_requests_by_key_n;
extern const struct proto_message *const proto_responses_by_key[];
extern const size_t proto_responses_by_key_n;
extern const struct proto_message *const proto_metadata_by_type[];
extern const size_t proto_metadata_by_type_n;

#endif
