/* Records of the group coordinator: what is written by hand is what the schema says, for Kafka's
 * own vectors and for random values; what Kafka's coordinator wrote is what ours writes. */
#include "base/prng.h"
#include "offsets_rig.h"

#define TOPIC_ID                                                                                \
    {                                                                                           \
        {                                                                                       \
            0xc0, 0xbc, 0x72, 0x78, 0x8f, 0xb6, 0x4c, 0xbf, 0xa9, 0xf4, 0xba, 0x62, 0xfc, 0xf2, \
                0xb7, 0xc8                                                                      \
        }                                                                                       \
    }

static void put_hex(struct buf *out, const char *hex)
{
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned v;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        buf_put_u8(out, (uint8_t)v);
    }
}

static void assert_bytes(struct bytes got, struct bytes want)
{
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
}

static void check_encoded(const struct offset_commit_key *key, const struct offset_commit_value *v,
                          int16_t version)
{
    struct group_effects fx;
    struct buf want = {0};
    struct errmsg em;
    group_effects_init(&fx);
    struct group_record r =
        group_record_offset(&fx, key->group, key->topic, key->partition, v, version);
    assert_int_equal(proto_encode_prefixed(&offset_commit_key_msg, 0, key, &want, &em), 0);
    assert_bytes(r.key, buf_bytes(&want));
    struct group_record gone =
        group_record_offset_gone(&fx, key->group, key->topic, key->partition);
    assert_bytes(gone.key, buf_bytes(&want));
    assert_null(gone.value.data);
    buf_clear(&want);
    assert_int_equal(proto_encode_prefixed(&offset_commit_value_msg, version, v, &want, &em), 0);
    assert_bytes(r.value, buf_bytes(&want));
    buf_free(&want);
    group_effects_free(&fx);
}

static struct bytes random_text(struct prng *rng, uint8_t *buf, size_t max)
{
    size_t n = prng_below(rng, 4) == 0 ? 0 : prng_below(rng, max);
    for (size_t i = 0; i < n; i++) {
        buf[i] = (uint8_t)('a' + prng_below(rng, 26));
    }
    return bytes_of(buf, n);
}

static void test_random_offsets(void **state)
{
    static uint8_t text[3][40000];
    struct prng rng;
    (void)state;
    prng_seed(&rng, 1);
    for (int i = 0; i < 2000; i++) {
        size_t max = i % 100 == 0 ? 32768 : 300;
        struct offset_commit_key key = {
            .group = random_text(&rng, text[0], max),
            .topic = random_text(&rng, text[1], max),
            .partition = (int32_t)prng_next(&rng),
        };
        struct offset_commit_value v = {
            .offset = (int64_t)prng_next(&rng),
            .leader_epoch = (int32_t)prng_next(&rng),
            .metadata = random_text(&rng, text[2], max),
            .commit_timestamp = (int64_t)prng_next(&rng),
            .expire_timestamp = (int64_t)prng_next(&rng),
        };
        check_encoded(&key, &v, 1);
        v.expire_timestamp = -1;
        check_encoded(&key, &v, 4);
        v.topic_id = (struct uuid)TOPIC_ID;
        check_encoded(&key, &v, 4);
    }
}

/* ---- Kafka's vectors ---- */

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct buf b = {0};
    assert_non_null(f);
    size_t n;
    do {
        buf_reserve(&b, 1 << 16);
        n = fread(b.data + b.len, 1, 1 << 16, f);
        b.len += n;
    } while (n > 0);
    fclose(f);
    (void)buf_cstr(&b);
    return (char *)buf_take(&b);
}

/* The value as it is read back, through a coordinator. */
static void check_replayed(const struct offset_commit_value *v, struct bytes value)
{
    struct rig r;
    struct offset_commit_key key = {.group = bytes_str("g"), .topic = bytes_str("t")};
    struct buf k = {0};
    struct errmsg em;
    struct group_replay rp = {.producer_id = -1, .offset = 7};
    rig_init(&r);
    assert_int_equal(proto_encode_prefixed(&offset_commit_key_msg, 0, &key, &k, &em), 0);
    assert_int_equal(group_coordinator_replay(r.c, &rp, buf_bytes(&k), value), 0);
    const struct group_topic *t = offset_topic(group_find(r.c, bytes_str("g")), bytes_str("t"));
    const struct offset_entry *e = offset_find(t, 0);
    assert_int_equal(e->offset, v->offset);
    assert_int_equal(e->leader_epoch, v->leader_epoch);
    assert_int_equal(e->commit_ms, v->commit_timestamp);
    assert_int_equal(offset_expire_ms(e), v->expire_timestamp);
    assert_bytes(offset_metadata(e), v->metadata);
    assert_memory_equal(offset_topic_id(t, e).b, v->topic_id.b, 16);
    /* cut anywhere it is refused, and nothing changes */
    for (size_t n = 0; n < value.len; n++) {
        rp.offset = 8;
        assert_int_equal(group_coordinator_replay(r.c, &rp, buf_bytes(&k), bytes_of(value.data, n)),
                         ERR_CORRUPT);
        assert_int_equal(offset_find(t, 0)->at, 7);
    }
    assert_int_equal(r.c->skipped, value.len);
    buf_free(&k);
    rig_free(&r);
}

static void check_value(int16_t version, struct bytes message, bool unknown_tags)
{
    struct arena a = {0};
    struct offset_commit_value v;
    size_t used;
    struct buf value = {0};
    assert_int_equal(proto_decode(&offset_commit_value_msg, version, message, &used, &a, &v), 0);
    buf_put_be16(&value, (uint16_t)version);
    buf_put(&value, message.data, message.len);
    check_replayed(&v, buf_bytes(&value));
    if (!unknown_tags && (version == 4 || version == 1)) {
        struct group_effects fx;
        group_effects_init(&fx);
        struct group_record r =
            group_record_offset(&fx, bytes_str("g"), bytes_str("t"), 0, &v, version);
        assert_bytes(r.value, buf_bytes(&value));
        group_effects_free(&fx);
    }
    buf_free(&value);
    arena_free(&a);
}

static void check_key(struct bytes message)
{
    struct arena a = {0};
    struct offset_commit_key key;
    struct offset_commit_value v = {.metadata = bytes_of("", 0), .expire_timestamp = -1};
    size_t used;
    assert_int_equal(proto_decode(&offset_commit_key_msg, 0, message, &used, &a, &key), 0);
    check_encoded(&key, &v, 4);
    arena_free(&a);
}

static void check_group(int16_t version, struct bytes message)
{
    struct arena a = {0};
    struct group_metadata_value v;
    struct group_effects fx;
    size_t used;
    group_effects_init(&fx);
    assert_int_equal(proto_decode(&group_metadata_value_msg, version, message, &used, &a, &v), 0);
    struct group_record r = group_record_metadata(&fx, bytes_str("a-group"), &v);
    assert_bytes(r.key, bytes_of("\0\2\0\7a-group", 11));
    assert_int_equal(load_be16(r.value.data), 3);
    if (version == 3) {
        assert_bytes(bytes_of(r.value.data + 2, r.value.len - 2), message);
    }
    assert_null(group_record_metadata_gone(&fx, bytes_str("a-group")).value.data);
    group_effects_free(&fx);
    arena_free(&a);
}

static void test_vectors(void **state)
{
    char *text = slurp(TEST_DATA "/vectors/records.tsv"), *rest = text, *line;
    int seen[3] = {0};
    (void)state;
    while ((line = strsep(&rest, "\n")) != NULL) {
        const char *name = strsep(&line, "\t");
        const char *type = line ? strsep(&line, "\t") : NULL;
        const char *version = line ? strsep(&line, "\t") : NULL;
        const char *hex = line ? strsep(&line, "\t") : NULL;
        const char *which = line && strsep(&line, "\t") ? line : "";
        struct buf b = {0};
        if (hex == NULL || type == NULL || version == NULL) {
            continue;
        }
        if (strcmp(name, "OffsetCommitKey") == 0) {
            put_hex(&b, hex);
            check_key(buf_bytes(&b));
            seen[0]++;
        } else if (strcmp(name, "OffsetCommitValue") == 0) {
            put_hex(&b, hex);
            check_value((int16_t)atoi(version), buf_bytes(&b), strcmp(which, "unknown") == 0);
            seen[1]++;
        } else if (strcmp(name, "GroupMetadataValue") == 0 && atoi(version) <= 3) {
            put_hex(&b, hex);
            check_group((int16_t)atoi(version), buf_bytes(&b));
            seen[2]++;
        }
        buf_free(&b);
    }
    assert_int_equal(seen[0], 9);
    assert_int_equal(seen[1], 45);
    assert_int_equal(seen[2], 36);
    mem_free(text);
}

/* Records 0 and 1 of a __consumer_offsets partition that Kafka 4.3.1 wrote. */
static void test_as_kafka_wrote(void **state)
{
    static const uint8_t key[] = "\0\1\0\x08"
                                 "simple-1\0\2in\0\0\0\2";
    static const uint8_t value[] = "\0\4\0\0\0\0\0\0\0\x25\xff\xff\xff\xff\x09"
                                   "note-291\0\0\1\xa2\1\xee\x3d\x96\1\0\x10"
                                   "\xc0\xbc\x72\x78\x8f\xb6\x4c\xbf\xa9\xf4\xba\x62\xfc\xf2\xb7"
                                   "\xc8";
    struct group_effects fx;
    struct offset_commit_value v = {
        .offset = 37,
        .leader_epoch = -1,
        .metadata = bytes_str("note-291"),
        .commit_timestamp = INT64_C(1795328720278),
        .expire_timestamp = -1,
        .topic_id = TOPIC_ID,
    };
    (void)state;
    group_effects_init(&fx);
    struct group_record r =
        group_record_offset(&fx, bytes_str("simple-1"), bytes_str("in"), 2, &v, 4);
    assert_bytes(r.key, bytes_of(key, sizeof key - 1));
    assert_bytes(r.value, bytes_of(value, sizeof value - 1));
    group_effects_free(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_offsets),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_as_kafka_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
