/* The interpreter at its edges: what real Kafka tolerates and what it refuses (each case was shown
 * to Kafka 4.3.1's own classes), what an encoder refuses, splices, limits. That all messages agree
 * with Kafka's in all versions is shown by tests/vectors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto/cursor.h"
#include "proto_messages.h"

static void put_hex(struct buf *out, const char *hex)
{
    for (; *hex; hex++) {
        unsigned v;
        if (*hex == ' ') {
            continue;
        }
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        buf_put_u8(out, (uint8_t)v);
        hex++;
    }
}

static void assert_hex(struct bytes got, const char *hex)
{
    struct buf want = {0};
    put_hex(&want, hex);
    if (!bytes_eq(got, buf_bytes(&want))) {
        struct buf text = {0};
        for (size_t i = 0; i < got.len; i++) {
            buf_printf(&text, "%02x", got.data[i]);
        }
        fail_msg("got      %s\nexpected %s", buf_cstr(&text), hex);
    }
    buf_free(&want);
}

/* BrokerHeartbeatRequest version 1 up to its tags. */
#define HEARTBEAT "00000001 0000000000000002 0000000000000003 01 00 "
#define UUID_1    "00112233445566778899aabbccddeeff"

struct tolerance {
    const struct proto_message *m;
    int16_t version;
    const char *in;
    int err;
    const char *again; /* written again; NULL: Kafka refuses to, and so do we */
};

static const struct tolerance tolerances[] = {
    /* The size before a known tag's value is not looked at. */
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "01 00 64 01", 0, HEARTBEAT "00"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "01 00 00 02" UUID_1, 0,
     HEARTBEAT "01 00 11 02" UUID_1},
    /* A known tag twice: the last one counts. At its default it is dropped. Null it must not be. */
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "02 00 11 02" UUID_1 "00 01 01", 0,
     HEARTBEAT "00"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "01 00 01 00", ERR_CORRUPT, NULL},
    /* A tag that only a later version knows. */
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "01 01 01 00", ERR_CORRUPT, NULL},
    /* Unknown tags come before, between and behind known ones, or twice. */
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "02 65 01 aa 00 11 02" UUID_1, 0,
     HEARTBEAT "02 00 11 02" UUID_1 "65 01 aa"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "02 64 01 aa 64 01 bb", 0, NULL},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "02 65 01 aa 64 01 bb", 0, NULL},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "01 64 05 00", ERR_TRUNCATED, NULL},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "01 64 ffffffff0f", ERR_CORRUPT, NULL},
    /* Varints: a negative count is none, bits above the 32nd are lost, a sixth byte is too much. */
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "ffffffff0f", 0, HEARTBEAT "00"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "8080808010", 0, HEARTBEAT "00"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "808080807f", 0, HEARTBEAT "00"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "8000", 0, HEARTBEAT "00"},
    {&broker_heartbeat_request_msg, 1, HEARTBEAT "808080808001", ERR_CORRUPT, NULL},
    /* Any negative length is null. */
    {&metadata_request_msg, 1, "fffffffb", 0, "ffffffff"},
    {&metadata_request_msg, 0, "ffffffff", ERR_CORRUPT, NULL},
    {&metadata_request_msg, 9, "8180808008 00 00 00 00", 0, "00 00 00 00 00"},
    {&metadata_request_msg, 9, "8080808008 00 00 00 00", ERR_TRUNCATED, NULL},
    {&metadata_request_msg, 1, "00000001 fffb", ERR_CORRUPT, NULL},
    {&metadata_request_msg, 10, "02 00000000000000000000000000000000 8180808008 00 01 00 00 00", 0,
     "02 00000000000000000000000000000000 00 00 01 00 00 00"},
    {&sasl_authenticate_request_msg, 0, "fffffffb", ERR_CORRUPT, NULL},
    {&produce_request_msg, 3, "ffff 0001 00000001 00000001 0001 61 00000001 00000000 fffffffa", 0,
     "ffff 0001 00000001 00000001 0001 61 00000001 00000000 ffffffff"},
    /* Counts against the bytes that are left; strings above 32767 bytes. */
    {&metadata_request_msg, 1, "00000005 0000 0000", ERR_TRUNCATED, NULL},
    {&metadata_request_msg, 1, "00000004 0000 0000", ERR_TRUNCATED, NULL},
    {&metadata_request_msg, 10, "02 00000000000000000000000000000000 818002 00 01 00 00 00",
     ERR_CORRUPT, NULL},
    /* Bools, and structs that may be null: as int8 in line, as uvarint in a tag. */
    {&metadata_request_msg, 10, "01 02 ff 00 00", 0, "01 01 01 00 00"},
    {&consumer_group_heartbeat_response_msg, 0, "00000000 0000 00 02 61 00000000 00000000 fe 00", 0,
     "00000000 0000 00 02 61 00000000 00000000 ff 00"},
    {&consumer_group_member_metadata_value_msg, 0, "00 00 01 01 01 00 00000000 00 01 00 01 00", 0,
     "00 00 01 01 01 00 00000000 00 01 00 01 00"},
    {&consumer_group_member_metadata_value_msg, 0, "00 00 01 01 01 00 00000000 00 00", 0,
     "00 00 01 01 01 00 00000000 00 00"},
    /* Rows with the same key stay two. */
    {&metadata_request_msg, 1, "00000002 0001 61 0001 61", 0, "00000002 0001 61 0001 61"},
};

static void tolerates_and_refuses_what_kafka_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tolerances); i++) {
        const struct tolerance *t = &tolerances[i];
        struct arena a = {0};
        struct buf in = {0};
        struct buf again = {0};
        struct errmsg em;
        put_hex(&in, t->in);
        void *msg = proto_array(&a, t->m->root, 1);
        int err = proto_decode(t->m, t->version, buf_bytes(&in), NULL, &a, msg);
        if (err != t->err) {
            fail_msg("%s version %d, %s: %s", t->m->name, t->version, t->in, err_text(err));
        }
        if (err == 0 && t->again) {
            assert_int_equal(proto_encode(t->m, t->version, msg, &again, &em), 0);
            assert_hex(buf_bytes(&again), t->again);
        } else if (err == 0) {
            assert_int_equal(proto_encode(t->m, t->version, msg, &again, &em), ERR_INVALID);
        }
        buf_free(&in);
        buf_free(&again);
        arena_free(&a);
    }
}

static void leaves_bytes_behind_the_message_alone(void **state)
{
    (void)state;
    struct arena a = {0};
    struct api_versions_request msg;
    size_t used = 99;
    assert_int_equal(proto_decode(&api_versions_request_msg, 0, bytes_str("xyz"), &used, &a, &msg),
                     0);
    assert_int_equal(used, 0);
    arena_free(&a);
}

static void refuses_versions_that_do_not_exist(void **state)
{
    (void)state;
    static const int16_t versions[] = {-1, 2, 14, 99, INT16_MIN, INT16_MAX};
    struct arena a = {0};
    struct produce_request msg;
    struct buf out = {0};
    struct errmsg em;
    proto_msg_init(&produce_request_msg, &msg);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        assert_int_equal(
            proto_decode(&produce_request_msg, versions[i], bytes_str(""), NULL, &a, &msg),
            ERR_UNSUPPORTED);
        assert_int_equal(proto_encode(&produce_request_msg, versions[i], &msg, &out, &em),
                         ERR_UNSUPPORTED);
        assert_non_null(strstr(em.text, "3 to 13"));
    }
    assert_int_equal(proto_request(4)->version_max, -1);
    assert_int_equal(out.len, 0);
    arena_free(&a);
}

static void keeps_within_the_arenas_limit(void **state)
{
    (void)state;
    struct buf in = {0};
    put_hex(&in, "00000003 0001 61 0001 62 0001 63");
    struct metadata_request msg;
    struct arena a = {.limit = 3 * sizeof(struct metadata_request_metadata_request_topic) - 1};
    assert_int_equal(proto_decode(&metadata_request_msg, 1, buf_bytes(&in), NULL, &a, &msg),
                     ERR_NOMEM);
    arena_free(&a);
    a = (struct arena){.limit = 3 * sizeof(struct metadata_request_metadata_request_topic)};
    assert_int_equal(proto_decode(&metadata_request_msg, 1, buf_bytes(&in), NULL, &a, &msg), 0);
    assert_int_equal(msg.topics_n, 3);
    assert_true(bytes_eq_str(msg.topics[2].name, "c"));
    arena_free(&a);
    buf_free(&in);
}

static void starts_at_the_schemas_defaults(void **state)
{
    (void)state;
    struct fetch_request msg;
    proto_msg_init(&fetch_request_msg, &msg);
    assert_int_equal(msg.max_bytes, INT32_MAX);
    assert_int_equal(msg.session_epoch, -1);
    assert_int_equal(msg.replica_state.replica_epoch, -1);
    assert_true(bytes_is_null(msg.cluster_id));
    assert_true(bytes_eq_str(msg.rack_id, ""));
    assert_int_equal(msg.topics_n, 0);
    struct arena a = {0};
    struct fetch_request_fetch_partition *p =
        proto_array(&a, &fetch_request_fetch_partition_desc, 2);
    assert_true(p[1].high_watermark == INT64_MAX);
    assert_int_equal(p[1].current_leader_epoch, -1);
    arena_free(&a);
    struct consumer_group_member_metadata_value v;
    proto_msg_init(&consumer_group_member_metadata_value_msg, &v);
    assert_non_null(v.classic_member_metadata);
    struct broker_heartbeat_request h;
    proto_msg_init(&broker_heartbeat_request_msg, &h);
    assert_int_equal(h.cordoned_log_dirs_n, -1);
}

/* ---- What an encoder refuses ---- */

static void assert_refused(const struct proto_message *m, int16_t version, const void *msg, int err,
                           const char *word)
{
    struct buf out = {0};
    struct errmsg em = {{0}};
    buf_put_str(&out, "before");
    assert_int_equal(proto_encode(m, version, msg, &out, &em), err);
    if (strstr(em.text, word) == NULL) {
        fail_msg("'%s' does not name %s", em.text, word);
    }
    assert_true(bytes_eq_str(buf_bytes(&out), "before"));
    buf_free(&out);
}

static void refuses_what_a_version_cannot_say(void **state)
{
    (void)state;
    struct buf out = {0};
    struct metadata_request r;
    proto_msg_init(&metadata_request_msg, &r);
    r.include_topic_authorized_operations = true; /* 8+, not ignorable */
    assert_refused(&metadata_request_msg, 7, &r, ERR_UNSUPPORTED,
                   "includeTopicAuthorizedOperations");
    assert_int_equal(proto_encode(&metadata_request_msg, 8, &r, &out, NULL), 0);
    proto_msg_init(&metadata_request_msg, &r);
    r.topics_n = -1;
    assert_refused(&metadata_request_msg, 0, &r, ERR_INVALID, "topics");
    struct produce_response_topic_produce_response t;
    proto_init(&produce_response_topic_produce_response_desc, &t);
    t.name = BYTES_NULL;
    struct produce_response p;
    proto_msg_init(&produce_response_msg, &p);
    p.responses = &t;
    p.responses_n = 1;
    assert_refused(&produce_response_msg, 9, &p, ERR_INVALID, "TopicProduceResponse.name");
    assert_int_equal(proto_encode(&produce_response_msg, 13, &p, &out, NULL), 0); /* has an id */
    buf_free(&out);
}

static void refuses_long_strings_and_tags_out_of_order(void **state)
{
    (void)state;
    struct buf text = {0};
    struct buf out = {0};
    for (int i = 0; i < 32768; i++) {
        buf_put_u8(&text, 'x');
    }
    struct fetch_request r;
    proto_msg_init(&fetch_request_msg, &r);
    r.rack_id = buf_bytes(&text);
    assert_refused(&fetch_request_msg, 13, &r, ERR_TOOBIG, "rackId");
    r.rack_id.len--;
    assert_int_equal(proto_encode(&fetch_request_msg, 13, &r, &out, NULL), 0);
    r.rack_id = bytes_str("");
    struct proto_tag tags[] = {{300, bytes_of("a", 1)}, {200, bytes_of("b", 1)}};
    r.unknown = (struct proto_unknown){tags, 2};
    assert_refused(&fetch_request_msg, 13, &r, ERR_INVALID, "(tags)");
    assert_refused(&fetch_request_msg, 11, &r, ERR_UNSUPPORTED, "(tags)");
    r.unknown.n = 1;
    tags[0].tag = 0; /* the cluster id's */
    assert_refused(&fetch_request_msg, 13, &r, ERR_INVALID, "clusterId");
    buf_free(&text);
    buf_free(&out);
}

/* A tagged value of 128 bytes and more has a size of two bytes, nested ones too. */
static void sizes_of_tagged_fields_grow(void **state)
{
    (void)state;
    struct fetch_response_node_endpoint nodes[40];
    char host[40][16];
    struct proto_tag tags[40];
    struct fetch_response r;
    struct fetch_response again;
    proto_msg_init(&fetch_response_msg, &r);
    for (int n = 0; n <= 40; n++) {
        struct buf out = {0};
        struct arena a = {0};
        size_t used;
        for (int i = 0; i < n; i++) {
            proto_init(&fetch_response_node_endpoint_desc, &nodes[i]);
            snprintf(host[i], sizeof host[i], "host%d", i);
            nodes[i].host = bytes_str(host[i]);
            tags[i] = (struct proto_tag){7000, bytes_of("0123456789", i % 2 ? 10 : 0)};
            nodes[i].unknown.tags = &tags[i];
            nodes[i].unknown.n = 1;
        }
        r.node_endpoints = nodes;
        r.node_endpoints_n = n;
        assert_int_equal(proto_encode(&fetch_response_msg, 16, &r, &out, NULL), 0);
        assert_int_equal(proto_decode(&fetch_response_msg, 16, buf_bytes(&out), &used, &a, &again),
                         0);
        assert_int_equal(used, out.len);
        assert_int_equal(again.node_endpoints_n, n);
        if (n) {
            assert_true(bytes_eq_str(again.node_endpoints[n - 1].host, host[n - 1]));
            assert_int_equal(again.node_endpoints[n - 1].unknown.tags[0].tag, 7000);
        }
        arena_free(&a);
        buf_free(&out);
    }
}

/* With its bytes put in where the splices say, a spliced answer is the one that was encoded whole.
 */
static void spliced_answers_are_whole_ones(void **state)
{
    (void)state;
    static const char records[3][8] = {"aaaaaaa", "bbb", ""};
    struct fetch_response_partition_data parts[3];
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response r;
    struct proto_splice v[3];
    for (int16_t version = 4; version <= 18; version++) {
        struct proto_splices splices = {v, 0, 3};
        struct buf whole = {0};
        struct buf out = {0};
        struct buf joined = {0};
        proto_msg_init(&fetch_response_msg, &r);
        proto_init(&fetch_response_fetchable_topic_response_desc, &topic);
        r.responses = &topic;
        r.responses_n = 1;
        topic.partitions = parts;
        topic.partitions_n = 3;
        for (int i = 0; i < 3; i++) {
            proto_init(&fetch_response_partition_data_desc, &parts[i]);
            parts[i].records = bytes_str(records[i]);
        }
        assert_int_equal(proto_encode(&fetch_response_msg, version, &r, &whole, NULL), 0);
        for (int i = 0; i < 3; i++) {
            parts[i].records.data = PROTO_SPLICE;
        }
        assert_int_equal(
            proto_encode_spliced(&fetch_response_msg, version, &r, &out, &splices, NULL), 0);
        assert_int_equal(splices.n, 3);
        size_t at = 0;
        for (size_t i = 0; i < splices.n; i++) {
            buf_put(&joined, out.data + at, v[i].at - at);
            assert_int_equal(v[i].len, strlen(records[i]));
            buf_put_str(&joined, records[i]);
            at = v[i].at;
        }
        buf_put(&joined, out.data + at, out.len - at);
        assert_true(bytes_eq(buf_bytes(&joined), buf_bytes(&whole)));
        buf_free(&whole);
        buf_free(&out);
        buf_free(&joined);
    }
}

static void a_cursors_first_error_sticks(void **state)
{
    (void)state;
    struct cursor c = cursor_of(bytes_of("\x01\x02\x03\x04\x05", 5));
    assert_int_equal(cursor_be16(&c), 0x0102);
    assert_int_equal(cursor_be32(&c), 0);
    assert_int_equal(c.err, ERR_TRUNCATED);
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_u8(&c), 0);
    assert_null(cursor_take(&c, 1));
    cursor_fail(&c, ERR_CORRUPT);
    assert_int_equal(c.err, ERR_TRUNCATED);
    c = cursor_of(BYTES_NULL);
    assert_int_equal(cursor_left(&c), 0);
    assert_non_null(cursor_take(&c, 0));
    c = cursor_of(bytes_of("\xff\xff\xff\xff\x0f\xac\x02", 7));
    assert_int_equal(cursor_uvarint(&c), UINT32_MAX);
    assert_int_equal(cursor_uvarint(&c), 300);
    assert_int_equal(c.err, 0);
}

static void reads_any_message_again_after_a_null_array(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf out = {0};
    struct offset_fetch_request r;
    struct offset_fetch_request again;
    proto_msg_init(&offset_fetch_request_msg, &r);
    r.group_id = bytes_str("g");
    r.topics_n = -1;
    assert_int_equal(proto_encode(&offset_fetch_request_msg, 2, &r, &out, NULL), 0);
    assert_hex(buf_bytes(&out), "0001 67 ffffffff");
    assert_int_equal(proto_decode(&offset_fetch_request_msg, 2, buf_bytes(&out), NULL, &a, &again),
                     0);
    assert_int_equal(again.topics_n, -1);
    assert_null(again.topics);
    buf_free(&out);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tolerates_and_refuses_what_kafka_does),
        cmocka_unit_test(leaves_bytes_behind_the_message_alone),
        cmocka_unit_test(refuses_versions_that_do_not_exist),
        cmocka_unit_test(keeps_within_the_arenas_limit),
        cmocka_unit_test(starts_at_the_schemas_defaults),
        cmocka_unit_test(refuses_what_a_version_cannot_say),
        cmocka_unit_test(refuses_long_strings_and_tags_out_of_order),
        cmocka_unit_test(sizes_of_tagged_fields_grow),
        cmocka_unit_test(spliced_answers_are_whole_ones),
        cmocka_unit_test(a_cursors_first_error_sticks),
        cmocka_unit_test(reads_any_message_again_after_a_null_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
