/* The image as records, in the order of Kafka's snapshots: features (metadata.version first, since
 * it decides how the rest is read), brokers, controllers, topics with their partitions, configs,
 * quotas, producer ids, ACLs, SCRAM credentials, delegation tokens. What the record version of an
 * old metadata.version cannot hold is left out, as Kafka does. */
#include "base/mem.h"
#include "controller/image_private.h"
#include "proto_features.h"
#include "proto_messages.h"

enum phase {
    PHASE_METADATA_VERSION,
    PHASE_FEATURES,
    PHASE_BROKERS,
    PHASE_CONTROLLERS,
    PHASE_TOPICS,
    PHASE_CONFIGS,
    PHASE_QUOTAS,
    PHASE_PRODUCER_IDS,
    PHASE_ACLS,
    PHASE_SCRAM,
    PHASE_TOKENS,
    PHASE_END,
};

/* Record types of the phases that pass through kept records. */
enum { TYPE_TOKEN = 10, TYPE_SCRAM = 11, TYPE_QUOTA = 14, TYPE_ACL = 18 };

static const char METADATA_VERSION[] = "metadata.version";

void image_writer_init(struct image_writer *w, const struct image *img)
{
    *w = (struct image_writer){.img = img};
}

/* The levels' table; the oldest one where the image has no metadata.version (an empty log). */
static const struct proto_metadata_version *levels(const struct image *img)
{
    int16_t level = image_feature_level(img, METADATA_VERSION);
    const struct proto_metadata_version *v = proto_metadata_version(level);
    return v ? v : &proto_metadata_versions[0];
}

static void put(const struct proto_message *m, int16_t version, const void *record, struct buf *out)
{
    struct errmsg em;
    int err = proto_encode_metadata_record(m, version, record, out, &em);
    ASSERT(err == 0);
}

static void put_feature(const struct image_feature *f, struct buf *out)
{
    struct feature_level_record r;
    proto_msg_init(&feature_level_record_msg, &r);
    r.name = f->name;
    r.feature_level = f->level;
    put(&feature_level_record_msg, 0, &r, out);
}

static void put_broker(const struct image *img, const struct image_broker *b, struct buf *out)
{
    int16_t version = levels(img)->register_broker_record;
    struct arena a = {0};
    struct register_broker_record r;
    proto_msg_init(&register_broker_record_msg, &r);
    r.broker_id = b->id;
    r.is_migrating_zk_broker = version >= 2 && b->migrating_zk;
    r.incarnation_id = b->incarnation;
    r.broker_epoch = b->epoch;
    r.end_points = proto_array(&a, &register_broker_record_broker_endpoint_desc, b->endpoints_n);
    r.end_points_n = (int32_t)b->endpoints_n;
    for (uint32_t i = 0; i < b->endpoints_n; i++) {
        r.end_points[i].name = b->endpoints[i].name;
        r.end_points[i].host = b->endpoints[i].host;
        r.end_points[i].port = b->endpoints[i].port;
        r.end_points[i].security_protocol = b->endpoints[i].security_protocol;
    }
    r.features = proto_array(&a, &register_broker_record_broker_feature_desc, b->features_n);
    r.features_n = (int32_t)b->features_n;
    for (uint32_t i = 0; i < b->features_n; i++) {
        r.features[i].name = b->features[i].name;
        r.features[i].min_supported_version = b->features[i].min;
        r.features[i].max_supported_version = b->features[i].max;
    }
    r.rack = b->rack;
    r.fenced = b->fenced;
    r.in_controlled_shutdown = version >= 1 && b->in_controlled_shutdown;
    if (version >= 3) {
        r.log_dirs = (struct uuid *)(uintptr_t)b->log_dirs;
        r.log_dirs_n = (int32_t)b->log_dirs_n;
    }
    if (version >= 4 && !b->cordoned_null) {
        r.cordoned_log_dirs = (struct uuid *)(uintptr_t)b->cordoned;
        r.cordoned_log_dirs_n = (int32_t)b->cordoned_n;
    }
    put(&register_broker_record_msg, version, &r, out);
    arena_free(&a);
}

static void put_controller(const struct image_controller *c, struct buf *out)
{
    struct arena a = {0};
    struct register_controller_record r;
    proto_msg_init(&register_controller_record_msg, &r);
    r.controller_id = c->id;
    r.incarnation_id = c->incarnation;
    r.zk_migration_ready = c->zk_migration_ready;
    r.end_points =
        proto_array(&a, &register_controller_record_controller_endpoint_desc, c->endpoints_n);
    r.end_points_n = (int32_t)c->endpoints_n;
    for (uint32_t i = 0; i < c->endpoints_n; i++) {
        r.end_points[i].name = c->endpoints[i].name;
        r.end_points[i].host = c->endpoints[i].host;
        r.end_points[i].port = c->endpoints[i].port;
        r.end_points[i].security_protocol = c->endpoints[i].security_protocol;
    }
    r.features =
        proto_array(&a, &register_controller_record_controller_feature_desc, c->features_n);
    r.features_n = (int32_t)c->features_n;
    for (uint32_t i = 0; i < c->features_n; i++) {
        r.features[i].name = c->features[i].name;
        r.features[i].min_supported_version = c->features[i].min;
        r.features[i].max_supported_version = c->features[i].max;
    }
    put(&register_controller_record_msg, 0, &r, out);
    arena_free(&a);
}

static void put_topic(const struct image_topic *t, struct buf *out)
{
    struct topic_record r;
    proto_msg_init(&topic_record_msg, &r);
    r.name = t->name;
    r.topic_id = t->id;
    put(&topic_record_msg, 0, &r, out);
}

static int32_t *ids(const int32_t *v)
{
    return (int32_t *)(uintptr_t)v;
}

static void put_partition(const struct image *img, const struct image_topic *t,
                          const struct image_partition *p, struct buf *out)
{
    int16_t version = levels(img)->partition_record;
    struct partition_record r;
    image_partition_record(t, p, version, &r);
    put(&partition_record_msg, version, &r, out);
}

void image_partition_record(const struct image_topic *t, const struct image_partition *p,
                            int16_t version, struct partition_record *r)
{
    proto_msg_init(&partition_record_msg, r);
    r->partition_id = p->index;
    r->topic_id = t->id;
    r->replicas = ids(p->replicas);
    r->replicas_n = (int32_t)p->replicas_n;
    r->isr = ids(p->isr);
    r->isr_n = (int32_t)p->isr_n;
    r->removing_replicas = ids(p->removing);
    r->removing_replicas_n = (int32_t)p->removing_n;
    r->adding_replicas = ids(p->adding);
    r->adding_replicas_n = (int32_t)p->adding_n;
    r->leader = p->leader;
    r->leader_recovery_state = p->leader_recovery_state;
    r->leader_epoch = p->leader_epoch;
    r->partition_epoch = p->partition_epoch;
    if (version >= 1) {
        r->directories = (struct uuid *)(uintptr_t)p->directories;
        r->directories_n = (int32_t)p->directories_n;
    }
    if (version >= 2 && p->elr_n) {
        r->eligible_leader_replicas = ids(p->elr);
        r->eligible_leader_replicas_n = (int32_t)p->elr_n;
    }
    if (version >= 2 && p->last_known_elr_n) {
        r->last_known_elr = ids(p->last_known_elr);
        r->last_known_elr_n = (int32_t)p->last_known_elr_n;
    }
}

/* ---- one phase each: true if a record was appended, false when the phase is over ---- */

static bool next_feature(struct image_writer *w, struct buf *out)
{
    while (w->at < (uint32_t)w->img->features_n) {
        const struct image_feature *f = &w->img->features[w->at++];
        if (bytes_eq_str(f->name, METADATA_VERSION) == (w->phase == PHASE_METADATA_VERSION)) {
            put_feature(f, out);
            return true;
        }
    }
    return false;
}

static bool next_topic(struct image_writer *w, struct buf *out)
{
    while (w->topic && w->at < w->topic->partitions_n) {
        const struct image_partition *p = w->topic->partitions[w->at++];
        if (p) {
            put_partition(w->img, w->topic, p, out);
            return true;
        }
    }
    struct cow_obj *o = cowmap_next(&w->img->topics_by_id, &w->it);
    if (o == NULL) {
        return false;
    }
    w->topic = CONTAINER_OF(o, struct image_topic, by_id);
    w->at = 0;
    put_topic(w->topic, out);
    return true;
}

static bool next_config(struct image_writer *w, struct buf *out)
{
    if (w->config == NULL || w->at == w->config->n) {
        struct cow_obj *o = cowmap_next(&w->img->configs, &w->it);
        if (o == NULL) {
            return false;
        }
        w->config = CONTAINER_OF(o, struct image_config, obj);
        w->at = 0;
    }
    const struct image_config_entry *e = &w->config->entries[w->at++];
    struct config_record r;
    proto_msg_init(&config_record_msg, &r);
    r.resource_type = w->config->type;
    r.resource_name = w->config->resource;
    r.name = e->name;
    r.value = e->value;
    put(&config_record_msg, 0, &r, out);
    return true;
}

static bool next_opaque(struct image_writer *w, int16_t type, struct buf *out)
{
    struct cow_obj *o;
    while ((o = cowmap_next(&w->img->opaque, &w->it)) != NULL) {
        const struct image_opaque *r = CONTAINER_OF(o, struct image_opaque, obj);
        if (r->type == type) {
            buf_put(out, r->record.data, r->record.len);
            return true;
        }
    }
    return false;
}

static bool next_producer_ids(struct image_writer *w, struct buf *out)
{
    if (w->at++ || w->img->next_producer_id <= 0) {
        return false;
    }
    struct producer_ids_record r;
    proto_msg_init(&producer_ids_record_msg, &r);
    r.broker_id = -1;
    r.broker_epoch = -1;
    r.next_producer_id = w->img->next_producer_id;
    put(&producer_ids_record_msg, 0, &r, out);
    return true;
}

static bool next_of_phase(struct image_writer *w, struct buf *out)
{
    switch (w->phase) {
    case PHASE_METADATA_VERSION:
    case PHASE_FEATURES:
        return next_feature(w, out);
    case PHASE_BROKERS:
        if (w->at < (uint32_t)w->img->brokers_n) {
            put_broker(w->img, w->img->brokers[w->at++], out);
            return true;
        }
        return false;
    case PHASE_CONTROLLERS:
        if (w->at < (uint32_t)w->img->controllers_n) {
            put_controller(w->img->controllers[w->at++], out);
            return true;
        }
        return false;
    case PHASE_TOPICS:
        return next_topic(w, out);
    case PHASE_CONFIGS:
        return next_config(w, out);
    case PHASE_QUOTAS:
        return next_opaque(w, TYPE_QUOTA, out);
    case PHASE_PRODUCER_IDS:
        return next_producer_ids(w, out);
    case PHASE_ACLS:
        return next_opaque(w, TYPE_ACL, out);
    case PHASE_SCRAM:
        return next_opaque(w, TYPE_SCRAM, out);
    case PHASE_TOKENS:
        return next_opaque(w, TYPE_TOKEN, out);
    default:
        return false;
    }
}

bool image_writer_next(struct image_writer *w, struct buf *out)
{
    while (w->phase < PHASE_END) {
        if (next_of_phase(w, out)) {
            return true;
        }
        w->phase++;
        w->at = 0;
        w->it = (struct cowmap_iter){0};
    }
    return false;
}
