/* The registry of groups and the door of the core: which file an event goes to, counted memory,
 * texts that many share, and when a group is forgotten. coordinator.h tells the whole. */
#include <inttypes.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "broker/group/group_private.h"

/* ---- life ---- */

struct group_coordinator *group_coordinator_new(const struct group_config *config,
                                                const struct siphash_key *secret)
{
    struct group_coordinator *c = MEM_NEW(struct group_coordinator);
    c->config = config;
    c->secret = secret;
    c->groups.secret = c->txns.secret = c->strings.secret = secret;
    list_init(&c->all);
    list_init(&c->gone);
    c->slice_ms = INT64_MAX;
    c->bytes = sizeof *c;
    return c;
}

static void group_free(struct group *g)
{
    struct group_coordinator *c = g->c;
    ASSERT(list_empty(&g->pending));
    offsets_sweep_leaves(g);
    list_remove(&g->all);
    classic_free(g);
    offsets_free(g);
    foreign_free(g);
    story_free(g);
    group_undup(c, &g->id);
    group_dealloc(c, g, sizeof *g);
}

void group_coordinator_free(struct group_coordinator *c)
{
    if (c == NULL) {
        return;
    }
    map_for_each (s, &c->groups) {
        group_free(s->value);
    }
    map_free(&c->groups);
    offsets_sweep_free(c);
    replay_free(c);
    ASSERT(c->strings.count == 0 && c->heap_n == 0);
    map_free(&c->strings);
    mem_free(c->heap);
    mem_free(c);
}

/* ---- memory ---- */

void group_charge(struct group_coordinator *c, int64_t bytes)
{
    ASSERT(bytes >= 0 || c->bytes >= (uint64_t)-bytes);
    c->bytes += (uint64_t)bytes;
}

bool group_room(struct group_coordinator *c, size_t more, struct group_effects *fx)
{
    uint64_t max = c->config->memory_max;
    if (c->bytes <= max && more <= max - c->bytes) {
        return true;
    }
    group_fx_line(fx, GROUP_LINE_WARNING,
                  "refused: the groups of this partition would need more memory than "
                  "group.coordinator.memory.bytes allows bytes=%" PRIu64 " more=%zu max=%" PRIu64,
                  c->bytes, more, max);
    return false;
}

/* What the allocator takes for n bytes, near enough: its header, its grain, its smallest piece. */
static int64_t cost(size_t n)
{
    return n <= 24 ? 32 : (int64_t)((n + 8 + 15) & ~(size_t)15);
}

void *group_alloc(struct group_coordinator *c, size_t n)
{
    group_charge(c, cost(n));
    return mem_zalloc(n);
}

void group_dealloc(struct group_coordinator *c, void *p, size_t n)
{
    if (p != NULL) {
        group_charge(c, -cost(n));
        mem_free(p);
    }
}

struct bytes group_dup(struct group_coordinator *c, struct bytes b)
{
    if (bytes_is_null(b)) {
        return b;
    }
    if (b.len == 0) {
        return bytes_str("");
    }
    uint8_t *p = group_alloc(c, b.len);
    memcpy(p, b.data, b.len);
    return bytes_of(p, b.len);
}

void group_undup(struct group_coordinator *c, struct bytes *b)
{
    if (b->len > 0) {
        group_dealloc(c, (void *)(uintptr_t)b->data, b->len);
    }
    *b = BYTES_NULL;
}

static int64_t map_cost(const struct map *m)
{
    return m->cap ? cost(m->cap * sizeof *m->slots) : 0;
}

void group_map_put(struct group_coordinator *c, struct map *m, struct bytes key, void *value)
{
    int64_t before = map_cost(m);
    void *old = map_put(m, key, value);
    ASSERT(old == NULL);
    group_charge(c, map_cost(m) - before);
}

void *group_map_remove(struct group_coordinator *c, struct map *m, struct bytes key)
{
    void *value = map_remove(m, key);
    if (value != NULL && m->count == 0) {
        group_map_free(c, m);
    }
    return value;
}

void group_map_free(struct group_coordinator *c, struct map *m)
{
    group_charge(c, -map_cost(m));
    map_free(m);
}

struct group_str *group_str_get(struct group_coordinator *c, struct bytes text)
{
    text = bytes_is_null(text) ? bytes_str("") : text;
    struct group_str *s = map_get(&c->strings, text);
    if (s == NULL) {
        s = group_alloc(c, sizeof *s + text.len);
        s->text = bytes_of(s + 1, text.len);
        if (text.len > 0) {
            memcpy(s + 1, text.data, text.len);
        }
        group_map_put(c, &c->strings, s->text, s);
    }
    s->refs++;
    return s;
}

void group_str_put(struct group_coordinator *c, struct group_str *s)
{
    if (s != NULL && --s->refs == 0) {
        group_map_remove(c, &c->strings, s->text);
        group_dealloc(c, s, sizeof *s + s->text.len);
    }
}

/* ---- groups ---- */

struct group *group_find(const struct group_coordinator *c, struct bytes id)
{
    return map_get(&c->groups, id);
}

struct group *group_make(struct group_coordinator *c, struct bytes id, enum group_kind kind)
{
    struct group *g = group_alloc(c, sizeof *g);
    g->c = c;
    g->id = group_dup(c, id);
    g->kind = kind;
    g->topics.secret = c->secret;
    list_init(&g->pending);
    list_push_back(&c->all, &g->all);
    group_map_put(c, &c->groups, g->id, g);
    return g;
}

bool group_release(struct group *g)
{
    if (g->in_log || g->kept || g->topic_n > 0 || !list_empty(&g->pending) || g->foreign != NULL ||
        !classic_is_idle(g)) {
        return false;
    }
    struct group_coordinator *c = g->c;
    group_map_remove(c, &c->groups, g->id);
    group_free(g);
    return true;
}

int16_t group_append_error(int16_t code)
{
    switch (code) {
    case KE_UNKNOWN_TOPIC_OR_PARTITION:
    case KE_NOT_ENOUGH_REPLICAS:
    case KE_REQUEST_TIMED_OUT:
        return KE_COORDINATOR_NOT_AVAILABLE;
    case KE_NOT_LEADER_OR_FOLLOWER:
    case KE_KAFKA_STORAGE_ERROR:
        return KE_NOT_COORDINATOR;
    case KE_MESSAGE_TOO_LARGE:
    case KE_RECORD_LIST_TOO_LARGE:
    case KE_INVALID_FETCH_SIZE:
        return KE_UNKNOWN_SERVER_ERROR;
    default:
        return code;
    }
}

/* Control characters (also those beyond ASCII: U+0080 to U+009F begin with C2) and what is not
 * UTF-8 become '?', as does the quote that ends a value in a line. */
const char *group_show(struct group_shown *out, struct bytes b)
{
    size_t n = 0, at = 0;
    while (at < b.len) {
        const uint8_t *p = b.data + at;
        size_t bad = 1, len = utf8_sequence(p, b.data + b.len, &bad);
        bool control =
            len == 1 ? *p < 0x20 || *p == 0x7f || *p == '"' : len == 2 && *p == 0xc2 && p[1] < 0xa0;
        size_t put = len == 0 || control ? 1 : len;
        if (n + put > GROUP_SHOWN_MAX) {
            break;
        }
        if (len == 0 || control) {
            out->s[n] = '?';
        } else {
            memcpy(out->s + n, p, len);
        }
        n += put;
        at += len ? len : bad;
    }
    strcpy(out->s + n, at < b.len ? "..." : "");
    return out->s;
}

const char *group_quote(struct group_shown *out)
{
    size_t n = strlen(out->s);
    for (size_t i = 0; i < n; i++) {
        out->s[i] = out->s[i] == '\'' ? '?' : out->s[i];
    }
    ASSERT(n + sizeof "''" <= sizeof out->s);
    memmove(out->s + 1, out->s, n);
    out->s[0] = out->s[n + 1] = '\'';
    out->s[n + 2] = '\0';
    return out->s;
}

struct group_counts group_coordinator_counts(const struct group_coordinator *c)
{
    return (struct group_counts){
        .groups = c->groups.count,
        .members = c->members,
        .offsets = c->offsets,
        .skipped_records = c->skipped,
        .bytes = c->bytes,
    };
}

/* ---- steps ---- */

/* A group may be freed by what is done to one, so the table is copied first. */
static struct group **all_groups(struct group_coordinator *c, struct group_effects *fx)
{
    struct group **all = ARENA_ARRAY(&fx->arena, struct group *, c->groups.count + 1);
    size_t n = 0;
    map_for_each (s, &c->groups) {
        all[n++] = s->value;
    }
    return all; /* ends with NULL */
}

void group_coordinator_loaded(struct group_coordinator *c, int64_t now_ms, int64_t wall_ms,
                              struct group_effects *fx)
{
    ASSERT(!c->loaded);
    c->loaded = true;
    for (struct group **g = all_groups(c, fx); *g; g++) {
        if ((*g)->kind == GROUP_KIND_CLASSIC) {
            classic_loaded(*g, now_ms, wall_ms, fx);
        }
    }
}

/* Members first: an operation that fails then finds nobody to rebalance for. */
static void unload(struct group_coordinator *c, const struct group_event *ev,
                   struct group_effects *fx)
{
    struct group **all = all_groups(c, fx);
    for (struct group **g = all; *g; g++) {
        classic_unload(*g, ev->code, fx);
    }
    for (struct group **g = all; *g; g++) {
        (*g)->in_log = true; /* keeps it until group_coordinator_free */
        struct list *n;
        while ((n = list_pop_front(&(*g)->pending)) != NULL) {
            struct group_op *op = LIST_ENTRY(n, struct group_op, node);
            op->written(c, op, ev, fx);
        }
    }
    c->loaded = false;
}

static void written(struct group_coordinator *c, const struct group_event *ev,
                    struct group_effects *fx)
{
    struct group_op *op = ev->op;
    ASSERT(group_find(c, op->group->id) == op->group);
    list_remove(&op->node);
    op->written(c, op, ev, fx);
}

void group_coordinator_step(struct group_coordinator *c, const struct group_event *ev,
                            struct group_effects *fx)
{
    ASSERT(c->loaded);
    switch (ev->kind) {
    case GROUP_JOIN:
        classic_join(c, ev, fx);
        break;
    case GROUP_SYNC:
        classic_sync(c, ev, fx);
        break;
    case GROUP_HEARTBEAT:
        classic_heartbeat(c, ev, fx);
        break;
    case GROUP_LEAVE:
        classic_leave(c, ev, fx);
        break;
    case GROUP_OFFSET_COMMIT:
        offsets_commit(c, ev, fx);
        break;
    case GROUP_OFFSET_DELETE:
        offsets_delete(c, ev, fx);
        break;
    case GROUP_DELETE:
        group_delete(c, ev, fx);
        break;
    case GROUP_WRITTEN:
        written(c, ev, fx);
        break;
    case GROUP_TICK:
        group_timers_tick(c, ev, fx);
        offsets_sweep(c, ev, fx);
        break;
    case GROUP_EXPIRE:
        offsets_expire(c, ev, fx);
        break;
    case GROUP_TOPIC_GONE:
        offsets_topic_gone(c, ev, fx);
        break;
    case GROUP_UNLOAD:
        unload(c, ev, fx);
        break;
    }
}
