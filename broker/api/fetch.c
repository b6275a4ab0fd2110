/* Fetch (1), versions 4 to 18.
 *
 *     session begin (fetch_session.h) -> topics and partitions of the request's image
 *       -> job: read on the home shards, wait (fetch_wait.h) -> session end -> encode
 *       -> chunks: header bytes, file ranges, header bytes ...
 *
 * A follower's incremental fetch stands (fetch_session.h): it reads what is fresh, does not wait at
 * the partitions but for news of its session, and then reads what is fresh anew.
 *
 * Records come as file ranges that the connection sends straight from the page cache, or, below
 * fetch.zerocopy.min.bytes, as bytes copied into the answer. Unknown topics and partitions stand
 * behind all others in the answer, as in Kafka, and neither read nor shorten the wait.
 *
 * On cancel: the job is recalled; the request ends when its legs are home, or at once if it stands.
 */
#include "base/mem.h"
#include "broker/api/handlers.h"
#include "broker/api/leader_hint.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/fetch_session.h"
#include "broker/fetch_wait.h"
#include "broker/listener.h"
#include "broker/partition_manager.h"
#include "broker/request.h"
#include "broker/shard_stats.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "runtime/conn_awaited.h"

enum {
    ISOLATION_MAX = 1,
    FOLLOWERS_FROM = 11, /* the version that may be answered by a follower */
    DIVERGING_FROM = 12,
    IDS_FROM = 13,
    STANDING_RUNS = 8, /* each takes memory: an answer without records comes early then */
};

struct fetch {
    struct request *r;
    const struct fetch_request *q;
    struct fetch_begin begin;
    struct fetch_job job;
    struct fetch_part *ordered;        /* begin.parts in the answer's order: known, then unknown */
    const struct image_topic **topics; /* of each ordered part; NULL: unknown */
    uint32_t known;                    /* so many of them have an item */
    struct call call;                  /* to the session's shard */
    /* standing */
    bool standing;
    bool expired;     /* the next reading is the answer */
    int64_t waits_us; /* as in the job */
    unsigned runs;
    struct timer timer;
    struct fetch_waiter waiter;
};

/* ---- chunks ---- */

/* The bytes of one answer and its chunks, in one block; freed by the last chunk. */
struct reply_block {
    uint32_t refs;
    uint8_t *data;
    struct chunk chunks[];
};

static void block_put(struct reply_block *b)
{
    if (--b->refs == 0) {
        mem_free(b->data);
        mem_free(b);
    }
}

static void release_mem(struct chunk *c, struct shard *sh)
{
    UNUSED(sh);
    block_put(c->user);
}

static void release_file(struct chunk *c, struct shard *sh)
{
    struct reply_block *b = c->user;
    fetch_lease_release(sh, c->user2);
    block_put(b);
}

static void add_mem(struct reply_block *b, struct list *chunks, size_t from, size_t to)
{
    struct chunk *c = &b->chunks[b->refs++];
    *c = (struct chunk){.kind = CHUNK_MEM,
                        .data = b->data + from,
                        .len = to - from,
                        .release = release_mem,
                        .user = b};
    list_push_back(chunks, &c->node);
}

static void add_file(struct reply_block *b, struct list *chunks, struct fetch_item *it)
{
    struct chunk *c = &b->chunks[b->refs++];
    *c = (struct chunk){.kind = CHUNK_FILE,
                        .file = it->range.file,
                        .off = it->range.pos,
                        .len = it->len,
                        .hot = it->range.hot,
                        .release = release_file,
                        .user = b,
                        .user2 = fetch_item_take_lease(it)};
    list_push_back(chunks, &c->node);
}

/* out is the encoded answer without the spliced records; items are those that were spliced, in
 * order. */
static void make_chunks(struct buf *out, const struct proto_splices *sp, struct fetch_item **items,
                        struct list *chunks)
{
    size_t len = out->len;
    struct reply_block *b = mem_zalloc(sizeof *b + (2 * sp->n + 1) * sizeof b->chunks[0]);
    b->data = buf_take(out);
    size_t at = 0;
    for (size_t i = 0; i < sp->n; i++) {
        add_mem(b, chunks, at, sp->v[i].at);
        add_file(b, chunks, items[i]);
        at = sp->v[i].at;
    }
    if (at < len) {
        add_mem(b, chunks, at, len);
    }
}

/* ---- answer ---- */

static void put_records(struct fetch_item *it, struct fetch_response_partition_data *out,
                        struct fetch_item **spliced, size_t *spliced_n)
{
    if (it->len == 0) {
        out->records = bytes_of("", 0);
    } else if (it->data) {
        out->records = bytes_of(it->data, it->len);
    } else {
        out->records = bytes_of(PROTO_SPLICE, it->len);
        spliced[(*spliced_n)++] = it;
    }
}

static void put_aborted(struct fetch *f, const struct fetch_item *it,
                        struct fetch_response_partition_data *out)
{
    out->aborted_transactions_n = -1; /* null: nothing was read, or not read_committed */
    if (!f->job.read_committed || it->error || it->diverging_epoch >= 0 ||
        it->preferred_replica >= 0) {
        return;
    }
    out->aborted_transactions =
        proto_array(&f->r->arena, &fetch_response_aborted_transaction_desc, it->aborted_n);
    out->aborted_transactions_n = (int32_t)it->aborted_n;
    for (uint32_t i = 0; i < it->aborted_n; i++) {
        out->aborted_transactions[i].producer_id = it->aborted[i].producer_id;
        out->aborted_transactions[i].first_offset = it->aborted[i].first_offset;
    }
}

/* One partition of the answer. Unknown ones have no item. */
static void put_part(struct fetch *f, struct leader_hints *hints, uint32_t i,
                     struct fetch_response_partition_data *out, struct fetch_item **spliced,
                     size_t *spliced_n)
{
    const struct fetch_part *p = &f->ordered[i];
    out->partition_index = p->index;
    out->error_code = p->error;
    if (i >= f->known) {
        out->high_watermark = -1;
        out->records = bytes_of("", 0);
        return;
    }
    struct fetch_item *it = &f->job.items[i];
    out->high_watermark = it->high_watermark;
    out->last_stable_offset = it->last_stable_offset;
    out->log_start_offset = it->log_start_offset;
    out->preferred_read_replica = it->preferred_replica;
    put_records(it, out, spliced, spliced_n);
    put_aborted(f, it, out);
    if (it->diverging_epoch >= 0) {
        out->diverging_epoch.epoch = it->diverging_epoch;
        out->diverging_epoch.end_offset = it->diverging_end_offset;
    }
    if (f->r->hdr.version >= 16 &&
        (p->error == KE_NOT_LEADER_OR_FOLLOWER || p->error == KE_FENCED_LEADER_EPOCH)) {
        leader_hint_find(hints, it->topic_id, p->index, it->leader, it->leader_epoch,
                         &out->current_leader.leader_id, &out->current_leader.leader_epoch);
    }
}

static bool same_topic(const struct fetch *f, const struct fetch_part *a,
                       const struct fetch_part *b)
{
    return f->begin.by_id ? uuid_eq(a->topic_id, b->topic_id) : bytes_eq(a->topic, b->topic);
}

/* Of the parts that the answer shows, those from i on that share its row. */
static uint32_t row_length(const struct fetch *f, uint32_t i)
{
    uint32_t rows = 0;
    for (uint32_t k = i; k < f->begin.n; k++) {
        if (f->ordered[k].respond && !same_topic(f, &f->ordered[i], &f->ordered[k])) {
            break;
        }
        rows += f->ordered[k].respond;
    }
    return rows;
}

/* Neighbours of one topic share a row. */
static void put_parts(struct fetch *f, struct leader_hints *hints, struct fetch_response *resp,
                      struct fetch_item **spliced, size_t *spliced_n)
{
    struct arena *a = &f->r->arena;
    uint32_t n = f->begin.n;
    resp->responses = proto_array(a, &fetch_response_fetchable_topic_response_desc, n);
    const struct fetch_part *before = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const struct fetch_part *p = &f->ordered[i];
        if (!p->respond) {
            continue;
        }
        if (before == NULL || !same_topic(f, before, p)) {
            struct fetch_response_fetchable_topic_response *t =
                &resp->responses[resp->responses_n++];
            t->topic = p->topic;
            t->topic_id = p->topic_id;
            t->partitions = proto_array(a, &fetch_response_partition_data_desc, row_length(f, i));
        }
        before = p;
        struct fetch_response_fetchable_topic_response *t = &resp->responses[resp->responses_n - 1];
        put_part(f, hints, i, &t->partitions[t->partitions_n++], spliced, spliced_n);
    }
}

static void put_endpoints(struct fetch *f, const struct leader_hints *hints,
                          struct fetch_response *resp)
{
    resp->node_endpoints = proto_array(&f->r->arena, &fetch_response_node_endpoint_desc, hints->n);
    for (uint32_t i = 0; i < hints->n; i++) {
        struct fetch_response_node_endpoint *e = &resp->node_endpoints[resp->node_endpoints_n++];
        e->node_id = hints->v[i].id;
        e->host = hints->v[i].host;
        e->port = hints->v[i].port;
        e->rack = hints->v[i].rack;
    }
}

/* Encodes and sends; the job's leases go with the chunks. */
static void send_answer(struct fetch *f, const struct fetch_response *resp,
                        struct fetch_item **spliced, size_t spliced_n)
{
    struct request *r = f->r;
    struct buf out = {0};
    struct errmsg em = {{0}};
    struct proto_splices sp = {.v = ARENA_ARRAY(&r->arena, struct proto_splice, spliced_n + 1),
                               .cap = spliced_n};
    size_t records = 0;
    for (size_t i = 0; i < spliced_n; i++) {
        records += spliced[i]->len;
    }
    buf_reserve(&out, 256 + (f->job.bytes > 0 ? (size_t)f->job.bytes - records : 0));
    buf_put_be32(&out, 0);
    proto_put_response_header(&out, r->hdr.api_key, r->hdr.version, r->hdr.correlation_id);
    int err = proto_encode_spliced(&fetch_response_msg, r->hdr.version, resp, &out, &sp, &em);
    if (err) {
        buf_free(&out);
        fetch_job_free(&f->job);
        request_refuse(r, "an answer does not encode: %s", em.text);
        return;
    }
    ASSERT(sp.n == spliced_n);
    store_be32(out.data, (uint32_t)(out.len + records - 4));
    struct list chunks;
    list_init(&chunks);
    make_chunks(&out, &sp, spliced, &chunks);
    fetch_job_free(&f->job);
    request_reply_chunks(r, &chunks);
}

/* Kafka's answer to what it cannot make sense of: below version 13 every partition gets the code.
 */
static void refuse_all(struct fetch *f, int16_t code)
{
    struct request *r = f->r;
    struct fetch_response *resp = request_response(r);
    resp->error_code = code;
    resp->session_id = f->q->session_id;
    if (r->hdr.version < 13) {
        resp->responses = proto_array(&r->arena, &fetch_response_fetchable_topic_response_desc,
                                      (size_t)f->q->topics_n);
        resp->responses_n = f->q->topics_n;
        for (int32_t i = 0; i < f->q->topics_n; i++) {
            const struct fetch_request_fetch_topic *t = &f->q->topics[i];
            struct fetch_response_fetchable_topic_response *o = &resp->responses[i];
            o->topic = t->topic;
            o->partitions = proto_array(&r->arena, &fetch_response_partition_data_desc,
                                        (size_t)t->partitions_n);
            o->partitions_n = t->partitions_n;
            for (int32_t k = 0; k < t->partitions_n; k++) {
                o->partitions[k].partition_index = t->partitions[k].partition;
                o->partitions[k].error_code = code;
                o->partitions[k].high_watermark = -1;
                o->partitions[k].records = bytes_of("", 0);
            }
        }
    }
    request_reply(r, resp);
}

/* A session of version 12 or later that is asked on in an older one, which cannot say it. */
static bool is_unspeakable(const struct fetch *f)
{
    bool diverging = false;
    for (uint32_t i = 0; i < f->known; i++) {
        diverging = diverging || f->job.items[i].diverging_epoch >= 0;
    }
    return diverging && f->r->hdr.version < DIVERGING_FROM;
}

/* Neighbours share a topic mostly. */
static void count_parts(const struct fetch *f)
{
    const struct request *r = f->r;
    const struct image_topic *topic = NULL;
    struct topic_counts *c = NULL;
    for (uint32_t i = 0; i < f->known; i++) {
        const struct fetch_item *it = &f->job.items[i];
        if (f->topics[i] != topic) {
            topic = f->topics[i];
            c = partition_manager_topic(r->ns->partitions, r->image, topic)->counts;
        }
        c->fetches++;
        c->fetches_failed += it->error != KE_NONE;
        *(f->job.replica_id < 0 ? &c->bytes_out : &c->replication_out) += it->len;
    }
}

static void answer(struct fetch *f)
{
    struct request *r = f->r;
    r->local_us = f->standing ? f->waits_us : f->job.waits_us;
    if (f->begin.error) { /* the session moved on meanwhile */
        struct fetch_response *resp = request_response(r);
        resp->error_code = f->begin.error;
        fetch_job_free(&f->job);
        request_reply(r, resp);
        return;
    }
    if (is_unspeakable(f)) {
        fetch_job_free(&f->job);
        refuse_all(f, KE_UNSUPPORTED_VERSION);
        return;
    }
    count_parts(f);
    struct fetch_response *resp = request_response(r);
    struct leader_hints hints = {.r = r};
    struct fetch_item **spliced = ARENA_ARRAY(&r->arena, struct fetch_item *, f->known + 1);
    size_t spliced_n = 0;
    resp->session_id = f->begin.session_id;
    put_parts(f, &hints, resp, spliced, &spliced_n);
    if (f->job.replica_id < 0) { /* a follower knows them */
        put_endpoints(f, &hints, resp);
    }
    send_answer(f, resp, spliced, spliced_n);
}

static void answer_error(struct fetch *f, int16_t code)
{
    struct fetch_response *resp = request_response(f->r);
    resp->error_code = code;
    request_reply(f->r, resp);
}

/* ---- session end ---- */

static void run_end(struct shard *sh, struct call *c)
{
    struct fetch *f = c->user;
    fetch_session_end(node_shard_of(sh)->sessions, &f->begin);
    call_finish(sh, c);
}

static void done_end(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    answer(c->user);
}

static void note_read(struct fetch *f)
{
    for (uint32_t i = 0; i < f->known; i++) {
        struct fetch_part *p = &f->ordered[i];
        const struct fetch_item *it = &f->job.items[i];
        p->error = it->error;
        p->redirected = it->preferred_replica >= 0;
        p->diverging = it->diverging_epoch >= 0;
        p->records = it->len;
        p->high_watermark = it->high_watermark;
        p->log_start = it->log_start_offset;
        p->settled = it->settled;
    }
    f->begin.parts = f->ordered;
}

static void end_session(struct fetch *f)
{
    struct node_shard *ns = f->r->ns;
    f->r->on_cancel = NULL;
    timer_cancel(ns->shard, &f->timer);
    unsigned home = f->begin.mode == FETCH_INCREMENTAL
                        ? fetch_session_shard(f->q->session_id, ns->node->data_shards)
                        : ns->index;
    if (home == ns->index) {
        fetch_session_end(ns->sessions, &f->begin);
        answer(f);
    } else {
        call_start(ns->shard, home, &f->call, run_end, done_end, f);
    }
}

/* ---- standing ---- */

static void order_parts(struct fetch *f);
static void start_job(struct fetch *f);

/* Reads what is fresh now. */
static void look_again(struct fetch *f)
{
    f->runs++;
    fetch_session_again(f->r->ns->sessions, &f->begin);
    if (f->begin.error) {
        f->r->on_cancel = NULL;
        timer_cancel(f->r->ns->shard, &f->timer);
        answer_error(f, f->begin.error);
        return;
    }
    order_parts(f);
    start_job(f);
}

static void on_news(struct fetch_waiter *w)
{
    look_again(CONTAINER_OF(w, struct fetch, waiter));
}

static void on_timer(struct timer *t)
{
    struct fetch *f = t->user;
    f->expired = true;
    if (!list_empty(&f->waiter.node) || f->job.state == JOB_DONE) {
        list_remove(&f->waiter.node);
        look_again(f);
    }
}

static void on_cancel_standing(struct request *r)
{
    struct fetch *f = r->state;
    timer_cancel(r->ns->shard, &f->timer);
    list_remove(&f->waiter.node);
    request_drop(r);
}

static bool is_answer(const struct fetch *f)
{
    const struct fetch_job *j = &f->job;
    if (f->expired || f->runs >= STANDING_RUNS || j->bytes >= j->min_bytes ||
        (f->known == 0 && f->begin.n > 0)) {
        return true;
    }
    for (uint32_t i = 0; i < f->known; i++) {
        if (j->items[i].error || j->items[i].diverging_epoch >= 0) {
            return true;
        }
    }
    return false;
}

/* What was read is not enough: waits for news, or has looked again. False: it is the answer. */
static bool stand(struct fetch *f)
{
    struct node_shard *ns = f->r->ns;
    if (is_answer(f)) {
        return false;
    }
    fetch_job_free(&f->job);
    f->r->on_cancel = on_cancel_standing;
    if (!fetch_session_wait(ns->sessions, &f->begin, &f->waiter)) {
        look_again(f);
    } else if (!timer_is_set(&f->timer)) {
        f->waits_us = io_now_us(ns->shard->io);
        timer_set(ns->shard, &f->timer, f->waits_us / 1000 + f->q->max_wait_ms);
    }
    return true;
}

/* ---- the job ---- */

static void job_done(struct fetch_job *j)
{
    struct fetch *f = j->user;
    if (j->canceled) {
        timer_cancel(f->r->ns->shard, &f->timer);
        fetch_job_free(j);
        request_drop(f->r);
        return;
    }
    note_read(f);
    if (!f->standing || !stand(f)) {
        end_session(f);
    }
}

static void on_cancel(struct request *r)
{
    struct fetch *f = r->state;
    fetch_job_cancel(&f->job);
}

/* In their order; but in a session, those whose topic was never known stand before the others. */
static void put_unknown(struct fetch *f, const struct image_topic **topics)
{
    const struct fetch_part *parts = f->begin.parts;
    bool apart = f->begin.mode == FETCH_INCREMENTAL;
    uint32_t at = f->known;
    for (int pass = apart ? 0 : 1; pass < 2; pass++) {
        for (uint32_t i = 0; i < f->begin.n; i++) {
            bool first = apart && parts[i].error == KE_UNKNOWN_TOPIC_ID;
            if (parts[i].error && first == (pass == 0)) {
                f->topics[at] = topics[i];
                f->ordered[at++] = parts[i];
            }
        }
    }
    ASSERT(at == f->begin.n);
}

/* Known partitions first; unknown ones get their code now. */
static void order_parts(struct fetch *f)
{
    struct arena *a = &f->r->arena;
    const struct image *img = f->r->image;
    uint32_t n = f->begin.n;
    const struct image_topic **topics = ARENA_ARRAY(a, const struct image_topic *, n + 1);
    f->known = 0;
    f->ordered = ARENA_ARRAY(a, struct fetch_part, n + 1);
    f->topics = ARENA_ARRAY(a, const struct image_topic *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        struct fetch_part *p = &f->begin.parts[i];
        topics[i] = f->begin.by_id ? image_topic_by_id(img, p->topic_id)
                                   : image_topic_by_name(img, p->topic);
        p->named = p->named || topics[i] != NULL;
        if (topics[i] == NULL) {
            p->error =
                f->begin.by_id && !p->named ? KE_UNKNOWN_TOPIC_ID : KE_UNKNOWN_TOPIC_OR_PARTITION;
        } else if (image_partition(topics[i], p->index) == NULL) {
            p->error = KE_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
            p->error = KE_NONE;
            f->topics[f->known] = topics[i];
            f->ordered[f->known++] = *p;
        }
    }
    put_unknown(f, topics);
}

/* replica.selector.class; the configuration allows one class. */
static bool sends_elsewhere(const struct config *c)
{
    return c->v.replica_selector_class && *c->v.replica_selector_class;
}

static void start_job(struct fetch *f)
{
    struct request *r = f->r;
    const struct fetch_request *q = f->q;
    const struct config *c = request_node(r)->config;
    int32_t replica_id = r->hdr.version >= 15 ? q->replica_state.replica_id : q->replica_id;
    int64_t max =
        replica_id < 0 && q->max_bytes > c->v.fetch_max_bytes ? c->v.fetch_max_bytes : q->max_bytes;
    max = max > 0 ? max : 0;
    f->job = (struct fetch_job){
        .ns = r->ns,
        .arena = &r->arena,
        .items = ARENA_ARRAY(&r->arena, struct fetch_item, f->known),
        .n = f->known,
        .max_bytes = (uint32_t)max,
        .min_bytes = q->min_bytes < max ? q->min_bytes : max,
        .max_wait_ms = f->standing ? 0 : q->max_wait_ms,
        .standing = f->standing ? q->session_id : 0,
        .read_once = f->runs > 0,
        .read_committed = q->isolation_level == 1,
        .any_replica = replica_id < 0 && r->hdr.version >= FOLLOWERS_FROM,
        .replica_id = replica_id,
        .rack = replica_id < 0 && sends_elsewhere(c) ? q->rack_id : BYTES_NULL,
        .listener = bytes_str(r->listener->config->name),
        .replica_epoch = r->hdr.version >= 15 ? q->replica_state.replica_epoch : -1,
        .done = job_done,
        .user = f,
    };
    for (uint32_t i = 0; i < f->known; i++) {
        const struct fetch_part *p = &f->ordered[i];
        f->job.items[i] = (struct fetch_item){
            .topic_id = f->topics[i]->id,
            .index = p->index,
            .current_leader_epoch = p->current_leader_epoch < 0 ? -1 : p->current_leader_epoch,
            .last_fetched_epoch = p->last_fetched_epoch,
            .fetch_offset = p->fetch_offset,
            .follower_start = p->log_start_offset,
            .max_bytes = p->max_bytes > 0 ? (uint32_t)p->max_bytes : 0,
            .negative_max = p->max_bytes < 0 || (i == 0 && q->max_bytes < 0),
        };
    }
    r->state = f;
    r->on_cancel = on_cancel;
    fetch_job_start(&f->job);
}

/* ---- session begin ---- */

static void after_begin(struct fetch *f)
{
    if (f->r->canceled) {
        request_drop(f->r);
    } else if (f->begin.error) {
        answer_error(f, f->begin.error);
    } else {
        f->standing = f->begin.standing && f->begin.mode == FETCH_INCREMENTAL;
        order_parts(f);
        bool known_level = f->q->isolation_level >= 0 && f->q->isolation_level <= ISOLATION_MAX;
        if (f->known > 0 && !known_level) { /* nobody asks for it where nothing is read */
            refuse_all(f, KE_UNKNOWN_SERVER_ERROR);
        } else {
            start_job(f);
        }
    }
}

static void run_begin(struct shard *sh, struct call *c)
{
    struct fetch *f = c->user;
    fetch_session_begin(node_shard_of(sh)->sessions, &f->begin);
    call_finish(sh, c);
}

static void done_begin(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    after_begin(c->user);
}

/* Producers' requests with acks=all hold memory until it has fetched what they brought: it must not
 * wait for that memory. */
static void expect_follower(struct request *r, int32_t replica)
{
    if (image_broker(r->image, replica)) {
        shard_stats_follower(r->ns->stats, replica, shard_now_ms(r->ns->shard));
        if (r->cr->conn) {
            conn_await(r->cr->conn);
        }
    }
}

void api_fetch(struct request *r)
{
    struct fetch *f = ARENA_NEW(&r->arena, struct fetch);
    struct node *n = request_node(r);
    f->r = r;
    f->q = r->body;
    int32_t replica = r->hdr.version >= 15 ? f->q->replica_state.replica_id : f->q->replica_id;
    f->begin = (struct fetch_begin){
        .req = f->q,
        .by_id = r->hdr.version >= IDS_FROM,
        .privileged = replica >= 0,
        .now_ms = shard_now_ms(r->ns->shard),
        .arena = &r->arena,
    };
    unsigned home =
        f->q->session_id > 0 ? fetch_session_shard(f->q->session_id, n->data_shards) : r->ns->index;
    f->begin.standing = replica >= 0 && f->begin.by_id && home == r->ns->index;
    f->expired = f->q->max_wait_ms <= 0;
    f->timer = (struct timer){.cb = on_timer, .user = f};
    f->waiter.woken = on_news;
    if (replica >= 0) {
        r->slot = request_follower_slot();
        expect_follower(r, replica);
    }
    list_init(&f->waiter.node);
    if (home == r->ns->index) {
        fetch_session_begin(r->ns->sessions, &f->begin);
        after_begin(f);
    } else {
        call_start(r->ns->shard, home, &f->call, run_begin, done_begin, f);
    }
}
