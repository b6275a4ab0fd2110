/* Gathers a view (view.h). Topics come with DescribeTopicPartitions, as many answers as it takes;
 * moves with ListPartitionReassignments; what is on a broker's disks only that broker knows.
 *
 * All of it is not one moment: a topic that was deleted between two requests has no settings, a
 * replica that came between has no size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "tools/client.h"
#include "tools/clock.h"
#include "tools/view.h"

#define cluster_broker struct describe_cluster_response_describe_cluster_broker
#define topic_desc \
    struct describe_topic_partitions_response_describe_topic_partitions_response_topic
#define part_desc \
    struct describe_topic_partitions_response_describe_topic_partitions_response_partition
#define moves_response struct list_partition_reassignments_response
#define move_topic     struct list_partition_reassignments_response_ongoing_topic_reassignment
#define move_desc      struct list_partition_reassignments_response_ongoing_partition_reassignment
#define dir_result     struct describe_log_dirs_response_describe_log_dirs_result
#define dir_topic      struct describe_log_dirs_response_describe_log_dirs_topic
#define dir_part       struct describe_log_dirs_response_describe_log_dirs_partition
#define configs_result struct describe_configs_response_describe_configs_result

enum { LATE_TRIES = 40, LATE_MS = 50 }; /* until a broker knows what the controller knows */
enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, PARTITIONS_AT_ONCE = 2000, TOPICS_AT_ONCE = 500 };

static int by_broker(const void *a, const void *b)
{
    int32_t x = ((const struct view_broker *)a)->id, y = ((const struct view_broker *)b)->id;
    return (x > y) - (x < y);
}

static int ask_brokers(struct client *c, struct view *v)
{
    int rv = client_cluster_refresh(c, true);
    if (rv) {
        return rv;
    }
    v->cluster_id = c->cluster->cluster_id;
    v->brokers = ARENA_ARRAY(&c->arena, struct view_broker, c->cluster->brokers_n + 1);
    for (int32_t i = 0; i < c->cluster->brokers_n; i++) {
        const cluster_broker *b = &c->cluster->brokers[i];
        v->brokers[v->brokers_n++] = (struct view_broker){.id = b->broker_id,
                                                          .host = b->host,
                                                          .port = b->port,
                                                          .rack = b->rack,
                                                          .fenced = b->is_fenced};
    }
    qsort(v->brokers, (size_t)v->brokers_n, sizeof *v->brokers, by_broker);
    return 0;
}

/* ---- topics ---- */

static struct view_ids ids_of(int32_t *v, int32_t n)
{
    return (struct view_ids){v, n > 0 ? n : 0};
}

static void put_partition(struct arena *a, struct view_partition *p, const part_desc *d)
{
    *p = (struct view_partition){
        .index = d->partition_index,
        .leader = d->leader_id,
        .replicas = ids_of(d->replica_nodes, d->replica_nodes_n),
        .isr = ids_of(d->isr_nodes, d->isr_nodes_n),
        .elr = ids_of(d->eligible_leader_replicas, d->eligible_leader_replicas_n),
        .last_elr = ids_of(d->last_known_elr, d->last_known_elr_n),
        .offline = ids_of(d->offline_replicas, d->offline_replicas_n),
        .written = -1,
    };
    p->bytes = ARENA_ARRAY(a, int64_t, p->replicas.n + 1);
    for (int32_t i = 0; i < p->replicas.n; i++) {
        p->bytes[i] = -1;
    }
}

struct topics {
    struct view_topic *v;
    int32_t n, max;
};

static struct view_topic *add_topic(struct arena *a, struct topics *all)
{
    if (all->n == all->max) {
        int32_t max = all->max ? all->max * 2 : 64;
        struct view_topic *more = ARENA_ARRAY(a, struct view_topic, max);
        if (all->n) {
            memcpy(more, all->v, (size_t)all->n * sizeof *more);
        }
        all->v = more;
        all->max = max;
    }
    return &all->v[all->n++];
}

/* A topic's partitions may come in several answers, one behind the other. */
static void put_topic(struct arena *a, struct topics *all, const topic_desc *d)
{
    struct view_topic *t = all->n ? &all->v[all->n - 1] : NULL;
    if (t == NULL || !bytes_eq(t->name, d->name)) {
        t = add_topic(a, all);
        *t = (struct view_topic){.name = d->name, .internal = d->is_internal};
    }
    int32_t n = t->partitions_n + d->partitions_n;
    struct view_partition *p = ARENA_ARRAY(a, struct view_partition, n + 1);
    if (t->partitions_n) {
        memcpy(p, t->partitions, (size_t)t->partitions_n * sizeof *p);
    }
    for (int32_t i = 0; i < d->partitions_n; i++) {
        put_partition(a, &p[t->partitions_n + i], &d->partitions[i]);
    }
    t->partitions = p;
    t->partitions_n = n;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct view_topic *)a)->name, ((const struct view_topic *)b)->name);
}

static int by_index(const void *a, const void *b)
{
    int32_t x = ((const struct view_partition *)a)->index;
    int32_t y = ((const struct view_partition *)b)->index;
    return (x > y) - (x < y);
}

static int ask_topics(struct client *c, struct view *v)
{
    struct describe_topic_partitions_request req;
    struct describe_topic_partitions_response *resp;
    struct topics all = {0};
    proto_msg_init(&describe_topic_partitions_request_msg, &req);
    req.response_partition_limit = PARTITIONS_AT_ONCE;
    do {
        int rv =
            client_call(c, CLIENT_ANY, API_DESCRIBE_TOPIC_PARTITIONS, &req, (void **)&resp, NULL);
        if (rv) {
            return rv;
        }
        for (int32_t i = 0; i < resp->topics_n; i++) {
            if (resp->topics[i].error_code == 0) {
                put_topic(&c->arena, &all, &resp->topics[i]);
            }
        }
        if (resp->next_cursor) {
            req.cursor = ARENA_NEW(&c->arena, struct describe_topic_partitions_request_cursor);
            req.cursor->topic_name = resp->next_cursor->topic_name;
            req.cursor->partition_index = resp->next_cursor->partition_index;
        }
    } while (resp->next_cursor);
    v->topics = all.v;
    v->topics_n = all.n;
    if (all.n) {
        qsort(all.v, (size_t)all.n, sizeof *all.v, by_name);
    }
    for (int32_t i = 0; i < all.n; i++) {
        qsort(all.v[i].partitions, (size_t)all.v[i].partitions_n, sizeof *all.v[i].partitions,
              by_index);
    }
    return 0;
}

static struct view_partition *partition(const struct view *v, struct bytes topic, int32_t index)
{
    struct view_topic *t = view_topic(v, topic);
    return t && index >= 0 && index < t->partitions_n && t->partitions[index].index == index
               ? &t->partitions[index]
               : NULL;
}

/* Without a controller nothing moves, and nobody can say what would: no moves are seen then. */
static moves_response *ask_moves(struct client *c)
{
    struct list_partition_reassignments_request req;
    moves_response *resp;
    proto_msg_init(&list_partition_reassignments_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1;
    req.timeout_ms = (int32_t)c->timeout_ms;
    int rv =
        client_call(c, CLIENT_ANY, API_LIST_PARTITION_REASSIGNMENTS, &req, (void **)&resp, NULL);
    return rv || resp->error_code ? NULL : resp;
}

static void put_moves(struct view *v, const moves_response *moves)
{
    v->moves = 0;
    for (int32_t i = 0; moves && i < moves->topics_n; i++) {
        const move_topic *t = &moves->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const move_desc *m = &t->partitions[k];
            struct view_partition *p = partition(v, t->name, m->partition_index);
            if (p) {
                p->adding = ids_of(m->adding_replicas, m->adding_replicas_n);
                p->removing = ids_of(m->removing_replicas, m->removing_replicas_n);
                v->moves++;
            }
        }
    }
}

static bool has_any(struct view_ids of, const int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (view_ids_has(of, ids[i])) {
            return true;
        }
    }
    return false;
}

/* Has a move ended since `before` was asked, of which the broker that told the partitions did not
 * know yet? Its replicas would be those of both ends, and none of them on the way. */
static bool is_late(const struct view *v, const moves_response *before)
{
    for (int32_t i = 0; before && i < before->topics_n; i++) {
        const move_topic *t = &before->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const move_desc *m = &t->partitions[k];
            const struct view_partition *p = partition(v, t->name, m->partition_index);
            if (p && p->adding.n + p->removing.n == 0 &&
                has_any(p->replicas, m->removing_replicas, m->removing_replicas_n) &&
                (m->adding_replicas_n == 0 ||
                 has_any(p->replicas, m->adding_replicas, m->adding_replicas_n))) {
                return true;
            }
        }
    }
    return false;
}

int view_ask(struct client *c, struct view *out)
{
    *out = (struct view){0};
    int rv = ask_brokers(c, out);
    bool late = true;
    for (int i = 0; i < LATE_TRIES && late && rv == 0; i++) {
        if (i > 0) {
            usleep(LATE_MS * 1000);
        }
        const moves_response *before = ask_moves(c);
        rv = ask_topics(c, out);
        put_moves(out, before && before->topics_n ? ask_moves(c) : before);
        late = is_late(out, before);
    }
    return rv;
}

/* ---- what is on a broker ---- */

static void put_size(struct view *v, int32_t broker, struct bytes topic, const dir_part *in)
{
    struct view_partition *p = partition(v, topic, in->partition_index);
    for (int32_t i = 0; p && !in->is_future_key && i < p->replicas.n; i++) {
        if (p->replicas.v[i] == broker) {
            p->bytes[i] = in->partition_size;
        }
    }
}

static void put_dirs(struct arena *a, struct view *v, struct view_broker *b, dir_result *in,
                     int32_t n)
{
    b->dirs = ARENA_ARRAY(a, struct view_dir, n + 1);
    b->dirs_n = n;
    for (int32_t i = 0; i < n; i++) {
        b->dirs[i] = (struct view_dir){.path = in[i].log_dir,
                                       .error = in[i].error_code,
                                       .total = in[i].total_bytes,
                                       .usable = in[i].usable_bytes,
                                       .cordoned = in[i].is_cordoned};
        for (int32_t t = 0; t < in[i].topics_n; t++) {
            const dir_topic *topic = &in[i].topics[t];
            for (int32_t k = 0; k < topic->partitions_n; k++) {
                put_size(v, b->id, topic->name, &topic->partitions[k]);
                v->dir_moves += topic->partitions[k].is_future_key;
            }
        }
    }
}

static bool is_asked(const struct view_broker *b)
{
    return !b->fenced && b->silent == NULL;
}

static const char *why(struct client *c)
{
    return arena_printf(&c->arena, "%s", c->error.text);
}

void view_ask_dirs(struct client *c, struct view *v)
{
    struct describe_log_dirs_request req;
    struct describe_log_dirs_response *resp;
    proto_msg_init(&describe_log_dirs_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1;
    for (int32_t i = 0; i < v->brokers_n; i++) {
        struct view_broker *b = &v->brokers[i];
        if (!is_asked(b)) {
            continue;
        }
        if (client_call(c, b->id, API_DESCRIBE_LOG_DIRS, &req, (void **)&resp, NULL)) {
            b->silent = why(c);
        } else if (resp->error_code == 0) {
            put_dirs(&c->arena, v, b, resp->results, resp->results_n);
            b->dirs_ms = steady_ms();
        }
    }
}

/* ---- settings ---- */

static int32_t count(const char *const *names)
{
    int32_t n = 0;
    while (names[n]) {
        n++;
    }
    return n;
}

/* A request for the settings of n resources of a type, whose names the caller puts. */
static struct describe_configs_request *config_request(struct arena *a, int8_t type, int32_t n,
                                                       const char *const *names)
{
    struct describe_configs_request *req = ARENA_NEW(a, struct describe_configs_request);
    struct bytes *keys = ARENA_ARRAY(a, struct bytes, count(names) + 1);
    for (int32_t i = 0; names[i]; i++) {
        keys[i] = bytes_str(names[i]);
    }
    proto_msg_init(&describe_configs_request_msg, req);
    req->resources =
        proto_array(a, &describe_configs_request_describe_configs_resource_desc, (size_t)n);
    req->resources_n = n;
    for (int32_t i = 0; i < n; i++) {
        req->resources[i].resource_type = type;
        req->resources[i].configuration_keys = keys;
        req->resources[i].configuration_keys_n = count(names);
    }
    return req;
}

static struct view_setting *settings_of(struct arena *a, const configs_result *r, int32_t *n)
{
    struct view_setting *v = ARENA_ARRAY(a, struct view_setting, r->configs_n + 1);
    for (int32_t i = 0; i < r->configs_n; i++) {
        v[i] = (struct view_setting){r->configs[i].name, r->configs[i].value,
                                     r->configs[i].config_source};
    }
    *n = r->configs_n;
    return v;
}

static int32_t number(struct bytes v)
{
    char text[16];
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(v));
    return atoi(text);
}

static int ask_some_topics(struct client *c, struct view *v, int32_t from, int32_t n,
                           const char *const *names)
{
    struct describe_configs_response *resp;
    struct describe_configs_request *req = config_request(&c->arena, RESOURCE_TOPIC, n, names);
    for (int32_t i = 0; i < n; i++) {
        req->resources[i].resource_name = v->topics[from + i].name;
    }
    int rv = client_call(c, CLIENT_ANY, API_DESCRIBE_CONFIGS, req, (void **)&resp, NULL);
    for (int32_t i = 0; rv == 0 && i < resp->results_n; i++) {
        struct view_topic *t = view_topic(v, resp->results[i].resource_name);
        if (t && resp->results[i].error_code == 0) {
            t->settings = settings_of(&c->arena, &resp->results[i], &t->settings_n);
            t->min_isr = number(view_value(t->settings, t->settings_n, "min.insync.replicas"));
        }
    }
    return rv;
}

int view_ask_topic_settings(struct client *c, struct view *v, const char *const *names)
{
    int rv = 0;
    for (int32_t at = 0; at < v->topics_n && rv == 0; at += TOPICS_AT_ONCE) {
        int32_t some = v->topics_n - at < TOPICS_AT_ONCE ? v->topics_n - at : TOPICS_AT_ONCE;
        rv = ask_some_topics(c, v, at, some, names);
    }
    return rv;
}

void view_ask_broker_settings(struct client *c, struct view *v, const char *const *names)
{
    for (int32_t i = 0; i < v->brokers_n; i++) {
        struct view_broker *b = &v->brokers[i];
        struct describe_configs_response *resp;
        if (!is_asked(b)) {
            continue;
        }
        struct describe_configs_request *req = config_request(&c->arena, RESOURCE_BROKER, 1, names);
        req->resources[0].resource_name = bytes_str(arena_printf(&c->arena, "%d", b->id));
        if (client_call(c, b->id, API_DESCRIBE_CONFIGS, req, (void **)&resp, NULL)) {
            b->silent = why(c);
        } else if (resp->results_n == 1 && resp->results[0].error_code == 0) {
            b->settings = settings_of(&c->arena, &resp->results[0], &b->settings_n);
        }
    }
}

/* ---- the quorum ---- */

int view_ask_quorum(struct client *c, struct describe_quorum_response_partition_data **out,
                    struct describe_quorum_response **whole)
{
    int rv = client_quorum(c, whole);
    if (rv) {
        return rv;
    }
    *out = &(*whole)->topics[0].partitions[0];
    for (int32_t i = 0; i < (*out)->current_voters_n; i++) {
        if ((*out)->current_voters[i].replica_id == (*out)->leader_id) {
            return 0;
        }
    }
    return errmsg_set(&c->error, ERR_NOTFOUND, "it has no leader at the moment");
}
