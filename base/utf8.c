#include "base/utf8.h"

static bool is_tail(const uint8_t *p, const uint8_t *end)
{
    return p < end && (*p & 0xc0) == 0x80;
}

size_t utf8_sequence(const uint8_t *p, const uint8_t *end, size_t *bad)
{
    uint8_t b = p[0];
    *bad = 1;
    if (b < 0x80) {
        return 1;
    }
    if (b < 0xc2 || b > 0xf4 || !is_tail(p + 1, end)) {
        return 0;
    }
    if (b < 0xe0) {
        return 2;
    }
    bool overlong = (b == 0xe0 && p[1] < 0xa0) || (b == 0xf0 && p[1] < 0x90);
    if (overlong || (b == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    if (!is_tail(p + 2, end)) {
        *bad = 2;
        return 0;
    }
    if (b < 0xf0) {
        *bad = 3; /* half of a surrogate pair */
        return b == 0xed && p[1] >= 0xa0 ? 0 : 3;
    }
    *bad = 3;
    return is_tail(p + 3, end) ? 4 : 0;
}

void utf8_put(struct buf *out, struct bytes s)
{
    const uint8_t *p = s.data;
    const uint8_t *end = s.len ? p + s.len : p;
    while (p < end) {
        const uint8_t *good = p;
        size_t n = 1;
        size_t bad = 0;
        while (p < end && (n = utf8_sequence(p, end, &bad)) != 0) {
            p += n;
        }
        buf_put(out, good, (size_t)(p - good));
        if (n == 0) {
            buf_put_str(out, UTF8_REPLACEMENT);
            p += bad;
        }
    }
}
