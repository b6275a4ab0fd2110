#include "broker/listeners_config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "broker/config_def.h"

static const char *const protocol_names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};

static const char *upper(struct arena *a, const char *p, size_t n)
{
    char *s = arena_strndup(a, p, n);
    for (char *c = s; *c; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    return s;
}

bool listener_split(const char *text, size_t n, struct arena *a, const char **name,
                    const char **host, int *port)
{
    const char *end = text + n;
    const char *sep = memmem(text, n, "://", 3);
    if (sep == NULL || sep == text) {
        return false;
    }
    const char *h = sep + 3;
    const char *colon = memrchr(h, ':', (size_t)(end - h));
    if (colon == NULL || colon + 1 == end || end - colon > 6) {
        return false;
    }
    *port = 0;
    for (const char *p = colon + 1; p < end; p++) {
        if (*p < '0' || *p > '9') {
            return false;
        }
        *port = *port * 10 + (*p - '0');
    }
    if (*port > UINT16_MAX) {
        return false;
    }
    const char *h_end = colon;
    if (h < h_end && *h == '[') {
        if (h_end[-1] != ']') {
            return false;
        }
        h++;
        h_end--;
    }
    for (const char *p = h; p < h_end; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("-%._:", *p)) {
            return false;
        }
    }
    *name = upper(a, text, (size_t)(sep - text));
    *host = arena_strndup(a, h, (size_t)(h_end - h));
    return true;
}

/* ---- the protocol map ---- */

static int protocol_number(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(protocol_names); i++) {
        if (bytes_eq_str(name, protocol_names[i])) {
            return (int)i;
        }
    }
    return -1;
}

static bool equal_no_case(struct bytes b, const char *s)
{
    return b.len == strlen(s) && strncasecmp((const char *)b.data, s, b.len) == 0;
}

/* The last entry for a name wins, as in Kafka. */
static int map_lookup(const struct listeners_input *in, const char *name, int *protocol,
                      struct errmsg *em)
{
    struct config_list l = config_list_start(bytes_str(in->protocol_map));
    struct bytes e;
    *protocol = -1;
    while (config_list_next(&l, &e)) {
        const uint8_t *colon = e.len ? memrchr(e.data, ':', e.len) : NULL;
        if (colon == NULL) {
            return errmsg_set(em, ERR_INVALID,
                              "listener.security.protocol.map=%s: `%.*s` is not NAME:PROTOCOL",
                              in->protocol_map, BYTES_FMT(e));
        }
        struct bytes proto = config_trim(bytes_of(colon + 1, e.len - 1 - (size_t)(colon - e.data)));
        int number = protocol_number(proto);
        if (number < 0) {
            return errmsg_set(em, ERR_INVALID,
                              "listener.security.protocol.map=%s: `%.*s` is no security protocol; "
                              "allowed: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
                              in->protocol_map, BYTES_FMT(proto));
        }
        if (equal_no_case(config_trim(bytes_of(e.data, (size_t)(colon - e.data))), name)) {
            *protocol = number;
        }
    }
    return 0;
}

static bool list_has_no_case(const char *list, const char *name)
{
    struct config_list l = config_list_start(bytes_str(list));
    struct bytes e;
    while (config_list_next(&l, &e)) {
        if (equal_no_case(e, name)) {
            return true;
        }
    }
    return false;
}

/* Without a map of the operator's, controller listeners are PLAINTEXT. */
static int find_protocol(const struct listeners_input *in, struct listener_config *lc,
                         const char *setting, struct errmsg *em)
{
    int protocol;
    int rc = map_lookup(in, lc->name, &protocol, em);
    if (rc) {
        return rc;
    }
    if (protocol < 0 && lc->controller && !in->protocol_map_is_set) {
        protocol = SECURITY_PLAINTEXT;
    }
    if (protocol < 0) {
        return errmsg_set(em, ERR_INVALID,
                          "%s names a listener %s without a security protocol: give it one in "
                          "listener.security.protocol.map (%s:PLAINTEXT)",
                          setting, lc->name, lc->name);
    }
    lc->protocol = (enum security_protocol)protocol;
    if (protocol != SECURITY_PLAINTEXT) {
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "listener %s has the security protocol %s, which this version does not "
                          "serve yet; use PLAINTEXT",
                          lc->name, protocol_names[protocol]);
    }
    return 0;
}

/* ---- listeners ---- */

static void fill_binds(struct listener_config *lc)
{
    lc->binds = 1;
    lc->bind[0] = lc->host;
    if (strcasecmp(lc->host, "localhost") == 0) {
        lc->bind[0] = "127.0.0.1";
        lc->bind[1] = "::1";
        lc->binds = 2;
    }
}

static bool is_ipv6(const char *host)
{
    return strchr(host, ':') != NULL;
}

static bool is_ipv4(const char *host)
{
    return *host && strspn(host, "0123456789.") == strlen(host);
}

/* Two listeners differ in name, and in port unless one is an IPv4 address and the other IPv6. */
static int check_pair(const char *setting, bool ports, const struct listener_config *x,
                      const struct listener_config *y, struct errmsg *em)
{
    if (strcmp(x->name, y->name) == 0) {
        return errmsg_set(em, ERR_INVALID, "%s: two listeners have the name %s", setting, x->name);
    }
    bool both = (is_ipv4(x->host) && is_ipv6(y->host)) || (is_ipv6(x->host) && is_ipv4(y->host));
    if (ports && x->port != 0 && x->port == y->port && !both) {
        return errmsg_set(em, ERR_INVALID,
                          "%s: %s and %s have the same port %u (only an IPv4 and an IPv6 address "
                          "may share one)",
                          setting, x->name, y->name, (unsigned)x->port);
    }
    return 0;
}

static int parse_one(const struct listeners_input *in, struct bytes entry, const char *setting,
                     struct arena *a, struct listener_config *lc, struct errmsg *em)
{
    int port;
    *lc = (struct listener_config){0};
    if (!listener_split((const char *)entry.data, entry.len, a, &lc->name, &lc->host, &port)) {
        return errmsg_set(em, ERR_INVALID,
                          "%s: `%.*s` is not NAME://HOST:PORT with a port from 0 to 65535", setting,
                          BYTES_FMT(entry));
    }
    lc->port = (uint16_t)port;
    lc->controller = list_has_no_case(in->controller_names, lc->name);
    return find_protocol(in, lc, setting, em);
}

static int parse_list(const struct listeners_input *in, const char *text, const char *setting,
                      bool ports, struct arena *a, struct listener_config *v, size_t *n,
                      struct errmsg *em)
{
    struct config_list l = config_list_start(bytes_str(text));
    struct bytes e;
    *n = 0;
    while (config_list_next(&l, &e)) {
        if (*n == LISTENERS_MAX) {
            return errmsg_set(em, ERR_INVALID, "%s has more than %d entries", setting,
                              LISTENERS_MAX);
        }
        int rc = parse_one(in, e, setting, a, &v[*n], em);
        for (size_t i = 0; rc == 0 && i < *n; i++) {
            rc = check_pair(setting, ports, &v[i], &v[*n], em);
        }
        if (rc) {
            return rc;
        }
        (*n)++;
    }
    return 0;
}

static struct listener_config *find(struct listeners_config *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->v[i].name, name) == 0) {
            return &c->v[i];
        }
    }
    return NULL;
}

/* What each listener advertises: its line in advertised.listeners, else itself. */
static int fill_advertised(const struct listeners_input *in, struct arena *a,
                           struct listeners_config *out, struct errmsg *em)
{
    struct listener_config adv[LISTENERS_MAX];
    size_t n = 0;
    bool given[LISTENERS_MAX] = {false};
    int rc = in->advertised
                 ? parse_list(in, in->advertised, "advertised.listeners", false, a, adv, &n, em)
                 : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct listener_config *lc = find(out, adv[i].name);
        if (lc == NULL) {
            return errmsg_set(em, ERR_INVALID,
                              "advertised.listeners names %s, which is not in listeners=%s",
                              adv[i].name, in->listeners);
        }
        lc->advertised_host = adv[i].host;
        lc->advertised_port = adv[i].port;
        given[lc - out->v] = true;
    }
    for (size_t i = 0; rc == 0 && i < out->n; i++) {
        struct listener_config *lc = &out->v[i];
        if (!given[i]) {
            /* a broker listener that is left out of advertised.listeners is served, not told */
            lc->advertised_host = in->advertised && !lc->controller ? NULL : lc->host;
            lc->advertised_port = lc->port;
        }
        if (lc->advertised_host == NULL) {
            continue;
        }
        if (strcmp(lc->advertised_host, "0.0.0.0") == 0 && !(lc->controller && !given[i])) {
            return errmsg_set(em, ERR_INVALID,
                              "advertised.listeners cannot be 0.0.0.0, which no client can connect "
                              "to: give %s an address of this machine in advertised.listeners",
                              lc->name);
        }
        if (*lc->advertised_host == 0 || strcmp(lc->advertised_host, "::") == 0 ||
            strcmp(lc->advertised_host, "0.0.0.0") == 0) {
            lc->advertised_host = arena_strndup(a, in->hostname, strlen(in->hostname));
        }
    }
    return rc;
}

/* ---- rules between listeners and roles ---- */

static int check_controller_names(const struct listeners_input *in, struct listeners_config *out,
                                  struct errmsg *em)
{
    struct config_list l = config_list_start(bytes_str(in->controller_names));
    struct bytes e;
    while (config_list_next(&l, &e)) {
        bool there = false;
        for (size_t i = 0; i < out->n; i++) {
            there |= equal_no_case(e, out->v[i].name);
        }
        if (in->controller && !there) {
            return errmsg_set(em, ERR_INVALID,
                              "controller.listener.names=%s: %.*s is not in listeners=%s, as it "
                              "must be on a controller",
                              in->controller_names, BYTES_FMT(e), in->listeners);
        }
        if (!in->controller && there) {
            return errmsg_set(em, ERR_INVALID,
                              "controller.listener.names=%s: %.*s must not be in listeners on a "
                              "node that is not a controller",
                              in->controller_names, BYTES_FMT(e));
        }
    }
    return 0;
}

static int check_roles(const struct listeners_input *in, struct listeners_config *out,
                       struct errmsg *em)
{
    bool told = false;
    int rc = check_controller_names(in, out, em);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < out->n; i++) {
        if (!in->broker && !out->v[i].controller) {
            return errmsg_set(em, ERR_INVALID,
                              "listeners=%s: %s is not in controller.listener.names; a node that "
                              "is only a controller has no other listeners",
                              in->listeners, out->v[i].name);
        }
        told |= !out->v[i].controller && out->v[i].advertised_host != NULL;
    }
    if (in->broker && !told) {
        return errmsg_set(em, ERR_INVALID,
                          "listeners=%s: a broker needs a listener that is not in "
                          "controller.listener.names=%s and is advertised",
                          in->listeners, in->controller_names);
    }
    return 0;
}

static int find_inter_broker(const struct listeners_input *in, struct arena *a,
                             struct listeners_config *out, struct errmsg *em)
{
    const char *name = in->inter_broker_protocol;
    if (in->inter_broker_name) {
        if (in->inter_broker_protocol_is_set) {
            return errmsg_set(em, ERR_INVALID,
                              "inter.broker.listener.name and security.inter.broker.protocol are "
                              "both set; set one");
        }
        name = upper(a, in->inter_broker_name, strlen(in->inter_broker_name));
    }
    struct listener_config *lc = find(out, name);
    if (lc == NULL || lc->controller || lc->advertised_host == NULL) {
        return errmsg_set(
            em, ERR_INVALID, "%s=%s names no broker listener that is advertised; listeners=%s",
            in->inter_broker_name ? "inter.broker.listener.name" : "security.inter.broker.protocol",
            name, in->listeners);
    }
    out->inter_broker = (size_t)(lc - out->v);
    return 0;
}

int listeners_parse(const struct listeners_input *in, struct arena *a, struct listeners_config *out,
                    struct errmsg *em)
{
    *out = (struct listeners_config){0};
    int rc = parse_list(in, in->listeners, "listeners", true, a, out->v, &out->n, em);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < out->n; i++) {
        fill_binds(&out->v[i]);
    }
    rc = fill_advertised(in, a, out, em);
    if (rc) {
        return rc;
    }
    rc = check_roles(in, out, em);
    if (rc) {
        return rc;
    }
    return in->broker ? find_inter_broker(in, a, out, em) : 0;
}

/* ---- metrics.listener ---- */

int metrics_listener_parse(const char *text, struct arena *a, const char **host, uint16_t *port,
                           struct errmsg *em)
{
    const char *name;
    int number;
    *host = NULL;
    *port = 0;
    if (text == NULL || *text == '\0') {
        return 0;
    }
    const char *url = strstr(text, "://") ? text : arena_printf(a, "http://%s", text);
    if (!listener_split(url, strlen(url), a, &name, host, &number) || **host == '\0') {
        *host = NULL;
        return errmsg_set(em, ERR_INVALID,
                          "metrics.listener=%s: it is http://HOST:PORT or HOST:PORT, for example "
                          "http://127.0.0.1:9644; 0.0.0.0 is every address",
                          text);
    }
    if (strcmp(name, "HTTP") != 0) {
        *host = NULL;
        return errmsg_set(em, ERR_INVALID,
                          "metrics.listener=%s: only http:// is served; put a proxy in front of a "
                          "loopback address for anything else",
                          text);
    }
    *port = (uint16_t)number;
    return 0;
}
