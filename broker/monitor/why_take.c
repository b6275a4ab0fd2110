/* What waits on a data shard: requests, connections, groups; and on main the way to the controller.
 * Partitions are why_partitions.c's. */
#include "base/mem.h"
#include "broker/config.h"
#include "broker/disk_room.h"
#include "broker/group_host.h"
#include "broker/lifecycle.h"
#include "broker/listener.h"
#include "broker/monitor/metrics.h"
#include "broker/monitor/why.h"
#include "broker/node_priv.h"
#include "broker/partition_manager.h"
#include "broker/request.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_messages.h"

void why_add_disk(struct why_answer *a, const struct disk_time *t, int64_t now_us, const char *what)
{
    struct disk_longest l = disk_time_longest(t, now_us);
    struct why_row *row = l.us > 0 ? why_add(a, WHY_DISK, l.us / 1000) : NULL;
    if (row) {
        int64_t ago_ms = (now_us - l.at_us) / 1000;
        const char *where = why_text(a, row, "log", bytes_str(l.where));
        why_text(a, row, "operation", bytes_str(what));
        why_number(row, "ago_ms", ago_ms);
        why_say(a, row, "%s took so long, %.0f s ago, in %s", what, (double)ago_ms / 1000, where);
    }
}

/* ---- requests ---- */

struct waiting {
    uint32_t n;
    int64_t ms;
    const struct request *oldest;
};

struct requests {
    struct waiting *slots;
    int64_t now_us;
    int64_t least_ms;
};

/* What it waits longer than it asked to. */
static int64_t waits_ms(const struct request *r, int64_t now_us)
{
    int64_t ms = (now_us - r->cr->received_us) / 1000;
    if (r->api->key == API_FETCH && r->body != NULL) {
        const struct fetch_request *q = r->body;
        ms -= q->max_wait_ms > 0 ? q->max_wait_ms : 0;
    }
    return ms;
}

static void take_request(const struct request *r, void *user)
{
    struct requests *t = user;
    if (r->api == NULL || r->canceled) {
        return;
    }
    int64_t ms = waits_ms(r, t->now_us);
    struct waiting *w = &t->slots[r->slot];
    if (ms < t->least_ms) {
        return;
    }
    w->n++;
    if (w->oldest == NULL || ms > w->ms) {
        w->ms = ms;
        w->oldest = r;
    }
}

static void tell_requests(struct why_answer *a, unsigned slot, const struct waiting *w)
{
    const struct request *r = w->oldest;
    const struct conn *c = r->cr->conn;
    const struct session *session = c ? c->session : NULL;
    struct why_row *row = why_add(a, WHY_REQUEST, w->ms);
    char name[64];
    if (row == NULL) {
        return;
    }
    metrics_request_name(slot, name, sizeof name);
    const char *client = why_text(a, row, "client", bytes_str(session ? session->client_id : ""));
    const char *peer = why_text(a, row, "peer", bytes_str(c ? c->peer : ""));
    why_text(a, row, "request", bytes_str(name));
    why_number(row, "requests", w->n);
    why_text(a, row, "listener", bytes_str(r->listener->config->name));
    why_say(a, row, "%s without an answer, %s: %u, the oldest of client '%s' at %s", name,
            r->api->key == API_FETCH ? "longer than asked for"
            : r->local_us            ? "held up by other nodes or members"
                                     : "held up by this node",
            w->n, client, peer);
}

static void take_requests(struct node_shard *ns, struct why_answer *a)
{
    unsigned n = request_slots();
    struct requests t = {.slots = mem_zalloc(n * sizeof *t.slots),
                         .now_us = io_now_us(ns->shard->io),
                         .least_ms = a->least_ms};
    request_pool_each(ns->requests, take_request, &t);
    for (unsigned i = 0; i < n; i++) {
        if (t.slots[i].n > 0) {
            tell_requests(a, i, &t.slots[i]);
        }
    }
    mem_free(t.slots);
    a->slow_n = slow_requests_copy(ns->stats->slow, t.now_us, a->slow);
    for (unsigned i = 0; i < a->slow_n; i++) { /* for the asker: how long ago */
        a->slow[i].received_us = t.now_us - a->slow[i].received_us;
    }
}

/* ---- connections ---- */

static void take_connection(const struct conn_stuck *s, void *user)
{
    struct why_answer *a = user;
    const struct session *session = s->conn->session;
    struct why_row *row = why_add(a, WHY_CONNECTION, s->ms);
    if (row == NULL) {
        return;
    }
    const char *client = why_text(a, row, "client", bytes_str(session->client_id));
    const char *peer = why_text(a, row, "peer", bytes_str(s->conn->peer));
    why_number(row, "bytes", (int64_t)s->bytes);
    switch (s->kind) {
    case CONN_STARVED:
        why_text(a, row, "state", bytes_str("muted"));
        why_say(a, row,
                "client '%s' at %s is not read: the memory for requests of its shard is used up "
                "(request.memory.bytes)",
                client, peer);
        break;
    case CONN_BLOCKED:
        why_text(a, row, "state", bytes_str("blocked"));
        why_say(a, row, "client '%s' at %s does not take its answers: %llu bytes wait to be sent",
                client, peer, (unsigned long long)s->bytes);
        break;
    case CONN_HALF:
        why_text(a, row, "state", bytes_str("half"));
        why_say(a, row, "client '%s' at %s has sent a part of a request, %llu bytes, and no more",
                client, peer, (unsigned long long)s->bytes);
        break;
    }
}

/* ---- groups ---- */

struct groups {
    struct why_answer *a;
    const struct group_coord *c;
    int64_t now_ms;
};

static void take_group(const struct group_wait *w, void *user)
{
    struct groups *t = user;
    struct why_answer *a = t->a;
    struct why_row *row = why_add(a, WHY_GROUP, t->now_ms - w->since_ms);
    if (row == NULL) {
        return;
    }
    const char *id = why_text(a, row, "group", w->id);
    why_text(a, row, "state", bytes_str(w->state));
    why_number(row, "members", w->members);
    const char *now = group_explain_now(t->c->core, w->id, t->now_ms, &a->arena);
    why_say(a, row, "group '%s' is in %s: %s", id, w->state, now);
}

static void take_groups(struct node_shard *ns, struct why_answer *a)
{
    struct groups t = {.a = a, .now_ms = shard_now_ms(ns->shard)};
    list_for_each (at, &ns->groups->all) {
        t.c = LIST_ENTRY(at, struct group_coord, all);
        if (t.c->core && t.c->state == GROUP_COORD_ACTIVE) {
            group_coordinator_waits(t.c->core, take_group, &t);
            continue;
        }
        struct why_row *row = why_add(a, WHY_GROUP, -1);
        if (row) {
            why_number(row, "partition", t.c->part->index);
            why_say(
                a, row, "the groups of " GROUP_TOPIC "-%d are not served yet: %s", t.c->part->index,
                t.c->state == GROUP_COORD_LOADING  ? "they are being read from the log"
                : t.c->state == GROUP_COORD_FAILED ? "the log could not be read, it is tried again"
                                                   : "the coordinator begins anew or ends");
        }
    }
}

/* ---- main ---- */

static void take_main(const struct node *n, struct why_answer *a)
{
    struct errmsg why = {{0}};
    int64_t patience = 2 * (int64_t)n->config->v.broker_heartbeat_interval_ms;
    int64_t silent = n->lifecycle ? lifecycle_silent_ms(n->lifecycle) : -1;
    if (n->lifecycle == NULL || !lifecycle_is_ready(n->lifecycle, &why)) {
        struct why_row *row = why_add(a, WHY_NODE, -1);
        why_say(a, row, "the broker is not ready: %s",
                n->priv->stopping      ? "it stops"
                : n->lifecycle == NULL ? "its log directories or its controller are not up"
                                       : why.text);
    }
    struct why_row *row = silent > patience ? why_add(a, WHY_CONTROLLER, silent) : NULL;
    if (row) {
        why_number(row, "controller", n->priv->leader);
        why_number(row, "heartbeat_ms", silent);
        why_say(a, row,
                "no controller answers this broker's heartbeats; the active one it knows is %d",
                n->priv->leader);
    }
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        bool failed = !node_dir_is_online(n, d);
        row = failed ? why_add(a, WHY_DISK, -1) : NULL;
        if (row) {
            const char *dir = why_text(a, row, "directory", bytes_str(n->config->log_dirs[d]));
            why_say(a, row, "log directory %s is offline until the node restarts", dir);
        }
        int64_t full_ms = failed ? -1 : disk_room_full_ms(n->room, d);
        row = full_ms >= 0 ? why_add(a, WHY_DISK, full_ms) : NULL;
        if (row) {
            const char *dir = why_text(a, row, "directory", bytes_str(n->config->log_dirs[d]));
            why_say(a, row,
                    "the disk of log directory %s is full: other replicas lead where they can",
                    dir);
        }
    }
}

void why_take_shard(struct node_shard *ns, struct gather_part *p)
{
    struct why_answer *a = why_answer_new(p);
    p->answer = a;
    take_requests(ns, a);
    conn_each_stuck(ns->shard, take_connection, a);
    if (ns->node->config->is_broker) {
        why_take_partitions(ns, a);
        take_groups(ns, a);
        int64_t now_us = io_now_us(ns->shard->io);
        why_add_disk(a, &ns->partitions->store.write_time, now_us, "a write");
        why_add_disk(a, &ns->partitions->store.flush_time, now_us, "a flush");
    }
    if (ns->index == 0 && ns->node->config->is_broker) {
        take_main(ns->node, a);
    }
}
