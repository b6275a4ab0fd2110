/* A reader over bytes that somebody else owns and that cannot be trusted. It never goes past the
 * end, and its first error sticks: from then on every read gives 0 or null and there is nothing
 * left, so the caller reads on without asking and looks at err once at the end. Only a loop whose
 * count came from the input must look at it in every round. */
#ifndef PROTO_CURSOR_H
#define PROTO_CURSOR_H

#include "base/bytes.h"
#include "base/err.h"

struct cursor {
    const uint8_t *p; /* next byte */
    const uint8_t *end;
    int err; /* 0, or the first error: ERR_TRUNCATED, ERR_CORRUPT, what cursor_fail was given */
};

static inline struct cursor cursor_of(struct bytes in)
{
    static const uint8_t nothing[1];
    const uint8_t *p = in.data ? in.data : nothing;
    return (struct cursor){p, p + (in.data ? in.len : 0), 0};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

static inline void cursor_fail(struct cursor *c, int err)
{
    if (c->err == 0) {
        c->err = err;
    }
    c->p = c->end;
}

/* The next n bytes; NULL (and the error set) if there are fewer. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (__builtin_expect(cursor_left(c) < n, 0)) {
        cursor_fail(c, ERR_TRUNCATED);
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    return p;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 1);
    return p ? *p : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 2);
    return p ? load_be16(p) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 4);
    return p ? load_be32(p) : 0;
}

static inline uint64_t cursor_be64(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 8);
    return p ? load_be64(p) : 0;
}

uint32_t cursor_uvarint_slow(struct cursor *c);

/* Base 128 in at most five bytes, as Kafka reads it: bits above the 32nd are lost, a top bit in the
 * fifth byte is ERR_CORRUPT. */
static inline uint32_t cursor_uvarint(struct cursor *c)
{
    if (__builtin_expect(c->p < c->end && *c->p < 0x80, 1)) {
        return *c->p++;
    }
    return cursor_uvarint_slow(c);
}

#endif
