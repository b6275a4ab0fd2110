/* OffsetDelete (47), version 0. Topics and partitions that are not there are refused here
 * (UNKNOWN_TOPIC_OR_PARTITION); the coordinator is asked in any case, and when it refuses the whole
 * (GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP ...) the answer has its error and no topics, as in Kafka. */
#include "broker/api/handlers.h"
#include "broker/api/topic_rows.h"
#include "broker/group_route.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* The generated names are long. */
#define ASKED_TOPIC struct offset_delete_request_offset_delete_request_topic
#define TOPIC       struct offset_delete_response_offset_delete_response_topic
#define PARTITION   struct offset_delete_response_offset_delete_response_partition

struct deletion {
    struct group_request g;
    struct topic_rows refused;
};

static void merge(struct topic_rows *rows, const struct offset_delete_response *resp)
{
    for (int32_t i = 0; i < resp->topics_n; i++) {
        const TOPIC *t = &resp->topics[i];
        struct topic_rows_topic *row = topic_rows_topic(rows, t->name, UUID_ZERO);
        for (int32_t k = 0; k < t->partitions_n; k++) {
            topic_rows_add(rows, row, t->partitions[k].partition_index,
                           t->partitions[k].error_code);
        }
    }
    topic_rows_rest(rows);
}

static void fill(struct request *r, const struct topic_rows *rows,
                 struct offset_delete_response *resp)
{
    resp->topics = proto_array(&r->arena, &offset_delete_response_offset_delete_response_topic_desc,
                               (size_t)rows->n);
    resp->topics_n = rows->n;
    TOPIC *t = resp->topics;
    for (const struct topic_rows_topic *row = rows->first; row; row = row->next, t++) {
        t->name = row->name;
        t->partitions =
            proto_array(&r->arena, &offset_delete_response_offset_delete_response_partition_desc,
                        (size_t)row->n);
        for (const struct topic_rows_partition *p = row->first; p; p = p->next) {
            PARTITION *out = &t->partitions[t->partitions_n++];
            out->partition_index = p->index;
            out->error_code = p->error;
        }
    }
}

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct deletion *d = CONTAINER_OF(g, struct deletion, g);
    struct offset_delete_response *resp = g->ask.response;
    if (code) {
        resp->error_code = code;
    }
    if (resp->error_code) {
        resp->topics_n = 0;
    } else if (d->refused.n) {
        merge(&d->refused, resp);
        fill(r, &d->refused, resp);
    }
    request_reply(r, resp);
}

static void refuse(struct deletion *d, const ASKED_TOPIC *t, int32_t index)
{
    topic_rows_add(&d->refused, topic_rows_topic(&d->refused, t->name, UUID_ZERO), index,
                   KE_UNKNOWN_TOPIC_OR_PARTITION);
}

/* Leaves in the request what is there. A topic without any partition that is stays away. */
static void keep(struct deletion *d, struct offset_delete_request *q)
{
    int32_t topics = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        ASKED_TOPIC *t = &q->topics[i];
        const struct image_topic *topic = image_topic_by_name(d->refused.r->image, t->name);
        int32_t partitions = 0;
        if (topic == NULL) {
            topic_rows_topic(&d->refused, t->name, UUID_ZERO); /* a row even without partitions */
        }
        for (int32_t k = 0; k < t->partitions_n; k++) {
            if (topic && image_partition(topic, t->partitions[k].partition_index)) {
                t->partitions[partitions++] = t->partitions[k];
            } else {
                refuse(d, t, t->partitions[k].partition_index);
            }
        }
        t->partitions_n = partitions;
        if (partitions) {
            q->topics[topics++] = *t;
        }
    }
    q->topics_n = topics;
    topic_rows_rest(&d->refused);
}

void api_offset_delete(struct request *r)
{
    struct offset_delete_request *q = r->body;
    struct offset_delete_response *resp = request_response(r);
    if (q->group_id.len == 0) {
        resp->error_code = KE_INVALID_GROUP_ID;
        request_reply(r, resp);
        return;
    }
    struct deletion *d = ARENA_NEW(&r->arena, struct deletion);
    topic_rows_init(&d->refused, r, false);
    keep(d, q);
    group_request_start(&d->g, r, GROUP_OFFSET_DELETE, q->group_id, q, resp, done, NULL);
}
