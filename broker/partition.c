#include "broker/partition.h"

#include "base/ids.h"
#include "base/mem.h"
#include "broker/append.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/fetch_wait.h"
#include "broker/group_host.h"
#include "broker/low_wait.h"
#include "broker/partition_manager.h"
#include "broker/replica/alter.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/isr.h"
#include "broker/replica/standing.h"
#include "broker/shard_stats.h"
#include "controller/image.h"
#include "proto_errors.h"

enum { NO_LEADER_EPOCH = -1 }; /* of a request: the asker knows none */

void partition_key(struct uuid topic_id, int32_t index, uint8_t out[PARTITION_KEY])
{
    memcpy(out, topic_id.b, sizeof topic_id.b);
    store_be32(out + sizeof topic_id.b, (uint32_t)index);
}

int16_t partition_check_replica(const struct partition *p, int32_t epoch)
{
    if (p == NULL) {
        return KE_NOT_LEADER_OR_FOLLOWER;
    }
    if (p->offline) { /* whoever leads now */
        return KE_KAFKA_STORAGE_ERROR;
    }
    if (epoch != NO_LEADER_EPOCH && epoch < p->leader_epoch) {
        return KE_FENCED_LEADER_EPOCH;
    }
    if (epoch > p->leader_epoch) {
        return KE_UNKNOWN_LEADER_EPOCH;
    }
    return KE_NONE;
}

int16_t partition_check_leader(const struct partition *p, int32_t epoch)
{
    int16_t code = partition_check_replica(p, epoch);
    return code == KE_NONE && !p->is_leader ? KE_NOT_LEADER_OR_FOLLOWER : code;
}

/* ---- the in-sync set ---- */

static int64_t now_of(const struct partition *p)
{
    return shard_now_ms(p->pm->ns->shard);
}

static int64_t lag_max(const struct partition *p)
{
    return p->pm->ns->node->config->v.replica_lag_time_max_ms;
}

uint32_t partition_min_isr(const struct partition *p)
{
    uint32_t wanted = (uint32_t)p->topic->config.min_insync_replicas;
    return wanted < p->replicas_n ? wanted : p->replicas_n;
}

void partition_forget_isr(struct partition *p)
{
    if (p->isr) {
        standing_forget(p);
        isr_alter_cancel(p->pm->ns->alter, p);
        list_remove(&p->led);
        isr_free(p->isr);
        mem_free(p->isr);
        p->isr = NULL;
    }
}

void partition_set_broker(struct partition *p, int32_t id, const struct image_broker *b)
{
    struct isr_follower *f = isr_follower(p->isr, id);
    int64_t before = f ? f->image_epoch : ISR_EPOCH_UNKNOWN;
    isr_set_broker(p->isr, id, b ? b->epoch : ISR_EPOCH_UNKNOWN, b && b->fenced,
                   b && b->in_controlled_shutdown);
    if (f) {
        isr_note_missing(f, now_of(p));
    }
    if (f && f->image_epoch != before) {
        standing_news(p, id); /* it has to fetch with its new epoch */
    }
    if (!list_empty(&p->low_wait)) {
        low_wait_look(p); /* the dead are not waited for */
    }
}

int64_t partition_low_watermark(const struct partition *p)
{
    int64_t own = plog_start_offset(p->log);
    if (p->move) {
        int64_t future = plog_start_offset(dir_move_log(p));
        own = future < own ? future : own;
    }
    return p->isr ? isr_low_watermark(p->isr, own) : own;
}

static void set_isr(struct partition *p, const struct image_partition *ip, const struct image *img,
                    bool new_epoch)
{
    struct isr_state st = {.leader_epoch = ip->leader_epoch,
                           .partition_epoch = ip->partition_epoch,
                           .replicas = ip->replicas,
                           .replicas_n = ip->replicas_n,
                           .isr = ip->isr,
                           .isr_n = ip->isr_n};
    if (p->isr == NULL) {
        p->isr = MEM_NEW(struct isr);
        isr_init(p->isr, p->pm->ns->node->id);
        list_push_back(&p->pm->led, &p->led);
        new_epoch = true;
    }
    if (new_epoch) {
        isr_alter_cancel(p->pm->ns->alter, p);
        isr_lead(p->isr, &st, plog_end_offset(p->log), now_of(p));
    } else if (isr_set(p->isr, &st, now_of(p))) {
        isr_alter_cancel(p->pm->ns->alter, p);
    }
    for (uint32_t i = 0; i < p->isr->n; i++) {
        int32_t id = p->isr->followers[i].id;
        partition_set_broker(p, id, image_broker(img, id));
    }
    standing_look(p);
}

void partition_look_at_isr(struct partition *p)
{
    if (p->offline) {
        return;
    }
    if (isr_propose_shrink(p->isr, plog_end_offset(p->log), now_of(p), lag_max(p))) {
        isr_alter_propose(p->pm->ns->alter, p);
    }
    if (isr_is_short(p->isr)) {
        partition_advance(p); /* who was waited for may not be any more */
    }
}

bool partition_fetched(struct partition *p, struct isr_follower *f, int64_t broker_epoch,
                       int64_t offset, int64_t log_start)
{
    if (isr_is_stale(f, broker_epoch)) {
        return false;
    }
    bool moved = offset != f->end || log_start != f->start;
    isr_fetched(f, broker_epoch, offset, log_start, plog_end_offset(p->log), now_of(p));
    if (moved) {
        partition_advance(p);
    }
    if (!f->in_isr && isr_propose_join(p->isr, f, plog_high_watermark(p->log))) {
        isr_alter_propose(p->pm->ns->alter, p);
    }
    return true;
}

/* ---- replica state ---- */

/* The leader hears of a new epoch: its log notes it, before anything is appended in it. */
static bool begin_epoch(struct partition *p)
{
    int err = plog_begin_epoch(p->log, p->leader_epoch);
    if (err) {
        partition_note_error(p, err, "note the leader epoch");
    }
    return err == 0;
}

/* The leader that counts here. An image from before this run's registration may still name this
 * broker: an earlier run led, and may have lost what it had not flushed. Were this one to go on in
 * the same epoch, it would write other records at the same offsets, or take the others out of the
 * ISR. The registration takes all leaderships away. */
static int32_t leader_of(const struct partition *p, const struct image_partition *ip,
                         const struct image *img)
{
    const struct node *n = p->pm->ns->node;
    const struct image_broker *self = ip->leader == n->id ? image_broker(img, n->id) : NULL;
    return self && !uuid_eq(self->incarnation, n->incarnation) ? -1 : ip->leader;
}

void partition_set_state(struct partition *p, const struct image_partition *ip,
                         const struct image *img)
{
    bool was_leader = p->is_leader;
    bool new_epoch = p->leader_epoch != ip->leader_epoch;
    if (was_leader && !new_epoch && ip->partition_epoch < p->partition_epoch) {
        return; /* the controller's answer was here before */
    }
    p->leader = leader_of(p, ip, img);
    p->leader_epoch = ip->leader_epoch;
    p->partition_epoch = ip->partition_epoch;
    p->isr_n = ip->isr_n;
    p->replicas_n = ip->replicas_n;
    p->under_replicated = image_partition_is_behind(ip);
    p->reassigned_ms = ip->adding_n + ip->removing_n == 0 ? 0
                       : p->reassigned_ms > 0             ? p->reassigned_ms
                                                          : now_of(p);
    p->is_leader = p->leader == p->pm->ns->node->id;
    p->in_isr = id_in(ip->isr, ip->isr_n, p->pm->ns->node->id);
    if (p->is_leader && !p->offline && (!was_leader || new_epoch) && !begin_epoch(p)) {
        return;
    }
    if (p->is_leader && !p->offline && p->replicas_n > 1) {
        set_isr(p, ip, img, !was_leader || new_epoch);
    } else {
        partition_forget_isr(p);
    }
    if (was_leader && !p->is_leader) {
        partition_release_waiters(p, KE_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    if (p->is_leader) {
        partition_advance(p);
    }
    if (new_epoch) {
        fetch_watch_wake_all(p);
        standing_news(p, -1);
    }
}

/* Where the high watermark may stand: the least log end offset in the ISR. The leader's own counts
 * as far as it is durable when the topic asks for flush before acknowledge. */
static int64_t high_watermark_now(const struct partition *p)
{
    int64_t own = plog_end_offset(p->log);
    int64_t floor = plog_high_watermark(p->log);
    if (p->flush_wanted >= 0) {
        int64_t flushed = plog_flushed_offset(p->log);
        own = flushed < floor ? floor : flushed < own ? flushed : own;
    }
    return p->isr
               ? isr_high_watermark(p->isr, floor, own, partition_min_isr(p), now_of(p), lag_max(p))
               : own;
}

static void answer_up_to(struct list *waiting, int64_t offset)
{
    while (!list_empty(waiting)) {
        struct append_item *it = LIST_ENTRY(waiting->next, struct append_item, node);
        if (it->batch.last_offset >= offset) {
            return;
        }
        list_remove(&it->node);
        append_item_done(it);
    }
}

static void answer_acks(struct partition *p, int64_t hw)
{
    answer_up_to(&p->ack_wait, hw);
    answer_up_to(&p->flush_wait, p->flush_wanted < 0 ? INT64_MAX : plog_flushed_offset(p->log));
}

void partition_advance(struct partition *p)
{
    if (p->offline) {
        return;
    }
    int64_t before = plog_high_watermark(p->log);
    int64_t hw = p->is_leader ? high_watermark_now(p) : before;
    if (hw > before) {
        plog_set_high_watermark(p->log, hw);
    }
    partition_retain_soon(p);
    answer_acks(p, hw);
    if (p->move) {
        dir_move_look(p->move);
    }
    if (p->group) {
        group_host_advanced(p);
    }
    if (!list_empty(&p->watches)) {
        fetch_watch_moved(p);
    }
    standing_moved(p);
    if (!list_empty(&p->low_wait)) {
        low_wait_look(p);
    }
}

/* ---- flush before acknowledge ---- */

static void flushed_cb(struct plog_flush *f, int err)
{
    struct partition *p = f->user;
    p->flushing = false;
    if (p->gone) {
        partition_free(p);
        return;
    }
    if (err) {
        partition_note_error(p, err, "flush");
        return;
    }
    if (plog_flushed_offset(p->log) >= p->flush_wanted) {
        p->flush_wanted = -1;
    } else {
        p->flushing = true;
        plog_flush_start(p->log, &p->flush, flushed_cb, p);
    }
    if (p->follow) {
        fetchers_look(p->pm->ns->fetchers, p);
    }
    partition_advance(p);
}

/* flush.messages: so many records may be in the log and not on the disk; the one that reaches the
 * number waits for the flush. One flush is in flight, what comes meanwhile shares the next. */
void partition_flush_if_wanted(struct partition *p)
{
    int64_t most = p->topic->config.log.flush_messages;
    int64_t end = plog_end_offset(p->log);
    if (end - plog_flushed_offset(p->log) < most) {
        return;
    }
    p->flush_wanted = end;
    if (!p->flushing) {
        p->flushing = true;
        plog_flush_start(p->log, &p->flush, flushed_cb, p);
    }
}

/* ---- append ---- */

static int16_t wire_code(enum plog_result r)
{
    switch (r) {
    case PLOG_APPENDED:
    case PLOG_DUPLICATE:
        return KE_NONE;
    case PLOG_OUT_OF_ORDER:
        return KE_OUT_OF_ORDER_SEQUENCE_NUMBER;
    case PLOG_INVALID_EPOCH:
        return KE_INVALID_PRODUCER_EPOCH;
    case PLOG_INVALID_TXN_STATE:
        return KE_INVALID_TXN_STATE;
    case PLOG_COORDINATOR_FENCED:
        return KE_TRANSACTION_COORDINATOR_FENCED;
    case PLOG_TOO_LARGE:
        return KE_RECORD_LIST_TOO_LARGE;
    case PLOG_UNEXPECTED_OFFSET:
    case PLOG_INVALID:
        return KE_UNKNOWN_SERVER_ERROR;
    case PLOG_NO_SPACE:
    case PLOG_OFFLINE:
        return KE_KAFKA_STORAGE_ERROR;
    }
    UNREACHABLE();
}

/* Kafka leaves the log start out of the answer to what never reached the log. */
static bool tells_log_start(int16_t code)
{
    return code != KE_KAFKA_STORAGE_ERROR && code != KE_RECORD_LIST_TOO_LARGE;
}

static void item_result(struct partition *p, struct append_item *it)
{
    it->error = wire_code(it->batch.result);
    it->log_start = tells_log_start(it->error) ? plog_start_offset(p->log) : -1;
    if (it->error) {
        it->batch.base_offset = -1;
        it->batch.append_time_ms = -1;
    }
    if (it->error == KE_NONE && it->owner->acks == -1) {
        list_push_back(&p->ack_wait, &it->node);
    } else if (it->error == KE_NONE && it->owner->acks == 1 &&
               it->batch.last_offset < p->flush_wanted) {
        list_push_back(&p->flush_wait, &it->node); /* in Kafka the append itself flushes */
    } else {
        append_item_done(it);
    }
}

/* A full disk is said once when it begins and once when it ends. */
static void note_space(struct partition *p, bool no_space, bool appended)
{
    const struct logger *lg = p->pm->ns->node->log;
    if (no_space && !p->no_space) {
        log_warn(lg, "partition", "appends are refused until the disk has space again partition=%s",
                 plog_name(p->log));
        p->no_space = true;
    } else if (!no_space && appended && p->no_space) {
        log_info(lg, "partition", "the disk has space again: appends are taken partition=%s",
                 plog_name(p->log));
        p->no_space = false;
    }
}

static void note_appended(struct partition *p, const struct plog_batch *b)
{
    struct topic_counts *c = p->topic->counts;
    p->bytes += b->len;
    c->bytes_in += b->len;
    c->messages_in += (uint64_t)(b->last_offset - b->base_offset + 1);
}

/* The front of the queue, as far as it is of one origin (in practice all of it): one plog_append.
 */
static void append_front(struct partition *p)
{
    enum plog_origin origin = LIST_ENTRY(p->queue.next, struct append_item, node)->owner->origin;
    unsigned n = 0;
    list_for_each (at, &p->queue) {
        struct append_item *it = LIST_ENTRY(at, struct append_item, node);
        if (it->owner->origin != origin) {
            break;
        }
        *partition_scratch(p->pm, n++) = it->batch;
    }
    struct plog_batch *b = partition_scratch(p->pm, 0);
    struct plog_append_args args = {.origin = origin, .leader_epoch = p->leader_epoch};
    bool appended = plog_append(p->log, b, n, &args) > 0;
    if (appended) {
        partition_flush_if_wanted(p);
    }
    bool no_space = false;
    for (unsigned i = 0; i < n; i++) {
        struct append_item *it = LIST_ENTRY(list_pop_front(&p->queue), struct append_item, node);
        it->batch = b[i];
        if (b[i].result == PLOG_APPENDED) {
            note_appended(p, &b[i]);
        }
        no_space = no_space || b[i].result == PLOG_NO_SPACE;
        item_result(p, it);
    }
    note_space(p, no_space, appended);
}

/* What was appended and still waits gets its deadline now: most never need one. It is a deadline
 * for other replicas: a flush of our own takes its time, as Kafka's does inside the append. */
static void start_timeouts(struct partition *p)
{
    if (p->isr == NULL) {
        return;
    }
    for (struct list *at = p->ack_wait.prev; at != &p->ack_wait; at = at->prev) {
        struct append_item *it = LIST_ENTRY(at, struct append_item, node);
        if (it->timed) {
            return; /* and so are all before it */
        }
        append_start_timeout(it);
    }
}

/* The ISR may have shrunk since they were queued. */
static void refuse_too_few(struct partition *p)
{
    if (p->isr == NULL || p->isr_n >= partition_min_isr(p)) {
        return;
    }
    list_for_each_safe (at, &p->queue) {
        struct append_item *it = LIST_ENTRY(at, struct append_item, node);
        if (it->owner->acks == -1) {
            list_remove(&it->node);
            append_item_refuse(it, KE_NOT_ENOUGH_REPLICAS);
            append_item_done(it);
        }
    }
}

void partition_append_queue(struct partition *p)
{
    if (p->held) {
        return; /* its release queues it again */
    }
    refuse_too_few(p);
    while (!list_empty(&p->queue)) {
        append_front(p);
    }
    partition_advance(p);
    start_timeouts(p);
}

void partition_release_waiters(struct partition *p, int16_t code)
{
    struct list *queues[] = {&p->queue, &p->ack_wait, &p->flush_wait};
    for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
        struct list *at;
        while ((at = list_pop_front(queues[i])) != NULL) {
            struct append_item *it = LIST_ENTRY(at, struct append_item, node);
            append_item_refuse(it, code);
            it->leader = p->leader;
            it->leader_epoch = p->leader_epoch;
            append_item_done(it);
        }
    }
    fetch_watch_wake_all(p);
    standing_news(p, -1);
    low_wait_release(p, code);
    group_host_look(p);
}

void partition_note_error(struct partition *p, int err, const char *what)
{
    struct node_shard *ns = p->pm->ns;
    if (err == ERR_RANGE) {
        return; /* the asker's mistake */
    }
    log_limited(ns->node->log, &ns->limit, LOG_ERROR, "partition",
                "the log failed partition=%s-%d what=\"%s\" error=\"%s\"", p->topic->name, p->index,
                what, err_text(err));
    if (!p->offline && (err == ERR_OFFLINE || err == ERR_IO)) {
        p->offline = true;
        partition_release_waiters(p, KE_KAFKA_STORAGE_ERROR);
    }
}
