/* A snapshot that another voter has: it is moved into a file beside the log in pieces, checked, and
 * then takes the log's place.
 *
 *     OFFSET-EPOCH.incoming.part   grows; swept away at the next start
 *     OFFSET-EPOCH-INDEX.install   whole and durable: from here on the old log does not count
 *     OFFSET-EPOCH.checkpoint      the old log is gone, raft-index-checkpoint has the line
 *
 * What a crash leaves in between is finished when the log is opened (mlog_finish_install): the same
 * steps, which may be done again.
 *
 * Shard: the controller's. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "controller/metadata_log_private.h"

struct metadata_incoming {
    struct metadata_log *log;
    struct mlog_snapshot snapshot;
    struct io_file *file;
    char name[80];
};

struct metadata_snapshot_id metadata_incoming_id(const struct metadata_incoming *in)
{
    return in->snapshot.id;
}

uint64_t metadata_incoming_size(const struct metadata_incoming *in)
{
    return in->snapshot.size;
}

int metadata_incoming_begin(struct metadata_log *log, struct metadata_snapshot_id id,
                            uint64_t index, struct metadata_incoming **out, struct errmsg *em)
{
    char path[MLOG_PATH_MAX];
    ASSERT(id.offset > 0 && id.epoch >= 0 && index > 1);
    struct metadata_incoming *in = MEM_NEW(struct metadata_incoming);
    in->log = log;
    in->snapshot.id = id;
    in->snapshot.index = index;
    snprintf(in->name, sizeof in->name, "%020lld-%010d.incoming.part", (long long)id.offset,
             (int)id.epoch);
    int err = io_open(log->io, mlog_path(log, path, "%s", in->name),
                      IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &in->file);
    if (err) {
        err = mlog_fail(log, em, err, "make", in->name);
        mem_free(in);
        return err;
    }
    *out = in;
    return 0;
}

int metadata_incoming_put(struct metadata_incoming *in, struct bytes piece, struct errmsg *em)
{
    int64_t n = io_pwrite(in->file, piece.data, piece.len, in->snapshot.size);
    if (n < 0) {
        return mlog_fail(in->log, em, (int)n, "write", in->name);
    }
    in->snapshot.size += piece.len;
    return 0;
}

static void incoming_free(struct metadata_incoming *in)
{
    if (in->file) {
        io_file_close(in->file);
    }
    mem_free(in);
}

void metadata_incoming_abandon(struct metadata_incoming *in)
{
    char path[MLOG_PATH_MAX];
    if (in) {
        io_unlink(in->log->io, mlog_path(in->log, path, "%s", in->name));
        incoming_free(in);
    }
}

int metadata_incoming_check(struct metadata_incoming *in, struct errmsg *em)
{
    int err = io_fsync(in->file);
    return err ? mlog_fail(in->log, em, err, "make durable", in->name)
               : mlog_check_snapshot_file(in->log, in->name, em);
}

/* ---- in the log's place ---- */

static void install_name(const struct mlog_snapshot *s, char out[96])
{
    snprintf(out, 96, "%020lld-%010d-%020llu.install", (long long)s->id.offset, (int)s->id.epoch,
             (unsigned long long)s->index);
}

bool mlog_install_parse(const char *name, struct mlog_snapshot *out)
{
    char again[96];
    char *end;
    *out = (struct mlog_snapshot){.id = {-1, -1}};
    if (strlen(name) != 20 + 1 + 10 + 1 + 20 + 8) {
        return false;
    }
    out->id.offset = strtoll(name, &end, 10);
    out->id.epoch = *end == '-' ? (int32_t)strtol(end + 1, &end, 10) : -1;
    out->index = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
    install_name(out, again);
    return out->id.offset > 0 && out->id.epoch >= 0 && out->index > 1 && !strcmp(name, again);
}

static int drop_snapshots(struct metadata_log *log, struct errmsg *em)
{
    char name[64];
    char path[MLOG_PATH_MAX];
    while (log->snapshots_n) {
        const struct metadata_snapshot_id id = log->snapshots[log->snapshots_n - 1].id;
        snprintf(name, sizeof name, "%020lld-%010d.checkpoint", (long long)id.offset,
                 (int)id.epoch);
        int err = io_unlink(log->io, mlog_path(log, path, "%s", name));
        if (err && err != ERR_NOTFOUND) {
            return mlog_fail(log, em, err, "delete", name);
        }
        log->snapshots_n--;
    }
    return 0;
}

int mlog_finish_install(struct metadata_log *log, struct mlog_snapshot *s, struct errmsg *em)
{
    char name[96];
    char from[MLOG_PATH_MAX];
    char to[MLOG_PATH_MAX];
    int err = 0;
    while (err == 0 && log->segs_n) {
        err = mlog_delete_segment(log, log->segs_n - 1, em);
    }
    err = err ? err : drop_snapshots(log, em);
    if (err) {
        return err;
    }
    log->epochs_n = 0;
    log->durable = (struct mlog_anchor){s->index, s->id.epoch, s->id.offset};
    log->flush_end = log->durable;
    err = mlog_write_epochs(log, em);
    err = err ? err : mlog_write_anchors(log, s, em);
    if (err) {
        return err;
    }
    install_name(s, name);
    mlog_path(log, from, "%s", name);
    mlog_path(log, to, "%020lld-%010d.checkpoint", (long long)s->id.offset, (int)s->id.epoch);
    err = io_rename(log->io, from, to);
    err = err ? err : io_fsync_dir(log->io, log->path);
    if (err) {
        return mlog_fail(log, em, err, "rename", name);
    }
    s->modified_ms = io_wall_ms(log->io);
    mlog_add_snapshot(log, s);
    return 0;
}

int metadata_log_install(struct metadata_incoming *in, struct errmsg *em)
{
    struct metadata_log *log = in->log;
    struct mlog_snapshot s = in->snapshot;
    char name[96];
    char from[MLOG_PATH_MAX];
    char to[MLOG_PATH_MAX];
    ASSERT(s.id.offset > metadata_log_newest_snapshot(log).offset);
    install_name(&s, name);
    mlog_path(log, from, "%s", in->name);
    mlog_path(log, to, "%s", name);
    int err = io_rename(log->io, from, to);
    err = err ? err : io_fsync_dir(log->io, log->path);
    incoming_free(in);
    if (err) {
        return mlog_fail(log, em, err, "rename", name);
    }
    err = mlog_finish_install(log, &s, em);
    err = err ? err : mlog_segment_create(log, s.id.offset, s.index + 1, em);
    if (err == 0) {
        log->start = log->end = log->known_offset = s.id.offset;
        log->last_index = s.index;
        log->recent_n = 0;
        log->first_index = s.index + 1;
    }
    return err;
}
