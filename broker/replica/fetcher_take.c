/* One partition of a Fetch answer:
 *
 *     whole batches -> checked -> one plog_append -> high watermark -> log start -> who waits
 *
 * The bytes are written from where they were received. A leader is not believed: length, magic and
 * checksum of each batch are checked (pieces.h), offsets and epochs by the log. One bad batch
 * refuses the whole piece, as in Kafka. A last batch that was cut to fit the answer is left for the
 * next one.
 *
 * A leader whose log begins inside a batch gives that batch whole. A follower that begins there,
 * with an empty log, then begins at the batch's base offset instead: Kafka does the same. */
#include <inttypes.h>

#include "broker/config.h"
#include "broker/fetch_wait.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher_private.h"
#include "broker/replica/pieces.h"
#include "broker/shard_stats.h"
#include "proto_errors.h"
#include "proto_messages.h"

enum { NO_SPACE_MS = 1000 }; /* between two tries on a full disk */

static const struct logger *log_of(const struct replica_follow *fl)
{
    return fl->fetcher->fs->ns->node->log;
}

static void wait_backoff(struct replica_follow *fl, int64_t ms)
{
    follower_wait(&fl->core, fetchers_now(fl->fetcher->fs), ms);
    follow_waits(fl);
}

/* The leader's answer does not hold together: nothing of it counts. */
static void refuse(struct replica_follow *fl, const char *why)
{
    struct fetchers *fs = fl->fetcher->fs;
    log_limited(log_of(fl), &fs->limit, LOG_ERROR, "fetcher",
                "records of the leader are not taken partition=%s leader=%" PRId32
                " offset=%" PRId64 " reason=\"%s\"",
                plog_name(fl->part->log), fl->core.leader, fl->named.offset, why);
    wait_backoff(fl, fetchers_backoff(fs));
}

/* ---- batches ---- */

/* The leader's log begins inside the first batch. NULL: ours begins with it now, and may have to
 * wait for a checkpoint first. */
static const char *begin_earlier(struct replica_follow *fl, const struct pieces *in)
{
    struct plog *log = fl->part->log;
    int64_t from = plog_end_offset(log);
    int64_t recovery_point = plog_recovery_point(log);
    if (plog_start_offset(log) != from || in->last < from || fl->from >= 0) {
        return "a batch begins before the end of the log";
    }
    log_info(log_of(fl), "fetcher",
             "the leader's log begins inside a batch partition=%s log_start=%" PRId64
             " batch=%" PRId64,
             plog_name(log), from, in->base);
    int err = plog_truncate_fully(log, in->base);
    if (err) {
        follow_log_error(fl, err, "begin at a batch");
        return NULL;
    }
    fl->from = from;
    follow_was_cut(fl, recovery_point);
    return NULL;
}

/* ---- the log ---- */

static void note_space(struct replica_follow *fl, bool no_space)
{
    struct partition *p = fl->part;
    if (no_space && !p->no_space) {
        log_warn(log_of(fl), "fetcher",
                 "replication waits until the disk has space again partition=%s",
                 plog_name(p->log));
    } else if (!no_space && p->no_space) {
        log_info(log_of(fl), "fetcher",
                 "the disk has space again: replication goes on partition=%s", plog_name(p->log));
    }
    p->no_space = no_space;
}

/* What the first batch that was not appended means. */
static void append_failed(struct replica_follow *fl, enum plog_result result)
{
    switch (result) {
    case PLOG_NO_SPACE:
        note_space(fl, true);
        wait_backoff(fl, NO_SPACE_MS);
        return;
    case PLOG_OFFLINE:
        follow_log_error(fl, ERR_OFFLINE, "append");
        return;
    case PLOG_UNEXPECTED_OFFSET:
        refuse(fl, "offsets or epochs do not ascend");
        return;
    default:
        refuse(fl, "a batch does not fit the log");
        return;
    }
}

/* False: not all of it is in the log, and the follow waits. */
static bool append(struct replica_follow *fl, const struct pieces *in)
{
    struct partition *p = fl->part;
    struct plog_append_args args = {.origin = PLOG_REPLICATION};
    struct plog_batch *b = partition_scratch(p->pm, 0);
    unsigned done = plog_append(p->log, b, in->n, &args);
    if (done > 0) {
        uint64_t bytes = 0;
        for (unsigned i = 0; i < in->n; i++) {
            bytes += b[i].result == PLOG_APPENDED ? b[i].len : 0;
        }
        p->bytes += bytes;
        p->topic->counts->replication_in += bytes;
        follow_count(fl, bytes);
        fl->from = -1;
        partition_flush_if_wanted(p);
        list_remove(&fl->node); /* without a session the others come first now */
        list_push_back(&fl->fetcher->parts, &fl->node);
        follow_changed(fl);
    }
    for (unsigned i = 0; i < in->n; i++) {
        if (b[i].result != PLOG_APPENDED) {
            append_failed(fl, b[i].result);
            return false;
        }
    }
    note_space(fl, false);
    return true;
}

/* High watermark and log start by the leader's word. */
static void move_marks(struct replica_follow *fl, const struct fetch_response_partition_data *d)
{
    struct plog *log = fl->part->log;
    struct follower_log now;
    fl->leader_hw = d->high_watermark;
    if (fl->from >= 0 || follow_log(fl, &now)) {
        return; /* the log has nothing yet */
    }
    int64_t hw = follower_high_watermark(&now, d->high_watermark);
    if (hw > now.high_watermark) {
        plog_set_high_watermark(log, hw);
    }
    int64_t start = follower_log_start(&now, d->log_start_offset, hw);
    if (start > now.start) {
        int err = plog_set_start_offset(log, start);
        if (err) {
            follow_log_error(fl, err, "move the log's start");
            return;
        }
        follow_changed(fl); /* the leader waits to hear of it: DeleteRecords */
    }
}

static void take_records(struct replica_follow *fl, const struct fetch_response_partition_data *d)
{
    struct partition *p = fl->part;
    struct pieces in = {0};
    const char *bad =
        d->records.len ? pieces_split(p->pm, d->records, fl->core.leader_epoch, &in) : NULL;
    if (bad == NULL && in.n && in.base < plog_end_offset(p->log)) {
        bad = begin_earlier(fl, &in);
        if (bad == NULL && !follow_ready(fl)) {
            return;
        }
    }
    if (bad) {
        refuse(fl, bad);
        return;
    }
    bool whole = in.n == 0 || append(fl, &in);
    if (p->offline) {
        return;
    }
    move_marks(fl, d);
    partition_advance(p);
    if (whole && in.ahead) { /* the metadata is on its way */
        wait_backoff(fl, follower_backoff(fl->core.tries++, fetchers_backoff(fl->fetcher->fs)));
    }
}

/* ---- truncation by epoch ---- */

/* A leader that has deleted all that is older than its oldest epoch parts from us where its log
 * begins. What we have below was never compared with what it had there; kept, it would be read
 * again once the log start, which is no more durable than its checkpoint, is lost. */
static int cut_at(struct plog *log, int64_t at, int64_t leader_start)
{
    return plog_start_offset(log) < at && at <= leader_start ? plog_truncate_fully(log, at)
                                                             : plog_truncate_to(log, at);
}

static void cut(struct replica_follow *fl, const struct follower_log *before,
                const struct fetch_response_partition_data *d)
{
    struct plog *log = fl->part->log;
    int64_t recovery_point = plog_recovery_point(log);
    int32_t own_epoch;
    int64_t own_end;
    struct follower_log after;
    if (d->diverging_epoch.end_offset < 0) {
        refuse(fl, "a diverging epoch without an end");
        return;
    }
    int err = plog_epoch_end_offset(log, d->diverging_epoch.epoch, &own_epoch, &own_end);
    int64_t at = follower_cut_offset(before, d->diverging_epoch.end_offset, own_epoch, own_end);
    if (err == 0) {
        log_write(log_of(fl), at < before->high_watermark ? LOG_WARN : LOG_INFO, "fetcher",
                  "%s partition=%s offset=%" PRId64 " end=%" PRId64 " high_watermark=%" PRId64
                  " leader=%" PRId32 " leader_epoch=%" PRId32 " diverging_epoch=%" PRId32
                  " its_end=%" PRId64,
                  at < before->end
                      ? "the log parts from the leader's and is truncated"
                      : "an epoch without records is forgotten, as the leader lacks it",
                  plog_name(log), at, before->end, before->high_watermark, fl->core.leader,
                  fl->core.leader_epoch, d->diverging_epoch.epoch, d->diverging_epoch.end_offset);
        err = cut_at(log, at, d->log_start_offset);
    }
    if (err) {
        follow_log_error(fl, err, "truncate");
        return;
    }
    if (follow_log(fl, &after)) {
        return;
    }
    if (after.end == before->end && after.last_epoch == before->last_epoch) {
        refuse(fl, "a diverging epoch where nothing diverges");
        return;
    }
    follow_was_cut(fl, recovery_point);
}

/* ---- all of it ---- */

static void note_error(const struct replica_follow *fl, int16_t code)
{
    struct fetchers *fs = fl->fetcher->fs;
    if (fl->core.tries > 3) { /* it does not pass by itself within milliseconds */
        log_limited(log_of(fl), &fs->limit, LOG_WARN, "fetcher",
                    "the leader answers with an error, it is tried again partition=%s "
                    "leader=%" PRId32 " leader_epoch=%" PRId32 " error=%s",
                    plog_name(fl->part->log), fl->core.leader, fl->core.leader_epoch,
                    kafka_error_name(code));
    } else { /* every change of leaders has some */
        log_seldom(log_of(fl), &fs->passing, LOG_INFO, "fetcher",
                   "the leader refuses a fetch for now partition=%s leader=%" PRId32
                   " leader_epoch=%" PRId32 " error=%s",
                   plog_name(fl->part->log), fl->core.leader, fl->core.leader_epoch,
                   kafka_error_name(code));
    }
}

void follow_take(struct replica_follow *fl, const struct fetch_response_partition_data *d)
{
    struct follower_log log;
    struct fetchers *fs = fl->fetcher->fs;
    if (fl->part->held) { /* asked for again when it is not any more */
        follow_changed(fl);
        return;
    }
    if (follow_log(fl, &log)) {
        return;
    }
    switch (follower_answer(&fl->core, &log, fl->named.epoch, fl->named.offset, d->error_code,
                            d->diverging_epoch.epoch, fetchers_now(fs), fetchers_backoff(fs))) {
    case FOLLOWER_APPEND:
        take_records(fl, d);
        return;
    case FOLLOWER_CUT:
        cut(fl, &log, d);
        return;
    case FOLLOWER_ASK:
        list_push_back(&fl->fetcher->asking, &fl->ask);
        follow_changed(fl);
        return;
    case FOLLOWER_LATER:
        if (fl->core.phase == FOLLOWER_WAITING) {
            note_error(fl, d->error_code);
            follow_waits(fl);
        }
        return;
    }
}
