#include "broker/topic_settings.h"

#include "base/mem.h"
#include "broker/shard_stats.h"
#include "controller/image.h"

struct topic_counted { /* in the table */
    struct uuid id;
    struct topic_counts counts;
};

static struct bytes id_key(const struct uuid *id)
{
    return bytes_of(id->b, sizeof id->b);
}

static struct topic_counts *counts_get(struct topic_table *t, const struct uuid *id)
{
    struct topic_counted *c = map_get(&t->counts, id_key(id));
    if (c == NULL) {
        c = MEM_NEW(struct topic_counted);
        c->id = *id;
        c->counts.refs = 1; /* the table's */
        map_put(&t->counts, id_key(&c->id), c);
    }
    c->counts.refs++;
    return &c->counts;
}

static void counts_put(struct topic_counts *c)
{
    if (--c->refs == 0) {
        mem_free(CONTAINER_OF(c, struct topic_counted, counts));
    }
}

struct topic_settings *topic_settings_find(struct topic_table *t, const struct image *img,
                                           const struct image_topic *topic)
{
    struct topic_settings *s = map_get(&t->by_id, id_key(&topic->id));
    if (s) {
        return s;
    }
    s = MEM_NEW(struct topic_settings);
    s->refs = 1;
    s->id = topic->id;
    s->name = mem_alloc(topic->name.len + 1);
    memcpy(s->name, topic->name.data, topic->name.len);
    s->name[topic->name.len] = '\0';
    topic_config_resolve(t->config, img, topic->name, &s->config);
    s->counts = counts_get(t, &s->id);
    map_put(&t->by_id, id_key(&s->id), s);
    return s;
}

void topic_settings_get(struct topic_settings *s)
{
    s->refs++;
}

void topic_settings_put(struct topic_settings *s)
{
    ASSERT(s->refs > 0);
    if (--s->refs == 0) {
        counts_put(s->counts);
        mem_free(s->name);
        mem_free(s);
    }
}

void topic_settings_forget(struct topic_table *t, struct uuid id)
{
    struct topic_settings *s = map_remove(&t->by_id, id_key(&id));
    if (s) {
        topic_settings_put(s);
    }
}

void topic_settings_forget_all(struct topic_table *t)
{
    map_for_each (slot, &t->by_id) {
        topic_settings_put(slot->value);
    }
    map_free(&t->by_id);
}

void topic_settings_drop(struct topic_table *t, struct uuid id)
{
    topic_settings_forget(t, id);
    struct topic_counted *c = map_remove(&t->counts, id_key(&id));
    if (c) {
        counts_put(&c->counts);
    }
}

void topic_settings_drop_all(struct topic_table *t)
{
    topic_settings_forget_all(t);
    map_for_each (slot, &t->counts) {
        struct topic_counted *c = slot->value;
        counts_put(&c->counts);
    }
    map_free(&t->counts);
}
