/* Scenario `quorum`: messages from voter to voter (quorum_run.h). What a message says of its sender
 * is checked when it is sent: by then all that it promises must be durable. */
#include "base/mem.h"
#include "sim/quorum_run.h"

static const char cluster[] = "MkU3OEVBNTcwNTJENDM2Qk";

/* ---- sending ---- */

static void check(struct quorum_voter *from, const struct quorum_message *m)
{
    struct quorum_model *model = &from->qr->model;
    quorum_model_speaks(model, from->id, m->sender_term);
    switch (m->type) {
    case QUORUM_APPEND:
    case QUORUM_SNAPSHOT:
    case QUORUM_TIMEOUT_NOW:
        quorum_model_leads(model, from->id, m->term);
        break;
    case QUORUM_VOTE:
        if (!m->pre_vote) {
            quorum_model_votes(model, from->id, m->term, from->id);
        }
        break;
    case QUORUM_VOTE_RESULT:
        if (!m->pre_vote && m->granted) {
            quorum_model_votes(model, from->id, m->term, m->to);
        }
        break;
    case QUORUM_APPEND_RESULT:
        break;
    }
}

static void on_arrive(struct sim_event *se)
{
    struct flight *f = se->user;
    struct quorum_voter *v = quorum_voter_of(f->qr, f->to);
    if (v->proc == NULL) { /* nobody is there */
        buf_free(&f->bytes);
        mem_free(f);
        return;
    }
    list_push_back(&v->inbox, &f->node);
}

static struct flight *load(struct quorum_voter *from, const struct quorum_message *m)
{
    struct quorum_run *qr = from->qr;
    struct flight *f = MEM_NEW(struct flight);
    struct peer_names names = {.cluster_id = bytes_str(cluster),
                               .from = m->from,
                               .to = m->to,
                               .voters = qr->ids,
                               .voters_n = qr->voters_n};
    f->qr = qr;
    f->to = m->to;
    peer_put_header(&f->bytes, PEER_API_MESSAGE, 0);
    peer_put_message(&f->bytes, &names, m);
    sim_event_init(&f->moves, on_arrive, f);
    return f;
}

static void fly(struct quorum_voter *from, const struct quorum_message *m, int64_t delay_us)
{
    struct flight *f = load(from, m);
    sim_clock_after(&f->qr->r->sim->clock, &f->moves, delay_us);
}

/* As a play wants it. */
static void obey(struct quorum_voter *from, const struct quorum_message *m)
{
    struct quorum_run *qr = from->qr;
    enum quorum_fate fate = qr->fate(qr, m);
    if (fate == QUORUM_HELD || fate == QUORUM_COPIED) {
        list_push_back(&qr->held, &load(from, m)->node);
        qr->held_n++;
    }
    if (fate == QUORUM_PASSES || fate == QUORUM_COPIED) {
        fly(from, m, 1000);
    }
}

void quorum_carrier_release(struct quorum_run *qr)
{
    struct flight *f = LIST_ENTRY(list_pop_front(&qr->held), struct flight, node);
    sim_clock_after(&qr->r->sim->clock, &f->moves, 1);
    qr->held_n--;
}

static int64_t delay(struct quorum_run *qr)
{
    return 1 + (int64_t)run_below(qr->r, (uint64_t)qr->p.delay_us_max);
}

static int64_t late(struct quorum_run *qr)
{
    int64_t span = qr->p.late_us_max - qr->p.delay_us_max;
    return qr->p.delay_us_max + (int64_t)run_below(qr->r, (uint64_t)span);
}

/* Percent of such messages that come late, or once more then. */
static unsigned late_percent(const struct quorum_profile *p, const struct quorum_message *m)
{
    return m->type == QUORUM_APPEND_RESULT && m->rejected > 0 ? p->again_percent
           : m->type == QUORUM_SNAPSHOT                       ? p->snapshots_late
                                                              : p->late_percent;
}

static bool lost(struct quorum_run *qr, const struct quorum_voter *from,
                 const struct quorum_message *m)
{
    bool vote = m->type == QUORUM_VOTE && !m->pre_vote;
    return qr->cut[from->id][m->to] || run_chance(qr->r, qr->p.drop_percent) ||
           (vote && run_chance(qr->r, qr->p.votes_lost));
}

static void tell(struct quorum_voter *from, const struct quorum_message *m)
{
    static const char *const names[] = {
        "", "append", "append result", "vote", "vote result", "snapshot", "timeout now"};
    struct run *r = from->qr->r;
    if (r->verbose) {
        run_note(r, "%d -> %d %s%s term %llu, index %llu, %u entries, commit %llu, rejected %llu%s",
                 m->from, m->to, m->pre_vote ? "pre-" : "", names[m->type],
                 (unsigned long long)m->term, (unsigned long long)m->index, m->entries_n,
                 (unsigned long long)m->commit, (unsigned long long)m->rejected,
                 m->granted ? ", granted" : "");
    }
}

void quorum_carrier_send(struct quorum_voter *from, const struct quorum_message *m)
{
    struct quorum_run *qr = from->qr;
    check(from, m);
    qr->count.sent++;
    run_digest(qr->r, m->term << 16 | (uint64_t)m->type << 8 | (uint64_t)m->to);
    tell(from, m);
    if (qr->fate != NULL) {
        obey(from, m);
        return;
    }
    if (lost(qr, from, m)) {
        return;
    }
    bool held = run_chance(qr->r, late_percent(&qr->p, m));
    if (!held || run_chance(qr->r, 50)) {
        fly(from, m, delay(qr));
    }
    if (held) {
        fly(from, m, late(qr));
    } else if (run_chance(qr->r, qr->p.twice_percent)) {
        fly(from, m, delay(qr));
    }
}

/* ---- receiving ---- */

/* The file of a snapshot is there with its message, if the sender has it still. */
static void snapshot(struct quorum_voter *v, const struct quorum_message *m)
{
    struct quorum_voter *from = quorum_voter_of(v->qr, m->from);
    struct metadata_incoming *in;
    struct buf file = {0};
    struct errmsg em;
    if (!quorum_wants_snapshot(v->q, m)) {
        quorum_receive(v->q, m, NULL);
        return;
    }
    if (from->q == NULL ||
        metadata_log_snapshot_read(from->log, m->snapshot, 0, 1 << 20, &file) != 0) {
        buf_free(&file);
        return;
    }
    int err = metadata_incoming_begin(v->log, m->snapshot, m->index, &in, &em);
    if (err == 0) {
        err = metadata_incoming_put(in, buf_bytes(&file), &em);
        err = err ? err : metadata_incoming_check(in, &em);
        if (err == 0) {
            quorum_receive_snapshot(v->q, m, in);
        } else {
            metadata_incoming_abandon(in);
        }
    }
    if (err != 0 && v->host->disk->stats.eio == v->eio) {
        run_fail(v->qr->r, "voter %d cannot take a snapshot: %s", v->id, em.text);
    }
    buf_free(&file);
}

void quorum_carrier_deliver(struct quorum_voter *v)
{
    while (!list_empty(&v->inbox)) {
        struct flight *f = LIST_ENTRY(list_pop_front(&v->inbox), struct flight, node);
        struct quorum_message m;
        struct peer_names names;
        struct bytes body;
        struct errmsg em = {""};
        int32_t correlation;
        int err = peer_take_header(buf_bytes(&f->bytes), &correlation, &body);
        err = err ? err : peer_take_message(body, &v->qr->arena, &names, &m, &em);
        if (err != 0) {
            run_fail(v->qr->r, "a voter's message is not understood: %s", em.text);
        }
        m.from = names.from;
        m.to = names.to;
        if (m.type == QUORUM_SNAPSHOT) {
            snapshot(v, &m);
        } else {
            quorum_receive(v->q, &m, NULL);
        }
        arena_reset(&v->qr->arena);
        buf_free(&f->bytes);
        mem_free(f);
    }
}

void quorum_carrier_forget(struct quorum_voter *v)
{
    while (!list_empty(&v->inbox)) {
        struct flight *f = LIST_ENTRY(list_pop_front(&v->inbox), struct flight, node);
        buf_free(&f->bytes);
        mem_free(f);
    }
}
