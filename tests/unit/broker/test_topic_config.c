/* Settings of topics and brokers over a metadata image: levels, synonyms, what DescribeConfigs says
 * of them, and what the controller is told. Expectations are what Kafka 4.3.1 answered. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "broker/config_check.h"
#include "broker/config_describe.h"
#include "broker/topic_config.h"
#include "proto/compress.h"
#include "proto_errors.h"
#include "proto_messages.h"

static const struct config_machine machine = {.hostname = "h", .processors = 2};

struct fixture {
    struct config *config;
    struct image *image;
    struct config_validator validator;
    struct arena arena;
};

static void put_record(struct image_delta *d, const char *name, const void *record)
{
    struct errmsg em = {{0}};
    const struct proto_message *m = proto_find(name);
    if (image_delta_apply(d, m, m->version_max, record, &em)) {
        fail_msg("%s", em.text);
    }
}

static void finish(struct fixture *f, struct image_delta *d)
{
    struct image *next = image_delta_finish(d, f->image->offset + 1, 1, 0);
    image_put(f->image);
    f->image = next;
    image_delta_put(d);
}

static void add_topic(struct fixture *f, const char *name)
{
    struct image_delta *d = image_delta_new(f->image);
    struct topic_record r;
    proto_msg_init(&topic_record_msg, &r);
    r.name = bytes_str(name);
    r.topic_id = uuid_reserved(77);
    put_record(d, "TopicRecord", &r);
    finish(f, d);
}

static void set(struct fixture *f, int8_t type, const char *resource, const char *name,
                const char *value)
{
    struct image_delta *d = image_delta_new(f->image);
    struct config_record r;
    proto_msg_init(&config_record_msg, &r);
    r.resource_type = type;
    r.resource_name = bytes_str(resource);
    r.name = bytes_str(name);
    r.value = bytes_str(value);
    put_record(d, "ConfigRecord", &r);
    finish(f, d);
}

static void setup_with(struct fixture *f, const char *const *overrides)
{
    struct errmsg em = {{0}};
    *f = (struct fixture){.config = config_new(), .image = image_empty()};
    config_zero(f->config, "/data", 9092);
    for (size_t i = 0; overrides && overrides[i]; i++) {
        assert_int_equal(config_add_override(f->config, overrides[i], &em), 0);
    }
    if (config_finish(f->config, &machine, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    config_check_init(&f->validator, f->config);
    add_topic(f, "t");
}

static void teardown(struct fixture *f)
{
    arena_free(&f->arena);
    image_put(f->image);
    config_free(f->config);
}

static struct topic_config resolve(struct fixture *f)
{
    struct topic_config c;
    topic_config_resolve(f->config, f->image, bytes_str("t"), &c);
    return c;
}

static void test_defaults(void **state)
{
    struct fixture f;
    struct topic_config plain;
    (void)state;
    setup_with(&f, NULL);
    struct topic_config c = resolve(&f);
    topic_config_default(&plain);
    assert_int_equal(c.max_message_bytes, 1048588);
    assert_int_equal(c.min_insync_replicas, 1);
    assert_int_equal(c.codec, TOPIC_CODEC_PRODUCER);
    assert_int_equal(c.level, CODEC_LEVEL_DEFAULT);
    assert_int_equal(c.timestamp_after_max_ms, 3600000);
    assert_int_equal(c.timestamp_before_max_ms, INT64_MAX);
    assert_int_equal(c.log.segment_bytes, 1 << 30);
    assert_int_equal(c.log.retention_ms, 604800000);
    assert_int_equal(c.log.retention_bytes, -1);
    assert_int_equal(c.log.flush_ms, INT64_MAX);
    assert_int_equal(c.log.producer_id_expiration_ms, 86400000);
    assert_true(c.log.cleanup_delete && !c.log.cleanup_compact && !c.log.append_time);
    assert_int_equal(plain.log.retention_ms, c.log.retention_ms);
    assert_int_equal(plain.max_message_bytes, c.max_message_bytes);
    teardown(&f);
}

static void test_levels(void **state)
{
    const char *over[] = {"log.retention.hours=1", "message.max.bytes=5", NULL};
    struct fixture f;
    (void)state;
    setup_with(&f, over);
    assert_int_equal(resolve(&f).log.retention_ms, 3600000);
    assert_int_equal(resolve(&f).max_message_bytes, 5);
    set(&f, CONFIG_BROKER, "", "log.retention.ms", "1000");
    set(&f, CONFIG_BROKER, "", "message.max.bytes", "6");
    assert_int_equal(resolve(&f).log.retention_ms, 1000);
    set(&f, CONFIG_BROKER, "1", "log.retention.ms", "2000");
    set(&f, CONFIG_BROKER, "2", "log.retention.ms", "9");
    assert_int_equal(resolve(&f).log.retention_ms, 2000);
    set(&f, CONFIG_TOPIC, "t", "retention.ms", "-1");
    set(&f, CONFIG_TOPIC, "t", "max.message.bytes", "7");
    assert_int_equal(resolve(&f).log.retention_ms, -1);
    assert_int_equal(resolve(&f).max_message_bytes, 7);
    set(&f, CONFIG_TOPIC, "t", "max.message.bytes", NULL);
    assert_int_equal(resolve(&f).max_message_bytes, 6);
    set(&f, CONFIG_BROKER, "1", "log.retention.ms", "nonsense"); /* counts as absent */
    set(&f, CONFIG_TOPIC, "t", "retention.ms", NULL);
    assert_int_equal(resolve(&f).log.retention_ms, 1000);
    teardown(&f);
}

static void test_typed(void **state)
{
    struct fixture f;
    (void)state;
    setup_with(&f, NULL);
    set(&f, CONFIG_TOPIC, "t", "cleanup.policy", "compact, delete");
    set(&f, CONFIG_TOPIC, "t", "compression.type", "zstd");
    set(&f, CONFIG_TOPIC, "t", "compression.zstd.level", "7");
    set(&f, CONFIG_TOPIC, "t", "message.timestamp.type", "LogAppendTime");
    set(&f, CONFIG_TOPIC, "t", "internal.segment.bytes", "100");
    set(&f, CONFIG_TOPIC, "t", "retention.bytes", "-7");
    struct topic_config c = resolve(&f);
    assert_true(c.log.cleanup_delete && c.log.cleanup_compact && c.log.append_time);
    assert_int_equal(c.codec, CODEC_ZSTD);
    assert_int_equal(c.level, 7);
    assert_int_equal(c.log.segment_bytes, 100);
    assert_int_equal(c.log.retention_bytes, -1);
    set(&f, CONFIG_TOPIC, "t", "compression.type", "uncompressed");
    set(&f, CONFIG_TOPIC, "t", "cleanup.policy", "");
    c = resolve(&f);
    assert_int_equal(c.codec, CODEC_NONE);
    assert_true(!c.log.cleanup_delete && !c.log.cleanup_compact);
    set(&f, CONFIG_TOPIC, "t", "compression.type", "gzip");
    assert_int_equal(resolve(&f).level, CODEC_LEVEL_DEFAULT);
    teardown(&f);
}

/* ---- DescribeConfigs ---- */

static const struct describe_configs_response_describe_configs_result *
describe(struct fixture *f, int8_t type, const char *name, struct bytes *keys, int32_t n)
{
    struct describe_configs_request req;
    struct describe_configs_request_describe_configs_resource res;
    struct describe_configs_response *resp = ARENA_NEW(&f->arena, struct describe_configs_response);
    proto_msg_init(&describe_configs_request_msg, &req);
    proto_init(&describe_configs_request_describe_configs_resource_desc, &res);
    proto_msg_init(&describe_configs_response_msg, resp);
    req.resources = &res;
    req.resources_n = 1;
    req.include_synonyms = true;
    res.resource_type = type;
    res.resource_name = bytes_str(name);
    res.configuration_keys = keys;
    res.configuration_keys_n = n;
    config_describe(f->config, f->image, NULL, &req, &f->arena, resp);
    assert_int_equal(resp->results_n, 1);
    struct buf out = {0};
    struct errmsg em;
    assert_int_equal(proto_encode(&describe_configs_response_msg, 4, resp, &out, &em), 0);
    buf_free(&out);
    return &resp->results[0];
}

/* name=value:source{synonym=value:source,...} of one setting. */
static const char *entry(struct fixture *f, int8_t type, const char *resource, const char *name)
{
    struct bytes key = bytes_str(name);
    struct buf out = {0};
    const struct describe_configs_response_describe_configs_result *r =
        describe(f, type, resource, &key, 1);
    assert_int_equal(r->error_code, 0);
    for (int32_t i = 0; i < r->configs_n; i++) {
        const struct describe_configs_response_describe_configs_resource_result *e = &r->configs[i];
        buf_printf(&out, "%.*s=%.*s:%d%s{", BYTES_FMT(e->name), BYTES_FMT(e->value),
                   e->config_source, e->read_only ? "!" : "");
        for (int32_t k = 0; k < e->synonyms_n; k++) {
            buf_printf(&out, "%s%.*s=%.*s:%d", k ? "," : "", BYTES_FMT(e->synonyms[k].name),
                       BYTES_FMT(e->synonyms[k].value), e->synonyms[k].source);
        }
        buf_put_str(&out, "}");
    }
    const char *text = arena_strndup(&f->arena, out.data, out.len);
    buf_free(&out);
    return text;
}

static void test_describe_topic(void **state)
{
    const char *over[] = {"log.retention.hours=100", "log.cleanup.policy=compact", NULL};
    struct fixture f;
    (void)state;
    setup_with(&f, over);
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "retention.ms"), "retention.ms=360000000:5{}");
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "cleanup.policy"),
                        "cleanup.policy=compact:4{log.cleanup.policy=compact:4,"
                        "log.cleanup.policy=delete:5}");
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "flush.ms"),
                        "flush.ms=9223372036854775807:5{}");
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "no.such"), "");
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "internal.segment.bytes"), "");
    set(&f, CONFIG_TOPIC, "t", "max.message.bytes", "200");
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "max.message.bytes"),
                        "max.message.bytes=200:1{max.message.bytes=200:1,"
                        "message.max.bytes=1048588:5}");
    set(&f, CONFIG_BROKER, "", "log.retention.ms", "1000000");
    set(&f, CONFIG_BROKER, "1", "log.retention.ms", "77");
    assert_string_equal(entry(&f, CONFIG_TOPIC, "t", "retention.ms"),
                        "retention.ms=77:2{log.retention.ms=77:2,log.retention.ms=1000000:3,"
                        "log.retention.hours=100:4,log.retention.hours=168:5}");
    assert_int_equal(describe(&f, CONFIG_TOPIC, "t", NULL, -1)->configs_n, 33);
    assert_int_equal(describe(&f, CONFIG_TOPIC, "t", NULL, 0)->configs_n, 33);
    assert_int_equal(describe(&f, CONFIG_TOPIC, "nope", NULL, -1)->error_code,
                     KE_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(describe(&f, CONFIG_TOPIC, "bad name", NULL, -1)->error_code,
                     KE_INVALID_TOPIC_EXCEPTION);
    teardown(&f);
}

static void test_describe_broker(void **state)
{
    const char *over[] = {"foo.bar=1", "log.retention.hours=100", NULL};
    struct fixture f;
    (void)state;
    setup_with(&f, over);
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "node.id"), "node.id=1:4!{node.id=1:4}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "broker.id"),
                        "broker.id=1:4!{broker.id=1:4,broker.id=-1:5}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "log.retention.hours"),
                        "log.retention.hours=100:4!{log.retention.hours=100:4,"
                        "log.retention.hours=168:5}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "log.retention.ms"), "log.retention.ms=:5{}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "num.io.threads"),
                        "num.io.threads=8:5{num.io.threads=8:5}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "foo.bar"), "foo.bar=:4!{foo.bar=:4}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "io.threads"), ""); /* ours, not set */
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "ssl.keystore.password"),
                        "ssl.keystore.password=:5{}");
    assert_int_equal(describe(&f, CONFIG_BROKER, "1", NULL, -1)->configs_n, 341);
    assert_int_equal(describe(&f, CONFIG_BROKER, "", NULL, -1)->configs_n, 0);
    set(&f, CONFIG_BROKER, "", "min.insync.replicas", "1");
    set(&f, CONFIG_BROKER, "1", "leader.replication.throttled.rate", "5");
    assert_string_equal(entry(&f, CONFIG_BROKER, "", "min.insync.replicas"),
                        "min.insync.replicas=1:3{min.insync.replicas=1:3}");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "leader.replication.throttled.rate"),
                        "leader.replication.throttled.rate=5:2{"
                        "leader.replication.throttled.rate=5:2}");
    set(&f, CONFIG_BROKER, "", "leader.replication.throttled.rate", "6");
    assert_string_equal(entry(&f, CONFIG_BROKER, "1", "leader.replication.throttled.rate"),
                        "leader.replication.throttled.rate=5:2{"
                        "leader.replication.throttled.rate=5:2,"
                        "leader.replication.throttled.rate=6:3}");
    assert_int_equal(describe(&f, CONFIG_BROKER, "2", NULL, -1)->error_code, KE_INVALID_REQUEST);
    assert_int_equal(describe(&f, CONFIG_BROKER, "abc", NULL, -1)->error_code, KE_INVALID_REQUEST);
    assert_int_equal(describe(&f, 77, "1", NULL, -1)->error_code, KE_INVALID_REQUEST);
    teardown(&f);
}

static void test_describe_others(void **state)
{
    struct fixture f;
    (void)state;
    setup_with(&f, NULL);
    assert_string_equal(entry(&f, CONFIG_GROUP, "g", "consumer.session.timeout.ms"),
                        "consumer.session.timeout.ms=45000:5{"
                        "group.consumer.session.timeout.ms=45000:5}");
    assert_string_equal(entry(&f, CONFIG_GROUP, "g", "share.isolation.level"),
                        "share.isolation.level=read_uncommitted:5{"
                        "share.isolation.level=read_uncommitted:5}");
    set(&f, CONFIG_GROUP, "g", "consumer.session.timeout.ms", "50000");
    assert_string_equal(entry(&f, CONFIG_GROUP, "g", "consumer.session.timeout.ms"),
                        "consumer.session.timeout.ms=50000:8{consumer.session.timeout.ms=50000:8,"
                        "group.consumer.session.timeout.ms=45000:5}");
    assert_string_equal(entry(&f, CONFIG_CLIENT_METRICS, "m", "interval.ms"),
                        "interval.ms=300000:5{}");
    set(&f, CONFIG_CLIENT_METRICS, "m", "interval.ms", "100");
    assert_string_equal(entry(&f, CONFIG_CLIENT_METRICS, "m", "interval.ms"),
                        "interval.ms=100:7{interval.ms=100:7}");
    assert_string_equal(entry(&f, CONFIG_BROKER_LOGGER, "1", "root"), "root=INFO:6{}");
    assert_int_equal(describe(&f, CONFIG_GROUP, "", NULL, -1)->error_code, KE_INVALID_REQUEST);
    teardown(&f);
}

/* ---- the controller's questions ---- */

static int16_t judge(struct fixture *f, int8_t type, const char *resource, const char *name,
                     const char *value)
{
    struct image_config_entry e = {bytes_str(name), bytes_str(value)};
    struct errmsg em = {{0}};
    bool changed = true;
    int16_t code = f->validator.validate(f->validator.ctx, f->image, type, bytes_str(resource), &e,
                                         1, &changed, &em);
    assert_true((code == 0) == (em.text[0] == 0));
    return code;
}

static void test_validate(void **state)
{
    static const struct {
        int8_t type;
        const char *resource, *name, *value;
        int16_t code;
    } cases[] = {
        {CONFIG_TOPIC, "t", "retention.ms", "5", 0},
        {CONFIG_TOPIC, "t", "retention.ms", "abc", KE_INVALID_CONFIG},
        {CONFIG_TOPIC, "t", "retention.ms", NULL, KE_INVALID_CONFIG},
        {CONFIG_TOPIC, "t", "max.message.bytes", "-5", KE_INVALID_CONFIG},
        {CONFIG_TOPIC, "t", "no.such", "1", KE_INVALID_CONFIG},
        {CONFIG_TOPIC, "t", "min.compaction.lag.ms", "9223372036854775807", 0},
        {CONFIG_TOPIC, "t", "remote.storage.enable", "true", KE_INVALID_CONFIG},
        {CONFIG_TOPIC, "", "retention.ms", "5", KE_INVALID_REQUEST},
        {CONFIG_TOPIC, "a b", "retention.ms", "5", KE_INVALID_TOPIC_EXCEPTION},
        {CONFIG_BROKER, "1", "num.io.threads", "9", 0},
        {CONFIG_BROKER, "1", "num.io.threads", "16", 0},
        {CONFIG_BROKER, "1", "num.io.threads", "17", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "1", "num.io.threads", "3", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "1", "num.io.threads", "abc", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "1", "node.id", "5", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "1", "unknown.thing", "1", 0},
        {CONFIG_BROKER, "1", "listeners", "PLAINTEXT://:1", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "", "log.retention.ms", "5000000", 0},
        {CONFIG_BROKER, "", "log.retention.ms", "0", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "", "ssl.keystore.location", "x", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "1", "leader.replication.throttled.rate", "-5", KE_INVALID_REQUEST},
        {CONFIG_BROKER, "", "leader.replication.throttled.rate", "5", 0},
        {CONFIG_BROKER, "x", "num.io.threads", "9", KE_INVALID_REQUEST},
        {CONFIG_GROUP, "g", "consumer.session.timeout.ms", "50000", 0},
        {CONFIG_GROUP, "g", "consumer.session.timeout.ms", "1", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "consumer.session.timeout.ms", "60001", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "consumer.heartbeat.interval.ms", "4999", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "share.record.lock.duration.ms", "1000", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "share.delivery.count.limit", "2", 0},
        {CONFIG_GROUP, "g", "share.delivery.count.limit", "11", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "streams.num.standby.replicas", "3", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "share.auto.offset.reset", "none", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "g", "foo", "1", KE_INVALID_CONFIG},
        {CONFIG_GROUP, "", "consumer.session.timeout.ms", "50000", KE_INVALID_REQUEST},
        {CONFIG_CLIENT_METRICS, "m", "interval.ms", "100", 0},
        {CONFIG_CLIENT_METRICS, "m", "interval.ms", "1", KE_INVALID_REQUEST},
        {CONFIG_CLIENT_METRICS, "m", "interval.ms", "abc", KE_INVALID_CONFIG},
        {CONFIG_CLIENT_METRICS, "m", "foo", "1", KE_INVALID_REQUEST},
        {CONFIG_CLIENT_METRICS, "m", "match", "client_id=x", 0},
        {CONFIG_CLIENT_METRICS, "m", "match", "foo=x", KE_INVALID_CONFIG},
        {CONFIG_CLIENT_METRICS, "m", "match", "client_id", KE_INVALID_CONFIG},
        {77, "x", "a", "1", KE_INVALID_REQUEST},
    };
    struct fixture f;
    (void)state;
    setup_with(&f, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int16_t code = judge(&f, cases[i].type, cases[i].resource, cases[i].name, cases[i].value);
        if (code != cases[i].code) {
            fail_msg("%s %s=%s: %d, not %d", cases[i].resource, cases[i].name,
                     cases[i].value ? cases[i].value : "null", code, cases[i].code);
        }
    }
    set(&f, CONFIG_TOPIC, "t", "max.compaction.lag.ms", "5");
    teardown(&f);
}

static void test_rules_between_topic_settings(void **state)
{
    struct image_config_entry e[] = {{bytes_str("max.compaction.lag.ms"), bytes_str("5")},
                                     {bytes_str("min.compaction.lag.ms"), bytes_str("10")}};
    struct fixture f;
    struct errmsg em;
    (void)state;
    setup_with(&f, NULL);
    assert_int_equal(topic_config_check(f.config, f.image, e, 2, &em), KE_INVALID_CONFIG);
    assert_non_null(strstr(em.text, "min.compaction.lag.ms=10"));
    teardown(&f);
}

static void test_lists_and_effective(void **state)
{
    const char *over[] = {"log.cleanup.policy=compact", NULL};
    struct fixture f;
    struct bytes inherited;
    const struct config_effective *v;
    struct image_config_entry own = {bytes_str("retention.ms"), bytes_str("5")};
    size_t seen = 0;
    (void)state;
    setup_with(&f, over);
    void *ctx = f.validator.ctx;
    assert_true(f.validator.is_list(ctx, f.image, CONFIG_TOPIC, bytes_str("cleanup.policy"),
                                    &f.arena, &inherited));
    assert_true(bytes_eq_str(inherited, "compact"));
    assert_false(f.validator.is_list(ctx, f.image, CONFIG_TOPIC, bytes_str("retention.ms"),
                                     &f.arena, &inherited));
    assert_false(f.validator.is_list(ctx, f.image, CONFIG_TOPIC, bytes_str("no.such"), &f.arena,
                                     &inherited));
    assert_true(f.validator.is_list(ctx, f.image, CONFIG_BROKER, bytes_str("log.cleanup.policy"),
                                    &f.arena, &inherited));
    size_t n = f.validator.effective_topic(ctx, f.image, &own, 1, &f.arena, &v);
    assert_int_equal(n, 33);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || bytes_cmp(v[i - 1].name, v[i].name) < 0);
        if (bytes_eq_str(v[i].name, "retention.ms")) {
            assert_true(bytes_eq_str(v[i].value, "5") && v[i].source == 1);
            seen++;
        } else if (bytes_eq_str(v[i].name, "cleanup.policy")) {
            assert_true(bytes_eq_str(v[i].value, "compact") && v[i].source == 4);
            seen++;
        } else {
            assert_int_equal(v[i].source, 5);
        }
    }
    assert_int_equal(seen, 2);
    teardown(&f);
}

static void test_changed(void **state)
{
    struct fixture f;
    (void)state;
    setup_with(&f, NULL);
    static const struct {
        int8_t type;
        const char *resource;
        bool counts;
    } cases[] = {{CONFIG_BROKER, "", true},
                 {CONFIG_BROKER, "1", true},
                 {CONFIG_BROKER, "2", false},
                 {CONFIG_TOPIC, "t", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_delta *d = image_delta_new(f.image);
        struct config_record r;
        proto_msg_init(&config_record_msg, &r);
        r.resource_type = cases[i].type;
        r.resource_name = bytes_str(cases[i].resource);
        r.name = bytes_str("max.connections");
        r.value = bytes_str("5");
        put_record(d, "ConfigRecord", &r);
        struct image *next = image_delta_finish(d, 9, 1, 0);
        assert_int_equal(dynamic_config_changed(f.config, d), cases[i].counts);
        if (cases[i].counts) {
            assert_int_equal(dynamic_config_int(f.config, next, "max.connections"), 5);
        }
        image_put(next);
        image_delta_put(d);
    }
    assert_int_equal(dynamic_config_int(f.config, f.image, "max.connections"), INT32_MAX);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_describe_topic),
        cmocka_unit_test(test_describe_broker),
        cmocka_unit_test(test_describe_others),
        cmocka_unit_test(test_validate),
        cmocka_unit_test(test_rules_between_topic_settings),
        cmocka_unit_test(test_lists_and_effective),
        cmocka_unit_test(test_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
