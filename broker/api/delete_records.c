/* DeleteRecords (21), versions 0 to 2: the log starts at the given offset from now on (-1: at the
 * high watermark); whole segments below it go at the next retention. Refused for internal topics
 * (INVALID_TOPIC_EXCEPTION) and for topics that are only compacted (POLICY_VIOLATION).
 *
 * The answer waits until the living followers' logs start there too (low_wait.h), for timeout_ms at
 * most: then REQUEST_TIMED_OUT, and it holds all the same. */
#include "broker/api/errors.h"
#include "broker/api/handlers.h"
#include "broker/api/named_once.h"
#include "broker/low_wait.h"
#include "broker/partition.h"
#include "broker/scatter.h"
#include "controller/image.h"
#include "proto_messages.h"

enum { TO_HIGH_WATERMARK = -1 };

#define TOPIC struct delete_records_response_delete_records_topic_result

struct row {
    struct scatter_item it;
    int64_t offset;
    int64_t required; /* the offset that was meant */
    int64_t low_watermark;
    struct low_wait wait;
    bool waiting;
    TOPIC *topic; /* of the answer */
};

struct state {
    struct request *r;
    int64_t timeout_ms;
    uint32_t out; /* rows that wait */
    struct delete_records_response *resp;
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
    it->error = partition_check_leader(p, -1);
    if (it->error) {
        return;
    }
    if (!p->topic->config.log.cleanup_delete && p->topic->config.log.cleanup_compact) {
        it->error = KE_POLICY_VIOLATION;
        return;
    }
    int64_t hw = plog_high_watermark(p->log);
    int64_t to = row->offset == TO_HIGH_WATERMARK ? hw : row->offset;
    if (to < 0 || to > hw) {
        it->error = KE_OFFSET_OUT_OF_RANGE;
        return;
    }
    int err = to > plog_start_offset(p->log) ? plog_set_start_offset(p->log, to) : 0;
    if (err) {
        partition_note_error(p, err, "delete records");
        it->error = wire_error(err);
        return;
    }
    row->required = to;
    row->low_watermark = partition_low_watermark(p);
    partition_advance(p);
}

/* A topic's rows were counted in partitions_n. */
static void make_partitions(struct request *r, struct delete_records_response *resp)
{
    for (int32_t i = 0; i < resp->topics_n; i++) {
        resp->topics[i].partitions =
            proto_array(&r->arena, &delete_records_response_delete_records_partition_result_desc,
                        (size_t)resp->topics[i].partitions_n);
        resp->topics[i].partitions_n = 0;
    }
}

static void answer(struct state *s)
{
    make_partitions(s->r, s->resp);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct row *row = &s->rows[i];
        struct delete_records_response_delete_records_partition_result *out =
            &row->topic->partitions[row->topic->partitions_n++];
        bool known = row->it.error == KE_NONE || row->it.error == KE_REQUEST_TIMED_OUT;
        out->partition_index = row->it.index;
        out->error_code = row->it.error;
        out->low_watermark = known ? row->low_watermark : -1;
    }
    request_reply(s->r, s->resp);
}

/* ---- waiting for followers ---- */

static void row_waited(struct low_wait *w)
{
    struct row *row = CONTAINER_OF(w, struct row, wait);
    struct state *s = w->user;
    row->waiting = false;
    row->it.error = w->error;
    if (w->error == KE_NONE) {
        row->low_watermark = w->low_watermark;
    }
    if (--s->out == 0) {
        answer(s);
    }
}

static void on_cancel(struct request *r)
{
    struct state *s = r->state;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->rows[i].waiting) {
            low_wait_cancel(&s->rows[i].wait);
        }
    }
}

static void wait_for(struct state *s, struct row *row)
{
    row->wait = (struct low_wait){.topic_id = row->it.topic_id,
                                  .index = row->it.index,
                                  .offset = row->required,
                                  .timeout_ms = s->timeout_ms > 0 ? s->timeout_ms : 0,
                                  .done = row_waited,
                                  .user = s};
    row->waiting = true;
    s->out++;
    low_wait_start(&row->wait, s->r->ns);
}

static void done(struct request *r, void *user)
{
    struct state *s = user;
    for (uint32_t i = 0; i < s->n && !r->canceled; i++) {
        struct row *row = &s->rows[i];
        if (row->it.error == KE_NONE && row->low_watermark < row->required) {
            wait_for(s, row);
        }
    }
    if (s->out == 0) {
        answer(s);
    } else {
        r->state = s;
        r->on_cancel = on_cancel;
    }
}

static bool is_internal(struct bytes topic)
{
    return bytes_eq_str(topic, "__consumer_offsets") ||
           bytes_eq_str(topic, "__transaction_state") || bytes_eq_str(topic, "__share_group_state");
}

static void add_row(struct row *row, const struct image_topic *topic,
                    const struct delete_records_request_delete_records_partition *q)
{
    row->it.index = q->partition_index;
    if (topic == NULL || image_partition(topic, row->it.index) == NULL) {
        row->it.error = KE_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (is_internal(topic->name)) {
        row->it.error = KE_INVALID_TOPIC_EXCEPTION;
    } else {
        row->it.topic_id = topic->id;
    }
}

/* Of a partition that is named twice the last offset counts. */
static void add_topic(struct request *r, struct state *s, struct named_once *once,
                      const struct delete_records_request_delete_records_topic *t)
{
    const struct image_topic *topic = image_topic_by_name(r->image, t->name);
    TOPIC *o = &s->resp->topics[s->resp->topics_n];
    TOPIC *before = named_topic(once, t->name, o);
    s->resp->topics_n += before == NULL;
    o = before ? before : o;
    o->name = t->name;
    for (int32_t i = 0; i < t->partitions_n; i++) {
        struct row *row = &s->rows[s->n];
        struct row *twin = named_partition(once, o, t->partitions[i].partition_index, row);
        if (twin == NULL) {
            s->n++;
            o->partitions_n++;
            row->topic = o;
            add_row(row, topic, &t->partitions[i]);
        }
        (twin ? twin : row)->offset = t->partitions[i].offset;
    }
}

void api_delete_records(struct request *r)
{
    const struct delete_records_request *q = r->body;
    struct arena *a = &r->arena;
    struct state *s = ARENA_NEW(a, struct state);
    size_t total = 0;
    for (int32_t i = 0; i < q->topics_n; i++) {
        total += (size_t)q->topics[i].partitions_n;
    }
    s->rows = ARENA_ARRAY(a, struct row, total + 1);
    s->r = r;
    s->timeout_ms = q->timeout_ms;
    s->resp = request_response(r);
    s->resp->topics = proto_array(a, &delete_records_response_delete_records_topic_result_desc,
                                  (size_t)q->topics_n);
    struct named_once once = named_once_of(r);
    for (int32_t i = 0; i < q->topics_n; i++) {
        add_topic(r, s, &once, &q->topics[i]);
    }
    named_once_free(&once);
    scatter_start(r, s->rows, sizeof s->rows[0], s->n, run, done, s);
}
