#include "tools/perf_stats.h"

#include "base/assert.h"
#include "tools/output.h"

enum { LATENCY_US_MAX = 1 << 30 }; /* a quarter of an hour; longer ones count as that */

static void add(struct perf_window *w, int64_t latency, int64_t bytes)
{
    w->count++;
    w->bytes += bytes;
    w->latency_sum += latency;
    w->latency_max = latency > w->latency_max ? latency : w->latency_max;
}

static double seconds(const struct perf_window *w, int64_t now)
{
    return now > w->started ? (double)(now - w->started) / 1e6 : 1e-6;
}

static double mb_sec(const struct perf_window *w, int64_t now)
{
    return (double)w->bytes / (1024.0 * 1024.0) / seconds(w, now);
}

static double mean_ms(const struct perf_window *w)
{
    return w->count ? (double)w->latency_sum / (double)w->count / 1000 : 0;
}

void perf_stats_init(struct perf_stats *s, FILE *out, int64_t now, int64_t interval, bool steady)
{
    *s = (struct perf_stats){.out = out,
                             .interval = interval,
                             .steady = steady,
                             .all.started = now,
                             .window.started = now};
    histogram_init(&s->latency, LATENCY_US_MAX);
}

void perf_stats_free(struct perf_stats *s)
{
    histogram_free(&s->latency);
}

static void flush(const struct perf_stats *s)
{
    if (s->out == stdout) {
        output_flush();
    } else {
        fflush(s->out);
    }
}

static void print_window(struct perf_stats *s, int64_t now)
{
    const struct perf_window *w = &s->window;
    if (s->steady && w->count == s->all.count) {
        fprintf(s->out, "In steady state.\n");
    }
    fprintf(s->out,
            "%lld records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max "
            "latency.\n",
            (long long)w->count, (double)w->count / seconds(w, now), mb_sec(w, now), mean_ms(w),
            (double)w->latency_max / 1000);
    flush(s);
}

void perf_stats_record(struct perf_stats *s, int64_t latency, int64_t bytes, int64_t now)
{
    ASSERT(latency >= 0);
    add(&s->all, latency, bytes);
    add(&s->window, latency, bytes);
    histogram_add(&s->latency, (uint64_t)latency);
    if (now - s->window.started >= s->interval) {
        if (!s->quiet) {
            print_window(s, now);
        }
        s->window = (struct perf_window){.started = now};
    }
}

static long long percentile_ms(const struct perf_stats *s, double fraction)
{
    return (long long)(histogram_at(&s->latency, fraction) / 1000);
}

void perf_stats_print_total(const struct perf_stats *s, int64_t now)
{
    const struct perf_window *w = &s->all;
    fprintf(s->out,
            "%lld%s records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max "
            "latency, %lld ms 50th, %lld ms 95th, %lld ms 99th, %lld ms 99.9th.\n",
            (long long)w->count, s->steady ? " steady state" : "",
            (double)w->count / seconds(w, now), mb_sec(w, now), mean_ms(w),
            (double)w->latency_max / 1000, percentile_ms(s, 0.5), percentile_ms(s, 0.95),
            percentile_ms(s, 0.99), percentile_ms(s, 0.999));
    flush(s);
}

int64_t perf_due(int64_t started, int64_t n, double rate)
{
    if (rate < 0 || n == 0) {
        return started;
    }
    double wait = rate > 0 ? (double)n / rate * 1e6 : 1e18;
    return wait < 1e18 ? started + (int64_t)wait : INT64_MAX;
}
