/* Records of __consumer_offsets as Kafka 4.3.1 writes them: a key is its type (int16) and fields,
 * a value its version (int16) and fields, no value a tombstone. Offsets are written by hand,
 * because there is one for every partition that is committed; the unit test holds them against the
 * schema.
 *
 * OffsetCommit has value version 4 (topic id in tagged field 0), and version 1, the only one that
 * can say it, when the request set an expiry. GroupMetadata has value version 3. */
#include "base/varint.h"
#include "broker/group/group_private.h"

enum { KEY_OFFSET_COMMIT = 1, STRING_MAX = 32767, METADATA_VERSION = 3 };

static uint8_t *put_be16(uint8_t *p, int v)
{
    store_be16(p, (uint16_t)v);
    return p + 2;
}

static uint8_t *put_be32(uint8_t *p, int32_t v)
{
    store_be32(p, (uint32_t)v);
    return p + 4;
}

static uint8_t *put_be64(uint8_t *p, int64_t v)
{
    store_be64(p, (uint64_t)v);
    return p + 8;
}

static uint8_t *put_raw(uint8_t *p, struct bytes b)
{
    if (b.len) {
        memcpy(p, b.data, b.len);
    }
    return p + b.len;
}

static uint8_t *put_string(uint8_t *p, struct bytes s)
{
    ASSERT(s.len <= STRING_MAX);
    return put_raw(put_be16(p, (int)s.len), s);
}

static size_t offset_key_size(struct bytes group, struct bytes topic)
{
    return 2 + 2 + group.len + 2 + topic.len + 4;
}

static uint8_t *put_offset_key(uint8_t *p, struct bytes group, struct bytes topic,
                               int32_t partition)
{
    p = put_be16(p, KEY_OFFSET_COMMIT);
    return put_be32(put_string(put_string(p, group), topic), partition);
}

static size_t offset_value_size(const struct offset_commit_value *v, int16_t version)
{
    if (version == 1) {
        return 2 + 8 + 2 + v->metadata.len + 8 + 8;
    }
    size_t tags = uuid_is_zero(v->topic_id) ? 1 : 3 + sizeof v->topic_id.b;
    return 2 + 8 + 4 + uvarint_size(v->metadata.len + 1) + v->metadata.len + 8 + tags;
}

static uint8_t *put_offset_value(uint8_t *p, const struct offset_commit_value *v, int16_t version)
{
    p = put_be64(put_be16(p, version), v->offset);
    if (version == 1) {
        p = put_string(p, v->metadata);
        return put_be64(put_be64(p, v->commit_timestamp), v->expire_timestamp);
    }
    p = put_be32(p, v->leader_epoch);
    p += uvarint_put(p, v->metadata.len + 1);
    p = put_be64(put_raw(p, v->metadata), v->commit_timestamp);
    if (uuid_is_zero(v->topic_id)) {
        *p = 0; /* no tags */
        return p + 1;
    }
    *p++ = 1; /* one tag: number 0, as long as a uuid */
    *p++ = 0;
    *p++ = sizeof v->topic_id.b;
    return put_raw(p, bytes_of(v->topic_id.b, sizeof v->topic_id.b));
}

struct group_record group_record_offset(struct group_effects *fx, struct bytes group,
                                        struct bytes topic, int32_t partition,
                                        const struct offset_commit_value *v, int16_t version)
{
    ASSERT(version == 1 || version == 4);
    size_t key_n = offset_key_size(group, topic);
    size_t value_n = offset_value_size(v, version);
    uint8_t *p = arena_alloc(&fx->arena, key_n + value_n);
    uint8_t *end = put_offset_key(p, group, topic, partition);
    ASSERT(end == p + key_n);
    end = put_offset_value(end, v, version);
    ASSERT(end == p + key_n + value_n);
    return (struct group_record){bytes_of(p, key_n), bytes_of(p + key_n, value_n)};
}

struct group_record group_record_offset_gone(struct group_effects *fx, struct bytes group,
                                             struct bytes topic, int32_t partition)
{
    size_t n = offset_key_size(group, topic);
    uint8_t *p = arena_alloc(&fx->arena, n);
    put_offset_key(p, group, topic, partition);
    return (struct group_record){bytes_of(p, n), BYTES_NULL};
}

static struct bytes encode(struct group_effects *fx, const struct proto_message *m, int16_t version,
                           const void *in)
{
    struct buf out = {0};
    struct errmsg em;
    int err = proto_encode_prefixed(m, version, in, &out, &em);
    ASSERT(err == 0); /* every text came in a string of the protocol */
    struct bytes b = bytes_of(arena_strndup(&fx->arena, out.data, out.len), out.len);
    buf_free(&out);
    return b;
}

struct group_record group_record_metadata(struct group_effects *fx, struct bytes group,
                                          const struct group_metadata_value *v)
{
    struct group_record r = group_record_metadata_gone(fx, group);
    r.value = encode(fx, &group_metadata_value_msg, METADATA_VERSION, v);
    return r;
}

struct group_record group_record_metadata_gone(struct group_effects *fx, struct bytes group)
{
    struct group_metadata_key key = {.group = group};
    return (struct group_record){encode(fx, &group_metadata_key_msg, 0, &key), BYTES_NULL};
}
