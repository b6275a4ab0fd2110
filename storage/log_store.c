#include "storage/log_store.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/plog.h"

enum { FILE_IDLE_MS = 60000, HOT_BYTES = 64 << 20 };

struct deletion {
    struct list node;
    struct io *io;        /* for the worker */
    struct io_op op;      /* while a worker has it */
    struct log_store *st; /* then, too; NULL: it has gone */
    unsigned dir;
    int64_t due_ms;
    bool is_dir;
    char *path;
};

void log_store_init(struct log_store *st, struct io *io, const struct logger *lg,
                    const struct log_store_options *opt, const struct log_store_hooks *hooks)
{
    *st = (struct log_store){.io = io, .lg = lg, .opt = *opt, .due_ms = INT64_MAX};
    if (hooks) {
        st->hooks = *hooks;
    }
    if (st->opt.file_idle_ms <= 0) {
        st->opt.file_idle_ms = FILE_IDLE_MS;
    }
    if (st->opt.hot_bytes == 0) {
        st->opt.hot_bytes = HOT_BYTES;
    }
    file_cache_init(&st->files, io, opt->file_limit);
    list_init(&st->deletions);
    list_init(&st->flush_due);
    list_init(&st->flushing);
}

void log_store_want(struct log_store *st, int64_t at_ms)
{
    if (at_ms < st->due_ms) {
        st->due_ms = at_ms;
        if (st->hooks.due) {
            st->hooks.due(st->hooks.user, at_ms);
        }
    }
}

/* ---- offline directories ---- */

void log_store_dir_offline(struct log_store *st, unsigned dir)
{
    ASSERT(dir < LOG_STORE_DIRS_MAX);
    st->dir_offline[dir] = true;
}

void log_store_dir_failed(struct log_store *st, unsigned dir, int err, const char *what,
                          const char *path)
{
    ASSERT(dir < LOG_STORE_DIRS_MAX);
    if (st->dir_offline[dir]) {
        return;
    }
    st->dir_offline[dir] = true;
    struct errmsg em;
    errmsg_set(&em, err, "%s failed: %s; the log directory is offline until restart file=%s", what,
               err_text(err), path);
    log_error(st->lg, "storage", "%s", em.text);
    if (st->hooks.dir_failed) {
        st->hooks.dir_failed(st->hooks.user, dir, err, em.text);
    }
}

void log_store_no_space(struct log_store *st, unsigned dir)
{
    if (st->hooks.no_space && !st->dir_offline[dir]) {
        st->hooks.no_space(st->hooks.user, dir);
    }
}

/* ---- deletions ---- */

static void deletion_free(struct deletion *d)
{
    mem_free(d->path);
    mem_free(d);
}

void log_store_delete_later(struct log_store *st, unsigned dir, const char *path, bool is_dir,
                            int64_t delay_ms)
{
    struct deletion *d = MEM_NEW(struct deletion);
    d->io = st->io;
    d->dir = dir;
    d->is_dir = is_dir;
    d->path = mem_strdup(path);
    int64_t now = io_now_ms(st->io);
    d->due_ms = delay_ms > INT64_MAX - now ? INT64_MAX : now + (delay_ms > 0 ? delay_ms : 0);
    struct list *at = &st->deletions;
    while (at->prev != &st->deletions &&
           LIST_ENTRY(at->prev, struct deletion, node)->due_ms > d->due_ms) {
        at = at->prev;
    }
    list_insert_before(at, &d->node);
    log_store_want(st, d->due_ms);
}

void log_store_renamed(struct log_store *st, const char *from, const char *to)
{
    size_t n = strlen(from);
    list_for_each (at, &st->deletions) {
        struct deletion *d = LIST_ENTRY(at, struct deletion, node);
        if (strncmp(d->path, from, n) == 0 && d->path[n] == '/') {
            struct buf path = {0};
            buf_printf(&path, "%s%s", to, d->path + n);
            mem_free(d->path);
            d->path = mem_strdup(buf_cstr(&path));
            buf_free(&path);
        }
    }
}

struct removal {
    struct io *io;
    struct buf path;
    size_t dir_len;
    int rc;
};

static void remove_entry(void *ctx, const struct io_dirent *e)
{
    struct removal *r = ctx;
    r->path.len = r->dir_len;
    buf_printf(&r->path, "/%s", e->name);
    int rc = e->is_dir ? ERR_UNSUPPORTED : io_unlink(r->io, buf_cstr(&r->path));
    if (rc < 0 && rc != ERR_NOTFOUND && r->rc == 0) {
        r->rc = rc;
    }
}

static int remove_dir(struct io *io, const char *path)
{
    struct removal r = {.io = io};
    buf_put_str(&r.path, path);
    r.dir_len = r.path.len;
    int rc = io_list_dir(io, path, remove_entry, &r);
    buf_free(&r.path);
    if (rc == 0) {
        rc = r.rc;
    }
    return rc < 0 ? rc : io_rmdir(io, path);
}

/* A folder that was renamed to go has its new name on the disk before the first file in it goes:
 * else a loss of power could bring it back under the old name, without that file. */
static int remove_folder(struct io *io, char *path)
{
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int rc = io_fsync_dir(io, path);
    *slash = '/';
    return rc < 0 ? rc : remove_dir(io, path);
}

static void unlink_work(struct io_op *op)
{
    struct deletion *d = CONTAINER_OF(op, struct deletion, op);
    op->result = d->is_dir ? remove_folder(d->io, d->path) : io_unlink(d->io, d->path);
}

static void unlink_done(struct io_op *op, int64_t result)
{
    struct deletion *d = CONTAINER_OF(op, struct deletion, op);
    struct log_store *st = d->st;
    if (st == NULL) {
        deletion_free(d);
        return;
    }
    st->unlinking = NULL;
    if (result < 0 && result != ERR_NOTFOUND) {
        /* It is left for the next start: what ends in .deleted or -delete goes then. */
        log_warn(st->lg, "storage", "cannot delete file=%s error=\"%s\"", d->path,
                 err_text((int)result));
    }
    deletion_free(d);
    if (!list_empty(&st->deletions)) {
        log_store_want(st, LIST_ENTRY(st->deletions.next, struct deletion, node)->due_ms);
    }
}

static void start_deletion(struct log_store *st, int64_t now)
{
    if (st->unlinking || list_empty(&st->deletions)) {
        return;
    }
    struct deletion *d = LIST_ENTRY(st->deletions.next, struct deletion, node);
    if (d->due_ms > now) {
        return;
    }
    list_remove(&d->node);
    st->unlinking = d;
    d->st = st;
    d->op = (struct io_op){.cb = unlink_done};
    io_work(st->io, &d->op, unlink_work);
}

/* ---- the tick ---- */

int64_t log_store_tick(struct log_store *st)
{
    int64_t now = io_now_ms(st->io);
    st->due_ms = INT64_MAX;
    start_deletion(st, now);
    file_cache_trim(&st->files, now - st->opt.file_idle_ms);
    int64_t next = plog_flush_tick(st, now);
    /* While a worker deletes, unlink_done asks for the next one. */
    if (!st->unlinking && !list_empty(&st->deletions)) {
        int64_t due = LIST_ENTRY(st->deletions.next, struct deletion, node)->due_ms;
        next = due < next ? due : next;
    }
    if (st->files.count > 0 && now + st->opt.file_idle_ms < next) {
        next = now + st->opt.file_idle_ms;
    }
    if (next < st->due_ms) {
        st->due_ms = next;
    }
    return st->due_ms;
}

bool log_store_busy(const struct log_store *st)
{
    return !list_empty(&st->flushing) || st->unlinking != NULL || st->files.lent > 0;
}

void log_store_free(struct log_store *st)
{
    struct list *n;
    plog_flush_forget_deleted(st);
    ASSERT(st->files.lent == 0);
    if (st->unlinking) {
        st->unlinking->st = NULL;
    }
    while ((n = list_pop_front(&st->deletions)) != NULL) {
        deletion_free(LIST_ENTRY(n, struct deletion, node));
    }
    file_cache_close_all(&st->files);
    buf_free(&st->path);
    mem_free(st->group);
}
