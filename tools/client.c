#include "tools/client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/properties.h"
#include "proto/descriptor.h"
#include "tools/args.h"
#include "tools/text.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { TIMEOUT_MS = 30000, FRAME_MAX = 128 << 20, CLIENT_APIS_MAX = 128, RETRY_MS = 50 };
enum { BOOTSTRAP = -2 }; /* the node of a connection to an address of the bootstrap list */
enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

struct client_conn {
    struct client_conn *next;
    int fd;
    int32_t node; /* its id, or BOOTSTRAP */
    int32_t correlation;
    char address[300]; /* "host:port" for messages */
    struct {
        int16_t min, max; /* max -1: the broker does not have it */
    } versions[CLIENT_APIS_MAX];
};

static const char client_id[] = "millrace-tools";

static int add_bootstrap(struct client *c, const char *servers)
{
    size_t n = 0;
    char *copy = mem_strdup(servers), *save = NULL;
    for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        while (*s == ' ') {
            s++;
        }
        char *colon = strrchr(s, ':');
        char *end = NULL;
        long port = colon ? strtol(colon + 1, &end, 10) : 0;
        if (colon == NULL || colon == s || *end || port < 1 || port > 65535) {
            int rv = errmsg_set(&c->error, ERR_INVALID,
                                "Invalid url in bootstrap.servers: '%s' (host:port is wanted)", s);
            mem_free(copy);
            return rv;
        }
        c->bootstrap = mem_realloc(c->bootstrap, (n + 2) * sizeof *c->bootstrap);
        c->bootstrap[n++] = mem_strdup(s);
        c->bootstrap[n] = NULL;
    }
    mem_free(copy);
    return n ? 0
             : errmsg_set(&c->error, ERR_INVALID,
                          "No resolvable bootstrap urls given in bootstrap.servers");
}

struct config_ctx {
    struct client *c;
    const char *path;
};

static int apply_config(void *ctx, const char *key, const char *value, unsigned line)
{
    struct config_ctx *cc = ctx;
    if (strcmp(key, "security.protocol") == 0 && strcmp(value, "PLAINTEXT") != 0) {
        return errmsg_set(&cc->c->error, ERR_UNSUPPORTED,
                          "%s:%u: security.protocol is '%s'; only PLAINTEXT is supported", cc->path,
                          line, value);
    }
    if (strcmp(key, "request.timeout.ms") == 0) {
        char *end;
        long long ms = strtoll(value, &end, 10);
        if (*end || ms < 1 || ms > INT32_MAX) {
            return errmsg_set(
                &cc->c->error, ERR_INVALID,
                "%s:%u: request.timeout.ms is '%s'; it takes milliseconds from 1 to %d", cc->path,
                line, value, INT32_MAX);
        }
        cc->c->timeout_ms = ms;
    }
    return 0;
}

int client_read_config(struct client *c, const char *path)
{
    struct buf text = {0};
    struct config_ctx ctx = {c, path};
    int rv = tool_read_file(path, &text, &c->error);
    if (rv == 0) {
        rv = properties_parse(buf_bytes(&text), apply_config, &ctx, &c->error);
    }
    buf_free(&text);
    return rv;
}

int client_init(struct client *c, const char *servers, const char *config_file)
{
    *c = (struct client){.timeout_ms = TIMEOUT_MS};
    int rv = add_bootstrap(c, servers);
    return rv == 0 && config_file ? client_read_config(c, config_file) : rv;
}

int client_open(struct client *c, const struct args *a)
{
    bool controllers = args_has(a, "bootstrap-controller");
    if (controllers == args_has(a, "bootstrap-server")) {
        args_fail(a, controllers ? "Give one of --bootstrap-server and --bootstrap-controller"
                                 : "One of --bootstrap-server and --bootstrap-controller is "
                                   "required");
    }
    const char *option = controllers ? "bootstrap-controller" : "bootstrap-server";
    int rv = client_init(c, args_get(a, option, ""), args_get(a, "command-config", NULL));
    c->controllers = controllers;
    return rv;
}

static void conn_free(struct client_conn *k)
{
    close(k->fd);
    mem_free(k);
}

void client_hang_up(struct client *c)
{
    while (c->conns) {
        struct client_conn *k = c->conns;
        c->conns = k->next;
        conn_free(k);
    }
}

void client_close(struct client *c)
{
    client_hang_up(c);
    for (char **s = c->bootstrap; s && *s; s++) {
        mem_free(*s);
    }
    mem_free(c->bootstrap);
    arena_free(&c->arena);
}

/* A little longer than it says: the broker may take the same time (request.timeout.ms) until it
 * gives up, and what it answers then, that the controllers do not decide, is the better message. */
static int wait_for(struct client *c, int fd, short events, const char *address)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t ms = c->timeout_ms + c->timeout_ms / 30;
    int n;
    do {
        n = poll(&p, 1, ms < INT32_MAX ? (int)ms : INT32_MAX);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? 0
                 : errmsg_set(&c->error, ERR_TIMEOUT, "Timed out after %lld ms waiting for %s",
                              (long long)c->timeout_ms, address);
}

static int connect_one(struct client *c, const struct addrinfo *a, const char *address)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errmsg_set(&c->error, ERR_IO, "Cannot make a socket: %s", strerror(errno));
    }
    int rv = connect(fd, a->ai_addr, a->ai_addrlen);
    if (rv < 0 && errno == EINPROGRESS) {
        rv = wait_for(c, fd, POLLOUT, address);
        int err = 0;
        socklen_t len = sizeof err;
        if (rv == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err) {
            errno = err;
            rv = -1;
        } else if (rv < 0) {
            close(fd);
            return rv;
        }
    }
    if (rv < 0) {
        rv = errmsg_set(&c->error, ERR_REFUSED, "Connection to %s could not be established: %s",
                        address, strerror(errno));
        close(fd);
        return rv;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int exchange(struct client *c, struct client_conn *k, int16_t api_key, int16_t version,
                    const void *req, void **resp);

/* ApiVersions in the newest version, and once more in version 0 when the broker does not know that.
 */
static int learn_versions(struct client *c, struct client_conn *k,
                          struct api_versions_response **out)
{
    struct api_versions_request req;
    proto_msg_init(&api_versions_request_msg, &req);
    req.client_software_name = bytes_str(client_id);
    req.client_software_version = bytes_str(MILLRACE_VERSION);
    struct api_versions_response *resp = NULL;
    int rv = exchange(c, k, API_API_VERSIONS, api_versions_request_msg.version_max, &req,
                      (void **)&resp);
    if (rv == ERR_CORRUPT || rv == ERR_TRUNCATED ||
        (rv == 0 && resp->error_code == KE_UNSUPPORTED_VERSION)) {
        rv = exchange(c, k, API_API_VERSIONS, 0, &req, (void **)&resp);
    }
    if (rv) {
        return rv;
    }
    for (size_t i = 0; i < CLIENT_APIS_MAX; i++) {
        k->versions[i].max = -1;
    }
    for (int32_t i = 0; i < resp->api_keys_n; i++) {
        const struct api_versions_response_api_version *v = &resp->api_keys[i];
        if (v->api_key >= 0 && v->api_key < CLIENT_APIS_MAX) {
            k->versions[v->api_key].min = v->min_version;
            k->versions[v->api_key].max = v->max_version;
        }
    }
    *out = resp;
    return 0;
}

static struct client_conn *open_conn(struct client *c, const char *host, const char *port,
                                     int32_t node)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char address[300];
    snprintf(address, sizeof address, "%s:%s", host, port);
    int gai = getaddrinfo(host, port, &hints, &found);
    if (gai) {
        errmsg_set(&c->error, ERR_NOTFOUND, "Couldn't resolve server %s: %s", address,
                   gai_strerror(gai));
        return NULL;
    }
    int fd = -1;
    c->unanswered = false;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = connect_one(c, a, address);
    }
    freeaddrinfo(found);
    if (fd < 0) {
        return NULL;
    }
    struct client_conn *k = MEM_NEW(struct client_conn);
    k->fd = fd;
    k->node = node;
    memcpy(k->address, address, sizeof address);
    struct api_versions_response *resp;
    int rv = learn_versions(c, k, &resp);
    c->unanswered = rv == ERR_TIMEOUT;
    if (rv) {
        conn_free(k);
        return NULL;
    }
    k->next = c->conns;
    c->conns = k;
    return k;
}

static struct client_conn *conn_of_bootstrap(struct client *c)
{
    for (char **s = c->bootstrap; *s; s++) {
        char host[256];
        const char *colon = strrchr(*s, ':');
        size_t n = (size_t)(colon - *s);
        const char *from = *s;
        if (n > 1 && from[0] == '[' && from[n - 1] == ']') { /* [::1]:9092 */
            from++;
            n -= 2;
        }
        snprintf(host, sizeof host, "%.*s", (int)n, from);
        struct client_conn *k = open_conn(c, host, colon + 1, BOOTSTRAP);
        if (k) {
            return k;
        }
    }
    return NULL;
}

static struct client_conn *conn_to(struct client *c, struct bytes host, int32_t port, int32_t node)
{
    char name[256], number[16];
    snprintf(name, sizeof name, "%.*s", BYTES_FMT(host));
    snprintf(number, sizeof number, "%d", port);
    return open_conn(c, name, number, node);
}

/* By Metadata where that was asked for in any case, else by DescribeCluster. */
static struct client_conn *conn_of_node(struct client *c, int32_t node)
{
    for (int32_t i = 0; c->have_metadata && i < c->metadata->brokers_n; i++) {
        const struct metadata_response_metadata_response_broker *b = &c->metadata->brokers[i];
        if (b->node_id == node) {
            return conn_to(c, b->host, b->port, node);
        }
    }
    if (client_cluster(c)) {
        return NULL;
    }
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        const struct describe_cluster_response_describe_cluster_broker *b = &c->cluster->brokers[i];
        if (b->broker_id == node) {
            return conn_to(c, b->host, b->port, node);
        }
    }
    errmsg_set(&c->error, ERR_NOTFOUND, "%s %d is not in the cluster",
               c->controllers ? "Controller" : "Broker", node);
    return NULL;
}

static struct client_conn *conn_of(struct client *c, int32_t node)
{
    for (struct client_conn *k = c->conns; k; k = k->next) {
        if (k->node == node) {
            return k;
        }
    }
    return node == BOOTSTRAP ? conn_of_bootstrap(c) : conn_of_node(c, node);
}

/* Which node is to be asked: turns CLIENT_ANY into an id. Where no controller is the active one at
 * the moment it waits for an election. */
static int resolve_node(struct client *c, int32_t *node)
{
    if (*node != CLIENT_ANY) {
        return 0;
    }
    *node = BOOTSTRAP;
    int rv = c->controllers ? client_cluster(c) : 0;
    for (int64_t ms = 0; c->controllers && rv == 0; ms += RETRY_MS) {
        *node = c->cluster->controller_id;
        if (*node >= 0) {
            return 0;
        }
        if (ms >= c->timeout_ms) {
            return errmsg_set(&c->error, ERR_TIMEOUT,
                              "None of the controllers was elected within %lld ms",
                              (long long)c->timeout_ms);
        }
        usleep(RETRY_MS * 1000);
        rv = client_cluster_refresh(c, false);
    }
    return rv;
}

static int send_all(struct client *c, struct client_conn *k, const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t n = send(k->fd, b->data + at, b->len - at, MSG_NOSIGNAL);
        if (n > 0) {
            at += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            int rv = wait_for(c, k->fd, POLLOUT, k->address);
            if (rv) {
                return rv;
            }
        } else {
            return errmsg_set(&c->error, ERR_CLOSED, "%s closed the connection: %s", k->address,
                              strerror(errno));
        }
    }
    return 0;
}

static int recv_all(struct client *c, struct client_conn *k, uint8_t *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(k->fd, p + at, n - at, 0);
        if (got > 0) {
            at += (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            int rv = wait_for(c, k->fd, POLLIN, k->address);
            if (rv) {
                return rv;
            }
        } else {
            return errmsg_set(&c->error, ERR_CLOSED, "%s closed the connection without an answer",
                              k->address);
        }
    }
    return 0;
}

static int recv_frame(struct client *c, struct client_conn *k, struct bytes *out)
{
    uint8_t head[4];
    int rv = recv_all(c, k, head, 4);
    uint32_t n = load_be32(head);
    if (rv == 0 && (n < 4 || n > FRAME_MAX)) {
        rv = errmsg_set(&c->error, ERR_CORRUPT,
                        "%s answered with a frame of %u bytes; is it a Kafka listener?", k->address,
                        n);
    }
    if (rv) {
        return rv;
    }
    uint8_t *p = arena_alloc(&c->arena, n);
    *out = bytes_of(p, n);
    return recv_all(c, k, p, n);
}

static int exchange(struct client *c, struct client_conn *k, int16_t api_key, int16_t version,
                    const void *req, void **resp)
{
    const struct proto_message *qm = proto_request(api_key), *rm = proto_response(api_key);
    ASSERT(qm && rm);
    struct buf b = {0};
    int32_t id = ++k->correlation;
    buf_put_be32(&b, 0);
    proto_put_request_header(&b, api_key, version, id, bytes_str(client_id));
    int rv = proto_encode(qm, version, req, &b, &c->error);
    if (rv == 0) {
        store_be32(b.data, (uint32_t)(b.len - 4));
        rv = send_all(c, k, &b);
    }
    buf_free(&b);
    struct bytes frame;
    int32_t got;
    size_t at;
    if (rv || (rv = recv_frame(c, k, &frame)) != 0) {
        return rv;
    }
    rv = proto_skip_response_header(frame, api_key, version, &got, &at);
    if (rv == 0 && got != id) {
        rv = ERR_CORRUPT;
    }
    if (rv == 0) {
        *resp = arena_alloc(&c->arena, rm->root->size);
        rv = proto_decode(rm, version, bytes_of(frame.data + at, frame.len - at), NULL, &c->arena,
                          *resp);
    }
    return rv ? errmsg_set(&c->error, rv, "%s: the answer to %s version %d is not readable: %s",
                           k->address, qm->name, version, err_text(rv))
              : 0;
}

static int version_on(struct client *c, const struct client_conn *k, int16_t api_key,
                      int16_t version_max, int16_t *out)
{
    const struct proto_message *m = proto_request(api_key);
    int16_t v = m->version_max < version_max ? m->version_max : version_max;
    v = k->versions[api_key].max < v ? k->versions[api_key].max : v;
    *out = v;
    return v < m->version_min || v < k->versions[api_key].min
               ? errmsg_set(&c->error, ERR_UNSUPPORTED, "%s does not support %s", k->address,
                            m->name)
               : 0;
}

int client_version(struct client *c, int32_t node, int16_t api_key, int16_t *version)
{
    int rv = resolve_node(c, &node);
    struct client_conn *k = rv ? NULL : conn_of(c, node);
    return k ? version_on(c, k, api_key, INT16_MAX, version) : ERR_CLOSED;
}

/* A connection on which something went wrong is of no use for the next request. */
static void drop_conn(struct client *c, struct client_conn *k)
{
    struct client_conn **at = &c->conns;
    while (*at != k) {
        at = &(*at)->next;
    }
    *at = k->next;
    conn_free(k);
}

int client_call_frame(struct client *c, struct bytes frame, struct bytes *answer)
{
    struct client_conn *k = conn_of(c, BOOTSTRAP);
    struct buf b = {0};
    if (k == NULL) {
        return ERR_CLOSED;
    }
    buf_put_be32(&b, (uint32_t)frame.len);
    buf_put(&b, frame.data, frame.len);
    int rv = send_all(c, k, &b);
    rv = rv ? rv : recv_frame(c, k, answer);
    buf_free(&b);
    if (rv) {
        drop_conn(c, k);
    }
    return rv;
}

int client_call_max(struct client *c, int32_t node, int16_t api_key, int16_t version_max,
                    const void *req, void **resp, int16_t *version)
{
    int rv = resolve_node(c, &node);
    struct client_conn *k = rv ? NULL : conn_of(c, node);
    if (k == NULL) {
        return rv ? rv : ERR_CLOSED;
    }
    int16_t v;
    rv = version_on(c, k, api_key, version_max, &v);
    if (rv) {
        return rv;
    }
    if (version) {
        *version = v;
    }
    rv = exchange(c, k, api_key, v, req, resp);
    if (rv == ERR_CLOSED || rv == ERR_TIMEOUT || rv == ERR_CORRUPT || rv == ERR_TRUNCATED) {
        drop_conn(c, k);
    }
    return rv;
}

int client_call(struct client *c, int32_t node, int16_t api_key, const void *req, void **resp,
                int16_t *version)
{
    return client_call_max(c, node, api_key, INT16_MAX, req, resp, version);
}

int client_metadata_refresh(struct client *c)
{
    struct metadata_request req;
    proto_msg_init(&metadata_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1;
    req.allow_auto_topic_creation = false;
    int rv =
        client_call(c, CLIENT_ANY, API_METADATA, &req, (void **)&c->metadata, &c->metadata_version);
    c->have_metadata = rv == 0;
    return rv;
}

int client_metadata(struct client *c)
{
    return c->have_metadata ? 0 : client_metadata_refresh(c);
}

int client_cluster_refresh(struct client *c, bool fenced_too)
{
    struct describe_cluster_request req;
    struct describe_cluster_response *resp;
    proto_msg_init(&describe_cluster_request_msg, &req);
    req.endpoint_type = c->controllers ? ENDPOINT_CONTROLLERS : ENDPOINT_BROKERS;
    req.include_fenced_brokers = fenced_too;
    int rv = client_call(c, BOOTSTRAP, API_DESCRIBE_CLUSTER, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->error_code) {
        rv = client_refused(c, resp->error_code, resp->error_message);
    }
    c->cluster = rv ? NULL : resp;
    return rv;
}

int client_cluster(struct client *c)
{
    return c->cluster ? 0 : client_cluster_refresh(c, false);
}

int client_quorum(struct client *c, struct describe_quorum_response **resp)
{
    struct describe_quorum_request req;
    proto_msg_init(&describe_quorum_request_msg, &req);
    req.topics = proto_array(&c->arena, &describe_quorum_request_topic_data_desc, 1);
    req.topics_n = 1;
    req.topics[0].topic_name = bytes_str("__cluster_metadata");
    req.topics[0].partitions =
        proto_array(&c->arena, &describe_quorum_request_partition_data_desc, 1);
    req.topics[0].partitions_n = 1;
    int rv = client_call(c, CLIENT_ANY, API_DESCRIBE_QUORUM, &req, (void **)resp, NULL);
    if (rv) {
        return rv;
    }
    const struct describe_quorum_response *r = *resp;
    if (r->error_code) {
        return client_refused(c, r->error_code, r->error_message);
    }
    if (r->topics_n != 1 || r->topics[0].partitions_n != 1) {
        return errmsg_set(&c->error, ERR_CORRUPT, "the answer names no metadata log");
    }
    const struct describe_quorum_response_partition_data *log = &r->topics[0].partitions[0];
    return log->error_code ? client_refused(c, log->error_code, log->error_message) : 0;
}

void client_forget(struct client *c)
{
    arena_reset(&c->arena);
    c->have_metadata = false;
    c->metadata = NULL;
    c->cluster = NULL;
}

int client_api_versions(struct client *c, int32_t node, struct api_versions_response **resp)
{
    int rv = resolve_node(c, &node);
    struct client_conn *k = rv ? NULL : conn_of(c, node);
    return k ? learn_versions(c, k, resp) : ERR_CLOSED;
}

int client_refused(struct client *c, int16_t code, struct bytes message)
{
    char text[600];
    c->refused = code;
    return errmsg_set(&c->error, ERR_UNSUPPORTED, "%s",
                      client_error_text(code, message, text, sizeof text));
}

const char *client_hint(int16_t code)
{
    return code == KE_REQUEST_TIMED_OUT
               ? "It was not decided in time: millrace cluster doctor says whether the controllers "
                 "answer.\n"
               : "";
}

const char *client_error_text(int16_t code, struct bytes message, char *out, size_t n)
{
    const char *name = kafka_error_name(code);
    if (message.len) {
        snprintf(out, n, "%.*s", BYTES_FMT(message));
    } else {
        snprintf(out, n, "%s (error %d)", name ? name : "unknown error", code);
    }
    return out;
}
