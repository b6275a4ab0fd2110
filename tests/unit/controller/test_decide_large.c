/* Requests with very many entries: a decision's work grows with their number, not with its square.
 * A quadratic one would take minutes where these take a moment. */
#include "decide_rig.h"

enum { MANY = 100000 };

static const int32_t one[] = {1};

static struct bytes numbered(struct rig *r, const char *prefix, int n)
{
    char *text = arena_printf(&r->arena, "%s%d", prefix, n);
    return bytes_str(text);
}

static void many_topics_are_created(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_topics_request q;
    struct create_topics_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    rig_topic(&r, "a_7", one, 1);
    proto_msg_init(&create_topics_request_msg, &q);
    q.topics = proto_array(&r.arena, &create_topics_request_creatable_topic_desc, MANY);
    q.topics_n = MANY;
    for (int i = 0; i < MANY; i++) { /* every one twice; none can be made */
        q.topics[i].name = numbered(&r, "a.", i / 2);
        q.topics[i].num_partitions = 0;
        q.topics[i].replication_factor = 1;
    }
    q.topics[MANY - 1].name = numbered(&r, "a.", 7);
    proto_msg_init(&create_topics_response_msg, &resp);
    rig_run(&r, decide_create_topics, &q, &resp);
    assert_int_equal(MANY / 2, resp.topics_n);
    for (int32_t i = 0; i < resp.topics_n; i++) {
        bool once = bytes_eq(resp.topics[i].name, numbered(&r, "a.", MANY / 2 - 1));
        assert_int_equal(once ? KE_INVALID_PARTITIONS : KE_INVALID_REQUEST,
                         resp.topics[i].error_code);
    }
    rig_free(&r);
}

static void a_topic_has_many_settings(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_topics_request q;
    struct create_topics_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    proto_msg_init(&create_topics_request_msg, &q);
    q.topics = proto_array(&r.arena, &create_topics_request_creatable_topic_desc, 1);
    q.topics_n = 1;
    q.topics[0].name = bytes_str("t");
    q.topics[0].num_partitions = 1;
    q.topics[0].replication_factor = 1;
    q.topics[0].configs =
        proto_array(&r.arena, &create_topics_request_creatable_topic_config_desc, MANY);
    q.topics[0].configs_n = MANY;
    for (int i = 0; i < MANY; i++) {
        q.topics[0].configs[i].name = numbered(&r, "c", i);
        q.topics[0].configs[i].value = bytes_str("v");
    }
    proto_msg_init(&create_topics_response_msg, &resp);
    rig_run(&r, decide_create_topics, &q, &resp);
    assert_int_equal(KE_POLICY_VIOLATION, resp.topics[0].error_code);
    for (int i = 0; i < MANY; i++) { /* the last one of a name holds */
        q.topics[0].configs[i].name = numbered(&r, "c", i % 2);
        q.topics[0].configs[i].value = numbered(&r, "v", i);
    }
    proto_msg_init(&create_topics_response_msg, &resp);
    rig_run(&r, decide_create_topics, &q, &resp);
    assert_int_equal(0, resp.topics[0].error_code);
    struct bytes v = image_config_value(r.img, CONFIG_TOPIC, bytes_str("t"), bytes_str("c1"));
    assert_true(bytes_eq(v, numbered(&r, "v", MANY - 1)));
    rig_free(&r);
}

static void delete_all(struct decision *d, const void *request, void *response)
{
    decide_delete_topics(d, 6, request, response);
}

static void many_topics_are_deleted(void **state)
{
    UNUSED(state);
    struct rig r;
    struct delete_topics_request q;
    struct delete_topics_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    struct uuid id = rig_topic(&r, "t", one, 1)->id;
    proto_msg_init(&delete_topics_request_msg, &q);
    q.topics = proto_array(&r.arena, &delete_topics_request_delete_topic_state_desc, MANY);
    q.topics_n = MANY;
    for (int i = 0; i < MANY; i++) {
        q.topics[i].name = i % 4 == 1 ? BYTES_NULL : numbered(&r, "n", i);
        q.topics[i].topic_id = i % 4 == 1 ? rig_uuid((uint8_t)i) : UUID_ZERO;
    }
    q.topics[5].topic_id = id;
    proto_msg_init(&delete_topics_response_msg, &resp);
    rig_run(&r, delete_all, &q, &resp);
    assert_null(image_topic_by_name(r.img, bytes_str("t")));
    q.topics[7].topic_id = id; /* by name and by id, and neither */
    q.topics[6].name = BYTES_NULL;
    proto_msg_init(&delete_topics_response_msg, &resp);
    rig_run(&r, delete_all, &q, &resp);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[7].error_code);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[6].error_code);
    rig_free(&r);
}

static void many_topics_grow(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_partitions_request q;
    struct create_partitions_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    proto_msg_init(&create_partitions_request_msg, &q);
    q.topics = proto_array(&r.arena, &create_partitions_request_create_partitions_topic_desc, MANY);
    q.topics_n = MANY;
    for (int i = 0; i < MANY; i++) {
        q.topics[i].name = numbered(&r, "n", i / 2);
        q.topics[i].count = 5;
    }
    proto_msg_init(&create_partitions_response_msg, &resp);
    rig_run(&r, decide_create_partitions, &q, &resp);
    assert_int_equal(MANY / 2, resp.results_n);
    assert_int_equal(KE_INVALID_REQUEST, resp.results[0].error_code);
    rig_free(&r);
}

static void many_settings_are_changed(void **state)
{
    UNUSED(state);
    struct rig r;
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    rig_topic(&r, "t", one, 1);
    proto_msg_init(&incremental_alter_configs_request_msg, &q);
    q.resources =
        proto_array(&r.arena, &incremental_alter_configs_request_alter_configs_resource_desc, MANY);
    q.resources_n = MANY;
    for (int i = 0; i < MANY; i++) {
        q.resources[i].resource_type = CONFIG_TOPIC;
        q.resources[i].resource_name = numbered(&r, "n", i / 2);
        q.resources[i].configs_n = 0;
    }
    proto_msg_init(&incremental_alter_configs_response_msg, &resp);
    rig_run(&r, decide_incremental_alter_configs, &q, &resp);
    assert_int_equal(MANY, resp.responses_n);
    assert_int_equal(KE_INVALID_REQUEST, resp.responses[0].error_code);
    q.resources_n = 1;
    q.resources[0].resource_name = bytes_str("t");
    q.resources[0].configs =
        proto_array(&r.arena, &incremental_alter_configs_request_alterable_config_desc, MANY);
    q.resources[0].configs_n = MANY;
    for (int i = 0; i < MANY; i++) {
        q.resources[0].configs[i].name = numbered(&r, "c", i);
        q.resources[0].configs[i].value = bytes_str("v");
    }
    proto_msg_init(&incremental_alter_configs_response_msg, &resp);
    rig_run(&r, decide_incremental_alter_configs, &q, &resp);
    assert_int_equal(KE_POLICY_VIOLATION, resp.responses[0].error_code);
    rig_free(&r);
}

static struct bytes edit_list(struct rig *r, int8_t op, struct bytes value, int16_t want)
{
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_response resp;
    proto_msg_init(&incremental_alter_configs_request_msg, &q);
    proto_msg_init(&incremental_alter_configs_response_msg, &resp);
    q.resources =
        proto_array(&r->arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
    q.resources_n = 1;
    q.resources[0].resource_type = CONFIG_TOPIC;
    q.resources[0].resource_name = bytes_str("t");
    q.resources[0].configs =
        proto_array(&r->arena, &incremental_alter_configs_request_alterable_config_desc, 1);
    q.resources[0].configs_n = 1;
    q.resources[0].configs[0].name = bytes_str("x.policy");
    q.resources[0].configs[0].config_operation = op;
    q.resources[0].configs[0].value = value;
    rig_run(r, decide_incremental_alter_configs, &q, &resp);
    assert_int_equal(want, resp.responses[0].error_code);
    return image_config_value(r->img, CONFIG_TOPIC, bytes_str("t"), bytes_str("x.policy"));
}

/* Each half fits into a record, both do not. */
static void a_list_does_not_outgrow_a_record(void **state)
{
    UNUSED(state);
    enum { APPEND = 2, SUBTRACT = 3 };
    struct rig r;
    struct buf a = {0};
    struct buf b = {0};
    rig_cluster(&r);
    rig_broker(&r, 1);
    rig_topic(&r, "t", one, 1);
    for (int i = 0; a.len < 30000; i++) {
        buf_printf(&a, "%s%d", i ? "," : "", i / 2);
        buf_printf(&b, "%s%d", i ? "," : "", i + 100000);
    }
    struct bytes v = edit_list(&r, APPEND, buf_bytes(&a), 0);
    assert_in_range(v.len, a.len / 2 - 5, a.len / 2 + 20); /* each once */
    size_t had = v.len;
    v = edit_list(&r, APPEND, bytes_of(b.data, 32000), KE_INVALID_CONFIG);
    assert_int_equal(had, v.len);
    v = edit_list(&r, SUBTRACT, buf_bytes(&a), 0);
    assert_in_range(v.len, 0, 20); /* what it inherited */
    buf_free(&a);
    buf_free(&b);
    rig_free(&r);
}

/* ---- many partitions ---- */

enum { TOPICS = 100, PARTITIONS = 100 };

static void three_brokers_with_many(struct rig *r)
{
    rig_cluster(r);
    for (int32_t i = 1; i <= 3; i++) {
        rig_broker(r, i);
    }
    for (int i = 0; i < TOPICS; i++) {
        struct create_topics_request q;
        rig_topic_request(r, &q, "", PARTITIONS, 3);
        q.topics[0].name = numbered(r, "topic", i);
        assert_int_equal(0, rig_create(r, &q)->error_code);
    }
}

static int32_t led_by(const struct rig *r, int32_t broker)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    int32_t n = 0;
    while ((t = image_next_topic(r->img, &it)) != NULL) {
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            n += t->partitions[i]->leader == broker;
        }
    }
    return n;
}

static void more(struct rig *r)
{
    struct decision d;
    rig_begin(r, &d);
    decide_more(&d);
    rig_end(r, &d);
}

static void a_broker_with_many_partitions_is_fenced(void **state)
{
    UNUSED(state);
    struct rig r;
    struct decision d;
    three_brokers_with_many(&r);
    assert_true(led_by(&r, 1) > TOPICS * PARTITIONS / 4);
    r.now_ms += 9001;
    rig_heartbeat(&r, 2, r.offset, false, false);
    rig_heartbeat(&r, 3, r.offset, false, false);
    rig_begin(&r, &d);
    assert_true(decide_fence_expired(&d));
    rig_end(&r, &d);
    assert_int_equal(DECISION_STEP, r.total);
    assert_true(led_by(&r, 1) > 0);
    assert_false(image_broker(r.img, 1)->fenced);
    /* a late heartbeat, and whatever else happens meanwhile, does not count on it */
    assert_true(rig_heartbeat(&r, 1, r.offset, false, false).is_fenced);
    assert_int_equal(0, r.total);
    rig_topic(&r, "meanwhile", (const int32_t[]){1, 2}, 2);
    RIG_PARTITION(&r, "meanwhile", 2, "2", "");
    for (int i = 0; i < 8; i++) {
        struct create_topics_request q;
        rig_topic_request(&r, &q, "", 1, 1);
        q.topics[0].name = numbered(&r, "placed", i);
        assert_int_equal(0, rig_create(&r, &q)->error_code);
        const struct image_topic *t = image_topic_by_name(r.img, q.topics[0].name);
        assert_true(t->partitions[0]->leader == 2 || t->partitions[0]->leader == 3);
    }
    rig_begin(&r, &d);
    assert_false(decide_fence_expired(&d)); /* it is under way */
    rig_end(&r, &d);
    for (int i = 1; i < TOPICS * PARTITIONS / DECISION_STEP; i++) {
        assert_true(r.sessions.more);
        more(&r);
        assert_in_range(r.total, DECISION_STEP, DECISION_STEP + 1);
    }
    assert_true(image_broker(r.img, 1)->fenced);
    assert_int_equal(0, led_by(&r, 1));
    more(&r);
    assert_int_equal(0, r.total);
    assert_false(r.sessions.more);
    assert_false(rig_heartbeat(&r, 1, r.offset, false, false).is_fenced);
    rig_free(&r);
}

static void a_broker_with_many_partitions_leaves(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers_with_many(&r);
    assert_false(rig_heartbeat(&r, 1, r.offset, false, true).should_shut_down);
    assert_int_equal(DECISION_STEP + 1, r.total);
    while (r.sessions.more) {
        more(&r);
        assert_in_range(r.total, 0, DECISION_STEP);
    }
    assert_int_equal(0, led_by(&r, 1));
    assert_false(rig_heartbeat(&r, 1, r.offset, false, true).should_shut_down);
    rig_heartbeat(&r, 2, r.offset - 1, false, false);
    rig_heartbeat(&r, 3, r.offset - 1, false, false);
    assert_true(rig_heartbeat(&r, 1, r.offset, false, true).should_shut_down);
    rig_free(&r);
}

/* All were gone; the first that comes back may lead them all. */
static void many_partitions_get_a_leader_again(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers_with_many(&r);
    for (int32_t i = 1; i <= 3; i++) {
        rig_heartbeat(&r, i, r.offset, true, false);
        while (r.sessions.more) {
            more(&r);
        }
        assert_true(image_broker(r.img, i)->fenced);
    }
    assert_int_equal(TOPICS * PARTITIONS, led_by(&r, -1));
    assert_false(rig_heartbeat(&r, 3, r.offset, false, false).is_fenced);
    assert_int_equal(DECISION_STEP + 1, r.total);
    while (r.sessions.more) {
        more(&r);
    }
    assert_int_equal(TOPICS * PARTITIONS, led_by(&r, 3));
    rig_free(&r);
}

/* Every step is asked for, or comes by itself; the last one has the record that ends it. */
static void a_broker_with_many_partitions_comes_back_unclean(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_registration_request q;
    three_brokers_with_many(&r);
    int64_t epoch = rig_epoch(&r, 1);
    r.now_ms += 9001;
    rig_heartbeat(&r, 2, r.offset, false, false);
    rig_heartbeat(&r, 3, r.offset, false, false);
    rig_registration(&r, &q, 1, 77);
    assert_int_equal(KE_REQUEST_TIMED_OUT, rig_register_as(&r, &q));
    assert_int_equal(DECISION_STEP, r.total);
    assert_int_equal(epoch, rig_epoch(&r, 1));
    rig_topic(&r, "meanwhile", (const int32_t[]){1, 2}, 2); /* does not count on it */
    RIG_PARTITION(&r, "meanwhile", 2, "2", "");
    for (int i = 2; i < TOPICS * PARTITIONS / DECISION_STEP; i++) {
        assert_true(r.sessions.more);
        more(&r);
        assert_int_equal(DECISION_STEP, r.total);
    }
    assert_int_equal(0, rig_register_as(&r, &q)); /* the rest and the registration */
    assert_int_equal(DECISION_STEP + 1, r.total);
    assert_int_equal(r.offset - 1, rig_epoch(&r, 1));
    assert_int_equal(0, led_by(&r, 1));
    more(&r);
    assert_int_equal(0, r.total);
    assert_false(rig_heartbeat(&r, 1, r.offset, false, false).is_fenced);
    rig_free(&r);
}

static int16_t unregister(struct rig *r, int32_t broker)
{
    struct unregister_broker_request q;
    struct unregister_broker_response resp;
    proto_msg_init(&unregister_broker_request_msg, &q);
    proto_msg_init(&unregister_broker_response_msg, &resp);
    q.broker_id = broker;
    rig_run(r, decide_unregister_broker, &q, &resp);
    return resp.error_code;
}

/* Even one that lives. */
static void a_broker_with_many_partitions_is_unregistered(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers_with_many(&r);
    assert_int_equal(KE_REQUEST_TIMED_OUT, unregister(&r, 1));
    assert_int_equal(DECISION_STEP, r.total);
    while (r.sessions.more) {
        more(&r);
        assert_in_range(r.total, 0, DECISION_STEP + 1);
        assert_true(rig_heartbeat(&r, 1, r.offset, false, false).is_fenced);
    }
    assert_true(image_broker(r.img, 1)->fenced);
    assert_int_equal(0, unregister(&r, 1));
    assert_int_equal(1, r.total);
    assert_null(image_broker(r.img, 1));
    assert_int_equal(0, led_by(&r, 1));
    rig_free(&r);
}

static void a_directory_with_many_partitions_is_lost(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_registration_request q;
    struct broker_heartbeat_request h;
    struct broker_heartbeat_response resp;
    three_brokers_with_many(&r);
    rig_registration(&r, &q, 1, 1); /* the same process, with a second directory */
    q.log_dirs[1] = rig_uuid(241);
    q.log_dirs_n = 2;
    assert_int_equal(0, rig_register_as(&r, &q));
    proto_msg_init(&broker_heartbeat_request_msg, &h);
    h.broker_id = 1;
    h.broker_epoch = rig_epoch(&r, 1);
    h.current_metadata_offset = r.offset;
    h.want_shut_down = true; /* not before the directory is dealt with */
    h.offline_log_dirs = q.log_dirs;
    h.offline_log_dirs_n = 1;
    for (int i = 0; i < 2; i++) {
        proto_msg_init(&broker_heartbeat_response_msg, &resp);
        rig_run(&r, decide_broker_heartbeat, &h, &resp);
        assert_int_equal(DECISION_STEP, r.total);
        assert_false(resp.should_shut_down || resp.is_fenced);
        assert_true(led_by(&r, 1) > 0);
    }
    while (r.sessions.more) {
        more(&r);
        assert_in_range(r.total, 0, DECISION_STEP + 1);
        assert_int_equal(led_by(&r, 1) > 0 ? 2 : 1, image_broker(r.img, 1)->log_dirs_n);
    }
    assert_int_equal(1, image_broker(r.img, 1)->log_dirs_n);
    assert_int_equal(0, led_by(&r, 1));
    rig_run(&r, decide_broker_heartbeat, &h, &resp);
    assert_true(resp.should_shut_down);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_topics_are_created),
        cmocka_unit_test(a_topic_has_many_settings),
        cmocka_unit_test(many_topics_are_deleted),
        cmocka_unit_test(many_topics_grow),
        cmocka_unit_test(many_settings_are_changed),
        cmocka_unit_test(a_broker_with_many_partitions_is_fenced),
        cmocka_unit_test(a_broker_with_many_partitions_leaves),
        cmocka_unit_test(many_partitions_get_a_leader_again),
        cmocka_unit_test(a_broker_with_many_partitions_comes_back_unclean),
        cmocka_unit_test(a_broker_with_many_partitions_is_unregistered),
        cmocka_unit_test(a_directory_with_many_partitions_is_lost),
        cmocka_unit_test(a_list_does_not_outgrow_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
