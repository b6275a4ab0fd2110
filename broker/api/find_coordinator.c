/* FindCoordinator (10), versions 0 to 6: where a group's coordinator is, that is who leads its
 * partition of __consumer_offsets, under the address of the listener that was asked. The topic is
 * made on first use; until it is there the answer is COORDINATOR_NOT_AVAILABLE, and clients ask
 * again. An empty group id passes.
 *
 * Coordinators of transactions and share groups come with later versions: a question about them
 * that makes sense is answered with COORDINATOR_NOT_AVAILABLE, so that clients wait; one that makes
 * none as Kafka answers it. */
#include "broker/api/handlers.h"
#include "broker/api/metadata_view.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, BATCH_SINCE = 4, SHARE_SINCE = 6 };

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

struct found {
    int16_t error;
    const char *text; /* "": Kafka has none here */
    int32_t node;
    struct bytes host; /* in the request's image */
    int32_t port;
};

static void find_group(struct request *r, struct bytes group_id, struct found *f)
{
    int32_t leader;
    f->error = group_route_find(r, group_id, &leader);
    const struct image_broker *b = f->error ? NULL : image_broker(r->image, leader);
    const struct image_endpoint *e = b && !b->fenced ? metadata_view_endpoint(r, leader) : NULL;
    if (e) {
        *f = (struct found){0, "", leader, e->host, e->port};
    } else {
        f->error = KE_COORDINATOR_NOT_AVAILABLE;
    }
}

static struct found find(struct request *r, int8_t type, struct bytes key)
{
    struct found f = {KE_INVALID_REQUEST, "", -1, bytes_of("", 0), -1};
    if (type == KEY_GROUP) {
        find_group(r, key, &f);
    } else if (type == KEY_TRANSACTION ||
               (type == KEY_SHARE && r->hdr.version >= SHARE_SINCE && share_key_ok(key))) {
        f.error = KE_COORDINATOR_NOT_AVAILABLE;
    } else if (type != KEY_SHARE) {
        f.text = "key type is unknown";
    }
    return f;
}

/* Below version 4 every answer has a text. */
static const char *old_text(const struct found *f)
{
    if (f->text[0]) {
        return f->text;
    }
    return f->error ? "no coordinator is available" : "NONE";
}

void api_find_coordinator(struct request *r)
{
    const struct find_coordinator_request *q = r->body;
    struct find_coordinator_response *resp = request_response(r);
    if (r->hdr.version < BATCH_SINCE) {
        struct found f = find(r, q->key_type, q->key);
        resp->error_code = f.error;
        resp->error_message = bytes_str(old_text(&f));
        resp->node_id = f.node;
        resp->host = f.host;
        resp->port = f.port;
        request_reply(r, resp);
        return;
    }
    resp->coordinators = proto_array(&r->arena, &find_coordinator_response_coordinator_desc,
                                     (size_t)q->coordinator_keys_n);
    resp->coordinators_n = q->coordinator_keys_n;
    for (int32_t i = 0; i < q->coordinator_keys_n; i++) {
        struct find_coordinator_response_coordinator *c = &resp->coordinators[i];
        struct found f = find(r, q->key_type, q->coordinator_keys[i]);
        c->key = q->coordinator_keys[i];
        c->error_code = f.error;
        c->error_message = bytes_str(f.text);
        c->node_id = f.node;
        c->host = f.host;
        c->port = f.port;
    }
    request_reply(r, resp);
}
