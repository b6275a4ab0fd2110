/* Scenario `plays`: one controller, three brokers, one partition with a copy on each, and a
 * schedule, message by message, that needs one of the rules of replication (docs/replication.md),
 * or one promise of the disk.
 * workload_plays.c has the stage, cluster_play.c the schedules. */
#ifndef SIM_CLUSTER_PLAY_H
#define SIM_CLUSTER_PLAY_H

#include "broker/replica/isr.h"
#include "sim/cluster_run.h"

/* The remainder of the seed; the rest of it decides who is quicker where that does not matter. */
enum play_kind {
    PLAY_WATERMARK, /* a follower cuts where its log parts from the leader's, not where it knew */
    PLAY_BEHIND,    /* who joins the ISR has all that is committed */
    PLAY_JOIN,      /* and is still the process that had it */
    PLAY_FENCE,     /* and the ISR is still the one that it was to join */
    PLAY_ZOMBIE,    /* the word of a process that is gone means nothing */
    PLAY_CLEAN,     /* who lost what it had not flushed may not lead */
    PLAY_TEAR,      /* what was flushed stays, whatever is written behind it (one copy) */
    PLAY_FULL,      /* a batch stands once, also in a log that had no room for the rest of them */
    PLAY_ROOM,      /* a leader whose disk is full gives way, and nobody waits for it */
    PLAY_AHEAD,     /* the controller counts by settings that its answer was faster than */
    PLAY_WIPED,     /* a voter that has forgotten its vote has no second one (three controllers) */
    PLAYS
};

enum { PLAY_IN_FLIGHT = 5 }; /* batches that an idempotent producer may have on their way */

struct play {
    struct cluster_run *cr;
    struct topic *topic;
    struct machine *controller;
    /* By place in the partition's list of replicas. */
    struct machine *leader, *second, *third;
    struct sim_client client;          /* that of produce */
    const struct machine *to_producer; /* to whom it is connected */
    unsigned asked;                    /* calls of produce whose answer is still to come */
    bool trying;                       /* they may be refused for want of space, */
    bool refused;                      /* and one was */
    struct {
        struct buf batch;
        uint64_t number;
    } once[PLAY_IN_FLIGHT]; /* of an idempotent producer, while it has no answers */
    /* Of the quorum: who leads, what it led in before, who voted. */
    struct machine *active, *voter;
    int32_t epoch;
    /* What is held on its way: requests of this kind from one to the other. */
    const struct machine *from, *to;
    int16_t api;
    bool held; /* there is one */
};

/* The schedule of this kind, from when all is in sync and the first replica leads. */
void play_run(struct play *p, enum play_kind kind);

/* Time passes until it holds; what it waits for comes by itself. If it does not, the play is no
 * test of anything, and the run fails. */
void play_until(struct play *p, bool (*holds)(struct play *p), const char *what);
/* So many records in as many batches go to whoever leads, in one go. Only what is acknowledged by
 * all is promised. */
void play_produce(struct play *p, struct machine *to, int16_t acks, unsigned records);
/* One record, which may be refused for want of space (refused). */
void play_try(struct play *p, struct machine *to);
/* The first batches of an idempotent producer, as many as may be on their way; the same ones when
 * it is called again. */
void play_produce_once(struct play *p, struct machine *to);
bool play_answered(struct play *p); /* all that was produced */
/* It ends so, and stays down until play_up. */
void play_down(struct play *p, struct machine *m, enum world_end how);
void play_up(struct play *p, struct machine *m);
/* Requests of this kind stay on their way until play_release. Of heartbeats: those that ask to be
 * let go. */
void play_hold(struct play *p, const struct machine *from, const struct machine *to, int16_t api);
void play_release(struct play *p);
/* Nothing gets from one to the other, or back. */
void play_cut(struct play *p, const struct machine *a, const struct machine *b, bool cut);
/* The same to and from all others. */
void play_isolate(struct play *p, const struct machine *m, bool cut);
/* Another order of the replicas that there are. */
void play_reorder(struct play *p, struct machine *by, const int32_t *replicas);
void play_set_min_isr(struct play *p, struct machine *by, int32_t least);

/* What is so at present. */
const struct image_partition *play_state(struct play *p);
struct partition *play_copy(struct play *p, struct machine *m); /* NULL: not open */
int64_t play_end(struct play *p, struct machine *m);            /* -1: not open */
bool play_in_isr(struct play *p, const struct machine *m);
bool play_unfenced(struct play *p, const struct machine *m);
/* What the leader knows of that follower; NULL: it does not lead. */
struct isr_follower *play_follower(struct play *p, const struct machine *m);

#endif
