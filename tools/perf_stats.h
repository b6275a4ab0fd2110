/* What the perf tools count while records are acknowledged, and the lines of
 * kafka-producer-perf-test.sh that say it: one per reporting interval, a summary at the end.
 * Latencies are kept in a histogram (all of them, where Kafka's tool samples) and in microseconds;
 * percentiles are printed in whole milliseconds, as Kafka's tool does. Times come from the
 * caller: microseconds of one clock. */
#ifndef TOOLS_PERF_STATS_H
#define TOOLS_PERF_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/histogram.h"

struct perf_window {
    int64_t started;
    int64_t count, bytes;
    int64_t latency_sum, latency_max;
};

struct perf_stats {
    FILE *out;
    int64_t interval;          /* between lines */
    bool steady;               /* behind the warm-up: the lines say so */
    bool quiet;                /* no lines, only the summary */
    struct perf_window all;    /* since the start */
    struct perf_window window; /* since the last line */
    struct histogram latency;
};

void perf_stats_init(struct perf_stats *s, FILE *out, int64_t now, int64_t interval, bool steady);
void perf_stats_free(struct perf_stats *s);
/* One record was acknowledged. Prints a line when the interval is over. */
void perf_stats_record(struct perf_stats *s, int64_t latency, int64_t bytes, int64_t now);
void perf_stats_print_total(const struct perf_stats *s, int64_t now);

/* When the n-th record (from 0) may be sent that at most `rate` a second allow; INT64_MAX: never
 * (a rate of 0 lets only the first pass). */
int64_t perf_due(int64_t started, int64_t n, double rate);

#endif
