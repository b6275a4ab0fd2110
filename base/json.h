/* Writing JSON text: strings. Reading it is jansson's business, in tools/. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

/* Appends s as a JSON string in quotes. s should be UTF-8; what is not becomes U+FFFD, as many of
 * them as Java's decoder makes, so that our texts and Kafka's agree. A null s is `null`. */
void json_put_string(struct buf *out, struct bytes s);
/* The shortest text that reads back as v; not-a-number and infinities, which JSON lacks, as the
 * strings "NaN", "Infinity", "-Infinity". */
void json_put_double(struct buf *out, double v);

#endif
