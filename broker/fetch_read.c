#include "broker/fetch_read.h"

#include "broker/api/errors.h"
#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "proto/record_batch.h"

void fetch_leg_drop(struct node_shard *home, struct fetch_leg *leg)
{
    ASSERT_ON_SHARD(home->shard);
    for (uint32_t i = 0; i < leg->n; i++) {
        struct fetch_item *it = leg->items[i];
        file_lease_release(&it->range.lease);
        it->range = (struct plog_range){0};
        it->data = NULL;
        it->len = 0;
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

static void clear(struct fetch_item *it)
{
    it->error = KE_NONE;
    it->high_watermark = -1;
    it->last_stable_offset = -1;
    it->log_start_offset = -1;
    it->diverging_epoch = -1;
    it->diverging_end_offset = -1;
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

/* Returns 0 or ERR_x; on an error nothing of the item stands. */
static int read_item(struct partition *p, struct fetch_leg *leg, struct fetch_item *it,
                     uint32_t max, bool min_one)
{
    int64_t hw = plog_high_watermark(p->log);
    int64_t lso;
    int err = plog_last_stable_offset(p->log, &lso);
    if (err) {
        return err;
    }
    bool diverging = diverges(p, it, &err);
    if (!err && !diverging) {
        err = read_records(p, leg, it, max, min_one, leg->read_committed ? lso : hw);
    }
    if (err) {
        return err;
    }
    it->high_watermark = hw;
    it->last_stable_offset = lso;
    it->log_start_offset = plog_start_offset(p->log);
    return 0;
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
        it->error = partition_check_leader(p, it->current_leader_epoch);
        if (p && it->error) {
            it->leader = p->leader;
            it->leader_epoch = p->leader_epoch;
        }
        if (it->error == KE_NONE && leg->replica_id >= 0) {
            /* No replica of ours pulls from here yet. Kafka's code for another broker. */
            it->error =
                it->current_leader_epoch >= 0 ? KE_UNKNOWN_LEADER_EPOCH : KE_NOT_LEADER_OR_FOLLOWER;
        }
        if (it->error) {
            continue;
        }
        uint32_t max = it->max_bytes < left ? it->max_bytes : left;
        int err = read_item(p, leg, it, max, min_one);
        if (err) {
            if (!it->negative_max) {
                partition_note_error(p, err, "read");
            }
            it->error = wire_error(err);
            it->len = 0;
            continue;
        }
        left -= it->len < left ? it->len : left;
        min_one = min_one && it->len == 0;
    }
}
