/* A growable byte buffer that owns its memory; growth failing ends the process (mem.h).
 * Zero-initialise to start, buf_free to end. Integers are appended big-endian, as Kafka writes
 * them. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_reserve(struct buf *b, size_t more);     /* room for `more` bytes behind len */
bool buf_try_reserve(struct buf *b, size_t more); /* the same; false without memory */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);
void buf_put_uvarint(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, int64_t v); /* zigzag */
void buf_put_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *buf_cstr(struct buf *b); /* NUL behind len (not counted), the text so far */
void buf_free(struct buf *b);

static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->data ? b->data : (const uint8_t *)"", b->len};
}

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

/* Takes the memory out of the buffer: the caller frees it with mem_free. */
static inline uint8_t *buf_take(struct buf *b)
{
    uint8_t *p = b->data;
    *b = (struct buf){0};
    return p;
}

#endif
