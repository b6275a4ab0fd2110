/* millrace broker-api-versions: what each broker serves, as kafka-broker-api-versions.sh prints it,
 * but for its column "usable", which here is the newest version that both this tool's schemas and
 * the broker know. --bootstrap-controller, which Kafka's tool has not, shows the same of
 * controllers.
 */
#include <stdio.h>

#include "proto_apis.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/tool.h"

enum { GET_TELEMETRY_SUBSCRIPTIONS = 71, PUSH_TELEMETRY = 72 };

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to."},
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT,...", "Or the controllers to connect to."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "broker-api-versions",
    .about = "list the APIs and versions of every broker",
    .examples = "  millrace broker-api-versions --bootstrap-server localhost:9092\n"
                "  millrace broker-api-versions --bootstrap-controller localhost:9093 --json\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

#define node_data   struct describe_cluster_response_describe_cluster_broker
#define version_row struct api_versions_response_api_version

static const version_row *served(const struct api_versions_response *r, const struct proto_api *api)
{
    for (int32_t i = 0; i < r->api_keys_n; i++) {
        if (r->api_keys[i].api_key == api->key) {
            return &r->api_keys[i];
        }
    }
    return NULL;
}

/* The newest version that both sides know; -1: there is none. */
static int16_t usable(const version_row *v, const struct proto_api *api)
{
    int16_t newest = v->max_version < api->version_max ? v->max_version : api->version_max;
    return newest >= v->min_version && newest >= api->version_min ? newest : -1;
}

static void print_api(const version_row *v, const struct proto_api *api, bool last)
{
    printf("\t%s(%d): ", api->name, api->key);
    if (v == NULL) {
        printf(last ? "UNSUPPORTED\n" : "UNSUPPORTED,\n");
        return;
    }
    if (v->min_version == v->max_version) {
        printf("%d", v->min_version);
    } else {
        printf("%d to %d", v->min_version, v->max_version);
    }
    if (usable(v, api) >= 0) {
        printf(" [usable: %d]", usable(v, api));
    } else {
        printf(" [unusable: node too %s]", v->min_version > api->version_max ? "new" : "old");
    }
    printf(last ? "\n" : ",\n");
}

/* Kafka lists the APIs that brokers serve to clients: those its own ApiVersions names, and those of
 * telemetry, which it names only where a plug-in takes them. Of a controller, those that it names.
 */
static bool is_listed(const struct client *c, const struct api_versions_response *r,
                      const struct proto_api *api)
{
    if (c->controllers) {
        return served(r, api) != NULL;
    }
    return api->broker_max >= 0 || api->key == GET_TELEMETRY_SUBSCRIPTIONS ||
           api->key == PUSH_TELEMETRY;
}

static void print_node(const struct client *c, const node_data *b,
                       const struct api_versions_response *r)
{
    size_t n;
    const struct proto_api *v = proto_apis(&n);
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        last = is_listed(c, r, &v[i]) ? i : last;
    }
    printf("%.*s:%d (id: %d rack: ", BYTES_FMT(b->host), b->port, b->broker_id);
    if (bytes_is_null(b->rack)) {
        printf("null");
    } else {
        printf("%.*s", BYTES_FMT(b->rack));
    }
    printf(" isFenced: false) -> (\n");
    for (size_t i = 0; i <= last; i++) {
        if (is_listed(c, r, &v[i])) {
            print_api(served(r, &v[i]), &v[i], i == last);
        }
    }
    printf(")\n");
}

/* r is NULL where the node did not answer. */
static void json_node(json_t *all, const struct client *c, const node_data *b,
                      const struct api_versions_response *r)
{
    size_t n;
    const struct proto_api *v = proto_apis(&n);
    json_t *o = listing_item(all);
    json_put_int(o, "id", b->broker_id);
    json_put_text(o, "host", b->host);
    json_put_int(o, "port", b->port);
    json_put_text(o, "rack", b->rack);
    json_put_text(o, "error", bytes_str(r ? NULL : c->error.text));
    json_t *apis = json_put_array(o, "apis");
    for (size_t i = 0; r && i < n; i++) {
        const version_row *row = served(r, &v[i]);
        if (row == NULL) {
            continue;
        }
        json_t *api = json_add_object(apis);
        json_put_text(api, "name", bytes_str(v[i].name));
        json_put_int(api, "key", v[i].key);
        json_put_int(api, "minVersion", row->min_version);
        json_put_int(api, "maxVersion", row->max_version);
        json_put_known(api, "usableVersion", usable(row, &v[i]));
    }
}

static int run(struct client *c, const struct args *a)
{
    int rv = client_cluster(c);
    json_t *all = rv == 0 && args_has(a, "json") ? listing_new("api-versions") : NULL;
    int32_t n = rv == 0 ? c->cluster->brokers_n : 0;
    for (int32_t i = 0; i < n; i++) {
        const node_data *b = &c->cluster->brokers[i];
        struct api_versions_response *r = NULL;
        int failed = client_api_versions(c, b->broker_id, &r);
        rv = failed ? failed : rv;
        if (all) {
            json_node(all, c, b, failed ? NULL : r);
        } else if (failed) {
            printf("%.*s:%d (id: %d) -> ERROR: %s\n", BYTES_FMT(b->host), b->port, b->broker_id,
                   c->error.text);
        } else {
            print_node(c, b, r);
        }
    }
    if (all) {
        listing_print(all);
    }
    return rv;
}

int tool_broker_api_versions(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    struct client c;
    int rv = client_open(&c, &a);
    rv = rv ? rv : run(&c, &a);
    if (rv) {
        fprintf(stderr, "broker-api-versions: %s\n", c.error.text);
    }
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
