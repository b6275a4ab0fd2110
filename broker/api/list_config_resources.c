/* ListConfigResources (74), versions 0 and 1 (KIP-1142): the names that settings can be asked for.
 * Version 0 is the old ListClientMetricsResources and lists the client metrics subscriptions alone;
 * version 1 names the types it wants, none for all of them. One that Kafka does not list refuses
 * the whole request. Every topic and every broker with an address on the client's listener is
 * listed, fenced ones too; groups and subscriptions only while something is set for them: a group
 * with nothing but members or offsets is not, ListGroups has those. */
#include "broker/api/handlers.h"
#include "broker/api/metadata_view.h"
#include "proto_errors.h"
#include "proto_messages.h"

#define RESOURCE struct list_config_resources_response_config_resource

/* The order of types in the answer is Kafka's. */
static const int8_t listed[] = {CONFIG_GROUP, CONFIG_CLIENT_METRICS, CONFIG_BROKER_LOGGER,
                                CONFIG_BROKER, CONFIG_TOPIC};

/* First to count, then to fill: out is NULL at first. */
struct rows {
    RESOURCE *out;
    size_t n;
};

static void put(struct rows *rows, int8_t type, struct bytes name)
{
    if (rows->out) {
        rows->out[rows->n].resource_name = name;
        rows->out[rows->n].resource_type = type;
    }
    rows->n++;
}

static void put_configured(const struct image *img, struct rows *rows, int8_t type)
{
    struct cowmap_iter it = {0};
    struct cow_obj *o;
    while ((o = cowmap_next(&img->configs, &it)) != NULL) {
        const struct image_config *c = CONTAINER_OF(o, struct image_config, obj);
        if (c->type == type) {
            put(rows, type, c->resource);
        }
    }
}

static void put_brokers(struct request *r, struct rows *rows, int8_t type)
{
    for (int32_t i = 0; i < r->image->brokers_n; i++) {
        int32_t id = r->image->brokers[i]->id;
        if (metadata_view_endpoint(r, id)) {
            put(rows, type,
                rows->out ? bytes_str(arena_printf(&r->arena, "%d", (int)id)) : BYTES_NULL);
        }
    }
}

static void put_topics(const struct image *img, struct rows *rows)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        put(rows, CONFIG_TOPIC, t->name);
    }
}

static bool is_wanted(const struct request *r, int8_t type)
{
    const struct list_config_resources_request *q = r->body;
    if (r->hdr.version == 0) {
        return type == CONFIG_CLIENT_METRICS;
    }
    return q->resource_types_n <= 0 ||
           memchr(q->resource_types, type, (size_t)q->resource_types_n) != NULL;
}

static void put_all(struct request *r, struct rows *rows)
{
    for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
        int8_t type = listed[i];
        if (!is_wanted(r, type)) {
            continue;
        }
        if (type == CONFIG_TOPIC) {
            put_topics(r->image, rows);
        } else if (type == CONFIG_BROKER || type == CONFIG_BROKER_LOGGER) {
            put_brokers(r, rows, type);
        } else {
            put_configured(r->image, rows, type);
        }
    }
}

void api_list_config_resources(struct request *r)
{
    const struct list_config_resources_request *q = r->body;
    struct list_config_resources_response *resp = request_response(r);
    struct rows rows = {0};
    for (int32_t i = 0; i < q->resource_types_n; i++) {
        if (memchr(listed, q->resource_types[i], sizeof listed) == NULL) {
            resp->error_code = KE_UNSUPPORTED_VERSION;
            request_reply(r, resp);
            return;
        }
    }
    put_all(r, &rows);
    rows.out = proto_array(&r->arena, &list_config_resources_response_config_resource_desc, rows.n);
    rows.n = 0;
    put_all(r, &rows);
    resp->config_resources = rows.out;
    resp->config_resources_n = (int32_t)rows.n;
    request_reply(r, resp);
}
