#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_tail(const uint8_t *p, const uint8_t *end)
{
    return p < end && (*p & 0xc0) == 0x80;
}

/* Length of the UTF-8 sequence at p if it is well-formed, else 0 and in *bad the number of bytes
 * that one replacement character stands for. */
static size_t sequence(const uint8_t *p, const uint8_t *end, size_t *bad)
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

static void put_escaped(struct buf *out, uint8_t b)
{
    static const char letters[] = "btnvfr"; /* 8 to 13; 11 has no letter in JSON */
    if (b == '"' || b == '\\') {
        buf_put_u8(out, '\\');
        buf_put_u8(out, b);
    } else if (b >= 8 && b <= 13 && b != 11) {
        buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)letters[b - 8]);
    } else {
        buf_printf(out, "\\u%04x", b);
    }
}

void json_put_string(struct buf *out, struct bytes s)
{
    if (bytes_is_null(s)) {
        buf_put_str(out, "null");
        return;
    }
    const uint8_t *p = s.data;
    const uint8_t *end = p + s.len;
    buf_put_u8(out, '"');
    while (p < end) {
        const uint8_t *plain = p; /* a stretch that needs no work */
        size_t n = 1;
        size_t bad = 0;
        while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' &&
               (n = sequence(p, end, &bad)) != 0) {
            p += n;
        }
        buf_put(out, plain, (size_t)(p - plain));
        if (p == end) {
            break;
        }
        if (n == 0) {
            buf_put_str(out, "\xef\xbf\xbd");
            p += bad;
        } else {
            put_escaped(out, *p++);
        }
    }
    buf_put_u8(out, '"');
}

void json_put_double(struct buf *out, double v)
{
    if (!isfinite(v)) {
        buf_put_str(out, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    buf_put_str(out, text);
    if (strpbrk(text, ".e") == NULL) {
        buf_put_str(out, ".0");
    }
}
