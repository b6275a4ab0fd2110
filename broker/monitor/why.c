#include "broker/monitor/why.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/monitor/metrics.h"
#include "broker/monitor/monitor_private.h"

enum { WHY_MS = 2000, LEAST_MAX_MS = 3600000 };

static const char *const kind_names[] = {
    [WHY_NODE] = "node",
    [WHY_CONTROLLER] = "controller",
    [WHY_QUORUM] = "quorum",
    [WHY_BROKER] = "broker",
    [WHY_ELECTION] = "election",
    [WHY_DISK] = "disk",
    [WHY_REPLICA] = "replica",
    [WHY_FETCHER] = "fetcher",
    [WHY_PRODUCE] = "produce",
    [WHY_REQUEST] = "request",
    [WHY_GROUP] = "group",
    [WHY_MOVE] = "move",
    [WHY_CONNECTION] = "connection",
};

/* All shards' together. */
struct why {
    const struct node *node;
    int64_t wall_ms;
    const struct why_row **rows; /* by kind, then the longest first */
    size_t n;
    uint64_t left_out[WHY_KINDS];
    struct slow_request *slow; /* the slowest first; received_us: so long ago */
    unsigned slow_n;
};

/* ---- collecting ---- */

static int kind_then_age(const void *a, const void *b)
{
    const struct why_row *x = *(const struct why_row *const *)a;
    const struct why_row *y = *(const struct why_row *const *)b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return (x->ms < y->ms) - (x->ms > y->ms);
}

static int slower_first(const void *a, const void *b)
{
    const struct slow_request *x = a, *y = b;
    return (x->rank_us < y->rank_us) - (x->rank_us > y->rank_us);
}

static void add_answer(struct why *w, const struct why_answer *a)
{
    for (unsigned k = 0; k < WHY_KINDS; k++) {
        list_for_each (at, &a->rows[k]) {
            w->rows[w->n++] = LIST_ENTRY(at, struct why_row, node);
        }
        w->left_out[k] += a->left_out[k];
    }
    for (unsigned i = 0; i < a->slow_n; i++) {
        w->slow[w->slow_n++] = a->slow[i];
    }
}

static void add_answers(struct why *w, struct gather *g)
{
    struct why_answer **home = mem_alloc((g->n + 1) * sizeof *home);
    unsigned n = 0;
    for (unsigned i = 0; i < g->n; i++) {
        if (g->parts[i].home) {
            home[n++] = g->parts[i].answer;
        }
    }
    why_merge(home, n);
    for (unsigned i = 0; i < n; i++) {
        if (home[i]->image) {
            why_add_image(home[i], home[i]->image);
        }
        add_answer(w, home[i]);
    }
    mem_free(home);
}

static void say_late(struct why *w, struct gather *g, struct arena *a)
{
    const struct gather_part *late = gather_late(g);
    char shard[64];
    if (late == NULL) {
        return;
    }
    struct why_row *row = ARENA_NEW(a, struct why_row);
    gather_shard_name(late, shard, sizeof shard);
    row->kind = WHY_NODE;
    row->ms = WHY_MS;
    row->text = arena_printf(a, "%s does not answer: what waits there is not told here", shard);
    w->rows[w->n++] = row;
}

/* ---- text ---- */

static void put_time(struct buf *out, const char *label, int64_t us)
{
    if (us >= 0) {
        buf_printf(out, " %s %.1f", label, (double)us / 1000);
    }
}

static int64_t total_us(const struct slow_request *s)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < STAGE_TOTAL; i++) {
        sum += s->stages_us[i] > 0 ? s->stages_us[i] : 0;
    }
    return s->stages_us[STAGE_TOTAL] >= 0 ? s->stages_us[STAGE_TOTAL] : sum;
}

static void put_slow(struct buf *out, const struct slow_request *s)
{
    char name[64];
    struct arena a = {0};
    metrics_request_name(s->slot, name, sizeof name);
    buf_printf(out, "%10.1f ms  %-16s client '%s' at %s, %.0f s ago:", (double)total_us(s) / 1000,
               name, why_clean(&a, bytes_str(s->client)), s->peer, (double)s->received_us / 1e6);
    put_time(out, "queue", s->stages_us[STAGE_QUEUE]);
    put_time(out, "local", s->stages_us[STAGE_LOCAL]);
    put_time(out, "remote", s->stages_us[STAGE_REMOTE]);
    put_time(out, "answer queue", s->stages_us[STAGE_RESPONSE_QUEUE]);
    put_time(out, "send", s->stages_us[STAGE_SEND]);
    buf_put_str(out, "\n");
    arena_free(&a);
}

static void put_rows(struct buf *out, const struct why *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct why_row *row = w->rows[i];
        if (row->ms >= 0) {
            buf_printf(out, "%-11s %8.1f s  %s\n", kind_names[row->kind], (double)row->ms / 1000,
                       row->text);
        } else {
            buf_printf(out, "%-11s %10s  %s\n", kind_names[row->kind], "", row->text);
        }
        bool last = i + 1 == w->n || w->rows[i + 1]->kind != row->kind;
        if (last && w->left_out[row->kind] > 0) {
            buf_printf(out, "%-11s %10s  and %" PRIu64 " more\n", kind_names[row->kind], "",
                       w->left_out[row->kind]);
        }
    }
}

static void put_text(struct buf *out, const struct why *w)
{
    if (w->n == 0) {
        buf_printf(out, "node %d: nothing waits\n", w->node->id);
    } else {
        buf_printf(out, "node %d: what waits, and for how long\n\n", w->node->id);
        put_rows(out, w);
    }
    if (w->slow_n > 0) {
        buf_put_str(out, "\nslowest requests of the last one to two minutes (milliseconds)\n\n");
    }
    for (unsigned i = 0; i < w->slow_n; i++) {
        put_slow(out, &w->slow[i]);
    }
}

/* ---- JSON ---- */

static json_t *row_json(const struct why_row *row)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(kind_names[row->kind]));
    json_object_set_new(o, "ms", row->ms < 0 ? json_null() : json_integer(row->ms));
    json_object_set_new(o, "text", json_string(row->text));
    for (unsigned i = 0; i < row->fields_n; i++) {
        const struct why_field *f = &row->fields[i];
        json_object_set_new(o, f->name, f->text ? json_string(f->text) : json_integer(f->number));
    }
    return o;
}

static json_t *slow_json(const struct slow_request *s)
{
    static const char *const names[STAGES] = {"queue_us",        "local_us", "remote_us",
                                              "answer_queue_us", "send_us",  "total_us"};
    char name[64];
    struct arena a = {0};
    json_t *o = json_object();
    metrics_request_name(s->slot, name, sizeof name);
    json_object_set_new(o, "request", json_string(name));
    json_object_set_new(o, "client", json_string(why_clean(&a, bytes_str(s->client))));
    json_object_set_new(o, "peer", json_string(s->peer));
    json_object_set_new(o, "ago_ms", json_integer(s->received_us / 1000));
    for (unsigned i = 0; i < STAGES; i++) {
        int64_t us = i == STAGE_TOTAL ? total_us(s) : s->stages_us[i];
        json_object_set_new(o, names[i], us < 0 ? json_null() : json_integer(us));
    }
    arena_free(&a);
    return o;
}

static void put_json(struct buf *out, const struct why *w)
{
    json_t *top = json_object(), *waits = json_array(), *slow = json_array();
    json_t *left_out = json_object();
    for (size_t i = 0; i < w->n; i++) {
        json_array_append_new(waits, row_json(w->rows[i]));
    }
    for (unsigned i = 0; i < w->slow_n; i++) {
        json_array_append_new(slow, slow_json(&w->slow[i]));
    }
    for (unsigned k = 0; k < WHY_KINDS; k++) {
        if (w->left_out[k] > 0) {
            json_object_set_new(left_out, kind_names[k], json_integer((json_int_t)w->left_out[k]));
        }
    }
    json_object_set_new(top, "node", json_integer(w->node->id));
    json_object_set_new(top, "at_ms", json_integer(w->wall_ms));
    json_object_set_new(top, "waits", waits);
    json_object_set_new(top, "left_out", left_out);
    json_object_set_new(top, "slow", slow);
    char *text = json_dumps(top, JSON_INDENT(1));
    buf_put_str(out, text);
    buf_put_str(out, "\n");
    free(text);
    json_decref(top);
}

/* ---- the question ---- */

static void done(struct gather *g)
{
    const struct why_ask *ask = g->user;
    struct why w = {.node = monitor_node(g->monitor),
                    .wall_ms = io_wall_ms(monitor_shard(g->monitor)->io)};
    struct arena arena = {0};
    struct buf out = {0};
    w.rows = mem_alloc((g->n * WHY_KINDS * WHY_ROWS_MAX + 1) * sizeof *w.rows);
    w.slow = mem_alloc((g->n + 1) * SLOW_REQUESTS_MAX * sizeof *w.slow);
    add_answers(&w, g);
    say_late(&w, g, &arena);
    qsort(w.rows, w.n, sizeof *w.rows, kind_then_age);
    qsort(w.slow, w.slow_n, sizeof *w.slow, slower_first);
    w.slow_n = w.slow_n < SLOW_REQUESTS_MAX ? w.slow_n : SLOW_REQUESTS_MAX;
    if (ask->json) {
        put_json(&out, &w);
        monitor_reply_json(g->request, 200, &out);
    } else {
        put_text(&out, &w);
        monitor_reply_text(g->request, 200, &out);
    }
    arena_free(&arena);
    mem_free(w.rows);
    mem_free(w.slow);
}

static const struct gather_kind why_kind = {
    .ask_data = why_take_shard,
    .ask_controller = why_take_controller,
    .done = done,
    .free_answer = why_free,
    .free_user = mem_free,
    .timeout_ms = WHY_MS,
};

void monitor_why(struct monitor *m, struct http_request *r)
{
    struct why_ask *ask = MEM_NEW(struct why_ask);
    const char *least = http_query(r, "least");
    char *end = NULL;
    long long ms = least ? strtoll(least, &end, 10) : WHY_LEAST_MS;
    ask->json = monitor_wants_json(r);
    ask->least_ms = ms;
    if (least && (end == least || *end != '\0' || ms < 0 || ms > LEAST_MAX_MS)) {
        struct buf text = {0};
        buf_printf(&text, "least is a number of milliseconds, 0 to %d\n", LEAST_MAX_MS);
        mem_free(ask);
        monitor_reply_text(r, 400, &text);
        return;
    }
    gather_start(m, &why_kind, r, ask);
}
