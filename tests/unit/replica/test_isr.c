/* The rules of docs/replication.md for the leader of a partition, one by one. Broker 1 leads; 2 and
 * 3 follow, registered with epochs 20 and 30. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "broker/replica/isr.h"

enum { LAG = 1000, SELF_EPOCH = 10 };

static const int32_t ALL[] = {1, 2, 3};

static struct isr_state state(int32_t partition_epoch, const int32_t *isr, uint32_t n)
{
    return (struct isr_state){.leader_epoch = 5,
                              .partition_epoch = partition_epoch,
                              .replicas = ALL,
                              .replicas_n = 3,
                              .isr = isr,
                              .isr_n = n};
}

static void lead(struct isr *s, const int32_t *isr, uint32_t n, int64_t end)
{
    struct isr_state st = state(7, isr, n);
    isr_init(s, 1);
    isr_lead(s, &st, end, 0);
    isr_set_broker(s, 2, 20, false, false);
    isr_set_broker(s, 3, 30, false, false);
}

static void fetch(struct isr *s, int32_t id, int64_t offset, int64_t end, int64_t now)
{
    isr_fetched(isr_follower(s, id), id * 10, offset, 0, end, now);
}

static int64_t hw(const struct isr *s, int64_t from, int64_t own, int64_t now)
{
    return isr_high_watermark(s, from, own, 2, now, LAG);
}

/* The proposal that is pending now is exactly these, with these epochs. */
static void check_pending(const struct isr *s, uint32_t n, const struct isr_member *want)
{
    struct isr_member out[4];
    assert_true(s->pending);
    assert_int_equal(n, isr_pending_members(s, SELF_EPOCH, out));
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(want[i].id, out[i].id);
        assert_int_equal(want[i].broker_epoch, out[i].broker_epoch);
    }
}

#define PENDING(s, ...)                                                                      \
    check_pending(s, sizeof((struct isr_member[]){__VA_ARGS__}) / sizeof(struct isr_member), \
                  (struct isr_member[]){__VA_ARGS__})

/* ---- high watermark ---- */

static void test_least_end_of_the_isr(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    assert_int_equal(40, hw(&s, 40, 120, 0)); /* nobody has said anything yet */
    fetch(&s, 2, 120, 120, 1);
    assert_int_equal(40, hw(&s, 40, 120, 1));
    fetch(&s, 3, 110, 120, 1);
    assert_int_equal(110, hw(&s, 40, 120, 1));
    fetch(&s, 3, 120, 120, 2);
    assert_int_equal(120, hw(&s, 110, 120, 2));
    assert_int_equal(115, hw(&s, 110, 115, 2)); /* as far as the own log counts */
    isr_free(&s);
}

static void test_never_back(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 90, 100, 1);
    fetch(&s, 3, 100, 100, 1);
    assert_int_equal(95, hw(&s, 95, 100, 1));
    isr_free(&s);
}

/* KIP-966: it stands while the ISR is smaller than min.insync.replicas. */
static void test_stands_below_min_isr(void **unused)
{
    (void)unused;
    static const int32_t alone[] = {1};
    struct isr s;
    lead(&s, alone, 1, 100);
    assert_int_equal(40, hw(&s, 40, 100, 0));
    assert_int_equal(100, isr_high_watermark(&s, 40, 100, 1, 0, LAG));
    isr_free(&s);
}

/* Who is outside and has not fetched in this epoch holds nobody up; who is about to come does,
 * until it lags. */
static void test_waits_for_who_may_join(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    assert_int_equal(200, hw(&s, 40, 200, 1));
    fetch(&s, 3, 100, 100, 10); /* caught up at 10 */
    fetch(&s, 3, 150, 200, 11);
    assert_int_equal(150, hw(&s, 40, 200, 11));
    assert_int_equal(150, hw(&s, 40, 200, 10 + LAG));
    assert_int_equal(200, hw(&s, 40, 200, 11 + LAG));
    isr_set_broker(&s, 3, 30, true, false); /* fenced: may not join */
    assert_int_equal(200, hw(&s, 40, 200, 11));
    isr_free(&s);
}

/* The maximal ISR: committed and proposed. */
static void test_pending_members_count(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    fetch(&s, 3, 200, 200, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 200));
    fetch(&s, 2, 300, 300, 2);
    isr_set_broker(&s, 3, 30, true, true); /* no matter what becomes of it meanwhile */
    assert_int_equal(200, hw(&s, 200, 300, 100 * LAG));
    isr_free(&s);
}

/* Who is to go still counts: the controller may say no. */
static void test_shrinking_members_count(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 200, 200, LAG);
    fetch(&s, 3, 150, 200, LAG);
    fetch(&s, 2, 200, 200, 2 * LAG);
    assert_true(isr_propose_shrink(&s, 200, 2 * LAG, LAG));
    PENDING(&s, {1, SELF_EPOCH}, {2, 20});
    assert_int_equal(150, hw(&s, 150, 200, 2 * LAG));
    assert_true(isr_answered(&s, 5, 8, ALL, 2));
    struct isr_state st = state(8, ALL, 2);
    assert_false(isr_set(&s, &st, 2 * LAG));
    assert_int_equal(200, hw(&s, 150, 200, 2 * LAG));
    isr_free(&s);
}

/* The controller may have counted by settings that are not here yet. */
static void test_a_smaller_set_awaits_its_metadata(void **unused)
{
    (void)unused;
    struct isr s;
    struct isr_state st;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 200, 200, 2 * LAG);
    assert_true(isr_propose_shrink(&s, 200, 2 * LAG, LAG));
    assert_true(isr_answered(&s, 5, 8, ALL, 2));
    assert_int_equal(100, hw(&s, 100, 200, 2 * LAG));
    st = state(7, ALL, 3);
    assert_false(isr_set(&s, &st, 2 * LAG)); /* of before */
    assert_int_equal(100, hw(&s, 100, 200, 2 * LAG));
    fetch(&s, 3, 200, 200, 2 * LAG);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 100));
    assert_true(isr_answered(&s, 5, 9, ALL, 3)); /* a larger one changes nothing about it */
    st = state(8, ALL, 2);
    assert_false(isr_set(&s, &st, 2 * LAG));
    assert_int_equal(100, hw(&s, 100, 200, 2 * LAG));
    st = state(9, ALL, 3);
    assert_false(isr_set(&s, &st, 2 * LAG));
    assert_int_equal(200, hw(&s, 100, 200, 2 * LAG));
    /* Nor does a new leader epoch wait for what an older one was told. */
    assert_true(isr_propose_shrink(&s, 300, 9 * LAG, LAG));
    assert_true(isr_answered(&s, 5, 10, ALL, 1));
    static const int32_t two[] = {1, 2};
    st = state(11, two, 2);
    st.leader_epoch = 6;
    isr_lead(&s, &st, 200, 9 * LAG);
    fetch(&s, 2, 300, 300, 9 * LAG);
    assert_int_equal(300, hw(&s, 200, 300, 9 * LAG));
    isr_free(&s);
}

/* ---- shrink ---- */

static void test_a_new_epoch_gives_time(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    assert_false(isr_propose_shrink(&s, 100, LAG, LAG));
    assert_true(isr_propose_shrink(&s, 100, LAG + 1, LAG));
    PENDING(&s, {1, SELF_EPOCH});
    isr_free(&s);
}

/* Caught up: at the end now, or at the end that the leader had at the fetch before. */
static void test_caught_up(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 100, 110, 500);
    fetch(&s, 3, 100, 110, 500);
    fetch(&s, 2, 110, 130, 900); /* what was the end at 500 */
    fetch(&s, 3, 109, 130, 900);
    assert_int_equal(500, isr_follower(&s, 2)->caught_up_ms);
    assert_int_equal(0, isr_follower(&s, 3)->caught_up_ms);
    assert_true(isr_propose_shrink(&s, 130, 500 + LAG, LAG));
    PENDING(&s, {1, SELF_EPOCH}, {2, 20});
    isr_free(&s);
}

/* Nothing is appended: who has all stays, however long it is silent. */
static void test_at_the_end_is_in_sync(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 100, 100, 1);
    fetch(&s, 3, 100, 100, 1);
    assert_false(isr_propose_shrink(&s, 100, 100 * LAG, LAG));
    assert_true(isr_propose_shrink(&s, 101, 100 * LAG, LAG));
    isr_free(&s);
}

/* ---- join ---- */

static void test_joins_at_the_high_watermark(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    fetch(&s, 3, 149, 200, 1);
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 150));
    fetch(&s, 3, 150, 200, 2);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 150));
    PENDING(&s, {1, SELF_EPOCH}, {2, 20}, {3, 30});
    isr_free(&s);
}

/* What the leader had when its epoch began may be committed although its high watermark is older.
 */
static void test_joins_at_the_start_of_the_epoch(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 3, 99, 100, 1);
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 40));
    fetch(&s, 3, 100, 100, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 40));
    isr_free(&s);
}

static void test_who_may_not_join(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    assert_false(isr_propose_join(&s, isr_follower(&s, 3),
                                  -1)); /* before its first fetch, wherever that is */
    fetch(&s, 3, 100, 100, 1);
    isr_set_broker(&s, 3, 30, true, false); /* fenced */
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 100));
    isr_set_broker(&s, 3, 30, false, true); /* about to leave */
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 100));
    isr_set_broker(&s, 3, ISR_EPOCH_UNKNOWN, false, false); /* not registered */
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 100));
    isr_set_broker(&s, 3, 31, false, false); /* registered anew: this fetch was the old one's */
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 100));
    isr_set_broker(&s, 3, 29, false, false); /* our image is behind */
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 100));
    isr_fetched(isr_follower(&s, 3), ISR_EPOCH_UNKNOWN, 100, 0, 100, 2); /* it does not say */
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 100));
    PENDING(&s, {1, SELF_EPOCH}, {2, ISR_EPOCH_UNKNOWN}, {3, ISR_EPOCH_UNKNOWN});
    isr_free(&s);
}

static void test_stale_fetches(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    struct isr_follower *f = isr_follower(&s, 2);
    assert_false(isr_is_stale(f, 20));
    assert_true(isr_is_stale(f, 19));
    assert_false(isr_is_stale(f, 21)); /* newer than our image */
    assert_false(isr_is_stale(f, ISR_EPOCH_UNKNOWN));
    isr_set_broker(&s, 2, 20, true, false);
    assert_false(isr_is_stale(f, 19)); /* a fenced one's epoch is not asked for */
    assert_null(isr_follower(&s, 1));
    assert_null(isr_follower(&s, 4));
    isr_set_broker(&s, 4, 40, false, false);
    isr_free(&s);
}

/* ---- proposals ---- */

static void test_one_at_a_time(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 100, 100, 1);
    fetch(&s, 3, 100, 100, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 100));
    uint32_t number = s.proposal;
    assert_false(isr_propose_shrink(&s, 200, 9 * LAG, LAG)); /* 2 lags by now */
    assert_int_equal(number, s.proposal);
    assert_true(isr_answered(&s, 5, 8, ALL, 3));
    assert_int_equal(3, s.isr_n);
    assert_true(isr_propose_shrink(&s, 200, 9 * LAG, LAG));
    assert_int_not_equal(number, s.proposal);
    PENDING(&s, {1, SELF_EPOCH});
    isr_free(&s);
}

/* A member that came back under another epoch while its proposal is out is not the one that was
 * proposed: sent again, the proposal still names the old one, and the controller refuses it. */
static void test_resends_the_proposed_epoch(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 100, 100, 1);
    fetch(&s, 3, 100, 100, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 100));
    isr_set_broker(&s, 3, 35, false, false);
    isr_fetched(isr_follower(&s, 3), 35, 60, 0, 100, 2); /* without its tail */
    PENDING(&s, {1, SELF_EPOCH}, {2, 20}, {3, 30});
    isr_free(&s);
}

static void test_refused(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    fetch(&s, 3, 100, 200, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 100));
    assert_int_equal(100, hw(&s, 100, 200, 2));
    isr_refused(&s);
    assert_false(s.pending);
    assert_int_equal(200, hw(&s, 100, 200, 2));
    isr_free(&s);
}

/* It is at the end and falls behind; whom the controller did not want nobody waits for, and it is
 * proposed again a second later, and then two. */
static void test_who_is_refused_holds_nobody_up(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 100, 100, 1);
    fetch(&s, 3, 100, 100, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 100));
    fetch(&s, 2, 200, 200, 2);
    assert_int_equal(100, hw(&s, 100, 200, 2));
    isr_refused(&s);
    assert_int_equal(200, hw(&s, 100, 200, 2));
    fetch(&s, 3, 200, 200, 500);
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 200));
    fetch(&s, 2, 300, 300, 501);
    assert_int_equal(300, hw(&s, 200, 300, 501));
    fetch(&s, 3, 300, 300, 1001);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 300));
    isr_refused(&s);
    isr_set_broker(&s, 3, 30, false, false); /* the same */
    fetch(&s, 3, 300, 300, 2900);
    assert_false(isr_propose_join(&s, isr_follower(&s, 3), 300)); /* twice as long */
    isr_set_broker(&s, 3, 30, true, false);
    isr_set_broker(&s, 3, 30, false, false);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 300));
    isr_free(&s);
}

static void test_who_is_taken_out_holds_nobody_up(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 100, 100, 1);
    fetch(&s, 3, 100, 100, 1);
    fetch(&s, 2, 200, 200, 2);
    assert_int_equal(100, hw(&s, 100, 200, 2));
    struct isr_state st = state(8, two, 2);
    assert_true(isr_set(&s, &st, 3));
    assert_int_equal(200, hw(&s, 100, 200, 3));
    isr_free(&s);
}

/* The metadata are here before the answer to our proposal: it was we who took it out, for its lag.
 */
static void test_whom_we_took_out_ourselves_is_not_refused(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 200, 200, LAG + 1);
    assert_true(isr_propose_shrink(&s, 200, LAG + 1, LAG));
    struct isr_state st = state(8, two, 2);
    assert_true(isr_set(&s, &st, LAG + 2));
    fetch(&s, 3, 200, 200, LAG + 3);
    fetch(&s, 2, 300, 300, LAG + 4);
    assert_int_equal(200, hw(&s, 200, 300, LAG + 4)); /* it is about to join */
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 200));
    isr_free(&s);
}

static void test_newer_metadata_ends_a_proposal(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    fetch(&s, 3, 200, 200, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 200));
    struct isr_state st = state(8, two, 2);
    assert_true(isr_set(&s, &st, 3));
    assert_false(s.pending);
    assert_int_equal(8, s.partition_epoch);
    assert_int_equal(2, s.isr_n);
    assert_false(isr_answered(&s, 5, 7, ALL, 3)); /* of before */
    assert_int_equal(2, s.isr_n);
    assert_false(isr_answered(&s, 4, 9, ALL, 3)); /* of another epoch */
    assert_int_equal(2, s.isr_n);
    isr_free(&s);
}

static void test_old_metadata_changes_nothing(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    static const int32_t moved[] = {1, 3};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    fetch(&s, 3, 200, 200, 1);
    assert_true(isr_propose_join(&s, isr_follower(&s, 3), 200));
    assert_true(isr_answered(&s, 5, 9, ALL, 3));
    struct isr_state st = state(8, two, 2);
    assert_false(isr_set(&s, &st, 3));
    assert_int_equal(3, s.isr_n);
    assert_true(isr_propose_shrink(&s, 300, 9 * LAG, LAG));
    /* The image of the answer itself: the replicas are new (a move was completed by it), the
     * proposal that was made since then stays. */
    st = state(9, ALL, 3);
    st.replicas = moved;
    st.replicas_n = 2;
    assert_false(isr_set(&s, &st, 3));
    assert_true(s.pending);
    assert_null(isr_follower(&s, 2));
    assert_int_equal(200, isr_follower(&s, 3)->end);
    isr_free(&s);
}

/* Within an epoch followers stay known; a replica that is new is not. */
static void test_replicas_come_and_go(void **unused)
{
    (void)unused;
    static const int32_t two[] = {1, 2};
    static const int32_t replicas[] = {1, 2, 4};
    struct isr s;
    lead(&s, two, 2, 100);
    fetch(&s, 2, 200, 200, 1);
    struct isr_state st = state(8, two, 2);
    st.replicas = replicas;
    assert_true(isr_set(&s, &st, 5));
    assert_null(isr_follower(&s, 3));
    assert_int_equal(200, isr_follower(&s, 2)->end);
    assert_int_equal(ISR_OFFSET_UNKNOWN, isr_follower(&s, 4)->end);
    assert_int_equal(200, hw(&s, 100, 200, 5));
    /* One that the controller has put in gets its time. */
    st = state(9, replicas, 3);
    st.replicas = replicas;
    assert_true(isr_set(&s, &st, 50));
    fetch(&s, 2, 200, 200, 51);
    assert_false(isr_propose_shrink(&s, 200, 50 + LAG, LAG));
    assert_true(isr_propose_shrink(&s, 200, 51 + LAG, LAG));
    PENDING(&s, {1, SELF_EPOCH}, {2, 20});
    isr_free(&s);
}

static void test_a_new_epoch_knows_nobody(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    fetch(&s, 2, 200, 200, 1);
    fetch(&s, 3, 200, 200, 1);
    struct isr_state st = state(8, ALL, 3);
    st.leader_epoch = 6;
    isr_lead(&s, &st, 210, 10);
    assert_int_equal(6, s.leader_epoch);
    assert_int_equal(210, s.epoch_start);
    assert_int_equal(150, hw(&s, 150, 210, 10));
    isr_free(&s);
}

/* ---- low watermark ---- */

static void test_low_watermark(void **unused)
{
    (void)unused;
    struct isr s;
    lead(&s, ALL, 3, 100);
    isr_fetched(isr_follower(&s, 2), 20, 100, 50, 100, 1);
    assert_int_equal(ISR_OFFSET_UNKNOWN, isr_low_watermark(&s, 60)); /* 3 has not said */
    isr_fetched(isr_follower(&s, 3), 30, 100, 55, 100, 1);
    assert_int_equal(50, isr_low_watermark(&s, 60));
    isr_set_broker(&s, 2, 20, true, false); /* the dead are not waited for */
    assert_int_equal(55, isr_low_watermark(&s, 60));
    isr_set_broker(&s, 3, 30, false, true); /* those that leave are */
    assert_int_equal(55, isr_low_watermark(&s, 60));
    assert_int_equal(10, isr_low_watermark(&s, 10));
    isr_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_end_of_the_isr),
        cmocka_unit_test(test_never_back),
        cmocka_unit_test(test_stands_below_min_isr),
        cmocka_unit_test(test_waits_for_who_may_join),
        cmocka_unit_test(test_pending_members_count),
        cmocka_unit_test(test_shrinking_members_count),
        cmocka_unit_test(test_a_smaller_set_awaits_its_metadata),
        cmocka_unit_test(test_a_new_epoch_gives_time),
        cmocka_unit_test(test_caught_up),
        cmocka_unit_test(test_at_the_end_is_in_sync),
        cmocka_unit_test(test_joins_at_the_high_watermark),
        cmocka_unit_test(test_joins_at_the_start_of_the_epoch),
        cmocka_unit_test(test_who_may_not_join),
        cmocka_unit_test(test_stale_fetches),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_resends_the_proposed_epoch),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_who_is_refused_holds_nobody_up),
        cmocka_unit_test(test_who_is_taken_out_holds_nobody_up),
        cmocka_unit_test(test_whom_we_took_out_ourselves_is_not_refused),
        cmocka_unit_test(test_newer_metadata_ends_a_proposal),
        cmocka_unit_test(test_old_metadata_changes_nothing),
        cmocka_unit_test(test_replicas_come_and_go),
        cmocka_unit_test(test_a_new_epoch_knows_nobody),
        cmocka_unit_test(test_low_watermark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
