/* What voters say to each other: the codec against itself and against bytes that lie, and who is
 * heard and who is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "base/prng.h"
#include "voters_rig.h"

/* ---- the codec ---- */

static struct quorum_message message_of(enum quorum_message_type type)
{
    static const struct quorum_entry entries[] = {{4, 1, {(const uint8_t *)"one", 3}},
                                                  {5, 1, {(const uint8_t *)"second", 6}}};
    struct quorum_message m = {
        .type = type,
        .version = 2,
        .from = 2,
        .to = 1,
        .term = 5,
        .sender_term = 6,
        .request_term = 4,
        .index = 70,
        .index_term = 3,
        .commit = 69,
        .rejected = 12,
        .disrupt_leader = type == QUORUM_VOTE,
        .pre_vote = type == QUORUM_VOTE || type == QUORUM_VOTE_RESULT,
        .granted = type == QUORUM_VOTE_RESULT,
        .features = 0xfffe,
        .capacity = 3,
        .snapshot = {-1, -1},
    };
    if (type == QUORUM_APPEND) {
        m.entries = entries;
        m.entries_n = 2;
    }
    if (type == QUORUM_SNAPSHOT) {
        m.snapshot = (struct metadata_snapshot_id){123, 4};
    }
    return m;
}

static void put(struct buf *out, const struct quorum_message *m)
{
    struct peer_names names = rig_names(m->from, m->to);
    peer_put_message(out, &names, m);
}

static void same(const struct quorum_message *a, const struct quorum_message *b)
{
    struct quorum_message x = *a;
    struct quorum_message y = *b;
    assert_int_equal(x.entries_n, y.entries_n);
    for (uint32_t i = 0; i < x.entries_n; i++) {
        assert_int_equal(x.entries[i].term, y.entries[i].term);
        assert_int_equal(x.entries[i].type, y.entries[i].type);
        assert_true(bytes_eq(x.entries[i].batch, y.entries[i].batch));
    }
    assert_int_equal(x.type, y.type);
    assert_int_equal(x.version, y.version);
    assert_int_equal(x.from, y.from);
    assert_int_equal(x.to, y.to);
    assert_int_equal(x.term, y.term);
    assert_int_equal(x.sender_term, y.sender_term);
    assert_int_equal(x.request_term, y.request_term);
    assert_int_equal(x.index, y.index);
    assert_int_equal(x.index_term, y.index_term);
    assert_int_equal(x.commit, y.commit);
    assert_int_equal(x.rejected, y.rejected);
    assert_int_equal(x.disrupt_leader, y.disrupt_leader);
    assert_int_equal(x.pre_vote, y.pre_vote);
    assert_int_equal(x.granted, y.granted);
    assert_int_equal(x.features, y.features);
    assert_int_equal(x.capacity, y.capacity);
    assert_int_equal(x.snapshot.offset, y.snapshot.offset);
    assert_int_equal(x.snapshot.epoch, y.snapshot.epoch);
}

static void what_is_said_is_understood(void **state)
{
    UNUSED(state);
    for (int type = QUORUM_APPEND; type <= QUORUM_TIMEOUT_NOW; type++) {
        struct quorum_message m = message_of((enum quorum_message_type)type);
        struct quorum_message back;
        struct peer_names names;
        struct arena a = {0};
        struct buf b = {0};
        struct errmsg em = {{0}};
        put(&b, &m);
        assert_int_equal(0, peer_take_message(buf_bytes(&b), &a, &names, &back, &em));
        same(&m, &back);
        assert_true(bytes_eq_str(names.cluster_id, RIG_CLUSTER));
        assert_true(uuid_eq(names.from_directory, rig_directory(2)));
        assert_int_equal(3, names.voters_n);
        assert_int_equal(3, names.voters[2]);
        arena_free(&a);
        buf_free(&b);
    }
}

/* Copies the bytes into memory of exactly their size, so that a read behind them is seen. */
static int take_copy(struct bytes in)
{
    uint8_t *copy = mem_alloc(in.len + 1);
    uint8_t *exact = copy + 1; /* not aligned, and nothing behind */
    struct arena a = {.limit = 1 << 20};
    struct peer_names names;
    struct quorum_message m;
    struct errmsg em = {{0}};
    memcpy(exact, in.data, in.len);
    int err = peer_take_message(bytes_of(exact, in.len), &a, &names, &m, &em);
    assert_true(err == 0 || em.text[0]);
    for (uint32_t i = 0; err == 0 && i < m.entries_n; i++) { /* all of it can be read */
        for (size_t k = 0; k < m.entries[i].batch.len; k++) {
            assert_true(m.entries[i].batch.data[k] <= 255);
        }
    }
    arena_free(&a);
    mem_free(copy);
    return err;
}

static void a_message_that_ends_early_is_none(void **state)
{
    UNUSED(state);
    struct quorum_message m = message_of(QUORUM_APPEND);
    struct buf b = {0};
    put(&b, &m);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_not_equal(0, take_copy(bytes_of(b.data, n)));
    }
    buf_put_u8(&b, 0); /* nor is one with more behind it */
    assert_int_equal(ERR_CORRUPT, take_copy(buf_bytes(&b)));
    buf_free(&b);
}

/* Every byte in turn says something else, also counts and lengths. */
static void lies_do_no_harm(void **state)
{
    UNUSED(state);
    static const uint8_t lies[] = {0, 1, 0x7f, 0x80, 0xff};
    struct quorum_message m = message_of(QUORUM_APPEND);
    struct buf b = {0};
    struct prng rng;
    unsigned refused = 0;
    put(&b, &m);
    for (size_t at = 0; at < b.len; at++) {
        uint8_t was = b.data[at];
        for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
            b.data[at] = lies[i];
            refused += take_copy(buf_bytes(&b)) != 0;
        }
        b.data[at] = was;
    }
    assert_true(refused > 40); /* other ids and terms are none of its business */
    prng_seed(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        struct buf c = {0};
        buf_put(&c, b.data, b.len);
        for (uint64_t n = 1 + prng_below(&rng, 5); n > 0; n--) {
            c.data[prng_below(&rng, c.len)] = (uint8_t)prng_below(&rng, 256);
        }
        take_copy(bytes_of(c.data, prng_below(&rng, 3) ? c.len : prng_below(&rng, c.len)));
        buf_free(&c);
    }
    buf_free(&b);
}

static void what_cannot_be_is_refused(void **state)
{
    UNUSED(state);
    const struct {
        enum quorum_message_type type;
        uint64_t term;
        uint64_t index;
        uint32_t entries;
        int64_t snapshot;
        int err;
    } cases[] = {
        {QUORUM_VOTE, 1, 1, 0, -1, 0},
        {(enum quorum_message_type)7, 1, 1, 0, -1, ERR_INVALID},
        {QUORUM_VOTE, UINT64_MAX, 1, 0, -1, ERR_INVALID},
        {QUORUM_APPEND, 1, (uint64_t)1 << 62, 0, -1, ERR_INVALID},
        {QUORUM_VOTE, 1, 1, 1, -1, ERR_INVALID},
        {QUORUM_SNAPSHOT, 1, 1, 0, 0, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct quorum_message m = message_of(QUORUM_APPEND);
        struct buf b = {0};
        m.type = cases[i].type;
        m.term = cases[i].term;
        m.index = cases[i].index;
        m.entries_n = cases[i].entries;
        m.snapshot.offset = cases[i].snapshot;
        put(&b, &m);
        assert_int_equal(cases[i].err, take_copy(buf_bytes(&b)));
        buf_free(&b);
    }
}

static void pieces_are_checked(void **state)
{
    UNUSED(state);
    const struct {
        struct peer_piece piece;
        int err;
    } cases[] = {
        {{0, 4, {(const uint8_t *)"data", 4}}, 0},
        {{6, 10, {(const uint8_t *)"data", 4}}, 0},
        {{7, 10, {(const uint8_t *)"data", 4}}, ERR_CORRUPT},
        {{-1, 10, {(const uint8_t *)"data", 4}}, ERR_CORRUPT},
        {{0, 0, {(const uint8_t *)"data", 4}}, ERR_CORRUPT},
        {{0, 4, {(const uint8_t *)"", 0}}, ERR_CORRUPT},
        {{INT64_MAX, INT64_MAX, {(const uint8_t *)"data", 4}}, ERR_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a = {0};
        struct buf b = {0};
        struct peer_piece back;
        peer_put_piece(&b, 5, &cases[i].piece);
        assert_int_equal(cases[i].err, peer_take_piece(buf_bytes(&b), &a, &back));
        for (size_t n = 0; n < b.len; n++) {
            assert_int_not_equal(0, peer_take_piece(bytes_of(b.data, n), &a, &back));
        }
        arena_free(&a);
        buf_free(&b);
    }
}

/* ---- who is heard ---- */

static int16_t say(struct rig *r, const struct peer_names *names, char *why, size_t size)
{
    struct quorum_message m = {.type = QUORUM_VOTE,
                               .version = 2,
                               .from = names->from,
                               .to = names->to,
                               .term = 1,
                               .pre_vote = true,
                               .snapshot = {-1, -1}};
    struct buf frame = {0};
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    peer_put_message(&frame, names, &m);
    int16_t code = rig_voter_frame(r, &frame, why, size);
    buf_free(&frame);
    return code;
}

static void refusals(void *arg)
{
    struct rig r;
    char why[600];
    rig_start_three(&r, arg);
    struct peer_names n = rig_names(2, 1);
    assert_int_equal(KE_NONE, say(&r, &n, why, sizeof why));
    assert_string_equal("", why);
    n.cluster_id = bytes_str("another");
    assert_int_equal(KE_INCONSISTENT_CLUSTER_ID, say(&r, &n, why, sizeof why));
    assert_non_null(strstr(why, "cluster another"));
    n = rig_names(2, 3);
    assert_int_equal(KE_INCONSISTENT_VOTER_SET, say(&r, &n, why, sizeof why));
    assert_non_null(strstr(why, "this is node 1"));
    n = rig_names(1, 1);
    assert_int_equal(KE_INCONSISTENT_VOTER_SET, say(&r, &n, why, sizeof why));
    assert_non_null(strstr(why, "two controllers have node.id=1"));
    n = rig_names(4, 1);
    assert_int_equal(KE_INCONSISTENT_VOTER_SET, say(&r, &n, why, sizeof why));
    static const int32_t others[][3] = {{1, 2, 4}, {1, 2, 2}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        n = rig_names(2, 1);
        n.voters = others[i];
        assert_int_equal(KE_INCONSISTENT_VOTER_SET, say(&r, &n, why, sizeof why));
        assert_non_null(strstr(why, "controller.quorum.voters"));
    }
    n = rig_names(3, 1);
    n.from_directory = UUID_ZERO;
    assert_int_equal(KE_INVALID_VOTER_KEY, say(&r, &n, why, sizeof why));
    struct buf frame = {0};
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    frame.data[3] = 2; /* another version: whatever follows is not read */
    assert_int_equal(KE_UNSUPPORTED_VERSION, rig_voter_frame(&r, &frame, why, sizeof why));
    assert_non_null(strstr(why, "the same release"));
    buf_clear(&frame);
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    buf_put_str(&frame, "not a message");
    assert_int_equal(KE_INVALID_REQUEST, rig_voter_frame(&r, &frame, why, sizeof why));
    buf_free(&frame);
    rig_stop(&r);
}

static void strangers_are_refused_with_a_reason(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, refusals, &w));
    rig_world_free(&w);
}

/* What raft answers at once to a message of voter 3 goes back with the answer. */
static void answer_of(struct rig *r, const struct quorum_message *m, struct arena *a,
                      struct quorum_message *out)
{
    struct rig_answer answer = {0};
    struct peer_names names = rig_names(3, 1);
    struct errmsg em = {{0}};
    struct buf frame = {0};
    struct bytes body;
    struct bytes why;
    int32_t correlation;
    int16_t code;
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    peer_put_message(&frame, &names, m);
    controller_handle(r->c, buf_bytes(&frame), rig_on_reply, &answer);
    rig_wait(r, &answer);
    assert_int_equal(0, peer_take_answer(buf_bytes(&answer.frame), &correlation, &code, &why));
    assert_int_equal(KE_NONE, code);
    assert_int_equal(0, peer_take_result(buf_bytes(&answer.frame), &body));
    *out = (struct quorum_message){0};
    if (body.len > 0) {
        assert_int_equal(0, peer_take_message(body, a, &names, out, &em));
        assert_int_equal(1, names.from);
        assert_int_equal(3, names.to);
        assert_true(uuid_eq(names.from_directory, rig_directory(1)));
    }
    buf_free(&frame);
    buf_free(&answer.frame);
}

static void results(void *arg)
{
    struct rig r;
    struct arena a = {0};
    struct quorum_message got;
    rig_start_three(&r, arg);
    uint64_t term = rig_term(&r) + 1;
    struct quorum_message m = {.type = QUORUM_APPEND,
                               .version = 2,
                               .term = term,
                               .sender_term = term,
                               .index = 1,
                               .index_term = 1,
                               .commit = 1,
                               .snapshot = {-1, -1}};
    answer_of(&r, &m, &a, &got);
    assert_int_equal(QUORUM_APPEND_RESULT, got.type);
    assert_int_equal(term, got.term);
    assert_int_equal(0, got.rejected);
    m.index = 9; /* an entry that is not here */
    answer_of(&r, &m, &a, &got);
    assert_int_equal(QUORUM_APPEND_RESULT, got.type);
    assert_int_equal(9, got.rejected);
    m.type = QUORUM_VOTE;
    m.index = 1;
    m.pre_vote = true;
    answer_of(&r, &m, &a, &got);
    assert_int_equal(QUORUM_VOTE_RESULT, got.type);
    m.type = (enum quorum_message_type)0; /* a greeting has none */
    answer_of(&r, &m, &a, &got);
    assert_int_equal(0, got.type);
    arena_free(&a);
    rig_stop(&r);
}

static void results_go_back_with_the_answer(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 4);
    assert_true(sim_proc_run(w.proc, results, &w));
    rig_world_free(&w);
}

/* What decodes and cannot be true is not taken, and its sender hears why. */
static void lies(void *arg)
{
    static const uint8_t no_batch[] = "no batch at all";
    const struct quorum_entry entry = {4, 1, {no_batch, sizeof no_batch}};
    const struct {
        const char *why;
        struct quorum_message m;
    } cases[] = {
        {"its term is too far from the present one",
         {.type = QUORUM_VOTE, .term = INT32_MAX, .sender_term = INT32_MAX}},
        {"it is of an entry of term 0, which there is none of",
         {.type = QUORUM_APPEND, .term = 9, .sender_term = 9, .index = 1}},
        {"it contradicts what is committed here",
         {.type = QUORUM_APPEND, .term = 9, .sender_term = 9, .index = 1, .index_term = 3}},
        {"its entries are no batches that can follow here",
         {.type = QUORUM_APPEND,
          .term = 9,
          .sender_term = 9,
          .index = 1,
          .index_term = 1,
          .entries = &entry,
          .entries_n = 1}},
        {"its snapshot has no entry",
         {.type = QUORUM_SNAPSHOT,
          .term = 9,
          .sender_term = 9,
          .index = 1,
          .index_term = 4,
          .snapshot = {5, 4}}},
    };
    struct rig r;
    char why[600];
    rig_start_three(&r, arg);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int16_t code = rig_voter_tries(&r, 2, &cases[i].m, why, sizeof why);
        if (code != KE_INVALID_REQUEST ||
            strstr(why, "voter 1 drops a message of voter 2") == NULL ||
            strstr(why, cases[i].why) == NULL) {
            fail_msg("not \"%s\" but %d \"%s\"", cases[i].why, code, why);
        }
    }
    rig_elect(&r); /* none of it counted */
    uint64_t term = rig_term(&r);
    struct quorum_message beyond = {.type = QUORUM_APPEND_RESULT,
                                    .term = term,
                                    .sender_term = term,
                                    .request_term = term,
                                    .index = metadata_log_last_index(r.c->mlog) + 1};
    assert_int_equal(KE_INVALID_REQUEST, rig_voter_tries(&r, 2, &beyond, why, sizeof why));
    assert_non_null(strstr(why, "it acknowledges entries that this leader does not have"));
    assert_true(rig_active(&r));
    rig_stop(&r);
}

static void who_lies_hears_why_it_is_not_heard(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 8);
    assert_true(sim_proc_run(w.proc, lies, &w));
    rig_world_free(&w);
}

/* Voters 2 and 3 behind the port that both have: they say yes to everything, in their answers. What
 * they are asked of snapshots waits. */
struct others {
    struct rig *r;
    struct io_sock *listener;
    struct io_sock *conns[16];
    struct buf in[16];
    unsigned n;
    unsigned ended;
    bool swapped;          /* each says that it is the other one */
    bool mute;             /* they only take what they hear */
    bool newer;            /* they speak another version of the protocol, and say so */
    unsigned greetings[4]; /* that each heard, by its id */
    unsigned pieces_n;
    struct {
        unsigned conn;
        int32_t correlation;
    } pieces[4]; /* that were asked for */
};

static void send_to(struct others *o, unsigned i, struct buf *frame)
{
    store_be32(frame->data, (uint32_t)(frame->len - 4));
    struct iovec iov = {frame->data, frame->len};
    assert_int_equal(frame->len, io_sendv(o->conns[i], &iov, 1, false));
    buf_free(frame);
}

static void say_yes(struct others *o, unsigned i, struct bytes frame)
{
    struct arena a = {0};
    struct peer_names names;
    struct quorum_message m;
    struct errmsg em = {{0}};
    struct buf out = {0};
    struct bytes body;
    int32_t correlation;
    assert_int_equal(0, peer_take_header(frame, &correlation, &body));
    if (load_be16(frame.data) == PEER_API_SNAPSHOT) {
        assert_true(o->pieces_n < ARRAY_LEN(o->pieces));
        o->pieces[o->pieces_n].conn = i;
        o->pieces[o->pieces_n++].correlation = correlation;
        return;
    }
    assert_int_equal(0, peer_take_message(body, &a, &names, &m, &em));
    o->greetings[names.to] += (int)m.type == 0;
    buf_put_be32(&out, 0);
    peer_put_answer(&out, correlation, o->newer ? KE_UNSUPPORTED_VERSION : KE_NONE,
                    o->newer ? "this controller speaks version 9" : NULL);
    if (!o->mute && !o->newer && (m.type == QUORUM_VOTE || m.type == QUORUM_APPEND)) {
        uint64_t term = rig_term(o->r);
        struct quorum_message yes = {.version = 2,
                                     .term = term,
                                     .sender_term = term,
                                     .request_term = term,
                                     .snapshot = {-1, -1}};
        struct peer_names own = rig_names(o->swapped ? 5 - names.to : names.to, 1);
        yes.type = m.type == QUORUM_VOTE ? QUORUM_VOTE_RESULT : QUORUM_APPEND_RESULT;
        yes.pre_vote = m.pre_vote;
        yes.granted = m.type == QUORUM_VOTE;
        yes.index = m.type == QUORUM_VOTE ? 0 : metadata_log_last_index(o->r->c->mlog);
        peer_put_message(&out, &own, &yes);
    }
    send_to(o, i, &out);
    arena_free(&a);
}

static void serve(struct others *o, unsigned i)
{
    uint8_t some[4096];
    int64_t n = io_recv(o->conns[i], some, sizeof some);
    if (n == 0) {
        io_sock_close(o->conns[i]);
        o->conns[i] = NULL;
        o->ended++;
        return;
    }
    buf_put(&o->in[i], some, n > 0 ? (size_t)n : 0);
    size_t at = 0;
    while (o->in[i].len - at >= 4 && o->in[i].len - at >= 4 + load_be32(o->in[i].data + at)) {
        uint32_t len = load_be32(o->in[i].data + at);
        say_yes(o, i, bytes_of(o->in[i].data + at + 4, len));
        at += 4 + len;
    }
    struct buf rest = {0};
    buf_put(&rest, o->in[i].data + at, o->in[i].len - at);
    buf_free(&o->in[i]);
    o->in[i] = rest;
}

static void meet(struct others *o, int turns)
{
    int handle;
    for (int t = 0; t < turns && !rig_active(o->r); t++) {
        rig_turn(o->r);
        while (o->n < ARRAY_LEN(o->conns) && io_accept(o->listener, &handle) == 0) {
            assert_int_equal(0, io_sock_adopt(o->r->shard->io, handle, &o->conns[o->n]));
            o->n++;
        }
        for (unsigned i = 0; i < o->n; i++) {
            if (o->conns[i]) {
                serve(o, i);
            }
        }
    }
}

static void end_others(struct others *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        if (o->conns[i]) {
            io_sock_close(o->conns[i]);
        }
        buf_free(&o->in[i]);
    }
    io_sock_close(o->listener);
}

static void elected_by_answers(void *arg)
{
    for (int swapped = 1; swapped >= 0; swapped--) {
        struct rig r;
        struct others o = {.r = &r, .swapped = swapped};
        rig_start_three(&r, arg);
        assert_int_equal(0, io_listen(r.shard->io, "127.0.0.1", 9093, &o.listener));
        meet(&o, 5000);
        assert_int_equal(!swapped, rig_active(&r));
        assert_int_equal(swapped, o.ended > 0); /* it does not go on with such a one */
        end_others(&o);
        rig_stop(&r);
    }
}

static int64_t log_time(void *ctx)
{
    UNUSED(ctx);
    return 0;
}

static void log_line(void *ctx, enum log_level level, const char *line, size_t len)
{
    UNUSED(level);
    buf_put(ctx, line, len);
}

/* The sender's end of a refusal: it says what the other one said, and goes on without it. */
static void another_version(void *arg)
{
    struct buf said = {0};
    const struct logger lg = {LOG_WARN, log_time, log_line, &said};
    struct rig r;
    struct others o = {.r = &r, .newer = true};
    rig_start_three_logged(&r, arg, &lg);
    assert_int_equal(0, io_listen(r.shard->io, "127.0.0.1", 9093, &o.listener));
    meet(&o, 2000);
    assert_false(rig_active(&r));
    assert_int_equal(0, o.ended);
    for (int id = 2; id <= 3; id++) { /* once a minute each, however often it is said */
        char line[200];
        snprintf(line, sizeof line,
                 "WARN  controller: a voter refuses what this one says: this controller speaks "
                 "version 9 voter=%d address=127.0.0.%d:9093 error=UNSUPPORTED_VERSION\n",
                 id, id);
        const char *at = strstr(buf_cstr(&said), line);
        assert_non_null(at);
        assert_null(strstr(at + 1, line));
    }
    end_others(&o);
    rig_stop(&r);
    buf_free(&said);
}

static void a_voter_of_another_version_is_told_in_the_log(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 9);
    assert_true(sim_proc_run(w.proc, another_version, &w));
    rig_world_free(&w);
}

static void an_answer_may_bring_a_vote_of_its_voter_only(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 5);
    assert_true(sim_proc_run(w.proc, elected_by_answers, &w));
    rig_world_free(&w);
}

/* Voter 2 offers its snapshot in one term and again in the next, and answers to what it was asked
 * for in the first only then: nobody waits for that piece, and it is no reason to hang up. */
static void late_piece(void *arg)
{
    struct rig r;
    struct others o = {.r = &r, .mute = true};
    struct quorum_message m = {.type = QUORUM_SNAPSHOT,
                               .term = 5,
                               .sender_term = 5,
                               .index = 60,
                               .index_term = 4,
                               .snapshot = {123, 4}};
    struct buf out = {0};
    rig_start_three(&r, arg);
    assert_int_equal(0, io_listen(r.shard->io, "127.0.0.1", 9093, &o.listener));
    for (int i = 0; i < 100 && o.n < 2; i++) {
        meet(&o, 100);
    }
    for (unsigned i = 1; i <= 2; i++) {
        m.term = m.sender_term = 4 + i;
        rig_voter_says(&r, 2, &m);
        meet(&o, 20);
        assert_int_equal(i, o.pieces_n);
    }
    unsigned ended = o.ended;
    buf_put_be32(&out, 0);
    peer_put_piece(&out, o.pieces[0].correlation,
                   &(struct peer_piece){0, 1000, bytes_str("the first bytes of it")});
    send_to(&o, o.pieces[0].conn, &out);
    meet(&o, 20);
    assert_int_equal(ended, o.ended);
    assert_int_equal(2, o.pieces_n);
    end_others(&o);
    rig_stop(&r);
}

static void a_piece_that_comes_too_late_ends_nothing(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 6);
    assert_true(sim_proc_run(w.proc, late_piece, &w));
    rig_world_free(&w);
}

static void tell_of_new_disk(struct rig *r)
{
    struct peer_names names = rig_names(2, 1);
    struct peer_admitted told = {3, rig_directory(33), 9};
    struct buf frame = {0};
    char why[600];
    peer_put_header(&frame, PEER_API_ADMITTED, 77);
    peer_put_admitted(&frame, &names, &told);
    assert_int_equal(KE_NONE, rig_voter_frame(r, &frame, why, sizeof why));
    buf_free(&frame);
}

static void greet_from(struct rig *r, const struct peer_names *names)
{
    struct buf frame = {0};
    char why[600];
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    peer_put_message(&frame, names, NULL);
    assert_int_equal(KE_NONE, rig_voter_frame(r, &frame, why, sizeof why));
    buf_free(&frame);
}

/* Voter 3 is greeted, loses its disk and is admitted, all within an election timeout: its new disk
 * knows nothing of the greeting before. One that it greets with is not answered so soon. */
static void new_disk(void *arg)
{
    struct rig r;
    struct others o = {.r = &r, .mute = true};
    struct peer_names names = rig_names(3, 1);
    rig_start_three(&r, arg);
    assert_int_equal(0, io_listen(r.shard->io, "127.0.0.1", 9093, &o.listener));
    for (int i = 0; i < 100 && o.greetings[2] + o.greetings[3] < 2; i++) {
        meet(&o, 1);
    }
    greet_from(&r, &names);
    rig_voter_says(&r, 2,
                   &(struct quorum_message){.type = QUORUM_APPEND,
                                            .term = 9,
                                            .sender_term = 9,
                                            .index = 1,
                                            .index_term = 1,
                                            .commit = 1});
    meet(&o, 3);
    assert_int_equal(1, o.greetings[3]);
    tell_of_new_disk(&r);
    meet(&o, 3);
    assert_int_equal(2, o.greetings[3]);
    names.from_directory = rig_directory(33);
    greet_from(&r, &names);
    meet(&o, 3);
    assert_int_equal(2, o.greetings[3]);
    end_others(&o);
    rig_stop(&r);
}

static void a_new_disk_that_is_admitted_is_greeted_at_once(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 7);
    assert_true(sim_proc_run(w.proc, new_disk, &w));
    rig_world_free(&w);
}

static void another_disk(void *arg)
{
    struct rig r;
    char why[600];
    struct peer_names n = rig_names(2, 1);
    for (int start = 0; start < 2; start++) { /* it is remembered */
        rig_start_three(&r, arg);
        n.from_directory = rig_directory(2);
        assert_int_equal(KE_NONE, say(&r, &n, why, sizeof why));
        n.from_directory = rig_directory(7);
        assert_int_equal(KE_INVALID_VOTER_KEY, say(&r, &n, why, sizeof why));
        assert_non_null(strstr(why, "an empty disk under an old id"));
        rig_stop(&r);
    }
    rig_start_three(&r, arg);
    assert_int_equal(KE_INVALID_VOTER_KEY, say(&r, &n, why, sizeof why));
    rig_stop(&r);
}

static void a_voter_on_another_disk_is_not_heard(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 2);
    assert_true(sim_proc_run(w.proc, another_disk, &w));
    rig_world_free(&w);
}

static void not_active(void *arg)
{
    struct rig r;
    rig_start_three(&r, arg);
    assert_false(rig_active(&r));
    assert_int_equal(KE_NOT_CONTROLLER, rig_create(&r, "t", 1));
    assert_int_equal(KE_NOT_LEADER_OR_FOLLOWER, rig_fetch(&r, 0, -1)->error_code);
    rig_stop(&r); /* nobody is there to wait for, and it does not */
}

static void one_of_three_serves_nothing_and_stops(void **state)
{
    UNUSED(state);
    struct rig_world w;
    rig_world_init(&w, 3);
    assert_true(sim_proc_run(w.proc, not_active, &w));
    rig_world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_understood),
        cmocka_unit_test(a_message_that_ends_early_is_none),
        cmocka_unit_test(lies_do_no_harm),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(pieces_are_checked),
        cmocka_unit_test(strangers_are_refused_with_a_reason),
        cmocka_unit_test(results_go_back_with_the_answer),
        cmocka_unit_test(who_lies_hears_why_it_is_not_heard),
        cmocka_unit_test(a_voter_of_another_version_is_told_in_the_log),
        cmocka_unit_test(an_answer_may_bring_a_vote_of_its_voter_only),
        cmocka_unit_test(a_piece_that_comes_too_late_ends_nothing),
        cmocka_unit_test(a_new_disk_that_is_admitted_is_greeted_at_once),
        cmocka_unit_test(a_voter_on_another_disk_is_not_heard),
        cmocka_unit_test(one_of_three_serves_nothing_and_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
