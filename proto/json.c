/* JSON of a message, by the rules of Kafka's own converters (docs/protocol.md): fields in schema
 * order under their names with a small first letter, those that the version lacks and tagged ones
 * at their default left out, unknown tags left out. Records, which Kafka's converters leave out,
 * are written as base64. Cannot fail. */
#include "base/json.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/base64.h"
#include "proto/batch_json.h"
#include "proto/descriptor.h"

struct printer {
    struct buf *out;
    int16_t version;
    bool batches; /* records as batches, not as base64 */
};

static void print_struct(struct printer *p, const struct proto_struct *s, const uint8_t *in);

static void print_bytes(struct buf *out, struct bytes v)
{
    if (bytes_is_null(v)) {
        buf_put_str(out, "null");
        return;
    }
    buf_put_u8(out, '"');
    base64_put(out, v);
    buf_put_u8(out, '"');
}

static void print_records(struct printer *p, struct bytes v)
{
    char outcome[BATCH_JSON_OUTCOME];
    if (p->batches && !bytes_is_null(v)) {
        batch_json(v, 0, p->out, outcome);
        p->out->len--; /* the closing brace: the outcome goes into the same object */
        buf_printf(p->out, ",\"outcome\":\"%s\"}", outcome);
    } else {
        print_bytes(p->out, v);
    }
}

static void print_value(struct printer *p, enum proto_type type, const void *at)
{
    struct buf *out = p->out;
    switch (type) {
    case PT_BOOL:
        buf_put_str(out, *(const bool *)at ? "true" : "false");
        return;
    case PT_INT8:
        buf_printf(out, "%d", *(const int8_t *)at);
        return;
    case PT_INT16:
        buf_printf(out, "%d", *(const int16_t *)at);
        return;
    case PT_UINT16:
        buf_printf(out, "%u", *(const uint16_t *)at);
        return;
    case PT_INT32:
        buf_printf(out, "%" PRId32, *(const int32_t *)at);
        return;
    case PT_UINT32:
        buf_printf(out, "%" PRIu32, *(const uint32_t *)at);
        return;
    case PT_INT64:
        buf_printf(out, "%" PRId64, *(const int64_t *)at);
        return;
    case PT_FLOAT64:
        json_put_double(out, *(const double *)at);
        return;
    case PT_UUID:
        buf_put_u8(out, '"');
        base64url_put(out, bytes_of(at, sizeof(struct uuid)));
        buf_put_u8(out, '"');
        return;
    case PT_STRING:
        json_put_string(out, *(const struct bytes *)at);
        return;
    case PT_BYTES:
        print_bytes(out, *(const struct bytes *)at);
        return;
    case PT_RECORDS:
        print_records(p, *(const struct bytes *)at);
        return;
    default:
        UNREACHABLE();
    }
}

static void print_array(struct printer *p, const struct proto_field *f, const uint8_t *at)
{
    struct buf *out = p->out;
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 8, 16};
    const uint8_t *v;
    int32_t n;
    memcpy(&v, at, sizeof v);
    memcpy(&n, at + PROTO_COUNT_AT, sizeof n);
    if (n < 0) {
        buf_put_str(out, "null");
        return;
    }
    size_t size = f->elem == PT_STRUCT         ? f->sub->size
                  : f->elem < ARRAY_LEN(sizes) ? sizes[f->elem]
                                               : sizeof(struct bytes);
    buf_put_u8(out, '[');
    for (int32_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_put_u8(out, ',');
        }
        const uint8_t *elem = v + size * (size_t)i;
        if (f->elem == PT_STRUCT) {
            print_struct(p, f->sub, elem);
        } else {
            print_value(p, f->elem, elem);
        }
    }
    buf_put_u8(out, ']');
}

static void print_field(struct printer *p, const struct proto_field *f, const uint8_t *at)
{
    const uint8_t *v;
    switch (f->type) {
    case PT_ARRAY:
        print_array(p, f, at);
        return;
    case PT_STRUCT:
        print_struct(p, f->sub, at);
        return;
    case PT_STRUCT_PTR:
        memcpy(&v, at, sizeof v);
        if (v) {
            print_struct(p, f->sub, v);
        } else {
            buf_put_str(p->out, "null");
        }
        return;
    default:
        print_value(p, f->type, at);
        return;
    }
}

static void print_struct(struct printer *p, const struct proto_struct *s, const uint8_t *in)
{
    char before = '{';
    for (size_t i = 0; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[s->order[i]];
        bool shown = f->tag < 0 ? proto_versions_have(f->versions, p->version)
                                : proto_versions_have(f->tagged, p->version) &&
                                      !proto_field_is_default(s, f, in);
        if (shown) {
            buf_put_u8(p->out, (uint8_t)before);
            buf_put_u8(p->out, '"');
            buf_put_str(p->out, f->name);
            buf_put_str(p->out, "\":");
            print_field(p, f, in + f->offset);
            before = ',';
        }
    }
    buf_put_str(p->out, before == '{' ? "{}" : "}");
}

void proto_print_json(const struct proto_message *m, int16_t version, const void *in,
                      struct buf *out)
{
    struct printer p = {.out = out, .version = version, .batches = false};
    print_struct(&p, m->root, in);
}

void proto_print_json_batches(const struct proto_message *m, int16_t version, const void *in,
                              struct buf *out)
{
    struct printer p = {.out = out, .version = version, .batches = true};
    print_struct(&p, m->root, in);
}
