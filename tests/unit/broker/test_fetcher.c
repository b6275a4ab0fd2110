/* Following: what is asked of a leader and what becomes of its answers, with a scripted leader on
 * the other end of real connections and real logs on this one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "follow_rig.h"

enum { SESSION = 77 };

/* n records from `first` on, in one batch of the epoch. */
static void batch(struct buf *out, int64_t first, int n, int32_t epoch)
{
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    o.base_offset = first;
    o.leader_epoch = epoch;
    rig_batch(out, first, n, &o);
}

static struct plog *log_of(struct rig *r, int32_t index)
{
    return rig_partition(r, TOPIC, index)->log;
}

/* The log holds exactly these bytes. */
static void assert_log(struct rig *r, int32_t index, const struct buf *expected)
{
    struct buf got = {0};
    struct plog *log = log_of(r, index);
    int64_t end = plog_end_offset(log);
    if (end > plog_start_offset(log)) {
        plog_read_copy(log, plog_start_offset(log), 1 << 20, true, end, &got);
    }
    assert_int_equal(got.len, expected->len);
    assert_memory_equal(got.data, expected->data, got.len);
    buf_free(&got);
}

/* Takes the next Fetch: it asks for this. */
static void expect(struct peer *p, int32_t index, int64_t offset, int32_t epoch, int32_t last_epoch)
{
    peer_wait(p, API_FETCH);
    const struct fetch_request_fetch_partition *q = peer_asked(p, index);
    assert_non_null(q);
    assert_int_equal(q->fetch_offset, offset);
    assert_int_equal(q->current_leader_epoch, epoch);
    assert_int_equal(q->last_fetched_epoch, last_epoch);
}

/* One partition follows and has records 0 .. n - 1 of epoch 0; the Fetch behind them is taken. */
static void filled(struct rig *r, struct peer *p, int n, const char *const *overrides)
{
    struct buf b = {0};
    follow_open(r, p, 1, overrides);
    expect(p, 0, 0, 0, -1);
    batch(&b, 0, n, 0);
    peer_answer_records(p, SESSION, 0, buf_bytes(&b), n);
    expect(p, 0, n, 0, 0);
    buf_free(&b);
}

/* ---- the ordinary way ---- */

static void asks_as_a_follower_does(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    follow_open(&r, &p, 2, NULL);
    peer_wait(&p, API_FETCH);
    const struct config_values *v = &r.config->v;
    assert_int_equal(p.header.version, 17);
    assert_int_equal(p.fetch.replica_state.replica_id, RIG_NODE);
    assert_int_equal(p.fetch.replica_state.replica_epoch, 40 + RIG_NODE);
    assert_int_equal(p.fetch.max_wait_ms, v->replica_fetch_wait_max_ms);
    assert_int_equal(p.fetch.min_bytes, v->replica_fetch_min_bytes);
    assert_int_equal(p.fetch.max_bytes, v->replica_fetch_response_max_bytes);
    assert_int_equal(p.fetch.session_id, 0);
    assert_int_equal(p.fetch.session_epoch, 0);
    assert_int_equal(p.fetch.topics_n, 1);
    assert_int_equal(peer_asked_n(&p), 2);
    assert_int_equal(peer_asked(&p, 1)->partition_max_bytes, v->replica_fetch_max_bytes);
    assert_int_equal(peer_asked(&p, 1)->log_start_offset, 0);
    follow_shut(&r, &p);
}

/* What comes is charged to the shard's budget: no more is asked for than there is room for. */
/* However many a leader has: they share one connection and one session. */
static void many_partitions_of_a_leader_share_a_connection(void **state)
{
    enum { MANY = 200 };
    UNUSED(state);
    struct rig r;
    struct peer p;
    bool seen[MANY] = {false};
    follow_open(&r, &p, MANY, NULL);
    for (int named = 0; named < MANY;) {
        peer_wait(&p, API_FETCH);
        for (int32_t i = 0; i < MANY; i++) {
            if (peer_asked(&p, i) && !seen[i]) {
                seen[i] = true;
                named++;
            }
        }
        peer_answer_empty(&p, SESSION);
    }
    peer_wait(&p, API_FETCH);
    assert_int_equal(peer_asked_n(&p), 0); /* nothing has changed */
    assert_int_equal(p.fetch.session_id, SESSION);
    rig_run(&r, 1000);
    peer_accept(&p);
    assert_int_equal(p.accepted, 1);
    follow_shut(&r, &p);
}

static void asks_for_what_there_is_room_for(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    static const uint64_t room[] = {1 << 20, 100000, 0};
    follow_open(&r, &p, 1, NULL);
    peer_wait(&p, API_FETCH);
    struct budget *b = &r.ns[0].shard->budget;
    for (size_t i = 0; i < ARRAY_LEN(room); i++) {
        uint64_t others = b->limit - b->used - room[i];
        b->used += others;
        peer_answer_empty(&p, SESSION);
        peer_wait(&p, API_FETCH);
        assert_int_equal(p.fetch.max_bytes, room[i] ? room[i] : 65536);
        b->used -= others;
    }
    peer_answer_empty(&p, SESSION);
    peer_wait(&p, API_FETCH);
    assert_int_equal(p.fetch.max_bytes, r.config->v.replica_fetch_response_max_bytes);
    follow_shut(&r, &p);
}

static void stores_what_the_leader_has_and_names_only_changes(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf all = {0};
    follow_open(&r, &p, 3, NULL);
    peer_wait(&p, API_FETCH);
    batch(&all, 0, 3, 0);
    batch(&all, 3, 1, 0);
    peer_answer_records(&p, SESSION, 1, buf_bytes(&all), 3);
    expect(&p, 1, 4, 0, 0);
    assert_int_equal(peer_asked_n(&p), 1);
    assert_int_equal(p.fetch.session_id, SESSION);
    assert_int_equal(p.fetch.session_epoch, 1);
    assert_log(&r, 1, &all);
    assert_int_equal(plog_high_watermark(log_of(&r, 1)), 3);
    peer_answer_records(&p, SESSION, 1, BYTES_NULL, 4); /* the high watermark alone */
    peer_wait(&p, API_FETCH);
    assert_int_equal(peer_asked_n(&p), 0);
    assert_int_equal(p.fetch.session_epoch, 2);
    assert_int_equal(plog_high_watermark(log_of(&r, 1)), 4);
    peer_answer_empty(&p, SESSION);
    peer_wait(&p, API_FETCH);
    assert_int_equal(p.fetch.session_epoch, 3);
    assert_int_equal(p.accepted, 1);
    buf_free(&all);
    follow_shut(&r, &p);
}

static void a_batch_that_was_cut_comes_again(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf all = {0};
    follow_open(&r, &p, 1, NULL);
    peer_wait(&p, API_FETCH);
    batch(&all, 0, 2, 0);
    size_t whole = all.len;
    batch(&all, 2, 2, 0);
    peer_answer_records(&p, SESSION, 0, bytes_of(all.data, all.len - 5), 4);
    expect(&p, 0, 2, 0, 0);
    peer_answer_records(&p, SESSION, 0, bytes_of(all.data + whole, all.len - whole), 4);
    expect(&p, 0, 4, 0, 0);
    assert_log(&r, 0, &all);
    buf_free(&all);
    follow_shut(&r, &p);
}

static void the_log_start_follows_the_leaders(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct answer a;
    filled(&r, &p, 5, NULL);
    answer_init(&a, SESSION, 0);
    a.part.high_watermark = 5;
    a.part.log_start_offset = 3;
    peer_answer(&p, &a.r);
    expect(&p, 0, 5, 0, 0); /* told at once: DeleteRecords waits for it */
    assert_int_equal(peer_asked(&p, 0)->log_start_offset, 3);
    assert_int_equal(plog_start_offset(log_of(&r, 0)), 3);
    a.part.log_start_offset = 9; /* behind all that there is */
    peer_answer(&p, &a.r);
    peer_wait(&p, API_FETCH);
    assert_int_equal(plog_start_offset(log_of(&r, 0)), 3);
    follow_shut(&r, &p);
}

static void a_leader_without_sessions_is_asked_for_all_each_time(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    follow_open(&r, &p, 3, NULL);
    peer_wait(&p, API_FETCH);
    batch(&b, 0, 1, 0);
    peer_answer_records(&p, 0, 0, buf_bytes(&b), 1);
    peer_wait(&p, API_FETCH);
    assert_int_equal(p.fetch.session_id, 0);
    assert_int_equal(p.fetch.session_epoch, 0);
    assert_int_equal(peer_asked_n(&p), 3);
    /* the one that had its turn is the last */
    assert_int_equal(p.fetch.topics[0].partitions[2].partition, 0);
    buf_free(&b);
    follow_shut(&r, &p);
}

/* ---- leaders come and go ---- */

static void another_leader_is_followed_and_the_old_one_told(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct peer q;
    follow_open(&r, &p, 2, NULL);
    peer_open(&q, &r, OTHER);
    follow_broker(&r, OTHER, q.host->ip, PEER_PORT);
    peer_wait(&p, API_FETCH);
    rig_leader(&r, TOPIC, 0, OTHER);
    expect(&q, 0, 0, 1, -1);
    assert_int_equal(peer_asked_n(&q), 1);
    struct buf b = {0}; /* of an epoch that is over */
    batch(&b, 0, 1, 0);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 1);
    peer_wait(&p, API_FETCH);
    assert_int_equal(peer_asked_n(&p), 0);
    assert_true(peer_forgets(&p, 0));
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 0);
    rig_leader(&r, TOPIC, 0, LEADER); /* and back */
    peer_answer_empty(&p, SESSION);
    expect(&p, 0, 0, 2, -1);
    assert_false(peer_forgets(&p, 0));
    buf_free(&b);
    peer_shut(&q);
    follow_shut(&r, &p);
}

static void a_new_epoch_of_the_same_leader_is_named(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    filled(&r, &p, 2, NULL);
    rig_leader(&r, TOPIC, 0, LEADER);
    batch(&b, 2, 1, 0);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 3); /* to the old epoch's fetch */
    expect(&p, 0, 2, 1, 0);
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 2);
    buf_free(&b);
    follow_shut(&r, &p);
}

/* The Fetch that is parked there would hold it up, and with it everybody who waits for acks=-1. */
static void a_partition_with_a_new_leader_does_not_wait_for_a_parked_fetch(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    follow_open(&r, &p, 2, NULL);
    rig_leader(&r, TOPIC, 0, OTHER);
    expect(&p, 1, 0, 0, -1);
    peer_answer_empty(&p, SESSION);
    peer_wait(&p, API_FETCH);
    peer_quiet(&p, 100); /* it is parked */
    int64_t before = rig_now(&r);
    rig_leader(&r, TOPIC, 0, LEADER);
    expect(&p, 0, 0, 2, -1);
    assert_true(rig_now(&r) - before < 20);
    assert_int_equal(p.fetch.session_id, SESSION);
    assert_int_equal(p.fetch.session_epoch, 0);
    assert_int_equal(peer_asked_n(&p), 2);
    peer_answer_empty(&p, SESSION + 1);
    peer_wait(&p, API_FETCH);
    assert_int_equal(p.fetch.session_id, SESSION + 1);
    peer_quiet(&p, 100);
    rig_leader(&r, TOPIC, 1, LEADER); /* but not each time */
    peer_quiet(&p, 100);
    peer_answer_empty(&p, SESSION + 1);
    expect(&p, 1, 0, 1, -1);
    follow_shut(&r, &p);
}

static void without_a_leader_nobody_is_asked(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 2, NULL);
    rig_leader(&r, TOPIC, 0, -1);
    assert_null(rig_partition(&r, TOPIC, 0)->follow);
    rig_run(&r, 10);
    assert_false(peer_take(&p));
    assert_null(p.conns[0]); /* nothing is left to be asked there */
    rig_leader(&r, TOPIC, 0, RIG_NODE);
    assert_null(rig_partition(&r, TOPIC, 0)->follow);
    rig_leader(&r, TOPIC, 0, LEADER);
    expect(&p, 0, 2, 3, 2); /* we led epoch 2 without a record */
    follow_shut(&r, &p);
}

static void an_address_that_is_not_known_is_waited_for(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    rig_open(&r, 1, NULL);
    peer_open(&p, &r, LEADER);
    follow_broker(&r, RIG_NODE, "h", 1);
    follow_topic(&r, 1);
    peer_quiet(&p, 2000);
    follow_broker(&r, LEADER, NULL, 0);
    rig_publish(&r);
    peer_quiet(&p, 2000);
    follow_broker(&r, LEADER, p.host->ip, PEER_PORT);
    rig_publish(&r);
    expect(&p, 0, 0, 0, -1);
    follow_shut(&r, &p);
}

static void a_new_address_makes_a_new_connection(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct peer q;
    filled(&r, &p, 2, NULL);
    peer_open(&q, &r, LEADER);
    follow_broker(&r, LEADER, q.host->ip, PEER_PORT);
    rig_publish(&r);
    expect(&q, 0, 2, 0, 0);
    assert_int_equal(q.fetch.session_id, 0);
    rig_run(&r, 10);
    assert_false(peer_take(&p));
    assert_null(p.conns[0]);
    peer_shut(&q);
    follow_shut(&r, &p);
}

static void nothing_is_asked_before_our_registration_is_known(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    rig_open(&r, 1, NULL);
    r.node.incarnation = uuid_reserved(9); /* of this run; the image has another one's */
    peer_open(&p, &r, LEADER);
    follow_broker(&r, RIG_NODE, "h", 1);
    follow_broker(&r, LEADER, p.host->ip, PEER_PORT);
    follow_topic(&r, 1);
    peer_quiet(&p, 2000);
    r.node.incarnation = uuid_reserved(0);
    follow_broker(&r, RIG_NODE, "h", 1);
    rig_publish(&r);
    expect(&p, 0, 0, 0, -1);
    follow_shut(&r, &p);
}

/* ---- sessions and connections that end ---- */

static void a_broken_connection_begins_a_new_session(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 2, NULL);
    peer_hang_up(&p);
    expect(&p, 0, 2, 0, 0);
    assert_int_equal(p.fetch.session_id, SESSION); /* the old one, which is to be closed */
    assert_int_equal(p.fetch.session_epoch, 0);
    assert_int_equal(p.accepted, 2);
    follow_shut(&r, &p);
}

static void a_leader_that_hangs_up_each_time_is_asked_less_and_less_often(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    follow_open(&r, &p, 1, NULL);
    for (int i = 0; i < 10; i++) {
        peer_wait(&p, API_FETCH);
        peer_hang_up(&p);
    }
    int64_t before = rig_now(&r);
    peer_wait(&p, API_FETCH);
    assert_true(rig_now(&r) - before >= r.config->v.replica_fetch_backoff_ms);
    follow_shut(&r, &p);
}

static void a_session_that_the_leader_lost_begins_anew_at_once(void **state)
{
    UNUSED(state);
    static const int16_t codes[] = {KE_FETCH_SESSION_ID_NOT_FOUND, KE_INVALID_FETCH_SESSION_EPOCH};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct rig r;
        struct peer p;
        struct answer a;
        filled(&r, &p, 2, NULL);
        answer_init(&a, 0, 0);
        a.r.responses_n = 0;
        a.r.error_code = codes[i];
        int64_t before = rig_now(&r);
        peer_answer(&p, &a.r);
        expect(&p, 0, 2, 0, 0);
        assert_int_equal(p.fetch.session_id, 0);
        assert_true(rig_now(&r) - before < 10);
        peer_answer(&p, &a.r); /* to a full one: it makes no sense */
        before = rig_now(&r);
        peer_wait(&p, API_FETCH);
        assert_true(rig_now(&r) - before >= 10);
        follow_shut(&r, &p);
    }
}

static void an_answer_that_makes_no_sense_ends_the_session(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 2, NULL);
    peer_answer_empty(&p, SESSION + 1);
    expect(&p, 0, 2, 0, 0);
    assert_int_equal(p.fetch.session_epoch, 0);
    follow_shut(&r, &p);
}

/* ---- errors of one partition ---- */

static void an_error_takes_one_partition_out_for_a_while(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    follow_open(&r, &p, 2, NULL);
    peer_wait(&p, API_FETCH);
    int64_t before = rig_now(&r);
    peer_answer_error(&p, SESSION, 1, KE_KAFKA_STORAGE_ERROR);
    peer_wait(&p, API_FETCH);
    assert_int_equal(peer_asked_n(&p), 0);
    assert_true(peer_forgets(&p, 1));
    peer_answer_empty(&p, SESSION);
    peer_wait(&p, API_FETCH);
    while (peer_asked(&p, 1) == NULL) {
        rig_run(&r, 100);
        peer_answer_empty(&p, SESSION);
        peer_wait(&p, API_FETCH);
    }
    int64_t took = rig_now(&r) - before;
    assert_true(took >= r.config->v.replica_fetch_backoff_ms && took < 3000);
    follow_shut(&r, &p);
}

static void a_leader_that_does_not_know_yet_is_asked_again_soon(void **state)
{
    UNUSED(state);
    static const int16_t codes[] = {KE_UNKNOWN_LEADER_EPOCH, KE_NOT_LEADER_OR_FOLLOWER,
                                    KE_UNKNOWN_TOPIC_ID, KE_FENCED_LEADER_EPOCH};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct rig r;
        struct peer p;
        filled(&r, &p, 1, NULL);
        int64_t before = rig_now(&r);
        peer_answer_error(&p, SESSION, 0, codes[i]);
        expect(&p, 0, 1, 0, 0);
        assert_true(rig_now(&r) - before < 50);
        follow_shut(&r, &p);
    }
}

/* ---- records that are not taken ---- */

static void assert_refused(struct rig *r, struct peer *p, struct bytes records)
{
    int64_t end = plog_end_offset(log_of(r, 0));
    int64_t before = rig_now(r);
    peer_answer_records(p, SESSION, 0, records, 100);
    expect(p, 0, end, 0, 0);
    assert_true(rig_now(r) - before >= r->config->v.replica_fetch_backoff_ms);
    assert_int_equal(plog_end_offset(log_of(r, 0)), end);
}

static void records_that_do_not_hold_together_are_not_taken(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf good = {0};
    struct buf bad = {0};
    filled(&r, &p, 3, NULL);
    batch(&good, 3, 2, 0);
    batch(&good, 5, 2, 0);

    buf_put(&bad, good.data, good.len);
    bad.data[bad.len - 1] ^= 1; /* the second one's checksum */
    assert_refused(&r, &p, buf_bytes(&bad));

    buf_clear(&bad);
    batch(&bad, 1, 1, 0); /* below our end */
    assert_refused(&r, &p, buf_bytes(&bad));

    buf_clear(&bad);
    buf_put(&bad, good.data, good.len);
    store_be32(bad.data + 8, 3); /* a length that none has */
    assert_refused(&r, &p, buf_bytes(&bad));

    assert_refused(&r, &p, bytes_of(good.data, 40)); /* not one is whole */

    buf_clear(&bad);
    buf_put(&bad, good.data, good.len);
    bad.data[16] = 1; /* magic */
    assert_refused(&r, &p, buf_bytes(&bad));

    peer_answer_records(&p, SESSION, 0, buf_bytes(&good), 7);
    expect(&p, 0, 7, 0, 0);
    buf_free(&good);
    buf_free(&bad);
    follow_shut(&r, &p);
}

static void offsets_that_do_not_ascend_are_not_taken(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    filled(&r, &p, 3, NULL);
    batch(&b, 3, 2, 0);
    batch(&b, 4, 1, 0);
    int64_t before = rig_now(&r);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 5);
    expect(&p, 0, 5, 0, 0); /* what came before is as good as any */
    assert_true(rig_now(&r) - before >= r.config->v.replica_fetch_backoff_ms);
    buf_free(&b);
    follow_shut(&r, &p);
}

static void an_epoch_ahead_of_our_metadata_waits_for_it(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    filled(&r, &p, 3, NULL);
    batch(&b, 3, 1, 0);
    batch(&b, 4, 1, 1);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 5);
    expect(&p, 0, 4, 0, 0);
    rig_leader(&r, TOPIC, 0, LEADER);
    peer_answer_empty(&p, SESSION);
    expect(&p, 0, 4, 1, 0);
    size_t at = b.len / 2;
    peer_answer_records(&p, SESSION, 0, bytes_of(b.data + at, b.len - at), 5);
    expect(&p, 0, 5, 1, 1);
    buf_free(&b);
    follow_shut(&r, &p);
}

/* ---- truncation ---- */

static void cuts_where_the_epochs_part(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    follow_open(&r, &p, 1, NULL);
    expect(&p, 0, 0, 0, -1);
    batch(&b, 0, 4, 0);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 6);
    expect(&p, 0, 4, 0, 0);
    rig_leader(&r, TOPIC, 0, LEADER);
    buf_clear(&b);
    peer_answer_empty(&p, SESSION);
    expect(&p, 0, 4, 1, 0);
    batch(&b, 4, 2, 1);
    batch(&b, 6, 2, 1);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 8);
    expect(&p, 0, 8, 1, 1);
    assert_int_equal(plog_high_watermark(log_of(&r, 0)), 8);
    peer_answer_diverging(&p, SESSION, 0, 1, 6); /* below our high watermark: its word counts */
    expect(&p, 0, 6, 1, 1);
    assert_int_equal(plog_high_watermark(log_of(&r, 0)), 6);
    peer_answer_diverging(&p, SESSION, 0, 0, 4); /* it does not know epoch 1 */
    expect(&p, 0, 4, 1, 0);
    buf_clear(&b);
    batch(&b, 4, 1, 1);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 5);
    expect(&p, 0, 5, 1, 1);
    buf_free(&b);
    follow_shut(&r, &p);
}

static void an_epoch_that_we_led_without_a_record_does_not_part_us_for_ever(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 4, NULL);
    rig_leader(&r, TOPIC, 0, RIG_NODE);
    rig_leader(&r, TOPIC, 0, LEADER);
    peer_answer_empty(&p, SESSION);
    expect(&p, 0, 4, 2, 1);
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    expect(&p, 0, 4, 2, 0);
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 4);
    follow_shut(&r, &p);
}

static void a_leader_that_parts_where_nothing_parts_is_not_asked_in_a_loop(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 4, NULL);
    int64_t before = rig_now(&r);
    peer_answer_diverging(&p, SESSION, 0, 0, 4);
    expect(&p, 0, 4, 0, 0);
    assert_true(rig_now(&r) - before >= r.config->v.replica_fetch_backoff_ms);
    peer_answer_diverging(&p, SESSION, 0, 0, -1); /* and no end is no reason to cut all */
    expect(&p, 0, 4, 0, 0);
    follow_shut(&r, &p);
}

/* The records below are those of another history, perhaps, and gone in the leader's. */
static void what_is_below_the_start_of_a_leader_that_parts_there_goes_too(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    filled(&r, &p, 4, NULL);
    batch(&b, 4, 4, 0);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 8);
    expect(&p, 0, 8, 0, 0);
    rig_leader(&r, TOPIC, 0, LEADER);
    peer_answer_empty(&p, SESSION);
    expect(&p, 0, 8, 1, 0);
    peer_answer_diverging_from(&p, SESSION, 0, 0, 6, 6);
    peer_wait(&p, API_FETCH);
    assert_int_equal(plog_start_offset(log_of(&r, 0)), plog_end_offset(log_of(&r, 0)));
    buf_free(&b);
    follow_shut(&r, &p);
}

/* ---- out of range ---- */

static void a_leader_that_ends_before_us_cuts_us(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct buf b = {0};
    filled(&r, &p, 4, NULL);
    batch(&b, 4, 4, 0);
    peer_answer_records(&p, SESSION, 0, buf_bytes(&b), 4);
    expect(&p, 0, 8, 0, 0);
    peer_answer_error(&p, SESSION, 0, KE_OFFSET_OUT_OF_RANGE);
    peer_wait(&p, API_LIST_OFFSETS);
    assert_int_equal(p.offsets.topics[0].partitions[0].current_leader_epoch, 0);
    peer_answer_offset(&p, -1, 0, 4);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_answer_offset(&p, -2, 0, 0);
    expect(&p, 0, 4, 0, 0);
    buf_free(&b);
    follow_shut(&r, &p);
}

static void a_leader_that_begins_behind_us_begins_us_anew(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 4, NULL);
    peer_answer_error(&p, SESSION, 0, KE_OFFSET_OUT_OF_RANGE);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_answer_offset(&p, -1, 0, 30);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_answer_offset(&p, -2, 0, 20);
    expect(&p, 0, 20, 0, -1);
    assert_int_equal(peer_asked(&p, 0)->log_start_offset, 20);
    assert_int_equal(plog_start_offset(log_of(&r, 0)), 20);
    follow_shut(&r, &p);
}

static void a_question_that_fails_is_asked_again(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 4, NULL);
    peer_answer_error(&p, SESSION, 0, KE_OFFSET_OUT_OF_RANGE);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_answer_offset(&p, -1, KE_UNKNOWN_LEADER_EPOCH, -1);
    expect(&p, 0, 4, 0, 0);
    peer_answer_error(&p, SESSION, 0, KE_OFFSET_OUT_OF_RANGE);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_hang_up(&p);
    expect(&p, 0, 4, 0, 0);
    follow_shut(&r, &p);
}

static void an_epoch_that_begins_ends_the_question(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    filled(&r, &p, 4, NULL);
    peer_answer_error(&p, SESSION, 0, KE_OFFSET_OUT_OF_RANGE);
    peer_wait(&p, API_LIST_OFFSETS);
    rig_leader(&r, TOPIC, 0, LEADER);
    peer_answer_offset(&p, -1, 0, 0);
    expect(&p, 0, 4, 1, 0);
    assert_int_equal(plog_end_offset(log_of(&r, 0)), 4);
    follow_shut(&r, &p);
}

/* The leader's start lies inside a batch, which it gives whole: the log begins with it, and shows
 * nothing below the start. */
static void begins_inside_a_batch(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    struct answer a;
    struct buf b = {0};
    filled(&r, &p, 4, NULL);
    peer_answer_error(&p, SESSION, 0, KE_OFFSET_OUT_OF_RANGE);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_answer_offset(&p, -1, 0, 30);
    peer_wait(&p, API_LIST_OFFSETS);
    peer_answer_offset(&p, -2, 0, 20);
    expect(&p, 0, 20, 0, -1);
    batch(&b, 15, 10, 0);
    answer_init(&a, SESSION, 0);
    a.part.records = buf_bytes(&b);
    a.part.high_watermark = 25;
    a.part.log_start_offset = 20;
    peer_answer(&p, &a.r);
    expect(&p, 0, 25, 0, 0);
    struct plog *log = log_of(&r, 0);
    assert_int_equal(plog_segment_info(log, 0).base_offset, 15);
    assert_int_equal(plog_segment_info(log, 0).size, b.len);
    assert_int_equal(plog_start_offset(log), 20);
    assert_int_equal(plog_high_watermark(log), 25);
    buf_free(&b);
    follow_shut(&r, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_as_a_follower_does),
        cmocka_unit_test(many_partitions_of_a_leader_share_a_connection),
        cmocka_unit_test(asks_for_what_there_is_room_for),
        cmocka_unit_test(stores_what_the_leader_has_and_names_only_changes),
        cmocka_unit_test(a_batch_that_was_cut_comes_again),
        cmocka_unit_test(the_log_start_follows_the_leaders),
        cmocka_unit_test(a_leader_without_sessions_is_asked_for_all_each_time),
        cmocka_unit_test(another_leader_is_followed_and_the_old_one_told),
        cmocka_unit_test(a_new_epoch_of_the_same_leader_is_named),
        cmocka_unit_test(a_partition_with_a_new_leader_does_not_wait_for_a_parked_fetch),
        cmocka_unit_test(without_a_leader_nobody_is_asked),
        cmocka_unit_test(an_address_that_is_not_known_is_waited_for),
        cmocka_unit_test(a_new_address_makes_a_new_connection),
        cmocka_unit_test(nothing_is_asked_before_our_registration_is_known),
        cmocka_unit_test(a_broken_connection_begins_a_new_session),
        cmocka_unit_test(a_leader_that_hangs_up_each_time_is_asked_less_and_less_often),
        cmocka_unit_test(a_session_that_the_leader_lost_begins_anew_at_once),
        cmocka_unit_test(an_answer_that_makes_no_sense_ends_the_session),
        cmocka_unit_test(an_error_takes_one_partition_out_for_a_while),
        cmocka_unit_test(a_leader_that_does_not_know_yet_is_asked_again_soon),
        cmocka_unit_test(records_that_do_not_hold_together_are_not_taken),
        cmocka_unit_test(offsets_that_do_not_ascend_are_not_taken),
        cmocka_unit_test(an_epoch_ahead_of_our_metadata_waits_for_it),
        cmocka_unit_test(cuts_where_the_epochs_part),
        cmocka_unit_test(an_epoch_that_we_led_without_a_record_does_not_part_us_for_ever),
        cmocka_unit_test(a_leader_that_parts_where_nothing_parts_is_not_asked_in_a_loop),
        cmocka_unit_test(what_is_below_the_start_of_a_leader_that_parts_there_goes_too),
        cmocka_unit_test(a_leader_that_ends_before_us_cuts_us),
        cmocka_unit_test(a_leader_that_begins_behind_us_begins_us_anew),
        cmocka_unit_test(a_question_that_fails_is_asked_again),
        cmocka_unit_test(an_epoch_that_begins_ends_the_question),
        cmocka_unit_test(begins_inside_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
