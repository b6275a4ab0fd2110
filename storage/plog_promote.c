/* A log that is copied beside another one of its name, to take its place (KIP-113): it lies in
 * NAME.HEX32-future, in another log directory, until it is promoted.
 *
 *     plog_create in NAME.HEX32-future -> plog_append ... -> all of it flushed
 *       -> promotion: a worker renames the directory to NAME and flushes the log directory
 *
 * Crash on the way: the rename is there or not; nothing in the folder changes by it. Only when the
 * new name is durable may the other log go, so there is always one of them under the name, and for
 * a moment two: the metadata says which one counts (broker/partition_open.c).
 *
 * Failure modes: a rename for which there is no space, or to a name that is taken (by a topic that
 * was made anew meanwhile), leaves all as it was, and may be tried again; anything else takes the
 * log directory offline. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

#define FUTURE_SUFFIX "-future"

enum { NAME_MAX_LEN = 255, UNIQUE_BYTES = 16, TAIL_LEN = 1 + 2 * UNIQUE_BYTES + 7 };

bool plog_future_name_fits(const char *name)
{
    return strlen(name) + TAIL_LEN <= NAME_MAX_LEN;
}

void plog_future_name(struct io *io, const char *name, struct buf *out)
{
    uint8_t unique[UNIQUE_BYTES];
    io_random(io, unique, sizeof unique);
    buf_printf(out, "%s.", name);
    for (size_t i = 0; i < sizeof unique; i++) {
        buf_printf(out, "%02x", unique[i]);
    }
    buf_put_str(out, FUTURE_SUFFIX);
}

size_t plog_base_name(const char *name)
{
    size_t n = strlen(name);
    size_t k = strlen(FUTURE_SUFFIX);
    return n > TAIL_LEN && strcmp(name + n - k, FUTURE_SUFFIX) == 0 ? n - TAIL_LEN : n;
}

bool plog_is_durable(const struct plog *log)
{
    return log->job == NULL && list_empty(&log->flush_wait) && !log->want_full &&
           log->flushed == log->end && !log->meta_dirty;
}

static void promote_work(struct io_op *op)
{
    struct plog_promotion *p = op->user;
    op->result = io_rename(p->io, p->from, p->to);
    if (op->result == 0) {
        p->renamed = true;
        op->result = io_fsync_dir(p->io, p->parent);
    }
}

static void take_name(struct plog *log, char *path)
{
    mem_free(log->path);
    log->path = path;
    log->name = strrchr(log->path, '/') + 1;
}

static void promoted(struct io_op *op, int64_t result)
{
    struct plog_promotion *p = op->user;
    struct plog *log = p->log;
    int err = (int)result;
    if (p->renamed) {
        log_store_renamed(log->st, p->from, p->to);
        take_name(log, p->to);
    } else {
        mem_free(p->to);
    }
    if (err && err != ERR_EXISTS) {
        plog_disk_error(log, err, "renaming a future log", log->path);
    }
    if (err && p->renamed && !plog_offline(log)) {
        log_store_dir_failed(log->st, log->dir, err, "flushing a log directory", log->path);
    }
    log->promoting = false;
    mem_free(p->from);
    mem_free(p->parent);
    p->cb(p, err && plog_offline(log) ? ERR_OFFLINE : err);
}

void plog_promote(struct plog *log, struct plog_promotion *p, plog_promotion_cb *cb, void *user)
{
    size_t keep = (size_t)(log->name - log->path) + plog_base_name(log->name);
    ASSERT(plog_is_durable(log) && !log->deleted && !log->closed && !log->promoting);
    ASSERT(keep < strlen(log->path));
    *p = (struct plog_promotion){.log = log, .io = log->st->io, .cb = cb, .user = user};
    p->from = mem_strdup(log->path);
    p->to = mem_strdup(log->path);
    p->to[keep] = 0;
    p->parent = mem_strdup(log->path);
    p->parent[log->name - log->path - 1] = 0;
    log->promoting = true;
    p->op = (struct io_op){.cb = promoted, .user = p};
    io_work(log->st->io, &p->op, promote_work);
}

void plog_take_producers(struct plog *log, struct plog *from)
{
    ASSERT(log->end == from->end);
    if (plog_need_producers(from) == 0) {
        struct producer_state *own = log->producers;
        log->producers = from->producers;
        from->producers = own;
    }
}
