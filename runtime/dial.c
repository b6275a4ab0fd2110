#include "runtime/dial.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/resolve.h"
#include "runtime/shard_private.h"

enum {
    RECV_BYTES = 16384,     /* room for one read, at least */
    RECV_TURN = 1 << 20,    /* read before frames are handed over */
    ROOM_AT_ONCE = 1 << 20, /* of a frame that is longer, the room for the rest as it comes */
    KEEP_FROM = RECV_BYTES, /* after such a frame the buffer is kept for the next one ... */
    KEEP_MAX = 4 << 20,     /* ... if it is not larger than this ... */
    KEEP_SHARE = 2,         /* ... and no more than this part of the shard's budget is used */
};

static void arm(struct dial *d);

void dial_init(struct dial *d, struct shard *sh, const struct dial_ops *ops, void *user,
               uint32_t frame_max)
{
    *d = (struct dial){.shard = sh, .ops = ops, .user = user, .frame_max = frame_max};
}

/* The budget has what the receive buffer has. */
static void charge(struct dial *d)
{
    if (d->in.cap > d->charged) {
        shard_budget_take(d->shard, d->in.cap - d->charged);
    } else if (d->in.cap < d->charged) {
        shard_budget_give(d->shard, d->charged - d->in.cap);
    }
    d->charged = d->in.cap;
}

size_t dial_unsent(const struct dial *d)
{
    return d->out.len - d->out_at;
}

void dial_close(struct dial *d)
{
    if (d->sock) {
        io_sock_close(d->sock);
        d->sock = NULL;
    }
    if (d->asked) { /* its answer only frees it */
        d->asked->user = NULL;
        d->asked = NULL;
    }
    d->generation++;
    d->up = false;
    buf_free(&d->out);
    buf_free(&d->in);
    charge(d);
    d->out_at = 0;
    timer_cancel(d->shard, &d->timer);
}

static void go_down(struct dial *d, int err)
{
    dial_close(d);
    d->ops->down(d, err);
}

/* ---- bytes ---- */

static int transmit(struct dial *d)
{
    while (d->out_at < d->out.len) {
        struct iovec iov = {d->out.data + d->out_at, d->out.len - d->out_at};
        int64_t n = io_sendv(d->sock, &iov, 1, false);
        if (n == ERR_AGAIN) {
            return 0;
        }
        if (n < 0) {
            return (int)n;
        }
        d->out_at += (size_t)n;
    }
    buf_free(&d->out);
    d->out_at = 0;
    return 0;
}

/* Room for the rest of the frame that has begun, so that its bytes are not moved as it grows. */
static size_t room_wanted(const struct dial *d)
{
    size_t rest = 0;
    if (d->in.len >= 4) {
        size_t whole = 4 + (size_t)load_be32(d->in.data);
        rest = whole > d->in.len ? whole - d->in.len : 0;
    }
    return rest < RECV_BYTES ? RECV_BYTES : rest < ROOM_AT_ONCE ? rest : ROOM_AT_ONCE;
}

static int receive(struct dial *d)
{
    for (size_t got = 0; got < RECV_TURN;) {
        buf_reserve(&d->in, room_wanted(d));
        charge(d);
        size_t room = d->in.cap - d->in.len;
        int64_t n = io_recv(d->sock, d->in.data + d->in.len, room);
        if (n == ERR_AGAIN) {
            return 0;
        }
        if (n <= 0) {
            return n == 0 ? ERR_CLOSED : (int)n;
        }
        d->in.len += (size_t)n;
        got += (size_t)n;
        if ((size_t)n < room) {
            return 0; /* what there was; an end behind it comes with the next event */
        }
    }
    return 0;
}

/* Is a buffer that held a large frame kept for the next one? */
static bool may_keep(const struct dial *d, size_t cap)
{
    const struct budget *b = &d->shard->budget;
    return cap <= KEEP_MAX && b->used <= b->limit / KEEP_SHARE;
}

/* Hands over the frames that are whole. The bytes are taken out meanwhile, since a callback may do
 * anything to the dial. */
static int take_frames(struct dial *d)
{
    uint64_t generation = d->generation;
    struct buf taken = d->in;
    size_t at = 0;
    size_t last = 0;
    int err = 0;
    d->in = (struct buf){0};
    while (d->generation == generation && taken.len - at >= 4) {
        uint32_t len = load_be32(taken.data + at);
        if (len < 1 || len > d->frame_max) {
            err = ERR_CORRUPT;
            break;
        }
        if (taken.len - at - 4 < len) {
            break;
        }
        at += 4 + len;
        last = len;
        d->ops->frame(d, bytes_of(taken.data + at - len, len));
    }
    bool keep = at < taken.len || (last >= KEEP_FROM && may_keep(d, taken.cap));
    if (d->generation == generation && keep) {
        memmove(taken.data, taken.data + at, taken.len - at);
        taken.len -= at;
        d->in = taken;
    } else {
        buf_free(&taken);
    }
    charge(d);
    return err;
}

static void on_ready(struct io_sock *s, unsigned events, void *user)
{
    struct dial *d = user;
    uint64_t generation = d->generation;
    int err = d->up ? 0 : io_sock_error(s); /* later receiving and sending tell */
    /* readable alone: connected, and the peer is gone again */
    if (err == 0 && !d->up && (events & (IO_WRITE | IO_READ))) {
        d->up = true;
        timer_cancel(d->shard, &d->timer);
        d->ops->up(d);
        if (d->generation != generation) {
            return;
        }
    }
    int end = err == 0 && d->up ? receive(d) : err;
    if (d->up) { /* also what came before the end */
        int bad = take_frames(d);
        if (d->generation != generation) {
            return;
        }
        end = bad ? bad : end;
    }
    end = end == 0 && d->up ? transmit(d) : end;
    if (end) {
        go_down(d, end);
    } else {
        arm(d);
    }
}

static void arm(struct dial *d)
{
    bool write = !d->up || dial_unsent(d) > 0;
    io_sock_arm(d->sock, IO_READ | (write ? IO_WRITE : 0), on_ready, d);
}

void dial_send(struct dial *d, struct bytes frame)
{
    ASSERT(d->up && frame.len >= 1 && frame.len <= UINT32_MAX);
    bool idle = dial_unsent(d) == 0;
    buf_put_be32(&d->out, (uint32_t)frame.len);
    buf_put(&d->out, frame.data, frame.len);
    if (idle) {
        (void)transmit(d); /* an error comes again in on_ready, outside of this call */
        arm(d);
    }
}

/* ---- connecting ---- */

static void on_late(struct timer *t)
{
    go_down(t->user, ERR_TIMEOUT);
}

static void on_failed(struct timer *t)
{
    struct dial *d = t->user;
    go_down(d, d->failed);
}

static void start_connect(struct dial *d, const char *ip)
{
    int err = io_connect(d->shard->io, ip, d->port, &d->sock);
    if (err) { /* said from a later turn, like everything */
        d->sock = NULL;
        d->failed = err;
        d->timer.cb = on_failed;
        timer_set(d->shard, &d->timer, shard_now_ms(d->shard));
        return;
    }
    arm(d);
}

static void on_resolved(struct resolve *r, int err)
{
    struct dial *d = r->user;
    char ip[RESOLVE_IP_MAX];
    snprintf(ip, sizeof ip, "%s", r->ip);
    mem_free(r);
    if (d == NULL) {
        return; /* closed meanwhile */
    }
    d->asked = NULL;
    if (err) {
        go_down(d, err);
    } else {
        start_connect(d, ip);
    }
}

void dial_open(struct dial *d, const char *host, uint16_t port, int64_t connect_ms)
{
    char ip[RESOLVE_IP_MAX];
    ASSERT_ON_SHARD(d->shard);
    ASSERT(!dial_is_open(d));
    d->port = port;
    d->timer = (struct timer){.cb = on_late, .user = d};
    timer_set(d->shard, &d->timer, shard_now_ms(d->shard) + connect_ms);
    if (resolve_now(host, ip)) {
        start_connect(d, ip);
        return;
    }
    d->asked = MEM_NEW(struct resolve);
    resolve_start(d->shard->io, d->asked, host, on_resolved, d);
}
