/* Scenario `quorum`, the plays: three voters and a schedule, message by message, that needs one of
 * the guards around libraft (docs/quorum.md). Without it the checkers notice at once, or nobody
 * leads or follows after the play, when nothing is wrong any more. What a play waits for comes by
 * itself; if it does not, the play is no test of anything, and the run fails. */
#include "sim/quorum_run.h"

enum { PLAY_LIMIT_US = 20000000, LOOK_US = 2000, SLOW_TERMS = 8 };

/* The parts; found again for each play of a run. */
struct cast {
    struct quorum_voter *leader;
    struct quorum_voter *follower;
    struct quorum_voter *third;
    int32_t term;
    uint64_t commit;
};

static struct cast cast; /* of the one run of this process */

static void wait_until(struct quorum_run *qr, bool (*holds)(struct quorum_run *qr))
{
    int64_t until = quorum_now_us(qr) + PLAY_LIMIT_US;
    while (!holds(qr)) {
        if (quorum_now_us(qr) > until) {
            run_fail(qr->r, "the play of guard %u does not go on", (unsigned)qr->p.kind);
        }
        quorum_run_for(qr, LOOK_US);
    }
}

static bool leads(struct quorum_run *qr)
{
    return quorum_serving(qr) != NULL;
}

/* All run, one leads. */
static void enter(struct quorum_run *qr)
{
    qr->calm = true;
    qr->fate = NULL;
    qr->p.drop_percent = qr->p.twice_percent = qr->p.late_percent = qr->p.again_percent = 0;
    qr->p.snapshots_late = qr->p.votes_lost = qr->p.append_percent = 0;
    qr->p.delay_us_max = 1000;
    qr->p.hand_over = qr->p.mid_call = false;
    for (unsigned i = 0; i < qr->voters_n; i++) {
        qr->voters[i].snapshot_percent = 0;
        qr->voters[i].up_at_us = 0;
    }
    wait_until(qr, leads);
    quorum_run_for(qr, 500000);
    wait_until(qr, leads);
    cast.leader = quorum_serving(qr);
    cast.follower = &qr->voters[cast.leader->id % 3];
    cast.third = &qr->voters[cast.follower->id % 3];
    cast.term = quorum_epoch(cast.leader->q);
}

static void append_fn(void *arg)
{
    int64_t end;
    quorum_voter_append(arg, &end);
}

/* Entries of their own, one after the other. */
static void append(struct quorum_run *qr, struct quorum_voter *v, unsigned n)
{
    for (; n > 0; n--) {
        sim_proc_run(v->proc, append_fn, v);
        quorum_run_for(qr, 5000);
    }
}

static void snapshot_fn(void *arg)
{
    quorum_voter_snapshot(arg);
    quorum_voter_snapshot(arg);
}

static void down(struct quorum_voter *v)
{
    quorum_voter_end(v, false);
    v->up_at_us = INT64_MAX;
}

static bool goes(const struct quorum_message *m, const struct quorum_voter *from,
                 const struct quorum_voter *to)
{
    return (from == NULL || m->from == from->id) && (to == NULL || m->to == to->id);
}

static bool is_held(struct quorum_run *qr)
{
    return qr->held_n > 0;
}

/* ---- guard A: the answer to a snapshot of an older term, heard by who leads again ---- */

static enum quorum_fate hold_snapshots(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    return m->type == QUORUM_SNAPSHOT ? QUORUM_HELD : QUORUM_PASSES;
}

/* The leader is not heard as one, and the third, who stands for election, not by the follower: the
 * leader, whose log is the longest, is the only one who can lead again. */
static enum quorum_fate depose(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    bool vote = m->type == QUORUM_VOTE && goes(m, cast.third, cast.follower);
    bool append = m->type == QUORUM_APPEND && goes(m, cast.leader, NULL);
    return m->type == QUORUM_SNAPSHOT || append || vote ? QUORUM_LOST : QUORUM_PASSES;
}

static bool leads_again(struct quorum_run *qr)
{
    UNUSED(qr);
    return quorum_is_leader(cast.leader->q) && quorum_epoch(cast.leader->q) > cast.term;
}

/* Now the follower hears that it leads, and the third nothing. */
static enum quorum_fate alone(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    return m->type == QUORUM_SNAPSHOT || goes(m, cast.leader, cast.third) ? QUORUM_LOST
                                                                          : QUORUM_PASSES;
}

static bool knows_it(struct quorum_run *qr)
{
    UNUSED(qr);
    return quorum_epoch(cast.follower->q) == quorum_epoch(cast.leader->q);
}

static void play_a(struct quorum_run *qr)
{
    down(cast.follower);
    for (int i = 0; i < 2; i++) { /* the second lets go of what is below the first */
        append(qr, cast.leader, 30);
        quorum_run_for(qr, 100000);
        sim_proc_run(cast.leader->proc, snapshot_fn, cast.leader);
    }
    append(qr, cast.leader, 3);
    qr->fate = hold_snapshots;
    cast.follower->up_at_us = 0;
    wait_until(qr, is_held);
    qr->fate = depose;
    append(qr, cast.leader, 1);
    wait_until(qr, leads_again);
    qr->fate = alone;
    wait_until(qr, knows_it);
    while (qr->held_n > 0) {
        quorum_carrier_release(qr);
        quorum_run_for(qr, 20000);
    }
}

/* ---- guard J: a refusal that comes once more when the follower has the entry, but does not know
 * yet that it is committed, and has been silent: the leader then falls behind what it knows ---- */

static bool is_refusal(const struct quorum_message *m)
{
    return m->type == QUORUM_APPEND_RESULT && m->rejected > 0;
}

/* The follower does not hear that anything new is committed. */
static bool tells_commit(const struct quorum_message *m)
{
    return m->type == QUORUM_APPEND && goes(m, cast.leader, cast.follower) &&
           m->commit > cast.commit;
}

/* The entry does not get to the follower, which refuses what comes behind it. The third is silent.
 */
static enum quorum_fate lose_entry(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    bool entry = m->type == QUORUM_APPEND && m->entries_n > 0;
    cast.commit = entry ? m->commit : cast.commit;
    return is_refusal(m)                                                          ? QUORUM_COPIED
           : (entry && goes(m, NULL, cast.follower)) || goes(m, cast.third, NULL) ? QUORUM_LOST
                                                                                  : QUORUM_PASSES;
}

static enum quorum_fate keep_ignorant(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    return tells_commit(m) || goes(m, cast.third, NULL) ? QUORUM_LOST : QUORUM_PASSES;
}

static bool is_committed(struct quorum_run *qr)
{
    UNUSED(qr);
    return quorum_high_watermark(cast.leader->q) == quorum_next_offset(cast.leader->q);
}

/* An entry gets to the follower at once, not with the next heartbeat. */
static bool sends_ahead(struct quorum_run *qr)
{
    append(qr, cast.leader, 1);
    bool at_once = quorum_next_offset(cast.follower->q) == quorum_next_offset(cast.leader->q);
    wait_until(qr, is_committed);
    return at_once;
}

static enum quorum_fate deaf(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    return goes(m, NULL, cast.follower) ? QUORUM_LOST : QUORUM_PASSES;
}

static void play_j(struct quorum_run *qr)
{
    do { /* twice: once may have been a heartbeat by chance */
        wait_until(qr, sends_ahead);
        quorum_run_for(qr, 500 * qr->p.election_ms);
    } while (!sends_ahead(qr));
    qr->fate = lose_entry;
    append(qr, cast.leader, 1);
    wait_until(qr, is_held);
    qr->fate = keep_ignorant;
    wait_until(qr, is_committed);
    qr->fate = deaf;
    quorum_run_for(qr, 3000 * qr->p.election_ms);
    quorum_carrier_release(qr);
    quorum_run_for(qr, 20000);
}

/* ---- guard I: the longest log, and a term that its owner never hears of ---- */

/* The follower stands for election again and again and is not heard when it counts. */
static enum quorum_fate raise(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    bool stands = m->type == QUORUM_VOTE && !(goes(m, cast.follower, NULL) && m->pre_vote);
    return stands || m->type == QUORUM_APPEND ? QUORUM_LOST : QUORUM_PASSES;
}

static bool is_ahead(struct quorum_run *qr)
{
    UNUSED(qr);
    return quorum_epoch(cast.follower->q) >= cast.term + 4;
}

static enum quorum_fate without_follower(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    return goes(m, cast.follower, NULL) || goes(m, NULL, cast.follower) ? QUORUM_LOST
                                                                        : QUORUM_PASSES;
}

static bool others_lead(struct quorum_run *qr)
{
    struct quorum_voter *v = quorum_serving(qr);
    return v != NULL && v != cast.follower;
}

static void play_i(struct quorum_run *qr)
{
    qr->fate = raise;
    wait_until(qr, is_ahead);
    quorum_voter_end(cast.follower, false); /* a candidate would go on without asking first */
    qr->fate = without_follower;
    wait_until(qr, others_lead);
    cast.leader = quorum_serving(qr);
    cast.third = cast.leader == &qr->voters[cast.follower->id % 3]
                     ? &qr->voters[(cast.follower->id + 1) % 3]
                     : &qr->voters[cast.follower->id % 3];
    append(qr, cast.leader, 3);
    down(cast.third);
    quorum_voter_end(cast.leader, false); /* as leader it would hear of the higher term */
    quorum_run_for(qr, 20000);
}

/* ---- guard K: a granted pre-vote that comes when the candidate has died and is back: it names the
 * next term, which nobody is in, and which its receiver must not take from it ---- */

static bool is_grant(const struct quorum_message *m)
{
    return m->type == QUORUM_VOTE_RESULT && m->pre_vote && m->granted;
}

/* Only the follower stands for election, and is not told that it may. */
static enum quorum_fate hold_grant(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    return is_grant(m) && goes(m, cast.third, cast.follower)         ? QUORUM_HELD
           : m->type == QUORUM_VOTE && !goes(m, cast.follower, NULL) ? QUORUM_LOST
                                                                     : QUORUM_PASSES;
}

static enum quorum_fate nothing(struct quorum_run *qr, const struct quorum_message *m)
{
    UNUSED(qr);
    UNUSED(m);
    return QUORUM_LOST;
}

static bool is_back(struct quorum_run *qr)
{
    UNUSED(qr);
    return cast.follower->q != NULL;
}

static void play_k(struct quorum_run *qr)
{
    qr->fate = hold_grant;
    down(cast.leader);
    wait_until(qr, is_held);
    qr->fate = nothing;
    quorum_voter_end(cast.follower, false);
    wait_until(qr, is_back);
    quorum_carrier_release(qr);
    quorum_run_for(qr, 20000);
}

/* ---- no guard: the leader dies while every fsync takes longer than an election's time. A term
 * that ends before its votes are durable is one in vain; two voters need a few, not one after the
 * other. ---- */

static void play_slow(struct quorum_run *qr)
{
    struct sim_disk_faults saved[QUORUM_VOTERS_MAX];
    for (unsigned i = 0; i < qr->voters_n; i++) {
        struct sim_disk_faults *f = &qr->voters[i].host->disk->faults;
        saved[i] = *f;
        f->fsync_us_min = 500 * (uint32_t)qr->p.election_ms;
        f->fsync_us_max = 1500 * (uint32_t)qr->p.election_ms;
    }
    down(cast.leader);
    wait_until(qr, leads);
    int32_t terms = quorum_epoch(quorum_serving(qr)->q) - cast.term;
    if (terms > SLOW_TERMS) {
        run_fail(qr->r, "on slow disks %d terms went by until one had a leader", (int)terms);
    }
    for (unsigned i = 0; i < qr->voters_n; i++) {
        qr->voters[i].host->disk->faults = saved[i];
    }
}

void quorum_play(struct quorum_run *qr)
{
    enter(qr);
    switch (qr->p.kind) {
    case QUORUM_PLAY_A:
        play_a(qr);
        break;
    case QUORUM_PLAY_J:
        play_j(qr);
        break;
    case QUORUM_PLAY_K:
        play_k(qr);
        break;
    case QUORUM_PLAY_SLOW:
        play_slow(qr);
        break;
    default:
        play_i(qr);
    }
    qr->fate = NULL;
}
