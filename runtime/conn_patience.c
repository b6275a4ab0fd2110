/* Connections that bring nothing but what nobody waits for closely: heartbeats (conn.h).
 *
 * Such a connection is watched patiently. If it is crowded, its answers are patient too: those of
 * one reading wait for those of the next, and leave with them in one send for two. Crowded is one
 * that brings a request while earlier ones have no answer yet (several members share it, who do not
 * wait for each other), and reading after reading. One that waits for its answers is not made to
 * wait for more. What is held stands in a list, the longest first, and one timer sees to those that
 * bring nothing more. Another request takes along what is there, and so does an answer that its
 * receiver acts upon (conn_req_hurry). */
#include <string.h>

#include "base/mem.h"
#include "runtime/conn_private.h"

enum {
    READINGS = 2,    /* whose answers leave together; nothing is held for longer than they take */
    JOINED_MAX = 64, /* answers up to this are kept as bytes behind each other ... */
    JOINED_CAP =
        512, /* ... in blocks of this: a request for each would push others out of caches */
};

static int64_t patience_ms(const struct conn_priv *c)
{
    return c->base.shard->io->patience_us / 1000;
}

void conn_patience_note(struct conn_priv *c, struct req *r)
{
    if (c->base.ops->patient == NULL || !c->base.ops->patient(r->base.frame)) {
        c->patient_run = 0;
        c->crowded = false;
    } else if (c->patient_run < CONN_PATIENT_AFTER) {
        c->patient_run++;
    } else {
        r->base.patient = c->base.shard->io->patience_us > 0;
        c->crowded = c->crowded || c->reqs_n > 0 || c->out_bytes > 0;
    }
}

void conn_patience_reading(struct conn_priv *c, int64_t now_ms)
{
    c->follows = now_ms - c->read_ms <= READINGS * patience_ms(c);
    c->read_ms = now_ms;
    if (c->readings < READINGS) {
        c->readings++;
    }
}

bool conn_is_patient(const struct conn_priv *c)
{
    return c->patient_run == CONN_PATIENT_AFTER && !c->eof && !c->draining && !c->is_starved;
}

void conn_patience_end(struct conn_priv *c)
{
    list_remove(&c->held);
    c->readings = 0;
}

static void plan(struct conn_shard *cs)
{
    if (!list_empty(&cs->held) && !timer_is_set(&cs->patience)) {
        const struct conn_priv *c = LIST_ENTRY(cs->held.next, struct conn_priv, held);
        timer_set(cs->shard, &cs->patience, c->held_ms + READINGS * patience_ms(c));
    }
}

bool conn_holds_answers(struct conn_priv *c)
{
    struct conn_shard *cs = conn_shard_of(c);
    if (!conn_is_patient(c) || c->out_urgent || !c->crowded || !c->follows ||
        c->readings >= READINGS || c->out_bytes >= CONN_OUT_READ_MAX || patience_ms(c) == 0) {
        return false;
    }
    if (list_empty(&c->held)) {
        c->held_ms = shard_now_ms(cs->shard);
        list_push_back(&cs->held, &c->held);
        plan(cs);
    }
    return true;
}

static bool has_room(const struct conn_priv *c, size_t len)
{
    return c->joined != NULL && c->out.prev == &c->joined->node && c->joined_room >= len;
}

bool conn_join_answer(struct conn_priv *c, const struct req *r, const uint8_t *data, size_t len)
{
    if (!r->base.patient || !c->crowded || c->reqs.next != &r->base.node || len > JOINED_MAX) {
        return false;
    }
    if (!has_room(c, len)) {
        c->joined = chunk_mem(mem_alloc(JOINED_CAP), 0);
        c->joined_room = JOINED_CAP;
        list_push_back(&c->out, &c->joined->node);
        conn_charge_answer(c, c->joined);
    }
    conn_stamp(&r->base, c->joined);
    memcpy((uint8_t *)c->joined->user + JOINED_CAP - c->joined_room, data, len);
    c->joined_room = (uint16_t)(c->joined_room - len);
    c->joined->len += len;
    c->out_bytes += len;
    conn_budget_take(conn_shard_of(c), len);
    return true;
}

void conn_patience_cb(struct timer *t)
{
    struct conn_shard *cs = t->user;
    int64_t now_ms = shard_now_ms(cs->shard);
    while (!list_empty(&cs->held)) {
        struct conn_priv *c = LIST_ENTRY(cs->held.next, struct conn_priv, held);
        if (c->held_ms + READINGS * patience_ms(c) > now_ms) {
            break;
        }
        list_remove(&c->held);
        c->crowded = false;
        conn_mark(c);
    }
    plan(cs);
}

void conn_req_hurry(struct conn_req *req)
{
    ASSERT_ON_SHARD(req->shard);
    req->patient = false;
    if (req->conn != NULL) {
        conn_priv_of(req->conn)->patient_run = 0;
    }
}
