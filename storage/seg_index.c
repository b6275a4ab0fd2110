/* .index and .timeindex of a segment: formats.md section 3.
 *
 *     .index     int32 last offset of a batch - base, int32 its position
 *     .timeindex int64 largest timestamp so far, int32 last offset of the batch that has it - base
 *
 * Both have their full size (segment.index.bytes, sparse) while the segment is written to, and are
 * cut when it is sealed. New entries wait in memory (struct log_tail) and are appended some at a
 * time with plain writes: no file is mapped, so neither a full disk nor a truncation can hit us in
 * the back. What is found in an index is checked by its users against the batch that it points to.
 *
 * After a crash the files end in zeros; an entry of zeros is no entry (no batch at position 0 is
 * ever entered in .index). A .timeindex may begin with (0, 0) rightly: then it is lost, which costs
 * a scan. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

enum {
    CHUNK = 4096,       /* bytes of an index read at once when the search is nearly done */
    PENDING_MAX = 2048, /* bytes of entries that may wait in memory */
    RELATIVE_MAX = 0x7fffffff,
};

uint32_t segment_index_max(const struct log_config *c)
{
    return (uint32_t)(c->segment_index_bytes / INDEX_ENTRY);
}

uint32_t segment_time_max(const struct log_config *c)
{
    return (uint32_t)(c->segment_index_bytes / TIME_ENTRY);
}

/* ---- reading ---- */

struct index_kind {
    enum segment_file file;
    uint32_t entry;
};
static const struct index_kind INDEX = {SEG_INDEX, INDEX_ENTRY};
static const struct index_kind TIME = {SEG_TIME, TIME_ENTRY};

static int read_file(struct plog *log, struct segment *seg, const struct index_kind *k, void *p,
                     uint32_t first, uint32_t count)
{
    struct io_file *f;
    int rc = segment_open(log, seg, k->file, &f);
    if (rc < 0) {
        return rc;
    }
    size_t n = (size_t)count * k->entry;
    int64_t got = io_pread(f, p, n, (uint64_t)first * k->entry);
    if (got == (int64_t)n) {
        return 0;
    }
    const char *path = segment_path(log, seg, k->file);
    return got < 0 ? plog_disk_error(log, (int)got, "reading an index", path) : ERR_TRUNCATED;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

/* Entries in the file: what its size says, less the zeros at its end. Zeros cannot stand between
 * entries, because entries ascend. */
static int count_entries(struct plog *log, struct segment *seg, const struct index_kind *k,
                         uint32_t *out)
{
    struct io_file *f;
    uint64_t size;
    uint8_t e[TIME_ENTRY];
    int rc = segment_open(log, seg, k->file, &f);
    if (rc < 0) {
        return rc;
    }
    rc = io_file_size(f, &size);
    if (rc < 0) {
        return plog_disk_error(log, rc, "asking an index's size", segment_path(log, seg, k->file));
    }
    uint32_t lo = 0,
             hi = size / k->entry > RELATIVE_MAX ? RELATIVE_MAX : (uint32_t)(size / k->entry);
    bool first = true;
    while (lo < hi) {
        /* The last one first: nearly always it is an entry, and that is all. */
        uint32_t mid = first ? hi - 1 : lo + (hi - lo) / 2;
        first = false;
        rc = read_file(log, seg, k, e, mid, 1);
        if (rc < 0) {
            return rc;
        }
        if (is_zero(e, k->entry)) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    *out = lo;
    return 0;
}

static struct index_entry parse_index(const struct segment *seg, const uint8_t *p)
{
    return (struct index_entry){.offset = seg->base + (int32_t)load_be32(p),
                                .pos = load_be32(p + 4)};
}

static struct time_entry parse_time(const struct segment *seg, const uint8_t *p)
{
    return (struct time_entry){.timestamp = (int64_t)load_be64(p),
                               .offset = seg->base + (int32_t)load_be32(p + 8)};
}

int segment_index_load(struct plog *log, struct segment *seg)
{
    if (seg->flags & SEG_INDEX_KNOWN) {
        return 0;
    }
    int rc = count_entries(log, seg, &INDEX, &seg->index_n);
    if (rc == 0) {
        seg->flags |= SEG_INDEX_KNOWN;
    }
    return rc;
}

int segment_time_load(struct plog *log, struct segment *seg)
{
    if (seg->flags & SEG_TIME_KNOWN) {
        return 0;
    }
    uint8_t e[TIME_ENTRY];
    int rc = count_entries(log, seg, &TIME, &seg->time_n);
    if (rc < 0) {
        return rc;
    }
    seg->largest_ts = NO_TIMESTAMP;
    seg->largest_ts_offset = seg->base;
    if (seg->time_n > 0) {
        rc = read_file(log, seg, &TIME, e, seg->time_n - 1, 1);
        if (rc < 0) {
            return rc;
        }
        struct time_entry t = parse_time(seg, e);
        seg->largest_ts = t.timestamp;
        seg->largest_ts_offset = t.offset;
    }
    seg->flags |= SEG_TIME_KNOWN;
    return 0;
}

/* Entries of the segment that are in the file; the others wait in the tail. */
static uint32_t in_file(const struct plog *log, const struct segment *seg,
                        const struct index_kind *k)
{
    uint32_t n = k->file == SEG_INDEX ? seg->index_n : seg->time_n;
    if (log->tail == NULL || seg != plog_active(log)) {
        return n;
    }
    return k->file == SEG_INDEX ? log->tail->index_done : log->tail->time_done;
}

/* Entries [first, first + count), all in the file or all pending. */
static int read_entries(struct plog *log, struct segment *seg, const struct index_kind *k, void *p,
                        uint32_t first, uint32_t count)
{
    uint32_t done = in_file(log, seg, k);
    if (first >= done) {
        const struct buf *b =
            k->file == SEG_INDEX ? &log->tail->index_pending : &log->tail->time_pending;
        size_t at = (size_t)(first - done) * k->entry;
        ASSERT(at + (size_t)count * k->entry <= b->len);
        memcpy(p, b->data + at, (size_t)count * k->entry);
        return 0;
    }
    return read_file(log, seg, k, p, first, count);
}

int segment_index_get(struct plog *log, struct segment *seg, uint32_t i, struct index_entry *e)
{
    uint8_t p[INDEX_ENTRY];
    int rc = segment_index_load(log, seg);
    if (rc == 0) {
        ASSERT(i < seg->index_n);
        rc = read_entries(log, seg, &INDEX, p, i, 1);
    }
    if (rc == 0) {
        *e = parse_index(seg, p);
    }
    return rc;
}

int segment_time_get(struct plog *log, struct segment *seg, uint32_t i, struct time_entry *e)
{
    uint8_t p[TIME_ENTRY];
    int rc = segment_time_load(log, seg);
    if (rc == 0) {
        ASSERT(i < seg->time_n);
        rc = read_entries(log, seg, &TIME, p, i, 1);
    }
    if (rc == 0) {
        *e = parse_time(seg, p);
    }
    return rc;
}

/* ---- searching ---- */

/* The columns of an entry as one ascending key each. */
enum search_key { BY_OFFSET, BY_POS, BY_TIME };

static int64_t key_of(const struct segment *seg, const uint8_t *p, enum search_key by)
{
    switch (by) {
    case BY_OFFSET:
        return parse_index(seg, p).offset;
    case BY_POS:
        return parse_index(seg, p).pos;
    default:
        return parse_time(seg, p).timestamp;
    }
}

/* Number of entries whose key is <= target. */
static int count_up_to(struct plog *log, struct segment *seg, const struct index_kind *k,
                       enum search_key by, int64_t target, uint32_t *out)
{
    uint8_t chunk[CHUNK];
    uint32_t n = k->file == SEG_INDEX ? seg->index_n : seg->time_n;
    uint32_t done = in_file(log, seg, k);
    uint32_t lo = 0, hi = n;
    int rc;
    if (done > 0 && done < n) { /* is it among those in memory? */
        rc = read_entries(log, seg, k, chunk, done, 1);
        if (rc < 0) {
            return rc;
        }
        if (key_of(seg, chunk, by) <= target) {
            lo = done;
        } else {
            hi = done;
        }
    }
    uint32_t per_chunk = CHUNK / k->entry;
    while (hi - lo > per_chunk) {
        uint32_t mid = lo + (hi - lo) / 2;
        rc = read_entries(log, seg, k, chunk, mid, 1);
        if (rc < 0) {
            return rc;
        }
        if (key_of(seg, chunk, by) <= target) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < hi) {
        rc = read_entries(log, seg, k, chunk, lo, hi - lo);
        if (rc < 0) {
            return rc;
        }
    }
    uint32_t at = lo;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (key_of(seg, chunk + (size_t)(mid - at) * k->entry, by) <= target) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *out = lo;
    return 0;
}

int segment_index_floor(struct plog *log, struct segment *seg, int64_t target,
                        struct index_entry *e)
{
    uint32_t n;
    int rc = segment_index_load(log, seg);
    if (rc == 0) {
        rc = count_up_to(log, seg, &INDEX, BY_OFFSET, target, &n);
    }
    if (rc < 0) {
        return rc;
    }
    if (n == 0) {
        *e = (struct index_entry){.offset = seg->base, .pos = 0};
        return 0;
    }
    return segment_index_get(log, seg, n - 1, e);
}

int segment_index_at_pos(struct plog *log, struct segment *seg, uint64_t pos, struct index_entry *e)
{
    uint32_t n;
    int rc = segment_index_load(log, seg);
    if (rc == 0) {
        rc = count_up_to(log, seg, &INDEX, BY_POS, (int64_t)pos - 1, &n);
    }
    if (rc < 0 || n == seg->index_n) {
        return rc;
    }
    rc = segment_index_get(log, seg, n, e);
    return rc < 0 ? rc : 1;
}

int segment_time_floor(struct plog *log, struct segment *seg, int64_t target, struct time_entry *e)
{
    uint32_t n;
    int rc = segment_time_load(log, seg);
    if (rc == 0) {
        rc = count_up_to(log, seg, &TIME, BY_TIME, target, &n);
    }
    if (rc < 0) {
        return rc;
    }
    if (n == 0) {
        *e = (struct time_entry){.timestamp = NO_TIMESTAMP, .offset = seg->base};
        return 0;
    }
    return segment_time_get(log, seg, n - 1, e);
}

/* ---- the tail ---- */

static int64_t draw_jitter(struct plog *log)
{
    const struct log_config *c = log->config;
    int64_t max = c->segment_jitter_ms < c->segment_ms ? c->segment_jitter_ms : c->segment_ms;
    if (max <= 0) {
        return 0;
    }
    uint64_t r;
    io_random(log->st->io, &r, sizeof r);
    return (int64_t)(r % (uint64_t)max);
}

/* Max timestamp of the segment's first batch: what rolling by time counts from. */
static int first_timestamp(struct plog *log, struct segment *seg, int64_t *out)
{
    uint8_t p[BATCH_HEADER_SIZE];
    struct batch_header h;
    struct io_file *f;
    *out = NO_TIMESTAMP;
    if (seg->size < sizeof p) {
        return 0;
    }
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    int64_t got = io_pread(f, p, sizeof p, 0);
    if (got < 0) {
        return plog_disk_error(log, (int)got, "reading a segment", segment_path(log, seg, SEG_LOG));
    }
    if (got == (int64_t)sizeof p && batch_header_read(bytes_of(p, sizeof p), &h) == 0) {
        *out = h.max_timestamp;
    }
    return 0;
}

/* Grows both index files to their full size, as Kafka keeps them while they are written to. */
static int pad(struct plog *log, struct segment *seg)
{
    struct io_file *f;
    if (seg->flags & SEG_PADDED) {
        return 0;
    }
    const uint64_t sizes[2] = {(uint64_t)segment_index_max(log->config) * INDEX_ENTRY,
                               (uint64_t)segment_time_max(log->config) * TIME_ENTRY};
    const uint64_t used[2] = {(uint64_t)seg->index_n * INDEX_ENTRY,
                              (uint64_t)seg->time_n * TIME_ENTRY};
    for (int i = 0; i < 2; i++) {
        enum segment_file which = i == 0 ? SEG_INDEX : SEG_TIME;
        int rc = segment_open(log, seg, which, &f);
        /* Cut first: what lies behind the entries that count must be zeros. */
        if (rc == 0) {
            rc = io_truncate(f, used[i]);
        }
        if (rc == 0 && sizes[i] > used[i]) {
            rc = io_truncate(f, sizes[i]);
        }
        if (rc < 0) {
            return plog_disk_error(log, rc, "growing an index", segment_path(log, seg, which));
        }
    }
    seg->flags |= SEG_PADDED | SEG_INDEX_DIRTY;
    return 0;
}

int plog_tail(struct plog *log, struct log_tail **out)
{
    struct segment *seg = plog_active(log);
    if (log->tail) {
        *out = log->tail;
        return 0;
    }
    int64_t first_ts = 0;
    struct time_entry last = {.timestamp = NO_TIMESTAMP};
    int rc = segment_index_load(log, seg);
    if (rc == 0) {
        rc = segment_time_load(log, seg);
    }
    if (rc == 0 && seg->time_n > 0) {
        last.timestamp = seg->largest_ts; /* as it was loaded */
        if (seg->flags & SEG_TIME_OWED) {
            rc = segment_time_get(log, seg, seg->time_n - 1, &last);
        }
    }
    if (rc == 0) {
        rc = first_timestamp(log, seg, &first_ts);
    }
    if (rc == 0) {
        rc = pad(log, seg);
    }
    if (rc < 0) {
        return rc;
    }
    struct log_tail *t = MEM_NEW(struct log_tail);
    t->first_ts = first_ts;
    t->created_ms = io_wall_ms(log->st->io);
    t->jitter_ms = draw_jitter(log);
    t->index_done = seg->index_n;
    t->time_done = seg->time_n;
    t->last_time = last.timestamp;
    seg->flags &= ~(uint32_t)SEG_TIME_OWED;
    t->behind_pos = seg->size;
    t->hot_pos[0] = t->hot_pos[1] = seg->size;
    t->hot_mark[0] = t->hot_mark[1] = log->st->appended;
    log->tail = t;
    *out = t;
    return 0;
}

void plog_tail_free(struct plog *log)
{
    if (log->tail) {
        buf_free(&log->tail->index_pending);
        buf_free(&log->tail->time_pending);
        mem_free(log->tail);
        log->tail = NULL;
    }
}

static void put_time(struct log_tail *t, struct segment *seg)
{
    if (seg->largest_ts <= t->last_time) {
        return;
    }
    buf_put_be64(&t->time_pending, (uint64_t)seg->largest_ts);
    buf_put_be32(&t->time_pending, (uint32_t)(seg->largest_ts_offset - seg->base));
    t->last_time = seg->largest_ts;
    seg->time_n++;
}

void tail_note_batch(struct plog *log, struct segment *seg, const struct batch_header *h,
                     uint64_t pos)
{
    struct log_tail *t = log->tail;
    int64_t last = batch_last_offset(h);
    if (pos == 0) {
        t->first_ts = h->max_timestamp;
    }
    if (h->max_timestamp > seg->largest_ts) {
        seg->largest_ts = h->max_timestamp;
        seg->largest_ts_offset = last;
    }
    if (t->unindexed > (uint64_t)log->config->index_interval_bytes) {
        buf_put_be32(&t->index_pending, (uint32_t)(last - seg->base));
        buf_put_be32(&t->index_pending, (uint32_t)pos);
        seg->index_n++;
        /* One slot of the time index stays for the entry at the end: plog_must_roll. */
        put_time(t, seg);
        t->unindexed = 0;
    }
    t->unindexed += batch_size(h);
    t->recent[t->recent_n++ % RECENT_MAX] = (struct boundary){h->base_offset, last, pos};
}

void tail_note_last_time(struct plog *log, struct segment *seg)
{
    put_time(log->tail, seg);
}

static int write_pending(struct plog *log, struct segment *seg, const struct index_kind *k,
                         struct buf *b, uint32_t *done)
{
    struct io_file *f;
    if (b->len == 0) {
        return 0;
    }
    int rc = segment_open(log, seg, k->file, &f);
    if (rc < 0) {
        return rc;
    }
    int64_t n = io_pwrite(f, b->data, b->len, (uint64_t)*done * k->entry);
    if (n < 0) {
        return plog_disk_error(log, (int)n, "writing an index", segment_path(log, seg, k->file));
    }
    ASSERT((size_t)n == b->len);
    *done += (uint32_t)(b->len / k->entry);
    buf_clear(b);
    seg->flags |= SEG_INDEX_DIRTY;
    return 0;
}

int tail_write_pending(struct plog *log, struct segment *seg)
{
    struct log_tail *t = log->tail;
    ASSERT(t && seg == plog_active(log));
    int rc = write_pending(log, seg, &INDEX, &t->index_pending, &t->index_done);
    return rc < 0 ? rc : write_pending(log, seg, &TIME, &t->time_pending, &t->time_done);
}

bool tail_pending_full(const struct log_tail *t)
{
    return t->index_pending.len >= PENDING_MAX || t->time_pending.len >= PENDING_MAX;
}

int segment_trim(struct plog *log, struct segment *seg)
{
    struct io_file *f;
    const uint64_t used[2] = {(uint64_t)seg->index_n * INDEX_ENTRY,
                              (uint64_t)seg->time_n * TIME_ENTRY};
    ASSERT((seg->flags & SEG_INDEX_KNOWN) && (seg->flags & SEG_TIME_KNOWN));
    for (int i = 0; i < 2; i++) {
        enum segment_file which = i == 0 ? SEG_INDEX : SEG_TIME;
        uint64_t size = 0;
        int rc = segment_open(log, seg, which, &f);
        if (rc == 0) {
            rc = io_file_size(f, &size);
        }
        if (rc == 0 && size != used[i]) {
            rc = io_truncate(f, used[i]);
            seg->flags |= SEG_INDEX_DIRTY;
        }
        if (rc < 0) {
            return plog_disk_error(log, rc, "cutting an index", segment_path(log, seg, which));
        }
    }
    seg->flags &= ~(uint32_t)SEG_PADDED;
    return 0;
}

int tail_seal(struct plog *log, struct segment *seg)
{
    tail_note_last_time(log, seg);
    int rc = tail_write_pending(log, seg);
    return rc < 0 ? rc : segment_trim(log, seg);
}
