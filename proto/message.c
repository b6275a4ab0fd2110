/* Reading: one walk over the descriptors of a message, in wire order, into its C struct. A struct
 * starts as a copy of its defaults, so that a field that the version lacks needs no work.
 *
 * Tolerance is Kafka's own, because clients have come to depend on it: any negative length is null,
 * any bool byte but 0 is true, unknown tags are kept in the order in which they came, known ones
 * may come in any order and more than once (the last one counts), and the size that stands before
 * a known tag's value is not looked at.
 *
 * Failure modes: see message.h. A count is compared with the least number of bytes that so many
 * elements take in this version, before memory is taken for them. */
#include "proto/message.h"

#include "base/assert.h"
#include "proto/cursor.h"
#include "proto/descriptor.h"

enum { STRING_MAX = 32767, UNKNOWN_FIRST = 4 };

struct decoder {
    struct cursor c;
    struct arena *a;
    int16_t version;
    bool flexible;
};

static const uint8_t empty_place[1]; /* where empty strings and bytes point to */

static void decode_struct(struct decoder *d, const struct proto_struct *s, uint8_t *out);

static void *decode_alloc(struct decoder *d, size_t n)
{
    void *p = arena_try(d->a, n);
    if (p == NULL) {
        cursor_fail(&d->c, ERR_NOMEM);
    }
    return p;
}

/* A length or count with null as -1, of the compact or the old encoding. Every other negative
 * number is null, too. */
static int32_t decode_length(struct decoder *d, bool compact)
{
    int32_t n = compact ? (int32_t)(cursor_uvarint(&d->c) - 1) : (int32_t)cursor_be32(&d->c);
    return n < 0 ? -1 : n;
}

static struct bytes decode_slice(struct decoder *d, int32_t n, bool nullable)
{
    if (n < 0) {
        if (!nullable) {
            cursor_fail(&d->c, ERR_CORRUPT);
        }
        return BYTES_NULL;
    }
    const uint8_t *p = cursor_take(&d->c, (size_t)n);
    return (struct bytes){p ? p : empty_place, p ? (size_t)n : 0};
}

static struct bytes decode_string(struct decoder *d, bool compact, bool nullable)
{
    int32_t n = compact ? (int32_t)(cursor_uvarint(&d->c) - 1) : (int16_t)cursor_be16(&d->c);
    if (n > STRING_MAX) {
        cursor_fail(&d->c, ERR_CORRUPT);
        return BYTES_NULL;
    }
    return decode_slice(d, n, nullable);
}

static inline __attribute__((always_inline)) void decode_scalar(struct cursor *c,
                                                                enum proto_type type, void *out)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    const uint8_t *p;
    switch (type) {
    case PT_BOOL:
        *(bool *)out = cursor_u8(c) != 0;
        return;
    case PT_INT8:
        *(uint8_t *)out = cursor_u8(c);
        return;
    case PT_INT16:
    case PT_UINT16:
        v16 = cursor_be16(c);
        memcpy(out, &v16, sizeof v16);
        return;
    case PT_INT32:
    case PT_UINT32:
        v32 = cursor_be32(c);
        memcpy(out, &v32, sizeof v32);
        return;
    case PT_INT64:
    case PT_FLOAT64:
        v64 = cursor_be64(c);
        memcpy(out, &v64, sizeof v64);
        return;
    case PT_UUID:
        p = cursor_take(c, sizeof(struct uuid));
        if (p) {
            memcpy(out, p, sizeof(struct uuid));
        }
        return;
    default:
        UNREACHABLE();
    }
}

/* Bytes of an element in memory and the least of it on the wire. */
static size_t element_size(const struct decoder *d, const struct proto_field *f, size_t *wire)
{
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 8, 8, 16};
    switch (f->elem) {
    case PT_STRING:
        *wire = d->flexible ? 1 : 2;
        return sizeof(struct bytes);
    case PT_BYTES:
    case PT_RECORDS:
        *wire = d->flexible ? 1 : 4;
        return sizeof(struct bytes);
    case PT_STRUCT:
        *wire = f->sub->wire_min[d->version];
        return f->sub->size;
    default:
        ASSERT(f->elem < sizeof size);
        *wire = size[f->elem];
        return size[f->elem];
    }
}

static void decode_elements(struct decoder *d, const struct proto_field *f, uint8_t *at,
                            size_t size, int32_t n)
{
    uint8_t *end = at + size * (size_t)n;
    if (f->elem == PT_STRUCT) {
        for (; at < end && d->c.err == 0; at += size) {
            decode_struct(d, f->sub, at);
        }
    } else if (f->elem == PT_STRING) {
        for (; at < end && d->c.err == 0; at += size) {
            *(struct bytes *)(void *)at = decode_string(d, d->flexible, false);
        }
    } else if (f->elem == PT_BYTES || f->elem == PT_RECORDS) {
        for (; at < end && d->c.err == 0; at += size) {
            *(struct bytes *)(void *)at = decode_slice(d, decode_length(d, d->flexible), false);
        }
    } else {
        for (; at < end && d->c.err == 0; at += size) {
            decode_scalar(&d->c, f->elem, at);
        }
    }
}

static void decode_array(struct decoder *d, const struct proto_field *f, uint8_t *at)
{
    int32_t n = decode_length(d, d->flexible);
    uint8_t *v = NULL;
    if (n < 0 && !proto_versions_have(f->nullable, d->version)) {
        cursor_fail(&d->c, ERR_CORRUPT);
        n = 0;
    }
    if (n > 0) {
        size_t wire;
        size_t size = element_size(d, f, &wire);
        if ((size_t)n * (wire ? wire : 1) > cursor_left(&d->c)) {
            cursor_fail(&d->c, ERR_TRUNCATED);
            n = 0;
        } else if ((v = decode_alloc(d, size * (size_t)n)) != NULL) {
            decode_elements(d, f, v, size, n);
        } else {
            n = 0;
        }
    }
    memcpy(at, &v, sizeof v);
    memcpy(at + PROTO_COUNT_AT, &n, sizeof n);
}

static void decode_struct_ptr(struct decoder *d, const struct proto_field *f, uint8_t *at)
{
    uint8_t *v = NULL;
    bool present = true;
    if (f->tag >= 0) { /* whether it is there is an uvarint in the value of a tag, else an int8 */
        present = (int32_t)cursor_uvarint(&d->c) > 0;
    } else if (proto_versions_have(f->nullable, d->version)) {
        present = (int8_t)cursor_u8(&d->c) >= 0;
    }
    if (present && d->c.err == 0) {
        v = decode_alloc(d, f->sub->size);
        if (v) {
            decode_struct(d, f->sub, v);
        }
    }
    memcpy(at, &v, sizeof v);
}

static inline __attribute__((always_inline)) void
decode_field(struct decoder *d, const struct proto_field *f, uint8_t *at)
{
    bool compact = d->flexible && !(f->flags & PF_OLD);
    switch (f->type) {
    case PT_STRING:
        *(struct bytes *)(void *)at =
            decode_string(d, compact, proto_versions_have(f->nullable, d->version));
        return;
    case PT_BYTES:
    case PT_RECORDS:
        *(struct bytes *)(void *)at = decode_slice(d, decode_length(d, compact),
                                                   proto_versions_have(f->nullable, d->version));
        return;
    case PT_ARRAY:
        decode_array(d, f, at);
        return;
    case PT_STRUCT:
        decode_struct(d, f->sub, at);
        return;
    case PT_STRUCT_PTR:
        decode_struct_ptr(d, f, at);
        return;
    default:
        decode_scalar(&d->c, f->type, at);
        return;
    }
}

/* The tagged field with this tag. A tag that some other version knows is refused, as Kafka does:
 * *refused. */
static const struct proto_field *find_tag(const struct decoder *d, const struct proto_struct *s,
                                          uint32_t tag, bool *refused)
{
    for (size_t i = s->inline_n; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if ((uint32_t)f->tag == tag) {
            *refused = !proto_versions_have(f->tagged, d->version);
            return *refused ? NULL : f;
        }
    }
    return NULL;
}

static void keep_unknown(struct decoder *d, struct proto_unknown *u, uint32_t tag, int32_t size)
{
    if (size < 0) {
        cursor_fail(&d->c, ERR_CORRUPT);
        return;
    }
    const uint8_t *p = cursor_take(&d->c, (size_t)size);
    /* A list that is full has 4, 8, 16... entries: it moves to one of twice the length. */
    bool full = u->n == 0 || (u->n >= UNKNOWN_FIRST && (u->n & (u->n - 1)) == 0);
    if (d->c.err == 0 && full) {
        size_t cap = u->n ? (size_t)u->n * 2 : UNKNOWN_FIRST;
        struct proto_tag *grown = decode_alloc(d, cap * sizeof *grown);
        if (grown && u->n) {
            memcpy(grown, u->tags, u->n * sizeof *grown);
        }
        u->tags = grown ? grown : u->tags;
    }
    if (d->c.err == 0) {
        struct proto_tag *list = (struct proto_tag *)u->tags;
        list[u->n++] = (struct proto_tag){tag, bytes_of(p, (size_t)size)};
    }
}

static void decode_tags(struct decoder *d, const struct proto_struct *s, uint8_t *out)
{
    int32_t n = (int32_t)cursor_uvarint(&d->c);
    for (int32_t i = 0; i < n && d->c.err == 0; i++) {
        uint32_t tag = cursor_uvarint(&d->c);
        int32_t size = (int32_t)cursor_uvarint(&d->c);
        bool refused = false;
        const struct proto_field *f = find_tag(d, s, tag, &refused);
        if (f) {
            decode_field(d, f, out + f->offset);
        } else if (refused) {
            cursor_fail(&d->c, ERR_CORRUPT);
        } else {
            keep_unknown(d, (struct proto_unknown *)(void *)out, tag, size);
        }
    }
}

static void decode_struct(struct decoder *d, const struct proto_struct *s, uint8_t *out)
{
    memcpy(out, s->defaults, s->size);
    const struct proto_field *end = s->fields + s->inline_n;
    for (const struct proto_field *f = s->fields; f < end; f++) {
        if (proto_versions_have(f->versions, d->version)) {
            decode_field(d, f, out + f->offset);
        }
    }
    if (d->flexible) {
        decode_tags(d, s, out);
    }
}

int proto_decode(const struct proto_message *m, int16_t version, struct bytes in, size_t *used,
                 struct arena *a, void *out)
{
    if (version < m->version_min || version > m->version_max) {
        return ERR_UNSUPPORTED;
    }
    struct decoder d = {
        .c = cursor_of(in),
        .a = a,
        .version = version,
        .flexible = version >= m->flexible_from,
    };
    const uint8_t *start = d.c.p;
    decode_struct(&d, m->root, out);
    if (used) {
        *used = (size_t)(d.c.p - start);
    }
    return d.c.err;
}

void proto_init(const struct proto_struct *s, void *out)
{
    memcpy(out, s->defaults, s->size);
}

void *proto_array(struct arena *a, const struct proto_struct *s, size_t n)
{
    uint8_t *v = arena_alloc(a, n * s->size);
    for (size_t i = 0; i < n; i++) {
        memcpy(v + i * s->size, s->defaults, s->size);
    }
    return v;
}
