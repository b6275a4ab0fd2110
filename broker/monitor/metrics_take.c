/* What the shards leave for /metrics: copies, made on the shard that owns what is copied. A data
 * shard walks its partitions once; nothing of it is formatted here but the labels. */
#include "base/mem.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/fetch_session.h"
#include "broker/group_host.h"
#include "broker/lifecycle.h"
#include "broker/listener.h"
#include "broker/metadata_loader.h"
#include "broker/monitor/metrics.h"
#include "broker/node_priv.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher.h"
#include "broker/request.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "runtime/conn.h"

/* ---- partitions ---- */

static void take_partition(const struct partition *p, struct metrics_shard *s,
                           struct metrics_partition *out)
{
    size_t at = s->labels.len;
    struct buf labels = {.data = s->labels.data + at, .cap = s->labels.cap - at};
    ASSERT(labels.cap >= 300); /* reserved: it does not grow */
    metric_label(&labels, "topic", bytes_str(p->topic->name));
    metric_label_u64(&labels, "partition", (uint64_t)p->index);
    s->labels.len += labels.len;
    uint32_t least = partition_min_isr(p);
    *out = (struct metrics_partition){
        .labels_at = (uint32_t)at,
        .labels_n = (uint32_t)labels.len,
        .replicas = p->replicas_n,
        .isr = p->isr_n,
        .leader = p->is_leader,
        .offline = p->offline,
        .under_replicated = p->is_leader && p->under_replicated,
        .under_min_isr = p->is_leader && p->isr_n < least,
        .at_min_isr = p->is_leader && p->isr_n == least,
        .follows = p->follow != NULL,
        .lag = p->follow ? fetchers_lag(p) : 0,
    };
    if (!p->offline) {
        out->start = plog_start_offset(p->log);
        out->end = plog_end_offset(p->log);
        out->size = plog_size(p->log);
        out->segments = plog_segment_count(p->log);
    }
}

static void take_partitions(const struct partition_manager *pm, struct metrics_shard *s)
{
    enum { LABELS_MAX = 320 }; /* a topic's name has 249 bytes at most */
    s->partitions = mem_alloc((pm->by_key.count + 1) * sizeof *s->partitions);
    list_for_each (at, &pm->all) {
        const struct partition *p = LIST_ENTRY(at, struct partition, all);
        if (s->labels.cap - s->labels.len < LABELS_MAX) {
            buf_reserve(&s->labels, s->labels.cap + LABELS_MAX + (pm->by_key.count << 5));
        }
        s->moves += p->move != NULL;
        take_partition(p, s, &s->partitions[s->partitions_n++]);
    }
}

static void take_topics(const struct partition_manager *pm, struct metrics_shard *s)
{
    s->topics = mem_alloc((pm->topics.by_id.count + 1) * sizeof *s->topics);
    map_for_each (slot, &pm->topics.by_id) {
        const struct topic_settings *t = slot->value;
        s->topics[s->topics_n++] =
            (struct metrics_topic){.id = t->id, .name = mem_strdup(t->name), .counts = *t->counts};
    }
}

/* ---- requests ---- */

static void take_live(const struct request *r, void *user)
{
    struct metrics_shard *s = user;
    s->requests_live++;
    switch (r->api ? r->api->key : -1) {
    case API_PRODUCE:
        s->produces_waiting++;
        break;
    case API_FETCH:
        s->fetches_parked++;
        break;
    case API_JOIN_GROUP:
    case API_SYNC_GROUP:
        s->groups_waiting++;
        break;
    default:
        break;
    }
}

static void take_requests(struct node_shard *ns, struct metrics_shard *s)
{
    const struct shard_stats *st = ns->stats;
    s->connections_opened = st->connections;
    s->isr_shrinks = st->isr_shrinks;
    s->isr_expands = st->isr_expands;
    s->isr_updates_failed = st->isr_updates_failed;
    s->requests = mem_zalloc(st->slots * sizeof *s->requests);
    request_stats_add(s->requests, st->requests, st->slots);
    request_pool_each(ns->requests, take_live, s);
}

/* ---- groups ---- */

static bool is_printable(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.data[i] < ' ' || b.data[i] > '~') {
            return false;
        }
    }
    return true;
}

/* A name that is no plain text is left out: what it would be replaced with might be another's. */
static bool take_offset(const struct group_offset *o, void *user)
{
    struct metrics_shard *s = user;
    struct buf one = {0};
    if (s->group_offsets_n == s->group_offsets_max || s->group_labels.len > METRICS_OFFSETS_BYTES) {
        return false;
    }
    if (is_printable(o->group) && is_printable(o->topic)) {
        metric_label(&one, "consumergroup", o->group);
        metric_label(&one, "topic", o->topic);
        metric_label_u64(&one, "partition", (uint64_t)o->partition);
        s->group_offsets[s->group_offsets_n++] =
            (struct metrics_offset){.labels_at = (uint32_t)s->group_labels.len,
                                    .labels_n = (uint32_t)one.len,
                                    .offset = o->offset};
        buf_put(&s->group_labels, one.data, one.len);
        buf_free(&one);
    }
    return true;
}

static void take_groups(const struct group_host *h, struct metrics_shard *s)
{
    s->group_offsets_max = METRICS_OFFSETS_MAX / h->ns->node->data_shards;
    s->group_offsets = mem_alloc((s->group_offsets_max + 1) * sizeof *s->group_offsets);
    s->group_bytes = h->bytes;
    s->group_bytes_max = h->memory_max;
    list_for_each (at, &h->all) {
        const struct group_coord *c = LIST_ENTRY(at, struct group_coord, all);
        if (c->core) {
            struct group_counts n = group_coordinator_counts(c->core);
            s->groups += n.groups;
            s->members += n.members;
            s->offsets += n.offsets;
            group_coordinator_states(c->core, &s->group_states);
            group_coordinator_offsets(c->core, take_offset, s);
        }
    }
}

/* ---- main ---- */

/* As Kafka's BrokerState numbers them. */
static int broker_state(const struct node *n)
{
    enum { NOT_RUNNING = 0, STARTING = 1, RUNNING = 3, LEAVING = 6, SHUTTING_DOWN = 7 };
    switch (n->priv->state) {
    case NODE_NEW:
    case NODE_STARTING:
        return STARTING;
    case NODE_RUNNING:
        return RUNNING;
    case NODE_STOPPING:
        return n->lifecycle && lifecycle_is_unfenced(n->lifecycle) ? LEAVING : SHUTTING_DOWN;
    case NODE_STOPPED:
    case NODE_FAILED:
        return NOT_RUNNING;
    }
    UNREACHABLE();
}

static void take_listeners(const struct listener_set *ls, struct metrics_shard *s)
{
    for (size_t i = 0; i < ls->n; i++) {
        s->listener_names[i] = ls->v[i].config->name;
        s->listener_connections[i] = ls->v[i].connections;
    }
    s->listeners = ls->n;
}

static void take_main(const struct node *n, struct metrics_shard *s)
{
    s->is_main = true;
    s->broker_state = broker_state(n);
    s->metadata_applied = n->loader ? metadata_loader_applied(n->loader) : -1;
    s->controller_silent_ms = n->lifecycle ? lifecycle_silent_ms(n->lifecycle) : -1;
    s->failed_dirs = n->failed_dirs;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        s->failed_dirs |= n->log_dirs[d] ? 0 : UINT64_C(1) << d;
    }
    if (n->listeners) {
        take_listeners(n->listeners, s);
    }
}

void metrics_take_shard(struct node_shard *ns, struct gather_part *p)
{
    struct metrics_shard *s = MEM_NEW(struct metrics_shard);
    p->answer = &s->base;
    s->memory_used = ns->shard->budget.used;
    s->memory_limit = ns->shard->budget.limit;
    s->connections = conn_count(ns->shard);
    s->index = ns->index;
    s->now_us = io_now_us(ns->shard->io);
    s->cpu_us = shard_cpu_us(ns->shard);
    take_requests(ns, s);
    if (ns->node->config->is_broker) {
        take_topics(ns->partitions, s);
        take_partitions(ns->partitions, s);
        take_groups(ns->groups, s);
        s->write_time = ns->partitions->store.write_time;
        s->flush_time = ns->partitions->store.flush_time;
        s->fetch_sessions = fetch_sessions_count(ns->sessions);
    }
    if (ns->index == 0) {
        take_main(ns->node, s);
    }
}

void metrics_take_controller(struct node *n, struct gather_part *p)
{
    struct metrics_controller *c = MEM_NEW(struct metrics_controller);
    c->base.controller = true;
    p->answer = &c->base;
    c->up = n->controller != NULL;
    if (c->up) {
        controller_status(n->controller, &c->status);
        c->image = image_get(controller_image(n->controller));
    }
}

/* ---- the end ---- */

static void free_shard(struct metrics_shard *s)
{
    request_stats_free(s->requests, request_slots());
    for (uint32_t i = 0; i < s->topics_n; i++) {
        mem_free(s->topics[i].name);
    }
    mem_free(s->topics);
    mem_free(s->partitions);
    mem_free(s->group_offsets);
    buf_free(&s->group_labels);
    buf_free(&s->labels);
}

void metrics_free(void *answer)
{
    struct metrics_answer *a = answer;
    if (a->controller) {
        image_put(CONTAINER_OF(a, struct metrics_controller, base)->image);
    } else {
        free_shard(CONTAINER_OF(a, struct metrics_shard, base));
    }
    mem_free(a);
}
