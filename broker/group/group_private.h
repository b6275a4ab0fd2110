/* What the files of the core share; nobody else includes it.
 *
 *     coordinator.c   the registry of groups, dispatch of events, memory       timers.c   due times
 *     classic_*.c     the classic protocol                                     story.c    the "why"
 *     offsets.c       commits, deletions       offset_fetch.c   reading them
 *     offset_store.c  the tables of offsets    offset_ops.c     writes of offsets that are out
 *     expiry.c        retention, topics that went          foreign.c  groups that are only kept
 *     records.c       records out                          replay.c   records in
 *     effects.c       collecting what a step wants done
 *
 * A group is freed when its record in the log is gone (or never was) and nothing soft or pending
 * refers to it: group_release decides, and every file calls it when it has taken something away. */
#ifndef BROKER_GROUP_PRIVATE_H
#define BROKER_GROUP_PRIVATE_H

#include "base/map.h"
#include "broker/group/coordinator.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* ---- timers.c: a heap of due times; a timer is a field of its owner ---- */

struct group_timer {
    int64_t due_ms;
    uint32_t at; /* position in the heap + 1; 0: not set */
    void (*fire)(struct group_coordinator *c, struct group_timer *t, const struct group_event *ev,
                 struct group_effects *fx);
};

/* Moves a timer that is set. Later due times may be kept by the owner and set again when it fires:
 * a heartbeat then costs no heap work. */
void group_timer_set(struct group_coordinator *c, struct group_timer *t, int64_t due_ms);
void group_timer_cancel(struct group_coordinator *c, struct group_timer *t);
void group_timers_tick(struct group_coordinator *c, const struct group_event *ev,
                       struct group_effects *fx);

/* ---- groups ---- */

enum group_kind { GROUP_KIND_CLASSIC, GROUP_KIND_CONSUMER, GROUP_KIND_SHARE, GROUP_KIND_STREAMS };

struct group {
    struct group_coordinator *c;
    struct list all; /* in c->all */
    struct bytes id; /* owned */
    enum group_kind kind;
    bool in_log; /* its group record is committed (classic: GroupMetadata) */
    /* It has had an offset: then it stays, Empty, until the next look at retention, as in Kafka. */
    bool kept;
    struct group_topic **topic_v; /* topics with offsets; offset_store.c's, like the next five */
    uint32_t topic_n, topic_cap;
    struct map topics;       /* name -> struct group_topic; only once there are many */
    uint32_t offsets_n;      /* committed, in all topics */
    uint32_t open_offsets_n; /* of open transactions, in all topics */
    struct list pending;     /* group_op: written, not committed; in order */
    struct classic *classic; /* NULL: nothing of the classic protocol is known */
    struct foreign *foreign; /* kinds that are kept only */
    struct story *story;     /* NULL: nothing happened yet */
};

/* What a write waits for. A field of something larger, allocated per operation. group and written
 * are set before group_fx_write, which puts it into group->pending; the coordinator takes it out
 * again before it calls written (with the code of GROUP_WRITTEN, or of GROUP_UNLOAD). */
struct group_op {
    struct list node; /* in group->pending */
    struct group *group;
    /* code 0: committed; applies the records' meaning, answers, frees the op. */
    void (*written)(struct group_coordinator *c, struct group_op *op, const struct group_event *ev,
                    struct group_effects *fx);
};

/* expiry.c's: a walk over all offsets of all groups, a slice at a time, and where it goes on. */
struct group_walk {
    struct list *at; /* its group in c->all, or c->all itself: its end; NULL: no walk */
    struct list *of; /* of a walk for topics that went: the deletion */
    uint32_t topic;  /* inside the group: of its topics these are left, the last one in part; ... */
    uint32_t entry;  /* ... of the topic's offsets these. Larger than there are: all */
    uint32_t gone;   /* of the group (and deletion) in earlier slices */
};

struct group_coordinator {
    const struct group_config *config;
    const struct siphash_key *secret;
    struct map groups;                        /* id -> struct group */
    struct list all;                          /* the same, in the order in which they were made */
    struct group_walk expiring, going;        /* by retention, with a topic */
    uint64_t expired_offsets, expired_groups; /* by this walk */
    struct list gone;                         /* topic_gone: deletions that are not through */
    uint32_t gone_seq;                        /* the newest deletion */
    uint32_t gone_walk_seq;                   /* the newest when this walk began */
    uint32_t sweeps_out;                      /* writes of tombstones of walks under way */
    int64_t slice_ms; /* when a walk goes on; INT64_MAX: there is none, or it waits for them */
    struct map txns;  /* producer id -> struct group_txn: offsets of open transactions; replay.c */
    struct map strings; /* text -> struct group_str */
    struct group_timer **heap;
    uint32_t heap_n, heap_cap;
    uint64_t bytes; /* counted: see group_charge */
    uint64_t members, offsets, skipped;
    bool loaded;
};

/* One copy of a text that many have: client ids and hosts, names of protocols and topics. Two of a
 * coordinator are equal when their pointers are. */
struct group_str {
    struct bytes text;
    uint32_t refs;
};
struct group_str *group_str_get(struct group_coordinator *c, struct bytes text);
void group_str_put(struct group_coordinator *c, struct group_str *s); /* NULL is allowed */

struct group *group_find(const struct group_coordinator *c, struct bytes id); /* NULL */
struct group *group_make(struct group_coordinator *c, struct bytes id, enum group_kind kind);
/* Frees the group if nothing is left of it (see above). True: it is gone. */
bool group_release(struct group *g);

/* Memory: what grows is charged when it is made and returned when it is freed. group_room asks
 * before: false is COORDINATOR_NOT_AVAILABLE and one line that names the setting. */
void group_charge(struct group_coordinator *c, int64_t bytes);
bool group_room(struct group_coordinator *c, size_t more, struct group_effects *fx);
/* Memory that charges itself; zeroed. n is the same when it is freed. */
void *group_alloc(struct group_coordinator *c, size_t n);
void group_dealloc(struct group_coordinator *c, void *p, size_t n);
enum { GROUP_ALLOC_MORE = 32 }; /* more than its size is never charged for one piece */
struct bytes group_dup(struct group_coordinator *c, struct bytes b); /* null stays null */
void group_undup(struct group_coordinator *c, struct bytes *b);      /* leaves it null */

/* Tables that charge their slots; one without entries takes none. */
void group_map_put(struct group_coordinator *c, struct map *m, struct bytes key, void *value);
void *group_map_remove(struct group_coordinator *c, struct map *m, struct bytes key);
void group_map_free(struct group_coordinator *c, struct map *m);

/* What a client is told when its records could not be written: Kafka's mapping. */
int16_t group_append_error(int16_t code);

/* A text of a peer for people: cut, nothing but printable characters. SHOW for values in lines of
 * the log, which quote them there; QUOTE for sentences: no name can be taken for a part of one.
 * For one expression: story_add(g, t, "%s left", QUOTE(id)). */
enum { GROUP_SHOWN_MAX = 80 };
struct group_shown {
    char s[GROUP_SHOWN_MAX + sizeof "...''"];
};
const char *group_show(struct group_shown *out, struct bytes b);
const char *group_quote(struct group_shown *out); /* what is shown there is put in quotes */
#define SHOW(b) group_show(&(struct group_shown){""}, (b))
static inline const char *group_show_quoted(struct group_shown *out, struct bytes b)
{
    group_show(out, b);
    return group_quote(out);
}
#define QUOTE(b) group_show_quoted(&(struct group_shown){""}, (b))

/* ---- effects.c ---- */

struct group_write *group_fx_write(struct group_effects *fx, struct group_op *op, uint32_t n);
void group_fx_reply(struct group_effects *fx, struct group_ask *ask);
void group_fx_line(struct group_effects *fx, enum group_line_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- records.c: bytes in fx->arena ---- */

struct group_record group_record_offset(struct group_effects *fx, struct bytes group,
                                        struct bytes topic, int32_t partition,
                                        const struct offset_commit_value *v, int16_t version);
struct group_record group_record_offset_gone(struct group_effects *fx, struct bytes group,
                                             struct bytes topic, int32_t partition);
struct group_record group_record_metadata(struct group_effects *fx, struct bytes group,
                                          const struct group_metadata_value *v);
struct group_record group_record_metadata_gone(struct group_effects *fx, struct bytes group);

/* ---- classic_*.c ---- */

/* One event each: GROUP_JOIN, SYNC, HEARTBEAT, LEAVE. */
void classic_join(struct group_coordinator *c, const struct group_event *ev,
                  struct group_effects *fx);
void classic_sync(struct group_coordinator *c, const struct group_event *ev,
                  struct group_effects *fx);
void classic_heartbeat(struct group_coordinator *c, const struct group_event *ev,
                       struct group_effects *fx);
void classic_leave(struct group_coordinator *c, const struct group_event *ev,
                   struct group_effects *fx);
void classic_unload(struct group *g, int16_t code,
                    struct group_effects *fx); /* answers who waits */
void classic_free(struct group *g);
/* A committed GroupMetadata, from replay; NULL value: tombstone (the caller releases the group). */
void classic_replay(struct group *g, const struct group_metadata_value *v, int64_t timestamp);
void classic_loaded(struct group *g, int64_t now_ms, int64_t wall_ms, struct group_effects *fx);
/* May this member commit offsets now? A wire code. A commit counts as a heartbeat. g may be NULL:
 * the group is not there. */
int16_t classic_check_commit(struct group *g, struct bytes member_id, struct bytes instance_id,
                             int32_t generation, int16_t version, const struct group_event *ev,
                             struct group_effects *fx);
/* The group's members of a generation subscribe to it (then its offsets neither expire nor can they
 * be deleted). Unparsable subscriptions count as everything, as in Kafka. */
bool classic_subscribes(const struct group *g, struct bytes topic);
bool classic_is_empty(
    const struct group *g); /* in state Empty: nobody is in a generation or joins */
/* For expiry: since when is it Empty, in wall time (-1: not empty, a log that does not say, or a
 * group that never had a protocol: its offsets count from their own commits). */
int64_t classic_empty_since(const struct group *g);
bool classic_uses_consumer_protocol(const struct group *g);
bool classic_is_stable(const struct group *g);
/* The group is deleted: Dead for whoever still waits. */
void classic_delete(struct group *g, struct group_effects *fx);
const char *classic_state_name(const struct group *g); /* "Stable", "PreparingRebalance", ... */
bool classic_is_idle(const struct group *g);           /* nothing soft is left: for group_release */

/* ---- offsets.c, expiry.c ---- */

void offsets_commit(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx);
void offsets_delete(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx);
void group_delete(struct group_coordinator *c, const struct group_event *ev,
                  struct group_effects *fx);
void offsets_expire(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx);
void offsets_topic_gone(struct group_coordinator *c, const struct group_event *ev,
                        struct group_effects *fx);
/* GROUP_TICK: the next slice of what these two have begun. */
void offsets_sweep(struct group_coordinator *c, const struct group_event *ev,
                   struct group_effects *fx);
/* A write of theirs has come back. */
void offsets_sweep_home(struct group_coordinator *c, const struct group_event *ev);
void offsets_sweep_leaves(struct group *g); /* it is being freed */
void offsets_sweep_free(struct group_coordinator *c);
/* Its members subscribe to it, whatever the group's kind. */
bool group_subscribes(const struct group *g, struct bytes topic);
void offsets_free(struct group *g);
void replay_free(struct group_coordinator *c); /* after the groups */

/* ---- foreign.c ---- */

bool foreign_knows(int16_t type); /* of a record's key */
/* rest: of the key, behind the group's name. 0 or ERR_CORRUPT. */
int foreign_replay(struct group_coordinator *c, struct bytes id, int16_t type, struct bytes rest,
                   struct bytes value);
int16_t foreign_check_commit(const struct group *g, struct bytes member_id, int32_t epoch,
                             int16_t version);
int16_t foreign_check_fetch(const struct group *g, struct bytes member_id, int32_t epoch);
bool foreign_subscribes(const struct group *g, struct bytes topic);
uint32_t foreign_members(const struct group *g);
void foreign_free(struct group *g);
bool foreign_is_empty(const struct group *g); /* has no members */
const char *foreign_state_name(const struct group *g);
/* Tombstones of all that the log holds of the group; appended to recs from *n on. */
void foreign_tombstones(const struct group *g, struct group_effects *fx, struct group_record *recs,
                        uint32_t *n);
uint32_t foreign_tombstones_max(const struct group *g);

/* ---- story.c: what happened, newest last; a few entries per group, bounded ---- */

void story_add(struct group *g, int64_t wall_ms, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void story_free(struct group *g);

#endif
