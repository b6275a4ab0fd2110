/* Rounds of retention look at partitions that have changed, and at all when time alone makes
 * something go: whatever makes records go, they go with the next round. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_rig.h"

enum { ROUND_MS = 100, MANY = 200 };

static const char *const settings[] = {"log.initial.task.delay.ms=0",
                                       "log.retention.check.interval.ms=100", NULL};

static void appended(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    *(bool *)m->user = true;
}

/* One record of this time to partition 0 of the topic. */
static void append(struct rig *r, uint8_t topic, int64_t time_ms)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf batch = {0};
    struct append_item it = {.topic_id = rig_topic_id(topic)};
    struct append_msg m = {0};
    bool done = false;
    batch_builder_init(&b, &opt);
    batch_builder_add(&b, time_ms, BYTES_NULL, bytes_str("value"), NULL, 0);
    assert_int_equal(batch_builder_finish(&b, &batch), 0);
    it.batch.data = batch.data;
    it.batch.len = (uint32_t)batch.len;
    m.items = &it;
    m.n = 1;
    m.acks = 1;
    m.origin = PLOG_CLIENT;
    m.timeout_ms = 1000;
    m.done = appended;
    m.user = &done;
    append_send(&r->ns[0], node_home_shard(&r->node, it.topic_id, 0), &m);
    while (!done) {
        rig_turn(r);
    }
    assert_int_equal(it.error, KE_NONE);
    batch_builder_free(&b);
    buf_free(&batch);
}

static void set_config(struct rig *r, uint8_t topic, const char *key, const char *value)
{
    struct config_record c;
    char name[16];
    snprintf(name, sizeof name, "topic%u", topic);
    proto_msg_init(&config_record_msg, &c);
    c.resource_type = CONFIG_TOPIC;
    c.resource_name = bytes_str(name);
    c.name = bytes_str(key);
    c.value = bytes_str(value);
    rig_record(r, &config_record_msg, 0, &c);
    rig_publish(r);
}

static int64_t start_of(struct rig *r, uint8_t topic)
{
    return plog_start_offset(rig_partition(r, topic, 0)->log);
}

static int64_t wall(const struct rig *r)
{
    return io_wall_ms(r->ns[0].shard->io);
}

static void time_alone_makes_records_go(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r, 2, settings);
    rig_topic(&r, 1, MANY, "retention.ms", "5000");
    rig_topic(&r, 2, 1, "retention.ms", "60000");
    append(&r, 2, wall(&r));
    append(&r, 1, wall(&r));
    rig_run(&r, 4800);
    assert_int_equal(start_of(&r, 1), 0);
    append(&r, 1, wall(&r)); /* the segment is as old as its newest record */
    rig_run(&r, 4800);
    assert_int_equal(start_of(&r, 1), 0);
    rig_run(&r, 200 + 2 * ROUND_MS);
    assert_int_equal(start_of(&r, 1), 2);
    assert_int_equal(start_of(&r, 2), 0);
    rig_run(&r, 60000);
    assert_int_equal(start_of(&r, 2), 1);
    rig_shut(&r);
}

static void what_is_too_much_goes_after_an_append(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r, 2, settings);
    rig_topic(&r, 1, MANY, "retention.bytes", "0");
    for (int64_t i = 1; i < 4; i++) {
        rig_run(&r, 1000);
        append(&r, 1, wall(&r));
        assert_int_equal(start_of(&r, 1), i - 1);
        rig_run(&r, 2 * ROUND_MS);
        assert_int_equal(start_of(&r, 1), i);
    }
    rig_shut(&r);
}

static void a_lower_limit_holds_with_the_next_round(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_open(&r, 2, settings);
    rig_topic(&r, 1, MANY, NULL, NULL);
    append(&r, 1, wall(&r));
    rig_run(&r, 1000);
    assert_int_equal(start_of(&r, 1), 0);
    set_config(&r, 1, "retention.bytes", "0");
    rig_run(&r, 2 * ROUND_MS);
    assert_int_equal(start_of(&r, 1), 1);
    rig_shut(&r);
}

/* What is not committed stays; it goes when a follower has it. */
static void records_go_once_they_are_committed(void **state)
{
    UNUSED(state);
    static const int32_t both[] = {RIG_NODE, RIG_NODE + 1};
    struct rig r;
    rig_open(&r, 2, settings);
    rig_replicated(&r, 1, both, 2);
    set_config(&r, 1, "retention.bytes", "0");
    append(&r, 1, wall(&r));
    rig_run(&r, 1000);
    assert_int_equal(start_of(&r, 1), 0);
    assert_true(rig_follower(&r, 1, 0, RIG_NODE + 1, -1, -1));
    rig_run(&r, 2 * ROUND_MS);
    assert_int_equal(start_of(&r, 1), 1);
    rig_shut(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_alone_makes_records_go),
        cmocka_unit_test(what_is_too_much_goes_after_an_append),
        cmocka_unit_test(a_lower_limit_holds_with_the_next_round),
        cmocka_unit_test(records_go_once_they_are_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
