/* DescribeCluster (60), versions 0 to 2: the cluster's id, its brokers on the client's listener,
 * and a broker to send the controller's requests to (any: brokers forward them). The controllers
 * themselves are told on their own listener only. */
#include "broker/api/handlers.h"
#include "broker/api/metadata_view.h"
#include "controller/refusals.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static void put_brokers(const struct request *r, bool fenced_too,
                        struct describe_cluster_response *resp, struct arena *arena)
{
    const struct image *img = r->image;
    resp->brokers = proto_array(arena, &describe_cluster_response_describe_cluster_broker_desc,
                                (size_t)img->brokers_n);
    for (int32_t i = 0; i < img->brokers_n; i++) {
        const struct image_broker *b = img->brokers[i];
        const struct image_endpoint *e = metadata_view_endpoint(r, b->id);
        if (e && (fenced_too || !b->fenced)) {
            struct describe_cluster_response_describe_cluster_broker *out =
                &resp->brokers[resp->brokers_n++];
            out->broker_id = b->id;
            out->host = e->host;
            out->port = e->port;
            out->rack = b->rack;
            out->is_fenced = b->fenced && r->hdr.version >= 2;
        }
    }
}

void api_describe_cluster(struct request *r)
{
    const struct describe_cluster_request *req = r->body;
    struct describe_cluster_response *resp = request_response(r);
    if (req->endpoint_type != ENDPOINT_BROKERS) {
        bool known = req->endpoint_type == ENDPOINT_CONTROLLERS;
        resp->error_code = known ? KE_MISMATCHED_ENDPOINT_TYPE : KE_UNSUPPORTED_ENDPOINT_TYPE;
        resp->error_message =
            bytes_str(known ? "controllers are described on their own listener, this is a broker's"
                            : "there is no endpoint type of that number");
        resp->cluster_id = bytes_str("");
        request_reply(r, resp);
        return;
    }
    resp->cluster_id = bytes_str(request_node(r)->cluster_id);
    resp->controller_id = metadata_view_controller(r);
    put_brokers(r, req->include_fenced_brokers, resp, &r->arena);
    if (req->include_cluster_authorized_operations) {
        resp->cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    request_reply(r, resp);
}
