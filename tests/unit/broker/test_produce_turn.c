/* Producers whose batches have to be opened, many at a time, on one data shard: their order, what a
 * turn opens, who passes meanwhile, connections that end, nodes that stop and topics that are
 * deleted while requests wait, whole or in part.
 *
 * A whole node on the simulator's seam, one data shard, a turn of each shard per virtual
 * millisecond. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/api/produce_turn.h"
#include "broker/config.h"
#include "broker/node.h"
#include "broker/partition_manager.h"
#include "broker/shard_stats.h"
#include "proto/record_batch.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "runtime/log_sink.h"
#include "sim/sim_client.h"

enum {
    PEERS = 12,
    ANSWERS_MAX = 8, /* of one peer */
    STEP_US = 1000,
    WAIT_STEPS = 60000,
    CALL_US = 60 * 1000 * 1000,
    HEAVY_RECORDS = 20,
    VALUE = 1 << 20,
    HEAVY_MOST = (HEAVY_RECORDS + 1) * VALUE, /* what a heavy batch opens to, at most */
    PRODUCE_V = 9,
    API_VERSIONS_V = 0,
    CREATE_V = 5,
    DELETE_V = 4,
    PORT = 9092,
    PARTITIONS = 24,
};

struct world;

/* A client on a machine of its own. */
struct peer {
    struct world *w;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct sim_client c;
    int64_t bases[ANSWERS_MAX]; /* of the Produce requests, as they are answered */
    int16_t codes[ANSWERS_MAX];
    unsigned answers;
    int16_t row_codes[PARTITIONS]; /* of the newest answer */
    int32_t row_n;
    unsigned lost; /* the connection ended before the answer */
    int32_t sequence;
};

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct logger lg;
    struct node *n;
    enum node_state state;
    struct peer peers[PEERS];
    struct peer other; /* asks for ApiVersions, again and again */
    bool other_asks;
    unsigned heavy_answers;  /* of all peers */
    unsigned others_between; /* its answers between the first and the last of those */
    struct buf heavy;
};

/* ---- time ---- */

static void turn_clients(struct world *w)
{
    sim_clock_advance(&w->sim->clock, STEP_US);
    sim_clock_run_due(&w->sim->clock);
    for (unsigned i = 0; i < PEERS; i++) {
        io_turn(w->peers[i].io, 0);
    }
    io_turn(w->other.io, 0);
}

static const struct produce_turn *line(const struct world *w)
{
    return w->n->shards[0].produce_turn;
}

static unsigned waiting(const struct world *w)
{
    unsigned n = 0;
    list_for_each (at, &line(w)->waiting) {
        n++;
    }
    return n;
}

static void step(struct world *w)
{
    turn_clients(w);
    for (unsigned i = 0; i < shard_group_count(node_shards(w->n)); i++) {
        shard_turn(shard_group_get(node_shards(w->n), i), 0);
    }
    /* a turn ends where it judges last: so this is what it has opened */
    assert_true(line(w)->opened < PRODUCE_OPEN_TURN + HEAVY_MOST);
}

/* All that was sent lies in the node's sockets. */
static void arrive(struct world *w)
{
    for (unsigned i = 0; i < 20; i++) {
        turn_clients(w);
    }
}

static void until_state(struct world *w, enum node_state wanted)
{
    for (unsigned i = 0; w->state != wanted; i++) {
        assert_true(i < WAIT_STEPS && w->state != NODE_FAILED);
        step(w);
    }
}

static void until_answered(struct world *w, const struct peer *p, unsigned answers)
{
    for (unsigned i = 0; p->answers + p->lost < answers; i++) {
        assert_true(i < WAIT_STEPS);
        step(w);
    }
}

/* A large request comes in over several turns. */
static void until_waiting(struct world *w)
{
    for (unsigned i = 0; waiting(w) == 0; i++) {
        assert_true(i < WAIT_STEPS);
        step(w);
    }
}

/* ---- requests ---- */

static void *decode(const struct sim_call *call, struct bytes body, struct arena *a)
{
    const struct proto_message *m = proto_response(call->api_key);
    void *r = proto_array(a, m->root, 1);
    assert_int_equal(proto_decode(m, call->version, body, NULL, a, r), 0);
    return r;
}

static void on_produced(struct sim_call *call, int err, struct bytes body)
{
    struct peer *p = call->user;
    struct arena a = {0};
    if (err) {
        p->lost++;
        return;
    }
    const struct produce_response *r = decode(call, body, &a);
    p->row_n = r->responses[0].partition_responses_n;
    for (int32_t i = 0; i < p->row_n; i++) {
        p->row_codes[i] = r->responses[0].partition_responses[i].error_code;
    }
    assert_true(p->answers < ANSWERS_MAX);
    p->codes[p->answers] = r->responses[0].partition_responses[0].error_code;
    p->bases[p->answers++] = r->responses[0].partition_responses[0].base_offset;
    if (p->w->heavy_answers++ == 0) {
        p->w->others_between = 0;
    }
    arena_free(&a);
}

/* The same batch to so many partitions, in one request. */
static void produce_rows(struct peer *p, const char *topic, int32_t partitions, struct bytes batch)
{
    struct produce_request q;
    struct produce_request_topic_produce_data t;
    struct produce_request_partition_produce_data d[PARTITIONS];
    proto_msg_init(&produce_request_msg, &q);
    proto_init(&produce_request_topic_produce_data_desc, &t);
    q.acks = -1;
    q.timeout_ms = 30000;
    q.topic_data = &t;
    q.topic_data_n = 1;
    t.name = bytes_str(topic);
    t.partition_data = d;
    t.partition_data_n = partitions;
    for (int32_t i = 0; i < partitions; i++) {
        proto_init(&produce_request_partition_produce_data_desc, &d[i]);
        d[i].index = i;
        d[i].records = batch;
    }
    sim_client_call(&p->c, API_PRODUCE, PRODUCE_V, &q, CALL_US, on_produced, p);
}

static void produce(struct peer *p, struct bytes batch)
{
    produce_rows(p, "compacted", 1, batch);
}

/* The next batch of the peer's as an idempotent producer. */
static void put_batch(struct buf *out, int64_t producer, int32_t sequence, int records, size_t size,
                      enum codec codec)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    uint8_t *value = mem_zalloc(size);
    opt.codec = codec;
    if (producer >= 0) {
        opt.producer_id = producer;
        opt.producer_epoch = 0;
        opt.base_sequence = sequence;
    }
    batch_builder_init(&b, &opt);
    for (int i = 0; i < records; i++) {
        batch_builder_add(&b, 1700000000000, bytes_str("k"), bytes_of(value, size), NULL, 0);
    }
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
    mem_free(value);
}

static void produce_next(struct peer *p, bool heavy)
{
    struct buf batch = {0};
    int records = heavy ? HEAVY_RECORDS : 1;
    put_batch(&batch, 7, p->sequence, records, heavy ? VALUE : 10, heavy ? CODEC_GZIP : CODEC_NONE);
    p->sequence += records;
    produce(p, buf_bytes(&batch));
    buf_free(&batch);
}

static void ask_versions(struct world *w);

static void on_versions(struct sim_call *call, int err, struct bytes body)
{
    struct world *w = call->user;
    UNUSED(body);
    if (err == 0) {
        w->others_between++;
        ask_versions(w);
    }
}

static void ask_versions(struct world *w)
{
    struct api_versions_request q;
    proto_msg_init(&api_versions_request_msg, &q);
    if (w->other_asks) {
        sim_client_call(&w->other.c, API_API_VERSIONS, API_VERSIONS_V, &q, CALL_US, on_versions, w);
    }
}

/* ---- life ---- */

static void on_state(void *user, struct node *n, enum node_state state)
{
    struct world *w = user;
    UNUSED(n);
    w->state = state;
}

static void peer_init(struct world *w, struct peer *p)
{
    p->w = w;
    p->host = sim_host_new(w->sim, 1 << 20);
    p->proc = sim_proc_new(p->host);
    assert_int_equal(io_sim_make(p->proc, 0, &p->io, NULL), 0);
    sim_client_init(&p->c, p->io, "test");
}

static void peer_close(struct peer *p)
{
    sim_client_close(&p->c);
    sim_proc_kill(p->proc);
}

static void node_open(struct world *w)
{
    struct errmsg em = {{0}};
    struct config_machine m = {.hostname = "h", .processors = 1, .memory_bytes = 1 << 30};
    struct config *c = config_new();
    char listeners[128];
    config_zero(c, "/data", PORT);
    snprintf(listeners, sizeof listeners, "listeners=PLAINTEXT://%s:%d,CONTROLLER://localhost:%d",
             w->host->ip, PORT, PORT + 1);
    assert_int_equal(config_add_override(c, listeners, &em), 0);
    if (config_finish(c, &m, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    struct node_options o = {.config = c,
                             .log = &w->lg,
                             .make_io = io_sim_make,
                             .make_io_ctx = w->proc,
                             .inline_shards = true,
                             .on_state = on_state,
                             .user = w};
    w->n = node_new(&o, &em);
    if (w->n == NULL || node_start(w->n, &em)) {
        fail_msg("%s", em.text);
    }
    assert_int_equal(w->n->data_shards, 1);
}

static void on_created(struct sim_call *call, int err, struct bytes body)
{
    struct peer *p = call->user;
    struct arena a = {0};
    assert_int_equal(err, 0);
    const struct create_topics_response *r = decode(call, body, &a);
    assert_int_equal(r->topics[0].error_code, KE_NONE);
    p->answers++;
    arena_free(&a);
}

static void create_topic(struct world *w, const char *name, const char *key, const char *value)
{
    unsigned before = w->other.answers;
    struct create_topics_request q;
    struct create_topics_request_creatable_topic t;
    struct create_topics_request_creatable_topic_config c;
    proto_msg_init(&create_topics_request_msg, &q);
    proto_init(&create_topics_request_creatable_topic_desc, &t);
    proto_init(&create_topics_request_creatable_topic_config_desc, &c);
    c.name = bytes_str(key);
    c.value = bytes_str(value);
    t.name = bytes_str(name);
    t.num_partitions = PARTITIONS;
    t.replication_factor = 1;
    t.configs = &c;
    t.configs_n = 1;
    q.topics = &t;
    q.topics_n = 1;
    q.timeout_ms = 30000;
    sim_client_call(&w->other.c, API_CREATE_TOPICS, CREATE_V, &q, CALL_US, on_created, &w->other);
    until_answered(w, &w->other, before + 1);
    for (unsigned i = 0; i < 1000; i++) { /* the broker hears of it */
        step(w);
    }
}

static struct world *world_open(void)
{
    struct world *w = MEM_NEW(struct world);
    log_sink_init(&w->lg, LOG_WARN, STDERR_FILENO);
    w->sim = sim_new(1);
    w->host = sim_host_new(w->sim, 64 << 20);
    w->proc = sim_proc_new(w->host);
    node_open(w);
    put_batch(&w->heavy, -1, 0, HEAVY_RECORDS, VALUE, CODEC_GZIP);
    for (unsigned i = 0; i < PEERS; i++) {
        peer_init(w, &w->peers[i]);
    }
    peer_init(w, &w->other);
    until_state(w, NODE_RUNNING);
    for (unsigned i = 0; i < PEERS; i++) {
        sim_client_open(&w->peers[i].c, w->host->ip, PORT);
    }
    sim_client_open(&w->other.c, w->host->ip, PORT);
    create_topic(w, "compacted", "cleanup.policy", "compact");
    return w;
}

/* After the node has gone. */
static void world_free(struct world *w)
{
    for (unsigned i = 0; i < PEERS; i++) {
        peer_close(&w->peers[i]);
    }
    peer_close(&w->other);
    buf_free(&w->heavy);
    sim_free(w->sim);
    mem_free(w);
}

static void world_shut(struct world *w)
{
    struct errmsg em = {{0}};
    w->other_asks = false;
    node_stop(w->n);
    until_state(w, NODE_STOPPED);
    node_free(w->n);
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("%s", em.text);
    }
    world_free(w);
}

/* ---- the tests ---- */

/* Five under way, as an idempotent producer has them: the light ones may not pass. */
static void a_connections_order_is_kept(void **state)
{
    UNUSED(state);
    static const bool heavy[] = {true, false, true, false, false};
    static const int64_t bases[] = {0, HEAVY_RECORDS, HEAVY_RECORDS + 1, 2 * HEAVY_RECORDS + 1,
                                    2 * HEAVY_RECORDS + 2};
    struct world *w = world_open();
    struct peer *p = &w->peers[0];
    for (unsigned i = 0; i < ARRAY_LEN(heavy); i++) {
        produce_next(p, heavy[i]);
    }
    arrive(w);
    step(w);
    assert_int_equal(waiting(w), ARRAY_LEN(heavy) - 1);
    until_answered(w, p, ARRAY_LEN(heavy));
    for (unsigned i = 0; i < ARRAY_LEN(heavy); i++) {
        assert_int_equal(p->codes[i], KE_NONE);
        assert_int_equal(p->bases[i], bases[i]);
    }
    step(w);
    assert_false(produce_turn_is_over(line(w)));
    world_shut(w);
}

static int64_t queue_us(const struct world *w)
{
    unsigned slot = (unsigned)(api_find(API_PRODUCE) - api_table);
    return (int64_t)shard_stats_request(w->n->shards[0].stats, slot)->stages[STAGE_QUEUE].sum;
}

static void others_pass_between_two_heavy_ones(void **state)
{
    UNUSED(state);
    struct world *w = world_open();
    int64_t before_us = queue_us(w);
    w->other_asks = true;
    ask_versions(w);
    for (unsigned i = 0; i < PEERS; i++) {
        produce(&w->peers[i], buf_bytes(&w->heavy));
    }
    arrive(w);
    step(w);
    assert_int_equal(waiting(w), PEERS - 1);
    for (unsigned i = 0; w->heavy_answers < PEERS; i++) {
        assert_true(i < WAIT_STEPS);
        step(w);
    }
    /* a way to the node and back takes two or three turns */
    assert_true(w->others_between >= PEERS / 4);
    for (unsigned i = 0; i < PEERS; i++) {
        assert_int_equal(w->peers[i].codes[0], KE_NONE);
    }
    /* each waited a turn longer than the one before it, and that is told as time in the queue */
    assert_true(queue_us(w) - before_us >= PEERS * (PEERS - 1) / 2 * STEP_US);
    world_shut(w);
}

/* They are not opened any more, and the others go on. */
static void a_connection_ends_while_its_requests_wait(void **state)
{
    UNUSED(state);
    struct world *w = world_open();
    struct peer *stays = &w->peers[0];
    struct peer *goes = &w->peers[1];
    for (unsigned i = 0; i < 4; i++) {
        produce(stays, buf_bytes(&w->heavy));
        produce(goes, buf_bytes(&w->heavy));
    }
    arrive(w);
    step(w);
    assert_int_equal(waiting(w), 7);
    sim_net_reset_all(&w->sim->net, goes->host);
    until_answered(w, goes, 4);
    until_answered(w, stays, 4);
    assert_int_equal(stays->answers, 4);
    assert_false(sim_client_is_open(&goes->c));
    assert_int_equal(waiting(w), 0);
    produce_next(stays, false);
    until_answered(w, stays, 5);
    assert_int_equal(stays->codes[4], KE_NONE);
    /* two turns may pass before the end is noticed */
    assert_in_range(stays->bases[4], 4 * HEAVY_RECORDS, 6 * HEAVY_RECORDS);
    world_shut(w);
}

static void an_orderly_stop_answers_who_waits(void **state)
{
    UNUSED(state);
    struct world *w = world_open();
    for (unsigned i = 0; i < 6; i++) {
        produce(&w->peers[i % 3], buf_bytes(&w->heavy));
    }
    arrive(w);
    step(w);
    assert_int_equal(waiting(w), 5);
    node_stop(w->n);
    until_state(w, NODE_STOPPED);
    arrive(w);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(w->peers[i].answers, 2);
        assert_int_equal(w->peers[i].codes[0], KE_NONE);
        assert_int_equal(w->peers[i].codes[1], KE_NONE);
    }
    world_shut(w);
}

static void free_while_it_flushes(void)
{
    struct errmsg em = {{0}};
    struct buf batch = {0};
    struct world *w = world_open();
    const struct list *flushing = &w->n->shards[0].partitions->store.flushing;
    create_topic(w, "flushed", "flush.messages", "1");
    put_batch(&batch, -1, 0, 1, 10, CODEC_NONE);
    produce_rows(&w->peers[0], "flushed", 2, buf_bytes(&batch));
    for (unsigned i = 0; list_empty(flushing); i++) {
        assert_true(i < WAIT_STEPS);
        step(w);
    }
    node_free(w->n);
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("%s", em.text);
    }
}

/* A node that gives up is freed as it stands. */
static void an_end_without_a_stop_waits_for_no_flush(void **state)
{
    UNUSED(state);
    int status;
    pid_t child = fork();
    if (child == 0) {
        free_while_it_flushes();
        _exit(0); /* not all of a node that runs is given back */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Each partition's batch is a step of its own, and whoever came later waits for all of them. */
static void one_request_takes_several_turns(void **state)
{
    UNUSED(state);
    enum { ROWS = 6 };
    struct world *w = world_open();
    produce_rows(&w->peers[0], "compacted", ROWS, buf_bytes(&w->heavy));
    until_waiting(w);
    produce_next(&w->peers[1], false);
    w->other_asks = true;
    ask_versions(w);
    for (unsigned i = 0; i < ROWS - 2; i++) { /* all but the last two */
        step(w);
        assert_int_equal(w->peers[0].answers, 0);
        assert_true(waiting(w) >= 1);
    }
    until_answered(w, &w->peers[0], 1);
    until_answered(w, &w->peers[1], 1);
    assert_int_equal(w->peers[0].row_n, ROWS);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(w->peers[0].row_codes[i], KE_NONE);
    }
    assert_int_equal(w->peers[1].codes[0], KE_NONE);
    assert_int_equal(w->peers[1].bases[0], HEAVY_RECORDS);
    world_shut(w);
}

/* Nothing of it reaches a log, and what was judged of it is freed: batches in a codec of the
 * topic's. */
static void a_connection_ends_in_the_middle_of_a_request(void **state)
{
    UNUSED(state);
    struct world *w = world_open();
    create_topic(w, "packed", "compression.type", "lz4");
    struct peer *goes = &w->peers[0];
    struct buf light = {0};
    produce_rows(goes, "packed", PARTITIONS, buf_bytes(&w->heavy));
    until_waiting(w);
    step(w);
    sim_net_reset_all(&w->sim->net, goes->host);
    until_answered(w, goes, 1);
    for (unsigned i = 0; waiting(w) > 0; i++) {
        assert_true(i < PARTITIONS / 2);
        step(w);
    }
    put_batch(&light, -1, 0, 1, 10, CODEC_NONE);
    produce_rows(&w->peers[1], "packed", 1, buf_bytes(&light));
    until_answered(w, &w->peers[1], 1);
    assert_int_equal(w->peers[1].codes[0], KE_NONE);
    assert_int_equal(w->peers[1].bases[0], 0);
    buf_free(&light);
    world_shut(w);
}

static void on_deleted(struct sim_call *call, int err, struct bytes body)
{
    UNUSED(call);
    UNUSED(body);
    assert_int_equal(err, 0);
}

static void a_topic_is_deleted_in_the_middle_of_a_request(void **state)
{
    UNUSED(state);
    struct world *w = world_open();
    struct delete_topics_request q;
    struct bytes name = bytes_str("compacted");
    proto_msg_init(&delete_topics_request_msg, &q);
    q.topic_names = &name;
    q.topic_names_n = 1;
    q.timeout_ms = 30000;
    produce_rows(&w->peers[0], "compacted", PARTITIONS, buf_bytes(&w->heavy));
    until_waiting(w);
    sim_client_call(&w->other.c, API_DELETE_TOPICS, DELETE_V, &q, CALL_US, on_deleted, w);
    until_answered(w, &w->peers[0], 1);
    assert_int_equal(w->peers[0].row_n, PARTITIONS);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        assert_int_equal(w->peers[0].row_codes[i], KE_UNKNOWN_TOPIC_OR_PARTITION);
    }
    world_shut(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connections_order_is_kept),
        cmocka_unit_test(others_pass_between_two_heavy_ones),
        cmocka_unit_test(a_connection_ends_while_its_requests_wait),
        cmocka_unit_test(an_orderly_stop_answers_who_waits),
        cmocka_unit_test(an_end_without_a_stop_waits_for_no_flush),
        cmocka_unit_test(one_request_takes_several_turns),
        cmocka_unit_test(a_connection_ends_in_the_middle_of_a_request),
        cmocka_unit_test(a_topic_is_deleted_in_the_middle_of_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
