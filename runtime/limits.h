/* Limits of the process that a node raises at start. */
#ifndef RUNTIME_LIMITS_H
#define RUNTIME_LIMITS_H

#include <stdint.h>

/* Raises the soft limit of open files to the hard one; the limit that holds afterwards. */
uint64_t limits_raise_nofile(void);

#endif
