/* A log as a whole: made, opened, taken away, asked.
 *
 *     plog_create  directory -> partition.metadata -> empty segment; flushed with the first flush
 *     plog_open    plog_load.c does the work
 *     plog_delete  directory renamed, removed later by the store
 *
 * Failure modes: creation that fails leaves nothing behind. A deletion that fails to rename (the
 * disk is gone) still ends the log: what is left on the disk is found to be stray at the next
 * start. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/log_dir.h"
#include "storage/plog.h"

enum { NAME_MAX_LEN = 255, UNIQUE_BYTES = 16 };

/* ---- making and freeing the struct ---- */

static struct plog *plog_new(struct log_store *st, const struct plog_open_args *a)
{
    ASSERT(a->dir_index < LOG_STORE_DIRS_MAX && a->config);
    struct plog *log = MEM_NEW(struct plog);
    struct buf path = {0};
    buf_printf(&path, "%s/%s", a->dir_path, a->name);
    log->path = mem_strdup(buf_cstr(&path));
    buf_free(&path);
    log->name = strrchr(log->path, '/') + 1;
    log->st = st;
    log->config = a->config;
    log->dir = a->dir_index;
    log->unsynced_snap = -1;
    log->begun_epoch = -1;
    log->flush_due_ms = INT64_MAX;
    list_init(&log->flush_wait);
    list_init(&log->flush_node);
    return log;
}

void plog_free(struct plog *log)
{
    ASSERT(log->job == NULL && list_empty(&log->flush_wait));
    list_remove(&log->flush_node);
    plog_tail_free(log);
    for (uint32_t i = 0; i < log->seg_n; i++) {
        segment_free(log->segs[i]);
    }
    mem_free(log->segs);
    mem_free(log->snaps);
    if (log->producers) {
        producer_state_free(log->producers);
        mem_free(log->producers);
    }
    if (log->epochs) {
        epoch_cache_free(log->epochs);
        mem_free(log->epochs);
    }
    mem_free(log->path);
    mem_free(log);
}

/* ---- opening ---- */

int plog_open(struct log_store *st, const struct plog_open_args *a, struct plog **out,
              struct errmsg *em)
{
    if (st->dir_offline[a->dir_index]) {
        return errmsg_set(em, ERR_OFFLINE, "log %s/%s cannot be opened: %s", a->dir_path, a->name,
                          err_text(ERR_OFFLINE));
    }
    struct plog *log = plog_new(st, a);
    int rc = plog_load(log, a, em);
    if (rc < 0) {
        plog_free(log);
        return rc;
    }
    *out = log;
    return 0;
}

static int write_metadata(struct plog *log)
{
    struct log_store *st = log->st;
    struct buf text = {0};
    struct io_file *f;
    buf_clear(&st->path);
    buf_printf(&st->path, "%s/partition.metadata", log->path);
    const char *path = buf_cstr(&st->path);
    int rc = io_open(st->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &f);
    if (rc == 0) {
        partition_metadata_text(log->topic_id, &text);
        int64_t n = io_pwrite(f, text.data, text.len, 0);
        rc = n < 0 ? (int)n : 0;
        io_file_close(f);
        buf_free(&text);
    }
    if (rc < 0) {
        plog_disk_error(log, rc, "writing a partition's metadata", path);
        io_unlink(st->io, path);
    }
    return rc;
}

/* The directory holds what plog_create put into it and nothing else. */
static void undo_dir(struct plog *log)
{
    struct log_store *st = log->st;
    buf_clear(&st->path);
    buf_printf(&st->path, "%s/partition.metadata", log->path);
    io_unlink(st->io, buf_cstr(&st->path));
    io_rmdir(st->io, log->path);
}

int plog_create(struct log_store *st, const struct plog_open_args *a, struct uuid topic_id,
                struct plog **out, struct errmsg *em)
{
    struct segment *seg;
    if (st->dir_offline[a->dir_index]) {
        return errmsg_set(em, ERR_OFFLINE, "log %s/%s cannot be made: %s", a->dir_path, a->name,
                          err_text(ERR_OFFLINE));
    }
    ASSERT(a->log_start >= 0);
    struct plog *log = plog_new(st, a);
    log->topic_id = topic_id;
    int rc = io_mkdir(st->io, log->path);
    if (rc < 0) {
        if (rc != ERR_EXISTS) {
            plog_disk_error(log, rc, "making a partition's directory", log->path);
        }
        goto err_after_new;
    }
    rc = write_metadata(log);
    if (rc < 0) {
        goto err_after_mkdir;
    }
    rc = segment_create(log, a->log_start, &seg);
    if (rc < 0) {
        goto err_after_mkdir;
    }
    plog_add_segment(log, seg);
    log->meta_dirty = true;
    log->start = log->end = log->hw = a->log_start;
    log->flushed = log->recovery_point = a->log_start;
    *out = log;
    return 0;
err_after_mkdir:
    undo_dir(log);
err_after_new:
    errmsg_set(em, rc, "log %s cannot be made: %s", log->path, err_text(rc));
    plog_free(log);
    return rc;
}

/* ---- closing ---- */

bool plog_busy(const struct plog *log)
{
    if (log->job || !list_empty(&log->flush_wait)) {
        return true;
    }
    for (uint32_t i = 0; i < log->seg_n; i++) {
        for (int k = 0; k < SEG_FILES; k++) {
            const struct cached_file *cf = log->segs[i]->file[k];
            if (cf && cf->leases > 0) {
                return true;
            }
        }
    }
    return false;
}

void plog_close(struct plog *log)
{
    ASSERT(!log->deleted);
    plog_flush_forget(log);
    plog_free(log);
}

/* ---- taking away ---- */

/* DIR/NAME.HEX32SUFFIX, NAME cut so that the whole is a file name. */
static void away_path(struct plog *log, const char *suffix, struct buf *out)
{
    uint8_t unique[UNIQUE_BYTES];
    size_t tail = 1 + 2 * UNIQUE_BYTES + strlen(suffix);
    size_t keep = plog_base_name(log->name);
    const char *number = log->name + keep;
    while (*number != '-') {
        number--;
    }
    size_t number_len = (size_t)(log->name + keep - number);
    if (keep + tail > NAME_MAX_LEN) {
        keep = NAME_MAX_LEN - tail;
    }
    io_random(log->st->io, unique, sizeof unique);
    buf_put(out, log->path, (size_t)(log->name - log->path));
    /* It is the topic that is cut: the partition's number stays. */
    buf_put(out, log->name, keep - number_len);
    buf_put(out, number, number_len);
    buf_put_u8(out, '.');
    for (size_t i = 0; i < sizeof unique; i++) {
        buf_printf(out, "%02x", unique[i]);
    }
    buf_put_str(out, suffix);
}

/* False: a topic that was made anew has the name, and has set this log aside. It may live on
 * another shard, which heard of both changes before this one did; or the log came by the name in
 * that moment (a future log that is promoted while its topic goes). */
static bool has_its_name(const struct plog *log)
{
    struct uuid id = {{0}};
    struct errmsg em;
    return uuid_is_zero(log->topic_id) ||
           partition_metadata_read(log->st->io, log->path, &id, &em) || uuid_eq(id, log->topic_id);
}

/* Renames the directory, which is removed later if that is wanted. */
static int take_away(struct plog *log, const char *suffix, bool removed)
{
    struct log_store *st = log->st;
    struct buf to = {0};
    int rc = 0;
    ASSERT(!log->deleted && !log->promoting);
    if (plog_offline(log)) {
        rc = ERR_OFFLINE;
    } else if (has_its_name(log)) {
        away_path(log, suffix, &to);
        rc = io_rename(st->io, log->path, buf_cstr(&to));
        if (rc == 0) {
            if (removed) {
                log_store_delete_later(st, log->dir, buf_cstr(&to), true,
                                       log->config->file_delete_delay_ms);
            }
            log_info(st->lg, "storage", "partition renamed, to be %s partition=%s path=%s",
                     removed ? "deleted" : "kept", log->name, buf_cstr(&to));
        } else {
            plog_disk_error(log, rc, "renaming a partition's directory", log->path);
        }
        buf_free(&to);
    }
    log->deleted = true;
    plog_flush_abandon(log);
    return rc;
}

int plog_delete(struct plog *log)
{
    return take_away(log, "-delete", true);
}

int plog_make_stray(struct plog *log)
{
    return take_away(log, "-stray", false);
}

/* ---- facts ---- */

void plog_set_config(struct plog *log, const struct log_config *config)
{
    log->config = config;
}

const char *plog_name(const struct plog *log)
{
    return log->name;
}

unsigned plog_dir_index(const struct plog *log)
{
    return log->dir;
}

struct uuid plog_topic_id(const struct plog *log)
{
    return log->topic_id;
}

int64_t plog_start_offset(const struct plog *log)
{
    return log->start;
}

int64_t plog_end_offset(const struct plog *log)
{
    return log->end;
}

int64_t plog_high_watermark(const struct plog *log)
{
    return log->hw;
}

int64_t plog_flushed_offset(const struct plog *log)
{
    return log->flushed;
}

int64_t plog_recovery_point(const struct plog *log)
{
    return log->recovery_point;
}

uint64_t plog_size(const struct plog *log)
{
    return log->size;
}

unsigned plog_segment_count(const struct plog *log)
{
    return log->seg_n;
}

struct plog_segment_info plog_segment_info(const struct plog *log, unsigned i)
{
    ASSERT(i < log->seg_n);
    return (struct plog_segment_info){log->segs[i]->base, log->segs[i]->size};
}

bool plog_start_needs_checkpoint(const struct plog *log)
{
    return log->start > log->segs[0]->base;
}

void plog_set_high_watermark(struct plog *log, int64_t hw)
{
    hw = hw < log->end ? hw : log->end;
    if (hw <= log->hw) {
        return;
    }
    log->hw = hw;
    if (log->producers) {
        producer_high_watermark(log->producers, hw);
    }
}

int plog_last_stable_offset(struct plog *log, int64_t *out)
{
    int rc = log->deleted || plog_offline(log) ? ERR_OFFLINE : plog_need_producers(log);
    if (rc < 0) {
        return rc;
    }
    int64_t unstable = producer_first_unstable(log->producers);
    *out = unstable < log->hw ? unstable : log->hw;
    /* A transaction may have begun below a start that moved over it. */
    *out = *out > log->start ? *out : log->start;
    return 0;
}
