/* millrace console-consumer: print the records of a topic, with kafka-console-consumer.sh's options
 * and format, on librdkafka. With --partition it reads that one; with --group it joins the group
 * (the broker must have a group coordinator); without either it reads all partitions and commits
 * nothing. "Processed a total of N messages" goes to stderr at the end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "tools/args.h"
#include "tools/rdk.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to read."},
    {"include", ARG_VALUE, "REGEX", "Topics to read, with --group."},
    {"partition", ARG_VALUE, "N", "Read this partition only, from --offset."},
    {"offset", ARG_VALUE, "OFFSET",
     "Where to begin: a number, earliest or latest (latest). With --partition."},
    {"from-beginning", ARG_FLAG, NULL, "Begin with the earliest record."},
    {"max-messages", ARG_VALUE, "N", "End after that many."},
    {"timeout-ms", ARG_VALUE, "MS", "End when nothing comes for that long."},
    {"group", ARG_VALUE, "ID", "Read as a member of this group; Millrace's brokers have none yet."},
    {"isolation-level", ARG_VALUE, "LEVEL",
     "read_uncommitted or read_committed (read_uncommitted)."},
    {"formatter-property", ARG_LIST, "KEY=VALUE",
     "print.timestamp, print.partition, print.offset, print.epoch, print.headers, print.key, "
     "print.value (true), key.separator, "
     "line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, "
     "headers.deserializer."},
    {"property", ARG_LIST, "KEY=VALUE", "Kafka's older name of formatter-property."},
    {"formatter-config", ARG_VALUE, "FILE", "Formatter properties from a file."},
    {"formatter", ARG_VALUE, "CLASS", "Only Kafka's default formatter is there."},
    {"key-deserializer", ARG_VALUE, "CLASS",
     "How keys are shown: String, Integer, Long, Short, Double, Bytes."},
    {"value-deserializer", ARG_VALUE, "CLASS", "How values are shown."},
    {"skip-message-on-error", ARG_FLAG, NULL, "Go on after a record that cannot be shown."},
    {"enable-systest-events", ARG_FLAG, NULL, "Accepted; there are no such events."},
    {"command-property", ARG_LIST, "KEY=VALUE", "A consumer setting."},
    {"consumer-property", ARG_LIST, "KEY=VALUE", "Kafka's older name of command-property."},
    {"command-config", ARG_VALUE, "FILE", "Consumer settings from a file."},
    {"consumer.config", ARG_VALUE, "FILE", "Kafka's older name of command-config."},
};

static const struct args_spec spec = {
    .tool = "console-consumer",
    .about = "print the records of a topic",
    .examples = "  millrace console-consumer --bootstrap-server localhost:9092 --topic greetings "
                "--from-beginning\n"
                "  millrace console-consumer --bootstrap-server localhost:9092 --topic t "
                "--partition 0 --offset 100 --max-messages 5\n"
                "  millrace console-consumer --bootstrap-server localhost:9092 --topic t "
                "--from-beginning --timeout-ms 1000 "
                "--formatter-property print.key=true --formatter-property print.offset=true\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

enum shown { SHOW_STRING, SHOW_SHORT, SHOW_INT, SHOW_LONG, SHOW_DOUBLE, SHOW_BYTES };

struct formatter {
    bool timestamp, partition, offset, epoch, headers, key, value;
    const char *key_separator, *line_separator, *headers_separator, *null_literal;
    enum shown key_as, value_as, headers_as;
};

static enum shown deserializer(const struct args *a, const char *name)
{
    static const struct {
        const char *word;
        enum shown as;
    } known[] = {{"String", SHOW_STRING}, {"Short", SHOW_SHORT},   {"Integer", SHOW_INT},
                 {"Long", SHOW_LONG},     {"Double", SHOW_DOUBLE}, {"Bytes", SHOW_BYTES}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strstr(name, known[i].word)) {
            return known[i].as;
        }
    }
    args_fail(
        a,
        "Deserializer '%s' is not there; there are String, Short, Integer, Long, Double and Bytes",
        name);
}

static bool formatter_flag(struct formatter *f, const char *name, bool on)
{
    struct {
        const char *name;
        bool *flag;
    } flags[] = {{"print.timestamp", &f->timestamp}, {"print.partition", &f->partition},
                 {"print.offset", &f->offset},       {"print.epoch", &f->epoch},
                 {"print.headers", &f->headers},     {"print.key", &f->key},
                 {"print.value", &f->value}};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (strcmp(flags[i].name, name) == 0) {
            *flags[i].flag = on;
            return true;
        }
    }
    return false;
}

static void formatter_set(const struct args *a, void *ctx, const char *pair)
{
    struct formatter *f = ctx;
    char name[64];
    const char *eq = strchr(pair, '=');
    if (eq == NULL || (size_t)(eq - pair) >= sizeof name) {
        args_fail(a, "Formatter property '%s' is not of the form key=value", pair);
    }
    snprintf(name, sizeof name, "%.*s", (int)(eq - pair), pair);
    struct {
        const char *name;
        const char **text;
    } texts[] = {{"key.separator", &f->key_separator},
                 {"line.separator", &f->line_separator},
                 {"headers.separator", &f->headers_separator},
                 {"null.literal", &f->null_literal}};
    struct {
        const char *name;
        enum shown *as;
    } kinds[] = {{"key.deserializer", &f->key_as},
                 {"value.deserializer", &f->value_as},
                 {"headers.deserializer", &f->headers_as}};
    if (formatter_flag(f, name, strcmp(eq + 1, "true") == 0)) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(texts[i].name, name) == 0) {
            *texts[i].text = eq + 1;
            return;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *kinds[i].as = deserializer(a, eq + 1);
            return;
        }
    }
    args_fail(a, "Formatter property '%s' is not known", name);
}

static void put_escaped(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
            putchar(p[i]);
        } else {
            printf("\\x%02X", p[i]);
        }
    }
}

/* false: the bytes do not fit the type. */
static bool put_value(const struct formatter *f, enum shown as, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (p == NULL) {
        fputs(f->null_literal, stdout);
    } else if (as == SHOW_STRING) {
        fwrite(p, 1, n, stdout);
    } else if (as == SHOW_BYTES) {
        put_escaped(p, n);
    } else if (as == SHOW_SHORT && n == 2) {
        printf("%d", (int16_t)load_be16(p));
    } else if (as == SHOW_INT && n == 4) {
        printf("%d", (int32_t)load_be32(p));
    } else if (as == SHOW_LONG && n == 8) {
        printf("%lld", (long long)load_be64(p));
    } else if (as == SHOW_DOUBLE && n == 8) {
        uint64_t bits = load_be64(p);
        double d;
        memcpy(&d, &bits, 8);
        printf("%g", d);
    } else {
        return false;
    }
    return true;
}

static void put_headers(const struct formatter *f, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *h;
    const char *name;
    const void *value;
    size_t n, i = 0;
    if (rd_kafka_message_headers(m, &h)) {
        fputs("NO_HEADERS", stdout);
        return;
    }
    for (; rd_kafka_header_get_all(h, i, &name, &value, &n) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        printf("%s%s:", i ? f->headers_separator : "", name);
        put_value(f, f->headers_as, value, n);
    }
}

static void put_timestamp(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t ts = rd_kafka_message_timestamp(m, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) {
        printf("NO_TIMESTAMP");
    } else {
        printf("%s:%lld", type == RD_KAFKA_TIMESTAMP_CREATE_TIME ? "CreateTime" : "LogAppendTime",
               (long long)ts);
    }
}

static bool print_message(const struct formatter *f, const rd_kafka_message_t *m)
{
    const char *sep = "";
    if (f->timestamp) {
        put_timestamp(m);
        sep = f->key_separator;
    }
    if (f->partition) {
        printf("%sPartition:%d", sep, m->partition);
        sep = f->key_separator;
    }
    if (f->offset) {
        printf("%sOffset:%lld", sep, (long long)m->offset);
        sep = f->key_separator;
    }
    if (f->epoch) {
        printf("%sEpoch:NOT_PRESENT", sep);
        sep = f->key_separator;
    }
    if (f->headers) {
        fputs(sep, stdout);
        put_headers(f, m);
        sep = f->key_separator;
    }
    bool ok = true;
    if (f->key) {
        fputs(sep, stdout);
        ok = put_value(f, f->key_as, m->key, m->key_len);
        sep = f->key_separator;
    }
    if (f->value) {
        fputs(sep, stdout);
        ok = put_value(f, f->value_as, m->payload, m->len) && ok;
    }
    fputs(f->line_separator, stdout);
    return ok;
}

/* ---- reading ---- */

static int64_t start_offset(const struct args *a)
{
    const char *s = args_get(a, "offset", args_has(a, "from-beginning") ? "earliest" : "latest");
    if (strcmp(s, "earliest") == 0) {
        return RD_KAFKA_OFFSET_BEGINNING;
    }
    if (strcmp(s, "latest") == 0) {
        return RD_KAFKA_OFFSET_END;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end || end == s || v < 0) {
        args_fail(a,
                  "The provided offset value '%s' is incorrect. Valid values are 'earliest', "
                  "'latest', or a non-negative long.",
                  s);
    }
    return v;
}

/* Every partition of the topic from its start offset; waits for a topic that is being made. */
static rd_kafka_resp_err_t add_partitions(rd_kafka_t *rk, const struct args *a, const char *topic,
                                          rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, rkt, &md, 10000);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        for (int32_t i = 0; err == 0 && i < md->topics[0].partition_cnt; i++) {
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = start_offset(a);
        }
        if (err == 0 && list->cnt == 0) {
            err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        }
        rd_kafka_metadata_destroy(md);
    }
    rd_kafka_topic_destroy(rkt);
    return err;
}

static int begin(rd_kafka_t *rk, const struct args *a)
{
    const char *topic = args_get(a, "topic", NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t err;
    if (args_has(a, "partition")) {
        int32_t p = (int32_t)args_int(a, "partition", 0, 0, INT32_MAX);
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = start_offset(a);
        err = rd_kafka_assign(rk, list);
    } else if (args_has(a, "group")) {
        char pattern[512];
        snprintf(pattern, sizeof pattern, "^(%s)$", args_get(a, "include", ""));
        rd_kafka_topic_partition_list_add(list, topic ? topic : pattern, RD_KAFKA_PARTITION_UA);
        err = rd_kafka_subscribe(rk, list);
    } else {
        err = add_partitions(rk, a, topic, list);
        err = err ? err : rd_kafka_assign(rk, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err) {
        fprintf(stderr, "Cannot read %s: %s\n", topic ? topic : args_get(a, "include", ""),
                rd_kafka_err2str(err));
    }
    return err ? 1 : 0;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct limits {
    int64_t max_messages; /* -1: none */
    int64_t timeout_ms;   /* -1: none */
    bool skip_errors;
};

static int consume(rd_kafka_t *rk, const struct formatter *f, const struct limits *l,
                   int64_t *processed)
{
    int64_t last = now_ms();
    while (!rdk_stopped() && (l->max_messages < 0 || *processed < l->max_messages)) {
        int64_t left = l->timeout_ms < 0 ? 500 : l->timeout_ms - (now_ms() - last);
        if (left <= 0) {
            fprintf(stderr, "No record for %lld ms\n", (long long)l->timeout_ms);
            return 0;
        }
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, (int)(left > 500 ? 500 : left));
        if (m == NULL) {
            fflush(stdout);
            continue;
        }
        bool ok = true;
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            ok = print_message(f, m);
            (*processed)++;
            last = now_ms();
        } else if (m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            fprintf(stderr, "Error processing message, terminating consumer process: %s\n",
                    rd_kafka_message_errstr(m));
            ok = false;
        }
        rd_kafka_message_destroy(m);
        if ((!ok && !l->skip_errors) || ferror(stdout)) {
            return 1;
        }
    }
    return 0;
}

static rd_kafka_conf_t *configure(const struct args *a)
{
    const char *const *props = args_has(a, "command-property") ? args_list(a, "command-property")
                                                               : args_list(a, "consumer-property");
    rd_kafka_conf_t *conf = rdk_conf(
        a, NULL, props, args_get(a, "command-config", args_get(a, "consumer.config", NULL)));
    rdk_set(conf, "group.id", args_get(a, "group", "console-consumer"));
    rdk_set(conf, "auto.offset.reset", args_has(a, "from-beginning") ? "earliest" : "latest");
    rdk_set(conf, "isolation.level", args_get(a, "isolation-level", "read_uncommitted"));
    if (!args_has(a, "group")) {
        rdk_set(conf, "enable.auto.commit", "false");
    }
    return conf;
}

static void check(const struct args *a)
{
    args_require(a, "bootstrap-server");
    if (args_has(a, "topic") == args_has(a, "include")) {
        args_fail(a, "Exactly one of --include/--topic is required.");
    }
    if (args_has(a, "offset") && !args_has(a, "partition")) {
        args_fail(a, "The partition is required when offset is specified.");
    }
    if (args_has(a, "partition") && (!args_has(a, "topic") || args_has(a, "group"))) {
        args_fail(a, "With --partition the topic is required, and --group is not allowed.");
    }
    if (args_has(a, "include") && !args_has(a, "group")) {
        args_fail(a, "--include needs --group");
    }
    if (args_has(a, "from-beginning") && args_has(a, "offset")) {
        args_fail(a, "Options from-beginning and offset cannot be specified together.");
    }
    if (args_has(a, "formatter") &&
        !strstr(args_get(a, "formatter", ""), "DefaultMessageFormatter")) {
        args_fail(a,
                  "formatter is '%s'; only DefaultMessageFormatter is there (see dump-log for "
                  "internal topics)",
                  args_get(a, "formatter", ""));
    }
}

int tool_console_consumer(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    struct formatter f = {.value = true,
                          .key_separator = "\t",
                          .line_separator = "\n",
                          .headers_separator = ",",
                          .null_literal = "null"};
    char **from_file = rdk_pairs(&a, "formatter", "Option", formatter_set, &f);
    f.key_as = args_has(&a, "key-deserializer")
                   ? deserializer(&a, args_get(&a, "key-deserializer", ""))
                   : f.key_as;
    f.value_as = args_has(&a, "value-deserializer")
                     ? deserializer(&a, args_get(&a, "value-deserializer", ""))
                     : f.value_as;
    struct limits l = {.max_messages = args_int(&a, "max-messages", -1, -1, INT64_MAX),
                       .timeout_ms = args_int(&a, "timeout-ms", -1, -1, INT64_MAX),
                       .skip_errors = args_has(&a, "skip-message-on-error")};
    start_offset(&a); /* a bad one is refused before anything is opened */
    rdk_catch_signals();
    rd_kafka_t *rk = rdk_new(RD_KAFKA_CONSUMER, configure(&a));
    rd_kafka_poll_set_consumer(rk);
    int64_t processed = 0;
    int rv = begin(rk, &a);
    if (rv == 0) {
        rv = consume(rk, &f, &l, &processed);
        fflush(stdout);
        fprintf(stderr, "Processed a total of %lld messages\n", (long long)processed);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    pairs_free(from_file);
    args_free(&a);
    return rv;
}
