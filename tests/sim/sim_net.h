/* Stream sockets between the machines of a simulated world.
 *
 * THE MODEL, as TCP looks to programs that do not see packets:
 *   - bytes of a connection arrive in order or not at all, each send after its own delay, cut at
 *     random places; a receiver takes any part of what has arrived;
 *   - what is sent and not yet read is bounded by a small window drawn for each direction, so that
 *     short sends happen all the time; room shows up on the sender's side a delay later;
 *   - a closed socket's peer gets the rest and then the end of stream; where unread bytes were
 * thrown away it gets a reset instead, and with it possibly loses what it had not read yet;
 *   - a killed process's sockets are closed by its kernel; a machine without power is silent: its
 *     peers notice when they send (a reset, if the machine is back) or after a timeout;
 *   - a blocked link (either way alone) holds everything back until it opens or senders give up;
 *   - a scenario may hold back one message, as a lost packet does to its connection alone;
 *   - connecting to a port nobody listens on is refused, to a machine without power it times out;
 *   - now and then a connection is reset for no reason (reset_ppm, per send).
 * An address is a machine's own, or a loopback one of the machine that asks; a listener takes those
 * for its own address, or all. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/prng.h"
#include "runtime/io.h"
#include "sim/sim_clock.h"

struct sim;
struct sim_host;
struct sim_proc;
struct sim_sock;

struct sim_net_faults {
    uint32_t delay_us_min;
    uint32_t delay_us_max;
    uint32_t window_min; /* bytes */
    uint32_t window_max;
    uint32_t split_ppm; /* per arrival: only a part of it comes now */
    uint32_t short_ppm; /* per recv or send: fewer bytes than possible */
    uint32_t reset_ppm; /* per send */
    int64_t timeout_us; /* after which a sender gives up */
};

struct sim_net_stats {
    uint64_t connections;
    uint64_t bytes;
    uint64_t short_sends;
    uint64_t resets;
    uint64_t timeouts;
};

/* Does what begins so stay on its way, with all that its connection sends behind it, until this is
 * asked again (every RETRY_US) and says no? */
typedef bool sim_net_hold(void *user, const struct sim_host *from, const struct sim_host *to,
                          struct bytes first);

struct sim_net {
    struct sim *sim;
    struct prng rng;
    struct sim_net_faults faults;
    struct sim_net_stats stats;
    struct list conns;     /* struct sim_conn */
    struct list listeners; /* struct sim_sock */
    struct sim_ep **handles;
    size_t handle_cap;
    uint16_t next_port;
    uint64_t blocked[64]; /* bit b of [a]: nothing gets from host a to host b */
    sim_net_hold *hold;   /* may be NULL */
    void *hold_user;
};

void sim_net_init(struct sim_net *net, struct sim *sim, uint64_t seed);
void sim_net_free(struct sim_net *net);
struct sim_net_faults sim_net_no_faults(void); /* short delays, roomy windows */
void sim_net_block(struct sim_net *net, const struct sim_host *from, const struct sim_host *to,
                   bool blocked);
void sim_net_reset_all(struct sim_net *net, const struct sim_host *h); /* its connections */

/* All sockets of a process: closed by the kernel, or silent for ever. */
void sim_net_proc_gone(struct sim_net *net, struct sim_proc *p, bool silent);

/* ---- struct io_ops ---- */

int sim_net_listen(struct io *io, const char *host, uint16_t port, struct io_sock **out);
int sim_net_accept(struct io_sock *l, int *handle);
int sim_net_adopt(struct io *io, int handle, struct io_sock **out);
int sim_net_connect(struct io *io, const char *ip, uint16_t port, struct io_sock **out);
int sim_net_sock_error(struct io_sock *s);
uint16_t sim_net_sock_port(struct io_sock *s);
void sim_net_sock_peer(struct io_sock *s, char *out, size_t n);
void sim_net_handle_peer(struct io *io, int handle, char *out, size_t n);
void sim_net_arm(struct io_sock *s, unsigned events, io_sock_cb *cb, void *user);
int64_t sim_net_recv(struct io_sock *s, void *p, size_t n);
int64_t sim_net_sendv(struct io_sock *s, const struct iovec *iov, int iovcnt, bool more);
int64_t sim_net_sendfile(struct io_sock *s, struct io_file *f, uint64_t off, size_t n);
void sim_net_sock_close(struct io_sock *s);
void sim_net_handle_close(struct io *io, int handle);

/* Used by io_sim.c: outside of any process; the callback of an armed socket, if it is ready. */
int64_t sim_net_sendfile_now(struct io_sock *s, struct io_file *f, uint64_t off, size_t n);
struct sim_ready;
void sim_sock_fire(struct sim_ready *r);

#endif
