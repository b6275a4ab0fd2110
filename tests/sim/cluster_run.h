/* Scenario `cluster`, what its files share: several machines, each with a node that is a broker, a
 * controller or both, and the clients of scenario `node`, which follow Metadata to the leaders.
 *
 * What may be lost. A record that was acknowledged with acks=all has min.insync.replicas copies at
 * least. One that a machine has is gone when the machine loses its power, or its disk fails: until
 * the machine is in sync again with all that is committed. What is killed loses nothing. A
 * partition may lose what was not flushed once as many of its machines as min.insync.replicas are
 * without their copies at the same time; and one with unclean.leader.election.enable at any time.
 */
#ifndef SIM_CLUSTER_RUN_H
#define SIM_CLUSTER_RUN_H

#include "controller/controller.h"
#include "controller/image.h"
#include "sim/net_carrier.h"
#include "sim/node_run.h"

enum {
    CLUSTER_PARTS_MAX = 40, /* partitions that are watched, internal ones too */
    CLUSTER_LEADERS_MAX = 32,
    CLUSTER_ELECTION_MS = 300,
    CLUSTER_VOTERS = 5,     /* most; */
    CLUSTER_SNAPSHOTS = 30, /* percent of the runs with frequent ones */
    CLUSTER_FACTOR = 3,     /* most copies of a partition */
};

/* What the scenario knows of a machine. */
struct cluster_member {
    bool broker;
    bool controller;
    bool observer;    /* a controller that is no voter */
    bool down;        /* the scenario has noticed that it is */
    bool stopping;    /* in order, as it was told */
    int64_t up_at_us; /* when a machine that is down is started again */
    uint64_t eio;     /* of its disk, and power losses, at its start */
    uint64_t nospace;
    uint64_t power;
};

/* One partition as the nodes' memory shows it. */
struct watched_part {
    struct uuid topic;
    char name[24]; /* of the topic, or what fits */
    int32_t index;
    uint32_t replicas; /* machines that have been one in this round, by bit */
    uint32_t lost;     /* those that have lost what was not flushed, and are not in sync again */
    int32_t min_isr;
    int32_t told; /* partition epoch of the metadata that was told last, + 1 */
    bool may_lose;
    int64_t committed; /* the highest high watermark of a leader */
    struct {
        int32_t epoch;
        unsigned machine;           /* + 1; 0: none */
    } leaders[CLUSTER_LEADERS_MAX]; /* the newest that were seen, by epoch modulo the size */
    uint32_t *crcs;                 /* of the committed batch that begins at the offset */
    size_t crcs_cap;
    int64_t read[WORLD_MACHINES_MAX]; /* how far each machine's copy was compared */
    uint64_t starts[WORLD_MACHINES_MAX];
    uint64_t folders[WORLD_MACHINES_MAX];
};

struct cluster_watch {
    struct watched_part parts[CLUSTER_PARTS_MAX];
    unsigned parts_n;
    uint8_t *epochs; /* machine + 1 that led the quorum, by epoch */
    size_t epochs_cap;
    uint64_t *images; /* digest of the image at an offset */
    size_t images_cap;
    int64_t newest; /* offset of the newest image seen */
    /* Offset of the image that was looked at last: the broker's, the controller's. */
    int64_t image_seen[WORLD_MACHINES_MAX][2];
    struct buf buf;
};

/* A voter that has lost its disk (cluster_wipe.c). */
struct cluster_wipe {
    struct machine *m;     /* NULL: none that is not admitted yet */
    struct uuid directory; /* of its new disk; zero: it has not run yet */
    bool asked;            /* to admit it */
    bool spent;            /* one a round */
    int64_t ask_us;        /* when the operator asks next */
};

struct cluster_profile {
    bool kill;
    bool power;
    bool mid_call;
    bool pause;
    bool cuts;
    bool resets;
    bool eio;
    bool full;
    bool slow;
    bool clocks;
    bool stops;
    bool wipes;
};

/* Groups whose offsets are committed. */
struct cluster_groups {
    struct cluster_run *cr;
    struct group_world gw;
    struct net_carrier net;
    struct gw_member *checker;
    bool lost; /* in this round, more than may be */
};

struct cluster_run {
    struct node_run nr;
    struct cluster_profile p;
    struct cluster_member members[WORLD_MACHINES_MAX];
    unsigned controllers_n;
    int32_t min_isr; /* min.insync.replicas of the configuration */
    uint32_t lost;   /* machines that may have lost what was not flushed, in this round, by bit */
    bool healing;    /* nothing is to happen to a node any more */
    bool rested;     /* clients do not write */
    struct sim_event tick;
    int64_t look_us; /* when the nodes' memory is looked at next */
    bool close;      /* after every step instead */
    struct cluster_watch watch;
    struct cluster_wipe wipe;
    struct cluster_groups *groups; /* NULL: none */
};

static inline struct cluster_run *cluster_of(struct node_run *nr)
{
    return nr->user;
}

/* cluster_shape.c: how many machines, and what each is; the world with formatted disks. */
void cluster_make(struct cluster_run *cr);
/* So many of each, configured with this text besides; no dice. */
void cluster_make_plain(struct cluster_run *cr, unsigned controllers, unsigned brokers,
                        const char *text);

/* cluster_life.c */
void cluster_start_all(struct cluster_run *cr);
/* Lets time pass: nodes that are due are started, those that have ended are taken away, memory is
 * looked at. */
void cluster_run_for(struct cluster_run *cr, int64_t us);
void cluster_faults_off(struct cluster_run *cr);
/* Until all nodes run and everything is in sync again; fails the run if that takes too long. */
void cluster_heal(struct cluster_run *cr);
/* The whole cluster in order: brokers, then controllers. */
void cluster_stop_all(struct cluster_run *cr);
/* What the loss of machines allows partitions to lose. */
void cluster_judge_losses(struct cluster_run *cr);

/* cluster_watch.c */
void cluster_look(struct cluster_run *cr);
/* The controller that leads, of the highest epoch; NULL: none. */
struct machine *cluster_active(struct cluster_run *cr);
struct machine *cluster_leader(struct cluster_run *cr, const struct topic *t, int32_t partition);
/* The machine's copy of a partition, if it is open. */
struct partition *cluster_copy(struct machine *m, struct uuid topic, int32_t index);
/* Everything is as it should be when nothing is wrong. False: why says what is not. */
bool cluster_in_sync(struct cluster_run *cr, char *why, size_t n);
/* Until all brokers have what the active controller has: it answers before they know. */
void cluster_await_metadata(struct cluster_run *cr);
/* All copies are equal from end to end; clients rest. */
void cluster_compare(struct cluster_run *cr);
void cluster_watch_new_round(struct cluster_run *cr);
void cluster_watch_free(struct cluster_run *cr);

/* Its image; NULL: none leads. */
const struct image *cluster_image(struct cluster_run *cr);

/* The machine leads the quorum in this epoch; one that has just learned of a higher one does not.
 */
bool cluster_leads(const struct machine *m, int32_t *epoch);
/* Its memory may be looked at. */
static inline bool cluster_shows(const struct machine *m)
{
    return m->node != NULL && (m->state == NODE_STARTING || m->state == NODE_RUNNING);
}

/* cluster_wipe.c */
void cluster_wipe(struct cluster_run *cr,
                  struct machine *m); /* or not, if too much would be lost */
void cluster_wipe_tend(struct cluster_run *cr);
void cluster_wipe_look(struct cluster_run *cr);
/* No voter waits to be admitted, and all know each other. False: why says what is not so. */
bool cluster_wipe_settled(struct cluster_run *cr, char *why, size_t n);

/* cluster_observer.c: those that are no voters know what there is to know, and say so. */
void cluster_observers_check(struct cluster_run *cr);

/* cluster_groups.c */
void cluster_groups_make(struct cluster_run *cr); /* or not, by chance */
void cluster_groups_start(struct cluster_run *cr);
void cluster_groups_judge(struct cluster_run *cr);
/* Everything is in sync: all groups come to rest within a bounded time, or the run fails. */
void cluster_groups_settle(struct cluster_run *cr);
void cluster_groups_check(struct cluster_run *cr);
void cluster_groups_free(struct cluster_run *cr);

/* workload_cluster.c */
unsigned cluster_index_of(const struct cluster_run *cr, int32_t node_id);
/* Faults end: all must come into sync, everything that clients were told must hold, and it serves.
 */
void cluster_round_end(struct cluster_run *cr);
void cluster_free(struct cluster_run *cr);

#endif
