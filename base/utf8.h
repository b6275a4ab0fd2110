/* UTF-8 that may be broken. What is not well-formed is replaced by U+FFFD, as many of them as
 * Java's decoder makes, so that our texts and Kafka's agree. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"

/* Length of the sequence at p (p < end) if it is well-formed; else 0, and in *bad the number of
 * bytes that one replacement character stands for. */
size_t utf8_sequence(const uint8_t *p, const uint8_t *end, size_t *bad);
/* Appends s, mended. */
void utf8_put(struct buf *out, struct bytes s);

#define UTF8_REPLACEMENT "\xef\xbf\xbd"

#endif
