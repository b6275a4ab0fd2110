#include "broker/node.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/api/produce_turn.h"
#include "broker/dir_assign.h"
#include "broker/disk_room.h"
#include "broker/fetch_session.h"
#include "broker/fetch_wait.h"
#include "broker/append.h"
#include "broker/forward.h"
#include "broker/group_host.h"
#include "broker/group_route.h"
#include "broker/lifecycle.h"
#include "broker/dynamic_config.h"
#include "broker/listener.h"
#include "broker/messages.h"
#include "broker/metadata_loader.h"
#include "broker/monitor/monitor.h"
#include "broker/node_priv.h"
#include "broker/partition_manager.h"
#include "broker/producer_ids.h"
#include "broker/replica/alter.h"
#include "broker/replica/standing.h"
#include "broker/request.h"
#include "broker/run_before.h"
#include "broker/shard_stats.h"
#include "controller/channel.h"
#include "controller/image.h"
#include "controller/messages.h"
#include "storage/log_dir.h"

enum {
    FILES_DEFAULT = 8192,
    FILES_LEAST = 64,
    SESSIONS_SHARE = 4, /* fetch sessions may take a fourth of what requests may, beside it */
};

/* ---- small facts ---- */

enum node_state node_state(const struct node *n)
{
    return n->priv->state;
}

const char *node_failure(const struct node *n)
{
    return n->priv->failure;
}

struct shard_group *node_shards(struct node *n)
{
    return n->group;
}

uint16_t node_port(const struct node *n, const char *listener_name)
{
    for (size_t i = 0; i < n->config->listeners.n; i++) {
        const struct listener_config *lc = &n->config->listeners.v[i];
        if (strcmp(lc->name, listener_name) == 0 && lc->controller) {
            return n->priv->controller.ports[i];
        }
    }
    const struct listener *l = n->listeners ? listeners_find(n->listeners, listener_name) : NULL;
    return l ? l->port : 0;
}

unsigned node_home_shard(const struct node *n, struct uuid topic_id, int32_t partition)
{
    uint64_t h = load_be64(topic_id.b) ^ load_be64(topic_id.b + 8);
    h = (h ^ (h >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(((h >> 32) + (uint32_t)partition) % n->data_shards);
}

uint32_t node_file_limit(const struct node *n)
{
    int32_t wanted = n->config->v.open_files_max;
    uint32_t each = (uint32_t)(wanted > 0 ? wanted : FILES_DEFAULT) / n->data_shards;
    return each > FILES_LEAST ? each : FILES_LEAST;
}

void node_set_state(struct node *n, enum node_state s)
{
    n->priv->state = s;
    monitor_tell_state(n);
    if (n->priv->opt.on_state) {
        n->priv->opt.on_state(n->priv->opt.user, n, s);
    }
}

/* ---- steps over all data shards ---- */

static void step_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct node *n = ((struct node_step *)c->user)->node;
    ASSERT(n->priv->steps_out > 0);
    if (--n->priv->steps_out == 0) {
        n->priv->steps_next(n);
    }
}

void node_on_all_shards(struct node *n, call_fn *fn, void (*next)(struct node *n))
{
    struct node_priv *p = n->priv;
    ASSERT(p->steps_out == 0);
    p->steps_out = n->data_shards;
    p->steps_next = next;
    for (unsigned i = 0; i < n->data_shards; i++) {
        call_start(node_main(n)->shard, i, &p->steps[i].call, fn, step_done, &p->steps[i]);
    }
}

/* ---- messages ---- */

static void on_msg(struct shard *sh, struct msg *m)
{
    struct node_shard *ns = node_shard_of(sh);
    struct node *n = ns->node;
    if (controller_msg_is(m)) {
        bool here = n->config->is_controller && sh->index == n->controller_shard;
        controller_dispatch(here ? n->controller : NULL, sh, m);
        return;
    }
    switch ((enum broker_msg_kind)m->kind) {
    case MSG_CONN_OPEN:
        listener_on_open(ns, m);
        return;
    case MSG_CONN_CLOSED:
        listener_on_closed(n->listeners, m);
        return;
    case MSG_APPEND:
        append_on_msg(ns, m);
        return;
    case MSG_FETCH_LEG:
    case MSG_FETCH_RECALL:
    case MSG_LEASE:
        fetch_on_msg(ns, m);
        return;
    case MSG_STANDING:
        standing_on_msg(ns, m);
        return;
    case MSG_CALL:
        call_on_msg(sh, m);
        return;
    case MSG_IMAGE:
        metadata_on_image(ns, m);
        return;
    case MSG_GROUP:
    case MSG_GROUP_SEEN:
        group_route_on_msg(ns, m);
        return;
    case MSG_DIR_ASSIGN:
        dir_assign_on_msg(n, m);
        return;
    case MSG_BROKER_END:
        break;
    }
    UNREACHABLE();
}

/* ---- images ---- */

int64_t image_version(const struct node_shard *ns)
{
    return ns->image ? ns->image->offset : -1;
}

bool node_wait_image(struct node_shard *ns, struct msg *m, int64_t image_offset)
{
    if (image_version(ns) >= image_offset) {
        return false;
    }
    list_push_back(&ns->image_wait, &m->node);
    return true;
}

void node_apply_image(struct node_shard *ns, const struct image_delta *d)
{
    ASSERT_ON_SHARD(ns->shard);
    partition_manager_apply(ns->partitions, d);
    group_host_apply(ns->groups, d);
    struct image *old = (struct image *)(uintptr_t)ns->image;
    ns->image = image_get(d->image);
    image_put(old);
    if (ns == node_main(ns->node) && ns->node->listeners &&
        dynamic_config_changed(ns->node->config, d)) {
        listeners_set_limits(ns->node->listeners, ns->image);
    }
    struct list waiting;
    list_init(&waiting);
    struct list *at;
    while ((at = list_pop_front(&ns->image_wait)) != NULL) {
        list_push_back(&waiting, at);
    }
    while ((at = list_pop_front(&waiting)) != NULL) {
        on_msg(ns->shard, LIST_ENTRY(at, struct msg, node));
    }
}

/* ---- failed log directories ---- */

struct dir_failure {
    struct call call;
    struct node *node;
    unsigned dir;
    unsigned out;
    struct call *tell; /* one per data shard */
};

static void tell_run(struct shard *sh, struct call *c)
{
    struct dir_failure *f = c->user;
    partition_manager_dir_failed(node_shard_of(sh)->partitions, f->dir);
    call_finish(sh, c);
}

static void tell_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    struct dir_failure *f = c->user;
    if (--f->out == 0) {
        mem_free(f->tell);
        mem_free(f);
    }
}

static bool any_dir_left(const struct node *n)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d] && !(n->failed_dirs & (UINT64_C(1) << d))) {
            return true;
        }
    }
    return false;
}

/* Main: marks it, tells the other shards and the controller; without any directory the node ends.
 */
static void dir_failed_on_main(struct node *n, unsigned dir)
{
    uint64_t bit = UINT64_C(1) << dir;
    if (n->failed_dirs & bit) {
        return;
    }
    n->failed_dirs |= bit;
    run_before_forget(n);
    log_error(n->log, "node", "log directory is offline until restart dir=%s",
              n->config->log_dirs[dir]);
    struct dir_failure *f = MEM_NEW(struct dir_failure);
    f->node = n;
    f->dir = dir;
    f->out = n->data_shards;
    f->tell = mem_zalloc(n->data_shards * sizeof *f->tell);
    for (unsigned i = 0; i < n->data_shards; i++) {
        call_start(node_main(n)->shard, i, &f->tell[i], tell_run, tell_done, f);
    }
    if (n->lifecycle) {
        lifecycle_dirs_changed(n->lifecycle);
    }
    if (!any_dir_left(n)) {
        node_fail(n, "every log directory has failed");
    }
}

static void report_run(struct shard *sh, struct call *c)
{
    struct dir_failure *f = c->user;
    dir_failed_on_main(f->node, f->dir);
    call_finish(sh, c);
}

static void report_done(struct shard *sh, struct call *c)
{
    UNUSED(sh);
    mem_free(c->user);
}

void node_dir_failed(struct node_shard *ns, unsigned dir)
{
    struct dir_failure *f = MEM_NEW(struct dir_failure);
    f->node = ns->node;
    f->dir = dir;
    call_start(ns->shard, 0, &f->call, report_run, report_done, f);
}

/* ---- failure and stop ---- */

void node_fail(struct node *n, const char *fmt, ...)
{
    struct node_priv *p = n->priv;
    if (p->failing || p->state == NODE_STOPPED || p->state == NODE_FAILED) {
        return;
    }
    p->failing = true;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->failure, sizeof p->failure, fmt, ap);
    va_end(ap);
    log_error(n->log, "node", "the node stops: %s", p->failure);
    node_stop_begin(n);
}

/* Main: somebody outside wants the node to stop. */
static void on_interrupt(struct shard *sh)
{
    node_stop_begin(node_shard_of(sh)->node);
}

void node_stop(struct node *n)
{
    shard_interrupt(node_main(n)->shard);
}

/* ---- shards ---- */

static uint32_t random_cb(void *ctx)
{
    struct node_shard *ns = ctx;
    uint32_t r;
    io_random(ns->shard->io, &r, sizeof r);
    return r;
}

static void begin_task(struct task *t)
{
    node_start_begin(t->user);
}

static int shard_start(struct shard *sh, void *user)
{
    struct node *n = user;
    struct node_shard *ns = &n->shards[sh->index];
    sh->user = ns;
    sh->on_msg = on_msg;
    ns->shard = sh;
    io_random(sh->io, &ns->map_secret, sizeof ns->map_secret);
    if (sh->index >= n->data_shards) {
        return 0; /* the controller's, the monitor's */
    }
    sh->budget.limit = n->config->request_memory / n->data_shards;
    ns->requests = request_pool_new(ns);
    ns->stats = shard_stats_new(request_slots());
    if (n->config->is_broker) {
        uint32_t slots = (uint32_t)n->config->v.max_incremental_fetch_session_cache_slots;
        ns->partitions = partition_manager_new(ns);
        ns->alter = isr_alter_new(ns);
        ns->groups = group_host_new(ns);
        ns->produce_turn = produce_turn_new(ns);
        ns->sessions = fetch_sessions_new(
            ns->index, n->data_shards, (slots + n->data_shards - 1) / n->data_shards,
            (size_t)sh->budget.limit / SESSIONS_SHARE, &ns->map_secret, random_cb, ns);
    }
    if (sh->index == 0) {
        sh->on_interrupt = on_interrupt;
        task_init(&n->priv->begin, begin_task, n);
        shard_defer(sh, &n->priv->begin);
    }
    return 0;
}

/* What main alone has; it is there already when the node stopped in order. */
static void free_main(struct node *n)
{
    timer_cancel(node_main(n)->shard, &n->priv->poll);
    if (n->loader) {
        metadata_loader_stop(n->loader);
    }
    checkpoints_free(n->priv->checkpoints);
    lifecycle_free(n->lifecycle);
    disk_room_free(n->room);
    producer_ids_free(n->producer_ids);
    dir_assign_free(n->dir_assign);
    if (n->listeners) {
        listeners_close(n->listeners);
    }
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (n->log_dirs[d]) {
            log_dir_close(n->log_dirs[d], false, -1);
            n->log_dirs[d] = NULL;
        }
    }
}

static void shard_stop(struct shard *sh, void *user)
{
    struct node *n = user;
    struct node_shard *ns = &n->shards[sh->index];
    if (n->monitor && sh->index == n->monitor_shard) {
        monitor_end(n->monitor);
        return;
    }
    if (sh->index >= n->data_shards) {
        node_controller_close(n);
        return;
    }
    if (ns->partitions && !ns->partitions->stopping) {
        group_host_stop(ns->groups);
        partition_manager_stop(ns->partitions);
    }
    conn_close_all(sh, false);
    produce_turn_free(ns->produce_turn);
    request_pool_free(ns->requests);
    isr_alter_free(ns->alter);
    if (ns->channel) {
        auto_create_free(ns);
        channel_close(ns->channel);
    }
    if (sh->index == 0) {
        free_main(n);
    }
    fetch_sessions_free(ns->sessions);
    group_host_free(ns->groups);
    partition_manager_free(ns->partitions);
    image_put((struct image *)(uintptr_t)ns->image);
    shard_stats_free(ns->stats);
}

/* ---- life ---- */

static int make_io(void *ctx, unsigned shard_index, struct io **out, struct errmsg *em)
{
    UNUSED(shard_index);
    const struct node *n = ctx;
    return io_create(n->priv->backend, out, em);
}

static int choose_backend(struct node *n, struct errmsg *em)
{
    const char *name = n->config->v.io_backend;
    enum io_backend wanted = strcmp(name, "io_uring") == 0 ? IO_BACKEND_URING
                             : strcmp(name, "libuv") == 0  ? IO_BACKEND_UV
                                                           : IO_BACKEND_AUTO;
    struct errmsg why = {{0}};
    int err = io_probe(wanted, &n->priv->backend, &why);
    if (err) {
        return errmsg_set(em, err, "io.backend=%s: %s", name, why.text);
    }
    log_info(n->log, "node", "%s", why.text);
    return 0;
}

struct node *node_new(const struct node_options *o, struct errmsg *em)
{
    struct node *n = MEM_NEW(struct node);
    struct node_priv *p = MEM_NEW(struct node_priv);
    n->priv = p;
    p->opt = *o;
    n->config = o->config;
    n->log = o->log;
    n->id = n->config->node_id;
    n->inline_shards = o->inline_shards;
    n->deep_validation = strcmp(n->config->v.produce_validation, "deep") == 0;
    n->data_shards = n->config->is_broker ? n->config->data_shards : 1;
    n->controller_shard = n->data_shards;
    if (o->make_io == NULL && choose_backend(n, em)) {
        goto err_options;
    }
    unsigned shards = n->data_shards + (n->config->is_controller ? 1 : 0);
    n->monitor = monitor_new(n, o->http);
    n->monitor_shard = shards;
    shards += n->monitor ? 1 : 0;
    n->shards = mem_zalloc((n->data_shards + 2) * sizeof *n->shards);
    p->steps = mem_zalloc(n->data_shards * sizeof *p->steps);
    for (unsigned i = 0; i < n->data_shards + 2; i++) {
        n->shards[i].node = n;
        n->shards[i].index = i;
        list_init(&n->shards[i].image_wait);
        list_init(&n->shards[i].lent_requests);
        if (i < n->data_shards) {
            p->steps[i].node = n;
        }
    }
    struct shard_hooks hooks = {.start = shard_start, .stop = shard_stop, .user = n};
    n->group = shard_group_new(shards, n->log, o->make_io ? o->make_io : make_io,
                               o->make_io ? o->make_io_ctx : n, &hooks);
    return n;

err_options:
    n->config = NULL; /* stays the caller's */
    mem_free(p);
    mem_free(n);
    return NULL;
}

int node_start(struct node *n, struct errmsg *em)
{
    n->priv->state = NODE_STARTING;
    n->priv->started = true; /* before: afterwards the shards run, and all is theirs */
    int err =
        n->inline_shards ? shard_group_start_inline(n->group, em) : shard_group_start(n->group, em);
    if (err) {
        n->priv->started = false;
    }
    return err;
}

void node_free(struct node *n)
{
    if (n == NULL) {
        return;
    }
    struct node_priv *p = n->priv;
    if (p->started) {
        shard_group_stop(n->group);
        shard_group_join(n->group);
    }
    shard_group_free(n->group);
    metadata_loader_free(n->loader);
    listeners_free(n->listeners);
    for (unsigned i = 0; i < n->data_shards; i++) {
        checkpoint_rows_free(&p->steps[i].rows);
        request_free_lent(&n->shards[i]);
    }
    monitor_free(n->monitor);
    mem_free(n->log_dirs);
    mem_free(n->shards);
    mem_free(p->steps);
    mem_free(p->news);
    config_free(n->config);
    mem_free(p);
    mem_free(n);
}
