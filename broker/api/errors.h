/* The one mapping from operating errors (base/err.h) to Kafka's wire codes. */
#ifndef BROKER_API_ERRORS_H
#define BROKER_API_ERRORS_H

#include <stdint.h>

#include "proto_errors.h"

/* err: 0 or ERR_x. */
int16_t wire_error(int err);

#endif
