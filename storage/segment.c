/* The files of a segment: names, opening, making. Which rules put what into them stands in
 * plog_append.c (.log), seg_index.c and txn_index.c.
 *
 * Failure modes: an error of the disk (ERR_IO, ERR_PERM and what else is not "full" or "too many
 * files") takes the log directory offline through plog_disk_error; the caller just returns it. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

const char *segment_suffix(enum segment_file which)
{
    static const char *const names[SEG_FILES] = {".log", ".index", ".timeindex", ".txnindex"};
    ASSERT(which < SEG_FILES);
    return names[which];
}

const char *plog_file_path(const struct plog *log, int64_t offset, const char *suffix)
{
    struct buf *b = &log->st->path;
    buf_clear(b);
    buf_printf(b, "%s/%020lld%s", log->path, (long long)offset, suffix);
    return buf_cstr(b);
}

const char *segment_path(const struct plog *log, const struct segment *seg, enum segment_file which)
{
    return plog_file_path(log, seg->base, segment_suffix(which));
}

int plog_disk_error(struct plog *log, int err, const char *what, const char *path)
{
    if (err != ERR_NOSPACE && err != ERR_MFILE && err != ERR_NOMEM) {
        log_store_dir_failed(log->st, log->dir, err, what, path);
    } else if (err == ERR_NOSPACE) {
        log_store_no_space(log->st, log->dir);
    }
    return err;
}

int segment_open(struct plog *log, struct segment *seg, enum segment_file which,
                 struct io_file **out)
{
    struct log_store *st = log->st;
    struct cached_file *cf;
    const char *path = seg->file[which] ? "" : segment_path(log, seg, which);
    int rc = file_cache_get(&st->files, &seg->file[which], path, IO_OPEN_WRITE, &cf);
    if (rc < 0) {
        return plog_disk_error(log, rc, "opening a segment's file", path);
    }
    if (st->due_ms == INT64_MAX) {
        log_store_want(st, cf->used_ms + st->opt.file_idle_ms);
    }
    *out = cf->file;
    return 0;
}

void segment_drop_files(struct segment *seg)
{
    for (int i = 0; i < SEG_FILES; i++) {
        file_cache_drop(&seg->file[i]);
    }
}

void segment_free(struct segment *seg)
{
    if (seg) {
        segment_drop_files(seg);
        mem_free(seg);
    }
}

/* ---- making ---- */

static int create_file(struct plog *log, struct segment *seg, enum segment_file which,
                       uint64_t reserve)
{
    struct cached_file *cf;
    const char *path = segment_path(log, seg, which);
    int rc = file_cache_get(&log->st->files, &seg->file[which], path,
                            IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &cf);
    if (rc < 0) {
        return plog_disk_error(log, rc, "making a segment's file", path);
    }
    if (reserve) {
        rc = io_allocate(cf->file, reserve);
        if (rc < 0) {
            return plog_disk_error(log, rc, "reserving a segment's space", path);
        }
    }
    return 0;
}

int segment_create(struct plog *log, int64_t base, struct segment **out)
{
    static const enum segment_file kinds[] = {SEG_LOG, SEG_INDEX, SEG_TIME};
    struct segment *seg = MEM_NEW(struct segment);
    size_t made = 0;
    int rc = 0;
    seg->base = base;
    seg->largest_ts = NO_TIMESTAMP;
    seg->largest_ts_offset = base;
    seg->flags = SEG_NEW_NAME | SEG_INDEX_KNOWN | SEG_TIME_KNOWN;
    while (rc == 0 && made < ARRAY_LEN(kinds)) {
        bool reserve = kinds[made] == SEG_LOG && log->config->preallocate;
        rc = create_file(log, seg, kinds[made], reserve ? (uint64_t)log->config->segment_bytes : 0);
        made++;
    }
    if (rc == 0) {
        if (log->st->due_ms == INT64_MAX) {
            log_store_want(log->st, io_now_ms(log->st->io) + log->st->opt.file_idle_ms);
        }
        *out = seg;
        return 0;
    }
    log->dir_dirty = true; /* an empty segment that comes back would hide what is appended now */
    segment_drop_files(seg);
    while (made-- > 0) {
        io_unlink(log->st->io, segment_path(log, seg, kinds[made]));
    }
    mem_free(seg);
    return rc;
}

/* ---- the list ---- */

uint32_t plog_segment_of(const struct plog *log, int64_t offset)
{
    uint32_t lo = 0, hi = log->seg_n;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (log->segs[mid]->base <= offset) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void plog_add_segment(struct plog *log, struct segment *seg)
{
    ASSERT(log->seg_n == 0 || plog_active(log)->base < seg->base);
    if (log->seg_n == log->seg_cap) {
        log->seg_cap = log->seg_cap ? log->seg_cap * 2 : 1;
        log->segs = mem_realloc(log->segs, log->seg_cap * sizeof *log->segs);
    }
    log->segs[log->seg_n++] = seg;
}
