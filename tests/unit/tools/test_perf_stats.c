/* The lines of the producer's perf test, and when a throttled record is due. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tools/perf_stats.h"

enum { MS = 1000, SEC = 1000 * MS };

struct out {
    FILE *file;
    char *text;
    size_t n;
};

static int open_out(void **state)
{
    struct out *o = calloc(1, sizeof *o);
    o->file = open_memstream(&o->text, &o->n);
    *state = o;
    return 0;
}

static int close_out(void **state)
{
    struct out *o = *state;
    fclose(o->file);
    free(o->text);
    free(o);
    return 0;
}

static void a_line_when_the_interval_is_over(void **state)
{
    struct out *o = *state;
    struct perf_stats s;
    perf_stats_init(&s, o->file, 7 * SEC, 5 * SEC, false);
    for (int i = 1; i <= 5; i++) { /* one a second of one MiB each */
        fflush(o->file);
        assert_int_equal(o->n, 0);
        perf_stats_record(&s, i * 10 * MS, 1 << 20, (7 + i) * SEC);
    }
    assert_string_equal(o->text, "5 records sent, 1.0 records/sec (1.00 MB/sec), 30.0 ms avg "
                                 "latency, 50.0 ms max latency.\n");
    perf_stats_record(&s, 2 * MS, 0, 13 * SEC); /* the next window began at the line */
    perf_stats_record(&s, 4 * MS, 0, 17 * SEC);
    assert_non_null(strstr(o->text, "\n2 records sent, 0.4 records/sec (0.00 MB/sec), 3.0 ms avg "
                                    "latency, 4.0 ms max latency.\n"));
    perf_stats_free(&s);
}

static void the_summary_has_all_percentiles(void **state)
{
    struct out *o = *state;
    struct perf_stats s;
    perf_stats_init(&s, o->file, 0, 5 * SEC, false);
    for (int i = 1; i <= 1000; i++) {
        int ms = i <= 940 ? 10 : i <= 985 ? 20 : i <= 998 ? 40 : 80;
        perf_stats_record(&s, ms * MS + 500, 1048, i);
    }
    perf_stats_print_total(&s, 2 * SEC);
    assert_string_equal(
        o->text, "1000 records sent, 500.000000 records/sec (0.50 MB/sec), 11.48 ms avg latency, "
                 "80.50 ms max latency, 10 ms 50th, 20 ms 95th, 40 ms 99th, 80 ms 99.9th.\n");
    perf_stats_free(&s);
}

static void nothing_acknowledged(void **state)
{
    struct out *o = *state;
    struct perf_stats s;
    perf_stats_init(&s, o->file, 0, 5 * SEC, false);
    perf_stats_print_total(&s, 0);
    assert_string_equal(o->text, "0 records sent, 0.000000 records/sec (0.00 MB/sec), 0.00 ms avg "
                                 "latency, 0.00 ms max latency, 0 ms 50th, 0 ms 95th, 0 ms 99th, 0 "
                                 "ms 99.9th.\n");
    perf_stats_free(&s);
}

static void the_steady_state_says_so(void **state)
{
    struct out *o = *state;
    struct perf_stats s;
    perf_stats_init(&s, o->file, 0, SEC, true);
    perf_stats_record(&s, 0, 0, SEC);
    perf_stats_record(&s, 0, 0, 2 * SEC);
    fflush(o->file);
    assert_string_equal(
        o->text, "In steady state.\n"
                 "1 records sent, 1.0 records/sec (0.00 MB/sec), 0.0 ms avg latency, 0.0 ms max "
                 "latency.\n"
                 "1 records sent, 1.0 records/sec (0.00 MB/sec), 0.0 ms avg latency, 0.0 ms max "
                 "latency.\n");
    s.quiet = true;
    perf_stats_record(&s, 0, 0, 3 * SEC);
    size_t before = o->n;
    perf_stats_print_total(&s, 3 * SEC);
    assert_int_equal(strncmp(o->text + before, "3 steady state records sent, 1.000000 ", 38), 0);
    perf_stats_free(&s);
}

static void records_are_due_at_the_rate(void **state)
{
    (void)state;
    assert_true(perf_due(5, 0, 100) == 5);
    assert_true(perf_due(5, 1, 100) == 5 + 10 * MS);
    assert_true(perf_due(0, 3600 * 1000, 1000) == 3600ll * SEC);
    assert_true(perf_due(0, 1, 0.5) == 2 * SEC);
    assert_true(perf_due(5, 1000, -1) == 5);
    assert_true(perf_due(5, 0, 0) == 5);
    assert_true(perf_due(5, 1, 0) == INT64_MAX);
}

#define with_out(test) cmocka_unit_test_setup_teardown(test, open_out, close_out)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_out(a_line_when_the_interval_is_over),
        with_out(the_summary_has_all_percentiles),
        with_out(nothing_acknowledged),
        with_out(the_steady_state_says_so),
        cmocka_unit_test(records_are_due_at_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
