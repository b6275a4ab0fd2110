/* millrace cluster: the cluster's id, the addresses of its nodes, and forgetting a broker for good,
 * as kafka-cluster.sh does; and `doctor`, which is ours (doctor.h). */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/ids.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/columns.h"
#include "tools/doctor.h"
#include "tools/listing.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to."},
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT,...", "Or the controllers to connect to."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"config", ARG_VALUE, "FILE", "The old name of --command-config."},
    {"id", ARG_VALUE, "ID", "The broker."},
    {"force", ARG_FLAG, NULL, "Unregister it although it runs."},
    {"include-fenced-brokers", ARG_FLAG, NULL, "Also brokers that are fenced: down, or starting."},
    {"timeout-ms", ARG_VALUE, "MS", "How long a node may take for an answer (5000)."},
    ARG_JSON,
};

static const struct arg_command commands[] = {
    {"cluster-id", "Show the cluster's id.", "json"},
    {"unregister",
     "Forget a broker that is gone for good. One that runs registers again by itself, and is "
     "refused without --force.",
     "id force"},
    {"list-endpoints",
     "Show where the brokers are, or with --bootstrap-controller the controllers.",
     "include-fenced-brokers json"},
    {"doctor",
     "Say what is wrong, worst first, each with the command that mends it. Ends with 0 if nothing "
     "is, with 1 if something is, with 2 if nobody could be asked. With --bootstrap-controller, "
     "for when no broker runs, it says what the controllers can tell: of the quorum.",
     "timeout-ms json"},
};

static const struct args_spec spec = {
    .tool = "cluster",
    .about = "show what the cluster is, and take a broker out of its books",
    .examples = "  millrace cluster cluster-id --bootstrap-server localhost:9092\n"
                "  millrace cluster list-endpoints --bootstrap-server localhost:9092 "
                "--include-fenced-brokers\n"
                "  millrace cluster list-endpoints --bootstrap-controller localhost:9093\n"
                "  millrace cluster unregister --bootstrap-server localhost:9092 --id 3\n"
                "  millrace cluster doctor --bootstrap-server localhost:9092\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
    .commands = commands,
    .commands_n = ARRAY_LEN(commands),
    .letters = "b=bootstrap-server C=bootstrap-controller c=command-config i=id",
};

/* How long the doctor waits for one answer, and its exit status when there was none. */
enum { DOCTOR_TIMEOUT_MS = 5000, DOCTOR_NOT_ASKED = 2 };
enum { RUNNING_TIMEOUT_MS = 5000 }; /* how long a broker may take to show that it runs */

#define node_data struct describe_cluster_response_describe_cluster_broker

static int cluster_id(struct client *c, const struct args *a)
{
    int rv = client_cluster(c);
    if (rv) {
        return rv;
    }
    if (args_has(a, "json")) {
        json_t *all = listing_new("cluster-id");
        json_put_text(listing_item(all), "clusterId", c->cluster->cluster_id);
        listing_print(all);
    } else {
        printf("Cluster ID: %.*s\n", BYTES_FMT(c->cluster->cluster_id));
    }
    return 0;
}

/* Is it unfenced, and does something take connections at its address? One that was killed stays
 * unfenced for its session, and is gone all the same. Controllers do not tell of brokers. */
static bool is_running(struct client *c, int32_t id)
{
    bool unfenced = false;
    if (c->controllers || client_cluster_refresh(c, false)) {
        return false;
    }
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        unfenced |= c->cluster->brokers[i].broker_id == id;
    }
    if (!unfenced) {
        return false;
    }
    struct api_versions_response *resp;
    int64_t timeout_ms = c->timeout_ms;
    c->timeout_ms = timeout_ms < RUNNING_TIMEOUT_MS ? timeout_ms : RUNNING_TIMEOUT_MS;
    int rv = client_api_versions(c, id, &resp);
    c->timeout_ms = timeout_ms;
    return rv == 0 || c->unanswered;
}

static int32_t replicas_of(struct client *c, int32_t id)
{
    int32_t n = 0;
    if (client_metadata(c)) {
        return 0;
    }
    for (int32_t t = 0; t < c->metadata->topics_n; t++) {
        for (int32_t k = 0; k < c->metadata->topics[t].partitions_n; k++) {
            const struct metadata_response_metadata_response_partition *p =
                &c->metadata->topics[t].partitions[k];
            n += id_in(p->replica_nodes, (size_t)p->replica_nodes_n, id);
        }
    }
    return n;
}

static int refuse_running(struct client *c, int32_t id)
{
    int32_t n = replicas_of(c, id);
    const char *drain = n == 0 ? ""
                               : arena_printf(&c->arena,
                                              " (it has %d replica%s: before that, `millrace "
                                              "broker drain %d` moves %s to others)",
                                              n, n == 1 ? "" : "s", id, n == 1 ? "it" : "them");
    return errmsg_set(&c->error, ERR_CONFLICT,
                      "Broker %d is running, and would register again by itself. Stop it first%s, "
                      "then unregister it; with --force it is done all the same. Nothing was "
                      "changed.",
                      id, drain);
}

static int unregister(struct client *c, const struct args *a)
{
    struct unregister_broker_request req;
    struct unregister_broker_response *resp;
    args_require(a, "id");
    proto_msg_init(&unregister_broker_request_msg, &req);
    req.broker_id = (int32_t)args_int(a, "id", 0, INT32_MIN, INT32_MAX);
    if (is_running(c, req.broker_id)) {
        if (!args_has(a, "force")) {
            return refuse_running(c, req.broker_id);
        }
        fprintf(stderr, "Broker %d is running, and registers again by itself.\n", req.broker_id);
    }
    int rv = client_call(c, CLIENT_ANY, API_UNREGISTER_BROKER, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->error_code) {
        rv = client_refused(c, resp->error_code, resp->error_message);
    }
    if (rv == 0) {
        printf("Broker %d is no longer registered.\n", req.broker_id);
    }
    return rv;
}

static void print_json(const struct client *c)
{
    json_t *all = listing_new("endpoints");
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        const node_data *n = &c->cluster->brokers[i];
        json_t *o = listing_item(all);
        json_put_int(o, "id", n->broker_id);
        json_put_text(o, "host", n->host);
        json_put_int(o, "port", n->port);
        json_put_text(o, "rack", n->rack);
        json_put_text(o, "endpointType", bytes_str(c->controllers ? "controller" : "broker"));
        json_put_bool(o, "fenced", n->is_fenced);
    }
    listing_print(all);
}

static int list_endpoints(struct client *c, const struct args *a)
{
    bool fenced_too = args_has(a, "include-fenced-brokers");
    if (fenced_too && c->controllers) {
        return errmsg_set(&c->error, ERR_INVALID,
                          "The option --include-fenced-brokers is only supported with "
                          "--bootstrap-server option");
    }
    int rv = client_cluster_refresh(c, fenced_too);
    if (rv) {
        return rv;
    }
    if (args_has(a, "json")) {
        print_json(c);
        return 0;
    }
    size_t host = 0, rack = 0;
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        const node_data *n = &c->cluster->brokers[i];
        host = n->host.len > host ? n->host.len : host;
        rack = n->rack.len > rack ? n->rack.len : rack;
    }
    const struct column all[] = {
        {"ID", 10, false},    {"HOST", host ? host : 100, false},
        {"PORT", 10, false},  {"RACK", rack ? rack : 10, false},
        {"STATE", 10, false}, {"ENDPOINT_TYPE", 15, false},
    };
    struct column columns[ARRAY_LEN(all)];
    size_t columns_n = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!c->controllers || strcmp(all[i].name, "STATE") != 0) {
            columns[columns_n++] = all[i];
        }
    }
    struct table t;
    table_begin(&t, columns, columns_n);
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        const node_data *n = &c->cluster->brokers[i];
        struct bytes *row = table_row(&t);
        row[0] = cell_number(&c->arena, n->broker_id);
        row[1] = n->host;
        row[2] = cell_number(&c->arena, n->port);
        row[3] = bytes_is_null(n->rack) ? bytes_str("null") : n->rack;
        row[4] = bytes_str(n->is_fenced ? "fenced" : "unfenced");
        row[columns_n - 1] = bytes_str(c->controllers ? "controller" : "broker");
    }
    table_print(&t);
    table_free(&t);
    return 0;
}

/* A broker opens its listener at once and reads from it when it has metadata, as Kafka's does. */
static void tell_unanswered(void)
{
    fprintf(stderr,
            "It takes connections and answers nothing. So does a broker that has no metadata yet, "
            "because it reaches no controller or the controllers have no leader; or it hangs.\n"
            "  On its machine, ask which it is:\n"
            "      millrace health --config FILE.properties\n"
            "  Ask the controllers what they can tell, and start those that are down:\n"
            "      millrace cluster doctor --bootstrap-controller HOST:PORT\n");
}

static int doctor(struct client *c, const struct args *a, int *status)
{
    struct doctor_picture pic;
    struct doctor_report report = {.arena = &c->arena};
    *status = DOCTOR_NOT_ASKED;
    c->timeout_ms = args_int(a, "timeout-ms", DOCTOR_TIMEOUT_MS, 1, INT32_MAX);
    int rv = c->controllers
                 ? doctor_ask_controllers(c, args_get(a, "bootstrap-controller", ""), &pic)
                 : doctor_ask(c, args_get(a, "bootstrap-server", ""), &pic);
    if (rv) {
        return rv;
    }
    doctor_examine(&pic, &report);
    if (args_has(a, "json")) {
        doctor_print_json(&pic, &report);
    } else {
        doctor_print(&pic, &report);
    }
    *status = doctor_is_healthy(&report) ? 0 : 1;
    return 0;
}

int tool_cluster(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct client *c, const struct args *a);
    } actions[] = {
        {"cluster-id", cluster_id}, {"unregister", unregister}, {"list-endpoints", list_endpoints}};
    int status = 0;
    struct args a;
    struct client c;
    args_parse(&a, &spec, argc, argv);
    if (args_has(&a, "config") && args_has(&a, "command-config")) {
        args_fail(&a, "--config and --command-config cannot be specified together.");
    }
    int rv = client_open(&c, &a);
    if (rv == 0 && args_has(&a, "config")) {
        printf("Option --config has been deprecated and will be removed in a future version. Use "
               "--command-config instead.\n");
        rv = client_read_config(&c, args_get(&a, "config", ""));
    }
    for (size_t i = 0; i < ARRAY_LEN(actions) && rv == 0; i++) {
        if (strcmp(actions[i].name, a.command) == 0) {
            rv = actions[i].run(&c, &a);
        }
    }
    if (strcmp(a.command, "doctor") == 0) {
        status = DOCTOR_NOT_ASKED;
        rv = rv ? rv : doctor(&c, &a, &status);
    }
    if (rv) {
        fprintf(stderr, "%s\n", c.error.text);
        if (strcmp(a.command, "doctor") == 0 && c.unanswered && !c.controllers) {
            tell_unanswered();
        }
        status = status ? status : 1;
    }
    client_close(&c);
    args_free(&a);
    return status;
}
