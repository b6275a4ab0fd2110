#include "broker/monitor/monitor.h"

#include <string.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/console/console.h"
#include "broker/monitor/metrics.h"
#include "broker/monitor/monitor_private.h"
#include "broker/node_priv.h"

enum {
    CONNECTIONS_MAX = 32,
    WAITING_MAX = 24, /* the rest is for /healthz and /readyz */
    HEAD_BYTES_MAX = 16 << 10,
    HEAD_MS = 10000,
    ANSWER_MS = 30000,
};

/* ---- for handlers ---- */

struct node *monitor_node(const struct monitor *m)
{
    return m->node;
}

struct shard *monitor_shard(const struct monitor *m)
{
    return m->shard;
}

struct console *monitor_console(const struct monitor *m)
{
    return m->console;
}

enum node_state monitor_node_state(const struct monitor *m)
{
    return m->node_state;
}

bool monitor_wants_json(const struct http_request *r)
{
    const char *format = http_query(r, "format");
    const char *accept = http_header(r, "Accept");
    if (format) {
        return strcmp(format, "json") == 0;
    }
    return accept && strstr(accept, "application/json") && !strstr(accept, "text/");
}

void monitor_reply(struct http_request *r, int status, const char *type, struct buf *body)
{
    struct http_answer a = {.status = status, .type = type, .body = *body};
    *body = (struct buf){0};
    http_answer(r, &a);
}

void monitor_reply_text(struct http_request *r, int status, struct buf *text)
{
    monitor_reply(r, status, "text/plain; charset=utf-8", text);
}

void monitor_reply_json(struct http_request *r, int status, struct buf *text)
{
    monitor_reply(r, status, "application/json", text);
}

static void on_request(void *user, struct http_request *r)
{
    struct monitor *m = user;
    struct buf text = {0};
    if (!monitor_host_is_known(m->node->config, http_header(r, "Host"))) {
        buf_put_str(&text, "This node has no such name: metrics.listener.hosts may list further "
                           "ones, an address always works.\n");
        monitor_reply_text(r, 403, &text);
        return;
    }
    const struct monitor_route *route = monitor_route_find(r->path);
    if (route == NULL) {
        buf_put_str(&text, "There is nothing here; / lists what there is.\n");
        monitor_reply_text(r, 404, &text);
    } else if (!route->kept && m->ops->waiting(m->server) > WAITING_MAX) {
        buf_printf(&text, "Too many requests wait here for their answers: %d.\n", WAITING_MAX);
        monitor_reply_text(r, 503, &text);
    } else {
        route->handle(m, r);
    }
}

/* ---- life: the monitor's shard ---- */

void monitor_end(struct monitor *m)
{
    if (m && m->server) {
        m->ops->close(m->server);
        m->server = NULL;
        console_end(m->console);
    }
}

static void start_run(struct shard *sh, struct call *c)
{
    struct monitor *m = c->user;
    const struct config *config = m->node->config;
    const struct http_limits limits = {
        .connections = CONNECTIONS_MAX,
        .head_bytes = HEAD_BYTES_MAX,
        .head_ms = HEAD_MS,
        .answer_ms = ANSWER_MS,
    };
    const struct http_handler handler = {.on_request = on_request, .user = m};
    struct errmsg em = {{0}};
    m->shard = sh;
    m->began_ms = io_wall_ms(sh->io);
    int err = m->ops->listen(sh, config->metrics_host, config->metrics_port, &limits, &handler,
                             &m->server, &em);
    if (err) {
        errmsg_set(&m->em, err, "metrics.listener=%s: %s", config->v.metrics_listener, em.text);
    } else {
        m->port = m->ops->port(m->server);
    }
    call_finish(sh, c);
}

static void stop_run(struct shard *sh, struct call *c)
{
    monitor_end(c->user);
    call_finish(sh, c);
}

static void news_run(struct shard *sh, struct call *c)
{
    struct monitor *m = c->user;
    m->node_state = m->news_state;
    if (m->node_state == NODE_STOPPING) {
        console_end(m->console);
    }
    call_finish(sh, c);
}

/* ---- life: main ---- */

static void start_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct monitor *m = c->user;
    m->busy = false;
    if (m->em.text[0] == '\0') {
        log_info(m->node->log, "monitor", "listening host=%s port=%u",
                 m->node->config->metrics_host, m->port);
    }
    m->started(m->node, m->em.text[0] ? m->em.text : NULL);
}

static void stop_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct monitor *m = c->user;
    m->busy = false;
    m->stopped(m->node);
}

void monitor_start(struct node *n, void (*done)(struct node *n, const char *failure))
{
    struct monitor *m = n->monitor;
    if (m == NULL) {
        done(n, NULL);
        return;
    }
    m->started = done;
    m->busy = true;
    call_start(node_main(n)->shard, n->monitor_shard, &m->call, start_run, start_done, m);
}

void monitor_stop(struct node *n, void (*done)(struct node *n))
{
    struct monitor *m = n->monitor;
    if (m == NULL) {
        done(n);
        return;
    }
    m->stopped = done;
    m->busy = true;
    call_start(node_main(n)->shard, n->monitor_shard, &m->call, stop_run, stop_done, m);
}

bool monitor_busy(const struct node *n)
{
    return n->monitor && n->monitor->busy;
}

static void news_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct monitor *m = c->user;
    m->news_out = false;
    if (m->news_again) {
        m->news_again = false;
        monitor_tell_state(m->node);
    }
}

void monitor_tell_state(struct node *n)
{
    struct monitor *m = n->monitor;
    if (m == NULL) {
        return;
    }
    if (m->news_out) {
        m->news_again = true;
        return;
    }
    m->news_out = true;
    m->news_state = node_state(n);
    call_start(node_main(n)->shard, n->monitor_shard, &m->news, news_run, news_done, m);
}

uint16_t monitor_port(const struct node *n)
{
    return n->monitor ? n->monitor->port : 0;
}

struct monitor *monitor_new(struct node *n, const struct http_ops *ops)
{
    if (ops == NULL || n->config->metrics_host == NULL) {
        return NULL;
    }
    struct monitor *m = MEM_NEW(struct monitor);
    m->node = n;
    m->ops = ops;
    list_init(&m->gathers);
    m->console = console_new(m);
    return m;
}

void monitor_free(struct monitor *m)
{
    if (m) {
        ASSERT(m->server == NULL);
        gather_free_all(&m->gathers);
        metrics_window_free(m->window);
        console_free(m->console);
        mem_free(m);
    }
}
