/* millrace e2e-latency: how long a record takes from a producer to a consumer, one at a time, with
 * the options and lines of kafka-e2e-latency.sh (also its older form, by position), on librdkafka.
 *
 * A record is handed over without lingering, its acknowledgement awaited, then the record itself;
 * value, key and headers must be those that were sent. The consumer waits at the broker as
 * consumers do (a parked fetch that the record wakes), where Kafka's tool asks again and again; it
 * is in no group and commits nothing. Percentiles are whole milliseconds as in Kafka's tool, unless
 * --precise asks for more. A record that does not come within a minute, or another one: a sentence,
 * and status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "base/prng.h"
#include "tools/args.h"
#include "tools/clock.h"
#include "tools/output.h"
#include "tools/rdk.h"
#include "tools/tool.h"

enum {
    WAIT_MS = 60000,  /* for a record, and for a topic that was just made */
    SLICE_MS = 100,   /* of waiting, between looks for a signal */
    SAY_EVERY = 1000, /* records between lines of progress */
    LATENCY_US_MAX = 1 << 27,
    POSITIONAL_MIN = 5, /* words of the older form */
    POSITIONAL_MAX = 6,
};

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to use; made if it is not there. Required."},
    {"num-records", ARG_VALUE, "N", "How many records. Required."},
    {"producer-acks", ARG_VALUE, "ACKS", "1 or all. Required."},
    {"record-size", ARG_VALUE, "BYTES", "Size of the values. Required."},
    {"record-key-size", ARG_OPTIONAL, "BYTES", "Size of the keys (0: there are none)."},
    {"num-headers", ARG_OPTIONAL, "N", "Headers of each record (0)."},
    {"record-header-key-size", ARG_OPTIONAL, "BYTES", "Size of their names (0)."},
    {"record-header-size", ARG_OPTIONAL, "BYTES", "Size of their values; -1: null (0)."},
    {"command-config", ARG_VALUE, "FILE", "Client settings from a file."},
    {"precise", ARG_FLAG, NULL, "Percentiles in milliseconds with three decimals (Millrace only)."},
};

static const struct args_spec spec = {
    .tool = "e2e-latency",
    .about = "measure how long records take from a producer to a consumer",
    .examples = "  millrace e2e-latency --bootstrap-server localhost:9092 --topic t --num-records "
                "10000 --producer-acks all --record-size 100 --precise\n"
                "  millrace e2e-latency --bootstrap-server localhost:9092 --topic t --num-records "
                "10000 --producer-acks 1 --record-size 100 --record-key-size 8 --num-headers 2 "
                "--record-header-key-size 4 --record-header-size 16\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

/* What each record has. */
struct shape {
    size_t value, key; /* sizes; no key: 0 */
    int headers;
    size_t header_name;
    int64_t header_value; /* -1: null */
};

struct header {
    char *name, *value; /* value NULL: null */
};

struct record {
    char *value, *key; /* key NULL: none */
    struct header *headers;
};

struct e2e {
    const char *topic;
    rd_kafka_t *producer, *consumer;
    struct shape shape;
    struct prng random;
    bool delivered;             /* the record under way was acknowledged, or not: */
    rd_kafka_resp_err_t failed; /* why it was not */
};

/* ---- records ---- */

/* One letter over and over, as Kafka's tool sends; with a NUL behind. */
static char *letters(struct e2e *e, size_t n)
{
    char *s = mem_alloc(n + 1);
    memset(s, 'A' + (int)prng_below(&e->random, 26), n);
    s[n] = '\0';
    return s;
}

static void record_make(struct e2e *e, struct record *r)
{
    const struct shape *s = &e->shape;
    r->value = letters(e, s->value);
    r->key = s->key ? letters(e, s->key) : NULL;
    r->headers = mem_zalloc(((size_t)s->headers + 1) * sizeof *r->headers);
    for (int i = 0; i < s->headers; i++) {
        r->headers[i].name = letters(e, s->header_name);
        r->headers[i].value = s->header_value >= 0 ? letters(e, (size_t)s->header_value) : NULL;
    }
}

static void record_free(const struct e2e *e, struct record *r)
{
    for (int i = 0; i < e->shape.headers; i++) {
        mem_free(r->headers[i].name);
        mem_free(r->headers[i].value);
    }
    mem_free(r->headers);
    mem_free(r->value);
    mem_free(r->key);
}

static bool same(const char *sent, size_t n, const void *read, size_t read_n)
{
    return sent ? read && read_n == n && memcmp(sent, read, n) == 0 : read == NULL;
}

static int differs(const char *what, const char *sent, size_t n, const void *read, size_t read_n)
{
    if (same(sent, n, read, read_n)) {
        return 0;
    }
    fprintf(stderr, "The message %s read [%.*s] did not match the message %s sent [%.*s]\n", what,
            read ? (int)read_n : 4, read ? (const char *)read : "null", what, sent ? (int)n : 4,
            sent ? sent : "null");
    return 1;
}

static int headers_differ(const struct e2e *e, const struct record *r, const rd_kafka_message_t *m)
{
    const struct shape *s = &e->shape;
    rd_kafka_headers_t *got = NULL;
    size_t n = 0;
    if (rd_kafka_message_headers(m, &got) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        n = rd_kafka_header_cnt(got);
    }
    if (n != (size_t)s->headers) {
        fprintf(stderr, "Header count mismatch between sent and received messages: %d and %zu\n",
                s->headers, n);
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name;
        const void *value;
        size_t value_n;
        rd_kafka_header_get_all(got, i, &name, &value, &value_n);
        if (differs("header name", r->headers[i].name, s->header_name, name, strlen(name)) ||
            differs("header value", r->headers[i].value,
                    s->header_value > 0 ? (size_t)s->header_value : 0, value, value_n)) {
            return 1;
        }
    }
    return 0;
}

static int record_differs(const struct e2e *e, const struct record *r, const rd_kafka_message_t *m)
{
    return differs("value", r->value, e->shape.value, m->payload, m->len) ||
           differs("key", r->key, e->shape.key, m->key, m->key_len) || headers_differ(e, r, m);
}

/* ---- one record's way ---- */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct e2e *e = opaque;
    UNUSED(rk);
    e->delivered = true;
    e->failed = m->err;
}

/* Returns when it is acknowledged; an error otherwise. */
static rd_kafka_resp_err_t send_record(struct e2e *e, const struct record *r)
{
    const struct shape *s = &e->shape;
    rd_kafka_headers_t *headers = s->headers ? rd_kafka_headers_new((size_t)s->headers) : NULL;
    for (int i = 0; i < s->headers; i++) {
        const char *value = r->headers[i].value;
        rd_kafka_header_add(headers, r->headers[i].name, (ssize_t)s->header_name, value,
                            value ? (ssize_t)s->header_value : 0);
    }
    e->delivered = false;
    rd_kafka_resp_err_t err = rd_kafka_producev(
        e->producer, RD_KAFKA_V_TOPIC(e->topic), RD_KAFKA_V_KEY(r->key, s->key),
        RD_KAFKA_V_VALUE(r->value, s->value), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (err) {
        if (headers) {
            rd_kafka_headers_destroy(headers);
        }
        return err;
    }
    while (!e->delivered) {
        rd_kafka_poll(e->producer, SLICE_MS);
    }
    return e->failed;
}

/* The next record; NULL with a sentence: none came, or an error. */
static rd_kafka_message_t *read_record(const struct e2e *e)
{
    rd_kafka_message_t *m = NULL;
    for (int waited = 0; m == NULL && waited < WAIT_MS && !rdk_stopped(); waited += SLICE_MS) {
        m = rd_kafka_consumer_poll(e->consumer, SLICE_MS);
    }
    if (m == NULL && !rdk_stopped()) {
        fprintf(stderr, "poll() timed out before finding a result (timeout:[%dms])\n", WAIT_MS);
    } else if (m && m->err) {
        fprintf(stderr, "Cannot read %s: %s\n", e->topic, rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m);
        m = NULL;
    }
    return m;
}

/* Sends one and reads it back. 0 and how long it took, or 1 with a sentence. */
static int one_way(struct e2e *e, int64_t *took)
{
    struct record r;
    record_make(e, &r);
    int64_t began = steady_ns();
    rd_kafka_resp_err_t err = send_record(e, &r);
    rd_kafka_message_t *m = err ? NULL : read_record(e);
    *took = steady_ns() - began;
    if (err) {
        fprintf(stderr, "A record was not delivered: %s\n", rd_kafka_err2str(err));
    }
    int rv = m ? record_differs(e, &r, m) : 1;
    if (m) {
        rd_kafka_message_destroy(m);
    }
    m = rv ? NULL : rd_kafka_consumer_poll(e->consumer, 0);
    if (m) {
        fprintf(stderr, "Only one result was expected during this test. We found another\n");
        rd_kafka_message_destroy(m);
        rv = 1;
    }
    record_free(e, &r);
    return rv;
}

/* ---- lines ---- */

/* Milliseconds as Java prints a double: no zeros at the end, one decimal at least. */
static void print_progress(int64_t i, int64_t ns)
{
    char text[32];
    size_t n = (size_t)snprintf(text, sizeof text, "%.6f", (double)ns / 1e6);
    while (text[n - 1] == '0' && text[n - 2] != '.') {
        text[--n] = '\0';
    }
    printf("%lld\t%s\n", (long long)i, text);
    output_flush();
}

static void print_results(const struct histogram *us, double total_ns, bool precise)
{
    static const struct {
        const char *name;
        double fraction;
    } of[] = {{"50th", 0.5}, {"99th", 0.99}, {"99.9th", 0.999}};
    printf("Avg latency: %.4f ms\nPercentiles:", total_ns / (double)us->count / 1e6);
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        uint64_t v = histogram_at(us, of[i].fraction);
        printf("%s %s = ", i ? "," : "", of[i].name);
        if (precise) {
            printf("%.3f", (double)v / 1000);
        } else {
            printf("%llu", (unsigned long long)v / 1000);
        }
    }
    printf("\n");
}

static int measure(struct e2e *e, int64_t records, bool precise)
{
    struct histogram us;
    double total = 0;
    int rv = 0;
    histogram_init(&us, LATENCY_US_MAX);
    for (int64_t i = 0; rv == 0 && i < records; i++) {
        int64_t took;
        rv = one_way(e, &took);
        if (rv == 0 && i % SAY_EVERY == 0) {
            print_progress(i, took);
        }
        total += (double)took;
        histogram_add(&us, (uint64_t)took / 1000);
    }
    if (rv == 0) {
        print_results(&us, total, precise);
    }
    histogram_free(&us);
    return rdk_stopped() ? 130 : rv;
}

/* ---- the topic ---- */

static int create_topic(const struct e2e *e)
{
    char err[512];
    printf("Topic \"%s\" does not exist. Will create topic with 1 partition(s) and replication "
           "factor = 1\n",
           e->topic);
    output_flush();
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(e->topic, 1, 1, err, sizeof err);
    if (topic == NULL) {
        fprintf(stderr, "Creation of topic %s failed: %s\n", e->topic, err);
        return 1;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(e->producer);
    rd_kafka_CreateTopics(e->producer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, -1);
    const char *why = rd_kafka_event_error(event) ? rd_kafka_event_error_string(event) : NULL;
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    size_t n = 0;
    const rd_kafka_topic_result_t **one =
        result ? rd_kafka_CreateTopics_result_topics(result, &n) : NULL;
    if (why == NULL && n == 1 && rd_kafka_topic_result_error(one[0])) {
        why = rd_kafka_topic_result_error_string(one[0]);
        why = why ? why : rd_kafka_err2str(rd_kafka_topic_result_error(one[0]));
    }
    if (why) {
        fprintf(stderr, "Creation of topic %s failed: %s\n", e->topic, why);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return why != NULL;
}

/* How many partitions the topic has, all with a leader; 0: it is not there, or not yet; -1 with a
 * sentence: nobody could be asked. */
static int partitions(const struct e2e *e)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t err = rd_kafka_metadata(e->producer, 1, NULL, &md, WAIT_MS);
    if (err) {
        fprintf(stderr, "The topics cannot be listed: %s\n", rd_kafka_err2str(err));
        return -1;
    }
    int n = 0;
    for (int i = 0; i < md->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &md->topics[i];
        if (strcmp(t->topic, e->topic) == 0) {
            n = t->partition_cnt;
            for (int k = 0; k < t->partition_cnt; k++) {
                n = t->partitions[k].leader < 0 ? 0 : n;
            }
        }
    }
    rd_kafka_metadata_destroy(md);
    return n;
}

/* The consumer at the end of every partition. */
static int consume_from_end(struct e2e *e, int n)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int32_t i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < n; i++) {
        int64_t low, high;
        err = rd_kafka_query_watermark_offsets(e->consumer, e->topic, i, &low, &high, WAIT_MS);
        rd_kafka_topic_partition_list_add(list, e->topic, i)->offset = high;
    }
    err = err ? err : rd_kafka_assign(e->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err) {
        fprintf(stderr, "Cannot read %s: %s\n", e->topic, rd_kafka_err2str(err));
    }
    return err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int run(struct e2e *e, int64_t records, bool precise)
{
    int n = partitions(e);
    if (n == 0 && create_topic(e)) {
        return 1;
    }
    int64_t began = steady_ns();
    while (n == 0 && steady_ns() - began < WAIT_MS * 1000000ll && !rdk_stopped()) {
        n = partitions(e);
    }
    if (n <= 0) {
        if (n == 0) {
            fprintf(stderr, "The topic %s has no leaders\n", e->topic);
        }
        return 1;
    }
    return consume_from_end(e, n) ? 1 : measure(e, records, precise);
}

/* ---- the command line ---- */

static bool is_named(int argc, char **argv)
{
    static const char *const names[] = {"--bootstrap-server",
                                        "--topic",
                                        "--num-records",
                                        "--producer-acks",
                                        "--record-size",
                                        "--help",
                                        "-h",
                                        "--version"};
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            size_t n = strlen(names[k]);
            if (strncmp(argv[i], names[k], n) == 0 && (argv[i][n] == '\0' || argv[i][n] == '=')) {
                return true;
            }
        }
    }
    return argc < 2;
}

/* The older form as options; words has room for POSITIONAL_MAX of them and the tool's name. */
static int named(int argc, char **argv, char **words)
{
    static const char *const names[POSITIONAL_MAX] = {"--bootstrap-server", "--topic",
                                                      "--num-records",      "--producer-acks",
                                                      "--record-size",      "--command-config"};
    int given = argc - 1, n = 0;
    if (given != POSITIONAL_MIN && given != POSITIONAL_MAX) {
        fprintf(stderr,
                "Invalid number of arguments. Expected 5 or 6 positional arguments, but got %d. "
                "Usage: bootstrap-server topic num-records producer-acks record-size [optional] "
                "command-config\n",
                given);
        exit(1);
    }
    printf("WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka "
           "5.0. Please use named arguments instead: --bootstrap-server, --topic, --num-records, "
           "--producer-acks, --record-size, --command-config\n");
    words[n++] = argv[0];
    for (int i = 0; i < given; i++) {
        words[n++] = (char *)(uintptr_t)names[i];
        words[n++] = argv[i + 1];
    }
    return n;
}

static int64_t optional(const struct args *a, const char *name, int64_t min)
{
    const char *v = args_get(a, name, "");
    return *v ? args_int(a, name, 0, min, INT32_MAX) : 0;
}

static void read_options(const struct args *a, struct e2e *e, int64_t *records)
{
    for (size_t i = 0; i < POSITIONAL_MIN; i++) {
        args_require(a, defs[i].name);
    }
    const char *acks = args_get(a, "producer-acks", "");
    if (strcmp(acks, "1") != 0 && strcmp(acks, "all") != 0) {
        args_fail(a,
                  "Invalid value for --producer-acks: '%s'. Latency testing requires "
                  "synchronous acknowledgement. Please use '1' or 'all'.",
                  acks);
    }
    *records = args_int(a, "num-records", 0, 1, INT32_MAX);
    *e = (struct e2e){.topic = args_get(a, "topic", ""),
                      .shape = {.value = (size_t)args_int(a, "record-size", 0, 0, INT32_MAX),
                                .key = (size_t)optional(a, "record-key-size", 0),
                                .headers = (int)optional(a, "num-headers", 0),
                                .header_name = (size_t)optional(a, "record-header-key-size", 0),
                                .header_value = optional(a, "record-header-size", -1)}};
    prng_seed(&e->random, 0);
}

static void connect_clients(const struct args *a, struct e2e *e)
{
    static const char *const reads[] = {"group.id=e2e-latency", "enable.auto.commit=false",
                                        "fetch.error.backoff.ms=10", NULL};
    static const char *const writes[] = {"linger.ms=0", NULL};
    const char *file = args_get(a, "command-config", NULL);
    e->consumer = rdk_new(RD_KAFKA_CONSUMER, rdk_conf(a, reads, NULL, file));
    rd_kafka_poll_set_consumer(e->consumer);
    rd_kafka_conf_t *conf = rdk_conf(a, writes, NULL, file);
    rdk_set(conf, "acks", args_get(a, "producer-acks", ""));
    rd_kafka_conf_set_opaque(conf, e);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    e->producer = rdk_new(RD_KAFKA_PRODUCER, conf);
}

int tool_e2e_latency(int argc, char **argv)
{
    struct args a;
    struct e2e e;
    int64_t records;
    char *words[1 + 2 * POSITIONAL_MAX];
    if (is_named(argc, argv)) {
        args_parse(&a, &spec, argc, argv);
    } else {
        argc = named(argc, argv, words);
        args_parse(&a, &spec, argc, words);
    }
    read_options(&a, &e, &records);
    rdk_catch_signals();
    connect_clients(&a, &e);
    int rv = run(&e, records, args_has(&a, "precise"));
    rd_kafka_consumer_close(e.consumer);
    rd_kafka_destroy(e.consumer);
    rd_kafka_destroy(e.producer);
    args_free(&a);
    return rv;
}
