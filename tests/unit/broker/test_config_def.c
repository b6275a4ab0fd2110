#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "broker/config_def.h"

/* What Kafka 4.3.1 makes of each value (LogConfig.validate and the printed value); NULL: refused.
 */
struct want {
    const char *name;
    const char *value;
    const char *printed;
};

static const struct want topic[] = {
    {"cleanup.policy", "", ""},
    {"cleanup.policy", "delete,delete", "delete"},
    {"cleanup.policy", "delete, compact", "delete,compact"},
    {"cleanup.policy", "delete,", NULL},
    {"cleanup.policy", ",", NULL},
    {"cleanup.policy", "Delete", NULL},
    {"cleanup.policy", "  ", ""},
    {"compression.gzip.level", "0", NULL},
    {"compression.gzip.level", "-1", "-1"},
    {"compression.gzip.level", "9", "9"},
    {"compression.gzip.level", "10", NULL},
    {"compression.type", "GZIP", NULL},
    {"compression.type", "none", NULL},
    {"compression.type", " gzip ", "gzip"},
    {"compression.zstd.level", "-131072", "-131072"},
    {"compression.zstd.level", "-131073", NULL},
    {"compression.lz4.level", "0", NULL},
    {"retention.ms", "-2", NULL},
    {"retention.ms", " 5 ", "5"},
    {"retention.ms", "+5", "5"},
    {"retention.ms", "5L", NULL},
    {"retention.ms", "", NULL},
    {"retention.ms", "9223372036854775807", "9223372036854775807"},
    {"retention.ms", "9223372036854775808", NULL},
    {"retention.bytes", "-7", "-7"},
    {"min.cleanable.dirty.ratio", "0.25", "0.25"},
    {"min.cleanable.dirty.ratio", "1e-3", "0.001"},
    {"min.cleanable.dirty.ratio", "1e-4", "1.0E-4"},
    {"min.cleanable.dirty.ratio", "0x1p-2", "0.25"},
    {"min.cleanable.dirty.ratio", "0.5f", "0.5"},
    {"min.cleanable.dirty.ratio", "1", "1.0"},
    {"min.cleanable.dirty.ratio", "1.1", NULL},
    {"min.cleanable.dirty.ratio", "", NULL},
    {"min.cleanable.dirty.ratio", "half", NULL},
    {"preallocate", "TRUE", "true"},
    {"preallocate", "yes", NULL},
    {"preallocate", " false ", "false"},
    {"leader.replication.throttled.replicas", "*", "*"},
    {"leader.replication.throttled.replicas", "0:1,0:1", "0:1,0:1"},
    {"leader.replication.throttled.replicas", "none", NULL},
    {"leader.replication.throttled.replicas", "a:1", NULL},
    {"leader.replication.throttled.replicas", "", ""},
    {"segment.bytes", "1024", NULL},
    {"segment.bytes", "1048576 ", "1048576"},
    {"segment.bytes", "2147483648", NULL},
    {"segment.bytes", "1.5", NULL},
    {"message.timestamp.type", "createtime", NULL},
    {"flush.ms", "0", "0"},
    {"segment.jitter.ms", "-1", NULL},
};

static void test_topic_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof topic / sizeof topic[0]; i++) {
        const struct config_def *d = config_find(&config_topic_table, bytes_str(topic[i].name));
        struct config_value v;
        struct errmsg em = {{0}};
        struct buf out = {0};
        assert_non_null(d);
        int rc = config_parse(d, bytes_str(topic[i].value), &v, &em);
        if (topic[i].printed == NULL) {
            assert_int_equal(rc, ERR_INVALID);
            assert_non_null(strstr(em.text, topic[i].name));
            assert_non_null(strstr(em.text, topic[i].value));
            assert_non_null(strstr(em.text, d->valid));
            continue;
        }
        if (rc) {
            fail_msg("%s", em.text);
        }
        config_print(d, &v, &out);
        assert_string_equal(buf_cstr(&out), topic[i].printed);
        buf_free(&out);
    }
}

/* Every default is a legal value and prints as it stands in the table. */
static void test_defaults_are_legal(void **state)
{
    const struct config_table *tables[] = {&config_broker_table, &config_topic_table,
                                           &config_group_table, &config_client_metrics_table,
                                           &config_quota_table};
    (void)state;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        assert_true(tables[t]->n > 0);
        for (size_t i = 0; i < tables[t]->n; i++) {
            const struct config_def *d = &tables[t]->defs[i];
            struct config_value v;
            struct errmsg em;
            struct buf out = {0};
            assert_true(i == 0 || strcmp(tables[t]->defs[i - 1].name, d->name) < 0);
            assert_ptr_equal(config_find(tables[t], bytes_str(d->name)), d);
            if (d->required) {
                continue;
            }
            if (config_parse(d, bytes_str(d->def), &v, &em)) {
                fail_msg("%s", em.text);
            }
            if (!v.null) {
                config_print(d, &v, &out);
                assert_string_equal(buf_cstr(&out), d->def);
            }
            buf_free(&out);
        }
    }
}

static void test_unknown_name(void **state)
{
    (void)state;
    assert_null(config_find(&config_topic_table, bytes_str("no.such")));
    assert_null(config_find(&config_topic_table, bytes_str("")));
    assert_null(config_find(&config_topic_table, bytes_str("zzz")));
}

static void test_null_needs_a_setting_without_default(void **state)
{
    struct config_value v;
    (void)state;
    assert_int_equal(config_parse(config_find(&config_topic_table, bytes_str("retention.ms")),
                                  BYTES_NULL, &v, NULL),
                     ERR_INVALID);
    assert_int_equal(config_parse(config_find(&config_broker_table, bytes_str("broker.rack")),
                                  BYTES_NULL, &v, NULL),
                     0);
    assert_true(v.null);
}

static void test_a_password_is_not_repeated(void **state)
{
    const struct config_def *d =
        config_find(&config_broker_table, bytes_str("ssl.keystore.password"));
    (void)state;
    assert_true(d->sensitive);
}

static void test_group_reset_policy(void **state)
{
    const struct config_def *d =
        config_find(&config_group_table, bytes_str("share.auto.offset.reset"));
    const char *good[] = {"latest", "earliest", "by_duration:P1D", "by_duration:PT1H30M",
                          "by_duration:P2DT3.5S"};
    const char *bad[] = {"Latest",         "none",
                         "by_duration:",   "by_duration:P",
                         "by_duration:1D", "by_duration:PT1D1H",
                         "by_duration:PT", "by_duration:P1H1D"};
    struct config_value v;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(config_parse(d, bytes_str(good[i]), &v, NULL), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (config_parse(d, bytes_str(bad[i]), &v, NULL) == 0) {
            fail_msg("%s was accepted", bad[i]);
        }
    }
}

static void test_lists(void **state)
{
    struct config_list l = config_list_start(bytes_str(" a , b,,"));
    struct bytes e;
    const char *want[] = {"a", "b", "", ""};
    size_t n = 0;
    (void)state;
    while (config_list_next(&l, &e)) {
        assert_true(n < 4 && bytes_eq_str(e, want[n]));
        n++;
    }
    assert_int_equal(n, 4);
    assert_int_equal(config_list_count(bytes_str("")), 0);
    assert_int_equal(config_list_count(bytes_str("  ")), 0);
    assert_int_equal(config_list_count(BYTES_NULL), 0);
    assert_true(config_list_has(bytes_str("x, y"), "y"));
    assert_false(config_list_has(bytes_str("x, yy"), "y"));
}

static void expect_double(double v, const char *want)
{
    struct buf out = {0};
    config_print_double(v, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void test_doubles_print_as_in_java(void **state)
{
    (void)state;
    expect_double(0.5, "0.5");
    expect_double(0, "0.0");
    expect_double(1, "1.0");
    expect_double(-0.25, "-0.25");
    expect_double(100, "100.0");
    expect_double(9999999, "9999999.0");
    expect_double(1e7, "1.0E7");
    expect_double(12345678.9, "1.23456789E7");
    expect_double(0.001, "0.001");
    expect_double(0.00123, "0.00123");
    expect_double(0.000999, "9.99E-4");
    expect_double(1.7976931348623157e308, "1.7976931348623157E308");
    expect_double(2147483647.0, "2.147483647E9");
    expect_double(0.1 + 0.2, "0.30000000000000004");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_values),
        cmocka_unit_test(test_defaults_are_legal),
        cmocka_unit_test(test_unknown_name),
        cmocka_unit_test(test_null_needs_a_setting_without_default),
        cmocka_unit_test(test_a_password_is_not_repeated),
        cmocka_unit_test(test_group_reset_policy),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_doubles_print_as_in_java),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
