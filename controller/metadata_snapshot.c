/* Snapshots of the metadata: OFFSET-EPOCH.checkpoint, in the batches of formats.md 8.5. A control
 * batch with SNAPSHOT_HEADER (and, under kraft.version 1, KRAFT_VERSION and KRAFT_VOTERS), data
 * batches, a control batch with SNAPSHOT_FOOTER. Written as .part, made durable, given its line in
 * raft-index-checkpoint, renamed. */
#include <stdio.h>

#include "base/mem.h"
#include "controller/metadata_log_private.h"
#include "proto_messages.h"

enum { BATCH_BYTES = 512 << 10 }; /* a data batch of a snapshot ends behind this many */

struct metadata_snapshot_writer {
    struct metadata_log *log;
    struct mlog_snapshot snapshot;
    struct io_file *file;
    char name[128]; /* of the .part file */
    int64_t now_ms;
    int64_t next; /* offset inside of the snapshot */
    struct batch_builder builder;
    struct buf out;
};

struct metadata_snapshot_id metadata_log_newest_snapshot(const struct metadata_log *log)
{
    return log->snapshots_n ? log->snapshots[log->snapshots_n - 1].id
                            : (struct metadata_snapshot_id){-1, -1};
}

uint64_t metadata_log_snapshot_index(const struct metadata_log *log)
{
    return log->snapshots_n ? log->snapshots[log->snapshots_n - 1].index : 0;
}

static void snapshot_name(struct metadata_snapshot_id id, char out[64])
{
    snprintf(out, 64, "%020lld-%010d.checkpoint", (long long)id.offset, id.epoch);
}

static int open_snapshot(struct metadata_log *log, struct metadata_snapshot_id id,
                         struct io_file **out)
{
    char name[64];
    char path[MLOG_PATH_MAX];
    for (uint32_t i = 0; i < log->snapshots_n; i++) {
        if (log->snapshots[i].id.offset == id.offset && log->snapshots[i].id.epoch == id.epoch) {
            snapshot_name(id, name);
            return io_open(log->io, mlog_path(log, path, "%s", name), IO_OPEN_READ, out);
        }
    }
    return ERR_NOTFOUND;
}

int metadata_log_snapshot_size(struct metadata_log *log, struct metadata_snapshot_id id,
                               uint64_t *size)
{
    struct io_file *f;
    int err = open_snapshot(log, id, &f);
    if (err == 0) {
        err = io_file_size(f, size);
        io_file_close(f);
    }
    return err;
}

int metadata_log_snapshot_read(struct metadata_log *log, struct metadata_snapshot_id id,
                               uint64_t pos, size_t max_bytes, struct buf *out)
{
    struct io_file *f;
    int err = open_snapshot(log, id, &f);
    if (err) {
        return err;
    }
    buf_reserve(out, max_bytes);
    int64_t n = io_pread(f, out->data + out->len, max_bytes, pos);
    out->len += n > 0 ? (size_t)n : 0;
    io_file_close(f);
    return n < 0 ? (int)n : 0;
}

/* ---- checking ---- */

static int check_batches(struct metadata_log *log, struct bytes rest, struct errmsg *em,
                         bool *footer)
{
    struct bytes batch;
    int64_t next = 0;
    int got;
    *footer = false;
    while ((got = batch_next(&rest, &batch)) == 1) {
        struct batch_header h;
        if (batch_header_read(batch, &h) != 0 || !batch_crc_check(batch) || h.base_offset != next ||
            *footer) {
            return ERR_CORRUPT;
        }
        if (batch_is_control(&h)) {
            struct record_reader rr;
            struct record rec;
            enum control_type type = CONTROL_UNKNOWN;
            int err = record_reader_open(&rr, batch, 0);
            err = err ? err : record_reader_next(&rr, &rec);
            err = err == 1 ? control_key_read(rec.key, &type) : ERR_CORRUPT;
            record_reader_close(&rr);
            *footer = type == CONTROL_SNAPSHOT_FOOTER;
            err = err ? err : mlog_note_control(log, batch, em);
            if (err || (next == 0 && type != CONTROL_SNAPSHOT_HEADER)) {
                return ERR_CORRUPT;
            }
        } else if (next == 0) {
            return ERR_CORRUPT;
        }
        next = batch_next_offset(&h);
    }
    return got == 0 && rest.len == 0 ? 0 : ERR_CORRUPT;
}

int mlog_check_snapshot_file(struct metadata_log *log, const char *name, struct errmsg *em)
{
    char path[MLOG_PATH_MAX];
    struct buf b = {0};
    bool footer = false;
    int err = io_read_file(log->io, mlog_path(log, path, "%s", name), (size_t)1 << 32, &b);
    if (err) {
        buf_free(&b);
        return mlog_fail(log, em, err, "read", name);
    }
    err = check_batches(log, buf_bytes(&b), em, &footer);
    buf_free(&b);
    if (err || !footer) {
        return errmsg_set(em, ERR_CORRUPT, "the metadata snapshot %s/%s is damaged (%s)", log->path,
                          name, err ? "a batch is broken" : "its footer is missing");
    }
    return 0;
}

int mlog_check_snapshot(struct metadata_log *log, const struct mlog_snapshot *s, struct errmsg *em)
{
    char name[64];
    snapshot_name(s->id, name);
    return mlog_check_snapshot_file(log, name, em);
}

/* ---- writing ---- */

static int flush_batch(struct metadata_snapshot_writer *w, struct errmsg *em)
{
    int32_t n = w->builder.count;
    if (n == 0) {
        return 0;
    }
    buf_clear(&w->out);
    int err = batch_builder_finish(&w->builder, &w->out);
    ASSERT(err == 0); /* no codec */
    int64_t written = io_pwrite(w->file, w->out.data, w->out.len, w->snapshot.size);
    if (written < 0) {
        return mlog_fail(w->log, em, (int)written, "write", w->name);
    }
    w->snapshot.size += w->out.len;
    w->next += n;
    return 0;
}

static void begin_batch(struct metadata_snapshot_writer *w, bool control)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    opt.base_offset = w->next;
    opt.leader_epoch = w->snapshot.id.epoch;
    opt.control = control;
    batch_builder_init(&w->builder, &opt);
}

static void put_control(struct metadata_snapshot_writer *w, enum control_type type,
                        const struct proto_message *m, const void *body)
{
    struct buf value = {0};
    int err = proto_encode(m, 0, body, &value, NULL);
    ASSERT(err == 0);
    batch_builder_add_control(&w->builder, w->now_ms, type, buf_bytes(&value));
    buf_free(&value);
}

static int put_header(struct metadata_snapshot_writer *w, int64_t time_ms, struct errmsg *em)
{
    struct snapshot_header_record header;
    struct bytes voters;
    begin_batch(w, true);
    proto_msg_init(&snapshot_header_record_msg, &header);
    header.last_contained_log_timestamp = time_ms;
    put_control(w, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_msg, &header);
    if (metadata_log_kraft_version(w->log, &voters) > 0) {
        struct kraft_version_record version;
        proto_msg_init(&kraft_version_record_msg, &version);
        version.kraft_version = w->log->kraft_version;
        put_control(w, CONTROL_KRAFT_VERSION, &kraft_version_record_msg, &version);
        if (!bytes_is_null(voters)) {
            batch_builder_add_control(&w->builder, w->now_ms, CONTROL_KRAFT_VOTERS, voters);
        }
    }
    int err = flush_batch(w, em);
    begin_batch(w, false);
    return err;
}

int metadata_snapshot_begin(struct metadata_log *log, struct metadata_snapshot_id id,
                            uint64_t index, int64_t time_ms, int64_t now_ms,
                            struct metadata_snapshot_writer **out, struct errmsg *em)
{
    char path[MLOG_PATH_MAX];
    char name[64];
    uint64_t salt;
    ASSERT(id.offset > metadata_log_newest_snapshot(log).offset && id.offset <= log->end);
    struct metadata_snapshot_writer *w = MEM_NEW(struct metadata_snapshot_writer);
    w->log = log;
    w->snapshot.id = id;
    w->snapshot.index = index;
    w->now_ms = now_ms;
    io_random(log->io, &salt, sizeof salt);
    snapshot_name(id, name);
    name[31] = '\0'; /* without ".checkpoint" */
    snprintf(w->name, sizeof w->name, "%s-%llu.checkpoint.part", name,
             (unsigned long long)(salt >> 1));
    int err = io_open(log->io, mlog_path(log, path, "%s", w->name),
                      IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &w->file);
    err = err ? mlog_fail(log, em, err, "make", w->name) : put_header(w, time_ms, em);
    if (err) {
        metadata_snapshot_abandon(w);
        return err;
    }
    *out = w;
    return 0;
}

int metadata_snapshot_put(struct metadata_snapshot_writer *w, struct bytes record,
                          struct errmsg *em)
{
    batch_builder_add(&w->builder, w->now_ms, BYTES_NULL, record, NULL, 0);
    if (batch_builder_size(&w->builder) < BATCH_BYTES) {
        return 0;
    }
    int err = flush_batch(w, em);
    begin_batch(w, false);
    return err;
}

static void writer_free(struct metadata_snapshot_writer *w)
{
    if (w->file) {
        io_file_close(w->file);
    }
    batch_builder_free(&w->builder);
    buf_free(&w->out);
    mem_free(w);
}

void metadata_snapshot_abandon(struct metadata_snapshot_writer *w)
{
    char path[MLOG_PATH_MAX];
    if (w == NULL) {
        return;
    }
    if (w->file) {
        io_unlink(w->log->io, mlog_path(w->log, path, "%s", w->name));
    }
    writer_free(w);
}

static int put_footer(struct metadata_snapshot_writer *w, struct errmsg *em)
{
    struct snapshot_footer_record footer;
    int err = flush_batch(w, em);
    if (err) {
        return err;
    }
    begin_batch(w, true);
    proto_msg_init(&snapshot_footer_record_msg, &footer);
    put_control(w, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_msg, &footer);
    err = flush_batch(w, em);
    return err ? err : io_fsync(w->file);
}

void mlog_add_snapshot(struct metadata_log *log, const struct mlog_snapshot *s)
{
    if (log->snapshots_n == log->snapshots_cap) {
        log->snapshots_cap = log->snapshots_cap ? log->snapshots_cap * 2 : 8;
        log->snapshots = mem_realloc(log->snapshots, log->snapshots_cap * sizeof *log->snapshots);
    }
    log->snapshots[log->snapshots_n++] = *s;
}

int metadata_snapshot_finish(struct metadata_snapshot_writer *w, struct errmsg *em)
{
    struct metadata_log *log = w->log;
    char from[MLOG_PATH_MAX];
    char to[MLOG_PATH_MAX];
    char name[64];
    snapshot_name(w->snapshot.id, name);
    int err = put_footer(w, em);
    err = err ? err : mlog_write_epochs(log, em); /* the next start reads no batch before it */
    err = err ? err : mlog_write_anchors(log, &w->snapshot, em);
    if (err) {
        metadata_snapshot_abandon(w);
        return err;
    }
    mlog_path(log, from, "%s", w->name);
    mlog_path(log, to, "%s", name);
    err = io_rename(log->io, from, to);
    err = err ? err : io_fsync_dir(log->io, log->path);
    if (err) {
        writer_free(w);
        return mlog_fail(log, em, err, "rename", name);
    }
    w->snapshot.modified_ms = io_wall_ms(log->io);
    mlog_add_snapshot(log, &w->snapshot);
    writer_free(w);
    return 0;
}

/* ---- retention ---- */

static bool too_large(const struct metadata_log *log)
{
    uint64_t n = metadata_log_size(log);
    for (uint32_t i = 0; i < log->snapshots_n; i++) {
        n += log->snapshots[i].size;
    }
    return log->cfg.retention_bytes >= 0 && n > (uint64_t)log->cfg.retention_bytes;
}

static bool too_old(const struct metadata_log *log, int64_t wall_ms)
{
    return log->cfg.retention_ms >= 0 &&
           wall_ms - log->snapshots[0].modified_ms > log->cfg.retention_ms;
}

/* Drops the oldest snapshot: the log then starts at the next one. */
static int drop_oldest(struct metadata_log *log, struct errmsg *em)
{
    char name[64];
    char path[MLOG_PATH_MAX];
    snapshot_name(log->snapshots[0].id, name);
    log->snapshots_n--;
    memmove(&log->snapshots[0], &log->snapshots[1], log->snapshots_n * sizeof log->snapshots[0]);
    int64_t start = log->snapshots[0].id.offset;
    log->start = start > log->start ? start : log->start;
    int err = 0;
    while (err == 0 && log->segs_n > 1 && log->segs[1].base <= log->start) {
        err = mlog_delete_segment(log, 0, em);
    }
    if (err) {
        return err;
    }
    if (log->segs[0].base > log->known_offset) { /* entries whose index was known have gone */
        log->known_offset = log->segs[0].base;
        log->first_index = log->segs[0].base_index;
    }
    err = io_unlink(log->io, mlog_path(log, path, "%s", name));
    return err ? mlog_fail(log, em, err, "delete", name) : 0;
}

int metadata_log_retain(struct metadata_log *log, int64_t wall_ms, struct errmsg *em)
{
    int err = 0;
    bool any = false;
    while (err == 0 && log->snapshots_n > 1 && (too_large(log) || too_old(log, wall_ms))) {
        err = drop_oldest(log, em);
        any = true;
    }
    return err || !any ? err : mlog_write_anchors(log, NULL, em);
}
