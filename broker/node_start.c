/* The steps of a start, on main, each calling the next:
 *
 *     log directories (node_dirs.c) -> client listeners bound -> the monitor listens -> controller
 *     -> channels of all data shards -> loader and lifecycle run -> caught up (partitions are open)
 *     -> unfenced -> accepting
 *
 * A step that fails calls node_fail with a sentence; the stop's steps take down what there is. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/dir_assign.h"
#include "broker/disk_room.h"
#include "broker/lifecycle.h"
#include "broker/listener.h"
#include "broker/metadata_loader.h"
#include "broker/monitor/monitor.h"
#include "broker/node_priv.h"
#include "broker/partition_manager.h"
#include "broker/producer_ids.h"
#include "controller/image.h"
#include "storage/log_dir.h"

/* ---- from unfenced backwards ---- */

void node_on_unfenced(struct node *n)
{
    struct node_priv *p = n->priv;
    if (p->stopping || p->accepting) {
        return;
    }
    p->accepting = true;
    listeners_accept(n->listeners);
    log_info(n->log, "node", "ready node=%" PRId32 " cluster_id=%s shards=%u", n->id, n->cluster_id,
             n->data_shards);
    node_set_state(n, NODE_RUNNING);
}

/* Does the metadata give this directory's partition to this broker? */
static bool is_assigned(const struct node *n, const struct log_dir_entry *e)
{
    const struct image_topic *t = image_topic_by_name(node_main(n)->image, bytes_str(e->topic));
    const struct image_partition *p = t ? image_partition(t, e->partition) : NULL;
    for (uint32_t i = 0; p && i < p->replicas_n; i++) {
        if (p->replicas[i] == n->id) {
            return true;
        }
    }
    return false;
}

/* A partition directory that the metadata does not assign here is renamed and kept, as Kafka does:
 * somebody may still want its data. */
static void set_aside(struct node *n, const struct log_dir *dir, const struct log_dir_entry *e)
{
    struct errmsg em = {{0}};
    struct log_config lc;
    log_config_default(&lc);
    struct plog_open_args a = {.dir_index = dir->index,
                               .dir_path = dir->path,
                               .name = e->name,
                               .config = &lc,
                               .clean = true};
    struct plog *log;
    int err = plog_open(&node_main(n)->partitions->store, &a, &log, &em);
    if (err == 0) {
        err = plog_make_stray(log);
    }
    log_warn(n->log, "node",
             "a partition directory that the metadata does not assign to this broker is set aside "
             "dir=%s name=%s result=\"%s\"",
             dir->path, e->name, err ? err_text(err) : "renamed to -stray");
}

/* What lies in the directories beside this broker's partitions. */
static void tidy_dirs(struct node *n)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        struct log_dir *dir = n->log_dirs[d];
        for (size_t i = 0; dir && i < dir->entry_count; i++) {
            const struct log_dir_entry *e = &dir->entries[i];
            if (e->kind == LOG_DIR_PLAIN && !is_assigned(n, e)) {
                set_aside(n, dir, e);
            } else if (e->kind == LOG_DIR_DELETE ||
                       (e->kind == LOG_DIR_FUTURE && !is_assigned(n, e))) {
                char path[4096];
                snprintf(path, sizeof path, "%s/%s", dir->path, e->name);
                log_store_delete_later(&node_main(n)->partitions->store, d, path, true, 0);
            }
        }
        if (dir) {
            log_dir_all_open(dir);
        }
    }
}

void node_on_caught_up(struct node *n)
{
    if (n->priv->stopping) {
        return;
    }
    tidy_dirs(n);
    checkpoints_start(n->priv->checkpoints);
    producer_ids_start(n->producer_ids);
    lifecycle_ready(n->lifecycle);
}

static void tell_full_dirs(struct node *n)
{
    if (n->lifecycle) {
        lifecycle_dirs_changed(n->lifecycle);
    }
}

/* All data shards have their channels. */
static void start_broker(struct node *n)
{
    struct node_priv *p = n->priv;
    if (p->stopping) {
        return;
    }
    p->shards_have_channels = true;
    p->checkpoints = checkpoints_new(n);
    n->producer_ids = producer_ids_new(node_main(n));
    n->dir_assign = dir_assign_new(n);
    n->loader = metadata_loader_new(n);
    n->room = disk_room_new(n, tell_full_dirs);
    n->lifecycle = lifecycle_new(n);
    metadata_loader_start(n->loader);
    if (config_learns_voters(n->config) && !n->config->is_controller) {
        lifecycle_hold(n->lifecycle);
    }
    lifecycle_start(n->lifecycle);
}

static void channel_run(struct shard *sh, struct call *c)
{
    struct node_shard *ns = node_shard_of(sh);
    ns->channel = node_channel_new(ns);
    call_finish(sh, c);
}

static void controller_is_up(struct node *n)
{
    struct node_priv *p = n->priv;
    if (p->controller.err) {
        node_fail(n, "%s", p->controller.em.text);
        return;
    }
    if (p->stopping) {
        return;
    }
    if (n->config->is_broker) {
        node_on_all_shards(n, channel_run, start_broker);
        return;
    }
    p->accepting = true;
    log_info(n->log, "node", "ready node=%" PRId32 " cluster_id=%s role=controller", n->id,
             n->cluster_id);
    node_set_state(n, NODE_RUNNING);
}

static void monitor_is_up(struct node *n, const char *failure)
{
    if (failure) {
        node_fail(n, "%s", failure);
    } else if (n->priv->stopping) {
        return;
    } else if (n->config->is_controller) {
        node_controller_start(n, controller_is_up);
    } else {
        controller_is_up(n);
    }
}

void node_start_begin(struct node *n)
{
    struct errmsg em = {{0}};
    node_set_state(n, NODE_STARTING);
    if (n->priv->stopping || !node_open_dirs(n)) {
        return;
    }
    if (n->config->is_broker) {
        n->listeners = listeners_open(n, node_main(n)->shard, &em);
        if (n->listeners == NULL) {
            node_fail(n, "%s", em.text);
            return;
        }
    }
    monitor_start(n, monitor_is_up);
}
