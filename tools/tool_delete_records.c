/* millrace delete-records: move the start of partitions forward, as kafka-delete-records.sh does,
 * from the same JSON file. The file is checked whole before anything is sent. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/listing.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The server to connect to. Required."},
    {"offset-json-file", ARG_VALUE, "FILE", "The new start offsets, as in the example. Required."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    ARG_JSON,
};

static const struct args_spec spec = {
    .tool = "delete-records",
    .about = "delete the records of partitions below given offsets (-1: all there are)",
    .examples =
        "  echo "
        "'{\"partitions\":[{\"topic\":\"orders\",\"partition\":0,\"offset\":100}],\"version\":1}' "
        "> cut.json\n"
        "  millrace delete-records --bootstrap-server localhost:9092 --offset-json-file cut.json\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

struct cut {
    const char *topic;
    int32_t partition;
    int64_t offset;
};

static int read_cut(json_t *e, size_t i, struct cut *out, struct errmsg *em)
{
    json_t *t = json_object_get(e, "topic"), *p = json_object_get(e, "partition"),
           *o = json_object_get(e, "offset");
    if (!json_is_string(t) || !json_is_integer(p) || !json_is_integer(o)) {
        return errmsg_set(
            em, ERR_INVALID,
            "partitions[%zu] needs a topic (text), a partition and an offset (numbers)", i);
    }
    if (json_integer_value(p) < 0 || json_integer_value(p) > INT32_MAX ||
        json_integer_value(o) < -1) {
        return errmsg_set(
            em, ERR_INVALID,
            "partitions[%zu]: partition %lld, offset %lld: they are 0 or more (offset -1: the end)",
            i, (long long)json_integer_value(p), (long long)json_integer_value(o));
    }
    *out =
        (struct cut){json_string_value(t), (int32_t)json_integer_value(p), json_integer_value(o)};
    return 0;
}

static int read_file(struct client *c, const char *path, json_t **root, struct cut **cuts,
                     size_t *n)
{
    struct buf text = {0};
    int rv = tool_read_file(path, &text, &c->error);
    if (rv == 0) {
        json_error_t je;
        *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &je);
        if (*root == NULL) {
            char why[300];
            rv = errmsg_set(&c->error, ERR_INVALID, "The input string is not a valid JSON: %s",
                            json_complaint(&je, buf_bytes(&text), why, sizeof why));
        }
    }
    buf_free(&text);
    json_t *version = rv ? NULL : json_object_get(*root, "version"),
           *list = rv ? NULL : json_object_get(*root, "partitions");
    if (rv == 0 && version && json_integer_value(version) != 1) {
        rv = errmsg_set(&c->error, ERR_INVALID, "Not supported version field value %lld",
                        (long long)json_integer_value(version));
    }
    if (rv == 0 && !json_is_array(list)) {
        rv = errmsg_set(&c->error, ERR_INVALID, "Missing partitions field");
    }
    *n = rv ? 0 : json_array_size(list);
    *cuts = arena_alloc(&c->arena, (*n + 1) * sizeof **cuts);
    for (size_t i = 0; rv == 0 && i < *n; i++) {
        rv = read_cut(json_array_get(list, i), i, &(*cuts)[i], &c->error);
        for (size_t k = 0; rv == 0 && k < i; k++) {
            if ((*cuts)[k].partition == (*cuts)[i].partition &&
                strcmp((*cuts)[k].topic, (*cuts)[i].topic) == 0) {
                rv = errmsg_set(&c->error, ERR_INVALID,
                                "Offset json file contains duplicate topic partitions: %s-%d",
                                (*cuts)[i].topic, (*cuts)[i].partition);
            }
        }
    }
    return rv;
}

static int32_t leader_of(const struct client *c, const struct cut *cut)
{
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        const struct metadata_response_metadata_response_topic *t = &c->metadata->topics[i];
        for (int32_t k = 0; bytes_eq_str(t->name, cut->topic) && k < t->partitions_n; k++) {
            if (t->partitions[k].partition_index == cut->partition) {
                return t->partitions[k].leader_id;
            }
        }
    }
    return -1;
}

/* What came of it: a refusal, or where the partition begins now. */
struct outcome {
    const char *refused;
    int64_t low_watermark;
};

/* One partition a request: the order of the answers is the file's, and one refusal does not hide
 * another. */
static struct outcome delete_one(struct client *c, const struct cut *cut)
{
    int32_t leader = leader_of(c, cut);
    if (leader < 0) {
        return (struct outcome){.refused = "no such partition, or it has no leader"};
    }
    struct delete_records_request req;
    proto_msg_init(&delete_records_request_msg, &req);
    req.timeout_ms = (int32_t)c->timeout_ms;
    req.topics = proto_array(&c->arena, &delete_records_request_delete_records_topic_desc, 1);
    req.topics_n = 1;
    req.topics[0].name = bytes_str(cut->topic);
    req.topics[0].partitions =
        proto_array(&c->arena, &delete_records_request_delete_records_partition_desc, 1);
    req.topics[0].partitions_n = 1;
    req.topics[0].partitions[0].partition_index = cut->partition;
    req.topics[0].partitions[0].offset = cut->offset;
    struct delete_records_response *resp;
    if (client_call(c, leader, API_DELETE_RECORDS, &req, (void **)&resp, NULL)) {
        return (struct outcome){.refused = arena_printf(&c->arena, "%s", c->error.text)};
    }
    bool whole = resp->topics_n == 1 && resp->topics[0].partitions_n == 1;
    int16_t code = whole ? resp->topics[0].partitions[0].error_code : KE_UNKNOWN_SERVER_ERROR;
    if (code) {
        char text[200];
        return (struct outcome){
            .refused = arena_printf(&c->arena, "%s",
                                    client_error_text(code, BYTES_NULL, text, sizeof text))};
    }
    return (struct outcome){.low_watermark = resp->topics[0].partitions[0].low_watermark};
}

static void print_line(const struct cut *cut, const struct outcome *o)
{
    if (o->refused) {
        printf("partition: %s-%d\terror: %s\n", cut->topic, cut->partition, o->refused);
    } else {
        printf("partition: %s-%d\tlow_watermark: %lld\n", cut->topic, cut->partition,
               (long long)o->low_watermark);
    }
}

static void put_item(json_t *listing, const struct cut *cut, const struct outcome *o)
{
    json_t *item = listing_item(listing);
    json_put_text(item, "topic", bytes_str(cut->topic));
    json_put_int(item, "partition", cut->partition);
    json_put_known(item, "lowWatermark", o->refused ? -1 : o->low_watermark);
    json_put_text(item, "error", bytes_str(o->refused));
}

/* As Kafka's tool: a refused partition is said, and the exit status stays 0. */
static void delete_all(struct client *c, const struct cut *cuts, size_t n, bool json)
{
    json_t *listing = json ? listing_new("delete-records") : NULL;
    if (!json) {
        printf("Executing records delete operation\nRecords delete operation completed:\n");
    }
    for (size_t i = 0; i < n; i++) {
        const struct outcome o = delete_one(c, &cuts[i]);
        if (json) {
            put_item(listing, &cuts[i], &o);
        } else {
            print_line(&cuts[i], &o);
        }
    }
    if (json) {
        listing_print(listing);
    }
}

int tool_delete_records(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    args_require(&a, "offset-json-file");
    struct client c;
    json_t *root = NULL;
    struct cut *cuts;
    size_t n = 0;
    int rv =
        client_init(&c, args_get(&a, "bootstrap-server", ""), args_get(&a, "command-config", NULL));
    rv = rv ? rv : read_file(&c, args_get(&a, "offset-json-file", ""), &root, &cuts, &n);
    rv = rv ? rv : client_metadata(&c);
    if (rv) {
        fprintf(stderr, "%s\n", c.error.text);
    } else {
        delete_all(&c, cuts, n, args_has(&a, "json"));
    }
    json_decref(root);
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
