#include "tools/mover.h"

#include <stdio.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/clock.h"
#include "tools/reassignment.h"

/* ---- what there is to do ---- */

static struct replica_set set_of(const struct plan_part *part, struct view_ids ids)
{
    return (struct replica_set){.topic = part->topic->name,
                                .partition = part->index,
                                .replicas = ids.v,
                                .replicas_n = ids.n};
}

static const struct view_partition *seen(const struct plan_part *part)
{
    return &part->topic->partitions[part->index];
}

static bool is_waited_for(const struct mover *m, const struct view_partition *v)
{
    return (v->adding.n || v->removing.n) &&
           (m->broker < 0 || view_ids_has(v->removing, m->broker));
}

/* What is to be begun, and all that is to be waited for. Both are sorted as the plan is. */
static void collect(struct mover *m, const struct plan *p, struct replica_sets *targets,
                    struct replica_sets *all)
{
    struct arena *a = &m->c->arena;
    *targets = (struct replica_sets){ARENA_ARRAY(a, struct replica_set, p->parts_n + 1), 0};
    *all = (struct replica_sets){ARENA_ARRAY(a, struct replica_set, p->parts_n + 1), 0};
    for (int32_t i = 0; i < p->parts_n; i++) {
        const struct plan_part *part = &p->parts[i];
        if (plan_moves(part)) {
            targets->v[targets->n++] = all->v[all->n++] = set_of(part, part->to);
        } else if (is_waited_for(m, seen(part))) {
            all->v[all->n++] = set_of(part, part->from);
        }
    }
    m->begun = (int32_t)targets->n;
    m->found = (int32_t)(all->n - targets->n);
}

bool mover_has_work(const struct mover *m, const struct plan *p)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        if (plan_moves(&p->parts[i]) || is_waited_for(m, seen(&p->parts[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- moving ---- */

static void tell_refused(struct mover *m, const struct replica_sets *targets)
{
    for (size_t i = 0; i < targets->n; i++) {
        const struct replica_set *s = &targets->v[i];
        char text[300];
        if (s->error == KE_UNKNOWN_TOPIC_OR_PARTITION) {
            m->refused--; /* it was deleted: nothing is left to move */
        } else if (s->error) {
            fprintf(stderr, "%.*s-%d cannot be moved: %s\n", BYTES_FMT(s->topic), s->partition,
                    client_error_text(s->error, s->message, text, sizeof text));
        }
    }
}

/* A broker that replicas still go to, and that is fenced; -1: none, or nobody tells. */
static int32_t receiver_down(struct client *c, const struct reassign_watch *w)
{
    if (client_cluster_refresh(c, true)) {
        return -1;
    }
    for (size_t i = 0; i < w->copies_n; i++) {
        for (int32_t k = 0; !w->copies[i].done && k < c->cluster->brokers_n; k++) {
            if (c->cluster->brokers[k].broker_id == w->copies[i].broker &&
                c->cluster->brokers[k].is_fenced) {
                return w->copies[i].broker;
            }
        }
    }
    return -1;
}

static bool gives_up(struct client *c, const struct reassign_watch *w, void *user)
{
    struct mover *m = user;
    int32_t down = receiver_down(c, w);
    if (down != m->down) {
        m->down = down;
        m->down_since_ms = steady_ms();
    }
    return down >= 0 && steady_ms() - m->down_since_ms >= m->patience_ms;
}

static int move(struct mover *m, struct replica_sets *targets, const struct replica_sets *all)
{
    struct reassign_watch w;
    m->down = -1;
    int rv = targets->n ? reassign_alter(m->c, targets, true, &m->refused) : 0;
    if (rv) {
        return rv;
    }
    tell_refused(m, targets);
    rv = reassign_watch_begin(m->c, &w, all, NULL, 0);
    w.throttle = m->throttle;
    w.gives_up = gives_up;
    w.user = m;
    rv = rv ? rv : reassign_wait(m->c, &w);
    return rv == 0 && w.given_up
               ? errmsg_set(&m->c->error, ERR_TIMEOUT,
                            "Broker %d, to which replicas are moving, is down", m->down)
               : rv;
}

/* ---- leaders ---- */

int mover_elect_all(struct mover *m)
{
    struct elect_leaders_response *resp;
    return reassign_elect(m->c, ELECT_PREFERRED, NULL, &resp);
}

/* Of what was moved alone. That some are led already, or cannot be yet, is no matter: the
 * controllers look again by themselves. */
static void elect_moved(struct mover *m, const struct replica_sets *moved)
{
    struct elect_leaders_response *resp;
    (void)reassign_elect(m->c, ELECT_PREFERRED, moved, &resp);
}

int mover_run(struct mover *m, const struct plan *p)
{
    struct replica_sets targets, all;
    m->refused = 0;
    collect(m, p, &targets, &all);
    int rv = mover_throttle_set(m, p->view, &all);
    rv = rv ? rv : move(m, &targets, &all);
    if (rv == 0) {
        mover_throttle_clear(m);
    }
    if (rv == 0 && targets.n) {
        elect_moved(m, &targets);
    }
    return rv;
}

int mover_cancel(struct mover *m, const struct view *v, int32_t *n)
{
    struct replica_sets targets, all;
    struct plan p;
    plan_begin(&p, &m->c->arena, v);
    collect(m, &p, &targets, &all); /* nothing is planned: what moves */
    *n = (int32_t)all.n;
    m->others = m->broker < 0 ? 0 : v->moves - *n;
    m->throttle = 0;
    int rv = mover_throttle_learn(m, v, &all);
    for (size_t i = 0; i < all.n; i++) {
        all.v[i].replicas = NULL;
        all.v[i].replicas_n = -1;
    }
    rv = rv || all.n == 0 ? rv : reassign_alter(m->c, &all, true, &m->refused);
    if (rv == 0) {
        tell_refused(m, &all);
    }
    if (rv == 0 && m->others == 0) {
        mover_throttle_clear(m);
    }
    return rv ? rv : mover_throttle_left(m, v);
}
