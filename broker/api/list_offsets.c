/* ListOffsets (2), versions 1 to 11: by time, and the special times -1 latest, -2 earliest, -3 the
 * largest timestamp (since version 7), -4 earliest on local disks (8), -5 the end of what is in
 * tiered storage (9) and -6 the earliest not yet copied there (11); there is no tiered storage, so
 * the last two find nothing. Others, and one that is too new for the version:
 * UNSUPPORTED_VERSION. A partition named twice: INVALID_REQUEST, once. */
#include "broker/api/errors.h"
#include "broker/api/handlers.h"
#include "broker/api/named_once.h"
#include "broker/partition.h"
#include "broker/replica/isr.h"
#include "broker/scatter.h"
#include "controller/image.h"
#include "proto_messages.h"

enum {
    TIME_LATEST = -1,
    TIME_EARLIEST = -2,
    TIME_MAX = -3,
    TIME_EARLIEST_LOCAL = -4,
    TIME_LATEST_TIERED = -5,
    TIME_EARLIEST_PENDING = -6,
    REPLICA_CONSUMER = -1,
    REPLICA_DEBUG = -2, /* any replica answers */
    NOT_AVAILABLE_FROM = 5,
};

#define TOPIC struct list_offsets_response_list_offsets_topic_response

struct row {
    struct scatter_item it;
    int32_t current_leader_epoch;
    int64_t time;
    struct plog_time_offset found;
    TOPIC *topic; /* of the answer */
};

struct list_offsets {
    const struct list_offsets_request *q;
    int16_t version;
    struct list_offsets_response *resp;
    struct row *rows;
    uint32_t n;
};

static int16_t check_time(int64_t time, int16_t version)
{
    static const struct {
        int64_t time;
        int16_t since;
    } special[] = {{TIME_LATEST, 0},         {TIME_EARLIEST, 0},      {TIME_MAX, 7},
                   {TIME_EARLIEST_LOCAL, 8}, {TIME_LATEST_TIERED, 9}, {TIME_EARLIEST_PENDING, 11}};
    if (time >= 0) {
        return KE_NONE;
    }
    for (size_t i = 0; i < ARRAY_LEN(special); i++) {
        if (time == special[i].time && version >= special[i].since) {
            return KE_NONE;
        }
    }
    return KE_UNSUPPORTED_VERSION;
}

/* The first offset that this asker may not read. */
static int readable_end(struct partition *p, const struct list_offsets *l, int64_t *end)
{
    if (l->q->replica_id != REPLICA_CONSUMER) {
        *end = plog_end_offset(p->log);
        return 0;
    }
    if (l->q->isolation_level == 1) {
        return plog_last_stable_offset(p->log, end);
    }
    *end = plog_high_watermark(p->log);
    return 0;
}

/* After an election the high watermark may be behind what the leader before had shown: until it has
 * reached the start of the epoch, its end tells a consumer nothing. */
static bool is_behind(const struct partition *p, const struct list_offsets *l)
{
    return l->q->replica_id == REPLICA_CONSUMER && p->isr &&
           p->isr->epoch_start > plog_high_watermark(p->log);
}

static int find_earliest(struct partition *p, struct plog_time_offset *out)
{
    out->offset = plog_start_offset(p->log);
    out->timestamp = -1;
    return plog_epoch_of(p->log, out->offset, &out->leader_epoch);
}

static int find(struct partition *p, const struct list_offsets *l, int64_t time,
                struct plog_time_offset *out)
{
    int64_t end;
    int err = readable_end(p, l, &end);
    if (err) {
        return err;
    }
    switch (time) {
    case TIME_LATEST:
        *out = (struct plog_time_offset){end, -1, p->leader_epoch};
        return 0;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        return find_earliest(p, out);
    case TIME_LATEST_TIERED:
    case TIME_EARLIEST_PENDING:
        return 0;
    default:
        break;
    }
    struct plog_time_offset found;
    err = time == TIME_MAX ? plog_offset_of_max_timestamp(p->log, &found)
                           : plog_offset_by_time(p->log, time, &found);
    if (!err && found.offset >= 0 && found.offset < end) {
        *out = found;
    }
    return err;
}

static bool asks_for_the_end(const struct row *row)
{
    return row->time == TIME_LATEST || (row->time != TIME_EARLIEST &&
                                        row->time != TIME_EARLIEST_LOCAL && row->found.offset < 0);
}

static void run(struct node_shard *home, struct partition *p, struct scatter_item *it, void *user,
                struct arena *a)
{
    UNUSED(home);
    UNUSED(a);
    struct row *row = CONTAINER_OF(it, struct row, it);
    const struct list_offsets *l = user;
    it->error = l->q->replica_id == REPLICA_DEBUG
                    ? partition_check_replica(p, row->current_leader_epoch)
                    : partition_check_leader(p, row->current_leader_epoch);
    if (it->error) {
        return;
    }
    int err = find(p, l, row->time, &row->found);
    if (err) {
        partition_note_error(p, err, "find an offset");
        it->error = wire_error(err);
    } else if (asks_for_the_end(row) && is_behind(p, l)) {
        row->found = (struct plog_time_offset){-1, -1, -1};
        it->error =
            l->version >= NOT_AVAILABLE_FROM ? KE_OFFSET_NOT_AVAILABLE : KE_LEADER_NOT_AVAILABLE;
    }
}

/* A topic's rows were counted in partitions_n. */
static void make_partitions(struct request *r, struct list_offsets_response *resp)
{
    for (int32_t i = 0; i < resp->topics_n; i++) {
        resp->topics[i].partitions =
            proto_array(&r->arena, &list_offsets_response_list_offsets_partition_response_desc,
                        (size_t)resp->topics[i].partitions_n);
        resp->topics[i].partitions_n = 0;
    }
}

static void done(struct request *r, void *user)
{
    struct list_offsets *l = user;
    make_partitions(r, l->resp);
    for (uint32_t i = 0; i < l->n; i++) {
        const struct row *row = &l->rows[i];
        struct list_offsets_response_list_offsets_partition_response *out =
            &row->topic->partitions[row->topic->partitions_n++];
        out->partition_index = row->it.index;
        out->error_code = row->it.error;
        if (row->it.error == KE_NONE) {
            out->timestamp = row->found.timestamp;
            out->offset = row->found.offset;
            if (r->hdr.version >= 4) {
                out->leader_epoch = row->found.leader_epoch;
            }
        }
    }
    request_reply(r, l->resp);
}

static void add_row(struct request *r, struct row *row, const struct image_topic *topic,
                    const struct list_offsets_request_list_offsets_partition *q)
{
    row->current_leader_epoch = q->current_leader_epoch;
    row->time = q->timestamp;
    row->found = (struct plog_time_offset){-1, -1, -1};
    row->it.index = q->partition_index;
    row->it.error = check_time(q->timestamp, r->hdr.version);
    if (row->it.error) {
        return; /* before anything is asked about the partition */
    }
    if (topic == NULL || image_partition(topic, q->partition_index) == NULL) {
        row->it.error = KE_UNKNOWN_TOPIC_OR_PARTITION;
    } else {
        row->it.topic_id = topic->id;
    }
}

static void add_topic(struct request *r, struct list_offsets *l, struct named_once *once,
                      const struct list_offsets_request_list_offsets_topic *t)
{
    const struct image_topic *topic = image_topic_by_name(r->image, t->name);
    TOPIC *o = &l->resp->topics[l->resp->topics_n];
    TOPIC *before = named_topic(once, t->name, o);
    l->resp->topics_n += before == NULL;
    o = before ? before : o;
    o->name = t->name;
    for (int32_t i = 0; i < t->partitions_n; i++) {
        struct row *row = &l->rows[l->n];
        struct row *twin = named_partition(once, o, t->partitions[i].partition_index, row);
        if (twin) {
            twin->it.error = KE_INVALID_REQUEST;
            continue;
        }
        l->n++;
        o->partitions_n++;
        row->topic = o;
        add_row(r, row, topic, &t->partitions[i]);
    }
}

void api_list_offsets(struct request *r)
{
    struct list_offsets *l = ARENA_NEW(&r->arena, struct list_offsets);
    l->q = r->body;
    l->version = r->hdr.version;
    l->resp = request_response(r);
    size_t total = 0;
    for (int32_t i = 0; i < l->q->topics_n; i++) {
        total += (size_t)l->q->topics[i].partitions_n;
    }
    l->rows = ARENA_ARRAY(&r->arena, struct row, total + 1);
    l->resp->topics = proto_array(
        &r->arena, &list_offsets_response_list_offsets_topic_response_desc, (size_t)l->q->topics_n);
    struct named_once once = named_once_of(r);
    for (int32_t i = 0; i < l->q->topics_n; i++) {
        add_topic(r, l, &once, &l->q->topics[i]);
    }
    named_once_free(&once);
    scatter_start(r, l->rows, sizeof l->rows[0], l->n, run, done, l);
}
