#include "base/xxh32.h"

#include <string.h>

/* The primes of the published algorithm. */
#define P1 2654435761u
#define P2 2246822519u
#define P3 3266489917u
#define P4 668265263u
#define P5 374761393u

static uint32_t rotl(uint32_t v, int n)
{
    return v << n | v >> (32 - n);
}

static uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static uint32_t mix(uint32_t lane, const uint8_t *p)
{
    return rotl(lane + load_le32(p) * P2, 13) * P1;
}

uint32_t xxh32(const void *data, size_t n, uint32_t seed)
{
    const uint8_t *p = data;
    size_t left = n;
    uint32_t h;
    if (n >= 16) {
        uint32_t lane[4] = {seed + P1 + P2, seed + P2, seed, seed - P1};
        for (; left >= 16; left -= 16, p += 16) {
            for (int i = 0; i < 4; i++) {
                lane[i] = mix(lane[i], p + 4 * i);
            }
        }
        h = rotl(lane[0], 1) + rotl(lane[1], 7) + rotl(lane[2], 12) + rotl(lane[3], 18);
    } else {
        h = seed + P5;
    }
    h += (uint32_t)n;
    for (; left >= 4; left -= 4, p += 4) {
        h = rotl(h + load_le32(p) * P3, 17) * P4;
    }
    for (; left; left--, p++) {
        h = rotl(h + *p * P5, 11) * P1;
    }
    h = (h ^ h >> 15) * P2;
    h = (h ^ h >> 13) * P3;
    return h ^ h >> 16;
}
