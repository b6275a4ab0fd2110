#include "broker/group_host.h"

#include <inttypes.h>

#include "base/mem.h"
#include "broker/config.h"
#include "broker/group_route.h"
#include "broker/partition_manager.h"
#include "controller/image.h"
#include "proto_errors.h"

enum {
    RETRY_MS = 5000,          /* after a log that could not be read */
    BATCHES_KEPT = 64,        /* free ones, with their memory up to ... */
    BATCH_BYTES_KEPT = 65536, /* ... this many bytes each */
    RECORD_OVERHEAD = 32,     /* of a record, above key and value: most that its numbers take */
};

static const struct config_values *values(const struct group_host *h)
{
    return &h->ns->node->config->v;
}

static int64_t now(const struct group_host *h)
{
    return shard_now_ms(h->ns->shard);
}

static struct group_event event(const struct group_host *h, enum group_event_kind kind)
{
    return (struct group_event){
        .kind = kind, .now_ms = now(h), .wall_ms = io_wall_ms(h->ns->shard->io)};
}

/* ---- batches ---- */

static struct group_batch *batch_get(struct group_coord *c)
{
    struct group_host *h = c->host;
    struct list *at = list_pop_front(&h->free_batches);
    struct group_batch *b =
        at ? LIST_ENTRY(at, struct group_batch, node) : MEM_NEW(struct group_batch);
    h->free_n -= at != NULL;
    list_init(&b->node);
    b->c = c;
    b->n = 0;
    b->sent = false;
    b->home = false;
    b->code = KE_NONE;
    return b;
}

static void batch_free(struct group_batch *b)
{
    batch_builder_free(&b->builder);
    buf_free(&b->bytes);
    mem_free(b->ops);
    mem_free(b);
}

static void batch_put(struct group_host *h, struct group_batch *b)
{
    if (h->free_n >= BATCHES_KEPT || b->bytes.cap > BATCH_BYTES_KEPT ||
        b->builder.records.cap > BATCH_BYTES_KEPT) {
        batch_free(b);
        return;
    }
    buf_clear(&b->bytes);
    list_push_front(&h->free_batches, &b->node);
    h->free_n++;
}

/* The records that are added to the batch next are op's. */
static void batch_add_op(struct group_batch *b, struct group_op *op)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->ops = mem_realloc(b->ops, b->cap * sizeof *b->ops);
    }
    b->ops[b->n++] = (struct group_batch_op){op, b->builder.count};
}

/* ---- writes: from the core into batches ---- */

/* The topic's own codec goes before that of the coordinator, as for every writer. */
static enum codec codec_of(const struct group_coord *c)
{
    int topic = c->part->topic->config.codec;
    int32_t own = values(c->host)->offsets_topic_compression_codec;
    if (topic != TOPIC_CODEC_PRODUCER) {
        return (enum codec)topic;
    }
    return own > 0 && own < CODEC_COUNT ? (enum codec)own : CODEC_NONE;
}

static void out_of_turn(struct group_coord *c)
{
    if (list_empty(&c->dirty)) {
        list_push_back(&c->host->dirty, &c->dirty);
        shard_defer(c->host->ns->shard, &c->host->send_task);
    }
}

static struct group_batch *open_batch(struct group_coord *c)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    c->open = batch_get(c);
    opt.codec = codec_of(c);
    batch_builder_init(&c->open->builder, &opt);
    out_of_turn(c);
    return c->open;
}

/* The open batch takes no more: it stands in `out`, behind those before it. */
static void close_batch(struct group_coord *c)
{
    list_push_back(&c->out, &c->open->node);
    c->open = NULL;
}

/* What is too large for the topic never goes out; it comes back in its turn. */
static void refuse_write(struct group_coord *c, struct group_op *op)
{
    if (c->open) {
        close_batch(c);
    }
    struct group_batch *b = batch_get(c);
    batch_add_op(b, op);
    b->home = true;
    b->code = KE_MESSAGE_TOO_LARGE;
    list_push_back(&c->out, &b->node);
    out_of_turn(c);
}

static void take_write(struct group_coord *c, const struct group_write *w, int64_t wall_ms)
{
    size_t most = (size_t)c->part->topic->config.max_message_bytes;
    size_t size = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        size += RECORD_OVERHEAD + w->records[i].key.len + w->records[i].value.len;
    }
    if (BATCH_HEADER_SIZE + size > most) {
        refuse_write(c, w->op);
        return;
    }
    if (c->open && batch_builder_size(&c->open->builder) + size > most) {
        close_batch(c);
    }
    struct group_batch *b = c->open ? c->open : open_batch(c);
    batch_add_op(b, w->op);
    for (uint32_t i = 0; i < w->n; i++) {
        batch_builder_add(&b->builder, wall_ms, w->records[i].key, w->records[i].value, NULL, 0);
    }
}

/* ---- effects ---- */

/* Until group_host_release effects are collected: several steps in a row, or a step inside the
 * answer of another. */
static void hold(struct group_host *h)
{
    h->held++;
}

static void say_lines(struct group_host *h)
{
    const struct logger *lg = h->ns->node->log;
    struct list *at;
    for (unsigned k = 0; k < GROUP_LINE_KINDS; k++) {
        h->lines[k].dropped += group_effects_left_out(&h->fx, k);
    }
    while ((at = list_pop_front(&h->fx.lines)) != NULL) {
        const struct group_line *l = LIST_ENTRY(at, struct group_line, node);
        if (l->kind == GROUP_LINE_OWN) {
            log_info(lg, "group", "%s", l->text);
        } else {
            log_limited(lg, &h->lines[l->kind], l->kind == GROUP_LINE_WARNING ? LOG_WARN : LOG_INFO,
                        "group", "%s", l->text);
        }
    }
}

static void release(struct group_host *h)
{
    ASSERT(h->held > 0);
    if (h->held > 1) {
        h->held--;
        return;
    }
    struct list *at;
    while ((at = list_pop_front(&h->fx.replies)) != NULL) {
        /* may ask the next thing at once: held */
        group_route_reply(h->ns, LIST_ENTRY(at, struct group_ask, node));
    }
    say_lines(h);
    group_effects_reset(&h->fx);
    h->held = 0;
}

static void arm(struct group_host *h, int64_t at_ms)
{
    if (at_ms != INT64_MAX && (!timer_is_set(&h->timer) || at_ms < h->timer.deadline_ms)) {
        timer_set(h->ns->shard, &h->timer, at_ms);
    }
}

static void count_memory(struct group_coord *c)
{
    uint64_t bytes = group_coordinator_counts(c->core).bytes;
    c->host->bytes += bytes - c->bytes;
    c->bytes = bytes;
}

/* What was done to the core: its writes go into batches before any other core is asked. */
static void take_effects(struct group_coord *c, int64_t wall_ms)
{
    struct group_host *h = c->host;
    struct list *at;
    while ((at = list_pop_front(&h->fx.writes)) != NULL) {
        take_write(c, LIST_ENTRY(at, struct group_write, node), wall_ms);
    }
    count_memory(c);
    arm(h, group_coordinator_deadline(c->core));
}

/* Effects are held by the caller. */
static void step(struct group_coord *c, const struct group_event *ev)
{
    struct group_host *h = c->host;
    ASSERT(h->held > 0 && !h->stepping);
    uint64_t others = h->bytes - c->bytes;
    c->config.memory_max = others < h->memory_max ? h->memory_max - others : 0;
    h->stepping = true;
    group_coordinator_step(c->core, ev, &h->fx);
    h->stepping = false;
    take_effects(c, ev->wall_ms);
}

/* ---- batches: through the log and back ---- */

/* What has not gone to the log comes back as it is. */
static void fail_unsent(struct group_coord *c, int16_t code)
{
    if (c->open) {
        close_batch(c);
    }
    list_for_each (at, &c->out) {
        struct group_batch *b = LIST_ENTRY(at, struct group_batch, node);
        if (!b->sent && !b->home) {
            b->home = true;
            b->code = code;
        }
    }
}

static void forget_core(struct group_coord *c)
{
    ASSERT(list_empty(&c->out) && c->open == NULL);
    if (c->core) {
        group_coordinator_free(c->core);
    }
    c->core = NULL;
    c->host->bytes -= c->bytes;
    c->bytes = 0;
}

static void begin_load(struct group_coord *c)
{
    c->state = GROUP_COORD_LOADING;
    c->core = group_coordinator_new(&c->config, &c->host->ns->map_secret);
    group_load_start(c);
}

/* Everything that is home at the front is told to the core. */
static void deliver(struct group_coord *c)
{
    struct group_host *h = c->host;
    struct group_event ev = event(h, GROUP_WRITTEN);
    hold(h);
    while (!list_empty(&c->out)) {
        struct group_batch *b = LIST_ENTRY(c->out.next, struct group_batch, node);
        if (!b->home) {
            break;
        }
        list_remove(&b->node);
        ev.code = b->code;
        for (uint32_t i = 0; i < b->n; i++) {
            ev.op = b->ops[i].op;
            ev.offset = ev.code ? -1 : b->item.batch.base_offset + b->ops[i].first;
            step(c, &ev);
        }
        batch_put(h, b);
    }
    release(h);
}

/* Who waits at the core is answered, and it is gone. Nothing is under way any more; what a step of
 * the end still wants to write fails as well. */
static void end_core(struct group_coord *c, int16_t write_code)
{
    struct group_host *h = c->host;
    struct group_event ev = event(h, GROUP_UNLOAD);
    ev.code = KE_NOT_COORDINATOR;
    hold(h);
    do {
        fail_unsent(c, write_code);
        deliver(c);
    } while (c->open || !list_empty(&c->out));
    step(c, &ev);
    ASSERT(c->open == NULL && list_empty(&c->out));
    list_remove(&c->dirty);
    forget_core(c);
    release(h);
}

/* A write may be in the log or not: what the log says is read when no write is out. */
static void reload_if_unknown(struct group_coord *c)
{
    if (c->state == GROUP_COORD_UNKNOWN && list_empty(&c->out)) {
        end_core(c, KE_REQUEST_TIMED_OUT);
        log_warn(
            c->host->ns->node->log, "group",
            "a write was not acknowledged in time: the coordinator is loaded anew partition=%s "
            "setting=offsets.commit.timeout.ms",
            plog_name(c->part->log));
        begin_load(c);
    }
}

static void batch_home(struct node_shard *ns, struct append_msg *m)
{
    UNUSED(ns);
    struct group_batch *b = m->user;
    struct group_coord *c = b->c;
    b->home = true;
    b->code = b->item.error;
    if (b->code == KE_REQUEST_TIMED_OUT && c->state == GROUP_COORD_ACTIVE) {
        c->state = GROUP_COORD_UNKNOWN;
    }
    deliver(c);
    reload_if_unknown(c);
}

static void send_batch(struct group_coord *c, struct group_batch *b)
{
    struct group_host *h = c->host;
    b->sent = true;
    if (batch_builder_finish(&b->builder, &b->bytes)) {
        b->home = true;
        b->code = KE_UNKNOWN_SERVER_ERROR;
        return;
    }
    b->item = (struct append_item){.topic_id = c->part->topic->id,
                                   .index = c->part->index,
                                   .batch = {.data = b->bytes.data, .len = (uint32_t)b->bytes.len}};
    b->msg = (struct append_msg){.items = &b->item,
                                 .n = 1,
                                 .acks = -1,
                                 .origin = PLOG_COORDINATOR,
                                 .timeout_ms = values(h)->offsets_commit_timeout_ms,
                                 .done = batch_home,
                                 .user = b};
    list_init(&b->msg.m.node);
    append_send(h->ns, h->ns->index, &b->msg);
}

/* Looked for anew each time: what is refused at once takes its neighbours along when it is home. */
static struct group_batch *first_unsent(const struct group_coord *c)
{
    list_for_each (at, &c->out) {
        struct group_batch *b = LIST_ENTRY(at, struct group_batch, node);
        if (!b->sent && !b->home) {
            return b;
        }
    }
    return NULL;
}

static void send_batches(struct group_coord *c)
{
    struct group_batch *b;
    if (c->open) {
        close_batch(c);
    }
    while ((b = first_unsent(c)) != NULL) {
        send_batch(c, b);
    }
    deliver(c); /* what was refused without an append */
    reload_if_unknown(c);
}

static void send_task(struct task *t)
{
    struct group_host *h = t->user;
    struct list *at;
    while ((at = list_pop_front(&h->dirty)) != NULL) {
        send_batches(LIST_ENTRY(at, struct group_coord, dirty));
    }
}

/* ---- loaded, or not ---- */

static void tell_gone(struct group_coord *c);

void group_host_loaded(struct group_coord *c)
{
    struct group_host *h = c->host;
    int64_t wall_ms = io_wall_ms(h->ns->shard->io);
    c->state = GROUP_COORD_ACTIVE;
    c->expire_ms = now(h) + values(h)->offsets_retention_check_interval_ms;
    hold(h);
    group_coordinator_loaded(c->core, now(h), wall_ms, &h->fx);
    take_effects(c, wall_ms);
    tell_gone(c);
    struct group_counts n = group_coordinator_counts(c->core);
    enum log_level level = c->load.batches || n.skipped_records ? LOG_INFO : LOG_DEBUG;
    log_write(h->ns->node->log, n.skipped_records ? LOG_WARN : level, "group",
              "the group coordinator is loaded partition=%s groups=%" PRIu64 " offsets=%" PRIu64
              " unreadable_records=%" PRIu64 " ms=%" PRId64,
              plog_name(c->part->log), n.groups, n.offsets, n.skipped_records,
              now(h) - c->load.started_ms);
    arm(h, c->expire_ms);
    release(h);
}

void group_host_load_failed(struct group_coord *c, const char *why)
{
    struct group_host *h = c->host;
    log_limited(
        h->ns->node->log, &h->failures, LOG_ERROR, "group",
        "the group coordinator cannot be loaded, its groups wait partition=%s offset=%" PRId64
        " reason=\"%s\" next_try_ms=%d",
        plog_name(c->part->log), c->load.next, why, RETRY_MS);
    group_load_stop(c);
    forget_core(c);
    c->state = GROUP_COORD_FAILED;
    c->retry_ms = now(h) + RETRY_MS;
    arm(h, c->retry_ms);
}

/* ---- leadership ---- */

static void begin(struct group_host *h, struct partition *p)
{
    struct group_coord *c = MEM_NEW(struct group_coord);
    c->host = h;
    c->part = p;
    c->config = h->config;
    c->config.memory_max = h->memory_max;
    list_init(&c->dirty);
    list_init(&c->out);
    list_init(&c->load.node);
    list_init(&c->load.gone);
    list_push_back(&h->all, &c->all);
    p->group = c;
    begin_load(c);
}

static void forget_gone(struct group_coord *c)
{
    struct list *at;
    while ((at = list_pop_front(&c->load.gone)) != NULL) {
        mem_free(LIST_ENTRY(at, struct group_gone, node));
    }
}

static void end(struct group_coord *c)
{
    bool was_active = c->state == GROUP_COORD_ACTIVE || c->state == GROUP_COORD_UNKNOWN;
    c->state = GROUP_COORD_CLOSING;
    if (was_active) {
        end_core(c, KE_NOT_LEADER_OR_FOLLOWER);
    } else {
        group_load_stop(c);
        forget_core(c);
    }
    forget_gone(c);
    list_remove(&c->all);
    c->part->group = NULL;
    mem_free(c);
}

static bool is_coordinators(const struct partition *p)
{
    return strcmp(p->topic->name, GROUP_TOPIC) == 0;
}

void group_host_look(struct partition *p)
{
    struct group_host *h = p->pm->ns->groups;
    bool wanted = p->is_leader && !p->offline && !p->gone;
    if (p->group && !wanted) {
        end(p->group);
    } else if (p->group == NULL && wanted && h && !h->stopping && is_coordinators(p)) {
        begin(h, p);
    }
}

void group_host_advanced(struct partition *p)
{
    if (p->group->state == GROUP_COORD_LOADING) {
        group_load_advanced(p->group);
    }
}

/* ---- topics that go ---- */

static void tell_topic_gone(struct group_coord *c, struct bytes name, struct uuid id)
{
    struct group_event ev = event(c->host, GROUP_TOPIC_GONE);
    ev.topic = name;
    ev.topic_id = id;
    step(c, &ev);
}

/* Deleted while it was loading. */
static void tell_gone(struct group_coord *c)
{
    list_for_each (at, &c->load.gone) {
        const struct group_gone *g = LIST_ENTRY(at, struct group_gone, node);
        tell_topic_gone(c, bytes_of(g->name, g->len), g->id);
    }
    forget_gone(c);
}

static void note_gone(struct group_coord *c, const struct image_topic *t)
{
    struct group_gone *g = mem_alloc(sizeof *g + t->name.len);
    g->id = t->id;
    g->len = t->name.len;
    memcpy(g->name, t->name.data, t->name.len);
    list_push_back(&c->load.gone, &g->node);
}

void group_host_apply(struct group_host *h, const struct image_delta *d)
{
    ASSERT_ON_SHARD(h->ns->shard);
    hold(h);
    for (uint32_t i = 0; i < d->topics_n; i++) {
        const struct image_topic *t = d->topics[i].before;
        if (t == NULL || d->topics[i].after) {
            continue;
        }
        list_for_each (at, &h->all) {
            struct group_coord *c = LIST_ENTRY(at, struct group_coord, all);
            if (c->state == GROUP_COORD_ACTIVE) {
                tell_topic_gone(c, t->name, t->id);
            } else if (c->state != GROUP_COORD_CLOSING) {
                note_gone(c, t);
            }
        }
    }
    release(h);
}

/* ---- time ---- */

static void expire(struct group_coord *c)
{
    struct group_event ev = event(c->host, GROUP_EXPIRE);
    c->expire_ms = ev.now_ms + values(c->host)->offsets_retention_check_interval_ms;
    step(c, &ev);
}

static int64_t next_due(const struct group_coord *c)
{
    if (c->state == GROUP_COORD_FAILED) {
        return c->retry_ms;
    }
    if (c->state != GROUP_COORD_ACTIVE) {
        return INT64_MAX;
    }
    int64_t core = group_coordinator_deadline(c->core);
    return core < c->expire_ms ? core : c->expire_ms;
}

static void tick(struct group_coord *c, bool *expired)
{
    struct group_event ev = event(c->host, GROUP_TICK);
    if (c->state == GROUP_COORD_FAILED) {
        begin_load(c);
        return;
    }
    if (group_coordinator_deadline(c->core) <= ev.now_ms) {
        step(c, &ev);
    }
    if (c->expire_ms <= ev.now_ms && !*expired) { /* it looks at every offset: one a turn */
        *expired = true;
        expire(c);
    }
}

static void timer_due_cb(struct timer *t)
{
    struct group_host *h = t->user;
    int64_t at_ms = now(h);
    int64_t next = INT64_MAX;
    bool expired = false;
    hold(h);
    list_for_each (at, &h->all) {
        struct group_coord *c = LIST_ENTRY(at, struct group_coord, all);
        if (next_due(c) <= at_ms) {
            tick(c, &expired);
        }
        int64_t due = next_due(c);
        next = due < next ? due : next;
    }
    arm(h, next);
    release(h);
}

/* ---- questions ---- */

int16_t group_host_code(const struct group_host *h, const struct partition *p)
{
    if (h == NULL || h->stopping) {
        return KE_COORDINATOR_NOT_AVAILABLE;
    }
    if (p == NULL || p->group == NULL) {
        return KE_NOT_COORDINATOR;
    }
    switch (p->group->state) {
    case GROUP_COORD_ACTIVE:
        return KE_NONE;
    case GROUP_COORD_LOADING:
    case GROUP_COORD_UNKNOWN:
        return KE_COORDINATOR_LOAD_IN_PROGRESS;
    case GROUP_COORD_FAILED:
    case GROUP_COORD_CLOSING:
        return KE_NOT_COORDINATOR;
    }
    UNREACHABLE();
}

static struct uuid fresh(struct group_host *h)
{
    struct uuid id;
    uint8_t random[16];
    do {
        io_random(h->ns->shard->io, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}

bool group_host_ask(struct partition *p, enum group_event_kind kind, struct group_ask *ask)
{
    struct group_coord *c = p->group;
    struct group_host *h = c->host;
    struct group_event ev = event(h, kind);
    ASSERT_ON_SHARD(h->ns->shard);
    ASSERT(c->state == GROUP_COORD_ACTIVE && !h->stopping);
    list_init(&ask->node);
    ev.ask = ask;
    if (kind == GROUP_JOIN) {
        ask->fresh = fresh(h);
    }
    hold(h);
    step(c, &ev);
    bool waits = true;
    list_for_each (at, &h->fx.replies) {
        waits = waits && at != &ask->node;
    }
    release(h);
    return waits;
}

const struct group_coordinator *group_host_core(const struct partition *p)
{
    return p->group->core;
}

/* ---- life ---- */

struct group_host *group_host_new(struct node_shard *ns)
{
    const struct config *config = ns->node->config;
    const struct config_values *v = &config->v;
    struct group_host *h = MEM_NEW(struct group_host);
    h->ns = ns;
    h->config = (struct group_config){
        .session_min_ms = v->group_min_session_timeout_ms,
        .session_max_ms = v->group_max_session_timeout_ms,
        .max_size = v->group_max_size,
        .initial_rebalance_delay_ms = v->group_initial_rebalance_delay_ms,
        .offset_metadata_max = v->offset_metadata_max_bytes,
        .offsets_retention_ms = (int64_t)v->offsets_retention_minutes * 60000,
    };
    h->memory_max = config->group_memory / ns->node->data_shards;
    list_init(&h->all);
    list_init(&h->loading);
    list_init(&h->dirty);
    list_init(&h->free_batches);
    task_init(&h->send_task, send_task, h);
    task_init(&h->load_task, group_load_task_cb, h);
    h->load_timer = (struct timer){.cb = group_load_timer_cb, .user = h};
    h->timer = (struct timer){.cb = timer_due_cb, .user = h};
    group_effects_init(&h->fx);
    return h;
}

void group_host_stop(struct group_host *h)
{
    h->stopping = true;
}

void group_host_free(struct group_host *h)
{
    struct list *at;
    if (h == NULL) {
        return;
    }
    ASSERT(list_empty(&h->all) && h->held == 0);
    timer_cancel(h->ns->shard, &h->load_timer);
    timer_cancel(h->ns->shard, &h->timer);
    list_remove(&h->send_task.node);
    list_remove(&h->load_task.node);
    while ((at = list_pop_front(&h->free_batches)) != NULL) {
        batch_free(LIST_ENTRY(at, struct group_batch, node));
    }
    group_effects_free(&h->fx);
    mem_free(h);
}
