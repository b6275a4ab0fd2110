/* OffsetCommit (8), versions 2 to 10. Topics and partitions are looked up here, in the request's
 * image: what is not there gets UNKNOWN_TOPIC_OR_PARTITION (a topic id: UNKNOWN_TOPIC_ID) and is no
 * business of the coordinator; when nothing is left it is not asked at all, as in Kafka. Topics are
 * named up to version 9, given by id since (KIP-848). */
#include "broker/api/handlers.h"
#include "broker/api/topic_rows.h"
#include "broker/group_route.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { TOPIC_IDS_SINCE = 10 };

/* The generated names are long. */
#define ASKED_TOPIC     struct offset_commit_request_offset_commit_request_topic
#define ASKED_PARTITION struct offset_commit_request_offset_commit_request_partition
#define TOPIC           struct offset_commit_response_offset_commit_response_topic
#define PARTITION       struct offset_commit_response_offset_commit_response_partition

struct commit {
    struct group_request g;
    struct topic_rows refused;
};

/* ---- the answer ---- */

static PARTITION *new_partitions(struct request *r, TOPIC *t, int32_t n)
{
    t->partitions = proto_array(
        &r->arena, &offset_commit_response_offset_commit_response_partition_desc, (size_t)n);
    t->partitions_n = n;
    return t->partitions;
}

static void new_topics(struct request *r, struct offset_commit_response *resp, int32_t n)
{
    resp->topics = proto_array(&r->arena, &offset_commit_response_offset_commit_response_topic_desc,
                               (size_t)n);
    resp->topics_n = n;
}

/* There was no coordinator: each partition says so. */
static void fill_error(struct request *r, const struct offset_commit_request *q, int16_t code,
                       struct offset_commit_response *resp)
{
    new_topics(r, resp, q->topics_n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        resp->topics[i].name = q->topics[i].name;
        resp->topics[i].topic_id = q->topics[i].topic_id;
        PARTITION *out = new_partitions(r, &resp->topics[i], q->topics[i].partitions_n);
        for (int32_t k = 0; k < q->topics[i].partitions_n; k++) {
            out[k].partition_index = q->topics[i].partitions[k].partition_index;
            out[k].error_code = code;
        }
    }
}

static void merge(struct topic_rows *rows, const struct offset_commit_response *resp)
{
    for (int32_t i = 0; i < resp->topics_n; i++) {
        const TOPIC *t = &resp->topics[i];
        struct topic_rows_topic *row = topic_rows_topic(rows, t->name, t->topic_id);
        for (int32_t k = 0; k < t->partitions_n; k++) {
            topic_rows_add(rows, row, t->partitions[k].partition_index,
                           t->partitions[k].error_code);
        }
    }
    topic_rows_rest(rows);
}

static void fill(struct request *r, const struct topic_rows *rows,
                 struct offset_commit_response *resp)
{
    new_topics(r, resp, rows->n);
    TOPIC *t = resp->topics;
    for (const struct topic_rows_topic *row = rows->first; row; row = row->next, t++) {
        t->name = row->name;
        t->topic_id = row->id;
        PARTITION *out = new_partitions(r, t, row->n);
        for (const struct topic_rows_partition *p = row->first; p; p = p->next, out++) {
            out->partition_index = p->index;
            out->error_code = p->error;
        }
    }
}

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct commit *c = CONTAINER_OF(g, struct commit, g);
    struct offset_commit_response *resp = g->ask.response;
    if (code) {
        fill_error(r, r->body, code, resp);
    }
    if (c->refused.n) {
        merge(&c->refused, resp);
        fill(r, &c->refused, resp);
    }
    request_reply(r, resp);
}

/* ---- the question ---- */

static void refuse(struct commit *c, const ASKED_TOPIC *t, struct uuid id, int16_t code)
{
    struct topic_rows_topic *row = topic_rows_topic(&c->refused, t->name, id);
    for (int32_t i = 0; i < t->partitions_n; i++) {
        topic_rows_add(&c->refused, row, t->partitions[i].partition_index, code);
    }
}

/* Of a topic that is there; those of its partitions that are move up. */
static void keep_partitions(struct commit *c, ASKED_TOPIC *t, const struct image_topic *topic)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < t->partitions_n; i++) {
        int32_t index = t->partitions[i].partition_index;
        if (image_partition(topic, index)) {
            t->partitions[kept++] = t->partitions[i];
        } else {
            topic_rows_add(&c->refused, topic_rows_topic(&c->refused, t->name, t->topic_id), index,
                           KE_UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
    t->partitions_n = kept;
}

/* Leaves in the request what is there, with both name and id. */
static void keep_topics(struct commit *c, struct offset_commit_request *q)
{
    const struct image *img = c->refused.r->image;
    int32_t kept = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        ASKED_TOPIC *t = &q->topics[i];
        const struct image_topic *topic = c->refused.by_id ? image_topic_by_id(img, t->topic_id)
                                                           : image_topic_by_name(img, t->name);
        if (topic == NULL) {
            refuse(c, t, t->topic_id,
                   c->refused.by_id ? KE_UNKNOWN_TOPIC_ID : KE_UNKNOWN_TOPIC_OR_PARTITION);
            continue;
        }
        t->name = topic->name;
        t->topic_id = topic->id;
        keep_partitions(c, t, topic);
        if (t->partitions_n) {
            q->topics[kept++] = *t;
        }
    }
    q->topics_n = kept;
    topic_rows_rest(&c->refused);
}

void api_offset_commit(struct request *r)
{
    struct offset_commit_request *q = r->body;
    struct commit *c = ARENA_NEW(&r->arena, struct commit);
    topic_rows_init(&c->refused, r, r->hdr.version >= TOPIC_IDS_SINCE);
    keep_topics(c, q);
    struct offset_commit_response *resp = request_response(r);
    if (q->topics_n == 0) {
        fill(r, &c->refused, resp);
        request_reply(r, resp);
        return;
    }
    group_request_start(&c->g, r, GROUP_OFFSET_COMMIT, q->group_id, q, resp, done, NULL);
}
