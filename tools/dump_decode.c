/* What keys and values mean: text, numbers, or the records of Kafka's internal topics as JSON. A
 * record that does not decode gets the sentence in its place, as in Kafka's tool. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "proto/message.h"
#include "proto_messages.h"
#include "tools/dump.h"

/* ---- By class ---- */

static void put_class(enum dump_class class, struct bytes b, struct buf *out)
{
    switch (class) {
    case DUMP_STRING:
        utf8_put(out, b);
        return;
    case DUMP_INTEGER:
        if (b.len >= 4) {
            buf_printf(out, "%" PRId32, (int32_t)load_be32(b.data));
            return;
        }
        break;
    case DUMP_LONG:
        if (b.len >= 8) {
            buf_printf(out, "%" PRId64, (int64_t)load_be64(b.data));
            return;
        }
        break;
    case DUMP_HEX:
        for (size_t i = 0; i < b.len; i++) {
            buf_printf(out, "%02x", b.data[i]);
        }
        return;
    }
    buf_printf(out, "(%zu bytes, too few for the number)", b.len);
}

static void put_classes(const struct dump *d, const struct record *rec, const char *prefix,
                        struct buf *out)
{
    if (!bytes_is_null(rec->key)) {
        buf_printf(out, "%skey: ", prefix);
        put_class(d->key_class, rec->key, out);
        prefix = " ";
    }
    if (!bytes_is_null(rec->value)) {
        buf_printf(out, "%spayload: ", prefix);
        put_class(d->value_class, rec->value, out);
    }
}

/* ---- __cluster_metadata ---- */

/* Why a record cannot be shown. m: what it is, as far as that is known. */
static const char *reason(int err, const struct proto_message *m, struct bytes b)
{
    if (bytes_is_null(b)) {
        return "there is nothing to decode";
    }
    if (err == ERR_UNSUPPORTED) {
        return m ? "its version is not known" : "its type is not known";
    }
    return err_text(err);
}

/* TopicRecord is TOPIC_RECORD. */
static void put_type_name(const char *name, struct buf *out)
{
    for (const char *p = name; *p; p++) {
        if (p > name && isupper((unsigned char)*p) && islower((unsigned char)p[-1])) {
            buf_put_u8(out, '_');
        }
        buf_put_u8(out, (uint8_t)toupper((unsigned char)*p));
    }
}

static void put_metadata(const struct record *rec, const char *prefix, struct buf *out)
{
    struct arena a = {0};
    const struct proto_message *m = NULL;
    int16_t version;
    void *msg;
    buf_printf(out, "%spayload: ", prefix);
    int err = bytes_is_null(rec->value)
                  ? ERR_CORRUPT
                  : proto_decode_metadata_record(rec->value, &a, &m, &version, &msg);
    if (err) {
        buf_printf(out, "Error at %" PRId64 ", skipping. %s", rec->offset,
                   reason(err, m, rec->value));
    } else {
        buf_put_str(out, "{\"type\":\"");
        put_type_name(m->name, out);
        buf_printf(out, "\",\"version\":%d,\"data\":", version);
        proto_print_json(m, version, msg, out);
        buf_put_u8(out, '}');
    }
    arena_free(&a);
}

/* ---- Coordinators' topics ---- */

/* In the printed group from *at on: the bytes of one member's field as a message, if they are one.
 */
static void open_field(struct buf *json, size_t *at, const char *field, struct bytes bytes,
                       const struct proto_message *m)
{
    struct arena a = {0};
    struct buf text = {0};
    struct buf opened = {0};
    int16_t version;
    void *msg;
    buf_printf(&text, "\"%s\":\"", field);
    size_t name = text.len - 1;
    base64_put(&text, bytes);
    buf_put_u8(&text, '"');
    const char *found = strstr(buf_cstr(json) + *at, buf_cstr(&text));
    if (!bytes_is_null(bytes) && found &&
        proto_decode_prefixed(m, bytes, &a, &version, &msg) == 0) {
        size_t start = (size_t)(found - (const char *)json->data) + name;
        size_t end = start + text.len - name;
        proto_print_json(m, version, msg, &opened);
        struct buf whole = {0};
        buf_put(&whole, json->data, start);
        buf_put(&whole, opened.data, opened.len);
        *at = whole.len;
        buf_put(&whole, json->data + end, json->len - end);
        buf_free(json);
        *json = whole;
    } else if (found) {
        *at = (size_t)(found - (const char *)json->data) + text.len;
    }
    buf_free(&text);
    buf_free(&opened);
    arena_free(&a);
}

/* Groups of consumers: what members said when they joined, and what they were given, is opened. */
static void put_group(const struct group_metadata_value *g, int16_t version, struct buf *out)
{
    struct buf json = {0};
    size_t at = 0;
    proto_print_json(&group_metadata_value_msg, version, g, &json);
    for (int32_t i = 0; bytes_eq_str(g->protocol_type, "consumer") && i < g->members_n; i++) {
        open_field(&json, &at, "subscription", g->members[i].subscription,
                   &consumer_protocol_subscription_msg);
        open_field(&json, &at, "assignment", g->members[i].assignment,
                   &consumer_protocol_assignment_msg);
    }
    buf_put(out, json.data, json.len);
    buf_free(&json);
}

static int put_value(const struct proto_message *m, struct bytes value, struct arena *a,
                     struct buf *out)
{
    int16_t version;
    void *msg;
    int err = proto_decode_prefixed(m, value, a, &version, &msg);
    if (err) {
        return err;
    }
    buf_printf(out, "{\"version\":\"%d\",\"data\":", version);
    if (m == &group_metadata_value_msg) {
        put_group(msg, version, out);
    } else {
        proto_print_json(m, version, msg, out);
    }
    buf_put_u8(out, '}');
    return 0;
}

static void put_coordinator(enum proto_store store, const struct record *rec, const char *prefix,
                            struct buf *out)
{
    struct arena a = {0};
    struct buf payload = {0};
    const struct proto_message *m = NULL;
    void *key;
    buf_printf(out, "%skey: ", prefix);
    int err = proto_decode_coordinator_key(store, rec->key, &a, &m, &key);
    const struct proto_message *value = m ? proto_coordinator_value(m) : NULL;
    if (err == 0 && bytes_is_null(rec->value)) {
        buf_put_str(&payload, "<DELETE>");
    } else if (err == 0) {
        err = value ? put_value(value, rec->value, &a, &payload) : ERR_UNSUPPORTED;
    }
    if (m == NULL && rec->key.len >= 2) {
        buf_printf(out, "Unknown record type %d at offset %" PRId64 ", skipping.",
                   (int16_t)load_be16(rec->key.data), rec->offset);
    } else if (err) {
        buf_printf(out, "Error at offset %" PRId64 ", skipping. %s", rec->offset,
                   reason(err, m, rec->key));
    } else {
        buf_printf(out, "{\"type\":\"%d\",\"data\":", m->key);
        proto_print_json(m, 0, key, out);
        buf_put_str(out, "} payload: ");
        buf_put(out, payload.data, payload.len);
    }
    buf_free(&payload);
    arena_free(&a);
}

/* ---- __remote_log_metadata ---- */

static void put_remote_log(const struct record *rec, const char *prefix, struct buf *out)
{
    struct arena a = {0};
    const struct proto_message *m = NULL;
    int16_t version;
    void *msg;
    buf_printf(out, "%spayload: ", prefix);
    int err = bytes_is_null(rec->value)
                  ? ERR_CORRUPT
                  : proto_decode_framed_record(PROTO_STORE_REMOTE_LOG, rec->value, &a, &m, &version,
                                               &msg);
    if (err || !dump_put_remote(m, msg, out)) {
        buf_printf(out, "Error at offset %" PRId64 ", skipping. %s", rec->offset,
                   reason(err ? err : ERR_UNSUPPORTED, m, rec->value));
    }
    arena_free(&a);
}

void dump_put_contents(const struct dump *d, const struct record *rec, const char *prefix,
                       struct buf *out)
{
    switch (d->decoder) {
    case DUMP_CLASSES:
        put_classes(d, rec, prefix, out);
        return;
    case DUMP_METADATA:
        put_metadata(rec, prefix, out);
        return;
    case DUMP_OFFSETS:
        put_coordinator(PROTO_STORE_CONSUMER_OFFSETS, rec, prefix, out);
        return;
    case DUMP_TRANSACTIONS:
        put_coordinator(PROTO_STORE_TRANSACTION_STATE, rec, prefix, out);
        return;
    case DUMP_SHARE_STATE:
        put_coordinator(PROTO_STORE_SHARE_STATE, rec, prefix, out);
        return;
    case DUMP_REMOTE_LOG:
        put_remote_log(rec, prefix, out);
        return;
    }
    UNREACHABLE();
}

/* ---- Control records ---- */

/* A value whose message begins with its version. */
static void put_control_value(const char *name, const struct proto_message *m, struct bytes value,
                              struct buf *out)
{
    struct arena a = {0};
    int16_t version = value.len >= 2 ? (int16_t)load_be16(value.data) : -1;
    void *msg = proto_array(&a, m->root, 1);
    int err = proto_decode(m, version, value, NULL, &a, msg);
    buf_printf(out, " %s ", name);
    if (err) {
        buf_printf(out, "(%s)", err_text(err));
    } else {
        proto_print_json(m, version, msg, out);
    }
    arena_free(&a);
}

void dump_put_control(const struct record *rec, struct buf *out)
{
    enum control_type type;
    int32_t epoch;
    if (bytes_is_null(rec->key) || control_key_read(rec->key, &type) < 0) {
        buf_put_str(out, " controlType: (the key has no type)");
        return;
    }
    switch (type) {
    case CONTROL_ABORT:
    case CONTROL_COMMIT:
        if (bytes_is_null(rec->value) || control_marker_read(rec->value, &epoch) < 0) {
            buf_printf(out, " endTxnMarker: %s (the value is broken)", control_type_name(type));
        } else {
            buf_printf(out, " endTxnMarker: %s coordinatorEpoch: %" PRId32, control_type_name(type),
                       epoch);
        }
        return;
    case CONTROL_LEADER_CHANGE:
        put_control_value("LeaderChange:", &leader_change_message_msg, rec->value, out);
        return;
    case CONTROL_SNAPSHOT_HEADER:
        put_control_value("SnapshotHeader", &snapshot_header_record_msg, rec->value, out);
        return;
    case CONTROL_SNAPSHOT_FOOTER:
        put_control_value("SnapshotFooter", &snapshot_footer_record_msg, rec->value, out);
        return;
    case CONTROL_KRAFT_VERSION:
        put_control_value("KRaftVersion", &kraft_version_record_msg, rec->value, out);
        return;
    case CONTROL_KRAFT_VOTERS:
        put_control_value("KRaftVoters", &voters_record_msg, rec->value, out);
        return;
    case CONTROL_UNKNOWN:
        break;
    }
    buf_printf(out, " controlType: UNKNOWN(%d)", (int16_t)load_be16(rec->key.data + 2));
}
