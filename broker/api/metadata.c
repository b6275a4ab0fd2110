/* Metadata (3), versions 0 to 13: brokers, topics and their partitions, as the client's listener
 * has them. Topics are named, or given by id from version 12 on; none at all means every topic
 * (version 0: an empty list). A named topic that is not there is created if broker and client
 * allow it, and answered with UNKNOWN_TOPIC_OR_PARTITION meanwhile.
 *
 * Order of topics as in Kafka: unknown ids, topics that exist, topics that do not. */
#include "base/map.h"
#include "broker/api/handlers.h"
#include "broker/api/metadata_view.h"
#include "controller/refusals.h"
#include "broker/config.h"
#include "broker/forward.h"
#include "proto/topic_name.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* The generated names are long. */
#define TOPIC     struct metadata_response_metadata_response_topic
#define PARTITION struct metadata_response_metadata_response_partition

struct answer {
    struct request *r;
    const struct metadata_request *req;
    struct metadata_response *resp;
    int32_t cap;     /* of resp->topics */
    bool by_id;      /* some topic is given by id: names do not count */
    bool all;        /* every topic is wanted */
    struct map seen; /* names or ids that were dealt with */
};

static TOPIC *new_topic(struct answer *a)
{
    if (a->resp->topics_n == a->cap) {
        int32_t cap = a->cap ? 2 * a->cap : 16;
        TOPIC *v =
            proto_array(&a->r->arena, &metadata_response_metadata_response_topic_desc, (size_t)cap);
        if (a->cap) {
            memcpy(v, a->resp->topics, sizeof *v * (size_t)a->cap);
        }
        a->resp->topics = v;
        a->cap = cap;
    }
    return &a->resp->topics[a->resp->topics_n++];
}

/* ---- partitions ---- */

/* Version 0 cannot say that a replica is offline: dead ones are left out. */
static int32_t *alive_only(const struct answer *a, const int32_t *ids, uint32_t n, int32_t *out_n)
{
    *out_n = (int32_t)n;
    if (a->r->hdr.version > 0) {
        return metadata_view_ids(ids);
    }
    int32_t *out = ARENA_ARRAY(&a->r->arena, int32_t, n + 1);
    *out_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (metadata_view_endpoint(a->r, ids[i])) {
            out[(*out_n)++] = ids[i];
        }
    }
    return out;
}

static int16_t leader_error(const struct answer *a, const struct image_partition *p)
{
    bool registered = image_broker(a->r->image, p->leader) != NULL;
    return registered && a->r->hdr.version >= 6 ? KE_LISTENER_NOT_FOUND : KE_LEADER_NOT_AVAILABLE;
}

static void put_partition(struct answer *a, const struct image_partition *p, PARTITION *out)
{
    out->partition_index = p->index;
    out->leader_epoch = p->leader_epoch;
    out->replica_nodes = alive_only(a, p->replicas, p->replicas_n, &out->replica_nodes_n);
    out->isr_nodes = alive_only(a, p->isr, p->isr_n, &out->isr_nodes_n);
    out->offline_replicas = metadata_view_offline(a->r, p, &out->offline_replicas_n);
    out->leader_id = p->leader;
    if (metadata_view_endpoint(a->r, p->leader) == NULL) {
        out->leader_id = -1;
        out->error_code = leader_error(a, p);
    } else if (out->replica_nodes_n < (int32_t)p->replicas_n ||
               out->isr_nodes_n < (int32_t)p->isr_n) {
        out->error_code = KE_REPLICA_NOT_AVAILABLE;
    }
}

static void put_topic(struct answer *a, const struct image_topic *t)
{
    TOPIC *out = new_topic(a);
    out->name = t->name;
    out->topic_id = t->id;
    out->is_internal = topic_name_is_internal(t->name);
    out->partitions = proto_array(&a->r->arena, &metadata_response_metadata_response_partition_desc,
                                  t->partitions_n);
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        if (t->partitions[i]) {
            put_partition(a, t->partitions[i], &out->partitions[out->partitions_n++]);
        }
    }
    if (a->req->include_topic_authorized_operations) {
        out->topic_authorized_operations = TOPIC_OPERATIONS;
    }
}

/* ---- topics ---- */

static bool first_time(struct answer *a, struct bytes key)
{
    return map_put(&a->seen, key, a) == NULL;
}

static void put_topics_by_id(struct answer *a)
{
    for (int32_t i = 0; i < a->req->topics_n; i++) {
        const struct uuid *id = &a->req->topics[i].topic_id;
        if (!uuid_is_zero(*id) && image_topic_by_id(a->r->image, *id) == NULL &&
            first_time(a, bytes_of(id->b, sizeof id->b))) {
            TOPIC *out = new_topic(a);
            out->error_code = KE_UNKNOWN_TOPIC_ID;
            out->name = BYTES_NULL;
            out->topic_id = *id;
        }
    }
    for (int32_t i = 0; i < a->req->topics_n; i++) {
        const struct uuid *id = &a->req->topics[i].topic_id;
        const struct image_topic *t = image_topic_by_id(a->r->image, *id);
        if (t && first_time(a, bytes_of(id->b, sizeof id->b))) {
            put_topic(a, t);
        }
    }
}

static void put_missing(struct answer *a, struct bytes name)
{
    const struct node *n = request_node(a->r);
    TOPIC *out = new_topic(a);
    out->name = name;
    out->is_internal = topic_name_is_internal(name);
    out->error_code = KE_UNKNOWN_TOPIC_OR_PARTITION;
    if (!topic_name_is_valid(name, NULL)) {
        out->error_code = KE_INVALID_TOPIC_EXCEPTION;
    } else if (n->config->v.auto_create_topics_enable && a->req->allow_auto_topic_creation) {
        auto_create_topic(a->r->ns, name);
    }
    if (a->req->include_topic_authorized_operations) {
        out->topic_authorized_operations = TOPIC_OPERATIONS;
    }
}

static void put_topics_by_name(struct answer *a)
{
    for (int32_t i = 0; i < a->req->topics_n; i++) {
        const struct image_topic *t = image_topic_by_name(a->r->image, a->req->topics[i].name);
        if (t && first_time(a, t->name)) {
            put_topic(a, t);
        }
    }
    for (int32_t i = 0; i < a->req->topics_n; i++) {
        struct bytes name = a->req->topics[i].name;
        if (image_topic_by_name(a->r->image, name) == NULL && first_time(a, name)) {
            put_missing(a, name);
        }
    }
}

static void put_all_topics(struct answer *a)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    a->cap = a->r->image->topics_n + 1;
    a->resp->topics =
        proto_array(&a->r->arena, &metadata_response_metadata_response_topic_desc, (size_t)a->cap);
    while ((t = image_next_topic(a->r->image, &it)) != NULL) {
        put_topic(a, t);
    }
}

/* ---- brokers ---- */

static void put_brokers(struct answer *a)
{
    const struct image *img = a->r->image;
    a->resp->brokers = proto_array(&a->r->arena, &metadata_response_metadata_response_broker_desc,
                                   (size_t)img->brokers_n);
    for (int32_t i = 0; i < img->brokers_n; i++) {
        const struct image_broker *b = img->brokers[i];
        const struct image_endpoint *e = metadata_view_endpoint(a->r, b->id);
        if (e && !b->fenced) {
            struct metadata_response_metadata_response_broker *out =
                &a->resp->brokers[a->resp->brokers_n++];
            out->node_id = b->id;
            out->host = e->host;
            out->port = e->port;
            out->rack = b->rack;
        }
    }
}

/* The whole request is wrong: Kafka names the topics with the error, and no brokers. */
static void answer_error(struct answer *a, int16_t code)
{
    for (int32_t i = 0; i < a->req->topics_n; i++) {
        TOPIC *out = new_topic(a);
        const struct bytes name = a->req->topics[i].name;
        out->error_code = code;
        out->name = bytes_is_null(name) ? bytes_str("") : name;
        out->topic_id = a->req->topics[i].topic_id;
    }
    a->resp->error_code = code;
    request_reply(a->r, a->resp);
}

/* Names that are null or ids where the version has none; a null name without an id makes Kafka
 * stumble. */
static int16_t check(struct answer *a)
{
    bool null_name = false;
    for (int32_t i = 0; i < a->req->topics_n; i++) {
        null_name |= bytes_is_null(a->req->topics[i].name);
        a->by_id |= !uuid_is_zero(a->req->topics[i].topic_id);
    }
    if (a->r->hdr.version < 12 && (null_name || a->by_id)) {
        return KE_INVALID_REQUEST;
    }
    return null_name && !a->by_id ? KE_UNKNOWN_SERVER_ERROR : 0;
}

void api_metadata(struct request *r)
{
    struct answer a = {.r = r, .req = r->body, .resp = request_response(r)};
    a.seen.secret = &r->ns->map_secret;
    const struct node *n = request_node(r);
    int16_t code = check(&a);
    if (code) {
        answer_error(&a, code);
        return;
    }
    a.all = a.req->topics_n < 0 || (r->hdr.version == 0 && a.req->topics_n == 0);
    put_brokers(&a);
    a.resp->cluster_id = bytes_str(n->cluster_id);
    a.resp->controller_id = metadata_view_controller(r);
    if (a.all) {
        put_all_topics(&a);
    } else if (a.by_id) {
        put_topics_by_id(&a);
    } else {
        put_topics_by_name(&a);
    }
    if (a.req->include_cluster_authorized_operations) {
        a.resp->cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    map_free(&a.seen);
    request_reply(r, a.resp);
}
