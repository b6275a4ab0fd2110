/* /healthz and /readyz.
 *
 * Alive: every shard answers within HEALTH_MS. While the node starts, a shard may be busy with its
 * logs for longer than that (recovery after a crash), and the node is alive all the same: to kill
 * it then would make it begin anew.
 *
 * Ready: what the node is there for works. A broker is registered, has the metadata, is unfenced
 * and in touch with a controller; a controller knows a leader and has what that had committed. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/lifecycle.h"
#include "broker/monitor/monitor_private.h"
#include "broker/node_priv.h"
#include "controller/controller.h"

enum { HEALTH_MS = 2000, READY_MS = 2000 };

static void reply_sentence(struct http_request *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void reply_sentence(struct http_request *r, int status, const char *fmt, ...)
{
    char line[512];
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_printf(&text, "%s\n", line);
    monitor_reply_text(r, status, &text);
}

/* ---- alive ---- */

static void ask_nothing(struct node_shard *ns, struct gather_part *p)
{
    UNUSED(ns);
    UNUSED(p);
}

static void ask_controller_nothing(struct node *n, struct gather_part *p)
{
    UNUSED(n);
    UNUSED(p);
}

static void health_done(struct gather *g)
{
    const struct gather_part *late = gather_late(g);
    char shard[64];
    if (late == NULL) {
        reply_sentence(g->request, 200, "ok");
        return;
    }
    gather_shard_name(late, shard, sizeof shard);
    bool starting = monitor_node_state(g->monitor) == NODE_STARTING;
    reply_sentence(g->request, starting ? 200 : 503, "%s%s has not answered for %d ms",
                   starting ? "starting: " : "", shard, HEALTH_MS);
}

static const struct gather_kind health_kind = {
    .ask_data = ask_nothing,
    .ask_controller = ask_controller_nothing,
    .done = health_done,
    .timeout_ms = HEALTH_MS,
};

void monitor_healthz(struct monitor *m, struct http_request *r)
{
    gather_start(m, &health_kind, r, NULL);
}

/* ---- ready ---- */

struct readiness {
    bool ready;
    struct errmsg why;
};

static void ask_main(struct node_shard *ns, struct gather_part *p)
{
    const struct node *n = ns->node;
    struct readiness *a = MEM_NEW(struct readiness);
    p->answer = a;
    if (n->priv->stopping) {
        errmsg_set(&a->why, 0, "the node stops");
    } else if (!n->config->is_broker) {
        a->ready = n->priv->accepting;
        errmsg_set(&a->why, 0, "the node starts");
    } else if (n->lifecycle == NULL) {
        errmsg_set(&a->why, 0, "the node starts: its log directories or its controller are not up");
    } else {
        a->ready = lifecycle_is_ready(n->lifecycle, &a->why);
    }
}

static void ask_controller(struct node *n, struct gather_part *p)
{
    struct readiness *a = MEM_NEW(struct readiness);
    p->answer = a;
    if (n->controller == NULL) {
        errmsg_set(&a->why, 0, "the controller is not up");
    } else {
        a->ready = controller_is_ready(n->controller, &a->why);
    }
}

static void ready_done(struct gather *g)
{
    const struct gather_part *late = gather_late(g);
    struct buf text = {0};
    for (unsigned i = 0; i < g->n; i++) {
        const struct gather_part *p = &g->parts[i];
        const struct readiness *a = p->answer;
        if (p->home && !a->ready) {
            buf_printf(&text, "%s: %s\n", p->controller ? "controller" : "broker", a->why.text);
        }
    }
    if (late) {
        char shard[64];
        gather_shard_name(late, shard, sizeof shard);
        buf_printf(&text, "%s has not answered for %d ms\n", shard, READY_MS);
    }
    bool ready = text.len == 0;
    if (ready) {
        buf_put_str(&text, "ready\n");
    }
    monitor_reply_text(g->request, ready ? 200 : 503, &text);
}

static const struct gather_kind ready_kind = {
    .ask_data = ask_main,
    .ask_controller = ask_controller,
    .done = ready_done,
    .main_only = true,
    .timeout_ms = READY_MS,
};

void monitor_readyz(struct monitor *m, struct http_request *r)
{
    gather_start(m, &ready_kind, r, NULL);
}
