/* Scenarios `node`, `sweep` and `cluster`, what their parts share: the world, the topics that
 * clients know, the history, and actors (scripted clients that do one thing after another while the
 * scenario lets them). */
#ifndef SIM_NODE_RUN_H
#define SIM_NODE_RUN_H

#include "proto/record_batch.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "sim/checkers/history.h"
#include "sim/sim_client.h"
#include "sim/world.h"

enum { TOPICS_MAX = 8, TOPIC_PARTS_MAX = 3, ACTORS_MAX = 12 };

/* What clients know of a topic. */
enum topic_state {
    TOPIC_ASKED,    /* to be created; no answer yet, or none that tells */
    TOPIC_EXISTS,   /* the answer said so: it must stay */
    TOPIC_DELETING, /* the same for its deletion */
    TOPIC_GONE,
};

struct topic {
    char name[16];
    enum topic_state state;
    struct uuid id;        /* once known */
    int32_t parts_n;       /* that are sure to be there */
    int32_t parts_asked;   /* and that may be */
    int32_t setting;       /* of SETTING_NAME, less SETTING_BASE: acknowledged; 0: none */
    int32_t setting_asked; /* the last one */
    bool flushed;          /* flush.messages=1 */
    int32_t segment;       /* internal.segment.bytes */
    int16_t factor;        /* copies of each partition, as it was made */
    /* What an acknowledged record had, at least, since everything was last in sync: the least of
     * min.insync.replicas, and of copies, that was asked for. And as it was acknowledged last. */
    int32_t min_isr;
    int32_t min_isr_set;
    /* An unclean election may have been since then; unclean.leader.election.enable. */
    bool unclean;
    bool unclean_set;
    bool moved;         /* or may have been: its copies are elsewhere, and more or fewer */
    bool settings_open; /* the same of the two settings: a change was not answered well */
    bool doubt;         /* of several nodes: a call went unanswered and may be done at any time */
    uint32_t part[TOPIC_PARTS_MAX]; /* in the history */
};

struct node_run;

/* A connection to one machine. */
struct actor_link {
    struct sim_client c;
    uint32_t stream; /* what is sent over it is in order; anew for each connection */
};

/* An actor does one step at a time: its step function is called when it is time, and starts
 * something that ends with actor_done. */
struct actor {
    struct node_run *nr;
    struct actor_link links[WORLD_MACHINES_MAX]; /* by machine */
    struct sim_client *c;                        /* the one that actor_open chose last */
    int8_t leader[HISTORY_PARTS_MAX];            /* its machine, as Metadata said; -1: not known */
    int32_t epoch[HISTORY_PARTS_MAX];            /* the leader's */
    void (*learned)(struct actor *a);
    struct sim_event wake;
    bool busy; /* in a step */
    int64_t pause_us_max;
    void (*step)(struct actor *a);
    void (*stop)(struct actor *a); /* frees what is the actor's own; may be NULL */
};

struct node_run {
    struct run *r;
    struct world w;
    struct machine *m; /* the one that there is, or that the checker asks at present */
    struct machine *brokers[WORLD_MACHINES_MAX]; /* where clients may ask */
    unsigned brokers_n;
    bool many;          /* a cluster: clients follow Metadata to the leaders */
    uint8_t factor_max; /* of topics; 0: one copy */
    uint8_t racks;      /* that brokers stand in, r0 and on; 0: none */
    struct history h;
    struct topic topics[TOPICS_MAX];
    unsigned topics_n;
    struct actor *actors[ACTORS_MAX];
    unsigned actors_n;
    bool working;              /* actors begin new steps */
    struct sim_net_faults net; /* while they do */
    uint64_t losses;           /* times that unflushed data may have been lost */
    uint32_t streams;          /* given out, for the order of records */
    struct sim_client checker;
    uint16_t checker_port; /* that it asks; 0: of the brokers' listener */
    struct arena arena;    /* of the checker's present answer */
    /* May be NULL: the node is down, before it is started again. lost: what was not flushed may be
     * gone. */
    void (*on_end)(struct node_run *nr, bool lost, bool power);
    /* May be NULL: sets m to the machine that leads the partition. */
    void (*locate)(struct node_run *nr, const struct topic *t, int32_t partition);
    void *user;
};

/* Which faults a run has. */
struct profile {
    bool power;
    bool mid_call;
    bool eio;
    bool full;
    bool slow;
    bool net;
};

/* A setting that does nothing here. */
#define SETTING_NAME "delete.retention.ms"
enum { SETTING_BASE = 1000000 };

enum { NODE_DISK_BYTES = 256 << 20 };

/* What had happened to the disk. */
struct node_mark {
    uint64_t eio;
    uint64_t nospace;
    uint64_t power;
};

/* An error code that a client meets while a node comes up, goes down, is full, or has lost its
 * disk: try again. */
bool node_run_retriable(int16_t code);

/* ---- actors ---- */

void actor_init(struct node_run *nr, struct actor *a, const char *id, int64_t pause_us_max);
/* a->c is connected to some broker, or trying: calls may be made. */
void actor_open(struct actor *a);
/* The same to the partition's leader. NULL: it is not known (actor_learn). */
struct actor_link *actor_leader(struct actor *a, uint32_t part);
/* The same to that machine. */
struct actor_link *actor_at(struct actor *a, unsigned machine);
/* It was not the leader, or does not answer. */
void actor_forget(struct actor *a, uint32_t part);
/* Asks a broker for Metadata; learned() is called once it is answered or given up. */
void actor_learn(struct actor *a);
void actor_hang_up(struct actor *a); /* all its connections */
void actor_done(struct actor *a);    /* the step is over */
void actor_free(struct actor *a);
bool actors_idle(void *nr);
/* Gives a topic one setting, by IncrementalAlterConfigs of either version. */
void actor_set(struct actor *a, const struct topic *t, const char *name, const char *value,
               sim_call_cb *cb, void *user);
/* The code of its answer, or -1: none came. One that does not pass fails the run. */
int16_t actor_set_code(struct node_run *nr, const struct topic *t, const struct sim_call *call,
                       int err, struct bytes body);

struct actor *actor_producer_new(struct node_run *nr, unsigned index);
struct actor *actor_consumer_new(struct node_run *nr, unsigned index);
struct actor *actor_admin_new(struct node_run *nr);
struct actor *actor_noise_new(struct node_run *nr);
struct actor *actor_mover_new(struct node_run *nr);

/* The topic's replicas may differ after the loss of one that leads: an answer to acks=1 promises
 * nothing. */
static inline bool node_run_promised(const struct node_run *nr, const struct topic *t, int16_t acks)
{
    return !nr->many || acks == -1 || (t->factor == 1 && !t->moved);
}
/* Records may go by an unclean election. */
static inline bool topic_may_lose(const struct topic *t)
{
    return t->unclean && (t->factor > 1 || t->moved);
}
/* Somebody asks for what may make one, or for one. */
void topic_unclean(struct node_run *nr, struct topic *t);
/* A topic that clients may use, by chance; NULL: none yet. */
struct topic *node_run_topic(struct node_run *nr);
/* Ids are needed from some versions on. */
bool topic_has_id(const struct topic *t);

/* Decodes an answer into out, with the arena of the actor's step. Fails the run if it does not
 * decode. */
void node_run_decode(struct node_run *nr, const struct sim_call *call, struct bytes body,
                     struct arena *a, void *out);

/* ---- faults (workload_node.c) ---- */

struct profile node_profile(struct node_run *nr); /* drawn, with a network for nr->net */
void node_strike(struct node_run *nr, const struct profile *p);

/* ---- the node's life (node_life.c) ---- */

/* Up and running, whatever it takes; deaths on the way as the profile has them. */
void node_bring_up(struct node_run *nr, const struct profile *p);
/* mark: since when a failing disk excuses a node that fails. */
void node_stop_in_order(struct node_run *nr, const struct node_mark *mark);
bool node_ended(void *nr); /* it is gone, or has stopped by itself */
void node_actors_start(struct node_run *nr);
void node_actors_rest(struct node_run *nr); /* waits until their calls have ended */
struct node_mark node_mark(const struct node_run *nr);
/* Down by itself, or by the world: what that means for what clients know since mark. */
void node_after_end(struct node_run *nr, const struct node_mark *mark);
/* The node may have ended by itself: its disk failed, or had no room while it started. */
bool node_trouble(const struct node_run *nr, const struct node_mark *mark);
void node_faults_off(struct node_run *nr);
/* Faults end, actors rest, the node is brought up if it is down (mark: from before the round), and
 * everything is checked. */
void node_round_end(struct node_run *nr, const struct profile *p, const struct node_mark *mark);

/* Stopped in order, started and checked once more, stopped, freed. */
void node_finish(struct node_run *nr);

/* ---- log directories (log_dirs.c) ---- */

unsigned log_dirs_drawn(const struct run *r);
/* No move goes on, and each replica lies in one directory. False: why says what is not so. */
bool log_dirs_settled(const struct machine *m, char *why, size_t n);
/* All replicas are told to lie in the d-th directory. */
void log_dirs_move_all(struct node_run *nr, unsigned d);
void log_dirs_settle(struct node_run *nr); /* waits for it; fails the run if that takes too long */

/* ---- the checker: calls that are waited for, one after another (node_check.c) ---- */

/* Sends until an answer came, for at most limit_us; the answer is decoded into out. False: none. */
bool check_call(struct node_run *nr, int16_t api_key, int16_t version, const void *request,
                void *out, int64_t limit_us);
/* One Fetch of one partition from `at` on, the topic by name or id as the version wants; no answer
 * fails the run. What it points to lives as long as that of check_call. */
const struct fetch_response_partition_data *check_fetch(struct node_run *nr, int16_t version,
                                                        const char *name, struct uuid id,
                                                        int32_t partition, int64_t at,
                                                        int32_t max_wait_ms);
/* Everything that clients know must hold, and the node must serve: run when actors are idle. */
void check_everything(struct node_run *nr);

#endif
