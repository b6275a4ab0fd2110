/* An outgoing connection that speaks length-prefixed frames, the mirror of conn.h: finds the host,
 * connects, sends frames, hands over the frames that come back. It knows nothing of what is in
 * them. When to try, what to do with what was sent before a break, and what a silent peer means are
 * its owner's.
 *
 *     dial_open -> (resolving, connecting) -> up -> frame ... -> down (the peer's end, or an error)
 *                                          \-> down (not reached)
 *
 * A callback may do anything to the dial, dial_close and dial_open too; its memory must stay until
 * the callback has returned. None runs inside a call of the owner.
 *
 * Memory: what is not sent yet is kept (dial_unsent: the owner bounds it), and a frame that comes
 * grows with its bytes, up to frame_max; after a large one its buffer stays for the next, while the
 * shard has room. A dial that has sent all and has got nothing or something small last holds no
 * buffers. What is received is charged to the shard's budget and never waits for it: connections
 * (conn.h) do, so a broker's clients leave room for its followers and not the other way round. The
 * owner asks for no more than there is room for.
 *
 * Failure modes, given to down: ERR_REFUSED, ERR_TIMEOUT (no connection within connect_ms),
 * ERR_NOTFOUND (no such host), ERR_CLOSED, ERR_CORRUPT (a length above frame_max or below 1).
 *
 * Shard: the one it was made on. */
#ifndef RUNTIME_DIAL_H
#define RUNTIME_DIAL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "runtime/shard.h"

struct dial;
struct resolve;

struct dial_ops {
    void (*up)(struct dial *d); /* connected: frames may be sent */
    /* One that came whole, without its length; valid during the call. */
    void (*frame)(struct dial *d, struct bytes frame);
    void (*down)(struct dial *d, int err); /* not reached, or broken; it may be opened again */
};

struct dial {
    struct shard *shard;
    const struct dial_ops *ops;
    void *user; /* the owner's */
    uint32_t frame_max;
    bool up;
    /* dial.c's */
    struct io_sock *sock;  /* NULL: none */
    struct resolve *asked; /* a name is being resolved */
    int failed;            /* what io_connect said at once */
    uint64_t generation;   /* of the present socket: a callback may have made another one */
    uint16_t port;
    struct buf out;
    size_t out_at;
    struct buf in;
    size_t charged;     /* to the shard's budget, for `in` */
    struct timer timer; /* until it is connected */
};

void dial_init(struct dial *d, struct shard *sh, const struct dial_ops *ops, void *user,
               uint32_t frame_max);
/* It must not be open. */
void dial_open(struct dial *d, const char *host, uint16_t port, int64_t connect_ms);
static inline bool dial_is_open(const struct dial *d) /* or on the way */
{
    return d->sock != NULL || d->asked != NULL || timer_is_set(&d->timer);
}
/* While it is up. Goes out at once as far as the system takes it. */
void dial_send(struct dial *d, struct bytes frame);
size_t dial_unsent(const struct dial *d);
/* At once; no callback comes any more. No harm if it is not open. */
void dial_close(struct dial *d);

#endif
