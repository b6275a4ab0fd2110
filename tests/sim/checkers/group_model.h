/* What members and committers of groups were told, and what a coordinator must therefore still say.
 *
 * Offsets. Every commit of a key (group, topic, partition) has a value of its own, so that what is
 * read tells which commit it was. A commit takes effect between its start and its answer, or, where
 * the answer never came, at any time until the process that may have got it has ended. Hence what a
 * read may say: no commit that was refused, and none that another one, known to have taken effect,
 * has surely replaced before the read began. A power loss may take what was not flushed, from the
 * end of the log: the first read after it tells which commit is there, and from then on it stays.
 *
 * Generations. A generation that a SyncGroup was answered with is in the log: nothing below it
 * comes back, in no process (but for a loss). One that only a JoinGroup was answered with is known
 * to the process that said so. Whatever succeeds with a generation below one that was known before
 * it was asked is a breach.
 *
 * Ownership. A generation has one leader, one protocol and one assignment; a member gets its own
 * part of it; no two members that believe in one generation own a partition together. An instance
 * id has one member id, the one answered last; what has left or was unknown is never known again.
 *
 * Codes. Each API answers codes of a closed list.
 *
 * Several nodes (`many`). One that does not know yet that it coordinates no more answers from its
 * memory: the host tells of reads by the present coordinator only, and of generations what counts
 * is what needs the log: SyncGroup makes one, and no commit succeeds with one below it. After a
 * loss that is allowed nothing is looked at (`blind`) until the next quiet time, which is the end
 * of a process here, and of whatever was never answered. What was committed between the two may be
 * on no disk: the next loss may bring back what it replaced.
 *
 * Order is that of `tick`, which moves with every start and end of a call; two things that happen
 * in one microsecond are still one after the other. */
#ifndef SIM_GROUP_MODEL_H
#define SIM_GROUP_MODEL_H

#include "base/bytes.h"
#include "sim/run.h"

enum {
    GM_GROUPS_MAX = 8,
    GM_TOPICS_MAX = 2,
    GM_PARTS_MAX = 8,
    GM_SLOTS_MAX = 48, /* scripted members and committers, of all groups */
    GM_ID_MAX = 96,
    GM_GENS_MAX = 24, /* the last ones of a group */
    GM_GONE_MAX = 32,
    GM_INSTANCES_MAX = 6,
    GM_SIMPLE_MAX = 16,
};

/* ---- offsets ---- */

enum gm_state {
    GM_DOUBT,     /* it may have taken effect, or still will */
    GM_CONFIRMED, /* it has: acknowledged, or read */
    GM_REFUSED,   /* it has not and never will */
};

struct gm_commit {
    int64_t offset; /* -1: a deletion, or never anything */
    int32_t leader_epoch;
    enum gm_state state;
    bool in_flight; /* its call has not ended */
    bool durable;   /* a power loss does not take it */
    uint64_t begin; /* ticks; end UINT64_MAX: open */
    uint64_t end;
    uint32_t losses; /* as many as there had been when it began */
    int16_t code;    /* it was refused with; 0: it was lost */
    bool unsure;     /* lost, as far as was seen: see group_model.unsure */
};

struct gm_key {
    struct gm_commit *v; /* in the order of their starts; the first is "nothing" */
    uint32_t n;
    uint32_t cap;
    uint32_t given; /* values so far */
};

struct gm_ref {
    unsigned group, topic, part;
    uint32_t index;
};

/* ---- generations ---- */

struct gm_gen {
    int32_t gen;
    uint32_t life; /* the process that said so */
    uint64_t tick; /* when it became known */
    uint64_t stable_tick;
    bool stable;   /* by SyncGroup: in the log */
    uint64_t plan; /* which assignment; 0: not known */
    char leader[GM_ID_MAX];
    char protocol[24];
};

struct gm_gone { /* a member id that is no member any more */
    char id[GM_ID_MAX];
    uint64_t tick;
    uint32_t life;
};

struct gm_instance {
    char name[24];
    char id[GM_ID_MAX]; /* its member id, as answered last; "": none yet */
    char old[4][GM_ID_MAX];
    unsigned old_n;
    uint64_t tick;
    uint32_t life;
    bool in_log;
};

struct gm_simple { /* a commit without a member succeeded: the group was empty at some time in it */
    uint64_t begin;
    uint64_t end;
    uint32_t life;
};

struct gm_group {
    struct gm_key keys[GM_TOPICS_MAX][GM_PARTS_MAX];
    struct gm_gen gens[GM_GENS_MAX];
    unsigned gens_n;
    struct gm_gone gone[GM_GONE_MAX];
    unsigned gone_n; /* in all; the last GM_GONE_MAX are kept */
    struct gm_instance instances[GM_INSTANCES_MAX];
    unsigned instances_n;
    struct gm_simple simple[GM_SIMPLE_MAX];
    unsigned simple_n;   /* in all; the last GM_SIMPLE_MAX are kept */
    unsigned deletes;    /* DeleteGroups that may be under way: nothing is sure of generations */
    unsigned deletes_in; /* of these, calls that have not ended */
    char name[24];       /* for messages */
};

/* What a scripted member believes to own. */
struct gm_belief {
    bool holds;
    unsigned group;
    int32_t gen;
    uint32_t losses;
    uint32_t bits; /* partitions: topic * GM_PARTS_MAX + partition */
    char id[GM_ID_MAX];
    char instance[24]; /* "": none */
};

struct group_model {
    struct run *r;
    uint64_t tick;
    uint32_t life;        /* processes so far */
    uint32_t losses;      /* power losses and broken disks so far */
    bool unsure;          /* after a loss commits, that the next one may take, hid others */
    bool flushed;         /* acknowledged means flushed */
    bool many;            /* nodes: any of them may coordinate, or believe that it does */
    bool blind;           /* of these so many lost what was not flushed that anything may be gone */
    bool certain;         /* an error code says that nothing was done and never will be */
    bool expiring;        /* groups without members and offsets may go by themselves */
    int64_t retention_us; /* offsets may, after that long; 0: never */
    struct gm_group groups[GM_GROUPS_MAX];
    unsigned groups_n;
    struct gm_belief beliefs[GM_SLOTS_MAX];
    uint64_t acked, refused, read, synced, lost; /* for the summary */
};

void group_model_init(struct group_model *m, struct run *r);
void group_model_free(struct group_model *m);
unsigned group_model_group(struct group_model *m, const char *name);
/* The coordinator's process has ended; lost: what was not flushed may be gone, at once (power) or
 * with a power loss to come (the disk broke: what is read may be in the machine's memory alone). */
void group_model_down(struct group_model *m, bool lost, bool power);
void group_model_blind(struct group_model *m);   /* until group_model_down */
void group_model_flushed(struct group_model *m); /* an orderly end: everything is on the disk */
static inline uint64_t group_model_tick(struct group_model *m)
{
    return ++m->tick;
}

/* A commit starts: its value and leader epoch (-1 when the version cannot say one). */
struct gm_ref group_model_commit(struct group_model *m, unsigned group, unsigned topic,
                                 unsigned part, bool with_epoch);
/* A deletion starts. */
struct gm_ref group_model_forget(struct group_model *m, unsigned group, unsigned topic,
                                 unsigned part);
const struct gm_commit *group_model_at(const struct group_model *m, struct gm_ref ref);
/* Its call has ended: code as answered, or err != 0 and no answer. */
void group_model_commit_done(struct group_model *m, struct gm_ref ref, int err, int16_t code);
/* The metadata string that goes with a value; false: null. */
bool group_model_metadata(int64_t offset, char *out, size_t n);
/* A read that began at `began` says this; leader_epoch -2: the version does not say. */
void group_model_read(struct group_model *m, unsigned group, unsigned topic, unsigned part,
                      uint64_t began, int64_t offset, int32_t leader_epoch, struct bytes metadata);
/* Since `tick` it has had offsets for sure. */
bool group_model_has_offsets(const struct group_model *m, unsigned group, uint64_t tick);

/* A successful JoinGroup. */
struct gm_joined {
    unsigned group;
    uint64_t began;
    int32_t gen;
    struct bytes id, instance, leader, protocol; /* protocol null: an empty group's */
};
void group_model_joined(struct group_model *m, const struct gm_joined *j);
/* A successful SyncGroup: what it hands out was planned as `plan`. */
void group_model_synced(struct group_model *m, unsigned group, uint64_t began, int32_t gen,
                        struct bytes id, struct bytes instance, uint64_t plan);
/* A success of anything else that names a generation. */
void group_model_success(struct group_model *m, const char *what, unsigned group, uint64_t began,
                         int32_t gen, struct bytes id, struct bytes instance);
/* A commit of no member succeeded. */
void group_model_simple(struct group_model *m, unsigned group, uint64_t began);
/* A member is in the group still: of one id and process, an answer at tick `since` and now one that
 * was asked for at `began` were good. */
void group_model_alive(struct group_model *m, unsigned group, uint64_t since, uint64_t began);
/* This member id is no member any more. */
void group_model_gone(struct group_model *m, unsigned group, struct bytes id);
/* DeleteGroups begins, and ends (gone: it may have been done). */
void group_model_delete(struct group_model *m, unsigned group);
void group_model_delete_done(struct group_model *m, unsigned group, bool gone, bool ended);

/* The slot owns these from now on; or nothing. */
void group_model_owns(struct group_model *m, unsigned slot, const struct gm_belief *b);
void group_model_owns_nothing(struct group_model *m, unsigned slot);

/* Fails the run if this API never answers so. */
void group_model_code(struct group_model *m, int16_t api_key, int16_t version, int16_t code);

#endif
