/* .txnindex: the aborted transactions whose marker lies in the segment. formats.md 3.5.
 *
 *     int16 version 0 | int64 producer id | int64 first offset | int64 last offset (of the marker)
 * | int64 last stable offset at that moment
 *
 * It is made with its first entry. Aborts are rare: entries are written at once. */
#include "base/assert.h"
#include "storage/plog.h"

static int open_txn(struct plog *log, struct segment *seg, struct io_file **f)
{
    ASSERT(seg->flags & SEG_HAS_TXN);
    return segment_open(log, seg, SEG_TXN, f);
}

int segment_txn_count(struct plog *log, struct segment *seg, uint32_t *n)
{
    struct io_file *f;
    uint64_t size;
    *n = 0;
    if ((seg->flags & SEG_HAS_TXN) == 0) {
        return 0;
    }
    int rc = open_txn(log, seg, &f);
    if (rc < 0) {
        return rc;
    }
    rc = io_file_size(f, &size);
    if (rc < 0) {
        return plog_disk_error(log, rc, "asking an index's size", segment_path(log, seg, SEG_TXN));
    }
    *n = (uint32_t)(size / TXN_ENTRY);
    return 0;
}

int segment_txn_get(struct plog *log, struct segment *seg, uint32_t i, struct txn_entry *e)
{
    uint8_t p[TXN_ENTRY];
    struct io_file *f;
    int rc = open_txn(log, seg, &f);
    if (rc < 0) {
        return rc;
    }
    int64_t got = io_pread(f, p, sizeof p, (uint64_t)i * TXN_ENTRY);
    if (got < 0) {
        return plog_disk_error(log, (int)got, "reading an index", segment_path(log, seg, SEG_TXN));
    }
    *e = (struct txn_entry){
        .producer_id = (int64_t)load_be64(p + 2),
        .first = (int64_t)load_be64(p + 10),
        .last = (int64_t)load_be64(p + 18),
        .lso = (int64_t)load_be64(p + 26),
    };
    if (got != TXN_ENTRY || load_be16(p) != 0 || e->last < seg->base) {
        return ERR_CORRUPT;
    }
    return 0;
}

int segment_txn_append(struct plog *log, struct segment *seg, const struct txn_entry *e)
{
    uint8_t p[TXN_ENTRY];
    uint64_t size = 0;
    struct cached_file *cf;
    const char *path = segment_path(log, seg, SEG_TXN);
    unsigned flags = IO_OPEN_WRITE | IO_OPEN_CREATE;
    if ((seg->flags & SEG_HAS_TXN) == 0) {
        flags |= IO_OPEN_TRUNC;
        seg->flags |= SEG_NEW_NAME;
    }
    int rc = file_cache_get(&log->st->files, &seg->file[SEG_TXN], path, flags, &cf);
    if (rc == 0) {
        seg->flags |= SEG_HAS_TXN;
        rc = io_file_size(cf->file, &size);
    }
    if (rc < 0) {
        return plog_disk_error(log, rc, "opening an index", path);
    }
    size -= size % TXN_ENTRY; /* a torn one of a write that failed */
    store_be16(p, 0);
    store_be64(p + 2, (uint64_t)e->producer_id);
    store_be64(p + 10, (uint64_t)e->first);
    store_be64(p + 18, (uint64_t)e->last);
    store_be64(p + 26, (uint64_t)e->lso);
    int64_t n = io_pwrite(cf->file, p, sizeof p, size);
    if (n < 0) {
        io_truncate(cf->file, size);
        return plog_disk_error(log, (int)n, "writing an index", segment_path(log, seg, SEG_TXN));
    }
    seg->flags |= SEG_TXN_DIRTY;
    return 0;
}

int segment_txn_truncate(struct plog *log, struct segment *seg, int64_t offset)
{
    uint32_t n;
    struct io_file *f;
    struct txn_entry e;
    int rc = segment_txn_count(log, seg, &n);
    if (rc < 0 || (seg->flags & SEG_HAS_TXN) == 0) {
        return rc;
    }
    while (n > 0) {
        rc = segment_txn_get(log, seg, n - 1, &e);
        if (rc < 0 && rc != ERR_CORRUPT) {
            return rc;
        }
        if (rc == 0 && e.last < offset) {
            break;
        }
        n--;
    }
    rc = open_txn(log, seg, &f);
    if (rc == 0) {
        rc = io_truncate(f, (uint64_t)n * TXN_ENTRY);
    }
    seg->flags |= SEG_TXN_DIRTY;
    return rc < 0 ? plog_disk_error(log, rc, "cutting an index", segment_path(log, seg, SEG_TXN))
                  : 0;
}
