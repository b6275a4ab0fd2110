/* LeaveGroup (13), versions 0 to 5. Versions below 3 name one member, and its error is the
 * answer's; the coordinator hears of a list in any version. */
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { BATCH_SINCE = 3 };

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct leave_group_response *resp = g->ask.response;
    if (code) {
        resp->error_code = code;
    }
    if (r->hdr.version < BATCH_SINCE) {
        if (resp->error_code == 0 && resp->members_n) {
            resp->error_code = resp->members[0].error_code;
        }
        resp->members_n = 0;
    }
    request_reply(r, resp);
}

void api_leave_group(struct request *r)
{
    struct leave_group_request *q = r->body;
    struct leave_group_response *resp = request_response(r);
    if (q->group_id.len == 0) {
        resp->error_code = KE_INVALID_GROUP_ID;
        request_reply(r, resp);
        return;
    }
    if (r->hdr.version < BATCH_SINCE) {
        q->members = proto_array(&r->arena, &leave_group_request_member_identity_desc, 1);
        q->members[0].member_id = q->member_id;
        q->members_n = 1;
    }
    struct group_request *g = ARENA_NEW(&r->arena, struct group_request);
    group_request_start(g, r, GROUP_LEAVE, q->group_id, q, resp, done, NULL);
}
