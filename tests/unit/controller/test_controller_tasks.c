/* What the active controller does by itself, over virtual time: leaders that return, partitions
 * without a leader, brokers that are dead, snapshots; and what its log says of partitions. */
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

/* ---- the log ---- */

static int64_t sim_wall_ms(void *ctx)
{
    const struct rig *r = ctx;
    return r->w->sim->clock.now_us / 1000;
}

static struct buf told; /* all lines since the last forget */

static void keep_line(void *ctx, enum log_level level, const char *line, size_t len)
{
    UNUSED(ctx);
    UNUSED(level);
    buf_put(&told, line, len);
}

/* Lines with this in them. */
static int lines_with(const char *text)
{
    int n = 0;
    for (const char *at = buf_cstr(&told); (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

static void forget(void)
{
    buf_clear(&told);
}

/* As start, with a log. */
static void start_logged(struct rig *r, struct rig_world *w, struct logger *lg)
{
    forget();
    rig_world_init(w, 5);
    rig_init(r, w);
    *lg = (struct logger){.level = LOG_INFO, .wall_ms = sim_wall_ms, .sink = keep_line, .ctx = r};
    r->log = lg;
    r->cfg.session_timeout_ms = 60000;
    r->cfg.imbalance_interval_ms = 60000;
    rig_start(r);
    rig_wait_active(r);
}

static void stop_logged(struct rig *r, struct rig_world *w)
{
    stop(r, w);
    buf_free(&told);
}

/* ---- what brokers and clients do ---- */

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

/* By the topic's setting; and time passes, for what comes of it. */
static void allow_unclean(struct rig *r)
{
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_response resp;
    proto_msg_init(&incremental_alter_configs_request_msg, &q);
    q.resources =
        proto_array(&r->arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
    q.resources_n = 1;
    q.resources[0].resource_type = CONFIG_TOPIC;
    q.resources[0].resource_name = bytes_str("t");
    q.resources[0].configs =
        proto_array(&r->arena, &incremental_alter_configs_request_alterable_config_desc, 1);
    q.resources[0].configs_n = 1;
    q.resources[0].configs[0].name = bytes_str("unclean.leader.election.enable");
    q.resources[0].configs[0].value = bytes_str("true");
    rig_ask(r, API_INCREMENTAL_ALTER_CONFIGS, 1, &q, &resp);
    assert_int_equal(0, resp.responses[0].error_code);
    pass(r, 100);
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
    start(&r, &w);
    int64_t two = join(&r, 2, 2, 9002);
    join(&r, 3, 3, 9003);
    make_topic(&r);
    alter_isr(&r, two, pair, 1);
    want_fence(&r, 2, two);
    assert_int_equal(-1, partition(&r)->leader);
    allow_unclean(&r);
    assert_int_equal(3, partition(&r)->leader);
    assert_int_equal(1, partition(&r)->leader_recovery_state);
    stop(&r, &w);
}

/* ---- what is said of partitions without a leader ---- */

static void a_partition_without_leader_has_a_line_that_says_why(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct logger lg;
    start_logged(&r, &w, &lg);
    int64_t two = join(&r, 2, 2, 9002);
    join(&r, 3, 3, 9003);
    make_topic(&r);
    alter_isr(&r, two, pair, 1);
    assert_int_equal(0, lines_with("leader: "));
    want_fence(&r, 2, two);
    assert_int_equal(-1, partition(&r)->leader);
    assert_int_equal(1, lines_with("WARN  controller: a partition has no leader: none of its "
                                   "replicas that have all records lives partition=t-0 "
                                   "isr=[none] elr=[2 (fenced)] last_known_leader=[2 (fenced)] "
                                   "unclean.leader.election.enable=false"));
    pass(&r, 3000);
    assert_int_equal(1, lines_with("no leader")); /* once, not again and again */
    forget();
    assert_false(rig_heartbeat(&r, 2, two).is_fenced);
    assert_int_equal(2, partition(&r)->leader);
    assert_int_equal(1, lines_with("INFO  controller: a partition has a leader again "
                                   "partition=t-0 leader=2 leader_epoch="));
    assert_int_equal(0, lines_with("unclean"));
    stop_logged(&r, &w);
}

/* A partition keeps its leader, or gets another that has all records: nothing to say. */
static void leaders_that_only_move_have_no_lines(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct logger lg;
    start_logged(&r, &w, &lg);
    int64_t two = join(&r, 2, 2, 9002);
    join(&r, 3, 3, 9003);
    make_topic(&r);
    want_fence(&r, 2, two);
    assert_int_equal(3, partition(&r)->leader);
    pass(&r, 3000);
    assert_int_equal(0, lines_with("leader=") + lines_with("no leader"));
    stop_logged(&r, &w);
}

static void an_unclean_election_has_a_line(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct logger lg;
    start_logged(&r, &w, &lg);
    int64_t two = join(&r, 2, 2, 9002);
    join(&r, 3, 3, 9003);
    make_topic(&r);
    alter_isr(&r, two, pair, 1);
    want_fence(&r, 2, two);
    allow_unclean(&r);
    assert_int_equal(3, partition(&r)->leader);
    assert_int_equal(1, lines_with("WARN  controller: an unclean election: records that the leader "
                                   "did not have are lost partition=t-0 leader=3"));
    assert_int_equal(0, lines_with("has a leader again"));
    stop_logged(&r, &w);
}

/* Five have lines of their own, the others one line with their number; the same when they are led
 * again. */
static void many_partitions_without_leader_do_not_flood_the_log(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct logger lg;
    start_logged(&r, &w, &lg);
    int64_t two = join(&r, 2, 2, 9002);
    assert_int_equal(0, rig_create(&r, "t", 300));
    want_fence(&r, 2, two);
    pass(&r, 1500);
    assert_int_equal(5, lines_with("a partition has no leader: "));
    assert_int_equal(1, lines_with("more partitions have no leader partitions=295\n"));
    forget();
    assert_false(rig_heartbeat(&r, 2, two).is_fenced);
    pass(&r, 1500);
    assert_int_equal(5, lines_with("a partition has a leader again "));
    assert_int_equal(1, lines_with("more partitions have a leader again partitions=295\n"));
    stop_logged(&r, &w);
}

static void a_new_leader_says_how_many_wait(void **state)
{
    UNUSED(state);
    struct rig_world w;
    struct rig r;
    struct logger lg;
    start_logged(&r, &w, &lg);
    int64_t two = join(&r, 2, 2, 9002);
    assert_int_equal(0, rig_create(&r, "t", 7));
    want_fence(&r, 2, two);
    rig_stop(&r);
    forget();
    rig_start(&r);
    rig_wait_active(&r);
    assert_int_equal(1, lines_with("WARN  controller: this controller leads from now on and finds "
                                   "partitions without a leader partitions=7\n"));
    stop_logged(&r, &w);
}

/* ---- snapshots by time ---- */

static void count_snapshot(void *ctx, const struct io_dirent *e)
{
    *(int *)ctx +=
        strstr(e->name, ".checkpoint") != NULL && strcmp(e->name, "leader-epoch-checkpoint");
}

static int snapshots(struct rig *r)
{
    int n = 0;
    assert_int_equal(0, io_list_dir(r->shard->io, "/d/__cluster_metadata-0", count_snapshot, &n));
    return n;
}

/* Small as the log is: after metadata.log.max.snapshot.interval.ms there is one of what it has
 * grown by, and none of nothing; with 0 there is none by time. */
static void snapshot_after(int64_t interval_ms, int expected)
{
    struct rig_world w;
    struct rig r;
    rig_world_init(&w, 5);
    rig_init(&r, &w);
    r.cfg.session_timeout_ms = 600000;
    r.cfg.idle_interval_ms = 0; /* nothing is written for its own sake */
    r.cfg.snapshot_interval_ms = interval_ms;
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 2, 2);
    int before = snapshots(&r);
    pass(&r, 9000);
    assert_int_equal(before, snapshots(&r));
    assert_int_equal(0, rig_create(&r, "t", 1));
    pass(&r, 4000);
    assert_int_equal(before + expected, snapshots(&r));
    pass(&r, 25000); /* nothing new */
    assert_int_equal(before + expected, snapshots(&r));
    assert_int_equal(0, rig_create(&r, "u", 1));
    pass(&r, 1000);
    assert_int_equal(before + 2 * expected, snapshots(&r)); /* it was due */
    stop(&r, &w);
}

static void a_snapshot_is_taken_at_the_interval(void **state)
{
    UNUSED(state);
    snapshot_after(10000, 1);
    snapshot_after(0, 0);
}

/* ---- dead brokers ---- */

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
        cmocka_unit_test(a_partition_without_leader_has_a_line_that_says_why),
        cmocka_unit_test(leaders_that_only_move_have_no_lines),
        cmocka_unit_test(an_unclean_election_has_a_line),
        cmocka_unit_test(many_partitions_without_leader_do_not_flood_the_log),
        cmocka_unit_test(a_new_leader_says_how_many_wait),
        cmocka_unit_test(a_snapshot_is_taken_at_the_interval),
        cmocka_unit_test(a_dead_broker_is_fenced_before_its_session_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
