#include "broker/api/named_once.h"

static void *note(struct map *m, struct bytes key, void *value)
{
    void *before = map_get(m, key);
    if (before == NULL) {
        map_put(m, key, value);
    }
    return before;
}

void *named_topic(struct named_once *n, struct bytes topic, void *value)
{
    return note(&n->topics, topic, value);
}

void *named_partition(struct named_once *n, const void *topic, int32_t index, void *value)
{
    uint8_t *key = arena_alloc(n->arena, sizeof topic + sizeof index);
    memcpy(key, &topic, sizeof topic);
    memcpy(key + sizeof topic, &index, sizeof index);
    return note(&n->partitions, bytes_of(key, sizeof topic + sizeof index), value);
}

void named_once_free(struct named_once *n)
{
    map_free(&n->topics);
    map_free(&n->partitions);
}
