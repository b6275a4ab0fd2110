/* Describing a group, and its committed offsets: see group_client.h. A group of the newer protocol
 * (KIP-848) answers to ConsumerGroupDescribe, a classic one to DescribeGroups; which it is, only
 * the broker knows, so the first is asked first where the broker has it, as Kafka's admin client
 * does.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "tools/group_client.h"

#define classic_group  struct describe_groups_response_described_group
#define consumer_group struct consumer_group_describe_response_described_group
#define member_parts   struct consumer_group_describe_response_assignment

/* OffsetFetch and OffsetCommit up to the last version that names one group and topics by name: all
 * that these tools need, and every broker has it. */
enum { OFFSET_FETCH_MAX = 7, OFFSET_COMMIT_MAX = 9 };

static void add_parts(struct part_offset **at, struct bytes topic, const int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        *(*at)++ = (struct part_offset){
            .topic = topic, .partition = ids[i], .leader = -1, .epoch = -1, .offset = -1};
    }
}

static void sort_parts(struct part_offset *v, size_t n)
{
    if (n) {
        qsort(v, n, sizeof *v, part_offset_cmp);
    }
}

/* ---- classic groups ---- */

static int read_assignment(struct group_client *g, struct bytes in, struct group_member *m)
{
    if (in.len == 0) {
        return 0;
    }
    int16_t version;
    void *decoded;
    int rv = proto_decode_prefixed(&consumer_protocol_assignment_msg, in, &g->c.arena, &version,
                                   &decoded);
    if (rv) {
        return errmsg_set(&g->c.error, rv, "The assignment of member %.*s is not readable: %s",
                          BYTES_FMT(m->id), err_text(rv));
    }
    const struct consumer_protocol_assignment *a = decoded;
    for (int32_t i = 0; i < a->assigned_partitions_n; i++) {
        m->assigned_n += (size_t)a->assigned_partitions[i].partitions_n;
    }
    m->assigned = ARENA_ARRAY(&g->c.arena, struct part_offset, m->assigned_n + 1);
    struct part_offset *at = m->assigned;
    for (int32_t i = 0; i < a->assigned_partitions_n; i++) {
        add_parts(&at, a->assigned_partitions[i].topic, a->assigned_partitions[i].partitions,
                  a->assigned_partitions[i].partitions_n);
    }
    sort_parts(m->assigned, m->assigned_n);
    return 0;
}

static int fill_classic(struct group_client *g, const classic_group *q, struct group_desc *out)
{
    out->state = q->group_state;
    out->assignor = q->protocol_data;
    out->protocol_type = q->protocol_type;
    if (q->protocol_type.len && !bytes_eq_str(q->protocol_type, "consumer")) {
        return errmsg_set(&g->c.error, ERR_INVALID, "GroupId %.*s is not a consumer group (%.*s).",
                          BYTES_FMT(q->group_id), BYTES_FMT(q->protocol_type));
    }
    out->members_n = (size_t)q->members_n;
    out->members = ARENA_ARRAY(&g->c.arena, struct group_member, out->members_n + 1);
    for (int32_t i = 0; i < q->members_n; i++) {
        struct group_member *m = &out->members[i];
        *m = (struct group_member){.id = q->members[i].member_id,
                                   .instance_id = q->members[i].group_instance_id,
                                   .client_id = q->members[i].client_id,
                                   .host = q->members[i].client_host,
                                   .epoch = -1,
                                   .upgraded = -1};
        int rv = read_assignment(g, q->members[i].member_assignment, m);
        if (rv) {
            return rv;
        }
    }
    return 0;
}

static int16_t classic_code(const void *resp)
{
    const struct describe_groups_response *r = resp;
    return r->groups_n == 1 ? r->groups[0].error_code : KE_UNKNOWN_SERVER_ERROR;
}

static int describe_classic(struct group_client *g, struct group_desc *out)
{
    struct describe_groups_request req;
    struct describe_groups_response *resp;
    proto_msg_init(&describe_groups_request_msg, &req);
    req.groups = &out->ref.id;
    req.groups_n = 1;
    int rv = group_client_call(g, &out->ref, API_DESCRIBE_GROUPS, INT16_MAX, &req, (void **)&resp,
                               classic_code);
    if (rv) {
        return rv;
    }
    out->error = classic_code(resp);
    out->message = out->error && resp->groups_n == 1 ? resp->groups[0].error_message : BYTES_NULL;
    return out->error ? 0 : fill_classic(g, &resp->groups[0], out);
}

/* ---- groups of KIP-848 ---- */

static struct part_offset *parts_of(struct group_client *g, const member_parts *a, size_t *n)
{
    *n = 0;
    for (int32_t i = 0; i < a->topic_partitions_n; i++) {
        *n += (size_t)a->topic_partitions[i].partitions_n;
    }
    struct part_offset *v = ARENA_ARRAY(&g->c.arena, struct part_offset, *n + 1), *at = v;
    for (int32_t i = 0; i < a->topic_partitions_n; i++) {
        add_parts(&at, a->topic_partitions[i].topic_name, a->topic_partitions[i].partitions,
                  a->topic_partitions[i].partitions_n);
    }
    sort_parts(v, *n);
    return v;
}

static void fill_consumer(struct group_client *g, const consumer_group *q, struct group_desc *out)
{
    out->state = q->group_state;
    out->assignor = q->assignor_name;
    out->protocol_type = bytes_str("consumer");
    out->epoch = q->group_epoch;
    out->target_epoch = q->assignment_epoch;
    out->members_n = (size_t)q->members_n;
    out->members = ARENA_ARRAY(&g->c.arena, struct group_member, out->members_n + 1);
    for (int32_t i = 0; i < q->members_n; i++) {
        struct group_member *m = &out->members[i];
        *m = (struct group_member){.id = q->members[i].member_id,
                                   .instance_id = q->members[i].instance_id,
                                   .client_id = q->members[i].client_id,
                                   .host = q->members[i].client_host,
                                   .epoch = q->members[i].member_epoch,
                                   .upgraded = q->members[i].member_type};
        m->assigned = parts_of(g, &q->members[i].assignment, &m->assigned_n);
        m->target = parts_of(g, &q->members[i].target_assignment, &m->target_n);
    }
}

static int16_t consumer_code(const void *resp)
{
    const struct consumer_group_describe_response *r = resp;
    return r->groups_n == 1 ? r->groups[0].error_code : KE_UNKNOWN_SERVER_ERROR;
}

int group_client_describe(struct group_client *g, const struct group_ref *ref,
                          struct group_desc *out)
{
    *out = (struct group_desc){.ref = *ref, .epoch = -1, .target_epoch = -1};
    struct consumer_group_describe_request req;
    struct consumer_group_describe_response *resp;
    proto_msg_init(&consumer_group_describe_request_msg, &req);
    req.group_ids = &out->ref.id;
    req.group_ids_n = 1;
    int rv = group_client_call(g, &out->ref, API_CONSUMER_GROUP_DESCRIBE, INT16_MAX, &req,
                               (void **)&resp, consumer_code);
    if (rv) {
        return rv == ERR_UNSUPPORTED ? describe_classic(g, out) : rv;
    }
    out->error = consumer_code(resp);
    out->message = out->error && resp->groups_n == 1 ? resp->groups[0].error_message : BYTES_NULL;
    if (out->error == KE_NONE) {
        fill_consumer(g, &resp->groups[0], out);
    } else if (out->error == KE_GROUP_ID_NOT_FOUND || out->error == KE_UNSUPPORTED_VERSION) {
        struct bytes message = out->message; /* it says more than that of DescribeGroups */
        rv = describe_classic(g, out);
        out->message = out->error == KE_GROUP_ID_NOT_FOUND && message.len ? message : out->message;
    }
    return rv;
}

/* ---- committed offsets ---- */

static int16_t fetch_code(const void *resp)
{
    const struct offset_fetch_response *r = resp;
    if (r->error_code) {
        return r->error_code;
    }
    for (int32_t i = 0; i < r->topics_n; i++) { /* a broker of old says it of every partition */
        for (int32_t k = 0; k < r->topics[i].partitions_n; k++) {
            int16_t code = r->topics[i].partitions[k].error_code;
            if (code == KE_COORDINATOR_LOAD_IN_PROGRESS || code == KE_NOT_COORDINATOR) {
                return code;
            }
        }
    }
    return KE_NONE;
}

int group_client_fetch(struct group_client *g, struct group_ref *ref, struct part_offset **out,
                       size_t *n, int16_t *code)
{
    struct offset_fetch_request req;
    struct offset_fetch_response *resp;
    proto_msg_init(&offset_fetch_request_msg, &req);
    req.group_id = ref->id;
    req.topics = NULL;
    req.topics_n = -1; /* all */
    *n = 0;
    int rv = group_client_call(g, ref, API_OFFSET_FETCH, OFFSET_FETCH_MAX, &req, (void **)&resp,
                               fetch_code);
    if (rv) {
        return rv;
    }
    *code = fetch_code(resp);
    size_t most = 0;
    for (int32_t i = 0; i < resp->topics_n; i++) {
        most += (size_t)resp->topics[i].partitions_n;
    }
    *out = ARENA_ARRAY(&g->c.arena, struct part_offset, most + 1);
    for (int32_t i = 0; i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            const struct offset_fetch_response_offset_fetch_response_partition *p =
                &resp->topics[i].partitions[k];
            if (p->committed_offset >= 0) {
                (*out)[(*n)++] = (struct part_offset){.topic = resp->topics[i].name,
                                                      .partition = p->partition_index,
                                                      .leader = -1,
                                                      .epoch = p->committed_leader_epoch,
                                                      .offset = p->committed_offset,
                                                      .error = p->error_code};
            }
        }
    }
    sort_parts(*out, *n);
    return 0;
}

/* How many of v, from at on, are of one topic. */
static size_t of_one_topic(const struct part_offset *v, size_t n, size_t at)
{
    size_t k = 1;
    while (at + k < n && bytes_eq(v[at + k].topic, v[at].topic)) {
        k++;
    }
    return k;
}

static void note_error(struct part_offset *v, size_t n, struct bytes topic, int32_t partition,
                       int16_t code)
{
    struct part_offset *p = part_offset_find(v, n, topic, partition);
    if (p) {
        p->error = code;
    }
}

static int16_t commit_code(const void *resp)
{
    const struct offset_commit_response *r = resp;
    for (int32_t i = 0; i < r->topics_n; i++) {
        for (int32_t k = 0; k < r->topics[i].partitions_n; k++) {
            if (r->topics[i].partitions[k].error_code) {
                return r->topics[i].partitions[k].error_code;
            }
        }
    }
    return KE_NONE;
}

int group_client_commit(struct group_client *g, struct group_ref *ref, struct part_offset *v,
                        size_t n)
{
    struct offset_commit_request req;
    struct offset_commit_response *resp;
    proto_msg_init(&offset_commit_request_msg, &req);
    req.group_id = ref->id;
    req.member_id = bytes_str("");
    req.topics =
        proto_array(&g->c.arena, &offset_commit_request_offset_commit_request_topic_desc, n + 1);
    for (size_t i = 0; i < n;) {
        struct offset_commit_request_offset_commit_request_topic *t = &req.topics[req.topics_n++];
        size_t many = of_one_topic(v, n, i);
        t->name = v[i].topic;
        t->partitions = proto_array(
            &g->c.arena, &offset_commit_request_offset_commit_request_partition_desc, many);
        t->partitions_n = (int32_t)many;
        for (size_t k = 0; k < many; k++, i++) {
            t->partitions[k].partition_index = v[i].partition;
            t->partitions[k].committed_offset = v[i].offset;
            t->partitions[k].committed_metadata = bytes_str("");
        }
    }
    int rv = group_client_call(g, ref, API_OFFSET_COMMIT, OFFSET_COMMIT_MAX, &req, (void **)&resp,
                               commit_code);
    for (int32_t i = 0; rv == 0 && i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            note_error(v, n, resp->topics[i].name, resp->topics[i].partitions[k].partition_index,
                       resp->topics[i].partitions[k].error_code);
        }
    }
    return rv;
}

static int16_t offset_delete_code(const void *resp)
{
    return ((const struct offset_delete_response *)resp)->error_code;
}

int group_client_delete_offsets(struct group_client *g, struct group_ref *ref,
                                struct part_offset *v, size_t n, int16_t *code)
{
    struct offset_delete_request req;
    struct offset_delete_response *resp;
    proto_msg_init(&offset_delete_request_msg, &req);
    req.group_id = ref->id;
    req.topics =
        proto_array(&g->c.arena, &offset_delete_request_offset_delete_request_topic_desc, n + 1);
    for (size_t i = 0; i < n;) {
        struct offset_delete_request_offset_delete_request_topic *t = &req.topics[req.topics_n++];
        size_t many = of_one_topic(v, n, i);
        t->name = v[i].topic;
        t->partitions = proto_array(
            &g->c.arena, &offset_delete_request_offset_delete_request_partition_desc, many);
        t->partitions_n = (int32_t)many;
        for (size_t k = 0; k < many; k++, i++) {
            t->partitions[k].partition_index = v[i].partition;
        }
    }
    int rv = group_client_call(g, ref, API_OFFSET_DELETE, INT16_MAX, &req, (void **)&resp,
                               offset_delete_code);
    *code = rv ? KE_NONE : resp->error_code;
    for (int32_t i = 0; rv == 0 && i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            note_error(v, n, resp->topics[i].name, resp->topics[i].partitions[k].partition_index,
                       resp->topics[i].partitions[k].error_code);
        }
    }
    return rv;
}
