/* FindCoordinator (10), versions 0 to 6. Coordinators of groups, transactions and share groups come
 * with later versions: a question that makes sense is answered with COORDINATOR_NOT_AVAILABLE, so
 * that clients wait; one that makes none as Kafka answers it. */
#include "broker/api/handlers.h"
#include "broker/request.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, SHARE_SINCE = 6 };

/* A share key is GROUP:TOPIC-ID:PARTITION. */
static bool share_key_ok(struct bytes key)
{
    const uint8_t *first = key.len ? memchr(key.data, ':', key.len) : NULL;
    if (first == NULL || first == key.data) {
        return false;
    }
    size_t left = key.len - (size_t)(first + 1 - key.data);
    const uint8_t *second = left ? memchr(first + 1, ':', left) : NULL;
    struct uuid id;
    if (second == NULL ||
        uuid_parse((const char *)first + 1, (size_t)(second - first - 1), &id) != 0) {
        return false;
    }
    size_t digits = left - (size_t)(second - first);
    for (size_t i = 0; i < digits; i++) {
        if (second[1 + i] < '0' || second[1 + i] > '9') {
            return false;
        }
    }
    return digits > 0 && digits <= 10;
}

static int16_t judge(const struct request *r, int8_t type, struct bytes key, const char **text)
{
    *text = "";
    if (type == KEY_GROUP || type == KEY_TRANSACTION) {
        return KE_COORDINATOR_NOT_AVAILABLE;
    }
    if (type == KEY_SHARE && r->hdr.version >= SHARE_SINCE && share_key_ok(key)) {
        return KE_COORDINATOR_NOT_AVAILABLE;
    }
    if (type != KEY_SHARE) {
        *text = "key type is unknown";
    }
    return KE_INVALID_REQUEST;
}

void api_find_coordinator(struct request *r)
{
    const struct find_coordinator_request *q = r->body;
    struct find_coordinator_response *resp = request_response(r);
    const char *text;
    if (r->hdr.version < 4) {
        resp->error_code = judge(r, q->key_type, q->key, &text);
        resp->error_message = bytes_str(text[0] ? text : "no coordinator is available");
        resp->node_id = -1;
        resp->host = bytes_of("", 0);
        resp->port = -1;
        request_reply(r, resp);
        return;
    }
    resp->coordinators = proto_array(&r->arena, &find_coordinator_response_coordinator_desc,
                                     (size_t)q->coordinator_keys_n);
    resp->coordinators_n = q->coordinator_keys_n;
    for (int32_t i = 0; i < q->coordinator_keys_n; i++) {
        struct find_coordinator_response_coordinator *c = &resp->coordinators[i];
        c->key = q->coordinator_keys[i];
        c->error_code = judge(r, q->key_type, c->key, &text);
        c->error_message = bytes_str(text);
        c->node_id = -1;
        c->host = bytes_of("", 0);
        c->port = -1;
    }
    request_reply(r, resp);
}
