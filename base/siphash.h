/* SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that nobody can steer without its key, for
 * tables whose keys a peer chooses. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/bytes.h"

struct siphash_key {
    uint64_t k[2];
};

uint64_t siphash(const struct siphash_key *key, struct bytes b);

#endif
