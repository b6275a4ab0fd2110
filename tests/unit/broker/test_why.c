/* What /why says of followers, leaders and moves: since when, of partitions that nobody writes to
 * for long. Broker 1 leads topics 1 and 2, on two shards; 2 and 3 follow, registered with epochs 20
 * and 30, with sessions that stand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/fetch_session.h"
#include "broker/monitor/why.h"
#include "data_rig.h"

enum { IDLE_MS = 60000 };

static const int32_t ALL[] = {RIG_NODE, 2, 3};
static const char *const OVERRIDES[] = {"replica.lag.time.max.ms=30000", NULL};
static const struct siphash_key SECRET = {{7, 8}};

static uint32_t next_random(void *ctx)
{
    return ++*(uint32_t *)ctx;
}

/* ---- the world ---- */

struct world {
    struct rig r;
    uint32_t seed;
    struct why_ask ask;
    struct gather gather;
    struct gather_part parts[2];
    struct why_answer *answers[2];
};

static void open_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    rig_open(&w->r, 2, OVERRIDES);
    for (unsigned i = 0; i < 2; i++) {
        w->r.ns[i].sessions = fetch_sessions_new(i, 2, 10, 1 << 20, &SECRET, next_random, &w->seed);
    }
    rig_broker(&w->r, RIG_NODE, 10, false);
    rig_broker(&w->r, 2, 20, false);
    rig_broker(&w->r, 3, 30, false);
    rig_replicated(&w->r, 1, ALL, 3);
    rig_replicated(&w->r, 2, ALL, 3);
    assert_ptr_not_equal(rig_partition(&w->r, 1, 0)->pm, rig_partition(&w->r, 2, 0)->pm);
}

static void forget(struct world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        why_free(w->answers[i]);
        w->answers[i] = NULL;
    }
}

static void shut_world(struct world *w)
{
    struct fetch_sessions *all[] = {w->r.ns[0].sessions, w->r.ns[1].sessions};
    forget(w);
    rig_shut(&w->r);
    fetch_sessions_free(all[0]);
    fetch_sessions_free(all[1]);
}

static void change(struct world *w, uint8_t topic, struct partition_change_record *c)
{
    c->topic_id = rig_topic_id(topic);
    c->partition_id = 0;
    rig_record(&w->r, &partition_change_record_msg, 1, c);
}

static void isr_becomes(struct world *w, const int32_t *isr, int32_t n)
{
    for (uint8_t topic = 1; topic <= 2; topic++) {
        struct partition_change_record c;
        proto_msg_init(&partition_change_record_msg, &c);
        c.isr = (int32_t *)(uintptr_t)isr;
        c.isr_n = n;
        change(w, topic, &c);
    }
    rig_publish(&w->r);
}

static void appended(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    ++*(unsigned *)m->user;
}

static void append(struct world *w, uint8_t topic)
{
    struct append_msg m;
    struct append_item it;
    struct buf batch = {0};
    unsigned done = 0;
    memset(&m, 0, sizeof m);
    memset(&it, 0, sizeof it);
    rig_batch(&batch, 0, 1, NULL);
    it.topic_id = rig_topic_id(topic);
    it.batch.data = batch.data;
    it.batch.len = (uint32_t)batch.len;
    m.items = &it;
    m.n = 1;
    m.acks = 1;
    m.timeout_ms = 1000;
    m.done = appended;
    m.user = &done;
    append_send(&w->r.ns[0], node_home_shard(&w->r.node, it.topic_id, 0), &m);
    for (int i = 0; i < 1000 && done == 0; i++) {
        rig_turn(&w->r);
    }
    assert_int_equal(it.error, KE_NONE);
    buf_free(&batch);
}

/* A session's fetch has read the topic's partition to the end; from now on it is watched. */
static void stands(struct world *w, uint8_t topic, int32_t id)
{
    struct partition *p = rig_partition(&w->r, topic, 0);
    struct fetch_item it = {.fetch_offset = plog_end_offset(p->log),
                            .log_end = plog_end_offset(p->log),
                            .high_watermark = plog_high_watermark(p->log)};
    assert_true(rig_follower(&w->r, topic, 0, id, 10 * id, it.fetch_offset));
    standing_arm(p, id, 100 + id, &it);
}

static void all_stand(struct world *w)
{
    for (uint8_t topic = 1; topic <= 2; topic++) {
        stands(w, topic, 2);
        stands(w, topic, 3);
    }
}

/* ---- the answer ---- */

static void ask(struct world *w)
{
    forget(w);
    w->gather.user = &w->ask;
    for (unsigned i = 0; i < 2; i++) {
        w->parts[i].gather = &w->gather;
        w->answers[i] = why_answer_new(&w->parts[i]);
        why_take_partitions(&w->r.ns[i], w->answers[i]);
    }
    why_merge(w->answers, 2);
}

static unsigned rows(const struct world *w, enum why_kind kind)
{
    return w->answers[0]->kept[kind] + w->answers[1]->kept[kind];
}

static int64_t field(const struct why_row *row, const char *name)
{
    for (unsigned i = 0; i < row->fields_n; i++) {
        if (strcmp(row->fields[i].name, name) == 0) {
            return row->fields[i].number;
        }
    }
    return -1;
}

/* The follower's row, of which there is one. */
static const struct why_row *follower(const struct world *w, int32_t id)
{
    const struct why_row *found = NULL;
    for (unsigned i = 0; i < 2; i++) {
        list_for_each (at, &w->answers[i]->rows[WHY_REPLICA]) {
            const struct why_row *row = LIST_ENTRY(at, struct why_row, node);
            if (field(row, "follower") == id) {
                assert_null(found);
                found = row;
            }
        }
    }
    assert_non_null(found);
    return found;
}

/* ---- tests ---- */

/* Its partitions stood idle; then its broker was gone. */
static void gone_since_it_is_gone(void **state)
{
    UNUSED(state);
    static const int32_t without[] = {RIG_NODE, 3};
    struct world w;
    open_world(&w);
    append(&w, 1);
    append(&w, 2);
    all_stand(&w);
    rig_run(&w.r, IDLE_MS);
    shard_stats_follower(w.r.ns[1].stats, 2, rig_now(&w.r)); /* its session still fetches */
    shard_stats_follower(w.r.ns[0].stats, 2, rig_now(&w.r) - 5000);
    ask(&w);
    assert_int_equal(rows(&w, WHY_REPLICA), 0);
    rig_run(&w.r, 1000);
    rig_broker(&w.r, 2, 20, true);
    isr_becomes(&w, without, 2);
    rig_run(&w.r, 4000);
    ask(&w);
    const struct why_row *row = follower(&w, 2);
    assert_in_range(row->ms, 4000, 4100);
    assert_in_range(field(row, "last_fetch_ms"), 5000, 5200);
    assert_int_equal(field(row, "out_of_sync"), 2); /* on two shards, in one row */
    assert_non_null(strstr(row->text, "its last fetch came 5.0 s ago; the controller counts"));
    append(&w, 1); /* the partition is written again: it was gone before */
    rig_run(&w.r, 2000);
    ask(&w);
    assert_in_range(follower(&w, 2)->ms, 6000, 6200);
    rig_broker(&w.r, 2, 21, false); /* it is back, and not in the set yet */
    rig_publish(&w.r);
    rig_run(&w.r, 1000);
    ask(&w);
    assert_in_range(follower(&w, 2)->ms, 7000, 7300);
    isr_becomes(&w, ALL, 3);
    stands(&w, 1, 3);
    assert_true(rig_follower(&w.r, 1, 0, 2, 21, -1));
    ask(&w);
    assert_int_equal(rows(&w, WHY_REPLICA), 0);
    shut_world(&w);
}

/* It does not fetch the first record in a long time: it lacks nothing before that. */
static void late_since_the_append(void **state)
{
    UNUSED(state);
    struct world w;
    open_world(&w);
    all_stand(&w);
    rig_run(&w.r, IDLE_MS);
    shard_stats_follower(w.r.ns[0].stats, 2, rig_now(&w.r));
    append(&w, 1);
    stands(&w, 1, 3);
    ask(&w);
    assert_int_equal(rows(&w, WHY_REPLICA), 0);
    rig_run(&w.r, 3000);
    ask(&w);
    assert_int_equal(rows(&w, WHY_REPLICA), 1);
    const struct why_row *row = follower(&w, 2);
    assert_in_range(row->ms, 3000, 3100);
    assert_in_range(field(row, "last_fetch_ms"), 3000, 3100);
    assert_int_equal(field(row, "late"), 1);
    assert_int_equal(field(row, "records_behind"), 1);
    shut_world(&w);
}

static void a_move_since_it_was_seen(void **state)
{
    UNUSED(state);
    static const int32_t more[] = {RIG_NODE, 2, 3, 4};
    static const int32_t none[] = {0};
    int32_t adding = 4;
    struct partition_change_record c;
    struct world w;
    open_world(&w);
    rig_run(&w.r, IDLE_MS);
    proto_msg_init(&partition_change_record_msg, &c);
    c.replicas = (int32_t *)(uintptr_t)more;
    c.replicas_n = 4;
    c.adding_replicas = &adding;
    c.adding_replicas_n = 1;
    change(&w, 1, &c);
    rig_publish(&w.r);
    rig_run(&w.r, 2000);
    rig_broker(&w.r, 3, 31, false); /* other news of the partition's changes nothing */
    rig_publish(&w.r);
    rig_run(&w.r, 1000);
    ask(&w);
    assert_int_equal(rows(&w, WHY_MOVE), 1);
    unsigned home = node_home_shard(&w.r.node, rig_topic_id(1), 0);
    const struct list *l = &w.answers[home]->rows[WHY_MOVE];
    assert_in_range(LIST_ENTRY(l->next, struct why_row, node)->ms, 3000, 3200);
    assert_in_range(follower(&w, 4)->ms, 3000, 3200); /* it is missing for as long */
    proto_msg_init(&partition_change_record_msg, &c);
    c.adding_replicas = (int32_t *)(uintptr_t)none;
    c.adding_replicas_n = 0;
    change(&w, 1, &c);
    rig_publish(&w.r);
    ask(&w);
    assert_int_equal(rows(&w, WHY_MOVE), 0);
    shut_world(&w);
}

/* Two shards follow the same leader, one of them another as well; each has its own connections. */
static void a_leader_has_one_row(void **state)
{
    UNUSED(state);
    static const struct why_leader one = {
        .id = 2, .host = "b", .port = 9092, .partitions = 3, .tries = 4, .ms = 5000};
    static const struct why_leader same = {
        .id = 2, .host = "b", .port = 9092, .partitions = 2, .tries = 1, .ms = 7000};
    static const struct why_leader other = {.id = 3, .host = "", .partitions = 1, .ms = 6000};
    struct world w;
    open_world(&w);
    w.gather.user = &w.ask;
    for (unsigned i = 0; i < 2; i++) {
        w.parts[i].gather = &w.gather;
        w.answers[i] = why_answer_new(&w.parts[i]);
    }
    why_add_leader(w.answers[0], &one);
    why_add_leader(w.answers[1], &other);
    why_add_leader(w.answers[1], &same);
    why_merge(w.answers, 2);
    assert_int_equal(rows(&w, WHY_FETCHER), 2);
    const struct list *first = w.answers[0]->rows[WHY_FETCHER].next;
    const struct why_row *row = LIST_ENTRY(first, struct why_row, node);
    assert_int_equal(row->ms, 7000);
    assert_string_equal(row->text, "leader 2 at b:9092 does not answer; partitions followed there: "
                                   "5, tries that failed: 5");
    row = LIST_ENTRY(first->next, struct why_row, node);
    assert_string_equal(row->text, "leader 3 has no address in the metadata; partitions followed "
                                   "there: 1");
    shut_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gone_since_it_is_gone),
        cmocka_unit_test(late_since_the_append),
        cmocka_unit_test(a_move_since_it_was_seen),
        cmocka_unit_test(a_leader_has_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
