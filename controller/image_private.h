/* What image.c, image_delta.c and image_snapshot.c share: making the objects of an image. Objects
 * are one block of memory each (partitions and configs are many), never changed after they are
 * published. Every _new returns one reference. */
#ifndef CONTROLLER_IMAGE_PRIVATE_H
#define CONTROLLER_IMAGE_PRIVATE_H

#include "base/map.h"
#include "controller/image.h"

/* Finds a topic by name; holds one reference on it. */
struct image_topic_name {
    struct cow_obj obj; /* key: the topic's name */
    struct image_topic *topic;
};

struct image_features {
    struct refcount refs;
    int32_t n;
    struct image_feature v[];
};

/* A copy whose arrays are its own. */
struct image_partition *image_partition_new(const struct image_partition *like);
void image_partition_get(struct image_partition *p);
void image_partition_put(struct image_partition *p); /* NULL is allowed */
bool image_partition_same(const struct image_partition *a, const struct image_partition *b);

struct image_topic *image_topic_new(struct uuid id, struct bytes name);
/* Shares the partitions; for the delta to change. */
struct image_topic *image_topic_copy(const struct image_topic *t);
/* Takes over the caller's reference on p. */
void image_topic_set(struct image_topic *t, struct image_partition *p);

struct image_broker *image_broker_copy(const struct image_broker *b);
void image_broker_put(struct image_broker *b);
void image_controller_put(struct image_controller *c);

/* entries are sorted here. */
struct image_config *image_config_new(int8_t type, struct bytes resource,
                                      const struct image_config_entry *entries, size_t n);
/* The key of a resource in the table of configs. */
void image_config_key(struct buf *out, int8_t type, struct bytes resource);

struct image_opaque *image_opaque_new(struct bytes key, int16_t type, struct bytes record);

/* Puts the topic (one reference taken over) under both of its keys. */
void image_put_topic(struct image *img, struct image_topic *t);
void image_remove_topic(struct image *img, struct image_topic *t);

/* A version to build on: everything shared with img (NULL: empty), one reference. */
struct image *image_copy(const struct image *img);

/* ---- building a version: image_delta*.c ---- */

/* A key that the delta has touched: a topic's id, or a resource's key. */
struct image_touched {
    struct uuid id;      /* of a topic */
    struct buf key;      /* of a resource */
    struct bytes as_key; /* whichever it is */
};

struct image_delta_priv {
    struct image *next;
    struct map topics;  /* struct image_touched */
    struct map configs; /* struct image_touched */
    bool brokers_touched;
    bool any;
};

struct image_touched *image_touch_topic(struct image_delta *d, struct uuid id);
struct image_touched *image_touch_config(struct image_delta *d, int8_t type, struct bytes resource);

/* One for each record type that means something; record is its generated struct. */
typedef int image_apply_fn(struct image_delta *d, const void *record, struct errmsg *em);
image_apply_fn image_apply_topic, image_apply_partition, image_apply_partition_change,
    image_apply_remove_topic, image_apply_clear_elr, image_apply_register_broker,
    image_apply_broker_change, image_apply_unregister, image_apply_fence, image_apply_unfence,
    image_apply_register_controller;
/* All others: kept if they have a key, else passed over. */
int image_apply_opaque(struct image_delta *d, const struct proto_message *m, int16_t version,
                       const void *record, struct errmsg *em);

/* image_delta_finish.c: fills the lists of d from base and the finished image. */
void image_delta_fill(struct image_delta *d);

#endif
