/* CreatePartitions (37), versions 0 to 3: the active controller's; see forward.h. */
#include "broker/api/handlers.h"
#include "broker/forward.h"
#include "proto_messages.h"

static void refuse(struct request *r, int16_t code, void *user)
{
    const struct create_partitions_request *req = r->body;
    struct create_partitions_response *resp = request_response(r);
    int32_t n = req->topics_n > 0 ? req->topics_n : 0;
    UNUSED(user);
    resp->results = proto_array(
        &r->arena, &create_partitions_response_create_partitions_topic_result_desc, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        resp->results[i].name = req->topics[i].name;
        resp->results[i].error_code = code;
    }
    resp->results_n = n;
    request_reply(r, resp);
}

void api_create_partitions(struct request *r)
{
    forward_request(r, refuse);
}
