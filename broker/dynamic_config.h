/* Broker settings while the server runs: what the metadata says about this broker over what its
 * configuration says. Four levels, the first that has a value counts:
 *
 *     this broker's dynamic settings > the cluster-wide ones > the file and command line > default
 *
 * Pure functions of a configuration and an image: whoever keeps a value asks again when
 * dynamic_config_changed says that the delta touches this broker. Which settings may be changed
 * this way is Kafka's table (update_mode); a few that Kafka changes and this version cannot
 * (listeners, TLS) are refused with a sentence. */
#ifndef BROKER_DYNAMIC_CONFIG_H
#define BROKER_DYNAMIC_CONFIG_H

#include "broker/config.h"
#include "controller/image.h"

/* Where a value comes from; the numbers are those of DescribeConfigs (ConfigSource). */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_BROKER = 2,         /* dynamic, this broker */
    CONFIG_SOURCE_BROKER_DEFAULT = 3, /* dynamic, cluster-wide */
    CONFIG_SOURCE_STATIC = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_LOGGER = 6,
    CONFIG_SOURCE_CLIENT_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8,
};

/* The text that one level has for a broker setting; null if it has none. img may be NULL. */
struct bytes dynamic_config_level(const struct config *c, const struct image *img, const char *name,
                                  enum config_source level);

/* The value that counts for one name; *source (may be NULL) tells its level. A dynamic value that
 * does not parse (written by a version that allowed it) counts as absent. */
void dynamic_config_value(const struct config *c, const struct image *img,
                          const struct config_def *d, struct config_value *out,
                          enum config_source *source);
/* The same for a name that exists and has the type. */
int64_t dynamic_config_int(const struct config *c, const struct image *img, const char *name);
struct bytes dynamic_config_text(const struct config *c, const struct image *img, const char *name);

/* Does the delta change settings that count for this broker? */
bool dynamic_config_changed(const struct config *c, const struct image_delta *d);

/* May `name` be set to `value` (null: only asks about the name) on one broker or cluster-wide?
 * 0, or Kafka's code with a sentence. */
int16_t dynamic_config_check(const struct config *c, const struct image *img, struct bytes name,
                             struct bytes value, bool cluster_wide, struct errmsg *em);
/* APPEND and SUBTRACT are of lists only, and are asked about before any value is looked at. */
int16_t dynamic_config_check_edit(struct bytes name, struct errmsg *em);
/* The definition of a dynamic name: quota keys and listener.name.NAME. prefixes too. NULL: none. */
const struct config_def *dynamic_config_find(struct bytes name);
bool dynamic_config_is_dynamic(const struct config_def *d);

#endif
