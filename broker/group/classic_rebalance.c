/* The rebalance of a classic group: who starts one, how long it waits, what ends it.
 *
 *     a change -> PreparingRebalance: everybody is told to join again (Heartbeat and SyncGroup
 *     answer REBALANCE_IN_PROGRESS) -> all have, or the largest rebalance timeout of the members is
 *     over: who is missing is removed (static members stay until their session ends) -> a new
 *     generation, its protocol chosen by votes; JoinGroups are answered, the leader's with all
 *     members -> CompletingRebalance: the leader's SyncGroup is awaited (classic_sync.c)
 *
 * A group that was empty waits group.initial.rebalance.delay.ms instead, again as long as members
 * keep coming, at most the rebalance timeout: else a fleet that starts would rebalance once for
 * each member.
 *
 * Failure modes. Nobody joins again: the wait starts anew until sessions end. SyncGroups that do
 * not come: after the rebalance timeout those members are removed. Each rebalance ends in one line.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/group/classic.h"

enum { AGAIN_MS = 1000 }; /* least, before a wait that nobody has ended begins anew and ends */

static void complete(struct classic *cl, const struct group_event *ev, struct group_effects *fx);

void classic_enter(struct classic *cl, enum classic_state state, const struct group_event *ev)
{
    cl->previous = cl->state;
    cl->state = state;
    cl->state_ms = ev->now_ms;
    cl->state_wall_ms = ev->wall_ms;
}

static int32_t longest_rebalance(const struct classic *cl)
{
    int32_t max = 0;
    list_for_each (n, &cl->members) {
        const struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        max = m->rebalance_ms > max ? m->rebalance_ms : max;
    }
    return max;
}

static bool all_joined(const struct classic *cl)
{
    return cl->joins_n == cl->members_n && cl->pending.count == 0;
}

static void nobody_owes_sync(struct classic *cl)
{
    if (cl->syncs_owed > 0) {
        list_for_each (n, &cl->members) {
            classic_member_owes_sync(cl, LIST_ENTRY(n, struct classic_member, node), false);
        }
    }
    ASSERT(cl->syncs_owed == 0);
    group_timer_cancel(cl->g->c, &cl->sync_timer);
}

void classic_sync_timer_check(struct classic *cl)
{
    if (cl->syncs_owed == 0) {
        group_timer_cancel(cl->g->c, &cl->sync_timer);
    }
}

void classic_member_evict(struct classic *cl, struct classic_member *m, struct group_effects *fx)
{
    struct group_ask *join = classic_member_take_join(cl, m);
    if (join != NULL) {
        classic_join_error(fx, join, BYTES_NULL, KE_UNKNOWN_MEMBER_ID);
    }
    struct group_ask *sync = m->sync;
    if (sync != NULL) {
        m->sync = NULL;
        classic_sync_error(fx, sync, KE_UNKNOWN_MEMBER_ID);
    }
    classic_member_remove(cl, m);
}

/* ---- the line, the story ---- */

void classic_rebalance_ended(struct classic *cl, const char *state, const struct group_event *ev,
                             struct group_effects *fx)
{
    if (bytes_is_null(cl->reason)) {
        return;
    }
    group_fx_line(fx, GROUP_LINE_REBALANCE,
                  "rebalance group=\"%s\" generation=%d reason=\"%.*s\" members=%u protocol=\"%s\" "
                  "leader=\"%s\" took_ms=%" PRId64 " state=%s",
                  SHOW(cl->g->id), (int)cl->generation, BYTES_FMT(cl->reason), cl->members_n,
                  cl->protocol ? SHOW(cl->protocol->text) : "",
                  cl->leader ? SHOW(cl->leader->id) : "", ev->now_ms - cl->rebalance_ms, state);
    group_undup(cl->g->c, &cl->reason);
}

/* ---- PreparingRebalance begins ---- */

static void initial_fire(struct group_coordinator *c, struct group_timer *t,
                         const struct group_event *ev, struct group_effects *fx)
{
    struct classic *cl = CONTAINER_OF(t, struct classic, join_timer);
    int32_t delay = c->config->initial_rebalance_delay_ms;
    if (!cl->grew || cl->remaining_ms == 0) {
        complete(cl, ev, fx);
        return;
    }
    cl->grew = false;
    int32_t next = delay < cl->remaining_ms ? delay : cl->remaining_ms;
    cl->remaining_ms = cl->remaining_ms > cl->delay_ms ? cl->remaining_ms - cl->delay_ms : 0;
    cl->delay_ms = next;
    group_timer_set(c, t, ev->now_ms + next);
}

static void join_fire(struct group_coordinator *c, struct group_timer *t,
                      const struct group_event *ev, struct group_effects *fx)
{
    UNUSED(c);
    complete(CONTAINER_OF(t, struct classic, join_timer), ev, fx);
}

static void wait_for_joins(struct classic *cl, const struct group_event *ev, int32_t least_ms)
{
    int32_t longest = longest_rebalance(cl);
    cl->join_timer.fire = join_fire;
    group_timer_set(cl->g->c, &cl->join_timer,
                    ev->now_ms + (longest > least_ms ? longest : least_ms));
}

static void prepare(struct classic *cl, const char *why, const struct group_event *ev,
                    struct group_effects *fx)
{
    struct group_coordinator *c = cl->g->c;
    if (cl->state == CLASSIC_COMPLETING) {
        list_for_each (n, &cl->members) {
            classic_member_assign(LIST_ENTRY(n, struct classic_member, node), BYTES_NULL);
        }
        classic_propagate(cl, KE_REBALANCE_IN_PROGRESS, ev, fx);
        classic_rebalance_ended(cl, "PreparingRebalance", ev, fx);
    }
    nobody_owes_sync(cl);
    cl->assigning = NULL;
    bool initial = cl->state == CLASSIC_EMPTY;
    classic_enter(cl, CLASSIC_PREPARING, ev);
    group_undup(c, &cl->reason);
    cl->reason = group_dup(c, bytes_str(why));
    cl->rebalance_ms = ev->now_ms;
    story_add(cl->g, ev->wall_ms, "rebalance began after generation %d because %s",
              (int)cl->generation, why);
    if (initial) {
        int32_t delay = c->config->initial_rebalance_delay_ms, longest = longest_rebalance(cl);
        cl->grew = false;
        cl->delay_ms = delay;
        cl->remaining_ms = longest > delay ? longest - delay : 0;
        cl->join_timer.fire = initial_fire;
        group_timer_set(c, &cl->join_timer, ev->now_ms + delay);
    } else if (all_joined(cl)) {
        complete(cl, ev, fx);
    } else {
        wait_for_joins(cl, ev, 0);
    }
}

void classic_rebalance(struct classic *cl, const struct group_event *ev, struct group_effects *fx,
                       const char *why, ...)
{
    if (cl->state == CLASSIC_PREPARING) {
        classic_maybe_complete(cl, ev, fx);
        return;
    }
    char text[256];
    va_list ap;
    va_start(ap, why);
    vsnprintf(text, sizeof text, why, ap);
    va_end(ap);
    prepare(cl, text, ev, fx);
}

void classic_maybe_complete(struct classic *cl, const struct group_event *ev,
                            struct group_effects *fx)
{
    if (cl->previous != CLASSIC_EMPTY) {
        classic_complete_if_all_joined(cl, ev, fx);
    }
}

void classic_complete_if_all_joined(struct classic *cl, const struct group_event *ev,
                                    struct group_effects *fx)
{
    if (cl->state == CLASSIC_PREPARING && all_joined(cl)) {
        complete(cl, ev, fx);
    }
}

/* ---- PreparingRebalance ends ---- */

/* Dynamic members that did not join again go. */
static void remove_missing(struct classic *cl, const struct group_event *ev,
                           struct group_effects *fx)
{
    uint32_t gone = 0;
    struct group_shown first = {""};
    if (cl->joins_n == cl->members_n) {
        return;
    }
    list_for_each_safe (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        if (m->join != NULL || !bytes_is_null(m->instance)) {
            continue;
        }
        group_fx_line(fx, GROUP_LINE_EVENT,
                      "a member did not rejoin in time and was removed group=\"%s\" member=\"%s\" "
                      "client=\"%s\" host=\"%s\" last_heard_ms=%" PRId64,
                      SHOW(cl->g->id), SHOW(m->id), SHOW(m->client_id->text),
                      SHOW(m->client_host->text), ev->now_ms - m->heard_ms);
        if (gone++ == 0) {
            classic_quote_id(&first, m->id);
        }
        classic_member_remove(cl, m);
    }
    if (gone == 1) {
        story_add(cl->g, ev->wall_ms, "member %s was removed: it did not rejoin in time", first.s);
    } else if (gone > 1) {
        story_add(cl->g, ev->wall_ms,
                  "member %s and %u more were removed: they did not rejoin in time", first.s,
                  gone - 1);
    }
}

/* A leader that is not there leads nothing: the first who joined takes over. False: nobody did. */
static bool elect(struct classic *cl, const struct group_event *ev)
{
    if (cl->leader == NULL) {
        return false;
    }
    if (cl->leader->join != NULL) {
        return true;
    }
    list_for_each (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        if (m->join != NULL) {
            story_add(cl->g, ev->wall_ms, "leader %s did not rejoin: %s leads now",
                      QUOTE_ID(cl->leader->id), QUOTE_ID(m->id));
            cl->leader = m;
            return true;
        }
    }
    return false;
}

static void sync_fire(struct group_coordinator *c, struct group_timer *t,
                      const struct group_event *ev, struct group_effects *fx);

static void start_generation(struct classic *cl, const struct group_event *ev,
                             struct group_effects *fx)
{
    list_for_each (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        struct group_ask *ask = classic_member_take_join(cl, m);
        if (ask != NULL) {
            classic_join_answer(cl, m, ask, m == cl->leader, fx);
        }
        classic_member_alive(m, ev->now_ms, m->session_ms);
        m->is_new = false;
        classic_member_owes_sync(cl, m, true);
    }
    cl->sync_timer.fire = sync_fire;
    group_timer_set(cl->g->c, &cl->sync_timer, ev->now_ms + longest_rebalance(cl));
}

static void complete(struct classic *cl, const struct group_event *ev, struct group_effects *fx)
{
    struct group_coordinator *c = cl->g->c;
    ASSERT(cl->state == CLASSIC_PREPARING);
    group_timer_cancel(c, &cl->join_timer);
    remove_missing(cl, ev, fx);
    if (!elect(cl, ev) && cl->members_n > 0) {
        story_add(cl->g, ev->wall_ms, "nobody rejoined: waiting again until sessions end");
        wait_for_joins(cl, ev, AGAIN_MS); /* with a timeout of 0 it would never stop firing */
        return;
    }
    cl->generation++;
    struct group_str *chosen = cl->members_n > 0 ? classic_select_protocol(cl) : NULL;
    struct group_str *before = cl->protocol;
    cl->protocol = chosen ? group_str_get(c, chosen->text) : NULL;
    group_str_put(c, before);
    classic_read_topics(cl);
    classic_enter(cl, cl->members_n > 0 ? CLASSIC_COMPLETING : CLASSIC_EMPTY, ev);
    if (cl->state == CLASSIC_COMPLETING) {
        start_generation(cl, ev, fx);
        return;
    }
    story_add(cl->g, ev->wall_ms, "generation %d is empty: nobody is left", (int)cl->generation);
    classic_rebalance_ended(cl, "Empty", ev, fx);
    classic_write_empty(cl, fx);
}

/* ---- who is not heard of ---- */

static void sync_fire(struct group_coordinator *c, struct group_timer *t,
                      const struct group_event *ev, struct group_effects *fx)
{
    UNUSED(c);
    struct classic *cl = CONTAINER_OF(t, struct classic, sync_timer);
    struct group_shown first = {""};
    uint32_t gone = 0;
    ASSERT(cl->state == CLASSIC_COMPLETING || cl->state == CLASSIC_STABLE);
    list_for_each_safe (n, &cl->members) {
        struct classic_member *m = LIST_ENTRY(n, struct classic_member, node);
        if (m->owes_sync) {
            group_fx_line(fx, GROUP_LINE_EVENT,
                          "a member sent no SyncGroup and was removed group=\"%s\" member=\"%s\" "
                          "client=\"%s\" host=\"%s\" generation=%d",
                          SHOW(cl->g->id), SHOW(m->id), SHOW(m->client_id->text),
                          SHOW(m->client_host->text), (int)cl->generation);
            if (gone++ == 0) {
                classic_quote_id(&first, m->id);
            }
            classic_member_evict(cl, m, fx);
        }
    }
    ASSERT(gone > 0);
    if (gone == 1) {
        classic_rebalance(cl, ev, fx, "member %s sent no SyncGroup", first.s);
    } else {
        classic_rebalance(cl, ev, fx, "member %s and %u more sent no SyncGroup", first.s, gone - 1);
    }
}

void classic_session_fire(struct group_coordinator *c, struct group_timer *t,
                          const struct group_event *ev, struct group_effects *fx)
{
    struct classic_member *m = CONTAINER_OF(t, struct classic_member, session);
    struct classic *cl = m->g->classic;
    if (m->due_ms > ev->now_ms) {
        group_timer_set(c, t, m->due_ms);
        return;
    }
    if (!m->is_new && (m->join != NULL || m->sync != NULL)) {
        return; /* it waits for us; the answer starts its session again */
    }
    struct group_shown who = {""};
    classic_quote_id(&who, m->id);
    int64_t quiet = ev->now_ms - m->heard_ms;
    group_fx_line(fx, GROUP_LINE_EVENT,
                  "a member timed out group=\"%s\" member=\"%s\" client=\"%s\" host=\"%s\" "
                  "session_ms=%d last_heard_ms=%" PRId64 " state=%s",
                  SHOW(m->g->id), SHOW(m->id), SHOW(m->client_id->text), SHOW(m->client_host->text),
                  (int)m->session_ms, quiet, classic_state_name(m->g));
    story_add(m->g, ev->wall_ms,
              "member %s (client %s, %s) left because its %s of %d ms timed out: last heard "
              "%" PRId64 " ms ago",
              who.s, QUOTE(m->client_id->text), SHOW(m->client_host->text),
              m->is_new ? "first JoinGroup" : "session",
              m->is_new ? (int)CLASSIC_NEW_MEMBER_MS : (int)m->session_ms, quiet);
    classic_member_evict(cl, m, fx);
    if (cl->state == CLASSIC_PREPARING) {
        classic_complete_if_all_joined(cl, ev, fx);
    } else {
        classic_rebalance(cl, ev, fx, "member %s timed out", who.s);
    }
}

void classic_pending_fire(struct group_coordinator *c, struct group_timer *t,
                          const struct group_event *ev, struct group_effects *fx)
{
    UNUSED(c);
    struct classic_pending *p = CONTAINER_OF(t, struct classic_pending, timer);
    struct group *g = p->g;
    struct classic *cl = g->classic;
    story_add(g, ev->wall_ms, "member id %s was given out and did not come back within %d ms",
              QUOTE_ID(p->id), (int)p->session_ms);
    classic_pending_remove(cl, p);
    classic_complete_if_all_joined(cl, ev, fx);
    group_release(g);
}
