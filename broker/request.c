#include "broker/request.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "broker/api/handlers.h"
#include "broker/listener.h"
#include "broker/shard_stats.h"
#include "broker/slow_requests.h"
#include "controller/image.h"
#include "proto_apis.h"

enum {
    POOL_MAX = 256,         /* requests kept for the next ones, per shard */
    POOL_ARENA_MAX = 16384, /* an arena that used more gives its memory back */
    ARENA_LEAST = 1 << 20,  /* what decoding may always take ... */
    ARENA_PER_BYTE = 64,    /* ... and on top of it per byte of the frame, up to ... */
    ARENA_SHARE = 16,       /* ... this part of the shard's budget */
    ANSWER_SHARE = 4,       /* this part may the parts of one answer take */
    ARENA_FREE = 64 << 10,  /* more than this is charged to the budget */
};

struct request_pool {
    struct node_shard *ns;
    struct list free;
    struct list live;
    struct list never;       /* live, and not to be answered */
    struct request *handled; /* its handler runs, and has not answered */
    unsigned n;
};

/* ---- pool ---- */

struct request_pool *request_pool_new(struct node_shard *ns)
{
    struct request_pool *p = MEM_NEW(struct request_pool);
    p->ns = ns;
    ns->shard->io->patience_us = (int64_t)ns->node->config->v.io_patience_ms * 1000;
    list_init(&p->free);
    list_init(&p->live);
    list_init(&p->never);
    return p;
}

/* Its memory may still be written to by another shard's last turn, or end. */
static void bury(struct request_pool *p, struct request *r)
{
    struct conn_req *cr = r->cr;
    struct list none;
    list_init(&none);
    list_remove(&r->live);
    list_push_back(&p->ns->lent_requests, &r->live);
    cr->user = NULL;
    conn_reply(cr, &none);
}

void request_free_lent(struct node_shard *ns)
{
    struct list *it;
    while ((it = list_pop_front(&ns->lent_requests)) != NULL) {
        struct request *r = LIST_ENTRY(it, struct request, live);
        image_put(r->image);
        arena_free(&r->arena);
        mem_free(r);
    }
}

void request_pool_free(struct request_pool *p)
{
    struct list *it;
    if (p == NULL) {
        return;
    }
    /* Only when the node is freed without a stop. What waits at other shards (an append for its
     * acknowledgement, a fetch) is in memory of these, and those shards end in their own time. */
    while (!list_empty(&p->live)) {
        bury(p, LIST_ENTRY(p->live.next, struct request, live));
    }
    while (!list_empty(&p->never)) {
        request_drop(LIST_ENTRY(p->never.next, struct request, live));
    }
    while ((it = list_pop_front(&p->free)) != NULL) {
        struct request *r = LIST_ENTRY(it, struct request, live);
        arena_free(&r->arena);
        mem_free(r);
    }
    mem_free(p);
}

static struct request *pool_get(struct request_pool *p)
{
    struct list *it = list_pop_front(&p->free);
    struct request *r = it ? LIST_ENTRY(it, struct request, live) : MEM_NEW(struct request);
    p->n -= it != NULL;
    list_push_back(&p->live, &r->live);
    return r;
}

static void pool_put(struct request_pool *p, struct request *r)
{
    struct arena arena = r->arena;
    list_remove(&r->live);
    image_put((struct image *)(uintptr_t)r->image);
    if (arena.used > POOL_ARENA_MAX || p->n >= POOL_MAX) {
        arena_free(&arena);
    } else {
        arena_reset(&arena);
    }
    if (p->n >= POOL_MAX) {
        mem_free(r);
        return;
    }
    *r = (struct request){.arena = arena};
    p->n++;
    list_push_front(&p->free, &r->live);
}

/* ---- answers ---- */

/* Records or members are waited for, for as long as the client asked. */
static bool waits_by_design(const struct request *r)
{
    switch (r->api->key) {
    case API_FETCH:
    case API_JOIN_GROUP:
    case API_SYNC_GROUP:
        return true;
    default:
        return false;
    }
}

/* One of the slowest of the minute: with who asked, and its stages so far. */
static struct slow_request *note_slow(struct node_shard *ns, const struct conn *c, unsigned slot,
                                      int64_t rank_us, int64_t received_us, int64_t now_us)
{
    struct slow_request *slow = slow_requests_add(ns->stats->slow, rank_us, now_us);
    if (slow == NULL) {
        return NULL;
    }
    const struct session *session = c->session;
    slow->slot = slot;
    slow->conn = c->id;
    slow->received_us = received_us;
    snprintf(slow->client, sizeof slow->client, "%.*s", SLOW_CLIENT - 1, session->client_id);
    snprintf(slow->peer, sizeof slow->peer, "%s", c->peer);
    return slow;
}

static void look_if_slow(const struct request *r, int64_t local_us, int64_t now_us)
{
    const struct conn_req *cr = r->cr;
    int64_t rank = (waits_by_design(r) ? local_us : now_us) - cr->received_us;
    if (cr->conn == NULL || !slow_requests_wants(r->ns->stats->slow, rank, now_us)) {
        return;
    }
    struct slow_request *slow = note_slow(r->ns, cr->conn, r->slot, rank, cr->received_us, now_us);
    if (slow) {
        slow->stages_us[STAGE_QUEUE] = r->started_us - cr->received_us;
        slow->stages_us[STAGE_LOCAL] = local_us - r->started_us;
        slow->stages_us[STAGE_REMOTE] = now_us - local_us;
    }
}

/* An answer that took long to be sent. */
static void look_if_slow_sent(struct node_shard *ns, const struct conn *c,
                              const struct conn_sent *sent)
{
    int64_t rank = sent->sent_us - sent->replied_us;
    if (!slow_requests_wants(ns->stats->slow, rank, sent->sent_us)) {
        return;
    }
    struct slow_request *slow = slow_requests_find(ns->stats->slow, c->id, sent->received_us);
    if (slow) {
        slow->rank_us += rank;
    } else {
        slow = note_slow(ns, c, sent->tag, rank, sent->received_us, sent->sent_us);
    }
    if (slow) {
        slow->stages_us[STAGE_RESPONSE_QUEUE] = sent->begun_us - sent->replied_us;
        slow->stages_us[STAGE_SEND] = sent->sent_us - sent->begun_us;
        slow->stages_us[STAGE_TOTAL] = sent->sent_us - sent->received_us;
    }
}

/* The stages that are over; those of the answer's way come with on_sent. */
static void count(struct request *r, bool answered)
{
    struct conn_req *cr = r->cr;
    struct request_stat *s = shard_stats_request(r->ns->stats, r->slot);
    int64_t now = io_now_us(r->ns->shard->io);
    int64_t local = r->local_us ? r->local_us : now;
    s->requests++;
    request_stat_add(s, STAGE_QUEUE, r->started_us - cr->received_us);
    request_stat_add(s, STAGE_LOCAL, local - r->started_us);
    request_stat_add(s, STAGE_REMOTE, now - local);
    look_if_slow(r, local, now);
    if (!answered) {
        request_stat_add(s, STAGE_TOTAL, now - cr->received_us);
    } else {
        cr->replied_us = now;
        cr->tag = (uint16_t)r->slot;
    }
}

static void on_sent(struct conn *c, const struct conn_sent *sent)
{
    struct node_shard *ns = node_shard_of(c->shard);
    struct request_stat *s = shard_stats_request(ns->stats, sent->tag);
    for (unsigned i = 0; i < sent->answers; i++) {
        request_stat_add(s, STAGE_RESPONSE_QUEUE, sent->begun_us - sent->replied_us);
        request_stat_add(s, STAGE_SEND, sent->sent_us - sent->begun_us);
        request_stat_add(s, STAGE_TOTAL, sent->sent_us - sent->received_us);
    }
    look_if_slow_sent(ns, c, sent);
}

/* Ends the request; what is left of it is to be answered. */
static struct conn_req *end(struct request *r, bool answered)
{
    ASSERT_ON_SHARD(r->ns->shard);
    struct conn_req *cr = r->cr;
    if (r->api && !r->canceled) {
        count(r, answered);
    }
    if (r->ns->requests->handled == r) {
        r->ns->requests->handled = NULL;
    }
    cr->user = NULL;
    pool_put(r->ns->requests, r);
    return cr;
}

/* Gives the connection its answer, or none. */
static void finish(struct request *r, struct list *chunks)
{
    conn_reply(end(r, !list_empty(chunks)), chunks);
}

void request_reply_version(struct request *r, int16_t version, const void *body)
{
    struct buf out = {0};
    struct errmsg em = {{0}};
    buf_reserve(&out, 256);
    buf_put_be32(&out, 0);
    proto_put_response_header(&out, r->hdr.api_key, version, r->hdr.correlation_id);
    const struct proto_message *m = proto_response(r->hdr.api_key);
    int err = proto_encode(m, version, body, &out, &em);
    if (err) {
        log_limited(r->ns->node->log, &r->ns->limit, LOG_ERROR, "request",
                    "an answer does not encode: the connection is closed api=%s version=%d "
                    "reason=\"%s\"",
                    m->name, version, em.text);
        buf_free(&out);
        request_close(r);
        return;
    }
    store_be32(out.data, (uint32_t)(out.len - 4));
    struct conn_req *cr = end(r, true);
    size_t len = out.len;
    conn_reply_mem(cr, buf_take(&out), len);
}

void request_reply(struct request *r, const void *body)
{
    request_reply_version(r, r->hdr.version, body);
}

void request_reply_chunks(struct request *r, struct list *chunks)
{
    finish(r, chunks);
}

void request_drop(struct request *r)
{
    struct list none;
    list_init(&none);
    finish(r, &none);
}

void request_close(struct request *r)
{
    r->on_cancel = NULL; /* it is being answered already */
    if (r->cr->conn) {
        conn_close(r->cr->conn);
    }
    request_drop(r);
}

void request_never(struct request *r)
{
    r->on_cancel = request_drop;
    list_remove(&r->live);
    list_push_back(&r->ns->requests->never, &r->live);
}

void request_pool_each(const struct request_pool *p,
                       void (*fn)(const struct request *r, void *user), void *user)
{
    ASSERT_ON_SHARD(p->ns->shard);
    list_for_each (at, &p->live) {
        fn(LIST_ENTRY(at, struct request, live), user);
    }
}

void request_pool_stop(struct request_pool *p)
{
    ASSERT_ON_SHARD(p->ns->shard);
    while (!list_empty(&p->never)) {
        request_close(LIST_ENTRY(p->never.next, struct request, live));
    }
}

void request_refuse(struct request *r, const char *fmt, ...)
{
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    log_limited(r->ns->node->log, &r->ns->limit, LOG_WARN, "request",
                "connection closed: %s peer=%s api=%d version=%d bytes=%zu", why,
                r->cr->conn ? r->cr->conn->peer : "?", r->hdr.api_key, r->hdr.version,
                r->cr->frame.len);
    request_close(r);
}

void request_release_frame(struct request *r, size_t used)
{
    ASSERT_ON_SHARD(r->ns->shard);
    r->body = NULL;
    r->hdr.client_id = BYTES_NULL;
    conn_req_release_frame(r->cr, used > ARENA_FREE ? used : 0);
}

void *request_response(struct request *r)
{
    return proto_array(&r->arena, proto_response(r->hdr.api_key)->root, 1);
}

/* ---- from the connection ---- */

const struct api *api_find(int16_t key)
{
    size_t lo = 0;
    size_t hi = api_table_n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (api_table[mid].key < key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < api_table_n && api_table[lo].key == key ? &api_table[lo] : NULL;
}

unsigned request_slots(void)
{
    return (unsigned)api_table_n + 1;
}

unsigned request_follower_slot(void)
{
    return (unsigned)api_table_n;
}

static void note_client(struct request *r)
{
    struct session *s = r->cr->conn->session;
    size_t n = r->hdr.client_id.len;
    n = n < sizeof s->client_id - 1 ? n : sizeof s->client_id - 1;
    if (n) {
        memcpy(s->client_id, r->hdr.client_id.data, n);
    }
    s->client_id[n] = '\0';
}

/* A frame of many tiny elements is larger decoded than on the wire, and its handler takes a
 * multiple of that again for the answer, so one request may decode into a part of the budget only.
 */
static size_t arena_limit(const struct node_shard *ns, size_t body)
{
    size_t most = (size_t)ns->shard->budget.limit / ARENA_SHARE;
    size_t want = body * ARENA_PER_BYTE;
    return ARENA_LEAST + (want < most ? want : most);
}

size_t request_answer_max(const struct node_shard *ns)
{
    return ARENA_LEAST + (size_t)ns->shard->budget.limit / ANSWER_SHARE;
}

static int decode(struct request *r)
{
    const struct conn_req *cr = r->cr;
    const struct proto_message *m = proto_request(r->hdr.api_key);
    struct bytes body = bytes_of(cr->frame.data + r->hdr.body_at, cr->frame.len - r->hdr.body_at);
    r->arena.limit = arena_limit(r->ns, body.len);
    r->body = proto_array(&r->arena, m->root, 1);
    int err = proto_decode(m, r->hdr.version, body, NULL, &r->arena, r->body);
    if (r->arena.used > ARENA_FREE) {
        conn_req_charge(r->cr, r->arena.used);
    }
    return err;
}

static void run(struct request *r, void (*handle)(struct request *r))
{
    struct node_shard *ns = r->ns;
    ns->requests->handled = r;
    handle(r);
    if (ns->requests->handled == r) { /* it waits for somebody */
        ns->requests->handled = NULL;
        r->local_us = io_now_us(ns->shard->io);
    }
}

void request_put_off(struct request *r)
{
    ASSERT(r->ns->requests->handled == r);
    r->ns->requests->handled = NULL;
}

/* With the metadata of today: what it finds by an older version would be kept as the newest. */
void request_go_on(struct request *r, void (*handle)(struct request *r))
{
    struct node_shard *ns = r->ns;
    ASSERT_ON_SHARD(ns->shard);
    ASSERT(ns->requests->handled == NULL);
    image_put((struct image *)(uintptr_t)r->image);
    r->image = image_get((struct image *)(uintptr_t)ns->image);
    r->started_us = io_now_us(ns->shard->io);
    run(r, handle);
}

static void on_request(struct conn_req *cr)
{
    struct node_shard *ns = node_shard_of(cr->shard);
    ASSERT_ON_SHARD(ns->shard);
    struct request *r = pool_get(ns->requests);
    struct listener_handoff *ticket = cr->conn->user;
    r->cr = cr;
    r->ns = ns;
    r->listener = ticket->listener;
    r->image = image_get((struct image *)(uintptr_t)ns->image);
    cr->user = r;
    r->started_us = io_now_us(ns->shard->io);
    int err = proto_read_request_header(cr->frame, &r->hdr);
    r->api = err && err != ERR_UNSUPPORTED ? NULL : api_find(r->hdr.api_key);
    if (r->api == NULL) {
        request_refuse(r, err && err != ERR_UNSUPPORTED ? "the request header is broken"
                                                        : "the API is not served here");
        return;
    }
    r->slot = (unsigned)(r->api - api_table);
    const struct proto_api *versions = proto_api(r->hdr.api_key);
    if (err || r->hdr.version < versions->version_min || r->hdr.version > versions->version_max) {
        if (r->hdr.api_key == API_API_VERSIONS) {
            api_versions_unsupported(r);
            return;
        }
        request_refuse(r, "the version is not served");
        return;
    }
    note_client(r);
    err = decode(r);
    if (err == ERR_NOMEM) {
        request_refuse(r, "the request names more than fits in memory (request.memory.bytes)");
        return;
    }
    if (err) {
        request_refuse(r, "the request does not decode (%s)", err_text(err));
        return;
    }
    run(r, r->api->handle);
}

static void on_cancel(struct conn_req *cr)
{
    struct request *r = cr->user;
    if (r == NULL) {
        return;
    }
    r->canceled = true;
    if (r->on_cancel) {
        r->on_cancel(r);
    }
}

/* What may run beside unanswered requests of its own kind (conn.h): those whose answer waits for a
 * log. Their order there is that in which they started. */
static uint8_t overlaps(struct bytes frame)
{
    switch (frame.len >= 2 ? load_be16(frame.data) : UINT16_MAX) {
    case API_PRODUCE:
        return 1;
    case API_OFFSET_COMMIT:
        return 2;
    case API_HEARTBEAT:
        return 3;
    default:
        return 0;
    }
}

/* A member has its session timeout, tens of heartbeats long: a few milliseconds are nothing. */
static bool patient(struct bytes frame)
{
    return frame.len >= 2 && load_be16(frame.data) == API_HEARTBEAT;
}

static void on_open(struct conn *c)
{
    c->session = MEM_NEW(struct session);
    node_shard_of(c->shard)->stats->connections++;
}

static void on_close(struct conn *c)
{
    mem_free(c->session);
    c->session = NULL;
    listener_conn_closed(node_shard_of(c->shard), c->user);
}

const struct conn_ops request_conn_ops = {
    .overlaps = overlaps,
    .patient = patient,
    .on_request = on_request,
    .on_cancel = on_cancel,
    .on_sent = on_sent,
    .on_open = on_open,
    .on_close = on_close,
};
