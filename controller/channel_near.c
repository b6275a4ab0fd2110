/* The carrier of a broker with a controller in its own process that is one of several: calls go by
 * messages while that one is the active controller, and by sockets to the others while it is not.
 *
 * Which it is, it learns as the others do: by NOT_CONTROLLER, after which the next one is asked,
 * all of the others and then the own one again; and sooner by the controller in this process, which
 * hears of every new leader (channel_leader). A call stays with the carrier that it was given to.
 *
 * Shard: the one it was made on. */
#include "base/mem.h"
#include "controller/channel.h"

struct channel_near {
    struct channel base;
    struct channel *local;
    struct channel *others;
    int32_t own;
    size_t others_n;
    size_t refused; /* answers in a row by which none of the others was it */
    bool is_local;
};

static struct channel_near *near_of(struct channel *ch)
{
    return CONTAINER_OF(ch, struct channel_near, base);
}

static void near_call(struct channel *ch, struct channel_call *call)
{
    struct channel_near *n = near_of(ch);
    channel_call(n->is_local ? n->local : n->others, call);
}

/* Never called: a call in flight belongs to one of the two. */
static void near_cancel(struct channel *ch, struct channel_call *call)
{
    UNUSED(ch);
    UNUSED(call);
    UNREACHABLE();
}

static void near_not_controller(struct channel *ch)
{
    struct channel_near *n = near_of(ch);
    if (n->is_local) {
        n->is_local = false;
        n->refused = 0;
        return;
    }
    channel_not_controller(n->others);
    if (++n->refused >= n->others_n) {
        n->is_local = true;
    }
}

static void near_leader(struct channel *ch, int32_t id, bool hearsay)
{
    struct channel_near *n = near_of(ch);
    n->refused = 0;
    n->is_local = id == n->own;
    /* the own one too: what waits for the others is over */
    n->others->ops->leader(n->others, id, hearsay);
}

static void near_close(struct channel *ch)
{
    struct channel_near *n = near_of(ch);
    channel_close(n->local);
    channel_close(n->others);
    mem_free(n);
}

static const struct channel_ops near_ops = {
    .name = "near",
    .call = near_call,
    .cancel = near_cancel,
    .not_controller = near_not_controller,
    .leader = near_leader,
    .close = near_close,
};

struct channel *channel_near_new(struct channel *local, struct channel *others, int32_t own,
                                 size_t others_n)
{
    struct channel_near *n = MEM_NEW(struct channel_near);
    n->base.ops = &near_ops;
    n->base.shard = local->shard;
    n->local = local;
    n->others = others;
    n->own = own;
    n->others_n = others_n;
    n->is_local = true;
    return &n->base;
}
