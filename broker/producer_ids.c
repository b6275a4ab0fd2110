#include "broker/producer_ids.h"

#include "base/mem.h"
#include "broker/lifecycle.h"
#include "broker/node.h"
#include "controller/channel.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    TIMEOUT_MS = 10000,
    RETRY_MS = 50,
    PREFETCH_LEFT = 10, /* a tenth of a block */
};

struct block {
    int64_t next;
    int64_t end; /* next == end: empty */
};

struct producer_ids {
    struct node_shard *main;
    struct block now;
    struct block spare; /* the next one, fetched ahead */
    int64_t block_len;
    struct channel_call call;
    struct timer retry;
    struct buf body;
    struct log_limit limit;
};

static void ask(struct producer_ids *p);

static void retry_cb(struct timer *t)
{
    ask(t->user);
}

/* why NULL: another controller may give them, or this one in a moment. */
static void later(struct producer_ids *p, const char *why)
{
    struct shard *sh = p->main->shard;
    if (why) {
        log_seldom(p->main->node->log, &p->limit, LOG_WARN, "lifecycle",
                   "the controller did not give producer ids, trying again reason=\"%s\"", why);
    }
    timer_set(sh, &p->retry, shard_now_ms(sh) + RETRY_MS);
}

static void take_block(struct producer_ids *p, const struct allocate_producer_ids_response *resp)
{
    struct block b = {resp->producer_id_start, resp->producer_id_start + resp->producer_id_len};
    p->block_len = resp->producer_id_len;
    if (p->now.next == p->now.end) {
        p->now = b;
    } else {
        p->spare = b;
    }
}

static void answer_cb(struct channel_call *call, int err, struct bytes body)
{
    struct producer_ids *p = call->user;
    struct arena a = {.limit = 65536};
    struct allocate_producer_ids_response resp;
    proto_msg_init(&allocate_producer_ids_response_msg, &resp);
    if (err == ERR_CANCELED) {
        return;
    }
    if (err == 0) {
        err =
            proto_decode(&allocate_producer_ids_response_msg, call->version, body, NULL, &a, &resp);
    }
    if (err == 0 && resp.error_code == KE_NONE && resp.producer_id_len > 0) {
        take_block(p, &resp);
    } else {
        bool elsewhere = err == 0 && resp.error_code == KE_NOT_CONTROLLER;
        if (elsewhere) {
            channel_not_controller(p->main->channel);
        }
        later(p, elsewhere              ? NULL
                 : err                  ? err_text(err)
                 : resp.error_code != 0 ? kafka_error_name(resp.error_code)
                                        : "an empty block");
    }
    arena_free(&a);
}

static void ask(struct producer_ids *p)
{
    if (channel_in_flight(&p->call) || timer_is_set(&p->retry)) {
        return;
    }
    struct allocate_producer_ids_request q;
    int64_t epoch = lifecycle_broker_epoch(p->main->node->lifecycle);
    if (epoch < 0) { /* not registered yet: it would be refused */
        later(p, NULL);
        return;
    }
    proto_msg_init(&allocate_producer_ids_request_msg, &q);
    q.broker_id = p->main->node->id;
    q.broker_epoch = epoch;
    buf_clear(&p->body);
    int err = proto_encode(&allocate_producer_ids_request_msg, 0, &q, &p->body, NULL);
    ASSERT(err == 0);
    p->call = (struct channel_call){
        .api_key = API_ALLOCATE_PRODUCER_IDS,
        .version = 0,
        .body = buf_bytes(&p->body),
        .timeout_ms = TIMEOUT_MS,
        .cb = answer_cb,
        .user = p,
    };
    channel_call(p->main->channel, &p->call);
}

struct producer_ids *producer_ids_new(struct node_shard *main)
{
    struct producer_ids *p = MEM_NEW(struct producer_ids);
    p->main = main;
    p->retry = (struct timer){.cb = retry_cb, .user = p};
    return p;
}

void producer_ids_free(struct producer_ids *p)
{
    if (p == NULL) {
        return;
    }
    channel_cancel(&p->call);
    timer_cancel(p->main->shard, &p->retry);
    buf_free(&p->body);
    mem_free(p);
}

void producer_ids_start(struct producer_ids *p)
{
    ask(p);
}

int16_t producer_ids_next(struct producer_ids *p, int64_t *id)
{
    ASSERT_ON_SHARD(p->main->shard);
    if (p->now.next == p->now.end) {
        p->now = p->spare;
        p->spare = (struct block){0};
    }
    if (p->now.next == p->now.end) {
        ask(p);
        return KE_COORDINATOR_LOAD_IN_PROGRESS;
    }
    *id = p->now.next++;
    bool spare = p->spare.next != p->spare.end;
    if (!spare && (p->now.end - p->now.next) * PREFETCH_LEFT <= p->block_len) {
        ask(p);
    }
    return KE_NONE;
}
