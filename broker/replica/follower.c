#include "broker/replica/follower.h"

#include "base/assert.h"
#include "proto_errors.h"

enum {
    SOON_MS = 10,      /* the first wait after an error that newer metadata resolves */
    DOUBLINGS_MAX = 8, /* of it */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void follower_begin(struct follower *f, int32_t leader, int32_t leader_epoch)
{
    *f = (struct follower){
        .phase = FOLLOWER_FETCHING, .leader = leader, .leader_epoch = leader_epoch};
}

bool follower_wants(const struct follower *f, int64_t now_ms)
{
    return f->phase == FOLLOWER_FETCHING ||
           (f->phase == FOLLOWER_WAITING && now_ms >= f->not_before_ms);
}

int64_t follower_backoff(unsigned tries, int64_t backoff_ms)
{
    unsigned doublings = tries > DOUBLINGS_MAX ? DOUBLINGS_MAX : tries;
    return least((int64_t)SOON_MS << doublings, backoff_ms);
}

void follower_wait(struct follower *f, int64_t now_ms, int64_t backoff_ms)
{
    f->phase = FOLLOWER_WAITING;
    f->not_before_ms = now_ms + backoff_ms;
}

void follower_fail(struct follower *f)
{
    f->phase = FOLLOWER_FAILED;
}

/* One of the two has older metadata than the other. */
static bool is_passing(int16_t error)
{
    switch (error) {
    case KE_NOT_LEADER_OR_FOLLOWER:
    case KE_FENCED_LEADER_EPOCH:
    case KE_UNKNOWN_LEADER_EPOCH:
    case KE_UNKNOWN_TOPIC_OR_PARTITION:
    case KE_UNKNOWN_TOPIC_ID:
    case KE_INCONSISTENT_TOPIC_ID:
    case KE_REPLICA_NOT_AVAILABLE:
        return true;
    default:
        return false;
    }
}

static void wait_after(struct follower *f, int16_t error, int64_t now_ms, int64_t backoff_ms)
{
    int64_t wait = is_passing(error) ? follower_backoff(f->tries, backoff_ms) : backoff_ms;
    f->tries++;
    follower_wait(f, now_ms, wait);
}

enum follower_action follower_answer(struct follower *f, const struct follower_log *log,
                                     int32_t asked_epoch, int64_t asked_offset, int16_t error,
                                     int32_t diverging_epoch, int64_t now_ms, int64_t backoff_ms)
{
    if (!follower_wants(f, now_ms) || asked_epoch != f->leader_epoch || asked_offset != log->end) {
        return FOLLOWER_LATER;
    }
    if (error == KE_OFFSET_OUT_OF_RANGE) {
        f->phase = FOLLOWER_ASKING;
        return FOLLOWER_ASK;
    }
    if (error) {
        wait_after(f, error, now_ms, backoff_ms);
        return FOLLOWER_LATER;
    }
    f->phase = FOLLOWER_FETCHING;
    f->tries = 0;
    return diverging_epoch >= 0 ? FOLLOWER_CUT : FOLLOWER_APPEND;
}

void follower_ask_failed(struct follower *f, int16_t error, int64_t now_ms, int64_t backoff_ms)
{
    if (f->phase == FOLLOWER_ASKING) { /* then the fetch asks again */
        wait_after(f, error, now_ms, backoff_ms);
    }
}

int64_t follower_cut_offset(const struct follower_log *log, int64_t leader_end, int32_t own_epoch,
                            int64_t own_end)
{
    int64_t at = own_epoch >= 0 ? least(leader_end, own_end) : leader_end;
    at = least(at, log->end);
    return at > log->start ? at : log->start;
}

enum follower_reset follower_reset(struct follower *f, const struct follower_log *log,
                                   int64_t leader_start, int64_t leader_end, int64_t now_ms,
                                   int64_t backoff_ms, int64_t *offset)
{
    ASSERT(f->phase == FOLLOWER_ASKING);
    f->phase = FOLLOWER_FETCHING;
    if (leader_end < log->end) {
        *offset = leader_end;
        return FOLLOWER_RESET_CUT;
    }
    if (leader_start > log->end) {
        *offset = leader_start;
        return FOLLOWER_RESET_ANEW;
    }
    *offset = log->end;
    follower_wait(f, now_ms, follower_backoff(f->tries++, backoff_ms));
    return FOLLOWER_RESET_NOTHING;
}

int64_t follower_high_watermark(const struct follower_log *log, int64_t leader_hw)
{
    int64_t hw = least(leader_hw, log->end);
    return hw > log->high_watermark ? hw : log->high_watermark;
}

int64_t follower_log_start(const struct follower_log *log, int64_t leader_start, int64_t hw)
{
    return leader_start > log->start && leader_start <= hw ? leader_start : log->start;
}
