/* Writes and flushes of the partitions' logs, and what the shards' threads take. */
#include "broker/monitor/metrics.h"

#define NO_LABELS bytes_of("", 0)

static struct disk_time flushes_of(const struct metrics_shard *s)
{
    return s->flush_time;
}

static struct disk_time writes_of(const struct metrics_shard *s)
{
    return s->write_time;
}

typedef struct disk_time disk_of(const struct metrics_shard *s);

/* unit: of the sum, in microseconds. */
static void put_summary(struct metrics *m, const char *name, const char *help, double unit,
                        disk_of *of)
{
    uint64_t count = 0, sum_us = 0;
    for (unsigned s = 0; s < m->shards_n; s++) {
        struct disk_time t = of(m->shards[s]);
        count += t.count;
        sum_us += t.sum_us;
    }
    metric_family(&m->text, name, "summary", help);
    metric_suffix(&m->text, "_sum", NO_LABELS, (double)sum_us / unit);
    metric_suffix(&m->text, "_count", NO_LABELS, (double)count);
}

static void put_slowest(struct metrics *m, const char *operation, disk_of *of)
{
    struct buf labels = {0};
    int64_t longest = 0;
    for (unsigned s = 0; s < m->shards_n; s++) {
        struct disk_time t = of(m->shards[s]);
        int64_t us = disk_time_longest(&t, m->shards[s]->now_us).us;
        longest = us > longest ? us : longest;
    }
    metric_label(&labels, "operation", bytes_str(operation));
    metric_double(&m->text, buf_bytes(&labels), (double)longest / 1e6);
    buf_free(&labels);
}

void metrics_put_disk(struct metrics *m)
{
    struct metrics_text *t = &m->text;
    put_summary(m, "kafka_log_logflushstats_logflushrateandtimems",
                "Flushes of partitions' logs, and their milliseconds.", 1e3, flushes_of);
    put_summary(m, "millrace_log_write_seconds", "Writes to partitions' logs.", 1e6, writes_of);
    metric_family(t, "millrace_disk_slowest_seconds", "gauge",
                  "The slowest write and flush of the last one to two minutes.");
    put_slowest(m, "write", writes_of);
    put_slowest(m, "flush", flushes_of);
    metric_family(
        t, "millrace_shard_cpu_seconds_total", "counter",
        "Processor time of the threads that serve; one that takes a whole second a second "
        "is the limit of the node.");
    for (unsigned s = 0; s < m->shards_n; s++) {
        struct buf labels = {0};
        metric_label_u64(&labels, "shard", m->shards[s]->index);
        metric_double(t, buf_bytes(&labels), (double)m->shards[s]->cpu_us / 1e6);
        buf_free(&labels);
    }
}
