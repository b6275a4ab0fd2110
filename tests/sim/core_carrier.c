/* See core_run.h: from a member to the core and back. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "proto/descriptor.h"
#include "sim/core_run.h"

static struct core_run *run_of(struct gw_member *m)
{
    return m->gw->carrier_ctx;
}

static void ask_free(struct core_ask *a)
{
    sim_clock_cancel(&a->cr->r->sim->clock, &a->moves);
    sim_clock_cancel(&a->cr->r->sim->clock, &a->timeout);
    arena_free(&a->arena);
    buf_free(&a->request);
    buf_free(&a->answer);
    mem_free(a);
}

static int64_t delay(struct core_run *cr)
{
    return 1 + (int64_t)run_below(cr->r, (uint64_t)cr->net_us_max);
}

/* ---- there ---- */

static void on_arrive(struct sim_event *se)
{
    struct core_ask *a = se->user;
    if (a->call == NULL && a->life != a->cr->life) { /* the one it was for has ended */
        ask_free(a);
        return;
    }
    core_deliver(a);
}

/* The lane's first request goes out; those behind it wait until it is answered. */
static void lane_go(struct core_lane *l)
{
    if (list_empty(&l->asks)) {
        return;
    }
    struct core_ask *a = LIST_ENTRY(l->asks.next, struct core_ask, node);
    if (!a->sent) {
        a->sent = true;
        a->life = a->cr->life;
        sim_event_init(&a->moves, on_arrive, a);
        sim_clock_after(&a->cr->r->sim->clock, &a->moves, delay(a->cr));
    }
}

static void on_timeout(struct sim_event *se)
{
    struct core_ask *a = se->user;
    run_note(a->cr->r, "%s: a call of API %d is not answered in time", a->call->m->client_id,
             a->api_key);
    core_carrier.hang_up(a->call->m, GW_LANES); /* as clients do */
}

static void carrier_call(struct gw_member *m, unsigned lane, struct gw_call *call,
                         const void *request, int64_t timeout_us)
{
    struct core_run *cr = run_of(m);
    struct core_lane *l = m->lanes[lane];
    if (l == NULL) {
        l = m->lanes[lane] = MEM_NEW(struct core_lane);
        list_init(&l->asks);
    }
    struct core_ask *a = MEM_NEW(struct core_ask);
    struct errmsg em;
    a->cr = cr;
    a->lane = l;
    a->call = call;
    a->client_id = m->client_id;
    a->api_key = call->api_key;
    a->version = call->version;
    if (proto_encode(proto_request(a->api_key), a->version, request, &a->request, &em) != 0) {
        run_fail(cr->r, "a script's request does not encode: %s", em.text);
    }
    list_push_back(&l->asks, &a->node);
    sim_event_init(&a->timeout, on_timeout, a);
    sim_clock_after(&cr->r->sim->clock, &a->timeout, timeout_us);
    lane_go(l);
}

/* ---- back ---- */

static void on_return(struct sim_event *se)
{
    struct core_ask *a = se->user;
    struct core_lane *l = a->lane;
    list_remove(&a->node);
    gw_call_end(a->call, 0, buf_bytes(&a->answer));
    a->call = NULL;
    ask_free(a);
    lane_go(l);
}

void core_answered(struct core_ask *a)
{
    struct core_run *cr = a->cr;
    struct errmsg em;
    const struct proto_message *msg = proto_response(a->api_key);
    RUN_CHECK(cr->r, a->in_core && a->answer.len == 0);
    a->in_core = false;
    if (proto_encode(msg, a->version, a->ask.response, &a->answer, &em) != 0) {
        run_fail(cr->r, "the answer to API %d version %d does not encode: %s", a->api_key,
                 a->version, em.text);
    }
    run_digest(cr->r, crc32c(0, a->answer.data, a->answer.len));
    if (cr->r->verbose) {
        struct buf text = {0};
        proto_print_json(msg, a->version, a->ask.response, &text);
        run_note(cr->r, "-> %s: %s %.200s", a->call ? a->call->m->client_id : "nobody", msg->name,
                 buf_cstr(&text));
        buf_free(&text);
    }
    if (a->call == NULL) {
        ask_free(a);
        return;
    }
    sim_event_init(&a->moves, on_return, a);
    if (cr->unloading) {
        on_return(&a->moves);
    } else {
        sim_clock_after(&cr->r->sim->clock, &a->moves, delay(cr));
    }
}

/* Whoever hangs up hears nothing more; what is under way may still arrive and have its effect. */
static void carrier_hang_up(struct gw_member *m, unsigned lanes)
{
    struct core_run *cr = run_of(m);
    for (unsigned i = 0; i < lanes; i++) {
        struct core_lane *l = m->lanes[i];
        while (l != NULL && !list_empty(&l->asks)) {
            struct core_ask *a = LIST_ENTRY(list_pop_front(&l->asks), struct core_ask, node);
            struct gw_call *call = a->call;
            bool arrives = a->sent && a->answer.len == 0 && !a->in_core && !cr->ending &&
                           run_chance(cr->r, 50);
            sim_clock_cancel(&cr->r->sim->clock, &a->timeout);
            a->call = NULL;
            a->lane = NULL;
            if (!a->in_core && !arrives) {
                ask_free(a);
            }
            gw_call_end(call, ERR_CLOSED, BYTES_NULL);
        }
    }
}

const struct gw_carrier core_carrier = {.call = carrier_call, .hang_up = carrier_hang_up};
