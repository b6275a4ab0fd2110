#include "tools/offsets.h"

#include <stdlib.h>

#include "proto_apis.h"
#include "proto_errors.h"

#define topic_meta struct metadata_response_metadata_response_topic

int part_offset_cmp(const void *a, const void *b)
{
    const struct part_offset *x = a, *y = b;
    int c = bytes_cmp(x->topic, y->topic);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

struct part_offset *part_offset_find(struct part_offset *v, size_t n, struct bytes topic,
                                     int32_t partition)
{
    struct part_offset key = {.topic = topic, .partition = partition};
    return n ? bsearch(&key, v, n, sizeof *v, part_offset_cmp) : NULL;
}

const topic_meta *topic_in_metadata(const struct client *c, struct bytes topic)
{
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        if (bytes_eq(c->metadata->topics[i].name, topic)) {
            return &c->metadata->topics[i];
        }
    }
    return NULL;
}

static void set_leader(const topic_meta *t, struct part_offset *p)
{
    p->leader = -1;
    p->error = KE_UNKNOWN_TOPIC_OR_PARTITION;
    for (int32_t i = 0; t && i < t->partitions_n; i++) {
        if (t->partitions[i].partition_index == p->partition) {
            p->leader = t->partitions[i].leader_id;
            p->error = p->leader < 0 ? KE_LEADER_NOT_AVAILABLE : KE_NONE;
        }
    }
}

void part_offsets_leaders(const struct client *c, struct part_offset *v, size_t n)
{
    const topic_meta *t = NULL;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !bytes_eq(v[i].topic, v[i - 1].topic)) {
            t = topic_in_metadata(c, v[i].topic);
        }
        set_leader(t, &v[i]);
    }
}

/* Puts the answers of one leader into v. */
static int ask(struct client *c, int32_t leader, int64_t time, struct part_offset *v, size_t n)
{
    struct list_offsets_request req;
    proto_msg_init(&list_offsets_request_msg, &req);
    req.replica_id = -1;
    req.timeout_ms = (int32_t)c->timeout_ms;
    req.topics = proto_array(&c->arena, &list_offsets_request_list_offsets_topic_desc, n);
    req.topics_n = 0;
    struct list_offsets_request_list_offsets_partition *parts = /* of all topics */
        proto_array(&c->arena, &list_offsets_request_list_offsets_partition_desc, n);
    for (size_t i = 0; i < n; i++) {
        if (v[i].leader != leader) {
            continue;
        }
        struct list_offsets_request_list_offsets_topic *t = &req.topics[req.topics_n];
        if (req.topics_n == 0 || !bytes_eq(t[-1].name, v[i].topic)) {
            t->name = v[i].topic;
            t->partitions = parts + i; /* those of another leader leave gaps */
            t->partitions_n = 0;
            req.topics_n++;
        } else {
            t--;
        }
        t->partitions[t->partitions_n].partition_index = v[i].partition;
        t->partitions[t->partitions_n++].timestamp = time;
    }
    struct list_offsets_response *resp;
    int rv = client_call(c, leader, API_LIST_OFFSETS, &req, (void **)&resp, NULL);
    for (int32_t i = 0; rv == 0 && i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            const struct list_offsets_response_list_offsets_partition_response *p =
                &resp->topics[i].partitions[k];
            struct part_offset *f =
                part_offset_find(v, n, resp->topics[i].name, p->partition_index);
            if (f) {
                f->offset = p->offset;
                f->epoch = p->leader_epoch;
                f->error = p->error_code;
            }
        }
    }
    return rv;
}

int part_offsets_ask(struct client *c, int64_t time, struct part_offset *v, size_t n)
{
    for (int32_t i = 0; i < c->metadata->brokers_n; i++) {
        int32_t leader = c->metadata->brokers[i].node_id;
        bool any = false;
        for (size_t k = 0; k < n; k++) {
            any |= v[k].leader == leader;
        }
        int rv = any ? ask(c, leader, time, v, n) : 0;
        if (rv) {
            return rv;
        }
    }
    return 0;
}
