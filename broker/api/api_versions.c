/* ApiVersions (18), versions 0 to 4: which APIs are served (the dispatch table, at Kafka's own
 * ranges), which feature levels are supported and which finalized. A version that is not known is
 * answered in version 0 with UNSUPPORTED_VERSION and the one row for ApiVersions, and the
 * connection stays. */
#include "broker/api/handlers.h"
#include "broker/request.h"
#include "controller/image.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"

enum { FEATURES_FROM = 3, MIN_ZERO_FROM = 4 };

/* Kafka's order, which is that of no sorting; features that are not in it follow. */
static const char *const finalized_order[] = {
    "group.version", "streams.version",  "transaction.version", "eligible.leader.replicas.version",
    "share.version", "metadata.version",
};

static void put_apis(struct request *r, struct api_versions_response *resp)
{
    resp->api_keys = proto_array(&r->arena, &api_versions_response_api_version_desc, api_table_n);
    for (size_t i = 0; i < api_table_n; i++) {
        const struct proto_api *p = proto_api(api_table[i].key);
        if (p->broker_min >= 0) {
            struct api_versions_response_api_version *v = &resp->api_keys[resp->api_keys_n++];
            v->api_key = p->key;
            v->min_version = p->broker_min;
            v->max_version = p->broker_max;
        }
    }
}

/* Clients of version 3 cannot read a lowest level of 0: they are not told of such features. */
static void put_supported(struct request *r, struct api_versions_response *resp)
{
    resp->supported_features =
        proto_array(&r->arena, &api_versions_response_supported_feature_key_desc, proto_features_n);
    for (size_t i = 0; i < proto_features_n; i++) {
        const struct proto_feature *f = &proto_features[i];
        if (r->hdr.version < MIN_ZERO_FROM && f->supported_min == 0) {
            continue;
        }
        struct api_versions_response_supported_feature_key *k =
            &resp->supported_features[resp->supported_features_n++];
        k->name = bytes_str(f->name);
        k->min_version = f->supported_min;
        k->max_version = f->supported_max;
    }
}

static bool in_order(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(finalized_order); i++) {
        if (bytes_eq_str(name, finalized_order[i])) {
            return true;
        }
    }
    return false;
}

static void put_finalized(struct request *r, struct api_versions_response *resp)
{
    const struct image *img = r->image;
    resp->finalized_features_epoch = img->offset;
    resp->finalized_features = proto_array(
        &r->arena, &api_versions_response_finalized_feature_key_desc, (size_t)img->features_n);
    for (size_t pass = 0; pass <= ARRAY_LEN(finalized_order); pass++) {
        for (int32_t i = 0; i < img->features_n; i++) {
            const struct image_feature *f = &img->features[i];
            bool now = pass < ARRAY_LEN(finalized_order)
                           ? bytes_eq_str(f->name, finalized_order[pass])
                           : !in_order(f->name);
            if (now) {
                struct api_versions_response_finalized_feature_key *k =
                    &resp->finalized_features[resp->finalized_features_n++];
                k->name = f->name;
                k->min_version_level = f->level;
                k->max_version_level = f->level;
            }
        }
    }
}

static bool letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters, digits, dots and dashes; the ends are letters or digits. */
static bool software_name_ok(struct bytes s)
{
    if (s.len == 0 || !letter_or_digit(s.data[0]) || !letter_or_digit(s.data[s.len - 1])) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!letter_or_digit(s.data[i]) && s.data[i] != '-' && s.data[i] != '.') {
            return false;
        }
    }
    return true;
}

static void note(char *out, size_t cap, struct bytes b)
{
    size_t n = b.len < cap - 1 ? b.len : cap - 1;
    memcpy(out, b.data, n);
    out[n] = '\0';
}

void api_api_versions(struct request *r)
{
    const struct api_versions_request *q = r->body;
    struct api_versions_response *resp = request_response(r);
    if (r->hdr.version >= FEATURES_FROM) {
        if (!software_name_ok(q->client_software_name) ||
            !software_name_ok(q->client_software_version)) {
            resp->error_code = KE_INVALID_REQUEST;
            request_reply(r, resp);
            return;
        }
        struct session *s = r->cr->conn->session;
        note(s->software_name, sizeof s->software_name, q->client_software_name);
        note(s->software_version, sizeof s->software_version, q->client_software_version);
        put_supported(r, resp);
        put_finalized(r, resp);
    }
    put_apis(r, resp);
    request_reply(r, resp);
}

void api_versions_unsupported(struct request *r)
{
    struct api_versions_response *resp = request_response(r);
    const struct proto_api *p = proto_api(API_API_VERSIONS);
    resp->error_code = KE_UNSUPPORTED_VERSION;
    resp->api_keys = proto_array(&r->arena, &api_versions_response_api_version_desc, 1);
    resp->api_keys_n = 1;
    resp->api_keys[0].api_key = p->key;
    resp->api_keys[0].min_version = p->broker_min;
    resp->api_keys[0].max_version = p->broker_max;
    request_reply_version(r, 0, resp);
}
