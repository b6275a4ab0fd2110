/* A topic as one shard sees it: id, name and effective settings, resolved once from configuration
 * and metadata and kept until one of them changes. Connections judge batches by it, partitions
 * hand its log settings to their logs. Counted without atomics: it never leaves its shard.
 *
 * Shard: the one that made it. */
#ifndef BROKER_TOPIC_SETTINGS_H
#define BROKER_TOPIC_SETTINGS_H

#include "base/map.h"
#include "base/uuid.h"
#include "broker/topic_config.h"

struct config;
struct image;
struct image_topic;
struct topic_counts; /* broker/shard_stats.h */

struct topic_settings {
    uint32_t refs;
    struct uuid id;
    char *name;
    struct topic_config config;
    struct topic_counts *counts; /* the topic's, whatever its settings become; a reference */
};

/* Of one shard; zero-initialise. */
struct topic_table {
    struct map by_id;
    struct map counts; /* id -> struct topic_counts: until the topic is deleted */
    const struct config *config;
    int32_t node_id;
};

/* Resolved now or before; the table keeps a reference, the caller none. */
struct topic_settings *topic_settings_find(struct topic_table *t, const struct image *img,
                                           const struct image_topic *topic);
void topic_settings_get(struct topic_settings *s);
void topic_settings_put(struct topic_settings *s);
/* The topic's settings may have changed, or it is gone: the next find resolves anew. */
void topic_settings_forget(struct topic_table *t, struct uuid id);
void topic_settings_forget_all(struct topic_table *t);
/* The topic is gone, or the table is going (after topic_settings_forget_all): what was counted ends
 * with those who still hold settings. */
void topic_settings_drop(struct topic_table *t, struct uuid id);
void topic_settings_drop_all(struct topic_table *t);

#endif
