/* What the owner of a voter sees: facts about it, and its callbacks, which are made when no step is
 * under way. */
#include <stdarg.h>
#include <stdio.h>

#include "controller/quorum_private.h"

/* ---- failing ---- */

void quorum_fail(struct quorum *q, const char *fmt, ...)
{
    if (q->failed) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(q->why, sizeof q->why, fmt, ap);
    va_end(ap);
    q->failed = true;
    q->tell_fatal = true;
    timer_cancel(q->shard, &q->timer);
    if (q->started) {
        shard_defer(q->shard, &q->task);
    }
}

/* ---- facts ---- */

bool quorum_is_leader(const struct quorum *q)
{
    return !q->failed && q->own_index > 0;
}

bool quorum_may_serve(const struct quorum *q)
{
    return quorum_is_leader(q) && q->commit >= q->own_index && !q->resigned;
}

int32_t quorum_leader_id(const struct quorum *q)
{
    return q->leader_id;
}

int64_t quorum_next_offset(const struct quorum *q)
{
    return metadata_log_end_offset(q->log);
}

int64_t quorum_high_watermark(const struct quorum *q)
{
    return q->high_watermark;
}

bool quorum_caught_up(const struct quorum *q)
{
    return q->leader_commit > 0 && q->commit >= q->leader_commit;
}

void quorum_resign(struct quorum *q)
{
    q->resigned = true;
}

bool quorum_busy(const struct quorum *q)
{
    return metadata_log_flushing(q->log);
}

void quorum_voter_status(const struct quorum *q, int32_t id, struct quorum_voter_status *out)
{
    *out = (struct quorum_voter_status){-1, -1, -1};
    for (size_t i = 0; i < q->voters_n; i++) {
        const struct quorum_progress *p = &q->progress[i];
        const struct quorum_recent *r = &q->recent[p->match % QUORUM_RECENT];
        if (q->voters[i] != id || p->heard_ms == 0) {
            continue;
        }
        out->heard_ms = p->heard_ms;
        out->caught_up_ms = p->caught_up_ms ? p->caught_up_ms : -1;
        if (p->match == metadata_log_last_index(q->log)) {
            out->end_offset = metadata_log_end_offset(q->log);
        } else if (r->index == p->match) {
            out->end_offset = r->next_offset;
        } else if (p->match < metadata_log_first_index(q->log) ||
                   metadata_log_end_of(q->log, p->match, &out->end_offset) != 0) {
            out->end_offset = p->match <= 1 ? 0 : -1; /* behind what the log has */
        }
    }
}

/* ---- telling the owner ---- */

void quorum_deliver(struct task *t)
{
    struct quorum *q = t->user;
    if (q->tell_lost) {
        q->tell_lost = false;
        q->cb->lost(q->user);
    }
    if (q->tell_leader && !q->closed) {
        q->tell_leader = false;
        q->cb->leader(q->user, q->leader_id, quorum_epoch(q));
    }
    if (q->tell_commit && !q->closed && !q->failed) {
        q->tell_commit = false;
        q->cb->committed(q->user, q->high_watermark);
    }
    if (!q->closed && !q->serving && quorum_may_serve(q)) {
        q->serving = true;
        q->cb->leading(q->user, quorum_epoch(q));
    }
    if (q->tell_fatal && !q->closed) {
        q->tell_fatal = false;
        q->cb->fatal(q->user, q->why);
    }
}
