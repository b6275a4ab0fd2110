/* Runs a node in this process until SIGTERM or SIGINT, and stops it in order: what `server` and
 * `container` do once they have a configuration. */
#ifndef TOOLS_SERVE_H
#define TOOLS_SERVE_H

#include "base/logger.h"

struct config;

/* log.level of the configuration. */
enum log_level serve_log_level(const struct config *c);
/* Says on standard error, and to a service manager, why there is no node, or none any more; who is
 * what the line begins with ("millrace server"). */
void serve_complain(const char *who, const char *why);
/* Takes the configuration over. The result is the exit status: 0 after a stop in order. */
int serve_node(struct config *c, const struct logger *lg, const char *who);

#endif
