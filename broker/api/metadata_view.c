#include "broker/api/metadata_view.h"

#include "broker/listener.h"

const struct image_endpoint *metadata_view_endpoint(const struct request *r, int32_t broker)
{
    const struct image_broker *b = image_broker(r->image, broker);
    return b ? image_broker_endpoint(b, bytes_str(r->listener->config->name)) : NULL;
}

/* Reserved directory ids: 0 and 1 are "not assigned yet", 2 is a lost directory. */
static bool in_offline_dir(const struct image_broker *b, struct uuid dir)
{
    if (uuid_eq(dir, uuid_reserved(0)) || uuid_eq(dir, uuid_reserved(1))) {
        return false;
    }
    if (uuid_eq(dir, uuid_reserved(2))) {
        return true;
    }
    for (uint32_t i = 0; i < b->log_dirs_n; i++) {
        if (uuid_eq(b->log_dirs[i], dir)) {
            return false;
        }
    }
    return b->log_dirs_n > 0;
}

static bool is_offline(const struct request *r, const struct image_partition *p, uint32_t i)
{
    const struct image_broker *b = image_broker(r->image, p->replicas[i]);
    return b == NULL || b->fenced || metadata_view_endpoint(r, p->replicas[i]) == NULL ||
           (i < p->directories_n && in_offline_dir(b, p->directories[i]));
}

int32_t *metadata_view_offline(const struct request *r, const struct image_partition *p, int32_t *n)
{
    int32_t *out = NULL;
    *n = 0;
    for (uint32_t i = 0; i < p->replicas_n; i++) {
        if (is_offline(r, p, i)) {
            if (out == NULL) {
                out = ARENA_ARRAY((struct arena *)(uintptr_t)&r->arena, int32_t, p->replicas_n);
            }
            out[(*n)++] = p->replicas[i];
        }
    }
    return out;
}

int32_t *metadata_view_ids(const int32_t *ids)
{
    return (int32_t *)(uintptr_t)ids;
}

int32_t metadata_view_controller(const struct request *r)
{
    const struct image *img = r->image;
    const struct image_broker *self = image_broker(img, request_node(r)->id);
    if (self && !self->fenced) {
        return self->id;
    }
    for (int32_t i = 0; i < img->brokers_n; i++) {
        if (!img->brokers[i]->fenced) {
            return img->brokers[i]->id;
        }
    }
    return -1;
}
