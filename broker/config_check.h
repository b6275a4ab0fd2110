/* The controller's questions about settings (controller/config_validator.h), answered from the
 * tables and the node's configuration. The same judgements serve the broker when it looks at its
 * own settings before it forwards a change. Kafka's rules and codes. */
#ifndef BROKER_CONFIG_CHECK_H
#define BROKER_CONFIG_CHECK_H

#include "broker/dynamic_config.h"
#include "controller/config_validator.h"

/* c must outlive the validator. */
void config_check_init(struct config_validator *v, const struct config *c);

#endif
