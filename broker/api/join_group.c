/* JoinGroup (11), versions 0 to 9. The coordinator answers when the rebalance is over, so this may
 * wait for minutes; what the frame holds is gone by then. Version 0 has no rebalance timeout: the
 * session's counts. A protocol name that is not there is empty below version 7, null since. */
#include "broker/api/handlers.h"
#include "broker/config.h"
#include "broker/group_route.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { NULL_PROTOCOL_SINCE = 7 };

static void reply(struct request *r, struct join_group_response *resp)
{
    if (r->hdr.version < NULL_PROTOCOL_SINCE && bytes_is_null(resp->protocol_name)) {
        resp->protocol_name = bytes_str("");
    } else if (r->hdr.version >= NULL_PROTOCOL_SINCE && resp->protocol_name.len == 0) {
        resp->protocol_name = BYTES_NULL;
    }
    request_reply(r, resp);
}

static void done(struct request *r, struct group_request *g, int16_t code)
{
    struct join_group_response *resp = g->ask.response;
    if (code) {
        resp->error_code = code;
    }
    reply(r, resp);
}

/* What needs no coordinator, in Kafka's order. */
static int16_t check(const struct request *r, const struct join_group_request *q)
{
    const struct config_values *v = &request_node(r)->config->v;
    if (q->group_id.len == 0) {
        return KE_INVALID_GROUP_ID;
    }
    if (q->session_timeout_ms < v->group_min_session_timeout_ms ||
        q->session_timeout_ms > v->group_max_session_timeout_ms) {
        return KE_INVALID_SESSION_TIMEOUT;
    }
    return 0;
}

void api_join_group(struct request *r)
{
    struct join_group_request *q = r->body;
    struct join_group_response *resp = request_response(r);
    resp->error_code = check(r, q);
    if (resp->error_code) {
        resp->member_id = q->member_id;
        reply(r, resp);
        return;
    }
    if (r->hdr.version == 0) {
        q->rebalance_timeout_ms = q->session_timeout_ms;
    }
    struct group_request *g = ARENA_NEW(&r->arena, struct group_request);
    group_request_start(g, r, GROUP_JOIN, q->group_id, q, resp, done, NULL);
}
