/* Standing fetch sessions over real logs: what a follower's fetch reads, what it is woken by, and
 * that a follower that has had nothing to fetch for long is still in sync. Broker 1 leads here; 2
 * and 3 follow, registered with epochs 20 and 30. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/fetch_session.h"
#include "data_rig.h"

enum { LAG_MS = 1000 };

static const int32_t ALL[] = {RIG_NODE, 2, 3};
static const char *const OVERRIDES[] = {"replica.lag.time.max.ms=1000", NULL};
static const struct siphash_key SECRET = {{7, 8}};

static uint32_t next_random(void *ctx)
{
    uint32_t *n = ctx;
    *n = *n * 1664525u + 1013904223u;
    return *n;
}

/* ---- the world ---- */

struct world {
    struct rig r;
    struct partition *p;
    uint32_t seed;
};

static void open_world(struct world *w)
{
    w->seed = 7;
    rig_open(&w->r, 2, OVERRIDES);
    for (unsigned i = 0; i < 2; i++) {
        w->r.ns[i].sessions = fetch_sessions_new(i, 2, 10, 1 << 20, &SECRET, next_random, &w->seed);
    }
    rig_broker(&w->r, RIG_NODE, 10, false);
    rig_broker(&w->r, 2, 20, false);
    rig_broker(&w->r, 3, 30, false);
    rig_replicated(&w->r, 1, ALL, 3);
    w->p = rig_partition(&w->r, 1, 0);
}

static void shut_world(struct world *w)
{
    struct fetch_sessions *all[] = {w->r.ns[0].sessions, w->r.ns[1].sessions};
    rig_shut(&w->r);
    fetch_sessions_free(all[0]);
    fetch_sessions_free(all[1]);
}

static unsigned home(const struct world *w)
{
    return node_home_shard(&w->r.node, rig_topic_id(1), 0);
}

static void change_isr(struct world *w, const int32_t *isr, int32_t n)
{
    struct partition_change_record c;
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(1);
    c.partition_id = 0;
    c.isr = (int32_t *)(uintptr_t)isr;
    c.isr_n = n;
    rig_record(&w->r, &partition_change_record_msg, 1, &c);
    rig_publish(&w->r);
}

static void follower(struct world *w, int32_t id, int64_t offset)
{
    assert_true(rig_follower(&w->r, 1, 0, id, 10 * id, offset));
}

static void appended(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    ++*(unsigned *)m->user;
}

static void append(struct world *w, int n)
{
    struct append_msg m;
    struct append_item it;
    struct buf batch = {0};
    unsigned done = 0;
    memset(&m, 0, sizeof m);
    memset(&it, 0, sizeof it);
    rig_batch(&batch, 0, n, NULL);
    it.topic_id = rig_topic_id(1);
    it.batch.data = batch.data;
    it.batch.len = (uint32_t)batch.len;
    m.items = &it;
    m.n = 1;
    m.acks = 1;
    m.timeout_ms = 1000;
    m.done = appended;
    m.user = &done;
    append_send(&w->r.ns[0], home(w), &m);
    for (int i = 0; i < 1000 && done == 0; i++) {
        rig_turn(&w->r);
    }
    assert_int_equal(done, 1);
    assert_int_equal(it.error, KE_NONE);
    buf_free(&batch);
}

/* ---- a follower with a session, whose connection is on `at` ---- */

struct stander {
    struct world *w;
    struct node_shard *at;
    int32_t replica;
    int32_t id;
    int32_t epoch;
    struct fetch_request q;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition part;
    struct fetch_begin b;
    struct arena arena;
    struct fetch_job j;
    struct fetch_item it;
    bool read;
    struct fetch_waiter waiter;
    unsigned woken;
};

static void on_news(struct fetch_waiter *waiter)
{
    CONTAINER_OF(waiter, struct stander, waiter)->woken++;
}

static void on_read(struct fetch_job *j)
{
    ((struct stander *)j->user)->read = true;
}

/* The next fetch begins; it names the partition from `offset` on, or (-1) nothing. */
static void begin(struct stander *s, int64_t offset)
{
    proto_msg_init(&fetch_request_msg, &s->q);
    s->q.session_id = s->id;
    s->q.session_epoch = s->epoch++;
    s->topic = (struct fetch_request_fetch_topic){
        .topic_id = rig_topic_id(1), .partitions = &s->part, .partitions_n = 1};
    s->part = (struct fetch_request_fetch_partition){.current_leader_epoch = 0,
                                                     .last_fetched_epoch = -1,
                                                     .fetch_offset = offset,
                                                     .partition_max_bytes = 1 << 20};
    s->q.topics = &s->topic;
    s->q.topics_n = offset >= 0;
    arena_reset(&s->arena);
    s->b = (struct fetch_begin){.req = &s->q,
                                .by_id = true,
                                .privileged = true,
                                .standing = true,
                                .now_ms = rig_now(&s->w->r),
                                .arena = &s->arena};
    fetch_session_begin(s->at->sessions, &s->b);
    assert_int_equal(s->b.error, KE_NONE);
}

/* Reads what is fresh: the partition, or nothing. */
static void read_fresh(struct stander *s, bool again)
{
    if (s->b.n == 0) {
        return;
    }
    assert_int_equal(s->b.n, 1);
    s->it = (struct fetch_item){.topic_id = rig_topic_id(1),
                                .last_fetched_epoch = -1,
                                .fetch_offset = s->b.parts[0].fetch_offset,
                                .max_bytes = 1 << 20};
    s->j = (struct fetch_job){.ns = s->at,
                              .arena = &s->arena,
                              .items = &s->it,
                              .n = 1,
                              .max_bytes = 1 << 20,
                              .min_bytes = 1,
                              .replica_id = s->replica,
                              .replica_epoch = 10 * s->replica,
                              .standing = s->id,
                              .read_once = again,
                              .done = on_read,
                              .user = s};
    s->read = false;
    fetch_job_start(&s->j);
    for (int i = 0; i < 1000 && !s->read; i++) {
        rig_turn(&s->w->r);
    }
    assert_true(s->read);
    s->b.parts[0].error = s->it.error;
    s->b.parts[0].records = s->it.len;
    s->b.parts[0].high_watermark = s->it.high_watermark;
    s->b.parts[0].log_start = s->it.log_start_offset;
    s->b.parts[0].settled = s->it.settled;
    fetch_job_free(&s->j);
}

static void end(struct stander *s)
{
    fetch_session_end(s->at->sessions, &s->b);
    assert_int_equal(s->b.error, KE_NONE);
    assert_int_equal(s->b.session_id, s->id);
}

static bool waits(struct stander *s)
{
    s->woken = 0;
    return fetch_session_wait(s->at->sessions, &s->b, &s->waiter);
}

/* How many partitions are fresh now, after a wait. */
static uint32_t again(struct stander *s)
{
    list_remove(&s->waiter.node);
    fetch_session_again(s->at->sessions, &s->b);
    assert_int_equal(s->b.error, KE_NONE);
    return s->b.n;
}

/* Makes the session, and has all of the log after two fetches. */
static void stander_open(struct world *w, struct stander *s, unsigned shard, int32_t replica)
{
    memset(s, 0, sizeof *s);
    s->w = w;
    s->at = &w->r.ns[shard];
    s->replica = replica;
    s->waiter.woken = on_news;
    list_init(&s->waiter.node);
    begin(s, plog_end_offset(w->p->log));
    s->b.parts[0].high_watermark = -1;
    fetch_session_end(s->at->sessions, &s->b);
    s->id = s->b.session_id;
    assert_int_equal(fetch_session_shard(s->id, 2), shard);
    begin(s, -1);
    read_fresh(s, false);
    assert_true(s->it.settled);
    end(s);
    assert_true(s->b.parts[0].respond);
}

static void stander_close(struct stander *s)
{
    list_remove(&s->waiter.node);
    arena_free(&s->arena);
}

/* ---- tests ---- */

static void only_news_is_read(void **state)
{
    UNUSED(state);
    for (unsigned shard = 0; shard < 2; shard++) { /* the partition's home, and another */
        struct world w;
        struct stander s;
        open_world(&w);
        append(&w, 3);
        follower(&w, 3, 3);
        stander_open(&w, &s, shard, 2);
        rig_run(&w.r, 5); /* the high watermark moved by that very fetch, before it was told */
        begin(&s, -1);
        read_fresh(&s, false);
        end(&s);
        begin(&s, -1);
        assert_int_equal(s.b.n, 0);
        assert_true(waits(&s));
        rig_run(&w.r, 10);
        assert_int_equal(s.woken, 0);
        append(&w, 2);
        rig_run(&w.r, 5);
        assert_int_equal(s.woken, 1);
        assert_int_equal(again(&s), 1);
        read_fresh(&s, true);
        assert_true(s.it.len > 0);
        assert_false(s.it.settled);
        end(&s);
        assert_true(s.b.parts[0].respond);
        begin(&s, 5); /* it has got them */
        read_fresh(&s, false);
        assert_true(s.it.settled);
        assert_true(waits(&s));
        follower(&w, 3, 5); /* the high watermark moves: told when the time is over */
        rig_run(&w.r, 5);
        assert_int_equal(s.woken, 0);
        assert_int_equal(again(&s), 1);
        read_fresh(&s, true);
        assert_int_equal(s.it.high_watermark, 5);
        end(&s);
        assert_true(s.b.parts[0].respond);
        begin(&s, -1);
        assert_int_equal(s.b.n, 0);
        stander_close(&s);
        shut_world(&w);
    }
}

/* Between the reading and the wait. */
static void news_is_not_missed(void **state)
{
    UNUSED(state);
    struct world w;
    struct stander s;
    open_world(&w);
    stander_open(&w, &s, home(&w) ^ 1u, 2);
    begin(&s, 0);
    read_fresh(&s, false);
    assert_true(s.it.settled);
    append(&w, 1);
    rig_run(&w.r, 5);
    assert_false(waits(&s));
    assert_int_equal(again(&s), 1);
    stander_close(&s);
    begin(&s, 0); /* and between the reading and the answer */
    read_fresh(&s, false);
    assert_true(s.it.len > 0);
    s.b.parts[0].records = 0;
    s.b.parts[0].settled = true;
    append(&w, 1);
    rig_run(&w.r, 5);
    end(&s);
    begin(&s, -1);
    assert_int_equal(s.b.n, 1);
    stander_close(&s);
    shut_world(&w);
}

static void who_stood_is_in_sync(void **state)
{
    UNUSED(state);
    struct world w;
    struct stander s;
    open_world(&w);
    stander_open(&w, &s, home(&w), 2);
    for (int i = 0; i < 50; i++) { /* 3 fetches, 2 has nothing to fetch */
        follower(&w, 3, 0);
        rig_run(&w.r, LAG_MS / 10);
    }
    append(&w, 1);
    follower(&w, 3, 1);
    rig_run(&w.r, LAG_MS / 4);
    assert_false(w.p->isr->pending); /* it is given time to come */
    for (int i = 0; i < 20 && !w.p->isr->pending; i++) {
        follower(&w, 3, 1);
        rig_run(&w.r, LAG_MS / 10);
    }
    assert_true(w.p->isr->pending); /* but not for ever */
    assert_false(isr_follower(w.p->isr, 2)->proposed);
    assert_true(isr_follower(w.p->isr, 3)->proposed);
    stander_close(&s);
    shut_world(&w);
}

static void changes_wake(void **state)
{
    UNUSED(state);
    static const int32_t without[] = {RIG_NODE, 3};
    struct world w;
    struct stander s;
    open_world(&w);
    stander_open(&w, &s, home(&w), 2);
    begin(&s, -1);
    assert_int_equal(s.b.n, 0);
    assert_true(waits(&s));
    rig_broker(&w.r, 2, 25, false); /* a new registration */
    rig_publish(&w.r);
    rig_run(&w.r, 5);
    assert_int_equal(s.woken, 1);
    assert_int_equal(again(&s), 1);
    read_fresh(&s, true);
    assert_true(waits(&s));
    change_isr(&w, without, 2);
    rig_run(&w.r, 5);
    assert_int_equal(s.woken, 1);
    assert_int_equal(again(&s), 1);
    read_fresh(&s, true);
    assert_false(s.it.settled); /* it asks to join with each fetch */
    end(&s);
    begin(&s, -1);
    assert_int_equal(s.b.n, 1);
    change_isr(&w, ALL, 3);
    s.it.error = 0;
    read_fresh(&s, true);
    assert_true(s.it.settled);
    assert_true(waits(&s));
    rig_leader(&w.r, 1, 0, 3);
    rig_run(&w.r, 5);
    assert_int_equal(s.woken, 1);
    assert_int_equal(again(&s), 1);
    read_fresh(&s, true);
    assert_int_equal(s.it.error, KE_FENCED_LEADER_EPOCH);
    stander_close(&s);
    shut_world(&w);
}

static void a_newer_session_takes_over(void **state)
{
    UNUSED(state);
    struct world w;
    struct stander old;
    struct stander s;
    open_world(&w);
    stander_open(&w, &old, 0, 2);
    begin(&old, -1);
    assert_true(waits(&old));
    stander_open(&w, &s, 1, 2);
    begin(&s, -1);
    assert_true(waits(&s));
    rig_run(&w.r, 5);
    assert_int_equal(old.woken, 0);
    assert_int_equal(again(&old), 1); /* it would notice, if it lived */
    append(&w, 1);
    rig_run(&w.r, 5);
    assert_int_equal(s.woken, 1);
    stander_close(&old);
    stander_close(&s);
    shut_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_news_is_read),          cmocka_unit_test(news_is_not_missed),
        cmocka_unit_test(who_stood_is_in_sync),       cmocka_unit_test(changes_wake),
        cmocka_unit_test(a_newer_session_takes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
