/* Scenario `cluster`: a voter loses its disk, and comes back on an empty one under its old id
 * (docs/quorum.md). An operator asks the active controller to admit it, from some time on and again
 * and again until it is done, while whatever else may happen goes on.
 *
 * One voter a round: what is committed is on a majority, which one disk less leaves nearly one of,
 * and a round begins when all voters have everything. A node that is a broker too is left alone:
 * what a broker's lost disk may cost is another matter than what power may (cluster_run.h).
 *
 * Checked: nobody takes it for the voter that it was, nor does it lead, before somebody asked; once
 * the operator was told that it is done, everybody knows it. What it could spoil, if it were heard
 * too early, cluster_watch.c sees: two leaders of an epoch, metadata that differ or are gone. */
#include <stdio.h>

#include "broker/lifecycle.h"
#include "controller/controller_private.h"
#include "controller/peers_private.h"
#include "proto_errors.h"
#include "sim/cluster_run.h"

enum { ASK_US = 200000, FIRST_US_MAX = 6000000 };

static int64_t now_us(const struct cluster_run *cr)
{
    return cr->nr.w.sim->clock.now_us;
}

static bool is_voter(const struct cluster_run *cr, unsigned i)
{
    return cr->members[i].controller && !cr->members[i].observer;
}

/* As the voter i remembers it; NULL: its memory is not there. */
static struct peer *known_at(struct cluster_run *cr, unsigned i, const struct machine *voter)
{
    struct machine *m = &cr->nr.w.machines[i];
    struct controller *c = cluster_shows(m) ? m->node->controller : NULL;
    return c != NULL && c->peers != NULL ? peers_find(c->peers, voter->node_id) : NULL;
}

/* Whoever has never heard of a voter takes it with the first directory that it comes with. */
static bool known_everywhere(struct cluster_run *cr, const struct machine *voter)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        const struct peer *p = is_voter(cr, i) ? known_at(cr, i, voter) : NULL;
        if (p != NULL && uuid_is_zero(p->directory)) {
            return false;
        }
    }
    return true;
}

void cluster_wipe(struct cluster_run *cr, struct machine *m)
{
    struct cluster_wipe *w = &cr->wipe;
    if (cr->controllers_n < 3 || !is_voter(cr, m->index) || cr->members[m->index].broker ||
        w->spent || w->m != NULL || !known_everywhere(cr, m)) {
        return;
    }
    if (machine_up(m)) {
        machine_end(m, WORLD_OFF);
    }
    run_note(cr->nr.r, "node %d has lost its disk", m->node_id);
    machine_wipe(m, NODE_DISK_BYTES);
    *w = (struct cluster_wipe){
        .m = m,
        .spent = true,
        .ask_us = now_us(cr) + (int64_t)run_below(cr->nr.r, FIRST_US_MAX),
    };
}

/* ---- the operator ---- */

struct question {
    struct machine *to;
    const struct cluster_wipe *w;
    struct buf answer;
};

static void ask_fn(void *arg)
{
    struct question *q = arg;
    struct peer_admit what = {
        .cluster_id = BYTES_NULL, .voter = q->w->m->node_id, .directory = q->w->directory};
    struct buf frame = {0};
    peer_put_header(&frame, PEER_API_ADMIT, 1);
    peer_put_admit(&frame, &what);
    peers_handle(q->to->node->controller->peers, buf_bytes(&frame), &q->answer);
    buf_free(&frame);
}

/* What an operator may be told; all of it may pass. */
static bool passes(int16_t code)
{
    static const int16_t codes[] = {
        KE_NONE,
        KE_NOT_CONTROLLER,
        KE_INVALID_VOTER_KEY,      /* it has not come yet */
        KE_BROKER_NOT_AVAILABLE,   /* another voter is not there, */
        KE_REQUEST_TIMED_OUT,      /* or does not answer */
        KE_NOT_LEADER_OR_FOLLOWER, /* or follows another leader, */
        KE_KAFKA_STORAGE_ERROR,    /* or has a disk that fails, or is full */
        KE_INCONSISTENT_VOTER_SET, /* answered by nobody's process */
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i] == code) {
            return true;
        }
    }
    return false;
}

static void is_admitted(struct cluster_run *cr)
{
    struct cluster_wipe *w = &cr->wipe;
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        const struct peer *p = is_voter(cr, i) ? known_at(cr, i, w->m) : NULL;
        if (p != NULL && !uuid_eq(p->directory, w->directory)) {
            run_fail(cr->nr.r, "voter %d is admitted, and node %d has another directory of it",
                     w->m->node_id, cr->nr.w.machines[i].node_id);
        }
    }
    run_note(cr->nr.r, "voter %d is admitted", w->m->node_id);
    w->m = NULL;
}

static void take_answer(struct cluster_run *cr, struct bytes frame)
{
    struct arena a = {0};
    struct peer_admit_answer answer;
    RUN_CHECK(cr->nr.r, peer_take_admit_answer(frame, &a, &answer) == 0);
    if (!passes(answer.code)) {
        run_fail(cr->nr.r, "an admission is answered %d: %s", answer.code, answer.sentence);
    }
    run_note(cr->nr.r, "admission: %d %s", answer.code, answer.sentence ? answer.sentence : "");
    if (answer.done) {
        is_admitted(cr);
    }
    arena_free(&a);
}

static void ask(struct cluster_run *cr, struct machine *to)
{
    struct question q = {.to = to, .w = &cr->wipe};
    cr->wipe.asked = true;
    if (sim_proc_run(to->proc, ask_fn, &q)) {
        take_answer(cr, buf_bytes(&q.answer));
    } else {
        to->died = true;
        machine_end(to, to->how);
    }
    buf_free(&q.answer);
}

void cluster_wipe_tend(struct cluster_run *cr)
{
    struct cluster_wipe *w = &cr->wipe;
    if (w->m == NULL || (now_us(cr) < w->ask_us && !(cr->healing && !w->asked))) {
        return;
    }
    w->ask_us = now_us(cr) + ASK_US;
    if (uuid_is_zero(w->directory)) {
        struct controller *c = cluster_shows(w->m) ? w->m->node->controller : NULL;
        w->directory = c != NULL ? c->cfg.directory_id : w->directory;
        return;
    }
    struct machine *to = cluster_active(cr);
    if (to != NULL && to->paused_until_us <= now_us(cr)) {
        ask(cr, to);
    }
}

/* ---- what must hold ---- */

void cluster_wipe_look(struct cluster_run *cr)
{
    struct cluster_wipe *w = &cr->wipe;
    int32_t epoch;
    if (w->m == NULL || w->asked) {
        return;
    }
    if (cluster_shows(w->m) && w->m->node->controller != NULL && cluster_leads(w->m, &epoch)) {
        run_fail(cr->nr.r, "voter %d leads in epoch %d on a disk that nobody admitted",
                 w->m->node_id, epoch);
    }
    for (unsigned i = 0; i < cr->nr.w.machines_n && !uuid_is_zero(w->directory); i++) {
        const struct peer *p = is_voter(cr, i) ? known_at(cr, i, w->m) : NULL;
        if (p != NULL && uuid_eq(p->directory, w->directory)) {
            run_fail(cr->nr.r, "node %d hears voter %d on a disk that nobody admitted",
                     cr->nr.w.machines[i].node_id, w->m->node_id);
        }
    }
}

bool cluster_wipe_settled(struct cluster_run *cr, char *why, size_t n)
{
    if (cr->wipe.m != NULL) {
        snprintf(why, n, "voter %d is not admitted", cr->wipe.m->node_id);
        return false;
    }
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        const struct machine *m = &cr->nr.w.machines[i];
        if (is_voter(cr, i) && !known_everywhere(cr, m)) {
            snprintf(why, n, "voter %d is not known everywhere", m->node_id);
            return false;
        }
    }
    return true;
}
