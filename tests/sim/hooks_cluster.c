/* See hooks.h: breaches in the quorum and in replication. */
#include "broker/append.h"
#include "broker/partition.h"
#include "broker/replica/follower.h"
#include "broker/replica/isr.h"
#include "controller/decide.h"
#include "controller/peers_private.h"
#include "controller/quorum_private.h"
#include "proto_messages.h"
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

static uint64_t last_sent; /* the highest index that any leader has sent */

/* Guard A: nothing tells that what is answered was of an older term; and libraft, which leaves its
 * last index uninitialised then, has found there what does the most harm. */
WRAP(quorum_send);
void __wrap_quorum_send(struct quorum *q, const struct raft_message *r, uint64_t term,
                        uint64_t request_term)
{
    struct raft_message copy = *r;
    if (r->type == RAFT_APPEND_ENTRIES) {
        uint64_t last = r->append_entries.prev_log_index + r->append_entries.n_entries;
        last_sent = last > last_sent ? last : last_sent;
    }
    if (r->type == RAFT_APPEND_ENTRIES_RESULT && request_term < term &&
        hooks_strike(MUTANT_GUARD_A, 1)) {
        copy.append_entries_result.last_log_index = last_sent;
        request_term = term;
    }
    __real_quorum_send(q, &copy, term, request_term);
}

static bool receiving_result;
static bool receiving_vote; /* the result of one, and nobody has asked yet whether it is wanted */

/* Guard J: what the follower has is not known. */
WRAP(raft_match_index);
int __wrap_raft_match_index(const struct raft *r, raft_id id, raft_index *index)
{
    if (receiving_result && hooks_strike(MUTANT_GUARD_J, 1)) {
        return -1;
    }
    return __real_raft_match_index(r, id, index);
}

/* Guard K: whoever gets an answer to a vote is taken for a candidate. */
WRAP(raft_state);
enum raft_state __wrap_raft_state(struct raft *r)
{
    enum raft_state state = __real_raft_state(r);
    bool guard = receiving_vote;
    receiving_vote = false;
    return guard && state != RAFT_CANDIDATE && hooks_strike(MUTANT_GUARD_K, 1) ? RAFT_CANDIDATE
                                                                               : state;
}

WRAP(quorum_receive);
int __wrap_quorum_receive(struct quorum *q, const struct quorum_message *m, struct errmsg *em)
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
    receiving_vote = m->type == QUORUM_VOTE_RESULT;
    int err = __real_quorum_receive(q, &copy, em);
    receiving_result = receiving_vote = false;
    if (bc) {
        q->commit = q->commit > commit ? q->commit : commit;
    }
    return err;
}

WRAP(peers_trust);
enum peer_trust __wrap_peers_trust(struct uuid known, struct uuid directory, bool on_trial)
{
    enum peer_trust t = __real_peers_trust(known, directory, on_trial);
    return t == PEER_STRANGE && hooks_strike(MUTANT_WIPED, 1) ? PEER_KNOWN : t;
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

/* Whoever asks, and for whomever: no epoch is old. */
WRAP(decide_alter_partition);
void __wrap_decide_alter_partition(struct decision *d, int16_t version, const void *request,
                                   void *response)
{
    const struct alter_partition_request *q = request;
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct alter_partition_request_topic_data *t = &q->topics[i];
        const struct image_topic *it = image_topic_by_id(d->img, t->topic_id);
        for (int32_t k = 0; it != NULL && k < t->partitions_n; k++) {
            struct alter_partition_request_partition_data *p = &t->partitions[k];
            const struct image_partition *ip = image_partition(it, p->partition_index);
            if (ip != NULL && hooks_strike(MUTANT_FENCE, 1)) {
                p->leader_epoch = ip->leader_epoch;
                p->partition_epoch = ip->partition_epoch;
            }
            for (int32_t n = 0; n < p->new_isr_with_epochs_n; n++) {
                bool strike = hooks_strike(MUTANT_JOIN, 1);
                p->new_isr_with_epochs[n].broker_epoch =
                    strike ? -1 : p->new_isr_with_epochs[n].broker_epoch;
            }
        }
    }
    __real_decide_alter_partition(d, version, request, response);
}

/* Every broker is said to have stopped in order. */
WRAP(decide_broker_registration);
void __wrap_decide_broker_registration(struct decision *d, const void *request, void *response)
{
    struct broker_registration_request q = *(const struct broker_registration_request *)request;
    const struct image_broker *b = image_broker(d->img, q.broker_id);
    if (b != NULL && hooks_strike(MUTANT_CLEAN, 1)) {
        q.previous_broker_epoch = b->epoch;
    }
    __real_decide_broker_registration(d, &q, response);
}

/* Nothing is to be done where a disk is full. */
WRAP(decide_leave_full);
bool __wrap_decide_leave_full(struct decision *d, int32_t broker, size_t max)
{
    return hooks_strike(MUTANT_ROOM, 1) || __real_decide_leave_full(d, broker, max);
}

/* ---- followers ---- */

WRAP(follower_cut_offset);
int64_t __wrap_follower_cut_offset(const struct follower_log *log, int64_t leader_end,
                                   int32_t own_epoch, int64_t own_end)
{
    int64_t at = __real_follower_cut_offset(log, leader_end, own_epoch, own_end);
    at = hooks_strike(MUTANT_WATERMARK, 1) ? log->high_watermark : at;
    return hooks_strike(MUTANT_UNCUT, 1) ? log->end : at;
}

/* ---- leaders ---- */

WRAP(isr_high_watermark);
int64_t __wrap_isr_high_watermark(const struct isr *s, int64_t hw, int64_t own, uint32_t min_isr,
                                  int64_t now_ms, int64_t lag_ms)
{
    struct isr copy = *s;
    copy.ahead = s->ahead && !hooks_strike(MUTANT_AHEAD, 1);
    int64_t at = __real_isr_high_watermark(&copy, hw, own, min_isr, now_ms, lag_ms);
    return at < own && hooks_strike(MUTANT_ALONE, 1) ? own : at;
}

WRAP(isr_propose_join);
bool __wrap_isr_propose_join(struct isr *s, struct isr_follower *joiner, int64_t hw)
{
    int64_t end = joiner->end;
    if (hooks_strike(MUTANT_BEHIND, 1)) {
        joiner->end = INT64_MAX;
    }
    bool proposed = __real_isr_propose_join(s, joiner, hw);
    joiner->end = end;
    return proposed;
}

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
