/* Brokers whose disks are full: who leads and who is in sync then, and when there is room again. */
#include "decide_rig.h"

static const int32_t three[] = {1, 2, 3};
static const int32_t two[] = {1, 2};

static struct uuid dir_of(int32_t broker)
{
    return rig_uuid((uint8_t)(200 + broker));
}

/* A heartbeat that names so many directories; steps of `step` partitions. */
static void heartbeat(struct rig *r, int32_t broker, const struct uuid *full, int32_t n,
                      size_t step)
{
    struct broker_heartbeat_request q;
    struct broker_heartbeat_response resp;
    struct decision d;
    proto_msg_init(&broker_heartbeat_request_msg, &q);
    proto_msg_init(&broker_heartbeat_response_msg, &resp);
    q.broker_id = broker;
    q.broker_epoch = rig_epoch(r, broker);
    q.current_metadata_offset = r->offset;
    q.full_log_dirs = (struct uuid *)(uintptr_t)full;
    q.full_log_dirs_n = n;
    rig_begin(r, &d);
    d.step = step;
    decide_broker_heartbeat(&d, &q, &resp);
    rig_end(r, &d);
    assert_int_equal(0, resp.error_code);
    assert_false(resp.is_fenced);
}

static void full(struct rig *r, int32_t broker)
{
    struct uuid dirs[] = {dir_of(broker), uuid_reserved(1)};
    heartbeat(r, broker, dirs, 2, DECISION_STEP);
}

static void room(struct rig *r, int32_t broker)
{
    heartbeat(r, broker, NULL, 0, DECISION_STEP);
}

static size_t preferred(struct rig *r)
{
    struct decision d;
    rig_begin(r, &d);
    assert_false(decide_preferred_leaders(&d, d.step));
    rig_end(r, &d);
    return r->total;
}

static void set_up(struct rig *r, const char *least)
{
    rig_cluster(r);
    rig_broker(r, 1);
    rig_broker(r, 2);
    rig_broker(r, 3);
    rig_set_config(r, CONFIG_BROKER, "", "min.insync.replicas", least);
    rig_topic(r, "t", three, 3);
    RIG_PARTITION(r, "t", 1, "1,2,3", "");
}

static void a_full_leader_gives_way_until_there_is_room(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "2");
    full(&r, 1);
    assert_int_equal(1, r.n);
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    full(&r, 1);
    assert_int_equal(0, r.n);
    assert_int_equal(KE_PREFERRED_LEADER_NOT_AVAILABLE, rig_elect_one(&r, 0, "t", 0));
    assert_int_equal(0, preferred(&r));
    assert_int_equal(KE_INELIGIBLE_REPLICA, RIG_ISR(&r, "t", 2, 3, 1)->error_code);
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    room(&r, 1);
    assert_int_equal(0, r.n);
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 2, 3, 1)->error_code);
    RIG_PARTITION(&r, "t", 2, "2,3,1", "");
    assert_int_equal(1, preferred(&r));
    RIG_PARTITION(&r, "t", 1, "2,3,1", "");
    rig_free(&r);
}

static void a_full_follower_holds_nobody_up(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "2");
    full(&r, 3);
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    room(&r, 3);
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    rig_free(&r);
}

/* Where min.insync.replicas cannot do without the full one it stays, and need not lead. */
static void the_last_that_the_isr_needs_stays_in_it(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "2");
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 1, 2)->error_code);
    full(&r, 1);
    RIG_PARTITION(&r, "t", 2, "1,2", "");
    full(&r, 1);
    assert_int_equal(0, r.n);
    assert_int_equal(KE_NONE,
                     RIG_ISR(&r, "t", 1, 2, 3)->error_code); /* it joins nothing: it is in */
    full(&r, 1);
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    /* and it comes in where it is missing */
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 2)->error_code);
    RIG_PARTITION(&r, "t", 2, "2", "3");
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 2, 1)->error_code);
    RIG_PARTITION(&r, "t", 2, "2,1", "");
    rig_free(&r);
}

static void nobody_moves_where_all_are_full(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "2");
    full(&r, 2);
    RIG_PARTITION(&r, "t", 1, "1,3", "");
    full(&r, 3); /* one is left, which is too few */
    assert_int_equal(0, r.n);
    full(&r, 1);
    assert_int_equal(0, r.n);
    RIG_PARTITION(&r, "t", 1, "1,3", "");
    rig_free(&r);
    set_up(&r, "1");
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 1, 2)->error_code);
    rig_topic(&r, "one", (int32_t[]){1}, 1);
    full(&r, 2);
    assert_int_equal(0, r.n);
    RIG_PARTITION(&r, "t", 1, "1,2", ""); /* nobody is left alone */
    full(&r, 1);
    assert_int_equal(0, r.n);
    full(&r, 2);
    assert_int_equal(0, r.n);
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    RIG_PARTITION(&r, "one", 1, "1", "");
    rig_free(&r);
}

static void elections_choose_who_has_room(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "3"); /* the full one stays in sync: nobody can be spared */
    full(&r, 2);
    RIG_PARTITION(&r, "t", 1, "1,2,3", "");
    assert_true(rig_heartbeat(&r, 1, r.offset, true, false).is_fenced);
    RIG_PARTITION(&r, "t", 3, "2,3", "1");
    assert_true(rig_heartbeat(&r, 3, r.offset, true, false).is_fenced);
    RIG_PARTITION(&r, "t", 2, "2", "1,3"); /* better than nobody */
    full(&r, 2);
    assert_int_equal(0, r.n);
    rig_free(&r);
}

static void an_unclean_election_chooses_who_has_room(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "1");
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 1)->error_code);
    full(&r, 2);
    assert_true(rig_heartbeat(&r, 1, r.offset, true, false).is_fenced);
    RIG_PARTITION(&r, "t", -1, "", "1");
    assert_int_equal(KE_NONE, rig_elect_one(&r, 1, "t", 0));
    RIG_PARTITION(&r, "t", 3, "3", "");
    rig_free(&r);
}

/* What lies in another directory stays; where the metadata does not say which, all must be full. */
static void directories_count_by_themselves(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_registration_request q;
    struct uuid one[] = {rig_uuid(241)};
    struct uuid both[] = {rig_uuid(241), dir_of(1), uuid_reserved(1)};
    rig_cluster(&r);
    rig_registration(&r, &q, 1, 1);
    q.log_dirs[1] = rig_uuid(241);
    q.log_dirs_n = 2;
    assert_int_equal(KE_NONE, rig_register_as(&r, &q));
    rig_heartbeat(&r, 1, r.offset, false, false);
    rig_broker(&r, 2);
    rig_topic(&r, "t", two, 2);
    assert_true(uuid_eq(uuid_reserved(1), rig_partition(&r, "t")->directories[0]));
    heartbeat(&r, 1, one, 1, DECISION_STEP);
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    heartbeat(&r, 1, both, 3, DECISION_STEP);
    RIG_PARTITION(&r, "t", 2, "1,2", "");
    rig_free(&r);
}

static void many_partitions_are_taken_in_steps(void **state)
{
    UNUSED(state);
    struct rig r;
    struct uuid dirs[] = {dir_of(1)};
    size_t steps = 0;
    set_up(&r, "2");
    rig_topic(&r, "a", three, 3);
    rig_topic(&r, "b", three, 3);
    rig_topic(&r, "c", (int32_t[]){2, 3}, 2);
    rig_topic(&r, "d", three, 3);
    heartbeat(&r, 1, dirs, 1, 1);
    assert_int_equal(1, r.total);
    assert_true(r.sessions.more);
    while (r.sessions.more) {
        struct decision d;
        rig_begin(&r, &d);
        d.step = 1;
        decide_more(&d);
        rig_end(&r, &d);
        assert_true(r.total <= 1);
        assert_true(++steps < 10);
    }
    const char *const names[] = {"t", "a", "b", "d"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        RIG_PARTITION(&r, names[i], 2, "2,3", "");
    }
    rig_free(&r);
}

/* A new process of the broker has not said anything yet. */
static void a_new_registration_has_room(void **state)
{
    UNUSED(state);
    struct rig r;
    set_up(&r, "2");
    full(&r, 1);
    int64_t epoch = rig_epoch(&r, 1);
    r.now_ms += r.sessions.timeout_ms + 1;
    rig_register(&r, 1, 77, epoch);
    rig_heartbeat(&r, 1, r.offset, false, false);
    assert_int_equal(KE_NONE, RIG_ISR(&r, "t", 2, 3, 1)->error_code);
    assert_int_equal(KE_NONE, rig_elect_one(&r, 0, "t", 0));
    RIG_PARTITION(&r, "t", 1, "2,3,1", "");
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_leader_gives_way_until_there_is_room),
        cmocka_unit_test(a_full_follower_holds_nobody_up),
        cmocka_unit_test(the_last_that_the_isr_needs_stays_in_it),
        cmocka_unit_test(nobody_moves_where_all_are_full),
        cmocka_unit_test(elections_choose_who_has_room),
        cmocka_unit_test(an_unclean_election_chooses_who_has_room),
        cmocka_unit_test(directories_count_by_themselves),
        cmocka_unit_test(many_partitions_are_taken_in_steps),
        cmocka_unit_test(a_new_registration_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
