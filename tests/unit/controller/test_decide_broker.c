/* Decisions about brokers: bootstrap, registration, heartbeats, fencing, leaving, and who leads
 * what afterwards. Expected records are those that real Kafka wrote in the same situations. */
#include "decide_rig.h"

static void expect(const struct rig *r, const char *const *lines, size_t n)
{
    for (size_t i = 0; i < n && i < r->n; i++) {
        assert_string_equal(lines[i], r->records[i]);
    }
    assert_int_equal(n, r->n);
}
#define EXPECT(r, ...)                                       \
    do {                                                     \
        const char *const lines_[] = {__VA_ARGS__};          \
        expect((r), lines_, sizeof lines_ / sizeof *lines_); \
    } while (0)

/* ---- bootstrap ---- */

static void a_new_cluster_begins_as_kafkas_does(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_cluster(&r);
    EXPECT(&r, "BeginTransaction {\"name\":\"Bootstrap records\"}",
           "FeatureLevel {\"name\":\"metadata.version\",\"featureLevel\":30}",
           "FeatureLevel {\"name\":\"eligible.leader.replicas.version\",\"featureLevel\":1}",
           "FeatureLevel {\"name\":\"group.version\",\"featureLevel\":1}",
           "FeatureLevel {\"name\":\"share.version\",\"featureLevel\":1}",
           "FeatureLevel {\"name\":\"streams.version\",\"featureLevel\":1}",
           "FeatureLevel {\"name\":\"transaction.version\",\"featureLevel\":2}",
           "Config {\"resourceType\":4,\"resourceName\":\"\",\"name\":\"min.insync.replicas\","
           "\"value\":\"1\"}",
           "EndTransaction {}");
    rig_free(&r);
}

static void an_old_release_begins_without_what_it_does_not_know(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r);
    struct format_options opt = {.metadata_version = format_metadata_version("3.3")};
    assert_int_equal(7, opt.metadata_version);
    rig_bootstrap(&r, &opt);
    EXPECT(&r, "FeatureLevel {\"name\":\"metadata.version\",\"featureLevel\":7}");
    rig_free(&r);
}

/* ---- registration ---- */

static void registration_is_checked(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_registration_request q;
    rig_cluster(&r);
    rig_broker(&r, 2);

    rig_registration(&r, &q, 1, 1);
    q.cluster_id = bytes_str("another");
    assert_int_equal(KE_INCONSISTENT_CLUSTER_ID, rig_register_as(&r, &q));
    rig_registration(&r, &q, 1, 1);
    q.listeners_n = 0;
    assert_int_equal(KE_INVALID_REGISTRATION, rig_register_as(&r, &q));
    rig_registration(&r, &q, 1, 1);
    q.log_dirs_n = 0;
    assert_int_equal(KE_INVALID_REGISTRATION, rig_register_as(&r, &q));
    q.log_dirs_n = 2;
    q.log_dirs[1] = q.log_dirs[0];
    assert_int_equal(KE_INVALID_REGISTRATION, rig_register_as(&r, &q));
    q.log_dirs[1] = uuid_reserved(1);
    assert_int_equal(KE_INVALID_REGISTRATION, rig_register_as(&r, &q));
    q.log_dirs[1] = rig_uuid(202); /* of broker 2 */
    assert_int_equal(KE_INVALID_REGISTRATION, rig_register_as(&r, &q));
    rig_registration(&r, &q, 1, 1);
    q.features_n--;
    q.features[0] = q.features[q.features_n]; /* one finalized feature is not known */
    assert_int_equal(KE_UNSUPPORTED_VERSION, rig_register_as(&r, &q));
    rig_registration(&r, &q, 1, 1);
    for (int32_t i = 0; i < q.features_n; i++) {
        if (bytes_eq_str(q.features[i].name, "metadata.version")) {
            q.features[i].max_supported_version = 29;
        }
    }
    assert_int_equal(KE_UNSUPPORTED_VERSION, rig_register_as(&r, &q));
    assert_null(image_broker(r.img, 1));
    assert_int_equal(0, r.n);

    rig_registration(&r, &q, 1, 1);
    assert_int_equal(0, rig_register_as(&r, &q));
    const struct image_broker *b = image_broker(r.img, 1);
    assert_true(b->fenced);
    assert_int_equal(r.offset - 1, b->epoch); /* the offset of its record */
    rig_free(&r);
}

static void another_process_of_a_living_broker_is_refused(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_registration_request q;
    rig_cluster(&r);
    rig_broker(&r, 1);
    int64_t epoch = rig_epoch(&r, 1);
    rig_registration(&r, &q, 1, 77);
    assert_int_equal(KE_DUPLICATE_BROKER_REGISTRATION, rig_register_as(&r, &q));
    /* the same process again: its answer was lost */
    rig_registration(&r, &q, 1, 1);
    assert_int_equal(0, rig_register_as(&r, &q));
    assert_int_equal(epoch, rig_epoch(&r, 1));
    assert_false(image_broker(r.img, 1)->fenced);
    r.now_ms += 9001; /* the session is over */
    rig_registration(&r, &q, 1, 77);
    assert_int_equal(0, rig_register_as(&r, &q));
    assert_true(rig_epoch(&r, 1) > epoch);
    assert_true(image_broker(r.img, 1)->fenced);
    rig_free(&r);
}

/* ---- heartbeats ---- */

static void a_broker_is_fenced_until_it_has_caught_up(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_cluster(&r);
    rig_register(&r, 1, 1, -1);
    int64_t epoch = rig_epoch(&r, 1);
    struct broker_heartbeat_response resp = rig_heartbeat(&r, 1, epoch - 1, false, false);
    assert_int_equal(0, resp.error_code);
    assert_true(resp.is_fenced);
    assert_false(resp.is_caught_up);
    assert_int_equal(0, r.n);
    resp = rig_heartbeat(&r, 1, epoch, true, false); /* it is not ready itself */
    assert_true(resp.is_fenced);
    assert_true(resp.is_caught_up);
    assert_int_equal(0, r.n);
    resp = rig_heartbeat(&r, 1, epoch, false, false);
    assert_false(resp.is_fenced);
    char line[256];
    snprintf(line, sizeof line,
             "BrokerRegistrationChange {\"brokerId\":1,\"brokerEpoch\":%lld,\"fenced\":-1}",
             (long long)epoch);
    EXPECT(&r, line);
    resp = rig_heartbeat(&r, 1, epoch, false, false);
    assert_false(resp.is_fenced);
    assert_int_equal(0, r.n);
    resp = rig_heartbeat(&r, 1, epoch, true, false);
    assert_true(resp.is_fenced);
    assert_int_equal(1, r.n);
    rig_free(&r);
}

static void a_heartbeat_of_another_epoch_is_stale(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_heartbeat_request q;
    struct broker_heartbeat_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    for (int32_t broker = 1; broker <= 2; broker++) {
        proto_msg_init(&broker_heartbeat_request_msg, &q);
        proto_msg_init(&broker_heartbeat_response_msg, &resp);
        q.broker_id = broker;
        q.broker_epoch = 999999;
        rig_run(&r, decide_broker_heartbeat, &q, &resp);
        assert_int_equal(KE_STALE_BROKER_EPOCH, resp.error_code);
        assert_true(resp.is_fenced);
        assert_int_equal(0, r.n);
    }
    rig_free(&r);
}

/* ---- a cluster of one ---- */

static const int32_t one[] = {1};

static void the_only_broker_leaves_and_comes_back(void **state)
{
    UNUSED(state);
    struct rig r;
    char lines[3][256];
    char id[UUID_TEXT];
    rig_cluster(&r);
    rig_broker(&r, 1);
    const struct image_topic *t = rig_topic(&r, "t", one, 1);
    uuid_text(t->id, id);
    int64_t epoch = rig_epoch(&r, 1);
    RIG_PARTITION(&r, "t", 1, "1", "");

    struct broker_heartbeat_response resp = rig_heartbeat(&r, 1, r.offset, false, true);
    assert_false(resp.should_shut_down);
    snprintf(lines[0], sizeof lines[0],
             "BrokerRegistrationChange {\"brokerId\":1,\"brokerEpoch\":%lld,"
             "\"inControlledShutdown\":1}",
             (long long)epoch);
    snprintf(lines[1], sizeof lines[1],
             "PartitionChange {\"partitionId\":0,\"topicId\":\"%s\",\"isr\":[],\"leader\":-1,"
             "\"eligibleLeaderReplicas\":[1],\"lastKnownElr\":[1]}",
             id);
    EXPECT(&r, lines[0], lines[1]);
    resp = rig_heartbeat(&r, 1, r.offset, false, true);
    assert_true(resp.should_shut_down);
    snprintf(lines[0], sizeof lines[0],
             "BrokerRegistrationChange {\"brokerId\":1,\"brokerEpoch\":%lld,\"fenced\":1}",
             (long long)epoch);
    EXPECT(&r, lines[0]);

    rig_register(&r, 1, 2, epoch); /* at once, the session would still be valid */
    assert_int_equal(1, r.n);
    rig_heartbeat(&r, 1, r.offset, false, false);
    snprintf(lines[1], sizeof lines[1],
             "PartitionChange {\"partitionId\":0,\"topicId\":\"%s\",\"isr\":[1],\"leader\":1,"
             "\"eligibleLeaderReplicas\":[],\"lastKnownElr\":[]}",
             id);
    assert_int_equal(2, r.n);
    assert_string_equal(lines[1], r.records[1]);
    RIG_PARTITION(&r, "t", 1, "1", "");
    assert_int_equal(0, rig_partition(&r, "t")->leader_recovery_state);
    assert_int_equal(2, rig_partition(&r, "t")->leader_epoch);
    rig_free(&r);
}

static void the_only_broker_was_killed_and_comes_back(void **state)
{
    UNUSED(state);
    struct rig r;
    char line[256];
    char id[UUID_TEXT];
    rig_cluster(&r);
    rig_broker(&r, 1);
    uuid_text(rig_topic(&r, "t", one, 1)->id, id);
    r.now_ms += 9001;
    struct decision d;
    rig_begin(&r, &d);
    assert_true(decide_fence_expired(&d));
    rig_end(&r, &d);
    RIG_PARTITION(&r, "t", -1, "", "1");
    rig_register(&r, 1, 2, -1);
    snprintf(line, sizeof line,
             "PartitionChange {\"partitionId\":0,\"topicId\":\"%s\",\"eligibleLeaderReplicas\":[]}",
             id);
    assert_int_equal(2, r.n);
    assert_string_equal(line, r.records[0]);
    rig_heartbeat(&r, 1, r.offset, false, false);
    snprintf(line, sizeof line,
             "PartitionChange {\"partitionId\":0,\"topicId\":\"%s\",\"isr\":[1],\"leader\":1,"
             "\"leaderRecoveryState\":1,\"lastKnownElr\":[]}",
             id);
    assert_int_equal(2, r.n);
    assert_string_equal(line, r.records[1]);
    rig_free(&r);
}

/* ---- a cluster of three ---- */

static const int32_t three[] = {1, 2, 3};

static void three_brokers(struct rig *r)
{
    rig_cluster(r);
    rig_broker(r, 1);
    rig_broker(r, 2);
    rig_broker(r, 3);
}

static void leaderships_move_when_a_broker_is_fenced(void **state)
{
    UNUSED(state);
    struct rig r;
    struct decision d;
    char lines[2][256];
    char id[UUID_TEXT];
    three_brokers(&r);
    uuid_text(rig_topic(&r, "t", three, 3)->id, id);
    r.now_ms += 9001;
    rig_heartbeat(&r, 2, r.offset, false, false);
    rig_heartbeat(&r, 3, r.offset, false, false);
    rig_begin(&r, &d);
    assert_true(decide_fence_expired(&d));
    rig_end(&r, &d);
    snprintf(lines[0], sizeof lines[0],
             "PartitionChange {\"partitionId\":0,\"topicId\":\"%s\",\"isr\":[2,3],\"leader\":2}",
             id);
    snprintf(lines[1], sizeof lines[1],
             "BrokerRegistrationChange {\"brokerId\":1,\"brokerEpoch\":%lld,\"fenced\":1}",
             (long long)rig_epoch(&r, 1));
    EXPECT(&r, lines[0], lines[1]);
    rig_begin(&r, &d);
    assert_false(decide_fence_expired(&d));
    rig_end(&r, &d);
    assert_int_equal(1, rig_partition(&r, "t")->leader_epoch);
    assert_int_equal(1, rig_partition(&r, "t")->partition_epoch);
    rig_free(&r);
}

static void a_leaving_broker_waits_until_the_others_know(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    int64_t before = r.offset - 1;
    rig_heartbeat(&r, 2, before, false, false);
    rig_heartbeat(&r, 3, before, false, false);
    struct broker_heartbeat_response resp = rig_heartbeat(&r, 1, before, false, true);
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    assert_false(resp.should_shut_down);
    assert_false(resp.is_fenced);
    assert_false(rig_heartbeat(&r, 1, before, false, true).should_shut_down);
    rig_heartbeat(&r, 2, r.offset - 1, false, false);
    assert_false(rig_heartbeat(&r, 1, before, false, true).should_shut_down);
    rig_heartbeat(&r, 3, r.offset - 1, false, false);
    assert_true(rig_heartbeat(&r, 1, before, false, true).should_shut_down);
    assert_true(image_broker(r.img, 1)->fenced);
    rig_free(&r);
}

static void eligible_leaders_are_kept_below_the_least_isr(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "2");
    rig_fence(&r, 1);
    RIG_PARTITION(&r, "t", 2, "2,3", ""); /* still enough */
    rig_fence(&r, 2);
    RIG_PARTITION(&r, "t", 3, "3", "2");
    rig_fence(&r, 3);
    RIG_PARTITION(&r, "t", -1, "", "2,3");
    assert_int_equal(3, rig_partition(&r, "t")->last_known_elr[0]);
    /* 1 was in neither: it may not lead */
    rig_heartbeat(&r, 1, r.offset, false, false);
    RIG_PARTITION(&r, "t", -1, "", "2,3");
    /* 2 may */
    rig_heartbeat(&r, 2, r.offset, false, false);
    RIG_PARTITION(&r, "t", 2, "2", "3");
    assert_int_equal(0, rig_partition(&r, "t")->leader_recovery_state);
    /* 3 lost what was not flushed: it is not eligible any more */
    r.now_ms += 9001;
    rig_heartbeat(&r, 2, r.offset, false, false);
    rig_register(&r, 3, 99, -1);
    RIG_PARTITION(&r, "t", 2, "2", "");
    rig_free(&r);
}

static void unclean_election_only_where_it_is_allowed(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {1, 2};
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", two, 2);
    rig_topic(&r, "u", two, 2);
    rig_set_config(&r, CONFIG_TOPIC, "u", "unclean.leader.election.enable", "true");
    rig_fence(&r, 2);
    RIG_PARTITION(&r, "t", 1, "1", "");
    RIG_PARTITION(&r, "u", 1, "1", "");
    rig_fence(&r, 1);
    rig_heartbeat(&r, 2, r.offset, false, false);
    RIG_PARTITION(&r, "t", -1, "", "1");
    RIG_PARTITION(&r, "u", 2, "2", "");
    assert_int_equal(1, rig_partition(&r, "u")->leader_recovery_state);
    rig_free(&r);
}

static void before_elr_the_last_isr_stays(void **state)
{
    UNUSED(state);
    struct rig r;
    struct format_options opt = {.metadata_version = format_metadata_version("4.0-IV0")};
    rig_init(&r);
    rig_bootstrap(&r, &opt);
    rig_broker(&r, 1);
    rig_topic(&r, "t", one, 1);
    rig_fence(&r, 1);
    RIG_PARTITION(&r, "t", -1, "1", "");
    rig_heartbeat(&r, 1, r.offset, false, false);
    RIG_PARTITION(&r, "t", 1, "1", "");
    rig_free(&r);
}

static void an_old_release_bumps_the_epoch_when_the_isr_shrinks(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {1, 2};
    struct rig r;
    struct format_options opt = {.metadata_version = format_metadata_version("3.3")};
    rig_init(&r);
    rig_bootstrap(&r, &opt);
    rig_broker(&r, 1);
    rig_broker(&r, 2);
    rig_topic(&r, "t", two, 2);
    rig_fence(&r, 2);
    RIG_PARTITION(&r, "t", 1, "1", "");
    assert_int_equal(1, rig_partition(&r, "t")->leader_epoch);
    rig_free(&r);
}

static void an_offline_directory_costs_its_leaderships(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {1, 2};
    struct rig r;
    struct broker_registration_request q;
    struct broker_heartbeat_request h;
    struct broker_heartbeat_response resp;
    rig_cluster(&r);
    rig_registration(&r, &q, 1, 1);
    q.log_dirs[1] = rig_uuid(241);
    q.log_dirs_n = 2;
    assert_int_equal(0, rig_register_as(&r, &q));
    rig_heartbeat(&r, 1, r.offset, false, false);
    rig_broker(&r, 2);
    rig_topic(&r, "t", two, 2);
    /* broker 1 says that t lies in its second directory */
    struct assign_replicas_to_dirs_request a;
    struct assign_replicas_to_dirs_response ar;
    proto_msg_init(&assign_replicas_to_dirs_request_msg, &a);
    proto_msg_init(&assign_replicas_to_dirs_response_msg, &ar);
    a.broker_id = 1;
    a.broker_epoch = rig_epoch(&r, 1);
    a.directories = proto_array(&r.arena, &assign_replicas_to_dirs_request_directory_data_desc, 1);
    a.directories_n = 1;
    a.directories[0].id = rig_uuid(241);
    a.directories[0].topics =
        proto_array(&r.arena, &assign_replicas_to_dirs_request_topic_data_desc, 1);
    a.directories[0].topics_n = 1;
    a.directories[0].topics[0].topic_id = image_topic_by_name(r.img, bytes_str("t"))->id;
    a.directories[0].topics[0].partitions =
        proto_array(&r.arena, &assign_replicas_to_dirs_request_partition_data_desc, 2);
    a.directories[0].topics[0].partitions_n = 2;
    a.directories[0].topics[0].partitions[1].partition_index = 7;
    rig_run(&r, decide_assign_dirs, &a, &ar);
    assert_int_equal(0, ar.error_code);
    assert_int_equal(0, ar.directories[0].topics[0].partitions[0].error_code);
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION,
                     ar.directories[0].topics[0].partitions[1].error_code);
    assert_true(uuid_eq(rig_uuid(241), rig_partition(&r, "t")->directories[0]));
    rig_run(&r, decide_assign_dirs, &a, &ar);
    assert_int_equal(0, r.n); /* nothing new */
    /* and then that this one is gone */
    proto_msg_init(&broker_heartbeat_request_msg, &h);
    proto_msg_init(&broker_heartbeat_response_msg, &resp);
    h.broker_id = 1;
    h.broker_epoch = rig_epoch(&r, 1);
    h.current_metadata_offset = r.offset;
    h.offline_log_dirs = ARENA_ARRAY(&r.arena, struct uuid, 1);
    h.offline_log_dirs[0] = rig_uuid(241);
    h.offline_log_dirs_n = 1;
    h.want_fence = true; /* not from the same image: it would put broker 1 into the ELR again */
    rig_run(&r, decide_broker_heartbeat, &h, &resp);
    assert_int_equal(0, resp.error_code);
    assert_false(resp.is_fenced);
    RIG_PARTITION(&r, "t", 2, "2", "");
    assert_int_equal(1, image_broker(r.img, 1)->log_dirs_n);
    h.want_fence = false;
    rig_run(&r, decide_broker_heartbeat, &h, &resp);
    assert_int_equal(0, r.n);
    rig_free(&r);
}

static void an_unregistered_broker_is_gone(void **state)
{
    UNUSED(state);
    struct rig r;
    struct unregister_broker_request q;
    struct unregister_broker_response resp;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    proto_msg_init(&unregister_broker_request_msg, &q);
    proto_msg_init(&unregister_broker_response_msg, &resp);
    q.broker_id = 1;
    rig_run(&r, decide_unregister_broker, &q, &resp);
    assert_int_equal(0, resp.error_code);
    assert_null(image_broker(r.img, 1));
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    rig_run(&r, decide_unregister_broker, &q, &resp);
    assert_int_equal(KE_BROKER_ID_NOT_REGISTERED, resp.error_code);
    rig_free(&r);
}

static int16_t register_controller(struct rig *r, struct observers *o, uint8_t incarnation)
{
    struct controller_registration_request q;
    struct controller_registration_response resp;
    struct decision d;
    proto_msg_init(&controller_registration_request_msg, &q);
    proto_msg_init(&controller_registration_response_msg, &resp);
    q.controller_id = 5;
    q.incarnation_id = rig_uuid(incarnation);
    rig_begin(r, &d);
    d.observers = o;
    decide_controller_registration(&d, &q, &resp);
    rig_end(r, &d);
    assert_int_equal(resp.error_code == 0, r->n == 1);
    assert_int_equal(resp.error_code != 0, resp.error_message.len > 0);
    return resp.error_code;
}

static void a_second_controller_of_an_id_is_refused(void **state)
{
    UNUSED(state);
    struct rig r;
    struct observers *o = MEM_NEW(struct observers);
    rig_cluster(&r);
    assert_int_equal(KE_NONE, register_controller(&r, o, 1));
    observers_touch(o, 5, rig_uuid(201), r.now_ms);
    assert_int_equal(KE_NONE, register_controller(&r, o, 2)); /* it was started again */
    observers_touch(o, 5, rig_uuid(202), r.now_ms);
    assert_int_equal(KE_DUPLICATE_BROKER_REGISTRATION, register_controller(&r, o, 3));
    assert_true(uuid_eq(rig_uuid(2), image_controller(r.img, 5)->incarnation));
    r.now_ms += r.sessions.timeout_ms + 1;
    observers_touch(o, 5, rig_uuid(202), r.now_ms);
    assert_int_equal(KE_NONE, register_controller(&r, o, 3));
    mem_free(o);
    rig_free(&r);
}

static void producer_ids_come_in_blocks(void **state)
{
    UNUSED(state);
    struct rig r;
    struct allocate_producer_ids_request q;
    struct allocate_producer_ids_response resp;
    rig_cluster(&r);
    rig_broker(&r, 1);
    for (int64_t block = 0; block < 3; block++) {
        proto_msg_init(&allocate_producer_ids_request_msg, &q);
        proto_msg_init(&allocate_producer_ids_response_msg, &resp);
        q.broker_id = 1;
        q.broker_epoch = rig_epoch(&r, 1);
        rig_run(&r, decide_allocate_producer_ids, &q, &resp);
        assert_int_equal(0, resp.error_code);
        assert_int_equal(1000 * block, resp.producer_id_start);
        assert_int_equal(1000, resp.producer_id_len);
    }
    q.broker_epoch++;
    rig_run(&r, decide_allocate_producer_ids, &q, &resp);
    assert_int_equal(KE_STALE_BROKER_EPOCH, resp.error_code);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_begins_as_kafkas_does),
        cmocka_unit_test(an_old_release_begins_without_what_it_does_not_know),
        cmocka_unit_test(registration_is_checked),
        cmocka_unit_test(another_process_of_a_living_broker_is_refused),
        cmocka_unit_test(a_broker_is_fenced_until_it_has_caught_up),
        cmocka_unit_test(a_heartbeat_of_another_epoch_is_stale),
        cmocka_unit_test(the_only_broker_leaves_and_comes_back),
        cmocka_unit_test(the_only_broker_was_killed_and_comes_back),
        cmocka_unit_test(leaderships_move_when_a_broker_is_fenced),
        cmocka_unit_test(a_leaving_broker_waits_until_the_others_know),
        cmocka_unit_test(eligible_leaders_are_kept_below_the_least_isr),
        cmocka_unit_test(unclean_election_only_where_it_is_allowed),
        cmocka_unit_test(before_elr_the_last_isr_stays),
        cmocka_unit_test(an_old_release_bumps_the_epoch_when_the_isr_shrinks),
        cmocka_unit_test(an_offline_directory_costs_its_leaderships),
        cmocka_unit_test(an_unregistered_broker_is_gone),
        cmocka_unit_test(a_second_controller_of_an_id_is_refused),
        cmocka_unit_test(producer_ids_come_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
