/* The answer of DescribeConfigs: settings of topics, of this broker, of all brokers, of groups, of
 * client metrics subscriptions and of the log, each with its value, where it comes from, and (if
 * asked) what stands behind it and a sentence about it. The rules, also the odd ones, are Kafka's;
 * entries are sorted by name. Settings of ours and Kafka's internal ones are only shown when set.
 *
 * Pure: a function of the configuration and the image. */
#ifndef BROKER_CONFIG_DESCRIBE_H
#define BROKER_CONFIG_DESCRIBE_H

#include "base/logger.h"
#include "broker/dynamic_config.h"

struct describe_configs_request;
struct describe_configs_response;

/* Fills resp; its texts are in the arena, in the request or static. */
void config_describe(const struct config *c, const struct image *img, const struct logger *lg,
                     const struct describe_configs_request *req, struct arena *a,
                     struct describe_configs_response *resp);

/* A node id as text, with zeros in front too; -1 if it is none. */
int64_t config_node_id(struct bytes text);

/* The name of a level as Kafka's logging has it ("WARN"), and back: -1 for no level. */
const char *config_level_name(int level);
int config_level_parse(struct bytes name);

#endif
