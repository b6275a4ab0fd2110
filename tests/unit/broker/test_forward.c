/* Envelopes to the controller, and what rides in them: clients' requests, topics that come into
 * being by a Metadata request, the log directories of replicas. The test plays the controller. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/dir_assign.h"
#include "broker/forward.h"
#include "broker/lifecycle.h"
#include "broker/messages.h"
#include "fake_channel.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

/* What became of a client's request; static to the program, which runs one case at a time. */
static struct {
    unsigned replied;
    unsigned closed;
    unsigned dropped;
    unsigned refused;
    int16_t code;
    unsigned done;
    struct buf frame;
} seen;

/* ---- what forward.c calls of request.c ---- */

void request_close(struct request *r)
{
    UNUSED(r);
    seen.closed++;
}

void request_drop(struct request *r)
{
    UNUSED(r);
    seen.dropped++;
}

void *request_response(struct request *r)
{
    void *out = arena_alloc(&r->arena, 4096);
    proto_msg_init(proto_response(r->hdr.api_key), out);
    return out;
}

void request_reply_chunks(struct request *r, struct list *chunks)
{
    struct list *n;
    seen.replied++;
    buf_clear(&seen.frame);
    while ((n = list_pop_front(chunks)) != NULL) {
        struct chunk *c = LIST_ENTRY(n, struct chunk, node);
        buf_put(&seen.frame, c->data, c->len);
        c->release(c, r->ns->shard);
    }
}

int64_t lifecycle_broker_epoch(const struct lifecycle *l)
{
    UNUSED(l);
    return 50;
}

static void fake_on_msg(struct shard *sh, struct msg *m)
{
    struct node_shard *ns = sh->user;
    assert_int_equal(m->kind, MSG_DIR_ASSIGN);
    dir_assign_on_msg(ns->node, m);
}

struct world {
    struct fake f;
    struct config *config;
    struct request r;
    struct conn_req cr;
    struct conn conn;
    struct buf frame;
};

static void open_world(struct world *w)
{
    static const char *const over[] = {"request.timeout.ms=5000", "num.partitions=4", NULL};
    buf_free(&seen.frame);
    memset(&seen, 0, sizeof seen);
    memset(w, 0, sizeof *w);
    w->config = fake_config(over);
    fake_open(&w->f, w->config);
}

static void shut_world(struct world *w)
{
    auto_create_free(&w->f.ns);
    assert_true(list_empty(&w->f.calls));
    arena_free(&w->r.arena);
    buf_free(&w->frame);
    buf_free(&seen.frame);
    fake_shut(&w->f);
    config_free(w->config);
}

/* A client's DescribeQuorum, as request.c would hand it over. */
static struct request *client_request(struct world *w)
{
    struct describe_quorum_request *body = arena_alloc(&w->r.arena, sizeof *body);
    struct errmsg em;
    proto_msg_init(&describe_quorum_request_msg, body);
    proto_put_request_header(&w->frame, API_DESCRIBE_QUORUM, 2, 77, bytes_str("cli"));
    assert_int_equal(proto_encode(&describe_quorum_request_msg, 2, body, &w->frame, &em), 0);
    assert_int_equal(proto_read_request_header(buf_bytes(&w->frame), &w->r.hdr), 0);
    strcpy(w->conn.peer, "10.1.2.3");
    w->cr.conn = &w->conn;
    w->cr.frame = buf_bytes(&w->frame);
    w->r.cr = &w->cr;
    w->r.ns = &w->f.ns;
    w->r.body = body;
    return &w->r;
}

static void refuse(struct request *r, int16_t code, void *user)
{
    UNUSED(r);
    UNUSED(user);
    seen.refused++;
    seen.code = code;
}

static void done(struct request *r, void *response, void *user)
{
    UNUSED(r);
    assert_ptr_equal(user, &seen);
    seen.done++;
    seen.code = ((struct describe_quorum_response *)response)->error_code;
}

static const struct envelope_request *envelope(struct world *w)
{
    return fake_request(&w->f, fake_next(&w->f, API_ENVELOPE));
}

static void answer(struct world *w, int16_t error, struct bytes data)
{
    struct envelope_response r;
    proto_msg_init(&envelope_response_msg, &r);
    r.error_code = error;
    r.response_data = data;
    fake_answer(&w->f, fake_next(&w->f, API_ENVELOPE), &r);
}

static void test_a_request_travels_as_it_came(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    forward_request(client_request(&w), refuse);
    const struct envelope_request *e = envelope(&w);
    assert_true(bytes_eq(e->request_data, buf_bytes(&w.frame)));
    assert_int_equal(e->client_host_address.len, 4);
    assert_memory_equal(e->client_host_address.data, "\x0a\1\2\3", 4);
    struct default_principal_data p;
    assert_int_equal(load_be16(e->request_principal.data), 0);
    assert_int_equal(
        proto_decode(&default_principal_data_msg, 0,
                     bytes_of(e->request_principal.data + 2, e->request_principal.len - 2), NULL,
                     &w.f.arena, &p),
        0);
    assert_true(bytes_eq_str(p.type, "User") && bytes_eq_str(p.name, "ANONYMOUS"));

    answer(&w, 0, bytes_str("the answer"));
    assert_int_equal(seen.replied, 1);
    assert_int_equal(seen.frame.len, 14);
    assert_int_equal(load_be32(seen.frame.data), 10);
    assert_memory_equal(seen.frame.data + 4, "the answer", 10);
    shut_world(&w);
}

static void test_tried_again_until_there_is_a_controller(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    forward_request(client_request(&w), refuse);
    answer(&w, KE_NOT_CONTROLLER, BYTES_NULL);
    assert_int_equal(w.f.not_controller, 1);
    fake_run(&w.f, 60);
    fake_end(fake_next(&w.f, API_ENVELOPE), ERR_CLOSED, BYTES_NULL);
    fake_run(&w.f, 60);
    assert_true(bytes_eq(envelope(&w)->request_data, buf_bytes(&w.frame)));
    answer(&w, 0, bytes_str("x"));
    assert_int_equal(seen.replied, 1);
    assert_int_equal(seen.refused, 0);
    shut_world(&w);
}

static void test_time_is_bounded(void **state)
{
    struct world w;
    unsigned tries = 0;
    (void)state;
    open_world(&w);
    forward_request(client_request(&w), refuse);
    while (!list_empty(&w.f.calls)) {
        answer(&w, KE_NOT_CONTROLLER, BYTES_NULL);
        fake_run(&w.f, 60);
        tries++;
    }
    assert_in_range(tries, 50, 100); /* request.timeout.ms=5000, every 50 to 60 ms */
    assert_int_equal(seen.refused, 1);
    assert_int_equal(seen.code, KE_REQUEST_TIMED_OUT);
    shut_world(&w);
}

static void test_other_errors(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    forward_request(client_request(&w), refuse);
    answer(&w, KE_CLUSTER_AUTHORIZATION_FAILED, BYTES_NULL);
    assert_int_equal(seen.code, KE_CLUSTER_AUTHORIZATION_FAILED);
    shut_world(&w);

    open_world(&w);
    forward_request(client_request(&w), refuse);
    answer(&w, 0, BYTES_NULL); /* neither an error nor an answer */
    assert_int_equal(seen.code, KE_UNKNOWN_SERVER_ERROR);
    shut_world(&w);

    open_world(&w);
    forward_request(client_request(&w), refuse);
    fake_end(fake_next(&w.f, API_ENVELOPE), ERR_CANCELED, BYTES_NULL); /* the node stops */
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.refused, 0);
    shut_world(&w);
}

static void test_client_that_goes_away(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    struct request *r = client_request(&w);
    forward_request(r, refuse);
    r->on_cancel(r);
    assert_int_equal(seen.dropped, 1);
    assert_true(list_empty(&w.f.calls));
    shut_world(&w);
}

static void test_a_body_of_our_own(void **state)
{
    struct world w;
    struct describe_quorum_request body;
    struct describe_quorum_response resp;
    struct proto_request_header hdr;
    struct buf frame = {0};
    struct errmsg em;
    (void)state;
    open_world(&w);
    struct request *r = client_request(&w);
    proto_msg_init(&describe_quorum_request_msg, &body);
    forward_body(r, &body, done, refuse, &seen);
    struct bytes data = envelope(&w)->request_data;
    assert_int_equal(proto_read_request_header(data, &hdr), 0);
    assert_int_equal(hdr.api_key, API_DESCRIBE_QUORUM);
    assert_int_equal(hdr.version, 2);
    assert_int_equal(hdr.correlation_id, 77);
    assert_true(bytes_eq_str(hdr.client_id, "cli"));
    proto_msg_init(&describe_quorum_response_msg, &resp);
    resp.error_code = 31;
    proto_put_response_header(&frame, API_DESCRIBE_QUORUM, 2, 77);
    assert_int_equal(proto_encode(&describe_quorum_response_msg, 2, &resp, &frame, &em), 0);
    answer(&w, 0, buf_bytes(&frame));
    assert_int_equal(seen.done, 1);
    assert_int_equal(seen.code, 31);
    buf_free(&frame);
    shut_world(&w);

    open_world(&w);
    forward_body(client_request(&w), &body, done, refuse, &seen);
    answer(&w, 0, bytes_str("no")); /* does not decode */
    assert_int_equal(seen.code, KE_UNKNOWN_SERVER_ERROR);
    assert_int_equal(seen.done, 0);
    shut_world(&w);
}

/* ---- topics that a Metadata request names ---- */

static const struct create_topics_request *creation(struct world *w)
{
    struct proto_request_header hdr;
    struct bytes data = envelope(w)->request_data;
    struct create_topics_request *q = arena_alloc(&w->f.arena, sizeof *q);
    assert_int_equal(proto_read_request_header(data, &hdr), 0);
    assert_int_equal(hdr.api_key, API_CREATE_TOPICS);
    assert_int_equal(proto_decode(&create_topics_request_msg, hdr.version,
                                  bytes_of(data.data + hdr.body_at, data.len - hdr.body_at), NULL,
                                  &w->f.arena, q),
                     0);
    assert_int_equal(q->topics_n, 1);
    return q;
}

static void answer_creation(struct world *w, int16_t error)
{
    struct create_topics_response resp;
    struct create_topics_response_creatable_topic_result topic;
    struct buf frame = {0};
    struct errmsg em;
    proto_msg_init(&create_topics_response_msg, &resp);
    proto_init(&create_topics_response_creatable_topic_result_desc, &topic);
    topic.error_code = error;
    resp.topics = &topic;
    resp.topics_n = 1;
    proto_put_response_header(&frame, API_CREATE_TOPICS, 7, 0);
    assert_int_equal(proto_encode(&create_topics_response_msg, 7, &resp, &frame, &em), 0);
    answer(w, 0, buf_bytes(&frame));
    buf_free(&frame);
}

static void test_auto_creation(void **state)
{
    struct world w;
    char name[8] = "topic1";
    (void)state;
    open_world(&w);
    auto_create_topic(&w.f.ns, bytes_str(name));
    strcpy(name, "gone"); /* the name need not stay */
    auto_create_topic(&w.f.ns, bytes_str("topic1"));
    const struct create_topics_request *q = creation(&w);
    assert_true(bytes_eq_str(q->topics[0].name, "topic1"));
    assert_int_equal(q->topics[0].num_partitions, 4);
    assert_int_equal(q->topics[0].replication_factor, 1);
    assert_int_equal(q->topics[0].configs_n, 0);
    answer_creation(&w, 0);
    assert_true(list_empty(&w.f.calls)); /* it was asked for once */
    auto_create_topic(&w.f.ns, bytes_str("topic1"));
    answer_creation(&w, KE_TOPIC_ALREADY_EXISTS);
    auto_create_topic(&w.f.ns, bytes_str("topic2"));
    auto_create_topic(&w.f.ns, bytes_str("topic3"));
    shut_world(&w); /* with two under way */
}

static void test_auto_creation_of_coordinator_topics(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    auto_create_topic(&w.f.ns, bytes_str("__consumer_offsets"));
    const struct create_topics_request *q = creation(&w);
    assert_int_equal(q->topics[0].num_partitions, 50);
    assert_int_equal(q->topics[0].configs_n, 3);
    assert_true(bytes_eq_str(q->topics[0].configs[0].name, "cleanup.policy"));
    assert_true(bytes_eq_str(q->topics[0].configs[0].value, "compact"));
    assert_true(bytes_eq_str(q->topics[0].configs[1].value, "104857600"));
    answer_creation(&w, 0);
    shut_world(&w);
}

/* ---- directories of replicas ---- */

static void answer_assignment(struct world *w, int16_t code)
{
    struct channel_call *call = fake_next(&w->f, API_ASSIGN_REPLICAS_TO_DIRS);
    const struct assign_replicas_to_dirs_request *q = fake_request(&w->f, call);
    struct assign_replicas_to_dirs_response r;
    struct assign_replicas_to_dirs_response_directory_data d;
    struct assign_replicas_to_dirs_response_topic_data t;
    struct assign_replicas_to_dirs_response_partition_data p;
    proto_msg_init(&assign_replicas_to_dirs_response_msg, &r);
    proto_init(&assign_replicas_to_dirs_response_directory_data_desc, &d);
    proto_init(&assign_replicas_to_dirs_response_topic_data_desc, &t);
    proto_init(&assign_replicas_to_dirs_response_partition_data_desc, &p);
    r.directories = &d;
    r.directories_n = 1;
    d.id = q->directories[0].id;
    d.topics = &t;
    d.topics_n = 1;
    t.topic_id = q->directories[0].topics[0].topic_id;
    t.partitions = &p;
    t.partitions_n = 1;
    p.partition_index = q->directories[0].topics[0].partitions[0].partition_index;
    p.error_code = code;
    fake_answer(&w->f, call, &r);
}

static void test_directories_are_told_together(void **state)
{
    struct log_dir dirs[2] = {{0}, {0}};
    struct log_dir *v[2] = {&dirs[0], &dirs[1]};
    struct world w;
    (void)state;
    open_world(&w);
    dirs[0].meta.directory_id = uuid_reserved(50);
    dirs[1].meta.directory_id = uuid_reserved(51);
    w.f.node.log_dirs = v;
    w.f.node.log_dirs_n = 2;
    w.f.node.dir_assign = dir_assign_new(&w.f.node);
    dir_assign_report(&w.f.ns, uuid_reserved(10), 1, 1);
    dir_assign_report(&w.f.ns, uuid_reserved(10), 0, 0);
    dir_assign_report(&w.f.ns, uuid_reserved(11), 3, 0);
    dir_assign_report(&w.f.ns, uuid_reserved(10), 2, 0);
    fake_run(&w.f, 1);
    assert_true(list_empty(&w.f.calls)); /* not registered yet */
    dir_assign_start(w.f.node.dir_assign);
    const struct assign_replicas_to_dirs_request *q =
        fake_request(&w.f, fake_next(&w.f, API_ASSIGN_REPLICAS_TO_DIRS));
    assert_int_equal(q->broker_epoch, 50);
    assert_int_equal(q->directories_n, 2);
    assert_true(uuid_eq(q->directories[0].id, uuid_reserved(50)));
    assert_int_equal(q->directories[0].topics_n, 2);
    assert_int_equal(q->directories[0].topics[0].partitions_n, 2);
    assert_int_equal(q->directories[0].topics[0].partitions[1].partition_index, 2);
    assert_int_equal(q->directories[0].topics[1].partitions[0].partition_index, 3);
    assert_int_equal(q->directories[1].topics_n, 1);
    assert_int_equal(q->directories[1].topics[0].partitions[0].partition_index, 1);

    answer_assignment(&w, KE_REQUEST_TIMED_OUT); /* for the first of them: again, alone */
    fake_run(&w.f, 510);
    q = fake_request(&w.f, fake_next(&w.f, API_ASSIGN_REPLICAS_TO_DIRS));
    assert_int_equal(q->directories_n, 1);
    assert_int_equal(q->directories[0].topics_n, 1);
    assert_int_equal(q->directories[0].topics[0].partitions_n, 1);
    assert_int_equal(q->directories[0].topics[0].partitions[0].partition_index, 0);
    dir_assign_report(&w.f.ns, uuid_reserved(12), 0, 0); /* while it is under way */
    fake_run(&w.f, 1);
    answer_assignment(&w, KE_UNKNOWN_TOPIC_ID); /* the topic is gone: not again */
    fake_run(&w.f, 1);
    q = fake_request(&w.f, fake_next(&w.f, API_ASSIGN_REPLICAS_TO_DIRS));
    assert_true(uuid_eq(q->directories[0].topics[0].topic_id, uuid_reserved(12)));
    fake_end(fake_next(&w.f, API_ASSIGN_REPLICAS_TO_DIRS), ERR_CLOSED, BYTES_NULL);
    fake_run(&w.f, 510);
    answer_assignment(&w, 0);
    fake_run(&w.f, 2000);
    assert_true(list_empty(&w.f.calls));
    dir_assign_free(w.f.node.dir_assign);
    shut_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_travels_as_it_came),
        cmocka_unit_test(test_tried_again_until_there_is_a_controller),
        cmocka_unit_test(test_time_is_bounded),
        cmocka_unit_test(test_other_errors),
        cmocka_unit_test(test_client_that_goes_away),
        cmocka_unit_test(test_a_body_of_our_own),
        cmocka_unit_test(test_auto_creation),
        cmocka_unit_test(test_auto_creation_of_coordinator_topics),
        cmocka_unit_test(test_directories_are_told_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
