#include "broker/monitor/metrics.h"

#include "base/mem.h"
#include "broker/config.h"
#include "broker/monitor/monitor_private.h"

enum { METRICS_MS = 5000 };

static void done(struct gather *g)
{
    struct monitor *mon = g->monitor;
    struct metrics m = {.monitor = mon, .node = monitor_node(mon)};
    buf_reserve(&m.text.out, mon->text_len + mon->text_len / 8);
    m.shards = mem_zalloc((g->n + 1) * sizeof *m.shards);
    for (unsigned i = 0; i < g->n; i++) {
        const struct gather_part *p = &g->parts[i];
        if (!p->home) {
            m.late++;
        } else if (p->controller) {
            m.controller = p->answer;
        } else {
            const struct metrics_shard *s = p->answer;
            m.shards[m.shards_n++] = s;
            m.main = s->is_main ? s : m.main;
        }
    }
    if (m.node->config->is_broker) {
        metrics_put_topics(&m);
        metrics_put_replicas(&m);
        metrics_put_groups(&m);
        metrics_put_disk(&m);
    }
    metrics_put_broker(&m);
    metrics_put_requests(&m, &mon->window);
    if (m.controller) {
        metrics_put_controller(&m);
    }
    metrics_put_process(&m);
    mem_free(m.shards);
    mon->text_len = m.text.out.len;
    monitor_reply(g->request, 200, "text/plain; version=0.0.4; charset=utf-8", &m.text.out);
}

static const struct gather_kind metrics_kind = {
    .ask_data = metrics_take_shard,
    .ask_controller = metrics_take_controller,
    .done = done,
    .free_answer = metrics_free,
    .timeout_ms = METRICS_MS,
};

void monitor_metrics(struct monitor *m, struct http_request *r)
{
    gather_start(m, &metrics_kind, r, NULL);
}
