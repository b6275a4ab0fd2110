/* What the active controller does by itself, over virtual time: leaders that return, partitions
 * without a leader, brokers that are dead. */
#include "controller_rig.h"

static const int32_t pair[] = {2, 3};

static void start(struct rig *r, struct rig_world *w)
{
    rig_world_init(w, 5);
    rig_init(r, w);
    r->cfg.session_timeout_ms = 60000;
    r->cfg.imbalance_interval_ms = 5000;
    rig_start(r);
    rig_wait_active(r);
}

static void stop(struct rig *r, struct rig_world *w)
{
    rig_stop(r);
    rig_world_free(w);
}

static void pass(struct rig *r, int64_t ms)
{
    int64_t end = shard_now_ms(r->shard) + ms;
    while (shard_now_ms(r->shard) < end) {
        rig_turn(r);
    }
}

/* Registered with its own port, and unfenced. */
static int64_t join(struct rig *r, int32_t broker, uint8_t incarnation, uint16_t port)
{
    struct broker_registration_request q;
    struct broker_registration_response resp;
    rig_fill_registration(r, &q, broker, incarnation);
    q.listeners[0].port = port;
    rig_ask(r, API_BROKER_REGISTRATION, 4, &q, &resp);
    assert_int_equal(0, resp.error_code);
    assert_false(rig_heartbeat(r, broker, resp.broker_epoch).is_fenced);
    return resp.broker_epoch;
}

/* A topic of one partition on brokers 2 and 3. */
static void make_topic(struct rig *r)
{
    struct create_topics_request q;
    struct create_topics_response resp;
    rig_topic_request(r, &q, "t", -1);
    q.topics[0].replication_factor = -1;
    q.topics[0].assignments =
        proto_array(&r->arena, &create_topics_request_creatable_replica_assignment_desc, 1);
    q.topics[0].assignments_n = 1;
    q.topics[0].assignments[0].broker_ids = (int32_t *)(uintptr_t)pair;
    q.topics[0].assignments[0].broker_ids_n = 2;
    rig_ask(r, API_CREATE_TOPICS, 7, &q, &resp);
    assert_int_equal(0, resp.topics[0].error_code);
}

static const struct image_partition *partition(const struct rig *r)
{
    const struct image_topic *t = image_topic_by_name(controller_image(r->c), bytes_str("t"));
    assert_non_null(t);
    return image_partition(t, 0);
}

static void want_fence(struct rig *r, int32_t broker, int64_t epoch)
{
    struct broker_heartbeat_request q;
    struct broker_heartbeat_response resp;
    proto_msg_init(&broker_heartbeat_request_msg, &q);
    q.broker_id = broker;
    q.broker_epoch = epoch;
    q.current_metadata_offset = epoch;
    q.want_fence = true;
    rig_ask(r, API_BROKER_HEARTBEAT, 1, &q, &resp);
    assert_true(resp.is_fenced);
}

static void alter_isr(struct rig *r, int64_t leader_epoch_of_broker, const int32_t *isr, int32_t n)
{
    struct alter_partition_request q;
    struct alter_partition_response resp;
    const struct image_partition *p = partition(r);
    proto_msg_init(&alter_partition_request_msg, &q);
    q.broker_id = p->leader;
    q.broker_epoch = leader_epoch_of_broker;
    q.topics = proto_array(&r->arena, &alter_partition_request_topic_data_desc, 1);
    q.topics_n = 1;
    q.topics[0].topic_id = image_topic_by_name(controller_image(r->c), bytes_str("t"))->id;
    q.topics[0].partitions =
        proto_array(&r->arena, &alter_partition_request_partition_data_desc, 1);
    q.topics[0].partitions_n = 1;
    q.topics[0].partitions[0].leader_epoch = p->leader_epoch;
    q.topics[0].partitions[0].partition_epoch = p->partition_epoch;
    q.topics[0].partitions[0].new_isr = (int32_t *)(uintptr_t)isr;
    q.topics[0].partitions[0].new_isr_n = n;
    rig_ask(r, API_ALTER_PARTITION, 2, &q, &resp);
    assert_int_equal(0, resp.topics[0].partitions[0].error_code);
}

static void preferred_leaders_return_at_the_interval(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    start(&r, &w);
    int64_t two = join(&r, 2, 2, 9002);
    int64_t three = join(&r, 3, 3, 9003);
    make_topic(&r);
    want_fence(&r, 2, two);
    assert_int_equal(3, partition(&r)->leader);
    assert_false(rig_heartbeat(&r, 2, two).is_fenced);
    alter_isr(&r, three, pair, 2);
    assert_int_equal(3, partition(&r)->leader);
    pass(&r, 6000);
    assert_int_equal(2, partition(&r)->leader);
    assert_int_equal(2, partition(&r)->isr_n);
    stop(&r, &w);
}

static void and_stay_where_they_are_if_told_so(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    rig_world_init(&w, 5);
    rig_init(&r, &w);
    r.cfg.session_timeout_ms = 60000;
    r.cfg.imbalance_interval_ms = 1000;
    r.cfg.auto_leader_rebalance = false;
    rig_start(&r);
    rig_wait_active(&r);
    int64_t two = join(&r, 2, 2, 9002);
    int64_t three = join(&r, 3, 3, 9003);
    make_topic(&r);
    want_fence(&r, 2, two);
    assert_false(rig_heartbeat(&r, 2, two).is_fenced);
    alter_isr(&r, three, pair, 2);
    pass(&r, 6000);
    assert_int_equal(3, partition(&r)->leader);
    stop(&r, &w);
}

/* Only 2 is in sync and gone; 3 may lead as soon as the setting says so. */
static void a_setting_that_allows_unclean_leaders_takes_effect_at_once(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_response resp;
    start(&r, &w);
    int64_t two = join(&r, 2, 2, 9002);
    join(&r, 3, 3, 9003);
    make_topic(&r);
    alter_isr(&r, two, pair, 1);
    want_fence(&r, 2, two);
    assert_int_equal(-1, partition(&r)->leader);
    proto_msg_init(&incremental_alter_configs_request_msg, &q);
    q.resources =
        proto_array(&r.arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
    q.resources_n = 1;
    q.resources[0].resource_type = CONFIG_TOPIC;
    q.resources[0].resource_name = bytes_str("t");
    q.resources[0].configs =
        proto_array(&r.arena, &incremental_alter_configs_request_alterable_config_desc, 1);
    q.resources[0].configs_n = 1;
    q.resources[0].configs[0].name = bytes_str("unclean.leader.election.enable");
    q.resources[0].configs[0].value = bytes_str("true");
    rig_ask(&r, API_INCREMENTAL_ALTER_CONFIGS, 1, &q, &resp);
    assert_int_equal(0, resp.responses[0].error_code);
    pass(&r, 100);
    assert_int_equal(3, partition(&r)->leader);
    assert_int_equal(1, partition(&r)->leader_recovery_state);
    stop(&r, &w);
}

/* Nobody listens at 2's address, its heartbeats stay away; 3 listens. */
static void a_dead_broker_is_fenced_before_its_session_ends(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct io_sock *listener;
    start(&r, &w);
    assert_int_equal(0, io_listen(r.shard->io, "", 9003, &listener));
    join(&r, 2, 2, 9002);
    int64_t three = join(&r, 3, 3, 9003);
    make_topic(&r);
    pass(&r, 19000);
    assert_int_equal(2, partition(&r)->leader);
    assert_false(rig_heartbeat(&r, 3, three).is_fenced);
    pass(&r, 2500); /* a third of its session is over, not of 3's */
    assert_int_equal(3, partition(&r)->leader);
    assert_true(image_broker(controller_image(r.c), 2)->fenced);
    assert_false(image_broker(controller_image(r.c), 3)->fenced);
    /* its next process is let in at once */
    join(&r, 2, 22, 9002);
    io_sock_close(listener);
    stop(&r, &w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preferred_leaders_return_at_the_interval),
        cmocka_unit_test(and_stay_where_they_are_if_told_so),
        cmocka_unit_test(a_setting_that_allows_unclean_leaders_takes_effect_at_once),
        cmocka_unit_test(a_dead_broker_is_fenced_before_its_session_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
