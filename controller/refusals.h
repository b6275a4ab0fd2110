/* What a broker and a controller answer alike. Mostly: answers that say one error for all that a
 * request is about: the controller's while it does not lead, a broker's when no controller answered
 * in time. As Kafka's classes make them. */
#ifndef CONTROLLER_REFUSALS_H
#define CONTROLLER_REFUSALS_H

#include "base/arena.h"

/* Kafka's bit set of all operations on the cluster, as it answers it without an authorizer. */
enum { CLUSTER_OPERATIONS = 8096 };

typedef void refusal(struct arena *a, int16_t version, const void *request, void *response,
                     int16_t code);

refusal refuse_elect_leaders, refuse_alter_partition_reassignments,
    refuse_list_partition_reassignments, refuse_update_features, refuse_unregister_broker;

#endif
