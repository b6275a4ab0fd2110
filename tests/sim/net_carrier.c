/* See net_carrier.h. A lane is a connection, opened when it is needed. */
#include "sim/net_carrier.h"

#include "base/mem.h"
#include "proto/descriptor.h"
#include "sim/sim_client.h"

static void tell(const struct gw_call *call, int err, struct bytes body)
{
    const struct proto_message *msg = proto_response(call->api_key);
    struct run *r = call->m->gw->r;
    struct arena a = {0};
    struct buf text = {0};
    void *out = arena_alloc(&a, msg->root->size);
    proto_msg_init(msg, out);
    if (err == 0 && proto_decode(msg, call->version, body, NULL, &a, out) == 0) {
        proto_print_json(msg, call->version, out, &text);
    }
    run_note(r, "-> %s (%s, %d): %s %s %.200s", call->m->client_id, call->id, call->gen, msg->name,
             err ? err_text(err) : "", buf_cstr(&text));
    buf_free(&text);
    arena_free(&a);
}

static void on_answer(struct sim_call *call, int err, struct bytes body)
{
    const struct gw_call *c = call->user;
    if (c->m->gw->r->verbose) {
        tell(c, err, body);
    }
    gw_call_end(call->user, err, body);
}

static void net_call(struct gw_member *m, unsigned lane, struct gw_call *call, const void *request,
                     int64_t timeout_us)
{
    struct net_carrier *n = m->gw->carrier_ctx;
    struct sim_client *c = m->lanes[lane];
    if (c == NULL) {
        c = m->lanes[lane] = MEM_NEW(struct sim_client);
        sim_client_init(c, n->ios[(m->slot + lane) % NET_IOS], m->client_id);
    }
    if (lane == GW_SEEK && run_chance(m->gw->r, 30)) {
        sim_client_close(c); /* it asks another one */
    }
    if (!sim_client_is_open(c)) {
        uint64_t at = lane == GW_SEEK ? run_below(m->gw->r, n->hosts_n) : (uint64_t)m->at;
        sim_client_open(c, n->hosts[at]->host->ip, WORLD_PORT);
    }
    sim_client_call(c, call->api_key, call->version, request, timeout_us, on_answer, call);
}

static void net_hang_up(struct gw_member *m, unsigned lanes)
{
    for (unsigned i = 0; i < lanes; i++) {
        if (m->lanes[i] != NULL) {
            sim_client_close(m->lanes[i]);
        }
    }
}

const struct gw_carrier net_carrier = {.call = net_call, .hang_up = net_hang_up};

void net_carrier_host(struct net_carrier *n, struct group_world *gw, struct machine *m)
{
    RUN_CHECK(gw->r, n->hosts_n < GW_HOSTS_MAX);
    n->hosts[n->hosts_n++] = m;
    gw->hosts[gw->hosts_n++] = m->host->ip;
    gw->port = WORLD_PORT;
}

void net_carrier_init(struct net_carrier *n, struct world *w)
{
    n->w = w;
    for (unsigned i = 0; i < NET_IOS; i++) {
        n->ios[i] = world_client(w);
    }
}
