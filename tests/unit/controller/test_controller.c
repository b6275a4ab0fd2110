/* A controller in the simulator: from the first records of a cluster through requests, fetches,
 * snapshots, expired sessions, a failing disk, stops, kills and power losses. */
#include "controller_rig.h"

#include <sys/wait.h>
#include <unistd.h>

static void with_rig(void (*fn)(void *arg))
{
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, fn, &w));
    rig_world_free(&w);
}

static struct bytes topic_name(int n)
{
    static char names[8][32];
    snprintf(names[n % 8], sizeof names[0], "topic%d", n);
    return bytes_str(names[n % 8]);
}

static bool has_topic(const struct rig *r, int n)
{
    return image_topic_by_name(controller_image(r->c), topic_name(n)) != NULL;
}

/* ---- life ---- */

static void live(void *arg)
{
    struct rig r;
    struct buf before = {0};
    for (int start = 1; start <= 4; start++) {
        struct controller_status s;
        rig_init(&r, arg);
        rig_start(&r);
        rig_wait_active(&r);
        controller_status(r.c, &s);
        assert_int_equal(start, s.epoch);
        assert_int_equal(1, s.leader_id);
        if (start == 1) { /* the cluster's first records */
            rig_broker(&r, 1, 1);
            assert_int_equal(30, image_feature_level(controller_image(r.c), "metadata.version"));
            assert_non_null(image_controller(controller_image(r.c), 1));
        } else { /* an earlier process's registration is no obstacle for the same node */
            for (int i = 1; i < start; i++) {
                assert_true(has_topic(&r, i));
            }
            rig_broker(&r, 1, (uint8_t)start);
        }
        assert_int_equal(0, rig_create(&r, (const char *)topic_name(start).data, 3));
        assert_true(has_topic(&r, start)); /* committed before it was answered */
        assert_int_equal(start, controller_image(r.c)->topics_n);
        buf_clear(&before);
        rig_image_text(controller_image(r.c), &before);
        rig_stop(&r);
    }
    buf_free(&before);
}

static void a_controller_goes_on_where_it_stopped(void **state)
{
    UNUSED(state);
    with_rig(live);
}

static void early(void *arg)
{
    struct rig r;
    struct rig_answer reg, topic, fetch;
    struct broker_registration_request q;
    struct broker_registration_response resp;
    struct create_topics_request cq;
    struct create_topics_response cresp;
    struct fetch_request fq;
    struct fetch_response fresp;
    rig_init(&r, arg);
    rig_start(&r);
    assert_false(rig_active(&r)); /* nothing is committed in this epoch yet */
    rig_fill_registration(&r, &q, 1, 1);
    rig_topic_request(&r, &cq, "t", 1);
    rig_fill_fetch(&r, &fq, 0, -1, 100);
    rig_send(&r, &reg, API_BROKER_REGISTRATION, 4, &q);
    rig_send(&r, &topic, API_CREATE_TOPICS, 7, &cq);
    rig_send(&r, &fetch, API_FETCH, 17, &fq);
    assert_false(reg.done || topic.done || fetch.done);
    rig_wait(&r, &reg);
    rig_take(&r, &reg, API_BROKER_REGISTRATION, 4, &resp);
    assert_int_equal(0, resp.error_code);
    rig_wait(&r, &topic);
    rig_take(&r, &topic, API_CREATE_TOPICS, 7, &cresp);
    assert_int_equal(KE_INVALID_REPLICATION_FACTOR, cresp.topics[0].error_code);
    rig_wait(&r, &fetch);
    rig_take(&r, &fetch, API_FETCH, 17, &fresp);
    assert_int_equal(0, fresp.responses[0].partitions[0].error_code);
    rig_stop(&r);
}

static void requests_wait_for_a_leader_that_begins(void **state)
{
    UNUSED(state);
    with_rig(early);
}

static void stop_with_open_requests(void *arg)
{
    struct rig r;
    struct rig_answer topic, fetch, late;
    struct create_topics_request cq;
    struct create_topics_response cresp;
    struct fetch_request fq;
    struct fetch_response fresp;
    struct controller_status s;
    rig_init(&r, arg);
    r.cfg.idle_interval_ms = 0;
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    controller_status(r.c, &s);
    rig_topic_request(&r, &cq, "t", 1);
    rig_fill_fetch(&r, &fq, s.log_end_offset, 1, 50000);
    rig_send(&r, &fetch, API_FETCH, 17, &fq);
    rig_send(&r, &topic, API_CREATE_TOPICS, 7, &cq);
    assert_false(fetch.done || topic.done);
    controller_stop(r.c, rig_on_stopped, &r);
    rig_send(&r, &late, API_CREATE_TOPICS, 7, &cq);
    assert_true(late.done);
    rig_take(&r, &late, API_CREATE_TOPICS, 7, &cresp);
    assert_int_equal(KE_NOT_CONTROLLER, cresp.topics[0].error_code);
    while (!r.stopped) {
        rig_turn(&r);
    }
    assert_true(fetch.done && topic.done);
    rig_take(&r, &topic, API_CREATE_TOPICS, 7, &cresp);
    assert_int_equal(0, cresp.topics[0].error_code); /* it was committed on the way out */
    rig_take(&r, &fetch, API_FETCH, 17, &fresp);
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, fresp.responses[0].partitions[0].error_code);
    rig_free_group(&r);
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    assert_non_null(image_topic_by_name(controller_image(r.c), bytes_str("t")));
    rig_stop(&r);
}

static void a_stop_answers_what_is_open(void **state)
{
    UNUSED(state);
    with_rig(stop_with_open_requests);
}

static void bad_starts(void *arg)
{
    struct rig r;
    struct errmsg em = {{0}};
    struct controller_voter two[] = {{1, "a", 1}, {2, "b", 2}};
    rig_init(&r, arg);
    r.cfg.voters = two;
    r.cfg.voters_n = 2;
    assert_int_equal(ERR_UNSUPPORTED, rig_try_start(&r, &em));
    assert_non_null(strstr(em.text, "controller.quorum.voters"));
    rig_free_group(&r);
    rig_init(&r, arg);
    r.voter.id = 2;
    assert_int_equal(ERR_INVALID, rig_try_start(&r, &em));
    rig_free_group(&r);
    rig_init(&r, arg);
    r.cfg.log_dir = "/none/such";
    assert_int_not_equal(0, rig_try_start(&r, &em));
    assert_non_null(strstr(em.text, "/none/such"));
    rig_free_group(&r);
}

static void a_controller_that_cannot_start_says_why(void **state)
{
    UNUSED(state);
    with_rig(bad_starts);
}

/* ---- time ---- */

static void sessions(void *arg)
{
    struct rig r;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    int64_t one = rig_broker(&r, 1, 1);
    rig_broker(&r, 2, 1);
    int64_t from = shard_now_ms(r.shard);
    while (shard_now_ms(r.shard) - from < 12000) {
        if (rig_heartbeat(&r, 1, one).is_fenced) {
            fail_msg("a broker with a session was fenced");
        }
        for (int i = 0; i < 500; i++) {
            rig_turn(&r);
        }
    }
    assert_false(image_broker(controller_image(r.c), 1)->fenced);
    assert_true(image_broker(controller_image(r.c), 2)->fenced);
    rig_stop(&r);
}

static void a_broker_that_is_silent_is_fenced(void **state)
{
    UNUSED(state);
    with_rig(sessions);
}

/* Topics that are named twice are refused before any clock counts. */
static void partitions_in_no_time(void *arg)
{
    struct rig r;
    struct create_partitions_request q;
    struct create_partitions_response resp;
    struct create_partitions_request_create_partitions_topic topics[] = {
        {.name = bytes_str("t"), .count = 3},
        {.name = bytes_str("t"), .count = 4},
        {.name = bytes_str("other"), .count = 2}};
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    proto_msg_init(&create_partitions_request_msg, &q);
    q.topics = topics;
    q.topics_n = 2;
    rig_ask(&r, API_CREATE_PARTITIONS, 3, &q, &resp);
    assert_int_equal(resp.results_n, 1);
    assert_int_equal(resp.results[0].error_code, KE_INVALID_REQUEST);
    q.topics_n = 3;
    rig_ask(&r, API_CREATE_PARTITIONS, 3, &q, &resp);
    for (int32_t i = 0; i < resp.results_n; i++) {
        assert_int_equal(resp.results[i].error_code, KE_REQUEST_TIMED_OUT);
    }
    q.topics_n = 0;
    rig_ask(&r, API_CREATE_PARTITIONS, 3, &q, &resp);
    assert_int_equal(resp.results_n, 0);
    rig_stop(&r);
}

static void partitions_of_topics_named_twice_need_no_time(void **state)
{
    UNUSED(state);
    with_rig(partitions_in_no_time);
}

/* A client that gives no time is told so at once, in every version: unless it asks for nothing. */
static void elections_in_no_time(void *arg)
{
    struct rig r;
    struct elect_leaders_request q;
    struct elect_leaders_request_topic_partitions row = {.topic = bytes_str("t")};
    int32_t index = 0;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    row.partitions = &index;
    row.partitions_n = 1;
    for (int16_t v = 0; v <= 2; v++) {
        struct elect_leaders_response resp;
        proto_msg_init(&elect_leaders_request_msg, &q);
        q.timeout_ms = 0;
        q.topic_partitions = &row;
        q.topic_partitions_n = 1;
        rig_ask(&r, API_ELECT_LEADERS, v, &q, &resp);
        assert_int_equal(resp.error_code, v == 0 ? KE_NONE : KE_REQUEST_TIMED_OUT);
        assert_int_equal(resp.replica_election_results_n, 1);
        assert_int_equal(resp.replica_election_results[0].partition_result[0].error_code,
                         KE_REQUEST_TIMED_OUT);
        q.topic_partitions_n = 0;
        rig_ask(&r, API_ELECT_LEADERS, v, &q, &resp);
        assert_int_equal(resp.error_code, KE_NONE);
    }
    rig_stop(&r);
}

static void who_gives_no_time_is_told_so(void **state)
{
    UNUSED(state);
    with_rig(elections_in_no_time);
}

static void idle(void *arg)
{
    struct rig r;
    struct controller_status before, after;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    controller_status(r.c, &before);
    int64_t from = shard_now_ms(r.shard);
    while (shard_now_ms(r.shard) - from < 10000) {
        rig_turn(&r);
    }
    controller_status(r.c, &after);
    assert_in_range(after.committed_offset - before.log_end_offset, 8, 21); /* one in 500 ms */
    rig_stop(&r);
}

static void an_idle_log_still_moves(void **state)
{
    UNUSED(state);
    with_rig(idle);
}

/* ---- fetching ---- */

static void feed_all(struct rig *r, struct loader *l)
{
    struct errmsg em = {{0}};
    struct image_delta *delta;
    for (int i = 0; i < 1000; i++) {
        const struct fetch_response_partition_data *p =
            rig_fetch(r, loader_next_offset(l), loader_last_epoch(l));
        assert_int_equal(0, p->error_code);
        assert_int_equal(-1, p->snapshot_id.end_offset);
        assert_int_equal(-1, p->diverging_epoch.end_offset);
        if (p->records.len == 0) {
            assert_int_equal(p->high_watermark, loader_next_offset(l));
            break;
        }
        if (loader_feed(l, p->records, &em)) {
            fail_msg("%s", em.text);
        }
    }
    if (loader_publish(l, &delta)) {
        image_delta_put(delta);
    }
}

static void fetches(void *arg)
{
    struct rig r;
    struct fetch_request q;
    struct fetch_response resp;
    struct rig_answer a;
    struct controller_status s;
    rig_init(&r, arg);
    r.cfg.idle_interval_ms = 0;
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(0, rig_create(&r, (const char *)topic_name(i).data, 20));
    }
    struct loader *l = loader_new();
    feed_all(&r, l);
    rig_same_images(controller_image(r.c), loader_image(l));
    /* at the end: it waits, until there is more */
    controller_status(r.c, &s);
    rig_fill_fetch(&r, &q, s.committed_offset, 1, 5000);
    int64_t from = shard_now_ms(r.shard);
    rig_send(&r, &a, API_FETCH, 17, &q);
    assert_int_equal(0, rig_create(&r, "more", 1));
    rig_wait(&r, &a);
    assert_true(shard_now_ms(r.shard) - from < 5000);
    rig_take(&r, &a, API_FETCH, 17, &resp);
    assert_true(resp.responses[0].partitions[0].records.len > 0);
    /* or its time is over */
    controller_status(r.c, &s);
    rig_fill_fetch(&r, &q, s.committed_offset, 1, 300);
    from = shard_now_ms(r.shard);
    rig_ask(&r, API_FETCH, 17, &q, &resp);
    assert_in_range(shard_now_ms(r.shard) - from, 300, 310);
    assert_int_equal(0, resp.responses[0].partitions[0].error_code);
    assert_int_equal(0, resp.responses[0].partitions[0].records.len);
    loader_free(l);
    rig_stop(&r);
}

static void brokers_fetch_what_is_committed(void **state)
{
    UNUSED(state);
    with_rig(fetches);
}

/* What a broker's Fetch said of it, in every version that has room for it. */
static void observed(void *arg)
{
    struct rig r;
    struct fetch_request q;
    struct fetch_response resp;
    struct uuid dir = uuid_reserved(99);
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    rig_fill_fetch(&r, &q, 0, -1, 0);
    q.replica_state.replica_id = 7;
    q.topics[0].partitions[0].replica_directory_id = dir;
    rig_ask(&r, API_FETCH, 17, &q, &resp);
    for (int16_t v = 0; v <= 2; v++) {
        struct describe_quorum_request_partition_data part = {0};
        struct describe_quorum_request_topic_data topic = {
            .topic_name = bytes_str("__cluster_metadata"),
            .partitions = &part,
            .partitions_n = 1,
        };
        struct describe_quorum_request d;
        struct describe_quorum_response told;
        proto_msg_init(&describe_quorum_request_msg, &d);
        d.topics = &topic;
        d.topics_n = 1;
        rig_ask(&r, API_DESCRIBE_QUORUM, v, &d, &told);
        assert_int_equal(told.topics_n, 1);
        const struct describe_quorum_response_partition_data *p = &told.topics[0].partitions[0];
        assert_int_equal(p->observers_n, 1);
        assert_int_equal(p->observers[0].replica_id, 7);
        assert_true(uuid_eq(p->observers[0].replica_directory_id, v >= 2 ? dir : UUID_ZERO));
    }
    rig_stop(&r);
}

static void observers_are_described_in_every_version(void **state)
{
    UNUSED(state);
    with_rig(observed);
}

static int16_t fetch_code(struct rig *r, const struct fetch_request *q, bool top)
{
    struct fetch_response resp;
    rig_ask(r, API_FETCH, 17, q, &resp);
    assert_int_equal(top, resp.error_code != 0);
    return top ? resp.error_code : resp.responses[0].partitions[0].error_code;
}

static void bad_fetches(void *arg)
{
    struct rig r;
    struct fetch_request q;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    rig_stop(&r);
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r); /* epoch 2 */
    rig_fill_fetch(&r, &q, 0, -1, 0);
    q.cluster_id = bytes_str("another");
    assert_int_equal(KE_INCONSISTENT_CLUSTER_ID, fetch_code(&r, &q, true));
    rig_fill_fetch(&r, &q, 0, -1, 0);
    q.topics_n = 0;
    assert_int_equal(KE_INVALID_REQUEST, fetch_code(&r, &q, true));
    rig_fill_fetch(&r, &q, 0, -1, 0);
    q.topics[0].topic_id = uuid_reserved(2);
    assert_int_equal(KE_INVALID_REQUEST, fetch_code(&r, &q, true));
    rig_fill_fetch(&r, &q, 0, -1, 0);
    q.topics[0].partitions[0].current_leader_epoch = 1;
    assert_int_equal(KE_FENCED_LEADER_EPOCH, fetch_code(&r, &q, false));
    q.topics[0].partitions[0].current_leader_epoch = 3;
    assert_int_equal(KE_UNKNOWN_LEADER_EPOCH, fetch_code(&r, &q, false));
    q.topics[0].partitions[0].current_leader_epoch = 2;
    assert_int_equal(0, fetch_code(&r, &q, false));
    /* a log that went on after our first epoch ended */
    const struct fetch_response_partition_data *p = rig_fetch(&r, 100000, 1);
    assert_int_equal(0, p->error_code);
    assert_int_equal(1, p->diverging_epoch.epoch);
    assert_in_range(p->diverging_epoch.end_offset, 2, 1000);
    assert_int_equal(0, p->records.len);
    p = rig_fetch(&r, 5, 7); /* an epoch that never was */
    assert_int_equal(2, p->diverging_epoch.epoch);
    rig_stop(&r);
}

static void a_fetch_of_another_history_is_told(void **state)
{
    UNUSED(state);
    with_rig(bad_fetches);
}

/* ---- snapshots ---- */

static struct fetch_snapshot_response *ask_snapshot(struct rig *r, int64_t offset, int32_t epoch,
                                                    int64_t position, int32_t max_bytes)
{
    struct fetch_snapshot_request q;
    struct fetch_snapshot_response *resp = ARENA_NEW(&r->arena, struct fetch_snapshot_response);
    proto_msg_init(&fetch_snapshot_request_msg, &q);
    q.cluster_id = bytes_str(RIG_CLUSTER);
    q.max_bytes = max_bytes;
    q.topics = proto_array(&r->arena, &fetch_snapshot_request_topic_snapshot_desc, 1);
    q.topics_n = 1;
    q.topics[0].name = bytes_str("__cluster_metadata");
    q.topics[0].partitions =
        proto_array(&r->arena, &fetch_snapshot_request_partition_snapshot_desc, 1);
    q.topics[0].partitions_n = 1;
    q.topics[0].partitions[0].current_leader_epoch = -1;
    q.topics[0].partitions[0].snapshot_id.end_offset = offset;
    q.topics[0].partitions[0].snapshot_id.epoch = epoch;
    q.topics[0].partitions[0].position = position;
    rig_ask(r, API_FETCH_SNAPSHOT, 1, &q, resp);
    return resp;
}

static struct fetch_snapshot_response_partition_snapshot
fetch_snapshot(struct rig *r, int64_t offset, int32_t epoch, int64_t position, int32_t max_bytes)
{
    struct fetch_snapshot_response *resp = ask_snapshot(r, offset, epoch, position, max_bytes);
    assert_int_equal(0, resp->error_code);
    return resp->topics[0].partitions[0];
}

/* Kafka means to say why in a row of the partition, and cannot write one without records. */
static void no_snapshot(struct rig *r, int64_t offset, int32_t epoch, int64_t position)
{
    struct fetch_snapshot_response *resp = ask_snapshot(r, offset, epoch, position, 100);
    assert_int_equal(KE_UNKNOWN_SERVER_ERROR, resp->error_code);
    assert_int_equal(0, resp->topics_n);
}

static void load_snapshot(struct rig *r, struct loader *l, int64_t offset, int32_t epoch)
{
    struct errmsg em = {{0}};
    struct fetch_snapshot_response_partition_snapshot p;
    int64_t at = 0;
    loader_snapshot_begin(l, offset, epoch);
    do {
        p = fetch_snapshot(r, offset, epoch, at, 100);
        assert_int_equal(0, p.error_code);
        assert_in_range(p.unaligned_records.len, 1, 100);
        if (loader_snapshot_feed(l, p.unaligned_records, &em)) {
            fail_msg("%s", em.text);
        }
        at += (int64_t)p.unaligned_records.len;
    } while (at < p.size);
    assert_int_equal(at, p.size);
    if (loader_snapshot_end(l, &em)) {
        fail_msg("%s", em.text);
    }
}

static void snapshot_settings(struct rig *r)
{
    r->cfg.snapshot_bytes = 3000;
    r->cfg.retention_bytes = 1; /* all that may go goes */
    r->cfg.segment_bytes = 2000;
}

static void snapshots(void *arg)
{
    struct rig r;
    struct controller_status s;
    rig_init(&r, arg);
    snapshot_settings(&r);
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(0, rig_create(&r, (const char *)topic_name(i).data, 10));
    }
    controller_status(r.c, &s);
    assert_true(s.log_start_offset > 0);
    /* a new broker: the log does not go back to its beginning any more */
    struct loader *l = loader_new();
    const struct fetch_response_partition_data *p = rig_fetch(&r, 0, -1);
    assert_int_equal(0, p->error_code);
    assert_true(p->snapshot_id.end_offset >= s.log_start_offset);
    int64_t offset = p->snapshot_id.end_offset;
    int32_t epoch = p->snapshot_id.epoch;
    no_snapshot(&r, offset + 1, epoch, 0);
    no_snapshot(&r, offset, epoch, 100000000);
    no_snapshot(&r, offset, epoch, -1);
    load_snapshot(&r, l, offset, epoch);
    feed_all(&r, l);
    rig_same_images(controller_image(r.c), loader_image(l));
    loader_free(l);
    rig_stop(&r);
    for (int start = 0; start < 3; start++) { /* and from it the controller starts again */
        rig_init(&r, arg);
        snapshot_settings(&r);
        rig_start(&r);
        rig_wait_active(&r);
        assert_int_equal(60 + 20 * start, controller_image(r.c)->topics_n);
        rig_broker(&r, 1, (uint8_t)(2 + start));
        for (int i = 0; i < 20; i++) {
            assert_int_equal(
                0, rig_create(&r, (const char *)topic_name(100 * start + 100 + i).data, 10));
        }
        rig_stop(&r);
    }
}

static void snapshots_are_taken_fetched_and_started_from(void **state)
{
    UNUSED(state);
    with_rig(snapshots);
}

/* ---- frames ---- */

static int raw(struct rig *r, const void *data, size_t n)
{
    struct rig_answer a = {0};
    controller_handle(r->c, bytes_of(data, n), rig_on_reply, &a);
    rig_wait(r, &a);
    buf_free(&a.frame);
    return a.err;
}

static void frames(void *arg)
{
    struct rig r;
    struct buf frame = {0};
    struct api_versions_request q;
    struct api_versions_response resp;
    struct rig_answer a;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    assert_int_not_equal(0, raw(&r, "", 0));
    assert_int_not_equal(0, raw(&r, "\0\x12\0", 3));
    assert_int_equal(ERR_UNSUPPORTED, raw(&r, "\x7f\xff\0\0\0\0\0\1\xff\xff\0\0", 12));
    assert_int_equal(ERR_UNSUPPORTED,
                     raw(&r, "\0\3\0\5\0\0\0\1\xff\xff\0\0\0\0", 14)); /* Metadata */
    /* every prefix of a good request */
    struct create_topics_request cq;
    rig_topic_request(&r, &cq, "t", 1);
    rig_frame(&r, &frame, API_CREATE_TOPICS, 7, &cq);
    for (size_t n = 0; n < frame.len; n++) {
        assert_int_not_equal(0, raw(&r, frame.data, n));
    }
    assert_int_equal(0, controller_image(r.c)->topics_n);
    /* ApiVersions of a version that does not exist is answered in version 0 */
    buf_clear(&frame);
    buf_put_be16(&frame, API_API_VERSIONS);
    buf_put_be16(&frame, 99);
    buf_put_be32(&frame, 5);
    buf_put(&frame, "\0\1x\0\2y\2z\0", 9);
    a = (struct rig_answer){0};
    controller_handle(r.c, buf_bytes(&frame), rig_on_reply, &a);
    rig_wait(&r, &a);
    rig_take(&r, &a, API_API_VERSIONS, 0, &resp);
    assert_int_equal(KE_UNSUPPORTED_VERSION, resp.error_code);
    assert_int_equal(1, resp.api_keys_n);
    buf_free(&frame);
    proto_msg_init(&api_versions_request_msg, &q);
    q.client_software_name = bytes_str("x");
    q.client_software_version = bytes_str("1");
    while (image_feature_level(controller_image(r.c), "metadata.version") == 0) {
        rig_turn(&r); /* the cluster's first records are under way */
    }
    rig_ask(&r, API_API_VERSIONS, 4, &q, &resp);
    assert_int_equal(0, resp.error_code);
    assert_int_equal(6, resp.finalized_features_n);
    assert_true(resp.api_keys_n > 15);
    rig_stop(&r);
}

static void bad_frames_close_the_connection(void **state)
{
    UNUSED(state);
    with_rig(frames);
}

static struct envelope_response envelope(struct rig *r, struct bytes frame)
{
    struct envelope_request q;
    struct envelope_response resp;
    proto_msg_init(&envelope_request_msg, &q);
    q.request_data = frame;
    q.client_host_address = bytes_of("\x7f\0\0\1", 4);
    rig_ask(r, API_ENVELOPE, 0, &q, &resp);
    return resp;
}

static void envelopes(void *arg)
{
    struct rig r;
    struct buf frame = {0};
    struct create_topics_request cq;
    struct create_topics_response cresp;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    rig_topic_request(&r, &cq, "t", 1);
    rig_frame(&r, &frame, API_CREATE_TOPICS, 5, &cq);
    int32_t inner = r.correlation;
    struct envelope_response e = envelope(&r, buf_bytes(&frame));
    assert_int_equal(0, e.error_code);
    int32_t correlation;
    size_t at;
    assert_int_equal(
        0, proto_skip_response_header(e.response_data, API_CREATE_TOPICS, 5, &correlation, &at));
    assert_int_equal(inner, correlation);
    assert_int_equal(0, proto_decode(&create_topics_response_msg, 5,
                                     bytes_of(e.response_data.data + at, e.response_data.len - at),
                                     NULL, &r.arena, &cresp));
    assert_int_equal(0, cresp.topics[0].error_code);
    assert_non_null(image_topic_by_name(controller_image(r.c), bytes_str("t")));
    /* what may not be forwarded, and what is no request */
    struct broker_heartbeat_request h;
    proto_msg_init(&broker_heartbeat_request_msg, &h);
    buf_clear(&frame);
    rig_frame(&r, &frame, API_BROKER_HEARTBEAT, 1, &h);
    assert_int_equal(KE_INVALID_REQUEST, envelope(&r, buf_bytes(&frame)).error_code);
    assert_int_equal(KE_INVALID_REQUEST, envelope(&r, bytes_str("garbage")).error_code);
    assert_int_equal(KE_INVALID_REQUEST, envelope(&r, bytes_str("")).error_code);
    buf_clear(&frame);
    buf_put_be16(&frame, API_CREATE_TOPICS);
    buf_put_be16(&frame, 99);
    buf_put(&frame, "\0\0\0\1\0\1x\0", 8);
    assert_int_equal(KE_UNSUPPORTED_VERSION, envelope(&r, buf_bytes(&frame)).error_code);
    buf_free(&frame);
    rig_stop(&r);
}

static void clients_requests_come_in_envelopes(void **state)
{
    UNUSED(state);
    with_rig(envelopes);
}

/* ---- disks and deaths ---- */

static void failing_disk(void *arg)
{
    static const char *const names[] = {"write", "fsync"};
    struct rig_world *w = arg;
    for (int what = 0; what < 2; what++) {
        struct rig r;
        struct rig_answer a;
        struct create_topics_request q;
        struct create_topics_response resp;
        rig_init(&r, w);
        rig_start(&r);
        rig_wait_active(&r);
        rig_broker(&r, 1, (uint8_t)(what + 1));
        struct sim_disk_faults *f = &w->host->disk->faults;
        if (what == 0) {
            f->write_eio_in = 1;
        } else {
            f->fsync_eio_in = 1;
        }
        rig_topic_request(&r, &q, names[what], 1000);
        rig_send(&r, &a, API_CREATE_TOPICS, 7, &q);
        rig_wait(&r, &a);
        rig_take(&r, &a, API_CREATE_TOPICS, 7, &resp);
        assert_int_equal(KE_NOT_CONTROLLER, resp.topics[0].error_code);
        for (int i = 0; i < 100; i++) {
            rig_turn(&r);
        }
        assert_int_equal(1, r.fatal);
        assert_non_null(strstr(r.why, "/d/__cluster_metadata-0"));
        assert_null(image_topic_by_name(controller_image(r.c), bytes_str(names[what])));
        assert_int_equal(KE_NOT_CONTROLLER, rig_create(&r, "more", 1));
        rig_stop(&r);
    }
}

static void a_failing_disk_ends_the_controller(void **state)
{
    UNUSED(state);
    with_rig(failing_disk);
}

/* Creates topics until one fails or n are made; how many were. */
static int fill(struct rig *r, const char *prefix, int n)
{
    char name[32];
    int16_t code = 0;
    int i = 0;
    while (i < n && code == 0) {
        snprintf(name, sizeof name, "%s%d", prefix, i);
        code = rig_create(r, name, 1000);
        i += code == 0;
    }
    assert_true(code == 0 || code == KE_NOT_CONTROLLER);
    return i;
}

static void count_snapshot(void *ctx, const struct io_dirent *e)
{
    size_t n = strlen(e->name);
    *(int *)ctx += n > 11 && strcmp(e->name + n - 11, ".checkpoint") == 0;
}

static int metadata_snapshots(struct rig *r)
{
    int n = 0;
    assert_int_equal(0, io_list_dir(r->shard->io, "/d/__cluster_metadata-0", count_snapshot, &n));
    return n;
}

static void full_disk(void *arg)
{
    struct rig_world *w = arg;
    struct rig r;
    rig_init(&r, w);
    r.cfg.snapshot_bytes = 100000;
    r.cfg.segment_bytes = 200000;
    rig_start(&r);
    rig_wait_active(&r);
    int64_t epoch = rig_broker(&r, 1, 1);
    assert_int_equal(3, fill(&r, "before", 3));
    /* The disk is full: snapshots, segments and notes wait, the metadata goes on. */
    w->host->disk->capacity = w->host->disk->used;
    int had = metadata_snapshots(&r);
    assert_int_equal(5, fill(&r, "during", 5));
    assert_int_equal(had, metadata_snapshots(&r));
    int64_t from = shard_now_ms(r.shard);
    while (shard_now_ms(r.shard) - from < 70000) { /* notes and snapshots were due */
        rig_heartbeat(&r, 1, epoch);
        for (int i = 0; i < 500; i++) {
            rig_turn(&r);
        }
    }
    assert_int_equal(0, r.fatal);
    /* space again: all is made up for */
    w->host->disk->capacity = 1 << 28;
    assert_int_equal(20, fill(&r, "after", 20));
    while (!r.fatal && metadata_snapshots(&r) <= had) { /* the retry is due within a minute */
        rig_heartbeat(&r, 1, epoch);
        for (int i = 0; i < 500; i++) {
            rig_turn(&r);
        }
    }
    assert_int_equal(0, r.fatal);
    rig_stop(&r);
    rig_init(&r, w);
    rig_start(&r);
    rig_wait_active(&r);
    assert_int_equal(28, controller_image(r.c)->topics_n);
    rig_broker(&r, 1, 2);
    /* and now it stays full until the reserve is used up */
    w->host->disk->capacity = w->host->disk->used;
    int made = fill(&r, "last", 1000);
    assert_in_range(made, 5, 900);
    for (int i = 0; i < 100; i++) {
        rig_turn(&r);
    }
    assert_int_equal(1, r.fatal);
    assert_non_null(strstr(r.why, "/d/__cluster_metadata-0"));
    assert_non_null(strstr(r.why, "no space"));
    rig_stop(&r);
    w->host->disk->capacity = 1 << 28;
    rig_init(&r, w);
    rig_start(&r);
    rig_wait_active(&r);
    assert_true(controller_image(r.c)->topics_n >= 28 + made);
    rig_stop(&r);
}

static void a_full_disk_leaves_a_reserve(void **state)
{
    UNUSED(state);
    with_rig(full_disk);
}

enum { TOPICS_MAX = 400 };

struct crash_run {
    struct rig_world w;
    struct prng rng;
    bool acked[TOPICS_MAX];
    bool asked[TOPICS_MAX];
    int next;
    int starts;
};

static void crash_live(void *arg)
{
    struct crash_run *cr = arg;
    struct rig r;
    rig_init(&r, &cr->w);
    r.cfg.snapshot_bytes = 2000;
    r.cfg.segment_bytes = 4000;
    r.cfg.retention_bytes = 5000;
    rig_start(&r);
    rig_wait_active(&r);
    for (int i = 0; i < cr->next; i++) {
        if (cr->acked[i] && !has_topic(&r, i)) {
            fail_msg("topic %d was acknowledged and is gone", i);
        }
        if (!cr->asked[i] && has_topic(&r, i)) {
            fail_msg("topic %d was never asked for", i);
        }
    }
    rig_broker(&r, 1, (uint8_t)++cr->starts);
    for (int i = 0; i < 20 && cr->next < TOPICS_MAX; i++) {
        int n = cr->next++;
        cr->asked[n] = true;
        cr->acked[n] = rig_create(&r, (const char *)topic_name(n).data, 3) == 0;
        for (uint64_t k = prng_below(&cr->rng, 3); k > 0; k--) {
            rig_turn(&r);
        }
    }
    rig_stop(&r);
}

static void crash_seed(uint64_t seed)
{
    struct crash_run *cr = MEM_NEW(struct crash_run);
    rig_world_init(&cr->w, seed);
    prng_seed(&cr->rng, seed);
    for (int round = 0; round < 10; round++) {
        sim_proc_die_in(cr->w.proc, 1 + prng_below(&cr->rng, 250));
        bool alive = sim_proc_run(cr->w.proc, crash_live, cr);
        struct errmsg em;
        if (prng_below(&cr->rng, 2)) {
            sim_host_power_loss(cr->w.host);
            sim_host_power_on(cr->w.host);
        } else if (alive) {
            sim_proc_end(cr->w.proc, &em);
        } else {
            sim_proc_kill(cr->w.proc);
        }
        cr->w.proc = sim_proc_new(cr->w.host);
    }
    assert_true(sim_proc_run(cr->w.proc, crash_live, cr));
}

static void acknowledged_topics_survive_kills_and_power_losses(void **state)
{
    UNUSED(state);
    const char *from = getenv("SEED");
    const char *more = getenv("SEEDS");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    uint64_t count = more ? strtoull(more, NULL, 10) : 60;
    if (from) {
        crash_seed(first);
        return;
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        pid_t pid = fork();
        if (pid == 0) {
            crash_seed(seed);
            _exit(0);
        }
        int status;
        assert_int_equal(pid, waitpid(pid, &status, 0));
        if (status != 0) {
            fail_msg("seed %llu failed with status %d (run again with SEED=%llu)",
                     (unsigned long long)seed, status, (unsigned long long)seed);
        }
    }
}

static void crash_frees(void *arg)
{
    struct rig r;
    struct rig_answer topic, fetch;
    struct create_topics_request cq;
    struct fetch_request fq;
    struct controller_status s;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    controller_status(r.c, &s);
    rig_topic_request(&r, &cq, "t", 1);
    rig_fill_fetch(&r, &fq, s.committed_offset, 1, 50000);
    rig_send(&r, &fetch, API_FETCH, 17, &fq);
    rig_send(&r, &topic, API_CREATE_TOPICS, 7, &cq);
    controller_crash(r.c); /* with a flush in flight */
    assert_false(topic.done || fetch.done);
    rig_free_group(&r);
}

static void a_crash_frees_all_and_answers_nothing(void **state)
{
    UNUSED(state);
    with_rig(crash_frees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_controller_goes_on_where_it_stopped),
        cmocka_unit_test(requests_wait_for_a_leader_that_begins),
        cmocka_unit_test(a_stop_answers_what_is_open),
        cmocka_unit_test(a_controller_that_cannot_start_says_why),
        cmocka_unit_test(a_broker_that_is_silent_is_fenced),
        cmocka_unit_test(partitions_of_topics_named_twice_need_no_time),
        cmocka_unit_test(who_gives_no_time_is_told_so),
        cmocka_unit_test(an_idle_log_still_moves),
        cmocka_unit_test(brokers_fetch_what_is_committed),
        cmocka_unit_test(observers_are_described_in_every_version),
        cmocka_unit_test(a_fetch_of_another_history_is_told),
        cmocka_unit_test(snapshots_are_taken_fetched_and_started_from),
        cmocka_unit_test(bad_frames_close_the_connection),
        cmocka_unit_test(clients_requests_come_in_envelopes),
        cmocka_unit_test(a_failing_disk_ends_the_controller),
        cmocka_unit_test(a_full_disk_leaves_a_reserve),
        cmocka_unit_test(a_crash_frees_all_and_answers_nothing),
        cmocka_unit_test(acknowledged_topics_survive_kills_and_power_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
