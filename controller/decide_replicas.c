/* What brokers say about replicas that they have: AlterPartition (the leader's view of the ISR),
 * AssignReplicasToDirs, and the blocks of producer ids. */
#include "controller/partition_change.h"
#include "proto_errors.h"
#include "proto_features.h"

enum { RECOVERED = 0, RECOVERING = 1, ISR_WITH_EPOCHS_FROM = 3 };

/* ---- AlterPartition ---- */

#define ALTER        struct alter_partition_request_partition_data
#define ALTER_RESULT struct alter_partition_response_partition_data
#define MEMBER       struct alter_partition_request_broker_state

static int16_t check_epochs(const struct image_partition *p, int32_t broker, const ALTER *in)
{
    if (in->leader_epoch > p->leader_epoch || in->partition_epoch > p->partition_epoch) {
        return KE_NOT_CONTROLLER; /* it knows more than this controller: another one leads */
    }
    if (in->leader_epoch < p->leader_epoch) {
        return KE_FENCED_LEADER_EPOCH;
    }
    if (broker != p->leader) {
        return KE_INVALID_REQUEST;
    }
    return in->partition_epoch < p->partition_epoch ? KE_INVALID_UPDATE_VERSION : KE_NONE;
}

static int16_t check_isr(const struct decision *d, const struct image_partition *p, int32_t broker,
                         const ALTER *in, const MEMBER *isr, int32_t n)
{
    bool leader_in = false;
    for (int32_t i = 0; i < n; i++) {
        leader_in = leader_in || isr[i].broker_id == broker;
        if (!id_in(p->replicas, p->replicas_n, isr[i].broker_id)) {
            return KE_INVALID_REQUEST;
        }
        for (int32_t k = 0; k < i; k++) {
            if (isr[i].broker_id == isr[k].broker_id) {
                return KE_INVALID_REQUEST;
            }
        }
    }
    if (!leader_in ||
        (in->leader_recovery_state != RECOVERED && in->leader_recovery_state != RECOVERING) ||
        (in->leader_recovery_state == RECOVERING &&
         (n > 1 || p->leader_recovery_state == RECOVERED))) {
        return KE_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < n; i++) {
        const struct image_broker *b = image_broker(d->img, isr[i].broker_id);
        bool same = isr[i].broker_epoch == -1 || (b && b->epoch == isr[i].broker_epoch);
        if (!decide_is_active(d, isr[i].broker_id) || !same) {
            return KE_INELIGIBLE_REPLICA;
        }
    }
    return KE_NONE;
}

/* Version 2 names the brokers only. */
static const MEMBER *members(struct decision *d, int16_t version, const ALTER *in, int32_t *n)
{
    if (version >= ISR_WITH_EPOCHS_FROM) {
        *n = in->new_isr_with_epochs_n;
        return in->new_isr_with_epochs;
    }
    *n = in->new_isr_n;
    MEMBER *v = proto_array(d->arena, &alter_partition_request_broker_state_desc,
                            (size_t)(*n > 0 ? *n : 0));
    for (int32_t i = 0; i < *n; i++) {
        v[i].broker_id = in->new_isr[i];
        v[i].broker_epoch = -1;
    }
    return v;
}

static void answer_state(const struct partition_change *c, const struct partition_change_record *r,
                         bool changed, ALTER_RESULT *out)
{
    const struct image_partition *p = c->p;
    bool moved = changed && r->leader != -2;
    out->leader_id = moved ? r->leader : p->leader;
    out->leader_epoch = p->leader_epoch + moved;
    out->isr = changed && r->isr_n >= 0 ? r->isr : (int32_t *)(uintptr_t)p->isr;
    out->isr_n = changed && r->isr_n >= 0 ? r->isr_n : (int32_t)p->isr_n;
    out->leader_recovery_state = changed && r->leader_recovery_state >= 0
                                     ? r->leader_recovery_state
                                     : p->leader_recovery_state;
    out->partition_epoch = p->partition_epoch + changed;
}

static int16_t alter(struct decision *d, int16_t version, int32_t broker,
                     const struct image_topic *t, const ALTER *in, ALTER_RESULT *out)
{
    const struct image_partition *p = t ? image_partition(t, in->partition_index) : NULL;
    struct partition_change c;
    struct partition_change_record r;
    if (p == NULL) {
        return t ? KE_UNKNOWN_TOPIC_OR_PARTITION : KE_UNKNOWN_TOPIC_ID;
    }
    int32_t n;
    const MEMBER *isr = members(d, version, in, &n);
    int16_t code = check_epochs(p, broker, in);
    code = code ? code : check_isr(d, p, broker, in, isr, n);
    if (code) {
        return code;
    }
    partition_change_init(&c, d, t, p);
    c.isr = (struct id_set){ARENA_ARRAY(d->arena, int32_t, n), (uint32_t)n};
    for (int32_t i = 0; i < n; i++) {
        c.isr.v[i] = isr[i].broker_id;
    }
    if (decide_joins_full(d, t, p, c.isr.v, c.isr.n)) {
        return KE_INELIGIBLE_REPLICA;
    }
    c.recovery = in->leader_recovery_state;
    bool changed = partition_change_build(&c, &r);
    if (changed) {
        decision_add(d, &partition_change_record_msg, decide_version(d)->partition_change_record,
                     &r);
    }
    if (changed && r.leader != -2 && r.leader != broker) {
        return KE_NEW_LEADER_ELECTED; /* the end of a reassignment: the metadata says the rest */
    }
    answer_state(&c, &r, changed, out);
    return KE_NONE;
}

void decide_alter_partition(struct decision *d, int16_t version, const void *request,
                            void *response)
{
    const struct alter_partition_request *q = request;
    struct alter_partition_response *resp = response;
    if (q->topics_n <= 0) {
        return;
    }
    resp->error_code = decide_broker_epoch(d, q->broker_id, q->broker_epoch);
    if (resp->error_code) {
        return;
    }
    d->splittable = true;
    resp->topics =
        proto_array(d->arena, &alter_partition_response_topic_data_desc, (size_t)q->topics_n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct alter_partition_request_topic_data *in = &q->topics[i];
        struct alter_partition_response_topic_data *out = &resp->topics[resp->topics_n++];
        const struct image_topic *t = image_topic_by_id(d->img, in->topic_id);
        out->topic_id = in->topic_id;
        out->partitions = proto_array(d->arena, &alter_partition_response_partition_data_desc,
                                      (size_t)(in->partitions_n > 0 ? in->partitions_n : 0));
        for (int32_t k = 0; k < in->partitions_n; k++) {
            ALTER_RESULT *p = &out->partitions[out->partitions_n++];
            p->partition_index = in->partitions[k].partition_index;
            p->error_code = alter(d, version, q->broker_id, t, &in->partitions[k], p);
        }
    }
}

/* ---- AssignReplicasToDirs ---- */

#define ASSIGN        struct assign_replicas_to_dirs_request_topic_data
#define ASSIGN_RESULT struct assign_replicas_to_dirs_response_topic_data

static bool is_online(const struct image_broker *b, struct uuid dir)
{
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        if (uuid_eq(b->log_dirs[i], dir)) {
            return true;
        }
    }
    return false;
}

static int16_t assign(struct decision *d, const struct image_broker *b, struct uuid dir,
                      const struct image_topic *t, int32_t index)
{
    const struct image_partition *p = t ? image_partition(t, index) : NULL;
    struct partition_change c;
    if (p == NULL) {
        return t ? KE_UNKNOWN_TOPIC_OR_PARTITION : KE_UNKNOWN_TOPIC_ID;
    }
    struct uuid *dirs = ARENA_ARRAY(d->arena, struct uuid, p->replicas_n + 1);
    bool found = false;
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        bool its = p->replicas[i] == b->id;
        dirs[i] = its ? dir : p->directories[i];
        found = found || its;
    }
    if (!found) {
        return KE_NOT_LEADER_OR_FOLLOWER;
    }
    partition_change_init(&c, d, t, p);
    c.directories = dirs;
    c.election = ELECT_ONLINE;
    if (!is_online(b, dir)) {
        c.isr = id_without(d->arena, p->isr, p->isr_n, b->id);
    }
    partition_change_add(&c);
    return KE_NONE;
}

static void assign_topic(struct decision *d, const struct image_broker *b, struct uuid dir,
                         const ASSIGN *in, ASSIGN_RESULT *out)
{
    const struct image_topic *t = image_topic_by_id(d->img, in->topic_id);
    out->topic_id = in->topic_id;
    out->partitions = proto_array(d->arena, &assign_replicas_to_dirs_response_partition_data_desc,
                                  (size_t)(in->partitions_n > 0 ? in->partitions_n : 0));
    for (int32_t i = 0; i < in->partitions_n; i++) {
        out->partitions[i].partition_index = in->partitions[i].partition_index;
        out->partitions[i].error_code = assign(d, b, dir, t, in->partitions[i].partition_index);
        out->partitions_n++;
    }
}

void decide_assign_dirs(struct decision *d, const void *request, void *response)
{
    const struct assign_replicas_to_dirs_request *q = request;
    struct assign_replicas_to_dirs_response *resp = response;
    resp->error_code = decide_broker_epoch(d, q->broker_id, q->broker_epoch);
    if (resp->error_code) {
        return;
    }
    const struct image_broker *b = image_broker(d->img, q->broker_id);
    d->splittable = true;
    resp->directories = proto_array(d->arena, &assign_replicas_to_dirs_response_directory_data_desc,
                                    (size_t)(q->directories_n > 0 ? q->directories_n : 0));
    for (int32_t i = 0; i < q->directories_n; i++) {
        const struct assign_replicas_to_dirs_request_directory_data *in = &q->directories[i];
        struct assign_replicas_to_dirs_response_directory_data *out =
            &resp->directories[resp->directories_n++];
        out->id = in->id;
        out->topics = proto_array(d->arena, &assign_replicas_to_dirs_response_topic_data_desc,
                                  (size_t)(in->topics_n > 0 ? in->topics_n : 0));
        for (int32_t k = 0; k < in->topics_n; k++) {
            assign_topic(d, b, in->id, &in->topics[k], &out->topics[out->topics_n++]);
        }
    }
}

/* ---- AllocateProducerIds ---- */

void decide_allocate_producer_ids(struct decision *d, const void *request, void *response)
{
    const struct allocate_producer_ids_request *q = request;
    struct allocate_producer_ids_response *resp = response;
    struct producer_ids_record r;
    resp->error_code = decide_broker_epoch(d, q->broker_id, q->broker_epoch);
    if (resp->error_code) {
        return;
    }
    if (d->img->next_producer_id > INT64_MAX - PRODUCER_ID_BLOCK) {
        resp->error_code = KE_UNKNOWN_SERVER_ERROR;
        return;
    }
    proto_msg_init(&producer_ids_record_msg, &r);
    r.broker_id = q->broker_id;
    r.broker_epoch = q->broker_epoch;
    r.next_producer_id = d->img->next_producer_id + PRODUCER_ID_BLOCK;
    decision_add(d, &producer_ids_record_msg, 0, &r);
    resp->producer_id_start = d->img->next_producer_id;
    resp->producer_id_len = PRODUCER_ID_BLOCK;
}
