/* When the quorum's timer fires. libraft says when; two things it does not know of:
 *
 * A voter that stood still (no processor, a write that blocked) finds its timer late. What others
 * sent meanwhile is in its sockets, and timers come before them in a turn: it hears them first, and
 * stands for election 20 ms later, if still nobody leads.
 *
 * A vote is two fsyncs on the voter's own thread. Where several voters share a disk that is busy
 * for seconds (controllers beside brokers under load), all of them take as long, and one that asks
 * anew before the answers can be there ends every term before it has a leader. So whoever was held
 * up by a vote waits two to six times as long again, by chance, so that two do not ask each other
 * at once for ever; bounded, and another voter with a quick disk comes first.
 *
 * A leader waits for no more than that one turn: its heartbeats are what keeps the others quiet. */
#include "controller/quorum_private.h"

enum {
    LATE_MS = 20,       /* a timer this late: the thread stood still */
    SLOW_ELECTIONS = 3, /* the longest vote that counts, in election timeouts */
};

void quorum_timer_blocked(struct quorum *q, int64_t ms)
{
    int64_t most = SLOW_ELECTIONS * q->election_timeout_ms;
    uint32_t chance;
    if (ms < LATE_MS) {
        return;
    }
    ms = ms < most ? ms : most;
    io_random(q->io, &chance, sizeof chance);
    q->patient_until_ms = io_now_ms(q->io) + 2 * ms + (int64_t)(chance % (uint64_t)(4 * ms));
}

void quorum_timer_arm(struct quorum *q, int64_t at, bool leads)
{
    if (q->failed || q->voters_n == 1) {
        return; /* a sole voter's timers do nothing */
    }
    int64_t soonest = q->last_time_ms + 1; /* defect G: may stay in the past */
    if (!leads && at < q->patient_until_ms) {
        at = q->patient_until_ms;
    }
    bool due = q->heard_out || q->timer.deadline_ms < soonest;
    if (at < soonest && timer_is_set(&q->timer) && due) {
        return; /* messages that come ever again must not put it off */
    }
    q->heard_out = false;
    timer_set(q->shard, &q->timer, at < soonest ? soonest : at);
}

bool quorum_timer_late(struct quorum *q, bool leads)
{
    int64_t now = io_now_ms(q->io);
    if (q->heard_out || now - q->timer.deadline_ms < LATE_MS) {
        q->heard_out = false;
        return false;
    }
    q->heard_out = true;
    timer_set(q->shard, &q->timer, now + (leads ? 1 : LATE_MS));
    return true;
}
