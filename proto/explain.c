#include "proto/explain.h"

#include "proto/cursor.h"

enum { LINE_MIN = 9, UVARINT_MAX = 5 };

bool explain_find(const struct proto_unknown *u, struct bytes *value)
{
    for (uint32_t i = 0; i < u->n; i++) {
        if (u->tags[i].tag == EXPLAIN_TAG) {
            if (value) {
                *value = u->tags[i].value;
            }
            return true;
        }
    }
    return false;
}

static uint8_t *put_uvarint(uint8_t *p, size_t v)
{
    for (; v >= 0x80; v >>= 7) {
        *p++ = (uint8_t)(v | 0x80);
    }
    *p++ = (uint8_t)v;
    return p;
}

struct bytes explain_encode(const struct explain_line *lines, uint32_t n, struct arena *a)
{
    size_t most = UVARINT_MAX;
    for (uint32_t i = 0; i < n; i++) {
        most += 8 + UVARINT_MAX + lines[i].text.len;
    }
    uint8_t *data = arena_alloc(a, most);
    uint8_t *p = put_uvarint(data, n);
    for (uint32_t i = 0; i < n; i++) {
        store_be64(p, (uint64_t)lines[i].wall_ms);
        p = put_uvarint(p + 8, lines[i].text.len + 1);
        if (lines[i].text.len) {
            memcpy(p, lines[i].text.data, lines[i].text.len);
        }
        p += lines[i].text.len;
    }
    return bytes_of(data, (size_t)(p - data));
}

int explain_decode(struct bytes value, struct arena *a, struct explain_line **lines, uint32_t *n)
{
    struct cursor c = cursor_of(value);
    uint32_t count = cursor_uvarint(&c);
    *lines = NULL;
    *n = 0;
    if (c.err == 0 && count > cursor_left(&c) / LINE_MIN) {
        cursor_fail(&c, ERR_TRUNCATED);
    }
    if (c.err) {
        return c.err;
    }
    struct explain_line *v = ARENA_ARRAY(a, struct explain_line, (size_t)count + 1);
    for (uint32_t i = 0; i < count && c.err == 0; i++) {
        v[i].wall_ms = (int64_t)cursor_be64(&c);
        uint32_t len = cursor_uvarint(&c);
        if (len == 0) {
            cursor_fail(&c, c.err ? c.err : ERR_CORRUPT);
            break;
        }
        v[i].text = bytes_of(c.p, len - 1);
        cursor_take(&c, len - 1);
    }
    if (c.err == 0) {
        *lines = v;
        *n = count;
    }
    return c.err;
}
