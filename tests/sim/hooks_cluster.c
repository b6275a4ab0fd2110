/* See hooks.h: breaches in the quorum and in replication. */
#include "broker/append.h"
#include "broker/partition.h"
#include "controller/decide.h"
#include "controller/quorum_private.h"
#include "sim/hooks.h"

/* Of the type of what they stand for, so that a change there does not compile here. */
#define WRAP(fn)                \
    __typeof__(fn) __real_##fn; \
    __typeof__(fn) __wrap_##fn

/* ---- the quorum ---- */

WRAP(quorum_state_write);
int __wrap_quorum_state_write(struct io *io, const char *partition_dir,
                              const struct quorum_state *s, const int32_t *voters, size_t voters_n,
                              struct errmsg *em)
{
    return hooks_strike(MUTANT_VOTE, 1)
               ? 0
               : __real_quorum_state_write(io, partition_dir, s, voters, voters_n, em);
}

/* Guard A: nothing tells that what is answered was of an older term. */
WRAP(quorum_send);
void __wrap_quorum_send(struct quorum *q, const struct raft_message *r, uint64_t term,
                        uint64_t request_term)
{
    bool off = request_term < term && hooks_strike(MUTANT_GUARD_A, 1);
    __real_quorum_send(q, r, term, off ? term : request_term);
}

static bool receiving_result;

/* Guard J: what the follower has is not known. */
WRAP(raft_match_index);
int __wrap_raft_match_index(const struct raft *r, raft_id id, raft_index *index)
{
    if (receiving_result && hooks_strike(MUTANT_GUARD_J, 1)) {
        return -1;
    }
    return __real_raft_match_index(r, id, index);
}

WRAP(quorum_receive);
void __wrap_quorum_receive(struct quorum *q, const struct quorum_message *m)
{
    struct quorum_message copy = *m;
    uint64_t commit = q->commit;
    bool bc = m->type == QUORUM_APPEND && m->index < commit && hooks_strike(MUTANT_GUARD_BC, 1);
    if (m->type == QUORUM_VOTE_RESULT && m->pre_vote && !m->granted &&
        hooks_strike(MUTANT_GUARD_I, 1)) {
        copy.sender_term = 0;
    }
    if (bc) { /* guards B and C: nothing is known to be committed here */
        q->commit = 0;
    }
    receiving_result = m->type == QUORUM_APPEND_RESULT;
    __real_quorum_receive(q, &copy);
    receiving_result = false;
    if (bc) {
        q->commit = q->commit > commit ? q->commit : commit;
    }
}

/* ---- the controller ---- */

WRAP(decide_broker_epoch);
int16_t __wrap_decide_broker_epoch(const struct decision *d, int32_t broker, int64_t epoch)
{
    int16_t code = __real_decide_broker_epoch(d, broker, epoch);
    return code != 0 && hooks_strike(MUTANT_ZOMBIE, 1) ? 0 : code;
}

WRAP(decide_unclean_election);
bool __wrap_decide_unclean_election(struct decision *d, const struct image_topic *t)
{
    return __real_decide_unclean_election(d, t) || hooks_strike(MUTANT_UNCLEAN, 1);
}

/* ---- leaders ---- */

WRAP(append_send);
void __wrap_append_send(struct node_shard *ns, unsigned home, struct append_msg *a)
{
    if (a->acks == -1 && a->origin == PLOG_CLIENT && hooks_strike(MUTANT_ALL, 1)) {
        a->acks = 1;
    }
    __real_append_send(ns, home, a);
}

static int64_t above(struct plog *log, int64_t upper)
{
    bool to_hw = upper == plog_high_watermark(log) && upper < plog_end_offset(log);
    return to_hw && hooks_strike(MUTANT_ABOVE, 1) ? plog_end_offset(log) : upper;
}

WRAP(plog_read);
int __wrap_plog_read(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one,
                     int64_t upper, struct plog_range *out)
{
    return __real_plog_read(log, offset, max_bytes, min_one, above(log, upper), out);
}

WRAP(plog_read_copy);
int64_t __wrap_plog_read_copy(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one,
                              int64_t upper, struct buf *out)
{
    return __real_plog_read_copy(log, offset, max_bytes, min_one, above(log, upper), out);
}

WRAP(partition_check_leader);
int16_t __wrap_partition_check_leader(const struct partition *p, int32_t epoch)
{
    return __real_partition_check_leader(p, hooks_strike(MUTANT_FENCE, 1) ? -1 : epoch);
}
