/* The lists of a finished delta: what differs between base and image. For an ordinary delta only
 * the touched keys are looked at; for a snapshot both versions are walked, and objects that say the
 * same as before are replaced by the ones that base has, so that shards see no change in them. */
#include "base/mem.h"
#include "controller/image_private.h"

static void add_topic(struct image_delta *d, const struct image_topic *before,
                      const struct image_topic *after)
{
    if (before != after) {
        d->topics[d->topics_n++] = (struct image_topic_change){before, after};
    }
}

static void add_config(struct image_delta *d, const struct image_config *before,
                       const struct image_config *after)
{
    if (before != after) {
        const struct image_config *any = after ? after : before;
        d->configs[d->configs_n++] =
            (struct image_config_change){any->type, any->resource, before, after};
    }
}

static bool config_same(const struct image_config *a, const struct image_config *b)
{
    if (a == NULL || b == NULL || a->n != b->n) {
        return a == b;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (!bytes_eq(a->entries[i].name, b->entries[i].name) ||
            !bytes_eq(a->entries[i].value, b->entries[i].value)) {
            return false;
        }
    }
    return true;
}

static const struct image_config *config_at(const struct image *img, struct bytes key)
{
    struct cow_obj *o = cowmap_get(&img->configs, key);
    return o ? CONTAINER_OF(o, struct image_config, obj) : NULL;
}

/* The touched topics and resources. */
static void fill_touched(struct image_delta *d)
{
    d->topics = mem_alloc(d->priv->topics.count * sizeof *d->topics);
    map_for_each (s, &d->priv->topics) {
        const struct image_touched *t = s->value;
        add_topic(d, image_topic_by_id(d->base, t->id), image_topic_by_id(d->image, t->id));
    }
    d->configs = mem_alloc(d->priv->configs.count * sizeof *d->configs);
    map_for_each (s, &d->priv->configs) {
        const struct image_touched *t = s->value;
        const struct image_config *before = config_at(d->base, t->as_key);
        const struct image_config *after = config_at(d->image, t->as_key);
        if (!config_same(before, after)) {
            add_config(d, before, after);
        }
    }
}

static bool topic_same(const struct image_topic *a, const struct image_topic *b)
{
    return a->partitions_n == b->partitions_n && bytes_eq(a->name, b->name) &&
           (a->partitions_n == 0 ||
            memcmp(a->partitions, b->partitions,
                   a->partitions_n * sizeof(struct image_partition *)) == 0);
}

static void fill_snapshot_topics(struct image_delta *d)
{
    size_t most = d->base->topics_by_id.count + d->image->topics_by_id.count;
    struct image_topic **same = mem_alloc(most * sizeof(struct image_topic *));
    size_t same_n = 0;
    d->topics = mem_alloc(most * sizeof *d->topics);
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(d->image, &it)) != NULL) {
        const struct image_topic *before = image_topic_by_id(d->base, t->id);
        if (before && topic_same(before, t)) {
            same[same_n++] = (struct image_topic *)(uintptr_t)before;
        } else {
            add_topic(d, before, t);
        }
    }
    it = (struct image_topic_iter){0};
    while ((t = image_next_topic(d->base, &it)) != NULL) {
        if (image_topic_by_id(d->image, t->id) == NULL) {
            add_topic(d, t, NULL);
        }
    }
    for (size_t i = 0; i < same_n; i++) {
        cow_obj_get(&same[i]->by_id);
        image_put_topic(d->image, same[i]);
    }
    mem_free(same);
}

static void fill_snapshot_configs(struct image_delta *d)
{
    size_t most = d->base->configs.count + d->image->configs.count;
    d->configs = mem_alloc(most * sizeof *d->configs);
    struct cowmap_iter it = {0};
    struct cow_obj *o;
    while ((o = cowmap_next(&d->image->configs, &it)) != NULL) {
        const struct image_config *before = config_at(d->base, o->key);
        const struct image_config *after = CONTAINER_OF(o, struct image_config, obj);
        if (!config_same(before, after)) {
            add_config(d, before, after);
        }
    }
    it = (struct cowmap_iter){0};
    while ((o = cowmap_next(&d->base->configs, &it)) != NULL) {
        if (config_at(d->image, o->key) == NULL) {
            add_config(d, CONTAINER_OF(o, struct image_config, obj), NULL);
        }
    }
}

static void fill_brokers(struct image_delta *d)
{
    const struct image *a = d->base;
    const struct image *b = d->image;
    d->brokers = mem_alloc((size_t)(a->brokers_n + b->brokers_n) * sizeof *d->brokers);
    int32_t i = 0;
    int32_t k = 0;
    while (i < a->brokers_n || k < b->brokers_n) {
        const struct image_broker *before = i < a->brokers_n ? a->brokers[i] : NULL;
        const struct image_broker *after = k < b->brokers_n ? b->brokers[k] : NULL;
        if (before && after && before->id != after->id) {
            if (before->id < after->id) {
                after = NULL;
            } else {
                before = NULL;
            }
        }
        i += before != NULL;
        k += after != NULL;
        if (before != after) {
            d->brokers[d->brokers_n++] =
                (struct image_broker_change){after ? after->id : before->id, before, after};
        }
    }
}

void image_delta_fill(struct image_delta *d)
{
    if (d->is_snapshot) {
        fill_snapshot_topics(d);
        fill_snapshot_configs(d);
        d->features_changed = true;
        d->controllers_changed = true;
        d->producer_ids_changed = d->base->next_producer_id != d->image->next_producer_id;
        d->opaque_changed = true;
    } else {
        fill_touched(d);
    }
    fill_brokers(d);
}
