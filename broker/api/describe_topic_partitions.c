/* DescribeTopicPartitions (75), version 0 (KIP-966): topics with their partitions, eligible leader
 * replicas included, page by page. Topics go by name; an answer holds so many partitions as client
 * and max.request.partition.size.limit allow, and its cursor says where the next one starts. No
 * topics in the request means all of them. */
#include <stdlib.h>

#include "broker/api/handlers.h"
#include "broker/api/metadata_view.h"
#include "broker/config.h"
#include "proto/topic_name.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* The generated names are long. */
#define TOPIC struct describe_topic_partitions_response_describe_topic_partitions_response_topic
#define PARTITION \
    struct describe_topic_partitions_response_describe_topic_partitions_response_partition
#define TOPIC_DESC describe_topic_partitions_response_describe_topic_partitions_response_topic_desc
#define PARTITION_DESC \
    describe_topic_partitions_response_describe_topic_partitions_response_partition_desc

struct answer {
    struct request *r;
    const struct describe_topic_partitions_request *req;
    struct describe_topic_partitions_response *resp;
    struct bytes *names; /* sorted, each once */
    size_t names_n;
    bool all;
    int64_t left; /* partitions that still fit */
};

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Names at or behind the cursor. */
static void collect_names(struct answer *a)
{
    const struct image *img = a->r->image;
    struct bytes from = a->req->cursor ? a->req->cursor->topic_name : bytes_str("");
    size_t max = (size_t)(a->all ? img->topics_n : a->req->topics_n);
    struct image_topic_iter it = {0};
    size_t n = 0;
    a->names = ARENA_ARRAY(&a->r->arena, struct bytes, max + 1);
    for (size_t i = 0; i < max; i++) {
        const struct image_topic *t = a->all ? image_next_topic(img, &it) : NULL;
        struct bytes name = a->all ? t->name : a->req->topics[i].name;
        if (bytes_cmp(name, from) >= 0) {
            a->names[n++] = name;
        }
    }
    qsort(a->names, n, sizeof *a->names, by_name);
    for (size_t i = 0; i < n; i++) {
        if (a->names_n == 0 || !bytes_eq(a->names[a->names_n - 1], a->names[i])) {
            a->names[a->names_n++] = a->names[i];
        }
    }
}

static void set_cursor(struct answer *a, struct bytes topic, int32_t partition)
{
    struct describe_topic_partitions_response_cursor *c =
        ARENA_NEW(&a->r->arena, struct describe_topic_partitions_response_cursor);
    proto_init(&describe_topic_partitions_response_cursor_desc, c);
    c->topic_name = topic;
    c->partition_index = partition;
    a->resp->next_cursor = c;
}

static void put_partition(struct answer *a, const struct image_partition *p, PARTITION *out)
{
    out->partition_index = p->index;
    out->leader_id = metadata_view_endpoint(a->r, p->leader) ? p->leader : -1;
    out->leader_epoch = p->leader_epoch;
    out->replica_nodes = metadata_view_ids(p->replicas);
    out->replica_nodes_n = (int32_t)p->replicas_n;
    out->isr_nodes = metadata_view_ids(p->isr);
    out->isr_nodes_n = (int32_t)p->isr_n;
    out->eligible_leader_replicas = metadata_view_ids(p->elr);
    out->eligible_leader_replicas_n = (int32_t)p->elr_n;
    out->last_known_elr = metadata_view_ids(p->last_known_elr);
    out->last_known_elr_n = (int32_t)p->last_known_elr_n;
    out->offline_replicas = metadata_view_offline(a->r, p, &out->offline_replicas_n);
}

static TOPIC *put_name(struct answer *a, struct bytes name)
{
    TOPIC *out = &a->resp->topics[a->resp->topics_n++];
    out->name = name;
    out->is_internal = topic_name_is_internal(name);
    out->topic_authorized_operations = TOPIC_OPERATIONS;
    return out;
}

/* False: the page is full, the cursor is set. */
static bool put_topic(struct answer *a, const struct image_topic *t, int32_t start)
{
    TOPIC *out = put_name(a, t->name);
    int64_t count = t->partitions_n;
    int64_t end = start + a->left < count ? start + a->left : count;
    out->topic_id = t->id;
    out->partitions =
        proto_array(&a->r->arena, &PARTITION_DESC, (size_t)(end > start ? end - start : 0));
    for (int64_t i = start; i < end; i++) {
        if (t->partitions[i]) {
            put_partition(a, t->partitions[i], &out->partitions[out->partitions_n++]);
        }
    }
    if (end < count) {
        set_cursor(a, t->name, (int32_t)end);
        return false;
    }
    a->left -= out->partitions_n;
    return true;
}

static void put_missing(struct answer *a, struct bytes name)
{
    TOPIC *out = put_name(a, name);
    out->error_code = topic_name_is_valid(name, NULL) ? KE_UNKNOWN_TOPIC_OR_PARTITION
                                                      : KE_INVALID_TOPIC_EXCEPTION;
}

static void put_page(struct answer *a)
{
    const struct describe_topic_partitions_request_cursor *c = a->req->cursor;
    a->resp->topics = proto_array(&a->r->arena, &TOPIC_DESC, a->names_n);
    for (size_t i = 0; i < a->names_n; i++) {
        const struct image_topic *t = image_topic_by_name(a->r->image, a->names[i]);
        int32_t start = c && bytes_eq(c->topic_name, a->names[i]) ? c->partition_index : 0;
        if (a->left == 0) {
            set_cursor(a, a->names[i], 0);
            return;
        }
        if (t && !put_topic(a, t, start)) {
            return;
        }
        if (t == NULL && !a->all) {
            put_missing(a, a->names[i]);
        }
    }
}

static void answer_error(struct answer *a, int16_t code)
{
    int32_t n = a->req->topics_n > 0 ? a->req->topics_n : 0;
    a->resp->topics = proto_array(&a->r->arena, &TOPIC_DESC, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        a->resp->topics[i].name = a->req->topics[i].name;
        a->resp->topics[i].error_code = code;
    }
    a->resp->topics_n = n;
    request_reply(a->r, a->resp);
}

static bool cursor_is_good(const struct answer *a)
{
    const struct describe_topic_partitions_request_cursor *c = a->req->cursor;
    if (c == NULL) {
        return true;
    }
    if (c->partition_index < 0) {
        return false;
    }
    for (int32_t i = 0; !a->all && i < a->req->topics_n; i++) {
        if (bytes_eq(a->req->topics[i].name, c->topic_name)) {
            return true;
        }
    }
    return a->all;
}

void api_describe_topic_partitions(struct request *r)
{
    struct answer a = {.r = r, .req = r->body, .resp = request_response(r)};
    int64_t limit = request_node(r)->config->v.max_request_partition_size_limit;
    a.all = a.req->topics_n <= 0;
    if (!cursor_is_good(&a)) {
        answer_error(&a, KE_INVALID_REQUEST);
        return;
    }
    a.left = a.req->response_partition_limit < limit ? a.req->response_partition_limit : limit;
    a.left = a.left < 1 ? 1 : a.left;
    collect_names(&a);
    put_page(&a);
    request_reply(r, a.resp);
}
