/* Scripted members of groups, over whatever carries their requests: a simulated network to a whole
 * node (workload_groups.c), or straight into the pure coordinator (workload_coordinator.c).
 *
 * A member is a small client: it finds no coordinator (the carrier does), joins, syncs (the leader
 * makes the assignment), heartbeats, commits, fetches, leaves. While `naughty` it also stalls,
 * dies, returns (with the same instance id), joins twice, speaks with old generations or a foreign
 * id, never syncs, syncs twice with another plan, leaves in the middle. A committer is a client of
 * no group's membership: it commits, fetches, deletes offsets and groups.
 *
 * All that is answered goes into the model (checkers/group_model.h). The scripts run outside of
 * production code. Eager members own nothing while they join; cooperative ones keep what they own
 * and give up what the next assignment takes away. */
#ifndef SIM_GROUP_WORLD_H
#define SIM_GROUP_WORLD_H

#include "base/arena.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "sim/checkers/group_model.h"
#include "sim/sim_clock.h"

enum {
    GW_LANES = 3,
    GW_SEEK = 2 /* the lane of FindCoordinator in a cluster */,
    GW_HOSTS_MAX = 8,
    GW_REFS = 8,
    GW_MEMBERS_MAX = 6
};

struct group_world;
struct gw_member;
struct gw_call;

/* Once per call. err 0: the answer's body, good during the callback. */
typedef void gw_done(struct gw_call *call, int err, struct bytes body);

struct gw_call {
    struct gw_member *m;
    int16_t api_key;
    int16_t version;
    unsigned incarnation; /* of the member when it called */
    uint64_t began;       /* tick */
    int64_t began_us;
    int32_t gen; /* what it said of itself */
    char id[GM_ID_MAX];
    char instance[24];
    struct gm_ref refs[GW_REFS];
    unsigned refs_n;
    uint32_t asked;    /* OffsetFetch, DeleteGroups: partitions, as bits */
    uint32_t *deletes; /* DeleteGroups: where the model has them, by bit */
    bool main;         /* the member waits for it */
    int at;            /* which host it was sent to */
    int64_t lead;      /* who coordinated then */
    gw_done *done;
};

struct gw_carrier {
    /* Calls of one lane are carried in order. The request is encoded before this returns. */
    void (*call)(struct gw_member *m, unsigned lane, struct gw_call *call, const void *request,
                 int64_t timeout_us);
    /* The client's process dies: calls in flight end with an error, now. lanes: GW_LANES, or
     * GW_SEEK: all but that one. */
    void (*hang_up)(struct gw_member *m, unsigned lanes);
};

struct gw_group {
    char name[24];
    bool coop;
    bool members;         /* else only committers use it */
    bool two;             /* members speak two protocols */
    uint32_t all;         /* partitions that are subscribed to, as bits */
    uint32_t loaded_life; /* the process that has shown that its coordinator is loaded */
    uint64_t loaded_tick;
    int64_t quiet_us; /* longest session and rebalance timeout of its members */
};

struct gw_topic {
    char name[24];
    struct uuid id; /* zero: not known */
    unsigned parts_n;
};

enum gw_state { GW_DEAD, GW_OUT, GW_JOINED, GW_STABLE };

struct gw_member {
    struct group_world *gw;
    unsigned slot;
    unsigned group;
    bool committer;
    char client_id[24];
    char instance[24]; /* "": dynamic */
    bool twin;         /* another slot has the same instance id */
    bool habit_two;    /* speaks the second protocol too */
    int32_t session_ms;
    int32_t rebalance_ms;
    void *lanes[GW_LANES]; /* the carrier's */
    struct sim_event wake;
    /* what it is */
    enum gw_state state;
    unsigned incarnation;
    bool busy;      /* a main call is out */
    unsigned calls; /* all that are out */
    char id[GM_ID_MAX];
    char left[GM_ID_MAX]; /* the last id it had and gave up or lost */
    int32_t gen, old_gen;
    char protocol[24];
    bool leads;
    bool incomplete; /* as a leader it held partitions back: join once more */
    bool too_many;   /* the group is full, it was told */
    bool seeks;      /* it was told that the coordinator is elsewhere, or not answered */
    int at;          /* the host that it takes for the coordinator */
    uint32_t owns;
    uint32_t subscription; /* number of the metadata that it sends */
    unsigned mates_n;
    struct gw_mate {
        char id[GM_ID_MAX];
        uint32_t owns;
        int32_t gen;
    } mates[64];
    int64_t next_beat_us;
    int64_t idle_until_us; /* stalls */
    int64_t ok_us;         /* when the last call that succeeded as a member was sent; 0: none */
    uint32_t ok_life;
    uint64_t ok_tick;    /* when it was answered */
    uint32_t id_life;    /* its id was given by this process */
    uint32_t ghost_life; /* a JoinGroup without an id ended without an answer: nobody knows whom it
                            made */
};

struct group_world {
    struct run *r;
    struct sim_clock *clock;
    const struct gw_carrier *carrier;
    void *carrier_ctx;
    struct group_model model;
    struct gw_group groups[GM_GROUPS_MAX];
    struct gw_topic topics[GM_TOPICS_MAX];
    unsigned topics_n;
    struct gw_member *members[GM_SLOTS_MAX];
    unsigned members_n;
    bool working; /* scripts begin new calls */
    bool naughty;
    bool deletes;      /* committers delete offsets and groups */
    bool topic_ids;    /* the carrier takes versions that name topics by id */
    int16_t fetch_low; /* and OffsetFetch from this one on */
    bool finds;        /* there is FindCoordinator */
    uint16_t port;     /* which it must answer, with one of the hosts */
    const char *hosts[GW_HOSTS_MAX];
    int hosts_n;
    /* Of several hosts: the present coordinator's number and leader epoch as one number; -1: nobody
     * knows. */
    int64_t (*lead)(struct group_world *gw, unsigned group);
    int64_t pace_us; /* a member does something about so often */
    uint64_t plans;  /* assignments so far */
    uint64_t stats[8];
};

enum { GW_JOINS, GW_SYNCS, GW_BEATS, GW_COMMITS, GW_FETCHES, GW_LEAVES, GW_STALLS, GW_DEATHS };

/* Groups, topics and members by the run's dice; few: one group of members, and one of others. */
void group_world_init(struct group_world *gw, struct run *r, struct sim_clock *clock,
                      const struct gw_carrier *carrier, void *ctx, bool few);
void group_world_free(struct group_world *gw);
void group_world_start(struct group_world *gw);
void group_world_rest(struct group_world *gw); /* no new calls */
bool group_world_idle(void *gw);               /* no call is out */
/* The coordinator's process has ended: connections break now. */
void group_world_down(struct group_world *gw, bool lost, bool power);
/* Every group is settled: all that live are stable members of one generation with all partitions
 * between them (where some were refused as too many: those that are in). Not: why. */
bool group_world_settled(struct group_world *gw, char *why, size_t n);
int64_t group_world_patience_us(const struct group_world *gw);
/* A client of the scenario's own, without a script. */
struct gw_member *group_world_checker(struct group_world *gw);
void gw_read(struct gw_member *m, unsigned group);   /* all of its offsets, into the model */
void gw_delete(struct gw_member *m, unsigned group); /* DeleteGroups */

/* ---- between the scripts' files ---- */

void gw_later(struct gw_member *m, int64_t us);
void gw_call_end(struct gw_call *call, int err, struct bytes body); /* by the carrier */
void gw_call(struct gw_member *m, unsigned lane, int16_t api_key, int16_t version,
             const void *request, int64_t timeout_us, struct gw_call *call);
struct gw_call *gw_call_new(struct gw_member *m, gw_done *done);
/* Decodes the answer at the call's version. */
void gw_decode(struct gw_call *call, struct bytes body, struct arena *a, void *out);
/* The answer's code is checked, and what it says of the member's id is noted. False: the member is
 * another one now. */
bool gw_answered(struct gw_call *call, int16_t code);
/* A Heartbeat's success says nothing: while a coordinator loads, everyone gets it. */
bool gw_blind(const struct gw_call *call);
/* Its answer is of the present coordinator. */
bool gw_current(const struct gw_call *call);
/* The code is one that the API answers; the member seeks the coordinator after some. */
void gw_code(struct gw_call *call, int16_t code);
static inline int64_t gw_lead(int host, int32_t epoch)
{
    return (int64_t)epoch * GW_HOSTS_MAX + host;
}
int16_t gw_version(struct gw_member *m, int16_t api_key, int16_t low);
static inline uint32_t gw_bit(unsigned topic, unsigned part)
{
    return 1u << (topic * GM_PARTS_MAX + part);
}
static inline bool gw_naughty(struct gw_member *m, unsigned percent)
{
    return m->gw->naughty && run_chance(m->gw->r, percent);
}

void gw_member_step(struct gw_member *m);    /* group_member.c */
void gw_member_lost(struct gw_member *m);    /* its membership, and what it owned */
void gw_committer_step(struct gw_member *m); /* group_commits.c */
void gw_commit(struct gw_member *m, unsigned lane, int32_t gen, const char *id,
               const char *instance, uint32_t bits);
void gw_fetch(struct gw_member *m, unsigned lane, uint32_t bits);

/* FindCoordinator; main: the member waits for it. */
void gw_find(struct gw_member *m, bool main);

/* group_plan.c: what members tell each other through the coordinator. */
struct bytes gw_subscription(struct gw_member *m, struct arena *a, const char *protocol);
/* Takes a member of JoinGroup's list; fails the run if its metadata is not of this group. */
void gw_mate(struct gw_member *m, struct bytes id, struct bytes metadata);
struct gw_share {
    const char *id;
    struct bytes assignment;
};
/* One share for each mate, in the arena. */
struct gw_share *gw_plan(struct gw_member *m, struct arena *a);
/* What was handed out to m in its generation: the partitions, and which plan it is of. Fails the
 * run if it is somebody else's or of another generation. */
uint32_t gw_read_share(struct gw_member *m, struct bytes assignment, int32_t gen, const char *id,
                       uint64_t *plan);

#endif
