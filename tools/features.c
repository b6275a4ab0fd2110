#include "tools/features.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "controller/format.h"
#include "proto_features.h"
#include "tools/listing.h"

const char *const feature_names[] = {
    "kraft.version",
    "transaction.version",
    "group.version",
    "eligible.leader.replicas.version",
    "share.version",
    "streams.version",
    NULL,
};

int16_t feature_default(const char *name, int16_t level)
{
    const struct proto_feature *f = proto_feature(name);
    for (size_t i = 0; f && f->default_at && i < proto_metadata_versions_n; i++) {
        if (proto_metadata_versions[i].level == level) {
            return f->default_at[i];
        }
    }
    return 0;
}

int feature_parse(const char *text, size_t *name_len, int16_t *level, struct errmsg *em)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL) {
        return errmsg_set(em, ERR_INVALID,
                          "Can't parse feature=level string %s: equals sign not found.", text);
    }
    char *end;
    errno = 0;
    long v = strtol(eq + 1, &end, 10);
    if (errno || end == eq + 1 || *end || v < INT16_MIN || v > INT16_MAX) {
        return errmsg_set(em, ERR_INVALID,
                          "Can't parse feature=level string %s: unable to parse %s as a short.",
                          text, eq + 1);
    }
    *name_len = (size_t)(eq - text);
    *level = (int16_t)v;
    return 0;
}

int feature_release(const char *release, int16_t *level, struct errmsg *em)
{
    *level = format_metadata_version(release);
    if (*level) {
        return 0;
    }
    struct buf names = {0};
    for (size_t i = 0; i < proto_metadata_versions_n; i++) {
        buf_printf(&names, "%s%s", i ? ", " : "", proto_metadata_versions[i].name);
    }
    int rv = errmsg_set(em, ERR_INVALID,
                        "Unknown metadata.version '%s'. Supported metadata.version are: %s",
                        release, buf_cstr(&names));
    buf_free(&names);
    return rv;
}

/* A level; of metadata.version with the release that it stands for. */
static void put_level(json_t *o, const char *name, int16_t level)
{
    const struct proto_metadata_version *v =
        strcmp(name, METADATA_VERSION) == 0 ? proto_metadata_version(level) : NULL;
    json_put_text(o, "feature", bytes_str(name));
    json_put_int(o, "level", level);
    json_put_text(o, "release", bytes_str(v ? v->name : NULL));
}

static void print_mapping_json(int16_t level)
{
    json_t *all = listing_new("version-mapping");
    put_level(listing_item(all), METADATA_VERSION, level);
    for (size_t i = 0; feature_names[i]; i++) {
        put_level(listing_item(all), feature_names[i], feature_default(feature_names[i], level));
    }
    listing_print(all);
}

int feature_print_mapping(const char *release, bool json, struct errmsg *em)
{
    int16_t level = format_newest_release();
    int rv = release ? feature_release(release, &level, em) : 0;
    if (rv) {
        return rv;
    }
    if (json) {
        print_mapping_json(level);
        return 0;
    }
    printf(METADATA_VERSION "=%d (%s)\n", level,
           release ? release : proto_metadata_version(level)->name);
    for (size_t i = 0; feature_names[i]; i++) {
        printf("%s=%d\n", feature_names[i], feature_default(feature_names[i], level));
    }
    return 0;
}

static const struct proto_feature_level *find_level(const char *name, int16_t level)
{
    for (size_t i = 0; i < proto_feature_levels_n; i++) {
        const struct proto_feature_level *l = &proto_feature_levels[i];
        if (l->level == level && strcmp(l->feature, name) == 0) {
            return l;
        }
    }
    return NULL;
}

/* Of metadata.version that this level needs; below 0: it needs none. */
static int needed(const char *name, int16_t level, int16_t *needs, struct errmsg *em)
{
    *needs = -1;
    if (strcmp(name, METADATA_VERSION) == 0) {
        return proto_metadata_version(level)
                   ? 0
                   : errmsg_set(em, ERR_INVALID, "Unknown " METADATA_VERSION " %d", level);
    }
    if (proto_feature(name) == NULL) {
        return errmsg_set(em, ERR_INVALID, "Unknown feature: %s", name);
    }
    const struct proto_feature_level *l = find_level(name, level);
    if (l == NULL) {
        return errmsg_set(em, ERR_INVALID, "No feature:%s with feature level %d", name, level);
    }
    *needs = l->needs_metadata_version;
    return 0;
}

static void print_needed(const char *name, int16_t level, int16_t needs)
{
    if (needs >= 0) {
        printf("%s=%d requires:\n    " METADATA_VERSION "=%d (%s)\n", name, level, needs,
               proto_metadata_version(needs)->name);
    } else if (strcmp(name, METADATA_VERSION) == 0) {
        printf("%s=%d (%s) has no dependencies.\n", name, level,
               proto_metadata_version(level)->name);
    } else {
        printf("%s=%d has no dependencies.\n", name, level);
    }
}

static void put_needed(json_t *o, const char *name, int16_t level, int16_t needs)
{
    put_level(o, name, level);
    json_t *all = json_put_array(o, "needs");
    if (needs >= 0) {
        put_level(json_add_object(all), METADATA_VERSION, needs);
    }
}

int feature_print_dependencies(const char *const *features, bool json, struct errmsg *em)
{
    json_t *all = json ? listing_new("feature-dependencies") : NULL;
    int rv = 0;
    for (size_t i = 0; features[i] && rv == 0; i++) {
        char name[64];
        size_t len;
        int16_t level, needs;
        rv = feature_parse(features[i], &len, &level, em);
        if (rv) {
            break;
        }
        snprintf(name, sizeof name, "%.*s", (int)len, features[i]);
        rv = needed(name, level, &needs, em);
        if (rv == 0 && json) {
            put_needed(listing_item(all), name, level, needs);
        } else if (rv == 0) {
            print_needed(name, level, needs);
        }
    }
    if (json && rv == 0) {
        listing_print(all);
    } else {
        json_decref(all);
    }
    return rv;
}
