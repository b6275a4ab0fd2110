#include "broker/forward.h"

#include "base/mem.h"
#include "broker/config.h"
#include "broker/peer_address.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { ENVELOPE_VERSION = 0, RETRY_MS = 50, ARENA_MAX = 64 * 1024 * 1024 };

static void send_envelope(struct forward_call *f);

/* ---- one envelope ---- */

/* The principal of an unauthenticated connection, as Kafka writes it: version, then the message. */
static void put_principal(struct buf *out)
{
    struct default_principal_data p;
    struct errmsg em;
    proto_msg_init(&default_principal_data_msg, &p);
    p.type = bytes_str("User");
    p.name = bytes_str("ANONYMOUS");
    buf_put_be16(out, 0);
    int rc = proto_encode(&default_principal_data_msg, 0, &p, out, &em);
    ASSERT(rc == 0);
}

static void finish(struct forward_call *f, int16_t code, struct bytes response)
{
    timer_cancel(f->ns->shard, &f->retry);
    buf_free(&f->envelope);
    f->cb(f, code, response);
}

static void retry_later(struct forward_call *f)
{
    int64_t now = shard_now_ms(f->ns->shard);
    if (now + RETRY_MS >= f->deadline_ms) {
        finish(f, KE_REQUEST_TIMED_OUT, BYTES_NULL);
        return;
    }
    timer_set(f->ns->shard, &f->retry, now + RETRY_MS);
}

static void on_retry(struct timer *t)
{
    send_envelope(t->user);
}

static void on_envelope(struct channel_call *call, int err, struct bytes body)
{
    struct forward_call *f = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct envelope_response r;
    if (err == 0) {
        err = proto_decode(&envelope_response_msg, ENVELOPE_VERSION, body, NULL, &a, &r);
    }
    if (err == ERR_CANCELED) { /* the node stops */
        finish(f, KE_BROKER_NOT_AVAILABLE, BYTES_NULL);
    } else if (err == ERR_CORRUPT || err == ERR_TRUNCATED) {
        finish(f, KE_UNKNOWN_SERVER_ERROR, BYTES_NULL);
    } else if (err) {
        retry_later(f);
    } else if (r.error_code == KE_NOT_CONTROLLER) {
        channel_not_controller(f->ns->channel);
        retry_later(f);
    } else if (r.error_code || bytes_is_null(r.response_data)) {
        finish(f, r.error_code ? r.error_code : KE_UNKNOWN_SERVER_ERROR, BYTES_NULL);
    } else {
        finish(f, 0, r.response_data);
    }
    arena_free(&a);
}

static void send_envelope(struct forward_call *f)
{
    f->call.api_key = API_ENVELOPE;
    f->call.version = ENVELOPE_VERSION;
    f->call.body = buf_bytes(&f->envelope);
    f->call.timeout_ms = f->deadline_ms - shard_now_ms(f->ns->shard);
    f->call.timeout_ms = f->call.timeout_ms > 0 ? f->call.timeout_ms : 1;
    f->call.cb = on_envelope;
    f->call.user = f;
    channel_call(f->ns->channel, &f->call);
}

void forward_start(struct forward_call *f, struct node_shard *ns, struct bytes frame,
                   struct bytes address, int64_t timeout_ms, forward_cb *cb, void *user)
{
    struct envelope_request req;
    struct buf principal = {0};
    struct errmsg em;
    ASSERT_ON_SHARD(ns->shard);
    f->ns = ns;
    f->cb = cb;
    f->user = user;
    f->deadline_ms = shard_now_ms(ns->shard) + timeout_ms;
    f->retry.cb = on_retry;
    f->retry.user = f;
    put_principal(&principal);
    proto_msg_init(&envelope_request_msg, &req);
    req.request_data = frame;
    req.request_principal = buf_bytes(&principal);
    req.client_host_address = address;
    buf_clear(&f->envelope);
    int rc = proto_encode(&envelope_request_msg, ENVELOPE_VERSION, &req, &f->envelope, &em);
    ASSERT(rc == 0);
    buf_free(&principal);
    send_envelope(f);
}

void forward_cancel(struct forward_call *f)
{
    if (f->ns) {
        channel_cancel(&f->call);
        timer_cancel(f->ns->shard, &f->retry);
        buf_free(&f->envelope);
    }
}

/* ---- a client's request ---- */

/* A client's request on its way. */
struct forwarded {
    struct forward_call call;
    struct request *r;
    forward_done *done; /* NULL: the answer goes to the client as it is */
    forward_refuse *refuse;
    void *user; /* of both */
};

static size_t client_address(const struct request *r, uint8_t out[16])
{
    size_t n = peer_address(r->cr->conn ? r->cr->conn->peer : "", out);
    if (n == 0) {
        n = 4;
        memcpy(out, "\x7f\0\0\1", n);
    }
    return n;
}

/* The controller's frame, behind a length, is the client's. */
static void reply_frame(struct request *r, struct bytes frame)
{
    struct list chunks;
    uint8_t *data = mem_alloc(4 + frame.len);
    store_be32(data, (uint32_t)frame.len);
    memcpy(data + 4, frame.data, frame.len);
    list_init(&chunks);
    list_push_back(&chunks, &chunk_mem(data, 4 + frame.len)->node);
    request_reply_chunks(r, &chunks);
}

static void reply_decoded(struct forwarded *f, struct bytes frame)
{
    struct request *r = f->r;
    const struct proto_message *m = proto_response(r->hdr.api_key);
    int32_t correlation;
    size_t at;
    void *response = request_response(r);
    if (proto_skip_response_header(frame, r->hdr.api_key, r->hdr.version, &correlation, &at) ||
        proto_decode(m, r->hdr.version, bytes_of(frame.data + at, frame.len - at), NULL, &r->arena,
                     response)) {
        f->refuse(r, KE_UNKNOWN_SERVER_ERROR, f->user);
        return;
    }
    f->done(r, response, f->user);
}

static void on_forwarded(struct forward_call *call, int16_t code, struct bytes response)
{
    struct forwarded *f = call->user;
    struct request *r = f->r;
    r->state = NULL;
    r->on_cancel = NULL;
    if (code == KE_BROKER_NOT_AVAILABLE) {
        request_close(r);
    } else if (code) {
        f->refuse(r, code, f->user);
    } else if (f->done) {
        reply_decoded(f, response);
    } else {
        reply_frame(r, response);
    }
    mem_free(f);
}

static void on_cancel(struct request *r)
{
    struct forwarded *f = r->state;
    forward_cancel(&f->call);
    mem_free(f);
    request_drop(r);
}

static void start(struct request *r, struct bytes frame, forward_done *done, forward_refuse *refuse,
                  void *user)
{
    struct forwarded *f = MEM_NEW(struct forwarded);
    uint8_t address[16];
    size_t n = client_address(r, address);
    f->r = r;
    f->done = done;
    f->refuse = refuse;
    f->user = user;
    r->state = f;
    r->on_cancel = on_cancel;
    forward_start(&f->call, r->ns, frame, bytes_of(address, n),
                  request_node(r)->config->v.request_timeout_ms, on_forwarded, f);
}

void forward_request(struct request *r, forward_refuse *refuse)
{
    start(r, r->cr->frame, NULL, refuse, NULL);
}

void forward_body(struct request *r, const void *body, forward_done *done, forward_refuse *refuse,
                  void *user)
{
    struct buf frame = {0};
    struct errmsg em;
    proto_put_request_header(&frame, r->hdr.api_key, r->hdr.version, r->hdr.correlation_id,
                             r->hdr.client_id);
    if (proto_encode(proto_request(r->hdr.api_key), r->hdr.version, body, &frame, &em)) {
        log_error(request_node(r)->log, "forward", "a request does not encode: %s", em.text);
        buf_free(&frame);
        refuse(r, KE_UNKNOWN_SERVER_ERROR, user);
        return;
    }
    start(r, buf_bytes(&frame), done, refuse, user);
    buf_free(&frame);
}
