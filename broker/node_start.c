/* The steps of a start, on main, each calling the next:
 *
 *     log directories -> client listeners bound -> controller -> channels of all data shards
 *       -> loader and lifecycle run -> caught up (partitions are open) -> unfenced -> accepting
 *
 * A step that fails calls node_fail with a sentence; the stop's steps take down what there is. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/dir_assign.h"
#include "broker/lifecycle.h"
#include "broker/listener.h"
#include "broker/metadata_loader.h"
#include "broker/node_priv.h"
#include "broker/partition_manager.h"
#include "broker/producer_ids.h"
#include "controller/format.h"
#include "controller/image.h"
#include "storage/log_dir.h"

/* ---- log directories ---- */

/* The first directory that has meta.properties sets what the others must agree with. */
static const struct meta_properties *first_meta(const struct node *n, const char **path)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d] && n->log_dirs[d]->has_meta) {
            *path = n->log_dirs[d]->path;
            return &n->log_dirs[d]->meta;
        }
    }
    return NULL;
}

static bool check_meta(struct node *n, const struct log_dir *dir,
                       const struct meta_properties *first, const char *first_path)
{
    if (dir->meta.node_id != n->id) {
        node_fail(n, "%s belongs to node %" PRId32 ", but node.id is %" PRId32, dir->path,
                  dir->meta.node_id, n->id);
        return false;
    }
    if (strcmp(dir->meta.cluster_id, first->cluster_id) != 0) {
        node_fail(n, "%s is of cluster %s, but %s is of cluster %s", dir->path,
                  dir->meta.cluster_id, first_path, first->cluster_id);
        return false;
    }
    return true;
}

/* A new, empty disk beside formatted ones: it gets a directory id of its own. */
static bool adopt_dir(struct node *n, struct log_dir *dir, const struct meta_properties *first)
{
    struct io *io = node_main(n)->shard->io;
    dir->meta = *first;
    dir->meta.directory_id = format_random_uuid(io);
    int err = meta_properties_write(io, dir->path, &dir->meta);
    if (err) {
        node_fail(n, "%s cannot be formatted: %s", dir->path, err_text(err));
        return false;
    }
    dir->has_meta = true;
    log_info(n->log, "node", "a new log directory was formatted dir=%s", dir->path);
    return true;
}

static bool agree(struct node *n)
{
    const char *first_path = "";
    const struct meta_properties *first = first_meta(n, &first_path);
    if (first == NULL) {
        node_fail(
            n,
            "%s has no meta.properties: format it with `millrace storage format -t CLUSTER-ID "
            "-c FILE`",
            n->config->log_dirs[0]);
        return false;
    }
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        struct log_dir *dir = n->log_dirs[d];
        if (dir == NULL) {
            continue;
        }
        if (dir->has_meta ? !check_meta(n, dir, first, first_path) : !adopt_dir(n, dir, first)) {
            return false;
        }
    }
    snprintf(n->cluster_id, sizeof n->cluster_id, "%s", first->cluster_id);
    return true;
}

/* A directory that is locked, foreign or broken stops the node; one whose disk is ill is left out
 * as long as another works. */
static bool open_dir(struct node *n, unsigned d)
{
    struct errmsg em = {{0}};
    int err = log_dir_open(node_main(n)->shard->io, n->log, d, n->config->log_dirs[d], true,
                           &n->log_dirs[d], &em);
    if (err == ERR_IO && n->config->log_dirs_n > 1) {
        n->log_dirs[d] = NULL;
        n->failed_dirs |= UINT64_C(1) << d;
        log_error(n->log, "node", "log directory is offline until restart dir=%s reason=\"%s\"",
                  n->config->log_dirs[d], em.text);
        return true;
    }
    if (err) {
        n->log_dirs[d] = NULL;
        node_fail(n, "%s", em.text);
        return false;
    }
    return true;
}

static bool open_dirs(struct node *n)
{
    const struct config *c = n->config;
    if (c->log_dirs_n > LOG_STORE_DIRS_MAX) {
        node_fail(n, "log.dirs names %zu directories; at most %d", c->log_dirs_n,
                  LOG_STORE_DIRS_MAX);
        return false;
    }
    if (c->zero) {
        struct errmsg em = {{0}};
        struct format_meta meta;
        bool formatted = false;
        if (format_auto(node_main(n)->shard->io, c->log_dirs[0], n->id, &meta, &formatted, &em)) {
            node_fail(n, "%s", em.text);
            return false;
        }
        if (formatted) {
            log_info(n->log, "node", "formatted dir=%s cluster_id=%s", c->log_dirs[0],
                     meta.cluster_id);
        }
    }
    n->log_dirs_n = (unsigned)c->log_dirs_n;
    n->log_dirs = mem_zalloc(n->log_dirs_n * sizeof *n->log_dirs);
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (!open_dir(n, d)) {
            return false;
        }
    }
    return agree(n);
}

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
            } else if (e->kind == LOG_DIR_DELETE || e->kind == LOG_DIR_FUTURE) {
                char path[4096];
                snprintf(path, sizeof path, "%s/%s", dir->path, e->name);
                log_store_delete_later(&node_main(n)->partitions->store, d, path, true, 0);
            }
        }
        if (dir) {
            log_dir_forget_start(dir);
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
    n->lifecycle = lifecycle_new(n);
    metadata_loader_start(n->loader);
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

void node_start_begin(struct node *n)
{
    struct errmsg em = {{0}};
    node_set_state(n, NODE_STARTING);
    if (n->priv->stopping || !open_dirs(n)) {
        return;
    }
    if (n->config->is_broker) {
        n->listeners = listeners_open(n, node_main(n)->shard, &em);
        if (n->listeners == NULL) {
            node_fail(n, "%s", em.text);
            return;
        }
    }
    if (n->config->is_controller) {
        node_controller_start(n, controller_is_up);
    } else {
        controller_is_up(n);
    }
}
