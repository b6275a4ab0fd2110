/* InitProducerId (22), versions 0 to 5, for idempotent producers: a new id each time, epoch 0,
 * whatever id the producer had (as Kafka does without a transactional id). With a transactional id
 * the transaction coordinator is asked, which there is none of yet: COORDINATOR_NOT_AVAILABLE; what
 * Kafka refuses before it asks is refused here too. */
#include "broker/api/handlers.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/producer_ids.h"
#include "broker/request.h"
#include "proto_errors.h"
#include "proto_messages.h"

struct init {
    struct request *r;
    struct call call;
    int16_t error;
    int64_t id;
};

static void answer(struct init *s)
{
    struct init_producer_id_response *resp = request_response(s->r);
    resp->error_code = s->error;
    resp->producer_id = s->error ? -1 : s->id;
    resp->producer_epoch = s->error ? -1 : 0;
    request_reply(s->r, resp);
}

static void run(struct shard *sh, struct call *c)
{
    struct init *s = c->user;
    s->error = producer_ids_next(node_shard_of(sh)->node->producer_ids, &s->id);
    call_finish(sh, c);
}

static void done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    answer(c->user);
}

static int16_t refusal(const struct request *r, const struct init_producer_id_request *q)
{
    int32_t timeout_max = request_node(r)->config->v.transaction_max_timeout_ms;
    if ((q->producer_id == -1) != (q->producer_epoch == -1)) {
        return KE_INVALID_REQUEST;
    }
    if (bytes_is_null(q->transactional_id)) {
        return KE_NONE;
    }
    if (q->transactional_id.len == 0) {
        return KE_INVALID_REQUEST;
    }
    if (q->transaction_timeout_ms <= 0 || q->transaction_timeout_ms > timeout_max) {
        return KE_INVALID_TRANSACTION_TIMEOUT;
    }
    return KE_COORDINATOR_NOT_AVAILABLE;
}

void api_init_producer_id(struct request *r)
{
    const struct init_producer_id_request *q = r->body;
    struct init *s = ARENA_NEW(&r->arena, struct init);
    s->r = r;
    s->error = refusal(r, q);
    if (s->error) {
        answer(s);
    } else if (r->ns->index == 0) {
        s->error = producer_ids_next(request_node(r)->producer_ids, &s->id);
        answer(s);
    } else {
        call_start(r->ns->shard, 0, &s->call, run, done, s);
    }
}
