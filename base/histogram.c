#include "base/histogram.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define SUB_BITS 6 /* buckets per power of two: 2^SUB_BITS */

/* A value is cut down to its first SUB_BITS + 1 binary digits; `shift` is how many are lost.
 * Numbers of one shift follow on those of the shift below:
 *
 *     value            shift   bucket
 *     0 .. 127           0     0 .. 127      one value each
 *     128 .. 255         1     128 .. 191    two values each
 *     256 .. 511         2     192 .. 255    four values each */
static size_t bucket_of(uint64_t value)
{
    unsigned digits = value ? 64 - (unsigned)__builtin_clzll(value) : 0;
    unsigned shift = digits > SUB_BITS + 1 ? digits - (SUB_BITS + 1) : 0;
    return ((size_t)shift << SUB_BITS) + (size_t)(value >> shift);
}

/* The middle of a bucket. */
static uint64_t value_of(size_t bucket)
{
    unsigned shift = bucket >> SUB_BITS > 1 ? (unsigned)(bucket >> SUB_BITS) - 1 : 0;
    uint64_t low = (uint64_t)(bucket - ((size_t)shift << SUB_BITS)) << shift;
    return low + ((1ull << shift) >> 1);
}

static size_t bucket_within(const struct histogram *h, uint64_t value)
{
    size_t b = bucket_of(value);
    return b < h->n ? b : h->n - 1;
}

void histogram_init(struct histogram *h, uint64_t highest)
{
    *h = (struct histogram){.n = bucket_of(highest) + 1, .min = UINT64_MAX};
    h->buckets = mem_zalloc(h->n * sizeof *h->buckets);
}

void histogram_free(struct histogram *h)
{
    mem_free(h->buckets);
    h->buckets = NULL;
}

void histogram_reset(struct histogram *h)
{
    memset(h->buckets, 0, h->n * sizeof *h->buckets);
    h->count = h->sum = h->max = 0;
    h->min = UINT64_MAX;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_within(h, value)]++;
    h->count++;
    h->sum += value;
    h->min = value < h->min ? value : h->min;
    h->max = value > h->max ? value : h->max;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
    ASSERT(h->n == other->n);
    for (size_t i = 0; i < h->n; i++) {
        h->buckets[i] += other->buckets[i];
    }
    h->count += other->count;
    h->sum += other->sum;
    h->min = other->min < h->min ? other->min : h->min;
    h->max = other->max > h->max ? other->max : h->max;
}

void histogram_subtract(struct histogram *h, const struct histogram *earlier)
{
    ASSERT(h->n == earlier->n && h->count >= earlier->count);
    h->count -= earlier->count;
    h->sum -= earlier->sum;
    uint64_t max = h->max;
    h->min = UINT64_MAX;
    h->max = 0;
    for (size_t i = 0; i < h->n; i++) {
        ASSERT(h->buckets[i] >= earlier->buckets[i]);
        h->buckets[i] -= earlier->buckets[i];
        if (h->buckets[i] > 0) {
            h->max = value_of(i);
            h->min = h->min == UINT64_MAX ? h->max : h->min;
        }
    }
    h->max = h->max > max ? max : h->max;
    h->min = h->min != UINT64_MAX && h->min > h->max ? h->max : h->min;
}

uint64_t histogram_at(const struct histogram *h, double fraction)
{
    ASSERT(fraction >= 0 && fraction <= 1);
    double below = fraction * (double)h->count;
    uint64_t rank = (uint64_t)below, seen = 0;
    rank += (double)rank < below;
    if (rank >= h->count) {
        return h->max;
    }
    if (rank <= 1) {
        return h->min;
    }
    size_t b = 0;
    while ((seen += h->buckets[b]) < rank) {
        b++;
        ASSERT(b < h->n); /* the buckets sum up to count */
    }
    uint64_t v = value_of(b);
    return v < h->min ? h->min : v > h->max ? h->max : v;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}

uint64_t histogram_upto(const struct histogram *h, uint64_t value)
{
    uint64_t seen = 0;
    for (size_t b = 0, last = bucket_within(h, value); b <= last; b++) {
        seen += h->buckets[b];
    }
    return seen;
}
