/* The sink and the clock of a real node's logger: one write per line to a descriptor (standard
 * error or output), so that lines of several threads do not mix.
 *
 * Where the descriptor is a stream of systemd's journal, each line begins with its level as the
 * journal wants it (man 3 sd-daemon) and does not keep: `journalctl -p warning` then shows warnings
 * and errors alone. */
#ifndef RUNTIME_LOG_SINK_H
#define RUNTIME_LOG_SINK_H

#include "base/logger.h"

void log_sink_init(struct logger *lg, enum log_level level, int fd);
/* What a line that is written to fd without a logger begins with: "" unless fd is the journal. */
const char *log_sink_prefix(int fd, enum log_level level);

#endif
