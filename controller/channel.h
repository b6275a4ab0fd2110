/* How a broker reaches the active controller: proto requests, nothing else. Carriers behind one
 * vtable, with the same handlers at the other end:
 *
 * local   messages between the caller's shard and the controller's (one process)
 * socket  connections to the CONTROLLER listener: length-prefixed frames, correlation ids,
 *         reconnect with backoff, the next voter when one does not answer. Fetch and FetchSnapshot
 *         (long poll), BrokerHeartbeat and BrokerRegistration (must not wait behind work), and all
 *         the rest have a connection each.
 * near    local while the controller of this process is the active one, else socket to the others
 *
 * Order: calls of one group reach the controller in the order they were made; answers may come in
 * any order. Every call ends exactly once, by its callback, never inside channel_call, on the
 * channel's shard. Nothing is resent by the channel: a call that was sent when its connection broke
 * ends with ERR_CLOSED and the caller, who knows what the request means, tries again. A call made
 * while there is no connection waits for one until its timeout.
 *
 * Failure modes: ERR_TIMEOUT (nothing came within timeout_ms), ERR_CLOSED, ERR_CANCELED (the
 * channel is closed), ERR_CORRUPT (the answer does not decode as a frame). What the answer says
 * inside (NOT_CONTROLLER and so on) is the caller's to read; after NOT_CONTROLLER it calls
 * channel_not_controller.
 *
 * Shard: the one it was made on. */
#ifndef CONTROLLER_CHANNEL_H
#define CONTROLLER_CHANNEL_H

#include "base/bytes.h"
#include "base/list.h"
#include "runtime/shard.h"

struct channel;
struct channel_call;
struct controller_msg;

/* err 0: body is the response's body (without header), valid during the callback. */
typedef void channel_cb(struct channel_call *call, int err, struct bytes body);

struct channel_call {
    /* the caller's; it keeps the struct in place until the callback */
    int16_t api_key;
    int16_t version;
    struct bytes body;  /* encoded request body; copied by channel_call */
    int64_t timeout_ms; /* from now on; > 0 */
    int64_t held_ms;    /* of these, for so long the other end may keep the answer */
    channel_cb *cb;
    void *user;
    /* the channel's */
    struct list node;
    struct channel *channel; /* NULL when not in flight */
    struct timer timer;
    int32_t correlation_id;
    uint8_t group;
    struct controller_msg *msg; /* local carrier: the message that is under way */
};

struct channel_ops {
    const char *name; /* "local", "socket" */
    void (*call)(struct channel *ch, struct channel_call *call);
    void (*cancel)(struct channel *ch, struct channel_call *call);
    void (*not_controller)(struct channel *ch);
    void (*close)(struct channel *ch);
    void (*leader)(struct channel *ch, int32_t id, bool hearsay); /* may be NULL */
    /* may be NULL */
    void (*know)(struct channel *ch, int32_t id, const char *host, uint16_t port);
};

struct channel {
    const struct channel_ops *ops;
    struct shard *shard;
};

/* A controller's address, for the socket carrier. */
struct channel_endpoint {
    int32_t id; /* -1: whoever answers there */
    char host[256];
    uint16_t port;
};

/* controller_shard: index of the controller's shard in the same group. */
struct channel *channel_local_new(struct shard *sh, unsigned controller_shard,
                                  const char *client_id);
/* Copies the endpoints. Host names are resolved when connecting. */
struct channel *channel_socket_new(struct shard *sh, const struct channel_endpoint *endpoints,
                                   size_t n, const char *client_id);

/* Answers of more bytes than these (100 MiB if nothing is said) break their connection. */
void channel_socket_bound(struct channel *ch, uint32_t answer_bytes);

/* Of both, which it owns from then on; own: the id of this process' controller. */
struct channel *channel_near_new(struct channel *local, struct channel *others, int32_t own,
                                 size_t others_n);

/* The call must not be in flight. */
static inline void channel_call(struct channel *ch, struct channel_call *call)
{
    ASSERT_ON_SHARD(ch->shard);
    ch->ops->call(ch, call);
}
static inline bool channel_in_flight(const struct channel_call *call)
{
    return call->channel != NULL;
}
/* Gives up a call: its callback does not come any more. No harm if it is not in flight. The request
 * may still take effect. */
static inline void channel_cancel(struct channel_call *call)
{
    if (call->channel) {
        call->channel->ops->cancel(call->channel, call);
    }
}
/* The peer said that it is not the active controller: go on with the next one. */
static inline void channel_not_controller(struct channel *ch)
{
    ch->ops->not_controller(ch);
}
/* Somebody who knows says which controller is the active one. Calls that were sent to another one
 * and are not answered soon end with ERR_CLOSED. */
static inline void channel_leader(struct channel *ch, int32_t id)
{
    if (ch->ops->leader) {
        ch->ops->leader(ch, id, false);
    }
}
/* A controller that is not the active one says which one is, as far as it knows: one that was
 * silent a moment ago is not believed to be it. */
static inline void channel_hint(struct channel *ch, int32_t id)
{
    if (ch->ops->leader) {
        ch->ops->leader(ch, id, true);
    }
}
/* Where a controller is. Taken by a channel that was made from addresses alone (endpoints of id
 * -1): the others were told once and for all. */
static inline void channel_know(struct channel *ch, int32_t id, const char *host, uint16_t port)
{
    if (ch->ops->know) {
        ch->ops->know(ch, id, host, port);
    }
}
/* Ends all calls with ERR_CANCELED (their callbacks run from a later turn, before the memory goes)
 * and frees the channel. */
static inline void channel_close(struct channel *ch)
{
    ch->ops->close(ch);
}

#endif
