/* Where replicas are and where they go: see reassignment.h. Requests have the partitions of a topic
 * together, in order; what is asked of many partitions is asked in pieces of BATCH of them, so that
 * no request and no answer grows without bound. */
#include "tools/reassignment.h"

#include <stdlib.h>

#include "proto_apis.h"
#include "proto_errors.h"

enum { BATCH = 1000 };

#define ongoing_topic struct list_partition_reassignments_response_ongoing_topic_reassignment
#define ongoing_part  struct list_partition_reassignments_response_ongoing_partition_reassignment
#define alter_topic   struct alter_partition_reassignments_request_reassignable_topic
#define alter_part    struct alter_partition_reassignments_request_reassignable_partition
#define alter_result  struct alter_partition_reassignments_response_reassignable_topic_response

int replica_set_cmp(const void *a, const void *b)
{
    const struct replica_set *x = a, *y = b;
    int c = bytes_cmp(x->topic, y->topic);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

bool replica_set_same(const struct replica_set *a, const struct replica_set *b)
{
    return a->replicas_n == b->replicas_n &&
           memcmp(a->replicas, b->replicas, (size_t)a->replicas_n * sizeof *a->replicas) == 0;
}

void replica_sets_sort(struct replica_sets *s)
{
    if (s->n) {
        qsort(s->v, s->n, sizeof *s->v, replica_set_cmp);
    }
}

struct replica_set *replica_set_find(const struct replica_sets *s, struct bytes topic,
                                     int32_t partition)
{
    struct replica_set key = {.topic = topic, .partition = partition};
    return s->n ? bsearch(&key, s->v, s->n, sizeof *s->v, replica_set_cmp) : NULL;
}

int reassign_current(struct client *c, struct replica_sets *out)
{
    *out = (struct replica_sets){0};
    int rv = client_metadata(c);
    if (rv) {
        return rv;
    }
    size_t n = 0;
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        n += (size_t)c->metadata->topics[i].partitions_n;
    }
    out->v = ARENA_ARRAY(&c->arena, struct replica_set, n + 1);
    for (int32_t i = 0; i < c->metadata->topics_n; i++) {
        const struct metadata_response_metadata_response_topic *t = &c->metadata->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            out->v[out->n++] = (struct replica_set){
                .topic = t->name,
                .partition = t->partitions[k].partition_index,
                .replicas = t->partitions[k].replica_nodes,
                .replicas_n = t->partitions[k].replica_nodes_n,
            };
        }
    }
    replica_sets_sort(out);
    return 0;
}

/* ---- what moves ---- */

/* The partitions of `of`, for the request. */
static void put_topics(struct arena *a, struct list_partition_reassignments_request *req,
                       const struct replica_sets *of)
{
    req->topics = proto_array(
        a, &list_partition_reassignments_request_list_partition_reassignments_topics_desc, of->n);
    req->topics_n = 0;
    int32_t *ids = ARENA_ARRAY(a, int32_t, of->n); /* of all topics, one after the other */
    for (size_t i = 0; i < of->n; i++) {
        if (i == 0 || !bytes_eq(of->v[i].topic, of->v[i - 1].topic)) {
            req->topics[req->topics_n].name = of->v[i].topic;
            req->topics[req->topics_n].partition_indexes = ids + i;
            req->topics[req->topics_n++].partition_indexes_n = 0;
        }
        struct list_partition_reassignments_request_list_partition_reassignments_topics *t =
            &req->topics[req->topics_n - 1];
        t->partition_indexes[t->partition_indexes_n++] = of->v[i].partition;
    }
}

/* Room for more of them: *room are there. Doubled, so that many answers copy little. */
static void make_room(struct arena *a, struct replica_sets *s, size_t more, size_t *room)
{
    if (s->v && s->n + more <= *room) {
        return;
    }
    *room = s->n + more > 2 * *room ? s->n + more : 2 * *room;
    struct replica_set *v = ARENA_ARRAY(a, struct replica_set, *room + 1);
    if (s->n) {
        memcpy(v, s->v, s->n * sizeof *v);
    }
    s->v = v;
}

static void take_ongoing(struct client *c, const struct list_partition_reassignments_response *resp,
                         struct replica_sets *out, size_t *room)
{
    size_t n = 0;
    for (int32_t i = 0; i < resp->topics_n; i++) {
        n += (size_t)resp->topics[i].partitions_n;
    }
    make_room(&c->arena, out, n, room);
    for (int32_t i = 0; i < resp->topics_n; i++) {
        const ongoing_topic *t = &resp->topics[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            const ongoing_part *p = &t->partitions[k];
            out->v[out->n++] = (struct replica_set){
                .topic = t->name,
                .partition = p->partition_index,
                .replicas = p->replicas,
                .replicas_n = p->replicas_n,
                .adding = p->adding_replicas,
                .adding_n = p->adding_replicas_n,
                .removing = p->removing_replicas,
                .removing_n = p->removing_replicas_n,
            };
        }
    }
}

static int ask_ongoing(struct client *c, const struct replica_sets *of, struct replica_sets *out,
                       size_t *room)
{
    struct list_partition_reassignments_request req;
    struct list_partition_reassignments_response *resp;
    proto_msg_init(&list_partition_reassignments_request_msg, &req);
    req.timeout_ms = (int32_t)c->timeout_ms;
    if (of) {
        put_topics(&c->arena, &req, of);
    } else {
        req.topics = NULL;
        req.topics_n = -1; /* all */
    }
    int rv =
        client_call(c, CLIENT_ANY, API_LIST_PARTITION_REASSIGNMENTS, &req, (void **)&resp, NULL);
    if (rv == 0 && resp->error_code && resp->error_code != KE_UNKNOWN_TOPIC_OR_PARTITION) {
        rv = client_refused(c, resp->error_code, resp->error_message);
    }
    if (rv == 0) {
        take_ongoing(c, resp, out, room);
    }
    return rv;
}

int reassign_ongoing(struct client *c, const struct replica_sets *of, struct replica_sets *out)
{
    *out = (struct replica_sets){0};
    size_t room = 0;
    int rv = of ? 0 : ask_ongoing(c, NULL, out, &room);
    for (size_t i = 0; of && i < of->n && rv == 0; i += BATCH) {
        struct replica_sets part = {.v = of->v + i, .n = of->n - i < BATCH ? of->n - i : BATCH};
        rv = ask_ongoing(c, &part, out, &room);
    }
    replica_sets_sort(out);
    return rv;
}

/* ---- moving ---- */

static void put_targets(struct arena *a, struct alter_partition_reassignments_request *req,
                        const struct replica_sets *part)
{
    req->topics =
        proto_array(a, &alter_partition_reassignments_request_reassignable_topic_desc, part->n);
    req->topics_n = 0;
    alter_part *parts = /* of all topics, one after the other */
        proto_array(a, &alter_partition_reassignments_request_reassignable_partition_desc, part->n);
    for (size_t i = 0; i < part->n; i++) {
        const struct replica_set *s = &part->v[i];
        if (i == 0 || !bytes_eq(s->topic, part->v[i - 1].topic)) {
            alter_topic *t = &req->topics[req->topics_n++];
            t->name = s->topic;
            t->partitions = parts + i;
            t->partitions_n = 0;
        }
        alter_topic *t = &req->topics[req->topics_n - 1];
        t->partitions[t->partitions_n].partition_index = s->partition;
        t->partitions[t->partitions_n].replicas = s->replicas;
        t->partitions[t->partitions_n++].replicas_n = s->replicas ? s->replicas_n : -1;
    }
}

/* A partition without an answer was not moved. */
static void take_errors(const struct alter_partition_reassignments_response *resp,
                        struct replica_sets *part)
{
    for (size_t i = 0; i < part->n; i++) {
        part->v[i].error = resp->error_code ? resp->error_code : KE_UNKNOWN_SERVER_ERROR;
        part->v[i].message = resp->error_message;
    }
    for (int32_t i = 0; resp->error_code == 0 && i < resp->responses_n; i++) {
        const alter_result *t = &resp->responses[i];
        for (int32_t k = 0; k < t->partitions_n; k++) {
            struct replica_set *s =
                replica_set_find(part, t->name, t->partitions[k].partition_index);
            if (s) {
                s->error = t->partitions[k].error_code;
                s->message = t->partitions[k].error_message;
            }
        }
    }
}

int reassign_alter(struct client *c, struct replica_sets *targets, bool keep_factor,
                   size_t *refused)
{
    int rv = 0;
    *refused = 0;
    for (size_t i = 0; i < targets->n && rv == 0; i += BATCH) {
        struct replica_sets part = {.v = targets->v + i,
                                    .n = targets->n - i < BATCH ? targets->n - i : BATCH};
        struct alter_partition_reassignments_request req;
        struct alter_partition_reassignments_response *resp;
        proto_msg_init(&alter_partition_reassignments_request_msg, &req);
        req.timeout_ms = (int32_t)c->timeout_ms;
        req.allow_replication_factor_change = !keep_factor;
        put_targets(&c->arena, &req, &part);
        rv = client_call(c, CLIENT_ANY, API_ALTER_PARTITION_REASSIGNMENTS, &req, (void **)&resp,
                         NULL);
        if (rv == 0) {
            take_errors(resp, &part);
        }
        for (size_t k = 0; k < part.n && rv == 0; k++) {
            *refused += part.v[k].error != 0;
        }
    }
    return rv;
}

/* ---- leaders ---- */

static void put_elections(struct arena *a, struct elect_leaders_request *req,
                          const struct replica_sets *of)
{
    req->topic_partitions = proto_array(a, &elect_leaders_request_topic_partitions_desc, of->n);
    req->topic_partitions_n = 0;
    int32_t *ids = ARENA_ARRAY(a, int32_t, of->n); /* of all topics, one after the other */
    for (size_t i = 0; i < of->n; i++) {
        if (i == 0 || !bytes_eq(of->v[i].topic, of->v[i - 1].topic)) {
            req->topic_partitions[req->topic_partitions_n].topic = of->v[i].topic;
            req->topic_partitions[req->topic_partitions_n].partitions = ids + i;
            req->topic_partitions[req->topic_partitions_n++].partitions_n = 0;
        }
        struct elect_leaders_request_topic_partitions *t =
            &req->topic_partitions[req->topic_partitions_n - 1];
        t->partitions[t->partitions_n++] = of->v[i].partition;
    }
}

int reassign_elect(struct client *c, int8_t type, const struct replica_sets *of,
                   struct elect_leaders_response **resp)
{
    struct elect_leaders_request req;
    proto_msg_init(&elect_leaders_request_msg, &req);
    req.election_type = type;
    req.timeout_ms = (int32_t)c->timeout_ms;
    req.topic_partitions = NULL;
    req.topic_partitions_n = -1;
    if (of) {
        put_elections(&c->arena, &req, of);
    }
    int rv = client_call(c, CLIENT_ANY, API_ELECT_LEADERS, &req, (void **)resp, NULL);
    return rv == 0 && (*resp)->error_code ? client_refused(c, (*resp)->error_code, BYTES_NULL) : rv;
}
