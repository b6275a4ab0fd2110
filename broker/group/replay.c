/* Records in: what the log of a __consumer_offsets partition says, in its order.
 *
 *   key type  0, 1        a committed offset (0 is the form of Kafka 0.8)
 *             2           a classic group's generation
 *             3-8, 10-17, 19-23   groups of other kinds (foreign.c)
 *
 * An offset of a transaction waits beside the committed ones until the transaction's marker; then
 * the later record of the two stands. A tombstone acts at once on both, as in Kafka, whichever
 * batch it came in. A classic group's record replaces whatever stood under its name.
 *
 * Failure modes. A record that cannot be read changes nothing, is counted and reported. A type that
 * is not known is not looked at: a later Kafka may have written it. */
#include "broker/group/offset_store.h"
#include "proto/cursor.h"

enum { KEY_LEGACY_OFFSET, KEY_OFFSET, KEY_GROUP, OFFSET_VALUE_MAX = 4, TAG_TOPIC_ID = 0 };

static struct bytes take_string(struct cursor *cur)
{
    int16_t n = (int16_t)cursor_be16(cur);
    if (n < 0) {
        cursor_fail(cur, ERR_CORRUPT);
        return BYTES_NULL;
    }
    const uint8_t *p = cursor_take(cur, (size_t)n);
    return bytes_of(p, p ? (size_t)n : 0);
}

static struct bytes take_compact_string(struct cursor *cur)
{
    uint32_t n = cursor_uvarint(cur);
    if (n == 0) {
        cursor_fail(cur, ERR_CORRUPT); /* null */
        return BYTES_NULL;
    }
    const uint8_t *p = cursor_take(cur, n - 1);
    return bytes_of(p, p ? n - 1 : 0);
}

static void take_tags(struct cursor *cur, struct offset_commit_value *v)
{
    uint32_t n = cursor_uvarint(cur);
    for (uint32_t i = 0; i < n && cur->err == 0; i++) {
        uint32_t tag = cursor_uvarint(cur);
        uint32_t size = cursor_uvarint(cur);
        const uint8_t *p = cursor_take(cur, size);
        if (p != NULL && tag == TAG_TOPIC_ID) {
            if (size != sizeof v->topic_id.b) {
                cursor_fail(cur, ERR_CORRUPT);
                return;
            }
            memcpy(v->topic_id.b, p, sizeof v->topic_id.b);
        }
    }
}

static int read_offset_value(struct bytes value, struct offset_commit_value *v)
{
    struct cursor cur = cursor_of(value);
    int16_t version = (int16_t)cursor_be16(&cur);
    if (version < 0 || version > OFFSET_VALUE_MAX) {
        return ERR_CORRUPT;
    }
    *v = (struct offset_commit_value){.leader_epoch = -1, .expire_timestamp = -1};
    v->offset = (int64_t)cursor_be64(&cur);
    if (version >= 3) {
        v->leader_epoch = (int32_t)cursor_be32(&cur);
    }
    v->metadata = version >= 4 ? take_compact_string(&cur) : take_string(&cur);
    v->commit_timestamp = (int64_t)cursor_be64(&cur);
    if (version == 1) {
        v->expire_timestamp = (int64_t)cursor_be64(&cur);
    }
    if (version >= 4) {
        take_tags(&cur, v);
    }
    return cur.err ? ERR_CORRUPT : 0;
}

static int replay_offset(struct group_coordinator *c, const struct group_replay *r,
                         struct cursor *key, struct bytes value)
{
    struct bytes id = take_string(key);
    struct bytes topic = take_string(key);
    int32_t partition = (int32_t)cursor_be32(key);
    if (key->err) {
        return ERR_CORRUPT;
    }
    struct group *g = group_find(c, id);
    if (bytes_is_null(value)) {
        if (g) {
            offset_forget(g, topic, partition);
            group_release(g);
        }
        return 0;
    }
    struct offset_commit_value v;
    if (read_offset_value(value, &v) != 0) {
        return ERR_CORRUPT;
    }
    if (g == NULL) {
        g = group_make(c, id, GROUP_KIND_CLASSIC);
    }
    struct group_topic *t = offset_topic_make(g, topic);
    if (r->transactional && r->producer_id >= 0) {
        open_offset_put(t, r->producer_id, partition, &v, r->offset);
    } else {
        offset_put(t, partition, &v, r->offset, c->gone_seq);
    }
    return 0;
}

static int replay_group(struct group_coordinator *c, const struct group_replay *r,
                        struct cursor *key, struct bytes value)
{
    struct bytes id = take_string(key);
    if (key->err) {
        return ERR_CORRUPT;
    }
    struct group *g = group_find(c, id);
    if (bytes_is_null(value)) {
        /* one of another kind keeps its name: its own records end it */
        if (g && g->kind == GROUP_KIND_CLASSIC) {
            g->in_log = false;
            g->kept = false;
            classic_replay(g, NULL, r->timestamp);
            group_release(g);
        }
        return 0;
    }
    struct arena a = {0};
    int16_t version;
    void *v;
    int err = proto_decode_prefixed(&group_metadata_value_msg, value, &a, &version, &v);
    if (err == 0) {
        if (g == NULL) {
            g = group_make(c, id, GROUP_KIND_CLASSIC);
        } else if (g->kind != GROUP_KIND_CLASSIC) {
            foreign_free(g);
            g->kind = GROUP_KIND_CLASSIC;
        }
        g->in_log = true;
        classic_replay(g, v, r->timestamp);
    }
    arena_free(&a);
    return err ? ERR_CORRUPT : 0;
}

static int replay_foreign(struct group_coordinator *c, int16_t type, struct cursor *key,
                          struct bytes value)
{
    struct bytes id = take_string(key);
    if (key->err) {
        return ERR_CORRUPT;
    }
    return foreign_replay(c, id, type, bytes_of(key->p, cursor_left(key)), value);
}

int group_coordinator_replay(struct group_coordinator *c, const struct group_replay *r,
                             struct bytes key, struct bytes value)
{
    struct cursor cur = cursor_of(key);
    int16_t type = (int16_t)cursor_be16(&cur);
    int err = cur.err ? ERR_CORRUPT : 0;
    if (err == 0 && (type == KEY_LEGACY_OFFSET || type == KEY_OFFSET)) {
        err = replay_offset(c, r, &cur, value);
    } else if (err == 0 && type == KEY_GROUP) {
        err = replay_group(c, r, &cur, value);
    } else if (err == 0 && foreign_knows(type)) {
        err = replay_foreign(c, type, &cur, value);
    }
    if (err) {
        c->skipped++;
    }
    return err;
}

void group_coordinator_replay_marker(struct group_coordinator *c, int64_t producer_id, bool commit)
{
    group_txn_end(c, producer_id, commit);
}
