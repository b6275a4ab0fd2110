/* millrace consumer-perf-test: reads a number of records as a member of a group and says how fast
 * they came, with the options and lines of kafka-consumer-perf-test.sh, on librdkafka. The time
 * that the group took to hand out partitions is told apart (rebalance.time.ms) and not part of the
 * fetch figures. Too few records within --timeout: a warning and the figures of what was read, with
 * status 0 as in Kafka's tool. SIGINT and SIGTERM: the member leaves, the figures are of what was
 * read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "tools/args.h"
#include "tools/clock.h"
#include "tools/java_date.h"
#include "tools/output.h"
#include "tools/rdk.h"
#include "tools/rdk_metrics.h"
#include "tools/tool.h"

enum {
    TOGETHER_MAX = 500, /* as many as Kafka's consumer hands out at once (max.poll.records) */
    POLL_MS = 100,
};

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to read. This or --include."},
    {"include", ARG_VALUE, "REGEX", "The topics to read."},
    {"num-records", ARG_VALUE, "N", "How many records to read. Required."},
    {"messages", ARG_VALUE, "N", "Kafka's older name of num-records."},
    {"group", ARG_VALUE, "ID", "The group to be a member of (perf-consumer- and a number)."},
    {"from-latest", ARG_FLAG, NULL, "Without a committed offset begin at the end."},
    {"fetch-size", ARG_VALUE, "BYTES", "Most of one partition in an answer (1048576)."},
    {"socket-buffer-size", ARG_VALUE, "BYTES", "Receive buffer of the socket (2097152)."},
    {"timeout", ARG_OPTIONAL, "MS", "Longest time between records (10000)."},
    {"show-detailed-stats", ARG_FLAG, NULL, "A line for each reporting interval."},
    {"reporting-interval", ARG_VALUE, "MS", "Time between these lines (5000)."},
    {"date-format", ARG_VALUE, "FORMAT",
     "How times are written, as for Java's SimpleDateFormat (yyyy-MM-dd HH:mm:ss:SSS)."},
    {"hide-header", ARG_FLAG, NULL, "No line with the names of the columns."},
    {"print-metrics", ARG_FLAG, NULL, "What the client counted, at the end."},
    {"command-property", ARG_LIST, "KEY=VALUE", "A consumer setting."},
    {"command-config", ARG_VALUE, "FILE", "Consumer settings from a file."},
    {"consumer.config", ARG_VALUE, "FILE", "Kafka's older name of command-config."},
};

static const struct args_spec spec = {
    .tool = "consumer-perf-test",
    .about = "read records in a group and say how fast they came",
    .examples =
        "  millrace consumer-perf-test --bootstrap-server localhost:9092 --topic t "
        "--num-records 1000000\n"
        "  millrace consumer-perf-test --bootstrap-server localhost:9092 --include 'logs-.*' "
        "--num-records 5000000 --show-detailed-stats --reporting-interval 1000\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

/* Figures at one moment. */
struct count {
    int64_t records, bytes;
    int64_t at; /* milliseconds since 1970 */
};

struct perf {
    rd_kafka_t *rk;
    int64_t wanted, timeout, interval;
    bool detailed;
    const char *date_format;
    struct count now, line;       /* until now; at the last line */
    int64_t join_began;           /* when partitions were missing last */
    int64_t joined, joined_since; /* time without them: in all, since the last line */
    struct rdk_metrics metrics;
};

/* ---- lines ---- */

static void print_header(bool detailed)
{
    printf("%s, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, "
           "fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n",
           detailed ? "time, threadId" : "start.time, end.time");
}

static void print_time(const struct perf *p, int64_t ms)
{
    struct buf b = {0};
    java_date_put(&b, p->date_format, ms);
    printf("%s, ", buf_cstr(&b));
    buf_free(&b);
}

static double mb(int64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

/* 0 where there was no time. */
static double per_sec(double n, int64_t ms)
{
    return ms > 0 ? n * 1000 / (double)ms : 0;
}

/* The columns behind the times: what was read in all, and how fast it came between two moments. */
static void print_figures(const struct count *all, const struct count *from, int64_t joined)
{
    int64_t ms = all->at - from->at, fetch_ms = ms - joined;
    int64_t records = all->records - from->records;
    double read = mb(all->bytes - from->bytes);
    printf("%.4f, %.4f, %" PRId64 ", %.4f, %" PRId64 ", %" PRId64 ", %.4f, %.4f\n", mb(all->bytes),
           per_sec(read, ms), all->records, per_sec((double)records, ms), joined, fetch_ms,
           per_sec(read, fetch_ms), per_sec((double)records, fetch_ms));
    output_flush();
}

static void print_progress(struct perf *p)
{
    if (p->detailed) {
        print_time(p, p->now.at);
        printf("0, ");
        print_figures(&p->now, &p->line, p->joined_since);
    }
    p->joined_since = 0;
    p->line = p->now;
}

/* ---- reading ---- */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct perf *p = opaque;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        int64_t took = wall_ms() - p->join_began;
        p->joined += took;
        p->joined_since += took;
    } else {
        p->join_began = wall_ms();
    }
    rdk_take_assignment(rk, err, list);
}

static int on_stats(rd_kafka_t *rk, char *json, size_t n, void *opaque)
{
    struct perf *p = opaque;
    UNUSED(rk);
    rdk_metrics_take(&p->metrics, json, n);
    return 0; /* librdkafka frees the text */
}

/* Whether it was a record. */
static bool take(struct perf *p, rd_kafka_message_t *m)
{
    bool record = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (record) {
        p->now.records++;
        p->now.bytes += (int64_t)(m->key_len + m->len);
        if (p->now.at - p->line.at >= p->interval) {
            print_progress(p);
        }
    } else {
        fprintf(stderr, "%s\n", rd_kafka_message_errstr(m));
    }
    rd_kafka_message_destroy(m);
    return record;
}

/* Waits a moment for the first record, then takes those that are there. Whether there were any. */
static bool read_some(struct perf *p, rd_kafka_queue_t *queue)
{
    rd_kafka_message_t *more[TOGETHER_MAX - 1], *first = rd_kafka_consumer_poll(p->rk, POLL_MS);
    p->now.at = wall_ms();
    if (first == NULL) {
        return false;
    }
    bool any = take(p, first);
    ssize_t n = rd_kafka_consume_batch_queue(queue, 0, more, TOGETHER_MAX - 1);
    for (ssize_t i = 0; i < n; i++) {
        any |= take(p, more[i]);
    }
    return any;
}

static void read_all(struct perf *p)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(p->rk);
    int64_t last = p->now.at;
    while (p->now.records < p->wanted && p->now.at - last <= p->timeout && !rdk_stopped()) {
        if (read_some(p, queue)) {
            last = p->now.at;
        }
    }
    rd_kafka_queue_destroy(queue);
    if (p->now.records < p->wanted && !rdk_stopped()) {
        printf("WARNING: Exiting before consuming the expected number of records: timeout "
               "(%" PRId64 " ms) exceeded. You can use the --timeout option to increase the "
               "timeout.\n",
               p->timeout);
    }
}

/* What was not read stays to be read by the next member. */
static void pause_all(rd_kafka_t *rk)
{
    rd_kafka_topic_partition_list_t *list;
    if (rd_kafka_assignment(rk, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_pause_partitions(rk, list);
        rd_kafka_topic_partition_list_destroy(list);
    }
}

static void serve(void *ctx)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(ctx, 1);
    if (m) {
        rd_kafka_message_destroy(m);
    }
}

static int run(const struct args *a, struct perf *p)
{
    rd_kafka_poll_set_consumer(p->rk);
    p->now.at = p->join_began = wall_ms();
    p->line = p->now;
    const struct count start = p->now;
    rd_kafka_resp_err_t err =
        rdk_subscribe(p->rk, args_get(a, "topic", NULL), args_get(a, "include", NULL));
    if (err) {
        fprintf(stderr, "Cannot read %s: %s\n", args_get(a, "topic", args_get(a, "include", "")),
                rd_kafka_err2str(err));
        return 1;
    }
    read_all(p);
    p->now.at = wall_ms();
    const struct count all = p->now;
    if (p->metrics.kind) {
        pause_all(p->rk);
        rdk_metrics_wait(&p->metrics, serve, p->rk);
    }
    rd_kafka_consumer_close(p->rk);
    if (!p->detailed) {
        print_time(p, start.at);
        print_time(p, all.at);
        print_figures(&all, &start, p->joined);
    }
    if (p->metrics.kind) {
        rdk_metrics_print(&p->metrics);
    }
    return rdk_stopped() ? 130 : 0;
}

/* ---- settings ---- */

static const char *const defaults[] = {"client.id=perf-consumer-client", "check.crcs=false",
                                       "allow.auto.create.topics=true",
                                       "queued.min.messages=1000000", NULL};

static void set_number(rd_kafka_conf_t *conf, const struct args *a, const char *option,
                       const char *setting, int64_t otherwise)
{
    char v[32];
    snprintf(v, sizeof v, "%" PRId64, args_int(a, option, otherwise, 1, INT32_MAX));
    rdk_set(conf, setting, v);
}

static rd_kafka_conf_t *configure(const struct args *a, struct perf *p)
{
    char group[64];
    unsigned seed = (unsigned)wall_ms() ^ (unsigned)getpid();
    snprintf(group, sizeof group, "perf-consumer-%d", rand_r(&seed) % 100000);
    rd_kafka_conf_t *conf =
        rdk_conf(a, defaults, args_list(a, "command-property"),
                 args_get(a, "command-config", args_get(a, "consumer.config", NULL)));
    rdk_set(conf, "bootstrap.servers", args_get(a, "bootstrap-server", ""));
    rdk_set(conf, "group.id", args_get(a, "group", group));
    rdk_set(conf, "auto.offset.reset", args_has(a, "from-latest") ? "latest" : "earliest");
    set_number(conf, a, "fetch-size", "max.partition.fetch.bytes", 1 << 20);
    set_number(conf, a, "socket-buffer-size", "receive.buffer.bytes", 2 << 20);
    if (args_has(a, "include")) {
        rdk_hide_internal_topics(conf);
    }
    if (args_has(a, "print-metrics")) {
        rdk_metrics_ask(&p->metrics, conf, "consumer");
        rd_kafka_conf_set_stats_cb(conf, on_stats);
    }
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    return conf;
}

static void check(const struct args *a)
{
    args_require(a, "bootstrap-server");
    if (args_has(a, "num-records") == args_has(a, "messages")) {
        args_fail(a, "Exactly one of --num-records/--messages is required.");
    }
    if (args_has(a, "topic") == args_has(a, "include")) {
        args_fail(a, "Exactly one of --include/--topic is required.");
    }
    if (args_has(a, "command-config") && args_has(a, "consumer.config")) {
        args_fail(a, "Options --command-config and --consumer.config cannot be used together.");
    }
}

static void read_options(const struct args *a, struct perf *p)
{
    struct errmsg em;
    const char *n = args_has(a, "messages") ? "messages" : "num-records";
    const char *timeout = args_get(a, "timeout", NULL);
    *p = (struct perf){.wanted = args_int(a, n, 0, INT64_MIN, INT64_MAX),
                       .timeout =
                           timeout && *timeout ? args_int(a, "timeout", 0, 0, INT64_MAX) : 10000,
                       .interval = args_int(a, "reporting-interval", 5000, 1, INT64_MAX),
                       .detailed = args_has(a, "show-detailed-stats"),
                       .date_format = args_get(a, "date-format", "yyyy-MM-dd HH:mm:ss:SSS")};
    if (java_date_check(p->date_format, &em)) {
        args_fail(a, "Option date-format: %s", em.text);
    }
}

int tool_consumer_perf_test(int argc, char **argv)
{
    struct args a;
    struct perf p;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    read_options(&a, &p);
    if (args_has(&a, "messages")) {
        printf("Warning: --messages is deprecated. Use --num-records instead.\n");
    }
    if (args_has(&a, "consumer.config")) {
        printf("Warning: --consumer.config is deprecated. Use --command-config instead.\n");
    }
    rd_kafka_conf_t *conf = configure(&a, &p);
    if (!args_has(&a, "hide-header")) {
        print_header(p.detailed);
    }
    rdk_catch_signals();
    p.rk = rdk_new(RD_KAFKA_CONSUMER, conf);
    int rv = run(&a, &p);
    rd_kafka_destroy(p.rk);
    rdk_metrics_free(&p.metrics);
    args_free(&a);
    return rv;
}
