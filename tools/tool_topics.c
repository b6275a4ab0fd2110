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
#include "tools/text.h"
#include "tools/tool.h"

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

#define topic_meta struct metadata_response_metadata_response_topic

static int fail(const char *text)
{
    printf("Error while executing topic command : %s\n", text);
    return 1;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp((*(const topic_meta *const *)a)->name, (*(const topic_meta *const *)b)->name);
}

/* The topics that --topic selects, sorted, in c's arena; *n of them. */
static topic_meta **select_topics(struct client *c, const struct args *a, const char *pattern,
                                  size_t *n)
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

static int missing_topic(const struct args *a, const char *topic)
{
    char text[400];
    if (args_has(a, "if-exists")) {
        return 0;
    }
    snprintf(text, sizeof text, "Topic '%s' does not exist as expected", topic);
    return fail(text);
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
        return parse_assignment(c, args_get(a, "replica-assignment", NULL), t);
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
        return fail(c->error.text);
    }
    int16_t code = resp->topics_n == 1 ? resp->topics[0].error_code : KE_UNKNOWN_SERVER_ERROR;
    if (code == KE_TOPIC_ALREADY_EXISTS && args_has(a, "if-not-exists")) {
        return 0;
    }
    if (code) {
        char text[600];
        return fail(client_error_text(
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
    topic_meta **v = select_topics(c, a, args_get(a, "topic", NULL), &n);
    if (v == NULL) {
        return fail(c->error.text);
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
    topic_meta **v = select_topics(c, a, args_get(a, "topic", NULL), &n);
    if (v == NULL || n == 0) {
        return v ? missing_topic(a, args_get(a, "topic", "")) : fail(c->error.text);
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
        return fail(c->error.text);
    }
    for (int32_t i = 0; i < resp->responses_n; i++) {
        char text[600];
        if (resp->responses[i].error_code) {
            return fail(client_error_text(resp->responses[i].error_code,
                                          resp->responses[i].error_message, text, sizeof text));
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
    topic_meta **v = select_topics(c, a, args_get(a, "topic", NULL), &n);
    if (v == NULL || n == 0) {
        return v ? missing_topic(a, args_get(a, "topic", "")) : fail(c->error.text);
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
            return fail(c->error.text);
        }
    }
    struct create_partitions_response *resp;
    if (client_call(c, CLIENT_ANY, API_CREATE_PARTITIONS, &req, (void **)&resp, NULL)) {
        return fail(c->error.text);
    }
    for (int32_t i = 0; i < resp->results_n; i++) {
        char text[600];
        if (resp->results[i].error_code) {
            return fail(client_error_text(resp->results[i].error_code,
                                          resp->results[i].error_message, text, sizeof text));
        }
    }
    return 0;
}

/* ---- describe ---- */

#define topic_desc \
    struct describe_topic_partitions_response_describe_topic_partitions_response_topic
#define part_desc \
    struct describe_topic_partitions_response_describe_topic_partitions_response_partition
#define configs_result struct describe_configs_response_describe_configs_result

enum { CONFIG_SOURCE_DEFAULT = 5, RESOURCE_TOPIC = 2 };

static const configs_result *topic_configs(struct client *c, struct bytes topic)
{
    struct describe_configs_request req;
    proto_msg_init(&describe_configs_request_msg, &req);
    req.resources =
        proto_array(&c->arena, &describe_configs_request_describe_configs_resource_desc, 1);
    req.resources_n = 1;
    req.resources[0].resource_type = RESOURCE_TOPIC;
    req.resources[0].resource_name = topic;
    req.resources[0].configuration_keys_n = -1;
    struct describe_configs_response *resp;
    if (client_call(c, CLIENT_ANY, API_DESCRIBE_CONFIGS, &req, (void **)&resp, NULL)) {
        return NULL;
    }
    return resp->results_n == 1 ? &resp->results[0] : NULL;
}

static int32_t min_isr(const configs_result *r)
{
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        if (bytes_eq_str(r->configs[i].name, "min.insync.replicas")) {
            char v[16];
            snprintf(v, sizeof v, "%.*s", BYTES_FMT(r->configs[i].value));
            return atoi(v);
        }
    }
    return 1;
}

static void print_topic_line(const topic_desc *t, const configs_result *r)
{
    char id[UUID_TEXT];
    printf("Topic: %.*s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: ",
           BYTES_FMT(t->name), uuid_text(t->topic_id, id), t->partitions_n,
           t->partitions_n ? t->partitions[0].replica_nodes_n : 0);
    bool first = true;
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        if (r->configs[i].config_source != CONFIG_SOURCE_DEFAULT) {
            printf("%s%.*s=%.*s", first ? "" : ",", BYTES_FMT(r->configs[i].name),
                   BYTES_FMT(r->configs[i].value));
            first = false;
        }
    }
    printf("\n");
}

static void print_partition_line(const topic_desc *t, const part_desc *p)
{
    printf("\tTopic: %.*s\tPartition: %d\tLeader: ", BYTES_FMT(t->name), p->partition_index);
    if (p->leader_id >= 0) {
        printf("%d", p->leader_id);
    } else {
        printf("none");
    }
    printf("\tReplicas: ");
    print_ids(p->replica_nodes, p->replica_nodes_n);
    printf("\tIsr: ");
    print_ids(p->isr_nodes, p->isr_nodes_n);
    printf("\tElr: ");
    if (p->eligible_leader_replicas_n < 0) {
        printf("N/A\tLastKnownElr: N/A\n");
        return;
    }
    print_ids(p->eligible_leader_replicas, p->eligible_leader_replicas_n);
    printf("\tLastKnownElr: ");
    print_ids(p->last_known_elr, p->last_known_elr_n);
    printf("\n");
}

static bool partition_filters(const struct args *a)
{
    return args_has(a, "under-replicated-partitions") || args_has(a, "unavailable-partitions") ||
           args_has(a, "under-min-isr-partitions") || args_has(a, "at-min-isr-partitions");
}

static bool partition_wanted(const struct client *c, const struct args *a, const part_desc *p,
                             int32_t min)
{
    bool leader_alive = false;
    for (int32_t i = 0; i < c->metadata->brokers_n; i++) {
        leader_alive |= c->metadata->brokers[i].node_id == p->leader_id;
    }
    return !partition_filters(a) ||
           (args_has(a, "under-replicated-partitions") && p->isr_nodes_n < p->replica_nodes_n) ||
           (args_has(a, "unavailable-partitions") && !leader_alive) ||
           (args_has(a, "under-min-isr-partitions") && p->isr_nodes_n < min) ||
           (args_has(a, "at-min-isr-partitions") && p->isr_nodes_n == min);
}

static void print_topic(struct client *c, const struct args *a, const topic_desc *t)
{
    const configs_result *r = topic_configs(c, t->name);
    bool overridden = false;
    for (int32_t i = 0; r && i < r->configs_n; i++) {
        overridden |= r->configs[i].config_source != CONFIG_SOURCE_DEFAULT;
    }
    if (args_has(a, "topics-with-overrides")) {
        if (overridden) {
            print_topic_line(t, r);
        }
        return;
    }
    if (!partition_filters(a)) {
        print_topic_line(t, r);
    }
    for (int32_t i = 0; i < t->partitions_n; i++) {
        if (partition_wanted(c, a, &t->partitions[i], min_isr(r))) {
            print_partition_line(t, &t->partitions[i]);
        }
    }
}

/* Appends the partitions of next to those of t: a topic may come in several answers. */
static void join_partitions(struct client *c, topic_desc *t, const topic_desc *next)
{
    part_desc *v =
        arena_alloc(&c->arena, (size_t)(t->partitions_n + next->partitions_n) * sizeof *v);
    memcpy(v, t->partitions, (size_t)t->partitions_n * sizeof *v);
    memcpy(v + t->partitions_n, next->partitions, (size_t)next->partitions_n * sizeof *v);
    t->partitions = v;
    t->partitions_n += next->partitions_n;
}

static int describe_one(struct client *c, const struct args *a, struct bytes name)
{
    struct describe_topic_partitions_request req;
    proto_msg_init(&describe_topic_partitions_request_msg, &req);
    req.topics = proto_array(&c->arena, &describe_topic_partitions_request_topic_request_desc, 1);
    req.topics_n = 1;
    req.topics[0].name = name;
    req.response_partition_limit =
        (int32_t)args_int(a, "partition-size-limit-per-response", 2000, 1, INT32_MAX);
    topic_desc *t = NULL;
    struct describe_topic_partitions_response *resp;
    do {
        if (client_call(c, CLIENT_ANY, API_DESCRIBE_TOPIC_PARTITIONS, &req, (void **)&resp, NULL)) {
            return fail(c->error.text);
        }
        if (resp->topics_n != 1 || resp->topics[0].error_code) {
            char text[300];
            return fail(client_error_text(resp->topics_n == 1 ? resp->topics[0].error_code
                                                              : KE_UNKNOWN_SERVER_ERROR,
                                          BYTES_NULL, text, sizeof text));
        }
        if (t) {
            join_partitions(c, t, &resp->topics[0]);
        } else {
            t = &resp->topics[0];
        }
        if (resp->next_cursor) {
            req.cursor = ARENA_NEW(&c->arena, struct describe_topic_partitions_request_cursor);
            req.cursor->topic_name = resp->next_cursor->topic_name;
            req.cursor->partition_index = resp->next_cursor->partition_index;
        }
    } while (resp->next_cursor);
    print_topic(c, a, t);
    return 0;
}

static int describe(struct client *c, const struct args *a)
{
    const char *topic = args_get(a, "topic", NULL), *id_text = args_get(a, "topic-id", NULL);
    struct uuid id = UUID_ZERO;
    if (id_text && uuid_parse(id_text, strlen(id_text), &id)) {
        args_fail(a, "Option topic-id is '%s'; it takes the 22 characters of a topic id", id_text);
    }
    size_t n, shown = 0;
    topic_meta **v = select_topics(c, a, id_text ? NULL : topic, &n);
    if (v == NULL) {
        return fail(c->error.text);
    }
    for (size_t i = 0; i < n; i++) {
        if (id_text && !uuid_eq(v[i]->topic_id, id)) {
            continue;
        }
        shown++;
        if (describe_one(c, a, v[i]->name)) {
            return 1;
        }
    }
    if (shown == 0 && id_text && !args_has(a, "if-exists")) {
        char text[200];
        snprintf(text, sizeof text, "TopicId '%s' does not exist as expected", id_text);
        return fail(text);
    }
    return shown == 0 && topic ? missing_topic(a, topic) : 0;
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
        {"create", create},        {"list", list}, {"describe", describe}, {"alter", alter},
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
    rv = rv ? fail(c.error.text) : run(&c, &a);
    client_close(&c);
    args_free(&a);
    return rv;
}
