/* Elections on demand and by time: ElectLeaders, preferred leaders that come back, unclean ones. */
#include "decide_rig.h"

static const int32_t three[] = {1, 2, 3};

static void three_brokers(struct rig *r)
{
    rig_cluster(r);
    rig_broker(r, 1);
    rig_broker(r, 2);
    rig_broker(r, 3);
}

/* 1 was away: 2 leads, all are in the ISR. */
static void moved_to_2(struct rig *r)
{
    three_brokers(r);
    rig_topic(r, "t", three, 3);
    rig_fence(r, 1);
    rig_unfence(r, 1);
    assert_int_equal(0, RIG_ISR(r, "t", 1, 2, 3)->error_code);
    RIG_PARTITION(r, "t", 2, "1,2,3", "");
}

static void the_preferred_leader_comes_back_on_demand(void **state)
{
    UNUSED(state);
    struct rig r;
    char id[UUID_TEXT];
    char line[256];
    moved_to_2(&r);
    uuid_text(image_topic_by_name(r.img, bytes_str("t"))->id, id);
    assert_int_equal(0, rig_elect_one(&r, 0, "t", 0));
    snprintf(line, sizeof line,
             "PartitionChange {\"partitionId\":0,\"topicId\":\"%s\",\"leader\":1}", id);
    assert_int_equal(1, r.n);
    assert_string_equal(line, r.records[0]);
    RIG_PARTITION(&r, "t", 1, "1,2,3", "");
    assert_int_equal(KE_ELECTION_NOT_NEEDED, rig_elect_one(&r, 0, "t", 0));
    assert_int_equal(0, r.n);
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, rig_elect_one(&r, 0, "t", 1));
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, rig_elect_one(&r, 0, "none", 0));
    rig_free(&r);
}

static void one_that_is_not_in_sync_is_not_available(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    rig_fence(&r, 1);
    assert_int_equal(KE_PREFERRED_LEADER_NOT_AVAILABLE, rig_elect_one(&r, 0, "t", 0));
    rig_unfence(&r, 1); /* lives, but is not in the ISR */
    assert_int_equal(KE_PREFERRED_LEADER_NOT_AVAILABLE, rig_elect_one(&r, 0, "t", 0));
    assert_int_equal(0, r.n);
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    rig_free(&r);
}

/* A request for a preferred leader never loses records, whatever the settings say. */
static void preferred_is_never_unclean(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    rig_topic(&r, "other", three, 3);
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    rig_fence(&r, 1);
    RIG_PARTITION(&r, "t", -1, "", "1");
    rig_set_config(&r, CONFIG_TOPIC, "t", "unclean.leader.election.enable", "true");
    assert_int_equal(KE_PREFERRED_LEADER_NOT_AVAILABLE, rig_elect_one(&r, 0, "t", 0));
    RIG_PARTITION(&r, "t", -1, "", "1");
    rig_free(&r);
}

static void an_unclean_election_on_demand_takes_any_living_replica(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    assert_int_equal(KE_ELECTION_NOT_NEEDED, rig_elect_one(&r, 1, "t", 0));
    rig_fence(&r, 1);
    rig_fence(&r, 2);
    RIG_PARTITION(&r, "t", -1, "", "1");
    assert_int_equal(0, rig_elect_one(&r, 1, "t", 0)); /* the setting says no: it is asked for */
    RIG_PARTITION(&r, "t", 3, "3", "");
    assert_int_equal(1, rig_partition(&r, "t")->leader_recovery_state);
    assert_int_equal(0, rig_partition(&r, "t")->last_known_elr_n);
    rig_fence(&r, 3);
    assert_int_equal(KE_ELIGIBLE_LEADERS_NOT_AVAILABLE, rig_elect_one(&r, 1, "t", 0));
    rig_free(&r);
}

static void set_least_isr(struct rig *r, int8_t type, const char *resource, const char *value)
{
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_response resp;
    struct incremental_alter_configs_request_alter_configs_resource res;
    struct incremental_alter_configs_request_alterable_config set;
    proto_msg_init(&incremental_alter_configs_request_msg, &q);
    proto_msg_init(&incremental_alter_configs_response_msg, &resp);
    proto_init(&incremental_alter_configs_request_alter_configs_resource_desc, &res);
    proto_init(&incremental_alter_configs_request_alterable_config_desc, &set);
    q.resources = &res;
    q.resources_n = 1;
    res.resource_type = type;
    res.resource_name = bytes_str(resource);
    res.configs = &set;
    res.configs_n = 1;
    set.name = bytes_str("min.insync.replicas");
    set.value = bytes_str(value);
    rig_run(r, decide_incremental_alter_configs, &q, &resp);
    assert_int_equal(0, resp.responses[0].error_code);
}

/* Of partitions that are led the ELR is emptied, of those without a leader it stays. */
static void who_may_lead_stays_when_the_least_isr_changes(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "led", (int32_t[]){2, 3, 1}, 3);
    set_least_isr(&r, CONFIG_TOPIC, "led", "2");
    rig_topic(&r, "t", three, 3);
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    rig_fence(&r, 1);
    assert_int_equal(0, RIG_ISR(&r, "led", 2)->error_code);
    RIG_PARTITION(&r, "t", -1, "", "1");
    RIG_PARTITION(&r, "led", 2, "2", "3");
    set_least_isr(&r, CONFIG_TOPIC, "t", "3");
    RIG_PARTITION(&r, "t", -1, "", "1");
    RIG_PARTITION(&r, "led", 2, "2", "3");
    assert_int_equal(1, rig_partition(&r, "t")->last_known_elr_n);
    set_least_isr(&r, CONFIG_BROKER, "", "2");
    RIG_PARTITION(&r, "t", -1, "", "1");
    RIG_PARTITION(&r, "led", 2, "2", "");
    assert_int_equal(1, rig_partition(&r, "t")->last_known_elr[0]);
    rig_unfence(&r, 1);
    RIG_PARTITION(&r, "t", 1, "1", "");
    rig_free(&r);
}

/* All: every topic is in the answer, of its partitions those that something was tried for. */
static void all_partitions_may_be_asked_for(void **state)
{
    UNUSED(state);
    struct rig r;
    moved_to_2(&r);
    rig_topic(&r, "fine", three, 3);
    rig_fence(&r, 3);
    rig_unfence(&r, 3);
    rig_topic(&r, "waits", (int32_t[]){3, 2}, 2);
    rig_fence(&r, 3);
    rig_unfence(&r, 3); /* not in the ISR of waits */
    const struct elect_leaders_response *resp = rig_elect(&r, 2, 0, NULL, NULL, 0);
    assert_int_equal(3, resp->replica_election_results_n);
    int seen = 0;
    for (int32_t i = 0; i < 3; i++) {
        const struct elect_leaders_response_replica_election_result *e =
            &resp->replica_election_results[i];
        if (bytes_eq_str(e->topic, "fine")) {
            seen += e->partition_result_n == 0;
        } else if (bytes_eq_str(e->topic, "t")) {
            seen += e->partition_result_n == 1 && e->partition_result[0].error_code == 0;
        } else {
            seen += e->partition_result_n == 1 &&
                    e->partition_result[0].error_code == KE_PREFERRED_LEADER_NOT_AVAILABLE;
        }
    }
    assert_int_equal(3, seen);
    assert_int_equal(1, r.n);
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    rig_free(&r);
}

static void a_type_that_is_none_is_refused(void **state)
{
    UNUSED(state);
    struct rig r;
    moved_to_2(&r);
    const int32_t zero = 0;
    const struct elect_leaders_response *resp = rig_elect(&r, 1, 2, "t", &zero, 1);
    assert_int_equal(KE_INVALID_REQUEST, resp->error_code);
    assert_int_equal(KE_INVALID_REQUEST,
                     resp->replica_election_results[0].partition_result[0].error_code);
    resp = rig_elect(&r, 1, 2, NULL, NULL, 0);
    assert_int_equal(KE_INVALID_REQUEST, resp->error_code);
    assert_int_equal(0, resp->replica_election_results_n);
    resp = rig_elect(&r, 0, 2, "t", &zero, 1); /* version 0 has no type: preferred */
    assert_int_equal(0, resp->replica_election_results[0].partition_result[0].error_code);
    RIG_PARTITION(&r, "t", 1, "1,2,3", "");
    rig_free(&r);
}

/* ---- by time ---- */

static bool by_time(struct rig *r, bool (*decide)(struct decision *d, size_t max), size_t max)
{
    struct decision d;
    rig_begin(r, &d);
    bool more = decide(&d, max);
    rig_end(r, &d);
    return more;
}

static void preferred_leaders_come_back_in_bounded_batches(void **state)
{
    UNUSED(state);
    struct rig r;
    char name[] = "a";
    three_brokers(&r);
    for (int i = 0; i < 7; i++, name[0]++) {
        rig_topic(&r, name, three, 3);
    }
    rig_topic(&r, "2first", (int32_t[]){2, 3}, 2); /* leads where it should */
    rig_fence(&r, 1);
    rig_unfence(&r, 1);
    assert_false(by_time(&r, decide_preferred_leaders, 5)); /* none is in sync yet */
    assert_int_equal(0, r.n);
    name[0] = 'a';
    for (int i = 0; i < 7; i++, name[0]++) {
        assert_int_equal(0, RIG_ISR(&r, name, 1, 2, 3)->error_code);
    }
    assert_true(by_time(&r, decide_preferred_leaders, 5));
    assert_int_equal(5, r.n);
    assert_false(by_time(&r, decide_preferred_leaders, 5));
    assert_int_equal(2, r.n);
    assert_false(by_time(&r, decide_preferred_leaders, 5));
    assert_int_equal(0, r.n);
    RIG_PARTITION(&r, "a", 1, "1,2,3", "");
    RIG_PARTITION(&r, "2first", 2, "2,3", "");
    rig_free(&r);
}

static void partitions_without_a_leader_get_one_where_it_is_allowed(void **state)
{
    UNUSED(state);
    struct rig r;
    three_brokers(&r);
    rig_topic(&r, "t", three, 3);
    rig_topic(&r, "strict", three, 3);
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    assert_int_equal(0, RIG_ISR(&r, "strict", 1)->error_code);
    rig_fence(&r, 1);
    assert_false(by_time(&r, decide_leaderless, 10));
    assert_int_equal(0, r.n);
    rig_set_config(&r, CONFIG_TOPIC, "t", "unclean.leader.election.enable", "true");
    assert_false(by_time(&r, decide_leaderless, 10));
    assert_int_equal(1, r.n);
    RIG_PARTITION(&r, "t", 2, "2", "");
    RIG_PARTITION(&r, "strict", -1, "", "1");
    rig_set_config(&r, CONFIG_BROKER, "", "unclean.leader.election.enable", "true");
    assert_false(by_time(&r, decide_leaderless, 10));
    RIG_PARTITION(&r, "strict", 2, "2", "");
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_preferred_leader_comes_back_on_demand),
        cmocka_unit_test(one_that_is_not_in_sync_is_not_available),
        cmocka_unit_test(preferred_is_never_unclean),
        cmocka_unit_test(an_unclean_election_on_demand_takes_any_living_replica),
        cmocka_unit_test(who_may_lead_stays_when_the_least_isr_changes),
        cmocka_unit_test(all_partitions_may_be_asked_for),
        cmocka_unit_test(a_type_that_is_none_is_refused),
        cmocka_unit_test(preferred_leaders_come_back_in_bounded_batches),
        cmocka_unit_test(partitions_without_a_leader_get_one_where_it_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
