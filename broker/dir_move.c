#include "broker/dir_move.h"

#include <inttypes.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/dir_assign.h"
#include "broker/dir_move_private.h"
#include "broker/replica/fetcher.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "storage/log_dir.h"

static const char RATE[] = "replica.alter.log.dirs.io.max.bytes.per.second";

enum { AGAIN_MS = 1000, TURN_BYTES = 1 << 20 };

static struct shard *shard_of_move(const struct dir_move *m)
{
    return m->ms->ns->shard;
}

static const char *dir_path(const struct dir_moves *ms, unsigned dir)
{
    return ms->ns->node->log_dirs[dir]->path;
}

/* ---- when something is to be done ---- */

void dir_move_look(struct dir_move *m)
{
    struct dir_moves *ms = m->ms;
    if (list_empty(&m->due) && m->part && !ms->stopped) {
        list_push_back(&ms->due, &m->due);
        if (!ms->running) { /* else the end of the run looks for the next turn */
            shard_defer(ms->ns->shard, &ms->task);
        }
    }
}

void dir_move_was_cut(struct dir_move *m)
{
    m->compared = false;
    m->saved = false;
    dir_move_look(m);
}

static void hold(struct partition *p)
{
    p->held = true;
    fetchers_look(p->pm->ns->fetchers, p);
}

static void release(struct partition *p)
{
    p->held = false;
    if (!list_empty(&p->queue)) {
        partition_dirty(p);
    }
    fetchers_look(p->pm->ns->fetchers, p);
}

/* The next start may take it for the partition's log. */
static bool has_final_name(const struct plog *log)
{
    const char *name = plog_name(log);
    return plog_base_name(name) == strlen(name);
}

void move_later(struct dir_move *m)
{
    if (m->part && m->part->held && !has_final_name(m->log)) {
        /* who appends does not wait for what may last */
        release(m->part);
    }
    if (m->part && !m->ms->stopped) {
        timer_set(shard_of_move(m), &m->again, shard_now_ms(shard_of_move(m)) + AGAIN_MS);
    }
}

void move_failed(struct dir_move *m, int err, const char *what)
{
    log_limited(move_logger(m), &m->ms->limit, LOG_WARN, "dir_move",
                "a move to another log directory has to wait partition=%s-%" PRId32
                " what=\"%s\" error=\"%s\"",
                m->part->topic->name, m->part->index, what, err_text(err));
    move_later(m);
}

static void again_cb(struct timer *t)
{
    dir_move_look(t->user);
}

/* ---- beginning and end ---- */

static struct dir_move *move_new(struct partition *p, struct plog *future)
{
    struct dir_moves *ms = p->pm->moves;
    struct dir_move *m = MEM_NEW(struct dir_move);
    ASSERT(p->move == NULL);
    m->ms = ms;
    m->part = p;
    m->log = future;
    m->began_ms = shard_now_ms(ms->ns->shard);
    m->next_dir = -1;
    m->again = (struct timer){.cb = again_cb, .user = m};
    list_init(&m->due);
    list_init(&m->throttled);
    list_push_back(&ms->all, &m->node);
    p->move = m;
    p->pm->per_dir[plog_dir_index(future)]++;
    partition_retain_soon(p);
    dir_move_look(m);
    return m;
}

static void move_free(struct dir_move *m)
{
    ASSERT(m->part == NULL && m->log == NULL && !m->busy);
    timer_cancel(shard_of_move(m), &m->again);
    list_remove(&m->due);
    list_remove(&m->throttled);
    list_remove(&m->node);
    if (m->settings) {
        topic_settings_put(m->settings);
    }
    mem_free(m->read.data);
    mem_free(m);
}

static void take_log_away(struct dir_move *m)
{
    struct plog *log = m->log;
    if (log && !m->promoting) {
        m->log = NULL;
        plog_delete(log); /* what cannot be renamed is found at the next start */
    }
}

/* The partition has no move any more; what is under way comes home to nobody. */
static void give_up(struct dir_move *m)
{
    struct partition *p = m->part;
    timer_cancel(shard_of_move(m), &m->again);
    list_remove(&m->due);
    list_remove(&m->throttled);
    p->move = NULL;
    p->pm->per_dir[plog_dir_index(m->log)]--;
    m->part = NULL;
    m->settings = p->topic; /* a topic that was deleted would take them along */
    topic_settings_get(m->settings);
    take_log_away(m);
    if (p->held) {
        release(p);
    }
    if (!m->busy) {
        move_free(m);
    }
}

bool move_home(struct dir_move *m)
{
    m->busy = false;
    if (m->part) {
        dir_move_look(m);
        return true;
    }
    take_log_away(m);
    move_free(m);
    return false;
}

void dir_move_drop(struct partition *p)
{
    if (p->move) {
        give_up(p->move);
    }
}

/* ---- the controller ---- */

static bool image_says(const struct partition *p, unsigned dir)
{
    const struct node_shard *ns = p->pm->ns;
    const struct image_topic *t = image_topic_by_id(ns->image, p->topic->id);
    const struct image_partition *ip = t ? image_partition(t, p->index) : NULL;
    for (uint32_t i = 0; ip && i < ip->replicas_n && i < ip->directories_n; i++) {
        if (ip->replicas[i] == ns->node->id) {
            return uuid_eq(ip->directories[i], ns->node->log_dirs[dir]->meta.directory_id);
        }
    }
    return false;
}

/* The controller may think that the replica lies where the move was to bring it. */
static void report_old_dir(const struct dir_move *m)
{
    const struct partition *p = m->part;
    if (m->reported || image_says(p, plog_dir_index(m->log))) {
        dir_assign_report(m->ms->ns, p->topic->id, p->index, plog_dir_index(p->log));
    }
}

/* Its log directory failed. If its log may have the final name there, nothing is appended to the
 * old one before the metadata names that: a start would take the other. */
static void end_failed(struct dir_move *m)
{
    if (!m->promoting && !(has_final_name(m->log) && image_says(m->part, plog_dir_index(m->log)))) {
        give_up(m);
    }
}

void dir_move_dir_failed(struct partition *p, unsigned dir)
{
    struct dir_move *m = p->move;
    if (plog_dir_index(m->log) == dir && !m->failed) {
        log_warn(move_logger(m), "dir_move",
                 "the move ends, its log directory failed partition=%s-%" PRId32 " dir=%s",
                 p->topic->name, p->index, dir_path(m->ms, dir));
        report_old_dir(m);
        m->failed = true;
        end_failed(m);
    } else if (plog_dir_index(p->log) == dir) {
        report_old_dir(m);
    }
}

/* ---- the last steps ---- */

static void asked(struct shard *sh, struct checkpoint_ask *a)
{
    struct dir_move *m = CONTAINER_OF(a, struct dir_move, ask);
    UNUSED(sh);
    if (!move_home(m)) {
        return;
    }
    if ((a->written & (UINT64_C(1) << plog_dir_index(m->log))) == 0) {
        m->settled = m->saved = false;
        move_later(m);
    }
}

static void ask_checkpoint(struct dir_move *m)
{
    m->busy = true;
    checkpoints_ask(m->ms->ns, &m->ask, asked);
}

static void flushed(struct plog_flush *f, int err)
{
    struct dir_move *m = f->user;
    if (move_home(m) && err) {
        move_failed(m, err, "flush");
    }
}

static void flush(struct dir_move *m)
{
    m->busy = true;
    plog_flush_start(m->log, &m->flush, flushed, m);
}

/* The future log is the partition's now. */
static void swap(struct dir_move *m)
{
    struct partition *p = m->part;
    struct plog *old = p->log;
    unsigned from = plog_dir_index(old);
    int next = m->next_dir;
    ASSERT(!p->flushing && plog_end_offset(old) == plog_end_offset(m->log));
    plog_set_high_watermark(m->log, plog_high_watermark(old));
    p->log = m->log;
    int err = 0;
    if (plog_start_offset(p->log) < plog_start_offset(old)) { /* DeleteRecords came meanwhile */
        err = plog_set_start_offset(p->log, plog_start_offset(old));
    }
    plog_take_producers(p->log, old);
    if (err == 0 && p->is_leader) {
        err = plog_begin_epoch(p->log, p->leader_epoch);
    }
    if (err) {
        partition_note_error(p, err, "begin in another log directory");
    }
    log_info(move_logger(m), "dir_move",
             "the replica was moved partition=%s from=%s to=%s end=%" PRId64, plog_name(p->log),
             dir_path(m->ms, from), dir_path(m->ms, plog_dir_index(p->log)),
             plog_end_offset(p->log));
    m->log = old; /* and counts in per_dir as the move's */
    give_up(m);
    partition_advance(p);
    if (next >= 0 && !p->pm->stopping) {
        dir_move_ask(p, (unsigned)next);
    }
}

static void promoted(struct plog_promotion *pr, int err)
{
    struct dir_move *m = pr->user;
    m->promoting = false;
    if (!move_home(m)) {
        return;
    }
    if (err) {
        move_failed(m, err, "rename the future log");
    } else if (!m->part->offline && !m->failed) {
        swap(m);
    }
}

static void promote(struct dir_move *m)
{
    m->busy = true;
    m->promoting = true;
    plog_promote(m->log, &m->promotion, promoted, m);
}

/* ---- the steps ---- */

static bool caught_up(const struct dir_move *m)
{
    return plog_end_offset(m->log) == plog_end_offset(m->part->log) &&
           plog_start_offset(m->log) >= plog_start_offset(m->part->log);
}

/* It has all of the partition's log. */
static void finish(struct dir_move *m)
{
    struct partition *p = m->part;
    unsigned dir = plog_dir_index(m->log);
    if (!m->reported) { /* if the metadata has it, too: the old one may be on its way there, from a
                         * move that was given up, and the newest report is the one that stays */
        m->reported = true;
        dir_assign_report(m->ms->ns, p->topic->id, p->index, dir);
    }
    if (!image_says(p, dir)) {
        if (p->held) {
            release(p);
        }
    } else if (!p->held) {
        hold(p);
        dir_move_look(m);
    } else if (!plog_is_durable(m->log)) {
        flush(m);
    } else if (!p->flushing) {
        promote(m);
    }
}

/* Before the partition is held, most of the flushing is done, and the checkpoints have what a
 * start of the node would miss. */
static bool save(struct dir_move *m)
{
    if (m->saved || m->part->held) {
        return true;
    }
    if (plog_flushed_offset(m->log) < plog_end_offset(m->log) && !m->preflushed) {
        m->preflushed = true;
        flush(m);
        return false;
    }
    m->saved = true;
    ask_checkpoint(m);
    return false;
}

static void step(struct dir_move *m)
{
    const struct partition *p = m->part;
    if (m->failed) {
        end_failed(m);
        return;
    }
    if (m->busy || p->offline || timer_is_set(&m->again) || !list_empty(&m->throttled) ||
        !move_compare(m) || !move_marks(m)) {
        return;
    }
    if (!m->settled) {
        m->settled = true;
        ask_checkpoint(m);
        return;
    }
    if (move_copy(m) && m->settled && caught_up(m) && save(m)) {
        finish(m);
    }
}

/* Those that are due now, until the turn has copied enough. */
static void run_due(struct dir_moves *ms)
{
    struct list now;
    struct list *at;
    list_init(&now);
    while ((at = list_pop_front(&ms->due)) != NULL) {
        list_push_back(&now, at);
    }
    ms->left = TURN_BYTES;
    ms->running = true;
    while (ms->left > 0 && (at = list_pop_front(&now)) != NULL) {
        step(LIST_ENTRY(at, struct dir_move, due));
    }
    ms->running = false;
    while (!list_empty(&now)) { /* first in the next turn */
        at = now.prev;
        list_remove(at);
        list_push_front(&ms->due, at);
    }
    if (!list_empty(&ms->due)) {
        timer_set(ms->ns->shard, &ms->next_turn, shard_now_ms(ms->ns->shard));
    }
}

static void due_cb(struct task *t)
{
    run_due(t->user);
}

static void next_turn_cb(struct timer *t)
{
    run_due(t->user);
}

/* ---- asked by an administrator ---- */

static int make_future(struct partition *p, unsigned dir, struct plog **out, struct errmsg *em)
{
    struct partition_manager *pm = p->pm;
    struct buf name = {0};
    plog_future_name(pm->ns->shard->io, plog_name(p->log), &name);
    struct plog_open_args a = {
        .dir_index = dir,
        .dir_path = dir_path(pm->moves, dir),
        .name = buf_cstr(&name),
        .config = &p->topic->config.log,
        .clean = true,
        .log_start = plog_start_offset(p->log),
    };
    int err = plog_create(&pm->store, &a, p->topic->id, out, em);
    buf_free(&name);
    return err;
}

int16_t dir_move_ask(struct partition *p, unsigned dir)
{
    struct dir_moves *ms = p->pm->moves;
    struct errmsg em = {{0}};
    struct plog *future;
    ASSERT_ON_SHARD(ms->ns->shard);
    if (p->offline) {
        return KE_KAFKA_STORAGE_ERROR;
    }
    if (p->move && p->move->promoting) {
        p->move->next_dir = (int)dir;
        return KE_NONE;
    }
    if (p->move && p->move->failed) {
        return KE_KAFKA_STORAGE_ERROR;
    }
    if (p->move && plog_dir_index(p->move->log) == dir) {
        return KE_NONE;
    }
    if (p->move) {
        log_info(ms->ns->node->log, "dir_move", "the move is given up partition=%s to=%s",
                 plog_name(p->log), dir_path(ms, plog_dir_index(p->move->log)));
        report_old_dir(p->move);
        give_up(p->move);
    }
    if (plog_dir_index(p->log) == dir) {
        return KE_NONE;
    }
    int err = make_future(p, dir, &future, &em);
    if (err) {
        log_limited(ms->ns->node->log, &ms->limit, LOG_ERROR, "dir_move",
                    "a move cannot begin partition=%s to=%s reason=\"%s\"", plog_name(p->log),
                    dir_path(ms, dir), em.text);
        return KE_KAFKA_STORAGE_ERROR;
    }
    log_info(ms->ns->node->log, "dir_move", "a move begins partition=%s from=%s to=%s",
             plog_name(p->log), dir_path(ms, plog_dir_index(p->log)), dir_path(ms, dir));
    move_new(p, future)->compared = true;
    return KE_NONE;
}

void dir_move_resume(struct partition *p, struct plog *future)
{
    log_info(p->pm->ns->node->log, "dir_move",
             "a move goes on partition=%s from=%s to=%s copied=%" PRId64 " end=%" PRId64,
             plog_name(p->log), dir_path(p->pm->moves, plog_dir_index(p->log)),
             dir_path(p->pm->moves, plog_dir_index(future)), plog_end_offset(future),
             plog_end_offset(p->log));
    move_new(p, future);
}

void dir_move_retain(struct partition *p)
{
    struct dir_move *m = p->move;
    if (!m->promoting && !m->failed) {
        int err = plog_retention(m->log, NULL);
        if (err) {
            move_failed(m, err, "retention");
        }
        dir_move_look(m);
    }
}

struct plog *dir_move_log(const struct partition *p)
{
    return p->move ? p->move->log : NULL;
}

/* ---- life ---- */

static struct rate_window *window(struct node_shard *main)
{
    return &main->partitions->moves->moved;
}

static void rate_changed(struct rate_account *a)
{
    struct dir_moves *ms = a->user;
    struct list *at;
    while (!a->over_rate && (at = list_pop_front(&ms->throttled)) != NULL) {
        dir_move_look(LIST_ENTRY(at, struct dir_move, throttled));
    }
}

struct dir_moves *dir_moves_new(struct node_shard *ns)
{
    struct dir_moves *ms = MEM_NEW(struct dir_moves);
    const struct config_values *v = &ns->node->config->v;
    ms->ns = ns;
    ms->left = TURN_BYTES;
    list_init(&ms->all);
    list_init(&ms->due);
    list_init(&ms->throttled);
    task_init(&ms->task, due_cb, ms);
    ms->next_turn = (struct timer){.cb = next_turn_cb, .user = ms};
    ms->account = (struct rate_account){
        .ns = ns, .setting = RATE, .window = window, .changed = rate_changed, .user = ms};
    rate_account_init(&ms->account);
    rate_window_init(&ms->moved, (uint32_t)v->alter_log_dirs_replication_quota_window_num,
                     (int64_t)v->alter_log_dirs_replication_quota_window_size_seconds * 1000);
    return ms;
}

void dir_moves_stop(struct dir_moves *ms)
{
    ms->stopped = true;
    rate_account_stop(&ms->account);
    timer_cancel(ms->ns->shard, &ms->next_turn);
    list_for_each (at, &ms->all) {
        struct dir_move *m = LIST_ENTRY(at, struct dir_move, node);
        list_remove(&m->due);
        list_remove(&m->throttled);
        timer_cancel(ms->ns->shard, &m->again);
    }
}

bool dir_moves_busy(const struct dir_moves *ms)
{
    list_for_each (at, &ms->all) {
        if (LIST_ENTRY(at, struct dir_move, node)->busy) {
            return true;
        }
    }
    return rate_account_busy(&ms->account);
}

void dir_moves_free(struct dir_moves *ms)
{
    dir_moves_stop(ms);
    list_for_each_safe (at, &ms->all) {
        struct dir_move *m = LIST_ENTRY(at, struct dir_move, node);
        if (m->part) {
            m->part->move = NULL;
            m->part = NULL;
        }
        if (m->log) {
            plog_close(m->log);
            m->log = NULL;
        }
        m->busy = false;
        move_free(m);
    }
    rate_window_free(&ms->moved);
    list_remove(&ms->task.node);
    mem_free(ms);
}

static const char *move_state(const struct dir_move *m)
{
    if (m->no_space) {
        return "waits for room in the directory";
    }
    if (!list_empty(&m->throttled)) {
        return "is throttled";
    }
    if (timer_is_set(&m->again)) {
        return "waits after a failure, and is tried again";
    }
    return m->promoting ? "takes the place of the log" : "is being copied";
}

struct dir_move_view dir_move_view(const struct partition *p)
{
    const struct dir_move *m = p->move;
    struct dir_move_view v = {.ms = shard_now_ms(m->ms->ns->shard) - m->began_ms,
                              .state = move_state(m)};
    if (m->log) {
        v.to = plog_dir_index(m->log);
        v.bytes_done = plog_size(m->log);
    }
    if (!p->offline) {
        v.bytes = plog_size(p->log);
    }
    return v;
}
