#include "tools/rdk_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tools/rdk.h"

enum {
    INTERVAL_MS = 500, /* between statistics */
    TELLS_MAX = 3,     /* to wait for at the end */
};

struct rdk_metric {
    char *name;
    double value; /* a total, a maximum, or the sum behind an average */
    double of;    /* how many are in the sum; 0: it is none */
};

void rdk_metrics_ask(struct rdk_metrics *m, rd_kafka_conf_t *conf, const char *kind)
{
    char ms[16];
    m->kind = kind;
    snprintf(ms, sizeof ms, "%d", INTERVAL_MS);
    rdk_set(conf, "statistics.interval.ms", ms);
}

static struct rdk_metric *metric(struct rdk_metrics *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->list[i].name, name) == 0) {
            return &m->list[i];
        }
    }
    if (m->n == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 64;
        m->list = mem_realloc(m->list, m->cap * sizeof *m->list);
    }
    m->list[m->n] = (struct rdk_metric){.name = mem_strdup(name)};
    return &m->list[m->n++];
}

/* Where numbers go: "GROUP-metrics:NAME:{TAGS}". */
struct place {
    struct rdk_metrics *m;
    const char *group, *tags;
};

static struct rdk_metric *at(const struct place *p, const char *name)
{
    char text[512];
    snprintf(text, sizeof text, "%s-metrics:%s:{%s}", p->group, name, p->tags);
    return metric(p->m, text);
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void total(const struct place *p, const char *name, double value)
{
    at(p, name)->value = value;
}

/* An average and a maximum from one of librdkafka's windows, in `unit`s. */
static void window(const struct place *p, const char *what, const json_t *w, double unit)
{
    char name[64];
    snprintf(name, sizeof name, "%s-avg", what);
    struct rdk_metric *avg = at(p, name);
    avg->value += number(w, "sum") / unit;
    avg->of += number(w, "cnt");
    snprintf(name, sizeof name, "%s-max", what);
    struct rdk_metric *max = at(p, name);
    double v = number(w, "max") / unit;
    max->value = v > max->value ? v : max->value;
}

static void take_broker(struct rdk_metrics *m, const char *client, const json_t *b)
{
    char tags[300], group[32];
    bool producer = strcmp(m->kind, "producer") == 0;
    snprintf(group, sizeof group, "%s-node", m->kind);
    snprintf(tags, sizeof tags, "%s, node-id=node-%d", client, (int)number(b, "nodeid"));
    const struct place all = {m, m->kind, client}, node = {m, group, tags};
    window(&all, "request-latency", json_object_get(b, "rtt"), 1000);
    if (producer) {
        window(&all, "record-queue-time", json_object_get(b, "int_latency"), 1000);
        window(&all, "produce-throttle-time", json_object_get(b, "throttle"), 1);
    }
    const char *source = json_string_value(json_object_get(b, "source"));
    if (source && strcmp(source, "learned") == 0) { /* else a name for one of those */
        total(&node, "request-total", number(b, "tx"));
        total(&node, "response-total", number(b, "rx"));
        total(&node, "outgoing-byte-total", number(b, "txbytes"));
        total(&node, "incoming-byte-total", number(b, "rxbytes"));
        window(&node, "request-latency", json_object_get(b, "rtt"), 1000);
    }
}

static void take_topic(struct rdk_metrics *m, const char *client, const char *name,
                       const json_t *topic)
{
    char tags[600], group[64];
    bool producer = strcmp(m->kind, "producer") == 0;
    snprintf(tags, sizeof tags, "%s, topic=%s", client, name);
    snprintf(group, sizeof group, "%s", producer ? "producer-topic" : "consumer-fetch-manager");
    const struct place all = {m, m->kind, client}, of_topic = {m, group, tags};
    double records = 0, bytes = 0;
    const char *key;
    json_t *part;
    json_object_foreach(json_object_get(topic, "partitions"), key, part)
    {
        records += number(part, producer ? "txmsgs" : "rxmsgs");
        bytes += number(part, producer ? "txbytes" : "rxbytes");
    }
    total(&of_topic, producer ? "record-send-total" : "records-consumed-total", records);
    total(&of_topic, producer ? "byte-total" : "bytes-consumed-total", bytes);
    if (producer) {
        window(&all, "batch-size", json_object_get(topic, "batchsize"), 1);
        window(&all, "records-per-batch", json_object_get(topic, "batchcnt"), 1);
    }
}

void rdk_metrics_take(struct rdk_metrics *m, const char *json, size_t n)
{
    json_t *stats = m->kind ? json_loadb(json, n, 0, NULL) : NULL;
    if (stats == NULL) {
        return;
    }
    char client[256];
    snprintf(client, sizeof client, "client-id=%s",
             json_string_value(json_object_get(stats, "client_id")));
    const struct place all = {m, m->kind, client};
    double connections = 0;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(stats, "brokers"), key, value)
    {
        const char *state = json_string_value(json_object_get(value, "state"));
        connections += state && strcmp(state, "UP") == 0;
        take_broker(m, client, value);
    }
    json_object_foreach(json_object_get(stats, "topics"), key, value)
    {
        take_topic(m, client, key, value);
    }
    total(&all, "connection-count", connections);
    total(&all, "request-total", number(stats, "tx"));
    total(&all, "response-total", number(stats, "rx"));
    total(&all, "outgoing-byte-total", number(stats, "tx_bytes"));
    total(&all, "incoming-byte-total", number(stats, "rx_bytes"));
    if (strcmp(m->kind, "producer") == 0) {
        total(&all, "record-send-total", number(stats, "txmsgs"));
    } else {
        const struct place group = {m, "consumer-coordinator", client};
        const json_t *g = json_object_get(stats, "cgrp");
        total(&group, "assigned-partitions", number(g, "assignment_size"));
        total(&group, "rebalance-total", number(g, "rebalance_cnt"));
    }
    m->told++;
    json_decref(stats);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct rdk_metric *)a)->name, ((const struct rdk_metric *)b)->name);
}

void rdk_metrics_wait(struct rdk_metrics *m, void (*serve)(void *ctx), void *ctx)
{
    size_t told = m->told;
    for (int i = 0; i < TELLS_MAX * INTERVAL_MS && m->told == told; i++) {
        serve(ctx);
    }
}

void rdk_metrics_print(struct rdk_metrics *m)
{
    int width = 0;
    for (size_t i = 0; i < m->n; i++) {
        int n = (int)strlen(m->list[i].name);
        width = n > width ? n : width;
    }
    if (m->n) {
        qsort(m->list, m->n, sizeof *m->list, by_name);
        printf("\n%-*s   %s\n", width, "Metric Name", "Value");
    }
    for (size_t i = 0; i < m->n; i++) {
        const struct rdk_metric *v = &m->list[i];
        printf("%-*s : %.3f\n", width, v->name, v->of > 0 ? v->value / v->of : v->value);
    }
}

void rdk_metrics_free(struct rdk_metrics *m)
{
    for (size_t i = 0; i < m->n; i++) {
        mem_free(m->list[i].name);
    }
    mem_free(m->list);
}
