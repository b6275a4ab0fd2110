/* What a follower does when its offset is out of the leader's range, and what a truncation owes
 * before the next append.
 *
 * Offsets: all partitions of a leader that ask are asked for together, first the leader's end, then
 * its start (ListOffsets does not take a partition twice). A leader that ends before us was elected
 * uncleanly, or lost its disk: we are cut to its end. One that begins behind our end: we begin anew
 * there.
 *
 * Checkpoints: a log that was cut below its recovery point may not be appended to while
 * recovery-point-offset-checkpoint has the old one, or a crash would leave torn batches below it
 * unread (storage/log.h). Main is asked to write one, for all such partitions at once; until then
 * they are in `uncertain` (to be asked for) or `asked`, and refuse appends, also if they lead
 * meanwhile. A checkpoint that could not be written is asked for again every second.
 *
 * A log that is removed must leave the checkpoints too: its numbers would be taken for those of the
 * next log of its name. One that is made before they are written anew waits as if it were cut; so
 * does, after a crash, every new one until they name nothing but the logs that were found. */
#include <inttypes.h>

#include "base/mem.h"
#include "broker/checkpoints.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/fetch_wait.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher_private.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "storage/log_dir.h"

enum {
    OFFSETS_VERSION = 10,
    OFFSET_LATEST = -1,
    OFFSET_EARLIEST = -2,
    AGAIN_MS = 1000,
    ARENA_MAX = 64 << 20,
};

/* ---- offsets ---- */

static void question_next(struct fetcher *f);

/* Takes it out of the question. */
static void unasked(struct replica_follow *fl)
{
    list_remove(&fl->ask);
    fl->asked = false;
}

static void ask_failed(struct replica_follow *fl, int16_t code)
{
    struct fetchers *fs = fl->fetcher->fs;
    unasked(fl);
    follower_ask_failed(&fl->core, code, fetchers_now(fs), fetchers_backoff(fs));
    follow_waits(fl);
}

static void all_failed(struct fetcher *f)
{
    while (!list_empty(&f->question.asked)) {
        ask_failed(LIST_ENTRY(f->question.asked.next, struct replica_follow, ask),
                   KE_UNKNOWN_SERVER_ERROR);
    }
}

/* Both offsets are known. */
static void reset(struct replica_follow *fl, int64_t leader_start)
{
    struct partition *p = fl->part;
    struct fetchers *fs = fl->fetcher->fs;
    struct follower_log log;
    int64_t offset;
    unasked(fl);
    if (p->held) { /* the fetch asks again */
        follower_ask_failed(&fl->core, KE_KAFKA_STORAGE_ERROR, fetchers_now(fs),
                            fetchers_backoff(fs));
        follow_waits(fl);
        return;
    }
    if (follow_log(fl, &log)) {
        return;
    }
    int64_t recovery_point = plog_recovery_point(p->log);
    enum follower_reset what = follower_reset(&fl->core, &log, leader_start, fl->leader_end,
                                              fetchers_now(fs), fetchers_backoff(fs), &offset);
    if (what == FOLLOWER_RESET_NOTHING) {
        follow_waits(fl);
        return;
    }
    log_warn(fs->ns->node->log, "fetcher",
             "the log's end is out of the leader's range: %s partition=%s offset=%" PRId64
             " end=%" PRId64 " high_watermark=%" PRId64 " leader=%" PRId32 " leader_start=%" PRId64
             " leader_end=%" PRId64,
             what == FOLLOWER_RESET_CUT ? "it is truncated" : "it begins anew", plog_name(p->log),
             offset, log.end, log.high_watermark, fl->core.leader, leader_start, fl->leader_end);
    int err = what == FOLLOWER_RESET_CUT ? plog_truncate_to(p->log, offset)
                                         : plog_truncate_fully(p->log, offset);
    if (err) {
        follow_log_error(fl, err, "truncate");
        return;
    }
    fl->from = -1;
    follow_was_cut(fl, recovery_point);
}

static void take_offset(struct fetcher *f, struct bytes topic,
                        const struct list_offsets_response_list_offsets_partition_response *r)
{
    const struct node_shard *ns = f->fs->ns;
    const struct image_topic *t = ns->image ? image_topic_by_name(ns->image, topic) : NULL;
    struct partition *p = t ? partition_find(ns->partitions, t->id, r->partition_index) : NULL;
    struct replica_follow *fl = p ? p->follow : NULL;
    if (fl == NULL || fl->fetcher != f || !fl->asked) {
        return;
    }
    if (r->error_code || r->offset < 0) {
        ask_failed(fl, r->error_code ? r->error_code : KE_UNKNOWN_SERVER_ERROR);
    } else if (f->question.timestamp == OFFSET_LATEST) {
        fl->leader_end = r->offset;
    } else {
        reset(fl, r->offset);
    }
}

static void on_offsets(struct channel_call *call, int err, struct bytes body)
{
    struct fetcher *f = call->user;
    struct arena a = {.limit = ARENA_MAX};
    struct list_offsets_response r;
    if (err == 0) {
        err = proto_decode(&list_offsets_response_msg, OFFSETS_VERSION, body, NULL, &a, &r);
    }
    for (int32_t i = 0; err == 0 && i < r.topics_n; i++) {
        for (int32_t k = 0; k < r.topics[i].partitions_n; k++) {
            take_offset(f, r.topics[i].name, &r.topics[i].partitions[k]);
        }
    }
    arena_free(&a);
    if (err) {
        all_failed(f);
    }
    question_next(f);
}

/* One row for each partition: there are few. */
static size_t put_asked(struct fetcher *f, struct arena *a, struct list_offsets_request *q)
{
    size_t n = 0;
    size_t i = 0;
    list_for_each (at, &f->question.asked) {
        n++;
    }
    q->topics = proto_array(a, &list_offsets_request_list_offsets_topic_desc, n);
    q->topics_n = (int32_t)n;
    list_for_each (at, &f->question.asked) {
        struct replica_follow *fl = LIST_ENTRY(at, struct replica_follow, ask);
        struct list_offsets_request_list_offsets_topic *t = &q->topics[i++];
        t->name = bytes_str(fl->part->topic->name);
        t->partitions = proto_array(a, &list_offsets_request_list_offsets_partition_desc, 1);
        t->partitions_n = 1;
        t->partitions[0].partition_index = fl->part->index;
        t->partitions[0].current_leader_epoch = fl->core.leader_epoch;
        t->partitions[0].timestamp = f->question.timestamp;
    }
    return n;
}

static void question_send(struct fetcher *f)
{
    struct fetcher_question *qn = &f->question;
    const struct node *n = f->fs->ns->node;
    struct list_offsets_request q;
    struct arena a = {0};
    struct errmsg em = {{0}};
    proto_msg_init(&list_offsets_request_msg, &q);
    q.replica_id = n->id;
    q.timeout_ms = n->config->v.replica_socket_timeout_ms;
    put_asked(f, &a, &q);
    buf_clear(&qn->body);
    int err = proto_encode(&list_offsets_request_msg, OFFSETS_VERSION, &q, &qn->body, &em);
    ASSERT(err == 0);
    arena_free(&a);
    qn->call.api_key = list_offsets_request_msg.key;
    qn->call.version = OFFSETS_VERSION;
    qn->call.body = buf_bytes(&qn->body);
    qn->call.timeout_ms = n->config->v.replica_socket_timeout_ms;
    qn->call.cb = on_offsets;
    qn->call.user = f;
    channel_call(f->channel, &qn->call);
}

/* An answer was taken: on to the start, or to those that ask meanwhile. */
static void question_next(struct fetcher *f)
{
    struct fetcher_question *qn = &f->question;
    if (qn->timestamp == OFFSET_LATEST) {
        qn->timestamp = OFFSET_EARLIEST;
        list_for_each_safe (at, &qn->asked) { /* the answer did not have it */
            struct replica_follow *fl = LIST_ENTRY(at, struct replica_follow, ask);
            if (fl->leader_end < 0) {
                ask_failed(fl, KE_UNKNOWN_SERVER_ERROR);
            }
        }
        if (!list_empty(&qn->asked)) {
            question_send(f);
            return;
        }
    }
    all_failed(f);
    fetcher_due(f);
}

void fetcher_ask(struct fetcher *f)
{
    struct fetchers *fs = f->fs;
    if (fs->stopped || f->channel == NULL || channel_in_flight(&f->question.call) ||
        list_empty(&f->asking) || fetchers_now(fs) < f->not_before_ms) {
        return;
    }
    struct list *at;
    while ((at = list_pop_front(&f->asking)) != NULL) {
        struct replica_follow *fl = LIST_ENTRY(at, struct replica_follow, ask);
        fl->asked = true;
        fl->leader_end = -1;
        list_push_back(&f->question.asked, at);
    }
    f->question.timestamp = OFFSET_LATEST;
    question_send(f);
}

void fetcher_drop_question(struct fetcher *f)
{
    channel_cancel(&f->question.call);
    struct list *at;
    while ((at = list_pop_front(&f->question.asked)) != NULL) {
        LIST_ENTRY(at, struct replica_follow, ask)->asked = false;
        list_push_back(&f->asking, at);
    }
}

/* ---- the checkpoint after a truncation ---- */

/* Asked for all partitions that were in `uncertain`, and all directories in `removed`, then. */
struct cut_ask {
    struct checkpoint_ask ask;
    struct fetchers *fs;
};

static void ask_checkpoint(struct fetchers *fs);

/* Of those that were asked for: true if some must be asked for again. A directory that is offline
 * is not written any more. */
static bool removed_again(struct fetchers *fs, uint64_t whole)
{
    const struct partition_manager *pm = fs->ns->partitions;
    uint64_t again = fs->removed_asked & ~whole;
    fs->removed_asked = 0;
    for (unsigned d = 0; d < fs->ns->node->log_dirs_n; d++) {
        again &= ~((uint64_t)pm->store.dir_offline[d] << d);
    }
    fs->removed |= again;
    fs->names |= again ? fs->names_asked : 0;
    fs->names_asked = 0;
    return again != 0;
}

static void ask_done(struct shard *sh, struct checkpoint_ask *ask)
{
    struct cut_ask *a = CONTAINER_OF(ask, struct cut_ask, ask);
    struct fetchers *fs = a->fs;
    struct list *at;
    bool again = removed_again(fs, ask->whole);
    fs->ask = NULL;
    while ((at = list_pop_front(&fs->asked)) != NULL) {
        struct partition *p = LIST_ENTRY(at, struct partition, uncertain);
        if (ask->written & (UINT64_C(1) << plog_dir_index(p->log))) {
            fetchers_look(fs, p);
        } else {
            again = true;
            list_push_back(&fs->uncertain, at);
        }
    }
    mem_free(a);
    if (again) {
        timer_set(sh, &fs->ask_again, shard_now_ms(sh) + AGAIN_MS);
    } else {
        ask_checkpoint(fs);
    }
}

static void ask_checkpoint(struct fetchers *fs)
{
    bool wanted = fs->removed != 0 || !list_empty(&fs->uncertain);
    if (fs->ask || fs->stopped || !wanted || timer_is_set(&fs->ask_again)) {
        return;
    }
    fs->removed_asked = fs->removed;
    fs->names_asked = fs->names;
    fs->removed = fs->names = 0;
    struct list *at;
    while ((at = list_pop_front(&fs->uncertain)) != NULL) {
        list_push_back(&fs->asked, at);
    }
    fs->ask = MEM_NEW(struct cut_ask);
    fs->ask->fs = fs;
    checkpoints_ask(fs->ns, &fs->ask->ask, ask_done);
}

static void ask_again_cb(struct timer *t)
{
    ask_checkpoint(t->user);
}

void fetchers_was_cut(struct fetchers *fs, struct partition *p)
{
    list_remove(&p->uncertain); /* what was asked for before may not see this cut */
    list_push_back(&fs->uncertain, &p->uncertain);
    ask_checkpoint(fs);
}

uint64_t fetchers_name_bit(struct bytes topic, int32_t partition)
{
    return UINT64_C(1) << (bytes_hash(topic) + (uint32_t)partition) % 64;
}

void fetchers_removed(struct fetchers *fs, unsigned dir, uint64_t name_bit)
{
    fs->removed |= UINT64_C(1) << dir;
    fs->names |= name_bit;
    ask_checkpoint(fs);
}

void fetchers_removed_elsewhere(struct fetchers *fs, struct bytes topic, int32_t partition)
{
    for (unsigned d = 0; d < fs->ns->node->log_dirs_n; d++) {
        if (fs->ns->node->log_dirs[d] && !fs->ns->partitions->store.dir_offline[d]) {
            fetchers_removed(fs, d, fetchers_name_bit(topic, partition));
        }
    }
}

void fetchers_after_crash(struct fetchers *fs)
{
    const struct node *n = fs->ns->node;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        const struct log_dir *dir = n->log_dirs[d];
        if (dir && !dir->clean && log_dir_has_numbers(dir)) {
            fetchers_removed(fs, d, UINT64_MAX);
        }
    }
}

void fetchers_created(struct fetchers *fs, struct partition *p)
{
    uint64_t dirs = fs->removed | fs->removed_asked;
    uint64_t name = fetchers_name_bit(bytes_str(p->topic->name), p->index);
    if (((fs->names | fs->names_asked) & name) &&
        (dirs & (UINT64_C(1) << plog_dir_index(p->log)))) {
        fetchers_was_cut(fs, p);
    }
}

void follow_was_cut(struct replica_follow *fl, int64_t recovery_point)
{
    struct partition *p = fl->part;
    if (recovery_point > plog_end_offset(p->log) || !list_empty(&p->uncertain)) {
        fetchers_was_cut(fl->fetcher->fs, p);
    }
    if (p->move) {
        dir_move_was_cut(p->move);
    }
    fetch_watch_wake_all(p);
    follow_changed(fl);
}

void fetchers_init_checkpoint(struct fetchers *fs)
{
    list_init(&fs->uncertain);
    list_init(&fs->asked);
    fs->ask_again = (struct timer){.cb = ask_again_cb, .user = fs};
}

void fetchers_drop_checkpoint(struct fetchers *fs)
{
    timer_cancel(fs->ns->shard, &fs->ask_again);
    while (list_pop_front(&fs->uncertain) || list_pop_front(&fs->asked)) {
    }
}
