/* The cluster as the operator's tools see it at one moment: brokers with their log directories,
 * topics with their partitions, how many bytes each replica has. view_ask.c gathers it by the admin
 * protocol; what decides upon it (doctor, drain, balance) is pure and asks nothing.
 *
 * A broker that does not answer is part of the picture: `silent` says why, and what only it could
 * tell is unknown (-1). Everything lives in the arena of the client that gathered it. */
#ifndef TOOLS_VIEW_H
#define TOOLS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"

struct client;

struct view_ids {
    int32_t *v;
    int32_t n;
};

struct view_dir {
    struct bytes path;
    int16_t error;         /* KAFKA_STORAGE_ERROR: offline; 0: none */
    int64_t total, usable; /* bytes of its disk; -1: unknown */
    bool cordoned;
};

/* What a broker has of a setting. */
struct view_setting {
    struct bytes name, value;
    int8_t source; /* config-source of the protocol */
};

struct view_broker {
    int32_t id;
    struct bytes host;
    int32_t port;
    struct bytes rack; /* null: none */
    bool fenced;
    const char *silent; /* why it does not answer; NULL: it does */
    struct view_dir *dirs;
    int32_t dirs_n;
    int64_t dirs_ms;               /* when it told them and the sizes (steady_ms) */
    struct view_setting *settings; /* those that were asked for */
    int32_t settings_n;
};

struct view_partition {
    int32_t index;
    int32_t leader; /* -1: none */
    struct view_ids replicas, isr, elr, last_elr, offline;
    struct view_ids adding, removing; /* empty: it does not move */
    int64_t *bytes;                   /* of each of replicas; -1: unknown */
    int64_t written;                  /* bytes a second, by view_measure; -1: unknown */
    int64_t grown, grown_ms;          /* its log has, over all looks that tell; and in how long */
};

struct view_topic {
    struct bytes name;
    bool internal;
    int32_t min_isr; /* min.insync.replicas; 0: unknown */
    struct view_setting *settings;
    int32_t settings_n;
    struct view_partition *partitions; /* by index, from 0 */
    int32_t partitions_n;
};

struct view {
    struct bytes cluster_id;
    struct view_broker *brokers; /* by id; fenced ones too */
    int32_t brokers_n;
    struct view_topic *topics; /* by name */
    int32_t topics_n;
    int32_t moves;      /* partitions that move */
    int32_t dir_moves;  /* replicas that move between the directories of a broker that answers */
    bool measured;      /* by view_measure */
    int32_t unmeasured; /* partitions of which it could not tell what is written */
};

bool view_ids_has(struct view_ids ids, int32_t id);
struct view_broker *view_broker(const struct view *v, int32_t id); /* NULL: not registered */
struct view_topic *view_topic(const struct view *v, struct bytes name);
/* It is there, unfenced, and answers (as far as it was asked). */
bool view_is_up(const struct view *v, int32_t id);
/* How many replicas it has; those that a move adds are on their way and do not count. */
int32_t view_factor(const struct view_partition *p);
/* The value, NULL-terminated lists of names not being known; null: was not asked or is not there.
 */
struct bytes view_value(const struct view_setting *s, int32_t n, const char *name);
/* Sum of what is known of the replicas' sizes. */
int64_t view_bytes_on(const struct view *v, int32_t broker);
/* The largest size that a replica is known to have; 0: none is known. */
int64_t view_size(const struct view_partition *p);

/* What is written to each partition, by the growth of its leader's log since `before`, the look
 * before this one, and in the looks before that one: bytes as they lie on the disk, compressed as
 * they came.
 *
 * A log that shrank between two looks (retention, deleted records, compaction) has been written
 * too, nobody knows how much: that time does not count. So what is written should be measured in
 * several looks. Compaction that takes less than what comes goes unnoticed, and what clients read
 * leaves no trace. */
void view_measure(const struct view *before, struct view *v);

/* Brokers (fenced ones too), topics, partitions, moves. 0, or ERR_ with a sentence in c->error. */
int view_ask(struct client *c, struct view *out);
/* Log directories and sizes from each broker that is unfenced and not silent yet. Brokers that do
 * not answer become silent; that is no error. */
void view_ask_dirs(struct client *c, struct view *v);
/* Settings of each topic (its min_isr among them), and of each broker that answers: the names end
 * with NULL. */
int view_ask_topic_settings(struct client *c, struct view *v, const char *const *names);
void view_ask_broker_settings(struct client *c, struct view *v, const char *const *names);

/* The metadata log's part of DescribeQuorum, which has a leader among its voters, and the answer
 * that it is in: 0, or ERR_ with a sentence. */
struct describe_quorum_response;
struct describe_quorum_response_partition_data;
int view_ask_quorum(struct client *c, struct describe_quorum_response_partition_data **out,
                    struct describe_quorum_response **whole);

#endif
