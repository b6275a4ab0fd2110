#include "broker/listener.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/dynamic_config.h"
#include "broker/messages.h"
#include "broker/request.h"

enum {
    ACCEPTS_PER_TURN = 64, /* so that a flood of newcomers does not starve main's own connections */
    RETRY_MS = 100,        /* pause after EMFILE */
};

struct listener_ip {
    char ip[64];
    uint32_t connections;
};

static void accept_cb(struct io_sock *s, unsigned events, void *user);

static void arm(struct listener *l, bool on)
{
    l->armed = on;
    for (unsigned i = 0; i < l->socks_n; i++) {
        io_sock_arm(l->socks[i], on ? IO_READ : 0, accept_cb, l);
    }
}

/* Accepts where there is room, and only there. */
static void rearm(struct listener_set *ls)
{
    bool room = ls->accepting && !timer_is_set(&ls->retry) && ls->connections < ls->max;
    for (size_t i = 0; i < ls->n; i++) {
        struct listener *l = &ls->v[i];
        arm(l, room && l->connections < l->connections_max);
    }
}

static void retry_cb(struct timer *t)
{
    rearm(t->user);
}

/* ---- limits per address ---- */

/* `max.connections.per.ip.overrides` is HOST:N,HOST:N... with numeric addresses here. */
static int64_t ip_limit(const struct listener_set *ls, const char *ip)
{
    struct config_list list = config_list_start(bytes_of(ls->overrides.data, ls->overrides.len));
    struct bytes entry;
    size_t n = strlen(ip);
    while (config_list_next(&list, &entry)) {
        if (entry.len > n + 1 && memcmp(entry.data, ip, n) == 0 && entry.data[n] == ':') {
            return strtol((const char *)entry.data + n + 1, NULL, 10);
        }
    }
    return ls->per_ip_max;
}

static bool ip_add(struct listener_set *ls, const char *ip)
{
    struct listener_ip *e = map_get(&ls->per_ip, bytes_str(ip));
    if (e == NULL) {
        e = MEM_NEW(struct listener_ip);
        strcpy(e->ip, ip);
        map_put(&ls->per_ip, bytes_str(e->ip), e);
    }
    e->connections++;
    return e->connections <= ip_limit(ls, ip);
}

static void ip_remove(struct listener_set *ls, const char *ip)
{
    struct listener_ip *e = map_get(&ls->per_ip, bytes_str(ip));
    ASSERT(e != NULL && e->connections > 0);
    if (--e->connections == 0) {
        map_remove(&ls->per_ip, bytes_str(ip));
        mem_free(e);
    }
}

/* ---- accept and hand out ---- */

static unsigned emptiest_shard(const struct listener_set *ls)
{
    unsigned best = 0;
    for (unsigned i = 1; i < ls->node->data_shards; i++) {
        if (ls->per_shard[i] < ls->per_shard[best]) {
            best = i;
        }
    }
    return best;
}

static void hand_out(struct listener *l, int handle)
{
    struct listener_set *ls = l->set;
    struct listener_handoff *t = MEM_NEW(struct listener_handoff);
    t->m.kind = MSG_CONN_OPEN;
    t->handle = handle;
    t->listener = l;
    t->shard = emptiest_shard(ls);
    io_handle_peer(ls->shard->io, handle, t->ip, sizeof t->ip);
    if (!ip_add(ls, t->ip)) {
        log_limited(ls->node->log, &ls->node->shards[0].limit, LOG_WARN, "listener",
                    "connection refused: max.connections.per.ip is reached ip=%s limit=%" PRId64,
                    t->ip, ip_limit(ls, t->ip));
        io_handle_close(ls->shard->io, handle);
        ip_remove(ls, t->ip);
        mem_free(t);
        return;
    }
    l->connections++;
    ls->connections++;
    ls->per_shard[t->shard]++;
    list_push_back(&ls->tickets, &t->node);
    shard_send(ls->shard, t->shard, &t->m);
}

static void accept_cb(struct io_sock *s, unsigned events, void *user)
{
    UNUSED(events);
    struct listener *l = user;
    struct listener_set *ls = l->set;
    if (!l->armed) {
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (ls->connections >= ls->max || l->connections >= l->connections_max) {
            log_limited(ls->node->log, &ls->node->shards[0].limit, LOG_WARN, "listener",
                        "no more connections are accepted until one closes: max.connections is "
                        "reached listener=%s connections=%" PRIu32,
                        l->config->name, ls->connections);
            break;
        }
        int handle;
        int err = io_accept(s, &handle);
        if (err == ERR_AGAIN) {
            break;
        }
        if (err) {
            log_limited(ls->node->log, &ls->node->shards[0].limit, LOG_WARN, "listener",
                        "accept failed, trying again soon listener=%s error=\"%s\"",
                        l->config->name, err_text(err));
            timer_set(ls->shard, &ls->retry, shard_now_ms(ls->shard) + RETRY_MS);
            break;
        }
        hand_out(l, handle);
    }
    rearm(ls);
}

/* On a data shard. */
void listener_on_open(struct node_shard *ns, struct msg *m)
{
    ASSERT_ON_SHARD(ns->shard);
    struct listener_handoff *t = CONTAINER_OF(m, struct listener_handoff, m);
    struct conn *c = conn_open(ns->shard, t->handle, &request_conn_ops, &t->listener->limits, t);
    if (c == NULL) {
        listener_conn_closed(ns, t);
    }
}

void listener_conn_closed(struct node_shard *ns, struct listener_handoff *ticket)
{
    ASSERT_ON_SHARD(ns->shard);
    ticket->m.kind = MSG_CONN_CLOSED;
    shard_send(ns->shard, 0, &ticket->m);
}

void listener_on_closed(struct listener_set *ls, struct msg *m)
{
    ASSERT_ON_SHARD(ls->shard);
    struct listener_handoff *t = CONTAINER_OF(m, struct listener_handoff, m);
    ASSERT(t->listener->connections > 0 && ls->connections > 0 && ls->per_shard[t->shard] > 0);
    t->listener->connections--;
    ls->connections--;
    ls->per_shard[t->shard]--;
    ip_remove(ls, t->ip);
    list_remove(&t->node);
    mem_free(t);
    rearm(ls);
}

/* ---- open and close ---- */

static int bind_one(struct listener_set *ls, struct listener *l, struct errmsg *em)
{
    uint16_t port = l->config->port;
    for (unsigned i = 0; i < l->config->binds; i++) {
        int err = io_listen(ls->shard->io, l->config->bind[i], port, &l->socks[l->socks_n]);
        if (err && i == 0) {
            return errmsg_set(em, err, "listener %s cannot bind %s:%u: %s", l->config->name,
                              l->config->bind[i][0] ? l->config->bind[i] : "*", port,
                              err_text(err));
        }
        if (err) {
            log_info(ls->node->log, "listener",
                     "not bound listener=%s host=%s port=%u reason=\"%s\"", l->config->name,
                     l->config->bind[i], port, err_text(err));
            continue;
        }
        port = io_sock_port(l->socks[l->socks_n]); /* the second address takes the same port */
        l->socks_n++;
    }
    l->port = port;
    return 0;
}

struct listener_set *listeners_open(struct node *n, struct shard *main, struct errmsg *em)
{
    ASSERT_ON_SHARD(main);
    const struct config *c = n->config;
    struct listener_set *ls = MEM_NEW(struct listener_set);
    ls->node = n;
    ls->shard = main;
    list_init(&ls->tickets);
    ls->retry.cb = retry_cb;
    ls->retry.user = ls;
    ls->per_shard = mem_zalloc(n->data_shards * sizeof *ls->per_shard);
    listeners_set_limits(ls, NULL);
    for (size_t i = 0; i < c->listeners.n; i++) {
        if (c->listeners.v[i].controller) {
            continue;
        }
        struct listener *l = &ls->v[ls->n++];
        l->config = &c->listeners.v[i];
        l->set = ls;
        l->connections_max = UINT32_MAX;
        l->limits = (struct conn_limits){
            .frame_bytes_max = (uint32_t)c->v.socket_request_max_bytes,
            .requests_max = (uint32_t)c->v.requests_per_connection_max,
            .idle_ms = c->v.connections_max_idle_ms,
            .body_timeout_ms = c->v.request_body_timeout_ms,
        };
        if (bind_one(ls, l, em)) {
            listeners_close(ls);
            listeners_free(ls);
            return NULL;
        }
    }
    return ls;
}

void listeners_set_limits(struct listener_set *ls, const struct image *img)
{
    ASSERT_ON_SHARD(ls->shard);
    const struct config *c = ls->node->config;
    struct bytes o = dynamic_config_text(c, img, "max.connections.per.ip.overrides");
    ls->max = dynamic_config_int(c, img, "max.connections");
    ls->per_ip_max = dynamic_config_int(c, img, "max.connections.per.ip");
    buf_free(&ls->overrides);
    buf_put(&ls->overrides, o.data, o.len);
    buf_put_u8(&ls->overrides, 0); /* ip_limit reads the last number as text */
    ls->overrides.len--;
    rearm(ls);
}

void listeners_accept(struct listener_set *ls)
{
    ASSERT_ON_SHARD(ls->shard);
    ls->accepting = true;
    rearm(ls);
}

void listeners_close(struct listener_set *ls)
{
    ASSERT_ON_SHARD(ls->shard);
    ls->accepting = false;
    timer_cancel(ls->shard, &ls->retry);
    for (size_t i = 0; i < ls->n; i++) {
        for (unsigned k = 0; k < ls->v[i].socks_n; k++) {
            io_sock_close(ls->v[i].socks[k]);
        }
        ls->v[i].socks_n = 0;
    }
}

void listeners_free(struct listener_set *ls)
{
    if (ls == NULL) {
        return;
    }
    struct list *at;
    while ((at = list_pop_front(&ls->tickets)) != NULL) {
        mem_free(LIST_ENTRY(at, struct listener_handoff, node));
    }
    map_for_each (s, &ls->per_ip) {
        mem_free(s->value);
    }
    map_free(&ls->per_ip);
    buf_free(&ls->overrides);
    mem_free(ls->per_shard);
    mem_free(ls);
}

const struct listener *listeners_find(const struct listener_set *ls, const char *name)
{
    for (size_t i = 0; i < ls->n; i++) {
        if (strcmp(ls->v[i].config->name, name) == 0) {
            return &ls->v[i];
        }
    }
    return NULL;
}
