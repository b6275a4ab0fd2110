/* CreateTopics (19), versions 2 to 7: the active controller's; see forward.h. */
#include "broker/api/handlers.h"
#include "broker/forward.h"
#include "proto_messages.h"

static void refuse(struct request *r, int16_t code, void *user)
{
    const struct create_topics_request *req = r->body;
    struct create_topics_response *resp = request_response(r);
    int32_t n = req->topics_n > 0 ? req->topics_n : 0;
    UNUSED(user);
    resp->topics =
        proto_array(&r->arena, &create_topics_response_creatable_topic_result_desc, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        resp->topics[i].name = req->topics[i].name;
        resp->topics[i].error_code = code;
    }
    resp->topics_n = n;
    request_reply(r, resp);
}

void api_create_topics(struct request *r)
{
    forward_request(r, refuse);
}
