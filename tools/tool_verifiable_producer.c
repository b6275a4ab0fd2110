/* millrace verifiable-producer: writes the numbers 0, 1, 2, ... into a topic and says of each
 * whether it was acknowledged, one JSON object a line, with the options and events of
 * kafka-verifiable-producer.sh, on librdkafka. SIGINT and SIGTERM: what is under way is delivered
 * first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto_errors.h"
#include "tools/args.h"
#include "tools/clock.h"
#include "tools/events.h"
#include "tools/rdk.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The servers to connect to. Required."},
    {"topic", ARG_VALUE, "NAME", "The topic to write to. Required."},
    {"max-messages", ARG_VALUE, "N", "How many numbers; -1, the default, goes on until a signal."},
    {"throughput", ARG_VALUE, "N",
     "About that many a second; -1, the default, as fast as it goes."},
    {"acks", ARG_VALUE, "ACKS", "0, 1 or -1 (-1)."},
    {"message-create-time", ARG_VALUE, "MS", "Timestamps begin here; -1, the default: now."},
    {"value-prefix", ARG_VALUE, "N", "Values are N.0, N.1, ... then."},
    {"repeating-keys", ARG_VALUE, "N", "Keys 0 to N-1 over and over; without it there are none."},
    {"command-config", ARG_VALUE, "FILE", "Producer settings from a file."},
    {"producer.config", ARG_VALUE, "FILE", "Kafka's older name of command-config."},
};

static const struct args_spec spec = {
    .tool = "verifiable-producer",
    .about = "write numbers into a topic and say which were acknowledged",
    .examples = "  millrace verifiable-producer --bootstrap-server localhost:9092 --topic numbers "
                "--max-messages 1000\n"
                "  millrace verifiable-producer --bootstrap-server localhost:9092 --topic numbers "
                "--throughput 50 --value-prefix 7 --repeating-keys 10\n",
    .defs = defs,
    .n = sizeof defs / sizeof defs[0],
};

struct producer {
    rd_kafka_t *rk;
    const char *topic;
    int64_t sent, acked;
    struct buf line;
};

/* The key of a record that has none is null. */
static void put_record(struct producer *p, const char *event, const void *key, size_t key_n,
                       const void *value, size_t value_n)
{
    event_begin(&p->line, event);
    event_text(&p->line, "key", key, key_n);
    event_text(&p->line, "value", value, value_n);
}

/* Kafka's name of the class of its exception, where the error is one of the broker's. */
static void put_error(struct buf *b, rd_kafka_resp_err_t err)
{
    const char *class = (int)err > 0 && (int)err <= KE_MAX        ? kafka_error_class((int16_t)err)
                        : err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ? "TimeoutException"
                                                                  : NULL;
    char text[200];
    snprintf(text, sizeof text, "class org.apache.kafka.common.%s%s", class ? "errors." : "",
             class ? class : "KafkaException");
    event_cstr(b, "exception", text);
    event_cstr(b, "message", rd_kafka_err2str(err));
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct producer *p = opaque;
    UNUSED(rk);
    put_record(p, m->err ? "producer_send_error" : "producer_send_success", m->key, m->key_len,
               m->payload, m->len);
    if (m->err) {
        event_cstr(&p->line, "topic", p->topic);
        put_error(&p->line, m->err);
    } else {
        p->acked++;
        event_number(&p->line, "offset", m->offset < 0 ? -1 : m->offset); /* acks=0: not known */
        event_cstr(&p->line, "topic", p->topic);
        event_number(&p->line, "partition", m->partition);
    }
    event_print(&p->line);
}

struct plan {
    int64_t max, throughput, create_time, prefix, keys; /* -1: none */
    int64_t started;
};

static int64_t limit(const struct args *a, const char *name, int64_t min)
{
    return args_int(a, name, -1, min, INT64_MAX);
}

static void send_one(struct producer *p, struct plan *plan, int64_t i)
{
    char key[24], value[48];
    size_t key_n = 0, value_n;
    if (plan->keys > 0) {
        key_n = (size_t)snprintf(key, sizeof key, "%lld", (long long)(i % plan->keys));
    }
    value_n = (size_t)(plan->prefix >= 0 ? snprintf(value, sizeof value, "%lld.%lld",
                                                    (long long)plan->prefix, (long long)i)
                                         : snprintf(value, sizeof value, "%lld", (long long)i));
    int64_t timestamp = plan->create_time < 0 ? 0 : plan->create_time;
    rd_kafka_resp_err_t err;
    while ((err = rd_kafka_producev(
                p->rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                RD_KAFKA_V_KEY(key_n ? key : NULL, key_n), RD_KAFKA_V_VALUE(value, value_n),
                RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END)) ==
           RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(p->rk, 100);
    }
    p->sent++;
    if (plan->create_time >= 0) { /* it runs ahead, as in Kafka's tool */
        plan->create_time += wall_ms() - plan->started;
    }
    if (err) {
        put_record(p, "producer_send_error", key_n ? key : NULL, key_n, value, value_n);
        event_cstr(&p->line, "topic", p->topic);
        put_error(&p->line, err);
        event_print(&p->line);
    }
}

/* Serves deliveries until the time for the next number has come. */
static void wait_turn(struct producer *p, const struct plan *plan, int64_t sent)
{
    int64_t due = plan->started + sent * 1000 / plan->throughput, left;
    while ((left = due - wall_ms()) > 0 && !rdk_stopped()) {
        rd_kafka_poll(p->rk, (int)(left < 100 ? left : 100));
    }
}

static void run(struct producer *p, struct plan *plan)
{
    event_say("startup_complete");
    for (int64_t i = 0; (plan->max < 0 || i < plan->max) && !rdk_stopped(); i++) {
        send_one(p, plan, i);
        if (plan->throughput > 0) {
            wait_turn(p, plan, i + 1);
        } else if (plan->throughput == 0) { /* none at all, until a signal */
            while (!rdk_stopped()) {
                rd_kafka_poll(p->rk, 100);
            }
        } else {
            rd_kafka_poll(p->rk, 0);
        }
    }
    rd_kafka_flush(p->rk, -1);
    event_say("shutdown_complete");
    event_begin(&p->line, "tool_data");
    event_number(&p->line, "sent", p->sent);
    event_number(&p->line, "acked", p->acked);
    event_number(&p->line, "target_throughput", plan->throughput);
    int64_t took = wall_ms() - plan->started;
    event_real(&p->line, "avg_throughput",
               1000.0 * (double)p->acked / (double)(took > 0 ? took : 1));
    event_print(&p->line);
}

static rd_kafka_conf_t *configure(const struct args *a, struct producer *p)
{
    char acks[16];
    snprintf(acks, sizeof acks, "acks=%lld", (long long)args_int(a, "acks", -1, -1, 1));
    const char *const defaults[] = {"retries=0", "partitioner=murmur2_random", "linger.ms=5", acks,
                                    NULL};
    rd_kafka_conf_t *conf = rdk_conf(
        a, defaults, NULL, args_get(a, "command-config", args_get(a, "producer.config", NULL)));
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return conf;
}

static void check(const struct args *a)
{
    args_require(a, "bootstrap-server");
    args_require(a, "topic");
    if (args_has(a, "producer.config") && args_has(a, "command-config")) {
        args_fail(a, "Options --producer.config and --command-config are mutually exclusive.");
    }
    args_int(a, "acks", -1, -1, 1);
}

int tool_verifiable_producer(int argc, char **argv)
{
    struct args a;
    args_parse(&a, &spec, argc, argv);
    check(&a);
    if (args_has(&a, "producer.config")) {
        printf("Option --producer.config has been deprecated and will be removed in a future "
               "version. Use --command-config instead.\n");
    }
    struct producer p = {.topic = args_get(&a, "topic", NULL)};
    struct plan plan = {.max = limit(&a, "max-messages", -1),
                        .throughput = limit(&a, "throughput", -1),
                        .create_time = limit(&a, "message-create-time", -1),
                        .prefix = limit(&a, "value-prefix", 0),
                        .keys = limit(&a, "repeating-keys", 1),
                        .started = wall_ms()};
    rd_kafka_conf_t *conf = configure(&a, &p);
    rdk_catch_signals();
    p.rk = rdk_new(RD_KAFKA_PRODUCER, conf);
    run(&p, &plan);
    rd_kafka_destroy(p.rk);
    int status = p.acked == p.sent ? 0 : 1;
    buf_free(&p.line);
    args_free(&a);
    return status;
}
