#include "tools/rdk.h"

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

/* Java's name, librdkafka's (NULL: nothing to set). */
static const char *const renamed[][2] = {
    {"key.serializer", NULL},
    {"value.serializer", NULL},
    {"key.deserializer", NULL},
    {"value.deserializer", NULL},
    {"buffer.memory", NULL},
    {"max.block.ms", NULL},
    {"max.poll.records", NULL},
    {"send.buffer.bytes", "socket.send.buffer.bytes"},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes"},
    {"max.request.size", "message.max.bytes"},
    {"delivery.timeout.ms", "message.timeout.ms"},
    {"fetch.max.wait.ms", "fetch.wait.max.ms"},
};

void rdk_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char err[512];
    for (size_t i = 0; i < ARRAY_LEN(renamed); i++) {
        if (strcmp(renamed[i][0], name) == 0) {
            name = renamed[i][1];
            break;
        }
    }
    if (name && strcmp(name, "acks") == 0 && strcmp(value, "all") != 0 &&
        strcmp(value, "-1") != 0 && strcmp(value, "0") != 0 &&
        strcmp(value, "1") != 0) { /* librdkafka takes any number */
        fprintf(stderr, "Client setting acks=%s: it is one of all, -1, 0, 1\n", value);
        exit(1);
    }
    if (name && rd_kafka_conf_set(conf, name, value, err, sizeof err) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "Client setting %s=%s: %s\n", name, value, err);
        exit(1);
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
