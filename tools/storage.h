/* What the commands of `millrace storage` share (tool_storage.c). */
#ifndef TOOLS_STORAGE_H
#define TOOLS_STORAGE_H

#include "broker/config.h"
#include "runtime/io.h"
#include "tools/args.h"

/* The server.properties that --config names; ends the tool if it is not good. */
struct config *storage_load_config(const struct args *a);
struct io *storage_open_io(void);
/* log.dirs, and metadata.log.dir if it is none of them, sorted as Kafka's tool shows them; how
 * many. */
enum { STORAGE_DIRS_MAX = CONFIG_LOG_DIRS_MAX + 1 };
size_t storage_dirs(const struct config *c, const char **dirs);

int tool_storage_admit(int argc, char **argv); /* tool_admit.c */

#endif
