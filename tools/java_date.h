/* Times as Java's SimpleDateFormat writes them, in the local time zone and English: the letters y M
 * d D H k K h m s S a E z Z X, text between apostrophes, and everything that is no letter. */
#ifndef TOOLS_JAVA_DATE_H
#define TOOLS_JAVA_DATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* 0, or ERR_INVALID with a sentence for a pattern that has other letters or an open apostrophe. */
int java_date_check(const char *pattern, struct errmsg *em);
/* Appends the time, milliseconds since 1970, by a pattern that was checked. */
void java_date_put(struct buf *out, const char *pattern, int64_t ms);

#endif
