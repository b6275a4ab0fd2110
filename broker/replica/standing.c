#include "broker/replica/standing.h"

#include "base/mem.h"
#include "broker/config.h"
#include "broker/fetch_session.h"
#include "broker/fetch_wait.h"
#include "broker/messages.h"
#include "broker/partition_manager.h"
#include "broker/replica/isr.h"

struct watch {
    struct list node; /* partition.standing */
    int32_t replica;
    int32_t session;
    int64_t end;
    int64_t high_watermark;
    int64_t start;
    bool armed;      /* news to look at now was not told yet */
    bool marks_told; /* nor that the marks have moved */
};

struct standing_notice {
    struct msg m;
    struct list node; /* partition_manager.notices */
    int32_t session;
    uint32_t n;
    uint32_t cap;
    struct fetch_news *v;
};

/* ---- notices ---- */

static struct standing_notice *notice_of(struct partition_manager *pm, int32_t session)
{
    list_for_each (at, &pm->notices) {
        struct standing_notice *t = LIST_ENTRY(at, struct standing_notice, node);
        if (t->session == session) {
            return t;
        }
    }
    struct standing_notice *t = MEM_NEW(struct standing_notice);
    t->session = session;
    list_push_back(&pm->notices, &t->node);
    shard_defer(pm->ns->shard, &pm->notice_task);
    return t;
}

static void tell(struct partition *p, const struct watch *w, bool wake)
{
    struct standing_notice *t = notice_of(p->pm, w->session);
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 4;
        t->v = mem_realloc(t->v, t->cap * sizeof *t->v);
    }
    t->v[t->n++] = (struct fetch_news){.topic_id = p->topic->id, .index = p->index, .wake = wake};
}

static void notice_free(struct standing_notice *t)
{
    mem_free(t->v);
    mem_free(t);
}

static void deliver(struct node_shard *ns, struct standing_notice *t)
{
    fetch_session_news(ns->sessions, t->session, t->v, t->n);
    notice_free(t);
}

void standing_send(struct node_shard *ns, struct list *notices)
{
    struct list now; /* a fetch that looks may make news of its own, for the next turn */
    struct list *at;
    list_insert_before(notices->next, &now); /* takes the head's place */
    list_remove(notices);
    while ((at = list_pop_front(&now)) != NULL) {
        struct standing_notice *t = LIST_ENTRY(at, struct standing_notice, node);
        unsigned to = fetch_session_shard(t->session, ns->node->data_shards);
        if (to == ns->index) {
            deliver(ns, t);
        } else {
            t->m.kind = MSG_STANDING;
            shard_send(ns->shard, to, &t->m);
        }
    }
}

void standing_drop(struct list *notices)
{
    struct list *at;
    while ((at = list_pop_front(notices)) != NULL) {
        notice_free(LIST_ENTRY(at, struct standing_notice, node));
    }
}

void standing_on_msg(struct node_shard *ns, struct msg *m)
{
    ASSERT_ON_SHARD(ns->shard);
    deliver(ns, CONTAINER_OF(m, struct standing_notice, m));
}

/* ---- watches ---- */

static struct watch *watch_of(struct partition *p, int32_t replica)
{
    list_for_each (at, &p->standing) {
        struct watch *w = LIST_ENTRY(at, struct watch, node);
        if (w->replica == replica) {
            return w;
        }
    }
    struct watch *w = MEM_NEW(struct watch);
    w->replica = replica;
    list_push_back(&p->standing, &w->node);
    return w;
}

bool standing_arm(struct partition *p, int32_t replica, int32_t session,
                  const struct fetch_item *it)
{
    struct watch *w = watch_of(p, replica);
    if (w->armed && w->session != session) {
        tell(p, w, false); /* if that one lives it reads again, and takes the watch back */
    }
    *w = (struct watch){
        .node = w->node,
        .replica = replica,
        .session = session,
        .end = it->log_end,
        .high_watermark = it->high_watermark,
        .start = it->log_start_offset,
        .armed = true,
    };
    return it->fetch_offset == it->log_end && isr_follower(p->isr, replica)->in_isr;
}

static struct isr_follower *follower_of(const struct partition *p, const struct watch *w)
{
    return p->isr ? isr_follower(p->isr, w->replica) : NULL;
}

static void look_now(struct partition *p, struct watch *w)
{
    if (w->armed) {
        struct isr_follower *f = follower_of(p, w);
        if (f && f->end == w->end) {
            f->had_all_ms = shard_now_ms(p->pm->ns->shard);
        }
        w->armed = false;
        tell(p, w, true);
    }
}

static void stood_until_now(struct partition *p, const struct watch *w)
{
    struct isr_follower *f = follower_of(p, w);
    if (f && f->end == w->end) {
        const struct node_shard *ns = p->pm->ns;
        int64_t lag = ns->node->config->v.replica_lag_time_max_ms;
        isr_stood(f, shard_now_ms(ns->shard) - lag / 2);
    }
}

void standing_moved(struct partition *p)
{
    list_for_each (at, &p->standing) {
        struct watch *w = LIST_ENTRY(at, struct watch, node);
        if (!w->armed) {
            continue;
        }
        if (w->end != plog_end_offset(p->log)) {
            stood_until_now(p, w);
            look_now(p, w);
        } else if (!w->marks_told && (w->high_watermark != plog_high_watermark(p->log) ||
                                      w->start != plog_start_offset(p->log))) {
            w->marks_told = true;
            tell(p, w, false);
        }
    }
}

void standing_look(struct partition *p)
{
    list_for_each (at, &p->standing) {
        struct watch *w = LIST_ENTRY(at, struct watch, node);
        const struct isr_follower *f = isr_follower(p->isr, w->replica);
        if (f == NULL || !f->in_isr) {
            look_now(p, w);
        }
    }
}

void standing_news(struct partition *p, int32_t replica)
{
    list_for_each (at, &p->standing) {
        struct watch *w = LIST_ENTRY(at, struct watch, node);
        if (replica < 0 || w->replica == replica) {
            look_now(p, w);
        }
    }
}

void standing_forget(struct partition *p)
{
    struct list *at;
    standing_news(p, -1);
    while ((at = list_pop_front(&p->standing)) != NULL) {
        mem_free(LIST_ENTRY(at, struct watch, node));
    }
}
