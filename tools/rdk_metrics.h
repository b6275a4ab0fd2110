/* --print-metrics: what librdkafka counted, under the names that Kafka's clients give the same
 * things, in the table that Kafka's tools print. librdkafka tells its statistics from time to time;
 * averages and maxima are kept over all of them, so that they are of the whole run. Names that
 * librdkafka has no number for are left out. */
#ifndef TOOLS_RDK_METRICS_H
#define TOOLS_RDK_METRICS_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

struct rdk_metric;

struct rdk_metrics {
    const char *kind; /* "producer" or "consumer"; NULL: not asked for */
    struct rdk_metric *list;
    size_t n, cap;
    size_t told; /* how often librdkafka told */
};

/* Before the handle is made. The handle's opaque stays the tool's own: its callback for statistics
 * is rdk_metrics_take with the tool's struct rdk_metrics. */
void rdk_metrics_ask(struct rdk_metrics *m, rd_kafka_conf_t *conf, const char *kind);
void rdk_metrics_take(struct rdk_metrics *m, const char *json, size_t n);
/* Waits for statistics of what has happened until now; serve polls the handle for about a
 * millisecond. */
void rdk_metrics_wait(struct rdk_metrics *m, void (*serve)(void *ctx), void *ctx);
void rdk_metrics_print(struct rdk_metrics *m);
void rdk_metrics_free(struct rdk_metrics *m);

#endif
