/* DescribeProducers (61), version 0: the producers that a partition's log remembers. */
#include "broker/api/errors.h"
#include "broker/api/handlers.h"
#include "broker/partition.h"
#include "broker/scatter.h"
#include "controller/image.h"
#include "proto/topic_name.h"
#include "proto_messages.h"

struct row {
    struct scatter_item it;
    struct plog_producer *producers;
    unsigned producers_n;
    struct describe_producers_response_partition_response *out;
};

struct state {
    struct describe_producers_response *resp;
    struct row *rows;
    uint32_t n;
};

static void run(struct node_shard *home, struct partition *p, struct scatter_item *it, void *user,
                struct arena *a)
{
    UNUSED(home);
    UNUSED(user);
    struct row *row = CONTAINER_OF(it, struct row, it);
    it->error = partition_check_leader(p, -1);
    if (it->error) {
        return;
    }
    int err = plog_producers(p->log, a, &row->producers, &row->producers_n);
    if (err) {
        partition_note_error(p, err, "list producers");
        it->error = wire_error(err);
    }
}

static void put_producers(struct request *r, const struct row *row)
{
    row->out->active_producers =
        proto_array(&r->arena, &describe_producers_response_producer_state_desc, row->producers_n);
    row->out->active_producers_n = (int32_t)row->producers_n;
    for (unsigned i = 0; i < row->producers_n; i++) {
        const struct plog_producer *p = &row->producers[i];
        row->out->active_producers[i].producer_id = p->producer_id;
        row->out->active_producers[i].producer_epoch = p->producer_epoch;
        row->out->active_producers[i].last_sequence = p->last_sequence;
        row->out->active_producers[i].last_timestamp = p->last_timestamp;
        row->out->active_producers[i].coordinator_epoch = p->coordinator_epoch;
        row->out->active_producers[i].current_txn_start_offset = p->txn_first_offset;
    }
}

static void done(struct request *r, void *user)
{
    struct state *s = user;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct row *row = &s->rows[i];
        row->out->error_code = row->it.error;
        if (row->it.error == KE_NOT_LEADER_OR_FOLLOWER) {
            row->out->error_message = bytes_str("this broker does not lead the partition");
        }
        put_producers(r, row);
    }
    request_reply(r, s->resp);
}

void api_describe_producers(struct request *r)
{
    const struct describe_producers_request *q = r->body;
    struct arena *a = &r->arena;
    struct state *s = ARENA_NEW(a, struct state);
    size_t total = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        total += (size_t)q->topics[i].partition_indexes_n;
    }
    s->rows = ARENA_ARRAY(a, struct row, total + 1);
    s->resp = request_response(r);
    s->resp->topics =
        proto_array(a, &describe_producers_response_topic_response_desc, (size_t)q->topics_n);
    s->resp->topics_n = q->topics_n;
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct describe_producers_request_topic_request *t = &q->topics[i];
        const struct image_topic *topic = image_topic_by_name(r->image, t->name);
        s->resp->topics[i].name = t->name;
        s->resp->topics[i].partitions =
            proto_array(a, &describe_producers_response_partition_response_desc,
                        (size_t)t->partition_indexes_n);
        s->resp->topics[i].partitions_n = t->partition_indexes_n;
        for (int32_t k = 0; k < t->partition_indexes_n; k++) {
            struct row *row = &s->rows[s->n++];
            row->out = &s->resp->topics[i].partitions[k];
            row->out->partition_index = t->partition_indexes[k];
            row->it.index = t->partition_indexes[k];
            if (topic && image_partition(topic, row->it.index)) {
                row->it.topic_id = topic->id;
            } else {
                row->it.error = topic_name_is_valid(t->name, NULL) ? KE_UNKNOWN_TOPIC_OR_PARTITION
                                                                   : KE_INVALID_TOPIC_EXCEPTION;
                row->out->error_message = topic ? BYTES_NULL : bytes_str("there is no such topic");
            }
        }
    }
    scatter_start(r, s->rows, sizeof s->rows[0], s->n, run, done, s);
}
