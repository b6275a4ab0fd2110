/* Leaders for a broker that follows: machines of the simulated network on which the test itself
 * reads requests and writes answers, and the metadata that makes them leaders. */
#ifndef TEST_FOLLOW_RIG_H
#define TEST_FOLLOW_RIG_H

#include "data_rig.h"

#include "broker/replica/fetcher.h"
#include "proto_apis.h"

enum { PEER_PORT = 9092, PEER_CONNS = 8, LEADER = 2, OTHER = 3, TOPIC = 1, WAIT_MS = 20000 };

struct peer {
    struct rig *rig;
    int32_t id;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct io_sock *listener;
    struct io_sock *conns[PEER_CONNS];
    struct buf in[PEER_CONNS];
    unsigned accepted;
    /* the request that was taken last */
    struct arena arena;
    struct buf frame;
    unsigned conn;
    struct proto_request_header header;
    struct fetch_request fetch;
    struct list_offsets_request offsets;
};

static void peer_open(struct peer *p, struct rig *r, int32_t id)
{
    struct errmsg em = {{0}};
    *p = (struct peer){.rig = r, .id = id};
    p->host = sim_host_new(r->sim, 1 << 20);
    p->proc = sim_proc_new(p->host);
    assert_int_equal(io_sim_make(p->proc, 0, &p->io, &em), 0);
    assert_int_equal(io_listen(p->io, "", PEER_PORT, &p->listener), 0);
}

static void peer_hang_up(struct peer *p)
{
    for (unsigned i = 0; i < PEER_CONNS; i++) {
        if (p->conns[i]) {
            io_sock_close(p->conns[i]);
            p->conns[i] = NULL;
        }
        buf_free(&p->in[i]);
    }
}

static void peer_shut(struct peer *p)
{
    struct errmsg em = {{0}};
    peer_hang_up(p);
    io_sock_close(p->listener);
    io_destroy(p->io);
    arena_free(&p->arena);
    buf_free(&p->frame);
    if (!sim_proc_end(p->proc, &em)) {
        fail_msg("%s", em.text);
    }
}

static void peer_accept(struct peer *p)
{
    int handle;
    while (io_accept(p->listener, &handle) == 0) {
        unsigned i = 0;
        while (i < PEER_CONNS && p->conns[i]) {
            i++;
        }
        assert_true(i < PEER_CONNS);
        assert_int_equal(io_sock_adopt(p->io, handle, &p->conns[i]), 0);
        p->accepted++;
    }
}

static void peer_receive(struct peer *p, unsigned i)
{
    uint8_t some[4096];
    int64_t n;
    while (p->conns[i] && (n = io_recv(p->conns[i], some, sizeof some)) != ERR_AGAIN) {
        if (n <= 0) {
            io_sock_close(p->conns[i]);
            p->conns[i] = NULL;
            buf_free(&p->in[i]);
        } else {
            buf_put(&p->in[i], some, (size_t)n);
        }
    }
}

/* A request that is there: it is taken, decoded. */
static bool peer_take(struct peer *p)
{
    peer_accept(p);
    io_turn(p->io, 0);
    for (unsigned i = 0; i < PEER_CONNS; i++) {
        peer_receive(p, i);
        size_t len = p->in[i].len >= 4 ? load_be32(p->in[i].data) : SIZE_MAX;
        if (len == SIZE_MAX || p->in[i].len < 4 + len) {
            continue;
        }
        assert_int_equal(p->in[i].len, 4 + len); /* one at a time */
        arena_reset(&p->arena);
        buf_free(&p->frame);
        p->frame = p->in[i];
        p->in[i] = (struct buf){0};
        p->conn = i;
        struct bytes frame = bytes_of(p->frame.data + 4, len);
        assert_int_equal(proto_read_request_header(frame, &p->header), 0);
        const struct proto_message *m = proto_request(p->header.api_key);
        void *out = m->key == API_FETCH ? (void *)&p->fetch : (void *)&p->offsets;
        assert_true(m->key == API_FETCH || m->key == API_LIST_OFFSETS);
        struct bytes body = bytes_of(frame.data + p->header.body_at, frame.len - p->header.body_at);
        assert_int_equal(proto_decode(m, p->header.version, body, NULL, &p->arena, out), 0);
        return true;
    }
    return false;
}

/* The next request, which is of this kind. */
static void peer_wait(struct peer *p, int16_t api_key)
{
    int64_t end = rig_now(p->rig) + WAIT_MS;
    while (!peer_take(p)) {
        rig_turn(p->rig);
        if (rig_now(p->rig) >= end) {
            fail_msg("no request has come to %d", (int)p->id);
        }
    }
    assert_int_equal(p->header.api_key, api_key);
}

/* No request comes for so long. */
static inline void peer_quiet(struct peer *p, int64_t ms)
{
    for (int64_t end = rig_now(p->rig) + ms; rig_now(p->rig) < end; rig_turn(p->rig)) {
        assert_false(peer_take(p));
    }
}

static void peer_answer(struct peer *p, const void *response)
{
    struct errmsg em = {{0}};
    struct buf out = {0};
    const struct proto_message *m = proto_response(p->header.api_key);
    buf_put_be32(&out, 0);
    proto_put_response_header(&out, m->key, p->header.version, p->header.correlation_id);
    if (proto_encode(m, p->header.version, response, &out, &em)) {
        fail_msg("%s", em.text);
    }
    store_be32(out.data, (uint32_t)(out.len - 4));
    for (size_t at = 0; at < out.len;) {
        struct iovec iov = {out.data + at, out.len - at};
        int64_t n = io_sendv(p->conns[p->conn], &iov, 1, false);
        if (n == ERR_AGAIN) {
            rig_turn(p->rig);
            continue;
        }
        assert_true(n > 0);
        at += (size_t)n;
    }
    buf_free(&out);
}

/* ---- fetches ---- */

/* What the taken Fetch says of a partition of TOPIC; NULL: nothing. */
static const struct fetch_request_fetch_partition *peer_asked(const struct peer *p, int32_t index)
{
    for (int32_t i = 0; i < p->fetch.topics_n; i++) {
        const struct fetch_request_fetch_topic *t = &p->fetch.topics[i];
        assert_true(uuid_eq(t->topic_id, rig_topic_id(TOPIC)));
        for (int32_t k = 0; k < t->partitions_n; k++) {
            if (t->partitions[k].partition == index) {
                return &t->partitions[k];
            }
        }
    }
    return NULL;
}

static inline bool peer_forgets(const struct peer *p, int32_t index)
{
    for (int32_t i = 0; i < p->fetch.forgotten_topics_data_n; i++) {
        const struct fetch_request_forgotten_topic *t = &p->fetch.forgotten_topics_data[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            if (t->partitions[k] == index) {
                return true;
            }
        }
    }
    return false;
}

static inline int peer_asked_n(const struct peer *p)
{
    int n = 0;
    for (int32_t i = 0; i < p->fetch.topics_n; i++) {
        n += p->fetch.topics[i].partitions_n;
    }
    return n;
}

/* An answer for partition `index`, to be changed and sent. */
struct answer {
    struct fetch_response r;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data part;
};

static void answer_init(struct answer *a, int32_t session, int32_t index)
{
    proto_msg_init(&fetch_response_msg, &a->r);
    proto_init(&fetch_response_fetchable_topic_response_desc, &a->topic);
    proto_init(&fetch_response_partition_data_desc, &a->part);
    a->r.session_id = session;
    a->r.responses = &a->topic;
    a->r.responses_n = 1;
    a->topic.topic_id = rig_topic_id(TOPIC);
    a->topic.partitions = &a->part;
    a->topic.partitions_n = 1;
    a->part.partition_index = index;
    a->part.records = bytes_of("", 0);
    a->part.aborted_transactions_n = -1;
}

/* Nothing new. */
static inline void peer_answer_empty(struct peer *p, int32_t session)
{
    struct answer a;
    answer_init(&a, session, 0);
    a.r.responses_n = 0;
    peer_answer(p, &a.r);
}

static inline void peer_answer_records(struct peer *p, int32_t session, int32_t index,
                                       struct bytes records, int64_t hw)
{
    struct answer a;
    answer_init(&a, session, index);
    a.part.records = records;
    a.part.high_watermark = hw;
    a.part.log_start_offset = 0;
    peer_answer(p, &a.r);
}

static inline void peer_answer_error(struct peer *p, int32_t session, int32_t index, int16_t code)
{
    struct answer a;
    answer_init(&a, session, index);
    a.part.error_code = code;
    a.part.high_watermark = -1;
    peer_answer(p, &a.r);
}

/* Of a leader whose log begins at start: what was before is deleted. */
static inline void peer_answer_diverging_from(struct peer *p, int32_t session, int32_t index,
                                              int32_t epoch, int64_t end, int64_t start)
{
    struct answer a;
    answer_init(&a, session, index);
    a.part.diverging_epoch.epoch = epoch;
    a.part.diverging_epoch.end_offset = end;
    a.part.log_start_offset = start;
    peer_answer(p, &a.r);
}

static inline void peer_answer_diverging(struct peer *p, int32_t session, int32_t index,
                                         int32_t epoch, int64_t end)
{
    peer_answer_diverging_from(p, session, index, epoch, end, -1);
}

/* The taken ListOffsets asks for one partition. */
static inline void peer_answer_offset(struct peer *p, int64_t timestamp, int16_t code,
                                      int64_t offset)
{
    struct list_offsets_response r;
    struct list_offsets_response_list_offsets_topic_response t;
    struct list_offsets_response_list_offsets_partition_response part;
    assert_int_equal(p->offsets.topics_n, 1);
    assert_int_equal(p->offsets.replica_id, RIG_NODE);
    assert_int_equal(p->offsets.topics[0].partitions[0].timestamp, timestamp);
    proto_msg_init(&list_offsets_response_msg, &r);
    proto_init(&list_offsets_response_list_offsets_topic_response_desc, &t);
    proto_init(&list_offsets_response_list_offsets_partition_response_desc, &part);
    r.topics = &t;
    r.topics_n = 1;
    t.name = p->offsets.topics[0].name;
    t.partitions = &part;
    t.partitions_n = 1;
    part.partition_index = p->offsets.topics[0].partitions[0].partition_index;
    part.error_code = code;
    part.offset = offset;
    peer_answer(p, &r);
}

/* ---- metadata ---- */

/* A broker is registered; without a host it has no listener for us. */
static inline void follow_broker(struct rig *r, int32_t id, const char *host, uint16_t port)
{
    struct register_broker_record b;
    struct register_broker_record_broker_endpoint e;
    proto_msg_init(&register_broker_record_msg, &b);
    proto_init(&register_broker_record_broker_endpoint_desc, &e);
    b.broker_id = id;
    b.broker_epoch = 40 + id;
    b.end_points = &e;
    b.end_points_n = host != NULL;
    e.name = bytes_str("PLAINTEXT");
    e.host = bytes_str(host ? host : "");
    e.port = port;
    rig_record(r, &register_broker_record_msg, 1, &b);
}

/* TOPIC, of so many partitions on this broker, LEADER and OTHER, led by LEADER in epoch 0. */
static inline void follow_topic(struct rig *r, int32_t partitions)
{
    struct topic_record t;
    int32_t replicas[] = {LEADER, RIG_NODE, OTHER};
    struct uuid dirs[3] = {uuid_reserved(0), uuid_reserved(0), uuid_reserved(0)};
    proto_msg_init(&topic_record_msg, &t);
    t.name = bytes_str("topic");
    t.topic_id = rig_topic_id(TOPIC);
    rig_record(r, &topic_record_msg, 0, &t);
    for (int32_t i = 0; i < partitions; i++) {
        struct partition_record p;
        proto_msg_init(&partition_record_msg, &p);
        p.partition_id = i;
        p.topic_id = t.topic_id;
        p.replicas = replicas;
        p.replicas_n = 3;
        p.isr = replicas;
        p.isr_n = 3;
        p.leader = LEADER;
        p.leader_epoch = 0;
        p.directories = dirs;
        p.directories_n = 3;
        rig_record(r, &partition_record_msg, 1, &p);
    }
    rig_publish(r);
}

/* This broker, and a leader of so many partitions of TOPIC. */
static inline void follow_open(struct rig *r, struct peer *p, int32_t partitions,
                               const char *const *overrides)
{
    rig_open(r, 1, overrides);
    peer_open(p, r, LEADER);
    follow_broker(r, RIG_NODE, "h", 1);
    follow_broker(r, LEADER, p->host->ip, PEER_PORT);
    follow_topic(r, partitions);
}

static inline void follow_shut(struct rig *r, struct peer *p)
{
    peer_shut(p);
    rig_shut(r);
}

#endif
