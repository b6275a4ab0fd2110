/* The socket calls of the seam over sim_net.c's streams. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim/sim_net_private.h"

/* ---- addresses, listening, connecting ---- */

static int resolve(struct sim *sim, const char *name, enum where *where, struct sim_host **host)
{
    *host = NULL;
    if (name[0] == 0 || strcmp(name, "0.0.0.0") == 0 || strcmp(name, "::") == 0) {
        *where = ADDR_ANY;
    } else if (strncmp(name, "127.", 4) == 0 || strcmp(name, "localhost") == 0) {
        *where = ADDR_LOOP4;
    } else if (strcmp(name, "::1") == 0) {
        *where = ADDR_LOOP6;
    } else {
        *where = ADDR_HOST;
        *host = sim_host_find(sim, name);
        return *host ? 0 : ERR_NOTFOUND;
    }
    return 0;
}

static struct sim_sock *listener_find(struct sim_net *net, const struct sim_host *host,
                                      enum where where, uint16_t port, bool clash)
{
    list_for_each (it, &net->listeners) {
        struct sim_sock *l = LIST_ENTRY(it, struct sim_sock, lnode);
        if (l->io->proc->host == host && l->port == port &&
            (l->where == where || l->where == ADDR_ANY || (clash && where == ADDR_ANY))) {
            return l;
        }
    }
    return NULL;
}

static struct sim_sock *sock_new(struct io_sim *io)
{
    struct sim_sock *s = MEM_NEW(struct sim_sock);
    s->base.io = &io->io;
    s->io = io;
    list_init(&s->ready.node);
    sim_event_init(&s->late, sim_sock_late, s);
    list_init(&s->lnode);
    list_init(&s->backlog);
    list_push_back(&io->socks, &s->node);
    return s;
}

static uint16_t port_draw(struct sim_net *net)
{
    net->next_port = net->next_port == 60999 ? 32768 : (uint16_t)(net->next_port + 1);
    return net->next_port;
}

int sim_net_listen(struct io *base, const char *name, uint16_t port, struct io_sock **out)
{
    struct io_sim *io = io_sim_of(base);
    struct sim_net *net = net_of(io);
    enum where where;
    struct sim_host *host;
    int err = resolve(net->sim, name, &where, &host);
    if (err != 0) {
        return err;
    }
    if (where == ADDR_HOST && host != io->proc->host) {
        return ERR_NOTFOUND; /* not an address of this machine */
    }
    if (port == 0) {
        port = port_draw(net);
    } else if (listener_find(net, io->proc->host, where, port, true) != NULL) {
        return ERR_INUSE;
    }
    if (!sim_proc_fd_free(io->proc)) {
        return ERR_MFILE;
    }
    struct sim_sock *s = sock_new(io);
    s->where = where;
    s->port = port;
    io->proc->socks++;
    list_push_back(&net->listeners, &s->lnode);
    *out = &s->base;
    return 0;
}

static int handle_new(struct sim_net *net, struct sim_ep *ep)
{
    size_t i = 0;
    while (i < net->handle_cap && net->handles[i] != NULL) {
        i++;
    }
    if (i == net->handle_cap) {
        net->handle_cap = net->handle_cap ? net->handle_cap * 2 : 16;
        net->handles = mem_realloc(net->handles, net->handle_cap * sizeof(*net->handles));
        memset(net->handles + i, 0, (net->handle_cap - i) * sizeof(*net->handles));
    }
    net->handles[i] = ep;
    return (int)i;
}

int sim_net_accept(struct io_sock *sock, int *handle)
{
    struct sim_sock *l = sock_of(sock);
    ASSERT(l->ep == NULL);
    if (list_empty(&l->backlog)) {
        return ERR_AGAIN;
    }
    if (!sim_proc_fd_free(l->io->proc)) {
        return ERR_MFILE;
    }
    struct sim_ep *ep = LIST_ENTRY(list_pop_front(&l->backlog), struct sim_ep, backlog);
    ep->listener = NULL;
    ep->proc->socks++;
    ep->handle = handle_new(net_of(l->io), ep);
    *handle = ep->handle;
    return 0;
}

static struct sim_ep *handle_take(struct io_sim *io, int handle)
{
    struct sim_net *net = net_of(io);
    ASSERT(handle >= 0 && (size_t)handle < net->handle_cap && net->handles[handle] != NULL);
    struct sim_ep *ep = net->handles[handle];
    ASSERT(ep->proc == io->proc);
    net->handles[handle] = NULL;
    ep->handle = -1;
    return ep;
}

int sim_net_adopt(struct io *base, int handle, struct io_sock **out)
{
    struct io_sim *io = io_sim_of(base);
    struct sim_ep *ep = handle_take(io, handle);
    struct sim_sock *s = sock_new(io);
    s->ep = ep;
    ep->sock = s;
    *out = &s->base;
    return 0;
}

void sim_net_handle_close(struct io *base, int handle)
{
    sim_ep_close(handle_take(io_sim_of(base), handle), false);
}

/* The connecting end hears back. */
static void connect_answer(struct sim_event *ev)
{
    struct sim_conn *c = ev->user;
    struct sim_net *net = c->net;
    struct sim_ep *ep = &c->ep[0];
    if (sim_net_is_blocked(net, c->ep[1].host, ep->host)) {
        sim_clock_after(&net->sim->clock, &c->connect, RETRY_US);
    } else if (c->ep[1].silent) {
        sim_ep_fail(ep, ERR_TIMEOUT);
    } else {
        ep->up = true;
        sim_sock_poll(ep->sock);
    }
}

/* It reaches the other machine. */
static void connect_arrive(struct sim_event *ev)
{
    struct sim_conn *c = ev->user;
    struct sim_net *net = c->net;
    struct sim_clock *clock = &net->sim->clock;
    struct sim_ep *ep = &c->ep[1];
    struct sim_sock *l = NULL;
    bool away = sim_net_is_blocked(net, c->ep[0].host, ep->host) || !ep->host->up;
    if (!away) {
        l = listener_find(net, ep->host, ep->where, ep->port, false);
        if (l == NULL) {
            sim_ep_fail(&c->ep[0], ERR_REFUSED);
            return;
        }
    }
    size_t waiting = 0;
    if (l != NULL) {
        list_for_each (it, &l->backlog) {
            waiting++;
        }
    }
    if (away || waiting >= BACKLOG_MAX) {
        if (clock->now_us - c->since_us > net->faults.timeout_us) {
            net->stats.timeouts++;
            sim_ep_fail(&c->ep[0], ERR_TIMEOUT);
        } else {
            sim_clock_after(clock, &c->connect, RETRY_US);
        }
        return;
    }
    c->reached = true;
    net->stats.connections++;
    ep->proc = l->io->proc;
    ep->up = true;
    ep->listener = l;
    list_push_back(&l->backlog, &ep->backlog);
    sim_sock_poll(l);
    sim_event_init(&c->connect, connect_answer, c);
    sim_clock_after(clock, &c->connect, delay(net));
}

int sim_net_connect(struct io *base, const char *ip, uint16_t port, struct io_sock **out)
{
    struct io_sim *io = io_sim_of(base);
    struct sim_net *net = net_of(io);
    enum where where;
    struct sim_host *host;
    if (resolve(net->sim, ip, &where, &host) != 0 || strcmp(ip, "localhost") == 0) {
        return ERR_INVALID; /* not a numeric address; nobody's is not modelled */
    }
    if (!sim_proc_fd_free(io->proc)) {
        return ERR_MFILE;
    }
    struct sim_conn *c = MEM_NEW(struct sim_conn);
    c->net = net;
    c->since_us = net->sim->clock.now_us;
    for (int i = 0; i < 2; i++) {
        c->ep[i].conn = c;
        c->ep[i].handle = -1;
        c->ep[i].where = where == ADDR_ANY ? ADDR_LOOP4 : where;
        list_init(&c->ep[i].backlog);
        sim_stream_init(c, i);
    }
    c->ep[0].host = io->proc->host;
    c->ep[0].proc = io->proc;
    c->ep[0].port = port_draw(net);
    c->ep[1].host = host ? host : io->proc->host;
    c->ep[1].port = port;
    list_push_back(&net->conns, &c->node);
    io->proc->socks++;
    struct sim_sock *s = sock_new(io);
    s->ep = &c->ep[0];
    c->ep[0].sock = s;
    sim_event_init(&c->connect, connect_arrive, c);
    sim_clock_after(&net->sim->clock, &c->connect, delay(net));
    *out = &s->base;
    return 0;
}

int sim_net_sock_error(struct io_sock *sock)
{
    const struct sim_ep *ep = sock_of(sock)->ep;
    return ep == NULL ? 0 : ep->err;
}

uint16_t sim_net_sock_port(struct io_sock *sock)
{
    const struct sim_sock *s = sock_of(sock);
    return s->ep ? s->ep->port : s->port;
}

static void ep_peer(const struct sim_ep *ep, char *out, size_t n)
{
    const struct sim_ep *peer = &ep->conn->ep[ep == &ep->conn->ep[0]];
    bool loop = ep->where != ADDR_HOST;
    snprintf(out, n, "%s", loop ? ep->where == ADDR_LOOP6 ? "::1" : "127.0.0.1" : peer->host->ip);
}

void sim_net_sock_peer(struct io_sock *sock, char *out, size_t n)
{
    const struct sim_ep *ep = sock_of(sock)->ep;
    if (ep == NULL) {
        snprintf(out, n, "%s", "");
    } else {
        ep_peer(ep, out, n);
    }
}

void sim_net_handle_peer(struct io *base, int handle, char *out, size_t n)
{
    const struct sim_net *net = net_of(io_sim_of(base));
    ASSERT(handle >= 0 && (size_t)handle < net->handle_cap && net->handles[handle] != NULL);
    ep_peer(net->handles[handle], out, n);
}

/* ---- bytes ---- */

int64_t sim_net_recv(struct io_sock *sock, void *p, size_t n)
{
    struct sim_sock *s = sock_of(sock);
    struct sim_ep *ep = s->ep;
    struct sim_net *net = net_of(s->io);
    struct sim_stream *in = &ep->conn->st[ep == &ep->conn->ep[0]];
    uint64_t have = in->arrived - in->read;
    if (have == 0) {
        return ep->err ? (ep->err == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_CLOSED)
                       : (in->fin_arrived ? 0 : ERR_AGAIN);
    }
    n = n < have ? n : (size_t)have;
    if (n > 1 && chance(net, net->faults.short_ppm)) {
        n = 1 + (size_t)prng_below(&net->rng, n);
    }
    memcpy(p, in->bytes.data + in->head, n);
    in->head += n;
    in->read += n;
    if (in->head > in->bytes.len / 2) {
        memmove(in->bytes.data, in->bytes.data + in->head, in->bytes.len - in->head);
        in->bytes.len -= in->head;
        in->head = 0;
    }
    if (!sim_event_is_set(&in->credit) && ep->conn->ep[in->side].proc != NULL) {
        sim_clock_after(&net->sim->clock, &in->credit, delay(net));
    }
    return (int64_t)n;
}

/* How many bytes of n go out now; or an error. */
static int64_t send_room(struct sim_sock *s, size_t n)
{
    struct sim_ep *ep = s->ep;
    struct sim_net *net = net_of(s->io);
    struct sim_stream *out = &ep->conn->st[ep == &ep->conn->ep[1]];
    if (ep->err == 0 && ep->up && chance(net, net->faults.reset_ppm)) {
        sim_ep_reset(ep);
        if (ep->conn->ep[1 - out->side].proc != NULL) {
            sim_ep_reset(&ep->conn->ep[1 - out->side]);
        }
    }
    if (ep->err != 0) {
        return ERR_CLOSED;
    }
    uint64_t room = out->window - (out->sent - out->credited);
    if (!ep->up || room == 0) {
        return ERR_AGAIN;
    }
    uint64_t take = n < room ? n : room;
    if (take > 1 && chance(net, net->faults.short_ppm)) {
        take = 1 + prng_below(&net->rng, take);
    }
    net->stats.short_sends += take < n;
    return (int64_t)take;
}

static void send_put(struct sim_stream *out, const void *p, size_t n)
{
    buf_put(&out->bytes, p, n);
    out->sent += n;
    out->conn->net->stats.bytes += n;
}

int64_t sim_net_sendv(struct io_sock *sock, const struct iovec *iov, int iovcnt, bool more)
{
    UNUSED(more);
    struct sim_sock *s = sock_of(sock);
    struct sim_stream *out = &s->ep->conn->st[s->ep == &s->ep->conn->ep[1]];
    size_t n = 0;
    for (int i = 0; i < iovcnt; i++) {
        n += iov[i].iov_len;
    }
    enum sim_cut cut = sim_proc_call(s->io->proc, "send", "", n);
    if (cut == SIM_DIES_BEFORE) {
        sim_proc_die(s->io->proc);
    }
    int64_t take = n ? send_room(s, n) : 0;
    size_t left = take > 0 ? (size_t)take : 0;
    for (int i = 0; i < iovcnt && left > 0; i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
        send_put(out, iov[i].iov_base, part);
        left -= part;
    }
    if (take > 0) {
        sim_stream_segment(out->conn->net, out, false);
    }
    if (cut == SIM_DIES_AFTER) {
        sim_proc_die(s->io->proc);
    }
    return take;
}

int64_t sim_net_sendfile_now(struct io_sock *sock, struct io_file *f, uint64_t off, size_t n)
{
    struct sim_sock *s = sock_of(sock);
    struct sim_stream *out = &s->ep->conn->st[s->ep == &s->ep->conn->ep[1]];
    int64_t take = n ? send_room(s, n) : 0;
    if (take <= 0) {
        return take;
    }
    uint8_t *p = mem_alloc((size_t)take);
    int64_t got = sim_file_send(f, off, p, (size_t)take);
    if (got > 0) {
        send_put(out, p, (size_t)got);
        sim_stream_segment(out->conn->net, out, false);
    }
    mem_free(p);
    return got;
}

int64_t sim_net_sendfile(struct io_sock *sock, struct io_file *f, uint64_t off, size_t n)
{
    struct sim_proc *p = sock_of(sock)->io->proc;
    enum sim_cut cut = sim_proc_call(p, "sendfile", "", n);
    if (cut == SIM_DIES_BEFORE) {
        sim_proc_die(p);
    }
    int64_t done = sim_net_sendfile_now(sock, f, off, n);
    if (cut == SIM_DIES_AFTER) {
        sim_proc_die(p);
    }
    return done;
}
