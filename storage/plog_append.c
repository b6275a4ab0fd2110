/* The append: checks, offsets, groups, the write.
 *
 *     batches of the turn -> plan one after the other -> group -> one pwritev -> apply
 *
 * Planning a batch checks the producer on a copy, assigns the offset and notes the index entry. A
 * group ends before a roll, before and after a transaction marker, and when it is full; then it is
 * written with one call. Only when the write is whole do the offsets, producers and epochs of the
 * group count. A write that fails is cut away, and the tail's notes of the group are undone. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

enum {
    GROUP_MAX = 128,
    RETRY_MS = 200, /* after a full disk */
};

struct group_item {
    struct plog_batch *batch;
    struct batch_header h;
};

struct append_group {
    struct plog *log;
    const struct plog_append_args *args;
    int64_t next;   /* offset of the next batch */
    int32_t epoch;  /* the latest one, the group's included */
    int64_t now_ms; /* wall clock, for append time */
    /* the group that is gathered */
    unsigned n;
    uint64_t bytes;
    struct iovec iov[GROUP_MAX];
    struct group_item item[GROUP_MAX];
    struct producer producer[GROUP_MAX]; /* copies, in order of their first batch */
    unsigned producer_n;
    /* a marker's transaction, and whether it is in the index already */
    int64_t ended_first;
    int64_t ended_last;
    bool indexed;
    /* what the tail was before the group */
    struct log_tail saved; /* its numbers only */
    struct segment saved_seg;
    size_t saved_index_len;
    size_t saved_time_len;
};

static enum plog_result result_of(const struct plog *log, int err)
{
    return plog_offline(log) || err == ERR_OFFLINE ? PLOG_OFFLINE : PLOG_NO_SPACE;
}

/* ---- the group ---- */

static void group_clear(struct append_group *g)
{
    g->n = 0;
    g->bytes = 0;
    g->producer_n = 0;
    g->ended_first = g->ended_last = -1;
    g->indexed = false;
}

static void group_save(struct append_group *g)
{
    const struct log_tail *t = g->log->tail;
    const struct segment *seg = plog_active(g->log);
    g->saved.first_ts = t->first_ts;
    g->saved.unindexed = t->unindexed;
    g->saved.last_time = t->last_time;
    g->saved_index_len = t->index_pending.len;
    g->saved_time_len = t->time_pending.len;
    g->saved_seg.largest_ts = seg->largest_ts;
    g->saved_seg.largest_ts_offset = seg->largest_ts_offset;
    g->saved_seg.index_n = seg->index_n;
    g->saved_seg.time_n = seg->time_n;
}

static void group_undo(struct append_group *g, int err)
{
    struct plog *log = g->log;
    struct log_tail *t = log->tail;
    struct segment *seg = plog_active(log);
    t->first_ts = g->saved.first_ts;
    t->unindexed = g->saved.unindexed;
    t->last_time = g->saved.last_time;
    t->index_pending.len = g->saved_index_len;
    t->time_pending.len = g->saved_time_len;
    t->recent_n = 0;
    seg->largest_ts = g->saved_seg.largest_ts;
    seg->largest_ts_offset = g->saved_seg.largest_ts_offset;
    seg->index_n = g->saved_seg.index_n;
    seg->time_n = g->saved_seg.time_n;
    for (unsigned i = 0; i < g->n; i++) {
        struct plog_batch *b = g->item[i].batch;
        b->result = result_of(log, err);
        b->base_offset = -1;
        b->last_offset = -1;
    }
    g->next = log->end;
    g->epoch = epoch_cache_latest(log->epochs);
}

/* Writes the group at the end of the active segment. On an error the segment is as before, or the
 * log directory is offline. */
static int group_write(struct append_group *g)
{
    struct plog *log = g->log;
    struct segment *seg = plog_active(log);
    struct io_file *f;
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    int64_t began_us = io_now_us(log->st->io);
    int64_t n = io_pwritev(f, g->iov, (int)g->n, seg->size);
    disk_time_add(&log->st->write_time, began_us, io_now_us(log->st->io), log->path);
    if (n == (int64_t)g->bytes) {
        return 0;
    }
    const char *path = segment_path(log, seg, SEG_LOG);
    rc = n < 0 ? (int)n : ERR_IO;
    int cut = io_truncate(f, seg->size);
    if (cut < 0) {
        /* Bytes that nobody knows of stand behind the end: nothing may be appended to them. */
        log_store_dir_failed(log->st, log->dir, cut, "cutting a failed write away", path);
        return cut;
    }
    return plog_disk_error(log, rc, "writing a segment", path);
}

static void note_hot(struct plog *log, uint64_t bytes)
{
    struct log_store *st = log->st;
    struct log_tail *t = log->tail;
    uint64_t pos = plog_active(log)->size; /* before the bytes */
    if (st->appended - t->hot_mark[1] > st->opt.hot_bytes / 2) {
        t->hot_pos[0] = t->hot_pos[1];
        t->hot_mark[0] = t->hot_mark[1];
        t->hot_pos[1] = pos;
        t->hot_mark[1] = st->appended;
    }
    st->appended += bytes;
}

static void write_behind(struct plog *log)
{
    struct log_tail *t = log->tail;
    struct segment *seg = plog_active(log);
    struct io_file *f;
    uint64_t step = log->st->opt.write_behind_bytes;
    if (step == 0 || seg->size - t->behind_pos < step) {
        return;
    }
    if (segment_open(log, seg, SEG_LOG, &f) == 0) {
        io_write_behind(f, t->behind_pos, seg->size - t->behind_pos);
    }
    t->behind_pos = seg->size;
}

/* plog_begin_epoch noted the epoch; its first record makes it worth writing down. */
static bool epoch_came_true(const struct plog *log, int64_t before)
{
    const struct epoch_cache *c = log->epochs;
    return c->n && c->e[c->n - 1].start >= before && c->e[c->n - 1].start < log->end;
}

static void group_apply(struct append_group *g)
{
    struct plog *log = g->log;
    struct segment *seg = plog_active(log);
    int64_t before = log->end;
    note_hot(log, g->bytes);
    seg->size += g->bytes;
    seg->flags |= SEG_DIRTY;
    log->size += g->bytes;
    log->end = g->next;
    for (unsigned i = 0; i < g->n; i++) {
        const struct batch_header *h = &g->item[i].h;
        if (h->leader_epoch > epoch_cache_latest(log->epochs) &&
            epoch_cache_assign(log->epochs, h->leader_epoch, h->base_offset)) {
            log->epochs_dirty = true;
        }
        g->item[i].batch->result = PLOG_APPENDED;
    }
    log->epochs_dirty |= epoch_came_true(log, before);
    for (unsigned i = 0; i < g->producer_n; i++) {
        producer_commit(log->producers, &g->producer[i], g->ended_first, g->ended_last);
    }
    log->producers->map_end = log->end;
    if (tail_pending_full(log->tail)) {
        tail_write_pending(log, seg); /* a full disk: they wait on */
    }
    write_behind(log);
}

/* 0: the group is written (or was empty) and a new one begins. */
static int group_commit(struct append_group *g)
{
    if (g->n == 0) {
        return 0;
    }
    int rc = group_write(g);
    if (rc < 0) {
        if (g->indexed) {
            segment_txn_truncate(g->log, plog_active(g->log), g->ended_last);
        }
        group_undo(g, rc);
    } else {
        group_apply(g);
    }
    group_clear(g);
    return rc;
}

/* ---- planning one batch ---- */

/* The producer's state as this group leaves it. */
static void copy_producer(struct append_group *g, int64_t id, struct producer *out)
{
    for (unsigned i = 0; i < g->producer_n; i++) {
        if (g->producer[i].id == id) {
            *out = g->producer[i];
            return;
        }
    }
    producer_copy(g->log->producers, id, out);
}

static void put_producer(struct append_group *g, const struct producer *p)
{
    for (unsigned i = 0; i < g->producer_n; i++) {
        if (g->producer[i].id == p->id) {
            g->producer[i] = *p;
            return;
        }
    }
    g->producer[g->producer_n++] = *p;
}

static enum plog_result check_header(const struct append_group *g, const struct plog_batch *b,
                                     struct batch_header *h)
{
    if (batch_header_read(bytes_of(b->data, b->len), h) < 0 || batch_size(h) != b->len ||
        h->last_offset_delta < 0) {
        return PLOG_INVALID;
    }
    bool copied = g->args->origin == PLOG_REPLICATION; /* the leader took it, under its settings */
    if (!copied && b->len > (uint64_t)g->log->config->segment_bytes) {
        return PLOG_TOO_LARGE;
    }
    if (copied && (h->base_offset < g->next || h->leader_epoch < g->epoch)) {
        return PLOG_UNEXPECTED_OFFSET;
    }
    return PLOG_APPENDED;
}

static void assign(struct append_group *g, struct plog_batch *b, struct batch_header *h)
{
    b->append_time_ms = -1;
    if (g->args->origin == PLOG_REPLICATION) {
        return;
    }
    h->base_offset = g->next;
    h->leader_epoch = g->args->leader_epoch;
    batch_set_base_offset(b->data, h->base_offset);
    batch_set_leader_epoch(b->data, h->leader_epoch);
    if (g->log->config->append_time) {
        batch_set_max_timestamp(b->data, b->len, true, g->now_ms);
        h->max_timestamp = g->now_ms;
        b->append_time_ms = g->now_ms;
    }
}

/* Checks the producer's part on a copy. *marker: it is a transaction marker. */
static enum plog_result check_producer(struct append_group *g, struct plog_batch *b,
                                       const struct batch_header *h, struct producer *p,
                                       struct txn_marker *m, bool *marker)
{
    *marker = false;
    copy_producer(g, h->producer_id, p);
    if (batch_is_control(h)) {
        int rc = txn_marker_read(bytes_of(b->data, b->len), m);
        if (rc < 0) {
            return PLOG_INVALID;
        }
        *marker = rc > 0;
        return PLOG_APPENDED;
    }
    if (g->args->origin == PLOG_CLIENT) {
        const struct producer_batch *dup = producer_duplicate(p, h);
        if (dup) {
            b->base_offset = dup->last_offset - dup->delta;
            b->last_offset = dup->last_offset;
            b->append_time_ms = g->log->config->append_time ? dup->timestamp : -1;
            return PLOG_DUPLICATE;
        }
    }
    return producer_check(p, h, h->base_offset, g->args->origin);
}

/* Puts the batch into the group; what comes before it is written first if it needs another segment.
 */
static int group_add(struct append_group *g, struct plog_batch *b, const struct batch_header *h,
                     const struct producer *p)
{
    struct plog *log = g->log;
    struct log_tail *t = log->tail;
    int rc = 0;
    if (g->n == GROUP_MAX) {
        rc = group_commit(g);
    }
    if (rc == 0 && g->n == 0) {
        group_save(g);
    }
    /* The rule looks at the segment as if the group stood in it already. */
    plog_active(log)->size += g->bytes;
    bool roll = rc == 0 && plog_must_roll(log, t, h);
    plog_active(log)->size -= g->bytes;
    if (roll) {
        rc = group_commit(g);
        if (rc == 0) {
            rc = plog_roll_to(log, h->base_offset > log->end ? h->base_offset : log->end);
        }
        if (rc == 0) {
            rc = plog_tail(log, &t);
        }
        if (rc == 0) {
            group_save(g);
        }
    }
    if (rc < 0) {
        return rc;
    }
    struct segment *seg = plog_active(log);
    tail_note_batch(log, seg, h, seg->size + g->bytes);
    g->iov[g->n] = (struct iovec){b->data, b->len};
    g->item[g->n] = (struct group_item){b, *h};
    g->n++;
    g->bytes += b->len;
    g->next = batch_next_offset(h);
    g->epoch = h->leader_epoch > g->epoch ? h->leader_epoch : g->epoch;
    b->base_offset = h->base_offset;
    b->last_offset = batch_last_offset(h);
    if (p) {
        put_producer(g, p);
    }
    return 0;
}

/* A marker makes a group of its own, because what it ends is decided by all that came before. */
static int add_marker(struct append_group *g, struct plog_batch *b, const struct batch_header *h,
                      const struct txn_marker *m)
{
    struct plog *log = g->log;
    struct producer p;
    int64_t first;
    int rc = group_commit(g);
    if (rc < 0) {
        return rc;
    }
    producer_copy(log->producers, h->producer_id, &p);
    b->result = producer_check_marker(&p, h, m, g->args->origin, &first);
    if (b->result != PLOG_APPENDED) {
        return 0;
    }
    rc = group_add(g, b, h, &p);
    if (rc < 0) {
        return rc;
    }
    g->ended_first = first;
    g->ended_last = h->base_offset;
    if (first >= 0 && !m->commit) {
        const struct txn_entry e = {
            .producer_id = h->producer_id,
            .first = first,
            .last = h->base_offset,
            .lso = producer_stable_after(log->producers, h->producer_id, h->base_offset)};
        rc = segment_txn_append(log, plog_active(log), &e);
        if (rc < 0) {
            group_undo(g, rc);
            group_clear(g);
            return rc;
        }
        g->indexed = true;
    }
    return group_commit(g);
}

/* 0: the batch has its place in the group, or a refusal of its own. An error refuses the rest. */
static int plan(struct append_group *g, struct plog_batch *b)
{
    struct batch_header h;
    struct producer p;
    struct txn_marker m;
    bool marker = false;
    b->base_offset = b->last_offset = b->append_time_ms = -1;
    b->result = check_header(g, b, &h);
    if (b->result != PLOG_APPENDED) {
        return 0;
    }
    if (!batch_has_producer(&h)) {
        assign(g, b, &h);
        return group_add(g, b, &h, NULL);
    }
    int64_t asked = h.base_offset;
    h.base_offset = g->args->origin == PLOG_REPLICATION ? asked : g->next;
    b->result = check_producer(g, b, &h, &p, &m, &marker);
    if (b->result != PLOG_APPENDED) {
        /* The repetition of a batch that is not written yet succeeds only with it. */
        bool repeats_group = b->result == PLOG_DUPLICATE && b->last_offset >= g->log->end;
        return repeats_group ? group_commit(g) : 0;
    }
    assign(g, b, &h);
    if (marker) {
        return add_marker(g, b, &h, &m);
    }
    if (p.n > 0 && b->append_time_ms >= 0) { /* the producer's copy saw the client's time */
        p.batch[p.n - 1].timestamp = b->append_time_ms;
        p.last_ts = b->append_time_ms;
    }
    return group_add(g, b, &h, batch_is_control(&h) ? NULL : &p);
}

/* ---- the call ---- */

static unsigned refuse(struct plog_batch *batches, unsigned count, enum plog_result why)
{
    for (unsigned i = 0; i < count; i++) {
        batches[i].result = why;
        batches[i].base_offset = batches[i].last_offset = batches[i].append_time_ms = -1;
    }
    return 0;
}

static int prepare(struct plog *log, struct append_group *g)
{
    struct log_tail *t;
    int rc = plog_need_producers(log);
    if (rc == 0) {
        rc = plog_need_epochs(log);
    }
    if (rc == 0) {
        rc = plog_tail(log, &t);
    }
    if (rc < 0) {
        return rc;
    }
    group_clear(g);
    g->log = log;
    g->next = log->end;
    g->epoch = epoch_cache_latest(log->epochs);
    g->now_ms = io_wall_ms(log->st->io);
    return 0;
}

/* Who follows now does not lead: an epoch that it began as leader and put nothing into goes, or
 * what the others have of an earlier one would seem to go back. */
static void forget_begun(struct append_group *g)
{
    struct plog *log = g->log;
    if (g->args->origin == PLOG_REPLICATION && epoch_cache_truncate_end(log->epochs, log->end)) {
        log->epochs_dirty = true;
        g->epoch = epoch_cache_latest(log->epochs);
    }
}

static void note_space(struct plog *log, int rc)
{
    if (rc < 0 && !plog_offline(log)) {
        log->retry_ms = io_now_ms(log->st->io) + RETRY_MS;
        if (!log->warned_space) {
            log->warned_space = true;
            log_warn(log->st->lg, "storage",
                     "append refused until it can be written partition=%s error=\"%s\"", log->name,
                     err_text(rc));
        }
    } else if (rc == 0 && log->warned_space) {
        log->warned_space = false;
        log->retry_ms = 0;
        log_info(log->st->lg, "storage", "appends accepted again partition=%s", log->name);
    }
}

unsigned plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                     const struct plog_append_args *args)
{
    struct log_store *st = log->st;
    ASSERT(!log->deleted);
    if (plog_offline(log) || log->closed) {
        return refuse(batches, count, PLOG_OFFLINE);
    }
    if (log->retry_ms && io_now_ms(st->io) < log->retry_ms) {
        return refuse(batches, count, PLOG_NO_SPACE);
    }
    if (st->group == NULL) {
        st->group = MEM_NEW(struct append_group);
    }
    struct append_group *g = st->group;
    int rc = prepare(log, g);
    unsigned done = 0;
    if (rc == 0) {
        g->args = args;
        forget_begun(g);
    }
    while (rc == 0 && done < count) {
        rc = plan(g, &batches[done]);
        done++;
        if (args->origin == PLOG_REPLICATION && batches[done - 1].result != PLOG_APPENDED) {
            refuse(batches + done, count - done, batches[done - 1].result);
            break; /* what comes behind would leave a hole */
        }
    }
    if (rc == 0) {
        rc = group_commit(g);
    } else {
        /* The batch that met the error, and all behind it. */
        unsigned from = done ? done - 1 : 0;
        ASSERT(done == 0 || g->n == 0);
        refuse(batches + from, count - from, result_of(log, rc));
    }
    note_space(log, rc);
    unsigned appended = 0;
    for (unsigned i = 0; i < count; i++) {
        appended += batches[i].result == PLOG_APPENDED;
    }
    if (appended) {
        plog_flush_appended(log);
    }
    return appended;
}
