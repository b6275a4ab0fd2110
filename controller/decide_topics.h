/* What the decisions about topics share (decide_partitions.c): new partitions and the records of
 * topics. */
#ifndef CONTROLLER_DECIDE_TOPICS_H
#define CONTROLLER_DECIDE_TOPICS_H

#include "controller/decide.h"
#include "proto_messages.h"

struct new_partition {
    const int32_t *replicas;
    int32_t replicas_n;
};

/* Replicas given by hand: registered brokers, each once. em gets the reason. */
bool decide_check_ids(const struct decision *d, const int32_t *ids, int32_t n, struct errmsg *em);
/* The same for a new partition: at least one active, too; as many as wanted
 * (-1: any number). em gets the reason. */
bool decide_check_replicas(const struct decision *d, const int32_t *ids, int32_t n, int32_t wanted,
                           struct errmsg *em);
/* n partitions placed by placement.h. */
bool decide_place(struct decision *d, int32_t n, int32_t replicas, struct new_partition **out,
                  struct errmsg *em);
void decide_add_partition(struct decision *d, struct uuid topic, int32_t index,
                          const struct new_partition *p);
/* value null: the setting is removed. */
void decide_add_config(struct decision *d, int8_t type, struct bytes resource, struct bytes name,
                       struct bytes value);
void decide_add_clear_elr(struct decision *d, struct bytes topic);
/* The least ISR of the topic changes (empty: the cluster's, of all topics): no ELR counts any more,
 * as in Kafka; but those of partitions without a leader stay (ours: in Kafka nobody may lead them
 * from then on, and only an unclean election helps). Of the first ELR_KEPT_MAX, for a whole
 * cluster. */
void decide_clear_elr(struct decision *d, struct bytes topic);

#endif
