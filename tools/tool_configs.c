/* millrace configs: show and change settings of topics, brokers, their loggers, groups and client
 * metrics, with the options and output of kafka-configs.sh. Settings of users, clients and
 * addresses (quotas, SCRAM) are refused in a sentence until they are served. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/properties.h"
#include "proto_apis.h"
#include "proto_enums.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/group_client.h"
#include "tools/listing.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The Kafka servers to connect to."},
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT,...",
     "Or the controllers: their own settings as those of brokers, and changes while no broker is "
     "up."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"describe", ARG_FLAG, NULL, "Show settings."},
    {"alter", ARG_FLAG, NULL, "Change settings."},
    {"entity-type", ARG_VALUE, "TYPE",
     "topics, brokers, broker-loggers, groups or client-metrics."},
    {"entity-name", ARG_VALUE, "NAME", "The topic, broker id, group or metrics subscription."},
    {"entity-default", ARG_FLAG, NULL, "The defaults of all brokers."},
    {"topic", ARG_VALUE, "NAME", "Short for --entity-type topics --entity-name NAME."},
    {"broker", ARG_VALUE, "ID", "Short for --entity-type brokers --entity-name ID."},
    {"broker-defaults", ARG_FLAG, NULL, "Short for --entity-type brokers --entity-default."},
    {"group", ARG_VALUE, "NAME", "Short for --entity-type groups --entity-name NAME."},
    {"broker-logger", ARG_VALUE, "ID", "Short for --entity-type broker-loggers --entity-name ID."},
    {"client-metrics", ARG_VALUE, "NAME",
     "Short for --entity-type client-metrics --entity-name NAME."},
    {"user", ARG_VALUE, "NAME", "Settings of users are not served yet."},
    {"user-defaults", ARG_FLAG, NULL, "Nor these."},
    {"client", ARG_VALUE, "ID", "Settings of clients are not served yet."},
    {"client-defaults", ARG_FLAG, NULL, "Nor these."},
    {"ip", ARG_VALUE, "ADDRESS", "Settings of addresses are not served yet."},
    {"ip-defaults", ARG_FLAG, NULL, "Nor these."},
    {"all", ARG_FLAG, NULL, "With --describe: also what is at its default."},
    {"add-config", ARG_VALUE, "K=V,K=[V,V]", "With --alter: settings to set."},
    {"add-config-file", ARG_VALUE, "FILE", "With --alter: the same from a properties file."},
    {"delete-config", ARG_VALUE, "K,K", "With --alter: settings to take back to the default."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "configs",
    .about = "show and change settings of topics, brokers and groups",
    .examples =
        "  millrace configs --bootstrap-server localhost:9092 --describe --topic orders --all\n"
        "  millrace configs --bootstrap-server localhost:9092 --alter --topic orders --add-config "
        "retention.ms=3600000,cleanup.policy=[compact,delete]\n"
        "  millrace configs --bootstrap-server localhost:9092 --alter --topic orders "
        "--delete-config retention.ms\n"
        "  millrace configs --bootstrap-server localhost:9092 --describe --broker-defaults\n"
        "  millrace configs --bootstrap-server localhost:9092 --alter --entity-type broker-loggers "
        "--entity-name 1 --add-config root=DEBUG\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

#define result_config  struct describe_configs_response_describe_configs_resource_result
#define request_config struct incremental_alter_configs_request_alterable_config

enum {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_LOGGER = 8,
    RESOURCE_METRICS = 16,
    RESOURCE_GROUP = 32
};
enum {
    SOURCE_TOPIC = 1,
    SOURCE_BROKER = 2,
    SOURCE_BROKER_DEFAULT = 3,
    SOURCE_LOGGER = 6,
    SOURCE_METRICS = 7,
    SOURCE_GROUP = 8
};
enum { OP_SET = 0, OP_DELETE = 1 };

struct entity_type {
    const char *plural;
    const char *singular;
    int8_t resource;
    int8_t source; /* of a setting made for this entity */
};

static const struct entity_type entity_types[] = {
    {"topics", "topic", RESOURCE_TOPIC, SOURCE_TOPIC},
    {"brokers", "broker", RESOURCE_BROKER, SOURCE_BROKER},
    {"broker-loggers", "broker-logger", RESOURCE_LOGGER, SOURCE_LOGGER},
    {"groups", "group", RESOURCE_GROUP, SOURCE_GROUP},
    {"client-metrics", "client-metric", RESOURCE_METRICS, SOURCE_METRICS},
};

/* Does the name of such an entity say which broker has to be asked? */
static bool is_of_broker(const struct entity_type *t)
{
    return t->resource == RESOURCE_BROKER || t->resource == RESOURCE_LOGGER;
}

/* Do only brokers know which there are? */
static bool is_listed_by_brokers(const struct entity_type *t)
{
    return t->resource == RESOURCE_GROUP || t->resource == RESOURCE_METRICS;
}

struct entity {
    const struct entity_type *type;
    const char *name; /* NULL: all of the type; "" the default of brokers */
};

static int fail(const char *text)
{
    fprintf(stderr, "Error while executing config command: %s\n", text);
    return 1;
}

static const struct entity_type *type_named(const struct args *a, const char *plural)
{
    for (size_t i = 0; i < sizeof entity_types / sizeof entity_types[0]; i++) {
        if (strcmp(entity_types[i].plural, plural) == 0) {
            return &entity_types[i];
        }
    }
    static const char *const later[] = {"users", "clients", "ips"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strcmp(later[i], plural) == 0) {
            args_fail(a,
                      "Entity type %s is not served yet; served are topics, brokers, "
                      "broker-loggers, groups and client-metrics",
                      plural);
        }
    }
    args_fail(a,
              "Invalid entity type %s, the entity type must be one of topics, brokers, "
              "broker-loggers, groups, client-metrics",
              plural);
}

/* One more that is named; there may be one. The sentences are Kafka's. */
static void name_entity(const struct args *a, struct entity *e, const char *plural,
                        const char *name)
{
    const struct entity_type *type = type_named(a, plural);
    if (e->type == type) {
        args_fail(a, "Duplicate entity type(s) specified: %s", plural);
    }
    if (e->type) {
        args_fail(a, "Only 'users' and 'clients' entity types may be specified together");
    }
    *e = (struct entity){type, name};
}

static struct entity named_entity(const struct args *a)
{
    static const struct {
        const char *option, *plural;
        bool is_default;
    } shorts[] = {{"topic", "topics", false},
                  {"broker", "brokers", false},
                  {"broker-defaults", "brokers", true},
                  {"broker-logger", "broker-loggers", false},
                  {"group", "groups", false},
                  {"client-metrics", "client-metrics", false},
                  {"user", "users", false},
                  {"user-defaults", "users", true},
                  {"client", "clients", false},
                  {"client-defaults", "clients", true},
                  {"ip", "ips", false},
                  {"ip-defaults", "ips", true}};
    struct entity e = {0};
    bool is_default = args_has(a, "entity-default");
    for (size_t i = 0; i < ARRAY_LEN(shorts); i++) {
        if (args_has(a, shorts[i].option)) {
            name_entity(a, &e, shorts[i].plural,
                        shorts[i].is_default ? "" : args_get(a, shorts[i].option, NULL));
        }
    }
    if (args_has(a, "entity-type")) {
        if (is_default && args_has(a, "entity-name")) {
            args_fail(a, "Give one of --entity-name and --entity-default");
        }
        name_entity(a, &e, args_get(a, "entity-type", ""),
                    is_default ? "" : args_get(a, "entity-name", NULL));
    } else if (e.type && (is_default || args_has(a, "entity-name"))) {
        args_fail(a, "--entity-{type,name,default} should not be used in conjunction with specific "
                     "entity flags");
    }
    return e;
}

static struct entity read_entity(const struct args *a)
{
    struct entity e = named_entity(a);
    if (e.type == NULL) {
        args_fail(a, "At least one entity type must be specified");
    }
    if (e.name && *e.name == 0 && e.type->resource != RESOURCE_BROKER) {
        args_fail(a, "Only brokers have a default entity; give %s a name", e.type->plural);
    }
    if (e.name && *e.name && is_of_broker(e.type) &&
        strspn(e.name, "0123456789") != strlen(e.name)) {
        args_fail(a, "The entity name for %s must be a valid integer broker id, found: %s",
                  e.type->plural, e.name);
    }
    if (e.name == NULL && e.type->resource == RESOURCE_LOGGER) {
        args_fail(a, "An entity name must be specified with %s of broker-loggers",
                  args_has(a, "alter") ? "--alter" : "--describe");
    }
    return e;
}

/* ---- describe ---- */

static int by_config_name(const void *a, const void *b)
{
    return bytes_cmp(((const result_config *)a)->name, ((const result_config *)b)->name);
}

/* The wire's name of a source, as Kafka's admin client calls it. */
static const char *source_name(int8_t source)
{
    switch (source) {
    case SOURCE_TOPIC:
        return "DYNAMIC_TOPIC_CONFIG";
    case SOURCE_METRICS:
        return "DYNAMIC_CLIENT_METRICS_CONFIG";
    case SOURCE_GROUP:
        return "DYNAMIC_GROUP_CONFIG";
    default: {
        const char *name = kafka_enum_name("config-source", source);
        return name ? name : "UNKNOWN";
    }
    }
}

static void print_config(const result_config *r)
{
    printf("  %.*s=", BYTES_FMT(r->name));
    if (bytes_is_null(r->value)) {
        printf("null");
    } else {
        printf("%.*s", BYTES_FMT(r->value));
    }
    printf(" sensitive=%s synonyms={", r->is_sensitive ? "true" : "false");
    for (int32_t i = 0; i < r->synonyms_n; i++) {
        printf("%s%s:%.*s=", i ? ", " : "", source_name(r->synonyms[i].source),
               BYTES_FMT(r->synonyms[i].name));
        if (bytes_is_null(r->synonyms[i].value)) {
            printf("null");
        } else {
            printf("%.*s", BYTES_FMT(r->synonyms[i].value));
        }
    }
    printf("}\n");
}

static void json_config(json_t *list, const result_config *r)
{
    json_t *o = json_add_object(list);
    json_put_text(o, "name", r->name);
    json_put_text(o, "value", r->value);
    json_put_text(o, "source", bytes_str(source_name(r->config_source)));
    json_put_bool(o, "sensitive", r->is_sensitive);
    json_put_bool(o, "readOnly", r->read_only);
    json_t *synonyms = json_put_array(o, "synonyms");
    for (int32_t i = 0; i < r->synonyms_n; i++) {
        json_t *y = json_add_object(synonyms);
        json_put_text(y, "name", r->synonyms[i].name);
        json_put_text(y, "value", r->synonyms[i].value);
        json_put_text(y, "source", bytes_str(source_name(r->synonyms[i].source)));
    }
}

/* What is described: listing is NULL for people. */
struct view {
    struct group_client *g;
    struct client *c; /* g's */
    const struct args *a;
    json_t *listing;
};

static void show(const struct view *w, const struct entity_type *type, const char *name,
                 result_config *v, int32_t n)
{
    bool is_default = *name == 0, all = args_has(w->a, "all");
    json_t *list = NULL;
    if (w->listing) {
        json_t *o = listing_item(w->listing);
        json_put_text(o, "entityType", bytes_str(type->plural));
        json_put_text(o, "entityName", bytes_str(is_default ? NULL : name));
        list = json_put_array(o, "configs");
    } else if (is_default) {
        printf("Default configs for %s in the cluster are:\n", type->plural);
    } else {
        printf("%s configs for %s %s are:\n", all ? "All" : "Dynamic", type->singular, name);
    }
    qsort(v, (size_t)n, sizeof *v, by_config_name);
    int8_t own = is_default ? SOURCE_BROKER_DEFAULT : type->source;
    for (int32_t i = 0; i < n; i++) {
        if (!all && v[i].config_source != own) {
            continue;
        }
        if (list) {
            json_config(list, &v[i]);
        } else {
            print_config(&v[i]);
        }
    }
}

static int describe_one(const struct view *w, const struct entity_type *type, const char *name)
{
    struct client *c = w->c;
    bool is_default = *name == 0;
    struct describe_configs_request req;
    proto_msg_init(&describe_configs_request_msg, &req);
    req.resources =
        proto_array(&c->arena, &describe_configs_request_describe_configs_resource_desc, 1);
    req.resources_n = 1;
    req.resources[0].resource_type = type->resource;
    req.resources[0].resource_name = bytes_str(name);
    req.resources[0].configuration_keys_n = -1;
    req.include_synonyms = true;
    struct describe_configs_response *resp;
    int32_t node = is_of_broker(type) && !is_default ? atoi(name) : CLIENT_ANY;
    if (client_call(c, node, API_DESCRIBE_CONFIGS, &req, (void **)&resp, NULL)) {
        return fail(c->error.text);
    }
    if (resp->results_n != 1 || resp->results[0].error_code) {
        char text[600];
        return fail(resp->results_n == 1
                        ? client_error_text(resp->results[0].error_code,
                                            resp->results[0].error_message, text, sizeof text)
                        : "the broker answered without a result");
    }
    show(w, type, name, resp->results[0].configs, resp->results[0].configs_n);
    return 0;
}

struct names {
    struct bytes *v;
    size_t n;
};

static int by_bytes(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Groups or client metrics for which something is set. ERR_UNSUPPORTED: the node is too old to
 * tell, which for groups is one that knows nothing but version 0. */
static int list_configured(struct client *c, const struct entity_type *type, struct names *out)
{
    struct list_config_resources_request req;
    struct list_config_resources_response *resp;
    int16_t version = 0;
    int rv = client_version(c, CLIENT_ANY, API_LIST_CONFIG_RESOURCES, &version);
    if (rv == 0 && version == 0 && type->resource != RESOURCE_METRICS) {
        rv = errmsg_set(&c->error, ERR_UNSUPPORTED,
                        "the broker lists no settings of %s: it is older than Kafka 4.1",
                        type->plural);
    }
    if (rv) {
        return rv;
    }
    proto_msg_init(&list_config_resources_request_msg, &req);
    if (version > 0) {
        req.resource_types = arena_alloc(&c->arena, 1);
        req.resource_types[0] = type->resource;
        req.resource_types_n = 1;
    }
    rv = client_call(c, CLIENT_ANY, API_LIST_CONFIG_RESOURCES, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->error_code) {
        rv = client_refused(c, resp->error_code, BYTES_NULL);
    }
    if (rv) {
        return rv;
    }
    out->v = ARENA_ARRAY(&c->arena, struct bytes, (size_t)resp->config_resources_n + 1);
    for (int32_t i = 0; i < resp->config_resources_n; i++) {
        out->v[out->n++] = resp->config_resources[i].resource_name;
    }
    return 0;
}

/* Groups that are there, and those that only have settings; *all is false where an old broker
 * cannot tell the second kind. */
static int list_groups(const struct view *w, const struct entity_type *type, struct names *out,
                       bool *all)
{
    struct client *c = w->c;
    struct group_listing *groups;
    struct names set = {0};
    size_t n;
    int rv = client_metadata(c);
    rv = rv ? rv : group_client_list(w->g, NULL, 0, NULL, 0, &groups, &n);
    if (rv) {
        return rv;
    }
    rv = list_configured(c, type, &set);
    if (rv && rv != ERR_UNSUPPORTED) {
        return rv;
    }
    *all = rv == 0;
    struct bytes *both = ARENA_ARRAY(&c->arena, struct bytes, n + set.n + 1);
    for (size_t i = 0; i < n + set.n; i++) {
        both[i] = i < n ? groups[i].id : set.v[i - n];
    }
    qsort(both, n + set.n, sizeof *both, by_bytes);
    out->v = both;
    for (size_t i = 0; i < n + set.n; i++) {
        if (out->n == 0 || !bytes_eq(out->v[out->n - 1], both[i])) {
            out->v[out->n++] = both[i];
        }
    }
    return 0;
}

/* The names of a type, in their order; *all as above. */
static int list_names(const struct view *w, const struct entity_type *type, struct names *out,
                      bool *all)
{
    struct client *c = w->c;
    int rv = 0;
    *all = true;
    if (type->resource == RESOURCE_GROUP) {
        return list_groups(w, type, out, all);
    }
    if (type->resource == RESOURCE_METRICS) {
        rv = list_configured(c, type, out);
    } else if (type->resource == RESOURCE_TOPIC) {
        out->v = ARENA_ARRAY(&c->arena, struct bytes, (size_t)c->metadata->topics_n + 1);
        for (int32_t i = 0; i < c->metadata->topics_n; i++) {
            out->v[out->n++] = c->metadata->topics[i].name;
        }
    } else {
        out->v = ARENA_ARRAY(&c->arena, struct bytes, (size_t)c->cluster->brokers_n + 1);
        for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
            int id = c->cluster->brokers[i].broker_id;
            out->v[out->n++] = bytes_str(arena_printf(&c->arena, "%d", id));
        }
    }
    if (rv == 0) {
        qsort(out->v, out->n, sizeof *out->v, by_bytes);
    }
    return rv;
}

/* Is there an entity of that name? Of groups and client metrics controllers and old brokers cannot
 * tell: then what is set for it is shown. */
static int find(const struct view *w, const struct entity *e, bool *found)
{
    const char *name = is_of_broker(e->type) /* which may have zeros in front */
                           ? arena_printf(&w->c->arena, "%d", atoi(e->name))
                           : e->name;
    struct names names = {0};
    bool all = true;
    *found = true;
    if (w->c->controllers && is_listed_by_brokers(e->type)) {
        return 0;
    }
    int rv = list_names(w, e->type, &names, &all);
    if (rv == ERR_UNSUPPORTED && e->type->resource == RESOURCE_METRICS) {
        return 0;
    }
    for (size_t i = 0; rv == 0 && i < names.n; i++) {
        if (bytes_eq_str(names.v[i], name)) {
            return 0;
        }
    }
    *found = !all;
    return rv;
}

/* Every entity of a type, in order of names; brokers also have the default at the end. */
static int describe_all(const struct view *w, const struct entity_type *type)
{
    struct client *c = w->c;
    struct names names = {0};
    bool all;
    if (c->controllers && is_listed_by_brokers(type)) {
        return fail(arena_printf(&c->arena,
                                 "controllers do not know which %s there are: ask the brokers "
                                 "(--bootstrap-server), or give a name",
                                 type->plural));
    }
    int rv = list_names(w, type, &names, &all);
    if (rv) {
        return fail(c->error.text);
    }
    for (size_t i = 0; i < names.n && rv == 0; i++) {
        rv = describe_one(w, type, arena_strndup(&c->arena, names.v[i].data, names.v[i].len));
    }
    return rv == 0 && type->resource == RESOURCE_BROKER ? describe_one(w, type, "") : rv;
}

static int describe(struct group_client *g, const struct args *a, const struct entity *e)
{
    struct client *c = &g->c;
    bool of_topics = e->type->resource == RESOURCE_TOPIC;
    bool by_name = e->name && args_has(a, "all"); /* then the answer says whether it exists */
    struct view w = {.g = g, .c = c, .a = a};
    if (is_of_broker(e->type) ? client_cluster(c) : of_topics && !by_name && client_metadata(c)) {
        return fail(c->error.text);
    }
    bool found = true;
    if (e->name && *e->name && !by_name && find(&w, e, &found)) {
        return fail(c->error.text);
    }
    if (!found) {
        bool json = args_has(a, "json"); /* a sentence is no JSON */
        fprintf(json ? stderr : stdout,
                "The %s '%s' doesn't exist and doesn't have dynamic config.\n", e->type->singular,
                e->name);
        return json ? 1 : 0;
    }
    w.listing = args_has(a, "json") ? listing_new("configs") : NULL;
    int rv = e->name ? describe_one(&w, e->type, e->name) : describe_all(&w, e->type);
    if (rv == 0 && w.listing) {
        listing_print(w.listing);
    } else {
        json_decref(w.listing);
    }
    return rv;
}

/* ---- alter ---- */

struct changes {
    struct arena *arena;
    request_config *v;
    int32_t n;
    int8_t op;
    bool bad;
};

static int add_change(void *ctx, const char *name, const char *value)
{
    struct changes *ch = ctx;
    if (ch->op == OP_SET && value == NULL) {
        ch->bad = true;
        return 1;
    }
    request_config *grown = proto_array(
        ch->arena, &incremental_alter_configs_request_alterable_config_desc, (size_t)ch->n + 1);
    if (ch->n) {
        memcpy(grown, ch->v, (size_t)ch->n * sizeof *grown);
    }
    ch->v = grown;
    request_config *r = &ch->v[ch->n++];
    r->name = bytes_str(arena_strndup(ch->arena, name, strlen(name)));
    r->config_operation = ch->op;
    r->value =
        ch->op == OP_SET ? bytes_str(arena_strndup(ch->arena, value, strlen(value))) : BYTES_NULL;
    return 0;
}

static int add_line(void *ctx, const char *key, const char *value, unsigned line)
{
    UNUSED(line);
    return add_change(ctx, key, value);
}

static int read_changes(struct client *c, const struct args *a, struct changes *ch)
{
    int rv = 0;
    ch->op = OP_SET;
    if (args_has(a, "add-config")) {
        rv = each_pair(args_get(a, "add-config", ""), add_change, ch);
    }
    if (rv == 0 && args_has(a, "add-config-file")) {
        struct buf text = {0};
        rv = tool_read_file(args_get(a, "add-config-file", ""), &text, &c->error);
        if (rv == 0) {
            rv = properties_parse(buf_bytes(&text), add_line, ch, &c->error);
        }
        buf_free(&text);
    }
    ch->op = OP_DELETE;
    if (rv == 0 && args_has(a, "delete-config")) {
        rv = each_pair(args_get(a, "delete-config", ""), add_change, ch);
    }
    return rv;
}

static int alter(struct client *c, const struct args *a, const struct entity *e)
{
    if (e->name == NULL) {
        args_fail(a, "An entity name must be specified with --alter of %s", e->type->plural);
    }
    if (!args_has(a, "add-config") && !args_has(a, "add-config-file") &&
        !args_has(a, "delete-config")) {
        args_fail(a, "At least one of --add-config, --add-config-file, or --delete-config must be "
                     "specified with --alter");
    }
    struct changes ch = {.arena = &c->arena};
    if (read_changes(c, a, &ch)) {
        return fail(ch.bad ? "Invalid entity config: all configs to be added must be in the format "
                             "\"key=val\" or "
                             "\"key=[val1,val2]\" to group values which contain commas."
                           : c->error.text);
    }
    struct incremental_alter_configs_request req;
    proto_msg_init(&incremental_alter_configs_request_msg, &req);
    req.resources =
        proto_array(&c->arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
    req.resources_n = 1;
    req.resources[0].resource_type = e->type->resource;
    req.resources[0].resource_name = bytes_str(e->name);
    req.resources[0].configs = ch.v;
    req.resources[0].configs_n = ch.n;
    struct incremental_alter_configs_response *resp;
    /* A broker checks what is set for it; the active controller sets what it is told. */
    bool to_node = c->controllers ? e->type->resource == RESOURCE_LOGGER : is_of_broker(e->type);
    int32_t node = to_node && *e->name ? atoi(e->name) : CLIENT_ANY;
    if (client_call(c, node, API_INCREMENTAL_ALTER_CONFIGS, &req, (void **)&resp, NULL)) {
        return fail(c->error.text);
    }
    if (resp->responses_n != 1 || resp->responses[0].error_code) {
        char text[600];
        return fail(resp->responses_n == 1
                        ? client_error_text(resp->responses[0].error_code,
                                            resp->responses[0].error_message, text, sizeof text)
                        : "the broker answered without a result");
    }
    if (*e->name) {
        printf("Completed updating config for %s %s.\n", e->type->singular, e->name);
    } else {
        printf("Completed updating default config for %s in the cluster.\n", e->type->plural);
    }
    return 0;
}

int tool_configs(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    if (args_has(&a, "describe") == args_has(&a, "alter")) {
        args_fail(&a, "Command must include exactly one action: --describe, --alter");
    }
    if (args_has(&a, "json") && !args_has(&a, "describe")) {
        args_fail(&a, "--json goes with --describe");
    }
    struct entity e = read_entity(&a);
    struct group_client g;
    int rv = client_open(&g.c, &a);
    g.timeout_ms = g.c.timeout_ms;
    if (rv) {
        rv = fail(g.c.error.text);
    } else {
        rv = args_has(&a, "alter") ? alter(&g.c, &a, &e) : describe(&g, &a, &e);
    }
    client_close(&g.c);
    args_free(&a);
    return rv;
}
