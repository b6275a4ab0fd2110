/* follower.replication.throttled.*: who is held back, for how long, and who is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "follow_rig.h"

enum { SESSION = 77, RATE = 1000 };

static void set(struct rig *r, int8_t type, const char *resource, const char *name,
                const char *value)
{
    struct config_record c;
    proto_msg_init(&config_record_msg, &c);
    c.resource_type = type;
    c.resource_name = bytes_str(resource);
    c.name = bytes_str(name);
    c.value = value ? bytes_str(value) : BYTES_NULL;
    rig_record(r, &config_record_msg, 0, &c);
    rig_publish(r);
}

static void set_replicas(struct rig *r, const char *value)
{
    set(r, CONFIG_TOPIC, "topic", "follower.replication.throttled.replicas", value);
}

static void set_rate(struct rig *r, const char *value)
{
    set(r, CONFIG_BROKER, "1", "follower.replication.throttled.rate", value);
}

/* Partition 0 has so many of its replicas in sync: the leader, another, this broker. */
static void set_isr(struct rig *r, int32_t n)
{
    int32_t isr[] = {LEADER, OTHER, RIG_NODE};
    struct partition_change_record c;
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(TOPIC);
    c.partition_id = 0;
    c.isr = isr;
    c.isr_n = n;
    rig_record(r, &partition_change_record_msg, 0, &c);
    rig_publish(r);
}

/* This broker follows two partitions, of which it has nothing yet, and asks for them. */
static void open_behind(struct rig *r, struct peer *p, const char *rate, const char *replicas)
{
    follow_open(r, p, 2, NULL);
    set_isr(r, 2);
    if (rate) {
        set_rate(r, rate);
    }
    set_replicas(r, replicas);
    peer_wait(p, API_FETCH);
}

/* Records of partition 0, some 3000 bytes, from `first` on, of which the leader has more. */
static void give(struct peer *p, int64_t first, int64_t hw)
{
    struct batch_options o = BATCH_OPTIONS_DEFAULT;
    struct buf b = {0};
    o.base_offset = first;
    o.leader_epoch = 0;
    rig_batch(&b, first, 300, &o);
    peer_answer_records(p, SESSION, 0, buf_bytes(&b), hw);
    buf_free(&b);
}

/* How long partition 0 is not asked for, while the leader has nothing for the others. */
static int64_t held(struct rig *r, struct peer *p)
{
    int64_t before = rig_now(r);
    peer_wait(p, API_FETCH);
    if (peer_asked(p, 0)) { /* the one that was under way to main */
        peer_answer_empty(p, SESSION);
        peer_wait(p, API_FETCH);
    }
    if (!peer_forgets(p, 0)) {
        return 0;
    }
    while (peer_asked(p, 0) == NULL) {
        rig_run(r, 10);
        peer_answer_empty(p, SESSION);
        peer_wait(p, API_FETCH);
    }
    return rig_now(r) - before;
}

static void a_throttled_replica_waits_until_the_rate_is_right(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    open_behind(&r, &p, "1000", "1:2,0:1,0:2");
    give(&p, 0, 10000);
    int64_t waited = held(&r, &p);
    int64_t bytes = (int64_t)plog_size(rig_partition(&r, TOPIC, 0)->log);
    assert_in_range(waited, bytes - 100, bytes + 1100); /* ms, at 1000 bytes a second */
    assert_int_equal(peer_asked(&p, 0)->fetch_offset, 300);
    follow_shut(&r, &p);
}

static void others_are_not_held_back(void **state)
{
    UNUSED(state);
    static const char *const lists[] = {"1:1,0:2", "00:11", NULL};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct rig r;
        struct peer p;
        open_behind(&r, &p, "1000", lists[i]);
        give(&p, 0, 10000);
        assert_int_equal(held(&r, &p), 0);
        follow_shut(&r, &p);
    }
}

static void who_is_up_with_the_leader_is_not_held_back(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    open_behind(&r, &p, "1000", "*");
    peer_answer_records(&p, SESSION, 1, BYTES_NULL, 0); /* the other one has all */
    peer_wait(&p, API_FETCH);
    give(&p, 0, 300);
    assert_int_equal(held(&r, &p), 0);
    give(&p, 300, 10000); /* and counts all the same */
    assert_true(held(&r, &p) > 2000);
    follow_shut(&r, &p);
}

/* It may be a leader's first acknowledgement that waits for what it fetches. */
static void who_is_in_the_isr_is_not_held_back(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    open_behind(&r, &p, "1000", "*");
    give(&p, 0, 10000);
    set_isr(&r, 3);
    assert_int_equal(held(&r, &p), 0);
    give(&p, 300, 10000);
    set_isr(&r, 2);
    assert_true(held(&r, &p) > 2000);
    follow_shut(&r, &p);
}

static void without_a_rate_or_without_the_list_it_is_over(void **state)
{
    UNUSED(state);
    struct rig r;
    struct peer p;
    open_behind(&r, &p, NULL, "*");
    peer_answer_records(&p, SESSION, 1, BYTES_NULL, 0);
    peer_wait(&p, API_FETCH);
    give(&p, 0, 10000);
    assert_int_equal(held(&r, &p), 0); /* no rate is no limit */
    set(&r, CONFIG_BROKER, "", "follower.replication.throttled.rate", "10");
    give(&p, 300, 10000);
    peer_wait(&p, API_FETCH);
    if (peer_asked(&p, 0)) {
        peer_answer_empty(&p, SESSION);
        peer_wait(&p, API_FETCH);
    }
    assert_true(peer_forgets(&p, 0));
    peer_answer_empty(&p, SESSION);
    peer_wait(&p, API_FETCH);
    assert_null(peer_asked(&p, 0));
    set_replicas(&r, NULL);
    peer_answer_empty(&p, SESSION);
    peer_wait(&p, API_FETCH);
    assert_non_null(peer_asked(&p, 0));
    follow_shut(&r, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_throttled_replica_waits_until_the_rate_is_right),
        cmocka_unit_test(others_are_not_held_back),
        cmocka_unit_test(who_is_up_with_the_leader_is_not_held_back),
        cmocka_unit_test(who_is_in_the_isr_is_not_held_back),
        cmocka_unit_test(without_a_rate_or_without_the_list_it_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
