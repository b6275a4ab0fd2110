#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/buf.h"
#include "broker/config.h"

static const struct config_machine machine = {.hostname = "box.example",
                                              .processors = 4,
                                              .memory_bytes = (uint64_t)8 << 30,
                                              .tmp_dir = "/tmp"};

static const char base_text[] = "process.roles=broker,controller\nnode.id=1\n"
                                "controller.quorum.voters=1@localhost:9093\n"
                                "controller.listener.names=CONTROLLER\n"
                                "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
                                "advertised.listeners=PLAINTEXT://me:9092\n";

static int64_t no_clock(void *ctx)
{
    (void)ctx;
    return 0;
}

static void to_buf(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    buf_put(ctx, line, len);
}

/* Loads the sample with overrides (NULL ends them); "-name" takes a line of the sample away. */
static struct config *load(struct errmsg *em, int *rc, struct buf *log, const char *const *over)
{
    struct config *c = config_new();
    struct buf text = {0};
    struct logger lg = {LOG_INFO, no_clock, to_buf, log};
    buf_put_str(&text, base_text);
    for (size_t i = 0; over[i]; i++) {
        if (over[i][0] == '-') {
            char *line = strstr(buf_cstr(&text), over[i] + 1);
            assert_non_null(line);
            *line = '#';
        }
    }
    assert_int_equal(config_add_properties(c, buf_bytes(&text), "server.properties", em), 0);
    for (size_t i = 0; over[i]; i++) {
        if (over[i][0] != '-') {
            assert_int_equal(config_add_override(c, over[i], em), 0);
        }
    }
    *rc = config_finish(c, &machine, log ? &lg : NULL, em);
    buf_free(&text);
    return c;
}

#define OVER(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct config *good(const char *const *over)
{
    struct errmsg em = {{0}};
    int rc;
    struct config *c = load(&em, &rc, NULL, over);
    if (rc) {
        fail_msg("%s", em.text);
    }
    return c;
}

/* The sentence holds all of the words. */
static void bad(const char *const *over, const char *word1, const char *word2)
{
    struct errmsg em = {{0}};
    int rc;
    struct config *c = load(&em, &rc, NULL, over);
    if (rc == 0) {
        fail_msg("accepted: %s", over[0]);
    }
    if (!strstr(em.text, word1) || !strstr(em.text, word2)) {
        fail_msg("%s: `%s` lacks %s or %s", over[0], em.text, word1, word2);
    }
    config_free(c);
}

static void test_sample(void **state)
{
    struct config *c = good(OVER("num.partitions=3"));
    (void)state;
    assert_true(c->is_broker && c->is_controller && !c->zero);
    assert_int_equal(c->node_id, 1);
    assert_int_equal(c->v.num_partitions, 3);
    assert_int_equal(c->v.socket_request_max_bytes, 104857600);
    assert_int_equal(c->voters_n, 1);
    assert_string_equal(c->voters[0].host, "localhost");
    assert_int_equal(c->voters[0].port, 9093);
    assert_int_equal(c->log_dirs_n, 1);
    assert_string_equal(c->log_dirs[0], "/tmp/kafka-logs");
    assert_string_equal(c->metadata_log_dir, "/tmp/kafka-logs");
    assert_int_equal(c->retention_ms, 604800000);
    assert_int_equal(c->roll_ms, 604800000);
    assert_int_equal(c->flush_ms, INT64_MAX);
    assert_int_equal(c->data_shards, 4);
    assert_int_equal(c->request_memory, (uint64_t)2 << 30);
    assert_null(c->v.broker_rack);
    const struct listener_config *l = config_listener(c, "PLAINTEXT");
    assert_string_equal(l->host, "");
    assert_string_equal(l->bind[0], "");
    assert_int_equal(l->binds, 1);
    assert_string_equal(l->advertised_host, "me");
    assert_ptr_equal(&c->listeners.v[c->listeners.inter_broker], l);
    l = config_listener(c, "CONTROLLER");
    assert_true(l->controller);
    assert_string_equal(l->advertised_host, "box.example");
    config_free(c);
}

static void test_later_values_win(void **state)
{
    struct config *c = good(OVER("node.id=1", "num.partitions=3", "num.partitions=5"));
    (void)state;
    assert_int_equal(c->v.num_partitions, 5);
    assert_true(config_is_set(c, "num.partitions"));
    assert_false(config_is_set(c, "num.io.threads"));
    config_free(c);
}

static void test_zero_configuration(void **state)
{
    struct errmsg em;
    struct config *c = config_new();
    (void)state;
    config_zero(c, "./millrace-data", 19092);
    if (config_finish(c, &machine, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    assert_true(c->zero && c->is_broker && c->is_controller);
    assert_string_equal(c->log_dirs[0], "./millrace-data");
    assert_int_equal(c->v.offsets_topic_replication_factor, 1);
    assert_int_equal(c->v.transaction_state_log_min_isr, 1);
    const struct listener_config *l = config_listener(c, "PLAINTEXT");
    assert_int_equal(l->port, 19092);
    assert_int_equal(l->binds, 2);
    assert_string_equal(l->bind[0], "127.0.0.1");
    assert_string_equal(l->bind[1], "::1");
    assert_string_equal(l->advertised_host, "localhost");
    assert_int_equal(config_listener(c, "CONTROLLER")->port, 19093);
    assert_int_equal(c->voters[0].port, 19093);
    config_free(c);

    c = config_new();
    config_zero(c, "d", 19092);
    config_add_override(c, "node.id=7", &em);
    config_add_override(c, "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0", &em);
    assert_int_equal(config_finish(c, &machine, NULL, &em), 0);
    assert_int_equal(c->voters[0].id, 7);
    assert_string_equal(c->voters[0].host, "127.0.0.1");
    config_free(c);
}

static void test_bad_values(void **state)
{
    (void)state;
    bad(OVER("num.partitions=0"), "num.partitions=0", "at least 1");
    bad(OVER("num.io.threads=abc"), "num.io.threads=abc", "not an int");
    bad(OVER("auto.create.topics.enable=maybe"), "maybe", "true or false");
    bad(OVER("compression.type=foo"), "foo", "zstd");
    bad(OVER("log.segment.bytes=14"), "14", "at least 1048576");
    bad(OVER("log.retention.ms=0"), "log.retention.ms", "at least 1");
    bad(OVER("log.retention.hours=0"), "log.retention.ms", "at least 1");
    bad(OVER("log.retention.hours=99999999999"), "log.retention.hours", "int");
    bad(OVER("log.dirs="), "log.dirs", "at least one entry");
    bad(OVER("log.dirs=/a, ,/b"), "log.dirs", "/a, ,/b");
    bad(OVER("log.dirs=/a,/a/"), "log.dirs", "twice");
    bad(OVER("max.connections.per.ip=0"), "max.connections.per.ip", "overrides");
    bad(OVER("max.connections.per.ip.overrides=a:x"), "a:x", "ADDRESS:COUNT");
    bad(OVER("max.connections.per.ip.overrides=a"), "`a`", "ADDRESS:COUNT");
    bad(OVER("queued.max.request.bytes=100"), "queued.max.request.bytes=100", "104857600");
    bad(OVER("replica.fetch.wait.max.ms=40000"), "replica.socket.timeout.ms", "40000");
    bad(OVER("io.backend=epoll"), "io.backend=epoll", "io_uring");
    bad(OVER("controller.raft.election.timeout.ms=60"), "half", "60");
    bad(OVER("num.partitions=x"), "--override", "num.partitions");
}

static void test_missing(void **state)
{
    (void)state;
    bad(OVER("-node.id"), "node.id", "missing");
    bad(OVER("-process.roles"), "process.roles", "missing");
    bad(OVER("-controller.listener.names"), "controller.listener.names", "missing");
    bad(OVER("-controller.quorum.voters"), "controller.quorum.voters", "missing");
}

static void test_roles_and_voters(void **state)
{
    (void)state;
    bad(OVER("process.roles="), "process.roles", "broker, controller");
    bad(OVER("process.roles=foo"), "foo", "broker, controller");
    bad(OVER("node.id=2"), "node.id=2", "controller.quorum.voters");
    bad(OVER("node.id=-1"), "node.id=-1", "at least 0");
    bad(OVER("process.roles=broker", "listeners=PLAINTEXT://:9092"), "no controller", "node.id=1");
    bad(OVER("controller.quorum.voters=1@localhost"), "1@localhost", "ID@HOST:PORT");
    bad(OVER("controller.quorum.voters=x@localhost:1"), "x@localhost:1", "ID@HOST:PORT");
    bad(OVER("controller.quorum.voters=1@a:1,1@b:2"), "voter 1", "twice");
    bad(OVER("controller.quorum.voters=1@0.0.0.0:9093"), "0.0.0.0", "controller.quorum.voters");
    bad(OVER("controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093",
             "socket.request.max.bytes=8388608"),
        "socket.request.max.bytes=8388608", "10485760");
    bad(OVER("broker.id=9"), "broker.id=9", "node.id=1");

    struct config *c = good(OVER("-node.id", "broker.id=1"));
    assert_int_equal(c->node_id, 1);
    config_free(c);
    c = good(OVER("controller.quorum.voters=1@[::1]:9093,2@b:9093,3@c:9093"));
    assert_int_equal(c->voters_n, 3);
    assert_string_equal(c->voters[0].host, "::1");
    config_free(c);
    c = good(OVER("process.roles=broker", "node.id=2", "listeners=PLAINTEXT://:9092"));
    assert_true(c->is_broker && !c->is_controller);
    config_free(c);
    c = good(
        OVER("process.roles=controller", "listeners=CONTROLLER://:9093", "-advertised.listeners"));
    assert_true(!c->is_broker && c->is_controller);
    config_free(c);
    c = good(
        OVER("-controller.quorum.voters", "controller.quorum.bootstrap.servers=localhost:9093"));
    assert_int_equal(c->voters_n, 1);
    assert_int_equal(c->voters[0].id, -1);
    assert_true(config_learns_voters(c) && config_begins_with_itself(c));
    config_free(c);
    c = good(OVER("-controller.quorum.voters",
                  "controller.quorum.bootstrap.servers=localhost:9093,b:9093"));
    assert_int_equal(c->voters_n, 2);
    assert_true(config_learns_voters(c) && !config_begins_with_itself(c));
    config_free(c);
    bad(OVER("-controller.quorum.voters"), "controller.quorum.voters",
        "controller.quorum.bootstrap.servers");
}

static void test_listener_rules(void **state)
{
    const char *map = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,P2:PLAINTEXT,"
                      "CONTROLLER:PLAINTEXT,S:SSL";
    (void)state;
    bad(OVER("listeners=PLAINTEXT://:9092"), "CONTROLLER", "listeners");
    bad(OVER("listeners=CONTROLLER://:9093", "-advertised.listeners"), "a broker needs a listener",
        "");
    bad(OVER("listeners="), "listeners", "at least one entry");
    bad(OVER("listeners=PLAINTEXT://:9092,CONTROLLER://:9092"), "same port", "9092");
    bad(OVER("listeners=PLAINTEXT://:9092,PLAINTEXT://:9094,CONTROLLER://:9093"), "PLAINTEXT",
        "two");
    bad(OVER("listeners=FOO://:9092,CONTROLLER://:9093"), "FOO", "security protocol");
    bad(OVER(map, "listeners=PLAINTEXT://127.0.0.1:9092,P2://127.0.0.2:9092,CONTROLLER://:9093"),
        "same port", "9092");
    bad(OVER("listeners=PLAINTEXT:9092,CONTROLLER://:9093"), "PLAINTEXT:9092", "NAME://HOST:PORT");
    bad(OVER("listeners=PLAINTEXT://:99999,CONTROLLER://:9093"), "99999", "65535");
    bad(OVER("listeners=PLAINTEXT://:-1,CONTROLLER://:9093"), "-1", "65535");
    bad(OVER(map, "listeners=S://:9092,CONTROLLER://:9093", "inter.broker.listener.name=S"), "SSL",
        "not serve yet");
    bad(OVER("listener.security.protocol.map=PLAINTEXT:PLAINTEXT"), "CONTROLLER", "protocol");
    bad(OVER("listener.security.protocol.map=PLAINTEXT:FOO,CONTROLLER:PLAINTEXT"), "FOO",
        "SASL_SSL");
    bad(OVER("listener.security.protocol.map=PLAINTEXT"), "PLAINTEXT", "NAME:PROTOCOL");
    bad(OVER("controller.listener.names=FOO"), "CONTROLLER", "protocol");
    bad(OVER("controller.listener.names=CONTROLLER,FOO"), "FOO", "listeners");
    bad(OVER("process.roles=controller", "-advertised.listeners"), "only a controller",
        "PLAINTEXT");
    bad(OVER("process.roles=broker", "node.id=2"), "CONTROLLER", "not a controller");

    struct config *c =
        good(OVER(map, "listeners=PLAINTEXT://127.0.0.1:9092,p2://[::1]:9092,CONTROLLER://:9093"));
    assert_string_equal(config_listener(c, "P2")->bind[0], "::1");
    assert_null(config_listener(c, "P2")->advertised_host); /* not in advertised.listeners */
    config_free(c);
}

static void test_advertised_rules(void **state)
{
    (void)state;
    bad(OVER("advertised.listeners=PLAINTEXT://0.0.0.0:9092"), "0.0.0.0", "advertised.listeners");
    bad(OVER("-advertised.listeners", "listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://:9093"),
        "0.0.0.0", "advertised.listeners");
    bad(OVER("advertised.listeners=CONTROLLER://h:9093"), "a broker needs a listener", "");
    bad(OVER("advertised.listeners=FOO://h:9093"), "FOO", "protocol");
    bad(OVER("advertised.listeners=SSL://h:9093"), "SSL", "");
    bad(OVER("advertised.listeners=PLAINTEXT://a:1,PLAINTEXT://b:2"), "two", "PLAINTEXT");
    bad(OVER("advertised.listeners="), "advertised.listeners", "");
    bad(OVER("inter.broker.listener.name=CONTROLLER"), "CONTROLLER", "inter.broker.listener.name");
    bad(OVER("inter.broker.listener.name=FOO"), "FOO", "inter.broker.listener.name");
    bad(OVER("inter.broker.listener.name=PLAINTEXT", "security.inter.broker.protocol=PLAINTEXT"),
        "both", "inter.broker.listener.name");
    bad(OVER("security.inter.broker.protocol=SSL"), "SSL", "security.inter.broker.protocol");

    struct config *c = good(OVER("-advertised.listeners"));
    assert_string_equal(config_listener(c, "PLAINTEXT")->advertised_host, "box.example");
    config_free(c);
    c = good(OVER("advertised.listeners=PLAINTEXT://h:0,CONTROLLER://ctl:1"));
    assert_int_equal(config_listener(c, "PLAINTEXT")->advertised_port, 0);
    assert_string_equal(config_listener(c, "CONTROLLER")->advertised_host, "ctl");
    config_free(c);
}

static void test_synonyms(void **state)
{
    (void)state;
    struct config *c = good(OVER("log.retention.hours=1"));
    assert_int_equal(c->retention_ms, 3600000);
    config_free(c);
    c = good(OVER("log.retention.hours=1", "log.retention.minutes=5"));
    assert_int_equal(c->retention_ms, 300000);
    config_free(c);
    c = good(OVER("log.retention.hours=1", "log.retention.minutes=5", "log.retention.ms=-1"));
    assert_int_equal(c->retention_ms, -1);
    config_free(c);
    c = good(OVER("log.retention.hours=-1", "log.roll.hours=2", "log.roll.jitter.ms=9",
                  "log.flush.scheduler.interval.ms=77"));
    assert_int_equal(c->retention_ms, -1);
    assert_int_equal(c->roll_ms, 7200000);
    assert_int_equal(c->roll_jitter_ms, 9);
    assert_int_equal(c->flush_ms, 77);
    config_free(c);
    c = good(OVER("log.dir=/x", "log.dirs=/a , /b/", "metadata.log.dir=/m"));
    assert_int_equal(c->log_dirs_n, 2);
    assert_string_equal(c->log_dirs[1], "/b");
    assert_string_equal(c->metadata_log_dir, "/m");
    config_free(c);
}

static void test_warnings(void **state)
{
    struct buf log = {0};
    struct errmsg em;
    int rc;
    struct config *c = load(&em, &rc, &log,
                            OVER("no.such.name=1", "ssl.protocol=TLSv1.3", "num.io.threads=8",
                                 "listener.name.plaintext.ssl.keystore.type=x"));
    (void)state;
    assert_int_equal(rc, 0);
    const char *text = buf_cstr(&log);
    assert_non_null(strstr(text, "unknown setting, ignored name=no.such.name"));
    assert_non_null(strstr(text, "name=ssl.protocol"));
    assert_non_null(strstr(text, "name=num.io.threads"));
    assert_null(strstr(text, "name=node.id"));
    assert_non_null(strstr(text, "does not use name=listener.name.plaintext.ssl.keystore.type"));
    config_free(c);
    buf_free(&log);
}

static void test_file_errors_name_the_line(void **state)
{
    struct errmsg em = {{0}};
    struct config *c = config_new();
    (void)state;
    assert_int_equal(config_add_properties(c, bytes_str("a=1\nb=\\uxx"), "f.properties", &em),
                     ERR_INVALID);
    assert_non_null(strstr(em.text, "f.properties: line 2"));
    assert_int_equal(config_add_override(c, "novalue", &em), ERR_INVALID);
    assert_non_null(strstr(em.text, "novalue"));
    config_free(c);

    c = config_new();
    assert_int_equal(
        config_add_properties(c, bytes_str("process.roles=broker\nnode.id=x"), "f", &em), 0);
    assert_int_equal(config_finish(c, &machine, NULL, &em), ERR_INVALID);
    config_free(c);
}

static void load_sample(const char *name, bool broker, bool controller)
{
    char path[512];
    static char text[16384];
    struct errmsg em = {{0}};
    struct buf log = {0};
    struct logger lg = {LOG_WARN, no_clock, to_buf, &log};
    struct config *c = config_new();
    snprintf(path, sizeof path, "%s/../../deploy/%s", TEST_DATA, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_true(n > 0 && n < sizeof text);
    assert_int_equal(config_add_properties(c, bytes_of(text, n), name, &em), 0);
    if (config_finish(c, &machine, &lg, &em)) {
        fail_msg("%s", em.text);
    }
    assert_true(c->is_broker == broker && c->is_controller == controller);
    assert_null(strstr(buf_cstr(&log), "unknown"));
    if (broker) { /* groups work on what the samples describe: a node alone, or one of three */
        assert_int_equal(c->v.offsets_topic_replication_factor, controller ? 1 : 3);
    }
    buf_free(&log);
    config_free(c);
}

static void test_samples(void **state)
{
    (void)state;
    load_sample("server.properties", true, true);
    load_sample("broker.properties", true, false);
    load_sample("controller.properties", false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_later_values_win),
        cmocka_unit_test(test_zero_configuration),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_roles_and_voters),
        cmocka_unit_test(test_listener_rules),
        cmocka_unit_test(test_advertised_rules),
        cmocka_unit_test(test_synonyms),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_file_errors_name_the_line),
        cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
