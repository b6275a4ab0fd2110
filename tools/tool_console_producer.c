/* millrace console-producer: one record a line from standard input, with
 * kafka-console-producer.sh's options, on librdkafka. A record that cannot be delivered is said on
 * stderr and makes the exit status 1; lines that do not parse end the tool. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tools/args.h"
#include "tools/output.h"
#include "tools/rdk.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to produce to. Required."},
    {"compression-codec", ARG_OPTIONAL, "CODEC",
     "none, gzip (when no name is given), snappy, lz4 or zstd."},
    {"batch-size", ARG_VALUE, "BYTES", "Largest batch (16384)."},
    {"max-partition-memory-bytes", ARG_VALUE, "BYTES", "Kafka's older name of batch-size."},
    {"max-memory-bytes", ARG_VALUE, "BYTES", "Memory for records that wait (33554432)."},
    {"max-block-ms", ARG_VALUE, "MS", "Longest wait for room (60000)."},
    {"message-send-max-retries", ARG_VALUE, "N", "Tries again (3)."},
    {"retry-backoff-ms", ARG_VALUE, "MS", "Pause between tries (100)."},
    {"metadata-expiry-ms", ARG_VALUE, "MS", "How long metadata stay fresh (300000)."},
    {"request-required-acks", ARG_VALUE, "ACKS", "0, 1, all or -1 (-1)."},
    {"request-timeout-ms", ARG_VALUE, "MS", "Longest wait for an answer (1500)."},
    {"socket-buffer-size", ARG_VALUE, "BYTES", "Send buffer of the socket (102400)."},
    {"timeout", ARG_VALUE, "MS", "How long a record waits for company (1000)."},
    {"sync", ARG_FLAG, NULL, "Send one record at a time."},
    {"reader-property", ARG_LIST, "KEY=VALUE",
     "parse.key, parse.headers, key.separator (tab), headers.delimiter (tab), headers.separator "
     "(,), headers.key.separator (:), "
     "null.marker, ignore.error."},
    {"property", ARG_LIST, "KEY=VALUE", "Kafka's older name of reader-property."},
    {"reader-config", ARG_VALUE, "FILE", "The same from a file."},
    {"line-reader", ARG_VALUE, "CLASS", "Only Kafka's own line reader is there."},
    {"command-property", ARG_LIST, "KEY=VALUE", "A producer setting."},
    {"producer-property", ARG_LIST, "KEY=VALUE", "Kafka's older name of command-property."},
    {"command-config", ARG_VALUE, "FILE", "Producer settings from a file."},
    {"producer.config", ARG_VALUE, "FILE", "Kafka's older name of command-config."},
};

static const struct args_spec spec = {
    .tool = "console-producer",
    .about = "write lines from standard input into a topic",
    .examples = "  echo hello | millrace console-producer --bootstrap-server localhost:9092 "
                "--topic greetings\n"
                "  printf 'k1:v1\\n' | millrace console-producer --bootstrap-server localhost:9092 "
                "--topic t --reader-property "
                "parse.key=true --reader-property key.separator=:\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

struct reader {
    bool parse_key, parse_headers, ignore_error;
    const char *key_separator, *headers_delimiter, *headers_separator, *headers_key_separator;
    const char *null_marker; /* NULL: none */
    size_t line;             /* number of the present one */
};

static bool is_true(const char *v)
{
    return strcmp(v, "true") == 0;
}

static void reader_set(const struct args *a, void *ctx, const char *pair)
{
    struct reader *r = ctx;
    static const char *const names[] = {
        "parse.key",         "parse.headers",         "ignore.error", "key.separator",
        "headers.delimiter", "headers.key.separator", "null.marker",  "headers.separator"};
    const char *eq = strchr(pair, '=');
    size_t n = eq ? (size_t)(eq - pair) : 0, i = 0;
    while (i < ARRAY_LEN(names) && !(strlen(names[i]) == n && memcmp(names[i], pair, n) == 0)) {
        i++;
    }
    switch (eq ? i : ARRAY_LEN(names)) {
    case 0:
        r->parse_key = is_true(eq + 1);
        break;
    case 1:
        r->parse_headers = is_true(eq + 1);
        break;
    case 2:
        r->ignore_error = is_true(eq + 1);
        break;
    case 3:
        r->key_separator = eq + 1;
        break;
    case 4:
        r->headers_delimiter = eq + 1;
        break;
    case 5:
        r->headers_key_separator = eq + 1;
        break;
    case 6:
        r->null_marker = eq + 1;
        break;
    case 7:
        r->headers_separator = eq + 1;
        break;
    default:
        args_fail(a, "Reader property '%s' is not known, or has no value", pair);
    }
}

/* Cuts *at up to sep (whole rest: NULL result). The part is NUL-terminated in place. */
static char *cut(char **at, const char *sep)
{
    char *end = *sep ? strstr(*at, sep) : NULL;
    if (end == NULL) {
        return NULL;
    }
    char *part = *at;
    *end = 0;
    *at = end + strlen(sep);
    return part;
}

static const char *or_null(const struct reader *r, const char *s)
{
    return r->null_marker && s && strcmp(s, r->null_marker) == 0 ? NULL : s;
}

static int parse_headers(const struct reader *r, char *text, rd_kafka_headers_t *out)
{
    while (text) {
        char *next = *r->headers_separator ? strstr(text, r->headers_separator) : NULL;
        if (next) {
            *next = 0;
            next += strlen(r->headers_separator);
        }
        char *value = text, *name = cut(&value, r->headers_key_separator);
        if (name == NULL) {
            if (!r->ignore_error) {
                fprintf(stderr, "No header key separator found in pair '%s' on line number %zu\n",
                        text, r->line);
                return -1;
            }
            name = text;
            value = NULL;
        }
        if (or_null(r, name) == NULL) {
            fprintf(stderr,
                    "Header keys should not be equal to the null marker '%s' on line number %zu\n",
                    r->null_marker, r->line);
            return -1;
        }
        const char *v = or_null(r, value);
        rd_kafka_header_add(out, name, -1, v, v ? -1 : 0);
        text = next;
    }
    return 0;
}

struct line_parts {
    const char *key, *value;
    rd_kafka_headers_t *headers;
};

static int parse_line(const struct reader *r, char *line, struct line_parts *out)
{
    *out = (struct line_parts){0};
    if (r->parse_headers) {
        char *h = cut(&line, r->headers_delimiter);
        if (h == NULL && !r->ignore_error) {
            fprintf(stderr, "No header delimiter found on line number %zu: '%s'\n", r->line, line);
            return -1;
        }
        if (h && or_null(r, h)) {
            out->headers = rd_kafka_headers_new(4);
            if (parse_headers(r, h, out->headers)) {
                rd_kafka_headers_destroy(out->headers);
                return -1;
            }
        }
    }
    if (r->parse_key) {
        const char *k = cut(&line, r->key_separator);
        if (k == NULL && !r->ignore_error) {
            fprintf(stderr, "No key separator found on line number %zu: '%s'\n", r->line, line);
            if (out->headers) {
                rd_kafka_headers_destroy(out->headers);
            }
            return -1;
        }
        out->key = or_null(r, k);
    }
    out->value = or_null(r, line);
    return 0;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    UNUSED(rk);
    size_t *failed = opaque;
    if (m->err) {
        (*failed)++;
        fprintf(stderr,
                "Error when sending message to topic %s with key: %zu bytes, value: %zu bytes with "
                "error: %s\n",
                rd_kafka_topic_name(m->rkt), m->key_len, m->len, rd_kafka_err2str(m->err));
    }
}

static rd_kafka_resp_err_t produce(rd_kafka_t *rk, const char *topic, const struct line_parts *p)
{
    for (;;) {
        rd_kafka_headers_t *headers = p->headers ? rd_kafka_headers_copy(p->headers) : NULL;
        rd_kafka_resp_err_t err = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(p->key, p->key ? strlen(p->key) : 0),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)p->value, p->value ? strlen(p->value) : 0),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (err && headers) {
            rd_kafka_headers_destroy(headers);
        }
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            return err;
        }
        rd_kafka_poll(rk, 100); /* deliveries make room */
    }
}

static int send_lines(rd_kafka_t *rk, const char *topic, struct reader *r, bool sync,
                      size_t *failed)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool prompt = isatty(STDIN_FILENO);
    int rv = 0;
    while (rv == 0 && !rdk_stopped()) {
        if (prompt) {
            fputs(">", stdout);
            output_flush();
        }
        if ((n = getline(&line, &cap, stdin)) < 0) {
            if (ferror(stdin) && !rdk_stopped()) {
                fprintf(stderr, "Unable to read standard input: %s\n", strerror(errno));
                rv = 1;
            }
            break;
        }
        r->line++;
        n -= n && line[n - 1] == '\n';
        n -= n && line[n - 1] == '\r';
        line[n] = 0;
        struct line_parts p;
        if (parse_line(r, line, &p)) {
            rv = 1;
            break;
        }
        rd_kafka_resp_err_t err = produce(rk, topic, &p);
        if (err) {
            fprintf(stderr, "Error when sending message to topic %s: %s\n", topic,
                    rd_kafka_err2str(err));
            (*failed)++;
        }
        if (p.headers) {
            rd_kafka_headers_destroy(p.headers);
        }
        if (sync) {
            rd_kafka_flush(rk, -1);
        }
        rd_kafka_poll(rk, 0);
    }
    free(line);
    return rv;
}

/* Kafka's defaults of the options; a setting by property or file goes before them. */
static const char *const defaults[] = {"batch.size=16384",        "retries=3",
                                       "retry.backoff.ms=100",    "metadata.max.age.ms=300000",
                                       "request.timeout.ms=1500", "socket.send.buffer.bytes=102400",
                                       "linger.ms=1000",          "acks=-1",
                                       "buffer.memory=33554432",  NULL};

static void set_number(rd_kafka_conf_t *conf, const struct args *a, const char *option,
                       const char *setting, int64_t max)
{
    char v[32];
    snprintf(v, sizeof v, "%lld", (long long)args_int(a, option, 0, 0, max));
    if (args_has(a, option)) {
        rdk_set(conf, setting, v);
    }
}

static rd_kafka_conf_t *configure(const struct args *a)
{
    const char *const *props = args_has(a, "command-property") ? args_list(a, "command-property")
                                                               : args_list(a, "producer-property");
    rd_kafka_conf_t *conf = rdk_conf(
        a, defaults, props, args_get(a, "command-config", args_get(a, "producer.config", NULL)));
    if (args_has(a, "compression-codec")) {
        const char *codec = args_get(a, "compression-codec", "");
        rdk_set(conf, "compression.type", *codec ? codec : "gzip");
    }
    const char *batch =
        args_has(a, "max-partition-memory-bytes") ? "max-partition-memory-bytes" : "batch-size";
    set_number(conf, a, batch, "batch.size", INT32_MAX);
    set_number(conf, a, "message-send-max-retries", "retries", INT32_MAX);
    set_number(conf, a, "retry-backoff-ms", "retry.backoff.ms", 300000);
    set_number(conf, a, "metadata-expiry-ms", "metadata.max.age.ms", 86400000);
    set_number(conf, a, "request-timeout-ms", "request.timeout.ms", 900000);
    set_number(conf, a, "socket-buffer-size", "socket.send.buffer.bytes", 100000000);
    set_number(conf, a, "timeout", "linger.ms", 900000);
    set_number(conf, a, "max-memory-bytes", "buffer.memory", INT64_MAX);
    if (args_has(a, "request-required-acks")) {
        rdk_set(conf, "acks", args_get(a, "request-required-acks", ""));
    }
    rdk_set(conf, "partitioner", "murmur2_random"); /* where Java's producer puts a key */
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return conf;
}

int tool_console_producer(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    args_require(&a, "bootstrap-server");
    args_require(&a, "topic");
    if (args_has(&a, "line-reader") &&
        !strstr(args_get(&a, "line-reader", ""), "LineMessageReader")) {
        args_fail(&a, "line-reader is '%s'; only org.apache.kafka.tools.LineMessageReader is there",
                  args_get(&a, "line-reader", ""));
    }
    struct reader r = {.key_separator = "\t",
                       .headers_delimiter = "\t",
                       .headers_separator = ",",
                       .headers_key_separator = ":"};
    char **from_file = rdk_pairs(&a, "reader", "Warning:", reader_set, &r);
    size_t failed = 0;
    rdk_catch_signals();
    rd_kafka_conf_t *conf = configure(&a);
    rd_kafka_conf_set_opaque(conf, &failed);
    rd_kafka_t *rk = rdk_new(RD_KAFKA_PRODUCER, conf);
    int rv = send_lines(rk, args_get(&a, "topic", ""), &r, args_has(&a, "sync"), &failed);
    rd_kafka_flush(rk, (int)args_int(&a, "max-block-ms", 60000, 0, INT32_MAX));
    if (rd_kafka_outq_len(rk) > 0) {
        fprintf(stderr, "%d messages were not delivered\n", rd_kafka_outq_len(rk));
        rv = 1;
    }
    rd_kafka_destroy(rk);
    pairs_free(from_file);
    args_free(&a);
    return rv || failed ? 1 : 0;
}
