/* millrace console-consumer: print the records of topics, with kafka-console-consumer.sh's options
 * and format, on librdkafka. With --partition it reads that one. With a group (--group, or group.id
 * among the settings) it is a member of it, and commits what it has printed, at the latest when it
 * ends. Without either it reads all partitions, also those that are added while it runs, and
 * commits nothing: Kafka's tool joins a group of a random name for that, ours leaves no trace and
 * does not wait for a rebalance. A topic that is not there yet is waited for, as by Kafka's; unlike
 * by that one it is not created, and if it has not come when --timeout-ms is over, the status is 1.
 * "Processed a total of N messages" goes to stderr at the end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "tools/args.h"
#include "tools/clock.h"
#include "tools/output.h"
#include "tools/rdk.h"
#include "tools/text.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to read."},
    {"include", ARG_VALUE, "REGEX", "The topics to read."},
    {"partition", ARG_VALUE, "N", "Read this partition only, from --offset."},
    {"offset", ARG_VALUE, "OFFSET",
     "Where to begin: a number, earliest or latest (latest). With --partition."},
    {"from-beginning", ARG_FLAG, NULL, "Begin with the earliest record."},
    {"max-messages", ARG_VALUE, "N", "End after that many."},
    {"timeout-ms", ARG_VALUE, "MS", "End when nothing comes for that long."},
    {"group", ARG_VALUE, "ID", "Read as a member of this group, and commit to it."},
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
    {"enable-systest-events", ARG_FLAG, NULL, "Print shutdown_complete at the end."},
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
                "  millrace console-consumer --bootstrap-server localhost:9092 --topic t --group "
                "readers\n"
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

struct limits {
    int64_t max_messages; /* -1: none */
    int64_t timeout_ms;   /* -1: none */
    bool skip_errors;
};

/* What is read, and how. */
struct reading {
    const struct args *a;
    rd_kafka_t *rk;
    const char *topic; /* NULL: those of the pattern */
    struct topic_pattern pattern;
    rd_kafka_topic_partition_list_t *have; /* without a group: what is assigned */
    bool all;                              /* neither a group nor a partition is given */
    bool member;                           /* of a group: a topic may come later */
    bool missing;                          /* the topic is not there yet, without a group */
    int64_t look_ms;                       /* when to look for partitions again */
};

enum { LOOK_MS = 10000, LOOK_SOON_MS = 500 };

/* Topics of the brokers themselves are not meant by a pattern. */
static bool is_internal(const char *topic)
{
    return strcmp(topic, "__consumer_offsets") == 0 || strcmp(topic, "__transaction_state") == 0 ||
           strcmp(topic, "__share_group_state") == 0;
}

/* The partitions of a topic that are not read yet, into more. Those that come while the tool runs
 * are read from their first record. */
static void add_new(struct reading *r, const rd_kafka_metadata_topic_t *t,
                    rd_kafka_topic_partition_list_t *more)
{
    for (int i = 0; i < t->partition_cnt; i++) {
        int32_t id = t->partitions[i].id;
        if (rd_kafka_topic_partition_list_find(r->have, t->topic, id) == NULL) {
            rd_kafka_topic_partition_list_add(more, t->topic, id)->offset =
                r->look_ms ? RD_KAFKA_OFFSET_BEGINNING : start_offset(r->a);
            rd_kafka_topic_partition_list_add(r->have, t->topic, id);
        }
    }
}

static rd_kafka_resp_err_t take_new(struct reading *r, const rd_kafka_metadata_t *md)
{
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *more = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < md->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *t = &md->topics[i];
        if (r->topic) {
            err = t->err             ? t->err
                  : t->partition_cnt ? RD_KAFKA_RESP_ERR_NO_ERROR
                                     : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            add_new(r, t, more);
        } else if (topic_pattern_matches(&r->pattern, bytes_str(t->topic)) &&
                   !is_internal(t->topic)) {
            add_new(r, t, more);
        }
    }
    if (more->cnt) {
        rd_kafka_error_t *e = rd_kafka_incremental_assign(r->rk, more);
        err = e ? rd_kafka_error_code(e) : err;
        if (e) {
            rd_kafka_error_destroy(e);
        }
    }
    rd_kafka_topic_partition_list_destroy(more);
    return err;
}

/* Without a group: all partitions that are there now and are not read yet. */
static rd_kafka_resp_err_t look(struct reading *r)
{
    rd_kafka_topic_t *rkt = r->topic ? rd_kafka_topic_new(r->rk, r->topic, NULL) : NULL;
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t err = rd_kafka_metadata(r->rk, r->topic == NULL, rkt, &md, 10000);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = take_new(r, md);
        rd_kafka_metadata_destroy(md);
    }
    if (rkt) {
        rd_kafka_topic_destroy(rkt);
    }
    r->look_ms = steady_ms() + (r->have->cnt ? LOOK_MS : LOOK_SOON_MS);
    return err;
}

static int cannot_read(const struct reading *r, rd_kafka_resp_err_t err)
{
    fprintf(stderr, "Cannot read %s: %s\n", r->topic ? r->topic : args_get(r->a, "include", ""),
            rd_kafka_err2str(err));
    return 1;
}

static int begin(struct reading *r, const char *group)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t err;
    if (args_has(r->a, "partition")) {
        int32_t p = (int32_t)args_int(r->a, "partition", 0, 0, INT32_MAX);
        rd_kafka_topic_partition_list_add(list, r->topic, p)->offset = start_offset(r->a);
        err = rd_kafka_assign(r->rk, list);
    } else if (group) {
        r->member = true;
        err = rdk_subscribe(r->rk, r->topic, args_get(r->a, "include", NULL));
    } else {
        r->all = true;
        err = look(r);
        if (r->topic && err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            fprintf(stderr, "WARN %s: %s; waiting for it\n", r->topic, rd_kafka_err2str(err));
            r->missing = true;
            err = RD_KAFKA_RESP_ERR_NO_ERROR;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return err ? cannot_read(r, err) : 0;
}

/* Nothing came: because there is no server? Neither a member nor who reads a partition is told that
 * by librdkafka; but it knows the id of the cluster once a server has answered. */
static int time_is_up(struct reading *r, const struct limits *l, int64_t processed)
{
    fprintf(stderr, "No record for %lld ms\n", (long long)l->timeout_ms);
    if (r->missing && r->have->cnt == 0) {
        return cannot_read(r, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    }
    if (processed > 0 || r->all) {
        return 0;
    }
    char *cluster = rd_kafka_clusterid(r->rk, 0);
    if (cluster == NULL) {
        return cannot_read(r, RD_KAFKA_RESP_ERR__TRANSPORT);
    }
    rd_kafka_mem_free(r->rk, cluster);
    return 0;
}

static int consume(struct reading *r, const struct formatter *f, const struct limits *l,
                   int64_t *processed)
{
    int64_t last = steady_ms();
    while (!rdk_stopped() && (l->max_messages < 0 || *processed < l->max_messages)) {
        if (r->all && steady_ms() >= r->look_ms) {
            look(r); /* what it cannot find out now, it asks again */
        }
        int64_t left = l->timeout_ms < 0 ? 500 : l->timeout_ms - (steady_ms() - last);
        if (left <= 0) {
            return time_is_up(r, l, *processed);
        }
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, (int)(left > 500 ? 500 : left));
        if (m == NULL) {
            output_flush();
            continue;
        }
        bool ok = true;
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            ok = print_message(f, m);
            (*processed)++;
            last = steady_ms();
        } else if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && r->member) {
            fprintf(stderr, "WARN %s; waiting for it\n", rd_kafka_message_errstr(m));
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

/* ---- settings ---- */

struct settings {
    char **file;              /* "key=value" of --command-config; may be NULL */
    const char *const *props; /* of --command-property */
};

static const char *value_in(const char *const *pairs, const char *name)
{
    const char *found = NULL;
    size_t n = strlen(name);
    for (; pairs && *pairs; pairs++) {
        if (strncmp(*pairs, name, n) == 0 && (*pairs)[n] == '=') {
            found = *pairs + n + 1;
        }
    }
    return found;
}

static const char *setting(const struct settings *s, const char *name)
{
    const char *v = value_in(s->props, name);
    return v ? v : value_in((const char *const *)s->file, name);
}

/* One of two names of an option; the older is deprecated, which Kafka's tool says on stdout. */
static const char *newer_of(const struct args *a, const char *old, const char *new)
{
    if (args_has(a, old) && args_has(a, new)) {
        args_fail(a, "Options --%s and --%s cannot be specified together.", old, new);
    }
    if (args_has(a, old)) {
        printf("Option --%s is deprecated and will be removed in a future version. Use --%s "
               "instead.\n",
               old, new);
    }
    return args_has(a, old) ? old : new;
}

static void read_settings(const struct args *a, struct settings *s)
{
    struct errmsg em;
    s->props = args_list(a, newer_of(a, "consumer-property", "command-property"));
    const char *file = args_get(a, newer_of(a, "consumer.config", "command-config"), NULL);
    s->file = NULL;
    if (file && pairs_read(file, &s->file, &em)) {
        args_fail(a, "%s", em.text);
    }
}

/* The group, wherever it is named; NULL: none. */
static const char *group_of(const struct args *a, const struct settings *s)
{
    const char *named[] = {args_get(a, "group", NULL), value_in(s->props, "group.id"),
                           value_in((const char *const *)s->file, "group.id")};
    const char *group = NULL;
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        if (group && named[i] && strcmp(group, named[i]) != 0) {
            args_fail(a,
                      "The group ids provided in different places (directly using '--group', via "
                      "'--consumer-property', or via '--consumer.config') do not match. Detected "
                      "group ids: '%s', '%s'",
                      group, named[i]);
        }
        group = group ? group : named[i];
    }
    if (group && args_has(a, "partition")) {
        args_fail(a, "Options group and partition cannot be specified together.");
    }
    return group;
}

static rd_kafka_conf_t *configure(const struct args *a, const struct settings *s, const char *group)
{
    static const char *const defaults[] = {"client.id=console-consumer", NULL};
    const char *reset = setting(s, "auto.offset.reset");
    if (reset && args_has(a, "from-beginning") && strcmp(reset, "earliest") != 0) {
        args_fail(a,
                  "Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', "
                  "please remove one option",
                  reset);
    }
    rd_kafka_conf_t *conf = rdk_conf(
        a, defaults, s->props, args_get(a, "command-config", args_get(a, "consumer.config", NULL)));
    rdk_set(conf, "group.id", group ? group : "console-consumer");
    if (reset == NULL) {
        rdk_set(conf, "auto.offset.reset", args_has(a, "from-beginning") ? "earliest" : "latest");
    }
    if (args_has(a, "isolation-level") || !setting(s, "isolation.level")) {
        rdk_set(conf, "isolation.level", args_get(a, "isolation-level", "read_uncommitted"));
    }
    if (group && setting(s, "allow.auto.create.topics") == NULL) {
        rdk_set(conf, "allow.auto.create.topics", "true"); /* as Kafka's consumer by default */
    }
    if (group == NULL) {
        rdk_set(conf, "enable.auto.commit", "false");
    } else if (args_has(a, "include")) {
        rdk_hide_internal_topics(conf);
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
    if (args_has(a, "partition") && !args_has(a, "topic")) {
        args_fail(a, "The topic is required when partition is specified.");
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

static int read_all(const struct args *a, const struct formatter *f, const struct settings *s,
                    const char *group)
{
    struct errmsg em;
    struct limits l = {.max_messages = args_int(a, "max-messages", -1, -1, INT64_MAX),
                       .timeout_ms = args_int(a, "timeout-ms", -1, -1, INT64_MAX),
                       .skip_errors = args_has(a, "skip-message-on-error")};
    struct reading r = {.a = a, .topic = args_get(a, "topic", NULL)};
    start_offset(a); /* a bad one is refused before anything is opened */
    if (topic_pattern_init(&r.pattern, args_get(a, "include", NULL), &em)) {
        args_fail(a, "%s", em.text);
    }
    rdk_catch_signals();
    r.rk = rdk_new(RD_KAFKA_CONSUMER, configure(a, s, group));
    rd_kafka_poll_set_consumer(r.rk);
    r.have = rd_kafka_topic_partition_list_new(8);
    int64_t processed = 0;
    int rv = begin(&r, group);
    bool began = rv == 0;
    if (began) {
        rv = consume(&r, f, &l, &processed);
        output_flush();
    }
    rd_kafka_consumer_close(r.rk);
    if (began) {
        fprintf(stderr, "Processed a total of %lld messages\n", (long long)processed);
    }
    if (args_has(a, "enable-systest-events")) {
        printf("shutdown_complete\n");
    }
    rd_kafka_topic_partition_list_destroy(r.have);
    rd_kafka_destroy(r.rk);
    topic_pattern_free(&r.pattern);
    return rv;
}

int tool_console_consumer(int argc, char **argv)
{
    struct args a;
    struct settings s;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    struct formatter f = {.value = true,
                          .key_separator = "\t",
                          .line_separator = "\n",
                          .headers_separator = ",",
                          .null_literal = "null"};
    read_settings(&a, &s);
    const char *group = group_of(&a, &s);
    char **from_file = rdk_pairs(&a, "formatter", "Option", formatter_set, &f);
    f.key_as = args_has(&a, "key-deserializer")
                   ? deserializer(&a, args_get(&a, "key-deserializer", ""))
                   : f.key_as;
    f.value_as = args_has(&a, "value-deserializer")
                     ? deserializer(&a, args_get(&a, "value-deserializer", ""))
                     : f.value_as;
    int rv = read_all(&a, &f, &s, group);
    pairs_free(from_file);
    pairs_free(s.file);
    args_free(&a);
    return rv;
}
