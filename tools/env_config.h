/* The settings of a node in a container, from the variables of its environment, as Apache Kafka's
 * own image takes them (KIP-975), so that a compose file or a chart that was written for that image
 * starts Millrace unchanged:
 *
 *   KAFKA_NUM_PARTITIONS       num.partitions         _ is a dot,
 *   KAFKA_A__B, KAFKA_A___B    a_b, a-b               two of them an underscore, three a dash
 *   KAFKA_HEAP_OPTS, ...       what only a JVM needs: noted, without effect
 *   KAFKA_LOG4J_ROOT_LOGLEVEL  log.level
 *
 * Variables win over a mounted file. `listeners` that nobody gave are those of
 * KAFKA_ADVERTISED_LISTENERS on every address; without a file and without a variable the node is a
 * single one, broker and controller. A variable that names no setting is left out with a warning
 * that says which one may have been meant: Kubernetes puts KAFKA_PORT and the like into every
 * container beside a service of the name kafka, so it must not stop the node. A value that a
 * setting does not allow stops it, with a sentence that names the variable. */
#ifndef TOOLS_ENV_CONFIG_H
#define TOOLS_ENV_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/logger.h"

struct config;

enum { ENV_NAME_MAX = 256 };
#define ENV_DATA_DIR "/var/lib/millrace/data" /* log.dirs, if nobody says otherwise */

/* The variable's value; NULL: it is not there, or empty. */
const char *env_get(char *const *env, const char *variable);
/* NUM_PARTITIONS, behind its KAFKA_, to num.partitions. False: too long. */
bool env_setting_of(const char *variable, char out[ENV_NAME_MAX]);
/* num.partitions to KAFKA_NUM_PARTITIONS. */
void env_variable_of(const char *setting, char out[ENV_NAME_MAX]);

/* Takes what env (NAME=VALUE, ends with NULL) says into c, which holds the mounted file already if
 * there is one (has_file). Warnings go to lg (may be NULL). */
void env_config_add(struct config *c, char *const *env, bool has_file, const struct logger *lg);
/* Adds to a sentence that names a setting, and no variable, which variable it is. */
void env_config_explain(struct errmsg *em);

#endif
