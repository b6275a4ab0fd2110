/* The CONTROLLER listener's connections: frames go to controller_handle, one after another, and its
 * answers come back. A connection that brings heartbeats is remembered as that broker's: its end is
 * a hint (broker_probe.h). */
#include "base/mem.h"
#include "controller/controller_private.h"
#include "proto_apis.h"

static void reply_nothing(struct conn_req *req)
{
    struct list none;
    list_init(&none);
    conn_reply(req, &none);
}

static void on_reply(void *user, int err, struct buf *response)
{
    struct conn_req *req = user;
    if (err) {
        if (req->conn) {
            conn_close(req->conn);
        }
        reply_nothing(req);
        return;
    }
    uint8_t *data = mem_alloc(4 + response->len);
    store_be32(data, (uint32_t)response->len);
    memcpy(data + 4, response->data, response->len);
    conn_reply_mem(req, data, 4 + response->len);
}

/* Whose heartbeat is it? The broker's id is the first field of every version. */
static void note_broker(struct conn_req *req)
{
    struct proto_request_header h;
    if (proto_read_request_header(req->frame, &h) == 0 && h.api_key == API_BROKER_HEARTBEAT &&
        req->frame.len - h.body_at >= 4) {
        int32_t broker = (int32_t)load_be32(req->frame.data + h.body_at);
        req->conn->session = broker < 0 ? NULL : (void *)((uintptr_t)broker + 1);
    }
}

static void on_close(struct conn *conn)
{
    struct controller **c = conn->user;
    if (conn->session && *c) {
        broker_probe_hint((*c)->probe, (int32_t)((uintptr_t)conn->session - 1));
    }
}

static void on_request(struct conn_req *req)
{
    struct controller *c = *(struct controller **)req->conn->user;
    if (c == NULL) {
        conn_close(req->conn);
        reply_nothing(req);
        return;
    }
    note_broker(req);
    req->user = c; /* the connection may be gone when it is canceled */
    controller_handle(c, req->frame, on_reply, req);
}

/* A poll ends at once. What waits for a commit gets its answer in any case, which then only frees
 * the request. */
static void on_cancel(struct conn_req *req)
{
    controller_poll_cancel(req->user, req);
}

const struct conn_ops controller_conn_ops = {
    .on_request = on_request,
    .on_cancel = on_cancel,
    .on_close = on_close,
};
