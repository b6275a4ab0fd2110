/* Runs a node in this process until SIGTERM or SIGINT, and stops it in order: what `server` and
 * `container` do once they have a configuration. */
#ifndef TOOLS_SERVE_H
#define TOOLS_SERVE_H

#include "base/logger.h"

struct config;

/* log.level of the configuration. */
enum log_level serve_log_level(const struct config *c);
/* Takes the configuration over. The result is the exit status: 0 after a stop in order. Messages on
 * standard error begin with who ("millrace server"). */
int serve_node(struct config *c, const struct logger *lg, const char *who);

#endif
