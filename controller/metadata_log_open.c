/* Opening the metadata log: which files are there, the newest snapshot, reading the log behind it,
 * cutting a torn tail. docs/quorum.md, "Start". */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "controller/metadata_log_private.h"
#include "storage/checkpoint.h"
#include "storage/log_dir.h"

struct opening {
    struct metadata_log *log;
    struct errmsg *em;
    struct buf stale; /* names to delete, NUL-terminated one behind the other */
    struct mlog_anchor *anchors;
    size_t anchors_n;
    /* the scan */
    int64_t expected;             /* next offset */
    uint64_t index;               /* of the last entry seen; 0 before the known part */
    int64_t known;                /* offset from which on entries are counted */
    int32_t epoch;                /* of the last batch */
    char why[160];                /* what ended it early */
    struct mlog_snapshot install; /* index 0: none was interrupted */
};

/* ---- the folder ---- */

static bool digits(const char *s, size_t n, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || *out > (INT64_MAX - 9) / 10) {
            return false;
        }
        *out = *out * 10 + (s[i] - '0');
    }
    return true;
}

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s);
    size_t k = strlen(suffix);
    return n >= k && strcmp(s + n - k, suffix) == 0;
}

static void each_name(void *ctx, const struct io_dirent *e)
{
    struct opening *o = ctx;
    const char *name = e->name;
    int64_t offset;
    int64_t epoch;
    size_t n = strlen(name);
    if (ends_with(name, ".part") || ends_with(name, ".tmp") || ends_with(name, ".deleted")) {
        buf_put(&o->stale, name, n + 1);
    } else if (n == 24 && ends_with(name, ".log") && digits(name, 20, &offset)) {
        mlog_segment_add(o->log, offset);
    } else if (n == 42 && ends_with(name, ".checkpoint") && name[20] == '-' &&
               digits(name, 20, &offset) && digits(name + 21, 10, &epoch)) {
        mlog_add_snapshot(o->log, &(struct mlog_snapshot){.id = {offset, (int32_t)epoch}});
    } else if (ends_with(name, ".install")) {
        struct mlog_snapshot s;
        o->install = mlog_install_parse(name, &s) ? s : o->install;
    }
}

static int by_base(const void *a, const void *b)
{
    int64_t x = ((const struct mlog_segment *)a)->base;
    int64_t y = ((const struct mlog_segment *)b)->base;
    return (x > y) - (x < y);
}

static int by_offset(const void *a, const void *b)
{
    const struct mlog_snapshot *x = a;
    const struct mlog_snapshot *y = b;
    int c = (x->id.offset > y->id.offset) - (x->id.offset < y->id.offset);
    return c ? c : (x->id.epoch > y->id.epoch) - (x->id.epoch < y->id.epoch);
}

static int make_folder(struct metadata_log *log, const char *log_dir, struct errmsg *em)
{
    struct io_stat st;
    struct uuid id;
    int err = io_stat(log->io, log->path, &st);
    if (err == ERR_NOTFOUND) {
        err = io_mkdir(log->io, log->path);
    }
    /* Also if it was there: a process that made it may have been killed before this. */
    err = err ? err : io_fsync_dir(log->io, log_dir);
    if (err) {
        return mlog_fail(log, em, err, "make", "");
    }
    struct errmsg ignored;
    err = partition_metadata_read(log->io, log->path, &id, &ignored);
    if (err == 0 && !uuid_eq(id, uuid_reserved(1))) {
        char text[UUID_TEXT];
        return errmsg_set(em, ERR_CORRUPT,
                          "%s/partition.metadata has topic id %s; the metadata log's is %s",
                          log->path, uuid_text(id, text), "AAAAAAAAAAAAAAAAAAAAAQ");
    }
    if (err) {
        err = partition_metadata_write(log->io, log->path, uuid_reserved(1));
    }
    return err ? mlog_fail(log, em, err, "write", "partition.metadata") : 0;
}

static int read_folder(struct opening *o)
{
    struct metadata_log *log = o->log;
    char path[MLOG_PATH_MAX];
    int err = io_list_dir(log->io, log->path, each_name, o);
    if (err) {
        return mlog_fail(log, o->em, err, "list", "");
    }
    for (size_t at = 0; at < o->stale.len;) {
        const char *name = (const char *)o->stale.data + at;
        io_unlink(log->io, mlog_path(log, path, "%s", name));
        at += strlen(name) + 1;
    }
    if (o->install.index > 0) {
        log_info(log->lg, "controller",
                 "the installation of a metadata snapshot from another voter is finished now "
                 "offset=%lld",
                 (long long)o->install.id.offset);
        err = mlog_finish_install(log, &o->install, o->em);
        if (err) {
            return err;
        }
    }
    if (log->segs_n > 1) {
        qsort(log->segs, log->segs_n, sizeof *log->segs, by_base);
    }
    if (log->snapshots_n > 1) {
        qsort(log->snapshots, log->snapshots_n, sizeof *log->snapshots, by_offset);
    }
    for (uint32_t i = 0; i < log->segs_n; i++) {
        struct io_stat st;
        err = io_stat(log->io, mlog_path(log, path, "%020lld.log", (long long)log->segs[i].base),
                      &st);
        if (err) {
            return mlog_fail(log, o->em, err, "look at", "a segment");
        }
        log->segs[i].size = st.size;
        log->segs[i].modified_ms = st.mtime_ms;
    }
    for (uint32_t i = 0; i < log->snapshots_n; i++) {
        struct mlog_snapshot *s = &log->snapshots[i];
        struct io_stat st;
        err = io_stat(
            log->io,
            mlog_path(log, path, "%020lld-%010d.checkpoint", (long long)s->id.offset, s->id.epoch),
            &st);
        if (err) {
            return mlog_fail(log, o->em, err, "look at", "a snapshot");
        }
        s->size = st.size;
        s->modified_ms = st.mtime_ms;
    }
    return 0;
}

/* ---- snapshots ---- */

/* A snapshot without a line was written by Kafka: its index follows from its offset alone. */
static uint64_t index_of_snapshot(const struct opening *o, int64_t offset)
{
    for (size_t i = 0; i < o->anchors_n; i++) {
        if (o->anchors[i].offset == offset) {
            return o->anchors[i].index;
        }
    }
    return (uint64_t)offset + 1;
}

static bool log_reaches_back_to(const struct metadata_log *log, int64_t offset)
{
    return log->segs_n > 0 && log->segs[0].base <= offset;
}

/* Keeps the newest snapshot that is whole; a damaged one only gives way if nothing is lost. */
static int choose_snapshot(struct opening *o)
{
    struct metadata_log *log = o->log;
    for (uint32_t i = 0; i < log->snapshots_n; i++) {
        log->snapshots[i].index = index_of_snapshot(o, log->snapshots[i].id.offset);
    }
    while (log->snapshots_n) {
        struct mlog_snapshot *s = &log->snapshots[log->snapshots_n - 1];
        struct errmsg why;
        int err = mlog_check_snapshot(log, s, &why);
        if (err == 0) {
            return 0;
        }
        int64_t before = log->snapshots_n > 1 ? s[-1].id.offset : 0;
        if (!log_reaches_back_to(log, before)) {
            return errmsg_set(o->em, err,
                              "%s; without it the metadata cannot be read, since the log does not "
                              "reach back far enough",
                              why.text);
        }
        char from[MLOG_PATH_MAX];
        char to[MLOG_PATH_MAX];
        mlog_path(log, from, "%020lld-%010d.checkpoint", (long long)s->id.offset, s->id.epoch);
        mlog_path(log, to, "%020lld-%010d.checkpoint.damaged", (long long)s->id.offset,
                  s->id.epoch);
        log_warn(log->lg, "controller", "%s; it is set aside as %s, the log is read instead",
                 why.text, to);
        err = io_rename(log->io, from, to);
        if (err) {
            return mlog_fail(log, o->em, err, "rename", "a damaged snapshot");
        }
        log->snapshots_n--;
    }
    return 0;
}

/* ---- reading the log ---- */

static bool refuse_batch(struct opening *o, const char *why)
{
    snprintf(o->why, sizeof o->why, "%s", why);
    return false;
}

/* Whether the batch may stand here. */
static bool fits(struct opening *o, struct bytes batch, struct batch_header *h)
{
    int err = batch_header_read(batch, h);
    if (err) {
        return refuse_batch(o, "a batch whose header makes no sense");
    }
    if (!batch_crc_check(batch)) {
        return refuse_batch(o, "a batch with a wrong checksum");
    }
    if (h->base_offset != o->expected || h->last_offset_delta < 0) {
        return refuse_batch(o, "a batch with another offset than the next one");
    }
    if (h->leader_epoch < o->epoch) {
        return refuse_batch(o, "a batch of an older epoch than the one before");
    }
    return true;
}

static int take_batch(struct opening *o, struct mlog_segment *seg, struct bytes batch,
                      const struct batch_header *h, uint64_t pos)
{
    struct metadata_log *log = o->log;
    bool counted = h->base_offset >= o->known;
    if (!counted && batch_next_offset(h) > o->known) {
        return errmsg_set(
            o->em, ERR_CORRUPT,
            "%s: the newest snapshot ends at offset %lld, inside the batch of offsets "
            "%lld to %lld",
            log->path, (long long)o->known, (long long)h->base_offset,
            (long long)batch_last_offset(h));
    }
    if (counted) {
        o->index++;
        mlog_add_epoch(log, h->leader_epoch, h->base_offset, o->index);
    }
    int err = mlog_segment_note(log, seg, h, pos, counted ? o->index : 0, o->em);
    if (err == 0 && counted && batch_is_control(h)) {
        err = mlog_note_control(log, batch, o->em);
    }
    o->expected = batch_next_offset(h);
    o->epoch = h->leader_epoch;
    return err;
}

/* Reads batches from pos to the end of the segment. *end is where good ones end; o->why says what
 * stands there if that is not the segment's end. */
static int scan_segment(struct opening *o, struct mlog_segment *seg, uint64_t pos, uint64_t *end)
{
    struct buf chunk = {0};
    size_t want = MLOG_READ_CHUNK;
    int err = mlog_segment_open_file(o->log, seg, o->em);
    if (err == 0) {
        io_forget(seg->file); /* what is counted as durable must be what the disk has */
    }
    o->why[0] = '\0';
    while (err == 0 && pos < seg->size && o->why[0] == '\0') {
        size_t n = seg->size - pos < want ? (size_t)(seg->size - pos) : want;
        buf_clear(&chunk);
        buf_reserve(&chunk, n);
        int64_t got = io_pread(seg->file, chunk.data, n, pos);
        if (got != (int64_t)n) {
            err = mlog_fail(o->log, o->em, got < 0 ? (int)got : ERR_IO, "read", "a segment");
            break;
        }
        struct bytes rest = bytes_of(chunk.data, n);
        struct bytes batch;
        struct batch_header h;
        bool any = false;
        int more = 0;
        while (err == 0 && (more = batch_next(&rest, &batch)) == 1 && fits(o, batch, &h)) {
            err = take_batch(o, seg, batch, &h, pos);
            pos += batch.len;
            any = true;
        }
        if (more < 0) {
            refuse_batch(o, "bytes that are no batch");
        } else if (err == 0 && more == 0 && !any) {
            /* not one whole batch: a larger chunk, or the file ends inside it */
            if (n == seg->size - pos || want > MLOG_BATCH_MAX * 2) {
                refuse_batch(o, "a batch that is not whole");
            }
            want *= 2;
        }
    }
    *end = pos;
    buf_free(&chunk);
    return err;
}

/* The position of the batch that begins at offset, by the index if it is usable. */
static int find_start(struct opening *o, struct mlog_segment *seg, int64_t offset, uint64_t *pos,
                      int64_t *at_offset)
{
    struct metadata_log *log = o->log;
    int err = mlog_segment_open_file(log, seg, o->em);
    err = err ? err : mlog_segment_load_marks(log, seg, o->em);
    *pos = 0;
    *at_offset = seg->base;
    if (err || offset == seg->base) {
        return err;
    }
    uint8_t first[BATCH_HEADER_SIZE];
    struct batch_header fh;
    if (io_pread(seg->file, first, sizeof first, 0) == sizeof first &&
        batch_header_read(bytes_of(first, sizeof first), &fh) == 0) {
        seg->first_ts = fh.max_timestamp; /* for rolling by time */
    }
    while (seg->marks_n) {
        const struct mlog_mark *m = &seg->marks[seg->marks_n - 1];
        uint8_t raw[BATCH_HEADER_SIZE];
        struct batch_header h;
        if (m->offset < offset && io_pread(seg->file, raw, sizeof raw, m->pos) == sizeof raw &&
            batch_header_read(bytes_of(raw, sizeof raw), &h) == 0 &&
            batch_last_offset(&h) == m->offset) {
            *pos = m->pos;
            *at_offset = h.base_offset;
            return 0;
        }
        seg->marks_n--; /* behind the start, or wrong: read again */
    }
    return 0;
}

static int load_times(struct metadata_log *log, struct mlog_segment *seg, int64_t before,
                      struct errmsg *em)
{
    char name[64];
    char path[MLOG_PATH_MAX];
    struct buf b = {0};
    snprintf(name, sizeof name, "%020lld.timeindex", (long long)seg->base);
    int err = io_read_file(log->io, mlog_path(log, path, "%s", name), 64 << 20, &b);
    if (err && err != ERR_NOTFOUND) {
        buf_free(&b);
        return mlog_fail(log, em, err, "read", name);
    }
    for (size_t at = 0; at + MLOG_TIME_ENTRY <= b.len; at += MLOG_TIME_ENTRY) {
        int64_t ts = (int64_t)load_be64(b.data + at);
        int64_t offset = seg->base + load_be32(b.data + at + 8);
        if (ts <= seg->last_time || offset >= before || offset < seg->largest_ts_offset) {
            break;
        }
        seg->time_n++;
        seg->last_time = ts;
        seg->largest_ts = ts;
        seg->largest_ts_offset = offset;
    }
    buf_free(&b);
    return 0;
}

/* The active segment's index files, cut to what is kept of them. */
static int open_indexes(struct metadata_log *log, struct mlog_segment *seg, struct errmsg *em)
{
    const unsigned flags = IO_OPEN_WRITE | IO_OPEN_CREATE;
    char name[64];
    char path[MLOG_PATH_MAX];
    snprintf(name, sizeof name, "%020lld.index", (long long)seg->base);
    int err = io_open(log->io, mlog_path(log, path, "%s", name), flags, &seg->index_file);
    err = err ? err : io_truncate(seg->index_file, (uint64_t)seg->marks_n * MLOG_INDEX_ENTRY);
    if (err) {
        return mlog_fail(log, em, err, "open", name);
    }
    snprintf(name, sizeof name, "%020lld.timeindex", (long long)seg->base);
    err = io_open(log->io, mlog_path(log, path, "%s", name), flags, &seg->time_file);
    err = err ? err : io_truncate(seg->time_file, (uint64_t)seg->time_n * MLOG_TIME_ENTRY);
    return err ? mlog_fail(log, em, err, "open", name) : 0;
}

/* Whether durable entries are missing from the log. What the newest snapshot holds is not, if
 * nothing behind it is known to have been durable. */
static bool is_lost(const struct opening *o)
{
    int64_t durable = o->log->durable.offset;
    return o->expected < durable && !(o->expected < o->known && durable <= o->known);
}

static int cut_tail(struct opening *o, struct mlog_segment *seg, uint64_t end, bool last)
{
    struct metadata_log *log = o->log;
    if (!last || is_lost(o)) {
        return errmsg_set(
            o->em, ERR_CORRUPT,
            "%s/%020lld.log has %s at position %llu (offset %lld), in a part that was "
            "durable (up to offset %lld): the file is damaged. Restore the directory, "
            "or the voter's state from the other voters",
            log->path, (long long)seg->base, o->why, (unsigned long long)end,
            (long long)o->expected, (long long)log->durable.offset);
    }
    log_warn(log->lg, "controller",
             "the metadata log ends in %s: cut, it was never acknowledged file=%s/%020lld.log "
             "position=%llu offset=%lld bytes=%llu",
             o->why, log->path, (long long)seg->base, (unsigned long long)end,
             (long long)o->expected, (unsigned long long)(seg->size - end));
    int err = io_truncate(seg->file, end);
    seg->size = end;
    return err ? mlog_fail(log, o->em, err, "cut", "the last segment") : 0;
}

/* Reads from the segment that holds `known` to the end of the log. */
static int scan_log(struct opening *o)
{
    struct metadata_log *log = o->log;
    uint32_t i = log->segs_n - 1;
    while (i > 0 && log->segs[i].base > o->known) {
        i--;
    }
    uint64_t pos;
    int err = find_start(o, &log->segs[i], o->known, &pos, &o->expected);
    for (; err == 0 && i < log->segs_n; i++, pos = 0) {
        struct mlog_segment *seg = &log->segs[i];
        bool last = i == log->segs_n - 1;
        uint64_t end;
        if (seg->base > o->expected || (pos == 0 && seg->base != o->expected)) {
            return errmsg_set(o->em, ERR_CORRUPT,
                              "%s: a segment begins at offset %lld where %lld is next", log->path,
                              (long long)seg->base, (long long)o->expected);
        }
        seg->marks_loaded = true;
        if (pos == 0) {
            seg->marks_n = 0;
            seg->base_index = seg->base >= o->known ? o->index + 1 : 0;
        }
        seg->since_mark = pos - (seg->marks_n ? seg->marks[seg->marks_n - 1].pos : 0);
        if (pos > 0 && seg->marks_n) { /* the batch at pos has its mark and is read again */
            seg->since_mark = 0;
        }
        err = load_times(log, seg, o->expected, o->em);
        err = err == 0 && last ? open_indexes(log, seg, o->em) : err;
        err = err ? err : scan_segment(o, seg, pos, &end);
        if (err == 0 && end < seg->size) {
            err = cut_tail(o, seg, end, last);
        }
    }
    return err;
}

static int keep_pair(void *ctx, int64_t epoch, int64_t offset)
{
    struct opening *o = ctx;
    if (offset < o->known) {
        mlog_add_epoch(o->log, (int32_t)epoch, offset, 0);
    }
    return 0;
}

/* Epochs that begin before what is read. A missing or odd file costs nothing but old epochs. */
static void load_epochs(struct opening *o)
{
    char path[MLOG_PATH_MAX];
    struct buf text = {0};
    struct errmsg ignored;
    if (io_read_file(o->log->io, mlog_path(o->log, path, "leader-epoch-checkpoint"), 1 << 20,
                     &text) == 0) {
        (void)checkpoint_parse_pairs(buf_bytes(&text), keep_pair, o, &ignored);
    }
    buf_free(&text);
}

static int start_anew(struct opening *o, int64_t offset)
{
    int err = 0;
    while (err == 0 && o->log->segs_n) {
        err = mlog_delete_segment(o->log, o->log->segs_n - 1, o->em);
    }
    o->expected = offset;
    return err ? err : mlog_segment_create(o->log, offset, o->index + 1, o->em);
}

static int read_log(struct opening *o)
{
    struct metadata_log *log = o->log;
    struct metadata_snapshot_id snap = metadata_log_newest_snapshot(log);
    o->known = snap.offset > 0 ? snap.offset : 0;
    o->index = snap.offset >= 0 ? metadata_log_snapshot_index(log) : 1;
    uint64_t anchor = o->index;
    o->epoch = -1;
    load_epochs(o);
    int err = 0;
    if (log->segs_n == 0) {
        err = start_anew(o, o->known);
    } else if (log->segs[0].base > o->known) {
        return errmsg_set(o->em, ERR_CORRUPT,
                          "%s: the log begins at offset %lld, and no snapshot holds what is before",
                          log->path, (long long)log->segs[0].base);
    } else {
        err = scan_log(o);
    }
    if (err == 0 && is_lost(o)) {
        return errmsg_set(
            o->em, ERR_CORRUPT,
            "%s: the log ends at offset %lld, but it had been durable up to %lld: files "
            "are missing or cut. Restore the directory, or the voter's state from the "
            "other voters",
            log->path, (long long)o->expected, (long long)log->durable.offset);
    }
    if (err == 0 && o->expected < o->known) {
        log_info(log->lg, "controller",
                 "the metadata log ends before its newest snapshot and starts anew end=%lld "
                 "snapshot=%lld",
                 (long long)o->expected, (long long)o->known);
        o->index = anchor;
        log->epochs_n = 0;
        err = start_anew(o, o->known);
    }
    log->end = o->expected;
    log->start = log->segs_n ? log->segs[0].base : 0;
    log->first_index = anchor + 1;
    log->known_offset = o->known;
    log->last_index = o->index;
    return err;
}

int metadata_log_open(struct io *io, const struct logger *lg, const struct metadata_log_config *cfg,
                      struct metadata_log **out, struct errmsg *em)
{
    struct opening o = {.em = em};
    struct buf path = {0};
    buf_printf(&path, "%s/%s", cfg->log_dir, LOG_DIR_METADATA_LOG);
    if (path.len > MLOG_PATH_MAX - 128) {
        buf_free(&path);
        return errmsg_set(em, ERR_TOOBIG, "the path of the metadata log is longer than %d bytes",
                          MLOG_PATH_MAX - 128);
    }
    struct metadata_log *log = MEM_NEW(struct metadata_log);
    log->io = io;
    log->lg = lg;
    log->cfg = *cfg;
    (void)buf_cstr(&path);
    log->path = (char *)buf_take(&path);
    log->cfg.log_dir = NULL; /* the caller's: not kept */
    o.log = log;
    int err = make_folder(log, cfg->log_dir, em);
    err = err ? err : read_folder(&o);
    err = err ? err : mlog_read_anchors(log, &o.anchors, &o.anchors_n, em);
    if (err == 0 && o.anchors_n) {
        log->durable = o.anchors[o.anchors_n - 1];
    }
    err = err ? err : choose_snapshot(&o);
    err = err ? err : read_log(&o);
    /* What was found is from now on taken for committed: it must be on the disk. */
    struct mlog_segment *seg = err ? NULL : mlog_active(log);
    if (err == 0) {
        err = io_fsync(seg->file);
        err = err ? err : io_fsync_dir(io, log->path);
        err = err ? mlog_fail(log, em, err, "make durable", "the last segment") : 0;
    }
    err = err ? err : mlog_write_epochs(log, em);
    if (err == 0) {
        log->flush_end =
            (struct mlog_anchor){log->last_index, metadata_log_last_epoch(log), log->end};
        log->durable = log->flush_end;
        err = mlog_write_anchors(log, NULL, em);
    }
    if (err == 0) {
        mlog_reserve(log);
    }
    mem_free(o.anchors);
    buf_free(&o.stale);
    if (err) {
        metadata_log_close(log);
        return err;
    }
    *out = log;
    return 0;
}
