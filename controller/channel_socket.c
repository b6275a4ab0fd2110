/* The socket carrier of channel.h: a connection for each group of calls, to the controller that is
 * believed to be active.
 *
 *   call -> queued (no connection) -> sent -> answered
 *              |  connect, in backoff     \-> the connection ends: ERR_CLOSED
 *              \-> timeout: ERR_TIMEOUT
 *
 * The other end answers a connection's requests in order, so the groups keep apart what must not
 * wait for each other: long polls, signs of life, what is handed on, and the rest. All groups go to
 * the same endpoint; a refused, broken or silent connection, or the word that it is not the
 * controller, moves all to the next one, and the word who is moves them there. With a single
 * endpoint there is nothing to move to.
 *
 * Endpoints without an id (controller.quorum.bootstrap.servers) are where to begin. When the ids
 * and addresses of controllers are learned, they are spares: under another name such a one may be
 * the very controller that was left for its silence. They take part again when all that have ids
 * failed one after another, or when nobody who leads was found for SPARES_MS, until one is found:
 * the controllers may all have moved, or the only one that is known may be cut off from the others,
 * which it then says for ever: that it does not lead, and not who does.
 *
 * A controller that leads no longer because it is silent never answers what was sent to it: when
 * the word comes who leads, what is still out elsewhere gets GRACE_MS, and then ERR_CLOSED. Until
 * the others have elected another one they name the silent one still: for AVOID_MS nobody goes back
 * to it on hearsay, or all would wait for it once more while the new one is there already.
 *
 * On close: sockets close at once; calls end with ERR_CANCELED from a task at the end of the turn.
 */
#include "base/mem.h"
#include "controller/channel.h"
#include "proto/message.h"
#include "proto_apis.h"
#include "runtime/dial.h"

enum {
    GROUP_FETCH,
    GROUP_LIFE,
    GROUP_HANDED_ON, /* by a broker to the controllers, for whom it waits */
    GROUP_REST,
    GROUPS,
    BACKOFF_MS_MIN = 20,
    BACKOFF_MS_MAX = 1000,
    CONNECT_MS = 10000,
    CONNECT_SEVERAL_MS = 1000, /* when there are others to try */
    GRACE_MS = 100,            /* a controller that lives has answered by then */
    AVOID_MS = 500,            /* about what an election takes */
    SPARES_MS = 2000,          /* more than an election takes */
    FRAME_MAX = 104857600,     /* as socket.request.max.bytes */
    ENDPOINTS_MAX = 32,
};

struct channel_socket;

struct channel_link {
    struct channel_socket *ch;
    struct dial dial;
    size_t endpoint;    /* that it goes to */
    struct list queued; /* struct channel_call, not sent yet */
    struct list sent;
    struct timer timer; /* next try */
    struct timer grace; /* another controller leads: the answers are given up */
    int64_t backoff_ms;
};

struct channel_socket {
    struct channel base;
    struct channel_endpoint *endpoints; /* ENDPOINTS_MAX */
    size_t endpoints_n;
    bool learns; /* some were given without their ids */
    size_t current;
    size_t failed; /* endpoints that were no use, one after another */
    int64_t heard_ms[ENDPOINTS_MAX];
    int64_t avoid_ms[ENDPOINTS_MAX]; /* it was silent: not before, while there are others */
    size_t in_vain;                  /* failures since one was found that leads */
    int64_t spares_ms;               /* none is found: when the spares take part */
    bool refused;                    /* the answer said that its sender does not lead */
    bool elsewhere;                  /* who leads is none of the endpoints */
    char *client_id;
    int32_t next_correlation;
    struct channel_link links[GROUPS];
    struct list ended; /* of the dying channel */
    struct task dying;
    struct task moving; /* after the answers of this turn */
    struct log_limit limit;
    bool closed;
};

static void connect_soon(struct channel_link *l);
static void pump(struct channel_link *l);

static struct channel_socket *socket_of(struct channel *ch)
{
    return CONTAINER_OF(ch, struct channel_socket, base);
}

static struct shard *shard_of(const struct channel_link *l)
{
    return l->ch->base.shard;
}

/* ---- calls ---- */

/* The copy of a request that is not sent yet. */
static void free_body(struct channel_call *call)
{
    mem_free((void *)(uintptr_t)call->body.data);
    call->body = BYTES_NULL;
}

static void detach(struct channel_call *call)
{
    list_remove(&call->node);
    timer_cancel(call->channel->shard, &call->timer);
    call->channel = NULL;
}

static void end_call(struct channel_call *call, int err, struct bytes body)
{
    detach(call);
    call->cb(call, err, body);
}

static void end_all(struct list *calls, int err)
{
    struct list taken;
    list_init(&taken);
    while (!list_empty(calls)) { /* a callback may make calls: not into this loop */
        list_push_back(&taken, list_pop_front(calls));
    }
    while (!list_empty(&taken)) {
        end_call(LIST_ENTRY(taken.next, struct channel_call, node), err, BYTES_NULL);
    }
}

/* ---- where to ---- */

static void hang_up(struct channel_link *l)
{
    dial_close(&l->dial);
    timer_cancel(shard_of(l), &l->grace);
}

/* Links that go elsewhere than to the present endpoint move there, those with answers to come when
 * these have come. */
static void follow(struct channel_socket *ch)
{
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        if (dial_is_open(&l->dial) && l->endpoint != ch->current && list_empty(&l->sent)) {
            hang_up(l);
            l->backoff_ms = BACKOFF_MS_MIN;
            if (!list_empty(&l->queued)) {
                connect_soon(l);
            }
        }
    }
}

static bool is_avoided(const struct channel_socket *ch, size_t endpoint)
{
    return shard_now_ms(ch->base.shard) < ch->avoid_ms[endpoint];
}

static void avoid_if_silent(struct channel_socket *ch, size_t endpoint, int64_t silent_ms)
{
    int64_t now = shard_now_ms(ch->base.shard);
    if (ch->heard_ms[endpoint] <= now - silent_ms) {
        ch->avoid_ms[endpoint] = now + AVOID_MS;
    }
}

static size_t known_n(const struct channel_socket *ch)
{
    size_t n = 0;
    for (size_t i = 0; i < ch->endpoints_n; i++) {
        n += ch->endpoints[i].id >= 0;
    }
    return n;
}

static bool spares_take_part(const struct channel_socket *ch)
{
    return ch->in_vain >= known_n(ch) || shard_now_ms(ch->base.shard) >= ch->spares_ms;
}

static void leader_found(struct channel_socket *ch)
{
    ch->in_vain = 0;
    ch->spares_ms = INT64_MAX;
}

/* From the first trouble on, not from the last answer: a channel may be idle. */
static void leader_sought(struct channel_socket *ch)
{
    if (ch->spares_ms == INT64_MAX) {
        ch->spares_ms = shard_now_ms(ch->base.shard) + SPARES_MS;
    }
}

/* The next one that is not avoided; the present one, if only that is not; endpoints_n if none. */
static size_t next_of(const struct channel_socket *ch, bool spares)
{
    for (size_t i = 1; i <= ch->endpoints_n; i++) {
        size_t next = (ch->current + i) % ch->endpoints_n;
        if ((spares || ch->endpoints[next].id >= 0) && !is_avoided(ch, next)) {
            return next;
        }
    }
    return ch->endpoints_n;
}

/* Where to go from the present endpoint; nowhere, if all the others are avoided or spares but this
 * one is not. */
static size_t next_endpoint(const struct channel_socket *ch)
{
    size_t next = next_of(ch, spares_take_part(ch));
    if (next == ch->endpoints_n) {
        next = next_of(ch, true);
    }
    return next < ch->endpoints_n ? next : (ch->current + 1) % ch->endpoints_n;
}

/* The link's endpoint did not serve: the next one is tried, unless another link has seen it
 * already.
 */
static void move_on(struct channel_link *l)
{
    struct channel_socket *ch = l->ch;
    if (l->endpoint == ch->current) {
        ch->in_vain++;
        leader_sought(ch);
        ch->current = next_endpoint(ch);
        ch->failed++;
    }
}

/* ---- the end of a connection ---- */

/* What was sent may or may not have taken effect: its callers decide. */
static void broken(struct channel_link *l)
{
    hang_up(l);
    move_on(l);
    if (!list_empty(&l->queued)) {
        connect_soon(l);
    }
    end_all(&l->sent, ERR_CLOSED);
}

/* Callers try again, where the leader is. */
static void on_grace(struct timer *t)
{
    struct channel_link *l = t->user;
    struct list given_up;
    list_init(&given_up);
    hang_up(l);
    while (!list_empty(&l->sent)) {
        list_push_back(&given_up, list_pop_front(&l->sent));
    }
    while (l->ch->elsewhere && !list_empty(&l->queued)) {
        struct list *n = list_pop_front(&l->queued);
        free_body(LIST_ENTRY(n, struct channel_call, node));
        list_push_back(&given_up, n);
    }
    if (!list_empty(&l->queued)) {
        connect_soon(l);
    }
    end_all(&given_up, ERR_CLOSED);
}

/* Who leads is known: what waits for another one's answer does not wait much longer. */
static void give_grace(struct channel_socket *ch)
{
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        bool waits = !list_empty(&l->sent) || (ch->elsewhere && !list_empty(&l->queued));
        if (!ch->elsewhere && l->endpoint == ch->current) {
            timer_cancel(shard_of(l), &l->grace);
        } else if (waits && !timer_is_set(&l->grace)) {
            timer_set(shard_of(l), &l->grace, shard_now_ms(shard_of(l)) + GRACE_MS);
        }
    }
}

static void on_down(struct dial *d, int err)
{
    struct channel_link *l = d->user;
    if (err == ERR_NOTFOUND) {
        log_seldom(shard_of(l)->log, &l->ch->limit, LOG_WARN, "channel",
                   "a controller's host is not found host=%s", l->ch->endpoints[l->endpoint].host);
    }
    if (err == ERR_TIMEOUT) {
        avoid_if_silent(l->ch, l->endpoint, CONNECT_SEVERAL_MS);
    }
    broken(l);
}

static void on_timeout(struct timer *t)
{
    struct channel_call *call = t->user;
    struct channel_socket *ch = socket_of(call->channel);
    struct channel_link *l = &ch->links[call->group];
    bool was_sent = false;
    list_for_each (it, &l->sent) {
        was_sent = was_sent || it == &call->node;
    }
    detach(call);
    free_body(call);
    if (was_sent) { /* nothing comes through: the connection is as good as gone */
        /* It may have answered other calls until it had to answer this one: half of what it had
         * from then on is enough. */
        avoid_if_silent(ch, l->endpoint, (call->timeout_ms - call->held_ms) / 2);
        broken(l);
    }
    call->cb(call, ERR_TIMEOUT, BYTES_NULL);
}

/* ---- frames ---- */

static void send_queued(struct channel_link *l)
{
    struct buf frame = {0};
    while (!list_empty(&l->queued)) {
        struct channel_call *call = LIST_ENTRY(l->queued.next, struct channel_call, node);
        buf_clear(&frame);
        proto_put_request_header(&frame, call->api_key, call->version, call->correlation_id,
                                 bytes_str(l->ch->client_id));
        buf_put(&frame, call->body.data, call->body.len);
        free_body(call);
        list_remove(&call->node);
        list_push_back(&l->sent, &call->node);
        dial_send(&l->dial, buf_bytes(&frame));
    }
    buf_free(&frame);
}

static struct channel_call *find_sent(struct channel_link *l, int32_t correlation)
{
    list_for_each (it, &l->sent) {
        struct channel_call *call = LIST_ENTRY(it, struct channel_call, node);
        if (call->correlation_id == correlation) {
            return call;
        }
    }
    return NULL; /* it was given up */
}

static void on_frame(struct dial *d, struct bytes frame)
{
    struct channel_link *l = d->user;
    int32_t correlation = frame.len >= 4 ? (int32_t)load_be32(frame.data) : -1;
    struct channel_call *call = find_sent(l, correlation);
    size_t at;
    if (call == NULL) {
        return;
    }
    l->ch->failed = 0;
    l->ch->heard_ms[l->endpoint] = shard_now_ms(shard_of(l));
    l->ch->avoid_ms[l->endpoint] = 0;
    if (l->endpoint != l->ch->current) {
        shard_defer(shard_of(l), &l->ch->moving);
    }
    if (proto_skip_response_header(frame, call->api_key, call->version, &correlation, &at)) {
        end_call(call, ERR_CORRUPT, BYTES_NULL);
        return;
    }
    l->ch->refused = false;
    end_call(call, 0, bytes_of(frame.data + at, frame.len - at));
    if (!l->ch->refused) {
        leader_found(l->ch);
    }
}

/* Sends what there is, unless it goes elsewhere from now on. */
static void pump(struct channel_link *l)
{
    if (l->dial.up && l->endpoint == l->ch->current) {
        send_queued(l);
    } else if (dial_is_open(&l->dial)) {
        follow(l->ch);
    }
}

/* ---- connecting ---- */

static void on_up(struct dial *d)
{
    struct channel_link *l = d->user;
    l->backoff_ms = BACKOFF_MS_MIN;
    pump(l);
}

static const struct dial_ops dial_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void on_timer(struct timer *t)
{
    struct channel_link *l = t->user;
    struct channel_socket *ch = l->ch;
    if (!dial_is_open(&l->dial) && !list_empty(&l->queued)) {
        const struct channel_endpoint *e = &ch->endpoints[ch->current];
        l->endpoint = ch->current;
        dial_open(&l->dial, e->host, e->port,
                  ch->endpoints_n > 1 ? CONNECT_SEVERAL_MS : CONNECT_MS);
    }
}

/* Not at once, even when all goes well: the controllers may be between two leaders. */
static void connect_soon(struct channel_link *l)
{
    if (dial_is_open(&l->dial) || timer_is_set(&l->timer)) {
        return;
    }
    timer_set(shard_of(l), &l->timer, shard_now_ms(shard_of(l)) + l->backoff_ms);
    /* every endpoint once, then longer */
    if (l->ch->failed >= l->ch->endpoints_n) {
        l->ch->failed = 0;
        l->backoff_ms = 2 * l->backoff_ms < BACKOFF_MS_MAX ? 2 * l->backoff_ms : BACKOFF_MS_MAX;
    }
}

/* ---- the vtable ---- */

static uint8_t group_of(int16_t api_key)
{
    if (api_key == API_FETCH || api_key == API_FETCH_SNAPSHOT) {
        return GROUP_FETCH;
    }
    if (api_key == API_DESCRIBE_QUORUM) {
        return GROUP_HANDED_ON;
    }
    return api_key == API_BROKER_HEARTBEAT || api_key == API_BROKER_REGISTRATION ? GROUP_LIFE
                                                                                 : GROUP_REST;
}

static struct bytes copy_body(struct bytes body)
{
    uint8_t *copy = mem_alloc(body.len + 1);
    if (body.len) {
        memcpy(copy, body.data, body.len);
    }
    return bytes_of(copy, body.len);
}

static void socket_call(struct channel *base, struct channel_call *call)
{
    struct channel_socket *ch = socket_of(base);
    ASSERT(call->channel == NULL && call->timeout_ms > 0 && !ch->closed);
    struct channel_link *l = &ch->links[group_of(call->api_key)];
    call->channel = base;
    call->group = group_of(call->api_key);
    call->correlation_id = ch->next_correlation++;
    call->body = copy_body(call->body);
    call->timer = (struct timer){.cb = on_timeout, .user = call};
    timer_set(base->shard, &call->timer, shard_now_ms(base->shard) + call->timeout_ms);
    list_push_back(&l->queued, &call->node);
    if (dial_is_open(&l->dial)) {
        pump(l);
    } else if (!timer_is_set(&l->timer)) {
        timer_set(base->shard, &l->timer, shard_now_ms(base->shard)); /* at once, next turn */
    }
}

static void socket_cancel(struct channel *base, struct channel_call *call)
{
    ASSERT_ON_SHARD(base->shard);
    detach(call);
    free_body(call);
}

static void socket_not_controller(struct channel *base)
{
    struct channel_socket *ch = socket_of(base);
    bool seen = false;
    ch->refused = true;
    if (ch->endpoints_n == 1) {
        return;
    }
    for (int i = 0; i < GROUPS; i++) {
        seen = seen || (ch->links[i].dial.up && ch->links[i].endpoint == ch->current);
    }
    if (seen) { /* else somebody has said so already */
        leader_sought(ch);
        ch->current = next_endpoint(ch);
        follow(ch);
    }
}

static void socket_leader(struct channel *base, int32_t id, bool hearsay)
{
    struct channel_socket *ch = socket_of(base);
    bool found = false;
    for (size_t i = 0; i < ch->endpoints_n; i++) {
        if (ch->endpoints[i].id == id) {
            if (hearsay && i != ch->current && is_avoided(ch, i)) {
                return; /* they do not know yet */
            }
            found = true;
            ch->failed = i != ch->current ? 0 : ch->failed;
            ch->current = i;
        }
    }
    ch->elsewhere = !found && !ch->learns;
    if (found && !hearsay) {
        leader_found(ch);
    }
    if (found) {
        follow(ch);
    }
    if (found || ch->elsewhere) {
        give_grace(ch);
    }
}

/* The endpoint that a controller has, else the spare of the same address; NULL if neither. */
static struct channel_endpoint *find_known(struct channel_socket *ch,
                                           const struct channel_endpoint *e)
{
    struct channel_endpoint *spare = NULL;
    for (size_t i = 0; i < ch->endpoints_n; i++) {
        struct channel_endpoint *old = &ch->endpoints[i];
        if (old->id == e->id) {
            return old;
        }
        if (old->id < 0 && strcmp(old->host, e->host) == 0 && old->port == e->port) {
            spare = old;
        }
    }
    return spare;
}

static void socket_know(struct channel *base, int32_t id, const char *host, uint16_t port)
{
    struct channel_socket *ch = socket_of(base);
    struct channel_endpoint e = {.id = id, .port = port};
    if (!ch->learns || id < 0 || port == 0 || strlen(host) >= sizeof e.host) {
        return;
    }
    memcpy(e.host, host, strlen(host));
    struct channel_endpoint *old = find_known(ch, &e);
    if (old) {
        *old = e;
    } else if (ch->endpoints_n < ENDPOINTS_MAX) {
        ch->endpoints[ch->endpoints_n++] = e;
    }
}

/* The answers of an endpoint that is not the present one have come. */
static void move(struct task *t)
{
    follow(t->user);
}

static void die(struct task *t)
{
    struct channel_socket *ch = t->user;
    end_all(&ch->ended, ERR_CANCELED);
    mem_free(ch->endpoints);
    mem_free(ch->client_id);
    mem_free(ch);
}

static void socket_close(struct channel *base)
{
    struct channel_socket *ch = socket_of(base);
    ASSERT_ON_SHARD(base->shard);
    ch->closed = true;
    list_remove(&ch->moving.node);
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        hang_up(l);
        timer_cancel(base->shard, &l->timer);
        while (!list_empty(&l->sent)) {
            list_push_back(&ch->ended, list_pop_front(&l->sent));
        }
        while (!list_empty(&l->queued)) {
            struct list *n = list_pop_front(&l->queued);
            free_body(LIST_ENTRY(n, struct channel_call, node));
            list_push_back(&ch->ended, n);
        }
    }
    shard_defer(base->shard, &ch->dying);
}

static const struct channel_ops socket_ops = {
    .name = "socket",
    .call = socket_call,
    .cancel = socket_cancel,
    .not_controller = socket_not_controller,
    .leader = socket_leader,
    .know = socket_know,
    .close = socket_close,
};

struct channel *channel_socket_new(struct shard *sh, const struct channel_endpoint *endpoints,
                                   size_t n, const char *client_id)
{
    struct channel_socket *ch = MEM_NEW(struct channel_socket);
    ASSERT(n > 0 && n <= ENDPOINTS_MAX);
    ch->base.ops = &socket_ops;
    ch->base.shard = sh;
    ch->endpoints = mem_zalloc(ENDPOINTS_MAX * sizeof *endpoints);
    memcpy(ch->endpoints, endpoints, n * sizeof *endpoints);
    ch->endpoints_n = n;
    ch->spares_ms = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        ch->learns = ch->learns || endpoints[i].id < 0;
    }
    ch->client_id = mem_strdup(client_id);
    list_init(&ch->ended);
    task_init(&ch->dying, die, ch);
    task_init(&ch->moving, move, ch);
    for (int i = 0; i < GROUPS; i++) {
        struct channel_link *l = &ch->links[i];
        l->ch = ch;
        l->backoff_ms = BACKOFF_MS_MIN;
        l->timer = (struct timer){.cb = on_timer, .user = l};
        l->grace = (struct timer){.cb = on_grace, .user = l};
        dial_init(&l->dial, sh, &dial_ops, l, FRAME_MAX);
        list_init(&l->queued);
        list_init(&l->sent);
    }
    return &ch->base;
}

void channel_socket_bound(struct channel *ch, uint32_t answer_bytes)
{
    ASSERT(ch->ops == &socket_ops && answer_bytes <= FRAME_MAX);
    for (int i = 0; i < GROUPS; i++) {
        socket_of(ch)->links[i].dial.frame_max = answer_bytes;
    }
}
