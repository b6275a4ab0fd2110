/* /metrics: what is asked of the shards, and the sections that write it.
 *
 *     gather: each data shard copies its counters and a row for each partition (metrics_take.c),
 * the controller's shard its status and a reference to its image -> here: sums, text
 *
 * Names are those that Kafka's JMX metrics have behind the usual rules of the JMX exporter, where
 * there is such a metric; what is Millrace's own begins with millrace_.
 *
 * Shard: the monitor's, but for metrics_take_x, which run on the asked one. */
#ifndef BROKER_MONITOR_METRICS_H
#define BROKER_MONITOR_METRICS_H

#include "base/uuid.h"
#include "broker/group/coordinator.h"
#include "broker/listeners_config.h"
#include "broker/monitor/gather.h"
#include "broker/monitor/metrics_text.h"
#include "broker/shard_stats.h"
#include "controller/controller.h"
#include "storage/disk_time.h"

struct image;

struct metrics_partition {
    uint32_t labels_at; /* in the shard's labels */
    uint32_t labels_n;
    uint32_t segments;
    uint32_t replicas;
    uint32_t isr;
    bool leader;
    bool offline;
    bool under_replicated;
    bool under_min_isr;
    bool at_min_isr;
    bool follows;
    int64_t start;
    int64_t end;
    int64_t lag; /* follows: behind the leader's high watermark */
    uint64_t size;
};

/* A committed offset: its labels in group_labels. */
struct metrics_offset {
    uint32_t labels_at;
    uint32_t labels_n;
    int64_t offset;
};

enum { METRICS_OFFSETS_MAX = 10000, METRICS_OFFSETS_BYTES = 4 << 20 }; /* of a node; of a shard */

struct metrics_topic {
    struct uuid id;
    char *name;
    struct topic_counts counts;
};

/* What an answer begins with. */
struct metrics_answer {
    bool controller; /* a metrics_controller, else a metrics_shard */
};

/* A data shard's answer. */
struct metrics_shard {
    struct metrics_answer base; /* first */
    uint64_t memory_used, memory_limit;
    uint64_t connections_opened, isr_shrinks, isr_expands, isr_updates_failed;
    uint32_t connections;
    uint32_t produces_waiting, fetches_parked, groups_waiting, requests_live;
    uint32_t fetch_sessions;
    uint32_t moves;                 /* partitions that move between log directories */
    struct request_stat **requests; /* copies; NULL: none */
    struct metrics_topic *topics;
    uint32_t topics_n;
    struct metrics_partition *partitions;
    uint32_t partitions_n;
    struct buf labels;
    struct disk_time write_time, flush_time;
    unsigned index;
    int64_t cpu_us; /* of the shard's thread */
    int64_t now_us;
    uint64_t groups, members, offsets; /* of coordinators here */
    struct group_states group_states;
    uint64_t group_bytes, group_bytes_max;
    struct metrics_offset *group_offsets;
    uint32_t group_offsets_n, group_offsets_max;
    struct buf group_labels;
    /* of main alone */
    bool is_main;
    int broker_state; /* Kafka's number */
    int64_t metadata_applied;
    int64_t controller_silent_ms; /* -1: none was ever heard */
    uint64_t failed_dirs;         /* bit by index, with those that were never opened */
    uint32_t listener_connections[LISTENERS_MAX];
    const char *listener_names[LISTENERS_MAX]; /* the configuration's */
    size_t listeners;
};

struct metrics_controller {
    struct metrics_answer base; /* first */
    bool up;
    struct controller_status status;
    struct image *image; /* a reference */
};

struct metrics_window; /* metrics_requests.c */

struct metrics {
    struct metrics_text text;
    struct monitor *monitor;
    struct node *node;
    const struct metrics_shard **shards; /* that answered */
    unsigned shards_n;
    const struct metrics_shard *main;            /* NULL: late */
    const struct metrics_controller *controller; /* NULL: none here, or late */
    unsigned late;                               /* shards that did not answer */
};

/* metrics_take.c */
void metrics_take_shard(struct node_shard *ns, struct gather_part *p);
void metrics_take_controller(struct node *n, struct gather_part *p);
void metrics_free(void *answer);

/* the sections */
void metrics_put_requests(struct metrics *m, struct metrics_window **window);
void metrics_window_free(struct metrics_window *w);
/* A kind of request under the name that Kafka's metrics have for it. */
void metrics_request_name(unsigned slot, char *out, size_t n);
void metrics_put_topics(struct metrics *m);
void metrics_put_replicas(struct metrics *m);
void metrics_put_broker(struct metrics *m);
void metrics_put_groups(struct metrics *m);
void metrics_put_disk(struct metrics *m);
void metrics_put_controller(struct metrics *m);
void metrics_put_process(struct metrics *m);

#endif
