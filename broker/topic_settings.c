#include "broker/topic_settings.h"

#include "base/mem.h"
#include "controller/image.h"

static struct bytes id_key(const struct uuid *id)
{
    return bytes_of(id->b, sizeof id->b);
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
