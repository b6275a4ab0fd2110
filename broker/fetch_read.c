#include "broker/fetch_read.h"

#include "broker/api/errors.h"
#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "broker/replica/isr.h"
#include "broker/replica/leader_throttle.h"
#include "broker/replica/selector.h"
#include "broker/replica/standing.h"
#include "proto/record_batch.h"

static void give_back(struct fetch_item *it)
{
    file_lease_release(&it->range.lease);
    it->range = (struct plog_range){0};
    it->data = NULL;
    it->len = 0;
}

void fetch_leg_drop(struct node_shard *home, struct fetch_leg *leg)
{
    ASSERT_ON_SHARD(home->shard);
    for (uint32_t i = 0; i < leg->n; i++) {
        give_back(leg->items[i]);
    }
    arena_reset(&leg->arena);
}

uint32_t fetch_item_first_batch(const struct fetch_item *it)
{
    uint8_t head[BATCH_LOG_OVERHEAD];
    if (it->len < sizeof head) {
        return UINT32_MAX; /* more than there is */
    }
    if (it->data) {
        memcpy(head, it->data, sizeof head);
    } else if (io_pread(it->range.file, head, sizeof head, it->range.pos) != sizeof head) {
        return 0;
    }
    return BATCH_LOG_OVERHEAD + load_be32(head + BATCH_AT_LENGTH);
}

static void clear_offsets(struct fetch_item *it)
{
    it->high_watermark = -1;
    it->last_stable_offset = -1;
    it->log_start_offset = -1;
    it->log_end = -1;
}

static void clear(struct fetch_item *it)
{
    it->error = KE_NONE;
    it->settled = false;
    clear_offsets(it);
    it->diverging_epoch = -1;
    it->diverging_end_offset = -1;
    it->preferred_replica = -1;
    it->leader = -1;
    it->leader_epoch = -1;
    it->aborted = NULL;
    it->aborted_n = 0;
}

/* KIP-595's check: does the asker's log, whose last record is of last_fetched_epoch, end where ours
 * does? True: it diverges and the answer says where; no records then. */
static bool diverges(struct partition *p, struct fetch_item *it, int *err)
{
    int32_t epoch;
    int64_t end;
    *err = 0;
    if (it->last_fetched_epoch < 0) {
        return false;
    }
    *err = plog_epoch_end_offset(p->log, it->last_fetched_epoch, &epoch, &end);
    if (*err) {
        return false;
    }
    if (epoch < 0 || end < 0 || it->fetch_offset < plog_start_offset(p->log)) {
        *err = ERR_RANGE;
        return false;
    }
    if (epoch < it->last_fetched_epoch || end < it->fetch_offset) {
        it->diverging_epoch = epoch;
        it->diverging_end_offset = end;
        return true;
    }
    return false;
}

/* Bytes that are not worth a lease, or a whole file's way to the socket. What may have to come from
 * the disk stays a range: the connection knows how to send it without stalling the loop. */
static int copy_small(struct fetch_leg *leg, struct fetch_item *it)
{
    struct plog_range *r = &it->range;
    if (r->len >= leg->zerocopy_min || (!r->hot && !io_resident(r->file, r->pos, r->len))) {
        return 0;
    }
    uint8_t *p = arena_alloc(&leg->arena, r->len);
    int64_t n = io_pread(r->file, p, r->len, r->pos);
    file_lease_release(&r->lease);
    if (n < 0) {
        return (int)n;
    }
    ASSERT(n == r->len); /* below the high watermark: the bytes are there */
    it->data = p;
    return 0;
}

/* The records, at most `max` bytes; min_one: the first batch whole in any case. */
static int read_records(struct partition *p, struct fetch_leg *leg, struct fetch_item *it,
                        uint32_t max, bool min_one, int64_t upper)
{
    struct plog_range *r = &it->range;
    if (it->negative_max) {
        max = 1; /* is there anything? */
        min_one = true;
    }
    int err = plog_read(p->log, it->fetch_offset, max, min_one, upper, r);
    if (err) {
        *r = (struct plog_range){0};
        return err;
    }
    it->len = r->len;
    if (r->len > 0 && it->negative_max) {
        err = ERR_REFUSED;
    }
    if (!err && r->len > 0 && leg->read_committed) {
        err = plog_aborted_txns(p->log, it->fetch_offset, r, &leg->arena, &it->aborted,
                                &it->aborted_n);
    }
    /* A first batch that does not fit is left out: half of it is of no use to anybody. */
    if (!err && r->len > 0 && !min_one && r->len == max && fetch_item_first_batch(it) > r->len) {
        it->len = 0;
    }
    if (err || it->len == 0) {
        file_lease_release(&r->lease);
        *r = (struct plog_range){0};
        it->len = 0;
        return err;
    }
    return copy_small(leg, it);
}

/* A follower must be one of the replicas. If it says an epoch, which is ours, it knows of a change
 * that we do not know yet, or the other way round: it tries again. */
int16_t fetch_check(const struct partition *p, const struct fetch_leg *leg,
                    const struct fetch_item *it)
{
    if (leg->any_replica) {
        return partition_check_replica(p, it->current_leader_epoch);
    }
    int16_t code = partition_check_leader(p, it->current_leader_epoch);
    if (code == KE_NONE && leg->replica_id >= 0 &&
        (p->isr == NULL || isr_follower(p->isr, leg->replica_id) == NULL)) {
        code = it->current_leader_epoch >= 0 ? KE_UNKNOWN_LEADER_EPOCH : KE_NOT_LEADER_OR_FOLLOWER;
    }
    return code;
}

/* Once a minute for each reason. No warning: for a moment after every change of leaders or replicas
 * one of the two has older metadata than the other. The follower warns when it lasts. */
static void note_refusal(struct node_shard *home, const struct partition *p,
                         const struct fetch_leg *leg, const struct fetch_item *it,
                         enum follower_refusal why)
{
    static const char *const texts[FOLLOWER_REFUSALS] = {
        "its leader epoch is another one than here",
        "it is none of the replicas that are known here",
        "its broker epoch is over",
    };
    const struct isr_follower *f = p->isr ? isr_follower(p->isr, leg->replica_id) : NULL;
    log_seldom(home->node->log, &home->followers_refused[why], LOG_INFO, "replica",
               "a follower's fetch is refused: %s partition=%s-%d replica=%d broker_epoch=%lld "
               "known_broker_epoch=%lld leader_epoch=%d known_leader_epoch=%d error=%s",
               texts[why], p->topic->name, (int)p->index, (int)leg->replica_id,
               (long long)leg->replica_epoch, f ? (long long)f->image_epoch : -1LL,
               (int)it->current_leader_epoch, (int)p->leader_epoch, kafka_error_name(it->error));
}

/* Of what fetch_check says: that this node does not lead is no word about the follower. */
static void note_check(struct node_shard *home, const struct partition *p,
                       const struct fetch_leg *leg, const struct fetch_item *it)
{
    if (p == NULL || leg->replica_id < 0 || leg->any_replica || !p->is_leader) {
        return;
    }
    if (it->current_leader_epoch >= 0 && it->current_leader_epoch != p->leader_epoch) {
        note_refusal(home, p, leg, it, FOLLOWER_OF_OTHER_EPOCH);
    } else if (p->isr && isr_follower(p->isr, leg->replica_id) == NULL) {
        note_refusal(home, p, leg, it, FOLLOWER_NO_REPLICA);
    }
}

static int64_t upper_limit(struct partition *p, const struct fetch_leg *leg, int64_t lso)
{
    if (leg->replica_id >= 0) {
        return plog_end_offset(p->log);
    }
    return leg->read_committed ? lso : plog_high_watermark(p->log);
}

/* Returns 0 or ERR_x; on an error nothing of the item stands. */
static int read_item(struct partition *p, struct fetch_leg *leg, struct fetch_item *it,
                     uint32_t max, bool min_one)
{
    int64_t lso;
    int err = plog_last_stable_offset(p->log, &lso);
    if (err) {
        return err;
    }
    it->log_end = plog_end_offset(p->log);
    bool diverging = diverges(p, it, &err);
    if (!err && !diverging) {
        err = read_records(p, leg, it, max, min_one, upper_limit(p, leg, lso));
    }
    if (err) {
        return err;
    }
    it->high_watermark = plog_high_watermark(p->log);
    it->last_stable_offset = lso;
    it->log_start_offset = plog_start_offset(p->log);
    return 0;
}

/* What a follower has got by this fetch: the high watermark may move, and is told at once. */
static int16_t note_follower(struct partition *p, const struct fetch_leg *leg,
                             struct fetch_item *it)
{
    if (!leg->first_read || it->diverging_epoch >= 0) {
        return KE_NONE;
    }
    struct isr_follower *f = isr_follower(p->isr, leg->replica_id);
    if (!partition_fetched(p, f, leg->replica_epoch, it->fetch_offset, it->follower_start)) {
        return KE_NOT_LEADER_OR_FOLLOWER;
    }
    it->high_watermark = plog_high_watermark(p->log);
    return KE_NONE;
}

static bool is_admitted(struct partition *p, const struct fetch_leg *leg,
                        const struct fetch_item *it)
{
    return leader_throttle_admit(p->pm->throttle, p, isr_follower(p->isr, leg->replica_id)->in_isr,
                                 it->len);
}

/* Only the offsets are told to a consumer that is to read elsewhere. */
static void redirect(struct partition *p, struct fetch_item *it, int32_t to)
{
    it->error = partition_check_replica(p, it->current_leader_epoch);
    if (it->error) {
        return;
    }
    int err = plog_last_stable_offset(p->log, &it->last_stable_offset);
    if (err) {
        partition_note_error(p, err, "read");
        it->error = wire_error(err);
        it->last_stable_offset = -1;
        return;
    }
    it->high_watermark = plog_high_watermark(p->log);
    it->log_start_offset = plog_start_offset(p->log);
    it->preferred_replica = to;
}

/* One item that may be read; sets its error. */
static void read_one(struct partition *p, struct fetch_leg *leg, struct fetch_item *it,
                     uint32_t max, bool min_one)
{
    int err = read_item(p, leg, it, max, min_one);
    if (err) {
        if (!it->negative_max) {
            partition_note_error(p, err, "read");
        }
        it->error = wire_error(err);
        it->len = 0;
    } else if (leg->replica_id >= 0) {
        it->error = note_follower(p, leg, it);
        if (it->error) {
            note_refusal(p->pm->ns, p, leg, it, FOLLOWER_OF_OLD_BROKER);
            give_back(it);
            clear_offsets(it);
            return;
        }
        if (it->len > 0 && !is_admitted(p, leg, it)) {
            give_back(it);
        }
        if (leg->standing && it->diverging_epoch < 0) {
            it->settled = standing_arm(p, leg->replica_id, leg->standing, it);
        }
    }
}

void fetch_leg_read(struct node_shard *home, struct fetch_leg *leg)
{
    fetch_leg_drop(home, leg);
    uint32_t left = leg->max_bytes;
    bool min_one = true;
    for (uint32_t i = 0; i < leg->n; i++) {
        struct fetch_item *it = leg->items[i];
        clear(it);
        struct partition *p = partition_find(home->partitions, it->topic_id, it->index);
        if (leg->rack.len > 0 && p && p->isr && !p->offline) {
            int32_t to = replica_select(p, home->image, leg->listener, leg->rack, it->fetch_offset);
            if (to >= 0) {
                redirect(p, it, to);
                continue;
            }
        }
        it->error = fetch_check(p, leg, it);
        if (p && it->error) {
            it->leader = p->leader;
            it->leader_epoch = p->leader_epoch;
        }
        if (it->error) {
            note_check(home, p, leg, it);
            continue;
        }
        read_one(p, leg, it, it->max_bytes < left ? it->max_bytes : left, min_one);
        left -= it->len < left ? it->len : left;
        min_one = min_one && it->len == 0;
    }
}
