#include "tools/features.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "controller/format.h"
#include "proto_features.h"

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

int feature_print_mapping(const char *release, struct errmsg *em)
{
    int16_t level = format_newest_release();
    int rv = release ? feature_release(release, &level, em) : 0;
    if (rv) {
        return rv;
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

static int print_dependencies(const char *name, int16_t level, struct errmsg *em)
{
    if (strcmp(name, METADATA_VERSION) == 0) {
        const struct proto_metadata_version *v = proto_metadata_version(level);
        if (v == NULL) {
            return errmsg_set(em, ERR_INVALID, "Unknown " METADATA_VERSION " %d", level);
        }
        printf("%s=%d (%s) has no dependencies.\n", name, level, v->name);
        return 0;
    }
    if (proto_feature(name) == NULL) {
        return errmsg_set(em, ERR_INVALID, "Unknown feature: %s", name);
    }
    const struct proto_feature_level *l = find_level(name, level);
    if (l == NULL) {
        return errmsg_set(em, ERR_INVALID, "No feature:%s with feature level %d", name, level);
    }
    if (l->needs_metadata_version < 0) {
        printf("%s=%d has no dependencies.\n", name, level);
        return 0;
    }
    printf("%s=%d requires:\n    " METADATA_VERSION "=%d (%s)\n", name, level,
           l->needs_metadata_version, proto_metadata_version(l->needs_metadata_version)->name);
    return 0;
}

int feature_print_dependencies(const char *const *features, struct errmsg *em)
{
    int rv = 0;
    for (size_t i = 0; features[i] && rv == 0; i++) {
        char name[64];
        size_t len;
        int16_t level;
        rv = feature_parse(features[i], &len, &level, em);
        if (rv == 0) {
            snprintf(name, sizeof name, "%.*s", (int)len, features[i]);
            rv = print_dependencies(name, level, em);
        }
    }
    return rv;
}
