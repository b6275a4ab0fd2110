/* What the active controller decides without being asked: brokers whose sessions are over, records
 * that keep the log alive, leaders that return to where they belong, and the rest of what was too
 * much for one decision. Each decision is bounded (DECISION_STEP) and the next one comes from a
 * later turn of the shard, so that heartbeats and the quorum never wait behind it.
 *
 * Preferred leaders are looked at every leader.imbalance.check.interval.seconds: all partitions
 * that are not led by their first replica, whatever their share (Kafka dropped its percentage). */
#include "controller/controller_private.h"
#include "proto_messages.h"

static void decide_expired(struct controller *c, struct decision *d)
{
    UNUSED(c);
    decide_fence_expired(d);
}

static void decide_noop(struct controller *c, struct decision *d)
{
    struct no_op_record r;
    UNUSED(c);
    proto_msg_init(&no_op_record_msg, &r);
    decision_add(d, &no_op_record_msg, 0, &r);
}

static void decide_rest(struct controller *c, struct decision *d)
{
    UNUSED(c);
    decide_more(d);
}

static void decide_preferred(struct controller *c, struct decision *d)
{
    bool more = decide_preferred_leaders(d, d->step);
    c->preferred_ms = d->now_ms + (more ? 0 : c->cfg.imbalance_interval_ms);
    if (d->n > 0) {
        log_info(c->log, "controller", "leaders return to their first replicas partitions=%zu",
                 d->n);
    }
}

static void on_work(struct timer *t)
{
    struct controller *c = t->user;
    if (c->active && !c->stopping && !c->failed) {
        controller_append_own(c, decide_rest);
    }
}

void controller_tasks_init(struct controller *c)
{
    c->work = (struct timer){.cb = on_work, .user = c};
}

void controller_tasks_lead(struct controller *c)
{
    int64_t now = shard_now_ms(c->shard);
    c->preferred_ms = now + c->cfg.imbalance_interval_ms;
    c->leaderless_ms = now + c->cfg.unclean_interval_ms;
    c->sessions.leaderless = c->sessions.more = true; /* an earlier leader may have left some */
    controller_tasks_more(c);
}

void controller_tasks_more(struct controller *c)
{
    if (c->active && !c->stopping && c->sessions.more && !timer_is_set(&c->work)) {
        timer_set(c->shard, &c->work, shard_now_ms(c->shard));
    }
}

void controller_tasks_stop(struct controller *c)
{
    timer_cancel(c->shard, &c->work);
}

/* One broker a decision: the next one must see what became of the first. */
static void fence_expired(struct controller *c)
{
    int64_t before;
    do {
        before = quorum_next_offset(c->quorum);
        controller_append_own(c, decide_expired);
    } while (c->active && !c->failed && quorum_next_offset(c->quorum) > before);
}

void controller_tasks_tick(struct controller *c)
{
    int64_t now = shard_now_ms(c->shard);
    fence_expired(c);
    if (c->active && c->cfg.auto_leader_rebalance && now >= c->preferred_ms) {
        controller_append_own(c, decide_preferred);
    }
    if (now >= c->leaderless_ms) {
        c->leaderless_ms = now + c->cfg.unclean_interval_ms;
        c->sessions.leaderless = c->sessions.more = c->active;
        controller_tasks_more(c);
    }
    if (c->active && c->cfg.idle_interval_ms > 0 &&
        now - c->appended_ms >= c->cfg.idle_interval_ms) {
        controller_append_own(c, decide_noop);
    }
}
