/* xxHash, 32 bits, as the lz4 frame format uses it for its checksums. Not for hash tables. */
#ifndef BASE_XXH32_H
#define BASE_XXH32_H

#include <stddef.h>
#include <stdint.h>

uint32_t xxh32(const void *p, size_t n, uint32_t seed);

#endif
