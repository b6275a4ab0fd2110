/* See core_run.h: a request as an event of the core, which is what handlers do for a node. */
#include "base/mem.h"
#include "proto/descriptor.h"
#include "sim/core_run.h"

/* At its defaults, with what the core expects of the host. */
static void *response_of(struct core_ask *a, const void *request)
{
    const struct proto_message *msg = proto_response(a->api_key);
    void *out = arena_alloc(&a->arena, msg->root->size);
    proto_msg_init(msg, out);
    if (a->api_key == API_DELETE_GROUPS) {
        struct delete_groups_response *resp = out;
        resp->results =
            proto_array(&a->arena, &delete_groups_response_deletable_group_result_desc, 1);
        resp->results_n = 1;
        struct bytes name = ((const struct delete_groups_request *)request)->groups_names[0];
        const char *kept = arena_strndup(&a->arena, name.data, name.len);
        resp->results[0].group_id = bytes_of(kept, name.len);
    }
    return out;
}

/* ---- no coordinator ---- */

static void refuse_commit(struct core_ask *a, const struct offset_commit_request *q, int16_t code)
{
    struct offset_commit_response *out = a->ask.response;
    out->topics = proto_array(&a->arena, &offset_commit_response_offset_commit_response_topic_desc,
                              (size_t)q->topics_n);
    out->topics_n = q->topics_n;
    for (int32_t i = 0; i < q->topics_n; i++) {
        int32_t n = q->topics[i].partitions_n;
        out->topics[i].name = q->topics[i].name;
        out->topics[i].partitions = proto_array(
            &a->arena, &offset_commit_response_offset_commit_response_partition_desc, (size_t)n);
        out->topics[i].partitions_n = n;
        for (int32_t k = 0; k < n; k++) {
            out->topics[i].partitions[k].partition_index =
                q->topics[i].partitions[k].partition_index;
            out->topics[i].partitions[k].error_code = code;
        }
    }
}

static void refuse(struct core_ask *a, const void *request, int16_t code)
{
    switch (a->api_key) {
    case API_JOIN_GROUP:
        ((struct join_group_response *)a->ask.response)->error_code = code;
        ((struct join_group_response *)a->ask.response)->protocol_name =
            bytes_str(a->version < 7 ? "" : NULL);
        break;
    case API_SYNC_GROUP:
        ((struct sync_group_response *)a->ask.response)->error_code = code;
        break;
    case API_HEARTBEAT:
        ((struct heartbeat_response *)a->ask.response)->error_code = code;
        break;
    case API_LEAVE_GROUP:
        ((struct leave_group_response *)a->ask.response)->error_code = code;
        break;
    case API_OFFSET_COMMIT:
        refuse_commit(a, request, code);
        break;
    case API_OFFSET_DELETE:
        ((struct offset_delete_response *)a->ask.response)->error_code = code;
        break;
    case API_DELETE_GROUPS:
        ((struct delete_groups_response *)a->ask.response)->results[0].error_code = code;
        break;
    default: {
        struct offset_fetch_response *out = a->ask.response;
        out->groups =
            proto_array(&a->arena, &offset_fetch_response_offset_fetch_response_group_desc, 1);
        out->groups_n = 1;
        out->groups[0].group_id =
            ((const struct offset_fetch_request *)request)->groups[0].group_id;
        out->groups[0].error_code = code;
    }
    }
}

/* ---- reading ---- */

static void read_offsets(struct core_ask *a, const struct offset_fetch_request *q)
{
    struct offset_fetch_response *out = a->ask.response;
    out->groups =
        proto_array(&a->arena, &offset_fetch_response_offset_fetch_response_group_desc, 1);
    out->groups_n = 1;
    out->groups[0].group_id = q->groups[0].group_id;
    group_fetch_offsets(a->cr->c, &q->groups[0], q->require_stable, &a->arena, &out->groups[0]);
}

static enum group_event_kind kind_of(int16_t api_key)
{
    switch (api_key) {
    case API_JOIN_GROUP:
        return GROUP_JOIN;
    case API_SYNC_GROUP:
        return GROUP_SYNC;
    case API_HEARTBEAT:
        return GROUP_HEARTBEAT;
    case API_LEAVE_GROUP:
        return GROUP_LEAVE;
    case API_OFFSET_COMMIT:
        return GROUP_OFFSET_COMMIT;
    case API_OFFSET_DELETE:
        return GROUP_OFFSET_DELETE;
    default:
        return GROUP_DELETE;
    }
}

void core_deliver(struct core_ask *a)
{
    struct core_run *cr = a->cr;
    const struct proto_message *msg = proto_request(a->api_key);
    struct buf frame = a->request; /* freed when the step is over, as the host may */
    struct arena forms = {0};
    void *request = arena_alloc(&forms, msg->root->size);
    size_t used;
    a->request = (struct buf){0};
    proto_msg_init(msg, request);
    RUN_CHECK(cr->r, proto_decode(msg, a->version, buf_bytes(&frame), &used, &forms, request) == 0);
    a->ask = (struct group_ask){.version = a->version,
                                .client_id = bytes_str(a->client_id),
                                .client_host = bytes_str("/10.1.0.2"),
                                .request = request,
                                .arena = &a->arena,
                                .response = response_of(a, request),
                                .user = a};
    store_be64(a->ask.fresh.b, prng_next(&cr->r->rng));
    store_be64(a->ask.fresh.b + 8, prng_next(&cr->r->rng));
    a->in_core = true;
    if (cr->c == NULL) {
        refuse(a, request, cr->down_busy ? KE_COORDINATOR_LOAD_IN_PROGRESS : KE_NOT_COORDINATOR);
        core_answered(a);
    } else if (a->api_key == API_OFFSET_FETCH) {
        read_offsets(a, request);
        core_answered(a);
    } else {
        struct group_event ev = {.kind = kind_of(a->api_key), .ask = &a->ask};
        core_step(cr, &ev);
    }
    memset(frame.data, 0xdd, frame.len); /* who has kept a pointer into it shall notice */
    buf_free(&frame);
    arena_free(&forms);
}
