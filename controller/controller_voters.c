/* The voters as others see them: DescribeQuorum, and how a controller that is not the active one
 * gets its registration (listeners, features) into the metadata: it asks the active one, as brokers
 * do, until the committed image has it. */
#include <stdio.h>

#include "base/mem.h"
#include "controller/channel.h"
#include "controller/controller_private.h"
#include "controller/decide_registration.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"

enum {
    NODES_FROM = 2, /* of DescribeQuorum */
    REGISTRATION_VERSION = 0,
    REGISTRATION_MS = 2000,
    REGISTER_AGAIN_MS = 1000, /* after a refusal */
};

static const char topic_name[] = "__cluster_metadata";

/* ---- the own registration ---- */

static void on_registered(struct channel_call *call, int err, struct bytes body)
{
    struct controller *c = call->user;
    struct arena a = {.limit = 1 << 20};
    struct controller_registration_response r;
    int16_t code = KE_NONE;
    if (err == 0) {
        err = proto_decode(&controller_registration_response_msg, REGISTRATION_VERSION, body, NULL,
                           &a, &r);
        code = err ? KE_NONE : r.error_code;
    }
    if (code == KE_NOT_CONTROLLER) {
        channel_not_controller(c->to_active);
    } else if (err || code) {
        struct bytes why = err ? BYTES_NULL : r.error_message;
        c->register_ms = shard_now_ms(c->shard) + REGISTER_AGAIN_MS;
        log_seldom(c->log, &c->register_limit, LOG_WARN, "controller",
                   "the active controller did not take the registration of this one "
                   "reason=\"%s%s%.*s\"",
                   err ? err_text(err) : kafka_error_name(code), why.len > 0 ? ": " : "",
                   BYTES_FMT(why));
    }
    arena_free(&a);
}

static struct channel *way_to_active(struct controller *c)
{
    struct channel_endpoint *e = mem_zalloc(c->cfg.voters_n * sizeof *e);
    size_t n = 0;
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        if (c->cfg.voters[i].id != c->cfg.node_id) {
            e[n].id = c->cfg.voters[i].id;
            e[n].port = c->cfg.voters[i].port;
            snprintf(e[n].host, sizeof e[n].host, "%s", c->cfg.voters[i].host);
            n++;
        }
    }
    struct channel *ch = channel_socket_new(c->shard, e, n, "controller");
    mem_free(e);
    return ch;
}

void controller_register(struct controller *c)
{
    const struct image_controller *known = image_controller(c->committed, c->cfg.node_id);
    const struct proto_metadata_version *mv =
        proto_metadata_version(image_feature_level(c->committed, "metadata.version"));
    int32_t leader = controller_leader(c);
    struct controller_registration_request q;
    struct arena a = {0};
    if (leader < 0 || leader == c->cfg.node_id || mv == NULL ||
        !(mv->flags & MV_CONTROLLER_REGISTRATION_SUPPORTED) ||
        (known && uuid_eq(known->incarnation, c->incarnation)) ||
        channel_in_flight(&c->register_call) || shard_now_ms(c->shard) < c->register_ms) {
        return;
    }
    if (c->to_active == NULL) {
        c->to_active = way_to_active(c);
    }
    channel_leader(c->to_active, leader);
    decide_fill_registration(&c->cfg, c->incarnation, &a, &q);
    buf_clear(&c->register_body);
    int err = proto_encode(&controller_registration_request_msg, REGISTRATION_VERSION, &q,
                           &c->register_body, NULL);
    ASSERT(err == 0);
    arena_free(&a);
    c->register_call.api_key = API_CONTROLLER_REGISTRATION;
    c->register_call.version = REGISTRATION_VERSION;
    c->register_call.body = buf_bytes(&c->register_body);
    c->register_call.timeout_ms = REGISTRATION_MS;
    c->register_call.cb = on_registered;
    c->register_call.user = c;
    channel_call(c->to_active, &c->register_call);
}

void controller_register_end(struct controller *c)
{
    channel_cancel(&c->register_call);
    if (c->to_active) {
        channel_close(c->to_active);
        c->to_active = NULL;
    }
    buf_free(&c->register_body);
}

/* ---- DescribeQuorum ---- */

#define QUORUM_PART struct describe_quorum_response_partition_data
#define REPLICA     struct describe_quorum_response_replica_state

enum { DIRECTORIES_FROM = 2 };

static void describe_voter(const struct controller_request *r, int32_t id, int64_t wall_ms,
                           REPLICA *out)
{
    const struct controller *c = r->c;
    struct quorum_voter_status s;
    struct bytes ignored;
    out->replica_id = id;
    if (id != c->cfg.node_id) {
        quorum_voter_status(c->quorum, id, &s);
        out->log_end_offset = s.end_offset;
        out->last_fetch_timestamp = s.heard_ms;
        out->last_caught_up_timestamp = s.caught_up_ms;
        return;
    }
    if (r->hdr.version >= DIRECTORIES_FROM && metadata_log_kraft_version(c->mlog, &ignored) > 0) {
        out->replica_directory_id = c->cfg.directory_id;
    }
    out->log_end_offset = metadata_log_end_offset(c->mlog);
    out->last_fetch_timestamp = wall_ms;
    out->last_caught_up_timestamp = wall_ms;
}

/* Who runs on another disk under a voter's id is no voter, and follows nothing until it is
 * admitted: it is told as Kafka tells a replica whose directory no voter has. */
static bool describe_stranger(const struct controller_request *r, int32_t id, REPLICA *out)
{
    const struct controller *c = r->c;
    struct quorum_voter_status s;
    struct uuid directory;
    int64_t came_ms;
    if (id == c->cfg.node_id || r->hdr.version < DIRECTORIES_FROM ||
        !peers_offered(c->peers, id, &directory, &came_ms) ||
        io_wall_ms(c->io) - came_ms > OBSERVER_GONE_MS) {
        return false;
    }
    quorum_voter_status(c->quorum, id, &s);
    if (s.heard_ms > came_ms) { /* its old disk is back */
        return false;
    }
    out->replica_id = id;
    out->replica_directory_id = directory;
    out->log_end_offset = -1;
    out->last_fetch_timestamp = -1;
    out->last_caught_up_timestamp = -1;
    return true;
}

static void describe_observers(struct controller_request *r, QUORUM_PART *out)
{
    const struct controller *c = r->c;
    out->observers = proto_array(&r->arena, &describe_quorum_response_replica_state_desc,
                                 c->observers.n + c->cfg.voters_n);
    for (size_t i = 0; i < c->observers.n; i++) {
        REPLICA *o = &out->observers[out->observers_n++];
        o->replica_id = c->observers.v[i].id;
        o->replica_directory_id =
            r->hdr.version >= DIRECTORIES_FROM ? c->observers.v[i].directory_id : UUID_ZERO;
        o->log_end_offset = c->observers.v[i].end_offset;
        o->last_fetch_timestamp = c->observers.v[i].fetched_ms;
        o->last_caught_up_timestamp = c->observers.v[i].caught_up_ms;
    }
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        out->observers_n +=
            describe_stranger(r, c->cfg.voters[i].id, &out->observers[out->observers_n]);
    }
}

static void describe_partition(struct controller_request *r, QUORUM_PART *out)
{
    const struct controller *c = r->c;
    int64_t wall_ms = io_wall_ms(c->io);
    out->leader_id = controller_leader(c);
    out->leader_epoch = controller_epoch(c);
    out->high_watermark = c->committed_offset;
    out->current_voters =
        proto_array(&r->arena, &describe_quorum_response_replica_state_desc, c->cfg.voters_n);
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        describe_voter(r, c->cfg.voters[i].id, wall_ms, &out->current_voters[i]);
    }
    out->current_voters_n = (int32_t)c->cfg.voters_n;
    describe_observers(r, out);
}

#define LISTENER struct describe_quorum_response_listener

static void own_listeners(struct controller_request *r, struct describe_quorum_response_node *out)
{
    const struct controller *c = r->c;
    out->listeners =
        proto_array(&r->arena, &describe_quorum_response_listener_desc, c->cfg.endpoints_n);
    for (size_t i = 0; i < c->cfg.endpoints_n; i++) {
        LISTENER *l = &out->listeners[out->listeners_n++];
        l->name = bytes_str(c->cfg.endpoints[i].name);
        l->host = bytes_str(c->cfg.endpoints[i].host);
        l->port = c->cfg.endpoints[i].port;
    }
}

/* Where controller.quorum.voters says that it is, by the name of the first own listener. */
static void voters_listener(struct controller_request *r, const struct controller_voter *v,
                            struct describe_quorum_response_node *out)
{
    const struct controller *c = r->c;
    out->listeners = proto_array(&r->arena, &describe_quorum_response_listener_desc, 1);
    out->listeners_n = 1;
    out->listeners[0].name =
        bytes_str(c->cfg.endpoints_n ? c->cfg.endpoints[0].name : "CONTROLLER");
    out->listeners[0].host = bytes_str(v->host);
    out->listeners[0].port = v->port;
}

static void describe_nodes(struct controller_request *r, struct describe_quorum_response *resp)
{
    const struct controller *c = r->c;
    resp->nodes = proto_array(&r->arena, &describe_quorum_response_node_desc, c->cfg.voters_n);
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        struct describe_quorum_response_node *out = &resp->nodes[resp->nodes_n++];
        out->node_id = c->cfg.voters[i].id;
        if (out->node_id == c->cfg.node_id) {
            own_listeners(r, out);
        } else {
            voters_listener(r, &c->cfg.voters[i], out);
        }
    }
}

/* Does the request ask for the metadata partition, and for nothing else? */
static bool asks_for_quorum(const struct describe_quorum_request *q)
{
    return q->topics_n == 1 && bytes_eq_str(q->topics[0].topic_name, topic_name) &&
           q->topics[0].partitions_n == 1 && q->topics[0].partitions[0].partition_index == 0;
}

/* All partitions of the request, each with an error when another one than the quorum's was asked
 * for, as Kafka answers. */
void controller_describe_quorum(struct controller_request *r)
{
    const struct describe_quorum_request *q = r->body;
    struct describe_quorum_response *resp = r->response;
    if (!controller_serves(r->c)) {
        controller_refuse(r, r->enveloped ? KE_NOT_CONTROLLER : KE_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    bool known = asks_for_quorum(q);
    resp->error_message = bytes_str("");
    resp->topics = proto_array(&r->arena, &describe_quorum_response_topic_data_desc,
                               (size_t)(q->topics_n > 0 ? q->topics_n : 0));
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct describe_quorum_request_topic_data *in = &q->topics[i];
        struct describe_quorum_response_topic_data *out = &resp->topics[resp->topics_n++];
        out->topic_name = in->topic_name;
        out->partitions = proto_array(&r->arena, &describe_quorum_response_partition_data_desc,
                                      (size_t)(in->partitions_n > 0 ? in->partitions_n : 0));
        for (int32_t k = 0; k < in->partitions_n; k++) {
            QUORUM_PART *p = &out->partitions[out->partitions_n++];
            p->partition_index = in->partitions[k].partition_index;
            if (known) {
                p->error_message = bytes_str("");
                describe_partition(r, p);
            } else {
                p->error_code = KE_UNKNOWN_TOPIC_OR_PARTITION;
                p->error_message = bytes_str("only partition 0 of __cluster_metadata has a quorum");
            }
        }
    }
    if (known && r->hdr.version >= NODES_FROM) {
        describe_nodes(r, resp);
    }
    controller_answer(r);
}
