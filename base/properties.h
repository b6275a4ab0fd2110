/* Java's .properties text, the form of Kafka's configuration files: `key=value`, `key: value` or
 * `key value` lines, # and ! comments, a backslash at a line's end to go on with the next line,
 * \t \n \r \f \uXXXX and \X escapes. Bytes that are not ASCII are kept as they are (UTF-8), where
 * Java would take them for Latin-1.
 *
 * Failure modes: a \u escape that is not four hexadecimal digits or half of a surrogate pair. */
#ifndef BASE_PROPERTIES_H
#define BASE_PROPERTIES_H

#include "base/bytes.h"
#include "base/err.h"

/* Called for every pair in order; key and value are NUL-terminated and valid during the call, line
 * is the number of its first line. A non-zero return ends the reading and is returned. */
typedef int properties_cb(void *ctx, const char *key, const char *value, unsigned line);

int properties_parse(struct bytes text, properties_cb *each, void *ctx, struct errmsg *em);

#endif
