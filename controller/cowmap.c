#include "controller/cowmap.h"

#include "base/map.h"
#include "base/mem.h"

struct entry {
    uint64_t hash;
    struct cow_obj *obj; /* one reference */
};

struct cow_bucket {
    struct refcount refs; /* versions that share it */
    uint32_t n;
    uint32_t cap;
    struct entry v[]; /* by hash, then key */
};

void cow_obj_get(struct cow_obj *o)
{
    refcount_get(&o->refs);
}

void cow_obj_put(struct cow_obj *o)
{
    if (o && refcount_put(&o->refs)) {
        o->free(o);
    }
}

static void bucket_put(struct cow_bucket *b)
{
    if (b == NULL || !refcount_put(&b->refs)) {
        return;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        cow_obj_put(b->v[i].obj);
    }
    mem_free(b);
}

static struct cow_bucket *bucket_new(uint32_t cap)
{
    struct cow_bucket *b = mem_alloc(sizeof *b + cap * sizeof b->v[0]);
    refcount_init(&b->refs);
    b->n = 0;
    b->cap = cap;
    return b;
}

void cowmap_copy(struct cowmap *to, const struct cowmap *from)
{
    *to = *from;
    for (size_t i = 0; i < COWMAP_BUCKETS; i++) {
        if (to->buckets[i]) {
            refcount_get(&to->buckets[i]->refs);
        }
    }
}

void cowmap_free(struct cowmap *m)
{
    for (size_t i = 0; i < COWMAP_BUCKETS; i++) {
        bucket_put(m->buckets[i]);
    }
    *m = (struct cowmap){0};
}

static size_t bucket_of(uint64_t hash)
{
    return (size_t)(hash >> 56);
}

/* Place of the key, or where it belongs. */
static uint32_t find(const struct cow_bucket *b, uint64_t hash, struct bytes key, bool *found)
{
    uint32_t low = 0;
    uint32_t high = b ? b->n : 0;
    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct entry *e = &b->v[mid];
        int c = e->hash < hash ? -1 : e->hash > hash ? 1 : bytes_cmp(e->obj->key, key);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct cow_obj *cowmap_get(const struct cowmap *m, struct bytes key)
{
    uint64_t hash = bytes_hash(key);
    const struct cow_bucket *b = m->buckets[bucket_of(hash)];
    bool found;
    uint32_t i = find(b, hash, key, &found);
    return found ? b->v[i].obj : NULL;
}

/* A bucket that only this version has, with room for `more` entries. */
static struct cow_bucket *own(struct cowmap *m, size_t at, uint32_t more)
{
    struct cow_bucket *b = m->buckets[at];
    if (b && refcount_is_one(&b->refs) && b->n + more <= b->cap) {
        return b;
    }
    uint32_t n = b ? b->n : 0;
    struct cow_bucket *fresh = bucket_new(n + more + n / 4 + 1);
    for (uint32_t i = 0; i < n; i++) {
        fresh->v[i] = b->v[i];
        cow_obj_get(b->v[i].obj);
    }
    fresh->n = n;
    bucket_put(b);
    m->buckets[at] = fresh;
    return fresh;
}

void cowmap_put(struct cowmap *m, struct cow_obj *o)
{
    uint64_t hash = bytes_hash(o->key);
    size_t at = bucket_of(hash);
    struct cow_bucket *b = own(m, at, 1);
    bool found;
    uint32_t i = find(b, hash, o->key, &found);
    if (found) {
        struct cow_obj *before = b->v[i].obj;
        b->v[i].obj = o;
        cow_obj_put(before);
        return;
    }
    memmove(&b->v[i + 1], &b->v[i], (b->n - i) * sizeof b->v[0]);
    b->v[i] = (struct entry){hash, o};
    b->n++;
    m->count++;
}

void cowmap_remove(struct cowmap *m, struct bytes key)
{
    uint64_t hash = bytes_hash(key);
    size_t at = bucket_of(hash);
    bool found;
    find(m->buckets[at], hash, key, &found);
    if (!found) {
        return;
    }
    struct cow_bucket *b = own(m, at, 0);
    uint32_t i = find(b, hash, key, &found);
    struct cow_obj *gone = b->v[i].obj;
    memmove(&b->v[i], &b->v[i + 1], (b->n - i - 1) * sizeof b->v[0]);
    b->n--;
    m->count--;
    cow_obj_put(gone); /* last: key may be part of it */
    if (b->n == 0) {
        bucket_put(b);
        m->buckets[at] = NULL;
    }
}

struct cow_obj *cowmap_next(const struct cowmap *m, struct cowmap_iter *it)
{
    while (it->bucket < COWMAP_BUCKETS) {
        const struct cow_bucket *b = m->buckets[it->bucket];
        if (b && it->at < b->n) {
            return b->v[it->at++].obj;
        }
        it->bucket++;
        it->at = 0;
    }
    return NULL;
}
