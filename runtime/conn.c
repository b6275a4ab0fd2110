/* The life of a connection and the order of its requests (conn.h). A picture of one connection:
 *
 *   socket -> [scratch] -> carry -> cur -> reqs: ANSWERED* STARTED* WAITING*  -> out -> socket
 *                                                         ^waiting
 *
 * reqs holds the whole requests in order. Requests start in order, so those that wait are its tail.
 * One may start when nothing runs, or when it is of the class of all that run. An answer moves to
 * `out` when all before it have moved.
 *
 * Everything that changes a connection puts it on its shard's dirty list; at the end of the turn
 * conn_settle does what has become possible, in one go: so all answers of a turn leave in one send,
 * and there is one place where it is decided what the socket is watched for. */
#include <string.h>

#include "base/mem.h"
#include "runtime/conn_private.h"

/* ---- requests ---- */

/* The frame's memory goes, and with it the charge. The struct stays. */
void req_free_frame(struct conn_shard *cs, struct req *r)
{
    if (r->pooled) {
        frame_pool_put(&cs->pool, r->data, r->cap);
        r->pooled = false;
    }
    r->data = NULL;
    r->base.frame = BYTES_NULL;
    conn_uncharge(cs, r);
}

void req_free(struct conn_shard *cs, struct req *r)
{
    ASSERT(list_empty(&r->base.node));
    req_free_frame(cs, r);
    mem_free(r);
}

void conn_req_charge(struct conn_req *req, size_t bytes)
{
    ASSERT_ON_SHARD(req->shard);
    conn_charge(conn_shard_get(req->shard), CONTAINER_OF(req, struct req, base), bytes);
}

void conn_req_release_frame(struct conn_req *base, size_t owned)
{
    struct req *r = req_of(base);
    struct conn_shard *cs = conn_shard_get(base->shard);
    ASSERT_ON_SHARD(base->shard);
    ASSERT(r->state == REQ_STARTED || r->state == REQ_ORPHAN);
    bool is_inline = !r->pooled && r->data != NULL;
    size_t kept = sizeof *r + (is_inline ? r->len : 0) + owned;
    req_free_frame(cs, r);
    conn_charge(cs, r, kept);
}

static void release_mem(struct chunk *c, struct shard *sh)
{
    UNUSED(sh);
    mem_free(c->user); /* data moves on with what is sent */
    mem_free(c);
}

struct chunk *chunk_mem(uint8_t *data, size_t len)
{
    struct chunk *c = MEM_NEW(struct chunk);
    list_init(&c->node);
    c->kind = CHUNK_MEM;
    c->data = data;
    c->len = len;
    c->release = release_mem;
    c->user = data;
    return c;
}

/* The answer that lies inside its request: both go. */
static void release_one(struct chunk *c, struct shard *sh)
{
    struct req *r = CONTAINER_OF(c, struct req, one);
    mem_free(c->user);
    req_free(sh->conns, r);
}

static void release_all(struct list *chunks, struct shard *sh)
{
    struct list *n;
    while ((n = list_pop_front(chunks)) != NULL) {
        struct chunk *c = LIST_ENTRY(n, struct chunk, node);
        c->release(c, sh);
    }
}

/* Moves all of `from` behind `to`. */
static void splice_back(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* ---- starting and answering ---- */

void conn_pump(struct conn_priv *c)
{
    if (c->pumping) {
        return;
    }
    c->pumping = true;
    while (!c->closed && c->waiting != &c->reqs) {
        struct req *r = LIST_ENTRY(c->waiting, struct req, base.node);
        ASSERT(r->state == REQ_WAITING);
        if (c->running > 0 && (r->overlap == 0 || r->overlap != c->running_overlap)) {
            break;
        }
        if (c->out_bytes >= CONN_OUT_RUN_MAX) {
            break; /* first the answers that are there */
        }
        c->waiting = c->waiting->next;
        r->state = REQ_STARTED;
        c->running++;
        c->running_overlap = r->overlap;
        c->base.ops->on_request(&r->base);
    }
    c->pumping = false;
}

/* Answers that have nothing before them any more become output. */
static void promote(struct conn_priv *c)
{
    while (!list_empty(&c->reqs)) {
        struct req *r = LIST_ENTRY(c->reqs.next, struct req, base.node);
        if (r->state != REQ_ANSWERED) {
            break;
        }
        list_remove(&r->base.node);
        c->reqs_n--;
        c->out_urgent = c->out_urgent || !r->base.patient;
        splice_back(&c->out, &r->base.out);
        if (!r->has_one) {
            req_free(conn_shard_of(c), r);
        }
    }
}

static void reply_orphan(struct req *r, struct list *chunks)
{
    struct shard *sh = r->base.shard;
    release_all(chunks, sh);
    list_remove(&r->base.node); /* on_cancel may still be due */
    req_free(sh->conns, r);
}

void conn_reply(struct conn_req *base, struct list *chunks)
{
    struct req *r = req_of(base);
    struct conn_priv *c;
    ASSERT_ON_SHARD(base->shard);
    if (r->state == REQ_ORPHAN) {
        reply_orphan(r, chunks);
        return;
    }
    ASSERT(r->state == REQ_STARTED);
    c = conn_priv_of(base->conn);
    r->state = REQ_ANSWERED;
    c->running--;
    list_for_each (it, chunks) {
        conn_charge_answer(c, LIST_ENTRY(it, struct chunk, node));
    }
    if (!list_empty(chunks)) {
        conn_stamp(base, LIST_ENTRY(chunks->prev, struct chunk, node));
    }
    splice_back(&base->out, chunks);
    req_free_frame(conn_shard_of(c), r);
    promote(c);
    conn_mark(c);
}

/* Its answer is in `out` already. */
static void reply_joined(struct conn_priv *c, struct req *r)
{
    list_remove(&r->base.node);
    c->reqs_n--;
    c->running--;
    req_free(conn_shard_of(c), r);
    promote(c);
    conn_mark(c);
}

void conn_reply_mem(struct conn_req *base, uint8_t *data, size_t len)
{
    struct req *r = req_of(base);
    struct list chunks;
    struct chunk *one;
    ASSERT_ON_SHARD(base->shard);
    if (r->state == REQ_STARTED && conn_join_answer(conn_priv_of(base->conn), r, data, len)) {
        mem_free(data);
        reply_joined(conn_priv_of(base->conn), r);
        return;
    }
    list_init(&chunks);
    /* in the request itself only if that is small: it stays as long as the answer does */
    if (r->state == REQ_STARTED && r->len <= CONN_COPY_MAX) {
        one = &r->one;
        *one = (struct chunk){.kind = CHUNK_MEM, .data = data, .len = len, .user = data};
        one->release = release_one;
        r->has_one = true;
    } else {
        one = chunk_mem(data, len);
    }
    list_push_back(&chunks, &one->node);
    conn_reply(base, &chunks);
}

/* ---- open and close ---- */

static void sock_ready(struct io_sock *s, unsigned events, void *user)
{
    struct conn_priv *c = user;
    UNUSED(s);
    if (events & (IO_WRITE | IO_HUP)) {
        c->blocked = false;
    }
    if (events & (IO_READ | IO_HUP)) {
        conn_read(c);
    }
    if (!c->closed) {
        conn_pump(c);
        conn_mark(c);
    }
}

struct conn *conn_open(struct shard *sh, int handle, const struct conn_ops *ops,
                       const struct conn_limits *limits, void *user)
{
    struct conn_shard *cs = conn_shard_get(sh);
    struct conn_priv *c;
    ASSERT_ON_SHARD(sh);
    ASSERT(limits->frame_bytes_max > 0 && limits->requests_max > 0);
    c = MEM_NEW(struct conn_priv);
    if (io_sock_adopt(sh->io, handle, &c->sock) != 0) {
        mem_free(c);
        return NULL;
    }
    c->base.shard = sh;
    c->base.ops = ops;
    c->base.limits = limits;
    c->base.user = user;
    c->base.id = ++cs->next_id;
    io_sock_peer(c->sock, c->base.peer, sizeof c->base.peer);
    list_init(&c->dirty);
    list_init(&c->begun);
    list_init(&c->starved);
    list_init(&c->held);
    list_init(&c->reqs);
    list_init(&c->out);
    c->waiting = &c->reqs;
    c->cls = conn_class_get(cs, limits);
    c->active_ms = c->idle_mark_ms = shard_now_ms(sh);
    list_push_back(&cs->conns, &c->all);
    list_push_back(&c->cls->idle, &c->idle);
    if (limits->idle_ms > 0) {
        conn_expiry_plan(cs, c->active_ms + limits->idle_ms);
    }
    cs->count++;
    if (ops->on_open != NULL) {
        ops->on_open(&c->base);
    }
    if (!c->closed) {
        io_sock_arm(c->sock, IO_READ, sock_ready, c);
    }
    return &c->base;
}

void conn_touch(struct conn_priv *c, int64_t now_ms)
{
    c->active_ms = now_ms;
    /* the list is kept coarse, so that an active connection rarely moves */
    if (now_ms - c->idle_mark_ms > c->base.limits->idle_ms / 16) {
        c->idle_mark_ms = now_ms;
        list_remove(&c->idle);
        list_push_back(&c->cls->idle, &c->idle);
    }
}

/* The connection is going: what is not started is freed, what runs becomes an orphan. */
static void drop_requests(struct conn_priv *c)
{
    struct conn_shard *cs = conn_shard_of(c);
    struct list *n;
    while ((n = list_pop_front(&c->reqs)) != NULL) {
        struct req *r = LIST_ENTRY(n, struct req, base.node);
        if (r->state == REQ_STARTED) {
            r->state = REQ_ORPHAN;
            r->base.conn = NULL;
            list_push_back(&cs->canceled, n);
            continue;
        }
        bool one = r->has_one;
        struct list out; /* not in the request: its own chunk frees it */
        list_init(&out);
        splice_back(&out, &r->base.out);
        list_for_each (it, &out) {
            conn_uncharge_answer(c, LIST_ENTRY(it, struct chunk, node));
        }
        release_all(&out, c->base.shard);
        if (!one) {
            req_free(cs, r);
        }
    }
    c->waiting = &c->reqs;
    c->reqs_n = c->running = 0;
}

void conn_close(struct conn *conn)
{
    struct conn_priv *c = conn_priv_of(conn);
    struct conn_shard *cs = conn_shard_of(c);
    ASSERT_ON_SHARD(conn->shard);
    if (c->closed) {
        return;
    }
    c->closed = true;
    io_sock_close(c->sock);
    c->sock = NULL;
    conn_drop_input(c);
    drop_requests(c);
    conn_drop_output(c);
    list_remove(&c->dirty);
    list_remove(&c->idle);
    list_remove(&c->begun);
    list_remove(&c->starved);
    list_remove(&c->held);
    list_remove(&c->all);
    ASSERT(cs->count > 0);
    cs->count--;
    list_push_back(&cs->dead, &c->all);
    conn_shard_wish(cs);
}

void conn_fail(struct conn_priv *c, const char *why)
{
    log_limited(c->base.shard->log, &conn_shard_of(c)->limit, LOG_WARN, "connection",
                "closed: %s peer=%s", why, c->base.peer);
    conn_close(&c->base);
}

/* Peers that speak something else are told from their first four bytes. */
static const char *other_language(int32_t len)
{
    enum { TLS_HANDSHAKE = 0x1603, GET = 0x47455420, HEAD = 0x48454144, POST = 0x504f5354 };
    if (len >> 16 == TLS_HANDSHAKE) {
        return "; TLS begins so, and is not spoken here";
    }
    return len == GET || len == HEAD || len == POST ? "; HTTP begins so" : "";
}

void conn_fail_length(struct conn_priv *c, int32_t len)
{
    log_limited(c->base.shard->log, &conn_shard_of(c)->limit, LOG_WARN, "connection",
                "closed: a request says it is %d bytes long, allowed are 1 to %u "
                "(socket.request.max.bytes)%s peer=%s",
                len, c->base.limits->frame_bytes_max, other_language(len), c->base.peer);
    conn_close(&c->base);
}

void conn_fail_io(struct conn_priv *c, int64_t err)
{
    log_limited(c->base.shard->log, &conn_shard_of(c)->limit, LOG_WARN, "connection",
                "closed: an answer could not be sent: %s peer=%s",
                err == 0 || err == ERR_TRUNCATED ? "the file is shorter than promised"
                                                 : err_text((int)err),
                c->base.peer);
    conn_close(&c->base);
}

void conn_drain(struct conn *conn)
{
    struct conn_priv *c = conn_priv_of(conn);
    struct conn_shard *cs = conn_shard_of(c);
    ASSERT_ON_SHARD(conn->shard);
    if (c->closed || c->draining) {
        return;
    }
    c->draining = true;
    conn_drop_input(c);
    while (c->waiting != &c->reqs) {
        struct req *r = LIST_ENTRY(c->waiting, struct req, base.node);
        c->waiting = c->waiting->next;
        list_remove(&r->base.node);
        c->reqs_n--;
        req_free(cs, r);
    }
    conn_mark(c);
}

/* ---- the end of the turn ---- */

void conn_mark(struct conn_priv *c)
{
    if (!c->closed && list_empty(&c->dirty)) {
        struct conn_shard *cs = conn_shard_of(c);
        list_push_back(&cs->dirty, &c->dirty);
        conn_shard_wish(cs);
    }
}

/* Runs and sends all that can be run and sent now. Every round uses up input that is there or
 * output, so it ends. */
static void work_off(struct conn_priv *c)
{
    for (;;) {
        conn_pump(c);
        if (!c->closed && conn_resume(c)) {
            continue;
        }
        if (c->closed || list_empty(&c->out) || c->blocked || c->cold != NULL ||
            conn_holds_answers(c)) {
            return;
        }
        conn_flush(c);
        if (c->closed || !list_empty(&c->out)) {
            return;
        }
    }
}

static bool is_finished(const struct conn_priv *c)
{
    bool no_more = c->draining || (c->eof && c->carry_len == 0);
    return no_more && c->reqs_n == 0 && list_empty(&c->out) && c->cold == NULL;
}

/* What the socket is watched for now, and whether the frame that is coming in is on the clock: only
 * while we are willing to read it. */
static void watch(struct conn_priv *c)
{
    bool read = conn_may_read(c);
    bool begun = read && (c->cur != NULL || c->hdr_have > 0);
    bool patient = read && !begun && !c->blocked && conn_is_patient(c);
    int64_t timeout_ms = c->base.limits->body_timeout_ms;
    io_sock_arm(c->sock,
                (read ? IO_READ : 0u) | (c->blocked ? IO_WRITE : 0u) | (patient ? IO_PATIENT : 0u),
                sock_ready, c);
    if (!begun) {
        list_remove(&c->begun);
    } else if (list_empty(&c->begun) && timeout_ms > 0) {
        c->begun_ms = shard_now_ms(c->base.shard);
        list_push_back(&c->cls->begun, &c->begun);
        conn_expiry_plan(conn_shard_of(c), c->begun_ms + timeout_ms);
    }
}

void conn_settle(struct conn_priv *c)
{
    work_off(c);
    if (c->closed) {
        return;
    }
    if (is_finished(c)) {
        conn_close(&c->base);
        return;
    }
    watch(c);
}
