/* Offsets by time and by epoch, and the producers.
 *
 * By time: the first segment whose largest timestamp is not before the one asked for, in it the
 * greatest .timeindex entry at or before that, the batch that the entry names, and from there on
 * the first batch whose largest timestamp reaches it, whose records are read. Timestamps need not
 * ascend; what the index says is checked against the batch, and an index that lies is rebuilt once.
 * A segment without timestamps in its index (Kafka makes a lost .timeindex anew, empty) is walked
 * from its start. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/batch_scan.h"
#include "storage/plog.h"

enum { WINDOW = 16 << 10 };

/* ---- walking batches ---- */

/* Called for each batch from a position on; 1 ends the walk. */
typedef int each_batch(void *ctx, struct batch_scan *s, const struct batch_header *h);

static int walk_batches(struct plog *log, struct segment *seg, uint64_t pos, each_batch *each,
                        void *ctx)
{
    struct batch_scan s;
    struct batch_header h;
    struct io_file *f;
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    void *window = mem_alloc(WINDOW);
    batch_scan_init(&s, f, pos, seg->size, window, WINDOW);
    while ((rc = batch_scan_next(&s, &h)) == 1) {
        rc = each(ctx, &s, &h);
        if (rc != 0) {
            break;
        }
    }
    if (rc == ERR_CORRUPT || rc == ERR_TRUNCATED) {
        log_error(log->st->lg, "storage",
                  "a batch cannot be read partition=%s file=%s position=%llu reason=\"%s\"",
                  log->name, segment_path(log, seg, SEG_LOG), (unsigned long long)s.pos, s.why);
        rc = ERR_CORRUPT;
    } else if (rc == ERR_IO) {
        plog_disk_error(log, rc, "reading a segment", segment_path(log, seg, SEG_LOG));
    }
    batch_scan_free(&s);
    mem_free(window);
    return rc;
}

/* The batch of a time index entry: 1 and its position; 0: no batch fits the entry. */
static int entry_position(struct plog *log, struct segment *seg, const struct time_entry *t,
                          uint64_t *pos)
{
    struct batch_place place;
    uint8_t p[BATCH_HEADER_SIZE];
    struct batch_header h;
    struct io_file *f;
    *pos = 0;
    if (t->timestamp == NO_TIMESTAMP) {
        return 1;
    }
    int rc = t->offset < seg->base ? ERR_NOTFOUND : segment_locate(log, seg, t->offset, &place);
    if (rc < 0) {
        return rc == ERR_NOTFOUND ? 0 : rc;
    }
    rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    int64_t n = io_pread(f, p, sizeof p, place.pos);
    if (n < 0) {
        return plog_disk_error(log, (int)n, "reading a segment", segment_path(log, seg, SEG_LOG));
    }
    *pos = place.pos;
    rc = batch_header_read(bytes_of(p, (size_t)n), &h);
    /* Of magic 0 and 1 the header does not tell; older Kafkas noted the record's own offset. */
    return rc == ERR_UNSUPPORTED || (rc == 0 && h.max_timestamp == t->timestamp) ? 1 : 0;
}

/* Where to begin for `timestamp`: no batch before that position has it or a later one. */
static int start_position(struct plog *log, struct segment *seg, int64_t timestamp, uint64_t *pos)
{
    struct time_entry t;
    for (int attempt = 0;; attempt++) {
        int rc = segment_time_floor(log, seg, timestamp, &t);
        if (rc == 0) {
            rc = entry_position(log, seg, &t, pos);
        }
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
        if (attempt > 0) {
            *pos = 0;
            return 0;
        }
        rc = segment_repair_index(log, seg, "a time entry does not fit its batch");
        if (rc < 0) {
            return rc;
        }
    }
}

/* ---- by time ---- */

struct by_time {
    int64_t timestamp;
    int64_t from; /* the log's start */
    struct plog_time_offset *out;
};

static int try_batch(void *ctx, struct batch_scan *s, const struct batch_header *h)
{
    struct by_time *b = ctx;
    struct bytes body;
    if (batch_last_offset(h) < b->from ||
        (h->magic == BATCH_MAGIC && h->max_timestamp < b->timestamp)) {
        return 0;
    }
    if (h->magic != BATCH_MAGIC) {
        return 0; /* such old messages have no time that clients of today could ask for */
    }
    int rc = batch_scan_body(s, h, &body);
    if (rc == 0) {
        rc = batch_find_timestamp(body, b->timestamp, b->from, 0, &b->out->offset,
                                  &b->out->timestamp);
    }
    if (rc == 1) {
        /* Offsets inside a compressed batch are its producer's word: the answer stays within it. */
        int64_t last = batch_last_offset(h);
        b->out->offset = b->out->offset < last ? b->out->offset : last;
        b->out->leader_epoch = h->leader_epoch;
    }
    return rc;
}

static const struct plog_time_offset NONE = {.offset = -1, .timestamp = -1, .leader_epoch = -1};

int plog_offset_by_time(struct plog *log, int64_t timestamp, struct plog_time_offset *out)
{
    struct by_time b = {.timestamp = timestamp, .from = log->start, .out = out};
    *out = NONE;
    if (log->deleted || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    for (uint32_t i = plog_segment_of(log, log->start); i < log->seg_n; i++) {
        struct segment *seg = log->segs[i];
        uint64_t pos = 0;
        if (seg->size == 0) {
            continue;
        }
        int rc = segment_time_load(log, seg);
        if (rc == 0 && seg->largest_ts != NO_TIMESTAMP && seg->largest_ts < timestamp) {
            continue;
        }
        if (rc == 0) {
            rc = start_position(log, seg, timestamp, &pos);
        }
        if (rc == 0) {
            rc = walk_batches(log, seg, pos, try_batch, &b);
        }
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
    }
    return 0;
}

/* ---- the largest timestamp ---- */

struct by_max {
    int64_t from; /* the log's start */
    int64_t timestamp;
    int64_t offset;      /* of a record, or the last one of its batch */
    struct segment *seg; /* that says so */
};

/* A batch that the log's start lies in counts by its records from there on. */
static int max_of_records(struct by_max *m, struct batch_scan *s, const struct batch_header *h)
{
    struct record_reader r;
    struct record rec;
    struct bytes body;
    int rc = batch_scan_body(s, h, &body);
    if (rc == 0) {
        rc = record_reader_open(&r, body, 0);
    }
    if (rc < 0) {
        return rc;
    }
    while ((rc = record_reader_next(&r, &rec)) == 1) {
        if (rec.offset >= m->from && rec.timestamp > m->timestamp) {
            m->timestamp = rec.timestamp;
            m->offset = rec.offset;
        }
    }
    record_reader_close(&r);
    return rc;
}

static int max_of_batch(void *ctx, struct batch_scan *s, const struct batch_header *h)
{
    struct by_max *m = ctx;
    if (batch_last_offset(h) < m->from || h->magic != BATCH_MAGIC ||
        h->max_timestamp <= m->timestamp) {
        return 0;
    }
    if (h->base_offset < m->from) {
        return max_of_records(m, s, h);
    }
    m->timestamp = h->max_timestamp;
    m->offset = batch_last_offset(h);
    return 0;
}

/* The index has it, unless it is of a time before the log's start or the index is empty. */
static int max_of_segment(struct plog *log, struct segment *seg, struct by_max *m)
{
    int rc = segment_time_load(log, seg);
    if (rc < 0 || seg->size == 0) {
        return rc;
    }
    if (seg->base < m->from || seg->largest_ts == NO_TIMESTAMP) {
        int64_t before = m->timestamp;
        rc = walk_batches(log, seg, 0, max_of_batch, m);
        m->seg = m->timestamp > before ? seg : m->seg;
        return rc;
    }
    if (seg->largest_ts > m->timestamp) {
        m->seg = seg;
        m->timestamp = seg->largest_ts;
        m->offset = seg->largest_ts_offset;
    }
    return 0;
}

struct exact {
    const struct by_max *m;
    struct plog_time_offset *out;
    bool fits;
};

static int find_exact(void *ctx, struct batch_scan *s, const struct batch_header *h)
{
    struct exact *x = ctx;
    struct bytes body;
    int64_t ts = NO_TIMESTAMP;
    if (h->max_timestamp < x->m->timestamp) {
        return 1; /* the index lies */
    }
    int rc = batch_scan_body(s, h, &body);
    if (rc == 0) {
        rc = batch_find_timestamp(body, x->m->timestamp, x->m->from, 0, &x->out->offset, &ts);
    }
    if (rc == 1 && ts == x->m->timestamp) {
        x->out->timestamp = ts;
        x->out->leader_epoch = h->leader_epoch;
        x->fits = true;
    }
    return rc < 0 ? rc : 1;
}

static int exact_max(struct plog *log, const struct by_max *m, struct plog_time_offset *out,
                     bool *fits)
{
    struct batch_place place;
    struct exact x = {.m = m, .out = out};
    int rc = segment_locate(log, m->seg, m->offset, &place);
    if (rc == 0) {
        rc = walk_batches(log, m->seg, place.pos, find_exact, &x);
    }
    rc = rc == ERR_NOTFOUND ? 0 : rc; /* an entry behind the segment's end: it lies, too */
    *fits = x.fits;
    if (rc >= 0 && !x.fits) {
        rc = segment_repair_index(log, m->seg, "the last time entry does not fit its batch");
    }
    return rc < 0 ? rc : 0;
}

int plog_offset_of_max_timestamp(struct plog *log, struct plog_time_offset *out)
{
    *out = NONE;
    if (log->deleted || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        struct by_max m = {.from = log->start, .timestamp = NO_TIMESTAMP, .offset = -1};
        bool fits = true;
        int rc = 0;
        for (uint32_t i = plog_segment_of(log, log->start); i < log->seg_n && rc == 0; i++) {
            rc = max_of_segment(log, log->segs[i], &m);
        }
        if (rc == 0 && m.timestamp != NO_TIMESTAMP) {
            rc = exact_max(log, &m, out, &fits);
        }
        if (rc < 0 || fits) {
            return rc;
        }
    }
    return ERR_CORRUPT;
}

/* ---- by epoch ---- */

static int need_epochs(struct plog *log)
{
    return log->deleted || plog_offline(log) ? ERR_OFFLINE : plog_need_epochs(log);
}

int plog_epoch_of(struct plog *log, int64_t offset, int32_t *epoch)
{
    int rc = need_epochs(log);
    *epoch = rc == 0 ? epoch_cache_of(log->epochs, offset) : -1;
    return rc;
}

int plog_latest_epoch(struct plog *log, int32_t *epoch)
{
    int rc = need_epochs(log);
    *epoch = rc == 0 ? epoch_cache_latest(log->epochs) : -1;
    return rc;
}

int plog_epoch_end_offset(struct plog *log, int32_t epoch, int32_t *found, int64_t *end)
{
    int rc = need_epochs(log);
    *found = -1;
    *end = -1;
    if (rc == 0) {
        epoch_cache_end_offset(log->epochs, epoch, log->end, found, end);
    }
    return rc;
}

int plog_begin_epoch(struct plog *log, int32_t epoch)
{
    if (log->deleted || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    if (epoch < 0) {
        return ERR_RANGE;
    }
    if (log->epochs == NULL) {
        log->begun_epoch = epoch;
    } else {
        epoch_cache_assign(log->epochs, epoch, log->end);
    }
    return 0;
}

/* ---- producers ---- */

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct plog_producer *)a)->producer_id;
    int64_t y = ((const struct plog_producer *)b)->producer_id;
    return x < y ? -1 : x > y;
}

int plog_producers(struct plog *log, struct arena *a, struct plog_producer **out, unsigned *count)
{
    *out = NULL;
    *count = 0;
    int rc = log->deleted || plog_offline(log) ? ERR_OFFLINE : plog_need_producers(log);
    if (rc < 0 || log->producers->map.count == 0) {
        return rc;
    }
    struct plog_producer *v = ARENA_ARRAY(a, struct plog_producer, log->producers->map.count);
    unsigned n = 0;
    map_for_each (slot, &log->producers->map) {
        const struct producer *p = slot->value;
        v[n++] = (struct plog_producer){
            .producer_id = p->id,
            .producer_epoch = p->epoch,
            .last_sequence = p->n ? p->batch[p->n - 1].last_seq : -1,
            .last_timestamp = p->last_ts,
            .txn_first_offset = p->txn_first,
            .coordinator_epoch = p->coordinator_epoch,
        };
    }
    qsort(v, n, sizeof *v, by_id);
    *out = v;
    *count = n;
    return 0;
}
