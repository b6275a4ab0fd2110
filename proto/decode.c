#include "proto/decode.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/mem.h"
#include "proto_apis.h"
#include "proto_errors.h"

/* Appends "body":{...} and how many bytes are behind it. */
static int put_body(const struct proto_message *m, int16_t version, struct bytes in, bool batches,
                    size_t *used, struct buf *out, struct errmsg *em)
{
    struct arena a = {0};
    void *msg = proto_array(&a, m->root, 1);
    int err = proto_decode(m, version, in, used, &a, msg);
    if (err == ERR_UNSUPPORTED) {
        errmsg_set(em, err, "%s has no version %d, only %d to %d", m->name, version, m->version_min,
                   m->version_max);
    } else if (err) {
        errmsg_set(em, err, "%s version %d: %s (%zu bytes)", m->name, version, err_text(err),
                   in.len);
    } else if (batches) {
        proto_print_json_batches(m, version, msg, out);
    } else {
        proto_print_json(m, version, msg, out);
    }
    arena_free(&a);
    return err;
}

int proto_describe_message(const struct proto_message *m, int16_t version, struct bytes in,
                           bool batches, struct buf *out, struct errmsg *em)
{
    size_t used = 0;
    size_t before = out->len;
    int err = put_body(m, version, in, batches, &used, out, em);
    if (err == 0 && used != in.len) {
        out->len = before;
        err = errmsg_set(em, ERR_CORRUPT, "%s version %d: ends %zu bytes before the end of the %zu",
                         m->name, version, in.len - used, in.len);
    }
    return err;
}

static int put_frame(const struct proto_message *m, int16_t version, struct bytes body,
                     bool batches, struct buf *out, struct errmsg *em)
{
    size_t used = 0;
    buf_put_str(out, ",\"body\":");
    int err = put_body(m, version, body, batches, &used, out, em);
    if (err == 0 && used != body.len) {
        buf_printf(out, ",\"trailing\":%zu", body.len - used);
    }
    buf_put_u8(out, '}');
    return err;
}

static void remember(struct proto_trace *t, const struct proto_request_header *h)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->pending = mem_realloc(t->pending, t->cap * sizeof *t->pending);
    }
    t->pending[t->n++] = (struct proto_trace_entry){h->correlation_id, h->api_key, h->version};
}

static void put_head(struct buf *out, const char *kind, int16_t api_key, int16_t version,
                     int32_t correlation_id)
{
    const struct proto_api *api = proto_api(api_key);
    buf_printf(out,
               "{\"kind\":\"%s\",\"apiKey\":%d,\"api\":\"%s\",\"version\":%d,"
               "\"correlationId\":%" PRId32,
               kind, api_key, api ? api->name : "unknown", version, correlation_id);
}

static int refuse_header(const struct proto_request_header *h, int err, size_t len,
                         struct errmsg *em)
{
    const struct proto_api *api = proto_api(h->api_key);
    if (err != ERR_UNSUPPORTED) {
        return errmsg_set(em, err, "request header: %s (%zu bytes)", err_text(err), len);
    }
    if (api == NULL) {
        return errmsg_set(em, err, "request header: API key %d does not exist, only 0 to %d",
                          h->api_key, API_KEY_MAX);
    }
    if (api->version_max < 0) {
        return errmsg_set(em, err, "request header: API %d, %s, is retired", h->api_key, api->name);
    }
    return errmsg_set(em, err, "request header: %s has no version %d, only %d to %d", api->name,
                      h->version, api->version_min, api->version_max_unstable);
}

int proto_trace_request(struct proto_trace *t, struct bytes frame, struct buf *out,
                        struct errmsg *em)
{
    struct proto_request_header h;
    size_t before = out->len;
    int err = proto_read_request_header(frame, &h);
    if (err == 0 || err == ERR_UNSUPPORTED) {
        remember(t, &h);
    }
    if (err) {
        return refuse_header(&h, err, frame.len, em);
    }
    put_head(out, "request", h.api_key, h.version, h.correlation_id);
    buf_put_str(out, ",\"clientId\":");
    json_put_string(out, h.client_id);
    struct bytes body = bytes_of(frame.data + h.body_at, frame.len - h.body_at);
    err = put_frame(proto_request(h.api_key), h.version, body, t->batches, out, em);
    if (err) {
        out->len = before;
    }
    return err;
}

int proto_describe_response(struct bytes frame, int16_t api_key, int16_t version, bool batches,
                            struct buf *out, struct errmsg *em)
{
    const struct proto_message *m = proto_response(api_key);
    if (m == NULL) {
        return errmsg_set(em, ERR_UNSUPPORTED, "API key %d does not exist, only 0 to %d", api_key,
                          API_KEY_MAX);
    }
    int32_t correlation_id;
    size_t body_at;
    size_t before = out->len;
    int err = proto_skip_response_header(frame, api_key, version, &correlation_id, &body_at);
    if (err) {
        return errmsg_set(em, err, "response header: %s (%zu bytes)", err_text(err), frame.len);
    }
    struct bytes body = bytes_of(frame.data + body_at, frame.len - body_at);
    if (api_key == API_API_VERSIONS && body.len >= 2 &&
        load_be16(body.data) == KE_UNSUPPORTED_VERSION) {
        version = 0; /* whatever was asked for: the client may know no other */
    }
    put_head(out, "response", api_key, version, correlation_id);
    err = put_frame(m, version, body, batches, out, em);
    if (err) {
        out->len = before;
    }
    return err;
}

int proto_trace_response(struct proto_trace *t, struct bytes frame, struct buf *out,
                         struct errmsg *em)
{
    if (frame.len < 4) {
        return errmsg_set(em, ERR_TRUNCATED, "response header: ends too early (%zu bytes)",
                          frame.len);
    }
    int32_t correlation_id = (int32_t)load_be32(frame.data);
    size_t i = 0;
    while (i < t->n && t->pending[i].correlation_id != correlation_id) {
        i++;
    }
    if (i == t->n) {
        return errmsg_set(em, ERR_NOTFOUND,
                          "no open request has the response's correlation id %" PRId32,
                          correlation_id);
    }
    struct proto_trace_entry e = t->pending[i];
    memmove(t->pending, t->pending + i + 1, (t->n - i - 1) * sizeof *t->pending);
    t->n -= i + 1;
    return proto_describe_response(frame, e.api_key, e.version, t->batches, out, em);
}

void proto_trace_free(struct proto_trace *t)
{
    mem_free(t->pending);
    t->pending = NULL;
    t->n = t->cap = 0;
}
