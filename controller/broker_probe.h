/* Is a broker dead? When a broker's connection to the controller breaks, or its heartbeats stay
 * away, the active controller dials the listener that the broker registered for other brokers:
 *
 *     refused twice       nobody listens there: it is dead, and is fenced now
 *     accepted, silent    it may live: its session decides
 *     heard of meanwhile  it lives
 *
 * Twice, a moment apart, since a listener may be about to open; and one that accepts is asked once
 * more, since a dying process closes its sockets one after another. A new leader asks all brokers:
 * who died together with the last one has no connection that could break.
 *
 * So a killed process loses its leaderships in milliseconds, and a host that vanishes within its
 * session.
 *
 * A refusal may be of our own making (a firewall, a network of ours that is gone). So it counts
 * only when another broker is known to live since: one that was heard of, or accepted a dial;
 * others are dialled for that when none was. The last broker that leads is never fenced by a
 * refusal.
 *
 * When all connections break at once, dials are spread (a random part of PROBE_SPREAD_MS) and few
 * are on the way at a time; one broker is dialled at most every PROBE_REST_MS, whoever gives the
 * hint.
 *
 * Shard: the controller's. */
#ifndef CONTROLLER_BROKER_PROBE_H
#define CONTROLLER_BROKER_PROBE_H

#include "runtime/shard.h"

enum {
    PROBE_DIALS_MAX = 8, /* on the way at a time */
    PROBE_SPREAD_MS = 50,
    PROBE_REST_MS = 500,
    PROBE_CONNECT_MS = 1000,
    PROBE_AGAIN_MS = 30, /* between two dials of one hint */
    PROBE_ALIKE = 2,     /* answers of one kind in a row are believed */
};

struct broker_probe;

struct probe_target {
    int64_t epoch; /* of the registration */
    char host[256];
    uint16_t port;
};

struct broker_probe_ops {
    /* Where to dial; false: not to be dialled (fenced, unknown, in this process). */
    bool (*target)(void *user, int32_t broker, struct probe_target *out);
    /* The next broker that may lead with an id above after; -1: none. */
    int32_t (*next)(void *user, int32_t after);
    /* It is dead. */
    void (*dead)(void *user, int32_t broker, int64_t epoch);
};

struct broker_probe *broker_probe_new(struct shard *sh, const struct broker_probe_ops *ops,
                                      void *user);
void broker_probe_free(struct broker_probe *p); /* NULL is fine */
/* Its connection broke, or it is silent. */
void broker_probe_hint(struct broker_probe *p, int32_t broker);
/* It has spoken. */
void broker_probe_heard(struct broker_probe *p, int32_t broker);
/* Forgets everything: this controller leads no more. */
void broker_probe_clear(struct broker_probe *p);

#endif
