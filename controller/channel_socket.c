/* The socket carrier of channel.h: a connection for each group of calls, to the controller that is
 * believed to be active.
 *
 *   call -> queued (no connection) -> sent -> answered
 *              |  connect, in backoff     \-> the connection ends: ERR_CLOSED
 *              \-> timeout: ERR_TIMEOUT
 *
 * The other end answers a connection's requests in order, so the groups keep apart what must not
 * wait for each other: long polls, signs of life, and the rest. All groups go to the same endpoint;
 * a refused, broken or silent connection, or the word that it is not the controller, moves all to
 * the next one. With a single endpoint there is nothing to move to.
 *
 * On close: sockets close at once; calls end with ERR_CANCELED from a task at the end of the turn;
 * a name that is being resolved then still holds the memory. */
#include <stdio.h>

#include "base/mem.h"
#include "controller/channel.h"
#include "proto/message.h"
#include "proto_apis.h"
#include "runtime/resolve.h"

enum {
    GROUP_FETCH,
    GROUP_LIFE,
    GROUP_REST,
    GROUPS,
    BACKOFF_MS_MIN = 20,
    BACKOFF_MS_MAX = 1000,
    CONNECT_MS = 10000,
    FRAME_MAX = 104857600, /* as socket.request.max.bytes */
    RECV_BYTES = 65536,
};

struct channel_socket;

struct channel_link {
    struct channel_socket *ch;
    struct io_sock *sock;  /* NULL: none */
    struct resolve *asked; /* a name is being resolved; NULL: no */
    size_t endpoint;       /* that it goes to */
    bool connected;
    struct list queued; /* struct channel_call, not sent yet */
    struct list sent;
    struct buf out;
    size_t out_at;
    struct buf in;
    struct timer timer; /* next try, or end of the present one */
    int64_t backoff_ms;
};

struct channel_socket {
    struct channel base;
    struct channel_endpoint *endpoints;
    size_t endpoints_n;
    size_t current;
    char *client_id;
    int32_t next_correlation;
    struct channel_link links[GROUPS];
    struct list ended; /* of the dying channel */
    struct task dying;
    unsigned asked; /* names being resolved */
    bool closed;
};

static void connect_soon(struct channel_link *l);
static void pump(struct channel_link *l);

static struct channel_socket *socket_of(struct channel *ch)
{
    return CONTAINER_OF(ch, struct channel_socket, base);
}

static struct shard *shard_of(const struct channel_link *l)
{
    return l->ch->base.shard;
}

/* ---- calls ---- */

/* The copy of a request that is not sent yet. */
static void free_body(struct channel_call *call)
{
    mem_free((void *)(uintptr_t)call->body.data);
    call->body = BYTES_NULL;
}

static void detach(struct channel_call *call)
{
    list_remove(&call->node);
    timer_cancel(call->channel->shard, &call->timer);
    call->channel = NULL;
}

static void end_call(struct channel_call *call, int err, struct bytes body)
{
    detach(call);
    call->cb(call, err, body);
}

static void end_all(struct list *calls, int err)
{
    struct list taken;
    list_init(&taken);
    while (!list_empty(calls)) { /* a callback may make calls: not into this loop */
        list_push_back(&taken, list_pop_front(calls));
    }
    while (!list_empty(&taken)) {
        end_call(LIST_ENTRY(taken.next, struct channel_call, node), err, BYTES_NULL);
    }
}

/* ---- the end of a connection ---- */

static void drop_sock(struct channel_link *l)
{
    if (l->sock) {
        io_sock_close(l->sock);
        l->sock = NULL;
    }
    l->connected = false;
    buf_free(&l->out);
    buf_free(&l->in);
    l->out_at = 0;
    timer_cancel(shard_of(l), &l->timer);
}

/* The link's endpoint did not serve: the next one is tried, unless another link has seen it
 * already.
 */
static void move_on(struct channel_link *l)
{
    struct channel_socket *ch = l->ch;
    if (l->endpoint == ch->current) {
        ch->current = (ch->current + 1) % ch->endpoints_n;
    }
}

/* What was sent may or may not have taken effect: its callers decide. */
static void broken(struct channel_link *l)
{
    drop_sock(l);
    move_on(l);
    if (!list_empty(&l->queued)) {
        connect_soon(l);
    }
    end_all(&l->sent, ERR_CLOSED);
}

static void on_timeout(struct timer *t)
{
    struct channel_call *call = t->user;
    struct channel_socket *ch = socket_of(call->channel);
    struct channel_link *l = &ch->links[call->group];
    bool was_sent = false;
    list_for_each (it, &l->sent) {
        was_sent = was_sent || it == &call->node;
    }
    detach(call);
    free_body(call);
    if (was_sent) { /* nothing comes through: the connection is as good as gone */
        broken(l);
    }
    call->cb(call, ERR_TIMEOUT, BYTES_NULL);
}

/* ---- bytes ---- */

static void send_queued(struct channel_link *l)
{
    while (!list_empty(&l->queued)) {
        struct channel_call *call = LIST_ENTRY(l->queued.next, struct channel_call, node);
        size_t at = l->out.len;
        buf_put_be32(&l->out, 0);
        proto_put_request_header(&l->out, call->api_key, call->version, call->correlation_id,
                                 bytes_str(l->ch->client_id));
        buf_put(&l->out, call->body.data, call->body.len);
        store_be32(l->out.data + at, (uint32_t)(l->out.len - at - 4));
        free_body(call);
        list_remove(&call->node);
        list_push_back(&l->sent, &call->node);
    }
}

static int transmit(struct channel_link *l)
{
    while (l->out_at < l->out.len) {
        struct iovec iov = {l->out.data + l->out_at, l->out.len - l->out_at};
        int64_t n = io_sendv(l->sock, &iov, 1, false);
        if (n == ERR_AGAIN) {
            return 0;
        }
        if (n < 0) {
            return (int)n;
        }
        l->out_at += (size_t)n;
    }
    buf_clear(&l->out);
    l->out_at = 0;
    return 0;
}

static int receive(struct channel_link *l)
{
    for (;;) {
        buf_reserve(&l->in, RECV_BYTES);
        int64_t n = io_recv(l->sock, l->in.data + l->in.len, RECV_BYTES);
        if (n == ERR_AGAIN) {
            return 0;
        }
        if (n <= 0) {
            return n == 0 ? ERR_CLOSED : (int)n;
        }
        l->in.len += (size_t)n;
    }
}

static struct channel_call *find_sent(struct channel_link *l, int32_t correlation)
{
    list_for_each (it, &l->sent) {
        struct channel_call *call = LIST_ENTRY(it, struct channel_call, node);
        if (call->correlation_id == correlation) {
            return call;
        }
    }
    return NULL; /* it was given up */
}

static void answer(struct channel_link *l, struct bytes frame)
{
    int32_t correlation = frame.len >= 4 ? (int32_t)load_be32(frame.data) : -1;
    struct channel_call *call = find_sent(l, correlation);
    size_t at;
    if (call == NULL) {
        return;
    }
    if (proto_skip_response_header(frame, call->api_key, call->version, &correlation, &at)) {
        end_call(call, ERR_CORRUPT, BYTES_NULL);
    } else {
        end_call(call, 0, bytes_of(frame.data + at, frame.len - at));
    }
}

/* The answers that are whole. Callbacks run on a copy of the link's bytes, since they may do
 * anything to the link. */
static int take_answers(struct channel_link *l)
{
    struct io_sock *sock = l->sock;
    while (l->sock == sock && l->in.len >= 4) {
        size_t len = load_be32(l->in.data);
        if (len > FRAME_MAX) {
            return ERR_CORRUPT;
        }
        if (l->in.len < 4 + len) {
            return 0;
        }
        struct buf taken = l->in;
        l->in = (struct buf){0};
        if (taken.len > 4 + len) {
            buf_put(&l->in, taken.data + 4 + len, taken.len - 4 - len);
        }
        answer(l, bytes_of(taken.data + 4, len));
        buf_free(&taken);
    }
    return 0;
}

static void on_ready(struct io_sock *s, unsigned events, void *user)
{
    struct channel_link *l = user;
    int err = io_sock_error(s);
    if (err == 0 && !l->connected && (events & IO_WRITE)) {
        l->connected = true;
        l->backoff_ms = BACKOFF_MS_MIN;
        timer_cancel(shard_of(l), &l->timer);
    }
    int end = err == 0 && l->connected ? receive(l) : err;
    if (l->connected) { /* also what came before the end */
        int bad = take_answers(l);
        end = bad ? bad : end;
    }
    if (l->sock != s) {
        return; /* a callback has closed it */
    }
    if (end) {
        broken(l);
        return;
    }
    pump(l);
}

/* Sends what there is, and waits for what is to come. */
static void pump(struct channel_link *l)
{
    bool stale = l->endpoint != l->ch->current;
    if (l->connected && stale && list_empty(&l->sent)) { /* all else goes elsewhere */
        drop_sock(l);
        connect_soon(l);
        return;
    }
    if (l->connected) {
        if (!stale) {
            send_queued(l);
        }
        if (transmit(l)) {
            broken(l);
            return;
        }
    }
    bool write = !l->connected || l->out_at < l->out.len;
    io_sock_arm(l->sock, IO_READ | (write ? IO_WRITE : 0), on_ready, l);
}

/* ---- connecting ---- */

static void start_connect(struct channel_link *l, const char *ip)
{
    uint16_t port = l->ch->endpoints[l->endpoint].port;
    int err = io_connect(shard_of(l)->io, ip, port, &l->sock);
    if (err) {
        l->sock = NULL;
        move_on(l);
        connect_soon(l);
        return;
    }
    timer_set(shard_of(l), &l->timer, shard_now_ms(shard_of(l)) + CONNECT_MS);
    pump(l);
}

static void free_channel(struct channel_socket *ch)
{
    mem_free(ch->endpoints);
    mem_free(ch->client_id);
    mem_free(ch);
}

static void on_resolved(struct resolve *r, int err)
{
    struct channel_link *l = r->user;
    struct channel_socket *ch = l->ch;
    char ip[RESOLVE_IP_MAX];
    snprintf(ip, sizeof ip, "%s", r->ip);
    mem_free(r);
    l->asked = NULL;
    ch->asked--;
    if (ch->closed) {
        if (ch->asked == 0 && list_empty(&ch->dying.node)) {
            free_channel(ch);
        }
    } else if (err) {
        log_warn(ch->base.shard->log, "channel", "a controller's host is not found host=%s",
                 ch->endpoints[l->endpoint].host);
        move_on(l);
        connect_soon(l);
    } else {
        start_connect(l, ip);
    }
}

static void try_connect(struct channel_link *l)
{
    char ip[RESOLVE_IP_MAX];
    l->endpoint = l->ch->current;
    const char *host = l->ch->endpoints[l->endpoint].host;
    if (resolve_now(host, ip)) {
        start_connect(l, ip);
        return;
    }
    l->asked = MEM_NEW(struct resolve);
    l->ch->asked++;
    resolve_start(shard_of(l)->io, l->asked, host, on_resolved, l);
}

/* The next try, or the present one has taken too long. */
static void on_timer(struct timer *t)
{
    struct channel_link *l = t->user;
    if (l->sock) {
        broken(l);
    } else if (!list_empty(&l->queued)) {
        try_connect(l);
    }
}

static void connect_soon(struct channel_link *l)
{
    if (l->sock || l->asked || timer_is_set(&l->timer)) {
        return;
    }
    timer_set(shard_of(l), &l->timer, shard_now_ms(shard_of(l)) + l->backoff_ms);
    l->backoff_ms = 2 * l->backoff_ms < BACKOFF_MS_MAX ? 2 * l->backoff_ms : BACKOFF_MS_MAX;
}

/* ---- the vtable ---- */

static uint8_t group_of(int16_t api_key)
{
    if (api_key == API_FETCH || api_key == API_FETCH_SNAPSHOT) {
        return GROUP_FETCH;
    }
    return api_key == API_BROKER_HEARTBEAT || api_key == API_BROKER_REGISTRATION ? GROUP_LIFE
                                                                                 : GROUP_REST;
}

static struct bytes copy_body(struct bytes body)
{
    uint8_t *copy = mem_alloc(body.len + 1);
    if (body.len) {
        memcpy(copy, body.data, body.len);
    }
    return bytes_of(copy, body.len);
}

static void socket_call(struct channel *base, struct channel_call *call)
{
    struct channel_socket *ch = socket_of(base);
    ASSERT(call->channel == NULL && call->timeout_ms > 0 && !ch->closed);
    struct channel_link *l = &ch->links[group_of(call->api_key)];
    call->channel = base;
    call->group = group_of(call->api_key);
    call->correlation_id = ch->next_correlation++;
    call->body = copy_body(call->body);
    call->timer = (struct timer){.cb = on_timeout, .user = call};
    timer_set(base->shard, &call->timer, shard_now_ms(base->shard) + call->timeout_ms);
    list_push_back(&l->queued, &call->node);
    if (l->connected) {
        /* not sent from here: a failure would end calls inside this one */
        io_sock_arm(l->sock, IO_READ | IO_WRITE, on_ready, l);
    } else if (l->sock == NULL && l->asked == NULL && !timer_is_set(&l->timer)) {
        timer_set(base->shard, &l->timer, shard_now_ms(base->shard)); /* at once, next turn */
    }
}

static void socket_cancel(struct channel *base, struct channel_call *call)
{
    ASSERT_ON_SHARD(base->shard);
    detach(call);
    free_body(call);
}

static void socket_not_controller(struct channel *base)
{
    struct channel_socket *ch = socket_of(base);
    bool seen = false;
    if (ch->endpoints_n == 1) {
        return;
    }
    for (int i = 0; i < GROUPS; i++) {
        seen = seen || (ch->links[i].connected && ch->links[i].endpoint == ch->current);
    }
    if (!seen) {
        return; /* somebody else has said so already */
    }
    ch->current = (ch->current + 1) % ch->endpoints_n;
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        if (l->sock && list_empty(&l->sent)) { /* others move when their answers have come */
            drop_sock(l);
            l->backoff_ms = BACKOFF_MS_MIN;
            if (!list_empty(&l->queued)) {
                connect_soon(l);
            }
        }
    }
}

static void die(struct task *t)
{
    struct channel_socket *ch = t->user;
    end_all(&ch->ended, ERR_CANCELED);
    if (ch->asked == 0) {
        free_channel(ch);
    }
}

static void socket_close(struct channel *base)
{
    struct channel_socket *ch = socket_of(base);
    ASSERT_ON_SHARD(base->shard);
    ch->closed = true;
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        drop_sock(l);
        while (!list_empty(&l->sent)) {
            list_push_back(&ch->ended, list_pop_front(&l->sent));
        }
        while (!list_empty(&l->queued)) {
            struct list *n = list_pop_front(&l->queued);
            free_body(LIST_ENTRY(n, struct channel_call, node));
            list_push_back(&ch->ended, n);
        }
    }
    shard_defer(base->shard, &ch->dying);
}

static const struct channel_ops socket_ops = {
    .name = "socket",
    .call = socket_call,
    .cancel = socket_cancel,
    .not_controller = socket_not_controller,
    .close = socket_close,
};

struct channel *channel_socket_new(struct shard *sh, const struct channel_endpoint *endpoints,
                                   size_t n, const char *client_id)
{
    struct channel_socket *ch = MEM_NEW(struct channel_socket);
    ASSERT(n > 0);
    ch->base.ops = &socket_ops;
    ch->base.shard = sh;
    ch->endpoints = mem_alloc(n * sizeof *endpoints);
    memcpy(ch->endpoints, endpoints, n * sizeof *endpoints);
    ch->endpoints_n = n;
    ch->client_id = mem_strdup(client_id);
    list_init(&ch->ended);
    task_init(&ch->dying, die, ch);
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        l->ch = ch;
        l->backoff_ms = BACKOFF_MS_MIN;
        l->timer = (struct timer){.cb = on_timer, .user = l};
        list_init(&l->queued);
        list_init(&l->sent);
    }
    return &ch->base;
}
