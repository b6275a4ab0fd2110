/* UpdateFeatures: the level of a feature for the whole cluster. All updates of a request are made
 * or none. A level must be known here, to every registered broker and to every voter. A lower level
 * must be asked for as a downgrade; that of metadata.version is refused when a version between may
 * have written what the lower one cannot read (Kafka does not do it either, asked for as unsafe or
 * not).
 *
 * eligible.leader.replicas.version makes the least ISR size the cluster's business: the
 * cluster-wide setting is written down with it, those of single brokers go (decide_configs.c).
 *
 * Shard: the controller's. */
#include <stdio.h>

#include "controller/decide_topics.h"
#include "proto_errors.h"
#include "proto_features.h"

#define UPDATE struct update_features_request_feature_update_key

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3, RESULTS_UNTIL = 1 };

#define ELR     "eligible.leader.replicas.version"
#define MIN_ISR "min.insync.replicas"

struct features_update {
    struct decision *d;
    const struct update_features_request *q;
    int16_t code;
    struct bytes message;
};

static bool fail(struct features_update *u, const UPDATE *f, const char *why)
{
    u->code = KE_INVALID_UPDATE_VERSION;
    u->message = decision_text(u->d, "no feature is updated: level %d of %.*s: %s",
                               (int)f->max_version_level, BYTES_FMT(f->feature), why);
    return false;
}

static const struct proto_feature *known(struct bytes name)
{
    for (size_t i = 0; i < proto_features_n; i++) {
        if (bytes_eq_str(name, proto_features[i].name)) {
            return &proto_features[i];
        }
    }
    return NULL;
}

/* ---- who knows the level ---- */

/* Who does not list a feature knows that it is off. */
static bool lists(const struct image_feature_range *v, uint32_t n, const UPDATE *f)
{
    for (uint32_t i = 0; i < n; i++) {
        if (bytes_eq(v[i].name, f->feature)) {
            return v[i].min <= f->max_version_level && f->max_version_level <= v[i].max;
        }
    }
    return f->max_version_level == 0;
}

static bool known_to_all(struct features_update *u, const UPDATE *f)
{
    const struct image *img = u->d->img;
    const struct controller_config *cfg = u->d->cfg;
    const struct proto_feature *own = known(f->feature);
    char why[80];
    if (own == NULL || f->max_version_level < own->supported_min ||
        f->max_version_level > own->supported_max) {
        return fail(u, f, "this controller does not know it");
    }
    for (int32_t i = 0; i < img->brokers_n; i++) {
        if (!lists(img->brokers[i]->features, img->brokers[i]->features_n, f)) {
            snprintf(why, sizeof why, "broker %d does not know it", (int)img->brokers[i]->id);
            return fail(u, f, why);
        }
    }
    if (!(decide_version(u->d)->flags & MV_CONTROLLER_REGISTRATION_SUPPORTED)) {
        return true;
    }
    for (int32_t i = 0; i < img->controllers_n; i++) {
        const struct image_controller *c = img->controllers[i];
        if (c->id != cfg->node_id && !lists(c->features, c->features_n, f)) {
            snprintf(why, sizeof why, "controller %d does not know it", (int)c->id);
            return fail(u, f, why);
        }
    }
    for (size_t i = 0; i < cfg->voters_n; i++) {
        if (cfg->voters[i].id != cfg->node_id && !image_controller(img, cfg->voters[i].id)) {
            snprintf(why, sizeof why, "controller %d has not registered and may not know it",
                     (int)cfg->voters[i].id);
            return fail(u, f, why);
        }
    }
    return true;
}

/* ---- what depends on what ---- */

static int16_t level_of(const struct decision *d, struct bytes name)
{
    for (int32_t i = 0; i < d->img->features_n; i++) {
        if (bytes_eq(d->img->features[i].name, name)) {
            return d->img->features[i].level;
        }
    }
    return 0;
}

/* As it would be after the request. */
static int16_t level_after(const struct features_update *u, const char *name)
{
    for (int32_t i = u->q->feature_updates_n - 1; i >= 0; i--) {
        if (bytes_eq_str(u->q->feature_updates[i].feature, name)) {
            return u->q->feature_updates[i].max_version_level;
        }
    }
    return level_of(u->d, bytes_str(name));
}

static bool check_dependencies(struct features_update *u, const UPDATE *f)
{
    char why[80];
    int16_t version = level_after(u, "metadata.version");
    for (size_t i = 0; i < proto_feature_levels_n; i++) {
        const struct proto_feature_level *l = &proto_feature_levels[i];
        if (bytes_eq_str(f->feature, l->feature) && l->level == f->max_version_level &&
            version < l->needs_metadata_version) {
            snprintf(why, sizeof why, "it needs metadata.version %d or later, not %d",
                     (int)l->needs_metadata_version, (int)version);
            return fail(u, f, why);
        }
    }
    return true;
}

static bool check_metadata_version(struct features_update *u, const UPDATE *f, int16_t now)
{
    for (size_t i = 0; i < proto_metadata_versions_n; i++) {
        const struct proto_metadata_version *v = &proto_metadata_versions[i];
        if (v->level > f->max_version_level && v->level <= now && v->metadata_changed) {
            return fail(u, f,
                        "going back might delete metadata: a later version has written what "
                        "it cannot read");
        }
    }
    return proto_metadata_version(f->max_version_level) != NULL ||
           fail(u, f, "there is no such version");
}

/* ---- together ---- */

static bool update(struct features_update *u, const UPDATE *f)
{
    struct feature_level_record r;
    int16_t now = level_of(u->d, f->feature);
    bool version = bytes_eq_str(f->feature, "metadata.version");
    if (f->upgrade_type < UPGRADE || f->upgrade_type > UNSAFE_DOWNGRADE) {
        return fail(u, f,
                    "the type of the update is none; allowed: 1 upgrade, 2 safe downgrade, 3 "
                    "unsafe downgrade");
    }
    if (f->max_version_level < 0) {
        return fail(u, f, "a level is never below 0");
    }
    if (!known_to_all(u, f)) {
        return false;
    }
    if (f->max_version_level < now && f->upgrade_type == UPGRADE) {
        return fail(u, f, "it is lower than now: ask for a downgrade, safe or unsafe");
    }
    if (f->max_version_level > now && f->upgrade_type != UPGRADE) {
        return fail(u, f, "it is higher than now: that is no downgrade");
    }
    if (bytes_eq_str(f->feature, "kraft.version")) {
        return f->max_version_level == 0 ||
               fail(u, f,
                    "the voters are static here, so it stays at 0: ask for the others by name");
    }
    if (!(version ? check_metadata_version(u, f, now) : check_dependencies(u, f))) {
        return false;
    }
    proto_msg_init(&feature_level_record_msg, &r);
    r.name = f->feature;
    r.feature_level = f->max_version_level;
    decision_add(u->d, &feature_level_record_msg, 0, &r);
    return true;
}

/* Before the records of the features. */
static void prepare_elr(struct decision *d)
{
    char id[16];
    struct bytes all = image_config_value(d->img, CONFIG_BROKER, bytes_str(""), bytes_str(MIN_ISR));
    if (bytes_is_null(all)) {
        decide_add_config(d, CONFIG_BROKER, bytes_str(""), bytes_str(MIN_ISR),
                          decision_text(d, "%d", (int)d->cfg->min_insync_replicas));
    }
    for (int32_t i = 0; i < d->img->brokers_n; i++) {
        snprintf(id, sizeof id, "%d", (int)d->img->brokers[i]->id);
        struct bytes own =
            image_config_value(d->img, CONFIG_BROKER, bytes_str(id), bytes_str(MIN_ISR));
        if (!bytes_is_null(own)) {
            decide_add_config(d, CONFIG_BROKER, decision_text(d, "%s", id), bytes_str(MIN_ISR),
                              BYTES_NULL);
        }
    }
}

void decide_update_features(struct decision *d, int16_t version, const void *request,
                            void *response)
{
    const struct update_features_request *q = request;
    struct update_features_response *resp = response;
    struct features_update u = {.d = d, .q = q, .message = BYTES_NULL};
    bool elr = false;
    for (int32_t i = 0; i < q->feature_updates_n; i++) {
        const UPDATE *f = &q->feature_updates[i];
        elr = elr || (bytes_eq_str(f->feature, ELR) && f->max_version_level > 0);
    }
    if (elr) {
        prepare_elr(d);
    }
    for (int32_t i = 0; i < q->feature_updates_n && u.code == 0; i++) {
        update(&u, &q->feature_updates[i]);
    }
    if (u.code || q->validate_only) {
        decision_cut(d, 0);
    }
    resp->error_code = u.code;
    resp->error_message = u.message;
    if (u.code == 0 && version <= RESULTS_UNTIL) {
        resp->results =
            proto_array(d->arena, &update_features_response_updatable_feature_result_desc,
                        (size_t)(q->feature_updates_n > 0 ? q->feature_updates_n : 0));
        for (int32_t i = 0; i < q->feature_updates_n; i++) {
            resp->results[resp->results_n].feature = q->feature_updates[i].feature;
            resp->results[resp->results_n++].error_message = bytes_str("NONE"); /* Kafka's */
        }
    }
}
