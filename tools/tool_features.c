/* millrace features: the feature levels of a cluster, raising and lowering them, and what the
 * release knows of levels without a cluster, as kafka-features.sh does. The active controller
 * decides; all changes of one command are made together or not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"
#include "tools/args.h"
#include "tools/client.h"
#include "tools/features.h"
#include "tools/listing.h"
#include "tools/tool.h"

static const struct arg_def defs[] = {
    {"bootstrap-server", ARG_VALUE, "HOST:PORT,...", "The brokers to connect to."},
    {"bootstrap-controller", ARG_VALUE, "HOST:PORT,...", "Or the controllers to connect to."},
    {"command-config", ARG_VALUE, "FILE", "Client settings in a properties file."},
    {"node-id", ARG_VALUE, "ID", "With describe: the node that is asked; any if left out."},
    {"feature", ARG_LIST, "NAME[=LEVEL]", "A feature and its new level; with disable its name."},
    {"release-version", ARG_VALUE, "RELEASE", "All features as this release has them."},
    {"metadata", ARG_VALUE, "RELEASE", "The old way to say --feature metadata.version=LEVEL."},
    {"unsafe", ARG_FLAG, NULL, "Lower it even if metadata may be lost."},
    {"dry-run", ARG_FLAG, NULL, "Ask whether it can be done; change nothing."},
    ARG_JSON,
};

static const struct arg_command commands[] = {
    {"describe", "Show the levels.", "node-id json"},
    {"upgrade", "Raise levels.", "feature release-version metadata dry-run"},
    {"downgrade", "Lower levels.", "feature release-version metadata unsafe dry-run"},
    {"disable", "Lower features to level 0.", "feature unsafe dry-run"},
    {"version-mapping", "Which levels a release stands for.", "release-version json"},
    {"feature-dependencies", "What a level needs.", "feature json"},
};

static const struct args_spec spec = {
    .tool = "features",
    .about = "show and change the feature levels of a cluster",
    .examples =
        "  millrace features --bootstrap-server localhost:9092 describe\n"
        "  millrace features --bootstrap-server localhost:9092 upgrade --release-version 4.3 "
        "--dry-run\n"
        "  millrace features --bootstrap-controller localhost:9093 downgrade --feature "
        "transaction.version=1\n"
        "  millrace features --bootstrap-server localhost:9092 disable --feature share.version "
        "--dry-run\n"
        "  millrace features version-mapping --release-version 4.1\n"
        "  millrace features feature-dependencies --feature "
        "eligible.leader.replicas.version=1\n",
    .defs = defs,
    .n = ARRAY_LEN(defs),
    .commands = commands,
    .commands_n = ARRAY_LEN(commands),
};

/* ---- describe ---- */

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct api_versions_response_supported_feature_key *)a)->name,
                     ((const struct api_versions_response_supported_feature_key *)b)->name);
}

static int16_t finalized(const struct api_versions_response *r, struct bytes name)
{
    for (int32_t i = 0; i < r->finalized_features_n; i++) {
        if (bytes_eq(r->finalized_features[i].name, name)) {
            return r->finalized_features[i].max_version_level;
        }
    }
    return 0;
}

/* metadata.version is shown by the name of the level. */
static const char *level_text(struct bytes feature, int16_t level, char *out, size_t n)
{
    bool named = bytes_eq_str(feature, METADATA_VERSION);
    const struct proto_metadata_version *v = named ? proto_metadata_version(level) : NULL;
    if (v) {
        snprintf(out, n, "%s", v->name);
    } else {
        snprintf(out, n, "%s%d", named ? "UNKNOWN " : "", level);
    }
    return out;
}

static void print_json(const struct api_versions_response *r)
{
    json_t *all = listing_new("features");
    json_put_known(all, "epoch", r->finalized_features_epoch);
    for (int32_t i = 0; i < r->supported_features_n; i++) {
        const struct api_versions_response_supported_feature_key *f = &r->supported_features[i];
        const struct proto_metadata_version *v = bytes_eq_str(f->name, METADATA_VERSION)
                                                     ? proto_metadata_version(finalized(r, f->name))
                                                     : NULL;
        json_t *o = listing_item(all);
        json_put_text(o, "feature", f->name);
        json_put_int(o, "minLevel", f->min_version);
        json_put_int(o, "maxLevel", f->max_version);
        json_put_int(o, "level", finalized(r, f->name));
        json_put_text(o, "release", bytes_str(v ? v->name : NULL));
    }
    listing_print(all);
}

static int describe(struct client *c, const struct args *a)
{
    struct api_versions_response *r;
    int32_t node = (int32_t)args_int(a, "node-id", CLIENT_ANY, 0, INT32_MAX);
    int rv = client_api_versions(c, node, &r);
    if (rv) {
        return rv;
    }
    qsort(r->supported_features, (size_t)r->supported_features_n, sizeof *r->supported_features,
          by_name);
    if (args_has(a, "json")) {
        print_json(r);
        return 0;
    }
    char epoch[24] = "-";
    if (r->finalized_features_epoch >= 0) {
        snprintf(epoch, sizeof epoch, "%lld", (long long)r->finalized_features_epoch);
    }
    for (int32_t i = 0; i < r->supported_features_n; i++) {
        const struct api_versions_response_supported_feature_key *f = &r->supported_features[i];
        char name[64], min[24], max[24], now[24];
        snprintf(name, sizeof name, "%.*s", BYTES_FMT(f->name));
        printf("Feature: %-40s  SupportedMinVersion: %-15s  SupportedMaxVersion: %-15s  "
               "FinalizedVersionLevel: %-15s  Epoch: %s\n",
               name, level_text(f->name, f->min_version, min, sizeof min),
               level_text(f->name, f->max_version, max, sizeof max),
               level_text(f->name, finalized(r, f->name), now, sizeof now), epoch);
    }
    return 0;
}

/* ---- upgrade, downgrade, disable ---- */

#define update_key struct update_features_request_feature_update_key

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

struct updates {
    struct client *c;
    update_key *v;
    int32_t n;
    int8_t type;
};

/* Twice by one command line is a mistake; --metadata and --feature may name the same, as in Kafka.
 */
static int put_update(struct updates *u, const char *name, size_t len, int16_t level, bool again)
{
    struct bytes key = bytes_of(name, len);
    update_key *k = NULL;
    for (int32_t i = 0; i < u->n; i++) {
        k = bytes_eq(u->v[i].feature, key) ? &u->v[i] : k;
    }
    if (k && !again) {
        return errmsg_set(&u->c->error, ERR_INVALID, "Feature %.*s was specified more than once.",
                          (int)len, name);
    }
    k = k ? k : &u->v[u->n++];
    k->feature = key;
    k->max_version_level = level;
    k->upgrade_type = u->type;
    return 0;
}

static int put_release(struct updates *u, const char *release)
{
    int16_t level;
    int rv = feature_release(release, &level, &u->c->error);
    if (rv) {
        return rv;
    }
    put_update(u, METADATA_VERSION, strlen(METADATA_VERSION), level, true);
    for (size_t i = 0; feature_names[i]; i++) {
        int16_t own = feature_default(feature_names[i], level);
        if (u->type != UPGRADE || own > 0) {
            put_update(u, feature_names[i], strlen(feature_names[i]), own, true);
        }
    }
    return 0;
}

static int read_updates(struct updates *u, const struct args *a)
{
    const char *release = args_get(a, "release-version", NULL);
    const char *metadata = args_get(a, "metadata", NULL);
    bool disable = strcmp(a->command, "disable") == 0;
    int rv = 0;
    if (release) {
        return metadata || args_has(a, "feature")
                   ? errmsg_set(&u->c->error, ERR_INVALID,
                                "Can not specify `release-version` with other feature flags.")
                   : put_release(u, release);
    }
    if (metadata) {
        int16_t level;
        printf(" `metadata` flag is deprecated and may be removed in a future release.\n");
        rv = feature_release(metadata, &level, &u->c->error);
        rv = rv ? rv : put_update(u, METADATA_VERSION, strlen(METADATA_VERSION), level, true);
    }
    for (const char *const *f = args_list(a, "feature"); *f && rv == 0; f++) {
        size_t len = strlen(*f);
        int16_t level = 0;
        rv = disable ? 0 : feature_parse(*f, &len, &level, &u->c->error);
        rv = rv ? rv : put_update(u, *f, len, level, false);
    }
    return rv;
}

static int by_feature(const void *a, const void *b)
{
    return bytes_cmp(((const update_key *)a)->feature, ((const update_key *)b)->feature);
}

/* Version 2 has one error for all, older ones have one for each feature. */
static int16_t error_of(const struct update_features_response *r, struct bytes feature,
                        struct bytes *message)
{
    *message = r->error_message;
    for (int32_t i = 0; r->error_code == 0 && i < r->results_n; i++) {
        if (bytes_eq(r->results[i].feature, feature)) {
            *message = r->results[i].error_message;
            return r->results[i].error_code;
        }
    }
    return r->error_code;
}

static int print_results(const struct updates *u, const struct args *a,
                         const struct update_features_response *r)
{
    bool dry = args_has(a, "dry-run"), disable = strcmp(a->command, "disable") == 0;
    int failures = 0;
    for (int32_t i = 0; i < u->n; i++) {
        struct bytes message;
        int16_t code = error_of(r, u->v[i].feature, &message);
        char text[600], level[16] = "";
        if (!disable) {
            snprintf(level, sizeof level, " to %d", u->v[i].max_version_level);
        }
        if (code) {
            printf("%s%s %.*s%s. %s\n", dry ? "Can not " : "Could not ", a->command,
                   BYTES_FMT(u->v[i].feature), level,
                   client_error_text(code, message, text, sizeof text));
            failures++;
        } else {
            printf("%.*s%s%sd%s.\n", BYTES_FMT(u->v[i].feature), dry ? " can be " : " was ",
                   a->command, level);
        }
    }
    return failures ? errmsg_set(&u->c->error, ERR_INVALID, "%d out of %d operation(s) failed.",
                                 failures, u->n)
                    : 0;
}

static int update(struct client *c, const struct args *a)
{
    struct update_features_request req;
    struct update_features_response *resp;
    struct updates u = {.c = c};
    size_t max = ARRAY_LEN(defs) + 1;
    for (const char *const *f = args_list(a, "feature"); *f; f++) {
        max++;
    }
    u.type = strcmp(a->command, "upgrade") == 0 ? UPGRADE
             : args_has(a, "unsafe")            ? UNSAFE_DOWNGRADE
                                                : SAFE_DOWNGRADE;
    u.v = proto_array(&c->arena, &update_features_request_feature_update_key_desc, max);
    int rv = read_updates(&u, a);
    if (rv) {
        return rv;
    }
    if (u.n == 0) {
        return errmsg_set(&c->error, ERR_INVALID, "You must specify at least one feature to %s",
                          a->command);
    }
    qsort(u.v, (size_t)u.n, sizeof *u.v, by_feature);
    proto_msg_init(&update_features_request_msg, &req);
    req.timeout_ms = (int32_t)c->timeout_ms;
    req.feature_updates = u.v;
    req.feature_updates_n = u.n;
    req.validate_only = args_has(a, "dry-run");
    rv = client_call(c, CLIENT_ANY, API_UPDATE_FEATURES, &req, (void **)&resp, NULL);
    return rv ? rv : print_results(&u, a, resp);
}

static int with_cluster(struct client *c, const struct args *a)
{
    int rv = client_open(c, a);
    if (rv == 0) {
        rv = strcmp(a->command, "describe") == 0 ? describe(c, a) : update(c, a);
    }
    return rv;
}

int tool_features(int argc, char **argv)
{
    struct args a;
    struct client c = {0};
    int rv;
    args_parse(&a, &spec, argc, argv);
    if (strcmp(a.command, "version-mapping") == 0) {
        rv = feature_print_mapping(args_get(&a, "release-version", NULL), args_has(&a, "json"),
                                   &c.error);
    } else if (strcmp(a.command, "feature-dependencies") == 0) {
        args_require(&a, "feature");
        rv = feature_print_dependencies(args_list(&a, "feature"), args_has(&a, "json"), &c.error);
    } else {
        rv = with_cluster(&c, &a);
    }
    if (rv) {
        fprintf(stderr, "%s\n", c.error.text);
    }
    client_close(&c);
    args_free(&a);
    return rv ? 1 : 0;
}
