/* The metadata image as a client of one listener sees it: which brokers it can reach, and under
 * which address; which replicas are offline. Shared by Metadata, DescribeCluster and
 * DescribeTopicPartitions. */
#ifndef BROKER_API_METADATA_VIEW_H
#define BROKER_API_METADATA_VIEW_H

#include "broker/request.h"
#include "controller/image.h"

/* Kafka's bit set of all operations on a topic, as it answers it without an authorizer. */
enum { TOPIC_OPERATIONS = 3576 };

/* The broker's address on the request's listener; NULL: not registered, or it has no such
 * listener. Fenced brokers have one. */
const struct image_endpoint *metadata_view_endpoint(const struct request *r, int32_t broker);
/* The replicas that cannot serve, in the arena. */
int32_t *metadata_view_offline(const struct request *r, const struct image_partition *p,
                               int32_t *n);
/* Broker ids of the image as a field of an answer: they live as long as the request's image. */
int32_t *metadata_view_ids(const int32_t *ids);
/* Any living broker, for clients that look for the controller: brokers forward what is its. -1:
 * none. */
int32_t metadata_view_controller(const struct request *r);

#endif
