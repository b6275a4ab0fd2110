/* Decisions about topics, partitions and settings: each of Kafka's error codes, and what a good
 * request leaves. The recorded exchanges (tests/data/vectors/sessions) are played against a whole
 * node; here is what they do not reach. */
#include "decide_rig.h"

static const int32_t one[] = {1};

static void cluster_of(struct rig *r, int32_t brokers)
{
    rig_cluster(r);
    for (int32_t i = 1; i <= brokers; i++) {
        rig_broker(r, i);
    }
}

/* ---- CreateTopics ---- */

static int16_t create(struct rig *r, const char *name, int32_t n, int16_t replicas)
{
    struct create_topics_request q;
    rig_topic_request(r, &q, name, n, replicas);
    int16_t code = rig_create(r, &q)->error_code;
    assert_int_equal(code == 0, image_topic_by_name(r->img, bytes_str(name)) != NULL);
    assert_true(code == 0 || r->n == 0);
    return code;
}

static void numbers_are_checked(void **state)
{
    UNUSED(state);
    struct rig r;
    cluster_of(&r, 2);
    assert_int_equal(KE_INVALID_PARTITIONS, create(&r, "a", 0, 1));
    assert_int_equal(KE_INVALID_PARTITIONS, create(&r, "a", -2, 1));
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, create(&r, "a", 1, 0));
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, create(&r, "a", 1, -2));
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, create(&r, "a", 1, 3));
    assert_int_equal(KE_POLICY_VIOLATION, create(&r, "a", 10001, 1));
    assert_int_equal(KE_INVALID_REQUEST, create(&r, "__cluster_metadata", 1, 1));
    assert_int_equal(0, create(&r, "a", 7, 2));
    const struct image_topic *t = image_topic_by_name(r.img, bytes_str("a"));
    assert_int_equal(7, t->partitions_n);
    for (int32_t i = 0; i < 7; i++) {
        const struct image_partition *p = image_partition(t, i);
        assert_int_equal(2, p->replicas_n);
        assert_int_equal(2, p->isr_n);
        assert_int_equal(p->replicas[0], p->leader);
        assert_true(uuid_eq(p->directories[0], rig_uuid((uint8_t)(200 + p->replicas[0]))));
    }
    rig_free(&r);
}

static void without_a_living_broker_there_are_no_topics(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_cluster(&r);
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, create(&r, "a", 1, 1));
    rig_register(&r, 1, 1, -1); /* fenced */
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, create(&r, "a", 1, 1));
    rig_heartbeat(&r, 1, r.offset, false, false);
    assert_int_equal(0, create(&r, "a", 1, 1));
    rig_free(&r);
}

static void a_fenced_replica_is_not_in_the_isr(void **state)
{
    UNUSED(state);
    static const int32_t both[] = {2, 1};
    struct rig r;
    cluster_of(&r, 1);
    rig_register(&r, 2, 2, -1);
    rig_topic(&r, "a", both, 2);
    RIG_PARTITION(&r, "a", 1, "1", "");
    rig_free(&r);
}

static void names_that_collide_are_refused(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_topics_request q;
    cluster_of(&r, 1);
    assert_int_equal(0, create(&r, "a.b", 1, 1));
    assert_int_equal(KE_INVALID_TOPIC_EXCEPTION, create(&r, "a_b", 1, 1));
    assert_int_equal(0, create(&r, "ab", 1, 1));
    /* two of one request: Kafka lets them be */
    rig_topic_request(&r, &q, "x.y", 1, 1);
    q.topics[1] = q.topics[0];
    q.topics[1].name = bytes_str("x_y");
    q.topics_n = 2;
    const struct create_topics_response_creatable_topic_result *out = rig_create(&r, &q);
    assert_int_equal(0, out[0].error_code);
    assert_int_equal(0, out[1].error_code);
    assert_int_equal(0, create(&r, "x__y", 1, 1));
    assert_int_equal(KE_INVALID_TOPIC_EXCEPTION, create(&r, "x._y", 1, 1));
    rig_free(&r);
}

static void validating_only_leaves_nothing(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_topics_request q;
    cluster_of(&r, 1);
    rig_topic_request(&r, &q, "a", 5, 1);
    q.validate_only = true;
    const struct create_topics_response_creatable_topic_result *out = rig_create(&r, &q);
    assert_int_equal(0, out->error_code);
    assert_int_equal(5, out->num_partitions);
    assert_int_equal(0, r.n);
    assert_null(image_topic_by_name(r.img, bytes_str("a")));
    rig_free(&r);
}

static void settings_of_a_new_topic(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_topics_request q;
    cluster_of(&r, 1);
    struct create_topics_request_creatable_topic *t = rig_topic_request(&r, &q, "a", 1, 1);
    t->configs = proto_array(&r.arena, &create_topics_request_creatable_topic_config_desc, 3);
    t->configs_n = 3;
    t->configs[0].name = bytes_str("retention.ms");
    t->configs[0].value = bytes_str("5");
    t->configs[1].name = bytes_str("min.insync.replicas");
    t->configs[1].value = bytes_str("1");
    t->configs[2].name = bytes_str("retention.ms"); /* the last one holds */
    t->configs[2].value = bytes_str("6");
    const struct create_topics_response_creatable_topic_result *out = rig_create(&r, &q);
    assert_int_equal(0, out->error_code);
    assert_int_equal(2, out->configs_n);
    assert_int_equal(5, r.n); /* Topic, two Configs, ClearElr, Partition */
    assert_int_equal(0, strncmp("Topic ", r.records[0], 6));
    assert_int_equal(0, strncmp("Config ", r.records[1], 7));
    assert_int_equal(0, strncmp("ClearElr ", r.records[3], 9));
    assert_true(bytes_eq_str(
        image_config_value(r.img, CONFIG_TOPIC, bytes_str("a"), bytes_str("retention.ms")), "6"));
    t->name = bytes_str("b");
    t->configs[0].name = bytes_str("bad");
    out = rig_create(&r, &q);
    assert_int_equal(KE_INVALID_CONFIG, out->error_code);
    assert_int_equal(0, r.n);
    t->configs[0].name = bytes_str("compression.type");
    t->configs[0].value = BYTES_NULL;
    assert_int_equal(KE_INVALID_CONFIG, rig_create(&r, &q)->error_code);
    rig_free(&r);
}

static int16_t create_by_hand(struct rig *r, int32_t index, const int32_t *ids, int32_t n,
                              const int32_t *more, int32_t more_n)
{
    struct create_topics_request q;
    struct create_topics_request_creatable_topic *t = rig_topic_request(r, &q, "hand", -1, -1);
    t->assignments =
        proto_array(&r->arena, &create_topics_request_creatable_replica_assignment_desc, 2);
    t->assignments_n = more ? 2 : 1;
    t->assignments[0].partition_index = index;
    t->assignments[0].broker_ids = (int32_t *)(uintptr_t)ids;
    t->assignments[0].broker_ids_n = n;
    t->assignments[1].partition_index = 1;
    t->assignments[1].broker_ids = (int32_t *)(uintptr_t)more;
    t->assignments[1].broker_ids_n = more_n;
    return rig_create(r, &q)->error_code;
}

static void replicas_by_hand_are_checked(void **state)
{
    UNUSED(state);
    static const int32_t twice[] = {1, 1}, unknown[] = {77}, two[] = {1, 2}, asleep[] = {3};
    struct rig r;
    cluster_of(&r, 2);
    rig_register(&r, 3, 3, -1);
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 1, one, 1, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, -1, one, 1, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 1, one, 1, one, 1));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 0, twice, 2, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 0, unknown, 1, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 0, NULL, 0, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 0, asleep, 1, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, create_by_hand(&r, 0, two, 2, one, 1));
    assert_int_equal(0, create_by_hand(&r, 0, two, 2, two, 2));
    rig_free(&r);
}

/* ---- CreatePartitions ---- */

static int16_t grow(struct rig *r, const char *name, int32_t count, const int32_t *ids, int32_t n)
{
    struct create_partitions_request q;
    struct create_partitions_response resp;
    proto_msg_init(&create_partitions_request_msg, &q);
    proto_msg_init(&create_partitions_response_msg, &resp);
    q.topics = proto_array(&r->arena, &create_partitions_request_create_partitions_topic_desc, 1);
    q.topics_n = 1;
    q.topics[0].name = bytes_str(name);
    q.topics[0].count = count;
    q.topics[0].assignments_n = -1;
    if (ids) {
        q.topics[0].assignments =
            proto_array(&r->arena, &create_partitions_request_create_partitions_assignment_desc, 1);
        q.topics[0].assignments_n = 1;
        q.topics[0].assignments[0].broker_ids = (int32_t *)(uintptr_t)ids;
        q.topics[0].assignments[0].broker_ids_n = n;
    }
    rig_run(r, decide_create_partitions, &q, &resp);
    assert_int_equal(1, resp.results_n);
    return resp.results[0].error_code;
}

static void topics_grow(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {2, 1};
    struct rig r;
    cluster_of(&r, 2);
    assert_int_equal(0, create(&r, "a", 2, 2));
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, grow(&r, "b", 3, NULL, 0));
    assert_int_equal(KE_INVALID_PARTITIONS, grow(&r, "a", 2, NULL, 0));
    assert_int_equal(KE_INVALID_PARTITIONS, grow(&r, "a", 1, NULL, 0));
    assert_int_equal(KE_INVALID_PARTITIONS, grow(&r, "a", INT32_MAX, NULL, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, grow(&r, "a", 4, two, 2)); /* one for two */
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, grow(&r, "a", 3, one, 1)); /* other factor */
    assert_int_equal(0, grow(&r, "a", 3, two, 2));
    assert_int_equal(0, grow(&r, "a", 6, NULL, 0));
    const struct image_topic *t = image_topic_by_name(r.img, bytes_str("a"));
    assert_int_equal(6, t->partitions_n);
    assert_int_equal(2, image_partition(t, 2)->leader);
    assert_int_equal(2, image_partition(t, 5)->replicas_n);
    rig_free(&r);
}

/* ---- DeleteTopics ---- */

static void delete_v6(struct decision *d, const void *q, void *resp)
{
    decide_delete_topics(d, 6, q, resp);
}

static void delete_v4(struct decision *d, const void *q, void *resp)
{
    decide_delete_topics(d, 4, q, resp);
}

static void topics_are_deleted_by_name_and_id(void **state)
{
    UNUSED(state);
    struct rig r;
    struct delete_topics_request q;
    struct delete_topics_response resp;
    cluster_of(&r, 1);
    assert_int_equal(0, create(&r, "a", 1, 1));
    assert_int_equal(0, create(&r, "b", 1, 1));
    assert_int_equal(0, create(&r, "c", 1, 1));
    struct uuid a = image_topic_by_name(r.img, bytes_str("a"))->id;
    struct uuid b = image_topic_by_name(r.img, bytes_str("b"))->id;
    proto_msg_init(&delete_topics_request_msg, &q);
    proto_msg_init(&delete_topics_response_msg, &resp);
    q.topics = proto_array(&r.arena, &delete_topics_request_delete_topic_state_desc, 4);
    q.topics_n = 4;
    q.topics[0].name = bytes_str("a"); /* the same topic by both of its names */
    q.topics[1].topic_id = a;
    q.topics[2].topic_id = b;
    q.topics[3].name = bytes_str("none");
    rig_run(&r, delete_v6, &q, &resp);
    assert_int_equal(4, resp.responses_n);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[0].error_code);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[1].error_code);
    assert_int_equal(0, resp.responses[2].error_code);
    assert_true(bytes_eq_str(resp.responses[2].name, "b"));
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, resp.responses[3].error_code);
    assert_int_equal(2, r.img->topics_n);
    proto_msg_init(&delete_topics_response_msg, &resp);
    q.topics[0] = q.topics[1]; /* what names nothing, or all at once, is answered each time */
    q.topics[0].topic_id = q.topics[1].topic_id = UUID_ZERO;
    q.topics[2].name = bytes_str("c");
    q.topics[3].name = bytes_str("none");
    rig_run(&r, delete_v6, &q, &resp);
    assert_int_equal(4, resp.responses_n);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[0].error_code);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[1].error_code);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[2].error_code);
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, resp.responses[3].error_code);
    assert_int_equal(2, r.img->topics_n);
    proto_msg_init(&delete_topics_request_msg, &q);
    proto_msg_init(&delete_topics_response_msg, &resp);
    struct bytes names[] = {bytes_str("c"), bytes_str("b")};
    q.topic_names = names;
    q.topic_names_n = 2;
    rig_run(&r, delete_v4, &q, &resp);
    assert_int_equal(0, resp.responses[0].error_code);
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, resp.responses[1].error_code);
    assert_int_equal(1, r.img->topics_n);
    rig_free(&r);
}

/* ---- settings ---- */

enum { SET = 0, DELETE = 1, APPEND = 2, SUBTRACT = 3 };

static int16_t alter(struct rig *r, int8_t type, const char *resource, const char *name, int8_t op,
                     const char *value)
{
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_response resp;
    proto_msg_init(&incremental_alter_configs_request_msg, &q);
    proto_msg_init(&incremental_alter_configs_response_msg, &resp);
    q.resources =
        proto_array(&r->arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
    q.resources_n = 1;
    q.resources[0].resource_type = type;
    q.resources[0].resource_name = bytes_str(resource);
    q.resources[0].configs =
        proto_array(&r->arena, &incremental_alter_configs_request_alterable_config_desc, 1);
    q.resources[0].configs_n = 1;
    q.resources[0].configs[0].name = bytes_str(name);
    q.resources[0].configs[0].config_operation = op;
    q.resources[0].configs[0].value = bytes_str(value);
    rig_run(r, decide_incremental_alter_configs, &q, &resp);
    assert_int_equal(1, resp.responses_n);
    assert_true(resp.responses[0].error_code == 0 || r->n == 0);
    return resp.responses[0].error_code;
}

static void check_value(const struct rig *r, int8_t type, const char *resource, const char *name,
                        const char *want)
{
    struct bytes v = image_config_value(r->img, type, bytes_str(resource), bytes_str(name));
    assert_true(bytes_eq(bytes_str(want), v));
}

static void lists_are_edited(void **state)
{
    UNUSED(state);
    struct rig r;
    cluster_of(&r, 1);
    rig_topic(&r, "t", one, 1);
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", APPEND, "compact"));
    check_value(&r, CONFIG_TOPIC, "t", "cleanup.policy", "delete,compact"); /* the default first */
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", APPEND, "delete"));
    assert_int_equal(0, r.n); /* it is there */
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", SUBTRACT, "delete, x"));
    check_value(&r, CONFIG_TOPIC, "t", "cleanup.policy", "compact");
    /* cut at commas, nothing is trimmed: the validator sees " x" and the empty item */
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", APPEND, "a,, x,"));
    check_value(&r, CONFIG_TOPIC, "t", "cleanup.policy", "compact,a,, x");
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", SUBTRACT, "x,a,compact"));
    check_value(&r, CONFIG_TOPIC, "t", "cleanup.policy", " x");
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", APPEND, ""));
    check_value(&r, CONFIG_TOPIC, "t", "cleanup.policy", " x,");
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", DELETE, NULL));
    check_value(&r, CONFIG_TOPIC, "t", "cleanup.policy", NULL);
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "cleanup.policy", DELETE, NULL));
    assert_int_equal(0, r.n);
    assert_int_equal(KE_INVALID_CONFIG, alter(&r, CONFIG_TOPIC, "t", "retention.ms", APPEND, "1"));
    assert_int_equal(KE_INVALID_REQUEST, alter(&r, CONFIG_TOPIC, "t", "retention.ms", SET, NULL));
    assert_int_equal(KE_INVALID_CONFIG, alter(&r, CONFIG_TOPIC, "t", "bad", SET, "1"));
    assert_int_equal(-1, alter(&r, CONFIG_TOPIC, "t", "retention.ms", 9, "1"));
    rig_free(&r);
}

static void resources_must_exist(void **state)
{
    UNUSED(state);
    struct rig r;
    cluster_of(&r, 1);
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, alter(&r, CONFIG_TOPIC, "t", "a", SET, "1"));
    assert_int_equal(KE_BROKER_ID_NOT_REGISTERED, alter(&r, CONFIG_BROKER, "9", "a", SET, "1"));
    /* what is wrong with the setting itself is said first */
    assert_int_equal(KE_INVALID_CONFIG, alter(&r, CONFIG_TOPIC, "t", "bad", SET, "1"));
    assert_int_equal(KE_INVALID_CONFIG, alter(&r, CONFIG_BROKER, "9", "bad", SET, "1"));
    assert_int_equal(KE_INVALID_REQUEST, alter(&r, CONFIG_BROKER, "x", "a", SET, "1"));
    assert_int_equal(KE_INVALID_REQUEST, alter(&r, CONFIG_BROKER, "x", "bad", SET, "1"));
    assert_int_equal(KE_INVALID_REQUEST, alter(&r, CONFIG_BROKER_LOGGER, "1", "a", SET, "1"));
    assert_int_equal(KE_INVALID_REQUEST, alter(&r, 77, "1", "a", SET, "1"));
    assert_int_equal(0, alter(&r, CONFIG_GROUP, "g", "a", SET, "1"));
    assert_int_equal(0, alter(&r, CONFIG_CLIENT_METRICS, "m", "a", SET, "1"));
    assert_int_equal(0, alter(&r, CONFIG_BROKER, "1", "a", SET, "1"));
    assert_int_equal(0, alter(&r, CONFIG_BROKER, "1", "a", SET, "1"));
    assert_int_equal(1, r.n); /* a broker is told again */
    rig_free(&r);
}

static void the_least_isr_is_the_clusters(void **state)
{
    UNUSED(state);
    struct rig r;
    cluster_of(&r, 1);
    rig_topic(&r, "t", one, 1);
    assert_int_equal(KE_INVALID_CONFIG,
                     alter(&r, CONFIG_BROKER, "1", "min.insync.replicas", SET, "2"));
    assert_int_equal(KE_INVALID_CONFIG,
                     alter(&r, CONFIG_BROKER, "", "min.insync.replicas", DELETE, NULL));
    assert_int_equal(0, alter(&r, CONFIG_BROKER, "", "min.insync.replicas", SET, "2"));
    assert_int_equal(2, r.n);
    assert_string_equal("ClearElr {\"topicName\":\"\"}", r.records[1]);
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "min.insync.replicas", SET, "1"));
    assert_int_equal(2, r.n);
    assert_string_equal("ClearElr {\"topicName\":\"t\"}", r.records[1]);
    rig_free(&r);
}

static void the_old_request_replaces_all(void **state)
{
    UNUSED(state);
    struct rig r;
    struct alter_configs_request q;
    struct alter_configs_response resp;
    cluster_of(&r, 1);
    rig_topic(&r, "t", one, 1);
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "a", SET, "1"));
    assert_int_equal(0, alter(&r, CONFIG_TOPIC, "t", "b", SET, "2"));
    proto_msg_init(&alter_configs_request_msg, &q);
    proto_msg_init(&alter_configs_response_msg, &resp);
    q.resources = proto_array(&r.arena, &alter_configs_request_alter_configs_resource_desc, 1);
    q.resources_n = 1;
    q.resources[0].resource_type = CONFIG_TOPIC;
    q.resources[0].resource_name = bytes_str("t");
    q.resources[0].configs = proto_array(&r.arena, &alter_configs_request_alterable_config_desc, 1);
    q.resources[0].configs_n = 1;
    q.resources[0].configs[0].name = bytes_str("b");
    q.resources[0].configs[0].value = bytes_str("3");
    rig_run(&r, decide_alter_configs, &q, &resp);
    assert_int_equal(0, resp.responses[0].error_code);
    assert_int_equal(2, r.n);
    check_value(&r, CONFIG_TOPIC, "t", "a", NULL);
    check_value(&r, CONFIG_TOPIC, "t", "b", "3");
    rig_free(&r);
}

/* ---- AlterPartition ---- */

static void alter_v3(struct decision *d, const void *q, void *resp)
{
    decide_alter_partition(d, 3, q, resp);
}

struct wish {
    int32_t broker;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int8_t recovery;
    const int32_t *isr;
    int32_t n;
    int64_t epoch_of_3; /* 0: the right one */
};

static int16_t alter_partition(struct rig *r, const struct wish *w)
{
    struct alter_partition_request q;
    struct alter_partition_response resp;
    proto_msg_init(&alter_partition_request_msg, &q);
    proto_msg_init(&alter_partition_response_msg, &resp);
    q.broker_id = w->broker;
    q.broker_epoch = rig_epoch(r, w->broker);
    q.topics = proto_array(&r->arena, &alter_partition_request_topic_data_desc, 1);
    q.topics_n = 1;
    q.topics[0].topic_id = image_topic_by_name(r->img, bytes_str("t"))->id;
    q.topics[0].partitions =
        proto_array(&r->arena, &alter_partition_request_partition_data_desc, 1);
    q.topics[0].partitions_n = 1;
    struct alter_partition_request_partition_data *p = &q.topics[0].partitions[0];
    p->leader_epoch = w->leader_epoch;
    p->partition_epoch = w->partition_epoch;
    p->leader_recovery_state = w->recovery;
    p->new_isr_with_epochs =
        proto_array(&r->arena, &alter_partition_request_broker_state_desc, (size_t)w->n);
    p->new_isr_with_epochs_n = w->n;
    for (int32_t i = 0; i < w->n; i++) {
        const struct image_broker *b = image_broker(r->img, w->isr[i]);
        p->new_isr_with_epochs[i].broker_id = w->isr[i];
        p->new_isr_with_epochs[i].broker_epoch = w->isr[i] == 3 && w->epoch_of_3 ? w->epoch_of_3
                                                 : b                             ? b->epoch
                                                                                 : 0;
    }
    rig_run(r, alter_v3, &q, &resp);
    assert_int_equal(0, resp.error_code);
    const struct alter_partition_response_partition_data *out = &resp.topics[0].partitions[0];
    if (out->error_code == 0) { /* the answer is the new state */
        const struct image_partition *now = rig_partition(r, "t");
        assert_int_equal(now->leader, out->leader_id);
        assert_int_equal(now->leader_epoch, out->leader_epoch);
        assert_int_equal(now->partition_epoch, out->partition_epoch);
        assert_int_equal(now->isr_n, out->isr_n);
    } else {
        assert_int_equal(0, r->n);
    }
    return out->error_code;
}

static void the_leader_changes_the_isr(void **state)
{
    UNUSED(state);
    static const int32_t all[] = {1, 2, 3}, two[] = {1, 2}, without[] = {2, 3}, twice[] = {1, 1},
                         foreign[] = {1, 4};
    struct rig r;
    cluster_of(&r, 4);
    rig_topic(&r, "t", all, 3);
    assert_int_equal(0, alter_partition(&r, &(struct wish){1, 0, 0, 0, two, 2, 0}));
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    assert_int_equal(KE_INVALID_UPDATE_VERSION,
                     alter_partition(&r, &(struct wish){1, 0, 0, 0, all, 3, 0}));
    assert_int_equal(KE_NOT_CONTROLLER, alter_partition(&r, &(struct wish){1, 0, 2, 0, all, 3, 0}));
    assert_int_equal(KE_NOT_CONTROLLER, alter_partition(&r, &(struct wish){1, 1, 1, 0, all, 3, 0}));
    assert_int_equal(KE_INVALID_REQUEST,
                     alter_partition(&r, &(struct wish){2, 0, 1, 0, all, 3, 0}));
    assert_int_equal(KE_INVALID_REQUEST,
                     alter_partition(&r, &(struct wish){1, 0, 1, 0, without, 2, 0}));
    assert_int_equal(KE_INVALID_REQUEST,
                     alter_partition(&r, &(struct wish){1, 0, 1, 0, twice, 2, 0}));
    assert_int_equal(KE_INVALID_REQUEST,
                     alter_partition(&r, &(struct wish){1, 0, 1, 0, foreign, 2, 0}));
    assert_int_equal(KE_INVALID_REQUEST, /* recovering, but it has recovered */
                     alter_partition(&r, &(struct wish){1, 0, 1, 1, one, 1, 0}));
    assert_int_equal(KE_INELIGIBLE_REPLICA, /* 3 has registered anew since */
                     alter_partition(&r, &(struct wish){1, 0, 1, 0, all, 3, 1}));
    assert_int_equal(0, alter_partition(&r, &(struct wish){1, 0, 1, 0, all, 3, 0}));
    RIG_PARTITION(&r, "t", 1, "1,2,3", "");
    rig_heartbeat(&r, 3, r.offset, true, false); /* fenced: gone from the ISR, epoch 3 now */
    assert_int_equal(KE_INELIGIBLE_REPLICA,
                     alter_partition(&r, &(struct wish){1, 0, 3, 0, all, 3, 0}));
    rig_heartbeat(&r, 1, r.offset, true, false);
    RIG_PARTITION(&r, "t", 2, "2", "");
    assert_int_equal(KE_FENCED_LEADER_EPOCH,
                     alter_partition(&r, &(struct wish){1, 0, 3, 0, all, 3, 0}));
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(without_a_living_broker_there_are_no_topics),
        cmocka_unit_test(a_fenced_replica_is_not_in_the_isr),
        cmocka_unit_test(names_that_collide_are_refused),
        cmocka_unit_test(validating_only_leaves_nothing),
        cmocka_unit_test(settings_of_a_new_topic),
        cmocka_unit_test(replicas_by_hand_are_checked),
        cmocka_unit_test(topics_grow),
        cmocka_unit_test(topics_are_deleted_by_name_and_id),
        cmocka_unit_test(lists_are_edited),
        cmocka_unit_test(resources_must_exist),
        cmocka_unit_test(the_least_isr_is_the_clusters),
        cmocka_unit_test(the_old_request_replaces_all),
        cmocka_unit_test(the_leader_changes_the_isr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
