/* What `millrace container` and `millrace health` share: the configuration of the node in this
 * container. */
#ifndef TOOLS_CONTAINER_H
#define TOOLS_CONTAINER_H

#include "base/err.h"
#include "base/logger.h"

struct config;

/* Where Kafka's image looks for a mounted file. */
#define CONTAINER_FILE "/mnt/shared/config/server.properties"

/* By file (NULL: CONTAINER_FILE, if it is there) and the environment. NULL: em says why. */
struct config *container_config(const char *file, const struct logger *lg, struct errmsg *em);

#endif
