/* Base64 (RFC 4648): the standard alphabet with padding, and the URL-safe one without. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

void base64_put(struct buf *out, struct bytes in);    /* standard alphabet, padded */
void base64url_put(struct buf *out, struct bytes in); /* URL-safe alphabet, no padding */
/* Either alphabet, padding optional; appends to out. 0, or ERR_INVALID (out then holds a part). */
int base64_get(struct buf *out, struct bytes text);

#endif
