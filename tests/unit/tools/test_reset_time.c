/* The times of --to-datetime and --by-duration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/reset_time.h"

struct pair {
    const char *text;
    int64_t ms;
};

static void check(int (*parse)(const char *, int64_t *, struct errmsg *), const struct pair *v,
                  size_t n, const char *const *bad, size_t bad_n)
{
    struct errmsg em;
    int64_t ms;
    for (size_t i = 0; i < n; i++) {
        if (parse(v[i].text, &ms, &em) || ms != v[i].ms) {
            print_error("%s\n", v[i].text);
        }
        assert_int_equal(parse(v[i].text, &ms, &em), 0);
        assert_int_equal(ms, v[i].ms);
    }
    for (size_t i = 0; i < bad_n; i++) {
        if (parse(bad[i], &ms, &em) == 0) {
            print_error("%s\n", bad[i]);
        }
        assert_int_equal(parse(bad[i], &ms, &em), ERR_INVALID);
    }
}

#define N(v) (sizeof(v) / sizeof((v)[0]))

static void datetimes(void **state)
{
    (void)state;
    static const struct pair good[] = {
        {"1970-01-01T00:00:00.000", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"2023-11-14T22:13:20.000", 1700000000000},
        {"2023-11-15T00:13:20.000+02:00", 1700000000000},
        {"2023-11-14T20:13:20.000-02", 1700000000000},
        {"2023-11-15T03:43:20.000+0530", 1700000000000},
        {"2024-02-29T12:00:00.500Z", 1709208000500},
        {"1969-12-31T23:59:59.999", -1},
        {"2000-03-01T00:00:00.0", 951868800000},
        {"9999-12-31T23:59:59.999", 253402300799999},
    };
    static const char *const bad[] = {
        "",
        "now",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-11-14T22:13:20.",
        "2023-13-14T22:13:20.000",
        "2023-02-29T00:00:00.000",
        "2023-00-10T00:00:00.000",
        "2023-11-31T00:00:00.000",
        "2023-11-14T24:00:00.000",
        "2023-11-14T22:60:00.000",
        "2023-11-14T22:13:61.000",
        "2023-11-14T22:13:20.1000",
        "2023-11-14T22:13:20.000+",
        "2023-11-14T22:13:20.000+99:00",
        "2023-11-14T22:13:20.000Zulu",
        "2023-11-14 22:13:20.000",
        "20231114T221320.000",
    };
    check(parse_datetime, good, N(good), bad, N(bad));
}

static void durations(void **state)
{
    (void)state;
    static const struct pair good[] = {
        {"PT0S", 0},
        {"PT1S", 1000},
        {"pt1.5s", 1500},
        {"PT0,25S", 250},
        {"PT1M", 60000},
        {"PT1H", 3600000},
        {"P1D", 86400000},
        {"P1DT2H3M4.005S", 93784005},
        {"PT-1H30M", -1800000},
        {"-PT1H", -3600000},
        {"+P2D", 172800000},
        {"PT-0.5S", -500},
    };
    static const char *const bad[] = {
        "",
        "1h",
        "P",
        "PT",
        "P1",
        "P1H",
        "PT1D",
        "PT1X",
        "P1DT",
        "PT1S1",
        "PT1.5H",
        "P1Y",
        "PT1M1H",
        "P99999999999999999999D",
        "PT999999999999999D",
        "P999999999999999D",
    };
    check(parse_duration, good, N(good), bad, N(bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datetimes),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
