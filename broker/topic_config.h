/* The settings of a topic. Each has the topic's own value, or else comes from the broker settings
 * that stand behind it (log.retention.ms, log.retention.minutes, log.retention.hours for
 * retention.ms) at their levels (dynamic_config.h), or else is the default.
 *
 * struct topic_config is what the data plane works with: typed, units in the names, small enough to
 * be copied. Pure functions of configuration and image. */
#ifndef BROKER_TOPIC_CONFIG_H
#define BROKER_TOPIC_CONFIG_H

#include "base/arena.h"
#include "broker/dynamic_config.h"
#include "storage/log_config.h"

enum { TOPIC_CODEC_PRODUCER = -1 };

struct topic_config {
    struct log_config log;           /* what the partitions' logs obey */
    int64_t timestamp_before_max_ms; /* message.timestamp.before.max.ms */
    int64_t timestamp_after_max_ms;  /* message.timestamp.after.max.ms */
    int32_t max_message_bytes;       /* max.message.bytes */
    int32_t min_insync_replicas;     /* min.insync.replicas */
    int codec;                       /* enum codec, or TOPIC_CODEC_PRODUCER: as it came */
    int level;                       /* of that codec; CODEC_LEVEL_DEFAULT */
    bool unclean_leader_election;    /* unclean.leader.election.enable */
};

/* topic may be unknown to the image: then only the broker's settings count. */
void topic_config_resolve(const struct config *c, const struct image *img, struct bytes topic,
                          struct topic_config *out);
/* The defaults of Kafka, without any configuration (tests). */
void topic_config_default(struct topic_config *out);

/* One setting of a topic with these own settings: its value (text in the arena or static; null if
 * it has none) and where it comes from. */
struct bytes topic_config_effective(const struct config *c, const struct image *img,
                                    const struct config_def *d,
                                    const struct image_config_entry *own, size_t own_n,
                                    struct arena *a, enum config_source *source);

/* May a topic have these settings together (names, values, and the rules between them)? 0, or
 * INVALID_CONFIG with a sentence. */
int16_t topic_config_check(const struct config *c, const struct image *img,
                           const struct image_config_entry *own, size_t n, struct errmsg *em);

#endif
