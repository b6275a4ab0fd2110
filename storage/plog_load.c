/* What stands in a partition's directory, and whether the end of the log can be trusted.
 *
 *     list -> left-overs (.deleted, .cleaned, .swap, files without .log) -> segments and their
 * sizes
 *          -> the tail, by the last index entry -> trusted: done. Otherwise plog_recover.
 *
 * The tail is trusted after a clean stop, and also after a crash if the log was quiet: all of it
 * was flushed and nothing came since the last producer snapshot. In both cases the batches from the
 * last index entry on must end exactly where the file does; Kafka does not look (pitfalls 11), and
 * appends behind garbage then. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "storage/batch_scan.h"
#include "storage/log_dir.h"
#include "storage/plog.h"

enum { DIGITS = 20, WINDOW = 4096 };

/* ---- listing ---- */

enum file_state { FILE_PLAIN, FILE_DELETED, FILE_CLEANED, FILE_SWAP };

struct found {
    struct found *next;
    int64_t base;
    enum file_state state;
    int kind; /* enum segment_file, or SEG_FILES for a snapshot */
    const char *name;
};

struct listing {
    struct arena arena;
    struct found *first;
    struct found **end;
    bool metadata; /* partition.metadata is there */
    unsigned odd;  /* files in another state than plain */
};

static bool split_state(const char *s, size_t *n, enum file_state *state)
{
    static const char *const names[] = {"", ".deleted", ".cleaned", ".swap"};
    for (int i = FILE_DELETED; i <= FILE_SWAP; i++) {
        size_t k = strlen(names[i]);
        if (*n > k && memcmp(s + *n - k, names[i], k) == 0) {
            *n -= k;
            *state = (enum file_state)i;
            return true;
        }
    }
    *state = FILE_PLAIN;
    return false;
}

/* A segment's file or a snapshot; false: another file, which is not ours to touch. */
static bool parse_file(const char *name, struct found *f)
{
    size_t n = strlen(name);
    if (n <= DIGITS || name[DIGITS] != '.') {
        return false;
    }
    f->base = 0;
    for (int i = 0; i < DIGITS; i++) {
        int d = name[i] - '0';
        if (d < 0 || d > 9 || f->base > (INT64_MAX - d) / 10) {
            return false;
        }
        f->base = f->base * 10 + d;
    }
    split_state(name, &n, &f->state);
    for (f->kind = SEG_LOG; f->kind <= SEG_FILES; f->kind++) {
        const char *suffix =
            f->kind == SEG_FILES ? ".snapshot" : segment_suffix((enum segment_file)f->kind);
        if (n - DIGITS == strlen(suffix) && memcmp(name + DIGITS, suffix, n - DIGITS) == 0) {
            return true;
        }
    }
    return false;
}

static void list_file(void *ctx, const struct io_dirent *e)
{
    struct listing *l = ctx;
    struct found f = {0};
    if (e->is_dir) {
        return;
    }
    if (strcmp(e->name, "partition.metadata") == 0) {
        l->metadata = true;
    }
    if (!parse_file(e->name, &f)) {
        return;
    }
    struct found *p = ARENA_NEW(&l->arena, struct found);
    *p = f;
    p->name = f.state == FILE_PLAIN ? NULL : arena_strndup(&l->arena, e->name, strlen(e->name));
    l->odd += f.state != FILE_PLAIN;
    *l->end = p;
    l->end = &p->next;
}

static int list_files(struct plog *log, struct listing *l)
{
    arena_free(&l->arena);
    *l = (struct listing){0};
    l->end = &l->first;
    int rc = io_list_dir(log->st->io, log->path, list_file, l);
    return rc == ERR_NOTFOUND ? rc
           : rc < 0           ? plog_disk_error(log, rc, "listing a partition", log->path)
                              : 0;
}

/* ---- left-overs: formats.md 5.2 ---- */

static const char *name_path(struct plog *log, const char *name)
{
    struct buf *b = &log->st->path;
    buf_clear(b);
    buf_printf(b, "%s/%s", log->path, name);
    return buf_cstr(b);
}

static int remove_name(struct plog *log, const char *name)
{
    const char *path = name_path(log, name);
    int rc = io_unlink(log->st->io, path);
    return rc < 0 && rc != ERR_NOTFOUND ? plog_disk_error(log, rc, "removing a left-over", path)
                                        : 0;
}

static int remove_found(struct plog *log, const struct found *f)
{
    if (f->name) {
        return remove_name(log, f->name);
    }
    const char *suffix =
        f->kind == SEG_FILES ? ".snapshot" : segment_suffix((enum segment_file)f->kind);
    const char *path = plog_file_path(log, f->base, suffix);
    int rc = io_unlink(log->st->io, path);
    return rc < 0 && rc != ERR_NOTFOUND ? plog_disk_error(log, rc, "removing a left-over", path)
                                        : 0;
}

/* Offset behind the last batch of a finished compaction's output. */
static int swap_end(struct plog *log, const struct found *f, int64_t *end)
{
    struct io *io = log->st->io;
    const char *path = name_path(log, f->name);
    uint8_t window[WINDOW];
    struct batch_scan s;
    struct batch_header h;
    struct io_file *file;
    uint64_t size;
    int rc = io_open(io, path, IO_OPEN_READ, &file);
    if (rc < 0) {
        return plog_disk_error(log, rc, "opening a segment's file", path);
    }
    rc = io_file_size(file, &size);
    if (rc == 0) {
        batch_scan_init(&s, file, 0, size, window, sizeof window);
        while ((rc = batch_scan_next(&s, &h)) == 1) {
            *end = batch_next_offset(&h) > *end ? batch_next_offset(&h) : *end;
        }
        rc = rc == ERR_CORRUPT || rc == ERR_TRUNCATED ? 0 : rc;
    }
    io_file_close(file);
    return rc < 0 ? plog_disk_error(log, rc, "reading a segment", path) : 0;
}

/* The swap had begun: what the .swap files replace goes, then they take their names. */
static int finish_swap(struct plog *log, struct listing *l)
{
    int64_t least = INT64_MAX, behind = 0;
    int rc = 0;
    for (struct found *f = l->first; f && rc == 0; f = f->next) {
        if (f->state == FILE_SWAP) {
            least = f->base < least ? f->base : least;
            rc = f->kind == SEG_LOG ? swap_end(log, f, &behind) : 0;
        }
    }
    for (struct found *f = l->first; f && rc == 0; f = f->next) {
        if (f->state == FILE_PLAIN && f->kind != SEG_FILES && f->base >= least &&
            f->base < behind) {
            rc = remove_found(log, f);
        }
    }
    for (struct found *f = l->first; f && rc == 0; f = f->next) {
        if (f->state == FILE_SWAP) {
            struct buf to = {0};
            buf_put_str(&to, name_path(log, f->name));
            to.len -= strlen(".swap");
            buf_cstr(&to);
            rc = io_rename(log->st->io, name_path(log, f->name), buf_cstr(&to));
            rc = rc < 0 ? plog_disk_error(log, rc, "finishing a swap", buf_cstr(&to)) : 0;
            buf_free(&to);
        }
    }
    return rc;
}

static int clear_leftovers(struct plog *log, struct listing *l)
{
    int64_t cleaned = INT64_MAX;
    unsigned swaps = 0;
    int rc = 0;
    for (struct found *f = l->first; f; f = f->next) {
        if (f->state == FILE_CLEANED && f->base < cleaned) {
            cleaned = f->base;
        }
    }
    for (struct found **at = &l->first; *at && rc == 0;) {
        struct found *f = *at;
        bool drop = f->state == FILE_DELETED || f->state == FILE_CLEANED ||
                    (f->state == FILE_SWAP && f->base >= cleaned);
        swaps += f->state == FILE_SWAP && !drop;
        if (drop) {
            rc = remove_found(log, f);
            *at = f->next;
        } else {
            at = &f->next;
        }
    }
    if (rc == 0 && swaps) {
        rc = finish_swap(log, l);
    }
    return rc == 0 ? list_files(log, l) : rc;
}

/* ---- segments ---- */

static int add_found(struct plog *log, int64_t base, unsigned kinds)
{
    struct io_stat s;
    struct segment *seg = MEM_NEW(struct segment);
    seg->base = base;
    const char *path = segment_path(log, seg, SEG_LOG);
    int rc = io_stat(log->st->io, path, &s);
    if (rc < 0) {
        mem_free(seg);
        return plog_disk_error(log, rc, "asking a segment's size", path);
    }
    seg->size = s.size;
    seg->largest_ts = NO_TIMESTAMP;
    seg->largest_ts_offset = base;
    seg->flags = (kinds & 1u << SEG_TXN ? SEG_HAS_TXN : 0) |
                 ((kinds >> SEG_INDEX & 1) && (kinds >> SEG_TIME & 1) ? 0 : SEG_NO_INDEX);
    plog_add_segment(log, seg);
    log->size += seg->size;
    return 0;
}

/* The list is sorted by name: the files of one base stand together. */
static int add_segments(struct plog *log, struct listing *l)
{
    int rc = 0;
    for (struct found *f = l->first; f && rc == 0;) {
        unsigned kinds = 0;
        struct found *group = f;
        for (; f && f->base == group->base; f = f->next) {
            kinds |= 1u << f->kind;
        }
        if (kinds & 1u << SEG_FILES) {
            plog_note_snapshot(log, group->base);
        }
        if (kinds & 1u << SEG_LOG) {
            rc = add_found(log, group->base, kinds);
            continue;
        }
        for (struct found *g = group; g != f && rc == 0; g = g->next) {
            rc = g->kind == SEG_FILES ? 0 : remove_found(log, g);
        }
    }
    return rc;
}

/* ---- the tail ---- */

/* Walks the last segment's batches from its last index entry on. 1: they end where the file ends,
 * *end is behind them. 0: not, why says how. */
static int check_tail(struct plog *log, int64_t *end, char *why, size_t why_len)
{
    struct segment *seg = plog_active(log);
    uint8_t window[WINDOW];
    struct index_entry e = {.offset = seg->base, .pos = 0};
    struct batch_scan s = {0};
    struct batch_header h;
    struct io_file *f;
    *end = seg->base;
    if (seg->size == 0) {
        return 1;
    }
    int rc = segment_index_floor(log, seg, INT64_MAX, &e);
    if (rc == 0) {
        rc = segment_open(log, seg, SEG_LOG, &f);
    }
    if (rc < 0) {
        return rc;
    }
    if (e.pos >= seg->size) {
        snprintf(why, why_len, "the index points behind the end");
        return 0;
    }
    batch_scan_init(&s, f, e.pos, seg->size, window, sizeof window);
    int64_t last = e.pos ? e.offset - 1 : seg->base - 1;
    bool first = e.pos != 0;
    while ((rc = batch_scan_next(&s, &h)) == 1) {
        bool fits = first ? batch_last_offset(&h) == e.offset : h.base_offset > last;
        if (!fits || h.last_offset_delta < 0) {
            snprintf(why, why_len, "%s",
                     first ? "the last index entry does not fit its batch"
                           : "offsets do not ascend");
            return 0;
        }
        first = false;
        last = batch_last_offset(&h);
    }
    *end = last + 1;
    if (rc == ERR_CORRUPT || rc == ERR_TRUNCATED) {
        snprintf(why, why_len, "%s", s.why);
        return 0;
    }
    if (rc < 0) {
        return plog_disk_error(log, rc, "reading a segment", segment_path(log, seg, SEG_LOG));
    }
    return 1;
}

/* After a crash the time index of a quiet log may name batches that did not survive, and both
 * indexes may have their full size still. 1: it fits. */
static int check_times(struct plog *log, struct segment *seg)
{
    int rc = segment_index_load(log, seg);
    if (rc == 0) {
        rc = segment_time_load(log, seg);
    }
    if (rc == 0 && seg->time_n > 0 && seg->largest_ts_offset >= log->end) {
        return 0;
    }
    if (rc == 0) {
        rc = segment_trim(log, seg);
    }
    return rc < 0 ? rc : 1;
}

/* May the log be used without reading it? 1, 0, or an error. */
static int trusted(struct plog *log, const struct plog_open_args *a)
{
    char why[96] = "";
    struct segment *seg = plog_active(log);
    if (seg->flags & SEG_NO_INDEX) {
        return 0;
    }
    int rc = check_tail(log, &log->end, why, sizeof why);
    if (rc <= 0) {
        if (rc == 0 && a->clean) {
            log_warn(log->st->lg, "storage",
                     "log was stopped cleanly but its end is not good; it is read again "
                     "partition=%s file=%s reason=\"%s\"",
                     log->name, segment_path(log, seg, SEG_LOG), why);
        }
        return rc;
    }
    if (a->clean) {
        return 1;
    }
    int64_t snap = log->snap_n ? log->snaps[log->snap_n - 1] : log->start;
    bool quiet = log->recovery_point == log->end && (snap == log->end || log->start >= log->end);
    if (!quiet && (seg->size > 0 || log->seg_n > 1)) {
        return 0;
    }
    return check_times(log, seg);
}

/* Of the first n segments. */
static int rebuild_missing(struct plog *log, uint32_t n)
{
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        if (log->segs[i]->flags & SEG_NO_INDEX) {
            rc = segment_repair_index(log, log->segs[i], "it is missing");
        }
    }
    return rc;
}

/* ---- the whole ---- */

/* Nothing of the log is left at or behind its start: begin anew there. The new segment comes first,
 * and is there to stay: its name is all that will keep the offsets from being given again. */
static int start_over(struct plog *log)
{
    if (log->seg_n && log->size) {
        log_warn(log->st->lg, "storage",
                 "log ends before its start: begun anew partition=%s end=%lld start=%lld",
                 log->name, (long long)log->end, (long long)log->start);
    }
    struct segment *seg;
    int rc = segment_create(log, log->start, &seg);
    if (rc < 0) {
        return rc;
    }
    plog_add_segment(log, seg);
    rc = plog_delete_segments(log, 0, log->seg_n - 1, "ends before the log start");
    if (rc == 0 && log->start > 0) {
        rc = plog_settle_names(log);
    }
    if (rc < 0) {
        return rc;
    }
    log->end = log->start;
    if (log->producers) {
        producer_state_clear(log->producers);
        log->producers->map_end = log->end;
    }
    if (log->epochs) {
        epoch_cache_clear(log->epochs);
        log->epochs_dirty = true;
    }
    return 0;
}

static int load_segments(struct plog *log, const struct plog_open_args *a, struct listing *l,
                         struct errmsg *em)
{
    int rc = add_segments(log, l);
    log->start = a->log_start > 0 ? a->log_start : 0;
    if (rc == 0 && log->seg_n == 0) {
        rc = start_over(log);
    }
    if (rc < 0) {
        return errmsg_set(em, rc, "log %s cannot be opened: %s", log->path, err_text(rc));
    }
    if (log->segs[0]->base > log->start) {
        log->start = log->segs[0]->base;
    }
    rc = trusted(log, a);
    if (rc == 1) {
        rc = rebuild_missing(log, log->seg_n);
    } else if (rc == 0) {
        int64_t from = a->clean ? plog_active(log)->base : log->recovery_point;
        /* The producers may have to be read from before that. */
        rc = rebuild_missing(log, plog_segment_of(log, from));
        rc = rc == 0 ? plog_recover(log, from, em) : rc;
        rc = rc == 0 ? plog_mend_first_epoch(log) : rc;
    }
    if (rc == 0 && log->end < log->start) {
        rc = start_over(log);
    }
    return rc < 0 ? errmsg_set(em, rc, "log %s cannot be opened: %s", log->path, err_text(rc)) : 0;
}

int plog_load(struct plog *log, const struct plog_open_args *a, struct errmsg *em)
{
    struct listing l = {0};
    int rc = list_files(log, &l);
    if (rc == 0 && l.odd) {
        rc = clear_leftovers(log, &l);
    }
    if (rc == 0 && l.metadata) {
        /* One that cannot be read counts as absent: the caller decides what a log without a topic
         * id is. */
        struct errmsg why;
        int mrc = partition_metadata_read(log->st->io, log->path, &log->topic_id, &why);
        if (mrc < 0) {
            log_warn(log->st->lg, "storage", "%s", why.text);
        }
    }
    if (rc < 0) {
        arena_free(&l.arena);
        return errmsg_set(em, rc, "log %s cannot be opened: %s", log->path, err_text(rc));
    }
    log->recovery_point = a->recovery_point > 0 ? a->recovery_point : 0;
    log->kept = a->kept;
    log->vouched =
        a->high_watermark > log->recovery_point ? a->high_watermark : log->recovery_point;
    log->dir_dirty = log->meta_dirty = !a->clean; /* nobody knows whether they were flushed */
    rc = load_segments(log, a, &l, em);
    arena_free(&l.arena);
    if (rc < 0) {
        return rc;
    }
    if (log->recovery_point > log->end) {
        /* An empty log may be a new one, and the number of one that had its name before. */
        rc = log->size > 0 ? plog_doubt(log, "what was flushed is not there") : 0;
        log->recovery_point = log->end;
    }
    if (rc < 0) {
        return errmsg_set(em, rc, "log %s cannot be opened: %s", log->path, err_text(rc));
    }
    log->flushed = a->clean ? log->end : log->recovery_point;
    log->hw = a->high_watermark < log->end ? a->high_watermark : log->end;
    log->hw = log->hw < log->start ? log->start : log->hw;
    plog_drop_snapshots(log);
    if (log->producers) { /* recovered: what was found out is kept for the next start */
        log->want_full = true;
        producer_high_watermark(log->producers, log->hw);
        rc = plog_take_snapshot(log, log->end);
    }
    return rc < 0 ? errmsg_set(em, rc, "log %s cannot be opened: %s", log->path, err_text(rc)) : 0;
}
