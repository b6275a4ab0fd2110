#include "storage/producer_state.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void producer_state_init(struct producer_state *ps)
{
    *ps = (struct producer_state){0};
    list_init(&ps->open);
    list_init(&ps->ended);
}

static void clear_ended(struct producer_state *ps)
{
    struct list *n;
    while ((n = list_pop_front(&ps->ended)) != NULL) {
        mem_free(LIST_ENTRY(n, struct ended_txn, node));
    }
}

void producer_state_free(struct producer_state *ps)
{
    map_for_each (slot, &ps->map) {
        mem_free(slot->value);
    }
    map_free(&ps->map);
    clear_ended(ps);
    list_init(&ps->open);
}

void producer_state_clear(struct producer_state *ps)
{
    producer_state_free(ps);
    producer_state_init(ps);
}

const struct producer *producer_find(const struct producer_state *ps, int64_t id)
{
    uint8_t key[8];
    store_be64(key, (uint64_t)id);
    return map_get(&ps->map, bytes_of(key, sizeof key));
}

static void producer_blank(struct producer *p, int64_t id)
{
    *p = (struct producer){.id = id,
                           .last_ts = BATCH_NO_TIMESTAMP,
                           .txn_first = -1,
                           .coordinator_epoch = -1,
                           .epoch = BATCH_NO_EPOCH};
}

void producer_copy(const struct producer_state *ps, int64_t id, struct producer *out)
{
    const struct producer *p = producer_find(ps, id);
    if (p) {
        *out = *p;
    } else {
        producer_blank(out, id);
    }
}

/* ---- checks ---- */

static int32_t first_seq(const struct producer_batch *b)
{
    int64_t first = (int64_t)b->last_seq - b->delta;
    return (int32_t)(first >= 0 ? first : first + INT32_MAX + 1);
}

const struct producer_batch *producer_duplicate(const struct producer *p,
                                                const struct batch_header *h)
{
    if (h->producer_epoch != p->epoch) {
        return NULL;
    }
    for (unsigned i = 0; i < p->n; i++) {
        if (first_seq(&p->batch[i]) == h->base_sequence &&
            p->batch[i].last_seq == batch_last_sequence(h)) {
            return &p->batch[i];
        }
    }
    return NULL;
}

static void add_batch(struct producer *p, const struct batch_header *h, int64_t base)
{
    if (h->producer_epoch != p->epoch) {
        p->epoch = h->producer_epoch;
        p->n = 0;
    }
    if (p->n == PRODUCER_BATCHES) {
        memmove(p->batch, p->batch + 1, sizeof p->batch - sizeof p->batch[0]);
        p->n--;
    }
    p->batch[p->n++] = (struct producer_batch){.last_offset = base + h->last_offset_delta,
                                               .timestamp = h->max_timestamp,
                                               .last_seq = batch_last_sequence(h),
                                               .delta = h->last_offset_delta};
    p->last_ts = h->max_timestamp;
}

/* May a client's batch come now? A producer that is new here, or was forgotten, may start with any
 * sequence; a new epoch starts at 0. */
static bool in_sequence(const struct producer *p, const struct batch_header *h)
{
    if (p->epoch == BATCH_NO_EPOCH) {
        return true;
    }
    if (h->producer_epoch != p->epoch) {
        return h->base_sequence == 0;
    }
    int32_t last = p->n ? p->batch[p->n - 1].last_seq : BATCH_NO_SEQUENCE;
    return h->base_sequence == (int64_t)last + 1 || (h->base_sequence == 0 && last == INT32_MAX);
}

enum plog_result producer_check(struct producer *p, const struct batch_header *h, int64_t base,
                                enum plog_origin origin)
{
    bool txn = batch_is_transactional(h);
    if (origin != PLOG_REPLICATION && h->producer_epoch < p->epoch) {
        return PLOG_INVALID_EPOCH;
    }
    if (origin == PLOG_CLIENT && !in_sequence(p, h)) {
        return PLOG_OUT_OF_ORDER;
    }
    if (p->txn_first >= 0 && !txn) {
        if (origin != PLOG_REPLICATION) {
            return PLOG_INVALID_TXN_STATE;
        }
    } else if (p->txn_first < 0 && txn) {
        p->txn_first = base;
    }
    add_batch(p, h, base);
    return PLOG_APPENDED;
}

int txn_marker_read(struct bytes batch, struct txn_marker *out)
{
    struct record_reader r;
    struct record rec;
    enum control_type type;
    int rc = record_reader_open(&r, batch, 0);
    if (rc < 0) {
        return ERR_CORRUPT;
    }
    rc = record_reader_next(&r, &rec);
    if (rc == 0) { /* emptied by compaction */
        goto out;
    }
    rc = rc < 0 ? ERR_CORRUPT : control_key_read(rec.key, &type);
    if (rc < 0) {
        goto out;
    }
    if (type != CONTROL_ABORT && type != CONTROL_COMMIT) {
        rc = 0;
        goto out;
    }
    out->commit = type == CONTROL_COMMIT;
    rc = control_marker_read(rec.value, &out->coordinator_epoch) < 0 ? ERR_CORRUPT : 1;
out:
    record_reader_close(&r);
    return rc;
}

enum plog_result producer_check_marker(struct producer *p, const struct batch_header *h,
                                       const struct txn_marker *m, enum plog_origin origin,
                                       int64_t *first)
{
    if (origin != PLOG_REPLICATION) {
        if (h->producer_epoch < p->epoch) {
            return PLOG_INVALID_EPOCH;
        }
        if (m->coordinator_epoch < p->coordinator_epoch) {
            return PLOG_COORDINATOR_FENCED;
        }
    }
    if (h->producer_epoch != p->epoch) {
        p->epoch = h->producer_epoch;
        p->n = 0;
    }
    *first = p->txn_first;
    p->txn_first = -1;
    p->coordinator_epoch = m->coordinator_epoch;
    p->last_ts = h->max_timestamp;
    return PLOG_APPENDED;
}

/* ---- commit ---- */

static void insert_open(struct producer_state *ps, struct producer *p)
{
    struct list *at = &ps->open;
    while (at->prev != &ps->open &&
           LIST_ENTRY(at->prev, struct producer, open)->txn_first > p->txn_first) {
        at = at->prev;
    }
    list_insert_before(at, &p->open);
}

void producer_commit(struct producer_state *ps, const struct producer *copy, int64_t ended_first,
                     int64_t ended_last)
{
    struct producer *p = (struct producer *)(uintptr_t)producer_find(ps, copy->id);
    if (p == NULL) {
        p = MEM_NEW(struct producer);
        p->txn_first = -1;
        store_be64(p->key, (uint64_t)copy->id);
        list_init(&p->open);
        map_put(&ps->map, bytes_of(p->key, sizeof p->key), p);
    }
    struct list open = p->open;
    uint8_t key[8];
    memcpy(key, p->key, sizeof key);
    int64_t had = p->txn_first;
    if (had >= 0 && had != copy->txn_first) {
        list_remove(&p->open);
        open.prev = open.next = &p->open;
    }
    *p = *copy;
    p->open = open;
    memcpy(p->key, key, sizeof key);
    if (copy->txn_first >= 0 && had != copy->txn_first) {
        insert_open(ps, p);
    }
    if (ended_first >= 0) {
        struct ended_txn *t = MEM_NEW(struct ended_txn);
        t->first = ended_first;
        t->last = ended_last;
        list_push_back(&ps->ended, &t->node);
    }
}

/* ---- stable offsets ---- */

int64_t producer_first_unstable(const struct producer_state *ps)
{
    int64_t first = INT64_MAX;
    if (!list_empty(&ps->open)) {
        first = LIST_ENTRY(ps->open.next, struct producer, open)->txn_first;
    }
    list_for_each (it, &ps->ended) {
        int64_t f = LIST_ENTRY(it, struct ended_txn, node)->first;
        first = f < first ? f : first;
    }
    return first;
}

static void drop_ended(struct list *n)
{
    list_remove(n);
    mem_free(LIST_ENTRY(n, struct ended_txn, node));
}

void producer_high_watermark(struct producer_state *ps, int64_t hw)
{
    list_for_each_safe (it, &ps->ended) {
        if (LIST_ENTRY(it, struct ended_txn, node)->last < hw) {
            drop_ended(it);
        }
    }
}

void producer_log_start(struct producer_state *ps, int64_t start)
{
    list_for_each_safe (it, &ps->ended) {
        if (LIST_ENTRY(it, struct ended_txn, node)->last < start) {
            drop_ended(it);
        }
    }
}

int64_t producer_stable_after(const struct producer_state *ps, int64_t producer_id, int64_t last)
{
    list_for_each (it, &ps->open) {
        const struct producer *p = LIST_ENTRY(it, struct producer, open);
        if (p->id != producer_id) {
            return p->txn_first;
        }
    }
    return last + 1;
}

int64_t producer_idle_ms(const struct producer *p, int64_t now_ms)
{
    return (int64_t)((uint64_t)now_ms - (uint64_t)p->last_ts);
}

static bool is_expired(const struct producer *p, int64_t now_ms, int64_t expiration_ms)
{
    return p->txn_first < 0 && producer_idle_ms(p, now_ms) >= expiration_ms;
}

/* When is_expired will be true of one of whom it is not. A timestamp that is out of this world is
 * looked at again and again. */
static void note_expiry(const struct producer *p, int64_t now_ms, int64_t expiration_ms,
                        int64_t *next_ms)
{
    int64_t at;
    if (p->txn_first >= 0 || __builtin_add_overflow(p->last_ts, expiration_ms, &at)) {
        return;
    }
    at = at < now_ms ? now_ms : at;
    *next_ms = at < *next_ms ? at : *next_ms;
}

unsigned producer_expire(struct producer_state *ps, int64_t now_ms, int64_t expiration_ms,
                         int64_t *next_ms)
{
    unsigned n = 0;
    size_t cap = 0;
    struct producer **old = NULL;
    map_for_each (slot, &ps->map) {
        if (is_expired(slot->value, now_ms, expiration_ms)) {
            if (n == cap) {
                cap = cap ? cap * 2 : 16;
                old = mem_realloc(old, cap * sizeof *old);
            }
            old[n++] = slot->value;
        } else if (next_ms) {
            note_expiry(slot->value, now_ms, expiration_ms, next_ms);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        map_remove(&ps->map, bytes_of(old[i]->key, sizeof old[i]->key));
        mem_free(old[i]);
    }
    mem_free(old);
    return n;
}

void producer_recall(struct producer_state *ps, const struct producer_state *tail)
{
    map_for_each (slot, &ps->map) {
        struct producer *p = slot->value;
        const struct producer *t = producer_find(tail, p->id);
        if (t == NULL || p->n != 1 || t->n < 2 || t->epoch != p->epoch) {
            continue;
        }
        const struct producer_batch *last = &t->batch[t->n - 1];
        if (last->last_offset == p->batch[0].last_offset &&
            last->last_seq == p->batch[0].last_seq && last->delta == p->batch[0].delta) {
            memcpy(p->batch, t->batch, sizeof p->batch);
            p->n = t->n;
        }
    }
}
