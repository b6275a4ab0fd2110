/* millrace producer-perf-test: writes records as fast as it can, or at a given rate, and says how
 * many a second were acknowledged and how long that took each, with the options and lines of
 * kafka-producer-perf-test.sh, on librdkafka. Settings that are not given are those of Kafka's
 * producer, so that a figure of one tool can stand beside one of the other.
 *
 * The latency of a record is the time from handing it over (waiting for room in the buffer
 * included) to its acknowledgement. Records that were not acknowledged are not in the figures: the
 * first of each reason is said on stderr, and the exit status is 1 (Kafka's tool prints a stack
 * trace for each and ends with 0). SIGINT and SIGTERM: what is under way is delivered, the summary
 * is of what was sent. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/uuid.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/perf_payload.h"
#include "tools/perf_stats.h"
#include "tools/rdk.h"
#include "tools/rdk_metrics.h"
#include "tools/tool.h"

enum {
    POLL_EVERY = 64,            /* records sent between looks at what was acknowledged */
    ROOM_WAIT_MS = 10,          /* a look for room in a full buffer */
    REASONS_MAX = 8,            /* kinds of failures that are said */
    TRANSACTION_MS = 3000,      /* --transaction-duration-ms */
    ADD_PARTITIONS_TO_TXN = 24, /* an API that no broker without transactions serves */
};

static const struct arg_def defs[] = {
    {"topic", ARG_VALUE, "NAME", "The topic to write to. Required."},
    {"num-records", ARG_VALUE, "N", "How many records. Required."},
    {"record-size", ARG_VALUE, "BYTES",
     "Random letters, as many in a record. This, --payload-file or --payload-monotonic."},
    {"payload-file", ARG_VALUE, "FILE", "Records are parts of this file, in random order."},
    {"payload-monotonic", ARG_FLAG, NULL, "Records are the numbers 0, 1, 2, ..."},
    {"payload-delimiter", ARG_VALUE, "TEXT", "What is between the parts of the file (\\n)."},
    {"throughput", ARG_VALUE, "N", "About that many records a second; -1: no limit. Required."},
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to."},
    {"command-property", ARG_MANY, "KEY=VALUE", "A producer setting."},
    {"command-config", ARG_VALUE, "FILE", "Producer settings from a file."},
    {"producer-props", ARG_MANY, "KEY=VALUE", "Kafka's older name of command-property."},
    {"producer.config", ARG_VALUE, "FILE", "Kafka's older name of command-config."},
    {"print-metrics", ARG_FLAG, NULL, "What the client counted, at the end."},
    {"transactional-id", ARG_VALUE, "ID", "Write in transactions, under this id."},
    {"transaction-duration-ms", ARG_VALUE, "MS",
     "Write in transactions, each that long (3000 with an id)."},
    {"warmup-records", ARG_VALUE, "N",
     "A second summary leaves out the first N records (0: there is none)."},
    {"reporting-interval", ARG_VALUE, "MS", "Time between lines of progress (5000)."},
};

static const struct args_spec spec = {
    .tool = "producer-perf-test",
    .about = "write records and say how fast they were acknowledged",
    .examples = "  millrace producer-perf-test --bootstrap-server localhost:9092 --topic t "
                "--num-records 1000000 --record-size 100 --throughput -1\n"
                "  millrace producer-perf-test --bootstrap-server localhost:9092 --topic t "
                "--num-records 60000 --record-size 1024 --throughput 1000 --command-property "
                "acks=1 compression.type=lz4 batch.size=65536\n"
                "  millrace producer-perf-test --bootstrap-server localhost:9092 --topic t "
                "--num-records 500000 --payload-file access.log --throughput -1 --warmup-records "
                "50000\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

struct perf {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct perf_payload payload;
    struct perf_stats all, steady; /* of all records; of those behind the warm-up */
    struct rdk_metrics metrics;
    rd_kafka_resp_err_t reasons[REASONS_MAX]; /* of failures; 0: free */
    int64_t failed;
};

struct plan {
    int64_t records, warmup, interval;
    double rate;
    int64_t transaction; /* how long one lasts; 0: none */
};

/* ---- what comes back ---- */

static void failure(struct perf *p, rd_kafka_resp_err_t err)
{
    p->failed++;
    for (size_t i = 0; i < REASONS_MAX && p->reasons[i] != err; i++) {
        if (p->reasons[i] == RD_KAFKA_RESP_ERR_NO_ERROR) {
            p->reasons[i] = err;
            fprintf(stderr, "A record was not delivered: %s\n", rd_kafka_err2str(err));
            break;
        }
    }
}

/* What travels with a record: when it was handed over, and whether that was behind the warm-up. */
static void *mark_of(int64_t sent, bool steady)
{
    return (void *)(uintptr_t)((uint64_t)sent << 1 | steady);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct perf *p = opaque;
    UNUSED(rk);
    if (m->err) {
        failure(p, m->err);
        return;
    }
    uint64_t mark = (uintptr_t)m->_private;
    int64_t now = steady_us(), latency = now - (int64_t)(mark >> 1);
    perf_stats_record(&p->all, latency, (int64_t)m->len, now);
    if (mark & 1) {
        perf_stats_record(&p->steady, latency, (int64_t)m->len, now);
    }
}

static int on_stats(rd_kafka_t *rk, char *json, size_t n, void *opaque)
{
    struct perf *p = opaque;
    UNUSED(rk);
    rdk_metrics_take(&p->metrics, json, n);
    return 0; /* librdkafka frees the text */
}

/* ---- sending ---- */

/* False: no further record can be sent. */
static bool send_one(struct perf *p, int64_t i, int64_t now, bool steady)
{
    struct bytes v = perf_payload_next(&p->payload, i);
    bool passing = v.data == (const uint8_t *)p->payload.number;
    while (rd_kafka_produce(p->topic, RD_KAFKA_PARTITION_UA, passing ? RD_KAFKA_MSG_F_COPY : 0,
                            (void *)(uintptr_t)v.data, v.len, NULL, 0, mark_of(now, steady))) {
        rd_kafka_resp_err_t err = rd_kafka_last_error();
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            failure(p, err);
            return err != RD_KAFKA_RESP_ERR__FATAL && err != RD_KAFKA_RESP_ERR__STATE;
        }
        if (rdk_stopped()) {
            return false;
        }
        rd_kafka_poll(p->rk, ROOM_WAIT_MS); /* acknowledgements make room */
    }
    return true;
}

/* Serves acknowledgements until the n-th record is due. */
static void wait_turn(struct perf *p, int64_t due)
{
    int64_t left;
    while ((left = due - steady_us()) > 0 && !rdk_stopped()) {
        rd_kafka_poll(p->rk, left < 100000 ? (int)((left + 999) / 1000) : 100);
    }
}

/* 0, or 1 with a sentence. What the call names in error is its to free. */
static int done(rd_kafka_error_t *error, const char *what)
{
    if (error) {
        fprintf(stderr, "Cannot %s: %s\n", what, rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        return 1;
    }
    return 0;
}

static int send_all(struct perf *p, const struct plan *plan)
{
    int64_t started = steady_us(), began = 0;
    bool going = true, open = false;
    int rv = 0;
    for (int64_t i = 0; rv == 0 && i < plan->records && going && !rdk_stopped(); i++) {
        bool steady = plan->warmup > 0 && i >= plan->warmup;
        int64_t now = steady_us();
        if (plan->warmup > 0 && i == plan->warmup) {
            perf_stats_init(&p->steady, stdout, now, plan->interval, true);
            p->all.quiet = true;
        }
        if (plan->transaction && !open) {
            rv = done(rd_kafka_begin_transaction(p->rk), "begin a transaction");
            began = now;
            open = rv == 0;
        }
        going = rv == 0 && send_one(p, i, now, steady);
        if (open && now - began >= plan->transaction) {
            rv = done(rd_kafka_commit_transaction(p->rk, -1), "commit a transaction");
            open = false;
        }
        if (i % POLL_EVERY == 0) {
            rd_kafka_poll(p->rk, 0);
        }
        wait_turn(p, perf_due(started, i + 1 < plan->records ? i + 1 : 0, plan->rate));
    }
    if (open && rv == 0) {
        rv = done(rd_kafka_commit_transaction(p->rk, -1), "commit a transaction");
    }
    rd_kafka_flush(p->rk, -1);
    return rv;
}

/* ---- settings ---- */

static const char *config_file(const struct args *a)
{
    return args_get(a, "command-config", args_get(a, "producer.config", NULL));
}

/* Java's producer is idempotent unless other settings rule that out. */
static void settle_idempotence(rd_kafka_conf_t *conf)
{
    char acks[16], flight[16], retries[16];
    rdk_setting(conf, "acks", acks, sizeof acks);
    rdk_setting(conf, "max.in.flight", flight, sizeof flight);
    rdk_setting(conf, "retries", retries, sizeof retries);
    if (strcmp(acks, "-1") != 0 || atoi(flight) > 5 || atoi(retries) == 0) {
        rdk_set(conf, "enable.idempotence", "false");
    }
}

/* The defaults of Java's producer where librdkafka's are others. */
static const char *const defaults[] = {"client.id=perf-producer-client",
                                       "acks=all",
                                       "enable.idempotence=true",
                                       "batch.size=16384",
                                       "batch.num.messages=1000000",
                                       "linger.ms=5",
                                       "buffer.memory=33554432",
                                       "queue.buffering.max.messages=10000000",
                                       "max.in.flight=5",
                                       "retries=2147483647",
                                       "delivery.timeout.ms=120000",
                                       "max.request.size=1048576",
                                       "partitioner=murmur2_random",
                                       NULL};

static rd_kafka_conf_t *configure(const struct args *a, struct perf *p)
{
    char servers[4096];
    const char *const *props = args_has(a, "command-property") ? args_list(a, "command-property")
                                                               : args_list(a, "producer-props");
    rd_kafka_conf_t *conf = rdk_conf(a, defaults, props, config_file(a));
    if (args_has(a, "bootstrap-server")) {
        rdk_set(conf, "bootstrap.servers", args_get(a, "bootstrap-server", ""));
    }
    if (!rdk_setting(conf, "bootstrap.servers", servers, sizeof servers)) {
        args_fail(a, "No servers are given: neither by --bootstrap-server nor by bootstrap.servers "
                     "among the settings");
    }
    settle_idempotence(conf);
    if (args_has(a, "print-metrics")) {
        rdk_metrics_ask(&p->metrics, conf, "producer");
        rd_kafka_conf_set_stats_cb(conf, on_stats);
    }
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return conf;
}

/* Refused before anything is sent where the brokers do not serve transactions. */
static void need_transactions(const struct args *a, const rd_kafka_conf_t *conf)
{
    char servers[4096];
    struct client c;
    int16_t version;
    rdk_setting(conf, "bootstrap.servers", servers, sizeof servers);
    int rv = client_init(&c, servers, config_file(a));
    rv = rv ? rv : client_version(&c, CLIENT_ANY, ADD_PARTITIONS_TO_TXN, &version);
    if (rv == ERR_UNSUPPORTED) {
        fprintf(stderr, "producer-perf-test: the brokers do not serve transactions; leave out "
                        "--transactional-id, --transaction-duration-ms and transactional.id\n");
    } else if (rv) {
        fprintf(stderr, "producer-perf-test: %s\n", c.error.text);
    }
    client_close(&c);
    if (rv) {
        exit(1);
    }
}

/* librdkafka refuses to wait longer for a record than its transaction may last; Java does not. */
static void settle_timeout(rd_kafka_conf_t *conf)
{
    char record[16], transaction[16];
    rdk_setting(conf, "message.timeout.ms", record, sizeof record);
    rdk_setting(conf, "transaction.timeout.ms", transaction, sizeof transaction);
    if (atoi(record) == 0 || atoi(record) > atoi(transaction)) {
        rdk_set(conf, "message.timeout.ms", transaction);
    }
}

/* How long a transaction lasts (0: there are none), and its id in the settings. */
static int64_t transactions(const struct args *a, rd_kafka_conf_t *conf)
{
    char id[256];
    bool in_settings = rdk_setting(conf, "transactional.id", id, sizeof id);
    if (!in_settings && !args_has(a, "transactional-id") &&
        !args_has(a, "transaction-duration-ms")) {
        return 0;
    }
    need_transactions(a, conf);
    settle_timeout(conf);
    if (args_has(a, "transactional-id")) {
        rdk_set(conf, "transactional.id", args_get(a, "transactional-id", ""));
    } else if (!in_settings) {
        uint8_t random[16];
        struct uuid u;
        char text[UUID_TEXT];
        do {
            if (getrandom(random, sizeof random, 0) != sizeof random) {
                args_fail(a, "There is no randomness for a transactional id; give one");
            }
        } while (!uuid_from_random(random, &u));
        snprintf(id, sizeof id, "performance-producer-%s", uuid_text(u, text));
        rdk_set(conf, "transactional.id", id);
    }
    return 1000 * args_int(a, "transaction-duration-ms", TRANSACTION_MS, 1, INT32_MAX);
}

static void only_one(const struct args *a, const char *now, const char *before)
{
    if (args_has(a, now) && args_has(a, before)) {
        args_fail(a, "--%s and --%s cannot be specified together.", now, before);
    }
}

static void deprecated(const struct args *a, const char *now, const char *before)
{
    if (args_has(a, before)) {
        printf("Option --%s has been deprecated and will be removed in a future version. Use --%s "
               "instead.\n",
               before, now);
    }
}

static double rate_of(const struct args *a)
{
    const char *s = args_get(a, "throughput", "");
    char *end;
    double rate = strtod(s, &end);
    if (end == s || *end || !(rate > -1e300 && rate < 1e300)) {
        args_fail(a, "Option throughput is '%s'; it takes records a second, or -1 for no limit", s);
    }
    return rate;
}

static void read_plan(const struct args *a, struct plan *plan)
{
    args_require(a, "topic");
    args_require(a, "num-records");
    args_require(a, "throughput");
    if (args_has(a, "record-size") + args_has(a, "payload-file") +
            args_has(a, "payload-monotonic") !=
        1) {
        args_fail(a, "Exactly one of --record-size, --payload-file and --payload-monotonic is "
                     "required.");
    }
    *plan = (struct plan){.records = args_int(a, "num-records", 0, 1, INT64_MAX),
                          .warmup = args_int(a, "warmup-records", 0, INT64_MIN, INT64_MAX),
                          .interval =
                              1000 * args_int(a, "reporting-interval", 5000, 1, INT64_MAX / 1000),
                          .rate = rate_of(a)};
    args_int(a, "record-size", 1, 1, INT32_MAX);
    args_int(a, "transaction-duration-ms", TRANSACTION_MS, 1, INT32_MAX);
    if (plan->warmup >= plan->records) {
        args_fail(a, "The value for --warmup-records must be strictly fewer than the number of "
                     "records in the test, --num-records.");
    }
    if (!args_has(a, "bootstrap-server") && !args_has(a, "command-property") &&
        !args_has(a, "producer-props") && !config_file(a)) {
        args_fail(a, "At least one of --bootstrap-server, --command-property, --producer-props, "
                     "--producer.config or --command-config must be specified.");
    }
    only_one(a, "command-property", "producer-props");
    only_one(a, "command-config", "producer.config");
}

static void read_payload(const struct args *a, struct perf_payload *p)
{
    struct errmsg em;
    if (args_has(a, "record-size")) {
        perf_payload_letters(p, (size_t)args_int(a, "record-size", 1, 1, INT32_MAX));
    } else if (args_has(a, "payload-monotonic")) {
        perf_payload_numbers(p);
    } else {
        const char *path = args_get(a, "payload-file", ""),
                   *by = args_get(a, "payload-delimiter", "\n");
        char full[PATH_MAX];
        printf("Reading payloads from: %s\n", realpath(path, full) ? full : path);
        if (perf_payload_file(p, path, strcmp(by, "\\n") == 0 ? "\n" : by, &em)) {
            args_fail(a, "%s", em.text);
        }
        printf("Number of records read: %zu\n", p->parts_n);
    }
}

static void serve(void *ctx)
{
    rd_kafka_poll(ctx, 1);
}

static int run(struct perf *p, const struct plan *plan)
{
    int rv =
        plan->transaction ? done(rd_kafka_init_transactions(p->rk, -1), "use transactions") : 0;
    if (rv) {
        return rv;
    }
    if (plan->warmup > 0) {
        printf("Warmup first %lld records. Steady state results will print after the complete "
               "test summary.\n",
               (long long)plan->warmup);
    }
    perf_stats_init(&p->all, stdout, steady_us(), plan->interval, false);
    rv = send_all(p, plan);
    int64_t now = steady_us();
    perf_stats_print_total(&p->all, now);
    if (p->steady.out) {
        perf_stats_print_total(&p->steady, now);
        perf_stats_free(&p->steady);
    }
    if (p->metrics.kind) {
        rdk_metrics_wait(&p->metrics, serve, p->rk);
        rdk_metrics_print(&p->metrics);
    }
    if (p->failed) {
        fprintf(stderr, "%lld records were not delivered\n", (long long)p->failed);
    }
    perf_stats_free(&p->all);
    return rv || p->failed ? 1 : rdk_stopped() ? 130 : 0;
}

int tool_producer_perf_test(int argc, char **argv)
{
    struct args a;
    struct plan plan;
    struct perf p = {0};
    char *help[] = {argv[0], "--help", NULL};
    args_parse(&a, &spec, argc > 1 ? argc : 2, argc > 1 ? argv : help);
    read_plan(&a, &plan);
    read_payload(&a, &p.payload);
    deprecated(&a, "command-property", "producer-props");
    deprecated(&a, "command-config", "producer.config");
    rd_kafka_conf_t *conf = configure(&a, &p);
    plan.transaction = transactions(&a, conf);
    rdk_catch_signals();
    p.rk = rdk_new(RD_KAFKA_PRODUCER, conf);
    p.topic = rd_kafka_topic_new(p.rk, args_get(&a, "topic", ""), NULL);
    if (p.topic == NULL) {
        args_fail(&a, "The topic '%s' cannot be used: %s", args_get(&a, "topic", ""),
                  rd_kafka_err2str(rd_kafka_last_error()));
    }
    int rv = run(&p, &plan);
    rd_kafka_topic_destroy(p.topic);
    rd_kafka_destroy(p.rk);
    rdk_metrics_free(&p.metrics);
    perf_payload_free(&p.payload);
    args_free(&a);
    return rv;
}
