#include "base/uuid.h"

#include "base/base64.h"
#include "base/err.h"

const char *uuid_text(struct uuid u, char out[UUID_TEXT])
{
    struct buf b = {0};
    base64url_put(&b, bytes_of(u.b, 16));
    memcpy(out, buf_cstr(&b), UUID_TEXT);
    buf_free(&b);
    return out;
}

int uuid_parse(const char *s, size_t n, struct uuid *out)
{
    struct buf b = {0};
    int rv = n == UUID_TEXT - 1 ? base64_get(&b, bytes_of(s, n)) : ERR_INVALID;
    if (rv == 0 && b.len != 16) {
        rv = ERR_INVALID;
    }
    if (rv == 0) {
        memcpy(out->b, b.data, 16);
    }
    buf_free(&b);
    return rv;
}

bool uuid_from_random(const uint8_t random[16], struct uuid *out)
{
    memcpy(out->b, random, 16);
    out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40);
    out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
    return (out->b[0] >> 2) != 62; /* 62 is '-' */
}
