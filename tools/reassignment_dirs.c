/* Replicas in the directories of their brokers: see reassignment.h. Each broker is asked once,
 * about all of its replicas. */
#include <stdlib.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "tools/reassignment.h"

enum { LOOK_MS = 3000 };

#define log_dir_topic struct describe_log_dirs_response_describe_log_dirs_topic
#define log_dir_part  struct describe_log_dirs_response_describe_log_dirs_partition
#define alter_dir     struct alter_replica_log_dirs_request_alter_replica_log_dir
#define alter_topic   struct alter_replica_log_dirs_request_alter_replica_log_dir_topic
#define alter_result  struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result

int replica_dir_cmp(const void *a, const void *b)
{
    const struct replica_dir *x = a, *y = b;
    if (x->broker != y->broker) {
        return x->broker > y->broker ? 1 : -1;
    }
    int c = bytes_cmp(x->topic, y->topic);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

void replica_dirs_sort(struct replica_dir *v, size_t n)
{
    if (n) {
        qsort(v, n, sizeof *v, replica_dir_cmp);
    }
}

struct replica_dir *replica_dir_find(const struct replica_dir *v, size_t n, int32_t broker,
                                     struct bytes topic, int32_t partition)
{
    struct replica_dir key = {.topic = topic, .partition = partition, .broker = broker};
    return n ? bsearch(&key, v, n, sizeof *v, replica_dir_cmp) : NULL;
}

struct replica_dir *replica_dirs_of(struct arena *a, const struct replica_sets *targets, size_t *n)
{
    size_t max = 0;
    for (size_t i = 0; i < targets->n; i++) {
        max += targets->v[i].dirs ? (size_t)targets->v[i].replicas_n : 0;
    }
    struct replica_dir *v = ARENA_ARRAY(a, struct replica_dir, max + 1);
    *n = 0;
    for (size_t i = 0; i < targets->n; i++) {
        const struct replica_set *s = &targets->v[i];
        for (int32_t k = 0; s->dirs && k < s->replicas_n; k++) {
            if (!bytes_is_null(s->dirs[k])) {
                v[(*n)++] = (struct replica_dir){.topic = s->topic,
                                                 .partition = s->partition,
                                                 .broker = s->replicas[k],
                                                 .target = s->dirs[k]};
            }
        }
    }
    replica_dirs_sort(v, *n);
    return v;
}

/* ---- where they are ---- */

static void put_describe(struct arena *a, struct describe_log_dirs_request *req,
                         const struct replica_dir *v, size_t n)
{
    req->topics = proto_array(a, &describe_log_dirs_request_describable_log_dir_topic_desc, n);
    req->topics_n = 0;
    int32_t *ids = ARENA_ARRAY(a, int32_t, n); /* of all topics, one after the other */
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !bytes_eq(v[i].topic, v[i - 1].topic)) {
            req->topics[req->topics_n].topic = v[i].topic;
            req->topics[req->topics_n].partitions = ids + i;
            req->topics[req->topics_n++].partitions_n = 0;
        }
        struct describe_log_dirs_request_describable_log_dir_topic *t =
            &req->topics[req->topics_n - 1];
        t->partitions[t->partitions_n++] = v[i].partition;
    }
}

static void take_topic(struct replica_dir *v, size_t n, struct bytes dir, const log_dir_topic *t)
{
    for (int32_t i = 0; i < t->partitions_n; i++) {
        const log_dir_part *p = &t->partitions[i];
        struct replica_dir *r = replica_dir_find(v, n, v->broker, t->name, p->partition_index);
        if (r && p->is_future_key) {
            r->future = dir;
            r->future_size = p->partition_size;
            r->future_lag = p->offset_lag;
        } else if (r) {
            r->current = dir;
            r->size = p->partition_size;
            r->lag = p->offset_lag;
        }
    }
}

/* v: all of one broker. A directory that failed is one in which nothing is. */
static int find_on(struct client *c, struct replica_dir *v, size_t n)
{
    struct describe_log_dirs_request req;
    struct describe_log_dirs_response *resp;
    proto_msg_init(&describe_log_dirs_request_msg, &req);
    put_describe(&c->arena, &req, v, n);
    for (size_t i = 0; i < n; i++) {
        v[i].current = v[i].future = BYTES_NULL;
        v[i].size = v[i].future_size = v[i].lag = v[i].future_lag = -1;
    }
    int rv = client_call(c, v->broker, API_DESCRIBE_LOG_DIRS, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->error_code) {
        rv = client_refused(c, resp->error_code, BYTES_NULL);
    }
    for (int32_t i = 0; rv == 0 && i < resp->results_n; i++) {
        if (resp->results[i].error_code && resp->results[i].error_code != KE_KAFKA_STORAGE_ERROR) {
            rv = client_refused(c, resp->results[i].error_code, BYTES_NULL);
        }
        for (int32_t k = 0; rv == 0 && k < resp->results[i].topics_n; k++) {
            take_topic(v, n, resp->results[i].log_dir, &resp->results[i].topics[k]);
        }
    }
    return rv;
}

/* Calls each(c, those of one broker) for every broker in v. */
static int each_broker(struct client *c, struct replica_dir *v, size_t n,
                       int (*each)(struct client *c, struct replica_dir *v, size_t n))
{
    int rv = 0;
    for (size_t i = 0, end; i < n && rv == 0; i = end) {
        for (end = i + 1; end < n && v[end].broker == v[i].broker; end++) {
        }
        rv = each(c, v + i, end - i);
    }
    return rv;
}

int replica_dirs_find(struct client *c, struct replica_dir *v, size_t n)
{
    return each_broker(c, v, n, find_on);
}

static int look_on(struct client *c, struct replica_dir *v, size_t n)
{
    (void)find_on(c, v, n);
    return 0;
}

void replica_dirs_look(struct client *c, struct replica_dir *v, size_t n)
{
    int64_t timeout_ms = c->timeout_ms;
    c->timeout_ms = timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS;
    (void)each_broker(c, v, n, look_on);
    c->timeout_ms = timeout_ms;
}

/* Asked without a partition, a broker says which directories it has. */
static int check_on(struct client *c, struct replica_dir *v, size_t n)
{
    struct describe_log_dirs_request req;
    struct describe_log_dirs_response *resp;
    proto_msg_init(&describe_log_dirs_request_msg, &req);
    req.topics_n = 0;
    int rv = client_call(c, v->broker, API_DESCRIBE_LOG_DIRS, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->error_code) {
        rv = client_refused(c, resp->error_code, BYTES_NULL);
    }
    for (size_t i = 0; i < n && rv == 0; i++) {
        const char *has = "";
        bool there = false;
        for (int32_t k = 0; k < resp->results_n; k++) {
            there |= bytes_eq(resp->results[k].log_dir, v[i].target);
            has = arena_printf(&c->arena, "%s%s%.*s", has, k ? ", " : "",
                               BYTES_FMT(resp->results[k].log_dir));
        }
        if (!there) {
            rv = errmsg_set(&c->error, ERR_NOTFOUND,
                            "Broker %d has no log directory %.*s (for %.*s-%d); it has %s",
                            v->broker, BYTES_FMT(v[i].target), BYTES_FMT(v[i].topic),
                            v[i].partition, has);
        }
    }
    return rv;
}

int replica_dirs_check(struct client *c, struct replica_dir *v, size_t n)
{
    return each_broker(c, v, n, check_on);
}

/* ---- moving them ---- */

static int by_target(const void *a, const void *b)
{
    const struct replica_dir *x = *(const struct replica_dir *const *)a;
    const struct replica_dir *y = *(const struct replica_dir *const *)b;
    int c = bytes_cmp(x->target, y->target);
    return c ? c : replica_dir_cmp(x, y);
}

static void put_alter(struct arena *a, struct alter_replica_log_dirs_request *req,
                      const struct replica_dir *v, size_t n)
{
    const struct replica_dir **by = ARENA_ARRAY(a, const struct replica_dir *, n);
    for (size_t i = 0; i < n; i++) {
        by[i] = &v[i];
    }
    qsort(by, n, sizeof *by, by_target);
    req->dirs = proto_array(a, &alter_replica_log_dirs_request_alter_replica_log_dir_desc, n);
    req->dirs_n = 0;
    alter_topic *topics = /* of all directories, one after the other */
        proto_array(a, &alter_replica_log_dirs_request_alter_replica_log_dir_topic_desc, n);
    int32_t *ids = ARENA_ARRAY(a, int32_t, n); /* of all topics */
    for (size_t i = 0; i < n; i++) {
        bool new_dir = i == 0 || !bytes_eq(by[i]->target, by[i - 1]->target);
        if (new_dir) {
            alter_dir *d = &req->dirs[req->dirs_n++];
            d->path = by[i]->target;
            d->topics = topics + i;
            d->topics_n = 0;
        }
        alter_dir *d = &req->dirs[req->dirs_n - 1];
        if (new_dir || !bytes_eq(by[i]->topic, by[i - 1]->topic)) {
            d->topics[d->topics_n].name = by[i]->topic;
            d->topics[d->topics_n].partitions = ids + i;
            d->topics[d->topics_n++].partitions_n = 0;
        }
        alter_topic *t = &d->topics[d->topics_n - 1];
        t->partitions[t->partitions_n++] = by[i]->partition;
    }
}

static int alter_on(struct client *c, struct replica_dir *v, size_t n)
{
    struct alter_replica_log_dirs_request req;
    struct alter_replica_log_dirs_response *resp;
    proto_msg_init(&alter_replica_log_dirs_request_msg, &req);
    put_alter(&c->arena, &req, v, n);
    int rv = client_call(c, v->broker, API_ALTER_REPLICA_LOG_DIRS, &req, (void **)&resp, NULL);
    for (size_t i = 0; i < n && rv == 0; i++) {
        v[i].error = KE_UNKNOWN_SERVER_ERROR; /* without an answer it was not moved */
    }
    for (int32_t i = 0; rv == 0 && i < resp->results_n; i++) {
        const alter_result *t = &resp->results[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            struct replica_dir *r =
                replica_dir_find(v, n, v->broker, t->topic_name, t->partitions[k].partition_index);
            if (r) {
                r->error = t->partitions[k].error_code;
            }
        }
    }
    return rv;
}

int replica_dirs_alter(struct client *c, struct replica_dir *v, size_t n)
{
    return each_broker(c, v, n, alter_on);
}
