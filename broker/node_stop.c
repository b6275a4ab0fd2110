/* The steps of a stop, on main, each calling the next:
 *
 *     no new connections -> the controller lets us go -> connections answered and closed, waiting
 *     requests ended -> loader at rest -> no checkpoint under way -> logs closed cleanly
 *       -> checkpoints and the marks of a clean stop -> channels closed -> controller stopped
 *       -> the monitor's listener closed
 *
 * What does not end by itself within shutdown.timeout.ms is cut. A node that stops because it
 * failed does not ask the controller, cuts at once, and leaves no mark: the next start recovers.
 * One that has not opened its logs yet leaves marks and checkpoints as it found them. */
#include <inttypes.h>

#include "base/mem.h"
#include "broker/dir_assign.h"
#include "broker/disk_room.h"
#include "broker/forward.h"
#include "broker/group_host.h"
#include "broker/lifecycle.h"
#include "broker/listener.h"
#include "broker/metadata_loader.h"
#include "broker/monitor/monitor.h"
#include "broker/node_priv.h"
#include "broker/partition_manager.h"
#include "broker/producer_ids.h"
#include "broker/replica/alter.h"
#include "broker/request.h"
#include "broker/run_before.h"
#include "controller/channel.h"
#include "storage/log_dir.h"

enum { POLL_MS = 5 };

static int64_t now(const struct node *n)
{
    return shard_now_ms(node_main(n)->shard);
}

static void poll_later(struct node *n, timer_cb *cb)
{
    struct node_priv *p = n->priv;
    p->poll.cb = cb;
    p->poll.user = n;
    timer_set(node_main(n)->shard, &p->poll, now(n) + POLL_MS);
}

/* ---- the end ---- */

static void stopped(struct node *n)
{
    struct node_priv *p = n->priv;
    if (!p->failing) {
        log_info(n->log, "node", "stopped node=%" PRId32, n->id);
    }
    node_set_state(n, p->failing ? NODE_FAILED : NODE_STOPPED);
}

static void stop_monitor(struct node *n)
{
    monitor_stop(n, stopped);
}

static void stop_controller(struct node *n)
{
    if (n->controller) {
        node_controller_stop(n, stop_monitor);
    } else {
        stop_monitor(n);
    }
}

/* ---- channels ---- */

static void close_channel_run(struct shard *sh, struct call *c)
{
    struct node_shard *ns = node_shard_of(sh);
    isr_alter_free(ns->alter);
    ns->alter = NULL;
    if (ns->channel) {
        auto_create_free(ns);
        channel_close(ns->channel);
        ns->channel = NULL;
    }
    call_finish(sh, c);
}

static void close_channels(struct node *n)
{
    lifecycle_free(n->lifecycle);
    disk_room_free(n->room);
    producer_ids_free(n->producer_ids);
    dir_assign_free(n->dir_assign);
    checkpoints_free(n->priv->checkpoints);
    n->lifecycle = NULL;
    n->room = NULL;
    n->producer_ids = NULL;
    n->dir_assign = NULL;
    n->priv->checkpoints = NULL;
    node_on_all_shards(n, close_channel_run, stop_controller);
}

/* ---- logs ---- */

static void close_dirs(struct node *n, int64_t epoch, uint64_t failed)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d] == NULL) {
            continue;
        }
        int err = log_dir_close(n->log_dirs[d], !(failed & (UINT64_C(1) << d)), epoch);
        n->log_dirs[d] = NULL;
        if (err) {
            log_warn(n->log, "node", "no mark of a clean stop could be written dir=%s error=\"%s\"",
                     n->config->log_dirs[d], err_text(err));
        }
    }
}

static void logs_closed(struct node *n)
{
    struct node_priv *p = n->priv;
    int64_t epoch = n->lifecycle ? lifecycle_broker_epoch(n->lifecycle) : -1;
    if (epoch < 0) {
        run_before_keep(n);
    }
    uint64_t failed = n->failed_dirs;
    struct checkpoint_rows *rows = mem_zalloc(n->data_shards * sizeof *rows);
    for (unsigned i = 0; i < n->data_shards; i++) {
        failed |= p->steps[i].failed_dirs;
        rows[i] = p->steps[i].rows;
    }
    if (!p->failing) {
        failed = checkpoints_write_last(p->checkpoints, rows, n->data_shards, failed);
    }
    mem_free(rows);
    close_dirs(n, epoch, p->failing ? UINT64_MAX : failed);
    close_channels(n);
}

static void close_logs_run(struct shard *sh, struct call *c)
{
    struct node_step *s = c->user;
    struct partition_manager *pm = node_shard_of(sh)->partitions;
    if (!s->node->priv->failing) {
        partition_manager_close_clean(pm, &s->failed_dirs);
        partition_manager_rows(pm, &s->rows);
    }
    call_finish(sh, c);
}

static void checkpoints_at_rest(struct node *n)
{
    node_on_all_shards(n, close_logs_run, logs_closed);
}

static void loader_poll_cb(struct timer *t)
{
    struct node *n = t->user;
    if (metadata_loader_busy(n->loader)) {
        poll_later(n, loader_poll_cb);
    } else {
        checkpoints_stop(n->priv->checkpoints, checkpoints_at_rest);
    }
}

/* ---- connections ---- */

static void busy_poll_cb(struct timer *t);

static void busy_run(struct shard *sh, struct call *c)
{
    struct node_step *s = c->user;
    struct node_priv *p = s->node->priv;
    if (p->failing || shard_now_ms(sh) >= p->give_up_ms) {
        conn_close_all(sh, false);
    }
    s->busy = conn_count(sh) > 0 || partition_manager_busy(node_shard_of(sh)->partitions);
    call_finish(sh, c);
}

static void busy_known(struct node *n)
{
    for (unsigned i = 0; i < n->data_shards; i++) {
        if (n->priv->steps[i].busy) {
            poll_later(n, busy_poll_cb);
            return;
        }
    }
    metadata_loader_stop(n->loader);
    loader_poll_cb(&(struct timer){.user = n});
}

static void busy_poll_cb(struct timer *t)
{
    node_on_all_shards(t->user, busy_run, busy_known);
}

static void drain_run(struct shard *sh, struct call *c)
{
    group_host_stop(node_shard_of(sh)->groups);
    partition_manager_stop(node_shard_of(sh)->partitions);
    request_pool_stop(node_shard_of(sh)->requests);
    conn_close_all(sh, true);
    call_finish(sh, c);
}

static void drained(struct node *n)
{
    node_on_all_shards(n, busy_run, busy_known);
}

void node_on_fenced_for_stop(struct node *n)
{
    node_on_all_shards(n, drain_run, drained);
}

/* ---- the beginning ---- */

/* The start has not come as far as the broker: there is little to take down, and no log was
 * touched, whatever the reason is. */
static void stop_early(struct node *n)
{
    close_dirs(n, -1, n->failed_dirs);
    close_channels(n);
}

static void steps_poll_cb(struct timer *t)
{
    struct node *n = t->user;
    struct node_priv *p = n->priv;
    if (p->steps_out > 0 || monitor_busy(n) ||
        (n->config->is_controller && p->controller.call.user)) {
        poll_later(n, steps_poll_cb); /* a step of the start is still out */
    } else if (n->lifecycle == NULL) {
        stop_early(n);
    } else if (p->failing || !p->accepting) {
        node_on_fenced_for_stop(n);
    } else {
        lifecycle_begin_stop(n->lifecycle);
    }
}

void node_stop_begin(struct node *n)
{
    struct node_priv *p = n->priv;
    if (p->stopping || p->state == NODE_STOPPED || p->state == NODE_FAILED) {
        return;
    }
    p->stopping = true;
    p->give_up_ms = now(n) + n->config->v.shutdown_timeout_ms;
    if (!p->failing) {
        log_info(n->log, "node", "stopping node=%" PRId32, n->id);
    }
    node_set_state(n, NODE_STOPPING);
    if (n->listeners) {
        listeners_close(n->listeners);
    }
    poll_later(n, steps_poll_cb);
}
