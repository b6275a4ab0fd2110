#include "tools/clock.h"
#include "tools/events.h"
#include "tools/output.h"

#include <stdio.h>
#include <stdlib.h>

static void put_string(struct buf *b, const uint8_t *s, size_t n)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    buf_put_u8(b, '"');
    for (size_t i = 0; i < n; i++) {
        const char *e = s[i] ? strchr(from, s[i]) : NULL;
        if (e) {
            buf_printf(b, "\\%c", to[e - from]);
        } else if (s[i] < 0x20) {
            buf_printf(b, "\\u%04X", s[i]);
        } else {
            buf_put_u8(b, s[i]);
        }
    }
    buf_put_u8(b, '"');
}

static void put_key(struct buf *b, const char *key)
{
    uint8_t last = b->data[b->len - 1];
    if (last != '{' && last != '[') {
        buf_put_u8(b, ',');
    }
    put_string(b, (const uint8_t *)key, strlen(key));
    buf_put_u8(b, ':');
}

void event_begin(struct buf *b, const char *name)
{
    buf_clear(b);
    buf_put_u8(b, '{');
    event_number(b, "timestamp", wall_ms());
    event_cstr(b, "name", name);
}

void event_text(struct buf *b, const char *key, const void *text, size_t n)
{
    put_key(b, key);
    if (text) {
        put_string(b, text, n);
    } else {
        buf_put_str(b, "null");
    }
}

void event_cstr(struct buf *b, const char *key, const char *text)
{
    event_text(b, key, text, text ? strlen(text) : 0);
}

void event_number(struct buf *b, const char *key, long long v)
{
    put_key(b, key);
    buf_printf(b, "%lld", v);
}

/* With as few digits as tell it from its neighbours; always with a point, as Java has it. */
void event_real(struct buf *b, const char *key, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    put_key(b, key);
    buf_printf(b, "%s%s", text, strpbrk(text, ".einf") ? "" : ".0");
}

void event_flag(struct buf *b, const char *key, bool v)
{
    put_key(b, key);
    buf_put_str(b, v ? "true" : "false");
}

void event_list(struct buf *b, const char *key)
{
    put_key(b, key);
    buf_put_u8(b, '[');
}

void event_item(struct buf *b)
{
    if (b->data[b->len - 1] == '}') {
        buf_put_u8(b, ',');
    }
    buf_put_u8(b, '{');
}

void event_item_end(struct buf *b)
{
    buf_put_u8(b, '}');
}

void event_list_end(struct buf *b)
{
    buf_put_u8(b, ']');
}

void event_print(struct buf *b)
{
    buf_put_str(b, "}\n");
    fwrite(b->data, 1, b->len, stdout);
    output_flush();
}

void event_say(const char *name)
{
    struct buf b = {0};
    event_begin(&b, name);
    event_print(&b);
    buf_free(&b);
}
