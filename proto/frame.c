/* What stands around a message: request and response headers, and the prefixes of stored records.
 *
 * Request header 1 is API key, version, correlation id and client id; header 2 adds a tag section,
 * but its client id keeps the old encoding. Which one it is depends on the API key and version
 * before it. Response header 0 is the correlation id, 1 adds a tag section; ApiVersions is always
 * answered with 0, since the client that asks does not know yet what we speak (KIP-511). */
#include "base/assert.h"
#include "proto/cursor.h"
#include "proto/descriptor.h"
#include "proto_apis.h"

enum { FRAME_VERSION = 1 };

static bool served(const struct proto_message *m, int16_t version)
{
    return m != NULL && version >= m->version_min && version <= m->version_max;
}

/* Known tags: none in either header. */
static void skip_tags(struct cursor *c)
{
    int32_t n = (int32_t)cursor_uvarint(c);
    for (int32_t i = 0; i < n && c->err == 0; i++) {
        cursor_uvarint(c);
        int32_t size = (int32_t)cursor_uvarint(c);
        if (size < 0) {
            cursor_fail(c, ERR_CORRUPT);
        } else {
            cursor_take(c, (size_t)size);
        }
    }
}

int proto_read_request_header(struct bytes frame, struct proto_request_header *out)
{
    struct cursor c = cursor_of(frame);
    *out = (struct proto_request_header){.api_key = -1, .version = -1};
    if (cursor_left(&c) >= 2) {
        out->api_key = (int16_t)cursor_be16(&c);
    }
    if (cursor_left(&c) >= 2) {
        out->version = (int16_t)cursor_be16(&c);
    }
    out->correlation_id = (int32_t)cursor_be32(&c);
    if (c.err) {
        return c.err;
    }
    const struct proto_message *m = proto_request(out->api_key);
    if (!served(m, out->version)) {
        return ERR_UNSUPPORTED;
    }
    int16_t n = (int16_t)cursor_be16(&c);
    if (n >= 0) {
        const uint8_t *p = cursor_take(&c, (size_t)n);
        out->client_id = p ? bytes_of(p, (size_t)n) : BYTES_NULL;
    }
    if (out->version >= m->flexible_from) {
        skip_tags(&c);
    }
    out->body_at = frame.len - cursor_left(&c);
    return c.err;
}

void proto_put_request_header(struct buf *out, int16_t api_key, int16_t version,
                              int32_t correlation_id, struct bytes client_id)
{
    const struct proto_message *m = proto_request(api_key);
    ASSERT(m != NULL && client_id.len <= INT16_MAX);
    buf_put_be16(out, (uint16_t)api_key);
    buf_put_be16(out, (uint16_t)version);
    buf_put_be32(out, (uint32_t)correlation_id);
    buf_put_be16(out, bytes_is_null(client_id) ? 0xffff : (uint16_t)client_id.len);
    buf_put(out, client_id.data, client_id.len);
    if (version >= m->flexible_from) {
        buf_put_u8(out, 0);
    }
}

static bool response_has_tags(int16_t api_key, int16_t version)
{
    const struct proto_message *m = proto_response(api_key);
    return m != NULL && api_key != API_API_VERSIONS && version >= m->flexible_from;
}

void proto_put_response_header(struct buf *out, int16_t api_key, int16_t version,
                               int32_t correlation_id)
{
    buf_put_be32(out, (uint32_t)correlation_id);
    if (response_has_tags(api_key, version)) {
        buf_put_u8(out, 0);
    }
}

int proto_skip_response_header(struct bytes frame, int16_t api_key, int16_t version,
                               int32_t *correlation_id, size_t *body_at)
{
    struct cursor c = cursor_of(frame);
    *correlation_id = (int32_t)cursor_be32(&c);
    if (response_has_tags(api_key, version)) {
        skip_tags(&c);
    }
    *body_at = frame.len - cursor_left(&c);
    return c.err;
}

/* ---- Stored records ---- */

int proto_encode_metadata_record(const struct proto_message *m, int16_t version, const void *in,
                                 struct buf *out, struct errmsg *em)
{
    ASSERT(m->kind == PROTO_METADATA);
    size_t before = out->len;
    buf_put_uvarint(out, FRAME_VERSION);
    buf_put_uvarint(out, (uint64_t)m->key);
    buf_put_uvarint(out, (uint64_t)version);
    int err = proto_encode(m, version, in, out, em);
    if (err) {
        out->len = before;
    }
    return err;
}

/* Decodes the rest of a record into a new struct. */
static int decode_body(struct cursor *c, struct arena *a, const struct proto_message *m,
                       int16_t version, void **out)
{
    if (!served(m, version)) {
        return ERR_UNSUPPORTED;
    }
    *out = arena_try(a, m->root->size);
    if (*out == NULL) {
        return ERR_NOMEM;
    }
    size_t used = 0;
    int err = proto_decode(m, version, bytes_of(c->p, cursor_left(c)), &used, a, *out);
    c->p += err ? 0 : used;
    return err;
}

int proto_decode_framed_record(enum proto_store store, struct bytes in, struct arena *a,
                               const struct proto_message **m, int16_t *version, void **out)
{
    struct cursor c = cursor_of(in);
    uint32_t frame = cursor_uvarint(&c);
    uint32_t type = cursor_uvarint(&c);
    uint32_t v = cursor_uvarint(&c);
    *m = NULL;
    *out = NULL;
    *version = -1;
    if (c.err) {
        return c.err;
    }
    if (frame != FRAME_VERSION || type > INT16_MAX || v > INT16_MAX) {
        return ERR_CORRUPT;
    }
    *version = (int16_t)v;
    *m = store == PROTO_STORE_METADATA ? proto_metadata_record((int16_t)type)
                                       : proto_record(store, PROTO_METADATA, (int16_t)type);
    int err = decode_body(&c, a, *m, *version, out);
    return err == 0 && cursor_left(&c) != 0 ? ERR_CORRUPT : err;
}

int proto_decode_metadata_record(struct bytes in, struct arena *a, const struct proto_message **m,
                                 int16_t *version, void **out)
{
    return proto_decode_framed_record(PROTO_STORE_METADATA, in, a, m, version, out);
}

int proto_encode_prefixed(const struct proto_message *m, int16_t version, const void *in,
                          struct buf *out, struct errmsg *em)
{
    size_t before = out->len;
    buf_put_be16(out, (uint16_t)(m->kind == PROTO_COORDINATOR_KEY ? m->key : version));
    int err = proto_encode(m, version, in, out, em);
    if (err) {
        out->len = before;
    }
    return err;
}

int proto_decode_prefixed(const struct proto_message *m, struct bytes in, struct arena *a,
                          int16_t *version, void **out)
{
    struct cursor c = cursor_of(in);
    *version = (int16_t)cursor_be16(&c);
    *out = NULL;
    return c.err ? c.err : decode_body(&c, a, m, *version, out);
}

int proto_decode_coordinator_key(enum proto_store store, struct bytes in, struct arena *a,
                                 const struct proto_message **m, void **out)
{
    struct cursor c = cursor_of(in);
    int16_t type = (int16_t)cursor_be16(&c);
    *m = NULL;
    *out = NULL;
    if (c.err) {
        return c.err;
    }
    *m = proto_record(store, PROTO_COORDINATOR_KEY, type);
    return decode_body(&c, a, *m, 0, out);
}

const struct proto_message *proto_coordinator_value(const struct proto_message *key)
{
    ASSERT(key->kind == PROTO_COORDINATOR_KEY);
    return proto_record(key->store, PROTO_COORDINATOR_VALUE, key->key);
}
