/* `millrace health`: does the node of this machine or container serve? The health check of the
 * image, which needs neither a shell nor a client beside the binary. A broker serves if its
 * listener answers and it is among the brokers that the cluster counts as alive; a controller, if
 * it answers and knows who leads the quorum.
 *
 * A broker without metadata takes connections and reads nothing from them. Of one that does so the
 * controllers that its configuration names are asked, so that it can be said why. */
#include <stdio.h>
#include <string.h>

#include "broker/config.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/container.h"
#include "tools/server_config.h"
#include "tools/tool.h"

enum { ENDPOINTS_BROKERS = 1, ENDPOINTS_CONTROLLERS = 2, TIMEOUT_MS = 3000, CONTROLLER_MS = 1000 };

static const struct arg_def defs[] = {
    {"config", ARG_VALUE, "FILE",
     "The server.properties of the node. Without it, its environment as `millrace container` "
     "reads it."},
    {"timeout-ms", ARG_VALUE, "MS", "How long to wait for each answer (3000)."},
};

static const struct args_spec spec = {
    .tool = "health",
    .about = "say whether the node of this machine or container serves: exit status 0 if so",
    .examples = "  millrace health\n"
                "  millrace health --config /etc/millrace/server.properties\n"
                "  docker-compose exec broker11 millrace health\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

/* How this process reaches a listener of its own machine. */
static void address_of(const struct listener_config *l, char *out, size_t n)
{
    bool any6 = strcmp(l->host, "::") == 0;
    bool any = l->host[0] == '\0' || strcmp(l->host, "0.0.0.0") == 0;
    const char *host = any6 ? "::1" : any ? "127.0.0.1" : l->host;
    bool brackets = strchr(host, ':') != NULL;
    snprintf(out, n, "%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "",
             (unsigned)l->port);
}

static int judge(struct client *c, const struct config *config, bool controller,
                 const struct describe_cluster_response *r, const char *address)
{
    char text[256];
    if (r->error_code) {
        return errmsg_set(&c->error, ERR_INVALID, "%s answers %s", address,
                          client_error_text(r->error_code, r->error_message, text, sizeof text));
    }
    if (controller) {
        return r->controller_id >= 0 ? 0
                                     : errmsg_set(&c->error, ERR_NOTLEADER,
                                                  "controller %d knows no leader of the quorum",
                                                  (int)config->node_id);
    }
    for (int32_t i = 0; i < r->brokers_n; i++) {
        if (r->brokers[i].broker_id == config->node_id) {
            return 0;
        }
    }
    return errmsg_set(&c->error, ERR_NOTFOUND,
                      "broker %d answers, but is not among the living brokers of the cluster",
                      (int)config->node_id);
}

static int describe(struct client *c, int8_t endpoints, struct describe_cluster_response **r)
{
    struct describe_cluster_request q;
    proto_msg_init(&describe_cluster_request_msg, &q);
    q.endpoint_type = endpoints;
    return client_call(c, CLIENT_ANY, API_DESCRIBE_CLUSTER, &q, (void **)r, NULL);
}

/* The leader that this controller tells: -1 none; ERR_ with a sentence if it does not answer. */
static int ask_controller(const struct config_voter *v, int64_t timeout_ms, int32_t *leader,
                          struct errmsg *em)
{
    char address[300];
    struct client c;
    struct describe_cluster_response *r = NULL;
    snprintf(address, sizeof address, strchr(v->host, ':') ? "[%s]:%u" : "%s:%u", v->host,
             (unsigned)v->port);
    int err = client_init(&c, address, NULL);
    c.timeout_ms = timeout_ms < CONTROLLER_MS ? timeout_ms : CONTROLLER_MS;
    err = err ? err : describe(&c, ENDPOINTS_CONTROLLERS, &r);
    *leader = err || r->error_code ? -1 : r->controller_id;
    *em = c.error;
    client_close(&c);
    return err;
}

/* Why a broker answers nothing, as far as its controllers can tell: a sentence in em. */
static void tell_without_metadata(const struct config *config, const char *address,
                                  int64_t timeout_ms, struct errmsg *em)
{
    struct errmsg last = {{0}};
    size_t reached = 0;
    int32_t leader = -1;
    for (size_t i = 0; i < config->voters_n && leader < 0; i++) {
        reached += ask_controller(&config->voters[i], timeout_ms, &leader, &last) == 0;
    }
    if (leader >= 0) {
        errmsg_set(em, 0,
                   "broker %d takes connections at %s and answers nothing: it hangs, or it still "
                   "loads the metadata from controller %d (its log tells)",
                   (int)config->node_id, address, (int)leader);
    } else if (reached) {
        errmsg_set(em, 0,
                   "broker %d has no metadata and serves nobody: its controllers know no leader "
                   "(%zu of %zu answer); start those that are down",
                   (int)config->node_id, reached, config->voters_n);
    } else {
        errmsg_set(em, 0,
                   "broker %d has no metadata and serves nobody: none of its %zu controllers can "
                   "be reached (%s); start them, or correct %s",
                   (int)config->node_id, config->voters_n, last.text,
                   config_learns_voters(config) ? "controller.quorum.bootstrap.servers"
                                                : "controller.quorum.voters");
    }
}

static int ask(const struct config *config, const struct listener_config *l, int64_t timeout_ms,
               struct errmsg *em)
{
    char address[300];
    struct client c;
    address_of(l, address, sizeof address);
    int err = client_init(&c, address, NULL);
    c.timeout_ms = timeout_ms;
    struct describe_cluster_response *r = NULL;
    int8_t endpoints = l->controller ? ENDPOINTS_CONTROLLERS : ENDPOINTS_BROKERS;
    err = err ? err : describe(&c, endpoints, &r);
    err = err ? err : judge(&c, config, l->controller, r, address);
    *em = c.error;
    if (err && c.unanswered && !l->controller) {
        tell_without_metadata(config, address, timeout_ms, em);
    }
    client_close(&c);
    return err;
}

static bool is_plain(const struct listener_config *l)
{
    return l->protocol == SECURITY_PLAINTEXT;
}

/* One listener of each role: the first that a client without credentials may use. */
static int check(const struct config *config, int64_t timeout_ms, struct errmsg *em)
{
    bool asked[2] = {false, false};
    for (size_t i = 0; i < config->listeners.n; i++) {
        const struct listener_config *l = &config->listeners.v[i];
        if (asked[l->controller] || !is_plain(l)) {
            continue;
        }
        int err = ask(config, l, timeout_ms, em);
        if (err) {
            return err;
        }
        asked[l->controller] = true;
    }
    return asked[0] || asked[1]
               ? 0
               : errmsg_set(em, ERR_UNSUPPORTED,
                            "no listener of the node is PLAINTEXT, so it cannot be asked");
}

int tool_health(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    const char *file = args_get(&a, "config", NULL);
    int64_t timeout_ms = args_int(&a, "timeout-ms", TIMEOUT_MS, 1, 3600 * 1000);
    struct server_options o = {.file = file};
    struct errmsg em = {{0}};
    struct config *c = file ? server_config_load(&o, NULL, &em) : container_config(NULL, NULL, &em);
    int err = c ? check(c, timeout_ms, &em) : ERR_INVALID;
    if (err) {
        fprintf(stderr, "millrace health: %s\n", em.text);
    } else {
        printf("node %d serves as %s\n", (int)c->node_id, c->v.process_roles);
    }
    config_free(c);
    args_free(&a);
    return err ? 1 : 0;
}
