/* Fetch and FetchSnapshot of `__cluster_metadata-0`, by brokers and other observers. Only what is
 * committed is served; a Fetch at the end waits for the next commit or its max wait. */
#include "base/mem.h"
#include "controller/controller_private.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum {
    WAIT_MS_MAX = 60000,
    BYTES_MAX = 8 << 20, /* of one answer, unless a batch is larger */
    TOPIC_IDS_FROM = 13,
    REPLICA_STATE_FROM = 15,
    NODES_FROM = 17, /* the field is older, the metadata partition has it since then */
};

static const char topic_name[] = "__cluster_metadata";
#define TOPIC_ID uuid_reserved(1)

#define PART struct fetch_request_fetch_partition
#define DATA struct fetch_response_partition_data

/* ---- observers ---- */

static bool is_voter(const struct controller *c, int32_t id)
{
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        if (c->cfg.voters[i].id == id) {
            return true;
        }
    }
    return false;
}

static void note_observer(struct controller *c, int32_t id, const PART *in)
{
    if (id < 0 || is_voter(c, id) || !c->active) {
        return;
    }
    struct observer *o =
        observers_touch(&c->observers, id, in->replica_directory_id, shard_now_ms(c->shard));
    if (o) {
        o->end_offset = in->fetch_offset;
        o->fetched_ms = io_wall_ms(c->io);
        if (in->fetch_offset >= c->committed_offset) {
            o->caught_up_ms = o->fetched_ms;
        }
    }
}

/* ---- Fetch ---- */

void controller_fetch_refuse(struct arena *a, int16_t version, const void *request, void *response,
                             int16_t code)
{
    UNUSED(a);
    UNUSED(version);
    UNUSED(request);
    ((struct fetch_response *)response)->error_code =
        code == KE_NOT_CONTROLLER ? KE_NOT_LEADER_OR_FOLLOWER : code;
}

static bool cluster_ok(const struct controller *c, struct bytes id)
{
    return bytes_is_null(id) || bytes_eq_str(id, c->cfg.cluster_id);
}

/* The one partition that may be asked for; NULL otherwise. */
static const PART *the_partition(const struct controller_request *r)
{
    const struct fetch_request *q = r->body;
    if (q->topics_n != 1 || q->topics[0].partitions_n != 1 ||
        q->topics[0].partitions[0].partition != 0) {
        return NULL;
    }
    bool ok = r->hdr.version >= TOPIC_IDS_FROM ? uuid_eq(q->topics[0].topic_id, TOPIC_ID)
                                               : bytes_eq_str(q->topics[0].topic, topic_name);
    return ok ? &q->topics[0].partitions[0] : NULL;
}

/* The answer's one partition. */
static DATA *answer_partition(struct controller_request *r)
{
    struct fetch_response *resp = r->response;
    resp->responses = proto_array(&r->arena, &fetch_response_fetchable_topic_response_desc, 1);
    resp->responses_n = 1;
    resp->responses[0].topic = bytes_str(topic_name);
    resp->responses[0].topic_id = TOPIC_ID;
    resp->responses[0].partitions = proto_array(&r->arena, &fetch_response_partition_data_desc, 1);
    resp->responses[0].partitions_n = 1;
    DATA *p = &resp->responses[0].partitions[0];
    const struct controller *c = r->c;
    p->current_leader.leader_id = controller_leader(c);
    p->current_leader.leader_epoch = controller_epoch(c);
    p->high_watermark = c->active ? c->committed_offset : -1;
    p->last_stable_offset = p->high_watermark;
    p->log_start_offset = c->mlog ? metadata_log_start_offset(c->mlog) : 0;
    p->records = bytes_str("");
    return p;
}

/* Where the leader is: a voter knows it from its configuration, another controller from the
 * leader's registration. */
static bool find_leader(const struct controller *c, struct fetch_response_node_endpoint *out)
{
    const struct image_controller *ic = image_controller(c->committed, controller_leader(c));
    out->node_id = controller_leader(c);
    for (size_t i = 0; i < c->cfg.voters_n; i++) {
        if (c->cfg.voters[i].id == out->node_id) {
            out->host = bytes_str(c->cfg.voters[i].host);
            out->port = c->cfg.voters[i].port;
            return true;
        }
    }
    if (ic && ic->endpoints_n > 0) {
        out->host = ic->endpoints[0].host;
        out->port = ic->endpoints[0].port;
    }
    return ic && ic->endpoints_n > 0;
}

/* For a fetcher that is to go on there. */
static void name_leader(struct controller_request *r)
{
    struct fetch_response *resp = r->response;
    struct fetch_response_node_endpoint *e =
        proto_array(&r->arena, &fetch_response_node_endpoint_desc, 1);
    if (r->hdr.version >= NODES_FROM && find_leader(r->c, e)) {
        resp->node_endpoints = e;
        resp->node_endpoints_n = 1;
    }
}

static int16_t check_leader(const struct controller *c, int32_t epoch)
{
    int32_t present = controller_epoch(c);
    if (epoch >= 0 && epoch < present) {
        return KE_FENCED_LEADER_EPOCH;
    }
    if (epoch > present) {
        return KE_UNKNOWN_LEADER_EPOCH;
    }
    return controller_serves(c) ? KE_NONE : KE_NOT_LEADER_OR_FOLLOWER;
}

enum place { PLACE_GOOD, PLACE_SNAPSHOT, PLACE_DIVERGES };

/* Does the fetcher's log, which ends at this offset with this epoch, go on in ours? */
static enum place compare(const struct controller *c, const PART *in, DATA *out)
{
    int64_t start = metadata_log_start_offset(c->mlog);
    struct metadata_snapshot_id newest = metadata_log_newest_snapshot(c->mlog);
    int32_t epoch;
    int64_t end;
    if (in->fetch_offset == 0 && start == 0) {
        return PLACE_GOOD;
    }
    if (newest.offset >= 0 &&
        (in->fetch_offset < start ||
         (in->fetch_offset == newest.offset && in->last_fetched_epoch == newest.epoch))) {
        if (in->fetch_offset >= start) {
            return PLACE_GOOD; /* it has just loaded this snapshot */
        }
        out->snapshot_id.end_offset = newest.offset;
        out->snapshot_id.epoch = newest.epoch;
        return PLACE_SNAPSHOT;
    }
    metadata_log_epoch_end(c->mlog, in->last_fetched_epoch, &epoch, &end);
    if (epoch < 0 && newest.offset >= 0) {
        out->snapshot_id.end_offset = newest.offset;
        out->snapshot_id.epoch = newest.epoch;
        return PLACE_SNAPSHOT;
    }
    if (epoch == in->last_fetched_epoch && end >= in->fetch_offset) {
        return PLACE_GOOD;
    }
    out->diverging_epoch.epoch = epoch < 0 ? 0 : epoch;
    out->diverging_epoch.end_offset = end < 0 ? 0 : end;
    return PLACE_DIVERGES;
}

static size_t bytes_wanted(const struct fetch_request *q, const PART *in)
{
    int32_t n = q->max_bytes < in->partition_max_bytes ? q->max_bytes : in->partition_max_bytes;
    return n < 0 ? 0 : n < BYTES_MAX ? (size_t)n : (size_t)BYTES_MAX;
}

static void answer_records(struct controller_request *r, const PART *in, DATA *out)
{
    struct controller *c = r->c;
    struct buf b = {0};
    struct errmsg em = {{0}};
    int err = 0;
    if (in->fetch_offset < c->committed_offset) {
        err = metadata_log_read(c->mlog, in->fetch_offset, bytes_wanted(r->body, in),
                                c->committed_offset, &b, &em);
    }
    if (err) {
        log_limited(c->log, &c->limit, LOG_ERROR, "controller",
                    "the metadata log cannot be read for a fetch offset=%lld reason=\"%s\"",
                    (long long)in->fetch_offset, em.text);
        out->error_code = err == ERR_RANGE ? KE_OFFSET_OUT_OF_RANGE : KE_UNKNOWN_SERVER_ERROR;
    } else {
        out->records = buf_bytes(&b);
    }
    controller_answer(r);
    buf_free(&b);
}

static void on_wait_over(struct timer *t)
{
    struct controller_request *r = t->user;
    list_remove(&r->node);
    answer_records(r, the_partition(r), answer_partition(r));
}

void controller_fetch(struct controller_request *r)
{
    const struct fetch_request *q = r->body;
    struct fetch_response *resp = r->response;
    struct controller *c = r->c;
    int32_t replica =
        r->hdr.version >= REPLICA_STATE_FROM ? q->replica_state.replica_id : q->replica_id;
    if (!cluster_ok(c, q->cluster_id)) {
        controller_note_foreign(c, "fetch", replica, q->cluster_id);
        resp->error_code = KE_INCONSISTENT_CLUSTER_ID;
        controller_answer(r);
        return;
    }
    const PART *in = the_partition(r);
    if (in == NULL) {
        resp->error_code = KE_INVALID_REQUEST;
        controller_answer(r);
        return;
    }
    if (c->active) {
        controller_note_follower(c, replica, in->replica_directory_id);
    }
    DATA *out = answer_partition(r);
    out->error_code = check_leader(c, in->current_leader_epoch);
    if (out->error_code) {
        name_leader(r);
    }
    if (out->error_code || compare(c, in, out) != PLACE_GOOD) {
        controller_answer(r);
        return;
    }
    note_observer(c, replica, in);
    if (in->fetch_offset < c->committed_offset || q->max_wait_ms <= 0 || q->min_bytes < 0) {
        answer_records(r, in, out);
        return;
    }
    int64_t wait = q->max_wait_ms < WAIT_MS_MAX ? q->max_wait_ms : WAIT_MS_MAX;
    r->timer = (struct timer){.cb = on_wait_over, .user = r};
    timer_set(c->shard, &r->timer, shard_now_ms(c->shard) + wait);
    list_push_back(&c->polls, &r->node);
}

void controller_wake_polls(struct controller *c, bool all)
{
    struct list taken;
    list_init(&taken);
    while (!list_empty(&c->polls)) {
        list_push_back(&taken, list_pop_front(&c->polls));
    }
    while (!list_empty(&taken)) {
        struct controller_request *r =
            LIST_ENTRY(list_pop_front(&taken), struct controller_request, node);
        const PART *in = the_partition(r);
        if (!all && in->fetch_offset >= c->committed_offset) {
            list_push_back(&c->polls, &r->node);
            continue;
        }
        timer_cancel(c->shard, &r->timer);
        DATA *out = answer_partition(r);
        out->error_code = all ? check_leader(c, in->current_leader_epoch) : KE_NONE;
        if (out->error_code) {
            name_leader(r);
            controller_answer(r);
        } else {
            answer_records(r, in, out);
        }
    }
}

void controller_poll_cancel(struct controller *c, const void *user)
{
    list_for_each_safe (it, &c->polls) {
        struct controller_request *r = LIST_ENTRY(it, struct controller_request, node);
        if (r->user == user) {
            controller_give_up(r, ERR_CANCELED);
            return;
        }
    }
}

/* ---- FetchSnapshot ---- */

#define SNAP     struct fetch_snapshot_request_partition_snapshot
#define SNAP_OUT struct fetch_snapshot_response_partition_snapshot

static SNAP_OUT *answer_snapshot(struct controller_request *r, struct bytes topic, const SNAP *in)
{
    struct fetch_snapshot_response *resp = r->response;
    resp->topics = proto_array(&r->arena, &fetch_snapshot_response_topic_snapshot_desc, 1);
    resp->topics_n = 1;
    resp->topics[0].name = topic;
    resp->topics[0].partitions =
        proto_array(&r->arena, &fetch_snapshot_response_partition_snapshot_desc, 1);
    resp->topics[0].partitions_n = 1;
    SNAP_OUT *out = &resp->topics[0].partitions[0];
    out->index = in->partition;
    out->snapshot_id.end_offset = in->snapshot_id.end_offset;
    out->snapshot_id.epoch = in->snapshot_id.epoch;
    out->position = in->position;
    out->current_leader.leader_id = controller_leader(r->c);
    out->current_leader.leader_epoch = controller_epoch(r->c);
    out->unaligned_records = bytes_str("");
    return out;
}

/* Fills the piece from the position on; data is what it points to. */
static int16_t read_piece(struct controller *c, const SNAP *in, int32_t max_bytes, SNAP_OUT *out,
                          struct buf *data)
{
    struct metadata_snapshot_id id = {in->snapshot_id.end_offset, in->snapshot_id.epoch};
    uint64_t size;
    int err = metadata_log_snapshot_size(c->mlog, id, &size);
    if (err) {
        return err == ERR_NOTFOUND ? KE_SNAPSHOT_NOT_FOUND : KE_UNKNOWN_SERVER_ERROR;
    }
    if (in->position < 0 || (uint64_t)in->position >= size) {
        return KE_POSITION_OUT_OF_RANGE;
    }
    size_t n = max_bytes < 1 ? 1 : max_bytes < BYTES_MAX ? (size_t)max_bytes : (size_t)BYTES_MAX;
    err = metadata_log_snapshot_read(c->mlog, id, (uint64_t)in->position, n, data);
    if (err || data->len == 0) {
        return KE_UNKNOWN_SERVER_ERROR;
    }
    out->size = (int64_t)size;
    out->unaligned_records = buf_bytes(data);
    return KE_NONE;
}

/* Kafka means to answer with the partition's row and its code, cannot write a row without records,
 * and so says this for the whole request: its brokers know nothing else, and begin with a Fetch
 * again, as ours do. */
static void refuse_snapshot(struct controller_request *r, int16_t code)
{
    struct fetch_snapshot_response *resp = r->response;
    log_debug(r->c->log, "controller", "no piece of a snapshot error=%d", code);
    resp->topics_n = 0;
    resp->error_code = KE_UNKNOWN_SERVER_ERROR;
}

void controller_fetch_snapshot(struct controller_request *r)
{
    const struct fetch_snapshot_request *q = r->body;
    struct fetch_snapshot_response *resp = r->response;
    struct buf data = {0};
    if (!cluster_ok(r->c, q->cluster_id)) {
        controller_note_foreign(r->c, "snapshot's fetch", q->replica_id, q->cluster_id);
        resp->error_code = KE_INCONSISTENT_CLUSTER_ID;
    } else if (q->topics_n != 1 || q->topics[0].partitions_n != 1) {
        resp->error_code = KE_INVALID_REQUEST;
    } else {
        const SNAP *in = &q->topics[0].partitions[0];
        SNAP_OUT *out = answer_snapshot(r, q->topics[0].name, in);
        if (!bytes_eq_str(q->topics[0].name, topic_name) || in->partition != 0) {
            out->error_code = KE_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
            out->error_code = check_leader(r->c, in->current_leader_epoch);
        }
        if (out->error_code == KE_NONE) {
            out->error_code = read_piece(r->c, in, q->max_bytes, out, &data);
        }
        if (out->error_code != KE_NONE) {
            refuse_snapshot(r, out->error_code);
        }
    }
    controller_answer(r);
    buf_free(&data);
}
