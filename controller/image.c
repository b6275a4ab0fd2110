/* The image's objects, versions and lookups; image.h tells the story. */
#include "controller/image_private.h"

#include <stdlib.h>

#include "base/mem.h"

/* ---- partitions ---- */

static const int32_t *put_ids(uint8_t **at, const int32_t *ids, uint32_t n)
{
    int32_t *to = (int32_t *)(void *)*at;
    if (n) {
        memcpy(to, ids, n * sizeof *ids);
    }
    *at += n * sizeof *ids;
    return to;
}

struct image_partition *image_partition_new(const struct image_partition *like)
{
    size_t ids = (size_t)like->replicas_n + like->isr_n + like->adding_n + like->removing_n +
                 like->elr_n + like->last_known_elr_n;
    struct image_partition *p =
        mem_alloc(sizeof *p + ids * sizeof(int32_t) + like->directories_n * sizeof(struct uuid));
    REFCOUNT_COPY_REST(p, like);
    refcount_init(&p->refs);
    uint8_t *at = (uint8_t *)(p + 1);
    p->replicas = put_ids(&at, like->replicas, like->replicas_n);
    p->isr = put_ids(&at, like->isr, like->isr_n);
    p->adding = put_ids(&at, like->adding, like->adding_n);
    p->removing = put_ids(&at, like->removing, like->removing_n);
    p->elr = put_ids(&at, like->elr, like->elr_n);
    p->last_known_elr = put_ids(&at, like->last_known_elr, like->last_known_elr_n);
    if (like->directories_n) {
        memcpy(at, like->directories, like->directories_n * sizeof(struct uuid));
    }
    p->directories = (const struct uuid *)(const void *)at;
    return p;
}

void image_partition_get(struct image_partition *p)
{
    refcount_get(&p->refs);
}

void image_partition_put(struct image_partition *p)
{
    if (p && refcount_put(&p->refs)) {
        mem_free(p);
    }
}

static bool ids_same(const int32_t *a, uint32_t a_n, const int32_t *b, uint32_t b_n)
{
    return a_n == b_n && (a_n == 0 || memcmp(a, b, a_n * sizeof *a) == 0);
}

bool image_partition_same(const struct image_partition *a, const struct image_partition *b)
{
    return a->index == b->index && a->leader == b->leader && a->leader_epoch == b->leader_epoch &&
           a->partition_epoch == b->partition_epoch &&
           a->leader_recovery_state == b->leader_recovery_state &&
           ids_same(a->replicas, a->replicas_n, b->replicas, b->replicas_n) &&
           ids_same(a->isr, a->isr_n, b->isr, b->isr_n) &&
           ids_same(a->adding, a->adding_n, b->adding, b->adding_n) &&
           ids_same(a->removing, a->removing_n, b->removing, b->removing_n) &&
           ids_same(a->elr, a->elr_n, b->elr, b->elr_n) &&
           ids_same(a->last_known_elr, a->last_known_elr_n, b->last_known_elr,
                    b->last_known_elr_n) &&
           a->directories_n == b->directories_n &&
           (a->directories_n == 0 ||
            memcmp(a->directories, b->directories, a->directories_n * sizeof(struct uuid)) == 0);
}

/* ---- topics ---- */

static void topic_free(struct cow_obj *o)
{
    struct image_topic *t = CONTAINER_OF(o, struct image_topic, by_id);
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        image_partition_put(t->partitions[i]);
    }
    mem_free(t->partitions);
    mem_free(t);
}

struct image_topic *image_topic_new(struct uuid id, struct bytes name)
{
    struct image_topic *t = mem_zalloc(sizeof *t + name.len);
    refcount_init(&t->by_id.refs);
    t->by_id.free = topic_free;
    t->id = id;
    t->by_id.key = bytes_of(t->id.b, sizeof t->id.b);
    if (name.len) {
        memcpy(t + 1, name.data, name.len);
    }
    t->name = bytes_of(t + 1, name.len);
    return t;
}

struct image_topic *image_topic_copy(const struct image_topic *from)
{
    struct image_topic *t = image_topic_new(from->id, from->name);
    t->partitions_n = from->partitions_n;
    t->partitions = mem_alloc(from->partitions_n * sizeof(struct image_partition *));
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        t->partitions[i] = from->partitions[i];
        if (t->partitions[i]) {
            image_partition_get(t->partitions[i]);
        }
    }
    return t;
}

void image_topic_set(struct image_topic *t, struct image_partition *p)
{
    uint32_t at = (uint32_t)p->index;
    if (at >= t->partitions_n) {
        t->partitions = mem_realloc(t->partitions, (at + 1) * sizeof(struct image_partition *));
        memset(&t->partitions[t->partitions_n], 0,
               (at + 1 - t->partitions_n) * sizeof(struct image_partition *));
        t->partitions_n = at + 1;
    }
    image_partition_put(t->partitions[at]);
    t->partitions[at] = p;
}

static void topic_name_free(struct cow_obj *o)
{
    struct image_topic_name *n = CONTAINER_OF(o, struct image_topic_name, obj);
    cow_obj_put(&n->topic->by_id);
    mem_free(n);
}

void image_put_topic(struct image *img, struct image_topic *t)
{
    struct image_topic_name *n = MEM_NEW(struct image_topic_name);
    refcount_init(&n->obj.refs);
    n->obj.free = topic_name_free;
    n->obj.key = t->name;
    n->topic = t;
    cow_obj_get(&t->by_id);
    cowmap_put(&img->topics_by_name, &n->obj);
    cowmap_put(&img->topics_by_id, &t->by_id);
}

void image_remove_topic(struct image *img, struct image_topic *t)
{
    cow_obj_get(&t->by_id);
    cowmap_remove(&img->topics_by_name, t->name);
    cowmap_remove(&img->topics_by_id, t->by_id.key);
    cow_obj_put(&t->by_id);
}

/* ---- brokers and controllers ---- */

void image_broker_put(struct image_broker *b)
{
    if (b && refcount_put(&b->refs)) {
        arena_free(&b->mem);
        mem_free(b);
    }
}

static struct bytes copy_text(struct arena *a, struct bytes b)
{
    return b.data ? bytes_of(arena_strndup(a, b.data, b.len), b.len) : BYTES_NULL;
}

static const struct uuid *copy_uuids(struct arena *a, const struct uuid *v, uint32_t n)
{
    struct uuid *to = ARENA_ARRAY(a, struct uuid, n);
    if (n) {
        memcpy(to, v, n * sizeof *v);
    }
    return to;
}

struct image_broker *image_broker_copy(const struct image_broker *from)
{
    struct image_broker *b = MEM_NEW(struct image_broker);
    REFCOUNT_COPY_REST(b, from);
    refcount_init(&b->refs);
    b->mem = (struct arena){0};
    b->rack = copy_text(&b->mem, from->rack);
    struct image_endpoint *endpoints =
        ARENA_ARRAY(&b->mem, struct image_endpoint, from->endpoints_n);
    for (uint32_t i = 0; i < from->endpoints_n; i++) {
        endpoints[i] = from->endpoints[i];
        endpoints[i].name = copy_text(&b->mem, from->endpoints[i].name);
        endpoints[i].host = copy_text(&b->mem, from->endpoints[i].host);
    }
    b->endpoints = endpoints;
    struct image_feature_range *features =
        ARENA_ARRAY(&b->mem, struct image_feature_range, from->features_n);
    for (uint32_t i = 0; i < from->features_n; i++) {
        features[i] = from->features[i];
        features[i].name = copy_text(&b->mem, from->features[i].name);
    }
    b->features = features;
    b->log_dirs = copy_uuids(&b->mem, from->log_dirs, from->log_dirs_n);
    b->cordoned = copy_uuids(&b->mem, from->cordoned, from->cordoned_n);
    return b;
}

void image_controller_put(struct image_controller *c)
{
    if (c && refcount_put(&c->refs)) {
        arena_free(&c->mem);
        mem_free(c);
    }
}

/* ---- configs and opaque records ---- */

static void config_free(struct cow_obj *o)
{
    mem_free(CONTAINER_OF(o, struct image_config, obj));
}

void image_config_key(struct buf *out, int8_t type, struct bytes resource)
{
    buf_put_u8(out, (uint8_t)type);
    buf_put(out, resource.data, resource.len);
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct image_config_entry *)a)->name,
                     ((const struct image_config_entry *)b)->name);
}

struct image_config *image_config_new(int8_t type, struct bytes resource,
                                      const struct image_config_entry *entries, size_t n)
{
    size_t text = 1 + resource.len;
    for (size_t i = 0; i < n; i++) {
        text += entries[i].name.len + entries[i].value.len;
    }
    struct image_config *c = mem_zalloc(sizeof *c + n * sizeof(struct image_config_entry) + text);
    struct image_config_entry *v = (struct image_config_entry *)(c + 1);
    uint8_t *at = (uint8_t *)(v + n);
    refcount_init(&c->obj.refs);
    c->obj.free = config_free;
    c->obj.key = bytes_of(at, 1 + resource.len);
    *at++ = (uint8_t)type;
    c->type = type;
    c->resource = bytes_of(at, resource.len);
    if (resource.len) {
        memcpy(at, resource.data, resource.len);
        at += resource.len;
    }
    for (size_t i = 0; i < n; i++) {
        struct bytes *pairs[2][2] = {{&v[i].name, (void *)(uintptr_t)&entries[i].name},
                                     {&v[i].value, (void *)(uintptr_t)&entries[i].value}};
        for (size_t k = 0; k < 2; k++) {
            struct bytes from = *pairs[k][1];
            if (from.len) {
                memcpy(at, from.data, from.len);
            }
            *pairs[k][0] = bytes_of(at, from.len);
            at += from.len;
        }
    }
    qsort(v, n, sizeof *v, by_name);
    c->n = (uint32_t)n;
    c->entries = v;
    return c;
}

static void opaque_free(struct cow_obj *o)
{
    mem_free(CONTAINER_OF(o, struct image_opaque, obj));
}

struct image_opaque *image_opaque_new(struct bytes key, int16_t type, struct bytes record)
{
    struct image_opaque *o = mem_zalloc(sizeof *o + key.len + record.len);
    uint8_t *at = (uint8_t *)(o + 1);
    refcount_init(&o->obj.refs);
    o->obj.free = opaque_free;
    memcpy(at, key.data, key.len);
    o->obj.key = bytes_of(at, key.len);
    at += key.len;
    memcpy(at, record.data, record.len);
    o->record = bytes_of(at, record.len);
    o->type = type;
    return o;
}

/* ---- versions ---- */

struct image *image_copy(const struct image *from)
{
    struct image *img = MEM_NEW(struct image);
    if (from == NULL) {
        refcount_init(&img->refs);
        img->offset = -1;
        img->epoch = -1;
        img->time_ms = -1;
        return img;
    }
    REFCOUNT_COPY_REST(img, from);
    refcount_init(&img->refs);
    img->brokers = mem_alloc((size_t)from->brokers_n * sizeof(struct image_broker *));
    for (int32_t i = 0; i < from->brokers_n; i++) {
        img->brokers[i] = from->brokers[i];
        refcount_get(&img->brokers[i]->refs);
    }
    img->controllers = mem_alloc((size_t)from->controllers_n * sizeof(struct image_controller *));
    for (int32_t i = 0; i < from->controllers_n; i++) {
        img->controllers[i] = from->controllers[i];
        refcount_get(&img->controllers[i]->refs);
    }
    if (img->features_owner) {
        refcount_get(&img->features_owner->refs);
    }
    cowmap_copy(&img->topics_by_id, &from->topics_by_id);
    cowmap_copy(&img->topics_by_name, &from->topics_by_name);
    cowmap_copy(&img->configs, &from->configs);
    cowmap_copy(&img->opaque, &from->opaque);
    return img;
}

struct image *image_empty(void)
{
    return image_copy(NULL);
}

/* The count is the one part of a published image that changes. */
static struct image *mutable_image(const struct image *img)
{
    return (struct image *)(uintptr_t)img;
}

struct image *image_get(const struct image *img)
{
    refcount_get(&mutable_image(img)->refs);
    return mutable_image(img);
}

void image_put(const struct image *published)
{
    struct image *img = mutable_image(published);
    if (img == NULL || !refcount_put(&img->refs)) {
        return;
    }
    for (int32_t i = 0; i < img->brokers_n; i++) {
        image_broker_put(img->brokers[i]);
    }
    for (int32_t i = 0; i < img->controllers_n; i++) {
        image_controller_put(img->controllers[i]);
    }
    if (img->features_owner && refcount_put(&img->features_owner->refs)) {
        mem_free(img->features_owner);
    }
    mem_free(img->brokers);
    mem_free(img->controllers);
    cowmap_free(&img->topics_by_name);
    cowmap_free(&img->topics_by_id);
    cowmap_free(&img->configs);
    cowmap_free(&img->opaque);
    mem_free(img);
}

/* ---- lookups ---- */

const struct image_topic *image_topic_by_id(const struct image *img, struct uuid id)
{
    struct cow_obj *o = cowmap_get(&img->topics_by_id, bytes_of(id.b, sizeof id.b));
    return o ? CONTAINER_OF(o, struct image_topic, by_id) : NULL;
}

const struct image_topic *image_topic_by_name(const struct image *img, struct bytes name)
{
    struct cow_obj *o = cowmap_get(&img->topics_by_name, name.data ? name : bytes_of("", 0));
    return o ? CONTAINER_OF(o, struct image_topic_name, obj)->topic : NULL;
}

const struct image_partition *image_partition(const struct image_topic *t, int32_t index)
{
    return index >= 0 && (uint32_t)index < t->partitions_n ? t->partitions[index] : NULL;
}

bool image_partition_is_behind(const struct image_partition *p)
{
    return p->isr_n + p->adding_n < p->replicas_n;
}

const struct image_broker *image_broker(const struct image *img, int32_t id)
{
    int32_t low = 0;
    int32_t high = img->brokers_n;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        if (img->brokers[mid]->id == id) {
            return img->brokers[mid];
        }
        if (img->brokers[mid]->id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const struct image_controller *image_controller(const struct image *img, int32_t id)
{
    for (int32_t i = 0; i < img->controllers_n; i++) {
        if (img->controllers[i]->id == id) {
            return img->controllers[i];
        }
    }
    return NULL;
}

const struct image_endpoint *image_broker_endpoint(const struct image_broker *b,
                                                   struct bytes listener)
{
    for (uint32_t i = 0; i < b->endpoints_n; i++) {
        if (bytes_eq(b->endpoints[i].name, listener)) {
            return &b->endpoints[i];
        }
    }
    return NULL;
}

const struct image_config *image_config(const struct image *img, int8_t type, struct bytes name)
{
    struct buf key = {0};
    image_config_key(&key, type, name);
    struct cow_obj *o = cowmap_get(&img->configs, buf_bytes(&key));
    buf_free(&key);
    return o ? CONTAINER_OF(o, struct image_config, obj) : NULL;
}

struct bytes image_config_value(const struct image *img, int8_t type, struct bytes resource,
                                struct bytes name)
{
    const struct image_config *c = image_config(img, type, resource);
    uint32_t low = 0;
    uint32_t high = c ? c->n : 0;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = bytes_cmp(c->entries[mid].name, name);
        if (order == 0) {
            return c->entries[mid].value;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return BYTES_NULL;
}

int16_t image_feature_level(const struct image *img, const char *name)
{
    for (int32_t i = 0; i < img->features_n; i++) {
        if (bytes_eq_str(img->features[i].name, name)) {
            return img->features[i].level;
        }
    }
    return 0;
}

const struct image_topic *image_next_topic(const struct image *img, struct image_topic_iter *it)
{
    struct cow_obj *o = cowmap_next(&img->topics_by_id, &it->it);
    return o ? CONTAINER_OF(o, struct image_topic, by_id) : NULL;
}
