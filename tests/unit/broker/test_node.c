/* Whole nodes on real threads, sockets and files: two in one process, the same over the socket
 * channel, stop and start again, a start after a crash, and starts that are refused. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/node.h"
#include "proto/message.h"
#include "proto/record_batch.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "runtime/log_sink.h"

enum { WAIT_S = 60, FETCH_V = 12, PRODUCE_V = 9, CREATE_V = 5, METADATA_V = 9 };

/* ---- nodes ---- */

struct host {
    struct node *n;
    struct logger lg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum node_state state;
    char dir[64];
    char failure[512];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(ftw);
    return remove(path);
}

static void host_init(struct host *h)
{
    memset(h, 0, sizeof *h);
    strcpy(h->dir, "/tmp/test_node.XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    log_sink_init(&h->lg, LOG_WARN, STDERR_FILENO);
}

static void host_remove(struct host *h)
{
    nftw(h->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
}

static void on_state(void *user, struct node *n, enum node_state state)
{
    struct host *h = user;
    pthread_mutex_lock(&h->lock);
    h->state = state;
    snprintf(h->failure, sizeof h->failure, "%s", node_failure(n));
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void wait_for(struct host *h, enum node_state wanted)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&h->lock);
    while (h->state != wanted) {
        if (h->state == NODE_FAILED || pthread_cond_timedwait(&h->changed, &h->lock, &until) != 0) {
            fail_msg("the node is in state %d, wanted %d: %s", (int)h->state, (int)wanted,
                     h->failure);
        }
    }
    pthread_mutex_unlock(&h->lock);
}

static struct config *config_of(const struct host *h, const char *const *overrides)
{
    struct config *c = config_new();
    struct errmsg em = {{0}};
    struct config_machine m = {.hostname = "localhost", .processors = 2, .memory_bytes = 1 << 30};
    config_zero(c, h->dir, 0);
    for (; overrides && *overrides; overrides++) {
        assert_int_equal(config_add_override(c, *overrides, &em), 0);
    }
    if (config_finish(c, &m, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    return c;
}

static void start(struct host *h, const char *const *overrides, bool socket_channel)
{
    struct errmsg em = {{0}};
    struct node_options o = {.config = config_of(h, overrides),
                             .log = &h->lg,
                             .socket_channel = socket_channel,
                             .on_state = on_state,
                             .user = h};
    h->state = NODE_NEW;
    h->n = node_new(&o, &em);
    if (h->n == NULL || node_start(h->n, &em)) {
        fail_msg("%s", em.text);
    }
}

static void stop(struct host *h)
{
    node_stop(h->n);
    wait_for(h, NODE_STOPPED);
    node_free(h->n);
    h->n = NULL;
}

/* ---- a client ---- */

struct client {
    int fd;
    int32_t next;
    struct arena arena;
    struct buf frame; /* the newest answer */
};

static void client_open(struct client *c, const struct host *h)
{
    memset(c, 0, sizeof *c);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(node_port(h->n, "PLAINTEXT")),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval wait = {.tv_sec = WAIT_S};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
}

static void client_close(struct client *c)
{
    close(c->fd);
    arena_free(&c->arena);
    buf_free(&c->frame);
}

static void receive(struct client *c, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = recv(c->fd, p, n, 0);
        if (k < 0 && errno == EINTR) {
            continue; /* a receive with a time limit is not restarted by itself */
        }
        if (k <= 0) {
            fail_msg("no answer: %s", k == 0 ? "the connection was closed" : strerror(errno));
        }
        p += k;
        n -= (size_t)k;
    }
}

static void say(struct client *c, int16_t key, int16_t version, const void *body)
{
    struct buf out = {0};
    struct errmsg em = {{0}};
    buf_put_be32(&out, 0);
    proto_put_request_header(&out, key, version, ++c->next, bytes_str("test"));
    if (proto_encode(proto_request(key), version, body, &out, &em)) {
        fail_msg("%s", em.text);
    }
    store_be32(out.data, (uint32_t)(out.len - 4));
    assert_int_equal(send(c->fd, out.data, out.len, MSG_NOSIGNAL), (ssize_t)out.len);
    buf_free(&out);
}

static void *hear(struct client *c, int16_t key, int16_t version)
{
    uint8_t head[4];
    receive(c, head, sizeof head);
    buf_clear(&c->frame);
    buf_reserve(&c->frame, load_be32(head));
    c->frame.len = load_be32(head);
    receive(c, c->frame.data, c->frame.len);
    int32_t correlation;
    size_t at;
    assert_int_equal(
        proto_skip_response_header(buf_bytes(&c->frame), key, version, &correlation, &at), 0);
    assert_int_equal(correlation, c->next);
    void *r = proto_array(&c->arena, proto_response(key)->root, 1);
    assert_int_equal(proto_decode(proto_response(key), version,
                                  bytes_of(c->frame.data + at, c->frame.len - at), NULL, &c->arena,
                                  r),
                     0);
    return r;
}

static void *ask(struct client *c, int16_t key, int16_t version, const void *body)
{
    say(c, key, version, body);
    return hear(c, key, version);
}

static void create_topic(struct client *c, const char *name)
{
    struct create_topics_request q;
    struct create_topics_request_creatable_topic t;
    proto_msg_init(&create_topics_request_msg, &q);
    proto_init(&create_topics_request_creatable_topic_desc, &t);
    t.name = bytes_str(name);
    t.num_partitions = 3;
    t.replication_factor = 1;
    q.topics = &t;
    q.topics_n = 1;
    q.timeout_ms = 30000;
    struct create_topics_response *r = ask(c, API_CREATE_TOPICS, CREATE_V, &q);
    assert_int_equal(r->topics_n, 1);
    assert_int_equal(r->topics[0].error_code, KE_NONE);
    assert_int_equal(r->topics[0].num_partitions, 3);
}

/* The answer's code; *offset gets the base offset. */
static int16_t produce(struct client *c, const char *topic, int32_t partition, const char *value,
                       int64_t *offset)
{
    struct batch_builder b = {0};
    struct buf batch = {0};
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    batch_builder_init(&b, &opt);
    batch_builder_add(&b, 1700000000000, BYTES_NULL, bytes_str(value), NULL, 0);
    assert_int_equal(batch_builder_finish(&b, &batch), 0);
    struct produce_request q;
    struct produce_request_topic_produce_data t;
    struct produce_request_partition_produce_data p;
    proto_msg_init(&produce_request_msg, &q);
    proto_init(&produce_request_topic_produce_data_desc, &t);
    proto_init(&produce_request_partition_produce_data_desc, &p);
    q.acks = -1;
    q.timeout_ms = 30000;
    q.topic_data = &t;
    q.topic_data_n = 1;
    t.name = bytes_str(topic);
    t.partition_data = &p;
    t.partition_data_n = 1;
    p.index = partition;
    p.records = buf_bytes(&batch);
    struct produce_response *r = ask(c, API_PRODUCE, PRODUCE_V, &q);
    batch_builder_free(&b);
    buf_free(&batch);
    assert_int_equal(r->responses_n, 1);
    *offset = r->responses[0].partition_responses[0].base_offset;
    return r->responses[0].partition_responses[0].error_code;
}

/* After a change of the metadata a broker may not have heard of it yet. */
static int64_t must_produce(struct client *c, const char *topic, int32_t partition,
                            const char *value)
{
    int64_t offset = -1;
    for (int i = 0; i < WAIT_S * 100; i++) {
        int16_t code = produce(c, topic, partition, value, &offset);
        if (code == KE_NONE) {
            return offset;
        }
        assert_true(code == KE_UNKNOWN_TOPIC_OR_PARTITION || code == KE_NOT_LEADER_OR_FOLLOWER);
        usleep(10000);
    }
    fail_msg("%s-%d is not led by the broker", topic, (int)partition);
    return -1;
}

/* Reads the partition from its start: number of records, whose values must be v0, v1, ... after
 * the prefix. */
static int64_t must_read(struct client *c, const char *topic, int32_t partition, const char *prefix)
{
    struct fetch_request q;
    struct fetch_request_fetch_topic t;
    struct fetch_request_fetch_partition p;
    proto_msg_init(&fetch_request_msg, &q);
    proto_init(&fetch_request_fetch_topic_desc, &t);
    proto_init(&fetch_request_fetch_partition_desc, &p);
    q.replica_id = -1;
    q.max_bytes = 1 << 20;
    q.topics = &t;
    q.topics_n = 1;
    t.topic = bytes_str(topic);
    t.partitions = &p;
    t.partitions_n = 1;
    p.partition = partition;
    p.partition_max_bytes = 1 << 20;
    struct fetch_response *r = ask(c, API_FETCH, FETCH_V, &q);
    assert_int_equal(r->error_code, KE_NONE);
    assert_int_equal(r->responses_n, 1);
    const struct fetch_response_partition_data *d = &r->responses[0].partitions[0];
    assert_int_equal(d->error_code, KE_NONE);
    struct bytes rest = d->records;
    struct bytes batch;
    int64_t n = 0;
    while (rest.len > 0 && batch_next(&rest, &batch) == 1) {
        struct record_reader reader;
        struct record rec;
        assert_true(batch_crc_check(batch));
        assert_int_equal(record_reader_open(&reader, batch, 1 << 20), 0);
        while (record_reader_next(&reader, &rec) == 1) {
            char wanted[64];
            snprintf(wanted, sizeof wanted, "%s%d", prefix, (int)n);
            assert_int_equal(rec.offset, n);
            assert_true(bytes_eq_str(rec.value, wanted));
            n++;
        }
        record_reader_close(&reader);
    }
    assert_int_equal(d->high_watermark, n);
    return n;
}

static void write_some(struct client *c, const char *topic, const char *prefix, int from, int to)
{
    for (int i = from; i < to; i++) {
        char value[64];
        snprintf(value, sizeof value, "%s%d", prefix, i);
        for (int32_t p = 0; p < 3; p++) {
            assert_int_equal(must_produce(c, topic, p, value), i);
        }
    }
}

static void read_all(struct client *c, const char *topic, const char *prefix, int n)
{
    for (int32_t p = 0; p < 3; p++) {
        assert_int_equal(must_read(c, topic, p, prefix), n);
    }
}

/* ---- groups ---- */

/* Until this node coordinates the group. */
static void must_find(struct client *c, const char *group)
{
    struct find_coordinator_request q;
    proto_msg_init(&find_coordinator_request_msg, &q);
    q.key = bytes_str(group);
    for (int i = 0; i < WAIT_S * 100; i++) {
        const struct find_coordinator_response *r = ask(c, API_FIND_COORDINATOR, 3, &q);
        if (r->error_code == KE_NONE) {
            assert_int_equal(r->node_id, 1);
            return;
        }
        assert_int_equal(r->error_code, KE_COORDINATOR_NOT_AVAILABLE);
        usleep(10000);
    }
    fail_msg("no coordinator for %s", group);
}

static bool may_pass(int16_t code)
{
    return code == KE_COORDINATOR_LOAD_IN_PROGRESS || code == KE_NOT_COORDINATOR;
}

static void must_commit(struct client *c, const char *group, int64_t offset)
{
    struct offset_commit_request q;
    struct offset_commit_request_offset_commit_request_topic t;
    struct offset_commit_request_offset_commit_request_partition p;
    proto_msg_init(&offset_commit_request_msg, &q);
    proto_init(&offset_commit_request_offset_commit_request_topic_desc, &t);
    proto_init(&offset_commit_request_offset_commit_request_partition_desc, &p);
    q.group_id = bytes_str(group);
    q.topics = &t;
    q.topics_n = 1;
    t.name = bytes_str("life");
    t.partitions = &p;
    t.partitions_n = 1;
    p.committed_offset = offset;
    for (int i = 0; i < WAIT_S * 100; i++) {
        const struct offset_commit_response *r = ask(c, API_OFFSET_COMMIT, 7, &q);
        if (r->topics[0].partitions[0].error_code == KE_NONE) {
            return;
        }
        assert_true(may_pass(r->topics[0].partitions[0].error_code));
        usleep(10000);
    }
    fail_msg("%s cannot commit", group);
}

static int64_t must_fetch_offset(struct client *c, const char *group)
{
    struct offset_fetch_request q;
    struct offset_fetch_request_offset_fetch_request_topic t;
    int32_t index = 0;
    proto_msg_init(&offset_fetch_request_msg, &q);
    proto_init(&offset_fetch_request_offset_fetch_request_topic_desc, &t);
    q.group_id = bytes_str(group);
    q.topics = &t;
    q.topics_n = 1;
    t.name = bytes_str("life");
    t.partition_indexes = &index;
    t.partition_indexes_n = 1;
    for (int i = 0; i < WAIT_S * 100; i++) {
        const struct offset_fetch_response *r = ask(c, API_OFFSET_FETCH, 5, &q);
        if (r->error_code == KE_NONE) {
            return r->topics[0].partitions[0].committed_offset;
        }
        assert_true(may_pass(r->error_code));
        usleep(10000);
    }
    fail_msg("%s cannot fetch", group);
    return -1;
}

/* A join of a new group, which waits for others (group.initial.rebalance.delay.ms); said, not
 * heard. */
static void say_join(struct client *c, const char *group)
{
    struct join_group_request q;
    struct join_group_request_join_group_request_protocol p;
    proto_msg_init(&join_group_request_msg, &q);
    proto_init(&join_group_request_join_group_request_protocol_desc, &p);
    q.group_id = bytes_str(group);
    q.session_timeout_ms = 60000;
    q.rebalance_timeout_ms = 60000;
    q.member_id = bytes_str("");
    q.protocol_type = bytes_str("consumer");
    q.protocols = &p;
    q.protocols_n = 1;
    p.name = bytes_str("range");
    p.metadata = bytes_of("\0\0\0\0\0\0\0\0\0\0", 10);
    say(c, API_JOIN_GROUP, 2, &q);
}

enum { GROUPS = 30, MEMBERS = 4 };

/* Commits of GROUPS groups on all shards, and as many as MEMBERS waiting. */
static void use_groups(struct host *h, struct client *c, struct client *members, int64_t offset)
{
    char group[32];
    must_find(c, "group0");
    for (int i = 0; i < GROUPS; i++) {
        snprintf(group, sizeof group, "group%d", i);
        must_commit(c, group, offset + i);
    }
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(group, sizeof group, "waiting%d", i);
        client_open(&members[i], h);
        say_join(&members[i], group);
    }
    for (int i = 0; i < MEMBERS; i++) { /* each has been taken: its group is not empty any more */
        struct describe_groups_request q;
        struct bytes id;
        proto_msg_init(&describe_groups_request_msg, &q);
        snprintf(group, sizeof group, "waiting%d", i);
        id = bytes_str(group);
        q.groups = &id;
        q.groups_n = 1;
        for (;;) {
            const struct describe_groups_response *r = ask(c, API_DESCRIBE_GROUPS, 3, &q);
            if (bytes_eq_str(r->groups[0].group_state, "PreparingRebalance")) {
                break;
            }
            usleep(1000);
        }
    }
}

static void check_groups(struct client *c, int64_t offset)
{
    char group[32];
    for (int i = 0; i < GROUPS; i++) {
        snprintf(group, sizeof group, "group%d", i);
        assert_int_equal(must_fetch_offset(c, group), offset + i);
    }
}

/* ---- cases ---- */

/* One node through a whole life: written, stopped, read, written, killed, read. */
static void live(const char *const *overrides, bool socket_channel)
{
    struct host h;
    struct client c;
    host_init(&h);
    start(&h, overrides, socket_channel);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    create_topic(&c, "life");
    write_some(&c, "life", "v", 0, 5);
    read_all(&c, "life", "v", 5);
    client_close(&c);
    stop(&h);

    pid_t child = fork(); /* no thread runs now */
    if (child == 0) {
        start(&h, overrides, socket_channel);
        wait_for(&h, NODE_RUNNING);
        client_open(&c, &h);
        read_all(&c, "life", "v", 5);
        write_some(&c, "life", "v", 5, 9);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    start(&h, overrides, socket_channel);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    read_all(&c, "life", "v", 9);
    client_close(&c);
    stop(&h);
    host_remove(&h);
}

static void lives_on_the_probed_backend(void **state)
{
    UNUSED(state);
    live(NULL, false);
}

static void lives_on_libuv(void **state)
{
    UNUSED(state);
    const char *overrides[] = {"io.backend=libuv", "io.threads=3", NULL};
    live(overrides, false);
}

/* Brokers of a real cluster reach their controller so; the single node must not depend on being
 * its own. */
static void lives_over_the_socket_channel(void **state)
{
    UNUSED(state);
    live(NULL, true);
}

/* Offsets survive a stop and an end without one; who waits is answered by a stop. */
static void groups_live(void **state)
{
    UNUSED(state);
    static const char *const overrides[] = {"io.threads=3", "auto.create.topics.enable=false",
                                            "group.initial.rebalance.delay.ms=300000", NULL};
    struct host h;
    struct client c;
    struct client members[MEMBERS];
    int64_t offset;
    host_init(&h);
    start(&h, overrides, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    create_topic(&c, "life");
    use_groups(&h, &c, members, 100);
    assert_int_equal(produce(&c, "__consumer_offsets", 0, "x", &offset),
                     KE_INVALID_TOPIC_EXCEPTION);
    client_close(&c);
    stop(&h);
    for (int i = 0; i < MEMBERS; i++) {
        const struct join_group_response *r = hear(&members[i], API_JOIN_GROUP, 2);
        assert_int_equal(r->error_code, KE_NOT_COORDINATOR);
        client_close(&members[i]);
    }

    pid_t child = fork(); /* no thread runs now */
    if (child == 0) {
        start(&h, overrides, false);
        wait_for(&h, NODE_RUNNING);
        client_open(&c, &h);
        check_groups(&c, 100);
        use_groups(&h, &c, members, 500);
        node_free(h.n); /* as a crash leaves it, but for what the sanitizers see */
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    start(&h, overrides, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    check_groups(&c, 500);
    client_close(&c);
    stop(&h);
    host_remove(&h);
}

/* More replicas than brokers: the topic is not made, with fewer either, and the client waits. */
static void groups_wait_for_brokers(void **state)
{
    UNUSED(state);
    static const char *const overrides[] = {"offsets.topic.replication.factor=2", NULL};
    struct host h;
    struct client c;
    struct find_coordinator_request q;
    struct metadata_request m;
    host_init(&h);
    start(&h, overrides, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    proto_msg_init(&find_coordinator_request_msg, &q);
    q.key = bytes_str("g");
    proto_msg_init(&metadata_request_msg, &m);
    m.topics_n = -1;
    for (int i = 0; i < 3; i++) {
        const struct find_coordinator_response *r = ask(&c, API_FIND_COORDINATOR, 3, &q);
        assert_int_equal(r->error_code, KE_COORDINATOR_NOT_AVAILABLE);
        create_topic(&c, i == 0 ? "a" : i == 1 ? "b" : "c"); /* behind it at the controller */
    }
    const struct metadata_response *r = ask(&c, API_METADATA, METADATA_V, &m);
    for (int32_t i = 0; i < r->topics_n; i++) {
        assert_false(bytes_eq_str(r->topics[i].name, "__consumer_offsets"));
    }
    client_close(&c);
    stop(&h);
    host_remove(&h);
}

static void two_nodes_in_one_process(void **state)
{
    UNUSED(state);
    struct host h[2];
    struct client c[2];
    const char *prefix[2] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        host_init(&h[i]);
        start(&h[i], NULL, false);
    }
    for (int i = 0; i < 2; i++) {
        wait_for(&h[i], NODE_RUNNING);
        client_open(&c[i], &h[i]);
        create_topic(&c[i], "same");
    }
    for (int k = 0; k < 5; k++) {
        for (int i = 0; i < 2; i++) {
            write_some(&c[i], "same", prefix[i], k, k + 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        read_all(&c[i], "same", prefix[i], 5);
        client_close(&c[i]);
    }
    stop(&h[0]);
    client_open(&c[1], &h[1]);
    write_some(&c[1], "same", "b", 5, 6);
    read_all(&c[1], "same", "b", 6);
    client_close(&c[1]);
    stop(&h[1]);
    host_remove(&h[0]);
    host_remove(&h[1]);
}

static void expect_failure(struct host *h, const char *sentence)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&h->lock);
    while (h->state != NODE_FAILED && pthread_cond_timedwait(&h->changed, &h->lock, &until) == 0) {
    }
    assert_int_equal(h->state, NODE_FAILED);
    pthread_mutex_unlock(&h->lock);
    if (strstr(h->failure, sentence) == NULL) {
        fail_msg("the sentence is \"%s\"", h->failure);
    }
    node_free(h->n);
    h->n = NULL;
}

static void refuses_a_port_in_use(void **state)
{
    UNUSED(state);
    struct host h, twin;
    host_init(&h);
    start(&h, NULL, false);
    wait_for(&h, NODE_RUNNING);

    char port[64];
    snprintf(port, sizeof port, "listeners=PLAINTEXT://localhost:%u,CONTROLLER://localhost:0",
             node_port(h.n, "PLAINTEXT"));
    const char *overrides[] = {port, NULL};
    host_init(&twin);
    twin.lg.level = LOG_ERROR + 1;
    start(&twin, overrides, false);
    expect_failure(&twin, "cannot bind");
    stop(&h);
    host_remove(&h);
    host_remove(&twin);
}

static void put_file(const struct host *h, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", h->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The first line that begins with `row ` in one of the node's files: the number behind it. */
static int64_t number_in(const struct host *h, const char *name, const char *row)
{
    char path[128];
    char line[256];
    long long v = -1;
    snprintf(path, sizeof path, "%s/%s", h->dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (v < 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, row, strlen(row)) == 0) {
            v = atoll(line + strlen(row));
        }
    }
    fclose(f);
    return v;
}

/* A crash between the cut of a log and its new checkpoint: what is appended now lies below the old
 * recovery point, and would not be looked at after the next crash. */
static void replaces_a_recovery_point_behind_the_log(void **state)
{
    UNUSED(state);
    struct host h;
    struct client c;
    char mark[128];
    host_init(&h);
    start(&h, NULL, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    create_topic(&c, "cut");
    write_some(&c, "cut", "v", 0, 2);
    client_close(&c);
    stop(&h);
    snprintf(mark, sizeof mark, "%s/.kafka_cleanshutdown", h.dir);
    assert_int_equal(unlink(mark), 0);
    put_file(&h, "recovery-point-offset-checkpoint", "0\n3\ncut 0 1000\ncut 1 1000\ncut 2 2\n");
    start(&h, NULL, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    write_some(&c, "cut", "v", 2, 3);
    assert_int_equal(number_in(&h, "recovery-point-offset-checkpoint", "cut 0 "), 2);
    assert_int_equal(number_in(&h, "recovery-point-offset-checkpoint", "cut 1 "), 2);
    read_all(&c, "cut", "v", 3);
    client_close(&c);
    stop(&h);
    host_remove(&h);
}

struct port_holder {
    struct host *h;
    int fd;
    bool seen_waiting;
};

/* Gives the port back a while after the node has begun to want it. */
static void *hold_port(void *arg)
{
    struct port_holder *p = arg;
    pthread_mutex_lock(&p->h->lock);
    while (p->h->state == NODE_NEW) {
        pthread_cond_wait(&p->h->changed, &p->h->lock);
    }
    pthread_mutex_unlock(&p->h->lock);
    usleep(200000); /* it asks a few times meanwhile */
    pthread_mutex_lock(&p->h->lock);
    p->seen_waiting = p->h->state == NODE_STARTING;
    pthread_mutex_unlock(&p->h->lock);
    close(p->fd);
    return NULL;
}

/* As a node that was killed a moment ago leaves it. */
static void waits_for_a_port_that_is_coming_free(void **state)
{
    UNUSED(state);
    struct host h;
    host_init(&h);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct port_holder p = {.h = &h, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(p.fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(p.fd, 1), 0);
    assert_int_equal(getsockname(p.fd, (struct sockaddr *)&a, &len), 0);
    char port[80];
    snprintf(port, sizeof port, "listeners=PLAINTEXT://127.0.0.1:%u,CONTROLLER://localhost:0",
             ntohs(a.sin_port));
    const char *overrides[] = {port, NULL};
    pthread_t t;
    start(&h, overrides, false);
    assert_int_equal(pthread_create(&t, NULL, hold_port, &p), 0);
    wait_for(&h, NODE_RUNNING);
    pthread_join(t, NULL);
    assert_true(p.seen_waiting);
    stop(&h);
    host_remove(&h);
}

static void refuses_another_nodes_directory(void **state)
{
    UNUSED(state);
    struct host h;
    host_init(&h);
    h.lg.level = LOG_ERROR + 1;
    put_file(&h, "meta.properties",
             "version=1\ncluster.id=DUO7j3nMRSCdq1RXXLLHig\nnode.id=7\n"
             "directory.id=OLQCSqEBCdSUKmzBJ5oIvQ\n");
    start(&h, NULL, false);
    expect_failure(&h, "7");
    host_remove(&h);
}

static void refuses_a_foreign_directory(void **state)
{
    UNUSED(state);
    struct host h;
    host_init(&h);
    h.lg.level = LOG_ERROR + 1;
    put_file(&h, "thesis.txt", "not a log\n");
    start(&h, NULL, false);
    expect_failure(&h, h.dir);
    host_remove(&h);
}

/* A stop that comes before the start is through. */
static void stops_while_starting(void **state)
{
    UNUSED(state);
    struct host h;
    host_init(&h);
    start(&h, NULL, false);
    node_stop(h.n);
    wait_for(&h, NODE_STOPPED);
    node_free(h.n);
    start(&h, NULL, false);
    wait_for(&h, NODE_RUNNING);
    stop(&h);
    host_remove(&h);
}

/* A controller that takes connections and never answers. */
static int mute_controller(char *voters, size_t n)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(voters, n, "controller.quorum.voters=9@127.0.0.1:%u", ntohs(a.sin_port));
    return fd;
}

/* A broker that never hears the metadata, until it is told to stop. */
static void start_in_vain(struct host *h)
{
    char voters[64];
    const char *overrides[] = {"process.roles=broker", voters, "listeners=PLAINTEXT://localhost:0",
                               NULL};
    int fd = mute_controller(voters, sizeof voters);
    start(h, overrides, false);
    int asked = accept(fd, NULL, NULL); /* it waits for the metadata */
    assert_true(asked >= 0);
    stop(h);
    close(asked);
    close(fd);
}

/* What was not opened was not recovered, and its checkpoints are not known. */
static void leaves_logs_that_it_has_not_opened_as_they_were(void **state)
{
    UNUSED(state);
    static const char *const epoch = "{\"version\":0,\"brokerEpoch\":";
    struct host h;
    struct client c;
    char mark[128];
    host_init(&h);
    start(&h, NULL, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    create_topic(&c, "left");
    write_some(&c, "left", "v", 0, 3);
    client_close(&c);
    stop(&h);
    int64_t its = number_in(&h, ".kafka_cleanshutdown", epoch);
    assert_true(its >= 0);
    h.lg.level = LOG_ERROR;
    start_in_vain(&h);
    assert_int_equal(number_in(&h, ".kafka_cleanshutdown", epoch), its);
    assert_int_equal(number_in(&h, "recovery-point-offset-checkpoint", "left 0 "), 3);
    snprintf(mark, sizeof mark, "%s/.kafka_cleanshutdown", h.dir);
    assert_int_equal(unlink(mark), 0); /* as after a crash */
    start_in_vain(&h);
    assert_int_equal(access(mark, F_OK), -1);
    assert_int_equal(number_in(&h, "recovery-point-offset-checkpoint", "left 0 "), 3);
    assert_int_equal(number_in(&h, "replication-offset-checkpoint", "left 0 "), 3);
    start(&h, NULL, false);
    wait_for(&h, NODE_RUNNING);
    client_open(&c, &h);
    read_all(&c, "left", "v", 3);
    client_close(&c);
    stop(&h);
    assert_true(number_in(&h, ".kafka_cleanshutdown", epoch) > its);
    host_remove(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_on_the_probed_backend),
        cmocka_unit_test(lives_on_libuv),
        cmocka_unit_test(lives_over_the_socket_channel),
        cmocka_unit_test(groups_live),
        cmocka_unit_test(groups_wait_for_brokers),
        cmocka_unit_test(two_nodes_in_one_process),
        cmocka_unit_test(refuses_a_port_in_use),
        cmocka_unit_test(waits_for_a_port_that_is_coming_free),
        cmocka_unit_test(refuses_another_nodes_directory),
        cmocka_unit_test(refuses_a_foreign_directory),
        cmocka_unit_test(stops_while_starting),
        cmocka_unit_test(leaves_logs_that_it_has_not_opened_as_they_were),
        cmocka_unit_test(replaces_a_recovery_point_behind_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
