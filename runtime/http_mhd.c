/* HTTP by libmicrohttpd: the one file that calls it.
 *
 * The library runs as a passenger of its shard: it has no thread and listens to nothing. This file
 * accepts by the seam and hands connections over; the library's epoll descriptor is watched by the
 * shard's io like a socket, and when something is ready there the library is turned once
 * (MHD_run). So its callbacks run on the shard, between two other things of its turn.
 *
 * A request that is not answered at once is suspended: the library does not look at its connection
 * until http_answer resumes it, and then asks for the answer by calling the handler once more.
 *
 * The library's own time-out counts from the last byte, so that a peer which sends a byte now and
 * then is never late. Each connection has a deadline here instead (http_limits), looked at once a
 * second while there are connections; one that is late is shut down, and the library closes it.
 *
 * So is the oldest idle one when all connections are taken and one more waits in the backlog; where
 * none is idle, the oldest that takes its answer. Each has GRACE_MS before: a burst of clients that
 * are about to ask is served in turn. Who waits for the owner's answer is left alone.
 *
 * On close: what waits is answered with 503 and resumed, for the library does not stop with
 * suspended connections. The owner's http_answer to such a request only frees it. */
#include "runtime/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/io_posix.h"

enum { LOOK_MS = 1000, ACCEPT_RETRY_MS = 100, GRACE_MS = 100, BINDS_MAX = 2 };

enum phase {
    PHASE_IDLE,  /* the head of its next request is not whole */
    PHASE_WAITS, /* for the owner's answer */
    PHASE_TAKES, /* the answer */
    PHASE_ENDS,  /* it was shut down */
};

struct connection {
    struct list node; /* in the server's */
    int fd;
    enum phase phase;
    int64_t since_ms;    /* the phase began */
    int64_t deadline_ms; /* INT64_MAX: the owner has to answer */
};

struct exchange {
    struct http_request r; /* first */
    struct list node;      /* in the server's `waiting` while it is suspended */
    struct http_server *server;
    struct MHD_Connection *mhd;    /* NULL: the library is through with it */
    struct MHD_Response *response; /* NULL: not answered yet */
    unsigned status;
    bool asked; /* on_request was called ... */
    bool owed;  /* ... and the owner has not answered */
    bool suspended;
};

struct http_server {
    struct shard *shard;
    struct http_limits limits;
    struct http_handler handler;
    struct MHD_Daemon *daemon;
    struct io_sock *socks[BINDS_MAX];
    unsigned socks_n;
    struct io_sock *ready;   /* the library's epoll descriptor */
    struct list connections; /* by since_ms */
    unsigned count;
    unsigned ending;     /* of them, PHASE_ENDS */
    unsigned owed;       /* requests that the owner has not answered */
    struct list waiting; /* exchange: suspended */
    struct task turn;
    struct timer look;  /* for late connections */
    struct timer retry; /* accepting, after EMFILE */
};

static struct exchange *exchange_of(const struct http_request *r)
{
    return (struct exchange *)(uintptr_t)r;
}

/* ---- turning the library ---- */

static void ready_cb(struct io_sock *sock, unsigned events, void *user);
static void arm_all(struct http_server *s);

static void turn(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG wait;
    MHD_run(s->daemon);
    if (MHD_get_timeout(s->daemon, &wait) == MHD_YES && wait == 0) {
        shard_defer(s->shard, &s->turn); /* it has more to do */
    }
    io_sock_arm(s->ready, IO_READ, ready_cb, s);
    arm_all(s);
}

static void turn_cb(struct task *t)
{
    turn(t->user);
}

static void ready_cb(struct io_sock *sock, unsigned events, void *user)
{
    UNUSED(sock);
    UNUSED(events);
    turn(user);
}

/* ---- connections ---- */

static void enter(struct http_server *s, struct connection *c, enum phase phase)
{
    int64_t now = shard_now_ms(s->shard);
    s->ending -= c->phase == PHASE_ENDS;
    s->ending += phase == PHASE_ENDS;
    c->phase = phase;
    c->since_ms = now;
    c->deadline_ms = phase == PHASE_IDLE    ? now + s->limits.head_ms
                     : phase == PHASE_TAKES ? now + s->limits.answer_ms
                     : phase == PHASE_ENDS  ? now + LOOK_MS
                                            : INT64_MAX;
    list_remove(&c->node);
    list_push_back(&s->connections, &c->node);
}

static void end(struct http_server *s, struct connection *c)
{
    shutdown(c->fd, SHUT_RDWR);
    enter(s, c, PHASE_ENDS);
}

static void look_cb(struct timer *t)
{
    struct http_server *s = t->user;
    int64_t now = shard_now_ms(s->shard);
    list_for_each_safe (it, &s->connections) {
        struct connection *c = LIST_ENTRY(it, struct connection, node);
        if (now >= c->deadline_ms) {
            end(s, c);
        }
    }
    if (s->count > 0) {
        timer_set(s->shard, &s->look, now + LOOK_MS);
    }
}

static struct connection *oldest(const struct http_server *s, enum phase phase)
{
    int64_t until = shard_now_ms(s->shard) - GRACE_MS;
    list_for_each (it, &s->connections) {
        struct connection *c = LIST_ENTRY(it, struct connection, node);
        if (c->phase == phase && c->since_ms <= until) {
            return c;
        }
    }
    return NULL;
}

/* All connections are taken, and one more waits. */
static void make_room(struct http_server *s)
{
    struct connection *c = oldest(s, PHASE_IDLE);
    c = c ? c : oldest(s, PHASE_TAKES);
    if (c) {
        end(s, c);
    } else {
        timer_set(s->shard, &s->retry, shard_now_ms(s->shard) + GRACE_MS);
    }
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = user;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct connection *c = *socket_context;
        s->ending -= c->phase == PHASE_ENDS;
        list_remove(&c->node);
        mem_free(c);
        s->count--;
        return;
    }
    struct connection *c = MEM_NEW(struct connection);
    c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    list_init(&c->node);
    enter(s, c, PHASE_IDLE);
    *socket_context = c;
    if (s->count++ == 0) {
        timer_set(s->shard, &s->look, shard_now_ms(s->shard) + LOOK_MS);
    }
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

static void accept_cb(struct io_sock *sock, unsigned events, void *user)
{
    UNUSED(events);
    struct http_server *s = user;
    if (s->count == s->limits.connections) {
        make_room(s);
    }
    while (s->count < s->limits.connections) {
        int handle;
        int err = io_accept(sock, &handle);
        if (err == ERR_AGAIN) {
            break;
        }
        if (err) {
            timer_set(s->shard, &s->retry, shard_now_ms(s->shard) + ACCEPT_RETRY_MS);
            return;
        }
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        (void)getpeername(handle, (struct sockaddr *)&peer, &len);
        /* on failure it has closed the handle */
        (void)MHD_add_connection(s->daemon, handle, (struct sockaddr *)&peer, len);
    }
    shard_defer(s->shard, &s->turn); /* which arms again */
}

static void arm_all(struct http_server *s)
{
    bool room = s->count < s->limits.connections || s->ending == 0; /* or it is to be made */
    bool more = room && !timer_is_set(&s->retry);
    for (unsigned i = 0; i < s->socks_n; i++) {
        io_sock_arm(s->socks[i], more ? IO_READ : 0, accept_cb, s);
    }
}

static void retry_cb(struct timer *t)
{
    arm_all(t->user);
}

/* ---- answers ---- */

static void free_body(void *data)
{
    mem_free(data);
}

static void set_response(struct exchange *x, int status, struct http_answer *a)
{
    size_t len = a->body.data ? a->body.len : a->still_body.len;
    uint8_t *own = buf_take(&a->body);
    x->response = own ? MHD_create_response_from_buffer_with_free_callback(len, own, free_body)
                      : MHD_create_response_from_buffer(len, (void *)(uintptr_t)a->still_body.data,
                                                        MHD_RESPMEM_PERSISTENT);
    ASSERT(x->response != NULL);
    x->status = (unsigned)status;
    MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
    MHD_add_response_header(x->response, MHD_HTTP_HEADER_CACHE_CONTROL,
                            a->cache ? a->cache : "no-store");
    MHD_add_response_header(x->response, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < a->fields_n; i++) {
        MHD_add_response_header(x->response, a->fields[i].name, a->fields[i].value);
    }
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(x->response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
}

static void set_sentence(struct exchange *x, int status, const char *sentence)
{
    struct http_answer a = {.type = "text/plain; charset=utf-8", .still_body = bytes_str(sentence)};
    set_response(x, status, &a);
}

static void resume(struct exchange *x)
{
    list_remove(&x->node);
    x->suspended = false;
    MHD_resume_connection(x->mhd);
}

static void mhd_answer(struct http_request *r, struct http_answer *a)
{
    struct exchange *x = exchange_of(r);
    ASSERT(x->owed);
    x->owed = false;
    if (x->mhd == NULL) { /* too late; there may be no server any more */
        buf_free(&a->body);
        mem_free(x);
        return;
    }
    x->server->owed--;
    if (x->response) { /* the server closes */
        buf_free(&a->body);
        return;
    }
    set_response(x, a->status, a);
    if (x->suspended) {
        resume(x);
        shard_defer(x->server->shard, &x->server->turn);
    }
}

/* ---- requests ---- */

static struct exchange *exchange_new(struct http_server *s, struct MHD_Connection *mhd,
                                     const char *path, const char *method)
{
    struct exchange *x = MEM_NEW(struct exchange);
    x->r = (struct http_request){
        .ops = &http_mhd_ops, .path = path, .head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0};
    x->server = s;
    x->mhd = mhd;
    list_init(&x->node);
    return x;
}

static bool has_body(struct MHD_Connection *mhd)
{
    const char *len =
        MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (len && strcmp(len, "0") != 0) ||
           MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static enum MHD_Result queue(struct exchange *x)
{
    enter(x->server, connection_of(x->mhd), PHASE_TAKES);
    return MHD_queue_response(x->mhd, x->status, x->response);
}

/* Called with each step of a request: its head, its body's end, and again after a resume. */
static enum MHD_Result on_step(void *user, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_n, void **context)
{
    UNUSED(version);
    UNUSED(upload);
    struct http_server *s = user;
    struct exchange *x = *context;
    if (x == NULL) {
        *context = x = exchange_new(s, mhd, url, method);
        if (!x->r.head && strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
            set_sentence(x, MHD_HTTP_METHOD_NOT_ALLOWED, "This listener answers GET and HEAD.\n");
            return queue(x);
        }
        if (has_body(mhd)) {
            set_sentence(x, MHD_HTTP_BAD_REQUEST, "A request to this listener has no body.\n");
            return queue(x);
        }
        return MHD_YES;
    }
    *upload_n = 0;
    if (!x->asked) {
        x->asked = x->owed = true;
        s->owed++;
        enter(s, connection_of(mhd), PHASE_WAITS);
        s->handler.on_request(s->handler.user, &x->r);
    }
    if (x->response) {
        return queue(x);
    }
    x->suspended = true;
    list_push_back(&s->waiting, &x->node);
    MHD_suspend_connection(mhd);
    return MHD_YES;
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    UNUSED(code);
    struct http_server *s = user;
    struct exchange *x = *context;
    *context = NULL;
    if (x == NULL) {
        return;
    }
    enter(s, connection_of(mhd), PHASE_IDLE);
    if (x->response) {
        MHD_destroy_response(x->response);
    }
    list_remove(&x->node);
    x->mhd = NULL;
    if (x->owed) {
        s->owed--;
    } else {
        mem_free(x);
    }
}

static const char *mhd_query(const struct http_request *r, const char *name)
{
    const struct exchange *x = exchange_of(r);
    const char *value = NULL;
    size_t len;
    if (x->mhd == NULL || MHD_lookup_connection_value_n(x->mhd, MHD_GET_ARGUMENT_KIND, name,
                                                        strlen(name), &value, &len) != MHD_YES) {
        return NULL;
    }
    return value ? value : "";
}

static const char *mhd_header(const struct http_request *r, const char *name)
{
    const struct exchange *x = exchange_of(r);
    return x->mhd ? MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, name) : NULL;
}

/* ---- life ---- */

static int bind_all(struct http_server *s, const char *host, uint16_t port)
{
    /* as with the other listeners, localhost is both loopbacks, of which one may be missing */
    bool local = strcmp(host, "localhost") == 0;
    const char *names[BINDS_MAX] = {local ? "127.0.0.1" : host, "::1"};
    for (unsigned i = 0; i < (local ? 2 : 1); i++) {
        int err = io_listen(s->shard->io, names[i], port, &s->socks[s->socks_n]);
        if (err && i == 0) {
            return err;
        }
        if (err == 0) {
            port = io_sock_port(s->socks[s->socks_n++]);
        }
    }
    return 0;
}

static int start_library(struct http_server *s)
{
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_step,
        s, MHD_OPTION_CONNECTION_LIMIT, s->limits.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        s->limits.head_bytes, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
    if (s->daemon == NULL) {
        return ERR_NOMEM;
    }
    int fd = dup(MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    return fd < 0 ? ERR_MFILE : io_sock_adopt(s->shard->io, fd, &s->ready);
}

static void free_server(struct http_server *s)
{
    timer_cancel(s->shard, &s->retry);
    for (unsigned i = 0; i < s->socks_n; i++) {
        io_sock_close(s->socks[i]);
    }
    if (s->ready) {
        io_sock_close(s->ready);
    }
    if (s->daemon) {
        MHD_stop_daemon(s->daemon);
    }
    timer_cancel(s->shard, &s->look);
    list_remove(&s->turn.node);
    mem_free(s);
}

static int mhd_listen(struct shard *sh, const char *host, uint16_t port,
                      const struct http_limits *limits, const struct http_handler *handler,
                      struct http_server **out, struct errmsg *em)
{
    struct http_server *s = MEM_NEW(struct http_server);
    s->shard = sh;
    s->limits = *limits;
    s->handler = *handler;
    list_init(&s->connections);
    list_init(&s->waiting);
    task_init(&s->turn, turn_cb, s);
    s->look = (struct timer){.cb = look_cb, .user = s};
    s->retry = (struct timer){.cb = retry_cb, .user = s};
    int err = bind_all(s, host, port);
    err = err ? err : start_library(s);
    if (err) {
        free_server(s);
        return errmsg_set(em, err, "cannot listen on %s:%u: %s", *host ? host : "*", (unsigned)port,
                          err_text(err));
    }
    turn(s);
    *out = s;
    return 0;
}

static uint16_t mhd_port(const struct http_server *s)
{
    return io_sock_port(s->socks[0]);
}

static unsigned mhd_waiting(const struct http_server *s)
{
    return s->owed;
}

static void mhd_close(struct http_server *s)
{
    ASSERT_ON_SHARD(s->shard);
    while (!list_empty(&s->waiting)) {
        struct exchange *x = LIST_ENTRY(s->waiting.next, struct exchange, node);
        set_sentence(x, MHD_HTTP_SERVICE_UNAVAILABLE, "The node stops.\n");
        resume(x);
    }
    MHD_run(s->daemon);
    free_server(s);
}

const struct http_ops http_mhd_ops = {
    .listen = mhd_listen,
    .port = mhd_port,
    .waiting = mhd_waiting,
    .close = mhd_close,
    .query = mhd_query,
    .header = mhd_header,
    .answer = mhd_answer,
};
