/* Writing: one walk over the descriptors, into a buffer with room checked once per field. The size
 * that stands before a tagged field is written after it: one byte is left free, and the value moves
 * up when that does not suffice, so no byte is written more often than its depth of tags.
 *
 * Failure modes: a field that the version lacks and that is not at its default (ERR_UNSUPPORTED
 * unless ignorable), null where the version allows none or a list of unknown tags that does not
 * rise (ERR_INVALID), a string above 32767 bytes (ERR_TOOBIG). The first one sticks; the buffer is
 * cut back. */
#include "proto/message.h"

#include "base/assert.h"
#include "base/varint.h"
#include "proto/descriptor.h"

enum { STRING_MAX = 32767, FIELD_ROOM = 32 /* of any scalar, with a length and a tag before it */ };

const uint8_t PROTO_SPLICE[1] = {0};

struct encoder {
    uint8_t *p;
    uint8_t *end;
    struct buf *b;
    const struct proto_message *m;
    struct proto_splices *splices; /* NULL: none are allowed */
    size_t spliced;                /* sum of their lengths */
    struct errmsg *em;
    int err;
    int16_t version;
    bool flexible;
};

static void encode_struct(struct encoder *e, const struct proto_struct *s, const uint8_t *in);

static __attribute__((noinline)) void encoder_grow(struct encoder *e, size_t n)
{
    e->b->len = (size_t)(e->p - e->b->data);
    buf_reserve(e->b, n);
    e->p = e->b->data + e->b->len;
    e->end = e->b->data + e->b->cap;
}

static inline void encoder_room(struct encoder *e, size_t n)
{
    if (__builtin_expect((size_t)(e->end - e->p) < n, 0)) {
        encoder_grow(e, n);
    }
}

static inline void put_uvarint(struct encoder *e, uint32_t v)
{
    e->p += uvarint_put(e->p, v);
}

static inline void put_be16(struct encoder *e, uint16_t v)
{
    store_be16(e->p, v);
    e->p += 2;
}

static inline void put_be32(struct encoder *e, uint32_t v)
{
    store_be32(e->p, v);
    e->p += 4;
}

static void encoder_fail(struct encoder *e, int err, const struct proto_struct *s,
                         const struct proto_field *f, const char *what)
{
    if (e->err == 0) {
        e->err = errmsg_set(e->em, err, "%s version %d: %s.%s %s", e->m->name, e->version, s->name,
                            f ? f->name : "(tags)", what);
    }
}

static void put_length(struct encoder *e, bool compact, int32_t n)
{
    if (compact) {
        put_uvarint(e, (uint32_t)n + 1);
    } else {
        put_be32(e, (uint32_t)n);
    }
}

static void encode_string(struct encoder *e, const struct proto_struct *s,
                          const struct proto_field *f, struct bytes v, bool compact, bool nullable)
{
    if (bytes_is_null(v)) {
        if (!nullable) {
            encoder_fail(e, ERR_INVALID, s, f, "must not be null");
        } else if (compact) {
            put_uvarint(e, 0);
        } else {
            put_be16(e, 0xffff);
        }
        return;
    }
    if (v.len > STRING_MAX) {
        encoder_fail(e, ERR_TOOBIG, s, f, "is longer than the 32767 bytes of a string");
        return;
    }
    encoder_room(e, v.len + FIELD_ROOM);
    if (compact) {
        put_uvarint(e, (uint32_t)v.len + 1);
    } else {
        put_be16(e, (uint16_t)v.len);
    }
    memcpy(e->p, v.data, v.len);
    e->p += v.len;
}

static void encode_bytes(struct encoder *e, const struct proto_struct *s,
                         const struct proto_field *f, struct bytes v, bool compact, bool nullable)
{
    if (bytes_is_null(v)) {
        if (!nullable) {
            encoder_fail(e, ERR_INVALID, s, f, "must not be null");
            return;
        }
        put_length(e, compact, -1);
        return;
    }
    if (v.len > INT32_MAX - 1) {
        encoder_fail(e, ERR_TOOBIG, s, f, "is longer than 2147483646 bytes");
        return;
    }
    if (v.data == PROTO_SPLICE) {
        ASSERT(e->splices != NULL && e->splices->n < e->splices->cap);
        put_length(e, compact, (int32_t)v.len);
        e->splices->v[e->splices->n++] = (struct proto_splice){(size_t)(e->p - e->b->data), v.len};
        e->spliced += v.len;
        return;
    }
    encoder_room(e, v.len + FIELD_ROOM);
    put_length(e, compact, (int32_t)v.len);
    memcpy(e->p, v.data, v.len);
    e->p += v.len;
}

static inline __attribute__((always_inline)) void
encode_scalar(struct encoder *e, enum proto_type type, const void *in)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    switch (type) {
    case PT_BOOL:
        *e->p++ = *(const bool *)in;
        return;
    case PT_INT8:
        *e->p++ = *(const uint8_t *)in;
        return;
    case PT_INT16:
    case PT_UINT16:
        memcpy(&v16, in, sizeof v16);
        put_be16(e, v16);
        return;
    case PT_INT32:
    case PT_UINT32:
        memcpy(&v32, in, sizeof v32);
        put_be32(e, v32);
        return;
    case PT_INT64:
    case PT_FLOAT64:
        memcpy(&v64, in, sizeof v64);
        store_be64(e->p, v64);
        e->p += 8;
        return;
    case PT_UUID:
        memcpy(e->p, in, sizeof(struct uuid));
        e->p += sizeof(struct uuid);
        return;
    default:
        UNREACHABLE();
    }
}

static void encode_elements(struct encoder *e, const struct proto_struct *s,
                            const struct proto_field *f, const uint8_t *v, size_t n)
{
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 8, 8, 16};
    for (size_t i = 0; i < n && e->err == 0; i++) {
        encoder_room(e, FIELD_ROOM);
        if (f->elem == PT_STRUCT) {
            encode_struct(e, f->sub, v + i * f->sub->size);
        } else if (f->elem == PT_STRING) {
            encode_string(e, s, f, ((const struct bytes *)(const void *)v)[i], e->flexible, false);
        } else if (f->elem == PT_BYTES || f->elem == PT_RECORDS) {
            encode_bytes(e, s, f, ((const struct bytes *)(const void *)v)[i], e->flexible, false);
        } else {
            ASSERT(f->elem < sizeof size);
            encode_scalar(e, f->elem, v + i * size[f->elem]);
        }
    }
}

static void encode_array(struct encoder *e, const struct proto_struct *s,
                         const struct proto_field *f, const uint8_t *at)
{
    const uint8_t *v;
    int32_t n;
    memcpy(&v, at, sizeof v);
    memcpy(&n, at + PROTO_COUNT_AT, sizeof n);
    ASSERT(n >= -1 && (n <= 0 || v != NULL));
    if (n < 0 && !proto_versions_have(f->nullable, e->version)) {
        encoder_fail(e, ERR_INVALID, s, f, "must not be null");
        return;
    }
    put_length(e, e->flexible, n);
    if (n > 0) {
        encode_elements(e, s, f, v, (size_t)n);
    }
}

static void encode_struct_ptr(struct encoder *e, const struct proto_struct *s,
                              const struct proto_field *f, const uint8_t *at)
{
    const uint8_t *v;
    memcpy(&v, at, sizeof v);
    bool nullable = proto_versions_have(f->nullable, e->version);
    if (v == NULL && !nullable) {
        encoder_fail(e, ERR_INVALID, s, f, "must not be null");
        return;
    }
    if (nullable) { /* an int8; in the value of a tag an uvarint, where null is 0 */
        *e->p++ = v ? 1 : f->tag >= 0 ? 0 : 0xff;
    }
    if (v) {
        encode_struct(e, f->sub, v);
    }
}

static inline __attribute__((always_inline)) void encode_field(struct encoder *e,
                                                               const struct proto_struct *s,
                                                               const struct proto_field *f,
                                                               const uint8_t *at)
{
    bool compact = e->flexible && !(f->flags & PF_OLD);
    bool nullable;
    encoder_room(e, FIELD_ROOM);
    switch (f->type) {
    case PT_STRING:
        nullable = proto_versions_have(f->nullable, e->version);
        encode_string(e, s, f, *(const struct bytes *)(const void *)at, compact, nullable);
        return;
    case PT_BYTES:
    case PT_RECORDS:
        nullable = proto_versions_have(f->nullable, e->version);
        encode_bytes(e, s, f, *(const struct bytes *)(const void *)at, compact, nullable);
        return;
    case PT_ARRAY:
        encode_array(e, s, f, at);
        return;
    case PT_STRUCT:
        encode_struct(e, f->sub, at);
        return;
    case PT_STRUCT_PTR:
        encode_struct_ptr(e, s, f, at);
        return;
    default:
        encode_scalar(e, f->type, at);
        return;
    }
}

static bool struct_is_default(const struct proto_struct *s, const uint8_t *in)
{
    /* Most are copies of the defaults, padding included. */
    if (memcmp(in, s->defaults, s->size) == 0) {
        return true;
    }
    if (((const struct proto_unknown *)(const void *)in)->n != 0) {
        return false;
    }
    for (size_t i = 0; i < s->fields_n; i++) {
        if (!proto_field_is_default(s, &s->fields[i], in)) {
            return false;
        }
    }
    return true;
}

bool proto_field_is_default(const struct proto_struct *s, const struct proto_field *f,
                            const void *in)
{
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 8, 8, 16};
    const uint8_t *at = (const uint8_t *)in + f->offset;
    const uint8_t *initial = (const uint8_t *)s->defaults + f->offset;
    const uint8_t *v;
    const uint8_t *initial_v;
    int32_t n;
    switch (f->type) {
    case PT_STRING:
    case PT_BYTES:
    case PT_RECORDS:
        return bytes_eq(*(const struct bytes *)(const void *)at,
                        *(const struct bytes *)(const void *)initial);
    case PT_ARRAY: /* empty or null by default */
        memcpy(&n, at + PROTO_COUNT_AT, sizeof n);
        return n <= 0 && memcmp(&n, initial + PROTO_COUNT_AT, sizeof n) == 0;
    case PT_STRUCT:
        return struct_is_default(f->sub, at);
    case PT_STRUCT_PTR:
        memcpy(&v, at, sizeof v);
        memcpy(&initial_v, initial, sizeof initial_v);
        return initial_v ? v != NULL && struct_is_default(f->sub, v) : v == NULL;
    default:
        ASSERT(f->type < sizeof size);
        return memcmp(at, initial, size[f->type]) == 0;
    }
}

static void encode_tag(struct encoder *e, const struct proto_struct *s, const struct proto_field *f,
                       const uint8_t *in)
{
    encoder_room(e, FIELD_ROOM);
    put_uvarint(e, (uint32_t)f->tag);
    size_t size_at = (size_t)(e->p++ - e->b->data);
    size_t spliced = e->spliced;
    size_t first_splice = e->splices ? e->splices->n : 0;
    encode_field(e, s, f, in + f->offset);
    size_t written = (size_t)(e->p - e->b->data) - size_at - 1;
    size_t size = written + e->spliced - spliced;
    size_t more = uvarint_size(size) - 1;
    if (size > INT32_MAX) {
        encoder_fail(e, ERR_TOOBIG, s, f, "is longer than 2147483647 bytes");
        return;
    }
    encoder_room(e, more);
    uint8_t *at = e->b->data + size_at;
    if (more) {
        memmove(at + 1 + more, at + 1, written);
        e->p += more;
        for (size_t i = first_splice; e->splices && i < e->splices->n; i++) {
            e->splices->v[i].at += more;
        }
    }
    uvarint_put(at, size);
}

/* Unknown tags below `tag`, from *next on. */
static void encode_unknown(struct encoder *e, const struct proto_struct *s,
                           const struct proto_unknown *u, uint32_t *next, int64_t below)
{
    for (; *next < u->n && u->tags[*next].tag < below; (*next)++) {
        const struct proto_tag *t = &u->tags[*next];
        if ((*next > 0 && t->tag <= u->tags[*next - 1].tag) || t->value.len > INT32_MAX) {
            encoder_fail(e, ERR_INVALID, s, NULL, "are not in rising order");
            return;
        }
        encoder_room(e, t->value.len + FIELD_ROOM);
        put_uvarint(e, t->tag);
        put_uvarint(e, (uint32_t)t->value.len);
        if (t->value.len) {
            memcpy(e->p, t->value.data, t->value.len);
            e->p += t->value.len;
        }
    }
}

static void encode_tags(struct encoder *e, const struct proto_struct *s, const uint8_t *in)
{
    const struct proto_unknown *u = (const struct proto_unknown *)(const void *)in;
    uint32_t n = u->n;
    uint64_t set = 0; /* bit i: tagged field i is written */
    ASSERT(s->fields_n - s->inline_n <= 64);
    for (size_t i = s->inline_n; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if (proto_field_is_default(s, f, in)) {
            continue;
        }
        if (proto_versions_have(f->tagged, e->version)) {
            set |= UINT64_C(1) << (i - s->inline_n);
            n++;
        } else if (!(f->flags & PF_IGNORABLE)) {
            encoder_fail(e, ERR_UNSUPPORTED, s, f, "is set, but this version lacks it");
        }
    }
    encoder_room(e, FIELD_ROOM);
    put_uvarint(e, n);
    uint32_t next = 0;
    for (size_t i = s->inline_n; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if (set & UINT64_C(1) << (i - s->inline_n)) {
            encode_unknown(e, s, u, &next, f->tag);
            encode_tag(e, s, f, in);
        }
        if (next < u->n && u->tags[next].tag == (uint32_t)f->tag) {
            encoder_fail(e, ERR_INVALID, s, f, "is given as an unknown tag");
        }
    }
    encode_unknown(e, s, u, &next, INT64_MAX);
}

/* A version without tag sections can carry neither unknown nor known tagged fields. */
static void refuse_tags(struct encoder *e, const struct proto_struct *s, const uint8_t *in)
{
    if (((const struct proto_unknown *)(const void *)in)->n != 0) {
        encoder_fail(e, ERR_UNSUPPORTED, s, NULL, "are set, but this version has none");
    }
    for (size_t i = s->inline_n; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if (!(f->flags & PF_IGNORABLE) && !proto_field_is_default(s, f, in)) {
            encoder_fail(e, ERR_UNSUPPORTED, s, f, "is set, but this version lacks it");
        }
    }
}

static void encode_struct(struct encoder *e, const struct proto_struct *s, const uint8_t *in)
{
    const struct proto_field *end = s->fields + s->inline_n;
    for (const struct proto_field *f = s->fields; f < end; f++) {
        if (proto_versions_have(f->versions, e->version)) {
            encode_field(e, s, f, in + f->offset);
        } else if (!(f->flags & PF_IGNORABLE) && !proto_field_is_default(s, f, in)) {
            encoder_fail(e, ERR_UNSUPPORTED, s, f, "is set, but this version lacks it");
        }
    }
    if (e->flexible) {
        encode_tags(e, s, in);
    } else {
        refuse_tags(e, s, in);
    }
}

static int encode_message(const struct proto_message *m, int16_t version, const void *in,
                          struct buf *out, struct proto_splices *splices, struct errmsg *em)
{
    if (version < m->version_min || version > m->version_max) {
        return errmsg_set(em, ERR_UNSUPPORTED, "%s has no version %d, only %d to %d", m->name,
                          version, m->version_min, m->version_max);
    }
    size_t before = out->len;
    buf_reserve(out, FIELD_ROOM);
    struct encoder e = {
        .p = out->data + out->len,
        .end = out->data + out->cap,
        .b = out,
        .m = m,
        .splices = splices,
        .em = em,
        .version = version,
        .flexible = version >= m->flexible_from,
    };
    encode_struct(&e, m->root, in);
    out->len = e.err ? before : (size_t)(e.p - out->data);
    return e.err;
}

int proto_encode(const struct proto_message *m, int16_t version, const void *in, struct buf *out,
                 struct errmsg *em)
{
    return encode_message(m, version, in, out, NULL, em);
}

int proto_encode_spliced(const struct proto_message *m, int16_t version, const void *in,
                         struct buf *out, struct proto_splices *splices, struct errmsg *em)
{
    return encode_message(m, version, in, out, splices, em);
}
