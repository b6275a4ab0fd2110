/* From answers to bytes. All memory chunks that are ready go out in one gathered send (small ones
 * copied together: that is cheaper than an iovec each); file ranges by sendfile when they are in
 * memory, by a cold send when not, so that nothing here waits for a disk. At most CONN_TURN_MAX
 * bytes a turn for one connection: the others get theirs in between. */
#include <string.h>

#include "base/mem.h"
#include "runtime/conn_private.h"

enum { ANSWER_OVERHEAD = 128 }; /* charged per chunk of memory, for its struct */

struct gather {
    struct iovec iov[CONN_IOV];
    int n;
    size_t bytes;
    size_t copied; /* of the shard's out scratch */
    bool joined;   /* the last iov ends in the scratch at `copied`: the next copy extends it */
};

void conn_charge_answer(struct conn_priv *c, const struct chunk *k)
{
    c->out_bytes += k->len;
    if (k->kind == CHUNK_MEM) {
        conn_budget_take(conn_shard_of(c), k->len + ANSWER_OVERHEAD);
    }
}

void conn_uncharge_answer(struct conn_priv *c, const struct chunk *k)
{
    c->out_bytes -= k->len;
    if (k->kind == CHUNK_MEM) {
        conn_budget_give(conn_shard_of(c), k->len + ANSWER_OVERHEAD);
    }
}

/* Of several answers in one chunk the first one's times stand for all. */
void conn_stamp(const struct conn_req *req, struct chunk *k)
{
    if (req->replied_us != 0 && k->answers++ == 0) {
        k->tag = req->tag;
        k->received_us = req->received_us;
        k->replied_us = req->replied_us;
    }
}

/* An answer has gone out. */
static void answer_sent(struct conn_priv *c, const struct chunk *k, int64_t now_us)
{
    struct conn_sent s = {.tag = k->tag,
                          .answers = k->answers,
                          .received_us = k->received_us,
                          .replied_us = k->replied_us,
                          .begun_us = c->head_us,
                          .sent_us = now_us};
    /* the next one may have waited behind it, or have gone in the same call */
    c->head_us = now_us;
    c->base.ops->on_sent(&c->base, &s);
}

/* n bytes of the chunk have been sent; it goes when that was all. */
static void chunk_sent(struct conn_priv *c, struct chunk *k, size_t n, int64_t now_us)
{
    struct shard *sh = c->base.shard;
    k->len -= n;
    c->out_bytes -= n;
    if (k->kind == CHUNK_MEM) {
        k->data += n;
        conn_budget_give(conn_shard_of(c), n + (k->len == 0 ? ANSWER_OVERHEAD : 0));
    } else {
        k->off += n;
    }
    if (k->len == 0) {
        c->joined = c->joined == k ? NULL : c->joined;
        list_remove(&k->node);
        if (k->answers > 0) {
            answer_sent(c, k, now_us);
        }
        k->release(k, sh);
    }
}

/* n bytes of the first chunks have been sent. */
static void consume(struct conn_priv *c, size_t n, int64_t now_us)
{
    while (n > 0) {
        struct chunk *k = LIST_ENTRY(c->out.next, struct chunk, node);
        size_t part = n < k->len ? n : k->len;
        chunk_sent(c, k, part, now_us);
        n -= part;
    }
}

/* Adds a chunk to what goes out in one call. False: no room for it. */
static bool gather_add(struct gather *g, const struct chunk *k, uint8_t *scratch)
{
    if (k->len <= CONN_COPY_MAX && g->copied + k->len <= CONN_SCRATCH) {
        if (!g->joined && g->n == CONN_IOV) {
            return false;
        }
        memcpy(scratch + g->copied, k->data, k->len);
        if (g->joined) {
            g->iov[g->n - 1].iov_len += k->len;
        } else {
            g->iov[g->n++] = (struct iovec){scratch + g->copied, k->len};
        }
        g->copied += k->len;
        g->joined = true;
    } else {
        if (g->n == CONN_IOV) {
            return false;
        }
        g->iov[g->n++] = (struct iovec){(void *)(uintptr_t)k->data, k->len};
        g->joined = false;
    }
    g->bytes += k->len;
    return true;
}

/* Chunks of no bytes carry nothing but their release. */
static void drop_empty(struct conn_priv *c, int64_t now_us)
{
    while (!list_empty(&c->out)) {
        struct chunk *k = LIST_ENTRY(c->out.next, struct chunk, node);
        if (k->len > 0) {
            break;
        }
        chunk_sent(c, k, 0, now_us);
    }
}

/* Sends the memory chunks at the head of the output. Bytes sent, or an error. */
static int64_t send_mem(struct conn_priv *c)
{
    struct gather g;
    bool more = false;
    int64_t n;
    g.n = 0;
    g.bytes = g.copied = 0;
    g.joined = false;
    list_for_each (it, &c->out) {
        const struct chunk *k = LIST_ENTRY(it, struct chunk, node);
        if (k->kind == CHUNK_FILE || g.bytes >= CONN_TURN_MAX ||
            !gather_add(&g, k, conn_shard_of(c)->out)) {
            more = true;
            break;
        }
    }
    n = io_sendv(c->sock, g.iov, g.n, more);
    if (n >= 0 && (size_t)n < g.bytes) {
        c->blocked = true;
    }
    return n;
}

static void cold_done(struct io_op *op, int64_t result)
{
    struct conn_cold *cold = CONTAINER_OF(op, struct conn_cold, op);
    struct conn_priv *c = cold->c;
    struct chunk *k = cold->chunk;
    if (c == NULL) {
        k->release(k, cold->shard);
        mem_free(cold);
        return;
    }
    mem_free(cold);
    c->cold = NULL;
    list_push_front(&c->out, &k->node);
    if (result == ERR_AGAIN) {
        c->blocked = true;
    } else if (result <= 0) {
        /* a range that was promised and is not there: the answer cannot be finished */
        conn_fail_io(c, result);
        return;
    } else {
        int64_t now_us = io_now_us(c->base.shard->io);
        conn_touch(c, now_us / 1000);
        c->blocked = (size_t)result < k->len; /* the rest when the peer has taken some */
        chunk_sent(c, k, (size_t)result, now_us);
    }
    conn_mark(c);
}

static void start_cold(struct conn_priv *c, struct chunk *k, size_t n)
{
    struct conn_cold *cold = MEM_NEW(struct conn_cold);
    list_remove(&k->node);
    cold->c = c;
    cold->shard = c->base.shard;
    cold->chunk = k;
    cold->op.cb = cold_done;
    c->cold = cold;
    io_send_cold(c->sock, k->file, k->off, n, &cold->op);
}

/* Sends of the file chunk at the head. Bytes sent, 0 when a cold send has been started, or an
 * error. */
static int64_t send_file(struct conn_priv *c)
{
    struct chunk *k = LIST_ENTRY(c->out.next, struct chunk, node);
    size_t n = k->len < CONN_TURN_MAX ? k->len : CONN_TURN_MAX;
    int64_t sent;
    if (!k->hot && !io_resident(k->file, k->off, n)) {
        start_cold(c, k, n);
        return 0;
    }
    sent = io_sendfile(c->sock, k->file, k->off, n);
    if (sent == 0) {
        return ERR_TRUNCATED;
    }
    if (sent > 0 && (size_t)sent < n) {
        c->blocked = true;
    }
    return sent;
}

void conn_flush(struct conn_priv *c)
{
    size_t total = 0;
    int64_t now_us = io_now_us(c->base.shard->io);
    conn_patience_end(c);
    while (!c->blocked && c->cold == NULL) {
        int64_t n;
        c->head_us = c->head_us ? c->head_us : now_us;
        drop_empty(c, now_us);
        if (list_empty(&c->out)) {
            c->out_urgent = false;
            break;
        }
        if (total >= CONN_TURN_MAX) {
            c->blocked = true; /* the socket may well be ready: then this comes up next turn */
            break;
        }
        n = LIST_ENTRY(c->out.next, struct chunk, node)->kind == CHUNK_MEM ? send_mem(c)
                                                                           : send_file(c);
        if (n == ERR_AGAIN) {
            c->blocked = true;
        } else if (n == ERR_CLOSED) {
            conn_close(&c->base);
            return;
        } else if (n < 0) {
            conn_fail_io(c, n);
            return;
        } else {
            now_us = io_now_us(c->base.shard->io);
            consume(c, (size_t)n, now_us);
            total += (size_t)n;
        }
    }
    if (total > 0) {
        conn_touch(c, now_us / 1000);
    }
    if (list_empty(&c->out) && c->cold == NULL) {
        c->head_us = 0;
    }
}

void conn_drop_output(struct conn_priv *c)
{
    struct list *n;
    if (c->cold != NULL) {
        c->out_bytes -= c->cold->chunk->len;
        c->cold->c = NULL; /* its chunk goes when the send has ended */
        c->cold = NULL;
    }
    while ((n = list_pop_front(&c->out)) != NULL) {
        struct chunk *k = LIST_ENTRY(n, struct chunk, node);
        conn_uncharge_answer(c, k);
        k->release(k, c->base.shard);
    }
    ASSERT(c->out_bytes == 0);
}
