/* From one version of the image to the next: applying records, and the lists of what changed.
 *
 * While it is built, the delta holds the next version, in which a topic it has touched is a copy
 * that nobody else sees yet and is changed in place; all else is replaced, never changed. The
 * touched keys are remembered, and finish compares the two versions at just these. */
#include "controller/image_private.h"

#include "base/mem.h"
#include "proto_features.h"
#include "proto_messages.h"

struct image_delta *image_delta_new(struct image *base)
{
    struct image_delta *d = MEM_NEW(struct image_delta);
    refcount_init(&d->refs);
    d->base = image_get(base);
    d->priv = MEM_NEW(struct image_delta_priv);
    d->priv->next = image_copy(base);
    return d;
}

struct image_delta *image_delta_new_snapshot(struct image *base)
{
    struct image_delta *d = MEM_NEW(struct image_delta);
    refcount_init(&d->refs);
    d->base = image_get(base);
    d->is_snapshot = true;
    d->priv = MEM_NEW(struct image_delta_priv);
    d->priv->next = image_empty();
    return d;
}

struct image_delta *image_delta_get(struct image_delta *d)
{
    refcount_get(&d->refs);
    return d;
}

static void touched_free(struct map *m)
{
    map_for_each (s, m) {
        struct image_touched *t = s->value;
        buf_free(&t->key);
        mem_free(t);
    }
    map_free(m);
}

static void priv_free(struct image_delta *d)
{
    if (d->priv) {
        touched_free(&d->priv->topics);
        touched_free(&d->priv->configs);
        image_put(d->priv->next);
        mem_free(d->priv);
        d->priv = NULL;
    }
}

void image_delta_put(struct image_delta *d)
{
    if (d == NULL || !refcount_put(&d->refs)) {
        return;
    }
    priv_free(d);
    mem_free(d->topics);
    mem_free(d->brokers);
    mem_free(d->configs);
    image_put(d->image);
    image_put(d->base);
    mem_free(d);
}

bool image_delta_is_empty(const struct image_delta *d)
{
    return d->priv ? !d->priv->any
                   : d->topics_n == 0 && d->brokers_n == 0 && d->configs_n == 0 &&
                         !d->features_changed && !d->producer_ids_changed &&
                         !d->controllers_changed && !d->opaque_changed;
}

struct image_touched *image_touch_topic(struct image_delta *d, struct uuid id)
{
    struct image_touched *t = map_get(&d->priv->topics, bytes_of(id.b, sizeof id.b));
    if (t == NULL) {
        t = MEM_NEW(struct image_touched);
        t->id = id;
        t->as_key = bytes_of(t->id.b, sizeof t->id.b);
        map_put(&d->priv->topics, t->as_key, t);
    }
    return t;
}

struct image_touched *image_touch_config(struct image_delta *d, int8_t type, struct bytes resource)
{
    struct image_touched *t = MEM_NEW(struct image_touched);
    image_config_key(&t->key, type, resource);
    t->as_key = buf_bytes(&t->key);
    struct image_touched *before = map_get(&d->priv->configs, t->as_key);
    if (before) {
        buf_free(&t->key);
        mem_free(t);
        return before;
    }
    map_put(&d->priv->configs, t->as_key, t);
    return t;
}

static int apply_config(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct config_record *r = record;
    UNUSED(em);
    struct image *next = d->priv->next;
    struct image_touched *t = image_touch_config(d, r->resource_type, r->resource_name);
    const struct image_config *old = image_config(next, r->resource_type, r->resource_name);
    size_t old_n = old ? old->n : 0;
    struct image_config_entry *v = mem_alloc((old_n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < old_n; i++) {
        if (!bytes_eq(old->entries[i].name, r->name)) {
            v[n++] = old->entries[i];
        }
    }
    if (!bytes_is_null(r->value)) {
        v[n++] = (struct image_config_entry){r->name, r->value};
    }
    if (n) {
        struct image_config *c = image_config_new(r->resource_type, r->resource_name, v, n);
        cowmap_put(&next->configs, &c->obj);
    } else {
        cowmap_remove(&next->configs, t->as_key);
    }
    mem_free(v);
    return 0;
}

/* A level that this release does not serve names formats that it does not know. */
static int check_level(const struct feature_level_record *r, struct errmsg *em)
{
    for (size_t i = 0; i < proto_features_n; i++) {
        const struct proto_feature *f = &proto_features[i];
        if (!bytes_eq_str(r->name, f->name)) {
            continue;
        }
        if (r->feature_level <= f->supported_max) {
            return 0;
        }
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "the cluster has %s %d, but this release serves up to %d: start the node "
                          "with the release that raised it",
                          f->name, r->feature_level, f->supported_max);
    }
    return r->feature_level <= 0
               ? 0
               : errmsg_set(em, ERR_UNSUPPORTED,
                            "the cluster has the feature %.*s, which this release does not know: "
                            "start the node with the release that brought it in",
                            BYTES_FMT(r->name));
}

static int apply_feature(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct feature_level_record *r = record;
    int err = check_level(r, em);
    if (err) {
        return err;
    }
    struct image *img = d->priv->next;
    size_t text = r->name.len;
    for (int32_t i = 0; i < img->features_n; i++) {
        text += img->features[i].name.len;
    }
    size_t slots = (size_t)img->features_n + 1;
    struct image_features *f = mem_alloc(sizeof *f + slots * sizeof f->v[0] + text);
    uint8_t *at = (uint8_t *)&f->v[slots];
    refcount_init(&f->refs);
    f->n = 0;
    bool placed = r->feature_level <= 0;
    for (int32_t i = 0; i <= img->features_n; i++) {
        bool end = i == img->features_n;
        int c = end ? 1 : bytes_cmp(img->features[i].name, r->name);
        if (c >= 0 && !placed) {
            f->v[f->n++] = (struct image_feature){r->name, r->feature_level};
            placed = true;
        }
        if (!end && c != 0) {
            f->v[f->n++] = img->features[i];
        }
    }
    for (int32_t i = 0; i < f->n; i++) {
        struct bytes name = f->v[i].name;
        memcpy(at, name.data, name.len);
        f->v[i].name.data = at;
        at += name.len;
    }
    if (img->features_owner && refcount_put(&img->features_owner->refs)) {
        mem_free(img->features_owner);
    }
    img->features_owner = f;
    img->features = f->v;
    img->features_n = f->n;
    d->features_changed = true;
    return 0;
}

static int apply_producer_ids(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct producer_ids_record *r = record;
    UNUSED(em);
    d->priv->next->next_producer_id = r->next_producer_id;
    d->producer_ids_changed = true;
    return 0;
}

int image_delta_apply(struct image_delta *d, const struct proto_message *m, int16_t version,
                      const void *record, struct errmsg *em)
{
    static const struct {
        const struct proto_message *m;
        image_apply_fn *apply;
    } table[] = {
        {&partition_change_record_msg, image_apply_partition_change},
        {&partition_record_msg, image_apply_partition},
        {&topic_record_msg, image_apply_topic},
        {&remove_topic_record_msg, image_apply_remove_topic},
        {&clear_elr_record_msg, image_apply_clear_elr},
        {&config_record_msg, apply_config},
        {&feature_level_record_msg, apply_feature},
        {&producer_ids_record_msg, apply_producer_ids},
        {&register_broker_record_msg, image_apply_register_broker},
        {&broker_registration_change_record_msg, image_apply_broker_change},
        {&unregister_broker_record_msg, image_apply_unregister},
        {&fence_broker_record_msg, image_apply_fence},
        {&unfence_broker_record_msg, image_apply_unfence},
        {&register_controller_record_msg, image_apply_register_controller},
    };
    ASSERT(d->priv != NULL);
    d->priv->any = true;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].m == m) {
            return table[i].apply(d, record, em);
        }
    }
    return image_apply_opaque(d, m, version, record, em);
}

struct image *image_delta_finish(struct image_delta *d, int64_t offset, int32_t epoch,
                                 int64_t time_ms)
{
    ASSERT(d->priv != NULL && d->image == NULL);
    d->image = d->priv->next;
    d->priv->next = NULL;
    d->image->offset = offset;
    d->image->epoch = epoch;
    d->image->time_ms = time_ms;
    image_delta_fill(d);
    priv_free(d);
    return image_get(d->image);
}
