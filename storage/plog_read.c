/* From an offset to bytes of a file.
 *
 *     segment (binary search) -> .index (greatest entry <= offset) -> headers from there on
 *
 * The last batches appended are known by heart (log_tail.recent), so a reader at the end needs
 * neither. What the index says is checked against the batch it points to; an index that lies is
 * rebuilt on the spot. */
#include <string.h>

#include "base/assert.h"
#include "storage/batch_scan.h"
#include "storage/plog.h"

enum { LOOKUP_WINDOW = 4096 };

/* ---- one segment ---- */

/* The batch with last offset >= offset among the recent ones; false if it is not there. */
static bool locate_recent(const struct plog *log, const struct segment *seg, int64_t offset,
                          struct batch_place *p)
{
    const struct log_tail *t = log->tail;
    if (t == NULL || seg != plog_active(log) || t->recent_n == 0) {
        return false;
    }
    uint32_t least = t->recent_n > RECENT_MAX ? t->recent_n - RECENT_MAX : 0;
    uint64_t behind = seg->size;
    bool found = false;
    for (uint32_t i = t->recent_n; i > least; i--) {
        const struct boundary *b = &t->recent[(i - 1) % RECENT_MAX];
        if (b->last < offset) { /* between two batches there may be a gap */
            return found;
        }
        *p = (struct batch_place){.pos = b->pos,
                                  .size = (uint32_t)(behind - b->pos),
                                  .base_offset = b->offset,
                                  .leader_epoch = -1};
        if (b->offset <= offset) {
            return true;
        }
        found = true;
        behind = b->pos;
    }
    return false;
}

/* Walks from entry e on. 1 found, 0 the segment ends before, ERR_ (why in s). *bad_entry: the entry
 * does not fit the batch that it points to. */
static int walk(struct plog *log, struct segment *seg, const struct index_entry *e, int64_t offset,
                struct batch_scan *s, struct batch_place *p, bool *bad_entry)
{
    uint8_t window[LOOKUP_WINDOW];
    struct batch_header h;
    struct io_file *f;
    *bad_entry = false;
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    if (e->pos > seg->size) {
        *bad_entry = true;
        return 0;
    }
    batch_scan_init(s, f, e->pos, seg->size, window, sizeof window);
    bool first = e->pos != 0;
    while ((rc = batch_scan_next(s, &h)) == 1) {
        if (first && batch_last_offset(&h) != e->offset) {
            *bad_entry = true;
            return 0;
        }
        first = false;
        if (batch_last_offset(&h) >= offset) {
            *p = (struct batch_place){.pos = s->pos,
                                      .size = (uint32_t)batch_size(&h),
                                      .base_offset = h.base_offset,
                                      .leader_epoch = h.leader_epoch};
            return 1;
        }
    }
    *bad_entry = first && rc != ERR_IO;
    return rc;
}

int segment_locate(struct plog *log, struct segment *seg, int64_t offset, struct batch_place *p)
{
    struct index_entry e;
    struct batch_scan s = {0};
    bool bad;
    if (locate_recent(log, seg, offset, p)) {
        return 0;
    }
    int rc = segment_index_floor(log, seg, offset, &e);
    if (rc == 0) {
        rc = walk(log, seg, &e, offset, &s, p, &bad);
        if (bad) {
            rc = segment_repair_index(log, seg, "an entry does not fit its batch");
            if (rc == 0) {
                rc = segment_index_floor(log, seg, offset, &e);
            }
            if (rc == 0) {
                rc = walk(log, seg, &e, offset, &s, p, &bad);
            }
        }
    }
    if (rc == ERR_CORRUPT || rc == ERR_TRUNCATED) {
        log_error(log->st->lg, "storage",
                  "a batch cannot be read partition=%s file=%s position=%llu reason=\"%s\"",
                  log->name, segment_path(log, seg, SEG_LOG), (unsigned long long)s.pos, s.why);
        return ERR_CORRUPT;
    }
    if (rc == ERR_IO) {
        return plog_disk_error(log, rc, "reading a segment", segment_path(log, seg, SEG_LOG));
    }
    return rc == 1 ? 0 : rc == 0 ? ERR_NOTFOUND : rc;
}

/* ---- ranges ---- */

/* Position in the segment behind which nothing below `upper` lies. */
static int limit_position(struct plog *log, uint32_t i, int64_t upper, uint64_t *out)
{
    struct segment *seg = log->segs[i];
    struct batch_place p;
    *out = seg->size;
    if (upper >= log->end || (i + 1 < log->seg_n && upper >= log->segs[i + 1]->base)) {
        return 0;
    }
    int rc = segment_locate(log, seg, upper, &p);
    if (rc == 0) {
        *out = p.pos;
    }
    return rc == ERR_NOTFOUND ? 0 : rc;
}

static bool is_hot(const struct plog *log, const struct segment *seg, uint64_t pos)
{
    const struct log_tail *t = log->tail;
    if (t == NULL || seg != plog_active(log)) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (log->st->appended - t->hot_mark[i] <= log->st->opt.hot_bytes && pos >= t->hot_pos[i]) {
            return true;
        }
    }
    return false;
}

/* Segment and place of the first batch at or behind offset. ERR_NOTFOUND: none. */
static int find_batch(struct plog *log, int64_t offset, uint32_t *index, struct batch_place *p)
{
    int rc = ERR_NOTFOUND;
    uint32_t i = plog_segment_of(log, offset);
    for (; i < log->seg_n && rc == ERR_NOTFOUND; i++) {
        rc = log->segs[i]->size ? segment_locate(log, log->segs[i], offset, p) : ERR_NOTFOUND;
        *index = i;
    }
    return rc;
}

static int find_range(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one,
                      int64_t upper, struct plog_range *out)
{
    struct batch_place p;
    uint32_t i = 0;
    uint64_t limit = 0;
    *out = (struct plog_range){.base_offset = offset};
    if (log->deleted || plog_offline(log)) {
        return ERR_OFFLINE;
    }
    if (offset < log->start || offset > log->end) {
        return ERR_RANGE;
    }
    upper = upper < log->end ? upper : log->end;
    if (offset >= upper) {
        return 0;
    }
    int rc = find_batch(log, offset, &i, &p);
    if (rc == ERR_NOTFOUND || (rc == 0 && p.base_offset >= upper)) {
        return 0;
    }
    if (rc == 0) {
        rc = limit_position(log, i, upper, &limit);
    }
    if (rc < 0) {
        return rc;
    }
    uint32_t max = min_one && p.size > max_bytes ? p.size : max_bytes;
    uint64_t rest = limit > p.pos ? limit - p.pos : 0;
    out->pos = p.pos;
    out->len = rest < max ? (uint32_t)rest : max;
    out->base_offset = p.base_offset;
    out->segment = i;
    out->hot = is_hot(log, log->segs[i], p.pos);
    return 0;
}

int plog_read(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one, int64_t upper,
              struct plog_range *out)
{
    struct segment *seg;
    int rc = find_range(log, offset, max_bytes, min_one, upper, out);
    if (rc < 0 || out->len == 0) {
        return rc;
    }
    seg = log->segs[out->segment];
    rc = segment_open(log, seg, SEG_LOG, &out->file);
    if (rc < 0) {
        out->len = 0;
        return rc;
    }
    out->lease = file_lease_take(seg->file[SEG_LOG]);
    return 0;
}

int64_t plog_read_copy(struct plog *log, int64_t offset, uint32_t max_bytes, bool min_one,
                       int64_t upper, struct buf *out)
{
    struct plog_range r;
    struct io_file *f;
    int rc = find_range(log, offset, max_bytes, min_one, upper, &r);
    if (rc < 0 || r.len == 0) {
        return rc;
    }
    struct segment *seg = log->segs[r.segment];
    rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    buf_reserve(out, r.len);
    int64_t n = io_pread(f, out->data + out->len, r.len, r.pos);
    if (n < 0) {
        return plog_disk_error(log, (int)n, "reading a segment", segment_path(log, seg, SEG_LOG));
    }
    out->len += (size_t)n;
    return n;
}

/* ---- aborted transactions ---- */

/* An offset that no batch of the range lies behind. */
static int range_upper(struct plog *log, const struct plog_range *r, int64_t *out)
{
    struct index_entry e;
    int rc = segment_index_at_pos(log, log->segs[r->segment], r->pos + r->len, &e);
    if (rc < 0) {
        return rc;
    }
    *out = rc == 1                       ? e.offset
           : r->segment + 1 < log->seg_n ? log->segs[r->segment + 1]->base
                                         : log->end;
    return 0;
}

struct aborted_list {
    struct plog_aborted *v;
    unsigned n;
    unsigned cap;
    struct arena *a;
};

static void add_aborted(struct aborted_list *l, const struct txn_entry *e)
{
    if (l->n == l->cap) {
        unsigned cap = l->cap ? l->cap * 2 : 8;
        struct plog_aborted *v = ARENA_ARRAY(l->a, struct plog_aborted, cap);
        if (l->n) {
            memcpy(v, l->v, l->n * sizeof *v);
        }
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (struct plog_aborted){e->producer_id, e->first};
}

/* 1: an entry said that all transactions below upper are decided before. */
static int collect_aborted(struct plog *log, struct segment *seg, int64_t from, int64_t upper,
                           struct aborted_list *l)
{
    uint32_t n;
    struct txn_entry e;
    int rc = segment_txn_count(log, seg, &n);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rc = segment_txn_get(log, seg, i, &e);
        if (rc == 0 && e.last >= from && e.first < upper) {
            add_aborted(l, &e);
        }
        if (rc == 0 && e.lso >= upper) {
            return 1;
        }
    }
    return rc;
}

int plog_aborted_txns(struct plog *log, int64_t fetch_offset, const struct plog_range *range,
                      struct arena *a, struct plog_aborted **out, unsigned *count)
{
    struct aborted_list l = {.a = a};
    int64_t upper = 0;
    *out = NULL;
    *count = 0;
    if (range->len == 0) {
        return 0;
    }
    ASSERT(range->segment < log->seg_n);
    int rc = 0;
    bool any = false;
    for (uint32_t i = range->segment; i < log->seg_n; i++) {
        any = any || (log->segs[i]->flags & SEG_HAS_TXN);
    }
    if (any) {
        rc = range_upper(log, range, &upper);
    }
    for (uint32_t i = range->segment; any && i < log->seg_n && rc == 0; i++) {
        rc = collect_aborted(log, log->segs[i], fetch_offset, upper, &l);
    }
    if (rc < 0) {
        return rc;
    }
    *out = l.v;
    *count = l.n;
    return 0;
}
