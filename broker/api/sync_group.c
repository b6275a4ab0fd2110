/* SyncGroup (14), versions 0 to 5. Waits, as JoinGroup does, for the leader's assignment. From
 * version 5 on a member must say which protocol it believes in. */
#include "broker/api/handlers.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { PROTOCOL_SINCE = 5 };

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct sync_group_response *resp = g->ask.response;
    if (code) {
        resp->error_code = code;
    }
    request_reply(r, resp);
}

void api_sync_group(struct request *r)
{
    const struct sync_group_request *q = r->body;
    struct sync_group_response *resp = request_response(r);
    if (r->hdr.version >= PROTOCOL_SINCE &&
        (bytes_is_null(q->protocol_type) || bytes_is_null(q->protocol_name))) {
        resp->error_code = KE_INCONSISTENT_GROUP_PROTOCOL;
    } else if (q->group_id.len == 0) {
        resp->error_code = KE_INVALID_GROUP_ID;
    }
    if (resp->error_code) {
        request_reply(r, resp);
        return;
    }
    struct group_request *g = ARENA_NEW(&r->arena, struct group_request);
    group_request_start(g, r, GROUP_SYNC, q->group_id, q, resp, done, NULL);
}
