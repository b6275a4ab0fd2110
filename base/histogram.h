/* How often each value was seen: a log-linear histogram of whole numbers (times in one unit,
 * sizes). Values below 128 have a bucket each; above that every power of two is cut into 64 buckets
 * of equal width, so that what is read back is within 0.8 % of what was added. One addition is a
 * count of leading zeros and an increment; the smallest and largest value, the sum and the number
 * are exact.
 *
 * The range is decided at the start: a value above it counts in the last bucket (the largest value
 * seen is told exactly all the same). A range of 2^30, a quarter of an hour in microseconds, takes
 * 13 KB.
 *
 * Owner: one thread. Whoever sums over shards merges copies. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

struct histogram {
    uint64_t *buckets;
    size_t n;       /* buckets */
    uint64_t count; /* values added */
    uint64_t sum;   /* of them */
    uint64_t min;   /* UINT64_MAX when there is none */
    uint64_t max;   /* 0 when there is none */
};

/* Empty, for values from 0 to highest. */
void histogram_init(struct histogram *h, uint64_t highest);
void histogram_free(struct histogram *h);
/* Empty again, with the same range. */
void histogram_reset(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
/* Adds what other has seen; both were made for the same range. */
void histogram_merge(struct histogram *h, const struct histogram *other);
/* Takes away what an earlier state of the same histogram had seen. The smallest and largest value
 * of what is left are known within the resolution only. */
void histogram_subtract(struct histogram *h, const struct histogram *earlier);
/* The value that `fraction` (0 to 1) of all values do not exceed, by nearest rank: 0.5 is the
 * median, 0 the smallest, 1 the largest. 0 when there is none. */
uint64_t histogram_at(const struct histogram *h, double fraction);
/* 0 when there is none. */
double histogram_mean(const struct histogram *h);
/* How many values are at most `value`, which counts with its whole bucket. Grows with `value`, and
 * is `count` from `highest` on: what a cumulative histogram (Prometheus) shows. */
uint64_t histogram_upto(const struct histogram *h, uint64_t value);

#endif
