#include "base/base64.h"

#include "base/err.h"

static const char std_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put(struct buf *out, struct bytes in, const char *abc, bool pad)
{
    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        uint32_t v = (uint32_t)in.data[i] << 16 | (left > 1 ? (uint32_t)in.data[i + 1] << 8 : 0) |
                     (left > 2 ? in.data[i + 2] : 0);
        char c[4] = {abc[v >> 18], abc[v >> 12 & 63], abc[v >> 6 & 63], abc[v & 63]};
        size_t n = left > 2 ? 4 : left + 1;
        buf_put(out, c, n);
        if (pad && n < 4) {
            buf_put(out, "==", 4 - n);
        }
    }
}

void base64_put(struct buf *out, struct bytes in)
{
    put(out, in, std_alphabet, true);
}

void base64url_put(struct buf *out, struct bytes in)
{
    put(out, in, url_alphabet, false);
}

static int value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int base64_get(struct buf *out, struct bytes text)
{
    size_t n = text.len;
    while (n && text.data[n - 1] == '=') {
        n--;
    }
    if (n % 4 == 1 || text.len - n > 2) {
        return ERR_INVALID;
    }
    uint32_t acc = 0;
    int bits = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value(text.data[i]);
        if (v < 0) {
            return ERR_INVALID;
        }
        acc = acc << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_put_u8(out, (uint8_t)(acc >> bits));
        }
    }
    return 0;
}
