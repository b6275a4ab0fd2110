/* DescribeConfigs (32), versions 1 to 4: answered by the broker that is asked, from its
 * configuration and its metadata; see broker/config_describe.h. */
#include "broker/api/handlers.h"
#include "broker/config_describe.h"
#include "broker/request.h"

void api_describe_configs(struct request *r)
{
    const struct node *n = request_node(r);
    void *resp = request_response(r);
    config_describe(n->config, r->image, n->log, r->body, &r->arena, resp);
    request_reply(r, resp);
}
