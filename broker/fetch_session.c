#include "broker/fetch_session.h"

#include "base/mem.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { MAP_ENTRY_BYTES = 48 }; /* about what map.h takes for one */

/* A partition as the session remembers it. Key: topic id or name, then the index. */
struct cached {
    struct list node;  /* in the session's order */
    struct list fresh; /* in the session's, by when it became so; what had records goes behind */
    bool news;         /* since it was listed */
    struct fetch_part part;
    int64_t high_watermark; /* as last shown; -1: show it next time */
    int64_t log_start;
    size_t key_len;
    uint8_t key[];
};

struct session {
    struct fetch_sessions *fs;
    struct list lru; /* in fs->lru: oldest use first */
    int32_t id;
    int32_t epoch; /* expected next */
    bool by_id;
    bool privileged;
    int64_t created_ms;
    int64_t used_ms;
    struct list order;
    struct list fresh; /* cached.fresh: what a standing fetch looks at */
    uint32_t fresh_n;
    bool stirred;        /* there was news to wake for since they were listed */
    struct list waiters; /* fetch_waiter */
    struct map parts;    /* struct cached */
};

struct fetch_sessions {
    unsigned shard;
    unsigned shards;
    uint32_t slots_max;
    size_t bytes_max;
    const struct siphash_key *map_secret;
    size_t bytes; /* of all partitions of all sessions */
    uint32_t (*random)(void *ctx);
    void *ctx;
    struct map by_id;
    struct list lru;
};

/* ---- one session ---- */

static size_t cached_bytes(size_t key_len)
{
    return sizeof(struct cached) + key_len + MAP_ENTRY_BYTES;
}

static void fresh_add(struct session *s, struct cached *c)
{
    if (list_empty(&c->fresh)) {
        list_push_back(&s->fresh, &c->fresh);
        s->fresh_n++;
    }
}

static void fresh_remove(struct session *s, struct cached *c)
{
    if (!list_empty(&c->fresh)) {
        list_remove(&c->fresh);
        s->fresh_n--;
    }
}

static void cached_remove(struct session *s, struct cached *c)
{
    fresh_remove(s, c);
    s->fs->bytes -= cached_bytes(c->key_len);
    map_remove(&s->parts, bytes_of(c->key, c->key_len));
    list_remove(&c->node);
    mem_free(c);
}

static void session_free(struct session *s)
{
    while (!list_empty(&s->order)) {
        cached_remove(s, LIST_ENTRY(s->order.next, struct cached, node));
    }
    while (list_pop_front(&s->waiters) != NULL) { /* their time will be over */
    }
    map_free(&s->parts);
    mem_free(s);
}

/* The key of a partition, in the arena. */
static struct bytes part_key(const struct session *s, struct bytes topic, struct uuid id,
                             int32_t index, struct arena *a)
{
    struct bytes t = s->by_id ? bytes_of(id.b, sizeof id.b) : topic;
    uint8_t *k = arena_alloc(a, t.len + 4);
    if (t.len) {
        memcpy(k, t.data, t.len);
    }
    store_be32(k + t.len, (uint32_t)index);
    return bytes_of(k, t.len + 4);
}

/* Adds the partition at the end, or takes its new wishes. */
static struct cached *session_put(struct session *s, const struct fetch_part *p, struct arena *a)
{
    struct bytes key = part_key(s, p->topic, p->topic_id, p->index, a);
    struct cached *c = map_get(&s->parts, key);
    if (c == NULL) {
        c = mem_zalloc(sizeof *c + key.len);
        s->fs->bytes += cached_bytes(key.len);
        c->key_len = key.len;
        memcpy(c->key, key.data, key.len);
        c->high_watermark = -1;
        c->log_start = -1;
        map_put(&s->parts, bytes_of(c->key, c->key_len), c);
        list_push_back(&s->order, &c->node);
        list_init(&c->fresh);
    }
    fresh_add(s, c);
    bool named = c->part.named;
    c->part = *p;
    c->part.named = named || p->named;
    c->part.topic = s->by_id ? BYTES_NULL : bytes_of(c->key, c->key_len - 4);
    return c;
}

/* Was something read that the client does not know? */
static bool is_news(const struct cached *c, const struct fetch_part *p)
{
    return p->records > 0 || p->diverging || p->redirected || p->error != KE_NONE ||
           c->high_watermark != p->high_watermark || c->log_start != p->log_start;
}

/* Remembers what the answer tells; true if it has to be told. */
static bool cached_news(struct session *s, struct cached *c, const struct fetch_part *p)
{
    bool news = is_news(c, p);
    c->high_watermark = p->error || p->diverging ? -1 : p->high_watermark;
    c->log_start = p->log_start;
    if (p->records > 0) {
        list_remove(&c->node);
        list_push_back(&s->order, &c->node);
        fresh_remove(s, c);
        fresh_add(s, c);
    }
    return news;
}

/* Told, and watched by its home: it need not be read until that says so. */
static void settle(struct session *s, struct cached *c, const struct fetch_part *p)
{
    if (p->settled && !c->news) {
        fresh_remove(s, c);
    }
}

/* ---- the table ---- */

struct fetch_sessions *fetch_sessions_new(unsigned shard, unsigned shards, uint32_t slots_max,
                                          size_t bytes_max, const struct siphash_key *map_secret,
                                          uint32_t (*random)(void *ctx), void *ctx)
{
    struct fetch_sessions *fs = MEM_NEW(struct fetch_sessions);
    *fs = (struct fetch_sessions){
        .shard = shard,
        .shards = shards,
        .slots_max = slots_max,
        .bytes_max = bytes_max,
        .map_secret = map_secret,
        .random = random,
        .ctx = ctx,
    };
    list_init(&fs->lru);
    return fs;
}

static void remove_session(struct fetch_sessions *fs, struct session *s)
{
    map_remove(&fs->by_id, bytes_of(&s->id, sizeof s->id));
    list_remove(&s->lru);
    session_free(s);
}

void fetch_sessions_free(struct fetch_sessions *fs)
{
    if (fs == NULL) {
        return;
    }
    while (!list_empty(&fs->lru)) {
        remove_session(fs, LIST_ENTRY(fs->lru.next, struct session, lru));
    }
    map_free(&fs->by_id);
    mem_free(fs);
}

uint32_t fetch_sessions_count(const struct fetch_sessions *fs)
{
    return (uint32_t)fs->by_id.count;
}

size_t fetch_sessions_bytes(const struct fetch_sessions *fs)
{
    return fs->bytes;
}

static struct session *find(const struct fetch_sessions *fs, int32_t id)
{
    return map_get(&fs->by_id, bytes_of(&id, sizeof id));
}

static int32_t next_epoch(int32_t epoch)
{
    return epoch < 0 ? FETCH_EPOCH_FINAL : epoch == INT32_MAX ? 1 : epoch + 1;
}

/* A free positive id that is this shard's. */
static int32_t new_id(struct fetch_sessions *fs)
{
    for (;;) {
        uint32_t r = fs->random(fs->ctx) & INT32_MAX;
        uint32_t id = r / fs->shards * fs->shards + fs->shard;
        if (id > 0 && id <= INT32_MAX && find(fs, (int32_t)id) == NULL) {
            return (int32_t)id;
        }
    }
}

/* Enough memory for so many bytes more? Idle sessions make way. */
static bool make_bytes(struct fetch_sessions *fs, size_t bytes, int64_t now)
{
    while (fs->bytes + bytes > fs->bytes_max) {
        if (list_empty(&fs->lru)) {
            return false;
        }
        struct session *oldest = LIST_ENTRY(fs->lru.next, struct session, lru);
        if (now - oldest->used_ms <= FETCH_SESSION_IDLE_MS) {
            return false;
        }
        remove_session(fs, oldest);
    }
    return true;
}

/* A free slot for a newcomer of so many partitions? */
static bool make_slot(struct fetch_sessions *fs, bool privileged, uint32_t size, int64_t now)
{
    if (fs->by_id.count < fs->slots_max) {
        return true;
    }
    if (list_empty(&fs->lru)) {
        return false;
    }
    struct session *victim = LIST_ENTRY(fs->lru.next, struct session, lru);
    if (now - victim->used_ms > FETCH_SESSION_IDLE_MS) {
        remove_session(fs, victim);
        return true;
    }
    victim = NULL;
    list_for_each (at, &fs->lru) {
        struct session *s = LIST_ENTRY(at, struct session, lru);
        bool old = now - s->created_ms > FETCH_SESSION_IDLE_MS;
        bool weaker = (privileged && !s->privileged) ||
                      (privileged == s->privileged && old && s->parts.count < size);
        if (weaker && (victim == NULL || s->parts.count < victim->parts.count)) {
            victim = s;
        }
    }
    if (victim) {
        remove_session(fs, victim);
    }
    return victim != NULL;
}

/* ---- begin ---- */

static void take_wish(const struct fetch_request_fetch_topic *t,
                      const struct fetch_request_fetch_partition *q, struct fetch_part *p)
{
    *p = (struct fetch_part){
        .topic = t->topic,
        .topic_id = t->topic_id,
        .index = q->partition,
        .current_leader_epoch = q->current_leader_epoch,
        .last_fetched_epoch = q->last_fetched_epoch,
        .max_bytes = q->partition_max_bytes,
        .fetch_offset = q->fetch_offset,
        .log_start_offset = q->log_start_offset,
        .high_watermark = -1,
        .log_start = -1,
    };
}

/* The request's own partitions; one that is named twice counts once, as named last. */
static void list_wishes(const struct fetch_sessions *fs, struct fetch_begin *b)
{
    const struct fetch_request *q = b->req;
    struct session scratch = {.by_id = b->by_id}; /* for its keys */
    struct map seen = {.secret = fs->map_secret};
    size_t total = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        total += (size_t)q->topics[i].partitions_n;
    }
    b->n = 0;
    b->parts = ARENA_ARRAY(b->arena, struct fetch_part, total + 1);
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct fetch_request_fetch_topic *t = &q->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            struct fetch_part *p = NULL;
            if (total > 1) {
                struct bytes key =
                    part_key(&scratch, t->topic, t->topic_id, t->partitions[k].partition, b->arena);
                p = map_get(&seen, key);
                if (p == NULL) {
                    map_put(&seen, key, &b->parts[b->n]);
                }
            }
            p = p ? p : &b->parts[b->n++];
            take_wish(t, &t->partitions[k], p);
        }
    }
    map_free(&seen);
}

static void forget(struct session *s, struct fetch_begin *b)
{
    const struct fetch_request *q = b->req;
    for (int32_t i = 0; i < q->forgotten_topics_data_n; i++) {
        const struct fetch_request_forgotten_topic *t = &q->forgotten_topics_data[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            struct cached *c =
                map_get(&s->parts, part_key(s, t->topic, t->topic_id, t->partitions[k], b->arena));
            if (c) {
                cached_remove(s, c);
            }
        }
    }
}

static void list_fresh(struct session *s, struct fetch_begin *b)
{
    b->n = 0;
    b->parts = ARENA_ARRAY(b->arena, struct fetch_part, s->fresh_n + 1);
    list_for_each (at, &s->fresh) {
        struct cached *c = LIST_ENTRY(at, struct cached, fresh);
        c->news = false;
        b->parts[b->n++] = c->part; /* by id: it has no name to copy */
    }
    s->stirred = false;
}

/* All partitions of the session, in its order; names are copied: the session may go meanwhile. */
static void list_session(struct session *s, struct fetch_begin *b)
{
    b->n = 0;
    b->parts = ARENA_ARRAY(b->arena, struct fetch_part, s->parts.count + 1);
    struct bytes last = BYTES_NULL;
    list_for_each (at, &s->order) {
        const struct cached *c = LIST_ENTRY(at, struct cached, node);
        struct fetch_part *p = &b->parts[b->n++];
        *p = c->part;
        if (!s->by_id) {
            if (!bytes_eq(last, p->topic)) {
                last = bytes_of(arena_strndup(b->arena, p->topic.data, p->topic.len), p->topic.len);
            }
            p->topic = last;
        }
    }
}

static void begin_incremental(struct fetch_sessions *fs, struct fetch_begin *b)
{
    struct session *s = find(fs, b->req->session_id);
    if (s == NULL) {
        b->error = KE_FETCH_SESSION_ID_NOT_FOUND;
        return;
    }
    if (s->epoch != b->req->session_epoch) {
        b->error = KE_INVALID_FETCH_SESSION_EPOCH;
        return;
    }
    if (s->by_id != b->by_id) {
        b->error = KE_FETCH_SESSION_TOPIC_ID_ERROR;
        return;
    }
    s->used_ms = b->now_ms; /* it is not idle */
    list_remove(&s->lru);
    list_push_back(&fs->lru, &s->lru);
    list_wishes(fs, b);
    for (uint32_t i = 0; i < b->n; i++) {
        session_put(s, &b->parts[i], b->arena);
    }
    forget(s, b);
    if (!make_bytes(fs, 0, b->now_ms)) {
        remove_session(fs, s);
        b->error = KE_FETCH_SESSION_ID_NOT_FOUND;
        return;
    }
    if (list_empty(&s->order)) {
        remove_session(fs, s);
        return; /* sessionless, with what the request names */
    }
    if (b->standing) {
        list_fresh(s, b);
    } else {
        list_session(s, b);
    }
    s->epoch = next_epoch(s->epoch);
    b->epoch = s->epoch;
    b->mode = FETCH_INCREMENTAL;
}

void fetch_session_begin(struct fetch_sessions *fs, struct fetch_begin *b)
{
    const struct fetch_request *q = b->req;
    b->error = KE_NONE;
    b->mode = FETCH_SESSIONLESS;
    b->session_id = FETCH_SESSION_NONE;
    if (q->session_epoch != FETCH_EPOCH_INITIAL && q->session_epoch != FETCH_EPOCH_FINAL) {
        begin_incremental(fs, b);
        return;
    }
    struct session *old = q->session_id != FETCH_SESSION_NONE ? find(fs, q->session_id) : NULL;
    if (old) {
        remove_session(fs, old);
    }
    b->mode = q->session_epoch == FETCH_EPOCH_INITIAL ? FETCH_FULL : FETCH_SESSIONLESS;
    list_wishes(fs, b);
}

/* ---- end ---- */

static void end_full(struct fetch_sessions *fs, struct fetch_begin *b)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        bytes += cached_bytes(4 + (b->by_id ? sizeof(struct uuid) : b->parts[i].topic.len));
    }
    if (!make_bytes(fs, bytes, b->now_ms) || !make_slot(fs, b->privileged, b->n, b->now_ms)) {
        return;
    }
    struct session *s = MEM_NEW(struct session);
    s->fs = fs;
    s->parts.secret = fs->map_secret;
    list_init(&s->order);
    list_init(&s->fresh);
    list_init(&s->waiters);
    s->id = new_id(fs);
    s->epoch = next_epoch(FETCH_EPOCH_INITIAL);
    s->by_id = b->by_id;
    s->privileged = b->privileged;
    s->created_ms = b->now_ms;
    s->used_ms = b->now_ms;
    for (uint32_t i = 0; i < b->n; i++) {
        struct cached *c = session_put(s, &b->parts[i], b->arena);
        c->high_watermark =
            b->parts[i].error || b->parts[i].diverging ? -1 : b->parts[i].high_watermark;
        c->log_start = b->parts[i].log_start;
    }
    map_put(&fs->by_id, bytes_of(&s->id, sizeof s->id), s);
    list_push_back(&fs->lru, &s->lru);
    b->session_id = s->id;
}

static void end_incremental(struct fetch_sessions *fs, struct fetch_begin *b)
{
    b->session_id = b->req->session_id;
    struct session *s = find(fs, b->req->session_id);
    if (s == NULL) {
        return; /* evicted meanwhile: this answer is whole, the next request will be told */
    }
    if (s->epoch != b->epoch) {
        b->error = KE_INVALID_FETCH_SESSION_EPOCH;
        b->session_id = FETCH_SESSION_NONE;
        return;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        struct fetch_part *p = &b->parts[i];
        struct cached *c =
            map_get(&s->parts, part_key(s, p->topic, p->topic_id, p->index, b->arena));
        p->respond = c == NULL || cached_news(s, c, p);
        if (c) {
            c->part.named = p->named;
        }
        if (c && b->standing) {
            settle(s, c, p);
        }
    }
}

void fetch_session_end(struct fetch_sessions *fs, struct fetch_begin *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        b->parts[i].respond = true;
    }
    if (b->mode == FETCH_FULL) {
        end_full(fs, b);
    } else if (b->mode == FETCH_INCREMENTAL) {
        end_incremental(fs, b);
    }
}

/* ---- standing sessions ---- */

/* That of b, if no other request has come in it since. */
static struct session *standing_of(const struct fetch_sessions *fs, const struct fetch_begin *b)
{
    struct session *s = find(fs, b->req->session_id);
    return s && s->epoch == b->epoch ? s : NULL;
}

bool fetch_session_wait(struct fetch_sessions *fs, struct fetch_begin *b, struct fetch_waiter *w)
{
    struct session *s = standing_of(fs, b);
    if (s == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        struct fetch_part *p = &b->parts[i];
        struct cached *c =
            map_get(&s->parts, part_key(s, p->topic, p->topic_id, p->index, b->arena));
        if (c && !is_news(c, p)) {
            settle(s, c, p);
        }
    }
    if (s->stirred) {
        return false;
    }
    list_push_back(&s->waiters, &w->node);
    return true;
}

void fetch_session_again(struct fetch_sessions *fs, struct fetch_begin *b)
{
    struct session *s = find(fs, b->req->session_id);
    b->n = 0;
    if (s && s->epoch != b->epoch) {
        b->error = KE_INVALID_FETCH_SESSION_EPOCH;
    } else if (s) {
        list_fresh(s, b);
    }
}

void fetch_session_news(struct fetch_sessions *fs, int32_t id, const struct fetch_news *v,
                        uint32_t n)
{
    struct session *s = find(fs, id);
    struct list *at;
    bool wake = false;
    if (s == NULL || !s->by_id) {
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint8_t key[sizeof(struct uuid) + 4];
        memcpy(key, v[i].topic_id.b, sizeof v[i].topic_id.b);
        store_be32(key + sizeof(struct uuid), (uint32_t)v[i].index);
        struct cached *c = map_get(&s->parts, bytes_of(key, sizeof key));
        if (c) {
            c->news = true;
            fresh_add(s, c);
            wake = wake || v[i].wake;
        }
    }
    if (!wake) {
        return;
    }
    s->stirred = true;
    struct list woken; /* one that waits again is not woken again; the session may go meanwhile */
    list_insert_before(s->waiters.next, &woken); /* takes the head's place */
    list_remove(&s->waiters);
    while ((at = list_pop_front(&woken)) != NULL) {
        struct fetch_waiter *w = LIST_ENTRY(at, struct fetch_waiter, node);
        w->woken(w);
    }
}
