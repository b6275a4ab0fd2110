/* Base-128 integers, low group first, top bit set on all but the last byte: Kafka's "unsigned
 * varint", and with zigzag its "varint" and "varlong". */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include <stddef.h>
#include <stdint.h>

enum { VARINT_MAX = 10 }; /* bytes of the longest encoding (64 bits) */

static inline uint64_t zigzag_encode(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t zigzag_decode(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Writes v at p (VARINT_MAX bytes of room) and returns the bytes used. */
static inline size_t uvarint_put(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

static inline size_t uvarint_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* Reads at most max_bytes (5 for 32-bit values, 10 for 64-bit ones) from p[0..len). Returns the
 * bytes used, 0 when the input ends first or the encoding is longer than max_bytes. */
static inline size_t uvarint_get(const uint8_t *p, size_t len, size_t max_bytes, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len && i < max_bytes; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if ((p[i] & 0x80) == 0) {
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

#endif
