/* Groups: each broker lists those that it coordinates, and is then asked for their members and
 * their committed offsets, BATCH at a time. Alarms: see lag.h for what a lag does over time. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "broker/console/watch_keep.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_messages.h"

enum {
    LIST_VERSION = 4,
    DESCRIBE_VERSION = 5,
    OFFSETS_VERSION = 8,
    ASK_MS = 1500,
    BATCH = 10, /* so that an answer of large groups stays below what a question may bring */
    KEEP_ROUNDS = 3,
};

/* ---- members ---- */

static void copy_word(char *out, size_t n, struct bytes word)
{
    snprintf(out, n, "%.*s", BYTES_FMT(word));
}

static void on_members(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    const struct describe_groups_response *r = answer;
    for (int32_t i = 0; err == 0 && i < r->groups_n; i++) {
        const struct describe_groups_response_described_group *row = &r->groups[i];
        struct watch_group *g = watch_group_find(&p->console->watch, row->group_id);
        if (g && row->error_code == 0) {
            copy_word(g->state, sizeof g->state, row->group_state);
            copy_word(g->protocol_type, sizeof g->protocol_type, row->protocol_type);
            copy_word(g->assignor, sizeof g->assignor, row->protocol_data);
            keep_members(&p->console->watch, g, row);
            g->described = true;
        }
    }
    watch_answered(p->console);
}

/* ---- offsets ---- */

static void on_committed(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    const struct offset_fetch_response *r = answer;
    for (int32_t i = 0; err == 0 && i < r->groups_n; i++) {
        struct watch_group *g = watch_group_find(&p->console->watch, r->groups[i].group_id);
        if (g && r->groups[i].error_code == 0) {
            keep_offsets(&p->console->watch, g, &r->groups[i]);
        }
    }
    watch_answered(p->console);
}

/* ---- a coordinator's groups ---- */

static void ask_members(struct peer *p, struct bytes *ids, int32_t n)
{
    struct describe_groups_request q;
    proto_msg_init(&describe_groups_request_msg, &q);
    q.groups = ids;
    q.groups_n = n;
    watch_asked(p->console);
    peer_ask(p, API_DESCRIBE_GROUPS, DESCRIBE_VERSION, &q, ASK_MS, on_members, NULL);
}

static void ask_committed(struct peer *p, const struct bytes *ids, int32_t n)
{
    struct offset_fetch_request q;
    struct arena a = {0};
    proto_msg_init(&offset_fetch_request_msg, &q);
    q.groups = proto_array(&a, &offset_fetch_request_offset_fetch_request_group_desc, (size_t)n);
    q.groups_n = n;
    for (int32_t i = 0; i < n; i++) {
        q.groups[i].group_id = ids[i];
        q.groups[i].topics_n = -1; /* all that it has */
    }
    watch_asked(p->console);
    peer_ask(p, API_OFFSET_FETCH, OFFSETS_VERSION, &q, ASK_MS, on_committed, NULL);
    arena_free(&a);
}

static void ask_about(struct peer *p, struct bytes *ids, int32_t n)
{
    for (int32_t at = 0; at < n; at += BATCH) {
        int32_t some = n - at < BATCH ? n - at : BATCH;
        ask_members(p, ids + at, some);
        ask_committed(p, ids + at, some);
    }
}

static void on_list(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    struct watch *w = &p->console->watch;
    const struct list_groups_response *r = answer;
    bool whole = err == 0 && r->error_code == 0;
    struct bytes *ids = whole ? mem_zalloc(((size_t)r->groups_n + 1) * sizeof *ids) : NULL;
    int32_t n = 0;
    for (int32_t i = 0; whole && i < r->groups_n; i++) {
        const struct list_groups_response_listed_group *row = &r->groups[i];
        struct watch_group *g = keep_group(w, row->group_id);
        if (g == NULL) {
            w->groups_left_out++;
            continue;
        }
        g->coordinator = p->id;
        g->seen = w->round;
        copy_word(g->state, sizeof g->state, row->group_state);
        copy_word(g->protocol_type, sizeof g->protocol_type, row->protocol_type);
        ids[n++] = row->group_id;
    }
    if (p->channel) {
        ask_about(p, ids, n);
    }
    mem_free(ids);
    watch_answered(p->console);
}

void watch_ask_groups(struct console *c, struct peer *p)
{
    struct list_groups_request q;
    proto_msg_init(&list_groups_request_msg, &q);
    watch_asked(c);
    peer_ask(p, API_LIST_GROUPS, LIST_VERSION, &q, ASK_MS, on_list, NULL);
}

/* ---- lags and alarms ---- */

static void lag_of(const struct watch *w, struct watch_offset *o)
{
    const struct watch_partition *p = watch_partition_named(w, o->topic, o->partition);
    o->end = p ? p->end : -1;
    o->lag = o->end < 0 || o->committed < 0 ? -1
             : o->end > o->committed        ? o->end - o->committed
                                            : 0;
}

static int64_t sum_lags(const struct watch *w, struct watch_group *g, int64_t *committed)
{
    int64_t lag = -1;
    *committed = 0;
    for (uint32_t i = 0; i < g->offsets_n; i++) {
        struct watch_offset *o = &g->offsets[i];
        lag_of(w, o);
        *committed += o->committed > 0 ? o->committed : 0;
        if (o->lag >= 0) {
            lag = (lag < 0 ? 0 : lag) + o->lag;
        }
    }
    for (uint32_t i = 0; i < g->assigned_n; i++) {
        lag_of(w, &g->assigned[i]);
    }
    return lag;
}

static void judge(struct console *c, struct watch_group *g)
{
    struct watch *w = &c->watch;
    const struct peer *p = peer_find(c, g->coordinator);
    int64_t committed;
    g->lag = sum_lags(w, g, &committed);
    g->alarms = p && p->heard && !p->answers ? ALARM_SILENT : 0;
    if (g->lag < 0 || g->seen != w->round) {
        return;
    }
    lag_take(&g->lags,
             (struct lag_look){.at_ms = console_now(c), .lag = g->lag, .committed = committed});
    struct lag_trend trend = lag_trend(&g->lags);
    g->alarms |= g->lag > console_config(c)->v.console_lag_alarm_records ? ALARM_BOUND : 0;
    g->alarms |= (trend.grows ? ALARM_GROWS : 0) | (trend.stands ? ALARM_STANDS : 0);
    if (g->lag > 0 && g->described && g->members_n + g->members_left_out == 0) {
        g->alarms = (g->alarms & ~(unsigned)ALARM_STANDS) | ALARM_NOBODY;
    }
}

/* Nobody has listed it for a few rounds, though its coordinator answers: a coordinator that moves
 * loads its groups first. */
static struct watch_group *find_gone(struct console *c)
{
    map_for_each (slot, &c->watch.groups) {
        struct watch_group *g = slot->value;
        const struct peer *p = peer_find(c, g->coordinator);
        if (g->seen + KEEP_ROUNDS < c->watch.round && (p == NULL || p->fenced || p->answers)) {
            return g;
        }
    }
    return NULL;
}

void watch_groups_finish(struct console *c)
{
    struct watch_group *gone;
    while ((gone = find_gone(c)) != NULL) {
        keep_drop(&c->watch, gone);
    }
    map_for_each (slot, &c->watch.groups) {
        judge(c, slot->value);
    }
}
