/* Listeners: from the settings `listeners`, `advertised.listeners`,
 * `listener.security.protocol.map`, `controller.listener.names` and `inter.broker.listener.name` to
 * what is bound and what is told to clients, under Kafka's rules.
 *
 * A listener without a host binds every address, IPv4 and IPv6; `localhost` binds both loopbacks
 * (some clients try ::1 first). Without an advertised address of its own a listener advertises its
 * host, or the machine's name if it has none. An advertised port of 0 means the port it got. */
#ifndef BROKER_LISTENERS_CONFIG_H
#define BROKER_LISTENERS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

/* The numbers are those of BrokerRegistration (SecurityProtocol). */
enum security_protocol {
    SECURITY_PLAINTEXT = 0,
    SECURITY_SSL = 1,
    SECURITY_SASL_PLAINTEXT = 2,
    SECURITY_SASL_SSL = 3,
};

enum { LISTENERS_MAX = 32, LISTENER_BINDS_MAX = 2 };

struct listener_config {
    const char *name;                     /* upper case: "PLAINTEXT" */
    const char *host;                     /* as configured; "" is every address */
    uint16_t port;                        /* 0: the system chooses */
    const char *bind[LISTENER_BINDS_MAX]; /* what io_listen gets, one after the other; the first
                                             must succeed, a further one may fail (no IPv6 here) */
    unsigned binds;
    bool controller; /* serves the controller's APIs */
    enum security_protocol protocol;
    const char *advertised_host;
    uint16_t advertised_port; /* 0: the bound one */
};

struct listeners_config {
    struct listener_config v[LISTENERS_MAX];
    size_t n;
    size_t inter_broker; /* index; meaningful on a broker */
};

struct listeners_input { /* the settings' texts; NULL: not set */
    const char *listeners;
    const char *advertised;
    const char *protocol_map;
    bool protocol_map_is_set; /* given by the operator */
    const char *controller_names;
    const char *inter_broker_name;
    const char *inter_broker_protocol;
    bool inter_broker_protocol_is_set;
    const char *hostname; /* the machine's */
    bool broker;
    bool controller;
};

/* Strings go to the arena. ERR_INVALID with a sentence; ERR_UNSUPPORTED for protocols of a later
 * version. */
int listeners_parse(const struct listeners_input *in, struct arena *a, struct listeners_config *out,
                    struct errmsg *em);
/* Splits NAME://HOST:PORT; host may be empty or in brackets. False if it is not of that form. */
bool listener_split(const char *text, size_t n, struct arena *a, const char **name,
                    const char **host, int *port);

/* metrics.listener: http://HOST:PORT or HOST:PORT; a host must be said (0.0.0.0 or [::] is every
 * address). Empty: none, *host is NULL. */
int metrics_listener_parse(const char *text, struct arena *a, const char **host, uint16_t *port,
                           struct errmsg *em);

#endif
