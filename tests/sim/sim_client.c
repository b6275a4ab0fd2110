/* See sim_client.h. */
#include "sim/sim_client.h"

#include "base/mem.h"

enum { FRAME_MAX = 64 << 20 };

void sim_client_init(struct sim_client *c, struct io *io, const char *id)
{
    *c = (struct sim_client){.io = io, .id = id};
    c->sim = io_sim_of(io)->proc->host->sim;
    list_init(&c->calls);
}

bool sim_client_is_open(const struct sim_client *c)
{
    return c->sock != NULL;
}

static void call_end(struct sim_call *call, int err, struct bytes body)
{
    sim_clock_cancel(&call->client->sim->clock, &call->timeout);
    list_remove(&call->node);
    call->cb(call, err, body);
    mem_free(call);
}

static void hang_up(struct sim_client *c, int err)
{
    if (c->sock == NULL) {
        return;
    }
    io_sock_close(c->sock);
    c->sock = NULL;
    c->connected = false;
    buf_clear(&c->out);
    buf_clear(&c->in);
    c->out_at = 0;
    /* Those that are there now: a callback may open the client anew and call. */
    struct list ended;
    list_init(&ended);
    while (!list_empty(&c->calls)) {
        list_push_back(&ended, list_pop_front(&c->calls));
    }
    while (!list_empty(&ended)) {
        call_end(LIST_ENTRY(ended.next, struct sim_call, node), err, BYTES_NULL);
    }
}

void sim_client_close(struct sim_client *c)
{
    hang_up(c, ERR_CANCELED);
    if (c->sock == NULL) {
        buf_free(&c->out);
        buf_free(&c->in);
    }
}

/* One whole answer at the front of `in`, if there is one. False: the connection is done for. */
static bool take_answer(struct sim_client *c, size_t *used)
{
    *used = 0;
    if (c->in.len < 4) {
        return true;
    }
    uint32_t len = load_be32(c->in.data);
    if (len > FRAME_MAX || list_empty(&c->calls)) {
        return false;
    }
    if (c->in.len < 4 + (size_t)len) {
        return true;
    }
    struct sim_call *call = LIST_ENTRY(c->calls.next, struct sim_call, node);
    struct bytes frame = bytes_of(c->in.data + 4, len);
    int32_t correlation;
    size_t body_at;
    if (proto_skip_response_header(frame, call->api_key, call->version, &correlation, &body_at) !=
            0 ||
        correlation != call->correlation_id) {
        return false;
    }
    *used = 4 + (size_t)len;
    /* The bytes must outlive the callback, which may hang up and clear the buffer. */
    struct buf copy = {0};
    buf_put(&copy, frame.data + body_at, frame.len - body_at);
    memmove(c->in.data, c->in.data + *used, c->in.len - *used);
    c->in.len -= *used;
    call_end(call, 0, buf_bytes(&copy));
    buf_free(&copy);
    return true;
}

static void on_ready(struct io_sock *s, unsigned events, void *user);

static void arm(struct sim_client *c)
{
    unsigned events = c->reading ? IO_READ : 0;
    if (c->out_at < c->out.len || !c->connected) {
        events |= IO_WRITE;
    }
    io_sock_arm(c->sock, events, on_ready, c);
}

static int receive(struct sim_client *c)
{
    uint8_t tmp[8192];
    for (;;) {
        int64_t n = io_recv(c->sock, tmp, sizeof(tmp));
        if (n == ERR_AGAIN) {
            return 0;
        }
        if (n <= 0) {
            return n == 0 ? ERR_CLOSED : (int)n;
        }
        buf_put(&c->in, tmp, (size_t)n);
    }
}

static int transmit(struct sim_client *c)
{
    while (c->out_at < c->out.len) {
        struct iovec iov = {c->out.data + c->out_at, c->out.len - c->out_at};
        int64_t n = io_sendv(c->sock, &iov, 1, false);
        if (n == ERR_AGAIN) {
            return 0;
        }
        if (n < 0) {
            return (int)n;
        }
        c->out_at += (size_t)n;
    }
    buf_clear(&c->out);
    c->out_at = 0;
    return 0;
}

static void on_ready(struct io_sock *s, unsigned events, void *user)
{
    struct sim_client *c = user;
    int err = io_sock_error(s);
    int end = 0;
    c->connected = c->connected || (events & IO_WRITE) != 0;
    if (err == 0 && c->reading) {
        end = receive(c);
    }
    for (size_t used = 1; err == 0 && used > 0 && c->sock == s;) {
        if (!take_answer(c, &used)) {
            err = ERR_CORRUPT;
        }
    }
    if (c->sock != s) {
        return; /* a callback hung up */
    }
    err = err ? err : end;
    if (err == 0 && c->connected) {
        err = transmit(c);
    }
    if (err != 0) {
        hang_up(c, err == ERR_TIMEOUT || err == ERR_CORRUPT ? err : ERR_CLOSED);
        return;
    }
    arm(c);
}

void sim_client_open(struct sim_client *c, const char *ip, uint16_t port)
{
    ASSERT(c->sock == NULL && list_empty(&c->calls));
    int err = io_connect(c->io, ip, port, &c->sock);
    ASSERT(err == 0);
    c->connected = false;
    c->reading = true;
    arm(c);
}

static void on_timeout(struct sim_event *ev)
{
    struct sim_call *call = ev->user;
    hang_up(call->client, ERR_TIMEOUT);
}

static int32_t put_frame(struct sim_client *c, int16_t api_key, int16_t version,
                         const void *request)
{
    struct errmsg em;
    size_t at = c->out.len;
    int32_t correlation = ++c->next_correlation;
    buf_put_be32(&c->out, 0);
    proto_put_request_header(&c->out, api_key, version, correlation, bytes_str(c->id));
    int err = proto_encode(proto_request(api_key), version, request, &c->out, &em);
    ASSERT(err == 0);
    store_be32(c->out.data + at, (uint32_t)(c->out.len - at - 4));
    return correlation;
}

void sim_client_call(struct sim_client *c, int16_t api_key, int16_t version, const void *request,
                     int64_t timeout_us, sim_call_cb *cb, void *user)
{
    ASSERT(c->sock != NULL);
    struct sim_call *call = MEM_NEW(struct sim_call);
    call->client = c;
    call->api_key = api_key;
    call->version = version;
    call->cb = cb;
    call->user = user;
    call->correlation_id = put_frame(c, api_key, version, request);
    list_push_back(&c->calls, &call->node);
    sim_event_init(&call->timeout, on_timeout, call);
    sim_clock_after(&c->sim->clock, &call->timeout, timeout_us);
    arm(c);
}

void sim_client_send(struct sim_client *c, int16_t api_key, int16_t version, const void *request)
{
    ASSERT(c->sock != NULL);
    put_frame(c, api_key, version, request);
    arm(c);
}

void sim_client_raw(struct sim_client *c, const void *p, size_t n)
{
    ASSERT(c->sock != NULL);
    buf_put(&c->out, p, n);
    arm(c);
}
