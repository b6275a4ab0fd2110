/* A coordinator for the tests of its host: keeps numbers under names in the log, one record (or
 * more) per commit, and remembers what it was told. It is no group coordinator: the real one has
 * its own tests. */
#ifndef TEST_FAKE_CORE_H
#define TEST_FAKE_CORE_H

#include "broker/group/coordinator.h"

/* GROUP_OFFSET_COMMIT: `n` records of one key, the last with the text, each padded to `size`. */
struct fake_commit {
    const char *key;
    const char *text;
    uint32_t n;
    size_t size;
};
struct fake_answer {
    int16_t code;
    int64_t offset; /* of the first record */
};

struct group_op {
    struct list node; /* in `ops` of its core */
    struct group_ask *ask;
    char key[32];
    char text[32];
};

struct fake_entry {
    struct list node;
    char key[32];
    char text[32];
};

struct group_coordinator {
    const struct group_config *config;
    struct list entries; /* fake_entry */
    struct list ops;
    struct list waiting; /* group_ask: joins, answered by GROUP_UNLOAD or a tick */
    int64_t deadline;
    bool loaded;
    bool stepping;
    uint64_t bytes;
};

/* What every core of a test has been told; zeroed by the test. */
struct fake_told {
    unsigned made, freed, loaded, ticks, expired, unloads, commits, aborts, replayed;
    unsigned written;
    int16_t unload_code;
    char gone[64];
    uint64_t memory_max_least;
    struct uuid fresh;
    char client_host[64];
};
static struct fake_told told;

static inline struct fake_entry *fake_find(const struct group_coordinator *c, const char *key)
{
    list_for_each (at, &c->entries) {
        struct fake_entry *e = LIST_ENTRY(at, struct fake_entry, node);
        if (strcmp(e->key, key) == 0) {
            return e;
        }
    }
    return NULL;
}

static void fake_set(struct group_coordinator *c, const char *key, const char *text)
{
    struct fake_entry *e = fake_find(c, key);
    if (e == NULL) {
        e = MEM_NEW(struct fake_entry);
        snprintf(e->key, sizeof e->key, "%s", key);
        list_push_back(&c->entries, &e->node);
        c->bytes += 100;
    }
    snprintf(e->text, sizeof e->text, "%s", text);
}

struct group_coordinator *group_coordinator_new(const struct group_config *config,
                                                const struct siphash_key *secret)
{
    struct group_coordinator *c = MEM_NEW(struct group_coordinator);
    assert_non_null(secret);
    c->config = config;
    c->deadline = INT64_MAX;
    list_init(&c->entries);
    list_init(&c->ops);
    list_init(&c->waiting);
    told.made++;
    return c;
}

void group_coordinator_free(struct group_coordinator *c)
{
    struct list *at;
    assert_true(list_empty(&c->ops)); /* every write was told */
    assert_true(list_empty(&c->waiting));
    while ((at = list_pop_front(&c->entries)) != NULL) {
        mem_free(LIST_ENTRY(at, struct fake_entry, node));
    }
    told.freed++;
    mem_free(c);
}

int group_coordinator_replay(struct group_coordinator *c, const struct group_replay *r,
                             struct bytes key, struct bytes value)
{
    char k[32];
    char v[32];
    assert_false(c->loaded);
    assert_true(r->timestamp > 0 && r->offset >= 0);
    told.replayed++;
    snprintf(k, sizeof k, "%.*s", BYTES_FMT(key));
    snprintf(v, sizeof v, "%s", value.data ? (const char *)value.data : "");
    fake_set(c, k, v);
    return 0;
}

void group_coordinator_replay_marker(struct group_coordinator *c, int64_t producer_id, bool commit)
{
    assert_false(c->loaded);
    assert_int_equal(producer_id, 77);
    *(commit ? &told.commits : &told.aborts) += 1;
}

void group_coordinator_loaded(struct group_coordinator *c, int64_t now_ms, int64_t wall_ms,
                              struct group_effects *fx)
{
    UNUSED(now_ms);
    UNUSED(fx);
    assert_true(wall_ms > 0 && !c->loaded);
    c->loaded = true;
    told.loaded++;
}

int64_t group_coordinator_deadline(const struct group_coordinator *c)
{
    return c->deadline;
}

struct group_counts group_coordinator_counts(const struct group_coordinator *c)
{
    return (struct group_counts){.bytes = c->bytes};
}

static void fake_write(struct group_effects *fx, struct group_op *op, const struct fake_commit *q)
{
    struct group_write *w = ARENA_NEW(&fx->arena, struct group_write);
    w->op = op;
    w->n = q->n;
    w->records = ARENA_ARRAY(&fx->arena, struct group_record, q->n);
    for (uint32_t i = 0; i < q->n; i++) {
        size_t least = strlen(q->text) + 1;
        size_t size = q->size > least ? q->size : least;
        char *value = ARENA_ARRAY(&fx->arena, char, size);
        snprintf(value, size, "%s", i + 1 == q->n ? q->text : "-");
        w->records[i].key = bytes_str(arena_strndup(&fx->arena, q->key, strlen(q->key)));
        w->records[i].value = bytes_of(value, size);
    }
    list_push_back(&fx->writes, &w->node);
}

static void fake_answer(struct group_effects *fx, struct group_ask *ask, int16_t code,
                        int64_t offset)
{
    struct fake_answer *a = ask->response;
    a->code = code;
    a->offset = offset;
    list_push_back(&fx->replies, &ask->node);
}

static void fake_commit(struct group_coordinator *c, struct group_ask *ask,
                        struct group_effects *fx)
{
    const struct fake_commit *q = ask->request;
    struct group_op *op = MEM_NEW(struct group_op);
    op->ask = ask;
    snprintf(op->key, sizeof op->key, "%s", q->key);
    snprintf(op->text, sizeof op->text, "%s", q->text);
    list_push_back(&c->ops, &op->node);
    fake_write(fx, op, q);
}

static void fake_written(struct group_coordinator *c, const struct group_event *ev,
                         struct group_effects *fx)
{
    struct group_op *op = LIST_ENTRY(list_pop_front(&c->ops), struct group_op, node);
    assert_ptr_equal(op, ev->op); /* in the order they were made */
    told.written++;
    if (ev->code == 0) {
        assert_true(ev->offset >= 0);
        fake_set(c, op->key, op->text);
    }
    fake_answer(fx, op->ask, ev->code, ev->offset);
    mem_free(op);
}

static void fake_answer_all(struct group_coordinator *c, int16_t code, struct group_effects *fx)
{
    struct list *at;
    while ((at = list_pop_front(&c->waiting)) != NULL) {
        fake_answer(fx, LIST_ENTRY(at, struct group_ask, node), code, -1);
    }
}

void group_coordinator_step(struct group_coordinator *c, const struct group_event *ev,
                            struct group_effects *fx)
{
    assert_true(c->loaded && !c->stepping && ev->wall_ms > 0);
    c->stepping = true;
    told.memory_max_least = c->config->memory_max;
    switch (ev->kind) {
    case GROUP_OFFSET_COMMIT:
        fake_commit(c, ev->ask, fx);
        break;
    case GROUP_WRITTEN:
        fake_written(c, ev, fx);
        break;
    case GROUP_JOIN:
        told.fresh = ev->ask->fresh;
        snprintf(told.client_host, sizeof told.client_host, "%.*s",
                 BYTES_FMT(ev->ask->client_host));
        list_push_back(&c->waiting, &ev->ask->node);
        c->deadline = ev->now_ms + 3000;
        break;
    case GROUP_HEARTBEAT:
        fake_answer(fx, ev->ask, 0, -1);
        break;
    case GROUP_TICK:
        assert_true(ev->now_ms >= c->deadline);
        c->deadline = INT64_MAX;
        told.ticks++;
        fake_answer_all(c, 0, fx);
        break;
    case GROUP_EXPIRE:
        told.expired++;
        break;
    case GROUP_TOPIC_GONE:
        snprintf(told.gone, sizeof told.gone, "%.*s", BYTES_FMT(ev->topic));
        break;
    case GROUP_UNLOAD:
        assert_true(list_empty(&c->ops));
        told.unloads++;
        told.unload_code = ev->code;
        fake_answer_all(c, ev->code, fx);
        break;
    default:
        fail_msg("event %d", (int)ev->kind);
    }
    c->stepping = false;
}

#endif
