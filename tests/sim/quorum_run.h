/* Scenario `quorum`, what its files share: the quorum of controllers alone (controller/quorum.h
 * over its metadata log), without nodes, sockets or metadata, so that a run costs milliseconds.
 *
 * Each voter is a process on a machine of its own. Between them a carrier moves messages, as the
 * bytes that they have on the wire, without any connection: it may delay each by itself, so that
 * they overtake each other, drop it, deliver it twice, or keep it until its term is long over,
 * and it may be cut in one direction. A snapshot's file is there at once with the message that
 * names it. The owner of a voter does what a controller does: appends when it leads, takes
 * snapshots, deletes what retention allows, hands over.
 *
 * What is checked: checkers/quorum_model.h, at every message that is sent and after every turn. */
#ifndef SIM_QUORUM_RUN_H
#define SIM_QUORUM_RUN_H

#include "base/arena.h"
#include "controller/peers_codec.h"
#include "controller/quorum.h"
#include "runtime/shard.h"
#include "sim/checkers/quorum_model.h"
#include "sim/run.h"

struct quorum_run;

/* What a run is, by seed % QUORUM_KINDS. A play (quorum_play.c) is a fixed schedule that needs one
 * guard around libraft (docs/quorum.md): runs seldom get there by themselves. */
enum quorum_kind {
    QUORUM_PLAY_A,
    QUORUM_UNHEARD, /* guards B, C: a follower that keeps little of its log hears and is not heard
                     */
    QUORUM_PLAY_J,
    QUORUM_PLAY_I,
    QUORUM_PLAY_K,
    QUORUM_PLAY_SLOW, /* no guard: an election on disks that are slow (controller/quorum_timer.c) */
    QUORUM_KINDS = 8, /* the others: whatever may happen */
};

/* Drawn by the seed: what may happen in a run, and how often. */
struct quorum_profile {
    enum quorum_kind kind;
    bool kill;
    bool power;
    bool mid_call;
    bool pause;
    bool cuts;
    bool eio;
    bool hand_over;
    unsigned drop_percent;
    unsigned twice_percent;
    unsigned late_percent;   /* messages that come very late, or once more then */
    unsigned again_percent;  /* refusals that come once more, very late */
    unsigned snapshots_late; /* percent */
    unsigned votes_lost;     /* percent of requests for real votes */
    unsigned append_percent; /* of the owner's chores: the others do nothing */
    int64_t delay_us_max;
    int64_t late_us_max;
    int64_t chore_us_max; /* between the owner's chores */
    int64_t fault_us_max;
    int64_t down_us_max;
    int64_t election_ms;
};

struct quorum_voter {
    struct quorum_run *qr;
    int32_t id; /* from 1; voters[id - 1] */
    /* its own settings: one that keeps little of its log stands beside one that has all of it */
    unsigned snapshot_percent; /* of the owner's chores */
    int64_t segment_bytes;
    int64_t retention_bytes;
    struct sim_host *host;
    struct sim_proc *proc; /* NULL: it is down */
    struct shard_group *group;
    struct shard *shard;
    struct metadata_log *log;
    struct quorum *q;                        /* NULL while it starts */
    struct metadata_snapshot_writer *writer; /* of a snapshot that its owner takes */
    struct metadata_snapshot_id taking;
    uint64_t taking_index;
    struct list inbox;      /* struct flight: arrived, not read yet */
    struct sim_event chore; /* its owner has something to do */
    bool chore_due;
    bool serves;    /* the owner was told so */
    bool installed; /* a snapshot has taken the log's place, not seen yet */
    bool fatal;
    char why[600];
    uint64_t eio; /* of its disk when it was started */
    int64_t up_at_us;
    int64_t paused_until_us;
    enum { QUORUM_KILL, QUORUM_POWER } how; /* it is to end in the middle of something */
    struct buf scratch;
};

/* What a play does with a message; COPIED: it passes and is held too. */
enum quorum_fate { QUORUM_PASSES, QUORUM_LOST, QUORUM_HELD, QUORUM_COPIED };

struct quorum_run {
    struct run *r;
    struct quorum_profile p;
    struct quorum_model model;
    struct quorum_voter voters[QUORUM_VOTERS_MAX];
    int32_t ids[QUORUM_VOTERS_MAX];
    unsigned voters_n;
    bool cut[QUORUM_VOTERS_MAX + 1][QUORUM_VOTERS_MAX + 1];                          /* from, to */
    enum quorum_fate (*fate)(struct quorum_run *qr, const struct quorum_message *m); /* or NULL */
    struct list held; /* struct flight */
    unsigned held_n;
    bool calm; /* nothing is to happen to anyone any more */
    struct sim_event tick;
    struct arena arena;
    struct {
        uint64_t sent;
        uint64_t appended;
        uint64_t snapshots;
        uint64_t installs;
        uint64_t starts;
    } count;
};

static inline struct quorum_voter *quorum_voter_of(struct quorum_run *qr, int32_t id)
{
    return &qr->voters[id - 1];
}
static inline int64_t quorum_now_us(const struct quorum_run *qr)
{
    return qr->r->sim->clock.now_us;
}

/* workload_quorum.c */
void quorum_run_for(struct quorum_run *qr, int64_t us);
struct quorum_voter *quorum_serving(struct quorum_run *qr); /* the one that leads, or NULL */

/* quorum_play.c: the schedule, on a network on which nothing else goes wrong. */
void quorum_play(struct quorum_run *qr);

/* quorum_voter.c */
void quorum_voter_init(struct quorum_run *qr, int32_t id);
/* When it has something to do; INT64_MAX: it waits. */
int64_t quorum_voter_due(const struct quorum_voter *v);
/* Starts its process, or lets it take a turn; then its log is looked at. It may be down after it.
 */
void quorum_voter_start(struct quorum_voter *v);
void quorum_voter_turn(struct quorum_voter *v);
void quorum_voter_end(struct quorum_voter *v, bool power);
/* In order, everything durable. */
void quorum_voter_stop(struct quorum_voter *v);
/* Appends a batch; false: it does not lead. *end gets the offset behind it. */
bool quorum_voter_append(struct quorum_voter *v, int64_t *end);
void quorum_voter_snapshot(struct quorum_voter *v); /* a step towards one, of two */

/* quorum_carrier.c */
struct flight {
    struct list node;
    struct sim_event moves;
    struct quorum_run *qr;
    int32_t to;
    struct buf bytes; /* a frame as between voters */
};
void quorum_carrier_release(struct quorum_run *qr); /* the oldest that is held arrives */
void quorum_carrier_send(struct quorum_voter *from, const struct quorum_message *m);
/* Gives the voter what has arrived; production code runs. */
void quorum_carrier_deliver(struct quorum_voter *v);
void quorum_carrier_forget(struct quorum_voter *v); /* what it has not read is lost */

#endif
