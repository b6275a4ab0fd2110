/* A log where two things meet: a flush that is asked for while one is under way, and timestamps
 * that no clock shows. */
#include "storage_rig.h"

struct waiter {
    struct plog_flush f;
    int done;
    int err;
};

static void flushed(struct plog_flush *f, int err)
{
    struct waiter *w = f->user;
    w->done++;
    w->err = err;
}

/* flush.messages=1 starts a flush with the append: who asks behind it waits for that one, not for
 * what came meanwhile. */
static void a_flush_under_way_answers_what_it_covers(void **state)
{
    struct rig r;
    struct waiter w = {0};
    (void)state;
    rig_init(&r);
    r.config.flush_messages = 1;
    struct plog *log = rig_create(&r, "t-0");
    rig_fill(log, 1, 1, 10);
    assert_true(plog_busy(log));
    plog_flush_start(log, &w.f, flushed, &w);
    rig_fill(log, 1, 1, 10);
    rig_until(&r, w.done);
    assert_int_equal(w.err, 0);
    assert_int_equal(plog_flushed_offset(log), 1);
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_flushed_offset(log), 2);
    assert_int_equal(w.done, 1);
    plog_close(log);
    rig_free(&r);
}

/* The header of a compressed batch names its largest timestamp, and where the topic allows any, any
 * number comes through: differences wrap, as Kafka's do. */
static void a_timestamp_out_of_this_world(void **state)
{
    struct rig r;
    const struct plog_append_args args = {.origin = PLOG_CLIENT};
    struct rig_batch s = {.time = RIG_TIME, .pid = 7};
    struct buf bytes = {0};
    (void)state;
    rig_init(&r);
    struct plog *log = rig_create(&r, "t-0");
    assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
    s.seq = 1;
    rig_build(&s, &bytes);
    store_be64(bytes.data + BATCH_AT_MAX_TIMESTAMP, (uint64_t)INT64_MIN);
    batch_seal(bytes.data, bytes.len);
    struct plog_batch b = {.data = bytes.data, .len = (uint32_t)bytes.len};
    assert_int_equal(plog_append(log, &b, 1, &args), 1);
    assert_int_equal(plog_segment_count(log), 2); /* it looks like ages later */
    assert_int_equal(plog_retention(log, NULL), 0);
    rig_until(&r, !plog_busy(log));
    assert_int_equal(plog_close_clean(log), 0);
    plog_close(log);
    log = rig_open(&r, "t-0", true);
    s.seq = 2; /* the producer is not forgotten: it looks as if it came from the future */
    assert_int_equal(rig_append(log, &s).result, PLOG_APPENDED);
    s.seq = 9;
    assert_int_equal(rig_append(log, &s).result, PLOG_OUT_OF_ORDER);
    plog_close(log);
    buf_free(&bytes);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_under_way_answers_what_it_covers),
        cmocka_unit_test(a_timestamp_out_of_this_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
