/* Brokers whose connection to the active controller broke. That is a hint and no verdict: a switch
 * may have forgotten the connection, or this controller may have lost all of them at once. So the
 * broker's own listener is dialled: where the host itself says that nobody listens there, the
 * broker's process is gone and its session ends now, not at its timeout.
 *
 *     heartbeats' connection ends -> dial -> refused twice in a row -> the session is over
 *                                       \-> connected, silent, another error: the session decides
 *
 * A new leader asks all: whoever died together with the last one (a node that was both) has no
 * connection to it that could break.
 *
 * Asked is one of the listeners that the broker has registered (which of them a process that lives
 * holds open for as long as it is unfenced). Two refusals, a moment apart, because a listener may
 * be about to close or to open; a connection that is accepted and ends at once is asked again,
 * because a dying process closes its sockets one after another. A heartbeat meanwhile ends the
 * suspicion: the broker has another connection.
 *
 * A broker that advertises an address at which another host answers in its place (localhost, a
 * proxy) may be fenced wrongly; its next heartbeat brings it back.
 *
 * Bounds: SUSPECTS_MAX at a time, TRIES_MAX dials each; who finds no place is left to its session.
 *
 * Shard: the controller's. */
#include <stdio.h>

#include "base/mem.h"
#include "controller/controller_private.h"
#include "runtime/dial.h"

enum {
    SUSPECTS_MAX = 64,
    TRIES_MAX = 6,
    ALIKE = 2, /* answers of one kind in a row are believed */
    AGAIN_MS = 30,
    CONNECT_MS = 500,
};

struct suspect {
    struct controller *c;
    struct dial dial;
    struct timer again;
    int32_t broker; /* -1: this place is free */
    int64_t epoch;
    int64_t contact_ms; /* of its session when the connection ended */
    unsigned tries;
    unsigned refusals; /* in a row */
    unsigned answers;  /* in a row */
};

struct suspects {
    struct suspect v[SUSPECTS_MAX];
};

/* Its registration, if it is still worth asking; else NULL. */
static const struct image_broker *still(const struct suspect *s)
{
    const struct controller *c = s->c;
    if (!c->active || c->stopping || c->failed) {
        return NULL;
    }
    const struct image_broker *b = image_broker(c->newest, s->broker);
    const struct session_of_broker *session = sessions_find(&c->sessions, s->broker);
    bool same = b && !b->fenced && b->epoch == s->epoch && b->endpoints_n > 0;
    return same && session && session->epoch == s->epoch && session->contact_ms == s->contact_ms
               ? b
               : NULL;
}

static void drop(struct suspect *s)
{
    dial_close(&s->dial);
    timer_cancel(s->c->shard, &s->again);
    s->broker = -1;
}

static void ask(struct timer *t)
{
    struct suspect *s = t->user;
    const struct image_broker *b = still(s);
    char host[256];
    if (b == NULL || s->tries == TRIES_MAX || b->endpoints[0].host.len >= sizeof host) {
        drop(s);
        return;
    }
    s->tries++;
    snprintf(host, sizeof host, "%.*s", BYTES_FMT(b->endpoints[0].host));
    dial_open(&s->dial, host, b->endpoints[0].port, CONNECT_MS);
}

static void ask_again(struct suspect *s)
{
    timer_set(s->c->shard, &s->again, shard_now_ms(s->c->shard) + AGAIN_MS);
}

/* It listens. Unless it is just dying: that shows at the next try. */
static void on_up(struct dial *d)
{
    struct suspect *s = d->user;
    dial_close(d);
    s->refusals = 0;
    if (++s->answers < ALIKE) {
        ask_again(s);
    } else {
        drop(s);
    }
}

static void on_frame(struct dial *d, struct bytes frame)
{
    UNUSED(d); /* nothing was asked, and the dial closes as soon as it is up */
    UNUSED(frame);
}

static void on_down(struct dial *d, int err)
{
    struct suspect *s = d->user;
    struct controller *c = s->c;
    s->answers = 0;
    if (err != ERR_REFUSED) {
        drop(s);
    } else if (++s->refusals < ALIKE) {
        ask_again(s);
    } else {
        if (still(s)) {
            log_info(c->log, "controller",
                     "a broker's connection broke and nobody listens at its address: its session "
                     "is over broker=%d epoch=%lld",
                     (int)s->broker, (long long)s->epoch);
            sessions_expire(&c->sessions, s->broker, s->epoch, shard_now_ms(c->shard));
            timer_set(c->shard, &c->tick, shard_now_ms(c->shard));
        }
        drop(s);
    }
}

static const struct dial_ops dial_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static struct suspects *make(struct controller *c)
{
    struct suspects *all = MEM_NEW(struct suspects);
    for (size_t i = 0; i < SUSPECTS_MAX; i++) {
        struct suspect *s = &all->v[i];
        s->c = c;
        s->broker = -1;
        s->again = (struct timer){.cb = ask, .user = s};
        dial_init(&s->dial, c->shard, &dial_ops, s, 1);
    }
    return all;
}

void suspects_add(struct controller *c, int32_t broker)
{
    struct suspect *free = NULL;
    const struct image_broker *b =
        c->active && !c->stopping && !c->failed ? image_broker(c->newest, broker) : NULL;
    const struct session_of_broker *session = sessions_find(&c->sessions, broker);
    if (b == NULL || session == NULL || b->fenced) {
        return;
    }
    c->suspects = c->suspects ? c->suspects : make(c);
    for (size_t i = 0; i < SUSPECTS_MAX; i++) {
        struct suspect *s = &c->suspects->v[i];
        if (s->broker == broker) {
            return;
        }
        free = free == NULL && s->broker < 0 ? s : free;
    }
    if (free) {
        free->broker = broker;
        free->epoch = b->epoch;
        free->contact_ms = session->contact_ms;
        free->tries = free->refusals = free->answers = 0;
        timer_set(c->shard, &free->again, shard_now_ms(c->shard));
    }
}

void suspects_stop(struct controller *c)
{
    for (size_t i = 0; c->suspects && i < SUSPECTS_MAX; i++) {
        drop(&c->suspects->v[i]);
    }
    mem_free(c->suspects);
    c->suspects = NULL;
}
