/* The monitor's table of routes, its setting, and Prometheus' text format to the byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "broker/listeners_config.h"
#include "broker/monitor/metrics_text.h"
#include "broker/monitor/monitor.h"

static void routes(void **state)
{
    UNUSED(state);
    assert_string_equal(monitor_route_find("/")->path, "/");
    assert_string_equal(monitor_route_find("/metrics")->path, "/metrics");
    assert_null(monitor_route_find(""));
    assert_null(monitor_route_find("/metrics/"));
    assert_null(monitor_route_find("/Metrics"));
    assert_null(monitor_route_find("metrics"));
    for (size_t i = 0; i < monitor_routes_n; i++) {
        const char *path = monitor_routes[i].path;
        assert_ptr_equal(monitor_route_find(path), &monitor_routes[i]);
        assert_true(monitor_routes[i].summary[0] != '\0');
    }
}

static void parse(const char *text, const char *host, unsigned port)
{
    struct arena a = {0};
    struct errmsg em = {{0}};
    const char *got;
    uint16_t got_port;
    int err = metrics_listener_parse(text, &a, &got, &got_port, &em);
    if (host) {
        assert_int_equal(err, 0);
        assert_string_equal(got, host);
        assert_int_equal(got_port, port);
    } else {
        assert_int_equal(err, ERR_INVALID);
        assert_null(got);
        assert_non_null(strstr(em.text, text));
    }
    arena_free(&a);
}

static void setting(void **state)
{
    UNUSED(state);
    parse("http://127.0.0.1:9644", "127.0.0.1", 9644);
    parse("HTTP://localhost:0", "localhost", 0);
    parse("0.0.0.0:1", "0.0.0.0", 1);
    parse("[::1]:65535", "::1", 65535);
    parse("http://[::]:9644", "::", 9644);
    const char *const bad[] = {"9644",          ":9644",      "http://:9644",
                               "localhost",     "localhost:", "localhost:65536",
                               "https://a:1",   "SSL://a:1",  "http://a:1/metrics",
                               "http://a b:1",  "http://",    "http://[::1:1",
                               "http://a:1,b:2"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        parse(bad[i], NULL, 0);
    }
    struct errmsg em = {{0}};
    const char *host;
    uint16_t port;
    assert_int_equal(metrics_listener_parse("", NULL, &host, &port, &em), 0);
    assert_null(host);
    assert_int_equal(metrics_listener_parse(NULL, NULL, &host, &port, &em), 0);
    assert_null(host);
}

static void text(void **state)
{
    UNUSED(state);
    struct metrics_text t = {0};
    struct buf labels = {0};
    metric_family(&t, "a_total", "counter", "How many.");
    metric_u64(&t, bytes_of("", 0), 0);
    metric_label(&labels, "topic", bytes_str("t"));
    metric_u64(&t, buf_bytes(&labels), UINT64_MAX);
    metric_label_u64(&labels, "partition", 10);
    metric_i64(&t, buf_bytes(&labels), -120);
    metric_i64(&t, buf_bytes(&labels), INT64_MIN);
    metric_one(&t, "b", "gauge", "A number.", 0.25);
    metric_double(&t, bytes_of("", 0), 1e14);
    metric_double(&t, bytes_of("", 0), -1);
    metric_suffix(&t, "_sum", bytes_of("", 0), 1234.5678);
    buf_clear(&labels);
    metric_label(&labels, "dir", bytes_str("a\"b\\c\nd"));
    metric_double(&t, buf_bytes(&labels), 1);
    assert_string_equal(buf_cstr(&t.out), "# HELP a_total How many.\n"
                                          "# TYPE a_total counter\n"
                                          "a_total 0\n"
                                          "a_total{topic=\"t\"} 18446744073709551615\n"
                                          "a_total{topic=\"t\",partition=\"10\"} -120\n"
                                          "a_total{topic=\"t\",partition=\"10\"} "
                                          "-9223372036854775808\n"
                                          "# HELP b A number.\n"
                                          "# TYPE b gauge\n"
                                          "b 0.25\n"
                                          "b 100000000000000\n"
                                          "b -1\n"
                                          "b_sum 1234.5678\n"
                                          "b{dir=\"a\\\"b\\\\c\\nd\"} 1\n");
    buf_free(&labels);
    buf_free(&t.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(setting),
        cmocka_unit_test(text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
