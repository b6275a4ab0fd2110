/* The rig of the decision tests: an image, and decisions on it whose records are applied at once,
 * as the controller does. Requests and answers are the generated structs; records are looked at as
 * JSON lines "Type {...}". */
#ifndef TESTS_DECIDE_RIG_H
#define TESTS_DECIDE_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "controller/bootstrap.h"
#include "controller/decide.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"

struct rig {
    struct image *img;
    struct image *before; /* of the last decision: its answer may point into it */
    struct controller_config cfg;
    struct config_validator validator;
    struct sessions sessions;
    struct prng rng;
    struct arena arena;
    int64_t now_ms;
    int64_t offset; /* of the next record */
    uint8_t ids;    /* uuids given out */
    /* of the last decision */
    char records[64][1024]; /* as JSON lines */
    size_t n;
    size_t total; /* records, also those beyond the lines */
};

static inline struct uuid rig_uuid(uint8_t n)
{
    struct uuid u = {{0x10, 0x20}};
    u.b[15] = n;
    return u;
}

static inline struct uuid rig_new_id(void *ctx)
{
    struct rig *r = ctx;
    return rig_uuid((uint8_t)(128 + r->ids++));
}

/* Settings as the tests need them: every name is good but "bad", lists are those that end in
 * "policy". */
static inline int16_t rig_validate(void *ctx, const struct image *img, int8_t type,
                                   struct bytes resource, const struct image_config_entry *entries,
                                   size_t n, const bool *changed, struct errmsg *em)
{
    UNUSED(ctx);
    UNUSED(img);
    UNUSED(type);
    UNUSED(resource);
    UNUSED(changed);
    for (size_t i = 0; i < n; i++) {
        assert_false(bytes_is_null(entries[i].value));
        assert_true(i == 0 || bytes_cmp(entries[i - 1].name, entries[i].name) < 0);
        if (bytes_eq_str(entries[i].name, "bad")) {
            errmsg_set(em, 0, "bad is no setting");
            return KE_INVALID_CONFIG;
        }
    }
    return 0;
}

static inline bool rig_is_list(void *ctx, const struct image *img, int8_t type, struct bytes name,
                               struct arena *a, struct bytes *inherited)
{
    UNUSED(ctx);
    UNUSED(img);
    UNUSED(type);
    UNUSED(a);
    *inherited = bytes_str("delete");
    return name.len > 6 && memcmp(name.data + name.len - 6, "policy", 6) == 0;
}

static inline size_t rig_effective(void *ctx, const struct image *img,
                                   const struct image_config_entry *own, size_t n, struct arena *a,
                                   const struct config_effective **out)
{
    UNUSED(ctx);
    UNUSED(img);
    struct config_effective *v = ARENA_ARRAY(a, struct config_effective, n + 1);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct config_effective){.name = own[i].name, .value = own[i].value, .source = 1};
    }
    *out = v;
    return n;
}

static inline void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    controller_config_init(&r->cfg);
    r->img = image_empty();
    r->cfg.node_id = 1;
    r->cfg.cluster_id = "cluster";
    r->validator = (struct config_validator){
        .validate = rig_validate, .is_list = rig_is_list, .effective_topic = rig_effective};
    r->cfg.validator = &r->validator;
    r->sessions.timeout_ms = 9000;
    r->now_ms = 1000;
    r->offset = 1;
    prng_seed(&r->rng, 1);
}

static inline void rig_free(struct rig *r)
{
    image_put(r->img);
    image_put(r->before);
    sessions_free(&r->sessions);
    arena_free(&r->arena);
}

static inline void rig_begin(struct rig *r, struct decision *d)
{
    decision_init(d);
    d->img = r->img;
    d->cfg = &r->cfg;
    d->sessions = &r->sessions;
    d->rng = &r->rng;
    d->new_id = rig_new_id;
    d->new_id_ctx = r;
    d->arena = &r->arena;
    d->now_ms = r->now_ms;
    d->next_offset = r->offset;
}

static inline void rig_note(struct rig *r, const struct proto_message *m, int16_t version,
                            const void *record)
{
    struct buf json = {0};
    proto_print_json(m, version, record, &json);
    if (r->n < ARRAY_LEN(r->records)) {
        const char *name = m->name;
        size_t len = strlen(name) - strlen("Record");
        snprintf(r->records[r->n++], sizeof r->records[0], "%.*s %s", (int)len, name,
                 buf_cstr(&json));
    }
    buf_free(&json);
}

/* Applies what the decision left, and frees it. */
static inline void rig_end(struct rig *r, struct decision *d)
{
    struct image_delta *delta = image_delta_new(r->img);
    struct errmsg em = {{0}};
    r->n = 0;
    r->total = d->n;
    for (size_t i = 0; i < d->n; i++) {
        const struct proto_message *m;
        int16_t version;
        void *record;
        assert_int_equal(0, proto_decode_metadata_record(decision_record(d, i), &r->arena, &m,
                                                         &version, &record));
        rig_note(r, m, version, record);
        if (m != &begin_transaction_record_msg && m != &end_transaction_record_msg &&
            image_delta_apply(delta, m, version, record, &em)) {
            fail_msg("%s", em.text);
        }
    }
    r->offset += (int64_t)d->n;
    struct image *next = image_delta_finish(delta, r->offset - 1, 1, 0);
    image_put(r->before);
    r->before = r->img;
    r->img = next;
    image_delta_put(delta);
    decision_free(d);
}

typedef void rig_decide(struct decision *d, const void *request, void *response);

static inline void rig_run(struct rig *r, rig_decide *decide, const void *request, void *response)
{
    struct decision d;
    rig_begin(r, &d);
    decide(&d, request, response);
    rig_end(r, &d);
}

static inline void rig_bootstrap(struct rig *r, const struct format_options *opt)
{
    struct bootstrap_features f;
    struct errmsg em = {{0}};
    struct decision d;
    struct bytes records[BOOTSTRAP_FEATURES_MAX];
    struct buf b[BOOTSTRAP_FEATURES_MAX] = {{0}};
    assert_int_equal(0, bootstrap_choose(opt, &f, &em));
    for (size_t i = 0; i < f.n; i++) {
        struct feature_level_record fr;
        proto_msg_init(&feature_level_record_msg, &fr);
        fr.name = bytes_str(f.v[i].name);
        fr.feature_level = f.v[i].level;
        assert_int_equal(
            0, proto_encode_metadata_record(&feature_level_record_msg, 0, &fr, &b[i], NULL));
        records[i] = buf_bytes(&b[i]);
    }
    rig_begin(r, &d);
    assert_int_equal(0, decide_bootstrap(&d, records, f.n, &em));
    rig_end(r, &d);
    for (size_t i = 0; i < f.n; i++) {
        buf_free(&b[i]);
    }
}

/* A new cluster of this release. */
static inline void rig_cluster(struct rig *r)
{
    struct format_options opt = {0};
    rig_init(r);
    rig_bootstrap(r, &opt);
}

/* ---- brokers ---- */

static inline void rig_registration(struct rig *r, struct broker_registration_request *q,
                                    int32_t broker, uint8_t incarnation)
{
    proto_msg_init(&broker_registration_request_msg, q);
    q->broker_id = broker;
    q->cluster_id = bytes_str("cluster");
    q->incarnation_id = rig_uuid(incarnation);
    q->listeners = proto_array(&r->arena, &broker_registration_request_listener_desc, 1);
    q->listeners_n = 1;
    q->listeners[0].name = bytes_str("PLAINTEXT");
    q->listeners[0].host = bytes_str("localhost");
    q->listeners[0].port = (uint16_t)(9000 + broker);
    q->features =
        proto_array(&r->arena, &broker_registration_request_feature_desc, proto_features_n);
    for (size_t i = 0; i < proto_features_n; i++) {
        q->features[i].name = bytes_str(proto_features[i].name);
        q->features[i].min_supported_version = proto_features[i].supported_min;
        q->features[i].max_supported_version = proto_features[i].supported_max;
    }
    q->features_n = (int32_t)proto_features_n;
    q->log_dirs = ARENA_ARRAY(&r->arena, struct uuid, 2);
    q->log_dirs[0] = rig_uuid((uint8_t)(200 + broker));
    q->log_dirs_n = 1;
}

static inline int16_t rig_register_as(struct rig *r, const struct broker_registration_request *q)
{
    struct broker_registration_response resp;
    proto_msg_init(&broker_registration_response_msg, &resp);
    rig_run(r, decide_broker_registration, q, &resp);
    return resp.error_code;
}

/* previous: the epoch under which it stopped in order; -1: it did not. */
static inline void rig_register(struct rig *r, int32_t broker, uint8_t incarnation,
                                int64_t previous)
{
    struct broker_registration_request q;
    rig_registration(r, &q, broker, incarnation);
    q.previous_broker_epoch = previous;
    assert_int_equal(0, rig_register_as(r, &q));
}

static inline int64_t rig_epoch(const struct rig *r, int32_t broker)
{
    const struct image_broker *b = image_broker(r->img, broker);
    assert_non_null(b);
    return b->epoch;
}

static inline struct broker_heartbeat_response
rig_heartbeat(struct rig *r, int32_t broker, int64_t offset, bool want_fence, bool want_shut_down)
{
    struct broker_heartbeat_request q;
    struct broker_heartbeat_response resp;
    proto_msg_init(&broker_heartbeat_request_msg, &q);
    proto_msg_init(&broker_heartbeat_response_msg, &resp);
    q.broker_id = broker;
    q.broker_epoch = rig_epoch(r, broker);
    q.current_metadata_offset = offset;
    q.want_fence = want_fence;
    q.want_shut_down = want_shut_down;
    rig_run(r, decide_broker_heartbeat, &q, &resp);
    return resp;
}

/* Registered and unfenced. */
static inline void rig_broker(struct rig *r, int32_t broker)
{
    rig_register(r, broker, (uint8_t)broker, -1);
    struct broker_heartbeat_response resp = rig_heartbeat(r, broker, r->offset - 1, false, false);
    assert_int_equal(0, resp.error_code);
    assert_false(resp.is_fenced);
}

static inline void rig_fence(struct rig *r, int32_t broker)
{
    assert_true(rig_heartbeat(r, broker, r->offset, true, false).is_fenced);
}

static inline void rig_unfence(struct rig *r, int32_t broker)
{
    assert_false(rig_heartbeat(r, broker, r->offset, false, false).is_fenced);
}

/* ---- topics ---- */

static inline struct create_topics_request_creatable_topic *
rig_topic_request(struct rig *r, struct create_topics_request *q, const char *name, int32_t n,
                  int16_t replicas)
{
    proto_msg_init(&create_topics_request_msg, q);
    q->topics = proto_array(&r->arena, &create_topics_request_creatable_topic_desc, 4);
    q->topics_n = 1;
    q->topics[0].name = bytes_str(name);
    q->topics[0].num_partitions = n;
    q->topics[0].replication_factor = replicas;
    return &q->topics[0];
}

static inline const struct create_topics_response_creatable_topic_result *
rig_create(struct rig *r, const struct create_topics_request *q)
{
    struct create_topics_response *resp = ARENA_NEW(&r->arena, struct create_topics_response);
    proto_msg_init(&create_topics_response_msg, resp);
    rig_run(r, decide_create_topics, q, resp);
    assert_true(resp->topics_n > 0);
    return resp->topics;
}

/* A topic of one partition with these replicas. */
static inline const struct image_topic *rig_topic(struct rig *r, const char *name,
                                                  const int32_t *replicas, int32_t n)
{
    struct create_topics_request q;
    struct create_topics_request_creatable_topic *t = rig_topic_request(r, &q, name, -1, -1);
    t->assignments =
        proto_array(&r->arena, &create_topics_request_creatable_replica_assignment_desc, 1);
    t->assignments_n = 1;
    t->assignments[0].broker_ids = (int32_t *)(uintptr_t)replicas;
    t->assignments[0].broker_ids_n = n;
    assert_int_equal(0, rig_create(r, &q)->error_code);
    return image_topic_by_name(r->img, bytes_str(name));
}

static inline const struct image_partition *rig_partition(const struct rig *r, const char *name)
{
    const struct image_topic *t = image_topic_by_name(r->img, bytes_str(name));
    assert_non_null(t);
    return image_partition(t, 0);
}

static inline void rig_check_ids(const int32_t *have, uint32_t n, const char *want)
{
    char text[128] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? "," : "", (int)have[i]);
    }
    assert_string_equal(want, text);
}

#define RIG_PARTITION(r, name, want_leader, want_isr, want_elr)         \
    do {                                                                \
        const struct image_partition *rp_ = rig_partition((r), (name)); \
        assert_int_equal((want_leader), rp_->leader);                   \
        rig_check_ids(rp_->isr, rp_->isr_n, (want_isr));                \
        rig_check_ids(rp_->elr, rp_->elr_n, (want_elr));                \
    } while (0)

/* The in-sync set that the leader would have: the answer for partition 0. */
static inline const struct alter_partition_response_partition_data *
rig_alter_isr(struct rig *r, const char *topic, const int32_t *isr, int32_t n)
{
    struct alter_partition_request q;
    struct alter_partition_response *resp = ARENA_NEW(&r->arena, struct alter_partition_response);
    const struct image_partition *p = rig_partition(r, topic);
    struct decision d;
    proto_msg_init(&alter_partition_request_msg, &q);
    proto_msg_init(&alter_partition_response_msg, resp);
    q.broker_id = p->leader;
    q.broker_epoch = rig_epoch(r, p->leader);
    q.topics = proto_array(&r->arena, &alter_partition_request_topic_data_desc, 1);
    q.topics_n = 1;
    q.topics[0].topic_id = image_topic_by_name(r->img, bytes_str(topic))->id;
    q.topics[0].partitions =
        proto_array(&r->arena, &alter_partition_request_partition_data_desc, 1);
    q.topics[0].partitions_n = 1;
    q.topics[0].partitions[0].leader_epoch = p->leader_epoch;
    q.topics[0].partitions[0].partition_epoch = p->partition_epoch;
    q.topics[0].partitions[0].new_isr = (int32_t *)(uintptr_t)isr;
    q.topics[0].partitions[0].new_isr_n = n;
    rig_begin(r, &d);
    decide_alter_partition(&d, 2, &q, resp);
    rig_end(r, &d);
    assert_int_equal(0, resp->error_code);
    return &resp->topics[0].partitions[0];
}
#define RIG_ISR(r, topic, ...)                                  \
    rig_alter_isr((r), (topic), (const int32_t[]){__VA_ARGS__}, \
                  (int32_t)(sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

/* topic NULL: all partitions. */
static inline const struct elect_leaders_response *rig_elect(struct rig *r, int16_t version,
                                                             int8_t type, const char *topic,
                                                             const int32_t *partitions, int32_t n)
{
    struct elect_leaders_request q;
    struct elect_leaders_response *resp = ARENA_NEW(&r->arena, struct elect_leaders_response);
    struct decision d;
    proto_msg_init(&elect_leaders_request_msg, &q);
    proto_msg_init(&elect_leaders_response_msg, resp);
    q.election_type = type;
    q.topic_partitions_n = -1;
    if (topic) {
        q.topic_partitions =
            proto_array(&r->arena, &elect_leaders_request_topic_partitions_desc, 1);
        q.topic_partitions_n = 1;
        q.topic_partitions[0].topic = bytes_str(topic);
        q.topic_partitions[0].partitions = (int32_t *)(uintptr_t)partitions;
        q.topic_partitions[0].partitions_n = n;
    }
    rig_begin(r, &d);
    decide_elect_leaders(&d, version, &q, resp);
    rig_end(r, &d);
    return resp;
}

static inline int16_t rig_elect_one(struct rig *r, int8_t type, const char *topic,
                                    int32_t partition)
{
    const struct elect_leaders_response *resp = rig_elect(r, 2, type, topic, &partition, 1);
    assert_int_equal(0, resp->error_code);
    assert_int_equal(1, resp->replica_election_results_n);
    assert_int_equal(1, resp->replica_election_results[0].partition_result_n);
    assert_int_equal(partition, resp->replica_election_results[0].partition_result[0].partition_id);
    return resp->replica_election_results[0].partition_result[0].error_code;
}

static inline void rig_set_config(struct rig *r, int8_t type, const char *resource,
                                  const char *name, const char *value)
{
    struct decision d;
    struct config_record c;
    rig_begin(r, &d);
    proto_msg_init(&config_record_msg, &c);
    c.resource_type = type;
    c.resource_name = bytes_str(resource);
    c.name = bytes_str(name);
    c.value = bytes_str(value);
    decision_add(&d, &config_record_msg, 0, &c);
    rig_end(r, &d);
}

#endif
