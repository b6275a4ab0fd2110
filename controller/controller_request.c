/* Requests of a controller: a frame becomes a request, a decision its records and answer, and the
 * answer goes out when what it rests on is committed.
 *
 *   submit -> early (this leader may not serve yet) -> begin -> decide, append -> waiting -> answer
 *                                                        \----> run (polls, descriptions)
 *
 * A client's request comes through a broker in an Envelope: it is handled as if it had come by
 * itself, and its whole response frame is what the envelope's answer holds. */
#include <stdio.h>

#include "base/mem.h"
#include "controller/controller_private.h"
#include "controller/peers_codec.h"
#include "controller/refusals.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { ARENA_MAX = 256 << 20 }; /* of one request: decoded, with its answer */

/* ---- errors in answers ---- */

#define REFUSE_TOP(name)                                                             \
    static void refuse_##name(struct arena *a, int16_t version, const void *request, \
                              void *response, int16_t code)                          \
    {                                                                                \
        UNUSED(a);                                                                   \
        UNUSED(version);                                                             \
        UNUSED(request);                                                             \
        ((struct name##_response *)response)->error_code = code;                     \
    }

REFUSE_TOP(broker_registration)
REFUSE_TOP(broker_heartbeat)
REFUSE_TOP(controller_registration)
REFUSE_TOP(alter_partition)
REFUSE_TOP(assign_replicas_to_dirs)
REFUSE_TOP(allocate_producer_ids)
REFUSE_TOP(fetch_snapshot)
REFUSE_TOP(describe_quorum)
REFUSE_TOP(describe_cluster)
REFUSE_TOP(envelope)

static void refuse_create_topics(struct arena *a, int16_t version, const void *request,
                                 void *response, int16_t code)
{
    const struct create_topics_request *q = request;
    struct create_topics_response *resp = response;
    UNUSED(version);
    resp->topics = proto_array(a, &create_topics_response_creatable_topic_result_desc,
                               (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    resp->topics_n = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        struct create_topics_response_creatable_topic_result *out = &resp->topics[resp->topics_n++];
        out->name = q->topics[i].name;
        out->error_code = code;
        out->error_message = BYTES_NULL;
        out->configs_n = 0;
    }
}

static void refuse_delete_topics(struct arena *a, int16_t version, const void *request,
                                 void *response, int16_t code)
{
    const struct delete_topics_request *q = request;
    struct delete_topics_response *resp = response;
    bool states = version >= 6;
    int32_t n = states ? q->topics_n : q->topic_names_n;
    resp->responses = proto_array(a, &delete_topics_response_deletable_topic_result_desc,
                                  (size_t)(n > 0 ? n : 0));
    resp->responses_n = 0;
    for (int32_t i = 0; i < n; i++) {
        struct delete_topics_response_deletable_topic_result *out =
            &resp->responses[resp->responses_n++];
        out->name = states ? q->topics[i].name : q->topic_names[i];
        out->topic_id = states ? q->topics[i].topic_id : UUID_ZERO;
        out->error_code = code;
    }
}

static void refuse_create_partitions(struct arena *a, int16_t version, const void *request,
                                     void *response, int16_t code)
{
    const struct create_partitions_request *q = request;
    struct create_partitions_response *resp = response;
    UNUSED(version);
    resp->results = proto_array(a, &create_partitions_response_create_partitions_topic_result_desc,
                                (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    resp->results_n = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        resp->results[resp->results_n].name = q->topics[i].name;
        resp->results[resp->results_n++].error_code = code;
    }
}

static void refuse_incremental(struct arena *a, int16_t version, const void *request,
                               void *response, int16_t code)
{
    const struct incremental_alter_configs_request *q = request;
    struct incremental_alter_configs_response *resp = response;
    UNUSED(version);
    resp->responses =
        proto_array(a, &incremental_alter_configs_response_alter_configs_resource_response_desc,
                    (size_t)(q->resources_n > 0 ? q->resources_n : 0));
    resp->responses_n = 0;
    for (int32_t i = 0; i < q->resources_n; i++) {
        struct incremental_alter_configs_response_alter_configs_resource_response *out =
            &resp->responses[resp->responses_n++];
        out->error_code = code;
        out->error_message = BYTES_NULL;
        out->resource_type = q->resources[i].resource_type;
        out->resource_name = q->resources[i].resource_name;
    }
}

static void refuse_alter_configs(struct arena *a, int16_t version, const void *request,
                                 void *response, int16_t code)
{
    const struct alter_configs_request *q = request;
    struct alter_configs_response *resp = response;
    UNUSED(version);
    resp->responses = proto_array(a, &alter_configs_response_alter_configs_resource_response_desc,
                                  (size_t)(q->resources_n > 0 ? q->resources_n : 0));
    resp->responses_n = 0;
    for (int32_t i = 0; i < q->resources_n; i++) {
        struct alter_configs_response_alter_configs_resource_response *out =
            &resp->responses[resp->responses_n++];
        out->error_code = code;
        out->error_message = BYTES_NULL;
        out->resource_type = q->resources[i].resource_type;
        out->resource_name = q->resources[i].resource_name;
    }
}

/* ---- the table ---- */

#define DECIDE(name)                                                                       \
    static void run_##name(struct decision *d, int16_t version, const void *q, void *resp) \
    {                                                                                      \
        UNUSED(version);                                                                   \
        decide_##name(d, q, resp);                                                         \
    }
DECIDE(broker_registration)
DECIDE(broker_heartbeat)
DECIDE(unregister_broker)
DECIDE(controller_registration)
DECIDE(create_topics)
DECIDE(create_partitions)
DECIDE(incremental_alter_configs)
DECIDE(alter_configs)
DECIDE(assign_dirs)
DECIDE(allocate_producer_ids)
DECIDE(list_partition_reassignments)

#define TIMEOUT(name)                                                \
    static int32_t timeout_##name(const void *request)               \
    {                                                                \
        return ((const struct name##_request *)request)->timeout_ms; \
    }
TIMEOUT(create_topics)
TIMEOUT(delete_topics)
TIMEOUT(create_partitions)
TIMEOUT(elect_leaders)
TIMEOUT(alter_partition_reassignments)

#define SIZES(name) \
    .request_size = sizeof(struct name##_request), .response_size = sizeof(struct name##_response)

static void run_envelope(struct controller_request *r);

/* In the order of their keys. */
const struct controller_api controller_apis[] = {
    {API_FETCH, SIZES(fetch), .run = controller_fetch, .refuse = controller_fetch_refuse},
    {API_API_VERSIONS, SIZES(api_versions), .run = controller_api_versions},
    {API_CREATE_TOPICS, true, SIZES(create_topics), .decide = run_create_topics,
     .refuse = refuse_create_topics, .timeout_of = timeout_create_topics},
    {API_DELETE_TOPICS, true, SIZES(delete_topics), .decide = decide_delete_topics,
     .refuse = refuse_delete_topics, .timeout_of = timeout_delete_topics},
    {API_DESCRIBE_CONFIGS, SIZES(describe_configs), .run = controller_describe_configs},
    {API_ALTER_CONFIGS, true, SIZES(alter_configs), .decide = run_alter_configs,
     .refuse = refuse_alter_configs},
    {API_CREATE_PARTITIONS, true, SIZES(create_partitions), .decide = run_create_partitions,
     .refuse = refuse_create_partitions, .timeout_of = timeout_create_partitions},
    {API_ELECT_LEADERS, true, SIZES(elect_leaders), .decide = decide_elect_leaders,
     .refuse = refuse_elect_leaders, .timeout_of = timeout_elect_leaders},
    {API_INCREMENTAL_ALTER_CONFIGS, true, SIZES(incremental_alter_configs),
     .decide = run_incremental_alter_configs, .refuse = refuse_incremental},
    {API_ALTER_PARTITION_REASSIGNMENTS, true, SIZES(alter_partition_reassignments),
     .decide = decide_alter_partition_reassignments, .refuse = refuse_alter_partition_reassignments,
     .timeout_of = timeout_alter_partition_reassignments},
    {API_LIST_PARTITION_REASSIGNMENTS, true, SIZES(list_partition_reassignments),
     .decide = run_list_partition_reassignments, .refuse = refuse_list_partition_reassignments},
    {API_DESCRIBE_QUORUM, SIZES(describe_quorum), .run = controller_describe_quorum,
     .refuse = refuse_describe_quorum},
    {API_ALTER_PARTITION, true, SIZES(alter_partition), .decide = decide_alter_partition,
     .refuse = refuse_alter_partition},
    {API_UPDATE_FEATURES, true, SIZES(update_features), .decide = decide_update_features,
     .refuse = refuse_update_features},
    {API_ENVELOPE, SIZES(envelope), .run = run_envelope, .refuse = refuse_envelope},
    {API_FETCH_SNAPSHOT, SIZES(fetch_snapshot), .run = controller_fetch_snapshot,
     .refuse = refuse_fetch_snapshot},
    {API_DESCRIBE_CLUSTER, SIZES(describe_cluster), .run = controller_describe_cluster,
     .refuse = refuse_describe_cluster},
    {API_BROKER_REGISTRATION, true, SIZES(broker_registration), .decide = run_broker_registration,
     .refuse = refuse_broker_registration},
    {API_BROKER_HEARTBEAT, true, SIZES(broker_heartbeat), .decide = run_broker_heartbeat,
     .refuse = refuse_broker_heartbeat},
    {API_UNREGISTER_BROKER, true, SIZES(unregister_broker), .decide = run_unregister_broker,
     .refuse = refuse_unregister_broker},
    {API_ALLOCATE_PRODUCER_IDS, true, SIZES(allocate_producer_ids),
     .decide = run_allocate_producer_ids, .refuse = refuse_allocate_producer_ids},
    {API_CONTROLLER_REGISTRATION, true, SIZES(controller_registration),
     .decide = run_controller_registration, .refuse = refuse_controller_registration},
    {API_ASSIGN_REPLICAS_TO_DIRS, true, SIZES(assign_replicas_to_dirs), .decide = run_assign_dirs,
     .refuse = refuse_assign_replicas_to_dirs},
};
const size_t controller_apis_n = ARRAY_LEN(controller_apis);

static const struct controller_api *find_api(int16_t key)
{
    for (size_t i = 0; i < controller_apis_n; i++) {
        if (controller_apis[i].key == key) {
            return &controller_apis[i];
        }
    }
    return NULL;
}

/* ---- ending ---- */

void controller_request_free(struct controller_request *r)
{
    list_remove(&r->node);
    timer_cancel(r->c->shard, &r->timer);
    buf_free(&r->frame);
    arena_free(&r->arena);
    mem_free(r);
}

static void reply(struct controller_request *r, int err)
{
    controller_reply_cb *cb = r->cb;
    void *user = r->user;
    struct buf frame = r->frame;
    r->frame = (struct buf){0};
    controller_request_free(r);
    cb(user, err, &frame);
    buf_free(&frame);
}

void controller_give_up(struct controller_request *r, int err)
{
    buf_clear(&r->frame);
    reply(r, err);
}

/* The envelope's answer, around what r->frame holds (code 0) or alone. */
static void wrap(struct controller_request *r, int16_t code)
{
    struct envelope_response e;
    struct buf outer = {0};
    proto_msg_init(&envelope_response_msg, &e);
    e.error_code = code;
    if (code == 0) {
        e.response_data = buf_bytes(&r->frame);
    }
    proto_put_response_header(&outer, API_ENVELOPE, 0, r->outer_correlation);
    int err = proto_encode(&envelope_response_msg, 0, &e, &outer, NULL);
    ASSERT(err == 0);
    buf_free(&r->frame);
    r->frame = outer;
}

/* Makes the frame of r->response, for now or for later. One that cannot be written is a mistake of
 * ours that a client has found: it costs him his connection, as at a broker, and not us the node.
 */
static int make_frame(struct controller_request *r)
{
    struct errmsg em = {{0}};
    buf_clear(&r->frame);
    proto_put_response_header(&r->frame, r->hdr.api_key, r->hdr.version, r->hdr.correlation_id);
    int err =
        proto_encode(proto_response(r->hdr.api_key), r->hdr.version, r->response, &r->frame, &em);
    if (err) {
        log_limited(r->c->log, &r->c->limit, LOG_ERROR, "controller",
                    "an answer does not encode: the connection is closed reason=\"%s\"", em.text);
        buf_clear(&r->frame);
    } else if (r->enveloped) {
        wrap(r, 0);
    }
    return err;
}

void controller_answer(struct controller_request *r)
{
    reply(r, make_frame(r));
}

void controller_refuse(struct controller_request *r, int16_t code)
{
    if (r->enveloped && code == KE_NOT_CONTROLLER) {
        wrap(r, code);
        reply(r, 0);
        return;
    }
    ASSERT(r->api->refuse);
    proto_msg_init(proto_response(r->hdr.api_key), r->response);
    r->api->refuse(&r->arena, r->hdr.version, r->body, r->response, code);
    controller_answer(r);
}

void controller_refuse_all(struct list *requests, int16_t code)
{
    struct list taken;
    list_init(&taken);
    while (!list_empty(requests)) { /* a reply may bring new requests: not into this loop */
        list_push_back(&taken, list_pop_front(requests));
    }
    while (!list_empty(&taken)) {
        struct controller_request *r = LIST_ENTRY(taken.next, struct controller_request, node);
        controller_refuse(r, code);
    }
}

void controller_release(struct controller *c)
{
    while (!list_empty(&c->waiting)) {
        struct controller_request *r = LIST_ENTRY(c->waiting.next, struct controller_request, node);
        if (r->end > c->committed_offset) {
            break;
        }
        reply(r, 0);
    }
}

/* ---- deciding ---- */

/* The answer is made now and goes out when all that was appended so far is committed. */
static void wait_for_commit(struct controller_request *r)
{
    struct controller *c = r->c;
    int err = make_frame(r);
    r->end =
        list_empty(&c->appended) ? 0 : LIST_ENTRY(c->appended.prev, struct appended, node)->end;
    if (err || r->end <= c->committed_offset) {
        reply(r, err);
    } else {
        list_push_back(&c->waiting, &r->node);
    }
}

/* The broker whose heartbeat has been taken; -1: it is something else. */
static int32_t heartbeat_of(const struct controller_request *r)
{
    const struct broker_heartbeat_request *q = r->body;
    const struct broker_heartbeat_response *resp = r->response;
    return r->hdr.api_key == API_BROKER_HEARTBEAT && resp->error_code == 0 ? q->broker_id : -1;
}

static void decide(struct controller_request *r)
{
    struct controller *c = r->c;
    struct decision d;
    struct errmsg em = {{0}};
    controller_decision(c, &d, &r->arena);
    struct image *img = image_get(d.img); /* the answer may point into it */
    r->api->decide(&d, r->hdr.version, r->body, r->response);
    int32_t heard_from = heartbeat_of(r);
    controller_note_refusal(r);
    int err = d.n > 0 ? controller_append(c, &d, &em) : 0;
    decision_free(&d);
    if (err && err != ERR_TOOBIG) { /* it leads no more, or its disk has failed */
        controller_refuse(r, KE_NOT_CONTROLLER);
    } else if (err) {
        log_limited(c->log, &c->limit, LOG_ERROR, "controller",
                    "a request could not be carried out api=%d reason=\"%s\"", (int)r->hdr.api_key,
                    em.text);
        controller_refuse(r, KE_UNKNOWN_SERVER_ERROR);
    } else {
        wait_for_commit(r);
    }
    if (heard_from >= 0 && heard_from != c->cfg.node_id) { /* our own says nothing of the network */
        broker_probe_heard(c->probe, heard_from);
    }
    controller_tasks_more(c);
    image_put(img);
}

static bool names_one_once(const struct decision_places *same, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (same[i].first == same[i].last) {
            return true;
        }
    }
    return false;
}

/* False: it names nothing, or no topic that it creates or enlarges only once. Kafka answers that
 * before any clock counts. */
static bool leaves_work(struct controller_request *r)
{
    switch (r->hdr.api_key) {
    case API_CREATE_TOPICS:
        return names_one_once(decide_create_topics_same(&r->arena, r->body),
                              ((const struct create_topics_request *)r->body)->topics_n);
    case API_CREATE_PARTITIONS:
        return names_one_once(decide_create_partitions_same(&r->arena, r->body),
                              ((const struct create_partitions_request *)r->body)->topics_n);
    case API_ELECT_LEADERS:
        return ((const struct elect_leaders_request *)r->body)->topic_partitions_n != 0;
    case API_ALTER_PARTITION_REASSIGNMENTS:
        return ((const struct alter_partition_reassignments_request *)r->body)->topics_n > 0;
    default:
        return true;
    }
}

static void begin(struct controller_request *r)
{
    struct controller *c = r->c;
    if (r->api->active_only && !controller_serves(c)) {
        controller_refuse(r, KE_NOT_CONTROLLER);
    } else if (r->api->timeout_of && r->api->timeout_of(r->body) <= 0 && leaves_work(r)) {
        controller_refuse(r, KE_REQUEST_TIMED_OUT);
    } else if (r->api->decide) {
        decide(r);
    } else {
        r->api->run(r);
    }
}

void controller_run_early(struct controller *c)
{
    struct list taken;
    list_init(&taken);
    while (!list_empty(&c->early)) {
        list_push_back(&taken, list_pop_front(&c->early));
    }
    while (!list_empty(&taken)) {
        begin(LIST_ENTRY(list_pop_front(&taken), struct controller_request, node));
    }
}

/* ---- frames ---- */

/* Decodes the body behind the header. */
static int decode(struct controller_request *r, struct bytes frame)
{
    struct bytes body = bytes_of(frame.data + r->hdr.body_at, frame.len - r->hdr.body_at);
    r->body = arena_alloc(&r->arena, r->api->request_size);
    r->response = arena_alloc(&r->arena, r->api->response_size);
    proto_msg_init(proto_response(r->hdr.api_key), r->response);
    return proto_decode(proto_request(r->hdr.api_key), r->hdr.version, body, NULL, &r->arena,
                        r->body);
}

/* May it be asked on this listener, at this version? */
static bool is_served(const struct proto_request_header *h)
{
    const struct proto_api *p = proto_api(h->api_key);
    return p && p->controller_listener && h->version >= p->version_min &&
           h->version <= p->version_max;
}

/* This leader will serve in a moment, when its first entry is committed. */
static bool is_early(const struct controller *c)
{
    return !c->active && !c->failed && !c->stopping && c->quorum && quorum_is_leader(c->quorum);
}

static void dispatch(struct controller_request *r)
{
    if (is_early(r->c) && r->api->refuse) {
        list_push_back(&r->c->early, &r->node);
    } else {
        begin(r);
    }
}

/* The request in an envelope takes the place of the envelope. */
static void run_envelope(struct controller_request *r)
{
    const struct envelope_request *e = r->body;
    struct bytes frame = e->request_data;
    const struct proto_api *p;
    r->enveloped = true;
    r->outer_correlation = r->hdr.correlation_id;
    int err = proto_read_request_header(frame, &r->hdr);
    p = err ? NULL : proto_api(r->hdr.api_key);
    r->api = p && p->forwarded && is_served(&r->hdr) ? find_api(r->hdr.api_key) : NULL;
    if (r->api == NULL || decode(r, frame)) {
        wrap(r, err == ERR_UNSUPPORTED ? KE_UNSUPPORTED_VERSION : KE_INVALID_REQUEST);
        reply(r, 0);
        return;
    }
    begin(r);
}

/* What another voter says is answered at once. */
static void answer_peer(struct controller_request *r, struct bytes frame)
{
    struct errmsg em;
    if (r->c->peers) {
        peers_handle(r->c->peers, frame, &r->frame);
    } else {
        peers_refuse(frame, r->c->cfg.node_id, &r->frame, &em);
        log_seldom(r->c->log, &r->c->strangers, LOG_WARN, "controller",
                   "a voter's message is refused: %s", em.text);
    }
    reply(r, 0);
}

static void submit(struct controller_request *r, struct bytes frame)
{
    uint8_t *copy = arena_alloc(&r->arena, frame.len + 1);
    memcpy(copy, frame.data, frame.len);
    frame.data = copy;
    int err = proto_read_request_header(frame, &r->hdr);
    if (peer_is_api(r->hdr.api_key)) {
        answer_peer(r, frame);
        return;
    }
    if (r->hdr.api_key == API_API_VERSIONS &&
        (err == ERR_UNSUPPORTED || (err == 0 && !is_served(&r->hdr)))) {
        r->api = find_api(API_API_VERSIONS);
        controller_api_versions_unsupported(r);
        return;
    }
    if (err == 0) {
        r->api = is_served(&r->hdr) ? find_api(r->hdr.api_key) : NULL;
        err = r->api ? decode(r, frame) : ERR_UNSUPPORTED;
    }
    if (err) {
        log_limited(r->c->log, &r->c->limit, LOG_WARN, "controller",
                    "a request is not served here: the connection is closed api=%d version=%d "
                    "reason=\"%s\"",
                    (int)r->hdr.api_key, (int)r->hdr.version, err_text(err));
        controller_give_up(r, err == ERR_NOMEM || err == ERR_INVALID ? ERR_CORRUPT : err);
        return;
    }
    dispatch(r);
}

void controller_handle(struct controller *c, struct bytes frame, controller_reply_cb *cb,
                       void *user)
{
    struct controller_request *r = MEM_NEW(struct controller_request);
    ASSERT_ON_SHARD(c->shard);
    r->c = c;
    r->cb = cb;
    r->user = user;
    r->arena.limit = ARENA_MAX;
    list_init(&r->node);
    submit(r, frame);
}
