/* millrace log-dirs: what each broker keeps in each of its log directories, as kafka-log-dirs.sh
 * prints it: two lines for people, then one of JSON (Kafka's shape and names; brokers, directories
 * and partitions in order, which there is that of a hash table). --json prints our own line
 * instead, which also has the size of the disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"describe", ARG_FLAG, NULL, "Describe the log directories. Required."},
    {"broker-list", ARG_VALUE, "ID,ID", "Only these brokers; all if left out."},
    {"topic-list", ARG_VALUE, "NAME,NAME", "Only partitions of these topics; all if left out."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "log-dirs",
    .about = "show what brokers keep in their log directories",
    .examples =
        "  millrace log-dirs --bootstrap-server localhost:9092 --describe\n"
        "  millrace log-dirs --bootstrap-server localhost:9092 --describe --broker-list 1,2 "
        "--topic-list orders\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
};

#define dirs_response struct describe_log_dirs_response
#define dir_result    struct describe_log_dirs_response_describe_log_dirs_result
#define topic_result  struct describe_log_dirs_response_describe_log_dirs_topic
#define part_result   struct describe_log_dirs_response_describe_log_dirs_partition

struct broker_dirs {
    int32_t id;
    dirs_response *dirs;
};

/* ---- which brokers ---- */

static bool is_there(const struct client *c, int32_t id)
{
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        if (c->cluster->brokers[i].broker_id == id) {
            return true;
        }
    }
    return false;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = ((const struct broker_dirs *)a)->id, y = ((const struct broker_dirs *)b)->id;
    return (x > y) - (x < y);
}

/* Ids with commas between, in c's arena. */
static const char *ids_text(struct client *c, const struct broker_dirs *v, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++) {
        text = arena_printf(&c->arena, "%s%s%d", text, i ? "," : "", v[i].id);
    }
    return text;
}

static size_t all_brokers(struct client *c, struct broker_dirs **out)
{
    size_t n = (size_t)c->cluster->brokers_n;
    struct broker_dirs *v = arena_alloc(&c->arena, (n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct broker_dirs){.id = c->cluster->brokers[i].broker_id};
    }
    qsort(v, n, sizeof *v, by_id);
    *out = v;
    return n;
}

static int parse_brokers(struct client *c, const char *list, struct broker_dirs **out, size_t *n)
{
    struct broker_dirs *v = arena_alloc(&c->arena, (strlen(list) + 1) * sizeof *v), *all;
    struct broker_dirs *strangers = arena_alloc(&c->arena, (strlen(list) + 1) * sizeof *v);
    size_t strangers_n = 0;
    char *copy = arena_strndup(&c->arena, list, strlen(list)), *save = NULL;
    *n = 0;
    for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        char *end;
        long id = strtol(s, &end, 10);
        if (*end || end == s || id < 0 || id > INT32_MAX) {
            return errmsg_set(&c->error, ERR_INVALID,
                              "--broker-list has '%s' where the id of a broker is wanted", s);
        }
        bool again = false;
        for (size_t i = 0; i < *n; i++) {
            again |= v[i].id == (int32_t)id;
        }
        if (!again) {
            v[(*n)++].id = (int32_t)id;
        }
    }
    qsort(v, *n, sizeof *v, by_id);
    for (size_t i = 0; i < *n; i++) {
        if (!is_there(c, v[i].id)) {
            strangers[strangers_n++] = v[i];
        }
    }
    size_t all_n = all_brokers(c, &all);
    *out = v;
    return strangers_n
               ? errmsg_set(&c->error, ERR_NOTFOUND,
                            "ERROR: The given brokers do not exist from --broker-list: %s. Current "
                            "existent brokers: %s",
                            ids_text(c, strangers, strangers_n), ids_text(c, all, all_n))
               : 0;
}

/* ---- what they say ---- */

static int by_path(const void *a, const void *b)
{
    return bytes_cmp(((const dir_result *)a)->log_dir, ((const dir_result *)b)->log_dir);
}

static int by_topic(const void *a, const void *b)
{
    return bytes_cmp(((const topic_result *)a)->name, ((const topic_result *)b)->name);
}

static int by_index(const void *a, const void *b)
{
    int32_t x = ((const part_result *)a)->partition_index;
    int32_t y = ((const part_result *)b)->partition_index;
    return (x > y) - (x < y);
}

/* Lists without an element may be null. */
static void sort_list(void *v, int32_t n, size_t size, int (*cmp)(const void *, const void *))
{
    if (n) {
        qsort(v, (size_t)n, size, cmp);
    }
}

static void sort(dirs_response *r)
{
    sort_list(r->results, r->results_n, sizeof *r->results, by_path);
    for (int32_t i = 0; i < r->results_n; i++) {
        dir_result *d = &r->results[i];
        sort_list(d->topics, d->topics_n, sizeof *d->topics, by_topic);
        for (int32_t k = 0; k < d->topics_n; k++) {
            sort_list(d->topics[k].partitions, d->topics[k].partitions_n,
                      sizeof *d->topics[k].partitions, by_index);
        }
    }
}

static int ask(struct client *c, struct broker_dirs *v, size_t n)
{
    struct describe_log_dirs_request req;
    proto_msg_init(&describe_log_dirs_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1; /* all */
    int rv = 0;
    for (size_t i = 0; i < n && rv == 0; i++) {
        rv = client_call(c, v[i].id, API_DESCRIBE_LOG_DIRS, &req, (void **)&v[i].dirs, NULL);
        if (rv == 0 && v[i].dirs->error_code) {
            char text[300];
            rv =
                errmsg_set(&c->error, ERR_UNSUPPORTED, "broker %d: %s", v[i].id,
                           client_error_text(v[i].dirs->error_code, BYTES_NULL, text, sizeof text));
        }
        if (rv == 0) {
            sort(v[i].dirs);
        }
    }
    return rv;
}

/* ---- and how it is shown ---- */

static void put_partitions(json_t *list, const dir_result *d, const char *topics, bool ours)
{
    for (int32_t i = 0; i < d->topics_n; i++) {
        const topic_result *t = &d->topics[i];
        if (*topics && !list_has(topics, t->name)) {
            continue;
        }
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const part_result *p = &t->partitions[k];
            json_t *o = json_add_object(list);
            if (ours) {
                json_put_text(o, "topic", t->name);
                json_put_int(o, "partition", p->partition_index);
            } else {
                json_object_set_new(
                    o, "partition",
                    json_sprintf("%.*s-%d", BYTES_FMT(t->name), p->partition_index));
            }
            json_put_int(o, "size", p->partition_size);
            json_put_int(o, "offsetLag", p->offset_lag);
            json_put_bool(o, "isFuture", p->is_future_key);
        }
    }
}

/* Kafka shows the name of the class of its exception. */
static void put_error(json_t *o, int16_t code, bool ours)
{
    static const char kafkas[] = "org.apache.kafka.common.errors.KafkaStorageException";
    const char *name = code == 0                                 ? NULL
                       : !ours && code == KE_KAFKA_STORAGE_ERROR ? kafkas
                                                                 : kafka_error_name(code);
    json_put_text(o, "error", bytes_str(name));
}

static void print_ours(const struct broker_dirs *v, size_t n, const char *topics)
{
    json_t *all = listing_new("log-dirs");
    for (size_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < v[i].dirs->results_n; k++) {
            const dir_result *d = &v[i].dirs->results[k];
            json_t *o = listing_item(all);
            json_put_int(o, "broker", v[i].id);
            json_put_text(o, "logDir", d->log_dir);
            put_error(o, d->error_code, true);
            json_put_known(o, "totalBytes", d->total_bytes);
            json_put_known(o, "usableBytes", d->usable_bytes);
            json_put_bool(o, "cordoned", d->is_cordoned);
            put_partitions(json_put_array(o, "partitions"), d, topics, true);
        }
    }
    listing_print(all);
}

static void print_kafkas(struct client *c, const struct broker_dirs *v, size_t n,
                         const char *topics)
{
    json_t *all = json_pack("{s:i}", "version", 1);
    json_t *brokers = json_put_array(all, "brokers");
    for (size_t i = 0; i < n; i++) {
        json_t *b = json_add_object(brokers);
        json_put_int(b, "broker", v[i].id);
        json_t *dirs = json_put_array(b, "logDirs");
        for (int32_t k = 0; k < v[i].dirs->results_n; k++) {
            const dir_result *d = &v[i].dirs->results[k];
            json_t *o = json_add_object(dirs);
            put_partitions(json_put_array(o, "partitions"), d, topics, false);
            put_error(o, d->error_code, false);
            json_put_text(o, "logDir", d->log_dir);
        }
    }
    printf("Received log directory information from brokers %s\n", ids_text(c, v, n));
    json_dumpf(all, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(all);
}

static int run(struct client *c, const struct args *a)
{
    const char *list = args_get(a, "broker-list", ""), *topics = args_get(a, "topic-list", "");
    struct broker_dirs *v;
    size_t n = 0;
    int rv = client_cluster(c);
    rv = rv ? rv : parse_brokers(c, list, &v, &n);
    if (rv) {
        return rv;
    }
    n = n ? n : all_brokers(c, &v);
    if (!args_has(a, "json")) {
        printf("Querying brokers for log directories information\n");
    }
    rv = ask(c, v, n);
    if (rv) {
        return rv;
    }
    if (args_has(a, "json")) {
        print_ours(v, n, topics);
    } else {
        print_kafkas(c, v, n, topics);
    }
    return 0;
}

int tool_log_dirs(int argc, char **argv)
{
    struct args a;
    struct client c;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    args_require(&a, "describe");
    int rv =
        client_init(&c, args_get(&a, "bootstrap-server", ""), args_get(&a, "command-config", NULL));
    rv = rv ? rv : run(&c, &a);
    if (rv) {
        fprintf(stderr, "%s\n", c.error.text);
    }
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
