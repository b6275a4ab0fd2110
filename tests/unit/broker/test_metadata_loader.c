/* The metadata loader against a controller that the test plays: what it asks for, when it
 * publishes, and what it does when things go wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "broker/lifecycle.h"
#include "broker/messages.h"
#include "broker/metadata_loader.h"
#include "controller/image.h"
#include "fake_channel.h"
#include "proto/record_batch.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

/* What the loader tells; static to the program, which runs one case at a time. */
static struct {
    unsigned applied; /* versions given to the shard */
    int64_t topics;   /* in the newest of them */
    unsigned caught_up;
    unsigned told; /* lifecycle_on_metadata */
    unsigned failed;
    unsigned leaders; /* node_on_leader */
    int32_t leader;
    unsigned voters; /* node_on_voters */
    uint16_t port;   /* of the last of them */
    char why[512];
} seen;

void node_apply_image(struct node_shard *ns, const struct image_delta *d)
{
    UNUSED(ns);
    assert_int_equal(d->base->topics_n, seen.topics); /* no version is left out */
    seen.topics = d->image->topics_n;
    seen.applied++;
}

void node_on_caught_up(struct node *n)
{
    UNUSED(n);
    seen.caught_up++;
}

void node_on_leader(struct node *n, int32_t leader)
{
    UNUSED(n);
    seen.leader = leader;
    seen.leaders++;
}

void node_on_voters(struct node *n, const struct describe_quorum_response *r)
{
    UNUSED(n);
    assert_int_equal(r->nodes_n, 1);
    assert_int_equal(r->nodes[0].listeners_n, 1);
    seen.port = r->nodes[0].listeners[0].port;
    seen.voters++;
}

void lifecycle_on_metadata(struct lifecycle *l)
{
    UNUSED(l);
    seen.told++;
}

void node_fail(struct node *n, const char *fmt, ...)
{
    va_list ap;
    UNUSED(n);
    va_start(ap, fmt);
    vsnprintf(seen.why, sizeof seen.why, fmt, ap);
    va_end(ap);
    seen.failed++;
}

static void fake_on_msg(struct shard *sh, struct msg *m)
{
    assert_int_equal(m->kind, MSG_IMAGE);
    metadata_on_image(sh->user, m);
}

struct world {
    struct fake f;
    struct config *config;
    struct metadata_loader *l;
    struct log_dir dir; /* the metadata log's */
    struct log_dir *dirs[1];
    struct buf log; /* what the controller has */
    int64_t end;    /* its end offset */
};

static void open_world_with(struct world *w, const char *const *overrides)
{
    memset(&seen, 0, sizeof seen);
    memset(w, 0, sizeof *w);
    w->config = fake_config(overrides);
    fake_open(&w->f, w->config);
    w->dir = (struct log_dir){.path = w->config->metadata_log_dir,
                              .meta.directory_id = uuid_reserved(99)};
    w->dirs[0] = &w->dir;
    w->f.node.log_dirs = w->dirs;
    w->f.node.log_dirs_n = 1;
    w->l = metadata_loader_new(&w->f.node);
    w->f.node.loader = w->l;
}

static void open_world(struct world *w)
{
    open_world_with(w, NULL);
}

static void shut_world(struct world *w)
{
    metadata_loader_stop(w->l);
    fake_run(&w->f, 1);
    assert_false(metadata_loader_busy(w->l));
    assert_true(list_empty(&w->f.calls));
    metadata_loader_free(w->l);
    fake_shut(&w->f);
    config_free(w->config);
    buf_free(&w->log);
}

static void put_topic(struct buf *out, uint8_t id)
{
    struct topic_record r;
    char name[16];
    struct errmsg em;
    proto_msg_init(&topic_record_msg, &r);
    snprintf(name, sizeof name, "topic%u", id);
    r.name = bytes_str(name);
    r.topic_id = uuid_reserved((uint8_t)(100 + id));
    assert_int_equal(proto_encode_metadata_record(&topic_record_msg, 0, &r, out, &em), 0);
}

/* A batch with one topic, at the end of the controller's log. */
static void append_topic(struct world *w, uint8_t id)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf record = {0};
    opt.base_offset = w->end++;
    opt.leader_epoch = 3;
    put_topic(&record, id);
    batch_builder_init(&b, &opt);
    batch_builder_add(&b, 1000, BYTES_NULL, buf_bytes(&record), NULL, 0);
    assert_int_equal(batch_builder_finish(&b, &w->log), 0);
    batch_builder_free(&b);
    buf_free(&record);
}

static const struct fetch_request *fetch(struct world *w)
{
    return fake_request(&w->f, fake_next(&w->f, API_FETCH));
}

static int64_t fetch_offset(struct world *w)
{
    return fetch(w)->topics[0].partitions[0].fetch_offset;
}

struct reply {
    struct fetch_response r;
    struct fetch_response_fetchable_topic_response t;
    struct fetch_response_partition_data p;
};

static void reply_init(struct world *w, struct reply *r)
{
    proto_msg_init(&fetch_response_msg, &r->r);
    proto_init(&fetch_response_fetchable_topic_response_desc, &r->t);
    proto_init(&fetch_response_partition_data_desc, &r->p);
    r->r.responses = &r->t;
    r->r.responses_n = 1;
    r->t.topic_id = uuid_reserved(1);
    r->t.partitions = &r->p;
    r->t.partitions_n = 1;
    r->p.high_watermark = w->end;
    r->p.current_leader.leader_id = 1;
    r->p.current_leader.leader_epoch = 3;
    r->p.records = bytes_of("", 0);
}

static void answer(struct world *w, struct bytes records)
{
    struct reply r;
    reply_init(w, &r);
    r.p.records = records;
    fake_answer(&w->f, fake_next(&w->f, API_FETCH), &r.r);
}

/* Answers with all of the log and forgets it. */
static void answer_log(struct world *w)
{
    answer(w, buf_bytes(&w->log));
    buf_clear(&w->log);
}

static void test_first_version_when_caught_up(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    const struct fetch_request *q = fetch(&w);
    assert_true(bytes_eq_str(q->cluster_id, "test-cluster"));
    assert_true(uuid_eq(q->topics[0].partitions[0].replica_directory_id, uuid_reserved(99)));
    assert_int_equal(q->replica_state.replica_id, 1);
    assert_true(uuid_eq(q->topics[0].topic_id, uuid_reserved(1)));
    assert_int_equal(q->topics[0].partitions[0].fetch_offset, 0);
    assert_int_equal(q->topics[0].partitions[0].last_fetched_epoch, -1);
    assert_int_equal(q->topics[0].partitions[0].current_leader_epoch, -1);

    append_topic(&w, 1);
    w.end = 2; /* one more is committed than this answer has */
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.applied, 0);
    assert_int_equal(metadata_loader_applied(w.l), -1);
    assert_int_equal(fetch_offset(&w), 1);
    assert_int_equal(fetch(&w)->topics[0].partitions[0].last_fetched_epoch, 3);
    assert_int_equal(fetch(&w)->topics[0].partitions[0].current_leader_epoch, 3);

    w.end = 1;
    append_topic(&w, 2);
    answer_log(&w);
    assert_int_equal(seen.caught_up, 0); /* not before the shards have it */
    fake_run(&w.f, 1);
    assert_int_equal(seen.applied, 1);
    assert_int_equal(seen.topics, 2);
    assert_int_equal(seen.caught_up, 1);
    assert_int_equal(seen.told, 1);
    assert_int_equal(metadata_loader_applied(w.l), 1);
    shut_world(&w);
}

static void test_every_change_is_published(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    for (uint8_t i = 1; i <= 3; i++) {
        append_topic(&w, i);
        answer_log(&w);
        fake_run(&w.f, 1);
        assert_int_equal(seen.applied, i);
        assert_int_equal(seen.topics, i);
        assert_int_equal(metadata_loader_applied(w.l), i - 1);
    }
    answer(&w, bytes_of("", 0)); /* a long poll that brought nothing */
    fake_run(&w.f, 1);
    assert_int_equal(seen.applied, 3);
    assert_int_equal(seen.caught_up, 1);
    assert_int_equal(fetch_offset(&w), 3);
    shut_world(&w);
}

static void test_cut_batch_is_left_for_the_next_fetch(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    size_t first = w.log.len;
    append_topic(&w, 2);
    answer(&w, bytes_of(w.log.data, w.log.len - 3));
    fake_run(&w.f, 1);
    assert_int_equal(fetch_offset(&w), 1);
    answer(&w, bytes_of(w.log.data + first, w.log.len - first));
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 2);
    assert_int_equal(seen.failed, 0);
    shut_world(&w);
}

static void test_errors_are_tried_again(void **state)
{
    struct world w;
    struct reply r;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    fake_end(fake_next(&w.f, API_FETCH), ERR_CLOSED, BYTES_NULL);
    assert_true(list_empty(&w.f.calls)); /* after controller.quorum.retry.backoff.ms */
    fake_run(&w.f, 25);
    fake_end(fake_next(&w.f, API_FETCH), 0, bytes_of("\1", 1));
    fake_run(&w.f, 25);
    reply_init(&w, &r);
    r.p.error_code = KE_NOT_LEADER_OR_FOLLOWER;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    assert_int_equal(w.f.not_controller, 1);
    fake_run(&w.f, 25);
    reply_init(&w, &r);
    r.r.error_code = KE_NOT_CONTROLLER;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    assert_int_equal(w.f.not_controller, 2);
    fake_run(&w.f, 25);
    reply_init(&w, &r);
    r.r.responses_n = 0;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    fake_run(&w.f, 25);
    append_topic(&w, 1);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 1);
    assert_int_equal(seen.failed, 0);
    shut_world(&w);
}

/* Nobody answers: the others are asked soon, without waiting there; the first answer of a newer
 * leader is news for the node, and later ones are not. */
static void test_silent_controller_is_left(void **state)
{
    struct world w;
    struct reply r;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    assert_true(fake_next(&w.f, API_FETCH)->timeout_ms >= 2000); /* much may come */
    append_topic(&w, 1);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.leaders, 1);
    assert_int_equal(seen.leader, 1);
    assert_int_equal(fetch(&w)->max_wait_ms, 250);
    assert_int_equal(fake_next(&w.f, API_FETCH)->timeout_ms, 550);
    for (int i = 1; i <= 6; i++) {
        fake_end(fake_next(&w.f, API_FETCH), ERR_TIMEOUT, BYTES_NULL);
        fake_run(&w.f, 25);
        assert_int_equal(fetch(&w)->max_wait_ms, 0);
        /* once in a while there is time for an answer that is just long in coming */
        assert_int_equal(fake_next(&w.f, API_FETCH)->timeout_ms, i == 5 ? 2000 : 300);
    }
    reply_init(&w, &r);
    r.p.current_leader.leader_id = 2;
    r.p.current_leader.leader_epoch = 4;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    assert_int_equal(seen.leaders, 2);
    assert_int_equal(seen.leader, 2);
    assert_int_equal(fetch(&w)->max_wait_ms, 250);
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    assert_int_equal(seen.leaders, 2);
    shut_world(&w);
}

static void answer_voters(struct world *w, int16_t code, uint16_t port)
{
    struct describe_quorum_response r;
    struct describe_quorum_response_node node;
    struct describe_quorum_response_listener listener;
    const struct describe_quorum_request *q =
        fake_request(&w->f, fake_next(&w->f, API_DESCRIBE_QUORUM));
    assert_int_equal(q->topics_n, 1);
    assert_true(bytes_eq_str(q->topics[0].topic_name, "__cluster_metadata"));
    assert_int_equal(q->topics[0].partitions_n, 1);
    proto_msg_init(&describe_quorum_response_msg, &r);
    proto_init(&describe_quorum_response_node_desc, &node);
    proto_init(&describe_quorum_response_listener_desc, &listener);
    listener.port = port;
    node.listeners = &listener;
    node.listeners_n = 1;
    r.nodes = &node;
    r.nodes_n = 1;
    r.error_code = code;
    fake_answer(&w->f, fake_next(&w->f, API_DESCRIBE_QUORUM), &r);
}

/* Where to begin is all that the configuration says: the leader is asked for the rest before its
 * records are taken, and so is the next one. */
/* A broker that knows where to begin, and no more. */
static const char *const learning[] = {"process.roles=broker",
                                       "node.id=1",
                                       "listeners=PLAINTEXT://127.0.0.1:9092",
                                       "advertised.listeners=PLAINTEXT://127.0.0.1:9092",
                                       "controller.quorum.voters=",
                                       "controller.quorum.bootstrap.servers=h:9093",
                                       NULL};

static void test_the_leader_is_asked_for_all_voters(void **state)
{
    struct world w;
    struct reply r;
    (void)state;
    open_world_with(&w, learning);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    answer(&w, buf_bytes(&w.log));
    assert_int_equal(seen.leaders, 1);
    answer_voters(&w, 0, 9093);
    assert_int_equal(seen.voters, 1);
    assert_int_equal(seen.port, 9093);
    assert_int_equal(seen.applied, 0);
    assert_int_equal(fetch_offset(&w), 0);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 1);
    reply_init(&w, &r);
    r.p.current_leader.leader_epoch = 4;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    answer_voters(&w, 0, 9094);
    assert_int_equal(seen.port, 9094);
    assert_int_equal(fetch_offset(&w), 1);
    shut_world(&w);
}

/* The metadata does not depend on the answer to where all controllers are. */
static void test_metadata_does_not_wait_for_the_voters(void **state)
{
    struct world w;
    (void)state;
    open_world_with(&w, learning);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    answer(&w, buf_bytes(&w.log));
    answer_voters(&w, KE_NOT_LEADER_OR_FOLLOWER, 1); /* not any more */
    assert_int_equal(w.f.not_controller, 1);
    fake_run(&w.f, 25);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 1);
    assert_int_equal(seen.caught_up, 1);
    for (uint8_t i = 2; i <= 4; i++) { /* asked again from time to time, whatever is said */
        assert_int_equal(fetch_offset(&w), i - 1);
        fake_run(&w.f, 1000);
        answer(&w, bytes_of("", 0));
        fake_end(fake_next(&w.f, API_DESCRIBE_QUORUM), ERR_CLOSED, BYTES_NULL);
        fake_run(&w.f, 25);
        append_topic(&w, i);
        answer_log(&w);
        fake_run(&w.f, 1);
        assert_int_equal(seen.topics, i);
    }
    assert_int_equal(seen.voters, 0);
    fake_run(&w.f, 1000);
    answer(&w, bytes_of("", 0));
    answer_voters(&w, 0, 9093);
    assert_int_equal(seen.voters, 1);
    fake_run(&w.f, 1000);
    answer(&w, bytes_of("", 0)); /* known: not asked any more */
    assert_int_equal(fetch_offset(&w), 4);
    shut_world(&w);
}

static void test_fenced_epoch_is_forgotten(void **state)
{
    struct world w;
    struct reply r;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(fetch(&w)->topics[0].partitions[0].current_leader_epoch, 3);
    reply_init(&w, &r);
    r.p.error_code = KE_FENCED_LEADER_EPOCH;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    fake_run(&w.f, 25);
    assert_int_equal(fetch(&w)->topics[0].partitions[0].current_leader_epoch, -1);
    assert_int_equal(fetch_offset(&w), 1);
    shut_world(&w);
}

static void test_broken_metadata_stops_the_node(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    w.log.data[w.log.len - 1] ^= 1;
    answer_log(&w);
    fake_run(&w.f, 100);
    assert_int_equal(seen.failed, 1);
    assert_int_equal(seen.applied, 0);
    assert_true(list_empty(&w.f.calls)); /* and nothing is asked any more */
    shut_world(&w);
}

static void test_another_history_stops_the_node(void **state)
{
    struct world w;
    struct reply r;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    answer_log(&w);
    fake_run(&w.f, 1);
    reply_init(&w, &r);
    r.p.diverging_epoch.epoch = 2;
    r.p.diverging_epoch.end_offset = 0;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    assert_int_equal(seen.failed, 1);
    assert_non_null(strstr(seen.why, "another history"));
    shut_world(&w);
}

/* A leader that stood still and was replaced meanwhile: it knows nothing of the epoch that this
 * broker has records of. */
static void test_leader_of_an_older_epoch_is_not_believed(void **state)
{
    struct world w;
    struct reply r;
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    answer_log(&w);
    fake_run(&w.f, 1);
    reply_init(&w, &r);
    r.p.current_leader.leader_epoch = 2;
    r.p.diverging_epoch.epoch = 2;
    r.p.diverging_epoch.end_offset = 0;
    fake_answer(&w.f, fake_next(&w.f, API_FETCH), &r.r);
    fake_run(&w.f, 25);
    assert_int_equal(seen.failed, 0);
    assert_int_equal(fetch_offset(&w), 1); /* it asks again */
    append_topic(&w, 2);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 2);
    shut_world(&w);
}

/* ---- snapshots ---- */

static void put_control(struct buf *out, int64_t *offset, enum control_type type)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf value = {0};
    struct errmsg em;
    if (type == CONTROL_SNAPSHOT_HEADER) {
        struct snapshot_header_record h;
        proto_msg_init(&snapshot_header_record_msg, &h);
        h.last_contained_log_timestamp = 900;
        assert_int_equal(proto_encode(&snapshot_header_record_msg, 0, &h, &value, &em), 0);
    } else {
        struct snapshot_footer_record h;
        proto_msg_init(&snapshot_footer_record_msg, &h);
        assert_int_equal(proto_encode(&snapshot_footer_record_msg, 0, &h, &value, &em), 0);
    }
    opt.base_offset = (*offset)++;
    opt.leader_epoch = 2;
    opt.control = true;
    batch_builder_init(&b, &opt);
    batch_builder_add_control(&b, 1000, type, buf_bytes(&value));
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
    buf_free(&value);
}

static void put_snapshot(struct buf *out, uint8_t topics)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    int64_t offset = 0;
    put_control(out, &offset, CONTROL_SNAPSHOT_HEADER);
    opt.base_offset = offset;
    opt.leader_epoch = 2;
    batch_builder_init(&b, &opt);
    for (uint8_t i = 1; i <= topics; i++) {
        struct buf record = {0};
        put_topic(&record, i);
        batch_builder_add(&b, 1000, BYTES_NULL, buf_bytes(&record), NULL, 0);
        buf_free(&record);
        offset++;
    }
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
    put_control(out, &offset, CONTROL_SNAPSHOT_FOOTER);
}

static void send_to_snapshot(struct world *w, int64_t end_offset)
{
    struct reply r;
    reply_init(w, &r);
    r.p.snapshot_id.end_offset = end_offset;
    r.p.snapshot_id.epoch = 2;
    fake_answer(&w->f, fake_next(&w->f, API_FETCH), &r.r);
}

static void answer_piece(struct world *w, struct bytes all, int64_t at, size_t n, int16_t error)
{
    struct fetch_snapshot_response r;
    struct fetch_snapshot_response_topic_snapshot t;
    struct fetch_snapshot_response_partition_snapshot p;
    struct channel_call *call = fake_next(&w->f, API_FETCH_SNAPSHOT);
    const struct fetch_snapshot_request *q = fake_request(&w->f, call);
    assert_true(bytes_eq_str(q->topics[0].name, "__cluster_metadata"));
    assert_int_equal(q->topics[0].partitions[0].snapshot_id.end_offset, 50);
    assert_int_equal(q->topics[0].partitions[0].snapshot_id.epoch, 2);
    assert_int_equal(q->topics[0].partitions[0].position, at);
    proto_msg_init(&fetch_snapshot_response_msg, &r);
    proto_init(&fetch_snapshot_response_topic_snapshot_desc, &t);
    proto_init(&fetch_snapshot_response_partition_snapshot_desc, &p);
    r.topics = &t;
    r.topics_n = 1;
    t.name = bytes_str("__cluster_metadata");
    t.partitions = &p;
    t.partitions_n = 1;
    p.error_code = error;
    p.snapshot_id.end_offset = 50;
    p.snapshot_id.epoch = 2;
    p.size = (int64_t)all.len;
    p.position = at;
    p.unaligned_records = bytes_of(all.data + at, n);
    fake_answer(&w->f, call, &r);
}

static void test_snapshot_in_pieces(void **state)
{
    struct world w;
    struct buf snap = {0};
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    put_snapshot(&snap, 4);
    send_to_snapshot(&w, 50);
    answer_piece(&w, buf_bytes(&snap), 0, 10, 0);
    answer_piece(&w, buf_bytes(&snap), 10, 100, 0);
    assert_int_equal(seen.applied, 0);
    answer_piece(&w, buf_bytes(&snap), 110, snap.len - 110, 0);
    assert_int_equal(fetch_offset(&w), 50);
    w.end = 50;
    append_topic(&w, 9);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.applied, 1); /* snapshot and log in one version */
    assert_int_equal(seen.topics, 5);
    assert_int_equal(metadata_loader_applied(w.l), 50);
    shut_world(&w);
    buf_free(&snap);
}

static void test_snapshot_later_on_is_a_version_too(void **state)
{
    struct world w;
    struct buf snap = {0};
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    append_topic(&w, 1);
    answer_log(&w);
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 1);
    put_snapshot(&snap, 3);
    send_to_snapshot(&w, 50);
    answer_piece(&w, buf_bytes(&snap), 0, snap.len, 0);
    fake_run(&w.f, 1);
    assert_int_equal(seen.applied, 2);
    assert_int_equal(seen.topics, 3);
    assert_int_equal(metadata_loader_applied(w.l), 49);
    shut_world(&w);
    buf_free(&snap);
}

static void test_snapshot_that_goes_away(void **state)
{
    struct world w;
    struct buf snap = {0};
    (void)state;
    open_world(&w);
    metadata_loader_start(w.l);
    put_snapshot(&snap, 2);
    send_to_snapshot(&w, 50);
    answer_piece(&w, buf_bytes(&snap), 0, 20, 0);
    answer_piece(&w, buf_bytes(&snap), 20, 0, KE_SNAPSHOT_NOT_FOUND);
    fake_run(&w.f, 25);
    assert_int_equal(fetch_offset(&w), 0); /* asks anew where to begin */
    send_to_snapshot(&w, 50);
    fake_end(fake_next(&w.f, API_FETCH_SNAPSHOT), ERR_TIMEOUT, BYTES_NULL);
    fake_run(&w.f, 25);
    send_to_snapshot(&w, 50);
    answer_piece(&w, buf_bytes(&snap), 0, snap.len, 0);
    w.end = 50;
    answer(&w, bytes_of("", 0));
    fake_run(&w.f, 1);
    assert_int_equal(seen.topics, 2);
    assert_int_equal(seen.failed, 0);
    shut_world(&w);
    buf_free(&snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_version_when_caught_up),
        cmocka_unit_test(test_every_change_is_published),
        cmocka_unit_test(test_cut_batch_is_left_for_the_next_fetch),
        cmocka_unit_test(test_errors_are_tried_again),
        cmocka_unit_test(test_silent_controller_is_left),
        cmocka_unit_test(test_the_leader_is_asked_for_all_voters),
        cmocka_unit_test(test_metadata_does_not_wait_for_the_voters),
        cmocka_unit_test(test_fenced_epoch_is_forgotten),
        cmocka_unit_test(test_broken_metadata_stops_the_node),
        cmocka_unit_test(test_another_history_stops_the_node),
        cmocka_unit_test(test_leader_of_an_older_epoch_is_not_believed),
        cmocka_unit_test(test_snapshot_in_pieces),
        cmocka_unit_test(test_snapshot_later_on_is_a_version_too),
        cmocka_unit_test(test_snapshot_that_goes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
