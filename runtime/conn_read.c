/* From bytes to frames, and the memory they may take.
 *
 * Small requests: one recv fills the shard's scratch buffer, whole frames are copied out of it,
 * many at a time. A frame that is not whole gets a buffer and is then read straight into it; after
 * a large frame the next header is read alone, so that the body is never copied. A buffer grows
 * with the bytes that have come: a header that announces much and sends nothing costs next to
 * nothing. (Who has just sent a large frame gets the room for the next at once, while the budget is
 * less than half used.)
 *
 * Budget. What a frame (or bytes read ahead) takes is charged to the shard. When a frame finds no
 * room its connection is "starved": it is not read, its clock stands still, and it waits, the
 * oldest first. One request of the shard, the oldest that is starved in the middle of a frame, may
 * go on beyond the budget, until it has been answered; so a shard whose budget is full of
 * unfinished frames finishes them one after the other, and is never over by more than one, small
 * frames of connections that others wait for (conn_awaited.h) and what dials receive apart. */
#include <string.h>

#include "base/mem.h"
#include "runtime/conn_awaited.h"
#include "runtime/conn_private.h"

enum { BEGIN_MIN = 2048, GROW = 4, ROOM_AT_ONCE = 1024 * 1024 };

bool conn_may_read(const struct conn_priv *c)
{
    if (c->closed || c->eof || c->draining || c->is_starved || c->carry_len > 0) {
        return false;
    }
    if (c->reqs_n >= c->base.limits->requests_max) {
        return false;
    }
    return !(c->blocked && c->out_bytes >= CONN_OUT_READ_MAX);
}

static void carry_free(struct conn_priv *c)
{
    if (c->carry != NULL) {
        mem_free(c->carry);
        conn_budget_give(conn_shard_of(c), c->carry_cap);
    }
    c->carry = NULL;
    c->carry_off = c->carry_len = c->carry_cap = 0;
}

void conn_drop_input(struct conn_priv *c)
{
    if (c->cur != NULL) {
        struct req *r = c->cur;
        c->cur = NULL;
        req_free(conn_shard_of(c), r);
    }
    c->hdr_have = 0;
    carry_free(c);
}

/* ---- the budget ---- */

void conn_await(struct conn *c)
{
    ASSERT_ON_SHARD(c->shard);
    conn_priv_of(c)->awaited = true;
}

static bool frame_known(const struct conn_priv *c)
{
    return c->cur != NULL || c->hdr_have == 4;
}

/* Is its frame, or the next one if none is known, read beyond the budget? */
static bool goes_ahead(const struct conn_priv *c)
{
    return c->awaited && c->reqs_n == 0 &&
           (!frame_known(c) || load_be32(c->hdr) <= CONN_AWAITED_MAX);
}

static void starve(struct conn_priv *c)
{
    struct conn_shard *cs = conn_shard_of(c);
    int64_t timeout_ms = c->base.limits->body_timeout_ms;
    ASSERT(!c->is_starved);
    c->is_starved = true;
    if (cs->resuming || c->awaited) {
        list_push_front(&cs->starved, &c->starved); /* it keeps its place, or needs none */
    } else {
        list_push_back(&cs->starved, &c->starved);
    }
    if (cs->reserve == NULL) {
        /* those before it wait for room, of whom nothing is known: the reserve is for this one, and
         * nobody may be left who would give memory back and so cause another look */
        cs->budget_freed = true;
        conn_shard_wish(cs);
    }
    if (timeout_ms > 0) {
        conn_expiry_plan(cs, shard_now_ms(cs->shard) + timeout_ms);
    }
}

/* May `bytes` more be taken for the frame that is coming in? If not, the connection is starved. r
 * is that frame if it has been begun. *reserve: by the reserve only. */
static bool may_take(struct conn_priv *c, const struct req *r, size_t bytes, bool *reserve)
{
    struct conn_shard *cs = conn_shard_of(c);
    const struct budget *b = &c->base.shard->budget;
    *reserve = r != NULL && r->reserve;
    if (*reserve || b->used + bytes <= b->limit || goes_ahead(c)) {
        return true;
    }
    if (cs->reserve == NULL && (cs->resuming || list_empty(&cs->starved))) {
        *reserve = true;
        return true;
    }
    starve(c);
    return false;
}

/* Starved connections go on: all while there is room, the oldest with a known frame by the reserve,
 * and the awaited ones, which stand before the others. Those that find none again keep their
 * places. */
void conn_feed_starved(struct conn_shard *cs)
{
    const struct budget *b = &cs->shard->budget;
    cs->resuming = true;
    list_for_each_safe (it, &cs->starved) {
        struct conn_priv *c = LIST_ENTRY(it, struct conn_priv, starved);
        bool full = b->used >= b->limit && !goes_ahead(c);
        if (full && cs->reserve != NULL) {
            break;
        }
        if (full && !frame_known(c)) {
            continue;
        }
        list_remove(&c->starved);
        c->is_starved = false;
        conn_mark(c); /* a header that waits, carry, or the socket */
        if (frame_known(c)) {
            (void)conn_resume(c);
        }
        if (c->is_starved) {
            break;
        }
    }
    cs->resuming = false;
}

/* ---- frames ---- */

enum begin { BEGIN_OK, BEGIN_WAIT };

static struct req *req_new(struct conn_priv *c, size_t inline_bytes)
{
    struct req *r = mem_try_alloc(sizeof *r + inline_bytes);
    if (r == NULL) {
        return NULL;
    }
    memset(r, 0, sizeof *r);
    list_init(&r->base.node);
    list_init(&r->base.out);
    r->base.conn = &c->base;
    r->base.shard = c->base.shard;
    r->ops = c->base.ops;
    return r;
}

/* Room for the first bytes of a frame of len, of which `avail` are at hand. */
static size_t first_room(const struct conn_priv *c, uint32_t len, size_t avail)
{
    const struct budget *b = &c->base.shard->budget;
    size_t room = 2 * avail > BEGIN_MIN ? 2 * avail : BEGIN_MIN;
    if (c->big && b->used + len <= b->limit / 2 && room < ROOM_AT_ONCE) {
        room = ROOM_AT_ONCE;
    }
    return room < len ? room : len;
}

/* The header is in: makes the request that its body goes into. Not OK: it must wait, or the
 * connection has been closed. */
static enum begin begin_frame(struct conn_priv *c, size_t avail)
{
    struct conn_shard *cs = conn_shard_of(c);
    uint32_t len = load_be32(c->hdr);
    size_t room, cap;
    bool is_inline, reserve;
    struct req *r;
    if (len == 0 || len > c->base.limits->frame_bytes_max) {
        conn_fail_length(c, (int32_t)len);
        return BEGIN_WAIT;
    }
    if (c->reqs_n >= c->base.limits->requests_max) {
        return BEGIN_WAIT;
    }
    room = first_room(c, len, avail);
    is_inline = room == len && len <= CONN_INLINE_MAX;
    if (!may_take(c, NULL, sizeof *r + room, &reserve)) {
        return BEGIN_WAIT;
    }
    r = req_new(c, is_inline ? len : 0);
    cap = len;
    if (r != NULL) {
        r->data = is_inline ? (uint8_t *)(r + 1) : frame_pool_get(&cs->pool, room, &cap);
    }
    if (r == NULL || r->data == NULL) {
        mem_free(r);
        conn_fail(c, "no memory for its request");
        return BEGIN_WAIT;
    }
    r->len = len;
    r->cap = cap;
    r->pooled = !is_inline;
    r->reserve = reserve;
    if (reserve) {
        cs->reserve = r;
    }
    conn_charge(cs, r, sizeof *r + cap);
    c->cur = r;
    return BEGIN_OK;
}

/* More room for the frame that is coming in. False: starved, or closed. */
static bool grow_frame(struct conn_priv *c)
{
    struct conn_shard *cs = conn_shard_of(c);
    struct req *r = c->cur;
    size_t room = r->cap * GROW < r->len ? r->cap * GROW : r->len, cap;
    bool reserve;
    uint8_t *data;
    if (!may_take(c, r, room - r->cap, &reserve)) {
        return false;
    }
    data = frame_pool_get(&cs->pool, room, &cap);
    if (data == NULL) {
        conn_fail(c, "no memory for its request");
        return false;
    }
    memcpy(data, r->data, r->have);
    frame_pool_put(&cs->pool, r->data, r->cap);
    if (reserve) {
        r->reserve = true;
        cs->reserve = r;
    }
    conn_charge(cs, r, cap - r->cap);
    r->data = data;
    r->cap = cap;
    return true;
}

static size_t frame_room(const struct req *r)
{
    return (r->cap < r->len ? r->cap : r->len) - r->have;
}

static void frame_whole(struct conn_priv *c)
{
    struct req *r = c->cur;
    c->cur = NULL;
    c->hdr_have = 0;
    c->big = r->len >= CONN_BIG;
    r->base.frame = bytes_of(r->data, r->len);
    r->base.received_us = conn_shard_of(c)->read_us;
    r->overlap = c->base.ops->overlaps ? c->base.ops->overlaps(r->base.frame) : 0;
    conn_patience_note(c, r);
    r->state = REQ_WAITING;
    list_push_back(&c->reqs, &r->base.node);
    c->reqs_n++;
    if (c->waiting == &c->reqs) {
        c->waiting = &r->base.node;
    }
}

/* Takes frames out of p[0..n) while it may; the bytes used. */
static size_t split(struct conn_priv *c, const uint8_t *p, size_t n)
{
    size_t used = 0;
    while (used < n && !c->closed && !c->is_starved) {
        size_t take;
        while (c->hdr_have < 4 && used < n) {
            c->hdr[c->hdr_have++] = p[used++];
        }
        if (c->hdr_have < 4) {
            break;
        }
        if (c->cur == NULL && begin_frame(c, n - used) != BEGIN_OK) {
            break;
        }
        if (frame_room(c->cur) == 0 && !grow_frame(c)) {
            break;
        }
        take = frame_room(c->cur);
        take = take < n - used ? take : n - used;
        memcpy(c->cur->data + c->cur->have, p + used, take);
        c->cur->have += (uint32_t)take;
        used += take;
        if (c->cur->have == c->cur->len) {
            frame_whole(c);
        }
    }
    return used;
}

/* Keeps what could not be split yet. */
static void carry_put(struct conn_priv *c, const uint8_t *p, size_t n)
{
    ASSERT(c->carry == NULL && n <= CONN_SCRATCH);
    c->carry = mem_try_alloc(n);
    if (c->carry == NULL) {
        conn_fail(c, "no memory for its requests");
        return;
    }
    memcpy(c->carry, p, n);
    c->carry_len = c->carry_cap = (uint32_t)n;
    conn_budget_take(conn_shard_of(c), n);
}

/* Goes on with what is here already: a header that waited for its turn or for memory, and bytes in
 * carry. True if it made a request whole. */
bool conn_resume(struct conn_priv *c)
{
    uint32_t before = c->reqs_n;
    size_t used;
    if (c->closed || c->draining || c->is_starved || c->reqs_n >= c->base.limits->requests_max) {
        return false;
    }
    if (c->carry_len == 0) {
        if (c->hdr_have == 4 && c->cur == NULL && !c->eof) {
            (void)begin_frame(c, 0);
        } else if (c->cur != NULL && frame_room(c->cur) == 0 && !c->eof) {
            (void)grow_frame(c);
        }
        return false;
    }
    conn_shard_of(c)->read_us = io_now_us(c->base.shard->io);
    used = split(c, c->carry + c->carry_off, c->carry_len);
    if (c->closed) {
        return false;
    }
    c->carry_off += (uint32_t)used;
    c->carry_len -= (uint32_t)used;
    if (c->carry_len == 0) {
        carry_free(c);
    }
    return c->reqs_n > before;
}

/* ---- reading ---- */

/* One recv. Bytes read if it filled what was asked for (there may be more), else 0. */
static size_t read_step(struct conn_priv *c)
{
    struct conn_shard *cs = conn_shard_of(c);
    bool into_frame = c->cur != NULL, header = c->big && !into_frame;
    uint8_t *to = cs->in;
    size_t n = CONN_SCRATCH, used;
    int64_t got;
    if (into_frame) {
        if (frame_room(c->cur) == 0 && !grow_frame(c)) {
            return 0;
        }
        to = c->cur->data + c->cur->have;
        n = frame_room(c->cur);
    } else if (header) {
        to = c->hdr + c->hdr_have;
        n = 4u - c->hdr_have;
    }
    got = io_recv(c->sock, to, n);
    if (got <= 0) {
        c->eof = got == 0;
        if (got < 0 && got != ERR_AGAIN) {
            conn_close(&c->base);
        }
        return 0;
    }
    cs->read_us = io_now_us(cs->shard->io);
    list_remove(&c->begun); /* progress: its clock starts anew when the turn ends */
    if (into_frame) {
        c->cur->have += (uint32_t)got;
        if (c->cur->have == c->cur->len) {
            frame_whole(c);
        }
    } else if (header) {
        c->hdr_have = (uint8_t)(c->hdr_have + got);
        if (c->hdr_have == 4 && begin_frame(c, 0) != BEGIN_OK) {
            return 0;
        }
    } else {
        used = split(c, cs->in, (size_t)got);
        if (!c->closed && used < (size_t)got) {
            carry_put(c, cs->in + used, (size_t)got - used);
        }
    }
    return (size_t)got == n ? n : 0;
}

void conn_read(struct conn_priv *c)
{
    const struct budget *b = &c->base.shard->budget;
    size_t total = 0, n = 1;
    int64_t now_ms = shard_now_ms(c->base.shard);
    conn_touch(c, now_ms);
    conn_patience_reading(c, now_ms);
    conn_trim_plan(conn_shard_of(c));
    while (n > 0 && total < CONN_TURN_MAX && conn_may_read(c)) {
        if (c->cur == NULL && c->hdr_have == 4) {
            (void)conn_resume(c);
            if (c->cur == NULL) {
                break;
            }
        }
        if (c->cur == NULL && b->used >= b->limit && !list_empty(&conn_shard_of(c)->starved) &&
            !goes_ahead(c)) {
            starve(c);
            break;
        }
        n = read_step(c);
        total += n;
    }
}
