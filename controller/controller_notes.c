/* What the log of the active controller says of what it refuses other nodes: who asked, what it
 * said and what holds instead. The other end logs the answer's code. A peer can cause all of it, as
 * often as it likes: each kind has a limit of its own, so that none hides another.
 *
 * Levels. What no order of messages between sound nodes explains is a warning, once a minute as it
 * stays until somebody acts. A leader whose proposal of an in-sync set was overtaken by an election
 * or by a step of a reassignment is such an order, of which every fail-over has some: info, as many
 * lines a second as log_limited lets pass (Kafka: debug). */
#include <stdio.h>

#include "controller/controller_private.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { CLUSTER_ID_SHOWN = 64 };

/* A cluster id as a peer gave it: no longer than is worth reading. */
#define SHOWN_ID(b) \
    (b).len > CLUSTER_ID_SHOWN ? CLUSTER_ID_SHOWN : (int)(b).len, (const char *)(b).data

/* ---- registrations ---- */

/* Each is said as seldom as if it were alone. */
static const struct refusal {
    int16_t code;
    const char *why;
} refusals[CONTROLLER_REFUSALS] = {
    {KE_INCONSISTENT_CLUSTER_ID, "it belongs to another cluster"},
    {KE_DUPLICATE_BROKER_REGISTRATION,
     "another process under its id lives, or has ended less than a session ago"},
    {KE_INVALID_REGISTRATION, "it names no listener, or no log directories of its own"},
    {KE_UNSUPPORTED_VERSION, "it does not know the cluster's features at their levels"},
    {KE_NONE, "the registration cannot be taken"}, /* any other code */
};

static size_t refusal_of(int16_t code)
{
    size_t i = 0;
    while (i < CONTROLLER_REFUSALS - 1 && refusals[i].code != code) {
        i++;
    }
    return i;
}

/* Who has the id: where it listens, since which epoch, and how long ago it was heard of. */
static void describe_holder(const struct controller *c, int32_t broker, char *out, size_t size)
{
    const struct image_broker *b = image_broker(c->newest, broker);
    const struct session_of_broker *s = sessions_find(&c->sessions, broker);
    out[0] = '\0';
    if (b && b->endpoints_n > 0 && s) {
        snprintf(out, size, " holder=%.*s:%u holder_epoch=%lld heard_ms_ago=%lld",
                 BYTES_FMT(b->endpoints[0].host), b->endpoints[0].port, (long long)b->epoch,
                 (long long)(shard_now_ms(c->shard) - s->contact_ms));
    }
}

/* The broker stops for good or tries again. */
static void note_registration(struct controller *c, const struct broker_registration_request *q,
                              int16_t code)
{
    size_t why = refusal_of(code);
    char holder[400] = "";
    if (code == KE_NONE || code == KE_REQUEST_TIMED_OUT) { /* that one only comes a little later */
        return;
    }
    if (code == KE_DUPLICATE_BROKER_REGISTRATION) {
        describe_holder(c, q->broker_id, holder, sizeof holder);
    }
    log_seldom(c->log, &c->notes.refused[why], LOG_WARN, "controller",
               "a broker's registration is refused: %s broker=%d cluster_id=%.*s error=%s%s",
               refusals[why].why, (int)q->broker_id, SHOWN_ID(q->cluster_id),
               kafka_error_name(code), holder);
}

static void note_controller(struct controller *c, const struct controller_registration_request *q,
                            const struct controller_registration_response *resp)
{
    if (resp->error_code != KE_NONE) {
        log_seldom(c->log, &c->notes.twins, LOG_WARN, "controller",
                   "a controller's registration is refused: %.*s controller=%d error=%s",
                   BYTES_FMT(resp->error_message), (int)q->controller_id,
                   kafka_error_name(resp->error_code));
    }
}

/* ---- epochs of brokers ---- */

/* A process that another one has replaced, or one that was unregistered. */
static void note_epoch(struct controller *c, enum controller_stale which, int16_t code,
                       int32_t broker, int64_t epoch)
{
    static const char *const names[CONTROLLER_STALE] = {
        "BrokerHeartbeat", "AlterPartition", "AssignReplicasToDirs", "AllocateProducerIds"};
    const struct image_broker *b = image_broker(c->newest, broker);
    if (code == KE_STALE_BROKER_EPOCH) {
        log_seldom(c->log, &c->notes.stale[which], LOG_WARN, "controller",
                   "a broker's request is refused: %s api=%s broker=%d epoch=%lld "
                   "registered_epoch=%lld error=%s",
                   b ? "its epoch is not that of the registration" : "it is not registered",
                   names[which], (int)broker, (long long)epoch, b ? (long long)b->epoch : -1LL,
                   kafka_error_name(code));
    }
}

/* ---- in-sync sets ---- */

static const char *why_not_altered(int16_t code)
{
    switch (code) {
    case KE_NOT_CONTROLLER:
        return "it knows of a later epoch than this controller";
    case KE_FENCED_LEADER_EPOCH:
        return "its leader epoch is over";
    case KE_INVALID_UPDATE_VERSION:
        return "its partition epoch is over";
    case KE_INELIGIBLE_REPLICA:
        return "a member is not active, or registered under another epoch";
    case KE_UNKNOWN_TOPIC_ID:
    case KE_UNKNOWN_TOPIC_OR_PARTITION:
        return "there is no such partition";
    default: /* KE_INVALID_REQUEST */
        return "it does not lead, or the set is none of its replicas";
    }
}

static void note_alter(struct controller *c, int32_t broker, struct uuid topic,
                       const struct alter_partition_request_partition_data *in, int16_t code)
{
    const struct image_topic *t = image_topic_by_id(c->newest, topic);
    const struct image_partition *p = t ? image_partition(t, in->partition_index) : NULL;
    char id[UUID_TEXT];
    struct bytes name = t ? t->name : bytes_str(uuid_text(topic, id));
    log_limited(
        c->log, &c->notes.alter, code == KE_INVALID_REQUEST ? LOG_WARN : LOG_INFO, "controller",
        "an in-sync set is refused: %s partition=%.*s-%d broker=%d leader_epoch=%d "
        "partition_epoch=%d leader=%d known_leader_epoch=%d known_partition_epoch=%d "
        "error=%s",
        why_not_altered(code), BYTES_FMT(name), (int)in->partition_index, (int)broker,
        (int)in->leader_epoch, (int)in->partition_epoch, p ? (int)p->leader : -1,
        p ? (int)p->leader_epoch : -1, p ? (int)p->partition_epoch : -1, kafka_error_name(code));
}

static void note_alters(struct controller *c, const struct alter_partition_request *q,
                        const struct alter_partition_response *resp)
{
    for (int32_t i = 0; i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            int16_t code = resp->topics[i].partitions[k].error_code;
            if (code != KE_NONE && code != KE_NEW_LEADER_ELECTED) { /* that one was taken */
                note_alter(c, q->broker_id, q->topics[i].topic_id, &q->topics[i].partitions[k],
                           code);
            }
        }
    }
}

/* ---- all of them ---- */

void controller_note_refusal(const struct controller_request *r)
{
    struct controller *c = r->c;
    switch (r->hdr.api_key) {
    case API_BROKER_REGISTRATION:
        note_registration(c, r->body,
                          ((const struct broker_registration_response *)r->response)->error_code);
        break;
    case API_CONTROLLER_REGISTRATION:
        note_controller(c, r->body, r->response);
        break;
    case API_BROKER_HEARTBEAT: {
        const struct broker_heartbeat_request *q = r->body;
        const struct broker_heartbeat_response *resp = r->response;
        note_epoch(c, STALE_HEARTBEAT, resp->error_code, q->broker_id, q->broker_epoch);
        break;
    }
    case API_ALTER_PARTITION: {
        const struct alter_partition_request *q = r->body;
        const struct alter_partition_response *resp = r->response;
        note_epoch(c, STALE_ALTER, resp->error_code, q->broker_id, q->broker_epoch);
        note_alters(c, q, resp);
        break;
    }
    case API_ASSIGN_REPLICAS_TO_DIRS: {
        const struct assign_replicas_to_dirs_request *q = r->body;
        const struct assign_replicas_to_dirs_response *resp = r->response;
        note_epoch(c, STALE_ASSIGN, resp->error_code, q->broker_id, q->broker_epoch);
        break;
    }
    case API_ALLOCATE_PRODUCER_IDS: {
        const struct allocate_producer_ids_request *q = r->body;
        const struct allocate_producer_ids_response *resp = r->response;
        note_epoch(c, STALE_PRODUCER_IDS, resp->error_code, q->broker_id, q->broker_epoch);
        break;
    }
    default:
        break;
    }
}

/* ---- who follows the log ---- */

void controller_note_foreign(struct controller *c, const char *what, int32_t node,
                             struct bytes cluster_id)
{
    log_seldom(c->log, &c->notes.foreign, LOG_WARN, "controller",
               "a %s of the metadata is refused: it belongs to another cluster node=%d "
               "cluster_id=%.*s own_cluster_id=%s error=%s",
               what, (int)node, SHOWN_ID(cluster_id), c->cfg.cluster_id,
               kafka_error_name(KE_INCONSISTENT_CLUSTER_ID));
}

/* The broker part of a voter's process follows from the voter's directory. */
void controller_note_follower(struct controller *c, int32_t node, struct uuid directory)
{
    char its[UUID_TEXT];
    char known[UUID_TEXT];
    struct uuid of_voter = UUID_ZERO;
    if (node == c->cfg.node_id) {
        of_voter = c->cfg.directory_id;
    } else if (c->peers) {
        of_voter = peers_directory(c->peers, node);
    }
    if (!uuid_is_zero(of_voter) && !uuid_is_zero(directory) && !uuid_eq(of_voter, directory)) {
        log_seldom(c->log, &c->notes.doubles, LOG_WARN, "controller",
                   "a node follows the metadata under a voter's id and from another directory: two "
                   "nodes have one node.id, or the voter's disk is new node=%d directory=%s "
                   "voter_directory=%s",
                   (int)node, uuid_text(directory, its), uuid_text(of_voter, known));
    }
}
