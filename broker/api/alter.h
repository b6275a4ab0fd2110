/* What AlterConfigs and IncrementalAlterConfigs have in common: the broker judges what is its own
 * (settings of brokers, its log's level) and every resource's form; the rest goes to the active
 * controller, and the answer puts both together in the order of the request. */
#ifndef BROKER_API_ALTER_H
#define BROKER_API_ALTER_H

#include "broker/request.h"

/* AlterConfigOp; the old API only sets. */
enum { ALTER_SET = 0, ALTER_DELETE = 1, ALTER_APPEND = 2, ALTER_SUBTRACT = 3 };

struct alter_entry {
    struct bytes name;
    struct bytes value;
    int8_t op;
};

struct alter_resource {
    int8_t type;
    struct bytes name;
    struct alter_entry *entries;
    int32_t n;
    bool handled; /* code and message are the answer; the controller does not see it */
    int16_t code;
    struct bytes message; /* null: none */
};

struct alter {
    struct request *r;
    struct alter_resource *v;
    int32_t n;
    bool incremental;
    bool validate_only;
};

struct alter *alter_new(struct request *r, int32_t resources);
struct alter_entry *alter_entries(struct alter *a, struct alter_resource *res, int32_t n);
/* Judges, and changes the log's level. Returns how many resources are left for the controller. */
int32_t alter_prepare(struct alter *a);
/* The controller's answer for one resource. */
void alter_answered(struct alter *a, int8_t type, struct bytes name, int16_t code,
                    struct bytes message);
/* What the controller did not answer gets this code. */
void alter_rest(struct alter *a, int16_t code);

#endif
