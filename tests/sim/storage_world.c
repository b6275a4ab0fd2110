/* See storage_world.h. */
#include "sim/storage_world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define DATA "/data"

static void dir_failed(void *user, unsigned dir, int err, const char *sentence)
{
    struct sw *w = user;
    UNUSED(dir);
    run_note(w->r, "log directory failed: %s (%s)", sentence, err_text(err));
    w->offline = true;
}

static void due(void *user, int64_t at_ms)
{
    struct sw *w = user;
    w->tick_at_ms = at_ms < w->tick_at_ms ? at_ms : w->tick_at_ms;
}

static void config_draw(struct run *r, struct log_config *c)
{
    log_config_default(c);
    c->segment_bytes = (int64_t)run_between(r, 2000, 60000);
    c->index_interval_bytes = (int64_t)run_between(r, 1, 4096);
    c->segment_index_bytes = run_chance(r, 30) ? (int64_t)run_between(r, 24, 400) : 10485760;
    c->file_delete_delay_ms = run_chance(r, 50) ? 0 : 1000;
    if (run_chance(r, 25)) {
        c->flush_messages = (int64_t)run_between(r, 1, 50);
    }
    if (run_chance(r, 25)) {
        c->flush_ms = (int64_t)run_between(r, 1, 2000);
    }
    c->preallocate = run_chance(r, 15);
}

/* Formats the directory: a thing of the past when the scenario begins. */
static void format(void *arg)
{
    struct sw *w = arg;
    struct meta_properties meta = {.version = 1, .node_id = 1, .cluster_id = "sim"};
    io_random(w->io, meta.directory_id.b, 16);
    RUN_CHECK(w->r, io_mkdir(w->io, DATA) == 0);
    RUN_CHECK(w->r, meta_properties_write(w->io, DATA, &meta) == 0);
    RUN_CHECK(w->r, io_fsync_dir(w->io, "/") == 0);
    RUN_CHECK(w->r, io_fsync_dir(w->io, DATA) == 0);
    io_destroy(w->io);
}

void sw_init(struct sw *w, struct run *r)
{
    *w = (struct sw){.r = r};
    w->host = sim_host_new(r->sim, 64u << 20);
    w->proc = sim_proc_new(w->host);
    io_sim_make(w->proc, 0, &w->io, NULL);
    RUN_CHECK(r, sim_proc_run(w->proc, format, w));
    struct errmsg why;
    RUN_CHECK(r, sim_proc_end(w->proc, &why));
    w->proc = NULL;
    run_apply_mutant(r, w->host);
    w->parts_n = 1 + (unsigned)run_below(r, SW_PARTS_MAX);
    for (unsigned i = 0; i < w->parts_n; i++) {
        struct sw_part *p = &w->parts[i];
        snprintf(p->name, sizeof(p->name), "t%u-%u", i, i);
        p->partition = (int32_t)i;
        p->model.name = p->name;
        p->cut_to = -1;
        config_draw(r, &p->config);
        for (size_t k = 0; k < 16; k++) {
            p->topic_id.b[k] = (uint8_t)prng_next(&r->rng);
        }
        for (int k = 0; k < SW_PRODUCERS; k++) {
            p->producers[k] = (struct sw_producer){.id = 1000 * (i + 1) + k};
        }
    }
}

void sw_free(struct sw *w)
{
    for (unsigned i = 0; i < w->parts_n; i++) {
        log_model_free(&w->parts[i].model);
    }
}

struct within {
    struct sw *w;
    void (*fn)(struct sw *w);
};

static void within_fn(void *arg)
{
    struct within *in = arg;
    in->fn(in->w);
}

bool sw_within(struct sw *w, void (*fn)(struct sw *w))
{
    struct within in = {w, fn};
    return sim_proc_run(w->proc, within_fn, &in);
}

static void turn(struct sw *w)
{
    io_turn(w->io, 0);
    if (io_now_ms(w->io) >= w->tick_at_ms) {
        w->tick_at_ms = log_store_tick(&w->store);
    }
}

bool sw_turns(struct sw *w, int64_t us)
{
    struct sim_clock *clock = &w->r->sim->clock;
    int64_t until = clock->now_us + us;
    for (;;) {
        if (!sw_within(w, turn)) {
            return false;
        }
        int64_t next = sim_clock_next(clock);
        if (w->tick_at_ms != INT64_MAX && w->tick_at_ms * 1000 < next) {
            next = w->tick_at_ms * 1000;
        }
        if (next > until || clock->now_us >= until) {
            clock->now_us = until > clock->now_us ? until : clock->now_us;
            return true;
        }
        clock->now_us = next > clock->now_us ? next : clock->now_us;
        sim_clock_run_due(clock);
    }
}

/* ---- start ---- */

static void open_dir(struct sw *w)
{
    struct log_store_options options = {.file_limit = 16, .file_idle_ms = 5000};
    options.sync_fs_from = run_chance(w->r, 50) ? 1 : 0;
    struct log_store_hooks hooks = {.dir_failed = dir_failed, .due = due, .user = w};
    w->tick_at_ms = INT64_MAX;
    log_store_init(&w->store, w->io, &w->r->log, &options, &hooks);
    w->dir = NULL;
    w->result = log_dir_open(w->io, &w->r->log, 0, DATA, false, &w->dir, &w->em);
}

static const struct log_dir_entry *entry_of(const struct sw *w, const struct sw_part *p)
{
    for (size_t i = 0; i < w->dir->entry_count; i++) {
        if (strcmp(w->dir->entries[i].name, p->name) == 0) {
            return &w->dir->entries[i];
        }
    }
    return NULL;
}

/* A folder without partition.metadata: its making was cut off. The broker then writes it anew. */
static void mend_topic_id(struct sw *w, struct sw_part *p)
{
    char path[64];
    struct uuid id = plog_topic_id(p->log);
    if (uuid_is_zero(id) && !p->must_exist) {
        snprintf(path, sizeof(path), DATA "/%s", p->name);
        w->result = partition_metadata_write(w->io, path, p->topic_id);
    } else if (!uuid_eq(id, p->topic_id)) {
        run_fail(w->r, "%s: another topic id, or none", p->name);
    }
}

static void open_part(struct sw *w)
{
    struct sw_part *p = w->part;
    struct plog_open_args a = {
        .dir_index = 0,
        .dir_path = DATA,
        .name = p->name,
        .config = &p->config,
        .clean = w->dir->clean,
        .recovery_point = offset_table_get(&w->dir->recovery_points, p->name, 0),
        .log_start = offset_table_get(&w->dir->log_starts, p->name, 0),
        .high_watermark = offset_table_get(&w->dir->high_watermarks, p->name, 0),
    };
    if (entry_of(w, p) != NULL) {
        w->result = plog_open(&w->store, &a, &p->log, &w->em);
        if (w->result == 0) {
            w->points_stale |= plog_recovery_point(p->log) < a.recovery_point;
            mend_topic_id(w, p);
        }
    } else if (p->must_exist || p->required > 0) {
        run_fail(w->r, "%s: its folder is gone, %lld was promised", p->name,
                 (long long)p->required);
    } else {
        log_model_truncate_fully(&p->model, 0);
        p->start_max = 0;
        a.log_start = a.high_watermark = a.recovery_point = 0;
        w->result = plog_create(&w->store, &a, p->topic_id, &p->log, &w->em);
    }
}

int sw_read_all(struct sw *w, struct sw_part *p, struct buf *out)
{
    int64_t at = plog_start_offset(p->log);
    int64_t end = plog_end_offset(p->log);
    while (at < end) {
        size_t before = out->len;
        int64_t n = plog_read_copy(p->log, at, 1u << 20, true, end, out);
        if (n < 0) {
            return (int)n;
        }
        if (n == 0) {
            run_fail(w->r, "%s: nothing to read at %lld of %lld", p->name, (long long)at,
                     (long long)end);
        }
        struct bytes rest = {out->data + before, out->len - before};
        struct bytes batch;
        struct batch_header h = {0};
        while (batch_next(&rest, &batch) == 1 && batch_header_read(batch, &h) == 0) {
            at = batch_next_offset(&h);
        }
        out->len -= rest.len; /* a batch that max_bytes cut */
        RUN_CHECK(w->r, out->len > before);
    }
    return 0;
}

void sw_producers_from_model(struct sw_part *p)
{
    for (int k = 0; k < SW_PRODUCERS; k++) {
        struct sw_producer *q = &p->producers[k];
        q->next = 0;
        for (size_t i = p->model.acked.n; i > 0; i--) {
            const struct batch_header *h = &p->model.acked.v[i - 1].h;
            if (h->producer_id == q->id) {
                q->epoch = h->producer_epoch;
                q->next = batch_sequence_add(batch_last_sequence(h), 1);
                break;
            }
        }
    }
}

static void check_part(struct sw *w)
{
    struct sw_part *p = w->part;
    struct buf content = {0};
    w->result = sw_read_all(w, p, &content);
    if (w->result != 0) {
        errmsg_set(&w->em, w->result, "reading %s: %s", p->name, err_text(w->result));
        buf_free(&content);
        return;
    }
    p->model.start = p->start_max;
    log_model_recovered(w->r, &p->model, buf_bytes(&content), plog_start_offset(p->log),
                        plog_end_offset(p->log), p->required);
    buf_free(&content);
    if (p->cut_to >= 0 && plog_start_offset(p->log) == p->cut_to) {
        log_model_truncate_fully(&p->model, p->cut_to); /* the cut had come to its end */
        p->model.durable = 0;
    }
    p->cut_to = -1;
    if (w->after_power_loss) {
        log_model_on_platters(&p->model);
    }
    p->start_max = p->model.start;
    p->sure_from = p->model.end;
    p->created = p->must_exist = true;
    p->open_end = false;
    p->required = p->model.durable;
    sw_producers_from_model(p);
    plog_set_high_watermark(p->log, plog_end_offset(p->log));
    w->result = plog_begin_epoch(p->log, ++p->epoch);
}

static uint64_t trouble(const struct sw *w)
{
    return w->host->disk->stats.eio + w->host->disk->stats.nospace;
}

/* An error is in order only where a fault struck. */
static bool start_failed(struct sw *w)
{
    if (w->result == 0) {
        return false;
    }
    if (trouble(w) == w->trouble) {
        run_fail(w->r, "does not start: %s (%s)", w->em.text, err_text(w->result));
    }
    run_note(w->r, "start refused after a fault: %s (%s)", w->em.text, err_text(w->result));
    return true;
}

bool sw_start(struct sw *w, uint64_t die_in)
{
    w->proc = sim_proc_new(w->host);
    io_sim_make(w->proc, 0, &w->io, NULL);
    sim_proc_die_in(w->proc, die_in);
    w->offline = false;
    w->points_stale = false;
    w->trouble = trouble(w);
    w->em.text[0] = 0;
    bool clean = w->clean;
    w->clean = false; /* whoever starts takes the mark away */
    if (!sw_within(w, open_dir) || start_failed(w)) {
        return false;
    }
    if (clean && !w->dir->clean) {
        run_fail(w->r, "the mark of the clean stop is gone");
    }
    for (unsigned i = 0; i < w->parts_n; i++) {
        w->part = &w->parts[i];
        if (!sw_within(w, open_part) || start_failed(w)) {
            return false;
        }
    }
    for (unsigned i = 0; i < w->parts_n; i++) {
        w->part = &w->parts[i];
        if (!sw_within(w, check_part) || start_failed(w)) {
            return false;
        }
    }
    if (w->points_stale && (!sw_within(w, sw_checkpoint) || start_failed(w))) {
        return false; /* appending before it is replaced would risk what log.h says */
    }
    log_dir_all_open(w->dir);
    w->after_power_loss = w->disk_lost_bytes = false;
    sim_proc_die_in(w->proc, 0);
    return true;
}

/* ---- end ---- */

static void gone(struct sw *w)
{
    for (unsigned i = 0; i < w->parts_n; i++) {
        w->parts[i].log = NULL;
        for (int k = 0; k < SW_FLUSHES; k++) {
            w->parts[i].flushes[k].in_flight = false;
        }
    }
    w->proc = NULL;
    w->io = NULL;
    w->dir = NULL;
}

void sw_end(struct sw *w, enum sw_end how)
{
    if (how == SW_KILL) {
        sim_proc_kill(w->proc);
    } else {
        sim_host_power_loss(w->host);
        sim_host_power_on(w->host);
        w->after_power_loss = true;
    }
    for (unsigned i = 0; i < w->parts_n; i++) {
        struct sw_part *p = &w->parts[i];
        bool all = how == SW_KILL && !w->disk_lost_bytes && !w->after_power_loss;
        p->required = all ? p->model.end : p->model.durable;
        p->must_exist = all ? p->created : p->model.durable > 0;
        if (p->open_end) {
            p->required = 0;
            p->must_exist = false;
        }
    }
    w->clean = w->clean && !w->disk_lost_bytes;
    gone(w);
}

void sw_checkpoint(struct sw *w)
{
    struct offset_table points = {0};
    struct offset_table starts = {0};
    struct offset_table highs = {0};
    char topic[16];
    for (unsigned i = 0; i < w->parts_n; i++) {
        struct sw_part *p = &w->parts[i];
        snprintf(topic, sizeof(topic), "t%u", i);
        offset_table_set(&points, topic, p->partition, plog_recovery_point(p->log));
        offset_table_set(&highs, topic, p->partition, plog_high_watermark(p->log));
        if (plog_start_needs_checkpoint(p->log)) {
            offset_table_set(&starts, topic, p->partition, plog_start_offset(p->log));
        }
    }
    w->result = offset_checkpoint_write(w->io, DATA, CHECKPOINT_RECOVERY_POINT, &points);
    if (w->result == 0) {
        w->result = offset_checkpoint_write(w->io, DATA, CHECKPOINT_REPLICATION, &highs);
    }
    if (w->result == 0) {
        w->result = offset_checkpoint_write(w->io, DATA, CHECKPOINT_LOG_START, &starts);
    }
    offset_table_free(&points);
    offset_table_free(&starts);
    offset_table_free(&highs);
}

static void stop_logs(struct sw *w)
{
    struct plog *logs[SW_PARTS_MAX];
    int results[SW_PARTS_MAX];
    for (unsigned i = 0; i < w->parts_n; i++) {
        logs[i] = w->parts[i].log;
    }
    plog_close_clean_all(&w->store, logs, w->parts_n, results);
    w->result = 0;
    for (unsigned i = 0; i < w->parts_n && w->result == 0; i++) {
        w->result = results[i];
    }
    if (w->result == 0) {
        sw_checkpoint(w);
    }
    for (unsigned i = 0; i < w->parts_n; i++) {
        plog_close(w->parts[i].log);
        w->parts[i].log = NULL;
    }
    log_store_free(&w->store);
    int err = log_dir_close(w->dir, w->result == 0, 7);
    w->result = w->result ? w->result : err;
    io_destroy(w->io);
}

static bool busy(struct sw *w)
{
    bool any = log_store_busy(&w->store);
    for (unsigned i = 0; i < w->parts_n; i++) {
        any = any || plog_busy(w->parts[i].log);
    }
    return any;
}

bool sw_stop(struct sw *w)
{
    uint64_t eio = w->host->disk->stats.eio;
    for (int i = 0; busy(w); i++) {
        if (!sw_turns(w, 10000)) {
            return false;
        }
        RUN_CHECK(w->r, i < 10000);
    }
    uint64_t before = trouble(w);
    if (!sw_within(w, stop_logs)) {
        return false;
    }
    struct errmsg why;
    if (!sim_proc_end(w->proc, &why)) {
        run_fail(w->r, "after the stop: %s", why.text);
    }
    w->clean = w->result == 0;
    w->disk_lost_bytes |= w->host->disk->stats.eio != eio;
    if (!w->clean && trouble(w) == before && !w->offline) {
        run_fail(w->r, "the stop failed without a fault: %s", err_text(w->result));
    }
    for (unsigned i = 0; i < w->parts_n; i++) {
        struct sw_part *p = &w->parts[i];
        p->required = w->disk_lost_bytes ? p->model.durable : p->model.end;
        p->must_exist = w->disk_lost_bytes ? p->model.durable > 0 : p->created;
        if (p->open_end) {
            p->required = 0;
            p->must_exist = false;
        } else if (w->clean) {
            log_model_stopped(&p->model);
        }
    }
    gone(w);
    return true;
}
