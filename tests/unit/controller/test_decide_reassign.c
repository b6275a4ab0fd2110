/* Moving partitions: AlterPartitionReassignments, ListPartitionReassignments, and how a move ends.
 * Expected records are those of Kafka's controller. */
#include "decide_rig.h"

static void brokers(struct rig *r, int32_t n)
{
    rig_cluster(r);
    for (int32_t i = 1; i <= n; i++) {
        rig_broker(r, i);
    }
}

/* n -1: cancel. */
static int16_t move_as(struct rig *r, bool other_factor, const char *topic, int32_t partition,
                       const int32_t *replicas, int32_t n)
{
    struct alter_partition_reassignments_request q;
    struct alter_partition_reassignments_response resp;
    struct decision d;
    proto_msg_init(&alter_partition_reassignments_request_msg, &q);
    proto_msg_init(&alter_partition_reassignments_response_msg, &resp);
    q.allow_replication_factor_change = other_factor;
    q.topics =
        proto_array(&r->arena, &alter_partition_reassignments_request_reassignable_topic_desc, 1);
    q.topics_n = 1;
    q.topics[0].name = bytes_str(topic);
    q.topics[0].partitions = proto_array(
        &r->arena, &alter_partition_reassignments_request_reassignable_partition_desc, 1);
    q.topics[0].partitions_n = 1;
    q.topics[0].partitions[0].partition_index = partition;
    q.topics[0].partitions[0].replicas = (int32_t *)(uintptr_t)replicas;
    q.topics[0].partitions[0].replicas_n = n;
    rig_begin(r, &d);
    decide_alter_partition_reassignments(&d, 1, &q, &resp);
    rig_end(r, &d);
    assert_int_equal(0, resp.error_code);
    assert_int_equal(other_factor, resp.allow_replication_factor_change);
    assert_int_equal(1, resp.responses_n);
    assert_int_equal(1, resp.responses[0].partitions_n);
    assert_int_equal(partition, resp.responses[0].partitions[0].partition_index);
    return resp.responses[0].partitions[0].error_code;
}
#define MOVE(r, topic, ...)                                        \
    move_as((r), true, (topic), 0, (const int32_t[]){__VA_ARGS__}, \
            (int32_t)(sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

static int16_t cancel(struct rig *r, const char *topic)
{
    return move_as(r, true, topic, 0, NULL, -1);
}

static void check_record(const struct rig *r, const char *rest)
{
    const char *text = strstr(r->records[0], "\",");
    assert_int_equal(1, r->n);
    assert_non_null(text);
    assert_string_equal(rest, text + 2);
}

static void check_replicas(const struct rig *r, const char *topic, const char *replicas,
                           const char *adding, const char *removing)
{
    const struct image_partition *p = rig_partition(r, topic);
    rig_check_ids(p->replicas, p->replicas_n, replicas);
    rig_check_ids(p->adding, p->adding_n, adding);
    rig_check_ids(p->removing, p->removing_n, removing);
    assert_int_equal(p->replicas_n, p->directories_n);
    for (uint32_t i = 0; i < p->replicas_n; i++) { /* a broker's only directory */
        assert_int_equal(200 + p->replicas[i], p->directories[i].b[15]);
    }
}

static const struct list_partition_reassignments_response *list(struct rig *r, const char *topic,
                                                                int32_t partition)
{
    struct list_partition_reassignments_request q;
    struct list_partition_reassignments_response *resp =
        ARENA_NEW(&r->arena, struct list_partition_reassignments_response);
    proto_msg_init(&list_partition_reassignments_request_msg, &q);
    proto_msg_init(&list_partition_reassignments_response_msg, resp);
    if (topic) {
        q.topics = proto_array(
            &r->arena,
            &list_partition_reassignments_request_list_partition_reassignments_topics_desc, 1);
        q.topics_n = 1;
        q.topics[0].name = bytes_str(topic);
        q.topics[0].partition_indexes = ARENA_ARRAY(&r->arena, int32_t, 1);
        q.topics[0].partition_indexes[0] = partition;
        q.topics[0].partition_indexes_n = 1;
    }
    rig_run(r, decide_list_partition_reassignments, &q, resp);
    assert_int_equal(0, r->n);
    return resp;
}

/* ---- a move from begin to end ---- */

static void a_partition_moves_to_other_brokers(void **state)
{
    UNUSED(state);
    struct rig r;
    char want[300];
    char dir[5][UUID_TEXT];
    brokers(&r, 4);
    for (int i = 1; i <= 4; i++) {
        uuid_text(rig_uuid((uint8_t)(200 + i)), dir[i]);
    }
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    assert_int_equal(0, MOVE(&r, "t", 3, 4));
    snprintf(want, sizeof want,
             "\"replicas\":[3,4,1,2],\"removingReplicas\":[1,2],\"addingReplicas\":[3,4],"
             "\"directories\":[\"%s\",\"%s\",\"%s\",\"%s\"]}",
             dir[3], dir[4], dir[1], dir[2]);
    check_record(&r, want);
    check_replicas(&r, "t", "3,4,1,2", "3,4", "1,2");
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    int32_t epoch = rig_partition(&r, "t")->leader_epoch;

    const struct list_partition_reassignments_response *resp = list(&r, NULL, 0);
    assert_int_equal(1, resp->topics_n);
    assert_int_equal(1, resp->topics[0].partitions_n);
    rig_check_ids(resp->topics[0].partitions[0].replicas, 4, "3,4,1,2");
    rig_check_ids(resp->topics[0].partitions[0].adding_replicas, 2, "3,4");
    rig_check_ids(resp->topics[0].partitions[0].removing_replicas, 2, "1,2");

    assert_int_equal(0, RIG_ISR(&r, "t", 1, 2, 3)->error_code); /* 4 is not there yet */
    check_record(&r, "\"isr\":[1,2,3]}");
    assert_int_equal(KE_NEW_LEADER_ELECTED, RIG_ISR(&r, "t", 1, 2, 3, 4)->error_code);
    snprintf(want, sizeof want,
             "\"isr\":[3,4],\"leader\":3,\"replicas\":[3,4],\"removingReplicas\":[],"
             "\"addingReplicas\":[],\"directories\":[\"%s\",\"%s\"]}",
             dir[3], dir[4]);
    check_record(&r, want);
    check_replicas(&r, "t", "3,4", "", "");
    RIG_PARTITION(&r, "t", 3, "3,4", "");
    assert_int_equal(epoch + 1, rig_partition(&r, "t")->leader_epoch);
    assert_int_equal(0, list(&r, NULL, 0)->topics_n);
    rig_free(&r);
}

static void another_order_is_taken_at_once(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 3);
    rig_topic(&r, "t", (const int32_t[]){1, 2, 3}, 3);
    assert_int_equal(0, MOVE(&r, "t", 3, 2, 1));
    check_replicas(&r, "t", "3,2,1", "", "");
    RIG_PARTITION(&r, "t", 1, "1,2,3", ""); /* the leader stays */
    assert_int_equal(0, rig_partition(&r, "t")->leader_epoch);
    assert_int_equal(0, MOVE(&r, "t", 3, 2, 1));
    assert_int_equal(0, r.n);
    rig_free(&r);
}

static void a_factor_grows_and_shrinks(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 3);
    rig_topic(&r, "t", (const int32_t[]){1}, 1);
    assert_int_equal(0, MOVE(&r, "t", 1, 2, 3));
    check_replicas(&r, "t", "1,2,3", "2,3", "");
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 2)->error_code);
    check_replicas(&r, "t", "1,2,3", "2,3", "");
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 2, 3)->error_code);
    check_replicas(&r, "t", "1,2,3", "", "");
    int32_t epoch = rig_partition(&r, "t")->leader_epoch;
    assert_int_equal(0, MOVE(&r, "t", 1, 3)); /* both are in sync: over at once */
    check_replicas(&r, "t", "1,3", "", "");
    RIG_PARTITION(&r, "t", 1, "1,3", "");
    assert_int_equal(epoch + 1, rig_partition(&r, "t")->leader_epoch); /* 2 must see that it ends */
    assert_int_equal(0, MOVE(&r, "t", 3));
    RIG_PARTITION(&r, "t", 3, "3", "");
    rig_free(&r);
}

static void a_factor_may_be_told_to_stay(void **state)
{
    UNUSED(state);
    struct rig r;
    const int32_t two[] = {3, 4};
    const int32_t three[] = {2, 3, 4};
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, move_as(&r, false, "t", 0, three, 3));
    assert_int_equal(0, r.n);
    assert_int_equal(0, move_as(&r, false, "t", 0, two, 2));
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, move_as(&r, false, "t", 0, three, 3));
    assert_int_equal(0, move_as(&r, false, "t", 0, three, 2)); /* still two, though it has four */
    rig_free(&r);
}

/* With fewer replicas than before, each that stays must be in sync. */
static void a_shrinking_move_waits_for_those_that_stay(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2, 3}, 3);
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 2)->error_code);
    assert_int_equal(0, MOVE(&r, "t", 2, 3));
    check_replicas(&r, "t", "2,3,1", "", "1");
    assert_int_equal(KE_NEW_LEADER_ELECTED, RIG_ISR(&r, "t", 1, 2, 3)->error_code);
    check_replicas(&r, "t", "2,3", "", "");
    RIG_PARTITION(&r, "t", 2, "2,3", "");
    rig_free(&r);
}

/* What is added is in sync, but the ISR without what is removed would be below its least size. */
static void a_move_does_not_end_below_the_least_isr(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2, 3}, 3);
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "2");
    assert_int_equal(0, MOVE(&r, "t", 4, 2, 3));
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 4)->error_code);
    check_replicas(&r, "t", "4,2,3,1", "4", "1");
    assert_int_equal(KE_NEW_LEADER_ELECTED, RIG_ISR(&r, "t", 1, 4, 3)->error_code);
    check_replicas(&r, "t", "4,2,3", "", "");
    RIG_PARTITION(&r, "t", 4, "4,3", "");
    rig_free(&r);
}

static void a_move_ends_with_any_change(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "2");
    assert_int_equal(0, MOVE(&r, "t", 3, 4));
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 2, 3)->error_code);
    rig_fence(&r, 1); /* the leader dies, the move goes on under the next */
    RIG_PARTITION(&r, "t", 3, "2,3", "");
    assert_int_equal(0, RIG_ISR(&r, "t", 2, 3, 4)->error_code);
    check_replicas(&r, "t", "3,4", "", "");
    RIG_PARTITION(&r, "t", 3, "3,4", "");
    rig_free(&r);
}

/* ---- cancel ---- */

static void a_move_is_cancelled(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    assert_int_equal(KE_NO_REASSIGNMENT_IN_PROGRESS, cancel(&r, "t"));
    assert_int_equal(0, MOVE(&r, "t", 3, 4));
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 2, 3)->error_code);
    assert_int_equal(0, cancel(&r, "t"));
    check_replicas(&r, "t", "1,2", "", "");
    RIG_PARTITION(&r, "t", 1, "1,2", "");
    assert_int_equal(1, rig_partition(&r, "t")->leader_epoch);
    assert_int_equal(KE_NO_REASSIGNMENT_IN_PROGRESS, cancel(&r, "t"));
    rig_free(&r);
}

static void cancelling_does_not_lose_records_unless_it_may(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    assert_int_equal(0, MOVE(&r, "t", 3, 4));
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 3)->error_code);
    rig_fence(&r, 1);
    RIG_PARTITION(&r, "t", 3, "3", "");
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, cancel(&r, "t"));
    assert_int_equal(0, r.n);
    rig_set_config(&r, CONFIG_TOPIC, "t", "unclean.leader.election.enable", "true");
    rig_unfence(&r, 1);
    assert_int_equal(0, cancel(&r, "t"));
    check_replicas(&r, "t", "1,2", "", "");
    RIG_PARTITION(&r, "t", 1, "1", "");
    rig_free(&r);
}

/* Of the old replicas too few are in sync: acks=all would be refused from then on. */
static void a_move_is_not_cancelled_below_the_least_isr(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2, 3}, 3);
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "2");
    assert_int_equal(0, MOVE(&r, "t", 4, 2, 3));
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    assert_int_equal(0, RIG_ISR(&r, "t", 1, 4)->error_code);
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, cancel(&r, "t"));
    assert_int_equal(0, r.n);
    check_replicas(&r, "t", "4,2,3,1", "4", "1");
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "1"); /* or whoever wants it so */
    assert_int_equal(0, cancel(&r, "t"));
    check_replicas(&r, "t", "2,3,1", "", "");
    RIG_PARTITION(&r, "t", 1, "1", "");
    rig_free(&r);
}

/* Nor is it what keeps a move that adds nobody to the ISR from being cancelled. */
static void a_move_is_cancelled_where_the_isr_stays(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1, 2, 3}, 3);
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "2");
    assert_int_equal(0, MOVE(&r, "t", 4, 2, 3));
    assert_int_equal(0, RIG_ISR(&r, "t", 1)->error_code);
    assert_int_equal(0, cancel(&r, "t"));
    check_replicas(&r, "t", "2,3,1", "", "");
    RIG_PARTITION(&r, "t", 1, "1", "2,3");
    rig_free(&r);
}

/* Nor as the last known leader, when nobody else can: it has given its copy away. */
static void whom_a_cancelled_move_added_does_not_lead(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 4);
    rig_topic(&r, "t", (const int32_t[]){1}, 1);
    assert_int_equal(0, MOVE(&r, "t", 4));
    rig_fence(&r, 1);
    RIG_PARTITION(&r, "t", -1, "", "1");
    rig_set_config(&r, CONFIG_TOPIC, "t", "unclean.leader.election.enable", "true");
    rig_fence(&r, 4);
    rig_unfence(&r, 4);
    RIG_PARTITION(&r, "t", 4, "4", "");
    assert_int_equal(0, cancel(&r, "t"));
    check_replicas(&r, "t", "1", "", "");
    RIG_PARTITION(&r, "t", -1, "1", "");
    assert_int_equal(0, rig_partition(&r, "t")->last_known_elr_n);
    r.now_ms += 9001;
    rig_unfence(&r, 4);
    rig_register(&r, 1, 99, -1); /* without what it had not flushed */
    RIG_PARTITION(&r, "t", -1, "", "");
    rig_unfence(&r, 1);
    RIG_PARTITION(&r, "t", 1, "1", "");
    rig_free(&r);
}

/* The first move's replicas never were the partition's own. */
static void a_second_target_takes_the_first_ones_place(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 5);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    assert_int_equal(0, MOVE(&r, "t", 3, 4));
    assert_int_equal(0, MOVE(&r, "t", 3, 5));
    check_replicas(&r, "t", "3,5,1,2,4", "3,5", "1,2,4");
    assert_int_equal(KE_NEW_LEADER_ELECTED, RIG_ISR(&r, "t", 1, 2, 3, 5)->error_code);
    check_replicas(&r, "t", "3,5", "", "");
    assert_int_equal(0, MOVE(&r, "t", 1, 2));
    assert_int_equal(0, MOVE(&r, "t", 5, 3)); /* back to where it was: over at once */
    check_replicas(&r, "t", "5,3", "", "");
    RIG_PARTITION(&r, "t", 3, "3,5", "");
    rig_free(&r);
}

/* ---- what is refused ---- */

static void bad_targets_are_refused(void **state)
{
    UNUSED(state);
    struct rig r;
    const int32_t one[] = {1};
    brokers(&r, 3);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, move_as(&r, true, "none", 0, one, 1));
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, move_as(&r, true, "t", 1, one, 1));
    assert_int_equal(KE_UNKNOWN_TOPIC_OR_PARTITION, move_as(&r, true, "t", -1, NULL, -1));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, move_as(&r, true, "t", 0, one, 0));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, MOVE(&r, "t", 2, 2));
    assert_int_equal(KE_INVALID_REPLICA_ASSIGNMENT, MOVE(&r, "t", 2, 9));
    assert_int_equal(0, r.n);
    rig_fence(&r, 3);
    assert_int_equal(0, MOVE(&r, "t", 3)); /* a fenced one is allowed: it will come */
    check_replicas(&r, "t", "3,1,2", "3", "1,2");
    rig_free(&r);
}

/* Rows of one request for partition 0: a cancel of nothing does not count, a move does. */
static void a_partition_moves_once_in_a_request(void **state)
{
    UNUSED(state);
    enum { ROWS = 4 };
    struct rig r;
    struct decision d;
    struct alter_partition_reassignments_request q;
    struct alter_partition_reassignments_response resp;
    int32_t first[] = {3, 2}, second[] = {2}, out[ROWS];
    brokers(&r, 3);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    proto_msg_init(&alter_partition_reassignments_request_msg, &q);
    proto_msg_init(&alter_partition_reassignments_response_msg, &resp);
    q.topics =
        proto_array(&r.arena, &alter_partition_reassignments_request_reassignable_topic_desc, ROWS);
    q.topics_n = ROWS;
    for (int i = 0; i < ROWS; i++) {
        q.topics[i].name = bytes_str("t");
        q.topics[i].partitions = proto_array(
            &r.arena, &alter_partition_reassignments_request_reassignable_partition_desc, 1);
        q.topics[i].partitions_n = 1;
        q.topics[i].partitions[0].replicas = i == 1 ? first : i == 2 ? second : NULL;
        q.topics[i].partitions[0].replicas_n = i == 1 ? 2 : i == 2 ? 1 : -1;
    }
    rig_begin(&r, &d);
    decide_alter_partition_reassignments(&d, 1, &q, &resp);
    rig_end(&r, &d);
    for (int i = 0; i < ROWS; i++) {
        out[i] = resp.responses[i].partitions[0].error_code;
    }
    assert_int_equal(out[0], KE_NO_REASSIGNMENT_IN_PROGRESS);
    assert_int_equal(out[1], KE_NONE);
    assert_int_equal(out[2], KE_INVALID_REQUEST);
    assert_int_equal(out[3], KE_INVALID_REQUEST);
    check_replicas(&r, "t", "3,2,1", "3", "1");
    rig_free(&r);
}

static void what_is_listed(void **state)
{
    UNUSED(state);
    struct rig r;
    brokers(&r, 3);
    rig_topic(&r, "t", (const int32_t[]){1, 2}, 2);
    rig_topic(&r, "still", (const int32_t[]){1, 2}, 2);
    assert_int_equal(0, MOVE(&r, "t", 3));
    assert_int_equal(1, list(&r, NULL, 0)->topics_n);
    assert_int_equal(1, list(&r, "t", 0)->topics_n);
    assert_int_equal(0, list(&r, "t", 1)->topics_n);
    assert_int_equal(0, list(&r, "still", 0)->topics_n);
    assert_int_equal(0, list(&r, "none", 0)->topics_n);
    rig_free(&r);
}

/* Kafka takes the first partition's number of replicas for all: the second would have no eligible
 * leader but the one that is left. */
static void each_partition_has_a_least_isr_of_its_own(void **state)
{
    UNUSED(state);
    struct rig r;
    struct create_topics_request q;
    brokers(&r, 3);
    rig_topic_request(&r, &q, "t", 2, 2);
    assert_int_equal(0, rig_create(&r, &q)->error_code);
    rig_set_config(&r, CONFIG_TOPIC, "t", "min.insync.replicas", "2");
    assert_int_equal(0, MOVE(&r, "t", rig_partition(&r, "t")->leader));
    assert_int_equal(1, rig_partition(&r, "t")->replicas_n);
    const struct image_topic *t = image_topic_by_name(r.img, bytes_str("t"));
    const struct image_partition *p = image_partition(t, 1);
    int32_t follower = p->replicas[p->replicas[0] == p->leader];
    rig_fence(&r, follower);
    p = image_partition(image_topic_by_name(r.img, bytes_str("t")), 1);
    assert_int_equal(1, p->isr_n);
    assert_int_equal(1, p->elr_n);
    assert_int_equal(follower, p->elr[0]);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_partition_has_a_least_isr_of_its_own),
        cmocka_unit_test(a_partition_moves_to_other_brokers),
        cmocka_unit_test(another_order_is_taken_at_once),
        cmocka_unit_test(a_factor_grows_and_shrinks),
        cmocka_unit_test(a_factor_may_be_told_to_stay),
        cmocka_unit_test(a_shrinking_move_waits_for_those_that_stay),
        cmocka_unit_test(a_move_does_not_end_below_the_least_isr),
        cmocka_unit_test(a_move_ends_with_any_change),
        cmocka_unit_test(a_move_is_cancelled),
        cmocka_unit_test(cancelling_does_not_lose_records_unless_it_may),
        cmocka_unit_test(a_move_is_not_cancelled_below_the_least_isr),
        cmocka_unit_test(a_move_is_cancelled_where_the_isr_stays),
        cmocka_unit_test(whom_a_cancelled_move_added_does_not_lead),
        cmocka_unit_test(a_second_target_takes_the_first_ones_place),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(a_partition_moves_once_in_a_request),
        cmocka_unit_test(what_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
