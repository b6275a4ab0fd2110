/* The group coordinator of one __consumer_offsets partition, as a pure core: events go in, effects
 * come out. No I/O, no clock, no random source, no thread: what is needed of these stands in the
 * event. broker/group_host.c carries the effects out on the partition's home shard.
 *
 *     event (a request, a timer that is due, records that are committed)
 *       -> group_coordinator_step
 *       -> effects: records to append, answers, lines for the log
 *
 * Two kinds of state. What stands in the log (offsets, a classic group's generation, protocol and
 * assignment) changes when its record is COMMITTED, in the order of the log, and by nothing else;
 * so a failed append leaves nothing to undo, and every reader sees committed values only. What does
 * not (who is joining, who has synced, timers) is soft: it changes at once and is lost with the
 * coordinator, as in Kafka's classic protocol.
 *
 * Writes. An effect `group_write` carries records and the operation that waits for them. The host
 * appends writes in the order it got them and says GROUP_WRITTEN exactly once for each, in that
 * order, with a wire code; only then does the operation take effect and answer. Many may be out.
 *
 * Answers. A request is a struct group_ask; it is answered once: its response struct, in the ask's
 * arena, is complete when the ask stands in effects->replies. A step that takes a request has
 * copied what it needs of the request before it returns: the frame may be freed then.
 *
 * Kinds of groups. struct group is what all kinds share (id, offsets, pending writes); the classic
 * protocol is one kind (classic_*.c). Groups of KIP-848 and share groups stand in the log of a
 * Kafka that was here before: they are kept, listed and deleted, not served yet (foreign.c).
 *
 * Failure modes. Memory is counted (group_coordinator_bytes) and bounded (config.memory_max): what
 * would grow past it is refused with COORDINATOR_NOT_AVAILABLE and a line. A record in the log that
 * cannot be read is skipped and counted. Everything a peer sends may lie.
 *
 * Kafka: KIP-62, 134, 345 (static members), 394 (member id required), 429, 447, 523, 559, 709, 800,
 * 814, 848 (where it will slot in). Shard: home shard of the partition; the core does not know. */
#ifndef BROKER_GROUP_COORDINATOR_H
#define BROKER_GROUP_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/siphash.h"
#include "base/uuid.h"

struct group_coordinator;
struct group_op; /* what waits for a write; the core's */

/* Values of settings; the host may change them between steps. */
struct group_config {
    int32_t session_min_ms;             /* group.min.session.timeout.ms */
    int32_t session_max_ms;             /* group.max.session.timeout.ms */
    int32_t max_size;                   /* group.max.size */
    int32_t initial_rebalance_delay_ms; /* group.initial.rebalance.delay.ms */
    int32_t offset_metadata_max;        /* offset.metadata.max.bytes */
    int64_t offsets_retention_ms;       /* offsets.retention.minutes */
    uint64_t memory_max; /* group.coordinator.memory.bytes (ours): of this coordinator */
};

/* ---- questions ---- */

struct group_ask {
    /* in; the host's memory */
    int16_t version; /* of the API */
    struct bytes client_id;
    struct bytes client_host; /* "/127.0.0.1", as Kafka prints it */
    const void *request;      /* struct of the API's request schema; only during the step */
    struct uuid fresh;        /* GROUP_JOIN: random, for a new member id */
    struct arena *arena;      /* for the answer; lives until the ask is answered */
    /* in, out */
    void *response;   /* struct of the API's response schema, at its defaults */
    void *user;       /* the host's */
    struct list node; /* the core's while the ask waits; in effects->replies when answered */
};

enum group_event_kind {
    GROUP_JOIN,          /* ask: JoinGroup */
    GROUP_SYNC,          /* ask: SyncGroup */
    GROUP_HEARTBEAT,     /* ask: Heartbeat */
    GROUP_LEAVE,         /* ask: LeaveGroup; versions below 3 name one member */
    GROUP_OFFSET_COMMIT, /* ask: OffsetCommit; topics exist and have names, else they are not in it
                          */
    GROUP_OFFSET_DELETE, /* ask: OffsetDelete; the same */
    GROUP_DELETE,        /* ask: DeleteGroups of one group: request and response have one */
    GROUP_WRITTEN,       /* op, code: its records are committed (0), or not and never will be */
    GROUP_TICK,          /* group_coordinator_deadline has come */
    GROUP_EXPIRE,        /* offsets.retention.check.interval.ms: offsets and empty groups */
    GROUP_TOPIC_GONE, /* topic, topic_id: deleted; its offsets go (both: a part at a time, the rest
                         with GROUP_TICK) */
    GROUP_UNLOAD,     /* code: everybody who waits is answered with it; no write is out any more */
};

struct group_event {
    enum group_event_kind kind;
    int64_t now_ms;  /* monotonic: timers */
    int64_t wall_ms; /* since 1970: timestamps in records, expiry, history */
    struct group_ask *ask;
    struct group_op *op;
    int16_t code;
    int64_t offset; /* GROUP_WRITTEN, code 0: of the op's first record in the log */
    struct bytes topic;
    struct uuid topic_id;
};

/* ---- effects ---- */

struct group_record {
    struct bytes key;
    struct bytes value; /* data NULL: a tombstone */
};

struct group_write {
    struct list node; /* in effects->writes */
    struct group_op *op;
    struct group_record *records; /* in effects->arena, like all they point to */
    uint32_t n;                   /* > 0; appended together: all or none */
};

/* One line for the node's log: key=value facts. But for the first kind peers can cause them at
 * will: each kind is rate-limited by itself, so that none drowns in another. */
enum group_line_kind {
    GROUP_LINE_OWN,       /* info */
    GROUP_LINE_REBALANCE, /* info: one for each rebalance */
    GROUP_LINE_EVENT,     /* info: a member is fenced, timed out, turned away; a group is deleted */
    GROUP_LINE_WARNING,   /* refusals, writes that failed */
    GROUP_LINE_KINDS,
};
struct group_line {
    struct list node; /* in effects->lines */
    enum group_line_kind kind;
    const char *text; /* in effects->arena */
};

/* Collected by a step in this order, carried out by the host in this order: writes, replies, lines.
 * Reset by the host when that is done; several steps may fill one. */
struct group_effects {
    struct arena arena;
    struct list writes;                 /* group_write */
    struct list replies;                /* group_ask */
    struct list lines;                  /* group_line */
    uint32_t lines_n[GROUP_LINE_KINDS]; /* asked for; no more are kept than the log would take */
};

void group_effects_init(struct group_effects *fx);
void group_effects_reset(struct group_effects *fx); /* frees what the effects point to */
void group_effects_free(struct group_effects *fx);
/* How many lines of the kind were asked for and not kept. */
uint32_t group_effects_left_out(const struct group_effects *fx, enum group_line_kind kind);

/* ---- life ---- */

/* Starts empty and loading: records of the log come by group_coordinator_replay, in order, until
 * group_coordinator_loaded; no step before that. config lives as long as the coordinator; secret
 * (may be NULL) keys its maps. */
struct group_coordinator *group_coordinator_new(const struct group_config *config,
                                                const struct siphash_key *secret);
/* Nothing may wait any more: after GROUP_UNLOAD, or before the first step. */
void group_coordinator_free(struct group_coordinator *c);

/* A batch of the log. Records of a transaction wait for its marker. */
struct group_replay {
    int64_t producer_id; /* -1 none */
    bool transactional;
    int64_t timestamp; /* of the record */
    int64_t offset;
};
/* 0, or ERR_CORRUPT: the record cannot be read and was skipped. A type that is not known is
 * ignored. value.data NULL: a tombstone. */
int group_coordinator_replay(struct group_coordinator *c, const struct group_replay *r,
                             struct bytes key, struct bytes value);
void group_coordinator_replay_marker(struct group_coordinator *c, int64_t producer_id, bool commit);
/* All was replayed: members get their session timers, groups above max_size begin a rebalance. */
void group_coordinator_loaded(struct group_coordinator *c, int64_t now_ms, int64_t wall_ms,
                              struct group_effects *fx);

/* ---- steps ---- */

void group_coordinator_step(struct group_coordinator *c, const struct group_event *ev,
                            struct group_effects *fx);
/* now_ms at which GROUP_TICK is due; INT64_MAX: never. */
int64_t group_coordinator_deadline(const struct group_coordinator *c);

/* ---- reading; committed state only ---- */

struct offset_fetch_request_offset_fetch_request_group;
struct offset_fetch_response_offset_fetch_response_group;
struct describe_groups_response_described_group;
struct list_groups_response_listed_group;

/* One group of an OffsetFetch in the form of versions 8 and later; topics NULL (topics_n -1) means
 * all. out is at its defaults; what it needs is taken from a. False: it names so many partitions
 * (perhaps one a million times) that the answer passes a's limit; out is not whole then. */
bool group_fetch_offsets(const struct group_coordinator *c,
                         const struct offset_fetch_request_offset_fetch_request_group *q,
                         bool require_stable, struct arena *a,
                         struct offset_fetch_response_offset_fetch_response_group *out);
/* out is at its defaults, group_id set; version is that of DescribeGroups. */
void group_describe(const struct group_coordinator *c, struct bytes group_id, int16_t version,
                    struct arena *a, struct describe_groups_response_described_group *out);

/* The filters of a ListGroups: no state, no type means all; unknown names match nothing. Read once
 * for a request, which may name a million. */
struct group_filter {
    uint32_t states; /* sets of bits; describe.c's */
    uint32_t kinds;
};
struct group_filter group_filter_of(const struct bytes *states, int32_t states_n,
                                    const struct bytes *types, int32_t types_n);
/* Appends nothing and counts when out is NULL; else fills at most max and returns how many match.
 */
uint32_t group_list(const struct group_coordinator *c, const struct group_filter *f,
                    struct arena *a, struct list_groups_response_listed_group *out, uint32_t max);

/* The "why": what happened last to the group, newest last, and who is waited for now. Lines are
 * plain sentences without a date; wall_ms tells when. ERR_NOTFOUND: no such group. */
struct group_story_line {
    int64_t wall_ms;
    const char *text;
};
int group_explain(const struct group_coordinator *c, struct bytes group_id, int64_t now_ms,
                  int64_t wall_ms, struct arena *a, struct group_story_line **out, uint32_t *n);

/* Groups in whose rebalance somebody is waited for: since when (monotonic), and the same sentences
 * about now. Walks over all groups. */
struct group_wait {
    struct bytes id;
    const char *state; /* "PreparingRebalance", ... */
    int64_t since_ms;
    uint32_t members;
};
void group_coordinator_waits(const struct group_coordinator *c,
                             void (*fn)(const struct group_wait *w, void *user), void *user);
/* Joined by "; ". */
const char *group_explain_now(const struct group_coordinator *c, struct bytes group_id,
                              int64_t now_ms, struct arena *a);

/* Committed offsets, group by group, until fn says false. Walks over all of them. */
struct group_offset {
    struct bytes group;
    struct bytes topic;
    int32_t partition;
    int64_t offset;
};
void group_coordinator_offsets(const struct group_coordinator *c,
                               bool (*fn)(const struct group_offset *o, void *user), void *user);

struct group_counts {
    uint64_t groups, members, offsets, skipped_records;
    uint64_t bytes; /* counted memory */
};
struct group_counts group_coordinator_counts(const struct group_coordinator *c);

/* Groups of the classic protocol, by state. Walks over all groups. */
struct group_states {
    uint64_t empty, preparing, completing, stable;
};
void group_coordinator_states(const struct group_coordinator *c, struct group_states *sum);

#endif
