/* millrace verifiable-consumer: reads a topic as a member of a group and says what happens, one
 * JSON object a line: partitions that come and go, records that were read, offsets that were
 * committed; with the options and events of kafka-verifiable-consumer.sh, on librdkafka. Records
 * that come together are one event; they are said and committed before a rebalance takes their
 * partitions. SIGINT and SIGTERM: the member leaves its group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tools/args.h"
#include "tools/events.h"
#include "tools/rdk.h"
#include "tools/tool.h"

/* As many as Kafka's consumer hands out at once (max.poll.records). */
enum { TOGETHER_MAX = 500 };

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to read. Required."},
    {"group-id", ARG_VALUE, "ID", "The group to be a member of. Required."},
    {"group-instance-id", ARG_VALUE, "ID", "Be a static member of this name."},
    {"group-protocol", ARG_VALUE, "PROTOCOL", "classic or consumer (classic)."},
    {"group-remote-assignor", ARG_VALUE, "NAME", "With --group-protocol consumer: who assigns."},
    {"max-messages", ARG_VALUE, "N", "How many records; -1, the default, goes on until a signal."},
    {"session-timeout", ARG_VALUE, "MS", "The member is dead after that long (45000)."},
    {"verbose", ARG_FLAG, NULL, "Say every record."},
    {"enable-autocommit", ARG_FLAG, NULL, "Commit from time to time instead of after each read."},
    {"reset-policy", ARG_VALUE, "POLICY",
     "Where to begin without a committed offset: earliest, latest or none (earliest)."},
    {"assignment-strategy", ARG_VALUE, "CLASS",
     "RangeAssignor, RoundRobinAssignor or CooperativeStickyAssignor (RangeAssignor)."},
    {"command-config", ARG_VALUE, "FILE", "Consumer settings from a file."},
    {"consumer.config", ARG_VALUE, "FILE", "Kafka's older name of command-config."},
};

static const struct args_spec spec = {
    .tool = "verifiable-consumer",
    .about = "read a topic in a group and say what happens",
    .examples = "  millrace verifiable-consumer --bootstrap-server localhost:9092 --topic numbers "
                "--group-id readers\n"
                "  millrace verifiable-consumer --bootstrap-server localhost:9092 --topic numbers "
                "--group-id readers --max-messages 1000 --verbose\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

/* What has been read of one partition. */
struct read_part {
    char *topic;
    int32_t partition;
    int64_t count, first, last;
};

struct consumer {
    rd_kafka_t *rk;
    bool verbose, commits;
    int64_t left; /* records still to be read; -1: no end */
    bool failed;
    struct read_part *parts; /* read since the last event */
    size_t parts_n, parts_max;
    int64_t count; /* records in them */
    struct buf line;
};

/* ---- events ---- */

static void put_part(struct buf *b, const char *topic, int32_t partition)
{
    event_item(b);
    event_cstr(b, "topic", topic);
    event_number(b, "partition", partition);
}

static void say_partitions(struct consumer *c, const char *name,
                           const rd_kafka_topic_partition_list_t *list)
{
    event_begin(&c->line, name);
    event_list(&c->line, "partitions");
    for (int i = 0; i < list->cnt; i++) {
        put_part(&c->line, list->elems[i].topic, list->elems[i].partition);
        event_item_end(&c->line);
    }
    event_list_end(&c->line);
    event_print(&c->line);
}

static void say_records(struct consumer *c)
{
    event_begin(&c->line, "records_consumed");
    event_number(&c->line, "count", c->count);
    event_list(&c->line, "partitions");
    for (size_t i = 0; i < c->parts_n; i++) {
        put_part(&c->line, c->parts[i].topic, c->parts[i].partition);
        event_number(&c->line, "count", c->parts[i].count);
        event_number(&c->line, "minOffset", c->parts[i].first);
        event_number(&c->line, "maxOffset", c->parts[i].last);
        event_item_end(&c->line);
    }
    event_list_end(&c->line);
    event_print(&c->line);
}

static void say_record(struct consumer *c, const rd_kafka_message_t *m)
{
    event_begin(&c->line, "record_data");
    event_text(&c->line, "key", m->key, m->key_len);
    event_text(&c->line, "value", m->payload, m->len);
    event_cstr(&c->line, "topic", rd_kafka_topic_name(m->rkt));
    event_number(&c->line, "partition", m->partition);
    event_number(&c->line, "offset", m->offset);
    event_print(&c->line);
}

static void say_commit(struct consumer *c, const rd_kafka_topic_partition_list_t *list,
                       rd_kafka_resp_err_t err)
{
    event_begin(&c->line, "offsets_committed");
    event_list(&c->line, "offsets");
    for (int i = 0; i < list->cnt; i++) {
        put_part(&c->line, list->elems[i].topic, list->elems[i].partition);
        event_number(&c->line, "offset", list->elems[i].offset);
        event_item_end(&c->line);
    }
    event_list_end(&c->line);
    if (err) {
        event_cstr(&c->line, "error", rd_kafka_err2str(err));
    }
    event_flag(&c->line, "success", err == RD_KAFKA_RESP_ERR_NO_ERROR);
    event_print(&c->line);
}

/* ---- records ---- */

static struct read_part *part_of(struct consumer *c, const rd_kafka_message_t *m)
{
    const char *topic = rd_kafka_topic_name(m->rkt);
    for (size_t i = 0; i < c->parts_n; i++) {
        if (c->parts[i].partition == m->partition && strcmp(c->parts[i].topic, topic) == 0) {
            return &c->parts[i];
        }
    }
    if (c->parts_n == c->parts_max) {
        c->parts_max = c->parts_max ? 2 * c->parts_max : 8;
        c->parts = mem_realloc(c->parts, c->parts_max * sizeof *c->parts);
    }
    struct read_part *p = &c->parts[c->parts_n++];
    *p = (struct read_part){mem_strdup(topic), m->partition, 0, m->offset, m->offset};
    return p;
}

static void take(struct consumer *c, const rd_kafka_message_t *m)
{
    if (c->verbose) {
        say_record(c, m);
    }
    struct read_part *p = part_of(c, m);
    p->count++;
    p->last = m->offset;
    c->count++;
    c->left -= c->left > 0;
}

/* Says what has been read, and commits it. */
static void settle(struct consumer *c)
{
    if (c->count == 0) {
        return;
    }
    say_records(c);
    if (c->commits) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)c->parts_n);
        for (size_t i = 0; i < c->parts_n; i++) {
            rd_kafka_topic_partition_list_add(list, c->parts[i].topic, c->parts[i].partition)
                ->offset = c->parts[i].last + 1;
        }
        rd_kafka_resp_err_t err = rd_kafka_commit(c->rk, list, 0);
        say_commit(c, list, err);
        c->failed |= err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
        rd_kafka_topic_partition_list_destroy(list);
    }
    for (size_t i = 0; i < c->parts_n; i++) {
        mem_free(c->parts[i].topic);
    }
    c->parts_n = 0;
    c->count = 0;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct consumer *c = opaque;
    settle(c);
    say_partitions(c,
                   err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "partitions_assigned"
                                                               : "partitions_revoked",
                   list);
    if (!rdk_take_assignment(rk, err, list)) {
        c->failed = true;
    }
}

static void on_message(struct consumer *c, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take(c, m);
        return;
    }
    fprintf(stderr, "%s\n", rd_kafka_message_errstr(m));
    c->failed |= m->err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
                 m->err == RD_KAFKA_RESP_ERR__FATAL ||
                 m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET;
}

static void run(struct consumer *c)
{
    while (!rdk_stopped() && !c->failed && c->left != 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, c->count ? 0 : 100);
        if (m) {
            on_message(c, m);
            rd_kafka_message_destroy(m);
        }
        if (m == NULL || c->count >= TOGETHER_MAX) {
            settle(c);
        }
    }
    settle(c);
}

/* ---- settings ---- */

static const char *assignor(const struct args *a)
{
    static const char *const known[][2] = {{"CooperativeStickyAssignor", "cooperative-sticky"},
                                           {"RoundRobinAssignor", "roundrobin"},
                                           {"RangeAssignor", "range"}};
    const char *name = args_get(a, "assignment-strategy", "RangeAssignor");
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(dot ? dot + 1 : name, known[i][0]) == 0 || strcmp(name, known[i][1]) == 0) {
            return known[i][1];
        }
    }
    args_fail(a,
              "assignment-strategy is '%s'; there are RangeAssignor, RoundRobinAssignor and "
              "CooperativeStickyAssignor",
              name);
}

static void set_group(rd_kafka_conf_t *conf, const struct args *a)
{
    const char *protocol = args_get(a, "group-protocol", "classic");
    rdk_set(conf, "group.id", args_get(a, "group-id", ""));
    if (args_has(a, "group-instance-id")) {
        rdk_set(conf, "group.instance.id", args_get(a, "group-instance-id", ""));
    }
    if (strcasecmp(protocol, "consumer") == 0) {
        rdk_set(conf, "group.protocol", "consumer");
        if (args_has(a, "group-remote-assignor")) {
            rdk_set(conf, "group.remote.assignor", args_get(a, "group-remote-assignor", ""));
        }
        return;
    }
    if (strcasecmp(protocol, "classic") != 0) {
        args_fail(a, "group-protocol is '%s'; it is classic or consumer", protocol);
    }
    rdk_set(conf, "partition.assignment.strategy", assignor(a));
    if (args_has(a, "session-timeout")) {
        rdk_set(conf, "session.timeout.ms", args_get(a, "session-timeout", ""));
    }
}

static rd_kafka_conf_t *configure(const struct args *a, struct consumer *c)
{
    rd_kafka_conf_t *conf = rdk_conf(
        a, NULL, NULL, args_get(a, "command-config", args_get(a, "consumer.config", NULL)));
    const char *reset = args_get(a, "reset-policy", "earliest");
    set_group(conf, a);
    rdk_set(conf, "auto.offset.reset", strcmp(reset, "none") == 0 ? "error" : reset);
    rdk_set(conf, "enable.auto.commit", c->commits ? "false" : "true");
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    return conf;
}

static void check(const struct args *a)
{
    args_require(a, "bootstrap-server");
    args_require(a, "topic");
    args_require(a, "group-id");
    args_int(a, "session-timeout", 45000, 1, INT32_MAX);
    if (args_has(a, "consumer.config") && args_has(a, "command-config")) {
        args_fail(a, "Options --consumer.config and --command-config are mutually exclusive.");
    }
    if (args_has(a, "consumer.config")) {
        printf("Option --consumer.config has been deprecated and will be removed in a future "
               "version. Use --command-config instead.\n");
    }
}

int tool_verifiable_consumer(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    struct consumer c = {.verbose = args_has(&a, "verbose"),
                         .commits = !args_has(&a, "enable-autocommit"),
                         .left = args_int(&a, "max-messages", -1, -1, INT64_MAX)};
    rd_kafka_conf_t *conf = configure(&a, &c);
    rdk_catch_signals();
    c.rk = rdk_new(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(c.rk);
    event_say("startup_complete");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, args_get(&a, "topic", ""), RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(c.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err) {
        fprintf(stderr, "Cannot read %s: %s\n", args_get(&a, "topic", ""), rd_kafka_err2str(err));
        c.failed = true;
    }
    run(&c);
    bool asked = rdk_stopped(); /* else Kafka's tool says it behind the end */
    if (asked) {
        event_say("shutdown_requested");
    }
    rd_kafka_consumer_close(c.rk);
    event_say("shutdown_complete");
    if (!asked) {
        event_say("shutdown_requested");
    }
    rd_kafka_destroy(c.rk);
    mem_free(c.parts);
    buf_free(&c.line);
    args_free(&a);
    return c.failed ? 1 : 0;
}
