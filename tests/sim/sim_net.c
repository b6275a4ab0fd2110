/* Connections in sim_net.h's model. A connection has two ends and two streams; stream i carries
 * what end i sends. The bytes of a stream stand in one buffer, with four marks behind each other:
 * read (by the receiving program), arrived (at its machine), sent; and `credited`, which follows
 * `read` a delay later and bounds what may be sent. */
#include "sim/sim_net.h"

#include <string.h>

#include "base/mem.h"
#include "sim/sim_net_private.h"

struct sim_net_faults sim_net_no_faults(void)
{
    return (struct sim_net_faults){.delay_us_min = 10,
                                   .delay_us_max = 60,
                                   .window_min = 65536,
                                   .window_max = 262144,
                                   .timeout_us = 30000000};
}

void sim_net_init(struct sim_net *net, struct sim *sim, uint64_t seed)
{
    *net = (struct sim_net){.sim = sim, .next_port = 32768, .faults = sim_net_no_faults()};
    prng_seed(&net->rng, seed);
    list_init(&net->conns);
    list_init(&net->listeners);
}

void sim_net_block(struct sim_net *net, const struct sim_host *from, const struct sim_host *to,
                   bool blocked)
{
    ASSERT(from->id < 64 && to->id < 64);
    if (blocked) {
        net->blocked[from->id] |= 1ull << to->id;
    } else {
        net->blocked[from->id] &= ~(1ull << to->id);
    }
}

bool sim_net_is_blocked(const struct sim_net *net, const struct sim_host *from,
                        const struct sim_host *to)
{
    return (net->blocked[from->id] >> to->id & 1) != 0;
}

/* ---- readiness ---- */

static unsigned sock_events(const struct sim_sock *s)
{
    if (s->ep == NULL) {
        return list_empty(&s->backlog) ? 0 : IO_READ;
    }
    const struct sim_ep *ep = s->ep;
    int side = (int)(ep - ep->conn->ep);
    const struct sim_stream *in = &ep->conn->st[1 - side];
    const struct sim_stream *out = &ep->conn->st[side];
    if (ep->err != 0) {
        return IO_READ | IO_WRITE | IO_HUP;
    }
    unsigned events = 0;
    if (in->arrived > in->read || in->fin_arrived) {
        events |= IO_READ;
    }
    if (ep->up && out->sent - out->credited < out->window) {
        events |= IO_WRITE;
    }
    return events;
}

/* What comes on a patient socket after a time without is handed out at once, and all that comes in
 * the next patience_us at the end of that time. */
static void push_patient(struct sim_sock *s)
{
    struct sim_clock *clock = &net_of(s->io)->sim->clock;
    if (clock->now_us >= s->io->look_us) {
        s->io->look_us = clock->now_us + s->io->io.patience_us;
        io_sim_push(s->io, &s->ready);
    } else if (!sim_event_is_set(&s->late)) {
        sim_clock_at(clock, &s->late, s->io->look_us);
    }
}

void sim_sock_late(struct sim_event *ev)
{
    struct sim_sock *s = ev->user;
    s->io->look_us = ev->at_us + s->io->io.patience_us;
    io_sim_push(s->io, &s->ready);
}

void sim_sock_poll(struct sim_sock *s)
{
    if (s == NULL || s->armed == 0 || (sock_events(s) & s->armed) == 0) {
        return;
    }
    if (s->patient) {
        push_patient(s);
    } else {
        io_sim_push(s->io, &s->ready);
    }
}

void sim_sock_fire(struct sim_ready *r)
{
    struct sim_sock *s = CONTAINER_OF(r, struct sim_sock, ready);
    unsigned events = sock_events(s);
    if ((events & s->armed) == 0) {
        return;
    }
    events &= s->armed | IO_HUP;
    io_sock_cb *cb = s->cb;
    s->armed = 0;
    cb(&s->base, events, s->user);
}

void sim_net_arm(struct io_sock *sock, unsigned events, io_sock_cb *cb, void *user)
{
    struct sim_sock *s = sock_of(sock);
    s->patient = events == (IO_READ | IO_PATIENT) && s->io->io.patience_us > 0;
    events &= ~(unsigned)IO_PATIENT;
    ASSERT((events & ~(unsigned)(IO_READ | IO_WRITE)) == 0);
    sim_clock_cancel(&net_of(s->io)->sim->clock, &s->late);
    s->armed = events;
    s->cb = cb;
    s->user = user;
    list_remove(&s->ready.node);
    sim_sock_poll(s);
}

/* ---- streams ---- */

static void stream_arrive(struct sim_event *ev);
static void stream_credit(struct sim_event *ev);

void sim_stream_init(struct sim_conn *c, int side)
{
    struct sim_net *net = c->net;
    struct sim_stream *st = &c->st[side];
    const struct sim_net_faults *f = &net->faults;
    st->conn = c;
    st->side = side;
    list_init(&st->segments);
    st->window =
        f->window_min + (uint32_t)prng_below(&net->rng, f->window_max - f->window_min + 1u);
    sim_event_init(&st->arrive, stream_arrive, st);
    sim_event_init(&st->credit, stream_credit, st);
}

static void stream_drop(struct sim_net *net, struct sim_stream *st)
{
    list_for_each_safe (it, &st->segments) {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct segment, node));
    }
    sim_clock_cancel(&net->sim->clock, &st->arrive);
    sim_clock_cancel(&net->sim->clock, &st->credit);
}

static void conn_free(struct sim_conn *c)
{
    for (int i = 0; i < 2; i++) {
        stream_drop(c->net, &c->st[i]);
        buf_free(&c->st[i].bytes);
        if (c->ep[i].handle >= 0) {
            c->net->handles[c->ep[i].handle] = NULL;
        }
        list_remove(&c->ep[i].backlog);
    }
    sim_clock_cancel(&c->net->sim->clock, &c->connect);
    list_remove(&c->node);
    mem_free(c);
}

/* An end learns that the connection is no more. */
void sim_ep_fail(struct sim_ep *ep, int err)
{
    struct sim_conn *c = ep->conn;
    int side = (int)(ep - c->ep);
    if (ep->err == 0) {
        ep->err = err;
        stream_drop(c->net, &c->st[side]);
        sim_sock_poll(ep->sock);
    }
}

void sim_ep_reset(struct sim_ep *ep)
{
    struct sim_conn *c = ep->conn;
    struct sim_stream *in = &c->st[1 - (int)(ep - c->ep)];
    c->net->stats.resets++;
    stream_drop(c->net, in);
    if (prng_below(&c->net->rng, 2)) { /* what had arrived may still be read, or not */
        in->read = in->sent = in->arrived;
        buf_clear(&in->bytes);
        in->head = 0;
    }
    sim_ep_fail(ep, ERR_CLOSED);
}

static void stream_schedule(struct sim_net *net, struct sim_stream *st)
{
    if (!list_empty(&st->segments)) {
        struct segment *seg = LIST_ENTRY(st->segments.next, struct segment, node);
        sim_clock_at(&net->sim->clock, &st->arrive, seg->at_us);
    }
}

void sim_stream_segment(struct sim_net *net, struct sim_stream *st, bool fin)
{
    struct segment *seg = MEM_NEW(struct segment);
    int64_t now = net->sim->clock.now_us;
    seg->end = st->sent;
    seg->fin = fin;
    seg->since_us = now;
    seg->at_us = now + delay(net);
    bool first = list_empty(&st->segments);
    if (!first) {
        struct segment *last = LIST_ENTRY(st->segments.prev, struct segment, node);
        seg->at_us = seg->at_us < last->at_us ? last->at_us : seg->at_us;
    }
    list_push_back(&st->segments, &seg->node);
    if (first) {
        stream_schedule(net, st);
    }
}

/* Both programs are through with it: nothing that is still under way matters. */
static void conn_maybe_free(struct sim_conn *c)
{
    if (c->ep[0].proc == NULL && c->ep[1].proc == NULL) {
        conn_free(c);
    }
}

/* Nothing that is sent gets there now. */
static bool is_stuck(struct sim_net *net, const struct sim_stream *st, const struct segment *seg)
{
    const struct sim_host *from = st->conn->ep[st->side].host;
    const struct sim_host *to = st->conn->ep[1 - st->side].host;
    if (sim_net_is_blocked(net, from, to) || !to->up) {
        return true;
    }
    struct bytes first = bytes_of(st->bytes.data + st->head + (st->arrived - st->read),
                                  (size_t)(seg->end - st->arrived));
    return net->hold != NULL && first.len > 0 && net->hold(net->hold_user, from, to, first);
}

static void stream_arrive(struct sim_event *ev)
{
    struct sim_stream *st = ev->user;
    struct sim_net *net = st->conn->net;
    struct sim_ep *from = &st->conn->ep[st->side];
    struct sim_ep *to = &st->conn->ep[1 - st->side];
    struct segment *seg = LIST_ENTRY(st->segments.next, struct segment, node);
    int64_t now = net->sim->clock.now_us;
    if (is_stuck(net, st, seg)) {
        if (now - seg->since_us > net->faults.timeout_us) {
            net->stats.timeouts++;
            sim_ep_fail(from, ERR_TIMEOUT);
        } else {
            sim_clock_after(&net->sim->clock, &st->arrive, RETRY_US);
        }
        return;
    }
    if (to->silent || to->proc == NULL) {
        if (from->proc != NULL && !from->silent) {
            sim_ep_reset(from);
        }
        return;
    }
    uint64_t n = seg->end - st->arrived;
    if (n > 1 && chance(net, net->faults.split_ppm)) {
        st->arrived += 1 + prng_below(&net->rng, n - 1);
        sim_clock_after(&net->sim->clock, &st->arrive, delay(net));
    } else {
        st->arrived = seg->end;
        st->fin_arrived = seg->fin;
        list_remove(&seg->node);
        mem_free(seg);
        stream_schedule(net, st);
    }
    sim_sock_poll(to->sock);
}

static void stream_credit(struct sim_event *ev)
{
    struct sim_stream *st = ev->user;
    struct sim_net *net = st->conn->net;
    struct sim_ep *from = &st->conn->ep[st->side];
    if (sim_net_is_blocked(net, st->conn->ep[1 - st->side].host, from->host)) {
        sim_clock_after(&net->sim->clock, &st->credit, RETRY_US);
        return;
    }
    st->credited = st->read;
    sim_sock_poll(from->sock);
}

/* A program lets go of its end. */
void sim_ep_close(struct sim_ep *ep, bool silent)
{
    struct sim_conn *c = ep->conn;
    struct sim_net *net = c->net;
    int side = (int)(ep - c->ep);
    struct sim_stream *in = &c->st[1 - side];
    struct sim_ep *peer = &c->ep[1 - side];
    bool unread = in->arrived > in->read;
    if (ep->proc != NULL) {
        ep->proc->socks--;
    }
    if (ep->handle >= 0) {
        net->handles[ep->handle] = NULL;
        ep->handle = -1;
    }
    list_remove(&ep->backlog);
    ep->proc = NULL;
    ep->sock = NULL;
    ep->silent = silent;
    if (side == 0) {
        sim_clock_cancel(&net->sim->clock, &c->connect);
    }
    if (silent) {
        stream_drop(net, &c->st[side]);
    } else if (c->reached && ep->err == 0 && peer->proc != NULL) {
        if (unread && !sim_net_is_blocked(net, ep->host, peer->host)) {
            sim_ep_reset(peer);
        } else {
            sim_stream_segment(net, &c->st[side], true);
        }
    }
    conn_maybe_free(c);
}

/* ---- the end ---- */

static void sock_free(struct sim_sock *s)
{
    sim_clock_cancel(&net_of(s->io)->sim->clock, &s->late);
    list_remove(&s->ready.node);
    list_remove(&s->node);
    mem_free(s);
}

static void sock_close(struct sim_sock *s, bool silent)
{
    if (s->ep != NULL) {
        sim_ep_close(s->ep, silent);
    } else {
        list_for_each_safe (it, &s->backlog) {
            struct sim_ep *ep = LIST_ENTRY(it, struct sim_ep, backlog);
            ep->proc->socks++; /* ep_close takes it off */
            sim_ep_close(ep, silent);
        }
        list_remove(&s->lnode);
        s->io->proc->socks--;
    }
    sock_free(s);
}

void sim_net_sock_close(struct io_sock *sock)
{
    struct sim_sock *s = sock_of(sock);
    io_sim_cancel_cold(s->io, s);
    sock_close(s, false);
}

void sim_net_proc_gone(struct sim_net *net, struct sim_proc *p, bool silent)
{
    list_for_each (it, &p->ios) {
        struct io_sim *io = LIST_ENTRY(it, struct io_sim, node);
        list_for_each_safe (jt, &io->socks) {
            sock_close(LIST_ENTRY(jt, struct sim_sock, node), silent);
        }
    }
    for (size_t i = 0; i < net->handle_cap; i++) {
        if (net->handles[i] != NULL && net->handles[i]->proc == p) {
            sim_ep_close(net->handles[i], silent);
        }
    }
    ASSERT(p->socks == 0);
}

void sim_net_reset_all(struct sim_net *net, const struct sim_host *h)
{
    list_for_each (it, &net->conns) {
        struct sim_conn *c = LIST_ENTRY(it, struct sim_conn, node);
        if (!c->reached || (c->ep[0].host != h && c->ep[1].host != h)) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            if (c->ep[i].proc != NULL) {
                sim_ep_reset(&c->ep[i]);
            }
        }
    }
}

void sim_net_free(struct sim_net *net)
{
    list_for_each_safe (it, &net->conns) {
        conn_free(LIST_ENTRY(it, struct sim_conn, node));
    }
    ASSERT(list_empty(&net->listeners));
    mem_free(net->handles);
}
