/* Files and findings of dump-log: see dump.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/record_legacy.h"
#include "tools/dump.h"
#include "tools/output.h"

void dump_fail(struct dump *d, const char *fmt, ...)
{
    va_list ap;
    output_flush();
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    d->failed = 1;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int dump_open(struct dump *d, struct dump_file *f, const char *path)
{
    struct stat st;
    *f = (struct dump_file){.path = path, .name = name_of(path)};
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0) {
        dump_fail(d, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        dump_fail(d, "%s: not a file", path);
    } else {
        f->size = st.st_size;
        return 0;
    }
    dump_close(f);
    return -1;
}

void dump_close(struct dump_file *f)
{
    if (f->fd >= 0) {
        close(f->fd);
    }
    f->fd = -1;
}

int64_t dump_base_offset(struct dump *d, const char *path)
{
    const char *name = name_of(path);
    char *end;
    errno = 0;
    long long v = strtoll(name, &end, 10);
    if (errno || end == name || *end != '.' || v < 0) {
        dump_fail(d, "%s: the name does not begin with an offset, as 00000000000000000000.log does",
                  path);
        return -1;
    }
    return v;
}

int dump_read(struct dump *d, const struct dump_file *f, int64_t at, size_t n, struct buf *b)
{
    buf_clear(b);
    n = at >= f->size ? 0 : (f->size - at < (int64_t)n ? (size_t)(f->size - at) : n);
    if (!buf_try_reserve(b, n)) {
        dump_fail(d, "%s: no memory for the %zu bytes at position %" PRId64, f->path, n, at);
        return -1;
    }
    while (b->len < n) {
        ssize_t got = pread(f->fd, b->data + b->len, n - b->len, at + (int64_t)b->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            dump_fail(d, "%s: %s", f->path, strerror(errno));
            return -1;
        }
        if (got == 0) { /* became shorter meanwhile */
            break;
        }
        b->len += (size_t)got;
    }
    return 0;
}

int dump_batch(struct dump *d, const struct dump_file *log, int64_t at, int64_t end, struct buf *b)
{
    struct bytes rest;
    struct bytes batch;
    if (end - at < BATCH_UP_TO_MAGIC) {
        buf_clear(b);
        return 0;
    }
    if (dump_read(d, log, at, BATCH_UP_TO_MAGIC, b) < 0) {
        return -1;
    }
    rest = buf_bytes(b);
    int rv = batch_next(&rest, &batch);
    if (rv < 0) {
        return ERR_CORRUPT;
    }
    int64_t size = BATCH_LOG_OVERHEAD + (int64_t)(int32_t)load_be32(b->data + BATCH_AT_LENGTH);
    if (b->len < BATCH_UP_TO_MAGIC || size > end - at) {
        return 0;
    }
    if (dump_read(d, log, at, (size_t)size, b) < 0) {
        return -1;
    }
    return b->len == (size_t)size;
}

int64_t dump_last_offset(struct bytes batch)
{
    struct batch_header h;
    if (batch_header_read(batch, &h) == 0) {
        return batch_last_offset(&h);
    }
    return (int64_t)load_be64(batch.data);
}

/* ---- Findings ---- */

void dump_pairs_add(struct dump_pairs *p, int64_t first, int64_t second)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        p->v = mem_realloc(p->v, p->cap * sizeof *p->v);
    }
    p->v[p->n++] = (struct dump_pair){first, second};
}

void dump_pairs_put(struct dump_pairs *p, int64_t first, int64_t second)
{
    size_t at = p->n;
    while (at > 0 && p->v[at - 1].first > first) { /* nearly always none: offsets rise */
        at--;
    }
    if (at > 0 && p->v[at - 1].first == first) {
        p->v[at - 1].second = second;
        return;
    }
    dump_pairs_add(p, first, second);
    memmove(p->v + at + 1, p->v + at, (p->n - 1 - at) * sizeof *p->v);
    p->v[at] = (struct dump_pair){first, second};
}

void dump_pairs_free(struct dump_pairs *p)
{
    mem_free(p->v);
    *p = (struct dump_pairs){0};
}

static const struct {
    const char *head;
    const char *before;
    const char *between;
} words[DUMP_FINDINGS] = {
    [DUMP_INDEX_MISMATCH] = {"Mismatches in :", "  Index offset: ", ", log offset: "},
    [DUMP_TIME_MISMATCH] = {"Found timestamp mismatch in :", "  Index timestamp: ",
                            ", log timestamp: "},
    [DUMP_TIME_ORDER] = {"Found out of order timestamp in :", "  Index timestamp: ",
                         ", Previously indexed timestamp: "},
    [DUMP_TIME_NOT_FOUND] = {"The following indexed offsets are not found in :", "Indexed offset: ",
                             ", found log offset: "},
    [DUMP_GAP] = {"Non-consecutive offsets in ", "  ", " is followed by "},
};

void dump_found(struct dump *d, enum dump_finding kind, const char *path, struct dump_pairs *p)
{
    struct buf *out = &d->found[kind];
    if (p->n) {
        char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
        buf_printf(out, "%s%s%s%s\n", words[kind].head, cwd ? cwd : "", cwd ? "/" : "", path);
        free(cwd);
    }
    for (size_t i = 0; i < p->n; i++) {
        buf_printf(out, "%s%" PRId64 "%s%" PRId64 "\n", words[kind].before, p->v[i].first,
                   words[kind].between, p->v[i].second);
    }
    dump_pairs_free(p);
}
