/* The generated tables agree with each other, and their lookups find what is there and nothing
 * else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proto_apis.h"
#include "proto_enums.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"

static void finds_every_message_by_name(void **state)
{
    (void)state;
    size_t n;
    const struct proto_message *const *all = proto_all(&n);
    assert_int_equal(n, 288);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(proto_find(all[i]->name), all[i]);
        if (all[i]->kind == PROTO_REQUEST) {
            assert_ptr_equal(proto_request(all[i]->key), all[i]);
        } else if (all[i]->kind == PROTO_RESPONSE) {
            assert_ptr_equal(proto_response(all[i]->key), all[i]);
        } else if (all[i]->store != PROTO_STORE_NONE) {
            assert_ptr_equal(proto_record(all[i]->store, all[i]->kind, all[i]->key), all[i]);
        }
    }
    assert_null(proto_find("produceRequest"));
    assert_null(proto_find(""));
    assert_null(proto_find("ZZZ"));
    assert_null(proto_request(-1));
    assert_null(proto_request(API_KEY_MAX + 1));
    assert_null(proto_response(INT16_MAX));
    assert_null(proto_metadata_record(-1));
    assert_null(proto_metadata_record(6));
    assert_ptr_equal(proto_metadata_record(0), &register_broker_record_msg);
    assert_ptr_equal(proto_record(PROTO_STORE_REMOTE_LOG, PROTO_METADATA, 0),
                     &remote_log_segment_metadata_record_msg);
}

static void apis_serve_what_messages_can_say(void **state)
{
    (void)state;
    size_t n;
    size_t live = 0;
    size_t broker = 0;
    size_t controller = 0;
    const struct proto_api *apis = proto_apis(&n);
    assert_int_equal(n, 93);
    for (size_t i = 0; i < n; i++) {
        const struct proto_api *a = &apis[i];
        assert_int_equal(a->key, (int)i);
        assert_ptr_equal(proto_api(a->key), a);
        broker += a->broker_max >= 0;
        controller += a->controller_max >= 0;
        if (a->version_max < 0) {
            assert_false(a->broker_listener || a->controller_listener);
            continue;
        }
        live++;
        assert_true(a->version_min >= proto_request(a->key)->version_min);
        assert_true(a->version_max_unstable <= proto_request(a->key)->version_max);
        assert_true(a->version_max <= a->version_max_unstable);
        int16_t flexible = proto_request(a->key)->flexible_from;
        assert_int_equal(a->flexible_from, flexible < a->version_min ? a->version_min : flexible);
        assert_int_equal(proto_request(a->key)->version_max, proto_response(a->key)->version_max);
    }
    assert_int_equal(live, 89);
    assert_int_equal(broker, 75);
    assert_int_equal(controller, 41);
    assert_null(proto_api(-1));
    assert_null(proto_api(93));
    const struct proto_api *produce = proto_api(API_PRODUCE);
    assert_int_equal(produce->version_min, 3);
    assert_int_equal(produce->broker_min, 0); /* librdkafka looks at it */
    assert_int_equal(produce->broker_max, 13);
    assert_int_equal(proto_api(API_INIT_PRODUCER_ID)->version_max, 5);
    assert_int_equal(proto_api(API_INIT_PRODUCER_ID)->version_max_unstable, 6);
    assert_true(proto_api(API_CREATE_TOPICS)->forwarded);
    assert_true(proto_api(API_WRITE_TXN_MARKERS)->cluster_action);
}

static void errors_have_names(void **state)
{
    (void)state;
    assert_string_equal(kafka_error_name(KE_NONE), "NONE");
    assert_null(kafka_error_class(KE_NONE));
    assert_string_equal(kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    assert_string_equal(kafka_error_name(6), "NOT_LEADER_OR_FOLLOWER");
    assert_string_equal(kafka_error_class(3), "UnknownTopicOrPartitionException");
    assert_true(kafka_error_retriable(KE_NOT_LEADER_OR_FOLLOWER));
    assert_true(kafka_error_invalidates_metadata(KE_NOT_LEADER_OR_FOLLOWER));
    assert_false(kafka_error_retriable(KE_INVALID_RECORD));
    assert_int_equal(KE_INVALID_RECORD, 87);
    assert_string_equal(kafka_error_name(KE_MAX + 1), "UNKNOWN_SERVER_ERROR");
    assert_string_equal(kafka_error_name(INT16_MIN), "UNKNOWN_SERVER_ERROR");
}

static void features_are_those_of_the_release(void **state)
{
    (void)state;
    const struct proto_feature *mv = proto_feature("metadata.version");
    assert_int_equal(mv->supported_min, 7);
    assert_int_equal(mv->supported_max, 30);
    assert_int_equal(mv->finalized, 30);
    assert_int_equal(proto_feature("kraft.version")->finalized, 0);
    assert_int_equal(proto_feature("transaction.version")->finalized, 2);
    assert_null(proto_feature("no.version"));
    const struct proto_metadata_version *v = proto_metadata_version(30);
    assert_string_equal(v->name, "4.3-IV0");
    assert_int_equal(v->register_broker_record, 4);
    assert_true(v->flags & MV_ELR_SUPPORTED);
    assert_true(v->production);
    assert_false(proto_metadata_version(31)->production);
    assert_null(proto_metadata_version(6));
    size_t at = (size_t)(v - proto_metadata_versions);
    for (size_t i = 0; i < proto_features_n; i++) {
        const struct proto_feature *f = &proto_features[i];
        if (f->default_at && f->finalized) {
            assert_int_equal(f->default_at[at], f->finalized);
        }
    }
}

static void codes_have_names(void **state)
{
    (void)state;
    assert_string_equal(kafka_enum_name("control-record", K_CONTROL_RECORD_LEADER_CHANGE),
                        "LEADER_CHANGE");
    assert_string_equal(kafka_enum_name("compression", 4), "ZSTD");
    assert_null(kafka_enum_name("compression", 5));
    assert_null(kafka_enum_name("nothing", 0));
    assert_int_equal(K_LIST_OFFSETS_MAX_TIMESTAMP, -3);
    assert_string_equal(K_TOPIC_GROUP_METADATA_TOPIC_NAME, "__consumer_offsets");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_message_by_name),
        cmocka_unit_test(apis_serve_what_messages_can_say),
        cmocka_unit_test(errors_have_names),
        cmocka_unit_test(features_are_those_of_the_release),
        cmocka_unit_test(codes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
