#include "broker/replica/isr.h"

#include "base/assert.h"
#include "base/ids.h"
#include "base/mem.h"

/* Between two proposals of a follower that the controller refuses: twice as long each time. A
 * broker with a full disk may follow thousands of partitions that nobody writes. */
enum { AGAIN_MS = 1000, AGAIN_MS_MAX = 8000 };

void isr_init(struct isr *s, int32_t self)
{
    *s = (struct isr){.self = self, .leader_epoch = -1, .partition_epoch = -1};
}

void isr_free(struct isr *s)
{
    mem_free(s->followers);
    s->followers = NULL;
    s->n = 0;
}

struct isr_follower *isr_follower(const struct isr *s, int32_t id)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->followers[i].id == id) {
            return &s->followers[i];
        }
    }
    return NULL;
}

/* ---- the metadata's word ---- */

static struct isr_follower unknown_follower(int32_t id)
{
    return (struct isr_follower){
        .id = id,
        .image_epoch = ISR_EPOCH_UNKNOWN,
        .fetch_epoch = ISR_EPOCH_UNKNOWN,
        .proposed_epoch = ISR_EPOCH_UNKNOWN,
        .end = ISR_OFFSET_UNKNOWN,
        .start = ISR_OFFSET_UNKNOWN,
        .caught_up_ms = ISR_NEVER,
        .fetched_ms = ISR_NEVER,
        .leader_end = ISR_OFFSET_UNKNOWN,
        .refused_ms = ISR_NEVER,
        .missing_ms = ISR_NEVER,
        .had_all_ms = ISR_NEVER,
    };
}

/* The controller does not want it in the set now. */
static void bar(struct isr_follower *f)
{
    f->refused_ms = f->fetched_ms > ISR_NEVER ? f->fetched_ms : ISR_NEVER + 1;
}

static void unbar(struct isr_follower *f)
{
    f->refused_ms = ISR_NEVER;
    f->again_ms = 0;
}

/* Takes the committed set; a proposal is over. */
static void commit_isr(struct isr *s, const int32_t *isr, uint32_t isr_n)
{
    s->isr_n = isr_n;
    s->pending = false;
    for (uint32_t i = 0; i < s->n; i++) {
        struct isr_follower *f = &s->followers[i];
        f->in_isr = id_in(isr, isr_n, f->id);
        f->proposed = false;
        if (f->in_isr) {
            unbar(f);
        }
    }
}

/* Those that stay keep what is known of them, but not into another leader epoch. */
static void take_replicas(struct isr *s, const struct isr_state *st, bool keep)
{
    struct isr_follower *v = mem_zalloc((st->replicas_n + 1) * sizeof *v);
    uint32_t n = 0;
    for (uint32_t i = 0; i < st->replicas_n; i++) {
        if (st->replicas[i] == s->self) {
            continue;
        }
        const struct isr_follower *old = isr_follower(s, st->replicas[i]);
        v[n] = old && keep ? *old : unknown_follower(st->replicas[i]);
        v[n++].missing_ms = old ? old->missing_ms : ISR_NEVER;
    }
    mem_free(s->followers);
    s->followers = v;
    s->n = n;
}

void isr_lead(struct isr *s, const struct isr_state *st, int64_t end, int64_t now_ms)
{
    s->leader_epoch = st->leader_epoch;
    s->partition_epoch = st->partition_epoch;
    s->epoch_start = end;
    s->ahead = false;
    take_replicas(s, st, false);
    commit_isr(s, st->isr, st->isr_n);
    for (uint32_t i = 0; i < s->n; i++) {
        struct isr_follower *f = &s->followers[i];
        f->caught_up_ms = f->in_isr ? now_ms : ISR_NEVER;
    }
}

bool isr_set(struct isr *s, const struct isr_state *st, int64_t now_ms)
{
    ASSERT(st->leader_epoch == s->leader_epoch);
    if (st->partition_epoch < s->partition_epoch) {
        return false;
    }
    bool newer = st->partition_epoch > s->partition_epoch;
    s->partition_epoch = st->partition_epoch;
    s->ahead = false;
    take_replicas(s, st, true);
    if (!newer) { /* an answer told the ISR before, but not the replicas */
        return false;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        struct isr_follower *f = &s->followers[i];
        bool ours = s->pending && !f->proposed; /* the image was faster than the answer */
        if (f->in_isr && !ours && !id_in(st->isr, st->isr_n, f->id)) {
            bar(f);
        }
    }
    commit_isr(s, st->isr, st->isr_n);
    for (uint32_t i = 0; i < s->n; i++) {
        struct isr_follower *f = &s->followers[i];
        if (f->in_isr && f->caught_up_ms == ISR_NEVER) {
            f->caught_up_ms = now_ms; /* the controller knows more of it than we do */
        }
    }
    return true;
}

void isr_set_broker(struct isr *s, int32_t id, int64_t image_epoch, bool fenced, bool leaving)
{
    struct isr_follower *f = isr_follower(s, id);
    if (f) {
        bool alive = image_epoch != ISR_EPOCH_UNKNOWN && !fenced;
        bool same = f->image_epoch == image_epoch && f->alive == alive && f->leaving == leaving;
        if (!same) { /* that was another, or stood otherwise */
            unbar(f);
        }
        f->image_epoch = image_epoch;
        f->alive = alive;
        f->leaving = leaving;
    }
}

void isr_note_missing(struct isr_follower *f, int64_t now_ms)
{
    if (f->in_isr && f->alive) {
        f->missing_ms = ISR_NEVER;
    } else if (f->missing_ms == ISR_NEVER) {
        f->missing_ms = now_ms;
    }
}

int64_t isr_behind_since(const struct isr_follower *f, int64_t end)
{
    int64_t had = f->caught_up_ms > f->had_all_ms ? f->caught_up_ms : f->had_all_ms;
    bool lacks = f->end < end && had > ISR_NEVER;
    bool longer = lacks && (f->missing_ms == ISR_NEVER || had < f->missing_ms);
    return longer ? had : f->missing_ms;
}

/* ---- fetches ---- */

bool isr_is_stale(const struct isr_follower *f, int64_t broker_epoch)
{
    return broker_epoch != ISR_EPOCH_UNKNOWN && f->alive && broker_epoch < f->image_epoch;
}

void isr_fetched(struct isr_follower *f, int64_t broker_epoch, int64_t offset, int64_t log_start,
                 int64_t end, int64_t now_ms)
{
    int64_t as_of = offset >= end ? now_ms : offset >= f->leader_end ? f->fetched_ms : ISR_NEVER;
    f->caught_up_ms = as_of > f->caught_up_ms ? as_of : f->caught_up_ms;
    f->end = offset;
    f->start = log_start;
    f->fetch_epoch = broker_epoch;
    f->fetched_ms = now_ms;
    f->leader_end = end > f->leader_end ? end : f->leader_end;
}

void isr_stood(struct isr_follower *f, int64_t until_ms)
{
    f->caught_up_ms = until_ms > f->caught_up_ms ? until_ms : f->caught_up_ms;
}

/* ---- what follows ---- */

static bool is_caught_up(const struct isr_follower *f, int64_t end, int64_t now_ms, int64_t lag_ms)
{
    return f->end == end || now_ms - f->caught_up_ms <= lag_ms;
}

/* A fetch without an epoch (of an old version) is taken at its word, as Kafka does. */
static bool may_join(const struct isr_follower *f)
{
    return f->end != ISR_OFFSET_UNKNOWN && f->alive && !f->leaving &&
           (f->fetch_epoch == ISR_EPOCH_UNKNOWN || f->fetch_epoch == f->image_epoch);
}

int64_t isr_high_watermark(const struct isr *s, int64_t hw, int64_t own, uint32_t min_isr,
                           int64_t now_ms, int64_t lag_ms)
{
    if (s->ahead || s->isr_n < min_isr) {
        return hw;
    }
    int64_t least = own;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct isr_follower *f = &s->followers[i];
        if (f->end < least &&
            (f->in_isr || f->proposed ||
             (may_join(f) && f->refused_ms == ISR_NEVER && now_ms - f->caught_up_ms <= lag_ms))) {
            least = f->end;
        }
    }
    return least > hw ? least : hw;
}

int64_t isr_low_watermark(const struct isr *s, int64_t own)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct isr_follower *f = &s->followers[i];
        own = f->alive && f->start < own ? f->start : own;
    }
    return own;
}

/* ---- proposals ---- */

/* The committed set, and what is to be changed of it has been noted in `proposed`. */
static void begin_proposal(struct isr *s)
{
    s->pending = true;
    s->proposal++;
    for (uint32_t i = 0; i < s->n; i++) {
        s->followers[i].proposed_epoch = s->followers[i].fetch_epoch;
    }
}

bool isr_propose_join(struct isr *s, struct isr_follower *joiner, int64_t hw)
{
    if (s->pending || joiner->in_isr || !may_join(joiner) || joiner->end < hw ||
        joiner->end < s->epoch_start ||
        joiner->fetched_ms - joiner->refused_ms < joiner->again_ms) {
        return false;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        s->followers[i].proposed = s->followers[i].in_isr;
    }
    joiner->proposed = true;
    begin_proposal(s);
    return true;
}

bool isr_propose_shrink(struct isr *s, int64_t end, int64_t now_ms, int64_t lag_ms)
{
    bool any = false;
    for (uint32_t i = 0; i < s->n && !s->pending; i++) {
        const struct isr_follower *f = &s->followers[i];
        any = any || (f->in_isr && !is_caught_up(f, end, now_ms, lag_ms));
    }
    if (!any) {
        return false;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        struct isr_follower *f = &s->followers[i];
        f->proposed = f->in_isr && is_caught_up(f, end, now_ms, lag_ms);
    }
    begin_proposal(s);
    return true;
}

uint32_t isr_pending_members(const struct isr *s, int64_t self_epoch, struct isr_member *out)
{
    uint32_t n = 0;
    ASSERT(s->pending);
    out[n++] = (struct isr_member){s->self, self_epoch};
    for (uint32_t i = 0; i < s->n; i++) {
        const struct isr_follower *f = &s->followers[i];
        if (f->proposed) {
            out[n++] = (struct isr_member){f->id, f->proposed_epoch};
        }
    }
    return n;
}

bool isr_answered(struct isr *s, int32_t leader_epoch, int32_t partition_epoch, const int32_t *isr,
                  uint32_t isr_n)
{
    if (leader_epoch != s->leader_epoch || partition_epoch < s->partition_epoch) {
        return false;
    }
    s->partition_epoch = partition_epoch;
    s->ahead = s->ahead || isr_n < s->isr_n;
    commit_isr(s, isr, isr_n);
    return true;
}

void isr_refused(struct isr *s)
{
    s->pending = false;
    for (uint32_t i = 0; i < s->n; i++) {
        struct isr_follower *f = &s->followers[i];
        if (f->proposed && !f->in_isr) {
            bar(f);
            int64_t next = f->again_ms > 0 ? 2 * f->again_ms : AGAIN_MS;
            f->again_ms = next < AGAIN_MS_MAX ? next : AGAIN_MS_MAX;
        }
        f->proposed = false;
    }
}
