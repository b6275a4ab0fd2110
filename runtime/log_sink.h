/* The sink and the clock of a real node's logger: one write per line to a descriptor (standard
 * error or output), so that lines of several threads do not mix. */
#ifndef RUNTIME_LOG_SINK_H
#define RUNTIME_LOG_SINK_H

#include "base/logger.h"

void log_sink_init(struct logger *lg, enum log_level level, int fd);

#endif
