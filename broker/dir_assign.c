#include "broker/dir_assign.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/lifecycle.h"
#include "broker/messages.h"
#include "controller/channel.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

enum {
    ASSIGN_VERSION = 0,
    REQUEST_MAX = 2000, /* replicas in one request */
    RETRY_MS = 500,
};

/* A shard's report, data -> main. */
struct dir_assign_msg {
    struct msg m;
    struct uuid topic_id;
    int32_t partition;
    unsigned dir;
};

/* One replica of which the controller does not know the directory yet. */
struct assignment {
    struct uuid dir;
    struct uuid topic_id;
    int32_t partition;
    bool sent;      /* in the request that is under way */
    uint64_t order; /* of the reports */
};

struct dir_assign {
    struct node *node;
    struct shard *shard; /* main */
    struct assignment *v;
    size_t n;
    size_t cap;
    struct channel_call call;
    struct buf body;
    struct timer retry;
    struct task send_task; /* reports come many at a time: one request for a turn's */
    bool started;
    struct log_limit limit;
    uint64_t reports;
};

void dir_assign_report(struct node_shard *ns, struct uuid topic_id, int32_t partition, unsigned dir)
{
    struct dir_assign_msg *m = MEM_NEW(struct dir_assign_msg);
    ASSERT_ON_SHARD(ns->shard);
    m->m.kind = MSG_DIR_ASSIGN;
    m->topic_id = topic_id;
    m->partition = partition;
    m->dir = dir;
    shard_send(ns->shard, 0, &m->m);
}

static void add(struct dir_assign *a, const struct dir_assign_msg *m)
{
    struct assignment as = {.dir = a->node->log_dirs[m->dir]->meta.directory_id,
                            .topic_id = m->topic_id,
                            .partition = m->partition,
                            .order = a->reports++};
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 64;
        a->v = mem_realloc(a->v, a->cap * sizeof *a->v);
    }
    a->v[a->n++] = as;
    if (a->started) {
        shard_defer(a->shard, &a->send_task);
    }
}

void dir_assign_on_msg(struct node *n, struct msg *m)
{
    struct dir_assign_msg *am = CONTAINER_OF(m, struct dir_assign_msg, m);
    ASSERT_ON_SHARD(n->shards[0].shard);
    if (n->log_dirs[am->dir]) {
        add(n->dir_assign, am);
    }
    mem_free(am);
}

/* ---- the request ---- */

static int by_dir_and_topic(const void *x, const void *y)
{
    const struct assignment *a = x;
    const struct assignment *b = y;
    int c = memcmp(a->dir.b, b->dir.b, 16);
    c = c ? c : memcmp(a->topic_id.b, b->topic_id.b, 16);
    return c ? c : (a->partition > b->partition) - (a->partition < b->partition);
}

static int by_partition(const void *x, const void *y)
{
    const struct assignment *a = x;
    const struct assignment *b = y;
    int c = memcmp(a->topic_id.b, b->topic_id.b, 16);
    c = c ? c : (a->partition > b->partition) - (a->partition < b->partition);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

/* Of several reports of a replica the newest counts: a move that was given up, say, or one that
 * ended before the controller had heard of it. */
static void keep_newest(struct dir_assign *a)
{
    size_t kept = 0;
    qsort(a->v, a->n, sizeof *a->v, by_partition);
    for (size_t i = 0; i < a->n; i++) {
        const struct assignment *next = i + 1 < a->n ? &a->v[i + 1] : NULL;
        if (next == NULL || !uuid_eq(next->topic_id, a->v[i].topic_id) ||
            next->partition != a->v[i].partition) {
            a->v[kept++] = a->v[i];
        }
    }
    a->n = kept;
}

/* The first n assignments, which are sorted, as directories of topics of partitions. */
static void fill(struct dir_assign *a, size_t n, struct assign_replicas_to_dirs_request *req,
                 struct arena *mem)
{
    struct assign_replicas_to_dirs_request_directory_data *dirs =
        proto_array(mem, &assign_replicas_to_dirs_request_directory_data_desc, n);
    struct assign_replicas_to_dirs_request_topic_data *topics =
        proto_array(mem, &assign_replicas_to_dirs_request_topic_data_desc, n);
    struct assign_replicas_to_dirs_request_partition_data *parts =
        proto_array(mem, &assign_replicas_to_dirs_request_partition_data_desc, n);
    struct assign_replicas_to_dirs_request_directory_data *d = NULL;
    struct assign_replicas_to_dirs_request_topic_data *t = NULL;
    req->directories = dirs;
    for (size_t i = 0; i < n; i++) {
        struct assignment *as = &a->v[i];
        as->sent = true;
        if (d == NULL || !uuid_eq(d->id, as->dir)) {
            d = &dirs[req->directories_n++];
            d->id = as->dir;
            d->topics = topics;
            t = NULL;
        }
        if (t == NULL || !uuid_eq(t->topic_id, as->topic_id)) {
            t = topics++;
            t->topic_id = as->topic_id;
            t->partitions = &parts[i];
            d->topics_n++;
        }
        parts[i].partition_index = as->partition;
        t->partitions_n++;
    }
}

static void retry_later(struct dir_assign *a, const char *why)
{
    for (size_t i = 0; i < a->n; i++) {
        a->v[i].sent = false;
    }
    log_limited(a->node->log, &a->limit, LOG_WARN, "lifecycle",
                "the controller did not take the log directories of replicas, trying again "
                "reason=\"%s\" replicas=%zu",
                why, a->n);
    timer_set(a->shard, &a->retry, shard_now_ms(a->shard) + RETRY_MS);
}

/* What a partition's answer means: true, ask again. */
static bool again(int16_t code)
{
    return code != 0 && kafka_error_retriable(code) && code != KE_UNKNOWN_TOPIC_ID &&
           code != KE_UNKNOWN_TOPIC_OR_PARTITION;
}

/* Every assignment that was sent goes, but those that the answer wants again. */
static void take_answer(struct dir_assign *a, const struct assign_replicas_to_dirs_response *r)
{
    size_t left = 0;
    size_t refused = 0;
    for (int32_t i = 0; i < r->directories_n; i++) {
        for (int32_t j = 0; j < r->directories[i].topics_n; j++) {
            for (int32_t k = 0; k < r->directories[i].topics[j].partitions_n; k++) {
                int16_t code = r->directories[i].topics[j].partitions[k].error_code;
                struct assignment key = {
                    .dir = r->directories[i].id,
                    .topic_id = r->directories[i].topics[j].topic_id,
                    .partition = r->directories[i].topics[j].partitions[k].partition_index};
                for (size_t s = 0; again(code) && s < a->n; s++) {
                    if (a->v[s].sent && by_dir_and_topic(&a->v[s], &key) == 0) {
                        a->v[s].sent = false;
                        refused++;
                    }
                }
            }
        }
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!a->v[i].sent) {
            a->v[left++] = a->v[i];
        }
    }
    a->n = left;
    if (refused) {
        retry_later(a, "some were refused for now");
    } else if (left) {
        shard_defer(a->shard, &a->send_task);
    }
}

static void on_answer(struct channel_call *call, int err, struct bytes body)
{
    struct dir_assign *a = call->user;
    struct arena mem = {0};
    struct assign_replicas_to_dirs_response r;
    if (err == ERR_CANCELED) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&assign_replicas_to_dirs_response_msg, ASSIGN_VERSION, body, NULL, &mem,
                           &r);
    }
    if (err) {
        retry_later(a, err_text(err));
    } else if (r.error_code) {
        if (r.error_code == KE_NOT_CONTROLLER) {
            channel_not_controller(a->node->shards[0].channel);
        }
        retry_later(a, kafka_error_name(r.error_code));
    } else {
        take_answer(a, &r);
    }
    arena_free(&mem);
}

static void send_report(struct dir_assign *a)
{
    struct assign_replicas_to_dirs_request req;
    struct arena mem = {0};
    struct errmsg em;
    int64_t epoch = lifecycle_broker_epoch(a->node->lifecycle);
    if (a->n == 0 || epoch < 0 || channel_in_flight(&a->call) || timer_is_set(&a->retry)) {
        return;
    }
    keep_newest(a);
    qsort(a->v, a->n, sizeof *a->v, by_dir_and_topic);
    proto_msg_init(&assign_replicas_to_dirs_request_msg, &req);
    req.broker_id = a->node->id;
    req.broker_epoch = epoch;
    fill(a, a->n < REQUEST_MAX ? a->n : REQUEST_MAX, &req, &mem);
    buf_clear(&a->body);
    int rc =
        proto_encode(&assign_replicas_to_dirs_request_msg, ASSIGN_VERSION, &req, &a->body, &em);
    ASSERT(rc == 0);
    arena_free(&mem);
    a->call.api_key = API_ASSIGN_REPLICAS_TO_DIRS;
    a->call.version = ASSIGN_VERSION;
    a->call.body = buf_bytes(&a->body);
    a->call.timeout_ms = a->node->config->v.request_timeout_ms;
    a->call.cb = on_answer;
    a->call.user = a;
    channel_call(a->node->shards[0].channel, &a->call);
}

static void on_task(struct task *t)
{
    send_report(t->user);
}

static void on_retry(struct timer *t)
{
    send_report(t->user);
}

struct dir_assign *dir_assign_new(struct node *n)
{
    struct dir_assign *a = MEM_NEW(struct dir_assign);
    a->node = n;
    a->shard = n->shards[0].shard;
    a->retry.cb = on_retry;
    a->retry.user = a;
    task_init(&a->send_task, on_task, a);
    return a;
}

void dir_assign_start(struct dir_assign *a)
{
    ASSERT_ON_SHARD(a->shard);
    a->started = true;
    send_report(a);
}

void dir_assign_free(struct dir_assign *a)
{
    if (a == NULL) {
        return;
    }
    timer_cancel(a->shard, &a->retry);
    channel_cancel(&a->call);
    list_remove(&a->send_task.node);
    buf_free(&a->body);
    mem_free(a->v);
    mem_free(a);
}
