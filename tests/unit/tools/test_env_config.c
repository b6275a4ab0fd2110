/* Variables of a container's environment as settings: names, the rules of Kafka's image, what is
 * left out, what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/config.h"
#include "tools/env_config.h"
#include "tools/server_config.h"

#define ENV(...) ((char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define BROKER                                        \
    "KAFKA_PROCESS_ROLES=broker", "KAFKA_NODE_ID=11", \
        "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER", "KAFKA_CONTROLLER_QUORUM_VOTERS=1@c1:9093"

struct said {
    char text[4096];
};

static void keep(void *ctx, enum log_level level, const char *line, size_t len)
{
    (void)level;
    struct said *s = ctx;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%.*s", (int)len, line);
}

static int64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

/* The configuration by variables alone, or over a file with that text; NULL: em says why. */
static struct config *load(const char *text, char *const *env, struct said *said, struct errmsg *em)
{
    char path[] = "/tmp/test_env_config.XXXXXX";
    struct logger lg = {.level = LOG_INFO, .wall_ms = no_time, .sink = keep, .ctx = said};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_true(fputs(text ? text : "", f) >= 0);
    assert_int_equal(fclose(f), 0);
    *said = (struct said){{0}};
    *em = (struct errmsg){{0}};
    struct server_options o = {.file = text ? path : NULL, .environment = env};
    struct config *c = server_config_load(&o, &lg, em);
    remove(path);
    return c;
}

static struct config *good(const char *text, char *const *env, struct said *said)
{
    struct errmsg em;
    struct config *c = load(text, env, said, &em);
    if (c == NULL) {
        print_error("%s\n", em.text);
    }
    assert_non_null(c);
    return c;
}

/* Refused, with all of these in the sentence. */
static void refused(char *const *env, const char *a, const char *b)
{
    struct errmsg em;
    struct said said;
    struct config *c = load(NULL, env, &said, &em);
    assert_null(c);
    if (strstr(em.text, a) == NULL || strstr(em.text, b) == NULL) {
        print_error("%s\n", em.text);
    }
    assert_non_null(strstr(em.text, a));
    assert_non_null(strstr(em.text, b));
}

static void names(void **state)
{
    static const char *const pairs[][2] = {
        {"NUM_PARTITIONS", "num.partitions"},
        {"ABC_DEF", "abc.def"},
        {"ABC__DEF", "abc_def"},
        {"ABC___DEF", "abc-def"},
        {"LISTENER_NAME_INTERNAL_SASL___X_JAAS__CONFIG",
         "listener.name.internal.sasl-x.jaas_config"},
        {"A____B", "a-.b"},
        {"A_____B", "a-_b"},
        {"A______B", "a--b"},
        {"num.partitions", "num.partitions"},
        {"_X_", ".x."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char out[ENV_NAME_MAX];
        assert_true(env_setting_of(pairs[i][0], out));
        assert_string_equal(out, pairs[i][1]);
    }
    char out[ENV_NAME_MAX], back[ENV_NAME_MAX], longest[ENV_NAME_MAX + 1];
    assert_false(env_setting_of("", out));
    memset(longest, 'A', ENV_NAME_MAX);
    longest[ENV_NAME_MAX] = '\0';
    assert_false(env_setting_of(longest, out));
    assert_true(env_setting_of(longest + 1, out));
    /* every setting has a variable, which leads back to it */
    for (size_t i = 0; i < config_broker_table.n; i++) {
        env_variable_of(config_broker_table.defs[i].name, out);
        assert_int_equal(strncmp(out, "KAFKA_", 6), 0);
        assert_true(env_setting_of(out + 6, back));
        assert_string_equal(back, config_broker_table.defs[i].name);
    }
}

static void variables(void **state)
{
    char *const *env = ENV("A=1", "CLUSTER_ID=x=y", "CLUSTER=z", "EMPTY=");
    (void)state;
    assert_string_equal(env_get(env, "CLUSTER_ID"), "x=y");
    assert_string_equal(env_get(env, "A"), "1");
    assert_null(env_get(env, "EMPTY"));
    assert_null(env_get(env, "CLUSTER_"));
}

static void nothing_given(void **state)
{
    (void)state;
    struct said said;
    struct config *c = good(NULL, ENV("PATH=/bin", "KAFKAESQUE=1"), &said);
    assert_true(c->is_broker && c->is_controller && !c->zero);
    assert_int_equal(c->node_id, 1);
    assert_string_equal(c->v.listeners, "PLAINTEXT://:9092,CONTROLLER://:9093");
    assert_string_equal(config_listener(c, "PLAINTEXT")->advertised_host, "localhost");
    assert_string_equal(c->log_dirs[0], ENV_DATA_DIR);
    assert_int_equal(c->v.offsets_topic_replication_factor, 1);
    assert_string_equal(said.text, "");
    config_free(c);
    c = good("# empty\n", ENV(), &said); /* a file that says nothing */
    assert_true(c->is_broker && c->is_controller);
    config_free(c);
}

static void by_variables(void **state)
{
    (void)state;
    struct said said;
    struct config *c =
        good(NULL,
             ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT://:9092", "KAFKA_NUM_PARTITIONS=7",
                 "KAFKA_LOG_DIRS=/a,/b", "KAFKA_LOG4J_ROOT_LOGLEVEL=WARN"),
             &said);
    assert_true(c->is_broker && !c->is_controller);
    assert_int_equal(c->node_id, 11);
    assert_int_equal(c->v.num_partitions, 7);
    assert_int_equal(c->log_dirs_n, 2);
    assert_string_equal(c->v.log_level, "warn");
    assert_int_equal(c->v.offsets_topic_replication_factor, 3); /* as Kafka: its own default */
    config_free(c);
    c = good(NULL, ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT://:9092"), &said);
    assert_string_equal(c->log_dirs[0], ENV_DATA_DIR);
    config_free(c);
}

static void over_a_file(void **state)
{
    static const char file[] = "process.roles=broker\nnode.id=4\nlisteners=PLAINTEXT://:9092\n"
                               "controller.listener.names=CONTROLLER\nlog.dirs=/f\n"
                               "controller.quorum.voters=1@c1:9093\nnum.partitions=2\n";
    (void)state;
    struct said said;
    struct config *c = good(file, ENV("KAFKA_NODE_ID=5", "KAFKA_NUM_PARTITIONS=9"), &said);
    assert_int_equal(c->node_id, 5);
    assert_int_equal(c->v.num_partitions, 9);
    assert_string_equal(c->log_dirs[0], "/f");
    config_free(c);
    /* what the file says of listeners stands beside an advertised address from outside */
    c = good(file, ENV("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://b4:9092"), &said);
    assert_string_equal(c->v.listeners, "PLAINTEXT://:9092");
    assert_string_equal(config_listener(c, "PLAINTEXT")->advertised_host, "b4");
    config_free(c);
}

static void listeners(void **state)
{
    (void)state;
    struct said said;
    struct config *c = good(
        NULL,
        ENV(BROKER, "KAFKA_LISTENERS=",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME=IN",
            "KAFKA_ADVERTISED_LISTENERS=OUT://localhost:9092, IN://[fd00::1]:19092"),
        &said);
    assert_string_equal(c->v.listeners, "OUT://:9092,IN://:19092");
    assert_string_equal(config_listener(c, "IN")->advertised_host, "fd00::1");
    config_free(c);
    /* a controller takes no listeners from what it advertises */
    struct errmsg em;
    c = load(NULL,
             ENV("KAFKA_PROCESS_ROLES=controller", "KAFKA_NODE_ID=1",
                 "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
                 "KAFKA_CONTROLLER_QUORUM_VOTERS=1@c1:9093",
                 "KAFKA_ADVERTISED_LISTENERS=CONTROLLER://c1:9093"),
             &said, &em);
    assert_null(c);
    assert_non_null(strstr(em.text, "KAFKA_ADVERTISED_LISTENERS"));
}

static void left_out(void **state)
{
    (void)state;
    struct said said;
    struct config *c =
        good(NULL,
             ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT://:9092", "KAFKA_HEAP_OPTS=-Xmx1g",
                 "KAFKA_NUM_PARTITONS=3", "KAFKA_PORT=tcp://10.0.0.1:9092",
                 "KAFKA_LISTENER_NAME_PLAINTEXT_SASL_MECHANISM=X"),
             &said);
    assert_int_equal(c->v.num_partitions, 1);
    assert_non_null(strstr(
        said.text, "variable=KAFKA_NUM_PARTITONS name=num.partitons meant=KAFKA_NUM_PARTITIONS\n"));
    assert_non_null(strstr(said.text, "ignored variable=KAFKA_PORT name=port\n"));
    assert_non_null(strstr(said.text, "without meaning here variable=KAFKA_HEAP_OPTS\n"));
    assert_non_null(strstr(said.text, "name=listener.name.plaintext.sasl.mechanism "
                                      "at=KAFKA_LISTENER_NAME_PLAINTEXT_SASL_MECHANISM"));
    config_free(c);
}

static void refusals(void **state)
{
    (void)state;
    refused(ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT://:9092", "KAFKA_NUM_PARTITIONS=many"), "many",
            "KAFKA_NUM_PARTITIONS");
    refused(ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT://:9092", "KAFKA_NUM_PARTITIONS="),
            "num.partitions", "KAFKA_NUM_PARTITIONS");
    refused(ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT:9092"), "PLAINTEXT:9092", "KAFKA_LISTENERS");
    refused(ENV(BROKER, "KAFKA_ADVERTISED_LISTENERS=nonsense"), "nonsense",
            "KAFKA_ADVERTISED_LISTENERS");
    refused(ENV("KAFKA_NODE_ID=1", "KAFKA_CONTROLLER_LISTENER_NAMES=C"), "process.roles",
            "KAFKA_PROCESS_ROLES");
    refused(ENV("KAFKA_PROCESS_ROLES=broker", "KAFKA_CONTROLLER_LISTENER_NAMES=C"),
            "node.id is missing", "KAFKA_NODE_ID");
    refused(ENV(BROKER, "KAFKA_LISTENERS=PLAINTEXT://:9092", "KAFKA_LOG4J_ROOT_LOGLEVEL=LOUD"),
            "LOUD", "KAFKA_LOG4J_ROOT_LOGLEVEL");
}

static void explained(void **state)
{
    (void)state;
    struct errmsg em = {"x y.z is bad; node.id must be 1."};
    env_config_explain(&em);
    assert_string_equal(em.text,
                        "x y.z is bad; node.id must be 1. (node.id is the variable KAFKA_NODE_ID)");
    struct errmsg ends = {"look at log.dirs."};
    env_config_explain(&ends);
    assert_string_equal(ends.text, "look at log.dirs. (log.dirs is the variable KAFKA_LOG_DIRS)");
    struct errmsg named = {"KAFKA_NODE_ID: node.id"};
    env_config_explain(&named);
    assert_string_equal(named.text, "KAFKA_NODE_ID: node.id");
    struct errmsg none = {"the disk is full"};
    env_config_explain(&none);
    assert_string_equal(none.text, "the disk is full");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),         cmocka_unit_test(variables),
        cmocka_unit_test(nothing_given), cmocka_unit_test(by_variables),
        cmocka_unit_test(over_a_file),   cmocka_unit_test(listeners),
        cmocka_unit_test(left_out),      cmocka_unit_test(refusals),
        cmocka_unit_test(explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
