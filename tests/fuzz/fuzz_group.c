/* Input: pieces of a __consumer_offsets log, each a byte of flags (1 of a transaction, 2 a
 * tombstone, 4 a marker, 8 that commits; 16 and 32 the producer), the lengths of key and value (two
 * bytes each), key and value. A coordinator loads them and then lives: it is listed and read,
 * offsets expire, a topic goes, and every group that can be deleted is.
 *
 * Demanded: memory bounded by the input, counted offsets that are there, a step that needs no
 * record twice, and a coordinator that loads what it wrote: nothing is left of what was deleted. */
#include "base/assert.h"
#include "broker/group/offset_store.h"
#include "proto/cursor.h"

enum {
    FLAG_TRANSACTION = 1,
    FLAG_TOMBSTONE = 2,
    FLAG_MARKER = 4,
    FLAG_COMMIT = 8,
    BYTES_BASE = 64 << 10,
    BYTES_FACTOR = 1024, /* a group of one letter takes its struct and a table */
    GROUPS_MAX = 4096,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct group_config config = {
    .session_min_ms = 6000,
    .session_max_ms = 1800000,
    .max_size = 3,
    .offset_metadata_max = 4096,
    .offsets_retention_ms = 1000,
    .memory_max = 1 << 30,
};

static void load(struct group_coordinator *c, struct bytes in)
{
    struct cursor cur = cursor_of(in);
    int64_t offset = 0;
    while (cursor_left(&cur) > 0) {
        uint8_t flags = cursor_u8(&cur);
        if (flags & FLAG_MARKER) {
            group_coordinator_replay_marker(c, flags >> 4 & 3, flags & FLAG_COMMIT);
            continue;
        }
        size_t key_n = cursor_be16(&cur), value_n = cursor_be16(&cur);
        const uint8_t *key = cursor_take(&cur, key_n);
        const uint8_t *value = cursor_take(&cur, value_n);
        if (cur.err) {
            return;
        }
        struct group_replay r = {.producer_id = flags >> 4 & 3,
                                 .transactional = flags & FLAG_TRANSACTION,
                                 .timestamp = 1,
                                 .offset = offset++};
        int err = group_coordinator_replay(c, &r, bytes_of(key, key_n),
                                           flags & FLAG_TOMBSTONE ? BYTES_NULL
                                                                  : bytes_of(value, value_n));
        ASSERT(err == 0 || err == ERR_CORRUPT);
    }
}

static void check_counts(const struct group_coordinator *c, size_t size)
{
    uint64_t offsets = 0;
    map_for_each (slot, &c->groups) {
        const struct group *g = slot->value;
        uint64_t n = 0;
        for (uint32_t i = 0; i < g->topic_n; i++) {
            n += g->topic_v[i]->n;
        }
        ASSERT(n == g->offsets_n);
        offsets += n;
    }
    ASSERT(offsets == c->offsets);
    ASSERT(c->bytes <= BYTES_BASE + (uint64_t)size * BYTES_FACTOR);
}

static void read_all(const struct group_coordinator *c)
{
    struct arena a = {0};
    struct group_filter all = group_filter_of(NULL, 0, NULL, 0);
    uint32_t n = group_list(c, &all, &a, NULL, 0);
    struct list_groups_response_listed_group *v =
        ARENA_ARRAY(&a, struct list_groups_response_listed_group, n + 1);
    ASSERT(group_list(c, &all, &a, v, n) == n);
    for (uint32_t i = 0; i < n; i++) {
        struct offset_fetch_request_offset_fetch_request_group q;
        struct offset_fetch_response_offset_fetch_response_group out;
        struct describe_groups_response_described_group d;
        proto_init(&offset_fetch_request_offset_fetch_request_group_desc, &q);
        proto_init(&offset_fetch_response_offset_fetch_response_group_desc, &out);
        proto_init(&describe_groups_response_described_group_desc, &d);
        q.group_id = v[i].group_id;
        q.topics_n = -1;
        group_fetch_offsets(c, &q, true, &a, &out);
        d.group_id = v[i].group_id;
        group_describe(c, v[i].group_id, 6, &a, &d);
    }
    arena_free(&a);
}

/* Says of all writes that they are committed, in a log of their own that `again` loads. */
static void settle(struct group_coordinator *c, struct group_effects *fx,
                   struct group_coordinator *again)
{
    struct group_op *ops[GROUPS_MAX];
    uint32_t n = 0;
    list_for_each (it, &fx->writes) {
        const struct group_write *w = LIST_ENTRY(it, struct group_write, node);
        struct group_replay r = {.producer_id = -1, .offset = 1 << 20};
        ASSERT(n < GROUPS_MAX && w->n > 0);
        for (uint32_t i = 0; i < w->n; i++) {
            ASSERT(group_coordinator_replay(again, &r, w->records[i].key, w->records[i].value) ==
                   0);
        }
        ops[n++] = w->op;
    }
    group_effects_reset(fx);
    for (uint32_t i = 0; i < n; i++) {
        struct group_event ev = {.kind = GROUP_WRITTEN, .op = ops[i], .offset = 1 << 20};
        group_coordinator_step(c, &ev, fx);
    }
}

/* a holds the asks until they are answered. */
static void delete_groups(struct group_coordinator *c, struct group_effects *fx, struct arena *a)
{
    struct bytes *ids = ARENA_ARRAY(a, struct bytes, c->groups.count + 1);
    size_t n = 0;
    map_for_each (slot, &c->groups) {
        ids[n++] = ((struct group *)slot->value)->id;
    }
    for (size_t i = 0; i < n; i++) {
        struct delete_groups_request q = {.groups_names = &ids[i], .groups_names_n = 1};
        struct delete_groups_response_deletable_group_result *result =
            ARENA_NEW(a, struct delete_groups_response_deletable_group_result);
        struct delete_groups_response *out = ARENA_NEW(a, struct delete_groups_response);
        struct group_ask *ask = ARENA_NEW(a, struct group_ask);
        *out = (struct delete_groups_response){.results = result, .results_n = 1};
        *ask = (struct group_ask){.version = 2, .request = &q, .response = out, .arena = a};
        struct group_event ev = {.kind = GROUP_DELETE, .now_ms = 1, .wall_ms = 1, .ask = ask};
        group_coordinator_step(c, &ev, fx);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct group_coordinator *c = group_coordinator_new(&config, NULL);
    struct group_coordinator *again = group_coordinator_new(&config, NULL);
    struct group_effects fx;
    struct arena a = {0};
    group_effects_init(&fx);
    load(c, bytes_of(data, size));
    load(again, bytes_of(data, size));
    check_counts(c, size);
    read_all(c);
    group_coordinator_loaded(c, 1, 1, &fx);
    settle(c, &fx, again);
    struct group_event expire = {.kind = GROUP_EXPIRE, .now_ms = 1, .wall_ms = 5000};
    group_coordinator_step(c, &expire, &fx);
    settle(c, &fx, again);
    struct group_event gone = {.kind = GROUP_TOPIC_GONE, .now_ms = 1, .topic = bytes_str("m")};
    group_coordinator_step(c, &gone, &fx);
    settle(c, &fx, again);
    check_counts(c, size);
    ASSERT(c->offsets == again->offsets);
    read_all(c);
    delete_groups(c, &fx, &a);
    settle(c, &fx, again);
    ASSERT(c->offsets == again->offsets);
    struct group_event unload = {.kind = GROUP_UNLOAD, .code = KE_NOT_COORDINATOR};
    group_coordinator_step(c, &unload, &fx);
    group_coordinator_free(c);
    group_coordinator_free(again);
    group_effects_free(&fx);
    arena_free(&a);
    return 0;
}
