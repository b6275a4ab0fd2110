/* millrace topics: create, list, describe, alter and delete topics, with the options and output of
 * kafka-topics.sh. Listing is sorted by name (Kafka's order is that of a hash table). An error is
 * one sentence on standard output as Kafka's tool prints it, and exit status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/output.h"
#include "tools/text.h"
#include "tools/tool.h"
#include "tools/topics.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The Kafka server to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"list", ARG_FLAG, NULL, "List topics."},
    {"create", ARG_FLAG, NULL, "Create a topic."},
    {"delete", ARG_FLAG, NULL, "Delete topics."},
    {"alter", ARG_FLAG, NULL, "Change the number of partitions."},
    {"describe", ARG_FLAG, NULL, "Show partitions, leaders, replicas and settings."},
    {"topic", ARG_VALUE, "NAME|REGEX", "The topic; a regular expression except with --create."},
    {"topic-id", ARG_VALUE, "UUID", "With --describe: the topic with this id."},
    {"partitions", ARG_VALUE, "N", "With --create or --alter: how many partitions."},
    {"replication-factor", ARG_VALUE, "N", "With --create: replicas of each partition."},
    {"replica-assignment", ARG_VALUE, "1:2,2:3,...", "Brokers of each partition, by hand."},
    {"config", ARG_LIST, "NAME=VALUE", "With --create: a setting of the topic."},
    {"delete-config", ARG_LIST, "NAME", "No longer supported (see configs)."},
    {"if-exists", ARG_FLAG, NULL, "No error when the topic does not exist."},
    {"if-not-exists", ARG_FLAG, NULL, "With --create: no error when it exists."},
    {"exclude-internal", ARG_FLAG, NULL, "Leave internal topics out."},
    {"topics-with-overrides", ARG_FLAG, NULL, "With --describe: only topics with settings."},
    {"under-replicated-partitions", ARG_FLAG, NULL, "With --describe: only these."},
    {"unavailable-partitions", ARG_FLAG, NULL, "With --describe: only those without a leader."},
    {"under-min-isr-partitions", ARG_FLAG, NULL, "With --describe: only those below min ISR."},
    {"at-min-isr-partitions", ARG_FLAG, NULL, "With --describe: only those at min ISR."},
    {"partition-size-limit-per-response", ARG_VALUE, "N",
     "With --describe: partitions asked for at once (2000)."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "topics",
    .about = "create, list, describe, alter and delete topics",
    .examples =
        "  millrace topics --bootstrap-server localhost:9092 --create --topic orders --partitions "
        "6\n"
        "  millrace topics --bootstrap-server localhost:9092 --list\n"
        "  millrace topics --bootstrap-server localhost:9092 --describe --topic 'orders.*'\n"
        "  millrace topics --bootstrap-server localhost:9092 --alter --topic orders --partitions "
        "12\n"
        "  millrace topics --bootstrap-server localhost:9092 --delete --topic orders\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

int topics_fail(const char *text)
{
    printf("Error while executing topic command : %s\n", text);
    return 1;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp((*(const topic_meta *const *)a)->name, (*(const topic_meta *const *)b)->name);
}

topic_meta **topics_select(struct client *c, const struct args *a, const char *pattern, size_t *n)
{
    struct topic_pattern p;
    *n = 0;
    if (topic_pattern_init(&p, pattern, &c->error)) {
        return NULL;
    }
    if (client_metadata(c)) {
        topic_pattern_free(&p);
        return NULL;
    }
    topic_meta **v = arena_alloc(&c->arena, ((size_t)c->metadata->topics_n + 1) * sizeof *v);
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        topic_meta *t = &c->metadata->topics[i];
        if (topic_pattern_matches(&p, t->name) &&
            !(t->is_internal && args_has(a, "exclude-internal"))) {
            v[(*n)++] = t;
        }
    }
    topic_pattern_free(&p);
    qsort(v, *n, sizeof *v, by_name);
    return v;
}

int topics_missing(const struct args *a, const char *topic)
{
    char text[400];
    if (args_has(a, "if-exists")) {
        return 0;
    }
    snprintf(text, sizeof text, "Topic '%s' does not exist as expected", topic);
    return topics_fail(text);
}

/* ---- create ---- */

struct create_ctx {
    struct arena *arena;
    struct create_topics_request_creatable_topic *topic;
    const char *bad;
};

static int add_config(void *ctx, const char *name, const char *value)
{
    struct create_ctx *cc = ctx;
    if (value == NULL) {
        cc->bad = arena_strndup(cc->arena, name, strlen(name));
        return 1;
    }
    struct create_topics_request_creatable_topic_config *v =
        &cc->topic->configs[cc->topic->configs_n++];
    v->name = bytes_str(arena_strndup(cc->arena, name, strlen(name)));
    v->value = bytes_str(arena_strndup(cc->arena, value, strlen(value)));
    return 0;
}

/* "1:2,3:4": brokers of partition 0, of partition 1, ... */
static int parse_assignment(struct client *c, const char *text,
                            struct create_topics_request_creatable_topic *t)
{
    size_t max = 1;
    for (const char *s = text; *s; s++) {
        max += *s == ',';
    }
    t->assignments =
        proto_array(&c->arena, &create_topics_request_creatable_replica_assignment_desc, max);
    t->assignments_n = 0;
    char *copy = arena_strndup(&c->arena, text, strlen(text)), *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        struct create_topics_request_creatable_replica_assignment *r =
            &t->assignments[t->assignments_n];
        r->partition_index = t->assignments_n++;
        r->broker_ids = arena_alloc(&c->arena, strlen(part) * sizeof *r->broker_ids);
        char *save2 = NULL;
        for (char *id = strtok_r(part, ":", &save2); id; id = strtok_r(NULL, ":", &save2)) {
            char *end;
            long v = strtol(id, &end, 10);
            if (*end || end == id || v < 0 || v > INT32_MAX) {
                return errmsg_set(&c->error, ERR_INVALID,
                                  "replica-assignment has '%s' where a broker id is wanted", id);
            }
            r->broker_ids[r->broker_ids_n++] = (int32_t)v;
        }
    }
    return 0;
}

static int fill_topic(struct client *c, const struct args *a,
                      struct create_topics_request_creatable_topic *t)
{
    t->name = bytes_str(args_get(a, "topic", NULL));
    t->num_partitions = (int32_t)args_int(a, "partitions", -1, 1, INT32_MAX);
    t->replication_factor = (int16_t)args_int(a, "replication-factor", -1, 1, INT16_MAX);
    if (args_has(a, "replica-assignment")) {
        if (args_has(a, "partitions") || args_has(a, "replication-factor")) {
            args_fail(a, "Option \"[replica-assignment]\" can't be used with option "
                         "\"[partitions]\" or \"[replication-factor]\"");
        }
        int rv = parse_assignment(c, args_get(a, "replica-assignment", NULL), t);
        if (rv) {
            return rv;
        }
    }
    size_t max = 0;
    for (const char *const *v = args_list(a, "config"); *v; v++) {
        max += strlen(*v);
    }
    t->configs = proto_array(&c->arena, &create_topics_request_creatable_topic_config_desc, max);
    t->configs_n = 0;
    struct create_ctx cc = {.arena = &c->arena, .topic = t};
    for (const char *const *v = args_list(a, "config"); *v; v++) {
        if (each_pair(*v, add_config, &cc)) {
            return errmsg_set(&c->error, ERR_INVALID,
                              "requirement failed: Invalid topic config: all configs to be added "
                              "must be in the format \"key=val\"; '%s' has no value.",
                              cc.bad);
        }
    }
    return 0;
}

static int create(struct client *c, const struct args *a)
{
    args_require(a, "topic");
    const char *name = args_get(a, "topic", NULL);
    if (strchr(name, '.') || strchr(name, '_')) {
        printf(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore "
            "('_') could collide. To avoid issues it is best to use either, but not both.\n");
    }
    struct create_topics_request req;
    proto_msg_init(&create_topics_request_msg, &req);
    req.topics = proto_array(&c->arena, &create_topics_request_creatable_topic_desc, 1);
    req.topics_n = 1;
    req.timeout_ms = (int32_t)c->timeout_ms;
    struct create_topics_response *resp;
    if (fill_topic(c, a, req.topics) ||
        client_call(c, CLIENT_ANY, API_CREATE_TOPICS, &req, (void **)&resp, NULL)) {
        return topics_fail(c->error.text);
    }
    int16_t code = resp->topics_n == 1 ? resp->topics[0].error_code : KE_UNKNOWN_SERVER_ERROR;
    if (code == KE_TOPIC_ALREADY_EXISTS && args_has(a, "if-not-exists")) {
        return 0;
    }
    if (code) {
        char text[600];
        c->refused = code;
        return topics_fail(client_error_text(
            code, resp->topics_n == 1 ? resp->topics[0].error_message : BYTES_NULL, text,
            sizeof text));
    }
    printf("Created topic %s.\n", name);
    return 0;
}

/* ---- list, delete, alter ---- */

static int list(struct client *c, const struct args *a)
{
    size_t n;
    topic_meta **v = topics_select(c, a, args_get(a, "topic", NULL), &n);
    if (v == NULL) {
        return topics_fail(c->error.text);
    }
    if (args_has(a, "json")) {
        json_t *all = listing_new("topics");
        for (size_t i = 0; i < n; i++) {
            json_t *o = listing_item(all);
            json_put_text(o, "topic", v[i]->name);
            json_put_uuid(o, "topicId", v[i]->topic_id);
            json_put_bool(o, "internal", v[i]->is_internal);
            json_put_int(o, "partitionCount", v[i]->partitions_n);
        }
        listing_print(all);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        printf("%.*s\n", BYTES_FMT(v[i]->name));
    }
    if (n == 0) {
        putchar('\n'); /* as Kafka's tool: the empty list on a line */
    }
    return 0;
}

static int delete_topics(struct client *c, const struct args *a)
{
    args_require(a, "topic");
    size_t n;
    topic_meta **v = topics_select(c, a, args_get(a, "topic", NULL), &n);
    if (v == NULL || n == 0) {
        return v ? topics_missing(a, args_get(a, "topic", "")) : topics_fail(c->error.text);
    }
    struct delete_topics_request req;
    proto_msg_init(&delete_topics_request_msg, &req);
    req.topics = proto_array(&c->arena, &delete_topics_request_delete_topic_state_desc, n);
    req.topics_n = (int32_t)n;
    req.topic_names = arena_alloc(&c->arena, n * sizeof *req.topic_names);
    req.topic_names_n = (int32_t)n;
    req.timeout_ms = (int32_t)c->timeout_ms;
    for (size_t i = 0; i < n; i++) {
        req.topics[i].name = v[i]->name;
        req.topic_names[i] = v[i]->name;
    }
    struct delete_topics_response *resp;
    if (client_call(c, CLIENT_ANY, API_DELETE_TOPICS, &req, (void **)&resp, NULL)) {
        return topics_fail(c->error.text);
    }
    for (int32_t i = 0; i < resp->responses_n; i++) {
        char text[600];
        if (resp->responses[i].error_code) {
            c->refused = resp->responses[i].error_code;
            return topics_fail(client_error_text(resp->responses[i].error_code,
                                                 resp->responses[i].error_message, text,
                                                 sizeof text));
        }
    }
    return 0;
}

static int parse_new_assignment(struct client *c, const char *text, int32_t from,
                                struct create_partitions_request_create_partitions_topic *t)
{
    struct create_topics_request_creatable_topic all = {0};
    int rv = parse_assignment(c, text, &all);
    if (rv) {
        return rv;
    }
    int32_t n = all.assignments_n > from ? all.assignments_n - from : 0;
    t->assignments = proto_array(
        &c->arena, &create_partitions_request_create_partitions_assignment_desc, (size_t)n);
    t->assignments_n = n;
    for (int32_t i = 0; i < n; i++) {
        t->assignments[i].broker_ids = all.assignments[from + i].broker_ids;
        t->assignments[i].broker_ids_n = all.assignments[from + i].broker_ids_n;
    }
    return 0;
}

static int alter(struct client *c, const struct args *a)
{
    args_require(a, "topic");
    args_require(a, "partitions");
    size_t n;
    topic_meta **v = topics_select(c, a, args_get(a, "topic", NULL), &n);
    if (v == NULL || n == 0) {
        return v ? topics_missing(a, args_get(a, "topic", "")) : topics_fail(c->error.text);
    }
    struct create_partitions_request req;
    proto_msg_init(&create_partitions_request_msg, &req);
    req.topics = proto_array(&c->arena, &create_partitions_request_create_partitions_topic_desc, n);
    req.topics_n = (int32_t)n;
    req.timeout_ms = (int32_t)c->timeout_ms;
    for (size_t i = 0; i < n; i++) {
        req.topics[i].name = v[i]->name;
        req.topics[i].count = (int32_t)args_int(a, "partitions", 0, 1, INT32_MAX);
        req.topics[i].assignments = NULL;
        req.topics[i].assignments_n = -1;
        if (args_has(a, "replica-assignment") &&
            parse_new_assignment(c, args_get(a, "replica-assignment", ""), v[i]->partitions_n,
                                 &req.topics[i])) {
            return topics_fail(c->error.text);
        }
    }
    struct create_partitions_response *resp;
    if (client_call(c, CLIENT_ANY, API_CREATE_PARTITIONS, &req, (void **)&resp, NULL)) {
        return topics_fail(c->error.text);
    }
    for (int32_t i = 0; i < resp->results_n; i++) {
        char text[600];
        if (resp->results[i].error_code) {
            c->refused = resp->results[i].error_code;
            return topics_fail(client_error_text(
                resp->results[i].error_code, resp->results[i].error_message, text, sizeof text));
        }
    }
    return 0;
}

/* Options that mean nothing to the chosen action are refused, as by Kafka's tool. */
static void check_options(const struct args *a)
{
    static const struct {
        const char *option;
        const char *actions[4];
    } uses[] = {
        {"config", {"create"}},
        {"partitions", {"create", "alter"}},
        {"replication-factor", {"create"}},
        {"replica-assignment", {"create", "alter"}},
        {"if-not-exists", {"create"}},
        {"if-exists", {"alter", "delete", "describe"}},
        {"exclude-internal", {"list", "describe"}},
        {"json", {"list", "describe"}},
        {"topics-with-overrides", {"describe"}},
        {"under-replicated-partitions", {"describe"}},
        {"unavailable-partitions", {"describe"}},
        {"under-min-isr-partitions", {"describe"}},
        {"at-min-isr-partitions", {"describe"}},
        {"topic-id", {"describe"}},
        {"partition-size-limit-per-response", {"describe"}},
    };
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        bool fits = !args_has(a, uses[i].option);
        for (size_t k = 0; k < 4 && uses[i].actions[k]; k++) {
            fits = fits || args_has(a, uses[i].actions[k]);
        }
        if (!fits) {
            args_fail(a, "Option %s does not go with this action", uses[i].option);
        }
    }
}

int tool_topics(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct client *c, const struct args *a);
    } actions[] = {
        {"create", create},        {"list", list}, {"describe", topics_describe}, {"alter", alter},
        {"delete", delete_topics},
    };
    struct args a;
    args_parse(&a, &spec, argc, argv);
    int (*run)(struct client *, const struct args *) = NULL;
    size_t given = 0;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (args_has(&a, actions[i].name)) {
            run = actions[i].run;
            given++;
        }
    }
    if (given != 1) {
        args_fail(&a, "Command must include exactly one action: --list, --describe, --create, "
                      "--alter or --delete");
    }
    if (!args_has(&a, "bootstrap-server")) {
        args_fail(&a, "--bootstrap-server must be specified");
    }
    if (args_has(&a, "delete-config")) {
        args_fail(
            &a,
            "delete-config is no longer supported; use `millrace configs --alter --delete-config`");
    }
    check_options(&a);
    struct client c;
    int rv =
        client_init(&c, args_get(&a, "bootstrap-server", ""), args_get(&a, "command-config", NULL));
    rv = rv ? topics_fail(c.error.text) : run(&c, &a);
    output_flush(); /* so that it stands behind what it explains, through a pipe, too */
    fputs(client_hint(c.refused), stderr);
    client_close(&c);
    args_free(&a);
    return rv;
}
