/* The CONTROLLER listener's connections: frames go to controller_handle, one after another, and its
 * answers come back. */
#include "base/mem.h"
#include "controller/controller_private.h"

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

static void on_request(struct conn_req *req)
{
    struct controller *c = req->conn->user;
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
};
