#include "broker/replica/alter.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "broker/config.h"
#include "broker/partition_manager.h"
#include "broker/replica/standing.h"
#include "broker/shard_stats.h"
#include "controller/channel.h"
#include "controller/image.h"
#include "proto/message.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    ALTER_VERSION = 3,  /* the first with broker epochs, which every controller here speaks */
    REQUEST_MAX = 2000, /* partitions */
    RETRY_MS = 50,      /* twice as long each time, up to the maximum */
    RETRY_MAX_MS = 1000,
    RECOVERED = 0,
};

#define TOPIC     struct alter_partition_request_topic_data
#define PARTITION struct alter_partition_request_partition_data
#define RESULT    struct alter_partition_response_partition_data

struct isr_alter {
    struct node_shard *ns;
    struct list waiting; /* partition.alter: for the next request */
    struct list sent;    /* in the request under way */
    struct channel_call call;
    struct buf body;
    struct timer retry;
    struct task send_task; /* proposals come many at a time: one request for a turn's */
    int64_t backoff_ms;
    struct log_limit limit;
    struct log_limit refused;
};

/* ---- the request ---- */

static void fill_partition(struct partition *p, int64_t epoch, struct arena *mem, PARTITION *out)
{
    struct isr_member *m = ARENA_ARRAY(mem, struct isr_member, p->isr->n + 1);
    uint32_t n = isr_pending_members(p->isr, epoch, m);
    out->partition_index = p->index;
    out->leader_epoch = p->leader_epoch;
    out->partition_epoch = p->isr->partition_epoch;
    out->leader_recovery_state = RECOVERED;
    out->new_isr_with_epochs = proto_array(mem, &alter_partition_request_broker_state_desc, n);
    for (uint32_t i = 0; i < n; i++) {
        out->new_isr_with_epochs[i].broker_id = m[i].id;
        out->new_isr_with_epochs[i].broker_epoch = m[i].broker_epoch;
    }
    out->new_isr_with_epochs_n = (int32_t)n;
}

/* Takes up to REQUEST_MAX partitions that wait; neighbours of one topic share a row. */
static void fill(struct isr_alter *a, int64_t epoch, struct alter_partition_request *req,
                 struct arena *mem)
{
    TOPIC *topics = proto_array(mem, &alter_partition_request_topic_data_desc, REQUEST_MAX);
    PARTITION *parts = proto_array(mem, &alter_partition_request_partition_data_desc, REQUEST_MAX);
    TOPIC *t = NULL;
    req->broker_id = a->ns->node->id;
    req->broker_epoch = epoch;
    req->topics = topics;
    for (int i = 0; i < REQUEST_MAX && !list_empty(&a->waiting); i++) {
        struct list *at = list_pop_front(&a->waiting);
        struct partition *p = LIST_ENTRY(at, struct partition, alter);
        list_push_back(&a->sent, at);
        p->alter_sent = p->isr->proposal;
        if (t == NULL || !uuid_eq(t->topic_id, p->topic->id)) {
            t = &topics[req->topics_n++];
            t->topic_id = p->topic->id;
            t->partitions = &parts[i];
        }
        fill_partition(p, epoch, mem, &parts[i]);
        t->partitions_n++;
    }
}

static void on_answer(struct channel_call *call, int err, struct bytes body);

static void send_request(struct isr_alter *a)
{
    struct alter_partition_request req;
    struct arena mem = {0};
    struct errmsg em;
    if (list_empty(&a->waiting) || channel_in_flight(&a->call) || timer_is_set(&a->retry)) {
        return;
    }
    const struct image_broker *self = image_broker(a->ns->image, a->ns->node->id);
    if (a->ns->channel == NULL || self == NULL) { /* nobody leads before that; but not for ever */
        timer_set(a->ns->shard, &a->retry, shard_now_ms(a->ns->shard) + RETRY_MAX_MS);
        return;
    }
    proto_msg_init(&alter_partition_request_msg, &req);
    fill(a, self->epoch, &req, &mem);
    buf_clear(&a->body);
    int rc = proto_encode(&alter_partition_request_msg, ALTER_VERSION, &req, &a->body, &em);
    ASSERT(rc == 0);
    arena_free(&mem);
    a->call.api_key = API_ALTER_PARTITION;
    a->call.version = ALTER_VERSION;
    a->call.body = buf_bytes(&a->body);
    a->call.timeout_ms = a->ns->node->config->v.request_timeout_ms;
    a->call.cb = on_answer;
    a->call.user = a;
    channel_call(a->ns->channel, &a->call);
}

/* ---- the answer ---- */

/* Nothing is known of what was sent and is left: it goes into a later request. */
static void retry_later(struct isr_alter *a, const char *why)
{
    struct list *at;
    unsigned n = 0;
    while ((at = list_pop_front(&a->sent)) != NULL) {
        list_push_back(&a->waiting, at);
        n++;
    }
    if (n > 0) {
        log_limited(a->ns->node->log, &a->limit, LOG_WARN, "replica",
                    "the controller did not take in-sync sets, trying again reason=\"%s\" "
                    "partitions=%u in_ms=%lld",
                    why, n, (long long)a->backoff_ms);
    }
    timer_set(a->ns->shard, &a->retry, shard_now_ms(a->ns->shard) + a->backoff_ms);
    a->backoff_ms = 2 * a->backoff_ms < RETRY_MAX_MS ? 2 * a->backoff_ms : RETRY_MAX_MS;
}

static void say_changed(const struct partition *p)
{
    log_debug(p->pm->ns->node->log, "replica",
              "the in-sync set changed partition=%s-%d leader_epoch=%d partition_epoch=%d isr=%u",
              p->topic->name, (int)p->index, (int)p->leader_epoch, (int)p->isr->partition_epoch,
              p->isr->isr_n);
}

/* The controller says the same at its end. No warning: an election or a step of a reassignment that
 * overtakes a proposal does this, and the metadata that is on its way settles it. */
static void say_refused(const struct partition *p, const char *what, int16_t code)
{
    struct node_shard *ns = p->pm->ns;
    log_limited(ns->node->log, &ns->alter->refused, LOG_INFO, "replica",
                "%s partition=%s-%d error=%s leader_epoch=%d partition_epoch=%d isr=%u", what,
                p->topic->name, (int)p->index, kafka_error_name(code), (int)p->leader_epoch,
                (int)p->isr->partition_epoch, p->isr->isr_n);
}

/* The proposal is in force at the controller. */
static void take_state(struct partition *p, const RESULT *r)
{
    if (r->isr_n < 0 ||
        !isr_answered(p->isr, r->leader_epoch, r->partition_epoch, r->isr, (uint32_t)r->isr_n)) {
        return; /* the metadata will say */
    }
    struct shard_stats *stats = p->pm->ns->stats;
    stats->isr_shrinks += p->isr->isr_n < p->isr_n;
    stats->isr_expands += p->isr->isr_n > p->isr_n;
    p->isr_n = p->isr->isr_n;
    p->partition_epoch = p->isr->partition_epoch;
    say_changed(p);
    standing_look(p);
    partition_advance(p);
}

/* What an error of the controller's means for a proposal. */
static bool is_surely_undone(int16_t code)
{
    return code == KE_INELIGIBLE_REPLICA || code == KE_OPERATION_NOT_ATTEMPTED;
}

static bool awaits_metadata(int16_t code)
{
    return code == KE_UNKNOWN_TOPIC_ID || code == KE_UNKNOWN_TOPIC_OR_PARTITION ||
           code == KE_FENCED_LEADER_EPOCH || code == KE_INVALID_UPDATE_VERSION ||
           code == KE_INVALID_REQUEST || code == KE_NEW_LEADER_ELECTED;
}

/* False: to be sent again. */
static bool take_result(struct partition *p, const RESULT *r)
{
    if (r->error_code == KE_NONE) {
        take_state(p, r);
    } else if (is_surely_undone(r->error_code)) {
        say_refused(p, "an in-sync set was refused", r->error_code);
        p->pm->ns->stats->isr_updates_failed++;
        isr_refused(p->isr);
    } else if (awaits_metadata(r->error_code)) {
        say_refused(p, "an in-sync set was refused and waits for the metadata", r->error_code);
    } else {
        return false;
    }
    return true;
}

static int16_t take_answer(struct isr_alter *a, const struct alter_partition_response *resp)
{
    int16_t again = KE_NONE;
    for (int32_t i = 0; i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            const RESULT *r = &resp->topics[i].partitions[k];
            struct partition *p =
                partition_find(a->ns->partitions, resp->topics[i].topic_id, r->partition_index);
            if (p == NULL || p->isr == NULL || !p->isr->pending ||
                p->alter_sent != p->isr->proposal || list_empty(&p->alter)) {
                continue; /* it was overtaken, or never asked */
            }
            list_remove(&p->alter);
            p->alter_sent = 0;
            if (!take_result(p, r)) {
                again = r->error_code;
                list_push_back(&a->waiting, &p->alter);
            }
        }
    }
    return again;
}

static void on_answer(struct channel_call *call, int err, struct bytes body)
{
    struct isr_alter *a = call->user;
    struct arena mem = {0};
    struct alter_partition_response r;
    if (err == ERR_CANCELED) {
        return;
    }
    if (err == 0) {
        err = proto_decode(&alter_partition_response_msg, ALTER_VERSION, body, NULL, &mem, &r);
    }
    int16_t code = err ? KE_NONE : r.error_code;
    if (code == KE_NOT_CONTROLLER) {
        channel_not_controller(a->ns->channel);
    }
    if (!err && !code) {
        code = take_answer(a, &r);
        if (code == KE_NONE && list_empty(&a->sent)) {
            a->backoff_ms = RETRY_MS;
            shard_defer(a->ns->shard, &a->send_task);
            arena_free(&mem);
            return;
        }
    }
    retry_later(a, err ? err_text(err) : code ? kafka_error_name(code) : "not in the answer");
    arena_free(&mem);
}

/* ---- from outside ---- */

static void on_task(struct task *t)
{
    send_request(t->user);
}

static void on_retry(struct timer *t)
{
    send_request(t->user);
}

void isr_alter_propose(struct isr_alter *a, struct partition *p)
{
    ASSERT_ON_SHARD(a->ns->shard);
    ASSERT(p->isr && p->isr->pending);
    if (list_empty(&p->alter)) {
        list_push_back(&a->waiting, &p->alter);
        shard_defer(a->ns->shard, &a->send_task);
    }
}

void isr_alter_cancel(struct isr_alter *a, struct partition *p)
{
    UNUSED(a);
    list_remove(&p->alter);
    p->alter_sent = 0;
}

struct isr_alter *isr_alter_new(struct node_shard *ns)
{
    struct isr_alter *a = MEM_NEW(struct isr_alter);
    a->ns = ns;
    a->backoff_ms = RETRY_MS;
    a->retry = (struct timer){.cb = on_retry, .user = a};
    list_init(&a->waiting);
    list_init(&a->sent);
    task_init(&a->send_task, on_task, a);
    return a;
}

void isr_alter_free(struct isr_alter *a)
{
    if (a == NULL) {
        return;
    }
    timer_cancel(a->ns->shard, &a->retry);
    channel_cancel(&a->call);
    list_remove(&a->send_task.node);
    struct list *lists[] = {&a->waiting, &a->sent};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        while (list_pop_front(lists[i]) != NULL) {
        }
    }
    buf_free(&a->body);
    mem_free(a);
}
