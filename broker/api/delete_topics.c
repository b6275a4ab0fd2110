/* DeleteTopics (20), versions 1 to 6: the active controller's (see forward.h), unless
 * delete.topic.enable forbids it here. */
#include "broker/api/handlers.h"
#include "broker/config.h"
#include "broker/forward.h"
#include "proto_errors.h"
#include "proto_messages.h"

static void refuse(struct request *r, int16_t code, void *user)
{
    const struct delete_topics_request *req = r->body;
    struct delete_topics_response *resp = request_response(r);
    bool states = r->hdr.version >= 6;
    int32_t n = states ? req->topics_n : req->topic_names_n;
    UNUSED(user);
    n = n > 0 ? n : 0;
    resp->responses =
        proto_array(&r->arena, &delete_topics_response_deletable_topic_result_desc, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        resp->responses[i].name = states ? req->topics[i].name : req->topic_names[i];
        resp->responses[i].topic_id = states ? req->topics[i].topic_id : UUID_ZERO;
        resp->responses[i].error_code = code;
    }
    resp->responses_n = n;
    request_reply(r, resp);
}

void api_delete_topics(struct request *r)
{
    if (!request_node(r)->config->v.delete_topic_enable) {
        refuse(r, r->hdr.version < 3 ? KE_INVALID_REQUEST : KE_TOPIC_DELETION_DISABLED, NULL);
        return;
    }
    forward_request(r, refuse);
}
