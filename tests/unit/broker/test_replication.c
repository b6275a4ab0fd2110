/* The leader's side of replication over real logs: what followers read and when they are woken,
 * what their fetches move, the in-sync set and AlterPartition, what acks=-1 gets. Broker 1 leads
 * here; 2 and 3 follow, registered with epochs 20 and 30. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/low_wait.h"
#include "controller/channel.h"
#include "data_rig.h"
#include "proto_apis.h"

static const int32_t ALL[] = {RIG_NODE, 2, 3};

/* ---- a controller that the test is ---- */

struct control {
    struct channel channel;
    struct channel_call *call; /* in flight */
    struct alter_partition_request *q;
    unsigned calls;
    unsigned not_controller;
    struct arena arena;
};

static void control_call(struct channel *ch, struct channel_call *call)
{
    struct control *c = CONTAINER_OF(ch, struct control, channel);
    assert_null(c->call);
    assert_int_equal(call->api_key, API_ALTER_PARTITION);
    c->q = ARENA_NEW(&c->arena, struct alter_partition_request);
    uint8_t *copy = arena_alloc(&c->arena, call->body.len);
    memcpy(copy, call->body.data, call->body.len);
    assert_int_equal(proto_decode(&alter_partition_request_msg, call->version,
                                  bytes_of(copy, call->body.len), NULL, &c->arena, c->q),
                     0);
    call->channel = ch;
    c->call = call;
    c->calls++;
}

static void control_cancel(struct channel *ch, struct channel_call *call)
{
    struct control *c = CONTAINER_OF(ch, struct control, channel);
    assert_ptr_equal(c->call, call);
    call->channel = NULL;
    c->call = NULL;
}

static void control_not_controller(struct channel *ch)
{
    CONTAINER_OF(ch, struct control, channel)->not_controller++;
}

static void control_close(struct channel *ch)
{
    UNUSED(ch);
}

static const struct channel_ops control_ops = {
    .name = "test",
    .call = control_call,
    .cancel = control_cancel,
    .not_controller = control_not_controller,
    .close = control_close,
};

static void control_end(struct control *c, int err, struct bytes body)
{
    struct channel_call *call = c->call;
    assert_non_null(call);
    c->call = NULL;
    call->channel = NULL;
    call->cb(call, err, body);
}

/* Answers the request that is under way: one code for all, or for each partition `code` with the
 * state that it asked for. */
static void control_answer(struct control *c, int16_t top, int16_t code)
{
    struct alter_partition_response resp;
    struct buf out = {0};
    struct errmsg em;
    proto_msg_init(&alter_partition_response_msg, &resp);
    resp.error_code = top;
    resp.topics_n = top ? 0 : c->q->topics_n;
    resp.topics =
        proto_array(&c->arena, &alter_partition_response_topic_data_desc, (size_t)resp.topics_n);
    for (int32_t i = 0; i < resp.topics_n; i++) {
        const struct alter_partition_request_topic_data *t = &c->q->topics[i];
        struct alter_partition_response_topic_data *o = &resp.topics[i];
        o->topic_id = t->topic_id;
        o->partitions_n = t->partitions_n;
        o->partitions = proto_array(&c->arena, &alter_partition_response_partition_data_desc,
                                    (size_t)t->partitions_n);
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const struct alter_partition_request_partition_data *p = &t->partitions[k];
            struct alter_partition_response_partition_data *d = &o->partitions[k];
            d->partition_index = p->partition_index;
            d->error_code = code;
            if (code) {
                continue;
            }
            d->leader_id = RIG_NODE;
            d->leader_epoch = p->leader_epoch;
            d->partition_epoch = p->partition_epoch + 1;
            d->isr_n = p->new_isr_with_epochs_n;
            d->isr = arena_alloc(&c->arena, sizeof(int32_t) * (size_t)(d->isr_n + 1));
            for (int32_t m = 0; m < d->isr_n; m++) {
                d->isr[m] = p->new_isr_with_epochs[m].broker_id;
            }
        }
    }
    assert_int_equal(
        proto_encode(&alter_partition_response_msg, c->call->version, &resp, &out, &em), 0);
    control_end(c, 0, buf_bytes(&out));
    buf_free(&out);
}

/* ---- the world ---- */

struct world {
    struct rig r;
    struct control c;
    struct partition *p;
};

static void open_run(struct world *w, unsigned shards, const char *const *overrides,
                     struct uuid incarnation)
{
    memset(&w->c, 0, sizeof w->c);
    rig_open(&w->r, shards, overrides);
    w->r.node.incarnation = incarnation;
    unsigned home = node_home_shard(&w->r.node, rig_topic_id(1), 0);
    w->c.channel.ops = &control_ops;
    w->c.channel.shard = w->r.ns[home].shard;
    w->r.ns[home].channel = &w->c.channel;
    rig_broker(&w->r, RIG_NODE, 10, false);
    rig_broker(&w->r, 2, 20, false);
    rig_broker(&w->r, 3, 30, false);
    rig_replicated(&w->r, 1, ALL, 3);
    w->p = rig_partition(&w->r, 1, 0);
}

static void open_world(struct world *w, unsigned shards, const char *const *overrides)
{
    open_run(w, shards, overrides, UUID_ZERO); /* as the registrations of the image have it */
}

static void shut_world(struct world *w)
{
    rig_shut(&w->r);
    arena_free(&w->c.arena);
}

/* A change of the partition, as the controller makes it; leader -2: as it is. */
static void change(struct world *w, const int32_t *isr, int32_t isr_n, int32_t leader)
{
    struct partition_change_record c;
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(1);
    c.partition_id = 0;
    c.leader = leader;
    c.isr = (int32_t *)(uintptr_t)isr;
    c.isr_n = isr ? isr_n : -1;
    rig_record(&w->r, &partition_change_record_msg, 1, &c);
    rig_publish(&w->r);
}

static void follower(struct world *w, int32_t id, int64_t offset)
{
    assert_true(rig_follower(&w->r, 1, 0, id, 10 * id, offset));
}

static int64_t high_watermark(const struct world *w)
{
    return plog_high_watermark(w->p->log);
}

/* ---- appends ---- */

struct ask {
    struct append_msg m;
    struct append_item it;
    struct buf batch;
    unsigned done;
};

static void appended(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    ((struct ask *)m->user)->done++;
}

static void ask(struct world *w, struct ask *a, int n, int16_t acks, int32_t timeout_ms)
{
    memset(a, 0, sizeof *a);
    rig_batch(&a->batch, 0, n, NULL);
    a->it.topic_id = rig_topic_id(1);
    a->it.batch.data = a->batch.data;
    a->it.batch.len = (uint32_t)a->batch.len;
    a->m.items = &a->it;
    a->m.n = 1;
    a->m.acks = acks;
    a->m.timeout_ms = timeout_ms;
    a->m.done = appended;
    a->m.user = a;
    append_send(&w->r.ns[0], node_home_shard(&w->r.node, a->it.topic_id, 0), &a->m);
}

static int16_t answered(struct world *w, struct ask *a)
{
    for (int i = 0; i < 100000 && a->done == 0; i++) {
        rig_turn(&w->r);
    }
    assert_int_equal(a->done, 1);
    buf_free(&a->batch);
    return a->it.error;
}

static void append(struct world *w, int n)
{
    struct ask a;
    ask(w, &a, n, 1, 1000);
    assert_int_equal(answered(w, &a), KE_NONE);
}

/* ---- fetches ---- */

struct reader {
    struct fetch_job j;
    struct fetch_item it;
    struct arena arena;
    unsigned done;
};

static void fetched(struct fetch_job *j)
{
    ((struct reader *)j->user)->done++;
}

static void fetch_begin(struct world *w, struct reader *f, int32_t replica, int64_t epoch,
                        int32_t leader_epoch, int32_t last_epoch, int64_t offset, int64_t wait_ms)
{
    memset(f, 0, sizeof *f);
    f->it = (struct fetch_item){.topic_id = rig_topic_id(1),
                                .current_leader_epoch = leader_epoch,
                                .last_fetched_epoch = last_epoch,
                                .fetch_offset = offset,
                                .max_bytes = 1 << 20};
    f->j = (struct fetch_job){.ns = &w->r.ns[0],
                              .arena = &f->arena,
                              .items = &f->it,
                              .n = 1,
                              .max_bytes = 1 << 20,
                              .min_bytes = 1,
                              .max_wait_ms = wait_ms,
                              .replica_id = replica,
                              .replica_epoch = epoch,
                              .done = fetched,
                              .user = f};
}

static void fetch_as(struct world *w, struct reader *f, int32_t replica, int64_t epoch,
                     int32_t leader_epoch, int32_t last_epoch, int64_t offset, int64_t wait_ms)
{
    fetch_begin(w, f, replica, epoch, leader_epoch, last_epoch, offset, wait_ms);
    fetch_job_start(&f->j);
}

static void fetch(struct world *w, struct reader *f, int32_t replica, int64_t epoch, int64_t offset,
                  int64_t wait_ms)
{
    fetch_as(w, f, replica, epoch, w->p->leader_epoch, -1, offset, wait_ms);
}

static int16_t fetch_end(struct world *w, struct reader *f)
{
    for (int i = 0; i < 100000 && f->done == 0; i++) {
        rig_turn(&w->r);
    }
    assert_int_equal(f->done, 1);
    fetch_job_free(&f->j);
    arena_free(&f->arena);
    return f->it.error;
}

/* ---- what followers read ---- */

static void a_follower_reads_to_the_end(void **state)
{
    UNUSED(state);
    struct world w;
    struct reader f;
    open_world(&w, 2, NULL);
    append(&w, 5);
    assert_int_equal(high_watermark(&w), 0);
    fetch(&w, &f, -1, -1, 0, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(f.it.len, 0); /* a consumer sees nothing of it */
    fetch(&w, &f, 2, 20, 0, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_true(f.it.len > 0);
    assert_int_equal(f.it.high_watermark, 0);
    fetch(&w, &f, 3, 30, 5, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(high_watermark(&w), 0); /* 2 has not said that it has got them */
    fetch(&w, &f, 2, 20, 5, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(high_watermark(&w), 5);
    assert_int_equal(f.it.high_watermark, 5); /* told at once */
    fetch(&w, &f, -1, -1, 0, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_true(f.it.len > 0);
    shut_world(&w);
}

static void a_parked_follower_is_woken_by_appends(void **state)
{
    UNUSED(state);
    struct world w;
    struct reader f;
    struct reader consumer;
    open_world(&w, 2, NULL);
    fetch(&w, &f, 2, 20, 0, 500);
    fetch(&w, &consumer, -1, -1, 0, 5000);
    rig_run(&w.r, 50);
    assert_int_equal(f.done, 0);
    int64_t began = rig_now(&w.r);
    append(&w, 3);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_true(f.it.len > 0);
    assert_in_range(rig_now(&w.r) - began, 0, 5);
    assert_int_equal(consumer.done, 0);
    /* The reading that found the records is no news of the follower's. */
    assert_int_equal(isr_follower(w.p->isr, 2)->end, 0);
    fetch(&w, &f, 2, 20, 3, 500);
    rig_run(&w.r, 50);
    assert_int_equal(f.done + consumer.done, 0);
    follower(&w, 3, 3); /* moves the high watermark: of use to the consumer alone */
    assert_int_equal(fetch_end(&w, &consumer), KE_NONE);
    assert_true(consumer.it.len > 0);
    assert_int_equal(f.done, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(f.it.len, 0);
    assert_int_equal(f.it.high_watermark, 3);
    shut_world(&w);
}

static void who_may_not_fetch(void **state)
{
    UNUSED(state);
    struct world w;
    struct reader f;
    open_world(&w, 1, NULL);
    append(&w, 1);
    fetch(&w, &f, 4, 40, 0, 0); /* no replica: one of us is behind with the metadata */
    assert_int_equal(fetch_end(&w, &f), KE_UNKNOWN_LEADER_EPOCH);
    fetch_as(&w, &f, 4, 40, -1, -1, 0, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NOT_LEADER_OR_FOLLOWER);
    fetch(&w, &f, 2, 19, 1, 0); /* of before its present registration: counts for nothing */
    assert_int_equal(fetch_end(&w, &f), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(f.it.high_watermark, -1);
    assert_int_equal(isr_follower(w.p->isr, 2)->end, ISR_OFFSET_UNKNOWN);
    fetch(&w, &f, 2, 20, 2, 0);
    assert_int_equal(fetch_end(&w, &f), KE_OFFSET_OUT_OF_RANGE);
    assert_int_equal(isr_follower(w.p->isr, 2)->end, ISR_OFFSET_UNKNOWN);
    change(&w, NULL, 0, 2);
    fetch(&w, &f, 3, 30, 0, 0);
    assert_int_equal(fetch_end(&w, &f), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(f.it.leader, 2);
    assert_int_equal(f.it.leader_epoch, 1);
    shut_world(&w);
}

/* Where the logs part is told, and does not count as progress. */
static void a_follower_that_diverges(void **state)
{
    UNUSED(state);
    struct world w;
    struct reader f;
    open_world(&w, 1, NULL);
    append(&w, 4); /* epoch 0 */
    change(&w, NULL, 0, 2);
    change(&w, NULL, 0, RIG_NODE);
    append(&w, 2); /* epoch 2 */
    /* its last record is of epoch 1, which we never had */
    fetch_as(&w, &f, 2, 20, 2, 1, 5, 500);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(f.it.diverging_epoch, 0);
    assert_int_equal(f.it.diverging_end_offset, 4);
    assert_int_equal(f.it.len, 0);
    assert_int_equal(isr_follower(w.p->isr, 2)->end, ISR_OFFSET_UNKNOWN);
    fetch_as(&w, &f, 2, 20, 2, 0, 4, 500);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(f.it.diverging_epoch, -1);
    assert_true(f.it.len > 0);
    assert_int_equal(isr_follower(w.p->isr, 2)->end, 4);
    shut_world(&w);
}

/* ---- consumers and followers ---- */

/* KIP-392: to a replica in the consumer's rack that is in sync and has the offset. */
static void a_consumer_is_sent_to_its_rack(void **state)
{
    UNUSED(state);
    static const struct {
        const char *rack;
        int64_t offset;
        int32_t to;
    } cases[] = {{"rack2", 0, 2},  {"rack2", 3, 2},  {"rack2", 4, -1}, {"rack1", 0, -1},
                 {"rack3", 0, -1}, {"rack9", 0, -1}, {"", 0, -1}};
    static const int32_t two[] = {RIG_NODE, 2};
    struct world w;
    struct reader f;
    open_world(&w, 2, NULL);
    append(&w, 5);
    follower(&w, 2, 3);
    follower(&w, 3, 5);
    change(&w, two, 2, -2);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fetch_begin(&w, &f, -1, -1, w.p->leader_epoch, -1, cases[i].offset, 0);
        f.j.any_replica = true;
        f.j.rack = bytes_str(cases[i].rack);
        f.j.listener = bytes_str("PLAINTEXT");
        f.j.max_wait_ms = cases[i].to < 0 ? 0 : 60000; /* it is told at once */
        fetch_job_start(&f.j);
        assert_int_equal(fetch_end(&w, &f), KE_NONE);
        assert_int_equal(f.it.preferred_replica, cases[i].to);
        assert_int_equal(f.it.high_watermark, 3);
        assert_int_equal(f.it.log_start_offset, 0);
        assert_true(f.it.len == 0 || cases[i].to < 0);
    }
    fetch_begin(&w, &f, -1, -1, w.p->leader_epoch + 1, -1, 0, 0);
    f.j.rack = bytes_str("rack2");
    f.j.listener = bytes_str("PLAINTEXT");
    fetch_job_start(&f.j);
    assert_int_equal(fetch_end(&w, &f), KE_UNKNOWN_LEADER_EPOCH);
    fetch_begin(&w, &f, -1, -1, w.p->leader_epoch, -1, 0, 0);
    f.j.rack = bytes_str("rack2");
    f.j.listener = bytes_str("SSL"); /* it cannot be reached where the consumer is */
    fetch_job_start(&f.j);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(f.it.preferred_replica, -1);
    shut_world(&w);
}

static void a_consumer_reads_from_a_follower(void **state)
{
    UNUSED(state);
    struct world w;
    struct reader f;
    open_world(&w, 2, NULL);
    append(&w, 3);
    append(&w, 2);
    follower(&w, 2, 3);
    follower(&w, 3, 5);
    change(&w, NULL, 0, 2);
    for (int any = 0; any < 2; any++) { /* versions below 11 know of leaders alone */
        fetch_begin(&w, &f, -1, -1, 1, -1, 0, 0);
        f.j.any_replica = any;
        fetch_job_start(&f.j);
        assert_int_equal(fetch_end(&w, &f), any ? KE_NONE : KE_NOT_LEADER_OR_FOLLOWER);
        assert_int_equal(f.it.high_watermark, any ? 3 : -1);
        assert_int_equal(f.it.len > 0, any);
    }
    fetch_begin(&w, &f, -1, -1, 1, -1, 4, 0); /* above its high watermark: nothing yet */
    f.j.any_replica = true;
    fetch_job_start(&f.j);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_int_equal(f.it.len, 0);
    fetch_begin(&w, &f, -1, -1, 1, -1, 6, 0);
    f.j.any_replica = true;
    fetch_job_start(&f.j);
    assert_int_equal(fetch_end(&w, &f), KE_OFFSET_OUT_OF_RANGE);
    fetch_begin(&w, &f, -1, -1, 1, -1, 3, 5000); /* waits for the follower to hear more */
    f.j.any_replica = true;
    fetch_job_start(&f.j);
    rig_run(&w.r, 20);
    assert_int_equal(f.done, 0);
    plog_set_high_watermark(w.p->log, 5);
    partition_advance(w.p);
    assert_int_equal(fetch_end(&w, &f), KE_NONE);
    assert_true(f.it.len > 0);
    shut_world(&w);
}

/* ---- quotas ---- */

static void set_config(struct world *w, int8_t type, const char *resource, const char *name,
                       const char *value)
{
    struct config_record c;
    proto_msg_init(&config_record_msg, &c);
    c.resource_type = type;
    c.resource_name = bytes_str(resource);
    c.name = bytes_str(name);
    c.value = value ? bytes_str(value) : BYTES_NULL;
    rig_record(&w->r, &config_record_msg, 0, &c);
    rig_publish(&w->r);
}

static uint32_t bytes_for(struct world *w, int32_t id, int64_t offset, int64_t wait_ms)
{
    struct reader f;
    fetch(w, &f, id, 10 * id, offset, wait_ms);
    assert_int_equal(fetch_end(w, &f), KE_NONE);
    return f.it.len;
}

/* KIP-73: who is out of sync waits while the rate is passed, who is in sync never. */
static void throttled_followers(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {RIG_NODE, 2};
    struct world w;
    open_world(&w, 2, NULL);
    append(&w, 500);
    append(&w, 5);
    change(&w, two, 2, -2);
    set_config(&w, CONFIG_BROKER, "1", "leader.replication.throttled.rate", "100");
    assert_true(bytes_for(&w, 3, 0, 0) > 1000); /* not named */
    rig_run(&w.r, 10);
    assert_true(bytes_for(&w, 3, 0, 0) > 1000);
    set_config(&w, CONFIG_TOPIC, "topic1", "leader.replication.throttled.replicas", "0:1,0:2");
    assert_true(bytes_for(&w, 3, 0, 0) > 1000); /* the one that passes the rate */
    rig_run(&w.r, 10);
    assert_int_equal(bytes_for(&w, 3, 0, 0), 0);
    int64_t began = rig_now(&w.r);
    assert_int_equal(bytes_for(&w, 3, 0, 200), 0); /* it waits like one without news */
    assert_in_range(rig_now(&w.r) - began, 200, 210);
    assert_true(bytes_for(&w, 2, 0, 0) > 1000); /* in sync */
    set_config(&w, CONFIG_BROKER, "1", "leader.replication.throttled.rate", "100000000");
    rig_run(&w.r, 1500); /* main is asked again once a second */
    assert_true(bytes_for(&w, 3, 0, 0) > 1000);
    set_config(&w, CONFIG_BROKER, "1", "leader.replication.throttled.rate", "100");
    bytes_for(&w, 3, 0, 0);
    rig_run(&w.r, 10);
    assert_int_equal(bytes_for(&w, 3, 0, 0), 0);
    set_config(&w, CONFIG_TOPIC, "topic1", "leader.replication.throttled.replicas", "0:2,1:1");
    assert_true(bytes_for(&w, 3, 0, 0) > 1000); /* other replicas' are no concern of this leader */
    shut_world(&w);
}

/* ---- DeleteRecords ---- */

struct low {
    struct low_wait w;
    unsigned done;
};

static void low_done(struct low_wait *w)
{
    CONTAINER_OF(w, struct low, w)->done++;
}

static void low_begin(struct world *w, struct low *l, int64_t offset, int64_t timeout_ms)
{
    memset(l, 0, sizeof *l);
    l->w.topic_id = rig_topic_id(1);
    l->w.offset = offset;
    l->w.timeout_ms = timeout_ms;
    l->w.done = low_done;
    low_wait_start(&l->w, &w->r.ns[0]);
}

static void low_end(struct world *w, struct low *l, int16_t code)
{
    for (int i = 0; i < 100000 && l->done == 0; i++) {
        rig_turn(&w->r);
    }
    assert_int_equal(l->done, 1);
    assert_int_equal(l->w.error, code);
}

static void starts(struct world *w, int32_t id, int64_t start)
{
    struct isr_follower *f = isr_follower(w->p->isr, id);
    assert_true(partition_fetched(w->p, f, 10 * id, plog_end_offset(w->p->log), start));
}

static void deleted_when_the_followers_have(void **state)
{
    UNUSED(state);
    struct world w;
    struct low l[2];
    open_world(&w, 2, NULL);
    append(&w, 5);
    append(&w, 5);
    starts(&w, 2, 0);
    starts(&w, 3, 0);
    assert_int_equal(plog_set_start_offset(w.p->log, 7), 0);
    low_begin(&w, &l[0], 7, 5000);
    low_begin(&w, &l[1], 7, 100);
    rig_run(&w.r, 50);
    starts(&w, 2, 7);
    rig_run(&w.r, 10);
    assert_int_equal(l[0].done + l[1].done, 0);
    low_end(&w, &l[1], KE_REQUEST_TIMED_OUT);
    starts(&w, 3, 8);
    low_end(&w, &l[0], KE_NONE);
    assert_int_equal(l[0].w.low_watermark, 7);
    low_begin(&w, &l[0], 7, 0); /* there already */
    low_end(&w, &l[0], KE_NONE);
    shut_world(&w);
}

static void waits_for_the_living_alone(void **state)
{
    UNUSED(state);
    struct world w;
    struct low l[3];
    open_world(&w, 2, NULL);
    append(&w, 5);
    starts(&w, 2, 5);
    starts(&w, 3, 0);
    assert_int_equal(plog_set_start_offset(w.p->log, 5), 0);
    for (int i = 0; i < 3; i++) {
        low_begin(&w, &l[i], i == 0 ? 5 : 6, 5000);
    }
    rig_run(&w.r, 10);
    assert_int_equal(l[0].done, 0);
    rig_broker(&w.r, 3, 30, true);
    rig_publish(&w.r);
    low_end(&w, &l[0], KE_NONE);
    low_wait_cancel(&l[1].w);
    low_wait_cancel(&l[1].w);
    low_end(&w, &l[1], KE_REQUEST_TIMED_OUT);
    change(&w, NULL, 0, 2);
    low_end(&w, &l[2], KE_NOT_LEADER_OR_FOLLOWER);
    low_begin(&w, &l[2], 6, 5000);
    low_end(&w, &l[2], KE_NOT_LEADER_OR_FOLLOWER);
    shut_world(&w);
}

/* ---- acknowledgement ---- */

static void acks_wait_for_the_followers(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask a;
    open_world(&w, 2, NULL);
    ask(&w, &a, 3, -1, 1000);
    rig_run(&w.r, 50);
    follower(&w, 2, 3);
    rig_run(&w.r, 50);
    assert_int_equal(a.done, 0);
    follower(&w, 3, 3);
    assert_int_equal(answered(&w, &a), KE_NONE);
    assert_int_equal(a.it.batch.base_offset, 0);
    shut_world(&w);
}

/* A request with several partitions has one deadline, which does not hide that of another. */
static void each_request_has_its_deadline(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask early;
    struct ask both;
    struct append_item items[2];
    open_world(&w, 1, NULL);
    rig_replicated(&w.r, 2, ALL, 3);
    memset(&both, 0, sizeof both);
    memset(items, 0, sizeof items);
    struct buf batches[2] = {{0}};
    for (unsigned i = 0; i < 2; i++) {
        rig_batch(&batches[i], 0, 1, NULL);
        items[i].topic_id = rig_topic_id((uint8_t)(2 - i)); /* topic 2 is appended to first */
        items[i].batch.data = batches[i].data;
        items[i].batch.len = (uint32_t)batches[i].len;
    }
    both.m = (struct append_msg){
        .items = items, .n = 2, .acks = -1, .timeout_ms = 400, .done = appended, .user = &both};
    struct ask first;
    ask(&w, &first, 1, -1, 50000); /* makes topic 1 dirty before topic 2 */
    append_send(&w.r.ns[0], 0, &both.m);
    rig_run(&w.r, 1);
    ask(&w, &early, 1, -1, 100);
    int64_t began = rig_now(&w.r);
    assert_int_equal(answered(&w, &early), KE_REQUEST_TIMED_OUT);
    assert_in_range(rig_now(&w.r) - began, 95, 110);
    for (int i = 0; i < 100000 && both.done == 0; i++) {
        rig_turn(&w.r);
    }
    assert_in_range(rig_now(&w.r) - began, 390, 410);
    assert_int_equal(items[0].error, KE_REQUEST_TIMED_OUT);
    assert_int_equal(items[1].error, KE_REQUEST_TIMED_OUT);
    assert_int_equal(first.done, 0);
    follower(&w, 2, -1);
    follower(&w, 3, -1);
    assert_int_equal(answered(&w, &first), KE_NONE);
    buf_free(&batches[0]);
    buf_free(&batches[1]);
    shut_world(&w);
}

static void too_few_in_sync(void **state)
{
    UNUSED(state);
    static const char *const overrides[] = {"min.insync.replicas=2", NULL};
    struct world w;
    struct ask a[3];
    open_world(&w, 1, overrides);
    ask(&w, &a[0], 2, -1, 300);
    rig_run(&w.r, 10);
    ask(&w, &a[1], 2, -1, 300); /* not appended yet when the set shrinks */
    change(&w, ALL, 1, -2);
    assert_int_equal(answered(&w, &a[1]), KE_NOT_ENOUGH_REPLICAS);
    assert_int_equal(plog_end_offset(w.p->log), 2);
    ask(&w, &a[2], 2, -1, 300);
    assert_int_equal(answered(&w, &a[2]), KE_NOT_ENOUGH_REPLICAS);
    append(&w, 1);                                               /* acks=1 does not ask */
    assert_int_equal(high_watermark(&w), 0);                     /* KIP-966 */
    assert_int_equal(answered(&w, &a[0]), KE_REQUEST_TIMED_OUT); /* it may be kept or cut */
    struct config_record c;
    proto_msg_init(&config_record_msg, &c);
    c.resource_type = CONFIG_TOPIC;
    c.resource_name = bytes_str(w.p->topic->name);
    c.name = bytes_str("min.insync.replicas");
    c.value = bytes_str("1");
    rig_record(&w.r, &config_record_msg, 0, &c);
    rig_publish(&w.r);
    assert_int_equal(high_watermark(&w), 3); /* at once: nobody fetches here */
    shut_world(&w);
}

static void a_deposed_leader_answers(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask a;
    struct reader f;
    open_world(&w, 2, NULL);
    ask(&w, &a, 3, -1, 5000);
    fetch(&w, &f, -1, -1, 0, 5000);
    rig_run(&w.r, 20);
    change(&w, NULL, 0, 3);
    assert_int_equal(answered(&w, &a), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(a.it.leader, 3);
    assert_int_equal(a.it.leader_epoch, 1);
    assert_int_equal(fetch_end(&w, &f), KE_FENCED_LEADER_EPOCH);
    assert_int_equal(f.it.leader, 3);
    assert_null(w.p->isr);
    shut_world(&w);
}

/* ---- the in-sync set ---- */

static const char *const LAG[] = {"replica.lag.time.max.ms=1000", NULL};

/* The request under way proposes exactly these. */
static void check_proposal(struct world *w, int32_t n, const int32_t *ids)
{
    assert_non_null(w->c.call);
    assert_int_equal(w->c.q->broker_id, RIG_NODE);
    assert_int_equal(w->c.q->broker_epoch, 10);
    assert_int_equal(w->c.q->topics_n, 1);
    assert_int_equal(w->c.q->topics[0].partitions_n, 1);
    const struct alter_partition_request_partition_data *p = &w->c.q->topics[0].partitions[0];
    assert_int_equal(p->new_isr_with_epochs_n, n);
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(p->new_isr_with_epochs[i].broker_id, ids[i]);
    }
}

static void a_follower_that_lags_goes_and_comes_back(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask a;
    open_world(&w, 1, LAG);
    ask(&w, &a, 2, -1, 50000);
    for (int i = 0; i < 9; i++) {
        rig_run(&w.r, 100);
        follower(&w, 2, 2);
    }
    assert_null(w.c.call);
    for (int i = 0; i < 7; i++) {
        rig_run(&w.r, 100);
        follower(&w, 2, 2);
    }
    static const int32_t two[] = {RIG_NODE, 2};
    check_proposal(&w, 2, two);
    assert_int_equal(w.c.q->topics[0].partitions[0].new_isr_with_epochs[0].broker_epoch, 10);
    assert_int_equal(w.c.q->topics[0].partitions[0].new_isr_with_epochs[1].broker_epoch, 20);
    assert_int_equal(w.c.q->topics[0].partitions[0].leader_epoch, 0);
    assert_int_equal(w.c.q->topics[0].partitions[0].partition_epoch, 0);
    assert_int_equal(high_watermark(&w), 0); /* not before the controller has said yes */
    control_answer(&w.c, KE_NONE, KE_NONE);
    assert_int_equal(w.p->isr_n, 2);
    assert_int_equal(w.p->partition_epoch, 1);
    assert_int_equal(high_watermark(&w), 0); /* nor before the image of it has come */
    change(&w, two, 2, -2);
    assert_int_equal(answered(&w, &a), KE_NONE);
    assert_int_equal(high_watermark(&w), 2);
    assert_int_equal(w.p->partition_epoch, 1);
    follower(&w, 3, 1);
    rig_run(&w.r, 5);
    assert_null(w.c.call);
    follower(&w, 3, 2);
    rig_run(&w.r, 5);
    check_proposal(&w, 3, ALL);
    assert_int_equal(w.c.q->topics[0].partitions[0].partition_epoch, 1);
    control_answer(&w.c, KE_NONE, KE_NONE);
    assert_int_equal(w.p->isr_n, 3);
    shut_world(&w);
}

/* What is not known of a proposal is sent again; meanwhile who is proposed counts. */
static void unknown_fates(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {RIG_NODE, 2};
    struct world w;
    open_world(&w, 1, NULL);
    change(&w, two, 2, -2);
    follower(&w, 2, 0);
    follower(&w, 3, 0);
    rig_run(&w.r, 5);
    check_proposal(&w, 3, ALL);
    append(&w, 1);
    follower(&w, 2, 1);
    control_end(&w.c, ERR_CLOSED, bytes_of("", 0));
    rig_run(&w.r, 200);
    check_proposal(&w, 3, ALL);
    assert_int_equal(high_watermark(&w), 0);
    control_answer(&w.c, KE_NOT_CONTROLLER, KE_NONE);
    assert_int_equal(w.c.not_controller, 1);
    rig_run(&w.r, 300);
    check_proposal(&w, 3, ALL);
    control_answer(&w.c, KE_NONE, KE_UNKNOWN_SERVER_ERROR);
    rig_run(&w.r, 600);
    check_proposal(&w, 3, ALL);
    control_answer(&w.c, KE_NONE, KE_INVALID_UPDATE_VERSION); /* the metadata will tell */
    rig_run(&w.r, 3000);
    assert_null(w.c.call);
    assert_true(w.p->isr->pending);
    assert_int_equal(high_watermark(&w), 0);
    change(&w, two, 2, -2);
    assert_false(w.p->isr->pending);
    rig_run(&w.r, 50000); /* 3 is not waited for any more */
    assert_int_equal(high_watermark(&w), 1);
    shut_world(&w);
}

static void a_refused_proposal_is_made_again(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {RIG_NODE, 2};
    struct world w;
    open_world(&w, 1, NULL);
    change(&w, two, 2, -2);
    follower(&w, 3, 0);
    rig_run(&w.r, 5);
    control_answer(&w.c, KE_NONE, KE_INELIGIBLE_REPLICA);
    rig_run(&w.r, 500);
    assert_null(w.c.call);
    assert_false(w.p->isr->pending);
    follower(&w, 3, 0); /* not so soon */
    rig_run(&w.r, 600);
    assert_null(w.c.call);
    follower(&w, 3, 0);
    rig_run(&w.r, 5);
    check_proposal(&w, 3, ALL);
    change(&w, NULL, 0, 2); /* deposed: nobody asks any more */
    control_answer(&w.c, KE_NONE, KE_NONE);
    rig_run(&w.r, 3000);
    assert_null(w.c.call);
    assert_int_equal(w.p->isr_n, 2);
    shut_world(&w);
}

/* A broker that was fenced, or registered anew, may join when the image and its fetches agree. */
static void registrations_are_heard_of(void **state)
{
    UNUSED(state);
    static const int32_t two[] = {RIG_NODE, 2};
    struct world w;
    open_world(&w, 1, NULL);
    rig_broker(&w.r, 3, 35, true);
    change(&w, two, 2, -2);
    assert_true(rig_follower(&w.r, 1, 0, 3, 35, 0));
    rig_run(&w.r, 5);
    assert_null(w.c.call);
    rig_broker(&w.r, 3, 35, false);
    rig_publish(&w.r);
    assert_false(rig_follower(&w.r, 1, 0, 3, 30, 0));
    assert_true(rig_follower(&w.r, 1, 0, 3, 35, 0));
    rig_run(&w.r, 5);
    check_proposal(&w, 3, ALL);
    assert_int_equal(w.c.q->topics[0].partitions[0].new_isr_with_epochs[2].broker_epoch, 35);
    shut_world(&w);
}

/* Replicas are taken away from a partition that others keep. */
static void a_replica_that_is_moved_away(void **state)
{
    UNUSED(state);
    static const int32_t others[] = {2, 3};
    struct uuid dirs[2] = {uuid_reserved(0), uuid_reserved(0)};
    struct partition_change_record c;
    struct world w;
    struct ask a;
    open_world(&w, 1, NULL);
    ask(&w, &a, 1, -1, 5000);
    rig_run(&w.r, 5);
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(1);
    c.partition_id = 0;
    c.leader = 2;
    c.replicas = c.isr = (int32_t *)(uintptr_t)others;
    c.replicas_n = c.isr_n = c.directories_n = 2;
    c.directories = dirs;
    rig_record(&w.r, &partition_change_record_msg, 1, &c);
    rig_publish(&w.r);
    assert_int_equal(answered(&w, &a), KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(a.it.leader, 2);
    assert_null(rig_partition(&w.r, 1, 0));
    shut_world(&w);
}

/* The metadata that a broker starts with may be older than its registration: what they say that it
 * leads, an earlier run led. */
static void an_earlier_run_led(void **state)
{
    UNUSED(state);
    struct world w;
    struct ask a;
    open_run(&w, 1, LAG, uuid_reserved(9));
    assert_false(w.p->is_leader);
    assert_null(w.p->isr);
    assert_null(w.p->follow);
    ask(&w, &a, 1, 1, 1000);
    assert_int_equal(answered(&w, &a), KE_NOT_LEADER_OR_FOLLOWER);
    rig_run(&w.r, 3000); /* nobody goes out of the in-sync set */
    assert_int_equal(w.c.calls, 0);
    w.r.node.incarnation = UUID_ZERO; /* it has registered */
    change(&w, NULL, 0, RIG_NODE);
    assert_true(w.p->is_leader);
    append(&w, 1);
    shut_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_earlier_run_led),
        cmocka_unit_test(a_follower_reads_to_the_end),
        cmocka_unit_test(a_parked_follower_is_woken_by_appends),
        cmocka_unit_test(who_may_not_fetch),
        cmocka_unit_test(a_follower_that_diverges),
        cmocka_unit_test(a_consumer_is_sent_to_its_rack),
        cmocka_unit_test(a_consumer_reads_from_a_follower),
        cmocka_unit_test(throttled_followers),
        cmocka_unit_test(deleted_when_the_followers_have),
        cmocka_unit_test(waits_for_the_living_alone),
        cmocka_unit_test(acks_wait_for_the_followers),
        cmocka_unit_test(each_request_has_its_deadline),
        cmocka_unit_test(too_few_in_sync),
        cmocka_unit_test(a_deposed_leader_answers),
        cmocka_unit_test(a_follower_that_lags_goes_and_comes_back),
        cmocka_unit_test(unknown_fates),
        cmocka_unit_test(a_refused_proposal_is_made_again),
        cmocka_unit_test(registrations_are_heard_of),
        cmocka_unit_test(a_replica_that_is_moved_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
