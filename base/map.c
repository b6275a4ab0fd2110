#include "base/map.h"

#include "base/assert.h"
#include "base/mem.h"

uint64_t bytes_hash(struct bytes b)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < b.len; i++) {
        h = (h ^ b.data[i]) * 0x100000001b3ull;
    }
    h ^= h >> 32;
    return h * 0xd6e8feb86659fd93ull ^ (h >> 29);
}

static uint32_t hash_of(const struct map *m, struct bytes key)
{
    return (uint32_t)(m->secret ? siphash(m->secret, key) : bytes_hash(key));
}

static size_t find(const struct map *m, struct bytes key, uint32_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].value && !(m->slots[i].hash == hash && bytes_eq(m->slots[i].key, key))) {
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

void *map_get(const struct map *m, struct bytes key)
{
    return m->cap ? m->slots[find(m, key, hash_of(m, key))].value : NULL;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : 16;
    m->slots = mem_zalloc(m->cap * sizeof *m->slots);
    map_for_each (s, &old) {
        m->slots[find(m, s->key, s->hash)] = *s;
    }
    mem_free(old.slots);
}

void *map_put(struct map *m, struct bytes key, void *value)
{
    ASSERT(value != NULL);
    if ((m->count + 1) * 4 > m->cap * 3) {
        grow(m);
    }
    uint32_t hash = hash_of(m, key);
    struct map_slot *s = &m->slots[find(m, key, hash)];
    void *before = s->value;
    m->count += before == NULL;
    *s = (struct map_slot){.key = key, .value = value, .hash = hash};
    return before;
}

void *map_remove(struct map *m, struct bytes key)
{
    if (m->cap == 0) {
        return NULL;
    }
    size_t i = find(m, key, hash_of(m, key));
    void *value = m->slots[i].value;
    if (value == NULL) {
        return NULL;
    }
    m->count--;
    /* Shift back every entry of the run whose home is not behind the hole. */
    for (size_t j = (i + 1) & (m->cap - 1); m->slots[j].value; j = (j + 1) & (m->cap - 1)) {
        size_t home = m->slots[j].hash & (m->cap - 1);
        if (((j - home) & (m->cap - 1)) >= ((j - i) & (m->cap - 1))) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = (struct map_slot){0};
    return value;
}

void map_free(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){.secret = m->secret};
}
