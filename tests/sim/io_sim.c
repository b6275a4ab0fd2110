/* The seam over sim_disk and sim_net, the turn, and the life and death of processes. */
#include "sim/io_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* 2026-01-01, when the clock starts. */
#define WALL_START_MS 1767225600000ll

struct sim_file {
    struct io_file base;
    struct list node; /* in proc->files */
    struct io_sim *io;
    struct sim_inode *inode;
    unsigned flags;
    char *path; /* as opened, for the trace */
};

enum op_kind { OP_FSYNC, OP_WORK, OP_COLD };

/* An operation in flight; io_op.priv[0] points here. */
struct sim_op {
    struct list node; /* in io->ops */
    struct sim_ready ready;
    struct sim_event event;
    struct io_sim *io;
    struct io_op *op;
    enum op_kind kind;
    bool run; /* WORK: fn is to run, not the callback */
    void (*fn)(struct io_op *op);
    struct sim_sync *sync;
    struct sim_inode *inode; /* held open: FSYNC */
    struct io_sock *sock;    /* COLD */
    struct io_file *file;
    uint64_t off;
    size_t n;
};

static const struct io_ops sim_ops;

static struct sim *sim_of(const struct io_sim *io)
{
    return io->proc->host->sim;
}

static struct sim_file *file_of(struct io_file *f)
{
    return (struct sim_file *)(void *)f;
}

/* ---- the world ---- */

struct sim *sim_new(uint64_t seed)
{
    struct sim *s = MEM_NEW(struct sim);
    sim_clock_init(&s->clock);
    prng_seed(&s->rng, seed);
    sim_net_init(&s->net, s, prng_next(&s->rng));
    list_init(&s->hosts);
    return s;
}

void sim_free(struct sim *s)
{
    sim_net_free(&s->net);
    list_for_each_safe (it, &s->hosts) {
        struct sim_host *h = LIST_ENTRY(it, struct sim_host, node);
        ASSERT(list_empty(&h->procs));
        sim_disk_free(h->disk);
        mem_free(h);
    }
    sim_clock_free(&s->clock);
    mem_free(s);
}

static int64_t host_wall_ms(void *ctx)
{
    return sim_host_wall_ms(ctx);
}

void sim_host_new_disk(struct sim_host *h, uint64_t disk_bytes)
{
    ASSERT(list_empty(&h->procs));
    if (h->disk != NULL) {
        sim_disk_free(h->disk);
    }
    h->disk = sim_disk_new(&h->sim->clock, prng_next(&h->sim->rng), disk_bytes);
    h->disk->wall_ms = host_wall_ms;
    h->disk->wall_ctx = h;
}

struct sim_host *sim_host_new(struct sim *s, uint64_t disk_bytes)
{
    struct sim_host *h = MEM_NEW(struct sim_host);
    h->sim = s;
    h->id = ++s->host_count;
    snprintf(h->name, sizeof(h->name), "host%u", h->id);
    snprintf(h->ip, sizeof(h->ip), "10.1.0.%u", h->id % 256);
    h->up = true;
    list_init(&h->procs);
    list_push_back(&s->hosts, &h->node);
    sim_host_new_disk(h, disk_bytes);
    return h;
}

struct sim_host *sim_host_find(struct sim *s, const char *ip_or_name)
{
    list_for_each (it, &s->hosts) {
        struct sim_host *h = LIST_ENTRY(it, struct sim_host, node);
        if (strcmp(h->ip, ip_or_name) == 0 || strcmp(h->name, ip_or_name) == 0) {
            return h;
        }
    }
    return NULL;
}

int64_t sim_host_wall_ms(const struct sim_host *h)
{
    return WALL_START_MS + h->sim->clock.now_us / 1000 + h->wall_ahead_ms;
}

/* ---- processes ---- */

struct sim_proc *sim_proc_new(struct sim_host *h)
{
    ASSERT(h->up);
    struct sim_proc *p = MEM_NEW(struct sim_proc);
    p->host = h;
    list_init(&p->ios);
    list_init(&p->files);
    prng_seed(&p->rng, prng_next(&h->sim->rng));
    list_push_back(&h->procs, &p->node);
    return p;
}

bool sim_proc_run(struct sim_proc *p, void (*fn)(void *arg), void *arg)
{
    jmp_buf home;
    ASSERT(p->home == NULL);
    if (setjmp(home) != 0) {
        p->home = NULL;
        return false;
    }
    p->home = &home;
    fn(arg);
    p->home = NULL;
    return true;
}

void sim_proc_die(struct sim_proc *p)
{
    ASSERT(p->home != NULL);
    if (p->host->sim->trace) {
        fprintf(p->host->sim->trace, "%s: dies here\n", p->host->name);
    }
    longjmp(*p->home, 1);
}

void sim_proc_die_in(struct sim_proc *p, uint64_t calls)
{
    p->die_at = calls ? p->calls + calls : 0;
}

enum sim_cut sim_proc_call(struct sim_proc *p, const char *what, const char *name, uint64_t n)
{
    struct sim *s = p->host->sim;
    p->calls++;
    if (s->trace) {
        fprintf(s->trace, "%lld.%06lld %s #%llu %s %s %llu\n",
                (long long)(s->clock.now_us / 1000000), (long long)(s->clock.now_us % 1000000),
                p->host->name, (unsigned long long)p->calls, what, name, (unsigned long long)n);
    }
    if (p->die_at == 0 || p->calls != p->die_at) {
        return SIM_GOES_ON;
    }
    return prng_below(&s->rng, 2) ? SIM_DIES_BEFORE : SIM_DIES_AFTER;
}

bool sim_proc_fd_free(const struct sim_proc *p)
{
    uint32_t n = p->socks;
    list_for_each (it, &p->files) {
        n++;
    }
    return p->fd_max == 0 || n < p->fd_max;
}

static void op_drop(struct sim_op *so)
{
    sim_clock_cancel(&sim_of(so->io)->clock, &so->event);
    list_remove(&so->ready.node);
    list_remove(&so->node);
    if (so->sync != NULL) {
        sim_disk_sync_drop(so->sync);
    }
    if (so->inode != NULL) {
        sim_disk_close(so->inode);
    }
    mem_free(so);
}

static void file_free(struct sim_file *f)
{
    struct sim_inode *ino = f->inode;
    if (ino->locker == f) {
        ino->locker = NULL;
    }
    list_remove(&f->node);
    mem_free(f->path);
    mem_free(f);
    sim_disk_close(ino);
}

/* Everything the kernel held for the process goes. */
static void proc_free(struct sim_proc *p, bool silent)
{
    struct sim *s = p->host->sim;
    ASSERT(p->home == NULL);
    list_for_each (it, &p->ios) {
        struct io_sim *io = LIST_ENTRY(it, struct io_sim, node);
        list_for_each_safe (jt, &io->ops) {
            op_drop(LIST_ENTRY(jt, struct sim_op, node));
        }
    }
    sim_net_proc_gone(&s->net, p, silent);
    list_for_each_safe (it, &p->files) {
        file_free(LIST_ENTRY(it, struct sim_file, node));
    }
    list_for_each_safe (it, &p->ios) {
        mem_free(LIST_ENTRY(it, struct io_sim, node));
    }
    list_remove(&p->node);
    mem_free(p);
}

void sim_proc_kill(struct sim_proc *p)
{
    struct sim_host *h = p->host;
    proc_free(p, false);
    if (list_empty(&h->procs)) {
        sim_disk_killed(h->disk);
    }
}

bool sim_proc_end(struct sim_proc *p, struct errmsg *why)
{
    bool clean = list_empty(&p->ios) && list_empty(&p->files) && p->socks == 0;
    if (!clean) {
        const char *path = "";
        unsigned files = 0;
        unsigned ios = 0;
        list_for_each (it, &p->files) {
            path = LIST_ENTRY(it, struct sim_file, node)->path;
            files++;
        }
        list_for_each (it, &p->ios) {
            ios++;
        }
        errmsg_set(why, ERR_CONFLICT, "left open: files=%u file=%s sockets=%u io=%u", files, path,
                   p->socks, ios);
    }
    struct sim_host *h = p->host;
    proc_free(p, false);
    if (list_empty(&h->procs)) {
        sim_disk_closed(h->disk);
    }
    return clean;
}

void sim_host_power_loss(struct sim_host *h)
{
    list_for_each_safe (it, &h->procs) {
        proc_free(LIST_ENTRY(it, struct sim_proc, node), true);
    }
    sim_disk_power_loss(h->disk);
    h->up = false;
    h->boots += !h->same_boot;
}

void sim_host_power_on(struct sim_host *h)
{
    h->up = true;
}

/* ---- the loop ---- */

/* In an order that the seed decides. */
void io_sim_push(struct io_sim *io, struct sim_ready *r)
{
    list_remove(&r->node);
    if (prng_below(&sim_of(io)->rng, 2)) {
        list_push_back(&io->ready, &r->node);
    } else {
        list_push_front(&io->ready, &r->node);
    }
}

bool io_sim_ready(const struct io *base)
{
    const struct io_sim *io = (const struct io_sim *)(const void *)base;
    return !list_empty(&io->ready) || io->woken;
}

static void op_fire(struct sim_op *so)
{
    struct sim *s = sim_of(so->io);
    struct io_op *op = so->op;
    if (so->run) {
        so->run = false;
        so->fn(op);
        sim_clock_after(&s->clock, &so->event, 10 + (int64_t)prng_below(&s->rng, 2000));
        return;
    }
    op_drop(so);
    op->in_flight = false;
    op->cb(op, op->result);
}

static void wait_for_something(struct io_sim *io, int64_t timeout_us)
{
    struct sim_clock *clock = &sim_of(io)->clock;
    int64_t deadline = timeout_us < 0 ? INT64_MAX : clock->now_us + timeout_us;
    while (!io_sim_ready(&io->io)) {
        int64_t next = sim_clock_next(clock);
        if (next > deadline || next == INT64_MAX) {
            ASSERT(deadline != INT64_MAX); /* nothing will ever happen */
            clock->now_us = deadline;
            break;
        }
        clock->now_us = next > clock->now_us ? next : clock->now_us;
        sim_clock_run_due(clock);
    }
}

static void sim_turn(struct io *base, int64_t timeout_us)
{
    struct io_sim *io = io_sim_of(base);
    sim_clock_run_due(&sim_of(io)->clock);
    if (sim_of(io)->self_advance && timeout_us != 0) {
        wait_for_something(io, timeout_us);
    }
    io->woken = false;
    ASSERT(list_empty(&io->batch)); /* no turn inside a turn */
    while (!list_empty(&io->ready)) {
        list_push_back(&io->batch, list_pop_front(&io->ready));
    }
    while (!list_empty(&io->batch)) {
        struct sim_ready *r = LIST_ENTRY(list_pop_front(&io->batch), struct sim_ready, node);
        if (r->is_op) {
            op_fire(CONTAINER_OF(r, struct sim_op, ready));
        } else {
            sim_sock_fire(r);
        }
    }
}

static void sim_wake(struct io *base)
{
    io_sim_of(base)->woken = true;
}

/* What is in flight is run to its end first. */
static void sim_destroy(struct io *base)
{
    struct io_sim *io = io_sim_of(base);
    struct sim_clock *clock = &sim_of(io)->clock;
    while (!list_empty(&io->ops)) {
        if (list_empty(&io->ready)) {
            int64_t next = sim_clock_next(clock);
            ASSERT(next != INT64_MAX);
            clock->now_us = next > clock->now_us ? next : clock->now_us;
        }
        sim_turn(base, 0);
    }
    ASSERT(list_empty(&io->socks));
    list_for_each (it, &io->proc->files) {
        ASSERT(LIST_ENTRY(it, struct sim_file, node)->io != io);
    }
    list_remove(&io->node);
    mem_free(io);
}

static int64_t sim_now_us(struct io *base)
{
    return sim_of(io_sim_of(base))->clock.now_us;
}

static int64_t sim_wall_ms(struct io *base)
{
    return sim_host_wall_ms(io_sim_of(base)->proc->host);
}

static void sim_random(struct io *base, void *out, size_t n)
{
    struct prng *rng = &io_sim_of(base)->proc->rng;
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(prng_next(rng) >> 32);
    }
}

int io_sim_make(void *proc, unsigned shard_index, struct io **out, struct errmsg *em)
{
    UNUSED(shard_index);
    UNUSED(em);
    struct sim_proc *p = proc;
    struct io_sim *io = MEM_NEW(struct io_sim);
    io->io.ops = &sim_ops;
    io->proc = p;
    list_init(&io->ready);
    list_init(&io->batch);
    list_init(&io->ops);
    list_init(&io->socks);
    list_push_back(&p->ios, &io->node);
    *out = &io->io;
    return 0;
}

/* ---- operations ---- */

static void op_done(struct sim_op *so, int64_t result)
{
    so->op->result = result;
    io_sim_push(so->io, &so->ready);
}

static void op_event(struct sim_event *ev)
{
    struct sim_op *so = ev->user;
    if (so->kind == OP_FSYNC) {
        struct sim_sync *sync = so->sync;
        so->sync = NULL;
        op_done(so, sim_disk_sync_end(sync));
    } else if (so->kind == OP_WORK) {
        io_sim_push(so->io, &so->ready); /* fn, then the callback */
    } else {
        op_done(so, sim_net_sendfile_now(so->sock, so->file, so->off, so->n));
    }
}

static struct sim_op *op_new(struct io_sim *io, struct io_op *op, enum op_kind kind)
{
    ASSERT(!op->in_flight && op->cb != NULL);
    struct sim_op *so = MEM_NEW(struct sim_op);
    so->io = io;
    so->op = op;
    so->kind = kind;
    so->ready.is_op = true;
    list_init(&so->ready.node);
    sim_event_init(&so->event, op_event, so);
    list_push_back(&io->ops, &so->node);
    op->in_flight = true;
    op->priv[0] = so;
    return so;
}

static void sim_work(struct io *base, struct io_op *op, void (*fn)(struct io_op *op))
{
    struct io_sim *io = io_sim_of(base);
    struct sim_op *so = op_new(io, op, OP_WORK);
    so->fn = fn;
    so->run = true;
    sim_clock_after(&sim_of(io)->clock, &so->event,
                    10 + (int64_t)prng_below(&sim_of(io)->rng, 2000));
}

static void sim_send_cold(struct io_sock *s, struct io_file *f, uint64_t off, size_t n,
                          struct io_op *op)
{
    struct io_sim *io = io_sim_of(s->io);
    struct sim_op *so = op_new(io, op, OP_COLD);
    so->sock = s;
    so->file = f;
    so->off = off;
    so->n = n;
    sim_clock_after(&sim_of(io)->clock, &so->event,
                    50 + (int64_t)prng_below(&sim_of(io)->rng, 5000));
}

void io_sim_cancel_cold(struct io_sim *io, struct sim_sock *s)
{
    list_for_each (it, &io->ops) {
        struct sim_op *so = LIST_ENTRY(it, struct sim_op, node);
        if (so->kind == OP_COLD && so->sock == (struct io_sock *)(void *)s) {
            sim_clock_cancel(&sim_of(io)->clock, &so->event);
            so->sock = NULL;
            op_done(so, ERR_CANCELED);
        }
    }
}

/* ---- files ---- */

static int sim_open(struct io *base, const char *path, unsigned flags, struct io_file **out)
{
    struct io_sim *io = io_sim_of(base);
    struct sim_proc *p = io->proc;
    if (!sim_proc_fd_free(p)) {
        return ERR_MFILE;
    }
    enum sim_cut cut = SIM_GOES_ON;
    if (flags & (IO_OPEN_CREATE | IO_OPEN_TRUNC)) {
        cut = sim_proc_call(p, "open", path, flags);
    }
    if (cut == SIM_DIES_BEFORE) {
        sim_proc_die(p);
    }
    struct sim_inode *ino;
    int err = sim_disk_open(p->host->disk, path, flags, &ino);
    if (err == 0) {
        struct sim_file *f = MEM_NEW(struct sim_file);
        f->base.io = base;
        f->io = io;
        f->inode = ino;
        f->flags = flags;
        f->path = mem_strdup(path);
        list_push_back(&p->files, &f->node);
        *out = &f->base;
    }
    if (cut == SIM_DIES_AFTER) {
        sim_proc_die(p);
    }
    return err;
}

static int64_t sim_preadv(struct io_file *file, const struct iovec *iov, int iovcnt, uint64_t off)
{
    return sim_disk_read(file_of(file)->inode, iov, iovcnt, off);
}

int64_t sim_file_send(struct io_file *file, uint64_t off, void *p, size_t n)
{
    struct iovec iov = {p, n};
    return sim_disk_read(file_of(file)->inode, &iov, 1, off);
}

static int64_t sim_pwritev(struct io_file *file, const struct iovec *iov, int iovcnt, uint64_t off)
{
    struct sim_file *f = file_of(file);
    struct sim_proc *p = f->io->proc;
    if (!(f->flags & IO_OPEN_WRITE)) {
        return ERR_INVALID;
    }
    uint64_t n = 0;
    for (int i = 0; i < iovcnt; i++) {
        n += iov[i].iov_len;
    }
    enum sim_cut cut = sim_proc_call(p, "write", f->path, n);
    uint64_t limit = UINT64_MAX;
    if (cut == SIM_DIES_BEFORE) { /* or in the middle */
        limit = prng_below(&sim_of(f->io)->rng, n + 1);
    }
    int64_t done = sim_disk_write(f->inode, iov, iovcnt, off, limit);
    if (cut != SIM_GOES_ON) {
        sim_proc_die(p);
    }
    return done;
}

/* The calls of one file or path that are done before the process dies in them, or not at all. */
#define CUT_CALL(proc, what, name, n, expr)                         \
    enum sim_cut cut_ = sim_proc_call((proc), (what), (name), (n)); \
    if (cut_ == SIM_DIES_BEFORE) {                                  \
        sim_proc_die(proc);                                         \
    }                                                               \
    int result_ = (expr);                                           \
    if (cut_ == SIM_DIES_AFTER) {                                   \
        sim_proc_die(proc);                                         \
    }                                                               \
    return result_

static int sim_truncate(struct io_file *file, uint64_t size)
{
    struct sim_file *f = file_of(file);
    if (!(f->flags & IO_OPEN_WRITE)) {
        return ERR_INVALID;
    }
    CUT_CALL(f->io->proc, "truncate", f->path, size, sim_disk_truncate(f->inode, size));
}

static int sim_allocate(struct io_file *file, uint64_t size)
{
    struct sim_file *f = file_of(file);
    CUT_CALL(f->io->proc, "allocate", f->path, size, sim_disk_allocate(f->inode, size));
}

static int fsync_now(struct sim_file *f)
{
    struct sim *s = sim_of(f->io);
    sim_clock_advance(&s->clock, sim_disk_fsync_delay(f->inode->disk));
    return sim_disk_fsync(f->inode);
}

static int sim_fsync(struct io_file *file)
{
    struct sim_file *f = file_of(file);
    CUT_CALL(f->io->proc, "fsync", f->path, 0, fsync_now(f));
}

static void sim_fsync_start(struct io_file *file, struct io_op *op)
{
    struct sim_file *f = file_of(file);
    struct sim_proc *p = f->io->proc;
    enum sim_cut cut = sim_proc_call(p, "fsync_start", f->path, 0);
    if (cut == SIM_DIES_BEFORE) {
        sim_proc_die(p);
    }
    struct sim_op *so = op_new(f->io, op, OP_FSYNC);
    so->inode = f->inode;
    so->inode->handles++;
    so->sync = sim_disk_sync_begin(f->inode);
    sim_clock_after(&sim_of(f->io)->clock, &so->event, sim_disk_fsync_delay(f->inode->disk));
    if (cut == SIM_DIES_AFTER) {
        sim_proc_die(p);
    }
}

static void sim_write_behind(struct io_file *file, uint64_t off, uint64_t n)
{
    UNUSED(off);
    UNUSED(n);
    sim_disk_writeback(file_of(file)->inode);
}

static bool sim_resident(struct io_file *file, uint64_t off, size_t n)
{
    UNUSED(off);
    UNUSED(n);
    return sim_disk_resident(file_of(file)->inode);
}

static int sim_file_size(struct io_file *file, uint64_t *size)
{
    *size = file_of(file)->inode->size;
    return 0;
}

static int sim_lock(struct io_file *file)
{
    struct sim_file *f = file_of(file);
    if (f->inode->locker != NULL && f->inode->locker != f) {
        return ERR_LOCKED;
    }
    f->inode->locker = f;
    return 0;
}

/* What the disk could not take it has told of (sim_disk.h). */
static int sim_lost_writes(struct io_file *file)
{
    UNUSED(file);
    return 0;
}

static void sim_forget(struct io_file *file)
{
    sim_disk_forget(file_of(file)->inode);
}

static void sim_file_close(struct io_file *file)
{
    file_free(file_of(file));
}

/* ---- names ---- */

static struct sim_disk *disk_of(struct io *base)
{
    return io_sim_of(base)->proc->host->disk;
}

static int sim_stat(struct io *base, const char *path, struct io_stat *out)
{
    return sim_disk_stat(disk_of(base), path, out);
}

static int sim_rename(struct io *base, const char *from, const char *to)
{
    CUT_CALL(io_sim_of(base)->proc, "rename", to, 0, sim_disk_rename(disk_of(base), from, to));
}

static int sim_unlink(struct io *base, const char *path)
{
    CUT_CALL(io_sim_of(base)->proc, "unlink", path, 0, sim_disk_unlink(disk_of(base), path));
}

static int sim_mkdir(struct io *base, const char *path)
{
    CUT_CALL(io_sim_of(base)->proc, "mkdir", path, 0, sim_disk_mkdir(disk_of(base), path));
}

static int sim_rmdir(struct io *base, const char *path)
{
    CUT_CALL(io_sim_of(base)->proc, "rmdir", path, 0, sim_disk_rmdir(disk_of(base), path));
}

static int fsync_dir_now(struct io *base, const char *path)
{
    sim_clock_advance(&sim_of(io_sim_of(base))->clock, sim_disk_fsync_delay(disk_of(base)));
    return sim_disk_fsync_dir(disk_of(base), path);
}

static int sim_fsync_dir(struct io *base, const char *path)
{
    CUT_CALL(io_sim_of(base)->proc, "fsync_dir", path, 0, fsync_dir_now(base, path));
}

static int sync_fs_now(struct io *base, const char *path)
{
    sim_clock_advance(&sim_of(io_sim_of(base))->clock, sim_disk_fsync_delay(disk_of(base)));
    return sim_disk_sync_fs(disk_of(base), path);
}

static int sim_sync_fs(struct io *base, const char *path)
{
    CUT_CALL(io_sim_of(base)->proc, "sync_fs", path, 0, sync_fs_now(base, path));
}

static int sim_list_dir(struct io *base, const char *path,
                        void (*each)(void *ctx, const struct io_dirent *e), void *ctx)
{
    return sim_disk_list(disk_of(base), path, each, ctx);
}

static int sim_disk_space(struct io *base, const char *path, uint64_t *total, uint64_t *usable)
{
    const struct sim_disk *d = disk_of(base);
    struct io_stat st;
    int err = sim_disk_stat(disk_of(base), path, &st);
    if (err == 0) {
        *total = d->capacity;
        *usable = d->capacity > d->used ? d->capacity - d->used : 0;
    }
    return err;
}

static int sim_kernel_id(struct io *base, const char *path, char out[IO_KERNEL_ID])
{
    const struct sim_host *h = io_sim_of(base)->proc->host;
    UNUSED(path);
    snprintf(out, IO_KERNEL_ID, "%s-boot-%u", h->name, h->boots);
    return 0;
}

static const struct io_ops sim_ops = {
    .name = "sim",
    .turn = sim_turn,
    .wake = sim_wake,
    .destroy = sim_destroy,
    .now_us = sim_now_us,
    .wall_ms = sim_wall_ms,
    .random = sim_random,
    .listen = sim_net_listen,
    .accept = sim_net_accept,
    .adopt = sim_net_adopt,
    .connect = sim_net_connect,
    .sock_error = sim_net_sock_error,
    .sock_port = sim_net_sock_port,
    .sock_peer = sim_net_sock_peer,
    .handle_peer = sim_net_handle_peer,
    .arm = sim_net_arm,
    .recv = sim_net_recv,
    .sendv = sim_net_sendv,
    .sendfile = sim_net_sendfile,
    .send_cold = sim_send_cold,
    .sock_close = sim_net_sock_close,
    .handle_close = sim_net_handle_close,
    .open = sim_open,
    .preadv = sim_preadv,
    .pwritev = sim_pwritev,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .fsync = sim_fsync,
    .fsync_start = sim_fsync_start,
    .write_behind = sim_write_behind,
    .resident = sim_resident,
    .file_size = sim_file_size,
    .lock = sim_lock,
    .lost_writes = sim_lost_writes,
    .forget = sim_forget,
    .file_close = sim_file_close,
    .stat = sim_stat,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .rmdir = sim_rmdir,
    .fsync_dir = sim_fsync_dir,
    .sync_fs = sim_sync_fs,
    .list_dir = sim_list_dir,
    .disk_space = sim_disk_space,
    .kernel_id = sim_kernel_id,
    .work = sim_work,
};
