/* One run of the simulator: one scenario, one seed. main.c gives each a process of its own, so a
 * failure simply ends it. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/logger.h"
#include "base/prng.h"
#include "sim/io_sim.h"

/* A deliberate breach in the world: the checkers must find it. */
enum run_mutant {
    MUTANT_NONE,
    MUTANT_FSYNC,     /* fsync of files does nothing */
    MUTANT_FSYNC_DIR, /* fsync of folders does nothing */
    MUTANT_KILL,      /* a killed process loses the page cache */
    MUTANT_TEAR,      /* power losses garble sectors that hold synced bytes */
    MUTANT_WRITE,     /* now and then a write is reported done and is not */
    MUTANT_CUT,       /* a file is reported cut and is not */
    MUTANT_CRC,       /* production code takes every checksum for right */
    MUTANT_ACK,       /* a batch is acknowledged and not appended */
    MUTANT_EARLY,     /* what was appended counts as flushed */
    MUTANT_SEQUENCE,  /* an idempotent producer's sequences are not looked at */
    MUTANT_SWAP,      /* a log's copy in another directory takes its place unflushed */
    MUTANT_COMMIT,    /* records of a coordinator are said to be committed and are not there */
    MUTANT_TWICE,     /* a member is given another one's part of the assignment */
    MUTANT_STALE,     /* a commit is accepted whatever its member and generation */
    MUTANT_TIMER,     /* timers of a coordinator are not set */
    MUTANT_REPLAY,    /* a load leaves out a group's record */
    MUTANT_FORGET,    /* a load leaves out an offset's record */
    MUTANT_VOTE,      /* term and vote are said to be on the disk and are not */
    MUTANT_GUARD_A,   /* the guards around libraft (docs/quorum.md): each is left out */
    MUTANT_GUARD_BC,
    MUTANT_GUARD_J,
    MUTANT_GUARD_I,
    MUTANT_GUARD_K,
    MUTANT_ZOMBIE,    /* the controller looks at no broker epoch */
    MUTANT_UNCLEAN,   /* any living replica is elected */
    MUTANT_ALL,       /* acks=all does not wait for other replicas */
    MUTANT_ABOVE,     /* what is above the high watermark is served */
    MUTANT_FENCE,     /* neither leaders nor the controller look at leader epochs */
    MUTANT_JOIN,      /* nor at the broker epochs of those who join an ISR */
    MUTANT_CLEAN,     /* every broker is believed to have stopped in order */
    MUTANT_WATERMARK, /* a follower truncates to its high watermark, not by epoch */
    MUTANT_UNCUT,     /* a follower does not truncate */
    MUTANT_ALONE,     /* the high watermark does not wait for the ISR */
    MUTANT_AHEAD,     /* nor for the metadata behind an answer that made it smaller */
    MUTANT_BEHIND,    /* replicas join an ISR that are not caught up */
    MUTANT_BOOT,      /* after a power loss the kernel says that it is the one of before */
    MUTANT_WIPED,     /* a voter on an empty disk is heard, though nobody admitted it */
    MUTANT_ROOM,      /* the controller does not hear of full disks */
    MUTANTS
};

struct run {
    uint64_t seed;
    struct prng rng; /* what the scenario decides */
    struct sim *sim;
    struct logger log; /* virtual time in front of each line */
    bool verbose;
    enum run_mutant mutant;
    uint64_t steps;  /* for the summary */
    uint64_t digest; /* of all that happened: the same seed, the same digest */
};

struct scenario {
    const char *name;
    const char *what;
    void (*run)(struct run *r);
    uint64_t mutants; /* bits: which breaches it must find */
};

extern const struct scenario scenario_storage;
extern const struct scenario scenario_node;
extern const struct scenario scenario_sweep;
extern const struct scenario scenario_moves;
extern const struct scenario scenario_groups;
extern const struct scenario scenario_coordinator;
extern const struct scenario scenario_cluster;
extern const struct scenario scenario_plays;
extern const struct scenario scenario_quorum;

#define MUTANT_BIT(m) (UINT64_C(1) << (m))

/* Ends the run: a property does not hold. */
_Noreturn void run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line of the story, seen when the run fails or with --verbose. */
void run_note(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_world(struct run *r, bool self_advance); /* makes r->sim */
/* The breach, if the run has one, on this machine's disk. */
void run_apply_mutant(struct run *r, struct sim_host *h);

#define RUN_CHECK(r, expr) \
    ((expr) ? (void)0 : run_fail((r), "%s does not hold (%s:%d)", #expr, __FILE__, __LINE__))

static inline uint64_t run_below(struct run *r, uint64_t n)
{
    return prng_below(&r->rng, n);
}
static inline bool run_chance(struct run *r, unsigned percent)
{
    return prng_below(&r->rng, 100) < percent;
}
static inline void run_digest(struct run *r, uint64_t v)
{
    r->digest = (r->digest ^ v) * 0x9e3779b97f4a7c15ull;
    r->digest ^= r->digest >> 29;
}
/* In [low, high], small ones as likely as large ones. */
uint64_t run_between(struct run *r, uint64_t low, uint64_t high);

#endif
