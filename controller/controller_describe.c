/* What a controller says about itself and the cluster: ApiVersions, DescribeCluster and
 * DescribeConfigs on the CONTROLLER listener. From what is committed. */
#include "controller/controller_private.h"
#include "controller/refusals.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"

enum { FEATURES_FROM = 3, MIN_ZERO_FROM = 4, ENDPOINTS_BROKERS = 1, ENDPOINTS_CONTROLLERS = 2 };

/* ---- ApiVersions ---- */

static void put_apis(struct controller_request *r, struct api_versions_response *resp)
{
    resp->api_keys =
        proto_array(&r->arena, &api_versions_response_api_version_desc, controller_apis_n);
    for (size_t i = 0; i < controller_apis_n; i++) {
        const struct proto_api *p = proto_api(controller_apis[i].key);
        if (p->controller_min >= 0 && (p->key != API_DESCRIBE_CONFIGS ||
                                       (r->c->cfg.validator && r->c->cfg.validator->describe))) {
            struct api_versions_response_api_version *v = &resp->api_keys[resp->api_keys_n++];
            v->api_key = p->key;
            v->min_version = p->controller_min;
            v->max_version = p->controller_max;
        }
    }
}

/* Clients of version 3 cannot read a lowest level of 0: they are not told of such features. */
static void put_supported(struct controller_request *r, struct api_versions_response *resp)
{
    resp->supported_features =
        proto_array(&r->arena, &api_versions_response_supported_feature_key_desc, proto_features_n);
    for (size_t i = 0; i < proto_features_n; i++) {
        const struct proto_feature *f = &proto_features[i];
        if (r->hdr.version >= MIN_ZERO_FROM || f->supported_min > 0) {
            struct api_versions_response_supported_feature_key *k =
                &resp->supported_features[resp->supported_features_n++];
            k->name = bytes_str(f->name);
            k->min_version = f->supported_min;
            k->max_version = f->supported_max;
        }
    }
}

static void put_level(struct api_versions_response *resp, struct bytes name, int16_t level)
{
    struct api_versions_response_finalized_feature_key *k =
        &resp->finalized_features[resp->finalized_features_n++];
    k->name = name;
    k->min_version_level = level;
    k->max_version_level = level;
}

static void put_finalized(struct controller_request *r, struct api_versions_response *resp)
{
    const struct image *img = r->c->committed;
    struct bytes ignored;
    int16_t kraft = r->c->mlog ? metadata_log_kraft_version(r->c->mlog, &ignored) : 0;
    resp->finalized_features_epoch = img->offset;
    resp->finalized_features = proto_array(
        &r->arena, &api_versions_response_finalized_feature_key_desc, (size_t)img->features_n + 1);
    for (int32_t i = 0; i < img->features_n; i++) {
        put_level(resp, img->features[i].name, img->features[i].level);
    }
    if (kraft > 0) {
        put_level(resp, bytes_str("kraft.version"), kraft);
    }
}

void controller_api_versions(struct controller_request *r)
{
    struct api_versions_response *resp = r->response;
    if (r->hdr.version >= FEATURES_FROM) {
        put_supported(r, resp);
        put_finalized(r, resp);
    }
    put_apis(r, resp);
    controller_answer(r);
}

void controller_api_versions_unsupported(struct controller_request *r)
{
    struct api_versions_response *resp =
        arena_alloc(&r->arena, sizeof(struct api_versions_response));
    const struct proto_api *p = proto_api(API_API_VERSIONS);
    proto_msg_init(&api_versions_response_msg, resp);
    resp->error_code = KE_UNSUPPORTED_VERSION;
    resp->api_keys = proto_array(&r->arena, &api_versions_response_api_version_desc, 1);
    resp->api_keys_n = 1;
    resp->api_keys[0].api_key = p->key;
    resp->api_keys[0].min_version = p->controller_min;
    resp->api_keys[0].max_version = p->controller_max;
    r->response = resp;
    r->hdr.version = 0;
    controller_answer(r);
}

/* ---- DescribeCluster ---- */

static void put_controllers(struct controller_request *r, struct describe_cluster_response *resp)
{
    const struct image *img = r->c->committed;
    resp->brokers = proto_array(&r->arena, &describe_cluster_response_describe_cluster_broker_desc,
                                (size_t)img->controllers_n);
    for (int32_t i = 0; i < img->controllers_n; i++) {
        const struct image_controller *ic = img->controllers[i];
        if (ic->endpoints_n > 0) {
            struct describe_cluster_response_describe_cluster_broker *b =
                &resp->brokers[resp->brokers_n++];
            b->broker_id = ic->id;
            b->host = ic->endpoints[0].host;
            b->port = ic->endpoints[0].port;
        }
    }
}

/* The first version has no codes for it. */
static void refuse_type(struct describe_cluster_response *resp, int16_t version, int16_t code,
                        const char *why)
{
    resp->error_code = version >= 1 ? code : KE_INVALID_REQUEST;
    resp->error_message = bytes_str(why);
}

void controller_describe_cluster(struct controller_request *r)
{
    const struct describe_cluster_request *q = r->body;
    struct describe_cluster_response *resp = r->response;
    int16_t version = r->hdr.version;
    int8_t type = version >= 1 ? q->endpoint_type : ENDPOINTS_BROKERS;
    if (type == ENDPOINTS_CONTROLLERS) {
        int32_t leader = controller_leader(r->c);
        resp->endpoint_type = type;
        resp->cluster_id = bytes_str(r->c->cfg.cluster_id);
        put_controllers(r, resp);
        for (int32_t i = 0; i < resp->brokers_n; i++) { /* else clients could not find it */
            resp->controller_id =
                resp->brokers[i].broker_id == leader ? leader : resp->controller_id;
        }
        if (q->include_cluster_authorized_operations) {
            resp->cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
    } else if (type == ENDPOINTS_BROKERS) {
        refuse_type(resp, version, KE_MISMATCHED_ENDPOINT_TYPE,
                    "brokers were asked for, but this is a controller");
    } else {
        refuse_type(resp, version, KE_UNSUPPORTED_ENDPOINT_TYPE,
                    "the type of endpoints is neither brokers nor controllers");
    }
    controller_answer(r);
}

/* ---- DescribeConfigs ---- */

void controller_describe_configs(struct controller_request *r)
{
    const struct config_validator *v = r->c->cfg.validator;
    if (v == NULL || v->describe == NULL) {
        controller_give_up(r, ERR_UNSUPPORTED);
        return;
    }
    v->describe(v->ctx, r->c->committed, r->hdr.version, r->body, &r->arena, r->response);
    controller_answer(r);
}
