/* Topics, replicas, groups and the broker itself. */
#include "base/map.h"
#include "base/mem.h"
#include "broker/config.h"
#include "broker/monitor/metrics.h"

#define NO_LABELS bytes_of("", 0)

/* ---- topics ---- */

static const struct {
    const char *name;
    const char *help;
    size_t at;
    bool broker_only; /* Kafka has no such number of a topic */
} topic_counters[] = {
#define BROKER_TOPIC(n) "kafka_server_brokertopicmetrics_" n "_total"
    {BROKER_TOPIC("messagesin"), "Records appended for producers.",
     offsetof(struct topic_counts, messages_in), false},
    {BROKER_TOPIC("bytesin"), "Bytes appended for producers.",
     offsetof(struct topic_counts, bytes_in), false},
    {BROKER_TOPIC("bytesout"), "Bytes given to consumers.",
     offsetof(struct topic_counts, bytes_out), false},
    {BROKER_TOPIC("bytesrejected"), "Bytes of record batches that were refused.",
     offsetof(struct topic_counts, bytes_rejected), false},
    {BROKER_TOPIC("totalproducerequests"), "Partitions in Produce requests.",
     offsetof(struct topic_counts, produces), false},
    {BROKER_TOPIC("totalfetchrequests"), "Partitions read by Fetch requests.",
     offsetof(struct topic_counts, fetches), false},
    {BROKER_TOPIC("failedproducerequests"),
     "Partitions of Produce requests answered with an error.",
     offsetof(struct topic_counts, produces_failed), false},
    {BROKER_TOPIC("failedfetchrequests"), "Partitions of Fetch requests answered with an error.",
     offsetof(struct topic_counts, fetches_failed), false},
    {BROKER_TOPIC("replicationbytesin"), "Bytes fetched from leaders.",
     offsetof(struct topic_counts, replication_in), true},
    {BROKER_TOPIC("replicationbytesout"), "Bytes given to followers.",
     offsetof(struct topic_counts, replication_out), true},
};

struct topic_sum {
    struct topic_counts counts;
    struct buf labels;
};

/* The same topic is known to several shards. */
static struct topic_sum *sum_topics(const struct metrics *m, struct topic_counts *all, uint32_t *n)
{
    struct map by_id = {0};
    uint32_t most = 0;
    for (unsigned s = 0; s < m->shards_n; s++) {
        most += m->shards[s]->topics_n;
    }
    struct topic_sum *sums = mem_zalloc((most + 1) * sizeof *sums);
    *n = 0;
    for (unsigned s = 0; s < m->shards_n; s++) {
        for (uint32_t i = 0; i < m->shards[s]->topics_n; i++) {
            const struct metrics_topic *t = &m->shards[s]->topics[i];
            struct topic_sum *sum = map_get(&by_id, bytes_of(t->id.b, sizeof t->id.b));
            if (sum == NULL) {
                sum = &sums[(*n)++];
                metric_label(&sum->labels, "topic", bytes_str(t->name));
                map_put(&by_id, bytes_of(t->id.b, sizeof t->id.b), sum);
            }
            topic_counts_add(&sum->counts, &t->counts);
            topic_counts_add(all, &t->counts);
        }
    }
    map_free(&by_id);
    return sums;
}

static uint64_t counter(const struct topic_counts *c, size_t at)
{
    return *(const uint64_t *)((const uint8_t *)c + at);
}

void metrics_put_topics(struct metrics *m)
{
    struct topic_counts all = {0};
    uint32_t n;
    struct topic_sum *sums = sum_topics(m, &all, &n);
    for (size_t k = 0; k < ARRAY_LEN(topic_counters); k++) {
        metric_family(&m->text, topic_counters[k].name, "counter", topic_counters[k].help);
        metric_u64(&m->text, NO_LABELS, counter(&all, topic_counters[k].at));
        for (uint32_t i = 0; i < n && !topic_counters[k].broker_only; i++) {
            metric_u64(&m->text, buf_bytes(&sums[i].labels),
                       counter(&sums[i].counts, topic_counters[k].at));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        buf_free(&sums[i].labels);
    }
    mem_free(sums);
}

/* ---- replicas ---- */

typedef bool row_value(const struct metrics_partition *p, int64_t *v);

static bool log_size(const struct metrics_partition *p, int64_t *v)
{
    *v = (int64_t)p->size;
    return !p->offline;
}

static bool log_end(const struct metrics_partition *p, int64_t *v)
{
    *v = p->end;
    return !p->offline;
}

static bool log_start(const struct metrics_partition *p, int64_t *v)
{
    *v = p->start;
    return !p->offline;
}

static bool log_segments(const struct metrics_partition *p, int64_t *v)
{
    *v = p->segments;
    return !p->offline;
}

static bool under_replicated(const struct metrics_partition *p, int64_t *v)
{
    *v = p->under_replicated;
    return p->leader;
}

static bool isr_count(const struct metrics_partition *p, int64_t *v)
{
    *v = p->isr;
    return p->leader;
}

static bool replicas_count(const struct metrics_partition *p, int64_t *v)
{
    *v = p->replicas;
    return p->leader;
}

static bool follower_lag(const struct metrics_partition *p, int64_t *v)
{
    *v = p->lag;
    return p->follows;
}

static void put_partitions(struct metrics *m)
{
    static const struct {
        const char *name;
        const char *help;
        row_value *value;
    } rows[] = {
        {"kafka_log_log_size", "Bytes of the partition's log.", log_size},
        {"kafka_log_log_logendoffset", "Offset of the next record.", log_end},
        {"kafka_log_log_logstartoffset", "Offset of the first record.", log_start},
        {"kafka_log_log_numlogsegments", "Segments of the partition's log.", log_segments},
        {"kafka_cluster_partition_underreplicated",
         "1 while replicas of a partition led here are not in sync.", under_replicated},
        {"kafka_cluster_partition_insyncreplicascount", "In-sync replicas of a partition led here.",
         isr_count},
        {"kafka_cluster_partition_replicascount", "Replicas of a partition led here.",
         replicas_count},
        {"kafka_server_fetcherlagmetrics_consumerlag",
         "Records that a follower here is behind its leader's high watermark.", follower_lag},
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        metric_family(&m->text, rows[k].name, "gauge", rows[k].help);
        for (unsigned s = 0; s < m->shards_n; s++) {
            const struct metrics_shard *sh = m->shards[s];
            for (uint32_t i = 0; i < sh->partitions_n; i++) {
                const struct metrics_partition *p = &sh->partitions[i];
                int64_t v;
                if (rows[k].value(p, &v)) {
                    metric_i64(&m->text, bytes_of(sh->labels.data + p->labels_at, p->labels_n), v);
                }
            }
        }
    }
}

struct replica_sums {
    uint64_t partitions, leaders, offline, under, under_min, at_min, moves;
    uint64_t shrinks, expands, failed, waiting, parked, joining;
    int64_t lag_max;
};

static struct replica_sums sum_replicas(const struct metrics *m)
{
    struct replica_sums n = {0};
    for (unsigned s = 0; s < m->shards_n; s++) {
        const struct metrics_shard *sh = m->shards[s];
        for (uint32_t i = 0; i < sh->partitions_n; i++) {
            const struct metrics_partition *p = &sh->partitions[i];
            n.leaders += p->leader;
            n.offline += p->offline;
            n.under += p->under_replicated;
            n.under_min += p->under_min_isr;
            n.at_min += p->at_min_isr;
            n.lag_max = p->follows && p->lag > n.lag_max ? p->lag : n.lag_max;
        }
        n.partitions += sh->partitions_n;
        n.moves += sh->moves;
        n.shrinks += sh->isr_shrinks;
        n.expands += sh->isr_expands;
        n.failed += sh->isr_updates_failed;
        n.waiting += sh->produces_waiting;
        n.parked += sh->fetches_parked;
        n.joining += sh->groups_waiting;
    }
    return n;
}

static void put_purgatory(struct metrics *m, const struct replica_sums *n)
{
    const struct {
        const char *kind;
        uint64_t waiting;
    } kinds[] = {{"Produce", n->waiting}, {"Fetch", n->parked}, {"Rebalance", n->joining}};
    metric_family(&m->text, "kafka_server_delayedoperationpurgatory_purgatorysize", "gauge",
                  "Requests that wait: for other replicas, for records, for other members.");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct buf labels = {0};
        metric_label(&labels, "delayedOperation", bytes_str(kinds[i].kind));
        metric_u64(&m->text, buf_bytes(&labels), kinds[i].waiting);
        buf_free(&labels);
    }
}

void metrics_put_replicas(struct metrics *m)
{
    struct replica_sums n = sum_replicas(m);
    struct metrics_text *t = &m->text;
#define REPLICA_MANAGER(name) "kafka_server_replicamanager_" name
    metric_one(t, REPLICA_MANAGER("partitioncount"), "gauge", "Replicas here.",
               (double)n.partitions);
    metric_one(t, REPLICA_MANAGER("leadercount"), "gauge", "Partitions led here.",
               (double)n.leaders);
    metric_one(t, REPLICA_MANAGER("offlinereplicacount"), "gauge",
               "Replicas here whose log cannot be used.", (double)n.offline);
    metric_one(t, REPLICA_MANAGER("underreplicatedpartitions"), "gauge",
               "Partitions led here of which replicas are not in sync.", (double)n.under);
    metric_one(t, REPLICA_MANAGER("underminisrpartitioncount"), "gauge",
               "Partitions led here with fewer in-sync replicas than min.insync.replicas.",
               (double)n.under_min);
    metric_one(t, REPLICA_MANAGER("atminisrpartitioncount"), "gauge",
               "Partitions led here with just min.insync.replicas in-sync replicas.",
               (double)n.at_min);
    metric_one(t, REPLICA_MANAGER("isrshrinks_total"), "counter",
               "Times that an in-sync set became smaller.", (double)n.shrinks);
    metric_one(t, REPLICA_MANAGER("isrexpands_total"), "counter",
               "Times that an in-sync set became larger.", (double)n.expands);
    metric_one(t, REPLICA_MANAGER("failedisrupdates_total"), "counter",
               "In-sync sets that the controller refused.", (double)n.failed);
    metric_one(t, "kafka_server_replicafetchermanager_maxlag", "gauge",
               "Most records that a follower here is behind.", (double)n.lag_max);
    metric_one(t, "millrace_log_dir_moves", "gauge",
               "Replicas here that move between log directories.", (double)n.moves);
    put_purgatory(m, &n);
    put_partitions(m);
}

/* ---- groups ---- */

/* Beside kafka_log_log_logendoffset of whoever has the partition this is the lag of the group. */
static void put_offsets(struct metrics *m)
{
    uint64_t n = 0;
    metric_family(&m->text, "kafka_consumergroup_current_offset", "gauge",
                  "Offset that a group coordinated here has committed; of so many offsets.");
    for (unsigned s = 0; s < m->shards_n; s++) {
        const struct metrics_shard *sh = m->shards[s];
        n += sh->group_offsets_n;
        for (uint32_t i = 0; i < sh->group_offsets_n; i++) {
            const struct metrics_offset *o = &sh->group_offsets[i];
            metric_i64(&m->text, bytes_of(sh->group_labels.data + o->labels_at, o->labels_n),
                       o->offset);
        }
    }
    metric_one(&m->text, "millrace_group_offsets_shown", "gauge",
               "Committed offsets that are told one by one here; numoffsets counts all.",
               (double)n);
}

void metrics_put_groups(struct metrics *m)
{
    struct group_states st = {0};
    uint64_t groups = 0, offsets = 0, members = 0, bytes = 0, bytes_max = 0;
    for (unsigned s = 0; s < m->shards_n; s++) {
        const struct metrics_shard *sh = m->shards[s];
        groups += sh->groups;
        offsets += sh->offsets;
        members += sh->members;
        bytes += sh->group_bytes;
        bytes_max += sh->group_bytes_max;
        st.empty += sh->group_states.empty;
        st.preparing += sh->group_states.preparing;
        st.completing += sh->group_states.completing;
        st.stable += sh->group_states.stable;
    }
    struct metrics_text *t = &m->text;
#define GROUP_MANAGER(name) "kafka_coordinator_group_groupmetadatamanager_" name
    metric_one(t, GROUP_MANAGER("numgroups"), "gauge", "Groups coordinated here.", (double)groups);
    metric_one(t, GROUP_MANAGER("numoffsets"), "gauge", "Committed offsets kept here.",
               (double)offsets);
    metric_one(t, GROUP_MANAGER("numgroupsempty"), "gauge", "Groups here without a member.",
               (double)st.empty);
    metric_one(t, GROUP_MANAGER("numgroupspreparingrebalance"), "gauge",
               "Groups here that wait for members to join.", (double)st.preparing);
    metric_one(t, GROUP_MANAGER("numgroupscompletingrebalance"), "gauge",
               "Groups here that wait for their leader's assignment.", (double)st.completing);
    metric_one(t, GROUP_MANAGER("numgroupsstable"), "gauge", "Groups here at work.",
               (double)st.stable);
    metric_one(t, "millrace_group_members", "gauge", "Members of groups coordinated here.",
               (double)members);
    metric_one(t, "millrace_group_memory_bytes", "gauge", "Memory of groups and committed offsets.",
               (double)bytes);
    metric_one(t, "millrace_group_memory_limit_bytes", "gauge", "group.coordinator.memory.bytes.",
               (double)bytes_max);
    put_offsets(m);
}

/* ---- the broker ---- */

static void put_shards(struct metrics *m)
{
    struct metrics_text *t = &m->text;
    uint64_t used = 0, limit = 0, opened = 0, sessions = 0, live = 0;
    for (unsigned s = 0; s < m->shards_n; s++) {
        used += m->shards[s]->memory_used;
        limit += m->shards[s]->memory_limit;
        opened += m->shards[s]->connections_opened;
        sessions += m->shards[s]->fetch_sessions;
        live += m->shards[s]->requests_live;
    }
    metric_one(t, "kafka_network_socketserver_memorypoolavailable", "gauge",
               "Bytes that requests may still take (request.memory.bytes).",
               (double)(used < limit ? limit - used : 0));
    metric_one(t, "kafka_network_socketserver_memorypoolused", "gauge",
               "Bytes that requests and their answers take.", (double)used);
    metric_one(t, "kafka_server_fetchsessioncache_numincrementalfetchsessions", "gauge",
               "Fetch sessions.", (double)sessions);
    metric_one(t, "millrace_connections_opened_total", "counter", "Connections of clients so far.",
               (double)opened);
    metric_one(t, "millrace_requests_unanswered", "gauge", "Requests that are being worked on.",
               (double)live);
}

static void put_listeners(struct metrics *m)
{
    metric_family(&m->text, "kafka_server_socket_server_metrics_connection_count", "gauge",
                  "Open connections, by listener.");
    for (size_t i = 0; i < m->main->listeners; i++) {
        struct buf labels = {0};
        metric_label(&labels, "listener", bytes_str(m->main->listener_names[i]));
        metric_u64(&m->text, buf_bytes(&labels), m->main->listener_connections[i]);
        buf_free(&labels);
    }
}

void metrics_put_broker(struct metrics *m)
{
    struct metrics_text *t = &m->text;
    metric_one(t, "millrace_shards_late", "gauge",
               "Shards that did not answer in time: their numbers are missing here.", m->late);
    if (!m->node->config->is_broker) {
        return;
    }
    put_shards(m);
    if (m->main == NULL) {
        return;
    }
    metric_one(t, "kafka_server_kafkaserver_brokerstate", "gauge",
               "0 not running, 1 starting, 3 running, 6 leaving the cluster, 7 shutting down.",
               m->main->broker_state);
    metric_one(t, "kafka_server_broker_metadata_metrics_last_applied_record_offset", "gauge",
               "Offset of the metadata that all shards have applied.",
               (double)m->main->metadata_applied);
    metric_one(t, "millrace_controller_silent_seconds", "gauge",
               "Seconds since a controller answered this broker's heartbeats; -1: none ever did.",
               m->main->controller_silent_ms < 0 ? -1
                                                 : (double)m->main->controller_silent_ms / 1000);
    put_listeners(m);
}
