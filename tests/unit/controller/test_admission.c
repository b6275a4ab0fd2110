/* A wiped voter that is to be let in again: what the leader and a follower refuse, and why. The
 * whole of it, over real connections, is in tests/cluster/test_quorum.py and in the simulator. */
#include "voters_rig.h"

static void rig_run(void (*fn)(void *arg))
{
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, fn, &w));
    rig_world_free(&w);
}

/* What an operator is answered; the sentence must have this in it. */
static struct peer_admit_answer ask(struct rig *r, const char *cluster, int32_t voter,
                                    struct uuid directory, int16_t code, const char *why)
{
    struct peer_admit q = {cluster ? bytes_str(cluster) : BYTES_NULL, voter, directory};
    struct peer_admit_answer got;
    struct rig_answer answer = {0};
    struct buf frame = {0};
    peer_put_header(&frame, PEER_API_ADMIT, 77);
    peer_put_admit(&frame, &q);
    controller_handle(r->c, buf_bytes(&frame), rig_on_reply, &answer);
    rig_wait(r, &answer);
    assert_int_equal(0, answer.err);
    assert_int_equal(0, peer_take_admit_answer(buf_bytes(&answer.frame), &r->arena, &got));
    if (got.code != code || strstr(got.sentence, why) == NULL) {
        fail_msg("code %d, not %d: \"%s\" lacks \"%s\"", got.code, code, got.sentence, why);
    }
    buf_free(&answer.frame);
    buf_free(&frame);
    return got;
}

/* What the follower answers to its leader, or to who says that it is. */
static int16_t tell(struct rig *r, int32_t from, int32_t voter, struct uuid directory,
                    int32_t epoch)
{
    struct peer_names names = rig_names(from, 1);
    struct peer_admitted told = {voter, directory, epoch};
    struct buf frame = {0};
    char why[600];
    peer_put_header(&frame, PEER_API_ADMITTED, 77);
    peer_put_admitted(&frame, &names, &told);
    int16_t code = rig_voter_frame(r, &frame, why, sizeof why);
    buf_free(&frame);
    return code;
}

static int16_t greets(struct rig *r, int32_t from, struct uuid directory)
{
    struct peer_names names = rig_names(from, 1);
    struct buf frame = {0};
    char why[600];
    names.from_directory = directory;
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    peer_put_message(&frame, &names, NULL);
    int16_t code = rig_voter_frame(r, &frame, why, sizeof why);
    buf_free(&frame);
    return code;
}

static void leader(void *arg)
{
    struct rig r;
    struct uuid new_disk = rig_directory(33);
    rig_start_three(&r, arg);
    ask(&r, NULL, 3, new_disk, KE_NOT_CONTROLLER, "not the active one");
    rig_elect(&r);
    ask(&r, "another", 3, new_disk, KE_INCONSISTENT_CLUSTER_ID, RIG_CLUSTER);
    ask(&r, NULL, 1, new_disk, KE_INVALID_REQUEST, "the active controller itself");
    ask(&r, NULL, 4, new_disk, KE_VOTER_NOT_FOUND, "none of controller.quorum.voters");
    ask(&r, NULL, 3, new_disk, KE_INVALID_VOTER_KEY, "never spoken");
    assert_int_equal(KE_NONE, greets(&r, 3, rig_directory(3)));
    ask(&r, NULL, 3, new_disk, KE_INVALID_VOTER_KEY, "start it on its new disk first");
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, rig_directory(34)));
    ask(&r, NULL, 3, new_disk, KE_INVALID_VOTER_KEY, "but with");
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, new_disk));
    /* voter 2 votes and acknowledges, but this one has no connection to it */
    ask(&r, RIG_CLUSTER, 3, new_disk, KE_BROKER_NOT_AVAILABLE, "voter 2 cannot be reached");
    /* nor has it told the others the one that it knows, which an earlier leader may have begun */
    ask(&r, NULL, 3, rig_directory(3), KE_BROKER_NOT_AVAILABLE, "voter 2 cannot be reached");
    /* nobody else leads in this epoch */
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, tell(&r, 2, 3, new_disk, (int32_t)rig_term(&r)));
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, new_disk));
    /* it is on a new disk itself: voter 3 does not follow it yet */
    assert_false(ask(&r, NULL, 1, rig_directory(1), KE_NOT_CONTROLLER, "not all").done);
    rig_stop(&r);
}

/* All others acknowledge what it sends: whoever asks for it again is told that it is done. */
static void leader_on_new_disk(void *arg)
{
    struct rig r;
    rig_start_three(&r, arg);
    rig_elect(&r);
    rig_voter_says(&r, 3,
                   &(struct quorum_message){.type = QUORUM_APPEND_RESULT,
                                            .term = rig_term(&r),
                                            .sender_term = rig_term(&r),
                                            .request_term = rig_term(&r),
                                            .index = metadata_log_last_index(r.c->mlog)});
    assert_true(ask(&r, NULL, 1, rig_directory(1), KE_NONE, "is known by").done);
    rig_stop(&r);
}

static void a_leader_on_a_new_disk_knows_who_follows(void **state)
{
    UNUSED(state);
    rig_run(leader_on_new_disk);
}

static void the_leader_says_why_not(void **state)
{
    UNUSED(state);
    rig_run(leader);
}

/* The observers in an answer to DescribeQuorum whose id is 3; *directory is the last one's. */
static int32_t observed(struct rig *r, int16_t version, struct uuid *directory)
{
    struct describe_quorum_request_partition_data part = {0};
    struct describe_quorum_request_topic_data topic = {
        .topic_name = bytes_str("__cluster_metadata"), .partitions = &part, .partitions_n = 1};
    struct describe_quorum_request q;
    struct describe_quorum_response told;
    int32_t n = 0;
    proto_msg_init(&describe_quorum_request_msg, &q);
    q.topics = &topic;
    q.topics_n = 1;
    rig_ask(r, API_DESCRIBE_QUORUM, version, &q, &told);
    assert_int_equal(KE_NONE, told.error_code);
    const struct describe_quorum_response_partition_data *p = &told.topics[0].partitions[0];
    assert_int_equal(3, p->current_voters_n);
    for (int32_t i = 0; i < p->observers_n; i++) {
        if (p->observers[i].replica_id == 3) {
            *directory = p->observers[i].replica_directory_id;
            assert_int_equal(-1, p->observers[i].log_end_offset);
            n++;
        }
    }
    return n;
}

/* Who asks the leader is told of a voter that runs on a disk which nobody knows. */
static void stranger(void *arg)
{
    struct rig r;
    struct uuid new_disk = rig_directory(33), told;
    rig_start_three(&r, arg);
    assert_int_equal(KE_NONE, greets(&r, 3, rig_directory(3)));
    rig_elect(&r);
    assert_int_equal(0, observed(&r, 2, &told));
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, new_disk));
    assert_int_equal(1, observed(&r, 2, &told));
    assert_true(uuid_eq(told, new_disk));
    assert_int_equal(0, observed(&r, 1, &told)); /* there are no directories in it yet */
    for (int64_t from = shard_now_ms(r.shard); shard_now_ms(r.shard) == from;) {
        rig_turn(&r);
    }
    rig_voter_says(&r, 3,
                   &(struct quorum_message){.type = QUORUM_APPEND_RESULT,
                                            .term = rig_term(&r),
                                            .sender_term = rig_term(&r),
                                            .request_term = rig_term(&r),
                                            .index = metadata_log_last_index(r.c->mlog)});
    assert_int_equal(0, observed(&r, 2, &told)); /* its old disk is back */
    rig_stop(&r);
}

static void a_voter_on_another_disk_is_told_among_the_observers(void **state)
{
    UNUSED(state);
    rig_run(stranger);
}

static void follower(void *arg)
{
    struct rig r;
    struct uuid new_disk = rig_directory(33);
    rig_start_three(&r, arg);
    assert_int_equal(KE_NONE, greets(&r, 3, rig_directory(3)));
    rig_voter_says(&r, 2,
                   &(struct quorum_message){.type = QUORUM_APPEND,
                                            .term = 9,
                                            .sender_term = 9,
                                            .index = 1,
                                            .index_term = 1,
                                            .commit = 1});
    rig_turn(&r);
    assert_int_equal(rig_term(&r), 9);
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER,
                     tell(&r, 2, 3, new_disk, 8)); /* it may have voted */
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, tell(&r, 2, 3, new_disk, 10));
    assert_int_equal(KE_INVALID_REQUEST, tell(&r, 2, 2, new_disk, 9));
    assert_int_equal(KE_INVALID_REQUEST, tell(&r, 2, 1, new_disk, 9));
    assert_int_equal(KE_INVALID_REQUEST, tell(&r, 2, 7, new_disk, 9));
    /* the question: does it follow, in this epoch? */
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, tell(&r, 2, 3, UUID_ZERO, 8));
    assert_int_equal(KE_NONE, tell(&r, 2, 3, UUID_ZERO, 9));
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, new_disk));
    assert_int_equal(KE_NONE, tell(&r, 2, 3, new_disk, 9));
    assert_int_equal(KE_NONE, tell(&r, 2, 3, new_disk, 9)); /* once more is no harm */
    assert_int_equal(KE_NONE, greets(&r, 3, new_disk));
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, rig_directory(3))); /* the old one */
    rig_stop(&r);
    /* it is durable */
    rig_start_three(&r, arg);
    assert_int_equal(KE_INVALID_VOTER_KEY, greets(&r, 3, rig_directory(3)));
    assert_int_equal(KE_NONE, greets(&r, 3, new_disk));
    rig_stop(&r);
}

static void a_follower_takes_it_from_its_leader_alone(void **state)
{
    UNUSED(state);
    rig_run(follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_voter_on_another_disk_is_told_among_the_observers),
        cmocka_unit_test(the_leader_says_why_not),
        cmocka_unit_test(a_leader_on_a_new_disk_knows_who_follows),
        cmocka_unit_test(a_follower_takes_it_from_its_leader_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
