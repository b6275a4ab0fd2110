/* See quorum_model.h. */
#include "sim/checkers/quorum_model.h"

#include <string.h>

#include "base/mem.h"

typedef unsigned long long ull; /* for the sentences */

void quorum_model_init(struct quorum_model *m, struct run *r, unsigned voters_n)
{
    *m = (struct quorum_model){.r = r, .voters_n = voters_n};
    for (unsigned id = 1; id <= voters_n; id++) {
        m->voters[id].log.last = 1;
        m->voters[id].told = 1;
    }
    m->committed.last = 1;
    m->stood = 1; /* the configuration's */
}

void quorum_model_free(struct quorum_model *m)
{
    for (unsigned id = 1; id <= m->voters_n; id++) {
        mem_free(m->voters[id].log.v);
    }
    for (uint64_t i = 0; i < m->places_cap; i++) {
        mem_free(m->places[i].v);
    }
    mem_free(m->places);
    mem_free(m->committed.v);
    mem_free(m->committed_in);
}

/* ---- terms ---- */

static size_t term_slot(struct quorum_model *m, uint64_t term)
{
    if (term >= QM_TERMS_MAX) {
        run_fail(m->r, "term %llu: elections never end", (ull)term);
    }
    return (size_t)term;
}

void quorum_model_speaks(struct quorum_model *m, int32_t voter, uint64_t term)
{
    struct qm_voter *v = &m->voters[voter];
    int32_t its = (int32_t)term_slot(m, term);
    if (its < v->term) {
        run_fail(m->r, "voter %d speaks in term %d and has been in term %d", voter, its, v->term);
    }
    v->term = its;
}

void quorum_model_votes(struct quorum_model *m, int32_t voter, uint64_t term, int32_t candidate)
{
    int32_t *vote = &m->vote_of[voter][term_slot(m, term)];
    if (*vote != 0 && *vote != candidate + 1) {
        run_fail(m->r, "voter %d votes for %d in term %llu and has voted for %d", voter, candidate,
                 (ull)term, *vote - 1);
    }
    *vote = candidate + 1;
    if (candidate == voter && (int32_t)term > m->stood) {
        m->stood = (int32_t)term;
    }
}

void quorum_model_is_in(struct quorum_model *m, int32_t voter, int32_t term, int32_t candidate)
{
    if (term > m->stood && candidate != voter) {
        run_fail(m->r, "voter %d is in term %d, in which nobody ever stood for election", voter,
                 term);
    }
    m->stood = term > m->stood ? term : m->stood;
}

/* What was called committed in an earlier term is in its log. */
static void check_completeness(struct quorum_model *m, int32_t voter, int32_t term)
{
    const struct qm_voter *v = &m->voters[voter];
    for (uint64_t i = 2; i <= m->committed.last; i++) {
        if (m->committed_in[i] < term &&
            (i > v->log.last || v->log.v[i].term != m->committed.v[i].term)) {
            run_fail(m->r,
                     "voter %d leads in term %d without entry %llu, which was committed in term %d",
                     voter, term, (ull)i, m->committed_in[i]);
        }
    }
}

void quorum_model_leads(struct quorum_model *m, int32_t voter, uint64_t term)
{
    int32_t *leader = &m->leader_of[term_slot(m, term)];
    if (*leader == voter) {
        return;
    }
    if (*leader != 0) {
        run_fail(m->r, "voters %d and %d both lead in term %llu", *leader, voter, (ull)term);
    }
    *leader = voter;
    m->terms++;
    check_completeness(m, voter, (int32_t)term);
}

/* ---- logs ---- */

static void log_set(struct qm_log *l, uint64_t index, struct qm_entry e)
{
    if (index >= l->cap) {
        l->cap = 2 * index + 64;
        l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[index] = e;
}

static struct qm_place *place_of(struct quorum_model *m, uint64_t index)
{
    if (index >= m->places_cap) {
        uint64_t cap = 2 * index + 64;
        m->places = mem_realloc(m->places, cap * sizeof(*m->places));
        memset(m->places + m->places_cap, 0, (cap - m->places_cap) * sizeof(*m->places));
        m->places_cap = cap;
    }
    return &m->places[index];
}

/* An entry is what it always was. */
static void check_entry(struct quorum_model *m, int32_t voter, uint64_t index, struct qm_entry e,
                        int32_t before)
{
    struct qm_place *p = place_of(m, index);
    for (unsigned i = 0; i < p->n; i++) {
        const struct qm_known *k = &p->v[i];
        if (k->entry.term != e.term) {
            continue;
        }
        if (k->entry.crc != e.crc || k->entry.end != e.end) {
            run_fail(m->r, "voter %d has another entry %llu of term %d than there was", voter,
                     (ull)index, e.term);
        }
        if (k->before != before && k->before != 0 && before != 0) {
            run_fail(m->r, "voter %d has entry %llu of term %d behind one of term %d, others %d",
                     voter, (ull)index, e.term, before, k->before);
        }
        return;
    }
    p->v = mem_realloc(p->v, (p->n + 1) * sizeof(*p->v));
    p->v[p->n++] = (struct qm_known){e, before};
}

void quorum_model_begins(struct quorum_model *m, int32_t voter, uint64_t first)
{
    struct qm_voter *v = &m->voters[voter];
    if (first - 1 > m->committed.last) {
        run_fail(m->r, "voter %d has a snapshot with entry %llu, which was never committed", voter,
                 (ull)first - 1);
    }
    for (uint64_t i = 2; i < first; i++) {
        log_set(&v->log, i, m->committed.v[i]);
    }
    v->told = first - 1;
    v->log.last = first - 1;
    v->doubt = false;
}

void quorum_model_cut(struct quorum_model *m, int32_t voter, uint64_t same)
{
    struct qm_voter *v = &m->voters[voter];
    if (same < v->told) {
        run_fail(m->r, "voter %d cuts its log behind entry %llu and has called %llu committed",
                 voter, (ull)same, (ull)v->told);
    }
    v->log.last = same;
}

void quorum_model_add(struct quorum_model *m, int32_t voter, struct qm_entry e)
{
    struct qm_voter *v = &m->voters[voter];
    uint64_t index = v->log.last + 1;
    check_entry(m, voter, index, e, quorum_model_term_at(v, v->log.last));
    log_set(&v->log, index, e);
    v->log.last = index;
}

/* ---- what is committed ---- */

static void check_majority(struct quorum_model *m, uint64_t index)
{
    unsigned n = 0;
    for (unsigned id = 1; id <= m->voters_n; id++) {
        const struct qm_voter *v = &m->voters[id];
        n += v->doubt ||
             (v->log.last >= index && v->log.v[index].term == m->committed.v[index].term);
    }
    if (2 * n <= m->voters_n) {
        run_fail(m->r, "entry %llu is committed, and %u of %u voters have it", (ull)index, n,
                 m->voters_n);
    }
}

void quorum_model_complete(struct quorum_model *m, int32_t voter)
{
    for (uint64_t i = m->voters[voter].log.last + 1; i <= m->committed.last; i++) {
        check_majority(m, i);
    }
}

static void commit(struct quorum_model *m, int32_t voter, int32_t term, uint64_t index)
{
    const struct qm_voter *v = &m->voters[voter];
    if (index <= m->committed.last) {
        if (v->log.v[index].term != m->committed.v[index].term) {
            run_fail(m->r,
                     "voter %d calls entry %llu of term %d committed; that of term %d was before",
                     voter, (ull)index, v->log.v[index].term, m->committed.v[index].term);
        }
        return;
    }
    log_set(&m->committed, index, v->log.v[index]);
    if (index >= m->committed_in_cap) {
        m->committed_in_cap = 2 * index + 64;
        m->committed_in = mem_realloc(m->committed_in, m->committed_in_cap * sizeof(int32_t));
    }
    m->committed_in[index] = term;
    m->committed.last = index;
    check_majority(m, index);
}

void quorum_model_commits(struct quorum_model *m, int32_t voter, int32_t term, int64_t offset)
{
    struct qm_voter *v = &m->voters[voter];
    while (v->told < v->log.last && v->log.v[v->told + 1].end <= offset) {
        commit(m, voter, term, ++v->told);
    }
    if (offset > 0 && (v->told < 2 || v->log.v[v->told].end != offset)) {
        run_fail(m->r, "voter %d calls offset %lld committed, which ends no entry of its log",
                 voter, (long long)offset);
    }
}

void quorum_model_ends(struct quorum_model *m, int32_t voter, bool in_the_middle)
{
    struct qm_voter *v = &m->voters[voter];
    v->doubt = in_the_middle;
    v->told = 1; /* the next process knows nothing of it */
}
