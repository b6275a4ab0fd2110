/* What the console, verifiable and perf tools share over librdkafka: making a handle from
 * --bootstrap-server, --command-config and --command-property, with the Java names that people
 * write mapped to librdkafka's where they differ, and its log lines kept to warnings on stderr.
 * Failure: a sentence on stderr and exit 1. */
#ifndef TOOLS_RDK_H
#define TOOLS_RDK_H

#include <librdkafka/rdkafka.h>

#include "tools/args.h"

/* Sets one property; exits with a sentence when librdkafka refuses it. Java's names that have no
 * counterpart (serializers, telemetry) are accepted and do nothing. */
void rdk_set(rd_kafka_conf_t *conf, const char *name, const char *value);
/* The configuration of a tool: servers, defaults ("key=value", NULL at the end; none: NULL), the
 * file of --command-config, then each --command-property. */
rd_kafka_conf_t *rdk_conf(const struct args *a, const char *const *defaults,
                          const char *const *properties, const char *file);
/* What --KIND-config (a file) and then --KIND-property, or the deprecated --property, say of the
 * "reader" or "formatter": set gets each "key=value". warning begins the sentence about --property,
 * which is on standard output, as Kafka's tools say it. What is returned must outlive what set
 * keeps; pairs_free takes it back. */
typedef void rdk_pair_fn(const struct args *a, void *ctx, const char *pair);
char **rdk_pairs(const struct args *a, const char *kind, const char *warning, rdk_pair_fn *set,
                 void *ctx);
/* Value of a setting in out (cut to n); false: it has none. */
bool rdk_setting(const rd_kafka_conf_t *conf, const char *name, char *out, size_t n);
rd_kafka_t *rdk_new(rd_kafka_type_t type, rd_kafka_conf_t *conf);
/* Becomes a member of the configured group: for a topic, or (topic NULL) for all whose whole name
 * matches the regular expression `include`. Topics of the brokers themselves are not meant by a
 * pattern: before the handle is made, rdk_hide_internal_topics says so. */
rd_kafka_resp_err_t rdk_subscribe(rd_kafka_t *rk, const char *topic, const char *include);
void rdk_hide_internal_topics(rd_kafka_conf_t *conf);
/* In a rebalance callback: takes or gives back the partitions, by either protocol. False with a
 * sentence on stderr: it did not work. */
bool rdk_take_assignment(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list);
/* Asks SIGINT and SIGTERM to set the flag that rdk_stopped reads, so that a tool ends in good
 * order. */
void rdk_catch_signals(void);
int rdk_stopped(void);

#endif
