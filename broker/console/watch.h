/* What the console knows of the cluster: a round of questions every ROUND_MS while somebody looks.
 *
 *     looked at -> round: own shards (counters, the metadata image) -> brokers: log directories and
 *     first offsets (each SLOW_ROUNDS), last offsets, the quorum, groups -> their members and
 *     offsets -> sums, rates and alarms -> whoever waits for the first round is answered -> pause
 *
 * A round ends when every question has ended; each has ASK_MS. Answers of different moments stand
 * beside each other, so a lag may be off by what was written in between; it is never negative.
 *
 * Offsets are kept for each partition of the image, groups by their id. All of it is dropped when
 * nobody has looked for a while.
 *
 * Failure modes: a broker that does not answer keeps the figures that it gave last; they are marked
 * as old by the time at which they came. Groups, and of each the members and offsets, are kept as
 * far as there is room (watch_keep.h); the rest is counted only.
 *
 * Shard: the monitor's. */
#ifndef BROKER_CONSOLE_WATCH_H
#define BROKER_CONSOLE_WATCH_H

#include "base/arena.h"
#include "base/map.h"
#include "base/uuid.h"
#include "broker/console/lag.h"
#include "broker/shard_stats.h"
#include "controller/controller.h"
#include "runtime/shard.h"

struct console;
struct gather;
struct image;
struct peer;

enum {
    WATCH_SAMPLES = 300, /* ten minutes of rounds */
};

struct watch_partition {
    int64_t start; /* first offset; -1 not known */
    int64_t end;   /* high watermark; -1 not known */
    int64_t heard_ms;
    int64_t bytes; /* of the leader's replica; -1 not known */
    double rate;   /* records a second */
};

struct watch_topic {
    struct uuid id; /* the map's key */
    uint64_t seen;  /* the image that had it */
    struct watch_partition *v;
    uint32_t n;
};

struct watch_member {
    struct bytes id, instance, client, host;
    uint32_t partitions;
};

struct watch_offset { /* of a group in a partition: committed, or assigned to a member */
    struct bytes topic;
    int32_t partition;
    int64_t committed; /* -1: none */
    int64_t end;       /* -1: not known */
    int64_t lag;       /* -1: not known */
    int32_t member;    /* index; -1 nobody */
};

enum watch_alarm {
    ALARM_BOUND = 1,   /* the lag is beyond console.lag.alarm.records */
    ALARM_GROWS = 2,   /* it rises, also across the pauses between commits */
    ALARM_STANDS = 4,  /* nothing was committed for a while, although there is a lag */
    ALARM_NOBODY = 8,  /* there is a lag and no member */
    ALARM_SILENT = 16, /* its coordinator does not answer */
};

struct watch_group {
    struct bytes id; /* the map's key */
    uint64_t seen;   /* the round in which it was listed */
    int32_t coordinator;
    char state[24];
    char protocol_type[32];
    char assignor[32];
    bool described;
    struct arena members_mem, offsets_mem;
    struct watch_member *members;
    uint32_t members_n;
    struct watch_offset *offsets;
    uint32_t offsets_n;
    struct watch_offset *assigned; /* committed is -1: as the members have it; in members_mem */
    uint32_t assigned_n;
    uint32_t members_left_out, offsets_left_out, assigned_left_out; /* for want of room */
    int64_t lag; /* sum of what is known; -1 nothing is */
    unsigned alarms;
    struct lag_history lags;
};

struct watch_sample {
    int64_t wall_ms;
    double records;  /* written in the cluster, a second */
    double bytes;    /* the same, by the mean size of a partition's records */
    double bytes_in; /* of this broker, a second */
    double bytes_out;
    double replication_in;
    double requests;
    int64_t lag; /* of all groups */
};

struct watch_voter {
    int32_t id;
    int64_t end;
    int64_t fetched_ms;   /* wall clock; -1 unknown */
    int64_t caught_up_ms; /* the same */
    bool voter;
    bool silent; /* a voter that the leader does not hear, or never has */
};

struct watch_quorum {
    bool known;
    bool failed; /* it was asked for, and nobody told; neither: not asked yet */
    int32_t leader;
    int32_t epoch;
    int64_t high_watermark;
    struct watch_voter *v;
    uint32_t n;
};

struct watch_own { /* sums over this node's shards */
    struct topic_counts counts;
    uint64_t requests;
    uint32_t connections;
};

struct watch {
    struct image *image; /* a reference; NULL before the first round, or there is none yet */
    int64_t looked_ms;   /* somebody did */
    struct timer timer;  /* the next round */
    struct timer first;  /* who waits for the first round waits no longer */
    bool busy;           /* a round is under way */
    unsigned out;        /* its questions */
    uint64_t round;
    bool slow; /* it asks for all */
    int64_t began_ms;
    int64_t done_ms; /* the last one that was whole; -1 none */
    int64_t took_ms;
    bool controller; /* this node's controller was asked */
    struct controller_status status;
    struct watch_own own, own_before;
    int64_t own_ms, own_before_ms;
    struct map topics;        /* id -> watch_topic */
    struct map groups;        /* id -> watch_group */
    uint32_t groups_left_out; /* for want of room; in this round */
    size_t kept;              /* bytes of all groups */
    struct watch_quorum quorum;
    struct watch_sample samples[WATCH_SAMPLES];
    uint64_t samples_n;
};

void watch_init(struct console *c);
/* Somebody looks: rounds begin, or go on. */
void watch_look(struct console *c);
void watch_end(struct console *c);
void watch_free(struct console *c);

/* NULL: not known yet. */
const struct watch_partition *watch_partition(const struct watch *w, struct uuid topic,
                                              int32_t partition);
const struct watch_partition *watch_partition_named(const struct watch *w, struct bytes topic,
                                                    int32_t partition);
struct watch_group *watch_group_find(const struct watch *w, struct bytes id);

/* ---- between the watch's files ---- */

/* The round has one more question out; one less. */
void watch_asked(struct console *c);
void watch_answered(struct console *c);

/* watch_logs.c */
void watch_topics_follow(struct watch *w);
void watch_topics_free(struct watch *w);
void watch_ask_logs(struct console *c, struct peer *p);
/* watch_groups.c */
void watch_ask_groups(struct console *c, struct peer *p);
void watch_groups_finish(struct console *c); /* lags, alarms; groups that are gone go */
/* watch_quorum.c */
void watch_ask_quorum(struct console *c, struct peer *p);

#endif
