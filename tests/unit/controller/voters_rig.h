/* A controller of three whose other voters, 2 and 3, are played by the test: what it sends them is
 * lost, what they say comes as frames, as over its listener. */
#ifndef TESTS_VOTERS_RIG_H
#define TESTS_VOTERS_RIG_H

#include "controller/controller_private.h"
#include "controller/peers_codec.h"
#include "controller_rig.h"

static inline struct uuid rig_directory(uint8_t n)
{
    struct uuid id = {{9}};
    id.b[15] = n;
    return id;
}

static inline struct peer_names rig_names(int32_t from, int32_t to)
{
    static const int32_t voters[] = {1, 2, 3};
    return (struct peer_names){.cluster_id = bytes_str(RIG_CLUSTER),
                               .from = from,
                               .from_directory = rig_directory((uint8_t)from),
                               .to = to,
                               .voters = voters,
                               .voters_n = 3};
}

/* log: NULL for none. */
static inline void rig_start_three_logged(struct rig *r, struct rig_world *w,
                                          const struct logger *log)
{
    static const struct controller_voter three[] = {
        {1, "localhost", 9093}, {2, "127.0.0.2", 9093}, {3, "127.0.0.3", 9093}};
    rig_init(r, w);
    r->log = log;
    r->cfg.directory_id = rig_directory(1);
    r->cfg.voters = three;
    r->cfg.voters_n = 3;
    rig_start(r);
}

static inline void rig_start_three(struct rig *r, struct rig_world *w)
{
    rig_start_three_logged(r, w, NULL);
}

/* What the controller answers to a voter's frame of correlation id 77. */
static inline int16_t rig_voter_frame(struct rig *r, const struct buf *frame, char *why,
                                      size_t size)
{
    struct rig_answer answer = {0};
    int32_t correlation;
    int16_t code;
    struct bytes sentence;
    controller_handle(r->c, buf_bytes(frame), rig_on_reply, &answer);
    rig_wait(r, &answer);
    assert_int_equal(0, answer.err);
    assert_int_equal(0, peer_take_answer(buf_bytes(&answer.frame), &correlation, &code, &sentence));
    assert_int_equal(77, correlation);
    snprintf(why, size, "%.*s", BYTES_FMT(sentence));
    buf_free(&answer.frame);
    return code;
}

/* A message of another voter; the answer's code. No turn runs. */
static inline int16_t rig_voter_tries(struct rig *r, int32_t from, const struct quorum_message *m,
                                      char *why, size_t size)
{
    struct peer_names names = rig_names(from, 1);
    struct quorum_message copy = *m;
    struct buf frame = {0};
    copy.version = copy.version ? copy.version : 2;
    copy.snapshot =
        copy.type == QUORUM_SNAPSHOT ? copy.snapshot : (struct metadata_snapshot_id){-1, -1};
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    peer_put_message(&frame, &names, &copy);
    int16_t code = rig_voter_frame(r, &frame, why, size);
    buf_free(&frame);
    return code;
}

/* One that must be taken; the quorum may still drop it. */
static inline void rig_voter_says(struct rig *r, int32_t from, const struct quorum_message *m)
{
    char why[600];
    int16_t code = rig_voter_tries(r, from, m, why, sizeof why);
    if (code) {
        fail_msg("error %d: %s", code, why);
    }
}

static inline uint64_t rig_term(const struct rig *r)
{
    struct controller_status s;
    controller_status(r->c, &s);
    return (uint64_t)s.epoch;
}

/* Voter 2 votes for this one and acknowledges whatever it has, several times a millisecond, until
 * it is active: which it would never be if what it hears put off its timer each time. */
static inline void rig_elect(struct rig *r)
{
    for (int i = 0; i < 5000 && !rig_active(r); i++) {
        for (int pre = 1; pre >= 0; pre--) {
            uint64_t term = rig_term(r);
            rig_voter_says(r, 2,
                           &(struct quorum_message){.type = QUORUM_VOTE_RESULT,
                                                    .term = term,
                                                    .sender_term = term,
                                                    .request_term = term,
                                                    .pre_vote = pre,
                                                    .granted = true});
        }
        rig_turn(r);
        uint64_t term = rig_term(r);
        rig_voter_says(r, 2,
                       &(struct quorum_message){.type = QUORUM_APPEND_RESULT,
                                                .term = term,
                                                .sender_term = term,
                                                .request_term = term,
                                                .index = metadata_log_last_index(r->c->mlog)});
    }
    assert_true(rig_active(r));
}

#endif
