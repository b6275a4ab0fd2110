/* From a connection to the coordinator of a group: which __consumer_offsets partition
 * (String.hashCode of the group id, formats.md section 7), its home shard, the core there, and
 * back.
 *
 * A question that changes something is a group_request: one event for one group. Reading ones
 * (OffsetFetch, DescribeGroups, ListGroups) run a function beside the core, grouped by shard.
 * Either way the answer code says when there is no coordinator to ask: NOT_COORDINATOR (no topic,
 * not led here, moved away), COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE (the node
 * stops).
 *
 * Memory is the request's arena, lent to the home shard until the answer is home. Shard: the
 * connection's. */
#ifndef BROKER_GROUP_ROUTE_H
#define BROKER_GROUP_ROUTE_H

#include "broker/group/coordinator.h"
#include "broker/request.h"
#include "broker/scatter.h"

/* Partition of __consumer_offsets for a group id; partitions > 0. */
int32_t group_partition_of(struct bytes group_id, int32_t partitions);

/* ---- one event for one group ---- */

struct group_request;
/* code 0: ask.response is the core's answer. Else there was no coordinator and response is as it
 * was. Answers r. */
typedef void group_done_fn(struct request *r, struct group_request *g, int16_t code);

struct group_request { /* in r's arena */
    struct msg m;
    struct group_ask ask;
    enum group_event_kind kind;
    struct bytes group_id;
    struct request *r;
    group_done_fn *done;
    void *user; /* the handler's */
    /* the route's */
    struct msg seen; /* home -> data: the frame can go */
    size_t used;     /* of the arena, when `seen` was sent */
    struct uuid topic_id;
    int32_t partition;
    int64_t image_offset;
    int16_t code;
    bool returning;
    bool patient; /* conn_req.patient */
};

/* request and response: structs of the API's schema (response at its defaults); request may be one
 * that the handler made. A join or a sync may wait for minutes: what the frame holds is given back
 * when the core has seen it, so `done` of these must not look at r->body (it is NULL then),
 * r->hdr.client_id, group_id or the request. done may run inside. A client that is gone is answered
 * all the same: nothing is taken back from the core, as in Kafka. */
void group_request_start(struct group_request *g, struct request *r, enum group_event_kind kind,
                         struct bytes group_id, const void *request, void *response,
                         group_done_fn *done, void *user);

/* ---- reading many groups ---- */

struct group_item {
    struct scatter_item
        at; /* at.error set before the start: not asked. After: 0, or why it was not */
    struct bytes group_id;
    bool too_large; /* the route's */
};
/* On the home shard. What it allocates comes from a and lives until done has returned. False: the
 * answer would be larger than a's limit. */
typedef bool group_read_fn(const struct group_coordinator *c, struct group_item *it, void *user,
                           int64_t now_ms, int64_t wall_ms, struct arena *a);
typedef void group_read_done_fn(struct request *r, void *user);
/* items: n structs of item_size bytes that begin with a group_item, in place until done. An answer
 * that could only be so large because the request names the same things again and again (more than
 * request_answer_max and what all groups together may come to) is not given: a line, and the
 * connection closes. */
void group_read_start(struct request *r, void *items, size_t item_size, uint32_t n,
                      group_read_fn *read, group_read_done_fn *done, void *user);

/* ---- every coordinator of this broker (ListGroups) ---- */

struct group_all_part { /* one coordinator's answer, in the order of partitions */
    int32_t partition;
    void *answer;
};
typedef void *group_all_fn(const struct group_coordinator *c, void *user, struct arena *a);
/* code: 0 or COORDINATOR_LOAD_IN_PROGRESS when one of them is loading (as Kafka then answers). */
typedef void group_all_done_fn(struct request *r, void *user, int16_t code,
                               struct group_all_part *parts, uint32_t n);
void group_all_start(struct request *r, group_all_fn *read, group_all_done_fn *done, void *user);

/* ---- where is a group's coordinator ---- */

/* For FindCoordinator: 0 and the broker that leads the group's partition, or
 * COORDINATOR_NOT_AVAILABLE. The topic is made when it is missing, with its own partitions, factor
 * and settings, whatever auto.create.topics.enable says; not while there are fewer live brokers
 * than offsets.topic.replication.factor wants, which a line says. */
int16_t group_route_find(struct request *r, struct bytes group_id, int32_t *leader);

/* __consumer_offsets as this request sees it; NULL: there is none. */
const struct image_topic *group_topic(const struct request *r);

/* ---- messages, and group_host.c's answers ---- */

void group_route_on_msg(struct node_shard *ns, struct msg *m); /* MSG_GROUP, MSG_GROUP_SEEN */
void group_route_reply(struct node_shard *ns, struct group_ask *ask); /* on the home shard */

#endif
