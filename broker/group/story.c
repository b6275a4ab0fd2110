/* The "why" of a group: what happened last to it, kept as the sentences that an operator will read,
 * and who is waited for now, worked out when somebody asks.
 *
 * The past is a queue of texts in one small piece of memory, made when something happens first: a
 * handful of events for a small group, more for one with many members (story_max); the oldest go.
 * What clients say is cut, cleaned and quoted (QUOTE) before it comes here. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/group/classic.h"

/* Entries one behind the other: wall time, length, text. Numbers in the machine's order. */
struct story {
    uint32_t cap;
    uint32_t used;
    uint8_t buf[];
};

struct entry_head {
    int64_t wall_ms;
    uint32_t len;
};

enum { TEXT_MAX = 320, STORY_MIN = 496, STORY_PER_MEMBER = 32, STORY_MAX = 4096 };

static uint32_t story_max(const struct group *g)
{
    uint32_t members = g->classic ? g->classic->members_n : 0;
    uint32_t more = members > 8 ? (members - 8) * STORY_PER_MEMBER : 0;
    return more > STORY_MAX - STORY_MIN ? STORY_MAX : STORY_MIN + more;
}

static struct story *grow(struct group *g, uint32_t cap)
{
    struct story *s = group_alloc(g->c, sizeof *s + cap);
    s->cap = cap;
    if (g->story != NULL) {
        s->used = g->story->used;
        memcpy(s->buf, g->story->buf, s->used);
        story_free(g);
    }
    g->story = s;
    return s;
}

static uint32_t entry_size(const uint8_t *at, struct entry_head *h)
{
    memcpy(h, at, sizeof *h);
    return (uint32_t)sizeof *h + h->len;
}

void story_add(struct group *g, int64_t wall_ms, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct entry_head h = {.wall_ms = wall_ms,
                           .len = n < 0          ? 0
                                  : n < TEXT_MAX ? (uint32_t)n
                                                 : TEXT_MAX - 1};
    uint32_t size = (uint32_t)sizeof h + h.len, max = story_max(g);
    ASSERT(size <= STORY_MIN);
    struct story *s = g->story;
    if (s == NULL || (s->used + size > s->cap && s->cap < max)) {
        s = grow(g, max);
    }
    while (s->used + size > s->cap) {
        struct entry_head oldest;
        uint32_t gone = entry_size(s->buf, &oldest);
        s->used -= gone;
        memmove(s->buf, s->buf + gone, s->used);
    }
    memcpy(s->buf + s->used, &h, sizeof h);
    memcpy(s->buf + s->used + sizeof h, text, h.len);
    s->used += size;
}

void story_free(struct group *g)
{
    if (g->story != NULL) {
        group_dealloc(g->c, g->story, sizeof *g->story + g->story->cap);
        g->story = NULL;
    }
}

/* ---- telling ---- */

enum { NAMES_MAX = 10, LATE_MAX = 5 };

struct teller {
    const struct group *g;
    const struct classic *cl;
    int64_t now_ms, wall_ms;
    struct arena *a;
    struct group_story_line *lines;
    uint32_t n;
};

static void tell(struct teller *t, const char *text)
{
    t->lines[t->n++] = (struct group_story_line){.wall_ms = t->wall_ms, .text = text};
}

static void tell_past(struct teller *t)
{
    const struct story *s = t->g->story;
    for (uint32_t at = 0; s != NULL && at < s->used;) {
        struct entry_head h;
        uint32_t size = entry_size(s->buf + at, &h);
        t->lines[t->n++] = (struct group_story_line){
            .wall_ms = h.wall_ms, .text = arena_strndup(t->a, s->buf + at + sizeof h, h.len)};
        at += size;
    }
}

static uint32_t past_count(const struct group *g)
{
    uint32_t n = 0;
    for (uint32_t at = 0; g->story != NULL && at < g->story->used; n++) {
        struct entry_head h;
        at += entry_size(g->story->buf + at, &h);
    }
    return n;
}

static long long seconds(int64_t ms)
{
    return ms > 0 ? (long long)((ms + 500) / 1000) : 0;
}

static bool misses_join(const struct teller *t, const struct classic_member *m)
{
    UNUSED(t);
    return m->join == NULL;
}

static bool owes_sync(const struct teller *t, const struct classic_member *m)
{
    UNUSED(t);
    return m->owes_sync;
}

static bool is_late(const struct teller *t, const struct classic_member *m)
{
    return t->now_ms - m->heard_ms > m->session_ms / 2;
}

/* "'A' (client 'a', /10.0.0.5, last heard 12 s ago), 'B' (...)" of those who match; "" and n 0:
 * nobody. */
static const char *names(struct teller *t,
                         bool (*match)(const struct teller *t, const struct classic_member *m),
                         uint32_t max, uint32_t *n)
{
    const char *text = "";
    *n = 0;
    list_for_each (it, &t->cl->members) {
        const struct classic_member *m = LIST_ENTRY(it, struct classic_member, node);
        if (!match(t, m) || ++*n > max) {
            continue;
        }
        text = arena_printf(t->a, "%s%s%s (client %s, %s, last heard %lld s ago)", text,
                            *n > 1 ? ", " : "", QUOTE_ID(m->id), QUOTE(m->client_id->text),
                            SHOW(m->client_host->text), seconds(t->now_ms - m->heard_ms));
    }
    return *n > max ? arena_printf(t->a, "%s and %u more", text, *n - max) : text;
}

static void tell_preparing(struct teller *t)
{
    const struct classic *cl = t->cl;
    uint32_t missing, pending = (uint32_t)cl->pending.count;
    const char *who = names(t, misses_join, NAMES_MAX, &missing);
    long long since = seconds(t->now_ms - cl->rebalance_ms);
    long long left = seconds(cl->join_timer.due_ms - t->now_ms);
    tell(t, arena_printf(t->a, "a rebalance has been running for %lld s because %.*s", since,
                         BYTES_FMT(cl->reason)));
    if (pending > 0) {
        tell(t, arena_printf(t->a,
                             "member ids were given to clients that have not come back with "
                             "them yet: %u",
                             pending));
    }
    if (missing > 0) {
        tell(t, arena_printf(t->a,
                             "waiting for %u of %u members to rejoin: %s; those that do not are "
                             "removed in %lld s",
                             missing, cl->members_n, who, left));
    } else if (cl->previous == CLASSIC_EMPTY) {
        tell(t, arena_printf(t->a,
                             "the group was empty: %u members joined, more are awaited for "
                             "%lld s (group.initial.rebalance.delay.ms)",
                             cl->members_n, left));
    }
}

static void tell_completing(struct teller *t)
{
    const struct classic *cl = t->cl;
    uint32_t n;
    const char *who = names(t, owes_sync, NAMES_MAX, &n);
    long long since = seconds(t->now_ms - cl->state_ms);
    if (cl->assigning != NULL) {
        tell(t, arena_printf(t->a,
                             "generation %d of %u members: the assignment is being written to the "
                             "log, for %lld s at most",
                             (int)cl->generation, cl->members_n, since));
    } else {
        tell(t, arena_printf(t->a,
                             "generation %d of %u members: waiting for the leader's assignment "
                             "(SyncGroup) for %lld s: %s, last heard %lld s ago",
                             (int)cl->generation, cl->members_n, since, QUOTE_ID(cl->leader->id),
                             seconds(t->now_ms - cl->leader->heard_ms)));
    }
    if (n > 0) {
        tell(t, arena_printf(t->a,
                             "no SyncGroup came from %u of %u members: %s; those that send none "
                             "are removed in %lld s",
                             n, cl->members_n, who, seconds(cl->sync_timer.due_ms - t->now_ms)));
    }
}

static void tell_stable(struct teller *t)
{
    const struct classic *cl = t->cl;
    uint32_t n;
    tell(t,
         arena_printf(t->a,
                      "generation %d has been stable for %lld s: %u member%s, protocol %s, "
                      "leader %s",
                      (int)cl->generation, seconds(t->now_ms - cl->state_ms), cl->members_n,
                      cl->members_n == 1 ? "" : "s",
                      cl->protocol ? QUOTE(cl->protocol->text) : "none", QUOTE_ID(cl->leader->id)));
    const char *late = names(t, is_late, LATE_MAX, &n);
    if (n > 0) {
        tell(t, arena_printf(t->a,
                             "%u of %u members were not heard for more than half of their "
                             "session: %s",
                             n, cl->members_n, late));
    }
    const char *owing = names(t, owes_sync, LATE_MAX, &n);
    if (n > 0) {
        tell(t, arena_printf(t->a, "%u of %u members have not asked for their assignment: %s", n,
                             cl->members_n, owing));
    }
}

static void tell_present(struct teller *t)
{
    const struct classic *cl = t->cl;
    if (t->g->kind != GROUP_KIND_CLASSIC) {
        tell(t, "the group uses a protocol that this broker keeps and does not serve");
    } else if (cl == NULL) {
        tell(t, "the group has committed offsets and never had members");
    } else if (cl->state == CLASSIC_PREPARING) {
        tell_preparing(t);
    } else if (cl->state == CLASSIC_COMPLETING) {
        tell_completing(t);
    } else if (cl->state == CLASSIC_STABLE) {
        tell_stable(t);
    } else {
        tell(t, arena_printf(t->a, "the group has been empty for %lld s, after generation %d",
                             seconds(t->now_ms - cl->state_ms), (int)cl->generation));
    }
}

enum { PRESENT_MAX = 4 };

int group_explain(const struct group_coordinator *c, struct bytes group_id, int64_t now_ms,
                  int64_t wall_ms, struct arena *a, struct group_story_line **out, uint32_t *n)
{
    const struct group *g = group_find(c, group_id);
    *n = 0;
    *out = NULL;
    if (g == NULL) {
        return ERR_NOTFOUND;
    }
    struct teller t = {.g = g, .cl = g->classic, .now_ms = now_ms, .wall_ms = wall_ms, .a = a};
    t.lines = ARENA_ARRAY(a, struct group_story_line, past_count(g) + PRESENT_MAX);
    tell_past(&t);
    tell_present(&t);
    *out = t.lines;
    *n = t.n;
    return 0;
}

const char *group_explain_now(const struct group_coordinator *c, struct bytes group_id,
                              int64_t now_ms, struct arena *a)
{
    const struct group *g = group_find(c, group_id);
    struct group_story_line lines[PRESENT_MAX];
    const char *text = "";
    if (g == NULL) {
        return text;
    }
    struct teller t = {.g = g, .cl = g->classic, .now_ms = now_ms, .a = a, .lines = lines};
    tell_present(&t);
    for (uint32_t i = 0; i < t.n; i++) {
        text = arena_printf(a, "%s%s%s", text, i > 0 ? "; " : "", lines[i].text);
    }
    return text;
}

void group_coordinator_waits(const struct group_coordinator *c,
                             void (*fn)(const struct group_wait *w, void *user), void *user)
{
    list_for_each (at, &c->all) {
        const struct group *g = LIST_ENTRY(at, struct group, all);
        const struct classic *cl = g->kind == GROUP_KIND_CLASSIC ? g->classic : NULL;
        if (cl == NULL || (cl->state != CLASSIC_PREPARING && cl->state != CLASSIC_COMPLETING)) {
            continue;
        }
        struct group_wait w = {.id = g->id,
                               .state = classic_state_name(g),
                               .since_ms = cl->rebalance_ms,
                               .members = cl->members_n};
        fn(&w, user);
    }
}
