/* Which Host headers are answered. The listener has no password, and what it serves may be read by
 * whoever reaches it; a browser inside the network could be made to do so for a page from outside,
 * whose author lets a name of his own point here (DNS rebinding). Such a request bears that name.
 *
 * Answered: an address (no name can stand for it), localhost, the names under which this node
 * listens and is advertised, the machine's, and those of metrics.listener.hosts. A request without
 * the header comes from no browser. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "broker/config.h"
#include "broker/monitor/monitor_private.h"

/* The host of HOST, HOST:PORT or [HOST]:PORT, without the dot that a full name may end with. */
static struct bytes host_of(const char *header)
{
    struct bytes b = config_trim(bytes_str(header));
    if (b.len > 0 && b.data[0] == '[') {
        const uint8_t *end = memchr(b.data, ']', b.len);
        return end ? bytes_of(b.data + 1, (size_t)(end - b.data) - 1) : b;
    }
    const uint8_t *colon = memchr(b.data, ':', b.len);
    size_t n = colon ? (size_t)(colon - b.data) : b.len;
    return bytes_of(b.data, n > 1 && b.data[n - 1] == '.' ? n - 1 : n);
}

static bool is_address(struct bytes host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len == 0 || host.len >= sizeof text) {
        return false;
    }
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static bool same(struct bytes host, struct bytes name)
{
    return host.len == name.len && host.len > 0 &&
           strncasecmp((const char *)host.data, (const char *)name.data, host.len) == 0;
}

static bool is_listed(const struct config *config, struct bytes host)
{
    struct config_list l = config_list_start(bytes_str(config->v.metrics_listener_hosts));
    struct bytes entry;
    while (config_list_next(&l, &entry)) {
        if (same(host, entry) || bytes_eq_str(entry, "*")) {
            return true;
        }
    }
    return false;
}

bool monitor_host_is_known(const struct config *config, const char *header)
{
    if (header == NULL) {
        return true;
    }
    struct bytes host = host_of(header);
    if (is_address(host) || same(host, bytes_str("localhost")) ||
        same(host, bytes_str(config->hostname)) || same(host, bytes_str(config->metrics_host))) {
        return true;
    }
    for (size_t i = 0; i < config->listeners.n; i++) {
        const struct listener_config *l = &config->listeners.v[i];
        if (same(host, bytes_str(l->host)) || same(host, bytes_str(l->advertised_host))) {
            return true;
        }
    }
    return is_listed(config, host);
}
