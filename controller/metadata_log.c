/* Appending, reading, cutting and flushing; metadata_log.h tells the story. */
#include "controller/metadata_log_private.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "proto_messages.h"

/* ---- small things ---- */

const char *mlog_path(const struct metadata_log *log, char *out, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(out, MLOG_PATH_MAX, "%s/", log->path);
    ASSERT(n > 0 && n < MLOG_PATH_MAX - 64); /* metadata_log_open refuses longer ones */
    va_start(ap, fmt);
    vsnprintf(out + n, (size_t)(MLOG_PATH_MAX - n), fmt, ap);
    va_end(ap);
    return out;
}

int mlog_fail(const struct metadata_log *log, struct errmsg *em, int err, const char *what,
              const char *file)
{
    return errmsg_set(em, err, "the metadata log cannot %s %s/%s: %s", what, log->path, file,
                      err_text(err));
}

static void segment_name(const struct mlog_segment *seg, const char *suffix, char out[64])
{
    snprintf(out, 64, "%020lld.%s", (long long)seg->base, suffix);
}

int64_t metadata_log_start_offset(const struct metadata_log *log)
{
    return log->start;
}

int64_t metadata_log_end_offset(const struct metadata_log *log)
{
    return log->end;
}

uint64_t metadata_log_last_index(const struct metadata_log *log)
{
    return log->last_index;
}

uint64_t metadata_log_first_index(const struct metadata_log *log)
{
    return log->first_index;
}

int32_t metadata_log_last_epoch(const struct metadata_log *log)
{
    int32_t last = log->epochs_n ? log->epochs[log->epochs_n - 1].epoch : -1;
    struct metadata_snapshot_id s = metadata_log_newest_snapshot(log);
    return s.offset >= 0 && s.epoch > last ? s.epoch : last;
}

uint64_t metadata_log_size(const struct metadata_log *log)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < log->segs_n; i++) {
        n += log->segs[i].size;
    }
    return n;
}

const char *metadata_log_path(const struct metadata_log *log)
{
    return log->path;
}

int16_t metadata_log_kraft_version(const struct metadata_log *log, struct bytes *voters)
{
    *voters = log->has_voters ? buf_bytes(&log->voters) : BYTES_NULL;
    return log->kraft_version;
}

struct mlog_segment *mlog_active(struct metadata_log *log)
{
    ASSERT(log->segs_n > 0);
    return &log->segs[log->segs_n - 1];
}

/* ---- epochs ---- */

void mlog_add_epoch(struct metadata_log *log, int32_t epoch, int64_t offset, uint64_t index)
{
    if (log->epochs_n && log->epochs[log->epochs_n - 1].epoch >= epoch) {
        return;
    }
    if (log->epochs_n == log->epochs_cap) {
        log->epochs_cap = log->epochs_cap ? log->epochs_cap * 2 : 16;
        log->epochs = mem_realloc(log->epochs, log->epochs_cap * sizeof *log->epochs);
    }
    log->epochs[log->epochs_n++] = (struct mlog_epoch){epoch, offset, index};
}

int mlog_replace(struct metadata_log *log, const char *name, struct bytes text, struct errmsg *em)
{
    char path[MLOG_PATH_MAX];
    struct buf old = {0};
    mlog_path(log, path, "%s", name);
    int err = io_read_file(log->io, path, text.len, &old);
    if (err || !bytes_eq(buf_bytes(&old), text)) {
        err = io_replace_file(log->io, path, text.data, text.len);
    }
    buf_free(&old);
    return err ? mlog_fail(log, em, err, "write", name) : 0;
}

int mlog_write_epochs(struct metadata_log *log, struct errmsg *em)
{
    struct buf text = {0};
    buf_printf(&text, "0\n%u\n", log->epochs_n);
    for (uint32_t i = 0; i < log->epochs_n; i++) {
        buf_printf(&text, "%d %lld\n", log->epochs[i].epoch, (long long)log->epochs[i].offset);
    }
    int err = mlog_replace(log, "leader-epoch-checkpoint", buf_bytes(&text), em);
    buf_free(&text);
    return err;
}

void metadata_log_epoch_end(const struct metadata_log *log, int32_t epoch, int32_t *found,
                            int64_t *end)
{
    *found = -1;
    *end = -1;
    for (uint32_t i = log->epochs_n; i-- > 0;) {
        if (log->epochs[i].epoch <= epoch) {
            *found = log->epochs[i].epoch;
            *end = i + 1 < log->epochs_n ? log->epochs[i + 1].offset : log->end;
            return;
        }
    }
}

int32_t metadata_log_epoch_at(const struct metadata_log *log, uint64_t index)
{
    ASSERT(index >= log->first_index && index <= log->last_index);
    for (uint32_t i = log->epochs_n; i-- > 0;) {
        if (log->epochs[i].index <= index) {
            return log->epochs[i].epoch;
        }
    }
    UNREACHABLE();
}

/* ---- segments ---- */

struct mlog_segment *mlog_segment_add(struct metadata_log *log, int64_t base)
{
    if (log->segs_n == log->segs_cap) {
        log->segs_cap = log->segs_cap ? log->segs_cap * 2 : 8;
        log->segs = mem_realloc(log->segs, log->segs_cap * sizeof *log->segs);
    }
    struct mlog_segment *seg = &log->segs[log->segs_n++];
    *seg = (struct mlog_segment){
        .base = base, .first_ts = -1, .largest_ts = -1, .largest_ts_offset = -1, .last_time = -1};
    return seg;
}

static int open_in(struct metadata_log *log, const struct mlog_segment *seg, const char *suffix,
                   unsigned flags, struct io_file **out, struct errmsg *em)
{
    char name[64];
    char path[MLOG_PATH_MAX];
    segment_name(seg, suffix, name);
    int err = io_open(log->io, mlog_path(log, path, "%s", name), flags, out);
    return err ? mlog_fail(log, em, err, "open", name) : 0;
}

int mlog_segment_open_file(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em)
{
    return seg->file ? 0 : open_in(log, seg, "log", IO_OPEN_WRITE, &seg->file, em);
}

void mlog_segment_close(struct mlog_segment *seg)
{
    struct io_file **files[] = {&seg->file, &seg->index_file, &seg->time_file};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (*files[i]) {
            io_file_close(*files[i]);
            *files[i] = NULL;
        }
    }
}

int mlog_segment_create(struct metadata_log *log, int64_t base, uint64_t base_index,
                        struct errmsg *em)
{
    const unsigned flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC;
    struct mlog_segment *seg = mlog_segment_add(log, base);
    seg->base_index = base_index;
    seg->marks_loaded = true;
    seg->modified_ms = io_wall_ms(log->io);
    int err = open_in(log, seg, "log", flags, &seg->file, em);
    err = err ? err : open_in(log, seg, "index", flags, &seg->index_file, em);
    err = err ? err : open_in(log, seg, "timeindex", flags, &seg->time_file, em);
    if (err) {
        return err;
    }
    err = io_fsync_dir(log->io, log->path);
    if (err) {
        return mlog_fail(log, em, err, "make durable the names in", "");
    }
    log->reserved_to = 0;
    mlog_reserve(log);
    return 0;
}

static int put_time_entry(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em)
{
    uint8_t e[MLOG_TIME_ENTRY];
    if (seg->largest_ts <= seg->last_time || seg->time_file == NULL) {
        return 0;
    }
    store_be64(e, (uint64_t)seg->largest_ts);
    store_be32(e + 8, (uint32_t)(seg->largest_ts_offset - seg->base));
    int64_t n = io_pwrite(seg->time_file, e, sizeof e, (uint64_t)seg->time_n * sizeof e);
    if (n < 0) {
        return mlog_fail(log, em, (int)n, "write to the time index of", "the active segment");
    }
    seg->time_n++;
    seg->last_time = seg->largest_ts;
    return 0;
}

int mlog_segment_last_time(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em)
{
    return put_time_entry(log, seg, em);
}

static void add_mark(struct mlog_segment *seg, int64_t offset, uint64_t index, uint64_t pos)
{
    if (seg->marks_n == seg->marks_cap) {
        seg->marks_cap = seg->marks_cap ? seg->marks_cap * 2 : 16;
        seg->marks = mem_realloc(seg->marks, seg->marks_cap * sizeof *seg->marks);
    }
    seg->marks[seg->marks_n++] = (struct mlog_mark){offset, index, (uint32_t)pos};
}

int mlog_segment_note(struct metadata_log *log, struct mlog_segment *seg,
                      const struct batch_header *h, uint64_t pos, uint64_t index, struct errmsg *em)
{
    int err = 0;
    if (h->max_timestamp > seg->largest_ts) {
        seg->largest_ts = h->max_timestamp;
        seg->largest_ts_offset = batch_last_offset(h);
    }
    if (pos == 0) {
        seg->first_ts = h->max_timestamp;
    }
    if (seg->since_mark > MLOG_INDEX_INTERVAL) {
        add_mark(seg, batch_last_offset(h), index, pos);
        seg->since_mark = 0;
        if (seg->index_file) {
            uint8_t e[MLOG_INDEX_ENTRY];
            store_be32(e, (uint32_t)(batch_last_offset(h) - seg->base));
            store_be32(e + 4, (uint32_t)pos);
            int64_t n =
                io_pwrite(seg->index_file, e, sizeof e, (uint64_t)(seg->marks_n - 1) * sizeof e);
            err = n < 0 ? mlog_fail(log, em, (int)n, "write to the index of", "the active segment")
                        : put_time_entry(log, seg, em);
        }
    }
    seg->since_mark += batch_size(h);
    return err;
}

int mlog_segment_load_marks(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em)
{
    char name[64];
    char path[MLOG_PATH_MAX];
    struct buf b = {0};
    if (seg->marks_loaded) {
        return 0;
    }
    segment_name(seg, "index", name);
    int err = io_read_file(log->io, mlog_path(log, path, "%s", name), 64 << 20, &b);
    if (err && err != ERR_NOTFOUND) {
        buf_free(&b);
        return mlog_fail(log, em, err, "read", name);
    }
    seg->marks_loaded = true;
    int64_t last = seg->base;
    uint32_t last_pos = 0;
    for (size_t at = 0; at + MLOG_INDEX_ENTRY <= b.len; at += MLOG_INDEX_ENTRY) {
        int64_t offset = seg->base + load_be32(b.data + at);
        uint32_t pos = load_be32(b.data + at + 4);
        if (offset <= last || pos <= last_pos || pos >= seg->size) {
            break; /* zeros of a file that was not cut, or damage: the rest is not used */
        }
        add_mark(seg, offset, 0, pos);
        last = offset;
        last_pos = pos;
    }
    buf_free(&b);
    return 0;
}

static int roll(struct metadata_log *log, struct errmsg *em)
{
    struct mlog_segment *seg = mlog_active(log);
    char name[64];
    segment_name(seg, "log", name);
    int err = mlog_segment_last_time(log, seg, em);
    if (err) {
        return err;
    }
    (void)io_truncate(seg->file, seg->size); /* its reserve is not needed any more */
    err = io_fsync(seg->file);
    err = err ? err : io_fsync(seg->index_file);
    err = err ? err : io_fsync(seg->time_file);
    if (err) {
        return mlog_fail(log, em, err, "make durable", name);
    }
    seg->modified_ms = io_wall_ms(log->io);
    mlog_segment_close(seg);
    return mlog_segment_create(log, log->end, log->last_index + 1, em);
}

/* The batch does not fit into the segment's files at all. */
static bool has_no_room(const struct mlog_segment *seg, const struct batch_header *h)
{
    return seg->size + batch_size(h) > INT32_MAX || seg->marks_n >= MLOG_INDEX_MAX ||
           batch_last_offset(h) - seg->base > INT32_MAX;
}

static bool is_due(const struct metadata_log *log, const struct mlog_segment *seg,
                   const struct batch_header *h)
{
    return seg->size + batch_size(h) > (uint64_t)log->cfg.segment_bytes ||
           (seg->first_ts >= 0 && h->max_timestamp - seg->first_ts > log->cfg.segment_ms);
}

/* While a flush is in flight a segment does not roll before it has come home: if it has failed, the
 * kernel has told so once and calls the next fsync of the file good, and a segment behind one that
 * is not whole is damage to the next start, not a torn tail. */
static int roll_if_due(struct metadata_log *log, const struct batch_header *h, struct errmsg *em)
{
    const struct mlog_segment *seg = mlog_active(log);
    bool now = has_no_room(seg, h);
    if (seg->size == 0 || !(now || is_due(log, seg, h))) {
        return 0;
    }
    if (metadata_log_flushing(log) && !now) {
        log->roll_due = true;
        return 0;
    }
    return mlog_may_roll(log) ? roll(log, em) : 0;
}

int mlog_delete_segment(struct metadata_log *log, uint32_t i, struct errmsg *em)
{
    static const char *const suffixes[] = {"log", "index", "timeindex", "txnindex", "snapshot"};
    char name[64];
    char path[MLOG_PATH_MAX];
    struct mlog_segment *seg = &log->segs[i];
    mlog_segment_close(seg);
    for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
        segment_name(seg, suffixes[k], name);
        io_unlink(log->io, mlog_path(log, path, "%s", name)); /* what is left goes at next start */
    }
    mem_free(seg->marks);
    memmove(seg, seg + 1, (log->segs_n - i - 1) * sizeof *seg);
    log->segs_n--;
    int err = io_fsync_dir(log->io, log->path);
    return err ? mlog_fail(log, em, err, "make durable the names in", "") : 0;
}

/* ---- append ---- */

int mlog_note_control(struct metadata_log *log, struct bytes batch, struct errmsg *em)
{
    struct record_reader rr;
    struct record rec;
    int err = record_reader_open(&rr, batch, 0);
    while (err == 0 && (err = record_reader_next(&rr, &rec)) == 1) {
        enum control_type type;
        err = control_key_read(rec.key, &type);
        if (err == 0 && type == CONTROL_KRAFT_VERSION) {
            struct arena a = {0};
            struct kraft_version_record r;
            err = proto_decode(&kraft_version_record_msg, 0, rec.value, NULL, &a, &r);
            log->kraft_version = err ? log->kraft_version : r.kraft_version;
            arena_free(&a);
        } else if (err == 0 && type == CONTROL_KRAFT_VOTERS) {
            buf_clear(&log->voters);
            buf_put(&log->voters, rec.value.data, rec.value.len);
            log->has_voters = true;
        }
    }
    record_reader_close(&rr);
    return err < 0 ? errmsg_set(em, ERR_CORRUPT,
                                "a control batch of the metadata log in %s cannot "
                                "be read (%s)",
                                log->path, err_text(err))
                   : 0;
}

int metadata_log_append(struct metadata_log *log, struct bytes batch, struct errmsg *em)
{
    struct batch_header h;
    int err = batch_header_read(batch, &h);
    ASSERT(err == 0 && batch.len == batch_size(&h));
    ASSERT(h.base_offset == log->end && h.last_offset_delta >= 0);
    ASSERT(h.leader_epoch >= metadata_log_last_epoch(log));
    err = roll_if_due(log, &h, em);
    if (err) {
        return err;
    }
    struct mlog_segment *seg = mlog_active(log);
    int64_t n = io_pwrite(seg->file, batch.data, batch.len, seg->size);
    if (n < 0) {
        char name[64];
        segment_name(seg, "log", name);
        return mlog_fail(log, em, (int)n, "write to", name);
    }
    ASSERT((size_t)n == batch.len);
    uint64_t pos = seg->size;
    seg->size += batch.len;
    log->end = batch_next_offset(&h);
    log->last_index++;
    log->recent[log->recent_n++ % MLOG_RECENT] =
        (struct mlog_recent){seg->base, h.base_offset, log->last_index, pos};
    mlog_add_epoch(log, h.leader_epoch, h.base_offset, log->last_index);
    err = mlog_segment_note(log, seg, &h, pos, log->last_index, em);
    if (err == 0 && batch_is_control(&h)) {
        err = mlog_note_control(log, batch, em);
    }
    mlog_reserve(log);
    return err;
}

/* ---- finding ---- */

/* The segment that holds offset: the last one whose base is not above it. */
static uint32_t segment_of(const struct metadata_log *log, int64_t offset)
{
    uint32_t i = log->segs_n;
    while (i-- > 1 && log->segs[i].base > offset) {
    }
    return i;
}

/* The last of the lately appended batches of the segment that begins at or before both; NULL: none
 * is known. */
static const struct mlog_recent *recent_before(const struct metadata_log *log,
                                               const struct mlog_segment *seg, int64_t offset,
                                               uint64_t index)
{
    uint64_t n = log->recent_n;
    for (uint64_t left = n < MLOG_RECENT ? n : MLOG_RECENT; left > 0; left--) {
        const struct mlog_recent *r = &log->recent[--n % MLOG_RECENT];
        if (r->segment == seg->base && r->offset <= offset && r->index <= index) {
            return r;
        }
    }
    return NULL;
}

/* Reads a batch header at pos; ERR_CORRUPT if there is none in the segment. */
static int header_at(const struct mlog_segment *seg, uint64_t pos, struct batch_header *h)
{
    uint8_t raw[BATCH_HEADER_SIZE];
    if (pos + sizeof raw > seg->size) {
        return ERR_CORRUPT;
    }
    int64_t n = io_pread(seg->file, raw, sizeof raw, pos);
    if (n != sizeof raw) {
        return n < 0 ? (int)n : ERR_CORRUPT;
    }
    int err = batch_header_read(bytes_of(raw, sizeof raw), h);
    return err == 0 && pos + batch_size(h) > seg->size ? ERR_CORRUPT : err;
}

/* Position of the batch that contains offset. */
static int find_offset(struct metadata_log *log, struct mlog_segment *seg, int64_t offset,
                       uint64_t *out, struct errmsg *em)
{
    int err = mlog_segment_open_file(log, seg, em);
    err = err ? err : mlog_segment_load_marks(log, seg, em);
    if (err) {
        return err;
    }
    const struct mlog_recent *recent = recent_before(log, seg, offset, UINT64_MAX);
    uint64_t pos = recent ? recent->pos : 0;
    for (uint32_t i = seg->marks_n; recent == NULL && i-- > 0;) {
        if (seg->marks[i].offset <= offset) {
            pos = seg->marks[i].pos;
            break;
        }
    }
    struct batch_header h;
    while ((err = header_at(seg, pos, &h)) == 0 && batch_next_offset(&h) <= offset) {
        pos += batch_size(&h);
    }
    *out = pos;
    return err ? mlog_fail(log, em, err, "find an offset in a segment of", "") : 0;
}

static int find_index(struct metadata_log *log, uint64_t index, struct mlog_segment **seg_out,
                      uint64_t *pos_out, struct batch_header *h)
{
    if (index < log->first_index || index > log->last_index) {
        return ERR_RANGE;
    }
    uint32_t s = log->segs_n - 1;
    while (s > 0 && log->segs[s].base > log->known_offset && log->segs[s].base_index > index) {
        s--;
    }
    struct mlog_segment *seg = &log->segs[s];
    int err = mlog_segment_open_file(log, seg, NULL);
    if (err) {
        return err;
    }
    const struct mlog_recent *recent = recent_before(log, seg, INT64_MAX, index);
    uint64_t at = recent ? recent->index : 0;
    uint64_t pos = recent ? recent->pos : 0;
    for (uint32_t i = seg->marks_n; recent == NULL && i-- > 0;) {
        if (seg->marks[i].index && seg->marks[i].index <= index) {
            at = seg->marks[i].index;
            pos = seg->marks[i].pos;
            break;
        }
    }
    if (at == 0) { /* from the first one that is known in this segment */
        at = seg->base_index ? seg->base_index : log->first_index;
        if (seg->base_index == 0) {
            err = find_offset(log, seg, log->known_offset, &pos, NULL);
        }
    }
    while (err == 0 && (err = header_at(seg, pos, h)) == 0 && at < index) {
        pos += batch_size(h);
        at++;
    }
    *seg_out = seg;
    *pos_out = pos;
    return err;
}

int metadata_log_end_of(struct metadata_log *log, uint64_t index, int64_t *next_offset)
{
    struct mlog_segment *seg;
    uint64_t pos;
    struct batch_header h;
    int err = find_index(log, index, &seg, &pos, &h);
    if (err == 0) {
        *next_offset = batch_next_offset(&h);
    }
    return err;
}

int metadata_log_read_entries(struct metadata_log *log, uint64_t first, uint32_t n, struct buf *out,
                              size_t *sizes)
{
    for (uint32_t i = 0; i < n; i++) {
        struct mlog_segment *seg;
        uint64_t pos;
        struct batch_header h;
        int err = find_index(log, first + i, &seg, &pos, &h);
        if (err) {
            return err;
        }
        sizes[i] = batch_size(&h);
        buf_reserve(out, sizes[i]);
        int64_t got = io_pread(seg->file, out->data + out->len, sizes[i], pos);
        if (got != (int64_t)sizes[i]) {
            return got < 0 ? (int)got : ERR_CORRUPT;
        }
        out->len += sizes[i];
    }
    return 0;
}

int metadata_log_read(struct metadata_log *log, int64_t offset, size_t max_bytes, int64_t upto,
                      struct buf *out, struct errmsg *em)
{
    if (offset < log->start || offset > log->end) {
        return errmsg_set(em, ERR_RANGE,
                          "offset %lld is outside of the metadata log (%lld to %lld)",
                          (long long)offset, (long long)log->start, (long long)log->end);
    }
    if (offset >= upto) {
        return 0;
    }
    uint32_t s = segment_of(log, offset);
    uint64_t pos;
    int err = find_offset(log, &log->segs[s], offset, &pos, em);
    size_t begin = out->len;
    for (; err == 0 && s < log->segs_n; s++, pos = 0) {
        struct mlog_segment *seg = &log->segs[s];
        struct batch_header h;
        err = mlog_segment_open_file(log, seg, em);
        while (err == 0 && pos < seg->size) {
            err = header_at(seg, pos, &h);
            size_t n = err ? 0 : batch_size(&h);
            if (err || h.base_offset >= upto ||
                (out->len > begin && out->len - begin + n > max_bytes)) {
                return err ? mlog_fail(log, em, err, "read a batch of a segment of", "") : 0;
            }
            buf_reserve(out, n);
            int64_t got = io_pread(seg->file, out->data + out->len, n, pos);
            if (got != (int64_t)n) {
                return mlog_fail(log, em, got < 0 ? (int)got : ERR_CORRUPT, "read", "a segment");
            }
            out->len += n;
            pos += n;
        }
    }
    return err;
}

/* ---- truncate ---- */

static int cut_segment(struct metadata_log *log, struct mlog_segment *seg, uint64_t pos,
                       struct errmsg *em)
{
    char name[64];
    segment_name(seg, "log", name);
    int err = io_truncate(seg->file, pos);
    if (err) {
        return mlog_fail(log, em, err, "cut", name);
    }
    seg->size = pos;
    while (seg->marks_n && seg->marks[seg->marks_n - 1].pos >= pos) {
        seg->marks_n--;
    }
    seg->since_mark = pos - (seg->marks_n ? seg->marks[seg->marks_n - 1].pos : 0);
    err = io_truncate(seg->index_file, (uint64_t)seg->marks_n * MLOG_INDEX_ENTRY);
    /* The time index: dropped as far as it may speak of what is gone. */
    seg->time_n = 0;
    seg->last_time = -1;
    seg->largest_ts = -1;
    seg->largest_ts_offset = -1;
    err = err ? err : io_truncate(seg->time_file, 0);
    return err ? mlog_fail(log, em, err, "cut the indexes of", name) : 0;
}

/* The noted durable end goes back first: a start that found the log cut below it, since the process
 * ended between the two, would take it for damaged. */
static int lower_durable(struct metadata_log *log, uint64_t index, int64_t end, struct errmsg *em)
{
    if (log->durable.index < index) {
        return 0;
    }
    int32_t epoch = index > log->first_index ? metadata_log_epoch_at(log, index - 1)
                                             : metadata_log_newest_snapshot(log).epoch;
    log->durable = (struct mlog_anchor){index - 1, epoch, end};
    return mlog_write_anchors(log, NULL, em);
}

int metadata_log_truncate(struct metadata_log *log, uint64_t index, struct errmsg *em)
{
    struct mlog_segment *seg;
    uint64_t pos;
    struct batch_header h;
    ASSERT(index > metadata_log_snapshot_index(log) && index >= log->first_index);
    if (index > log->last_index) {
        return 0;
    }
    int err = find_index(log, index, &seg, &pos, &h);
    if (err) {
        return mlog_fail(log, em, err, "find an entry to cut in", "");
    }
    err = lower_durable(log, index, h.base_offset, em);
    while (err == 0 && mlog_active(log) != seg) {
        err = mlog_delete_segment(log, log->segs_n - 1, em);
    }
    if (err == 0 && seg->index_file == NULL) { /* it was sealed: active again */
        err = open_in(log, seg, "index", IO_OPEN_WRITE | IO_OPEN_CREATE, &seg->index_file, em);
        err = err ? err
                  : open_in(log, seg, "timeindex", IO_OPEN_WRITE | IO_OPEN_CREATE, &seg->time_file,
                            em);
    }
    err = err ? err : cut_segment(log, seg, pos, em);
    if (err) {
        return err;
    }
    log->end = h.base_offset;
    log->last_index = index - 1;
    log->recent_n = 0;
    while (log->epochs_n && log->epochs[log->epochs_n - 1].index >= index) {
        log->epochs_n--;
    }
    if (log->flush_end.index >= index) {
        log->flush_end.index = index - 1;
        log->flush_end.offset = log->end;
    }
    return mlog_write_epochs(log, em);
}

/* ---- flush ---- */

static void flushed(struct io_op *op, int64_t result)
{
    struct metadata_log *log = op->user;
    metadata_log_flush_cb *cb = log->flush_cb;
    log->flush_cb = NULL;
    if (log->closed) {
        mem_free(log);
        return;
    }
    int64_t now_us = io_now_us(log->io);
    log->last_flush_us = now_us - log->flush_began_us;
    disk_time_add(&log->flush_time, log->flush_began_us, now_us, log->path);
    int err = result < 0 ? (int)result : 0;
    if (err == 0 && log->roll_due && mlog_active(log)->size > 0 && mlog_may_roll(log)) {
        err = roll(log, NULL);
    }
    log->roll_due = false;
    cb(log->flush_user, err, log->flush_end.index);
}

void metadata_log_flush(struct metadata_log *log, metadata_log_flush_cb *cb, void *user)
{
    ASSERT(log->flush_cb == NULL);
    log->flush_cb = cb;
    log->flush_user = user;
    log->flush_end = (struct mlog_anchor){log->last_index, metadata_log_last_epoch(log), log->end};
    log->flush_op.cb = flushed;
    log->flush_op.user = log;
    log->flush_began_us = io_now_us(log->io);
    io_fsync_start(mlog_active(log)->file, &log->flush_op);
}

bool metadata_log_flushing(const struct metadata_log *log)
{
    return log->flush_cb != NULL;
}

int metadata_log_note_durable(struct metadata_log *log, struct errmsg *em)
{
    int err = mlog_write_epochs(log, em);
    if (err || log->flush_end.offset <= log->durable.offset || metadata_log_flushing(log)) {
        return err;
    }
    log->durable = log->flush_end;
    return mlog_write_anchors(log, NULL, em);
}

int metadata_log_close_clean(struct metadata_log *log)
{
    struct mlog_segment *seg = mlog_active(log);
    int err = mlog_segment_last_time(log, seg, NULL);
    err = err ? err : io_fsync(seg->file);
    err = err ? err : io_fsync(seg->index_file);
    err = err ? err : io_fsync(seg->time_file);
    err = err ? err : mlog_write_epochs(log, NULL);
    if (err == 0) {
        log->durable =
            (struct mlog_anchor){log->last_index, metadata_log_last_epoch(log), log->end};
        err = mlog_write_anchors(log, NULL, NULL);
    }
    return err;
}

void metadata_log_close(struct metadata_log *log)
{
    if (log == NULL) {
        return;
    }
    for (uint32_t i = 0; i < log->segs_n; i++) {
        mlog_segment_close(&log->segs[i]);
        mem_free(log->segs[i].marks);
    }
    mem_free(log->segs);
    mem_free(log->epochs);
    mem_free(log->snapshots);
    mem_free(log->path);
    buf_free(&log->voters);
    log->closed = true;
    if (!metadata_log_flushing(log)) { /* else the operation in flight is a part of it */
        mem_free(log);
    }
}

int64_t metadata_log_last_flush_us(const struct metadata_log *log)
{
    return log->last_flush_us;
}

const struct disk_time *metadata_log_flush_time(const struct metadata_log *log)
{
    return &log->flush_time;
}
