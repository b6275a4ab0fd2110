/* Headers of requests and responses, and the prefixes of stored records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/assert.h"
#include "proto_apis.h"
#include "proto_messages.h"

/* Our own header functions against the schema's header messages, for every API and version: the
 * header version is that of apis.tsv. */
static void request_headers_are_the_schemas(void **state)
{
    (void)state;
    size_t n;
    const struct proto_api *apis = proto_apis(&n);
    for (size_t i = 0; i < n; i++) {
        for (int16_t v = apis[i].version_min; v <= apis[i].version_max_unstable; v++) {
            struct arena a = {0};
            struct buf ours = {0};
            struct buf schema = {0};
            struct request_header h;
            struct proto_request_header got;
            proto_msg_init(&request_header_msg, &h);
            h.request_api_key = apis[i].key;
            h.request_api_version = v;
            h.correlation_id = -2;
            h.client_id = i % 2 ? bytes_str("client") : BYTES_NULL;
            int16_t version = v >= apis[i].flexible_from ? 2 : 1;
            assert_int_equal(proto_encode(&request_header_msg, version, &h, &schema, NULL), 0);
            proto_put_request_header(&ours, apis[i].key, v, -2, h.client_id);
            assert_true(bytes_eq(buf_bytes(&ours), buf_bytes(&schema)));
            size_t body_at = ours.len;
            buf_put_str(&ours, "body");
            assert_int_equal(proto_read_request_header(buf_bytes(&ours), &got), 0);
            assert_int_equal(got.api_key, apis[i].key);
            assert_int_equal(got.version, v);
            assert_int_equal(got.correlation_id, -2);
            assert_true(bytes_eq(got.client_id, h.client_id));
            assert_int_equal(got.body_at, body_at);
            for (size_t cut = 0; cut < body_at; cut++) {
                assert_int_equal(proto_read_request_header(bytes_of(ours.data, cut), &got),
                                 ERR_TRUNCATED);
            }
            buf_free(&ours);
            buf_free(&schema);
            arena_free(&a);
        }
    }
}

static void a_header_skips_tags(void **state)
{
    (void)state;
    struct proto_request_header h;
    static const uint8_t frame[] = {0, 18, 0, 3, 0, 0, 0, 7, 0, 1, 'c', 2, 5, 2, 9, 9, 6, 0, 'b'};
    assert_int_equal(proto_read_request_header(bytes_of(frame, sizeof frame), &h), 0);
    assert_int_equal(h.body_at, sizeof frame - 1);
    static const uint8_t lying[] = {0, 18, 0, 3, 0, 0, 0, 7, 0, 1, 'c', 1, 5, 9, 9};
    assert_int_equal(proto_read_request_header(bytes_of(lying, sizeof lying), &h), ERR_TRUNCATED);
}

/* The caller can still answer an ApiVersions of the future, or close the connection. */
static void says_what_it_could_read_of_an_unknown_request(void **state)
{
    (void)state;
    struct proto_request_header h;
    static const uint8_t future[] = {0, 18, 0, 99, 0, 0, 0, 7};
    assert_int_equal(proto_read_request_header(bytes_of(future, sizeof future), &h),
                     ERR_UNSUPPORTED);
    assert_int_equal(h.api_key, API_API_VERSIONS);
    assert_int_equal(h.version, 99);
    assert_int_equal(h.correlation_id, 7);
    static const uint8_t unknown[] = {3, 0xe7, 0, 0, 0, 0, 0, 8};
    assert_int_equal(proto_read_request_header(bytes_of(unknown, sizeof unknown), &h),
                     ERR_UNSUPPORTED);
    assert_int_equal(h.api_key, 999);
    static const uint8_t retired[] = {0, 4, 0, 0, 0, 0, 0, 8, 0, 0};
    assert_int_equal(proto_read_request_header(bytes_of(retired, sizeof retired), &h),
                     ERR_UNSUPPORTED);
    assert_int_equal(proto_read_request_header(bytes_of(future, 3), &h), ERR_TRUNCATED);
    assert_int_equal(h.api_key, API_API_VERSIONS);
    assert_int_equal(h.version, -1);
}

static void response_headers_follow_the_version(void **state)
{
    (void)state;
    static const struct {
        int16_t key, version;
        size_t len;
    } cases[] = {
        {API_PRODUCE, 8, 4},      {API_PRODUCE, 9, 5},           {API_API_VERSIONS, 0, 4},
        {API_API_VERSIONS, 3, 4}, {API_API_VERSIONS, 4, 4},      {API_SASL_HANDSHAKE, 1, 4},
        {API_VOTE, 0, 5},         {API_WRITE_TXN_MARKERS, 1, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        int32_t id = 0;
        size_t at = 0;
        proto_put_response_header(&out, cases[i].key, cases[i].version, 77);
        assert_int_equal(out.len, cases[i].len);
        assert_int_equal(
            proto_skip_response_header(buf_bytes(&out), cases[i].key, cases[i].version, &id, &at),
            0);
        assert_int_equal(id, 77);
        assert_int_equal(at, cases[i].len);
        assert_int_equal(proto_skip_response_header(bytes_of(out.data, out.len - 1), cases[i].key,
                                                    cases[i].version, &id, &at),
                         ERR_TRUNCATED);
        buf_free(&out);
    }
}

static void metadata_records_have_a_frame(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf out = {0};
    struct topic_record r;
    proto_msg_init(&topic_record_msg, &r);
    r.name = bytes_str("orders");
    r.topic_id.b[15] = 9;
    assert_int_equal(proto_encode_metadata_record(&topic_record_msg, 0, &r, &out, NULL), 0);
    assert_memory_equal(out.data, "\x01\x02\x00\x07orders", 10);
    const struct proto_message *m;
    int16_t version;
    void *got;
    assert_int_equal(proto_decode_metadata_record(buf_bytes(&out), &a, &m, &version, &got), 0);
    assert_ptr_equal(m, &topic_record_msg);
    assert_int_equal(version, 0);
    assert_true(bytes_eq_str(((struct topic_record *)got)->name, "orders"));
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_int_equal(
            proto_decode_metadata_record(bytes_of(out.data, cut), &a, &m, &version, &got),
            ERR_TRUNCATED);
    }
    buf_put_u8(&out, 0); /* Kafka takes no bytes behind a record */
    assert_int_equal(proto_decode_metadata_record(buf_bytes(&out), &a, &m, &version, &got),
                     ERR_CORRUPT);
    static const struct {
        uint8_t b[4];
        int err;
    } bad[] = {
        {{0, 2, 0, 0}, ERR_CORRUPT},      /* frame version of a preview release */
        {{2, 2, 0, 0}, ERR_CORRUPT},      /* of the future */
        {{1, 6, 0, 0}, ERR_UNSUPPORTED},  /* a type that does not exist */
        {{1, 99, 0, 0}, ERR_UNSUPPORTED}, /* nor this */
        {{1, 2, 1, 0}, ERR_UNSUPPORTED},  /* a version that does not */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(
            proto_decode_metadata_record(bytes_of(bad[i].b, 4), &a, &m, &version, &got),
            bad[i].err);
    }
    buf_free(&out);
    arena_free(&a);
}

/* The same number is another record in another store. */
static void coordinator_records_belong_to_a_store(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf key = {0};
    struct buf value = {0};
    struct transaction_log_key k;
    struct transaction_log_value v;
    const struct proto_message *m;
    void *got;
    int16_t version;
    proto_msg_init(&transaction_log_key_msg, &k);
    proto_msg_init(&transaction_log_value_msg, &v);
    k.transactional_id = bytes_str("tx");
    v.producer_id = 5;
    v.transaction_partitions_n = -1;
    assert_int_equal(proto_encode_prefixed(&transaction_log_key_msg, 0, &k, &key, NULL), 0);
    assert_memory_equal(key.data, "\0\0\0\2tx", 6);
    assert_int_equal(proto_encode_prefixed(&transaction_log_value_msg, 1, &v, &value, NULL), 0);
    assert_int_equal(
        proto_decode_coordinator_key(PROTO_STORE_TRANSACTION_STATE, buf_bytes(&key), &a, &m, &got),
        0);
    assert_ptr_equal(m, &transaction_log_key_msg);
    m = proto_coordinator_value(m);
    assert_ptr_equal(m, &transaction_log_value_msg);
    assert_int_equal(proto_decode_prefixed(m, buf_bytes(&value), &a, &version, &got), 0);
    assert_int_equal(version, 1);
    assert_true(((struct transaction_log_value *)got)->producer_id == 5);
    assert_int_equal(
        proto_decode_coordinator_key(PROTO_STORE_CONSUMER_OFFSETS, buf_bytes(&key), &a, &m, &got),
        ERR_TRUNCATED);
    assert_ptr_equal(m, &legacy_offset_commit_key_msg);
    key.data[1] = 77;
    assert_int_equal(
        proto_decode_coordinator_key(PROTO_STORE_CONSUMER_OFFSETS, buf_bytes(&key), &a, &m, &got),
        ERR_UNSUPPORTED);
    buf_free(&key);
    buf_free(&value);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_headers_are_the_schemas),
        cmocka_unit_test(a_header_skips_tags),
        cmocka_unit_test(says_what_it_could_read_of_an_unknown_request),
        cmocka_unit_test(response_headers_follow_the_version),
        cmocka_unit_test(metadata_records_have_a_frame),
        cmocka_unit_test(coordinator_records_belong_to_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
