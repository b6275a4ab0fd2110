/* The classic protocol of one group: what its files share; nobody else includes it.
 *
 *     Empty -- a member joins --> PreparingRebalance -- all have (re)joined, or time is up -->
 *     CompletingRebalance -- the leader's assignment is committed --> Stable
 *
 *     PreparingRebalance -- nobody is left --> Empty
 *     CompletingRebalance, Stable -- a member comes, goes, changes --> PreparingRebalance
 *
 *     classic_members.c   members, ids, votes for protocols, session timers
 *     classic_rebalance.c the states above and the three delays: initial, join, sync
 *     classic_join.c      JoinGroup        classic_static.c  a static member that comes back
 *     classic_sync.c      SyncGroup and the assignment's way into the log
 *     classic_heartbeat.c Heartbeat, commits as such         classic_leave.c  LeaveGroup
 *     classic_log.c       GroupMetadata out and in, loading, unloading, deleting
 *     describe.c          DescribeGroups, ListGroups
 *
 * Members and states are soft and change at once, as in Kafka; assignments are set when the record
 * that holds them is committed. A parked JoinGroup or SyncGroup is a field of its member: whoever
 * takes a member away answers it first.
 *
 * Counts instead of walks: joins parked, syncs awaited, members per protocol; so that a join, a
 * heartbeat and a leave cost the same in a group of three and of a thousand. Walks over all members
 * happen a fixed number of times per rebalance.
 *
 * Shard: the coordinator's. Kafka: ClassicGroup and the classic half of GroupMetadataManager. */
#ifndef BROKER_GROUP_CLASSIC_H
#define BROKER_GROUP_CLASSIC_H

#include "broker/group/group_private.h"

enum classic_state { CLASSIC_EMPTY, CLASSIC_PREPARING, CLASSIC_COMPLETING, CLASSIC_STABLE };

/* How long a new member may wait in JoinGroup: it has no id yet, so it sends no heartbeats, and a
 * client that gave up and came again would leave one behind each time. */
enum { CLASSIC_NEW_MEMBER_MS = 5 * 60 * 1000 };

struct classic_protocol {
    struct group_str *name;
    struct bytes metadata; /* owned */
};

struct classic_protocols { /* in the member's order of preference */
    struct classic_protocol *v;
    uint32_t n;
};

struct classic_vote { /* in classic->votes */
    struct group_str *name;
    uint32_t supporters; /* members that name it */
    uint32_t votes;      /* during classic_select_protocol */
    uint32_t order;      /* of its first vote there */
    uint64_t stamp;      /* of the walk that saw it last: a name that comes twice counts once */
};

struct classic_member {
    struct list node; /* classic->members, in the order they came */
    struct group *g;
    struct group_timer session;
    int64_t due_ms;   /* when its session ends; the timer may ring earlier and is set again then */
    int64_t heard_ms; /* when it last said something; monotonic */
    struct bytes id;  /* owned */
    struct bytes instance;       /* owned; null: a dynamic member */
    struct group_str *client_id; /* of the client that joined first under this id */
    struct group_str *client_host;
    int32_t session_ms;
    int32_t rebalance_ms;
    struct classic_protocols protocols;
    struct bytes assignment; /* owned; never null */
    struct group_ask *join;  /* parked */
    struct group_ask *sync;  /* parked */
    bool is_new;             /* joins for the first time: see CLASSIC_NEW_MEMBER_MS */
    bool owes_sync;          /* got the generation, sent no SyncGroup for it yet */
};

/* Got a member id and was told to come again with it (KIP-394). */
struct classic_pending {
    struct group *g;
    struct group_timer timer;
    struct bytes id; /* owned */
    int32_t session_ms;
};

struct classic {
    struct group *g;
    enum classic_state state;
    enum classic_state previous; /* Preparing after Empty is the initial rebalance */
    int64_t state_wall_ms;       /* since when, wall time; -1: the log does not say */
    int64_t state_ms;            /* the same on the monotonic clock */
    int32_t generation;
    struct group_str *type;     /* "consumer"; NULL: never had members */
    struct group_str *protocol; /* chosen for this generation; NULL: none */
    struct classic_member *leader;
    struct list members;
    uint32_t members_n;
    struct map by_id;              /* member id -> classic_member */
    struct map by_instance;        /* group.instance.id -> classic_member */
    struct map pending;            /* member id -> classic_pending */
    struct map votes;              /* protocol -> classic_vote */
    uint64_t stamp;                /* of the last walk over votes */
    uint32_t joins_n;              /* members whose JoinGroup is parked */
    uint32_t syncs_owed;           /* members that owe a SyncGroup */
    struct group_timer join_timer; /* initial delay, or the rebalance timeout */
    struct group_timer sync_timer; /* SyncGroups that do not come */
    bool grew;                     /* a member came during the initial delay */
    int32_t delay_ms;              /* of the initial rebalance: the present round */
    int32_t remaining_ms;          /* and what may still be added */
    struct group_op *assigning;    /* the write of this generation's assignment, or NULL */
    /* topics that the members of this generation subscribe to */
    bool topics_known;         /* false: not a consumer's protocol, or it could not be read */
    struct group_str **topics; /* sorted by address */
    uint32_t topics_n;
    /* the why */
    struct bytes reason;  /* of the rebalance that runs; owned; null: none runs */
    int64_t rebalance_ms; /* when it began */
};

/* ---- classic_members.c ---- */

/* A member's id in a sentence: of its random part the beginning. Lines for the log have it whole.
 */
const char *classic_quote_id(struct group_shown *out, struct bytes id);
#define QUOTE_ID(id) classic_quote_id(&(struct group_shown){""}, (id))

struct classic *classic_make(struct group *g, int64_t now_ms,
                             int64_t wall_ms); /* if there is none */
struct classic_member *classic_find(const struct classic *cl, struct bytes id); /* NULL */
/* Who somebody says he is: 0 and the member, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID (with a line).
 */
int16_t classic_validate(const struct classic *cl, struct bytes id, struct bytes instance,
                         const char *what, struct group_effects *fx, struct classic_member **m);

struct classic_member *classic_member_new(struct classic *cl, struct bytes id,
                                          struct bytes instance, struct bytes client_id,
                                          struct bytes client_host);
/* Joins the group; its protocols are set. type: of the group, if this is the first. */
void classic_member_add(struct classic *cl, struct classic_member *m, struct bytes type);
/* Takes it out and frees it. No ask may be parked. The next in line leads if it led. */
void classic_member_remove(struct classic *cl, struct classic_member *m);
/* The same, after its parked asks have been answered UNKNOWN_MEMBER_ID: it may come back. */
void classic_member_evict(struct classic *cl, struct classic_member *m, struct group_effects *fx);
/* Another id for a static member: the old one is fenced. */
void classic_member_rename(struct classic *cl, struct classic_member *m, struct bytes id);
void classic_member_park_join(struct classic *cl, struct classic_member *m, struct group_ask *ask);
/* Whose JoinGroup is parked, for the answer; NULL: none is. */
struct group_ask *classic_member_take_join(struct classic *cl, struct classic_member *m);
void classic_member_owes_sync(struct classic *cl, struct classic_member *m, bool owes);
/* Its session ends after_ms from now if nothing is heard. */
void classic_member_alive(struct classic_member *m, int64_t now_ms, int64_t after_ms);
void classic_member_assign(struct classic_member *m, struct bytes assignment);

struct classic_pending *classic_pending_new(struct classic *cl, struct bytes id, int32_t session_ms,
                                            int64_t now_ms);
void classic_pending_remove(struct classic *cl, struct classic_pending *p);

/* Protocols of a JoinGroup, copied. Freed with _drop. */
struct classic_protocols classic_protocols_of(struct group_coordinator *c,
                                              const struct join_group_request *q);
void classic_protocols_drop(struct group_coordinator *c, struct classic_protocols *p);
/* Exactly what the member said before? */
bool classic_protocols_match(const struct classic_protocols *p, const struct join_group_request *q);
/* Takes over p, hands over what was there before; counts supporters. */
struct classic_protocols classic_member_set_protocols(struct classic *cl, struct classic_member *m,
                                                      struct classic_protocols p);
struct bytes classic_member_metadata(const struct classic_member *m, const struct group_str *name);
/* Can a member with these join the group as it is? */
bool classic_supports(const struct classic *cl, const struct join_group_request *q);
struct group_str *classic_select_protocol(struct classic *cl); /* members > 0 */

/* ---- classic_rebalance.c ---- */

void classic_enter(struct classic *cl, enum classic_state state, const struct group_event *ev);
/* A change: a rebalance begins unless one is collecting members already. why is a clause for
 * people, "member x joined". */
void classic_rebalance(struct classic *cl, const struct group_event *ev, struct group_effects *fx,
                       const char *why, ...) __attribute__((format(printf, 4, 5)));
/* Preparing and everybody is there: goes on, except in the initial delay. */
void classic_maybe_complete(struct classic *cl, const struct group_event *ev,
                            struct group_effects *fx);
/* The same also in the initial delay: somebody who was waited for is gone. */
void classic_complete_if_all_joined(struct classic *cl, const struct group_event *ev,
                                    struct group_effects *fx);
/* Answers parked SyncGroups: with the assignment, or with an error and none. */
void classic_propagate(struct classic *cl, int16_t code, const struct group_event *ev,
                       struct group_effects *fx);
/* A SyncGroup came from everybody (or nobody has to send one any more). */
void classic_sync_timer_check(struct classic *cl);
void classic_read_topics(struct classic *cl);
void classic_drop_topics(struct classic *cl);
/* The one line of a rebalance that ends. */
void classic_rebalance_ended(struct classic *cl, const char *state, const struct group_event *ev,
                             struct group_effects *fx);
void classic_session_fire(struct group_coordinator *c, struct group_timer *t,
                          const struct group_event *ev, struct group_effects *fx);
void classic_pending_fire(struct group_coordinator *c, struct group_timer *t,
                          const struct group_event *ev, struct group_effects *fx);

/* ---- answers: classic_join.c, classic_sync.c ---- */

void classic_join_error(struct group_effects *fx, struct group_ask *ask, struct bytes member_id,
                        int16_t code);
/* The generation as it is; with members for the leader if with_members. */
void classic_join_answer(struct classic *cl, const struct classic_member *m, struct group_ask *ask,
                         bool with_members, struct group_effects *fx);
void classic_sync_error(struct group_effects *fx, struct group_ask *ask, int16_t code);
struct bytes classic_copy(struct group_ask *ask, struct bytes b); /* into the ask's arena */

/* ---- classic_static.c ---- */

void classic_join_static(struct classic *cl, struct classic_member *m, struct bytes new_id,
                         const struct group_event *ev, struct group_effects *fx);

/* ---- classic_log.c ---- */

/* The group as it is; assignments[i] is of the i-th member in the list, NULL: what they have. */
struct group_record classic_record(const struct classic *cl, const struct bytes *assignments,
                                   struct group_effects *fx);
/* Writes a group that has become empty; nobody waits for it. */
void classic_write_empty(struct classic *cl, struct group_effects *fx);
/* Writes a group that is new, or that was one of another protocol. If that fails, it is gone (or
 * what it was), and who has joined is told. */
void classic_write_new(struct classic *cl, struct group_effects *fx);

#endif
