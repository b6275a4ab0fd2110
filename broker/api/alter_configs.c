/* AlterConfigs (33), versions 0 to 2: replaces all settings of a resource; see alter.h. */
#include "broker/api/alter.h"
#include "broker/api/handlers.h"
#include "broker/forward.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* The generated names are long. */
#define RESOURCE struct alter_configs_request_alter_configs_resource
#define ANSWER   struct alter_configs_response_alter_configs_resource_response

static void reply(struct alter *a)
{
    struct alter_configs_response *resp = request_response(a->r);
    resp->responses = proto_array(
        &a->r->arena, &alter_configs_response_alter_configs_resource_response_desc, (size_t)a->n);
    resp->responses_n = a->n;
    for (int32_t i = 0; i < a->n; i++) {
        ANSWER *out = &resp->responses[i];
        out->error_code = a->v[i].code;
        out->error_message = a->v[i].message;
        out->resource_type = a->v[i].type;
        out->resource_name = a->v[i].name;
    }
    request_reply(a->r, resp);
}

static void refuse(struct request *r, int16_t code, void *user)
{
    UNUSED(r);
    alter_rest(user, code);
    reply(user);
}

static void done(struct request *r, void *response, void *user)
{
    const struct alter_configs_response *resp = response;
    UNUSED(r);
    for (int32_t i = 0; i < resp->responses_n; i++) {
        const ANSWER *in = &resp->responses[i];
        alter_answered(user, in->resource_type, in->resource_name, in->error_code,
                       in->error_message);
    }
    alter_rest(user, KE_UNKNOWN_SERVER_ERROR);
    reply(user);
}

static struct alter *take(struct request *r)
{
    const struct alter_configs_request *req = r->body;
    struct alter *a = alter_new(r, req->resources_n);
    a->incremental = false;
    a->validate_only = req->validate_only;
    for (int32_t i = 0; i < a->n; i++) {
        const RESOURCE *in = &req->resources[i];
        struct alter_entry *out = alter_entries(a, &a->v[i], in->configs_n);
        a->v[i].type = in->resource_type;
        a->v[i].name = in->resource_name;
        for (int32_t k = 0; k < in->configs_n; k++) {
            out[k].name = in->configs[k].name;
            out[k].value = in->configs[k].value;
            out[k].op = ALTER_SET;
        }
    }
    return a;
}

void api_alter_configs(struct request *r)
{
    const struct alter_configs_request *req = r->body;
    struct alter_configs_request rest = *req;
    struct alter *a = take(r);
    int32_t left = alter_prepare(a);
    if (left == 0) {
        reply(a);
        return;
    }
    rest.resources = ARENA_ARRAY(&r->arena, RESOURCE, left);
    rest.resources_n = 0;
    for (int32_t i = 0; i < a->n; i++) {
        if (!a->v[i].handled) {
            rest.resources[rest.resources_n++] = req->resources[i];
        }
    }
    forward_body(r, &rest, done, refuse, a);
}
