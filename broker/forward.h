/* Requests that only the active controller can answer. A client's request travels as it came, in an
 * Envelope with the client's principal and address, and what is in the answer's envelope goes to
 * the client as it is: so every rule of the controller's APIs is in one place.
 *
 * Each shard uses its own channel. While there is no active controller, or the connection to it
 * breaks, the request is sent again until request.timeout.ms is over, as Kafka does (so a request
 * may take effect twice: creating a topic twice is an error the client knows).
 *
 * Shard: the one of the connection, or of whoever starts a call. */
#ifndef BROKER_FORWARD_H
#define BROKER_FORWARD_H

#include "base/buf.h"
#include "broker/request.h"
#include "controller/channel.h"

/* Answers r with an error that came instead of the controller's answer (REQUEST_TIMED_OUT,
 * UNKNOWN_SERVER_ERROR). */
typedef void forward_refuse(struct request *r, int16_t code, void *user);
/* Sends the client's request and answers r. refuse gets no user. */
void forward_request(struct request *r, forward_refuse *refuse);

/* The same with another body in place of the client's (in r's version). done gets the decoded
 * response, in r's arena, and answers r. */
typedef void forward_done(struct request *r, void *response, void *user);
void forward_body(struct request *r, const void *body, forward_done *done, forward_refuse *refuse,
                  void *user);

/* One request in an Envelope, until it is answered or its time is over. A field of whoever waits;
 * zero-initialised, in place until cb. */
struct forward_call;
/* code 0: response is the response frame (header and body), valid during the callback. */
typedef void forward_cb(struct forward_call *f, int16_t code, struct bytes response);
struct forward_call {
    struct channel_call call;
    struct node_shard *ns;
    struct buf envelope;
    struct timer retry;
    int64_t deadline_ms;
    forward_cb *cb;
    void *user;
};
/* frame: a request's header and body; copied. address: 4 or 16 bytes. */
void forward_start(struct forward_call *f, struct node_shard *ns, struct bytes frame,
                   struct bytes address, int64_t timeout_ms, forward_cb *cb, void *user);
void forward_cancel(struct forward_call *f); /* cb does not come any more; no harm if it did */

/* Asks the controller to create the topic that a Metadata request named, unless this shard is doing
 * so already. */
void auto_create_topic(struct node_shard *ns, struct bytes name);
void auto_create_free(struct node_shard *ns); /* before the shard's channel closes */

#endif
