#include "storage/log_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { HEX_LEN = 32, MARK_MAX = 4096 };

/* ---- names ---- */

/* PARTITION at the end of s[0..n): digits behind the last '-'. Returns the length of the topic
 * part, 0 if there is none. */
static size_t split_partition(const char *s, size_t n, int32_t *partition)
{
    size_t at = n;
    int64_t v = 0;
    while (at > 0 && s[at - 1] >= '0' && s[at - 1] <= '9') {
        at--;
    }
    if (at == n || n - at > 10 || at < 2 || s[at - 1] != '-') {
        return 0;
    }
    for (size_t i = at; i < n; i++) {
        v = v * 10 + (s[i] - '0');
    }
    if (v > INT32_MAX) {
        return 0;
    }
    *partition = (int32_t)v;
    return at - 1;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Length of s[0..n) without ".HEX32" at its end; 0 if that is not there. */
static size_t strip_unique(const char *s, size_t n)
{
    if (n < HEX_LEN + 2 || s[n - HEX_LEN - 1] != '.') {
        return 0;
    }
    for (size_t i = n - HEX_LEN; i < n; i++) {
        if (!is_hex(s[i])) {
            return 0;
        }
    }
    return n - HEX_LEN - 1;
}

bool log_dir_parse_name(const char *name, struct arena *a, struct log_dir_entry *out)
{
    static const struct {
        const char *suffix;
        enum log_dir_kind kind;
    } kinds[] = {
        {"-delete", LOG_DIR_DELETE}, {"-future", LOG_DIR_FUTURE}, {"-stray", LOG_DIR_STRAY}};
    size_t n = strlen(name);
    *out = (struct log_dir_entry){.kind = LOG_DIR_PLAIN};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t k = strlen(kinds[i].suffix);
        if (n > k && strcmp(name + n - k, kinds[i].suffix) == 0) {
            out->kind = kinds[i].kind;
            n = strip_unique(name, n - k);
            break;
        }
    }
    size_t topic = split_partition(name, n, &out->partition);
    if (topic == 0) {
        return false;
    }
    if (strcmp(name, LOG_DIR_METADATA_LOG) == 0) {
        out->kind = LOG_DIR_METADATA;
    }
    out->topic = arena_strndup(a, name, topic);
    out->name = arena_strndup(a, name, strlen(name));
    return true;
}

/* ---- opening ---- */

static const char *path_of(struct log_dir *d, const char *file)
{
    return arena_printf(&d->arena, "%s/%s", d->path, file);
}

/* Its name must outlast a loss of power, as what will be flushed in it does. */
static int make_dir(struct io *io, const char *path, const char *up)
{
    int rc = io_mkdir(io, path);
    if (rc < 0 && rc != ERR_EXISTS) {
        return rc;
    }
    return io_fsync_dir(io, up);
}

static int make_dirs(struct io *io, const char *path, struct errmsg *em)
{
    struct io_stat s;
    int rc = io_stat(io, path, &s);
    if (rc == 0) {
        return s.is_dir ? 0 : errmsg_set(em, ERR_EXISTS, "%s is a file, not a log directory", path);
    }
    if (rc != ERR_NOTFOUND) {
        return errmsg_set(em, rc, "log directory %s: %s", path, err_text(rc));
    }
    char *up = mem_strdup(path);
    char *slash = strrchr(up, '/');
    rc = 0;
    if (slash == up) {
        up[1] = 0;
    } else if (slash) {
        *slash = 0;
        rc = make_dirs(io, up, em);
    }
    if (rc == 0) {
        rc = make_dir(io, path, slash ? up : ".");
        rc = rc < 0 ? errmsg_set(em, rc, "log directory %s cannot be made: %s", path, err_text(rc))
                    : 0;
    }
    mem_free(up);
    return rc;
}

static int take_lock(struct log_dir *d, struct errmsg *em)
{
    const char *path = path_of(d, LOG_DIR_LOCK);
    int rc = io_open(d->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &d->lock);
    if (rc < 0) {
        d->lock = NULL;
        return errmsg_set(em, rc, "%s cannot be opened: %s", path, err_text(rc));
    }
    rc = io_lock(d->lock);
    if (rc < 0) {
        return errmsg_set(em, rc,
                          rc == ERR_LOCKED ? "%s is %s; is a broker running on it?"
                                           : "%s cannot be locked: %s",
                          path, err_text(rc));
    }
    return 0;
}

/* The number behind "brokerEpoch": in the mark; -1 if there is none. */
static int64_t parse_broker_epoch(const char *text)
{
    const char *p = strstr(text, "\"brokerEpoch\"");
    p = p ? strchr(p, ':') : NULL;
    if (p == NULL) {
        return -1;
    }
    char *end;
    long long v = strtoll(p + 1, &end, 10);
    return end == p + 1 ? -1 : v;
}

/* ---- the run before ---- */

/* What the kernel could not bring to the disk it tells once for each file, perhaps to a process
 * that dies with the answer. What it knows of the whole file system nobody has asked it for. */
static bool nothing_was_lost(struct log_dir *d)
{
    if (io_sync_fs(d->io, d->path) == 0) {
        return true;
    }
    (void)last_run_remove(d->io, d->path); /* it is not told again */
    return false;
}

static void look_at_last_run(struct log_dir *d)
{
    if (io_kernel_id(d->io, d->path, d->kernel) != 0) {
        d->kernel[0] = 0;
        return;
    }
    int rc = last_run_read(d->io, d->path, &d->last_run);
    d->kept = rc == 0 && strcmp(d->last_run.kernel, d->kernel) == 0 && nothing_was_lost(d);
}

int log_dir_note_run(const struct log_dir *d, int64_t epoch_before, struct uuid incarnation)
{
    struct last_run run = {.broker_epoch = epoch_before, .incarnation = incarnation};
    if (d->kernel[0] == 0) {
        return last_run_remove(d->io, d->path);
    }
    memcpy(run.kernel, d->kernel, sizeof run.kernel);
    return last_run_write(d->io, d->path, &run); /* or the old one stays, and is true until then */
}

/* ---- the mark ---- */

/* What the mark says stays true until this process is registered, also if it does not come so far.
 * A note beside it is of a run that stopped while its registration was on the way: it may be the
 * one that the controllers know. */
static void note_mark(struct log_dir *d)
{
    d->last_run.broker_epoch = d->previous_broker_epoch;
    d->last_run.incarnation = d->kept ? d->last_run.incarnation : UUID_ZERO;
    (void)log_dir_note_run(d, d->last_run.broker_epoch, d->last_run.incarnation);
}

/* Reads and deletes the mark of a clean stop. The deletion must be durable before anything is
 * written: a mark that came back after a power loss would hide a torn tail. */
static int take_mark(struct log_dir *d, struct errmsg *em)
{
    const char *path = path_of(d, LOG_DIR_CLEAN_SHUTDOWN);
    struct buf text = {0};
    d->previous_broker_epoch = -1;
    int rc = io_read_file(d->io, path, MARK_MAX, &text);
    if (rc == ERR_NOTFOUND) {
        return 0;
    }
    if (rc == 0) {
        d->clean = true;
        d->previous_broker_epoch = parse_broker_epoch(buf_cstr(&text));
        note_mark(d);
        rc = io_unlink(d->io, path);
    }
    buf_free(&text);
    if (rc == 0) {
        rc = io_fsync_dir(d->io, d->path);
    }
    return rc < 0 ? errmsg_set(em, rc, "%s: %s", path, err_text(rc)) : 0;
}

static int read_checkpoints(struct log_dir *d, struct errmsg *em)
{
    int rc =
        offset_checkpoint_read(d->io, d->path, CHECKPOINT_RECOVERY_POINT, &d->recovery_points, em);
    if (rc == 0) {
        rc =
            offset_checkpoint_read(d->io, d->path, CHECKPOINT_REPLICATION, &d->high_watermarks, em);
    }
    if (rc == 0) {
        rc = offset_checkpoint_read(d->io, d->path, CHECKPOINT_LOG_START, &d->log_starts, em);
    }
    if (rc == 0) {
        rc = offset_checkpoint_read(d->io, d->path, CHECKPOINT_CLEANER, &d->cleaner_points, em);
    }
    return rc;
}

struct lister {
    struct log_dir *d;
    size_t cap;
    int rc;
    struct errmsg *em;
};

static void list_entry(void *ctx, const struct io_dirent *e)
{
    struct lister *l = ctx;
    struct log_dir *d = l->d;
    struct log_dir_entry entry;
    if (!e->is_dir || l->rc < 0 || strcmp(e->name, "remote-log-index-cache") == 0 ||
        strcmp(e->name, "lost+found") == 0) {
        return;
    }
    if (!log_dir_parse_name(e->name, &d->start_arena, &entry)) {
        l->rc = errmsg_set(l->em, ERR_CORRUPT,
                           "directory %s/%s is not of the form TOPIC-PARTITION; a log directory "
                           "may hold no other ones",
                           d->path, e->name);
        return;
    }
    if (d->entry_count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        d->entries = mem_realloc(d->entries, l->cap * sizeof *d->entries);
    }
    d->entries[d->entry_count++] = entry;
}

static int list_entries(struct log_dir *d, struct errmsg *em)
{
    struct lister l = {.d = d, .em = em};
    int rc = io_list_dir(d->io, d->path, list_entry, &l);
    if (rc < 0) {
        return errmsg_set(em, rc, "log directory %s cannot be listed: %s", d->path, err_text(rc));
    }
    return l.rc;
}

static void forget_start(struct log_dir *d)
{
    offset_table_free(&d->recovery_points);
    offset_table_free(&d->high_watermarks);
    offset_table_free(&d->log_starts);
    offset_table_free(&d->cleaner_points);
    mem_free(d->entries);
    arena_free(&d->start_arena);
    d->entries = NULL;
    d->entry_count = 0;
}

static void dir_free(struct log_dir *d)
{
    if (d->lock) {
        io_file_close(d->lock);
    }
    forget_start(d);
    arena_free(&d->arena);
    mem_free(d);
}

/* A controller leaves no mark of its stop: its log is checked at every start (docs/quorum.md). */
static bool has_partitions(const struct log_dir *d)
{
    for (size_t i = 0; i < d->entry_count; i++) {
        if (d->entries[i].kind != LOG_DIR_METADATA) {
            return true;
        }
    }
    return false;
}

int log_dir_open(struct io *io, const struct logger *lg, unsigned index, const char *path,
                 bool create, struct log_dir **out, struct errmsg *em)
{
    struct log_dir *d = MEM_NEW(struct log_dir);
    d->io = io;
    d->index = index;
    d->path = arena_strndup(&d->arena, path, strlen(path));
    int rc = create ? make_dirs(io, path, em) : 0;
    if (rc == 0) {
        rc = take_lock(d, em);
    }
    if (rc == 0) {
        rc = meta_properties_read(io, path, &d->meta, em);
        d->has_meta = rc == 0;
        rc = rc == ERR_NOTFOUND ? 0 : rc;
    }
    if (rc == 0) {
        look_at_last_run(d);
    }
    /* The mark is taken last: a start that fails on something else leaves it for the next one. */
    if (rc == 0) {
        rc = read_checkpoints(d, em);
    }
    if (rc == 0) {
        rc = list_entries(d, em);
    }
    if (rc == 0) {
        rc = take_mark(d, em);
    }
    if (rc < 0) {
        dir_free(d);
        return rc;
    }
    log_info(lg, "storage", "log directory opened path=%s stop=%s partitions=%zu", path,
             d->clean            ? "clean"
             : d->kept           ? "killed"
             : has_partitions(d) ? "unclean"
                                 : "none",
             d->entry_count);
    *out = d;
    return 0;
}

bool log_dir_has_numbers(const struct log_dir *d)
{
    return d->recovery_points.first || d->high_watermarks.first || d->log_starts.first;
}

void log_dir_all_open(struct log_dir *d)
{
    d->all_open = true;
    forget_start(d);
}

int log_dir_close(struct log_dir *d, bool clean, int64_t broker_epoch)
{
    int rc = 0;
    if (clean && (d->clean || d->all_open)) {
        struct buf text = {0};
        bool registered = broker_epoch >= 0;
        broker_epoch = registered ? broker_epoch : d->previous_broker_epoch;
        buf_printf(&text, "{\"version\":0,\"brokerEpoch\":%lld}", (long long)broker_epoch);
        rc = io_replace_file(d->io, path_of(d, LOG_DIR_CLEAN_SHUTDOWN), text.data, text.len);
        buf_free(&text);
        if (rc == 0 && registered) {
            last_run_remove(d->io, d->path);
        }
        if (rc == 0) {
            io_unlink(d->io, path_of(d, LOG_DIR_LOCK)); /* as Kafka; harmless if it stays */
        }
    }
    dir_free(d);
    return rc;
}
