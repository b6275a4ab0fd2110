/* The times that consumer-groups --reset-offsets takes, in ms. */
#ifndef TOOLS_RESET_TIME_H
#define TOOLS_RESET_TIME_H

#include <stdint.h>

#include "base/err.h"

/* yyyy-MM-ddTHH:mm:ss.SSS with an offset behind it (Z, +02, +02:00) or none, which means UTC; since
 * 1970. ERR_INVALID with a sentence. */
int parse_datetime(const char *text, int64_t *ms, struct errmsg *em);
/* PnDTnHnMn.nS of ISO 8601, parts may be left out, a sign may stand before the P and each number.
 */
int parse_duration(const char *text, int64_t *ms, struct errmsg *em);

#endif
