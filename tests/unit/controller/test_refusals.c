/* What the controller answers while it does not lead, or too late: every API of its table, in every
 * version that it serves, has an answer that can be written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "controller/controller_private.h"
#include "proto/descriptor.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* One element in each list of the request, with its defaults. */
static void fill(struct arena *a, const struct proto_struct *s, uint8_t *at)
{
    for (uint32_t i = 0; i < s->fields_n; i++) {
        const struct proto_field *f = &s->fields[i];
        if (f->type == PT_ARRAY && f->elem == PT_STRUCT) {
            void *one = proto_array(a, f->sub, 1);
            int32_t n = 1;
            memcpy(at + f->offset, &one, sizeof one);
            memcpy(at + f->offset + PROTO_COUNT_AT, &n, sizeof n);
            fill(a, f->sub, one);
        }
    }
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
            void *request = arena_alloc(&a, api->request_size);
            void *response = arena_alloc(&a, api->response_size);
            proto_msg_init(q, request);
            proto_msg_init(p, response);
            fill(&a, q->root, request);
            api->refuse(&a, v, request, response, KE_REQUEST_TIMED_OUT);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
