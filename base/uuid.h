/* Kafka's 16-byte uuid and its text form: 22 characters of URL-safe base64 without padding. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct uuid {
    uint8_t b[16];
};

enum { UUID_TEXT = 23 }; /* 22 characters and the NUL */

#define UUID_ZERO ((struct uuid){{0}})

static inline bool uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(a.b, b.b, 16) == 0;
}

static inline bool uuid_is_zero(struct uuid u)
{
    return uuid_eq(u, UUID_ZERO);
}

/* Reserved ids have a zero high half and a low half below 100 (formats.md 1.1 in the facts: 0 none,
 * 1 the metadata topic...). */
static inline struct uuid uuid_reserved(uint8_t n)
{
    struct uuid u = UUID_ZERO;
    u.b[15] = n;
    return u;
}

const char *uuid_text(struct uuid u, char out[UUID_TEXT]); /* returns out */
/* 0, or ERR_INVALID unless s[0..n) is exactly a 22-character uuid. */
int uuid_parse(const char *s, size_t n, struct uuid *out);
/* Makes a version 4 uuid of 16 random bytes; false (draw again) if its text would start with '-'
 * (Kafka never hands one out, because tools would take it for an option) or if it is a reserved
 * one. */
bool uuid_from_random(const uint8_t random[16], struct uuid *out);

#endif
