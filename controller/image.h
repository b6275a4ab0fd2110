/* The metadata image: what the records of `__cluster_metadata-0` up to an offset say about the
 * cluster. A pure function of the records, with no I/O, no clock and no Kafka request in it.
 *
 * An image is immutable once published and is shared by all shards through its reference count
 * (image_get, image_put; the objects inside are kept alive by the image, so a reader holds one
 * reference on the image and follows plain pointers). A new version is made by an image_delta:
 *
 *     struct image_delta *d = image_delta_new(old);
 *     image_delta_apply(d, message, record)...        (any number)
 *     struct image *new = image_delta_finish(d, offset, epoch, time);
 *     ... publish (old, new, d); every holder puts its references when done
 *
 * Versions share what did not change: topics, configs and the opaque records lie in tables of 256
 * copy-on-write buckets (cowmap.h), a partition is an object of its own. The delta tells what
 * changed, with the old and the new object side by side, so that a shard's work is proportional to
 * the change.
 *
 * Failure modes: a record that contradicts the image (a partition of an unknown topic, a negative
 * partition number, a change of a broker that is not registered) is ERR_CORRUPT with a sentence;
 * the delta is then only good to be thrown away. A record type without meaning here is kept for
 * snapshots where it has a key (ACLs, SCRAM credentials, quotas, tokens).
 *
 * Shard: any (immutable). A delta is changed by the shard that made it and read-only after finish.
 */
#ifndef CONTROLLER_IMAGE_H
#define CONTROLLER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "controller/cowmap.h"
#include "proto/message.h"
#include "runtime/refcount.h"

/* Resource types of configs as Kafka numbers them. */
enum {
    CONFIG_TOPIC = 2,
    CONFIG_BROKER = 4, /* name "" is the cluster-wide default */
    CONFIG_BROKER_LOGGER = 8,
    CONFIG_CLIENT_METRICS = 16,
    CONFIG_GROUP = 32,
};

struct image_partition {
    struct refcount refs;
    int32_t index;
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int8_t leader_recovery_state; /* 0 recovered, 1 recovering (after an unclean election) */
    const int32_t *replicas;
    const int32_t *isr;
    const int32_t *adding;   /* replicas a reassignment adds */
    const int32_t *removing; /* replicas a reassignment removes */
    const int32_t *elr;      /* eligible leader replicas (KIP-966) */
    const int32_t *last_known_elr;
    const struct uuid *directories; /* one for each replica, in their order */
    uint32_t replicas_n;
    uint32_t isr_n;
    uint32_t adding_n;
    uint32_t removing_n;
    uint32_t elr_n;
    uint32_t last_known_elr_n;
    uint32_t directories_n; /* replicas_n */
};

struct image_topic {
    struct cow_obj by_id; /* key: the 16 bytes of id */
    struct uuid id;
    struct bytes name;
    uint32_t partitions_n; /* highest index + 1 */
    struct image_partition *
        *partitions; /* by index; NULL where the log has not said anything yet */
};

struct image_endpoint {
    struct bytes name; /* listener */
    struct bytes host;
    uint16_t port;
    int16_t security_protocol; /* 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL */
};

struct image_feature_range {
    struct bytes name;
    int16_t min;
    int16_t max;
};

struct image_broker { /* a broker's registration */
    struct refcount refs;
    int32_t id;
    int64_t epoch; /* offset of its RegisterBroker record */
    struct uuid incarnation;
    bool fenced;
    bool in_controlled_shutdown;
    bool migrating_zk;
    bool cordoned_null; /* the record carried no list of cordoned directories */
    struct bytes rack;  /* null: none */
    uint32_t endpoints_n;
    uint32_t features_n;
    uint32_t log_dirs_n;
    uint32_t cordoned_n;
    const struct image_endpoint *endpoints;
    const struct image_feature_range *features; /* sorted by name */
    const struct uuid *log_dirs;                /* online ones, sorted */
    const struct uuid *cordoned;
    struct arena mem; /* all of the above */
};

struct image_controller {
    struct refcount refs;
    int32_t id;
    struct uuid incarnation;
    bool zk_migration_ready;
    uint32_t endpoints_n;
    uint32_t features_n;
    const struct image_endpoint *endpoints;
    const struct image_feature_range *features;
    struct arena mem;
};

struct image_config_entry {
    struct bytes name;
    struct bytes value;
};

struct image_config { /* what is set on one resource; without any entry there is no object */
    struct cow_obj obj;
    int8_t type;
    struct bytes resource;
    uint32_t n;
    const struct image_config_entry *entries; /* sorted by name */
};

struct image_feature {
    struct bytes name;
    int16_t level; /* above 0 */
};

/* A record kept as it is, for snapshots and for later issues: ACLs by id, SCRAM credentials by user
 * and mechanism, quotas by entity and key, delegation tokens by id. */
struct image_opaque {
    struct cow_obj obj;  /* key: type byte and what identifies the record */
    int16_t type;        /* record type */
    struct bytes record; /* framed: version 1, type, version, message */
};

struct image_features;

struct image {
    struct refcount refs;
    int64_t offset;  /* of the last record applied; -1 for the empty image */
    int32_t epoch;   /* its leader epoch */
    int64_t time_ms; /* its batch's timestamp */
    int64_t next_producer_id;
    int32_t brokers_n;
    int32_t controllers_n;
    int32_t features_n;
    int32_t topics_n;
    int64_t partitions_n;                  /* over all topics */
    struct image_broker **brokers;         /* sorted by id */
    struct image_controller **controllers; /* sorted by id */
    const struct image_feature *features;  /* finalized, sorted by name; without kraft.version */
    struct image_features *features_owner; /* keeps them */
    struct cowmap topics_by_id;            /* struct image_topic */
    struct cowmap topics_by_name;          /* struct image_topic_name, private */
    struct cowmap configs;                 /* struct image_config */
    struct cowmap opaque;                  /* struct image_opaque */
};

struct image *image_empty(void);
struct image *image_get(const struct image *img); /* one more owner; returns img */
void image_put(const struct image *img);          /* NULL is allowed */

const struct image_topic *image_topic_by_id(const struct image *img, struct uuid id);
const struct image_topic *image_topic_by_name(const struct image *img, struct bytes name);
/* NULL if there is none of that number. */
const struct image_partition *image_partition(const struct image_topic *t, int32_t index);
/* Is it under-replicated? What a reassignment adds is on its way, and not missing (as in Kafka). */
bool image_partition_is_behind(const struct image_partition *p);
const struct image_broker *image_broker(const struct image *img, int32_t id);
const struct image_controller *image_controller(const struct image *img, int32_t id);
/* The endpoint of a listener name, or NULL. */
const struct image_endpoint *image_broker_endpoint(const struct image_broker *b,
                                                   struct bytes listener);
const struct image_config *image_config(const struct image *img, int8_t type, struct bytes name);
/* The value set on the resource, or null. */
struct bytes image_config_value(const struct image *img, int8_t type, struct bytes resource,
                                struct bytes name);
/* Finalized level; 0 when the feature is not finalized. */
int16_t image_feature_level(const struct image *img, const char *name);

/* All topics, in an order that depends only on their ids. Zero-initialise it. */
struct image_topic_iter {
    struct cowmap_iter it;
};
const struct image_topic *image_next_topic(const struct image *img, struct image_topic_iter *it);

/* ---- changes ---- */

/* One changed object: before is NULL for a new one, after for one that is gone. */
struct image_topic_change {
    const struct image_topic *before;
    const struct image_topic *after;
};
struct image_broker_change {
    int32_t id;
    const struct image_broker *before;
    const struct image_broker *after;
};
struct image_config_change {
    int8_t type;
    struct bytes resource;
    const struct image_config *before;
    const struct image_config *after;
};

struct image_delta_priv;

/* After finish every list is whole and holds each object once (one that came and went, or ends as
 * it was, is left out where that is cheap to see). Inside a changed topic compare the pointers of
 * before->partitions[i] and after->partitions[i]: equal pointers are unchanged partitions. */
struct image_delta {
    struct refcount refs;
    struct image *base;  /* owned */
    struct image *image; /* owned, after finish */
    uint32_t topics_n;
    uint32_t brokers_n;
    uint32_t configs_n;
    bool features_changed;
    bool producer_ids_changed;
    bool controllers_changed;
    bool opaque_changed;
    bool is_snapshot; /* base was replaced by a snapshot: the lists are the difference all the same
                       */
    struct image_topic_change *topics;
    struct image_broker_change *brokers;
    struct image_config_change *configs;
    struct image_delta_priv *priv; /* while it is built */
};

struct image_delta *image_delta_new(struct image *base); /* takes its own reference on base */
/* The delta of a whole snapshot: starts from nothing, the lists become the difference to base. */
struct image_delta *image_delta_new_snapshot(struct image *base);
/* One metadata record (a decoded message of kind PROTO_METADATA). ERR_CORRUPT, ERR_UNSUPPORTED. */
int image_delta_apply(struct image_delta *d, const struct proto_message *m, int16_t version,
                      const void *record, struct errmsg *em);
bool image_delta_is_empty(const struct image_delta *d);
/* Makes the new version; offset is that of the last record in it. Returns it with a reference of
 * the caller's own. */
struct image *image_delta_finish(struct image_delta *d, int64_t offset, int32_t epoch,
                                 int64_t time_ms);
struct image_delta *image_delta_get(struct image_delta *d);
void image_delta_put(struct image_delta *d); /* NULL is allowed; also abandons an unfinished one */

/* ---- the state as records ---- */

/* Writes the image as Kafka's snapshots hold it, a record at a time, so that a large one does not
 * stall the shard: image_writer_init, image_writer_next until it returns false. The image must be
 * kept by the caller meanwhile. Record versions follow the image's metadata.version. */
struct image_writer {
    const struct image *img;
    int phase;
    uint32_t at;
    struct cowmap_iter it;
    const struct image_topic *topic;
    const struct image_config *config;
};
void image_writer_init(struct image_writer *w, const struct image *img);
/* Appends the next framed record to out (which the caller clears between records). */
bool image_writer_next(struct image_writer *w, struct buf *out);

struct partition_record;
/* Fills a PartitionRecord of this version; its arrays are p's. */
void image_partition_record(const struct image_topic *t, const struct image_partition *p,
                            int16_t version, struct partition_record *r);

#endif
