/* UpdateFeatures: what may go up or down, and what comes with it. */
#include "decide_rig.h"

enum { UPGRADE = 1, SAFE = 2, UNSAFE = 3 };

struct want {
    const char *name;
    int16_t level;
    int8_t type;
};

static struct update_features_response *update(struct rig *r, int16_t version, bool validate_only,
                                               const struct want *w, int32_t n)
{
    struct update_features_request q;
    struct update_features_response *resp = ARENA_NEW(&r->arena, struct update_features_response);
    struct decision d;
    proto_msg_init(&update_features_request_msg, &q);
    proto_msg_init(&update_features_response_msg, resp);
    q.validate_only = validate_only;
    q.feature_updates =
        proto_array(&r->arena, &update_features_request_feature_update_key_desc, (size_t)n);
    q.feature_updates_n = n;
    for (int32_t i = 0; i < n; i++) {
        q.feature_updates[i].feature = bytes_str(w[i].name);
        q.feature_updates[i].max_version_level = w[i].level;
        q.feature_updates[i].upgrade_type = w[i].type;
    }
    rig_begin(r, &d);
    decide_update_features(&d, version, &q, resp);
    rig_end(r, &d);
    return resp;
}

static int16_t one(struct rig *r, const char *name, int16_t level, int8_t type)
{
    const struct want w = {name, level, type};
    return update(r, 2, false, &w, 1)->error_code;
}

static void levels_go_up_and_down(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_cluster(&r);
    rig_broker(&r, 1);
    assert_int_equal(2, image_feature_level(r.img, "transaction.version"));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 1, UPGRADE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 3, UPGRADE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", -1, SAFE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 1, 0));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 1, 4));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "nonsense", 1, UPGRADE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "nonsense", 0, UPGRADE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "kraft.version", 1, UPGRADE));
    assert_int_equal(0, r.n);
    assert_int_equal(0, one(&r, "transaction.version", 1, SAFE));
    assert_int_equal(1, r.n);
    assert_string_equal("FeatureLevel {\"name\":\"transaction.version\",\"featureLevel\":1}",
                        r.records[0]);
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 2, UNSAFE));
    assert_int_equal(0, one(&r, "transaction.version", 0, UNSAFE));
    assert_int_equal(0, image_feature_level(r.img, "transaction.version"));
    assert_int_equal(0, one(&r, "transaction.version", 2, UPGRADE));
    rig_free(&r);
}

static void all_or_none_and_only_judged(void **state)
{
    UNUSED(state);
    struct rig r;
    const struct want w[] = {{"group.version", 0, SAFE}, {"share.version", 7, UPGRADE}};
    rig_cluster(&r);
    assert_int_equal(KE_INVALID_UPDATE_VERSION, update(&r, 1, false, w, 2)->error_code);
    assert_int_equal(0, r.n);
    assert_int_equal(0, update(&r, 2, true, w, 1)->error_code);
    assert_int_equal(0, r.n);
    struct update_features_response *resp = update(&r, 1, false, w, 1);
    assert_int_equal(0, resp->error_code);
    assert_int_equal(1, resp->results_n);
    assert_true(bytes_eq_str(resp->results[0].error_message, "NONE"));
    assert_true(bytes_eq_str(resp->results[0].feature, "group.version"));
    assert_int_equal(0, update(&r, 2, false, w, 1)->results_n);
    rig_free(&r);
}

/* From 29 on nothing that is written has changed down to 23; 30 has changed it. */
static void metadata_version_goes_back_only_where_nothing_is_lost(void **state)
{
    UNUSED(state);
    struct rig r;
    rig_init(&r);
    struct format_options opt = {.metadata_version = format_metadata_version("4.2")};
    rig_bootstrap(&r, &opt);
    assert_int_equal(29, image_feature_level(r.img, "metadata.version"));
    assert_int_equal(0, one(&r, "metadata.version", 26, SAFE));
    assert_int_equal(26, image_feature_level(r.img, "metadata.version"));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "metadata.version", 22, SAFE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "metadata.version", 22, UNSAFE));
    assert_int_equal(0, one(&r, "metadata.version", 30, UPGRADE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "metadata.version", 29, SAFE));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "metadata.version", 31, UPGRADE));
    rig_free(&r);
}

static void everybody_must_know_the_level(void **state)
{
    UNUSED(state);
    struct rig r;
    struct broker_registration_request q;
    rig_cluster(&r);
    assert_int_equal(0, one(&r, "transaction.version", 1, SAFE));
    rig_registration(&r, &q, 1, 1);
    for (int32_t i = 0; i < q.features_n; i++) {
        if (bytes_eq_str(q.features[i].name, "transaction.version")) {
            q.features[i].max_supported_version = 1;
        }
    }
    assert_int_equal(0, rig_register_as(&r, &q));
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 2, UPGRADE));
    const struct controller_voter voters[] = {{1, "a", 1}, {2, "b", 1}, {3, "c", 1}};
    r.cfg.voters = voters;
    r.cfg.voters_n = 3;
    assert_int_equal(KE_INVALID_UPDATE_VERSION, one(&r, "transaction.version", 0, SAFE));
    assert_int_equal(0, r.n);
    rig_free(&r);
}

static void elr_needs_its_version_and_brings_the_least_isr(void **state)
{
    UNUSED(state);
    struct rig r;
    const struct want both[] = {{"metadata.version", 26, UPGRADE},
                                {"eligible.leader.replicas.version", 1, UPGRADE}};
    rig_init(&r);
    struct format_options opt = {.metadata_version = format_metadata_version("3.9")};
    rig_bootstrap(&r, &opt);
    rig_broker(&r, 1);
    rig_set_config(&r, CONFIG_BROKER, "1", "min.insync.replicas", "2");
    assert_int_equal(KE_INVALID_UPDATE_VERSION,
                     one(&r, "eligible.leader.replicas.version", 1, UPGRADE));
    assert_int_equal(0, update(&r, 2, false, both, 2)->error_code);
    assert_int_equal(4, r.n);
    assert_string_equal("Config {\"resourceType\":4,\"resourceName\":\"\",\"name\":\"min.insync."
                        "replicas\",\"value\":\"1\"}",
                        r.records[0]);
    assert_string_equal("Config {\"resourceType\":4,\"resourceName\":\"1\",\"name\":\"min.insync."
                        "replicas\",\"value\":null}",
                        r.records[1]);
    assert_int_equal(1, image_feature_level(r.img, "eligible.leader.replicas.version"));
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_go_up_and_down),
        cmocka_unit_test(all_or_none_and_only_judged),
        cmocka_unit_test(metadata_version_goes_back_only_where_nothing_is_lost),
        cmocka_unit_test(everybody_must_know_the_level),
        cmocka_unit_test(elr_needs_its_version_and_brings_the_least_isr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
