#include "tools/rdk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/properties.h"
#include "tools/text.h"

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    UNUSED(sig);
    stopped = 1;
}

void rdk_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

int rdk_stopped(void)
{
    return stopped;
}

/* Java's name, librdkafka's (NULL: nothing to set), and how many of Java's unit are one of
 * librdkafka's (0: the value is the same). */
static const struct rename {
    const char *java, *rdk;
    int64_t unit;
} renamed[] = {
    {"key.serializer", NULL, 0},
    {"value.serializer", NULL, 0},
    {"key.deserializer", NULL, 0},
    {"value.deserializer", NULL, 0},
    {"max.block.ms", NULL, 0},
    {"max.poll.records", NULL, 0},
    {"enable.metrics.push", NULL, 0},
    {"metadata.max.idle.ms", NULL, 0},
    {"buffer.memory", "queue.buffering.max.kbytes", 1024},
    {"compression.gzip.level", "compression.level", 0},
    {"compression.lz4.level", "compression.level", 0},
    {"compression.zstd.level", "compression.level", 0},
    {"send.buffer.bytes", "socket.send.buffer.bytes", 0},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes", 0},
    {"max.request.size", "message.max.bytes", 0},
    {"delivery.timeout.ms", "message.timeout.ms", 0},
    {"fetch.max.wait.ms", "fetch.wait.max.ms", 0},
};

static _Noreturn void refuse(const char *name, const char *value, const char *why)
{
    fprintf(stderr, "Client setting %s=%s: %s\n", name, value, why);
    exit(1);
}

/* A value of Java's in librdkafka's unit; at least 1. */
static void convert(const struct rename *r, const char *value, char *out, size_t n)
{
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (errno || end == value || *end || v < 1) {
        refuse(r->java, value, "it takes a whole number above 0");
    }
    v = v / r->unit > 0 ? v / r->unit : 1;
    snprintf(out, n, "%lld", v < INT32_MAX ? v : INT32_MAX);
}

void rdk_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char err[512], converted[32];
    const char *as = name, *to = value;
    for (size_t i = 0; i < ARRAY_LEN(renamed); i++) {
        if (strcmp(renamed[i].java, name) == 0) {
            as = renamed[i].rdk;
            if (renamed[i].unit) {
                convert(&renamed[i], value, converted, sizeof converted);
                to = converted;
            }
            break;
        }
    }
    if (strcmp(name, "acks") == 0 && strcmp(value, "all") != 0 && strcmp(value, "-1") != 0 &&
        strcmp(value, "0") != 0 && strcmp(value, "1") != 0) { /* librdkafka takes any number */
        refuse(name, value, "it is one of all, -1, 0, 1");
    }
    if (as && rd_kafka_conf_set(conf, as, to, err, sizeof err) != RD_KAFKA_CONF_OK) {
        refuse(name, value, err);
    }
}

static int set_line(void *ctx, const char *key, const char *value, unsigned line)
{
    UNUSED(line);
    rdk_set(ctx, key, value);
    return 0;
}

static void set_file(rd_kafka_conf_t *conf, const char *path)
{
    struct buf text = {0};
    struct errmsg em;
    if (tool_read_file(path, &text, &em) ||
        properties_parse(buf_bytes(&text), set_line, conf, &em)) {
        fprintf(stderr, "%s\n", em.text);
        exit(1);
    }
    buf_free(&text);
}

static void set_pairs(rd_kafka_conf_t *conf, const struct args *a, const char *const *pairs)
{
    for (; pairs && *pairs; pairs++) {
        char name[256];
        const char *eq = strchr(*pairs, '=');
        if (eq == NULL || (size_t)(eq - *pairs) >= sizeof name) {
            args_fail(a, "'%s' is not of the form key=value", *pairs);
        }
        snprintf(name, sizeof name, "%.*s", (int)(eq - *pairs), *pairs);
        rdk_set(conf, name, eq + 1);
    }
}

/* What librdkafka has to say, without the names of its threads, of which any may call this. */
static void tell(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    UNUSED(rk);
    UNUSED(facility);
    const char *end = strncmp(text, "[thrd:", 6) == 0 ? strstr(text, "]: ") : NULL;
    fprintf(stderr, "%s %s\n", level <= LOG_ERR ? "ERROR" : "WARN", end ? end + 3 : text);
}

/* Without one, every error is a second line; with one, only what tell got. */
static void said_already(rd_kafka_t *rk, int code, const char *reason, void *ctx)
{
    UNUSED(rk);
    UNUSED(code);
    UNUSED(reason);
    UNUSED(ctx);
}

rd_kafka_conf_t *rdk_conf(const struct args *a, const char *const *defaults,
                          const char *const *properties, const char *file)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rdk_set(conf, "bootstrap.servers", args_get(a, "bootstrap-server", ""));
    rdk_set(conf, "log_level", "4");
    rdk_set(conf, "socket.nagle.disable", "true"); /* as Java's clients */
    rd_kafka_conf_set_log_cb(conf, tell);
    rd_kafka_conf_set_error_cb(conf, said_already);
    set_pairs(conf, a, defaults);
    if (file) {
        set_file(conf, file);
    }
    set_pairs(conf, a, properties);
    return conf;
}

char **rdk_pairs(const struct args *a, const char *kind, const char *warning, rdk_pair_fn *set,
                 void *ctx)
{
    struct errmsg em;
    char **from_file = NULL;
    char property[32];
    char config[32];
    snprintf(property, sizeof property, "%s-property", kind);
    snprintf(config, sizeof config, "%s-config", kind);
    if (args_has(a, "property")) {
        printf("%s --property is deprecated and will be removed in a future version. Use --%s "
               "instead.\n",
               warning, property);
    }
    if (args_has(a, config) && pairs_read(args_get(a, config, ""), &from_file, &em)) {
        args_fail(a, "%s", em.text);
    }
    for (size_t i = 0; from_file && from_file[i]; i++) {
        set(a, ctx, from_file[i]);
    }
    for (const char *const *p = args_list(a, args_has(a, property) ? property : "property"); *p;
         p++) {
        set(a, ctx, *p);
    }
    return from_file;
}

rd_kafka_t *rdk_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char err[512];
    rd_kafka_t *rk = rd_kafka_new(type, conf, err, sizeof err);
    if (rk == NULL) {
        fprintf(stderr, "%s\n", err);
        exit(1);
    }
    return rk;
}

bool rdk_setting(const rd_kafka_conf_t *conf, const char *name, char *out, size_t n)
{
    out[0] = '\0';
    return rd_kafka_conf_get(conf, name, out, &n) == RD_KAFKA_CONF_OK && *out;
}

rd_kafka_resp_err_t rdk_subscribe(rd_kafka_t *rk, const char *topic, const char *include)
{
    char pattern[512];
    snprintf(pattern, sizeof pattern, "^(%s)$", include ? include : "");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic ? topic : pattern, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}

void rdk_hide_internal_topics(rd_kafka_conf_t *conf)
{
    rdk_set(conf, "topic.blacklist",
            "^__consumer_offsets$,^__transaction_state$,^__share_group_state$");
}

bool rdk_take_assignment(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list)
{
    bool takes = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    rd_kafka_error_t *e = NULL;
    err = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0) {
        e = takes ? rd_kafka_incremental_assign(rk, list) : rd_kafka_incremental_unassign(rk, list);
    } else {
        err = rd_kafka_assign(rk, takes ? list : NULL);
    }
    bool ok = e == NULL && err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!ok) {
        fprintf(stderr, "The assignment is not taken: %s\n",
                e ? rd_kafka_error_string(e) : rd_kafka_err2str(err));
    }
    if (e) {
        rd_kafka_error_destroy(e);
    }
    return ok;
}
