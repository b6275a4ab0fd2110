/* The tables of offset_store.h. */
#include "broker/group/offset_store.h"

#include "base/mem.h"

enum { WALKED_MAX = 8 };

/* ---- places: open addressing by partition, backward-shift deletion ---- */

static uint32_t place_home(const struct group_topic *t, int32_t partition)
{
    uint32_t h = (uint32_t)partition * 0x9e3779b1u;
    return (h ^ h >> 15) & (t->places_cap - 1);
}

static uint32_t place_slot(const struct group_topic *t, int32_t partition)
{
    uint32_t i = place_home(t, partition);
    while (t->places[i] != 0 && t->v[t->places[i] - 1].partition != partition) {
        i = (i + 1) & (t->places_cap - 1);
    }
    return i;
}

static void places_build(struct group_topic *t)
{
    struct group_coordinator *c = t->group->c;
    uint32_t cap = 32;
    while (cap < t->cap * 2) {
        cap *= 2;
    }
    if (cap != t->places_cap) {
        group_dealloc(c, t->places, t->places_cap * sizeof *t->places);
        t->places = group_alloc(c, cap * sizeof *t->places);
        t->places_cap = cap;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        t->places[place_slot(t, t->v[i].partition)] = i + 1;
    }
}

static void place_remove(struct group_topic *t, uint32_t i)
{
    uint32_t mask = t->places_cap - 1;
    for (uint32_t j = (i + 1) & mask; t->places[j] != 0; j = (j + 1) & mask) {
        uint32_t home = place_home(t, t->v[t->places[j] - 1].partition);
        if (((j - home) & mask) >= ((j - i) & mask)) {
            t->places[i] = t->places[j];
            i = j;
        }
    }
    t->places[i] = 0;
}

/* ---- topics ---- */

struct group_topic *offset_topic(const struct group *g, struct bytes name)
{
    if (g->topics.count != 0) {
        return map_get(&g->topics, name);
    }
    for (uint32_t i = 0; i < g->topic_n; i++) {
        if (bytes_eq(g->topic_v[i]->name->text, name)) {
            return g->topic_v[i];
        }
    }
    return NULL;
}

static void topics_grow(struct group *g)
{
    uint32_t cap = g->topic_cap ? g->topic_cap * 2 : 1;
    struct group_topic **v = group_alloc(g->c, cap * sizeof(struct group_topic *));
    if (g->topic_n) {
        memcpy(v, g->topic_v, g->topic_n * sizeof(struct group_topic *));
    }
    group_dealloc(g->c, g->topic_v, g->topic_cap * sizeof(struct group_topic *));
    g->topic_v = v;
    g->topic_cap = cap;
}

static void topics_map(struct group *g, struct group_topic *t)
{
    if (g->topics.count != 0) {
        group_map_put(g->c, &g->topics, t->name->text, t);
    } else if (g->topic_n > WALKED_MAX) {
        for (uint32_t i = 0; i < g->topic_n; i++) {
            group_map_put(g->c, &g->topics, g->topic_v[i]->name->text, g->topic_v[i]);
        }
    }
}

struct group_topic *offset_topic_make(struct group *g, struct bytes name)
{
    struct group_topic *t = offset_topic(g, name);
    g->kept = true;
    if (t) {
        return t;
    }
    t = group_alloc(g->c, sizeof *t);
    t->group = g;
    t->name = group_str_get(g->c, name);
    if (g->topic_n == g->topic_cap) {
        topics_grow(g);
    }
    t->place = g->topic_n;
    g->topic_v[g->topic_n++] = t;
    topics_map(g, t);
    return t;
}

/* Takes an empty topic away. */
static void topic_drop(struct group_topic *t)
{
    struct group *g = t->group;
    struct group_coordinator *c = g->c;
    ASSERT(t->n == 0 && t->open.count == 0 && g->topic_v[t->place] == t);
    group_map_remove(c, &g->topics, t->name->text);
    g->topic_v[t->place] = g->topic_v[--g->topic_n];
    g->topic_v[t->place]->place = t->place;
    if (g->topic_n == 0) {
        group_dealloc(c, g->topic_v, g->topic_cap * sizeof(struct group_topic *));
        g->topic_v = NULL;
        g->topic_cap = 0;
    }
    group_dealloc(c, t->v, t->cap * sizeof *t->v);
    group_dealloc(c, t->places, t->places_cap * sizeof *t->places);
    group_str_put(c, t->name);
    group_dealloc(c, t, sizeof *t);
}

static void topic_settle(struct group_topic *t)
{
    if (t->n == 0 && t->open.count == 0) {
        topic_drop(t);
    }
}

/* ---- entries ---- */

static size_t extra_size(size_t metadata_len)
{
    return sizeof(struct offset_extra) + metadata_len;
}

static void entry_clear(struct group_coordinator *c, struct offset_entry *e)
{
    if (e->extra) {
        group_dealloc(c, e->extra, extra_size(e->extra->len));
        e->extra = NULL;
    }
}

static uint8_t entry_id(struct group_topic *t, struct uuid id)
{
    if (uuid_is_zero(id)) {
        return OFFSET_ID_NONE;
    }
    if (uuid_is_zero(t->id)) {
        t->id = id;
    }
    return uuid_eq(id, t->id) ? OFFSET_ID_OF_TOPIC : OFFSET_ID_EXTRA;
}

/* e->partition stays. */
static void entry_fill(struct group_topic *t, struct offset_entry *e,
                       const struct offset_commit_value *v, int64_t at, uint32_t gone_seq)
{
    struct group_coordinator *c = t->group->c;
    uint8_t id = entry_id(t, v->topic_id);
    bool extra = v->metadata.len > 0 || v->expire_timestamp != -1 || id == OFFSET_ID_EXTRA;
    if (e->extra && (!extra || e->extra->len != v->metadata.len)) {
        entry_clear(c, e);
    }
    if (extra) {
        if (e->extra == NULL) {
            e->extra = group_alloc(c, extra_size(v->metadata.len));
        }
        e->extra->expire_ms = v->expire_timestamp;
        e->extra->topic_id = id == OFFSET_ID_EXTRA ? v->topic_id : UUID_ZERO;
        e->extra->len = (uint32_t)v->metadata.len;
        if (v->metadata.len) {
            memcpy(e->extra->metadata, v->metadata.data, v->metadata.len);
        }
    }
    e->offset = v->offset;
    e->commit_ms = v->commit_timestamp;
    e->at = at;
    e->leader_epoch = v->leader_epoch;
    e->gone_seq = gone_seq;
    e->id = id;
}

struct uuid offset_topic_id(const struct group_topic *t, const struct offset_entry *e)
{
    switch (e->id) {
    case OFFSET_ID_OF_TOPIC:
        return t->id;
    case OFFSET_ID_EXTRA:
        return e->extra->topic_id;
    default:
        return UUID_ZERO;
    }
}

struct offset_entry *offset_find(const struct group_topic *t, int32_t partition)
{
    if (t->places) {
        uint32_t place = t->places[place_slot(t, partition)];
        return place ? &t->v[place - 1] : NULL;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->v[i].partition == partition) {
            return &t->v[i];
        }
    }
    return NULL;
}

static void entries_grow(struct group_topic *t)
{
    struct group_coordinator *c = t->group->c;
    uint32_t cap = t->cap < 4 ? t->cap + 1 : t->cap + t->cap / 2;
    struct offset_entry *v = group_alloc(c, cap * sizeof *v);
    if (t->n) {
        memcpy(v, t->v, t->n * sizeof *v);
    }
    group_dealloc(c, t->v, t->cap * sizeof *t->v);
    t->v = v;
    t->cap = cap;
    if (t->places_cap != 0 || cap > WALKED_MAX) {
        if (t->places_cap < cap * 2) {
            places_build(t);
        }
    }
}

static struct offset_entry *entry_make(struct group_topic *t, int32_t partition)
{
    struct offset_entry *e = offset_find(t, partition);
    if (e) {
        return e;
    }
    if (t->n == t->cap) {
        entries_grow(t);
    }
    e = &t->v[t->n++];
    *e = (struct offset_entry){.partition = partition};
    if (t->places) {
        uint32_t slot = place_home(t, partition);
        while (t->places[slot] != 0) {
            slot = (slot + 1) & (t->places_cap - 1);
        }
        t->places[slot] = t->n;
    }
    t->group->offsets_n++;
    t->group->c->offsets++;
    return e;
}

void offset_put(struct group_topic *t, int32_t partition, const struct offset_commit_value *v,
                int64_t at, uint32_t gone_seq)
{
    entry_fill(t, entry_make(t, partition), v, at, gone_seq);
}

static void entry_remove(struct group_topic *t, struct offset_entry *e)
{
    uint32_t place = (uint32_t)(e - t->v);
    uint32_t last = t->n - 1;
    if (t->places) {
        place_remove(t, place_slot(t, e->partition));
        if (place != last) {
            t->places[place_slot(t, t->v[last].partition)] = place + 1;
        }
    }
    entry_clear(t->group->c, e);
    t->v[place] = t->v[last];
    t->n = last;
    t->group->offsets_n--;
    t->group->c->offsets--;
}

/* ---- open transactions ---- */

static struct bytes partition_key(const int32_t *partition)
{
    return bytes_of(partition, sizeof *partition);
}

static struct bytes txn_key(const int64_t *producer_id)
{
    return bytes_of(producer_id, sizeof *producer_id);
}

static struct group_txn *txn_make(struct group_coordinator *c, int64_t producer_id)
{
    struct group_txn *x = map_get(&c->txns, txn_key(&producer_id));
    if (x == NULL) {
        x = group_alloc(c, sizeof *x);
        x->producer_id = producer_id;
        list_init(&x->offsets);
        group_map_put(c, &c->txns, txn_key(&x->producer_id), x);
    }
    return x;
}

void open_offset_put(struct group_topic *t, int64_t producer_id, int32_t partition,
                     const struct offset_commit_value *v, int64_t at)
{
    struct group_coordinator *c = t->group->c;
    struct group_txn *x = txn_make(c, producer_id);
    struct open_offset *head = map_get(&t->open, partition_key(&partition));
    struct open_offset *o = head;
    while (o && o->txn != x) {
        o = o->next;
    }
    if (o == NULL) {
        o = group_alloc(c, sizeof *o);
        o->txn = x;
        o->topic = t;
        o->e.partition = partition;
        list_push_back(&x->offsets, &o->in_txn);
        if (head) {
            o->next = head->next;
            head->next = o;
        } else {
            group_map_put(c, &t->open, partition_key(&o->e.partition), o);
        }
        t->group->open_offsets_n++;
    }
    entry_fill(t, &o->e, v, at, c->gone_seq);
}

bool open_offset_has(const struct group_topic *t, int32_t partition)
{
    return t->open.count != 0 && map_get(&t->open, partition_key(&partition)) != NULL;
}

/* Its topic does not know it any more. The last one takes the transaction with it. */
static void open_offset_free(struct group_coordinator *c, struct open_offset *o)
{
    struct group_txn *x = o->txn;
    list_remove(&o->in_txn);
    o->topic->group->open_offsets_n--;
    if (list_empty(&x->offsets)) {
        group_map_remove(c, &c->txns, txn_key(&x->producer_id));
        group_dealloc(c, x, sizeof *x);
    }
    entry_clear(c, &o->e);
    group_dealloc(c, o, sizeof *o);
}

static void open_offset_drop(struct group_coordinator *c, struct open_offset *o)
{
    struct group_topic *t = o->topic;
    struct open_offset *head = map_get(&t->open, partition_key(&o->e.partition));
    if (head == o) {
        group_map_remove(c, &t->open, partition_key(&o->e.partition));
        if (o->next) {
            group_map_put(c, &t->open, partition_key(&o->next->e.partition), o->next);
        }
    } else {
        while (head->next != o) {
            head = head->next;
        }
        head->next = o->next;
    }
    open_offset_free(c, o);
}

/* Kafka keeps whichever commit stands later in the log. */
static void open_offset_commit(struct open_offset *o)
{
    struct group_topic *t = o->topic;
    struct offset_entry *e = offset_find(t, o->e.partition);
    if (e != NULL && e->at >= o->e.at) {
        return;
    }
    e = entry_make(t, o->e.partition);
    entry_clear(t->group->c, e);
    *e = o->e;
    o->e.extra = NULL;
}

void group_txn_end(struct group_coordinator *c, int64_t producer_id, bool commit)
{
    struct group_txn *x = map_get(&c->txns, txn_key(&producer_id));
    bool more = x != NULL;
    while (more) {
        struct open_offset *o = LIST_ENTRY(x->offsets.next, struct open_offset, in_txn);
        struct group_topic *t = o->topic;
        struct group *g = t->group;
        if (commit) {
            open_offset_commit(o);
        }
        more = o->in_txn.next != &x->offsets; /* the last one takes x with it */
        open_offset_drop(c, o);
        topic_settle(t);
        group_release(g);
    }
}

/* ---- forgetting ---- */

static void topic_forget(struct group_topic *t, int32_t partition)
{
    struct offset_entry *e = offset_find(t, partition);
    if (e) {
        entry_remove(t, e);
    }
    struct open_offset *o;
    while (t->open.count != 0 && (o = map_get(&t->open, partition_key(&partition))) != NULL) {
        open_offset_drop(t->group->c, o);
    }
}

void offset_forget(struct group *g, struct bytes topic, int32_t partition)
{
    struct group_topic *t = offset_topic(g, topic);
    if (t) {
        topic_forget(t, partition);
        topic_settle(t);
    }
}

static void topic_forget_all(struct group_topic *t)
{
    struct group_coordinator *c = t->group->c;
    while (t->n) {
        t->n--;
        entry_clear(c, &t->v[t->n]);
        t->group->offsets_n--;
        c->offsets--;
    }
    map_for_each (slot, &t->open) {
        for (struct open_offset *o = slot->value, *next; o != NULL; o = next) {
            next = o->next;
            open_offset_free(c, o);
        }
    }
    group_map_free(c, &t->open);
    topic_drop(t);
}

void offset_forget_all(struct group *g)
{
    while (g->topic_n) {
        topic_forget_all(g->topic_v[g->topic_n - 1]);
    }
    ASSERT(g->offsets_n == 0 && g->open_offsets_n == 0);
}

void offsets_free(struct group *g)
{
    offset_forget_all(g);
}

void replay_free(struct group_coordinator *c)
{
    ASSERT(c->txns.count == 0); /* each lives as long as an offset of it, in some group */
    group_map_free(c, &c->txns);
}

size_t offset_store_need(size_t name_len, size_t n)
{
    return sizeof(struct group_topic) + name_len + sizeof(struct group_str) +
           (size_t)3 * GROUP_ALLOC_MORE + n * (sizeof(struct offset_entry) + 4 * sizeof(uint32_t));
}
