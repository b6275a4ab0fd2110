#include "broker/monitor/gather.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/monitor/monitor_private.h"

static void free_gather(struct gather *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        void *answer = g->parts[i].answer;
        if (answer && g->kind->free_answer) {
            g->kind->free_answer(answer);
        } else {
            mem_free(answer);
        }
    }
    if (g->kind->free_user) {
        g->kind->free_user(g->user);
    }
    list_remove(&g->node);
    mem_free(g->parts);
    mem_free(g);
}

static void finish(struct gather *g)
{
    g->finished = true;
    timer_cancel(monitor_shard(g->monitor), &g->timer);
    g->kind->done(g);
}

static void timeout_cb(struct timer *t)
{
    finish(t->user);
}

static void part_run(struct shard *sh, struct call *c)
{
    struct gather_part *p = c->user;
    struct node_shard *ns = node_shard_of(sh);
    if (p->controller) {
        p->gather->kind->ask_controller(ns->node, p);
    } else {
        p->gather->kind->ask_data(ns, p);
    }
    call_finish(sh, c);
}

static void part_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct gather_part *p = c->user;
    struct gather *g = p->gather;
    p->home = !g->finished;
    ASSERT(g->out > 0);
    g->out--;
    if (g->out == 0 && !g->finished) {
        finish(g);
    }
    if (g->out == 0) {
        free_gather(g);
    }
}

void gather_start(struct monitor *m, const struct gather_kind *kind, struct http_request *r,
                  void *user)
{
    const struct node *n = m->node;
    ASSERT_ON_SHARD(m->shard);
    struct gather *g = MEM_NEW(struct gather);
    unsigned data = kind->ask_data == NULL ? 0 : kind->main_only ? 1 : n->data_shards;
    bool controller = kind->ask_controller && n->config->is_controller;
    g->monitor = m;
    g->kind = kind;
    g->request = r;
    g->user = user;
    g->n = data + (controller ? 1 : 0);
    ASSERT(g->n > 0);
    g->parts = mem_zalloc(g->n * sizeof *g->parts);
    g->timer = (struct timer){.cb = timeout_cb, .user = g};
    list_push_back(&m->gathers, &g->node);
    timer_set(m->shard, &g->timer, shard_now_ms(m->shard) + kind->timeout_ms);
    g->out = g->n;
    for (unsigned i = 0; i < g->n; i++) {
        struct gather_part *p = &g->parts[i];
        p->gather = g;
        p->controller = i >= data;
        p->shard = p->controller ? n->controller_shard : i;
        call_start(m->shard, p->shard, &p->call, part_run, part_done, p);
    }
}

const struct gather_part *gather_late(const struct gather *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        if (!g->parts[i].home) {
            return &g->parts[i];
        }
    }
    return NULL;
}

void gather_shard_name(const struct gather_part *p, char *out, size_t n)
{
    if (p->controller) {
        snprintf(out, n, "the controller's shard");
    } else {
        snprintf(out, n, "data shard %u", p->shard);
    }
}

void gather_free_all(struct list *gathers)
{
    while (!list_empty(gathers)) {
        struct gather *g = LIST_ENTRY(gathers->next, struct gather, node);
        if (!g->finished && g->request) { /* the server is closed: this only frees it */
            struct buf none = {0};
            monitor_reply_text(g->request, 503, &none);
        }
        free_gather(g);
    }
}
