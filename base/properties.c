#include "base/properties.h"

#include "base/buf.h"

struct reader {
    const uint8_t *p;
    const uint8_t *end;
    unsigned line;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_eol(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* Over one line end: \n, \r or \r\n. */
static void skip_eol(struct reader *r)
{
    if (r->p < r->end && *r->p == '\r') {
        r->p++;
        if (r->p < r->end && *r->p == '\n') {
            r->p++;
        }
        r->line++;
    } else if (r->p < r->end && *r->p == '\n') {
        r->p++;
        r->line++;
    }
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && is_blank(*r->p)) {
        r->p++;
    }
}

/* Gathers one logical line, continuation lines joined, escapes still in it. False at the end. */
static bool next_line(struct reader *r, struct buf *out, unsigned *line)
{
    buf_clear(out);
    for (;;) {
        skip_blanks(r);
        if (r->p >= r->end) {
            return false;
        }
        if (is_eol(*r->p)) {
            skip_eol(r);
            continue;
        }
        if (*r->p != '#' && *r->p != '!') {
            break;
        }
        while (r->p < r->end && !is_eol(*r->p)) {
            r->p++;
        }
    }
    *line = r->line;
    while (r->p < r->end && !is_eol(*r->p)) {
        uint8_t c = *r->p++;
        if (c != '\\') {
            buf_put_u8(out, c);
            continue;
        }
        if (r->p >= r->end) { /* a backslash at the very end means nothing */
            return true;
        }
        if (is_eol(*r->p)) {
            skip_eol(r);
            skip_blanks(r);
            continue;
        }
        buf_put_u8(out, c);
        buf_put_u8(out, *r->p++);
    }
    skip_eol(r);
    return true;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_put_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_put_u8(out, (uint8_t)(0xc0 | c >> 6));
        buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_put_u8(out, (uint8_t)(0xe0 | c >> 12));
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_put_u8(out, (uint8_t)(0xf0 | c >> 18));
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* Four hexadecimal digits at p. */
static int hex4(const uint8_t *p, const uint8_t *end, uint32_t *out)
{
    uint32_t v = 0;
    if (end - p < 4) {
        return ERR_INVALID;
    }
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];
        uint32_t d;
        if (c >= '0' && c <= '9') {
            d = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            d = (uint32_t)(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            d = (uint32_t)(c - 'A' + 10);
        } else {
            return ERR_INVALID;
        }
        v = v << 4 | d;
    }
    *out = v;
    return 0;
}

/* A \uXXXX escape, p behind the u; two of them for a surrogate pair. Returns bytes taken, or
 * ERR_INVALID. */
static int take_unicode(const uint8_t *p, const uint8_t *end, struct buf *out)
{
    uint32_t c;
    uint32_t low;
    if (hex4(p, end, &c)) {
        return ERR_INVALID;
    }
    if (c < 0xd800 || c > 0xdfff) {
        put_utf8(out, c);
        return 4;
    }
    if (c > 0xdbff || end - p < 10 || p[4] != '\\' || p[5] != 'u' || hex4(p + 6, end, &low) ||
        low < 0xdc00 || low > 0xdfff) {
        return ERR_INVALID;
    }
    put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
    return 10;
}

/* Takes the escapes out of [p, end). */
static int unescape(const uint8_t *p, const uint8_t *end, struct buf *out)
{
    while (p < end) {
        uint8_t c = *p++;
        if (c != '\\' || p >= end) {
            buf_put_u8(out, c);
            continue;
        }
        c = *p++;
        switch (c) {
        case 't':
            buf_put_u8(out, '\t');
            break;
        case 'n':
            buf_put_u8(out, '\n');
            break;
        case 'r':
            buf_put_u8(out, '\r');
            break;
        case 'f':
            buf_put_u8(out, '\f');
            break;
        case 'u': {
            int n = take_unicode(p, end, out);
            if (n < 0) {
                return n;
            }
            p += n;
            break;
        }
        default:
            buf_put_u8(out, c);
        }
    }
    return 0;
}

/* Where key and value of a logical line are: the key ends at the first =, : or blank that is not
 * escaped; one = or : may stand between blanks before the value. */
static void split(const struct buf *line, const uint8_t **key_end, const uint8_t **value)
{
    const uint8_t *p = line->data;
    const uint8_t *end = line->data + line->len;
    while (p < end && !is_blank(*p) && *p != '=' && *p != ':') {
        p += *p == '\\' && p + 1 < end ? 2 : 1;
    }
    *key_end = p;
    while (p < end && is_blank(*p)) {
        p++;
    }
    if (p < end && (*p == '=' || *p == ':')) {
        p++;
    }
    while (p < end && is_blank(*p)) {
        p++;
    }
    *value = p;
}

int properties_parse(struct bytes text, properties_cb *each, void *ctx, struct errmsg *em)
{
    struct reader r = {text.data, text.data + text.len, 1};
    struct buf line = {0};
    struct buf key = {0};
    struct buf value = {0};
    unsigned at = 0;
    int rc = 0;
    while (rc == 0 && text.data && next_line(&r, &line, &at)) {
        const uint8_t *key_end;
        const uint8_t *value_start;
        buf_reserve(&line, 1); /* data is never NULL below */
        split(&line, &key_end, &value_start);
        buf_clear(&key);
        buf_clear(&value);
        rc = unescape(line.data, key_end, &key);
        if (rc == 0) {
            rc = unescape(value_start, line.data + line.len, &value);
        }
        if (rc) {
            rc =
                errmsg_set(em, rc, "line %u: \\u needs four hexadecimal digits of a character", at);
            break;
        }
        rc = each(ctx, buf_cstr(&key), buf_cstr(&value), at);
    }
    buf_free(&line);
    buf_free(&key);
    buf_free(&value);
    return rc;
}
