/* Topics that come into being because a Metadata request named them (auto.create.topics.enable):
 * CreateTopics in an Envelope to the controller. The Metadata answer does not wait for it: it says
 * UNKNOWN_TOPIC_OR_PARTITION, and the client asks again, as with Kafka.
 *
 * Each shard remembers what it has asked for, so that a client that keeps asking causes one
 * request; two shards may ask at once, and one of them hears TOPIC_ALREADY_EXISTS. */
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "broker/config.h"
#include "broker/forward.h"
#include "proto/compress.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { CREATE_VERSION = 7, TOPICS_MAX = 1000 /* under way, per shard */ };

struct auto_topic {
    struct forward_call call;
    struct auto_create *owner;
    struct bytes name;
};

struct auto_create {
    struct node_shard *ns;
    struct map by_name; /* struct auto_topic */
};

/* ---- the request ---- */

struct spec {
    struct create_topics_request req;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request_creatable_topic_config configs[8];
    char numbers[8][24];
};

static void put_config(struct spec *s, const char *name, const char *value)
{
    struct create_topics_request_creatable_topic_config *c = &s->configs[s->topic.configs_n];
    ASSERT(s->topic.configs_n < (int)ARRAY_LEN(s->configs));
    proto_init(&create_topics_request_creatable_topic_config_desc, c);
    c->name = bytes_str(name);
    c->value = bytes_str(value);
    s->topic.configs = s->configs;
    s->topic.configs_n++;
}

static void put_number(struct spec *s, const char *name, int64_t value)
{
    char *text = s->numbers[s->topic.configs_n];
    snprintf(text, sizeof s->numbers[0], "%lld", (long long)value);
    put_config(s, name, text);
}

/* The coordinators' topics have their own settings, whoever creates them. */
static void specify(struct spec *s, const struct config_values *v, struct bytes name)
{
    s->topic.num_partitions = v->num_partitions;
    s->topic.replication_factor = (int16_t)v->default_replication_factor;
    if (bytes_eq_str(name, "__consumer_offsets")) {
        s->topic.num_partitions = v->offsets_topic_num_partitions;
        s->topic.replication_factor = v->offsets_topic_replication_factor;
        put_config(s, "cleanup.policy", "compact");
        put_number(s, "segment.bytes", v->offsets_topic_segment_bytes);
        put_config(s, "compression.type", "producer"); /* the coordinator compresses */
    } else if (bytes_eq_str(name, "__transaction_state")) {
        s->topic.num_partitions = v->transaction_state_log_num_partitions;
        s->topic.replication_factor = v->transaction_state_log_replication_factor;
        put_config(s, "cleanup.policy", "compact");
        put_config(s, "compression.type", "uncompressed");
        put_config(s, "unclean.leader.election.enable", "false");
        put_number(s, "min.insync.replicas", v->transaction_state_log_min_isr);
        put_number(s, "segment.bytes", v->transaction_state_log_segment_bytes);
    } else if (bytes_eq_str(name, "__share_group_state")) {
        s->topic.num_partitions = v->share_coordinator_state_topic_num_partitions;
        s->topic.replication_factor = v->share_coordinator_state_topic_replication_factor;
        put_config(s, "cleanup.policy", "delete");
        put_config(s, "compression.type", "producer");
        put_number(s, "min.insync.replicas", v->share_coordinator_state_topic_min_isr);
        put_number(s, "retention.ms", -1);
        put_number(s, "segment.bytes", v->share_coordinator_state_topic_segment_bytes);
    }
}

static void put_frame(const struct node *n, struct bytes name, struct buf *out)
{
    struct spec s = {0};
    struct errmsg em;
    proto_msg_init(&create_topics_request_msg, &s.req);
    proto_init(&create_topics_request_creatable_topic_desc, &s.topic);
    s.topic.name = name;
    specify(&s, &n->config->v, name);
    s.req.topics = &s.topic;
    s.req.topics_n = 1;
    s.req.timeout_ms = n->config->v.request_timeout_ms;
    proto_put_request_header(out, API_CREATE_TOPICS, CREATE_VERSION, 0, bytes_str("auto-create"));
    int rc = proto_encode(&create_topics_request_msg, CREATE_VERSION, &s.req, out, &em);
    ASSERT(rc == 0);
}

/* ---- the answer ---- */

/* The topic's error, or why there is none to read. */
static int16_t read_answer(struct bytes frame, struct errmsg *em)
{
    struct arena a = {.limit = 1 << 20};
    struct create_topics_response resp;
    int32_t correlation;
    size_t at;
    int16_t code = KE_UNKNOWN_SERVER_ERROR;
    if (proto_skip_response_header(frame, API_CREATE_TOPICS, CREATE_VERSION, &correlation, &at) ==
            0 &&
        proto_decode(&create_topics_response_msg, CREATE_VERSION,
                     bytes_of(frame.data + at, frame.len - at), NULL, &a, &resp) == 0 &&
        resp.topics_n == 1) {
        code = resp.topics[0].error_code;
        errmsg_set(em, 0, "%.*s", BYTES_FMT(resp.topics[0].error_message));
    }
    arena_free(&a);
    return code;
}

static void on_created(struct forward_call *f, int16_t code, struct bytes response)
{
    struct auto_topic *t = f->user;
    struct auto_create *ac = t->owner;
    const struct node *n = ac->ns->node;
    struct errmsg em = {{0}};
    if (code == 0) {
        code = read_answer(response, &em);
    }
    if (code == 0) {
        log_info(n->log, "metadata", "created a topic that a client asked for topic=%.*s",
                 BYTES_FMT(t->name));
    } else if (code != KE_TOPIC_ALREADY_EXISTS && code != KE_BROKER_NOT_AVAILABLE) {
        log_limited(n->log, &ac->ns->limit, LOG_WARN, "metadata",
                    "a topic that a client asked for was not created topic=%.*s error=%s "
                    "reason=\"%s\"",
                    BYTES_FMT(t->name), kafka_error_name(code), em.text);
    }
    map_remove(&ac->by_name, t->name);
    mem_free((void *)(uintptr_t)t->name.data);
    mem_free(t);
}

void auto_create_topic(struct node_shard *ns, struct bytes name)
{
    struct buf frame = {0};
    ASSERT_ON_SHARD(ns->shard);
    if (ns->auto_create == NULL) {
        ns->auto_create = MEM_NEW(struct auto_create);
        ns->auto_create->ns = ns;
    }
    struct auto_create *ac = ns->auto_create;
    if (map_get(&ac->by_name, name) || ac->by_name.count >= TOPICS_MAX) {
        return;
    }
    struct auto_topic *t = MEM_NEW(struct auto_topic);
    uint8_t *copy = mem_alloc(name.len);
    memcpy(copy, name.data, name.len);
    t->owner = ac;
    t->name = bytes_of(copy, name.len);
    map_put(&ac->by_name, t->name, t);
    put_frame(ns->node, name, &frame);
    forward_start(&t->call, ns, buf_bytes(&frame), bytes_of("\x7f\0\0\1", 4),
                  ns->node->config->v.request_timeout_ms, on_created, t);
    buf_free(&frame);
}

void auto_create_free(struct node_shard *ns)
{
    struct auto_create *ac = ns->auto_create;
    if (ac == NULL) {
        return;
    }
    map_for_each (slot, &ac->by_name) {
        struct auto_topic *t = slot->value;
        forward_cancel(&t->call);
        mem_free((void *)(uintptr_t)t->name.data);
        mem_free(t);
    }
    map_free(&ac->by_name);
    mem_free(ac);
    ns->auto_create = NULL;
}
