#include "base/siphash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

static inline void sip_rounds(struct sip *s, int n)
{
    for (int i = 0; i < n; i++) {
        s->v0 += s->v1;
        s->v1 = rotl(s->v1, 13) ^ s->v0;
        s->v0 = rotl(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotl(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotl(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotl(s->v1, 17) ^ s->v2;
        s->v2 = rotl(s->v2, 32);
    }
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_rounds(s, 2);
    s->v0 ^= m;
}

/* Up to 8 bytes, little-endian. */
static uint64_t word_of(const uint8_t *p, size_t n)
{
    uint64_t m = 0;
    for (size_t i = 0; i < n; i++) {
        m |= (uint64_t)p[i] << (8 * i);
    }
    return m;
}

uint64_t siphash(const struct siphash_key *key, struct bytes b)
{
    struct sip s = {
        .v0 = key->k[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = key->k[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key->k[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = key->k[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t at = 0;
    for (; b.len - at >= 8; at += 8) {
        sip_word(&s, word_of(b.data + at, 8));
    }
    sip_word(&s, word_of(b.data + at, b.len - at) | (uint64_t)b.len << 56);
    s.v2 ^= 0xff;
    sip_rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
