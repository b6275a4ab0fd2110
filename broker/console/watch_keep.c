#include "broker/console/watch_keep.h"

#include <string.h>

#include "base/mem.h"
#include "proto/message.h"

enum {
    ALIGN = 16,            /* of what an arena hands out */
    ASSIGNMENT = 16 << 20, /* memory in which one member's is decoded */
    MEMBERS_PART = 2,      /* members have this part of the room, assignments the rest of it */
};

/* ---- room ---- */

/* Rows that are put one behind the other, until one does not fit: it and all behind it are left
 * out. */
struct fit {
    size_t left; /* bytes */
    uint32_t n;
    uint32_t left_out;
};

static size_t string_cost(struct bytes b)
{
    return bytes_is_null(b) ? 0 : (b.len + ALIGN) / ALIGN * ALIGN;
}

/* Some rows of `size` bytes, and what they have in common. */
static void fit_rows(struct fit *f, size_t common, uint32_t rows, size_t size)
{
    size_t room = f->left < common ? 0 : (f->left - common) / size;
    uint32_t n = room < rows ? (uint32_t)room : rows;
    f->n += n;
    f->left_out += rows - n;
    f->left = n < rows ? 0 : f->left - common - n * size;
}

/* Empties the arena, and says how much it may take anew. */
static size_t make_room(struct watch *w, struct arena *a)
{
    w->kept -= a->used;
    arena_reset(a);
    size_t left = w->kept < KEEP_PARTS_BYTES ? KEEP_PARTS_BYTES - w->kept : 0;
    return left < KEEP_PART_BYTES ? left : KEEP_PART_BYTES;
}

static struct bytes copy(struct arena *a, struct bytes b)
{
    return bytes_is_null(b) ? b : bytes_of(arena_strndup(a, b.data, b.len), b.len);
}

/* ---- groups ---- */

static size_t group_cost(struct bytes id)
{
    return sizeof(struct watch_group) + id.len;
}

struct watch_group *keep_group(struct watch *w, struct bytes id)
{
    struct watch_group *g = map_get(&w->groups, id);
    if (g) {
        return g;
    }
    if (w->groups.count >= KEEP_GROUPS_MAX || w->kept + group_cost(id) > KEEP_BYTES) {
        return NULL;
    }
    g = MEM_NEW(struct watch_group);
    uint8_t *own = mem_alloc(id.len + 1);
    memcpy(own, id.data, id.len);
    g->id = bytes_of(own, id.len);
    g->lag = -1;
    map_put(&w->groups, g->id, g);
    w->kept += group_cost(id);
    return g;
}

static void free_group(struct watch_group *g)
{
    arena_free(&g->members_mem);
    arena_free(&g->offsets_mem);
    mem_free((void *)(uintptr_t)g->id.data);
    mem_free(g);
}

void keep_drop(struct watch *w, struct watch_group *g)
{
    map_remove(&w->groups, g->id);
    w->kept -= group_cost(g->id) + g->members_mem.used + g->offsets_mem.used;
    free_group(g);
}

void keep_drop_all(struct watch *w)
{
    map_for_each (slot, &w->groups) {
        free_group(slot->value);
    }
    map_free(&w->groups);
    w->groups = (struct map){0};
    w->kept = 0;
}

/* ---- members ---- */

static size_t member_strings(const struct describe_groups_response_described_group_member *m)
{
    return string_cost(m->member_id) + string_cost(m->group_instance_id) +
           string_cost(m->client_id) + string_cost(m->client_host);
}

static void put_members(struct watch_group *g,
                        const struct describe_groups_response_described_group *r, struct fit *f)
{
    struct arena *a = &g->members_mem;
    for (int32_t i = 0; i < r->members_n; i++) {
        fit_rows(f, member_strings(&r->members[i]), 1, sizeof(struct watch_member));
    }
    g->members = ARENA_ARRAY(a, struct watch_member, f->n);
    g->members_n = f->n;
    g->members_left_out = f->left_out;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct describe_groups_response_described_group_member *m = &r->members[i];
        g->members[i] = (struct watch_member){.id = copy(a, m->member_id),
                                              .instance = copy(a, m->group_instance_id),
                                              .client = copy(a, m->client_id),
                                              .host = copy(a, m->client_host)};
    }
}

/* ---- assignments ---- */

/* NULL: members of another kind than consumers have one that only they can read. */
static const struct consumer_protocol_assignment *read_assignment(const struct watch_group *g,
                                                                  struct bytes in, struct arena *a)
{
    void *as = NULL;
    int16_t version;
    bool reads =
        strcmp(g->protocol_type, "consumer") == 0 && in.len > 0 &&
        proto_decode_prefixed(&consumer_protocol_assignment_msg, in, a, &version, &as) == 0;
    return reads ? as : NULL;
}

static uint32_t fit_assignment(struct fit *f, const struct consumer_protocol_assignment *as)
{
    uint32_t all = 0;
    for (int32_t i = 0; as && i < as->assigned_partitions_n; i++) {
        const struct consumer_protocol_assignment_topic_partition *t = &as->assigned_partitions[i];
        fit_rows(f, string_cost(t->topic), (uint32_t)t->partitions_n, sizeof(struct watch_offset));
        all += (uint32_t)t->partitions_n;
    }
    return all;
}

/* Until there are as many as fit. */
static void put_assignment(struct watch_group *g, const struct consumer_protocol_assignment *as,
                           int32_t member, uint32_t fit)
{
    for (int32_t i = 0; as && i < as->assigned_partitions_n && g->assigned_n < fit; i++) {
        const struct consumer_protocol_assignment_topic_partition *t = &as->assigned_partitions[i];
        struct bytes topic = copy(&g->members_mem, t->topic);
        for (int32_t k = 0; k < t->partitions_n && g->assigned_n < fit; k++) {
            g->assigned[g->assigned_n++] = (struct watch_offset){.topic = topic,
                                                                 .partition = t->partitions[k],
                                                                 .committed = -1,
                                                                 .end = -1,
                                                                 .lag = -1,
                                                                 .member = member};
        }
    }
}

/* Of the members that are kept. Twice over them: what fits must be known before there is a place
 * for it, and all of what is decoded would be more than is kept. */
static void put_assigned(struct watch_group *g,
                         const struct describe_groups_response_described_group *r, struct fit *f)
{
    struct arena a = {.limit = ASSIGNMENT};
    for (int32_t i = 0; i < r->members_n; i++, arena_reset(&a)) {
        bool kept = (uint32_t)i < g->members_n;
        f->left = kept ? f->left : 0;
        uint32_t n = fit_assignment(f, read_assignment(g, r->members[i].member_assignment, &a));
        if (kept) {
            g->members[i].partitions = n;
        }
    }
    g->assigned = ARENA_ARRAY(&g->members_mem, struct watch_offset, f->n);
    g->assigned_n = 0;
    g->assigned_left_out = f->left_out;
    for (int32_t i = 0; i < r->members_n && g->assigned_n < f->n; i++, arena_reset(&a)) {
        put_assignment(g, read_assignment(g, r->members[i].member_assignment, &a), i, f->n);
    }
    arena_free(&a);
}

void keep_members(struct watch *w, struct watch_group *g,
                  const struct describe_groups_response_described_group *r)
{
    size_t room = make_room(w, &g->members_mem);
    struct fit members = {.left = room / MEMBERS_PART};
    struct fit assigned = {.left = room - room / MEMBERS_PART};
    put_members(g, r, &members);
    put_assigned(g, r, &assigned);
    w->kept += g->members_mem.used;
}

/* ---- offsets ---- */

void keep_offsets(struct watch *w, struct watch_group *g,
                  const struct offset_fetch_response_offset_fetch_response_group *r)
{
    struct fit f = {.left = make_room(w, &g->offsets_mem)};
    for (int32_t i = 0; i < r->topics_n; i++) {
        fit_rows(&f, string_cost(r->topics[i].name), (uint32_t)r->topics[i].partitions_n,
                 sizeof(struct watch_offset));
    }
    g->offsets = ARENA_ARRAY(&g->offsets_mem, struct watch_offset, f.n);
    g->offsets_n = 0;
    g->offsets_left_out = f.left_out;
    for (int32_t i = 0; i < r->topics_n && g->offsets_n < f.n; i++) {
        struct bytes topic = copy(&g->offsets_mem, r->topics[i].name);
        for (int32_t k = 0; k < r->topics[i].partitions_n && g->offsets_n < f.n; k++) {
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
    w->kept += g->offsets_mem.used;
}
