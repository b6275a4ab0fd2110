#include "broker/checkpoints.h"

#include "base/mem.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/node.h"
#include "broker/partition_manager.h"
#include "storage/checkpoint.h"
#include "storage/log_dir.h"

enum kind { RECOVERY, HIGH_WATERMARK, LOG_START, KINDS };

static const char *const file_names[KINDS] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_REPLICATION,
                                              CHECKPOINT_LOG_START};

struct shard_rows {
    struct call call;
    struct checkpoints *c;
    struct checkpoint_rows rows;
};

struct file {
    struct checkpoint_write write;
    struct checkpoints *c;
    unsigned dir;
    uint64_t content; /* hash of what was written last: what has not changed is not written again */
    bool written;
};

struct checkpoints {
    struct node *n;
    struct timer timers[KINDS];
    unsigned due;        /* bits of kinds */
    struct list waiting; /* checkpoint_wait: for the next round */
    struct list served;  /* of the present one */
    uint64_t begun_open; /* directories whose logs were all open when the round's files were made */
    bool running;
    bool stopping;
    void (*stopped)(struct node *n);
    struct shard_rows *shards;
    struct file *files; /* [dir * KINDS + kind] */
    unsigned out;       /* calls, then writes */
};

static struct shard *main_shard(const struct checkpoints *c)
{
    return c->n->shards[0].shard;
}

void checkpoint_rows_free(struct checkpoint_rows *r)
{
    mem_free(r->v);
    mem_free(r->names);
    *r = (struct checkpoint_rows){0};
}

/* ---- one table ---- */

static bool row_in(const struct checkpoint_row *r, enum kind k)
{
    return k != LOG_START || r->start_needed;
}

static int64_t row_offset(const struct checkpoint_row *r, enum kind k)
{
    return k == RECOVERY         ? r->recovery_point
           : k == HIGH_WATERMARK ? r->high_watermark
                                 : r->log_start;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v;
    return (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull;
}

/* What the file said at the start, until all logs of the directory are open: rows tell of open ones
 * only. */
static void begin_table(struct offset_table *t, const struct log_dir *dir, enum kind k)
{
    const struct offset_table *start = k == RECOVERY         ? &dir->recovery_points
                                       : k == HIGH_WATERMARK ? &dir->high_watermarks
                                                             : &dir->log_starts;
    for (const struct offset_entry *e = start->first; e != NULL; e = e->next) {
        offset_table_set(t, e->topic, e->partition, e->offset);
    }
}

/* The rows of one directory. */
static void fill(struct offset_table *t, const struct checkpoint_rows *shard, unsigned dir,
                 enum kind k)
{
    for (size_t i = 0; i < shard->n; i++) {
        const struct checkpoint_row *r = &shard->v[i];
        if (r->dir == dir && row_in(r, k)) {
            offset_table_set(t, r->topic, r->partition, row_offset(r, k));
        }
    }
}

/* A hash of them, in whatever order: of what has not changed no table is made. */
static uint64_t hash_rows(const struct checkpoint_rows *shard, unsigned dir, enum kind k)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < shard->n; i++) {
        const struct checkpoint_row *r = &shard->v[i];
        if (r->dir == dir && row_in(r, k)) {
            hash += mix(mix(bytes_hash(bytes_str(r->topic)), (uint32_t)r->partition),
                        (uint64_t)row_offset(r, k));
        }
    }
    return hash;
}

/* ---- a round ---- */

static void begin_round(struct checkpoints *c);

/* Those directories whose files have the numbers of the round. */
static uint64_t dirs_written(const struct checkpoints *c)
{
    uint64_t bits = 0;
    for (unsigned d = 0; d < c->n->log_dirs_n; d++) {
        bool all = c->n->log_dirs[d] && !(c->n->failed_dirs & (UINT64_C(1) << d));
        for (enum kind k = 0; k < KINDS; k++) {
            all = all && c->files[d * KINDS + k].written;
        }
        bits |= all ? UINT64_C(1) << d : 0;
    }
    return bits;
}

static uint64_t dirs_open(const struct checkpoints *c)
{
    uint64_t bits = 0;
    for (unsigned d = 0; d < c->n->log_dirs_n; d++) {
        bits |= c->n->log_dirs[d] && c->n->log_dirs[d]->all_open ? UINT64_C(1) << d : 0;
    }
    return bits;
}

static void tell_served(struct checkpoints *c)
{
    uint64_t written = dirs_written(c);
    uint64_t whole = written & c->begun_open;
    struct list *at;
    while ((at = list_pop_front(&c->served)) != NULL) {
        struct checkpoint_wait *w = LIST_ENTRY(at, struct checkpoint_wait, node);
        w->done(w, written, whole);
    }
}

static void round_over(struct checkpoints *c)
{
    for (unsigned i = 0; i < c->n->data_shards; i++) {
        checkpoint_rows_free(&c->shards[i].rows);
    }
    c->running = false;
    tell_served(c);
    if (c->stopping) {
        if (c->stopped) {
            c->stopped(c->n);
        }
    } else if (c->due || !list_empty(&c->waiting)) {
        begin_round(c);
    }
}

static void one_home(struct checkpoints *c)
{
    ASSERT(c->out > 0);
    if (--c->out == 0) {
        round_over(c);
    }
}

static void written_cb(struct io_op *op, int64_t result)
{
    struct file *f = op->user;
    bool later = result == ERR_NOSPACE || result == ERR_MFILE || result == ERR_NOMEM;
    f->written &= result >= 0;
    if (later) { /* the old one stays, which costs a longer start; the next round tries again */
        log_warn(f->c->n->log, "checkpoint", "not written now dir=%s file=%s error=\"%s\"",
                 f->c->n->log_dirs[f->dir]->path, file_names[(f - f->c->files) % KINDS],
                 err_text((int)result));
    } else if (result < 0) {
        log_error(f->c->n->log, "checkpoint", "cannot write dir=%s file=%s error=\"%s\"",
                  f->c->n->log_dirs[f->dir]->path, file_names[(f - f->c->files) % KINDS],
                  err_text((int)result));
        node_dir_failed(&f->c->n->shards[0], f->dir);
    }
    one_home(f->c);
}

static void write_file(struct checkpoints *c, unsigned dir, enum kind k)
{
    struct file *f = &c->files[dir * KINDS + k];
    struct offset_table t = {0};
    uint64_t hash = c->n->log_dirs[dir]->all_open;
    for (unsigned s = 0; s < c->n->data_shards; s++) {
        hash += hash_rows(&c->shards[s].rows, dir, k);
    }
    if (f->written && hash == f->content) {
        return;
    }
    begin_table(&t, c->n->log_dirs[dir], k);
    for (unsigned s = 0; s < c->n->data_shards; s++) {
        fill(&t, &c->shards[s].rows, dir, k);
    }
    f->content = hash;
    f->written = true;
    f->write.op.user = f;
    c->out++;
    offset_checkpoint_write_start(main_shard(c)->io, c->n->log_dirs[dir]->path, file_names[k], &t,
                                  &f->write, written_cb);
    offset_table_free(&t);
}

/* All rows are here. */
static void write_all(struct checkpoints *c)
{
    unsigned due = c->due;
    c->due = 0;
    c->begun_open = dirs_open(c);
    c->out = 1; /* ours */
    for (unsigned d = 0; d < c->n->log_dirs_n; d++) {
        if (c->n->log_dirs[d] == NULL || (c->n->failed_dirs & (UINT64_C(1) << d))) {
            continue;
        }
        for (enum kind k = 0; k < KINDS; k++) {
            if (due & (1u << k)) {
                write_file(c, d, k);
            }
        }
    }
    one_home(c);
}

static void rows_run(struct shard *sh, struct call *call)
{
    struct shard_rows *s = call->user;
    partition_manager_rows(node_shard_of(sh)->partitions, &s->rows);
    call_finish(sh, call);
}

static void rows_done(struct shard *sh, struct call *call)
{
    UNUSED(sh);
    struct checkpoints *c = ((struct shard_rows *)call->user)->c;
    if (--c->out == 0) {
        write_all(c);
    }
}

static void begin_round(struct checkpoints *c)
{
    struct list *at;
    c->running = true;
    while ((at = list_pop_front(&c->waiting)) != NULL) {
        c->due = (1u << KINDS) - 1;
        list_push_back(&c->served, at);
    }
    c->out = c->n->data_shards;
    for (unsigned i = 0; i < c->n->data_shards; i++) {
        c->shards[i].c = c;
        call_start(main_shard(c), i, &c->shards[i].call, rows_run, rows_done, &c->shards[i]);
    }
}

/* ---- timers ---- */

static int64_t interval(const struct checkpoints *c, enum kind k)
{
    const struct config_values *v = &c->n->config->v;
    int64_t ms = k == RECOVERY         ? v->log_flush_offset_checkpoint_interval_ms
                 : k == HIGH_WATERMARK ? v->replica_high_watermark_checkpoint_interval_ms
                                       : v->log_flush_start_offset_checkpoint_interval_ms;
    return ms > 1 ? ms : 1;
}

static void tick_cb(struct timer *t)
{
    struct checkpoints *c = t->user;
    enum kind k = (enum kind)(t - c->timers);
    c->due |= 1u << k;
    timer_set(main_shard(c), t, shard_now_ms(main_shard(c)) + interval(c, k));
    if (!c->running) {
        begin_round(c);
    }
}

void checkpoints_write_soon(struct checkpoints *c, struct checkpoint_wait *w)
{
    list_push_back(&c->waiting, &w->node);
    if (!c->running) {
        begin_round(c);
    }
}

/* ---- asked by a shard ---- */

static void ask_written(struct checkpoint_wait *w, uint64_t written, uint64_t whole)
{
    struct checkpoint_ask *a = CONTAINER_OF(w, struct checkpoint_ask, wait);
    a->written = written;
    a->whole = whole;
    call_finish(a->main, &a->call);
}

static void ask_run(struct shard *sh, struct call *call)
{
    struct checkpoint_ask *a = call->user;
    struct node *n = node_shard_of(sh)->node;
    a->main = sh;
    a->wait.done = ask_written;
    if (n->checkpoints == NULL) { /* not there yet, or not any more */
        call_finish(sh, call);
    } else {
        checkpoints_write_soon(n->checkpoints, &a->wait);
    }
}

static void ask_done(struct shard *sh, struct call *call)
{
    struct checkpoint_ask *a = call->user;
    a->done(sh, a);
}

void checkpoints_ask(struct node_shard *ns, struct checkpoint_ask *a,
                     void (*done)(struct shard *sh, struct checkpoint_ask *a))
{
    a->written = a->whole = 0;
    a->done = done;
    call_start(ns->shard, 0, &a->call, ask_run, ask_done, a);
}

struct checkpoints *checkpoints_new(struct node *n)
{
    struct checkpoints *c = MEM_NEW(struct checkpoints);
    c->n = n;
    n->checkpoints = c;
    list_init(&c->waiting);
    list_init(&c->served);
    c->shards = mem_zalloc(n->data_shards * sizeof *c->shards);
    c->files = mem_zalloc(n->log_dirs_n * KINDS * sizeof *c->files);
    for (unsigned i = 0; i < n->log_dirs_n * KINDS; i++) {
        c->files[i].c = c;
        c->files[i].dir = i / KINDS;
    }
    for (enum kind k = 0; k < KINDS; k++) {
        c->timers[k] = (struct timer){.cb = tick_cb, .user = c};
    }
    return c;
}

void checkpoints_start(struct checkpoints *c)
{
    int64_t first = c->n->config->v.log_initial_task_delay_ms;
    for (enum kind k = 0; k < KINDS; k++) {
        int64_t wait = k == HIGH_WATERMARK ? interval(c, k) : first;
        timer_set(main_shard(c), &c->timers[k], shard_now_ms(main_shard(c)) + wait);
    }
}

void checkpoints_stop(struct checkpoints *c, void (*done)(struct node *n))
{
    c->stopping = true;
    for (enum kind k = 0; k < KINDS; k++) {
        timer_cancel(main_shard(c), &c->timers[k]);
    }
    if (c->running) {
        c->stopped = done;
    } else {
        done(c->n);
    }
}

uint64_t checkpoints_write_last(struct checkpoints *c, const struct checkpoint_rows *shards,
                                unsigned shards_n, uint64_t failed)
{
    for (unsigned d = 0; d < c->n->log_dirs_n; d++) {
        if (c->n->log_dirs[d] == NULL || (failed & (UINT64_C(1) << d))) {
            continue;
        }
        for (enum kind k = 0; k < KINDS; k++) {
            struct offset_table t = {0};
            begin_table(&t, c->n->log_dirs[d], k);
            for (unsigned s = 0; s < shards_n; s++) {
                fill(&t, &shards[s], d, k);
            }
            int err = offset_checkpoint_write(main_shard(c)->io, c->n->log_dirs[d]->path,
                                              file_names[k], &t);
            if (err) {
                log_error(c->n->log, "checkpoint", "cannot write dir=%s file=%s error=\"%s\"",
                          c->n->log_dirs[d]->path, file_names[k], err_text(err));
                failed |= UINT64_C(1) << d;
            }
            offset_table_free(&t);
        }
    }
    return failed;
}

void checkpoints_free(struct checkpoints *c)
{
    if (c == NULL) {
        return;
    }
    for (enum kind k = 0; k < KINDS; k++) {
        timer_cancel(main_shard(c), &c->timers[k]);
    }
    c->n->checkpoints = NULL;
    mem_free(c->shards);
    mem_free(c->files);
    mem_free(c);
}
