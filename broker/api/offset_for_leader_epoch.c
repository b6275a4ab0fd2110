/* OffsetForLeaderEpoch (23), versions 2 to 4: where an epoch ends, or the last one before it that
 * the log knows. */
#include "broker/api/errors.h"
#include "broker/api/handlers.h"
#include "broker/partition.h"
#include "broker/scatter.h"
#include "controller/image.h"
#include "proto_messages.h"

struct row {
    struct scatter_item it;
    int32_t current_leader_epoch;
    int32_t epoch;
    int32_t found;
    int64_t end;
    struct offset_for_leader_epoch_response_epoch_end_offset *out;
};

struct state {
    struct offset_for_leader_epoch_response *resp;
    struct row *rows;
    uint32_t n;
};

static void run(struct node_shard *home, struct partition *p, struct scatter_item *it, void *user,
                struct arena *a)
{
    UNUSED(home);
    UNUSED(user);
    UNUSED(a);
    struct row *row = CONTAINER_OF(it, struct row, it);
    it->error = partition_check_leader(p, row->current_leader_epoch);
    if (it->error) {
        return;
    }
    int err = plog_epoch_end_offset(p->log, row->epoch, &row->found, &row->end);
    if (err) {
        partition_note_error(p, err, "find the end of an epoch");
        it->error = wire_error(err);
    }
}

static void done(struct request *r, void *user)
{
    struct state *s = user;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct row *row = &s->rows[i];
        row->out->error_code = row->it.error;
        row->out->leader_epoch = row->it.error ? -1 : row->found;
        row->out->end_offset = row->it.error ? -1 : row->end;
    }
    request_reply(r, s->resp);
}

void api_offset_for_leader_epoch(struct request *r)
{
    const struct offset_for_leader_epoch_request *q = r->body;
    struct arena *a = &r->arena;
    struct state *s = ARENA_NEW(a, struct state);
    size_t total = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        total += (size_t)q->topics[i].partitions_n;
    }
    s->rows = ARENA_ARRAY(a, struct row, total + 1);
    s->resp = request_response(r);
    s->resp->topics =
        proto_array(a, &offset_for_leader_epoch_response_offset_for_leader_topic_result_desc,
                    (size_t)q->topics_n);
    s->resp->topics_n = q->topics_n;
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *t = &q->topics[i];
        const struct image_topic *topic = image_topic_by_name(r->image, t->topic);
        s->resp->topics[i].topic = t->topic;
        s->resp->topics[i].partitions = proto_array(
            a, &offset_for_leader_epoch_response_epoch_end_offset_desc, (size_t)t->partitions_n);
        s->resp->topics[i].partitions_n = t->partitions_n;
        for (int32_t k = 0; k < t->partitions_n; k++) {
            struct row *row = &s->rows[s->n++];
            row->out = &s->resp->topics[i].partitions[k];
            row->out->partition = t->partitions[k].partition;
            row->epoch = t->partitions[k].leader_epoch;
            row->current_leader_epoch = t->partitions[k].current_leader_epoch;
            row->it.index = t->partitions[k].partition;
            if (topic && image_partition(topic, row->it.index)) {
                row->it.topic_id = topic->id;
            } else {
                row->it.error = KE_UNKNOWN_TOPIC_OR_PARTITION;
            }
        }
    }
    scatter_start(r, s->rows, sizeof s->rows[0], s->n, run, done, s);
}
