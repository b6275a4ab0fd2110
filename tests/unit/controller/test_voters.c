/* A controller of three and what the other two, played by the test, say to it. */
#include "base/prng.h"
#include "proto/record_batch.h"
#include "voters_rig.h"

static int16_t reassignments(struct rig *r)
{
    struct list_partition_reassignments_request q;
    struct list_partition_reassignments_response resp;
    proto_msg_init(&list_partition_reassignments_request_msg, &q);
    rig_ask(r, API_LIST_PARTITION_REASSIGNMENTS, 0, &q, &resp);
    return resp.error_code;
}

static int16_t describe(struct rig *r)
{
    struct describe_quorum_request q;
    struct describe_quorum_response resp;
    proto_msg_init(&describe_quorum_request_msg, &q);
    rig_ask(r, API_DESCRIBE_QUORUM, 2, &q, &resp);
    return resp.error_code;
}

/* The quorum hears of a newer leader in one call, its owner at the end of the turn: what comes
 * between the two, and would only be read from the image, is not answered any more. */
static void deposed(void *arg)
{
    struct rig r;
    rig_start_three(&r, arg);
    rig_elect(&r);
    assert_int_equal(KE_NONE, reassignments(&r));
    assert_int_equal(KE_NONE, describe(&r));
    uint64_t term = rig_term(&r) + 1;
    rig_voter_says(
        &r, 3,
        &(struct quorum_message){.type = QUORUM_APPEND, .term = term, .index = 1, .index_term = 1});
    assert_int_equal(term, rig_term(&r));
    assert_true(rig_active(&r)); /* nobody has told it */
    assert_int_equal(KE_NOT_CONTROLLER, reassignments(&r));
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, describe(&r));
    rig_turn(&r);
    assert_false(rig_active(&r));
    rig_stop(&r);
}

static void nothing_is_read_once_another_one_leads(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, deposed, &w));
    rig_world_free(&w);
}

/* Of a pre-vote of its own that it has long given up: nobody is in the term that it names. */
static void late_answers(void *arg)
{
    struct rig r;
    rig_start_three(&r, arg);
    uint64_t term = rig_term(&r);
    for (int granted = 0; granted <= 1; granted++) {
        rig_voter_says(&r, 2,
                       &(struct quorum_message){.type = QUORUM_VOTE_RESULT,
                                                .term = term + 1,
                                                .sender_term = term,
                                                .request_term = term + 1,
                                                .pre_vote = true,
                                                .granted = granted});
        assert_int_equal(term, rig_term(&r));
    }
    rig_stop(&r);
}

static void a_late_answer_to_a_pre_vote_moves_no_term(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, late_answers, &w));
    rig_world_free(&w);
}

/* It has voted for itself when it hears that another one leads in the term: its vote is kept beside
 * the leader, and the file is written once and not with every heartbeat. */
static void lost_election(void *arg)
{
    struct rig r;
    struct errmsg em = {{0}};
    struct quorum_state s;
    rig_start_three(&r, arg);
    const char *dir = metadata_log_path(r.c->mlog);
    char file[512];
    snprintf(file, sizeof file, "%s/quorum-state", dir);
    uint64_t term = rig_term(&r);
    for (int i = 0; i < 5000 && rig_term(&r) == term; i++) {
        rig_voter_says(&r, 2,
                       &(struct quorum_message){.type = QUORUM_VOTE_RESULT,
                                                .term = term,
                                                .sender_term = term,
                                                .request_term = term,
                                                .pre_vote = true,
                                                .granted = true});
        rig_turn(&r);
    }
    term = rig_term(&r);
    struct quorum_message heartbeat = {
        .type = QUORUM_APPEND, .term = term, .index = 1, .index_term = 1};
    rig_voter_says(&r, 3, &heartbeat);
    assert_int_equal(0, quorum_state_read(r.shard->io, dir, &s, &em));
    assert_int_equal(term, s.epoch);
    assert_int_equal(-1, s.leader_id); /* a hint: it waits for a moment that is good */
    assert_int_equal(1, s.voted_id);
    quorum_note_leader(r.c->quorum);
    assert_int_equal(0, quorum_state_read(r.shard->io, dir, &s, &em));
    assert_int_equal(term, s.epoch);
    assert_int_equal(3, s.leader_id);
    assert_int_equal(1, s.voted_id);
    assert_int_equal(0, io_unlink(r.shard->io, file));
    for (int i = 0; i < 3; i++) {
        rig_voter_says(&r, 3, &heartbeat);
        quorum_note_leader(r.c->quorum);
        rig_turn(&r);
    }
    assert_int_equal(0, quorum_state_read(r.shard->io, dir, &s, &em));
    assert_int_equal(-1, s.epoch); /* there is none */
    rig_stop(&r);
}

static void heartbeats_of_a_leader_that_it_did_not_vote_for_are_not_written_down(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, lost_election, &w));
    rig_world_free(&w);
}

/* ---- messages that nobody honest sends ---- */

enum { LAST_OFFSET_DELTA_AT = 23 }; /* in a batch */

static uint64_t lies_seed; /* of the run; the test runs one at a time */

struct liar {
    struct rig *r;
    struct prng rng;
    struct quorum_entry entries[4];
    struct buf batches[4];
};

/* A number that might mean something here, or an extreme. */
static uint64_t some_number(struct liar *l, uint64_t near)
{
    static const uint64_t far[] = {
        0, 1, 2, 3, INT32_MAX - 1, INT32_MAX, UINT64_C(1) << 31, UINT64_C(1) << 60};
    switch (prng_below(&l->rng, 8)) {
    case 0:
        return far[prng_below(&l->rng, ARRAY_LEN(far))];
    case 1:
        return prng_below(&l->rng, 20);
    case 2:
        return near + 1 + prng_below(&l->rng, 3);
    case 3:
    case 4:
        return near > 3 ? near - 1 - prng_below(&l->rng, 3) : near;
    default:
        return near;
    }
}

static void put_batch(struct liar *l, struct buf *out, int64_t offset, int32_t epoch)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct no_op_record none;
    struct buf record = {0};
    proto_msg_init(&no_op_record_msg, &none);
    assert_int_equal(0, proto_encode_metadata_record(&no_op_record_msg, 0, &none, &record, NULL));
    opt.base_offset = offset;
    opt.leader_epoch = epoch;
    batch_builder_init(&b, &opt);
    for (uint64_t n = 1 + prng_below(&l->rng, 3); n > 0; n--) {
        batch_builder_add(&b, 1000, BYTES_NULL, buf_bytes(&record), NULL, 0);
    }
    buf_clear(out);
    assert_int_equal(0, batch_builder_finish(&b, out));
    batch_builder_free(&b);
    buf_free(&record);
    if (prng_below(&l->rng, 20) == 0) {
        out->data[prng_below(&l->rng, out->len)] ^= 1;
    }
}

/* Where entries that are said to follow entry prev would have to begin. */
static int64_t offset_behind(struct liar *l, uint64_t prev)
{
    struct metadata_log *log = l->r->c->mlog;
    int64_t offset;
    if (prev >= metadata_log_last_index(log)) {
        return metadata_log_end_offset(log);
    }
    return prev <= 1 || metadata_log_end_of(log, prev, &offset) ? 0 : offset;
}

static void some_entries(struct liar *l, struct quorum_message *m)
{
    int64_t offset =
        prng_below(&l->rng, 10) ? offset_behind(l, m->index) : (int64_t)prng_below(&l->rng, 50);
    uint64_t term = m->term;
    m->entries = l->entries;
    m->entries_n = (uint32_t)prng_below(&l->rng, ARRAY_LEN(l->entries) + 1);
    for (uint32_t i = 0; i < m->entries_n; i++) {
        term = prng_below(&l->rng, 3) ? term : some_number(l, term);
        uint64_t said = prng_below(&l->rng, 20) ? term : some_number(l, term);
        put_batch(l, &l->batches[i], offset, (int32_t)(said > INT32_MAX ? INT32_MAX : said));
        offset += (int64_t)load_be32(l->batches[i].data + LAST_OFFSET_DELTA_AT) + 1;
        uint8_t type = (uint8_t)(prng_below(&l->rng, 20) ? 1 : prng_below(&l->rng, 5));
        l->entries[i] = (struct quorum_entry){term, type, buf_bytes(&l->batches[i])};
    }
}

static struct quorum_message a_lie(struct liar *l)
{
    uint64_t term = rig_term(l->r);
    uint64_t last = metadata_log_last_index(l->r->c->mlog);
    uint64_t end = (uint64_t)metadata_log_end_offset(l->r->c->mlog);
    struct quorum_message m = {
        .type = (enum quorum_message_type)(1 + prng_below(&l->rng, QUORUM_TIMEOUT_NOW)),
        .version = (uint8_t)(1 + prng_below(&l->rng, 3)),
        .term = some_number(l, term),
        .sender_term = some_number(l, term),
        .request_term = some_number(l, term),
        .index = some_number(l, last),
        .commit = some_number(l, last),
        .rejected = prng_below(&l->rng, 2) ? 0 : some_number(l, last),
        .disrupt_leader = prng_below(&l->rng, 2),
        .pre_vote = prng_below(&l->rng, 2),
        .granted = prng_below(&l->rng, 2),
        .features = (uint16_t)some_number(l, 0),
        .capacity = (uint16_t)some_number(l, 0),
        .snapshot = {1 + (int64_t)some_number(l, end), (int32_t)(some_number(l, term) & INT32_MAX)},
    };
    uint64_t known = m.index >= metadata_log_first_index(l->r->c->mlog) && m.index <= last
                         ? (uint64_t)metadata_log_epoch_at(l->r->c->mlog, m.index)
                         : 1;
    m.index_term = prng_below(&l->rng, 3) ? known : some_number(l, term);
    if (m.type == QUORUM_APPEND) {
        some_entries(l, &m);
    }
    return m;
}

/* A piece of a snapshot, which this one may have or not. */
static void ask_for_a_piece(struct liar *l, int32_t from)
{
    struct peer_names names = rig_names(from, 1);
    uint64_t end = (uint64_t)metadata_log_end_offset(l->r->c->mlog);
    struct peer_piece_wanted w = {
        .id = {(int64_t)some_number(l, end), (int32_t)(some_number(l, 1) & INT32_MAX)},
        .position = (int64_t)some_number(l, 100),
        .max_bytes = (int32_t)(some_number(l, 1000) & INT32_MAX),
    };
    struct buf frame = {0};
    char why[600];
    peer_put_header(&frame, PEER_API_SNAPSHOT, 77);
    peer_put_wanted(&frame, &names, &w);
    assert_int_not_equal(0, rig_voter_frame(l->r, &frame, why, sizeof why));
    buf_free(&frame);
}

/* Voters 2 and 3 lie. Whatever they say, this one does not end, nor stop: it serves again when they
 * tell the truth. (That they can have anything committed, or nothing, is theirs as voters.) */
static void hear_lies(void *arg)
{
    struct rig r;
    struct liar l = {.r = &r};
    char why[600];
    prng_seed(&l.rng, lies_seed);
    rig_start_three(&r, arg);
    for (int i = 0; i < 3000; i++) {
        if (prng_below(&l.rng, 300) == 0) {
            rig_elect(&r);
        }
        int32_t from = 2 + (int32_t)prng_below(&l.rng, 2);
        if (prng_below(&l.rng, 20) == 0) {
            ask_for_a_piece(&l, from);
        }
        struct quorum_message m = a_lie(&l);
        rig_voter_tries(&r, from, &m, why, sizeof why);
        if (prng_below(&l.rng, 4) == 0) {
            rig_turn(&r);
        }
        if (r.fatal) {
            fail_msg("message %d: %s", i, r.why);
        }
    }
    rig_elect(&r);
    for (size_t i = 0; i < ARRAY_LEN(l.batches); i++) {
        buf_free(&l.batches[i]);
    }
    rig_stop(&r);
}

static void lies_of_voters_do_not_end_it(void **state)
{
    UNUSED(state);
    const char *from = getenv("SEED");
    const char *more = getenv("SEEDS");
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    uint64_t n = more ? strtoull(more, NULL, 10) : 12;
    for (lies_seed = first; lies_seed < first + n; lies_seed++) {
        struct rig_world w;
        print_message("seed %llu\n", (unsigned long long)lies_seed);
        rig_world_init(&w, lies_seed);
        assert_true(sim_proc_run(w.proc, hear_lies, &w));
        rig_world_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_read_once_another_one_leads),
        cmocka_unit_test(a_late_answer_to_a_pre_vote_moves_no_term),
        cmocka_unit_test(heartbeats_of_a_leader_that_it_did_not_vote_for_are_not_written_down),
        cmocka_unit_test(lies_of_voters_do_not_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
