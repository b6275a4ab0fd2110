#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

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
               (n = utf8_sequence(p, end, &bad)) != 0) {
            p += n;
        }
        buf_put(out, plain, (size_t)(p - plain));
        if (p == end) {
            break;
        }
        if (n == 0) {
            buf_put_str(out, UTF8_REPLACEMENT);
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
