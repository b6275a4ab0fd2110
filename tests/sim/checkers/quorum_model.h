/* What voters of a metadata quorum may say and have, whatever happens to them and to their
 * messages. One fact each, checked when it is reported:
 *
 *   - terms: what a voter says of its term never goes back, in no process; it votes for one
 *     candidate in a term; one voter leads in a term; a term begins with a voter that stands for
 *     election in it, not by itself;
 *   - logs: an entry is known by index and term: the same bytes everywhere, behind the same entry
 *     (so that two logs that agree in one entry agree in all below it);
 *   - what is committed: a majority has it when it is first said to be, and always after; it is the
 *     same for all who say so, no voter that said so cuts it off, and whoever leads in a later term
 *     than the one in which it was said has it.
 *
 * The model keeps each voter's log as it was last seen, also while the voter is down: what it has
 * acknowledged must be there again. A voter that died in the middle of something may have more than
 * was seen (doubt): until it is seen again it counts as one that has everything. */
#ifndef SIM_QUORUM_MODEL_H
#define SIM_QUORUM_MODEL_H

#include "sim/run.h"

enum { QM_VOTERS_MAX = 5, QM_TERMS_MAX = 4096 };

struct qm_entry {
    int32_t term; /* 0: not known */
    uint32_t crc;
    int64_t end; /* the offset behind it */
};

/* Entries by index; the first is 2 (1 is the configuration, equal everywhere). */
struct qm_log {
    struct qm_entry *v;
    uint64_t last;
    uint64_t cap;
};

/* All entries that there ever were at one index, one for each term. */
struct qm_place {
    struct qm_known {
        struct qm_entry entry;
        int32_t before; /* term of the entry in front of it */
    } * v;
    unsigned n;
};

struct qm_voter {
    struct qm_log log;
    uint64_t told; /* the last index it called committed, in this process */
    int32_t term;  /* the highest one it spoke of */
    bool doubt;
};

struct quorum_model {
    struct run *r;
    unsigned voters_n; /* ids 1 to n */
    struct qm_voter voters[QM_VOTERS_MAX + 1];
    struct qm_place *places; /* by index */
    uint64_t places_cap;
    struct qm_log committed;
    int32_t *committed_in; /* by index: the term in which it was first said */
    uint64_t committed_in_cap;
    int32_t leader_of[QM_TERMS_MAX];                  /* by term; 0: none */
    int32_t vote_of[QM_VOTERS_MAX + 1][QM_TERMS_MAX]; /* candidate + 1; 0: none */
    uint64_t terms;                                   /* in which somebody led */
    int32_t stood; /* the highest term in which somebody stood for election */
};

void quorum_model_init(struct quorum_model *m, struct run *r, unsigned voters_n);
void quorum_model_free(struct quorum_model *m);

/* What a message says of its sender. */
void quorum_model_speaks(struct quorum_model *m, int32_t voter, uint64_t term);
void quorum_model_votes(struct quorum_model *m, int32_t voter, uint64_t term, int32_t candidate);
/* The term that it is in, as its disk has it, and whom it voted for, or what is as good: whom it
 * knows as the leader. */
void quorum_model_is_in(struct quorum_model *m, int32_t voter, int32_t term, int32_t candidate);
void quorum_model_leads(struct quorum_model *m, int32_t voter, uint64_t term);

/* The voter's log as it is now. A new process, or a snapshot that took the log's place, knows
 * nothing below first: there it has what is committed. Then what is left of the log that was seen
 * before (up to and with `same`), and after that one call of add for each entry. */
void quorum_model_begins(struct quorum_model *m, int32_t voter, uint64_t first);
void quorum_model_cut(struct quorum_model *m, int32_t voter, uint64_t same);
void quorum_model_add(struct quorum_model *m, int32_t voter, struct qm_entry e);
/* All entries have been added since quorum_model_begins. */
void quorum_model_complete(struct quorum_model *m, int32_t voter);
/* It says, in its term, that everything below offset is committed. */
void quorum_model_commits(struct quorum_model *m, int32_t voter, int32_t term, int64_t offset);
void quorum_model_ends(struct quorum_model *m, int32_t voter, bool in_the_middle);

static inline const struct qm_voter *quorum_model_voter(const struct quorum_model *m, int32_t id)
{
    return &m->voters[id];
}
static inline int32_t quorum_model_term_at(const struct qm_voter *v, uint64_t index)
{
    return index < 2 ? 1 : v->log.v[index].term;
}

#endif
