/* The main invariant: what a coordinator holds is what a coordinator gets that loads the committed
 * log, at any moment, whatever happened: commits of members and of nobody, transactions and their
 * markers, deletions of offsets, groups and topics, expiry, members that join, leave and time out,
 * with writes under way and writes that are lost. Seeded: a failure names its seed, and
 * MODEL_SEED=n runs that one alone.
 *
 * Beside it: other, simpler code reads the same offsets from that log; a write that is lost changes
 * nothing; an acknowledged commit is what is read; an acknowledged deletion leaves nothing; memory
 * comes back to where it began. */
#include "base/prng.h"
#include "offsets_rig.h"

enum {
    SEEDS = 60,
    STEPS = 300,
    ASKS_MAX = 64,
    GROUPS = 5,
    TOPICS = 3,
    PARTITIONS = 4,
    PRODUCERS = 3,
    CELLS = GROUPS * TOPICS * PARTITIONS
};

enum model_kind { MODEL_COMMIT, MODEL_DELETE, MODEL_DELETE_GROUP, MODEL_JOIN, MODEL_OTHER };

struct model_ask {
    struct rig_ask *a;
    enum model_kind kind;
    int group;
};

struct member {
    char id[128];
    int32_t generation;
    bool leader;
};

struct model {
    struct rig r;
    struct prng rng;
    struct model_ask asks[ASKS_MAX];
    int asks_n;
    struct member members[GROUPS]; /* the latest one of each group */
};

static const char *const groups[GROUPS] = {"a", "b", "c", "d", "e"};
static const char *const topics[TOPICS] = {"t", "u", "v"};

static uint64_t below(struct model *m, uint64_t n)
{
    return prng_below(&m->rng, n);
}

static void ask_sent(struct model *m, struct rig_ask *a, enum model_kind kind, int group)
{
    assert_true(m->asks_n < ASKS_MAX);
    m->asks[m->asks_n++] = (struct model_ask){a, kind, group};
}

/* ---- requests ---- */

static void commit(struct model *m)
{
    struct rig_offset o[4];
    int g = (int)below(m, GROUPS), n = 1 + (int)below(m, 4);
    static const char *const notes[] = {"", "a note", NULL, "another one"};
    for (int i = 0; i < n; i++) {
        o[i] = (struct rig_offset){topics[below(m, TOPICS)], (int32_t)below(m, PARTITIONS),
                                   (int64_t)below(m, 1000000), notes[below(m, 4)]};
    }
    bool expiry = below(m, 8) == 0;
    struct rig_ask *a = rig_commit_ask(groups[g], expiry ? 3 : 9, o, n);
    if (expiry) {
        a->q.commit.retention_time_ms = (int64_t)below(m, 4) * RIG_DAY_MS;
    }
    for (int i = 0; i < n; i++) {
        if (below(m, 4) == 0) {
            a->q.commit.topics[i].topic_id = below(m, 2) ? UUID_ZERO : rig_topic_id("another");
        }
        a->q.commit.topics[i].partitions[0].committed_leader_epoch =
            expiry ? -1 : (int32_t)below(m, 5) - 1;
    }
    if (m->members[g].id[0] && below(m, 2)) {
        a->q.commit.member_id = bytes_str(m->members[g].id);
        a->q.commit.generation_id_or_member_epoch = m->members[g].generation;
    }
    ask_sent(m, a, MODEL_COMMIT, g);
    rig_step(&m->r, GROUP_OFFSET_COMMIT, a);
}

static void delete_offset(struct model *m)
{
    int g = (int)below(m, GROUPS);
    struct rig_ask *a =
        rig_delete_ask(groups[g], topics[below(m, TOPICS)], (int32_t)below(m, PARTITIONS));
    ask_sent(m, a, MODEL_DELETE, g);
    rig_step(&m->r, GROUP_OFFSET_DELETE, a);
}

static void delete_group(struct model *m)
{
    int g = (int)below(m, GROUPS);
    struct rig_ask *a = rig_group_delete_ask(groups[g]);
    ask_sent(m, a, MODEL_DELETE_GROUP, g);
    rig_step(&m->r, GROUP_DELETE, a);
}

static void join(struct model *m)
{
    int g = (int)below(m, GROUPS);
    struct rig_ask *a = rig_ask_new(3);
    proto_msg_init(&join_group_request_msg, &a->q.join);
    proto_msg_init(&join_group_response_msg, &a->out.join);
    a->ask.fresh.b[0] = (uint8_t)below(m, 256);
    a->ask.fresh.b[1] = (uint8_t)below(m, 256);
    a->q.join.group_id = bytes_str(groups[g]);
    bool again = m->members[g].id[0] && below(m, 2);
    a->q.join.member_id = bytes_str(again ? m->members[g].id : "");
    a->q.join.session_timeout_ms = 10000;
    a->q.join.rebalance_timeout_ms = 20000;
    a->q.join.protocol_type = bytes_str("consumer");
    a->q.join.protocols =
        proto_array(&a->arena, &join_group_request_join_group_request_protocol_desc, 1);
    a->q.join.protocols_n = 1;
    a->q.join.protocols[0].name = bytes_str("range");
    a->q.join.protocols[0].metadata = bytes_of("\0\0\0\0\0\1\0\1t\xff\xff\xff\xff", 13);
    ask_sent(m, a, MODEL_JOIN, g);
    rig_step(&m->r, GROUP_JOIN, a);
}

static void sync(struct model *m)
{
    int g = (int)below(m, GROUPS);
    struct rig_ask *a = rig_ask_new(3);
    proto_msg_init(&sync_group_request_msg, &a->q.sync);
    proto_msg_init(&sync_group_response_msg, &a->out.sync);
    a->q.sync.group_id = bytes_str(groups[g]);
    a->q.sync.member_id = bytes_str(m->members[g].id);
    a->q.sync.generation_id = m->members[g].generation;
    ask_sent(m, a, MODEL_OTHER, g);
    rig_step(&m->r, GROUP_SYNC, a);
}

static void leave(struct model *m)
{
    int g = (int)below(m, GROUPS);
    struct rig_ask *a = rig_ask_new(1);
    proto_msg_init(&leave_group_request_msg, &a->q.leave);
    proto_msg_init(&leave_group_response_msg, &a->out.leave);
    a->q.leave.group_id = bytes_str(groups[g]);
    a->q.leave.member_id = bytes_str(m->members[g].id);
    ask_sent(m, a, MODEL_OTHER, g);
    rig_step(&m->r, GROUP_LEAVE, a);
}

/* A transaction's records come by replay, as its coordinator's writes will. */
static void transaction(struct model *m)
{
    struct rig *r = &m->r;
    int64_t producer_id = (int64_t)below(m, PRODUCERS);
    struct group_effects fx;
    struct offset_commit_value v = {.offset = (int64_t)below(m, 1000),
                                    .leader_epoch = -1,
                                    .metadata = bytes_str(below(m, 2) ? "txn" : ""),
                                    .commit_timestamp = r->wall_ms,
                                    .expire_timestamp = -1};
    if (below(m, 3) == 0) {
        bool done = below(m, 2);
        rig_log_put(
            r, (struct rig_record){.producer_id = producer_id, .marker = true, .commit = done});
        group_coordinator_replay_marker(r->c, producer_id, done);
        return;
    }
    group_effects_init(&fx);
    struct group_record rec = group_record_offset(&fx, bytes_str(groups[below(m, GROUPS)]),
                                                  bytes_str(topics[below(m, TOPICS)]),
                                                  (int32_t)below(m, PARTITIONS), &v, 4);
    struct group_replay rp = {.producer_id = producer_id,
                              .transactional = true,
                              .timestamp = r->wall_ms,
                              .offset = r->log_n};
    rig_log_put(r, (struct rig_record){rig_copy(rec.key), rig_copy(rec.value), r->wall_ms,
                                       producer_id, false, false});
    assert_int_equal(group_coordinator_replay(r->c, &rp, rec.key, rec.value), 0);
    group_effects_free(&fx);
}

/* ---- answers ---- */

static void joined(struct model *m, const struct model_ask *x)
{
    const struct join_group_response *out = &x->a->out.join;
    struct member *me = &m->members[x->group];
    if (out->error_code != 0) {
        return;
    }
    snprintf(me->id, sizeof me->id, "%.*s", BYTES_FMT(out->member_id));
    me->generation = out->generation_id;
    me->leader = bytes_eq(out->leader, out->member_id);
}

static void committed(struct model *m, const struct model_ask *x)
{
    const struct offset_commit_request *q = &x->a->q.commit;
    for (int32_t i = 0; i < q->topics_n; i++) {
        bool last = rig_commit_code(x->a, i) == 0;
        for (int32_t k = i + 1; last && k < q->topics_n; k++) {
            last = !(bytes_eq(q->topics[i].name, q->topics[k].name) &&
                     q->topics[i].partitions[0].partition_index ==
                         q->topics[k].partitions[0].partition_index);
        }
        if (last) {
            assert_int_equal(rig_offset(&m->r, groups[x->group],
                                        (const char *)q->topics[i].name.data,
                                        q->topics[i].partitions[0].partition_index),
                             q->topics[i].partitions[0].committed_offset);
        }
    }
}

static void deleted(struct model *m, const struct model_ask *x)
{
    const struct offset_delete_response *out = &x->a->out.del;
    if (out->error_code == 0 && out->topics[0].partitions[0].error_code == 0) {
        assert_int_equal(rig_offset(&m->r, groups[x->group],
                                    (const char *)x->a->q.del.topics[0].name.data,
                                    x->a->q.del.topics[0].partitions[0].partition_index),
                         -1);
    }
}

/* What has just been answered; the checks hold at this moment only. */
static void answers(struct model *m, bool check)
{
    int kept = 0;
    for (int i = 0; i < m->asks_n; i++) {
        struct model_ask *x = &m->asks[i];
        if (!x->a->answered) {
            m->asks[kept++] = *x;
            continue;
        }
        if (check && x->kind == MODEL_COMMIT) {
            committed(m, x);
        } else if (check && x->kind == MODEL_DELETE) {
            deleted(m, x);
        } else if (x->kind == MODEL_JOIN) {
            joined(m, x);
        }
        rig_ask_free(x->a);
    }
    m->asks_n = kept;
}

/* ---- the log, read by other code ---- */

struct cell {
    bool there;
    int64_t offset, at;
};
struct shadow {
    struct cell committed[CELLS];
    struct cell open[PRODUCERS][CELLS];
};

static int index_of(struct bytes b, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        if (bytes_eq_str(b, names[i])) {
            return i;
        }
    }
    fail_msg("no such name: %.*s", BYTES_FMT(b));
    return 0;
}

static void shadow_record(struct shadow *s, const struct rig_record *rec, int64_t at)
{
    struct arena a = {0};
    const struct proto_message *msg;
    void *key_msg, *value;
    int16_t version;
    assert_int_equal(
        proto_decode_coordinator_key(PROTO_STORE_CONSUMER_OFFSETS, rec->key, &a, &msg, &key_msg),
        0);
    if (msg == &offset_commit_key_msg) {
        const struct offset_commit_key *k = key_msg;
        int at_group = index_of(k->group, groups, GROUPS);
        int at_topic = index_of(k->topic, topics, TOPICS);
        int i = (at_group * TOPICS + at_topic) * PARTITIONS + k->partition;
        if (rec->value.data == NULL) {
            s->committed[i].there = false;
            for (int p = 0; p < PRODUCERS; p++) {
                s->open[p][i].there = false;
            }
        } else {
            assert_int_equal(
                proto_decode_prefixed(&offset_commit_value_msg, rec->value, &a, &version, &value),
                0);
            struct cell c = {true, ((struct offset_commit_value *)value)->offset, at};
            if (rec->producer_id < 0) {
                s->committed[i] = c;
            } else {
                s->open[rec->producer_id][i] = c;
            }
        }
    }
    arena_free(&a);
}

static void shadow_end(struct shadow *s, int64_t producer_id, bool commit)
{
    for (int i = 0; i < CELLS; i++) {
        struct cell *from = &s->open[producer_id][i], *to = &s->committed[i];
        if (commit && from->there && (!to->there || from->at > to->at)) {
            *to = *from;
        }
        from->there = false;
    }
}

static void check_shadow(struct model *m)
{
    struct shadow *s = MEM_NEW(struct shadow);
    for (uint32_t i = 0; i < m->r.log_n; i++) {
        const struct rig_record *rec = &m->r.log[i];
        if (rec->marker) {
            shadow_end(s, rec->producer_id, rec->commit);
        } else {
            shadow_record(s, rec, i);
        }
    }
    for (int i = 0; i < CELLS; i++) {
        const struct cell *c = &s->committed[i];
        int64_t got = rig_offset(&m->r, groups[i / (TOPICS * PARTITIONS)],
                                 topics[i / PARTITIONS % TOPICS], i % PARTITIONS);
        assert_int_equal(got, c->there ? c->offset : -1);
    }
    mem_free(s);
}

/* ---- the run ---- */

static void write_lost(struct model *m)
{
    static const int16_t codes[] = {KE_NOT_LEADER_OR_FOLLOWER, KE_NOT_ENOUGH_REPLICAS,
                                    KE_REQUEST_TIMED_OUT, KE_MESSAGE_TOO_LARGE};
    struct buf before = {0}, after = {0};
    rig_dump(m->r.c, &before);
    rig_written(&m->r, codes[below(m, 4)]);
    rig_dump(m->r.c, &after);
    assert_string_equal(buf_cstr(&before), buf_cstr(&after));
    buf_free(&before);
    buf_free(&after);
}

static void time_passes(struct model *m)
{
    int64_t ms = (int64_t)below(m, below(m, 10) == 0 ? (uint64_t)3 * RIG_DAY_MS : 8000);
    m->r.wall_ms += ms;
    m->r.now_ms += ms < 30000 ? ms : 30000;
    while (group_coordinator_deadline(m->r.c) <= m->r.now_ms) {
        rig_step(&m->r, GROUP_TICK, NULL);
    }
}

static void step(struct model *m)
{
    uint64_t what = below(m, 100);
    if (m->asks_n > ASKS_MAX / 2) {
        what = what % 2 ? 99 : 45; /* let some be answered */
    }
    if (what < 30) {
        commit(m);
    } else if (what < 42 && rig_out(&m->r)) {
        rig_written(&m->r, 0);
        answers(m, true);
    } else if (what < 48) {
        time_passes(m);
    } else if (what < 52) {
        delete_offset(m);
    } else if (what < 55) {
        delete_group(m);
    } else if (what < 62) {
        join(m);
    } else if (what < 69) {
        sync(m);
    } else if (what < 71) {
        leave(m);
    } else if (what < 77) {
        transaction(m);
    } else if (what < 79) {
        rig_step(&m->r, GROUP_EXPIRE, NULL);
    } else if (what < 81) {
        const char *t = topics[below(m, TOPICS)];
        rig_topic_gone(&m->r, t, below(m, 3) ? rig_topic_id(t) : rig_topic_id("another"));
    } else if (what < 84 && rig_out(&m->r)) {
        write_lost(m);
    } else if (rig_out(&m->r)) {
        rig_written(&m->r, 0);
        answers(m, true);
    }
    answers(m, false);
}

/* Seeds that saw something, for the test to be sure that it tests. */
struct seen {
    uint64_t offsets, members, logs;
};

static void run(uint64_t seed, struct seen *seen)
{
    struct model *m = MEM_NEW(struct model);
    prng_seed(&m->rng, seed);
    rig_init(&m->r);
    m->r.config.initial_rebalance_delay_ms = 0;
    uint64_t bytes = m->r.c->bytes;
    rig_loaded(&m->r);
    for (int i = 0; i < STEPS; i++) {
        step(m);
        if (i % 7 == 0) {
            rig_check_reload(&m->r);
            check_shadow(m);
        }
        seen->members += group_coordinator_counts(m->r.c).members;
    }
    while (rig_out(&m->r)) {
        rig_written(&m->r, 0);
        answers(m, true);
    }
    rig_check_reload(&m->r);
    check_shadow(m);
    seen->offsets += m->r.c->offsets;
    seen->logs += m->r.log_n;
    for (int g = 0; g < GROUPS; g++) { /* members time out, everything is old */
        m->members[g].id[0] = 0;
    }
    for (int i = 0; i < 20; i++) {
        m->r.now_ms += 100000;
        m->r.wall_ms += INT64_C(10) * RIG_DAY_MS;
        while (group_coordinator_deadline(m->r.c) <= m->r.now_ms) {
            rig_step(&m->r, GROUP_TICK, NULL);
        }
        for (int64_t p = 0; p < PRODUCERS; p++) {
            rig_log_put(&m->r, (struct rig_record){.producer_id = p, .marker = true});
            group_coordinator_replay_marker(m->r.c, p, false);
        }
        rig_step(&m->r, GROUP_EXPIRE, NULL);
        rig_settle(&m->r);
        answers(m, false);
    }
    rig_check_reload(&m->r);
    assert_int_equal(m->r.c->offsets, 0);
    assert_int_equal(m->r.c->members, 0);
    assert_int_equal(m->r.c->groups.count, 0);
    /* all but the heap of timers, which keeps its room */
    uint64_t heap = m->r.c->heap_cap * sizeof(struct group_timer *) + 32;
    assert_true(m->r.c->bytes <= bytes + heap);
    assert_int_equal(m->asks_n, 0);
    rig_free(&m->r);
    mem_free(m);
}

static void test_memory_and_log_agree(void **state)
{
    const char *one = getenv("MODEL_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    struct seen seen = {0};
    (void)state;
    for (uint64_t seed = first; seed < (one ? first + 1 : first + SEEDS); seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run(seed, &seen);
    }
    if (one == NULL) {
        assert_true(seen.offsets > SEEDS && seen.logs > SEEDS * 100 && seen.members > SEEDS * 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_and_log_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
