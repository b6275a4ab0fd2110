/* DescribeQuorum (55), versions 0 to 2: the active controller's; see forward.h. */
#include "broker/api/handlers.h"
#include "broker/forward.h"
#include "proto_messages.h"

static void refuse(struct request *r, int16_t code, void *user)
{
    struct describe_quorum_response *resp = request_response(r);
    UNUSED(user);
    resp->error_code = code;
    request_reply(r, resp);
}

void api_describe_quorum(struct request *r)
{
    forward_request(r, refuse);
}
