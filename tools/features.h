/* What the release knows of features without asking a cluster: which levels belong to a release,
 * and what a level needs. `millrace features` and `millrace storage` both answer that, as Kafka's
 * two tools do. */
#ifndef TOOLS_FEATURES_H
#define TOOLS_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define METADATA_VERSION "metadata.version"

/* The level that a new cluster of metadata.version `level` gets; 0 for an unknown feature. */
int16_t feature_default(const char *name, int16_t level);
/* The names of the features that have levels by release, in Kafka's order; ends with NULL. */
extern const char *const feature_names[];

/* "transaction.version=2": 0 and the name's length, or ERR_INVALID with a sentence. */
int feature_parse(const char *text, size_t *name_len, int16_t *level, struct errmsg *em);
/* The level of metadata.version that "4.3", "4.3.1" or "4.3-IV0" stands for. */
int feature_release(const char *release, int16_t *level, struct errmsg *em);

/* The two commands: print, as text or as JSON (listing.h), or a sentence in em. */
int feature_print_mapping(const char *release /* NULL: the newest */, bool json, struct errmsg *em);
int feature_print_dependencies(const char *const *features, bool json, struct errmsg *em);

#endif
