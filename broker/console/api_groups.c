/* Groups: a list with lag and alarms, those in trouble first; one group with its members and its
 * partitions. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "broker/console/console_private.h"

/* ---- the list ---- */

static int by_trouble(const void *a, const void *b)
{
    const struct watch_group *x = *(const struct watch_group *const *)a;
    const struct watch_group *y = *(const struct watch_group *const *)b;
    int c = (x->alarms == 0) - (y->alarms == 0);
    c = c ? c : (x->lag < y->lag) - (x->lag > y->lag);
    return c ? c : bytes_cmp(x->id, y->id);
}

static void put_alarms(struct json_writer *w, unsigned alarms)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{ALARM_BOUND, "behind"},
                 {ALARM_GROWS, "grows"},
                 {ALARM_STANDS, "stands still"},
                 {ALARM_NOBODY, "nobody reads"},
                 {ALARM_SILENT, "coordinator does not answer"}};
    json_open(w, "alarms", '[');
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (alarms & names[i].bit) {
            json_str(w, NULL, names[i].name);
        }
    }
    json_close(w, ']');
}

static void put_head(struct json_writer *w, const struct watch_group *g)
{
    json_text(w, "id", g->id);
    json_str(w, "state", g->state);
    json_str(w, "protocolType", g->protocol_type);
    json_int(w, "coordinator", g->coordinator);
    json_known(w, "members", g->described ? (int64_t)g->members_n + g->members_left_out : -1);
    json_int(w, "partitions", (int64_t)g->offsets_n + g->offsets_left_out);
    json_int(w, "offsetsLeftOut", g->offsets_left_out);
    json_known(w, "lag", g->lag);
    put_alarms(w, g->alarms);
    json_open(w, "lags", '[');
    uint64_t from = g->lags.n > LAG_LOOKS ? g->lags.n - LAG_LOOKS : 0;
    for (uint64_t i = from; i < g->lags.n; i++) {
        json_int(w, NULL, g->lags.v[i % LAG_LOOKS].lag);
    }
    json_close(w, ']');
}

static bool has(struct bytes id, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= id.len; i++) {
        if (strncasecmp((const char *)id.data + i, part, n) == 0) {
            return true;
        }
    }
    return n == 0;
}

void api_groups(struct console *c, struct http_request *r)
{
    const struct watch *watch = &c->watch;
    const char *filter = http_query(r, "filter");
    struct watch_group **v = mem_zalloc((watch->groups.count + 1) * sizeof *v);
    size_t n = 0;
    map_for_each (slot, &watch->groups) {
        struct watch_group *g = slot->value;
        if (has(g->id, filter ? filter : "")) {
            v[n++] = g;
        }
    }
    qsort(v, n, sizeof *v, by_trouble);
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    struct api_page page = api_page(r);
    json_open(&w, NULL, '{');
    api_put_page(&w, page, n);
    json_int(&w, "leftOut", watch->groups_left_out);
    json_int(&w, "bound", console_config(c)->v.console_lag_alarm_records);
    json_open(&w, "groups", '[');
    size_t from = (size_t)page.page * page.per;
    for (size_t i = from; i < n && i < from + page.per; i++) {
        json_open(&w, NULL, '{');
        put_head(&w, v[i]);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    mem_free(v);
    api_reply(r, &text);
}

/* ---- one ---- */

static int by_partition(const void *a, const void *b)
{
    const struct watch_offset *x = a, *y = b;
    int c = bytes_cmp(x->topic, y->topic);
    c = c ? c : (x->partition > y->partition) - (x->partition < y->partition);
    return c ? c : y->member - x->member; /* that of a member first */
}

/* What is committed and what is assigned, each partition once: who has it, and where it is. */
static struct watch_offset *join(const struct watch_group *g, size_t *n)
{
    size_t all = (size_t)g->offsets_n + g->assigned_n;
    struct watch_offset *v = mem_zalloc((all + 1) * sizeof *v);
    *n = 0;
    if (g->assigned_n) {
        memcpy(v, g->assigned, g->assigned_n * sizeof *v);
    }
    if (g->offsets_n) {
        memcpy(v + g->assigned_n, g->offsets, g->offsets_n * sizeof *v);
    }
    qsort(v, all, sizeof *v, by_partition);
    for (size_t i = 0; i < all; i++) {
        struct watch_offset *last = *n ? &v[*n - 1] : NULL;
        bool same = last && last->partition == v[i].partition && bytes_eq(last->topic, v[i].topic);
        if (!same) {
            v[(*n)++] = v[i];
        } else if (v[i].committed >= 0) {
            last->committed = v[i].committed;
            last->lag = v[i].lag;
        }
    }
    return v;
}

static void put_members(struct json_writer *w, const struct watch_group *g)
{
    enum { MEMBERS_MAX = 500 };
    json_open(w, "memberList", '[');
    for (uint32_t i = 0; i < g->members_n && i < MEMBERS_MAX; i++) {
        const struct watch_member *m = &g->members[i];
        json_open(w, NULL, '{');
        json_text(w, "id", m->id);
        json_text(w, "instance", m->instance);
        json_text(w, "client", m->client);
        json_text(w, "host", m->host);
        json_int(w, "partitions", m->partitions);
        json_close(w, '}');
    }
    json_close(w, ']');
}

static void put_offset(struct json_writer *w, const struct watch_group *g,
                       const struct watch_offset *o)
{
    json_open(w, NULL, '{');
    json_text(w, "topic", o->topic);
    json_int(w, "partition", o->partition);
    json_known(w, "committed", o->committed);
    json_known(w, "end", o->end);
    json_known(w, "lag", o->lag);
    if (o->member >= 0 && (uint32_t)o->member < g->members_n) {
        json_text(w, "member", g->members[o->member].id);
        json_text(w, "client", g->members[o->member].client);
    } else {
        json_none(w, "member");
    }
    json_close(w, '}');
}

void api_group(struct console *c, struct http_request *r)
{
    const char *id = http_query(r, "id");
    const struct watch_group *g = id ? watch_group_find(&c->watch, bytes_str(id)) : NULL;
    if (g == NULL) {
        api_refuse(r, 404, "There is no group of that name.");
        return;
    }
    size_t n;
    struct watch_offset *v = join(g, &n);
    struct buf text = {0};
    struct json_writer w = {.out = &text};
    struct api_page page = api_page(r);
    json_open(&w, NULL, '{');
    put_head(&w, g);
    json_str(&w, "assignor", g->assignor);
    json_int(&w, "bound", console_config(c)->v.console_lag_alarm_records);
    put_members(&w, g);
    json_int(&w, "assignedLeftOut", g->assigned_left_out);
    api_put_page(&w, page, n);
    json_open(&w, "offsets", '[');
    size_t from = (size_t)page.page * page.per;
    for (size_t i = from; i < n && i < from + page.per; i++) {
        put_offset(&w, g, &v[i]);
    }
    json_close(&w, ']');
    json_close(&w, '}');
    mem_free(v);
    api_reply(r, &text);
}
