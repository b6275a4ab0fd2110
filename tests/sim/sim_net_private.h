/* What sim_net.c (streams, ends, closing) and sim_sock.c (the calls of the seam) share. */
#ifndef SIM_NET_PRIVATE_H
#define SIM_NET_PRIVATE_H

#include "sim/io_sim.h"
#include "sim/sim_net.h"

struct segment {
    struct list node;
    uint64_t end; /* mark in the stream */
    int64_t at_us;
    int64_t since_us; /* sent */
    bool fin;
};

struct sim_stream {
    struct sim_conn *conn;
    int side;         /* the sending end */
    struct buf bytes; /* from `read` on */
    size_t head;      /* bytes of the buffer that were read already */
    uint64_t read;
    uint64_t arrived;
    uint64_t sent;
    uint64_t credited;
    uint32_t window;
    bool fin_sent;
    bool fin_arrived;
    struct list segments;
    struct sim_event arrive;
    struct sim_event credit;
};

enum where { ADDR_ANY, ADDR_LOOP4, ADDR_LOOP6, ADDR_HOST };

struct sim_ep {
    struct sim_conn *conn;
    struct sim_host *host;
    struct sim_proc *proc;     /* NULL: closed */
    struct sim_sock *sock;     /* NULL while it is a handle */
    struct sim_sock *listener; /* in whose backlog it waits */
    struct list backlog;
    enum where where;
    uint16_t port;
    bool silent; /* its machine lost power */
    bool up;     /* connected, as this end knows */
    int err;     /* reset, timed out, refused */
    int handle;  /* -1 */
};

struct sim_conn {
    struct list node;
    struct sim_net *net;
    struct sim_ep ep[2];     /* [0] connects, [1] was listened for */
    struct sim_stream st[2]; /* [i] is what ep[i] sends */
    struct sim_event connect;
    int64_t since_us; /* of the connecting */
    bool reached;     /* the listener's machine has taken it */
};

struct sim_sock {
    struct io_sock base;
    struct io_sim *io;
    struct list node; /* in io->socks */
    struct sim_ready ready;
    struct sim_ep *ep; /* NULL: a listener */
    unsigned armed;
    bool patient;
    struct sim_event late; /* hands out what came while the patient sockets rested */
    io_sock_cb *cb;
    void *user;
    /* listener */
    struct list lnode; /* in net->listeners */
    struct list backlog;
    enum where where;
    uint16_t port;
};

enum { BACKLOG_MAX = 128, RETRY_US = 200000 };

static inline struct sim_sock *sock_of(struct io_sock *s)
{
    return (struct sim_sock *)(void *)s;
}

static inline struct sim_net *net_of(const struct io_sim *io)
{
    return &io->proc->host->sim->net;
}

static inline bool chance(struct sim_net *net, uint32_t ppm)
{
    return ppm != 0 && prng_below(&net->rng, 1000000) < ppm;
}

static inline int64_t delay(struct sim_net *net)
{
    const struct sim_net_faults *f = &net->faults;
    return f->delay_us_min + (int64_t)prng_below(&net->rng, f->delay_us_max - f->delay_us_min + 1u);
}
void sim_sock_poll(struct sim_sock *s); /* has something become ready that it waits for? */
void sim_sock_late(struct sim_event *ev);
void sim_sock_late(struct sim_event *ev);
void sim_stream_init(struct sim_conn *c, int side);
/* What was put into the stream goes on its way, or its end does. */
void sim_stream_segment(struct sim_net *net, struct sim_stream *st, bool fin);
void sim_ep_fail(struct sim_ep *ep, int err); /* an end learns that the connection is no more */
void sim_ep_reset(struct sim_ep *ep);
void sim_ep_close(struct sim_ep *ep, bool silent); /* a program lets go of its end */
bool sim_net_is_blocked(const struct sim_net *net, const struct sim_host *from,
                        const struct sim_host *to);

#endif
