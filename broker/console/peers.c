#include "broker/console/peers.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"
#include "proto/descriptor.h"
#include "proto_apis.h"

enum {
    ANSWER_MEMORY = 128 << 20, /* of one that is decoded; only one is at a time */
};

struct ask {
    struct channel_call call;
    struct list node; /* of the console: of its line, then of its asks */
    struct buf body;  /* while it is in line */
    struct peer *peer;
    ask_fn *fn;
    void *user;
};

/* ---- questions ---- */

static void note(struct peer *p, int err)
{
    if (err == ERR_CANCELED) {
        return;
    }
    bool answers = err == 0;
    if (!p->heard || p->answers != answers) {
        p->since_ms = console_now(p->console);
    }
    p->heard = true;
    p->answers = answers;
    snprintf(p->why, sizeof p->why, "%s", answers ? "" : err_text(err));
}

/* What a broker hands on to the controllers is late when they are, and says nothing of it. */
static bool tells_of_broker(int16_t api_key, int err)
{
    return err == 0 || api_key != API_DESCRIBE_QUORUM;
}

static void finish(struct ask *q, int err, const void *answer)
{
    q->peer->asks--;
    q->fn(q->peer, err, answer, q->user);
    buf_free(&q->body);
    mem_free(q);
}

static void send_off(struct console *c, struct ask *q)
{
    c->asks_n++;
    list_push_back(&c->asks, &q->node);
    q->call.body = buf_bytes(&q->body);
    channel_call(q->peer->channel, &q->call);
    buf_free(&q->body);
}

/* Others have ended: those in line go on. */
static void send_on(struct console *c)
{
    while (c->asks_n < PEER_ASKS_MAX && !list_empty(&c->line)) {
        struct ask *q = LIST_ENTRY(list_pop_front(&c->line), struct ask, node);
        if (q->peer->channel) {
            send_off(c, q);
        } else {
            finish(q, ERR_CANCELED, NULL);
        }
    }
}

static void on_answer(struct channel_call *call, int err, struct bytes body)
{
    struct ask *q = call->user;
    struct peer *p = q->peer;
    struct console *c = p->console;
    struct arena a = {.limit = ANSWER_MEMORY};
    const struct proto_message *m = proto_response(call->api_key);
    void *answer = NULL;
    if (tells_of_broker(call->api_key, err)) {
        note(p, err);
    }
    if (err == 0) {
        answer = arena_alloc(&a, m->root->size);
        err = proto_decode(m, call->version, body, NULL, &a, answer);
    }
    list_remove(&q->node);
    c->asks_n--;
    finish(q, err, answer);
    arena_free(&a);
    send_on(c);
}

void peer_ask(struct peer *p, int16_t api_key, int16_t version, const void *request,
              int64_t timeout_ms, ask_fn *fn, void *user)
{
    struct console *c = p->console;
    struct errmsg em = {{0}};
    ASSERT(p->channel != NULL);
    struct ask *q = MEM_NEW(struct ask);
    int err = proto_encode(proto_request(api_key), version, request, &q->body, &em);
    ASSERT(err == 0);
    q->peer = p;
    q->fn = fn;
    q->user = user;
    q->call = (struct channel_call){.api_key = api_key,
                                    .version = version,
                                    .timeout_ms = timeout_ms,
                                    .cb = on_answer,
                                    .user = q};
    p->asks++;
    if (c->asks_n < PEER_ASKS_MAX && list_empty(&c->line)) {
        send_off(c, q);
    } else {
        list_push_back(&c->line, &q->node);
    }
}

/* ---- who there is ---- */

struct peer *peer_find(struct console *c, int32_t id)
{
    list_for_each (at, &c->peers) {
        struct peer *p = LIST_ENTRY(at, struct peer, node);
        if (p->id == id) {
            return p;
        }
    }
    return NULL;
}

static void disconnect(struct peer *p)
{
    if (p->channel) {
        channel_close(p->channel);
        p->channel = NULL;
    }
}

void peer_drop_dirs(struct peer *p)
{
    for (unsigned i = 0; i < p->dirs_n; i++) {
        mem_free(p->dirs[i].path);
    }
    mem_free(p->dirs);
    p->dirs = NULL;
    p->dirs_n = 0;
}

static void free_peer(struct peer *p)
{
    ASSERT(p->channel == NULL);
    list_remove(&p->node);
    peer_drop_dirs(p);
    mem_free(p);
}

static const struct image_endpoint *endpoint_of(const struct image_broker *b, const char *listener)
{
    enum { PLAINTEXT = 0 };
    const struct image_endpoint *e =
        listener ? image_broker_endpoint(b, bytes_str(listener)) : NULL;
    for (uint32_t i = 0; e == NULL && i < b->endpoints_n; i++) {
        e = b->endpoints[i].security_protocol == PLAINTEXT ? &b->endpoints[i] : NULL;
    }
    return e;
}

static void follow_broker(struct console *c, const struct image_broker *b, const char *listener)
{
    struct peer *p = peer_find(c, b->id);
    const struct image_endpoint *e = endpoint_of(b, listener);
    struct channel_endpoint to = {.id = b->id};
    if (p == NULL) {
        p = MEM_NEW(struct peer);
        p->console = c;
        p->id = b->id;
        list_push_back(&c->peers, &p->node);
    }
    if (e && e->host.len < sizeof to.host) {
        memcpy(to.host, e->host.data, e->host.len);
        to.port = e->port;
    }
    p->known = true;
    if (p->fenced != b->fenced) {
        p->heard = false;
    }
    p->fenced = b->fenced;
    bool moved = to.port != p->address.port || strcmp(to.host, p->address.host) != 0;
    if (moved || b->fenced) {
        disconnect(p);
    }
    p->address = to;
    if (p->channel == NULL && !b->fenced && to.port) {
        p->channel = channel_socket_new(console_shard(c), &to, 1, "console");
        channel_socket_bound(p->channel, PEER_ANSWER_BYTES);
    }
}

void console_peers_follow(struct console *c, const struct image *img, const char *listener)
{
    list_for_each (at, &c->peers) {
        LIST_ENTRY(at, struct peer, node)->known = false;
    }
    for (int32_t i = 0; i < img->brokers_n; i++) {
        follow_broker(c, img->brokers[i], listener);
    }
    list_for_each_safe (at, &c->peers) {
        struct peer *p = LIST_ENTRY(at, struct peer, node);
        if (!p->known) {
            disconnect(p);
        }
        if (!p->known && p->asks == 0) {
            free_peer(p);
        }
    }
}

/* ---- the end ---- */

void console_peers_end(struct console *c)
{
    list_for_each (at, &c->peers) {
        disconnect(LIST_ENTRY(at, struct peer, node));
    }
}

/* Questions are left over only if the shard's last turn was in the middle of a stop. */
void console_peers_free(struct console *c)
{
    while (!list_empty(&c->asks) || !list_empty(&c->line)) {
        struct list *some = list_empty(&c->asks) ? &c->line : &c->asks;
        struct ask *q = LIST_ENTRY(list_pop_front(some), struct ask, node);
        buf_free(&q->body);
        mem_free(q);
    }
    c->asks_n = 0;
    while (!list_empty(&c->peers)) {
        free_peer(LIST_ENTRY(c->peers.next, struct peer, node));
    }
}
