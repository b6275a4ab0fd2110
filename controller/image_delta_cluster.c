/* What the records of brokers and controllers do to the next version of the image. */
#include <stdlib.h>

#include "base/mem.h"
#include "controller/image_private.h"
#include "proto_messages.h"

static int by_feature(const void *a, const void *b)
{
    return bytes_cmp(((const struct image_feature_range *)a)->name,
                     ((const struct image_feature_range *)b)->name);
}

static int by_uuid(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* Puts b (one reference taken over) in its place, or takes id out when b is NULL. */
static void set_broker(struct image_delta *d, int32_t id, struct image_broker *b)
{
    struct image *img = d->priv->next;
    int32_t at = 0;
    while (at < img->brokers_n && img->brokers[at]->id < id) {
        at++;
    }
    bool there = at < img->brokers_n && img->brokers[at]->id == id;
    size_t behind = (size_t)(img->brokers_n - at) * sizeof b;
    d->priv->brokers_touched = true;
    if (there) {
        image_broker_put(img->brokers[at]);
    }
    if (there && b) {
        img->brokers[at] = b;
    } else if (there) {
        memmove(&img->brokers[at], &img->brokers[at + 1], behind - sizeof b);
        img->brokers_n--;
    } else if (b) {
        img->brokers = mem_realloc(img->brokers, ((size_t)img->brokers_n + 1) * sizeof b);
        memmove(&img->brokers[at + 1], &img->brokers[at], behind);
        img->brokers[at] = b;
        img->brokers_n++;
    }
}

static void set_log_dirs(struct image_broker *b, const struct uuid *v, int32_t n)
{
    struct uuid *dirs = ARENA_ARRAY(&b->mem, struct uuid, n);
    if (n > 0) {
        memcpy(dirs, v, (size_t)n * sizeof *v);
        qsort(dirs, (size_t)n, sizeof *dirs, by_uuid);
    }
    b->log_dirs = dirs;
    b->log_dirs_n = (uint32_t)(n > 0 ? n : 0);
}

static void set_cordoned(struct image_broker *b, const struct uuid *v, int32_t n)
{
    struct uuid *dirs = ARENA_ARRAY(&b->mem, struct uuid, n > 0 ? n : 0);
    if (n > 0) {
        memcpy(dirs, v, (size_t)n * sizeof *v);
    }
    b->cordoned = dirs;
    b->cordoned_n = (uint32_t)(n > 0 ? n : 0);
    b->cordoned_null = n < 0;
}

int image_apply_register_broker(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct register_broker_record *r = record;
    UNUSED(em);
    struct image_broker *b = MEM_NEW(struct image_broker);
    refcount_init(&b->refs);
    b->id = r->broker_id;
    b->epoch = r->broker_epoch;
    b->incarnation = r->incarnation_id;
    b->fenced = r->fenced;
    b->in_controlled_shutdown = r->in_controlled_shutdown;
    b->migrating_zk = r->is_migrating_zk_broker;
    struct image_endpoint *e = ARENA_ARRAY(&b->mem, struct image_endpoint, r->end_points_n);
    for (int32_t i = 0; i < r->end_points_n; i++) {
        e[i] = (struct image_endpoint){
            .name = r->end_points[i].name,
            .host = r->end_points[i].host,
            .port = r->end_points[i].port,
            .security_protocol = r->end_points[i].security_protocol,
        };
    }
    struct image_feature_range *f = ARENA_ARRAY(&b->mem, struct image_feature_range, r->features_n);
    for (int32_t i = 0; i < r->features_n; i++) {
        f[i] =
            (struct image_feature_range){r->features[i].name, r->features[i].min_supported_version,
                                         r->features[i].max_supported_version};
    }
    qsort(f, (size_t)r->features_n, sizeof *f, by_feature);
    b->endpoints = e;
    b->endpoints_n = (uint32_t)r->end_points_n;
    b->features = f;
    b->features_n = (uint32_t)r->features_n;
    b->rack = r->rack;
    set_log_dirs(b, r->log_dirs, r->log_dirs_n);
    set_cordoned(b, r->cordoned_log_dirs, r->cordoned_log_dirs_n);
    struct image_broker *own = image_broker_copy(b); /* texts of its own */
    image_broker_put(b);
    set_broker(d, own->id, own);
    return 0;
}

static int bad_broker(struct errmsg *em, const char *record, int32_t id, int64_t epoch)
{
    return errmsg_set(em, ERR_CORRUPT,
                      "a %s names broker %d with epoch %lld, which is not its registration", record,
                      id, (long long)epoch);
}

/* A copy of the registration to change; NULL unless id and epoch are those of a registration. */
static struct image_broker *edit_broker(struct image_delta *d, int32_t id, int64_t epoch)
{
    const struct image_broker *b = image_broker(d->priv->next, id);
    return b && b->epoch == epoch ? image_broker_copy(b) : NULL;
}

static int apply_fence(struct image_delta *d, int32_t id, int64_t epoch, bool fenced,
                       struct errmsg *em)
{
    struct image_broker *b = edit_broker(d, id, epoch);
    if (b == NULL) {
        return bad_broker(em, fenced ? "FenceBrokerRecord" : "UnfenceBrokerRecord", id, epoch);
    }
    b->fenced = fenced;
    set_broker(d, id, b);
    return 0;
}

int image_apply_broker_change(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct broker_registration_change_record *r = record;
    struct image_broker *b = edit_broker(d, r->broker_id, r->broker_epoch);
    if (b == NULL) {
        return bad_broker(em, "BrokerRegistrationChangeRecord", r->broker_id, r->broker_epoch);
    }
    if (r->fenced != 0) {
        b->fenced = r->fenced > 0;
    }
    if (r->in_controlled_shutdown != 0) {
        b->in_controlled_shutdown = r->in_controlled_shutdown > 0;
    }
    if (r->log_dirs_n > 0) {
        set_log_dirs(b, r->log_dirs, r->log_dirs_n);
    }
    if (r->cordoned_log_dirs_n >= 0) {
        set_cordoned(b, r->cordoned_log_dirs, r->cordoned_log_dirs_n);
    }
    set_broker(d, r->broker_id, b);
    return 0;
}

int image_apply_unregister(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct unregister_broker_record *r = record;
    const struct image_broker *b = image_broker(d->priv->next, r->broker_id);
    if (b == NULL || b->epoch != r->broker_epoch) {
        return bad_broker(em, "UnregisterBrokerRecord", r->broker_id, r->broker_epoch);
    }
    set_broker(d, r->broker_id, NULL);
    return 0;
}

int image_apply_register_controller(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct register_controller_record *r = record;
    UNUSED(em);
    struct image *img = d->priv->next;
    struct image_controller *c = MEM_NEW(struct image_controller);
    refcount_init(&c->refs);
    c->id = r->controller_id;
    c->incarnation = r->incarnation_id;
    c->zk_migration_ready = r->zk_migration_ready;
    struct image_endpoint *e = ARENA_ARRAY(&c->mem, struct image_endpoint, r->end_points_n);
    for (int32_t i = 0; i < r->end_points_n; i++) {
        const struct register_controller_record_controller_endpoint *p = &r->end_points[i];
        e[i].name = bytes_of(arena_strndup(&c->mem, p->name.data, p->name.len), p->name.len);
        e[i].host = bytes_of(arena_strndup(&c->mem, p->host.data, p->host.len), p->host.len);
        e[i].port = p->port;
        e[i].security_protocol = p->security_protocol;
    }
    struct image_feature_range *f = ARENA_ARRAY(&c->mem, struct image_feature_range, r->features_n);
    for (int32_t i = 0; i < r->features_n; i++) {
        struct bytes name = r->features[i].name;
        f[i].name = bytes_of(arena_strndup(&c->mem, name.data, name.len), name.len);
        f[i].min = r->features[i].min_supported_version;
        f[i].max = r->features[i].max_supported_version;
    }
    qsort(f, (size_t)r->features_n, sizeof *f, by_feature);
    c->endpoints = e;
    c->endpoints_n = (uint32_t)r->end_points_n;
    c->features = f;
    c->features_n = (uint32_t)r->features_n;
    int32_t at = 0;
    while (at < img->controllers_n && img->controllers[at]->id < c->id) {
        at++;
    }
    d->controllers_changed = true;
    if (at < img->controllers_n && img->controllers[at]->id == c->id) {
        image_controller_put(img->controllers[at]);
        img->controllers[at] = c;
        return 0;
    }
    img->controllers = mem_realloc(img->controllers, ((size_t)img->controllers_n + 1) * sizeof c);
    memmove(&img->controllers[at + 1], &img->controllers[at],
            (size_t)(img->controllers_n - at) * sizeof c);
    img->controllers[at] = c;
    img->controllers_n++;
    return 0;
}

int image_apply_fence(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct fence_broker_record *r = record;
    return apply_fence(d, r->id, r->epoch, true, em);
}

int image_apply_unfence(struct image_delta *d, const void *record, struct errmsg *em)
{
    const struct unfence_broker_record *r = record;
    return apply_fence(d, r->id, r->epoch, false, em);
}
