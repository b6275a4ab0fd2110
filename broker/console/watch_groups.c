/* Groups: each broker lists those that it coordinates, and is then asked for their members and
 * their committed offsets, BATCH at a time. Alarms: see lag.h for what a lag does over time. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/console/console_private.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_messages.h"

enum {
    LIST_VERSION = 4,
    DESCRIBE_VERSION = 5,
    OFFSETS_VERSION = 8,
    ASK_MS = 1500,
    BATCH = 100,
    GROUPS_MAX = 2000,
    KEEP_ROUNDS = 3,
};

/* ---- the table ---- */

static void free_group(struct watch_group *g)
{
    arena_free(&g->members_mem);
    arena_free(&g->offsets_mem);
    mem_free((void *)(uintptr_t)g->id.data);
    mem_free(g);
}

void watch_groups_free(struct watch *w)
{
    map_for_each (slot, &w->groups) {
        free_group(slot->value);
    }
    map_free(&w->groups);
    w->groups = (struct map){0};
}

static void copy_word(char *out, size_t n, struct bytes word)
{
    snprintf(out, n, "%.*s", BYTES_FMT(word));
}

static struct watch_group *group_of(struct watch *w, struct bytes id)
{
    struct watch_group *g = map_get(&w->groups, id);
    if (g == NULL) {
        g = MEM_NEW(struct watch_group);
        uint8_t *copy = mem_alloc(id.len + 1);
        memcpy(copy, id.data, id.len);
        g->id = bytes_of(copy, id.len);
        g->lag = -1;
        map_put(&w->groups, g->id, g);
    }
    return g;
}

static struct bytes keep(struct arena *a, struct bytes b)
{
    return bytes_is_null(b) ? b : bytes_of(arena_strndup(a, b.data, b.len), b.len);
}

/* ---- members ---- */

static void put_assigned(struct watch_group *g, const struct consumer_protocol_assignment *as,
                         int32_t member)
{
    for (int32_t i = 0; i < as->assigned_partitions_n; i++) {
        const struct consumer_protocol_assignment_topic_partition *t = &as->assigned_partitions[i];
        struct bytes topic = keep(&g->members_mem, t->topic);
        for (int32_t k = 0; k < t->partitions_n; k++) {
            g->assigned[g->assigned_n++] = (struct watch_offset){.topic = topic,
                                                                 .partition = t->partitions[k],
                                                                 .committed = -1,
                                                                 .end = -1,
                                                                 .lag = -1,
                                                                 .member = member};
        }
    }
}

static uint32_t count_assigned(const struct consumer_protocol_assignment *as)
{
    uint32_t n = 0;
    for (int32_t i = 0; i < as->assigned_partitions_n; i++) {
        n += (uint32_t)as->assigned_partitions[i].partitions_n;
    }
    return n;
}

/* Members of another kind than consumers have an assignment that only they can read. */
static struct consumer_protocol_assignment *read_assignment(const struct watch_group *g,
                                                            struct bytes in, struct arena *a)
{
    void *as = NULL;
    int16_t version;
    bool reads =
        strcmp(g->protocol_type, "consumer") == 0 && in.len > 0 &&
        proto_decode_prefixed(&consumer_protocol_assignment_msg, in, a, &version, &as) == 0;
    return reads ? as : NULL;
}

static void take_members(struct watch_group *g,
                         const struct describe_groups_response_described_group *r)
{
    struct arena a = {.limit = 16 << 20};
    struct consumer_protocol_assignment **as =
        ARENA_ARRAY(&a, struct consumer_protocol_assignment *, r->members_n + 1);
    uint32_t assigned = 0;
    arena_reset(&g->members_mem);
    g->members = ARENA_ARRAY(&g->members_mem, struct watch_member, r->members_n + 1);
    g->members_n = (uint32_t)r->members_n;
    for (int32_t i = 0; i < r->members_n; i++) {
        const struct describe_groups_response_described_group_member *m = &r->members[i];
        as[i] = read_assignment(g, m->member_assignment, &a);
        g->members[i] = (struct watch_member){
            .id = keep(&g->members_mem, m->member_id),
            .instance = keep(&g->members_mem, m->group_instance_id),
            .client = keep(&g->members_mem, m->client_id),
            .host = keep(&g->members_mem, m->client_host),
            .partitions = as[i] ? count_assigned(as[i]) : 0,
        };
        assigned += g->members[i].partitions;
    }
    g->assigned = ARENA_ARRAY(&g->members_mem, struct watch_offset, assigned + 1);
    g->assigned_n = 0;
    for (int32_t i = 0; i < r->members_n; i++) {
        if (as[i]) {
            put_assigned(g, as[i], i);
        }
    }
    arena_free(&a);
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
            take_members(g, row);
            g->described = true;
        }
    }
    watch_answered(p->console);
}

/* ---- offsets ---- */

static void take_committed(struct watch_group *g,
                           const struct offset_fetch_response_offset_fetch_response_group *r)
{
    uint32_t n = 0;
    for (int32_t i = 0; i < r->topics_n; i++) {
        n += (uint32_t)r->topics[i].partitions_n;
    }
    arena_reset(&g->offsets_mem);
    g->offsets = ARENA_ARRAY(&g->offsets_mem, struct watch_offset, n + 1);
    g->offsets_n = 0;
    for (int32_t i = 0; i < r->topics_n; i++) {
        struct bytes topic = keep(&g->offsets_mem, r->topics[i].name);
        for (int32_t k = 0; k < r->topics[i].partitions_n; k++) {
            const struct offset_fetch_response_offset_fetch_response_partitions *row =
                &r->topics[i].partitions[k];
            g->offsets[g->offsets_n++] = (struct watch_offset){
                .topic = topic,
                .partition = row->partition_index,
                .committed = row->error_code ? -1 : row->committed_offset,
                .end = -1,
                .lag = -1,
                .member = -1,
            };
        }
    }
}

static void on_committed(struct peer *p, int err, const void *answer, void *user)
{
    UNUSED(user);
    const struct offset_fetch_response *r = answer;
    for (int32_t i = 0; err == 0 && i < r->groups_n; i++) {
        struct watch_group *g = watch_group_find(&p->console->watch, r->groups[i].group_id);
        if (g && r->groups[i].error_code == 0) {
            take_committed(g, &r->groups[i]);
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
        bool is_new = watch_group_find(w, row->group_id) == NULL;
        if (is_new && w->groups.count >= GROUPS_MAX) {
            w->groups_left_out++;
            continue;
        }
        struct watch_group *g = group_of(w, row->group_id);
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
    if (g->lag > 0 && g->described && g->members_n == 0) {
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
        map_remove(&c->watch.groups, gone->id);
        free_group(gone);
    }
    map_for_each (slot, &c->watch.groups) {
        judge(c, slot->value);
    }
}
