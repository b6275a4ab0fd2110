/* A scripted client: a connection over the simulated network that speaks Kafka's frames.
 *
 * Calls go out in order and are answered in order (the node executes a connection's requests one
 * after another). A call's callback runs exactly once: with the body of the answer, or with an
 * error when the connection ended first (ERR_CLOSED), when no answer came in time (ERR_TIMEOUT; the
 * connection is then closed, as real clients do), or when the script hung up (ERR_CANCELED). A
 * callback may make calls. The client never reconnects by itself. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "proto/message.h"
#include "sim/io_sim.h"

struct sim_client;
struct sim_call;

/* err 0: body is the answer's body (good during the callback), to be decoded at the version that
 * was asked. */
typedef void sim_call_cb(struct sim_call *call, int err, struct bytes body);

struct sim_call {
    struct list node;
    struct sim_client *client;
    int16_t api_key;
    int16_t version;
    int32_t correlation_id;
    struct sim_event timeout;
    sim_call_cb *cb;
    void *user;
};

struct sim_client {
    struct io *io;
    struct sim *sim;
    struct io_sock *sock; /* NULL: not connected */
    const char *id;
    struct buf out;
    size_t out_at;
    struct buf in;
    struct list calls; /* struct sim_call, oldest first */
    int32_t next_correlation;
    bool connected;
    bool reading; /* false: it has stopped reading its answers */
};

void sim_client_init(struct sim_client *c, struct io *io, const char *id);
/* Starts to connect; calls may be made at once. */
void sim_client_open(struct sim_client *c, const char *ip, uint16_t port);
bool sim_client_is_open(const struct sim_client *c);
/* Hangs up; calls in flight end with ERR_CANCELED. */
void sim_client_close(struct sim_client *c);
/* What is to be answered within timeout_us. no_answer: there will be none (acks=0); no callback
 * then, cb is NULL. */
void sim_client_call(struct sim_client *c, int16_t api_key, int16_t version, const void *request,
                     int64_t timeout_us, sim_call_cb *cb, void *user);
void sim_client_send(struct sim_client *c, int16_t api_key, int16_t version, const void *request);
/* Raw bytes instead of a frame (bad input). */
void sim_client_raw(struct sim_client *c, const void *p, size_t n);

#endif
