/* Every API of the controller's table answers in every version that it serves: what it says while
 * it does not lead, or too late, and what it says to a request that names things which are not
 * there. An answer that cannot be written would cost the client its connection. */
#include "controller_rig.h"

#include "controller/controller_private.h"
#include "proto/descriptor.h"

/* One element in each list that the version has, with its defaults. */
static void fill(struct arena *a, const struct proto_struct *s, int16_t version, uint8_t *at)
{
    for (uint32_t i = 0; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if (f->type == PT_ARRAY && f->elem == PT_STRUCT &&
            proto_versions_have(f->versions, version)) {
            void *one = proto_array(a, f->sub, 1);
            int32_t n = 1;
            memcpy(at + f->offset, &one, sizeof one);
            memcpy(at + f->offset + PROTO_COUNT_AT, &n, sizeof n);
            fill(a, f->sub, version, one);
        }
    }
}

static void *request_of(struct arena *a, const struct controller_api *api, int16_t version)
{
    void *request = arena_alloc(a, api->request_size);
    proto_msg_init(proto_request(api->key), request);
    fill(a, proto_request(api->key)->root, version, request);
    return request;
}

static void every_refusal_can_be_written(void **state)
{
    UNUSED(state);
    unsigned tried = 0;
    for (size_t i = 0; i < controller_apis_n; i++) {
        const struct controller_api *api = &controller_apis[i];
        const struct proto_message *q = proto_request(api->key), *p = proto_response(api->key);
        for (int16_t v = q->version_min; api->refuse && v <= q->version_max; v++) {
            struct arena a = {0};
            struct buf out = {0};
            struct errmsg em = {{0}};
            void *response = arena_alloc(&a, api->response_size);
            proto_msg_init(p, response);
            api->refuse(&a, v, request_of(&a, api, v), response, KE_REQUEST_TIMED_OUT);
            if (proto_encode(p, v, response, &out, &em)) {
                fail_msg("%s", em.text);
            }
            buf_free(&out);
            arena_free(&a);
            tried++;
        }
    }
    assert_true(tried > 60);
}

static void ask_all(void *arg)
{
    struct rig r;
    unsigned asked = 0;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    assert_int_equal(0, rig_create(&r, "t", 1));
    for (size_t i = 0; i < controller_apis_n; i++) {
        const struct controller_api *api = &controller_apis[i];
        const struct proto_api *served = proto_api(api->key);
        for (int16_t v = served->controller_min; v <= served->controller_max; v++) {
            struct rig_answer a;
            if (api->key == API_ENVELOPE || api->key == API_DESCRIBE_CONFIGS) {
                continue; /* an empty one is no request; the rig knows no settings */
            }
            rig_send(&r, &a, api->key, v, request_of(&r.arena, api, v));
            rig_wait(&r, &a);
            if (a.err) {
                fail_msg("%s version %d: %s", served->name, (int)v, err_text(a.err));
            }
            buf_free(&a.frame);
            asked++;
        }
    }
    assert_true(asked > 50);
    rig_stop(&r);
}

static void every_request_is_answered(void **state)
{
    struct rig_world w;
    UNUSED(state);
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, ask_all, &w));
    rig_world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_can_be_written),
        cmocka_unit_test(every_request_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
