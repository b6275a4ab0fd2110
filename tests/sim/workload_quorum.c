/* Scenario `quorum`: 3 or 5 voters alone (quorum_run.h), through kills, power losses, pauses, cuts
 * in one direction or both, failing disks, and messages that are late, lost, doubled and out of
 * order.
 *
 * A run is one to three rounds of some virtual seconds with faults. Then the faults end (what is
 * still on its way arrives all the same), and within a bounded time one voter leads, and what it
 * appends from now on is committed by all. At last all stop in order, start, and do it once more.
 */
#include <stdio.h>

#include "base/mem.h"
#include "sim/hooks.h"
#include "sim/quorum_run.h"

/* A snapshot that was lost is offered again after 5 s. */
enum { HEAL_LIMIT_US = 30000000, PROBE_US = 50000, DIE_CALLS = 200 };

/* ---- steps ---- */

static void step(struct quorum_run *qr)
{
    struct sim_clock *clock = &qr->r->sim->clock;
    int64_t next = sim_clock_next(clock);
    int64_t due[QUORUM_VOTERS_MAX];
    sim_clock_run_due(clock);
    for (unsigned i = 0; i < qr->voters_n; i++) {
        due[i] = quorum_voter_due(&qr->voters[i]);
        next = due[i] < next ? due[i] : next;
    }
    if (next > clock->now_us) {
        clock->now_us = next;
        sim_clock_run_due(clock);
    }
    unsigned from = (unsigned)run_below(qr->r, qr->voters_n);
    for (unsigned i = 0; i < qr->voters_n; i++) {
        struct quorum_voter *v = &qr->voters[(from + i) % qr->voters_n];
        if (quorum_voter_due(v) > clock->now_us) {
            continue;
        }
        if (v->proc == NULL) {
            quorum_voter_start(v);
        } else {
            quorum_voter_turn(v);
        }
    }
}

static void tick(struct sim_event *ev)
{
    UNUSED(ev); /* time does not jump past it */
}

void quorum_run_for(struct quorum_run *qr, int64_t us)
{
    struct sim_clock *clock = &qr->r->sim->clock;
    int64_t until = clock->now_us + us;
    sim_event_init(&qr->tick, tick, NULL);
    while (clock->now_us < until) {
        if (!sim_event_is_set(&qr->tick)) {
            sim_clock_at(clock, &qr->tick, until);
        }
        step(qr);
    }
    sim_clock_cancel(clock, &qr->tick);
}

/* ---- faults ---- */

struct quorum_voter *quorum_serving(struct quorum_run *qr)
{
    for (unsigned i = 0; i < qr->voters_n; i++) {
        if (qr->voters[i].q != NULL && quorum_may_serve(qr->voters[i].q)) {
            return &qr->voters[i];
        }
    }
    return NULL;
}

static void fell(struct quorum_run *qr, struct quorum_voter *v)
{
    struct run *r = qr->r;
    bool power = qr->p.power && (!qr->p.kill || run_chance(r, 50));
    if (v->proc == NULL || v->paused_until_us > quorum_now_us(qr)) {
        return;
    }
    if (qr->p.mid_call && run_chance(r, 50)) {
        v->how = power ? QUORUM_POWER : QUORUM_KILL;
        sim_proc_die_in(v->proc, run_between(r, 1, DIE_CALLS));
    } else if (qr->p.kill || qr->p.power) {
        quorum_voter_end(v, power);
    }
}

static void cut(struct quorum_run *qr, int32_t a)
{
    struct run *r = qr->r;
    int32_t b = qr->ids[run_below(r, qr->voters_n)];
    bool sends = run_chance(r, 70);
    bool hears = !sends || run_chance(r, 50);
    bool all = run_chance(r, 50);
    for (unsigned i = 0; i < qr->voters_n; i++) {
        int32_t other = qr->ids[i];
        if (all || other == b) {
            qr->cut[a][other] |= sends;
            qr->cut[other][a] |= hears;
        }
    }
    run_note(r, "voter %d is cut off from %s%d:%s%s", a, all ? "all, not only " : "", b,
             sends ? " it is not heard" : "", hears ? " it hears nothing" : "");
}

/* It hears all and is heard by nobody, for a while; meanwhile the leader changes. */
static void unheard(struct quorum_run *qr, struct quorum_voter *leader)
{
    struct run *r = qr->r;
    struct quorum_voter *v = &qr->voters[run_below(r, qr->voters_n)];
    for (unsigned i = 0; i < qr->voters_n; i++) {
        qr->cut[v->id][qr->ids[i]] = true;
    }
    run_note(r, "voter %d is not heard", v->id);
    if (leader != v && leader->proc != NULL) {
        quorum_voter_end(leader, false);
    }
    quorum_run_for(qr, 4000 * qr->p.election_ms + (int64_t)run_below(r, 2000000));
    memset(qr->cut, 0, sizeof(qr->cut));
    quorum_run_for(qr, 1000 * qr->p.election_ms);
}

static void mend_cuts(struct quorum_run *qr)
{
    memset(qr->cut, 0, sizeof(qr->cut));
    run_note(qr->r, "no cuts");
}

static void disk(struct quorum_run *qr, struct quorum_voter *v)
{
    struct run *r = qr->r;
    struct sim_disk_faults *f = &v->host->disk->faults;
    if (qr->p.eio && run_chance(r, 20)) {
        uint64_t n = run_between(r, 1, 50);
        *(run_chance(r, 50) ? &f->write_eio_in : &f->fsync_eio_in) = n;
        return;
    }
    f->fsync_us_max = (uint32_t)run_between(r, 300, 100000);
    f->writeback_ppm = run_chance(r, 50) ? 200000 : 0;
    f->journal_ppm = run_chance(r, 50) ? 200000 : 0;
}

static void blow(struct quorum_run *qr)
{
    struct run *r = qr->r;
    struct quorum_voter *leader = quorum_serving(qr);
    bool aimed = leader != NULL && run_chance(r, 40); /* so that there are many terms */
    struct quorum_voter *v = aimed ? leader : &qr->voters[run_below(r, qr->voters_n)];
    if (qr->p.kind == QUORUM_UNHEARD && run_chance(r, 70)) {
        unheard(qr, v);
        return;
    }
    switch (run_below(r, 8)) {
    case 0:
    case 1:
        fell(qr, v);
        break;
    case 2:
    case 3:
        if (qr->p.pause) {
            v->paused_until_us = quorum_now_us(qr) +
                                 (int64_t)run_between(r, 1000, 20000 * (uint64_t)qr->p.election_ms);
            run_note(r, "voter %d stands still", v->id);
        }
        break;
    case 4:
    case 5:
        if (qr->p.cuts) {
            cut(qr, v->id);
        }
        break;
    case 6:
        mend_cuts(qr);
        break;
    default:
        disk(qr, v);
    }
}

/* ---- rounds ---- */

static void work(struct quorum_run *qr)
{
    int64_t until = quorum_now_us(qr) + 2000000 + (int64_t)run_below(qr->r, 8000000);
    qr->calm = false;
    while (quorum_now_us(qr) < until) {
        quorum_run_for(qr, (int64_t)run_between(qr->r, 1000, (uint64_t)qr->p.fault_us_max));
        blow(qr);
    }
}

static bool is_play(const struct quorum_run *qr)
{
    enum quorum_kind k = qr->p.kind;
    return k == QUORUM_PLAY_A || k == QUORUM_PLAY_J || k == QUORUM_PLAY_I || k == QUORUM_PLAY_K ||
           k == QUORUM_PLAY_SLOW;
}

/* A majority is enough to go on with: the others may stay down until it has. */
static void keep_down(struct quorum_run *qr)
{
    if (is_play(qr)) {
        return;
    }
    unsigned n = (unsigned)run_below(qr->r, (qr->voters_n + 1) / 2);
    for (; n > 0; n--) {
        struct quorum_voter *v = &qr->voters[run_below(qr->r, qr->voters_n)];
        if (v->proc != NULL) {
            quorum_voter_end(v, false);
        }
        v->up_at_us = INT64_MAX;
    }
}

static void calm_down(struct quorum_run *qr)
{
    qr->calm = true;
    mend_cuts(qr);
    qr->p.drop_percent = qr->p.twice_percent = qr->p.late_percent = 0;
    qr->p.again_percent = qr->p.snapshots_late = qr->p.votes_lost = 0;
    qr->p.append_percent = 100;
    qr->p.delay_us_max = 1000;
    for (unsigned i = 0; i < qr->voters_n; i++) {
        struct quorum_voter *v = &qr->voters[i];
        v->host->disk->faults = sim_disk_no_faults();
        v->paused_until_us = 0;
        v->up_at_us = is_play(qr) ? v->up_at_us : 0;
        if (v->proc != NULL) {
            sim_proc_die_in(v->proc, 0);
        }
    }
    run_note(qr->r, "faults end");
}

struct probe {
    struct quorum_voter *v;
    int64_t end; /* -1: it did not lead any more */
};

static void probe_fn(void *arg)
{
    struct probe *p = arg;
    if (!quorum_voter_append(p->v, &p->end)) {
        p->end = -1;
    }
}

/* All that are to run have committed what is below the offset. False: why says who has not. */
static bool all_have(struct quorum_run *qr, int64_t offset, char *why, size_t n)
{
    for (unsigned i = 0; i < qr->voters_n; i++) {
        const struct quorum_voter *v = &qr->voters[i];
        int64_t hw = v->q ? quorum_high_watermark(v->q) : -1;
        if (hw < offset && v->up_at_us != INT64_MAX) {
            snprintf(why, n, "voter %d has committed %lld, not %lld", v->id, (long long)hw,
                     (long long)offset);
            return false;
        }
    }
    return true;
}

/* Until what one appended from now on is committed by all that run. */
static void go_on(struct quorum_run *qr)
{
    struct probe p = {.end = -1};
    char why[100] = "nobody leads";
    int64_t until = quorum_now_us(qr) + HEAL_LIMIT_US;
    while (p.end < 0 || !all_have(qr, p.end, why, sizeof(why))) {
        if (quorum_now_us(qr) > until) {
            run_fail(qr->r, "half a minute after the last fault: %s", why);
        }
        quorum_run_for(qr, PROBE_US);
        p.v = quorum_serving(qr);
        if (p.end < 0 && p.v != NULL) {
            sim_proc_run(p.v->proc, probe_fn, &p);
        }
    }
    run_note(qr->r, "all that run have %lld", (long long)p.end);
}

static void heal(struct quorum_run *qr)
{
    struct quorum_profile before = qr->p;
    calm_down(qr);
    keep_down(qr);
    go_on(qr);
    for (unsigned i = 0; i < qr->voters_n; i++) {
        qr->voters[i].up_at_us = 0;
    }
    go_on(qr);
    qr->p = before;
}

/* ---- making ---- */

static void draw_network(struct run *r, struct quorum_profile *p)
{
    p->drop_percent = run_chance(r, 50) ? (unsigned)run_between(r, 1, 30) : 0;
    p->twice_percent = run_chance(r, 50) ? (unsigned)run_between(r, 1, 50) : 0;
    p->late_percent = run_chance(r, 60) ? (unsigned)run_between(r, 1, 40) : 0;
    p->delay_us_max = (int64_t)run_between(r, 100, run_chance(r, 30) ? 300000 : 20000);
    p->again_percent = run_chance(r, 50) ? 50 : p->late_percent;
    p->snapshots_late = run_chance(r, 50) ? 50 : p->late_percent;
    p->votes_lost = run_chance(r, 20) ? 50 : 0;
    p->late_us_max = (int64_t)run_between(r, 400000, 5000000);
}

static struct quorum_profile draw(struct run *r)
{
    struct quorum_profile p = {.kind = (enum quorum_kind)(r->seed % QUORUM_KINDS),
                               .append_percent = run_chance(r, 70) ? 100 : 10,
                               .kill = run_chance(r, 60),
                               .power = run_chance(r, 50),
                               .mid_call = run_chance(r, 50),
                               .pause = run_chance(r, 50),
                               .cuts = run_chance(r, 60),
                               .eio = run_chance(r, 15),
                               .hand_over = run_chance(r, 40)};
    draw_network(r, &p);
    p.chore_us_max = 5000 + (int64_t)run_below(r, 200000);
    p.fault_us_max = 20000 + (int64_t)run_below(r, 1000000);
    p.down_us_max = 10000 + (int64_t)run_below(r, 3000000);
    p.election_ms = 100 + (int64_t)run_below(r, 400);
    return p;
}

/* Each voter's own: most keep much, some next to nothing behind their snapshots. */
static void draw_voter(struct quorum_voter *v)
{
    struct run *r = v->qr->r;
    enum quorum_kind kind = v->qr->p.kind;
    bool slow = kind == QUORUM_PLAY_SLOW; /* a segment for each batch would be five flushes */
    bool little = kind == QUORUM_PLAY_A || (!slow && run_chance(r, 50));
    v->snapshot_percent =
        little || (!slow && run_chance(r, 30)) ? 5 + (unsigned)run_below(r, 50) : 0;
    v->segment_bytes = little ? 200 + (int64_t)run_below(r, 1000) : 1 << 30;
    v->retention_bytes = little ? 1 + (int64_t)run_below(r, 1000) : -1;
}

static void make(struct quorum_run *qr)
{
    struct run *r = qr->r;
    run_world(r, false);
    qr->p = draw(r);
    qr->voters_n = is_play(qr) || run_chance(r, 70) ? 3 : 5;
    list_init(&qr->held);
    quorum_model_init(&qr->model, r, qr->voters_n);
    for (unsigned i = 0; i < qr->voters_n; i++) {
        qr->ids[i] = (int32_t)i + 1;
    }
    for (unsigned i = 0; i < qr->voters_n; i++) {
        quorum_voter_init(qr, qr->ids[i]);
        draw_voter(&qr->voters[i]);
    }
    run_note(r,
             "%u voters, election %lld ms, delays up to %lld us, dropped %u%%, twice %u%%, late "
             "%u%%",
             qr->voters_n, (long long)qr->p.election_ms, (long long)qr->p.delay_us_max,
             qr->p.drop_percent, qr->p.twice_percent, qr->p.late_percent);
}

static void stop_all(struct quorum_run *qr)
{
    for (unsigned i = 0; i < qr->voters_n; i++) {
        quorum_voter_stop(&qr->voters[i]);
    }
}

static void run_quorum(struct run *r)
{
    struct quorum_run *qr = MEM_NEW(struct quorum_run);
    qr->r = r;
    make(qr);
    for (uint64_t k = is_play(qr) ? 1 : 1 + run_below(r, 3); k > 0; k--) {
        is_play(qr) ? quorum_play(qr) : work(qr);
        heal(qr);
    }
    stop_all(qr);
    heal(qr);
    stop_all(qr);
    run_note(r,
             "%llu terms, %llu entries committed, %llu appended, %llu messages, %llu starts, "
             "%llu snapshots, %llu installed, %llu breaches",
             (unsigned long long)qr->model.terms, (unsigned long long)qr->model.committed.last,
             (unsigned long long)qr->count.appended, (unsigned long long)qr->count.sent,
             (unsigned long long)qr->count.starts, (unsigned long long)qr->count.snapshots,
             (unsigned long long)qr->count.installs, (unsigned long long)hooks_struck());
    quorum_model_free(&qr->model);
    arena_free(&qr->arena);
}

const struct scenario scenario_quorum = {
    .name = "quorum",
    .what = "voters of the metadata quorum alone: late, lost and doubled messages, kill, power",
    .run = run_quorum,
    .mutants = MUTANT_BIT(MUTANT_VOTE) | MUTANT_BIT(MUTANT_GUARD_A) | MUTANT_BIT(MUTANT_GUARD_BC) |
               MUTANT_BIT(MUTANT_GUARD_J) | MUTANT_BIT(MUTANT_GUARD_I) |
               MUTANT_BIT(MUTANT_GUARD_K) | MUTANT_BIT(MUTANT_FSYNC) | MUTANT_BIT(MUTANT_KILL),
};
