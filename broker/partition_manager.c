#include "broker/partition_manager.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/ids.h"
#include "base/mem.h"
#include "broker/checkpoints.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/fetch_wait.h"
#include "broker/group_host.h"
#include "broker/run_before.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/leader_throttle.h"
#include "broker/replica/standing.h"
#include "controller/image.h"
#include "proto_errors.h"
#include "storage/log_dir.h"

enum {
    RETENTION_SLICE = 64,      /* partitions looked at in one turn */
    RETENTION_ALL_MS = 300000, /* so often all are looked at, whatever is known of them */
};

static const struct config *config_of(const struct partition_manager *pm)
{
    return pm->ns->node->config;
}

/* ---- end of a turn ---- */

static void append_task(struct task *t)
{
    struct partition_manager *pm = t->user;
    struct list *at;
    while ((at = list_pop_front(&pm->dirty)) != NULL) {
        partition_append_queue(LIST_ENTRY(at, struct partition, dirty));
    }
}

static void woken_task(struct task *t)
{
    struct partition_manager *pm = t->user;
    fetch_send_woken(pm->ns, &pm->woken);
}

static void notice_task(struct task *t)
{
    struct partition_manager *pm = t->user;
    standing_send(pm->ns, &pm->notices);
}

void partition_dirty(struct partition *p)
{
    if (list_empty(&p->dirty)) {
        list_push_back(&p->pm->dirty, &p->dirty);
        shard_defer(p->pm->ns->shard, &p->pm->append_task);
    }
}

void partition_manager_woken(struct partition_manager *pm, struct list *leg_node)
{
    list_push_back(&pm->woken, leg_node);
    shard_defer(pm->ns->shard, &pm->woken_task);
}

struct plog_batch *partition_scratch(struct partition_manager *pm, unsigned i)
{
    if (i >= pm->scratch_cap) {
        pm->scratch_cap = pm->scratch_cap ? pm->scratch_cap * 2 : 64;
        pm->scratch = mem_realloc(pm->scratch, pm->scratch_cap * sizeof *pm->scratch);
    }
    return &pm->scratch[i];
}

/* ---- log directories ---- */

static void failed_task(struct task *t)
{
    struct partition_manager *pm = t->user;
    uint64_t failed = pm->failed_dirs;
    pm->failed_dirs = 0;
    for (unsigned d = 0; d < pm->ns->node->log_dirs_n; d++) {
        if (failed & (UINT64_C(1) << d)) {
            partition_manager_dir_failed(pm, d);
            node_dir_failed(pm->ns, d);
        }
    }
}

/* From inside the failing call: only noted, the log is still at work. */
static void dir_failed_hook(void *user, unsigned dir, int err, const char *sentence)
{
    UNUSED(err);
    UNUSED(sentence); /* storage has said it in its line */
    struct partition_manager *pm = user;
    /* At once: what is gone must not be vouched for, whatever happens next. */
    run_before_disk_failed(pm->ns, dir);
    pm->failed_dirs |= UINT64_C(1) << dir;
    shard_defer(pm->ns->shard, &pm->failed_task);
}

void partition_manager_dir_failed(struct partition_manager *pm, unsigned dir)
{
    ASSERT_ON_SHARD(pm->ns->shard);
    log_store_dir_offline(&pm->store, dir);
    list_for_each (at, &pm->all) {
        struct partition *p = LIST_ENTRY(at, struct partition, all);
        if (p->move) {
            dir_move_dir_failed(p, dir);
        }
        if (p->log == NULL || plog_dir_index(p->log) != dir) {
            continue;
        }
        bool was_offline = p->offline; /* the one that found out */
        p->offline = true;
        partition_forget_isr(p);
        partition_look_at_leader(p);
        if (!was_offline) {
            partition_release_waiters(p, KE_KAFKA_STORAGE_ERROR);
        }
    }
}

static void full_task(struct task *t)
{
    struct partition_manager *pm = t->user;
    int64_t now = shard_now_ms(pm->ns->shard);
    uint64_t due = 0;
    if (pm->full_news.out) {
        return; /* the next write that fails asks again */
    }
    for (unsigned d = 0; d < pm->ns->node->log_dirs_n; d++) {
        if (pm->full_dirs >> d & 1 && now >= pm->full_told_ms[d] + DISK_ROOM_TELL_MS) {
            pm->full_told_ms[d] = now;
            due |= UINT64_C(1) << d;
        }
    }
    pm->full_dirs = 0;
    if (due) {
        disk_room_report(pm->ns, &pm->full_news, due);
    }
}

/* From inside each call that finds no space. */
static void no_space_hook(void *user, unsigned dir)
{
    struct partition_manager *pm = user;
    pm->full_dirs |= UINT64_C(1) << dir;
    shard_defer(pm->ns->shard, &pm->full_task);
}

/* ---- timers ---- */

static void tick_cb(struct timer *t)
{
    struct partition_manager *pm = t->user;
    int64_t next = log_store_tick(&pm->store);
    if (next != INT64_MAX) {
        timer_set(pm->ns->shard, &pm->tick, next);
    }
}

static void due_hook(void *user, int64_t at_ms)
{
    struct partition_manager *pm = user;
    if (!pm->stopping && (!timer_is_set(&pm->tick) || at_ms < pm->tick.deadline_ms)) {
        timer_set(pm->ns->shard, &pm->tick, at_ms);
    }
}

void partition_retain_soon(struct partition *p)
{
    if (list_empty(&p->retain)) {
        list_push_back(&p->pm->retain, &p->retain);
    }
}

static void retain(struct partition *p)
{
    struct partition_manager *pm = p->pm;
    int64_t before = plog_start_offset(p->log);
    int err = plog_retention(p->log, NULL);
    if (err) {
        partition_note_error(p, err, "retention");
        partition_retain_soon(p);
    } else if (plog_start_offset(p->log) != before) {
        partition_advance(p);
    }
    int64_t due = err ? INT64_MAX : plog_retention_due(p->log);
    pm->retention_due_ms = due < pm->retention_due_ms ? due : pm->retention_due_ms;
    if (p->move) {
        dir_move_retain(p);
        partition_retain_soon(p);
    }
}

/* A round is for those that have changed since the last one, or for all when the time of one has
 * come. */
static void begin_retention(struct partition_manager *pm, int64_t now)
{
    bool due = io_wall_ms(pm->ns->shard->io) >= pm->retention_due_ms;
    if (due || now - pm->retention_all_ms >= RETENTION_ALL_MS) {
        pm->retention_left = (uint32_t)pm->by_key.count;
        pm->retention_due_ms = INT64_MAX;
        pm->retention_all_ms = now;
        return;
    }
    list_insert_before(pm->retain.next, &pm->retaining); /* takes the head's place */
    list_remove(&pm->retain);
}

/* The next one of the present round; NULL: it is over. */
static struct partition *next_to_retain(struct partition_manager *pm)
{
    struct list *at = pm->retention_left > 0 ? list_pop_front(&pm->all) : NULL;
    if (at == NULL) {
        pm->retention_left = 0;
        at = list_pop_front(&pm->retaining);
        return at ? LIST_ENTRY(at, struct partition, retain) : NULL;
    }
    pm->retention_left--;
    list_push_back(&pm->all, at);
    struct partition *p = LIST_ENTRY(at, struct partition, all);
    list_remove(&p->retain);
    return p;
}

/* One slice of a round; the next slice comes in the next turn, the next round after the interval.
 */
static void retention_cb(struct timer *t)
{
    struct partition_manager *pm = t->user;
    int64_t now = shard_now_ms(pm->ns->shard);
    bool over = false;
    if (pm->retention_left == 0 && list_empty(&pm->retaining)) {
        begin_retention(pm, now);
    }
    for (int i = 0; i < RETENTION_SLICE && !over; i++) {
        struct partition *p = next_to_retain(pm);
        if (p && !p->offline) {
            retain(p);
        }
        over = p == NULL;
    }
    timer_set(pm->ns->shard, t,
              over ? now + config_of(pm)->v.log_retention_check_interval_ms : now);
}

static void start_isr_look(struct partition_manager *pm)
{
    int64_t period = config_of(pm)->v.replica_lag_time_max_ms / 2;
    if (!list_empty(&pm->led)) {
        timer_set(pm->ns->shard, &pm->isr_look,
                  shard_now_ms(pm->ns->shard) + (period > 0 ? period : 1));
    }
}

/* All of them in one go: a look is a few comparisons. */
static void isr_look_cb(struct timer *t)
{
    struct partition_manager *pm = t->user;
    list_for_each (at, &pm->led) {
        partition_look_at_isr(LIST_ENTRY(at, struct partition, led));
    }
    start_isr_look(pm);
}

/* ---- life ---- */

struct partition_manager *partition_manager_new(struct node_shard *ns)
{
    struct partition_manager *pm = MEM_NEW(struct partition_manager);
    const struct config *c = ns->node->config;
    pm->ns = ns;
    list_init(&pm->all);
    list_init(&pm->dirty);
    list_init(&pm->led);
    list_init(&pm->woken);
    list_init(&pm->notices);
    list_init(&pm->retain);
    list_init(&pm->retaining);
    task_init(&pm->append_task, append_task, pm);
    task_init(&pm->woken_task, woken_task, pm);
    task_init(&pm->notice_task, notice_task, pm);
    task_init(&pm->failed_task, failed_task, pm);
    task_init(&pm->full_task, full_task, pm);
    for (unsigned d = 0; d < LOG_STORE_DIRS_MAX; d++) {
        pm->full_told_ms[d] = -DISK_ROOM_TELL_MS;
    }
    pm->tick = (struct timer){.cb = tick_cb, .user = pm};
    pm->retention = (struct timer){.cb = retention_cb, .user = pm};
    pm->reopen = (struct timer){.cb = partition_reopen_cb, .user = pm};
    pm->isr_look = (struct timer){.cb = isr_look_cb, .user = pm};
    pm->topics.config = c;
    pm->topics.node_id = ns->node->id;
    struct log_store_options opt = {.file_limit = node_file_limit(ns->node)};
    struct log_store_hooks hooks = {
        .dir_failed = dir_failed_hook, .no_space = no_space_hook, .due = due_hook, .user = pm};
    log_store_init(&pm->store, ns->shard->io, ns->node->log, &opt, &hooks);
    ns->fetchers = fetchers_new(ns);
    pm->throttle = leader_throttle_new(ns);
    pm->moves = dir_moves_new(ns);
    dir_wanted_init(&pm->dirs, &ns->map_secret);
    return pm;
}

/* Nobody finds it any more. */
static void detach(struct partition *p)
{
    ASSERT(p->group == NULL && p->follow == NULL && p->move == NULL);
    partition_forget_isr(p);
    ASSERT(list_empty(&p->queue) && list_empty(&p->ack_wait) && list_empty(&p->flush_wait) &&
           list_empty(&p->watches) && list_empty(&p->low_wait));
    list_remove(&p->uncertain);
    list_remove(&p->dirty);
    list_remove(&p->retain);
    list_remove(&p->all);
    map_remove(&p->pm->by_key, bytes_of(p->key, PARTITION_KEY));
    p->gone = true;
    p->offline = true;
}

void partition_free(struct partition *p)
{
    ASSERT(p->gone && !p->flushing);
    topic_settings_put(p->topic);
    partition_forget_unopened(p);
    mem_free(p);
}

void partition_manager_free(struct partition_manager *pm)
{
    if (pm == NULL) {
        return;
    }
    timer_cancel(pm->ns->shard, &pm->tick);
    timer_cancel(pm->ns->shard, &pm->retention);
    timer_cancel(pm->ns->shard, &pm->reopen);
    timer_cancel(pm->ns->shard, &pm->isr_look);
    fetchers_free(pm->ns->fetchers);
    pm->ns->fetchers = NULL;
    leader_throttle_free(pm->throttle);
    dir_moves_free(pm->moves);
    dir_wanted_free(&pm->dirs);
    while (!list_empty(&pm->all)) {
        struct partition *p = LIST_ENTRY(pm->all.next, struct partition, all);
        if (p->log) {
            pm->per_dir[plog_dir_index(p->log)]--;
            plog_close(p->log);
        }
        p->flushing = false; /* the logs took their flushes with them */
        detach(p);
        partition_free(p);
    }
    standing_drop(&pm->notices);
    struct task *tasks[] = {&pm->append_task, &pm->woken_task, &pm->notice_task, &pm->failed_task,
                            &pm->full_task};
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) { /* of a turn that has not ended */
        list_remove(&tasks[i]->node);
    }
    topic_settings_drop_all(&pm->topics);
    map_free(&pm->by_key);
    log_store_free(&pm->store);
    mem_free(pm->scratch);
    mem_free(pm);
}

struct partition *partition_find(struct partition_manager *pm, struct uuid topic_id, int32_t index)
{
    uint8_t key[PARTITION_KEY];
    partition_key(topic_id, index, key);
    return map_get(&pm->by_key, bytes_of(key, sizeof key));
}

struct topic_settings *partition_manager_topic(struct partition_manager *pm,
                                               const struct image *img,
                                               const struct image_topic *topic)
{
    return topic_settings_find(&pm->topics, img, topic);
}

/* ---- partitions come and go ---- */

static struct partition *add_partition(struct partition_manager *pm, const struct image *img,
                                       const struct image_topic *t,
                                       const struct image_partition *ip)
{
    struct partition *p = MEM_NEW(struct partition);
    p->pm = pm;
    partition_key(t->id, ip->index, p->key);
    p->topic = partition_manager_topic(pm, img, t);
    topic_settings_get(p->topic);
    p->index = ip->index;
    p->leader = -1;
    p->leader_epoch = -1;
    p->flush_wanted = -1;
    list_init(&p->queue);
    list_init(&p->dirty);
    list_init(&p->retain);
    list_init(&p->uncertain);
    list_init(&p->ack_wait);
    list_init(&p->flush_wait);
    list_init(&p->watches);
    list_init(&p->standing);
    list_init(&p->low_wait);
    list_init(&p->led);
    list_init(&p->alter);
    list_push_back(&pm->all, &p->all);
    map_put(&pm->by_key, bytes_of(p->key, PARTITION_KEY), p);
    partition_open(p, ip);
    return p;
}

void partition_look_at_leader(struct partition *p)
{
    struct fetchers *fs = p->pm->ns->fetchers;
    if (p->offline || p->is_leader || p->leader < 0) {
        fetchers_unfollow(fs, p);
    } else {
        fetchers_follow(fs, p);
    }
}

/* The broker has no replica of it any more: the files go after file.delete.delay.ms. Who waits gets
 * the code. */
static void remove_partition(struct partition *p, int16_t code)
{
    struct partition_manager *pm = p->pm;
    int removed = -1;
    uint64_t name_bit = fetchers_name_bit(bytes_str(p->topic->name), p->index);
    p->is_leader = false;
    fetchers_unfollow(pm->ns->fetchers, p);
    partition_release_waiters(p, code);
    dir_move_drop(p);
    if (p->log) {
        unsigned dir = plog_dir_index(p->log);
        pm->per_dir[dir]--;
        int err = plog_delete(p->log);
        p->log = NULL;
        removed = (int)dir;
        if (err) {
            log_warn(pm->ns->node->log, "partition",
                     "the directory of a deleted partition could not be renamed partition=%s-%d "
                     "error=\"%s\"",
                     p->topic->name, p->index, err_text(err));
        }
    }
    detach(p);
    if (!p->flushing) { /* else the end of the flush, a field of p, frees it */
        partition_free(p);
    }
    if (removed >= 0) {
        fetchers_removed(pm->ns->fetchers, (unsigned)removed, name_bit);
    }
}

/* ---- deltas ---- */

static void apply_partition(struct partition_manager *pm, const struct image *img,
                            const struct image_topic *t, const struct image_partition *ip)
{
    struct partition *p = partition_find(pm, t->id, ip->index);
    if (!id_in(ip->replicas, ip->replicas_n, pm->ns->node->id)) {
        if (p) { /* others have it */
            p->leader = ip->leader;
            p->leader_epoch = ip->leader_epoch;
            remove_partition(p, KE_NOT_LEADER_OR_FOLLOWER);
        }
        return;
    }
    if (p == NULL) {
        p = add_partition(pm, img, t, ip);
    }
    partition_set_state(p, ip, img);
    partition_look_at_leader(p);
    group_host_look(p);
    if (p->move) {
        dir_move_look(p->move);
    }
}

/* What this shard has to know of a partition that lives in another one. */
static void look_elsewhere(struct partition_manager *pm, const struct image_topic_change *c,
                           int32_t index)
{
    if (c->before == NULL) {
        dir_wanted_take(&pm->dirs, c->after->name, index);
    } else if (c->after == NULL) {
        const struct image_partition *ip = image_partition(c->before, index);
        if (ip && id_in(ip->replicas, ip->replicas_n, pm->ns->node->id)) {
            fetchers_removed_elsewhere(pm->ns->fetchers, c->before->name, index);
        }
    }
}

static void apply_topic(struct partition_manager *pm, const struct image *img,
                        const struct image_topic_change *c)
{
    const struct image_topic *t = c->after ? c->after : c->before;
    for (uint32_t i = 0; i < t->partitions_n; i++) {
        if (node_home_shard(pm->ns->node, t->id, (int32_t)i) != pm->ns->index) {
            look_elsewhere(pm, c, (int32_t)i);
            continue;
        }
        const struct image_partition *before =
            c->before ? image_partition(c->before, (int32_t)i) : NULL;
        const struct image_partition *after =
            c->after ? image_partition(c->after, (int32_t)i) : NULL;
        if (after && after != before) {
            apply_partition(pm, img, t, after);
        } else if (after == NULL && before) {
            struct partition *p = partition_find(pm, t->id, (int32_t)i);
            if (p) {
                remove_partition(p, KE_UNKNOWN_TOPIC_OR_PARTITION);
            }
        }
    }
    if (c->after == NULL) {
        topic_settings_drop(&pm->topics, t->id);
    }
}

/* Hands the settings as they are now to the topic's partitions here. */
static void refresh_settings(struct partition *p, const struct image *img)
{
    struct partition_manager *pm = p->pm;
    const struct image_topic *t = image_topic_by_id(img, p->topic->id);
    if (t == NULL) {
        return;
    }
    struct topic_settings *now = partition_manager_topic(pm, img, t);
    if (now == p->topic) {
        return;
    }
    struct topic_settings *old = p->topic;
    topic_settings_get(now);
    p->topic = now;
    p->throttle = PARTITION_THROTTLE_UNKNOWN;
    if (p->log) {
        plog_set_config(p->log, &now->config.log);
        partition_retain_soon(p);
    }
    if (p->move) {
        plog_set_config(dir_move_log(p), &now->config.log);
    }
    if (p->is_leader && now->config.min_insync_replicas < old->config.min_insync_replicas) {
        partition_advance(p); /* what has too few copies no more is committed */
    }
    topic_settings_put(old);
}

/* Changed settings of a topic concern its partitions; those of the broker, all. */
static void apply_configs(struct partition_manager *pm, const struct image_delta *d)
{
    bool any = false;
    for (uint32_t i = 0; i < d->configs_n; i++) {
        const struct image_config_change *c = &d->configs[i];
        if (c->type == CONFIG_BROKER) {
            topic_settings_forget_all(&pm->topics);
            any = true;
        } else if (c->type == CONFIG_TOPIC) {
            const struct image_topic *t = image_topic_by_name(d->image, c->resource);
            if (t) {
                topic_settings_forget(&pm->topics, t->id);
                any = true;
            }
        }
    }
    if (!any) {
        return;
    }
    list_for_each (at, &pm->all) {
        refresh_settings(LIST_ENTRY(at, struct partition, all), d->image);
    }
}

/* Who is fenced, leaves or came back with another epoch: the leaders here must know. */
static void apply_brokers(struct partition_manager *pm, const struct image_delta *d)
{
    for (uint32_t i = 0; i < d->brokers_n; i++) {
        const struct image_broker_change *c = &d->brokers[i];
        list_for_each (at, &pm->led) {
            partition_set_broker(LIST_ENTRY(at, struct partition, led), c->id, c->after);
        }
    }
}

void partition_manager_apply(struct partition_manager *pm, const struct image_delta *d)
{
    ASSERT_ON_SHARD(pm->ns->shard);
    if (pm->stopping) {
        return;
    }
    apply_configs(pm, d);
    apply_brokers(pm, d);
    for (uint32_t i = 0; i < d->topics_n; i++) {
        apply_topic(pm, d->image, &d->topics[i]);
    }
    fetchers_apply(pm->ns->fetchers, d);
    if (!timer_is_set(&pm->isr_look)) {
        start_isr_look(pm);
    }
    if (!pm->started) {
        pm->started = true;
        fetchers_after_crash(pm->ns->fetchers);
        timer_set(pm->ns->shard, &pm->retention,
                  shard_now_ms(pm->ns->shard) + config_of(pm)->v.log_initial_task_delay_ms);
    }
}

/* ---- checkpoints and stop ---- */

static void put_row(struct checkpoint_rows *out, const char *topic, int32_t index,
                    const struct plog *log)
{
    out->v[out->n++] = (struct checkpoint_row){.topic = topic,
                                               .partition = index,
                                               .dir = plog_dir_index(log),
                                               .start_needed = plog_start_needs_checkpoint(log),
                                               .recovery_point = plog_recovery_point(log),
                                               .high_watermark = plog_high_watermark(log),
                                               .log_start = plog_start_offset(log)};
}

/* Nothing of it has changed, and it is to be found so again. */
static void put_unopened(struct checkpoint_rows *out, const char *topic, const struct partition *p)
{
    const struct plog_open_args *a = &p->unopened->args;
    out->v[out->n++] = (struct checkpoint_row){.topic = topic,
                                               .partition = p->index,
                                               .dir = a->dir_index,
                                               .start_needed = a->log_start > 0,
                                               .recovery_point = a->recovery_point,
                                               .high_watermark = a->high_watermark,
                                               .log_start = a->log_start};
}

void partition_manager_rows(const struct partition_manager *pm, struct checkpoint_rows *out)
{
    size_t names = 0;
    list_for_each (at, &pm->all) {
        names += strlen(LIST_ENTRY(at, struct partition, all)->topic->name) + 1;
    }
    *out = (struct checkpoint_rows){0};
    out->v = mem_zalloc((2 * pm->by_key.count + 1) * sizeof *out->v);
    out->names = mem_alloc(names + 1);
    char *at_name = out->names;
    list_for_each (at, &pm->all) {
        const struct partition *p = LIST_ENTRY(at, struct partition, all);
        const char *topic = at_name;
        at_name = stpcpy(at_name, p->topic->name) + 1;
        if (p->unopened && p->unopened->held) {
            put_unopened(out, topic, p);
        } else if (!p->offline) {
            put_row(out, topic, p->index, p->log);
        }
        if (p->move) { /* under the same name, in another directory */
            put_row(out, topic, p->index, dir_move_log(p));
        }
    }
}

void partition_manager_stop(struct partition_manager *pm)
{
    ASSERT_ON_SHARD(pm->ns->shard);
    append_task(&pm->append_task);
    pm->stopping = true;
    fetchers_stop(pm->ns->fetchers);
    leader_throttle_stop(pm->throttle);
    dir_moves_stop(pm->moves);
    timer_cancel(pm->ns->shard, &pm->tick); /* nothing new begins: what is under way ends */
    timer_cancel(pm->ns->shard, &pm->retention);
    timer_cancel(pm->ns->shard, &pm->reopen);
    timer_cancel(pm->ns->shard, &pm->isr_look);
    list_for_each (at, &pm->all) {
        struct partition *p = LIST_ENTRY(at, struct partition, all);
        p->is_leader = false;
        partition_forget_isr(p);
        partition_release_waiters(p, KE_NOT_LEADER_OR_FOLLOWER);
    }
}

bool partition_manager_busy(const struct partition_manager *pm)
{
    return log_store_busy(&pm->store) || !list_empty(&pm->woken) || !list_empty(&pm->notices) ||
           fetchers_busy(pm->ns->fetchers) || leader_throttle_busy(pm->throttle) ||
           dir_moves_busy(pm->moves);
}

/* A partition without a log: its files are as they were, still to be recovered or not. */
static void note_unopened(const struct partition *p, uint64_t *failed_dirs)
{
    const struct partition_unopened *u = p->unopened;
    if (u != NULL && u->held && !u->args.clean) {
        *failed_dirs |= UINT64_C(1) << u->args.dir_index;
    }
}

void partition_manager_close_clean(struct partition_manager *pm, uint64_t *failed_dirs)
{
    ASSERT_ON_SHARD(pm->ns->shard);
    size_t most = 2 * pm->by_key.count + 1; /* each may have a future log */
    struct partition **open = mem_alloc(most * sizeof *open);
    struct plog **logs = mem_alloc(most * sizeof *logs);
    int *results = mem_zalloc(most * sizeof *results);
    unsigned n = 0;
    *failed_dirs = 0;
    for (unsigned d = 0; d < pm->ns->node->log_dirs_n; d++) {
        *failed_dirs |= pm->store.dir_offline[d] ? UINT64_C(1) << d : 0;
    }
    list_for_each (at, &pm->all) {
        struct partition *p = LIST_ENTRY(at, struct partition, all);
        if (p->log == NULL) {
            note_unopened(p, failed_dirs);
        } else if (p->offline) {
            *failed_dirs |= UINT64_C(1) << plog_dir_index(p->log);
        } else {
            open[n] = p;
            logs[n++] = p->log;
        }
        if (p->move) {
            open[n] = NULL;
            logs[n++] = dir_move_log(p);
        }
    }
    plog_close_clean_all(&pm->store, logs, n, results);
    for (unsigned i = 0; i < n; i++) {
        if (results[i]) {
            *failed_dirs |= UINT64_C(1) << plog_dir_index(logs[i]);
            if (open[i]) {
                open[i]->offline = true;
            }
        }
    }
    mem_free(open);
    mem_free(logs);
    mem_free(results);
}
