/* JSON for the pages: GET /console/api/NAME. Every answer is bounded: lists come in pages. A
 * request that comes before the watch knows anything waits for its first round. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"

enum { PER_DEFAULT = 50, PER_MAX = 500, PAGE_MAX = 1000000 };

static const struct {
    const char *name;
    api_fn *fn;
} calls[] = {
    {"overview", api_overview}, {"throughput", api_throughput}, {"brokers", api_brokers},
    {"topics", api_topics},     {"topic", api_topic},           {"groups", api_groups},
    {"group", api_group},       {"messages", api_messages},
};

/* ---- for the calls ---- */

static const struct http_field fields[] = {
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
};

static void reply(struct http_request *r, int status, struct buf *text)
{
    struct http_answer a = {.status = status,
                            .type = "application/json",
                            .body = *text,
                            .fields = fields,
                            .fields_n = ARRAY_LEN(fields)};
    *text = (struct buf){0};
    http_answer(r, &a);
}

void api_reply(struct http_request *r, struct buf *text)
{
    reply(r, 200, text);
}

void api_refuse(struct http_request *r, int status, const char *fmt, ...)
{
    char line[512];
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    json_open(&w, NULL, '{');
    json_str(&w, "error", line);
    json_close(&w, '}');
    reply(r, status, &text);
}

int64_t api_number(const struct http_request *r, const char *name, int64_t fallback, int64_t least,
                   int64_t most)
{
    const char *text = http_query(r, name);
    char *end;
    if (text == NULL || *text == '\0') {
        return fallback;
    }
    errno = 0;
    long long v = strtoll(text, &end, 10);
    return *end || errno || v < least || v > most ? fallback : v;
}

struct api_page api_page(const struct http_request *r)
{
    return (struct api_page){
        .page = (uint32_t)api_number(r, "page", 0, 0, PAGE_MAX),
        .per = (uint32_t)api_number(r, "per", PER_DEFAULT, 1, PER_MAX),
    };
}

void api_put_page(struct json_writer *w, struct api_page p, size_t total)
{
    json_int(w, "page", p.page);
    json_int(w, "per", p.per);
    json_int(w, "total", (int64_t)total);
}

void api_put_ids(struct json_writer *w, const char *name, const int32_t *v, uint32_t n)
{
    json_open(w, name, '[');
    for (uint32_t i = 0; i < n; i++) {
        json_int(w, NULL, v[i]);
    }
    json_close(w, ']');
}

/* ---- requests ---- */

struct waiting {
    struct list node;
    struct http_request *r;
    api_fn *fn;
    int64_t since_ms;
};

static void answer(struct console *c, struct http_request *r, api_fn *fn)
{
    if (c->ended) {
        api_refuse(r, 503, "The node stops.");
    } else if (c->watch.image == NULL) {
        api_refuse(r, 503,
                   "The node has no metadata of the cluster yet: it starts, or reaches no "
                   "controller.");
    } else {
        fn(c, r);
    }
}

static void answer_first(struct console *c)
{
    struct waiting *w = LIST_ENTRY(list_pop_front(&c->waiting), struct waiting, node);
    answer(c, w->r, w->fn);
    mem_free(w);
}

void console_first_round(struct console *c)
{
    while (!list_empty(&c->waiting)) {
        answer_first(c);
    }
}

void console_refuse_late(struct console *c, int64_t patience_ms)
{
    while (!list_empty(&c->waiting) &&
           console_now(c) - LIST_ENTRY(c->waiting.next, struct waiting, node)->since_ms >=
               patience_ms) {
        answer_first(c);
    }
}

void console_api(struct monitor *m, struct http_request *r)
{
    struct console *c = monitor_console(m);
    const char *name = r->path + strlen("/console/api/");
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (strcmp(calls[i].name, name) != 0) {
            continue;
        }
        watch_look(c);
        if (c->watch.done_ms >= 0 || c->ended) {
            answer(c, r, calls[i].fn);
            return;
        }
        struct waiting *w = MEM_NEW(struct waiting);
        w->r = r;
        w->fn = calls[i].fn;
        w->since_ms = console_now(c);
        list_push_back(&c->waiting, &w->node);
        return;
    }
    api_refuse(r, 404, "There is no such call.");
}

/* ---- life ---- */

struct console *console_new(struct monitor *m)
{
    struct console *c = MEM_NEW(struct console);
    c->monitor = m;
    list_init(&c->peers);
    list_init(&c->asks);
    list_init(&c->line);
    list_init(&c->waiting);
    messages_init(c);
    watch_init(c);
    return c;
}

void console_end(struct console *c)
{
    c->ended = true;
    watch_end(c);
    console_first_round(c);
    messages_end(c);
    console_peers_end(c);
}

void console_free(struct console *c)
{
    console_peers_free(c);
    watch_free(c);
    mem_free(c);
}
