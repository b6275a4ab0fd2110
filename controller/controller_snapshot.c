/* Snapshots of the committed image: begun after a commit when the log has grown enough or enough
 * time went by, written some records a turn, finished with a flush, and then the log behind them
 * may go. */
#include "base/mem.h"
#include "controller/controller_private.h"

enum { RECORDS_A_TURN = 512, RETRY_MS = 60000 };

struct snapshot_job {
    struct controller *c;
    struct metadata_snapshot_writer *writer;
    struct metadata_snapshot_id id;
    uint64_t index;
    struct image *image;
    struct image_writer at;
    struct timer next; /* the next turn's part */
    struct buf record;
};

static void end_job(struct controller *c)
{
    struct snapshot_job *j = c->snapshot;
    timer_cancel(c->shard, &j->next);
    image_put(j->image);
    buf_free(&j->record);
    mem_free(j);
    c->snapshot = NULL;
}

void controller_snapshot_abandon(struct controller *c)
{
    if (c->snapshot) {
        metadata_snapshot_abandon(c->snapshot->writer);
        end_job(c);
    }
}

/* A full disk puts it off, the log only grows meanwhile; anything else ends the node. */
static void failed(struct controller *c, int err, const char *sentence)
{
    if (err != ERR_NOSPACE) {
        controller_fail(c, sentence);
        return;
    }
    c->snapshot_retry_ms = shard_now_ms(c->shard) + RETRY_MS;
    log_limited(c->log, &c->limit, LOG_WARN, "controller",
                "no metadata snapshot for want of space, trying again later reason=\"%s\"",
                sentence);
}

static void finish(struct controller *c)
{
    struct snapshot_job *j = c->snapshot;
    struct errmsg em = {{0}};
    int err = metadata_snapshot_finish(j->writer, &em);
    if (err == 0) {
        log_info(c->log, "controller", "snapshot taken offset=%lld epoch=%d",
                 (long long)j->id.offset, (int)j->id.epoch);
        err = metadata_log_retain(c->mlog, io_wall_ms(c->io), &em);
        quorum_snapshot_taken(c->quorum, j->id, j->index); /* it must know what is left */
    }
    end_job(c);
    if (err) {
        failed(c, err, em.text);
        return;
    }
    c->snapshot_ms = shard_now_ms(c->shard);
    c->snapshot_size = metadata_log_size(c->mlog);
}

static void on_next(struct timer *t)
{
    struct snapshot_job *j = t->user;
    struct controller *c = j->c;
    struct errmsg em = {{0}};
    if (c->failed) {
        controller_snapshot_abandon(c);
        return;
    }
    for (int i = 0; i < RECORDS_A_TURN; i++) {
        buf_clear(&j->record);
        if (!image_writer_next(&j->at, &j->record)) {
            finish(c);
            return;
        }
        int err = metadata_snapshot_put(j->writer, buf_bytes(&j->record), &em);
        if (err) {
            controller_snapshot_abandon(c);
            failed(c, err, em.text);
            return;
        }
    }
    timer_set(c->shard, &j->next, shard_now_ms(c->shard));
}

static bool is_due(const struct controller *c)
{
    uint64_t size = metadata_log_size(c->mlog);
    uint64_t grown = size > c->snapshot_size ? size - c->snapshot_size : 0;
    int64_t age = shard_now_ms(c->shard) - c->snapshot_ms;
    if (shard_now_ms(c->shard) < c->snapshot_retry_ms) {
        return false;
    }
    return (c->cfg.snapshot_bytes > 0 && grown >= (uint64_t)c->cfg.snapshot_bytes) ||
           (c->cfg.snapshot_interval_ms > 0 && age >= c->cfg.snapshot_interval_ms && grown > 0);
}

void controller_snapshot_check(struct controller *c)
{
    struct metadata_snapshot_id id;
    uint64_t index;
    struct errmsg em = {{0}};
    if (c->snapshot || c->failed || c->stopping || !is_due(c)) {
        return;
    }
    quorum_committed_at(c->quorum, &id, &index);
    if (id.offset != c->committed_offset || index < 2 ||
        id.offset <= metadata_log_newest_snapshot(c->mlog).offset ||
        loader_in_transaction(c->loader)) {
        return; /* after the next commit */
    }
    struct snapshot_job *j = MEM_NEW(struct snapshot_job);
    int err = metadata_snapshot_begin(c->mlog, id, index, c->committed->time_ms, io_wall_ms(c->io),
                                      &j->writer, &em);
    if (err) {
        mem_free(j);
        failed(c, err, em.text);
        return;
    }
    j->c = c;
    j->id = id;
    j->index = index;
    j->image = image_get(c->committed);
    image_writer_init(&j->at, j->image);
    j->next = (struct timer){.cb = on_next, .user = j};
    c->snapshot = j;
    timer_set(c->shard, &j->next, shard_now_ms(c->shard));
}
