/* A follower's decisions: every kind of answer, answers that came too late, where to cut, what an
 * out of range offset leads to, and what of the leader's word is believed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "broker/replica/follower.h"
#include "proto_errors.h"

enum { NOW = 5000, BACKOFF = 1000, LEADER = 2, EPOCH = 7, END = 100 };

static const struct follower_log LOG = {
    .start = 10, .end = END, .high_watermark = 90, .last_epoch = 6};

static struct follower begun(void)
{
    struct follower f;
    follower_begin(&f, LEADER, EPOCH);
    return f;
}

static enum follower_action answer(struct follower *f, int16_t error, int64_t now)
{
    return follower_answer(f, &LOG, EPOCH, END, error, -1, now, BACKOFF);
}

static void begins_to_fetch(void **state)
{
    UNUSED(state);
    struct follower f = begun();
    assert_int_equal(f.phase, FOLLOWER_FETCHING);
    assert_int_equal(f.leader, LEADER);
    assert_int_equal(f.leader_epoch, EPOCH);
    assert_true(follower_wants(&f, NOW));
}

static void records_are_appended(void **state)
{
    UNUSED(state);
    struct follower f = begun();
    assert_int_equal(answer(&f, KE_NONE, NOW), FOLLOWER_APPEND);
    assert_true(follower_wants(&f, NOW));
}

static void a_diverging_epoch_cuts(void **state)
{
    UNUSED(state);
    struct follower f = begun();
    assert_int_equal(follower_answer(&f, &LOG, EPOCH, END, KE_NONE, 0, NOW, BACKOFF), FOLLOWER_CUT);
    assert_true(follower_wants(&f, NOW));
}

static void an_answer_to_an_older_epoch_means_nothing(void **state)
{
    UNUSED(state);
    static const int16_t errors[] = {KE_NONE, KE_OFFSET_OUT_OF_RANGE, KE_FENCED_LEADER_EPOCH};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct follower f = begun();
        assert_int_equal(follower_answer(&f, &LOG, EPOCH - 1, END, errors[i], 3, NOW, BACKOFF),
                         FOLLOWER_LATER);
        assert_int_equal(f.phase, FOLLOWER_FETCHING); /* without a wait */
        assert_true(follower_wants(&f, NOW));
    }
}

static void an_answer_for_another_offset_means_nothing(void **state)
{
    UNUSED(state);
    static const int64_t offsets[] = {END - 1, END + 1};
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        struct follower f = begun();
        assert_int_equal(
            follower_answer(&f, &LOG, EPOCH, offsets[i], KE_OFFSET_OUT_OF_RANGE, -1, NOW, BACKOFF),
            FOLLOWER_LATER);
        assert_true(follower_wants(&f, NOW));
    }
}

static void older_metadata_is_waited_for_shortly_then_longer(void **state)
{
    UNUSED(state);
    static const int16_t errors[] = {
        KE_NOT_LEADER_OR_FOLLOWER,     KE_FENCED_LEADER_EPOCH, KE_UNKNOWN_LEADER_EPOCH,
        KE_UNKNOWN_TOPIC_OR_PARTITION, KE_UNKNOWN_TOPIC_ID,    KE_INCONSISTENT_TOPIC_ID,
        KE_REPLICA_NOT_AVAILABLE,
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct follower f = begun();
        int64_t now = NOW;
        int64_t before = 0;
        for (int try = 0; try < 12; try++) {
            assert_int_equal(answer(&f, errors[i], now), FOLLOWER_LATER);
            assert_int_equal(f.phase, FOLLOWER_WAITING);
            int64_t wait = f.not_before_ms - now;
            assert_true(try > 0 || wait < 50);
            assert_true(wait > 0 && wait >= before && wait <= BACKOFF);
            assert_false(follower_wants(&f, f.not_before_ms - 1));
            assert_true(follower_wants(&f, f.not_before_ms));
            before = wait;
            now = f.not_before_ms;
        }
        assert_int_equal(before, BACKOFF);
        assert_int_equal(answer(&f, KE_NONE, now), FOLLOWER_APPEND);
        answer(&f, errors[i], now); /* from the front again */
        assert_true(f.not_before_ms - now < 50);
    }
}

static void other_errors_wait_a_whole_backoff(void **state)
{
    UNUSED(state);
    static const int16_t errors[] = {KE_KAFKA_STORAGE_ERROR, KE_UNKNOWN_SERVER_ERROR,
                                     KE_CORRUPT_MESSAGE, 9999};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct follower f = begun();
        assert_int_equal(answer(&f, errors[i], NOW), FOLLOWER_LATER);
        assert_int_equal(f.not_before_ms, NOW + BACKOFF);
        assert_false(follower_wants(&f, NOW));
        /* what comes while it waits is of no use */
        assert_int_equal(answer(&f, KE_NONE, NOW + 1), FOLLOWER_LATER);
        assert_int_equal(f.phase, FOLLOWER_WAITING);
    }
}

static void a_new_epoch_ends_every_wait(void **state)
{
    UNUSED(state);
    struct follower f = begun();
    answer(&f, KE_UNKNOWN_SERVER_ERROR, NOW);
    follower_begin(&f, LEADER + 1, EPOCH + 1);
    assert_true(follower_wants(&f, NOW));
    assert_int_equal(f.leader, LEADER + 1);
    follower_fail(&f);
    assert_false(follower_wants(&f, INT64_MAX));
    assert_int_equal(follower_answer(&f, &LOG, EPOCH + 1, END, 0, -1, NOW, BACKOFF),
                     FOLLOWER_LATER);
    follower_begin(&f, LEADER, EPOCH + 2);
    assert_true(follower_wants(&f, NOW));
}

static void out_of_range_asks_once(void **state)
{
    UNUSED(state);
    struct follower f = begun();
    assert_int_equal(answer(&f, KE_OFFSET_OUT_OF_RANGE, NOW), FOLLOWER_ASK);
    assert_int_equal(f.phase, FOLLOWER_ASKING);
    assert_false(follower_wants(&f, NOW));
    assert_int_equal(answer(&f, KE_OFFSET_OUT_OF_RANGE, NOW), FOLLOWER_LATER);
    follower_ask_failed(&f, KE_UNKNOWN_LEADER_EPOCH, NOW, BACKOFF);
    assert_int_equal(f.phase, FOLLOWER_WAITING);
    assert_true(follower_wants(&f, f.not_before_ms));
    follower_ask_failed(&f, KE_UNKNOWN_SERVER_ERROR, NOW, BACKOFF); /* it does not ask any more */
    assert_true(f.not_before_ms < NOW + 50);
}

/* ---- truncation by epoch ---- */

static void cuts_at_the_lesser_end(void **state)
{
    UNUSED(state);
    /* both know the epoch: where the first of them left it */
    assert_int_equal(follower_cut_offset(&LOG, 50, 5, 60), 50);
    assert_int_equal(follower_cut_offset(&LOG, 60, 5, 50), 50);
    /* we have only an earlier one, which ends before the leader's */
    assert_int_equal(follower_cut_offset(&LOG, 60, 4, 30), 30);
    /* we know none at or below it: the leader's word alone */
    assert_int_equal(follower_cut_offset(&LOG, 60, -1, -1), 60);
    /* below the high watermark too: that is no bound */
    assert_int_equal(follower_cut_offset(&LOG, 20, 5, 60), 20);
}

static void cuts_within_the_log(void **state)
{
    UNUSED(state);
    assert_int_equal(follower_cut_offset(&LOG, 3, 5, 60), LOG.start);
    assert_int_equal(follower_cut_offset(&LOG, 300, 5, 200), LOG.end);
    assert_int_equal(follower_cut_offset(&LOG, 300, -1, -1), LOG.end);
}

/* ---- out of range ---- */

static enum follower_reset reset(int64_t leader_start, int64_t leader_end, int64_t *offset,
                                 struct follower *f)
{
    *f = begun();
    answer(f, KE_OFFSET_OUT_OF_RANGE, NOW);
    return follower_reset(f, &LOG, leader_start, leader_end, NOW, BACKOFF, offset);
}

static void a_shorter_leader_cuts_us(void **state)
{
    UNUSED(state);
    struct follower f;
    int64_t offset;
    assert_int_equal(reset(0, 40, &offset, &f), FOLLOWER_RESET_CUT);
    assert_int_equal(offset, 40);
    assert_true(follower_wants(&f, NOW));
    assert_int_equal(reset(0, END - 1, &offset, &f), FOLLOWER_RESET_CUT);
    assert_int_equal(offset, END - 1);
}

static void a_leader_that_begins_behind_our_end_begins_us_anew(void **state)
{
    UNUSED(state);
    struct follower f;
    int64_t offset;
    assert_int_equal(reset(END + 1, END + 50, &offset, &f), FOLLOWER_RESET_ANEW);
    assert_int_equal(offset, END + 1);
    assert_true(follower_wants(&f, NOW));
}

static void a_range_that_fits_is_tried_again_later_each_time(void **state)
{
    UNUSED(state);
    struct follower f;
    int64_t offset;
    assert_int_equal(reset(END, END, &offset, &f), FOLLOWER_RESET_NOTHING);
    assert_int_equal(offset, END);
    int64_t first = f.not_before_ms - NOW;
    assert_true(first > 0 && first < BACKOFF);
    int64_t now = f.not_before_ms;
    assert_int_equal(answer(&f, KE_OFFSET_OUT_OF_RANGE, now), FOLLOWER_ASK);
    follower_reset(&f, &LOG, 0, END, now, BACKOFF, &offset);
    assert_true(f.not_before_ms - now > first);
}

/* ---- what of the leader's word is taken ---- */

static void the_high_watermark_stays_within_the_log_and_never_falls(void **state)
{
    UNUSED(state);
    assert_int_equal(follower_high_watermark(&LOG, 95), 95);
    assert_int_equal(follower_high_watermark(&LOG, 1000), END);
    assert_int_equal(follower_high_watermark(&LOG, 50), 90);
    assert_int_equal(follower_high_watermark(&LOG, -1), 90);
}

static void the_log_start_rises_to_the_high_watermark_at_most(void **state)
{
    UNUSED(state);
    assert_int_equal(follower_log_start(&LOG, 50, 90), 50);
    assert_int_equal(follower_log_start(&LOG, 90, 90), 90);
    assert_int_equal(follower_log_start(&LOG, 91, 90), 10);
    assert_int_equal(follower_log_start(&LOG, 5, 90), 10);
    assert_int_equal(follower_log_start(&LOG, -1, 90), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_to_fetch),
        cmocka_unit_test(records_are_appended),
        cmocka_unit_test(a_diverging_epoch_cuts),
        cmocka_unit_test(an_answer_to_an_older_epoch_means_nothing),
        cmocka_unit_test(an_answer_for_another_offset_means_nothing),
        cmocka_unit_test(older_metadata_is_waited_for_shortly_then_longer),
        cmocka_unit_test(other_errors_wait_a_whole_backoff),
        cmocka_unit_test(a_new_epoch_ends_every_wait),
        cmocka_unit_test(out_of_range_asks_once),
        cmocka_unit_test(cuts_at_the_lesser_end),
        cmocka_unit_test(cuts_within_the_log),
        cmocka_unit_test(a_shorter_leader_cuts_us),
        cmocka_unit_test(a_leader_that_begins_behind_our_end_begins_us_anew),
        cmocka_unit_test(a_range_that_fits_is_tried_again_later_each_time),
        cmocka_unit_test(the_high_watermark_stays_within_the_log_and_never_falls),
        cmocka_unit_test(the_log_start_rises_to_the_high_watermark_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
