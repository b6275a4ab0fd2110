/* Every API of the controller's table answers in every version that it serves: what it says while
 * it does not lead, or too late, and what it says to a request that names things which are not
 * there; and what one says that is no voter. An answer that cannot be written would cost the client
 * its connection. */
#include "controller_rig.h"

#include "controller/controller_private.h"
#include "controller/peers_codec.h"
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

static void ask_each(struct rig *r)
{
    unsigned asked = 0;
    for (size_t i = 0; i < controller_apis_n; i++) {
        const struct controller_api *api = &controller_apis[i];
        const struct proto_api *served = proto_api(api->key);
        for (int16_t v = served->controller_min; v <= served->controller_max; v++) {
            struct rig_answer a;
            if (api->key == API_ENVELOPE || api->key == API_DESCRIBE_CONFIGS) {
                continue; /* an empty one is no request; the rig knows no settings */
            }
            rig_send(r, &a, api->key, v, request_of(&r->arena, api, v));
            rig_wait(r, &a);
            if (a.err) {
                fail_msg("%s version %d: %s", served->name, (int)v, err_text(a.err));
            }
            buf_free(&a.frame);
            asked++;
        }
    }
    assert_true(asked > 50);
}

static void ask_all(void *arg)
{
    struct rig r;
    rig_init(&r, arg);
    rig_start(&r);
    rig_wait_active(&r);
    rig_broker(&r, 1, 1);
    assert_int_equal(0, rig_create(&r, "t", 1));
    ask_each(&r);
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

/* One that is no voter, and has not found the quorum. */
static void ask_follower(void *arg)
{
    static const struct channel_endpoint server = {-1, "127.0.0.9", 9093};
    struct rig r;
    struct create_topics_request create;
    struct create_topics_response created;
    struct fetch_request fetch;
    struct fetch_response fetched;
    struct buf frame = {0};
    struct rig_answer a = {0};
    struct errmsg not_ready;
    int32_t correlation;
    int16_t code;
    struct bytes why;
    rig_init(&r, arg);
    r.cfg.voters_n = 0;
    r.cfg.servers = &server;
    r.cfg.servers_n = 1;
    rig_start(&r);
    assert_false(controller_is_ready(r.c, &not_ready));
    assert_non_null(strstr(not_ready.text, "no leader"));
    ask_each(&r);
    rig_topic_request(&r, &create, "t", 1);
    rig_ask(&r, API_CREATE_TOPICS, 7, &create, &created);
    assert_int_equal(created.topics[0].error_code, KE_NOT_CONTROLLER);
    rig_fill_fetch(&r, &fetch, 0, -1, 0);
    rig_ask(&r, API_FETCH, 17, &fetch, &fetched);
    assert_int_equal(fetched.responses[0].partitions[0].error_code, KE_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(fetched.responses[0].partitions[0].current_leader.leader_id, -1);
    peer_put_header(&frame, PEER_API_MESSAGE, 77);
    controller_handle(r.c, buf_bytes(&frame), rig_on_reply, &a);
    rig_wait(&r, &a);
    assert_int_equal(0, peer_take_answer(buf_bytes(&a.frame), &correlation, &code, &why));
    assert_int_equal(code, KE_INCONSISTENT_VOTER_SET);
    assert_true(memmem(why.data, why.len, "no voter", 8) != NULL);
    assert_int_equal(correlation, 77);
    buf_free(&a.frame);
    buf_free(&frame);
    assert_int_equal(r.fatal, 0);
    rig_stop(&r);
}

static void a_controller_that_is_no_voter_answers(void **state)
{
    struct rig_world w;
    UNUSED(state);
    rig_world_init(&w, 1);
    assert_true(sim_proc_run(w.proc, ask_follower, &w));
    rig_world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_can_be_written),
        cmocka_unit_test(every_request_is_answered),
        cmocka_unit_test(a_controller_that_is_no_voter_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
