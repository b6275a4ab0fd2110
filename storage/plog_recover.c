/* Reading a log's batches again: after an unclean stop (formats.md 5.1), for an index that is gone
 * or lies, for the producer state and the epochs.
 *
 * Recovery reads every segment from the one that holds the recovery point to the end, headers below
 * the recovery point, whole batches with their CRC from there on. The first batch that is not good
 * ends the log: the rest of its file and all later segments go. Beyond the recovery point a segment
 * must begin where the one before ends (a power loss may have kept a later file and lost an
 * earlier one); compacted topics may have gaps. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto/record_legacy.h"
#include "storage/batch_scan.h"
#include "storage/checkpoint.h"
#include "storage/last_run.h"
#include "storage/plog.h"

enum {
    WINDOW = 64 << 10,
    EPOCHS_MAX = 16 << 20,
    SNAPSHOT_MAX = 256 << 20,
    TAIL_ENTRIES = 32, /* of indexes: so far the log is read for what a snapshot does not have */
};

/* ---- one batch, replayed ---- */

/* Feeds the producer state; an abort marker's entry goes into *aborted (producer_id >= 0 then). */
static int replay_batch(struct producer_state *ps, struct batch_scan *s,
                        const struct batch_header *h, struct txn_entry *aborted)
{
    struct producer p;
    struct bytes body;
    struct txn_marker m;
    int64_t first = -1;
    aborted->producer_id = -1;
    ps->map_end = batch_next_offset(h);
    if (!batch_has_producer(h)) {
        return 0;
    }
    producer_copy(ps, h->producer_id, &p);
    if (!batch_is_control(h)) {
        producer_check(&p, h, h->base_offset, PLOG_REPLICATION);
        producer_commit(ps, &p, -1, -1);
        return 0;
    }
    int rc = batch_scan_body(s, h, &body);
    if (rc < 0) {
        return rc;
    }
    rc = txn_marker_read(body, &m);
    if (rc <= 0) {
        return 0; /* emptied, another kind, or unreadable: as Kafka, no marker */
    }
    producer_check_marker(&p, h, &m, PLOG_REPLICATION, &first);
    producer_commit(ps, &p, first, h->base_offset);
    if (first >= 0 && !m.commit) {
        *aborted =
            (struct txn_entry){.producer_id = h->producer_id,
                               .first = first,
                               .last = h->base_offset,
                               .lso = producer_stable_after(ps, h->producer_id, h->base_offset)};
    }
    return 0;
}

/* ---- one segment ---- */

struct rebuild {
    struct plog *log;
    struct segment *seg;
    int64_t check_from;
    int64_t last; /* offset of the batch before */
    struct producer_state *ps;
    bool epochs;
    struct buf index;
    struct buf time;
    int64_t last_time;
    uint64_t entry_pos; /* of the batch entered last */
    struct recover_result *r;
};

static void put_time(struct rebuild *b)
{
    if (b->seg->largest_ts > b->last_time) {
        buf_put_be64(&b->time, (uint64_t)b->seg->largest_ts);
        buf_put_be32(&b->time, (uint32_t)(b->seg->largest_ts_offset - b->seg->base));
        b->last_time = b->seg->largest_ts;
    }
}

static void put_entries(struct rebuild *b, const struct batch_header *h, uint64_t pos)
{
    int64_t last = batch_last_offset(h);
    if (h->max_timestamp > b->seg->largest_ts) {
        b->seg->largest_ts = h->max_timestamp;
        b->seg->largest_ts_offset = last;
    }
    if (pos - b->entry_pos > (uint64_t)b->log->config->index_interval_bytes) {
        buf_put_be32(&b->index, (uint32_t)(last - b->seg->base));
        buf_put_be32(&b->index, (uint32_t)pos);
        put_time(b);
        b->entry_pos = pos;
    }
}

static int reject(struct rebuild *b, const char *why)
{
    snprintf(b->r->why, sizeof b->r->why, "%s", why);
    return ERR_CORRUPT;
}

static int check_batch(struct rebuild *b, struct batch_scan *s, const struct batch_header *h)
{
    struct bytes body;
    int64_t last = batch_last_offset(h);
    if (h->base_offset <= b->last || h->last_offset_delta < 0 || last - b->seg->base > INT32_MAX) {
        return reject(b, "its offset is out of range");
    }
    if (last < b->check_from) {
        return 0;
    }
    int rc = batch_scan_body(s, h, &body);
    if (rc < 0) {
        return rc == ERR_TRUNCATED ? reject(b, s->why) : rc;
    }
    bool good = h->magic == BATCH_MAGIC ? batch_crc_check(body) : legacy_crc_check(body);
    return good ? 0 : reject(b, "its checksum is wrong");
}

static int take_batch(struct rebuild *b, struct batch_scan *s, const struct batch_header *h)
{
    struct txn_entry aborted;
    struct plog *log = b->log;
    int rc = check_batch(b, s, h);
    if (rc < 0) {
        return rc;
    }
    put_entries(b, h, s->pos);
    b->last = batch_last_offset(h);
    if (b->epochs && h->leader_epoch > epoch_cache_latest(log->epochs) &&
        epoch_cache_assign(log->epochs, h->leader_epoch, h->base_offset)) {
        log->epochs_dirty = true;
    }
    if (b->ps) {
        rc = replay_batch(b->ps, s, h, &aborted);
        if (rc == 0 && aborted.producer_id >= 0) {
            rc = segment_txn_append(log, b->seg, &aborted);
        }
    }
    b->r->valid = s->next;
    b->r->end = batch_next_offset(h);
    return rc;
}

static int write_index(struct rebuild *b, enum segment_file which, const struct buf *text)
{
    struct plog *log = b->log;
    struct cached_file *cf;
    const char *path = segment_path(log, b->seg, which);
    file_cache_drop(&b->seg->file[which]);
    int rc = file_cache_get(&log->st->files, &b->seg->file[which], path,
                            IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &cf);
    if (rc == 0 && text->len) {
        int64_t n = io_pwrite(cf->file, text->data, text->len, 0);
        rc = n < 0 ? (int)n : 0;
    }
    return rc < 0 ? plog_disk_error(log, rc, "rebuilding an index", path) : 0;
}

static int write_indexes(struct rebuild *b)
{
    struct segment *seg = b->seg;
    put_time(b); /* as a segment that was closed */
    int rc = write_index(b, SEG_INDEX, &b->index);
    if (rc == 0) {
        rc = write_index(b, SEG_TIME, &b->time);
    }
    if (rc < 0) {
        return rc;
    }
    seg->index_n = (uint32_t)(b->index.len / INDEX_ENTRY);
    seg->time_n = (uint32_t)(b->time.len / TIME_ENTRY);
    seg->flags |= SEG_INDEX_KNOWN | SEG_TIME_KNOWN | SEG_INDEX_DIRTY | SEG_NEW_NAME;
    seg->flags &= ~(uint32_t)(SEG_PADDED | SEG_NO_INDEX);
    return 0;
}

static int walk_segment(struct rebuild *b, struct io_file *f)
{
    struct batch_scan s;
    struct batch_header h;
    void *window = mem_alloc(WINDOW);
    int rc;
    batch_scan_init(&s, f, 0, b->seg->size, window, WINDOW);
    while ((rc = batch_scan_next(&s, &h)) == 1) {
        rc = take_batch(b, &s, &h);
        if (rc < 0) {
            break;
        }
    }
    if ((rc == ERR_TRUNCATED || rc == ERR_CORRUPT) && b->r->why[0] == 0) {
        reject(b, s.why);
    }
    batch_scan_free(&s);
    mem_free(window);
    return b->r->why[0] ? 0 : rc;
}

int segment_rebuild(struct plog *log, struct segment *seg, int64_t check_from,
                    struct producer_state *ps, bool epochs, struct recover_result *r)
{
    struct rebuild b = {.log = log,
                        .seg = seg,
                        .check_from = check_from,
                        .last = seg->base - 1,
                        .ps = ps,
                        .epochs = epochs,
                        .last_time = NO_TIMESTAMP,
                        .r = r};
    struct io_file *f;
    *r = (struct recover_result){.end = seg->base};
    seg->largest_ts = NO_TIMESTAMP;
    seg->largest_ts_offset = seg->base;
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc == 0 && ps) {
        rc = segment_txn_truncate(log, seg, INT64_MIN);
    }
    if (rc == 0) {
        /* Held: aborted transactions open another file, which might evict this one. */
        struct file_lease lease = file_lease_take(seg->file[SEG_LOG]);
        rc = walk_segment(&b, f);
        file_lease_release(&lease);
        if (rc == ERR_IO) {
            plog_disk_error(log, rc, "reading a segment", segment_path(log, seg, SEG_LOG));
        }
    }
    if (rc == 0) {
        rc = write_indexes(&b);
    }
    buf_free(&b.index);
    buf_free(&b.time);
    return rc;
}

int segment_repair_index(struct plog *log, struct segment *seg, const char *why)
{
    struct recover_result r;
    log_warn(log->st->lg, "storage", "index rebuilt partition=%s file=%s reason=\"%s\"", log->name,
             segment_path(log, seg, SEG_INDEX), why);
    if (seg == plog_active(log)) {
        plog_tail_free(log);
    }
    return segment_rebuild(log, seg, INT64_MAX, NULL, false, &r);
}

/* ---- producer state ---- */

/* The newest snapshot that can be read, at most at `upto`; *from gets its offset, or the log's
 * start with an empty state. */
static int load_snapshot(struct plog *log, struct producer_state *ps, int64_t upto, int64_t *from)
{
    struct log_store *st = log->st;
    int64_t now = io_wall_ms(st->io);
    producer_state_clear(ps);
    for (uint32_t i = log->snap_n; i-- > 0;) {
        int64_t at = log->snaps[i];
        struct buf text = {0};
        if (at > upto || at <= log->start) {
            continue;
        }
        const char *path = plog_file_path(log, at, ".snapshot");
        int rc = io_read_file(st->io, path, SNAPSHOT_MAX, &text);
        if (rc == 0) {
            rc = producer_snapshot_read(ps, buf_bytes(&text), now,
                                        log->config->producer_id_expiration_ms);
        }
        buf_free(&text);
        if (rc == 0) {
            *from = at;
            return 0;
        }
        if (rc != ERR_CORRUPT && rc != ERR_NOTFOUND) {
            return plog_disk_error(log, rc, "reading a snapshot", path);
        }
        log_warn(st->lg, "storage", "producer snapshot dropped file=%s reason=\"%s\"", path,
                 err_text(rc));
        io_unlink(st->io, path);
        memmove(log->snaps + i, log->snaps + i + 1, (log->snap_n - i - 1) * sizeof *log->snaps);
        log->snap_n--;
    }
    *from = log->start > log->segs[0]->base ? log->start : log->segs[0]->base;
    return 0;
}

/* Replays the batches of [from, upto) that lie in the segment. */
static int replay_segment(struct plog *log, struct segment *seg, struct producer_state *ps,
                          int64_t from, int64_t upto)
{
    struct batch_place place = {0};
    struct txn_entry aborted;
    struct io_file *f;
    struct batch_scan s;
    struct batch_header h;
    int rc = 0;
    if (seg->size == 0) {
        return 0;
    }
    if (from > seg->base) {
        rc = segment_locate(log, seg, from, &place);
        if (rc < 0) {
            return rc == ERR_NOTFOUND ? 0 : rc;
        }
    }
    rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    void *window = mem_alloc(WINDOW);
    batch_scan_init(&s, f, place.pos, seg->size, window, WINDOW);
    while ((rc = batch_scan_next(&s, &h)) == 1 && h.base_offset < upto) {
        /* The log may start within a batch. */
        rc = batch_last_offset(&h) < from ? 0 : replay_batch(ps, &s, &h, &aborted);
        if (rc < 0) {
            break;
        }
    }
    if (rc < 0) {
        log_error(log->st->lg, "storage",
                  "a batch cannot be read partition=%s file=%s position=%llu reason=\"%s\"",
                  log->name, segment_path(log, seg, SEG_LOG), (unsigned long long)s.pos, s.why);
        if (rc == ERR_IO) {
            plog_disk_error(log, rc, "reading a segment", segment_path(log, seg, SEG_LOG));
        }
    }
    batch_scan_free(&s);
    mem_free(window);
    /* A sealed segment that cannot be parsed to its end must not stop the log: what comes behind
     * still counts. */
    return rc == 1 || rc == ERR_CORRUPT || rc == ERR_TRUNCATED ? 0 : rc;
}

static int replay(struct plog *log, struct producer_state *ps, int64_t from, int64_t upto)
{
    int rc = 0;
    for (uint32_t i = plog_segment_of(log, from); i < log->seg_n && rc == 0; i++) {
        if (log->segs[i]->base >= upto) {
            break;
        }
        rc = replay_segment(log, log->segs[i], ps, from, upto);
    }
    ps->map_end = upto;
    return rc;
}

/* Where reading backwards from `upto` has seen so many index entries: that is 4 KiB or a batch
 * each. The index is only a hint for it. */
static int64_t tail_start(struct plog *log, int64_t upto)
{
    int64_t from = log->segs[0]->base;
    uint32_t left = TAIL_ENTRIES;
    for (uint32_t i = plog_segment_of(log, upto - 1) + 1; i-- > 0 && left > 0;) {
        struct segment *seg = log->segs[i];
        struct index_entry e;
        from = seg->base;
        if (segment_index_load(log, seg) < 0) {
            break;
        }
        if (seg->index_n > left) {
            from = segment_index_get(log, seg, seg->index_n - left, &e) < 0 ? from : e.offset;
            break;
        }
        left -= seg->index_n;
    }
    return from < log->start ? log->start : from;
}

/* A snapshot at `upto` has the last batch of each producer alone. One with several in flight, whose
 * acknowledgements were lost when the leader stopped, sends them all again: those before the last
 * one are known from the log's tail, where they are still there. */
static int recall_batches(struct plog *log, struct producer_state *ps, int64_t upto)
{
    struct producer_state tail;
    int rc = 0;
    if (ps->map.count == 0) {
        return 0;
    }
    producer_state_init(&tail);
    int64_t from = tail_start(log, upto);
    if (from < upto) {
        rc = replay(log, &tail, from, upto);
    }
    if (rc == 0) {
        producer_recall(ps, &tail);
    }
    producer_state_free(&tail);
    return rc;
}

/* A new producer state that holds all below `upto`. */
static int state_at(struct plog *log, int64_t upto, struct producer_state **out)
{
    struct producer_state *ps = MEM_NEW(struct producer_state);
    int64_t from = 0;
    producer_state_init(ps);
    int rc = load_snapshot(log, ps, upto, &from);
    if (rc == 0) {
        rc = recall_batches(log, ps, from);
    }
    if (rc == 0 && from < upto) {
        rc = replay(log, ps, from, upto);
    }
    if (rc < 0) {
        producer_state_free(ps);
        mem_free(ps);
        return rc;
    }
    ps->map_end = upto;
    *out = ps;
    return 0;
}

int plog_need_producers(struct plog *log)
{
    if (log->producers) {
        return 0;
    }
    int rc = state_at(log, log->end, &log->producers);
    if (rc == 0) {
        producer_high_watermark(log->producers, log->hw);
    }
    return rc;
}

/* ---- epochs ---- */

static int load_epoch(void *ctx, int64_t epoch, int64_t start)
{
    struct epoch_cache *c = ctx;
    if (epoch < 0 || epoch > INT32_MAX || start < 0 ||
        (c->n && (c->e[c->n - 1].epoch >= epoch || c->e[c->n - 1].start > start))) {
        return ERR_CORRUPT;
    }
    epoch_cache_assign(c, (int32_t)epoch, start);
    return 0;
}

/* The epochs as the batches have them: when the file cannot be read. */
static int epochs_from_batches(struct plog *log)
{
    struct batch_header h;
    struct io_file *f;
    int rc = 0;
    epoch_cache_clear(log->epochs);
    for (uint32_t i = 0; i < log->seg_n && rc >= 0; i++) {
        struct batch_scan s;
        rc = segment_open(log, log->segs[i], SEG_LOG, &f);
        if (rc < 0) {
            return rc;
        }
        void *window = mem_alloc(WINDOW);
        batch_scan_init(&s, f, 0, log->segs[i]->size, window, WINDOW);
        while ((rc = batch_scan_next(&s, &h)) == 1) {
            if (h.leader_epoch > epoch_cache_latest(log->epochs)) {
                epoch_cache_assign(log->epochs, h.leader_epoch, h.base_offset);
            }
        }
        rc = rc == ERR_CORRUPT || rc == ERR_TRUNCATED ? 0 : rc;
        batch_scan_free(&s);
        mem_free(window);
    }
    log->epochs_dirty = true;
    return rc;
}

static int read_epochs(struct plog *log)
{
    struct log_store *st = log->st;
    struct buf text = {0};
    struct errmsg em = {{0}};
    buf_clear(&st->path);
    buf_printf(&st->path, "%s/leader-epoch-checkpoint", log->path);
    int rc = io_read_file(st->io, buf_cstr(&st->path), EPOCHS_MAX, &text);
    if (rc == ERR_NOTFOUND) {
        rc = 0;
    } else if (rc < 0) {
        plog_disk_error(log, rc, "reading the leader epochs", buf_cstr(&st->path));
    } else {
        rc = checkpoint_parse_pairs(buf_bytes(&text), load_epoch, log->epochs, &em);
        if (rc < 0) {
            log_warn(st->lg, "storage", "leader epochs rebuilt file=%s reason=\"%s\"",
                     buf_cstr(&st->path), em.text);
            rc = epochs_from_batches(log);
        }
    }
    buf_free(&text);
    return rc;
}

/* The file may be of a time when the log started later: a start offset moves the first epoch's, and
 * its checkpoint may be lost in a crash. Then the first batch tells. */
int plog_mend_first_epoch(struct plog *log)
{
    struct epoch_cache *c = log->epochs;
    struct batch_place place;
    struct segment *seg = log->segs[plog_segment_of(log, log->start)];
    if ((c->n && c->e[0].start <= log->start) || seg->size == 0 || log->start >= log->end) {
        return 0;
    }
    int rc = segment_locate(log, seg, log->start, &place);
    if (rc < 0 || place.leader_epoch < 0 || (c->n == 0 && place.base_offset > log->start)) {
        return rc == ERR_NOTFOUND || rc == ERR_CORRUPT ? 0 : rc;
    }
    if (c->n && c->e[0].epoch == place.leader_epoch) {
        c->e[0].start = log->start;
        log->epochs_dirty = true;
        return 0;
    }
    return epochs_from_batches(log);
}

/* As the file has them. */
static int load_epochs(struct plog *log)
{
    log->epochs = MEM_NEW(struct epoch_cache);
    int rc = read_epochs(log);
    if (rc < 0) {
        epoch_cache_free(log->epochs);
        mem_free(log->epochs);
        log->epochs = NULL;
        return rc;
    }
    bool changed = epoch_cache_truncate_end(log->epochs, log->end);
    changed |= epoch_cache_truncate_start(log->epochs, log->start);
    log->epochs_dirty |= changed;
    if (log->begun_epoch >= 0) {
        epoch_cache_assign(log->epochs, log->begun_epoch, log->end);
        log->begun_epoch = -1;
    }
    return 0;
}

int plog_need_epochs(struct plog *log)
{
    if (log->epochs) {
        return 0;
    }
    int rc = load_epochs(log);
    return rc < 0 ? rc : plog_mend_first_epoch(log);
}

void plog_epochs_text(const struct plog *log, struct buf *out)
{
    uint32_t n = log->epochs->n;
    while (n && log->epochs->e[n - 1].start >= log->end) {
        n--;
    }
    buf_printf(out, "0\n%u\n", n);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%d %lld\n", log->epochs->e[i].epoch, (long long)log->epochs->e[i].start);
    }
}

int plog_write_epochs(struct plog *log)
{
    struct log_store *st = log->st;
    struct buf text = {0};
    if (!log->epochs_dirty || log->epochs == NULL) {
        return 0;
    }
    if (plog_flush_writes_epochs(log)) { /* a worker is at it: the next flush writes them again */
        log->want_full = true;
        return 0;
    }
    plog_epochs_text(log, &text);
    buf_clear(&st->path);
    buf_printf(&st->path, "%s/leader-epoch-checkpoint", log->path);
    int rc = io_replace_file(st->io, buf_cstr(&st->path), text.data, text.len);
    buf_free(&text);
    if (rc < 0) {
        return plog_disk_error(log, rc, "writing the leader epochs", buf_cstr(&st->path));
    }
    log->epochs_dirty = false;
    return 0;
}

/* ---- the whole log ---- */

int plog_doubt(struct plog *log, const char *why)
{
    struct log_store *st = log->st;
    buf_clear(&st->path);
    buf_printf(&st->path, "%.*s", (int)(log->name - log->path) - 1, log->path);
    int rc = last_run_remove(st->io, buf_cstr(&st->path));
    if (rc < 0) {
        return plog_disk_error(log, rc, "taking the note of the last run away", log->path);
    }
    log_debug(st->lg, "storage", "records may be lost partition=%s reason=\"%s\"", log->name, why);
    return 0;
}

/* What an append leaves that the end of its process cut in two: the first bytes of a batch, at the
 * end of the newest segment. Nobody was told of it. */
static int is_torn_append(struct plog *log, uint32_t i, const struct recover_result *r)
{
    uint8_t head[BATCH_LOG_OVERHEAD];
    struct segment *seg = log->segs[i];
    uint64_t rest = seg->size - r->valid;
    size_t n = rest < sizeof head ? (size_t)rest : sizeof head;
    struct io_file *f;
    if (i + 1 < log->seg_n || r->end < log->vouched) {
        return 0;
    }
    int rc = segment_open(log, seg, SEG_LOG, &f);
    int64_t got = rc < 0 ? rc : io_pread(f, head, n, r->valid);
    if (got < 0) {
        return rc < 0 ? rc
                      : plog_disk_error(log, (int)got, "reading a segment",
                                        segment_path(log, seg, SEG_LOG));
    }
    if ((size_t)got < n || (n >= 8 && (int64_t)load_be64(head) < r->end)) {
        return 0;
    }
    int32_t length = n < sizeof head ? INT32_MAX : (int32_t)load_be32(head + BATCH_AT_LENGTH);
    return length > 0 && BATCH_LOG_OVERHEAD + (uint64_t)length > rest;
}

/* Cuts segment i to its good part and throws the later ones away. */
static int cut_log(struct plog *log, uint32_t i, const struct recover_result *r)
{
    struct segment *seg = log->segs[i];
    struct io_file *f;
    log_warn(log->st->lg, "storage",
             "log cut where it is not good partition=%s file=%s position=%llu bytes=%llu "
             "segments_dropped=%u end=%lld reason=\"%s\"",
             log->name, segment_path(log, seg, SEG_LOG), (unsigned long long)r->valid,
             (unsigned long long)(seg->size - r->valid), log->seg_n - i - 1, (long long)r->end,
             r->why);
    int rc = is_torn_append(log, i, r);
    rc = rc == 0 ? plog_doubt(log, r->why) : rc < 0 ? rc : 0;
    while (rc == 0 && log->seg_n > i + 1) {
        rc = plog_delete_segments(log, log->seg_n - 1, 1, "behind a batch that is not good");
    }
    if (rc == 0) {
        rc = segment_open(log, seg, SEG_LOG, &f);
    }
    if (rc == 0) {
        rc = io_truncate(f, r->valid);
        if (rc < 0) {
            plog_disk_error(log, rc, "cutting a segment", segment_path(log, seg, SEG_LOG));
        }
    }
    if (rc == 0) {
        log->size -= seg->size - r->valid;
        seg->size = r->valid;
        seg->flags |= SEG_DIRTY;
    }
    return rc;
}

/* A gap before segment i that a power loss may have made. */
static bool lost_between(const struct plog *log, uint32_t i, int64_t end)
{
    return i > 0 && log->segs[i]->base != end && log->segs[i]->base > log->recovery_point &&
           !log->config->cleanup_compact;
}

/* Snapshots behind `base` are made anew: what a power loss left of them may be of another history.
 */
static void drop_later_snapshots(struct plog *log, int64_t base)
{
    while (log->snap_n && log->snaps[log->snap_n - 1] > base) {
        log->snap_n--;
        io_unlink(log->st->io, plog_file_path(log, log->snaps[log->snap_n], ".snapshot"));
    }
}

/* An error of writing back that came after the last process had gone, or before it looked. Unless
 * all is known to be there, checksums must be of what the disk has: below the recovery point it is
 * flushed, from there on the kernel may show what will be gone once the page is. */
static int look_for_lost_writes(struct plog *log, struct segment *seg)
{
    struct io_file *f;
    int rc = segment_open(log, seg, SEG_LOG, &f);
    if (rc < 0) {
        return rc;
    }
    bool lost = io_lost_writes(f) < 0;
    if (lost || !log->kept) {
        io_forget(f);
    }
    return lost ? plog_doubt(log, "the kernel could not bring all of it to the disk") : 0;
}

static int recover_from(struct plog *log, uint32_t first)
{
    struct recover_result r = {.end = log->segs[first]->base};
    struct producer_state *ps = log->producers;
    int64_t now = io_wall_ms(log->st->io);
    for (uint32_t i = first; i < log->seg_n; i++) {
        struct segment *seg = log->segs[i];
        if (i > first && lost_between(log, i, r.end)) {
            snprintf(r.why, sizeof r.why, "the next segment begins at %lld", (long long)seg->base);
            r.valid = log->segs[i - 1]->size;
            return cut_log(log, i - 1, &r);
        }
        ps->map_end = seg->base;
        if (i > first) {
            int rc = plog_take_snapshot(log, seg->base);
            if (rc < 0) {
                return rc;
            }
            /* As if the snapshot were loaded again, which Kafka does for each segment. */
            producer_expire(ps, now, log->config->producer_id_expiration_ms, NULL);
        }
        int rc = look_for_lost_writes(log, seg);
        if (rc == 0) {
            rc = segment_rebuild(log, seg, log->recovery_point, ps, true, &r);
        }
        if (rc < 0) {
            return rc;
        }
        seg->flags |= SEG_DIRTY;
        log->end = r.end;
        if (r.why[0]) {
            return cut_log(log, i, &r);
        }
    }
    return 0;
}

int plog_recover(struct plog *log, int64_t from, struct errmsg *em)
{
    uint32_t first = plog_segment_of(log, from);
    int64_t base = log->segs[first]->base;
    int64_t started = io_now_ms(log->st->io);
    log->end = INT64_MAX; /* epochs of batches that are still to be read must stay */
    int rc = load_epochs(log);
    log->end = base;
    drop_later_snapshots(log, base);
    if (rc == 0) {
        epoch_cache_truncate_end(log->epochs, base);
        rc = state_at(log, base > log->start ? base : log->start, &log->producers);
    }
    if (rc == 0) {
        rc = recover_from(log, first);
    }
    if (rc < 0) {
        return errmsg_set(em, rc, "log %s cannot be recovered: %s", log->path, err_text(rc));
    }
    epoch_cache_truncate_end(log->epochs, log->end);
    log->epochs_dirty |= epoch_cache_truncate_start(log->epochs, log->start);
    log->producers->map_end = log->end;
    int64_t took = io_now_ms(log->st->io) - started;
    log_debug(log->st->lg, "storage", "log recovered partition=%s from=%lld end=%lld took_ms=%lld",
              log->name, (long long)base, (long long)log->end, (long long)took);
    return 0;
}
