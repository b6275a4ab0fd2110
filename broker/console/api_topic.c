/* One topic: a page of its partitions, and its settings with where they come from. */
#include "broker/config_describe.h"
#include "broker/console/console_private.h"
#include "controller/image.h"
#include "proto_messages.h"

static void put_partition(const struct console *c, struct json_writer *w,
                          const struct image_topic *t, const struct image_partition *p)
{
    const struct watch_partition *wp = watch_partition(&c->watch, t->id, p->index);
    json_open(w, NULL, '{');
    json_int(w, "partition", p->index);
    json_known(w, "leader", p->leader);
    json_int(w, "leaderEpoch", p->leader_epoch);
    api_put_ids(w, "replicas", p->replicas, p->replicas_n);
    api_put_ids(w, "isr", p->isr, p->isr_n);
    api_put_ids(w, "elr", p->elr, p->elr_n);
    api_put_ids(w, "lastKnownElr", p->last_known_elr, p->last_known_elr_n);
    api_put_ids(w, "adding", p->adding, p->adding_n);
    api_put_ids(w, "removing", p->removing, p->removing_n);
    json_bool(w, "underReplicated", image_partition_is_behind(p));
    json_known(w, "start", wp ? wp->start : -1);
    json_known(w, "end", wp ? wp->end : -1);
    json_known(w, "bytes", wp ? wp->bytes : -1);
    json_rate(w, "rate", wp && p->leader >= 0 ? wp->rate : 0);
    json_close(w, '}');
}

static const char *source_name(int8_t source)
{
    switch (source) {
    case CONFIG_SOURCE_TOPIC:
        return "topic";
    case CONFIG_SOURCE_BROKER:
        return "broker";
    case CONFIG_SOURCE_BROKER_DEFAULT:
        return "all brokers";
    case CONFIG_SOURCE_STATIC:
        return "file";
    default:
        return "default";
    }
}

static void put_configs(const struct console *c, struct json_writer *w, const struct image_topic *t)
{
    enum { RESOURCE_TOPIC = 2 };
    struct arena a = {0};
    struct describe_configs_request q;
    struct describe_configs_request_describe_configs_resource resource;
    struct describe_configs_response resp;
    proto_msg_init(&describe_configs_request_msg, &q);
    proto_init(&describe_configs_request_describe_configs_resource_desc, &resource);
    proto_msg_init(&describe_configs_response_msg, &resp);
    resource.resource_type = RESOURCE_TOPIC;
    resource.resource_name = t->name;
    resource.configuration_keys_n = -1;
    q.resources = &resource;
    q.resources_n = 1;
    config_describe(console_config(c), c->watch.image, monitor_node(c->monitor)->log, &q, &a,
                    &resp);
    json_open(w, "configs", '[');
    for (int32_t i = 0; resp.results_n == 1 && i < resp.results[0].configs_n; i++) {
        const struct describe_configs_response_describe_configs_resource_result *row =
            &resp.results[0].configs[i];
        json_open(w, NULL, '{');
        json_text(w, "name", row->name);
        json_text(w, "value", row->value);
        json_str(w, "source", source_name(row->config_source));
        json_close(w, '}');
    }
    json_close(w, ']');
    arena_free(&a);
}

void api_topic(struct console *c, struct http_request *r)
{
    const char *name = http_query(r, "name");
    const struct image_topic *t =
        name ? image_topic_by_name(c->watch.image, bytes_str(name)) : NULL;
    if (t == NULL) {
        api_refuse(r, 404, "There is no topic of that name.");
        return;
    }
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    struct api_page page = api_page(r);
    char id[UUID_TEXT];
    json_open(&w, NULL, '{');
    json_text(&w, "name", t->name);
    json_str(&w, "id", uuid_text(t->id, id));
    api_put_page(&w, page, t->partitions_n);
    json_open(&w, "partitions", '[');
    uint64_t from = (uint64_t)page.page * page.per;
    for (uint64_t i = from; i < t->partitions_n && i < from + page.per; i++) {
        if (t->partitions[i]) {
            put_partition(c, &w, t, t->partitions[i]);
        }
    }
    json_close(&w, ']');
    put_configs(c, &w, t);
    json_close(&w, '}');
    api_reply(r, &text);
}
