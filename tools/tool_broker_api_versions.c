/* millrace broker-api-versions: what each broker serves, as kafka-broker-api-versions.sh prints it,
 * but for its column "usable", which here is the newest version that both this tool's schemas and
 * the broker know. */
#include <stdio.h>

#include "proto_apis.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/tool.h"

enum { GET_TELEMETRY_SUBSCRIPTIONS = 71, PUSH_TELEMETRY = 72 };

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The server to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
};

static const struct args_spec spec = {
    .tool = "broker-api-versions",
    .about = "list the APIs and versions of every broker",
    .examples = "  millrace broker-api-versions --bootstrap-server localhost:9092\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

static void print_api(const struct api_versions_response *r, const struct proto_api *api, bool last)
{
    printf("\t%s(%d): ", api->name, api->key);
    for (int32_t i = 0; i < r->api_keys_n; i++) {
        const struct api_versions_response_api_version *v = &r->api_keys[i];
        if (v->api_key != api->key) {
            continue;
        }
        int16_t usable = v->max_version < api->version_max ? v->max_version : api->version_max;
        if (v->min_version == v->max_version) {
            printf("%d", v->min_version);
        } else {
            printf("%d to %d", v->min_version, v->max_version);
        }
        if (usable >= v->min_version && usable >= api->version_min) {
            printf(" [usable: %d]", usable);
        } else {
            printf(" [unusable: node too %s]", v->min_version > api->version_max ? "new" : "old");
        }
        printf(last ? "\n" : ",\n");
        return;
    }
    printf(last ? "UNSUPPORTED\n" : "UNSUPPORTED,\n");
}

/* Kafka lists the APIs that brokers serve to clients: those its own ApiVersions names, and those of
 * telemetry, which it names only where a plug-in takes them. */
static bool is_listed(const struct proto_api *api)
{
    return api->broker_max >= 0 || api->key == GET_TELEMETRY_SUBSCRIPTIONS ||
           api->key == PUSH_TELEMETRY;
}

static void print_broker(const struct metadata_response_metadata_response_broker *b,
                         const struct api_versions_response *r)
{
    size_t n;
    const struct proto_api *v = proto_apis(&n);
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        last = is_listed(&v[i]) ? i : last;
    }
    printf("%.*s:%d (id: %d rack: ", BYTES_FMT(b->host), b->port, b->node_id);
    if (bytes_is_null(b->rack)) {
        printf("null");
    } else {
        printf("%.*s", BYTES_FMT(b->rack));
    }
    printf(" isFenced: false) -> (\n");
    for (size_t i = 0; i <= last; i++) {
        if (is_listed(&v[i])) {
            print_api(r, &v[i], i == last);
        }
    }
    printf(")\n");
}

static int run(struct client *c)
{
    int rv = client_metadata(c);
    for (int32_t i = 0; rv == 0 && i < c->metadata->brokers_n; i++) {
        struct api_versions_response *r;
        rv = client_api_versions(c, c->metadata->brokers[i].node_id, &r);
        if (rv == 0) {
            print_broker(&c->metadata->brokers[i], r);
        } else {
            printf("%.*s:%d (id: %d) -> ERROR: %s\n", BYTES_FMT(c->metadata->brokers[i].host),
                   c->metadata->brokers[i].port, c->metadata->brokers[i].node_id, c->error.text);
        }
    }
    return rv;
}

int tool_broker_api_versions(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    struct client c;
    int rv =
        client_init(&c, args_get(&a, "bootstrap-server", ""), args_get(&a, "command-config", NULL));
    rv = rv ? rv : run(&c);
    if (rv) {
        fprintf(stderr, "broker-api-versions: %s\n", c.error.text);
    }
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
