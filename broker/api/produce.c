/* Produce (0), versions 3 to 13.
 *
 *     parse (request.c) -> wait while this turn has opened enough (api/produce_turn.h)
 *       -> judge every partition's bytes here (proto/record_validate.h)
 *       -> one append_msg per home shard -> append, flush, acknowledge (append.h) -> answer
 *
 * Answers are Kafka's: what reached a log first, in request order, then unknown topics and
 * partitions; a partition named twice is written once, with its last good bytes. acks=0 gets no
 * answer, and a closed connection if anything failed. A refused batch still asks its home shard for
 * the log start offset where Kafka tells it, so that a moved leader is answered before a bad
 * record.
 *
 * KIP-951: with NOT_LEADER_OR_FOLLOWER version 10 and up name the leader. Transactional batches
 * wait for the transaction coordinator: until there is one, no partition can be verified to be in a
 * transaction, which Kafka answers with NOT_ENOUGH_REPLICAS. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/api/handlers.h"
#include "broker/api/leader_hint.h"
#include "broker/api/named_once.h"
#include "broker/api/produce_turn.h"
#include "broker/append.h"
#include "broker/partition_manager.h"
#include "broker/request.h"
#include "broker/shard_stats.h"
#include "controller/image.h"
#include "proto/record_validate.h"
#include "proto/topic_name.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { OPEN_PER_BYTE = 16 }; /* what a request's batches may inflate to, above one batch's limit */

struct part {
    uint32_t topic; /* index in the request */
    int32_t index;
    struct bytes records;
    struct part *before;         /* the same partition, earlier in the request */
    const struct image_topic *t; /* NULL: unknown */
    unsigned home;
    bool unknown; /* topic or partition: answered last */
    struct append_item *item;
    struct batch_verdict verdict;
    int16_t error;
    int16_t before_error; /* of another one's frame: the answer, whatever becomes of this */
    int64_t base_offset;
    int64_t append_time;
    int64_t log_start;
    int32_t leader;
    int32_t leader_epoch;
    struct batch_rules rules;
};

struct produce {
    struct request *r;
    const struct produce_request *q;
    struct part *parts;
    uint32_t n;
    uint32_t *row_n; /* parts of each topic row of the request */
    uint32_t legs_out;
    int64_t waits_us; /* all is appended, other replicas are waited for; 0: they were not */
    size_t open_left; /* bytes that the request's batches may still inflate to */
    uint32_t judged;  /* parts; those behind them may have to wait for another turn */
    struct produce_wait wait;
};

/* ---- answer ---- */

static void record_errors(struct produce *p, const struct part *part,
                          struct produce_response_partition_produce_response *out)
{
    const struct batch_verdict *v = &part->verdict;
    if (part->error != v->error || v->error == KE_NONE) {
        return; /* the leader had another reason */
    }
    struct arena *a = &p->r->arena;
    if (v->message_sent) {
        out->error_message = bytes_str(arena_strndup(a, v->message, strlen(v->message)));
    }
    out->record_errors =
        proto_array(a, &produce_response_batch_index_and_error_message_desc, v->error_n);
    out->record_errors_n = (int32_t)v->error_n;
    for (uint32_t i = 0; i < v->error_n; i++) {
        out->record_errors[i].batch_index = v->errors[i].index;
        out->record_errors[i].batch_index_error_message =
            batch_record_error_text(&part->rules, &v->errors[i], a);
    }
}

static void put_part(struct produce *p, struct leader_hints *hints, const struct part *part,
                     struct produce_response_partition_produce_response *out)
{
    out->index = part->index;
    if (part->before_error && !part->verdict.in_request) {
        out->error_code = part->before_error;
        out->base_offset = -1;
        out->log_append_time_ms = -1;
        out->log_start_offset = -1;
        return;
    }
    out->error_code = part->error;
    out->base_offset = part->base_offset;
    out->log_append_time_ms = part->append_time;
    out->log_start_offset = part->log_start;
    record_errors(p, part, out);
    if (p->r->hdr.version >= 10 && part->error == KE_NOT_LEADER_OR_FOLLOWER && part->t) {
        leader_hint_find(hints, part->t->id, part->index, part->leader, part->leader_epoch,
                         &out->current_leader.leader_id, &out->current_leader.leader_epoch);
    }
}

/* Parts of one pass (known, then unknown), grouped by topic in the order of their first part. */
static void put_pass(struct produce *p, struct leader_hints *hints, bool unknown,
                     struct produce_response *resp, int32_t *topic_at)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct part *part = &p->parts[i];
        if (part->unknown != unknown) {
            continue;
        }
        const struct produce_request_topic_produce_data *q = &p->q->topic_data[part->topic];
        struct produce_response_topic_produce_response *t;
        if (topic_at[part->topic] < 0) {
            topic_at[part->topic] = resp->responses_n;
            t = &resp->responses[resp->responses_n++];
            t->name = q->name;
            t->topic_id = q->topic_id;
            t->partition_responses =
                proto_array(&p->r->arena, &produce_response_partition_produce_response_desc,
                            p->row_n[part->topic]);
        }
        t = &resp->responses[topic_at[part->topic]];
        put_part(p, hints, part, &t->partition_responses[t->partition_responses_n++]);
    }
}

static void node_endpoints(struct produce *p, struct leader_hints *hints,
                           struct produce_response *resp)
{
    resp->node_endpoints =
        proto_array(&p->r->arena, &produce_response_node_endpoint_desc, hints->n);
    for (uint32_t i = 0; i < hints->n; i++) {
        struct produce_response_node_endpoint *e = &resp->node_endpoints[resp->node_endpoints_n++];
        e->node_id = hints->v[i].id;
        e->host = hints->v[i].host;
        e->port = hints->v[i].port;
        e->rack = hints->v[i].rack;
    }
}

static void free_verdicts(struct produce *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        batch_verdict_free(&p->parts[i].verdict);
    }
}

/* acks=0: an error can only be told by closing the connection. */
static void end_without_answer(struct produce *p)
{
    int16_t error = KE_NONE;
    for (uint32_t i = 0; i < p->n && error == KE_NONE; i++) {
        error = p->parts[i].before_error ? p->parts[i].before_error : p->parts[i].error;
    }
    free_verdicts(p);
    if (error) {
        request_refuse(p->r, "a Produce with acks=0 failed with error %d", error);
    } else {
        request_drop(p->r);
    }
}

static void answer(struct produce *p)
{
    p->r->local_us = p->waits_us;
    if (p->q->acks == 0) {
        end_without_answer(p);
        return;
    }
    struct arena *a = &p->r->arena;
    struct produce_response *resp = request_response(p->r);
    struct leader_hints hints = {.r = p->r};
    resp->responses = proto_array(a, &produce_response_topic_produce_response_desc,
                                  (size_t)(p->q->topic_data_n > 0 ? p->q->topic_data_n : 0));
    int32_t *topic_at = ARENA_ARRAY(a, int32_t, p->q->topic_data_n + 1);
    for (int32_t i = 0; i < p->q->topic_data_n; i++) {
        topic_at[i] = -1;
    }
    put_pass(p, &hints, false, resp, topic_at);
    put_pass(p, &hints, true, resp, topic_at);
    node_endpoints(p, &hints, resp);
    free_verdicts(p);
    request_reply(p->r, resp);
}

/* ---- append ---- */

static struct topic_settings *settings_of(const struct produce *p, const struct part *part)
{
    return partition_manager_topic(p->r->ns->partitions, p->r->image, part->t);
}

static void note_failed(struct topic_counts *c, const struct part *part)
{
    c->produces_failed++;
    c->bytes_rejected += part->records.len;
}

static void take_results(const struct produce *p, struct append_msg *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const struct append_item *it = &m->items[i];
        struct part *part = it->user;
        part->error = it->error;
        part->base_offset = it->batch.base_offset;
        part->append_time = it->batch.append_time_ms;
        part->log_start = it->log_start;
        part->leader = it->leader;
        part->leader_epoch = it->leader_epoch;
        if (part->error && !it->refused) {
            note_failed(settings_of(p, part)->counts, part);
        }
    }
}

static void leg_done(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    struct produce *p = m->user;
    take_results(p, m);
    p->waits_us = m->waits_us > p->waits_us ? m->waits_us : p->waits_us;
    ASSERT(p->legs_out > 0);
    if (--p->legs_out == 0) {
        answer(p);
    }
}

static bool goes_home(const struct part *part)
{
    return !part->unknown && (part->error == KE_NONE || part->verdict.log_start_known);
}

static void send_leg(struct produce *p, unsigned home, uint32_t n)
{
    struct arena *a = &p->r->arena;
    struct append_msg *m = ARENA_NEW(a, struct append_msg);
    m->items = ARENA_ARRAY(a, struct append_item, n);
    m->acks = p->q->acks;
    m->origin = PLOG_CLIENT;
    m->timeout_ms = p->q->timeout_ms;
    m->done = leg_done;
    m->user = p;
    for (uint32_t i = 0; i < p->n; i++) {
        struct part *part = &p->parts[i];
        if (part->home != home || !goes_home(part)) {
            continue;
        }
        struct append_item *it = &m->items[m->n++];
        it->topic_id = part->t->id;
        it->index = part->index;
        it->user = part;
        it->refused = part->error;
        it->batch.data = part->verdict.data;
        it->batch.len = (uint32_t)part->verdict.size;
    }
    append_send(p->r->ns, home, m);
}

static void append_all(struct produce *p)
{
    unsigned shards = request_node(p->r)->data_shards;
    uint32_t *counts = ARENA_ARRAY(&p->r->arena, uint32_t, shards);
    p->legs_out = 1; /* ours: a leg may come home inside append_send */
    for (uint32_t i = 0; i < p->n; i++) {
        if (goes_home(&p->parts[i])) {
            p->legs_out += counts[p->parts[i].home]++ == 0;
        }
    }
    for (unsigned s = 0; s < shards; s++) {
        if (counts[s] > 0) {
            send_leg(p, s, counts[s]);
        }
    }
    if (--p->legs_out == 0) {
        answer(p);
    }
}

/* ---- judge ---- */

static void rules_of(const struct request *r, const struct topic_config *tc, int64_t now,
                     struct batch_rules *out)
{
    batch_rules_init(out, now);
    out->produce_version = r->hdr.version;
    out->deep = request_node(r)->deep_validation;
    out->compacted = tc->log.cleanup_compact;
    out->append_time = tc->log.append_time;
    out->before_max_ms = tc->timestamp_before_max_ms;
    out->after_max_ms = tc->timestamp_after_max_ms;
    out->max_message_bytes = tc->max_message_bytes;
    out->codec = tc->codec;
    out->level = tc->level;
}

/* A batch of a transaction: nobody can say yet whether it is under way. */
static bool is_unverified(const struct produce *p, const struct part *part)
{
    return !bytes_is_null(p->q->transactional_id) && !part->verdict.in_request &&
           batch_first_is_transactional(part->records) > 0 &&
           batch_first_has_producer(part->records);
}

/* The coordinators' topics are written by coordinators; Kafka's admin client alone may. */
static bool is_closed(const struct produce *p, const struct part *part)
{
    return topic_name_is_internal(part->t->name) && !part->verdict.in_request &&
           !bytes_eq_str(p->r->hdr.client_id, "__admin_client");
}

static void refuse_part(struct part *part, int16_t code, const char *message)
{
    struct batch_verdict *v = &part->verdict;
    part->error = v->error = code;
    v->log_start_known = false;
    v->error_n = 0;
    v->message_sent = message != NULL;
    snprintf(v->message, sizeof v->message, "%s", message ? message : "");
}

/* Kafka's answer is the code; the operator learns who sends such batches. */
static void say_refused(const struct produce *p, struct bytes topic, int32_t partition,
                        int16_t code, const char *why)
{
    struct request *r = p->r;
    const struct session *who = r->cr->conn ? r->cr->conn->session : NULL;
    log_limited(request_node(r)->log, &r->ns->limit, LOG_WARN, "request",
                "a record batch is refused: %s topic=%.*s partition=%d error=%s peer=%s client=%s",
                why, BYTES_FMT(topic), (int)partition, kafka_error_name(code),
                r->cr->conn ? r->cr->conn->peer : "?", who ? who->client_id : "?");
}

/* A few kilobytes inflate to all that one batch may, and a request has room for thousands of them:
 * what they inflate to together is bounded as well, or the shard would serve nobody for minutes. */
static void judge_bytes(struct produce *p, struct part *part, struct bytes records,
                        struct batch_verdict *v)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)records.data; /* the request's own, patched */
    bool plenty = p->open_left >= RECORD_LIMIT_DEFAULT;
    part->rules.limit = plenty ? RECORD_LIMIT_DEFAULT : p->open_left + 1; /* 0 is the default */
    batch_validate(bytes, records.len, &part->rules, &p->r->arena, v);
    p->open_left -= v->opened < p->open_left ? v->opened : p->open_left;
    produce_turn_opened(p->r->ns->produce_turn, v->opened);
}

/* Those before it, from the newest on: the last one whose frame is good is written, the last one
 * whose frame is not is answered. */
static void judge_before(struct produce *p, struct part *part)
{
    int16_t answered = part->verdict.in_request ? part->error : KE_NONE;
    for (const struct part *b = part->before; b; b = b->before) {
        struct batch_verdict v;
        judge_bytes(p, part, b->records, &v);
        if (v.in_request) {
            answered = answered ? answered : v.error;
        } else if (part->verdict.in_request) {
            part->verdict = v;
            part->error = v.error;
            part->records = b->records;
            continue;
        }
        batch_verdict_free(&v);
    }
    part->before_error = part->verdict.in_request ? KE_NONE : answered;
}

static void judge(struct produce *p, struct part *part, int64_t now)
{
    struct request *r = p->r;
    const struct topic_settings *s = settings_of(p, part);
    rules_of(r, &s->config, now, &part->rules);
    judge_bytes(p, part, part->records, &part->verdict);
    part->error = part->verdict.error;
    judge_before(p, part);
    if (is_closed(p, part)) {
        refuse_part(part, KE_INVALID_TOPIC_EXCEPTION, NULL);
        say_refused(p, part->t->name, part->index, part->error,
                    "only coordinators write to an internal topic");
    } else if (part->error) {
        say_refused(p, part->t->name, part->index, part->error, part->verdict.message);
    }
    if (is_unverified(p, part)) {
        refuse_part(part, KE_NOT_ENOUGH_REPLICAS,
                    "transactions are not served yet: the batch's cannot be verified");
    }
    s->counts->produces++;
    if (part->error) {
        note_failed(s->counts, part);
    }
}

/* Kafka looks at the whole request first: a broken frame in any partition before the first
 * transactional batch refuses all of it; a transactional batch needs a transactional id. */
static int16_t check_transactional(const struct produce *p)
{
    for (int32_t i = 0; i < p->q->topic_data_n; i++) {
        const struct produce_request_topic_produce_data *row = &p->q->topic_data[i];
        for (int32_t k = 0; k < row->partition_data_n; k++) {
            int t = batch_first_is_transactional(row->partition_data[k].records);
            if (t < 0) {
                int16_t code = t == ERR_RANGE ? KE_UNKNOWN_SERVER_ERROR : KE_CORRUPT_MESSAGE;
                say_refused(p, row->name, row->partition_data[k].index, code,
                            "its length or magic is none, and fails the request");
                return code;
            }
            if (t > 0) {
                return bytes_is_null(p->q->transactional_id)
                           ? KE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                           : KE_NONE;
            }
        }
    }
    return KE_NONE;
}

static void refuse_all(struct produce *p, int16_t code)
{
    const char *message = code == KE_CORRUPT_MESSAGE
                              ? "a record batch of the request is none: nothing was written"
                              : NULL;
    for (uint32_t i = 0; i < p->n; i++) {
        p->parts[i].unknown = false;
        p->parts[i].before_error = KE_NONE;
        refuse_part(&p->parts[i], code, message);
    }
    answer(p);
}

/* What Kafka did not foresee in one partition's frame fails the request. */
static bool is_unforeseen(const struct part *part)
{
    return part->before_error == KE_UNKNOWN_SERVER_ERROR ||
           (part->verdict.in_request && part->error == KE_UNKNOWN_SERVER_ERROR);
}

/* Kafka asks for the acknowledgement's number where it would append: what is not there, and what
 * the request itself makes impossible, has its own code before. */
static void refuse_acks(struct produce *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct part *part = &p->parts[i];
        if (!part->unknown && !part->verdict.in_request) {
            part->error = KE_INVALID_REQUIRED_ACKS;
        }
    }
    answer(p);
}

/* ---- the request's partitions ---- */

static void find_topic(const struct produce *p, struct part *part)
{
    const struct produce_request_topic_produce_data *q = &p->q->topic_data[part->topic];
    const struct image *img = p->r->image;
    bool by_id = p->r->hdr.version >= 13;
    part->t = by_id ? image_topic_by_id(img, q->topic_id) : image_topic_by_name(img, q->name);
    if (part->t == NULL) {
        part->unknown = true;
        part->error = by_id ? KE_UNKNOWN_TOPIC_ID : KE_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (image_partition(part->t, part->index) == NULL) {
        part->unknown = true;
        part->error = KE_UNKNOWN_TOPIC_OR_PARTITION;
    } else {
        part->home = node_home_shard(request_node(p->r), part->t->id, part->index);
    }
}

/* Kafka keeps batches by partition; see judge_before for one that is named twice. */
static void take_part(struct produce *p, struct part *part, uint32_t row, bool again,
                      const struct produce_request_partition_produce_data *d)
{
    struct part *before = NULL;
    if (again) {
        before = ARENA_NEW(&p->r->arena, struct part);
        *before = *part;
    }
    *part = (struct part){
        .topic = row,
        .index = d->index,
        .records = d->records,
        .before = before,
        .base_offset = -1,
        .append_time = -1,
        .log_start = -1,
        .leader = -1,
        .leader_epoch = -1,
    };
}

/* Rows are named by their first one, so that two of one topic are one. */
static uint32_t row_of(struct produce *p, struct named_once *once, uint32_t i)
{
    const struct produce_request_topic_produce_data *rows = p->q->topic_data;
    const struct produce_request_topic_produce_data *before = named_topic(
        once,
        p->r->hdr.version >= 13 ? bytes_of(rows[i].topic_id.b, sizeof rows[i].topic_id.b)
                                : rows[i].name,
        (void *)(uintptr_t)&rows[i]);
    return before ? (uint32_t)(before - rows) : i;
}

/* False: a partition has no records at all. */
static bool list_parts(struct produce *p)
{
    size_t total = 0;
    for (int32_t i = 0; i < p->q->topic_data_n; i++) {
        total += (size_t)p->q->topic_data[i].partition_data_n;
    }
    p->parts = ARENA_ARRAY(&p->r->arena, struct part, total + 1);
    p->row_n = ARENA_ARRAY(&p->r->arena, uint32_t, p->q->topic_data_n + 1);
    struct named_once once = named_once_of(p->r);
    bool whole = true;
    for (int32_t i = 0; i < p->q->topic_data_n; i++) {
        const struct produce_request_topic_produce_data *t = &p->q->topic_data[i];
        uint32_t row = total > 1 ? row_of(p, &once, (uint32_t)i) : (uint32_t)i;
        for (int32_t k = 0; k < t->partition_data_n; k++) {
            const struct produce_request_partition_produce_data *d = &t->partition_data[k];
            struct part *now = &p->parts[p->n];
            struct part *before =
                total > 1 ? named_partition(&once, &p->q->topic_data[row], d->index, now) : NULL;
            p->n += before == NULL;
            p->row_n[row] += before == NULL;
            take_part(p, before ? before : now, row, before != NULL, d);
            whole = whole && !bytes_is_null(d->records);
        }
    }
    named_once_free(&once);
    return whole;
}

/* Null records: Kafka neither answers nor closes the connection, which serves nothing any more
 * until the client hangs up. So do we, and say so. */
static void leave_unanswered(struct request *r)
{
    log_limited(request_node(r)->log, &r->ns->limit, LOG_WARN, "request",
                "a partition of a Produce has null records: the connection is not served any more "
                "peer=%s",
                r->cr->conn ? r->cr->conn->peer : "?");
    request_never(r);
}

/* The metadata of this turn is not that of the one before: what was judged may be gone by now. */
static void find_again(struct produce *p)
{
    for (uint32_t i = 0; i < p->judged; i++) {
        struct part *part = &p->parts[i];
        find_topic(p, part);
        if (part->unknown) {
            batch_verdict_free(&part->verdict);
            part->verdict = (struct batch_verdict){0};
            part->before_error = KE_NONE;
        }
    }
}

/* Bytes are opened from here on, and logs written to once all are. */
static void judge_on(struct produce *p)
{
    struct produce_turn *turn = p->r->ns->produce_turn;
    int64_t now = io_wall_ms(p->r->ns->shard->io);
    for (; p->judged < p->n; p->judged++) {
        struct part *part = &p->parts[p->judged];
        if (produce_turn_is_spent(turn)) {
            produce_turn_wait_first(turn, &p->wait);
            return;
        }
        find_topic(p, part);
        if (!part->unknown) {
            judge(p, part, now);
        }
        if (is_unforeseen(part)) {
            refuse_all(p, KE_UNKNOWN_SERVER_ERROR);
            return;
        }
    }
    if (p->q->acks < -1 || p->q->acks > 1) {
        refuse_acks(p);
    } else {
        append_all(p);
    }
}

static void judge_waiting(struct request *r)
{
    struct produce *p = CONTAINER_OF(r->state, struct produce, wait);
    find_again(p);
    judge_on(p);
}

static void drop_waiting(struct request *r)
{
    free_verdicts(CONTAINER_OF(r->state, struct produce, wait));
    request_drop(r);
}

void api_produce(struct request *r)
{
    struct produce_turn *turn = r->ns->produce_turn;
    struct produce *p = ARENA_NEW(&r->arena, struct produce);
    p->r = r;
    p->q = r->body;
    p->open_left = RECORD_LIMIT_DEFAULT + OPEN_PER_BYTE * r->cr->frame.len;
    p->wait = (struct produce_wait){.r = r, .judge = judge_waiting, .drop = drop_waiting};
    if (!list_parts(p)) {
        leave_unanswered(r);
        return;
    }
    int16_t code = check_transactional(p);
    if (code) {
        refuse_all(p, code);
    } else if (produce_turn_is_over(turn)) {
        produce_turn_wait(turn, &p->wait);
    } else {
        judge_on(p);
    }
}
