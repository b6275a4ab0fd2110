#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/varint.h"

void buf_reserve(struct buf *b, size_t more)
{
    ASSERT(more <= SIZE_MAX / 4 && b->len <= SIZE_MAX / 4);
    if (b->cap - b->len >= more) {
        return;
    }
    size_t cap = b->cap * 2 > b->len + more ? b->cap * 2 : b->len + more;
    b->data = mem_realloc(b->data, cap < 64 ? 64 : cap);
    b->cap = cap < 64 ? 64 : cap;
}

bool buf_try_reserve(struct buf *b, size_t more)
{
    if (b->cap - b->len >= more) {
        return true;
    }
    if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
        return false;
    }
    size_t cap = b->cap * 2 > b->len + more ? b->cap * 2 : b->len + more;
    uint8_t *data = mem_try_alloc(cap);
    if (data == NULL) {
        return false;
    }
    if (b->len) {
        memcpy(data, b->data, b->len);
    }
    mem_free(b->data);
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0) {
        return;
    }
    buf_reserve(b, n);
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_put_be16(struct buf *b, uint16_t v)
{
    buf_reserve(b, 2);
    store_be16(b->data + b->len, v);
    b->len += 2;
}

void buf_put_be32(struct buf *b, uint32_t v)
{
    buf_reserve(b, 4);
    store_be32(b->data + b->len, v);
    b->len += 4;
}

void buf_put_be64(struct buf *b, uint64_t v)
{
    buf_reserve(b, 8);
    store_be64(b->data + b->len, v);
    b->len += 8;
}

void buf_put_uvarint(struct buf *b, uint64_t v)
{
    buf_reserve(b, VARINT_MAX);
    b->len += uvarint_put(b->data + b->len, v);
}

void buf_put_varint(struct buf *b, int64_t v)
{
    buf_put_uvarint(b, zigzag_encode(v));
}

void buf_put_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

const char *buf_cstr(struct buf *b)
{
    buf_reserve(b, 1);
    b->data[b->len] = 0;
    return (const char *)b->data;
}

void buf_free(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}
