/* millrace leader-election: have the preferred replicas lead again, or an unclean one where no
 * replica that is in sync is left, with the options and output of kafka-leader-election.sh. What
 * was done and what was refused is on standard output, why the tool failed on standard error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/output.h"
#include "tools/reassign_json.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to. Required."},
    {"election-type", ARG_VALUE, "TYPE",
     "preferred: the first replica leads, if it is in sync. unclean: any replica leads where none "
     "that is in sync is left, and records may be lost. Required."},
    {"topic", ARG_VALUE, "NAME", "Elect for one partition of this topic."},
    {"partition", ARG_VALUE, "N", "With --topic: which partition."},
    {"path-to-json-file", ARG_VALUE, "FILE",
     "Elect for the partitions in this file; - reads standard input."},
    {"all-topic-partitions", ARG_FLAG, NULL, "Elect wherever it changes something."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"admin.config", ARG_VALUE, "FILE", "The old name of --command-config."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "leader-election",
    .about = "elect preferred or unclean leaders of partitions",
    .examples =
        "  millrace leader-election --bootstrap-server localhost:9092 --election-type preferred "
        "--all-topic-partitions\n"
        "  millrace leader-election --bootstrap-server localhost:9092 --election-type preferred "
        "--topic orders --partition 0\n"
        "  echo '{\"partitions\":[{\"topic\":\"orders\",\"partition\":1}]}' > elect.json\n"
        "  millrace leader-election --bootstrap-server localhost:9092 --election-type unclean "
        "--path-to-json-file elect.json\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
};

/* One partition and what came of its election. */
struct outcome {
    struct bytes topic;
    int32_t partition;
    int16_t error;
    struct bytes message;
};

/* ---- the command line ---- */

static int8_t read_type(const struct args *a)
{
    const char *type = args_get(a, "election-type", "");
    if (strcasecmp(type, "preferred") == 0) {
        return ELECT_PREFERRED;
    }
    if (strcasecmp(type, "unclean") != 0) {
        args_fail(a,
                  "Cannot parse argument '%s' of option election-type: it is preferred or "
                  "unclean",
                  type);
    }
    return ELECT_UNCLEAN;
}

static void check_options(const struct args *a)
{
    bool server = args_has(a, "bootstrap-server"), type = args_has(a, "election-type");
    if (!server || !type) {
        args_fail(a, "Missing required option(s): %s%s%s", server ? "" : "bootstrap-server",
                  server || type ? "" : ", ", type ? "" : "election-type");
    }
    if (args_has(a, "command-config") && args_has(a, "admin.config")) {
        args_fail(a, "Option \"[admin.config]\" can't be used with option \"[command-config]\"");
    }
    if (args_has(a, "topic") + args_has(a, "all-topic-partitions") +
            args_has(a, "path-to-json-file") !=
        1) {
        args_fail(a, "One and only one of the following options is required: topic, "
                     "all-topic-partitions, path-to-json-file");
    }
    if (args_has(a, "topic") && !args_has(a, "partition")) {
        args_fail(a, "Missing required option(s): partition");
    }
    if (!args_has(a, "topic") && args_has(a, "partition")) {
        args_fail(a, "Option partition is only allowed if topic is used");
    }
}

/* The partitions that are named; n 0 and v NULL: all. */
static int read_partitions(struct client *c, const struct args *a, struct replica_sets *out)
{
    *out = (struct replica_sets){0};
    if (args_has(a, "topic")) {
        out->v = ARENA_NEW(&c->arena, struct replica_set);
        out->n = 1;
        out->v->topic = bytes_str(args_get(a, "topic", NULL));
        out->v->partition = (int32_t)args_int(a, "partition", 0, INT32_MIN, INT32_MAX);
        return 0;
    }
    if (args_has(a, "all-topic-partitions")) {
        return 0;
    }
    int rv = reassign_json_read(&c->arena, args_get(a, "path-to-json-file", ""), REASSIGN_NAMES,
                                out, &c->error);
    replica_sets_sort(out);
    for (size_t i = 1; i < out->n && rv == 0; i++) {
        if (replica_set_cmp(&out->v[i - 1], &out->v[i]) == 0) {
            rv = errmsg_set(&c->error, ERR_INVALID,
                            "Replica election data contains duplicate partitions: [%.*s-%d]",
                            BYTES_FMT(out->v[i].topic), out->v[i].partition);
        }
    }
    return rv;
}

/* ---- asking ---- */

static int by_partition(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;
    int c = bytes_cmp(x->topic, y->topic);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

static int elect(struct client *c, int8_t type, const struct replica_sets *s, struct outcome **out,
                 size_t *n)
{
    struct elect_leaders_response *resp;
    *n = 0;
    int rv = reassign_elect(c, type, s->v ? s : NULL, &resp);
    if (rv) {
        return rv;
    }
    size_t max = 0;
    for (int32_t i = 0; i < resp->replica_election_results_n; i++) {
        max += (size_t)resp->replica_election_results[i].partition_result_n;
    }
    *out = ARENA_ARRAY(&c->arena, struct outcome, max + 1);
    for (int32_t i = 0; i < resp->replica_election_results_n; i++) {
        const struct elect_leaders_response_replica_election_result *t =
            &resp->replica_election_results[i];
        for (int32_t k = 0; k < t->partition_result_n; k++) {
            (*out)[(*n)++] = (struct outcome){t->topic, t->partition_result[k].partition_id,
                                              t->partition_result[k].error_code,
                                              t->partition_result[k].error_message};
        }
    }
    qsort(*out, *n, sizeof **out, by_partition);
    return 0;
}

/* ---- what came of it ---- */

static void print_names(const char *heading, const struct outcome *v, size_t n, int16_t error)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (v[i].error == error) {
            printf("%s%.*s-%d", any ? ", " : heading, BYTES_FMT(v[i].topic), v[i].partition);
            any = true;
        }
    }
    printf(any ? "\n" : "");
}

static const char *type_name(int8_t type)
{
    return type == ELECT_PREFERRED ? "PREFERRED" : "UNCLEAN";
}

static bool has_failed(const struct outcome *o)
{
    return o->error != KE_NONE && o->error != KE_ELECTION_NOT_NEEDED;
}

static void print_json(int8_t type, const struct outcome *v, size_t n)
{
    json_t *all = listing_new("elections");
    for (size_t i = 0; i < n; i++) {
        json_t *o = listing_item(all);
        bool failed = has_failed(&v[i]);
        char text[600];
        json_put_text(o, "topic", v[i].topic);
        json_put_int(o, "partition", v[i].partition);
        json_put_bool(o, "elected", v[i].error == KE_NONE);
        json_put_text(o, "error", bytes_str(failed ? kafka_error_name(v[i].error) : NULL));
        json_put_text(
            o, "message",
            failed ? bytes_str(client_error_text(v[i].error, v[i].message, text, sizeof text))
                   : BYTES_NULL);
    }
    json_put_text(all, "electionType", bytes_str(type_name(type)));
    listing_print(all);
}

static void print_outcome(int8_t type, const struct outcome *v, size_t n)
{
    const char *name = type_name(type);
    char heading[100], text[600];
    snprintf(heading, sizeof heading, "Successfully completed leader election (%s) for partitions ",
             name);
    print_names(heading, v, n, KE_NONE);
    print_names("Valid replica already elected for partitions ", v, n, KE_ELECTION_NOT_NEEDED);
    for (size_t i = 0; i < n; i++) {
        if (has_failed(&v[i])) {
            const char *class = kafka_error_class(v[i].error);
            printf("Error completing leader election (%s) for partition: %.*s-%d: "
                   "org.apache.kafka.common.errors.%s: %s\n",
                   name, BYTES_FMT(v[i].topic), v[i].partition,
                   class ? class : "UnknownServerException",
                   client_error_text(v[i].error, v[i].message, text, sizeof text));
        }
    }
}

static int judge(struct client *c, const struct outcome *v, size_t n)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        failed += has_failed(&v[i]);
    }
    return failed ? errmsg_set(&c->error, ERR_UNSUPPORTED, "%zu replica(s) could not be elected",
                               failed)
                  : 0;
}

static int run(struct client *c, const struct args *a)
{
    struct replica_sets s;
    struct outcome *v = NULL;
    size_t n;
    int8_t type = read_type(a);
    int rv = read_partitions(c, a, &s);
    if (rv) {
        return rv;
    }
    if (args_has(a, "admin.config")) {
        fprintf(args_has(a, "json") ? stderr : stdout,
                "Option --admin.config has been deprecated and will be removed in a future "
                "version. Use --command-config instead.\n");
        rv = client_read_config(c, args_get(a, "admin.config", ""));
    }
    rv = rv ? rv : elect(c, type, &s, &v, &n);
    if (rv) {
        return rv;
    }
    if (args_has(a, "json")) {
        print_json(type, v, n);
    } else {
        print_outcome(type, v, n);
    }
    return judge(c, v, n);
}

int tool_leader_election(int argc, char **argv)
{
    struct args a;
    struct client c;
    args_parse(&a, &spec, argc, argv);
    check_options(&a);
    int rv =
        client_init(&c, args_get(&a, "bootstrap-server", ""), args_get(&a, "command-config", NULL));
    rv = rv ? rv : run(&c, &a);
    if (rv) {
        output_flush();
        fprintf(stderr, "%s\n", c.error.text);
    }
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
