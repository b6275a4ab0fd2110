/* Requests that only the active controller can answer. A client's request travels as it came, in an
 * Envelope with the client's principal and address; what is in the answer's envelope goes to the
 * client as it is. So every rule of the controller's APIs is in one place.
 *
 * The connection's shard uses its own channel. While there is no active controller the request is
 * tried again until request.timeout.ms; then it gets the API's own answer with
 * REQUEST_TIMED_OUT where its answers have a place for an error, else the connection closes.
 *
 * Shard: the connection's. */
#ifndef BROKER_FORWARD_H
#define BROKER_FORWARD_H

#include "broker/request.h"
#include "controller/channel.h"

/* Answers r. */
void forward_request(struct request *r);

/* The same for a body that the handler changed, in place of the client's: encoded in r's version.
 * done gets the decoded response (in r's arena, NULL when the controller did not answer and why
 * tells Kafka's error), and answers r itself. */
typedef void forward_done(struct request *r, void *response, int16_t why);
void forward_body(struct request *r, const void *body, forward_done *done);

/* A request of the broker's own, in an Envelope like a client's. call and the rest must stay in
 * place until done; response is NULL when there is none. */
struct forward_own;
typedef void forward_own_done(struct forward_own *f, void *response, int16_t why);
struct forward_own {
    struct channel_call call;
    struct node_shard *ns;
    struct arena arena; /* of the response; freed after done */
    int16_t api_key;
    int16_t version;
    int64_t deadline_ms;
    struct buf frame; /* header and body */
    struct buf envelope;
    struct timer retry;
    forward_own_done *done;
    void *user;
};
void forward_own_start(struct forward_own *f, struct node_shard *ns, int16_t api_key,
                       int16_t version, const void *body, int64_t timeout_ms,
                       forward_own_done *done, void *user);
void forward_own_cancel(struct forward_own *f); /* done does not come any more */

/* ---- topics that a Metadata request creates ---- */

/* Asks for the topic unless this shard is doing so already. */
void auto_create_topic(struct node_shard *ns, struct bytes name);
void auto_create_free(struct node_shard *ns); /* before the shard's channel closes */

#endif
