/* The cluster on one page, and how much passes through it over time. */
#include <stdlib.h>

#include "broker/console/console_private.h"
#include "broker/node.h"
#include "broker/dynamic_config.h"
#include "controller/image.h"

struct counts {
    int64_t topics, partitions, offline, behind, under_min, moving, not_preferred;
};

/* ---- partitions ---- */

/* No partition wants more replicas in sync than it has, see partition_min_isr. */
static void count_partition(const struct image_partition *p, int32_t min_isr, struct counts *n)
{
    int64_t least = min_isr < (int64_t)p->replicas_n ? min_isr : (int64_t)p->replicas_n;
    n->partitions++;
    n->offline += p->leader < 0;
    n->behind += image_partition_is_behind(p);
    n->under_min += (int64_t)p->isr_n < least;
    n->moving += p->adding_n > 0 || p->removing_n > 0;
    n->not_preferred += p->leader >= 0 && p->replicas_n > 0 && p->leader != p->replicas[0];
}

/* The topic's own min.insync.replicas, else that of the brokers. */
static int32_t min_isr_of(const struct image *img, const struct image_topic *t, int32_t fallback)
{
    char text[16] = "";
    struct bytes own =
        image_config_value(img, CONFIG_TOPIC, t->name, bytes_str("min.insync.replicas"));
    if (bytes_is_null(own) || own.len >= sizeof text) {
        return fallback;
    }
    memcpy(text, own.data, own.len);
    return (int32_t)strtol(text, NULL, 10);
}

static void count(const struct console *c, struct counts *n)
{
    const struct image *img = c->watch.image;
    int32_t brokers = (int32_t)dynamic_config_int(console_config(c), img, "min.insync.replicas");
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        int32_t min_isr = min_isr_of(img, t, brokers);
        n->topics++;
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i]) {
                count_partition(t->partitions[i], min_isr, n);
            }
        }
    }
}

static void put_partitions(struct json_writer *w, const struct counts *n)
{
    json_int(w, "topics", n->topics);
    json_open(w, "partitions", '{');
    json_int(w, "total", n->partitions);
    json_int(w, "offline", n->offline);
    json_int(w, "underReplicated", n->behind);
    json_int(w, "underMinIsr", n->under_min);
    json_int(w, "reassigning", n->moving);
    json_int(w, "notPreferred", n->not_preferred);
    json_close(w, '}');
}

/* ---- controllers ---- */

static void put_quorum(const struct console *c, struct json_writer *w)
{
    const struct watch_quorum *q = &c->watch.quorum;
    const struct image *img = c->watch.image;
    json_bool(w, "quorumFailed", q->failed);
    if (!q->known) {
        json_none(w, "quorum");
        return;
    }
    json_open(w, "quorum", '{');
    json_known(w, "leader", q->leader);
    json_int(w, "epoch", q->epoch);
    json_int(w, "highWatermark", q->high_watermark);
    json_open(w, "replicas", '[');
    for (uint32_t i = 0; i < q->n; i++) {
        const struct watch_voter *v = &q->v[i];
        json_open(w, NULL, '{');
        json_int(w, "id", v->id);
        json_bool(w, "voter", v->voter);
        json_bool(w, "silent", v->silent);
        json_bool(w, "broker", image_broker(img, v->id) != NULL);
        json_known(w, "end", v->end);
        json_known(w, "lag",
                   v->end < 0                   ? -1
                   : q->high_watermark > v->end ? q->high_watermark - v->end
                                                : 0);
        json_known(w, "lastFetchMs", v->fetched_ms);
        json_known(w, "lastCaughtUpMs", v->caught_up_ms);
        json_close(w, '}');
    }
    json_close(w, ']');
    json_close(w, '}');
}

/* ---- brokers, groups ---- */

static void put_brokers(const struct console *c, struct json_writer *w)
{
    int64_t fenced = 0, silent = 0;
    list_for_each (at, &c->peers) {
        const struct peer *p = LIST_ENTRY(at, struct peer, node);
        fenced += p->known && p->fenced;
        silent += p->known && !p->fenced && p->heard && !p->answers;
    }
    json_open(w, "brokers", '{');
    json_int(w, "total", c->watch.image->brokers_n);
    json_int(w, "fenced", fenced);
    json_int(w, "notAnswering", silent);
    json_close(w, '}');
}

static void put_groups(const struct console *c, struct json_writer *w)
{
    int64_t alarms = 0, lag = 0;
    map_for_each (slot, &c->watch.groups) {
        const struct watch_group *g = slot->value;
        alarms += g->alarms != 0;
        lag += g->lag > 0 ? g->lag : 0;
    }
    json_open(w, "groups", '{');
    json_int(w, "total", (int64_t)c->watch.groups.count + c->watch.groups_left_out);
    json_int(w, "leftOut", c->watch.groups_left_out);
    json_int(w, "alarms", alarms);
    json_int(w, "lag", lag);
    json_close(w, '}');
}

/* ---- throughput ---- */

static void put_sample(struct json_writer *w, const struct watch_sample *s)
{
    json_int(w, "at", s->wall_ms);
    json_rate(w, "records", s->records);
    json_rate(w, "bytes", s->bytes);
    json_rate(w, "bytesIn", s->bytes_in);
    json_rate(w, "bytesOut", s->bytes_out);
    json_rate(w, "replicationIn", s->replication_in);
    json_rate(w, "requests", s->requests);
    json_int(w, "lag", s->lag);
}

void api_throughput(struct console *c, struct http_request *r)
{
    const struct watch *watch = &c->watch;
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    int64_t since = api_number(r, "since", 0, 0, INT64_MAX);
    uint64_t from = watch->samples_n > WATCH_SAMPLES ? watch->samples_n - WATCH_SAMPLES : 0;
    json_open(&w, NULL, '{');
    json_int(&w, "node", monitor_node(c->monitor)->id);
    json_open(&w, "samples", '[');
    for (uint64_t i = from; i < watch->samples_n; i++) {
        const struct watch_sample *s = &watch->samples[i % WATCH_SAMPLES];
        if (s->wall_ms > since) {
            json_open(&w, NULL, '{');
            put_sample(&w, s);
            json_close(&w, '}');
        }
    }
    json_close(&w, ']');
    json_close(&w, '}');
    api_reply(r, &text);
}

/* ---- the page ---- */

static void put_node(const struct console *c, struct json_writer *w)
{
    const struct node *n = monitor_node(c->monitor);
    json_open(w, "node", '{');
    json_int(w, "id", n->id);
    json_str(w, "version", MILLRACE_VERSION);
    json_bool(w, "broker", n->config->is_broker);
    json_bool(w, "controller", n->config->is_controller);
    json_int(w, "connections", c->watch.own.connections);
    json_close(w, '}');
}

static void put_controllers(const struct image *img, struct json_writer *w)
{
    json_open(w, "controllers", '[');
    for (int32_t i = 0; i < img->controllers_n; i++) {
        json_int(w, NULL, img->controllers[i]->id);
    }
    json_close(w, ']');
}

void api_overview(struct console *c, struct http_request *r)
{
    const struct watch *watch = &c->watch;
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    struct counts n = {0};
    count(c, &n);
    json_open(&w, NULL, '{');
    json_str(&w, "clusterId", monitor_node(c->monitor)->cluster_id);
    put_node(c, &w);
    json_open(&w, "metadata", '{');
    json_int(&w, "offset", watch->image->offset);
    json_int(&w, "epoch", watch->image->epoch);
    json_int(&w, "time", watch->image->time_ms);
    json_close(&w, '}');
    put_controllers(watch->image, &w);
    put_quorum(c, &w);
    put_brokers(c, &w);
    put_partitions(&w, &n);
    put_groups(c, &w);
    if (watch->samples_n > 0) {
        json_open(&w, "now", '{');
        put_sample(&w, &watch->samples[(watch->samples_n - 1) % WATCH_SAMPLES]);
        json_close(&w, '}');
    } else {
        json_none(&w, "now");
    }
    json_known(&w, "ageMs", watch->done_ms < 0 ? -1 : console_now(c) - watch->done_ms);
    json_bool(&w, "messages", console_config(c)->v.console_messages_enable);
    json_close(&w, '}');
    api_reply(r, &text);
}
