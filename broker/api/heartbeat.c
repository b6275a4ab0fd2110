/* Heartbeat (12), versions 0 to 4. While the coordinator loads, a heartbeat is answered with
 * success, as in Kafka: the member is not to rejoin because of a restart. */
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct heartbeat_response *resp = g->ask.response;
    if (code && code != KE_COORDINATOR_LOAD_IN_PROGRESS) {
        resp->error_code = code;
    }
    if (resp->error_code) { /* the member joins again, or looks for its coordinator */
        conn_req_hurry(r->cr);
    }
    request_reply(r, resp);
}

void api_heartbeat(struct request *r)
{
    const struct heartbeat_request *q = r->body;
    struct heartbeat_response *resp = request_response(r);
    if (q->group_id.len == 0) {
        resp->error_code = KE_INVALID_GROUP_ID;
        request_reply(r, resp);
        return;
    }
    struct group_request *g = ARENA_NEW(&r->arena, struct group_request);
    group_request_start(g, r, GROUP_HEARTBEAT, q->group_id, q, resp, done, NULL);
}
