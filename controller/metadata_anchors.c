/* raft-index-checkpoint: which raft index belongs to which offset, and how far the log is known to
 * be durable (the line with the largest offset). Kafka's checkpoint form: version 0, a count, then
 * `index term offset` lines in rising order. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "controller/metadata_log_private.h"

static const char FILE_NAME[] = "raft-index-checkpoint";

enum { FILE_MAX = 1 << 20 };

static int bad(const struct metadata_log *log, struct errmsg *em, unsigned line)
{
    return errmsg_set(
        em, ERR_CORRUPT,
        "%s/%s line %u is not `index term offset` in rising order behind the version 0 "
        "and the number of lines",
        log->path, FILE_NAME, line);
}

static bool take(const char **at, long long *out)
{
    char *end;
    *out = strtoll(*at, &end, 10);
    bool ok = end != *at && *out >= 0;
    *at = end;
    return ok;
}

static bool end_of_line(const char **at)
{
    if (**at != '\n') {
        return false;
    }
    (*at)++;
    return true;
}

int mlog_read_anchors(struct metadata_log *log, struct mlog_anchor **out, size_t *n,
                      struct errmsg *em)
{
    char path[MLOG_PATH_MAX];
    struct buf text = {0};
    *out = NULL;
    *n = 0;
    int err = io_read_file(log->io, mlog_path(log, path, "%s", FILE_NAME), FILE_MAX, &text);
    if (err) {
        buf_free(&text);
        return err == ERR_NOTFOUND ? 0 : mlog_fail(log, em, err, "read", FILE_NAME);
    }
    const char *at = buf_cstr(&text);
    long long version = -1;
    long long count = -1;
    if (!take(&at, &version) || !end_of_line(&at) || version != 0 || !take(&at, &count) ||
        !end_of_line(&at) || count > FILE_MAX / 6) {
        err = bad(log, em, version == 0 ? 2 : 1);
        goto out;
    }
    *out = mem_alloc((size_t)count * sizeof **out);
    for (long long i = 0; i < count; i++) {
        long long index, term, offset;
        bool ok = take(&at, &index) && take(&at, &term) && take(&at, &offset) && end_of_line(&at);
        const struct mlog_anchor *last = *n ? &(*out)[*n - 1] : NULL;
        if (!ok || index < 1 || term > INT32_MAX ||
            (last && (offset < last->offset || (uint64_t)index < last->index))) {
            err = bad(log, em, (unsigned)i + 3);
            goto out;
        }
        (*out)[(*n)++] = (struct mlog_anchor){(uint64_t)index, (int32_t)term, offset};
    }
    err = *at ? bad(log, em, (unsigned)count + 3) : 0;
out:
    buf_free(&text);
    if (err) {
        mem_free(*out);
        *out = NULL;
        *n = 0;
    }
    return err;
}

static void put_line(struct buf *text, size_t *n, uint64_t index, int32_t epoch, int64_t offset)
{
    buf_printf(text, "%llu %d %lld\n", (unsigned long long)index, epoch < 0 ? 0 : epoch,
               (long long)offset);
    (*n)++;
}

int mlog_write_anchors(struct metadata_log *log, const struct mlog_snapshot *extra,
                       struct errmsg *em)
{
    struct buf lines = {0};
    struct buf text = {0};
    size_t n = 0;
    int64_t last = -1;
    for (uint32_t i = 0; i < log->snapshots_n; i++) {
        const struct mlog_snapshot *s = &log->snapshots[i];
        put_line(&lines, &n, s->index, s->id.epoch, s->id.offset);
        last = s->id.offset;
    }
    if (extra) {
        ASSERT(extra->id.offset > last);
        put_line(&lines, &n, extra->index, extra->id.epoch, extra->id.offset);
        last = extra->id.offset;
    }
    if (log->durable.offset > last) {
        put_line(&lines, &n, log->durable.index, log->durable.epoch, log->durable.offset);
    }
    buf_printf(&text, "0\n%zu\n", n);
    buf_put(&text, lines.data, lines.len);
    int err = mlog_replace(log, FILE_NAME, buf_bytes(&text), em);
    buf_free(&lines);
    buf_free(&text);
    return err;
}
