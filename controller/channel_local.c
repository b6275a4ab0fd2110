/* The local carrier of channel.h, and the two ends of its message (messages.h): a call is one
 * message with the request's frame, which goes to the controller's shard and comes back with the
 * response's.
 *
 * The message outlives a call that was given up (canceled, timed out, channel closed): it then
 * comes home without a call and is only freed.
 *
 * On close: calls in flight are moved to the dying channel, whose task ends them with ERR_CANCELED
 * at the end of the turn. */
#include "base/mem.h"
#include "controller/channel.h"
#include "controller/controller.h"
#include "controller/messages.h"
#include "proto/message.h"

struct channel_local {
    struct channel base;
    unsigned target; /* shard of the controller */
    char *client_id;
    int32_t next_correlation;
    struct list calls; /* struct channel_call, in flight */
    struct task dying; /* after close */
};

static struct channel_local *local_of(struct channel *ch)
{
    return CONTAINER_OF(ch, struct channel_local, base);
}

/* Takes the call out; the caller then runs its callback. */
static void detach(struct channel_call *call)
{
    list_remove(&call->node);
    timer_cancel(call->channel->shard, &call->timer);
    if (call->msg) {
        call->msg->call = NULL;
        call->msg = NULL;
    }
    call->channel = NULL;
}

static void end_call(struct channel_call *call, int err, struct bytes body)
{
    detach(call);
    call->cb(call, err, body);
}

static void on_timeout(struct timer *t)
{
    end_call(t->user, ERR_TIMEOUT, BYTES_NULL);
}

/* ---- the vtable ---- */

static void local_call(struct channel *ch, struct channel_call *call)
{
    struct channel_local *l = local_of(ch);
    struct controller_msg *m = MEM_NEW(struct controller_msg);
    ASSERT(call->channel == NULL && call->timeout_ms > 0);
    call->channel = ch;
    call->correlation_id = l->next_correlation++;
    call->msg = m;
    list_push_back(&l->calls, &call->node);
    call->timer = (struct timer){.cb = on_timeout, .user = call};
    timer_set(ch->shard, &call->timer, shard_now_ms(ch->shard) + call->timeout_ms);
    m->msg.kind = CONTROLLER_MSG_CALL;
    m->call = call;
    proto_put_request_header(&m->request, call->api_key, call->version, call->correlation_id,
                             bytes_str(l->client_id));
    buf_put(&m->request, call->body.data, call->body.len);
    shard_send(ch->shard, l->target, &m->msg);
}

static void local_cancel(struct channel *ch, struct channel_call *call)
{
    ASSERT_ON_SHARD(ch->shard);
    detach(call);
}

static void local_not_controller(struct channel *ch)
{
    UNUSED(ch); /* there is no other one in this process */
}

static void die(struct task *t)
{
    struct channel_local *l = t->user;
    while (!list_empty(&l->calls)) {
        end_call(LIST_ENTRY(l->calls.next, struct channel_call, node), ERR_CANCELED, BYTES_NULL);
    }
    mem_free(l->client_id);
    mem_free(l);
}

static void local_close(struct channel *ch)
{
    struct channel_local *l = local_of(ch);
    ASSERT_ON_SHARD(ch->shard);
    shard_defer(ch->shard, &l->dying);
}

static const struct channel_ops local_ops = {
    .name = "local",
    .call = local_call,
    .cancel = local_cancel,
    .not_controller = local_not_controller,
    .close = local_close,
};

struct channel *channel_local_new(struct shard *sh, unsigned controller_shard,
                                  const char *client_id)
{
    struct channel_local *l = MEM_NEW(struct channel_local);
    l->base.ops = &local_ops;
    l->base.shard = sh;
    l->target = controller_shard;
    l->client_id = mem_strdup(client_id);
    list_init(&l->calls);
    task_init(&l->dying, die, l);
    return &l->base;
}

/* ---- the message's two ends ---- */

static void send_home(struct shard *sh, struct controller_msg *m, int err)
{
    m->reply = true;
    m->err = err;
    shard_send(sh, m->msg.from, &m->msg);
}

struct local_reply {
    struct shard *shard;
    struct controller_msg *msg;
};

/* On the controller's shard. */
static void on_reply(void *user, int err, struct buf *response)
{
    struct local_reply r = *(struct local_reply *)user;
    mem_free(user);
    if (err == 0) {
        r.msg->response = *response;
        *response = (struct buf){0};
    }
    /* a request that gets a connection closed ends a local call the same way */
    send_home(r.shard, r.msg, err == 0 || err == ERR_CANCELED ? err : ERR_CLOSED);
}

/* Back on the caller's shard. */
static void come_home(struct controller_msg *m)
{
    struct channel_call *call = m->call;
    if (call) {
        struct bytes frame = buf_bytes(&m->response);
        struct bytes body = BYTES_NULL;
        int32_t correlation = -1;
        size_t at = 0;
        int err = m->err;
        if (err == ERR_CANCELED) {
            err = ERR_CLOSED; /* the controller stops; this channel does not */
        } else if (err == 0 && (proto_skip_response_header(frame, call->api_key, call->version,
                                                           &correlation, &at) ||
                                correlation != call->correlation_id)) {
            err = ERR_CORRUPT;
        } else if (err == 0) {
            body = bytes_of(frame.data + at, frame.len - at);
        }
        end_call(call, err, body);
    }
    buf_free(&m->request);
    buf_free(&m->response);
    mem_free(m);
}

void controller_dispatch(struct controller *c, struct shard *sh, struct msg *msg)
{
    struct controller_msg *m = CONTAINER_OF(msg, struct controller_msg, msg);
    ASSERT(msg->kind == CONTROLLER_MSG_CALL);
    ASSERT_ON_SHARD(sh);
    if (m->reply) {
        come_home(m);
    } else if (c == NULL) { /* not there yet, or not any more */
        send_home(sh, m, ERR_CLOSED);
    } else {
        struct local_reply *r = MEM_NEW(struct local_reply);
        *r = (struct local_reply){sh, m};
        controller_handle(c, buf_bytes(&m->request), on_reply, r);
    }
}
