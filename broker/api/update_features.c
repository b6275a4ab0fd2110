/* UpdateFeatures (57), versions 0 to 2: the active controller's; see forward.h. */
#include "broker/api/handlers.h"
#include "broker/forward.h"
#include "controller/refusals.h"

static void refuse(struct request *r, int16_t code, void *user)
{
    void *resp = request_response(r);
    UNUSED(user);
    refuse_update_features(&r->arena, r->hdr.version, r->body, resp, code);
    request_reply(r, resp);
}

void api_update_features(struct request *r)
{
    forward_request(r, refuse);
}
