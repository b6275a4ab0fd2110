/* The configuration of a node as the command line gives it: a server.properties or none, overrides
 * on top, and what the machine is. Shared by the tools that need a node's own settings. */
#ifndef TOOLS_SERVER_CONFIG_H
#define TOOLS_SERVER_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/logger.h"

struct config;

struct server_options {
    const char *file; /* NULL: the node without a file, by data and port */
    const char *data;
    uint16_t port;
    const char *const *overrides; /* KEY=VALUE */
    size_t overrides_n;
    /* Of a node in a container: NAME=VALUE, over the file, which there need not be (env_config.h).
     */
    char *const *environment;
};

/* NULL: em says why. Warnings about settings go to lg (may be NULL). */
struct config *server_config_load(const struct server_options *o, const struct logger *lg,
                                  struct errmsg *em);

#endif
