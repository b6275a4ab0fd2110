/* What the active controller decides without being asked: brokers whose sessions are over, records
 * that keep the log alive, leaders that return to where they belong, and the rest of what was too
 * much for one decision. Each decision is bounded (DECISION_STEP) and the next one comes from a
 * later turn of the shard, so that heartbeats and the quorum never wait behind it.
 *
 * Preferred leaders are looked at every leader.imbalance.check.interval.seconds: all partitions
 * that are not led by their first replica, whatever their share (Kafka dropped its percentage). */
#include <stdio.h>

#include "controller/controller_private.h"
#include "proto_messages.h"

enum { SILENT_PART = 3 }; /* of a session without a heartbeat */

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

/* ---- brokers that may be dead ---- */

static bool probe_target(void *user, int32_t broker, struct probe_target *out)
{
    struct controller *c = user;
    const struct image_broker *b = c->active ? image_broker(c->newest, broker) : NULL;
    if (b == NULL || b->fenced || b->id == c->cfg.node_id || b->endpoints_n == 0) {
        return false;
    }
    const struct image_endpoint *e =
        c->cfg.inter_broker_listener
            ? image_broker_endpoint(b, bytes_str(c->cfg.inter_broker_listener))
            : NULL;
    e = e ? e : &b->endpoints[0];
    if (e->host.len >= sizeof out->host) {
        return false;
    }
    out->epoch = b->epoch;
    out->port = e->port;
    snprintf(out->host, sizeof out->host, "%.*s", BYTES_FMT(e->host));
    return true;
}

static int32_t probe_next(void *user, int32_t after)
{
    const struct controller *c = user;
    for (int32_t i = 0; c->active && i < c->newest->brokers_n; i++) {
        const struct image_broker *b = c->newest->brokers[i];
        if (b->id > after && !b->fenced && b->id != c->cfg.node_id) {
            return b->id;
        }
    }
    return -1;
}

static void decide_dead(struct controller *c, struct decision *d)
{
    if (decide_fence_dead(d, c->dead_broker, c->dead_epoch)) {
        log_warn(c->log, "controller",
                 "nobody listens at a broker's address any more: its session is over broker=%d "
                 "epoch=%lld",
                 (int)c->dead_broker, (long long)c->dead_epoch);
    }
}

static void probe_dead(void *user, int32_t broker, int64_t epoch)
{
    struct controller *c = user;
    c->dead_broker = broker;
    c->dead_epoch = epoch;
    controller_append_own(c, decide_dead);
}

static const struct broker_probe_ops probe_ops = {
    .target = probe_target, .next = probe_next, .dead = probe_dead};

/* Heartbeats that stay away are a hint, too. */
static void hint_silent(struct controller *c, int64_t now)
{
    for (size_t i = 0; i < c->sessions.n; i++) {
        const struct session_of_broker *s = &c->sessions.v[i];
        if (now - s->contact_ms > c->cfg.session_timeout_ms / SILENT_PART) {
            broker_probe_hint(c->probe, s->broker);
        }
    }
}

/* ---- by time ---- */

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
    c->probe = broker_probe_new(c->shard, &probe_ops, c);
}

void controller_tasks_lead(struct controller *c)
{
    int64_t now = shard_now_ms(c->shard);
    c->preferred_ms = now + c->cfg.imbalance_interval_ms;
    c->leaderless_ms = now + c->cfg.unclean_interval_ms;
    controller_elections_lead(c);
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
    broker_probe_clear(c->probe);
}

void controller_tasks_free(struct controller *c)
{
    controller_tasks_stop(c);
    broker_probe_free(c->probe);
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
    controller_elections_tick(c);
    hint_silent(c, now);
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
